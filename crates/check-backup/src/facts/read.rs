//! What an integrity run read of a repository, and whether it was intact.
//!
//! A repository is read in parts, some at each run. Which were read when is in earlier evidence of this kind: a control
//! joins `parts` of now with those of `prior` that have the same `identity.value`.

use model::Asked;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Identity, Locks, SourceKind};

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadOutcome {
    /// All of it was read, and all checksums agree.
    Intact,
    /// Bytes are missing, or differ from what was written.
    Damaged,
    /// It was another part's turn.
    NotRead,
    /// It was to be read, and neither was shown; `why` says what stood in the way.
    NotProven,
}

/// What an integrity run read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReadFacts {
    /// What keeps the copies.
    pub source: SourceKind,
    /// What the tool says of itself.
    pub tool: Option<String>,
    /// Where the repository is, without secrets.
    pub location: String,
    /// The data set.
    pub set: String,
    /// Which repository it is, as in the kind `backup`.
    pub identity: Identity,
    /// What the inventory allows; null where it does not ask for reading.
    pub budget: Option<ReadBudget>,
    /// What all parts together are, and what is in none of them.
    pub covers: String,
    /// All parts that hold anything, read now or not; never empty. A name stays the same from run to run as long as the
    /// number of parts does: `3/30`.
    pub parts: Vec<ReadPart>,
    /// The cheap check: whether the repository's own records fit each other.
    pub structure: Structure,
    /// What was wrong.
    pub errors: ReadErrors,
    /// Bytes read of what is stored; null where nothing tells.
    pub bytes_read: Option<i64>,
    /// Whether `bytes_read` is a share of the whole by count, where the tool does not tell.
    pub bytes_estimated: bool,
    /// Locks on the repository before reading began: who may have been at work in it meanwhile.
    pub locks: Locks,
    /// The commands that read, and their time.
    pub commands: Vec<ReadCommand>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// What an inventory allows an integrity run; a declaration, not an observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadBudget {
    /// The time in which all parts are to be read, in seconds.
    pub within: i64,
    /// Most bytes read in one run.
    pub max_bytes: i64,
    /// Longest time of one run, in seconds.
    pub max_time: i64,
    /// Parts that the repository is read in, at least.
    pub parts: u32,
    /// Whether the tool may lock the repository, and so write into it.
    pub lock: bool,
}

/// A part of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReadPart {
    /// Its number and the number of parts: `3/30`; another name is something that can't be numbered.
    pub name: String,
    /// How reading it ended.
    pub outcome: ReadOutcome,
    /// What was found, or what stood in the way.
    pub why: Option<String>,
    /// Packs, files or chunks in it; null where not counted.
    pub things: Option<i64>,
}

/// The check of a repository's own records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Structure {
    /// Intact, damaged, not read (the source has no such check) or not proven.
    pub outcome: ReadOutcome,
    /// What was checked, found, or stood in the way.
    pub why: Option<String>,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReadErrors {
    /// `"all"` where reading went to its end and every error is listed.
    pub asked: Asked,
    /// The errors.
    pub errors: Vec<ReadError>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReadError {
    /// What it is about: a pack, a file, a chunk.
    pub name: String,
    /// Damaged; not proven where something else may have been the cause, such as a writer at work meanwhile.
    pub outcome: ReadOutcome,
    /// The tool's words.
    pub message: String,
}

/// A command that read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReadCommand {
    /// Its words, without options that say where and as whom.
    pub name: String,
    /// How long it took, in milliseconds.
    pub millis: i64,
}
