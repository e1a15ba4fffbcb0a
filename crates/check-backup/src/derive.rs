//! From a repository to facts: what is required and where it is, histories, sizes. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::Asked;

use crate::facts::{
    BackupFacts, Catalogue, Expected, History, Outcome, Recovery, Required, Role, Sizes, Snapshot, SourceKind,
};
use crate::source::Repository;
use crate::target::BackupSpec;

/// The window before the newest copy that gaps and sizes are looked at in, in seconds.
pub(crate) const WINDOW: i64 = 90 * 86_400;
/// Copies before the newest whose median is taken.
const MEDIAN_OF: usize = 7;

/// Makes facts of what an adapter found.
pub(crate) fn facts(kind: SourceKind, spec: &BackupSpec, repository: Repository) -> BackupFacts {
    let Repository { tool, identity, encryption, locks, asked, mut snapshots, contents: _, continuity, notes } =
        repository;
    mark_missing_parents(&mut snapshots);
    snapshots.sort_by_cached_key(|s| (point(s), s.name.clone()));
    let groups = groups(&snapshots);
    let wanted = wanted(&spec.expected);
    // What these record is what the job was told to copy; it is true where the copy was listed.
    let claims = matches!(kind, SourceKind::Restic | SourceKind::Borg);
    BackupFacts {
        source: kind,
        tool,
        location: spec.declared.location(),
        set: spec.set.clone(),
        place: spec.declared.place.clone().unwrap_or_default(),
        identity,
        expected: spec.expected.clone(),
        encryption,
        locks,
        required: wanted.iter().map(|w| required(w, &snapshots, &groups, claims)).collect(),
        recovery: wanted.iter().map(|w| recovery(w, &snapshots, claims)).collect(),
        histories: groups.iter().map(|(name, of)| history(name, of, &asked)).collect(),
        sizes: groups.iter().map(|(name, of)| sizes(name, of)).collect(),
        catalogue: Catalogue { asked, snapshots },
        continuity,
        notes,
    }
}

/// A thing that must be in a copy.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) role: Role,
    host: Option<String>,
    pub(crate) path: Option<String>,
    database: Option<String>,
}

/// What the inventory asks for: each path on each host, each host where no path is named, each database.
pub(crate) fn wanted(expected: &Expected) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let hosts: Vec<Option<&String>> =
        if expected.hosts.is_empty() { vec![None] } else { expected.hosts.iter().map(Some).collect() };
    let paths = expected.paths.iter().map(|p| (p, Role::Data));
    let paths: Vec<_> = paths.chain(expected.configuration.iter().map(|p| (p, Role::Configuration))).collect();
    for host in hosts {
        let on = host.map(|h| format!("{h}:")).unwrap_or_default();
        for (path, role) in &paths {
            wanted.push(Wanted {
                name: format!("{on}{path}"),
                role: *role,
                host: host.cloned(),
                path: Some((*path).clone()),
                database: None,
            });
        }
        if let (Some(host), true) = (host, paths.is_empty()) {
            wanted.push(Wanted {
                name: host.clone(),
                role: Role::Data,
                host: Some(host.clone()),
                path: None,
                database: None,
            });
        }
    }
    for database in &expected.databases {
        wanted.push(Wanted {
            name: database.clone(),
            role: Role::Database,
            host: None,
            path: None,
            database: Some(database.clone()),
        });
    }
    if wanted.is_empty() {
        let name = "anything".to_owned();
        wanted.push(Wanted { name, role: Role::Anything, host: None, path: None, database: None });
    }
    wanted
}

impl Wanted {
    /// Whether it is in a copy.
    pub(crate) fn is_in(&self, snapshot: &Snapshot) -> bool {
        let host = self.host.as_ref().is_none_or(|h| snapshot.host.as_ref() == Some(h));
        let path = self.path.as_ref().is_none_or(|p| snapshot.paths.iter().any(|held| holds(held, p)));
        let database = self.database.as_ref().is_none_or(|d| snapshot.databases.contains(d));
        snapshot.outcome == Outcome::Present && host && path && database
    }

    /// Whether it may be in a copy that was not seen whole.
    pub(crate) fn may_be_in(&self, snapshot: &Snapshot) -> bool {
        snapshot.outcome == Outcome::Present && snapshot.listed != Asked::All && !self.is_in(snapshot)
    }
}

/// Whether a path that was copied holds another one.
pub(crate) fn holds(held: &str, wanted: &str) -> bool {
    let held = if held == "/" { "" } else { held.trim_end_matches('/') };
    wanted == held || wanted.strip_prefix(held).is_some_and(|rest| rest.starts_with('/'))
}

/// The instant whose data a copy gives back.
fn point(snapshot: &Snapshot) -> Option<Timestamp> {
    snapshot.recovery_point.as_deref().and_then(|t| t.parse().ok())
}

fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.as_second())
}

/// Copies that are not there and that others need.
fn mark_missing_parents(snapshots: &mut [Snapshot]) {
    let names: std::collections::BTreeSet<String> = snapshots.iter().map(|s| s.name.clone()).collect();
    for snapshot in snapshots {
        let missing = snapshot.parents.iter().filter(|p| !names.contains(*p));
        snapshot.missing_parents = missing.cloned().collect();
    }
}

/// What a copy is one of: its machine and paths, or its databases.
pub(crate) fn series(snapshot: &Snapshot) -> String {
    if let Some(series) = &snapshot.series {
        return series.clone();
    }
    let mut parts = snapshot.paths.clone();
    parts.sort();
    parts.extend(snapshot.databases.iter().cloned());
    let what = parts.join(",");
    match (&snapshot.host, what.is_empty()) {
        (Some(host), true) => host.clone(),
        (Some(host), false) => format!("{host}:{what}"),
        (None, true) => "all".to_owned(),
        (None, false) => what,
    }
}

/// Copies by what they are of, oldest first.
fn groups(snapshots: &[Snapshot]) -> BTreeMap<String, Vec<&Snapshot>> {
    let mut groups: BTreeMap<String, Vec<&Snapshot>> = BTreeMap::new();
    for snapshot in snapshots.iter().filter(|s| s.outcome == Outcome::Present) {
        groups.entry(series(snapshot)).or_default().push(snapshot);
    }
    groups
}

/// Why nothing is required.
const NOTHING_NAMED: &str =
    "the inventory names nothing that must be in it; add expect: { hosts: …, paths: … }, or databases";

fn required(
    wanted: &Wanted,
    snapshots: &[Snapshot],
    groups: &BTreeMap<String, Vec<&Snapshot>>,
    claims: bool,
) -> Required {
    let newest = snapshots.iter().rev().find(|s| wanted.is_in(s));
    let mut required = Required {
        name: wanted.name.clone(),
        role: wanted.role,
        outcome: if newest.is_some() { Outcome::Present } else { Outcome::Absent },
        why: None,
        snapshot: newest.map(|s| s.name.clone()),
        recovery_point: newest.and_then(|s| s.recovery_point.clone()),
        in_newest: None,
    };
    match (newest, wanted.role) {
        (None, _) => match snapshots.iter().rev().find(|s| !claims && wanted.may_be_in(s)) {
            Some(unseen) => {
                required.outcome = Outcome::NotProven;
                required.why = Some(not_all(unseen));
            }
            None => required.why = Some(format!("no copy of {} holds it", count(snapshots.len()))),
        },
        (Some(_), Role::Anything) => {
            required.outcome = Outcome::NotProven;
            required.why = Some(NOTHING_NAMED.to_owned());
        }
        (Some(found), _) => {
            // A path that was dropped from its job shows in a newer copy of the same machine that holds something of what
            // that copy held, or nothing at all. Other jobs of the machine have histories of their own, as databases have.
            let goes_on = |s: &Snapshot| {
                s.paths.is_empty() || s.paths.iter().any(|p| found.paths.iter().any(|f| holds(f, p) || holds(p, f)))
            };
            let of_job =
                || snapshots.iter().rev().find(|s| s.host == found.host && s.databases.is_empty() && goes_on(s));
            let of_series = || groups.get(&series(found)).and_then(|g| g.last()).copied();
            let last = if wanted.path.is_some() && found.series.is_none() { of_job() } else { of_series() };
            let unseen = |last: &Snapshot| last.listed != Asked::All && (claims || !wanted.is_in(last));
            required.in_newest = last.filter(|last| !unseen(last)).map(|last| wanted.is_in(last));
        }
    }
    required
}

fn not_all(snapshot: &Snapshot) -> String {
    format!("not all that is in {} was seen", snapshot.name)
}

fn count(copies: usize) -> String {
    if copies == 1 { "the one that there is".to_owned() } else { format!("the {copies} that there are") }
}

fn recovery(wanted: &Wanted, snapshots: &[Snapshot], claims: bool) -> Recovery {
    let mut recovery = Recovery {
        name: wanted.name.clone(),
        role: wanted.role,
        outcome: Outcome::Absent,
        why: None,
        snapshot: None,
        recovery_point: None,
        basis: None,
    };
    let mut unknown: Option<&Snapshot> = None;
    let mut lacking: Option<&Snapshot> = None;
    let mut unlisted: Option<&Snapshot> = None;
    for snapshot in snapshots.iter().rev().filter(|s| wanted.is_in(s)) {
        match snapshot.complete.outcome {
            // A log says that the job ended well, not that anything of it is still there.
            Outcome::Present if claims && snapshot.listed != Asked::All => unlisted = unlisted.or(Some(snapshot)),
            Outcome::Present if snapshot.missing_parents.is_empty() => {
                // A newer copy of which nothing is known may be complete as well; the older proof stands.
                recovery.outcome = Outcome::Present;
                recovery.snapshot = Some(snapshot.name.clone());
                recovery.recovery_point.clone_from(&snapshot.recovery_point);
                recovery.basis = snapshot.complete.basis;
                return recovery;
            }
            Outcome::NotProven => unknown = unknown.or(Some(snapshot)),
            Outcome::Present | Outcome::Absent => lacking = lacking.or(Some(snapshot)),
        }
    }
    if let Some(snapshot) = unlisted {
        recovery.outcome = Outcome::NotProven;
        recovery.snapshot = Some(snapshot.name.clone());
        recovery.recovery_point.clone_from(&snapshot.recovery_point);
        recovery.why = Some(format!("the files in {} were not, or could not be, listed", snapshot.name));
    } else if let Some(snapshot) = unknown {
        recovery.outcome = Outcome::NotProven;
        recovery.snapshot = Some(snapshot.name.clone());
        recovery.recovery_point.clone_from(&snapshot.recovery_point);
        let why = snapshot.complete.why.as_deref().unwrap_or("nothing shows it");
        recovery.why = Some(format!("whether {} is complete is not proven: {why}", snapshot.name));
    } else if let Some(snapshot) = lacking {
        let why = match snapshot.missing_parents.first() {
            Some(parent) => format!("{parent}, which it needs, is not there"),
            None => snapshot.complete.why.clone().unwrap_or_else(|| "something is missing".to_owned()),
        };
        recovery.why = Some(format!("{} is not complete: {why}", snapshot.name));
    } else if let Some(unseen) = snapshots.iter().rev().find(|s| !claims && wanted.may_be_in(s)) {
        recovery.outcome = Outcome::NotProven;
        recovery.why = Some(not_all(unseen));
    } else {
        recovery.why = Some("no copy holds it".to_owned());
    }
    recovery
}

fn history(name: &str, of: &[&Snapshot], asked: &Asked) -> History {
    let points: Vec<(Timestamp, &Snapshot)> = of.iter().filter_map(|s| Some((point(s)?, *s))).collect();
    let undated = of.len() - points.len();
    let (oldest, newest) = (points.first(), points.last());
    let mut gap: Option<(i64, &Snapshot, &Snapshot)> = None;
    if let Some((newest, _)) = newest {
        for pair in points.windows(2) {
            let [(from, before), (to, after)] = pair else { continue };
            let length = seconds_between(*from, *to);
            if seconds_between(*to, *newest) <= WINDOW && gap.is_none_or(|(longest, ..)| length > longest) {
                gap = Some((length, before, after));
            }
        }
    }
    let text = |found: Option<&(Timestamp, &Snapshot)>| found.and_then(|(_, s)| s.recovery_point.clone());
    let why = if undated > 0 {
        Some(format!("{undated} of {} copies carry no time", of.len()))
    } else {
        (*asked != Asked::All).then(|| "not all copies were looked at, so that the oldest are not known".to_owned())
    };
    History {
        name: name.to_owned(),
        outcome: if why.is_none() { Outcome::Present } else { Outcome::NotProven },
        why,
        count: i64::try_from(of.len()).unwrap_or(i64::MAX),
        oldest: text(oldest),
        newest: text(newest),
        span: oldest.zip(newest).map_or(0, |((from, _), (to, _))| seconds_between(*from, *to)),
        longest_gap: gap.map(|(length, ..)| length),
        gap_from: gap.and_then(|(_, before, _)| before.recovery_point.clone()),
        gap_to: gap.and_then(|(.., after)| after.recovery_point.clone()),
    }
}

fn sizes(name: &str, of: &[&Snapshot]) -> Sizes {
    let newest = of.last().copied();
    let at = newest.and_then(point);
    let recent: Vec<&Snapshot> = of
        .iter()
        .copied()
        .filter(|s| at.zip(point(s)).is_none_or(|(newest, p)| seconds_between(p, newest) <= WINDOW))
        .collect();
    let before: Vec<&Snapshot> = recent.iter().rev().skip(1).take(MEDIAN_OF).copied().collect();
    let sizes_of = |s: &Snapshot| [s.bytes, s.files, s.objects];
    // Bytes of one and keys of another can't be compared.
    let alike = |s: &Snapshot, newest: &Snapshot| {
        sizes_of(s).iter().zip(sizes_of(newest)).any(|(one, other)| one.is_some() && other.is_some())
    };
    let measured = recent.iter().filter(|s| newest.is_some_and(|newest| alike(s, newest))).count();
    let known = newest.is_some_and(|s| sizes_of(s).iter().any(Option::is_some));
    let why = (!known).then(|| "the size of the newest copy is not known".to_owned());
    Sizes {
        name: name.to_owned(),
        outcome: if why.is_none() { Outcome::Present } else { Outcome::NotProven },
        why,
        measured: i64::try_from(measured).unwrap_or(i64::MAX),
        of: i64::try_from(recent.len()).unwrap_or(i64::MAX),
        newest_files: newest.and_then(|s| s.files),
        newest_bytes: newest.and_then(|s| s.bytes),
        newest_objects: newest.and_then(|s| s.objects),
        largest_files: recent.iter().filter_map(|s| s.files).max(),
        largest_bytes: recent.iter().filter_map(|s| s.bytes).max(),
        largest_objects: recent.iter().filter_map(|s| s.objects).max(),
        median_files: median(before.iter().filter_map(|s| s.files)),
        median_bytes: median(before.iter().filter_map(|s| s.bytes)),
        median_objects: median(before.iter().filter_map(|s| s.objects)),
        newest_stored: newest.and_then(|s| s.stored),
        median_stored: median(before.iter().filter_map(|s| s.stored)),
    }
}

/// The middle one; of an even number the lower of the two in the middle.
fn median(values: impl Iterator<Item = i64>) -> Option<i64> {
    let mut values: Vec<i64> = values.collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests;
