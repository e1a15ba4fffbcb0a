//! Restore drills on real repositories: what came back, the canary over several runs, and that nothing is left behind.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Audited, Borg, BorgKey, Probity, Restic, this_host};

const DRILL: &[&str] = &["drill", "--allow-commands"];

fn restic_target(restic: &Restic, drill: &str) -> String {
    format!(
        "{{ restic: {{ repository: \"{}\", password: \"file:{}\" }}, expect: {{ hosts: [{}], paths: [\"{}\"] }}, drill: {{ {drill} }} }}",
        restic.repository().display(),
        restic.password_file().display(),
        this_host(),
        restic.source().display(),
    )
}

/// Sources that are older than the copy by more than the clock's grain, backed up now.
fn settled() -> Result<Restic> {
    let restic = Restic::empty()?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    restic.backup(&[&restic.source()], &this_host(), &[], None)?.finished.expect_code(0)?;
    Ok(restic)
}

/// Whether a sample came back as it was.
fn is_same(sample: &Value) -> bool {
    sample.get("outcome").is_some_and(|outcome| outcome == "present")
}

/// Nothing but the lock of drills is in the state folder, and no lock in the repository.
fn nothing_is_left(probity: &Probity) -> Result<()> {
    let mut waiting = vec![probity.folder().to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let text = path.display().to_string();
            ensure!(!text.contains("/scratch/") && !text.ends_with(".jsonl"), "{text} was left behind");
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

#[test]
fn what_comes_back_is_what_was_written_and_the_canary_flies_from_drill_to_drill() -> Result<()> {
    let restic = settled()?;
    let canary = restic.source().join("probity-canary");
    let target = restic_target(&restic, &format!("whole: true, rto: 1h, canary: \"{}\"", canary.display()));
    let first = Audited::again(Probity::new()?, "backup-full", &target, DRILL)?;
    let fact = |audited: &Audited, pointer: &str| audited.fact("backup-restore", pointer);
    ensure!(fact(&first, "/restored/outcome")? == "present", "{}", first.finished);
    let samples = fact(&first, "/samples/samples")?;
    let samples = samples.as_array().context("a list")?;
    ensure!(samples.len() == 11 && samples.iter().all(is_same), "{samples:?}");
    ensure!(fact(&first, "/restored/files")? == 11, "the whole copy came back");
    let list = fact(&first, "/list")?;
    ensure!(list == json!({ "outcome": "present", "why": null, "of": 11, "there": 11 }), "{list}");
    ensure!(fact(&first, "/canary/outcome")? == "not_proven" && canary.exists(), "the first drill plants one");
    ensure!(first.verdict("BAK-RESTORE") == "inconclusive", "{}", first.finished);
    nothing_is_left(&first.probity)?;
    first.probity.run(["verify", "pack"])?.expect_code(0)?;

    std::thread::sleep(std::time::Duration::from_secs(2));
    restic.backup(&[&restic.source()], &this_host(), &[], None)?.finished.expect_code(0)?;
    let second = Audited::again(first.probity, "backup-full", &target, DRILL)?;
    ensure!(fact(&second, "/canary/outcome")? == "present", "{}", fact(&second, "/canary")?);
    ensure!(second.verdict("BAK-RESTORE") == "pass", "{}\n{}", second.reasons("BAK-RESTORE"), second.finished);
    ensure!(second.verdict("BAK-RTO") == "pass", "{}", second.finished);

    // An audit that may not drill takes the last drill's word, with its date, from the signed pack.
    let third = Audited::again(second.probity, "backup-full", &target, &["audit"])?;
    ensure!(third.verdict("BAK-RESTORE") == "pass", "{}\n{}", third.reasons("BAK-RESTORE"), third.finished);
    ensure!(third.reasons("BAK-RESTORE").contains("earlier evidence"), "{}", third.reasons("BAK-RESTORE"));
    third.probity.run(["verify", "pack"])?.expect_code(0)?;
    ensure!(restic.run(&["list", "locks"])?.stdout.trim().is_empty(), "the repository was not written to");
    Ok(())
}

#[test]
fn a_folder_that_the_copy_lacks_is_missed_though_no_sample_lies_in_it() -> Result<()> {
    let restic = Restic::empty()?;
    let lost = restic.source().join("lost");
    std::fs::create_dir_all(&lost)?;
    std::fs::write(lost.join("empty"), "")?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (source, host) = (restic.source(), this_host());
    let target = restic_target(&restic, "whole: true, samples: 3");
    let exclude = format!("--exclude={}", lost.display());
    let arguments = ["backup", "--quiet", "--host", &host, &exclude, &source.to_string_lossy()];
    restic.run(&arguments)?.expect_code(0)?;
    let drilled = Audited::of("backup-full", &target, DRILL)?;
    let list = drilled.fact("backup-restore", "/list")?;
    ensure!(
        list.get("of") == Some(&json!(12)) && list.get("there") == Some(&json!(11)),
        "{list}\n{}",
        drilled.finished
    );
    ensure!(list.get("why").and_then(Value::as_str).is_some_and(|why| why.contains("lost/empty")), "{list}");
    let samples = drilled.fact("backup-restore", "/samples/samples")?;
    ensure!(samples.as_array().is_some_and(|samples| samples.iter().all(is_same)), "{samples}");
    ensure!(drilled.verdict("BAK-RESTORE") == "fail", "{}", drilled.finished);
    Ok(())
}

#[test]
fn a_folder_that_was_moved_there_later_is_not_missed() -> Result<()> {
    let restic = Restic::empty()?;
    // Beside the source, so that moving changes no time of the file in it.
    let (outside, inside) = (restic.source().with_file_name("outside"), restic.source().join("inside"));
    std::fs::create_dir_all(&outside)?;
    std::fs::write(outside.join("old"), "old")?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    restic.backup(&[&restic.source()], &this_host(), &[], None)?.finished.expect_code(0)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    std::fs::rename(&outside, &inside)?;
    let target = restic_target(&restic, "whole: true").replace("drill:", "compare_with_source: true, drill:");
    let drilled = Audited::of("backup-full", &target, DRILL)?;
    let list = drilled.fact("backup-restore", "/list")?;
    ensure!(list.get("outcome") == Some(&json!("not_proven")), "{list}\n{}", drilled.finished);
    ensure!(list.get("why").and_then(Value::as_str).is_some_and(|why| why.contains("inside/old")), "{list}");
    let audited = Audited::of("baseline", &target, &["audit"])?;
    let complete = audited.fact("backup", "/catalogue/snapshots/0/complete")?;
    ensure!(complete.get("outcome") == Some(&json!("not_proven")), "{complete}");
    Ok(())
}

#[test]
fn a_drill_that_was_never_done_proves_nothing() -> Result<()> {
    let restic = settled()?;
    let audited = Audited::of("backup-full", &restic_target(&restic, "whole: true"), &["audit"])?;
    ensure!(audited.verdict("BAK-RESTORE") == "inconclusive", "{}", audited.finished);
    ensure!(audited.evidence("backup-restore")?.pointer("/failure/class").is_some_and(|c| c == "not_run"));
    Ok(())
}

#[test]
fn a_damaged_pack_does_not_come_back() -> Result<()> {
    let flipped = Restic::flipped()?;
    let audited = Audited::of("backup-full", &restic_target(&flipped, "whole: true"), DRILL)?;
    ensure!(audited.fact("backup-restore", "/restored/outcome")? == "absent", "{}", audited.finished);
    ensure!(audited.verdict("BAK-RESTORE") == "fail", "{}", audited.finished);
    let empty = Audited::of("backup-full", &restic_target(&Restic::empty()?, "whole: true"), DRILL)?;
    ensure!(empty.verdict("BAK-RESTORE") == "fail", "{}", empty.finished);
    Ok(())
}

#[test]
fn no_room_is_inconclusive_and_leaves_nothing() -> Result<()> {
    let restic = settled()?;
    let small = [DRILL, &["--scratch-bytes", "1000"]].concat();
    let audited = Audited::of("backup-full", &restic_target(&restic, "whole: true"), &small)?;
    ensure!(audited.verdict("BAK-RESTORE") == "inconclusive", "{}", audited.finished);
    nothing_is_left(&audited.probity)
}

#[test]
fn borg_gives_back_samples_without_a_lock() -> Result<()> {
    let borg = Borg::empty(BorgKey::Repokey)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    borg.create("nightly", &[&borg.source()], None)?.finished.expect_code(0)?;
    let target = format!(
        "{{ borg: {{ repository: \"{}\", passphrase: \"file:{}\" }}, expect: {{ paths: [\"{}\"] }}, drill: {{ samples: 5 }} }}",
        borg.repository().display(),
        borg.passphrase_file().display(),
        borg.source().display(),
    );
    let audited = Audited::of("backup-full", &target, DRILL)?;
    let samples = audited.fact("backup-restore", "/samples/samples")?;
    let same = samples.as_array().into_iter().flatten().filter(|s| is_same(s)).count();
    ensure!(same == 5, "{samples}\n{}", audited.finished);
    ensure!(audited.fact("backup-restore", "/restored/files")? == 5, "samples alone came back");
    nothing_is_left(&audited.probity)
}

#[test]
fn another_machines_copy_is_not_compared_with_files_of_this_one() -> Result<()> {
    let restic = Restic::empty()?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    restic.backup(&[&restic.source()], "elsewhere", &[], None)?.finished.expect_code(0)?;
    let canary = restic.source().join("probity-canary");
    let asked = format!("whole: true, canary: \"{}\"", canary.display());
    let target = restic_target(&restic, &asked).replace(&format!("[{}]", this_host()), "[elsewhere]");
    let drilled = Audited::of("backup-full", &target, DRILL)?;
    ensure!(drilled.fact("backup-restore", "/samples/outcome")? == "not_proven", "{}", drilled.finished);
    ensure!(
        drilled.fact("backup-restore", "/samples/why")?.as_str().is_some_and(|why| why.contains("elsewhere")),
        "{}",
        drilled.finished
    );
    ensure!(drilled.verdict("BAK-RESTORE") == "inconclusive", "{}", drilled.finished);
    ensure!(!canary.exists(), "no canary is planted on a machine that the copy is not of");
    Ok(())
}
