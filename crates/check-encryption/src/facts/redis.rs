//! What a Redis or Valkey server says of itself.

use schemars::JsonSchema;
use serde::Serialize;

use super::Outcome;
use super::database::{DatabaseSession, DatabaseSetting, Found};

/// One Redis or Valkey server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisFacts {
    /// The version as it says itself.
    pub version: Option<String>,
    /// The session in which it was asked.
    pub session: DatabaseSession,
    /// Settings, from `CONFIG GET`. Those that hold passwords are never asked for.
    pub settings: Found<DatabaseSetting>,
    /// Whether it listens without TLS (`port` is not 0).
    pub plaintext_port: DatabaseFlag,
    /// Whether it listens on an address beyond loopback, by `bind`.
    pub remote: DatabaseFlag,
    /// Users, from `ACL LIST`.
    pub users: Found<RedisUser>,
    /// Lines of `INFO` on the server, its persistence and its replication.
    pub info: Found<InfoLine>,
}

/// Whether something is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFlag {
    /// Present: yes. Absent: no.
    pub outcome: Outcome,
    /// Why neither is proven.
    pub why: Option<String>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisUser {
    /// The name; `default` is who connects without a log-in.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Whether any password lets it in.
    pub nopass: bool,
    /// Whether one of its passwords is empty.
    pub empty_password: bool,
    /// How many passwords it has.
    pub passwords: u64,
    /// Whether it may run every command on every key.
    pub everything: bool,
    /// What it may do, as the server writes it.
    pub rights: Vec<String>,
}

/// A line of `INFO`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InfoLine {
    /// Its name, such as `rdb_last_save_time`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Its value.
    pub value: String,
}
