//! Behaviours beyond suites and groups.

use std::collections::BTreeSet;

use super::record::{Entry, Record, Took};
use super::versions::Suites;
use crate::facts::{Behaviour, Feature, Order, Outcome, Presence, Version, VersionName};
use crate::reply::ServerHello;
use crate::trial::Purpose;

/// Versions before TLS 1.3 that have extensions.
const OLDER: [VersionName; 3] = [VersionName::Tls10, VersionName::Tls11, VersionName::Tls12];
/// Alert `inappropriate_fallback` (RFC 7507).
const INAPPROPRIATE_FALLBACK: u8 = 86;
/// Alert `no_application_protocol` (RFC 7301).
const NO_APPLICATION_PROTOCOL: u8 = 120;

pub(super) fn behaviour(record: &Record, versions: &[Version], alpn: &[(u32, Option<String>)]) -> Behaviour {
    Behaviour {
        secure_renegotiation: extension(record, versions, 0xff01, "secure renegotiation"),
        extended_master_secret: extension(record, versions, 23, "the extended master secret"),
        encrypt_then_mac: encrypt_then_mac(record, versions),
        compression: compression(record, versions),
        fallback_scsv: fallback(record, versions),
        chacha_priority: chacha(record, versions),
        alpn: negotiated(record, versions, alpn),
    }
}

pub(super) fn feature(outcome: Presence, why: Option<&str>, detail: Option<String>, seen: Vec<u32>) -> Feature {
    Feature { outcome, why: why.map(str::to_owned), detail, seen }
}

/// Where no older version is spoken: unavailable if that is proven.
fn without_older(versions: &[Version]) -> Feature {
    let open = versions.iter().find(|v| OLDER.contains(&v.name) && v.outcome == Outcome::NotProven);
    match open {
        None => feature(Presence::Unavailable, None, None, vec![]),
        Some(version) => {
            let why = format!("whether {} is spoken is not proven", version.name.as_str());
            feature(Presence::NotProven, Some(&why), None, vec![])
        }
    }
}

/// A feature that shows as an extension of the ServerHello, wherever it was offered.
fn extension(record: &Record, versions: &[Version], code: u16, what: &str) -> Feature {
    let offers = |e: &Entry| e.trial.offer.as_ref().is_some_and(|offer| offer.has(code));
    let answers: Vec<(u32, bool)> = OLDER
        .iter()
        .flat_map(|version| record.chosen(*version))
        .filter(|(entry, _)| offers(entry))
        .map(|(entry, hello)| (entry.index(), hello.extension(code).is_some()))
        .collect();
    if answers.is_empty() {
        return without_older(versions);
    }
    match answers.iter().find(|(_, present)| !present) {
        None => feature(Presence::Present, None, None, answers.iter().map(|(index, _)| *index).take(1).collect()),
        Some((absent, _)) => {
            let present = answers.iter().find(|(_, present)| *present).map(|(index, _)| *index);
            let detail = present.map(|_| format!("{what} is missing in some answers only"));
            feature(Presence::Absent, None, detail, present.into_iter().chain([*absent]).collect())
        }
    }
}

/// The answers to the hellos of a purpose that older versions gave.
fn answers(record: &Record, purpose: Purpose) -> Vec<(u32, &ServerHello)> {
    let all = OLDER.iter().chain(&[VersionName::Ssl3]).flat_map(|version| record.chosen(*version));
    let mut answers: Vec<_> =
        all.filter(|(e, _)| e.asks(&[purpose])).map(|(entry, hello)| (entry.index(), hello)).collect();
    answers.sort_by_key(|(index, _)| *index);
    answers
}

fn not_shown(record: &Record, versions: &[Version], purpose: Purpose) -> Feature {
    let version = record.entries.iter().find(|e| e.asks(&[purpose])).map(Entry::meant);
    let newest = versions.iter().rev().find(|v| v.outcome == Outcome::Accepted).map(|v| v.name);
    let why = match version.or(newest) {
        Some(version) => record.trouble(version, &[purpose]),
        None => "no version is shown to be spoken".into(),
    };
    feature(Presence::NotProven, Some(&why), None, vec![])
}

fn encrypt_then_mac(record: &Record, versions: &[Version]) -> Feature {
    let answers = answers(record, Purpose::EncryptThenMac);
    if let Some((index, hello)) = answers.first() {
        let present = hello.extension(22).is_some();
        return feature(if present { Presence::Present } else { Presence::Absent }, None, None, vec![*index]);
    }
    let cbc = |p: &crate::registry::Parts| p.encryption.contains("_CBC");
    let none = versions.iter().filter(|v| OLDER.contains(&v.name)).all(|v| {
        v.outcome == Outcome::Refused || (v.outcome == Outcome::Accepted && Suites::of(record, v.name).none_with(cbc))
    });
    if none {
        feature(Presence::Unavailable, None, None, vec![])
    } else {
        not_shown(record, versions, Purpose::EncryptThenMac)
    }
}

fn compression(record: &Record, versions: &[Version]) -> Feature {
    let answers = answers(record, Purpose::Compression);
    match answers.first() {
        Some((index, hello)) if hello.compression != 0 => {
            let name = if hello.compression == 1 { "DEFLATE".into() } else { format!("method {}", hello.compression) };
            feature(Presence::Present, None, Some(name), vec![*index])
        }
        Some((index, _)) => feature(Presence::Absent, None, None, vec![*index]),
        None if OLDER.iter().chain(&[VersionName::Ssl3]).any(|v| record.speaks(*v)) => {
            not_shown(record, versions, Purpose::Compression)
        }
        None => without_older(versions),
    }
}

fn chacha(record: &Record, versions: &[Version]) -> Feature {
    let is = |name: Option<&str>| name.is_some_and(|name| name.contains("CHACHA20"));
    let mut absent = None;
    for version in versions {
        for (entry, hello) in record.chosen(version.name).filter(|(entry, _)| entry.asks(&[Purpose::Chacha])) {
            if is(crate::registry::suite_name(hello.suite)) {
                return feature(Presence::Present, None, Some(version.name.as_str().to_owned()), vec![entry.index()]);
            }
            absent = absent.or(Some(entry.index()));
        }
    }
    if let Some(index) = absent {
        return feature(Presence::Absent, None, None, vec![index]);
    }
    let behind = |v: &&Version| {
        v.order == Order::Server
            && !is(v.suites.first().map(|suite| &*suite.name))
            && v.suites.iter().any(|suite| is(Some(&suite.name)))
    };
    match versions.iter().find(behind) {
        Some(_) => feature(Presence::NotProven, Some("no answer to an offer with ChaCha20 first came"), None, vec![]),
        None => feature(Presence::Unavailable, None, None, vec![]),
    }
}

fn fallback(record: &Record, versions: &[Version]) -> Feature {
    let tls = versions.iter().filter(|v| v.name != VersionName::Ssl2);
    let spoken = tls.clone().filter(|v| v.outcome == Outcome::Accepted).count();
    let asked: Vec<&Entry> = record.entries.iter().filter(|e| e.asks(&[Purpose::Fallback])).collect();
    if let Some(alert) = asked.iter().find(|e| e.took == Took::Declined(INAPPROPRIATE_FALLBACK)) {
        return feature(Presence::Present, None, None, vec![alert.index()]);
    }
    if let Some(answer) = asked.iter().find(|e| matches!(e.took, Took::Chose(_))) {
        return feature(Presence::Absent, None, None, vec![answer.index()]);
    }
    if let Some(other) = asked.iter().find(|e| matches!(e.took, Took::Declined(_))) {
        let why = "the lowered offer was refused with another alert than inappropriate_fallback";
        return feature(Presence::NotProven, Some(why), None, vec![other.index()]);
    }
    if spoken == 1 && tls.clone().all(|v| v.outcome != Outcome::NotProven) {
        return feature(Presence::Unavailable, None, None, vec![]);
    }
    not_shown(record, versions, Purpose::Fallback)
}

fn negotiated(record: &Record, versions: &[Version], handshakes: &[(u32, Option<String>)]) -> Feature {
    let mut seen = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let older = answers(record, Purpose::Alpn).into_iter().map(|(index, hello)| (index, hello.alpn()));
    for (index, alpn) in older.chain(handshakes.iter().cloned()) {
        seen.insert(index);
        names.extend(alpn);
    }
    let mut asked = record.entries.iter().filter(|e| e.asks(&[Purpose::Alpn]));
    let none = asked.find(|e| e.trial.reply.alert.is_some_and(|alert| alert.code == NO_APPLICATION_PROTOCOL));
    match (names.is_empty(), none, seen.is_empty()) {
        (false, ..) => {
            let detail = names.into_iter().collect::<Vec<_>>().join(", ");
            feature(Presence::Present, None, Some(detail), seen.into_iter().collect())
        }
        (true, Some(alert), _) => {
            let detail = "none of h2 and http/1.1: alert no_application_protocol".to_owned();
            feature(Presence::Present, None, Some(detail), vec![alert.index()])
        }
        (true, None, false) => feature(Presence::Absent, None, None, seen.into_iter().collect()),
        (true, None, true) => not_shown(record, versions, Purpose::Alpn),
    }
}

/// Whether all canaries met the same server.
pub(super) fn consistent(record: &Record) -> Feature {
    let mut met = Vec::new();
    for entry in record.entries.iter().filter(|e| e.asks(&[Purpose::Canary])) {
        if let (Took::Chose(version), Some(hello)) = (&entry.took, &entry.trial.reply.hello) {
            let leaf = entry.trial.reply.chain.as_ref().and_then(|chain| chain.first());
            met.push((entry.index(), (*version, hello.suite, leaf.map(|der| model::Digest::of(der)))));
        }
    }
    let seen = met.iter().map(|(index, _)| *index).collect();
    let [first, rest @ ..] = met.as_slice() else {
        return feature(Presence::NotProven, Some("no handshake was repeated"), None, seen);
    };
    if rest.is_empty() {
        return feature(Presence::NotProven, Some("no handshake was repeated"), None, seen);
    }
    match rest.iter().find(|(_, other)| *other != first.1) {
        None => feature(Presence::Present, None, Some(format!("{} handshakes compared", met.len())), seen),
        Some(other) => {
            let what = match () {
                () if other.1.0 != first.1.0 => "versions",
                () if other.1.1 != first.1.1 => "suites",
                () => "certificates",
            };
            feature(Presence::Absent, None, Some(format!("the same hello met different {what}")), seen)
        }
    }
}
