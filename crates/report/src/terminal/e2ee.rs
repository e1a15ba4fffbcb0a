//! One line for each store of payloads that are said to be encrypted end to end: what became of the claim, with its bound. A
//! pass alone would say more than was shown.

use serde_json::Value;

use crate::View;
use crate::escape::plain_cut;
use crate::paint::{Look, Page};

/// The kind of evidence that is read here.
const KIND: &str = "e2ee";
/// Most lines.
const MOST_LINES: usize = 12;
/// Most characters of a store's name.
const MOST_NAME: usize = 40;

/// Draws them where there are any.
pub(super) fn draw(page: &mut Page, view: &View<'_>) {
    let digests = view.assessment.coverage.targets.iter().filter_map(|line| line.evidence.get(KIND));
    let mut lines: Vec<(String, String, Look)> = Vec::new();
    for evidence in digests.take(MOST_LINES).filter_map(|digest| (view.evidence)(digest)) {
        let stores = evidence.facts.as_ref().and_then(|facts| facts.get("stores")?.get("stores")?.as_array());
        lines.extend(stores.into_iter().flatten().filter_map(line));
    }
    if lines.is_empty() {
        return;
    }
    page.put(Look::Bold, "end-to-end encryption").end();
    let widest = lines.iter().take(MOST_LINES).map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    for (name, result, look) in lines.iter().take(MOST_LINES) {
        page.to(2).put(Look::Normal, name).to(widest + 4).wrapped(*look, result).end();
    }
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        page.to(2).put(Look::Dim, &format!("and {more} more")).end();
    }
    page.end();
}

/// A store's name, its result, and how that looks.
fn line(store: &Value) -> Option<(String, String, Look)> {
    let text = |key: &str, most: usize| Some(plain_cut(store.get(key)?.as_str()?, most).into_owned());
    let look = match store.get("claim")?.as_str()? {
        "refuted" => Look::Bad,
        "not_refuted" => Look::Normal,
        _ => Look::Doubt,
    };
    Some((text("name", MOST_NAME)?, text("result", 200)?, look))
}
