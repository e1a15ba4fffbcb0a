//! Integrity runs on real repositories.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use check_backup::target::BackupTarget;
use model::{Ask, Depth, Evidence, Subject, Target};
use probe::{Job, Limits, Stop, collect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Runs a tool; its exit code.
fn run(folder: &Path, env: &[(&str, &str)], argv: &[&str]) -> i32 {
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder);
    let output = command.envs(env.iter().copied()).output().unwrap();
    output.status.code().unwrap()
}

/// What the probe sees there.
async fn look(declared: Value, prior: Vec<Evidence>) -> Evidence {
    let declared: BackupTarget = serde_json::from_value(declared).unwrap();
    let spec = serde_json::to_value(declared.resolve("nightly").unwrap()).unwrap();
    let target = Target {
        name: "nightly".into(),
        of: "nightly".into(),
        address: String::new(),
        labels: [].into(),
        discovered: false,
        subject: Subject { sort: check_backup::SORT.into(), spec },
    };
    let probe = check_backup::probes().into_iter().find(|p| p.kind().name == "backup-read").unwrap();
    let job = Job { probe, target, ask: Ask::default(), depth: Depth::Auto, prior };
    let (evidence, mut seen) = mpsc::channel(4);
    let (events, _listening) = mpsc::unbounded_channel();
    collect(vec![job], Limits { allow_commands: true, ..Limits::default() }, Stop::default(), evidence, events).await;
    seen.recv().await.unwrap().evidence
}

fn facts(evidence: &Evidence) -> Value {
    assert_eq!(evidence.failure, None);
    Value::Object(evidence.facts.clone().unwrap())
}

/// The parts that were to be read: name and outcome.
fn read(facts: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let parts = facts["parts"].as_array().unwrap().iter().map(|p| (text(&p["name"]), text(&p["outcome"])));
    parts.filter(|(_, outcome)| outcome != "not_read").collect()
}

/// Path, length, inode and time of every file below a folder: nothing is written where all stay.
fn marks(folder: &Path) -> BTreeSet<(PathBuf, u64, u64, i64)> {
    let mut marks = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let about = entry.metadata().unwrap();
        marks.insert((entry.path(), about.len(), about.ino(), about.mtime_nsec()));
        if about.is_dir() {
            marks.extend(self::marks(&entry.path()));
        }
    }
    marks
}

/// The largest file below a folder.
fn largest(folder: &Path) -> PathBuf {
    let files = marks(folder).into_iter().filter(|(path, ..)| path.is_file());
    files.max_by_key(|(_, length, ..)| *length).unwrap().0
}

fn flip(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4].iter_mut().for_each(|b| *b ^= 0x55);
    fs::write(path, bytes).unwrap();
}

/// Files that do not compress, so that there are several packs.
fn sources(folder: &Path) {
    fs::create_dir(folder.join("src")).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for n in 0..6 {
        let mut bytes = Vec::with_capacity(1 << 20);
        while bytes.len() < 1 << 20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        fs::write(folder.join(format!("src/größe {n}")), bytes).unwrap();
    }
}

const RESTIC: [(&str, &str); 2] = [("RESTIC_PASSWORD", "correct horse"), ("RESTIC_REPOSITORY", "repo")];

fn restic() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    sources(folder.path());
    assert_eq!(run(folder.path(), &RESTIC, &["restic", "init", "-q", "--no-cache"]), 0);
    assert_eq!(run(folder.path(), &RESTIC, &["restic", "backup", "-q", "--no-cache", "src"]), 0);
    fs::write(folder.path().join("password"), "correct horse").unwrap();
    folder
}

fn of_restic(folder: &Path, read: &Value) -> Value {
    let (repository, password) = (folder.join("repo"), folder.join("password"));
    json!({ "restic": { "repository": repository, "password": format!("file:{}", password.display()) }, "read": read })
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_is_read_part_by_part_and_never_written() {
    let folder = restic();
    let before = marks(&folder.path().join("repo"));
    let declared = of_restic(folder.path(), &json!({ "parts": 30 }));
    let mut prior: Vec<Evidence> = Vec::new();
    let mut seen = BTreeSet::new();
    let first = facts(&look(declared.clone(), vec![]).await);
    let all = first["parts"].as_array().unwrap().len();
    assert!((2..=6).contains(&all), "{first:#}");
    for _ in 0..all {
        let evidence = look(declared.clone(), prior.clone()).await;
        let facts = facts(&evidence);
        let (name, outcome) = read(&facts).remove(0);
        assert_eq!(outcome, "intact", "{facts:#}");
        assert_eq!(facts["structure"]["outcome"], "intact");
        assert_eq!((&facts["errors"]["asked"], &facts["errors"]["errors"]), (&json!("all"), &json!([])));
        assert!(facts["bytes_read"].as_i64().unwrap() > 0);
        seen.insert(name);
        prior.insert(0, evidence);
    }
    assert_eq!(seen.len(), all, "{seen:?}");
    assert_eq!(marks(&folder.path().join("repo")), before);
    // Another repository under that name begins anew.
    let other = look(of_restic(restic().path(), &json!({ "parts": 30 })), prior.clone()).await;
    assert_ne!(facts(&other)["identity"]["value"], facts(&prior[0])["identity"]["value"]);

    // Four flipped bytes, which a plain check does not see, are found in the turn of their part, and then again.
    flip(&largest(&folder.path().join("repo/data")));
    assert_eq!(run(folder.path(), &RESTIC, &["restic", "check", "--no-cache"]), 0);
    let mut found = 0;
    for _ in 0..=all {
        let evidence = look(declared.clone(), prior.clone()).await;
        let facts = facts(&evidence);
        let outcome = read(&facts).remove(0).1;
        if found > 0 {
            assert_eq!(outcome, "damaged", "{facts:#}");
        }
        if outcome == "damaged" {
            found += 1;
            assert_eq!(facts["errors"]["errors"][0]["outcome"], "damaged");
        }
        prior.insert(0, evidence);
    }
    assert!(found >= 2, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_hold_and_what_they_stop_is_not_proven() {
    let folder = restic();
    let not_proven = |facts: &Value, says: &str| {
        let parts = facts["parts"].as_array().unwrap().iter();
        let part = parts.clone().find(|p| p["outcome"] == "not_proven").unwrap();
        assert!(part["why"].as_str().unwrap().contains(says), "{part}");
        assert!(parts.clone().all(|p| p["outcome"] == "not_proven" || p["outcome"] == "not_read"), "{facts:#}");
    };
    let large = look(of_restic(folder.path(), &json!({ "max_bytes": "1kB" })), vec![]).await;
    not_proven(&facts(&large), "read.max_bytes");
    assert_eq!(facts(&large)["structure"]["outcome"], "intact");
    assert_eq!(facts(&large)["bytes_read"], Value::Null);
    let unasked = look(of_restic(folder.path(), &Value::Null), vec![]).await;
    not_proven(&facts(&unasked), "read: {}");
    assert!(unasked.provenance.commands.is_empty());

    // A tool that hangs while it reads, and one that is killed, behind the name of restic.
    for (does, says) in [("sleep 60", "was not done after"), ("kill -9 $$", "was killed")] {
        let program = folder.path().join("wrapped");
        let script =
            format!("#!/bin/sh\nfor word; do case $word in --read-data*) {does};; esac; done\nexec restic \"$@\"\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut declared = of_restic(folder.path(), &json!({ "parts": 1, "max_time": "15s" }));
        declared["restic"]["program"] = json!(program);
        let seen = facts(&look(declared, vec![]).await);
        not_proven(&seen, says);
        assert_eq!(seen["structure"]["outcome"], "not_proven");
        assert_eq!(seen["errors"]["asked"], json!([]));
    }

    let mut wrong = of_restic(folder.path(), &json!({}));
    wrong["restic"]["password"] = json!(format!("file:{}", folder.path().join("repo/config").display()));
    assert!(look(wrong, vec![]).await.failure.is_some());
    // Empty, and so nothing to read.
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(run(empty.path(), &RESTIC, &["restic", "init", "-q", "--no-cache"]), 0);
    fs::write(empty.path().join("password"), "correct horse").unwrap();
    not_proven(&facts(&look(of_restic(empty.path(), &json!({})), vec![]).await), "nothing was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn borg_is_read_without_a_lock_or_checked_under_one() {
    let folder = tempfile::tempdir().unwrap();
    sources(folder.path());
    fs::write(folder.path().join("passphrase"), "x").unwrap();
    let base = folder.path().join("base").display().to_string();
    let env = [("BORG_PASSPHRASE", "x"), ("BORG_REPO", "repo"), ("BORG_BASE_DIR", &base)];
    assert_eq!(run(folder.path(), &env, &["borg", "init", "-e", "repokey-blake2"]), 0);
    assert_eq!(run(folder.path(), &env, &["borg", "create", "::one", "src"]), 0);
    let repository = folder.path().join("repo");
    let passphrase = format!("file:{}", folder.path().join("passphrase").display());
    let declared =
        |read: Value| json!({ "borg": { "repository": repository, "passphrase": passphrase }, "read": read });

    let before = marks(&repository);
    let mut prior = Vec::new();
    let mut seen = BTreeSet::new();
    let all = facts(&look(declared(json!({ "parts": 2 })), vec![]).await)["parts"].as_array().unwrap().len();
    for _ in 0..all {
        let evidence = look(declared(json!({ "parts": 2 })), prior.clone()).await;
        let facts = facts(&evidence);
        let (name, outcome) = read(&facts).remove(0);
        assert_eq!(outcome, "intact", "{facts:#}");
        assert_eq!(facts["errors"]["asked"], "all");
        seen.insert(name);
        prior.insert(0, evidence);
    }
    assert_eq!(seen.len(), all);
    let whole = facts(&look(declared(json!({ "parts": 1 })), vec![]).await);
    assert_eq!(read(&whole), [("1/1".to_owned(), "intact".to_owned())], "{whole:#}");
    assert_eq!(whole["bytes_read"], json!(6 * (1 << 20)));
    assert_eq!(marks(&repository), before);
    let checked = facts(&look(declared(json!({ "lock": true })), vec![]).await);
    assert_eq!(read(&checked), [("1/1".to_owned(), "intact".to_owned())], "{checked:#}");

    flip(&largest(&repository.join("data")));
    let whole = facts(&look(declared(json!({ "parts": 1 })), vec![]).await);
    assert_eq!(read(&whole), [("1/1".to_owned(), "damaged".to_owned())], "{whole:#}");
    let checked = facts(&look(declared(json!({ "lock": true })), vec![]).await);
    assert_eq!(read(&checked), [("1/1".to_owned(), "damaged".to_owned())], "{checked:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_do_not_fit_are_damage_only_where_nobody_is_at_work() {
    let folder = restic();
    fs::remove_file(largest(&folder.path().join("repo/data"))).unwrap();
    // Too little to read a part, which for a pack that is gone would be tried again for most of a minute.
    let declared = of_restic(folder.path(), &json!({ "max_bytes": "1kB" }));
    let mut writer = Command::new("restic");
    writer.args(["backup", "--stdin", "-q", "--no-cache"]).current_dir(folder.path()).envs(RESTIC);
    writer.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut writer = writer.spawn().unwrap();
    let locks = folder.path().join("repo/locks");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while fs::read_dir(&locks).unwrap().next().is_none() {
        assert!(std::time::Instant::now() < until, "no lock was taken");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let busy = facts(&look(declared.clone(), vec![]).await);
    // With its input at an end it gives the lock back.
    drop(writer.stdin.take());
    writer.wait().unwrap();
    let quiet = facts(&look(declared, vec![]).await);

    assert_eq!(busy["locks"]["locks"].as_array().unwrap().len(), 1, "{busy:#}");
    assert_eq!(busy["structure"]["outcome"], "not_proven");
    assert_eq!(busy["errors"]["errors"][0]["outcome"], "not_proven");
    assert!(read(&busy).iter().all(|(_, outcome)| outcome == "not_proven"), "{busy:#}");

    assert_eq!(quiet["structure"]["outcome"], "damaged", "{quiet:#}");
    assert_eq!(read(&quiet).iter().filter(|(_, outcome)| outcome == "damaged").count(), 1, "{quiet:#}");
}
