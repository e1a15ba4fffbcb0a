//! Judging much evidence, and how sharp the shipped tests of controls are.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Bar;
use super::measure::run;
use crate::shell::{command, output, target_dir};

/// 100 controls on 1,000 targets of recorded evidence, and on a quarter of them, to see that memory does not grow.
pub(super) fn many() -> Result<Vec<Bar>> {
    crate::shell::run(&mut command(&[
        "cargo",
        "build",
        "--release",
        "--package",
        "policy",
        "--example",
        "judge_many",
    ]))?;
    let program = target_dir()?.join("release").join("examples").join("judge_many");
    let judged = |targets: &str| run(command(&[&program.to_string_lossy()]).args(["100", targets]), &[0]);
    let (few, many) = (judged("250")?, judged("1000")?);
    let growth = many.peak_mb - few.peak_mb;
    print!("{}", String::from_utf8_lossy(&many.output.stdout));
    Ok(vec![
        Bar::under("judging 100 controls × 1,000 targets", many.seconds, 5.0, "s"),
        Bar::under("judging: memory for 1,000 over 250 targets", growth, 20.0, "MB"),
        Bar::new("judging: memory, peak", format!("{:.1} MB", many.peak_mb), "-", true),
    ])
}

/// How many mutants of the shipped controls their tests notice.
pub(super) fn mutants(program: &Path) -> Result<Vec<Bar>> {
    let text = output(&mut command(&[&program.to_string_lossy(), "policy", "test", "--format", "json"]))?;
    let result: serde_json::Value = serde_json::from_str(&text)?;
    let count = |name: &str| {
        let number = result.get(name).and_then(serde_json::Value::as_u64);
        number.with_context(|| format!("`policy test --format json` has no `{name}`"))
    };
    let (mutants, killed, excused) = (count("mutants")?, count("killed")?, count("excused")?);
    let figure = format!("{killed} of {mutants} noticed, {excused} excused in writing");
    Ok(vec![Bar::new("mutants of the shipped controls", figure, "all", mutants > 0 && killed + excused == mutants)])
}
