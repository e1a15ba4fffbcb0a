//! The small parts that OSCAL documents are made of.

use model::{Assessment, Digest, TargetLine};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::escape::plain_cut;

/// What ids of this program are made in (RFC 9562, 5.5): an id of version 4, drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d1c_8e0a_61b7_4f0e_9a3d_2f7c_04b6_e815);
/// The namespace of properties that OSCAL does not define.
const NS: &str = "urn:uuid:5d1c8e0a-61b7-4f0e-9a3d-2f7c04b6e815";
/// Most characters of one text.
const MOST: usize = 4_000;

/// The id of a part: of what was judged, and the part's name within it.
pub(super) fn id(assessment: &Assessment, names: &[&str]) -> String {
    let of =
        json!([assessment.service, assessment.as_of.to_string(), assessment.digests, assessment.hypothetical, names]);
    Uuid::new_v5(&NAMESPACE, of.to_string().as_bytes()).to_string()
}

/// Text in which nothing is markup, and which is never empty: OSCAL's lines are Markdown (Metaschema, "markup-line").
pub(super) fn markup(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in plain_cut(text.trim(), MOST).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '{' | '}' | '~' | '^' | '&') {
            shown.push('\\');
        }
        shown.push(c);
    }
    filled(&shown)
}

fn filled(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { text.to_owned() }
}

/// An identifier (XML Schema's NCName, without what is not ASCII).
pub(super) fn token(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let token: String = text.chars().map(keep).collect();
    if token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { token } else { format!("_{token}") }
}

/// A property of this program's namespace. Its value is plain text without blanks at its ends.
pub(super) fn prop(name: &str, value: &str) -> Value {
    json!({ "name": name, "ns": NS, "value": filled(plain_cut(value.trim(), MOST).trim()) })
}

/// The service as a whole.
pub(super) fn service(assessment: &Assessment) -> Value {
    json!({
        "uuid": id(assessment, &["service"]),
        "type": "this-system",
        "title": markup(&assessment.service),
        "description": "The service that was audited.",
        "status": { "state": "operational" },
    })
}

/// This program.
pub(super) fn tool(assessment: &Assessment) -> Value {
    let tool = &assessment.run.tool;
    json!({
        "uuid": id(assessment, &["tool"]),
        "type": "software",
        "title": "Probity",
        "description": "The program that looked and judged.",
        "props": [prop("version", &tool.version), prop("digest", &json!(tool.digest).to_string().replace('"', ""))],
        "status": { "state": "operational" },
    })
}

/// A target.
pub(super) fn item(assessment: &Assessment, target: &TargetLine) -> Value {
    let labels = target.labels.iter().map(|(key, value)| prop("label", &format!("{key}={value}")));
    let own = [prop("name", &target.name), prop("address", &target.address)];
    json!({
        "uuid": id(assessment, &["item", &target.name]),
        "description": markup(&target.name),
        "props": own.into_iter().chain(labels).collect::<Vec<_>>(),
    })
}

/// The id of a file of the pack.
pub(super) fn resource_id(assessment: &Assessment, file: &str) -> String {
    id(assessment, &["file", file])
}

/// A file of the pack.
pub(super) fn resource(assessment: &Assessment, file: &str, title: &str, digest: &Digest) -> Value {
    json!({
        "uuid": resource_id(assessment, file),
        "title": title,
        "rlinks": [{ "href": file, "hashes": [{ "algorithm": "SHA-256", "value": digest }] }],
    })
}

/// The same without empty lists, which OSCAL's schema forbids.
pub(super) fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, v)| !v.as_array().is_some_and(Vec::is_empty));
            Value::Object(kept.map(|(key, value)| (key, without_empty(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_markup() {
        assert_eq!(
            markup(" **a** <b> [x](y) {{ insert: param, z }} "),
            r"\*\*a\*\* \<b\> \[x\](y) \{\{ insert: param, z \}\}"
        );
        assert_eq!(token("9 TLS/x"), "_9_TLS_x");
        assert_eq!(prop("a", " x\n y ").get("value"), Some(&json!("x\\u{a} y")));
        assert_eq!(prop("a", "  ").get("value"), Some(&json!("–")));
    }

    #[test]
    fn empty_lists_go() {
        assert_eq!(without_empty(json!({"a": [], "b": [{"c": []}], "d": {}})), json!({"b": [{}], "d": {}}));
    }
}
