//! The facts of one SSH server as a scanner would show them.

use model::Facts;
use serde::Deserialize;

use crate::paint::{Look, Page};
use crate::summary::some_of;

/// Most names of one list that are shown; `--format json` has all.
const MOST: usize = 120;
/// Where the second column begins.
const SECOND: usize = 16;

#[derive(Deserialize)]
struct Ssh {
    identification: Identification,
    offers: Offers,
    strict_kex: Told,
    host_keys: Keys,
    group_exchange: Groups,
    authentication: Authentication,
}

#[derive(Deserialize)]
struct Identification {
    text: String,
}

#[derive(Deserialize)]
struct Offers {
    kex: Vec<Named>,
    host_key: Vec<Named>,
    cipher: Vec<Named>,
    mac: Vec<Named>,
    compression: Vec<Named>,
    extensions: Vec<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Told {
    outcome: String,
    why: Option<String>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    why: Option<String>,
    bits: Option<u32>,
    fingerprint: Option<String>,
    possession: Told,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    outcome: String,
    why: Option<String>,
    bits: Option<u32>,
}

#[derive(Deserialize)]
struct Authentication {
    user: String,
    why: Option<String>,
    methods: Vec<Named>,
}

/// Draws them; false where they are not those of an SSH server.
pub(crate) fn draw(page: &mut Page, facts: &Facts) -> bool {
    let Ok(ssh) = serde_json::from_value::<Ssh>(facts.clone().into()) else { return false };
    line(page, "identification", Look::Normal, &ssh.identification.text);
    let offers = &ssh.offers;
    for (title, list) in [
        ("key exchange", &offers.kex),
        ("host keys by", &offers.host_key),
        ("ciphers", &offers.cipher),
        ("MACs", &offers.mac),
        ("compression", &offers.compression),
    ] {
        line(page, title, Look::Normal, &some_of(list.iter().map(|named| named.name.as_str()), MOST));
    }
    line(page, "extensions", Look::Normal, &some_of(offers.extensions.iter().map(String::as_str), MOST));
    let strict = &ssh.strict_kex;
    match (strict.outcome.as_str(), &strict.why) {
        ("present", _) => line(page, "strict kex", Look::Bold, "offered"),
        ("absent", _) => line(page, "strict kex", Look::Normal, "not offered"),
        (_, why) => line(page, "strict kex", Look::Doubt, &doubt(why.as_deref())),
    }
    page.end();
    for key in &ssh.host_keys.keys {
        page.put(Look::Normal, "host key").to(SECOND).put(Look::Bold, &key.name);
        match (&key.fingerprint, key.bits) {
            (Some(fingerprint), bits) => {
                let bits = bits.map_or_else(String::new, |bits| format!("  {bits} bits"));
                page.put(Look::Normal, &bits).put(Look::Dim, "  ").wrapped(Look::Dim, fingerprint).end();
                if key.possession.outcome != "present" {
                    let claimed =
                        format!("claimed, not demonstrated: {}", key.possession.why.as_deref().unwrap_or("-"));
                    page.to(SECOND).wrapped(Look::Doubt, &claimed).end();
                }
            }
            (None, _) => {
                page.put(Look::Normal, "  ").wrapped(Look::Doubt, &doubt(key.why.as_deref())).end();
            }
        }
    }
    for group in &ssh.group_exchange.groups {
        page.put(Look::Normal, "group exchange").to(SECOND).put(Look::Normal, &format!("asked for {}: ", group.name));
        match (group.outcome.as_str(), group.bits) {
            ("present", Some(bits)) => page.put(Look::Bold, &format!("a group of {bits} bits")).end(),
            ("absent", _) => page.put(Look::Normal, "refused").end(),
            _ => page.wrapped(Look::Doubt, &doubt(group.why.as_deref())).end(),
        };
    }
    let login = &ssh.authentication;
    match &login.why {
        None => {
            let methods = some_of(login.methods.iter().map(|method| method.name.as_str()), MOST);
            line(page, "log-in", Look::Bold, &format!("{methods} (for {})", login.user));
        }
        why => line(page, "log-in", Look::Doubt, &doubt(why.as_deref())),
    }
    true
}

fn doubt(why: Option<&str>) -> String {
    why.map_or_else(|| "not proven".to_owned(), |why| format!("not proven: {why}"))
}

fn line(page: &mut Page, title: &str, look: Look, text: &str) {
    page.put(Look::Normal, title).to(SECOND).wrapped(look, if text.is_empty() { "-" } else { text }).end();
}
