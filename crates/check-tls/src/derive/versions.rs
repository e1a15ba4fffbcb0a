//! Versions and their suites.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Entry, PROTOCOL_VERSION, Record, Took};
use crate::facts::{Asked, Order, Outcome, Suite, Version, VersionName};
use crate::registry::{self, KINDS, Parts, kind_parts, suite_parts};
use crate::trial::Purpose;

/// What the record says of suites in one version.
pub(super) struct Suites {
    /// Accepted suites, with the exchanges that chose them, in the order in which they were found.
    pub(super) accepted: Vec<(u16, Vec<u32>)>,
    /// Suites shown to be refused.
    pub(super) refused: BTreeSet<u16>,
    /// Every suite looked for.
    pub(super) all: Vec<u16>,
}

impl Suites {
    pub(super) fn of(record: &Record, version: VersionName) -> Self {
        let mut found: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for (entry, hello) in record.chosen(version) {
            found.entry(hello.suite).or_default().push(entry.index());
        }
        let groups: BTreeSet<u16> = record.chosen(version).filter_map(|(_, hello)| hello.group).collect();
        let mut refused = BTreeSet::new();
        for entry in record.entries.iter().filter(|e| e.meant() == version && names_suites(e, &groups)) {
            // A server that names the version as its reason, and speaks it all the same with other hellos, said nothing of
            // the suites.
            let of_version = entry.took == Took::Declined(PROTOCOL_VERSION) && record.speaks(version);
            if !of_version && record.refusal(entry).is_some() {
                refused.extend(&entry.suites);
            }
        }
        refused.retain(|id| !found.contains_key(id));
        let mut accepted: Vec<(u16, Vec<u32>)> = found.into_iter().collect();
        accepted.sort_by_key(|(_, seen)| seen.first().copied());
        let all = registry::suites().iter().map(|(id, _)| *id);
        let all = all.filter(|id| registry::in_version(*id, version)).collect();
        Self { accepted, refused, all }
    }

    /// Suites of which neither was shown.
    pub(super) fn open(&self) -> Vec<u16> {
        let accepted = |id: &u16| self.accepted.iter().any(|(a, _)| a == id);
        self.all.iter().copied().filter(|id| !accepted(id) && !self.refused.contains(id)).collect()
    }

    /// Accepted suites whose parts fulfil a condition.
    pub(super) fn with(&self, wanted: impl Fn(&Parts) -> bool) -> Vec<u16> {
        let fits = |id: &u16| suite_parts(*id).is_some_and(|parts| wanted(&parts));
        self.accepted.iter().map(|(id, _)| *id).filter(fits).collect()
    }

    /// Whether all suites whose parts fulfil a condition were shown to be refused.
    pub(super) fn none_with(&self, wanted: impl Fn(&Parts) -> bool) -> bool {
        let fits = |id: &u16| suite_parts(*id).is_some_and(|parts| wanted(&parts));
        self.all.iter().filter(|id| fits(id)).all(|id| self.refused.contains(id))
    }
}

/// Whether a refusal of this offer is a refusal of its suites, and not of the groups beside them.
fn names_suites(entry: &Entry, accepted_groups: &BTreeSet<u16>) -> bool {
    entry.asks(&[Purpose::Suites]) || (entry.asks(&[Purpose::Groups]) && !entry.groups.is_disjoint(accepted_groups))
}

/// The facts of a version from SSL 3.0 to TLS 1.3.
pub(super) fn version(record: &Record, name: VersionName) -> Version {
    let suites = Suites::of(record, name);
    let (outcome, why, seen) = outcome(record, name, &suites);
    let order = order(record, name, &suites);
    let mut accepted: Vec<Suite> =
        suites.accepted.iter().map(|(id, seen)| suite(*id, Outcome::Accepted, None, seen.clone())).collect();
    if order == Order::Server {
        let ranks = ranks(record, name, &suites);
        accepted.sort_by_key(|s| std::cmp::Reverse(ranks.get(&s.id).copied().unwrap_or(0)));
    }
    let not_proven = if outcome == Outcome::Refused {
        Vec::new()
    } else {
        let why = why.clone().unwrap_or_else(|| record.trouble(name, &[Purpose::Suites, Purpose::Groups]));
        suites.open().into_iter().map(|id| suite(id, Outcome::NotProven, Some(why.clone()), vec![])).collect()
    };
    Version { name, outcome, why, asked: Asked::All, suites: accepted, not_proven, order, seen }
}

fn outcome(record: &Record, name: VersionName, suites: &Suites) -> (Outcome, Option<String>, Vec<u32>) {
    if let Some(first) = suites.accepted.first().and_then(|(_, seen)| seen.first()) {
        return (Outcome::Accepted, None, vec![*first]);
    }
    let about: Vec<&Entry> =
        record.entries.iter().filter(|e| e.meant() == name && e.asks(&[Purpose::Suites])).collect();
    // An older version in the answer means that this one is not spoken (RFC 5246, E.1).
    if let Some(lower) = about.iter().find(|e| matches!(&e.took, Took::Chose(version) if *version < name)) {
        return (Outcome::Refused, None, vec![lower.index()]);
    }
    let named = about.iter().filter(|e| e.took == Took::Declined(PROTOCOL_VERSION));
    if let Some(cites) = named.filter_map(|e| record.refusal(e)).next() {
        return (Outcome::Refused, None, cites);
    }
    if suites.open().is_empty() {
        let cites: BTreeSet<u32> = about.iter().filter_map(|e| record.refusal(e)).flatten().collect();
        return (Outcome::Refused, None, cites.into_iter().collect());
    }
    let seen = about.iter().map(|e| e.index()).collect();
    (Outcome::NotProven, Some(record.trouble(name, &[Purpose::Suites])), seen)
}

/// Purposes whose hellos leave the choice among suites to order alone.
const FREE: [Purpose; 4] = [Purpose::Suites, Purpose::Order, Purpose::Groups, Purpose::Canary];

fn order(record: &Record, name: VersionName, suites: &Suites) -> Order {
    if suites.accepted.len() < 2 {
        return Order::NotProven;
    }
    let accepted: BTreeSet<u16> = suites.accepted.iter().map(|(id, _)| *id).collect();
    // (chosen, the rest of the accepted ones that were offered)
    let mut won: BTreeSet<(u16, u16)> = BTreeSet::new();
    for (entry, hello) in record.chosen(name).filter(|(e, _)| e.asks(&FREE)) {
        let offered = entry.trial.offer.as_ref().map(crate::hello::Hello::real_suites).unwrap_or_default();
        let mut offered = offered.into_iter().filter(|id| accepted.contains(id));
        if offered.next() != Some(hello.suite) {
            return Order::Server;
        }
        won.extend(offered.map(|other| (hello.suite, other)));
    }
    // Each of two suites won where it was listed first: the list decides.
    if won.iter().any(|(a, b)| won.contains(&(*b, *a))) { Order::Client } else { Order::NotProven }
}

/// Over how many others each accepted suite was chosen.
fn ranks(record: &Record, name: VersionName, suites: &Suites) -> BTreeMap<String, usize> {
    let accepted: BTreeSet<u16> = suites.accepted.iter().map(|(id, _)| *id).collect();
    let mut beaten: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for (entry, hello) in record.chosen(name).filter(|(e, _)| e.asks(&FREE)) {
        let others = entry.suites.intersection(&accepted).filter(|id| **id != hello.suite);
        beaten.entry(super::id(hello.suite)).or_default().extend(others);
    }
    beaten.into_iter().map(|(id, others)| (id, others.len())).collect()
}

/// The facts of SSL 2.0.
pub(super) fn ssl2(record: &Record) -> Version {
    let name = VersionName::Ssl2;
    let asked: Vec<&Entry> = record.entries.iter().filter(|e| e.asks(&[Purpose::Ssl2])).collect();
    let all = |outcome, why: Option<&str>| {
        KINDS.iter().map(|(code, _)| kind(*code, outcome, why.map(str::to_owned), vec![])).collect::<Vec<_>>()
    };
    let mut version = Version {
        name,
        outcome: Outcome::NotProven,
        why: None,
        asked: Asked::All,
        suites: vec![],
        not_proven: vec![],
        order: Order::NotProven,
        seen: asked.iter().map(|e| e.index()).collect(),
    };
    if let Some((entry, hello)) = asked.iter().find_map(|e| e.trial.reply.ssl2.as_ref().map(|h| (e, h))) {
        version.outcome = Outcome::Accepted;
        version.seen = vec![entry.index()];
        let accepted: BTreeSet<u32> = hello.kinds.iter().copied().collect();
        version.suites =
            accepted.iter().map(|code| kind(*code, Outcome::Accepted, None, vec![entry.index()])).collect();
        return version;
    }
    // No hello of SSL 2.0 can be answered by who does not speak it, so that an answered TLS hello is the sibling. A
    // dropped connection counts only if it was dropped each time and a hello was answered afterwards.
    let said_no = |e: &&&Entry| matches!(e.took, Took::Declined(_)) || e.trial.reply.alert.is_some();
    let dropped = asked.len() >= 2 && asked.iter().all(|e| e.took == Took::Dropped);
    let refused = asked.iter().find(said_no).or_else(|| asked.last().filter(|_| dropped));
    let sibling = refused.and_then(|no| {
        let late = |e: &&Entry| no.took != Took::Dropped || e.index() > no.index();
        record.entries.iter().filter(late).find(|e| matches!(e.took, Took::Chose(_)))
    });
    match (refused, sibling) {
        (Some(_), Some(sibling)) => {
            version.outcome = Outcome::Refused;
            version.seen.push(sibling.index());
        }
        _ => {
            let why = record.trouble(name, &[Purpose::Ssl2]);
            version.not_proven = all(Outcome::NotProven, Some(&why));
            version.why = Some(why);
        }
    }
    version
}

fn suite(id: u16, outcome: Outcome, why: Option<String>, seen: Vec<u32>) -> Suite {
    let name = registry::suite_name(id).unwrap_or("unassigned").to_owned();
    of_parts(super::id(id), name, outcome, why, suite_parts(id), seen)
}

fn kind(code: u32, outcome: Outcome, why: Option<String>, seen: Vec<u32>) -> Suite {
    let name = KINDS.iter().find(|(c, _)| *c == code).map_or("unassigned", |(_, name)| *name).to_owned();
    of_parts(format!("{code:#08x}"), name, outcome, why, kind_parts(code), seen)
}

fn of_parts(
    id: String,
    name: String,
    outcome: Outcome,
    why: Option<String>,
    parts: Option<Parts>,
    seen: Vec<u32>,
) -> Suite {
    let parts = parts.unwrap_or_else(|| Parts {
        key_exchange: "unknown".into(),
        authentication: "unknown".into(),
        encryption: "unknown".into(),
        key_bits: 0,
        block_bits: None,
        hash: None,
        aead: false,
        ephemeral: false,
        export: false,
    });
    Suite {
        id,
        name,
        outcome,
        why,
        key_exchange: parts.key_exchange,
        authentication: parts.authentication,
        encryption: parts.encryption,
        key_bits: parts.key_bits,
        block_bits: parts.block_bits,
        hash: parts.hash,
        aead: parts.aead,
        ephemeral: parts.ephemeral,
        export: parts.export,
        seen,
    }
}
