//! The policy engine: reads, lints and resolves YAML policies, and judges evidence against them.
//!
//! The format of the files is described in `docs/policy-format.md`. Nothing here reads a clock, a file, the network
//! or the environment: the caller hands over a map from path to bytes ([`Sources`]), the JSON Schemas of the facts
//! ([`Kinds`]) and the instant of judgement. The same input gives the same bytes.

#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

mod cases;
mod check;
mod control;
mod decide;
mod diagnostic;
mod edit;
mod emit;
mod expr;
mod fact;
mod gate;
mod judge;
mod library;
mod mutate;
mod path;
mod policy;
mod prior;
mod profile;
mod read;
mod schema;
mod suite;
mod template;
mod waiver;
pub mod yaml;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use control::{Asks, Control, Names, Needs, Param, Params, Scope, Written};
pub use diagnostic::{Diagnostic, Diagnostics, Gravity};
pub use gate::{counts, gate};
pub use judge::{Judge, Judged, Labels, Only};
pub use library::Library;
pub use policy::{Policy, asks, policies_from_yaml, policies_to_yaml};
pub use prior::{Earlier, windows};
pub use profile::Profile;
pub use suite::{Survivor, TestReport, run_tests};
pub use waiver::{Waiver, Waivers, glob};

/// One file of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
    /// True where it ships with Probity, false where it is the user's.
    pub shipped: bool,
}

/// Files by path, `/` between parts. The last folder decides what a file is: `controls`, `profiles`, `tests`.
pub type Sources = BTreeMap<String, SourceFile>;

/// What is known of a kind of evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct KindInfo {
    /// Its level.
    pub level: model::Level,
    /// JSON Schema of its facts.
    pub schema: serde_json::Value,
}

/// Kinds of evidence by name.
pub type Kinds = BTreeMap<String, KindInfo>;
