//! GitLab's Code Quality report: what fails or is not proven, as a merge request shows it.

use model::{Assessment, Finding, Severity, Verdict};
use serde_json::{Value, json};

use crate::escape::{plain, plain_cut, uri_path};
use crate::{RenderError, Style, View, escape, group, summary};

/// Most characters of a description.
const MOST: usize = 1_000;

/// Waived findings are left out: GitLab has no word for them. It compares two reports by `fingerprint`.
///
/// # Errors
/// Where JSON can't be written.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let mut findings: Vec<&Finding> =
        view.assessment.findings.iter().filter(|f| group::is_trouble(f) && f.waiver.is_none()).collect();
    findings.sort_by_key(|f| (std::cmp::Reverse(f.severity), f.verdict));
    let issues: Vec<Value> = findings.into_iter().map(|finding| issue(view, finding)).collect();
    let bytes = model::pretty_json(&issues)?;
    Ok(escape::json(&String::from_utf8_lossy(&bytes)).into_owned().into_bytes())
}

fn issue(view: &View<'_>, finding: &Finding) -> Value {
    let source = summary::place(view, finding);
    json!({
        "description": description(view.assessment, finding),
        "check_name": plain(&finding.control),
        "fingerprint": summary::fingerprint(finding),
        "severity": severity(finding.severity),
        "location": {
            "path": source.map_or_else(|| "probity.yaml".to_owned(), |s| uri_path(&s.file)),
            "lines": { "begin": source.map_or(1, |s| s.line.max(1)) },
        },
    })
}

fn description(assessment: &Assessment, finding: &Finding) -> String {
    let what = if finding.verdict == Verdict::Inconclusive { "not proven: " } else { "" };
    let reason = finding.reasons.first().map_or("", |r| r.message.as_str());
    let more = match finding.reasons.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let head = if assessment.hypothetical { format!("{}: ", summary::HYPOTHETICAL) } else { String::new() };
    format!("{head}{}: {what}{}{more}", plain(&finding.target), plain_cut(reason, MOST))
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "minor",
        Severity::Medium => "major",
        Severity::High => "critical",
        Severity::Critical => "blocker",
    }
}
