//! A newcomer's first minutes, and the binary that comes of it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Bar;
use super::measure::{median, run};
use crate::shell::{Scratch, command, root};

/// Clones what is committed, then builds and runs it as the README says, with nothing built before.
pub(super) fn fresh_clone() -> Result<Vec<Bar>> {
    let scratch = Scratch::new("fresh-clone")?;
    let clone = scratch.path().join("clone");
    run(command(&["git", "clone", "--quiet"]).arg(root()).arg(&clone), &[0])?;
    let start = Instant::now();
    let mut audit = command(&["cargo", "run", "--quiet", "--release", "--", "audit"]);
    audit.current_dir(&clone).env_remove("CARGO_TARGET_DIR").env_remove("CI");
    audit.env("XDG_STATE_HOME", scratch.path().join("state"));
    // This machine may have faults; what counts is that the audit ends with a verdict.
    run(&mut audit, &[0, 1, 3])?;
    let seconds = start.elapsed().as_secs_f64();
    let packs = clone.join("probity-packs");
    let pack =
        std::fs::read_dir(&packs).context("the audit left no pack")?.next().context("the audit left no pack")??;
    let signed = pack.path().join("report.sigstore.json").is_file();
    Ok(vec![
        Bar::under("fresh clone: build and first audit", seconds, 360.0, "s"),
        Bar::new("fresh clone: the pack is signed", if signed { "yes" } else { "no" }, "yes", signed),
    ])
}

/// Its size and how fast it starts.
pub(super) fn binary(probity: &Path) -> Result<Vec<Bar>> {
    let size = std::fs::metadata(probity)?.len();
    let mut times = Vec::new();
    for _ in 0..30 {
        times.push(run(command(&[&probity.to_string_lossy()]).arg("--version"), &[0])?.seconds * 1000.0);
    }
    Ok(vec![
        Bar::under("size of the binary", f64::from(u32::try_from(size)?) / 1e6, 25.0, "MB"),
        Bar::under("--version, median of 30", median(times), 10.0, "ms"),
    ])
}
