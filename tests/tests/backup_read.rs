//! Integrity: what was read, over several runs, and damage that the tools' own quick checks do not see.

use anyhow::{Result, ensure};
use tests::{Audited, Borg, Cipher, Pgbackrest, Probity, Restic};

const AUDIT: &[&str] = &["audit"];

fn restic_target(restic: &Restic, read: &str) -> String {
    format!(
        "{{ restic: {{ repository: \"{}\", password: \"file:{}\" }}, expect: {{ hosts: [host1] }}{read} }}",
        restic.repository().display(),
        restic.password_file().display(),
    )
}

#[test]
fn all_of_a_repository_is_read_over_several_runs() -> Result<()> {
    let restic = Restic::good()?;
    let target = restic_target(&restic, ", read: { within: 30d, parts: 2 }");
    let mut probity = Probity::new()?;
    let mut verdicts = Vec::new();
    for _ in 0..4 {
        let audited = Audited::again(probity, "backup-full", &target, AUDIT)?;
        verdicts.push(audited.verdict("BAK-INTEGRITY").to_owned());
        audited.probity.run(["verify", "pack"])?.expect_code(0)?;
        probity = audited.probity;
    }
    // The first run read a part only; once the other was read, too, earlier evidence stands for the first.
    ensure!(verdicts.last().is_some_and(|v| v == "pass"), "{verdicts:?}");
    let whole = Audited::of("backup-full", &restic_target(&restic, ", read: { parts: 1 }"), AUDIT)?;
    ensure!(whole.verdict("BAK-INTEGRITY") == "pass", "{}\n{}", whole.reasons("BAK-INTEGRITY"), whole.finished);
    let unasked = Audited::of("backup-full", &restic_target(&restic, ""), AUDIT)?;
    ensure!(unasked.verdict("BAK-INTEGRITY") != "pass", "nothing was read: {}", unasked.finished);
    Ok(())
}

#[test]
fn damage_that_quick_checks_miss_is_found() -> Result<()> {
    // `restic check` says "no errors were found" of this one, and ends with 0.
    let flipped = Restic::flipped()?;
    let audited = Audited::of("backup-full", &restic_target(&flipped, ", read: { parts: 1 }"), AUDIT)?;
    ensure!(audited.verdict("BAK-INTEGRITY") == "fail", "{}\n{}", audited.reasons("BAK-INTEGRITY"), audited.finished);

    // `borg list` and `borg check --archives-only` end with 0.
    let borg = Borg::flipped()?;
    let target = format!(
        "{{ borg: {{ repository: \"{}\", passphrase: \"file:{}\" }}, read: {{ parts: 1 }} }}",
        borg.repository().display(),
        borg.passphrase_file().display(),
    );
    let audited = Audited::of("backup-full", &target, AUDIT)?;
    ensure!(audited.verdict("BAK-INTEGRITY") == "fail", "{}\n{}", audited.reasons("BAK-INTEGRITY"), audited.finished);

    // `pgbackrest verify` ends with 0 and says nothing.
    for (stanza, wanted) in [(Pgbackrest::good(Cipher::None)?, "pass"), (Pgbackrest::flipped()?, "fail")] {
        let target = format!(
            "{{ pgbackrest: {{ stanza: main, config: \"{}\" }}, read: {{ parts: 1 }} }}",
            stanza.config().display()
        );
        let audited = Audited::of("backup-full", &target, AUDIT)?;
        let why = audited.reasons("BAK-INTEGRITY");
        ensure!(audited.verdict("BAK-INTEGRITY") == wanted, "{wanted} is wanted: {why}\n{}", audited.finished);
    }
    Ok(())
}
