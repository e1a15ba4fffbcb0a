//! Evidence of the kind `scope`: what listens on this machine, whether the inventory declares it, and what it speaks.
//!
//! It joins what the probes of the kinds `listeners` and `tls-hello` found with the inventory, so that "discovered but
//! undeclared" and "nobody knows what this is" are judged by controls like everything else.

use model::{Asked, Kind, Level};
use schemars::JsonSchema;
use serde::Serialize;

/// Whether a socket is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Declaration {
    /// A target of the inventory names it.
    Declared,
    /// The inventory leaves it out, with a reason.
    Excluded,
    /// The inventory does not know it.
    Undeclared,
}

/// What came of asking a socket for TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It speaks TLS, and is a target of its own.
    Present,
    /// It does not.
    Absent,
    /// It was asked and did not say, or could not be asked.
    NotProven,
    /// It was not asked here, being declared or left out by the inventory.
    LeftOut,
}

/// Whether a socket speaks TLS, from evidence of the kind `tls-hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tls {
    /// Whether it does.
    pub outcome: Answer,
    /// Why that is not proven.
    pub why: Option<String>,
    /// What it speaks instead, where its first words tell: `http`, `ssh`, …
    pub spoke: Option<String>,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Socket {
    /// `tcp:0.0.0.0:22`.
    pub name: String,
    /// Whether it is declared.
    pub outcome: Declaration,
    /// The inventory's reason to leave it out.
    pub why: Option<String>,
    /// Name of the process behind it; null where it can't be told.
    pub process: Option<String>,
    /// Reachable from this machine alone.
    pub loopback: bool,
    /// Whether it speaks TLS.
    pub tls: Tls,
}

/// What listens, beside what is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScopeFacts {
    /// The inventory claims to declare everything that listens here.
    pub complete: bool,
    /// `"all"` where every socket of this machine could be listed, else nothing.
    pub asked: Asked,
    /// The sockets.
    pub sockets: Vec<Socket>,
}

/// The kind: the kernel says what listens.
#[must_use]
pub const fn kind() -> Kind {
    Kind::new("scope", Level::Effective)
}

/// The JSON Schema of its facts.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(ScopeFacts)
}
