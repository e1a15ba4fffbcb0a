//! Backups: which copies there are, whether they can be read, and whether they give back what was written.
//!
//! One adapter a file under `source/`; all of them fill in one common [`source::Repository`], from which
//! [`derive`] makes the facts. Repositories are read without locks and never written to.

mod backup;
mod complete;
mod derive;
pub mod facts;
pub mod format;
mod measure;
mod pattern;
mod quiet;
mod read;
mod references;
mod restore;
mod scalar;
mod source;
pub mod target;

use std::sync::Arc;

use probe::Probe;

/// The sort of target that all probes of this crate look at.
pub const SORT: &str = "backup";

/// Every probe of this crate.
#[must_use]
pub fn probes() -> Vec<Arc<dyn Probe>> {
    vec![Arc::new(backup::Backup), Arc::new(read::BackupRead), Arc::new(restore::Restore)]
}
