//! What the signed assessment of an earlier run vouches for.

use std::collections::BTreeMap;

use attest::{PublicKey, Statement, VerifyError};
use jiff::Timestamp;
use model::{Digest, Evidence, pack};
use serde_json::Value;

use crate::pack::evidence_path;

/// The signed claim of an earlier run, and the list of evidence that it is about.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Digest of the bundle; names it in packs that hold evidence from it.
    pub(crate) digest: Digest,
    /// The bundle, as it was signed.
    pub(crate) bundle: Vec<u8>,
    /// The run's `evidence.sha256`.
    pub(crate) sums: Vec<u8>,
    statement: Statement,
    listed: BTreeMap<String, Digest>,
    started: Timestamp,
    finished: Timestamp,
}

/// Why an earlier assessment is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Signed by nobody whom the caller trusts: the key's fingerprint.
    SignerUnknown(String),
    /// Of another service.
    OtherService,
    /// Not what it claims to be.
    Damaged(String),
}

impl Origin {
    /// Checks a bundle and the sums that it is about, by the rules that [`crate::verify::verify`] goes by: only these keys
    /// count.
    pub(crate) fn read(bundle: Vec<u8>, sums: Vec<u8>, keys: &[PublicKey], service: &str) -> Result<Self, Refused> {
        let damaged = |why: String| Refused::Damaged(why);
        let verified = attest::verify(&bundle, keys, None).map_err(|e| match e {
            VerifyError::NoKey(fingerprint) => Refused::SignerUnknown(fingerprint.to_string()),
            other => damaged(format!("{}: {other}", pack::ASSESSMENT_BUNDLE)),
        })?;
        let statement = verified.statement;
        if statement.predicate_type != attest::TEST_RESULT {
            return Err(damaged(format!("its claim is of the type '{}'", statement.predicate_type)));
        }
        let claim =
            |name: &str| statement.predicate.get("probity").and_then(|own| own.get(name)).and_then(Value::as_str);
        if claim("service") != Some(service) {
            return Err(Refused::OtherService);
        }
        let time = |name: &str| {
            let time = claim(name).and_then(|text| text.parse::<Timestamp>().ok());
            time.ok_or_else(|| damaged(format!("its claim does not say when it {name}")))
        };
        let (started, finished) = (time("started")?, time("finished")?);
        if statement.subject(pack::EVIDENCE_SUMS) != Some(&Digest::of(&sums)) {
            return Err(damaged(format!("{} is not what was signed", pack::EVIDENCE_SUMS)));
        }
        let listed = attest::parse_sums(&sums).map_err(|e| damaged(format!("{}: {e}", pack::EVIDENCE_SUMS)))?;
        let digest = Digest::of(&bundle);
        Ok(Self { digest, bundle, sums, statement, listed, started, finished })
    }

    /// When the run ended, as signed.
    pub(crate) const fn finished(&self) -> Timestamp {
        self.finished
    }

    /// The digest of another file that was signed.
    pub(crate) fn subject(&self, name: &str) -> Option<&Digest> {
        self.statement.subject(name)
    }

    /// Whether a piece of evidence is of that run.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn vouches_for(&self, digest: &Digest, evidence: &Evidence) -> Result<(), String> {
        if self.listed.get(&evidence_path(digest)) != Some(digest) {
            return Err("not among the evidence that its run signed".to_owned());
        }
        if evidence.collected < self.started || evidence.collected > self.finished {
            return Err(format!("collected at {}, outside the run that signed it", evidence.collected));
        }
        Ok(())
    }
}
