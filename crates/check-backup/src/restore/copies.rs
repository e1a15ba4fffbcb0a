//! A file or folder that is a copy, and what its head says that it is.

use std::path::PathBuf;

use model::{Failure, FailureClass};
use probe::Cx;

use crate::format::{Format, Inspection};
use crate::source::files::inspect_head;
use crate::target::{BackupSpec, Drill, Files};

/// A file or folder that is a copy.
pub(super) struct FileCopy {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What was seen in its head.
    pub(super) seen: Inspection,
}

impl FileCopy {
    /// The one of that name beside the pattern.
    ///
    /// # Errors
    /// Where it can't be looked into.
    pub(super) async fn of(source: &Files, name: &str, cx: &Cx) -> Result<Self, Failure> {
        let seen = inspect_head(source, name, cx).await;
        let (path, seen) = seen.map_err(|why| Failure::new(FailureClass::Unreadable, format!("{name}: {why}")))?;
        Ok(Self { path: path.into(), seen })
    }

    /// Its format.
    pub(super) const fn format(&self) -> Format {
        self.seen.format
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Its bytes as they lie there: what it restores to is seldom less.
    ///
    /// # Errors
    /// Where it can't be looked at.
    pub(super) async fn bytes(&self, cx: &Cx) -> Result<u64, Failure> {
        let found = cx.metadata(&self.path).await.map_err(|e| Failure::new(e.class, e.to_string()))?;
        if found.is_dir {
            let (_, bytes) = super::files::contents(&self.path, cx, &mut |_, _| {}).await;
            return Ok(u64::try_from(bytes).unwrap_or(0));
        }
        Ok(found.size)
    }
}

/// The database that a dump is of, as the inventory says.
pub(super) fn database<'a>(spec: &'a BackupSpec, drill: &'a Drill) -> Option<&'a str> {
    drill.database.as_deref().or_else(|| spec.declared.files.as_ref()?.database.as_deref())
}
