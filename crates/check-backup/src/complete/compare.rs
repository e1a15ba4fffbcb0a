//! Compares the newest copy with what it is a copy of: every file that was there before copying began, and has not
//! changed since, must be in it with the same size.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use jiff::Timestamp;
use probe::Cx;

use crate::derive::series;
use crate::facts::{Basis, Complete, Outcome, Snapshot};
use crate::quiet::{Quiet, Walk};
use crate::source::{Adapter, Entry, Repository};
use crate::target::BackupSpec;

/// Files that are compared.
const MOST_FILES: usize = 2_000_000;
/// Missing files that are named.
const MOST_NAMED: usize = 5;

/// Compares the newest copy of each series of this machine.
pub(super) async fn establish(spec: &BackupSpec, adapter: &dyn Adapter, repository: &mut Repository, cx: &Cx) {
    let this_host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for index in newest_of_each(&repository.snapshots) {
        let Some(snapshot) = repository.snapshots.get(index).cloned() else { continue };
        if snapshot.complete.outcome == Outcome::Absent {
            continue;
        }
        let complete = match &snapshot.host {
            Some(host) if *host != this_host => {
                Complete::unknown(format!("it is a copy of {host}, and this is {this_host}; compare it there"))
            }
            _ => compare(spec, adapter, &snapshot, cx).await,
        };
        // What a log proved is not undone by a comparison that could not be made.
        if (complete.outcome != Outcome::NotProven || snapshot.complete.outcome == Outcome::NotProven)
            && let Some(snapshot) = repository.snapshots.get_mut(index)
        {
            snapshot.complete = complete;
        }
    }
}

impl Complete {
    fn unknown(why: String) -> Self {
        Self { outcome: Outcome::NotProven, basis: Some(Basis::Source), why: Some(why) }
    }
}

fn newest_of_each(snapshots: &[Snapshot]) -> Vec<usize> {
    let mut newest: BTreeMap<String, (Option<Timestamp>, usize)> = BTreeMap::new();
    for (index, snapshot) in snapshots.iter().enumerate().filter(|(_, s)| !s.paths.is_empty()) {
        let at = begun(snapshot);
        let entry = newest.entry(series(snapshot)).or_insert((at, index));
        if at > entry.0 {
            *entry = (at, index);
        }
    }
    newest.into_values().map(|(_, index)| index).collect()
}

/// When copying began, as the tool recorded it.
fn begun(snapshot: &Snapshot) -> Option<Timestamp> {
    snapshot.started.as_deref().or(snapshot.recovery_point.as_deref()).and_then(|t| t.parse().ok())
}

async fn compare(spec: &BackupSpec, adapter: &dyn Adapter, snapshot: &Snapshot, cx: &Cx) -> Complete {
    let Some(begun) = begun(snapshot) else { return Complete::unknown("it carries no time".into()) };
    let hasher = RandomState::new();
    let mut held: HashMap<u64, i64> = HashMap::new();
    let mut each = |entry: Entry<'_>| {
        if entry.is_file && held.len() < MOST_FILES {
            held.insert(hasher.hash_one(entry.path), entry.size);
        }
    };
    if let Err(failure) = adapter.files_of(spec, &snapshot.name, cx, &mut each).await {
        return Complete::unknown(failure.message);
    }
    if held.len() >= MOST_FILES {
        return Complete::unknown(format!("it holds more than {MOST_FILES} files, too many to compare"));
    }
    let walk = Walk::of(&spec.declared, begun.as_second(), MOST_FILES as u64);
    let mut seen = Seen::default();
    for top in &snapshot.paths {
        // restic lists what was named by a relative path without the folders before it.
        let start = top.rfind('/').unwrap_or(0);
        let is_held = |path: &str, size: i64| {
            let holds = |path: &str| held.get(&hasher.hash_one(path)) == Some(&size);
            holds(path) || path.get(start..).is_some_and(holds)
        };
        let before = seen.compared;
        let mut each = |file: Quiet<'_>| seen.add(&file, &is_held);
        if let Err(why) = walk.down(cx, top, &mut each).await {
            return Complete::unknown(why);
        }
        if seen.compared == before {
            let why = format!("no file below {top} is as old as the copy, so that nothing of it can be compared");
            return Complete::unknown(why);
        }
    }
    seen.conclude()
}

/// What the comparison showed.
#[derive(Default)]
struct Seen {
    compared: u64,
    missing: u64,
    /// Of those that are missing, the ones that may have been moved there later.
    moved: u64,
    named: Vec<String>,
}

impl Seen {
    fn add(&mut self, file: &Quiet<'_>, is_held: &dyn Fn(&str, i64) -> bool) {
        self.compared += 1;
        if is_held(file.path, i64::try_from(file.found.size).unwrap_or(i64::MAX)) {
            return;
        }
        // What is missing for sure is named first.
        if file.settled && self.missing == self.moved {
            self.named.clear();
        }
        self.missing += 1;
        self.moved += u64::from(!file.settled);
        if self.named.len() < MOST_NAMED && (file.settled || self.missing == self.moved) {
            self.named.push(file.path.to_owned());
        }
    }

    fn conclude(&self) -> Complete {
        let Self { compared, missing, moved, named } = self;
        let (sure, names) = (missing - moved, named.join(", "));
        if sure > 0 {
            let why = format!("{sure} of {compared} files are not in it: {names}");
            return Complete { outcome: Outcome::Absent, basis: Some(Basis::Source), why: Some(why) };
        }
        if *moved > 0 {
            return Complete::unknown(format!(
                "{moved} of {compared} files are not in it, and lie in folders that changed since: they may have been moved \
                 there later: {names}"
            ));
        }
        if *compared == 0 {
            let why = "no file on this machine is as old as the copy, so that nothing can be compared";
            return Complete::unknown(why.to_owned());
        }
        Complete { outcome: Outcome::Present, basis: Some(Basis::Source), why: None }
    }
}
