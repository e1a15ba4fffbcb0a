//! What fails or is not proven, by severity.

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Value, context};
use model::{ControlInfo, Digest, Severity, Verdict};

use crate::View;
use crate::group::{self, Entry};
use crate::summary::{self, count, some_of};

/// Most findings shown in full.
const MOST: usize = 300;
/// Most digests listed of one finding.
const MOST_DIGESTS: usize = 12;
/// Most reasons listed of one finding.
const MOST_REASONS: usize = 12;

/// Everything that fails or is not proven, worst first, with equal ones joined.
pub(super) struct Troubles<'a> {
    pub(super) entries: Vec<Entry<'a>>,
}

impl<'a> Troubles<'a> {
    pub(super) fn of(view: &View<'a>) -> Self {
        let mut entries = group::entries(view.assessment.findings.iter().filter(|f| group::is_trouble(f)));
        // By severity on this page, waived or not: a waiver must not move a failure out of sight.
        entries.sort_by_key(|e| std::cmp::Reverse(e.first.severity));
        Self { entries }
    }
}

/// The anchor of an entry on the page.
pub(super) fn anchor(n: usize) -> String {
    format!("finding-{}", n + 1)
}

/// The verdict as the page words it.
pub(super) const fn verdict(entry: &Entry<'_>) -> &'static str {
    match entry.first.verdict {
        Verdict::Inconclusive => "Not proven",
        _ => "Fails",
    }
}

/// The requirement's title, or its id where the policy says no more.
pub(super) fn title<'a>(view: &View<'a>, entry: &Entry<'a>) -> &'a str {
    let control = view.assessment.controls.get(&*entry.first.control);
    control.map_or(&entry.first.control, |c| c.title.as_str())
}

pub(super) fn context(view: &View<'_>, troubles: &Troubles<'_>) -> Value {
    let shown: Vec<(usize, &Entry<'_>)> = troubles.entries.iter().enumerate().take(MOST).collect();
    let groups: Vec<Value> = Severity::ALL
        .into_iter()
        .rev()
        .filter_map(|severity| {
            let of_severity: Vec<_> = shown.iter().filter(|(_, e)| e.first.severity == severity).collect();
            let findings: Vec<Value> = of_severity.iter().map(|(n, e)| finding(view, *n, e)).collect();
            let name = severity.as_str();
            let title =
                format!("{}{}", name.get(..1).unwrap_or_default().to_uppercase(), name.get(1..).unwrap_or_default());
            let note = count(findings.len(), "finding", "findings");
            (!findings.is_empty()).then(|| context! { title, note, findings })
        })
        .collect();
    context! { groups, more => troubles.entries.len().saturating_sub(MOST) }
}

fn finding(view: &View<'_>, n: usize, entry: &Entry<'_>) -> Value {
    let (assessment, first) = (view.assessment, entry.first);
    let control = assessment.controls.get(&*first.control);
    let waived = summary::waived(assessment, first);
    let (class, mark, verdict) = match (first.verdict, &waived) {
        (Verdict::Inconclusive, None) => ("doubt", "?", "Not proven"),
        (Verdict::Inconclusive, Some(_)) => ("waived", "?", "Not proven, waived"),
        (_, Some(_)) => ("waived", "✗", "Fails, waived"),
        (_, None) => ("fail", "✗", "Fails"),
    };
    let host_only = first.evidence.first().and_then(|digest| (view.evidence)(digest));
    let evidence = distinct(entry.findings.iter().flat_map(|f| f.evidence.iter().copied()));
    let exchanges = exchanges(entry);
    let left_out = evidence.len().saturating_sub(MOST_DIGESTS) + exchanges.len().saturating_sub(MOST_DIGESTS);
    context! {
        anchor => anchor(n),
        class, mark, verdict, waived,
        title => title(view, entry),
        control => &*first.control,
        blocks => entry.findings.iter().any(|f| summary::blocks(assessment, f)),
        reasons => Serde(first.reasons.iter().take(MOST_REASONS).map(|r| r.message.as_str()).collect::<Vec<_>>()),
        reasons_more => first.reasons.len().saturating_sub(MOST_REASONS),
        targets => some_of(entry.targets(), 12),
        wanted => &first.wanted,
        remedy => if first.verdict == Verdict::Fail { remedy(control) } else { vec![] },
        rationale => control.map(|c| c.rationale.trim()),
        level => first.level.map_or("There is no evidence", model::Level::as_str),
        host_only => host_only.is_some_and(|e| e.provenance.attested_by_host_only),
        evidence => evidence.iter().take(MOST_DIGESTS).map(Digest::to_string).collect::<Vec<_>>(),
        exchanges => exchanges.into_iter().take(MOST_DIGESTS).collect::<Vec<_>>(),
        digests_more => left_out,
        policies => some_of(entry.policies(), 12),
        source => control.map(|c| format!("{}:{}", c.source.file, c.source.line)).unwrap_or_default(),
        clauses => control.map(clauses).unwrap_or_default(),
    }
}

fn distinct(digests: impl Iterator<Item = Digest>) -> Vec<Digest> {
    let mut seen = std::collections::BTreeSet::new();
    digests.filter(|digest| seen.insert(*digest)).collect()
}

/// The places cited, by file: digest and `3, 4`.
fn exchanges(entry: &Entry<'_>) -> Vec<Value> {
    let mut by_file: BTreeMap<Digest, Vec<u32>> = BTreeMap::new();
    for cite in entry.findings.iter().flat_map(|f| &f.reasons).flat_map(|r| &r.cites) {
        by_file.entry(cite.exchanges).or_default().push(cite.index);
    }
    let places = |mut indices: Vec<u32>| {
        indices.sort_unstable();
        indices.dedup();
        let texts: Vec<String> = indices.iter().map(u32::to_string).collect();
        some_of(texts.iter().map(String::as_str), 16)
    };
    by_file.into_iter().map(|(file, at)| context! { digest => file.to_string(), places => places(at) }).collect()
}

fn remedy(control: Option<&ControlInfo>) -> Vec<Value> {
    let remedies = control.into_iter().flat_map(|c| &c.remedy).take(12);
    remedies
        .map(|(product, text)| {
            let lines: Vec<&str> = text.trim().lines().collect();
            // A sentence is to be read, anything else to be copied.
            let sentence = text.trim().ends_with('.');
            context! { product, sentence, lines => Serde(lines) }
        })
        .collect()
}

fn clauses(control: &ControlInfo) -> String {
    let each = control.clauses.iter().map(|(framework, clauses)| format!("{framework} {}", clauses.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}
