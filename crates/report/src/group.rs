//! Bringing together what belongs together: targets of one declared name, and findings that say the same.

use std::collections::BTreeMap;

use model::{Assessment, Counts, Finding, Severity, TargetLine, Verdict};

/// Findings of one control that say the same, of one target or of many, under one policy or several.
pub(crate) struct Entry<'a> {
    /// The findings, at least one; the first speaks for all.
    pub(crate) findings: Vec<&'a Finding>,
    /// The one that speaks.
    pub(crate) first: &'a Finding,
}

impl<'a> Entry<'a> {
    /// The targets, each once, in the order of the findings.
    pub(crate) fn targets(&self) -> Vec<&'a str> {
        distinct(self.findings.iter().map(|f| &*f.target))
    }

    /// The policies, each once.
    pub(crate) fn policies(&self) -> Vec<&'a str> {
        distinct(self.findings.iter().map(|f| &*f.policy))
    }
}

/// Each text once, first come first.
pub(crate) fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = std::collections::BTreeSet::new();
    texts.filter(|text| seen.insert(*text)).collect()
}

/// Severity first (worst first), failures before unproven ones, unwaived before waived, then by control.
fn rank(f: &Finding) -> (bool, std::cmp::Reverse<Severity>, Verdict, &str) {
    (f.waiver.is_some(), std::cmp::Reverse(f.severity), f.verdict, &f.control)
}

/// Groups findings that say the same: control, verdict, waiver, what is wanted and the words of each reason.
pub(crate) fn entries<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<Entry<'a>> {
    let mut places = BTreeMap::new();
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for finding in findings {
        let place = *places.entry(sameness(finding)).or_insert(entries.len());
        match entries.get_mut(place) {
            Some(entry) => entry.findings.push(finding),
            None => entries.push(Entry { findings: vec![finding], first: finding }),
        }
    }
    entries.sort_by(|a, b| rank(a.first).cmp(&rank(b.first)));
    entries
}

type Sameness<'a> = (&'a str, Verdict, Option<&'a str>, Option<&'a str>, Vec<&'a str>);

fn sameness(f: &Finding) -> Sameness<'_> {
    let messages = f.reasons.iter().map(|r| r.message.as_str()).collect();
    (&f.control, f.verdict, f.waiver.as_deref(), f.wanted.as_deref(), messages)
}

/// Whether a finding is something to show under its target.
pub(crate) fn is_trouble(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Fail | Verdict::Inconclusive)
}

/// The targets of one declared name, or several names in trouble for exactly the same reasons.
pub(crate) struct Block<'a> {
    /// The declared names, at least one.
    pub(crate) names: Vec<&'a str>,
    /// The targets; empty for the service as a whole.
    pub(crate) lines: Vec<&'a TargetLine>,
    /// How all their findings add up.
    pub(crate) counts: Counts,
    /// What fails or is not proven.
    pub(crate) entries: Vec<Entry<'a>>,
}

/// Adds up findings as an assessment does.
pub(crate) fn add(counts: &mut Counts, finding: &Finding) {
    let slot = match finding.verdict {
        Verdict::Pass => &mut counts.pass,
        Verdict::Fail => &mut counts.fail,
        Verdict::Inconclusive => &mut counts.inconclusive,
        Verdict::NotApplicable => &mut counts.not_applicable,
    };
    *slot = slot.saturating_add(1);
    if finding.waiver.is_some() && is_trouble(finding) {
        counts.waived = counts.waived.saturating_add(1);
    }
}

/// From how many names on with the same troubles they are shown as one block.
const MERGE_FROM: usize = 3;

/// All blocks: those in trouble first, worst first; else in the order of the coverage. Findings whose target is not
/// among the targets (the service as a whole) have a block of their own.
pub(crate) fn blocks(assessment: &Assessment) -> Vec<Block<'_>> {
    let mut of_target = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    let mut lines: BTreeMap<&str, Vec<&TargetLine>> = BTreeMap::new();
    for line in &assessment.coverage.targets {
        of_target.insert(line.name.as_str(), line.of.as_str());
        let group = lines.entry(&line.of).or_default();
        if group.is_empty() {
            order.push(&line.of);
        }
        group.push(line);
    }
    let mut findings: BTreeMap<&str, (Counts, Vec<&Finding>)> = BTreeMap::new();
    for finding in &assessment.findings {
        let of = of_target.get(&*finding.target).copied().unwrap_or(&finding.target);
        if !lines.contains_key(of) && !findings.contains_key(of) {
            order.push(of);
        }
        let (counts, troubles) = findings.entry(of).or_default();
        add(counts, finding);
        if is_trouble(finding) {
            troubles.push(finding);
        }
    }
    let blocks = order.into_iter().map(|of| {
        let (counts, troubles) = findings.remove(of).unwrap_or_default();
        let lines = lines.remove(of).unwrap_or_default();
        Block { names: vec![of], lines, counts, entries: entries(troubles) }
    });
    let mut blocks = merged(blocks.collect());
    blocks.sort_by(|a, b| match (a.entries.first(), b.entries.first()) {
        (Some(a), Some(b)) => {
            let key = |e: &Entry<'_>| (e.first.waiver.is_some(), std::cmp::Reverse(e.first.severity), e.first.verdict);
            key(a).cmp(&key(b))
        }
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    blocks
}

/// Joins blocks whose troubles are the same, where there are enough of them to matter.
fn merged(blocks: Vec<Block<'_>>) -> Vec<Block<'_>> {
    let key = |block: &Block<'_>| format!("{:?}", block.entries.iter().map(|e| sameness(e.first)).collect::<Vec<_>>());
    let mut alike: BTreeMap<String, usize> = BTreeMap::new();
    for block in blocks.iter().filter(|b| !b.entries.is_empty()) {
        *alike.entry(key(block)).or_default() += 1;
    }
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut result: Vec<Block<'_>> = Vec::new();
    for block in blocks {
        let key = key(&block);
        if alike.get(&key).is_none_or(|n| *n < MERGE_FROM) {
            result.push(block);
            continue;
        }
        match places.get(&key).and_then(|place| result.get_mut(*place)) {
            None => {
                places.insert(key, result.len());
                result.push(block);
            }
            Some(into) => join(into, block),
        }
    }
    result
}

fn join<'a>(into: &mut Block<'a>, block: Block<'a>) {
    into.names.extend(block.names);
    into.lines.extend(block.lines);
    for (entry, more) in into.entries.iter_mut().zip(block.entries) {
        entry.findings.extend(more.findings);
    }
    let (sum, more) = (&mut into.counts, block.counts);
    for (sum, more) in [
        (&mut sum.pass, more.pass),
        (&mut sum.fail, more.fail),
        (&mut sum.inconclusive, more.inconclusive),
        (&mut sum.not_applicable, more.not_applicable),
        (&mut sum.waived, more.waived),
    ] {
        *sum = sum.saturating_add(more);
    }
}
