use super::*;
use crate::format::{Detected, Packing, Seal, detect, inspect_for, inspect_stream};

#[test]
fn tar_variants() {
    for (name, files) in [("gnu.tar", 3), ("ustar.tar", 2), ("v7.tar", 2), ("sparse.tar", 4), ("sparse-pax.tar", 4)] {
        let seen = whole(name, Format::Tar);
        assert_eq!(seen.counts.files, Some(files), "{name}");
        assert_eq!(seen.names, ["data"], "{name}");
        assert_eq!(seen.newest.as_deref().map(|time| &time[..19]), Some("2026-11-20T01:02:03"), "{name}");
        assert_eq!(head(&fixture(name)).ended, Ended::Complete, "{name}");
    }
    assert_eq!(whole("none.tar", Format::Tar).counts.files, Some(0));
    let seen = full(&fixture("pax.tar.zst"));
    assert_eq!((seen.ended, seen.counts.files, seen.packing), (Ended::Complete, Some(3), Some(Packing::Zstd)));
}

#[test]
fn compressed_payloads() {
    let plain = whole("shop.sql", Format::PgDumpSql);
    for (name, packing, check) in [
        ("shop.sql.gz", Packing::Gzip, "crc32 of gzip"),
        ("shop.sql.zst", Packing::Zstd, "xxhash64 of zstd"),
        ("shop.sql.xz", Packing::Xz, "crc64 of xz"),
        ("shop.sql.bz2", Packing::Bzip2, "crc32 of bzip2"),
    ] {
        let seen = whole(name, Format::PgDumpSql);
        assert_eq!((seen.packing, seen.counts), (Some(packing), plain.counts), "{name}");
        assert_eq!(seen.checked_by, [check], "{name}");
        assert_eq!(seen.unpacked, plain.read, "{name}");
        let stream = inspect_stream(None, fixture(name).as_slice(), Depth::Full, Bounds::default());
        assert_eq!(stream, seen, "{name}");
    }
    let seen = full(&fixture("d.tar.lz4"));
    assert_eq!((seen.ended, seen.packing), (Ended::NotProven, Some(Packing::Lz4)));
}

#[test]
fn the_head_of_something_long_and_compressed_proves_no_end() {
    let mut sql = fixture("shop.sql");
    let tail = sql.split_off(sql.len() / 2);
    (0..200_000).for_each(|_| sql.extend_from_slice(b"-- another line\n"));
    sql.extend_from_slice(&tail);
    let packed = zstd::encode_all(sql.as_slice(), 1).unwrap();
    let seen = head(&packed);
    assert_eq!((seen.ended, seen.format), (Ended::NotProven, Format::PgDumpSql), "{}", seen.why);
    assert!(seen.origin.server.is_some() && seen.unpacked <= 2 << 20);
    assert_eq!(full(&packed).ended, Ended::Complete);
}

#[test]
fn the_head_of_a_stream_is_cheap_too() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(8 << 20);
    archive.append_data(&mut header, "data/large", vec![1_u8; 8 << 20].as_slice()).unwrap();
    let bytes = archive.into_inner().unwrap();
    let seen = inspect_stream(None, bytes.as_slice(), Depth::Head, Bounds::default());
    assert_eq!((seen.ended, seen.names.as_slice()), (Ended::NotProven, &["data".to_owned()][..]), "{}", seen.why);
    assert_eq!(seen.why, "is a stream: its end shows only when all of it is read");
    assert!(seen.read <= 2 << 20);
    // In a file the contents are jumped over.
    let seen = head(&bytes);
    assert!(seen.ended == Ended::Complete && seen.read < 1 << 20, "{}", seen.why);
}

#[test]
fn zip_variants() {
    for name in ["d.zip", "stored.zip", "stream.zip"] {
        let seen = whole_zip(name);
        assert_eq!((seen.counts.files, seen.seal), (Some(4), None), "{name}");
        assert_eq!(
            (seen.newest.as_deref(), seen.names.as_slice()),
            (Some("2026-11-20T01:02:03Z"), &["data".to_owned()][..])
        );
        assert_eq!(seen.checked_by, ["crc32 of each file"], "{name}");
        assert_eq!(head(&fixture(name)).ended, Ended::Complete, "{name}");
    }
    let seen = full(&fixture("enc.zip"));
    assert_eq!((seen.ended, seen.seal, seen.counts.files), (Ended::NotProven, Some(Seal::ZipCrypto), Some(4)));
    let stream = inspect_stream(None, fixture("d.zip").as_slice(), Depth::Full, Bounds::default());
    assert_eq!(stream.ended, Ended::NotProven);
}

fn whole_zip(name: &str) -> Inspection {
    let seen = full(&fixture(name));
    assert_eq!((seen.ended, seen.format), (Ended::Complete, Format::Zip), "{name}: {}", seen.why);
    seen
}

#[test]
fn sealed_payloads() {
    for (name, seal) in [
        ("x.age", Seal::Age),
        ("x.age.asc", Seal::Age),
        ("x-sym.gpg", Seal::OpenPgpSymmetric),
        ("x-sym.asc", Seal::OpenPgp),
        ("x-pub.gpg", Seal::OpenPgp),
        ("x.enc", Seal::OpensslEnc),
    ] {
        let seen = full(&fixture(name));
        assert_eq!((seen.ended, seen.seal), (Ended::NotProven, Some(seal)), "{name}: {}", seen.why);
        assert_eq!(detect(&fixture(name)), Detected::Sealed(seal), "{name}");
    }
}

#[test]
fn another_format_than_expected_is_not_proven() {
    let seen = inspect(Some(Format::RedisRdb), Cursor::new(fixture("shop.dump")), Depth::Full, Bounds::default());
    assert_eq!(seen.ended, Ended::NotProven);
    assert_eq!(seen.why, "Redis RDB was expected, this is pg_dump custom");
    let seen = inspect(Some(Format::Tar), Cursor::new(fixture("shop-pg.tar")), Depth::Full, Bounds::default());
    assert_eq!(seen.ended, Ended::Complete);
}

#[test]
fn nothing_is_not_a_backup() {
    assert_eq!(full(b"").ended, Ended::Truncated);
    assert_eq!(full(&[0; 100]).ended, Ended::NotProven);
    assert_eq!(Memory::default().ended(), (Ended::NotProven, Ended::NotProven));
}

#[test]
fn paths_are_held_where_a_file_lies_under_them() {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind) in [
        ("./srv/other/a", tar::EntryType::Regular),
        ("srv/data2/b", tar::EntryType::Regular),
        ("srv/empty/", tar::EntryType::Directory),
        ("etc/app.conf", tar::EntryType::Regular),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        archive.append_data(&mut header, name, io::empty()).unwrap();
    }
    let bytes = archive.into_inner().unwrap();
    let wanted = ["/srv/data", "/srv/other", "/srv/empty", "/srv", "srv/data2/", "/etc/app.conf", "/etc/app", "/"]
        .map(str::to_owned);
    for depth in [Depth::Head, Depth::Full] {
        let mut seen = inspect_for(None, Cursor::new(&bytes), depth, Bounds::default(), &wanted);
        seen.held.sort();
        assert_eq!(seen.held, ["/", "/etc/app.conf", "/srv", "/srv/other", "srv/data2/"]);
    }
    let wanted = ["/data/".to_owned(), "/dat".to_owned()];
    for name in ["d.zip", "stored.zip", "gnu.tar", "pax.tar.zst"] {
        let seen = inspect_for(None, Cursor::new(fixture(name)), Depth::Head, Bounds::default(), &wanted);
        assert_eq!(seen.held, ["/data/"], "{name}");
    }
}
