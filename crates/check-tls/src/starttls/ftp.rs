//! FTP (RFC 4217).

use super::lines::{Reply, has_word};
use super::{Dialogue, Manner, Step};

/// The dialogue; where it stands.
pub(super) struct Ftp {
    at: At,
    manner: Manner,
}

enum At {
    Banner,
    Auth,
    /// `AUTH TLS` was refused with this code: do the features name it?
    Features(u16),
}

impl Ftp {
    pub(super) const fn new(manner: Manner) -> Self {
        Self { at: At::Banner, manner }
    }
}

impl Dialogue for Ftp {
    fn next(&mut self, heard: &mut &[u8]) -> Step {
        let Some(reply) = Reply::take(heard) else { return Step::Hear };
        let code = reply.code;
        match (&self.at, code) {
            (_, 0) => Step::unclear("it does not speak FTP"),
            // The service will be ready soon (RFC 959): the banner is still to come.
            (At::Banner, 120) => Step::Hear,
            _ if reply.for_now() => Step::Unclear(format!("it has no time now (code {code})")),
            (At::Banner, 220) => {
                self.at = At::Auth;
                Step::say(if self.manner == Manner::Short { "AUTH TLS\r\n" } else { "AUTH TLS\r\nNOOP\r\n" })
            }
            (At::Banner, _) => Step::Unclear(format!("it does not want to talk to us (code {code})")),
            (At::Auth, 234) => Step::Begin,
            (At::Auth, _) if self.manner != Manner::Short => {
                Step::Unclear(format!("it refused AUTH TLS with a command behind it (code {code})"))
            }
            (At::Auth, 500..600) => {
                self.at = At::Features(code);
                Step::say("FEAT\r\n")
            }
            (At::Auth, _) => Step::Unclear(format!("it answered AUTH TLS with code {code}")),
            (At::Features(refused), 211) => {
                let named = reply.names("AUTH")
                    && reply.lines.iter().any(|line| has_word(line, "TLS") || line.windows(3).any(|w| w == b"TLS"));
                if named {
                    Step::Unclear(format!("it names AUTH TLS and refuses it with code {refused}"))
                } else {
                    Step::Refused(format!("it refuses AUTH TLS with code {refused}, and its features do not name it"))
                }
            }
            (At::Features(refused), _) => Step::Refused(format!("it refuses AUTH TLS with code {refused}")),
        }
    }
}
