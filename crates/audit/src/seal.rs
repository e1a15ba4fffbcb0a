//! Judges what was collected, renders it, and signs the pack.

use jiff::Timestamp;
use model::{Assessment, Digest, Evidence, Finding, InputDigests, Run, Verdict, pack};
use policy::{Policy, Waivers};
use report::{RENDERERS, Signature, Style, View};
use serde_json::json;

use crate::Error;
use crate::assess::{Inputs, assess};
use crate::keys::Signer;
use crate::pack::{Reader, Writer};
use crate::replay::policy_yaml;
use crate::resolved::Resolved;

/// What a pack is made of, evidence left out, which is in the folder already.
pub struct Contents<'a> {
    /// The inventory as resolved.
    pub resolved: &'a Resolved,
    /// The policies as resolved.
    pub policies: &'a [Policy],
    /// The waivers, parsed.
    pub waivers: &'a Waivers,
    /// The waivers, as given.
    pub waivers_bytes: &'a [u8],
    /// The run that collected.
    pub run: &'a Run,
    /// The instant of judgement.
    pub as_of: Timestamp,
    /// The evidence in the folder.
    pub evidence: &'a [Digest],
    /// Where the inventory is written, for annotations.
    pub inventory: Option<&'a model::Source>,
}

/// The bytes of `waivers.yaml` where there are none.
pub const NO_WAIVERS: &[u8] = b"waivers: []\n";

/// The signature that a signer gives, as reports show it.
#[must_use]
pub fn signature_of(signer: &Signer) -> Signature {
    match signer {
        Signer::Key { key, label, self_made } => Signature::Signed {
            fingerprint: key.public().fingerprint().to_string(),
            label: Some(label.clone()),
            trust: if *self_made { report::Trust::SelfMade } else { report::Trust::Trusted },
        },
        Signer::Nobody(why) => Signature::Unsigned { why: why.clone() },
    }
}

/// Judges and writes everything but evidence into the pack; signs it last.
///
/// # Errors
/// Where a file can't be written.
pub fn seal(writer: &mut Writer, contents: &Contents<'_>, signer: &Signer) -> Result<Assessment, Error> {
    let sums = writer.evidence_sums()?;
    let digests = InputDigests {
        policy: writer.file(pack::POLICY, &policy_yaml(contents.policies)?)?,
        waivers: writer.file(pack::WAIVERS, contents.waivers_bytes)?,
        inventory: writer.file(pack::INVENTORY, &contents.resolved.to_yaml()?)?,
        evidence: writer.file(pack::EVIDENCE_SUMS, &sums)?,
    };
    let reader = Reader::open(writer.root())?;
    let inputs = Inputs {
        resolved: contents.resolved,
        policies: contents.policies,
        waivers: contents.waivers,
        run: contents.run,
        as_of: contents.as_of,
        hypothetical: false,
        digests,
    };
    let pieces = contents.evidence.iter().map(|digest| Ok((*digest, reader.evidence(digest)?)));
    let assessment = assess(&inputs, pieces, |digest| reader.prior(digest))?;
    writer.file(pack::ASSESSMENT, &model::canonical_json(&assessment).map_err(|e| Error::Defect(e.to_string()))?)?;

    let mut bundle = None;
    if let Signer::Key { key, .. } = signer {
        let signed = sign(writer, &pack::ASSESSMENT_SUBJECTS, predicate(&assessment, &signature_of(signer)), key)?;
        writer.file(pack::ASSESSMENT_BUNDLE, &signed)?;
        writer.file(pack::PUBLIC_KEY, key.public().to_pem().as_bytes())?;
        bundle = Some(String::from_utf8_lossy(&signed).into_owned());
    }
    let files = reports(&reader, &assessment, signature_of(signer), bundle.as_deref(), contents.inventory)?;
    let reports: Vec<&str> = files.iter().map(|(name, _)| *name).filter(|name| *name != pack::VERIFY_MD).collect();
    for (name, bytes) in &files {
        writer.file(name, bytes)?;
    }
    close(writer, &assessment, &reports, signer)?;
    Ok(assessment)
}

/// The reports of a pack, and `VERIFY.md`: a function of the assessment, the evidence and how the signature is called.
pub(crate) fn reports(
    reader: &Reader,
    assessment: &Assessment,
    signature: Signature,
    bundle: Option<&str>,
    inventory: Option<&model::Source>,
) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let evidence = |digest: &Digest| reader.behind(digest);
    let view = View {
        assessment,
        evidence: &evidence,
        earlier: &|| reader.earlier(),
        signature,
        pack: None,
        bundle,
        inventory,
    };
    let mut files = Vec::new();
    for renderer in RENDERERS.iter().filter(|r| !r.file.is_empty()) {
        let bytes = (renderer.render)(&view, &Style::PLAIN).map_err(|e| Error::Defect(e.to_string()))?;
        files.push((renderer.file, bytes));
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    files.push((pack::VERIFY_MD, report::verify_md(&view, &names)));
    Ok(files)
}

/// Writes manifest and sums, and the attestation over them and the reports.
fn close(writer: &mut Writer, assessment: &Assessment, reports: &[&str], signer: &Signer) -> Result<(), Error> {
    let files = writer.files().iter().map(|(path, (size, digest))| (path.clone(), *size, *digest));
    let manifest = attest::manifest_of(files).map_err(|e| Error::Defect(e.to_string()))?;
    let bytes = attest::manifest_bytes(&manifest).map_err(|e| Error::Defect(e.to_string()))?;
    writer.file(pack::MANIFEST, &bytes)?;
    writer.file(pack::SUMS, &attest::sums_of(&manifest).map_err(|e| Error::Defect(e.to_string()))?)?;
    if let Signer::Key { key, .. } = signer {
        let subjects: Vec<&str> = [pack::MANIFEST, pack::SUMS].into_iter().chain(reports.iter().copied()).collect();
        let signed = sign(writer, &subjects, predicate(assessment, &signature_of(signer)), key)?;
        writer.file(pack::REPORT_BUNDLE, &signed)?;
    }
    Ok(())
}

fn sign(
    writer: &Writer,
    names: &[&str],
    predicate: serde_json::Value,
    key: &attest::SigningKey,
) -> Result<Vec<u8>, Error> {
    let subject = |name: &&str| {
        let (_, digest) = writer.files().get(*name)?;
        Some(attest::Subject { name: (*name).to_owned(), digest: *digest })
    };
    let subjects: Option<Vec<_>> = names.iter().map(subject).collect();
    let subjects = subjects.ok_or_else(|| Error::Defect("a file to be signed was not written".into()))?;
    let statement = attest::Statement { subjects, predicate_type: attest::TEST_RESULT.to_owned(), predicate };
    attest::sign(&statement, key).map_err(|e| Error::Defect(e.to_string()))
}

/// The claim of both attestations: an in-toto test result over the controls, and who judged what when.
///
/// How the reports call the signature is part of it, so that `verify` can render them again.
pub(crate) fn predicate(assessment: &Assessment, signature: &Signature) -> serde_json::Value {
    let (label, self_made, key) = match signature {
        Signature::Signed { label, trust, fingerprint } => {
            (label.as_deref(), *trust == report::Trust::SelfMade, Some(fingerprint))
        }
        Signature::Unsigned { .. } => (None, false, None),
    };
    let digests = &assessment.digests;
    let mut by_control = std::collections::BTreeMap::<&str, attest::TestOutcome>::new();
    for finding in &assessment.findings {
        let Some(outcome) = outcome(finding, assessment.gate.fail_on) else { continue };
        let entry = by_control.entry(&finding.control).or_insert(outcome);
        *entry = worse(*entry, outcome);
    }
    let names = |wanted: attest::TestOutcome| {
        by_control.iter().filter(|(_, o)| **o == wanted).map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()
    };
    let result = match assessment.gate.outcome {
        model::Outcome::Passed if by_control.values().any(|o| *o == attest::TestOutcome::Warned) => {
            attest::TestOutcome::Warned
        }
        model::Outcome::Passed => attest::TestOutcome::Passed,
        model::Outcome::Failed | model::Outcome::Inconclusive => attest::TestOutcome::Failed,
    };
    let test_result = attest::TestResult {
        result,
        configuration: vec![
            attest::ResourceDescriptor::new(pack::POLICY, digests.policy),
            attest::ResourceDescriptor::new(pack::WAIVERS, digests.waivers),
            attest::ResourceDescriptor::new(pack::INVENTORY, digests.inventory),
            attest::ResourceDescriptor::new(pack::EVIDENCE_SUMS, digests.evidence),
        ],
        passed_tests: names(attest::TestOutcome::Passed),
        warned_tests: names(attest::TestOutcome::Warned),
        failed_tests: names(attest::TestOutcome::Failed),
    };
    let mut value = serde_json::to_value(test_result).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert(
            "probity".to_owned(),
            json!({
                "service": assessment.service,
                "as_of": assessment.as_of.to_string(),
                "outcome": assessment.gate.outcome,
                "counts": assessment.counts,
                "tool": assessment.run.tool,
                "started": assessment.run.started.to_string(),
                "finished": assessment.run.finished.to_string(),
                "interrupted": assessment.run.interrupted,
                "signer": { "key": key, "label": label, "self_made": self_made },
            }),
        );
    }
    value
}

/// What a finding means to a reader of test results; `None` where it says nothing.
fn outcome(finding: &Finding, fail_on: model::Severity) -> Option<attest::TestOutcome> {
    match finding.verdict {
        Verdict::NotApplicable => None,
        Verdict::Pass => Some(attest::TestOutcome::Passed),
        Verdict::Fail | Verdict::Inconclusive if finding.waiver.is_some() || finding.severity < fail_on => {
            Some(attest::TestOutcome::Warned)
        }
        Verdict::Fail | Verdict::Inconclusive => Some(attest::TestOutcome::Failed),
    }
}

fn worse(a: attest::TestOutcome, b: attest::TestOutcome) -> attest::TestOutcome {
    use attest::TestOutcome::{Failed, Passed, Warned};
    match (a, b) {
        (Failed, _) | (_, Failed) => Failed,
        (Warned, _) | (_, Warned) => Warned,
        (Passed, Passed) => Passed,
    }
}

/// Evidence of a pack, piece by piece.
pub(crate) fn pieces<'a>(
    reader: &'a Reader,
    digests: &'a [Digest],
) -> impl Iterator<Item = Result<(Digest, Evidence), Error>> + 'a {
    digests.iter().map(|digest| Ok((*digest, reader.evidence(digest)?)))
}
