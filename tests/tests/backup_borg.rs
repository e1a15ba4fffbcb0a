//! Borg repositories in the states that an audit must tell apart.

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use tests::{Audited, Borg, BorgKey};

fn target(borg: &Borg, expect: &str, more: &str) -> String {
    format!(
        "{{ borg: {{ repository: \"{}\", passphrase: \"file:{}\" }}, expect: {{ paths: [\"{}\"], {expect} }}{more} }}",
        borg.repository().display(),
        borg.passphrase_file().display(),
        borg.source().display(),
    )
}

fn audited(borg: &Borg, expect: &str, more: &str) -> Result<Audited> {
    Audited::of("baseline", &target(borg, expect, more), &["audit"])
}

#[test]
fn a_good_repository_passes_where_the_source_shows_that_it_is_complete() -> Result<()> {
    let borg = Borg::empty(BorgKey::Repokey)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    borg.create("nightly", &[&borg.source()], None)?.finished.expect_code(0)?;
    let audit = audited(&borg, "max_age: 26h, min_files: 5", ", compare_with_source: true")?;
    for control in ["BAK-FRESH", "BAK-FUTURE", "BAK-COVERAGE", "BAK-SIZE", "BAK-ENCRYPT", "BAK-CHAIN"] {
        ensure!(audit.verdict(control) == "pass", "{control}: {}\n{}", audit.reasons(control), audit.finished);
    }
    ensure!(audit.fact("backup", "/identity/value")? == borg.id()?);
    let said = borg.archives()?;
    let name = said.first().and_then(|archive| archive.get("name"));
    ensure!(said.len() == 1 && name == Some(&audit.fact("backup", "/catalogue/snapshots/0/name")?));
    ensure!(audit.fact("backup", "/encryption/mode")? == "repokey");
    audit.probity.run(["verify", "pack"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn stale_empty_and_unencrypted_repositories_fail() -> Result<()> {
    let stale = audited(&Borg::aged(SignedDuration::from_hours(40))?, "max_age: 26h", "")?;
    ensure!(stale.verdict("BAK-FRESH") == "fail", "{}", stale.finished);
    let future = audited(&Borg::aged(SignedDuration::from_hours(-40))?, "max_age: 26h", "")?;
    ensure!(future.verdict("BAK-FRESH") == "fail" && future.verdict("BAK-FUTURE") == "fail", "{}", future.finished);
    let empty = audited(&Borg::empty(BorgKey::Repokey)?, "max_age: 26h", "")?;
    ensure!(empty.verdict("BAK-FRESH") == "fail" && empty.verdict("BAK-COVERAGE") == "fail", "{}", empty.finished);
    let plain = audited(&Borg::with_key(BorgKey::None)?, "max_age: 26h", "")?;
    ensure!(plain.verdict("BAK-ENCRYPT") == "fail", "{}", plain.finished);
    let emptied = audited(&Borg::emptied()?, "max_age: 26h", "")?;
    ensure!(emptied.verdict("BAK-SIZE") != "pass", "{}", emptied.finished);
    let canary = audited(&Borg::only_canary()?, "max_age: 26h, min_files: 5", "")?;
    ensure!(canary.verdict("BAK-SIZE") != "pass", "{}", canary.finished);
    let other = Borg::of_host("other")?;
    let other = Audited::of("baseline", &target(&other, "hosts: [host1]", ""), &["audit"])?;
    ensure!(other.verdict("BAK-COVERAGE") == "fail", "{}", other.finished);
    Ok(())
}

#[test]
fn a_path_that_the_job_did_not_find_is_not_in_the_copy_whatever_the_record_says() -> Result<()> {
    let (half, job) = Borg::half_missing()?;
    assert_eq!(job.finished.code, Some(1), "borg calls it a warning");
    let audit = audited(&half, "max_age: 26h", "")?;
    ensure!(audit.verdict("BAK-FRESH") != "pass", "{}", audit.finished);
    let complete = audit.fact("backup", "/catalogue/snapshots/0/complete/outcome")?;
    ensure!(complete == "absent", "{complete}");
    Ok(())
}

#[test]
fn a_checkpoint_is_no_copy_and_a_wrong_passphrase_is_not_proven() -> Result<()> {
    // Beside one good archive there is the checkpoint of a later one, which `borg info --last 1` would show.
    let checkpoint = audited(&Borg::checkpoint()?, "max_age: 26h", "")?;
    let names = checkpoint.fact("backup", "/catalogue/snapshots")?;
    let names: Vec<_> = names.as_array().into_iter().flatten().filter_map(|s| s.get("name")?.as_str()).collect();
    ensure!(names == ["nightly"], "{names:?}");
    let wrong = audited(&Borg::wrong_passphrase()?, "max_age: 26h", "")?;
    ensure!(wrong.evidence("backup")?.pointer("/failure/class").is_some_and(|c| c == "permission"));
    ensure!(wrong.verdict("BAK-FRESH") == "inconclusive", "{}", wrong.finished);
    let locked = audited(&Borg::lock_left()?, "max_age: 26h", "")?;
    let locks = locked.fact("backup", "/locks/locks")?;
    ensure!(locks.as_array().is_some_and(|l| !l.is_empty()), "{locks}");
    Ok(())
}
