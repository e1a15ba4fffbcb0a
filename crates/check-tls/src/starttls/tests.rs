//! Dialogues as real servers lead them, and as nobody should.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use model::Frame;
use proptest::prelude::*;

use super::*;

fn exchange(frames: &[(Direction, &[u8])], ended: Ended) -> Exchange {
    let frames =
        frames.iter().map(|(direction, bytes)| Frame { direction: *direction, bytes: bytes.to_vec() }).collect();
    Exchange { question: String::new(), peer: String::new(), at: 0, ended, cut: false, frames }
}

/// Leads a dialogue against these answers, one for each thing said (the first for the greeting, where there is one).
fn lead(protocol: Protocol, manner: Manner, answers: &[&[u8]]) -> (Exchange, Result<Opened, Barred>) {
    let mut talk = Talk::new(protocol, manner);
    let mut frames: Vec<(Direction, Vec<u8>)> = Vec::new();
    let mut answers = answers.iter();
    loop {
        match talk.step() {
            Step::Say(bytes) => frames.push((Direction::Sent, bytes)),
            Step::Hear => match answers.next() {
                Some(answer) => {
                    talk.push(answer);
                    frames.push((Direction::Received, answer.to_vec()));
                }
                None => break,
            },
            Step::Begin => {
                frames.push((Direction::Sent, b"hello".to_vec()));
                frames.push((Direction::Received, b"answer".to_vec()));
                break;
            }
            Step::Refused(_) | Step::Unclear(_) => break,
        }
    }
    let borrowed: Vec<_> = frames.iter().map(|(direction, bytes)| (*direction, bytes.as_slice())).collect();
    let exchange = exchange(&borrowed, Ended::ByUs);
    let outcome = after(protocol, manner, &exchange);
    (exchange, outcome)
}

fn begins(protocol: Protocol, manner: Manner, answers: &[&[u8]]) {
    let opened = lead(protocol, manner, answers).1;
    let wanted = Opened { sent: b"hello".to_vec(), received: b"answer".to_vec() };
    assert_eq!(opened, Ok(wanted), "{protocol:?}");
}

fn refused(protocol: Protocol, answers: &[&[u8]]) {
    let outcome = lead(protocol, Manner::Short, answers).1;
    assert!(matches!(outcome, Err(Barred::Refused(_))), "{protocol:?} {answers:?}: {outcome:?}");
}

fn unclear(protocol: Protocol, manner: Manner, answers: &[&[u8]]) -> String {
    match lead(protocol, manner, answers).1 {
        Err(Barred::Unclear(why)) => why,
        other => panic!("{protocol:?} {answers:?}: {other:?}"),
    }
}

const EHLO: &[u8] = b"250-mx.example.org\r\n250-SIZE 1\r\n250-STARTTLS\r\n250 DSN\r\n";
const LDAP_OK: &[u8] = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";

fn mysql_greeting(flags: u16) -> Vec<u8> {
    let mut body = b"\x0a8.0.0\0".to_vec();
    body.extend([1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    body.extend(flags.to_le_bytes());
    body.extend([0; 20]);
    let mut packet = vec![u8::try_from(body.len()).unwrap(), 0, 0, 0];
    packet.extend(body);
    packet
}

#[test]
fn the_ways_to_tls() {
    use Manner::{Pipelined, Short};
    begins(Protocol::Smtp, Short, &[b"220-mx ESMTP\r\n220 now\r\n", EHLO, b"220 2.0.0 Ready\r\n"]);
    begins(Protocol::Smtp, Pipelined, &[b"220 mx\r\n", EHLO, b"220 go\r\n"]);
    begins(Protocol::Imap, Short, &[b"* OK [CAPABILITY IMAP4rev1] hi\r\n", b"* 1 EXISTS\r\np2 OK go\r\n"]);
    begins(Protocol::Imap, Pipelined, &[b"* OK hi\r\n", b"* CAPABILITY IMAP4 STARTTLS\r\np1 OK\r\n", b"p2 OK\r\n"]);
    begins(Protocol::Pop3, Short, &[b"+OK hi\r\n", b"+OK go\r\n"]);
    begins(Protocol::Pop3, Pipelined, &[b"+OK hi\r\n", b"+OK\r\nSTLS\r\n.\r\n", b"+OK go\r\n"]);
    begins(Protocol::Ftp, Short, &[b"120 wait\r\n", b"220-hi\r\n there\r\n220 ftp\r\n", b"234 go\r\n"]);
    begins(Protocol::Ldap, Short, &[LDAP_OK]);
    begins(Protocol::Postgres, Short, &[b"S"]);
    begins(Protocol::Mysql, Short, &[&mysql_greeting(0x8a00)]);
}

#[test]
fn byte_by_byte_is_the_same() {
    for (protocol, answers) in [
        (Protocol::Smtp, [&b"220 mx\r\n"[..], EHLO, b"220 go\r\n"].concat()),
        (Protocol::Imap, b"* OK hi\r\np2 OK go\r\n".to_vec()),
        (Protocol::Ftp, b"220-a\r\nb\r\n220 c\r\n234 go\r\n".to_vec()),
        (Protocol::Ldap, LDAP_OK.to_vec()),
        (Protocol::Mysql, mysql_greeting(0x0800)),
    ] {
        let pieces: Vec<&[u8]> = answers.chunks(1).collect();
        begins(protocol, Manner::Short, &pieces);
    }
}

#[test]
fn servers_without_tls() {
    refused(Protocol::Smtp, &[b"220 mx\r\n", b"250-STARTTLS\r\n250-XXXXXXXA\r\n250 DSN\r\n"]);
    refused(Protocol::Smtp, &[b"220 mx\r\n", b"502 what\r\n"]);
    refused(Protocol::Smtp, &[b"220 mx\r\n", EHLO, b"502 5.5.1 no\r\n"]);
    refused(Protocol::Imap, &[b"* PREAUTH hi\r\n"]);
    refused(Protocol::Imap, &[b"* OK hi\r\n", b"p2 BAD no\r\n", b"* CAPABILITY IMAP4rev1\r\np4 OK\r\n"]);
    refused(Protocol::Pop3, &[b"+OK hi\r\n", b"-ERR\r\n", b"+OK\r\nUSER\r\n.\r\n"]);
    refused(Protocol::Pop3, &[b"+OK hi\r\n", b"-ERR\r\n", b"-ERR\r\n"]);
    refused(Protocol::Ftp, &[b"220 ftp\r\n", b"530 log in\r\n", b"211-Features:\r\n UTF8\r\n211 End\r\n"]);
    refused(Protocol::Ftp, &[b"220 ftp\r\n", b"500 what\r\n", b"500 what\r\n"]);
    refused(Protocol::Ldap, &[b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"]);
    refused(Protocol::Postgres, &[b"N"]);
    refused(Protocol::Mysql, &[&mysql_greeting(0x8200)]);
}

#[test]
fn what_proves_nothing() {
    use Manner::{Pipelined, Short};
    for (protocol, manner, answers, part) in [
        (Protocol::Smtp, Short, &[&b"421 too many\r\n"[..]] as &[&[u8]], "no time"),
        (Protocol::Smtp, Short, &[b"554 no\r\n"], "does not want"),
        (Protocol::Smtp, Short, &[b"220 mx\r\n", EHLO, b"454 later\r\n"], "no time"),
        (Protocol::Smtp, Short, &[b"220 mx\r\n", EHLO, b"220 go\r\n250 ok\r\n"], "8 bytes in clear text"),
        (Protocol::Smtp, Pipelined, &[b"220 mx\r\n", EHLO, b"554 pipelining\r\n"], "with a command behind it"),
        (Protocol::Smtp, Short, &[b"220 mx\r\n", b"250-a\r\n"], "cut short"),
        (Protocol::Smtp, Short, &[b"\x15\x03\x01\x00\x02\x02\x28\r\n"], "does not speak SMTP"),
        (Protocol::Imap, Short, &[b"* BYE busy\r\n"], "now"),
        (Protocol::Imap, Short, &[b"* OK\r\n", b"p2 NO\r\n", b"* CAPABILITY STARTTLS\r\np4 OK\r\n"], "names STARTTLS"),
        (Protocol::Pop3, Short, &[b"-ERR busy\r\n"], "now"),
        (Protocol::Ftp, Short, &[b"421 too many\r\n"], "no time"),
        (Protocol::Ftp, Short, &[b"220 a\r\n", b"534 no\r\n", b"211-F:\r\n AUTH TLS\r\n211 E\r\n"], "names AUTH TLS"),
        (Protocol::Ldap, Short, &[b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"], "result 52"),
        (Protocol::Ldap, Short, &[b"HTTP/1.1"], "does not speak LDAP"),
        (Protocol::Postgres, Short, &[b"Sx"], "1 bytes in clear text"),
        (Protocol::Postgres, Short, &[b"E"], "error"),
        (Protocol::Mysql, Short, &[b"\x10\0\0\0\xff\x10\x04too many conn"], "error 1040"),
    ] {
        let why = unclear(protocol, manner, answers);
        assert!(why.contains(part), "{protocol:?} {answers:?}: {why}");
    }
}

#[test]
fn who_never_ends_is_left() {
    let banner = [b"220-".as_slice(), &[b'x'; 64 * 1024]].concat();
    assert!(unclear(Protocol::Smtp, Manner::Short, &[&banner]).contains("more than"));
    let lines = b"220-and so on\r\n".repeat(5000);
    assert!(unclear(Protocol::Smtp, Manner::Short, &[&lines]).contains("more than"));
    let untagged = b"* 1 EXISTS\r\n".repeat(5000);
    assert!(unclear(Protocol::Imap, Manner::Short, &[b"* OK hi\r\n", &untagged]).contains("more than"));
}

#[test]
fn log_in_in_clear_text() {
    let login = |protocol, manner, answers: &[&[u8]]| plain_login(protocol, manner, &lead(protocol, manner, answers).0);
    let with = b"250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n";
    assert_eq!(login(Protocol::Smtp, Manner::Short, &[b"220 mx\r\n", with]), Some(true));
    assert_eq!(login(Protocol::Smtp, Manner::Short, &[b"220 mx\r\n", EHLO]), Some(false));
    let imap = |list: &[u8]| login(Protocol::Imap, Manner::Pipelined, &[b"* OK\r\n", list]);
    assert_eq!(imap(b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\np1 OK\r\n"), Some(true));
    assert_eq!(imap(b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\np1 OK\r\n"), Some(false));
    let pop3 = |list: &[u8]| login(Protocol::Pop3, Manner::Pipelined, &[b"+OK\r\n", list]);
    assert_eq!(pop3(b"+OK\r\nUSER\r\nSTLS\r\n.\r\n"), Some(true));
    assert_eq!(pop3(b"+OK\r\nSTLS\r\nSASL\r\n.\r\n"), Some(false));
    assert_eq!(pop3(b"+OK\r\nSTLS\r\nSASL PLAIN\r\n.\r\n"), Some(true));
}

#[test]
fn what_is_answered_within_tls() {
    let smtp = |text: &[u8]| Protocol::Smtp.answers_what_came_before(text, true);
    assert_eq!(smtp(b"221 2.0.0 Bye\r\n"), Some(false));
    assert_eq!(smtp(b"250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"), Some(true));
    assert_eq!(smtp(b"22"), None);
    let pop3 = |text: &[u8], closed| Protocol::Pop3.answers_what_came_before(text, closed);
    assert_eq!(pop3(b"+OK bye\r\n", true), Some(false));
    assert_eq!(pop3(b"+OK bye\r\n", false), None);
    assert_eq!(pop3(b"+OK\r\n+OK bye\r\n", true), Some(true));
    let imap = |text: &[u8]| Protocol::Imap.answers_what_came_before(text, true);
    assert_eq!(imap(b"* BYE\r\np9 OK\r\n"), Some(false));
    assert_eq!(imap(b"p3 OK\r\n* BYE\r\n"), Some(true));
}

proptest! {
    #[test]
    fn no_server_makes_it_panic_or_talk_for_ever(
        answers in prop::collection::vec(any::<Vec<u8>>(), 0..8),
        begin in prop::sample::select(vec![&b""[..], b"220 a\r\n", b"* OK\r\n", b"+OK\r\n", b"\x30\x0c\x02\x01\x01", b"S"]),
        which in 0_usize..7,
        pipelined: bool,
    ) {
        let protocol = Protocol::ALL[which];
        let manner = if pipelined { Manner::Pipelined } else { Manner::Short };
        let mut all = vec![begin];
        all.extend(answers.iter().map(Vec::as_slice));
        let (exchange, _) = lead(protocol, manner, &all);
        let said = exchange.frames.iter().filter(|frame| frame.direction == Direction::Sent).count();
        prop_assert!(said <= 4, "{} things said", said);
        let _ = plain_login(protocol, manner, &exchange);
        // Cut anywhere, the record still tells no more than it holds.
        for frames in 0..exchange.frames.len() {
            let mut cut = exchange.clone();
            cut.frames.truncate(frames);
            let _ = after(protocol, manner, &cut);
        }
    }

    #[test]
    fn lines_as_any_server_may_write_them(text in "[0-9]{3}[ -][ -~]{0,20}(\r\n[ -~]{0,20}){0,6}\r?\n", which in 0_usize..4) {
        let protocol = Protocol::ALL[which];
        let _ = lead(protocol, Manner::Short, &[text.as_bytes()]);
        let _ = protocol.answers_what_came_before(text.as_bytes(), false);
    }
}
