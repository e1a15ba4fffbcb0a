//! pgBackRest stanzas in the states that an audit must tell apart.

use anyhow::{Result, ensure};
use tests::{Audited, Cipher, Pgbackrest};

fn audited(stanza: &Pgbackrest, more: &str) -> Result<Audited> {
    let backup = format!(
        "{{ pgbackrest: {{ stanza: main, config: \"{}\" }}, expect: {{ databases: [main], max_age: 26h }}{more} }}",
        stanza.config().display()
    );
    Audited::of("baseline", &backup, &["audit"])
}

#[test]
fn a_good_stanza_is_what_pgbackrest_says() -> Result<()> {
    let stanza = Pgbackrest::incremental()?;
    let audit = audited(&stanza, "")?;
    for control in ["BAK-FRESH", "BAK-FUTURE", "BAK-COVERAGE", "BAK-CHAIN"] {
        ensure!(audit.verdict(control) == "pass", "{control}: {}\n{}", audit.reasons(control), audit.finished);
    }
    let info = stanza.info()?;
    let said = info.pointer("/0/backup").cloned().or_else(|| info.pointer("/backup").cloned()).unwrap_or_default();
    let seen = audit.fact("backup", "/catalogue/snapshots")?;
    let labels: Vec<_> = said.as_array().into_iter().flatten().filter_map(|b| b.get("label").cloned()).collect();
    let names: Vec<_> = seen.as_array().into_iter().flatten().filter_map(|s| s.get("name").cloned()).collect();
    ensure!(labels.len() == 2 && labels == names, "{labels:?} {names:?}");
    ensure!(seen.pointer("/1/parents/0") == labels.first(), "{seen}");
    Ok(())
}

#[test]
fn ciphers_empty_stanzas_and_gaps_in_the_log() -> Result<()> {
    let plain = audited(&Pgbackrest::good(Cipher::None)?, "")?;
    ensure!(plain.verdict("BAK-ENCRYPT") == "fail", "{}", plain.finished);
    let sealed = audited(&Pgbackrest::good(Cipher::Aes)?, "")?;
    ensure!(sealed.verdict("BAK-ENCRYPT") == "pass", "{}", sealed.finished);
    let empty = audited(&Pgbackrest::empty(Cipher::None)?, "")?;
    ensure!(empty.verdict("BAK-FRESH") == "fail" && empty.verdict("BAK-COVERAGE") == "fail", "{}", empty.finished);
    let gap = audited(&Pgbackrest::wal_gap()?, "")?;
    ensure!(gap.verdict("BAK-CHAIN") == "fail", "{}\n{}", gap.reasons("BAK-CHAIN"), gap.finished);
    Ok(())
}

#[test]
fn stale_foreign_and_undecipherable_stanzas() -> Result<()> {
    let stanza = Pgbackrest::good(Cipher::Aes)?;
    let id = stanza.info()?.pointer("/db/0/system-id").map(ToString::to_string).unwrap_or_default();
    let with = |id: &str, age: &str| {
        let config = stanza.config();
        format!(
            "{{ pgbackrest: {{ stanza: main, config: \"{}\", id: \"{id}\" }}, expect: {{ databases: [main], max_age: {age} }} }}",
            config.display()
        )
    };
    std::thread::sleep(std::time::Duration::from_secs(3));
    let stale = Audited::of("baseline", &with(&id, "1s"), &["audit"])?;
    ensure!(stale.verdict("BAK-IDENTITY") == "pass", "{id}: {}\n{}", stale.reasons("BAK-IDENTITY"), stale.finished);
    ensure!(stale.verdict("BAK-FRESH") == "fail", "{}", stale.finished);
    let foreign = Audited::of("baseline", &with("42", "26h"), &["audit"])?;
    ensure!(foreign.verdict("BAK-IDENTITY") == "fail", "{}", foreign.finished);
    // pgBackRest ends with 0 where it can't decipher the repository.
    let text = std::fs::read_to_string(stanza.config())?;
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("cipher")).collect();
    std::fs::write(stanza.config(), without.join("\n"))?;
    let sealed = Audited::of("baseline", &with(&id, "26h"), &["audit"])?;
    ensure!(sealed.evidence("backup")?.get("facts").is_some_and(serde_json::Value::is_null), "{}", sealed.finished);
    ensure!(sealed.verdict("BAK-FRESH") == "inconclusive", "{}", sealed.finished);
    Ok(())
}
