//! The states that an audit must tell apart, for each tool that makes copies: which test shows it, by the real tool.
//!
//! Files of the tests: `r` `backup_restic.rs`, `b` `backup_borg.rs`, `p` `backup_pgbackrest.rs`, `f` `backup_files.rs`,
//! `d` `backup_drill.rs`, `i` `backup_read.rs` (integrity), `s` this file, `S3` `check-backup/src/source/s3/tests.rs`
//! (against `s3s-fs`, an S3 server over a folder that stands in for a store), `u` `check-backup/src/source/files/tests.rs`.
//!
//! | state | restic | Borg | pgBackRest | PostgreSQL | MariaDB | Redis | tar, zip | S3 |
//! |---|---|---|---|---|---|---|---|---|
//! | good | r `a_good_…` | b `a_good_…` | p `a_good_…` | f `dumps_of_postgresql`, `base_backups_…` | f `dumps_of_mariadb_…` | same | f `archives_…` | S3 `objects_…` |
//! | stale | r `stale_…` | b `stale_…` | p `stale_…` | s `what_is_old_…` | s `what_is_old_…` | s `what_is_old_…` | f `archives_…` | 7 |
//! | empty | r `stale_…`, `copies_…` | b `stale_…` | p `ciphers_…` | f `dumps_of_postgresql` | s `nothing_in_it_…` | s `nothing_in_it_…` | s `archives_in_…` | S3 `objects_…` |
//! | half the sources missing | r `copies_…` | b `a_path_…` | 1 | s `a_database_…` | s `a_database_…` | 2 | f `archives_…` | S3 `states_…` |
//! | truncated | s `cut_repositories_…` | s `cut_repositories_…` | s `cut_repositories_…` | f `dumps_of_postgresql` | f `dumps_of_mariadb_…` | same | f `archives_…` | S3 `objects_…` |
//! | bit flipped | i `damage_…` | i `damage_…` | i `damage_…` | f `base_backups_…`, s `flipped_…` | s `flipped_…` | f `dumps_of_mariadb_…` | s `archives_in_…` | S3 `states_…` |
//! | locked | r `what_cannot_…` | b `a_checkpoint_…` | s `a_stanza_at_work` | 3 | 3 | 3 | 3 | 3 |
//! | wrong host | r `stale_…` | b `stale_…` | 4 | 4 | 4 | 4 | 4 | 4 |
//! | foreign repository | r `stale_…` | s `a_foreign_…` | p `stale_…` | f `base_backups_…` | 5 | 5 | 5 | S3 `nothing_below_…` |
//! | future-dated | r `stale_…` | b `stale_…` | s `the_future_…` | s `the_future_…` | s `the_future_…` | s `the_future_…` | f `archives_…` | 7 |
//! | wrong password | r `what_cannot_…` | b `a_checkpoint_…` | p `stale_…` | 6 | 6 | 6 | 6 | S3 `nothing_below_…` |
//! | only the canary inside | r `copies_…` | b `stale_…` | s `only_the_canary_…` | s `only_the_canary_…` | s `only_the_canary_…` | s `only_the_canary_…` | s `archives_in_…` | S3 `states_…` |
//!
//! What can't exist: 1: pgBackRest copies the whole cluster, and ends with an error where a file can't be read. 2: a
//! snapshot holds all keys or is no snapshot. 3: files know no lock; one that is written meanwhile is u
//! `a_copy_that_is_written_meanwhile_…`. 4: the format names no machine. 5: the format names no server; another
//! database is s `a_database_…`. 6: the format has no password of its own; what is encrypted by another program is u
//! `encrypted_copies_…`. 7: the store's own clock says when an object was made, S3 `states_…`.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::{Audited, Borg, BorgKey, Cipher, DumpFormat, Mariadb, Pgbackrest, Postgres, Redis, Restic};

/// How far ahead the clock of a copy from the future is, in hours.
const AHEAD: u32 = 40;

/// An audit of the files that match, with more of the source and of what is expected.
fn files(pattern: &Path, source: &str, expect: &str) -> Result<Audited> {
    let pattern = pattern.display();
    let backup =
        format!("{{ files: {{ pattern: \"{pattern}\"{source} }}, expect: {{ {expect} }}, read: {{ parts: 1 }} }}");
    Audited::of("backup-full", &backup, &["audit"])
}

fn stanza(stanza: &Pgbackrest, expect: &str, more: &str) -> Result<Audited> {
    let config = stanza.config();
    let config = config.display();
    let backup = format!("{{ pgbackrest: {{ stanza: main, config: \"{config}\" }}, expect: {{ {expect} }}{more} }}");
    Audited::of("backup-full", &backup, &["audit"])
}

fn borg(borg: &Borg, id: &str, more: &str) -> Result<Audited> {
    let (repository, passphrase) = (borg.repository(), borg.passphrase_file());
    let backup = format!(
        "{{ borg: {{ repository: \"{}\", passphrase: \"file:{}\"{id} }}{more} }}",
        repository.display(),
        passphrase.display()
    );
    Audited::of("backup-full", &backup, &["audit"])
}

fn verdict(audited: &Audited, control: &str, wanted: &str) -> Result<()> {
    let found = audited.verdict(control);
    ensure!(found == wanted, "{control}: {found}: {}\n{}", audited.reasons(control), audited.finished);
    Ok(())
}

/// Inverts a byte.
fn flip(path: &Path, at: u64) -> Result<()> {
    let byte = *std::fs::read(path)?.get(usize::try_from(at)?).unwrap_or(&0);
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(at))?;
    Ok(file.write_all(&[!byte])?)
}

#[test]
fn what_is_old_is_stale() -> Result<()> {
    // All three carry their own time, so that age is a matter of waiting.
    let (postgres, mariadb, redis) = (Postgres::start()?, Mariadb::start()?, Redis::good()?);
    let dumps = [
        (postgres.dump("app", DumpFormat::Custom)?, ""),
        (mariadb.dump("app")?, ""),
        (redis.dump(), ", database: app"),
    ];
    std::thread::sleep(std::time::Duration::from_secs(3));
    for (dump, source) in &dumps {
        verdict(&files(dump, source, "databases: [app], max_age: 1s")?, "BAK-FRESH", "fail")?;
        verdict(&files(dump, source, "databases: [app], max_age: 1h")?, "BAK-FRESH", "pass")?;
    }
    Ok(())
}

#[test]
fn nothing_in_it_is_no_copy() -> Result<()> {
    let mariadb = Mariadb::start()?;
    let void = files(&mariadb.dump("void")?, "", "max_age: 26h, databases: [void]")?;
    ensure!(void.fact("backup", "/catalogue/snapshots/0/objects")? == 0, "{}", void.finished);
    verdict(&void, "BAK-SIZE", "fail")?;
    let redis = Redis::empty()?;
    redis.save()?;
    let empty = files(&redis.dump(), "", "max_age: 26h")?;
    ensure!(empty.fact("backup", "/catalogue/snapshots/0/objects")? == 0, "{}", empty.finished);
    verdict(&empty, "BAK-SIZE", "fail")
}

#[test]
fn a_database_that_is_missing_is_not_covered() -> Result<()> {
    let (postgres, mariadb) = (Postgres::start()?, Mariadb::start()?);
    let wanted = "max_age: 26h, databases: [app, shop]";
    for dump in [postgres.dump("app", DumpFormat::Custom)?, mariadb.dump("app")?] {
        verdict(&files(&dump, "", wanted)?, "BAK-COVERAGE", "fail")?;
        verdict(&files(&dump, "", "max_age: 26h, databases: [app]")?, "BAK-COVERAGE", "pass")?;
    }
    Ok(())
}

#[test]
fn cut_repositories_are_damaged() -> Result<()> {
    let restic = Restic::truncated()?;
    let (repository, password) = (restic.repository(), restic.password_file());
    let target = format!(
        "{{ restic: {{ repository: \"{}\", password: \"file:{}\" }}, read: {{ parts: 1 }} }}",
        repository.display(),
        password.display()
    );
    verdict(&Audited::of("backup-full", &target, &["audit"])?, "BAK-INTEGRITY", "fail")?;
    // Borg can't even list what is cut.
    verdict(&borg(&Borg::truncated()?, "", ", read: { parts: 1 }")?, "BAK-INTEGRITY", "inconclusive")?;
    verdict(&stanza(&Pgbackrest::truncated()?, "", ", read: { parts: 1 }")?, "BAK-INTEGRITY", "fail")
}

#[test]
fn flipped_dumps_are_damaged_only_where_a_checksum_shows_it() -> Result<()> {
    let (postgres, mariadb) = (Postgres::start()?, Mariadb::start()?);
    // Both compress here; what is not compressed carries no checksum over its rows, which is said.
    let custom = postgres.dump("app", DumpFormat::Custom)?;
    flip(&custom, custom.metadata()?.len() / 2)?;
    verdict(&files(&custom, "", "max_age: 26h")?, "BAK-INTEGRITY", "fail")?;
    let sql = mariadb.dump("app")?;
    let plain = files(&sql, "", "max_age: 26h")?;
    verdict(&plain, "BAK-INTEGRITY", "inconclusive")?;
    ensure!(Command::new("gzip").arg("-k").arg(&sql).status()?.success());
    let packed = sql.with_extension("sql.gz");
    verdict(&files(&packed, "", "max_age: 26h")?, "BAK-INTEGRITY", "pass")?;
    flip(&packed, packed.metadata()?.len() / 2)?;
    verdict(&files(&packed, "", "max_age: 26h")?, "BAK-INTEGRITY", "fail")
}

#[test]
fn a_stanza_at_work() -> Result<()> {
    let good = Pgbackrest::good(Cipher::None)?;
    let work = good.at_work()?;
    let locked = stanza(&good, "databases: [main], max_age: 26h", "")?;
    let locks = locked.fact("backup", "/locks/locks")?;
    ensure!(locks.as_array().is_some_and(|locks| locks.len() == 1), "{locks}");
    // The lock keeps nobody from looking, and the backup that is made meanwhile is no copy yet.
    verdict(&locked, "BAK-FRESH", "pass")?;
    let copies = locked.fact("backup", "/catalogue/snapshots")?;
    ensure!(copies.as_array().is_some_and(|copies| copies.len() == 1), "{copies}");
    work.kill();
    let after = stanza(&good, "databases: [main], max_age: 26h", "")?;
    ensure!(after.fact("backup", "/locks/locks")? == Value::Array(Vec::new()), "{}", after.finished);
    let copies = after.fact("backup", "/catalogue/snapshots")?;
    ensure!(copies.as_array().is_some_and(|copies| copies.len() == 1), "what was killed is no copy: {copies}");
    Ok(())
}

#[test]
fn a_foreign_repository_of_borg_is_not_the_one_that_is_pinned() -> Result<()> {
    let (ours, foreign) = (Borg::good()?, Borg::good()?);
    let id = format!(", id: {}", ours.id()?);
    verdict(&borg(&ours, &id, "")?, "BAK-IDENTITY", "pass")?;
    verdict(&borg(&foreign, &id, "")?, "BAK-IDENTITY", "fail")?;
    verdict(&borg(&Borg::empty(BorgKey::Repokey)?, &id, "")?, "BAK-IDENTITY", "fail")
}

#[test]
fn the_future_is_no_time_for_a_copy() -> Result<()> {
    let future = |audited: &Audited| {
        verdict(audited, "BAK-FUTURE", "fail")?;
        verdict(audited, "BAK-FRESH", "fail")
    };
    let ahead = Pgbackrest::later(AHEAD)?;
    future(&stanza(&ahead, "databases: [main], max_age: 26h", "")?)?;
    future(&files(&ahead.postgres().base_backup("base")?, "", "max_age: 26h")?)?;
    future(&files(&Postgres::start()?.dump_later("app", AHEAD)?, "", "max_age: 26h, databases: [app]")?)?;
    future(&files(&Mariadb::start()?.dump_later("app", AHEAD)?, "", "max_age: 26h, databases: [app]")?)?;
    future(&files(&Redis::later(AHEAD)?.dump(), "", "max_age: 26h")?)
}

#[test]
fn only_the_canary_is_too_little() -> Result<()> {
    let (postgres, mariadb) = (Postgres::start()?, Mariadb::start()?);
    postgres.sql("void", "create table heartbeat as select now() as at")?;
    let dump = postgres.dump("void", DumpFormat::Custom)?;
    verdict(&files(&dump, "", "max_age: 26h, min_bytes: 100kB")?, "BAK-SIZE", "fail")?;
    mariadb.sql("create table void.heartbeat as select now() as at")?;
    let dump = mariadb.dump("void")?;
    verdict(&files(&dump, "", "max_age: 26h, min_bytes: 100kB")?, "BAK-SIZE", "fail")?;
    let redis = Redis::empty()?;
    redis.set(1)?;
    redis.save()?;
    // Of Redis keys are counted, and their bytes are not known.
    let canary = files(&redis.dump(), "", "max_age: 26h, min_bytes: 100kB")?;
    ensure!(canary.fact("backup", "/catalogue/snapshots/0/objects")? == 1, "{}", canary.finished);
    verdict(&canary, "BAK-SIZE", "inconclusive")?;
    verdict(&files(&redis.dump(), "", "max_age: 26h, min_objects: 2")?, "BAK-SIZE", "fail")?;
    verdict(&files(&redis.dump(), "", "max_age: 26h, min_objects: 1")?, "BAK-SIZE", "pass")?;
    // A cluster is never small; how much must be in it the inventory says.
    let cluster = Pgbackrest::good(Cipher::None)?;
    verdict(&stanza(&cluster, "databases: [main], min_bytes: 1GiB", "")?, "BAK-SIZE", "fail")
}

#[test]
fn archives_in_the_other_states() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let here = folder.path();
    for part in ["srv/data", "srv/none"] {
        std::fs::create_dir_all(here.join(part))?;
    }
    std::fs::write(here.join("srv/data/canary"), "canary 7d1f\n")?;
    let expect = "paths: [/srv/data], min_files: 5";
    for (name, tool) in [("a.tgz", &["tar", "-czf"] as &[&str]), ("a.zip", &["python3", "-m", "zipfile", "-c"])] {
        let made = |what: &str| -> Result<_> {
            let path = here.join(name);
            let [program, rest @ ..] = tool else { anyhow::bail!("no tool") };
            let done = Command::new(program).current_dir(here).args(rest).arg(&path).arg(what).output()?;
            ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            Ok(path)
        };
        verdict(&files(&made("srv")?, "", expect)?, "BAK-SIZE", "fail")?;
        verdict(&files(&made("srv/none")?, "", expect)?, "BAK-COVERAGE", "fail")?;
        std::fs::write(here.join("srv/data/noise"), (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>())?;
        let flipped = made("srv")?;
        verdict(&files(&flipped, "", "paths: [/srv/data]")?, "BAK-INTEGRITY", "pass")?;
        flip(&flipped, flipped.metadata()?.len() / 2)?;
        verdict(&files(&flipped, "", "paths: [/srv/data]")?, "BAK-INTEGRITY", "fail")?;
        std::fs::remove_file(here.join("srv/data/noise"))?;
    }
    Ok(())
}
