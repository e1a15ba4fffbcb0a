//! What a control says of a target.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Level};

/// How bad a failure of a control is. Ordered: `Info < Low < Medium < High < Critical`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Defence in depth.
    Low,
    /// Should be fixed in good time.
    Medium,
    /// Must be fixed soon; the default bar of the gate.
    High,
    /// Must be fixed now.
    Critical,
}

impl Severity {
    /// Every severity, least first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The severity as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no severity: info, low, medium, high or critical is wanted"))
    }
}

/// What the evidence says of a control. Not proven is not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proven to hold.
    Pass,
    /// Proven to be violated.
    Fail,
    /// Neither is proven: evidence is missing, failed, stale, empty or incomplete.
    Inconclusive,
    /// The control says nothing here; the reason is given.
    NotApplicable,
}

impl Verdict {
    /// The verdict as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// A place in the raw exchanges: file and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// Names `exchanges/<digest>.bin`.
    pub exchanges: Digest,
    /// Which exchange in it, from 0.
    pub index: u32,
}

/// One reason for a verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For people; may hold text from the target, unescaped.
    pub message: String,
    /// Path of the item in the facts (`versions[2]`), where one is meant.
    pub item: Option<String>,
    /// The raw exchanges behind it.
    pub cites: Vec<Citation>,
}

/// One (policy, control, target): a verdict and its reasons. A pass is a finding too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Name of the policy.
    pub policy: Arc<str>,
    /// Id of the control.
    pub control: Arc<str>,
    /// Name of the target; the service's own name where the finding is on the service as a whole.
    pub target: Arc<str>,
    /// What was concluded.
    pub verdict: Verdict,
    /// The control's severity.
    pub severity: Severity,
    /// Id of the waiver in force for it (a failure or an inconclusive one that does not block).
    pub waiver: Option<Arc<str>>,
    /// Level of the evidence that it rests on; null where there is none.
    pub level: Option<Level>,
    /// Why; empty only for a pass.
    pub reasons: Vec<Reason>,
    /// What would have passed, with this policy's parameters; null for a pass.
    pub wanted: Option<String>,
    /// Digests of the evidence that it rests on (`evidence/<digest>.json`).
    pub evidence: Vec<Digest>,
}
