//! Servers of the lab (the `tests` crate), for measurements and for trying things by hand.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell::{command, run};

const LAB: [&str; 8] = ["cargo", "run", "--quiet", "--package", "tests", "--bin", "lab", "--"];

/// Something of the lab that is there until this is dropped.
pub(crate) struct Lab {
    child: Child,
    /// What the lab says of it after its name.
    pub(crate) words: Vec<String>,
}

impl Lab {
    /// Starts one by name.
    ///
    /// # Errors
    /// When the lab does not compile, has no such thing, or can't start it.
    pub(crate) fn start(name: &str) -> Result<Self> {
        let mut child = command(&LAB).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the lab has no output")?).read_line(&mut line)?;
        let words: Vec<String> = line.split_whitespace().skip(1).map(str::to_owned).collect();
        if words.is_empty() {
            bail!("the lab did not start '{name}': {line}");
        }
        Ok(Self { child, words })
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _lab: Lab,
}

impl Server {
    /// Starts one by name.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub(crate) fn start(name: &str) -> Result<Self> {
        let lab = Lab::start(name)?;
        let address = lab.words.first().and_then(|word| word.parse().ok());
        Ok(Self { address: address.with_context(|| format!("'{name}' is no server"))?, _lab: lab })
    }
}

impl Drop for Lab {
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
