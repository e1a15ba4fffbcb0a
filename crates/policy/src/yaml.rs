//! YAML as a tree in which every node knows its place, read within budgets.

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::diagnostic::{Diagnostic, Gravity, suggest};

/// The longest file that is read, bytes.
pub const MAX_FILE: usize = 2 << 20;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it holds.
    pub data: Data,
    /// Bytes of the file; empty for lists and mappings in block style.
    pub span: Range<usize>,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing: `~` or an empty value.
    Null,
    /// `true` or `false`; `yes` and `no` are strings.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number that is no 64-bit integer; nothing in a policy is one.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Bytes of the file.
    pub span: Range<usize>,
}

impl Data {
    /// What it is, for messages.
    pub const fn sort(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// The node as JSON, for facts in tests.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.data {
            Data::Null => serde_json::Value::Null,
            Data::Bool(b) => (*b).into(),
            Data::Int(i) => (*i).into(),
            Data::Float(f) => (*f).into(),
            Data::Text(t) => t.clone().into(),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Map(entries) => entries.iter().map(|(k, v)| (k.name.clone(), v.to_json())).collect(),
        }
    }
}

fn span_of(location: serde_saphyr::Location) -> Range<usize> {
    let span = location.span();
    // Files are bounded by `MAX_FILE`, so that the fallback can't be met but for positions unknown.
    let start = span.byte_offset().and_then(|o| usize::try_from(o).ok()).unwrap_or(0);
    start..start + span.byte_len().and_then(|l| usize::try_from(l).ok()).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Data>::deserialize(deserializer)?;
        Ok(Self { span: span_of(spanned.defined), data: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { span: span_of(spanned.defined), name: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyData;
        impl<'de> Visitor<'de> for AnyData {
            type Value = Data;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("YAML")
            }
            fn visit_unit<E>(self) -> Result<Data, E> {
                Ok(Data::Null)
            }
            fn visit_none<E>(self) -> Result<Data, E> {
                Ok(Data::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Data, E> {
                Ok(Data::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Data, E> {
                Ok(Data::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Data, E> {
                // Beyond 63 bits it is not an integer that anything here could hold.
                Ok(i64::try_from(value).map_or(Data::Float(f64::INFINITY), Data::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Data, E> {
                Ok(Data::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Data, E> {
                Ok(Data::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Data, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Data::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Data, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Data::Map(map))
            }
        }
        deserializer.deserialize_any(AnyData)
    }
}

/// Whether a line has a password in an URL or a connection string, a query that may be one, or a field for a secret whose value
/// is no reference.
fn holds_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let in_url = line.split("://").skip(1).any(|rest| {
        let url = rest.split([' ', '"', '\'', '}', ']']).next().unwrap_or_default();
        url.contains('@') || url.contains('?') && url.contains('=')
    });
    let fields = ["password", "passwd", "passphrase", "header", "token", "secret"];
    let mut values = fields.iter().flat_map(|field| line.split(field).skip(1));
    let in_field = values.any(|rest| {
        let rest = rest.trim_start_matches(['"', '\'', ' ']);
        let Some(value) = rest.strip_prefix([':', '=']) else { return false };
        let value = value.trim_start_matches([' ', '"', '\'']);
        !value.is_empty()
            && !value.starts_with('#')
            && !["env:", "file:", "cmd:"].iter().any(|way| value.starts_with(way))
    });
    in_url || in_field
}

/// A file that is being read, and what was found wrong with it so far.
pub struct File<'a> {
    /// Its path, as diagnostics name it.
    pub path: &'a str,
    /// Its text; empty where it is not UTF-8.
    pub text: &'a str,
    /// What was found wrong so far.
    pub found: Vec<Diagnostic>,
}

impl<'a> File<'a> {
    /// Reads a file into a tree. `None` and one diagnostic where it is not UTF-8, not YAML or too much.
    pub fn read(path: &'a str, bytes: &'a [u8]) -> (Self, Option<Node>) {
        let mut file = Self { path, text: "", found: Vec::new() };
        if bytes.len() > MAX_FILE {
            let size = bytes.len();
            file.error("yaml-size", 0..0, format!("the file has {size} bytes; {MAX_FILE} are allowed"), None);
            return (file, None);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => file.text = text,
            Err(e) => {
                file.error("yaml-utf8", 0..0, format!("the file is not UTF-8 (byte {})", e.valid_up_to()), None);
                return (file, None);
            }
        }
        let node = file.parse();
        (file, node)
    }

    fn parse(&mut self) -> Option<Node> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: 200_000, max_nodes: 100_000, max_aliases: 1_000, max_anchors: 1_000, max_depth: 32,
                flow_nesting_limit: 32,
            },
            strict_booleans: true,
            // `1_000` and `007` are no numbers in YAML 1.2.
            underscored_numbers_as_strings: true,
            leading_zero_numbers_as_strings: true,
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Node>(self.text, options) {
            Ok(node) => Some(node),
            Err(error) => {
                let span = error.location().map_or(0..0, |l| {
                    // Syntax errors know characters, not bytes.
                    let at = usize::try_from(l.span().offset()).unwrap_or(0);
                    let start = self.text.char_indices().nth(at).map_or(self.text.len(), |(i, _)| i);
                    start..start + 1
                });
                let text = error.without_snippet().to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                let text = text.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
                self.error("yaml", span, text.to_owned(), None);
                None
            }
        }
    }

    /// Line and column, from 1, of a byte.
    pub fn place(&self, at: usize) -> (u32, u32) {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The byte at a line and column, as an empty span.
    pub fn offset(&self, line: u32, column: u32) -> Range<usize> {
        let (line, column) = (line.saturating_sub(1) as usize, column.saturating_sub(1) as usize);
        let start: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let rest = self.text.get(start..).unwrap_or_default();
        let at = start + rest.char_indices().nth(column).map_or(rest.len(), |(i, _)| i);
        at..at
    }

    /// Adds an error about some bytes of the file.
    pub fn error(&mut self, code: &'static str, span: Range<usize>, message: String, help: Option<String>) {
        self.push(Gravity::Error, code, span, message, help);
    }

    /// Adds a complaint about some bytes of the file.
    pub fn push(
        &mut self,
        severity: Gravity,
        code: &'static str,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        let (span, message) = match self.may_hold_secret(&span) {
            true => (
                0..0,
                format!("{message} (the line, {}, may hold a secret, and is not shown)", self.place(span.start).0),
            ),
            false => (span, message),
        };
        let (line, column) = self.place(span.start);
        self.found.push(Diagnostic { code, severity, file: self.path.to_owned(), line, column, span, message, help });
    }

    /// Whether the lines of some bytes may hold a secret that was written there instead of a reference to it.
    fn may_hold_secret(&self, span: &Range<usize>) -> bool {
        let start = self.text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let end = span.end.max(span.start).min(self.text.len());
        let end = self.text.get(end..).and_then(|after| after.find('\n')).map_or(self.text.len(), |at| end + at);
        self.text.get(start..end).unwrap_or_default().lines().any(holds_secret)
    }

    /// The node as the type wanted, or a complaint that names the field.
    fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        let help = matches!(node.data, Data::Int(_) | Data::Float(_) | Data::Bool(_)) && wanted == "a string";
        let help = help.then(|| "put it in quotes".to_owned());
        let message = format!("'{what}' must be {wanted}; this is {}", node.data.sort());
        self.error("wrong-type", node.span.clone(), message, help);
    }

    /// A string that is not empty.
    pub fn text_of<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.data {
            Data::Text(text) if !text.trim().is_empty() => Some(text),
            Data::Text(_) => {
                self.error("empty", node.span.clone(), format!("'{what}' is empty"), None);
                None
            }
            _ => {
                self.wrong(node, what, "a string");
                None
            }
        }
    }

    /// A list.
    pub fn list_of<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.data {
            Data::List(items) => Some(items),
            _ => {
                self.wrong(node, what, "a list");
                None
            }
        }
    }

    /// A list of strings.
    pub fn texts_of(&mut self, node: &Node, what: &str) -> Option<Vec<String>> {
        let items = self.list_of(node, what)?;
        items.iter().map(|item| self.text_of(item, what).map(str::to_owned)).collect()
    }

    /// A mapping.
    pub fn map_of<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        match &node.data {
            Data::Map(entries) => Some(entries),
            _ => {
                self.wrong(node, what, "a mapping");
                None
            }
        }
    }

    /// A mapping with fields of known names; the others are complained of.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        let entries = self.map_of(node, what)?;
        for (key, _) in entries {
            if !known.contains(&key.name.as_str()) {
                let message = format!("unknown field '{}' in {what}", key.name);
                let help = suggest(&key.name, known.iter().copied());
                self.error("unknown-field", key.span.clone(), message, help);
            }
        }
        let start = entries.first().map_or(node.span.clone(), |(key, _)| key.span.clone());
        Some(Fields { entries, start })
    }

    /// A field that must be there.
    pub fn required<'n>(&mut self, fields: &Fields<'n>, name: &str, what: &str) -> Option<&'n Node> {
        let node = fields.get(name);
        if node.is_none() {
            self.error("missing-field", fields.start.clone(), format!("{what} has no '{name}'"), None);
        }
        node
    }
}

/// The fields of a mapping.
pub struct Fields<'n> {
    entries: &'n [(Key, Node)],
    /// Where the mapping begins: its first key.
    pub start: Range<usize>,
}

impl<'n> Fields<'n> {
    /// The value of a field; an explicit null counts as absent.
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node).filter(|n| n.data != Data::Null)
    }
}

/// For each byte of a decoded scalar, the byte of the file that it comes from.
///
/// Quotes, escapes and folded lines make the two differ. Letters are paired greedily: each decoded character that
/// is not white space stands for the next equal one of the source.
pub fn align(source: &str, span: &Range<usize>, decoded: &str) -> Vec<usize> {
    let raw = source.get(span.clone()).unwrap_or_default();
    let mut rest = raw.char_indices().peekable();
    let mut last = span.start;
    let mut map = Vec::with_capacity(decoded.len() + 1);
    for c in decoded.chars() {
        if !c.is_whitespace() {
            let mut ahead = rest.clone();
            if let Some((i, _)) = ahead.by_ref().find(|(_, r)| *r == c) {
                last = span.start + i;
                rest = ahead;
            }
        } else if let Some((i, r)) = rest.peek().copied()
            && r.is_whitespace()
        {
            last = span.start + i;
            rest.next();
        }
        map.extend(std::iter::repeat_n(last, c.len_utf8()));
    }
    let end = map
        .last()
        .map_or(span.start, |at| at + source.get(*at..).and_then(|s| s.chars().next()).map_or(0, char::len_utf8));
    map.push(end);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_place() {
        let text = "a:\n  - b: 'x'\n    c: &k [1, no]\nd: *k\n";
        let (file, node) = File::read("f.yaml", text.as_bytes());
        assert!(file.found.is_empty(), "{:?}", file.found);
        fn walk(node: &Node, text: &str, seen: &mut Vec<String>) {
            match &node.data {
                Data::List(items) => items.iter().for_each(|i| walk(i, text, seen)),
                Data::Map(entries) => entries.iter().for_each(|(k, v)| {
                    seen.push(text.get(k.span.clone()).unwrap_or("?").to_owned());
                    walk(v, text, seen);
                }),
                _ => seen.push(text.get(node.span.clone()).unwrap_or("?").to_owned()),
            }
        }
        let mut seen = Vec::new();
        if let Some(node) = &node {
            walk(node, text, &mut seen);
        }
        assert_eq!(seen, ["a", "b", "'x'", "c", "1", "no", "d", "1", "no"]);
    }

    #[test]
    fn bombs_are_refused_quickly() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        let deep = "[".repeat(100_000);
        for text in [bomb, deep] {
            let (file, node) = File::read("bomb.yaml", text.as_bytes());
            assert!(node.is_none());
            assert_eq!(file.found.len(), 1);
        }
    }

    #[test]
    fn decoded_text_is_found_again_in_quotes_escapes_and_folds() {
        let source = r#"k: "a \" b ü c""#;
        let map = align(source, &(3..source.len()), "a \" b ü c");
        let at = |s: &str| "a \" b ü c".find(s).and_then(|i| map.get(i)).copied();
        assert_eq!(at("c"), source.find("c\""));
        assert_eq!(at("ü"), source.find('ü'));
        let source = "k: >-\n    item.a ==\n    3\n";
        let map = align(source, &(10..source.len()), "item.a == 3");
        assert_eq!(map.get(10).copied(), source.find('3'));
    }
}
