//! Who looked, with what, from where and by which clock.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The program that looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `probity`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of the running binary; null where it can't be read.
    pub digest: Option<Digest>,
}

/// Where it looked from. Other clients may be served differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vantage {
    /// Host name.
    pub host: String,
    /// User name, or the number where there is none.
    pub user: String,
    /// Local addresses that connections came from.
    pub addresses: Vec<String>,
    /// The CI system that ran it (`github`, `gitlab`, …), where one is recognised.
    pub ci: Option<String>,
}

/// What is known of the local clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Estimated error in milliseconds; null where nothing tells it.
    pub error_millis: Option<i64>,
    /// Whether the kernel says that the clock is kept in step; null where it does not tell.
    pub synchronised: Option<bool>,
    /// Who said so.
    pub source: String,
}

/// One run of the collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The program.
    pub tool: Tool,
    /// Where from and as whom.
    pub vantage: Vantage,
    /// The clock.
    pub clock: Clock,
    /// When collection began, UTC.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ended, UTC.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// Monotonic milliseconds between the two.
    pub millis: u64,
    /// Connections opened in all.
    pub connections: u32,
    /// The most connections allowed at once to one address.
    pub max_connections: u32,
    /// True where the run was stopped before it was done.
    pub interrupted: bool,
}
