//! Sockets that wait for others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, NotRead, Outcome};

/// Transport of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
}

/// The process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Process {
    /// Process number; the lowest, where several hold the socket.
    pub pid: u32,
    /// Name as the kernel keeps it, at most 15 bytes; a process may change it.
    pub name: Option<String>,
    /// Path of its program; null where that can't be read.
    pub exe: Option<String>,
    /// The program file was replaced or removed after the process began; null where that can't be read.
    pub exe_deleted: Option<bool>,
    /// How many processes hold the socket.
    pub holders: u32,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Socket {
    /// Stable from run to run: `tcp:0.0.0.0:22`, `tcp:[::1]:25`, `udp:127.0.0.1:323`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Transport.
    pub protocol: Protocol,
    /// Local address: `0.0.0.0`, `::1`, …
    pub address: String,
    /// Local port.
    pub port: u16,
    /// Bound to a loopback address: other machines can't reach it.
    pub loopback: bool,
    /// Bound to every address of the machine (`0.0.0.0` or `::`).
    pub wildcard: bool,
    /// Address and port at which this machine itself can reach it (`127.0.0.1:22`, `[::1]:25`); null for link-local
    /// addresses, which need an interface.
    pub reach: Option<String>,
    /// User number that made it.
    pub uid: u32,
    /// Its inode: the number that ties it to a process.
    pub inode: u64,
    /// The process that holds it; null where not shown.
    pub process: Option<Process>,
    /// Why the process is not shown.
    pub process_why: Option<String>,
}

/// All sockets that wait for others in this network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListenersFacts {
    /// The network namespace that was looked at (network_namespaces(7)): `net:[4026531840]`; containers with a
    /// namespace of their own are not in it.
    pub network_namespace: Option<String>,
    /// Tables searched: `"all"`, or some of `tcp`, `tcp6`, `udp`, `udp6`. A kernel without IPv6 has no table for it;
    /// that counts as searched.
    pub asked: Asked,
    /// TCP sockets in state LISTEN, by port.
    pub listeners: Vec<Socket>,
    /// UDP sockets that no peer is fixed for, by port. Whether a service answers there is not known.
    pub datagrams: Vec<Socket>,
    /// Tables and lines that could not be read.
    pub not_read: Vec<NotRead>,
    /// Processes whose sockets could not be read, so that sockets without `process` may be theirs.
    pub processes_not_read: u32,
}
