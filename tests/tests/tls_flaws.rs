//! Known flaws: sound servers have none, and what a test sends comes last, at full depth, where it is asked for.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Behaviour, Gate, Hostile, Key, Lab, Nginx, NginxTls, OpensslServer, Probity};

/// Names and outcomes, as `probity tls --flaws` tells them.
fn flaws(address: SocketAddr) -> Result<Vec<(String, String, String)>> {
    let finished = Probity::new()?.run(["tls", &address.to_string(), "--flaws", "--format", "json"])?.expect_code(0)?;
    let scans: Value = serde_json::from_str(&finished.stdout)?;
    let list = scans.pointer("/0/flaws/facts/flaws").and_then(Value::as_array).context("no flaws were looked for")?;
    let text = |flaw: &Value, key: &str| flaw.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(list.iter().map(|flaw| (text(flaw, "name"), text(flaw, "outcome"), flaw.to_string())).collect())
}

fn expect(address: SocketAddr, present: &[&str], unavailable: &[&str]) -> Result<()> {
    let found = flaws(address)?;
    ensure!(found.len() == 13, "{found:?}");
    for (name, outcome, all) in found {
        let wanted = match name.as_str() {
            name if present.contains(&name) => "present",
            name if unavailable.contains(&name) => "unavailable",
            _ => "absent",
        };
        ensure!(outcome == wanted, "{name} is {outcome}, not {wanted}: {all}");
    }
    Ok(())
}

/// What lies in suites that an up-to-date server refuses.
const IN_CBC: [&str; 6] =
    ["poodle_tls", "goldendoodle", "zombie_poodle", "sleeping_poodle", "zero_length", "lucky_minus20"];

#[test]
fn nginx_has_none() -> Result<()> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::P256)?])?;
    // Its tickets are on by default.
    expect(nginx.address(), &[], &[&IN_CBC[..], &["robot"]].concat())
}

#[test]
fn openssl_has_none_with_every_suite_and_renegotiates_where_it_is_told_to() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::Rsa(2048))?;
    let all = ["-cipher", "ALL:@SECLEVEL=0"];
    for version in ["-tls1", "-tls1_1", "-tls1_2"] {
        let server = OpensslServer::start(&identity, &[&all[..], &[version]].concat())?;
        expect(server.address(), &[], &[])?;
    }
    let server = OpensslServer::start(&identity, &[&all[..], &["-client_renegotiation"]].concat())?;
    expect(server.address(), &["client_renegotiation"], &[])?;
    let legacy = ["-client_renegotiation", "-legacy_renegotiation"];
    let server = OpensslServer::start(&identity, &[&all[..], &legacy].concat())?;
    expect(server.address(), &["client_renegotiation", "insecure_renegotiation"], &[])?;
    let newest = OpensslServer::start(&identity, &["-tls1_3"])?;
    let all = flaws(newest.address())?;
    ensure!(all.iter().all(|(_, outcome, _)| outcome == "unavailable"), "{all:?}");
    Ok(())
}

#[test]
fn an_audit_tests_at_full_depth_what_the_inventory_names() -> Result<()> {
    let lab = Lab::new()?;
    let server = OpensslServer::start(&lab.identity(Key::P256)?, &["-client_renegotiation", "-legacy_renegotiation"])?;
    let gate = Gate::new()?;
    let target = format!("  - {{ name: edge, tls: {{ endpoint: \"{}\", flaws: true }} }}\n", server.address());
    gate.probity.write("probity.yaml", format!("service: lab\npolicy: [tls-full]\ntargets:\n{target}"))?;
    gate.audit(&["--depth", "full"])?.expect_code(1)?;
    let assessment = gate.assessment()?;
    assert_eq!(assessment.verdicts("TLS-VULN-KNOWN"), ["fail"]);
    assert_eq!(assessment.verdicts("TLS-VULN-RENEG"), ["fail"]);
    assert_eq!(assessment.verdicts("TLS-VULN-FREAK"), ["pass"]);
    gate.probity.run(["verify", "pack"])?.expect_code(0)?;

    std::fs::remove_dir_all(gate.pack())?;
    let shallow = gate.audit(&["--depth", "auto"])?;
    assert_eq!(gate.assessment()?.verdicts("TLS-VULN-KNOWN"), ["inconclusive"], "{shallow}");
    let text = std::fs::read_to_string(gate.pack().join("assessment.json"))?;
    ensure!(text.contains("edge: known flaws"), "what was not looked at is not named");
    Ok(())
}

#[test]
fn servers_that_behave_badly_prove_nothing_and_are_done_with_in_time() -> Result<()> {
    let bad = [
        Behaviour::Silent,
        Behaviour::PlainHttp,
        Behaviour::ClosesAtOnce,
        Behaviour::Garbage,
        Behaviour::EndlessHandshake,
        Behaviour::HugeCertificate,
        Behaviour::OneByteASecond,
        Behaviour::UnofferedSuite,
    ];
    std::thread::scope(|scope| {
        let runs: Vec<_> = bad.into_iter().map(|behaviour| scope.spawn(move || proves_nothing(&behaviour))).collect();
        runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow::anyhow!("a run panicked"))?)
    })
}

fn proves_nothing(behaviour: &Behaviour) -> Result<()> {
    let server = Hostile::start(behaviour.clone())?;
    let address = server.address().to_string();
    let finished = Probity::new()?.run(["tls", &address, "--flaws", "--format", "json", "--deadline", "20s"])?;
    let scans: Value = serde_json::from_str(&finished.stdout).with_context(|| format!("{behaviour:?}: {finished}"))?;
    let tested = scans.pointer("/0/flaws").with_context(|| format!("{behaviour:?}: no flaws were looked for"))?;
    let flaws = tested.pointer("/facts/flaws").and_then(Value::as_array);
    let proven = flaws.into_iter().flatten().find(|flaw| flaw.get("outcome") != Some(&Value::from("not_proven")));
    ensure!(proven.is_none(), "{behaviour:?}: {proven:?}");
    let failed = tested.get("failure").is_some_and(|failure| !failure.is_null());
    ensure!(failed != flaws.is_some_and(|flaws| flaws.len() == 13), "{behaviour:?}: {tested}");
    Ok(())
}
