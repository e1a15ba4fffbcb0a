//! A scratch Redis server on a private socket, and its dump.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Daemon, cut, flip, run};
use crate::probity::Finished;
use crate::process::program;

/// A running server that saves only when it is told to.
#[derive(Debug)]
pub struct Redis {
    // Before the folder: it must have ended when its files go.
    _server: Daemon,
    folder: TempDir,
}

impl Redis {
    /// Starts a server without a port and without keys. Nothing was saved yet, though `rdb_last_save_time` has a time.
    ///
    /// # Errors
    /// When Redis is missing or fails.
    pub fn empty() -> Result<Self> {
        Self::with_arguments(&[])
    }

    /// The same with more arguments, which win. The user `default` must be let in without a password through the socket.
    ///
    /// # Errors
    /// As [`Redis::empty`].
    pub fn with_arguments(more: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let here = folder.path();
        let cli = |arguments: &[&str]| -> Result<Finished> {
            let mut command = Command::new(program("redis-cli")?);
            run(command.env_clear().current_dir(here).args(["-s", "socket"]).args(arguments))
        };
        let mut command = Command::new(program("redis-server")?);
        command.current_dir(here).env_clear().args(["--port", "0", "--unixsocket", "socket", "--save", ""]);
        command.args(["--appendonly", "no", "--daemonize", "no", "--dir"]).arg(here).args(more);
        // SIGINT ends it without a save.
        let server =
            Daemon::start(
                &mut command,
                &here.join("log"),
                Signal::INT,
                || Ok(cli(&["ping"])?.stdout.trim() == "PONG"),
            )?;
        Ok(Self { _server: server, folder })
    }

    /// A server with 100 keys, saved.
    ///
    /// # Errors
    /// As [`Redis::empty`].
    pub fn good() -> Result<Self> {
        let redis = Self::empty()?;
        redis.set(100)?;
        redis.save()?;
        Ok(redis)
    }

    /// A server whose dump says that it was made so many hours from now. Its allocator does not bear `faketime`, so that the
    /// time is moved in the dump, which has no checksum.
    ///
    /// # Errors
    /// As [`Redis::empty`].
    pub fn later(hours: u32) -> Result<Self> {
        let redis = Self::with_arguments(&["--rdbchecksum", "no"])?;
        redis.set(100)?;
        redis.save()?;
        let mut bytes = std::fs::read(redis.dump())?;
        // The time is a number of 32 bits (0xc2) after its name.
        let name = b"\x05ctime\xc2";
        let found = bytes.windows(name.len()).position(|window| window == name);
        let time = found.and_then(|at| bytes.get_mut(at + name.len()..)?.first_chunk_mut::<4>());
        let time = time.context("the dump tells no time")?;
        *time = (u32::from_le_bytes(*time) + hours * 3600).to_le_bytes();
        std::fs::write(redis.dump(), bytes)?;
        Ok(redis)
    }

    /// A server whose dump has four bytes inverted in a value, so that only the checksum at its end shows it.
    ///
    /// # Errors
    /// As [`Redis::empty`].
    pub fn flipped() -> Result<Self> {
        let redis = Self::good()?;
        let bytes = std::fs::read(redis.dump())?;
        let value = bytes.windows(8).position(|window| window == b"zyxwvuts");
        ensure!(value.is_some(), "the dump holds no value of ours");
        flip(&redis.dump(), u64::try_from(value.unwrap_or_default())?)?;
        Ok(redis)
    }

    /// A server whose dump lost its end.
    ///
    /// # Errors
    /// As [`Redis::empty`].
    pub fn truncated() -> Result<Self> {
        let redis = Self::good()?;
        cut(&redis.dump(), 50)?;
        Ok(redis)
    }

    /// Sets that many keys.
    ///
    /// # Errors
    /// When the server does not take them.
    pub fn set(&self, keys: u32) -> Result<()> {
        // One command: each key with a value that Redis does not store as a number or compress.
        let pairs: Vec<String> = (0..keys).flat_map(|key| [format!("key{key}"), format!("zyxwvuts{key}")]).collect();
        let arguments: Vec<&str> = std::iter::once("mset").chain(pairs.iter().map(String::as_str)).collect();
        let said = self.cli(&arguments)?;
        ensure!(said.stdout.trim() == "OK", "redis-cli mset: {said}");
        Ok(())
    }

    /// Saves, and returns when the dump is written.
    ///
    /// # Errors
    /// When the server does not.
    pub fn save(&self) -> Result<()> {
        let said = self.cli(&["save"])?;
        ensure!(said.stdout.trim() == "OK", "redis-cli save: {said}");
        Ok(())
    }

    /// Runs `redis-cli` on the server.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn cli(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(program("redis-cli")?);
        run(command.env_clear().arg("-s").arg(self.socket()).args(arguments))
    }

    /// What `redis-check-rdb` says of the dump.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn check_dump(&self) -> Result<Finished> {
        run(Command::new(program("redis-check-rdb")?).env_clear().arg(self.dump()))
    }

    /// The dump; there is none before the first save.
    #[must_use]
    pub fn dump(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}
