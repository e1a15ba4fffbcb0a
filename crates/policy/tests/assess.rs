//! Around the findings: waivers, the gate, the counts, what probes are asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{control, evidence, facts, kinds, sources};
use model::{Ask, Digest, Outcome, Severity, Verdict, WaiverState};
use policy::{Judge, Judged, Library, Policy, Waivers, asks, counts, gate};

const LEGACY: &str = "params: { forbidden: [TLSv1.0, TLSv1.1] }\nover: versions[*]\nwhere: item.name in params.forbidden\ncover: params.forbidden";

fn judge(waivers: &str) -> Judged {
    let policies = common::policies(&control(LEGACY));
    let waivers =
        Waivers::parse("waivers.yaml", waivers.as_bytes(), ["TEST", "OTHER"]).map_err(|e| e.to_string()).unwrap();
    let mut judge = Judge::new(&policies, common::NOW.parse().unwrap(), "service");
    for (on, outcome) in [("edge@10.0.0.1", "accepted"), ("edge@10.0.0.2", "not_proven"), ("mail", "refused")] {
        judge.evidence(evidence("tls", on, Ok(facts(outcome))), Digest::of(on.as_bytes()));
    }
    judge.finish(&[], &waivers)
}

fn waiver(fields: &str) -> String {
    format!("waivers:\n- {{ id: w, owner: ann, approver: bob, reason: r, {fields} }}\n")
}

#[test]
fn a_waiver_changes_what_blocks_and_never_what_is_shown() {
    let judged = judge(&waiver("control: TEST, target: 'edge@*', expires: 2026-12-01"));
    let verdicts: Vec<Verdict> = judged.findings.iter().map(|f| f.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::Inconclusive, Verdict::Pass]);
    assert_eq!(judged.findings.iter().map(|f| f.waiver.as_deref()).collect::<Vec<_>>(), [Some("w"), Some("w"), None]);
    assert_eq!((judged.waivers[0].state, judged.waivers[0].findings), (WaiverState::Used, 2));
    assert!(judged.notices.is_empty());
    let counts = counts(&judged.findings);
    assert_eq!((counts.pass, counts.fail, counts.inconclusive, counts.waived), (1, 1, 1, 2));
    assert_eq!(gate(&judged.findings, Severity::High, false).outcome, Outcome::Passed);
    assert_eq!(gate(&judged.findings, Severity::High, true).outcome, Outcome::Inconclusive);
}

#[test]
fn waivers_that_waive_nothing_are_loud() {
    for (fields, state, said) in [
        ("control: TEST, target: '*', expires: 2026-11-23", WaiverState::Expired, "expired at 2026-11-24T00:00:00Z"),
        ("control: TEST, target: '*', expires: 2026-11-24T00:00:00Z", WaiverState::Expired, "expired"),
        (
            "control: TEST, target: '*', created: 2026-11-25, expires: 2026-12-01",
            WaiverState::Early,
            "not yet in force",
        ),
        ("control: TEST, target: mail, expires: 2026-11-24", WaiverState::Unused, "what it waives passes"),
        ("control: TEST, target: nail, expires: 2026-11-24", WaiverState::Unmatched, "no control or target matches"),
        ("control: OTHER, target: '*', expires: 2026-11-24", WaiverState::Unmatched, "no control or target matches"),
        (
            "control: TEST, target: '*', policy: q, expires: 2026-11-24",
            WaiverState::Unmatched,
            "no control or target matches",
        ),
    ] {
        let judged = judge(&waiver(fields));
        assert_eq!(judged.waivers[0].state, state, "{fields}");
        assert!(
            judged.notices[0].message.contains("waiver 'w'") && judged.notices[0].message.contains(said),
            "{:?}",
            judged.notices
        );
        assert!(judged.findings.iter().all(|f| f.waiver.is_none()));
        let gate = gate(&judged.findings, Severity::High, false);
        assert_eq!((gate.outcome, gate.failing, gate.unproven, gate.below), (Outcome::Failed, 1, 1, 0));
    }
    let low = gate(&judge("").findings, Severity::Critical, false);
    assert_eq!((low.outcome, low.failing, low.below), (Outcome::Passed, 0, 1));
}

fn resolve(asks: &[&str]) -> Vec<Policy> {
    let mut text = String::from("controls:\n");
    let mut ids = Vec::new();
    for (i, asks) in asks.iter().enumerate() {
        text.push_str(&control(LEGACY).replace("controls:\n", "").replace("TEST", &format!("T-{i}")));
        text.push_str(asks);
        ids.push(format!("T-{i}"));
    }
    let profile = format!("profile: p\nversion: '1'\ntitle: t\ncontrols: [{}]\n", ids.join(", "));
    let files = sources(&[("controls/a.yaml", &text), ("profiles/p.yaml", &profile)]);
    Library::load(&files, &kinds()).map_err(|e| e.to_string()).unwrap().resolve(&["p"]).unwrap()
}

#[test]
fn probes_are_asked_for_what_any_control_wants() {
    let only = |ask: &str| serde_json::from_str::<Ask>(ask).unwrap();
    let (params, list) = ("  asks: { versions: params.forbidden }\n", "  asks: { versions: [TLSv1.2], suites: [x] }\n");
    assert_eq!(asks(&resolve(&[params]), "tls"), only(r#"{"versions": ["TLSv1.0", "TLSv1.1"]}"#));
    let both = only(r#"{"versions": ["TLSv1.0", "TLSv1.1", "TLSv1.2"], "suites": ["x"]}"#);
    assert_eq!(asks(&resolve(&[params, list, ""]), "tls"), both);
    assert_eq!(asks(&resolve(&[params, "  asks: all\n"]), "tls"), Ask::All);
    assert_eq!(asks(&resolve(&["", ""]), "tls"), Ask::All);
    assert_eq!(asks(&resolve(&[params]), "key"), Ask::All);
}

#[test]
fn the_same_evidence_in_another_order_gives_the_same_bytes() {
    let policies = common::policies(&control(LEGACY));
    let run = |names: &[&str]| {
        let mut judge = Judge::new(&policies, common::NOW.parse().unwrap(), "service");
        for on in names {
            judge.evidence(evidence("tls", on, Ok(facts("accepted"))), Digest::of(on.as_bytes()));
        }
        model::canonical_json(&judge.finish(&[], &Waivers::default()).findings).unwrap()
    };
    assert_eq!(run(&["a", "b", "c"]), run(&["c", "a", "b"]));
}

#[test]
fn a_policy_for_some_targets_is_for_those_alone_and_never_falls_silent() {
    let policies = common::policies(&control(LEGACY));
    let judge = |wanted: &str| {
        let only = [vec![policy::Labels::from([("tier".to_owned(), wanted.to_owned())])]];
        let mut judge = Judge::for_targets(&policies, &only, common::NOW.parse().unwrap(), "service");
        let mut other = evidence("tls", "other", Ok(facts("accepted")));
        other.target.labels.clear();
        let targets = [common::target("edge"), other.target.clone()];
        judge.evidence(other, Digest::of(b"o"));
        judge.evidence(evidence("tls", "edge", Ok(facts("refused"))), Digest::of(b"e"));
        judge.finish(&targets, &Waivers::default()).findings
    };
    let edge = judge("edge");
    assert_eq!(edge.iter().map(|f| (&*f.target, f.verdict)).collect::<Vec<_>>(), [("edge", Verdict::Pass)]);
    let renamed = judge("edges");
    assert_eq!(
        renamed.iter().map(|f| (&*f.target, f.verdict)).collect::<Vec<_>>(),
        [("service", Verdict::Inconclusive)]
    );
    assert!(renamed[0].reasons[0].message.contains("tier=edges"), "{:?}", renamed[0].reasons);
}
