//! pgBackRest: a stanza of a scratch cluster, and the states in which an audit may find its repository.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::postgres::Postgres;
use super::{START, Working, cut, files, flip_middle, largest, run};
use crate::probity::Finished;
use crate::process::program;

/// The stanza's name.
const STANZA: &str = "main";

/// How a repository is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// Not at all.
    None,
    /// AES-256-CBC.
    Aes,
}

/// A cluster that archives its WAL into a pgBackRest repository.
#[derive(Debug)]
pub struct Pgbackrest {
    postgres: Postgres,
    program: PathBuf,
}

impl Pgbackrest {
    /// Starts a cluster and creates its stanza, without a backup.
    ///
    /// # Errors
    /// When PostgreSQL or pgBackRest is missing or fails.
    pub fn empty(cipher: Cipher) -> Result<Self> {
        Self::made(cipher, 0)
    }

    /// One full backup, of a cluster whose clock is so many hours ahead: it tells the time of its backups.
    ///
    /// # Errors
    /// As [`Pgbackrest::empty`], and when `faketime` is missing.
    pub fn later(hours: u32) -> Result<Self> {
        let pgbackrest = Self::made(Cipher::None, hours)?;
        pgbackrest.backup("full")?;
        Ok(pgbackrest)
    }

    fn made(cipher: Cipher, hours: u32) -> Result<Self> {
        let program = program("pgbackrest")?;
        let postgres = Postgres::later(hours, |here| {
            format!(
                "wal_level = replica\narchive_mode = on\narchive_command = '{} --config={}/pgbackrest.conf \
                 --stanza={STANZA} archive-push %p'",
                program.display(),
                here.display()
            )
        })?;
        let here = postgres.path("");
        let cipher = match cipher {
            Cipher::None => "",
            Cipher::Aes => "repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=correct horse\n",
        };
        // One slow thing less: by default a backup waits for the next regular checkpoint.
        let config = format!(
            "[global]\nrepo1-path={0}/repository\nrepo1-retention-full=2\nlog-path={0}/logs\nlog-level-file=off\n\
             lock-path={0}/lock\nspool-path={0}/spool\nstart-fast=y\ncompress-type=lz4\n{cipher}\n\
             [{STANZA}]\npg1-path={0}/data\npg1-socket-path={0}\n",
            here.display().to_string().trim_end_matches('/')
        );
        std::fs::write(postgres.path("pgbackrest.conf"), config)?;
        let pgbackrest = Self { postgres, program };
        pgbackrest.run(&["stanza-create"])?.expect_code(0)?;
        Ok(pgbackrest)
    }

    /// One full backup.
    ///
    /// # Errors
    /// As [`Pgbackrest::empty`].
    pub fn good(cipher: Cipher) -> Result<Self> {
        let pgbackrest = Self::empty(cipher)?;
        pgbackrest.backup("full")?;
        Ok(pgbackrest)
    }

    /// A full and an incremental backup.
    ///
    /// # Errors
    /// As [`Pgbackrest::empty`].
    pub fn incremental() -> Result<Self> {
        let pgbackrest = Self::good(Cipher::None)?;
        pgbackrest
            .postgres
            .sql("app", "insert into users (name) select md5(i::text) from generate_series(1, 500) i")?;
        pgbackrest.backup("incr")?;
        Ok(pgbackrest)
    }

    /// A full and an incremental backup, and four bytes inverted in a file that belongs to both. Only `verify` and a
    /// restore see it.
    ///
    /// # Errors
    /// As [`Pgbackrest::empty`].
    pub fn flipped() -> Result<Self> {
        let pgbackrest = Self::incremental()?;
        let of_full = |file: &PathBuf| {
            let path = file.to_string_lossy();
            path.contains("F/pg_data/base/") && path.ends_with(".lz4")
        };
        let inside = files(&pgbackrest.repository().join("backup"))?;
        let sized = inside.into_iter().filter(of_full).map(|file| Ok((file.metadata()?.len(), file)));
        let largest = sized.collect::<Result<Vec<_>>>()?.into_iter().max();
        flip_middle(&largest.context("the full backup has no files")?.1)?;
        Ok(pgbackrest)
    }

    /// A full backup, and the end of its largest file cut off. Only `verify` and a restore see it.
    ///
    /// # Errors
    /// As [`Pgbackrest::empty`].
    pub fn truncated() -> Result<Self> {
        let pgbackrest = Self::good(Cipher::None)?;
        cut(&largest(&pgbackrest.repository().join("backup"))?, 100)?;
        Ok(pgbackrest)
    }

    /// A backup that does not come to its end, and so keeps the stanza locked: it waits for a checkpoint that takes its
    /// time.
    ///
    /// # Errors
    /// When pgBackRest does not say that a backup runs.
    pub fn at_work(&self) -> Result<Working> {
        self.postgres.sql("app", "insert into users (name) select md5(i::text) from generate_series(1, 50000) i")?;
        let mut command = self.postgres.command(&self.program.to_string_lossy());
        command.arg(format!("--config={}", self.config().display())).arg(format!("--stanza={STANZA}"));
        Working::start(command.args(["--no-start-fast", "--type=full", "backup"]), "the backup runs", || {
            Ok(self.info()?.pointer("/status/lock/backup/held") == Some(&Value::Bool(true)))
        })
    }

    /// A full backup and a hole in the WAL after it: one archived segment is gone, later ones are there. Neither
    /// `info` nor `check` says so.
    ///
    /// # Errors
    /// As [`Pgbackrest::empty`].
    pub fn wal_gap() -> Result<Self> {
        let pgbackrest = Self::good(Cipher::None)?;
        for _ in 0..3 {
            pgbackrest.switch_wal()?;
        }
        let segments = pgbackrest.wal_segments()?;
        let [.., gone, _last] = segments.as_slice() else { anyhow::bail!("too few WAL segments: {segments:?}") };
        std::fs::remove_file(gone)?;
        Ok(pgbackrest)
    }

    /// Makes a backup of that type (`full`, `diff`, `incr`).
    ///
    /// # Errors
    /// When it fails.
    pub fn backup(&self, kind: &str) -> Result<()> {
        self.run(&["--type", kind, "backup"])?.expect_code(0)?;
        Ok(())
    }

    /// Writes something, closes the WAL segment, and waits until it is archived.
    ///
    /// # Errors
    /// When it does not reach the archive in time.
    pub fn switch_wal(&self) -> Result<()> {
        let before = self.wal_segments()?.len();
        self.postgres.sql("app", "insert into users (name) values ('wal')")?;
        self.postgres.sql("app", "select pg_switch_wal()")?;
        let start = Instant::now();
        while self.wal_segments()?.len() <= before {
            ensure!(start.elapsed() < START, "no WAL segment was archived in {START:?}");
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The archived WAL segments, the oldest first.
    ///
    /// # Errors
    /// When the archive can't be listed.
    pub fn wal_segments(&self) -> Result<Vec<PathBuf>> {
        let mut segments = files(&self.repository().join("archive"))?;
        // SEGMENT-SHA1.lz4; the archive also has its own information and a history file for each backup.
        segments.retain(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".lz4") && name.as_bytes().get(24) == Some(&b'-')
        });
        Ok(segments)
    }

    /// Runs pgBackRest on the stanza, as the cluster's owner.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let config = format!("--config={}", self.config().display());
        let mut command = self.postgres.command(&self.program.to_string_lossy());
        run(command.arg(config).arg(format!("--stanza={STANZA}")).args(arguments))
    }

    /// What `pgbackrest info --output=json` says of the stanza.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn info(&self) -> Result<Value> {
        let info = self.run(&["info", "--output=json"])?.expect_code(0)?.json()?;
        Ok(info.get(0).context("pgbackrest knows no stanza")?.clone())
    }

    /// The cluster.
    #[must_use]
    pub const fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// The settings file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.postgres.path("pgbackrest.conf")
    }

    /// The repository's folder.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        self.postgres.path("repository")
    }
}
