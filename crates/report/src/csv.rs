//! CSV (RFC 4180), a row per finding, for spreadsheets.

use model::{Assessment, Finding};

use crate::escape::plain;
use crate::{RenderError, Style, View, summary};

/// The first row.
const COLUMNS: [&str; 18] = [
    "as_of",
    "service",
    "target",
    "address",
    "policy",
    "control",
    "title",
    "severity",
    "verdict",
    "blocks",
    "waived",
    "level",
    "reasons",
    "wanted",
    "clauses",
    "evidence",
    "fingerprint",
    "note",
];

/// Every finding, passes too, in the order of the assessment.
///
/// # Errors
/// None.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let addresses = summary::addresses(assessment);
    let mut text = String::new();
    row(&mut text, COLUMNS);
    for finding in &assessment.findings {
        let address = addresses.get(&*finding.target).copied().unwrap_or_default();
        row(&mut text, cells(assessment, finding, address));
    }
    Ok(text.into_bytes())
}

fn cells(assessment: &Assessment, finding: &Finding, address: &str) -> [String; 18] {
    let control = assessment.controls.get(&*finding.control);
    let reasons: Vec<&str> = finding.reasons.iter().map(|r| r.message.as_str()).collect();
    let clauses =
        control.into_iter().flat_map(|c| &c.clauses).map(|(f, clauses)| format!("{f} {}", clauses.join(", ")));
    let evidence: Vec<String> = finding.evidence.iter().map(ToString::to_string).collect();
    [
        assessment.as_of.to_string(),
        assessment.service.clone(),
        finding.target.to_string(),
        address.to_owned(),
        finding.policy.to_string(),
        finding.control.to_string(),
        control.map(|c| c.title.clone()).unwrap_or_default(),
        finding.severity.to_string(),
        finding.verdict.as_str().to_owned(),
        summary::blocks(assessment, finding).to_string(),
        summary::waived(assessment, finding).unwrap_or_default(),
        finding.level.map(|l| l.as_str().to_owned()).unwrap_or_default(),
        reasons.join("; "),
        finding.wanted.clone().unwrap_or_default(),
        clauses.collect::<Vec<_>>().join("; "),
        evidence.join(" "),
        summary::fingerprint(finding).to_string(),
        if assessment.hypothetical { summary::HYPOTHETICAL.to_owned() } else { String::new() },
    ]
}

fn row<T: AsRef<str>>(text: &mut String, cells: [T; 18]) {
    let cells: Vec<String> = cells.iter().map(|c| cell(c.as_ref())).collect();
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}

/// A quoted cell. One that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection").
fn cell(text: &str) -> String {
    let shown = plain(text);
    let formula = shown.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, shown.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_and_nothing_else() {
        assert_eq!(cell("a,b \"c\""), "\"a,b \"\"c\"\"\"");
        assert_eq!(cell("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
        assert_eq!(cell(" -1+2"), "\"' -1+2\"");
        assert_eq!(cell("a\r\n=1"), "\"a\\u{d}\\u{a}=1\"");
    }
}
