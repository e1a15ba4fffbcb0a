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
    let judged = |targets: &str| run(command(&[&program.to_string_lossy()]).args([targets, "60"]), &[0]);
    let (few, many) = (judged("250")?, judged("1000")?);
    let growth = many.peak_mb - few.peak_mb;
    let said = String::from_utf8_lossy(&many.output.stdout);
    let spent = said.lines().next().and_then(|line| seconds(line.rsplit(' ').next()?));
    let spent = spent.with_context(|| format!("judge_many does not end its first line with a time: {said}"))?;
    Ok(vec![
        Bar::under("judging 100 controls × 1,000 targets", spent, 5.0, "s"),
        Bar::under("judging: memory for 1,000 over 250 targets", growth, 20.0, "MB"),
        Bar::new("judging: memory, peak", format!("{:.1} MB", many.peak_mb), "-", true),
    ])
}

/// A time as Rust shows it: `1.23s`, `950.12ms`.
fn seconds(text: &str) -> Option<f64> {
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    Some(number.parse::<f64>().ok()? * scale)
}

/// How many mutants of the shipped controls their tests notice.
pub(super) fn mutants(program: &Path) -> Result<Vec<Bar>> {
    let text = output(&mut command(&[&program.to_string_lossy(), "policy", "test", "--format", "json"]))?;
    let result: serde_json::Value = serde_json::from_str(&text)?;
    let count = |name: &str| {
        let number = result.get(name).and_then(serde_json::Value::as_u64);
        number.with_context(|| format!("`policy test --format json` has no `{name}`"))
    };
    let survivors = result.get("survivors").and_then(serde_json::Value::as_array);
    let survivors = survivors.context("`policy test --format json` has no `survivors`")?;
    let excused = survivors.iter().filter(|survivor| survivor.get("reason").is_some_and(serde_json::Value::is_string));
    let excused = u64::try_from(excused.count())?;
    let (mutants, killed) = (count("mutants")?, count("killed")?);
    let figure = format!("{killed} of {mutants} noticed, {excused} excused in writing");
    Ok(vec![Bar::new("mutants of the shipped controls", figure, "all", mutants > 0 && killed + excused == mutants)])
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_as_rust_shows_them() {
        assert_eq!(seconds("1.50s"), Some(1.5));
        assert_eq!(seconds("250ms"), Some(0.25));
        assert_eq!(seconds("soon"), None);
    }
}
