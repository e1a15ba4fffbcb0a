//! What is shown of a scan and of a control, and VERIFY.md.

mod sample;

use model::Facts;
use proptest::prelude::*;
use report::{Signature, Style, Trust, View};
use serde_json::{Value, json};

fn scan(facts: &Facts) -> String {
    report::scan("chat.example.org:443", "203.0.113.7:443", facts, &Style::PLAIN)
}

#[test]
fn a_scan_shows_what_answered_and_what_did_not() {
    let text = scan(&sample::tls_facts());
    for wanted in [
        "chat.example.org:443  203.0.113.7:443\n",
        "\n  SSLv2     refused\n",
        "\n  TLSv1.0   not proven  1 suite not proven\n",
        "\n  TLSv1.2   accepted    3 suites, in the server's order\n",
        "\n            0xc02b   128  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n",
        "\n  X25519MLKEM768  accepted     TLSv1.3\n",
        "\n     2026-09-04 to 2026-12-03 · EC secp256r1 · ecdsa-with-SHA256\n",
        "\n  system      trusted      valid 2026-09-04 to 2026-12-03\n",
        "\n  TLSv1.0   0x0005\n            reset twice after a canary succeeded\n",
        "\n21 connections, 44 rounds\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}

#[test]
fn keys_that_are_missing_or_unknown_are_no_obstacle() {
    assert!(!scan(&Facts::new()).is_empty());
    let odd =
        json!({ "versions": [{ "name": 7 }, "x", null], "groups": "none", "chains": [{}], "ocsp": 1, "new": [1, 2] });
    let text = scan(odd.as_object().unwrap_or(&Facts::new()));
    assert!(text.contains("new") && text.contains("1-2"), "what is unknown is shown too:\n{text}");
    let other = json!({ "sockets": [{ "address": "0.0.0.0:22" }] });
    assert!(scan(other.as_object().unwrap_or(&Facts::new())).contains("0.0.0.0:22"));
}

#[test]
fn a_control_is_explained() {
    let assessment = sample::assessment();
    let text = assessment.controls.get("TLS-PROTO-LEGACY").map(|c| report::policy_explain(c, &Style::PLAIN));
    let text = text.unwrap_or_default();
    for wanted in [
        "TLS-PROTO-LEGACY  high\nNo TLS 1.0 or TLS 1.1\n\n",
        "fix, nginx      ssl_protocols TLSv1.2 TLSv1.3;\n",
        "helps to show   pci-dss-4.0.1: 4.2.1\n",
        "written in      controls/tls.yaml:12:3\n",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}

fn verify_md(signature: Signature, hypothetical: bool, files: &[&str]) -> String {
    let mut assessment = sample::hostile("`x`\n# y *z*");
    assessment.hypothetical = hypothetical;
    let view = View {
        assessment: &assessment,
        evidence: &|_| None,
        earlier: &Vec::new,
        signature,
        pack: None,
        bundle: Some("{}"),
        inventory: None,
    };
    String::from_utf8(report::verify_md(&view, files)).unwrap_or_default()
}

fn signed() -> Signature {
    Signature::Signed { fingerprint: "SHA256:abc".into(), label: Some("ops".into()), trust: Trust::SelfMade }
}

#[test]
fn verify_md_names_what_is_there_and_what_is_not() {
    let text = verify_md(signed(), false, &["report.html", "report.sarif"]);
    for wanted in [
        "Its reports: `report.html`, `report.sarif`. Not made by this run, and so absent: `report.junit.xml`, `report.csv`, `report.oscal.json`.",
        "is about `manifest.json`, `SHA256SUMS`, `report.html`, `report.sarif`.",
        "Signed by ops, `SHA256:abc`.",
        "openssl dgst -sha256 -verify \"$KEY\" -signature \"$WORK/sig\" \"$WORK/pae\"",
        "openssl pkeyutl -verify -pubin -inkey \"$KEY\" -rawin -in \"$WORK/pae\" -sigfile \"$WORK/sig\"",
        "b\"DSSEv1 %d %s %d %s\"",
        "id=\"assessment-bundle\"",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
    assert!(!text.contains("# y") && !text.contains("could not be written"), "{text}");
    assert!(text.ends_with("the same.\n") && !text.contains("\n\n\n"), "{text}");
}

#[test]
fn verify_md_of_an_unsigned_pack_has_no_recipe_for_signatures() {
    let unsigned = Signature::Unsigned { why: "no key was given".into() };
    for text in [verify_md(unsigned, false, &[]), verify_md(signed(), true, &[])] {
        assert!(text.contains("**UNSIGNED**") && text.contains("sha256sum --check"), "{text}");
        assert!(!text.contains("pkeyutl") && text.contains("It holds no report."), "{text}");
    }
    assert!(verify_md(signed(), true, &[]).contains("**HYPOTHETICAL, not an audit.**"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), any::<String>().prop_map(Value::from)];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let keys =
            "(versions|suites|not_proven|name|outcome|why|groups|chains|certificates|key|stores|valid|behaviour|x)";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..8).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn any_facts_can_be_scanned(versions in any_json(), chains in any_json(), rest in any_json(), width in 0usize..200) {
        let facts = json!({ "versions": [versions], "chains": [chains], "groups": rest, "behaviour": rest, "other": rest });
        let facts = facts.as_object().cloned().unwrap_or_default();
        let text = report::scan("t\u{1b}", "a\u{202e}", &facts, &Style { width, ..Style::PLAIN });
        prop_assert!(!text.contains(|c: char| c != '\n' && report::escape::acts(c)));
        let bare = report::scan("t", "a", &Facts::from_iter([("x".to_owned(), rest)]), &Style::PLAIN);
        prop_assert!(!bare.contains(|c: char| c != '\n' && report::escape::acts(c)));
    }

    #[test]
    fn any_control_can_be_explained(text: String) {
        for control in sample::hostile(&text).controls.values() {
            let shown = report::policy_explain(control, &Style::PLAIN);
            prop_assert!(!shown.contains(|c: char| c != '\n' && report::escape::acts(c)));
        }
    }
}
