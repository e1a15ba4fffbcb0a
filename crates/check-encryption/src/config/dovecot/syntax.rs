//! Dovecot's files: settings, blocks, includes (<https://doc.dovecot.org/2.3/configuration_manual/config_file/>).

use std::sync::Arc;

use super::super::tree::{At, Text, Tree, below, folder_of};

/// A setting, or a block of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) at: At,
    /// The name of a setting, or the first word of a block.
    pub(super) key: String,
    /// The value, or the other words of a block.
    pub(super) value: String,
    /// The value stood in quotes, and holds no meaning but itself.
    pub(super) quoted: bool,
    /// What is in the block; `None` for a setting.
    pub(super) block: Option<Vec<Item>>,
}

/// Reads a file, and those that it includes.
pub(super) fn read(tree: &mut Tree, entry: &str) -> Vec<Item> {
    let mut reader = Reader { tree, open: vec![], items: vec![] };
    reader.file(entry, None, false);
    reader.items
}

struct Reader<'a> {
    tree: &'a mut Tree,
    /// Blocks that are open: each with the items around it.
    open: Vec<(Item, Vec<Item>)>,
    items: Vec<Item>,
}

/// Blocks in each other.
const MOST_DEPTH: usize = 32;

impl Reader<'_> {
    fn file(&mut self, path: &str, from: Option<&At>, optional: bool) {
        let Some(file) = self.tree.read_if(path, from, optional) else { return };
        let at = At { file: Arc::clone(&file.path), line: 1 };
        if !self.tree.enter(&file.path, from.unwrap_or(&at)) {
            return;
        }
        let outside = self.open.len();
        for (at, line) in lines(&file) {
            self.line(&at, &line, outside);
        }
        while self.open.len() > outside {
            self.tree.unknown(&file.path, "the file ends inside a block");
            self.close();
        }
        self.tree.leave();
    }

    fn line(&mut self, at: &At, line: &str, outside: usize) {
        if line == "}" {
            if self.open.len() > outside {
                self.close();
            } else {
                self.tree.unknown(at, "a block ends that did not begin in this file");
            }
            return;
        }
        if let Some(rest) = line.strip_prefix('!') {
            self.include(at, rest);
            return;
        }
        let item = |key: &str, value: &str, quoted| Item {
            at: at.clone(),
            key: key.to_owned(),
            value: value.to_owned(),
            quoted,
            block: None,
        };
        if let Some((key, value)) = line.split_once('=').filter(|(key, _)| is_name(key.trim())) {
            match unquoted(value.trim()) {
                Some((value, quoted)) => self.items.push(item(key.trim(), &value, quoted)),
                None => self.tree.unknown(at, "a quote that does not end"),
            }
            return;
        }
        match line.strip_suffix('{').map(str::trim) {
            Some(head) if self.open.len() < MOST_DEPTH && !head.is_empty() => {
                let (key, value) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
                let block = Item { block: Some(vec![]), ..item(key, value.trim().trim_matches('"'), false) };
                self.open.push((block, std::mem::take(&mut self.items)));
            }
            _ => self.tree.unknown(at, "neither a setting, nor the beginning or end of a block"),
        }
    }

    fn close(&mut self) {
        let Some((mut block, around)) = self.open.pop() else { return };
        block.block = Some(std::mem::replace(&mut self.items, around));
        self.items.push(block);
    }

    fn include(&mut self, at: &At, rest: &str) {
        let (word, pattern) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let optional = match word {
            "include" => false,
            "include_try" => true,
            _ => {
                self.tree.unknown(at, format!("'!{word}' is not understood"));
                return;
            }
        };
        let pattern = below(folder_of(&at.file), pattern.trim().trim_matches(['"', '\'']));
        let paths = self.tree.included(&pattern, at);
        if paths.is_empty() && !optional {
            self.tree.unknown(at, format!("no file fits {pattern}"));
        }
        for path in paths {
            self.file(&path, Some(at), optional);
        }
    }
}

/// Lines without comments, joined where one ends in a backslash.
fn lines(file: &Text) -> Vec<(At, String)> {
    let mut lines: Vec<(At, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        let line = without_comment(line).trim();
        let (line, next) = match line.strip_suffix('\\') {
            Some(line) => (line.trim_end(), true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if goes_on => {
                last.push(' ');
                last.push_str(line);
            }
            _ => lines.push((At { file: Arc::clone(&file.path), line: number }, line.to_owned())),
        }
        goes_on = next;
    }
    lines.retain(|(_, line)| !line.trim().is_empty());
    lines
}

/// Cuts a comment off: a `#` that begins the line or follows a blank, outside of quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut blank, mut escaped) = (None, true, false);
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') if blank => quote = Some(c),
            (None, '#') if blank => return line.get(..at).unwrap_or(line),
            _ => {}
        }
        blank = c.is_whitespace() || (quote.is_none() && c == '=');
    }
    line
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'))
}

/// A value without its quotes; `None` where they don't end.
fn unquoted(value: &str) -> Option<(String, bool)> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Some((value.to_owned(), false));
    };
    let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
    Some((inner.replace("\\\"", "\"").replace("\\\\", "\\"), true))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn short(text: &str) -> Vec<(u32, String)> {
        let file = Text { path: "dovecot.conf".into(), text: text.into() };
        lines(&file).into_iter().map(|(at, line)| (at.line, line)).collect()
    }

    #[test]
    fn comments_and_lines_that_go_on() {
        let lines = short("# a\na = b # c\nd = e#f\n\ng = \"h # i\" # j\nk = l \\\n  m\nn = 'o'\n");
        let wanted = [(2, "a = b"), (3, "d = e#f"), (5, "g = \"h # i\""), (6, "k = l m"), (8, "n = 'o'")];
        assert_eq!(lines, wanted.map(|(n, line)| (n, line.to_owned())));
        assert_eq!(unquoted("\"a \\\" b\""), Some(("a \" b".into(), true)));
        assert_eq!((unquoted("\"a"), unquoted("\"")), (None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "([ {}=!#\"'\\\\\na-z]|\\PC){0,80}") {
            for (_, line) in short(&text) {
                unquoted(&line);
                is_name(&line);
            }
        }
    }
}
