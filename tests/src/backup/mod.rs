//! Real backup tools, and repositories, dumps and database servers in the states that an audit must tell apart.
//!
//! Each lives in a folder of its own that vanishes with it, talks through sockets of its own, and has its own cache and
//! configuration, so that nothing of the user's is read or written.

mod audited;
mod borg;
mod mariadb;
mod pgbackrest;
mod postgres;
mod redis;
mod restic;
mod restic_objects;

use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

pub use audited::Audited;
pub use borg::{Borg, BorgKey};
pub use mariadb::Mariadb;
pub use pgbackrest::{Cipher, Pgbackrest};
pub use postgres::{DumpFormat, Postgres};
pub use redis::Redis;
pub use restic::{Restic, this_host};

use crate::probity::Finished;

/// How long a server or a lock may take until it is there.
const START: Duration = Duration::from_secs(60);
/// How long a server may take until it has shut down.
const STOP: Duration = Duration::from_secs(20);

/// What a backup job left behind: what a scheduler would keep of it.
#[derive(Debug)]
pub struct Job {
    /// The file with its standard output and standard error, as they came.
    pub log: PathBuf,
    /// What it ended with and said.
    pub finished: Finished,
}

/// Files to back up: `files` files of a few kB in two folders, and a canary. The same count gives the same bytes.
///
/// # Errors
/// When they can't be written.
pub fn write_sources(folder: &Path, files: u64) -> Result<()> {
    let mut noise = Noise(files.wrapping_add(1));
    for part in ["a", "b"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    for number in 0..files {
        let part = if number % 2 == 0 { "a" } else { "b" };
        std::fs::write(folder.join(part).join(number.to_string()), noise.bytes(20_000))?;
    }
    write_canary(folder)
}

/// The canary alone.
///
/// # Errors
/// When it can't be written.
pub fn write_canary(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    Ok(std::fs::write(folder.join("canary"), "canary 7d1f\n")?)
}

/// Bytes that do not compress, the same ones in each run (xorshift64).
#[derive(Debug)]
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()
        });
        words.flatten().take(count).collect()
    }
}

/// Runs a tool to its end.
fn run(command: &mut Command) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} can't be started"))?;
    Ok(Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: start.elapsed(),
    })
}

/// Runs a backup job and keeps its output in a file, standard error after standard output.
fn run_job(command: &mut Command, log: PathBuf) -> Result<Job> {
    let finished = run(command)?;
    std::fs::write(&log, format!("{}{}", finished.stdout, finished.stderr))?;
    Ok(Job { log, finished })
}

/// Inverts four bytes of a file.
///
/// # Errors
/// When the file is shorter than that.
fn flip(file: &Path, offset: u64) -> Result<()> {
    make_writable(file)?;
    let mut bytes = std::fs::read(file)?;
    let start = usize::try_from(offset)?;
    let hit = bytes.get_mut(start..start + 4).with_context(|| format!("{} is too short", file.display()))?;
    hit.iter_mut().for_each(|byte| *byte ^= 0xff);
    // Over the old bytes, so that owner and mode stay what they were.
    let mut out = std::fs::OpenOptions::new().write(true).open(file)?;
    out.seek(SeekFrom::Start(0))?;
    Ok(out.write_all(&bytes)?)
}

/// Inverts four bytes in the middle of a file.
fn flip_middle(file: &Path) -> Result<()> {
    flip(file, file.metadata()?.len() / 2)
}

/// Cuts bytes off the end of a file.
fn cut(file: &Path, bytes: u64) -> Result<()> {
    make_writable(file)?;
    let length = file.metadata()?.len();
    ensure!(length > bytes, "{} has no {bytes} bytes to lose", file.display());
    Ok(std::fs::OpenOptions::new().write(true).open(file)?.set_len(length - bytes)?)
}

/// Tools write their repositories read-only; root does not mind, others do.
fn make_writable(file: &Path) -> Result<()> {
    let mode = file.metadata()?.permissions().mode();
    Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode | 0o200))?)
}

/// The files below a folder, ordered by path.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} can't be listed", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The largest file below a folder: of a repository, one that holds data.
fn largest(folder: &Path) -> Result<PathBuf> {
    let sized: Result<Vec<(u64, PathBuf)>> =
        files(folder)?.into_iter().map(|file| Ok((file.metadata()?.len(), file))).collect();
    let (_, file) = sized?.into_iter().max().with_context(|| format!("{} is empty", folder.display()))?;
    Ok(file)
}

/// Waits until something holds, as long as the process lives.
fn wait_until(what: &str, child: &mut Child, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < START {
        if holds()? {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("{what}: the process ended before, with {status}");
        }
        sleep(Duration::from_millis(30));
    }
    bail!("{what}: not after {START:?}");
}

/// A process at work that keeps a repository locked; it is killed when this is dropped.
#[derive(Debug)]
pub struct Working {
    child: Child,
    /// Held open: the process reads from it and so never comes to an end.
    stdin: Option<ChildStdin>,
}

impl Working {
    fn start(command: &mut Command, what: &str, locked: impl FnMut() -> Result<bool>) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let stdin = child.stdin.take();
        let mut working = Self { child, stdin };
        wait_until(what, &mut working.child, locked)?;
        Ok(working)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as a power cut would: the lock stays.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself, which is fine too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Only now: an end of its input must not let it finish its work.
        self.stdin = None;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.end();
    }
}

/// A database server as a child process, shut down when it is dropped.
#[derive(Debug)]
struct Daemon {
    child: Child,
    signal: Signal,
}

impl Daemon {
    /// Starts it and waits until it answers; `signal` is the one that it shuts down on.
    fn start(
        command: &mut Command,
        log: &Path,
        signal: Signal,
        mut answers: impl FnMut() -> Result<bool>,
    ) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        let mut daemon = Self { child, signal };
        wait_until(&format!("{name} answers"), &mut daemon.child, &mut answers)
            .with_context(|| std::fs::read_to_string(log).unwrap_or_default())?;
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, self.signal);
        }
        let start = Instant::now();
        while start.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A time as UTC in that format of `strftime`.
fn utc(time: jiff::Timestamp, format: &str) -> String {
    time.strftime(format).to_string()
}
