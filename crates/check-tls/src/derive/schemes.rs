//! Signature schemes in the handshake.

use std::collections::BTreeSet;

use super::across::{Across, Shown};
use super::record::Record;
use super::versions::Suites;
use crate::facts::{Outcome, SignatureScheme, Version, VersionName};
use crate::registry::{Parts, SCHEMES};
use crate::reply::KeyExchange;
use crate::trial::Purpose;

/// Bytes that follow a ServerHello only where the server went on to its certificate: a lone encrypted alert is 24.
pub(crate) const FLIGHT: usize = 256;

pub(super) fn schemes(record: &Record, versions: &[Version], handshakes: &[(u32, u16)]) -> Vec<SignatureScheme> {
    let mut spoken = Vec::new();
    let mut open = None;
    for version in versions.iter().filter(|v| matches!(v.name, VersionName::Tls12 | VersionName::Tls13)) {
        match version.outcome {
            Outcome::Accepted if version.name == VersionName::Tls13 => {
                spoken.push((version.name, tls13(record, handshakes)));
            }
            Outcome::Accepted => spoken.push((version.name, tls12(record))),
            Outcome::Refused => {}
            Outcome::NotProven => open = Some(version.name),
        }
    }
    SCHEMES
        .iter()
        .map(|info| {
            let none = "no version in which schemes are named is spoken";
            let Across { versions, outcome, why, seen } = Across::of(info.id, &spoken, open, none);
            SignatureScheme {
                id: super::id(info.id),
                name: info.name.into(),
                hash: info.hash.map(str::to_owned),
                versions,
                outcome,
                why,
                seen,
            }
        })
        .collect()
}

fn tls12(record: &Record) -> Shown {
    let version = VersionName::Tls12;
    let mut shown = Shown { trouble: record.trouble(version, &[Purpose::KeyExchange]), ..Shown::default() };
    let mut groups = BTreeSet::new();
    for (entry, _) in record.chosen(version) {
        let Some(exchange) = &entry.trial.reply.key_exchange else { continue };
        if let KeyExchange::Ecdhe { group, .. } = exchange {
            groups.insert(*group);
        }
        match exchange.scheme() {
            Some(scheme) if entry.schemes.contains(&scheme) => {
                shown.accepted.entry(scheme).or_default().push(entry.index());
            }
            Some(scheme) => {
                shown.trouble = format!("the server signed with {scheme:#06x}, which was not offered");
            }
            None => {}
        }
    }
    for entry in record.entries.iter().filter(|e| e.meant() == version && e.asks(&[Purpose::KeyExchange])) {
        // A refusal is one of schemes where an accepted group was offered beside them, or none is ever used.
        if groups.is_empty() || !entry.groups.is_disjoint(&groups) {
            shown.refuse(record.refusal(entry), &entry.schemes);
        }
    }
    let suites = Suites::of(record, version);
    let signs = |p: &Parts| p.ephemeral && p.authentication != "PSK";
    if suites.none_with(signs) {
        let seen = suites.accepted.iter().filter_map(|(_, seen)| seen.first().copied()).collect();
        shown.refuse(Some(seen), &SCHEMES.iter().map(|s| s.id).collect());
    }
    shown
}

fn tls13(record: &Record, handshakes: &[(u32, u16)]) -> Shown {
    let version = VersionName::Tls13;
    let mut shown = Shown { trouble: record.trouble(version, &[Purpose::Schemes]), ..Shown::default() };
    for (index, scheme) in handshakes {
        shown.accepted.entry(*scheme).or_default().push(*index);
    }
    for entry in record.entries.iter().filter(|e| e.meant() == version && e.asks(&[Purpose::Schemes])) {
        // Offered alone and answered with a whole flight: the signature in it can only be this one's.
        let mut offered = entry.schemes.iter();
        if let (Some(only), None, Some(_)) = (offered.next(), offered.next(), entry.chose(version))
            && entry.trial.reply.encrypted >= FLIGHT
        {
            shown.accepted.entry(*only).or_default().push(entry.index());
        }
        shown.refuse(record.refusal(entry), &entry.schemes);
    }
    shown
}
