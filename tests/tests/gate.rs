//! The gate: exit codes, waivers, mistakes of the operator, and ends before the end. It fails closed.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::{Behaviour, Gate, Hostile, Key, Lab, Nginx, NginxTls, Probity};

/// A server with TLS 1.2 and 1.3.
fn server() -> Result<(Lab, Nginx)> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::P256)?])?;
    Ok((lab, nginx))
}

fn gate(policy: &str, targets: &[SocketAddr], more: &str) -> Result<Gate> {
    let gate = Gate::new()?;
    gate.inventory(policy, targets, more)?;
    Ok(gate)
}

#[test]
fn each_exit_code_means_one_thing() -> Result<()> {
    let (_lab, nginx) = server()?;
    let silent = Hostile::start(Behaviour::Silent)?;
    let (good, mute) = (nginx.address(), silent.address());

    let passed = gate("lenient", &[good], "")?;
    passed.audit(&[])?.expect_code(0)?;
    assert_eq!(passed.assessment()?.verdicts("LAB-VERSIONS"), ["pass"]);

    let failed = gate("strict", &[good], "")?;
    let finished = failed.audit(&[])?.expect_code(1)?;
    ensure!(finished.stdout.contains("TLSv1.2 is accepted") && finished.stdout.contains("FAILED"), "{finished}");
    assert_eq!(failed.assessment()?.verdicts("LAB-VERSIONS"), ["fail"]);
    gate("strict", &[good], "")?.audit(&["--fail-on", "critical"])?.expect_code(0)?;

    let unproven = gate("lenient", &[mute], "")?;
    unproven.audit(&["--deadline", "4s"])?.expect_code(3)?;
    assert_eq!(unproven.assessment()?.verdicts("LAB-VERSIONS"), ["inconclusive"]);

    // A failure outranks what is not proven.
    gate("strict", &[good, mute], "")?.audit(&["--deadline", "4s"])?.expect_code(1)?;

    // A usage error comes before either, a broken pack before all.
    gate("strict", &[good], "")?.audit(&["--no-such-option"])?.expect_code(2)?;
    std::fs::write(failed.pack().join("policy.yaml"), "x")?;
    failed.probity.run(["verify", "pack"])?.expect_code(4)?;
    Ok(())
}

#[test]
fn a_pipeline_without_a_file_audits_nothing_by_accident() -> Result<()> {
    let finished = Probity::new()?.env("CI", "true").run(["audit"])?.expect_code(2)?;
    ensure!(finished.stderr.contains("--self"), "it says what to do next: {finished}");
    Ok(())
}

fn waiver(expires: &str, target: &str, approver: &str, more: &str) -> String {
    format!(
        "waivers:\n  - control: LAB-VERSIONS\n    target: \"{target}\"\n    owner: j.meier\n    approver: {approver}\n    \
         reason: A till.\n    expires: {expires}\n{more}"
    )
}

/// Audits a failing server under a waiver.
fn waived(waiver: &str, code: i32) -> Result<(Gate, String)> {
    let (_lab, nginx) = server()?;
    let gate = gate("strict", &[nginx.address()], "waivers: waivers.yaml")?;
    gate.probity.write("waivers.yaml", waiver)?;
    let finished = gate.audit(&[])?.expect_code(code)?;
    Ok((gate, finished.stdout + &finished.stderr))
}

#[test]
fn a_waiver_changes_whether_a_failure_blocks_and_never_whether_it_is_shown() -> Result<()> {
    let (gate, said) = waived(&waiver("2099-01-31", "t0*", "m.roth", ""), 0)?;
    let assessment = gate.assessment()?;
    assert_eq!(assessment.verdicts("LAB-VERSIONS"), ["fail"]);
    assert_eq!(assessment.at("/counts/waived"), 1);
    assert_eq!(assessment.at("/waivers/0/state"), "used");
    ensure!(said.contains("waived") && said.contains("m.roth"), "{said}");
    Ok(())
}

#[test]
fn waivers_that_do_not_hold_are_loud() -> Result<()> {
    let (gate, said) = waived(&waiver("2020-01-31", "t0*", "m.roth", ""), 1)?;
    assert_eq!(gate.assessment()?.at("/waivers/0/state"), "expired");
    ensure!(said.contains("expired"), "{said}");

    let (gate, said) = waived(&waiver("2099-01-31", "elsewhere", "m.roth", ""), 1)?;
    assert_eq!(gate.assessment()?.at("/waivers/0/state"), "unmatched");
    ensure!(said.contains("elsewhere"), "{said}");

    let (gate, _) = waived(&waiver("2099-01-31", "t0*", "m.roth", "    created: 2098-01-01\n"), 1)?;
    assert_eq!(gate.assessment()?.at("/waivers/0/state"), "early");

    let (_, said) = waived(&waiver("2099-01-31", "t0*", "j.meier", ""), 2)?;
    ensure!(said.contains("j.meier") && said.contains("waivers.yaml"), "{said}");
    let (_, said) = waived("waivers:\n  - control: LAB-VERSIONS\n", 2)?;
    ensure!(said.contains("waivers.yaml:2"), "{said}");
    Ok(())
}

/// A fork's pull request brings waivers of its own; the documented gate names those of the base branch.
#[test]
fn waivers_of_the_base_branch_win_over_those_of_a_fork() -> Result<()> {
    let (_lab, nginx) = server()?;
    let gate = gate("strict", &[nginx.address()], "waivers: waivers.yaml")?;
    gate.probity.write("waivers.yaml", waiver("2099-01-31", "*", "mallory", ""))?;
    gate.probity.write("base/waivers.yaml", "waivers: []\n")?;
    gate.audit(&["--waivers", "base/waivers.yaml"])?.expect_code(1)?;
    assert_eq!(gate.assessment()?.at("/counts/waived"), 0);
    Ok(())
}

#[test]
fn a_waiver_covers_what_is_not_proven_too() -> Result<()> {
    let (_lab, nginx) = server()?;
    let silent = Hostile::start(Behaviour::Silent)?;
    let mute = gate("lenient", &[silent.address(), nginx.address()], "waivers: waivers.yaml")?;
    mute.probity.write("waivers.yaml", waiver("2099-01-31", "t0*", "m.roth", ""))?;
    mute.audit(&["--deadline", "4s"])?.expect_code(0)?;
    assert_eq!(mute.assessment()?.verdicts("LAB-VERSIONS"), ["inconclusive", "pass"]);

    // But waivers alone make no audit: where nothing at all was proven, nothing passes.
    let nothing = gate("lenient", &[silent.address()], "waivers: waivers.yaml")?;
    nothing.probity.write("waivers.yaml", waiver("2099-01-31", "t0*", "m.roth", ""))?;
    nothing.audit(&["--deadline", "4s"])?.expect_code(3)?;
    Ok(())
}

/// Changes one file of the user's policies and expects the whole audit to be refused, with the place and these words.
fn broken_policy(file: &str, change: impl Fn(&str) -> String, words: &[&str]) -> Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let gate = gate("lenient", &[address], "")?;
    let path = gate.probity.folder().join("policies").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = change(&text);
    ensure!(changed != text, "the test changes nothing");
    std::fs::write(&path, changed)?;
    let finished = gate.audit(&[])?.expect_code(2)?;
    for word in words {
        ensure!(finished.stderr.contains(word), "'{word}' is wanted: {finished}");
    }
    ensure!(!gate.pack().join("assessment.json").exists(), "a broken policy judges nothing");
    Ok(())
}

#[test]
fn broken_policies_are_refused_with_their_place() -> Result<()> {
    let controls = "controls/lab.yaml";
    let typo = |text: &str| text.replace("violates:", "violate:");
    broken_policy(controls, typo, &["controls/lab.yaml:11", "violates"])?;
    broken_policy(controls, |text| text.replace("item.outcome ==", "item.outcom =="), &["lab.yaml:11", "outcome"])?;
    broken_policy(controls, |text| text.replace("\"accepted\"", "\"acepted\""), &["lab.yaml:11", "accepted"])?;
    broken_policy(controls, |text| text.replace("item.outcome == \"accepted\"", "item.outcome =="), &["lab.yaml:11"])?;
    broken_policy("profiles/lenient.yaml", |text| text.replace("LAB-VERSIONS", "LAB-VERSION"), &["LAB-VERSIONS"])?;
    let cycle = |_: &str| "profile: lenient\nversion: \"1\"\ntitle: x\nextends: [lenient]\n".to_owned();
    broken_policy("profiles/lenient.yaml", cycle, &["lenient"])?;
    let nothing = |text: &str| text.replace("controls: [LAB-VERSIONS]", "controls: []");
    broken_policy("profiles/lenient.yaml", nothing, &["lenient.yaml"])?;
    Ok(())
}

#[test]
fn bombs_are_refused() -> Result<()> {
    let lines = (0..12).map(|at| format!("  a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 10].join(", ")));
    let aliases: String = lines.skip(1).collect();
    let bomb = move |_: &str| format!("controls:\n  - id: X-Y\n    params:\n  a0: &a0 [x]\n{aliases}");
    broken_policy("controls/bomb.yaml", bomb, &["bomb.yaml"])?;
    let deep = |_: &str| format!("controls: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    broken_policy("controls/deep.yaml", deep, &["deep.yaml"])?;
    let nested = "[1,2,3].all(a, [1,2,3].all(b, [1,2,3].all(c, [1,2,3].all(d, a+b+c+d > 0))))";
    let cel = move |text: &str| text.replace("item.outcome == \"accepted\"", nested);
    broken_policy("controls/lab.yaml", cel, &["lab.yaml:11"])?;
    let long = |text: &str| text.replace("item.outcome == \"accepted\"", &vec!["true"; 2000].join(" && "));
    broken_policy("controls/lab.yaml", long, &["lab.yaml:11"])
}

#[test]
fn inventories_that_say_nothing_or_nonsense_are_refused() -> Result<()> {
    let refused = |text: &str, word: &str| -> Result<()> {
        let gate = Gate::new()?;
        gate.probity.write("probity.yaml", text)?;
        let finished = gate.audit(&[])?.expect_code(2).context(text.to_owned())?;
        ensure!(finished.stderr.contains(word), "'{word}' is wanted: {finished}");
        Ok(())
    };
    let target = "targets:\n  - { name: a, tls: { endpoint: \"127.0.0.1:9\" } }\n";
    refused("service: x\ntargets: []\n", "targets")?;
    refused("", "probity.yaml")?;
    refused(&format!("service: x\npolicy: [baselin]\n{target}"), "baseline")?;
    refused(&format!("service: x\npolicies: [baseline]\n{target}"), "policy")?;
    refused("service: x\ntargets:\n  - { name: a, tsl: { endpoint: \"127.0.0.1:9\" } }\n", "tls")?;
    refused(&format!("service: x\nwaivers: none.yaml\n{target}"), "none.yaml")?;
    let finished = Probity::new()?.run(["audit", "-c", "missing.yaml"])?.expect_code(2)?;
    ensure!(finished.stderr.contains("missing.yaml"), "{finished}");
    Ok(())
}

#[test]
fn a_policy_for_a_label_that_no_target_carries_blocks() -> Result<()> {
    let (_lab, nginx) = server()?;
    let more = "policies_for:\n  - { policy: strict, labels: { tier: gone } }";
    let gate = gate("lenient", &[nginx.address()], more)?;
    let finished = gate.audit(&[])?;
    ensure!(finished.code.is_some_and(|code| code == 2 || code == 3), "{finished}");
    ensure!((finished.stdout.clone() + &finished.stderr).contains("gone"), "{finished}");
    Ok(())
}

#[test]
fn a_target_that_no_policy_judges_blocks() -> Result<()> {
    let (_lab, nginx) = server()?;
    let gate = gate("lenient", &[nginx.address()], "")?;
    let address = nginx.address();
    gate.probity.write(
        "probity.yaml",
        format!(
            "service: lab\npolicy_dir: policies\npolicies_for:\n  - {{ policy: lenient, labels: {{ tier: edge }} }}\ntargets:\n  \
             - {{ name: edge, labels: {{ tier: edge }}, tls: {{ endpoint: \"{address}\" }} }}\n  \
             - {{ name: forgotten, tls: {{ endpoint: \"{address}\" }} }}\n"
        ),
    )?;
    let finished = gate.audit(&[])?.expect_code(3)?;
    ensure!(finished.stdout.contains("forgotten"), "{finished}");
    Ok(())
}

#[test]
fn a_shipped_policy_that_was_changed_says_so() -> Result<()> {
    let (_lab, nginx) = server()?;
    let gate = gate("baseline", &[nginx.address()], "")?;
    gate.probity.write(
        "policies/profiles/baseline.yaml",
        "profile: baseline\nversion: \"1\"\ntitle: Sound defaults for any service\ncontrols: [LAB-VERSIONS]\n",
    )?;
    let finished = gate.audit(&[])?;
    ensure!(finished.stdout.contains("modified"), "{finished}");
    assert_eq!(gate.assessment()?.at("/policies/0/modified"), &serde_json::Value::Bool(true));
    Ok(())
}

#[test]
fn keys_that_cannot_be_used_stop_the_audit_before_it_begins() -> Result<()> {
    let (_lab, nginx) = server()?;
    for (name, text) in
        [("missing.pem", None), ("garbage.pem", Some("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))]
    {
        let gate = gate("lenient", &[nginx.address()], &format!("sign: {{ key: \"file:{name}\" }}"))?;
        if let Some(text) = text {
            gate.probity.write(name, text)?;
        }
        let finished = gate.audit(&[])?.expect_code(2)?;
        ensure!(finished.stderr.contains(name), "{finished}");
    }
    Ok(())
}

#[test]
fn output_that_cannot_be_written_is_an_error() -> Result<()> {
    let (_lab, nginx) = server()?;
    let gate = gate("lenient", &[nginx.address()], "")?;
    gate.probity.write("file", "")?;
    let finished = gate.probity.run(["audit", "--out", "file/pack"])?.expect_code(2)?;
    ensure!(finished.stderr.contains("file/pack"), "{finished}");
    let finished = gate.audit(&["--format", "sarif=file/r.sarif"])?.expect_code(2)?;
    ensure!(finished.stderr.contains("file/r.sarif"), "{finished}");
    Ok(())
}

#[test]
fn a_broken_pipe_never_changes_the_code() -> Result<()> {
    let (_lab, nginx) = server()?;
    for (policy, code) in [("lenient", 0), ("strict", 1)] {
        let gate = gate(policy, &[nginx.address()], "")?;
        let mut child = gate.probity.command(["audit", "--out", "pack", "--format", "json"])?.spawn()?;
        drop(child.stdout.take());
        let finished = gate.probity.finish(child)?.expect_code(code)?;
        ensure!(!finished.stderr.contains("Broken pipe"), "{finished}");
        gate.probity.run(["verify", "pack"])?.expect_code(0)?;
    }
    Ok(())
}

#[test]
fn ctrl_c_keeps_what_was_collected() -> Result<()> {
    let (_lab, nginx) = server()?;
    let silent = Hostile::start(Behaviour::Silent)?;
    let gate = gate("lenient", &[nginx.address(), silent.address()], "")?;
    let child = gate.probity.command(["audit", "--out", "pack", "--deadline", "100s"])?.spawn()?;
    // Until the mute server has a connection the audit has not begun; then the other one has time to answer.
    for _ in 0..200 {
        if silent.connections() > 0 {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_secs(2));
    Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    let finished = gate.probity.finish(child)?.expect_code(3)?;
    ensure!(finished.took < Duration::from_secs(15), "{finished}");
    let assessment = gate.assessment()?;
    assert_eq!(assessment.at("/run/interrupted"), true);
    assert_eq!(assessment.verdicts("LAB-VERSIONS"), ["pass", "inconclusive"]);
    gate.probity.run(["verify", "pack"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn results_go_to_standard_output_and_progress_to_standard_error() -> Result<()> {
    let (_lab, nginx) = server()?;
    let gate = gate("strict", &[nginx.address()], "")?;
    let mut child = gate.probity.command(["audit", "--out", "pack", "--format", "json"])?.spawn()?;
    let mut stdout = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut stdout)?;
    gate.probity.finish(child)?.expect_code(1)?;
    let assessment: serde_json::Value = serde_json::from_str(&stdout).context(stdout.clone())?;
    assert_eq!(assessment.pointer("/format"), Some(&"probity.assessment/v1".into()));
    Ok(())
}
