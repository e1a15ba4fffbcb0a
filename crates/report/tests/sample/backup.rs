//! Evidence of backups behind the sample, as the probes of copies write it.

use model::{Digest, Evidence, Facts, Level, Timestamp};
use report::Earlier;
use serde_json::{Value, json};

use super::at;
use super::evidence::piece;

const DAY: i64 = 86_400;
const GIB: i64 = 1 << 30;

fn time(seconds: i64) -> String {
    at(seconds).to_string()
}

/// A copy that ended so many seconds before the sample's night.
fn copy(name: &str, before: i64, bytes: Option<i64>, complete: &str) -> Value {
    let why = match complete {
        "present" => Value::Null,
        "absent" => json!("the job's log names 212 files that could not be read"),
        _ => json!("no log of its job was found, and there is nothing to count it against"),
    };
    json!({
        "name": name, "outcome": "present", "why": null, "kind": "full", "host": "host1",
        "paths": ["/var/lib/chat", "/etc"], "databases": [], "started": time(-before), "ended": time(-before + 340),
        "recovery_point": time(-before),
        "complete": { "outcome": complete, "basis": if complete == "present" { json!("job_log") } else { Value::Null }, "why": why },
        "parents": [], "missing_parents": [], "files": bytes.map(|b| b / 90_000), "bytes": bytes, "stored": null,
    })
}

fn of_database(mut copy: Value) -> Value {
    let own = [("paths", json!([])), ("host", Value::Null), ("databases", json!(["chat"]))];
    copy.as_object_mut().into_iter().for_each(|fields| fields.extend(own.clone().map(|(k, v)| (k.to_owned(), v))));
    copy
}

fn expected() -> Value {
    json!({
        "id": "5f2c0b7e", "hosts": ["host1"], "paths": ["/var/lib/chat"], "configuration": ["/etc"],
        "databases": ["chat"], "max_age": 26 * 3_600, "every": DAY, "min_count": 7, "min_span": null,
        "keep_at_most": null, "min_files": 10_000, "min_bytes": GIB,
    })
}

fn repository(location: &str, set: &str, snapshots: Vec<Value>, histories: Value, sizes: Value) -> Facts {
    let value = json!({
        "source": "restic", "tool": "restic 0.14.0", "location": location, "set": set,
        "place": { "site": "zrh1", "medium": "disk", "detached": null },
        "identity": { "outcome": "present", "why": null, "what": "repository id", "value": "5f2c0b7e" },
        "expected": expected(),
        "encryption": { "outcome": "present", "why": null, "mode": "aes-256-ctr+poly1305" },
        "locks": { "asked": "all", "locks": [] },
        "catalogue": { "asked": "all", "snapshots": snapshots },
        "required": [{ "name": "host1:/var/lib/chat", "role": "data", "outcome": "present", "why": null,
                       "snapshot": "a58", "recovery_point": time(-21 * 3_600), "in_newest": true }],
        "recovery": [], "histories": histories, "sizes": sizes, "continuity": [], "notes": [],
    });
    value.as_object().cloned().unwrap_or_default()
}

fn history(name: &str, count: usize, oldest: i64, newest: i64, gap: Option<(i64, i64)>) -> Value {
    json!({
        "name": name, "outcome": "present", "why": null, "count": count, "oldest": time(-oldest),
        "newest": time(-newest), "span": oldest - newest, "longest_gap": gap.map(|(from, to)| from - to),
        "gap_from": gap.map(|(from, _)| time(-from)), "gap_to": gap.map(|(_, to)| time(-to)),
    })
}

fn sizes(name: &str, newest: Option<i64>, largest: Option<i64>, median: Option<i64>) -> Value {
    json!({
        "name": name, "outcome": "present", "why": null, "measured": 30, "of": 58, "newest_files": 47_000,
        "newest_bytes": newest, "largest_files": 48_000, "largest_bytes": largest, "median_files": 47_000,
        "median_bytes": median, "newest_stored": null, "median_stored": null,
    })
}

/// A repository with its troubles: days without a copy, one that collapsed, an incomplete one, one from the future.
fn nightly() -> Facts {
    let mut copies = Vec::new();
    for n in (0..70).filter(|n| !(31..36).contains(n) && *n != 12) {
        let before = n * DAY + 21 * 3_600 + (n % 6) * 300;
        let bytes = 41 * GIB / 10 - n * GIB / 80 + (n * 37_129_311) % (GIB / 6);
        let (bytes, complete) = match n {
            5 => (bytes / 60, "absent"),
            22 | 23 => (bytes, "absent"),
            40..70 => (bytes, "not_proven"),
            _ => (bytes, "present"),
        };
        copies.push(copy(&format!("a{:02}", 70 - n), before, Some(bytes), complete));
    }
    copies.push(copy("b01", -40 * DAY, Some(4 * GIB), "present"));
    for n in 0..24 {
        let known = (n % 3 == 0).then_some(GIB / 5 + n * 1_000_000);
        copies.push(of_database(copy(&format!("d{n:02}"), n * 2 * DAY + 9 * 3_600, known, "present")));
    }
    copies.reverse();
    let files = "host1:/etc,/var/lib/chat";
    repository(
        "/srv/backup",
        "messaging",
        copies,
        json!([
            history(files, 65, 69 * DAY + 21 * 3_600, -40 * DAY, Some((36 * DAY + 21 * 3_600, 30 * DAY + 21 * 3_600))),
            history("chat", 24, 46 * DAY + 9 * 3_600, 9 * 3_600, Some((2 * DAY, 0))),
        ]),
        json!([
            sizes(files, Some(4 * GIB), Some(43 * GIB / 10), Some(41 * GIB / 10)),
            sizes("chat", Some(GIB / 5), Some(GIB / 4), Some(GIB / 5)),
        ]),
    )
}

/// A repository in which everything is as it should be.
fn offsite() -> Facts {
    let copies = (0..41).rev().map(|n| copy(&format!("o{n}"), n * DAY + 20 * 3_600, Some(4 * GIB + n), "present"));
    let name = "host1:/etc,/var/lib/chat";
    let gap = Some((2 * DAY + 20 * 3_600, DAY + 20 * 3_600));
    let histories = json!([history(name, 41, 40 * DAY + 20 * 3_600, 20 * 3_600, gap)]);
    let sizes = json!([sizes(name, Some(4 * GIB), Some(4 * GIB + 40), Some(4 * GIB + 4))]);
    repository("s3:backup.example.net/messaging", "messaging", copies.collect(), histories, sizes)
}

/// The sample's evidence, in which `offsite` holds so many copies, one an hour, the second oldest incomplete.
pub(crate) fn many_copies(count: i64) -> impl Fn(&Digest) -> Option<Evidence> {
    move |digest| {
        let mut evidence = super::evidence(digest)?;
        if evidence.kind == "backup" && evidence.target.name == "offsite" {
            let complete = |n: i64| if n == count - 2 { "absent" } else { "present" };
            let copies = (0..count).rev().map(|n| copy(&format!("m{n}"), n * 3_600, Some(GIB), complete(n)));
            let histories = json!([history("host1:/etc,/var/lib/chat", 0, 0, 0, None)]);
            evidence.facts = Some(repository("/m", "many", copies.collect(), histories, json!([])));
        }
        Some(evidence)
    }
}

fn read(part: i64, outcome: &str) -> Facts {
    let parts =
        (1..=30).map(|n| json!({ "name": format!("{n}/30"), "outcome": if n == part { outcome } else { "not_read" } }));
    let value = json!({
        "identity": { "outcome": "present", "why": null, "what": "repository id", "value": "5f2c0b7e" },
        "parts": parts.collect::<Vec<_>>(), "errors": { "asked": "all", "errors": [] }, "bytes_read": 148_000_000_i64, "bytes_estimated": false,
        "structure": { "outcome": "intact", "why": null },
        "budget": { "within": 30 * DAY, "max_bytes": 5 * GIB, "max_time": 1_800, "parts": 30, "lock": false },
    });
    value.as_object().cloned().unwrap_or_default()
}

fn drill(canary: &str) -> Facts {
    let sample =
        |n: i32| json!({ "name": format!("/var/lib/chat/{n}"), "outcome": "present", "why": null, "by": "sha256" });
    let value = json!({
        "identity": { "outcome": "present", "why": null, "what": "repository id", "value": "5f2c0b7e" },
        "expected": { "rto": 3_600, "rpo": 93_600, "canary": true }, "whole": true,
        "restored": { "outcome": "present", "why": null, "files": 47_000, "bytes": 4 * GIB, "tool_millis": 401_000, "millis": 412_000 },
        "canary": { "outcome": canary, "why": null, "place": "/var/lib/chat/.canary", "planted": null, "next": null },
        "samples": { "asked": "all", "outcome": "present", "why": null, "of": 47_000, "samples": (0..20).map(sample).collect::<Vec<_>>() },
        "queries": [],
    });
    value.as_object().cloned().unwrap_or_default()
}

/// How many days ago earlier runs read or restored, and what they saw of it.
fn earlier_pieces() -> Vec<(i64, &'static str, &'static str)> {
    let mut pieces = vec![(17, "backup-restore", "absent"), (47, "backup-restore", "present")];
    for days in 1..25 {
        let outcome = match days {
            9 => "damaged",
            14 => "not_proven",
            _ => "intact",
        };
        pieces.push((days, "backup-read", outcome));
    }
    pieces
}

fn name_of(kind: &str, days: i64) -> String {
    format!("{kind} of nightly, {days} days ago")
}

/// What earlier runs saw of the sample.
pub(crate) fn earlier() -> Vec<Earlier> {
    let piece = |(days, kind, _): (i64, &str, &str)| Earlier {
        digest: Digest::of(name_of(kind, days).as_bytes()),
        kind: kind.into(),
        target: "nightly".into(),
        collected: ago(days),
    };
    earlier_pieces().into_iter().map(piece).collect()
}

fn ago(days: i64) -> Timestamp {
    at(-days * DAY)
}

/// The evidence of copies of a digest of the sample.
pub(super) fn evidence(digest: &Digest) -> Option<Evidence> {
    let is = |name: &str| *digest == Digest::of(name.as_bytes());
    if is("nightly") || is("offsite") {
        let (name, facts) = if is("nightly") { ("nightly", nightly()) } else { ("offsite", offsite()) };
        return Some(piece(name, "backup", Level::Effective, facts));
    }
    if is(&name_of("backup-read", 0)) {
        return Some(piece("nightly", "backup-read", Level::Demonstrated, read(30, "intact")));
    }
    let (days, kind, outcome) = earlier_pieces().into_iter().find(|(days, kind, _)| is(&name_of(kind, *days)))?;
    let facts = if kind == "backup-read" { read(30 - days, outcome) } else { drill(outcome) };
    Some(Evidence { collected: ago(days), ..piece("nightly", kind, Level::Demonstrated, facts) })
}

/// Digests of the further evidence on `nightly` of this run.
pub(super) fn read_of_this_run() -> Digest {
    Digest::of(name_of("backup-read", 0).as_bytes())
}

/// The sample's evidence with one text in every field of facts about copies that holds text from outside.
pub(crate) fn hostile_copies(text: &str) -> impl Fn(&Digest) -> Option<Evidence> {
    move |digest| {
        let mut evidence = super::evidence(digest)?;
        if evidence.kind.starts_with("backup") {
            evidence.facts.iter_mut().flat_map(|facts| facts.values_mut()).for_each(|value| replace(value, text));
        }
        Some(evidence)
    }
}

/// Keys whose words are the probe's own.
const OWN: &[&str] =
    &["outcome", "basis", "kind", "asked", "role", "recovery_point", "started", "ended", "oldest", "newest"];

fn replace(value: &mut Value, text: &str) {
    match value {
        Value::String(held) => *held = text.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, text)),
        Value::Object(fields) => {
            fields
                .iter_mut()
                .filter(|(key, _)| !OWN.contains(&key.as_str()))
                .for_each(|(_, value)| replace(value, text));
        }
        _ => {}
    }
}
