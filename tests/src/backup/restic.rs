//! restic: one repository on disk, and the states in which an audit may find it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::restic_objects::MasterKey;
use super::{Job, Working, cut, flip_middle, largest, run, run_job, utc, write_canary, write_sources};
use crate::probity::Finished;
use crate::process::program;

/// The name of this machine, under which tools keep copies by default.
#[must_use]
pub fn this_host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The host that all healthy states name; those of the wrong host name another.
const HOST: &str = "host1";
/// How many files the sources have, without the canary.
const FILES: u64 = 10;

/// A restic repository with its password, its sources and the logs of its jobs.
#[derive(Debug)]
pub struct Restic {
    folder: TempDir,
    program: PathBuf,
}

impl Restic {
    /// Initialises a repository without snapshots, and writes sources beside it.
    ///
    /// # Errors
    /// When restic is missing or fails.
    pub fn empty() -> Result<Self> {
        let restic = Self { folder: TempDir::new()?, program: program("restic")? };
        std::fs::write(restic.password_file(), "correct horse\n")?;
        std::fs::create_dir(restic.path("logs"))?;
        write_sources(&restic.source(), FILES)?;
        restic.run(&["init"])?.expect_code(0)?;
        Ok(restic)
    }

    /// One backup of all sources, made now.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn good() -> Result<Self> {
        Self::aged(SignedDuration::ZERO)
    }

    /// One backup of all sources that says it was made so long ago; a negative age lies in the future.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn aged(age: SignedDuration) -> Result<Self> {
        let restic = Self::empty()?;
        restic
            .backup(&[&restic.source()], HOST, &["nightly"], Some(Timestamp::now() - age))?
            .finished
            .expect_code(0)?;
        Ok(restic)
    }

    /// The newest backup is of an empty folder under the path of the sources; an older one is good.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn emptied() -> Result<Self> {
        let restic = Self::aged(SignedDuration::from_hours(24))?;
        std::fs::remove_dir_all(restic.source())?;
        std::fs::create_dir(restic.source())?;
        restic.backup_now(&[&restic.source()])?.finished.expect_code(0)?;
        Ok(restic)
    }

    /// A backup of the sources and of a folder that does not exist: restic 0.14 ends with 0, newer ones with 3.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn half_missing() -> Result<(Self, Job)> {
        let restic = Self::empty()?;
        let job = restic.backup_now(&[&restic.source(), &restic.path("never-mounted")])?;
        ensure!(matches!(job.finished.code, Some(0 | 3)), "restic backup: {}", job.finished);
        Ok((restic, job))
    }

    /// A good backup, of a host that is not the expected one.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn wrong_host() -> Result<Self> {
        let restic = Self::empty()?;
        restic.backup(&[&restic.source()], "host2", &[], None)?.finished.expect_code(0)?;
        Ok(restic)
    }

    /// A good backup in which only the canary is left of the sources.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn only_canary() -> Result<Self> {
        let restic = Self::empty()?;
        std::fs::remove_dir_all(restic.source())?;
        write_canary(&restic.source())?;
        restic.backup_now(&[&restic.source()])?.finished.expect_code(0)?;
        Ok(restic)
    }

    /// A good backup whose largest pack lost its end; `restic check` sees its size.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn truncated() -> Result<Self> {
        let restic = Self::good()?;
        cut(&largest(&restic.repository().join("data"))?, 1000)?;
        Ok(restic)
    }

    /// A good backup with four bytes of its largest pack inverted; only reading the data shows it.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn flipped() -> Result<Self> {
        let restic = Self::good()?;
        flip_middle(&largest(&restic.repository().join("data"))?)?;
        Ok(restic)
    }

    /// A good backup whose largest pack is gone.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn pack_missing() -> Result<Self> {
        let restic = Self::good()?;
        std::fs::remove_file(largest(&restic.repository().join("data"))?)?;
        Ok(restic)
    }

    /// A good backup, and a password file that does not open it any more.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn wrong_password() -> Result<Self> {
        let restic = Self::good()?;
        std::fs::write(restic.password_file(), "wrong\n")?;
        Ok(restic)
    }

    /// A good backup, and an exclusive lock that another machine left there an hour ago.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn lock_left() -> Result<Self> {
        let restic = Self::good()?;
        let lock = json!({
            "time": (Timestamp::now() - SignedDuration::from_hours(1)).to_string(),
            "exclusive": true, "hostname": "gone.example", "username": "root", "pid": 4711,
        });
        restic.master_key()?.write(&restic.repository().join("locks"), 1, &lock)?;
        Ok(restic)
    }

    /// A good backup and as many hourly ones before it, all with its tree. Ten thousand take a few seconds.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn with_snapshots(count: u32) -> Result<Self> {
        let restic = Self::good()?;
        let newest = restic.snapshots()?.pop().context("there is one snapshot")?;
        let key = restic.master_key()?;
        let now = Timestamp::now();
        for number in 1..=count {
            let mut snapshot = newest.clone();
            let fields = snapshot.as_object_mut().context("a snapshot is an object")?;
            // These two are the file's name and not in it.
            fields.remove("id");
            fields.remove("short_id");
            let time = now - SignedDuration::from_hours(i64::from(number));
            fields.insert("time".to_owned(), json!(time.to_string()));
            key.write(&restic.repository().join("snapshots"), u128::from(number) << 64, &snapshot)?;
        }
        Ok(restic)
    }

    /// A good backup of so many files of 10 MB that do not compress.
    ///
    /// # Errors
    /// As [`Restic::empty`].
    pub fn large(files: u32) -> Result<Self> {
        let restic = Self::empty()?;
        let mut noise = super::Noise(7);
        for number in 0..files {
            std::fs::write(restic.source().join(format!("large{number}")), noise.bytes(10_000_000))?;
        }
        restic.backup(&[&restic.source()], &this_host(), &["large"], None)?.finished.expect_code(0)?;
        Ok(restic)
    }

    /// Backs folders up under that host name; without a time, now. The log holds the JSON lines of `--json`.
    ///
    /// # Errors
    /// When restic can't be started; its own failures are in the job.
    pub fn backup(&self, paths: &[&Path], host: &str, tags: &[&str], time: Option<Timestamp>) -> Result<Job> {
        let mut command = self.command();
        command.args(["backup", "--json", "--host", host]);
        tags.iter().for_each(|tag| {
            command.args(["--tag", tag]);
        });
        if let Some(time) = time {
            command.args(["--time", &utc(time, "%Y-%m-%d %H:%M:%S")]);
        }
        let number = std::fs::read_dir(self.path("logs"))?.count();
        run_job(command.args(paths), self.path("logs").join(format!("{number}.log")))
    }

    fn backup_now(&self, paths: &[&Path]) -> Result<Job> {
        self.backup(paths, HOST, &["nightly"], None)
    }

    /// A backup at work, which holds a lock that others may share.
    ///
    /// # Errors
    /// When it does not lock the repository.
    pub fn backup_at_work(&self) -> Result<Working> {
        let mut command = self.command();
        command.args(["backup", "--stdin", "--host", HOST]);
        self.working(&mut command)
    }

    /// A check at work, which holds an exclusive lock; it reads so slowly that it does not come to an end.
    ///
    /// # Errors
    /// When it does not lock the repository.
    pub fn check_at_work(&self) -> Result<Working> {
        let mut command = self.command();
        command.args(["check", "--read-data", "--limit-download", "1"]);
        self.working(&mut command)
    }

    fn working(&self, command: &mut Command) -> Result<Working> {
        let locks = self.repository().join("locks");
        Working::start(command, "restic locks its repository", || Ok(std::fs::read_dir(&locks)?.next().is_some()))
    }

    /// Runs restic with the repository and the password.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        run(self.command().args(arguments))
    }

    /// What `restic snapshots --json` lists.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn snapshots(&self) -> Result<Vec<Value>> {
        let listed = self.run(&["snapshots", "--json", "--no-lock"])?.expect_code(0)?;
        Ok(serde_json::from_value(listed.json()?)?)
    }

    /// The repository's own id.
    ///
    /// # Errors
    /// When its configuration can't be read.
    pub fn id(&self) -> Result<String> {
        let config = self.run(&["cat", "config", "--no-lock"])?.expect_code(0)?.json()?;
        Ok(config.get("id").and_then(Value::as_str).context("the configuration has no id")?.to_owned())
    }

    /// The repository's folder.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// The file with the password.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.path("password")
    }

    /// The folder that is backed up.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    fn master_key(&self) -> Result<MasterKey> {
        MasterKey::parse(&self.run(&["cat", "masterkey", "--no-lock"])?.expect_code(0)?.json()?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder.path()).env_clear();
        // `--time` is read in the local zone.
        command.env("TZ", "UTC").env("HOME", self.folder.path()).env("RESTIC_CACHE_DIR", self.path("cache"));
        command.env("RESTIC_REPOSITORY", self.repository()).env("RESTIC_PASSWORD_FILE", self.password_file());
        command
    }
}
