//! pgBackRest, through `info` and `repo-ls` with JSON output (<https://pgbackrest.org/command.html>).
//!
//! `info` names the first and the last piece of WAL alone; what lies between is counted from the names in the archive.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::{Asked, Failure, FailureClass};
use probe::{BoxFuture, Cx, Plan};
use serde::Deserialize;

use super::Repository;
use super::tool::{Secrets, Tool, program};
use super::wal::{Segment, unbroken};
use crate::facts::{
    Basis, Complete, Continuity, Encryption, Identity, Lock, Locks, Outcome, Snapshot, SnapshotKind, SourceKind,
};
use crate::target::{BackupSpec, PgBackRest};

/// Most bytes of the description of a stanza.
const MOST_INFO: usize = 64 << 20;
/// Most bytes of the list of archived WAL: about a million segments.
const MOST_WAL: usize = 192 << 20;

/// Reads a stanza.
pub(crate) struct Adapter {
    source: PgBackRest,
}

impl Adapter {
    pub(crate) const fn new(source: PgBackRest) -> Self {
        Self { source }
    }

    /// The tool.
    ///
    /// # Errors
    /// Where the inventory brings another program, and the command line does not allow that.
    pub(crate) fn tool(&self, cx: &Cx) -> Result<Tool, Failure> {
        let program = program("pgbackrest", self.source.program.as_ref(), cx)?;
        Ok(Tool { program, version: &["version"], secrets: Secrets::default(), hint })
    }

    /// Arguments with the stanza and the configuration, and without a log file of its own.
    pub(crate) fn words(&self, arguments: &[&str]) -> Vec<String> {
        let mut words = vec![format!("--stanza={}", self.source.stanza), "--log-level-file=off".to_owned()];
        words.extend(self.source.config.iter().map(|config| format!("--config={config}")));
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        words
    }

    async fn wal(&self, tool: &Tool, cx: &Cx, repo: i64) -> Result<BTreeMap<String, BTreeSet<Segment>>, Failure> {
        let folder = format!("archive/{}", self.source.stanza);
        let key = format!("--repo={repo}");
        let words = self.words(&[&key, "--recurse", "--output=json", "repo-ls", &folder]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let listed = tool.json::<BTreeMap<String, serde::de::IgnoredAny>>(cx, &words, MOST_WAL).await?;
        let mut found: BTreeMap<String, BTreeSet<Segment>> = BTreeMap::new();
        for path in listed.value.keys() {
            let mut parts = path.split('/');
            if let (Some(id), Some(name)) = (parts.next(), parts.next_back())
                && let Some(segment) = Segment::of_name(name)
            {
                found.entry(id.to_owned()).or_default().insert(segment);
            }
        }
        Ok(found)
    }
}

/// What pgBackRest says on standard error, and what it means.
fn hint(stderr: &str) -> Option<(FailureClass, &'static str)> {
    let said = |word: &str| stderr.contains(word);
    if said("[055]") || said("missing") {
        Some((FailureClass::Missing, "a file that it needs is not there; is 'config' right?"))
    } else if said("Permission denied") || said("[041]") {
        Some((FailureClass::Permission, "run Probity as a user who may read the repository"))
    } else if said("[029]") || said("unable to load info file") || said("cipher") {
        Some((FailureClass::Permission, "is the passphrase of the repository in the configuration?"))
    } else {
        None
    }
}

#[derive(Deserialize)]
struct Stanza {
    name: String,
    #[serde(default)]
    cipher: Option<String>,
    status: Status,
    #[serde(default)]
    repo: Vec<Repo>,
    #[serde(default)]
    db: Vec<Db>,
    #[serde(default)]
    backup: Vec<Backup>,
}

#[derive(Deserialize)]
struct Status {
    code: i64,
    message: String,
    lock: Option<StatusLock>,
}

#[derive(Deserialize)]
struct StatusLock {
    backup: Option<Held>,
}

#[derive(Deserialize)]
struct Held {
    held: bool,
}

#[derive(Deserialize)]
struct Repo {
    key: i64,
    cipher: String,
    status: Option<RepoStatus>,
}

#[derive(Deserialize)]
struct RepoStatus {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct Db {
    #[serde(rename = "system-id")]
    system_id: u64,
}

#[derive(Deserialize)]
struct Backup {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    error: Option<bool>,
    timestamp: Span,
    #[serde(default)]
    reference: Option<Vec<String>>,
    archive: Option<Wal>,
    info: Option<Info>,
    database: Option<Of>,
}

#[derive(Deserialize)]
struct Span {
    start: i64,
    stop: i64,
}

#[derive(Deserialize)]
struct Wal {
    start: Option<String>,
    stop: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    size: Option<i64>,
    repository: Option<Stored>,
}

#[derive(Deserialize)]
struct Stored {
    delta: Option<i64>,
}

#[derive(Deserialize)]
struct Of {
    #[serde(rename = "repo-key")]
    repo: Option<i64>,
}

impl super::Adapter for Adapter {
    fn kind(&self) -> SourceKind {
        SourceKind::Pgbackrest
    }

    fn plan(&self, _: &BackupSpec) -> Plan {
        let commands = ["pgbackrest --output=json info", "pgbackrest --output=json repo-ls"];
        Plan { commands: commands.map(str::to_owned).into(), ..Plan::default() }
    }

    fn list<'a>(&'a self, _: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        Box::pin(async move {
            let tool = self.tool(cx)?;
            let words = self.words(&["--output=json", "info"]);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let info = tool.json::<Vec<Stanza>>(cx, &words, MOST_INFO).await?;
            let mut notes = info.notes;
            let stanza = info.value.into_iter().find(|s| s.name == self.source.stanza);
            let missing = || {
                let message = format!("there is no stanza '{}'; is its name right?", self.source.stanza);
                Failure::new(FailureClass::Missing, message)
            };
            let stanza = stanza.ok_or_else(missing)?;
            // Codes as in pgBackRest's command/info/info.c: 1 missing stanza path, 2 no valid backups, 3 missing stanza data.
            if matches!(stanza.status.code, 1 | 3) {
                return Err(missing());
            }
            // 99 is everything else, a wrong passphrase among it; the exit code is 0 all the same.
            let unread = stanza.repo.iter().find(|repo| repo.status.as_ref().is_some_and(|s| s.code == 99));
            if let Some(repo) = unread {
                let said = repo.status.as_ref().map_or("it does not say why", |s| s.message.as_str());
                let said: String = said.chars().take(300).collect();
                let message = format!("pgbackrest: repo{} of stanza {} can't be read: {said}", repo.key, stanza.name);
                return Err(Failure::new(FailureClass::Permission, message));
            }
            if stanza.status.code == 99 {
                let message = format!("pgbackrest: stanza {} can't be read: {}", stanza.name, stanza.status.message);
                return Err(Failure::new(FailureClass::Unreadable, message));
            }
            if stanza.status.code != 0 {
                notes.push(format!("pgbackrest: {}", stanza.status.message));
            }
            let mut wal = BTreeMap::new();
            let mut continuity = Vec::new();
            for repo in &stanza.repo {
                match self.wal(&tool, cx, repo.key).await {
                    Ok(found) => {
                        continuity.extend(found.iter().map(|(id, segments)| unbroken(&named(id, repo.key), segments)));
                        wal.insert(repo.key, found);
                    }
                    Err(failure) => continuity.push(Continuity {
                        name: named("wal", repo.key),
                        outcome: Outcome::NotProven,
                        why: Some(failure.message),
                        from: None,
                        to: None,
                    }),
                }
            }
            Ok(Repository {
                tool: info.version,
                identity: identity(&stanza),
                encryption: encryption(&stanza),
                locks: locks(&stanza),
                asked: Asked::All,
                snapshots: stanza.backup.iter().map(|b| snapshot(b, &stanza.name, &wal)).collect(),
                contents: BTreeMap::new(),
                continuity,
                notes,
            })
        })
    }
}

fn named(id: &str, repo: i64) -> String {
    if id == "wal" { format!("wal of repo{repo}") } else { format!("wal {id} of repo{repo}") }
}

fn identity(stanza: &Stanza) -> Identity {
    let what = "PostgreSQL system identifier";
    // A stanza that was upgraded names its databases one after another; the last one is in use.
    match stanza.db.last() {
        Some(db) => Identity::is(what, db.system_id.to_string()),
        None => Identity {
            outcome: Outcome::NotProven,
            why: Some("the stanza names no database".to_owned()),
            what: what.to_owned(),
            value: None,
        },
    }
}

fn encryption(stanza: &Stanza) -> Encryption {
    let ciphers: Vec<&str> = match stanza.repo.as_slice() {
        [] => stanza.cipher.as_deref().into_iter().collect(),
        repos => repos.iter().map(|r| r.cipher.as_str()).collect(),
    };
    match ciphers.iter().find(|c| **c == "none") {
        Some(none) => Encryption::none(*none),
        None if ciphers.is_empty() => {
            Encryption { outcome: Outcome::NotProven, why: Some("the stanza does not say".to_owned()), mode: None }
        }
        None => Encryption::by(ciphers.join(", ")),
    }
}

fn locks(stanza: &Stanza) -> Locks {
    let held = stanza.status.lock.as_ref().and_then(|l| l.backup.as_ref()).map(|b| b.held);
    let lock = |name: &str| Lock {
        name: name.to_owned(),
        outcome: Outcome::Present,
        created: None,
        exclusive: Some(true),
        holder: None,
    };
    match held {
        None => Locks::unknown(),
        Some(true) => Locks::all(vec![lock("backup")]),
        Some(false) => Locks::all(Vec::new()),
    }
}

fn snapshot(backup: &Backup, stanza: &str, wal: &BTreeMap<i64, BTreeMap<String, BTreeSet<Segment>>>) -> Snapshot {
    let time = |epoch: i64| Timestamp::from_second(epoch).ok().map(|t| t.to_string());
    let needed = backup.archive.as_ref().map(|a| (a.start.as_deref(), a.stop.as_deref()));
    let repo = backup.database.as_ref().and_then(|d| d.repo).unwrap_or(1);
    let held = wal.get(&repo).map(|ids| ids.values().flatten().copied().collect::<BTreeSet<Segment>>());
    let complete = |outcome, why| Complete { outcome, basis: Some(Basis::ToolRecord), why };
    let complete = match (backup.error, needed, held) {
        (Some(true), ..) => complete(Outcome::Absent, Some("pgBackRest met pages with wrong checksums".to_owned())),
        (_, Some((Some(start), Some(stop))), Some(held)) => match super::wal::missing(start, stop, &held) {
            Ok(None) => complete(Outcome::Present, None),
            Ok(Some(name)) => complete(Outcome::Absent, Some(format!("WAL {name}, which it needs, is not archived"))),
            Err(why) => complete(Outcome::NotProven, Some(why)),
        },
        (_, _, None) => complete(Outcome::NotProven, Some("the archive of WAL could not be listed".to_owned())),
        (_, _, Some(_)) => {
            complete(Outcome::NotProven, Some("it does not say which WAL it needs to be consistent".to_owned()))
        }
    };
    let size = backup.info.as_ref();
    Snapshot {
        name: backup.label.clone(),
        outcome: Outcome::Present,
        why: None,
        kind: if backup.kind == "full" { SnapshotKind::Full } else { SnapshotKind::Incremental },
        host: None,
        paths: Vec::new(),
        databases: vec![stanza.to_owned()],
        listed: Asked::All,
        series: None,
        started: time(backup.timestamp.start),
        ended: time(backup.timestamp.stop),
        recovery_point: time(backup.timestamp.stop),
        complete,
        parents: backup.reference.clone().unwrap_or_default(),
        missing_parents: Vec::new(),
        files: None,
        bytes: size.and_then(|i| i.size),
        objects: None,
        stored: size.and_then(|i| i.repository.as_ref()?.delta),
    }
}
