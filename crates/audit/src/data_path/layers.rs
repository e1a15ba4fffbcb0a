//! What each kind of evidence says of encryption: one function for each kind that says anything.

use model::{Evidence, Facts};
use serde_json::Value;

use super::{Cipher, CipherOutcome, Outcome, Protects};

/// What one piece of evidence says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) protects: Protects,
    pub(super) outcome: Outcome,
    pub(super) why: Option<String>,
    pub(super) ciphers: Vec<Cipher>,
}

type Read = fn(&Facts) -> Vec<Said>;

/// The kinds that say something, what is encrypted where they do, and how to read them.
const KINDS: [(&str, Protects, Read); 3] =
    [("backup", Protects::Rest, backup), ("ssh", Protects::Transit, ssh), ("tls", Protects::Transit, tls)];

/// What a piece of evidence says of encryption; nothing where its kind says nothing of it.
pub(super) fn of(evidence: &Evidence) -> Vec<Said> {
    let Some((_, protects, read)) = KINDS.iter().find(|(kind, ..)| *kind == evidence.kind) else { return Vec::new() };
    match (&evidence.facts, &evidence.failure) {
        (Some(facts), _) => read(facts),
        (None, Some(failure)) => vec![Said::not_proven(*protects, failure.message.clone())],
        (None, None) => vec![Said::not_proven(*protects, "nothing was seen".into())],
    }
}

impl Said {
    /// Encrypted; where no cipher is told, that is not proven.
    fn present(protects: Protects, mut ciphers: Vec<Cipher>) -> Self {
        if ciphers.is_empty() {
            ciphers.push(unknown("a cipher without a name", "the evidence does not name it"));
        }
        Self { protects, outcome: Outcome::Present, why: None, ciphers }
    }

    fn absent(protects: Protects, why: String, ciphers: Vec<Cipher>) -> Self {
        Self { protects, outcome: Outcome::Absent, why: Some(why), ciphers }
    }

    fn not_proven(protects: Protects, why: String) -> Self {
        Self { protects, outcome: Outcome::NotProven, why: Some(why), ciphers: Vec::new() }
    }
}

fn list<'a>(value: Option<&'a Value>) -> impl Iterator<Item = &'a Value> {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn tls(facts: &Facts) -> Vec<Said> {
    let accepted = || list(facts.get("versions")).filter(|version| text(version, "outcome") == "accepted");
    let suites = accepted().flat_map(|version| list(version.get("suites")));
    let names = suites.filter(|suite| text(suite, "outcome") == "accepted").map(|suite| text(suite, "encryption"));
    let mut ciphers: Vec<Cipher> = names.map(|name| known(&name.replace('_', "-"))).collect();
    let all = |version: &&Value| version.get("asked").and_then(Value::as_str) == Some("all");
    ciphers.extend(accepted().filter(|version| !all(version)).map(|version| {
        let why = "not every cipher suite was asked for; --depth full asks for all";
        unknown(&format!("other suites of {}", text(version, "name")), why)
    }));
    ciphers.sort();
    ciphers.dedup();
    vec![match (ciphers.is_empty(), ciphers.iter().find(|cipher| cipher.bits == Some(0))) {
        (true, _) => Said::not_proven(Protects::Transit, "no version of TLS was accepted".into()),
        (_, Some(null)) => {
            let why = format!("{}, which encrypts nothing, is accepted", null.name);
            Said::absent(Protects::Transit, why, ciphers)
        }
        (false, None) => Said::present(Protects::Transit, ciphers),
    }]
}

fn ssh(facts: &Facts) -> Vec<Said> {
    let offered = facts.get("offers").and_then(|offers| offers.get("cipher"));
    let ciphers: Vec<Cipher> = list(offered).map(|cipher| known(text(cipher, "name"))).collect();
    vec![match (ciphers.is_empty(), ciphers.iter().any(|cipher| cipher.bits == Some(0))) {
        (true, _) => Said::not_proven(Protects::Transit, "no list of ciphers was seen".into()),
        (_, true) => Said::absent(Protects::Transit, "'none' is offered as a cipher".into(), ciphers),
        (false, false) => Said::present(Protects::Transit, ciphers),
    }]
}

fn backup(facts: &Facts) -> Vec<Said> {
    let none = Value::Null;
    let encryption = facts.get("encryption").unwrap_or(&none);
    let why = encryption.get("why").and_then(Value::as_str).map(str::to_owned);
    let mode = encryption.get("mode").and_then(Value::as_str);
    vec![match text(encryption, "outcome") {
        "present" => Said::present(Protects::Rest, mode.map(known).into_iter().collect()),
        "absent" => {
            Said::absent(Protects::Rest, why.unwrap_or_else(|| "the copies are not encrypted".into()), Vec::new())
        }
        _ => Said::not_proven(Protects::Rest, why.unwrap_or_else(|| "nothing tells whether it is".into())),
    }]
}

/// A cipher that was seen, or a mode that tells of one.
fn known(name: &str) -> Cipher {
    let bits = bits(name);
    match bits {
        Some(_) => Cipher { name: name.to_owned(), outcome: CipherOutcome::Present, why: None, bits },
        None => unknown(name, "its name does not tell the length of its key"),
    }
}

/// What there may be beside.
fn unknown(name: &str, why: &str) -> Cipher {
    Cipher { name: name.to_owned(), outcome: CipherOutcome::NotProven, why: Some(why.to_owned()), bits: None }
}

/// The strength that a cipher's name tells, in bits: the length of its key, 112 for three keys of DES (NIST SP 800-57
/// part 1, table 2), 0 where nothing is encrypted.
fn bits(name: &str) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    let has = |part: &str| name.contains(part);
    if matches!(name.as_str(), "none" | "null" | "cipher_null-ecb") {
        return Some(0);
    }
    if has("3des") || has("des-ede") || has("des_ede") {
        return Some(112);
    }
    if has("chacha20") {
        return Some(256);
    }
    let mut numbers = name.split(|c: char| !c.is_ascii_digit());
    numbers.find_map(|number| number.parse().ok().filter(|n| [40, 56, 128, 192, 256].contains(n)))
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn names_tell_the_strength() {
        let known = [
            ("AES-128-GCM", 128),
            ("AES-256-CBC", 256),
            ("3DES-EDE-CBC", 112),
            ("3des-cbc", 112),
            ("CHACHA20-POLY1305", 256),
            ("chacha20-poly1305@openssh.com", 256),
            ("aes192-ctr", 192),
            ("aes-256-cbc", 256),
            ("restic repository version 2, AES-256-CTR", 256),
            ("RC4-128", 128),
            ("DES40-CBC", 40),
            ("NULL", 0),
            ("none", 0),
        ];
        for (name, strength) in known {
            assert_eq!(bits(name), Some(strength), "{name}");
        }
        for name in ["", "repokey-blake2", "blowfish-cbc", "SM4", "age"] {
            assert_eq!(bits(name), None, "{name}");
        }
    }
}
