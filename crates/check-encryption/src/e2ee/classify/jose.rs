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
        [_, _, iv, ciphertext, tag] => {
            let enc = header.get("enc")?.as_str()?;
            base64(tag)?;
            if let Some(told) = beside::told(&header, "jwe") {
                return Some(told);
            }
            let recipient = name(&header, alg);
            Some(Found::Container(container((alg, enc), vec![recipient], base64(iv)?, base64(ciphertext)?)))
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
    base64(text("tag")?)?;
    let header = |of: &Value, key: &str| match of.get(key) {
        Some(Value::String(text)) => base64(text).and_then(|b| serde_json::from_slice(&b).ok()),
        Some(object) => Some(object.clone()),
        None => None,
    };
    let protected: Value = header(value, "protected").or_else(|| header(value, "unprotected"))?;
    let enc = protected.get("enc")?.as_str()?;
    let own = |recipient: &Value| {
        let own = header(recipient, "header").unwrap_or_default();
        let alg = own.get("alg").or(protected.get("alg")).and_then(Value::as_str).unwrap_or("unnamed").to_owned();
        let from = if own.get("kid").is_some() { &own } else { &protected };
        (name(from, &alg), alg)
    };
    let all: Vec<(String, String)> = match value.get("recipients").and_then(Value::as_array) {
        Some(recipients) => recipients.iter().map(own).collect(),
        None => vec![own(value)],
    };
    // The first one that is not registered counts: any of the recipients' ways opens it.
    let strange = all.iter().find(|(_, alg)| !KEY_MANAGEMENT.contains(&alg.as_str()));
    let alg = strange.or(all.first()).map(|(_, alg)| alg.clone()).unwrap_or_default();
    Some(Found::Container(container((&alg, enc), all.into_iter().map(|(name, _)| name).collect(), iv, ciphertext)))
}

/// A recipient by its key's name, else by the algorithm.
fn name(header: &Value, alg: &str) -> String {
    header.get("kid").and_then(Value::as_str).map_or_else(|| alg.to_owned(), |kid| format!("kid {kid}"))
}

fn container((alg, enc): (&str, &str), recipients: Vec<String>, iv: Vec<u8>, body: Vec<u8>) -> Container {
    // With any other algorithm the content's key is fresh, and its nonce may be any.
    let nonce = (alg == "dir").then_some(iv);
    let registered = KEY_MANAGEMENT.contains(&alg) && CONTENT.contains(&enc);
    let doubt = (!registered).then(|| "its 'alg' or 'enc' is no registered algorithm of JWE".to_owned());
    Container { format: "jwe", recipients, nonce, body, server_side: false, doubt }
}
