//! Prometheus' text format, for the textfile collector of node_exporter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::Outcome;

use crate::escape::plain;
use crate::{RenderError, Style, View, group, summary};

/// Counts for all findings, and a series for each that fails or is not proven.
///
/// # Errors
/// None.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let service = ("service", assessment.service.as_str());
    let mut page = Page::default();
    if assessment.hypothetical {
        let _ = writeln!(page.0, "# {}", summary::HYPOTHETICAL);
    }
    let passed = u64::from(assessment.gate.outcome == Outcome::Passed && !assessment.hypothetical);
    page.metric("probity_gate_passed", "1 where nothing at or above the bar fails or is not proven.");
    page.value("probity_gate_passed", &[service], passed);
    page.metric("probity_as_of_seconds", "When it was judged, as Unix time.");
    page.value("probity_as_of_seconds", &[service], assessment.as_of.as_second());
    page.metric("probity_run_seconds", "How long it took to collect.");
    page.value(
        "probity_run_seconds",
        &[service],
        format_args!("{}.{:03}", assessment.run.millis / 1000, assessment.run.millis % 1000),
    );
    page.metric("probity_connections", "Connections opened.");
    page.value("probity_connections", &[service], assessment.run.connections);
    let coverage = &assessment.coverage;
    page.metric("probity_targets", "Targets by state.");
    let states = [
        ("declared", coverage.declared),
        ("discovered", coverage.discovered),
        ("probed", coverage.probed),
        ("judged", coverage.judged),
    ];
    for (state, count) in states {
        page.value("probity_targets", &[service, ("state", state)], count);
    }
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for f in &assessment.findings {
        *counts.entry((&*f.policy, f.severity, f.verdict, f.waiver.is_some())).or_default() += 1;
    }
    page.metric("probity_findings", "Findings.");
    for ((policy, severity, verdict, waived), count) in counts {
        let labels = [
            service,
            ("policy", policy),
            ("severity", severity.as_str()),
            ("verdict", verdict.as_str()),
            waiver(waived),
        ];
        page.value("probity_findings", &labels, count);
    }
    page.metric("probity_finding", "1 for each finding that fails or is not proven.");
    for f in assessment.findings.iter().filter(|f| group::is_trouble(f)) {
        let labels = [
            service,
            ("policy", &*f.policy),
            ("control", &*f.control),
            ("target", &*f.target),
            ("severity", f.severity.as_str()),
            ("verdict", f.verdict.as_str()),
            waiver(f.waiver.is_some()),
        ];
        page.value("probity_finding", &labels, 1);
    }
    Ok(page.0.into_bytes())
}

const fn waiver(waived: bool) -> (&'static str, &'static str) {
    ("waived", if waived { "true" } else { "false" })
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn metric(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", label(text))).collect();
        let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.join(","));
    }
}

/// A label's value: backslashes, quotes and line breaks are escaped ("Exposition formats", Prometheus).
fn label(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_text_and_nothing_else() {
        assert_eq!(label("a\"} 1\n#"), "a\\\"} 1\\\\u{a}#");
    }
}
