//! What stands beside a ciphertext in a record or a header: text that somebody can read, or the key itself.

use serde_json::Value;

use super::layers::base64;
use super::text::{self, is_language};
use super::{Found, Seen};
use crate::facts::Class;

/// Headers in headers that are looked into.
const DEEPEST: usize = 3;

/// Why somebody without a reader's key can read it; none where nothing shows that.
pub(super) fn told(value: &Value, format: &str) -> Option<Found> {
    let (class, why) = reveals(value, 0)?;
    Some(Found::Told(Seen::new(class, Some(format), why)))
}

fn reveals(value: &Value, depth: usize) -> Option<(Class, &'static str)> {
    match value {
        Value::String(text) => of_text(text, depth),
        Value::Array(list) => list.iter().find_map(|value| reveals(value, depth)),
        Value::Object(map) => {
            // Members of a JWK that only its owner may know (RFC 7518, sections 6.2.2, 6.3.2 and 6.4; RFC 8037, section 2).
            let is_key = map.contains_key("kty") || map.contains_key("crv");
            if is_key && ["d", "k"].iter().any(|member| map.get(*member).is_some_and(Value::is_string)) {
                return Some((Class::ServerSide, "a private or secret key stands beside the ciphertext"));
            }
            map.keys()
                .find_map(|key| of_text(key, DEEPEST))
                .or_else(|| map.values().find_map(|value| reveals(value, depth)))
        }
        _ => None,
    }
}

fn of_text(text: &str, depth: usize) -> Option<(Class, &'static str)> {
    if is_prose(text) {
        return Some((Class::Plaintext, "readable text stands beside the ciphertext"));
    }
    if is_spaced(text) {
        return Some(SPACED);
    }
    if depth >= DEEPEST {
        return None;
    }
    // A header, or what is authenticated with it. Ciphertext is hardly ever UTF-8.
    let inner = String::from_utf8(base64(text)?).ok()?;
    match serde_json::from_str::<Value>(&inner) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => reveals(&value, depth + 1),
        _ => is_prose(&inner).then_some((Class::Plaintext, "readable text stands beside the ciphertext, encoded")),
    }
}

/// Words with spaces between them: a name of an algorithm, a server or a room has none.
pub(super) fn is_prose(text: &str) -> bool {
    text.trim().contains(char::is_whitespace) && is_language(text)
}

/// Why bytes that stand in a container beside its ciphertext can be read, or may be.
pub(super) fn of_bytes(bytes: &[u8]) -> Option<(Class, &'static str)> {
    // One word, such as a name of a key or a format, sounds like a language and says nothing.
    let word = text::of(bytes, true).is_some_and(|text| !text.trim().contains(char::is_whitespace));
    if !word && text::readable(bytes).is_some() {
        return Some((Class::Plaintext, "readable text stands beside the ciphertext"));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => reveals(&value, 0),
        _ => of_text(text, 0),
    }
}

const SPACED: (Class, &str) =
    (Class::Unknown, "what stands beside the ciphertext may be text, with other signs in place of blanks");
/// Words from which on a name may be a sentence.
const SENTENCE: usize = 5;

/// Whether a text is words between signs that stand for blanks. A name of a key may be a few words.
fn is_spaced(text: &str) -> bool {
    let spaced: String = text.replace("%20", " ").replace(['_', '-', '+', '.', '/', ',', ';', '|'], " ");
    spaced.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic)).count() >= SENTENCE
        && is_prose(&spaced)
}
