//! TLS scans in numbers: fifty endpoints near and far, thousands as a gate, and millions of damaged inputs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Bar;
use super::measure::{Run, assessment, median, number, probity, run};
use crate::lab::Server;
use crate::shell::{Scratch, command, installed, target_dir};

/// Endpoints that are scanned at once, in full.
const FEW: u32 = 50;
/// How often they are.
const RUNS: usize = 5;
/// Damaged inputs for the parsers.
const INPUTS: &str = "10000000";

/// Address number `at` of 127.0.0.0/8: every one of them leads to the same server.
fn loopback(at: u32, port: u16) -> String {
    let [_, b, c, d] = (at + 0x0100).to_be_bytes();
    format!("127.{b}.{c}.{d}:{port}")
}

/// Fifty addresses of one nginx, everything asked, beside nmap's suites alone; and the same 50 ms away.
pub(super) fn fifty(program: &Path) -> Result<Vec<Bar>> {
    let scratch = Scratch::new("bars-fifty")?;
    let scan = |server: &Server| -> Result<f64> {
        let targets: Vec<String> = (1..=FEW).map(|at| loopback(at, server.address.port())).collect();
        let mut seconds = Vec::new();
        for _ in 0..RUNS {
            let mut scan = probity(program, scratch.path());
            scan.arg("tls").args(&targets).args(["--format", "json"]);
            seconds.push(run(&mut scan, &[0])?.seconds);
        }
        Ok(median(seconds))
    };
    let near = Server::start("nginx-intermediate-everywhere")?;
    let mut bars = Vec::new();
    let ours = scan(&near)?;
    if installed("nmap") {
        let (first, port) = (loopback(1, 0), near.address.port().to_string());
        let hosts = format!("{}-{FEW}", first.trim_end_matches(":0"));
        let mut seconds = Vec::new();
        for _ in 0..3 {
            let words = ["nmap", "-Pn", "-n", "-p", &port, "--script", "ssl-enum-ciphers", &hosts];
            seconds.push(run(&mut command(&words), &[0])?.seconds);
        }
        let theirs = median(seconds);
        bars.push(Bar::under(
            format!("{FEW} endpoints in full: against nmap ({theirs:.2} s)"),
            ours / theirs,
            0.25,
            "×",
        ));
    }
    bars.push(Bar::under(format!("{FEW} endpoints in full: median of {RUNS}"), ours, 0.55, "s"));
    let mut far = Server::start("nginx-intermediate-everywhere@50")?;
    bars.push(Bar::under(format!("{FEW} endpoints in full, 50 ms away: median of {RUNS}"), scan(&far)?, 1.2, "s"));
    let connections = far.counts()?.connections as f64 / f64::from(FEW) / RUNS as f64;
    bars.push(Bar::under(format!("{FEW} endpoints in full: connections for each"), connections, 60.0, ""));
    Ok(bars)
}

/// Audits that many addresses of one nginx, as a gate.
fn gate(program: &Path, server: &Server, scratch: &Path, count: u32) -> Result<Run> {
    let mut inventory = String::from("service: many\npolicy: [mozilla-intermediate]\ntargets:\n");
    for at in 1..=count {
        writeln!(inventory, "  - {{ name: t{at}, tls: {{ endpoint: \"{}\" }} }}", loopback(at, server.address.port()))?;
    }
    std::fs::write(scratch.join("probity.yaml"), inventory)?;
    let _ = std::fs::remove_dir_all(scratch.join("pack"));
    let mut audit = probity(program, scratch);
    audit.args(["audit", "-c", "probity.yaml", "--deadline", "600s", "--out", "pack"]);
    let audited = run(&mut audit, &[0, 1, 3])?;
    anyhow::ensure!(
        number(&assessment(&scratch.join("pack"))?, "/coverage/probed")? >= f64::from(count),
        "not all of {count} targets were probed"
    );
    Ok(audited)
}

/// A thousand endpoints as a gate, and what each costs among ten and among ten thousand.
pub(super) fn many(program: &Path) -> Result<Vec<Bar>> {
    let server = Server::start("nginx-intermediate-everywhere")?;
    let scratch = Scratch::new("bars-many")?;
    let mut runs = Vec::new();
    for count in [10, 1_000, 10_000] {
        runs.push((f64::from(count), gate(program, &server, scratch.path(), count)?));
    }
    let mut bars = Vec::new();
    let each = |(count, run): &(f64, Run)| run.cpu * 1000.0 / count;
    if let [_, thousand, ten_thousand] = runs.as_slice() {
        let rate = thousand.0 / thousand.1.seconds;
        bars.push(Bar::new("1,000 endpoints as a gate: in a second", format!("{rate:.0}"), "≥ 150", rate >= 150.0));
        bars.push(Bar::under("1,000 endpoints as a gate: memory, peak", thousand.1.peak_mb, 150.0, "MB"));
        bars.push(Bar::under("1,000 endpoints as a gate: CPU for each", each(thousand), 3.0, "ms"));
        bars.push(Bar::under(
            "10,000 endpoints: CPU for each, of 1,000's",
            each(ten_thousand) / each(thousand),
            1.3,
            "×",
        ));
        let growth = ten_thousand.1.peak_mb - thousand.1.peak_mb;
        bars.push(Bar::new("10,000 endpoints: memory over 1,000's", format!("{growth:.0} MB"), "-", true));
    }
    for (count, run) in &runs {
        let figure =
            format!("{:.2} s, {:.2} ms CPU each, {:.0} MB", run.seconds, run.cpu * 1000.0 / count, run.peak_mb);
        bars.push(Bar::new(format!("{count} endpoints as a gate"), figure, "-", true));
    }
    Ok(bars)
}

/// Ten million damaged inputs for every TLS parser, made from what servers of the lab said.
pub(super) fn inputs(program: &Path) -> Result<Vec<Bar>> {
    let build = ["cargo", "build", "--release", "--package", "check-tls", "--example", "generated"];
    crate::shell::run(&mut command(&build))?;
    let scratch = Scratch::new("bars-inputs")?;
    let mut records: Vec<PathBuf> = Vec::new();
    for name in ["nginx-intermediate", "nginx-old", "openssl-everything"] {
        let server = Server::start(name)?;
        let pack = scratch.path().join(name);
        let mut audit = probity(program, scratch.path());
        audit.args(["audit", &server.address.to_string(), "--depth", "full", "--out"]).arg(&pack);
        run(&mut audit, &[0, 1, 3])?;
        for file in std::fs::read_dir(pack.join("exchanges"))? {
            records.push(file?.path());
        }
    }
    let generated = target_dir()?.join("release").join("examples").join("generated");
    let mut generated = command(&[&generated.to_string_lossy(), INPUTS]);
    let said = run(generated.args(&records), &[0])?;
    println!("{}", String::from_utf8_lossy(&said.output.stdout).trim());
    Ok(vec![Bar::new(
        format!("{INPUTS} damaged inputs for the TLS parsers"),
        format!("{:.0} s", said.seconds),
        "no panic",
        true,
    )])
}
