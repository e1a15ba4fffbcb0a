//! Markdown for a pull request or GitHub's step summary (GitHub Flavored Markdown).
//!
//! What came from outside stands in code spans alone, in which nothing is markup, a link, or a mention.

use std::fmt::Write as _;

use model::{Assessment, Verdict};

use crate::escape::{plain, plain_cut};
use crate::group::{self, Entry};
use crate::{RenderError, Style, View, summary};

/// Most rows of the table: a step summary may have 1 MiB.
const MOST_ROWS: usize = 200;
/// Most characters of one cell.
const MOST_CELL: usize = 400;

/// What fails or is not proven as a table, worst first, and how the rest adds up.
///
/// # Errors
/// None.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let mut text = String::new();
    let hypothetical = if assessment.hypothetical { format!(", {}", summary::HYPOTHETICAL) } else { String::new() };
    let outcome = summary::outcome_word(assessment.gate.outcome);
    let _ = writeln!(text, "## Probity: {outcome}{hypothetical}\n");
    let _ = writeln!(
        text,
        "{}: {}\n",
        code(&assessment.service, MOST_CELL),
        code(&summary::outcome_reasons(assessment), MOST_CELL)
    );
    table(&mut text, view);
    for notice in &assessment.notices {
        let _ = writeln!(text, "- {}", code(&notice.message, MOST_CELL));
    }
    if !assessment.notices.is_empty() {
        text.push('\n');
    }
    let lines = [
        ("judged by", summary::policies(assessment)),
        ("looked at", summary::looked_at(assessment)),
        ("as of", assessment.as_of.to_string()),
        ("signature", summary::signature(view, 64)),
    ];
    for (what, said) in lines {
        let _ = writeln!(text, "- {what}: {}", code(&said, MOST_CELL));
    }
    Ok(text.into_bytes())
}

fn table(text: &mut String, view: &View<'_>) {
    let assessment = view.assessment;
    let entries = group::entries(assessment.findings.iter().filter(|f| group::is_trouble(f)));
    if entries.is_empty() {
        return;
    }
    text.push_str("| | severity | control | where | what was seen |\n|---|---|---|---|---|\n");
    for entry in entries.iter().take(MOST_ROWS) {
        let finding = entry.first;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            mark(assessment, entry),
            finding.severity,
            cell(&code(&finding.control, 80)),
            cell(&code(&summary::some_of(entry.targets(), 5), MOST_CELL)),
            cell(&seen(assessment, entry)),
        );
    }
    text.push('\n');
    if let Some(more @ 1..) = entries.len().checked_sub(MOST_ROWS) {
        let _ = writeln!(text, "{} more: see the pack.\n", summary::count(more, "row", "rows"));
    }
}

fn mark(assessment: &Assessment, entry: &Entry<'_>) -> &'static str {
    match (entry.first.waiver.is_some(), entry.first.verdict) {
        (true, _) => "waived",
        (false, Verdict::Inconclusive) if summary::blocks(assessment, entry.first) => "**not proven**",
        (false, Verdict::Inconclusive) => "not proven",
        (false, _) if summary::blocks(assessment, entry.first) => "**fails**",
        (false, _) => "fails",
    }
}

fn seen(assessment: &Assessment, entry: &Entry<'_>) -> String {
    let finding = entry.first;
    let mut parts: Vec<String> = finding.reasons.iter().take(2).map(|r| code(&r.message, MOST_CELL)).collect();
    if let Some(more @ 1..) = finding.reasons.len().checked_sub(2) {
        parts.push(format!("and {more} more"));
    }
    parts.extend(finding.wanted.as_ref().map(|wanted| format!("wanted: {}", code(wanted, MOST_CELL))));
    parts.extend(summary::waived(assessment, finding).map(|waived| code(&waived, MOST_CELL)));
    parts.join("<br>")
}

/// A code span (CommonMark 6.1): a fence of more backticks than the text has in a row.
fn code(text: &str, most: usize) -> String {
    let shown = plain_cut(text, most);
    let shown = plain(shown.trim());
    if shown.is_empty() {
        return "–".to_owned();
    }
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

/// A cell of a table: bars end cells even in code spans (GFM 4.10).
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_stays_in_its_span() {
        assert_eq!(code("<img src=x> @ops **b**", 80), "`<img src=x> @ops **b**`");
        assert_eq!(code("a ``` b", 80), "````a ``` b````");
        assert_eq!(code("`a`", 80), "`` `a` ``");
        assert_eq!(code("a\n# b", 80), "`a\\u{a}# b`");
        assert_eq!(cell(&code("a|b", 80)), "`a\\|b`");
        assert_eq!(code(" ", 80), "–");
    }
}
