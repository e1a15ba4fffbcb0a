//! What was seen of each target, and the population behind the findings.

use minijinja::value::Serde;
use minijinja::{Value, context};
use model::{Counts, Evidence, TargetLine};

use crate::summary::{count, some_of};
use crate::{View, backup, facts, tls};

/// Most targets whose facts are shown; those in trouble come first.
const MOST_TARGETS: usize = 60;
/// Most rows of the table of targets.
const MOST_ROWS: usize = 500;
/// Most lines of what is undeclared or was not looked at.
const MOST_REMARKS: usize = 100;

pub(super) fn context(view: &View<'_>) -> Value {
    let coverage = &view.assessment.coverage;
    let mut lines: Vec<&TargetLine> = coverage.targets.iter().collect();
    lines.sort_by_key(|l| l.counts.fail == 0 && l.counts.inconclusive == 0);
    let undeclared: Vec<_> = coverage.undeclared.iter().map(|u| (u.target.as_str(), u.what.as_str())).collect();
    let skipped: Vec<_> = coverage.not_looked_at.iter().map(|n| (n.what.as_str(), n.why.as_str())).collect();
    let remarks = [("Found but not declared", undeclared), ("Not looked at", skipped)];
    context! {
        targets => lines.iter().take(MOST_TARGETS).map(|line| target(view, line)).collect::<Vec<_>>(),
        more => lines.len().saturating_sub(MOST_TARGETS),
        coverage => context! {
            declared => coverage.declared,
            discovered => coverage.discovered,
            probed => coverage.probed,
            judged => coverage.judged,
            not_looked_at => coverage.not_looked_at.len(),
        },
        rows => coverage.targets.iter().take(MOST_ROWS).map(row).collect::<Vec<_>>(),
        rows_more => coverage.targets.len().saturating_sub(MOST_ROWS),
        remarks => remarks.into_iter().filter(|(_, items)| !items.is_empty()).map(|(title, items)| context! {
            title,
            more => items.len().saturating_sub(MOST_REMARKS),
            items => Serde(items.into_iter().take(MOST_REMARKS).collect::<Vec<_>>()),
        }).collect::<Vec<_>>(),
    }
}

fn row(line: &TargetLine) -> Value {
    let labels: Vec<String> = line.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let evidence = some_of(line.evidence.keys().map(String::as_str), 8);
    context! {
        name => &line.name,
        labels => some_of(labels.iter().map(String::as_str), 8),
        address => &line.address,
        how => if line.discovered { "found" } else { "declared" },
        evidence => match (line.failed, evidence.is_empty()) {
            (_, true) => "none".into(),
            (true, false) => format!("{evidence} (could not look)"),
            (false, false) => evidence,
        },
        counts => Serde(line.counts),
        connections => line.connections,
    }
}

fn in_words(counts: &Counts) -> String {
    let parts = [(counts.pass, "pass"), (counts.fail, "fail"), (counts.inconclusive, "not proven")];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if parts.is_empty() { "nothing judged".into() } else { parts.join(", ") }
}

fn target(view: &View<'_>, line: &TargetLine) -> Value {
    let evidence = line.evidence.values().take(8).map(|digest| match (view.evidence)(digest) {
        Some(evidence) => piece(&digest.to_string(), &evidence),
        None => context! {
            kind => "", digest => digest.to_string(), about => "It is not at hand.", failure => (), tls => (),
            drawn => false, parts => Vec::<Value>::new(),
        },
    });
    let address = if line.address == line.name { String::new() } else { format!("{}; ", line.address) };
    context! {
        name => &line.name,
        note => format!("{address}{}", in_words(&line.counts)),
        evidence => evidence.collect::<Vec<_>>(),
    }
}

fn piece(digest: &str, evidence: &Evidence) -> Value {
    let facts = evidence.facts.as_ref();
    let tls = if evidence.kind.starts_with("tls") { facts.and_then(tls::read) } else { None };
    let drawn = evidence.kind == backup::KIND && facts.is_some_and(|facts| backup::read(facts).is_some());
    let without: &[&str] = match (tls.is_some(), drawn) {
        (true, _) => tls::KEYS,
        (false, true) => backup::KEYS,
        (false, false) => &[],
    };
    let failure = evidence.failure.as_ref().map(|failure| {
        let class = serde_json::to_value(failure.class).unwrap_or_default();
        context! { class => class.as_str().unwrap_or_default(), message => &failure.message }
    });
    context! {
        digest, failure, drawn,
        kind => &evidence.kind,
        about => about(evidence),
        tls => tls.map(|tls| Value::from(Serde(tls))),
        parts => Serde(facts.map(|f| facts::parts(f, without)).unwrap_or_default()),
    }
}

/// How the evidence came about, in one line.
fn about(evidence: &Evidence) -> String {
    let provenance = &evidence.provenance;
    let mut parts = vec![
        evidence.level.as_str().to_owned(),
        format!("collected {}", evidence.collected.strftime("%Y-%m-%d %H:%M:%S UTC")),
        format!("{} ms", provenance.millis),
    ];
    if provenance.connections > 0 {
        let connections = usize::try_from(provenance.connections).unwrap_or(usize::MAX);
        parts.push(format!(
            "{}, {} bytes sent, {} received",
            count(connections, "connection", "connections"),
            provenance.bytes_sent,
            provenance.bytes_received,
        ));
    }
    if !provenance.sources.is_empty() {
        parts.push(format!("from {}", some_of(provenance.sources.iter().map(String::as_str), 4)));
    }
    if let Some(exchanges) = &evidence.exchanges {
        let cut = if exchanges.cut { ", some cut at their bound" } else { "" };
        parts.push(format!("{} exchanges kept{cut}", exchanges.count));
    }
    if provenance.attested_by_host_only {
        parts.push("attested by the host only".into());
    }
    for command in provenance.commands.iter().take(6) {
        let version = command.version.as_deref().unwrap_or("version unknown");
        let program = command.program.map_or("unread".into(), |digest| digest.short());
        parts.push(format!("ran {} ({version}, program {program})", command.path));
    }
    let files: Vec<&str> = provenance.files.iter().map(|f| f.path.as_str()).collect();
    if !files.is_empty() {
        parts.push(format!("read {}", some_of(files, 6)));
    }
    parts.join(" · ")
}
