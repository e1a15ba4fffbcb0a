//! OSCAL assessment results 1.2.1 (NIST), for tools of governance and for authorising officials.
//!
//! Each policy and control is a finding, each target that it was judged on an observation, each failure a risk; a waiver is a
//! deviation that was approved, with its end as the deadline. Ids are UUIDv5 of what they stand for.

mod parts;

use std::collections::{BTreeMap, BTreeSet};

use model::{Assessment, Finding, Verdict};
use serde_json::{Map, Value, json};

use self::parts::{id, markup, prop, resource, resource_id, without_empty};
use crate::{RenderError, Style, View, escape, summary};

/// The version of OSCAL.
const VERSION: &str = "1.2.1";

/// Everything that was judged; what does not apply is left out, since OSCAL has no word for it.
///
/// # Errors
/// Where JSON can't be written.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let hypothetical = if assessment.hypothetical { format!(" ({})", summary::HYPOTHETICAL) } else { String::new() };
    let title = format!("Assessment of {}{hypothetical}", markup(&assessment.service));
    let digests = &assessment.digests;
    let document = json!({ "assessment-results": {
        "uuid": id(assessment, &["document"]),
        "metadata": {
            "title": title,
            "last-modified": assessment.as_of.to_string(),
            "version": assessment.as_of.to_string(),
            "oscal-version": VERSION,
            "props": [prop("signature", &summary::signature(view, 64)), prop("policies", &summary::policies(assessment))],
        },
        "import-ap": { "href": format!("#{}", resource_id(assessment, "policy.yaml")) },
        "results": [result(view, &title)],
        "back-matter": { "resources": [
            resource(assessment, "policy.yaml", "Policies and controls, as resolved", &digests.policy),
            resource(assessment, "inventory.yaml", "Targets, as resolved", &digests.inventory),
            resource(assessment, "waivers.yaml", "Waivers", &digests.waivers),
            resource(assessment, "evidence.sha256", "Digests of all evidence", &digests.evidence),
        ] },
    } });
    let bytes = model::pretty_json(&without_empty(document))?;
    Ok(escape::json(&String::from_utf8_lossy(&bytes)).into_owned().into_bytes())
}

fn result(view: &View<'_>, title: &str) -> Value {
    let assessment = view.assessment;
    let run = &assessment.run;
    let judged: Vec<&Finding> = assessment.findings.iter().filter(|f| f.verdict != Verdict::NotApplicable).collect();
    let earlier: BTreeMap<_, _> = (view.earlier)().into_iter().map(|e| (e.digest, e.collected)).collect();
    let targets: BTreeSet<&str> = assessment.coverage.targets.iter().map(|t| t.name.as_str()).collect();
    let observations: Vec<Value> = judged
        .iter()
        .map(|finding| {
            // What an earlier run saw bears its own date.
            let collected = finding.evidence.iter().filter_map(|d| earlier.get(d)).min().unwrap_or(&run.finished);
            observation(assessment, finding, *collected, targets.contains(&*finding.target))
        })
        .collect();
    let mut groups: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    for finding in judged {
        groups.entry((&finding.policy, &finding.control)).or_default().push(finding);
    }
    json!({
        "uuid": id(assessment, &["result"]),
        "title": title,
        "description": markup(&summary::sentence(assessment)),
        "start": run.started.to_string(),
        "end": run.finished.to_string(),
        "props": [
            prop("gate", summary::outcome_word(assessment.gate.outcome)),
            prop("fail-on", assessment.gate.fail_on.as_str()),
            prop("looked-at", &summary::looked_at(assessment)),
        ],
        "local-definitions": {
            "components": [parts::service(assessment), parts::tool(assessment)],
            "inventory-items": assessment.coverage.targets.iter().map(|t| parts::item(assessment, t)).collect::<Vec<_>>(),
        },
        "reviewed-controls": { "control-selections": selections(assessment) },
        "observations": observations,
        "risks": groups.values().flatten().filter_map(|f| risk(assessment, f)).collect::<Vec<_>>(),
        "findings": groups.iter().map(|(of, findings)| finding(assessment, *of, findings)).collect::<Vec<_>>(),
    })
}

/// The controls of each policy.
fn selections(assessment: &Assessment) -> Vec<Value> {
    let mut selected: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for finding in &assessment.findings {
        selected.entry(&finding.policy).or_default().insert(&finding.control);
    }
    let mut selections: Vec<Value> = selected
        .iter()
        .map(|(policy, controls)| {
            let controls: Vec<Value> = controls.iter().map(|c| json!({ "control-id": parts::token(c) })).collect();
            json!({ "description": markup(policy), "include-controls": controls })
        })
        .collect();
    if selections.is_empty() {
        selections.push(json!({ "description": "no control was judged", "include-all": {} }));
    }
    selections
}

fn identity(finding: &Finding) -> [&str; 3] {
    [&finding.policy, &finding.control, &finding.target]
}

fn observation(assessment: &Assessment, finding: &Finding, collected: model::Timestamp, is_target: bool) -> Value {
    let method = match finding.level {
        Some(model::Level::Demonstrated) => "TEST",
        Some(_) => "EXAMINE",
        None => "UNKNOWN",
    };
    let reasons: Vec<String> = finding.reasons.iter().take(20).map(|r| markup(&r.message)).collect();
    let said = if reasons.is_empty() { "It holds.".to_owned() } else { reasons.join("; ") };
    let (subject, sort) = match is_target {
        true => (id(assessment, &["item", &finding.target]), "inventory-item"),
        false => (id(assessment, &["service"]), "component"),
    };
    let evidence = finding.evidence.iter().take(100).map(
        |digest| json!({ "href": format!("evidence/{digest}.json"), "description": "facts, and where they come from" }),
    );
    json!({
        "uuid": id(assessment, &[&["observation"][..], &identity(finding)].concat()),
        "title": format!("{} on {}", markup(&finding.control), markup(&finding.target)),
        "description": said,
        "props": [
            prop("verdict", finding.verdict.as_str()),
            prop("severity", finding.severity.as_str()),
            prop("fingerprint", &summary::fingerprint(finding).to_string()),
        ],
        "methods": [method],
        "origins": [{ "actors": [{ "type": "tool", "actor-uuid": id(assessment, &["tool"]) }] }],
        "subjects": [{ "subject-uuid": subject, "type": sort }],
        "relevant-evidence": evidence.collect::<Vec<_>>(),
        "collected": collected.to_string(),
    })
}

/// A failure, or what is not proven; a waiver is an approved deviation.
fn risk(assessment: &Assessment, finding: &Finding) -> Option<Value> {
    if !crate::group::is_trouble(finding) {
        return None;
    }
    let control = assessment.controls.get(&*finding.control);
    let title = control.map_or(&*finding.control, |c| &c.title);
    let mut risk = Map::from_iter([
        ("uuid".into(), json!(id(assessment, &[&["risk"][..], &identity(finding)].concat()))),
        ("title".into(), json!(format!("Not shown: {}", markup(title)))),
        ("description".into(), json!(markup(finding.reasons.first().map_or("", |r| &r.message)))),
        ("statement".into(), json!(markup(control.map_or("", |c| &c.rationale)))),
        ("props".into(), json!([prop("severity", finding.severity.as_str())])),
        ("status".into(), json!(if finding.waiver.is_some() { "deviation-approved" } else { "open" })),
        ("related-observations".into(), related(assessment, finding)),
    ]);
    if let Some(waiver) = summary::waiver(assessment, finding) {
        let approved = format!(
            "Accepted by {}; {} answers for it. {}",
            markup(&waiver.approver),
            markup(&waiver.owner),
            markup(&waiver.reason)
        );
        risk.insert("deadline".into(), json!(waiver.expires.to_string()));
        let entry = json!({
            "uuid": id(assessment, &[&["waiver", waiver.id.as_str()][..], &identity(finding)].concat()),
            "title": "Waiver",
            "description": approved,
            "start": waiver.created.unwrap_or(assessment.as_of).to_string(),
            "status-change": "deviation-approved",
            "props": waiver.ticket.iter().map(|ticket| prop("ticket", ticket)).collect::<Vec<_>>(),
        });
        risk.insert("risk-log".into(), json!({ "entries": [entry] }));
    }
    Some(Value::Object(risk))
}

fn related(assessment: &Assessment, finding: &Finding) -> Value {
    json!([{ "observation-uuid": id(assessment, &[&["observation"][..], &identity(finding)].concat()) }])
}

/// A control of a policy: satisfied where it holds on all targets that it says something of.
fn finding(assessment: &Assessment, (policy, name): (&str, &str), findings: &[&Finding]) -> Value {
    let control = assessment.controls.get(name);
    let worst = |verdict| findings.iter().any(|f| f.verdict == verdict);
    let (state, reason) = match (worst(Verdict::Fail), worst(Verdict::Inconclusive)) {
        (true, _) => ("not-satisfied", "fail"),
        (false, true) => ("not-satisfied", "other"),
        (false, false) => ("satisfied", "pass"),
    };
    let observations = findings
        .iter()
        .map(|f| json!({ "observation-uuid": id(assessment, &[&["observation"][..], &identity(f)].concat()) }));
    let risks = findings
        .iter()
        .filter(|f| crate::group::is_trouble(f))
        .map(|f| json!({ "risk-uuid": id(assessment, &[&["risk"][..], &identity(f)].concat()) }));
    let clauses = control
        .into_iter()
        .flat_map(|c| &c.clauses)
        .map(|(f, clauses)| prop("clauses", &format!("{f}: {}", clauses.join(", "))));
    json!({
        "uuid": id(assessment, &["finding", policy, name]),
        "title": markup(control.map_or(name, |c| &c.title)),
        "description": markup(control.map_or("", |c| &c.rationale)),
        "props": std::iter::once(prop("policy", policy)).chain(clauses).collect::<Vec<_>>(),
        "target": {
            "type": "objective-id",
            "target-id": parts::token(name),
            "status": { "state": state, "reason": reason },
        },
        "related-observations": observations.collect::<Vec<_>>(),
        "related-risks": risks.collect::<Vec<_>>(),
    })
}
