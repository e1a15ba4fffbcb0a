//! Waivers as reports see them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a waiver in one assessment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaiverState {
    /// In force, and at least one failing or inconclusive finding was waived by it.
    Used,
    /// In force, but what it waives passes today: remove it.
    Unused,
    /// In force, but no control or target of this assessment matches it.
    Unmatched,
    /// Past its expiry: it waives nothing.
    Expired,
    /// Not yet in force at `as_of`: it waives nothing.
    Early,
}

/// One waiver, as the register shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiverLine {
    /// Its id, given or derived from its content.
    pub id: String,
    /// The control waived.
    pub control: String,
    /// Pattern over target names.
    pub target: String,
    /// Who answers for the risk.
    pub owner: String,
    /// Who accepted it; never the owner.
    pub approver: String,
    /// Why.
    pub reason: String,
    /// Where it is tracked.
    pub ticket: Option<String>,
    /// When it was made.
    #[schemars(with = "Option<String>")]
    pub created: Option<Timestamp>,
    /// When it ends; at this instant it no longer holds.
    #[schemars(with = "String")]
    pub expires: Timestamp,
    /// What became of it.
    pub state: WaiverState,
    /// How many findings it waived.
    pub findings: u32,
}
