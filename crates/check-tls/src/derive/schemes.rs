//! Signature schemes in the handshake.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Record;
use super::versions::Suites;
use crate::facts::{Outcome, SignatureScheme, Version, VersionName};
use crate::registry::{Parts, SCHEMES};
use crate::reply::KeyExchange;
use crate::trial::Purpose;

/// Bytes that follow a ServerHello only where the server went on to its certificate: a lone encrypted alert is 24.
pub(crate) const FLIGHT: usize = 256;

#[derive(Default)]
struct Shown {
    accepted: BTreeMap<u16, Vec<u32>>,
    refused: BTreeMap<u16, Vec<u32>>,
    trouble: String,
}

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
            Outcome::NotProven => {
                open = Some(format!("whether {} is spoken is not proven", version.name.as_str()));
            }
        }
    }
    SCHEMES
        .iter()
        .map(|info| {
            let mut why = open.clone();
            let mut versions = Vec::new();
            let mut seen = BTreeSet::new();
            for (version, shown) in &spoken {
                if let Some(indices) = shown.accepted.get(&info.id) {
                    versions.push(*version);
                    seen.extend(indices);
                } else if let Some(indices) = shown.refused.get(&info.id) {
                    seen.extend(indices);
                } else {
                    why = Some(format!("{}: {}", version.as_str(), shown.trouble));
                }
            }
            if spoken.is_empty() && why.is_none() {
                why = Some("no version in which schemes are named is spoken".into());
            }
            let outcome = match (&why, versions.is_empty()) {
                (_, false) => Outcome::Accepted,
                (None, true) => Outcome::Refused,
                (Some(_), true) => Outcome::NotProven,
            };
            SignatureScheme {
                id: super::id(info.id),
                name: info.name.into(),
                hash: info.hash.map(str::to_owned),
                versions,
                outcome,
                why: why.filter(|_| outcome == Outcome::NotProven),
                seen: seen.into_iter().collect(),
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

impl Shown {
    fn refuse(&mut self, cites: Option<Vec<u32>>, schemes: &BTreeSet<u16>) {
        let Some(cites) = cites else { return };
        for scheme in schemes {
            self.refused.entry(*scheme).or_insert_with(|| cites.clone());
        }
    }
}
