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
    let standing = standing_of(record, name, &suites);
    let seen_of = |id: &u16| suites.accepted.iter().find(|(a, _)| a == id).map(|(_, seen)| seen.clone());
    let accepted: Vec<Suite> = standing
        .sequence
        .iter()
        .map(|id| suite(*id, Outcome::Accepted, None, seen_of(id).unwrap_or_default()))
        .collect();
    let equal = standing.equal.iter().map(|set| set.iter().map(|id| super::id(*id)).collect()).collect();
    let not_proven = if outcome == Outcome::Refused {
        Vec::new()
    } else {
        let why = why.clone().unwrap_or_else(|| record.trouble(name, &[Purpose::Suites, Purpose::Groups]));
        suites.open().into_iter().map(|id| suite(id, Outcome::NotProven, Some(why.clone()), vec![])).collect()
    };
    let order = standing.order;
    Version { name, outcome, why, asked: Asked::All, suites: accepted, not_proven, order, equal, seen }
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

/// What the record shows of the order among the accepted suites of a version.
pub(crate) struct Standing {
    /// Whose order decides.
    pub(crate) order: Order,
    /// Accepted suites: in the server's order as far as it is known where that decides, else by code point.
    pub(crate) sequence: Vec<u16>,
    /// Chosen over these.
    won: BTreeSet<(u16, u16)>,
    /// Sets among which the client's order decides, though the server's does elsewhere.
    pub(crate) equal: Vec<Vec<u16>>,
}

impl Standing {
    /// Over how many others it was chosen.
    pub(crate) fn beaten(&self, id: u16) -> usize {
        self.won.range((id, 0)..=(id, u16::MAX)).count()
    }

    /// Whether the first of a list was chosen over the second. A list is in the server's order where this holds of each
    /// two neighbours.
    pub(crate) fn leads(&self, list: &[u16]) -> bool {
        let [first, second, ..] = list else { return true };
        self.won.contains(&(*first, *second))
    }

    /// The accepted suites in an order that contradicts nothing that was seen, by a guess where nothing was.
    pub(crate) fn likely(&self, rank: impl Fn(u16) -> usize) -> Vec<u16> {
        let mut left = self.sequence.clone();
        left.sort_by_key(|id| (rank(*id), std::cmp::Reverse(self.beaten(*id))));
        let mut list = Vec::new();
        while !left.is_empty() {
            let free = |id: &u16| !left.iter().any(|other| self.won.contains(&(*other, *id)));
            // Contradictions, as among suites of equal preference, are taken as they come.
            let at = left.iter().position(free).unwrap_or(0);
            list.push(left.remove(at));
        }
        list
    }
}

/// What the record shows of the order among suites.
pub(crate) fn standing(record: &Record, name: VersionName) -> Standing {
    standing_of(record, name, &Suites::of(record, name))
}

fn standing_of(record: &Record, name: VersionName, suites: &Suites) -> Standing {
    let sequence: Vec<u16> = suites.accepted.iter().map(|(id, _)| *id).collect();
    let accepted: BTreeSet<u16> = sequence.iter().copied().collect();
    // Chosen over another one that was listed before it, and over one that was listed behind it.
    let mut strictly: BTreeSet<(u16, u16)> = BTreeSet::new();
    let mut by_list: BTreeSet<(u16, u16)> = BTreeSet::new();
    for (entry, hello) in record.chosen(name).filter(|(e, _)| e.asks(&FREE)) {
        let offered = entry.trial.offer.as_ref().map(crate::hello::Hello::real_suites).unwrap_or_default();
        let mut behind = false;
        for other in offered.into_iter().filter(|id| accepted.contains(id)) {
            if other == hello.suite {
                behind = true;
            } else if behind {
                by_list.insert((hello.suite, other));
            } else {
                strictly.insert((hello.suite, other));
            }
        }
    }
    // Each of two suites won where it was listed first: the list decides between them.
    let tied = |a: u16, b: u16| {
        let free = |a, b| by_list.contains(&(a, b)) && !strictly.contains(&(a, b));
        free(a, b) && free(b, a)
    };
    let ties: Vec<(u16, u16)> = by_list.iter().copied().filter(|(a, b)| a < b && tied(*a, *b)).collect();
    let order = match (strictly.is_empty(), ties.is_empty()) {
        _ if accepted.len() < 2 => Order::NotProven,
        (false, _) => Order::Server,
        (true, false) => Order::Client,
        (true, true) => Order::NotProven,
    };
    let mut equal: Vec<Vec<u16>> = Vec::new();
    for (a, b) in ties.into_iter().filter(|_| order == Order::Server) {
        match equal.iter_mut().find(|set| set.contains(&a) || set.contains(&b)) {
            Some(set) => {
                let new: Vec<u16> = [a, b].into_iter().filter(|id| !set.contains(id)).collect();
                set.extend(new);
            }
            None => equal.push(vec![a, b]),
        }
    }
    let mut won = strictly;
    won.extend(by_list);
    let standing = Standing { order, sequence, won, equal };
    if order == Order::Server {
        let found = |id| standing.sequence.iter().position(|other| *other == id).unwrap_or(usize::MAX);
        let sequence = standing.likely(found);
        return Standing { sequence, ..standing };
    }
    let mut sequence = standing.sequence;
    sequence.sort_unstable();
    Standing { sequence, ..standing }
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
        equal: vec![],
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
