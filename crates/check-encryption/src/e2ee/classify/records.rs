//! Records of JSON: a container of their own, or values of which some may be ciphertext.

use serde_json::Value;

use super::text::is_language;
use super::{Found, Seen, beside, jose, messages};
use crate::facts::Class;

/// Characters that the shortest ciphertext takes in base64.
const LEAST: usize = 22;
/// Values that are looked at.
const MOST: usize = 64;

/// What a record holds. `inner` tells what bytes in it are.
pub(super) fn read(value: &Value, length: usize, inner: &dyn Fn(&[u8]) -> Seen) -> Option<Found> {
    if let Some(found) = messages::matrix(value).or_else(|| jose::json(value)) {
        return if matches!(found, Found::Told(_)) { Some(found) } else { beside::told(value, "json").or(Some(found)) };
    }
    if let Some(bytes) = bytes(value) {
        return Some(Found::Layer("json bytes", bytes, true));
    }
    let mut texts = Vec::new();
    leaves(value, &mut texts);
    let told = |class, why: &str| Some(Found::Told(Seen::new(class, Some("json"), why)));
    if texts.iter().any(|text| text.len() >= 24 && is_language(text) || beside::is_prose(text)) {
        return told(Class::Plaintext, "a value in it is readable text");
    }
    let candidates = texts.iter().filter(|text| text.len() >= LEAST && !text.contains([' ', '\n']));
    let seen: Vec<Seen> = candidates.take(MOST).map(|text| inner(text.as_bytes())).collect();
    let of = |wanted: fn(&Seen) -> bool| seen.iter().find(|seen| wanted(seen)).cloned();
    if let Some(clear) = of(Seen::is_readable).or_else(|| of(|seen| seen.class == Class::Container)) {
        return Some(Found::Told(clear.under("json")));
    }
    if seen.iter().any(|seen| matches!(seen.class, Class::Opaque | Class::Random | Class::Unknown)) {
        let why =
            "a record with values that may be ciphertext, and others beside them: name the one to judge with 'field'";
        return told(Class::Unknown, why);
    }
    match length {
        12.. => told(Class::Plaintext, "a record without any value that could be ciphertext"),
        _ => told(Class::TooShort, "a record of a few bytes"),
    }
}

/// Bytes written as a list of numbers, or as Node.js writes a buffer.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let list = match value {
        Value::Object(map) if map.get("type")? == "Buffer" && map.len() == 2 => map.get("data")?.as_array()?,
        Value::Array(list) => list,
        _ => return None,
    };
    let byte = |value: &Value| value.as_u64().and_then(|n| u8::try_from(n).ok());
    list.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|bytes| bytes.len() >= 16)
}

fn leaves<'v>(value: &'v Value, into: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(list) => list.iter().for_each(|v| leaves(v, into)),
        Value::Object(map) => map.values().for_each(|v| leaves(v, into)),
        _ => {}
    }
}
