//! TLS that begins in the middle of another protocol: STARTTLS and its relatives.
//!
//! A dialogue is a machine without input or output of its own: it is fed what was heard, and says what to do next. The
//! same machine runs over a live connection ([`open`]) and over a recorded exchange ([`after`]), so that where TLS begins
//! in the record is computed, never claimed. One file for each protocol, one plain list ([`Protocol::ALL`]).

mod ftp;
mod imap;
mod ldap;
mod lines;
mod mysql;
mod pop3;
mod postgres;
mod smtp;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use model::{Direction, Ended, Exchange, Failure, FailureClass};
use probe::{Conn, Cx, Heard};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Most bytes heard before TLS begins; a usual dialogue has less than one thousand.
pub const MOST_BYTES: usize = 16 * 1024;
/// The name that we give where the protocol wants one. It is nobody's (RFC 6761, 6.4).
const OUR_NAME: &str = "probity.invalid";
/// Connections to one mail server at once.
const MAIL_AT_ONCE: u32 = 2;

/// A protocol in which a client asks for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// SMTP and submission, `STARTTLS` (RFC 3207).
    Smtp,
    /// IMAP, `STARTTLS` (RFC 9051, 6.2.1).
    Imap,
    /// POP3, `STLS` (RFC 2595, section 4).
    Pop3,
    /// FTP, `AUTH TLS` (RFC 4217).
    Ftp,
    /// LDAP, the extended operation StartTLS (RFC 4511, 4.14).
    Ldap,
    /// PostgreSQL, SSLRequest (its manual, "Message Flow").
    Postgres,
    /// MySQL and MariaDB, SSLRequest (their protocol, "Connection Phase").
    Mysql,
}

impl Protocol {
    /// Every one.
    pub const ALL: [Self; 7] = [Self::Smtp, Self::Imap, Self::Pop3, Self::Ftp, Self::Ldap, Self::Postgres, Self::Mysql];

    /// Its name in inventories, in facts, and as the scheme of a target's URL.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Ftp => "ftp",
            Self::Ldap => "ldap",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    /// The port of a server that names none (IANA "Service Name and Port Number").
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Smtp => 25,
            Self::Imap => 143,
            Self::Pop3 => 110,
            Self::Ftp => 21,
            Self::Ldap => 389,
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }

    /// The protocol that is usual on a port; submission (587) is SMTP.
    #[must_use]
    pub fn of_port(port: u16) -> Option<Self> {
        if port == 587 { Some(Self::Smtp) } else { Self::ALL.into_iter().find(|protocol| protocol.port() == port) }
    }

    /// Commands are lines, and one can be sent behind another.
    pub(crate) const fn has_lines(self) -> bool {
        matches!(self, Self::Smtp | Self::Imap | Self::Pop3 | Self::Ftp)
    }

    fn dialogue(self, manner: Manner) -> Box<dyn Dialogue + Send> {
        match self {
            Self::Smtp => Box::new(smtp::Smtp::new(manner)),
            Self::Imap => Box::new(imap::Imap::new(manner)),
            Self::Pop3 => Box::new(pop3::Pop3::new(manner)),
            Self::Ftp => Box::new(ftp::Ftp::new(manner)),
            Self::Ldap => Box::new(ldap::Ldap::default()),
            Self::Postgres => Box::new(postgres::Postgres::default()),
            Self::Mysql => Box::new(mysql::Mysql::default()),
        }
    }

    /// What ends a session within TLS.
    pub(crate) const fn farewell(self) -> &'static [u8] {
        match self {
            Self::Imap => b"p9 LOGOUT\r\n",
            _ => b"QUIT\r\n",
        }
    }

    /// Whether what came within TLS answers the farewell (`Some(false)`), or a command that was sent before TLS began
    /// (`Some(true)`); `None` while no whole answer is there.
    ///
    /// `closed` says that nothing follows.
    pub(crate) fn answers_what_came_before(self, mut within: &[u8], closed: bool) -> Option<bool> {
        let first = lines::line(&mut within)?;
        match self {
            Self::Smtp | Self::Ftp => Some(!first.starts_with(b"221")),
            Self::Imap => Some(!(first.starts_with(b"* BYE") || first.starts_with(b"p9 "))),
            // Two answers where one command was sent within.
            Self::Pop3 => match lines::line(&mut within) {
                Some(_) => Some(true),
                None if first.starts_with(b"-ERR") => Some(true),
                None => closed.then_some(false),
            },
            Self::Ldap | Self::Postgres | Self::Mysql => None,
        }
    }
}

/// How a dialogue is led.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// The shortest way to TLS.
    #[default]
    Short,
    /// It asks for the server's capabilities in clear text first, and sends a command that does nothing in the same
    /// breath as the one that asks for TLS (CVE-2011-0411: a server must not obey it after the handshake).
    Pipelined,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// More has to be heard.
    Hear,
    /// This is to be said.
    Say(Vec<u8>),
    /// TLS begins with the next byte.
    Begin,
    /// The server offers no TLS; in words.
    Refused(String),
    /// Nothing can be concluded; in words.
    Unclear(String),
}

impl Step {
    fn say(text: impl AsRef<[u8]>) -> Self {
        Self::Say(text.as_ref().to_vec())
    }

    fn unclear(text: impl Into<String>) -> Self {
        Self::Unclear(text.into())
    }

    fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }
}

/// One protocol's way to TLS. It takes whole answers off `heard`, and nothing where none is there.
trait Dialogue {
    fn next(&mut self, heard: &mut &[u8]) -> Step;

    /// Whether the server lets clients log in before TLS, as its capabilities in clear text say; with those of `Pipelined`.
    fn plain_login(&self) -> Option<bool> {
        None
    }
}

/// A dialogue under way.
struct Talk {
    dialogue: Box<dyn Dialogue + Send>,
    pending: Vec<u8>,
    heard: usize,
}

impl Talk {
    fn new(protocol: Protocol, manner: Manner) -> Self {
        Self { dialogue: protocol.dialogue(manner), pending: Vec::new(), heard: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.heard = self.heard.saturating_add(bytes.len());
        self.pending.extend_from_slice(bytes);
    }

    fn step(&mut self) -> Step {
        let mut rest = self.pending.as_slice();
        let step = self.dialogue.next(&mut rest);
        let left = rest.len();
        self.pending.drain(..self.pending.len() - left);
        match step {
            Step::Hear if self.heard > MOST_BYTES => {
                Step::Unclear(format!("it said more than {MOST_BYTES} bytes before TLS"))
            }
            Step::Begin if !self.pending.is_empty() => {
                let count = self.pending.len();
                Step::Unclear(format!("it sent {count} bytes in clear text after it had agreed to begin TLS"))
            }
            step => step,
        }
    }
}

/// Why TLS did not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Barred {
    /// The server offers none; in words.
    Refused(String),
    /// Anything else; in words.
    Unclear(String),
}

impl Barred {
    /// In words.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Unclear(why) => why,
        }
    }
}

/// What a recorded connection holds beside its dialogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// What we said from the first byte of TLS on.
    pub sent: Vec<u8>,
    /// What the server said from there on.
    pub received: Vec<u8>,
}

/// Opens a connection, and asks for TLS where that has to be asked for. The next byte is TLS's.
///
/// # Errors
/// Where no connection was made, or TLS does not begin. Class [`FailureClass::Protocol`] says that another attempt is
/// of no use.
pub(crate) async fn open(
    cx: &Cx,
    address: SocketAddr,
    starttls: Option<Protocol>,
    manner: Manner,
    question: String,
) -> Result<Conn, Failure> {
    let Some(protocol) = starttls else { return cx.dial(address, question).await };
    if matches!(protocol, Protocol::Smtp | Protocol::Imap | Protocol::Pop3) {
        cx.narrow(address, MAIL_AT_ONCE);
    }
    let mut conn = cx.dial(address, question).await?;
    let until = Instant::now() + cx.patience().saturating_mul(2).min(cx.remaining());
    let mut talk = Talk::new(protocol, manner);
    let fail = |class, why: &str| Failure::new(class, format!("{address}: {}: {why}", protocol.word()));
    loop {
        let ended = match talk.step() {
            Step::Begin => return Ok(conn),
            Step::Say(bytes) => match conn.send(&bytes).await {
                Ok(()) => continue,
                // Who ends a connection may have said why before.
                Err(Ended::Timeout) => Ended::Timeout,
                Err(_) => continue,
            },
            Step::Hear => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    conn.ended(Ended::Timeout)
                } else {
                    match conn.recv_within(4096, left.min(cx.patience())).await {
                        Heard::Bytes(bytes) => {
                            talk.push(&bytes);
                            continue;
                        }
                        Heard::End(ended) => ended,
                    }
                }
            }
            Step::Refused(why) => return Err(fail(FailureClass::Protocol, &why)),
            Step::Unclear(why) => {
                conn.ended(Ended::ByUs);
                // It may have had too many of us.
                cx.relent(address);
                return Err(fail(FailureClass::Refused, &why));
            }
        };
        return Err(fail(FailureClass::Timeout, cut(ended)));
    }
}

/// What is left of an exchange behind its dialogue.
///
/// # Errors
/// Why TLS did not begin.
pub fn after(protocol: Protocol, manner: Manner, exchange: &Exchange) -> Result<Opened, Barred> {
    play(protocol, manner, exchange).1
}

/// Leads the dialogue over what was recorded.
fn play(protocol: Protocol, manner: Manner, exchange: &Exchange) -> (Box<dyn Dialogue + Send>, Result<Opened, Barred>) {
    let mut talk = Talk::new(protocol, manner);
    let outcome = follow(&mut talk, exchange);
    (talk.dialogue, outcome)
}

fn follow(talk: &mut Talk, exchange: &Exchange) -> Result<Opened, Barred> {
    let sent = exchange.bytes(Direction::Sent);
    let mut unsaid = sent.as_slice();
    let mut frames = exchange.frames.iter().filter(|frame| frame.direction == Direction::Received);
    loop {
        match talk.step() {
            Step::Begin => {
                let received = frames.flat_map(|frame| frame.bytes.iter().copied()).collect();
                return Ok(Opened { sent: unsaid.to_vec(), received });
            }
            Step::Say(bytes) => match unsaid.strip_prefix(bytes.as_slice()) {
                Some(rest) => unsaid = rest,
                None => return Err(Barred::Unclear("the record does not hold what the dialogue says".into())),
            },
            Step::Hear => match frames.next() {
                Some(frame) => talk.push(&frame.bytes),
                None => return Err(Barred::Unclear(cut(exchange.ended).into())),
            },
            Step::Refused(why) => return Err(Barred::Refused(why)),
            Step::Unclear(why) => return Err(Barred::Unclear(why)),
        }
    }
}

/// Whether the server lets clients log in before TLS, as far as what it said in clear text tells.
#[must_use]
pub fn plain_login(protocol: Protocol, manner: Manner, exchange: &Exchange) -> Option<bool> {
    play(protocol, manner, exchange).0.plain_login()
}

/// How a dialogue ended that did not come to TLS.
const fn cut(ended: Ended) -> &'static str {
    match ended {
        Ended::Closed | Ended::Reset => "it ended the connection before TLS could begin",
        Ended::Timeout => "TLS did not begin in time",
        Ended::ConnectRefused => "the connection was refused",
        Ended::ConnectTimeout => "no connection was made in time",
        Ended::ConnectFailed => "no connection was made",
        Ended::ByUs | Ended::Interrupted | Ended::Overlong => "it was cut short before TLS could begin",
    }
}
