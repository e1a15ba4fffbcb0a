//! The inventory as it was resolved: every address, every discovered target, every thing left out. It is what a pack
//! holds, and all that judging needs beside evidence, policies and waivers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{Digest, NotLookedAt, Notice, Severity, Target, Undeclared};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A policy, and the targets that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyUse {
    /// The policy's name.
    pub policy: String,
    /// Labels that a target must carry; empty for all targets.
    pub labels: BTreeMap<String, String>,
}

/// Where the inventory was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The file as it was named on the command line.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// A piece of evidence of an earlier run that the pack holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorPiece {
    /// Names the file `prior/<digest>.json`.
    pub digest: Digest,
    /// Its kind.
    pub kind: String,
    /// The name of its target.
    pub target: String,
    /// When it was collected.
    pub collected: Timestamp,
    /// Names the folder `prior/<origin>` with the signed claim of the run that it comes from.
    pub origin: Digest,
}

/// A resolved inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// [`Resolved::FORMAT`].
    pub format: String,
    /// The service's name.
    pub service: String,
    /// The file that it comes from; null where the targets were named on the command line.
    pub written: Option<Written>,
    /// Which policies, in order.
    pub policies: Vec<PolicyUse>,
    /// The least severity that blocks.
    pub fail_on: Severity,
    /// The kinds of evidence that were collected of each sort of target: each target has one piece of each.
    pub probes: BTreeMap<String, Vec<String>>,
    /// The only kinds that the run was about, where it was narrowed: drills. Judged by controls over these alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_kinds: Option<Vec<String>>,
    /// Every target, declared ones first, in order.
    pub targets: Vec<Target>,
    /// Found but not declared, where the inventory claims to be complete.
    pub undeclared: Vec<Undeclared>,
    /// What was left out, and why.
    pub not_looked_at: Vec<NotLookedAt>,
    /// Evidence of earlier runs, by kind and target, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prior: Vec<PriorPiece>,
    /// What a reader must know of how this came about.
    pub notices: Vec<Notice>,
}

impl Resolved {
    /// The version of this format. Old ones stay readable or are refused by name.
    pub const FORMAT: &str = "probity.inventory/v1";

    /// The bytes of a pack's `inventory.yaml`.
    ///
    /// # Errors
    /// Where it can't be written as YAML; a defect.
    pub fn to_yaml(&self) -> Result<Vec<u8>, Error> {
        serde_yaml::to_string(self).map(String::into_bytes).map_err(|e| Error::Defect(format!("inventory.yaml: {e}")))
    }

    /// Reads what [`Resolved::to_yaml`] wrote.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn from_yaml(bytes: &[u8]) -> Result<Self, Error> {
        let fail = |e: String| Error::Pack(format!("{}: {e}", model::pack::INVENTORY));
        let text = std::str::from_utf8(bytes).map_err(|e| fail(e.to_string()))?;
        let options = serde_saphyr::options! {
            // A target takes some 20 nodes; the bound allows for 100,000 targets.
            budget: serde_saphyr::budget! {
                max_events: 8_000_000, max_nodes: 4_000_000, max_aliases: 0, max_anchors: 0, max_depth: 32,
                flow_nesting_limit: 32, max_total_scalar_bytes: 1 << 29, max_reader_input_bytes: Some(1 << 29),
            },
            strict_booleans: true,
            with_snippet: false,
        };
        let resolved: Self = serde_saphyr::from_str_with_options(text, options).map_err(|e| fail(e.to_string()))?;
        if resolved.format != Self::FORMAT {
            return Err(fail(format!("its format is '{}'; this program reads {}", resolved.format, Self::FORMAT)));
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_digest_that_looks_like_a_number_is_read_back_as_it_was() {
        let piece = |digits: &str| PriorPiece {
            digest: digits.repeat(64).get(..64).unwrap_or_default().parse().unwrap(),
            kind: "true".into(),
            target: "1e9".into(),
            collected: Timestamp::UNIX_EPOCH,
            origin: format!("{}e1", "1".repeat(62)).parse().unwrap(),
        };
        let resolved = Resolved {
            format: Resolved::FORMAT.into(),
            service: "null".into(),
            written: None,
            policies: vec![],
            fail_on: Severity::High,
            probes: BTreeMap::new(),
            only_kinds: None,
            targets: vec![],
            undeclared: vec![],
            not_looked_at: vec![],
            prior: vec![piece("1"), piece("0"), piece("12e3")],
            notices: vec![],
        };
        let bytes = resolved.to_yaml().unwrap();
        assert_eq!(Resolved::from_yaml(&bytes).unwrap(), resolved);
        // Packs of runs that took nothing have no such key, as those of before.
        let bytes = Resolved { prior: vec![], ..resolved }.to_yaml().unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("prior"));
    }
}
