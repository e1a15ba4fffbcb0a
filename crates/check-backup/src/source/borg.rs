//! Borg 1.x, through its own JSON output (<https://borgbackup.readthedocs.io/en/stable/internals/frontends.html>).
//!
//! Read with `--bypass-lock` and with a base folder of its own, so that neither the repository nor the user's cache is
//! written to. Borg prints times without a zone, in that of its environment: it is given UTC.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::{Asked, Failure, FailureClass};
use probe::{BoxFuture, Cx, Plan};
use serde::Deserialize;

use super::tool::{Secrets, Tool, program};
use super::{Entry, Repository};
use crate::facts::{Complete, Encryption, Identity, Lock, Locks, Outcome, Snapshot, SnapshotKind, SourceKind};
use crate::target::{BackupSpec, Borg};

/// Most bytes of a list of archives: about 100,000 of them.
const MOST_LIST: usize = 96 << 20;
/// What is asked of each archive beside its name, id and time.
const FORMAT: &str = "{hostname}{username}{start}{end}{command_line}";

/// Reads a Borg repository.
pub(crate) struct Adapter {
    source: Borg,
}

impl Adapter {
    pub(crate) const fn new(source: Borg) -> Self {
        Self { source }
    }

    /// The tool with its passphrase and its place.
    pub(crate) async fn tool(&self, cx: &Cx) -> Result<Tool, Failure> {
        let mut secrets = Secrets::default();
        // Without one Borg would wait for somebody to type it.
        match &self.source.passphrase {
            Some(reference) => secrets.add(cx, "BORG_PASSPHRASE", reference).await?,
            None => secrets.set("BORG_PASSPHRASE", ""),
        }
        secrets.environment(cx, &self.source.environment).await?;
        secrets.place("BORG_REPO", &self.source.repository);
        secrets.folder(cx, "BORG_BASE_DIR").await?;
        secrets.set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        secrets.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        // Otherwise Borg takes away the lock of a process that is dead, as it thinks: it would write.
        secrets.set("BORG_HOSTNAME_IS_UNIQUE", "no");
        secrets.set("TZ", "UTC");
        let program = program("borg", self.source.program.as_ref(), cx)?;
        Ok(Tool { program, version: &["--version"], secrets, hint })
    }

    /// Locks lie beside the data, and can be seen where the repository is a folder of this machine.
    async fn locks(&self, cx: &Cx) -> Locks {
        if self.source.repository.contains("://") || self.source.repository.contains(':') {
            return Locks::unknown();
        }
        let Ok(listing) = cx.list_dir(&self.source.repository, 10_000).await else { return Locks::unknown() };
        let mut locks = Vec::new();
        for name in listing.names.iter().filter(|n| n.starts_with("lock.")) {
            let folder = format!("{}/{name}", self.source.repository.trim_end_matches('/'));
            let holders = cx.list_dir(&folder, 16).await.unwrap_or_default().names;
            locks.push(Lock {
                name: name.clone(),
                outcome: Outcome::Present,
                created: None,
                exclusive: Some(name == "lock.exclusive"),
                holder: holders.into_iter().next(),
            });
        }
        Locks::all(locks)
    }
}

/// What Borg says on standard error, and what it means.
fn hint(stderr: &str) -> Option<(FailureClass, &'static str)> {
    let said = |word: &str| stderr.contains(word);
    if said("passphrase supplied") || said("No passphrase") || said("passphrase") && said("incorrect") {
        Some((FailureClass::Permission, "the passphrase does not open this repository; is it the right one?"))
    } else if said("does not exist") {
        Some((FailureClass::Missing, "there is no repository at that place; is the path right, and is it mounted?"))
    } else if said("is not a valid repository") {
        Some((FailureClass::Missing, "what lies there is no Borg repository; is the path right?"))
    } else if said("Failed to create/acquire the lock") {
        Some((FailureClass::Interrupted, "another process works in the repository; try again when it is done"))
    } else {
        None
    }
}

#[derive(Deserialize)]
struct List {
    archives: Vec<Archive>,
    encryption: Mode,
    repository: RepositoryId,
}

#[derive(Deserialize)]
struct Mode {
    mode: String,
}

#[derive(Deserialize)]
struct RepositoryId {
    id: String,
}

#[derive(Deserialize)]
struct Archive {
    name: String,
    id: String,
    #[serde(default)]
    hostname: String,
    start: String,
    end: Option<String>,
    #[serde(default)]
    command_line: CommandLine,
}

/// Borg 1.2 gives the words, 1.1 one string of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum CommandLine {
    Words(Vec<String>),
    Text(String),
}

impl Default for CommandLine {
    fn default() -> Self {
        Self::Words(Vec::new())
    }
}

/// A line of `borg list --json-lines ::archive`.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    path: std::borrow::Cow<'a, str>,
    size: Option<i64>,
    healthy: Option<bool>,
}

impl super::Adapter for Adapter {
    fn kind(&self) -> SourceKind {
        SourceKind::Borg
    }

    fn plan(&self, _: &BackupSpec) -> Plan {
        let commands = ["borg --bypass-lock list --json", "borg --bypass-lock list --json-lines ::ARCHIVE"];
        Plan { commands: commands.map(str::to_owned).into(), ..Plan::default() }
    }

    fn list<'a>(&'a self, _: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        Box::pin(async move {
            let tool = self.tool(cx).await?;
            let locks = self.locks(cx).await;
            let words = ["--bypass-lock", "list", "--json", "--format", FORMAT];
            let listed = tool.json::<List>(cx, &words, MOST_LIST).await?;
            let List { archives, encryption, repository } = listed.value;
            // `authenticated` modes sign and do not encrypt
            // (https://borgbackup.readthedocs.io/en/stable/usage/init.html#encryption-mode-tldr).
            let encrypted = encryption.mode.starts_with("repokey") || encryption.mode.starts_with("keyfile");
            let contents = archives.iter().map(|a| (a.name.clone(), a.id.clone())).collect();
            Ok(Repository {
                tool: listed.version,
                identity: Identity::is("repository id", repository.id),
                encryption: if encrypted { Encryption::by(encryption.mode) } else { Encryption::none(encryption.mode) },
                locks,
                asked: Asked::All,
                snapshots: archives.into_iter().map(snapshot).collect(),
                contents,
                continuity: Vec::new(),
                notes: listed.notes,
            })
        })
    }

    fn paths_are_claims(&self) -> bool {
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
            let mut damaged = 0_u64;
            let mut line = |line: &[u8]| match serde_json::from_slice::<Item<'_>>(line) {
                Ok(item) => {
                    damaged += u64::from(item.healthy == Some(false));
                    let path = format!("/{}", item.path.trim_start_matches('/'));
                    each(Entry { path: &path, size: item.size.unwrap_or(0), is_file: item.kind == "-" });
                    true
                }
                Err(_) => false,
            };
            let archive = format!("::{snapshot}");
            tool.lines(cx, &["--bypass-lock", "list", "--json-lines", &archive], &mut line).await?;
            if damaged > 0 {
                let message =
                    format!("{snapshot}: {damaged} of its files are marked as damaged by 'borg check --repair'");
                return Err(Failure::new(FailureClass::Unreadable, message));
            }
            Ok(())
        })
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
            let archive = format!("::{}", snapshot.name);
            // `pp:` is a path as it stands, whatever characters are in it.
            let patterns: Vec<String> =
                paths.into_iter().flatten().map(|path| format!("pp:{}", path.trim_start_matches('/'))).collect();
            let mut arguments = vec!["--bypass-lock", "extract", &archive];
            arguments.extend(patterns.iter().map(String::as_str));
            let output = tool.run_in(cx, &arguments, 64 << 20, Some(into)).await?;
            match output.exit {
                Some(0) => Ok(()),
                // A path that is not in the archive is a warning; what came back is compared one by one.
                Some(1) if String::from_utf8_lossy(&output.stderr).contains("never matched") => Ok(()),
                _ => Err(tool.complaint(&["extract"], &output)),
            }
        })
    }
}

/// A time as Borg prints it: before 2.0 without a zone, and the environment of the command says that it is UTC; else with
/// an offset, which a civil time alone would drop.
fn time(text: &str) -> Option<String> {
    let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse::<Timestamp>().ok().or_else(civil).map(|at| at.to_string())
}

fn snapshot(archive: Archive) -> Snapshot {
    Snapshot {
        outcome: Outcome::Present,
        why: None,
        kind: SnapshotKind::Full,
        host: Some(archive.hostname).filter(|h| !h.is_empty()),
        paths: paths(&archive.command_line),
        databases: Vec::new(),
        listed: Asked::All,
        series: None,
        started: time(&archive.start),
        ended: archive.end.as_deref().and_then(time),
        recovery_point: time(&archive.start),
        complete: Complete {
            outcome: Outcome::NotProven,
            basis: None,
            why: Some(
                "Borg keeps an archive of what it could read, whatever is missing; give the job's log (logs) or \
                 compare_with_source"
                    .to_owned(),
            ),
        },
        parents: Vec::new(),
        missing_parents: Vec::new(),
        files: None,
        bytes: None,
        objects: None,
        stored: None,
        name: archive.name,
    }
}

/// Options of `borg create` whose value is a word of its own.
const WITH_VALUE: [&str; 17] = [
    "-e",
    "--exclude",
    "--exclude-from",
    "--pattern",
    "--patterns-from",
    "--exclude-if-present",
    "-C",
    "--compression",
    "--comment",
    "--timestamp",
    "-c",
    "--checkpoint-interval",
    "--chunker-params",
    "--files-cache",
    "--filter",
    "--umask",
    "--lock-wait",
];

/// The paths that the job was told to copy: the words after the archive that are no options.
fn paths(command: &CommandLine) -> Vec<String> {
    let words: Vec<&str> = match command {
        CommandLine::Words(words) => words.iter().map(String::as_str).collect(),
        CommandLine::Text(text) => text.split_ascii_whitespace().collect(),
    };
    let mut words = words.into_iter().skip_while(|word| *word != "create");
    let mut paths = Vec::new();
    let mut seen_archive = false;
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word) {
            words.next();
        } else if word == "--" || word.starts_with('-') && word.len() > 1 {
        } else if word.contains("::") && !seen_archive {
            seen_archive = true;
        } else if seen_archive {
            let cut = word.trim_end_matches('/');
            paths.push(if cut.is_empty() { word.to_owned() } else { cut.to_owned() });
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::{CommandLine, paths, time};

    #[test]
    fn times_with_and_without_an_offset() {
        let of = |text: &str| time(text).unwrap_or_default();
        assert_eq!(of("2026-11-24T13:55:58.000000"), "2026-11-24T13:55:58Z");
        assert_eq!(of("2026-11-24T13:55:58.000000+01:00"), "2026-11-24T12:55:58Z");
        assert_eq!(of("2026-11-25T00:10:01.250000-03:00"), "2026-11-25T03:10:01.25Z");
        assert_eq!(of("2026-11-24T13:55:58Z"), "2026-11-24T13:55:58Z");
        assert_eq!(time("Tue, 2026-11-24 13:55:58"), None);
    }

    #[test]
    fn paths_of_a_command() {
        let of = |text: &str| paths(&CommandLine::Text(text.to_owned()));
        assert_eq!(of("/usr/bin/borg create --stats r::a /etc /srv/"), ["/etc", "/srv"]);
        assert_eq!(of("borg create -C zstd ::{now} -e *.tmp /etc --comment x /srv"), ["/etc", "/srv"]);
        assert_eq!(of("borg create ::a ."), ["."]);
        assert_eq!(of("borg create ::a -"), ["-"]);
        assert!(of("").is_empty());
    }
}
