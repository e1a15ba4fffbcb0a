//! Making text from outside harmless and its tricks visible.
//!
//! Messages, names and labels may hold any character that a hostile server chose. Every renderer passes
//! such text through [`plain`] first and then through the escaping of its own format.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character could act on a reader's screen, hide, or reorder what stands beside it.
///
/// These are the control characters C0, DEL and C1, line and paragraph separators, bidirectional controls
/// (Unicode Standard Annex 9), characters without width, invisible fillers, variation selectors, tags, and the
/// non-characters that XML 1.0 section 2.2 forbids.
#[must_use]
pub const fn acts(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// One line of text in which every character that [`acts`] is written out as `\u{1b}`.
///
/// The result holds no line break. Nothing else is changed.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// [`plain`], cut after `most` characters with an ellipsis where it is longer.
#[must_use]
pub fn plain_cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => plain(text),
        Some((end, _)) => {
            let mut cut = plain(text.get(..end).unwrap_or_default()).into_owned();
            cut.push('…');
            Cow::Owned(cut)
        }
    }
}

/// JSON text with the same value, in which no character [`acts`] when the text is shown on a screen.
///
/// Only line breaks between tokens stay; inside strings each such character becomes `\uXXXX` (RFC 8259 section 7).
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let wanted = |c: char| c != '\n' && acts(c);
    if !text.contains(wanted) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if wanted(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A value of a GitHub workflow command after the `::` (`%`, CR and LF are percent-encoded).
#[must_use]
pub fn command_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a GitHub workflow command: as [`command_data`], and `:` and `,` too.
#[must_use]
pub fn command_property(text: &str) -> String {
    command_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A relative path as a URI reference (RFC 3986): every byte but unreserved ones and `/` is percent-encoded.
#[must_use]
pub fn uri_path(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tricks_become_visible() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\u{a}c");
        assert_eq!(plain("\u{202e}txt.exe\u{2066}"), "\\u{202e}txt.exe\\u{2066}");
        assert_eq!(plain("\u{9b}2J\u{feff}\u{200b}\u{2028}"), "\\u{9b}2J\\u{feff}\\u{200b}\\u{2028}");
        assert_eq!(plain("Zürich, 東京, <b>"), "Zürich, 東京, <b>");
        assert_eq!(plain_cut("abcdef", 3), "abc…");
        assert_eq!(plain_cut("abc", 3), "abc");
    }

    #[test]
    fn commands_keep_to_one_line() {
        assert_eq!(command_data("50%0A\r\n::error::x"), "50%250A%0D%0A::error::x");
        assert_eq!(command_property("a:b,c%"), "a%3Ab%2Cc%25");
    }

    #[test]
    fn paths_become_relative_references() {
        assert_eq!(uri_path("/a b/ü:?.yaml"), "a%20b/%C3%BC%3A%3F.yaml");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text: String) {
            prop_assert!(!plain(&text).contains(acts));
        }

        #[test]
        fn json_keeps_its_value(text: String, tricks in "[\u{7f}-\u{9f}\u{200b}-\u{202e}\u{e0001}\u{feff}]{0,8}") {
            let value = serde_json::json!({ "k": format!("{text}{tricks}") });
            let written = value.to_string();
            let shown = json(&written);
            prop_assert!(!shown.contains(|c| c != '\n' && acts(c)));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).ok(), Some(value));
        }
    }
}
