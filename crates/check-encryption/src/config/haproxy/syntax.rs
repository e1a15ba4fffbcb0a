//! The syntax of HAProxy: words, sections, conditions (<https://docs.haproxy.org/2.8/configuration.html#2>).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::tree::{At, Tree};

/// Lines in all.
const MOST_LINES: usize = 1_000_000;

/// Words that begin a section.
const KINDS: [&str; 20] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "mailers",
    "program",
    "cache",
    "http-errors",
    "ring",
    "log-forward",
    "fcgi-app",
    "crt-store",
    "traces",
    "log-profile",
    "acme",
    "namespace_list",
];

/// A line that says something.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: At,
    pub(super) words: Vec<String>,
    /// It stands between `.if` and `.endif`, or holds a variable of the environment.
    pub(super) open: bool,
}

impl Line {
    pub(super) fn word(&self, n: usize) -> &str {
        self.words.get(n).map_or("", String::as_str)
    }

    /// The words from the `n`th on.
    pub(super) fn from(&self, n: usize) -> Vec<&str> {
        self.words.iter().skip(n).map(String::as_str).collect()
    }
}

/// A section, and the lines of it.
pub(super) struct Section {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) lines: Vec<Line>,
    /// The number of the `defaults` section that it follows.
    pub(super) defaults: Option<usize>,
}

/// The sections of a file; of a folder, those of all its files that end in `.cfg`, by name.
pub(super) fn sections(tree: &mut Tree, entry: &str) -> Vec<Section> {
    let mut reader = Sections::default();
    if tree.look(entry).is_ok_and(|found| found.is_dir) {
        let at = At { file: entry.into(), line: 0 };
        for path in tree.included(&format!("{}/*.cfg", entry.trim_end_matches('/')), &at) {
            reader.file(tree, &path);
        }
    } else {
        reader.file(tree, entry);
    }
    reader.all
}

#[derive(Default)]
struct Sections {
    all: Vec<Section>,
    named: BTreeMap<String, usize>,
    last: Option<usize>,
    lines: usize,
}

impl Sections {
    fn file(&mut self, tree: &mut Tree, path: &str) {
        let Some(file) = tree.read(path, None) else { return };
        let mut depth = 0_u32;
        for (number, text) in (1..).zip(file.text.lines()) {
            let at = At { file: Arc::clone(&file.path), line: number };
            self.lines += 1;
            if self.lines > MOST_LINES {
                return tree.unknown(&at, "more lines than Probity reads");
            }
            let (words, variable) = match words(text) {
                Ok(found) => found,
                Err(why) => {
                    tree.unknown(&at, why);
                    continue;
                }
            };
            let Some(first) = words.first() else { continue };
            match first.as_str() {
                ".if" => {
                    depth += 1;
                    tree.unknown(&at, "what '.if' chooses can't be told from the file");
                }
                ".endif" => depth = depth.saturating_sub(1),
                ".elif" | ".else" | ".notice" | ".warning" | ".diag" | ".alert" => {}
                word if word.starts_with('.') => tree.unknown(&at, format!("'{word}' is not understood")),
                kind if KINDS.contains(&kind) => self.begin(tree, &at, &words, depth > 0),
                _ => {
                    if variable {
                        tree.unknown(&at, "it holds a variable of the environment");
                    }
                    let line = Line { at, words, open: depth > 0 || variable };
                    match self.all.last_mut() {
                        Some(section) => section.lines.push(line),
                        None => tree.unknown(&line.at, "a line outside of any section"),
                    }
                }
            }
        }
        if depth > 0 {
            tree.unknown(path, "an '.if' without '.endif'");
        }
    }

    fn begin(&mut self, tree: &mut Tree, at: &At, words: &[String], conditional: bool) {
        let word = |n: usize| words.get(n).cloned().unwrap_or_default();
        let (kind, name) = (word(0), word(1));
        let from = words.iter().position(|word| word == "from").and_then(|n| words.get(n + 1));
        let defaults = match from {
            Some(from) => self.named.get(from).copied(),
            None => self.last,
        };
        if from.is_some() && (defaults.is_none() || kind == "defaults") {
            tree.unknown(at, "on which defaults it builds is not understood");
        }
        if conditional {
            tree.unknown(at, "a section that begins inside of '.if'");
        }
        if kind == "defaults" {
            self.last = Some(self.all.len());
            self.named.insert(name.clone(), self.all.len());
        }
        self.all.push(Section { kind, name, lines: vec![], defaults });
    }
}

/// The words of a line, and whether it holds a variable: `parse_line` of HAProxy.
fn words(line: &str) -> Result<(Vec<String>, bool), &'static str> {
    let (mut words, mut word, mut quote, mut variable) = (Vec::new(), None::<String>, None, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            // Strong quotes keep everything.
            (None | Some('"'), '\\') => {
                let word = word.get_or_insert_default();
                match chars.peek().copied() {
                    Some('n' | 'r' | 't' | 'x') => return Err("an escape that is not understood"),
                    Some(next @ (' ' | '\\' | '#' | '"' | '\'' | '$')) => {
                        chars.next();
                        word.push(next);
                    }
                    _ => word.push('\\'),
                }
            }
            (None, '#') => break,
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (quote, c) => {
                variable |= quote == Some('"') && c == '$';
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    if quote.is_some() {
        return Err("a quote that does not end");
    }
    Ok((words, variable))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_haproxys() {
        assert_eq!(
            words("bind a\\ b \"c\"'d' x\"\" # y").unwrap(),
            (["bind", "a b", "cd", "x"].map(String::from).into(), false)
        );
        assert_eq!(words("a 'b\\' \"\\\"\"").unwrap().0, ["a", "b\\", "\""]);
        assert!(words("bind \"${ADDRESS}\"").unwrap().1);
        assert!(!words("bind '$a' $b \"\\$c\"").unwrap().1);
        words("a \"b").unwrap_err();
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "([ \"'\\\\#$]|\\PC){0,60}") {
            if let Ok((words, _)) = words(&text) {
                prop_assert!(words.iter().map(String::len).sum::<usize>() <= text.len());
            }
        }
    }
}
