//! Lines of text for a terminal: colour, padding, wrapping. Every text is made [`plain`] here.

use crate::Style;
use crate::escape::plain;

/// The few looks in use, as SGR parameters (ECMA-48 section 8.3.117).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Normal,
    Bold,
    Dim,
    Good,
    Bad,
    Doubt,
}

impl Look {
    const fn sgr(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Doubt => "33",
        }
    }
}

/// A text being written line by line.
pub(crate) struct Page {
    style: Style,
    text: String,
    column: usize,
}

impl Page {
    pub(crate) fn new(style: &Style) -> Self {
        let style = Style { width: style.width.clamp(60, 400), ..*style };
        Self { style, text: String::new(), column: 0 }
    }

    /// Columns to fill.
    pub(crate) const fn width(&self) -> usize {
        self.style.width
    }

    /// Whether pictures made of block characters are drawn.
    pub(crate) const fn pictures(&self) -> bool {
        self.style.pictures
    }

    /// Appends some text to the line.
    pub(crate) fn put(&mut self, look: Look, text: &str) -> &mut Self {
        let shown = plain(text);
        self.column += shown.chars().count();
        if self.style.colour && !matches!(look, Look::Normal) && !shown.is_empty() {
            self.text.push_str("\u{1b}[");
            self.text.push_str(look.sgr());
            self.text.push('m');
            self.text.push_str(&shown);
            self.text.push_str("\u{1b}[0m");
        } else {
            self.text.push_str(&shown);
        }
        self
    }

    /// Goes to a column (from 0); where the line is there already, puts two spaces.
    pub(crate) fn to(&mut self, column: usize) -> &mut Self {
        let gap = if self.column < column { column - self.column } else { usize::from(self.column > 0) * 2 };
        self.text.extend(std::iter::repeat_n(' ', gap));
        self.column += gap;
        self
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) -> &mut Self {
        let kept = self.text.trim_end_matches(' ').len();
        self.text.truncate(kept);
        self.text.push('\n');
        self.column = 0;
        self
    }

    /// Puts text from the present column on, broken at spaces to the width, further lines at the same column.
    pub(crate) fn wrapped(&mut self, look: Look, text: &str) -> &mut Self {
        let (start, most) = (self.column, self.width().saturating_sub(self.column).max(20));
        for (n, line) in wrap(&plain(text), most).into_iter().enumerate() {
            if n > 0 {
                self.end().to(start);
            }
            self.put(look, &line);
        }
        self
    }

    /// Puts parts with a dot between them, broken only between parts, so that commands and paths stay whole.
    pub(crate) fn flow(&mut self, parts: &[String]) -> &mut Self {
        for (n, part) in parts.iter().enumerate() {
            let length = plain(part).chars().count();
            if n > 0 && self.column + 3 + length > self.width() {
                self.end();
            } else if n > 0 {
                self.put(Look::Dim, " · ");
            }
            self.put(Look::Normal, part);
        }
        self
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// Breaks one line at spaces so that no part is longer than `most` characters; words longer than that are cut.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut length) = (String::new(), 0);
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let letters: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + letters.len() > most {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        for letter in letters {
            if length == most {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            line.push(letter);
            length += 1;
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 3), [""]);
    }

    #[test]
    fn text_from_outside_is_made_plain() {
        let mut page = Page::new(&Style::PLAIN);
        page.put(Look::Bad, "a\u{1b}[2J\n").to(20).put(Look::Normal, "b").end();
        assert_eq!(page.finish(), "a\\u{1b}[2J\\u{a}     b\n");
    }
}
