//! Paths into JSON: `$.content.ciphertext`, `$.parts[0].body`. As much of RFC 9535 as names one place.

use serde_json::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

/// The steps of a path; none where it is no such path.
pub(super) fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$')?;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        } else {
            let inner = rest.strip_prefix('.')?;
            let end = inner.find(['.', '[']).unwrap_or(inner.len());
            let (name, after) = inner.split_at(end);
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        }
    }
    Some(steps)
}

/// What stands there.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    steps(path)?.iter().try_fold(value, |value, step| match step {
        Step::Name(name) => value.get(name),
        Step::Index(index) => value.get(index),
    })
}

/// A payload's bytes: of a text its own, of anything else its JSON.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        other => other.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let value = json!({ "content": { "parts": [1, { "body": "x" }] } });
        assert_eq!(at(&value, "$.content.parts[1].body"), Some(&json!("x")));
        assert_eq!(at(&value, "$.content.none"), None);
        assert_eq!(at(&value, "$"), Some(&value));
        for wrong in ["", "content", "$content", "$.", "$.a..b", "$[x]", "$[1"] {
            assert_eq!(steps(wrong), None, "{wrong}");
        }
    }
}
