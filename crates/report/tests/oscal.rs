//! OSCAL: what the schema demands, and that every reference leads somewhere.

mod sample;

use std::collections::BTreeSet;

use model::{Assessment, Verdict};
use report::{Signature, Style, View};
use serde_json::Value;

fn document(assessment: &Assessment) -> Value {
    let signature = Signature::Unsigned { why: "no key was given".into() };
    let view = View {
        assessment,
        evidence: &|_| None,
        earlier: &Vec::new,
        signature,
        pack: None,
        bundle: None,
        inventory: None,
    };
    let bytes = report::renderer("oscal").and_then(|r| (r.render)(&view, &Style::PLAIN).ok());
    serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default()
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// All texts under keys that a test picks, anywhere in a document.
fn texts<'a>(value: &'a Value, wanted: &dyn Fn(&str) -> bool, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if wanted(key) => found.push(text),
                    _ => texts(value, wanted, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, wanted, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_id_is_used_twice() {
    let document = document(&sample::assessment());
    let (mut ids, mut references) = (Vec::new(), Vec::new());
    texts(&document, &|key| key == "uuid", &mut ids);
    texts(&document, &|key| key.ends_with("-uuid"), &mut references);
    let known: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len());
    assert!(references.len() > 20 && references.iter().all(|reference| known.contains(reference)), "{references:?}");
    let plan = document.pointer("/assessment-results/import-ap/href").and_then(Value::as_str).unwrap_or_default();
    assert!(known.contains(plan.trim_start_matches('#')), "{plan}");
    // Version 5 of RFC 9562.
    assert!(ids.iter().all(|id| id.len() == 36 && id.get(14..15) == Some("5")), "{ids:?}");
}

#[test]
fn findings_observations_and_risks_add_up() {
    let assessment = sample::assessment();
    let document = document(&assessment);
    let list = |name: &str| {
        let list = document.pointer(&format!("/assessment-results/results/0/{name}"));
        list.and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let judged: Vec<_> = assessment.findings.iter().filter(|f| f.verdict != Verdict::NotApplicable).collect();
    assert_eq!(list("observations").len(), judged.len());
    let risks = list("risks");
    assert_eq!(risks.len(), judged.iter().filter(|f| f.verdict != Verdict::Pass).count());
    let approved: Vec<_> = risks.iter().filter(|r| at(r, "/status") == "deviation-approved").collect();
    assert_eq!(approved.len(), 1);
    assert!(approved.iter().all(|r| at(r, "/deadline").is_string() && at(r, "/risk-log/entries/0/start").is_string()));
    for finding in list("findings") {
        let status = at(&finding, "/target/status");
        let id = at(&finding, "/target/target-id");
        let own: Vec<_> = judged.iter().filter(|f| *id == *f.control).map(|f| f.verdict).collect();
        let holds = own.iter().all(|verdict| *verdict == Verdict::Pass);
        assert_eq!(at(status, "/state") == "satisfied", holds, "{finding}");
        assert_eq!(at(&finding, "/related-risks").is_null(), holds, "{finding}");
    }
}

#[test]
fn nothing_is_empty() {
    fn look(value: &Value) {
        match value {
            Value::Object(fields) => fields.values().for_each(look),
            Value::Array(items) => {
                assert!(!items.is_empty());
                items.iter().for_each(look);
            }
            Value::String(text) => assert!(!text.trim().is_empty()),
            _ => {}
        }
    }
    for assessment in [sample::assessment(), sample::many(0), sample::hostile(""), sample::hostile("  ")] {
        let document = document(&assessment);
        assert!(document.is_object());
        look(&document);
    }
}
