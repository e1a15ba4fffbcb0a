//! Backups: which copies there are, whether they can be read, and whether they give back what was written.

pub mod facts;
pub mod format;
pub mod target;

/// The sort of target that all probes of this crate look at.
pub const SORT: &str = "backup";
