//! Whatever the files and the evidence hold, nothing panics and nothing takes for ever.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{control, evidence, judge_all, kinds, policies, sources};
use model::Verdict;
use policy::{Library, Waivers, policies_from_yaml, policies_to_yaml};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Pieces of policies, so that the deeper parts are reached too.
fn piece() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "controls:",
        "waivers:",
        "profile:",
        "- id: A",
        "  severity: high",
        "evidence: { kind: tls }",
        "over: versions[*]",
        "item",
        ".outcome",
        " == ",
        "\"accepted\"",
        " in ",
        "params.x",
        ".all(v, ",
        ")",
        "(",
        "[",
        "]",
        "{",
        "}",
        "&a",
        "*a",
        "\n",
        "\n  ",
        ": ",
        ", ",
        "'",
        "\"",
        "|",
        ">-",
        "!",
        "?",
        "#",
        "1e99",
        "9223372036854775807",
        "-",
        "\u{202e}",
        "\u{0}",
        "ü",
        "{{ ",
        " }}",
        "{% if",
    ];
    prop_oneof![proptest::sample::select(WORDS).prop_map(str::to_owned), any::<String>()]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

/// JSON as a probe would never write it.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,4}|TLSv1.1|accepted|refused|not_proven|all".prop_map(Value::from),
    ];
    let key = "versions|name|outcome|asked|suites|not_proven|id|bits|seen|why|expires";
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_panics(text in text()) {
        for path in ["controls/a.yaml", "profiles/a.yaml", "tests/a.yaml"] {
            let files = [(path, text.as_str())];
            if let Err(found) = Library::load(&sources(&files), &kinds()) {
                let shown = found.render(&sources(&files), false);
                prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{shown:?}");
            }
        }
        let _ = Waivers::parse("waivers.yaml", text.as_bytes(), ["A"]);
        let _ = policies_from_yaml("policy.yaml", text.as_bytes(), &kinds());
    }

    #[test]
    fn no_expression_panics(text in text()) {
        let quoted = serde_json::to_string(&text).unwrap();
        let control = control(&format!("over: versions[*]\nviolates: {quoted}\nmessage: {quoted}"));
        let _ = Library::load(&sources(&[("controls/a.yaml", &control)]), &kinds());
    }

    /// Random facts neither panic nor pass, unless everything that the control needs is there.
    #[test]
    fn no_junk_passes(versions in junk(), asked in junk()) {
        let fields = "params: { forbidden: [TLSv1.1] }\nover: versions[*]\nwhere: item.name in params.forbidden\ncover: params.forbidden";
        let facts = json!({ "versions": versions, "asked": asked });
        let judged = judge_all(&policies(&control(fields)), vec![evidence("tls", "t", Ok(facts.clone()))]);
        let found = &judged.findings[0];
        if found.verdict == Verdict::Pass {
            let looked_for = facts["asked"] == "all" || facts["asked"]["versions"] == "all" || facts["asked"].to_string().contains("TLSv1.1")
                || facts["versions"].to_string().contains("\"TLSv1.1\"");
            prop_assert!(looked_for && facts["versions"].is_array(), "{facts}");
        }
        prop_assert!(found.verdict == Verdict::Pass || !found.reasons.is_empty());
    }

    /// Whatever text a policy holds, its file is read back the same.
    #[test]
    fn any_text_survives_the_file_of_a_pack(words in proptest::collection::vec("\\PC{1,30}|[ \n:#'\"|>_0-9.eExo+-]{1,12}", 6)) {
        let quoted: Vec<String> = words.iter().map(|w| serde_json::to_string(w).unwrap()).collect();
        let fields = format!(
            "title: {0}\nparams: {{ a: {1}, b: [{2}, {3}] }}\nviolates: 'true'\nmessage: m\nremedy: {{ any: {4} }}\nclauses: {{ x: [{5}] }}",
            quoted[0], quoted[1], quoted[2], quoted[3], quoted[4], quoted[5]);
        let control = control(&fields).replacen("  title: t\n", "", 1);
        let profile = "profile: p\nversion: '1'\ntitle: t\ncontrols: [TEST]\n";
        let files = sources(&[("controls/a.yaml", &control), ("profiles/p.yaml", profile)]);
        // Texts of nothing but white space are refused; they are no matter here.
        if let Ok(library) = Library::load(&files, &kinds()) {
            let policies = library.resolve(&["p"]).unwrap();
            let bytes = policies_to_yaml(&policies).unwrap();
            let again = policies_from_yaml("policy.yaml", &bytes, &kinds());
            let again = again.map_err(|e| TestCaseError::fail(format!("{e}\n{}", String::from_utf8_lossy(&bytes))))?;
            prop_assert_eq!(&again[0].controls[0].written, &policies[0].controls[0].written);
        }
    }
}

#[test]
fn a_quadratic_control_over_huge_facts_gives_up() {
    let fields = "violates: facts.versions.all(a, facts.versions.exists(b, a.name == b.name && b.outcome == 'accepted') == false)\nmessage: m";
    let many: Vec<Value> = (0..20_000).map(|_| json!({ "name": "TLSv1.1", "outcome": "refused" })).collect();
    let facts = json!({ "versions": many });
    let judged = judge_all(&policies(&control(fields)), vec![evidence("tls", "t", Ok(facts))]);
    let found = &judged.findings[0];
    assert_eq!(
        (found.verdict, found.reasons[0].message.as_str()),
        (Verdict::Inconclusive, "there is too much to look at")
    );
}
