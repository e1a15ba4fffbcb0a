//! Servers of the lab (the `tests` crate), for measurements and for trying things by hand.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell::{command, output, run};

const LAB: [&str; 8] = ["cargo", "run", "--quiet", "--package", "tests", "--bin", "lab", "--"];

/// Something of the lab that is there until this is dropped.
pub(crate) struct Lab {
    child: Child,
    said: BufReader<ChildStdout>,
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
        let mut said = BufReader::new(child.stdout.take().context("the lab has no output")?);
        said.read_line(&mut line)?;
        let words: Vec<String> = line.split_whitespace().skip(1).map(str::to_owned).collect();
        if words.is_empty() {
            bail!("the lab did not start '{name}': {line}");
        }
        Ok(Self { child, said, words })
    }
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    lab: Lab,
}

/// What went through the relay before a server since it started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Connections.
    pub(crate) connections: u64,
    /// The most that were open at one time.
    pub(crate) at_once: u64,
    /// Bytes, both ways.
    pub(crate) bytes: u64,
}

impl Server {
    /// Starts one by name.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub(crate) fn start(name: &str) -> Result<Self> {
        let lab = Lab::start(name)?;
        let address = lab.words.first().and_then(|word| word.parse().ok());
        Ok(Self { address: address.with_context(|| format!("'{name}' is no server"))?, lab })
    }

    /// What went through until now; of a server that was started as `NAME@MILLISECONDS`.
    ///
    /// # Errors
    /// When there is no relay before it.
    pub(crate) fn counts(&mut self) -> Result<Counts> {
        self.lab.child.stdin.as_mut().context("the lab has no input")?.write_all(b"\n")?;
        let mut line = String::new();
        self.lab.said.read_line(&mut line)?;
        let figures: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match figures.as_slice() {
            [connections, at_once, sent, received] => {
                Ok(Counts { connections: *connections, at_once: *at_once, bytes: sent + received })
            }
            _ => bail!("the lab counted nothing: {line}"),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The lab ends, and its servers with it, when its input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a server of that name accepts, as its configuration says: `{ versions: { NAME: [ID…] }, groups: [NAME…] }`.
///
/// # Errors
/// When the lab does not compile or knows no such server.
pub(crate) fn truth(name: &str) -> Result<serde_json::Value> {
    Ok(serde_json::from_str(&output(command(&LAB).args(["--truth", name]))?)?)
}

/// Starts servers by name and waits; without names, lists them.
///
/// # Errors
/// When the lab does not compile, has no such server, or can't start it.
pub(crate) fn foreground(names: &[String]) -> Result<()> {
    run(command(&LAB).args(names))
}
