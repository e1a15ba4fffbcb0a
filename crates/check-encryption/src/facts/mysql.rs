//! What a MySQL or MariaDB server says of itself after a log-in.

use schemars::JsonSchema;
use serde::Serialize;

use super::Outcome;
use super::config::CipherClass;
use super::database::{DatabaseSession, DatabaseSetting, Found};
use super::postgresql::StoredPassword;
use super::redis::DatabaseFlag;

/// One MySQL or MariaDB server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlFacts {
    /// The version as it says itself, such as `10.11.14-MariaDB`.
    pub version: Option<String>,
    /// Whether it is MariaDB.
    pub mariadb: bool,
    /// The session in which it was asked.
    pub session: DatabaseSession,
    /// Global variables.
    pub settings: Found<DatabaseSetting>,
    /// Classes of cipher suites that `ssl_cipher` lets in, where the server has TLS; suites of TLS 1.3 are none of them.
    pub ciphers: Found<CipherClass>,
    /// Whether it runs without its grant tables (`skip-grant-tables`), so that whoever reaches it may do everything by any
    /// name and password: the accounts then say nothing.
    pub grant_tables_off: DatabaseFlag,
    /// Accounts.
    pub accounts: Found<MysqlAccount>,
    /// Tablespaces of InnoDB.
    pub tablespaces: Found<Tablespace>,
    /// Sessions of others; those alike are counted together.
    pub sessions: Found<MysqlSessions>,
    /// Plugins for authentication, encryption and keys that are active.
    pub plugins: Found<MysqlPlugin>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlAccount {
    /// `user@host`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// The user; empty for anybody.
    pub user: String,
    /// From where, as a pattern.
    pub host: String,
    /// Whether the host is beyond the server's loopback and socket.
    pub remote: bool,
    /// The plugin that authenticates it.
    pub plugin: Option<String>,
    /// Other plugins by which it may log in as well (MariaDB).
    pub alternatives: Vec<String>,
    /// Whether it must use TLS (`REQUIRE SSL`, `X509` or a named certificate).
    pub requires_tls: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// How its password is stored.
    pub password: StoredPassword,
    /// Whether an empty password lets it in.
    pub empty_password: EmptyPassword,
}

/// Whether an empty password lets an account in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyPassword {
    /// Whether it does.
    pub outcome: Outcome,
    /// Why that is not proven.
    pub why: Option<String>,
}

/// A tablespace of InnoDB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tablespace {
    /// Its name, such as `app/users`.
    pub name: String,
    /// Present: it is encrypted. Absent: it is not. Not proven: in part.
    pub outcome: Outcome,
    /// Why that is not proven.
    pub why: Option<String>,
}

/// Sessions that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlSessions {
    /// User and host.
    pub name: String,
    /// Present, or not proven where the server hides how they are connected.
    pub outcome: Outcome,
    /// Why.
    pub why: Option<String>,
    /// How many.
    pub count: u64,
    /// The user.
    pub user: Option<String>,
    /// The client's host.
    pub host: Option<String>,
    /// Whether it is beyond the server's loopback and socket.
    pub remote: bool,
    /// Whether they are encrypted.
    pub tls: Option<bool>,
}

/// An active plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlPlugin {
    /// Its name, such as `file_key_management`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// `AUTHENTICATION`, `ENCRYPTION`, ….
    pub sort: Option<String>,
}
