//! What can go wrong with the job as a whole. What goes wrong with one target is evidence, not an error.

use std::fmt;

use policy::{Diagnostics, Sources};
use thiserror::Error;

/// What is wrong with files, and the files, so that the lines can be shown.
#[derive(Debug)]
pub struct Complaints {
    /// Every place.
    pub diagnostics: Diagnostics,
    /// The files.
    pub sources: Sources,
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.diagnostics.render(&self.sources, false).trim_end())
    }
}

/// The job can't be done, or not to its end.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line or an inventory asks for something impossible.
    #[error("{0}")]
    Config(String),
    /// Files that are wrong, with every place at once.
    #[error("{0}")]
    Files(Box<Complaints>),
    /// A key can't be read, made or written.
    #[error("key {path}: {why}")]
    Key {
        /// Which file.
        path: String,
        /// What happened.
        why: String,
    },
    /// Something can't be written.
    #[error(
        "{path}: can't be written: {why}; check the folder's permissions and free space, or give another with --out"
    )]
    Write {
        /// Where to.
        path: String,
        /// What happened.
        why: String,
    },
    /// Something can't be read.
    #[error("{path}: can't be read: {why}")]
    Read {
        /// Which file.
        path: String,
        /// What happened.
        why: String,
    },
    /// A pack is not what it should be.
    #[error("{0}")]
    Pack(String),
    /// A renderer or a signature failed; a defect of Probity.
    #[error("{0}; this is a defect of Probity, please report it")]
    Defect(String),
}

impl Error {
    /// Complaints about files.
    #[must_use]
    pub fn files(diagnostics: Diagnostics, sources: Sources) -> Self {
        Self::Files(Box::new(Complaints { diagnostics, sources }))
    }
}
