//! What the probes of backups write down. Only what was seen; never what it implies.
//!
//! A thing that was looked for has an `outcome`; what is `not_proven` says `why`. Absent values are null, never a
//! missing key. Times are RFC 3339 in UTC, spans seconds, sizes bytes.

mod read;
mod restore;

use model::Asked;
pub use read::{ReadBudget, ReadCommand, ReadError, ReadErrors, ReadFacts, ReadOutcome, ReadPart, Structure};
pub use restore::{Canary, Covered, FileList, Query, RestoreExpected, RestoreFacts, Restored, Sample, Samples};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a thing that was looked for is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is there.
    Present,
    /// It was looked for where it would be, that place could be read, and it is not there.
    Absent,
    /// Neither was shown; `why` says what stood in the way.
    NotProven,
}

/// What keeps the copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A restic repository.
    Restic,
    /// A Borg repository.
    Borg,
    /// A pgBackRest stanza.
    Pgbackrest,
    /// Files that match a pattern: dumps, archives, base backups.
    Files,
    /// Objects below a prefix of an S3-compatible store.
    S3,
}

/// A repository of copies as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BackupFacts {
    /// What keeps the copies.
    pub source: SourceKind,
    /// What the tool that was asked says of itself; null where files were read without one.
    pub tool: Option<String>,
    /// Where it is, without secrets.
    pub location: String,
    /// The data set that these are copies of; several targets with one name are copies in several places.
    pub set: String,
    /// Where and on what these copies are, as the inventory declares it.
    pub place: Place,
    /// Which repository it is.
    pub identity: Identity,
    /// What the inventory expects of it; a declaration, not an observation.
    pub expected: Expected,
    /// Whether the copies are encrypted.
    pub encryption: Encryption,
    /// Locks on the repository.
    pub locks: Locks,
    /// All copies.
    pub catalogue: Catalogue,
    /// Each thing that must be in a copy, and the newest copy that holds it, complete or not.
    pub required: Vec<Required>,
    /// Each thing that must be in a copy, and the newest copy that holds it and is known to be complete.
    pub recovery: Vec<Recovery>,
    /// Copies of one thing over time.
    pub histories: Vec<History>,
    /// How large copies of one thing were over time.
    pub sizes: Vec<Sizes>,
    /// Whether the log between copies (WAL, binlog) is unbroken; empty where the source has none.
    pub continuity: Vec<Continuity>,
    /// What else a reader should know: warnings that the tool printed, limits that were met.
    pub notes: Vec<String>,
}

/// Where copies are, as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The site or region.
    #[serde(default)]
    pub site: Option<String>,
    /// The medium: `disk`, `tape`, `object store`, …
    #[serde(default)]
    pub medium: Option<String>,
    /// That this copy can't be changed from the machines whose data it holds: `offline` or `immutable`.
    #[serde(default)]
    pub detached: Option<Detached>,
}

/// Why a copy can't be changed by whoever breaks into the machines whose data it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detached {
    /// It is not connected.
    Offline,
    /// Its store refuses to delete or change it.
    Immutable,
}

/// Which repository it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Identity {
    /// Whether it says who it is; `absent` where this sort of source carries no identity.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// What names it: `repository id`, `system identifier`, …
    pub what: String,
    /// What it says.
    pub value: Option<String>,
}

/// What the inventory expects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The identity that is pinned.
    pub id: Option<String>,
    /// Machines whose data must be in it.
    pub hosts: Vec<String>,
    /// Paths of data that must be in it.
    pub paths: Vec<String>,
    /// Paths of configuration that must be in it.
    pub configuration: Vec<String>,
    /// Databases that must be in it.
    pub databases: Vec<String>,
    /// Greatest age of the newest complete copy.
    pub max_age: Option<i64>,
    /// How often a copy is made.
    pub every: Option<i64>,
    /// Least number of copies of each thing.
    pub min_count: Option<i64>,
    /// Least time from the oldest to the newest copy.
    pub min_span: Option<i64>,
    /// Greatest age of the oldest copy: what is older has to be deleted.
    pub keep_at_most: Option<i64>,
    /// Least number of files in the newest copy.
    pub min_files: Option<i64>,
    /// Least number of bytes in the newest copy, before compression.
    pub min_bytes: Option<i64>,
    /// Least number of objects or keys of a database in the newest copy.
    pub min_objects: Option<i64>,
}

/// Whether copies are encrypted by what keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Encryption {
    /// Whether they are.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// The tool's word for how: `repokey-blake2`, `aes-256-cbc`, …
    pub mode: Option<String>,
}

/// Locks on a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Locks {
    /// Whether all of them were looked for.
    pub asked: Asked,
    /// Those that were found.
    pub locks: Vec<Lock>,
}

/// A lock: something is at work in the repository, or was and died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// When it was taken.
    pub created: Option<String>,
    /// Whether nobody else may work meanwhile.
    pub exclusive: Option<bool>,
    /// Who took it, as it says.
    pub holder: Option<String>,
}

/// All copies in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Catalogue {
    /// `"all"` where the list is complete.
    pub asked: Asked,
    /// The copies, oldest first.
    pub snapshots: Vec<Snapshot>,
}

/// What a copy holds in relation to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKind {
    /// It stands by itself.
    Full,
    /// It needs others (`parents`) to be restored.
    Incremental,
}

/// One copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Snapshot {
    /// Its name in the repository.
    pub name: String,
    /// Present, or not proven to be a copy at all.
    pub outcome: Outcome,
    /// Why it is not proven to be one.
    pub why: Option<String>,
    /// Whether it needs others.
    pub kind: SnapshotKind,
    /// The machine whose data it holds.
    pub host: Option<String>,
    /// The paths that were copied.
    pub paths: Vec<String>,
    /// The databases that were copied.
    pub databases: Vec<String>,
    /// Whether `host`, `paths` and `databases` name all that is in it: not where only a part of a file was read, or it is
    /// encrypted. What is missing in them then may be in it after all.
    pub listed: Asked,
    /// The history that it belongs to, where its names do not tell: all dumps of a cluster are one, whatever databases
    /// came and went; null where the host, the paths and the databases tell.
    pub series: Option<String>,
    /// When copying began.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// The instant whose data a restore gives back (the recovery point): the beginning for files, the end for a
    /// database that replays its log.
    pub recovery_point: Option<String>,
    /// Whether all that should be in it is.
    pub complete: Complete,
    /// Copies that it needs to be restored.
    pub parents: Vec<String>,
    /// Those of them that are not there.
    pub missing_parents: Vec<String>,
    /// Files in it.
    pub files: Option<i64>,
    /// Bytes in it, before compression and deduplication.
    pub bytes: Option<i64>,
    /// Things in it that a database counts: objects of a dump (what `pg_restore -l` lists, tables of mysqldump), keys of
    /// Redis. 0 is a copy of an empty database; null where they are not counted.
    pub objects: Option<i64>,
    /// Bytes that it added to the store: for files their own size.
    pub stored: Option<i64>,
}

/// Whether a copy holds all that it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Complete {
    /// Present: it does. Absent: something is missing.
    pub outcome: Outcome,
    /// What shows it.
    pub basis: Option<Basis>,
    /// What is missing, or what stood in the way.
    pub why: Option<String>,
}

/// What shows that a copy is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The log of the job that made it.
    JobLog,
    /// A comparison with what was copied.
    Source,
    /// The tool writes the record of a copy only once all of it is stored, and names errors in it.
    ToolRecord,
    /// The format ends with a mark that is written last, and it is there.
    EndMark,
}

/// What a required thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Data.
    Data,
    /// Configuration.
    Configuration,
    /// A database.
    Database,
    /// Anything at all: the inventory names nothing.
    Anything,
}

/// A thing that must be in a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Required {
    /// `host:path`, `path` or a database's name.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Whether any copy holds it; not proven where the inventory names nothing.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// The newest copy that holds it.
    pub snapshot: Option<String>,
    /// That copy's recovery point.
    pub recovery_point: Option<String>,
    /// Whether the newest copy of its history holds it: a path that was dropped from a job is in older ones alone.
    pub in_newest: Option<bool>,
}

/// A thing that must be in a copy, and the newest copy that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Recovery {
    /// As in `required`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Present: a complete copy was found. Absent: every copy that holds it is known to lack something, or none holds it.
    /// Not proven: nothing shows of the newest copies whether they are complete.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// That copy.
    pub snapshot: Option<String>,
    /// Its recovery point.
    pub recovery_point: Option<String>,
    /// What shows that it is complete.
    pub basis: Option<Basis>,
}

/// Copies of one thing (one machine's set of paths, one database) over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct History {
    /// `host:path,path` or a database's name.
    pub name: String,
    /// Not proven where a copy carries no time.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// Copies.
    pub count: i64,
    /// Recovery point of the oldest.
    pub oldest: Option<String>,
    /// Recovery point of the newest.
    pub newest: Option<String>,
    /// From the oldest to the newest.
    pub span: i64,
    /// The longest time between two copies that follow each other, of those from the last 90 days before the newest.
    pub longest_gap: Option<i64>,
    /// Recovery point of the copy before that gap.
    pub gap_from: Option<String>,
    /// Recovery point of the copy after it.
    pub gap_to: Option<String>,
}

/// How large copies of one thing were. Incremental copies are counted with all that they restore, where that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sizes {
    /// As in `histories`.
    pub name: String,
    /// Not proven where the size of the newest copy is not known.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
    /// How many copies were measured as the newest one was, itself included, of those in the last 90 days before it.
    pub measured: i64,
    /// How many there are in that time.
    pub of: i64,
    /// Files in the newest copy; null where the source does not count them.
    pub newest_files: Option<i64>,
    /// Bytes in the newest copy.
    pub newest_bytes: Option<i64>,
    /// Objects or keys of a database in the newest copy; 0 is a copy of nothing, null where they are not counted.
    pub newest_objects: Option<i64>,
    /// Most files in any copy of the last 90 days before the newest, itself included.
    pub largest_files: Option<i64>,
    /// Most bytes, likewise.
    pub largest_bytes: Option<i64>,
    /// Most objects or keys, likewise.
    pub largest_objects: Option<i64>,
    /// The median of the seven copies before the newest.
    pub median_files: Option<i64>,
    /// The median of their bytes.
    pub median_bytes: Option<i64>,
    /// The median of their objects or keys.
    pub median_objects: Option<i64>,
    /// Bytes that the newest copy added to the store.
    pub newest_stored: Option<i64>,
    /// The median of what the seven copies before the newest added.
    pub median_stored: Option<i64>,
}

/// Whether the log between copies is unbroken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Continuity {
    /// What log: `wal 15-1`, …
    pub name: String,
    /// Present: unbroken. Absent: a part is missing.
    pub outcome: Outcome,
    /// What is missing, or what stood in the way.
    pub why: Option<String>,
    /// The first part.
    pub from: Option<String>,
    /// The last part.
    pub to: Option<String>,
}
