//! How findings add up, and whether they block.

use model::{Counts, Finding, Gate, Outcome, Severity, Verdict};

/// How findings add up.
pub fn counts<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Counts {
    let mut counts = Counts::default();
    for finding in findings {
        match finding.verdict {
            Verdict::Pass => counts.pass += 1,
            Verdict::Fail => counts.fail += 1,
            Verdict::Inconclusive => counts.inconclusive += 1,
            Verdict::NotApplicable => counts.not_applicable += 1,
        }
        counts.waived += u32::from(finding.waiver.is_some());
    }
    counts
}

/// Whether the findings block. Fails closed: what is not proven blocks as well, and so does a run that was cut short.
pub fn gate<'f>(findings: impl IntoIterator<Item = &'f Finding>, fail_on: Severity, interrupted: bool) -> Gate {
    let mut gate = Gate { fail_on, outcome: Outcome::Passed, failing: 0, unproven: 0, below: 0 };
    for finding in findings.into_iter().filter(|f| f.waiver.is_none()) {
        match (finding.verdict, finding.severity >= fail_on) {
            (Verdict::Fail, true) => gate.failing += 1,
            (Verdict::Fail, false) => gate.below += 1,
            (Verdict::Inconclusive, true) => gate.unproven += 1,
            _ => {}
        }
    }
    gate.outcome = match (gate.failing, gate.unproven) {
        (0, 0) if !interrupted => Outcome::Passed,
        (0, _) => Outcome::Inconclusive,
        _ => Outcome::Failed,
    };
    gate
}
