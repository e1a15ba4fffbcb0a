//! Judges a pack again, under its own policies or others, at its own instant or another.

use jiff::Timestamp;
use model::{Assessment, Digest, InputDigests, Run, pack};
use policy::{Policy, Waivers};

use crate::Error;
use crate::assess::{Inputs, assess};
use crate::pack::Reader;
use crate::resolved::{PolicyUse, Resolved};
use crate::seal::pieces;
use crate::verify::{read_assessment, rejudge, stored_waivers};

/// What to judge by instead of what the pack holds.
#[derive(Clone, Debug, Default)]
pub struct Instead {
    /// Other policies.
    pub policies: Option<Vec<Policy>>,
    /// Other waivers: parsed, and as given.
    pub waivers: Option<(Waivers, Vec<u8>)>,
    /// Another instant.
    pub as_of: Option<Timestamp>,
    /// Another bar.
    pub fail_on: Option<model::Severity>,
}

impl Instead {
    /// Whether anything is replaced: then the result is hypothetical.
    #[must_use]
    pub const fn is_anything(&self) -> bool {
        self.policies.is_some() || self.waivers.is_some() || self.as_of.is_some() || self.fail_on.is_some()
    }
}

/// The run, in a folder that `collect` wrote.
pub const RUN: &str = "run.json";

/// Judges a folder of evidence, a pack or what `collect` wrote. Always hypothetical.
///
/// # Errors
/// Where it can't be read.
pub fn judge(reader: &Reader, instead: &Instead) -> Result<Assessment, Error> {
    let run: Run = if reader.has(RUN) {
        model::from_json(&reader.file(RUN)?).map_err(|e| Error::Pack(format!("{RUN}: {e}")))?
    } else {
        read_assessment(reader)?.run
    };
    hypothetical(reader, instead, &run, run.finished)
}

/// Judges the evidence of a pack. With nothing replaced the result is the pack's own assessment, byte for byte.
///
/// # Errors
/// Where the pack can't be read.
pub fn replay(reader: &Reader, instead: &Instead) -> Result<Assessment, Error> {
    let original = read_assessment(reader)?;
    let digests = reader.evidence_digests()?;
    if !instead.is_anything() {
        return rejudge(reader, &original, &digests);
    }
    hypothetical(reader, instead, &original.run, original.as_of)
}

fn hypothetical(reader: &Reader, instead: &Instead, run: &Run, as_of: Timestamp) -> Result<Assessment, Error> {
    let digests = reader.evidence_digests()?;
    let mut resolved = Resolved::from_yaml(&reader.file(pack::INVENTORY)?)?;
    let (policies, policy_bytes) = match &instead.policies {
        Some(policies) => {
            resolved.policies = policies
                .iter()
                .map(|p| PolicyUse { policy: p.name.clone(), labels: std::collections::BTreeMap::new() })
                .collect();
            (policies.clone(), policy_yaml(policies)?)
        }
        None => {
            let bytes = reader.file(pack::POLICY)?;
            (crate::load_policies(&bytes)?, bytes)
        }
    };
    let (waivers, waivers_bytes) = match &instead.waivers {
        Some(waivers) => waivers.clone(),
        None => {
            let bytes = reader.file(pack::WAIVERS)?;
            (stored_waivers(&bytes)?, bytes)
        }
    };
    resolved.fail_on = instead.fail_on.unwrap_or(resolved.fail_on);
    let inputs = Inputs {
        resolved: &resolved,
        policies: &policies,
        waivers: &waivers,
        run,
        as_of: instead.as_of.unwrap_or(as_of),
        hypothetical: true,
        digests: InputDigests {
            policy: Digest::of(&policy_bytes),
            waivers: Digest::of(&waivers_bytes),
            inventory: Digest::of(&resolved.to_yaml()?),
            evidence: Digest::of(&reader.file(pack::EVIDENCE_SUMS)?),
        },
    };
    assess(&inputs, pieces(reader, &digests), |digest| reader.prior(digest))
}

pub(crate) fn policy_yaml(policies: &[Policy]) -> Result<Vec<u8>, Error> {
    policy::policies_to_yaml(policies).map_err(|e| Error::Defect(format!("policy.yaml: {e}")))
}
