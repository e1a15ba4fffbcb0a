//! pgBackRest: `verify` reads all files of all backups and all archived WAL (<https://pgbackrest.org/command.html#command-verify>).
//!
//! Its exit code is 0 and its last words are "completed successfully" whatever it finds; only its text tells, and only
//! with `--verbose` does it say what was read where all is well. It knows no parts.

use model::Failure;
use probe::{BoxFuture, Cx};

use super::{ReadBudget, ReadError, ReadOutcome, ReadPart, Run, Seen, Structure, error, part};
use crate::source::Adapter as _;
use crate::source::pgbackrest::Adapter;
use crate::target::PgBackRest;

/// The one part that there is.
const ALL: &str = "1/1";

/// Verifies a stanza.
pub(super) struct Reader {
    pub(super) source: PgBackRest,
}

impl super::Reader for Reader {
    fn commands(&self, _: &ReadBudget) -> Vec<String> {
        vec!["pgbackrest --output=text --verbose verify".to_owned()]
    }

    fn read<'a>(&'a self, run: &'a mut Run<'_>, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let stored = |s: &crate::facts::Snapshot| s.stored.unwrap_or(0);
            let size = run.repository.snapshots.iter().map(stored).fold(0_i64, i64::saturating_add);
            if let Some(why) = run.too_large("pgBackRest verifies everything at once, and that", size) {
                return Ok(nothing_read(&why));
            }
            let adapter = Adapter::new(self.source.clone());
            let words = adapter.words(&["--output=text", "--verbose", "--log-level-console=info", "verify"]);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let tool = adapter.tool(cx)?;
            let said = match run.reads(&tool, cx, "pgbackrest verify", &words).await {
                Ok(output) if output.exit == Some(0) => parse(&String::from_utf8_lossy(&output.stdout)),
                Ok(output) => return Ok(nothing_read(&tool.complaint(&["verify"], &output).message)),
                Err(why) => return Ok(nothing_read(&why)),
            };
            // A backup, or the expiry that follows it, writes and deletes.
            let mut disturbed = !run.repository.locks.locks.is_empty();
            if !disturbed && !said.errors.is_empty() {
                let names =
                    |r: &crate::source::Repository| r.snapshots.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
                let again = adapter.list(run.spec, cx).await;
                disturbed = again.map_or(true, |r| !r.locks.locks.is_empty() || names(&r) != names(run.repository));
            }
            let mut seen = conclude(&said, disturbed);
            seen.bytes_read = (said.files > 0).then_some(size);
            Ok(seen)
        })
    }
}

/// What `verify` said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// `ok`, `error`.
    pub(super) status: Option<String>,
    /// Files of backups checked.
    pub(super) files: i64,
    /// Pieces of WAL checked.
    pub(super) wal: i64,
    /// Backups of which files were checked and all are valid.
    pub(super) valid: i64,
    /// What was wrong: name and words, and whether somebody who writes meanwhile may be the cause.
    pub(super) errors: Vec<(String, String, bool)>,
    /// Lines that say neither.
    pub(super) unclear: Vec<String>,
}

/// Reads what it said on standard output.
pub(super) fn parse(stdout: &str) -> Said {
    let mut said = Said::default();
    let mut about = String::new();
    // The log, on the same output, names the files; what follows a line of it indented belongs to it. The report stands by
    // itself, and its last lines win where the log repeats it.
    let mut in_log = false;
    for line in stdout.lines() {
        let text = line.trim();
        if is_log(line) {
            in_log = true;
            let Some((_, words)) = line.split_once("INFO: ") else { continue };
            let (what, name) = (words.split('\'').next().unwrap_or_default().trim(), words.split('\'').nth(1));
            match what {
                "invalid checksum" | "invalid size" => {
                    said.errors.push((name.unwrap_or("stanza").to_owned(), words.to_owned(), false));
                }
                "file missing" => said.errors.push((name.unwrap_or("stanza").to_owned(), words.to_owned(), true)),
                _ if words.starts_with("invalid result ") => {
                    let name = words.split_ascii_whitespace().nth(2).unwrap_or("stanza").trim_end_matches(':');
                    // Its format is broken; anything else may be the way to it.
                    if words.contains("[29]") {
                        said.errors.push((name.to_owned(), words.to_owned(), false));
                    } else {
                        said.unclear.push(words.to_owned());
                    }
                }
                _ => {}
            }
            continue;
        }
        in_log &= line.starts_with("          ");
        if in_log || text.is_empty() {
            continue;
        }
        if let Some(status) = text.strip_prefix("status: ") {
            said.status = Some(status.to_owned());
        } else if let Some(rest) = text.strip_prefix("archiveId: ") {
            about = rest.split(',').next().unwrap_or_default().to_owned();
            match (number(rest, "total WAL checked: "), number(rest, "total valid WAL: ")) {
                (Some(checked), Some(valid)) if checked == valid => said.wal = said.wal.saturating_add(checked),
                _ => said.unclear.push(text.to_owned()),
            }
        } else if let Some(rest) = text.strip_prefix("backup: ") {
            about = rest.split(',').next().unwrap_or_default().to_owned();
            match (number(rest, "total files checked: "), number(rest, "total valid files: ")) {
                (Some(checked), Some(valid)) => {
                    said.files = said.files.saturating_add(checked);
                    let is_valid = rest.contains("status: valid") && checked == valid && checked > 0;
                    said.valid = said.valid.saturating_add(i64::from(is_valid));
                    if !is_valid && !rest.contains("status: invalid") {
                        said.unclear.push(text.to_owned());
                    }
                }
                _ => said.unclear.push(text.to_owned()),
            }
        } else if text.starts_with("missing: ") || text.starts_with("checksum invalid: ") {
            for (kind, moved) in [("checksum invalid", false), ("size invalid", false), ("missing", true)] {
                if let Some(count) = number(text, &format!("{kind}: ")).filter(|n| *n > 0) {
                    said.errors.push((about.clone(), format!("{kind}: {count}"), moved));
                }
            }
        } else if !text.starts_with("stanza: ") {
            said.unclear.push(text.to_owned());
        }
    }
    said
}

/// `2026-11-24 14:30:14.658 P00   INFO: …`.
fn is_log(line: &str) -> bool {
    let digits = line.get(..4).is_some_and(|year| year.bytes().all(|b| b.is_ascii_digit()));
    digits && line.get(4..5) == Some("-")
}

fn number(text: &str, name: &str) -> Option<i64> {
    let (_, rest) = text.split_once(name)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// What follows from it.
pub(super) fn conclude(said: &Said, disturbed: bool) -> Seen {
    let errors: Vec<ReadError> = said
        .errors
        .iter()
        .map(|(name, words, moved)| {
            let outcome = if *moved && disturbed { ReadOutcome::NotProven } else { ReadOutcome::Damaged };
            error(name, outcome, words)
        })
        .collect();
    let damaged = errors.iter().find(|e| e.outcome == ReadOutcome::Damaged);
    let ok = said.status.as_deref() == Some("ok");
    let (outcome, why) = match (damaged, errors.first(), said.unclear.first()) {
        (Some(e), ..) if e.message.contains(&e.name) => (ReadOutcome::Damaged, e.message.clone()),
        (Some(e), ..) => (ReadOutcome::Damaged, format!("{}: {}", e.name, e.message)),
        (_, Some(e), _) => (
            ReadOutcome::NotProven,
            format!("{}: {}; a backup or an expiry was at work, which may be the cause", e.name, e.message),
        ),
        (_, _, Some(line)) => (ReadOutcome::NotProven, format!("pgBackRest said: {line}")),
        _ if !ok => (ReadOutcome::NotProven, "pgBackRest did not say 'status: ok'".to_owned()),
        _ if said.valid == 0 || said.files == 0 => (ReadOutcome::NotProven, "no backup was read".to_owned()),
        _ => {
            let words = format!("{} backups with {} files, and {} pieces of WAL", said.valid, said.files, said.wal);
            (ReadOutcome::Intact, words)
        }
    };
    let things = (said.files > 0).then_some(said.files);
    Seen {
        covers: COVERS.to_owned(),
        parts: vec![ReadPart { things, ..part(ALL, outcome, why) }],
        structure: Structure { outcome: ReadOutcome::NotRead, why: Some(NO_STRUCTURE.to_owned()) },
        all: said.unclear.is_empty() && said.status.is_some(),
        errors,
        bytes_read: None,
        bytes_estimated: true,
    }
}

const COVERS: &str = "the files of all backups and the WAL in the archive; not whether WAL is missing between them, which \
                      'continuity' of the kind 'backup' is about";
const NO_STRUCTURE: &str = "pgBackRest has no check of its records alone";

fn nothing_read(why: &str) -> Seen {
    Seen {
        covers: COVERS.to_owned(),
        parts: vec![part(ALL, ReadOutcome::NotProven, why)],
        structure: Structure { outcome: ReadOutcome::NotRead, why: Some(NO_STRUCTURE.to_owned()) },
        errors: Vec::new(),
        all: false,
        bytes_read: None,
        bytes_estimated: false,
    }
}
