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

/// Measures everything; `skip_build` leaves the fresh clone out.
///
/// # Errors
/// When something can't be measured, or a figure misses its bar.
pub(crate) fn run(skip_build: bool) -> Result<()> {
    let mut steps = Steps::default();
    let mut bars = Vec::new();
    if !skip_build {
        bars.extend(steps.step("fresh clone", build::fresh_clone)?);
    }
    let probity = steps.step("release build", || build_probity(true))?;
    bars.extend(steps.step("the binary", || build::binary(&probity))?);
    bars.extend(steps.step("one nginx", || scan::nginx(&probity))?);
    bars.extend(steps.step("servers here and far away", || scan::far(&probity))?);
    bars.extend(steps.step("one OpenSSH", || scan::ssh(&probity))?);
    bars.extend(steps.step("1,000 targets", || scan::thousand(&probity))?);
    bars.extend(steps.step("fifty endpoints", || tls::fifty(&probity))?);
    bars.extend(steps.step("10 to 10,000 endpoints", || tls::many(&probity))?);
    bars.extend(steps.step("damaged inputs", || tls::inputs(&probity))?);
    bars.extend(steps.step("judging", judge::many)?);
    bars.extend(steps.step("a long catalogue", || backup::listing(&probity))?);
    bars.extend(steps.step("a restore", || backup::drill(&probity))?);
    bars.extend(steps.step("a store in clear", || e2ee::clear(&probity))?);
    bars.extend(steps.step("ciphertexts", || e2ee::ciphertexts(&probity))?);
    bars.extend(steps.step("many key files", || keys::many(&probity))?);
    bars.extend(steps.step("many files of nginx", || config::many(&probity))?);
    let scratch = Scratch::new("bars-pack")?;
    bars.extend(steps.step("replays", || pack::replays(&probity, scratch.path()))?);
    bars.extend(steps.step("flipped bytes", || pack::flips(&probity, scratch.path()))?);
    bars.extend(steps.step("mutants", || judge::mutants(&probity))?);
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
