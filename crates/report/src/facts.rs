//! Facts of any kind, laid out for reading. Facts are JSON that this crate knows no types of.

use model::Facts;
use serde::Serialize;
use serde_json::Value;

use crate::escape::plain_cut;

/// Most rows of one table and most items of one list.
const MOST_ROWS: usize = 100;
/// Most columns of one table.
const MOST_COLUMNS: usize = 10;
/// Most parts of one piece of evidence.
const MOST_PARTS: usize = 60;
/// Most characters of one cell.
const MOST_CELL: usize = 300;

/// One part of some facts: its fields, or a table.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    /// Path in the facts; empty for the top.
    pub(crate) title: String,
    /// Names and values, where the part is an object.
    pub(crate) fields: Vec<(String, String)>,
    /// Heads of the columns, where it is a list of objects.
    pub(crate) columns: Vec<String>,
    /// A row per object.
    pub(crate) rows: Vec<Vec<String>>,
    /// How many rows were left out.
    pub(crate) more: usize,
}

/// Lays out facts, without the keys named: first what is plain, then a part for each object and each list of objects.
/// Bounded whatever the facts.
pub(crate) fn parts(facts: &Facts, without: &[&str]) -> Vec<Part> {
    let mut parts = Vec::new();
    let kept = facts.iter().filter(|(key, _)| !without.contains(&key.as_str()));
    object(&mut parts, "", &kept.collect::<Vec<_>>());
    parts
}

fn object(parts: &mut Vec<Part>, title: &str, fields: &[(&String, &Value)]) {
    let place = parts.len();
    let mut own = Vec::new();
    for (key, value) in fields {
        let path = if title.is_empty() { (*key).clone() } else { format!("{title}.{key}") };
        match value {
            _ if parts.len() >= MOST_PARTS || path.matches('.').count() >= 4 => own.push(((*key).clone(), cell(value))),
            Value::Object(inner) if !inner.is_empty() => {
                object(parts, &path, &inner.iter().collect::<Vec<_>>());
            }
            Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
                parts.push(table(&path, items));
            }
            _ => own.push(((*key).clone(), cell(value))),
        }
    }
    if !own.is_empty() {
        let more = own.len().saturating_sub(MOST_ROWS);
        own.truncate(MOST_ROWS);
        let part = Part { title: title.into(), fields: own, columns: vec![], rows: vec![], more };
        parts.insert(place.min(parts.len()), part);
    }
}

fn table(title: &str, items: &[Value]) -> Part {
    let mut columns: Vec<String> = Vec::new();
    for key in items.iter().take(MOST_ROWS).filter_map(Value::as_object).flat_map(|o| o.keys()) {
        if columns.len() < MOST_COLUMNS && !columns.contains(key) {
            columns.push(key.clone());
        }
    }
    // Names first: JSON objects are kept sorted by key, which puts them anywhere.
    columns.sort_by_key(|c| !matches!(c.as_str(), "name" | "id" | "address" | "path" | "subject"));
    let row = |item: &Value| columns.iter().map(|c| item.get(c).map(cell).unwrap_or_default()).collect();
    let rows = items.iter().take(MOST_ROWS).map(row).collect();
    Part { title: title.into(), fields: vec![], columns, rows, more: items.len().saturating_sub(MOST_ROWS) }
}

/// A value in one line: lists of plain things with commas, anything deeper as JSON.
pub(crate) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(n) => n.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) if items.iter().all(Value::is_u64) => ranges(items),
        Value::Array(items) if items.iter().all(|i| !i.is_array() && !i.is_object()) => {
            let shown = items.iter().take(MOST_ROWS).map(cell).collect::<Vec<_>>().join(", ");
            let more = items.len().saturating_sub(MOST_ROWS);
            if more > 0 { format!("{shown} and {more} more") } else { shown }
        }
        deeper => deeper.to_string(),
    };
    plain_cut(&text, MOST_CELL).into_owned()
}

/// `0-3, 7` for 0, 1, 2, 3, 7.
fn ranges(items: &[Value]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for n in items.iter().filter_map(Value::as_u64) {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(n) => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let show = |(a, b): &(u64, u64)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    runs.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn shown(value: &Value) -> Vec<Part> {
        value.as_object().map(|facts| parts(facts, &["skipped"])).unwrap_or_default()
    }

    #[test]
    fn plain_things_come_first_and_lists_of_objects_are_tables() {
        let parts = shown(&json!({
            "sockets": [{ "process": "nginx", "address": "0.0.0.0:443" }, { "address": "0.0.0.0:22", "seen": [1, 2, 3, 7] }],
            "asked": "all", "empty": [], "nothing": null, "kernel": { "release": "6.1" }, "skipped": 1,
        }));
        let titles: Vec<&str> = parts.iter().map(|p| p.title.as_str()).collect();
        assert_eq!(titles, ["", "kernel", "sockets"]);
        let top = parts.first().map(|p| p.fields.clone()).unwrap_or_default();
        let wanted = [("asked", "all"), ("empty", "none"), ("nothing", "-")];
        assert_eq!(top, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let sockets = parts.last().map(|p| (p.columns.clone(), p.rows.clone())).unwrap_or_default();
        assert_eq!(sockets.0, ["address", "process", "seen"]);
        assert_eq!(sockets.1, [["0.0.0.0:443", "nginx", ""], ["0.0.0.0:22", "", "1-3, 7"]]);
    }

    #[test]
    fn long_lists_are_bounded_and_say_so() {
        let many: Vec<Value> = (0..1_000).map(|n| json!({ "n": n })).collect();
        let parts = shown(&json!({ "many": many }));
        assert_eq!(parts.first().map(|p| (p.rows.len(), p.more)), Some((100, 900)));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z.]{0,3}", inner, 0..6).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_facts_are_laid_out_within_bounds(value in any_json()) {
            let parts = shown(&json!({ "v": value }));
            prop_assert!(parts.len() <= 2 * MOST_PARTS);
            for part in parts {
                prop_assert!(part.rows.iter().all(|r| r.len() == part.columns.len()));
            }
        }
    }
}
