//! What follows from which facts: a pass has to be earned.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{control, evidence, facts, finding, judge_all, policies, target};
use model::{Level, Verdict};
use policy::{Judge, Waivers};
use serde_json::{Value, json};

const LEGACY: &str = "params: { forbidden: [TLSv1.0, TLSv1.1] }\nover: versions[*]\nwhere: item.name in params.forbidden\n\
    cover: params.forbidden\nmessage: '{{ item.name }} is accepted'\nwanted: not {{ params.forbidden | join(' or ') }}";
const SUITES: &str = "over: versions[*].suites[*]\nwhere: parent.name == 'TLSv1.2' && item.id in params.bad\n\
    params: { bad: [x] }\ncover: params.bad\nviolates: 'true'\nmessage: '{{ item.id }}'";

fn verdict(fields: &str, facts: Value) -> (Verdict, String) {
    let found = finding(&control(fields), facts);
    (found.verdict, found.reasons.first().map(|r| r.message.clone()).unwrap_or_default())
}

fn change(mut facts: Value, pointer: &str, value: Value) -> Value {
    *facts.pointer_mut(pointer).unwrap() = value;
    facts
}

#[test]
fn a_violation_a_pass_and_what_is_between() {
    assert_eq!(verdict(LEGACY, facts("refused")).0, Verdict::Pass);
    assert_eq!(verdict(LEGACY, facts("accepted")), (Verdict::Fail, "TLSv1.1 is accepted".into()));
    assert_eq!(verdict(LEGACY, facts("not_proven")), (Verdict::Inconclusive, "TLSv1.1 is not proven".into()));
    let why = change(facts("not_proven"), "/versions/0/outcome", json!("accepted"));
    assert_eq!(verdict(LEGACY, why).0, Verdict::Fail, "one violation outweighs what is unproven");
}

#[test]
fn reasons_say_what_where_and_by_which_exchange() {
    let found = finding(&control(LEGACY), facts("accepted"));
    assert_eq!(found.wanted.as_deref(), Some("not TLSv1.0 or TLSv1.1"));
    assert_eq!(found.level, Some(Level::Demonstrated));
    let reason = &found.reasons[0];
    assert_eq!(reason.item.as_deref(), Some("versions[1]"));
    // Exchange 99 does not exist: there are twelve.
    assert_eq!(reason.cites.iter().map(|c| c.index).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_name_that_is_not_there_was_not_looked_for() {
    let mut short = facts("refused");
    short["versions"].as_array_mut().unwrap().remove(0);
    let without = change(short.clone(), "/asked", json!(["TLSv1.1"]));
    assert_eq!(verdict(LEGACY, without), (Verdict::Inconclusive, "not looked for in versions: TLSv1.0".into()));
    short.as_object_mut().unwrap().remove("asked");
    assert_eq!(verdict(LEGACY, short), (Verdict::Inconclusive, "not looked for in versions: TLSv1.0".into()));
    let mut silent = facts("refused");
    silent.as_object_mut().unwrap().remove("asked");
    assert_eq!(verdict(LEGACY, silent).0, Verdict::Pass, "both are there and refused");
}

#[test]
fn nothing_left_is_a_pass_only_where_all_was_asked() {
    let asked = |asked: Value| change(facts("refused"), "/versions/2/asked", asked);
    assert_eq!(verdict(SUITES, facts("refused")).0, Verdict::Pass);
    assert_eq!(verdict(SUITES, asked(json!(["x"]))).0, Verdict::Pass);
    assert_eq!(verdict(SUITES, asked(json!(["y"]))).0, Verdict::Inconclusive);
    assert_eq!(verdict(SUITES, asked(json!([]))).0, Verdict::Inconclusive);
    assert_eq!(verdict(SUITES, asked(Value::Null)).0, Verdict::Inconclusive);
    assert_eq!(verdict(SUITES, asked(json!({"suites": "all"}))).0, Verdict::Pass);
    let no_cover = SUITES.replace("\ncover: params.bad", "");
    assert_eq!(verdict(&no_cover, asked(json!(["x", "y"]))).0, Verdict::Inconclusive, "names alone are never all");
    assert_eq!(verdict(&no_cover, asked(json!("all"))).0, Verdict::Pass);
    // The lists of versions that `where` excludes whatever the item are of no concern.
    let other = change(facts("not_proven"), "/versions/1/asked", json!([]));
    assert_eq!(verdict(SUITES, other).0, Verdict::Pass);
}

#[test]
fn found_things_do_not_vouch_for_those_not_looked_for() {
    let fields =
        "over: versions[*].suites[*]\nwhere: parent.name == 'TLSv1.2'\nviolates: item.bits < 128\nmessage: weak";
    assert_eq!(verdict(fields, facts("refused")).0, Verdict::Pass);
    let some = change(facts("refused"), "/versions/2/asked", json!(["a"]));
    assert_eq!(verdict(fields, some), (Verdict::Inconclusive, "not all of versions[2].suites was looked for".into()));
}

#[test]
fn what_stands_beside_as_not_proven_counts() {
    let beside = |id: &str| {
        change(facts("refused"), "/versions/2/not_proven", json!([{ "id": id, "bits": null, "why": "reset" }]))
    };
    assert_eq!(verdict(SUITES, beside("x")), (Verdict::Inconclusive, "x is not proven: reset".into()));
    assert_eq!(verdict(SUITES, beside("y")).0, Verdict::Pass);
    let named =
        SUITES.replace("over: versions[*].suites[*]", "over: ['versions[*].suites[*]', 'versions[*].not_proven[*]']");
    assert_eq!(verdict(&named, beside("x")), verdict(SUITES, beside("x")));
    let found = finding(&control(SUITES), beside("x"));
    assert_eq!(found.reasons[0].item.as_deref(), Some("versions[2].not_proven[0]"));
}

#[test]
fn what_is_around_an_item_must_be_proven_too() {
    let around = change(facts("refused"), "/versions/2/outcome", json!("not_proven"));
    assert_eq!(verdict(SUITES, around), (Verdict::Inconclusive, "TLSv1.2 is not proven".into()));
}

#[test]
fn missing_keys_null_and_wrong_types_are_never_a_pass() {
    for (pointer, value) in [
        ("/versions", Value::Null),
        ("/versions", json!({})),
        ("/versions/1", json!({})),
        ("/versions/1", json!(7)),
        ("/versions/1/name", Value::Null),
        ("/versions/1/outcome", json!("not_proven")),
    ] {
        let (got, why) = verdict(LEGACY, change(facts("refused"), pointer, value.clone()));
        assert_eq!(got, Verdict::Inconclusive, "{pointer} {value}: {why}");
    }
    assert_eq!(verdict(LEGACY, json!({"versions": []})).0, Verdict::Inconclusive);
    assert_eq!(verdict(LEGACY, json!({"versions": [], "asked": []})).0, Verdict::Inconclusive);
    assert_eq!(verdict(LEGACY, json!({})), (Verdict::Inconclusive, "the evidence has no 'versions'".into()));
    let bits = "over: versions[*].suites[*]\nwhere: parent.name == 'TLSv1.2'\nviolates: item.bits < 128\nmessage: weak";
    let null = change(facts("refused"), "/versions/2/suites/0/bits", Value::Null);
    assert_eq!(verdict(bits, null), (Verdict::Inconclusive, "a: '<' can't be applied to null and int".into()));
}

#[test]
fn without_over_the_facts_are_the_item() {
    let fields = "violates: days_left(facts.expires) < 14\nmessage: '{{ days_left(facts.expires) }} days left'";
    assert_eq!(verdict(fields, facts("refused")), (Verdict::Fail, "10 days left".into()));
    assert_eq!(verdict(&fields.replace("14", "10"), facts("refused")).0, Verdict::Pass);
    assert_eq!(verdict(fields, json!({})), (Verdict::Inconclusive, "the evidence has no 'expires'".into()));
    assert_eq!(verdict(fields, json!({"expires": "soon"})).0, Verdict::Inconclusive);
}

#[test]
fn only_applicable_makes_not_applicable() {
    let fields = format!(
        "{LEGACY}\napplicable: facts.versions.size() > 5\notherwise: only {{{{ facts.versions | length }}}} versions"
    );
    assert_eq!(verdict(&fields, facts("accepted")), (Verdict::NotApplicable, "only 3 versions".into()));
    let (got, why) = verdict(&fields, json!({}));
    assert_eq!(
        (got, why.as_str()),
        (Verdict::Inconclusive, "whether it applies is not known: the evidence has no 'versions'")
    );
}

#[test]
fn evidence_that_failed_is_stale_from_the_future_or_too_weak() {
    let policies = policies(&control(LEGACY));
    let judge = |change: &dyn Fn(&mut model::Evidence)| {
        let mut piece = evidence("tls", "edge", Ok(facts("accepted")));
        change(&mut piece);
        let found = judge_all(&policies, vec![piece]).findings.remove(0);
        (found.verdict, found.reasons[0].message.clone())
    };
    let at = |time: &str| time.parse().unwrap();
    assert_eq!(judge(&|e| e.collected = at("2026-11-23T00:00:00Z")).0, Verdict::Fail);
    let stale = judge(&|e| e.collected = at("2026-11-22T23:59:59Z"));
    assert_eq!(stale, (Verdict::Inconclusive, "the evidence is from 2026-11-22T23:59:59Z, more than 24h old".into()));
    assert_eq!(judge(&|e| e.collected = at("2026-11-24T00:00:01Z")).0, Verdict::Inconclusive);
    let failed = judge(&|e| {
        e.facts = None;
        e.failure = Some(model::Failure::new(model::FailureClass::Timeout, "no answer"));
    });
    assert_eq!(failed, (Verdict::Inconclusive, "no answer".into()));
    assert_eq!(judge(&|e| e.facts = None).0, Verdict::Inconclusive);

    let strict = common::policies(&control(&format!("{LEGACY}\nevidence: {{ kind: tls, level: demonstrated }}")));
    let mut weak = evidence("tls", "edge", Ok(facts("refused")));
    weak.level = Level::Declared;
    let found = judge_all(&strict, vec![weak]).findings.remove(0);
    assert_eq!(found.reasons[0].message, "the evidence is declared only; demonstrated is needed");
}

#[test]
fn many_reasons_are_counted_not_listed() {
    let mut many = facts("refused");
    let suites: Vec<Value> = (0..100).map(|i| json!({"id": format!("s{i}"), "bits": 40, "why": null})).collect();
    many["versions"][2]["suites"] = json!(suites);
    let fields = "over: versions[*].suites[*]\nviolates: item.bits < 128\nmessage: '{{ item.id }}'";
    let found = finding(&control(fields), many);
    assert_eq!(found.reasons.len(), 21);
    assert_eq!(found.reasons[20].message, "and 80 more");
}

#[test]
fn a_kind_without_a_target_is_said_once_and_blocks_where_required() {
    let judged = judge_all(&policies(&control(LEGACY)), vec![]);
    let found = &judged.findings[0];
    assert_eq!(
        (found.verdict, &*found.target, found.reasons[0].message.as_str()),
        (Verdict::NotApplicable, "service", "no such target")
    );

    let profile = "profile: p\nversion: '1'\ntitle: t\ncontrols: [TEST]\nrequires: [tls]\n";
    let sources = common::sources(&[("controls/a.yaml", &control(LEGACY)), ("profiles/p.yaml", profile)]);
    let policies = policy::Library::load(&sources, &common::kinds()).unwrap().resolve(&["p"]).unwrap();
    assert_eq!(judge_all(&policies, vec![]).findings[0].verdict, Verdict::Inconclusive);
    // Evidence of it is there, though it failed: nothing to add.
    let judged = judge_all(&policies, vec![evidence("tls", "edge", Err("refused"))]);
    assert_eq!(judged.findings.len(), 1);
    assert_eq!(&*judged.findings[0].target, "edge");
    // A target of the sort, but no evidence came of it.
    let mut silent = target("edge");
    silent.subject.sort = "tls".into();
    let judged = Judge::new(&policies, common::NOW.parse().unwrap(), "service").finish(&[silent], &Waivers::default());
    assert_eq!((judged.findings[0].verdict, &*judged.findings[0].target), (Verdict::Inconclusive, "edge"));
}

const SERVICE: &str = "evidence: { kinds: [key, tls], scope: service }\nover: all[*]\nwhere: item.kind == 'key'\n\
    violates: all.exists(o, o.kind == 'key' && o.target != item.target && o.facts.fingerprint == item.facts.fingerprint)\n\
    message: 'the key of {{ item.target }} is used twice'";

#[test]
fn service_scope_sees_all_evidence_at_once() {
    let policies = policies(&control(SERVICE));
    let key = |on: &str, print: &str| {
        evidence("key", on, Ok(json!({"mode": 384, "group": null, "fingerprint": print, "seen": [1]})))
    };
    let tls = || evidence("tls", "edge", Ok(facts("refused")));
    let judged = judge_all(&policies, vec![key("b", "1"), key("a", "1"), key("c", "2"), tls()]);
    assert_eq!(judged.findings.len(), 1);
    let found = &judged.findings[0];
    let said: Vec<&str> = found.reasons.iter().map(|r| r.message.as_str()).collect();
    assert_eq!(said, ["the key of a is used twice", "the key of b is used twice"], "sorted by target");
    assert_eq!((found.verdict, found.level, found.evidence.len()), (Verdict::Fail, Some(Level::Effective), 4));
    assert_eq!(found.reasons[0].cites[0].index, 1);

    let verdict = |evidence| judge_all(&policies, evidence).findings[0].verdict;
    assert_eq!(verdict(vec![key("a", "1"), key("b", "2"), tls()]), Verdict::Pass);
    assert_eq!(verdict(vec![key("a", "1"), key("b", "2")]), Verdict::Inconclusive, "a kind is missing");
    assert_eq!(verdict(vec![key("a", "1"), evidence("key", "b", Err("unreadable")), tls()]), Verdict::Inconclusive);
    assert_eq!(verdict(vec![tls()]), Verdict::Inconclusive);
    assert_eq!(verdict(vec![]), Verdict::NotApplicable);
}

#[test]
fn the_same_control_is_judged_once_and_belongs_to_each_policy() {
    let a = "profile: a\nversion: '1'\ntitle: t\ncontrols: [TEST]\n";
    let b = "profile: b\nversion: '1'\ntitle: t\ncontrols: [TEST]\n";
    let c = "profile: c\nversion: '1'\ntitle: t\ncontrols: [{ id: TEST, params: { forbidden: [TLSv1.0] } }]\n";
    let control = control(LEGACY);
    let files =
        [("controls/a.yaml", control.as_str()), ("profiles/a.yaml", a), ("profiles/b.yaml", b), ("profiles/c.yaml", c)];
    let library = policy::Library::load(&common::sources(&files), &common::kinds()).unwrap();
    let policies = library.resolve(&["c", "b", "a"]).unwrap();
    let judged = judge_all(&policies, vec![evidence("tls", "edge", Ok(facts("accepted")))]);
    let got: Vec<(&str, Verdict)> = judged.findings.iter().map(|f| (&*f.policy, f.verdict)).collect();
    assert_eq!(got, [("c", Verdict::Pass), ("b", Verdict::Fail), ("a", Verdict::Fail)]);
}

#[test]
fn an_item_may_be_unproven_by_the_control_and_a_violation_outweighs_it() {
    let fields = |unproven: &str| {
        format!(
            "over: versions[*].suites[*]\nviolates: item.bits < 64\nmessage: weak\nunproven: {unproven}\n\
             because: '{{{{ item.id }}}} of {{{{ parent.name }}}}'"
        )
    };
    let with_bits = |bits: Value| change(facts("refused"), "/versions/2/suites/0/bits", bits);
    assert_eq!(verdict(&fields("item.bits < 64"), with_bits(json!(56))), (Verdict::Fail, "weak".into()));
    assert_eq!(
        verdict(&fields("item.bits < 129").replace("bits < 64", "bits < 1"), with_bits(json!(128))).0,
        Verdict::Inconclusive
    );
    // The control's own words come before those of the interpreter.
    let (found, why) = verdict(&fields("item.bits == null"), with_bits(Value::Null));
    assert_eq!(found, Verdict::Inconclusive);
    assert!(why.ends_with("of TLSv1.2"), "{why}");
    let (found, why) = verdict(&fields("item.bits < 0"), with_bits(Value::Null));
    assert_eq!(found, Verdict::Inconclusive);
    assert!(why.contains("null"), "{why}");
    assert_eq!(verdict(&fields("item.bits == null"), with_bits(json!(128))).0, Verdict::Pass);
    assert_eq!(
        verdict(
            "unproven: days_left(facts.versions[7].name) < 3\nbecause: b\nmessage: m\nviolates: facts.expires == 'x'",
            facts("refused")
        )
        .0,
        Verdict::Inconclusive
    );
}
