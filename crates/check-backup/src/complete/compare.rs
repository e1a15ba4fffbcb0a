//! Compares the newest copy with what it is a copy of: every file that was there before copying began, and has not
//! changed since, must be in it with the same size.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use jiff::Timestamp;
use model::FailureClass;
use probe::Cx;

use crate::derive::series;
use crate::facts::{Basis, Complete, Outcome, Snapshot};
use crate::pattern::fits;
use crate::source::{Adapter, Entry, Repository};
use crate::target::BackupSpec;

/// Files that are compared.
const MOST_FILES: usize = 2_000_000;
/// Names in one folder.
const MOST_NAMES: usize = 1_000_000;
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
    let mut walk =
        Walk { cx, begun: begun.as_second(), except: &spec.declared.except, compared: 0, missing: 0, named: vec![] };
    for top in &snapshot.paths {
        // restic lists what was named by a relative path without the folders before it.
        let start = top.rfind('/').unwrap_or(0);
        let is_held = |path: &str, size: i64| {
            let holds = |path: &str| held.get(&hasher.hash_one(path)) == Some(&size);
            holds(path) || path.get(start..).is_some_and(holds)
        };
        let before = walk.compared;
        if let Err(why) = walk.down(top, &is_held).await {
            return Complete::unknown(why);
        }
        if walk.compared == before {
            let why = format!("no file below {top} is as old as the copy, so that nothing of it can be compared");
            return Complete::unknown(why);
        }
    }
    if walk.missing > 0 {
        let why = format!("{} of {} files are not in it: {}", walk.missing, walk.compared, walk.named.join(", "));
        return Complete { outcome: Outcome::Absent, basis: Some(Basis::Source), why: Some(why) };
    }
    if walk.compared == 0 {
        return Complete::unknown(
            "no file on this machine is as old as the copy, so that nothing can be compared".into(),
        );
    }
    Complete { outcome: Outcome::Present, basis: Some(Basis::Source), why: None }
}

struct Walk<'a> {
    cx: &'a Cx,
    /// When copying began, seconds since the epoch.
    begun: i64,
    /// Patterns of names that are left out on purpose.
    except: &'a [String],
    compared: u64,
    missing: u64,
    named: Vec<String>,
}

impl Walk<'_> {
    async fn down(&mut self, top: &str, is_held: &(dyn Fn(&str, i64) -> bool + Sync)) -> Result<(), String> {
        let mut waiting = vec![top.to_owned()];
        while let Some(path) = waiting.pop() {
            if self.cx.remaining().is_zero() {
                return Err("there was not time enough to compare it; raise --deadline".to_owned());
            }
            let found = match self.cx.metadata(&path).await {
                Ok(found) => found,
                // What vanished meanwhile is no business of the copy; what was never there is.
                Err(e) if e.class == FailureClass::Missing && path != top => continue,
                Err(e) => return Err(e.to_string()),
            };
            // The time of change is the kernel's own: it shows a file that was moved or copied there later, too.
            if found.is_file && found.changed < self.begun && found.modified < self.begun {
                self.compared += 1;
                if !is_held(&path, i64::try_from(found.size).unwrap_or(i64::MAX)) {
                    self.missing += 1;
                    if self.named.len() < MOST_NAMED {
                        self.named.push(path);
                    }
                }
            } else if found.is_dir {
                let listing = self.cx.list_dir(&path, MOST_NAMES).await.map_err(|e| e.to_string())?;
                if listing.not_utf8 > 0 {
                    return Err(format!("{path}: {} names in it are no UTF-8 and can't be compared", listing.not_utf8));
                }
                if listing.cut {
                    return Err(format!("{path}: more than {MOST_NAMES} names in one folder"));
                }
                let kept = listing.names.into_iter().filter(|name| !self.except.iter().any(|p| fits(p, name)));
                waiting.extend(kept.map(|name| format!("{}/{name}", path.trim_end_matches('/'))));
            }
        }
        Ok(())
    }
}
