//! The sorts of evidence and how strong each is.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How close to the truth a kind of evidence gets. One kind has one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A file says so.
    Declared,
    /// The running process or kernel says so.
    Effective,
    /// We saw it happen.
    Demonstrated,
}

impl Level {
    /// The level as it is written in files and shown to people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Effective => "effective",
            Self::Demonstrated => "demonstrated",
        }
    }
}

/// The name of one sort of evidence, with its level: `tls` (demonstrated), `sshd` (effective), …
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// The name, as controls write it under `evidence.kind`.
    pub name: Cow<'static, str>,
    /// The level that every piece of evidence of this kind has.
    pub level: Level,
}

impl Kind {
    /// A kind known at compile time.
    #[must_use]
    pub const fn new(name: &'static str, level: Level) -> Self {
        Self { name: Cow::Borrowed(name), level }
    }
}
