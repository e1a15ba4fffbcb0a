//! What keeps copies: one adapter a file, one common form of what they find.

mod binlog;
pub(crate) mod borg;
pub(crate) mod files;
pub(crate) mod pgbackrest;
pub(crate) mod restic;
#[cfg(feature = "s3")]
mod s3;
pub(crate) mod tool;
mod wal;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use model::{Asked, Failure, FailureClass};
use probe::{BoxFuture, Cx};

use crate::facts::{Continuity, Encryption, Identity, Lock, Locks, Outcome, Snapshot, SourceKind};
use crate::target::BackupSpec;

/// A repository as an adapter found it; [`crate::derive`] makes facts of it.
#[derive(Clone, Debug)]
pub(crate) struct Repository {
    /// What the tool says of itself.
    pub(crate) tool: Option<String>,
    /// Which repository it is.
    pub(crate) identity: Identity,
    /// Whether the copies are encrypted.
    pub(crate) encryption: Encryption,
    /// Its locks.
    pub(crate) locks: Locks,
    /// Whether `snapshots` are all that there are.
    pub(crate) asked: Asked,
    /// The copies, in any order.
    pub(crate) snapshots: Vec<Snapshot>,
    /// What is in a copy, by the copy's name, where the repository tells: copies with one content are measured once.
    pub(crate) contents: BTreeMap<String, String>,
    /// The log between them.
    pub(crate) continuity: Vec<Continuity>,
    /// What else a reader should know.
    pub(crate) notes: Vec<String>,
}

/// Reads one sort of repository. It takes no lock and writes nothing, and trusts no exit code.
pub(crate) trait Adapter: Send + Sync {
    /// What it reads.
    fn kind(&self) -> SourceKind;

    /// The commands it would run and the files it would read.
    fn plan(&self, spec: &BackupSpec) -> probe::Plan;

    /// Lists the copies.
    ///
    /// # Errors
    /// Where the repository can't be listed at all.
    fn list<'a>(&'a self, spec: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>>;

    /// The copies alone, for a restore: without locks, and what else it costs time to ask for.
    ///
    /// # Errors
    /// As [`Adapter::list`].
    fn copies<'a>(&'a self, spec: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        self.list(spec, cx)
    }

    /// Whether the paths of a copy are what the job was told to copy, which need not have been there.
    fn paths_are_claims(&self) -> bool {
        false
    }

    /// Hands out everything in a copy.
    ///
    /// # Errors
    /// Where the copy can't be read, or this sort of source does not list files.
    fn files_of<'a>(
        &'a self,
        _spec: &'a BackupSpec,
        _snapshot: &'a str,
        _cx: &'a Cx,
        _each: &'a mut (dyn FnMut(Entry<'_>) + Send),
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let message = "this sort of source does not list the files in a copy, so that nothing can be compared";
        Box::pin(std::future::ready(Err(Failure::new(FailureClass::Missing, message))))
    }

    /// Restores what is likely the newest copy below a folder, for a drill that need not wait for the list then. `told` is
    /// set to the beginning of the name of the copy that it takes. `None` where the tool can't do that.
    fn restore_newest<'a>(
        &'a self,
        _spec: &'a BackupSpec,
        _into: &'a Path,
        _told: &'a OnceLock<String>,
        _cx: &'a Cx,
    ) -> Option<BoxFuture<'a, Result<(), Failure>>> {
        None
    }

    /// Restores a copy below a folder: all of it, or these paths alone.
    ///
    /// # Errors
    /// [`FailureClass::Unreadable`] where the tool did not restore it; anything else where it could not be tried.
    fn restore<'a>(
        &'a self,
        _spec: &'a BackupSpec,
        _snapshot: &'a Snapshot,
        _paths: Option<&'a [String]>,
        _into: &'a Path,
        _cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        let message = "there is no drill for this sort of source";
        Box::pin(std::future::ready(Err(Failure::new(FailureClass::Missing, message))))
    }
}

/// Something in a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its path, with a slash in front.
    pub(crate) path: &'a str,
    /// Its bytes, where it is a file.
    pub(crate) size: i64,
    /// A regular file.
    pub(crate) is_file: bool,
}

/// The adapter for what a target declares.
pub(crate) fn adapter(spec: &BackupSpec) -> Option<Box<dyn Adapter>> {
    let declared = &spec.declared;
    if let Some(restic) = &declared.restic {
        return Some(Box::new(restic::Adapter::new(restic.clone())));
    }
    if let Some(borg) = &declared.borg {
        return Some(Box::new(borg::Adapter::new(borg.clone())));
    }
    if let Some(pgbackrest) = &declared.pgbackrest {
        return Some(Box::new(pgbackrest::Adapter::new(pgbackrest.clone())));
    }
    #[cfg(feature = "s3")]
    if let Some(s3) = &declared.s3 {
        return Some(Box::new(s3::Adapter::new(s3.clone())));
    }
    declared.files.as_ref().map(|files| Box::new(files::Adapter::new(files.clone())) as Box<dyn Adapter>)
}

impl Identity {
    /// What names itself.
    pub(crate) fn is(what: &str, value: impl Into<String>) -> Self {
        Self { outcome: Outcome::Present, why: None, what: what.to_owned(), value: Some(value.into()) }
    }
}

impl Encryption {
    /// Encrypted, in that mode.
    pub(crate) fn by(mode: impl Into<String>) -> Self {
        Self { outcome: Outcome::Present, why: None, mode: Some(mode.into()) }
    }

    /// Not encrypted; the mode is the tool's word for that.
    pub(crate) fn none(mode: impl Into<String>) -> Self {
        Self { outcome: Outcome::Absent, why: None, mode: Some(mode.into()) }
    }
}

impl Locks {
    /// All locks that there are.
    pub(crate) const fn all(locks: Vec<Lock>) -> Self {
        Self { asked: Asked::All, locks }
    }

    /// Locks can't be listed.
    pub(crate) const fn unknown() -> Self {
        Self { asked: Asked::Only(Vec::new()), locks: Vec::new() }
    }
}
