//! Key exchange beyond groups: values used twice, curves described by the server itself, post-quantum choices.

use std::collections::BTreeMap;

use super::record::{Entry, Record};
use super::versions::Suites;
use crate::facts::{Choice, Feature, Group, Outcome, PostQuantum, Presence, Version, VersionName};
use crate::registry::group;
use crate::reply::KeyExchange;
use crate::trial::Purpose;

/// Versions before TLS 1.3 that name curves.
const OLDER: [VersionName; 3] = [VersionName::Tls10, VersionName::Tls11, VersionName::Tls12];

/// The ephemeral public value of an answer, with what it belongs to: a curve, or a prime.
fn public(entry: &Entry) -> Option<(String, &[u8])> {
    match &entry.trial.reply.key_exchange {
        Some(KeyExchange::Ecdhe { group, public, .. }) => return Some((name(*group), public)),
        Some(KeyExchange::Dhe { prime, public, .. }) => return Some((format!("{} bits", prime.len() * 8), public)),
        _ => {}
    }
    let hello = entry.trial.reply.hello.as_ref().filter(|hello| !hello.retry)?;
    let share = hello.extension(51)?.get(4..)?;
    Some((name(hello.group?), share))
}

fn name(id: u16) -> String {
    group(id).map_or_else(|| super::id(id), |info| info.name.to_owned())
}

/// Whether two handshakes met the same ephemeral public value.
pub(super) fn reuse(record: &Record) -> Feature {
    let mut met: BTreeMap<(String, &[u8]), Vec<u32>> = BTreeMap::new();
    let mut of: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &record.entries {
        if let Some((what, public)) = public(entry).filter(|(_, public)| !public.is_empty()) {
            *of.entry(what.clone()).or_default() += 1;
            met.entry((what, public)).or_default().push(entry.index());
        }
    }
    if let Some(((what, _), seen)) = met.iter().find(|(_, seen)| seen.len() > 1) {
        let detail = format!("{} handshakes with the same value ({what})", seen.len());
        return Feature { outcome: Presence::Present, why: None, detail: Some(detail), seen: seen.clone() };
    }
    // Values of one sort alone can be compared.
    let compared: usize = of.values().filter(|count| **count > 1).sum();
    let seen = met.into_values().flatten().collect();
    if compared > 1 {
        let detail = Some(format!("{compared} values compared"));
        return Feature { outcome: Presence::Absent, why: None, detail, seen };
    }
    let why = Some("no two key exchanges of one sort were read".to_owned());
    Feature { outcome: Presence::NotProven, why, detail: None, seen }
}

/// Whether the server describes a curve by its numbers (RFC 4492, 5.4; forbidden by RFC 8422) when asked to.
pub(super) fn explicit(record: &Record, versions: &[Version]) -> Feature {
    let feature =
        |outcome, why: Option<&str>, seen| Feature { outcome, why: why.map(str::to_owned), detail: None, seen };
    let explicit = |e: &&Entry| e.trial.reply.key_exchange == Some(KeyExchange::Explicit);
    if let Some(entry) = record.entries.iter().find(explicit) {
        return feature(Presence::Present, None, vec![entry.index()]);
    }
    let asked: Vec<&Entry> = record.entries.iter().filter(|e| e.asks(&[Purpose::Explicit])).collect();
    if let Some(cites) = asked.iter().find_map(|entry| record.refusal(entry)) {
        return feature(Presence::Absent, None, cites);
    }
    let chose = |e: &&&Entry| OLDER.iter().any(|version| e.chose(*version).is_some());
    if let Some(entry) = asked.iter().find(chose) {
        // It took another curve, which it names, or none at all.
        return feature(Presence::Absent, None, vec![entry.index()]);
    }
    let ecdhe = |p: &crate::registry::Parts| p.key_exchange.starts_with("ECDH");
    let none = versions.iter().filter(|v| OLDER.contains(&v.name)).all(|v| match v.outcome {
        Outcome::Refused => true,
        Outcome::Accepted => Suites::of(record, v.name).none_with(ecdhe),
        Outcome::NotProven => false,
    });
    match none {
        true => feature(Presence::Unavailable, None, vec![]),
        false => feature(Presence::NotProven, Some("no answer to an offer of explicit curves came"), vec![]),
    }
}

/// What the server chose among post-quantum and classical groups, by the shares that the client sent along.
pub(super) fn post_quantum(record: &Record, groups: &[Group]) -> PostQuantum {
    PostQuantum {
        with_both_shares: choice(record, groups, true, true),
        with_classical_share: choice(record, groups, false, true),
        without_shares: choice(record, groups, false, false),
    }
}

fn choice(record: &Record, groups: &[Group], quantum: bool, classical: bool) -> Choice {
    let post_quantum = |id: &u16| group(*id).is_some_and(crate::registry::GroupInfo::post_quantum);
    let fits = |entry: &&Entry| {
        let Some(offer) = entry.trial.offer.as_ref().filter(|_| entry.meant() == VersionName::Tls13) else {
            return false;
        };
        // Both sorts of group must be on offer, or there is no choice.
        let both = entry.groups.iter().any(post_quantum) && entry.groups.iter().any(|id| !post_quantum(id));
        let shares = offer.shares();
        both && entry.asks(&[Purpose::Suites, Purpose::Shares])
            && shares.iter().any(post_quantum) == quantum
            && shares.iter().any(|id| !post_quantum(id) && !crate::registry::is_grease(*id)) == classical
    };
    let answered = |entry: &&Entry| entry.chose(VersionName::Tls13).is_some_and(|hello| hello.group.is_some());
    let found = record.entries.iter().filter(fits).find(answered);
    if let Some((entry, hello)) = found.and_then(|entry| Some((entry, entry.trial.reply.hello.as_ref()?))) {
        let id = hello.group.unwrap_or_default();
        return Choice {
            outcome: Presence::Present,
            why: None,
            group: Some(name(id)),
            post_quantum: Some(post_quantum(&id)),
            retry: Some(hello.retry),
            seen: vec![entry.index()],
        };
    }
    let refused = groups.iter().filter(|group| group.post_quantum).all(|group| group.outcome == Outcome::Refused);
    let without = if refused { Presence::Unavailable } else { Presence::NotProven };
    Choice {
        outcome: without,
        why: (!refused).then(|| "no answer to such an offer came".to_owned()),
        group: None,
        post_quantum: None,
        retry: None,
        seen: vec![],
    }
}
