//! What a PostgreSQL server says of itself after a log-in.

use schemars::JsonSchema;
use serde::Serialize;

use super::Outcome;
use super::config::CipherClass;
use super::database::{DatabaseSession, DatabaseSetting, Found};

/// One PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresqlFacts {
    /// `server_version` as it says itself.
    pub version: Option<String>,
    /// The session in which it was asked.
    pub session: DatabaseSession,
    /// Settings from `pg_settings`.
    pub settings: Found<DatabaseSetting>,
    /// Classes of cipher suites that `ssl_ciphers` lets in, where the server has TLS; suites of TLS 1.3 are none of them.
    pub ciphers: Found<CipherClass>,
    /// Rules of `pg_hba.conf`, in order, from `pg_hba_file_rules`.
    pub hba: Hba,
    /// Sessions of others, from `pg_stat_activity` and `pg_stat_ssl`; those alike are counted together.
    pub sessions: Found<PostgresqlSessions>,
    /// Roles that may log in, from `pg_roles` and `pg_authid`.
    pub roles: Found<PostgresqlRole>,
    /// Extensions of the database that was connected to.
    pub extensions: Found<Extension>,
}

/// The rules of host-based authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hba {
    /// Whether the file was changed after the server last loaded its configuration: the server then may follow other
    /// rules than these, which are read from the file. Null where that is not shown.
    pub changed_since_loaded: Option<bool>,
    /// The rules.
    pub rules: Found<HbaRule>,
    /// Mappings of names for the rules with `map=`, from `pg_ident_file_mappings` (release 15 and later).
    pub mappings: Found<IdentMapping>,
}

/// A line of `pg_ident.conf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentMapping {
    /// `line N`.
    pub name: String,
    /// Present, or not proven where the server can't read the line.
    pub outcome: Outcome,
    /// The server's complaint of the line.
    pub why: Option<String>,
    /// The map that it belongs to.
    pub map: Option<String>,
    /// The name that the proof was for: an account of the machine, a name in a certificate, or `/` and a regular expression.
    pub system_user: Option<String>,
    /// The role that it may log in as.
    pub role: Option<String>,
    /// A rule of `pg_hba.conf` names the map.
    pub used: bool,
    /// How many names it is for: `one`, `any`, or those of a `pattern`.
    pub reach: Reach,
    /// The role is made from the name (`\1`), so that each name has its own.
    pub own_role: bool,
}

/// For how many names something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// One.
    One,
    /// Those that fit a pattern.
    Pattern,
    /// All.
    Any,
}

/// A line of `pg_hba.conf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HbaRule {
    /// `line N`.
    pub name: String,
    /// Present, or not proven where the line can't be read by the server.
    pub outcome: Outcome,
    /// The server's complaint of the line.
    pub why: Option<String>,
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc`, `hostnogssenc`.
    pub connection: Option<String>,
    /// Databases.
    pub databases: Vec<String>,
    /// Users.
    pub users: Vec<String>,
    /// `all`, an address, `samehost`, `samenet` or a name; null for `local`.
    pub address: Option<String>,
    /// The mask of an address.
    pub netmask: Option<String>,
    /// `trust`, `scram-sha-256`, `md5`, `password`, `peer`, `cert`, ….
    pub method: Option<String>,
    /// Options of the method, without those that hold a secret.
    pub options: Vec<String>,
    /// Whether it applies to connections without encryption over TCP, and no rule before it rejects all of those.
    pub without_encryption: Option<bool>,
    /// Whether it applies to addresses beyond this machine's loopback.
    pub remote: bool,
}

/// Sessions that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresqlSessions {
    /// User, and address or `socket`.
    pub name: String,
    /// Present, or not proven where the server hides whether they are encrypted.
    pub outcome: Outcome,
    /// Why.
    pub why: Option<String>,
    /// How many.
    pub count: u64,
    /// The role.
    pub user: Option<String>,
    /// The database; null for replication.
    pub database: Option<String>,
    /// The client's address; null for a socket.
    pub address: Option<String>,
    /// Whether the client's address is beyond the server's loopback.
    pub remote: bool,
    /// Whether they are encrypted.
    pub tls: Option<bool>,
    /// Version of TLS.
    pub version: Option<String>,
    /// Suite of TLS, as OpenSSL calls it.
    pub cipher: Option<String>,
}

/// A role that may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresqlRole {
    /// Its name.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Whether it is a superuser.
    pub superuser: bool,
    /// Until when its password may be used, RFC 3339; null without an end.
    pub valid_until: Option<String>,
    /// How its password is stored.
    pub password: StoredPassword,
}

/// How a password is stored. Never the stored bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredPassword {
    /// Present: there is one. Absent: there is none. Not proven: it is not shown.
    pub outcome: Outcome,
    /// Why it is not shown.
    pub why: Option<String>,
    /// `scram-sha-256`, `md5`, `sha1`, `sha256`, `ed25519`, `other`; null without one.
    pub kind: Option<String>,
    /// Rounds of its hash, where it tells.
    pub iterations: Option<i64>,
}

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Its name, such as `pgcrypto` or `pg_tde`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Its version.
    pub version: Option<String>,
}
