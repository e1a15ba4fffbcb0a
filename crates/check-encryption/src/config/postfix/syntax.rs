//! The files of Postfix: logical lines, parameters, services.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::found::VERSIONS;
use super::super::tree::{At, Text, Tree};
use super::Parameters;

/// A service of `master.cf` (master(5)).
pub(super) struct Entry {
    pub(super) at: At,
    /// What it is called: for `inet` a port, or host and port.
    pub(super) name: String,
    /// `inet`, `unix`, `pass`, `fifo`.
    pub(super) kind: String,
    /// The program, without a path.
    pub(super) command: String,
    /// `-o name=value`.
    pub(super) overrides: Parameters,
}

/// Logical lines: one that begins with a blank goes on with the one before; comments and empty lines count for nothing,
/// in between too (postconf(5)).
fn logical(file: &Text) -> Vec<(At, String)> {
    let mut lines: Vec<(At, String)> = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        match lines.last_mut() {
            Some((_, last)) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(bare);
            }
            _ => lines.push((At { file: Arc::clone(&file.path), line: number }, line.trim_end().to_owned())),
        }
    }
    lines
}

/// Parameters; the last of a name counts.
pub(super) fn main_cf(tree: &mut Tree, path: &str) -> Parameters {
    let mut parameters = Parameters::new();
    let Some(file) = tree.read(path, None) else { return parameters };
    for (at, line) in logical(&file) {
        let pair = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        match pair {
            Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
                parameters.insert(name.to_owned(), (at, value.to_owned()));
            }
            _ => tree.unknown(&at, "no parameter: a name, '=' and a value are needed"),
        }
    }
    parameters
}

/// The services.
pub(super) fn master_cf(tree: &mut Tree, path: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let Some(file) = tree.read(path, None) else { return entries };
    for (at, line) in logical(&file) {
        let words = words(&line);
        let (Some([name, kind]), Some(command)) = (words.get(..2), words.get(7)) else {
            tree.unknown(&at, "no service: eight columns are needed");
            continue;
        };
        let mut overrides = BTreeMap::new();
        for pair in options(words.get(8..).unwrap_or_default()) {
            match pair.and_then(|pair| pair.split_once('=')) {
                Some((name, value)) => {
                    overrides.insert(name.trim().to_owned(), (at.clone(), value.trim().to_owned()));
                }
                None => {
                    tree.unknown(&at, "an option that Probity does not know, or '-o' without a parameter and its value")
                }
            }
        }
        let command = command.rsplit('/').next().unwrap_or_default().to_owned();
        entries.push(Entry { at, name: name.clone(), kind: kind.clone(), command, overrides });
    }
    entries
}

/// What follows each `-o`; none for what is no option that the servers know. Letters may stand together, as in
/// `-vo name=value` (getopt(3); Postfix, `src/master/single_server.c`).
fn options(words: &[String]) -> Vec<Option<&str>> {
    let (mut found, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        let Some(mut letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else { continue };
        while let Some(letter) = letters.chars().next() {
            letters = letters.get(letter.len_utf8()..).unwrap_or_default();
            match letter {
                'D' | 'V' | 'S' | 'c' | 'd' | 'l' | 'u' | 'v' | 'z' => {}
                'i' | 'm' | 'n' | 'o' | 'r' | 's' | 't' => {
                    let value = if letters.is_empty() { words.next().map(String::as_str) } else { Some(letters) };
                    if letter == 'o' {
                        found.push(value.filter(|value| value.contains('=')));
                    }
                    break;
                }
                _ => {
                    found.push(None);
                    break;
                }
            }
        }
    }
    found
}

/// Words; braces hold several together, since 3.0.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut depth) = (Vec::new(), None::<String>, 0_u32);
    for c in line.chars() {
        match c {
            // `${name}` is no group.
            '{' if depth > 0 || word.is_none() => {
                depth += 1;
                if depth > 1 {
                    word.get_or_insert_default().push(c);
                } else {
                    word.get_or_insert_default();
                }
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth > 0 {
                    word.get_or_insert_default().push(c);
                }
            }
            c if c.is_whitespace() && depth == 0 => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words.iter().map(|word| word.trim().to_owned()).collect()
}

/// A list of versions: `>=TLSv1.2`, `!SSLv3, !TLSv1`, `TLSv1.2 TLSv1.3`. An empty one lets all in.
pub(super) fn protocols(text: &str) -> Result<Vec<String>, String> {
    let index = |name: &str| {
        let name = if name.eq_ignore_ascii_case("TLSv1") { "TLSv1.0" } else { name };
        let by_name = VERSIONS.iter().position(|version| version.eq_ignore_ascii_case(name));
        by_name.ok_or_else(|| format!("'{name}' is no version of TLS that Probity knows"))
    };
    let (mut least, mut most, mut only, mut never) = (0, VERSIONS.len() - 1, Vec::new(), Vec::new());
    // A blank may stand between the sign and the name.
    let text = text.replace(">= ", ">=").replace("<= ", "<=").replace("! ", "!");
    for word in text.split([',', ' ', '\t', ':']).filter(|word| !word.is_empty()) {
        match () {
            () if word.starts_with(">=") => least = index(word.trim_start_matches(">="))?,
            () if word.starts_with("<=") => most = index(word.trim_start_matches("<="))?,
            () if word.starts_with('!') => never.push(index(word.trim_start_matches('!'))?),
            () => only.push(index(word)?),
        }
    }
    let in_it = |n: &usize| *n >= least && *n <= most && !never.contains(n) && (only.is_empty() || only.contains(n));
    Ok((0..VERSIONS.len()).filter(in_it).filter_map(|n| VERSIONS.get(n)).map(|name| (*name).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    fn file(text: &str) -> Text {
        Text { path: "main.cf".into(), text: text.into() }
    }

    #[test]
    fn lines_go_on() {
        let lines = logical(&file("# a\na = b,\n# c\n\n  d\n\te \nf=g\n   # h\n"));
        let short: Vec<(u32, &str)> = lines.iter().map(|(at, line)| (at.line, line.as_str())).collect();
        assert_eq!(short, [(2, "a = b, d e"), (7, "f=g")]);
    }

    #[test]
    fn braces_hold_words_together() {
        assert_eq!(
            words("a -o { b = c d } -o e=${f} -o {g=${h{i}}}"),
            ["a", "-o", "b = c d", "-o", "e=${f}", "-o", "g=${h{i}}"]
        );
    }

    #[test]
    fn options_may_stand_together() {
        let of = |line: &str| options(&words(line)).into_iter().map(|o| o.map(str::to_owned)).collect::<Vec<_>>();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("-vo a=b -o c=d -oe=f"), [some("a=b"), some("c=d"), some("e=f")]);
        assert_eq!(of("-vvo {a = b} -t inet -s 5 host"), [some("a = b")]);
        assert_eq!(of("-o"), [None]);
        assert_eq!(of("-x a=b"), [None]);
    }

    #[test]
    fn versions() {
        for (text, wanted) in [
            (">=TLSv1.2", "TLSv1.2 TLSv1.3"),
            (">= TLSv1.2, <= TLSv1.2", "TLSv1.2"),
            ("!SSLv2, !SSLv3, !TLSv1, !TLSv1.1", "TLSv1.2 TLSv1.3"),
            ("!SSLv2:!SSLv3", "TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3"),
            ("TLSv1 TLSv1.3", "TLSv1.0 TLSv1.3"),
            ("", "SSLv2 SSLv3 TLSv1.0 TLSv1.1 TLSv1.2 TLSv1.3"),
        ] {
            assert_eq!(protocols(text).unwrap().join(" "), wanted, "{text}");
        }
        assert!(protocols(">=0303").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "([ {}=$,#!>\n\ta-z]|\\PC){0,80}") {
            for (_, line) in logical(&file(&text)) {
                words(&line);
            }
            let _ = protocols(&text);
        }
    }
}
