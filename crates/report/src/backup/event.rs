//! Reads and drills: when copies were looked into, and what that showed.

use model::measure::{size, span};
use model::{Evidence, Facts, FailureClass};
use serde_json::Value;

use super::{identity, number, plain, text};
use crate::summary::count;

/// Most events of one sort that are read from earlier runs.
pub(super) const MOST: usize = 200;

/// What was done with copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A part of the repository was read.
    Read,
    /// Something was restored and compared.
    Drill,
}

impl Deed {
    /// The kind of evidence.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Read => "backup-read",
            Self::Drill => "backup-restore",
        }
    }

    /// The word for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Drill => "restore drill",
        }
    }
}

/// What it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything looked at was as it should be.
    Good,
    /// Something was not.
    Bad,
    /// Neither was shown.
    NotProven,
}

/// One read or drill.
#[derive(Debug)]
pub(crate) struct Event {
    /// When its evidence was collected, seconds since 1970.
    pub(crate) at: i64,
    /// What was done.
    pub(crate) deed: Deed,
    /// What it showed.
    pub(crate) state: State,
    /// That in words.
    pub(crate) words: String,
    /// Whether an earlier run did it.
    pub(crate) earlier: bool,
    /// Whether it took place at all.
    pub(crate) done: bool,
}

impl Event {
    /// Reads one piece of evidence; `repository` names the one that this run saw.
    pub(super) fn of(deed: Deed, evidence: &Evidence, repository: &str, earlier: bool) -> Option<Self> {
        let class = evidence.failure.as_ref().map(|f| f.class);
        // An inventory that asks for no reading gets facts that say so.
        let asked = evidence.facts.as_ref().is_none_or(|facts| facts.get("budget") != Some(&Value::Null));
        if !asked || class == Some(FailureClass::NotAsked) {
            return None;
        }
        let done = class != Some(FailureClass::NotRun);
        let (state, words) = match (&evidence.facts, &evidence.failure) {
            (Some(facts), _) => {
                let (state, words) = match deed {
                    Deed::Read => of_read(facts),
                    Deed::Drill => of_drill(facts),
                };
                let of = identity(facts);
                if of == repository {
                    (state, words)
                } else {
                    (State::NotProven, format!("of another repository: {words}"))
                }
            }
            (None, Some(failure)) => (State::NotProven, failure.message.clone()),
            (None, None) => return None,
        };
        Some(Self { at: evidence.collected.as_second(), deed, state, words, earlier, done })
    }
}

fn items<'a>(facts: &'a Facts, key: &str) -> impl Iterator<Item = &'a Value> {
    facts.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Parts that were read, and whether they were intact.
pub(super) fn of_read(facts: &Facts) -> (State, String) {
    let wrong = facts.get("errors").unwrap_or(&Value::Null);
    let parts = |outcome| items(facts, "parts").filter(|p| plain(p, "outcome") == outcome).count();
    let (intact, damaged, doubtful) = (parts("intact"), parts("damaged"), parts("not_proven"));
    let said = wrong.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let unsure = said.iter().filter(|e| plain(e, "outcome") == "not_proven").count();
    let errors = said.len() - unsure;
    let structure = facts.get("structure").map(|s| plain(s, "outcome")).unwrap_or_default();
    let unproven = doubtful + unsure > 0 || structure == "not_proven" || plain(wrong, "asked") != "all";
    let state = if damaged + errors > 0 || structure == "damaged" {
        State::Bad
    } else if intact == 0 || unproven {
        State::NotProven
    } else {
        State::Good
    };
    let mut words = Vec::new();
    if damaged > 0 {
        words.push(format!("{} damaged", count(damaged, "part", "parts")));
    }
    if structure == "damaged" {
        words.push("its own records are damaged".into());
    }
    if errors > 0 {
        words.push(count(errors, "error", "errors"));
    }
    if intact > 0 {
        words.push(format!("{intact} of {} intact", count(items(facts, "parts").count(), "part", "parts")));
    }
    if doubtful > 0 {
        words.push(format!("{} not proven", count(doubtful, "part", "parts")));
    }
    if unsure > 0 {
        words.push(format!("{} not proven", count(unsure, "error", "errors")));
    }
    if structure == "not_proven" {
        words.push("its own records not proven".into());
    }
    if words.is_empty() {
        words.push("nothing was read".into());
    }
    let bytes = facts.get("bytes_read").and_then(Value::as_i64).filter(|n| *n > 0);
    let about = if facts.get("bytes_estimated").and_then(Value::as_bool) == Some(true) { "about " } else { "" };
    words.extend(bytes.map(|n| format!("{about}{} read", size(n.into()))));
    (state, words.join(", "))
}

/// What was restored, and whether it is what was written.
pub(super) fn of_drill(facts: &Facts) -> (State, String) {
    let at = |key: &str| facts.get(key).unwrap_or(&Value::Null);
    let samples = at("samples");
    let compared = samples.get("samples").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let queries: Vec<&Value> = items(facts, "queries").collect();
    let equal = |items: &[&Value]| items.iter().filter(|v| plain(v, "outcome") == "present").count();
    let compared: Vec<&Value> = compared.iter().collect();
    let canary_declared = at("expected").get("canary").and_then(Value::as_bool).unwrap_or(true);
    let mut all = vec![plain(at("restored"), "outcome"), plain(samples, "outcome")];
    if canary_declared {
        all.push(plain(at("canary"), "outcome"));
    }
    // The list of files is compared where the whole copy of files came back.
    let listed = number(at("list"), "of");
    if listed.is_some() {
        all.push(plain(at("list"), "outcome"));
    }
    all.extend(compared.iter().chain(&queries).map(|v| plain(v, "outcome")));
    let state = if all.contains(&"absent") {
        State::Bad
    } else if all.iter().all(|outcome| *outcome == "present") {
        State::Good
    } else {
        State::NotProven
    };
    let mut words = vec![match plain(at("restored"), "outcome") {
        "present" => format!("restored {}", size(number(at("restored"), "bytes").unwrap_or_default().into())),
        "absent" => format!("restored nothing: {}", text(at("restored").get("why"))),
        _ => "whether anything came back is not proven".into(),
    }];
    if canary_declared {
        words.push(match plain(at("canary"), "outcome") {
            "present" => "canary equal".into(),
            "absent" => "canary lost".into(),
            _ => "canary not proven".into(),
        });
    }
    if !compared.is_empty() {
        words.push(format!("{} of {} equal", equal(&compared), count(compared.len(), "sample", "samples")));
    }
    if let Some(of) = listed {
        let there = number(at("list"), "there").unwrap_or_default();
        words.push(format!("{there} of {} there", count(usize::try_from(of).unwrap_or_default(), "file", "files")));
    }
    if !queries.is_empty() {
        words.push(format!("{} of {} right", equal(&queries), count(queries.len(), "query", "queries")));
    }
    let millis = number(at("restored"), "millis").filter(|n| *n > 0);
    words.extend(millis.map(|n| format!("in {}", if n < 2_000 { format!("{n} ms") } else { span(n / 1_000) })));
    (state, words.join(", "))
}
