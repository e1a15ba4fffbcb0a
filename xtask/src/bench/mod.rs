//! Side by side with other scanners, on the same servers of the lab; those that are not installed are left out, by name.

mod meter;
mod rivals;
mod tls;

use std::path::PathBuf;

use anyhow::Result;

use crate::lab::Server;
use crate::shell::{build_probity, installed, target_dir};

/// How often a quick one runs; the median counts.
const RUNS: usize = 5;

/// Measures and prints tables. `what` is `tls`, `ssh`, or nothing for both; `probity` a program to measure instead of
/// building one.
///
/// # Errors
/// When the program or the lab can't be started.
pub(crate) fn run_all(what: Option<&str>, full: bool, probity: Option<PathBuf>) -> Result<()> {
    let probity = probity.map_or_else(|| build_probity(true), Ok)?.to_string_lossy().into_owned();
    if what != Some("ssh") {
        tls::compare(&probity, &target_dir()?.join("rivals"), full)?;
    }
    if what != Some("tls") {
        ssh(&probity)?;
    }
    Ok(())
}

/// One OpenSSH server beside `ssh-audit`.
fn ssh(probity: &str) -> Result<()> {
    let server = Server::start("sshd")?;
    let (address, port) = (server.address.to_string(), server.address.port().to_string());
    let own = meter::median_of(RUNS, &[probity, "ssh", &address, "--format", "json"])?;
    println!("\n| scanner | median of {RUNS}, s | ratio to probity |\n|---|---:|---:|");
    println!("| probity ssh | {:.3} | 1.0 |", own.seconds);
    if !installed("ssh-audit") {
        println!("| ssh-audit | not installed | - |");
        return Ok(());
    }
    let rival = meter::median_of(RUNS, &["ssh-audit", "-j", "-p", &port, "127.0.0.1"])?;
    println!("| ssh-audit | {:.3} | {:.1} |", rival.seconds, rival.seconds / own.seconds);
    Ok(())
}
