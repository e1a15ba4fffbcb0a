//! JSON lines: a finding per line, for log stores and `jq`.

use serde_json::json;

use crate::{RenderError, Style, View, escape, summary};

/// Every finding, passes too, in the order of the assessment.
///
/// # Errors
/// Where JSON can't be written.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let addresses = summary::addresses(assessment);
    let mut text = String::new();
    for finding in &assessment.findings {
        let control = assessment.controls.get(&*finding.control);
        let line = json!({
            "as_of": assessment.as_of.to_string(),
            "service": assessment.service,
            "target": finding.target,
            "address": addresses.get(&*finding.target),
            "policy": finding.policy,
            "control": finding.control,
            "title": control.map(|c| &c.title),
            "severity": finding.severity,
            "verdict": finding.verdict,
            "blocks": summary::blocks(assessment, finding),
            "waiver": finding.waiver,
            "level": finding.level,
            "reasons": finding.reasons.iter().map(|r| &r.message).collect::<Vec<_>>(),
            "wanted": finding.wanted,
            "clauses": control.map(|c| &c.clauses),
            "evidence": finding.evidence,
            "fingerprint": summary::fingerprint(finding),
            "note": assessment.hypothetical.then_some(summary::HYPOTHETICAL),
        });
        text.push_str(&escape::json(&serde_json::to_string(&line)?));
        text.push('\n');
    }
    Ok(text.into_bytes())
}
