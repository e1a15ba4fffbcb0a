//! A scratch server of MariaDB that can't reach anything, and the questions to it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use model::{Failure, FailureClass};
use probe::{BoxFuture, Command, Cx};

use super::super::account::{Account, With, done, first_error, last_line, short};
use super::super::database::Sql;
use super::super::server::{MOST_SOCKET, Server};

/// Schemas of the server itself, as a list in SQL.
pub(super) const SYSTEM: &str = "'mysql', 'information_schema', 'performance_schema', 'sys'";

/// A scratch server.
pub(super) struct Instance<'a> {
    pub(super) account: &'a Account,
    pub(super) scratch: &'a Path,
}

impl Instance<'_> {
    /// The folder of its data.
    pub(super) fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    fn option(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.scratch.join(file).display())
    }

    /// The option that names its folder for what is needed for a moment.
    pub(super) fn tmp(&self) -> String {
        self.option("tmpdir", "tmp")
    }

    /// Makes an empty folder of data.
    ///
    /// # Errors
    /// Where that fails.
    pub(super) async fn install(&self, cx: &Cx) -> Result<(), Failure> {
        self.account.folder(&self.data())?;
        let (data, tmp) = (self.option("datadir", "data"), self.tmp());
        let argv = [
            "mariadb-install-db",
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            &data,
            &tmp,
        ];
        let output = self.account.run(cx, &argv, With { cwd: Some(self.scratch), ..With::default() }).await?;
        done("mariadb-install-db", &output)
    }

    /// Starts it. No way leads out: a socket in a closed folder is all that it listens on; no option file is read, no
    /// replication, no event and no log of changes is begun.
    ///
    /// # Errors
    /// The inner one where it does not come up; the outer one where it could not be tried.
    pub(super) async fn start(&self, cx: &Cx, more: &[&str]) -> Result<Result<Server, String>, Failure> {
        let socket = self.scratch.join("s");
        if socket.as_os_str().len() > MOST_SOCKET {
            let message =
                format!("{}: a socket can't be made there; give a short path with --scratch", socket.display());
            return Err(Failure::new(FailureClass::Missing, message));
        }
        let places = [
            self.option("datadir", "data"),
            self.option("socket", "s"),
            self.option("pid-file", "pid"),
            self.option("secure-file-priv", "tmp"),
            self.tmp(),
        ];
        let closed = [
            "--skip-networking",
            "--skip-slave-start",
            "--skip-log-bin",
            "--event-scheduler=OFF",
            "--local-infile=0",
            "--innodb-flush-log-at-trx-commit=0",
        ];
        let mut argv = vec!["mariadbd", "--no-defaults"];
        argv.extend(places.iter().map(String::as_str));
        argv.extend(closed);
        argv.extend(more);
        Server::start(cx, self.account, &argv, self.scratch, "ready for connections").await
    }

    /// Loads a script. What it says to the client and not to the server (`\\!` for a shell) is not heeded.
    ///
    /// # Errors
    /// [`FailureClass::Unreadable`] with its first error.
    pub(super) async fn load(&self, cx: &Cx, name: &str, script: &Path) -> Result<(), Failure> {
        let socket = self.option("socket", "s");
        let create = format!("create database if not exists `{}`", name.replace('`', "``"));
        let client = ["mariadb", "--no-defaults", "--user=root", "--default-character-set=utf8mb4", &socket];
        let made: Vec<&str> = client.into_iter().chain(["--execute", &create]).collect();
        let with = With { cwd: Some(self.scratch), ..With::default() };
        self.account.run(cx, &made, with).await.and_then(|output| done("mariadb", &output))?;
        let database = format!("--database={name}");
        let load: Vec<&str> = client.into_iter().chain(["--binary-mode", &database]).collect();
        let with = With { stdin: Some(script), ..with };
        let output = self.account.run(cx, &load, with).await?;
        done("mariadb", &output).map_err(|failure| match is_ours(&failure.message) {
            true => Failure::new(FailureClass::Missing, failure.message),
            false => failure,
        })
    }

    /// It, with a database in use or none.
    pub(super) fn database(&self, name: Option<&str>) -> Database<'_> {
        let mut words = vec!["--no-defaults".to_owned(), "--user=root".to_owned(), self.option("socket", "s")];
        words.extend(name.map(|name| format!("--database={name}")));
        words.push("--init-command=set time_zone = '+00:00'".to_owned());
        Database { account: Some(self.account), cwd: self.scratch, words, schemas: None }
    }

    /// The server in use, by an option file, and of it the databases that came back. Whatever is asked, nothing can be
    /// written, and no count takes it for long.
    pub(super) fn live(&self, options: &str, schemas: &[String]) -> Database<'_> {
        let quoted = |name: &String| format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"));
        let init = "--init-command=set time_zone = '+00:00', tx_read_only = 1, max_statement_time = 60";
        let words = vec![format!("--defaults-file={options}"), init.to_owned()];
        let schemas = Some(schemas.iter().map(quoted).collect::<Vec<_>>().join(", "));
        // The option file is for those who run Probity, and so is the right to enter.
        Database { account: None, cwd: self.scratch, words, schemas }
    }

    /// A backup's files are read by servers of the same version alone.
    ///
    /// # Errors
    /// Where the one that is installed is another.
    pub(super) async fn same_version(&self, of: Option<&str>, cx: &Cx) -> Result<(), Failure> {
        let said = cx.command(Command::new(&["mariadbd", "--version"])).await?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        match (of.and_then(version), version(&said)) {
            (Some(wanted), Some(found)) if wanted != found => {
                let message = format!(
                    "the backup is of MariaDB {}.{}, and {}.{} is installed here: install the same on the machine of the drill",
                    wanted.0, wanted.1, found.0, found.1
                );
                Err(Failure::new(FailureClass::Missing, message))
            }
            _ => Ok(()),
        }
    }
}

/// The series in words such as `mariadbd  Ver 10.11.4-MariaDB …` or `10.11.4-MariaDB`.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_ascii_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether what went wrong lies in this machine and not in the copy.
fn is_ours(said: &str) -> bool {
    ["No space left", "Errcode: 28", "was not ready in time", "Unknown collation", "Unknown storage engine"]
        .iter()
        .any(|part| said.contains(part))
}

/// A failure to start or to answer, of the copy or of this machine.
pub(super) fn failed(what: &str, said: &str) -> Failure {
    let class = if is_ours(said) { FailureClass::Missing } else { FailureClass::Unreadable };
    Failure::new(class, format!("{what}: {}", short(said)))
}

/// A server that `mariadb` asks.
pub(super) struct Database<'a> {
    /// Who asks; `None` is the user that Probity runs as.
    account: Option<&'a Account>,
    cwd: &'a Path,
    words: Vec<String>,
    /// The schemas whose tables are listed, as a list in SQL; `None` is all of users.
    schemas: Option<String>,
}

impl Sql for Database<'_> {
    fn ask<'a>(&'a self, cx: &'a Cx, statement: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let mut argv = vec!["mariadb"];
            argv.extend(self.words.iter().map(String::as_str));
            argv.extend(["--default-character-set=utf8mb4", "--batch", "--skip-column-names", "--connect-timeout=10"]);
            argv.extend(["--execute", statement]);
            let own = Account::own();
            let account = self.account.unwrap_or(&own);
            let output = account.run(cx, &argv, With { cwd: Some(self.cwd), ..With::default() }).await;
            let output = output.map_err(|failure| failure.message)?;
            if output.exit != Some(0) {
                let said = first_error(&output.stderr).or_else(|| last_line(&output.stderr));
                return Err(said.unwrap_or_else(|| "mariadb said nothing".to_owned()));
            }
            Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
        })
    }

    fn tables(&self, before: Option<Timestamp>) -> String {
        // A newer time says nothing of the table's age: changing its form sets it.
        let older = |column: &str| match before {
            None => "null".to_owned(),
            Some(at) => format!("if({column} < from_unixtime({}), 1, null)", at.as_second()),
        };
        let schemas = match self.schemas.as_deref() {
            None => format!("table_schema not in ({SYSTEM})"),
            Some("") => "false".to_owned(),
            Some(list) => format!("table_schema in ({list})"),
        };
        format!(
            "select concat('`', replace(table_schema, '`', '``'), '`.`', replace(table_name, '`', '``'), '`'), 1, {}, {} \
             from information_schema.tables where table_type = 'BASE TABLE' and {schemas} order by 1",
            older("create_time"),
            older("update_time")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions() {
        assert_eq!(version("mariadbd  Ver 10.11.4-MariaDB-1~deb12u1 for debian-linux-gnu on x86_64"), Some((10, 11)));
        assert_eq!(version("10.11.19-MariaDB"), Some((10, 11)));
        assert_eq!(version("MariaDB"), None);
    }
}
