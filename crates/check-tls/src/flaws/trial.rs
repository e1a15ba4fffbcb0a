//! One exchange of a test, read from the record alone.

use model::{Direction, Ended, Exchange, Frame};
use serde::{Deserialize, Serialize};

use crate::client::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, HEARTBEAT, ServerHello, in_words};
use crate::hello::Hello;
use crate::starttls::{self, Manner, Protocol};
use crate::wire;

/// What an exchange is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The test.
    pub(super) test: String,
    /// Which of its messages.
    pub(super) shape: String,
    /// Which attempt; from 1.
    pub(super) attempt: u32,
    /// The protocol in which TLS was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) starttls: Option<Protocol>,
}

impl Question {
    /// The text in the record.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a server said after the last that we said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Codes of alerts, fatal or not.
    pub(super) alerts: Vec<u8>,
    /// Records of alerts that could not be decrypted.
    pub(super) sealed: usize,
    /// Types of handshake messages.
    pub(super) handshake: Vec<u8>,
    /// Application data came.
    pub(super) data: bool,
    /// The length that a heartbeat response claims for its payload (RFC 6520, section 4).
    pub(super) heartbeat: Option<usize>,
    /// The server changed to protected records.
    pub(super) changed: bool,
}

/// One exchange.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) index: u32,
    pub(super) question: Question,
    pub(super) connected: bool,
    /// The hello of a first handshake.
    pub(super) offer: Option<Hello>,
    pub(super) server: Option<ServerHello>,
    /// ServerHelloDone came.
    pub(super) done: bool,
    /// A NewSessionTicket came.
    pub(super) ticket: bool,
    /// The server's Finished came: keys and all messages before agree.
    pub(super) finished: bool,
    /// Types of the records that we sent.
    pub(super) sent: Vec<u8>,
    pub(super) answer: Answer,
    pub(super) ended: Ended,
}

impl Trial {
    /// Every exchange of a test in a record.
    pub(super) fn all(exchanges: &[Exchange]) -> Vec<Self> {
        (0..).zip(exchanges).filter_map(|(index, exchange)| Self::of(index, exchange)).collect()
    }

    fn of(index: u32, exchange: &Exchange) -> Option<Self> {
        let question: Question = serde_json::from_str(&exchange.question).ok()?;
        let frames = within(question.starttls, exchange);
        let last = frames.iter().rposition(|frame| frame.direction == Direction::Sent).map_or(0, |at| at + 1);
        let received = |frames: &[model::Frame]| -> Vec<u8> {
            let theirs = frames.iter().filter(|frame| frame.direction == Direction::Received);
            theirs.flat_map(|frame| frame.bytes.iter().copied()).collect()
        };
        let (before, after) = frames.split_at_checked(last)?;
        let ours = frames.iter().filter(|frame| frame.direction == Direction::Sent);
        let sent: Vec<u8> = ours.flat_map(|frame| frame.bytes.iter().copied()).collect();
        let (before, after) = (received(before), received(after));
        let messages = messages(&records(&before).chain(records(&after)).collect::<Vec<_>>());
        let has = |kind: u8| messages.iter().any(|(k, _)| *k == kind);
        let server = messages.iter().find(|(kind, _)| *kind == 2).and_then(|(_, body)| ServerHello::read(body));
        Some(Self {
            index,
            question,
            connected: !matches!(exchange.ended, Ended::ConnectRefused | Ended::ConnectTimeout | Ended::ConnectFailed),
            offer: first_record(&sent).and_then(Hello::parse),
            server,
            done: has(14),
            ticket: has(4),
            finished: has(20),
            sent: records(&sent).map(|(kind, _)| kind).collect(),
            answer: Answer::of(&after),
            ended: exchange.ended,
        })
    }

    /// Whether an extension was answered.
    pub(super) fn extension(&self, code: u16) -> bool {
        self.server.as_ref().is_some_and(|server| server.extensions.contains(&code))
    }

    /// The answer as a class: what an attacker could tell apart without a clock.
    pub(super) fn class(&self) -> String {
        let mut parts = Vec::new();
        if self.answer.data {
            parts.push("application data".to_owned());
        }
        if !self.answer.handshake.is_empty() {
            parts.push(format!("handshake {:?}", self.answer.handshake));
        }
        if let Some(length) = self.answer.heartbeat {
            parts.push(format!("a heartbeat of {length} bytes"));
        }
        parts.extend(self.answer.alerts.iter().map(|code| format!("alert {code}")));
        parts.extend((self.answer.sealed > 0).then(|| format!("{} alerts that can't be read", self.answer.sealed)));
        match self.ended {
            Ended::Timeout | Ended::ByUs if parts.is_empty() => "silence".to_owned(),
            ended if parts.is_empty() => in_words(ended).trim_start_matches("the server ").to_owned(),
            _ => parts.join(", "),
        }
    }

    /// The server ended it, with an alert or without.
    pub(super) fn objected(&self) -> bool {
        !self.answer.alerts.is_empty()
            || self.answer.sealed > 0
            || (self.answer == Answer::default() && matches!(self.ended, Ended::Closed | Ended::Reset))
    }

    /// The server's answer to the hello, where it declined it.
    pub(super) fn declined(&self) -> Option<u8> {
        let code = self.answer.alerts.last().filter(|_| self.server.is_none())?;
        crate::reply::Alert { level: 2, code: *code }.declines().then_some(*code)
    }
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let mut answer = Self::default();
        let all: Vec<(u8, &[u8])> = records(bytes).collect();
        for (kind, body) in &all {
            match (*kind, *body) {
                (ALERT, [_, code]) => answer.alerts.push(*code),
                (ALERT, _) => answer.sealed += 1,
                (DATA, _) => answer.data = true,
                (CHANGE_CIPHER_SPEC, _) => answer.changed = true,
                (HEARTBEAT, [2, high, low, ..]) => {
                    answer.heartbeat = Some(usize::from(*high) << 8 | usize::from(*low));
                }
                _ => {}
            }
        }
        answer.handshake = messages(&all).iter().map(|(kind, _)| *kind).collect();
        answer
    }
}

/// The frames of an exchange without what came before TLS; none where it never began.
fn within(protocol: Option<Protocol>, exchange: &Exchange) -> Vec<Frame> {
    let Some(protocol) = protocol else { return exchange.frames.clone() };
    let Ok(opened) = starttls::after(protocol, Manner::Short, exchange) else { return vec![] };
    let before = |direction, within: usize| exchange.bytes(direction).len().saturating_sub(within);
    let mut sent = before(Direction::Sent, opened.sent.len());
    let mut received = before(Direction::Received, opened.received.len());
    let mut frames = Vec::new();
    for frame in &exchange.frames {
        let skip = if frame.direction == Direction::Sent { &mut sent } else { &mut received };
        let left = (*skip).min(frame.bytes.len());
        *skip -= left;
        let bytes = frame.bytes.get(left..).unwrap_or_default().to_vec();
        if !bytes.is_empty() {
            frames.push(Frame { direction: frame.direction, bytes });
        }
    }
    frames
}

/// Types and contents of the whole records at the front.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let kind = *wire::take(&mut bytes, 1)?.first()?;
        wire::take(&mut bytes, 2)?;
        Some((kind, wire::vector(&mut bytes, 2)?))
    })
}

fn first_record(bytes: &[u8]) -> Option<&[u8]> {
    let (_, body) = records(bytes).next()?;
    bytes.get(..5 + body.len())
}

/// Types and bodies of the whole handshake messages in records.
fn messages(records: &[(u8, &[u8])]) -> Vec<(u8, Vec<u8>)> {
    let stream: Vec<u8> =
        records.iter().filter(|(kind, _)| *kind == HANDSHAKE).flat_map(|(_, body)| body.iter().copied()).collect();
    let mut rest = stream.as_slice();
    let rest = &mut rest;
    std::iter::from_fn(|| {
        let kind = *wire::take(rest, 1)?.first()?;
        Some((kind, wire::vector(rest, 3)?.to_vec()))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_record_makes_it_panic(frames: Vec<(bool, Vec<u8>)>, mail: bool) {
            let direction = |sent| if sent { Direction::Sent } else { Direction::Received };
            let frames = frames.into_iter().map(|(sent, bytes)| Frame { direction: direction(sent), bytes }).collect();
            let starttls = mail.then_some(Protocol::Smtp);
            let question = Question { test: "robot".into(), shape: "right".into(), attempt: 1, starttls }.to_text();
            let exchange =
                Exchange { question, peer: String::new(), at: 0, ended: Ended::Closed, cut: false, frames };
            let trials = Trial::all(&[exchange]);
            prop_assert_eq!(trials.len(), 1);
            let _ = trials.iter().map(Trial::class).count();
        }
    }
}
