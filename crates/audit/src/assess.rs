//! Judges a set of evidence. A function of its arguments: the same in, the same bytes out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::{
    Assessment, Counts, Coverage, Digest, Evidence, FailureClass, Finding, InputDigests, Notice, NoticeLevel, Outcome,
    Run, TargetLine, Verdict,
};
use policy::{Earlier, Judge, Only, Policy, Waivers};

use crate::resolved::{PriorPiece, Resolved};
use crate::{Error, drills};

/// Everything that a judgement depends on, evidence left out.
pub struct Inputs<'a> {
    /// The inventory as resolved.
    pub resolved: &'a Resolved,
    /// The policies as resolved.
    pub policies: &'a [Policy],
    /// The waivers.
    pub waivers: &'a Waivers,
    /// The run that collected.
    pub run: &'a Run,
    /// The instant of judgement.
    pub as_of: Timestamp,
    /// Whether this is another judgement than the audit's own.
    pub hypothetical: bool,
    /// Digests of the files that the above stand in.
    pub digests: InputDigests,
}

/// Judges evidence piece by piece, so that memory does not grow with the facts. `prior` reads a piece of earlier
/// evidence that the inventory names.
///
/// # Errors
/// Where a piece can't be had.
pub fn assess(
    inputs: &Inputs<'_>,
    evidence: impl Iterator<Item = Result<(Digest, Evidence), Error>>,
    prior: impl Fn(&Digest) -> Result<Evidence, Error>,
) -> Result<Assessment, Error> {
    let resolved = inputs.resolved;
    let narrowed = resolved.only_kinds.as_ref();
    let narrowed = narrowed.map(|kinds| inputs.policies.iter().map(|p| drills::narrowed(p, kinds)).collect::<Vec<_>>());
    let policies = narrowed.as_deref().unwrap_or(inputs.policies);
    let only: Vec<Only> = inputs.policies.iter().map(|p| only(resolved, &p.name)).collect();
    let mut judge = Judge::for_targets(policies, &only, inputs.as_of, &resolved.service);
    let known: BTreeMap<&str, &model::Target> = resolved.targets.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut lines: BTreeMap<&str, TargetLine> = resolved.targets.iter().map(|t| (t.name.as_str(), line(t))).collect();
    let mut prior_of: BTreeMap<(&str, &str), Vec<&PriorPiece>> = BTreeMap::new();
    for piece in &resolved.prior {
        prior_of.entry((&piece.kind, &piece.target)).or_default().push(piece);
    }
    let mut strangers = 0_u32;
    let mut probed = BTreeSet::new();
    let (mut failed_pieces, mut not_run) = (0_u32, 0_u32);
    for piece in evidence {
        let (digest, piece) = piece?;
        let Some(line) = lines.get_mut(piece.target.name.as_str()) else {
            strangers += 1;
            continue;
        };
        if known.get(piece.target.name.as_str()).is_none_or(|target| **target != piece.target) {
            return Err(Error::Pack(format!(
                "the evidence {} is on another target than the inventory's '{}'",
                digest.short(),
                piece.target.name
            )));
        }
        if piece.facts.is_some() {
            probed.insert(piece.target.name.clone());
        }
        if let Some(earlier) = line.evidence.insert(piece.kind.clone(), digest) {
            return Err(Error::Pack(format!(
                "two pieces of evidence of the kind '{}' on the target '{}' ({} and {}); one is wanted",
                piece.kind,
                piece.target.name,
                earlier.short(),
                digest.short()
            )));
        }
        match piece.failure.as_ref().map(|failure| failure.class) {
            None => {}
            Some(FailureClass::NotRun) => not_run += 1,
            // The inventory says so; controls that need it say so, too.
            Some(FailureClass::NotAsked) => {}
            Some(_) => {
                line.failed = true;
                failed_pieces += 1;
            }
        }
        line.connections = line.connections.saturating_add(piece.provenance.connections);
        let earlier = prior_of.get(&(piece.kind.as_str(), piece.target.name.as_str())).into_iter().flatten();
        let read = |p: &&PriorPiece| Ok(Earlier { digest: p.digest, evidence: prior(&p.digest)? });
        let earlier = earlier.map(read).collect::<Result<Vec<_>, Error>>()?;
        judge.evidence_after(piece, digest, earlier);
    }
    if strangers > 0 {
        return Err(Error::Pack(format!(
            "{strangers} piece(s) of evidence on targets that the inventory does not hold"
        )));
    }
    every_pair(resolved, &lines)?;

    let judged = judge.finish(&resolved.targets, inputs.waivers);
    let mut counts = Counts::default();
    for finding in &judged.findings {
        add(&mut counts, finding);
        if let Some(line) = lines.get_mut(&*finding.target) {
            add(&mut line.counts, finding);
        }
    }
    let judged_targets = lines.values().filter(|l| l.counts.pass + l.counts.fail > 0).count();
    let targets: Vec<TargetLine> = resolved.targets.iter().filter_map(|t| lines.remove(t.name.as_str())).collect();
    let discovered = targets.iter().filter(|t| t.discovered).count();

    let mut gate = policy::gate(&judged.findings, resolved.fail_on, inputs.run.interrupted);
    let mut notices = judged.notices;
    notices.extend(resolved.notices.iter().cloned());
    if counts.pass + counts.fail == 0 && gate.outcome == Outcome::Passed {
        gate.outcome = Outcome::Inconclusive;
        notices.push(warning(
            "nothing was judged: no control of the policies met a target; an audit of nothing never passes",
        ));
    }
    let unjudged: Vec<&str> =
        targets.iter().filter(|t| !t.discovered && is_untouched(&t.counts)).map(|t| &*t.name).collect();
    if !unjudged.is_empty() && counts.pass + counts.fail > 0 {
        let some: Vec<&str> = unjudged.iter().copied().take(10).collect();
        let more = if unjudged.len() > 10 { format!(" and {} more", unjudged.len() - 10) } else { String::new() };
        notices.push(warning(&format!(
            "no control of any policy judges {}{more}: take a policy for it, or leave it out of the inventory",
            some.join(", ")
        )));
        if gate.outcome == Outcome::Passed {
            gate.outcome = Outcome::Inconclusive;
        }
    }
    if inputs.run.interrupted {
        notices.push(warning("the run was interrupted: what was not collected by then is not proven"));
    }
    if inputs.hypothetical {
        notices.push(warning("hypothetical: judged under another policy or at another time than the audit itself"));
    }
    if failed_pieces > 0 {
        notices.push(Notice {
            level: NoticeLevel::Note,
            message: format!("{failed_pieces} piece(s) of evidence say only why nothing was seen"),
        });
    }
    if not_run > 0 {
        let message = format!("{not_run} drill(s) were not run; their evidence says why");
        notices.push(Notice { level: NoticeLevel::Note, message });
    }
    notices.extend(resolved.only_kinds.as_deref().map(drills::notice));
    notices.sort();
    notices.dedup();
    Ok(Assessment {
        format: Assessment::FORMAT.to_owned(),
        service: resolved.service.clone(),
        hypothetical: inputs.hypothetical,
        as_of: inputs.as_of,
        run: inputs.run.clone(),
        policies: judged.policies,
        controls: judged.controls,
        gate,
        counts,
        coverage: Coverage {
            declared: number(targets.len() - discovered),
            discovered: number(discovered),
            probed: number(probed.len()),
            judged: number(judged_targets),
            targets,
            undeclared: resolved.undeclared.clone(),
            not_looked_at: resolved.not_looked_at.clone(),
        },
        waivers: judged.waivers,
        notices,
        digests: inputs.digests,
        findings: judged.findings,
    })
}

/// Every probe left evidence on every target: what is missing must not pass as "no such target".
fn every_pair(resolved: &Resolved, lines: &BTreeMap<&str, TargetLine>) -> Result<(), Error> {
    for target in &resolved.targets {
        let kinds = resolved.probes.get(&target.subject.sort).map(Vec::as_slice).unwrap_or_default();
        let line = lines.get(target.name.as_str());
        if let Some(kind) = kinds.iter().find(|kind| line.is_none_or(|l| !l.evidence.contains_key(*kind))) {
            return Err(Error::Pack(format!("no evidence of the kind '{kind}' on the target '{}'", target.name)));
        }
        if kinds.is_empty() {
            return Err(Error::Pack(format!("the inventory does not say what was collected on '{}'", target.name)));
        }
    }
    Ok(())
}

/// The targets that a policy is for; every one where it is taken without labels at least once.
fn only(resolved: &Resolved, policy: &str) -> Only {
    let uses = || resolved.policies.iter().filter(|u| u.policy == policy);
    if uses().any(|u| u.labels.is_empty()) { Only::new() } else { uses().map(|u| u.labels.clone()).collect() }
}

fn line(target: &model::Target) -> TargetLine {
    TargetLine {
        name: target.name.clone(),
        of: target.of.clone(),
        address: target.address.clone(),
        labels: target.labels.clone(),
        discovered: target.discovered,
        evidence: BTreeMap::new(),
        failed: false,
        counts: Counts::default(),
        connections: 0,
    }
}

fn add(counts: &mut Counts, finding: &Finding) {
    match finding.verdict {
        Verdict::Pass => counts.pass += 1,
        Verdict::Fail => counts.fail += 1,
        Verdict::Inconclusive => counts.inconclusive += 1,
        Verdict::NotApplicable => counts.not_applicable += 1,
    }
    counts.waived += u32::from(finding.waiver.is_some());
}

/// No control had anything to say.
const fn is_untouched(counts: &Counts) -> bool {
    counts.pass + counts.fail + counts.inconclusive == 0
}

fn warning(message: &str) -> Notice {
    Notice { level: NoticeLevel::Warning, message: message.to_owned() }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
