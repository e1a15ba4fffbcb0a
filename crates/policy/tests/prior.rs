//! What controls see of earlier evidence, and when it stands in for a drill that was not run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{NOW, control, evidence, kinds, policies, sources};
use model::{Digest, Failure, FailureClass, Timestamp, Verdict};
use policy::{Judge, Library, Waivers, policies_from_yaml, policies_to_yaml, run_tests};
use serde_json::json;

/// Evidence of `key`, so many hours old, with that mode; a drill that was not run where there is none.
fn key(hours: i64, mode: Option<i64>) -> model::Evidence {
    let facts = mode.map(|mode| json!({ "mode": mode, "group": null, "fingerprint": format!("{hours}") }));
    let mut piece = evidence("key", "edge", facts.ok_or("allow it"));
    piece.failure = piece.failure.map(|f| Failure::new(FailureClass::NotRun, f.message));
    let now: Timestamp = NOW.parse().unwrap();
    piece.collected = Timestamp::from_second(now.as_second() - hours * 3_600).unwrap();
    piece
}

fn with_prior(fields: &str, now: model::Evidence, prior: &[model::Evidence]) -> model::Finding {
    let policies = policies(&control(fields));
    let mut judge = Judge::new(&policies, NOW.parse().unwrap(), "service");
    let earlier = |piece: &model::Evidence| policy::Earlier {
        digest: Digest::of(piece.collected.to_string().as_bytes()),
        evidence: piece.clone(),
    };
    judge.evidence_after(now, Digest::of(b"now"), prior.iter().map(earlier).collect());
    judge.finish(&[], &Waivers::default()).findings.remove(0)
}

#[test]
fn prior_holds_what_is_older_within_the_span_and_has_facts() {
    let fields = "evidence: { kind: key, prior: 3d }\nover: mode\nwanted: w\n\
                  message: '{{ prior | length }}, {{ prior[0].facts.fingerprint }}'\n\
                  violates: size(prior) > 0 && prior[0].facts.mode == 7 && days_left(prior[0].collected) < 0";
    let mut failed = key(30, None);
    failed.failure = Some(Failure::new(FailureClass::Timeout, "slow"));
    let mut elsewhere = key(1, Some(7));
    elsewhere.target.name = "mail".into();
    let mut other_kind = key(1, Some(7));
    other_kind.kind = "tls".into();
    let future = key(-1, Some(7));
    let mut prior = vec![key(73, Some(7)), elsewhere, other_kind, future, failed, key(24, Some(7)), key(48, Some(1))];
    let found = with_prior(fields, key(0, Some(1)), &prior);
    assert_eq!((found.verdict, found.reasons[0].message.as_str()), (Verdict::Fail, "2, 24"));
    // What stands in was collected when it was, and not now.
    let at =
        "evidence: { kind: key, max_age: 90d }\nover: mode\nviolates: seconds_since(collected) == 86400\nmessage: m";
    assert_eq!(with_prior(at, key(0, None), &[key(48, Some(1))]).verdict, Verdict::Pass);
    assert_eq!(with_prior(at, key(0, None), &[key(24, Some(1))]).verdict, Verdict::Fail);
    assert_eq!(found.evidence, [Digest::of(b"now")]);
    // In another order, and with one piece twice, it is the same.
    prior.reverse();
    prior.push(key(24, Some(7)));
    assert_eq!(with_prior(fields, key(0, Some(1)), &prior), found);
    assert_eq!(with_prior(fields, key(0, Some(1)), &prior[..0]).verdict, Verdict::Pass);
    // What can't be evaluated is unproven, as everywhere.
    let fields = fields.replace("prior[0].facts.mode == 7", "prior[0].facts.group < 'x'");
    assert_eq!(with_prior(&fields, key(0, Some(1)), &prior).verdict, Verdict::Inconclusive);
    let fields = fields.replace("size(prior) > 0 && prior[0].facts.group < 'x'", "prior[0].facts.mode == 7");
    assert_eq!(with_prior(&fields, key(0, Some(1)), &[]).verdict, Verdict::Inconclusive);
}

#[test]
fn earlier_evidence_stands_in_for_a_drill_that_was_not_run_and_for_nothing_else() {
    let fields = "evidence: { kind: key, max_age: 90d }\nover: mode\nviolates: item > 6\nmessage: m";
    let last = key(48, Some(1));
    let digest = Digest::of(last.collected.to_string().as_bytes());
    // The newest that was run counts; newer ones that were not run do not hide it.
    let prior = [key(24, None), last.clone(), key(72, Some(7))];
    let found = with_prior(fields, key(0, None), &prior);
    assert_eq!((found.verdict, &found.evidence[..]), (Verdict::Pass, &[digest][..]));
    assert!(found.reasons[0].message.contains("earlier evidence, of 2026-11-22T00:00:00Z"), "{:?}", found.reasons);

    let found = with_prior(fields, key(0, None), &[key(48, Some(7)), key(72, Some(1))]);
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.reasons[0].message.starts_with("m (by earlier evidence, of 2026-11-22"), "{:?}", found.reasons);

    // A failure of the earlier one is taken as it is, though a good one came before.
    let mut failed = key(24, None);
    failed.failure = Some(Failure::new(FailureClass::Timeout, "slow"));
    let found = with_prior(fields, key(0, None), &[failed, last.clone()]);
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.reasons[0].message.contains("slow"), "{:?}", found.reasons);

    // None, one that is too old, one of a later time.
    for (prior, says) in [
        (vec![], "not run, and there is no earlier"),
        (vec![key(24, None)], "not run, and there is no earlier"),
        (vec![key(24 * 91, Some(1))], "more than 90d old"),
        (vec![key(-1, Some(1))], "not run, and there is no earlier"),
    ] {
        let found = with_prior(fields, key(0, None), &prior);
        assert_eq!(found.verdict, Verdict::Inconclusive);
        assert!(found.reasons[0].message.contains(says), "{:?}", found.reasons);
    }
    // The last drill was on what the target was then, not on what it is now.
    let mut moved = last.clone();
    moved.target.subject.spec = json!({ "repository": "/srv/other" });
    let found = with_prior(fields, key(0, None), &[moved, key(72, Some(1))]);
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.reasons[0].message.contains("was declared otherwise"), "{:?}", found.reasons);
    // Any other failure of now stays one.
    let mut now = key(0, None);
    now.failure = Some(Failure::new(FailureClass::Interrupted, "stopped"));
    let found = with_prior(fields, now, &[last]);
    assert_eq!((found.verdict, &found.evidence[..]), (Verdict::Inconclusive, &[Digest::of(b"now")][..]));
}

#[test]
fn prior_is_known_only_where_a_control_wants_it_and_is_checked_against_the_schema() {
    let lint = |fields: &str| match Library::load(&sources(&[("controls/a.yaml", &control(fields))]), &kinds()) {
        Ok(_) => String::new(),
        Err(found) => found.to_string(),
    };
    let wants = "evidence: { kind: key, prior: 30d }\nmessage: '{{ prior | length }}'\n";
    assert_eq!(lint(&format!("{wants}violates: prior.all(p, p.facts.mode != 3 && p.kind != p.collected)")), "");
    for (fields, says) in [
        (format!("{wants}violates: prior.exists(p, p.facts.mod == 3)"), "there is no field 'mod'"),
        (format!("{wants}violates: prior.exists(p, p.target == 'x')"), "there is no field 'target'"),
        (format!("{wants}violates: prior.size() == 'x'"), "an integer is compared with a string"),
        (format!("{wants}violates: 'true'\nwanted: '{{{{ prior | length }}}}'"), "'prior' is not known here"),
        ("evidence: { kind: key }\nmessage: m\nviolates: size(prior) == 0".into(), "'prior' is not known here"),
        ("evidence: { kind: key }\nviolates: 'true'\nmessage: '{{ prior }}'".into(), "'prior' is not known here"),
        ("evidence: { kind: key, prior: month }\nviolates: 'true'\nmessage: m".into(), "'month' is no time span"),
        (
            "evidence: { kinds: [key], scope: service, prior: 3d }\nviolates: 'true'\nmessage: m".into(),
            "in scope 'service' there is none",
        ),
    ] {
        let found = lint(&fields);
        assert!(found.contains(says), "{fields}: {found}");
    }
    // The file of a pack keeps it.
    let policies = policies(&control(&format!("{wants}violates: size(prior) == 0")));
    let bytes = policies_to_yaml(&policies).unwrap();
    let again = policies_from_yaml("policy.yaml", &bytes, &kinds()).unwrap();
    assert_eq!(again[0].digest, policies[0].digest);
    assert_eq!(policy::windows(&again, &[].into()), [("key".to_owned(), 30 * 86_400)].into());
    let drills = [("key".to_owned())].into();
    let short = self::policies(&control("evidence: { kind: key, max_age: 90d }\nviolates: 'true'\nmessage: m"));
    assert_eq!(policy::windows(&short, &drills), [("key".to_owned(), 90 * 86_400)].into());
    assert_eq!(policy::windows(&short, &[].into()), [].into());
}

const TESTS: &str = "\
tests:
  - control: TEST
    cases:
      - name: seen long ago
        verdict: pass
        facts: { mode: 1, group: null, fingerprint: x }
        prior:
          - { age: 24h, facts: { mode: 1, group: null, fingerprint: x } }
          - { age: 48h, facts: { mode: 7, group: null, fingerprint: x } }
      - name: never seen
        verdict: fail
        facts: { mode: 1, group: null, fingerprint: x }
        prior: [{ age: 24h, facts: { mode: 6, group: null, fingerprint: x } }, { age: 24h, failure: slow }]
      - { name: no answer, verdict: inconclusive, failure: timeout }
      - name: not run
        verdict: pass
        failure: { class: not_run, message: allow it }
        prior:
          - { age: 2h, facts: { mode: 1, group: null, fingerprint: x } }
          - { age: 48h, facts: { mode: 7, group: null, fingerprint: x } }
        message: by earlier evidence
";

#[test]
fn cases_bring_earlier_evidence_and_a_pass_without_it_is_an_error() {
    let run = |violates: &str| {
        let control = control(&format!("evidence: {{ kind: key, prior: 30d }}\nviolates: '{violates}'\nmessage: m"));
        let sources = sources(&[("controls/a.yaml", &control), ("tests/a.yaml", TESTS)]);
        let library = Library::load(&sources, &kinds()).map_err(|e| e.to_string()).unwrap();
        run_tests(&library, &sources, &kinds())
    };
    let report = run("!prior.exists(p, p.facts.mode == 7)");
    assert!(report.passed(), "{}\n{report}", report.problems);
    assert_eq!(report.cases, 4 + 2, "two cases were made without their earlier evidence");
    // Where nothing earlier is needed for a pass, losing it must not turn a failure into one.
    let report = run("prior.exists(p, p.facts.mode == 6)");
    assert!(report.problems.to_string().contains("passes though"), "{}", report.problems);
}
