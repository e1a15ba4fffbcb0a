//! The record of one probe on one target.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Ask, Digest, Level, Target};

/// What a probe saw, as the check crate's own types wrote it. Always an object.
pub type Facts = serde_json::Map<String, serde_json::Value>;

/// Why a probe could not look. Closed, so that "could not look" never turns into "fine".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The name has no address, or the resolver failed.
    Unresolved,
    /// The target actively refused (TCP reset on connect, for instance).
    Refused,
    /// There is no route to the target or the network is down.
    Unreachable,
    /// Nothing came within the deadline.
    Timeout,
    /// Something answered, but not in the protocol expected.
    Protocol,
    /// We lack the right to look.
    Permission,
    /// The thing to look at, or the tool to look with, is not there.
    Missing,
    /// What was found could not be understood.
    Unreadable,
    /// A drill that this run was not allowed to run.
    NotRun,
    /// The inventory does not ask for what this probe does (a drill that it does not name).
    NotAsked,
    /// The run was stopped (Ctrl-C, deadline of the whole audit) before or while the probe ran.
    Interrupted,
    /// The probe itself broke; a defect of Probity.
    Panic,
}

/// A probe that could not look, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The closed reason.
    pub class: FailureClass,
    /// What happened, to which target, and what to do next. Plain text, may hold bytes from outside.
    pub message: String,
}

impl Failure {
    /// A failure of that class.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

/// A local command that a probe ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRecord {
    /// The words of the command, secrets redacted.
    pub argv: Vec<String>,
    /// Where the program was found.
    pub path: String,
    /// What the program says its version is, where asked.
    pub version: Option<String>,
    /// Digest of the program file; null where it can't be read.
    pub program: Option<Digest>,
    /// Exit code; null where a signal ended it. Never evidence by itself.
    pub exit: Option<i32>,
    /// Digest of its standard output as read (bounded).
    pub stdout: Digest,
    /// Digest of its standard error as read (bounded).
    pub stderr: Digest,
}

/// A local file that a probe read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Its path.
    pub path: String,
    /// Bytes read (bounded).
    pub bytes: u64,
    /// Digest of the bytes read; null where the content is secret (a private key), or was not read as one whole.
    pub digest: Option<Digest>,
}

/// How evidence came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// When the probe began, UTC.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// How long it took, monotonic milliseconds.
    pub millis: u64,
    /// Local addresses that its connections came from, ports left out.
    pub sources: Vec<String>,
    /// Connections opened.
    pub connections: u32,
    /// Bytes sent and received over them.
    pub bytes_sent: u64,
    /// Bytes received over them.
    pub bytes_received: u64,
    /// Local commands run.
    pub commands: Vec<CommandRecord>,
    /// Local files read.
    pub files: Vec<FileRecord>,
    /// True where no raw bytes from the target stand behind the facts: a local tool's or kernel's word.
    pub attested_by_host_only: bool,
}

/// Where the raw exchanges are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangesRef {
    /// Names the file `exchanges/<digest>.bin`.
    pub digest: Digest,
    /// How many exchanges it holds.
    pub count: u32,
    /// True where at least one was cut at its bound.
    pub cut: bool,
}

/// The record of one probe on one target: facts or a failure, never both, never neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// [`Evidence::FORMAT`].
    pub format: String,
    /// What was looked at.
    pub target: Target,
    /// The sort of evidence.
    pub kind: String,
    /// The kind's level.
    pub level: Level,
    /// What the probe was asked to look for.
    pub asked: Ask,
    /// When collection ended, UTC: the instant that a control's `max_age` counts from.
    #[schemars(with = "String")]
    pub collected: Timestamp,
    /// What was seen.
    pub facts: Option<Facts>,
    /// Why nothing was seen.
    pub failure: Option<Failure>,
    /// How it came about.
    pub provenance: Provenance,
    /// The raw bytes behind the facts.
    pub exchanges: Option<ExchangesRef>,
    /// Free notes of the runner, such as `interrupted`; part of the record, never judged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

impl Evidence {
    /// The version of this format. Old ones stay readable or are refused by name.
    pub const FORMAT: &str = "probity.evidence/v1";

    /// The same as [`crate::canonical_json`], without a second copy of the facts in memory: they may be tens of
    /// megabytes, and are in order already.
    ///
    /// # Errors
    /// As there.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = Vec::new();
        self.write_canonical(&mut bytes)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether these bytes are [`Evidence::canonical`], found out without a second copy of them.
    #[must_use]
    pub fn is_canonical(&self, bytes: &[u8]) -> bool {
        let mut rest = Rest(bytes);
        self.write_canonical(&mut rest).is_ok() && rest.0 == b"\n"
    }

    fn write_canonical(&self, to: impl std::io::Write) -> Result<(), serde_json::Error> {
        /// The fields in the order of their names.
        #[derive(Serialize)]
        struct InOrder<'a> {
            asked: &'a Ask,
            collected: &'a Timestamp,
            exchanges: serde_json::Value,
            facts: &'a Option<Facts>,
            failure: serde_json::Value,
            format: &'a str,
            kind: &'a str,
            level: &'a Level,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            notes: &'a BTreeMap<String, String>,
            provenance: serde_json::Value,
            target: serde_json::Value,
        }
        let Self { format, target, kind, level, asked, collected, facts, failure, provenance, exchanges, notes } = self;
        let in_order = InOrder {
            asked,
            collected,
            exchanges: serde_json::to_value(exchanges)?,
            facts,
            failure: serde_json::to_value(failure)?,
            format,
            kind,
            level,
            notes,
            provenance: serde_json::to_value(provenance)?,
            target: serde_json::to_value(target)?,
        };
        serde_json::to_writer(to, &in_order)
    }
}

/// What is still to be written of the bytes that are expected; anything else is an error.
struct Rest<'a>(&'a [u8]);

impl std::io::Write for Rest<'_> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(piece).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_short_way_to_canonical_bytes_gives_the_same() {
        let text = r#"{"format":"probity.evidence/v1","target":{"name":"t","of":"t","address":"a","labels":{"z":"1","a":"2"},
            "discovered":false,"subject":{"sort":"backup","spec":{"b":1,"a":[{"y":1,"x":null}]}}},"kind":"backup","level":"effective",
            "asked":{"versions":["b","a"]},"collected":"2026-11-24T00:00:00Z","facts":{"z":{"b":1,"a":2},"a":[]},"failure":null,
            "provenance":{"started":"2026-11-24T00:00:00Z","millis":1,"sources":[],"connections":0,"bytes_sent":0,
            "bytes_received":0,"commands":[],"files":[],"attested_by_host_only":true},"exchanges":null,"notes":{"b":"1"}}"#;
        let mut evidence: Evidence = serde_json::from_str(text).unwrap();
        let bytes = crate::canonical_json(&evidence).unwrap();
        assert_eq!(evidence.canonical().unwrap(), bytes);
        assert!(evidence.is_canonical(&bytes));
        assert!(
            !evidence.is_canonical(&bytes[..bytes.len() - 1]) && !evidence.is_canonical(&[&bytes[..], b"\n"].concat())
        );
        evidence.notes.clear();
        evidence.facts = None;
        evidence.failure = Some(Failure::new(FailureClass::Missing, "it"));
        assert_eq!(evidence.canonical().unwrap(), crate::canonical_json(&evidence).unwrap());
    }
}
