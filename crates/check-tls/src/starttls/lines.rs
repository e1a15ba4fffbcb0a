//! Lines, and the replies of SMTP and FTP, from bytes that may be anything.

/// Takes one line off the front, without its end (CR LF, or LF alone); nothing where none is whole.
pub(super) fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = rest.split_off(..=end)?.get(..end)?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// A reply of SMTP (RFC 5321, 4.2) or FTP (RFC 959, 4.2): a code, and text in one line or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits; 0 where the first line does not begin with them.
    pub(super) code: u16,
    /// The text of each line, without code and mark where it has them.
    pub(super) lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Takes a whole reply off the front; nothing where none is there.
    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        let mut ahead = *rest;
        let first = line(&mut ahead)?;
        let code = code(first);
        let mut reply = Self { code: code.unwrap_or(0), lines: vec![text(first)] };
        if code.is_some() && first.get(3) == Some(&b'-') {
            loop {
                let next = line(&mut ahead)?;
                let whole = first.get(..3) == next.get(..3);
                reply.lines.push(if whole { text(next) } else { next.to_vec() });
                // Lines between may begin with anything (RFC 959); the last one has the code and no hyphen.
                if whole && next.get(3) != Some(&b'-') {
                    break;
                }
            }
        }
        *rest = ahead;
        Some(reply)
    }

    /// Whether a line behind the first begins with that word, whatever its case.
    pub(super) fn names(&self, word: &str) -> bool {
        self.lines.iter().skip(1).any(|line| first_word(line).eq_ignore_ascii_case(word.as_bytes()))
    }

    /// A code of the kind "not now" (RFC 5321, 4.2.1).
    pub(super) const fn for_now(&self) -> bool {
        self.code / 100 == 4
    }
}

/// The word at the front of a line.
pub(super) fn first_word(line: &[u8]) -> &[u8] {
    line.trim_ascii_start().split(|byte| byte.is_ascii_whitespace() || *byte == b'=').next().unwrap_or_default()
}

/// Whether one of the words of a line is that one, whatever its case.
pub(super) fn has_word(line: &[u8], word: &str) -> bool {
    line.split(|byte| matches!(byte, b' ' | b'[' | b']')).any(|one| one.eq_ignore_ascii_case(word.as_bytes()))
}

fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    if !matches!(line.get(3), None | Some(b' ' | b'-')) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn text(line: &[u8]) -> Vec<u8> {
    line.get(4..).unwrap_or_default().to_vec()
}
