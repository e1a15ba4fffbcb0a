//! What is looked at.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sort of thing a target is and how to reach it, erased to JSON so that no layer above the
/// check crates needs to know their types. `kind` is the key of the inventory (`tls`, `ssh`, `host`, …).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The inventory's key for this sort of target.
    pub sort: String,
    /// The check crate's own parameters for it, defaults filled in, one address chosen.
    pub spec: serde_json::Value,
}

/// One thing to look at: an endpoint at one address, a key file, the host itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Unique in an audit and stable from run to run: `edge@203.0.113.7`, `tls:127.0.0.1:443`, `host`.
    pub name: String,
    /// The declared name it comes from (`edge`); equal to `name` where nothing was expanded.
    pub of: String,
    /// How it is shown to people: `chat.example.org:443`.
    pub address: String,
    /// The inventory's labels.
    pub labels: BTreeMap<String, String>,
    /// Found by Probity rather than written in an inventory or on the command line.
    pub discovered: bool,
    /// What it is.
    pub subject: Subject,
}
