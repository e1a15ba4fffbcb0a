//! The SSH server's effective settings, by its own word (`sshd -T`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// `PermitRootLogin` (sshd_config(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PermitRootLogin {
    /// By any method.
    Yes,
    /// Never.
    No,
    /// By keys, never by password; printed as `without-password` too.
    #[serde(alias = "without-password")]
    ProhibitPassword,
    /// By keys that carry a command, for that command alone.
    ForcedCommandsOnly,
}

/// `AllowTcpForwarding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TcpForwarding {
    /// Both ways; printed as `all` too.
    #[serde(alias = "all")]
    Yes,
    /// None.
    No,
    /// From the client to the server's side only.
    Local,
    /// From the server's side to the client only.
    Remote,
}

/// `PermitTunnel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PermitTunnel {
    /// Both layers.
    Yes,
    /// None.
    No,
    /// Layer 3.
    PointToPoint,
    /// Layer 2.
    Ethernet,
}

/// `GatewayPorts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayPorts {
    /// Forwarded ports are open to other machines.
    Yes,
    /// To this machine only.
    No,
    /// As the client asks.
    Clientspecified,
}

/// `LogLevel`, least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Nothing.
    Quiet,
    /// What ends the server.
    Fatal,
    /// Errors.
    Error,
    /// Log-ins.
    Info,
    /// Log-ins with key fingerprints.
    Verbose,
    /// The same as DEBUG1.
    Debug,
    /// Breaks the users' privacy (sshd_config(5)).
    Debug1,
    /// More of it.
    Debug2,
    /// Most of it.
    Debug3,
}

/// One setting inside a `Match` block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Setting {
    /// Keyword, lower case.
    pub name: String,
    /// The rest of the line.
    pub value: String,
}

/// A `Match` block: settings that hold for some connections only, and that `sshd -T` does not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MatchBlock {
    /// `file:line`.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// What it matches: `User git`.
    pub criteria: String,
    /// Its settings, in order.
    pub settings: Vec<Setting>,
    /// Names of the settings that it changes, lower case.
    pub changes: Vec<String>,
}

/// What holds for one connection: the server was asked about it by `sshd -T -C`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SshdContext {
    /// The connection, as `-C` takes it: `user=root,host=192.0.2.1,addr=192.0.2.1,laddr=192.0.2.2,lport=22`; where none
    /// was found, the block that one was looked for.
    pub name: String,
    /// Present: the server told its settings for it. Not proven: it did not, or no connection fits the block.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// The `Match` blocks that it was made up for, by name; empty for root and for an ordinary account.
    pub blocks: Vec<String>,
    /// Settings whose values differ from those for everybody, each value by itself.
    pub settings: Vec<Setting>,
    /// Names of those settings, lower case; where not proven, of the settings in the block.
    pub changes: Vec<String>,
}

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConfigFile {
    /// Its path.
    pub name: String,
    /// Present where read, absent where it does not exist.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// When its content, name or permissions last changed by the kernel's clock (ctime), RFC 3339 in UTC; null where not
    /// shown.
    pub changed: Option<String>,
}

/// A running SSH server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunningSshd {
    /// `pid 812`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Process number.
    pub pid: u32,
    /// Effective user number; null where not shown.
    pub uid: Option<u32>,
    /// It sees the same file system as this program, and so the same configuration (not one in a container); null where
    /// not shown.
    pub same_namespace: Option<bool>,
    /// Path of its program; null where that can't be read.
    pub exe: Option<String>,
    /// The program file was replaced or removed after the process began (an update without a restart); null where that
    /// can't be read.
    pub exe_deleted: Option<bool>,
    /// Its command line as it shows it.
    pub command: String,
    /// When it began, RFC 3339 in UTC; null where not shown.
    pub started: Option<String>,
    /// A configuration file changed after it began, so that its settings may differ from `settings`; null where not
    /// shown. A reload (SIGHUP) starts the server anew under the same number and the old time.
    pub config_newer: Option<bool>,
    /// Sockets on which it listens, by the names that the kind `listeners` uses; empty where not shown.
    pub sockets: Vec<String>,
}

/// A program that listens, and speaks SSH by all signs, but is not the server that told its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OtherSsh {
    /// `pid 812`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Path of its program; null where that can't be read.
    pub exe: Option<String>,
    /// What speaks for it: `name` (as `dropbear`), `title` (it calls itself as sshd does), `program` (it holds the greeting of
    /// an SSH server), `port` (it listens at 22).
    pub signs: Vec<String>,
    /// Sockets on which it listens.
    pub sockets: Vec<String>,
}

/// The SSH server of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SshdFacts {
    /// Present: the settings are known. Absent: no SSH server was found where one would be. Not proven: there is one,
    /// or may be, and its settings could not be read.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// A program `sshd` was found.
    pub installed: bool,
    /// Where it is.
    pub path: Option<String>,
    /// What it says its version is: `OpenSSH_9.2p1 Debian-2+deb12u3`.
    pub version: Option<String>,
    /// Where it was looked for.
    pub looked_for: Vec<String>,
    /// The command that gave the settings, as words; empty where none was run.
    pub command: Vec<String>,
    /// Every effective setting outside `Match` blocks: lower-case keyword → values, in order.
    pub settings: BTreeMap<String, Vec<String>>,
    /// `PasswordAuthentication`; null, as below, where not shown or in a form that this program does not know.
    pub password_authentication: Option<bool>,
    /// `KbdInteractiveAuthentication` (formerly `ChallengeResponseAuthentication`).
    pub kbd_interactive_authentication: Option<bool>,
    /// `PubkeyAuthentication`.
    pub pubkey_authentication: Option<bool>,
    /// `PermitRootLogin`.
    pub permit_root_login: Option<PermitRootLogin>,
    /// `PermitEmptyPasswords`.
    pub permit_empty_passwords: Option<bool>,
    /// `UsePAM`.
    pub use_pam: Option<bool>,
    /// `StrictModes`.
    pub strict_modes: Option<bool>,
    /// `X11Forwarding`.
    pub x11_forwarding: Option<bool>,
    /// `AllowTcpForwarding`.
    pub allow_tcp_forwarding: Option<TcpForwarding>,
    /// `AllowAgentForwarding`.
    pub allow_agent_forwarding: Option<bool>,
    /// `PermitTunnel`.
    pub permit_tunnel: Option<PermitTunnel>,
    /// `GatewayPorts`.
    pub gateway_ports: Option<GatewayPorts>,
    /// `DisableForwarding`: overrides the others.
    pub disable_forwarding: Option<bool>,
    /// `LogLevel`.
    pub log_level: Option<LogLevel>,
    /// `MaxAuthTries`.
    pub max_auth_tries: Option<u32>,
    /// `LoginGraceTime` in seconds; 0 is no limit.
    pub login_grace_seconds: Option<u32>,
    /// `Ciphers`, in the server's order; null where not shown.
    pub ciphers: Option<Vec<String>>,
    /// `MACs`, likewise.
    pub macs: Option<Vec<String>>,
    /// `KexAlgorithms`, likewise.
    pub kex_algorithms: Option<Vec<String>>,
    /// `HostKeyAlgorithms`, likewise.
    pub host_key_algorithms: Option<Vec<String>>,
    /// `PubkeyAcceptedAlgorithms`, likewise.
    pub pubkey_accepted_algorithms: Option<Vec<String>>,
    /// `HostKey`: paths of the host keys.
    pub host_keys: Option<Vec<String>>,
    /// Configuration files read for `match_blocks`.
    pub config_files: Vec<ConfigFile>,
    /// `Match` blocks in them; null where a file could not be read.
    pub match_blocks: Option<Vec<MatchBlock>>,
    /// Connections that the server was asked about: of root, of an ordinary account (the first with a shell and a number
    /// from 1000 on, else `nobody`), and one for each `Match` block. Others may fit the same block and get other settings.
    /// Null where the server does not tell its settings at all.
    pub contexts: Option<Vec<SshdContext>>,
    /// Sockets that are this server's, as the kind `listeners` names them: those that its processes hold, and those that
    /// its settings name (`ListenAddress`), which another program may hold.
    pub sockets: Vec<String>,
    /// SSH servers that run. One that systemd starts for each connection (`ssh.socket`) is not among them, and without
    /// root only the one named in /run/sshd.pid is.
    pub running: Vec<RunningSshd>,
    /// Programs beside it that listen and speak SSH by all signs, whose settings are not told here.
    pub others: Vec<OtherSsh>,
    /// Sockets on which those listen.
    pub other_sockets: Vec<String>,
}
