//! Lines of sshd_config(5) and ssh_config(5), split as OpenSSH splits them (`strdelim` and `argv_split` in its misc.c).

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The keyword in lower case; empty where the line has none that counts (`==x`): such a line is not understood.
    pub(crate) name: String,
    /// What stands behind it, without a comment, quotes and all.
    pub(crate) rest: String,
    /// Its words; `None` where a quote does not end, which OpenSSH refuses.
    pub(crate) words: Option<Vec<String>>,
}

/// Reads one line; `None` for an empty one or a comment.
pub(crate) fn line(text: &str) -> Option<Line> {
    let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\x0c']);
    let odd = || Some(Line { name: String::new(), rest: String::new(), words: None });
    let Some((mut name, mut rest)) = delimited(text) else { return odd() };
    // Blanks in front of the keyword, or one `=`, are a first word without letters.
    if name.is_empty() && !rest.is_empty() {
        let Some(second) = delimited(rest) else { return odd() };
        (name, rest) = second;
    }
    if name.is_empty() && rest.is_empty() || name.starts_with('#') {
        return None;
    }
    let (rest, words) = words(rest);
    Some(Line { name: name.to_ascii_lowercase(), rest, words })
}

/// The first word, which ends at a blank, a quote or an `=`, and the rest. One `=` is passed over with the blanks around
/// it. `None` where a quote does not end.
fn delimited(text: &str) -> Option<(String, &str)> {
    const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
    let Some(end) = text.find(|c: char| BLANKS.contains(&c) || c == '"' || c == '=') else {
        return Some((text.to_owned(), ""));
    };
    let (word, left) = text.split_at_checked(end)?;
    let mut chars = left.chars();
    let delimiter = chars.next()?;
    let left = chars.as_str();
    if delimiter == '"' {
        let (quoted, left) = left.split_once('"')?;
        return Some((format!("{word}{quoted}"), left.trim_start_matches(BLANKS)));
    }
    let left = left.trim_start_matches(BLANKS);
    let left = match left.strip_prefix('=') {
        Some(left) if delimiter != '=' => left.trim_start_matches(BLANKS),
        _ => left,
    };
    Some((word.to_owned(), left))
}

/// The words of a value, and the value without the comment behind them: `"` and `'` quote, a backslash takes the special
/// meaning off quotes, itself and a blank, and `#` in front of a word begins a comment.
pub(crate) fn words(text: &str) -> (String, Option<Vec<String>>) {
    let (mut words, mut open) = (Vec::<String>::new(), false);
    let mut quote: Option<char> = None;
    let mut chars = text.char_indices().peekable();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        let blank = c == ' ' || c == '\t';
        if !open {
            if blank {
                continue;
            }
            if c == '#' {
                end = at;
                break;
            }
            words.push(String::new());
            open = true;
        }
        let next = chars.peek().map(|(_, next)| *next);
        let escapes = |next: char| matches!(next, '\'' | '"' | '\\') || (quote.is_none() && next == ' ');
        match (c, quote) {
            ('\\', _) if next.is_some_and(escapes) => {
                words.last_mut().into_iter().for_each(|word| word.extend(next));
                chars.next();
            }
            (_, None) if blank => open = false,
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(end)) if end == c => quote = None,
            _ => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    let rest = text.get(..end).unwrap_or(text).trim_end().to_owned();
    (rest, quote.is_none().then_some(words))
}

/// Every keyword of sshd_config(5) up to OpenSSH 10, with old names and those of the common patches (GSSAPI, Debian);
/// sshd refuses a file with any other.
pub(crate) fn is_keyword(name: &str) -> bool {
    static KEYWORDS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| include_str!("keywords").split_whitespace().collect());
    KEYWORDS.contains(name)
}

/// Settings whose value is a command line, or words for one, and may hold secrets.
const COMMANDS: [&str; 4] = ["authorizedkeyscommand", "authorizedprincipalscommand", "forcecommand", "subsystem"];

/// A value as it may be shown: of a command its program alone (of a subsystem also the name), of variables their names.
pub(crate) fn shown(name: &str, value: &str) -> String {
    match words(value).1 {
        Some(words) => of_words(name, &words).unwrap_or_else(|| value.to_owned()),
        None if name == "setenv" || COMMANDS.contains(&name) => "…".to_owned(),
        None => value.to_owned(),
    }
}

/// The same for words; `None` where all of them may be shown.
fn of_words(name: &str, words: &[String]) -> Option<String> {
    let keep = match name {
        "setenv" => {
            let names = words.iter().map(|word| match word.split_once('=') {
                Some((name, _)) => format!("{name}=…"),
                None => "…".to_owned(),
            });
            return Some(names.collect::<Vec<_>>().join(" "));
        }
        "subsystem" => 2,
        name if COMMANDS.contains(&name) => 1,
        _ => return None,
    };
    let mut kept = words.iter().take(keep).cloned().collect::<Vec<_>>().join(" ");
    if words.len() > keep {
        kept.push_str(" …");
    }
    Some(kept)
}

/// A value of a setting whose words are out of a closed list, as the server tells it: `no`, and `INFO` for levels.
pub(crate) fn usual(name: &str, words: &[String]) -> String {
    let mut value = words.join(" ");
    match name {
        "loglevel" => value.make_ascii_uppercase(),
        "permitrootlogin" | "allowtcpforwarding" | "gatewayports" | "permittunnel" | "disableforwarding"
        | "ignorerhosts" | "strictmodes" | "usepam" => value.make_ascii_lowercase(),
        name if name.ends_with("authentication") || name.ends_with("forwarding") || name.ends_with("passwords") => {
            value.make_ascii_lowercase();
        }
        _ => {}
    }
    match (name, value.as_str()) {
        ("permitrootlogin", "without-password") => "prohibit-password".to_owned(),
        _ => of_words(name, words).unwrap_or(value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> (String, Vec<String>) {
        let line = line(text).unwrap();
        (line.name, line.words.unwrap())
    }

    fn is(name: &str, words: &[&str]) -> (String, Vec<String>) {
        (name.to_owned(), words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn lines_are_split_as_openssh_does() {
        assert_eq!(of("=PermitRootLogin yes"), is("permitrootlogin", &["yes"]));
        assert_eq!(of("  = Include = '/etc/ssh/m x.conf'"), is("include", &["/etc/ssh/m x.conf"]));
        assert_eq!(of("Include a\\ b 'c d' \"e f\" g\\h # x"), is("include", &["a b", "c d", "e f", "g\\h"]));
        assert_eq!(of("\"Port\" 22#3"), is("port", &["22#3"]));
        assert_eq!(of("==Port 22").0, "");
        assert_eq!(of("Permit\"Root\"Login yes"), is("permitroot", &["Login", "yes"]));
        assert_eq!(line("Include 'x").unwrap().words, None);
        assert_eq!((line("  # x"), line(" \t"), line("=#")), (None, None, None));
        assert_eq!(line("Banner \"# no\"  # yes").unwrap().rest, "\"# no\"");
    }

    #[test]
    fn secrets_are_cut_off() {
        assert_eq!(shown("setenv", "A=s3cret 'B=x y'"), "A=… B=…");
        assert_eq!(shown("forcecommand", "/bin/run --token s3cret"), "/bin/run …");
        assert_eq!(shown("subsystem", "sftp internal-sftp -l INFO"), "sftp internal-sftp …");
        assert_eq!(shown("authorizedkeyscommand", "none"), "none");
        assert_eq!(shown("forcecommand", "'open s3cret"), "…");
        assert_eq!(usual("permitrootlogin", &["Without-Password".into()]), "prohibit-password");
    }

    proptest! {
        #[test]
        fn any_line_is_borne(text in "[=\"' \\\\#\t]{0,3}\\PC{0,20}[=\"' \\\\#\t]{0,3}\\PC{0,20}") {
            if let Some(line) = line(&text) {
                shown("forcecommand", &line.rest);
            }
        }
    }
}
