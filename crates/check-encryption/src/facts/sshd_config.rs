//! What `sshd_config` and the files that it includes declare, read from the files alone.

use model::Asked;
use schemars::JsonSchema;
use serde::Serialize;

use super::{ConfigSource, MatchBlock, NotRead, Outcome};

/// A setting of `sshd_config(5)`, outside of `Match` blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshdSetting {
    /// Keyword, lower case; old names of a setting under the new one.
    pub name: String,
    /// Present where it is written, absent where it is not; what then holds depends on the release, and is not said. Not
    /// proven where it is written in a form that is not understood.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// `file:line` of the first, which counts.
    pub at: Option<String>,
    /// As written.
    pub written: Option<String>,
    /// Names of a list, or the one value; several where each line adds one. Of a list with `+` or `^` in front, the names
    /// that are surely in it.
    pub values: Vec<String>,
    /// `values` is all of it. Not so for a list that is made from the default of the release, with `+`, `-` or `^` in front
    /// or patterns in it, and where nothing is written.
    pub whole: bool,
}

/// What the configuration of OpenSSH's server declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshdConfigFacts {
    /// The release that the inventory names.
    pub version: Option<String>,
    /// The files lie where the server will look for them, not in a tree that stands for its machine.
    pub installed: bool,
    /// Where it begins.
    pub entry: String,
    /// `all`: everything was read and understood. Else nothing is said to be complete, and `not_proven` says why.
    pub asked: Asked,
    /// The files, in the order in which they were read.
    pub files: Vec<ConfigSource>,
    /// Settings outside of `Match` blocks, by name: those that are written, and those that the controls ask for.
    pub settings: Vec<SshdSetting>,
    /// `Match` blocks: they hold for some connections, and count before the settings.
    pub match_blocks: Vec<MatchBlock>,
    /// What could not be read or understood.
    pub not_proven: Vec<NotRead>,
}
