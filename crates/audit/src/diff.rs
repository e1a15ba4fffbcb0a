//! What changed between two assessments.

use std::collections::BTreeMap;

use model::{Assessment, Finding, Verdict};
use serde::Serialize;

/// One finding that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Name of the policy.
    pub policy: String,
    /// Id of the control.
    pub control: String,
    /// Name of the target.
    pub target: String,
    /// Its verdict before; null where there was no such finding.
    pub before: Option<Verdict>,
    /// Its verdict now; null where there is none any more.
    pub now: Option<Verdict>,
    /// The first reason now, or what it was before.
    pub reason: Option<String>,
}

/// Every finding whose verdict differs, in order. A finding that is gone is a change too: nothing falls silent.
#[must_use]
pub fn diff(before: &Assessment, now: &Assessment) -> Vec<Change> {
    type Key<'a> = (&'a str, &'a str, &'a str);
    fn index(assessment: &Assessment) -> BTreeMap<Key<'_>, &Finding> {
        assessment.findings.iter().map(|f| ((&*f.policy, &*f.control, &*f.target), f)).collect()
    }
    let (before, now) = (index(before), index(now));
    let keys: std::collections::BTreeSet<Key<'_>> = before.keys().chain(now.keys()).copied().collect();
    let change = |key: Key<'_>| {
        let (old, new) = (before.get(&key), now.get(&key));
        let (was, is) = (old.map(|f| f.verdict), new.map(|f| f.verdict));
        let reason = new.or(old).and_then(|f| f.reasons.first()).map(|r| r.message.clone());
        let (policy, control, target) = (key.0.to_owned(), key.1.to_owned(), key.2.to_owned());
        (was != is).then_some(Change { policy, control, target, before: was, now: is, reason })
    };
    keys.into_iter().filter_map(change).collect()
}
