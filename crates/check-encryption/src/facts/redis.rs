//! What a Redis or Valkey server says of itself.

use schemars::JsonSchema;
use serde::Serialize;

use super::Outcome;
use super::config::CipherClass;
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
    /// Classes of cipher suites that `tls-ciphers` lets in, where the server has TLS; suites of TLS 1.3 are none of them.
    pub ciphers: Found<CipherClass>,
    /// Whether it listens without TLS (`port` is not 0).
    pub plaintext_port: DatabaseFlag,
    /// Whether it listens on an address beyond loopback, by `bind`.
    pub remote: DatabaseFlag,
    /// Users, from `ACL LIST`.
    pub users: Found<RedisUser>,
    /// Its links to other servers of its kind.
    pub links: Found<RedisLink>,
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

/// A link to other servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisLink {
    /// `replication`, from this server to its master, or `cluster`, the bus between nodes.
    pub name: String,
    /// Present where it is in use, absent where not; not proven where the server does not tell.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Whether it leads beyond this machine's loopback; null where not shown.
    pub remote: Option<bool>,
    /// Whether TLS is switched on for it (`tls-replication`, `tls-cluster`); null where the server has no such setting.
    pub tls: Option<bool>,
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
