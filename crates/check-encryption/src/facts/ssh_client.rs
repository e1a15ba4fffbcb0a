//! What the SSH clients of this machine are told by configuration files.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Asked, NotRead, Outcome};

/// A setting of ssh_config(5) that bears on security.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientSetting {
    /// `path:line`.
    pub name: String,
    /// The file.
    pub path: String,
    /// The account whose file it is; null for the machine's.
    pub account: Option<String>,
    /// Its line, from 1.
    pub line: u32,
    /// What it holds for: `Host *`, `Match user git`, …; `Host *` where nothing stands before it.
    pub scope: String,
    /// It holds for every host.
    pub everywhere: bool,
    /// Keyword in lower case.
    pub keyword: String,
    /// Its value as written, in lower case where the keyword takes a word.
    pub value: String,
}

/// A configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientFile {
    /// Its path.
    pub name: String,
    /// The account whose file it is; null for the machine's.
    pub account: Option<String>,
    /// Present, absent, or not proven: it could not be read.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
}

/// The client configurations of this machine and of its accounts. What holds in the end is not worked out: of several
/// values for one host the first counts (ssh_config(5)), and the command line comes before all files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SshClientFacts {
    /// `"all"` where every file was read or does not exist, else the paths of those.
    pub asked: Asked,
    /// Every file looked for, with those that they include.
    pub files: Vec<ClientFile>,
    /// Settings that bear on whom a client trusts and what it hands on: host keys, forwarding, algorithms.
    pub settings: Vec<ClientSetting>,
    /// What could not be read.
    pub not_read: Vec<NotRead>,
}
