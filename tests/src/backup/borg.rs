//! Borg 1: one repository on disk, and the states in which an audit may find it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use super::{Job, Noise, START, Working, cut, files, flip_middle, largest, run, run_job, utc, write_canary};
use super::{make_writable, write_sources};
use crate::probity::Finished;
use crate::process::program;

/// How many files the sources have, without the canary.
const FILES: u64 = 10;
/// The name of the archive that each state has, `::NAME` on Borg's command line.
const ARCHIVE: &str = "nightly";

/// How a repository keeps its contents, in Borg's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BorgKey {
    /// Encrypted, the key in the repository under a passphrase.
    Repokey,
    /// Signed and not encrypted.
    Authenticated,
    /// Neither.
    None,
}

impl BorgKey {
    /// The word for `borg init --encryption`.
    #[must_use]
    pub const fn mode(self) -> &'static str {
        match self {
            Self::Repokey => "repokey",
            Self::Authenticated => "authenticated",
            Self::None => "none",
        }
    }
}

/// A Borg repository with its passphrase, its sources and the logs of its jobs.
#[derive(Debug)]
pub struct Borg {
    folder: TempDir,
    program: PathBuf,
}

impl Borg {
    /// Initialises a repository without archives, and writes sources beside it.
    ///
    /// # Errors
    /// When Borg is missing or fails.
    pub fn empty(key: BorgKey) -> Result<Self> {
        let borg = Self { folder: TempDir::new()?, program: program("borg")? };
        std::fs::write(borg.passphrase_file(), "correct horse\n")?;
        std::fs::create_dir(borg.path("logs"))?;
        write_sources(&borg.source(), FILES)?;
        borg.run(&["init", "--encryption", key.mode()])?.expect_code(0)?;
        Ok(borg)
    }

    /// One archive of all sources, made now, in an encrypted repository.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn good() -> Result<Self> {
        Self::aged(SignedDuration::ZERO)
    }

    /// One archive of all sources that says it was made so long ago; a negative age lies in the future.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn aged(age: SignedDuration) -> Result<Self> {
        Self::made(BorgKey::Repokey, age)
    }

    /// One archive of all sources in a repository with that mode.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn with_key(key: BorgKey) -> Result<Self> {
        Self::made(key, SignedDuration::ZERO)
    }

    fn made(key: BorgKey, age: SignedDuration) -> Result<Self> {
        let borg = Self::empty(key)?;
        borg.create(ARCHIVE, &[&borg.source()], Some(Timestamp::now() - age))?.finished.expect_code(0)?;
        Ok(borg)
    }

    /// The newest archive is of an empty folder under the path of the sources; an older one is good.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn emptied() -> Result<Self> {
        let borg = Self::aged(SignedDuration::from_hours(24))?;
        std::fs::remove_dir_all(borg.source())?;
        std::fs::create_dir(borg.source())?;
        borg.create("emptied", &[&borg.source()], None)?.finished.expect_code(0)?;
        Ok(borg)
    }

    /// An archive of the sources and of a folder that does not exist: Borg warns (code 1) and writes it.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn half_missing() -> Result<(Self, Job)> {
        let borg = Self::empty(BorgKey::Repokey)?;
        let job = borg.create(ARCHIVE, &[&borg.source(), &borg.path("never-mounted")], None)?;
        ensure!(job.finished.code == Some(1), "borg create: {}", job.finished);
        Ok((borg, job))
    }

    /// A good archive in which only the canary is left of the sources.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn only_canary() -> Result<Self> {
        let borg = Self::empty(BorgKey::Repokey)?;
        std::fs::remove_dir_all(borg.source())?;
        write_canary(&borg.source())?;
        borg.create(ARCHIVE, &[&borg.source()], None)?.finished.expect_code(0)?;
        Ok(borg)
    }

    /// A good archive that names that host: Borg 1 takes the name of the machine, so the archive is made on one whose
    /// name is another (a UTS namespace).
    ///
    /// # Errors
    /// As [`Borg::empty`], or when this user may not make namespaces.
    pub fn of_host(name: &str) -> Result<Self> {
        let borg = Self::empty(BorgKey::Repokey)?;
        let mut command = borg.environment(Command::new(program("unshare")?));
        command.args(["--user", "--map-root-user", "--uts", "sh", "-ec"]);
        command.arg("echo \"$1\" > /proc/sys/kernel/hostname; shift; exec \"$@\"").args(["sh", name]);
        command.arg(&borg.program).args(["create", &format!("::{ARCHIVE}")]).arg(borg.source());
        run(&mut command)?.expect_code(0)?;
        Ok(borg)
    }

    /// A good archive in a segment that lost its end.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn truncated() -> Result<Self> {
        let borg = Self::good()?;
        cut(&borg.segment()?, 1000)?;
        Ok(borg)
    }

    /// A good archive with four bytes of its data inverted. The archive's own metadata stays whole, so that
    /// `borg check --archives-only` sees nothing.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn flipped() -> Result<Self> {
        let borg = Self::good()?;
        flip_middle(&borg.segment()?)?;
        Ok(borg)
    }

    /// A good archive, and a passphrase file that does not open it any more.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn wrong_passphrase() -> Result<Self> {
        let borg = Self::good()?;
        std::fs::write(borg.passphrase_file(), "wrong\n")?;
        Ok(borg)
    }

    /// A good archive, and an exclusive lock that another machine left there. Locks that a dead process of this
    /// machine left are no state to test: any Borg command removes them.
    ///
    /// # Errors
    /// As [`Borg::empty`].
    pub fn lock_left() -> Result<Self> {
        let borg = Self::good()?;
        let lock = borg.repository().join("lock.exclusive");
        std::fs::create_dir(&lock)?;
        std::fs::write(lock.join("gone.example@4711.4711-0"), "")?;
        std::fs::write(borg.repository().join("lock.roster"), r#"{"exclusive": [["gone.example@4711", 4711, 0]]}"#)?;
        Ok(borg)
    }

    /// A good archive, and the checkpoint of a later one (`broken.checkpoint`) that was killed.
    ///
    /// # Errors
    /// As [`Borg::empty`], or when Borg writes no checkpoint in time.
    pub fn checkpoint() -> Result<Self> {
        let borg = Self::good()?;
        let segments = || files(&borg.repository().join("data"));
        let before = segments()?.len();
        let mut child = borg
            .command()
            .args(["create", "--checkpoint-interval", "1", "--compression", "none", "::broken", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut input = child.stdin.take().context("the standard input is a pipe")?;
        let (start, mut noise) = (Instant::now(), Noise(7));
        // A checkpoint is a commit, which has a segment of its own: the second is there when the first is complete.
        while segments()?.len() < before + 6 {
            if start.elapsed() > START {
                let _ = child.kill();
                let _ = child.wait();
                bail!("borg create writes no checkpoint in {START:?}");
            }
            input.write_all(&noise.bytes(1 << 20)).context("borg create ended before its checkpoint")?;
            sleep(Duration::from_millis(50));
        }
        child.kill()?;
        child.wait()?;
        borg.run(&["break-lock"])?.expect_code(0)?;
        Ok(borg)
    }

    /// Makes an archive; without a time, now. The log holds the JSON of `--json`, then the lines of `--log-json`.
    ///
    /// # Errors
    /// When Borg can't be started; its own failures are in the job.
    pub fn create(&self, name: &str, paths: &[&Path], time: Option<Timestamp>) -> Result<Job> {
        let mut command = self.command();
        command.args(["--log-json", "create", "--json"]);
        if let Some(time) = time {
            command.args(["--timestamp", &utc(time, "%Y-%m-%dT%H:%M:%S")]);
        }
        let number = std::fs::read_dir(self.path("logs"))?.count();
        run_job(command.arg(format!("::{name}")).args(paths), self.path("logs").join(format!("{number}.log")))
    }

    /// A process that holds the exclusive lock and does not come to an end.
    ///
    /// # Errors
    /// When it does not lock the repository.
    pub fn at_work(&self) -> Result<Working> {
        let lock = self.repository().join("lock.exclusive");
        let mut command = self.command();
        // The archive's only file is read from a pipe into which nothing is written.
        command.args(["create", "::at-work", "-"]);
        Working::start(&mut command, "borg locks its repository", || Ok(lock.exists()))
    }

    /// Runs Borg; the repository and the passphrase are in its environment, so that `::NAME` is an archive.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        run(self.command().args(arguments))
    }

    /// The archives that `borg list --json` lists.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn archives(&self) -> Result<Vec<Value>> {
        let listed = self.run(&["list", "--json"])?.expect_code(0)?.json()?;
        Ok(listed.get("archives").and_then(Value::as_array).context("borg lists no archives")?.clone())
    }

    /// The repository's own id.
    ///
    /// # Errors
    /// When Borg does not say it.
    pub fn id(&self) -> Result<String> {
        let info = self.run(&["info", "--json"])?.expect_code(0)?.json()?;
        Ok(info.pointer("/repository/id").and_then(Value::as_str).context("the repository has no id")?.to_owned())
    }

    /// The repository's folder.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// The file with the passphrase.
    #[must_use]
    pub fn passphrase_file(&self) -> PathBuf {
        self.path("passphrase")
    }

    /// The folder that is backed up.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    fn segment(&self) -> Result<PathBuf> {
        let segment = largest(&self.repository().join("data"))?;
        make_writable(&segment)?;
        Ok(segment)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        self.environment(Command::new(&self.program))
    }

    fn environment(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path()).env_clear();
        // Times on Borg's command line and in its JSON are local ones without a zone.
        command.env("TZ", "UTC").env("LANG", "C.UTF-8").env("PATH", "/usr/bin:/bin");
        command.env("HOME", self.folder.path()).env("BORG_BASE_DIR", self.path("base"));
        command.env("BORG_REPO", self.repository());
        command.env("BORG_PASSCOMMAND", format!("cat {}", self.passphrase_file().display()));
        // The questions that Borg would ask a person.
        command.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        command.env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        command
    }
}
