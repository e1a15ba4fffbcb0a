//! Text and base64 from outside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of foreign text that a message repeats at most.
const SHOWN: usize = 120;

/// Foreign text for a message: ASCII only, control and bidirectional characters escaped, cut to a line.
pub(crate) fn shown(text: &str) -> String {
    let escaped = |c: char| if c == '\'' || c == '"' { c.to_string() } else { c.escape_default().to_string() };
    let mut out: String = text.chars().take(SHOWN).map(escaped).collect();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// Standard base64 (RFC 4648, section 4) with its padding.
pub(crate) fn base64_of(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes base64 strictly: the standard alphabet, full padding, no white space, no stray bits in the last digit.
pub(crate) fn base64_strict(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_not_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[31m\u{202e}b\n"), "a\\u{1b}[31m\\u{202e}b\\n");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(base64_strict("aGk="), Some(b"hi".to_vec()));
        for other in ["aGk", "aGl=", "aGk=\n", " aGk=", "aGk==", "-_8=", "aG=k"] {
            assert_eq!(base64_strict(other), None, "{other:?}");
        }
    }
}
