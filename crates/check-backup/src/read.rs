//! The probe `backup-read`: reads a part of a repository and says whether it was intact.
//!
//! Each run reads one part, within a budget of bytes and time that the inventory sets; parts take turns, so that all of the
//! repository is read in as many runs as it has parts. What was read when is earlier evidence of this kind. A tool that
//! is stopped, or says too little, proves nothing: that is never damage, and never intact.

mod borg;
mod files;
mod parts;
mod pgbackrest;
mod restic;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use model::{Asked, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Output, Plan, Probe};
use tokio::time::Instant;

use crate::backup::{no_source, spec};
use crate::facts::{
    Identity, Locks, Outcome, ReadBudget, ReadCommand, ReadError, ReadErrors, ReadFacts, ReadOutcome, ReadPart,
    SourceKind, Structure,
};
use crate::source::tool::Tool;
use crate::source::{Repository, adapter};
use crate::target::BackupSpec;
use parts::Ledger;

/// Errors that are listed.
const MOST_ERRORS: usize = 100;
/// Characters of an error, at most.
const MOST_SAID: usize = 300;
/// Most bytes of what a tool prints while it reads.
const MOST_OUTPUT: usize = 96 << 20;
/// Time for what comes before and after the reading itself.
const AROUND: Duration = Duration::from_secs(60);
/// Time kept back to write down what was seen.
const SPARE: Duration = Duration::from_secs(1);

/// Reads a part of a repository.
pub(crate) struct BackupRead;

impl Probe for BackupRead {
    fn kind(&self) -> Kind {
        Kind::new("backup-read", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(ReadFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let Ok(spec) = spec(target) else { return Plan::default() };
        let (Some(budget), Some(reader), Some(adapter)) = (&spec.read, reader(&spec), adapter(&spec)) else {
            return Plan::default();
        };
        let mut plan = adapter.plan(&spec);
        plan.commands.extend(reader.commands(budget));
        plan
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let Some(budget) = &spec.read else { return probe::facts(&not_asked(&spec)) };
            let began = Instant::now();
            let adapter = adapter(&spec).ok_or_else(|| no_source(target))?;
            let reader = reader(&spec).ok_or_else(|| {
                let message = format!("{}: this sort of source can't be read in parts yet", target.name);
                Failure::new(FailureClass::Missing, message)
            })?;
            let repository = adapter.list(&spec, cx).await?;
            let mut run = Run {
                spec: &spec,
                budget,
                repository: &repository,
                ledger: Ledger::of(cx.prior(), &repository.identity),
                // Only to choose a part by; it is in no fact.
                day: Timestamp::now().as_second().div_euclid(86_400),
                until: began + Duration::from_secs(u64::try_from(budget.max_time).unwrap_or(0)),
                commands: Vec::new(),
                notes: repository.notes.clone(),
            };
            let seen = reader.read(&mut run, cx).await?;
            let Run { commands, notes, .. } = run;
            probe::facts(&seen.facts(adapter.kind(), &spec, &repository, commands, notes))
        })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }

    fn allowance(&self, target: &Target) -> Option<Duration> {
        let time = spec(target).ok()?.read?.max_time;
        Some(Duration::from_secs(u64::try_from(time).unwrap_or(0)) + AROUND)
    }
}

/// Reads parts of one sort of repository.
trait Reader: Send + Sync {
    /// The commands that read.
    fn commands(&self, budget: &ReadBudget) -> Vec<String>;

    /// Reads the part whose turn it is.
    ///
    /// # Errors
    /// Where not even the parts are known.
    fn read<'a>(&'a self, run: &'a mut Run<'_>, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>>;
}

/// The reader for what a target declares.
fn reader(spec: &BackupSpec) -> Option<Box<dyn Reader>> {
    let declared = &spec.declared;
    if let Some(restic) = &declared.restic {
        return Some(Box::new(restic::Reader { source: restic.clone() }));
    }
    if let Some(borg) = &declared.borg {
        return Some(Box::new(borg::Reader { source: borg.clone() }));
    }
    if let Some(pgbackrest) = &declared.pgbackrest {
        return Some(Box::new(pgbackrest::Reader { source: pgbackrest.clone() }));
    }
    declared.files.as_ref().map(|files| Box::new(files::Reader { source: files.clone() }) as Box<dyn Reader>)
}

/// One run of a reader.
struct Run<'a> {
    spec: &'a BackupSpec,
    budget: &'a ReadBudget,
    /// As it was listed before.
    repository: &'a Repository,
    ledger: Ledger,
    /// Days since 1970.
    day: i64,
    /// When the inventory's time is up.
    until: Instant,
    commands: Vec<ReadCommand>,
    notes: Vec<String>,
}

impl Run<'_> {
    /// Time left, the shorter of the inventory's and the run's.
    fn left(&self, cx: &Cx) -> Duration {
        self.until.saturating_duration_since(Instant::now()).min(cx.remaining()).saturating_sub(SPARE)
    }

    /// Runs a tool that reads, and keeps its time.
    ///
    /// # Errors
    /// Why nothing was proven: it could not be run, its time was up, it was killed.
    async fn reads(&mut self, tool: &Tool, cx: &Cx, name: &str, arguments: &[&str]) -> Result<Output, String> {
        let (within, began) = (self.left(cx), Instant::now());
        let output = tool.run_within(cx, arguments, MOST_OUTPUT, None, within).await;
        let millis = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.commands.push(ReadCommand { name: name.to_owned(), millis });
        match output {
            Ok(Output { exit: None, .. }) => {
                Err(format!("'{name}' was killed before it was done; is there memory enough for it?"))
            }
            Ok(output) => Ok(output),
            Err(failure) if failure.class == FailureClass::Timeout => Err(format!(
                "'{name}' was not done after {} s, and was stopped; raise read.max_time or read.parts",
                within.as_secs()
            )),
            Err(failure) => Err(failure.message),
        }
    }

    /// Why a part is not read: it is more than one run may read.
    fn too_large(&self, what: &str, bytes: i64) -> Option<String> {
        let most = self.budget.max_bytes;
        (bytes > most).then(|| format!("{what} is {bytes} bytes, more than the {most} of read.max_bytes; raise it"))
    }
}

/// What a reader saw.
struct Seen {
    covers: String,
    parts: Vec<ReadPart>,
    structure: Structure,
    errors: Vec<ReadError>,
    /// Whether those are all errors.
    all: bool,
    bytes_read: Option<i64>,
    bytes_estimated: bool,
}

impl Seen {
    fn facts(
        mut self,
        source: SourceKind,
        spec: &BackupSpec,
        repository: &Repository,
        commands: Vec<ReadCommand>,
        notes: Vec<String>,
    ) -> ReadFacts {
        let all = self.all && self.errors.len() <= MOST_ERRORS;
        self.errors.truncate(MOST_ERRORS);
        if self.parts.is_empty() {
            self.parts.push(part("all", ReadOutcome::NotProven, "nothing is in the repository: nothing was read"));
        }
        ReadFacts {
            source,
            tool: repository.tool.clone(),
            location: spec.declared.location(),
            set: spec.set.clone(),
            identity: repository.identity.clone(),
            budget: spec.read.clone(),
            covers: self.covers,
            parts: self.parts,
            structure: self.structure,
            errors: ReadErrors { asked: if all { Asked::All } else { nothing() }, errors: self.errors },
            bytes_read: self.bytes_read,
            bytes_estimated: self.bytes_estimated,
            locks: repository.locks.clone(),
            commands,
            notes,
        }
    }
}

const fn nothing() -> Asked {
    Asked::Only(Vec::new())
}

/// A part that says why.
fn part(name: &str, outcome: ReadOutcome, why: impl Into<String>) -> ReadPart {
    ReadPart { name: name.to_owned(), outcome, why: Some(why.into()), things: None }
}

/// An error, cut to a bearable length.
fn error(name: &str, outcome: ReadOutcome, message: &str) -> ReadError {
    let cut = |text: &str| text.trim().chars().take(MOST_SAID).collect::<String>();
    ReadError { name: cut(name), outcome, message: cut(message) }
}

/// The facts where the inventory does not ask for reading: nothing was looked at, not even which repository it is.
fn not_asked(spec: &BackupSpec) -> ReadFacts {
    let why = "the inventory does not ask for it; write 'read: {}' into the target's 'backup', with max_bytes and \
               max_time as this machine can bear";
    let declared = &spec.declared;
    let source = match (&declared.restic, &declared.borg, &declared.pgbackrest) {
        (Some(_), ..) => SourceKind::Restic,
        (_, Some(_), _) => SourceKind::Borg,
        (.., Some(_)) => SourceKind::Pgbackrest,
        _ if declared.s3.is_some() => SourceKind::S3,
        _ => SourceKind::Files,
    };
    ReadFacts {
        source,
        tool: None,
        location: declared.location(),
        set: spec.set.clone(),
        identity: Identity {
            outcome: Outcome::NotProven,
            why: Some(why.to_owned()),
            what: "repository".to_owned(),
            value: None,
        },
        budget: None,
        covers: "nothing".to_owned(),
        parts: vec![part("all", ReadOutcome::NotProven, why)],
        structure: Structure { outcome: ReadOutcome::NotProven, why: Some(why.to_owned()) },
        errors: ReadErrors { asked: nothing(), errors: Vec::new() },
        bytes_read: None,
        bytes_estimated: false,
        locks: Locks::unknown(),
        commands: Vec::new(),
        notes: Vec::new(),
    }
}
