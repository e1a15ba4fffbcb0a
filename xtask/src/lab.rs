//! Servers of the lab (the `tests` crate), for measurements and for trying things by hand.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use crate::shell::{command, run};

const LAB: [&str; 8] = ["cargo", "run", "--quiet", "--package", "tests", "--bin", "lab", "--"];

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one by name.
    ///
    /// # Errors
    /// When the lab does not compile, has no such server, or can't start it.
    pub(crate) fn start(name: &str) -> Result<Self> {
        let mut child = command(&LAB).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the lab has no output")?).read_line(&mut line)?;
        let address = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let address = address.with_context(|| format!("the lab did not start '{name}': {line}"))?;
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The lab ends, and its servers with it, when its input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Starts servers by name and waits; without names, lists them.
///
/// # Errors
/// When the lab does not compile, has no such server, or can't start it.
pub(crate) fn foreground(names: &[String]) -> Result<()> {
    run(command(&LAB).args(names))
}
