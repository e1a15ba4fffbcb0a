//! The facts of a repository of copies, read leniently from JSON: whatever is missing is shown as nothing.

mod event;
pub(crate) mod line;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Digest, Evidence, Facts, TargetLine, Timestamp};
use serde_json::Value;

pub(crate) use event::{Deed, Event, State};

use crate::facts::cell;
use crate::{Earlier, View};

/// The kind of evidence that is read here.
pub(crate) const KIND: &str = "backup";
/// The keys that the view shows better than the general layout could.
pub(crate) const KEYS: &[&str] = &["catalogue", "histories", "sizes"];
/// Most histories of one repository.
const MOST_LANES: usize = 12;
/// Most copies that are read of one repository.
const MOST_COPIES: usize = 200_000;

/// Whether a copy holds all that it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Complete {
    /// It is known to lack something.
    No,
    /// Nothing shows it.
    NotProven,
    /// It does.
    Yes,
}

impl Complete {
    /// The word for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "complete",
            Self::No => "incomplete",
            Self::NotProven => "not proven complete",
        }
    }
}

/// One copy.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// Its name.
    pub(crate) name: String,
    /// Its recovery point, seconds since 1970.
    pub(crate) at: i64,
    /// Its size.
    pub(crate) bytes: Option<u64>,
    /// Whether it holds all that it should.
    pub(crate) complete: Complete,
    /// What shows that, or why nothing does.
    pub(crate) note: String,
}

/// Copies of one thing over time.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// `host:path,path` or a database's name.
    pub(crate) name: String,
    /// Copies with a time, oldest first.
    pub(crate) copies: Vec<Copy>,
    /// Copies without one.
    pub(crate) undated: usize,
    /// From the oldest to the newest, seconds.
    pub(crate) span: Option<i64>,
    /// The longest time between two copies of the last 90 days, seconds.
    pub(crate) longest_gap: Option<i64>,
    /// Size of the newest copy.
    pub(crate) newest_bytes: Option<u64>,
    /// Size of the largest copy of the last 90 days.
    pub(crate) largest_bytes: Option<u64>,
    /// The median of the seven before the newest.
    pub(crate) median_bytes: Option<u64>,
}

impl Lane {
    /// The newest copy that is not dated after `now`.
    pub(crate) fn newest(&self, now: i64) -> Option<&Copy> {
        self.copies.iter().rev().find(|c| c.at <= now)
    }

    /// Copies that are dated after `now`.
    pub(crate) fn future(&self, now: i64) -> usize {
        self.copies.iter().rev().take_while(|c| c.at > now).count()
    }

    /// All copies.
    pub(crate) fn count(&self) -> usize {
        self.copies.len() + self.undated
    }
}

/// A repository.
#[derive(Debug)]
pub(crate) struct Set {
    /// `restic 0.14 /srv/backup`.
    pub(crate) place: String,
    /// The data set.
    pub(crate) set: String,
    /// How often a copy is to be made, seconds.
    pub(crate) every: Option<i64>,
    /// Greatest age of the newest copy, seconds.
    pub(crate) max_age: Option<i64>,
    /// Its histories.
    pub(crate) lanes: Vec<Lane>,
    /// Histories that were left out.
    pub(crate) more: usize,
    /// Things that may be copies, but are not proven to be.
    pub(crate) doubtful: usize,
    /// Whether all copies are listed.
    pub(crate) all: bool,
    /// Reads and drills, newest first.
    pub(crate) events: Vec<Event>,
}

/// What is known of the copies of one target.
pub(crate) enum Found {
    /// A repository.
    Set(Set),
    /// Nothing, and why.
    Failure(String),
}

/// Every target with evidence of copies, as far as `most`; and how many there are beyond.
pub(crate) fn all<'a>(view: &View<'a>, most: usize) -> (Vec<(&'a TargetLine, Found)>, usize) {
    let lines = view.assessment.coverage.targets.iter().filter(|l| l.evidence.contains_key(KIND));
    let lines: Vec<&TargetLine> = lines.collect();
    let earlier = if lines.is_empty() { Vec::new() } else { (view.earlier)() };
    let more = lines.len().saturating_sub(most);
    let found = lines.into_iter().take(most).filter_map(|line| Some((line, of_target(view, line, &earlier)?)));
    (found.collect(), more)
}

fn of_target(view: &View<'_>, line: &TargetLine, earlier: &[Earlier]) -> Option<Found> {
    let evidence = line.evidence.get(KIND).and_then(|digest| (view.evidence)(digest))?;
    if let Some(failure) = &evidence.failure {
        return Some(Found::Failure(failure.message.clone()));
    }
    let facts = evidence.facts.as_ref()?;
    let mut set = read(facts)?;
    set.events = events(view, line, earlier, &identity(facts));
    Some(Found::Set(set))
}

/// Reads and drills of this run and of earlier ones.
fn events(view: &View<'_>, line: &TargetLine, earlier: &[Earlier], identity: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut add = |deed: Deed, digest: &Digest, before: bool| {
        let evidence: Option<Arc<Evidence>> = (view.evidence)(digest);
        events.extend(evidence.and_then(|e| Event::of(deed, &e, identity, before)));
    };
    for deed in [Deed::Read, Deed::Drill] {
        if let Some(digest) = line.evidence.get(deed.kind()) {
            add(deed, digest, false);
        }
        let of_it = earlier.iter().filter(|e| e.kind == deed.kind() && e.target == line.name);
        of_it.take(event::MOST).for_each(|e| add(deed, &e.digest, true));
    }
    events.sort_by_key(|e| std::cmp::Reverse(e.at));
    events
}

/// Reads the facts, or gives none where they are not those of a repository at all.
pub(crate) fn read(facts: &Facts) -> Option<Set> {
    let catalogue = facts.get("catalogue")?;
    let snapshots = catalogue.get("snapshots")?.as_array()?;
    let mut lanes: BTreeMap<String, Lane> = BTreeMap::new();
    let mut doubtful = 0;
    for snapshot in snapshots.iter().take(MOST_COPIES) {
        if plain(snapshot, "outcome") == "not_proven" {
            doubtful += 1;
            continue;
        }
        let name = series(snapshot);
        let lane = lanes.entry(name.clone()).or_insert_with(|| Lane { name, ..Lane::default() });
        match copy(snapshot) {
            Some(copy) => lane.copies.push(copy),
            None => lane.undated += 1,
        }
    }
    let of = |key: &str| facts.get(key).and_then(Value::as_array).into_iter().flatten();
    for history in of("histories") {
        if let Some(lane) = lanes.get_mut(plain(history, "name")) {
            (lane.span, lane.longest_gap) = (number(history, "span"), number(history, "longest_gap"));
        }
    }
    for sizes in of("sizes") {
        if let Some(lane) = lanes.get_mut(plain(sizes, "name")) {
            let bytes = |key| number(sizes, key).and_then(|n| u64::try_from(n).ok());
            lane.newest_bytes = bytes("newest_bytes");
            lane.largest_bytes = bytes("largest_bytes");
            lane.median_bytes = bytes("median_bytes");
        }
    }
    lanes.values_mut().for_each(|lane| lane.copies.sort_by_key(|c| c.at));
    let expected = facts.get("expected").unwrap_or(&Value::Null);
    let tool = text(facts.get("tool"));
    let place = [if tool.is_empty() { text(facts.get("source")) } else { tool }, text(facts.get("location"))];
    Some(Set {
        place: place.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" · "),
        set: text(facts.get("set")),
        every: number(expected, "every").filter(|n| *n > 0),
        max_age: number(expected, "max_age").filter(|n| *n > 0),
        more: lanes.len().saturating_sub(MOST_LANES),
        lanes: lanes.into_values().take(MOST_LANES).collect(),
        doubtful,
        all: catalogue.get("asked").and_then(Value::as_str) == Some("all") && snapshots.len() <= MOST_COPIES,
        events: Vec::new(),
    })
}

/// What a copy is one of, as the probe names its histories: what it says itself, else its machine and paths, or its
/// databases.
fn series(snapshot: &Value) -> String {
    if let Some(series) = snapshot.get("series").and_then(Value::as_str) {
        return series.to_owned();
    }
    let list = |key| {
        let items = snapshot.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut parts = list("paths");
    parts.sort();
    parts.extend(list("databases"));
    let what = parts.join(",");
    match (snapshot.get("host").and_then(Value::as_str), what.is_empty()) {
        (Some(host), true) => host.to_owned(),
        (Some(host), false) => format!("{host}:{what}"),
        (None, true) => "all".to_owned(),
        (None, false) => what,
    }
}

/// A copy; none where it carries no time.
fn copy(snapshot: &Value) -> Option<Copy> {
    let at: Timestamp = plain(snapshot, "recovery_point").parse().ok()?;
    let judged = snapshot.get("complete").unwrap_or(&Value::Null);
    let missing = snapshot.get("missing_parents").and_then(Value::as_array).and_then(|list| list.first());
    let (complete, note) = match (plain(judged, "outcome"), missing) {
        (_, Some(parent)) => (Complete::No, format!("{}, which it needs, is not there", cell(parent))),
        ("present", None) => (Complete::Yes, basis(plain(judged, "basis")).to_owned()),
        ("absent", None) => (Complete::No, text(judged.get("why"))),
        (_, None) => (Complete::NotProven, text(judged.get("why"))),
    };
    let bytes = number(snapshot, "bytes").and_then(|n| u64::try_from(n).ok());
    Some(Copy { name: text(snapshot.get("name")), at: at.as_second(), bytes, complete, note })
}

/// What shows that a copy is complete, in words for people.
fn basis(basis: &str) -> &str {
    match basis {
        "job_log" => "the job's log",
        "source" => "comparison with the source",
        "tool_record" => "the tool's record",
        "end_mark" => "the mark at its end",
        other => other,
    }
}

/// What names the repository; empty where nothing does.
fn identity(facts: &Facts) -> String {
    facts.get("identity").map(|identity| plain(identity, "value").to_owned()).unwrap_or_default()
}

fn plain<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> Option<i64> {
    value.get(key).and_then(Value::as_i64)
}

fn text(value: Option<&Value>) -> String {
    value.filter(|v| !v.is_null()).map(cell).unwrap_or_default()
}

#[cfg(test)]
mod tests;
