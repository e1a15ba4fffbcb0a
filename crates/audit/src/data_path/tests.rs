use std::collections::BTreeMap;

use model::{Ask, Digest, Evidence, Failure, FailureClass, Level, Provenance, Subject, Target};
use serde_json::{Value, json};

use super::{Claim, DataPathTarget, DeclaredHop, Layers, Outcome};

fn evidence(of: &str, kind: &str, level: Level, facts: Option<Value>) -> Evidence {
    let now: jiff::Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
    let subject = Subject { sort: kind.to_owned(), spec: json!({}) };
    Evidence {
        format: Evidence::FORMAT.to_owned(),
        target: Target {
            name: of.to_owned(),
            of: of.to_owned(),
            address: of.to_owned(),
            labels: BTreeMap::new(),
            discovered: false,
            subject,
        },
        kind: kind.to_owned(),
        level,
        asked: Ask::All,
        collected: now,
        failure: facts.is_none().then(|| Failure::new(FailureClass::Timeout, "no answer")),
        facts: facts.map(|facts| facts.as_object().cloned().unwrap().into_iter().collect()),
        provenance: Provenance {
            started: now,
            millis: 0,
            sources: vec![],
            connections: 0,
            bytes_sent: 0,
            bytes_received: 0,
            commands: vec![],
            files: vec![],
            attested_by_host_only: false,
        },
        exchanges: None,
        notes: BTreeMap::new(),
    }
}

fn tls(suites: &[&str], asked: &str) -> Value {
    let suite = |name: &&str| json!({ "outcome": "accepted", "encryption": name });
    let suites: Vec<Value> = suites.iter().map(suite).collect();
    json!({ "versions": [
        { "name": "TLSv1.2", "outcome": "accepted", "asked": asked, "suites": suites },
        { "name": "TLSv1.1", "outcome": "refused", "asked": "all", "suites": [] },
    ]})
}

fn hop(targets: &[&str], evidence: &[Evidence]) -> super::Hop {
    let targets = targets.iter().map(|t| (*t).to_owned()).collect();
    let path = DataPathTarget { claim: Claim::default(), hops: vec![DeclaredHop { name: "hop".into(), targets }] };
    let mut layers = Layers::default();
    for piece in evidence {
        layers.add(piece, Digest::of(piece.kind.as_bytes()));
    }
    layers.facts(&path).hops.pop().unwrap()
}

#[test]
fn a_hop_is_encrypted_where_every_target_is() {
    let edge = evidence("edge", "tls", Level::Demonstrated, Some(tls(&["AES_256_GCM", "AES_128_GCM"], "all")));
    let shell = evidence(
        "shell",
        "ssh",
        Level::Demonstrated,
        Some(json!({ "offers": { "cipher": [{ "name": "aes256-ctr" }] } })),
    );
    let both = hop(&["edge", "shell"], &[edge.clone(), shell]);
    assert_eq!((both.outcome, both.level), (Outcome::Present, Some(Level::Demonstrated)));
    let names: Vec<_> = both.ciphers.iter().map(|c| (c.name.as_str(), c.bits)).collect();
    assert_eq!(names, [("AES-128-GCM", Some(128)), ("AES-256-GCM", Some(256)), ("aes256-ctr", Some(256))]);

    let alone = hop(&["edge", "shell"], &[edge]);
    assert_eq!(alone.outcome, Outcome::NotProven);
    assert_eq!(alone.why.as_deref(), Some("shell: no evidence on it says anything of encryption"));
    assert_eq!(hop(&["edge"], &[evidence("edge", "tls", Level::Demonstrated, None)]).outcome, Outcome::NotProven);
}

#[test]
fn one_that_shows_clear_data_is_enough() {
    let null = evidence("edge", "tls", Level::Demonstrated, Some(tls(&["AES_256_GCM", "NULL"], "all")));
    assert_eq!(hop(&["edge"], &[null]).outcome, Outcome::Absent);
    let copies = |outcome: &str| {
        let encryption = json!({ "outcome": outcome, "why": null, "mode": "AES-256-CTR" });
        evidence("nightly", "backup", Level::Effective, Some(json!({ "encryption": encryption })))
    };
    assert_eq!(hop(&["nightly"], &[copies("absent")]).outcome, Outcome::Absent);
    assert_eq!(hop(&["nightly"], &[copies("not_proven")]).outcome, Outcome::NotProven);
    let good = hop(&["nightly"], &[copies("present")]);
    assert_eq!((good.outcome, good.level), (Outcome::Present, Some(Level::Effective)));
}

#[test]
fn suites_that_were_not_asked_for_are_not_known() {
    let some = hop(&["edge"], &[evidence("edge", "tls", Level::Demonstrated, Some(tls(&["AES_256_GCM"], "some")))]);
    assert_eq!(some.outcome, Outcome::Present);
    assert!(some.ciphers.iter().any(|c| c.name == "other suites of TLSv1.2" && c.bits.is_none()), "{some:?}");
}

#[test]
fn what_is_declared_must_be_there() {
    let path: DataPathTarget =
        serde_json::from_value(json!({ "hops": [{ "name": "a", "targets": ["edge", "egde"] }] })).unwrap();
    let known = |name: &str| name == "edge";
    let (field, message) = path.check(&known).unwrap_err();
    assert_eq!((field.as_str(), message.as_str()), ("hops[0].targets[1]", "no other target is called 'egde'"));
}

/// The facts that the policies' own tests begin with.
fn fixture(kind: &str) -> Value {
    let path = format!("{}/../../policies/tests/fixtures/{kind}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn changed(kind: &str, pointer: &str, value: Value) -> Value {
    let mut facts = fixture(kind);
    *facts.pointer_mut(pointer).unwrap_or_else(|| panic!("{kind}: nothing at {pointer}")) = value;
    facts
}

/// It insists on TLS neither for all nor for one account that may come from elsewhere.
fn bare_mysql() -> Value {
    let mut facts = changed("mysql", "/settings/items", json!([]));
    let account = json!({ "name": "'app'@'%'", "remote": true, "locked": false, "requires_tls": false });
    *facts.pointer_mut("/accounts/items").unwrap() = json!([account]);
    facts
}

fn plain_upstream(name: &str) -> Value {
    json!({ "name": name, "outcome": "present", "why": null, "at": "x:1", "encryption": "none", "verify": null })
}

#[test]
fn what_each_kind_says() {
    use Outcome::{Absent, NotProven, Present};
    let cases = [
        ("tls", fixture("tls-modern"), Present),
        ("ssh", fixture("ssh"), Present),
        ("ssh", changed("ssh", "/offers/cipher/0/name", json!("none")), Absent),
        ("luks", fixture("luks"), Present),
        ("luks", changed("luks", "/volumes/0/format/outcome", json!("absent")), Absent),
        ("luks", changed("luks", "/volumes/0/format/outcome", json!("not_proven")), NotProven),
        ("luks", changed("luks", "/volumes/0/segments/0/cipher", Value::Null), Absent),
        ("luks", changed("luks", "/volumes/0/segments/0/cipher/encryption", json!("cipher_null-ecb")), Absent),
        ("storage", fixture("storage"), Present),
        ("storage", changed("storage", "/paths/0/outcome", json!("not_proven")), NotProven),
        ("storage", changed("storage", "/paths/0/holders/0/encryption/outcome", json!("absent")), Absent),
        ("storage", changed("storage", "/paths/0/holders", json!([])), NotProven),
        ("database-wire", fixture("database-wire"), Present),
        ("database-wire", changed("database-wire", "/plaintext/outcome", json!("accepted")), Absent),
        ("database-wire", changed("database-wire", "/plaintext/outcome", json!("not_proven")), NotProven),
        ("luks", changed("luks", "/volumes/0/keyslots/0/area/cipher/encryption", json!("cipher_null-ecb")), Absent),
        ("postgresql", fixture("postgresql"), Present),
        ("postgresql", changed("postgresql", "/hba/rules/items/1/without_encryption", json!(true)), Absent),
        ("postgresql", changed("postgresql", "/hba/changed_since_loaded", json!(true)), NotProven),
        ("postgresql", changed("postgresql", "/hba/rules/outcome", json!("not_proven")), NotProven),
        ("server-config", fixture("server-config"), Present),
        ("server-config", changed("server-config", "/services/0/encryption", json!("none")), Absent),
        ("server-config", changed("server-config", "/services/0/encryption", json!("starttls_optional")), Absent),
        ("server-config", changed("server-config", "/services/0/outcome", json!("not_proven")), NotProven),
        ("server-config", changed("server-config", "/not_proven", json!([{}])), NotProven),
        ("server-config", changed("server-config", "/services/1/redirect/except", json!(["/api"])), Absent),
        ("server-config", changed("server-config", "/upstreams/0/encryption", json!("none")), NotProven),
        ("server-config", changed("server-config", "/upstreams/0/outcome", json!("not_proven")), NotProven),
        ("server-config", changed("server-config", "/upstreams/0", plain_upstream("http://127.0.0.1:80/x")), Present),
        (
            "server-config",
            changed("server-config", "/upstreams/0", plain_upstream("http://unix:/run/app.sock")),
            Present,
        ),
        ("server-config", changed("server-config", "/upstreams/0", plain_upstream("http://[::1]:8080")), Present),
        ("server-config", changed("server-config", "/upstreams/0", plain_upstream("127.0.0.1.example:80")), NotProven),
        ("redis", fixture("redis"), NotProven),
        ("redis", changed("redis", "/plaintext_port/outcome", json!("present")), Absent),
        ("mysql", fixture("mysql"), Present),
        ("mysql", changed("mysql", "/settings/items", json!([])), Present),
        ("mysql", bare_mysql(), Absent),
        ("e2ee", fixture("e2ee"), NotProven),
        ("e2ee", changed("e2ee", "/stores/stores/0/claim", json!("refuted")), Absent),
        ("e2ee-canary", fixture("e2ee-canary"), NotProven),
    ];
    for (kind, facts, outcome) in cases {
        let said = hop(&["it"], &[evidence("it", kind, Level::Effective, Some(facts))]);
        assert_eq!(said.outcome, outcome, "{kind}: {said:?}");
    }
}

#[test]
fn a_sound_header_does_not_say_what_lies_behind_it() {
    let header = || evidence("volume", "luks", Level::Effective, Some(fixture("luks")));
    let storage = |facts| evidence("volume", "storage", Level::Effective, Some(facts));
    assert_eq!(hop(&["volume"], &[header(), storage(fixture("storage"))]).outcome, Outcome::Present);
    let nothing = hop(&["volume"], &[header(), storage(changed("storage", "/paths", json!([])))]);
    assert_eq!(nothing.outcome, Outcome::NotProven, "{nothing:?}");
    assert!(nothing.why.is_some_and(|why| why.contains("which paths lie on it is not declared")));
    assert_eq!(
        hop(&["volume"], &[header(), evidence("volume", "storage", Level::Effective, None)]).outcome,
        Outcome::NotProven
    );
}

#[test]
fn a_key_of_xts_is_two() {
    let facts = changed("luks", "/volumes/0/segments/0/cipher/strength_bits", json!(128));
    let half = hop(&["disk"], &[evidence("disk", "luks", Level::Effective, Some(facts))]);
    assert!(half.ciphers.iter().any(|cipher| cipher.bits == Some(128)), "{half:?}");
}
