//! The self-check: what listens, which keys lie around, how the SSH server is set, on a machine made for the test.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Assessment, Finished, Key, Lab, Machine, Probity};

/// Where the TLS server of the machine listens.
const PORT: u16 = 8443;

struct SelfCheck {
    lab: Lab,
    probity: Probity,
    finished: Finished,
}

impl SelfCheck {
    /// Audits a machine with a TLS 1.0 server, a key with those permissions, and those lines in `sshd_config`.
    fn of(mode: u32, sshd: &str) -> Result<Self> {
        let (lab, probity) = (Lab::new()?, Probity::new()?);
        let identity = lab.identity(Key::Rsa(2048))?;
        let keys = lab.folder().join("private");
        std::fs::create_dir(&keys)?;
        std::fs::copy(&identity.key, keys.join("lab.key"))?;
        std::fs::set_permissions(keys.join("lab.key"), std::fs::Permissions::from_mode(mode))?;
        let config = lab.folder().join("sshd_config");
        std::fs::write(&config, format!("{sshd}\n"))?;
        let word = |path: &PathBuf| path.to_string_lossy().into_owned();
        let server = [
            "s_server".to_owned(),
            "-quiet".to_owned(),
            "-www".to_owned(),
            "-accept".to_owned(),
            Machine::address(PORT).to_string(),
            "-cert".to_owned(),
            word(&identity.certificate),
            "-key".to_owned(),
            word(&identity.key),
            "-tls1".to_owned(),
            "-cipher".to_owned(),
            "AES128-SHA:@SECLEVEL=0".to_owned(),
        ];
        let machine = Machine::new()
            .mount(keys, "/etc/ssl/private")
            .mount(config, "/etc/ssh/sshd_config")
            .server(PORT, "openssl", &server)?;
        let finished = machine.run(&probity, &["audit", "--out", "pack"])?;
        ensure!(matches!(finished.code, Some(0 | 1 | 3)), "{finished}");
        Ok(Self { lab, probity, finished })
    }

    fn assessment(&self) -> Result<Assessment> {
        let text = std::fs::read_to_string(self.probity.folder().join("pack/assessment.json"))?;
        Ok(Assessment(serde_json::from_str(&text)?))
    }

    /// The facts of one kind on one target.
    fn facts(&self, kind: &str, target: &str) -> Result<Value> {
        for entry in std::fs::read_dir(self.probity.folder().join("pack/evidence"))? {
            let evidence: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
            let named = evidence.pointer("/target/name").is_some_and(|name| name == target);
            if named && evidence.get("kind").is_some_and(|name| name == kind) {
                return evidence.get("facts").cloned().context(format!("{kind} of {target} has no facts: {evidence}"));
            }
        }
        anyhow::bail!("no evidence of kind {kind} on {target}: {}", self.finished)
    }

    /// The findings of one control that fail, as text.
    fn failures(&self, control: &str) -> Result<Vec<String>> {
        let assessment = self.assessment()?;
        let of = |finding: &&Value| {
            finding.get("control").is_some_and(|id| id == control)
                && finding.get("verdict").is_some_and(|v| v == "fail")
        };
        Ok(assessment.findings().iter().filter(of).map(Value::to_string).collect())
    }
}

#[test]
fn a_careless_machine_is_told_so() -> Result<()> {
    let check = SelfCheck::of(0o644, "PermitRootLogin yes\nPasswordAuthentication yes")?;

    let listeners = check.facts("listeners", "host")?;
    let sockets = listeners.get("listeners").and_then(Value::as_array).context("no listeners")?;
    let ours = sockets.iter().find(|socket| socket.get("port") == Some(&PORT.into())).context("our socket")?;
    assert_eq!(ours.pointer("/process/name"), Some(&"openssl".into()));
    assert_eq!(ours.get("loopback"), Some(&true.into()));

    let target = format!("tls:127.0.0.1:{PORT}");
    let tls = check.facts("tls", &target)?;
    let versions = tls.get("versions").and_then(Value::as_array).context("no versions")?;
    let old = versions.iter().find(|version| version.get("name").is_some_and(|n| n == "TLSv1.0")).context("TLSv1.0")?;
    assert_eq!(old.get("outcome"), Some(&"accepted".into()));
    let legacy = check.failures("TLS-PROTO-LEGACY")?;
    ensure!(legacy.iter().any(|finding| finding.contains(&target)), "{legacy:?}");

    let keys = check.failures("TLS-KEY-PERM")?;
    ensure!(keys.iter().any(|finding| finding.contains("/etc/ssl/private/lab.key")), "{keys:?}");
    ensure!(!check.failures("SSH-ROOT-LOGIN")?.is_empty(), "{}", check.finished);
    ensure!(!check.failures("SSH-AUTH-PASSWORD")?.is_empty(), "{}", check.finished);
    assert_eq!(check.finished.code, Some(1));

    check.probity.run(["verify", "pack"])?.expect_code(0)?;
    // Nothing secret is in the pack.
    let secret = std::fs::read_to_string(check.lab.folder().join("private/lab.key"))?;
    let line = secret.lines().nth(1).context("an empty key")?;
    for folder in ["pack", "pack/evidence"] {
        for entry in std::fs::read_dir(check.probity.folder().join(folder))? {
            let path = entry?.path();
            if path.is_file() {
                let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
                ensure!(!text.contains(line), "{} holds the private key", path.display());
            }
        }
    }
    Ok(())
}

#[test]
fn a_careful_machine_is_not_blamed_for_these() -> Result<()> {
    let check = SelfCheck::of(0o600, "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no")?;
    let keys = check.failures("TLS-KEY-PERM")?;
    ensure!(!keys.iter().any(|finding| finding.contains("lab.key")), "{keys:?}");
    let facts = check.facts("keyfiles", "host")?;
    let list = facts.get("keys").and_then(Value::as_array).context("no keys")?;
    let ours = list.iter().find(|key| key.get("path").is_some_and(|path| path == "/etc/ssl/private/lab.key"));
    let ours = ours.with_context(|| format!("our key is not among {list:?}"))?;
    assert_eq!(ours.get("mode"), Some(&"0600".into()));
    assert_eq!(ours.get("bits"), Some(&2048.into()));
    assert_eq!(check.assessment()?.verdicts("SSH-ROOT-LOGIN"), ["pass"]);
    assert_eq!(check.assessment()?.verdicts("SSH-AUTH-PASSWORD"), ["pass"]);
    Ok(())
}

#[test]
fn the_self_check_says_what_it_looked_for_and_did_not_find() -> Result<()> {
    let check = SelfCheck::of(0o600, "")?;
    let assessment = check.assessment()?;
    for pointer in ["/coverage/declared", "/coverage/discovered", "/coverage/probed", "/coverage/judged"] {
        ensure!(assessment.at(pointer).is_u64(), "{pointer} is missing");
    }
    let targets = assessment.at("/coverage/targets").as_array().context("no targets")?;
    ensure!(targets.iter().any(|target| target.get("name").is_some_and(|name| name == "host")), "{targets:?}");
    let facts = check.facts("keyfiles", "host")?;
    let places = facts.get("places").and_then(Value::as_array).context("no places")?;
    ensure!(places.iter().any(|place| place.get("outcome").is_some_and(|o| o == "absent")), "{places:?}");
    ensure!(assessment.at("/run/vantage/user").is_string() && assessment.at("/run/tool/digest").is_string());
    Ok(())
}

/// A machine whose SSH server began with some settings, while its file holds others: the verdict on both, and the facts.
fn wire_and_file(began: &str, file: &str) -> Result<(String, Value)> {
    let (lab, probity) = (Lab::new()?, Probity::new()?);
    let key = lab.folder().join("host_key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .stdin(std::process::Stdio::null())
        .status()?;
    ensure!(made.success(), "ssh-keygen does not make a key");
    let head = format!(
        "Port {SSH_PORT}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile {}\nUsePAM no\n",
        key.display(),
        lab.folder().join("pid").display()
    );
    // As a reload was forgotten: the process has read one file, and another one lies in its place.
    let (first, second) = (lab.folder().join("sshd_config"), lab.folder().join("sshd_config.new"));
    std::fs::write(&first, format!("{head}{began}\n"))?;
    std::fs::write(&second, format!("{head}{file}\n"))?;
    // sshd forks once it has read its file, and the shell goes on only then.
    let script = format!(
        "mkdir -p /run/sshd; /usr/sbin/sshd -f /etc/ssh/sshd_config && cat {} > /etc/ssh/sshd_config; sleep 60",
        second.display()
    );
    let machine =
        Machine::new().mount(&first, "/etc/ssh/sshd_config").server(SSH_PORT, "sh", &["-c", script.as_str()])?;
    let finished = machine.run(&probity, &["audit", "--out", "pack"])?;
    ensure!(matches!(finished.code, Some(0 | 1 | 3)), "{finished}");
    let check = SelfCheck { lab, probity, finished };
    let assessment = check.assessment()?;
    let verdicts = assessment.verdicts("SSH-WIRE-HOST");
    ensure!(verdicts.len() == 1, "{verdicts:?}");
    Ok((verdicts.concat(), check.facts("sshd", "host")?))
}

/// Where the SSH server of a machine listens.
const SSH_PORT: u16 = 2222;

#[test]
fn a_server_that_read_its_settings_is_the_one_on_the_wire() -> Result<()> {
    let (verdict, facts) = wire_and_file(
        "Ciphers aes256-ctr\nPasswordAuthentication no\nMatch User git Address 10.0.0.0/8\nPasswordAuthentication yes",
        "Ciphers aes256-ctr\nPasswordAuthentication no\nMatch User git Address 10.0.0.0/8\nPasswordAuthentication yes",
    )?;
    assert_eq!(verdict, "pass", "{facts}");
    let contexts = facts["contexts"].as_array().context("no contexts")?;
    let git = contexts.iter().find(|c| c["blocks"] != serde_json::json!([])).context("no block")?;
    assert_eq!(git["name"], "user=git,host=192.0.2.1,addr=10.0.0.1,laddr=192.0.2.2,lport=2222");
    assert_eq!(git["settings"], serde_json::json!([{"name": "passwordauthentication", "value": "yes"}]));
    assert_eq!(contexts.iter().filter(|c| c["outcome"] == "present").count(), 3, "{contexts:?}");
    assert_eq!(facts["sockets"], serde_json::json!(["tcp:127.0.0.1:2222"]));
    Ok(())
}

#[test]
fn a_server_that_read_other_settings_is_a_critical_finding() -> Result<()> {
    for (began, file) in [
        ("Ciphers aes256-ctr,aes128-cbc", "Ciphers aes256-ctr"),
        ("PasswordAuthentication yes", "PasswordAuthentication no"),
        ("MACs hmac-sha2-256", "MACs hmac-sha2-512"),
    ] {
        let (verdict, facts) = wire_and_file(began, file)?;
        assert_eq!(verdict, "fail", "{began}: {facts}");
    }
    Ok(())
}
