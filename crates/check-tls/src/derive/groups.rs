//! Groups for key exchange and primes of finite-field Diffie-Hellman.

use std::collections::BTreeSet;

use model::Digest;

use super::across::{Across, Shown};
use super::record::Record;
use super::versions::Suites;
use crate::facts::{Dhe, DheGroup, Group, Outcome, Version, VersionName};
use crate::registry::{GROUPS, GroupInfo, ffdhe_of_prime, published_prime, safe_prime};
use crate::reply::KeyExchange;
use crate::trial::Purpose;

/// Versions in which groups are named.
const WITH_GROUPS: [VersionName; 4] = [VersionName::Tls10, VersionName::Tls11, VersionName::Tls12, VersionName::Tls13];

/// How many primes of one server are tested.
const MOST_TESTED: usize = 3;

/// A prime that a server used.
pub(super) struct Prime {
    digest: Digest,
    number: Vec<u8>,
    bits: u32,
    index: u32,
    version: VersionName,
    offered: BTreeSet<u16>,
}

pub(super) fn primes(record: &Record) -> Vec<Prime> {
    let mut primes = Vec::new();
    for version in VersionName::ALL {
        for (entry, _) in record.chosen(version) {
            let Some(KeyExchange::Dhe { prime, .. }) = &entry.trial.reply.key_exchange else { continue };
            let bits = prime.first().map_or(0, |first| prime.len() * 8 - first.leading_zeros() as usize);
            primes.push(Prime {
                digest: Digest::of(prime),
                number: prime.clone(),
                bits: u32::try_from(bits).unwrap_or(u32::MAX),
                index: entry.index(),
                version,
                offered: entry.groups.clone(),
            });
        }
    }
    primes.sort_by_key(|p| p.index);
    primes
}

pub(super) fn groups(record: &Record, versions: &[Version], handshakes: &[(u32, u16)]) -> Vec<Group> {
    let primes = primes(record);
    let mut spoken = Vec::new();
    let mut open = None;
    for version in versions.iter().filter(|v| WITH_GROUPS.contains(&v.name)) {
        match version.outcome {
            Outcome::Accepted if version.name == VersionName::Tls13 => {
                spoken.push((version.name, tls13(record, handshakes)));
            }
            Outcome::Accepted => spoken.push((version.name, tls12(record, version.name, &primes))),
            Outcome::Refused => {}
            Outcome::NotProven => open = Some(version.name),
        }
    }
    GROUPS.iter().map(|info| group(info, &spoken, open)).collect()
}

fn group(info: &GroupInfo, spoken: &[(VersionName, Shown)], open: Option<VersionName>) -> Group {
    let none = "no version with groups is spoken";
    let Across { versions, outcome, why, seen } = Across::of(info.id, spoken, open, none);
    Group {
        id: super::id(info.id),
        name: info.name.into(),
        versions,
        outcome,
        why,
        bits: info.bits,
        post_quantum: info.post_quantum(),
        seen,
    }
}

fn tls13(record: &Record, handshakes: &[(u32, u16)]) -> Shown {
    let version = VersionName::Tls13;
    let mut shown = Shown { trouble: record.trouble(version, &[Purpose::Groups]), ..Shown::default() };
    let mut suites = BTreeSet::new();
    for (entry, hello) in record.chosen(version) {
        suites.insert(hello.suite);
        if let Some(group) = hello.group {
            shown.accepted.entry(group).or_default().push(entry.index());
        }
    }
    for (index, group) in handshakes {
        shown.accepted.entry(*group).or_default().push(*index);
    }
    // A refusal is one of groups where an accepted suite was offered beside them.
    for entry in record.entries.iter().filter(|e| e.meant() == version && e.asks(&[Purpose::Groups])) {
        if !entry.suites.is_disjoint(&suites) {
            shown.refuse(record.refusal(entry), &entry.groups);
        }
    }
    shown
}

fn tls12(record: &Record, version: VersionName, primes: &[Prime]) -> Shown {
    let suites = Suites::of(record, version);
    let mut shown = Shown { trouble: record.trouble(version, &[Purpose::KeyExchange]), ..Shown::default() };
    let mut signed = BTreeSet::new();
    for (entry, _) in record.chosen(version) {
        signed.extend(entry.trial.reply.key_exchange.as_ref().and_then(KeyExchange::scheme));
        if let Some(KeyExchange::Ecdhe { group, .. }) = entry.trial.reply.key_exchange {
            if entry.groups.contains(&group) {
                shown.accepted.entry(group).or_default().push(entry.index());
            } else {
                shown.trouble = format!("the server chose group {group:#06x}, which was not offered");
            }
        }
    }
    for entry in record.entries.iter().filter(|e| e.meant() == version && e.asks(&[Purpose::KeyExchange])) {
        // Where schemes are named, an accepted one must have been offered beside the groups.
        if signed.is_empty() || !entry.schemes.is_disjoint(&signed) {
            shown.refuse(record.refusal(entry), &entry.groups);
        }
    }
    let (curves, fields): (Vec<&GroupInfo>, Vec<&GroupInfo>) = GROUPS.iter().partition(|g| !g.finite_field());
    let seen: Vec<u32> = suites.accepted.iter().filter_map(|(_, seen)| seen.first().copied()).collect();
    let ids = |groups: &[&GroupInfo]| groups.iter().map(|g| g.id).collect::<BTreeSet<_>>();
    if suites.none_with(|p| p.key_exchange.starts_with("ECDH")) {
        shown.refuse(Some(seen.clone()), &ids(&curves));
    }
    if suites.none_with(|p| p.key_exchange.starts_with("DHE")) {
        shown.refuse(Some(seen), &ids(&fields));
    }
    for prime in primes.iter().filter(|p| p.version == version) {
        let fields = ids(&fields);
        match ffdhe_of_prime(&prime.digest) {
            Some(group) if prime.offered.contains(&group) => {
                shown.accepted.entry(group).or_default().push(prime.index);
            }
            // Groups were offered and it took a prime of its own: it does not choose by them (RFC 7919, section 4).
            _ => shown.refuse(Some(vec![prime.index]), &prime.offered.intersection(&fields).copied().collect()),
        }
    }
    // A refusal while the same suites are accepted with primes of the server's own.
    for entry in record.entries.iter().filter(|e| e.meant() == version && e.asks(&[Purpose::Dhe])) {
        let fields = entry.groups.intersection(&ids(&fields)).copied().collect();
        shown.refuse(record.refusal(entry), &fields);
    }
    shown
}

pub(super) fn dhe(record: &Record, versions: &[Version]) -> Dhe {
    let primes = primes(record);
    let mut groups: Vec<DheGroup> = Vec::new();
    for prime in &primes {
        let sha256 = prime.digest.to_string();
        match groups.iter_mut().find(|known| known.sha256 == sha256) {
            Some(known) => known.seen.push(prime.index),
            None => groups.push(DheGroup {
                sha256,
                bits: prime.bits,
                published: published_prime(&prime.number).map(str::to_owned),
                // A server that shows many primes must not keep us busy.
                safe_prime: if groups.len() < MOST_TESTED { safe_prime(&prime.number) } else { None },
                seen: vec![prime.index],
            }),
        }
    }
    let is_dhe = |p: &crate::registry::Parts| p.key_exchange.starts_with("DHE");
    let mut seen: BTreeSet<u32> = primes.iter().map(|p| p.index).collect();
    let mut outcome = Outcome::Refused;
    let mut why = None;
    for version in versions.iter().filter(|v| !matches!(v.name, VersionName::Ssl2 | VersionName::Tls13)) {
        let suites = Suites::of(record, version.name);
        let accepted = suites.with(is_dhe);
        if !accepted.is_empty() {
            seen.extend(suites.accepted.iter().filter(|(id, _)| accepted.contains(id)).flat_map(|(_, seen)| seen));
            outcome = Outcome::Accepted;
        } else if version.outcome != Outcome::Refused && !suites.none_with(is_dhe) && outcome == Outcome::Refused {
            outcome = Outcome::NotProven;
            why = Some(format!("{}: {}", version.name.as_str(), record.trouble(version.name, &[Purpose::Suites])));
        }
    }
    Dhe {
        outcome,
        why: why.filter(|_| outcome == Outcome::NotProven),
        prime_bits: primes.iter().map(|p| p.bits).min(),
        primes: groups.iter().map(|group| group.sha256.clone()).collect(),
        groups,
        seen: seen.into_iter().collect(),
    }
}
