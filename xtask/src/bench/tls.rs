//! Every scanner on every server, near and far: what it costs, and what it finds of the truth.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::meter::{Usage, median_of, run};
use super::rivals::{Found, Names, Scanner, scanners};
use crate::lab::{self, Counts, Server};
use crate::shell::Scratch;

/// Servers of the lab whose truth is written down.
const SERVERS: [&str; 3] = ["nginx-intermediate", "nginx-old", "openssl-everything"];
/// Round trips, milliseconds.
const ROUND_TRIPS: [u32; 2] = [0, 50];

/// One line of a table.
struct Row {
    name: &'static str,
    usage: Usage,
    counts: Counts,
    found: Result<Found>,
}

/// Measures everything and prints a table for each server and distance. Slow scanners run on the first server and over no
/// distance, unless `full`.
pub(super) fn compare(probity: &str, rivals: &Path, full: bool) -> Result<()> {
    let names = Names::read()?;
    let scanners = scanners(probity, rivals);
    let scratch = Scratch::new("bench")?;
    let out = scratch.path().join("found");
    for name in SERVERS {
        let truth = truth(name)?;
        for round_trip in ROUND_TRIPS {
            let first = full || (name == SERVERS[0] && round_trip == 0);
            let mut rows = Vec::new();
            for scanner in scanners.iter().filter(|scanner| first || !scanner.slow) {
                rows.push(measure(scanner, name, round_trip, &names, &out)?);
            }
            println!("\n### {name}, {round_trip} ms round trip\n");
            print(&rows, &truth);
        }
    }
    Ok(())
}

/// Runs through a relay once, for counts, memory and findings, and at no distance again without it, for the time.
fn measure(scanner: &Scanner, name: &str, round_trip: u32, names: &Names, out: &Path) -> Result<Row> {
    let mut server = Server::start(&format!("{name}@{round_trip}"))?;
    let _ = std::fs::remove_file(out);
    let command = scanner.command(server.address, out);
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = (!words.iter().any(|word| word.contains(&*out.to_string_lossy()))).then_some(out);
    let before = server.counts()?;
    let watched = run(&words, output, true)?;
    let after = server.counts()?;
    let found = std::fs::read_to_string(out).context("no findings").and_then(|text| (scanner.read)(&text, names));
    let mut usage = watched.clone();
    if round_trip == 0 && !scanner.slow {
        let server = Server::start(name)?;
        let command = scanner.command(server.address, out);
        usage = median_of(scanner.runs, &command.iter().map(String::as_str).collect::<Vec<_>>())?;
    } else if !scanner.slow && scanner.runs > 3 {
        usage = median_of(scanner.runs, &words)?;
    }
    usage.peak_mb = watched.peak_mb;
    let counts = Counts {
        connections: after.connections - before.connections,
        at_once: after.at_once,
        bytes: after.bytes - before.bytes,
    };
    Ok(Row { name: scanner.name, usage, counts, found })
}

/// What the lab says that a server accepts.
fn truth(name: &str) -> Result<Found> {
    let json = lab::truth(name)?;
    let mut truth = Found::default();
    for (version, suites) in json.get("versions").and_then(Value::as_object).context("no versions")? {
        for id in suites.as_array().into_iter().flatten().filter_map(Value::as_str) {
            truth.suites.insert(format!("{version} {id}"));
        }
    }
    let groups = json.get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    truth.groups = groups.map(str::to_owned).collect();
    Ok(truth)
}

/// `found, missed, invented` of a set; the versions are left out where the scanner does not tell them.
fn compared(found: &BTreeSet<String>, truth: &BTreeSet<String>) -> String {
    let plain = |set: &BTreeSet<String>| -> BTreeSet<String> {
        set.iter().map(|item| item.split_once(' ').map_or(item.as_str(), |(_, id)| id).to_owned()).collect()
    };
    if found.iter().any(|item| item.starts_with("any ")) {
        return compared(&plain(found), &plain(truth));
    }
    let right = found.intersection(truth).count();
    format!("{right} of {}, {} invented", truth.len(), found.len() - right)
}

fn print(rows: &[Row], truth: &Found) {
    println!(
        "| scanner | wall, s | × | CPU, s | × | memory, MB | connections | × | at once | suites found | groups found |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let Some(own) = rows.first() else { return };
    for Row { name, usage, counts, found } in rows {
        let (suites, groups) = match found {
            Ok(found) => (compared(&found.suites, &truth.suites), compared(&found.groups, &truth.groups)),
            Err(error) => (format!("{error:#}"), String::new()),
        };
        let connections = counts.connections as f64 / own.counts.connections.max(1) as f64;
        println!(
            "| {name} | {:.3} | {:.1} | {:.3} | {:.1} | {:.0} | {} | {connections:.1} | {} | {suites} | {groups} |",
            usage.seconds,
            usage.seconds / own.usage.seconds,
            usage.cpu,
            usage.cpu / own.usage.cpu.max(0.001),
            usage.peak_mb,
            counts.connections,
            counts.at_once
        );
    }
}
