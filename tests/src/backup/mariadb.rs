//! A scratch MariaDB server on a private socket, and its own ways to back up.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::{Daemon, cut, flip, run};
use crate::probity::Finished;
use crate::process::program;

/// The size of an InnoDB page, MariaDB's default.
const PAGE: u64 = 16 * 1024;

/// A running server with the databases `app` (5,000 rows in `users`) and `void` (nothing), and a binary log.
#[derive(Debug)]
pub struct Mariadb {
    // None only while it restarts; before the folder, as it must have ended when its files go.
    server: Option<Daemon>,
    folder: TempDir,
    more: Vec<String>,
}

impl Mariadb {
    /// Makes and starts a server without a port; its user `root` has no password.
    ///
    /// # Errors
    /// When MariaDB is missing or fails.
    pub fn start() -> Result<Self> {
        Self::with_arguments(Vec::new())
    }

    /// The same with more arguments, which win.
    ///
    /// # Errors
    /// As [`Mariadb::start`].
    pub fn with_arguments(more: Vec<String>) -> Result<Self> {
        let mut mariadb = Self { server: None, folder: TempDir::new()?, more };
        // Of its own: a server that starts removes what others have in a shared one.
        std::fs::create_dir(mariadb.path("tmp"))?;
        let mut install = mariadb.tool("mariadb-install-db")?;
        install.args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
        install.arg(format!("--datadir={}", mariadb.data().display()));
        install.arg(format!("--tmpdir={}", mariadb.path("tmp").display()));
        run(as_self(&mut install))?.expect_code(0)?;
        mariadb.restart()?;
        mariadb.sql(
            "create database app; create database void; use app;
             create table users (id int primary key auto_increment, name varchar(64));
             insert into users (name) select md5(seq) from seq_1_to_5000",
        )?;
        Ok(mariadb)
    }

    /// Stops the server, which writes all pages to their files, and starts it again.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn restart(&mut self) -> Result<()> {
        self.server = None;
        let mut command = self.tool("mariadbd")?;
        let path = |name: &str| self.path(name).display().to_string();
        command.args(["--skip-networking", "--server-id=1", "--innodb-buffer-pool-size=16M"]);
        command.args(["--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0", "--innodb-fast-shutdown=0"]);
        command.arg(format!("--datadir={}", path("data"))).arg(format!("--socket={}", path("socket")));
        command.arg(format!("--tmpdir={}", path("tmp")));
        command.arg(format!("--pid-file={}", path("pid"))).arg(format!("--log-bin={}", path("binlog")));
        command.args(&self.more);
        let server = Daemon::start(as_self(&mut command), &self.path("log"), Signal::TERM, || {
            Ok(self.path("socket").exists() && self.client("mariadb", &["-e", "select 1"])?.code == Some(0))
        })?;
        self.server = Some(server);
        Ok(())
    }

    /// Runs SQL and returns its rows, columns between tabulators.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn sql(&self, sql: &str) -> Result<String> {
        Ok(self.client("mariadb", &["--batch", "--skip-column-names", "-e", sql])?.expect_code(0)?.stdout)
    }

    /// Dumps a database with `mariadb-dump`, its place in the binary log as a comment.
    ///
    /// # Errors
    /// When it fails.
    pub fn dump(&self, database: &str) -> Result<PathBuf> {
        let file = self.path(&format!("{database}.sql"));
        let to = file.to_string_lossy();
        self.client("mariadb-dump", &["--single-transaction", "--master-data=2", "-r", &to, "--databases", database])?
            .expect_code(0)?;
        Ok(file)
    }

    /// The same by a client whose clock is so many hours ahead.
    ///
    /// # Errors
    /// When it fails, or `faketime` is missing.
    pub fn dump_later(&self, database: &str, hours: u32) -> Result<PathBuf> {
        let file = self.path(&format!("{database}-later.sql"));
        let mut command = Command::new(program("faketime")?);
        command.current_dir(self.folder.path()).args(["-f", &format!("+{hours}h")]).arg(program("mariadb-dump")?);
        command.arg("--no-defaults").arg("--user=root").arg(format!("--socket={}", self.socket().display()));
        command.arg("-r").arg(&file).args(["--databases", database]).env("TZ", "UTC");
        run(&mut command)?.expect_code(0)?;
        Ok(file)
    }

    /// A full backup by `mariabackup`, not prepared, under that name in the server's folder.
    ///
    /// # Errors
    /// When it fails.
    pub fn full(&self, name: &str) -> Result<PathBuf> {
        self.backup(name, None)
    }

    /// An incremental backup on top of that one.
    ///
    /// # Errors
    /// When it fails.
    pub fn incremental(&self, name: &str, base: &Path) -> Result<PathBuf> {
        self.backup(name, Some(base))
    }

    fn backup(&self, name: &str, base: Option<&Path>) -> Result<PathBuf> {
        let folder = self.path(name);
        let mut arguments = vec!["--backup".to_owned(), format!("--target-dir={}", folder.display())];
        arguments.push(format!("--datadir={}", self.data().display()));
        arguments.extend(base.map(|base| format!("--incremental-basedir={}", base.display())));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.client("mariabackup", &arguments)?.expect_code(0)?;
        Ok(folder)
    }

    /// Prepares a full backup, or applies an incremental one to a prepared one; says what `mariabackup` said.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn prepare(&self, folder: &Path, incremental: Option<&Path>) -> Result<Finished> {
        let mut command = self.tool("mariabackup")?;
        command.arg("--prepare").arg(format!("--target-dir={}", folder.display()));
        if let Some(incremental) = incremental {
            command.arg(format!("--incremental-dir={}", incremental.display()));
        }
        run(&mut command)
    }

    /// Inverts four bytes in the rows of `app.users` in a backup. [`Mariadb::restart`] before the backup keeps the
    /// page out of the redo log, from which `--prepare` would mend it.
    ///
    /// # Errors
    /// When the backup has no such table.
    pub fn flip(folder: &Path) -> Result<()> {
        // Page 3 is the root of the primary key; the next ones hold its rows.
        flip(&folder.join("app/users.ibd"), 5 * PAGE + 300)
    }

    /// Cuts the last pages off `app.users` in a backup.
    ///
    /// # Errors
    /// When the backup has no such table.
    pub fn cut(folder: &Path) -> Result<()> {
        cut(&folder.join("app/users.ibd"), 6 * PAGE)
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Runs one of MariaDB's clients on the server.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn client(&self, name: &str, arguments: &[&str]) -> Result<Finished> {
        let mut command = self.tool(name)?;
        run(command.arg("--user=root").arg(format!("--socket={}", self.socket().display())).args(arguments))
    }

    /// A program that reads no settings of the machine.
    fn tool(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(program(name)?);
        command.current_dir(self.folder.path()).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TZ", "UTC").env("HOME", self.folder.path());
        command.arg("--no-defaults");
        Ok(command)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Lets the server run as root where this process does: it refuses unless told so.
fn as_self(command: &mut Command) -> &mut Command {
    if geteuid().is_root() {
        command.arg("--user=root");
    }
    command
}
