//! Questions put to a server after a log-in, and its answers, in a form that the facts are made from, now and again by
//! who verifies.
//!
//! In the exchange each question is what was sent, as text, and each answer is JSON: the log-in itself, which a password
//! could be guessed from, is not recorded.

use std::collections::BTreeMap;

use model::{Direction, Exchange};
use probe::Cx;
use serde::{Deserialize, Serialize};

use super::link::Link;
use crate::config::ciphers::classes;
use crate::facts::{CipherClass, DatabaseSession, DatabaseSetting, Found, Outcome};

/// Most rows of one answer.
pub(crate) const MOST_ROWS: usize = 5_000;
/// The question that stands for the log-in.
const SESSION: &str = "session";

/// What a server answered to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Rows; a cell is null or a text.
    #[serde(default)]
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// There are more rows than were read.
    #[serde(default)]
    pub(crate) cut: bool,
    /// What it said in place of rows.
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// All that was asked in a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// The session; null in a record without one.
    pub(crate) session: Option<DatabaseSession>,
    answers: BTreeMap<String, Answer>,
}

impl Answers {
    /// Begins with the log-in.
    pub(crate) fn begin(link: &mut Link, session: DatabaseSession) -> Self {
        link.mute();
        link.keep(Direction::Sent, SESSION.as_bytes());
        link.keep(Direction::Received, &serde_json::to_vec(&session).unwrap_or_default());
        Self { session: Some(session), answers: BTreeMap::new() }
    }

    /// Adds an answer, without any secret that it may repeat. The name is the first line of the question.
    pub(crate) fn add(&mut self, cx: &Cx, link: &mut Link, question: &str, mut answer: Answer) {
        if answer.rows.len() > MOST_ROWS {
            answer.rows.truncate(MOST_ROWS);
            answer.cut = true;
        }
        let clean = |text: &mut String| *text = cx.without_secrets(text);
        answer.rows.iter_mut().flatten().flatten().for_each(clean);
        answer.error.iter_mut().for_each(clean);
        link.keep(Direction::Sent, question.as_bytes());
        link.keep(Direction::Received, &serde_json::to_vec(&answer).unwrap_or_default());
        self.answers.insert(question.to_owned(), answer);
    }

    /// Reads them back from a record; `None` where that is not whole.
    pub(crate) fn of(exchange: &Exchange) -> Option<Self> {
        if exchange.cut {
            return None;
        }
        let mut answers = Self::default();
        let begin = exchange.frames.iter().position(|frame| frame.bytes == SESSION.as_bytes())?;
        let mut frames = exchange.frames.get(begin..)?.iter();
        while let (Some(question), Some(answer)) = (frames.next(), frames.next()) {
            if (question.direction, answer.direction) != (Direction::Sent, Direction::Received) {
                return None;
            }
            let question = String::from_utf8(question.bytes.clone()).ok()?;
            if answers.session.is_none() {
                answers.session = Some(serde_json::from_slice(&answer.bytes).ok()?);
            } else {
                answers.answers.insert(question, serde_json::from_slice(&answer.bytes).ok()?);
            }
        }
        Some(answers)
    }

    /// The answer to a question.
    pub(crate) fn to(&self, question: &str) -> Answer {
        let none =
            || Answer { error: Some("it was not asked: the connection ended before".into()), ..Answer::default() };
        self.answers.get(question).cloned().unwrap_or_else(none)
    }
}

impl Answer {
    /// One thing for each row. `hint` says what a server that shows too little wants.
    pub(crate) fn each<T>(&self, hint: &str, read: impl Fn(&Row<'_>) -> Option<T>) -> Found<T> {
        if let Some(error) = &self.error {
            let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
            return Found::some(Vec::new(), format!("{error}{hint}"));
        }
        let items: Vec<T> = self.rows.iter().filter_map(|row| read(&Row(row))).collect();
        if self.cut {
            return Found::some(items, format!("there are more than {MOST_ROWS}"));
        }
        if items.len() < self.rows.len() {
            return Found::some(items, "some rows are not of the form that is known");
        }
        Found::all(items)
    }

    /// The first cell of the first row.
    pub(crate) fn one(&self) -> Option<String> {
        self.rows.first().and_then(|row| Row(row).text(0))
    }
}

/// A row of an answer.
pub(crate) struct Row<'a>(pub(crate) &'a [Option<String>]);

impl Row<'_> {
    /// A cell; null where it is null, or not there.
    pub(crate) fn text(&self, column: usize) -> Option<String> {
        self.0.get(column).cloned().flatten()
    }

    /// A cell that says yes.
    pub(crate) fn yes(&self, column: usize) -> bool {
        matches!(self.text(column).as_deref(), Some("t" | "true" | "Y" | "YES" | "1" | "on" | "ON"))
    }

    /// A cell that is a number.
    pub(crate) fn number(&self, column: usize) -> Option<i64> {
        self.text(column)?.parse().ok()
    }
}

/// A value for each of the names. Rows are name, value, source, whether another value waits for a restart. A name without
/// a row is absent, or not proven where it is in `hidden`, which says why.
pub(crate) fn settings(
    answer: &Answer,
    names: &[&str],
    hint: &str,
    hidden: impl Fn(&str) -> Option<String>,
) -> Found<DatabaseSetting> {
    let found = answer.each(hint, |row| row.text(0).map(|name| (name, row.text(1), row.text(2), row.text(3))));
    let known = found.why.is_none();
    let items = names.iter().map(|name| {
        let row = found.items.iter().find(|row| row.0 == *name);
        let why = match row {
            Some(_) => None,
            None => hidden(name).or_else(|| (!known).then(|| found.why.clone()).flatten()),
        };
        DatabaseSetting {
            name: (*name).to_owned(),
            outcome: match (row, &why) {
                (Some(_), _) => Outcome::Present,
                (None, Some(_)) => Outcome::NotProven,
                (None, None) => Outcome::Absent,
            },
            why,
            value: row.and_then(|row| row.1.clone()),
            source: row.and_then(|row| row.2.clone()),
            pending_restart: row.and_then(|row| row.3.as_deref()).map(|word| matches!(word, "t" | "true")),
        }
    });
    Found { items: items.collect(), ..found_like(&found) }
}

/// What a setting that is an OpenSSL cipher string lets in; an empty one is the default of OpenSSL. Absent where the server
/// has no such setting.
pub(crate) fn cipher_classes(settings: &Found<DatabaseSetting>, name: &str) -> Found<CipherClass> {
    let setting = settings.items.iter().find(|setting| setting.name == name);
    let value = setting.and_then(|setting| setting.value.as_deref());
    match (setting.map(|setting| setting.outcome), value) {
        (Some(Outcome::Present), value) => {
            let string = value.filter(|value| !value.is_empty()).unwrap_or("DEFAULT");
            let (asked, items) = classes(string);
            Found { asked, outcome: Outcome::Present, why: None, items }
        }
        (Some(Outcome::Absent), _) => Found { outcome: Outcome::Absent, ..Found::all(vec![]) },
        _ => {
            let why = setting.and_then(|setting| setting.why.clone()).or_else(|| settings.why.clone());
            Found::some(vec![], why.unwrap_or_else(|| format!("the server does not tell its setting '{name}'")))
        }
    }
}

fn found_like<T, U>(found: &Found<U>) -> Found<T> {
    Found { asked: found.asked.clone(), outcome: found.outcome, why: found.why.clone(), items: Vec::new() }
}

#[cfg(test)]
mod tests {
    use model::{Ended, Frame};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Records come from packs, which anybody may have written.
        #[test]
        fn no_record_makes_it_panic(pieces: Vec<(bool, Vec<u8>)>) {
            let session = br#"{"transport":"tcp","user":null,"method":null,"tls":null}"#.to_vec();
            let begin = [(true, SESSION.as_bytes().to_vec()), (false, session)];
            let frames = begin.into_iter().chain(pieces).map(|(sent, bytes)| Frame {
                direction: if sent { Direction::Sent } else { Direction::Received },
                bytes,
            });
            let mut exchange = Exchange {
                question: String::new(),
                peer: String::new(),
                at: 0,
                ended: Ended::ByUs,
                cut: false,
                frames: frames.collect(),
            };
            let _ = Answers::of(&exchange);
            exchange.cut = true;
            prop_assert_eq!(Answers::of(&exchange), None);
        }
    }
}
