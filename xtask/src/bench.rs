//! Side by side with other scanners, on the same server of the lab; those that are not installed are left out, by name.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::lab::Server;
use crate::shell::{build_probity, command, installed, run, target_dir, works};

/// How often each one runs.
const RUNS: usize = 3;

/// Measures and prints a table.
///
/// # Errors
/// When the program or the lab can't be started.
pub(crate) fn run_all() -> Result<()> {
    let probity = build_probity(true)?.to_string_lossy().into_owned();
    let sslyze = sslyze(&target_dir()?.join("rivals"))?;
    let server = Server::start("nginx-intermediate")?;
    let address = server.address.to_string();
    let testssl = if installed("testssl.sh") { "testssl.sh" } else { "testssl" };
    let rivals = [
        ("testssl.sh", vec![testssl, "--quiet", "--color", "0", "--warnings", "off", &address]),
        ("sslscan", vec!["sslscan", "--no-colour", &address]),
        ("sslyze", vec![&sslyze, &address]),
    ];
    compare("probity tls", &[&probity, "tls", &address, "--format", "json"], &rivals)?;
    let server = Server::start("sshd")?;
    let (address, port) = (server.address.to_string(), server.address.port().to_string());
    let rivals = [("ssh-audit", vec!["ssh-audit", "-j", "-p", &port, "127.0.0.1"])];
    compare("probity ssh", &[&probity, "ssh", &address, "--format", "json"], &rivals)
}

/// Measures one of ours beside others, and prints a table.
fn compare(own: &str, words: &[&str], rivals: &[(&str, Vec<&str>)]) -> Result<()> {
    let ours = time(words)?;
    println!("\n| scanner | median of {RUNS}, s | ratio to probity |\n|---|---:|---:|");
    println!("| {own} | {ours:.3} | 1.0 |");
    for (name, words) in rivals {
        let program = words.first().copied().unwrap_or_default();
        if !installed(program) && !Path::new(program).is_file() {
            println!("| {name} | not installed | - |");
            continue;
        }
        match time(words) {
            Ok(seconds) => println!("| {name} | {seconds:.3} | {:.1} |", seconds / ours),
            Err(error) => println!("| {name} | {error:#} | - |"),
        }
    }
    Ok(())
}

/// The median time of a command; its output is thrown away, and other tools' exit codes mean different things.
fn time(words: &[&str]) -> Result<f64> {
    let (program, arguments) = words.split_first().unwrap_or((&"false", &[]));
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut command = Command::new(program);
        let status =
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.code().is_none() {
            bail!("{program} was killed");
        }
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds.get(RUNS / 2).copied().unwrap_or(f64::NAN))
}

/// SSLyze in a virtual environment of its own, if Python's index can be reached.
fn sslyze(folder: &Path) -> Result<String> {
    let program = folder.join("bin").join("sslyze").to_string_lossy().into_owned();
    if !Path::new(&program).is_file() && works(&["python3", "-m", "venv", &folder.to_string_lossy()]) {
        let pip = folder.join("bin").join("pip").to_string_lossy().into_owned();
        if let Err(error) = run(&mut command(&[&pip, "install", "--quiet", "sslyze"])) {
            println!("{error:#}");
        }
    }
    Ok(program)
}
