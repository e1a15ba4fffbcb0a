//! A scratch PostgreSQL cluster on a private socket, and its own ways to back up.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::{Daemon, run};
use crate::probity::Finished;
use crate::process::program;

/// Where Debian keeps the programs of each version.
const PROGRAMS: &str = "/usr/lib/postgresql";

/// The formats of `pg_dump`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpFormat {
    /// One compressed file with a table of contents.
    Custom,
    /// SQL as text.
    Plain,
    /// A folder with one file a table.
    Directory,
    /// A tar archive.
    Tar,
}

impl DumpFormat {
    /// The word for `pg_dump --format`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Plain => "plain",
            Self::Directory => "directory",
            Self::Tar => "tar",
        }
    }
}

/// A running cluster with the databases `app` (5,000 rows in `users`) and `void` (nothing).
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: it must have ended when its files go.
    _server: Daemon,
    folder: TempDir,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
}

impl Postgres {
    /// Makes and starts a cluster.
    ///
    /// # Errors
    /// When PostgreSQL is missing or fails.
    pub fn start() -> Result<Self> {
        Self::with_settings(|_| String::new())
    }

    /// Makes and starts a cluster with more lines of `postgresql.conf`, made from the cluster's folder.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn with_settings(settings: impl FnOnce(&Path) -> String) -> Result<Self> {
        Self::later(0, settings)
    }

    /// The same with a clock that is so many hours ahead of this machine's.
    ///
    /// # Errors
    /// As [`Postgres::start`], and when `faketime` is missing.
    pub fn later(hours: u32, settings: impl FnOnce(&Path) -> String) -> Result<Self> {
        let (folder, programs, owner) = (TempDir::new()?, programs()?, owner()?);
        let here = folder.path();
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(here, Some(user), Some(group))?;
        }
        let command = |name: &str| command(&programs, name, here, owner);
        run(command("initdb").args(["--no-sync", "--auth=trust", "--username=postgres", "--pgdata=data"]))?
            .expect_code(0)?;
        let file = here.join("data/postgresql.conf");
        let text = format!(
            "{}\nlisten_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nshared_buffers = 16MB\n{}\n",
            std::fs::read_to_string(&file)?,
            here.display(),
            settings(here)
        );
        std::fs::write(&file, text)?;
        // SIGINT is the fast shutdown.
        let mut server = command("postgres");
        if hours > 0 {
            server = command(&program("faketime")?.to_string_lossy());
            server.args(["-f", &format!("+{hours}h")]).arg(programs.join("postgres"));
        }
        let server = Daemon::start(server.args(["-D", "data"]), &here.join("log"), Signal::INT, || {
            Ok(run(&mut command("pg_isready"))?.code == Some(0))
        })?;
        let postgres = Self { _server: server, programs, owner, folder };
        postgres.sql("postgres", "create database app")?;
        postgres.sql("postgres", "create database void")?;
        postgres.sql(
            "app",
            "create table users (id serial primary key, name text);
             insert into users (name) select md5(i::text) from generate_series(1, 5000) i",
        )?;
        Ok(postgres)
    }

    /// Runs SQL in a database and returns its unaligned rows.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let arguments = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql];
        Ok(self.run("psql", &arguments)?.expect_code(0)?.stdout.trim().to_owned())
    }

    /// The identifier that tells this cluster from all others.
    ///
    /// # Errors
    /// When the server does not say it.
    pub fn system_identifier(&self) -> Result<String> {
        self.sql("postgres", "select system_identifier from pg_control_system()")
    }

    /// Dumps a database with `pg_dump` into the cluster's folder.
    ///
    /// # Errors
    /// When `pg_dump` fails.
    pub fn dump(&self, database: &str, format: DumpFormat) -> Result<PathBuf> {
        let file = self.path(&format!("{database}.{}", format.word()));
        let to = file.to_string_lossy();
        self.run("pg_dump", &["--format", format.word(), "--file", &to, database])?.expect_code(0)?;
        Ok(file)
    }

    /// The same by a client whose clock is so many hours ahead.
    ///
    /// # Errors
    /// When it fails, or `faketime` is missing.
    pub fn dump_later(&self, database: &str, hours: u32) -> Result<PathBuf> {
        let (file, clock) = (self.path(&format!("{database}.later")), program("faketime")?);
        let (to, ahead) = (file.to_string_lossy(), format!("+{hours}h"));
        let dump = self.programs.join("pg_dump");
        let arguments = ["-f", &ahead, &dump.to_string_lossy(), "--format", "custom", "--file", &to, database];
        self.run(&clock.to_string_lossy(), &arguments)?.expect_code(0)?;
        Ok(file)
    }

    /// Dumps the whole cluster with `pg_dumpall`.
    ///
    /// # Errors
    /// When it fails.
    pub fn dump_all(&self) -> Result<PathBuf> {
        let file = self.path("all.sql");
        self.run("pg_dumpall", &["--file", &file.to_string_lossy()])?.expect_code(0)?;
        Ok(file)
    }

    /// A base backup by `pg_basebackup`, in plain files with their manifest, under that name in the cluster's folder.
    ///
    /// # Errors
    /// When it fails.
    pub fn base_backup(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path(name);
        let to = folder.to_string_lossy();
        self.run("pg_basebackup", &["--checkpoint=fast", "--no-sync", "--pgdata", &to])?.expect_code(0)?;
        Ok(folder)
    }

    /// Runs one of PostgreSQL's programs as the cluster's owner, with the cluster in its environment.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Result<Finished> {
        run(self.command(name).args(arguments))
    }

    /// The same as a command. A name with a slash is a program from elsewhere.
    pub(super) fn command(&self, name: &str) -> Command {
        command(&self.programs, name, self.folder.path(), self.owner)
    }

    /// The folder of the socket: what `-h` of all of PostgreSQL's programs takes.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The user and group that the server and its programs run as, where this process is root.
    #[must_use]
    pub const fn owner(&self) -> Option<(u32, u32)> {
        self.owner
    }

    /// A file in the cluster's folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn command(programs: &Path, name: &str, here: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir(here).env_clear();
    command.env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("HOME", here);
    command.env("PGHOST", here).env("PGUSER", "postgres").env("PGDATABASE", "postgres");
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

/// The programs of the newest version that is installed.
fn programs() -> Result<PathBuf> {
    let missing = || format!("no PostgreSQL in {PROGRAMS}; `cargo xtask test` installs what the tests need");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(PROGRAMS).with_context(missing)? {
        let path = entry?.path();
        let version = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
        if let Some(version) = version.filter(|_| path.join("bin/postgres").is_file()) {
            found.push((version, path.join("bin")));
        }
    }
    Ok(found.into_iter().max().with_context(missing)?.1)
}

/// Whom to run the server as: PostgreSQL refuses root, and Debian's package brings the user `postgres`.
fn owner() -> Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let id = |flag: &str| -> Result<u32> {
        let said = run(Command::new("id").args([flag, "postgres"]))?;
        ensure!(said.code == Some(0), "there is no user postgres: {said}");
        Ok(said.stdout.trim().parse()?)
    };
    Ok(Some((id("-u")?, id("-g")?)))
}
