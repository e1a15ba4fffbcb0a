//! Workflow commands that GitHub Actions turns into annotations on a commit or pull request.

use model::{Assessment, Finding, Severity, Verdict};

use crate::escape::{command_data, command_property, plain, plain_cut};
use crate::group::{self, Entry};
use crate::{RenderError, Style, View, summary};

/// Annotations of each level that GitHub keeps of one step; it drops the rest without a word.
const MOST_PER_LEVEL: usize = 10;

/// The levels GitHub knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }

    /// How many of this level may be written, the summary's own notice kept free.
    const fn room(self) -> usize {
        match self {
            Self::Notice => MOST_PER_LEVEL - 1,
            _ => MOST_PER_LEVEL,
        }
    }
}

/// One line per annotation: what blocks as errors, other troubles as warnings, waived and informative ones as
/// notices, within GitHub's limits; then a summary as a notice.
///
/// # Errors
/// None.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let entries = group::entries(assessment.findings.iter().filter(|f| group::is_trouble(f)));
    let mut text = String::new();
    let mut left_out = 0;
    for level in [Level::Error, Level::Warning, Level::Notice] {
        let mut of_level = entries.iter().filter(|e| level_of(assessment, e.first) == level);
        for entry in of_level.by_ref().take(level.room()) {
            text.push_str(&command(level, &place(view, entry.first), &title(assessment, entry), &message(view, entry)));
        }
        left_out += of_level.count();
    }
    let mut end =
        format!("{}: {}", summary::outcome_word(assessment.gate.outcome), summary::outcome_reasons(assessment));
    if left_out > 0 {
        end.push_str(&format!("; {left_out} more not annotated: see the report"));
    }
    end.push_str(&format!("; {}", summary::signature(view, 64)));
    text.push_str(&command(Level::Notice, "", &head(assessment), &end));
    Ok(text.into_bytes())
}

fn level_of(assessment: &Assessment, finding: &Finding) -> Level {
    if summary::blocks(assessment, finding) {
        Level::Error
    } else if finding.waiver.is_some() || finding.severity == Severity::Info {
        Level::Notice
    } else {
        Level::Warning
    }
}

/// `file=…,line=…,` of the inventory where it is known, else of the control.
fn place(view: &View<'_>, finding: &Finding) -> String {
    match summary::place(view, finding) {
        Some(source) => format!("file={},line={},", command_property(&plain(&source.file)), source.line.max(1)),
        None => String::new(),
    }
}

fn head(assessment: &Assessment) -> String {
    let service = plain(&assessment.service);
    if assessment.hypothetical {
        format!("probity: {service} ({})", summary::HYPOTHETICAL)
    } else {
        format!("probity: {service}")
    }
}

fn title(assessment: &Assessment, entry: &Entry<'_>) -> String {
    let finding = entry.first;
    let doubt = if finding.verdict == Verdict::Inconclusive { " not proven" } else { "" };
    let hypothetical = if assessment.hypothetical { "hypothetical: " } else { "" };
    format!("{hypothetical}{}{doubt} ({})", plain_cut(&finding.control, 80), finding.severity)
}

/// What was seen, on which targets, what is wanted and how to mend it, a line each.
fn message(view: &View<'_>, entry: &Entry<'_>) -> String {
    let finding = entry.first;
    let control = view.assessment.controls.get(&*finding.control);
    let mut lines = Vec::new();
    lines.extend(summary::waived(view.assessment, finding));
    let targets = summary::some_of(entry.targets(), 3);
    match finding.reasons.first() {
        Some(reason) => lines.push(format!("{targets}: {}", plain_cut(&reason.message, 600))),
        None => lines.push(targets),
    }
    if finding.reasons.len() > 1 {
        lines.push(format!("and {} more", summary::count(finding.reasons.len() - 1, "reason", "reasons")));
    }
    if let Some(wanted) = &finding.wanted {
        lines.push(format!("wanted: {}", plain_cut(wanted, 300)));
    }
    let evidence = finding.evidence.first().and_then(|digest| (view.evidence)(digest));
    let remedy = control.and_then(|control| summary::remedy(control, evidence.as_deref()));
    if let (Verdict::Fail, Some((product, text))) = (finding.verdict, remedy) {
        let fix = text.trim().lines().next().unwrap_or_default();
        lines.push(format!("fix, {}: {}", plain(product), plain_cut(fix, 300)));
    }
    lines.join("\n")
}

fn command(level: Level, place: &str, title: &str, message: &str) -> String {
    format!("::{} {place}title={}::{}\n", level.as_str(), command_property(title), command_data(message))
}
