//! What can go wrong with the job as a whole. What goes wrong with one target is evidence, not an error.

use thiserror::Error;

/// The job can't be done, or not to its end.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line or an inventory asks for something impossible.
    #[error("{0}")]
    Config(String),
    /// Files that are wrong, with every place at once; already rendered for people.
    #[error("{0}")]
    Files(String),
    /// A key can't be read, made or written.
    #[error("key {path}: {why}")]
    Key {
        /// Which file.
        path: String,
        /// What happened.
        why: String,
    },
    /// Something can't be written.
    #[error("{path}: can't be written: {why}; check the folder's permissions and free space, or give another with --out")]
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
