//! IMAP (RFC 9051).

use super::lines::{has_word, line};
use super::{Dialogue, Manner, Step};

/// The dialogue; where it stands.
pub(super) struct Imap {
    at: At,
    manner: Manner,
    /// The capabilities seen last: STARTTLS among them, log-in forbidden.
    seen: Option<(bool, bool)>,
}

#[derive(Clone, Copy)]
enum At {
    Greeting,
    /// Capabilities were asked for before STARTTLS.
    Before,
    Start,
    /// STARTTLS was refused: do the capabilities name it?
    Behind,
}

impl Imap {
    pub(super) const fn new(manner: Manner) -> Self {
        Self { at: At::Greeting, manner, seen: None }
    }

    fn greeting(&mut self, line: &[u8]) -> Step {
        let is = |word: &str| line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()));
        if is("* PREAUTH") {
            return Step::refused("it takes every client as logged in, which leaves no way to STARTTLS");
        }
        if !is("* OK") {
            let why = if is("* BYE") { "it does not want to talk to us now" } else { "it does not speak IMAP" };
            return Step::unclear(why);
        }
        if self.manner == Manner::Short {
            self.at = At::Start;
            return Step::say("p2 STARTTLS\r\n");
        }
        self.at = At::Before;
        Step::say("p1 CAPABILITY\r\n")
    }
}

impl Dialogue for Imap {
    fn next(&mut self, heard: &mut &[u8]) -> Step {
        loop {
            let Some(line) = line(heard) else { return Step::Hear };
            if matches!(self.at, At::Greeting) {
                return self.greeting(line);
            }
            if line.starts_with(b"* ") {
                if has_word(line, "CAPABILITY") {
                    self.seen = Some((has_word(line, "STARTTLS"), has_word(line, "LOGINDISABLED")));
                }
                if line.get(2..5).is_some_and(|word| word.eq_ignore_ascii_case(b"BYE")) {
                    return Step::unclear("it does not want to talk to us now");
                }
                continue;
            }
            let (tag, fine) = (line.get(..3), line.get(3..5).is_some_and(|word| word.eq_ignore_ascii_case(b"OK")));
            return match (self.at, tag) {
                (At::Before, Some(b"p1 ")) => {
                    self.at = At::Start;
                    Step::say("p2 STARTTLS\r\np3 NOOP\r\n")
                }
                (At::Start, Some(b"p2 ")) if fine => Step::Begin,
                (At::Start, Some(b"p2 ")) if self.manner != Manner::Short => {
                    Step::unclear("it refused STARTTLS with a command behind it")
                }
                (At::Start, Some(b"p2 ")) => {
                    self.at = At::Behind;
                    Step::say("p4 CAPABILITY\r\n")
                }
                (At::Behind, Some(b"p4 ")) => match self.seen {
                    Some((false, _)) => Step::refused("it refuses STARTTLS, and its capabilities do not name it"),
                    Some((true, _)) => Step::unclear("it names STARTTLS and refuses it"),
                    None => Step::unclear("it refuses STARTTLS, and does not tell its capabilities"),
                },
                _ => Step::unclear("it does not speak IMAP"),
            };
        }
    }

    fn plain_login(&self) -> Option<bool> {
        self.seen.map(|(_, forbidden)| !forbidden)
    }
}
