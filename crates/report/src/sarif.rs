//! SARIF 2.1.0 (OASIS), within what GitHub code scanning accepts.

use std::collections::BTreeMap;

use model::{Assessment, ControlInfo, Finding, NoticeLevel, Severity, Source, Verdict};
use serde_json::{Value, json};

use crate::escape::{plain, plain_cut, uri_path};
use crate::{RenderError, Style, View, group, summary};

/// Results that GitHub shows of one run; more than 25,000 and it refuses the upload.
const MOST_RESULTS: usize = 5_000;
/// Characters of a rule's descriptions, as GitHub bounds them.
const MOST_DESCRIPTION: usize = 1_024;

/// Failures (`kind: fail`) and what is not proven (`kind: open`), worst first. Waived ones are results with a
/// suppression. Passes and what does not apply are not written.
///
/// # Errors
/// Where JSON can't be written.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let mut findings: Vec<&Finding> = assessment.findings.iter().filter(|f| group::is_trouble(f)).collect();
    findings.sort_by_key(|f| (f.waiver.is_some(), std::cmp::Reverse(f.severity), f.verdict));
    let left_out = findings.len().saturating_sub(MOST_RESULTS);
    findings.truncate(MOST_RESULTS);
    let rules: BTreeMap<&str, usize> = assessment.controls.keys().enumerate().map(|(n, id)| (id.as_str(), n)).collect();
    let results: Vec<Value> = findings.iter().map(|f| result(view, f, rules.get(&*f.control).copied())).collect();
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver(assessment) },
            "automationDetails": { "id": automation_id(assessment) },
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation(assessment, left_out)],
            "results": results,
            "properties": {
                "outcome": summary::outcome_word(assessment.gate.outcome),
                "summary": summary::outcome_reasons(assessment),
                "hypothetical": assessment.hypothetical,
                "asOf": assessment.as_of.to_string(),
                "signature": summary::signature(view, 64),
            },
        }],
    });
    let bytes = model::pretty_json(&log)?;
    Ok(crate::escape::json(&String::from_utf8_lossy(&bytes)).into_owned().into_bytes())
}

/// The category (what is audited) and then the run, as GitHub splits it.
fn automation_id(assessment: &Assessment) -> String {
    let what = if assessment.hypothetical { "probity-hypothetical" } else { "probity" };
    let time = assessment.as_of.strftime("%Y%m%dT%H%M%SZ");
    format!("{what}/{}/{time}", plain(&assessment.service).replace('/', "_"))
}

fn driver(assessment: &Assessment) -> Value {
    let tool = &assessment.run.tool;
    let name = if assessment.hypothetical { "Probity (hypothetical, not an audit)" } else { "Probity" };
    json!({
        "name": name,
        "version": plain(&tool.version),
        "rules": assessment.controls.values().map(rule).collect::<Vec<_>>(),
        "properties": { "digest": tool.digest },
    })
}

/// Text that is never empty, as GitHub demands of required fields.
fn filled(text: &str, otherwise: &str) -> String {
    let shown = plain_cut(text.trim(), MOST_DESCRIPTION - 1);
    if shown.is_empty() { plain_cut(otherwise, MOST_DESCRIPTION - 1).into_owned() } else { shown.into_owned() }
}

fn rule(control: &ControlInfo) -> Value {
    let title = filled(&control.title, &control.id);
    let mut help = vec![filled(&control.rationale, &title)];
    for (product, text) in &control.remedy {
        let lines: Vec<_> = text.lines().map(plain).collect();
        help.push(format!("Fix, {}: {}", plain(product), lines.join("\n")));
    }
    for (framework, clauses) in &control.clauses {
        help.push(format!("{}: {}", plain(framework), summary::some_of(clauses.iter().map(String::as_str), 20)));
    }
    json!({
        "id": plain(&control.id),
        "shortDescription": { "text": title },
        "fullDescription": { "text": filled(&control.rationale, &title) },
        "help": { "text": help.join("\n\n") },
        "defaultConfiguration": { "level": level(control.severity) },
        "properties": {
            "tags": ["security"],
            "precision": "very-high",
            "problem.severity": problem_severity(control.severity),
            "security-severity": security_severity(control.severity),
        },
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

const fn problem_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "recommendation",
    }
}

/// A number within GitHub's band for the severity: critical above 9.0, high from 7.0, medium from 4.0, low below.
const fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.5",
        Severity::Info => "0.1",
    }
}

fn physical(source: &Source) -> Value {
    json!({
        "artifactLocation": { "uri": filled(&uri_path(&source.file), "probity.yaml") },
        "region": { "startLine": source.line.max(1), "startColumn": source.column.max(1) },
    })
}

fn result(view: &View<'_>, finding: &Finding, rule: Option<usize>) -> Value {
    let assessment = view.assessment;
    let control = assessment.controls.get(&*finding.control);
    let nowhere = Source { file: "probity.yaml".into(), line: 1, column: 1 };
    let in_policy = control.map(|c| &c.source);
    // GitHub wants a physical location. The inventory is in the user's repository, a shipped policy is not.
    let place = view.inventory.or(in_policy).unwrap_or(&nowhere);
    let waived = summary::waived(assessment, finding);
    let open = finding.verdict == Verdict::Inconclusive;
    // Section 3.27.10 of the standard: any kind but "fail" has the level "none".
    let level = match (open, &waived) {
        (true, _) => "none",
        (false, Some(_)) => "note",
        (false, None) => level(finding.severity),
    };
    let mut result = json!({
        "ruleId": plain(&finding.control),
        "kind": if open { "open" } else { "fail" },
        "level": level,
        "message": { "text": message(assessment, finding) },
        "locations": [{
            "physicalLocation": physical(place),
            "logicalLocations": [{ "fullyQualifiedName": plain(&finding.target), "kind": "resource" }],
        }],
        "partialFingerprints": fingerprints(finding),
        "properties": {
            "policy": plain(&finding.policy),
            "target": plain(&finding.target),
            "verdict": finding.verdict.as_str(),
            "severity": finding.severity.as_str(),
            "evidenceLevel": finding.level.map(model::Level::as_str),
            "evidence": finding.evidence,
            "wanted": finding.wanted.as_deref().map(plain),
            "blocks": summary::blocks(assessment, finding),
        },
    });
    let Some(object) = result.as_object_mut() else { return result };
    if let Some(rule) = rule {
        object.insert("ruleIndex".into(), rule.into());
    }
    if let (Some(_), Some(source)) = (view.inventory, in_policy) {
        let related = json!([{ "id": 1, "message": { "text": "the control" }, "physicalLocation": physical(source) }]);
        object.insert("relatedLocations".into(), related);
    }
    if let Some(waived) = waived {
        let reason = summary::waiver(assessment, finding).map(|w| plain(&w.reason).into_owned()).unwrap_or_default();
        let justification = format!("{waived}: {reason}");
        let suppression = json!([{ "kind": "external", "status": "accepted", "justification": justification }]);
        object.insert("suppressions".into(), suppression);
    }
    result
}

fn message(assessment: &Assessment, finding: &Finding) -> String {
    let mut text = String::new();
    if assessment.hypothetical {
        text.push_str("Hypothetical: ");
    }
    if let Some(waived) = summary::waived(assessment, finding) {
        text.push_str(&format!("[{waived}] "));
    }
    if finding.verdict == Verdict::Inconclusive {
        text.push_str("Not proven: ");
    }
    text.push_str(&plain(&finding.target));
    for (n, reason) in finding.reasons.iter().take(10).enumerate() {
        text.push_str(if n == 0 { ": " } else { "; " });
        text.push_str(&plain_cut(&reason.message, 1_000));
    }
    if finding.reasons.len() > 10 {
        text.push_str(&format!("; and {} more", finding.reasons.len() - 10));
    }
    if let Some(wanted) = &finding.wanted {
        text.push_str(&format!(". Wanted: {}", plain_cut(wanted, 1_000)));
    }
    text
}

/// Stable from run to run: policy, control and target, and nothing of what was seen.
fn fingerprints(finding: &Finding) -> Value {
    let digest = summary::fingerprint(finding).to_string();
    json!({ "primaryLocationLineHash": format!("{digest:.16}:1"), "probity/v1": digest })
}

fn invocation(assessment: &Assessment, left_out: usize) -> Value {
    let run = &assessment.run;
    let mut notices: Vec<Value> = assessment
        .notices
        .iter()
        .take(100)
        .map(|notice| {
            let level = match notice.level {
                NoticeLevel::Warning => "warning",
                NoticeLevel::Note => "note",
            };
            json!({ "level": level, "message": { "text": filled(&notice.message, "(empty)") } })
        })
        .collect();
    if left_out > 0 {
        let text = format!("{left_out} more results are not written here: see assessment.json");
        notices.push(json!({ "level": "warning", "message": { "text": text } }));
    }
    json!({
        "executionSuccessful": !run.interrupted,
        "startTimeUtc": run.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "endTimeUtc": run.finished.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "machine": plain(&run.vantage.host),
        "account": plain(&run.vantage.user),
        "toolExecutionNotifications": notices,
    })
}
