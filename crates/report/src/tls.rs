//! The facts of a TLS endpoint, read leniently from JSON: whatever is missing is shown as nothing, and whatever is
//! unknown is left to the general layout.

use model::Facts;
use serde::Serialize;
use serde_json::Value;

use crate::facts::cell;

/// The keys read here; the rest is for the general layout.
pub(crate) const KEYS: &[&str] = &[
    "address",
    "sni",
    "asked",
    "versions",
    "groups",
    "signature_schemes",
    "dhe",
    "dh_prime_bits",
    "behaviour",
    "chains",
    "ocsp",
    "consistent",
    "starttls",
    "connections",
    "round_trips",
];

/// Most items of any list.
const MOST: usize = 200;

/// A thing that was looked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Item {
    /// Code point, where it has one.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// `accepted`, `refused`, `present`, `absent`, `not_proven`, …
    pub(crate) outcome: String,
    /// Why it is not proven, or what exactly was seen.
    pub(crate) note: String,
    /// Protocol versions it was seen in.
    pub(crate) versions: String,
    /// Bits of a suite's key.
    pub(crate) key_bits: String,
    /// What of a suite does not show at once in its name: `static key exchange, no AEAD, 64-bit blocks`.
    pub(crate) traits: String,
    /// A group with a post-quantum part.
    pub(crate) post_quantum: bool,
}

/// One protocol version.
#[derive(Debug, Serialize)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) outcome: String,
    pub(crate) why: String,
    /// Whose order decides: `server`, `client`, or empty.
    pub(crate) order: String,
    /// `all`, or how many suites were asked.
    pub(crate) asked: String,
    pub(crate) suites: Vec<Item>,
    pub(crate) not_proven: Vec<Item>,
}

/// One certificate.
#[derive(Debug, Serialize)]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) key: String,
    pub(crate) signature: String,
    pub(crate) names: String,
    pub(crate) sha256: String,
}

/// A path to one trust store, dates left out.
#[derive(Debug, Serialize)]
pub(crate) struct Store {
    pub(crate) name: String,
    /// `trusted`, `untrusted`, `not_proven`, or empty.
    pub(crate) outcome: String,
    pub(crate) why: String,
    /// `2026-09-04 to 2026-12-03`, or empty.
    pub(crate) valid: String,
}

/// One chain as served.
#[derive(Debug, Serialize)]
pub(crate) struct Chain {
    pub(crate) sni: String,
    pub(crate) versions: String,
    pub(crate) name_match: Item,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) stores: Vec<Store>,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Tls {
    pub(crate) versions: Vec<Version>,
    pub(crate) groups: Vec<Item>,
    pub(crate) signature_schemes: Vec<Item>,
    pub(crate) features: Vec<Item>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) connections: String,
    pub(crate) round_trips: String,
}

/// Reads the facts, or gives none where they are not those of a TLS endpoint at all.
pub(crate) fn read(facts: &Facts) -> Option<Tls> {
    facts.get("versions").filter(|v| v.is_array())?;
    let top = |key| facts.get(key).unwrap_or(&Value::Null);
    Some(Tls {
        versions: items(top("versions")).map(version).collect(),
        groups: items(top("groups")).map(item).collect(),
        signature_schemes: items(top("signature_schemes")).map(item).collect(),
        features: features(facts),
        chains: items(top("chains")).map(chain).collect(),
        connections: shown(top("connections")),
        round_trips: shown(top("round_trips")),
    })
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten().take(MOST)
}

/// A value in one line; nothing for null and empty lists.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) if items.is_empty() => String::new(),
        other => cell(other),
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map(shown).unwrap_or_default()
}

fn item(value: &Value) -> Item {
    let note = [text(value, "detail"), text(value, "why")].into_iter().filter(|t| !t.is_empty());
    Item {
        id: text(value, "id"),
        name: text(value, "name"),
        outcome: text(value, "outcome"),
        note: note.collect::<Vec<_>>().join("; "),
        versions: text(value, "versions"),
        key_bits: text(value, "key_bits"),
        traits: traits(value),
        post_quantum: value.get("post_quantum").is_some_and(|known| known == true),
    }
}

/// Properties of a suite that are not those of today's usual ones.
fn traits(suite: &Value) -> String {
    let is = |key: &str, wanted: bool| suite.get(key).and_then(Value::as_bool) == Some(wanted);
    let all = [
        (is("ephemeral", false), "static key exchange"),
        (is("aead", false), "no AEAD"),
        (is("export", true), "export grade"),
        (suite.get("block_bits").is_some_and(|bits| bits == 64), "64-bit blocks"),
    ];
    all.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words).collect::<Vec<_>>().join(", ")
}

fn version(value: &Value) -> Version {
    let order = text(value, "order");
    let asked = match value.get("asked") {
        Some(Value::Array(ids)) => ids.len().to_string(),
        Some(other) => shown(other),
        None => String::new(),
    };
    let list = |key| value.get(key).map(|list| items(list).map(item).collect()).unwrap_or_default();
    Version {
        name: text(value, "name"),
        outcome: text(value, "outcome"),
        why: text(value, "why"),
        order: if order == "not_proven" { String::new() } else { order },
        asked,
        suites: list("suites"),
        not_proven: list("not_proven"),
    }
}

/// Behaviours, Diffie-Hellman, the stapled OCSP response and consistency, each an item with an outcome.
fn features(facts: &Facts) -> Vec<Item> {
    let named = |name: &str, value: &Value| Item { name: name.replace('_', " "), ..item(value) };
    let mut all: Vec<Item> = Vec::new();
    if let Some(starttls) = facts.get("starttls").filter(|v| v.is_object()) {
        all.push(named(&format!("STARTTLS, {}", text(starttls, "protocol")), starttls));
        for (key, name) in [("plain_login", "log-in without TLS"), ("injection", "command before TLS is obeyed")] {
            all.extend(starttls.get(key).filter(|v| v.is_object()).map(|feature| named(name, feature)));
        }
    }
    if let Some(Value::Object(behaviour)) = facts.get("behaviour") {
        all.extend(behaviour.iter().take(MOST).map(|(name, value)| named(name, value)));
    }
    if let Some(dhe) = facts.get("dhe").filter(|v| v.is_object()) {
        let bits = facts.get("dh_prime_bits").map(shown).filter(|b| !b.is_empty());
        let mut item = named("finite-field Diffie-Hellman", dhe);
        if let Some(bits) = bits {
            item.note = format!("{bits} bits");
        }
        all.push(item);
    }
    if let Some(ocsp) = facts.get("ocsp").filter(|v| v.is_object()) {
        let mut item = named("stapled OCSP response", ocsp);
        let status = text(ocsp, "status");
        if !status.is_empty() {
            item.note = format!("{status}, until {}", day(&text(ocsp, "next_update")));
        }
        all.push(item);
    }
    if let Some(consistent) = facts.get("consistent").filter(|v| v.is_object()) {
        all.push(named("same answers throughout", consistent));
    }
    all
}

fn chain(value: &Value) -> Chain {
    let null = Value::Null;
    let get = |key| value.get(key).unwrap_or(&null);
    Chain {
        sni: text(value, "sni"),
        versions: text(value, "versions"),
        name_match: item(get("name_match")),
        certificates: items(get("certificates")).map(certificate).collect(),
        stores: items(get("stores")).map(store).collect(),
    }
}

fn certificate(value: &Value) -> Certificate {
    let key = value.get("key").unwrap_or(&Value::Null);
    let parts = ["algorithm", "curve", "bits"].map(|k| text(key, k));
    let key = match &parts {
        [algorithm, curve, _] if !curve.is_empty() => format!("{algorithm} {curve}"),
        [algorithm, _, bits] if !bits.is_empty() => format!("{algorithm} {bits} bits"),
        [algorithm, ..] => algorithm.clone(),
    };
    let signature = match value.get("signature") {
        Some(object @ Value::Object(_)) => text(object, "name"),
        Some(other) => shown(other),
        None => String::new(),
    };
    let names = ["dns_names", "ip_addresses"].map(|k| text(value, k));
    Certificate {
        subject: text(value, "subject"),
        issuer: text(value, "issuer"),
        from: day(&text(value, "not_before")),
        to: day(&text(value, "not_after")),
        key,
        signature,
        names: names.into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join(", "),
        sha256: text(value, "sha256"),
    }
}

fn store(value: &Value) -> Store {
    let valid = value.get("valid").unwrap_or(&Value::Null);
    let (from, to) = (day(&text(valid, "from")), day(&text(valid, "to")));
    let outcome = match (text(value, "outcome"), value.get("trusted").and_then(Value::as_bool)) {
        (outcome, _) if !outcome.is_empty() => outcome,
        (_, Some(true)) => "trusted".into(),
        (_, Some(false)) => "untrusted".into(),
        (outcome, None) => outcome,
    };
    Store {
        name: text(value, "name"),
        outcome,
        why: text(value, "why"),
        valid: if from.is_empty() && to.is_empty() { String::new() } else { format!("{from} to {to}") },
    }
}

/// The date of an RFC 3339 instant; anything else unchanged.
fn day(text: &str) -> String {
    match text.split_once('T') {
        Some((day, _)) if day.len() == 10 => day.to_owned(),
        _ => text.to_owned(),
    }
}

/// An outcome in words for people.
pub(crate) fn words(outcome: &str) -> &str {
    match outcome {
        "not_proven" => "not proven",
        "" => "-",
        other => other,
    }
}
