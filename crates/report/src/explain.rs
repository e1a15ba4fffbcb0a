//! A control in words: `probity explain CONTROL`.

use model::ControlInfo;

use crate::Style;
use crate::paint::{Look, Page};

/// Column of the text.
const TEXT: usize = 16;

/// What a control wants, why, how to get there, and where it is written, as text for a terminal.
#[must_use]
pub fn policy_explain(control: &ControlInfo, style: &Style) -> String {
    let mut page = Page::new(style);
    page.put(Look::Bold, &control.id).put(Look::Normal, "  ").put(Look::Normal, control.severity.as_str()).end();
    page.wrapped(Look::Normal, &control.title).end().end();
    section(&mut page, "why", &control.rationale);
    for (product, remedy) in &control.remedy {
        let label = if product == "any" { "fix".to_owned() } else { format!("fix, {product}") };
        section(&mut page, &label, remedy);
    }
    section(&mut page, "decided by", &control.kinds.join(", "));
    for (framework, clauses) in &control.clauses {
        section(&mut page, "helps to show", &format!("{framework}: {}", clauses.join(", ")));
    }
    let source = &control.source;
    section(&mut page, "written in", &format!("{}:{}:{}", source.file, source.line, source.column));
    page.finish()
}

/// A label and text; line breaks of the text are kept, for remedies are often lines of a configuration.
fn section(page: &mut Page, label: &str, text: &str) {
    page.put(Look::Dim, label);
    for line in text.trim().lines() {
        page.to(TEXT).wrapped(Look::Normal, line).end();
    }
    if text.trim().is_empty() {
        page.to(TEXT).put(Look::Normal, "-").end();
    }
}
