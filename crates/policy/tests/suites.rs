//! The tests of controls, tested.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{control, kinds, sources};
use policy::{Library, TestReport, run_tests};

const LEGACY: &str = "params: { forbidden: [TLSv1.0, TLSv1.1] }\nover: versions[*]\nwhere: item.name in params.forbidden\n\
    cover: params.forbidden\nmessage: '{{ item.name }} is accepted'";

fn run(control: &str, tests: &str) -> TestReport {
    let fixture = common::facts("refused").to_string();
    let files = [("controls/a.yaml", control), ("tests/a.yaml", tests), ("tests/fixtures/good.json", &fixture)];
    let sources = sources(&files);
    let library = Library::load(&sources, &kinds()).map_err(|e| e.to_string()).unwrap();
    run_tests(&library, &sources, &kinds())
}

fn survivors(report: &TestReport) -> Vec<&str> {
    report.survivors.iter().map(|s| s.mutant.as_str()).collect()
}

const GOOD: &str = "\
tests:
  - control: TEST
    cases:
      - { name: both refused, verdict: pass, base: good }
      - name: 1.1 accepted
        verdict: fail
        base: good
        set: { \"versions[name=TLSv1.1].outcome\": accepted }
        message: TLSv1.1 is accepted
      - { name: 1.0 accepted, verdict: fail, base: good, set: { \"versions[0].outcome\": accepted } }
      - { name: 1.0 not asked for, verdict: inconclusive, base: good, set: { asked: [TLSv1.1] } }
      - { name: no answer, verdict: inconclusive, failure: timeout }
      - { name: old, verdict: inconclusive, base: good, age: 25h }
      - { name: no 1.1, verdict: inconclusive, base: good, remove: [asked, \"versions[name=TLSv1.1]\"] }
";

#[test]
fn good_tests_kill_every_mutant() {
    let report = run(&control(LEGACY), GOOD);
    assert!(report.passed(), "{}\n{report}", report.problems);
    assert_eq!((report.score(), report.killed), (100, report.mutants));
    assert!(report.mutants >= 8, "{report}");
}

#[test]
fn weak_tests_are_found_out() {
    let weak = GOOD.replace(
        "      - { name: 1.0 accepted, verdict: fail, base: good, set: { \"versions[0].outcome\": accepted } }\n",
        "",
    );
    let weak = weak.replace(
        "      - { name: 1.0 not asked for, verdict: inconclusive, base: good, set: { asked: [TLSv1.1] } }\n",
        "",
    );
    let report = run(&control(LEGACY), &weak);
    assert!(!report.passed());
    assert_eq!(survivors(&report), ["params.forbidden: without 'TLSv1.0'"]);
    let excused =
        format!("{weak}    survivors: [{{ mutant: \"params.forbidden: without 'TLSv1.0'\", reason: too old }}]\n");
    let report = run(&control(LEGACY), &excused);
    assert!(report.passed() && report.score() == 100, "{}\n{report}", report.problems);
    let needless = format!("{GOOD}    survivors: [{{ mutant: x, reason: y }}]\n");
    assert!(run(&control(LEGACY), &needless).problems.to_string().contains("no mutant 'x' survives"));
}

#[test]
fn a_pass_over_nothing_is_an_error() {
    let fields = "violates: facts.versions.exists(v, v.outcome == 'accepted' && v.name == 'TLSv1.1')\nmessage: m";
    let tests = "\
tests:
  - control: TEST
    cases:
      - { name: a, verdict: pass, base: good }
      - { name: b, verdict: fail, base: good, set: { \"versions[1].outcome\": accepted } }
      - { name: c, verdict: inconclusive, failure: x }
";
    let report = run(&control(fields), tests);
    assert!(
        report.problems.to_string().contains("'TEST' passes though in case 'a' every list that it reads is empty"),
        "{}",
        report.problems
    );
}

#[test]
fn wrong_tests_are_told_apart() {
    let problems = |tests: &str| run(&control(LEGACY), tests).problems.to_string();
    for (from, to, wanted) in [
        ("verdict: pass", "verdict: fail", "case 'both refused' is pass, not fail"),
        ("message: TLSv1.1 is accepted", "message: no", "case '1.1 accepted' says \"TLSv1.1 is accepted\", not \"no\""),
        (
            "outcome\": accepted }\n        message",
            "outcome\": acepted }\n        message",
            "'versions[1].outcome' is \"acepted\"; the schema wants a string",
        ),
        ("[0].outcome", "[0].outcom", "there is no 'versions[0].outcom' in the facts"),
        ("base: good }\n", "base: goood }\n", "there is no fixture 'tests/fixtures/goood.json'"),
        ("control: TEST", "control: TSET", "there is no control 'TSET' (did you mean 'TEST'?)"),
        ("age: 25h", "age: long", "'long' is no time span"),
        ("verdict: pass", "verdict: past", "'past' is no verdict (did you mean 'pass'?)"),
        ("failure: timeout", "failure: timeout, colour: red", "unknown field 'colour'"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let found = problems(&GOOD.replacen(from, to, 1));
        assert!(found.contains(wanted), "{wanted} not in {found}");
    }
    let only_pass = "tests:\n  - control: TEST\n    cases: [{ name: a, verdict: pass, base: good }]\n";
    let found = problems(only_pass);
    assert!(found.contains("no case whose verdict is fail") && found.contains("no case whose verdict is inconclusive"));
    assert!(problems("tests: []\n").contains("control 'TEST' has no tests"));
}

#[test]
fn controls_over_everything_at_once_are_tested_too() {
    let fields = "evidence: { kinds: [key], scope: service }\nover: all[*]\n\
        violates: all.exists(o, o.target != item.target && o.facts.fingerprint == item.facts.fingerprint)\n\
        message: 'the key of {{ item.target }} is used twice'";
    let key = |print: &str| format!("{{ kind: key, facts: {{ mode: 1, group: null, fingerprint: '{print}' }} }}");
    let tests = format!(
        "tests:\n  - control: TEST\n    cases:\n      - {{ name: a, verdict: pass, all: [{0}, {1}] }}\n      - {{ name: b, verdict: fail, all: [{0}, {0}] }}\n      - {{ name: c, verdict: inconclusive, all: [{0}, {{ kind: key, failure: x }}] }}\n",
        key("1"),
        key("2")
    );
    let report = run(&control(fields), &tests);
    assert!(report.passed(), "{}\n{report}", report.problems);
}
