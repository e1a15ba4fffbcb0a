use proptest::prelude::*;

use super::*;

/// Payloads, and how many bytes at the end may be missing without loss: padding behind the end of a tar.
fn payloads() -> Vec<(&'static str, usize)> {
    vec![
        ("shop.dump", 0),
        ("shop-piped.dump", 0),
        ("shop-z0.dump", 0),
        ("empty.dump", 0),
        ("shop-18-gzip.dump", 0),
        ("shop-18.tar", 0),
        ("shop-pg.tar", 0),
        ("shop.sql", 0),
        ("all.sql", 0),
        ("my-shop.sql", 0),
        ("redis.rdb", 0),
        ("redis-empty.rdb", 0),
        ("small.xbstream", 0),
        ("d.zip", 0),
        ("stream.zip", 0),
        ("shop.sql.gz", 0),
        ("shop.sql.zst", 0),
        ("shop.sql.xz", 0),
        ("shop.sql.bz2", 0),
        ("gnu.tar", 10_240),
        ("sparse.tar", 10_240),
        ("none.tar", 10_240),
    ]
}

/// The first cut that takes something away.
fn needed(bytes: &[u8], padded: usize) -> usize {
    let zeros = bytes.iter().rev().take(padded).take_while(|byte| **byte == 0).count();
    // The two blocks that end an archive begin at the next block after the contents.
    let end = (bytes.len() - zeros).next_multiple_of(512) + 1024;
    if padded == 0 { bytes.len() } else { end.min(bytes.len()) }
}

#[test]
fn nothing_that_is_cut_is_complete() {
    for (name, padded) in payloads() {
        let bytes = fixture(name);
        let end = needed(&bytes, padded);
        let last = end.saturating_sub(64)..end;
        for at in (0..end).step_by(41).chain(last) {
            for depth in [Depth::Head, Depth::Full] {
                let seen = inspect(None, Cursor::new(&bytes[..at]), depth, Bounds::default());
                assert_ne!(seen.ended, Ended::Complete, "{name} cut at {at}, {depth:?}: {}", seen.why);
            }
        }
    }
}

/// Formats whose checksums cover every byte, but for the head of the compressed stream (times, names, flags).
#[test]
fn nothing_that_is_changed_is_complete_where_a_checksum_covers_it() {
    let covered = [("redis.rdb", 0), ("shop.sql.gz", 10), ("shop.sql.zst", 0), ("shop.sql.xz", 0), ("shop.sql.bz2", 0)];
    for (name, from) in covered {
        let bytes = fixture(name);
        for at in (from..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let seen = full(&changed);
            assert_ne!(seen.ended, Ended::Complete, "{name} changed at {at}: {}", seen.why);
        }
    }
}

/// The data of a custom dump is covered by Adler-32, that of a zip by CRC-32; their tables of contents are not.
#[test]
fn changed_data_is_seen() {
    for (name, range) in [("shop.dump", 3_600..4_940), ("d.zip", 271..971), ("small.xbstream", 60..150)] {
        let bytes = fixture(name);
        for at in range.step_by(3) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let seen = full(&changed);
            assert_ne!(seen.ended, Ended::Complete, "{name} changed at {at}: {}", seen.why);
        }
    }
}

#[test]
fn every_change_is_survived() {
    for (name, _) in payloads() {
        let bytes = fixture(name);
        for at in (0..bytes.len()).step_by(97) {
            for change in [0x00, 0xff, 0x80] {
                let mut changed = bytes.clone();
                changed[at] = change;
                full(&changed);
                head(&changed);
            }
        }
    }
}

#[test]
fn bounds_are_kept() {
    let zeros = vec![0_u8; 64 << 20];
    let bomb = zstd::encode_all(zeros.as_slice(), 1).unwrap();
    // An empty archive with endless padding: what it unpacks to is bounded, and by how much.
    let bounds = Bounds { unpacked: 1 << 20, ..Bounds::default() };
    let seen = inspect(None, Cursor::new(&bomb), Depth::Full, bounds);
    assert_eq!((seen.ended, seen.unpacked < 2 << 20), (Ended::NotProven, true), "{}", seen.why);
    let seen = inspect(None, Cursor::new(&bomb), Depth::Full, Bounds { ratio: 100, ..Bounds::default() });
    assert_eq!((seen.ended, seen.unpacked < 32 << 20), (Ended::NotProven, true), "{}", seen.why);
    assert!(seen.why.starts_with("bound reached"), "{}", seen.why);
    for bounds in [Bounds { read: 100, ..Bounds::default() }, Bounds { entries: 1, ..Bounds::default() }] {
        for name in ["redis.rdb", "gnu.tar", "d.zip", "small.xbstream", "shop.dump"] {
            let seen = inspect(None, Cursor::new(fixture(name)), Depth::Full, bounds);
            assert_eq!(seen.ended, Ended::NotProven, "{name}: {}", seen.why);
        }
    }
}

#[test]
fn windows_beyond_the_memory_bound_are_not_damage() {
    // RFC 8878, section 3.1.1: magic, no flags, a window of 256 MiB, and an empty last block.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x90, 0x01, 0x00, 0x00];
    for bytes in [zstd.to_vec(), fixture("large-window.xz")] {
        let seen = full(&bytes);
        assert_eq!(seen.ended, Ended::NotProven, "{}", seen.why);
        assert!(seen.why.contains("can't be unpacked"), "{}", seen.why);
    }
}

/// Says nothing of damage when it is the disk that fails.
#[test]
fn a_failing_reader_is_not_damage() {
    struct Failing(Cursor<Vec<u8>>, u64);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(100);
            if self.0.position() > self.1 {
                return Err(io::Error::other("input/output error"));
            }
            self.0.read(&mut buffer[..most])
        }
    }
    impl io::Seek for Failing {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    for (name, _) in payloads() {
        let bytes = fixture(name);
        let half = bytes.len() as u64 / 2;
        let seen = inspect(None, Failing(Cursor::new(bytes), half), Depth::Full, Bounds::default());
        assert_eq!(seen.ended, Ended::NotProven, "{name}: {}", seen.why);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert_ne!(full(&bytes).ended, Ended::Complete);
        prop_assert_ne!(head(&bytes).ended, Ended::Complete);
    }

    #[test]
    fn noise_in_folders_is_survived(
        mark in 0..5_usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        text in "[ -~\n]{0,300}",
    ) {
        let mut folder = Memory::default();
        folder.add("toc.dat", [b"PGDMP\x01\x10\x00\x04\x08\x03".as_slice(), &bytes].concat());
        let marks = ["toc.dat", "backup_manifest", "base.tar", "backup_label", "xtrabackup_checkpoints"];
        if mark > 0 {
            folder.0.clear();
            for name in ["xtrabackup_info", "ibdata1", "ib_logfile0", "PG_VERSION", "global/pg_control", marks[mark]] {
                folder.add(name, if name.starts_with("xtra") { text.clone().into_bytes() } else { bytes.clone() });
            }
        }
        let (head, full) = folder.ended();
        prop_assert!(head != Ended::Complete && full != Ended::Complete, "{}", marks[mark]);
    }

    #[test]
    fn noise_behind_a_true_beginning_is_survived(
        which in 0..payloads().len(),
        keep in 1_usize..200,
        noise in proptest::collection::vec(any::<u8>(), 1..600),
    ) {
        let (name, _) = payloads()[which];
        let mut bytes = fixture(name);
        bytes.truncate(keep.min(bytes.len() / 2));
        bytes.extend_from_slice(&noise);
        prop_assert_ne!(full(&bytes).ended, Ended::Complete, "{}", name);
    }
}
