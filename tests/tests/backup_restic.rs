//! restic repositories in the states that an audit must tell apart. The tool's own exit code says "fine" of many.

use std::path::Path;

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use serde_json::Value;
use tests::{Audited, Restic};

const AUDIT: &[&str] = &["audit"];

/// The target for a repository, with what is expected of it.
fn target(restic: &Restic, expect: &str, more: &str) -> String {
    format!(
        "{{ restic: {{ repository: \"{}\", password: \"file:{}\" }}, expect: {{ hosts: [host1], paths: [\"{}\"], {expect} }}{more} }}",
        restic.repository().display(),
        restic.password_file().display(),
        restic.source().display(),
    )
}

fn audited(restic: &Restic, expect: &str, more: &str) -> Result<Audited> {
    Audited::of("baseline", &target(restic, expect, more), AUDIT)
}

/// The log of a job as a scheduler should keep it: both outputs, then the exit code.
fn logged(log: &Path, exit: i32) -> Result<String> {
    let text = std::fs::read_to_string(log)?;
    let path = log.with_extension("ended");
    std::fs::write(&path, format!("{text}\nexit {exit}\n"))?;
    Ok(format!(", logs: [\"{}\"]", path.display()))
}

#[test]
fn a_good_repository_passes_where_its_log_shows_that_it_is_complete() -> Result<()> {
    let restic = Restic::empty()?;
    let job = restic.backup(&[&restic.source()], "host1", &[], None)?;
    let log = logged(&job.log, 0)?;
    let id = restic.id()?;
    let backup =
        target(&restic, "max_age: 26h, min_files: 5", &log).replace("restic: {", &format!("restic: {{ id: \"{id}\","));
    let audited = Audited::of("baseline", &backup, AUDIT)?;
    for control in ["BAK-FRESH", "BAK-FUTURE", "BAK-COVERAGE", "BAK-IDENTITY", "BAK-SIZE", "BAK-ENCRYPT", "BAK-CHAIN"] {
        ensure!(audited.verdict(control) == "pass", "{control}: {}\n{}", audited.reasons(control), audited.finished);
    }
    // The facts are what restic itself says.
    let said = restic.snapshots()?;
    let seen = audited.fact("backup", "/catalogue/snapshots")?;
    let names = |list: &[Value], key: &str| -> Vec<Value> { list.iter().filter_map(|s| s.get(key).cloned()).collect() };
    ensure!(names(&said, "id") == names(seen.as_array().map_or(&[], Vec::as_slice), "name"));
    ensure!(names(&said, "paths") == names(seen.as_array().map_or(&[], Vec::as_slice), "paths"));
    ensure!(audited.fact("backup", "/identity/value")? == id);
    ensure!(audited.fact("backup", "/catalogue/snapshots/0/files")? == 11, "ten files and the canary");
    // Nothing was written into it, and no secret is in the pack.
    ensure!(restic.run(&["list", "locks"])?.stdout.trim().is_empty());
    let pack = std::fs::read_to_string(audited.probity.folder().join("pack/inventory.yaml"))?;
    ensure!(!pack.contains("correct horse"));
    audited.probity.run(["verify", "pack"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn without_a_log_completeness_is_not_proven_and_the_source_can_prove_it() -> Result<()> {
    let restic = Restic::good()?;
    let silent = audited(&restic, "max_age: 26h", "")?;
    assert_eq!(silent.verdict("BAK-FRESH"), "inconclusive");
    // The copy names another machine than this one, so that a comparison here would be of something else.
    let compared = audited(&restic, "max_age: 26h", ", compare_with_source: true")?;
    ensure!(compared.verdict("BAK-FRESH") == "inconclusive", "{}", compared.finished);
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // What is as old as the copy is compared; the sources were written before it.
    std::thread::sleep(std::time::Duration::from_secs(2));
    restic.backup(&[&restic.source()], &own, &[], None)?;
    let backup = target(&restic, "max_age: 26h", ", compare_with_source: true").replace("[host1]", &format!("[{own}]"));
    let compared = Audited::of("baseline", &backup, AUDIT)?;
    ensure!(compared.verdict("BAK-FRESH") == "pass", "{}\n{}", compared.reasons("BAK-FRESH"), compared.finished);
    Ok(())
}

#[test]
fn stale_empty_foreign_and_future_repositories_fail() -> Result<()> {
    let stale = audited(&Restic::aged(SignedDuration::from_hours(40))?, "max_age: 26h", "")?;
    ensure!(stale.verdict("BAK-FRESH") == "fail", "{}", stale.finished);
    let future = audited(&Restic::aged(SignedDuration::from_hours(-40))?, "max_age: 26h", "")?;
    ensure!(future.verdict("BAK-FRESH") == "fail" && future.verdict("BAK-FUTURE") == "fail", "{}", future.finished);
    let empty = audited(&Restic::empty()?, "max_age: 26h", "")?;
    ensure!(empty.verdict("BAK-FRESH") == "fail" && empty.verdict("BAK-COVERAGE") == "fail", "{}", empty.finished);
    let wrong = audited(&Restic::wrong_host()?, "max_age: 26h", "")?;
    ensure!(wrong.verdict("BAK-FRESH") == "fail" && wrong.verdict("BAK-COVERAGE") == "fail", "{}", wrong.finished);
    let foreign = Restic::good()?;
    let pinned =
        target(&foreign, "max_age: 26h", "").replace("restic: {", &format!("restic: {{ id: \"{}\",", "0".repeat(64)));
    let foreign = Audited::of("baseline", &pinned, AUDIT)?;
    ensure!(foreign.verdict("BAK-IDENTITY") == "fail", "{}", foreign.finished);
    for one in [stale, future, empty, wrong, foreign] {
        ensure!(one.finished.code == Some(1), "a failure at or above 'high' ends with 1: {}", one.finished);
    }
    Ok(())
}

#[test]
fn copies_that_lack_something_fail_though_restic_ended_well() -> Result<()> {
    let (half, job) = Restic::half_missing()?;
    assert_eq!(job.finished.code, Some(0), "restic 0.14 ends with 0 though half of the sources is missing");
    let log = logged(&job.log, 0)?;
    let audit = audited(&half, "max_age: 26h", &log)?;
    ensure!(audit.verdict("BAK-FRESH") != "pass", "{}", audit.finished);
    let emptied = audited(&Restic::emptied()?, "max_age: 26h", "")?;
    ensure!(emptied.verdict("BAK-SIZE") == "fail", "{}\n{}", emptied.reasons("BAK-SIZE"), emptied.finished);
    let canary = audited(&Restic::only_canary()?, "max_age: 26h, min_files: 5", "")?;
    ensure!(canary.verdict("BAK-SIZE") == "fail", "{}", canary.finished);
    Ok(())
}

#[test]
fn what_cannot_be_opened_is_not_proven_and_says_why() -> Result<()> {
    let wrong = audited(&Restic::wrong_password()?, "max_age: 26h", "")?;
    ensure!(wrong.verdict("BAK-FRESH") == "inconclusive", "{}", wrong.finished);
    ensure!(wrong.evidence("backup")?.pointer("/failure/class").is_some_and(|c| c == "permission"));
    let gone = Restic::good()?;
    std::fs::remove_dir_all(gone.repository())?;
    let gone = audited(&gone, "max_age: 26h", "")?;
    ensure!(gone.evidence("backup")?.pointer("/failure/class").is_some_and(|c| c == "missing"));
    ensure!(gone.finished.code == Some(3) && gone.verdict("BAK-FRESH") == "inconclusive", "{}", gone.finished);
    // A lock is seen, and does not keep anybody from looking.
    let locked = audited(&Restic::lock_left()?, "max_age: 26h", "")?;
    let locks = locked.fact("backup", "/locks/locks")?;
    ensure!(locks.as_array().is_some_and(|l| l.len() == 1), "{locks}");
    Ok(())
}

#[test]
fn a_repository_without_its_data_is_not_fresh_by_its_log() -> Result<()> {
    let restic = Restic::empty()?;
    let job = restic.backup(&[&restic.source()], "host1", &[], None)?;
    let more = logged(&job.log, 0)?;
    let whole = Audited::of("baseline", &target(&restic, "max_age: 26h", &more), &["audit"])?;
    ensure!(whole.verdict("BAK-FRESH") == "pass", "{}", whole.finished);
    for pack in std::fs::read_dir(restic.repository().join("data"))? {
        std::fs::remove_dir_all(pack?.path())?;
    }
    let gone = Audited::of("baseline", &target(&restic, "max_age: 26h", &more), &["audit"])?;
    ensure!(gone.verdict("BAK-FRESH") == "inconclusive", "{}", gone.finished);
    Ok(())
}
