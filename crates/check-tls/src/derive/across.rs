//! One code point over all versions: what groups and signature schemes have in common.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{Outcome, VersionName};

/// Code points accepted and refused in one version, with the exchanges behind each.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) accepted: BTreeMap<u16, Vec<u32>>,
    pub(super) refused: BTreeMap<u16, Vec<u32>>,
    /// A choice that was not offered, or another thing that stopped the search.
    pub(super) trouble: String,
}

impl Shown {
    /// Notes refused code points; `None` is an answer that is no refusal. The first refusal of each is cited.
    pub(super) fn refuse(&mut self, cites: Option<Vec<u32>>, ids: &BTreeSet<u16>) {
        let Some(cites) = cites else { return };
        for id in ids {
            self.refused.entry(*id).or_insert_with(|| cites.clone());
        }
    }
}

/// What all versions together show of one code point.
pub(super) struct Across {
    /// Versions in which it was accepted.
    pub(super) versions: Vec<VersionName>,
    /// Accepted in any version; refused in all that are spoken; else not proven.
    pub(super) outcome: Outcome,
    /// Why it is not proven.
    pub(super) why: Option<String>,
    /// The exchanges behind it.
    pub(super) seen: Vec<u32>,
}

impl Across {
    /// Joins what was shown in each version that is spoken. `open` is a version of which even that is not proven; `none`
    /// says in words that no version that names such things is spoken.
    pub(super) fn of(id: u16, spoken: &[(VersionName, Shown)], open: Option<VersionName>, none: &str) -> Self {
        let mut versions = Vec::new();
        let mut seen = BTreeSet::new();
        let mut why = open.map(|version| format!("whether {} is spoken is not proven", version.as_str()));
        for (version, shown) in spoken {
            if let Some(indices) = shown.accepted.get(&id) {
                versions.push(*version);
                seen.extend(indices);
            } else if let Some(indices) = shown.refused.get(&id) {
                seen.extend(indices);
            } else {
                why = Some(format!("{}: {}", version.as_str(), shown.trouble));
            }
        }
        if spoken.is_empty() && why.is_none() {
            why = Some(none.to_owned());
        }
        let outcome = match (&why, versions.is_empty()) {
            (_, false) => Outcome::Accepted,
            (None, true) => Outcome::Refused,
            (Some(_), true) => Outcome::NotProven,
        };
        let why = why.filter(|_| outcome == Outcome::NotProven);
        Self { versions, outcome, why, seen: seen.into_iter().collect() }
    }
}
