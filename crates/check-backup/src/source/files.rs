//! Files and folders that match a pattern, each a copy: dumps, base backups, archives, snapshots of Redis.
//!
//! What a copy is, when it was begun and whether it is whole is read from inside it; the file system's times count only
//! where the inventory trusts them. The head of each copy is read, and the newest of each history as a whole where it is
//! small; larger ones are read by the probe `backup-read`. A Redis server's own word on its snapshots (`INFO
//! persistence`) is not asked for: the file is what would be restored.

mod binlog;
mod chain;
mod copy;
mod look;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use model::{Asked, Failure, FailureClass};
use probe::{BoxFuture, Cx, FileError, Plan};

use super::{Entry, Repository};
use crate::derive;
use crate::facts::{Encryption, Identity, Locks, Outcome, Snapshot, SourceKind};
use crate::format::{Bounds, Depth, Ended, Format, Inspection};
use crate::pattern;
use crate::target::{BackupSpec, FileFormat, Files};
pub(crate) use copy::protected;
pub(super) use copy::{Context, Zone};
pub(super) use look::Match;
use look::{Extent, look};

/// Copies that are looked into, the newest by the file system's times.
const MOST_COPIES: usize = 1_000;
/// Questions to the file system at once.
const ASKED_AT_ONCE: usize = 16;
/// Copies that are read at once: a decoder of xz may need 128 MB.
const READ_AT_ONCE: usize = 2;
/// Largest copy that is read as a whole unasked.
const MOST_WHOLE: u64 = 256 << 20;
/// Bytes that are so read of the newest copies, over all histories.
const MOST_NEWEST: u64 = 1 << 30;
/// Bytes that are so read of the copies before them, for their sizes.
const MOST_BEFORE: u64 = 256 << 20;
/// Copies of each history that are read as a whole: the newest, and those that it is compared with.
const WHOLE: usize = 8;
/// Files and folders below one folder when its files are listed.
const MOST_BELOW: usize = 5_000_000;

/// Reads files.
pub(crate) struct Adapter {
    source: Files,
}

/// A copy, what was seen of it, and how much was read for that.
pub(super) struct Copy {
    pub(super) found: Match,
    pub(super) seen: Result<Inspection, String>,
    pub(super) depth: Depth,
}

impl Adapter {
    pub(crate) const fn new(source: Files) -> Self {
        Self { source }
    }

    /// What the pattern fits, newest first, with notes of what was passed over; and how many there are.
    async fn find(&self, cx: &Cx, notes: &mut Vec<String>) -> Result<(Vec<Match>, usize), Failure> {
        let pattern = &self.source.pattern;
        let paths = pattern::matches(cx, pattern).await.map_err(|e| failed(&e))?;
        let one = !pattern.rsplit('/').next().unwrap_or_default().contains('*');
        let looked: Vec<(String, Result<Match, FileError>)> = futures::stream::iter(paths)
            .map(|path| async move { (path.clone(), look::find(cx, path, one).await) })
            .buffered(ASKED_AT_ONCE)
            .collect()
            .await;
        let mut found = Vec::new();
        for (path, looked) in looked {
            match looked {
                Ok(at) => found.push(at),
                // A pattern without a star need not fit anything; what a folder listed a moment ago is gone now.
                Err(e) if e.class == FailureClass::Missing && one => {}
                Err(e) if e.class == FailureClass::Missing => found.push(Match::gone(path)),
                Err(e) => return Err(failed(&e)),
            }
        }
        if one && found.is_empty() {
            // That there is no copy is known only where the folder can be read.
            let folder =
                pattern.rsplit_once('/').map_or(".", |(folder, _)| if folder.is_empty() { "/" } else { folder });
            cx.list_dir(folder, 1).await.map_err(|e| failed(&e))?;
        }
        // A link beside what it leads to would be the same copy twice.
        let copy = |m: &Match| m.metadata.is_none_or(|at| at.is_file || at.is_dir);
        let passed: Vec<&str> = found.iter().filter(|m| !copy(m)).map(|m| m.name.as_str()).collect();
        if let Some(first) = passed.first() {
            let count = passed.len();
            notes.push(format!("{count} that match are neither files nor folders, and no copies: {first}"));
        }
        found.retain(copy);
        let all = found.len();
        found.sort_by(|a, b| (b.modified(), &b.name).cmp(&(a.modified(), &a.name)));
        found.truncate(MOST_COPIES);
        Ok((found, all))
    }

    /// Looks into all copies: the head of each, then the newest as a whole.
    async fn read(&self, found: Vec<Match>, context: &Context<'_>, cx: &Cx) -> Vec<Copy> {
        let wanted = context.wanted();
        let wanted = wanted.as_slice();
        let mut copies: Vec<Copy> = futures::stream::iter(found)
            .map(|found| async move {
                let extent = Extent { depth: Depth::Head, bounds: Bounds::default(), within: cx.remaining() };
                let seen = look(cx, &self.source, &found, extent, wanted).await;
                Copy { found, seen, depth: Depth::Head }
            })
            .buffered(READ_AT_ONCE)
            .collect()
            .await;
        let chosen = choose(&copies, context);
        let read: Vec<(usize, Result<Inspection, String>)> = futures::stream::iter(chosen)
            .filter_map(|index| std::future::ready(copies.get(index).map(|copy| (index, copy.found.clone()))))
            .map(|(index, found)| async move {
                let bounds = Bounds { read: MOST_WHOLE, ..Bounds::default() };
                let extent = Extent { depth: Depth::Full, bounds, within: cx.remaining() };
                (index, look(cx, &self.source, &found, extent, wanted).await)
            })
            .buffered(READ_AT_ONCE)
            .collect()
            .await;
        for (index, seen) in read {
            let Some(copy) = copies.get_mut(index) else { continue };
            // What the head proved stands where reading further came to no end.
            let kept = matches!((&copy.seen, &seen), (Ok(head), Ok(full))
                if full.ended == Ended::NotProven && (head.ended != Ended::NotProven || head.format != full.format));
            if !kept {
                copy.seen = seen;
                copy.depth = Depth::Full;
            }
        }
        copies
    }

    async fn repository(&self, spec: &BackupSpec, cx: &Cx) -> Result<Repository, Failure> {
        let mut notes = Vec::new();
        let (found, all) = self.find(cx, &mut notes).await?;
        let asked = if all > found.len() { Asked::Only(Vec::new()) } else { Asked::All };
        if asked != Asked::All {
            notes
                .push(format!("{all} files match; the newest {MOST_COPIES} by the file system's times were looked at"));
        }
        let zone = Zone::of(self.source.timezone.as_deref());
        let context = Context { source: &self.source, expected: &spec.expected, zone: &zone };
        let copies = self.read(found, &context, cx).await;
        let mut snapshots: Vec<Snapshot> =
            copies.iter().map(|copy| context.snapshot(&copy.found, &copy.seen, copy.depth)).collect();
        let mut pairs: Vec<chain::Pair<'_>> =
            snapshots.iter_mut().zip(&copies).filter_map(|(s, copy)| Some((s, copy.seen.as_ref().ok()?))).collect();
        chain::mariabackup(&mut pairs);
        let mut continuity = Vec::new();
        if let Some(wal) = &self.source.wal {
            continuity.push(chain::archive(cx, wal, &mut pairs).await);
        }
        if let Some(pattern) = &self.source.binlog {
            continuity.extend(binlog::archive(cx, pattern, &pairs).await);
        }
        self.explain(&copies, &zone, &mut notes);
        Ok(Repository {
            tool: None,
            identity: identity(&self.source, &copies, &snapshots),
            encryption: encryption(&copies),
            locks: Locks::all(Vec::new()),
            asked,
            snapshots,
            contents: BTreeMap::new(),
            continuity,
            notes,
        })
    }

    /// What a reader should know of how times and ends were found.
    fn explain(&self, copies: &[Copy], zone: &Zone, notes: &mut Vec<String>) {
        let any = |test: &dyn Fn(&Inspection) -> bool| copies.iter().any(|c| c.seen.as_ref().is_ok_and(test));
        if any(&|s| s.started_local.is_some() || s.finished_local.is_some()) {
            let from = if self.source.timezone.is_some() { "as the inventory says" } else { "as of this machine" };
            notes.push(format!("times without a zone in copies are taken as {}, {from}", zone.name));
            notes.extend(copies.iter().find_map(|c| zone.contradicted(c.seen.as_ref().ok()?)));
        }
        if self.source.trust_mtime {
            notes.push(
                "copies without a time inside are dated by the file system, which the inventory trusts".to_owned(),
            );
        }
        if any(&|s| copy::archives(s.format)) {
            let end = "an archive's end shows that it is not cut, not that every file was put into it";
            notes.push(end.to_owned());
        }
        if self.source.database.is_none() && any(&|s| s.format == Format::PgDumpSql && s.origin.databases.is_empty()) {
            notes.push(
                "plain SQL of pg_dump does not name its database; name it by 'files: { database: … }'".to_owned(),
            );
        }
    }
}

/// Looks into one copy as a whole, for the probe that reads: `name` is one that [`Repository::snapshots`] names.
///
/// # Errors
/// Why nothing can be said of it: it can't be opened, vanished, or changed meanwhile.
pub(crate) async fn inspect_full(
    source: &Files,
    name: &str,
    bounds: Bounds,
    within: Duration,
    cx: &Cx,
) -> Result<Inspection, String> {
    let found = look::find(cx, path_of(source, name), true).await.map_err(|e| e.to_string())?;
    look(cx, source, &found, Extent { depth: Depth::Full, bounds, within }, &[]).await
}

/// Looks into the head of one copy, and says where it lies.
///
/// # Errors
/// As [`inspect_full`].
pub(crate) async fn inspect_head(source: &Files, name: &str, cx: &Cx) -> Result<(String, Inspection), String> {
    let found = look::find(cx, path_of(source, name), true).await.map_err(|e| e.to_string())?;
    let extent = Extent { depth: Depth::Head, bounds: Bounds::default(), within: cx.remaining() };
    let seen = look(cx, source, &found, extent, &[]).await?;
    Ok((found.path, seen))
}

/// Where a copy of that name lies.
pub(crate) fn path_of(source: &Files, name: &str) -> String {
    match source.pattern.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }
}

fn failed(error: &FileError) -> Failure {
    let hint = match error.class {
        FailureClass::Missing => "; is it mounted, and is 'pattern' right?",
        FailureClass::Permission => "; run Probity as a user who may read it",
        _ => "",
    };
    Failure::new(error.class, format!("{error}{hint}"))
}

/// Positions of the copies that are read as a whole: the newest of each history first, then those before them.
fn choose(copies: &[Copy], context: &Context<'_>) -> Vec<usize> {
    let mut histories: BTreeMap<String, Vec<(i64, usize)>> = BTreeMap::new();
    for (index, copy) in copies.iter().enumerate() {
        let snapshot = context.snapshot(&copy.found, &copy.seen, copy.depth);
        // What is damaged already, encrypted, or of no known format tells no more when all of it is read.
        let readable = copy.seen.as_ref().is_ok_and(|seen| {
            matches!(seen.ended, Ended::Complete | Ended::NotProven)
                && !matches!(seen.format, Format::Folder | Format::Unknown)
        });
        if readable && snapshot.outcome == Outcome::Present {
            let at = snapshot.recovery_point.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
            let at = at.map_or_else(|| copy.found.modified(), Timestamp::as_second);
            histories.entry(derive::series(&snapshot)).or_default().push((at, index));
        }
    }
    let mut ranked: Vec<(usize, usize)> = Vec::new();
    for of in histories.values_mut() {
        of.sort_unstable_by(|a, b| b.cmp(a));
        ranked.extend(of.iter().take(WHOLE).map(|(_, index)| *index).enumerate());
    }
    ranked.sort_unstable();
    let (mut newest, mut before) = (MOST_NEWEST, MOST_BEFORE);
    let small = |(rank, index): &(usize, usize)| {
        let Some(copy) = copies.get(*index) else { return false };
        let told = copy.seen.as_ref().ok().and_then(|seen| seen.counts.bytes);
        // A folder has no size of its own; its readers tell.
        let Some(size) = copy.found.size().or(told).filter(|size| *size <= MOST_WHOLE) else { return false };
        let left = if *rank == 0 { &mut newest } else { &mut before };
        left.checked_sub(size).map(|rest| *left = rest).is_some()
    };
    ranked.into_iter().filter(small).map(|(_, index)| index).collect()
}

/// Base backups name their cluster; nothing else names anything.
pub(super) fn identity(source: &Files, copies: &[Copy], snapshots: &[Snapshot]) -> Identity {
    let what = "PostgreSQL system identifier".to_owned();
    let unproven =
        |why: String| Identity { outcome: Outcome::NotProven, why: Some(why), what: what.clone(), value: None };
    let seen: Vec<(&Snapshot, &Inspection)> = snapshots
        .iter()
        .zip(copies)
        .filter_map(|(snapshot, copy)| Some((snapshot, copy.seen.as_ref().ok()?)))
        .filter(|(snapshot, _)| snapshot.outcome == Outcome::Present)
        .collect();
    let base = |seen: &Inspection| seen.format == Format::PgBasebackup;
    if !seen.iter().any(|(_, s)| base(s)) {
        if source.format == Some(FileFormat::PgBasebackup) || source.id.is_some() {
            return unproven("there is no base backup that names its cluster".to_owned());
        }
        return Identity { outcome: Outcome::Absent, why: None, what: "nothing".to_owned(), value: None };
    }
    if let Some((other, _)) = seen.iter().find(|(_, s)| !base(s)) {
        return unproven(format!("{} is no base backup, so that not all copies name their cluster", other.name));
    }
    let told: BTreeMap<&String, &Snapshot> =
        seen.iter().filter_map(|(snapshot, s)| Some((s.origin.system.as_ref()?, *snapshot))).collect();
    let newest = seen.iter().max_by_key(|(s, _)| s.recovery_point.as_deref().and_then(|t| t.parse::<Timestamp>().ok()));
    match (told.len(), newest) {
        (1, Some((_, newest))) if newest.origin.system.is_some() => {
            let value = told.into_keys().next().cloned();
            Identity { outcome: Outcome::Present, why: None, what, value }
        }
        (0 | 1, newest) => {
            let name = newest.map_or("none", |(s, _)| s.name.as_str());
            unproven(format!("the newest copy ({name}) does not show which cluster it is of before all of it is read"))
        }
        _ => {
            let each = told.iter().map(|(system, snapshot)| format!("{} is of {system}", snapshot.name));
            unproven(format!(
                "the copies are of {} clusters: {}",
                told.len(),
                each.take(5).collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// Whether all copies show an encryption around them. Nothing tells a strange file from an encrypted one, so that it is
/// neither; an empty one has nothing to encrypt.
pub(super) fn encryption(copies: &[Copy]) -> Encryption {
    let mut modes = std::collections::BTreeSet::new();
    let (mut plain, mut unknown) = (None, None);
    for copy in copies.iter().filter(|copy| copy.found.size() != Some(0)) {
        match &copy.seen {
            Ok(seen) if seen.seal.is_some() => modes.extend(seen.seal.map(|seal| seal.name())),
            Ok(seen) if seen.format != Format::Unknown => plain = plain.or(Some(copy.found.name.as_str())),
            _ => unknown = unknown.or(Some(copy.found.name.as_str())),
        }
    }
    let mode = (!modes.is_empty()).then(|| modes.into_iter().collect::<Vec<_>>().join(", "));
    let encryption = |outcome, why, mode| Encryption { outcome, why, mode };
    match (plain, unknown, mode) {
        (Some(name), _, Some(mode)) => {
            encryption(Outcome::Absent, Some(format!("{name} is not encrypted, others are")), Some(mode))
        }
        (Some(_), _, None) => encryption(Outcome::Absent, None, None),
        (None, Some(name), mode) => encryption(Outcome::NotProven, Some(format!("{name} was not recognised")), mode),
        (None, None, Some(mode)) => encryption(Outcome::Present, None, Some(mode)),
        (None, None, None) => encryption(Outcome::NotProven, Some("there is no copy".to_owned()), None),
    }
}

impl super::Adapter for Adapter {
    fn kind(&self) -> SourceKind {
        SourceKind::Files
    }

    fn plan(&self, _: &BackupSpec) -> Plan {
        let files = std::iter::once(&self.source.pattern).chain(&self.source.wal).chain(&self.source.binlog).cloned();
        Plan { files: files.collect(), ..Plan::default() }
    }

    fn list<'a>(&'a self, spec: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        Box::pin(self.repository(spec, cx))
    }

    fn files_of<'a>(
        &'a self,
        _: &'a BackupSpec,
        snapshot: &'a str,
        cx: &'a Cx,
        each: &'a mut (dyn FnMut(Entry<'_>) + Send),
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let failed = |why: String| Failure::new(FailureClass::Missing, format!("{snapshot}: {why}"));
            let found =
                look::find(cx, path_of(&self.source, snapshot), true).await.map_err(|e| failed(e.to_string()))?;
            let extent = Extent { depth: Depth::Head, bounds: Bounds::default(), within: cx.remaining() };
            let is_folder = found.metadata.is_some_and(|at| at.is_dir);
            let plain = is_folder
                && look(cx, &self.source, &found, extent, &[]).await.map_err(failed)?.format == Format::Folder;
            if !plain {
                return Err(failed("only the files in plain folders can be listed".to_owned()));
            }
            let folder = cx.open_folder(&found.path, cx.remaining()).await.map_err(|e| failed(e.to_string()))?;
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<(String, i64)>(1_024);
            let walk = tokio::task::spawn_blocking(move || {
                folder.each(MOST_BELOW, &mut |file| {
                    let size = i64::try_from(file.size).unwrap_or(i64::MAX);
                    // A receiver that is gone has no use for the rest.
                    let _ = sender.blocking_send((format!("/{}", file.name), size));
                })
            });
            while let Some((path, size)) = receiver.recv().await {
                each(Entry { path: &path, size, is_file: true });
            }
            let walked = walk.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
            walked.map(|_| ()).map_err(|e| Failure::new(FailureClass::Unreadable, format!("{snapshot}: {e}")))
        })
    }
}
