//! The adapter against files that real tools made, in a folder, through the runner.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod databases;
mod reads;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Ask, Evidence, Subject, Target};
use probe::{Job, Limits, Probe, Stop, collect};
use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::mpsc;

use super::copy::{Context, Zone};
use super::look::{self, Match};
use crate::backup::Backup;
use crate::format::{Bounds, Depth};
use crate::target::{BackupTarget, Expect, FileFormat, Files};

pub(in crate::source) fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{}/src/format/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A folder of copies.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn add(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    fn files(&self, pattern: &str) -> Files {
        Files {
            pattern: format!("{}/{pattern}", self.0.path().display()),
            timezone: Some("UTC".into()),
            ..Files::default()
        }
    }
}

pub(in crate::source) async fn evidence(target: &BackupTarget, deadline: Duration) -> Evidence {
    evidence_of(Arc::new(Backup), target, deadline).await
}

async fn evidence_of(probe: Arc<dyn Probe>, target: &BackupTarget, deadline: Duration) -> Evidence {
    let spec = serde_json::to_value(target.resolve("it").unwrap()).unwrap();
    let subject = Subject { sort: crate::SORT.to_owned(), spec };
    let (name, labels) = ("it".to_owned(), BTreeMap::new());
    let target = Target { of: name.clone(), address: name.clone(), name, labels, discovered: false, subject };
    let job = Job { probe, target, ask: Ask::All, depth: model::Depth::Full, prior: vec![] };
    let (sender, mut received) = mpsc::channel(1);
    let (events, _) = mpsc::unbounded_channel();
    let limits = Limits { deadline, ..Limits::default() };
    let ((), collected) = tokio::join!(collect(vec![job], limits, Stop::default(), sender, events), received.recv());
    collected.unwrap().evidence
}

async fn facts_of(files: Files, expect: Expect) -> Value {
    let target = BackupTarget { files: Some(files), expect, ..BackupTarget::default() };
    let evidence = evidence(&target, Duration::from_secs(60)).await;
    assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
    serde_json::to_value(evidence.facts).unwrap()
}

pub(in crate::source) fn databases(names: &[&str]) -> Expect {
    Expect { databases: names.iter().map(|n| (*n).to_owned()).collect(), ..Expect::default() }
}

fn paths(names: &[&str]) -> Expect {
    Expect { paths: names.iter().map(|n| (*n).to_owned()).collect(), ..Expect::default() }
}

/// The copy of that name.
pub(in crate::source) fn copy<'a>(facts: &'a Value, name: &str) -> &'a Value {
    let copies = facts["catalogue"]["snapshots"].as_array().unwrap();
    copies.iter().find(|copy| copy["name"] == name).unwrap_or_else(|| panic!("{name} is not in {copies:#?}"))
}

pub(in crate::source) fn complete<'a>(facts: &'a Value, name: &str) -> (&'a str, &'a str) {
    let complete = &copy(facts, name)["complete"];
    (complete["outcome"].as_str().unwrap(), complete["why"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_good_dump_is_complete_and_tells_its_time_and_database() {
    let place = Place::new();
    place.add("shop-1.dump", fixture("shop.dump"));
    let facts = facts_of(place.files("shop-*.dump"), databases(&["shop", "crm"])).await;
    let found = copy(&facts, "shop-1.dump");
    assert_eq!((found["outcome"].as_str(), complete(&facts, "shop-1.dump")), (Some("present"), ("present", "")));
    assert_eq!((found["complete"]["basis"].as_str(), found["objects"].as_i64()), (Some("end_mark"), Some(10)));
    assert!(found["recovery_point"].as_str().unwrap().starts_with("2026-11-24T13:55:"), "{found}");
    assert!(found["bytes"].as_i64().unwrap() > 0 && found["files"].is_null());
    assert_eq!(found["stored"].as_i64(), Some(5040));
    assert_eq!((facts["source"].as_str(), facts["catalogue"]["asked"].as_str()), (Some("files"), Some("all")));
    let outcome = |of: &str, at: usize| facts[of][at]["outcome"].as_str().unwrap().to_owned();
    assert_eq!((outcome("required", 0), outcome("recovery", 0)), ("present".into(), "present".into()));
    assert_eq!((outcome("required", 1), outcome("recovery", 1)), ("absent".into(), "absent".into()));
    assert_eq!(
        (facts["identity"]["outcome"].as_str(), facts["identity"]["what"].as_str()),
        (Some("absent"), Some("nothing"))
    );
    assert_eq!(facts["encryption"]["outcome"], "absent");
    assert_eq!(
        (facts["histories"][0]["name"].as_str(), facts["histories"][0]["count"].as_i64()),
        (Some("shop"), Some(1))
    );
}

#[tokio::test]
async fn times_without_a_zone_are_read_in_the_zone_of_the_inventory() {
    let place = Place::new();
    place.add("shop.dump", fixture("shop.dump"));
    let files = Files { timezone: Some("Asia/Tokyo".into()), ..place.files("*.dump") };
    let facts = facts_of(files, Expect::default()).await;
    assert!(copy(&facts, "shop.dump")["recovery_point"].as_str().unwrap().starts_with("2026-11-24T04:55:"));
    assert!(facts["notes"][0].as_str().unwrap().contains("Asia/Tokyo"), "{}", facts["notes"]);
}

#[tokio::test]
async fn the_time_of_the_file_counts_only_where_it_is_trusted() {
    let place = Place::new();
    place.add("a.sql", fixture("shop.sql"));
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(place.at("a.sql")).unwrap().set_modified(old).unwrap();
    let facts = facts_of(place.files("*.sql"), databases(&["shop"])).await;
    assert!(copy(&facts, "a.sql")["recovery_point"].is_null());
    // Plain SQL does not name its database, so that nothing shows that it is missing.
    assert_eq!(
        (complete(&facts, "a.sql").0, facts["required"][0]["outcome"].as_str()),
        ("present", Some("not_proven"))
    );
    assert_eq!(facts["histories"][0]["outcome"], "not_proven");
    let files = Files { trust_mtime: true, database: Some("shop".into()), ..place.files("*.sql") };
    let facts = facts_of(files, databases(&["shop"])).await;
    assert_eq!(copy(&facts, "a.sql")["recovery_point"], "2001-09-09T01:46:40Z");
    assert_eq!(facts["recovery"][0]["outcome"], "present");
    // What the payload says outweighs both.
    place.add("b.sql", zstd::decode_all(fixture("shop-verbose.sql.zst").as_slice()).unwrap());
    let files = Files { trust_mtime: true, database: Some("crm".into()), ..place.files("b.sql") };
    let facts = facts_of(files, databases(&["shop"])).await;
    assert_eq!(copy(&facts, "b.sql")["recovery_point"], "2026-11-24T13:55:58Z");
    assert_eq!(facts["recovery"][0]["outcome"], "present", "the dump names its database itself");
}

#[tokio::test]
async fn bad_states() {
    let place = Place::new();
    let dump = fixture("shop.dump");
    let mut flipped = dump.clone();
    let middle = flipped.len() - 400;
    flipped[middle] ^= 1;
    place.add("cut.dump", &dump[..dump.len() - 300]).add("flipped.dump", &flipped).add("nothing.dump", "");
    place.add("noise.dump", "not a backup at all").add("empty.dump", fixture("empty.dump"));
    place.add("cut.sql.gz", &fixture("shop.sql.gz")[..2_000]).add("redis.rdb", fixture("redis-empty.rdb"));
    let facts = facts_of(place.files("*"), Expect::default()).await;
    assert_eq!(complete(&facts, "cut.dump").0, "absent");
    assert_eq!(complete(&facts, "flipped.dump").0, "absent", "the newest of its history is read as a whole");
    assert_eq!(complete(&facts, "nothing.dump"), ("absent", "is empty: not one byte"));
    assert_eq!(copy(&facts, "nothing.dump")["outcome"], "present");
    assert_eq!(
        (copy(&facts, "nothing.dump")["bytes"].as_i64(), copy(&facts, "nothing.dump")["objects"].as_i64()),
        (Some(0), Some(0))
    );
    assert_eq!(
        (copy(&facts, "noise.dump")["outcome"].as_str(), complete(&facts, "noise.dump").0),
        (Some("not_proven"), "not_proven")
    );
    assert_eq!(
        (complete(&facts, "empty.dump").0, copy(&facts, "empty.dump")["objects"].as_i64()),
        ("present", Some(0))
    );
    assert_eq!(complete(&facts, "cut.sql.gz").0, "absent");
    assert_eq!((complete(&facts, "redis.rdb").0, copy(&facts, "redis.rdb")["objects"].as_i64()), ("present", Some(0)));
    let empty = facts["sizes"].as_array().unwrap().iter().find(|s| s["name"] == "Redis RDB").unwrap();
    assert_eq!(empty["newest_objects"], 0);
}

#[tokio::test]
async fn another_format_than_declared_is_no_copy() {
    let place = Place::new();
    place.add("a.dump", fixture("shop.dump")).add("b.tar", fixture("shop-pg.tar"));
    let files = |format| Files { format: Some(format), ..place.files("*") };
    let facts = facts_of(files(FileFormat::MariadbDump), databases(&["shop"])).await;
    assert_eq!(copy(&facts, "a.dump")["outcome"], "not_proven");
    let why = copy(&facts, "a.dump")["why"].as_str().unwrap();
    assert_eq!(why, "the inventory says that it is mariadb_dump, and it is pg_dump custom");
    assert_eq!(
        (facts["required"][0]["outcome"].as_str(), facts["histories"].as_array().unwrap().len()),
        (Some("absent"), 0)
    );
    let facts = facts_of(files(FileFormat::PgDump), databases(&["shop"])).await;
    assert_eq!(
        (copy(&facts, "a.dump")["outcome"].as_str(), copy(&facts, "b.tar")["outcome"].as_str()),
        (Some("present"), Some("present"))
    );
    let facts = facts_of(files(FileFormat::Tar), Expect::default()).await;
    assert_eq!(
        (copy(&facts, "a.dump")["outcome"].as_str(), copy(&facts, "b.tar")["outcome"].as_str()),
        (Some("not_proven"), Some("present"))
    );
}

#[tokio::test]
async fn encrypted_copies_say_so_and_prove_nothing() {
    let place = Place::new();
    place.add("a.age", fixture("x.age")).add("b.gpg", fixture("x-sym.gpg"));
    let facts = facts_of(place.files("*"), databases(&["shop"])).await;
    assert_eq!(
        (facts["encryption"]["outcome"].as_str(), facts["encryption"]["mode"].as_str()),
        (Some("present"), Some("OpenPGP, passphrase, age"))
    );
    assert_eq!(
        (copy(&facts, "a.age")["outcome"].as_str(), complete(&facts, "a.age").0),
        (Some("present"), "not_proven")
    );
    assert_eq!(facts["required"][0]["outcome"], "not_proven");
    place.add("c.dump", fixture("shop.dump"));
    let facts = facts_of(place.files("*"), Expect::default()).await;
    assert_eq!(
        (facts["encryption"]["outcome"].as_str(), facts["encryption"]["why"].as_str()),
        (Some("absent"), Some("c.dump is not encrypted, others are"))
    );
    place.add("noise", "x");
    let facts = facts_of(place.files("*e"), Expect::default()).await;
    assert_eq!(facts["encryption"]["outcome"], "not_proven", "a strange file may be anything");
}

fn tar_of(names: &[&str], modified: u64) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mtime(modified);
        archive.append_data(&mut header, name, &b"abc"[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

#[tokio::test]
async fn archives_hold_the_paths_that_files_in_them_lie_under() {
    let place = Place::new();
    place.add("1.tar", tar_of(&["srv/data/a", "srv/other/b"], 1_700_000_000));
    let facts = facts_of(place.files("*.tar"), paths(&["/srv/data", "/srv/other", "/etc"])).await;
    assert_eq!(copy(&facts, "1.tar")["paths"], serde_json::json!(["/srv/data", "/srv/other"]));
    assert_eq!((copy(&facts, "1.tar")["files"].as_i64(), copy(&facts, "1.tar")["bytes"].as_i64()), (Some(2), Some(6)));
    assert_eq!(copy(&facts, "1.tar")["recovery_point"], "2023-11-14T22:13:20Z");
    let outcomes: Vec<_> =
        facts["required"].as_array().unwrap().iter().map(|r| r["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["present", "present", "absent"]);
    assert!(complete(&facts, "1.tar").1.contains("whether all files were put into it"));
    // A newer one without the data, though it begins with the same folder.
    place.add("2.tar", tar_of(&["srv/other/b"], 1_700_086_400));
    let facts = facts_of(place.files("*.tar"), paths(&["/srv/data"])).await;
    assert_eq!(
        (facts["required"][0]["snapshot"].as_str(), facts["required"][0]["in_newest"].as_bool()),
        (Some("1.tar"), Some(false))
    );
    assert_eq!(
        (facts["histories"][0]["name"].as_str(), facts["histories"][0]["count"].as_i64()),
        (Some("tar"), Some(2))
    );
    let facts = facts_of(place.files("*.tar"), Expect::default()).await;
    assert_eq!(copy(&facts, "2.tar")["paths"], serde_json::json!(["srv"]));
    // Cut at the end of a file: the two blocks that end it are missing.
    let whole = tar_of(&["srv/data/a"], 1_700_172_800);
    place.add("3.tar", &whole[..1024]);
    let facts = facts_of(place.files("3.tar"), paths(&["/srv/data"])).await;
    assert_eq!((complete(&facts, "3.tar").0, facts["recovery"][0]["outcome"].as_str()), ("absent", Some("absent")));
}

#[tokio::test]
async fn a_time_in_the_future_is_left_as_it_is() {
    let place = Place::new();
    place.add("late.tar", tar_of(&["a"], 4_102_444_800));
    let facts = facts_of(place.files("*"), Expect::default()).await;
    assert_eq!(copy(&facts, "late.tar")["recovery_point"], "2100-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_folder_of_plain_files_is_a_copy_that_proves_nothing_by_itself() {
    let place = Place::new();
    place.add("day-1/srv/data/a", "abc").add("day-1/srv/data/b/c", "de");
    std::os::unix::fs::symlink("/etc", place.at("day-1/etc")).unwrap();
    let facts = facts_of(place.files("day-*"), paths(&["/srv/data", "/etc"])).await;
    let found = copy(&facts, "day-1");
    assert_eq!((found["files"].as_i64(), found["bytes"].as_i64()), (Some(2), Some(5)));
    assert_eq!((found["paths"].clone(), complete(&facts, "day-1").0), (serde_json::json!(["/srv/data"]), "not_proven"));
    assert!(found["recovery_point"].is_string());
    let facts = facts_of(place.files("day-9*"), Expect::default()).await;
    assert_eq!(facts["required"][0]["outcome"], "absent");
}

#[tokio::test]
async fn a_folder_is_compared_with_its_source() {
    let (source, place) = (Place::new(), Place::new());
    source.add("data/a", "abc").add("data/b", "de");
    let top = source.at("data").display().to_string();
    // What changed less than a second before the copy is not compared.
    std::thread::sleep(Duration::from_millis(2_100));
    let inside = |name: &str| format!("day-1{top}/{name}");
    place.add(&inside("a"), "abc").add(&inside("b"), "de");
    let target = |place: &Place| BackupTarget {
        files: Some(place.files("day-*")),
        expect: paths(&[&top]),
        compare_with_source: true,
        ..BackupTarget::default()
    };
    let facts = evidence(&target(&place), Duration::from_secs(60)).await.facts;
    let facts = serde_json::to_value(facts).unwrap();
    assert_eq!(
        (complete(&facts, "day-1").0, copy(&facts, "day-1")["complete"]["basis"].as_str()),
        ("present", Some("source"))
    );
    fs::remove_file(place.at(&inside("b"))).unwrap();
    let facts = serde_json::to_value(evidence(&target(&place), Duration::from_secs(60)).await.facts).unwrap();
    assert_eq!(complete(&facts, "day-1").0, "absent");
}

/// Copies the fixtures of a folder; `change` sees each file's contents.
fn folder_of(place: &Place, name: &str, from: &str, change: impl Fn(&str, String) -> String) {
    for entry in fs::read_dir(format!("{}/src/format/fixtures/{from}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let entry = entry.unwrap();
        let file = entry.file_name().into_string().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => change(&file, text).into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        place.add(&format!("{name}/{file}"), bytes);
    }
}

#[tokio::test]
async fn a_dump_that_is_a_folder() {
    let place = Place::new();
    folder_of(&place, "shop", "shop-dir", |_, text| text);
    let facts = facts_of(place.files("*"), databases(&["shop"])).await;
    assert_eq!((complete(&facts, "shop").0, facts["recovery"][0]["outcome"].as_str()), ("present", Some("present")));
    fs::remove_file(place.at("shop/3350.dat.gz")).unwrap();
    let facts = facts_of(place.files("*"), databases(&["shop"])).await;
    assert_eq!(complete(&facts, "shop").0, "absent");
}

#[tokio::test]
async fn links_are_copies_only_where_they_are_named() {
    let place = Place::new();
    place.add("a.dump", fixture("shop.dump"));
    std::os::unix::fs::symlink("a.dump", place.at("latest.dump")).unwrap();
    std::os::unix::fs::symlink("latest.dump", place.at("loop")).unwrap();
    std::os::unix::fs::symlink("round", place.at("round")).unwrap();
    let facts = facts_of(place.files("*.dump"), Expect::default()).await;
    assert_eq!(facts["catalogue"]["snapshots"].as_array().unwrap().len(), 1);
    assert!(facts["notes"][0].as_str().unwrap().contains("latest.dump"), "{}", facts["notes"]);
    let facts = facts_of(place.files("loop"), databases(&["shop"])).await;
    assert_eq!((copy(&facts, "loop")["outcome"].as_str(), complete(&facts, "loop").0), (Some("present"), "present"));
    let facts = facts_of(place.files("round"), databases(&["shop"])).await;
    assert_eq!(facts["recovery"][0]["outcome"], "absent");
}

#[tokio::test]
async fn what_is_not_there_is_a_failure_only_where_its_folder_can_not_be_read() {
    let place = Place::new();
    let facts = facts_of(place.files("one.dump"), Expect::default()).await;
    assert_eq!(facts["required"][0]["outcome"], "absent");
    for pattern in ["gone/one.dump", "gone/*.dump"] {
        let target = BackupTarget { files: Some(place.files(pattern)), ..BackupTarget::default() };
        let failure = evidence(&target, Duration::from_secs(60)).await.failure.unwrap();
        assert_eq!(failure.class, model::FailureClass::Missing, "{failure:?}");
        assert!(failure.message.contains("is it mounted"), "{failure:?}");
    }
}

/// Does something to a copy.
type Change = fn(&std::path::Path);

/// Looks into a copy as it was found, after something was done to it.
struct Late {
    files: Files,
    path: PathBuf,
    meanwhile: Change,
}

impl Probe for Late {
    fn kind(&self) -> model::Kind {
        model::Kind::new("backup", model::Level::Effective)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }

    fn plan(&self, _: &Target) -> probe::Plan {
        probe::Plan::default()
    }

    fn observe<'a>(
        &'a self,
        _: &'a Target,
        cx: &'a probe::Cx,
    ) -> probe::BoxFuture<'a, Result<model::Facts, model::Failure>> {
        Box::pin(async move {
            let found = look::find(cx, self.path.display().to_string(), false).await.unwrap();
            (self.meanwhile)(&self.path);
            let extent = look::Extent { depth: Depth::Full, bounds: Bounds::default(), within: cx.remaining() };
            let seen = look::look(cx, &self.files, &found, extent, &[]).await;
            probe::facts(&seen.map(|seen| seen.why))
        })
    }
}

#[tokio::test]
async fn a_copy_that_is_written_meanwhile_or_vanishes_is_not_proven() {
    let changes: [(Change, &str); 3] = [
        (|_| {}, "walked through to the end"),
        (
            |path| {
                use std::io::Write as _;
                fs::File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
            },
            "it changed while it was read; is it being written?",
        ),
        (|path| fs::remove_file(path).unwrap(), "it vanished while it was looked at"),
    ];
    for (meanwhile, wanted) in changes {
        let place = Place::new();
        place.add("a.dump", fixture("shop.dump"));
        let target = BackupTarget { files: Some(place.files("*")), ..BackupTarget::default() };
        let late = Late { files: place.files("*"), path: place.at("a.dump"), meanwhile };
        let evidence = evidence_of(Arc::new(late), &target, Duration::from_secs(60)).await;
        let said = serde_json::to_string(&evidence.facts).unwrap();
        assert!(said.contains(wanted), "{said} {:?}", evidence.failure);
    }
    let context = Context { source: &Files::default(), expected: &Default::default(), zone: &Zone::of(Some("UTC")) };
    let gone = Match::gone("/srv/a.dump".to_owned());
    let snapshot = context.snapshot(&gone, &Err("it vanished".to_owned()), Depth::Head);
    assert_eq!((snapshot.name.as_str(), snapshot.outcome), ("a.dump", crate::facts::Outcome::NotProven));
}

#[tokio::test]
async fn many_copies_are_listed_and_only_the_newest_are_looked_into() {
    let place = Place::new();
    for number in 0..10_000 {
        fs::write(place.at(&format!("{number:05}.tar")), [0_u8; 1024]).unwrap();
    }
    let facts = facts_of(place.files("*.tar"), Expect::default()).await;
    assert_eq!(facts["catalogue"]["snapshots"].as_array().unwrap().len(), 1_000);
    assert_eq!(facts["catalogue"]["asked"], serde_json::json!([]));
    assert_eq!(facts["histories"][0]["outcome"], "not_proven");
}

#[tokio::test]
async fn the_deadline_holds_and_what_was_not_read_is_not_proven() {
    let place = Place::new();
    // Unpacks for longer than the deadline: a dump of zeros, small enough to be read as a whole.
    let mut sql = b"--\n-- PostgreSQL database dump\n--\n".to_vec();
    sql.resize(256 << 20, b'\n');
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &sql).unwrap();
    place.add("a.sql.gz", packed.finish().unwrap());
    let target = BackupTarget { files: Some(place.files("*")), ..BackupTarget::default() };
    let began = Instant::now();
    let evidence = evidence(&target, Duration::from_secs(2)).await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let facts = serde_json::to_value(evidence.facts).unwrap();
    assert_ne!(complete(&facts, "a.sql.gz").0, "present");
}

fn rt() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_contents_panic_and_none_are_complete(
        bytes in proptest::collection::vec(any::<u8>(), 1..4096),
        magic in proptest::sample::select(vec!["", "PGDMP", "REDIS0011", "PK\x03\x04", "-- MySQL dump", "\x1f\u{8b}\x08", "Salted__"]),
        folder in any::<bool>(),
    ) {
        let place = Place::new();
        let contents = [magic.as_bytes(), &bytes].concat();
        let names = ["toc.dat", "backup_manifest", "xtrabackup_checkpoints", "base.tar"];
        match folder {
            true => names.iter().for_each(|name| { place.add(&format!("x/{name}"), &contents); }),
            false => { place.add("x", &contents); }
        }
        let facts = rt().block_on(facts_of(place.files("*"), databases(&["shop"])));
        prop_assert_ne!(complete(&facts, "x").0, "present");
    }
}
