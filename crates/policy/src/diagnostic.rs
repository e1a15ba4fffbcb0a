//! What is wrong with a file, where, and what to do about it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::Sources;
use crate::yaml::File;

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// The file can't be used.
    Error,
    /// The file can be used, but probably does not say what its author means.
    Warning,
}

/// One complaint about one place in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// A short stable name (`unknown-field`, `cel-syntax`, …).
    pub code: &'static str,
    /// Error or warning.
    pub severity: Gravity,
    /// The file, as the caller named it; empty where no file is to blame.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Bytes of the file that are meant.
    pub span: Range<usize>,
    /// What is wrong. May hold text from the file, unescaped; [`Diagnostics::render`] escapes it.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

/// A place in a file that diagnostics can be about later, when the file is no longer at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    line: u32,
    column: u32,
    span: Range<usize>,
}

impl Place {
    pub(crate) fn of(file: &File<'_>, span: &Range<usize>) -> Self {
        let (line, column) = file.place(span.start);
        Self { file: file.path.to_owned(), line, column, span: span.clone() }
    }

    pub(crate) fn error(&self, code: &'static str, message: String, help: Option<String>) -> Diagnostic {
        let Self { file, line, column, span } = self.clone();
        Diagnostic { code, severity: Gravity::Error, file, line, column, span, message, help }
    }

    pub(crate) fn to_source(&self) -> model::Source {
        model::Source { file: self.file.clone(), line: self.line, column: self.column }
    }
}

/// Everything found wrong at once, sorted by file and place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Sorts what was found and drops what was found twice.
    #[must_use]
    pub fn new(mut found: Vec<Diagnostic>) -> Self {
        found.sort_by(|a, b| {
            (&a.file, a.span.start, a.span.end, a.code, &a.message).cmp(&(
                &b.file,
                b.span.start,
                b.span.end,
                b.code,
                &b.message,
            ))
        });
        found.dedup();
        Self(found)
    }

    /// Every diagnostic, sorted by file and place.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether at least one is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Gravity::Error)
    }

    /// The diagnostics as a compiler would print them: message, place, the line with a caret, help.
    ///
    /// `sources` are the files that were read (one that is missing is shown without its line). No control
    /// character or change of text direction out of a file reaches the result.
    #[must_use]
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let texts: BTreeMap<&str, String> = sources
            .iter()
            .map(|(path, source)| (path.as_str(), String::from_utf8_lossy(&source.bytes).into_owned()))
            .collect();
        let mut out = String::new();
        for diagnostic in &self.0 {
            out.push_str(&diagnostic.render(texts.get(diagnostic.file.as_str()).map(String::as_str), colour));
            out.push('\n');
        }
        out
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { "\n" };
            f.write_str(gap)?;
            if !d.file.is_empty() {
                write!(f, "{}:{}:{}: ", printable(&d.file), d.line, d.column)?;
            }
            write!(f, "{}", printable(&d.message))?;
            if let Some(help) = &d.help {
                write!(f, " ({})", printable(help))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    fn render(&self, text: Option<&str>, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Gravity::Error => Level::ERROR,
            Gravity::Warning => Level::WARNING,
        };
        let message = printable(&self.message);
        let help = self.help.as_deref().map(printable);
        let file = printable(&self.file);
        // Only the line meant and its neighbours are shown, each cut to a bearable length.
        let excerpt = text.map(|text| Excerpt::of(text, &self.span));
        let mut group = level.primary_title(message.as_str()).id(self.code).elements(excerpt.as_ref().map(|e| {
            Snippet::source(e.text.as_str())
                .line_start(e.first_line)
                .path(file.as_str())
                .annotation(AnnotationKind::Primary.span(e.span.clone()))
        }));
        let origin = format!("{file}:{}:{}", self.line, self.column);
        if excerpt.is_none() && !self.file.is_empty() {
            group = group.element(annotate_snippets::Origin::path(origin.as_str()));
        }
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group]).to_string()
    }
}

/// The lines around a span, made printable, with the span moved along.
struct Excerpt {
    text: String,
    first_line: usize,
    span: Range<usize>,
}

impl Excerpt {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let begin = text.get(..start).and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
        let line_end = text.get(start..).and_then(|t| t.find('\n')).map_or(text.len(), |i| start + i);
        let end = floor_boundary(text, span.end.clamp(start, line_end));
        let piece = |from: usize, to: usize| printable_text(text.get(from..to).unwrap_or_default());
        let before = piece(begin, start);
        let meant = piece(start, end);
        let after = piece(end, line_end);
        let first_line = 1 + text.get(..begin).map_or(0, |t| t.matches('\n').count());
        let span = before.len()..before.len() + meant.len();
        Self { text: format!("{before}{meant}{after}"), first_line, span }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Whether a character could move the cursor, change colours or reorder text on a terminal.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

/// Text on one line without anything that a terminal would act upon.
pub(crate) fn printable(text: &str) -> String {
    text.chars().flat_map(escape).collect()
}

fn printable_text(text: &str) -> String {
    text.chars().flat_map(|c| if c == '\t' { vec![' '] } else { escape(c) }).collect()
}

fn escape(c: char) -> Vec<char> {
    if is_unprintable(c) { c.escape_default().collect() } else { vec![c] }
}

/// The known name nearest to a wrong one, where one is near enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long texts are never misspelt names, and the distance costs their product.
    if wrong.len() > 64 {
        return None;
    }
    let limit = (wrong.chars().count() / 3).max(1);
    let distances = known.into_iter().filter(|k| k.len() <= 64).map(|k| (distance(wrong, k), k));
    distances.filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

/// "did you mean …" for a wrong name, or the list of what is known where that is short.
pub(crate) fn suggest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(name) = nearest(wrong, known.clone()) {
        return Some(format!("did you mean '{name}'?"));
    }
    let all: Vec<&str> = known.into_iter().take(17).collect();
    (!all.is_empty() && all.len() <= 16).then(|| format!("known here: {}", all.join(", ")))
}

/// Optimal string alignment distance over lower-cased characters: insertions, deletions, changes, swaps.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
    let (mut older, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (at(&last, j + 1) + 1).min(at(&row, j) + 1).min(at(&last, j) + usize::from(x != y));
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&older, j - 1) + 1);
            }
            row.push(best);
        }
        older = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_and_far_ones_are_not() {
        let known = ["severity", "evidence", "title"];
        assert_eq!(nearest("sevrity", known), Some("severity"));
        assert_eq!(nearest("evidnece", known), Some("evidence"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(distance("ab", "ba"), 1);
    }

    #[test]
    fn what_a_terminal_would_act_upon_is_escaped() {
        let text = "a: \u{202e}x\u{1b}[31m # y\n";
        let found = Diagnostic {
            code: "c",
            severity: Gravity::Error,
            file: "f\u{1b}.yaml".into(),
            line: 1,
            column: 4,
            span: 3..7,
            message: "m\u{1b}[2J\nn".into(),
            help: Some("h\u{7}".into()),
        };
        let out = found.render(Some(text), false);
        assert!(out.chars().all(|c| c == '\n' || !is_unprintable(c)), "{out:?}");
        assert!(out.contains("\\u{202e}x"), "{out}");
    }
}
