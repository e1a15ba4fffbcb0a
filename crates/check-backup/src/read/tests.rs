#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use model::Evidence;
use proptest::prelude::*;
use serde_json::json;

use super::borg::said as borg;
use super::parts::{Ledger, candidates, name};
use super::restic::Packs;
use super::*;

fn fixture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/read/fixtures").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn budget(parts: u32, max_bytes: i64) -> ReadBudget {
    ReadBudget { within: 30 * 86_400, max_bytes, max_time: 60, parts, lock: false }
}

fn identity(value: &str) -> Identity {
    Identity::is("repository id", value)
}

/// Evidence of a run at that day in which these parts had those outcomes.
fn run(day: i64, of: &str, parts: &[(&str, &str)]) -> Evidence {
    let parts: Vec<_> = parts.iter().map(|(name, outcome)| json!({ "name": name, "outcome": outcome })).collect();
    serde_json::from_value(json!({
        "format": Evidence::FORMAT,
        "target": target(),
        "kind": "backup-read", "level": "demonstrated", "asked": {},
        "collected": Timestamp::from_second(day * 86_400).unwrap().to_string(),
        "facts": { "identity": { "value": of }, "parts": parts },
        "failure": null,
        "provenance": { "started": "2026-11-24T00:00:00Z", "millis": 1, "sources": [], "connections": 0, "bytes_sent": 0,
            "bytes_received": 0, "commands": [], "files": [], "attested_by_host_only": true },
        "exchanges": null,
    }))
    .unwrap()
}

fn target() -> serde_json::Value {
    let target = Target {
        name: "nightly".into(),
        of: "nightly".into(),
        address: String::new(),
        labels: [].into(),
        discovered: false,
        subject: model::Subject { sort: "backup".into(), spec: json!({}) },
    };
    serde_json::to_value(target).unwrap()
}

#[test]
fn every_part_has_its_turn_also_where_runs_were_missed() {
    let parts: Vec<String> = (0..30).map(|n| name(n, 30)).collect();
    // Every third day, and some runs are killed: none is left out.
    let mut prior: Vec<Evidence> = Vec::new();
    for round in 0..30 {
        let ledger = Ledger::of(&prior, &identity("a"));
        let chosen = ledger.choose(&parts, round * 3).unwrap();
        let outcome = if round % 4 == 0 { "not_proven" } else { "intact" };
        let seen: Vec<(&str, &str)> =
            parts.iter().map(|p| (p.as_str(), if p == chosen { outcome } else { "not_read" })).collect();
        prior.insert(0, run(round * 3, "a", &seen));
    }
    let ledger = Ledger::of(&prior, &identity("a"));
    // Thirty runs tried each once, so that the oldest is next.
    let first = prior.last().unwrap().facts.as_ref().unwrap()["parts"].as_array().unwrap().iter();
    let first = first.clone().find(|p| p["outcome"] != "not_read").unwrap()["name"].as_str().unwrap().to_owned();
    assert_eq!(ledger.choose(&parts, 90).unwrap(), first);

    // Without earlier evidence the day goes around all of them.
    let none = Ledger::default();
    let by_day: std::collections::BTreeSet<&str> = (0..30).map(|day| none.choose(&parts, day).unwrap()).collect();
    assert_eq!(by_day.len(), 30);
    assert_eq!(none.choose(&[], 3), None);
}

#[test]
fn what_was_damaged_comes_first_and_another_repository_does_not_count() {
    let parts: Vec<String> = (0..3).map(|n| name(n, 3)).collect();
    let prior = [
        run(12, "a", &[("1/3", "intact"), ("2/3", "not_read"), ("3/3", "not_read")]),
        run(11, "a", &[("1/3", "not_read"), ("2/3", "damaged"), ("3/3", "not_read")]),
    ];
    let chosen = |prior: &[Evidence], id: &Identity| Ledger::of(prior, id).choose(&parts, 1).map(str::to_owned);
    assert_eq!(chosen(&prior, &identity("a")).as_deref(), Some("2/3"));
    let mended = [run(13, "a", &[("2/3", "intact")]), prior[0].clone(), prior[1].clone()];
    assert_eq!(chosen(&mended, &identity("a")).as_deref(), Some("3/3"));
    assert_eq!(Ledger::of(&prior, &identity("b")), Ledger::default());
    let unknown = Identity { value: None, ..identity("a") };
    assert_eq!(Ledger::of(&[run(11, "", &[("1/3", "intact")])], &unknown), Ledger::default());
}

#[test]
fn parts_are_small_enough_and_their_number_stays() {
    let largest = |size: i64| move |n: u32| size / i64::from(n);
    let fresh = Ledger::default();
    assert_eq!(candidates(30).collect::<Vec<_>>(), [30, 60, 120, 240, 256]);
    assert_eq!(candidates(256).collect::<Vec<_>>(), [256]);
    assert_eq!(fresh.count(&budget(30, 1_000), largest(30_000)), Some(30));
    assert_eq!(fresh.count(&budget(30, 1_000), largest(31_000)), Some(60));
    assert_eq!(fresh.count(&budget(30, 1_000), largest(1_000_000)), None);
    let of = |n: &str| Ledger::of(&[run(1, "a", &[(n, "intact")])], &identity("a"));
    // It shrank a little: what was read keeps its name. It shrank much: fewer parts.
    assert_eq!(of("7/60").count(&budget(30, 1_000), largest(29_000)), Some(60));
    assert_eq!(of("7/60").count(&budget(30, 1_000), largest(20_000)), Some(30));
    assert_eq!(of("7/30").count(&budget(30, 1_000), largest(31_000)), Some(60));
    // A number that the inventory no longer leads to.
    assert_eq!(of("7/60").count(&budget(40, 1_000), largest(29_000)), Some(40));
}

fn packs() -> Packs {
    Packs::of(&fixture("restic-packs.txt").lines().collect::<Vec<_>>())
}

/// The packs begin with 12, d2, d2, ed and ff.
fn restic(case: &str, exit: i32, chosen: &str, disturbed: bool) -> Seen {
    let (out, err) = (fixture(&format!("restic-{case}.out")), fixture(&format!("restic-{case}.err")));
    let said = restic::Said { disturbed, ..restic::parse(&out, &err, Some(exit)) };
    let names = ["1/30", "16/30", "19/30", "28/30"].map(str::to_owned);
    restic::conclude(&said, &packs(), 30, &names, Some(chosen))
}

fn outcomes(seen: &Seen) -> Vec<(&str, ReadOutcome)> {
    let read = seen.parts.iter().filter(|p| p.outcome != ReadOutcome::NotRead);
    read.map(|p| (p.name.as_str(), p.outcome)).collect()
}

#[test]
fn restic_in_all_its_states() {
    use ReadOutcome::{Damaged, Intact, NotProven};
    for (case, exit, chosen, disturbed, wanted, structure, errors) in [
        ("good", 0, "19/30", false, &[("19/30", Intact)][..], Intact, 0),
        // The exit code alone proves nothing, nor do the words without it.
        ("good", 1, "19/30", false, &[("19/30", NotProven)], NotProven, 0),
        // It read another group than it was told to.
        ("good", 0, "1/30", false, &[("1/30", NotProven)], Intact, 0),
        ("flip", 1, "19/30", false, &[("19/30", Damaged)], Intact, 1),
        // Contents can't change while somebody writes.
        ("flip", 1, "19/30", true, &[("19/30", Damaged)], Intact, 1),
        ("elsewhere", 0, "1/30", false, &[("1/30", Intact)], Intact, 0),
        ("cut", 1, "19/30", false, &[("19/30", Damaged)], Damaged, 1),
        ("cut", 1, "19/30", true, &[("19/30", NotProven)], NotProven, 1),
        ("gone", 1, "19/30", false, &[("19/30", Damaged)], Damaged, 1),
        ("gone", 1, "19/30", true, &[("19/30", NotProven)], NotProven, 1),
        ("tree", 1, "19/30", false, &[("19/30", Intact)], Damaged, 1),
        ("index", 1, "19/30", false, &[("19/30", NotProven)], Damaged, 1),
        // A group without a pack: an integrity run that read nothing.
        ("none", 0, "2/30", false, &[("2/30", NotProven)], Intact, 0),
    ] {
        let seen = restic(case, exit, chosen, disturbed);
        assert_eq!(outcomes(&seen), wanted, "{case}: {:?}", seen.parts);
        assert_eq!((seen.structure.outcome, seen.errors.len()), (structure, errors), "{case}: {:?}", seen.structure);
    }
    let good = restic("good", 0, "19/30", false);
    assert!(good.all);
    assert_eq!(good.parts[1].things, Some(1));
    assert!(!restic("good", 1, "19/30", false).all);
    assert_eq!(restic("flip", 1, "19/30", false).errors[0].name.get(..4), Some("1229"));
}

#[test]
fn restic_that_reads_nothing_or_is_stopped_proves_nothing() {
    let said = restic::parse(&fixture("restic-empty.out"), "", Some(0));
    let seen = restic::conclude(&said, &Packs::of(&[]), 1, &["1/1".to_owned()], Some("1/1"));
    assert_eq!(outcomes(&seen), [("1/1", ReadOutcome::NotProven)]);
    assert_eq!(seen.structure.outcome, ReadOutcome::NotProven);
    // A good run, cut anywhere before its last words.
    let good = fixture("restic-good.out");
    for end in 0..good.trim_end().len() {
        let Some(cut) = good.get(..end) else { continue };
        let said = restic::parse(cut, "", Some(0));
        let seen = restic::conclude(&said, &packs(), 30, &["19/30".to_owned()], Some("19/30"));
        assert_eq!(outcomes(&seen), [("19/30", ReadOutcome::NotProven)], "{cut}");
    }
    // A way that broke is no damage.
    let lines = "pack 1229fa3875db4f0473885c9bd35eb83389197249533a3ece06516539b3c231e5 failed to download: StreamPack: \
                 connection reset by peer\nFatal: repository contains errors\n";
    let said = restic::parse(&fixture("restic-flip.out"), lines, Some(1));
    let seen = restic::conclude(&said, &packs(), 30, &["19/30".to_owned()], Some("19/30"));
    assert_eq!(outcomes(&seen), [("19/30", ReadOutcome::NotProven)]);
    assert!(!seen.all && seen.errors.is_empty());
    // Groups that were made in another way than the list of packs says.
    let more = Packs::of(
        &["12".repeat(32), "d2".repeat(32), "ed".repeat(32), "30".repeat(32), "30".repeat(32)]
            .each_ref()
            .map(String::as_str),
    );
    let said = restic::parse(&good, "", Some(0));
    let seen = restic::conclude(&said, &more, 30, &["19/30".to_owned()], Some("19/30"));
    assert_eq!(outcomes(&seen), [("19/30", ReadOutcome::NotProven)], "{:?}", seen.parts);
}

#[test]
fn borg_extracts() {
    for (case, exit, quiet, listed, wanted) in [
        ("flip", 2, false, 6, ReadOutcome::Damaged),
        ("cut", 2, false, 7, ReadOutcome::Damaged),
        ("gone", 2, true, 3, ReadOutcome::Damaged),
        ("gone", 2, false, 3, ReadOutcome::NotProven),
        ("no-archive", 2, true, 0, ReadOutcome::NotProven),
        ("wrong", 2, true, 0, ReadOutcome::NotProven),
    ] {
        let said = borg::parse(&fixture(&format!("borg-{case}.err")), Some(exit));
        assert_eq!((said.listed, said.ended_well()), (listed, false), "{case}");
        let found = borg::conclude(&said, "a2", quiet);
        assert_eq!(found.outcome, wanted, "{case}: {}", found.why);
        assert_eq!(found.errors.len(), usize::from(said.lost || !said.damaged.is_empty()), "{case}");
    }
    let good = fixture("borg-good.err");
    assert!(borg::parse(&good, Some(0)).ended_well());
    assert!(!borg::parse(&good, Some(2)).ended_well());
    assert!(!borg::parse(&good, None).ended_well());
    assert!(!borg::parse(&format!("{good}what is this\n"), Some(0)).ended_well());
    let flip = borg::parse(&fixture("borg-flip.err"), Some(2));
    assert_eq!(borg::conclude(&flip, "a2", true).errors[0].name, "src/f1");
}

#[test]
fn borg_checks() {
    for (case, exit, wanted) in [
        ("good", 0, ReadOutcome::Intact),
        ("good", 1, ReadOutcome::NotProven),
        ("flip", 1, ReadOutcome::Damaged),
        ("cut", 1, ReadOutcome::Damaged),
        ("gone", 1, ReadOutcome::Damaged),
        ("empty", 0, ReadOutcome::NotProven),
        ("locked", 2, ReadOutcome::NotProven),
    ] {
        let seen = borg::conclude_check(&borg::parse_check(&fixture(&format!("borg-check-{case}.err")), Some(exit)));
        assert_eq!(outcomes(&seen), [("1/1", wanted)], "{case}: {:?}", seen.parts);
    }
    // Each of its words is needed.
    let good = fixture("borg-check-good.err");
    for word in
        ["Finished full repository", "Finished cryptographic", "Analyzing", "Archive consistency check complete"]
    {
        let less: String = good.lines().filter(|l| !l.contains(word)).map(|l| format!("{l}\n")).collect();
        let seen = borg::conclude_check(&borg::parse_check(&less, Some(0)));
        assert_eq!(outcomes(&seen), [("1/1", ReadOutcome::NotProven)], "{word}");
    }
}

#[test]
fn pgbackrest_verifies() {
    for (case, disturbed, wanted, errors) in [
        ("good", false, ReadOutcome::Intact, 0),
        ("good", true, ReadOutcome::Intact, 0),
        ("flip", true, ReadOutcome::Damaged, 4),
        ("no-backup", false, ReadOutcome::NotProven, 0),
        ("none", false, ReadOutcome::NotProven, 0),
    ] {
        let seen = pgbackrest::conclude(&pgbackrest::parse(&fixture(&format!("pgbackrest-{case}.out"))), disturbed);
        assert_eq!(outcomes(&seen), [("1/1", wanted)], "{case}: {:?}", seen.parts);
        assert_eq!(seen.errors.len(), errors, "{case}: {:?}", seen.errors);
        assert_eq!(seen.structure.outcome, ReadOutcome::NotRead);
    }
    // What is missing may have been expired meanwhile, but not where nobody was at work.
    let missing = fixture("pgbackrest-flip.out").replace("invalid checksum", "file missing");
    let missing = missing.lines().filter(|l| !l.contains("invalid")).map(|l| format!("{l}\n")).collect::<String>();
    let of = |disturbed| pgbackrest::conclude(&pgbackrest::parse(&missing), disturbed).parts[0].outcome;
    assert_eq!((of(true), of(false)), (ReadOutcome::NotProven, ReadOutcome::Damaged));
    // 2.45 says "completed successfully" and no more where '--verbose' is not there.
    let brief = fixture("pgbackrest-good.out")
        .lines()
        .filter(|l| l.starts_with("20"))
        .map(|l| format!("{l}\n"))
        .collect::<String>();
    assert_eq!(outcomes(&pgbackrest::conclude(&pgbackrest::parse(&brief), false)), [("1/1", ReadOutcome::NotProven)]);
    assert_eq!(outcomes(&pgbackrest::conclude(&pgbackrest::parse(""), false)), [("1/1", ReadOutcome::NotProven)]);
}

#[test]
fn without_the_inventorys_word_nothing_is_proven_and_the_reason_says_how_to_ask() {
    let pgbackrest = crate::target::PgBackRest { stanza: "main".into(), config: None, id: None, program: None };
    let declared = crate::target::BackupTarget { pgbackrest: Some(pgbackrest), ..Default::default() };
    let facts = not_asked(&declared.resolve("nightly").unwrap());
    assert_eq!((facts.source, facts.budget), (SourceKind::Pgbackrest, None));
    assert_eq!(facts.parts[0].outcome, ReadOutcome::NotProven);
    assert!(facts.parts[0].why.as_deref().unwrap().contains("read: {}"));
    assert_eq!(facts.errors.asked, nothing());

    let asked = crate::target::BackupTarget { read: Some(Default::default()), ..declared.clone() };
    let wanted = ReadBudget { max_time: 1_800, ..budget(30, 5 << 30) };
    assert_eq!(asked.resolve("nightly").unwrap().read, Some(wanted));
    for (field, read) in [
        ("read.parts", json!({ "parts": 257 })),
        ("read.parts", json!({ "parts": 0 })),
        ("read.within", json!({ "within": "month" })),
        ("read.max_bytes", json!({ "max_bytes": "5gib" })),
        ("read.max_time", json!({ "max_time": "0m" })),
    ] {
        let read = serde_json::from_value(read).unwrap();
        let wrong = crate::target::BackupTarget { read: Some(read), ..declared.clone() };
        assert_eq!(wrong.resolve("nightly").unwrap_err().0, field);
    }
}

fn lines() -> impl Strategy<Value = String> {
    let known = [
        "restic-good.out",
        "restic-flip.err",
        "restic-cut.err",
        "borg-good.err",
        "borg-gone.err",
        "borg-check-good.err",
        "pgbackrest-good.out",
        "pgbackrest-flip.out",
    ];
    let known: Vec<String> =
        known.iter().flat_map(|f| fixture(f).lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let line = prop_oneof![4 => prop::sample::select(known), 1 => ".{0,60}", 1 => "[ /0-9#,:a-z\\[\\]{}\"]{0,60}"];
    prop::collection::vec(line, 0..20).prop_map(|lines| lines.join("\n"))
}

proptest! {
    /// Whatever a tool says, nothing breaks, and nothing is intact that did not end with 0.
    #[test]
    fn garbage_is_never_intact(out in lines(), err in lines(), exit in prop_oneof![Just(None), Just(Some(0)), Just(Some(2))]) {
        let said = restic::parse(&out, &err, exit);
        let seen = restic::conclude(&said, &packs(), 30, &["19/30".to_owned()], Some("19/30"));
        prop_assert!(exit == Some(0) || said.dirty || seen.parts[0].outcome != ReadOutcome::Intact);
        let said = borg::parse(&err, exit);
        prop_assert!(exit == Some(0) || !said.ended_well());
        let _ = borg::conclude(&said, "a", true);
        let seen = borg::conclude_check(&borg::parse_check(&err, exit));
        prop_assert!(exit == Some(0) || seen.parts[0].outcome != ReadOutcome::Intact);
        let _ = pgbackrest::conclude(&pgbackrest::parse(&out), false);
    }

    #[test]
    fn bytes_of_any_sort(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = restic::parse(&text, &text, Some(0));
        let _ = borg::parse(&text, Some(0));
        let _ = borg::parse_check(&text, Some(0));
        let _ = pgbackrest::parse(&text);
        let mut packs = Packs::of(&[]);
        let _ = packs.add(&bytes);
    }
}
