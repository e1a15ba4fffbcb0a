//! Copies that need others: base backups with their log, incremental copies.

use sha2::{Digest as _, Sha256};

use super::*;

/// A base backup with tables but without its log, as `pg_basebackup --wal-method=none` makes it.
fn base(place: &Place, name: &str, system: u64, day: u32, log: (&str, &str)) {
    let files = [("PG_VERSION", "18\n".to_owned()), ("base/1/1259", "x".repeat(100)), ("backup_label", label(day))];
    let lines: Vec<String> = files
        .iter()
        .map(|(path, contents)| {
            place.add(&format!("{name}/{path}"), contents);
            format!(
                "{{ \"Path\": \"{path}\", \"Size\": {}, \"Last-Modified\": \"2026-11-24 13:56:00 GMT\" }}",
                contents.len()
            )
        })
        .collect();
    let covered = format!(
        "{{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": {system},\n\"Files\": [\n{}\n],\n\
         \"WAL-Ranges\": [\n{{ \"Timeline\": 1, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\" }}\n],\n",
        lines.join(",\n"),
        log.0,
        log.1
    );
    let sum: String = Sha256::digest(&covered).iter().map(|byte| format!("{byte:02x}")).collect();
    place.add(&format!("{name}/backup_manifest"), format!("{covered}\"Manifest-Checksum\": \"{sum}\"}}\n"));
}

fn label(day: u32) -> String {
    format!("START TIME: 2026-11-{day:02} 13:56:00 UTC\nBACKUP METHOD: streamed\n")
}

#[tokio::test]
async fn a_base_backup_names_its_cluster_and_needs_its_log() {
    let place = Place::new();
    base(&place, "base-1", 7, 20, ("0/2000028", "0/2000100"));
    base(&place, "base-2", 7, 21, ("0/4000028", "0/5000000"));
    let facts = facts_of(place.files("base-*"), Expect::default()).await;
    assert_eq!(
        (facts["identity"]["outcome"].as_str(), facts["identity"]["value"].as_str()),
        (Some("present"), Some("7"))
    );
    assert_eq!(complete(&facts, "base-2").0, "not_proven");
    assert_eq!(copy(&facts, "base-2")["recovery_point"], "2026-11-21T13:56:00Z");
    assert_eq!((facts["continuity"].as_array().unwrap().len(), copy(&facts, "base-1")["files"].as_i64()), (0, Some(3)));

    for segment in ["000000010000000000000002.gz", "000000010000000000000003", "000000010000000000000004"] {
        place.add(&format!("wal/{segment}"), "");
        fs::File::options().write(true).open(place.at(&format!("wal/{segment}"))).unwrap().set_len(16 << 20).unwrap();
    }
    let with_log = || Files { wal: Some(format!("{}/wal/*", place.0.path().display())), ..place.files("base-*") };
    let facts = facts_of(with_log(), Expect::default()).await;
    assert_eq!((complete(&facts, "base-1").0, complete(&facts, "base-2").0), ("present", "present"));
    assert_eq!(
        (facts["continuity"][0]["outcome"].as_str(), facts["continuity"][0]["to"].as_str()),
        (Some("present"), Some("000000010000000000000004"))
    );
    fs::remove_file(place.at("wal/000000010000000000000004")).unwrap();
    fs::rename(place.at("wal/000000010000000000000003"), place.at("wal/000000010000000000000005")).unwrap();
    let facts = facts_of(with_log(), Expect::default()).await;
    assert_eq!(complete(&facts, "base-1").0, "present");
    assert_eq!(complete(&facts, "base-2"), ("absent", "WAL 000000010000000000000004, which it needs, is not archived"));
    assert_eq!(facts["continuity"][0]["outcome"], "absent");
    // A file of the manifest is gone: no log makes up for that.
    fs::remove_file(place.at("base-1/base/1/1259")).unwrap();
    let facts = facts_of(with_log(), Expect::default()).await;
    assert_eq!(complete(&facts, "base-1").0, "absent");
    std::os::unix::fs::symlink("/srv/space", place.at("base-1/link")).unwrap();
    let facts = facts_of(with_log(), Expect::default()).await;
    assert_eq!(complete(&facts, "base-1").0, "not_proven", "what is missing may lie behind the link");
}

#[tokio::test]
async fn an_incremental_base_backup_is_not_known_to_be_whole_whatever_the_log_holds() {
    let place = Place::new();
    base(&place, "base", 7, 20, ("0/2000028", "0/2000100"));
    // What `pg_basebackup --incremental` of PostgreSQL 17 writes into it; the manifest leaves its size alone.
    let label = format!("{}INCREMENTAL FROM LSN: 0/1000028\n", label(20));
    let manifest = fs::read_to_string(place.at("base/backup_manifest")).unwrap();
    let length = format!("\"backup_label\", \"Size\": {}", self::label(20).len());
    let covered = manifest.replace(&length, &format!("\"backup_label\", \"Size\": {}", label.len()));
    let covered = covered.split("\"Manifest-Checksum\"").next().unwrap();
    let sum: String = Sha256::digest(covered).iter().map(|byte| format!("{byte:02x}")).collect();
    place.add("base/backup_manifest", format!("{covered}\"Manifest-Checksum\": \"{sum}\"}}\n"));
    place.add("base/backup_label", label).add("wal/000000010000000000000002.gz", "");
    let source = Files { wal: Some(format!("{}/wal/*", place.0.path().display())), ..place.files("base") };
    let facts = facts_of(source, Expect::default()).await;
    assert_eq!(
        (copy(&facts, "base")["kind"].as_str(), complete(&facts, "base").0),
        (Some("incremental"), "not_proven")
    );
}

/// A dump that says where in the binary log it was taken.
fn dump_at(place: &Place, file: &str, at: u32) {
    let dump = String::from_utf8(fixture("my-shop.sql")).unwrap();
    let statement = format!("--\n-- CHANGE MASTER TO MASTER_LOG_FILE='{file}', MASTER_LOG_POS={at};\n\nCREATE TABLE");
    place.add("shop.sql", dump.replacen("CREATE TABLE", &statement, 1));
}

#[tokio::test]
async fn the_binary_log_goes_on_where_the_dump_was_taken() {
    let place = Place::new();
    for name in ["bin.000001", "bin.000002", "bin.000003", "bin.index"] {
        place.add(&format!("log/{name}"), fixture(&format!("binlog/{name}")));
    }
    dump_at(&place, "bin.000002", 415);
    let source =
        || Files { binlog: Some(format!("{}/log/bin.*", place.0.path().display())), ..place.files("shop.sql") };
    let seen = async || {
        let facts = facts_of(source(), Expect::default()).await;
        let of = |at: usize| {
            let item = &facts["continuity"][at];
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            (text("outcome"), text("why"), text("from"), text("to"))
        };
        (of(0), of(1))
    };
    let present = |from: &str| ("present".to_owned(), String::new(), from.to_owned(), "bin.000003".to_owned());
    assert_eq!(seen().await, (present("bin.000001"), present("bin.000002:415")));
    dump_at(&place, "bin.000002", 416);
    assert!(seen().await.1.1.contains("no event of bin.000002 begins at 416"));
    dump_at(&place, "bin.000009", 4);
    assert!(seen().await.1.1.contains("bin.000009, in which it was taken, is not there"));
    place.add("shop.sql", fixture("my-shop.sql"));
    let unsaid = seen().await.1;
    assert!(unsaid.0 == "not_proven" && unsaid.1.contains("--master-data=2"), "{unsaid:?}");

    // A file that is cut, one that is missing, and one that the index names alone.
    let whole = fixture("binlog/bin.000002");
    place.add("log/bin.000002", &whole[..whole.len() - 30]);
    let cut = seen().await.0;
    assert!(cut.0 == "not_proven" && cut.1.contains("does not end"), "{cut:?}");
    place.add("log/bin.000002", "noise");
    assert!(seen().await.0.1.contains("bin.000002: it does not begin"));
    fs::remove_file(place.at("log/bin.000002")).unwrap();
    let gone = seen().await.0;
    assert!(gone.0 == "absent" && gone.1.contains("which bin.index names"), "{gone:?}");
    fs::remove_file(place.at("log/bin.index")).unwrap();
    let gap = seen().await.0;
    assert!(gap.0 == "absent" && gap.1.contains("1 file(s) before bin.000003"), "{gap:?}");
    place.add("log/bin.000002.gz", "packed");
    let packed = seen().await.0;
    assert!(packed.0 == "not_proven" && packed.1.contains("compressed"), "{packed:?}");
    for name in ["bin.000001", "bin.000002.gz", "bin.000003"] {
        fs::remove_file(place.at(&format!("log/{name}"))).unwrap();
    }
    assert_eq!(seen().await.0.0, "absent");
}

#[tokio::test]
async fn copies_of_several_clusters_have_no_identity() {
    let place = Place::new();
    base(&place, "base-1", 7, 20, ("0/2000028", "0/2000100"));
    base(&place, "base-2", 8, 21, ("0/2000028", "0/2000100"));
    let facts = facts_of(place.files("base-*"), Expect::default()).await;
    assert_eq!(facts["identity"]["outcome"], "not_proven");
    assert_eq!(facts["identity"]["why"], "the copies are of 2 clusters: base-1 is of 7, base-2 is of 8");
    fs::remove_dir_all(place.at("base-2")).unwrap();
    place.add("base-3.dump", fixture("shop.dump"));
    let facts = facts_of(place.files("base-*"), Expect::default()).await;
    assert!(facts["identity"]["why"].as_str().unwrap().starts_with("base-3.dump is no base backup"));
    let facts = facts_of(Files { id: Some("7".into()), ..place.files("none*") }, Expect::default()).await;
    assert_eq!(facts["identity"]["outcome"], "not_proven");
}

/// A copy of mariabackup that holds what changed between two places of the log.
fn changes(place: &Place, name: &str, from: u32, to: u32, hour: u32) {
    let sort = if from == 0 { "full-backuped" } else { "incremental" };
    place.add(
        &format!("{name}/xtrabackup_checkpoints"),
        format!("backup_type = {sort}\nfrom_lsn = {from}\nto_lsn = {to}\nlast_lsn = {to}\n"),
    );
    let incremental = if from == 0 { "N" } else { "Y" };
    place.add(
        &format!("{name}/xtrabackup_info"),
        format!("uuid = {name}\nstart_time = 2026-11-24 {hour:02}:00:00\nend_time = 2026-11-24 {hour:02}:10:00\nincremental = {incremental}\n"),
    );
    let table = zstd::decode_all(fixture("mariabackup/item.ibd.zst").as_slice()).unwrap();
    place.add(&format!("{name}/ibdata1"), table).add(&format!("{name}/ib_logfile0"), "y");
}

#[tokio::test]
async fn changes_need_all_copies_down_to_a_full_one() {
    let place = Place::new();
    changes(&place, "full", 0, 100, 1);
    changes(&place, "a", 100, 200, 2);
    changes(&place, "b", 200, 300, 3);
    let files = || Files { database: Some("shop".into()), ..place.files("*") };
    let facts = facts_of(files(), databases(&["shop"])).await;
    assert_eq!(copy(&facts, "b")["parents"], serde_json::json!(["a", "full"]));
    assert_eq!((copy(&facts, "b")["kind"].as_str(), complete(&facts, "b").0), (Some("incremental"), "present"));
    assert_eq!(copy(&facts, "b")["recovery_point"], "2026-11-24T03:10:00Z");
    assert_eq!(facts["recovery"][0]["snapshot"], "b");
    assert_eq!(facts["identity"]["outcome"], "absent", "the uuid of a run names no server");
    // The full one is cut: nothing that needs it is whole.
    fs::remove_file(place.at("full/ibdata1")).unwrap();
    let facts = facts_of(files(), databases(&["shop"])).await;
    assert_eq!(complete(&facts, "b"), ("absent", "full, which it needs, is not complete"));
    fs::remove_dir_all(place.at("full")).unwrap();
    let facts = facts_of(files(), databases(&["shop"])).await;
    let gone = "a copy that ends at log number 100";
    assert_eq!(copy(&facts, "b")["missing_parents"], serde_json::json!([gone]));
    assert_eq!(facts["recovery"][0]["outcome"], "absent");
}
