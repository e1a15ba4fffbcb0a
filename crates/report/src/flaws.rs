//! The tests of known flaws of one TLS endpoint as a scanner would show them.

use model::Facts;
use serde::Deserialize;

use crate::paint::{Look, Page};
use crate::tls::words;

/// Where the second and the third column begin.
const COLUMNS: (usize, usize) = (27, 40);

#[derive(Deserialize)]
struct Tested {
    flaws: Vec<Flaw>,
    connections: u32,
}

#[derive(Deserialize)]
struct Flaw {
    name: String,
    outcome: String,
    how: String,
    why: Option<String>,
    detail: Option<String>,
}

/// Draws facts of the kind `tls-flaws`; false where they are of another.
pub(crate) fn draw(page: &mut Page, facts: &Facts) -> bool {
    let Ok(tested) = serde_json::from_value::<Tested>(serde_json::Value::Object(facts.clone())) else { return false };
    for flaw in &tested.flaws {
        let look = match flaw.outcome.as_str() {
            "present" => Look::Bold,
            "not_proven" => Look::Doubt,
            _ => Look::Normal,
        };
        page.to(2).put(Look::Normal, &flaw.name.replace('_', " ")).to(COLUMNS.0);
        page.put(look, words(&flaw.outcome)).to(COLUMNS.1);
        // How is of interest where something is known.
        let how = Some(flaw.how.as_str()).filter(|_| matches!(flaw.outcome.as_str(), "present" | "absent"));
        let notes = [how, flaw.detail.as_deref(), flaw.why.as_deref()].into_iter().flatten();
        page.wrapped(Look::Dim, &notes.collect::<Vec<_>>().join(" · ")).end();
    }
    page.end().put(Look::Dim, &format!("{} connections", tested.connections));
    page.end();
    true
}
