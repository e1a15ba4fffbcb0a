//! SMTP (RFC 3207).

use super::lines::Reply;
use super::{Dialogue, Manner, OUR_NAME, Step};

/// The dialogue; where it stands.
pub(super) struct Smtp {
    at: At,
    manner: Manner,
    login: Option<bool>,
}

enum At {
    Banner,
    Hello,
    Start,
}

impl Smtp {
    pub(super) const fn new(manner: Manner) -> Self {
        Self { at: At::Banner, manner, login: None }
    }
}

impl Dialogue for Smtp {
    fn next(&mut self, heard: &mut &[u8]) -> Step {
        let Some(reply) = Reply::take(heard) else { return Step::Hear };
        let code = reply.code;
        match (&self.at, code) {
            (_, 0) => Step::unclear("it does not speak SMTP"),
            _ if reply.for_now() => Step::Unclear(format!("it has no time now (code {code})")),
            (At::Banner, 220) => {
                self.at = At::Hello;
                Step::Say(format!("EHLO {OUR_NAME}\r\n").into_bytes())
            }
            (At::Banner, _) => Step::Unclear(format!("it does not want to talk to us (code {code})")),
            (At::Hello, 250) => {
                self.login = Some(reply.names("AUTH"));
                if !reply.names("STARTTLS") {
                    return Step::refused("its answer to EHLO does not name STARTTLS");
                }
                self.at = At::Start;
                Step::say(if self.manner == Manner::Short { "STARTTLS\r\n" } else { "STARTTLS\r\nNOOP\r\n" })
            }
            // Command unrecognised or not implemented (RFC 5321, 4.2.4): SMTP without extensions.
            (At::Hello, 500 | 502) => Step::Refused(format!("it does not know EHLO (code {code})")),
            (At::Hello, _) => Step::Unclear(format!("it refused EHLO with code {code}")),
            (At::Start, 220) => Step::Begin,
            (At::Start, _) if self.manner != Manner::Short => {
                Step::Unclear(format!("it refused STARTTLS with a command behind it (code {code})"))
            }
            (At::Start, 500..600) => Step::Refused(format!("it names STARTTLS and refuses it with code {code}")),
            (At::Start, _) => Step::Unclear(format!("it answered STARTTLS with code {code}")),
        }
    }

    fn plain_login(&self) -> Option<bool> {
        self.login
    }
}
