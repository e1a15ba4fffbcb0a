//! The drill for copies of files: restore into a scratch folder, compare checksums, look for the canary.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use futures::StreamExt as _;
use jiff::Timestamp;
use model::{Asked, Failure, FailureClass};
use probe::{Cx, Metadata};

use super::report::millis;
use super::{canary, choose, early, list};
use crate::derive::{Wanted, wanted};
use crate::facts::{Canary, Covered, Outcome, RestoreFacts, Restored, Role, Sample, Samples, Snapshot, SourceKind};
use crate::quiet::Walk;
use crate::source::{Adapter, Repository};
use crate::target::{BackupSpec, Drill};

/// Files compared where the inventory names no number.
const SAMPLES: u32 = 20;
/// Files that are compared at once.
const AT_ONCE: usize = 2;
/// Files of a copy that are counted in the scratch folder.
const MOST_FILES: u64 = 10_000_000;

/// Does it.
///
/// # Errors
/// Where nothing could be tried: the repository can't be listed, or there is no room.
pub(super) async fn drill(
    spec: &BackupSpec,
    drill: &Drill,
    adapter: &dyn Adapter,
    cx: &Cx,
) -> Result<RestoreFacts, Failure> {
    let (told, scratch) = (OnceLock::new(), cx.scratch("restore").await?);
    // A repository that is pinned is looked at before anything is taken from it.
    let (mut repository, early) = match drill.whole && spec.expected.id.is_none() {
        true => early::list(spec, adapter, &scratch, &told, cx).await?,
        false => (adapter.copies(spec, cx).await?, None),
    };
    pinned(spec, &repository)?;
    let Some(newest) = newest(spec, &repository) else { return Ok(nothing(spec, adapter.kind(), repository)) };
    let Some(snapshot) = repository.snapshots.get(newest).cloned() else {
        return Ok(nothing(spec, adapter.kind(), repository));
    };
    let begun = snapshot.recovery_point.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
    let count = usize::try_from(drill.samples.unwrap_or(SAMPLES)).unwrap_or(usize::MAX);
    if drill.whole {
        room(&snapshot, &scratch, cx)?;
    }
    let mut missing = list::Missing::new();
    let choose = async {
        match begun {
            Some(begun) => sample(spec, &snapshot, begun, count, &mut missing, cx).await,
            None => choose::Chosen { why: Some("the copy carries no time".into()), ..choose::Chosen::default() },
        }
    };
    let restore_early = async {
        match early {
            Some(early) => early.of(&snapshot.name).await,
            None => None,
        }
    };
    let (chosen, restored_early) = futures::join!(choose, restore_early);
    let mut named = chosen.paths.clone();
    named.extend(drill.canary.clone());
    if named.is_empty() && !drill.whole {
        let why = chosen.why.unwrap_or_else(|| "no live file is as old as the copy".to_owned());
        let message = format!("{}: nothing can be compared: {why}; restore the whole copy (whole: true)", spec.set);
        return Err(Failure::new(FailureClass::Missing, message));
    }
    let paths = (!drill.whole).then_some(named.as_slice());
    let mut live = Vec::new();
    for path in &chosen.paths {
        let before = cx.metadata(path).await.ok();
        // It may have changed since it was chosen.
        let before = before.filter(|found| begun.is_some_and(|begun| walk(spec, begun).is_older(found)));
        live.push(Live { path: path.clone(), before });
    }
    let (outcome, millis) = match restored_early {
        Some(timed) => timed,
        None => {
            // What another copy left there counts for nothing.
            empty(&scratch).await?;
            let began = Instant::now();
            let outcome = adapter.restore(spec, &snapshot, paths, &scratch, cx).await;
            // Files can be used as soon as the tool is done with them.
            (outcome, millis(began))
        }
    };
    let mut came = |path: &str, size: u64| missing.came(path, size, &snapshot.paths);
    let (files, bytes) = contents(&scratch, cx, &mut came).await;
    let restored = restored(outcome, files, bytes, millis)?;

    let place = |path: &str| restored_at(&scratch, &snapshot, path);
    let each = live.into_iter().map(|live| {
        let restored = place(&live.path);
        compare(cx, live, restored)
    });
    let samples: Vec<Sample> = futures::stream::iter(each).buffered(AT_ONCE).collect().await;
    let list = match (drill.whole, begun) {
        (true, Some(begun)) => missing.conclude(walk(spec, begun), &chosen.tops, chosen.why.clone(), cx).await,
        (true, None) => list::not_compared("the copy carries no time"),
        (false, _) => list::not_compared("not the whole copy was restored (drill: { whole: true })"),
    };
    let canary = match (&drill.canary, elsewhere(&snapshot)) {
        (None, _) => no_canary(),
        // A canary that is planted here never comes into it.
        (Some(path), Some(why)) => Canary { why: Some(why), place: Some(path.clone()), ..no_canary() },
        (Some(path), None) => {
            let mut canary = canary::look(cx, path, place(path).as_deref(), begun).await;
            match canary::plant(cx, path).await {
                Ok(digest) => canary.next = Some(digest),
                Err(why) => repository.notes.push(format!("the canary was not planted: {why}")),
            }
            canary
        }
    };
    let any = samples.iter().any(|s| s.outcome != Outcome::NotProven);
    let why = chosen.why.or_else(|| (chosen.of == 0).then(|| "no live file is as old as the copy".to_owned()));
    Ok(RestoreFacts {
        source: adapter.kind(),
        tool: repository.tool,
        location: spec.declared.location(),
        set: spec.set.clone(),
        identity: repository.identity,
        expected: spec.restore.clone(),
        covers: compared(spec, &snapshot, &samples),
        snapshot: Some(snapshot.name),
        recovery_point: snapshot.recovery_point,
        whole: drill.whole,
        restored,
        canary,
        list,
        samples: Samples {
            asked: if why.is_none() { Asked::All } else { Asked::Only(Vec::new()) },
            outcome: if any { Outcome::Present } else { Outcome::NotProven },
            why: if any { None } else { why.or_else(|| Some("nothing was compared".to_owned())) },
            of: i64::try_from(chosen.of).unwrap_or(i64::MAX),
            samples,
        },
        queries: Vec::new(),
    })
}

/// Chooses files below each path that must be in the copy, so that none of them is passed over for a larger one.
async fn sample(
    spec: &BackupSpec,
    snapshot: &Snapshot,
    begun: Timestamp,
    count: usize,
    missing: &mut list::Missing,
    cx: &Cx,
) -> choose::Chosen {
    if let Some(why) = elsewhere(snapshot) {
        // Files of the same names here are other files.
        return choose::Chosen { why: Some(why), ..choose::Chosen::default() };
    }
    let wanted = wanted(&spec.expected).into_iter().filter(|w| w.is_in(snapshot)).filter_map(|w| w.path);
    let mut tops: Vec<String> = wanted.collect();
    if tops.is_empty() {
        tops.clone_from(&snapshot.paths);
    }
    tops.sort();
    tops.dedup();
    let each = count.div_ceil(tops.len().max(1)).max(1);
    let mut chosen = choose::Chosen::default();
    for top in &tops {
        let found = choose::files(cx, top, walk(spec, begun), each, &mut |file| missing.want(file)).await;
        chosen.paths.extend(found.paths);
        chosen.of += found.of;
        chosen.why = chosen.why.or(found.why);
    }
    chosen.paths.sort();
    chosen.paths.dedup();
    chosen.tops = tops;
    chosen
}

/// Why it can't be compared with what is here: it is a copy of another machine.
fn elsewhere(snapshot: &Snapshot) -> Option<String> {
    let this_host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = snapshot.host.as_ref().filter(|host| **host != this_host)?;
    Some(format!("it is a copy of {host}, and this is {this_host}; drill it there"))
}

/// Which live files are compared.
fn walk(spec: &BackupSpec, begun: Timestamp) -> Walk<'_> {
    Walk::of(&spec.declared, begun.as_second(), list::MOST_FILES)
}

/// Takes everything out of a scratch folder.
async fn empty(scratch: &Path) -> Result<(), Failure> {
    let folder = scratch.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    });
    let done = work.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    done.map_err(|e| Failure::new(FailureClass::Interrupted, format!("{}: can't be emptied: {e}", scratch.display())))
}

/// Whether it is the repository that the inventory pins: a drill on another one shows nothing of this.
pub(super) fn pinned(spec: &BackupSpec, repository: &Repository) -> Result<(), Failure> {
    let Some(wanted) = spec.expected.id.as_ref().filter(|id| repository.identity.value.as_ref() != Some(id)) else {
        return Ok(());
    };
    let found = repository.identity.value.as_deref().unwrap_or("not known");
    let message =
        format!("{}: its identity is {found}, and the inventory pins {wanted}; nothing was restored", spec.set);
    Err(Failure::new(FailureClass::Unreadable, message))
}

/// Of the things that must be in a copy those that a copy holds.
pub(super) fn covers(spec: &BackupSpec, snapshot: &Snapshot) -> Vec<Covered> {
    let covered = |wanted: Wanted| {
        let held = wanted.role == Role::Anything || wanted.is_in(snapshot);
        let why = format!("{} does not hold it: make it a target of its own, with a drill", snapshot.name);
        Covered {
            name: wanted.name,
            outcome: if held { Outcome::Present } else { Outcome::NotProven },
            why: (!held).then_some(why),
        }
    };
    wanted(&spec.expected).into_iter().map(covered).collect()
}

/// The same for files: what is there came back only where a file below it was compared, and was the same.
fn compared(spec: &BackupSpec, snapshot: &Snapshot, samples: &[Sample]) -> Vec<Covered> {
    let mut covers = covers(spec, snapshot);
    for (covered, wanted) in covers.iter_mut().zip(wanted(&spec.expected)) {
        let Some(path) = wanted.path.filter(|_| covered.outcome == Outcome::Present) else { continue };
        let same = |s: &Sample| s.outcome == Outcome::Present && crate::derive::holds(&path, &s.name);
        if !samples.iter().any(same) {
            covered.outcome = Outcome::NotProven;
            covered.why = Some("no file below it was compared and found the same".to_owned());
        }
    }
    covers
}

/// The newest copy that holds any of what must be in one.
pub(super) fn newest(spec: &BackupSpec, repository: &Repository) -> Option<usize> {
    let wanted = wanted(&spec.expected);
    let fits = |s: &Snapshot| {
        s.outcome == Outcome::Present && wanted.iter().any(|w| w.role == Role::Anything || w.is_in(s) || w.may_be_in(s))
    };
    let dated = repository.snapshots.iter().enumerate().filter(|(_, s)| fits(s));
    let at = |s: &Snapshot| s.recovery_point.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
    // Of several without a time the first, which is the newest by the file system's.
    dated.rev().max_by_key(|(_, s)| at(s)).map(|(index, _)| index)
}

fn no_canary() -> Canary {
    let why = Some("the inventory names no file for one (drill: { canary: … })".to_owned());
    Canary { outcome: Outcome::NotProven, why, place: None, planted: None, next: None }
}

/// A repository that holds no copy: nothing can be restored from it, which is what a drill is there to find out.
pub(super) fn nothing(spec: &BackupSpec, source: SourceKind, repository: Repository) -> RestoreFacts {
    RestoreFacts {
        source,
        tool: repository.tool,
        location: spec.declared.location(),
        set: spec.set.clone(),
        identity: repository.identity,
        expected: spec.restore.clone(),
        snapshot: None,
        recovery_point: None,
        whole: false,
        covers: Vec::new(),
        restored: Restored {
            outcome: Outcome::Absent,
            why: Some("the repository holds no copy of what must be in it".to_owned()),
            files: 0,
            bytes: 0,
            tool_millis: 0,
            millis: 0,
        },
        canary: no_canary(),
        list: list::not_compared("nothing was restored"),
        samples: Samples {
            asked: Asked::All,
            outcome: Outcome::NotProven,
            why: Some("nothing was restored".to_owned()),
            of: 0,
            samples: Vec::new(),
        },
        queries: Vec::new(),
    }
}

/// Whether the scratch place has room for the copy. Where its size is not known, the runner ends a drill that fills the
/// disk or its quota.
fn room(snapshot: &Snapshot, scratch: &Path, cx: &Cx) -> Result<(), Failure> {
    let Some(bytes) = snapshot.bytes.and_then(|b| u64::try_from(b).ok()) else { return Ok(()) };
    let free = cx.free_bytes(scratch)?.min(cx.scratch_bytes());
    // A tenth more: file systems need room for names and tables.
    if bytes.saturating_add(bytes / 10) > free {
        let message = format!(
            "{} restores to {bytes} bytes, and {free} may be used in {}; give a larger --scratch, or drill samples alone",
            snapshot.name,
            scratch.display()
        );
        return Err(Failure::new(FailureClass::Interrupted, message));
    }
    Ok(())
}

/// What the tool's restore came to. A full disk says nothing of the copy: the drill is then inconclusive.
pub(super) fn restored(outcome: Result<(), Failure>, files: i64, bytes: i64, millis: i64) -> Result<Restored, Failure> {
    let (outcome, why) = match outcome {
        Ok(()) if files > 0 => (Outcome::Present, None),
        Ok(()) => (Outcome::Absent, Some("the tool gave no file back".to_owned())),
        Err(failure) => match failure.class {
            FailureClass::Unreadable if !failure.message.to_lowercase().contains("no space left") => {
                (Outcome::Absent, Some(failure.message))
            }
            _ => return Err(failure),
        },
    };
    Ok(Restored { outcome, why, files, bytes, tool_millis: millis, millis })
}

/// Where a file of this machine lies in the scratch folder. restic puts what was named by a relative path without the
/// folders before it.
fn restored_at(scratch: &Path, snapshot: &Snapshot, path: &str) -> Option<PathBuf> {
    let inside = scratch.canonicalize().ok()?;
    let there = |path: &str| {
        let place = scratch.join(path.trim_start_matches('/'));
        // A link among the folders that came back could lead to the very file that it is compared with.
        let is_inside = place.canonicalize().is_ok_and(|real| real.starts_with(&inside));
        (is_inside && std::fs::symlink_metadata(&place).is_ok_and(|m| m.is_file())).then_some(place)
    };
    there(path).or_else(|| {
        let top = snapshot.paths.iter().find(|top| crate::derive::holds(top, path))?;
        there(path.get(top.rfind('/')?..)?)
    })
}

/// A live file as it was before the restore began.
struct Live {
    path: String,
    /// Nothing where it is not as it was when the copy was begun.
    before: Option<Metadata>,
}

/// Compares a live file with what came back.
async fn compare(cx: &Cx, live: Live, restored: Option<PathBuf>) -> Sample {
    let Live { path, before } = live;
    let sample = |outcome, why: Option<String>| Sample { name: path.clone(), outcome, why, by: "bytes".to_owned() };
    let Some(restored) = restored else {
        return sample(Outcome::Absent, Some("it did not come back".to_owned()));
    };
    let same = cx.same_content(&path, &restored).await;
    let after = cx.metadata(&path).await.ok();
    match same {
        Ok(true) => sample(Outcome::Present, None),
        Ok(false) if before.is_some() && before == after => sample(
            Outcome::Absent,
            Some("what came back is not what is in use, which has not changed since".to_owned()),
        ),
        Ok(false) => sample(Outcome::NotProven, Some("it changed while it was compared".to_owned())),
        Err(e) => sample(Outcome::NotProven, Some(e.to_string())),
    }
}

/// Files in the scratch folder, and their bytes. Each is shown with its path below that folder.
pub(super) async fn contents(scratch: &Path, cx: &Cx, each: &mut (dyn FnMut(&str, u64) + Send)) -> (i64, i64) {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        let Ok(listing) = cx.list_dir(scratch.join(folder.trim_start_matches('/')), 1_000_000).await else { continue };
        for name in listing.names {
            let path = format!("{folder}/{name}");
            let Ok(found) = cx.metadata(scratch.join(path.trim_start_matches('/'))).await else { continue };
            if found.is_dir {
                waiting.push(path);
            } else if found.is_file && files < MOST_FILES {
                files += 1;
                bytes = bytes.saturating_add(found.size);
                each(&path, found.size);
            }
        }
    }
    (i64::try_from(files).unwrap_or(i64::MAX), i64::try_from(bytes).unwrap_or(i64::MAX))
}
