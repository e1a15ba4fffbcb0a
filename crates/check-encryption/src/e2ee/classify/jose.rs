//! JOSE: JWE (RFC 7516) is encrypted, JWS (RFC 7515) is only signed.

use serde_json::Value;

use super::layers::base64;
use super::{Container, Found, beside};

/// Registered values of `alg` (RFC 7518, section 4.1; <https://www.iana.org/assignments/jose>).
const KEY_MANAGEMENT: [&str; 19] = [
    "RSA1_5",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "RSA-OAEP-384",
    "RSA-OAEP-512",
    "A128KW",
    "A192KW",
    "A256KW",
    "dir",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A192KW",
    "ECDH-ES+A256KW",
    "A128GCMKW",
    "A192GCMKW",
    "A256GCMKW",
    "PBES2-HS256+A128KW",
    "PBES2-HS384+A192KW",
    "PBES2-HS512+A256KW",
];
/// Registered values of `enc` (RFC 7518, section 5.1).
const CONTENT: [&str; 6] = ["A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"];

/// Compact serialisation: five parts are a JWE, three a JWS.
pub(super) fn compact(text: &str) -> Option<Found> {
    let text = text.trim();
    let parts: Vec<&str> = text.split('.').collect();
    let header: Value = serde_json::from_slice(&base64(parts.first()?)?).ok()?;
    let alg = header.get("alg")?.as_str()?;
    match parts.as_slice() {
        [_, key, iv, ciphertext, tag] => {
            let enc = header.get("enc")?.as_str()?;
            if let Some(told) = beside::told(&header, "jwe") {
                return Some(told);
            }
            let recipient = name(&header, alg);
            let parts = Parts {
                iv: base64(iv)?,
                body: base64(ciphertext)?,
                tag: base64(tag)?,
                keys: vec![(alg.to_owned(), base64(key)?)],
            };
            Some(Found::Container(container((alg, enc), vec![recipient], parts)))
        }
        [_, payload, signature] => {
            base64(signature)?;
            Some(Found::Layer("jws", base64(payload)?, true))
        }
        _ => None,
    }
}

/// JSON serialisation.
pub(super) fn json(value: &Value) -> Option<Found> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    if let Some(payload) = text("payload")
        && (value.get("signatures").is_some() || value.get("signature").is_some())
    {
        return Some(Found::Layer("jws", base64(payload)?, true));
    }
    let (ciphertext, iv) = (base64(text("ciphertext")?)?, base64(text("iv")?)?);
    let tag = base64(text("tag")?)?;
    let header = |of: &Value, key: &str| match of.get(key) {
        Some(Value::String(text)) => base64(text).and_then(|b| serde_json::from_slice(&b).ok()),
        Some(object) => Some(object.clone()),
        None => None,
    };
    let protected: Value = header(value, "protected").or_else(|| header(value, "unprotected"))?;
    let enc = protected.get("enc")?.as_str()?;
    let mut keys = Vec::new();
    let mut own = |recipient: &Value| {
        let own = header(recipient, "header").unwrap_or_default();
        let alg = own.get("alg").or(protected.get("alg")).and_then(Value::as_str).unwrap_or("unnamed").to_owned();
        let from = if own.get("kid").is_some() { &own } else { &protected };
        let key = recipient.get("encrypted_key").and_then(Value::as_str).unwrap_or_default();
        keys.push((alg.clone(), base64(key).unwrap_or_else(|| key.as_bytes().to_vec())));
        (name(from, &alg), alg)
    };
    let all: Vec<(String, String)> = match value.get("recipients").and_then(Value::as_array) {
        Some(recipients) => recipients.iter().map(&mut own).collect(),
        None => vec![own(value)],
    };
    // The first one that is not registered counts: any of the recipients' ways opens it.
    let strange = all.iter().find(|(_, alg)| !KEY_MANAGEMENT.contains(&alg.as_str()));
    let alg = strange.or(all.first()).map(|(_, alg)| alg.clone()).unwrap_or_default();
    let parts = Parts { iv, body: ciphertext, tag, keys };
    Some(Found::Container(container((&alg, enc), all.into_iter().map(|(name, _)| name).collect(), parts)))
}

/// A recipient by its key's name, else by the algorithm.
fn name(header: &Value, alg: &str) -> String {
    header.get("kid").and_then(Value::as_str).map_or_else(|| alg.to_owned(), |kid| format!("kid {kid}"))
}

/// What a JWE is made of, decoded.
struct Parts {
    iv: Vec<u8>,
    body: Vec<u8>,
    tag: Vec<u8>,
    /// The content's key for each recipient, with its algorithm.
    keys: Vec<(String, Vec<u8>)>,
}

impl Parts {
    /// Whether every part has the size that the algorithms give it (RFC 7518, sections 4 and 5): in any other something
    /// else would be kept.
    fn fit(&self, enc: &str) -> bool {
        let (iv, tag, key) = match enc {
            "A128GCM" => (12, 16, 16),
            "A192GCM" => (12, 16, 24),
            "A256GCM" => (12, 16, 32),
            "A128CBC-HS256" => (16, 16, 32),
            "A192CBC-HS384" => (16, 24, 48),
            _ => (16, 32, 64),
        };
        let fits = |(alg, wrapped): &(String, Vec<u8>)| match alg.as_str() {
            "dir" | "ECDH-ES" => wrapped.is_empty(),
            alg if alg.starts_with("RSA") => (128..=2048).contains(&wrapped.len()),
            alg if alg.ends_with("GCMKW") => wrapped.len() == key,
            // AES key wrap adds eight bytes (RFC 3394).
            _ => wrapped.len() == key + 8,
        };
        self.iv.len() == iv && self.tag.len() == tag && self.keys.iter().all(fits)
    }
}

fn container((alg, enc): (&str, &str), recipients: Vec<String>, parts: Parts) -> Container {
    let registered = KEY_MANAGEMENT.contains(&alg) && CONTENT.contains(&enc);
    let doubt = if !registered {
        Some("its 'alg' or 'enc' is no registered algorithm of JWE")
    } else if !parts.fit(enc) {
        Some("its key, IV or tag does not have the size that its algorithms give them")
    } else if [&parts.iv, &parts.tag].iter().any(|part| part.iter().all(|b| b.is_ascii_alphanumeric() || *b == b' ')) {
        // Of twelve random bytes, one in twenty million is such a text.
        Some("its IV or tag is written in letters")
    } else {
        None
    };
    let doubt = doubt.map(str::to_owned);
    let mut beside = vec![parts.iv.clone(), parts.tag];
    beside.extend(parts.keys.into_iter().map(|(_, key)| key));
    // With any other algorithm the content's key is fresh, and its nonce may be any.
    let nonce = (alg == "dir").then_some(parts.iv);
    Container { format: "jwe", recipients, nonce, body: parts.body, beside, server_side: false, doubt }
}
