//! Words of a line, as Apache and HAProxy split them.

/// Splits a line at blanks. `escape`: whether a backslash takes the next character's meaning away outside of quotes too.
/// `None` where a quote does not end.
pub(super) fn words(line: &str, escape: bool) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            // Single quotes of HAProxy keep backslashes; Apache takes one away in front of the quote alone.
            (Some(q), '\\') if q == '"' || !escape => match chars.peek() {
                Some(&next) if next == q || (escape && matches!(next, '\\' | '$' | '"')) => {
                    chars.next();
                    word.get_or_insert_default().push(next);
                }
                _ => word.get_or_insert_default().push('\\'),
            },
            (None, '"' | '\'') if escape || word.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') if escape => word.get_or_insert_default().extend(chars.next()),
            (None, '#') if escape => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Lines with their numbers, those that end in a backslash joined with the next.
pub(super) fn joined(text: &str) -> Vec<(u32, String)> {
    let mut all: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1u32..).zip(text.lines()) {
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) if !line.ends_with('\\') => (line, true),
            _ => (line, false),
        };
        match all.last_mut() {
            Some((_, last)) if open => last.push_str(line),
            _ => all.push((number, line.to_owned())),
        }
        open = goes_on;
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_of_both() {
        assert_eq!(
            words("Header set X \"a \\\"b\\\" c\" 'd e'", false).unwrap(),
            ["Header", "set", "X", "a \"b\" c", "d e"]
        );
        assert_eq!(words("bind a\\ b \"c\"'d'\"\" # x", true).unwrap(), ["bind", "a b", "cd"]);
        assert_eq!(words("a\\b \\d", false).unwrap(), ["a\\b", "\\d"]);
        assert_eq!(words("a \"b", true), None);
        assert_eq!(joined("a \\\nb\nc\\\\\nd"), [(1, "a b".into()), (3, "c\\\\".into()), (4, "d".into())]);
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "([ \"'\\\\#\n]|\\PC){0,60}", escape: bool) {
            for (_, line) in joined(&text) {
                words(&line, escape);
            }
        }
    }
}
