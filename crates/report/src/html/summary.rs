//! The top of the page: the outcome, how findings add up, what blocks.

use minijinja::value::Serde;
use minijinja::{Value, context};
use model::{NoticeLevel, Outcome};

use super::findings::{Troubles, anchor, title, verdict};
use crate::View;
use crate::summary::{self as say, some_of};

/// Most lines of what blocks, and of notices.
const MOST: usize = 12;

pub(super) fn context(view: &View<'_>, troubles: &Troubles<'_>) -> Value {
    let assessment = view.assessment;
    let blocking = troubles.entries.iter().enumerate();
    let blocking: Vec<_> = blocking.filter(|(_, e)| e.findings.iter().any(|f| say::blocks(assessment, f))).collect();
    let shown = blocking.iter().take(MOST).map(|(n, entry)| {
        context! {
            anchor => anchor(*n),
            title => title(view, entry),
            severity => entry.first.severity.as_str(),
            verdict => verdict(entry).to_lowercase(),
            where => format!("on {}", some_of(entry.targets(), 3)),
        }
    });
    let notices = assessment.notices.iter().take(MOST).map(|notice| match notice.level {
        NoticeLevel::Warning => context! { class => "warning", label => "Warning:", message => &notice.message },
        NoticeLevel::Note => context! { class => "note", label => "Note:", message => &notice.message },
    });
    context! {
        class => match assessment.gate.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Inconclusive => "inconclusive",
        },
        word => say::outcome_word(assessment.gate.outcome),
        hypothetical => assessment.hypothetical,
        sentence => say::sentence(assessment),
        bar => bar(view),
        bar_label => say::outcome_reasons(assessment),
        counts => Serde(assessment.counts),
        blocking => shown.collect::<Vec<_>>(),
        blocking_more => blocking.len().saturating_sub(MOST),
        notices => notices.collect::<Vec<_>>(),
        notices_more => assessment.notices.len().saturating_sub(MOST),
    }
}

/// The parts of the bar, of 1,000 units; every part that is not empty is at least visible.
fn bar(view: &View<'_>) -> Vec<Value> {
    let counts = &view.assessment.counts;
    let parts =
        [("fail", counts.fail), ("doubt", counts.inconclusive), ("pass", counts.pass), ("none", counts.not_applicable)];
    let sizes: Vec<(&str, u64)> = parts.into_iter().filter(|(_, n)| *n > 0).map(|(c, n)| (c, u64::from(n))).collect();
    let total: u64 = sizes.iter().map(|(_, n)| n).sum();
    let widths: Vec<u64> = sizes.iter().map(|(_, n)| (n * 1_000 / total.max(1)).max(6)).collect();
    let all: u64 = widths.iter().sum();
    let mut x = 0;
    let mut bar = Vec::new();
    for ((class, _), width) in sizes.iter().zip(widths) {
        let width = width * 1_000 / all.max(1);
        bar.push(context! { class => *class, x, width });
        x += width;
    }
    bar
}
