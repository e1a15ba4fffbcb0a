use super::*;
use crate::format::checksum::{Algorithm, hex};

#[test]
fn custom_dumps() {
    for name in ["shop.dump", "shop-piped.dump", "shop-z0.dump"] {
        let seen = whole(name, Format::PgDumpCustom);
        // pg_restore -l lists the same number of entries.
        assert_eq!((seen.counts.objects, seen.counts.filled), (Some(10), Some(3)), "{name}");
        assert_eq!(seen.origin.databases, ["shop"]);
        assert_eq!(seen.origin.tool.as_deref(), Some("pg_dump 15.20 (Debian 15.20-0+deb12u1)"));
        assert!(seen.started_local.as_deref().unwrap().starts_with("2026-11-24T13:55:"), "{seen:?}");
        assert_eq!(seen.started, None, "the zone is not in it");
        assert_eq!(seen.checked_by.is_empty(), name == "shop-z0.dump");
        assert_eq!(head(&fixture(name)).ended, Ended::Complete);
    }
    let seen = whole("empty.dump", Format::PgDumpCustom);
    assert_eq!((seen.counts.objects, seen.counts.filled), (Some(0), Some(0)));
}

/// PostgreSQL 16 changed the head of archives, 17 the entries and the lists of large objects.
#[test]
fn dumps_of_later_versions() {
    for (name, format, objects, server) in [
        ("shop-16-none.dump", Format::PgDumpCustom, 8, "PostgreSQL 16.14"),
        ("shop-18-gzip.dump", Format::PgDumpCustom, 7, "PostgreSQL 18.4"),
        ("shop-18.tar", Format::PgDumpTar, 7, "PostgreSQL 18.4"),
    ] {
        let seen = whole(name, format);
        assert_eq!((seen.counts.objects, seen.counts.filled), (Some(objects), Some(3)), "{name}");
        assert_eq!((seen.origin.server.as_deref(), seen.origin.databases), (Some(server), vec!["shop".to_owned()]));
        assert_eq!(head(&fixture(name)).ended, Ended::Complete, "{name}");
    }
    let mut seen = Inspection::new(Format::PgBasebackup);
    let manifest = crate::format::manifest::read(&unpacked("backup_manifest.v2.zst"), &mut seen).unwrap();
    assert_eq!(manifest.system.as_deref(), Some("7711743795905121026"));
}

#[test]
fn a_tar_dump_without_one_of_its_files_is_damaged() {
    for (name, list) in [("shop-pg.tar", "blobs.toc"), ("shop-18.tar", "blobs_2572.toc")] {
        let bytes = fixture(name);
        let names: Vec<String> = tar::Archive::new(bytes.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .filter(|name| name != "restore.sql")
            .collect();
        assert!(names.contains(&list.to_owned()), "{names:?}");
        for missing in names {
            let mut less = tar::Builder::new(Vec::new());
            for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
                let entry = entry.unwrap();
                if entry.path().unwrap().to_str() != Some(&missing) {
                    less.append(&entry.header().clone(), entry).unwrap();
                }
            }
            let seen =
                inspect(Some(Format::Tar), Cursor::new(less.into_inner().unwrap()), Depth::Head, Bounds::default());
            assert!(
                seen.ended == Ended::Damaged || seen.format == Format::Tar,
                "{name} without {missing}: {}",
                seen.why
            );
        }
    }
}

/// `pg_restore -l` is content with a cut dump: its table of contents stands at the front.
#[test]
fn a_cut_custom_dump_is_truncated_though_its_table_of_contents_is_whole() {
    for name in ["shop.dump", "shop-piped.dump"] {
        let bytes = fixture(name);
        let cut = &bytes[..bytes.len() - 300];
        for seen in [head(cut), full(cut)] {
            assert_eq!((seen.ended, seen.counts.objects), (Ended::Truncated, Some(10)), "{}", seen.why);
        }
    }
}

#[test]
fn directory_dumps() {
    let mut folder = Memory::default();
    for name in ["toc.dat", "blobs.toc", "3350.dat.gz", "3351.dat.gz", "blob_16403.dat.gz", "blob_16404.dat.gz"] {
        folder.add(name, fixture(&format!("shop-dir/{name}")));
    }
    let seen = folder.at(Depth::Full);
    assert_eq!((seen.ended, seen.format), (Ended::Complete, Format::PgDumpDirectory), "{}", seen.why);
    assert_eq!((seen.counts.objects, seen.checked_by), (Some(10), vec!["crc32 of gzip".to_owned()]));
    assert_eq!(folder.at(Depth::Head).ended, Ended::Complete);
    for name in folder.0.keys() {
        let mut missing = folder.clone();
        missing.0.remove(name);
        let (head, full) = missing.ended();
        assert!(head != Ended::Complete && full != Ended::Complete, "{name} is missing");
        let mut cut = folder.clone();
        cut.0.get_mut(name).unwrap().pop();
        assert_ne!(cut.at(Depth::Full).ended, Ended::Complete, "{name} is cut");
        if name.ends_with(".gz") {
            let mut changed = folder.clone();
            let contents = changed.0.get_mut(name).unwrap();
            let last = contents.len() - 9;
            contents[last] ^= 1;
            assert_ne!(changed.at(Depth::Full).ended, Ended::Complete, "{name} is changed");
        }
    }
}

#[test]
fn tar_dumps() {
    let seen = whole("shop-pg.tar", Format::PgDumpTar);
    assert_eq!((seen.counts.objects, seen.counts.filled), (Some(10), Some(3)));
    assert_eq!(seen.origin.databases, ["shop"]);
    assert_eq!(head(&fixture("shop-pg.tar")).ended, Ended::Complete);
}

#[test]
fn sql_of_postgresql() {
    let seen = whole("shop.sql", Format::PgDumpSql);
    // 300 articles and three notes, of which one pretends to be the end.
    assert_eq!((seen.counts.rows, seen.counts.objects, seen.counts.filled), (Some(303), Some(10), Some(3)));
    assert_eq!(seen.origin.server.as_deref(), Some("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"));
    assert_eq!(seen.checked_by, Vec::<String>::new());
    assert_eq!(head(&fixture("shop.sql")).ended, Ended::Complete);
    assert_eq!(whole("empty.sql", Format::PgDumpSql).counts.objects, Some(0));
    let seen = whole("all.sql", Format::PgDumpall);
    assert_eq!(seen.origin.databases, ["template1", "empty", "postgres", "shop"]);
    let seen = full(&fixture("shop-verbose.sql.zst"));
    assert_eq!(seen.ended, Ended::Complete, "{}", seen.why);
    assert_eq!(seen.started.as_deref(), Some("2026-11-24T13:55:58Z"));
    assert_eq!(seen.finished.as_deref(), Some("2026-11-24T13:55:58Z"));
    assert_eq!((seen.counts.inserts, seen.origin.databases), (Some(303), vec!["shop".to_owned()]));
}

#[test]
fn rows_that_look_like_the_end_are_not_the_end() {
    let bytes = fixture("shop.sql");
    let row = b"-- PostgreSQL database dump complete\n";
    let at = bytes.windows(row.len()).position(|window| window == row).unwrap();
    let seen = full(&bytes[..at + row.len()]);
    assert_eq!(seen.ended, Ended::Truncated, "{}", seen.why);
}

#[test]
fn long_sql_is_read_at_both_ends_only() {
    let bytes = fixture("shop.sql");
    let mark = b"\\.\n";
    let at = bytes.windows(3).position(|window| window == mark).unwrap();
    let mut long = bytes[..at].to_vec();
    (0..20_000).for_each(|number| long.extend_from_slice(format!("{number}\tsome article\t1.0\n").as_bytes()));
    long.extend_from_slice(&bytes[at..]);
    let seen = head(&long);
    assert_eq!((seen.ended, seen.counts.rows), (Ended::Complete, None), "{}", seen.why);
    assert!(seen.read < long.len() as u64 / 2);
    assert_eq!(full(&long).counts.rows, Some(20_303));
    assert_eq!(head(&long[..long.len() - 100]).ended, Ended::Truncated);
}

#[test]
fn sql_of_mariadb() {
    let seen = whole("my-shop.sql", Format::MysqlDump);
    assert_eq!(seen.finished_local.as_deref(), Some("2026-11-24T13:56:11"));
    assert_eq!(
        (seen.origin.host.as_deref(), seen.origin.databases.as_slice()),
        (Some("localhost"), &["shop".into()][..])
    );
    assert_eq!(seen.origin.server.as_deref(), Some("10.11.19-MariaDB-0+deb12u1"));
    assert_eq!((seen.counts.objects, seen.counts.inserts), (Some(1), Some(1)));
    assert_eq!(whole("my-leer.sql", Format::MysqlDump).counts.objects, Some(0));
    let seen = whole("my-dbs.sql", Format::MysqlDump);
    assert_eq!(seen.origin.databases, ["shop", "leer"]);
    assert_eq!(whole("my-nodate.sql", Format::MysqlDump).finished_local, None);
    // Without comments nothing says what it is nor where it ends.
    let seen = full(&fixture("my-compact.sql"));
    assert_eq!(seen.ended, Ended::NotProven, "{}", seen.why);
}

#[test]
fn redis() {
    let seen = whole("redis.rdb", Format::RedisRdb);
    // redis-check-rdb: "15 keys read".
    assert_eq!((seen.counts.keys, seen.checked_by.as_slice()), (Some(15), &["crc64 of the file".to_owned()][..]));
    assert_eq!(seen.origin.databases, ["0", "3"]);
    assert!(seen.origin.server.as_deref().unwrap().starts_with("Redis 7.0."));
    assert!(seen.started.as_deref().unwrap().starts_with("2026-11-24T13:56:"), "{seen:?}");
    assert_eq!(whole("redis-empty.rdb", Format::RedisRdb).counts.keys, Some(0));
    let seen = head(&fixture("redis.rdb"));
    assert_eq!((seen.ended, seen.started.is_some()), (Ended::NotProven, true));
    // Without a checksum the walk alone decides.
    let mut bytes = fixture("redis.rdb");
    let end = bytes.len() - 8;
    bytes[end..].fill(0);
    let seen = full(&bytes);
    assert_eq!((seen.ended, seen.checked_by.len()), (Ended::Complete, 0), "{}", seen.why);
}

#[test]
fn manifests() {
    let bytes = unpacked("backup_manifest.crc.zst");
    let mut seen = Inspection::new(Format::PgBasebackup);
    let manifest = crate::format::manifest::read(&bytes, &mut seen).unwrap();
    assert_eq!(manifest.files.len(), 1_569);
    assert_eq!(seen.log.len(), 1);
    assert!(seen.newest.is_some());
    let label = manifest.files.get("PG_VERSION").unwrap();
    let mut running = Algorithm::Crc32c.start();
    running.update(b"15\n");
    assert_eq!(label.checksum, Some((Algorithm::Crc32c, running.finish())));
    for at in (0..bytes.len()).step_by(997) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        assert!(crate::format::manifest::read(&changed, &mut seen).is_err(), "byte {at}");
        assert!(crate::format::manifest::read(&bytes[..at], &mut seen).is_err(), "cut at {at}");
    }
    for cut in 1..120 {
        let halt = crate::format::manifest::read(&bytes[..bytes.len() - cut], &mut seen).unwrap_err();
        assert_eq!(halt.ended, Ended::Truncated, "{cut}: {halt}");
    }
}

/// A small base backup with the label and the control file of a real one.
fn base() -> Memory {
    let mut folder = Memory::default();
    folder.add("backup_label", fixture("backup_label")).add("global/pg_control", fixture("pg_control"));
    folder.add("PG_VERSION", "15\n").add("base/1/1259", vec![7; 8192]).add("base/1/empty", "");
    let manifest = manifest_of(&folder);
    folder.add("backup_manifest", manifest);
    folder.add("pg_wal/000000010000000000000002", vec![1; 16 << 20]);
    folder
}

fn manifest_of(folder: &Memory) -> Vec<u8> {
    let files: Vec<String> = folder
        .0
        .iter()
        .map(|(name, contents)| {
            let mut running = Algorithm::Sha256.start();
            running.update(contents);
            format!(
                "{{ \"Path\": \"{name}\", \"Size\": {}, \"Last-Modified\": \"2026-11-24 13:56:00 GMT\", \
                 \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"{}\" }}",
                contents.len(),
                hex(&running.finish())
            )
        })
        .collect();
    let mut text = format!(
        "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": 1, \
         \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }}\n],\n",
        files.join(",\n")
    );
    let mut running = Algorithm::Sha256.start();
    running.update(text.as_bytes());
    text += &format!("\"Manifest-Checksum\": \"{}\"}}\n", hex(&running.finish()));
    text.into_bytes()
}

#[test]
fn base_backups_as_folders() {
    let folder = base();
    let seen = folder.at(Depth::Full);
    assert_eq!((seen.ended, seen.format), (Ended::Complete, Format::PgBasebackup), "{}", seen.why);
    assert_eq!(seen.started.as_deref(), Some("2026-11-24T13:56:00Z"));
    assert_eq!(seen.origin.system.as_deref(), Some(SYSTEM));
    assert!(seen.checked_by.contains(&"checksum of each file in the manifest".to_owned()));
    assert_eq!(folder.at(Depth::Head).ended, Ended::Complete);
    for name in folder.0.keys() {
        let mut missing = folder.clone();
        missing.0.remove(name);
        let (head, full) = missing.ended();
        assert!(head != Ended::Complete && full != Ended::Complete, "{name} is missing");
        let mut changed = folder.clone();
        if let Some(byte) = changed.0.get_mut(name).and_then(|contents| contents.last_mut()) {
            *byte ^= 1;
            // Records of WAL carry checksums of their own, which are not read here.
            let expected = name.starts_with("pg_wal/");
            assert_eq!(changed.at(Depth::Full).ended == Ended::Complete, expected, "{name} is changed");
        }
        let mut cut = folder.clone();
        if cut.0.get_mut(name).and_then(Vec::pop).is_some() {
            let (head, full) = cut.ended();
            assert!(head != Ended::Complete && full != Ended::Complete, "{name} is cut");
        }
    }
    let mut more = folder.clone();
    more.add("base/1/stranger", "x");
    assert_eq!(more.at(Depth::Head).ended, Ended::Damaged);
}

/// What `pg_controldata` says of the same control file.
const SYSTEM: &str = "7711736419302342299";

fn tar_of(folder: &Memory, wanted: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, contents) in &folder.0 {
        let Some(name) = wanted(name) else { continue };
        let mut header = tar::Header::new_ustar();
        header.set_size(contents.len() as u64);
        archive.append_data(&mut header, name, contents.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn base_backups_as_tar_files() {
    let plain = base();
    let base = tar_of(&plain, |name| (!name.starts_with("pg_wal/") && name != "backup_manifest").then(|| name.into()));
    let mut folder = Memory::default();
    folder.add("base.tar.zst", zstd::encode_all(base.as_slice(), 1).unwrap());
    folder.add("pg_wal.tar", tar_of(&plain, |name| name.strip_prefix("pg_wal/").map(str::to_owned)));
    folder.add("backup_manifest", plain.0["backup_manifest"].clone());
    let seen = folder.at(Depth::Full);
    assert_eq!((seen.ended, seen.origin.system.as_deref()), (Ended::Complete, Some(SYSTEM)), "{}", seen.why);
    assert_eq!(folder.at(Depth::Head).ended, Ended::Complete);
    for name in ["base/1/1259", "PG_VERSION"] {
        let less = tar_of(&plain, |found| (found != name && !found.starts_with("pg_wal/")).then(|| found.into()));
        let mut missing = folder.clone();
        missing.add("base.tar.zst", zstd::encode_all(less.as_slice(), 1).unwrap());
        assert_eq!(missing.at(Depth::Full).ended, Ended::Damaged, "{name}");
    }
    let mut changed = plain.clone();
    changed.add("base/1/1259", vec![8; 8192]);
    let other = tar_of(&changed, |name| (!name.starts_with("pg_wal/")).then(|| name.into()));
    let mut damaged = folder.clone();
    damaged.add("base.tar.zst", zstd::encode_all(other.as_slice(), 1).unwrap());
    assert_eq!(damaged.at(Depth::Full).ended, Ended::Damaged);
    let mut no_log = folder.clone();
    no_log.0.remove("pg_wal.tar");
    assert_eq!(no_log.ended(), (Ended::NotProven, Ended::NotProven));
    // By itself it has no manifest.
    let seen = full(&base);
    assert_eq!((seen.format, seen.ended), (Format::Tar, Ended::Complete), "the first file is {:?}", seen.names);
}

#[test]
fn mariabackup_folders() {
    let mut folder = Memory::default();
    for name in ["xtrabackup_checkpoints", "xtrabackup_info"] {
        folder.add(name, fixture(&format!("mariabackup/{name}")));
    }
    let table = unpacked("mariabackup/item.ibd.zst");
    folder.add("ib_logfile0", "log").add("ibdata1", table.clone()).add("shop/item.ibd", table);
    let seen = folder.at(Depth::Full);
    assert_eq!((seen.ended, seen.format), (Ended::Complete, Format::Mariabackup), "{}", seen.why);
    assert_eq!(seen.checked_by, ["crc32c of each InnoDB page"]);
    assert_eq!(
        (seen.started_local.as_deref(), seen.finished_local.as_deref()),
        (Some("2026-11-24T13:56:11"), Some("2026-11-24T13:56:13"))
    );
    assert_eq!(
        (seen.sort.as_deref(), seen.incremental, seen.prepared),
        (Some("full-backuped"), Some(false), Some(false))
    );
    assert_eq!(seen.log[0].to.as_deref(), Some("44848"));
    for name in ["xtrabackup_checkpoints", "xtrabackup_info", "ibdata1", "ib_logfile0"] {
        let mut missing = folder.clone();
        missing.0.remove(name);
        let (head, full) = missing.ended();
        assert!(head != Ended::Complete && full != Ended::Complete, "{name} is missing");
    }
    let length = folder.0["shop/item.ibd"].len();
    for at in (0..length).step_by(1999) {
        let mut changed = folder.clone();
        changed.0.get_mut("shop/item.ibd").unwrap()[at] ^= 1;
        assert_ne!(changed.at(Depth::Full).ended, Ended::Complete, "byte {at}");
    }
    folder.add("xtrabackup_checkpoints", fixture("mariabackup/incremental_checkpoints"));
    assert_eq!(folder.at(Depth::Head).sort.as_deref(), Some("incremental"));
}

#[test]
fn xbstreams() {
    let seen = whole("small.xbstream", Format::Xbstream);
    assert_eq!((seen.counts.files, seen.sort.as_deref()), (Some(4), Some("full-backuped")));
    assert_eq!(seen.finished_local.as_deref(), Some("2026-11-24T13:56:13"));
    assert_eq!(head(&fixture("small.xbstream")).ended, Ended::Complete);
}
