//! Time, processor and memory of a scanner with all the processes that it starts.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How a run went.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    /// Wall time, s.
    pub(super) seconds: f64,
    /// Processor time, user and system, s.
    pub(super) cpu: f64,
    /// The most memory that one of its processes had resident, MB; 0 where it was not watched.
    pub(super) peak_mb: f64,
}

/// The run of median wall time; nobody watches its memory, which would cost time.
pub(super) fn median_of(runs: usize, words: &[&str]) -> Result<Usage> {
    let mut all = (0..runs).map(|_| run(words, None, false)).collect::<Result<Vec<_>>>()?;
    all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    all.into_iter().nth(runs / 2).context("no runs")
}

/// Runs a command to its end, its output into a file or nowhere. Other tools' exit codes mean different things.
///
/// Bash's `time` counts the time of all children that were waited for, to the millisecond.
pub(super) fn run(words: &[&str], output: Option<&Path>, watch: bool) -> Result<Usage> {
    let output = match output {
        Some(path) => Stdio::from(File::create(path)?),
        None => Stdio::null(),
    };
    let script = "TIMEFORMAT='%3R %3U %3S'; time \"$@\" 2>/dev/null";
    let child = Command::new("bash")
        .args(["-c", script, "bash"])
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .context("bash can't be started")?;
    let shell = child.id();
    let watcher = watch.then(|| std::thread::spawn(move || peak(shell)));
    let output = child.wait_with_output()?;
    let peak_mb = watcher.and_then(|watcher| watcher.join().ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().last().unwrap_or_default();
    let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [seconds, user, system] = figures.as_slice() else { bail!("`{}`: {text}", words.join(" ")) };
    Ok(Usage { seconds: *seconds, cpu: user + system, peak_mb })
}

/// The most that any process below this one had resident, MB, until it ends.
fn peak(shell: u32) -> f64 {
    let mut peak = 0.0_f64;
    while Path::new(&format!("/proc/{shell}/task")).exists() {
        let mut open = children(shell);
        while let Some(process) = open.pop() {
            peak = peak.max(high_water(process));
            open.extend(children(process));
        }
        sleep(Duration::from_millis(2));
    }
    peak
}

fn children(process: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// `VmHWM`, MB; nothing for a process that has ended.
fn high_water(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).map_or(0.0, |kilobytes: f64| kilobytes / 1000.0)
}
