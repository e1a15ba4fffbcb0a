//! The machine itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// The operating system by its own word (os-release(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OperatingSystem {
    /// Present where os-release could be read, absent where there is none.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// `ID`: `debian`, `alpine`, …
    pub id: Option<String>,
    /// `VERSION_ID`: `12`; null for rolling systems.
    pub version: Option<String>,
    /// `PRETTY_NAME`, for people.
    pub name: Option<String>,
}

/// What this program itself was allowed to do while it looked (/proc/self/status).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Privileges {
    /// Present where the kernel told.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Effective user number.
    pub effective_uid: Option<u32>,
    /// Effective user number 0 and the capability to read any file (`CAP_DAC_READ_SEARCH` or `CAP_DAC_OVERRIDE`).
    pub privileged: Option<bool>,
    /// Effective capabilities by name (capabilities(7)), such as `CAP_SYS_PTRACE`.
    pub capabilities: Vec<String>,
    /// User number 0 here is another user outside (user_namespaces(7)); null where not shown.
    pub user_namespace: Option<bool>,
}

/// A sign of something that can be shown to be there but never to be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sign {
    /// Present, or not proven.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// What it is called, such as `docker` or the product name of the virtual machine.
    pub detail: Option<String>,
    /// The file that shows it.
    pub shown_by: Option<String>,
}

/// Who said whether the clock is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// `chronyc tracking`: the chrony daemon.
    Chrony,
    /// `timedatectl show`: the kernel's own flag (adjtimex(2)), through systemd.
    Timedatectl,
    /// The mark that systemd-timesyncd leaves in /run after it has set the clock.
    Timesyncd,
}

/// Whether the clock follows a time server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Clock {
    /// Present: synchronised. Absent: a source says that it is not. Else not proven.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// The same as a boolean; null where not proven.
    pub synchronised: Option<bool>,
    /// Most that the clock may be wrong by, in milliseconds rounded up; null where the source does not tell.
    pub error_millis: Option<i64>,
    /// Who said so.
    pub source: Option<ClockSource>,
}

/// All that was seen of the machine itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostFacts {
    /// Node name.
    pub hostname: Option<String>,
    /// Operating system.
    pub os: OperatingSystem,
    /// Release of the running kernel: `6.1.0-28-amd64`.
    pub kernel: Option<String>,
    /// Machine name of the kernel (uname(2)): `x86_64`, `aarch64`.
    pub architecture: String,
    /// When the kernel started, RFC 3339 in UTC, by the clock as it is now.
    pub booted: Option<String>,
    /// The kernel's own cryptography runs in FIPS mode (/proc/sys/crypto/fips_enabled).
    pub fips_mode: Option<bool>,
    /// Rights of this program.
    pub privileges: Privileges,
    /// Signs of a container around this program.
    pub container: Sign,
    /// Signs of a virtual machine beneath the kernel.
    pub virtual_machine: Sign,
    /// The clock.
    pub clock: Clock,
}
