//! How large copies are, where neither the repository nor the job's log tells: by listing the files in them.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use jiff::Timestamp;
use model::Asked;
use probe::Cx;

use crate::derive::Wanted;
use crate::facts::{Basis, Complete, Outcome, Snapshot};
use crate::source::{Adapter, Entry, Repository};
use crate::target::BackupSpec;

/// Newest copies of each series that are measured.
const NEWEST: usize = 8;
/// Further ones of each series, spread over the time before.
const SPREAD: usize = 8;
/// Copies that are measured, over all series.
const MOST: usize = 64;
/// Listings at once.
const AT_ONCE: usize = 2;

/// What a listing of a copy showed.
struct Seen {
    files: i64,
    bytes: i64,
    /// For each of its paths, whether anything lies there.
    held: Vec<bool>,
}

/// Fills in `files` and `bytes` of the copies that matter most, as far as the time allows, and takes out the paths that
/// are only claimed.
pub(crate) async fn measure(spec: &BackupSpec, adapter: &dyn Adapter, repository: &mut Repository, cx: &Cx) {
    let wanted = crate::derive::wanted(&spec.expected);
    let mut chosen = choose(&repository.snapshots, &wanted, adapter.paths_are_claims());
    let mut seen = BTreeSet::new();
    chosen.retain(|i| content(repository, *i).is_none_or(|content| seen.insert(content.to_owned())));
    let chosen = chosen.into_iter().filter_map(|i| Some((i, repository.snapshots.get(i)?)));
    let chosen: Vec<(usize, String, Vec<String>)> = chosen.map(|(i, s)| (i, s.name.clone(), s.paths.clone())).collect();
    let answers: Vec<(usize, Option<Seen>)> = futures::stream::iter(chosen)
        .map(|(index, name, paths)| async move {
            if cx.remaining().is_zero() {
                return (index, None);
            }
            let mut seen = Seen { files: 0, bytes: 0, held: vec![false; paths.len()] };
            let paths: Vec<[String; 2]> = paths.iter().map(|path| rooted(path)).collect();
            let mut each = |entry: Entry<'_>| {
                if entry.is_file {
                    seen.files += 1;
                    seen.bytes = seen.bytes.saturating_add(entry.size);
                }
                // A folder without a file, or a link in its place, holds nothing.
                for (path, held) in paths.iter().zip(&mut seen.held).filter(|(_, held)| entry.is_file && !**held) {
                    *held = path.iter().any(|path| crate::derive::holds(path, entry.path));
                }
            };
            let listed = adapter.files_of(spec, &name, cx, &mut each).await;
            (index, listed.is_ok().then_some(seen))
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut sizes: BTreeMap<String, (i64, i64, Vec<String>)> = BTreeMap::new();
    let mut known_now = BTreeSet::new();
    for (index, seen) in answers {
        let content = content(repository, index).map(str::to_owned);
        let Some(snapshot) = repository.snapshots.get_mut(index) else { continue };
        let Some(seen) = seen else { continue };
        known_now.insert(index);
        let empty = snapshot.paths.iter().zip(&seen.held).filter(|(_, held)| !**held).map(|(path, _)| path.clone());
        let known = (seen.files, seen.bytes, empty.collect::<Vec<String>>());
        sizes.extend(content.map(|content| (content, known)));
        snapshot.files = Some(seen.files);
        snapshot.bytes = Some(seen.bytes);
        if adapter.paths_are_claims() {
            let held = std::mem::take(&mut snapshot.paths).into_iter().zip(&seen.held);
            let (there, missing): (Vec<_>, Vec<_>) = held.partition(|(_, held)| **held);
            snapshot.paths = there.into_iter().map(|(path, _)| path).collect();
            if let Some((path, _)) = missing.first() {
                snapshot.complete = Complete {
                    outcome: Outcome::Absent,
                    basis: Some(Basis::Source),
                    why: Some(format!("the job was told to copy {path}, and no file lies there in the copy")),
                };
            }
        }
    }
    let Repository { contents, snapshots, .. } = repository;
    for (index, snapshot) in snapshots.iter_mut().enumerate() {
        let Some((files, bytes, empty)) = contents.get(&snapshot.name).and_then(|content| sizes.get(content)) else {
            // Nothing shows that what was to be copied is there; nor that it is not.
            if adapter.paths_are_claims() && !known_now.contains(&index) {
                snapshot.listed = Asked::Only(Vec::new());
            }
            continue;
        };
        snapshot.files = snapshot.files.or(Some(*files));
        snapshot.bytes = snapshot.bytes.or(Some(*bytes));
        if adapter.paths_are_claims() {
            snapshot.paths.retain(|path| !empty.contains(path));
        }
    }
}

/// What is in a copy, where the repository tells.
fn content(repository: &Repository, index: usize) -> Option<&str> {
    repository.contents.get(&repository.snapshots.get(index)?.name).map(String::as_str)
}

/// A path as it may stand in a copy: Borg leaves the slash in front out; restic leaves out the folders before what was
/// named by a relative path.
fn rooted(path: &str) -> [String; 2] {
    let whole = format!("/{}", path.trim_start_matches("./").trim_matches('/'));
    let last = whole.rfind('/').and_then(|at| whole.get(at..)).unwrap_or(&whole).to_owned();
    [whole, last]
}

/// Positions of the copies to measure: first those of what the inventory names, of these the newest of every series first.
fn choose(snapshots: &[Snapshot], wanted: &[Wanted], claims: bool) -> Vec<usize> {
    let mut series: BTreeMap<String, Vec<(Option<Timestamp>, usize)>> = BTreeMap::new();
    for (index, snapshot) in snapshots.iter().enumerate().filter(|(_, s)| s.outcome == Outcome::Present) {
        let at = snapshot.recovery_point.as_deref().and_then(|t| t.parse().ok());
        series.entry(crate::derive::series(snapshot)).or_default().push((at, index));
    }
    let named = |index: usize| snapshots.get(index).is_some_and(|s| wanted.iter().any(|w| w.is_in(s)));
    let mut ranked: Vec<(bool, usize, usize)> = Vec::new();
    for of in series.values_mut() {
        of.sort_unstable_by(|a, b| b.cmp(a));
        let step = of.len().saturating_sub(NEWEST).div_ceil(SPREAD).max(1);
        let chosen = of.iter().take(NEWEST).chain(of.iter().skip(NEWEST).step_by(step));
        let chosen = chosen.map(|(_, index)| *index).enumerate();
        ranked.extend(chosen.map(|(rank, index)| (!named(index), rank, index)));
    }
    ranked.sort_unstable();
    let unknown = |(_, rank, i): &(bool, usize, usize)| {
        claims && *rank < 2 || snapshots.get(*i).is_some_and(|s| s.bytes.is_none() || s.files.is_none())
    };
    ranked.into_iter().filter(unknown).map(|(_, _, i)| i).take(MOST).collect()
}
