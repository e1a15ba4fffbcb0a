//! Each state of the backup lab is what it says, by the tools' own word: also where their exit codes hide it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tests::{Borg, BorgKey, Cipher, DumpFormat, Finished, Mariadb, Pgbackrest, Postgres, Redis, Restic};

/// One field of an object, as text.
fn text<'a>(object: &'a Value, pointer: &str) -> Result<&'a str> {
    object.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer} in {object}"))
}

/// Whether a field has that value.
fn is(object: &Value, pointer: &str, value: impl Into<Value>) -> bool {
    object.pointer(pointer) == Some(&value.into())
}

/// The only one of a list.
fn only(mut list: Vec<Value>) -> Result<Value> {
    ensure!(list.len() == 1, "one is expected: {list:?}");
    list.pop().context("one is there")
}

/// Cuts bytes off the end of a file.
fn shorten(file: &std::path::Path, bytes: u64) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(file)?;
    Ok(file.set_len(file.metadata()?.len() - bytes)?)
}

/// What a run said on either output.
fn said(finished: &Finished, words: &str) -> Result<()> {
    ensure!(finished.stdout.contains(words) || finished.stderr.contains(words), "not said: {words}: {finished}");
    Ok(())
}

fn total_size(restic: &Restic, mode: &str) -> Result<u64> {
    let newest = restic.snapshots()?.pop().context("no snapshot")?;
    let stats = restic.run(&["stats", "--json", "--no-lock", "--mode", mode, text(&newest, "/id")?])?;
    stats.json()?.get("total_size").and_then(Value::as_u64).context("no total_size")
}

#[test]
fn restic_good_stale_future_and_empty() -> Result<()> {
    let good = Restic::good()?;
    ensure!(text(&only(good.snapshots()?)?, "/hostname")? == "host1", "the host");
    ensure!(total_size(&good, "restore-size")? > 200_000, "all sources are in it");
    good.run(&["check", "--read-data"])?.expect_code(0)?;
    for hours in [72, -72] {
        let aged = Restic::aged(SignedDuration::from_hours(hours))?;
        let time: Timestamp = text(&only(aged.snapshots()?)?, "/time")?.parse()?;
        let off = time.duration_until(Timestamp::now()) - SignedDuration::from_hours(hours);
        ensure!(off.abs() < SignedDuration::from_mins(5), "{hours} h: {time}");
    }
    let empty = Restic::empty()?;
    ensure!(empty.snapshots()?.is_empty(), "no snapshots");
    said(&empty.run(&["check"])?.expect_code(0)?, "no errors were found")?;
    ensure!(good.id()? != empty.id()?, "two repositories have two ids: one is foreign to the other");
    Ok(())
}

#[test]
fn restic_sources_that_are_missing_or_empty() -> Result<()> {
    let (half, job) = Restic::half_missing()?;
    said(&job.finished, "does not exist")?;
    let log = std::fs::read_to_string(&job.log)?;
    ensure!(log.contains("does not exist") && log.contains("\"message_type\":\"summary\""), "the log has both: {log}");
    let snapshot = only(half.snapshots()?)?;
    let paths = snapshot.pointer("/paths").and_then(Value::as_array).context("paths")?;
    if job.finished.code == Some(0) {
        ensure!(paths.len() == 1, "restic 0.14 leaves the missing path out: {paths:?}");
    }
    let emptied = Restic::emptied()?;
    ensure!(emptied.snapshots()?.len() == 2 && total_size(&emptied, "restore-size")? == 0, "the newest is empty");
    let canary = Restic::only_canary()?;
    ensure!(total_size(&canary, "restore-size")? == 12, "only the canary is left");
    let other = only(Restic::wrong_host()?.snapshots()?)?;
    ensure!(text(&other, "/hostname")? == "host2", "{other}");
    Ok(())
}

#[test]
fn restic_damage_that_check_sees_or_does_not() -> Result<()> {
    let flipped = Restic::flipped()?;
    said(&flipped.run(&["check"])?.expect_code(0)?, "no errors were found")?;
    said(&flipped.run(&["check", "--read-data"])?.expect_code(1)?, "repository contains errors")?;
    let snapshot = only(flipped.snapshots()?)?;
    flipped.run(&["restore", text(&snapshot, "/id")?, "--target", "restored"])?.expect_code(1)?;
    said(&Restic::truncated()?.run(&["check"])?.expect_code(1)?, "unexpected file size")?;
    said(&Restic::pack_missing()?.run(&["check"])?.expect_code(1)?, "does not exist")?;
    let refused = Restic::wrong_password()?.run(&["snapshots", "--json", "--no-lock"])?;
    ensure!(matches!(refused.code, Some(1 | 12)), "{refused}");
    said(&refused, "wrong password")
}

#[test]
fn restic_locks() -> Result<()> {
    let left = Restic::lock_left()?;
    let locks = left.run(&["list", "locks", "--no-lock"])?.expect_code(0)?.stdout;
    let lock = left.run(&["cat", "lock", locks.trim(), "--no-lock"])?.expect_code(0)?.json()?;
    ensure!(is(&lock, "/exclusive", true) && is(&lock, "/hostname", "gone.example"), "{lock}");
    said(&left.run(&["check"])?, "already locked exclusively")?;
    ensure!(left.snapshots()?.len() == 1, "--no-lock reads on");

    let restic = Restic::good()?;
    let check = restic.check_at_work()?;
    said(&restic.run(&["snapshots"])?, &format!("locked exclusively by PID {}", check.pid()))?;
    drop(check);
    restic.run(&["unlock"])?.expect_code(0)?;
    let backup = restic.backup_at_work()?;
    said(&restic.run(&["check"])?, "already locked")?;
    backup.kill();
    ensure!(restic.snapshots()?.len() == 1, "a killed backup leaves no snapshot");
    said(&restic.run(&["list", "locks", "--no-lock"])?, "\n")
}

#[test]
fn restic_lists_ten_thousand_snapshots() -> Result<()> {
    let restic = Restic::with_snapshots(10_000)?;
    let snapshots = restic.snapshots()?;
    ensure!(snapshots.len() == 10_001, "{} snapshots", snapshots.len());
    let trees: std::collections::BTreeSet<&str> =
        snapshots.iter().map(|snapshot| text(snapshot, "/tree")).collect::<Result<_>>()?;
    ensure!(trees.len() == 1, "they all have the first one's tree");
    // restic reads what is in them, too.
    let oldest = text(snapshots.first().context("the oldest")?, "/id")?;
    restic.run(&["restore", oldest, "--no-lock", "--target", "restored"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn borg_good_stale_future_and_modes() -> Result<()> {
    for hours in [0, 72, -72] {
        let borg = Borg::aged(SignedDuration::from_hours(hours))?;
        let start: jiff::civil::DateTime = text(&only(borg.archives()?)?, "/start")?.parse()?;
        let off = jiff::tz::TimeZone::UTC.to_timestamp(start)?.duration_until(Timestamp::now());
        ensure!((off - SignedDuration::from_hours(hours)).abs() < SignedDuration::from_mins(5), "{hours} h: {start}");
        borg.run(&["check", "--verify-data"])?.expect_code(0)?;
    }
    for key in [BorgKey::Repokey, BorgKey::Authenticated, BorgKey::None] {
        let info = Borg::with_key(key)?.run(&["info", "--json"])?.expect_code(0)?.json()?;
        ensure!(text(&info, "/encryption/mode")?.starts_with(key.mode()), "{key:?}: {info}");
    }
    let (one, other) = (Borg::empty(BorgKey::Repokey)?, Borg::empty(BorgKey::Repokey)?);
    ensure!(one.archives()?.is_empty() && one.id()? != other.id()?, "empty, and each foreign to the other");
    Ok(())
}

#[test]
fn borg_sources_that_are_missing_or_empty() -> Result<()> {
    let files = |borg: &Borg| -> Result<u64> {
        let info = borg.run(&["info", "--json", "--last", "1"])?.expect_code(0)?.json()?;
        info.pointer("/archives/0/stats/nfiles").and_then(Value::as_u64).context("no nfiles")
    };
    let (half, job) = Borg::half_missing()?;
    ensure!(half.archives()?.len() == 1 && files(&half)? == 11, "the archive is there, with what there was");
    let log = std::fs::read_to_string(&job.log)?;
    ensure!(log.contains("No such file or directory") && log.contains("WARNING"), "{log}");
    ensure!(files(&Borg::emptied()?)? == 0, "the newest is empty");
    ensure!(files(&Borg::only_canary()?)? == 1, "only the canary is left");
    let info = Borg::of_host("host2")?.run(&["info", "--json", "--last", "1"])?.expect_code(0)?.json()?;
    ensure!(text(&info, "/archives/0/hostname")? == "host2", "{info}");
    Ok(())
}

#[test]
fn borg_damage_that_check_sees_or_does_not() -> Result<()> {
    let flipped = Borg::flipped()?;
    ensure!(flipped.archives()?.len() == 1, "the list has no error");
    flipped.run(&["check", "--archives-only"])?.expect_code(0)?;
    said(&flipped.run(&["check", "--repository-only"])?.expect_code(1)?, "checksum mismatch")?;
    flipped.run(&["check", "--verify-data"])?.expect_code(1)?;
    flipped.run(&["extract", "--dry-run", "::nightly"])?.expect_code(2)?;
    let cut = Borg::truncated()?;
    ensure!(cut.archives()?.len() == 1, "the list has no error");
    cut.run(&["check", "--repository-only"])?.expect_code(1)?;
    said(&Borg::wrong_passphrase()?.run(&["list", "--json"])?.expect_code(2)?, "incorrect")
}

#[test]
fn borg_checkpoints_and_locks() -> Result<()> {
    let borg = Borg::checkpoint()?;
    ensure!(borg.archives()?.len() == 1, "the list hides the checkpoint");
    said(&borg.run(&["list", "--short", "--consider-checkpoints"])?.expect_code(0)?, "broken.checkpoint")?;
    let info = borg.run(&["info", "--json", "--last", "1"])?.expect_code(0)?.json()?;
    ensure!(text(&info, "/archives/0/name")? == "broken.checkpoint", "info does not hide it: {info}");

    let left = Borg::lock_left()?;
    said(&left.run(&["list", "--lock-wait", "0"])?.expect_code(2)?, "Failed to create/acquire the lock")?;
    left.run(&["list", "--bypass-lock"])?.expect_code(0)?;
    let borg = Borg::good()?;
    let work = borg.at_work()?;
    said(&borg.run(&["check", "--lock-wait", "0"])?.expect_code(2)?, "Failed to create/acquire the lock")?;
    work.kill();
    ensure!(borg.archives()?.len() == 1, "a killed backup leaves no archive");
    Ok(())
}

#[test]
fn postgres_dumps() -> Result<()> {
    let postgres = Postgres::start()?;
    ensure!(postgres.system_identifier()?.len() > 15, "a cluster has an identifier");
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    for format in [DumpFormat::Custom, DumpFormat::Directory, DumpFormat::Tar] {
        let dump = postgres.dump("app", format)?;
        said(&postgres.run("pg_restore", &["-l", &path(&dump)])?.expect_code(0)?, "TABLE DATA public users")?;
        postgres.run("pg_restore", &["-f", "/dev/null", &path(&dump)])?.expect_code(0)?;
    }
    for file in [postgres.dump("app", DumpFormat::Plain)?, postgres.dump_all()?] {
        let sql = std::fs::read_to_string(file)?;
        ensure!(sql.contains("COPY public.users") && sql.contains("dump complete"), "a whole dump");
    }
    let void = postgres.dump("void", DumpFormat::Custom)?;
    let listed = postgres.run("pg_restore", &["-l", &path(&void)])?.expect_code(0)?.stdout;
    ensure!(listed.lines().all(|line| line.is_empty() || line.starts_with(';')), "nothing is in it: {listed}");
    // Its table of contents is in front, so a dump without its end still lists.
    let custom = postgres.dump("app", DumpFormat::Custom)?;
    shorten(&custom, 3000)?;
    postgres.run("pg_restore", &["-l", &path(&custom)])?.expect_code(0)?;
    said(&postgres.run("pg_restore", &["-f", "/dev/null", &path(&custom)])?.expect_code(1)?, "end of file")?;
    // In a tar archive that ends in a table's rows, pg_restore 15 takes those that are left for all.
    let restored = |tar: &std::path::Path| {
        let out = tar.with_extension("restored");
        let read = postgres.run("/usr/bin/timeout", &["3", "pg_restore", "-f", &path(&out), &path(tar)])?;
        let sql = std::fs::read_to_string(&out)?;
        let rows = sql.lines().filter(|line| line.split('\t').count() == 2).count();
        Ok::<_, anyhow::Error>((read, rows, sql.contains("dump complete")))
    };
    let tar = postgres.dump("app", DumpFormat::Tar)?;
    let (_, all, _) = restored(&tar)?;
    shorten(&tar, 30_000)?;
    postgres.run("pg_restore", &["-l", &path(&tar)])?.expect_code(0)?;
    let (read, rows, complete) = restored(&tar)?;
    ensure!(read.code == Some(0) && complete && all == 5000 && rows < all, "{rows} of {all}: {read}");
    let listed = Command::new("tar").arg("-tf").arg(&tar).output()?;
    ensure!(!listed.status.success(), "tar itself sees that the end is missing");
    // Where another table would follow, it waits for ever: only a deadline ends it.
    postgres.sql("app", "create table z (i int)")?;
    let tar = postgres.dump("app", DumpFormat::Tar)?;
    shorten(&tar, 30_000)?;
    ensure!(restored(&tar)?.0.code == Some(124), "pg_restore does not end");
    Ok(())
}

#[test]
fn postgres_base_backups() -> Result<()> {
    let postgres = Postgres::start()?;
    let base = postgres.base_backup("base")?;
    let verify = || postgres.run("pg_verifybackup", &[&base.to_string_lossy()]);
    said(&verify()?.expect_code(0)?, "successfully verified")?;
    let version = base.join("PG_VERSION");
    std::fs::write(&version, "16\n")?;
    said(&verify()?.expect_code(1)?, "checksum mismatch")?;
    std::fs::remove_file(&version)?;
    said(&verify()?.expect_code(1)?, "not on disk")?;
    std::fs::remove_file(base.join("backup_manifest"))?;
    said(&verify()?.expect_code(1)?, "could not open file")
}

#[test]
fn pgbackrest_good_empty_and_encrypted() -> Result<()> {
    let empty = Pgbackrest::empty(Cipher::None)?;
    let info = empty.info()?;
    ensure!(is(&info, "/status/code", 2) && is(&info, "/cipher", "none"), "no valid backups: {info}");
    let good = Pgbackrest::good(Cipher::Aes)?;
    let info = good.info()?;
    ensure!(is(&info, "/status/code", 0) && is(&info, "/cipher", "aes-256-cbc"), "{info}");
    let identifier = info.pointer("/db/0/system-id").context("system-id")?.to_string();
    ensure!(identifier == good.postgres().system_identifier()?, "it names the cluster: {info}");
    said(&good.run(&["verify", "--output=text", "--verbose"])?.expect_code(0)?, "status: ok")
}

#[test]
fn pgbackrest_flipped_ends_with_zero() -> Result<()> {
    let flipped = Pgbackrest::flipped()?;
    let info = flipped.info()?;
    ensure!(is(&info, "/status/code", 0) && info.pointer("/backup/2").is_none(), "{info}");
    ensure!(
        text(&info, "/backup/1/type")? == "incr" && info.pointer("/backup/1/prior") == info.pointer("/backup/0/label"),
        "the second builds on the first"
    );
    ensure!(flipped.run(&["verify"])?.expect_code(0)?.stdout.is_empty(), "it says nothing by default");
    let verify = flipped.run(&["verify", "--log-level-console=info"])?.expect_code(0)?;
    for words in ["invalid checksum", "status: error", "status: invalid", "completed successfully"] {
        said(&verify, words)?;
    }
    Ok(())
}

#[test]
fn pgbackrest_does_not_see_a_wal_gap() -> Result<()> {
    let gap = Pgbackrest::wal_gap()?;
    ensure!(is(&gap.info()?, "/status/code", 0), "info sees no gap");
    let verify = gap.run(&["verify", "--log-level-console=detail"])?.expect_code(0)?;
    // Two ranges where a whole archive has one.
    ensure!(verify.stdout.matches("wal start:").count() == 2, "{verify}");
    let names: Vec<u64> = gap
        .wal_segments()?
        .iter()
        .map(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            u64::from_str_radix(name.get(16..24).unwrap_or_default(), 16).context("a segment's number")
        })
        .collect::<Result<_>>()?;
    let holes = names.iter().zip(names.iter().skip(1)).filter(|(one, next)| **one + 1 != **next).count();
    ensure!(holes == 1, "one is missing: {names:?}");
    Ok(())
}

#[test]
fn mariadb_dumps_and_backups() -> Result<()> {
    let mut mariadb = Mariadb::start()?;
    for database in ["app", "void"] {
        let dump = std::fs::read_to_string(mariadb.dump(database)?)?;
        ensure!(dump.trim_end().lines().last().is_some_and(|line| line.starts_with("-- Dump completed")), "{database}");
        ensure!(dump.contains("INSERT INTO `users`") == (database == "app"), "{database}");
        ensure!(dump.contains("CHANGE MASTER TO MASTER_LOG_FILE"), "the place in the binary log");
    }
    mariadb.restart()?;
    let full = mariadb.full("full")?;
    mariadb.sql("use app; insert into users (name) select 'more' from seq_1_to_500")?;
    let more = mariadb.incremental("more", &full)?;
    let checkpoints = |folder: &std::path::Path| std::fs::read_to_string(folder.join("xtrabackup_checkpoints"));
    ensure!(checkpoints(&full)?.contains("full-backuped") && checkpoints(&more)?.contains("incremental"), "types");
    said(&mariadb.prepare(&full, None)?.expect_code(0)?, "completed OK!")?;
    ensure!(checkpoints(&full)?.contains("log-applied"), "it says that it is prepared");
    mariadb.prepare(&full, Some(&more))?.expect_code(0)?;
    Ok(())
}

#[test]
fn mariabackup_prepares_damaged_backups_without_a_word() -> Result<()> {
    let mut mariadb = Mariadb::start()?;
    mariadb.restart()?;
    let (sound, flipped, cut) = (mariadb.full("sound")?, mariadb.full("flipped")?, mariadb.full("cut")?);
    Mariadb::flip(&flipped)?;
    Mariadb::cut(&cut)?;
    let table = |folder: &std::path::Path| folder.join("app/users.ibd");
    for folder in [&flipped, &cut] {
        said(&mariadb.prepare(folder, None)?.expect_code(0)?, "completed OK!")?;
    }
    // The offline checksum tool reads every page.
    let check = |folder: &std::path::Path| Command::new("innochecksum").arg(table(folder)).output();
    ensure!(check(&sound)?.status.success(), "an untouched backup is whole");
    ensure!(!check(&flipped)?.status.success(), "innochecksum sees the flipped page");
    ensure!(table(&cut).metadata()?.len() < table(&mariadb.data()).metadata()?.len(), "the cut table stays short");
    Ok(())
}

#[test]
fn redis_dumps() -> Result<()> {
    let empty = Redis::empty()?;
    let info = empty.cli(&["info", "persistence"])?.stdout;
    ensure!(info.contains("rdb_saves:0") && !info.contains("rdb_last_save_time:0"), "looks fresh: {info}");
    ensure!(!empty.dump().exists(), "and nothing was saved");
    let good = Redis::good()?;
    said(&good.check_dump()?.expect_code(0)?, "100 keys read")?;
    said(&Redis::flipped()?.check_dump()?.expect_code(1)?, "RDB CRC error")?;
    said(&Redis::truncated()?.check_dump()?.expect_code(1)?, "RDB ERROR DETECTED")
}
