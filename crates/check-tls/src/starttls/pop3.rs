//! POP3 (RFC 2595, section 4).

use super::lines::{first_word, line};
use super::{Dialogue, Manner, Step};

/// The dialogue; where it stands.
pub(super) struct Pop3 {
    at: At,
    manner: Manner,
    login: Option<bool>,
}

#[derive(Clone, Copy)]
enum At {
    Greeting,
    /// Capabilities were asked for before STLS.
    Before,
    Start,
    /// STLS was refused: do the capabilities name it?
    Behind,
}

impl Pop3 {
    pub(super) const fn new(manner: Manner) -> Self {
        Self { at: At::Greeting, manner, login: None }
    }

    /// A whole list of capabilities (RFC 2449, section 5), or the refusal of one; `None` while it is not whole.
    fn capabilities(heard: &mut &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut ahead = *heard;
        let mut list = Vec::new();
        let first = line(&mut ahead)?;
        if first.starts_with(b"+OK") {
            loop {
                match line(&mut ahead)? {
                    b"." => break,
                    line => list.push(line.to_vec()),
                }
            }
        }
        *heard = ahead;
        Some(list)
    }

    fn listed(&mut self, list: &[Vec<u8>]) -> Step {
        let has = |word: &str| list.iter().any(|line| first_word(line).eq_ignore_ascii_case(word.as_bytes()));
        if matches!(self.at, At::Behind) {
            return match has("STLS") {
                true => Step::unclear("it names STLS and refuses it"),
                false => Step::refused("it refuses STLS, and its capabilities do not name it"),
            };
        }
        // Log-in in clear text is USER, or a mechanism behind SASL; some list SASL with none (RFC 2449, 6.3).
        let mechanism = |line: &Vec<u8>| {
            first_word(line).eq_ignore_ascii_case(b"SASL")
                && line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count() > 1
        };
        self.login = (!list.is_empty()).then(|| has("USER") || list.iter().any(mechanism));
        self.at = At::Start;
        Step::say("STLS\r\nNOOP\r\n")
    }
}

impl Dialogue for Pop3 {
    fn next(&mut self, heard: &mut &[u8]) -> Step {
        if matches!(self.at, At::Before | At::Behind) {
            return match Self::capabilities(heard) {
                Some(list) => self.listed(&list),
                None => Step::Hear,
            };
        }
        let Some(line) = line(heard) else { return Step::Hear };
        let (fine, sorry) = (line.starts_with(b"+OK"), line.starts_with(b"-ERR"));
        match self.at {
            At::Greeting if fine && self.manner == Manner::Short => {
                self.at = At::Start;
                Step::say("STLS\r\n")
            }
            At::Greeting if fine => {
                self.at = At::Before;
                Step::say("CAPA\r\n")
            }
            At::Greeting if sorry => Step::unclear("it does not want to talk to us now"),
            At::Start if fine => Step::Begin,
            At::Start if sorry && self.manner != Manner::Short => {
                Step::unclear("it refused STLS with a command behind it")
            }
            At::Start if sorry => {
                self.at = At::Behind;
                Step::say("CAPA\r\n")
            }
            _ => Step::unclear("it does not speak POP3"),
        }
    }

    fn plain_login(&self) -> Option<bool> {
        self.login
    }
}
