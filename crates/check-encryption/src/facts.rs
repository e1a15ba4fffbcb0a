//! What the probes write down. Only what was seen; never what it implies.
//!
//! A thing that was looked for has an `outcome`; what is `not_proven` says `why`. Absent values are null, never a
//! missing key. A list of things found stands beside `asked`: `"all"` where the search was complete, else the names of
//! the places that were searched completely.

mod authorized_keys;
mod config;
mod database;
mod disk;
mod e2ee;
mod host;
mod keyfiles;
mod listeners;
mod luks;
mod mounts;
mod mysql;
mod postgresql;
mod redis;
mod ssh;
mod ssh_client;
mod sshd;
mod sshd_config;
mod storage;

pub use authorized_keys::{AuthorizedAccount, AuthorizedFile, AuthorizedKey, AuthorizedKeysFacts};
pub use config::{
    CipherClass, ConfigCiphers, ConfigEncryption, ConfigHsts, ConfigModule, ConfigPath, ConfigProtocol, ConfigRedirect,
    ConfigServer, ConfigService, ConfigSetting, ConfigSource, ConfigSpec, ConfigTarget, ConfigUpstream,
    ServerConfigFacts,
};
pub use database::{
    DatabaseDoor, DatabaseProduct, DatabaseSession, DatabaseSetting, DatabaseSign, DatabaseSpec, DatabaseTarget,
    DatabaseTls, DatabaseTlsSeen, DatabaseWireFacts, DoorOutcome, Found, Transport,
};
pub use disk::{DiskSpec, DiskTarget};
pub use e2ee::{
    Claim, Class, Control, E2eeCanaryFacts, E2eeFacts, Hit, Hits, Planted, Recipient, Recipients, Repeat, RepeatOf,
    Repeats, Sample, Samples, Searches, Step, StoreSampled, StoreSearched, Stores,
};
pub use host::{Clock, ClockSource, HostFacts, OperatingSystem, Privileges, Sign};
pub use keyfiles::{
    Certificate, CertificateRef, Container, Key, KeyFileTarget, KeyFilesFacts, KeyFormat, KeyType, Mark, MarkName,
    Place, Protection, PublicKey, Scheme,
};
pub use listeners::{ListenersFacts, Process, Protocol, Socket};
pub use luks::{
    Format, Kdf, KeyArea, KeyDigest, Keyslot, LuksFacts, Part, PartState, Reencryption, Segment, Token, Volume,
    VolumeCipher,
};
pub use model::Asked;
pub use mounts::{Encryption, Layer, LayerKind, LeftOut, Mount, MountsFacts, Swap, SwapArea, SwapKind};
pub use mysql::{EmptyPassword, MysqlAccount, MysqlFacts, MysqlPlugin, MysqlSessions, Tablespace};
pub use postgresql::{
    Extension, Hba, HbaRule, IdentMapping, PostgresqlFacts, PostgresqlRole, PostgresqlSessions, Reach, StoredPassword,
};
pub use redis::{DatabaseFlag, InfoLine, RedisFacts, RedisLink, RedisUser};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use ssh::{
    Algorithm, AuthMethod, Authentication, Group, GroupExchange, HostKey, HostKeys, Identification, Offers, SshFacts,
    SshSign, SshSpec, SshTarget,
};
pub use ssh_client::{ClientFile, ClientSetting, SshClientFacts};
pub use sshd::{
    ConfigFile, GatewayPorts, LogLevel, MatchBlock, OtherSsh, PermitRootLogin, PermitTunnel, RunningSshd, Setting,
    SshdContext, SshdFacts, TcpForwarding,
};
pub use sshd_config::{SshdConfigFacts, SshdSetting};
pub use storage::{Holder, OnDevice, StorageFacts, StoredPath};

/// Whether a thing that was looked for is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is there.
    Present,
    /// It was looked for where it would be, that place could be read, and it is not there.
    Absent,
    /// Neither was shown; `why` says what stood in the way.
    NotProven,
}

/// Something that is there, or may be, but could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotRead {
    /// Its name: a path, or `process 1234`.
    pub name: String,
    /// Always not proven.
    pub outcome: Outcome,
    /// What stood in the way.
    pub why: String,
}

impl NotRead {
    /// A thing that could not be read.
    pub fn new(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: Outcome::NotProven, why: why.into() }
    }
}
