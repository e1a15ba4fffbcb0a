//! Checks a pack without believing anything in it.

use std::collections::{BTreeMap, BTreeSet};

use attest::{PublicKey, Statement, VerifyError};
use model::pack::ManifestEntry;
use model::{Assessment, Digest, Source, pack};
use policy::Waivers;

use crate::assess::{Inputs, assess};
use crate::data_path::{self, Layers};
use crate::keys::Named;
use crate::pack::Reader;
use crate::resolved::Resolved;
use crate::seal::{self, pieces};
use crate::{Error, kinds, prior, recheck, run};

/// What a pack turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Intact, and signed by a key that the caller trusts: its label.
    Verified(String),
    /// Intact, but the key is known to nobody here.
    SignerUnknown,
    /// Nobody signed it.
    Unsigned,
    /// Changed, damaged, or never what it claims to be.
    Broken,
}

/// What was checked and found.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The conclusion.
    pub standing: Standing,
    /// Fingerprint of the key that signed, where a signature is good.
    pub fingerprint: Option<String>,
    /// What holds, in the order checked.
    pub checks: Vec<String>,
    /// What could not be checked, and whose word it is.
    pub notes: Vec<String>,
    /// What does not hold; each names the file.
    pub problems: Vec<String>,
    /// The assessment, where it could be read.
    pub assessment: Option<Assessment>,
}

/// Checks trust, signatures, manifest, every digest and unlisted files; parses the raw exchanges into facts again and
/// compares; judges again and compares.
///
/// # Errors
/// Where the folder is no pack at all. What is wrong with a pack is in the result.
pub fn verify(reader: &Reader, trusted: &[Named]) -> Result<Verification, Error> {
    let mut check = Check {
        reader,
        trusted,
        checks: vec![],
        notes: vec![],
        problems: vec![],
        signers: vec![],
        statements: vec![],
        unsigned: false,
    };
    check.files();
    check.signatures();
    let assessment = check.contents();
    let standing = match check.signers.first() {
        _ if !check.problems.is_empty() => Standing::Broken,
        _ if check.unsigned => Standing::Unsigned,
        None => Standing::Broken,
        Some((_, Some(label))) => Standing::Verified(label.clone()),
        Some((_, None)) => Standing::SignerUnknown,
    };
    let fingerprint = check.signers.first().map(|(key, _)| key.fingerprint().to_string());
    let Check { checks, notes, problems, .. } = check;
    Ok(Verification { standing, fingerprint, checks, notes, problems, assessment })
}

struct Check<'a> {
    reader: &'a Reader,
    trusted: &'a [Named],
    checks: Vec<String>,
    notes: Vec<String>,
    problems: Vec<String>,
    /// The claims of good signatures, by the file that they are in.
    statements: Vec<(&'static str, Statement)>,
    /// Who made each good signature, and the label by which the caller trusts them.
    signers: Vec<(PublicKey, Option<String>)>,
    unsigned: bool,
}

impl Check<'_> {
    fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    /// Every file is listed, every listed file is there, and each has the size and digest that the manifest says.
    fn files(&mut self) {
        let there = match self.reader.list() {
            Ok(there) => there,
            Err(e) => return self.problem(e.to_string()),
        };
        let manifest = match self
            .reader
            .file(pack::MANIFEST)
            .map_err(|e| e.to_string())
            .and_then(|bytes| attest::parse_manifest(&bytes).map_err(|e| format!("{}: {e}", pack::MANIFEST)))
        {
            Ok(manifest) => manifest,
            Err(e) => return self.problem(e),
        };
        let before = self.problems.len();
        let listed: BTreeMap<&str, &ManifestEntry> = manifest.files.iter().map(|f| (f.path.as_str(), f)).collect();
        for path in &there {
            if !listed.contains_key(path.as_str()) && !pack::UNLISTED.contains(&path.as_str()) {
                self.problem(format!("{path}: not listed in {}; it was added later", pack::MANIFEST));
            }
        }
        for (path, entry) in &listed {
            let changed = format!("{path}: changed: size or digest is not what {} says", pack::MANIFEST);
            match self.reader.size(path) {
                Err(e) => self.problem(e.to_string()),
                // A file of another size is not even read.
                Ok(size) if size != entry.size => self.problem(changed),
                Ok(_) => match self.reader.file(path) {
                    Err(e) => self.problem(e.to_string()),
                    Ok(bytes) if Digest::of(&bytes) != entry.sha256 => self.problem(changed),
                    Ok(_) => {}
                },
            }
        }
        let sums = attest::sums_of(&manifest).ok();
        match self.reader.file(pack::SUMS) {
            Ok(bytes) if Some(&bytes) == sums.as_ref() => {}
            Ok(_) => self.problem(format!("{}: does not say the same as {}", pack::SUMS, pack::MANIFEST)),
            Err(e) => self.problem(e.to_string()),
        }
        if self.reader.has(pack::TLOG_PROOF) {
            self.problem(format!("{}: this version can't check it", pack::TLOG_PROOF));
        }
        if self.problems.len() == before {
            self.checks
                .push(format!("{} files, each with the digest that the manifest says, none besides", there.len()));
        }
    }

    /// Both attestations: signed by the same key, about exactly the files that they should be about.
    fn signatures(&mut self) {
        let bundles = [pack::ASSESSMENT_BUNDLE, pack::REPORT_BUNDLE];
        if bundles.iter().all(|b| !self.reader.has(b)) && !self.reader.has(pack::PUBLIC_KEY) {
            self.unsigned = true;
            return;
        }
        let reports: Vec<&str> = report::RENDERERS.iter().map(|r| r.file).filter(|f| !f.is_empty()).collect();
        let present: Vec<&str> = reports.into_iter().filter(|f| self.reader.has(f)).collect();
        let report_subjects: Vec<&str> = [pack::MANIFEST, pack::SUMS].into_iter().chain(present).collect();
        self.bundle(pack::ASSESSMENT_BUNDLE, &pack::ASSESSMENT_SUBJECTS);
        self.bundle(pack::REPORT_BUNDLE, &report_subjects);
        if let [(first, _), (second, _)] = self.signers.as_slice()
            && first != second
        {
            self.problem(format!("{}: signed by another key than {}", pack::REPORT_BUNDLE, pack::ASSESSMENT_BUNDLE));
        }
    }

    fn bundle(&mut self, name: &'static str, wanted: &[&str]) {
        let bytes = match self.reader.file(name) {
            Ok(bytes) => bytes,
            Err(e) => return self.problem(format!("{e}; a signed pack holds both attestations")),
        };
        let offered = self.reader.file(pack::PUBLIC_KEY).ok();
        let offered = offered.and_then(|bytes| PublicKey::from_pem(std::str::from_utf8(&bytes).ok()?).ok());
        let candidates: Vec<PublicKey> = self.trusted.iter().map(|n| n.key.clone()).collect();
        let verified = match attest::verify(&bytes, &candidates, offered.as_ref()) {
            Ok(verified) => verified,
            Err(VerifyError::NoKey(fingerprint)) => {
                return self.problem(format!(
                    "{name}: signed by the key {fingerprint}, which is neither trusted nor {}",
                    pack::PUBLIC_KEY
                ));
            }
            Err(e) => return self.problem(format!("{name}: {e}")),
        };
        let signer = verified.trust.signer().clone();
        if offered.as_ref() != Some(&signer) {
            self.problem(format!("{}: not the key that signed", pack::PUBLIC_KEY));
        }
        let before = self.problems.len();
        self.subjects(name, &verified.statement, wanted);
        let label = verified
            .trust
            .is_trusted()
            .then(|| self.trusted.iter().find(|n| n.key == signer).map_or_else(String::new, |n| n.label.clone()));
        if self.problems.len() == before {
            self.checks.push(format!(
                "{name}: a good signature by {} over {} files",
                signer.fingerprint(),
                wanted.len()
            ));
        }
        self.signers.push((signer, label));
        self.statements.push((name, verified.statement));
    }

    fn subjects(&mut self, name: &str, statement: &Statement, wanted: &[&str]) {
        if statement.predicate_type != attest::TEST_RESULT {
            self.problem(format!("{name}: its claim is of the type '{}'", statement.predicate_type));
        }
        let signed: BTreeSet<&str> = statement.subjects.iter().map(|s| s.name.as_str()).collect();
        for path in wanted.iter().filter(|path| !signed.contains(**path)) {
            self.problem(format!("{path}: not signed in {name}"));
        }
        for subject in &statement.subjects {
            if !wanted.contains(&subject.name.as_str()) {
                self.problem(format!("{name}: signs '{}', which a pack does not hold", subject.name));
                continue;
            }
            match self.reader.file(&subject.name) {
                Ok(bytes) if Digest::of(&bytes) == subject.digest => {}
                Ok(_) => self.problem(format!("{}: changed: not the bytes that {name} signs", subject.name)),
                Err(e) => self.problem(e.to_string()),
            }
        }
    }

    /// Evidence, exchanges and judgement.
    fn contents(&mut self) -> Option<Assessment> {
        let assessment = match self.assessment() {
            Ok(assessment) => assessment,
            Err(e) => {
                self.problem(e.to_string());
                return None;
            }
        };
        let digests = match self.reader.evidence_digests() {
            Ok(digests) => digests,
            Err(e) => {
                self.problem(e.to_string());
                return Some(assessment);
            }
        };
        self.evidence(&digests, &assessment);
        self.prior(&assessment);
        match rejudge(self.reader, &assessment, &digests) {
            Ok(again) => match (model::canonical_json(&again), self.reader.file(pack::ASSESSMENT)) {
                (Ok(again), Ok(bytes)) if again == bytes => {
                    self.checks.push("judged again from the evidence: the same findings, byte for byte".to_owned());
                }
                _ => self.problem(format!(
                    "{}: judging the evidence again gives something else; it was changed, or judged by another version",
                    pack::ASSESSMENT
                )),
            },
            Err(e) => self.problem(e.to_string()),
        }
        self.narrowed();
        self.claims(&assessment);
        self.reports(&assessment);
        self.policies(&assessment);
        Some(assessment)
    }

    /// A run is narrowed to drills, and to nothing else: leaving other controls out would hide their failures.
    fn narrowed(&mut self) {
        let resolved = self.reader.file(pack::INVENTORY).and_then(|bytes| Resolved::from_yaml(&bytes));
        let Some(only) = resolved.ok().and_then(|r| r.only_kinds) else { return };
        for kind in &only {
            if kinds::probe_of(kind).is_none_or(|probe| !probe.is_drill()) {
                self.problem(format!("{}: the run is narrowed to '{kind}', which is no drill", pack::INVENTORY));
            }
        }
        self.notes.push(format!("this is a run of drills alone ({}): no other control was judged", only.join(", ")));
    }

    /// What the signatures claim is what the assessment says.
    fn claims(&mut self, assessment: &Assessment) {
        let signer = self.signers.first().map(|(key, _)| key.fingerprint().to_string()).unwrap_or_default();
        for (name, statement) in std::mem::take(&mut self.statements) {
            let wanted = seal::predicate(assessment, &recheck::signature_in(&statement, &signer));
            if statement.predicate != wanted {
                self.problem(format!("{name}: what it claims is not what {} says", pack::ASSESSMENT));
            }
            self.statements.push((name, statement));
        }
    }

    /// The reports are what the assessment renders to.
    fn reports(&mut self, assessment: &Assessment) {
        let Some((_, statement)) = self.statements.first() else { return };
        let version = &assessment.run.tool.version;
        if *version != run::tool().version {
            self.notes.push(format!("reports were made by version {version}: not compared with the assessment"));
            return;
        }
        let signer = self.signers.first().map(|(key, _)| key.fingerprint().to_string()).unwrap_or_default();
        let signature = recheck::signature_in(statement, &signer);
        let bundle = self.reader.file(pack::ASSESSMENT_BUNDLE).unwrap_or_default();
        let bundle = String::from_utf8_lossy(&bundle);
        let resolved = self.reader.file(pack::INVENTORY).and_then(|bytes| Resolved::from_yaml(&bytes));
        let source = resolved.ok().and_then(|r| r.written).map(|w| Source { file: w.file, line: 1, column: 1 });
        match seal::reports(self.reader, assessment, signature, Some(&bundle), source.as_ref()) {
            Err(e) => self.problem(e.to_string()),
            Ok(files) => {
                let before = self.problems.len();
                for (name, bytes) in files {
                    if self.reader.file(name).ok().as_ref() != Some(&bytes) {
                        self.problem(format!("{name}: not what {} renders to", pack::ASSESSMENT));
                    }
                }
                if self.problems.len() == before {
                    self.checks.push("reports rendered again: the same, byte for byte".to_owned());
                }
            }
        }
    }

    /// A policy of a shipped name is what was shipped, or is said to be modified.
    fn policies(&mut self, assessment: &Assessment) {
        let version = &assessment.run.tool.version;
        let Ok((library, _)) = crate::library(None) else { return };
        let shipped = |name: &str| library.resolve(&[name]).ok().and_then(|found| found.into_iter().next());
        for policy in &assessment.policies {
            match shipped(&policy.name) {
                None => self.notes.push(format!("policy '{}' is the operator's own", policy.name)),
                Some(own) if own.digest == policy.digest => {}
                Some(_) if policy.modified => {
                    self.notes
                        .push(format!("policy '{}' differs from the one of that name that is shipped", policy.name));
                }
                Some(_) if *version == run::tool().version => self.problem(format!(
                    "{}: policy '{}' differs from the one that version {version} ships, and does not say so",
                    pack::POLICY,
                    policy.name
                )),
                Some(_) => self.notes.push(format!(
                    "policy '{}' was shipped by version {version}: not compared with what this version ships",
                    policy.name
                )),
            }
        }
    }

    fn assessment(&self) -> Result<Assessment, Error> {
        let assessment = read_assessment(self.reader)?;
        if assessment.hypothetical {
            return Err(Error::Pack(format!("{}: hypothetical; it is no audit", pack::ASSESSMENT)));
        }
        let run = &assessment.run;
        if run.started > run.finished || assessment.as_of < run.finished {
            return Err(Error::Pack(format!("{}: judged before the run was over", pack::ASSESSMENT)));
        }
        Ok(assessment)
    }

    /// Earlier evidence is what its own run signed, by a key that is trusted or made this pack.
    fn prior(&mut self, assessment: &Assessment) {
        let Ok(resolved) = self.reader.file(pack::INVENTORY).and_then(|bytes| Resolved::from_yaml(&bytes)) else {
            return;
        };
        let mut keys: Vec<PublicKey> = self.trusted.iter().map(|n| n.key.clone()).collect();
        keys.extend(self.signers.iter().map(|(key, _)| key.clone()));
        let problems = prior::check(self.reader, &resolved, &keys, &assessment.run);
        if problems.is_empty() && !resolved.prior.is_empty() {
            let runs: BTreeSet<Digest> = resolved.prior.iter().map(|p| p.origin).collect();
            self.checks.push(format!(
                "{} pieces of earlier evidence, each among what its own run signed ({} runs)",
                resolved.prior.len(),
                runs.len()
            ));
        }
        self.problems.extend(problems);
    }

    /// Each piece parses, its exchanges are there, and what follows from them is what it says. Nothing lies about
    /// that no evidence refers to.
    fn evidence(&mut self, digests: &[Digest], assessment: &Assessment) {
        let before = self.problems.len();
        let mut exchanges = BTreeSet::new();
        let (mut derived, mut word) = (0_u32, 0_u32);
        let (mut layers, mut joined) = (Layers::default(), Vec::new());
        for digest in digests {
            let evidence = match self.reader.evidence(digest) {
                Ok(evidence) => evidence,
                Err(e) => {
                    self.problem(e.to_string());
                    continue;
                }
            };
            if let Some(reference) = &evidence.exchanges {
                exchanges.insert(reference.digest);
            }
            layers.add(&evidence, *digest);
            match recheck::evidence(self.reader, &evidence, &assessment.run) {
                Ok(true) => derived += 1,
                Ok(false) if evidence.kind == data_path::kind().name => {}
                Ok(false) => word += u32::from(evidence.facts.is_some()),
                Err(e) => self.problem(format!("{}: {e}", crate::pack::evidence_path(digest))),
            }
            if evidence.kind == data_path::kind().name {
                joined.push((digest, evidence));
            }
        }
        for (digest, evidence) in joined {
            if let Err(e) = recheck::data_path(&evidence, &layers) {
                self.problem(format!("{}: {e}", crate::pack::evidence_path(digest)));
            }
        }
        let listed = self.reader.file(pack::EVIDENCE_SUMS).ok().and_then(|bytes| attest::parse_sums(&bytes).ok());
        for (path, digest) in listed.unwrap_or_default() {
            if path == crate::pack::exchanges_path(&digest) && !exchanges.contains(&digest) {
                self.problem(format!("{path}: no evidence refers to it"));
            }
        }
        for path in self.reader.list().unwrap_or_default() {
            let evidence = path.strip_prefix("evidence/").and_then(|p| p.strip_suffix(".json"));
            let listed = evidence.is_none_or(|p| p.parse().is_ok_and(|d| digests.binary_search(&d).is_ok()));
            if !listed {
                self.problem(format!("{path}: not listed in {}", pack::EVIDENCE_SUMS));
            }
        }
        if self.problems.len() == before {
            self.checks.push(format!(
                "{} pieces of evidence; {derived} parsed again from their raw exchanges, with the same facts",
                digests.len()
            ));
        }
        if word > 0 {
            self.notes.push(format!(
                "{word} pieces of evidence are the word of the machine that looked: its kernel's and its tools'"
            ));
        }
        if derived > 0 {
            self.notes.push("paths to trust stores, times and addresses are the word of the key's holder".to_owned());
        }
    }
}

/// Reads `assessment.json`: its format must be known, its bytes canonical.
///
/// # Errors
/// Where it is something else.
pub fn read_assessment(reader: &Reader) -> Result<Assessment, Error> {
    parse_assessment(&reader.file(pack::ASSESSMENT)?)
}

pub(crate) fn parse_assessment(bytes: &[u8]) -> Result<Assessment, Error> {
    let fail = |e: String| Error::Pack(format!("{}: {e}", pack::ASSESSMENT));
    let assessment: Assessment = model::from_json(bytes).map_err(|e| fail(e.to_string()))?;
    if assessment.format != Assessment::FORMAT {
        return Err(fail(format!("its format is '{}'; this program reads {}", assessment.format, Assessment::FORMAT)));
    }
    if model::canonical_json(&assessment).ok().as_deref() != Some(bytes) {
        return Err(fail("not in its canonical form".into()));
    }
    Ok(assessment)
}

/// Judges a pack again as it was judged: same policies, waivers, inventory, run and instant.
///
/// # Errors
/// Where one of its files can't be read as what it should be.
pub fn rejudge(reader: &Reader, assessment: &Assessment, digests: &[Digest]) -> Result<Assessment, Error> {
    let policy_bytes = reader.file(pack::POLICY)?;
    let waivers_bytes = reader.file(pack::WAIVERS)?;
    let inventory_bytes = reader.file(pack::INVENTORY)?;
    let policies = crate::load_policies(&policy_bytes)?;
    let waivers = stored_waivers(&waivers_bytes)?;
    let resolved = Resolved::from_yaml(&inventory_bytes)?;
    let inputs = Inputs {
        resolved: &resolved,
        policies: &policies,
        waivers: &waivers,
        run: &assessment.run,
        as_of: assessment.as_of,
        hypothetical: assessment.hypothetical,
        digests: model::InputDigests {
            policy: Digest::of(&policy_bytes),
            waivers: Digest::of(&waivers_bytes),
            inventory: Digest::of(&inventory_bytes),
            evidence: Digest::of(&reader.file(pack::EVIDENCE_SUMS)?),
        },
    };
    assess(&inputs, pieces(reader, digests), |digest| reader.prior(digest))
}

/// Reads the waivers of a pack. They were checked against all controls of the library when the pack was made, of which
/// a pack holds only those of its policies.
pub(crate) fn stored_waivers(bytes: &[u8]) -> Result<Waivers, Error> {
    Waivers::parse_stored(pack::WAIVERS, bytes).map_err(|e| Error::Pack(e.to_string()))
}

/// Who signed a pack, as reports show it. A bundle that does not verify gives unsigned.
#[must_use]
pub fn signature(reader: &Reader, trusted: &[Named]) -> report::Signature {
    let unsigned = |why: &str| report::Signature::Unsigned { why: why.to_owned() };
    let Ok(bundle) = reader.file(pack::ASSESSMENT_BUNDLE) else { return unsigned("the pack holds no signature") };
    let offered = reader.file(pack::PUBLIC_KEY).ok();
    let offered = offered.and_then(|bytes| PublicKey::from_pem(std::str::from_utf8(&bytes).ok()?).ok());
    let candidates: Vec<PublicKey> = trusted.iter().map(|n| n.key.clone()).collect();
    match attest::verify(&bundle, &candidates, offered.as_ref()) {
        Err(e) => unsigned(&e.to_string()),
        Ok(verified) => {
            let signer = verified.trust.signer();
            let named = trusted.iter().find(|n| n.key == *signer);
            report::Signature::Signed {
                fingerprint: signer.fingerprint().to_string(),
                label: named.map(|n| n.label.clone()),
                trust: match named {
                    Some(named) if named.self_made => report::Trust::SelfMade,
                    Some(_) => report::Trust::Trusted,
                    None => report::Trust::Unknown,
                },
            }
        }
    }
}
