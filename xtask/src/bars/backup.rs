//! Backups: a long catalogue, and a restore of a gigabyte.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Bar;
use super::measure::{median, probity, run};
use crate::lab::Lab;
use crate::shell::Scratch;

/// How often each is measured.
const RUNS: usize = 5;

/// Listing 10,000 snapshots, beyond what restic itself takes for it.
pub(super) fn listing(program: &Path) -> Result<Vec<Bar>> {
    let (lab, scratch) = (Lab::start("restic-10000")?, Scratch::new("bars-backup")?);
    inventory(&lab, scratch.path(), "")?;
    let (mut own, mut all, mut peak, mut own_peak) = (Vec::new(), Vec::new(), 0.0_f64, 0.0_f64);
    for at in 0..RUNS {
        let listed = run(&mut restic(&lab, &["snapshots"])?, &[0])?;
        own.push(listed.seconds);
        own_peak = own_peak.max(listed.peak_mb);
        let mut audit = probity(program, scratch.path());
        audit.args(["audit", "-c", "probity.yaml", "--out"]).arg(scratch.path().join(format!("pack{at}")));
        let audit = run(&mut audit, &[0, 1, 3])?;
        all.push(audit.seconds);
        peak = peak.max(audit.peak_mb);
    }
    let (own, all) = (median(own), median(all));
    Ok(vec![
        Bar::under(
            format!("10,000 snapshots: audit beyond restic's own {own:.1} s, median of {RUNS}"),
            all - own,
            2.0,
            "s",
        ),
        Bar::under(
            format!("10,000 snapshots: memory, peak of {peak:.0} MB beyond restic's own {own_peak:.0} MB"),
            peak - own_peak,
            100.0,
            "MB",
        ),
    ])
}

/// Drills on a copy of 1 GB, against restic's own restore of it: on samples, as a drill is by default, and on the whole.
pub(super) fn drill(program: &Path) -> Result<Vec<Bar>> {
    let lab = Lab::start("restic-1gb")?;
    Ok(vec![
        against_restore(program, &lab, "drill on a copy of 1 GB", ", drill: {}")?,
        against_restore(program, &lab, "drill that restores all of 1 GB", ", drill: { whole: true }")?,
    ])
}

fn against_restore(program: &Path, lab: &Lab, what: &str, asked: &str) -> Result<Bar> {
    let scratch = Scratch::new("bars-drill")?;
    inventory(lab, scratch.path(), asked)?;
    let (mut own, mut all) = (Vec::new(), Vec::new());
    for at in 0..RUNS {
        let into = scratch.path().join(format!("own{at}"));
        let into = into.to_str().context("no UTF-8")?;
        own.push(run(&mut restic(lab, &["restore", "latest", "--target", into])?, &[0])?.seconds);
        std::fs::remove_dir_all(into)?;
        let mut drill = probity(program, scratch.path());
        drill
            .args(["drill", "-c", "probity.yaml", "--allow-commands", "--out"])
            .arg(scratch.path().join(format!("pack{at}")));
        let began = Instant::now();
        run(&mut drill, &[0, 1, 3])?;
        all.push(began.elapsed().as_secs_f64());
    }
    let (own, all) = (median(own), median(all));
    let name = format!("{what} ({all:.1} s) against restic's own restore ({own:.1} s), medians of {RUNS}");
    Ok(Bar::under(name, all / own, 1.2, "×"))
}

/// Writes an inventory of the lab's repository.
fn inventory(lab: &Lab, folder: &Path, more: &str) -> Result<()> {
    let [repository, password] = lab.words.as_slice() else { anyhow::bail!("the lab names no repository") };
    let text = format!(
        "service: bars\npolicy: [backup-full]\ntargets:\n  - name: it\n    backup: {{ restic: {{ repository: \"{repository}\", \
         password: \"file:{password}\" }}, expect: {{ }}{more} }}\n"
    );
    Ok(std::fs::write(folder.join("probity.yaml"), text)?)
}

/// restic as an audit calls it.
fn restic(lab: &Lab, arguments: &[&str]) -> Result<Command> {
    let [repository, password] = lab.words.as_slice() else { anyhow::bail!("the lab names no repository") };
    let mut command = Command::new("restic");
    command.args(["-r", repository, "--password-file", password, "--no-lock", "--no-cache", "--json"]).args(arguments);
    Ok(command)
}
