//! A control as reports see it: everything but its expressions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Severity;

/// A place in a policy or inventory file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Path as the policy's author knows it (`controls/tls.yaml`), never absolute.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// What a reader needs to know of a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlInfo {
    /// Stable id (`TLS-PROTO-LEGACY`).
    pub id: String,
    /// One line: the state that is wanted.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// Kinds of evidence that decide it.
    pub kinds: Vec<String>,
    /// Why it matters.
    pub rationale: String,
    /// How to mend it, keyed by product (`nginx`, `sshd`, `any`).
    pub remedy: BTreeMap<String, String>,
    /// Clauses of frameworks that evidence from it helps to show.
    pub clauses: BTreeMap<String, Vec<String>>,
    /// Where it is written.
    pub source: Source,
}
