//! Auditing real servers on loopback: time, connections, memory.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Bar;
use super::measure::{assessment, median, number, probity, run};
use crate::lab::Server;
use crate::shell::Scratch;

/// How often one server is audited.
const RUNS: usize = 20;

/// One nginx with Mozilla's intermediate settings, all phases included.
pub(super) fn nginx(program: &Path) -> Result<Vec<Bar>> {
    let server = Server::start("nginx-intermediate")?;
    let scratch = Scratch::new("bars-nginx")?;
    let (mut seconds, mut connections) = (Vec::new(), 0.0_f64);
    for at in 0..RUNS {
        let pack = scratch.path().join(format!("pack{at}"));
        let mut audit = probity(program, scratch.path());
        audit.args(["audit", &server.address.to_string(), "-p", "mozilla-intermediate", "--out"]).arg(&pack);
        seconds.push(run(&mut audit, &[0, 1, 3])?.seconds);
        connections = connections.max(number(&assessment(&pack)?, "/run/connections")?);
    }
    let worst = seconds.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Bar::under(format!("nginx intermediate: whole audit, median of {RUNS}"), median(seconds), 0.3, "s"),
        Bar::new("nginx intermediate: whole audit, worst", format!("{worst:.3} s"), "-", true),
        Bar::under("nginx intermediate: connections, most", connections, 60.0, ""),
    ])
}

/// Everything about one server, here and fifty milliseconds away: connections, rounds that wait for each other, time.
pub(super) fn far(program: &Path) -> Result<Vec<Bar>> {
    let scratch = Scratch::new("bars-far")?;
    let mut bars = Vec::new();
    for (name, most, bar) in [("nginx-intermediate", 60.0, 0.6), ("nginx-old", 130.0, 0.9)] {
        for (place, away) in [("", "here"), ("@50", "50 ms away")] {
            let server = Server::start(&format!("{name}{place}"))?;
            let (mut seconds, mut connections, mut rounds) = (Vec::new(), 0.0_f64, 0.0_f64);
            for _ in 0..RUNS {
                let mut scan = probity(program, scratch.path());
                scan.args(["tls", &server.address.to_string(), "--format", "json"]);
                let ran = run(&mut scan, &[0])?;
                let facts: serde_json::Value = serde_json::from_slice(&ran.output.stdout)?;
                connections = connections.max(number(&facts, "/0/facts/connections")?);
                rounds = rounds.max(number(&facts, "/0/facts/round_trips")?);
                seconds.push(ran.seconds);
            }
            let called = format!("{name}, {away}: all facts");
            bars.push(Bar::under(format!("{called}, median of {RUNS}"), median(seconds), bar, "s"));
            bars.push(Bar::new(format!("{called}: rounds, most"), format!("{rounds}"), "-", true));
            let fine = connections <= most;
            bars.push(Bar::new(
                format!("{called}: connections, most"),
                format!("{connections}"),
                format!("≤ {most}"),
                fine,
            ));
        }
    }
    Ok(bars)
}

/// One OpenSSH server as it is by default, beside `ssh-audit`.
pub(super) fn ssh(program: &Path) -> Result<Vec<Bar>> {
    let server = Server::start("sshd")?;
    let scratch = Scratch::new("bars-ssh")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut scan = probity(program, scratch.path());
        scan.args(["ssh", &server.address.to_string(), "--format", "json"]);
        ours.push(run(&mut scan, &[0])?.seconds);
        let mut rival = Command::new("ssh-audit");
        rival.args(["-j", "-p", &server.address.port().to_string(), &server.address.ip().to_string()]);
        // Its exit code says what it thinks of the server.
        theirs.push(run(&mut rival, &[0, 1, 2, 3])?.seconds);
    }
    let mut audit = probity(program, scratch.path());
    audit.args(["audit", &format!("ssh://{}", server.address), "--out"]).arg(scratch.path().join("pack"));
    run(&mut audit, &[0, 1, 3])?;
    let connections = number(&assessment(&scratch.path().join("pack"))?, "/run/connections")?;
    let (ours, theirs) = (median(ours), median(theirs));
    Ok(vec![
        Bar::under(format!("OpenSSH: probity ssh, median of {RUNS}"), ours, 0.1, "s"),
        Bar::under(format!("OpenSSH: against ssh-audit ({theirs:.2} s)"), ours / theirs, 0.25, "×"),
        Bar::under("OpenSSH: connections", connections, 10.0, ""),
    ])
}

/// A thousand targets, which are a thousand loopback addresses of one server, under a small limit of open files.
pub(super) fn thousand(program: &Path) -> Result<Vec<Bar>> {
    let server = Server::start("nginx-intermediate-everywhere")?;
    let scratch = Scratch::new("bars-thousand")?;
    let mut inventory = String::from("service: thousand\npolicy: [mozilla-intermediate]\ntargets:\n");
    for at in 0..1000 {
        let (high, low) = (at / 250 + 1, at % 250 + 1);
        writeln!(
            inventory,
            "  - name: t{at}\n    tls: {{ endpoint: \"127.0.{high}.{low}:{}\" }}",
            server.address.port()
        )?;
    }
    std::fs::write(scratch.path().join("probity.yaml"), inventory)?;
    let mut audit = probity(Path::new("sh"), scratch.path());
    let script = "ulimit -n 1024; exec \"$0\" audit -c probity.yaml --deadline 600s --out pack";
    audit.args(["-c", script]).arg(program);
    let audit = run(&mut audit, &[0, 1, 3])?;
    let assessment = assessment(&scratch.path().join("pack"))?;
    let probed = number(&assessment, "/coverage/probed")?;
    let failed = assessment.pointer("/coverage/targets").and_then(|list| list.as_array()).into_iter().flatten();
    let failed = failed.filter(|target| target.get("failed").is_some_and(|f| f == true)).count();
    Ok(vec![
        Bar::under("1,000 targets: memory, peak", audit.peak_mb, 200.0, "MB"),
        Bar::new("1,000 targets: probed under `ulimit -n 1024`", format!("{probed}"), "≥ 1000", probed >= 1000.0),
        Bar::new("1,000 targets: with failed evidence", format!("{failed}"), "0", failed == 0),
        Bar::new("1,000 targets: time", format!("{:.1} s", audit.seconds), "-", true),
    ])
}
