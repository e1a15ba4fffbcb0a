//! A small kind of evidence, controls over it, and evidence of it.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use model::{Ask, Digest, Evidence, Failure, FailureClass, Finding, Level, Provenance, Subject, Target, Timestamp};
use policy::{Judge, Judged, KindInfo, Kinds, Library, Policy, SourceFile, Sources, Waivers};
use serde_json::{Value, json};

pub(crate) const NOW: &str = "2026-11-24T00:00:00Z";

/// `tls`: versions with suites; `key`: one scalar fact.
pub(crate) fn kinds() -> Kinds {
    let outcome = json!({ "oneOf": [
        { "type": "string", "enum": ["accepted", "refused"] }, { "type": "string", "const": "not_proven", "description": "…" }] });
    let tls = json!({
        "type": "object",
        "properties": {
            "asked": { "anyOf": [{ "const": "all" }, { "type": "array", "items": { "type": "string" } }] },
            "seen": { "type": "array", "items": { "type": "integer" } },
            "expires": { "type": "string", "format": "date-time" },
            "versions": { "type": "array", "items": { "$ref": "#/$defs/Version" } },
        },
        "$defs": {
            "Outcome": outcome,
            "Version": { "type": "object", "properties": {
                "name": { "type": "string", "enum": ["TLSv1.0", "TLSv1.1", "TLSv1.2"] },
                "outcome": { "$ref": "#/$defs/Outcome" },
                "asked": {},
                "seen": { "type": "array", "items": { "type": "integer" } },
                "suites": { "type": "array", "items": { "$ref": "#/$defs/Suite" } },
                "not_proven": { "type": "array", "items": { "$ref": "#/$defs/Suite" } },
            }, "additionalProperties": false },
            "Suite": { "type": "object", "properties": {
                "id": { "type": "string" }, "bits": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
                "why": { "type": ["string", "null"] },
            } },
        },
    });
    let key = json!({ "type": "object", "properties": {
        "mode": { "type": "integer" }, "group": { "type": ["string", "null"] }, "fingerprint": { "type": "string" } } });
    let info = |schema, level| KindInfo { level, schema };
    BTreeMap::from([
        ("tls".to_owned(), info(tls, Level::Demonstrated)),
        ("key".to_owned(), info(key, Level::Effective)),
    ])
}

pub(crate) fn sources(files: &[(&str, &str)]) -> Sources {
    let file = |text: &str| SourceFile { bytes: text.as_bytes().to_vec().into(), shipped: false };
    files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
}

/// A control of the fields given, the others filled in.
pub(crate) fn control(fields: &str) -> String {
    let mut text = String::from("controls:\n- id: TEST\n  title: t\n  severity: high\n  rationale: r\n");
    for (field, value) in [
        ("evidence", "{ kind: tls, max_age: 24h }"),
        ("wanted", "w"),
        ("message", "'{{ item.name }}'"),
        ("violates", "item.outcome == 'accepted'"),
    ] {
        if !fields.lines().any(|line| line.starts_with(&format!("{field}:"))) {
            text.push_str(&format!("  {field}: {value}\n"));
        }
    }
    fields.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
    text
}

pub(crate) fn policies(control: &str) -> Vec<Policy> {
    let profile = "profile: p\nversion: '1'\ntitle: t\ncontrols: [TEST]\n";
    let library = Library::load(&sources(&[("controls/a.yaml", control), ("profiles/p.yaml", profile)]), &kinds());
    library.map_err(|e| e.to_string()).unwrap().resolve(&["p"]).unwrap()
}

pub(crate) fn target(name: &str) -> Target {
    let subject = Subject { sort: "x".into(), spec: Value::Null };
    let (name, labels) = (name.to_owned(), BTreeMap::from([("tier".into(), "edge".into())]));
    Target { of: name.clone(), address: name.clone(), name, labels, discovered: false, subject }
}

pub(crate) fn evidence(kind: &str, on: &str, facts: Result<Value, &str>) -> Evidence {
    let collected: Timestamp = NOW.parse().unwrap();
    let (facts, failure) = match facts {
        Ok(Value::Object(facts)) => (Some(facts), None),
        Ok(_) => (None, None),
        Err(message) => (None, Some(Failure::new(FailureClass::Timeout, message))),
    };
    let provenance = Provenance {
        started: collected,
        millis: 1,
        sources: vec![],
        connections: 1,
        bytes_sent: 0,
        bytes_received: 0,
        commands: vec![],
        files: vec![],
        attested_by_host_only: false,
    };
    let exchanges = Some(model::ExchangesRef { digest: Digest::of(b"x"), count: 12, cut: false });
    Evidence {
        format: Evidence::FORMAT.into(),
        target: target(on),
        kind: kind.into(),
        level: kinds()[kind].level,
        asked: Ask::All,
        collected,
        facts,
        failure,
        provenance,
        exchanges,
        notes: BTreeMap::new(),
    }
}

pub(crate) fn judge_all(policies: &[Policy], evidence: Vec<Evidence>) -> Judged {
    let mut judge = Judge::new(policies, NOW.parse().unwrap(), "service");
    for piece in evidence {
        judge.evidence(piece, Digest::of(b"e"));
    }
    judge.finish(&[], &Waivers::default())
}

/// The finding of one control over one set of facts.
pub(crate) fn finding(control: &str, facts: Value) -> Finding {
    let judged = judge_all(&policies(control), vec![evidence("tls", "edge", Ok(facts))]);
    judged.findings.into_iter().next().unwrap()
}

/// TLS 1.0 refused, 1.1 as given, 1.2 accepted with two suites.
pub(crate) fn facts(outcome: &str) -> Value {
    let version = |name: &str, outcome: &str, suites: Value| {
        json!({
        "name": name, "outcome": outcome, "asked": "all", "suites": suites, "not_proven": [], "seen": [2, 99] })
    };
    json!({ "asked": "all", "expires": "2026-12-04T12:00:00Z", "versions": [
        version("TLSv1.0", "refused", json!([])),
        version("TLSv1.1", outcome, json!([])),
        version("TLSv1.2", "accepted", json!([{ "id": "a", "bits": 256, "why": null }, { "id": "b", "bits": 128, "why": null }])),
    ] })
}
