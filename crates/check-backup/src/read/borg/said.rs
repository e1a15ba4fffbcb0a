//! What Borg says while it reads, and what follows from it.

use serde::Deserialize;

use crate::facts::{ReadError, ReadOutcome, ReadPart, Structure};
use crate::read::{MOST_SAID, Seen, error, part};

/// What reading one part showed.
pub(in crate::read) struct Found {
    pub(in crate::read) outcome: ReadOutcome,
    pub(in crate::read) why: String,
    pub(in crate::read) errors: Vec<ReadError>,
}

impl Found {
    pub(in crate::read) const fn not_proven(why: String) -> Self {
        Self { outcome: ReadOutcome::NotProven, why, errors: Vec::new() }
    }
}

/// A line of `--log-json`.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    message: String,
    #[serde(default)]
    levelname: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    msgid: String,
    #[serde(rename = "type", default)]
    kind: String,
}

/// What `borg extract --dry-run` said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::read) struct Said {
    /// Files that it began to read.
    pub(in crate::read) listed: i64,
    /// The last of them.
    pub(in crate::read) last: String,
    /// Contents that differ from their checksum.
    pub(in crate::read) damaged: Vec<String>,
    /// Something is not where the index says that it is.
    pub(in crate::read) lost: bool,
    /// What else went wrong.
    pub(in crate::read) unclear: Vec<String>,
    /// Whether it ended with 0.
    pub(in crate::read) zero: bool,
}

impl Said {
    pub(in crate::read) fn ended_well(&self) -> bool {
        self.zero && self.damaged.is_empty() && !self.lost && self.unclear.is_empty()
    }
}

/// Reads what it said on standard error.
pub(in crate::read) fn parse(stderr: &str, exit: Option<i32>) -> Said {
    let mut said = Said { zero: exit == Some(0), ..Said::default() };
    for line in stderr.lines().filter(|l| !l.trim().is_empty()) {
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            said.unclear.push(line.chars().take(MOST_SAID).collect());
            continue;
        };
        let first = line.message.lines().next().unwrap_or_default().to_owned();
        let stands = |words: &[&str]| words.iter().any(|w| line.message.contains(w));
        let trace = line.message.starts_with("Traceback");
        let grave = matches!(line.levelname.as_str(), "ERROR" | "CRITICAL" | "WARNING");
        if line.name == "borg.output.list" {
            said.listed = said.listed.saturating_add(1);
            said.last = line.message;
        } else if line.msgid == "IntegrityError" || grave && !trace && stands(&["Data integrity error"]) {
            said.damaged.push(first);
        } else if stands(&["ObjectNotFound"]) || trace && stands(&["FileNotFoundError"]) && stands(&["/data/"]) {
            said.lost = true;
        } else if grave && !trace {
            said.unclear.push(first);
        }
    }
    said
}

/// What follows where it did not end well.
pub(in crate::read) fn conclude(said: &Said, archive: &str, quiet: bool) -> Found {
    let at = format!("{} in {archive}", if said.last.is_empty() { "something" } else { &said.last });
    if let Some(words) = said.damaged.first() {
        let errors = said.damaged.iter().map(|words| error(&said.last, ReadOutcome::Damaged, words)).collect();
        return Found { outcome: ReadOutcome::Damaged, why: format!("{at}: {words}"), errors };
    }
    if said.lost {
        let words = "what the index names is not there";
        let outcome = if quiet { ReadOutcome::Damaged } else { ReadOutcome::NotProven };
        let why = match quiet {
            true => format!("{at}: {words}"),
            false => format!("{at}: {words}; something may have been at work in the repository meanwhile"),
        };
        return Found { outcome, why, errors: vec![error(&said.last, outcome, words)] };
    }
    let why = said.unclear.first().cloned().unwrap_or_else(|| "borg did not end well and did not say why".to_owned());
    Found::not_proven(format!("{at}: {why}"))
}

/// What `borg check --verify-data` said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::read) struct Checked {
    /// Segments are in order.
    pub(in crate::read) segments: bool,
    /// Archives are in order.
    pub(in crate::read) archives: bool,
    /// Archives that it went through.
    pub(in crate::read) analyzed: i64,
    /// Chunks that were authenticated.
    pub(in crate::read) chunks: Option<i64>,
    /// What is wrong.
    pub(in crate::read) errors: Vec<String>,
    /// What kept it from looking.
    pub(in crate::read) unclear: Vec<String>,
    /// Whether it ended with 0.
    pub(in crate::read) zero: bool,
}

/// Reads what it said on standard error.
pub(in crate::read) fn parse_check(stderr: &str, exit: Option<i32>) -> Checked {
    let mut said = Checked { zero: exit == Some(0), ..Checked::default() };
    for line in stderr.lines().filter(|l| !l.trim().is_empty()) {
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            said.unclear.push(line.chars().take(MOST_SAID).collect());
            continue;
        };
        let message = line.message.lines().next().unwrap_or_default();
        let of_check = matches!(line.name.as_str(), "borg.repository" | "borg.archive");
        if line.kind.starts_with("question_") {
        } else if matches!(line.levelname.as_str(), "ERROR" | "CRITICAL" | "WARNING") {
            if of_check && line.msgid.is_empty() { &mut said.errors } else { &mut said.unclear }
                .push(message.to_owned());
        } else if message.starts_with("Analyzing archive ") {
            said.analyzed = said.analyzed.saturating_add(1);
        } else if message.starts_with("Finished full repository check, no problems found") {
            said.segments = true;
        } else if message.starts_with("Archive consistency check complete, no problems found") {
            said.archives = true;
        } else if let Some(rest) = message.strip_prefix("Finished cryptographic data integrity verification, verified ")
        {
            let none = rest.contains(" with 0 integrity errors");
            said.chunks = rest.split(' ').next().and_then(|n| n.parse().ok()).filter(|_| none);
        }
    }
    said
}

/// What follows from it.
pub(in crate::read) fn conclude_check(said: &Checked) -> Seen {
    let (outcome, why) = match (said.errors.first(), said.unclear.first(), said.chunks) {
        (Some(words), ..) => (ReadOutcome::Damaged, words.clone()),
        (_, Some(words), _) => (ReadOutcome::NotProven, words.clone()),
        (.., Some(chunks)) if said.zero && said.segments && said.archives && chunks > 0 && said.analyzed > 0 => {
            (ReadOutcome::Intact, format!("{chunks} chunks were authenticated, of {} archives", said.analyzed))
        }
        _ if said.zero && said.analyzed == 0 => {
            (ReadOutcome::NotProven, "there is no archive: nothing was read".to_owned())
        }
        _ => (ReadOutcome::NotProven, "borg did not say that it went to the end".to_owned()),
    };
    Seen {
        covers: "all chunks of the repository, in one part".to_owned(),
        parts: vec![ReadPart { things: said.chunks, ..part("1/1", outcome, why.as_str()) }],
        structure: Structure { outcome, why: Some(why) },
        errors: said.errors.iter().map(|words| error("repository", ReadOutcome::Damaged, words)).collect(),
        all: outcome != ReadOutcome::NotProven,
        bytes_read: None,
        bytes_estimated: false,
    }
}
