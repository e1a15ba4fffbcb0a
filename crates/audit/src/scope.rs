//! Evidence of the kind `scope`: what listens on this machine, and whether the inventory declares it.
//!
//! It joins what the `listeners` probe found with the inventory, so that "discovered but undeclared" is judged by a
//! control like everything else.

use model::{Kind, Level};
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
}

/// What listens, beside what is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ScopeFacts {
    /// The inventory claims to declare everything that listens here.
    pub complete: bool,
    /// `"all"` where every socket of this machine could be listed, else nothing.
    pub asked: Looked,
    /// The sockets.
    pub sockets: Vec<Socket>,
}

/// Whether the list is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked(pub bool);

impl Serialize for Looked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 { serializer.serialize_str("all") } else { serializer.collect_seq(std::iter::empty::<&str>()) }
    }
}

impl JsonSchema for Looked {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Looked".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "const": "all" }, { "type": "array", "items": { "type": "string" } }] })
    }
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
