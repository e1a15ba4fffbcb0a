//! Running the program and watching its time and memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell::shown;

/// How a run went.
pub(super) struct Run {
    pub(super) output: Output,
    pub(super) seconds: f64,
    /// The most memory that it had resident (`VmHWM`), MB.
    pub(super) peak_mb: f64,
    /// Processor time of the run and of all that it waited for, s; to a hundredth.
    pub(super) cpu: f64,
}

/// Runs a command to its end, and fails where it does not end with one of the codes.
pub(super) fn run(command: &mut Command, codes: &[i32]) -> Result<Run> {
    let line = shown(command);
    let (start, before) = (Instant::now(), of_children());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{line}` can't be started"))?;
    // The kernel's mark only rises, so the last reading before the end is the peak but for the last moment.
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let watcher = std::thread::spawn(move || {
        let mut peak = 0.0_f64;
        while let Some(now) = high_water(&status) {
            peak = peak.max(now);
            sleep(Duration::from_millis(2));
        }
        peak
    });
    let stdout = child.stdout.take().context("no output")?;
    let reader = std::thread::spawn(move || std::io::read_to_string(stdout));
    let stderr = std::io::read_to_string(child.stderr.take().context("no output")?)?;
    let status = child.wait()?;
    let seconds = start.elapsed().as_secs_f64();
    let stdout = reader.join().ok().context("the reader broke")??;
    let cpu = of_children() - before;
    let peak_mb = watcher.join().ok().context("the watcher broke")?;
    if !status.code().is_some_and(|code| codes.contains(&code)) {
        bail!("`{line}` ended with {status}:\n{stdout}\n{stderr}");
    }
    let output = Output { status, stdout: stdout.into_bytes(), stderr: stderr.into_bytes() };
    Ok(Run { output, seconds, peak_mb, cpu })
}

/// Processor time of all children that were waited for, s: `cutime` and `cstime` of proc(5), in hundredths.
fn of_children() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold anything.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// `VmHWM` in MB; none once the process has ended.
fn high_water(status: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1000.0)
}

/// The program, at home in `folder` and with none of our environment.
pub(super) fn probity(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().env("HOME", folder).env("XDG_STATE_HOME", folder.join("state"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// The middle one.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The assessment in a pack.
pub(super) fn assessment(pack: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(pack.join("assessment.json"))
        .with_context(|| format!("there is no pack at {}", pack.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// A number in it.
pub(super) fn number(value: &Value, pointer: &str) -> Result<f64> {
    value.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("the assessment has no {pointer}"))
}
