#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use model::Asked;

use super::*;
use crate::facts::{Basis, Complete, Encryption, Identity, Locks, SnapshotKind};
use crate::target::{BackupTarget, Expect, Restic};

fn snapshot(name: &str, at: &str, paths: &[&str]) -> Snapshot {
    Snapshot {
        name: name.to_owned(),
        outcome: Outcome::Present,
        why: None,
        kind: SnapshotKind::Full,
        host: Some("host1".to_owned()),
        paths: paths.iter().map(|p| (*p).to_owned()).collect(),
        databases: vec![],
        listed: Asked::All,
        series: None,
        started: None,
        ended: None,
        recovery_point: Some(at.to_owned()),
        complete: Complete { outcome: Outcome::Present, basis: Some(Basis::JobLog), why: None },
        parents: vec![],
        missing_parents: vec![],
        files: Some(10),
        bytes: Some(1_000),
        objects: None,
        stored: Some(10),
    }
}

fn derived_of(kind: SourceKind, snapshots: Vec<Snapshot>, expect: Expect) -> BackupFacts {
    let restic = Restic {
        repository: "r".into(),
        password: "env:X".into(),
        id: None,
        program: None,
        environment: BTreeMap::new(),
    };
    let spec = BackupTarget { restic: Some(restic), expect, ..BackupTarget::default() }.resolve("nightly").unwrap();
    let repository = Repository {
        tool: None,
        identity: Identity::is("repository id", "x"),
        encryption: Encryption::by("x"),
        locks: Locks::unknown(),
        asked: Asked::All,
        snapshots,
        contents: BTreeMap::new(),
        continuity: vec![],
        notes: vec![],
    };
    facts(kind, &spec, repository)
}

fn derived(snapshots: Vec<Snapshot>, expect: Expect) -> BackupFacts {
    derived_of(SourceKind::Restic, snapshots, expect)
}

fn expect(hosts: &[&str], paths: &[&str]) -> Expect {
    let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Expect { hosts: own(hosts), paths: own(paths), ..Expect::default() }
}

#[test]
fn each_path_of_each_host_is_looked_for() {
    let found = derived(
        vec![snapshot("a", "2026-11-24T00:00:00Z", &["/srv"])],
        expect(&["host1", "host2"], &["/srv/a", "/srvx"]),
    );
    let outcomes: Vec<(&str, Outcome)> = found.required.iter().map(|r| (r.name.as_str(), r.outcome)).collect();
    let wanted = [
        ("host1:/srv/a", Outcome::Present),
        ("host1:/srvx", Outcome::Absent),
        ("host2:/srv/a", Outcome::Absent),
        ("host2:/srvx", Outcome::Absent),
    ];
    assert_eq!(outcomes, wanted);
}

#[test]
fn what_the_job_was_told_to_copy_is_not_proven_to_be_there_where_the_copy_was_not_listed() {
    let mut copy = snapshot("a", "2026-11-24T00:00:00Z", &["/srv"]);
    let of = |copy: &Snapshot| derived(vec![copy.clone()], expect(&[], &["/srv"])).required.remove(0).in_newest;
    assert_eq!(of(&copy), Some(true));
    copy.listed = Asked::Only(vec![]);
    assert_eq!(of(&copy), None);
}

#[test]
fn nothing_named_is_nothing_proven() {
    let found = derived(vec![snapshot("a", "2026-11-24T00:00:00Z", &["/srv"])], Expect::default());
    assert_eq!(found.required[0].outcome, Outcome::NotProven);
    let empty = derived(vec![], Expect::default());
    assert_eq!((empty.required[0].outcome, empty.recovery[0].outcome), (Outcome::Absent, Outcome::Absent));
    assert!(empty.histories.is_empty() && empty.sizes.is_empty());
}

#[test]
fn a_path_that_was_dropped_is_in_older_copies_alone() {
    let copies = vec![
        snapshot("old", "2026-11-23T00:00:00Z", &["/srv", "/etc"]),
        snapshot("new", "2026-11-24T00:00:00Z", &["/srv"]),
    ];
    let found = derived(copies, expect(&[], &["/srv", "/etc"]));
    assert_eq!(found.required.iter().map(|r| r.in_newest).collect::<Vec<_>>(), [Some(true), Some(false)]);
}

#[test]
fn recovery_needs_a_complete_copy_with_all_its_parents() {
    let mut newest = snapshot("new", "2026-11-24T00:00:00Z", &["/srv"]);
    newest.parents = vec!["gone".to_owned()];
    let found = derived(vec![newest.clone()], expect(&[], &["/srv"]));
    assert_eq!(found.recovery[0].outcome, Outcome::Absent);
    assert!(found.recovery[0].why.as_deref().unwrap().contains("gone"));
    newest.parents = vec![];
    newest.complete = Complete { outcome: Outcome::NotProven, basis: None, why: None };
    let old = snapshot("old", "2026-11-20T00:00:00Z", &["/srv"]);
    let found = derived(vec![newest.clone(), old], expect(&[], &["/srv"]));
    assert_eq!(found.recovery[0].snapshot.as_deref(), Some("old"), "the newest that is known to be complete");
    let found = derived(vec![newest], expect(&[], &["/srv"]));
    assert_eq!(found.recovery[0].outcome, Outcome::NotProven);
}

#[test]
fn sizes_are_compared_with_the_largest_of_90_days_and_the_median_of_seven() {
    let mut copies: Vec<Snapshot> =
        (1..=9).map(|day| snapshot(&format!("{day}"), &format!("2026-11-0{day}T00:00:00Z"), &["/srv"])).collect();
    for (index, copy) in copies.iter_mut().enumerate() {
        copy.bytes = Some(1_000 - 100 * i64::try_from(index).unwrap());
    }
    let mut ancient = snapshot("ancient", "2026-01-01T00:00:00Z", &["/srv"]);
    ancient.bytes = Some(1_000_000);
    copies.push(ancient);
    let sizes = derived(copies, expect(&[], &["/srv"])).sizes.remove(0);
    assert_eq!(
        (sizes.newest_bytes, sizes.largest_bytes, sizes.median_bytes, sizes.measured),
        (Some(200), Some(1_000), Some(600), 9)
    );
    let alone = derived(vec![snapshot("a", "2026-11-24T00:00:00Z", &["/srv"])], expect(&[], &["/srv"])).sizes.remove(0);
    assert_eq!((alone.outcome, alone.measured), (Outcome::Present, 1), "whether one will do is for controls to say");
    let mut unknown = snapshot("a", "2026-11-24T00:00:00Z", &["/srv"]);
    (unknown.files, unknown.bytes) = (None, None);
    let unknown = derived(vec![unknown], expect(&[], &["/srv"])).sizes.remove(0);
    assert_eq!(unknown.outcome, Outcome::NotProven);
}

#[test]
fn gaps_and_spans() {
    let copies = vec![
        snapshot("a", "2026-11-01T00:00:00Z", &["/srv"]),
        snapshot("b", "2026-11-02T00:00:00Z", &["/srv"]),
        snapshot("c", "2026-11-05T00:00:00Z", &["/srv"]),
    ];
    let history = derived(copies, Expect::default()).histories.remove(0);
    assert_eq!((history.count, history.span, history.longest_gap), (3, 4 * 86_400, Some(3 * 86_400)));
    assert_eq!(history.gap_from.as_deref(), Some("2026-11-02T00:00:00Z"));
    let mut undated = snapshot("a", "2026-11-01T00:00:00Z", &["/srv"]);
    undated.recovery_point = None;
    assert_eq!(derived(vec![undated], Expect::default()).histories.remove(0).outcome, Outcome::NotProven);
}

/// A file of which only the beginning was read may hold what its names do not tell: that is no proof that it is missing.
#[test]
fn what_was_not_listed_is_not_missing() {
    let mut new = snapshot("new", "2026-11-24T00:00:00Z", &["/srv"]);
    new.listed = Asked::Only(vec![]);
    let old = snapshot("old", "2026-11-23T00:00:00Z", &["/srv", "/etc"]);
    let found = derived_of(SourceKind::Files, vec![old, new], expect(&[], &["/etc", "/opt"]));
    assert_eq!((found.required[0].outcome, found.required[0].in_newest), (Outcome::Present, None));
    assert_eq!((found.required[1].outcome, found.recovery[1].outcome), (Outcome::NotProven, Outcome::NotProven));
    assert_eq!(found.required[1].why.as_deref(), Some("not all that is in new was seen"));
}

/// restic and Borg record what the job was told to copy: without a listing nothing shows that it is there, though a log
/// says that the job ended well. What it was not told to copy is not there.
#[test]
fn what_a_job_was_told_to_copy_is_no_proof() {
    let mut new = snapshot("new", "2026-11-24T00:00:00Z", &["/srv"]);
    new.complete.outcome = Outcome::Present;
    let wanted = || expect(&[], &["/srv", "/opt"]);
    assert_eq!(derived(vec![new.clone()], wanted()).recovery[0].outcome, Outcome::Present);
    new.listed = Asked::Only(vec![]);
    let found = derived(vec![new], wanted());
    assert_eq!((found.recovery[0].outcome, found.required[0].in_newest), (Outcome::NotProven, None));
    assert_eq!((found.recovery[1].outcome, found.required[1].outcome), (Outcome::Absent, Outcome::Absent));
}

#[test]
fn copies_of_one_series_are_one_history_whatever_they_name() {
    let mut copies =
        vec![snapshot("a", "2026-11-23T00:00:00Z", &["/a"]), snapshot("b", "2026-11-24T00:00:00Z", &["/b"])];
    copies.iter_mut().for_each(|copy| copy.series = Some("cluster".to_owned()));
    let found = derived(copies, Expect::default());
    assert_eq!((found.histories.len(), found.histories[0].count), (1, 2));
    assert_eq!(found.sizes[0].name, "cluster");
}

/// Where only the newest copies were looked at nothing is known of the oldest.
#[test]
fn a_cut_list_proves_no_history() {
    let restic = Restic {
        repository: "r".into(),
        password: "env:X".into(),
        id: None,
        program: None,
        environment: BTreeMap::new(),
    };
    let spec = BackupTarget { restic: Some(restic), ..BackupTarget::default() }.resolve("nightly").unwrap();
    let repository = Repository {
        tool: None,
        identity: Identity::is("repository id", "x"),
        encryption: Encryption::by("x"),
        locks: Locks::unknown(),
        asked: Asked::Only(vec![]),
        snapshots: vec![snapshot("a", "2026-11-23T00:00:00Z", &["/a"])],
        contents: BTreeMap::new(),
        continuity: vec![],
        notes: vec![],
    };
    let found = facts(SourceKind::Files, &spec, repository);
    assert_eq!(found.histories[0].outcome, Outcome::NotProven);
}
