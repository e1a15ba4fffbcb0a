//! Judges 100 controls over 1,000 targets of full facts (6 versions with 60 suites in all), made one by one as a pack
//! would be read, and prints how long the judging took and how much memory the process held at most.
//!
//! `cargo run --release -p policy --example judge_many [TARGETS [SUITES]]`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement is for people to read")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "measuring needs a clock; the crate itself has none"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use model::{Ask, Digest, Evidence, Facts, Level, Provenance, Subject, Target, Timestamp};
use policy::{Judge, KindInfo, Kinds, Library, SourceFile, Sources, Waivers};
use serde_json::json;

const NOW: &str = "2026-11-24T00:00:00Z";

fn kinds() -> Kinds {
    let schema = json!({ "type": "object", "properties": {
        "asked": {},
        "versions": { "type": "array", "items": { "type": "object", "properties": {
            "name": { "type": "string" }, "outcome": { "enum": ["accepted", "refused", "not_proven"] }, "asked": {},
            "suites": { "type": "array", "items": { "type": "object", "properties": {
                "id": { "type": "string" }, "name": { "type": "string" }, "bits": { "type": "integer" },
                "outcome": { "enum": ["accepted", "refused", "not_proven"] }, "aead": { "type": "boolean" } } } },
            "not_proven": { "type": "array", "items": {} } } } },
        "expires": { "type": "string" } } });
    BTreeMap::from([("tls".to_owned(), KindInfo { level: Level::Demonstrated, schema })])
}

/// Controls of the three usual sorts: over versions, over all suites, over the facts as a whole.
fn sources() -> Sources {
    let (mut controls, mut ids) = (String::from("controls:\n"), Vec::new());
    for i in 0..100 {
        let rule = match i % 4 {
            0 => format!(
                "params: {{ bad: [TLSv1.0, TLSv1.1] }}\n  over: versions[*]\n  where: item.name in params.bad\n  cover: params.bad\n  violates: item.outcome == 'accepted' && {i} >= 0\n  message: '{{{{ item.name }}}}'"
            ),
            1 => format!(
                "params: {{ bits: 128 }}\n  over: versions[*].suites[*]\n  violates: item.bits < params.bits - {i}\n  message: '{{{{ item.name }}}}'"
            ),
            2 => format!(
                "over: versions[*].suites[*]\n  where: parent.name == 'TLSv1.2'\n  violates: item.outcome == 'accepted' && !item.aead && item.bits < {i}\n  message: '{{{{ item.name }}}}'"
            ),
            _ => format!(
                "violates: days_left(facts.expires) < {i} - 100 || facts.versions.exists(v, v.name == 'SSLv3' && v.outcome == 'accepted')\n  message: m"
            ),
        };
        controls.push_str(&format!("- id: C-{i}\n  title: t\n  severity: high\n  evidence: {{ kind: tls }}\n  {rule}\n  wanted: w\n  rationale: r\n"));
        ids.push(format!("C-{i}"));
    }
    let profile = format!("profile: all\nversion: '1'\ntitle: t\ncontrols: [{}]\n", ids.join(", "));
    let file = |text: String| SourceFile { bytes: text.into_bytes().into(), shipped: true };
    [("controls/c.yaml".to_owned(), file(controls)), ("profiles/p.yaml".to_owned(), file(profile))].into()
}

fn facts(suites: u32) -> Facts {
    let versions = ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"].map(|name| {
        let outcome = if name > "TLSv1.1" { "accepted" } else { "refused" };
        let suites: Vec<_> = (0..suites / 6)
            .map(|i| json!({ "id": format!("0x{i:04x}"), "name": format!("TLS_ECDHE_RSA_WITH_SUITE_{i}"), "bits": 128 + i, "outcome": "accepted", "aead": i % 2 == 0 }))
            .collect();
        json!({ "name": name, "outcome": outcome, "asked": "all", "suites": suites, "not_proven": [] })
    });
    let all = json!({ "asked": "all", "versions": versions, "expires": "2027-11-24T00:00:00Z" });
    all.as_object().cloned().unwrap_or_default()
}

fn evidence(i: u32, facts: Facts, collected: Timestamp) -> Evidence {
    let name = format!("edge@10.0.{}.{}", i / 256, i % 256);
    let subject = Subject { sort: "tls".into(), spec: json!(null) };
    let target =
        Target { of: "edge".into(), address: name.clone(), name, labels: BTreeMap::new(), discovered: false, subject };
    let provenance = Provenance {
        started: collected,
        millis: 0,
        sources: vec![],
        connections: 0,
        bytes_sent: 0,
        bytes_received: 0,
        commands: vec![],
        files: vec![],
        attested_by_host_only: false,
    };
    Evidence {
        format: Evidence::FORMAT.into(),
        target,
        kind: "tls".into(),
        level: Level::Demonstrated,
        asked: Ask::All,
        collected,
        facts: Some(facts),
        failure: None,
        provenance,
        exchanges: None,
        notes: BTreeMap::new(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |at: usize, default: u32| std::env::args().nth(at).map_or(Ok(default), |n| n.parse());
    let (targets, suites) = (argument(1, 1_000)?, argument(2, 60)?);
    let (library, now) = (Library::load(&sources(), &kinds())?, NOW.parse()?);
    let policies = library.resolve(&["all"])?;
    let mut judge = Judge::new(&policies, now, "service");
    let template = facts(suites);
    let mut spent = Duration::ZERO;
    for i in 0..targets {
        let piece = evidence(i, template.clone(), now);
        let start = Instant::now();
        judge.evidence(piece, Digest::of(&i.to_be_bytes()));
        spent += start.elapsed();
    }
    let start = Instant::now();
    let judged = judge.finish(&[], &Waivers::default());
    spent += start.elapsed();
    let counts = policy::counts(&judged.findings);
    println!(
        "{targets} targets of {suites} suites, {} controls, {} findings: {spent:.2?}",
        judged.controls.len(),
        judged.findings.len()
    );
    println!("{counts:?}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|l| l.starts_with("VmHWM")).for_each(|l| println!("{l}"));
    Ok(())
}
