//! Waivers, passes, and what does not apply.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use model::{Assessment, Finding, Verdict, WaiverLine, WaiverState};

use crate::group;
use crate::summary::{self, count, some_of};

/// Most waivers shown.
const MOST_WAIVERS: usize = 300;
/// Most rows of a list.
const MOST_ROWS: usize = 500;

pub(super) fn context(assessment: &Assessment) -> Value {
    let waivers = assessment.waivers.iter().take(MOST_WAIVERS).map(|w| waiver(assessment, w));
    context! {
        waivers => waivers.collect::<Vec<_>>(),
        waivers_more => assessment.waivers.len().saturating_sub(MOST_WAIVERS),
        lists => [
            list(assessment, Verdict::Pass, "Passes", "On"),
            list(assessment, Verdict::NotApplicable, "Not applicable", "On, and why"),
        ],
    }
}

fn waiver(assessment: &Assessment, w: &WaiverLine) -> Value {
    let (class, state) = match w.state {
        WaiverState::Used => {
            let findings = usize::try_from(w.findings).unwrap_or(usize::MAX);
            ("waived", format!("Used: {}", count(findings, "finding", "findings")))
        }
        WaiverState::Unused => ("doubt", "Unused: what it waives passes, so remove it".into()),
        WaiverState::Unmatched => ("doubt", "Unmatched: no such control or target".into()),
        WaiverState::Expired => ("fail", "Expired: it waives nothing".into()),
        WaiverState::Early => ("doubt", "Not yet in force: it waives nothing".into()),
    };
    let days = w.expires.duration_since(assessment.as_of).as_secs() / 86_400;
    let left = match days {
        ..0 => format!("{} ago", count(usize::try_from(-days).unwrap_or(0), "day", "days")),
        0.. => format!("{} left", count(usize::try_from(days).unwrap_or(0), "day", "days")),
    };
    context! {
        class, state, left,
        id => &w.id,
        control => &w.control,
        target => &w.target,
        expires => summary::day(w.expires),
        owner => &w.owner,
        approver => &w.approver,
        reason => &w.reason,
        ticket => &w.ticket,
    }
}

/// One row per control, and per reason where there is one.
fn list(assessment: &Assessment, verdict: Verdict, title: &str, last: &str) -> Value {
    let mut rows: BTreeMap<(&str, &str), Vec<&Finding>> = BTreeMap::new();
    let mut findings = 0;
    for finding in assessment.findings.iter().filter(|f| f.verdict == verdict) {
        let reason = match verdict {
            Verdict::NotApplicable => finding.reasons.first().map_or("", |r| r.message.as_str()),
            _ => "",
        };
        rows.entry((&finding.control, reason)).or_default().push(finding);
        findings += 1;
    }
    let controls = group::distinct(rows.keys().map(|(control, _)| *control)).len();
    let shown = rows.iter().take(MOST_ROWS).map(|((control, reason), findings)| {
        let targets = group::distinct(findings.iter().map(|f| &*f.target));
        context! {
            control => *control,
            reason => *reason,
            title => assessment.controls.get(*control).map(|c| c.title.as_str()).unwrap_or_default(),
            severity => findings.first().map(|f| f.severity.as_str()).unwrap_or_default(),
            targets => some_of(targets, 6),
        }
    });
    let more = rows.len().saturating_sub(MOST_ROWS);
    let left_out = if more > 0 { format!("; {more} rows more in assessment.json") } else { String::new() };
    context! {
        title, last,
        note => format!(
            "{} of {}{left_out}",
            count(findings, "finding", "findings"),
            count(controls, "control", "controls"),
        ),
        rows => shown.collect::<Vec<_>>(),
    }
}
