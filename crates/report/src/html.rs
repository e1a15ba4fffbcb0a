//! One HTML page that loads nothing and runs nothing.
//!
//! Each section is a template of its own. Every text passes [`plain`] and then the escaping of
//! HTML, because both sit in the environment's formatter, where no template can forget them. The style sheet is
//! allowed by its digest alone (Content Security Policy Level 3, section 8.4).

mod about;
mod backups;
mod data_paths;
mod findings;
mod registers;
mod summary;
mod targets;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, UndefinedBehavior, Value, context, escape_formatter};
use model::Digest;

use crate::escape::{acts, plain};
use crate::summary as say;
use crate::{RenderError, Signature, Style, Trust, View, data_path};

const STYLE: &str = include_str!("../../../reports/templates/style.css");

const TEMPLATES: [(&str, &str); 8] = [
    ("page.html", include_str!("../../../reports/templates/page.html")),
    ("summary.html", include_str!("../../../reports/templates/summary.html")),
    ("findings.html", include_str!("../../../reports/templates/findings.html")),
    ("registers.html", include_str!("../../../reports/templates/registers.html")),
    ("backups.html", include_str!("../../../reports/templates/backups.html")),
    ("data-paths.html", include_str!("../../../reports/templates/data-paths.html")),
    ("targets.html", include_str!("../../../reports/templates/targets.html")),
    ("about.html", include_str!("../../../reports/templates/about.html")),
];

/// How to take the embedded attestation out of the page, byte for byte, in a shell.
pub(crate) const EXTRACT: &str = concat!(
    r#"sed -n 's|.*<pre class="bundle" id="assessment-bundle">\([A-Za-z0-9+/=]*\)</pre>.*|\1|p' report.html"#,
    " | base64 -d > assessment.sigstore.json"
);

/// The assessment as a page for people: outcome, findings, waivers, passes, facts, coverage, method, provenance, and
/// how to check it.
///
/// # Errors
/// Where a template can't be filled, which is a defect of the template.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let assessment = view.assessment;
    let environment = environment()?;
    let trouble = findings::Troubles::of(view);
    let mut sections = String::new();
    let backups = (backups::known(view) > 0).then(|| ("backups.html", backups::context(view)));
    let paths = (data_path::known(view) > 0).then(|| ("data-paths.html", data_paths::context(view)));
    let before = [
        ("summary.html", summary::context(view, &trouble)),
        ("findings.html", findings::context(view, &trouble)),
        ("registers.html", registers::context(assessment)),
    ];
    let after = [("targets.html", targets::context(view)), ("about.html", about::context(view))];
    for (name, context) in before.into_iter().chain(paths).chain(backups).chain(after) {
        sections.push_str(&environment.get_template(name)?.render(context)?);
    }
    let service = &assessment.service;
    let hypothetical = if assessment.hypothetical { format!("{}: ", say::HYPOTHETICAL) } else { String::new() };
    let word = say::outcome_word(assessment.gate.outcome);
    let page = environment.get_template("page.html")?.render(context! {
        title => format!("{hypothetical}{service}: {word}, {}", say::day(assessment.as_of)),
        style => STYLE,
        style_hash => format!("sha256-{}", STANDARD.encode(Digest::of(STYLE.as_bytes()).as_bytes())),
        tool => format!("{} {}", assessment.run.tool.name, assessment.run.tool.version),
        hypothetical => assessment.hypothetical,
        seal => seal(view),
        service,
        as_of => assessment.as_of.to_string(),
        as_of_words => assessment.as_of.strftime("%-d %B %Y, %H:%M:%S UTC").to_string(),
        policies => say::policies(assessment),
        contents => contents(view, &trouble),
        sections,
    })?;
    Ok(page.into_bytes())
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("words", |text: &str| crate::tls::words(text).to_owned());
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() && text.contains(acts) => escape_formatter(out, state, &plain(text).into()),
        _ => escape_formatter(out, state, value),
    });
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

fn seal(view: &View<'_>) -> Value {
    let good = !view.assessment.hypothetical
        && matches!(view.signature, Signature::Signed { trust: Trust::SelfMade | Trust::Trusted, .. });
    context! { text => say::signature(view, 12), bad => !good }
}

fn contents(view: &View<'_>, trouble: &findings::Troubles<'_>) -> Vec<Value> {
    let assessment = view.assessment;
    let (paths, backups) = (data_path::known(view), backups::known(view));
    let links = [
        ("summary", "Summary", String::new()),
        ("findings", "Findings", trouble.entries.len().to_string()),
        ("waivers", "Waivers", assessment.waivers.len().to_string()),
        ("passes", "Passes", assessment.counts.pass.to_string()),
        ("data-paths", "Data paths", paths.to_string()),
        ("backups", "Backups", backups.to_string()),
        ("targets", "Targets", assessment.coverage.targets.len().to_string()),
        ("coverage", "Coverage", String::new()),
        ("method", "Method", String::new()),
        ("provenance", "Provenance", String::new()),
        ("verify", "How to check", String::new()),
    ];
    let there = links.into_iter().filter(|(id, ..)| match *id {
        "data-paths" => paths > 0,
        "backups" => backups > 0,
        _ => true,
    });
    there.map(|(id, text, count)| context! { id, text, count }).collect()
}
