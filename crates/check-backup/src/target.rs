//! What an inventory says of backups, and what a probe is given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{Expected, Place, ReadBudget, RestoreExpected};
use crate::scalar::{bytes, not_home, pattern_is_plain, plain_path, seconds, span_text, without_secret};

/// Copies of a data set, as an inventory declares them. Exactly one of the sources is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupTarget {
    /// A restic repository.
    #[serde(default)]
    pub restic: Option<Restic>,
    /// A Borg repository.
    #[serde(default)]
    pub borg: Option<Borg>,
    /// A pgBackRest stanza.
    #[serde(default)]
    pub pgbackrest: Option<PgBackRest>,
    /// Files that match a pattern.
    #[serde(default)]
    pub files: Option<Files>,
    /// Objects in an S3-compatible store; needs a build with the feature `s3`.
    #[serde(default)]
    pub s3: Option<S3>,
    /// The data set that these are copies of; without it the target's name.
    #[serde(default)]
    pub set: Option<String>,
    /// Where these copies are.
    #[serde(default)]
    pub place: Option<Place>,
    /// What must be in them.
    #[serde(default)]
    pub expect: Expect,
    /// Logs of the jobs that made them: paths or patterns (`*` within a name).
    #[serde(default)]
    pub logs: Vec<String>,
    /// Compare the newest copy with the paths on this machine that were copied.
    #[serde(default)]
    pub compare_with_source: bool,
    /// Names of files and folders that the job leaves out, `*` for anything: not missed in that comparison.
    #[serde(default)]
    pub except: Vec<String>,
    /// The job stays on the file system of each path (`--one-file-system`): what is mounted below it is not missed.
    #[serde(default)]
    pub one_file_system: bool,
    /// The restore drill; without it none is done.
    #[serde(default)]
    pub drill: Option<Drill>,
    /// Read a part of the repository at each run; without it nothing but its records is read.
    #[serde(default)]
    pub read: Option<ReadAsked>,
}

/// How much of a repository an integrity run may read, which may be gigabytes from a machine at work: so it has to be
/// asked for, if only by `read: {}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReadAsked {
    /// The time in which all of it is to be read; `30d` by default.
    #[serde(deserialize_with = "span_text")]
    pub within: Option<String>,
    /// Parts that it is read in, one at each run; 30 by default, more where one would be larger than `max_bytes`.
    pub parts: Option<u32>,
    /// Most bytes of one run; `5GiB` by default.
    pub max_bytes: Option<String>,
    /// Longest time of one run, whatever `--deadline` says; `30m` by default.
    #[serde(deserialize_with = "span_text")]
    pub max_time: Option<String>,
    /// The tool may lock the repository, and so write into it: Borg checks all chunks only then.
    pub lock: bool,
}

impl ReadAsked {
    /// In numbers.
    fn resolve(&self) -> Result<ReadBudget, (String, String)> {
        let span = |field: &str, text: &Option<String>, default: &str| {
            seconds(text.as_deref().unwrap_or(default)).map_err(|m| (format!("read.{field}"), m))
        };
        let parts = self.parts.unwrap_or(30);
        if !(1..=256).contains(&parts) {
            return Err(("read.parts".into(), format!("{parts} is not from 1 to 256")));
        }
        let max_bytes = bytes(self.max_bytes.as_deref().unwrap_or("5GiB"));
        Ok(ReadBudget {
            within: span("within", &self.within, "30d")?,
            max_bytes: max_bytes.map_err(|m| ("read.max_bytes".to_owned(), m))?,
            max_time: span("max_time", &self.max_time, "30m")?,
            parts,
            lock: self.lock,
        })
    }
}

/// A restore drill. It runs only where the command line says `--allow-commands`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drill {
    /// Restore the whole copy, not only what is compared: slower, and it alone measures the time of a real restore.
    pub whole: bool,
    /// Live files (or tables) that are chosen at random and compared; 20 by default.
    pub samples: Option<u32>,
    /// A file that the drill may write among the data, by name: the canary that the next copy must hold.
    pub canary: Option<String>,
    /// Longest time that a restore may take (`4h`).
    #[serde(deserialize_with = "span_text")]
    pub rto: Option<String>,
    /// Greatest age of what it gives back (`26h`).
    #[serde(deserialize_with = "span_text")]
    pub rpo: Option<String>,
    /// For databases: how the live one is reached, to count its rows. For PostgreSQL a connection string without a
    /// password, such as `host=/run/postgresql dbname=app`; for MariaDB the path of an option file.
    pub live: Option<String>,
    /// For databases: the one that `live`, `queries` and `canary_query` are about, where a copy holds several; by default
    /// the largest.
    pub database: Option<String>,
    /// For databases: the user whom the scratch server runs as, where Probity runs as root; `postgres`, `mysql` or
    /// `redis` by default.
    pub user: Option<String>,
    /// For databases: queries by name, each with the answer that is wanted of the restored database.
    pub queries: std::collections::BTreeMap<String, DrillQuery>,
    /// For databases: a query that gives a time (`select max(at) from heartbeat`): the age of what came back.
    pub canary_query: Option<String>,
}

/// A query of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillQuery {
    /// The statement.
    pub sql: String,
    /// The answer, as text; without it any answer but an error or nothing will do.
    #[serde(default)]
    pub wanted: Option<String>,
}

/// A restic repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restic {
    /// As for `restic -r`: a folder, `sftp:…`, `rest:…`, `s3:…`.
    pub repository: String,
    /// Its password: `file:PATH`, `env:NAME` or `cmd:PROGRAM ARGUMENTS`.
    pub password: String,
    /// The id that it must have.
    #[serde(default)]
    pub id: Option<String>,
    /// The program, where it is not `restic` in the system's folders.
    #[serde(default)]
    pub program: Option<String>,
    /// Variables that the tool needs (`AWS_ACCESS_KEY_ID`): name to `file:`, `env:` or `cmd:` reference.
    #[serde(default)]
    pub environment: std::collections::BTreeMap<String, String>,
}

/// A Borg repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Borg {
    /// A folder or `ssh://…`.
    pub repository: String,
    /// Its passphrase, where it has one.
    #[serde(default)]
    pub passphrase: Option<String>,
    /// The id that it must have.
    #[serde(default)]
    pub id: Option<String>,
    /// The program, where it is not `borg` in the system's folders.
    #[serde(default)]
    pub program: Option<String>,
    /// Variables that the tool needs (`BORG_RSH`): name to reference.
    #[serde(default)]
    pub environment: std::collections::BTreeMap<String, String>,
}

/// A pgBackRest stanza.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgBackRest {
    /// Its name.
    pub stanza: String,
    /// The configuration file, where it is not pgBackRest's own default.
    #[serde(default)]
    pub config: Option<String>,
    /// PostgreSQL's system identifier that it must have.
    #[serde(default)]
    pub id: Option<String>,
    /// The program, where it is not `pgbackrest` in the system's folders.
    #[serde(default)]
    pub program: Option<String>,
}

/// Files that match a pattern, each a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// A path whose last part may hold `*`: `/srv/dumps/app-*.dump`; a folder that matches is a copy too.
    pub pattern: String,
    /// What they are, where it is to be more than what they look like.
    #[serde(default)]
    pub format: Option<FileFormat>,
    /// PostgreSQL's system identifier that base backups must have.
    #[serde(default)]
    pub id: Option<String>,
    /// The database that they are dumps of, for formats that don't tell: plain SQL of `pg_dump`, Redis.
    #[serde(default)]
    pub database: Option<String>,
    /// The time zone of the machine that made them (`Europe/Zurich`), for formats that note civil time alone: `pg_dump`,
    /// `mariadb-dump`, `mariabackup`. This machine's zone by default.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Take the time of a copy that carries none inside (plain SQL of `pg_dump`, archives, folders, encrypted files) from
    /// the file system. Anyone who may write the file can set that time, and copying a file may keep or change it.
    #[serde(default)]
    pub trust_mtime: bool,
    /// Where the write-ahead log of base backups is archived: a path whose last part may hold `*`, such as `/srv/wal/*`.
    #[serde(default)]
    pub wal: Option<String>,
    /// Where the binary log of MariaDB or MySQL is kept: a path whose last part may hold `*`, such as
    /// `/srv/binlog/mysql-bin.*`.
    #[serde(default)]
    pub binlog: Option<String>,
}

/// Objects below a prefix of an S3-compatible store, each a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// The store's URL: `https://s3.eu-central-1.amazonaws.com`, `https://minio.example.org:9000`.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// What the names of the copies begin with, as a folder: `dumps/app`.
    #[serde(default)]
    pub prefix: String,
    /// The region; `us-east-1` by default, which stores that have none take.
    #[serde(default)]
    pub region: Option<String>,
    /// The name of the key that may list and read: `file:PATH`, `env:NAME` or `cmd:PROGRAM ARGUMENTS`.
    pub access_key: String,
    /// The key itself, likewise.
    pub secret_key: String,
    /// What the objects are, where it is to be more than what they look like.
    #[serde(default)]
    pub format: Option<FileFormat>,
    /// The database that they are dumps of, for formats that don't tell.
    #[serde(default)]
    pub database: Option<String>,
}

/// The format of a file that is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// `pg_dump` and `pg_dumpall`, in any of their formats.
    PgDump,
    /// `pg_basebackup`, a folder or tar files in one.
    PgBasebackup,
    /// `mariadb-dump` or `mysqldump`.
    MariadbDump,
    /// A folder of `mariabackup` or `xtrabackup`.
    Mariabackup,
    /// A Redis snapshot.
    RedisRdb,
    /// `tar`, compressed or not.
    Tar,
    /// `zip`.
    Zip,
    /// A folder of plain files.
    Folder,
}

/// What must be in the copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Machines, by the name that the tool records.
    pub hosts: Vec<String>,
    /// Paths of data.
    pub paths: Vec<String>,
    /// Paths of configuration.
    pub configuration: Vec<String>,
    /// Databases.
    pub databases: Vec<String>,
    /// Greatest age of the newest complete copy (`26h`).
    #[serde(deserialize_with = "span_text")]
    pub max_age: Option<String>,
    /// How often a copy is made (`24h`).
    #[serde(deserialize_with = "span_text")]
    pub every: Option<String>,
    /// Least number of copies of each thing.
    pub min_count: Option<u32>,
    /// Least time from the oldest to the newest (`30d`).
    #[serde(deserialize_with = "span_text")]
    pub min_span: Option<String>,
    /// Greatest age of the oldest (`400d`).
    #[serde(deserialize_with = "span_text")]
    pub keep_at_most: Option<String>,
    /// Least number of files.
    pub min_files: Option<u64>,
    /// Least size before compression (`1GiB`).
    pub min_bytes: Option<String>,
    /// Least number of objects of a database (tables, views, …), or of keys in a Redis snapshot.
    pub min_objects: Option<u64>,
}

/// What the probes are given: a declared target with everything in numbers and paths made absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSpec {
    /// The target as declared, paths joined to the inventory's folder.
    pub declared: BackupTarget,
    /// The data set.
    pub set: String,
    /// What is expected, in seconds and bytes.
    pub expected: Expected,
    /// What is expected of a restore.
    pub restore: RestoreExpected,
    /// How much may be read of it; null where the inventory does not ask for that.
    pub read: Option<ReadBudget>,
}

impl BackupTarget {
    /// What the probes are given for a target of that name.
    ///
    /// # Errors
    /// The path of the field (`expect.max_age`) and what is wrong with it.
    pub fn resolve(&self, name: &str) -> Result<BackupSpec, (String, String)> {
        let files = [self.files.is_some(), self.s3.is_some()];
        let given = [self.restic.is_some(), self.borg.is_some(), self.pgbackrest.is_some()].into_iter().chain(files);
        match given.filter(|g| *g).count() {
            1 => {}
            0 => {
                let wanted = "name one source: 'restic', 'borg', 'pgbackrest', 'files' or 's3'";
                return Err((String::new(), format!("the backup does not say what keeps it; {wanted}")));
            }
            _ => return Err((String::new(), "a backup target is one repository; make the others targets too".into())),
        }
        crate::references::check(self)?;
        self.paths()?;
        if self.drill.as_ref().is_some_and(|drill| drill.samples == Some(0)) {
            let why = "a drill that compares nothing shows nothing; leave it out for 20, or write 1 or more";
            return Err(("drill.samples".into(), why.into()));
        }
        if self.drill.as_ref().is_some_and(|d| d.rpo.is_some() && d.canary.is_none() && d.canary_query.is_none()) {
            let why =
                "only a canary shows how old what came back is; add 'canary: PATH', or 'canary_query' for a database";
            return Err(("drill.rpo".into(), why.into()));
        }
        if let Some(zone) = self.files.as_ref().and_then(|files| files.timezone.as_deref()) {
            jiff::tz::TimeZone::get(zone).map_err(|_| {
                let message = format!("'{zone}' is no time zone that is known here; write one such as Europe/Zurich");
                ("files.timezone".to_owned(), message)
            })?;
        }
        let e = &self.expect;
        let span = |field: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => seconds(text).map(Some).map_err(|m| (format!("expect.{field}"), m)),
        };
        let expected = Expected {
            id: self.id().map(str::to_owned),
            hosts: e.hosts.clone(),
            paths: e.paths.iter().map(|p| plain_path(p)).collect(),
            configuration: e.configuration.iter().map(|p| plain_path(p)).collect(),
            databases: e.databases.clone(),
            max_age: span("max_age", &e.max_age)?,
            every: span("every", &e.every)?,
            min_count: e.min_count.map(i64::from),
            min_span: span("min_span", &e.min_span)?,
            keep_at_most: span("keep_at_most", &e.keep_at_most)?,
            min_files: e.min_files.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            min_bytes: match &e.min_bytes {
                None => None,
                Some(text) => Some(bytes(text).map_err(|m| ("expect.min_bytes".to_owned(), m))?),
            },
            min_objects: e.min_objects.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        };
        let drill = self.drill.as_ref();
        let span_of = |field: &str, text: Option<&String>| match text {
            None => Ok(None),
            Some(text) => seconds(text).map(Some).map_err(|m| (format!("drill.{field}"), m)),
        };
        let restore = RestoreExpected {
            rto: span_of("rto", drill.and_then(|d| d.rto.as_ref()))?,
            rpo: span_of("rpo", drill.and_then(|d| d.rpo.as_ref()))?,
            canary: drill.is_some_and(|d| d.canary.is_some() || d.canary_query.is_some()),
        };
        if drill.and_then(|d| d.live.as_deref()).is_some_and(|live| live.contains("://")) {
            return Err(("drill.live".into(), "write it as pairs: host=/run/postgresql dbname=app".into()));
        }
        let set = self.set.clone().unwrap_or_else(|| name.to_owned());
        let read = self.read.as_ref().map(ReadAsked::resolve).transpose()?;
        Ok(BackupSpec { declared: self.clone(), set, expected, restore, read })
    }

    /// The same with relative paths joined to a folder, which the inventory's is, and made absolute: tools are run in
    /// other folders, too.
    #[must_use]
    pub fn within(mut self, folder: &std::path::Path) -> Self {
        let folder = std::path::absolute(folder).or_else(|_| std::env::current_dir()).unwrap_or_default();
        let join = |path: &mut String| {
            // An URL, or a restic backend such as `sftp:user@host:/path`, is no path here.
            if !path.contains(':') {
                *path = folder.join(path.as_str()).display().to_string();
            }
        };
        let secret = |reference: &mut String| {
            if let Some(path) = reference.strip_prefix("file:") {
                *reference = format!("file:{}", folder.join(path).display());
            }
        };
        if let Some(restic) = &mut self.restic {
            join(&mut restic.repository);
            secret(&mut restic.password);
            restic.environment.values_mut().for_each(secret);
        }
        if let Some(borg) = &mut self.borg {
            join(&mut borg.repository);
            borg.passphrase.iter_mut().for_each(secret);
            borg.environment.values_mut().for_each(secret);
        }
        if let Some(config) = self.pgbackrest.as_mut().and_then(|p| p.config.as_mut()) {
            join(config);
        }
        if let Some(files) = &mut self.files {
            join(&mut files.pattern);
            files.wal.iter_mut().chain(&mut files.binlog).for_each(join);
        }
        if let Some(s3) = &mut self.s3 {
            secret(&mut s3.access_key);
            secret(&mut s3.secret_key);
        }
        self.logs.iter_mut().for_each(join);
        self.drill.iter_mut().filter_map(|d| d.canary.as_mut()).for_each(join);
        self
    }

    /// Refuses paths and patterns that would be taken for something else than what is meant.
    fn paths(&self) -> Result<(), (String, String)> {
        let files = self.files.as_ref();
        let patterns = files.map(|f| ("files.pattern".to_owned(), Some(&f.pattern))).into_iter();
        let patterns = patterns.chain(files.map(|f| ("files.wal".to_owned(), f.wal.as_ref())));
        let patterns = patterns.chain(files.map(|f| ("files.binlog".to_owned(), f.binlog.as_ref())));
        let logs = self.logs.iter().enumerate().map(|(at, log)| (format!("logs.{at}"), Some(log)));
        for (field, pattern) in patterns.chain(logs) {
            pattern.map_or(Ok(()), |text| pattern_is_plain(text)).map_err(|why| (field, why))?;
        }
        let config = self.pgbackrest.as_ref().and_then(|p| p.config.as_ref());
        let drill = self.drill.as_ref();
        for (field, path) in [
            ("pgbackrest.config", config),
            ("drill.canary", drill.and_then(|d| d.canary.as_ref())),
            ("drill.live", drill.and_then(|d| d.live.as_ref())),
        ] {
            path.map_or(Ok(()), |text| not_home(text)).map_err(|why| (field.to_owned(), why))?;
        }
        Ok(())
    }

    fn id(&self) -> Option<&str> {
        let restic = self.restic.as_ref().and_then(|s| s.id.as_deref());
        let borg = || self.borg.as_ref().and_then(|s| s.id.as_deref());
        let pgbackrest = || self.pgbackrest.as_ref().and_then(|s| s.id.as_deref());
        restic.or_else(borg).or_else(pgbackrest).or_else(|| self.files.as_ref().and_then(|s| s.id.as_deref()))
    }

    /// Where the copies are, for people; secrets in URLs are left out.
    #[must_use]
    pub fn location(&self) -> String {
        if let Some(restic) = &self.restic {
            format!("restic {}", without_secret(&restic.repository))
        } else if let Some(borg) = &self.borg {
            format!("borg {}", without_secret(&borg.repository))
        } else if let Some(pgbackrest) = &self.pgbackrest {
            format!("pgbackrest stanza {}", pgbackrest.stanza)
        } else if let Some(s3) = &self.s3 {
            format!("s3 {}/{}/{}", without_secret(&s3.endpoint), s3.bucket, s3.prefix)
        } else {
            self.files.as_ref().map_or_else(String::new, |files| files.pattern.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_checked() {
        let of = |zone: &str| {
            let files = Files { timezone: Some(zone.to_owned()), pattern: "/srv/*".to_owned(), ..Files::default() };
            BackupTarget { files: Some(files), ..BackupTarget::default() }.resolve("it")
        };
        assert!(of("Europe/Zurich").is_ok() && of("UTC").is_ok());
        assert_eq!(of("Europe/Nowhere").map_err(|(field, _)| field), Err("files.timezone".to_owned()));
    }

    #[allow(clippy::unwrap_used, reason = "a test may panic")]
    fn refused(target: serde_json::Value) -> Option<(String, String)> {
        serde_json::from_value::<BackupTarget>(target).unwrap().resolve("it").err()
    }

    #[test]
    fn what_would_be_taken_for_something_else_is_refused_at_its_place() {
        use serde_json::json;
        let pattern = |pattern: &str| json!({ "files": { "pattern": pattern } });
        let drill = |drill| json!({ "files": { "pattern": "/srv/*" }, "drill": drill });
        for (target, field, said) in [
            (pattern("/srv/*/a.dump"), "files.pattern", "'*' alone"),
            (pattern("/srv/a?.dump"), "files.pattern", "'*' alone"),
            (pattern("/srv/[ab].dump"), "files.pattern", "'*' alone"),
            (pattern("~/a"), "files.pattern", "whole path"),
            (json!({ "files": { "pattern": "/srv/*", "wal": "/srv/*/wal" } }), "files.wal", "'*' alone"),
            (json!({ "files": { "pattern": "/srv/*" }, "logs": ["/a", "~/b"] }), "logs.1", "whole path"),
            (json!({ "pgbackrest": { "stanza": "--x" } }), "pgbackrest.stanza", "stanza"),
            (json!({ "pgbackrest": { "stanza": "x", "config": "~/c" } }), "pgbackrest.config", "whole path"),
            (json!({ "restic": { "repository": "", "password": "env:P" } }), "restic.repository", "empty"),
            (json!({ "restic": { "repository": "/r", "password": "hunter2" } }), "restic.password", "file:PATH"),
            (
                json!({ "restic": { "repository": "/r", "password": "env:P", "environment": { "X": "hunter2" } } }),
                "restic.environment.X",
                "file:PATH",
            ),
            (json!({ "borg": { "repository": "/r", "passphrase": "hunter2" } }), "borg.passphrase", "file:PATH"),
            (json!({ "borg": { "repository": "ssh://u:hunter2@h/r" } }), "borg.repository", "URL"),
            (
                json!({ "s3": { "endpoint": "https://h", "bucket": "b", "access_key": "env:A", "secret_key": "hunter2" } }),
                "s3.secret_key",
                "file:PATH",
            ),
            (drill(json!({ "samples": 0 })), "drill.samples", "nothing"),
            (drill(json!({ "rpo": "26h" })), "drill.rpo", "canary"),
            (json!({ "files": { "pattern": "/srv/*", "binlog": "/srv/*/bin.*" } }), "files.binlog", "'*' alone"),
            (drill(json!({ "live": "host=/run password = 'hunter2'" })), "drill.live", "passfile"),
            (drill(json!({ "live": "host=/run password\t=hunter2" })), "drill.live", "passfile"),
            (drill(json!({ "live": "postgresql://u:hunter2@h/x" })), "drill.live", "pairs"),
            (drill(json!({ "live": "~/.my.cnf" })), "drill.live", "whole path"),
        ] {
            let told = refused(target.clone()).unwrap_or_default();
            assert!(told.0 == field && told.1.contains(said) && !told.1.contains("hunter2"), "{target}: {told:?}");
        }
        for fine in [
            json!({ "files": { "pattern": "/srv/a-*.dump", "wal": "/srv/wal/*" }, "logs": ["/var/log/job-*.log"] }),
            drill(json!({ "samples": 1, "live": "host = /run dbname='app' passfile=/etc/pgpass" })),
        ] {
            assert_eq!(refused(fine.clone()), None, "{fine}");
        }
    }

    #[test]
    fn spans_without_a_unit_are_told_what_to_write() {
        let of = |text: &str| serde_json::from_str::<Expect>(text).map(|e| e.max_age).map_err(|e| e.to_string());
        assert_eq!(of(r#"{"max_age":"26h"}"#), Ok(Some("26h".into())));
        assert_eq!((of("{}"), of(r#"{"max_age":null}"#)), (Ok(None), Ok(None)));
        assert!(of(r#"{"max_age":26}"#).is_err_and(|why| why.contains("write 26h")));
        assert!(of(r#"{"max_age":[1]}"#).is_err_and(|why| why.contains("26h")));
    }
}
