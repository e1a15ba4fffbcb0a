//! `VERIFY.md`: how to check a pack, with Probity and without.

use minijinja::{Environment, UndefinedBehavior, context};
use model::pack;

use crate::escape::plain;
use crate::{RENDERERS, Signature, View, summary};

const TEMPLATE: &str = include_str!("../../../reports/templates/VERIFY.md");

/// Text of `VERIFY.md` for a pack that holds the named reports. Formats that are not among `files` are named as absent.
#[must_use]
pub fn verify_md(view: &View<'_>, files: &[&str]) -> Vec<u8> {
    // The template and its context are both ours: a failure is caught by the tests, and leaves its own message here.
    fill(view, files).unwrap_or_else(|error| format!("VERIFY.md could not be written: {error}\n")).into_bytes()
}

fn fill(view: &View<'_>, files: &[&str]) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let key = match &view.signature {
        Signature::Signed { fingerprint, .. } if !view.assessment.hypothetical => Some(inline(fingerprint)),
        _ => None,
    };
    let text = environment.render_str(
        TEMPLATE,
        context! {
            what => what(view),
            signed => signed(view),
            files => reports(files),
            html => files.contains(&"report.html") && view.bundle.is_some(),
            unlisted => pack::UNLISTED.join(" "),
            assessment_subjects => listed(&pack::ASSESSMENT_SUBJECTS),
            report_subjects => listed(&[&[pack::MANIFEST, pack::SUMS], files].concat()),
            extract => crate::html::EXTRACT,
            key,
        },
    )?;
    Ok(format!("{}\n", text.trim_end()))
}

/// Text from outside that can't end a line, a code span or a paragraph of Markdown.
fn inline(text: &str) -> String {
    plain(text).chars().map(|c| if "`*_<>[]()#&|\\!".contains(c) { '.' } else { c }).collect()
}

fn what(view: &View<'_>) -> String {
    let assessment = view.assessment;
    let service = inline(&assessment.service);
    let text = format!(
        "The pack holds an audit of {service}, judged as of {} by {} {}: {}.",
        assessment.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        inline(&assessment.run.tool.name),
        inline(&assessment.run.tool.version),
        summary::outcome_word(assessment.gate.outcome),
    );
    if assessment.hypothetical { format!("**{}.** {text}", summary::HYPOTHETICAL) } else { text }
}

fn signed(view: &View<'_>) -> String {
    if view.assessment.hypothetical {
        return "**UNSIGNED**: a hypothetical assessment is never signed as an audit.".into();
    }
    match &view.signature {
        Signature::Unsigned { why } => format!(
            "**UNSIGNED**: {}. Nothing protects this pack from being changed; the digests below show accidents only.",
            inline(why)
        ),
        Signature::Signed { fingerprint, label, trust } => {
            let label = label.as_deref().map_or("a key without a name".into(), inline);
            let trust = match trust {
                crate::Trust::SelfMade => {
                    "The key was made on first use by the user who ran the audit (self-made): nobody else vouches for it."
                }
                crate::Trust::Trusted => "The key was trusted where the audit ran.",
                crate::Trust::Unknown => "The key is known to nobody here.",
            };
            format!("Signed by {label}, `{}`. {trust}", inline(fingerprint))
        }
    }
}

/// Which reports are there and which are not.
fn reports(files: &[&str]) -> String {
    let known = RENDERERS.iter().map(|r| r.file).filter(|file| !file.is_empty());
    let absent: Vec<&str> = known.filter(|file| !files.contains(file)).collect();
    let there =
        if files.is_empty() { "It holds no report.".into() } else { format!("Its reports: {}.", listed(files)) };
    if absent.is_empty() {
        format!("{there} No format is absent.")
    } else {
        format!("{there} Not made by this run, and so absent: {}.", listed(&absent))
    }
}

fn listed(files: &[&str]) -> String {
    files.iter().map(|file| format!("`{}`", inline_path(file))).collect::<Vec<_>>().join(", ")
}

/// File names are our own; an underscore is kept.
fn inline_path(path: &str) -> String {
    plain(path).replace('`', ".")
}
