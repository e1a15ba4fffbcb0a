//! The figures that the project promises, measured in full and printed as one table.

mod backup;
mod build;
mod config;
mod e2ee;
mod judge;
mod keys;
mod measure;
mod pack;
mod scan;
mod tls;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::shell::{Scratch, Steps, build_probity};

/// One figure against its bar.
pub(crate) struct Bar {
    name: String,
    figure: String,
    bar: String,
    ok: bool,
}

impl Bar {
    fn new(name: impl Into<String>, figure: impl Into<String>, bar: impl Into<String>, ok: bool) -> Self {
        Self { name: name.into(), figure: figure.into(), bar: bar.into(), ok }
    }

    /// A figure that must stay under its bar.
    fn under(name: impl Into<String>, figure: f64, bar: f64, unit: &str) -> Self {
        Self::new(name, format!("{figure:.3} {unit}"), format!("< {bar} {unit}"), figure < bar)
    }
}

/// What is measured, by name.
type Step<'a> = (&'static str, Box<dyn Fn() -> Result<Vec<Bar>> + 'a>);

/// Measures everything, or the steps alone whose name contains `only`; `skip_build` leaves the fresh clone out, and
/// `probity` is a program to measure instead of building one.
///
/// # Errors
/// When something can't be measured, or a figure misses its bar.
pub(crate) fn run(skip_build: bool, only: Option<&str>, probity: Option<PathBuf>) -> Result<()> {
    let mut steps = Steps::default();
    let mut bars = Vec::new();
    if !skip_build && only.is_none() {
        bars.extend(steps.step("fresh clone", build::fresh_clone)?);
    }
    let probity = steps.step("release build", || probity.map_or_else(|| build_probity(true), Ok))?;
    let scratch = Scratch::new("bars-pack")?;
    let all: [Step<'_>; 18] = [
        ("the binary", Box::new(|| build::binary(&probity))),
        ("one nginx", Box::new(|| scan::nginx(&probity))),
        ("servers here and far away", Box::new(|| scan::far(&probity))),
        ("one OpenSSH", Box::new(|| scan::ssh(&probity))),
        ("1,000 targets", Box::new(|| scan::thousand(&probity))),
        ("fifty endpoints", Box::new(|| tls::fifty(&probity))),
        ("10 to 10,000 endpoints", Box::new(|| tls::many(&probity))),
        ("damaged inputs", Box::new(|| tls::inputs(&probity))),
        ("judging", Box::new(judge::many)),
        ("a long catalogue", Box::new(|| backup::listing(&probity))),
        ("a restore", Box::new(|| backup::drill(&probity))),
        ("a store in clear", Box::new(|| e2ee::clear(&probity))),
        ("ciphertexts", Box::new(|| e2ee::ciphertexts(&probity))),
        ("many key files", Box::new(|| keys::many(&probity))),
        ("many files of nginx", Box::new(|| config::many(&probity))),
        ("replays", Box::new(|| pack::replays(&probity, scratch.path()))),
        ("flipped bytes", Box::new(|| pack::flips(&probity, scratch.path()))),
        ("mutants", Box::new(|| judge::mutants(&probity))),
    ];
    for (name, work) in all.iter().filter(|(name, _)| only.is_none_or(|part| name.contains(part))) {
        bars.extend(steps.step(name, work)?);
    }
    steps.summary();
    print(&bars);
    let missed = bars.iter().filter(|bar| !bar.ok).count();
    if missed > 0 {
        bail!("{missed} figures miss their bar");
    }
    Ok(())
}

fn print(bars: &[Bar]) {
    let width = |column: fn(&Bar) -> &str| bars.iter().map(|bar| column(bar).chars().count()).max().unwrap_or(0);
    let (name, figure, bar) = (width(|b| &b.name), width(|b| &b.figure), width(|b| &b.bar));
    println!("\n| {:name$} | {:>figure$} | {:>bar$} | ok  |", "what", "figure", "bar");
    println!("|-{}-|-{}:|-{}:|-----|", "-".repeat(name), "-".repeat(figure), "-".repeat(bar));
    for one in bars {
        let ok = if one.ok { "yes" } else { "NO" };
        println!("| {:name$} | {:>figure$} | {:>bar$} | {ok:3} |", one.name, one.figure, one.bar);
    }
}
