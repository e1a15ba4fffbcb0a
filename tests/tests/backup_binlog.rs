//! The binary log beside dumps, as a real MariaDB server writes it: unbroken, with a hole, with another server's file, and
//! without the place at which the dump was taken.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tests::{Audited, Mariadb};

/// Rows, and a new file of the log, so many times.
fn work(server: &Mariadb, files: u32) -> Result<()> {
    for _ in 0..files {
        server.sql("use app; insert into users (name) select md5(seq) from seq_1_to_20; flush binary logs")?;
    }
    Ok(())
}

/// Where the server keeps the file of that number.
fn of(server: &Mariadb, number: u32) -> Result<PathBuf> {
    let data = server.data();
    Ok(data.parent().context("no folder")?.join(format!("binlog.{number:06}")))
}

/// Puts files of the log into an archive, as a job would once they are whole.
fn archive(server: &Mariadb, to: &Path, numbers: std::ops::RangeInclusive<u32>) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for number in numbers {
        let file = of(server, number)?;
        std::fs::copy(&file, to.join(file.file_name().context("no name")?))?;
    }
    Ok(())
}

/// What an audit of the dump with that archive says.
fn chain(dump: &Path, archive: &Path, wanted: &str, reason: &str) -> Result<()> {
    let (dump, binlog) = (dump.display(), archive.join("binlog.*"));
    let binlog = binlog.display();
    let target = format!(
        "{{ files: {{ pattern: \"{dump}\", binlog: \"{binlog}\" }}, expect: {{ max_age: 26h, databases: [app] }} }}"
    );
    let audited = Audited::of("backup-full", &target, &["audit"])?;
    let (found, reasons) = (audited.verdict("BAK-CHAIN"), audited.reasons("BAK-CHAIN"));
    ensure!(
        found == wanted && reasons.contains(reason),
        "{found}, not {wanted} ({reason}): {reasons}\n{}",
        audited.finished
    );
    Ok(())
}

#[test]
fn a_log_is_followed_from_the_dump_on() -> Result<()> {
    let server = Mariadb::start()?;
    let place = tempfile::TempDir::new()?;
    work(&server, 2)?;
    let dump = server.dump("app")?;
    work(&server, 3)?;
    // The sixth is being written.
    let log = |name: &str| place.path().join(name);
    archive(&server, &log("good"), 1..=5)?;
    chain(&dump, &log("good"), "pass", "")?;
    archive(&server, &log("alive"), 2..=6)?;
    chain(&dump, &log("alive"), "pass", "")?;

    archive(&server, &log("hole"), 1..=5)?;
    std::fs::remove_file(log("hole/binlog.000004"))?;
    chain(&dump, &log("hole"), "fail", "1 file(s) before binlog.000005 are missing")?;

    archive(&server, &log("late"), 4..=5)?;
    chain(&dump, &log("late"), "fail", "binlog.000003, in which it was taken, is not there")?;

    // Taken before the dump, and nothing since: the place is not held.
    archive(&server, &log("early"), 1..=2)?;
    chain(&dump, &log("early"), "fail", "binlog.000003, in which it was taken, is not there")?;

    // The middle one cut: whether it is whole is not shown.
    archive(&server, &log("cut"), 1..=5)?;
    let middle = log("cut/binlog.000004");
    let length = middle.metadata()?.len();
    std::fs::OpenOptions::new().write(true).open(&middle)?.set_len(length - 10)?;
    chain(&dump, &log("cut"), "inconclusive", "binlog.000004 does not end as a whole file does")?;
    Ok(())
}

#[test]
fn a_file_of_another_server_does_not_follow() -> Result<()> {
    let server = Mariadb::start()?;
    let (twin, other) = (Mariadb::start()?, Mariadb::with_arguments(vec!["--server-id=7".to_owned()])?);
    let place = tempfile::TempDir::new()?;
    work(&server, 1)?;
    let dump = server.dump("app")?;
    work(&server, 3)?;
    // The twin has the same number, and has done more: what the server did it seems to know of.
    twin.sql("create table app.more (id int); drop table app.more; create table app.more (id int)")?;
    work(&twin, 4)?;
    work(&other, 4)?;
    for (name, foreign) in [("twin", &twin), ("other", &other)] {
        let log = place.path().join(name);
        archive(&server, &log, 1..=4)?;
        archive(foreign, &log, 3..=3)?;
        chain(&dump, &log, "fail", "another history")?;
    }
    Ok(())
}
