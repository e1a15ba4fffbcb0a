//! All findings over one set of evidence at one instant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ControlInfo, Digest, Finding, Run, Severity, WaiverLine};

/// A policy that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyRef {
    /// Its name.
    pub name: String,
    /// Its version, as its author numbers it.
    pub version: String,
    /// One line.
    pub title: String,
    /// Where its rules come from.
    pub source: Option<String>,
    /// Digest of the resolved policy.
    pub digest: Digest,
    /// True where it bears a shipped name but differs from what was shipped.
    pub modified: bool,
}

/// How findings add up. Waived ones are counted as failing or inconclusive *and* as waived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Proven to hold.
    pub pass: u32,
    /// Proven to be violated.
    pub fail: u32,
    /// Not proven.
    pub inconclusive: u32,
    /// Says nothing here.
    pub not_applicable: u32,
    /// Failing or inconclusive, and waived.
    pub waived: u32,
}

/// What the gate concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing at or above the bar fails or is unproven, waived ones aside.
    Passed,
    /// Something at or above the bar fails and is not waived.
    Failed,
    /// Nothing fails, but something at or above the bar is not proven and not waived, or the run was interrupted.
    Inconclusive,
}

/// The gate: which findings block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Findings at or above this severity block.
    pub fail_on: Severity,
    /// The conclusion.
    pub outcome: Outcome,
    /// Failures at or above the bar, not waived.
    pub failing: u32,
    /// Unproven ones at or above the bar, not waived.
    pub unproven: u32,
    /// Failures below the bar, not waived.
    pub below: u32,
}

/// One target, as the coverage section lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetLine {
    /// Unique name.
    pub name: String,
    /// The declared name that it comes from.
    pub of: String,
    /// How it is shown.
    pub address: String,
    /// The inventory's labels.
    pub labels: BTreeMap<String, String>,
    /// Found rather than declared.
    pub discovered: bool,
    /// The evidence on it, by kind.
    pub evidence: BTreeMap<String, Digest>,
    /// True where at least one piece of evidence on it is a failure.
    pub failed: bool,
    /// Its findings.
    pub counts: Counts,
    /// Connections it took.
    pub connections: u32,
}

/// Something in scope that was not looked at, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotLookedAt {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Something found that no inventory declares, where the inventory claims to be complete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Undeclared {
    /// Name of the discovered target.
    pub target: String,
    /// Who or what is behind it, where known.
    pub what: String,
}

/// The population behind the findings: declared, discovered, probed, judged, not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Targets the inventory or the command line names, one per address.
    pub declared: u32,
    /// Targets found.
    pub discovered: u32,
    /// Targets with at least one piece of evidence that holds facts.
    pub probed: u32,
    /// Targets with at least one finding that is a pass or a failure.
    pub judged: u32,
    /// Every target.
    pub targets: Vec<TargetLine>,
    /// Found but not declared.
    pub undeclared: Vec<Undeclared>,
    /// What was left out.
    pub not_looked_at: Vec<NotLookedAt>,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeLevel {
    /// Must be seen.
    Warning,
    /// Worth seeing.
    Note,
}

/// Something about the assessment as a whole that a reader must see: an expired waiver, a label without targets, …
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// How loud.
    pub level: NoticeLevel,
    /// What, and what to do next.
    pub message: String,
}

/// Digests of what was judged; the files are in the pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputDigests {
    /// `policy.yaml`.
    pub policy: Digest,
    /// `waivers.yaml`.
    pub waivers: Digest,
    /// `inventory.yaml`.
    pub inventory: Digest,
    /// `evidence.sha256`.
    pub evidence: Digest,
}

/// All findings over one set of evidence at one instant. A function of evidence, policy, waivers, inventory, run
/// and `as_of`, and of nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// [`Assessment::FORMAT`].
    pub format: String,
    /// The service audited.
    pub service: String,
    /// Judged under another policy or at another date than the audit itself; never signed as an audit.
    pub hypothetical: bool,
    /// The instant of judgement, UTC.
    #[schemars(with = "String")]
    pub as_of: Timestamp,
    /// The run that collected the evidence.
    pub run: Run,
    /// The policies judged, in the order asked for.
    pub policies: Vec<PolicyRef>,
    /// Every control judged, by id.
    pub controls: BTreeMap<String, ControlInfo>,
    /// What blocks.
    pub gate: Gate,
    /// How the findings add up.
    pub counts: Counts,
    /// What was looked at.
    pub coverage: Coverage,
    /// The register of waivers.
    pub waivers: Vec<WaiverLine>,
    /// What a reader must see beside the findings.
    pub notices: Vec<Notice>,
    /// What was judged.
    pub digests: InputDigests,
    /// Sorted by policy (in the order of `policies`), control, target.
    pub findings: Vec<Finding>,
}

impl Assessment {
    /// The version of this format. Old ones stay readable or are refused by name.
    pub const FORMAT: &str = "probity.assessment/v1";
}
