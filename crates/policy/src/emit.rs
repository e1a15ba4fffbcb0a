//! Writes YAML 1.2 such that every reader gets the same text back: block style, and quotes wherever in doubt.

use serde_json::Value;

/// Writes a document; keys of objects are sorted, since JSON values are.
pub(crate) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    node(value, 0, &mut out);
    out
}

/// Writes a value behind a key or a dash, with the line break that ends it.
fn node(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    pad(indent, out);
                }
                out.push_str(&scalar(key));
                out.push(':');
                below(value, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    pad(indent, out);
                }
                out.push_str("- ");
                node(item, indent + 2, out);
            }
        }
        Value::String(text) => line(&scalar(text), out),
        // Empty ones, numbers, booleans and null are the same in JSON.
        other => line(&other.to_string(), out),
    }
}

fn below(value: &Value, indent: usize, out: &mut String) {
    let block = match value {
        Value::Object(entries) => !entries.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if block {
        out.push('\n');
        pad(indent, out);
    } else {
        out.push(' ');
    }
    node(value, indent, out);
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn line(text: &str, out: &mut String) {
    out.push_str(text);
    out.push('\n');
}

/// A string: plain where no version of YAML could take it for anything else.
fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || " ._/()=<>+-".contains(c);
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(safe)
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

/// The double-quoted style (YAML 1.2, section 7.3.1): JSON's, with all that is not printable escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if crate::diagnostic::is_unprintable(c) => {
                let code = u32::from(c);
                out.push_str(&if code > 0xffff { format!("\\U{code:08x}") } else { format!("\\u{code:04x}") });
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_nest_and_doubtful_texts_are_quoted() {
        let value = serde_json::json!({
            "a": [{ "b": 1, "c": [] }, ["x", "no"], {}], "d": { "e f": null }, "g": "1_000", "h": "a: b", "i": "l\u{2028}\n" });
        let want = "a:\n  - b: 1\n    c: []\n  - - x\n    - \"no\"\n  - {}\nd:\n  e f: null\ng: \"1_000\"\nh: \"a: b\"\ni: \"l\\u2028\\n\"\n";
        assert_eq!(yaml(&value), want);
    }
}
