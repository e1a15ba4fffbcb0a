//! PostgreSQL's programs, a scratch cluster that can't reach anything, and the questions to it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use model::{Failure, FailureClass};
use probe::{BoxFuture, Command, Cx};

use super::super::account::{Account, With, done, first_error, last_line, short};
use super::super::database::Sql;
use super::super::server::{MOST_SOCKET, Server};

/// Where distributions keep one folder of programs for each major version.
const FOLDERS: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

/// Programs of one version.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    /// Those of a major version, which a cluster's files need; with `or_newer` of a newer one, which reads dumps as well.
    /// Without a version the newest.
    ///
    /// # Errors
    /// Where there are none.
    pub(super) async fn find(cx: &Cx, major: Option<u32>, or_newer: bool) -> Result<Self, Failure> {
        let mut found: Vec<Self> = Vec::new();
        for (folder, prefix) in FOLDERS {
            let Ok(listing) = cx.list_dir(folder, 10_000).await else { continue };
            let versions = listing.names.iter().filter_map(|n| Some((n, n.strip_prefix(prefix)?.parse().ok()?)));
            found.extend(versions.map(|(name, major)| Self { folder: format!("{folder}/{name}/bin").into(), major }));
        }
        found.retain(|p| p.folder.join("postgres").is_file());
        if let Some(path) = cx.which("postgres") {
            let said = cx.command(Command::new(&["postgres", "--version"])).await?;
            if let (Some(major), Some(folder)) = (version(&String::from_utf8_lossy(&said.stdout)), path.parent()) {
                found.push(Self { folder: folder.to_owned(), major });
            }
        }
        found.sort_by_key(|p| p.major);
        let fits = |p: &Self| major.is_none_or(|m| p.major == m || or_newer && p.major > m);
        let chosen = if major.is_some() { found.into_iter().find(fits) } else { found.pop() };
        chosen.ok_or_else(|| {
            let wanted = major.map_or_else(String::new, |m| format!(" {m}"));
            let message = format!(
                "the server PostgreSQL{wanted} is not installed here, and the copy can be restored by no other; install it on the machine of the drill"
            );
            Failure::new(FailureClass::Missing, message)
        })
    }

    /// The path of one of them.
    pub(super) fn path(&self, program: &str) -> String {
        self.folder.join(program).display().to_string()
    }
}

/// The major version in words such as `postgres (PostgreSQL) 15.4 (Debian …)` or `PostgreSQL 15.4`.
pub(super) fn version(text: &str) -> Option<u32> {
    let number = text.split_ascii_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A scratch cluster: its folder, and what is needed to reach it.
pub(super) struct Cluster<'a> {
    pub(super) account: &'a Account,
    pub(super) programs: Programs,
    pub(super) scratch: &'a Path,
    /// The role that asks.
    pub(super) role: &'static str,
}

impl Cluster<'_> {
    /// The folder of its data.
    pub(super) fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    /// Starts it. No way leads out: a socket in a closed folder is all that it listens on; what the copy brought as
    /// configuration is not read; no archiver, no replication, no subscription, no library beside its own.
    ///
    /// # Errors
    /// The inner one where it does not come up; the outer one where it could not be tried.
    pub(super) async fn start(&self, cx: &Cx, more: &str) -> Result<Result<Server, String>, Failure> {
        let socket = self.scratch.display().to_string();
        if socket.len() + "/.s.PGSQL.5432".len() > MOST_SOCKET || socket.contains(['\'', '"', '\\', ',', '\n']) {
            let message = format!("{socket}: a socket can't be made there; give a short and plain path with --scratch");
            return Err(Failure::new(FailureClass::Missing, message));
        }
        let conf = self.scratch.join("conf");
        self.account.folder(&conf)?;
        let event_triggers = if self.programs.major >= 17 { "event_triggers = off\n" } else { "" };
        let text = format!(
            "listen_addresses = ''\nunix_socket_directories = '{socket}'\nunix_socket_permissions = 0700\nport = 5432\n\
             fsync = off\nsynchronous_commit = off\nfull_page_writes = off\narchive_mode = off\nhot_standby = off\n\
             max_wal_senders = 0\nmax_logical_replication_workers = 0\nautovacuum = off\nssl = off\nhuge_pages = off\n\
             dynamic_shared_memory_type = mmap\nlogging_collector = off\nlog_destination = 'stderr'\n\
             timezone = 'UTC'\nlc_messages = 'C'\n{event_triggers}{more}"
        );
        self.account.write(&conf.join("postgresql.conf"), &text)?;
        self.account.write(&conf.join("pg_hba.conf"), "local all all trust\n")?;
        self.account.write(&conf.join("pg_ident.conf"), "")?;
        // It is read from the data's folder whatever the command line says.
        self.account.write(&self.data().join("postgresql.auto.conf"), "")?;
        let setting = |name: &str, file: &str| format!("{name}={}", conf.join(file).display());
        let (program, data) = (self.programs.path("postgres"), self.data().display().to_string());
        let config = setting("config_file", "postgresql.conf");
        let hba = setting("hba_file", "pg_hba.conf");
        let ident = setting("ident_file", "pg_ident.conf");
        let argv = [program.as_str(), "-D", &data, "-c", &config, "-c", &hba, "-c", &ident];
        let ready = "database system is ready to accept connections";
        Server::start(cx, self.account, &argv, self.scratch, ready).await
    }

    /// Runs one of PostgreSQL's programs against it.
    ///
    /// # Errors
    /// [`FailureClass::Unreadable`] with its first error; anything else where it could not be tried.
    pub(super) async fn run(
        &self,
        cx: &Cx,
        program: &str,
        arguments: &[&str],
        stdin: Option<&Path>,
    ) -> Result<Vec<u8>, Failure> {
        let (path, socket) = (self.programs.path(program), self.scratch.display().to_string());
        let argv: Vec<&str> = std::iter::once(path.as_str()).chain(arguments.iter().copied()).collect();
        let env = [("PGHOST", socket.as_str()), ("PGPORT", "5432"), ("PGUSER", self.role), ("PGCONNECT_TIMEOUT", "10")];
        let output = self.account.run(cx, &argv, With { env: &env, cwd: Some(self.scratch), stdin }).await?;
        done(program, &output)?;
        Ok(output.stdout)
    }

    /// One of its databases.
    pub(super) fn database(&self, name: &str) -> Database<'_> {
        let env = vec![("PGHOST", self.scratch.display().to_string()), ("PGUSER", self.role.to_owned())];
        Database {
            account: self.account,
            psql: self.programs.path("psql"),
            cwd: self.scratch,
            connection: format!("dbname={}", quoted(name)),
            env,
        }
    }

    /// The database in use.
    pub(super) fn live(&self, connection: &str, name: &str) -> Database<'_> {
        let named = connection.split_ascii_whitespace().any(|word| word.starts_with("dbname"));
        let connection = if named { connection.to_owned() } else { format!("{connection} dbname={}", quoted(name)) };
        // Whatever is asked, nothing can be written, and no count takes a production server for long.
        let options = "-c default_transaction_read_only=on -c statement_timeout=60s -c lock_timeout=5s".to_owned();
        Database {
            account: self.account,
            psql: self.programs.path("psql"),
            cwd: self.scratch,
            connection,
            env: vec![("PGOPTIONS", options)],
        }
    }
}

/// A value in a connection string (libpq, section "Connection Strings").
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A database that `psql` asks.
pub(super) struct Database<'a> {
    account: &'a Account,
    psql: String,
    cwd: &'a Path,
    connection: String,
    env: Vec<(&'static str, String)>,
}

impl Sql for Database<'_> {
    fn ask<'a>(&'a self, cx: &'a Cx, statement: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let mut env: Vec<(&str, &str)> = self.env.iter().map(|(name, value)| (*name, value.as_str())).collect();
            env.extend([("PGCONNECT_TIMEOUT", "10"), ("PGTZ", "UTC")]);
            let words = ["--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--field-separator=\t"];
            let mut argv = vec![self.psql.as_str()];
            argv.extend(words);
            argv.extend(["--no-password", "-v", "ON_ERROR_STOP=1", "-d", &self.connection, "-c", statement]);
            let output = self.account.run(cx, &argv, With { env: &env, cwd: Some(self.cwd), stdin: None }).await;
            let output = output.map_err(|failure| failure.message)?;
            if output.exit != Some(0) {
                let said = first_error(&output.stderr).or_else(|| last_line(&output.stderr));
                return Err(said.unwrap_or_else(|| "psql said nothing".to_owned()));
            }
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.lines().map(str::to_owned).collect())
        })
    }

    fn tables(&self, before: Option<Timestamp>) -> String {
        // A file of a table that was last written before that instant was there, and what was flushed has not changed.
        let (file, existed) = match before {
            None => (String::new(), "null".to_owned()),
            Some(at) => (
                "left join lateral (select case when has_function_privilege('pg_stat_file(text, boolean)', 'execute') \
                 then (pg_stat_file(pg_relation_filepath(c.oid), true)).modification end as written) f on true"
                    .to_owned(),
                // Whole seconds are all that it tells. A newer file says nothing of the table's age.
                format!("case when f.written < to_timestamp({}) then 1 end", at.as_second()),
            ),
        };
        format!(
            "select format('%I.%I', n.nspname, c.relname), (pg_relation_size(c.oid) > 0)::int, {existed}, {existed} \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace {file} \
             where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname <> 'information_schema' \
             and n.nspname !~ '^pg_' and c.relname !~ E'[\\n\\t]' and n.nspname !~ E'[\\n\\t]' \
             and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid \
             and d.deptype = 'e') order by 1"
        )
    }
}

/// The databases of users, the largest first.
///
/// # Errors
/// What the server said.
pub(super) async fn databases(cluster: &Cluster<'_>, cx: &Cx) -> Result<Vec<String>, String> {
    let statement = "select datname from pg_database where datallowconn and not datistemplate \
                     order by datname = 'postgres', pg_database_size(oid) desc, datname";
    cluster.database("template1").ask(cx, statement).await
}

/// Whether what went wrong lies in this machine and not in the copy: another one would restore it.
pub(super) fn is_ours(said: &str) -> bool {
    let ours = [
        "incompatible with operating system",
        "invalid locale name",
        "could not open extension control file",
        "could not access file \"$libdir/",
        "could not create shared memory",
        "could not map anonymous shared memory",
        "No space left on device",
        "it was not ready in time",
        // pgBackRest's codes for a configuration that it can't work with (its error.yaml).
        "ERROR: [027]",
        "ERROR: [031]",
        "ERROR: [032]",
        "ERROR: [037]",
    ];
    ours.iter().any(|part| said.contains(part))
}

/// A failure to start or to load, of the copy or of this machine.
pub(super) fn failed(what: &str, said: &str) -> Failure {
    let class = if is_ours(said) { FailureClass::Missing } else { FailureClass::Unreadable };
    Failure::new(class, format!("{what}: {}", short(said)))
}

#[cfg(test)]
mod tests {
    use super::{quoted, version};

    #[test]
    fn versions() {
        assert_eq!(version("postgres (PostgreSQL) 15.4 (Debian 15.4-1)"), Some(15));
        assert_eq!(version("PostgreSQL 9.6.24"), Some(9));
        assert_eq!(version("PostgreSQL 18beta1"), Some(18));
        assert_eq!(version("PostgreSQL"), None);
    }

    #[test]
    fn values_in_connection_strings() {
        assert_eq!(quoted(r"it's \ one"), r"'it\'s \\ one'");
    }
}
