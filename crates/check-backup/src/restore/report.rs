//! The facts of a database's drill, and what the drills share.

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use model::{Asked, Failure, FailureClass};
use probe::Cx;

use super::database::no_canary;
use super::files::restored;
use crate::facts::{Canary, Covered, Identity, Outcome, Query, RestoreFacts, Restored, Samples, SourceKind};
use crate::target::BackupSpec;

/// Which copy a drill is about.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// What keeps it.
    pub(super) source: SourceKind,
    /// What the tool says of itself.
    pub(super) tool: Option<String>,
    /// Which repository or cluster it is.
    pub(super) identity: Identity,
    /// The copy's name.
    pub(super) snapshot: String,
    /// The instant whose data it should give back.
    pub(super) recovery_point: Option<String>,
    /// Its size as restored, where that is known.
    pub(super) bytes: Option<i64>,
    /// What of that which must be in a copy it holds.
    pub(super) covers: Vec<Covered>,
}

impl About {
    /// The instant whose data it should give back.
    pub(super) fn point(&self) -> Option<Timestamp> {
        self.recovery_point.as_deref()?.parse().ok()
    }
}

/// What came back.
pub(super) struct Back {
    pub(super) empty: Option<String>,
    pub(super) samples: Samples,
    pub(super) queries: Vec<Query>,
    pub(super) canary: Canary,
    pub(super) tool_millis: i64,
    pub(super) millis: i64,
    pub(super) files: i64,
    pub(super) bytes: i64,
}

/// The facts of a drill whose database came up.
pub(super) fn facts(spec: &BackupSpec, about: About, back: Back) -> RestoreFacts {
    let restored = Restored {
        outcome: if back.empty.is_some() { Outcome::Absent } else { Outcome::Present },
        why: back.empty,
        files: back.files,
        bytes: back.bytes,
        tool_millis: back.tool_millis,
        millis: back.millis,
    };
    RestoreFacts {
        source: about.source,
        tool: about.tool,
        location: spec.declared.location(),
        set: spec.set.clone(),
        identity: about.identity,
        expected: spec.restore.clone(),
        snapshot: Some(about.snapshot),
        recovery_point: about.recovery_point,
        whole: true,
        covers: about.covers,
        restored,
        canary: back.canary,
        list: super::list::not_compared("a database is compared by its rows"),
        samples: back.samples,
        queries: back.queries,
    }
}

/// The facts of a drill whose copy did not come back.
///
/// # Errors
/// Where what went wrong says nothing of the copy.
pub(super) fn absent(spec: &BackupSpec, about: About, failure: Failure, millis: i64) -> Result<RestoreFacts, Failure> {
    let outcome = restored(Err(failure), 0, 0, millis)?;
    let not_proven = "nothing was restored".to_owned();
    let canary = if spec.restore.canary {
        Canary { outcome: Outcome::Absent, why: Some(not_proven.clone()), ..no_canary() }
    } else {
        no_canary()
    };
    let declared = spec.declared.drill.iter().flat_map(|drill| &drill.queries);
    let query = |(name, query): (&String, &crate::target::DrillQuery)| Query {
        name: name.clone(),
        outcome: Outcome::Absent,
        why: Some(not_proven.clone()),
        wanted: query.wanted.clone(),
        got: None,
    };
    let samples = Samples {
        asked: Asked::Only(Vec::new()),
        outcome: Outcome::NotProven,
        why: Some(not_proven.clone()),
        of: 0,
        samples: Vec::new(),
    };
    let queries = declared.map(query).collect();
    let back = Back { empty: None, samples, queries, canary, tool_millis: millis, millis, files: 0, bytes: 0 };
    Ok(RestoreFacts { restored: outcome, ..facts(spec, about, back) })
}

/// Milliseconds since.
pub(super) fn millis(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// Whether the scratch place has room for so many bytes.
///
/// # Errors
/// Where it has not, which says nothing of the copy.
pub(super) fn room(bytes: u64, name: &str, scratch: &Path, cx: &Cx) -> Result<(), Failure> {
    let free = cx.free_bytes(scratch)?.min(cx.scratch_bytes());
    // A tenth more: file systems need room for names and tables.
    if bytes.saturating_add(bytes / 10) <= free {
        return Ok(());
    }
    let message = format!(
        "{name} restores to {bytes} bytes, and {free} may be used in {}; give a larger --scratch, or drill samples alone",
        scratch.display()
    );
    Err(Failure::new(FailureClass::Interrupted, message))
}
