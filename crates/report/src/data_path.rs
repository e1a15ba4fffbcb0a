//! The facts of data paths, read leniently from JSON: for each hop what each level of evidence shows.

use model::Level;
use serde_json::Value;

use crate::View;
use crate::escape::plain_cut;

/// The kind of evidence that is read here.
pub(crate) const KIND: &str = "data-path";
/// The levels, one column each.
pub(crate) const LEVELS: [Level; 3] = [Level::Declared, Level::Effective, Level::Demonstrated];
/// Most paths, and most hops of one.
const MOST: (usize, usize) = (20, 40);
/// Most ciphers that are named in a cell.
const MOST_CIPHERS: usize = 4;
/// Most characters of a name and of a reason.
const MOST_TEXT: usize = 160;

/// Whether data is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is.
    Encrypted,
    /// It is in clear somewhere.
    Clear,
    /// Nothing shows it.
    NotProven,
}

impl State {
    fn of(value: &Value) -> Self {
        match text(value, "outcome") {
            "present" => Self::Encrypted,
            "absent" => Self::Clear,
            _ => Self::NotProven,
        }
    }

    /// The word for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Clear => "in clear",
            Self::NotProven => "not proven",
        }
    }

    /// The class of the style sheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Encrypted => "good",
            Self::Clear => "bad",
            Self::NotProven => "unknown",
        }
    }
}

/// What one level of evidence shows of a hop.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The worst of it.
    pub(crate) state: State,
    /// `AES-128-GCM, AES-256-GCM`, or the reason.
    pub(crate) words: String,
}

/// One hop.
#[derive(Debug)]
pub(crate) struct Hop {
    /// Its name.
    pub(crate) name: String,
    /// What all of it shows.
    pub(crate) state: State,
    /// Why it is not encrypted, or the level at which it is shown to be.
    pub(crate) why: String,
    /// The least strength of its ciphers in bits, where all are known.
    pub(crate) bits: Option<u64>,
    /// One for each of [`LEVELS`], `None` without evidence.
    pub(crate) cells: [Option<Cell>; 3],
}

/// One path.
#[derive(Debug)]
pub(crate) struct Path {
    /// Its target's name.
    pub(crate) name: String,
    /// The claimed strength in bits.
    pub(crate) claimed: Option<u64>,
    /// Its hops.
    pub(crate) hops: Vec<Hop>,
    /// Hops that are left out.
    pub(crate) more: usize,
}

/// All paths that there is evidence of.
pub(crate) fn all(view: &View<'_>) -> Vec<Path> {
    let lines = view.assessment.coverage.targets.iter();
    let digests = lines.filter_map(|line| Some((&line.name, line.evidence.get(KIND)?)));
    let read = digests.take(MOST.0).filter_map(|(name, digest)| {
        let evidence = (view.evidence)(digest)?;
        let facts = evidence.facts.as_ref()?;
        let hops: Vec<&Value> = list(facts.get("hops")).collect();
        Some(Path {
            name: plain_cut(name, MOST_TEXT).into_owned(),
            claimed: facts.get("claimed_bits").and_then(Value::as_u64),
            more: hops.len().saturating_sub(MOST.1),
            hops: hops.into_iter().take(MOST.1).map(hop).collect(),
        })
    });
    read.collect()
}

/// How many there are.
pub(crate) fn known(view: &View<'_>) -> usize {
    view.assessment.coverage.targets.iter().filter(|line| line.evidence.contains_key(KIND)).count()
}

fn hop(value: &Value) -> Hop {
    let state = State::of(value);
    let level = text(value, "level");
    let bits: Option<Vec<u64>> = list(value.get("ciphers")).map(|c| c.get("bits").and_then(Value::as_u64)).collect();
    Hop {
        name: cut(text(value, "name")),
        why: if state == State::Encrypted { level.to_owned() } else { cut(text(value, "why")) },
        bits: bits.and_then(|bits| bits.into_iter().min()),
        state,
        cells: LEVELS.map(|level| cell(list(value.get("layers")).filter(|l| text(l, "level") == level.as_str()))),
    }
}

fn cell<'a>(layers: impl Iterator<Item = &'a Value>) -> Option<Cell> {
    let layers: Vec<&Value> = layers.collect();
    let of = |state: State| layers.iter().filter(move |layer| State::of(layer) == state);
    let reason = |state: State| of(state).next().map(|layer| cut(text(layer, "why")));
    if layers.is_empty() {
        return None;
    }
    if let Some(words) = reason(State::Clear) {
        return Some(Cell { state: State::Clear, words });
    }
    let mut names: Vec<String> = Vec::new();
    for cipher in of(State::Encrypted).flat_map(|layer| list(layer.get("ciphers"))) {
        let name = cut(text(cipher, "name"));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(MOST_CIPHERS);
    names.truncate(MOST_CIPHERS);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    match reason(State::NotProven) {
        Some(words) if of(State::Encrypted).next().is_none() => Some(Cell { state: State::NotProven, words }),
        _ => Some(Cell { state: State::Encrypted, words: names.join(", ") }),
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn cut(text: &str) -> String {
    plain_cut(text, MOST_TEXT).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{State, hop};

    #[test]
    fn a_cell_shows_the_worst_of_its_level() {
        let layer = |level: &str, outcome: &str, ciphers: &[&str]| {
            let ciphers: Vec<_> = ciphers.iter().map(|name| json!({ "name": name, "bits": 128 })).collect();
            json!({ "level": level, "outcome": outcome, "why": "because", "ciphers": ciphers })
        };
        let layers = [
            layer("declared", "present", &["a", "b"]),
            layer("declared", "present", &["b", "c", "d", "e", "f"]),
            layer("demonstrated", "present", &["a"]),
            layer("demonstrated", "absent", &[]),
        ];
        let all = json!({ "name": "store", "outcome": "absent", "why": "it is", "ciphers": [{ "bits": 128 }, { "bits": null }], "layers": layers });
        let hop = hop(&all);
        assert_eq!((hop.state, hop.why.as_str(), hop.bits), (State::Clear, "it is", None));
        let [declared, effective, demonstrated] = hop.cells;
        assert!(declared.is_some_and(|c| c.state == State::Encrypted && c.words == "a, b, c, d, 2 more"));
        assert!(effective.is_none());
        assert!(demonstrated.is_some_and(|c| c.state == State::Clear && c.words == "because"));
    }

    #[test]
    fn what_is_missing_proves_nothing() {
        for value in [json!(null), json!({}), json!({ "layers": [{ "level": "declared" }] })] {
            assert_eq!(hop(&value).state, State::NotProven);
        }
    }
}
