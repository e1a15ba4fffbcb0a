//! What a database server shows anybody who connects, and how the three sorts of them are declared.

use model::Asked;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// Things found, beside what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found<T> {
    /// `all`: every one that there is. None: the server did not show them.
    pub asked: Asked,
    /// Present: the server showed them, if there are any. Not proven: it did not, or not all.
    pub outcome: Outcome,
    /// What stood in the way, and what would help.
    pub why: Option<String>,
    /// What it showed.
    pub items: Vec<T>,
}

impl<T> Found<T> {
    /// All of them.
    pub(crate) fn all(items: Vec<T>) -> Self {
        Self { asked: Asked::All, outcome: Outcome::Present, why: None, items }
    }

    /// Those that were shown, which are not all.
    pub(crate) fn some(items: Vec<T>, why: impl Into<String>) -> Self {
        Self { asked: Asked::Only(Vec::new()), outcome: Outcome::NotProven, why: Some(why.into()), items }
    }
}

/// A setting as the running server has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSetting {
    /// Its name, as the server spells it.
    pub name: String,
    /// Present: it has a value. Absent: this server has no setting of that name. Not proven: it is not shown.
    pub outcome: Outcome,
    /// Why it is not shown.
    pub why: Option<String>,
    /// Its value as the server writes it.
    pub value: Option<String>,
    /// Where the value comes from (`default`, `configuration file`, …), where the server says so.
    pub source: Option<String>,
    /// The configuration holds another value, which waits for a restart; null where the server does not say.
    pub pending_restart: Option<bool>,
}

/// The session in which the server was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSession {
    /// `tcp` or `unix`.
    pub transport: Transport,
    /// The account; null where there was no log-in.
    pub user: Option<String>,
    /// How the log-in went: `scram-sha-256`, `mysql_native_password`, …; `none` where no password was asked for.
    pub method: Option<String>,
    /// The encryption of this session; null where it has none.
    pub tls: Option<DatabaseTlsSeen>,
}

/// How bytes get to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Over the network, or through this machine's loopback.
    Tcp,
    /// A socket in this machine's file system.
    Unix,
}

/// TLS as it was negotiated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseTlsSeen {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The suite, as IANA calls it.
    pub cipher: String,
    /// Whether chain and name hold against the authorities that the inventory names, or else this machine's.
    pub verified: bool,
    /// Why they do not.
    pub why: Option<String>,
}

/// What a database server shows before anybody logs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseWireFacts {
    /// Address and port spoken to, or the path of a Unix socket.
    pub address: String,
    /// A Unix socket of this machine, as the inventory says: nobody else hears it, and it is not looked at from outside.
    pub socket: bool,
    /// What it speaks.
    pub product: DatabaseProduct,
    /// The account that was named; others may be treated otherwise. No password was sent.
    pub user: Option<String>,
    /// The server's version, where it tells before a log-in.
    pub version: Option<String>,
    /// Whether it takes a connection under TLS as far as a log-in.
    pub tls: DatabaseDoor,
    /// Whether it takes a connection without TLS as far as a log-in.
    pub plaintext: DatabaseDoor,
    /// Whether it lets in without a password, by either way. MySQL is not asked: that would be an attempt to log in.
    pub without_password: DatabaseSign,
}

/// The servers that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseProduct {
    /// PostgreSQL and what speaks its protocol.
    Postgresql,
    /// MySQL and MariaDB.
    Mysql,
    /// Redis and Valkey.
    Redis,
}

impl DatabaseProduct {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Postgresql, Self::Mysql, Self::Redis];

    /// The sort of target: the key of the inventory.
    #[must_use]
    pub const fn sort(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
        }
    }

    /// The port of an endpoint that names none, as IANA has it.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Postgresql => 5432,
            Self::Mysql => 3306,
            Self::Redis => 6379,
        }
    }
}

/// A way in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseDoor {
    /// Whether it is open.
    pub outcome: DoorOutcome,
    /// What the server said against it, or what stood in the way.
    pub why: Option<String>,
    /// What the server asked for there: `scram-sha-256`, `md5`, `password`, `mysql_native_password`, …; `none` where it let in.
    pub asks_for: Option<String>,
    /// Version of TLS, where that was spoken.
    pub version: Option<String>,
    /// Suite of TLS, likewise.
    pub cipher: Option<String>,
    /// The exchange that it was seen in.
    pub seen: Option<u32>,
}

/// Whether a way in is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DoorOutcome {
    /// The server went on to the log-in, or let in.
    Accepted,
    /// The server refused, while it accepted the other way.
    Refused,
    /// Neither was shown.
    NotProven,
}

/// Whether something is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSign {
    /// Whether it is.
    pub outcome: Outcome,
    /// Why that is not proven.
    pub why: Option<String>,
    /// The exchange that it was seen in.
    pub seen: Option<u32>,
}

/// A database server as an inventory declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseTarget {
    /// `host`, `host:port`, `address:port` or `[v6]:port`; the port defaults to the product's own. Either this or `socket`.
    pub endpoint: Option<String>,
    /// A Unix socket on this machine; for PostgreSQL also the folder that it lies in.
    pub socket: Option<String>,
    /// The account to log in as. Without one, nobody logs in (Redis: as `default`).
    pub user: Option<String>,
    /// Its password: `env:NAME`, `file:PATH` or `cmd:PROGRAM ARGUMENTS`.
    pub password: Option<String>,
    /// The database to connect to (PostgreSQL alone); `postgres` by default.
    pub database: Option<String>,
    /// How the connection is encrypted. Redis is spoken to under TLS only where this is given (`tls: {}`).
    pub tls: Option<DatabaseTls>,
    /// Log in also where the server offers no TLS and the way there is not this machine's loopback. Who listens there can
    /// then guess the password offline, or read it (Redis).
    pub plaintext: bool,
    /// How many addresses the host should have.
    pub expect_addresses: Option<u32>,
}

/// How a connection to a database is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseTls {
    /// A PEM file of the authorities that the server's certificate must come from; this machine's authorities by default.
    pub ca: Option<String>,
    /// The name that the certificate must have; the endpoint's host by default.
    pub name: Option<String>,
    /// `false`: log in also where the certificate does not hold. Over loopback it need not hold anyway.
    pub verify: bool,
    /// A PEM file with this client's certificate, for servers that want one.
    pub certificate: Option<String>,
    /// Its private key in PEM: `env:NAME`, `file:PATH` or `cmd:PROGRAM ARGUMENTS`.
    pub key: Option<String>,
}

impl Default for DatabaseTls {
    fn default() -> Self {
        Self { ca: None, name: None, verify: true, certificate: None, key: None }
    }
}

/// What the probes are given: a server at one address, or behind one socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// Address and port; null for a socket.
    pub address: Option<String>,
    /// The socket's path; null for an address.
    pub socket: Option<String>,
    /// The host as declared: the name that a certificate must have.
    pub host: Option<String>,
    /// As declared.
    pub user: Option<String>,
    /// As declared: a reference, never the password.
    pub password: Option<String>,
    /// As declared.
    pub database: Option<String>,
    /// As declared, with absolute paths.
    pub tls: Option<DatabaseTls>,
    /// As declared.
    pub plaintext: bool,
}

impl DatabaseTarget {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// The field and what is wrong with it.
    pub fn check(&self, product: DatabaseProduct) -> Result<(), (&'static str, String)> {
        match (&self.endpoint, &self.socket) {
            (Some(_), Some(_)) => return Err(("socket", "give either 'endpoint' or 'socket'".into())),
            (None, None) => {
                return Err(("", "give 'endpoint: \"host:port\"' or 'socket: /path/to/the/socket'".into()));
            }
            _ => {}
        }
        for (field, reference) in
            [("password", self.password.as_ref()), ("tls.key", self.tls.as_ref().and_then(|tls| tls.key.as_ref()))]
        {
            if reference.is_some_and(|r| !["env:", "file:", "cmd:"].iter().any(|scheme| r.starts_with(scheme))) {
                let why = "a secret must be a reference: env:NAME, file:PATH or cmd:PROGRAM ARGUMENTS";
                return Err((field, why.into()));
            }
        }
        if self.password.is_some() && self.user.is_none() && product != DatabaseProduct::Redis {
            return Err(("password", "a password needs a 'user'".into()));
        }
        if self.database.is_some() && product != DatabaseProduct::Postgresql {
            return Err(("database", "PostgreSQL alone needs a database to connect to".into()));
        }
        if self.tls.as_ref().is_some_and(|tls| tls.certificate.is_some() != tls.key.is_some()) {
            return Err(("tls", "a client's 'certificate' and its 'key' belong together".into()));
        }
        if self.tls.is_some() && self.socket.is_some() {
            return Err(("tls", "a socket on this machine is not encrypted".into()));
        }
        Ok(())
    }

    /// What the probes are given, with paths relative to `folder` made absolute.
    #[must_use]
    pub fn resolve(&self, address: Option<String>, host: Option<String>, folder: &std::path::Path) -> DatabaseSpec {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let join = |path: &String| folder.join(path).display().to_string();
        let secret = |reference: &String| probe::secret_beside(&folder, reference);
        DatabaseSpec {
            address,
            socket: self.socket.as_ref().map(join),
            host,
            user: self.user.clone(),
            password: self.password.as_ref().map(secret),
            database: self.database.clone(),
            tls: self.tls.as_ref().map(|tls| DatabaseTls {
                ca: tls.ca.as_ref().map(join),
                certificate: tls.certificate.as_ref().map(join),
                key: tls.key.as_ref().map(secret),
                ..tls.clone()
            }),
            plaintext: self.plaintext,
        }
    }
}
