//! Which part's turn it is, from what earlier evidence says was read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::Evidence;

use crate::facts::{Identity, ReadBudget, ReadOutcome};

/// Most parts; restic knows no more.
pub(crate) const MOST_PARTS: u32 = 256;

/// What earlier runs read of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The last attempt at each part.
    last: BTreeMap<String, (Timestamp, ReadOutcome)>,
    /// The number of parts at the last run.
    parts: Option<u32>,
}

impl Ledger {
    /// From earlier evidence, newest first. What was seen under that name of another repository does not count, and
    /// nothing does where a repository does not say which one it is.
    pub(crate) fn of(prior: &[Evidence], identity: &Identity) -> Self {
        let mut ledger = Self::default();
        let Some(identity) = identity.value.as_deref() else { return ledger };
        for evidence in prior {
            let Some(facts) = &evidence.facts else { continue };
            let is = facts.get("identity").and_then(|i| i.get("value")).and_then(serde_json::Value::as_str);
            if is != Some(identity) {
                continue;
            }
            for part in facts.get("parts").and_then(serde_json::Value::as_array).into_iter().flatten() {
                let Some(name) = part.get("name").and_then(serde_json::Value::as_str) else { continue };
                let outcome = part.get("outcome").cloned().map(serde_json::from_value::<ReadOutcome>);
                let Some(Ok(outcome)) = outcome else { continue };
                if ledger.parts.is_none() {
                    ledger.parts = name.split_once('/').and_then(|(_, of)| of.parse().ok());
                }
                if outcome != ReadOutcome::NotRead {
                    ledger.last.entry(name.to_owned()).or_insert((evidence.collected, outcome));
                }
            }
        }
        ledger
    }

    /// The part to read next: first what was damaged, which is read again until it is intact, so that damage is not
    /// forgotten while other parts have their turn; then what was never read; then what was tried longest ago. Where
    /// nothing tells, the day does: it goes around all parts as days pass.
    pub(crate) fn choose<'a>(&self, parts: &'a [String], day: i64) -> Option<&'a str> {
        let count = i64::try_from(parts.len()).ok().filter(|n| *n > 0)?;
        let rank = |(index, name): (usize, &'a String)| {
            let last = self.last.get(name);
            let damaged = last.is_some_and(|(_, outcome)| *outcome == ReadOutcome::Damaged);
            let turn = (i64::try_from(index).unwrap_or(0) - day).rem_euclid(count);
            ((!damaged, last.map(|(at, _)| *at), turn), name.as_str())
        };
        parts.iter().enumerate().map(rank).min().map(|(_, name)| name)
    }

    /// How many parts to make: as many as the inventory says, doubled until the largest fits. The number of the last run
    /// stays while it fits, and half of it would not with a quarter to spare: what was read counts by the names of parts.
    ///
    /// None where even the most parts are too large. `largest` gives the bytes of the largest part of so many.
    pub(crate) fn count(&self, budget: &ReadBudget, largest: impl Fn(u32) -> i64) -> Option<u32> {
        let mut chosen = candidates(budget.parts).find(|n| largest(*n) <= budget.max_bytes)?;
        let known = |n: &u32| candidates(budget.parts).any(|c| c == *n) && largest(*n) <= budget.max_bytes;
        if let Some(last) = self.parts.filter(known) {
            let ample = |n: u32| largest(n) <= budget.max_bytes / 4 * 3;
            let half = candidates(budget.parts).take_while(|n| *n < last).last();
            if half.is_none_or(|half| !ample(half)) {
                chosen = last;
            }
        }
        Some(chosen)
    }
}

/// Numbers of parts that are tried: the declared one, doubled, and the most.
pub(crate) fn candidates(parts: u32) -> impl Iterator<Item = u32> {
    let parts = parts.clamp(1, MOST_PARTS);
    let doubled = std::iter::successors(Some(parts), |n| n.checked_mul(2)).take_while(|n| *n < MOST_PARTS);
    doubled.chain([MOST_PARTS])
}

/// The name of a part, counted from 0.
pub(crate) fn name(index: u32, of: u32) -> String {
    format!("{}/{of}", index.saturating_add(1))
}

/// The number in a name, from 1.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.split_once('/')?.0.parse().ok()
}
