//! The syntax of nginx: words, blocks, includes (`ngx_conf_file.c`).

use std::sync::Arc;

use super::super::tree::{At, Text, Tree, below, folder_of};

/// Blocks inside each other.
const MOST_DEPTH: usize = 50;
/// Directives in all.
const MOST_DIRECTIVES: usize = 1_000_000;

/// A directive, its block with includes put in their place.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) at: At,
    pub(super) block: Vec<Directive>,
}

impl Directive {
    pub(super) fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }
}

/// What ends a sequence of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Semicolon,
    Open,
    Close,
    File,
}

/// What can't be read, and where: line and column, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) what: &'static str,
}

/// Reads words.
struct Words<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: u32,
    column: u32,
}

impl<'t> Words<'t> {
    fn new(text: &'t str) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable(), line: 1, column: 0 }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 0);
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn wrong(&self, what: &'static str) -> Wrong {
        Wrong { line: self.line, column: self.column.max(1), what }
    }

    /// The words up to the next `;`, `{` or `}`, and the line of the first of them.
    fn sequence(&mut self) -> Result<(Vec<String>, u32, End), Wrong> {
        let (mut words, mut line) = (Vec::new(), self.line);
        loop {
            let Some(&c) = self.rest.peek() else {
                return if words.is_empty() {
                    Ok((words, line, End::File))
                } else {
                    Err(self.wrong("the file ends inside a directive; a ';' is missing"))
                };
            };
            match c {
                ' ' | '\t' | '\r' | '\n' => {
                    self.next();
                }
                '#' => while self.next().is_some_and(|c| c != '\n') {},
                ';' | '{' => {
                    self.next();
                    if words.is_empty() {
                        return Err(self.wrong(if c == ';' {
                            "a ';' without a directive"
                        } else {
                            "a '{' without a directive"
                        }));
                    }
                    return Ok((words, line, if c == ';' { End::Semicolon } else { End::Open }));
                }
                '}' => {
                    self.next();
                    if !words.is_empty() {
                        return Err(self.wrong("a '}' inside a directive; a ';' is missing"));
                    }
                    return Ok((words, line, End::Close));
                }
                _ => {
                    if words.is_empty() {
                        line = self.line;
                    }
                    words.push(if c == '"' || c == '\'' { self.quoted()? } else { self.plain() });
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Wrong> {
        let quote = self.next();
        let begin = self.wrong("a quote that does not end");
        let mut word = String::new();
        loop {
            match self.next() {
                None => return Err(begin),
                c if c == quote => break,
                Some('\\') => escaped(self.next(), &mut word),
                Some(c) => word.push(c),
            }
        }
        match self.rest.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | ';' | '{' | ')') => Ok(word),
            Some(_) => Err(self.wrong("a word that goes on behind its quote")),
        }
    }

    fn plain(&mut self) -> String {
        let mut word = String::new();
        while let Some(&c) = self.rest.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' => break,
                // `${name}` is a part of the word; any other brace ends it.
                '{' if !word.ends_with('$') => break,
                '\\' => {
                    self.next();
                    escaped(self.next(), &mut word);
                    continue;
                }
                _ => {}
            }
            word.extend(self.next());
        }
        word
    }

    /// Jumps over the code of a block of Lua (OpenResty); `false` where its end can't be told.
    fn lua(&mut self) -> bool {
        let mut depth = 1;
        while let Some(c) = self.next() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => return true,
                '}' => depth -= 1,
                '"' | '\'' => loop {
                    match self.next() {
                        None | Some('\n') => return false,
                        Some('\\') => {
                            self.next();
                        }
                        Some(end) if end == c => break,
                        Some(_) => {}
                    }
                },
                // Long brackets hold anything, comments too.
                '[' if matches!(self.rest.peek(), Some('[' | '=')) => return false,
                '-' if self.rest.peek() == Some(&'-') => {
                    self.next();
                    if self.rest.peek() == Some(&'[') {
                        return false;
                    }
                    while self.next().is_some_and(|c| c != '\n') {}
                }
                _ => {}
            }
        }
        false
    }
}

/// A backslash, and what stands behind it.
fn escaped(c: Option<char>, word: &mut String) {
    match c {
        Some('t') => word.push('\t'),
        Some('r') => word.push('\r'),
        Some('n') => word.push('\n'),
        Some(c @ ('"' | '\'' | '\\')) => word.push(c),
        Some(c) => {
            word.push('\\');
            word.push(c);
        }
        None => word.push('\\'),
    }
}

/// Reads a configuration, and everything that it includes.
pub(super) struct Reader<'t> {
    tree: &'t mut Tree,
    /// What relative paths are relative to: the folder of the first file.
    prefix: String,
    directives: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(tree: &'t mut Tree, entry: &str) -> Self {
        Self { tree, prefix: folder_of(entry).to_owned(), directives: 0 }
    }

    /// The directives of a file.
    pub(super) fn file(&mut self, path: &str, from: Option<&At>) -> Vec<Directive> {
        let Some(Text { path, text }) = self.tree.read(path, from) else { return vec![] };
        let here = At { file: Arc::clone(&path), line: 0 };
        if !self.tree.enter(&path, from.unwrap_or(&here)) {
            return vec![];
        }
        let mut words = Words::new(&text);
        let mut all = Vec::new();
        // Behind a mistake the file is not read on: what block one is in can no longer be told.
        if let Err(wrong) = self.block(&mut words, &path, 0, &mut all) {
            let place = format!("{path}:{}:{}", wrong.line, wrong.column);
            self.tree.unknown(place, wrong.what);
        }
        self.tree.leave();
        all
    }

    fn block(
        &mut self,
        words: &mut Words<'_>,
        file: &Arc<str>,
        depth: usize,
        all: &mut Vec<Directive>,
    ) -> Result<(), Wrong> {
        loop {
            let (mut args, line, end) = words.sequence()?;
            let at = At { file: Arc::clone(file), line };
            match end {
                End::File if depth > 0 => return Err(words.wrong("the file ends inside a block; a '}' is missing")),
                End::Close if depth == 0 => return Err(words.wrong("a '}' without a '{'")),
                End::File | End::Close => return Ok(()),
                End::Semicolon | End::Open => {}
            }
            self.directives += 1;
            if self.directives > MOST_DIRECTIVES {
                return Err(words.wrong("more directives than Probity reads"));
            }
            let name = args.remove(0);
            if end == End::Semicolon && name == "include" {
                let pattern = below(&self.prefix, args.first().map_or("", String::as_str));
                for path in self.tree.included(&pattern, &at) {
                    all.extend(self.file(&path, Some(&at)));
                }
                continue;
            }
            let mut directive = Directive { name, args, at, block: vec![] };
            if end == End::Open {
                if depth >= MOST_DEPTH {
                    return Err(words.wrong("blocks inside each other, deeper than Probity reads"));
                }
                if directive.name.ends_with("_by_lua_block") {
                    self.tree.unknown(&directive.at, "a block of Lua: what it does can't be told from the file");
                    if !words.lua() {
                        return Err(words.wrong("where the block of Lua ends can't be told"));
                    }
                } else {
                    let inner = self.block(words, file, depth + 1, &mut directive.block);
                    // What was read before the mistake counts: it may show a violation.
                    if inner.is_err() {
                        all.push(directive);
                        return inner;
                    }
                }
            }
            all.push(directive);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Result<Vec<String>, Wrong> {
        Words::new(text).sequence().map(|(words, ..)| words)
    }

    #[test]
    fn words_are_nginxs() {
        assert_eq!(
            words("a 'b c' \"d\\\"e\" f\\;g ${h}i # x\n j#k;").unwrap(),
            ["a", "b c", "d\"e", "f\\;g", "${h}i", "j#k"]
        );
        assert_eq!(words("add_header X \"a;b{c}\";").unwrap(), ["add_header", "X", "a;b{c}"]);
    }

    #[test]
    fn mistakes_have_a_place() {
        let wrong = |text: &str| words(text).unwrap_err();
        assert_eq!(wrong("a\n  \"b;\n"), Wrong { line: 2, column: 3, what: "a quote that does not end" });
        assert_eq!(wrong("a 'b'c;").what, "a word that goes on behind its quote");
        assert_eq!(wrong("a b").what, "the file ends inside a directive; a ';' is missing");
        assert_eq!(wrong(";").what, "a ';' without a directive");
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "([a-z]{1,3}|[ ;{}#\"'\\\\$\n\\[-]|\\PC){0,60}") {
            let mut words = Words::new(&text);
            while let Ok((_, line, end)) = words.sequence() {
                prop_assert!(line >= 1);
                if end == End::File {
                    break;
                }
            }
            Words::new(&text).lua();
        }
    }
}
