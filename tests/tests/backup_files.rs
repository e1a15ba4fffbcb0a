//! Dumps, base backups, snapshots and archives made by the real tools, in states that the tools' own words hide.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use tests::{Audited, DumpFormat, Mariadb, Postgres, Redis};

fn target(pattern: &Path, more: &str) -> String {
    format!("{{ files: {{ pattern: \"{}\"{more} }}, expect: {{ max_age: 26h }} }}", pattern.display())
}

fn audited(pattern: &Path, expect: &str) -> Result<Audited> {
    let backup = format!("{{ files: {{ pattern: \"{}\" }}, expect: {{ max_age: 26h{expect} }} }}", pattern.display());
    Audited::of("baseline", &backup, &["audit"])
}

fn complete(audited: &Audited) -> Result<String> {
    let outcome = audited.fact("backup", "/catalogue/snapshots/0/complete/outcome")?;
    Ok(outcome.as_str().unwrap_or("nothing").to_owned())
}

fn cut(path: &Path, bytes: u64) -> Result<()> {
    let length = std::fs::metadata(path)?.len();
    Ok(OpenOptions::new().write(true).open(path)?.set_len(length.saturating_sub(bytes))?)
}

#[test]
fn dumps_of_postgresql() -> Result<()> {
    let postgres = Postgres::start()?;
    postgres.sql("postgres", "create database shop")?;
    postgres.sql("shop", "create table t as select i, md5(i::text) from generate_series(1, 20000) i")?;
    for format in [DumpFormat::Custom, DumpFormat::Plain, DumpFormat::Tar] {
        let dump = postgres.dump("shop", format)?;
        // A plain dump does not say which database it is of, nor, without --verbose, when it was made; the inventory does.
        let named = target(&dump, ", database: shop, trust_mtime: true")
            .replace("max_age: 26h", "max_age: 26h, databases: [shop], min_bytes: 1kB");
        let good = Audited::of("baseline", &named, &["audit"])?;
        ensure!(complete(&good)? == "present", "{format:?}: {}\n{}", good.fact("backup", "/catalogue")?, good.finished);
        for control in ["BAK-FRESH", "BAK-COVERAGE", "BAK-SIZE"] {
            let why = good.reasons(control);
            ensure!(good.verdict(control) == "pass", "{format:?} {control}: {why}\n{}", good.finished);
        }
        // `pg_restore -l` reads the table of contents, which stands in front, and ends with 0.
        cut(&dump, 3000)?;
        let cut = Audited::of("baseline", &named, &["audit"])?;
        ensure!(complete(&cut)? == "absent", "{format:?}: {}", cut.fact("backup", "/catalogue")?);
        ensure!(cut.verdict("BAK-FRESH") == "fail", "{format:?}: {}", cut.finished);
    }
    postgres.sql("postgres", "create database empty")?;
    let empty = audited(&postgres.dump("empty", DumpFormat::Custom)?, ", databases: [empty]")?;
    ensure!(empty.fact("backup", "/catalogue/snapshots/0/objects")? == 0, "{}", empty.fact("backup", "/catalogue")?);
    ensure!(empty.verdict("BAK-SIZE") == "fail", "{}\n{}", empty.reasons("BAK-SIZE"), empty.finished);
    let other = audited(&postgres.dump("shop", DumpFormat::Custom)?, ", databases: [other]")?;
    ensure!(other.verdict("BAK-COVERAGE") == "fail", "{}", other.finished);
    Ok(())
}

#[test]
fn base_backups_are_pinned_and_read() -> Result<()> {
    let postgres = Postgres::start()?;
    let base = postgres.base_backup("base")?;
    let id = postgres.system_identifier()?;
    let pinned = Audited::of("baseline", &target(&base, &format!(", id: \"{id}\"")), &["audit"])?;
    ensure!(pinned.verdict("BAK-IDENTITY") == "pass", "{}\n{}", pinned.reasons("BAK-IDENTITY"), pinned.finished);
    let foreign = Audited::of("baseline", &target(&base, ", id: \"1234\""), &["audit"])?;
    ensure!(foreign.verdict("BAK-IDENTITY") == "fail", "{}", foreign.finished);
    let read = target(&base, "").replace(", expect", ", read: { parts: 1 }, expect");
    let good = Audited::of("baseline", &read, &["audit"])?;
    ensure!(good.fact("backup-read", "/parts/0/outcome")? == "intact", "{}", good.fact("backup-read", "")?);
    std::fs::write(base.join("PG_VERSION"), "16\n")?;
    let flipped = Audited::of("baseline", &read, &["audit"])?;
    ensure!(flipped.fact("backup-read", "/parts/0/outcome")? == "damaged", "{}", flipped.fact("backup-read", "")?);
    ensure!(flipped.verdict("BAK-DAMAGE") == "fail", "{}", flipped.finished);
    std::fs::remove_file(base.join("backup_manifest"))?;
    let bare = audited(&base, "")?;
    ensure!(complete(&bare)? != "present", "a base backup without its manifest proves nothing: {}", bare.finished);
    Ok(())
}

#[test]
fn dumps_of_mariadb_and_redis() -> Result<()> {
    let mariadb = Mariadb::start()?;
    mariadb.sql("create database shop; create table shop.t (i int); insert into shop.t values (1), (2)")?;
    let dump = mariadb.dump("shop")?;
    let good = audited(&dump, ", databases: [shop]")?;
    ensure!(complete(&good)? == "present", "{}", good.fact("backup", "/catalogue")?);
    cut(&dump, 40)?;
    let short = audited(&dump, ", databases: [shop]")?;
    ensure!(complete(&short)? == "absent" && short.verdict("BAK-FRESH") == "fail", "{}", short.finished);

    let redis = Redis::good()?;
    let good = audited(&redis.dump(), "")?;
    ensure!(complete(&good)? == "present", "{}", good.fact("backup", "/catalogue")?);
    for (name, broken) in [("flipped", Redis::flipped()?), ("truncated", Redis::truncated()?)] {
        let broken = audited(&broken.dump(), "")?;
        ensure!(complete(&broken)? == "absent", "{name}: {}", broken.fact("backup", "/catalogue")?);
    }
    Ok(())
}

#[test]
fn archives_hold_what_they_hold() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("srv/data");
    std::fs::create_dir_all(&data)?;
    std::fs::create_dir_all(folder.path().join("srv/other"))?;
    std::fs::write(data.join("a"), vec![b'x'; 200_000])?;
    std::fs::write(folder.path().join("srv/other/b"), "b")?;
    let tar = |name: &str, what: &str| -> Result<_> {
        let path = folder.path().join(name);
        let done = Command::new("tar").arg("-C").arg(folder.path()).args(["-czf"]).arg(&path).arg(what).output()?;
        ensure!(done.status.success());
        Ok(path)
    };
    let whole = audited(&tar("whole.tgz", "srv")?, ", paths: [/srv/data], min_files: 1")?;
    // tar goes on where it can't read a file; only its log says so.
    ensure!(complete(&whole)? == "not_proven", "{}", whole.fact("backup", "/catalogue")?);
    let log = folder.path().join("job.log");
    let cases = [("made whole.tgz\nexit 0\n", "present"), ("made whole.tgz\ntar: x: Cannot open\nexit 2\n", "absent")];
    for (text, wanted) in cases {
        std::fs::write(&log, text)?;
        let backup = target(&folder.path().join("whole.tgz"), "");
        let backup = backup.replace(", expect", &format!(", logs: [\"{}\"], expect", log.display()));
        let logged = Audited::of("baseline", &backup, &["audit"])?;
        ensure!(complete(&logged)? == wanted, "{text}: {}", logged.fact("backup", "/catalogue")?);
    }
    ensure!(whole.verdict("BAK-COVERAGE") == "pass", "{}\n{}", whole.reasons("BAK-COVERAGE"), whole.finished);
    let other = audited(&tar("other.tgz", "srv/other")?, ", paths: [/srv/data]")?;
    ensure!(other.verdict("BAK-COVERAGE") == "fail", "{}", other.finished);
    let short = tar("short.tgz", "srv")?;
    cut(&short, 20)?;
    let short = audited(&short, ", paths: [/srv/data]")?;
    ensure!(complete(&short)? == "absent", "{}", short.fact("backup", "/catalogue")?);
    // The newest file inside tells its age, since the archive's own time is that of its last copying.
    let dated = |name: &str, time: &str| -> Result<_> {
        for file in ["srv/data/a", "srv/data", "srv/other/b", "srv/other", "srv"] {
            let done = Command::new("touch").args(["-d", time]).arg(folder.path().join(file)).output()?;
            ensure!(done.status.success());
        }
        tar(name, "srv")
    };
    let stale = audited(&dated("stale.tgz", "2020-01-01")?, ", paths: [/srv/data]")?;
    ensure!(stale.verdict("BAK-FRESH") == "fail", "{}", stale.finished);
    let future = audited(&dated("future.tgz", "2035-01-01")?, ", paths: [/srv/data]")?;
    ensure!(future.verdict("BAK-FRESH") == "fail" && future.verdict("BAK-FUTURE") == "fail", "{}", future.finished);
    let nothing = audited(&folder.path().join("none-*.tgz"), ", paths: [/srv/data]")?;
    ensure!(nothing.verdict("BAK-FRESH") != "pass" && nothing.finished.code != Some(0), "{}", nothing.finished);
    Ok(())
}
