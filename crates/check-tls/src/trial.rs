//! One question to a server and what became of it, read from the recorded exchange alone.

use model::{Direction, Ended, Exchange};
use serde::{Deserialize, Serialize};

use crate::facts::VersionName;
use crate::hello::{Hello, ssl2_kinds};
use crate::reply::{Alert, Reader, Reply, ServerHello, Until};
use crate::starttls::{self, Barred, Manner, Protocol};

/// What a hello is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Which suites a version has, and so whether it is spoken.
    Suites,
    /// A sibling of a refused hello, with something added that the server is known to accept.
    Control,
    /// Whose order decides among suites.
    Order,
    /// Whether ChaCha20 leads for a client that lists it first.
    Chacha,
    /// Suites and groups of TLS 1.3.
    Groups,
    /// Curves and signature schemes of TLS 1.2 and older.
    KeyExchange,
    /// Primes of finite-field Diffie-Hellman.
    Dhe,
    /// Curves that the server describes by itself.
    Explicit,
    /// The choice among groups by the key shares sent along.
    Shares,
    /// Signature schemes of TLS 1.3.
    Schemes,
    /// Compression.
    Compression,
    /// Protection against lowered offers.
    Fallback,
    /// Application protocols.
    Alpn,
    /// Encrypt-then-MAC.
    EncryptThenMac,
    /// A hello known to be good: does the server still answer as it did?
    Canary,
    /// The chain for another name or another sort of key.
    Chain,
    /// SSL 2.0.
    Ssl2,
}

/// What is kept beside the bytes of an exchange; the lists offered are read from the bytes themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What for.
    pub ask: Purpose,
    /// The version meant.
    pub version: VersionName,
    /// How many answers had to come one after the other before this could be asked; from 1.
    pub wave: u32,
    /// Which attempt; from 1.
    pub attempt: u32,
    /// The protocol in which TLS was asked for; none where it begins at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starttls: Option<Protocol>,
}

impl Question {
    /// The text in the record.
    #[must_use]
    pub fn to_text(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

/// How a server took an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// It chose something that was offered.
    Chose(&'a ServerHello),
    /// It said that it has no use for the offer.
    Declined(Alert),
    /// It closed or reset the connection without a word on the offer.
    Dropped,
    /// Anything else; in words.
    Unclear(String),
}

/// One question and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Position of its exchange.
    pub index: u32,
    /// What was wanted.
    pub question: Question,
    /// What was offered; `None` where no hello went out, or it was SSL 2.0's.
    pub offer: Option<Hello>,
    /// Cipher kinds offered, where the hello was SSL 2.0's.
    pub kinds: Vec<u32>,
    /// What came back.
    pub reply: Reply,
    /// How it ended.
    pub ended: Ended,
    /// Why TLS did not begin.
    pub barred: Option<Barred>,
}

impl Trial {
    /// Reads one from the record; `None` where the exchange is about something else.
    #[must_use]
    pub fn of(index: u32, exchange: &Exchange) -> Option<Self> {
        let question: Question = serde_json::from_str(&exchange.question).ok()?;
        let (sent, received, barred) = match question.starttls {
            None => (exchange.bytes(Direction::Sent), exchange.bytes(Direction::Received), None),
            Some(protocol) => match starttls::after(protocol, Manner::Short, exchange) {
                Ok(opened) => (opened.sent, opened.received, None),
                Err(barred) => (Vec::new(), Vec::new(), Some(barred)),
            },
        };
        let mut reader = if question.ask == Purpose::Ssl2 { Reader::ssl2() } else { Reader::new(Until::Done) };
        reader.push(&received);
        Some(Self {
            index,
            question,
            offer: Hello::parse(&sent),
            kinds: ssl2_kinds(&sent).unwrap_or_default(),
            reply: reader.finish(),
            ended: exchange.ended,
            barred,
        })
    }

    /// Every trial in a record.
    #[must_use]
    pub fn all(exchanges: &[Exchange]) -> Vec<Self> {
        (0..).zip(exchanges).filter_map(|(index, exchange)| Self::of(index, exchange)).collect()
    }

    /// How the server took it.
    #[must_use]
    pub fn said(&self) -> Said<'_> {
        let reply = &self.reply;
        if let Some(barred) = &self.barred {
            return Said::Unclear(barred.why().to_owned());
        }
        if let (Some(hello), Some(offer)) = (&reply.hello, &self.offer) {
            return match not_offered(hello, offer) {
                None => Said::Chose(hello),
                Some(what) => Said::Unclear(format!("the server chose {what}, which was not offered")),
            };
        }
        if let Some(spoke) = reply.spoke {
            return Said::Unclear(format!("the server speaks {}", spoke.name()));
        }
        if let Some(broken) = reply.broken {
            return Said::Unclear(format!("the server sent {broken}"));
        }
        match (reply.alert, self.ended) {
            (Some(alert), _) if alert.declines() => Said::Declined(alert),
            (Some(Alert { code: 0 | 90, .. }), _) => Said::Dropped,
            (Some(alert), _) => Said::Unclear(format!("the server sent alert {} ({})", alert.code, alert.name())),
            (None, Ended::Closed | Ended::Reset) => Said::Dropped,
            (None, Ended::Timeout) => Said::Unclear("no answer came in time".into()),
            (None, Ended::ConnectRefused) => Said::Unclear("the connection was refused".into()),
            (None, Ended::ConnectTimeout) => Said::Unclear("no connection was made in time".into()),
            (None, Ended::ConnectFailed) => Said::Unclear("no connection was made".into()),
            (None, Ended::Overlong) => Said::Unclear("the answer never ended".into()),
            (None, Ended::ByUs | Ended::Interrupted) => Said::Unclear("it was cut short before an answer came".into()),
        }
    }

    /// The ServerHello, where it is a proper answer to the offer.
    #[must_use]
    pub fn chosen(&self) -> Option<&ServerHello> {
        match self.said() {
            Said::Chose(hello) => Some(hello),
            _ => None,
        }
    }

    /// The version that the server chose.
    #[must_use]
    pub fn version(&self) -> Option<VersionName> {
        self.chosen().and_then(|hello| version_of(hello.version))
    }
}

/// The version with these bytes on the wire.
#[must_use]
pub fn version_of(wire: u16) -> Option<VersionName> {
    VersionName::ALL.into_iter().find(|version| version.wire() == wire)
}

/// What of a ServerHello was not on offer; in words.
fn not_offered(hello: &ServerHello, offer: &Hello) -> Option<String> {
    let listed = offer.has(43);
    let versions = offer.versions();
    // Without a list the server may choose any older version (RFC 5246, E.1).
    let fine = versions.contains(&hello.version)
        || (!listed && hello.version >= 0x0300 && versions.iter().any(|v| hello.version <= *v));
    if !fine || version_of(hello.version).is_none() {
        return Some(format!("version {:#06x}", hello.version));
    }
    if !offer.real_suites().contains(&hello.suite) || crate::registry::is_grease(hello.suite) {
        return Some(format!("suite {:#06x}", hello.suite));
    }
    if !offer.compression.contains(&hello.compression) {
        return Some(format!("compression method {}", hello.compression));
    }
    let group = hello.group.filter(|_| hello.version == VersionName::Tls13.wire())?;
    (!offer.groups().contains(&group) || crate::registry::is_grease(group)).then(|| format!("group {group:#06x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_back() {
        let question =
            Question { ask: Purpose::KeyExchange, version: VersionName::Tls12, wave: 3, attempt: 1, starttls: None };
        let text = question.to_text();
        assert_eq!(text, r#"{"ask":"key_exchange","version":"TLSv1.2","wave":3,"attempt":1}"#);
        assert_eq!(serde_json::from_str::<Question>(&text).ok(), Some(question));
    }

    #[test]
    fn what_was_not_offered_is_no_choice() {
        let offer = Hello::bare(VersionName::Tls12, &[0xc02f, 0x002f]);
        let hello = |version, suite| ServerHello {
            version,
            suite,
            compression: 0,
            retry: false,
            group: None,
            downgraded: false,
            extensions: vec![],
        };
        assert_eq!(not_offered(&hello(0x0303, 0xc02f), &offer), None);
        assert_eq!(not_offered(&hello(0x0301, 0x002f), &offer), None);
        assert_eq!(not_offered(&hello(0x0304, 0xc02f), &offer).as_deref(), Some("version 0x0304"));
        assert_eq!(not_offered(&hello(0x0303, 0x0005), &offer).as_deref(), Some("suite 0x0005"));
        assert_eq!(not_offered(&hello(0x0303, 0x00ff), &offer).as_deref(), Some("suite 0x00ff"));
    }
}
