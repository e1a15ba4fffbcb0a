//! Earlier evidence: what a control sees of it as `prior`, and when it stands in for a drill that was not run.

use std::collections::{BTreeMap, BTreeSet};

use model::{Digest, Evidence, Failure, FailureClass, Level, Reason, Subject, Timestamp};

use crate::control::{Needs, Scope, seconds};
use crate::decide::Conclusion;
use crate::fact::Fact;
use crate::policy::Policy;

/// A piece of earlier evidence, of the same kind and on the same target as a current one.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// Its digest.
    pub digest: Digest,
    /// The record.
    pub evidence: Evidence,
}

/// How far back earlier evidence is wanted, in seconds before the instant of judgement, by kind.
///
/// Controls of scope `target` say so by `prior`. Of a kind in `drills` the last one that was run is wanted as well, as
/// far back as any control's `max_age` lets it count.
#[must_use]
pub fn windows(policies: &[Policy], drills: &BTreeSet<String>) -> BTreeMap<String, i64> {
    let mut windows: BTreeMap<String, i64> = BTreeMap::new();
    let needs = policies.iter().flat_map(|p| &p.controls).map(|c| &c.written.evidence);
    for needs in needs.filter(|n| n.scope == Scope::Target) {
        for kind in &needs.kinds {
            let drill = drills.contains(kind).then(|| needs.max_age_seconds());
            if let Some(span) = needs.prior_seconds().max(drill) {
                let window = windows.entry(kind.clone()).or_default();
                *window = span.max(*window);
            }
        }
    }
    windows
}

/// Facts as CEL sees them, or why there are none.
pub(crate) fn read(facts: Option<model::Facts>, failure: Option<&Failure>) -> Result<Fact, String> {
    match (facts, failure) {
        (Some(facts), None) => Ok(Fact::from(serde_json::Value::Object(facts))),
        (_, Some(failure)) => Err(failure.message.clone()),
        (None, None) => Err("the evidence holds neither facts nor a failure".to_owned()),
    }
}

/// The earlier evidence of one kind on one target, newest first, read once.
pub(crate) struct Past(Vec<Piece>);

/// One earlier piece.
pub(crate) struct Piece {
    pub(crate) digest: Digest,
    pub(crate) level: Level,
    pub(crate) collected: Timestamp,
    pub(crate) facts: Result<Fact, String>,
    subject: Subject,
    /// The element of `prior`; none where there are no facts.
    element: Option<Fact>,
}

impl Past {
    /// Takes what is of that kind and target, and older than `before`. A drill that was not run leaves nothing to see.
    pub(crate) fn of(earlier: Vec<Earlier>, kind: &str, target: &str, before: Timestamp) -> Self {
        let not_run = |e: &Evidence| {
            let class = e.failure.as_ref().map(|f| f.class);
            matches!(class, Some(FailureClass::NotRun | FailureClass::NotAsked))
        };
        let fits = |e: &Evidence| e.kind == kind && e.target.name == target && e.collected < before && !not_run(e);
        let piece = |earlier: Earlier| {
            let Evidence { level, collected, facts, failure, target, .. } = earlier.evidence;
            let subject = target.subject;
            let facts = read(facts, failure.as_ref());
            let element = facts.as_ref().ok().map(|facts| {
                Fact::object([
                    ("kind".to_owned(), Fact::text(kind)),
                    ("collected".to_owned(), Fact::text(collected.to_string())),
                    ("facts".to_owned(), facts.clone()),
                ])
            });
            Piece { digest: earlier.digest, level, collected, facts, subject, element }
        };
        let mut pieces: Vec<Piece> = earlier.into_iter().filter(|e| fits(&e.evidence)).map(piece).collect();
        pieces.sort_by_key(|p| (std::cmp::Reverse(p.collected), p.digest));
        pieces.dedup_by_key(|p| p.digest);
        Self(pieces)
    }

    /// The newest piece, if it is on the very same subject: a drill on the repository of before says nothing of the one
    /// that the inventory declares now.
    ///
    /// # Errors
    /// Why none stands in.
    pub(crate) fn stand_in(&self, subject: &Subject) -> Result<&Piece, String> {
        let Some(newest) = self.0.first() else { return Err("there is no earlier evidence that counts".to_owned()) };
        if newest.subject == *subject {
            return Ok(newest);
        }
        Err(format!("the last time, {}, the target was declared otherwise", newest.collected))
    }

    /// The variable `prior` of a control: what is older than `before`, within the control's span before the instant of
    /// judgement, of the level that it needs, and holds facts. `None` where the control wants no earlier evidence.
    pub(crate) fn seen_by(&self, needs: &Needs, as_of: Timestamp, before: Timestamp) -> Option<Fact> {
        let span = needs.prior_seconds()?;
        let recent = |p: &&Piece| as_of.as_second().saturating_sub(p.collected.as_second()) <= span;
        let will_do = |p: &&Piece| p.collected < before && needs.level.is_none_or(|least| p.level >= least);
        let seen = self.0.iter().filter(recent).filter(will_do);
        Some(Fact::list(seen.filter_map(|p| p.element.clone())))
    }
}

impl Needs {
    /// How far back earlier evidence is wanted, in seconds.
    pub(crate) fn prior_seconds(&self) -> Option<i64> {
        self.prior.as_deref().map(|span| seconds(span).unwrap_or(0))
    }
}

impl Conclusion {
    /// Says that the conclusion rests on evidence of an earlier run.
    pub(crate) fn of_earlier(mut self, collected: Timestamp) -> Self {
        let said = format!("by earlier evidence, of {collected}: it was not run this time");
        match self.reasons.first_mut() {
            Some(reason) => reason.message = format!("{} ({said})", reason.message),
            None => self.reasons.push(Reason { message: said, item: None, cites: Vec::new() }),
        }
        self
    }
}
