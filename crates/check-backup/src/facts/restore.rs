//! What a restore drill saw.

use model::Asked;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Identity, Outcome, SourceKind};

/// What a restore drill saw. A drill restores into a scratch place and compares; nothing of it stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RestoreFacts {
    /// What keeps the copies.
    pub source: SourceKind,
    /// What the tool says of itself.
    pub tool: Option<String>,
    /// Where the repository is, without secrets.
    pub location: String,
    /// The data set.
    pub set: String,
    /// Which repository it is.
    pub identity: Identity,
    /// What the inventory declares of a restore.
    pub expected: RestoreExpected,
    /// The copy that was restored.
    pub snapshot: Option<String>,
    /// The instant whose data it should give back.
    pub recovery_point: Option<String>,
    /// Whether the whole copy was restored, or only what was compared.
    pub whole: bool,
    /// Each thing that must be in a copy, and whether this restore gave it back.
    pub covers: Vec<Covered>,
    /// The restore itself.
    pub restored: Restored,
    /// A mark that was written among the data before the copy was made.
    pub canary: Canary,
    /// Whether all files came back: only where the whole of a copy of files was restored.
    pub list: FileList,
    /// What was chosen at random and compared with what is in use.
    pub samples: Samples,
    /// Queries of the inventory, asked of the restored database.
    pub queries: Vec<Query>,
}

/// What the inventory declares of a restore; a declaration, not an observation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreExpected {
    /// Longest time that a restore may take (recovery time objective).
    pub rto: Option<i64>,
    /// Greatest age of what it gives back (recovery point objective).
    pub rpo: Option<i64>,
    /// Whether a canary is declared.
    pub canary: bool,
}

/// A thing that must be in a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Covered {
    /// `host:path`, `path` or a database's name.
    pub name: String,
    /// Present: it came back, as far as it was compared. Not proven: nothing of it was.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: Option<String>,
}

/// A restore as it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restored {
    /// Present: something was given back. Absent: the tool failed, or gave nothing back.
    pub outcome: Outcome,
    /// What went wrong, or stood in the way.
    pub why: Option<String>,
    /// Files that are in the scratch place.
    pub files: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Wall time of the tool's own restore, milliseconds.
    pub tool_millis: i64,
    /// Wall time until the data could be used (a database answered, or files were there), milliseconds.
    pub millis: i64,
}

/// A mark that was written before the copy was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Canary {
    /// Present: it came back, and it is one that was planted. Absent: it did not, or it is not the same.
    pub outcome: Outcome,
    /// What went wrong, or stood in the way.
    pub why: Option<String>,
    /// Where it was planted, or the query that shows it.
    pub place: Option<String>,
    /// When it was planted, as it says itself: the copy is no older than that.
    pub planted: Option<String>,
    /// SHA-256 of the canary that this drill planted for the next one; null where it planted none.
    pub next: Option<String>,
}

/// The list of files that came back, beside that of the files in use which are older than the copy and have not changed
/// since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileList {
    /// Present: each of them came back with its size. Absent: at least one did not.
    pub outcome: Outcome,
    /// What did not come back, or why that is not known.
    pub why: Option<String>,
    /// How many were looked for; null where the lists were not compared: only a part was restored, or a database.
    pub of: Option<i64>,
    /// How many of them came back with their size.
    pub there: i64,
}

/// What was chosen at random.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Samples {
    /// `"all"` where as many as were asked for could be chosen.
    pub asked: Asked,
    /// Present: something was compared. Not proven: nothing could be.
    pub outcome: Outcome,
    /// Why nothing could be compared.
    pub why: Option<String>,
    /// From how many they were chosen.
    pub of: i64,
    /// Those that were chosen.
    pub samples: Vec<Sample>,
}

/// A file or table that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sample {
    /// Its path or name.
    pub name: String,
    /// Present: it came back the same. Absent: it did not come back, or is another. Not proven: it changed meanwhile.
    pub outcome: Outcome,
    /// What differs, or stood in the way.
    pub why: Option<String>,
    /// What was compared: `bytes`, `rows`; `rows read`, `keys read` and `name` where there was nothing to compare with.
    pub by: String,
}

/// A query and its answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Query {
    /// Its name in the inventory.
    pub name: String,
    /// Present: the restored database gave the answer that is wanted. Absent: it gave another, or an error.
    pub outcome: Outcome,
    /// What differs, or stood in the way.
    pub why: Option<String>,
    /// The answer that is wanted.
    pub wanted: Option<String>,
    /// The answer that was given.
    pub got: Option<String>,
}
