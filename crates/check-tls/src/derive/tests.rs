//! Conclusions from records made by hand.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use model::{Direction, Ended, Exchange, Frame};
use proptest::prelude::*;

use super::*;
use crate::engine::{first_hello, sibling_of};
use crate::hello::Hello;
use crate::trial::{Purpose, Question};

fn spec() -> TlsSpec {
    TlsSpec { address: "192.0.2.1:443".into(), host: None, sni: vec![None], trust: vec![], starttls: None }
}

fn exchange(ask: Purpose, version: VersionName, hello: &Hello, answer: &[u8], ended: Ended) -> Exchange {
    let frame = |direction, bytes: &[u8]| Frame { direction, bytes: bytes.to_vec() };
    Exchange {
        question: Question { ask, version, wave: 1, attempt: 1, starttls: None }.to_text(),
        peer: "192.0.2.1:443".into(),
        at: 0,
        ended,
        cut: false,
        frames: vec![frame(Direction::Sent, &hello.encode()), frame(Direction::Received, answer)],
    }
}

const TLS10: VersionName = VersionName::Tls10;
const TLS12: VersionName = VersionName::Tls12;

fn alert(code: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, code]
}

fn server_hello(suite: u16) -> Vec<u8> {
    let mut bytes = vec![22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    bytes.extend([1; 32]);
    bytes.push(0);
    bytes.extend(suite.to_be_bytes());
    bytes.push(0);
    bytes
}

fn suites(version: VersionName, answer: &[u8], ended: Ended) -> Exchange {
    exchange(Purpose::Suites, version, &first_hello(version, None), answer, ended)
}

fn outcome(exchanges: &[Exchange], name: VersionName) -> (Outcome, Vec<u32>) {
    let facts = derive(&spec(), exchanges).unwrap();
    let version = facts.versions.into_iter().find(|v| v.name == name).unwrap();
    assert_eq!(version.why.is_some(), version.outcome == Outcome::NotProven);
    (version.outcome, version.seen)
}

#[test]
fn a_refusal_alone_is_not_proven() {
    for code in [40, 70] {
        assert_eq!(outcome(&[suites(TLS10, &alert(code), Ended::ByUs)], TLS10).0, Outcome::NotProven);
    }
}

#[test]
fn an_answered_sibling_makes_it_one_and_is_cited() {
    let good = suites(TLS12, &server_hello(0xc02f), Ended::ByUs);
    let refused = suites(TLS10, &alert(70), Ended::ByUs);
    assert_eq!(outcome(&[good.clone(), refused], TLS10), (Outcome::Refused, vec![1, 0]));
    // handshake_failure speaks of the suites offered, and not all were.
    let refused = suites(TLS10, &alert(40), Ended::ByUs);
    assert_eq!(outcome(&[good, refused], TLS10).0, Outcome::NotProven);
}

#[test]
fn silence_is_never_a_refusal() {
    let good = suites(TLS12, &server_hello(0xc02f), Ended::ByUs);
    for ended in [Ended::Timeout, Ended::ConnectTimeout, Ended::Interrupted, Ended::Overlong] {
        let silent = suites(TLS10, &[], ended);
        assert_eq!(outcome(&[silent.clone(), silent.clone(), silent, good.clone()], TLS10).0, Outcome::NotProven);
    }
}

#[test]
fn dropped_connections_count_only_together_and_before_an_answered_sibling() {
    let small = Hello { suites: vec![0x0005], ..first_hello(TLS12, None) };
    let drop = exchange(Purpose::Suites, TLS12, &small, &[], Ended::Reset);
    let with = Hello { suites: vec![0x0005, 0xc02f], ..small.clone() };
    let good = exchange(Purpose::Control, TLS12, &with, &server_hello(0xc02f), Ended::ByUs);
    let open = |exchanges: &[Exchange]| {
        let facts = derive(&spec(), exchanges).unwrap();
        let version = facts.versions.into_iter().find(|v| v.name == TLS12).unwrap();
        version.not_proven.iter().any(|suite| suite.id == "0x0005")
    };
    assert!(!open(&[drop.clone(), drop.clone(), drop.clone(), good.clone()]));
    assert!(open(&[drop.clone(), drop.clone(), good.clone()]));
    assert!(open(&[good.clone(), drop.clone(), drop.clone(), drop.clone()]));
    // The same offer was answered at another time: it drops whatever it is offered.
    let again = exchange(Purpose::Suites, TLS12, &with, &[], Ended::Reset);
    assert!(open(&[drop.clone(), drop.clone(), drop, again, good]));
}

#[test]
fn refusals_while_the_canary_fails_are_void() {
    let canary = |answer: &[u8], ended| exchange(Purpose::Canary, TLS12, &first_hello(TLS12, None), answer, ended);
    let good = canary(&server_hello(0xc02f), Ended::ByUs);
    let bad = canary(&[], Ended::Timeout);
    let refused = suites(TLS10, &alert(70), Ended::ByUs);
    let blocked = [good.clone(), refused.clone(), bad.clone(), bad.clone(), good.clone()];
    assert_eq!(outcome(&blocked, TLS10).0, Outcome::NotProven);
    assert_eq!(outcome(&[&blocked[..], std::slice::from_ref(&refused)].concat(), TLS10).0, Outcome::Refused);
    // One failure may be the network's.
    assert_eq!(outcome(&[good.clone(), refused, bad, good], TLS10).0, Outcome::Refused);
}

#[test]
fn a_control_is_a_sibling() {
    let refused = first_hello(TLS12, None);
    let control = sibling_of(&refused, None, 0x1301, VersionName::Tls13, TLS12);
    let retry = {
        let mut bytes = server_hello(0x1301);
        bytes.extend([0, 6, 0, 43, 0, 2, 3, 4]);
        // Eight bytes more in message and record.
        for (at, length) in [(4, 50), (8, 46)] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = length;
            }
        }
        bytes
    };
    let good = exchange(Purpose::Control, VersionName::Tls13, &control, &retry, Ended::ByUs);
    let no = exchange(Purpose::Suites, TLS12, &refused, &alert(70), Ended::ByUs);
    let record = Record::new(&[no, good]);
    let entry = record.entries.first().unwrap();
    assert_eq!(record.sibling(entry).map(record::Entry::index), Some(1));
}

proptest! {
    #[test]
    fn no_record_makes_it_panic(answers in prop::collection::vec((any::<Vec<u8>>(), 0_usize..14, any::<bool>()), 0..6)) {
        let purposes = [
            Purpose::Suites, Purpose::Control, Purpose::Order, Purpose::Groups, Purpose::KeyExchange, Purpose::Dhe,
            Purpose::Schemes, Purpose::Compression, Purpose::Fallback, Purpose::Alpn, Purpose::EncryptThenMac,
            Purpose::Canary, Purpose::Chain, Purpose::Ssl2,
        ];
        let mut exchanges = Vec::new();
        for (bytes, purpose, whole) in answers {
            let purpose = purposes.get(purpose).copied().unwrap_or(Purpose::Suites);
            let mut answer = if whole { server_hello(0xc02f) } else { vec![] };
            answer.extend([22, 3, 3, 0, u8::try_from(bytes.len()).unwrap_or(u8::MAX)]);
            answer.extend(bytes);
            exchanges.push(exchange(purpose, TLS12, &first_hello(TLS12, None), &answer, Ended::Closed));
        }
        let _ = derive(&spec(), &exchanges);
    }
}

/// A ServerHello and a ServerKeyExchange with these parameters.
fn exchanged(parameters: &[u8]) -> Exchange {
    let mut body = parameters.to_vec();
    body.extend([4, 1, 0, 1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut answer = server_hello(0xc02f);
    answer.extend([22, 3, 3, 0, length + 4, 12, 0, 0, length]);
    answer.extend(body);
    suites(TLS12, &answer, Ended::ByUs)
}

#[test]
fn a_public_value_that_comes_twice_is_reuse_and_numbers_are_explicit_curves() {
    let named = |value: u8| exchanged(&[&[3, 0, 29, 32][..], &[value; 32]].concat());
    let of = |exchanges: &[Exchange]| {
        let facts = derive(&spec(), exchanges).unwrap();
        (facts.ephemeral_reuse.outcome, facts.explicit_curves.outcome)
    };
    assert_eq!(of(&[named(1), named(2), named(1)]), (Presence::Present, Presence::NotProven));
    assert_eq!(of(&[named(1), named(2)]).0, Presence::Absent);
    assert_eq!(of(&[named(1)]).0, Presence::NotProven);
    // explicit_prime, whatever follows.
    assert_eq!(of(&[named(1), exchanged(&[1, 32, 7, 7])]), (Presence::NotProven, Presence::Present));
}
