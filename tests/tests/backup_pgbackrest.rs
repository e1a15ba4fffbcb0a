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
