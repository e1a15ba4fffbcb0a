//! restic, through its own JSON output (<https://restic.readthedocs.io/en/stable/075_scripting.html>).
//!
//! Read without a lock and without a cache, so that nothing is written, not even beside the repository.

use std::path::Path;
use std::sync::OnceLock;

use jiff::Timestamp;
use model::{Asked, Failure, FailureClass};
use probe::{BoxFuture, Cx, Plan};
use serde::Deserialize;

use super::tool::{Json, Secrets, Tool, program};
use super::{Entry, Repository};
use crate::facts::{Complete, Encryption, Identity, Lock, Locks, Outcome, Snapshot, SnapshotKind, SourceKind};
use crate::target::{BackupSpec, Restic};

/// Most bytes of a list of snapshots: about 100,000 of them.
const MOST_LIST: usize = 64 << 20;
/// Locks that are looked into.
const MOST_LOCKS: usize = 16;

/// Reads a restic repository.
pub(crate) struct Adapter {
    source: Restic,
}

impl Adapter {
    pub(crate) const fn new(source: Restic) -> Self {
        Self { source }
    }

    /// The tool with its password and its place.
    pub(crate) async fn tool(&self, cx: &Cx) -> Result<Tool, Failure> {
        let mut secrets = Secrets::default();
        secrets.add(cx, "RESTIC_PASSWORD", &self.source.password).await?;
        secrets.environment(cx, &self.source.environment).await?;
        secrets.place("RESTIC_REPOSITORY", &self.source.repository);
        let program = program("restic", self.source.program.as_ref(), cx)?;
        Ok(Tool { program, version: &["version"], secrets, hint })
    }
}

/// What restic says on standard error, and what it means.
fn hint(stderr: &str) -> Option<(FailureClass, &'static str)> {
    let said = |words: &[&str]| words.iter().any(|w| stderr.contains(w));
    if said(&["wrong password or no key found"]) {
        Some((FailureClass::Permission, "the password opens no key of this repository; is it the right one?"))
    } else if said(&["connection refused", "no such host", "no route to host", "i/o timeout"]) {
        Some((
            FailureClass::Unreachable,
            "the store does not answer; is its address right, and can it be reached from here?",
        ))
    } else if said(&["unable to open config file", "repository does not exist", "Is there a repository"]) {
        Some((FailureClass::Missing, "there is no repository at that place; is the path right, and is it mounted?"))
    } else if said(&["repository is already locked", "unable to create lock"]) {
        Some((FailureClass::Interrupted, "another process works in the repository; try again when it is done"))
    } else {
        None
    }
}

/// What the list of snapshots says of one.
#[derive(Deserialize)]
struct Listed {
    time: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    hostname: String,
    id: String,
    tree: Option<String>,
    #[serde(default)]
    summary: Option<Summary>,
}

/// What restic 0.17 and later keep with a snapshot.
#[derive(Deserialize)]
struct Summary {
    backup_start: Option<String>,
    backup_end: Option<String>,
    total_files_processed: Option<i64>,
    total_bytes_processed: Option<i64>,
    data_added: Option<i64>,
}

#[derive(Deserialize)]
struct Config {
    id: String,
    version: i64,
}

/// A line of `restic ls --json`.
#[derive(Deserialize)]
struct Node<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    #[serde(borrow)]
    path: Option<std::borrow::Cow<'a, str>>,
    size: Option<i64>,
}

#[derive(Deserialize)]
struct LockFile {
    time: Option<String>,
    exclusive: Option<bool>,
    hostname: Option<String>,
    pid: Option<i64>,
}

impl super::Adapter for Adapter {
    fn kind(&self) -> SourceKind {
        SourceKind::Restic
    }

    fn plan(&self, _: &BackupSpec) -> Plan {
        let words = ["cat config", "snapshots", "list locks", "cat lock", "ls"];
        let commands = words.map(|w| format!("restic --no-lock --no-cache {w}"));
        Plan { commands: commands.into(), ..Plan::default() }
    }

    fn list<'a>(&'a self, _: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        Box::pin(async move {
            let tool = self.tool(cx).await?;
            let (repository, locks) = futures::join!(copies(&tool, cx), locks(&tool, cx));
            Ok(Repository { locks, ..repository? })
        })
    }

    fn copies<'a>(&'a self, _: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        Box::pin(async move { copies_by_cache(&self.tool(cx).await?, cx).await })
    }

    fn paths_are_claims(&self) -> bool {
        // A folder where nothing was mounted, or a link, is copied as what it is.
        true
    }

    fn files_of<'a>(
        &'a self,
        _: &'a BackupSpec,
        snapshot: &'a str,
        cx: &'a Cx,
        each: &'a mut (dyn FnMut(Entry<'_>) + Send),
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let tool = self.tool(cx).await?;
            let mut line = |line: &[u8]| match serde_json::from_slice::<Node<'_>>(line) {
                Ok(Node { kind: Some(kind), path: Some(path), size }) => {
                    each(Entry { path: &path, size: size.unwrap_or(0), is_file: kind == "file" });
                    true
                }
                Ok(_) => true,
                Err(_) => false,
            };
            tool.lines(cx, &words(&["ls", snapshot]), &mut line).await
        })
    }

    fn restore_newest<'a>(
        &'a self,
        spec: &'a BackupSpec,
        into: &'a Path,
        told: &'a OnceLock<String>,
        cx: &'a Cx,
    ) -> Option<BoxFuture<'a, Result<(), Failure>>> {
        Some(Box::pin(async move {
            let (tool, into) = (self.tool(cx).await?, into.display().to_string());
            // In words: as JSON it does not say which copy it takes.
            let mut arguments = vec!["--no-lock", "--no-cache", "restore", "latest", "--target", &into];
            spec.expected.hosts.iter().for_each(|host| arguments.extend(["--host", host]));
            let paths = spec.expected.paths.iter().chain(&spec.expected.configuration);
            paths.for_each(|path| arguments.extend(["--path", path]));
            let mut line = |line: &[u8]| {
                if let Some(id) = std::str::from_utf8(line).ok().and_then(taken) {
                    // Only the first one counts.
                    let _ = told.set(id.to_owned());
                }
                true
            };
            tool.lines(cx, &arguments, &mut line).await
        }))
    }

    fn restore<'a>(
        &'a self,
        _: &'a BackupSpec,
        snapshot: &'a Snapshot,
        paths: Option<&'a [String]>,
        into: &'a Path,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let tool = self.tool(cx).await?;
            let into = into.display().to_string();
            let patterns: Vec<String> = paths.into_iter().flatten().flat_map(|p| includes(snapshot, p)).collect();
            let mut arguments = words(&["restore", &snapshot.name, "--target", &into]);
            for pattern in &patterns {
                arguments.extend(["--include", pattern]);
            }
            let output = tool.run(cx, &arguments, 64 << 20).await?;
            if output.exit == Some(0) { Ok(()) } else { Err(tool.complaint(&["restore"], &output)) }
        })
    }
}

/// The patterns that a path is restored by: as it stands, and, for what was named by a relative path, without the folders
/// before it. One that fits nothing does no harm.
fn includes(snapshot: &Snapshot, path: &str) -> Vec<String> {
    let escape = |path: &str| {
        path.chars().fold(String::new(), |mut text, c| {
            if matches!(c, '*' | '?' | '[' | ']' | '\\') {
                text.push('\\');
            }
            text.push(c);
            text
        })
    };
    let top = snapshot.paths.iter().find(|top| crate::derive::holds(top, path));
    let cut = top.and_then(|top| path.get(top.rfind('/')?..)).filter(|cut| *cut != path);
    std::iter::once(path).chain(cut).map(escape).collect()
}

/// Arguments with those that keep restic from writing anything.
pub(crate) fn words<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["--no-lock", "--no-cache", "--json"];
    words.extend(arguments);
    words
}

/// The repository without its locks.
async fn copies(tool: &Tool, cx: &Cx) -> Result<Repository, Failure> {
    let (cat, list) = (words(&["cat", "config"]), words(&["snapshots"]));
    let (config, listed) =
        futures::join!(tool.json::<Config>(cx, &cat, 1 << 20), tool.json::<Vec<Listed>>(cx, &list, MOST_LIST),);
    let (config, mut listed) = (config?, listed?);
    listed.notes.extend(config.notes);
    Ok(repository(config.value.id, Some(config.value.version), listed))
}

/// The same by one command, for a drill: each derives the key anew, which costs a second of a processor beside a restore.
/// restic names the folder of its cache by the repository's id.
async fn copies_by_cache(tool: &Tool, cx: &Cx) -> Result<Repository, Failure> {
    let cache = cx.private_folder().await.map_err(|e| Failure::new(e.class, e.to_string()))?;
    let place = cache.path().display().to_string();
    let list = ["--no-lock", "--cache-dir", &place, "--json", "snapshots"];
    let listed = tool.json::<Vec<Listed>>(cx, &list, MOST_LIST).await?;
    let entries = cx.list_dir(cache.path(), 8).await.map_err(|e| Failure::new(e.class, e.to_string()))?;
    let mut ids = entries.names.into_iter().filter(|name| is_id(name));
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(repository(id, None, listed)),
        _ => copies(tool, cx).await,
    }
}

fn repository(id: String, version: Option<i64>, listed: Json<Vec<Listed>>) -> Repository {
    let tree = |listed: &Listed| Some((listed.id.clone(), listed.tree.clone()?));
    let contents = listed.value.iter().filter_map(tree).collect();
    // The format knows no other way (https://restic.readthedocs.io/en/stable/100_references.html).
    let version = version.map_or_else(String::new, |version| format!(" version {version}"));
    Repository {
        tool: listed.version,
        identity: Identity::is("repository id", id),
        encryption: Encryption::by(format!("restic repository{version}, AES-256-CTR")),
        locks: Locks::unknown(),
        asked: Asked::All,
        snapshots: listed.value.into_iter().map(snapshot).collect(),
        contents,
        continuity: Vec::new(),
        notes: listed.notes,
    }
}

fn snapshot(listed: Listed) -> Snapshot {
    let time = |text: &str| text.parse::<Timestamp>().ok().map(|t| t.to_string());
    let summary = listed.summary.as_ref();
    let started = summary.and_then(|s| s.backup_start.as_deref()).and_then(time);
    Snapshot {
        outcome: Outcome::Present,
        why: None,
        kind: SnapshotKind::Full,
        host: Some(listed.hostname).filter(|h| !h.is_empty()),
        paths: listed.paths,
        databases: Vec::new(),
        listed: Asked::All,
        series: None,
        started,
        ended: summary.and_then(|s| s.backup_end.as_deref()).and_then(time),
        // What `--time` can set; the same instant as `backup_start` where nobody did.
        recovery_point: time(&listed.time),
        complete: Complete {
            outcome: Outcome::NotProven,
            basis: None,
            why: Some(
                "restic keeps a snapshot of what it could read, whatever is missing; give the job's log (logs) or \
                 compare_with_source"
                    .to_owned(),
            ),
        },
        parents: Vec::new(),
        missing_parents: Vec::new(),
        files: summary.and_then(|s| s.total_files_processed),
        bytes: summary.and_then(|s| s.total_bytes_processed),
        objects: None,
        stored: summary.and_then(|s| s.data_added),
        name: listed.id,
    }
}

async fn locks(tool: &Tool, cx: &Cx) -> Locks {
    let Ok(said) = tool.run(cx, &words(&["list", "locks"]), 1 << 20).await else { return Locks::unknown() };
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let ids: Vec<&str> = text.lines().map(str::trim).filter(|l| is_id(l)).collect();
    if said.exit != Some(0) {
        return Locks::unknown();
    }
    let mut locks = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let read = match index < MOST_LOCKS {
            true => tool.json::<LockFile>(cx, &words(&["cat", "lock", id]), 1 << 16).await.ok().map(|j| j.value),
            false => None,
        };
        let holder = read.as_ref().and_then(|l| {
            let host = l.hostname.as_deref()?;
            Some(l.pid.map_or_else(|| host.to_owned(), |pid| format!("process {pid} on {host}")))
        });
        locks.push(Lock {
            name: (*id).to_owned(),
            outcome: Outcome::Present,
            created: read.as_ref().and_then(|l| l.time.clone()),
            exclusive: read.as_ref().and_then(|l| l.exclusive),
            holder,
        });
    }
    Locks::all(locks)
}

/// The short id in `restoring <Snapshot 26ca0a0b of […] at …> to …`; without the brackets from restic 0.16 on.
fn taken(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("restoring ")?.trim_start_matches('<');
    let (_, rest) = rest.split_at_checked(9).filter(|(word, _)| word.eq_ignore_ascii_case("snapshot "))?;
    let id = rest.split(' ').next()?;
    (id.len() >= 8 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_that_is_restored_is_read_off_what_restic_says() {
        let old = "restoring <Snapshot 26ca0a0b of [/srv] at 2026-11-24 18:16:16.354168739 +0000 UTC by root@h> to /x";
        let new = "restoring snapshot 26ca0a0b of [/srv] at 2026-11-24 18:16:16.354168739 +0000 UTC by root@h to /x";
        assert_eq!([taken(old), taken(new)], [Some("26ca0a0b"); 2]);
        for other in ["", "restoring", "restoring <Snapshot", "restoring snapshot zz", "restoring /a of 26ca0a0b"] {
            assert_eq!(taken(other), None, "{other}");
        }
    }
}
