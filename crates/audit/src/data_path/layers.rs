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

/// The kind that says where data lie.
pub(super) const STORAGE: &str = "storage";

/// The kinds that say something, what is encrypted where they do, and how to read them.
const KINDS: [(&str, Protects, Read); 12] = [
    ("backup", Protects::Rest, backup),
    ("database-wire", Protects::Transit, database),
    ("e2ee", Protects::Content, samples),
    ("e2ee-canary", Protects::Content, canary),
    ("luks", Protects::Rest, luks),
    ("mysql", Protects::Transit, mysql),
    ("postgresql", Protects::Transit, postgresql),
    ("redis", Protects::Transit, redis),
    ("server-config", Protects::Transit, server_config),
    ("ssh", Protects::Transit, ssh),
    (STORAGE, Protects::Rest, storage),
    ("tls", Protects::Transit, tls),
];

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

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
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

/// Encrypted only where no connection without encryption is let in: which one a client takes is its own choice.
fn database(facts: &Facts) -> Vec<Said> {
    let none = Value::Null;
    let (tls, plaintext) = (facts.get("tls").unwrap_or(&none), facts.get("plaintext").unwrap_or(&none));
    let why = |door: &Value, otherwise: &str| door.get("why").and_then(Value::as_str).unwrap_or(otherwise).to_owned();
    if facts.get("socket").and_then(Value::as_bool) == Some(true) {
        return Vec::new();
    }
    // MySQL refuses a connection in clear only after the password; its settings tell.
    let tells = facts.get("product").and_then(Value::as_str) != Some("mysql");
    vec![match (text(tls, "outcome"), text(plaintext, "outcome")) {
        (_, "accepted") if !tells => {
            Said::not_proven(Protects::Transit, "whether it insists on TLS stands in its settings alone".into())
        }
        (_, "accepted") => {
            Said::absent(Protects::Transit, "a connection without encryption is let in".into(), Vec::new())
        }
        ("accepted", "refused") => {
            let one = known(text(tls, "cipher"));
            let others =
                unknown("other cipher suites", "one connection shows one; name a target of the sort tls for all");
            Said::present(Protects::Transit, vec![one, others])
        }
        ("accepted", _) => Said::not_proven(Protects::Transit, why(plaintext, "the door without TLS was not tried")),
        _ => Said::not_proven(Protects::Transit, why(tls, "no connection with TLS was made")),
    }]
}

/// Encrypted where no account that may come from another machine is let in without TLS.
fn mysql(facts: &Facts) -> Vec<Said> {
    let none = Value::Null;
    let (settings, accounts) = (facts.get("settings").unwrap_or(&none), facts.get("accounts").unwrap_or(&none));
    let insists = list(settings.get("items"))
        .any(|s| text(s, "name") == "require_secure_transport" && text(s, "value").eq_ignore_ascii_case("on"));
    let is = |account: &Value, key: &str| account.get(key).and_then(Value::as_bool) == Some(true);
    let mut bare =
        list(accounts.get("items")).filter(|a| is(a, "remote") && !is(a, "locked") && !is(a, "requires_tls"));
    vec![match (insists, text(accounts, "outcome"), bare.next()) {
        (true, ..) | (false, "present", None) => Said::present(
            Protects::Transit,
            vec![unknown("cipher suites of TLS", "a target of the sort tls shows them")],
        ),
        (false, _, Some(account)) => {
            Said::absent(Protects::Transit, format!("{} may log in without TLS", text(account, "name")), Vec::new())
        }
        (false, ..) => {
            let why = accounts.get("why").and_then(Value::as_str).unwrap_or("its accounts could not be read");
            Said::not_proven(Protects::Transit, why.to_owned())
        }
    }]
}

/// Encrypted where every service that the files declare for other machines insists on TLS, or only leads to one that does.
fn server_config(facts: &Facts) -> Vec<Said> {
    let services = || list(facts.get("services"));
    let is = |service: &&Value, words: [&str; 2]| words.contains(&text(service, "encryption"));
    // Authorities fetch their challenges in clear (RFC 8555, section 8.3); everything else has to be led away.
    let challenge = |path: &Value| {
        path.as_str().is_some_and(|path| path.contains("/.well-known/acme-challenge") && !path.contains(['|', '?']))
    };
    let leads = |service: &&Value| {
        service
            .get("redirect")
            .is_some_and(|to| text(to, "outcome") == "present" && list(to.get("except")).all(challenge))
    };
    let alone = |service: &&Value| service.get("loopback").and_then(Value::as_bool) == Some(true);
    let mut bare = services().filter(|s| is(s, ["none", "starttls_optional"]) && !leads(s) && !alone(s));
    let unread = list(facts.get("not_proven")).next().is_some() || facts.get("asked") != Some(&"all".into());
    let sound = services().all(|s| text(s, "outcome") == "present");
    let insists = services().any(|s| is(&s, ["tls", "starttls_required"]));
    let onward = list(facts.get("upstreams")).find(|upstream| {
        let encrypted = text(upstream, "outcome") == "present" && is(upstream, ["tls", "starttls_required"]);
        !encrypted && !on_this_machine(text(upstream, "name"))
    });
    vec![match (bare.next(), unread || !sound, insists) {
        (Some(service), ..) => {
            let why = format!("{} serves without TLS ({})", text(service, "name"), text(service, "at"));
            Said::absent(Protects::Transit, why, Vec::new())
        }
        (None, false, true) if onward.is_some() => {
            let (name, at) = onward.map(|upstream| (text(upstream, "name"), text(upstream, "at"))).unwrap_or_default();
            let why = format!(
                "its services insist on TLS, but whether what it sends on to {name} ({at}) is encrypted is not shown; \
                 name a target of the sort tls for the hop to its clients"
            );
            Said::not_proven(Protects::Transit, why)
        }
        (None, false, true) => Said::present(
            Protects::Transit,
            vec![unknown("cipher suites of TLS", "a target of the sort tls shows them")],
        ),
        (None, true, _) => Said::not_proven(Protects::Transit, "the files are not wholly understood".into()),
        (None, false, false) => Said::not_proven(Protects::Transit, "the files declare no service with TLS".into()),
    }]
}

/// Whether a URL or an address names this machine itself.
fn on_this_machine(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let bare =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(h, _)| h);
    let address = bare.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    rest.starts_with("unix:") || bare == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Encrypted where no rule lets another machine in without TLS, and the rules are those that the server follows.
fn postgresql(facts: &Facts) -> Vec<Said> {
    let none = Value::Null;
    let hba = facts.get("hba").unwrap_or(&none);
    let rules = hba.get("rules").unwrap_or(&none);
    let is = |rule: &Value, key: &str| rule.get(key).and_then(Value::as_bool) == Some(true);
    let lets_in = |rule: &&Value| text(rule, "method") != "reject" && is(rule, "remote");
    let mut bare = list(rules.get("items")).filter(lets_in).filter(|rule| is(rule, "without_encryption"));
    let unclear =
        |rule: &Value| text(rule, "outcome") != "present" || rule.get("without_encryption") == Some(&Value::Null);
    let unread = list(rules.get("items")).any(unclear);
    let followed = hba.get("changed_since_loaded").and_then(Value::as_bool) == Some(false);
    vec![match (bare.next(), text(rules, "outcome"), unread || !followed) {
        (Some(rule), ..) => {
            let why = format!("{} of pg_hba.conf also lets in without TLS", text(rule, "name"));
            Said::absent(Protects::Transit, why, Vec::new())
        }
        (None, "present", false) => Said::present(
            Protects::Transit,
            vec![unknown("cipher suites of TLS", "a target of the sort tls shows them")],
        ),
        (None, ..) => Said::not_proven(Protects::Transit, "the rules that the server follows are not all known".into()),
    }]
}

/// A port in clear for other machines refutes; the connection itself shows the rest.
fn redis(facts: &Facts) -> Vec<Said> {
    let of = |key: &str| facts.get(key).map(|found| text(found, "outcome")).unwrap_or_default();
    match (of("plaintext_port"), of("remote")) {
        ("absent", _) | ("present", "absent") => Vec::new(),
        ("present", "present") => {
            let why = "a port without TLS is open to other machines";
            vec![Said::absent(Protects::Transit, why.into(), Vec::new())]
        }
        _ => vec![Said::not_proven(
            Protects::Transit,
            "whether a port without TLS is open to others is not known".into(),
        )],
    }
}

fn luks(facts: &Facts) -> Vec<Said> {
    list(facts.get("volumes")).map(volume).collect()
}

fn volume(volume: &Value) -> Said {
    let none = Value::Null;
    let format = volume.get("format").unwrap_or(&none);
    let name = text(volume, "name");
    let why = |otherwise: &str| format!("{name}: {}", format.get("why").and_then(Value::as_str).unwrap_or(otherwise));
    // What is kept from before a reencryption holds no data.
    let in_use = |segment: &&Value| segment.get("in_use") != Some(&Value::Bool(false));
    let segments: Vec<&Value> = list(volume.get("segments")).filter(in_use).collect();
    // A key that lies in clear, or under a weaker cipher, protects no better than that.
    let areas = list(volume.get("keyslots")).filter_map(|slot| slot.get("area")?.get("cipher"));
    let areas = areas.filter(|cipher| !cipher.is_null()).map(Some);
    let ciphers = segments.iter().map(|segment| segment.get("cipher").filter(|cipher| !cipher.is_null()));
    let Some(ciphers) = ciphers.chain(areas).map(|cipher| cipher.map(volume_cipher)).collect::<Option<Vec<Cipher>>>()
    else {
        return Said::absent(Protects::Rest, format!("{name}: a segment of it is not encrypted"), Vec::new());
    };
    match text(format, "outcome") {
        "absent" => Said::absent(Protects::Rest, why("there is no header of LUKS"), Vec::new()),
        "present" if ciphers.iter().any(|cipher| cipher.bits == Some(0)) => {
            Said::absent(Protects::Rest, format!("{name}: its cipher encrypts nothing"), ciphers)
        }
        "present" if !ciphers.is_empty() => Said::present(Protects::Rest, ciphers),
        _ => Said::not_proven(Protects::Rest, why("the header does not tell how data is encrypted")),
    }
}

/// A volume's cipher with the strength that its key gives: two keys in one for XTS.
fn volume_cipher(cipher: &Value) -> Cipher {
    let name = text(cipher, "encryption");
    let bits = cipher.get("strength_bits").and_then(Value::as_u64).and_then(|bits| u32::try_from(bits).ok());
    match bits {
        Some(_) if bits_of_nothing(name) => known("cipher_null-ecb"),
        Some(strength) => {
            Cipher { name: name.to_owned(), outcome: CipherOutcome::Present, why: None, bits: Some(strength) }
        }
        None if bits_of_nothing(name) => known("cipher_null-ecb"),
        None => unknown(name, "the header does not tell the strength of its key"),
    }
}

fn bits_of_nothing(name: &str) -> bool {
    name.starts_with("cipher_null") || name == "null"
}

/// What holds declared paths. The cipher of a declared device stands in its header, which is evidence of its own.
fn storage(facts: &Facts) -> Vec<Said> {
    let paths = || list(facts.get("paths"));
    let said = |outcome: &'static str| {
        let of_path = paths().find(|path| text(path, "outcome") == outcome).map(|path| (text(path, "name"), path));
        of_path.or_else(|| {
            paths().find_map(|path| {
                let holders = list(path.get("holders")).filter_map(|holder| holder.get("encryption"));
                holders.into_iter().find(|e| text(e, "outcome") == outcome).map(|e| (text(path, "name"), e))
            })
        })
    };
    let words = |(name, value): (&str, &Value), otherwise: &str| {
        format!("{name}: {}", value.get("why").and_then(Value::as_str).unwrap_or(otherwise))
    };
    let holders = || paths().flat_map(|path| list(path.get("holders")));
    let on_device = |holder: &Value| holder.get("on_device").is_some_and(|on| text(on, "outcome") == "present");
    let encrypted = |holder: &Value| holder.get("encryption").is_some_and(|e| text(e, "outcome") == "present");
    vec![match (said("absent"), said("not_proven")) {
        (Some(clear), _) => Said::absent(Protects::Rest, words(clear, "a layer below it is not encrypted"), Vec::new()),
        (None, Some(unproven)) => Said::not_proven(Protects::Rest, words(unproven, "no layer below it tells")),
        (None, None) if paths().next().is_none() => {
            Said::not_proven(Protects::Rest, "which paths lie on it is not declared (mounts)".into())
        }
        (None, None) if holders().next().is_none() || !holders().all(encrypted) => {
            Said::not_proven(Protects::Rest, "what holds the paths is not known".into())
        }
        (None, None) if holders().all(on_device) => {
            Said { protects: Protects::Rest, outcome: Outcome::Present, why: None, ciphers: Vec::new() }
        }
        (None, None) => Said::present(Protects::Rest, Vec::new()),
    }]
}

/// Samples of stored payloads only ever refute.
fn samples(facts: &Facts) -> Vec<Said> {
    let stores = list(facts.get("stores").and_then(|found| found.get("stores")));
    let refuted = stores.into_iter().find(|store| text(store, "claim") == "refuted");
    vec![match refuted {
        Some(store) => {
            let why = format!("{}: payloads can be read without a client's key", text(store, "name"));
            Said::absent(Protects::Content, why, Vec::new())
        }
        None => Said::not_proven(Protects::Content, "samples can refute end-to-end encryption, not prove it".into()),
    }]
}

fn canary(facts: &Facts) -> Vec<Said> {
    let mut hits = list(facts.get("hits").and_then(|found| found.get("hits")));
    vec![match hits.next() {
        Some(_) => {
            Said::absent(Protects::Content, "what a client sent was found readable in a store".into(), Vec::new())
        }
        None => Said::not_proven(Protects::Content, "a canary can refute end-to-end encryption, not prove it".into()),
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
