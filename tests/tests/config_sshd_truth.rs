//! What is read in `sshd_config`, against what `sshd -T` makes of it.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Audited, Probity};

const GOOD: &str = "\
Port 2222
PasswordAuthentication no # keys alone
PasswordAuthentication yes
ChallengeResponseAuthentication=no
Ciphers \"aes256-gcm@openssh.com,aes256-ctr\"
KexAlgorithms curve25519-sha256
MACs hmac-sha2-256-etm@openssh.com
HostKeyAlgorithms ssh-ed25519
";

/// Audits a configuration, and asks `sshd` for the same.
fn both(text: &str, included: &str) -> Result<(Audited, Value, BTreeMap<String, String>)> {
    let probity = Probity::new()?;
    let folder = probity.folder().canonicalize()?.display().to_string();
    probity.write("extra.d/10.conf", included)?;
    let config = format!("Include {folder}/extra.d/*.conf {folder}/none.conf\nHostKey {folder}/key\n{text}");
    probity.write("sshd_config", config)?;
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &format!("{folder}/key")]).status()?;
    ensure!(made.success(), "no host key");
    let out = Command::new("/usr/sbin/sshd").args(["-T", "-f", &format!("{folder}/sshd_config")]).output();
    let out = out.context("sshd is not installed")?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let said =
        said.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    let audited =
        Audited::target(probity, "baseline", &format!("config: {{ openssh: {folder}/sshd_config }}"), &["audit"])?;
    let facts = audited.evidence("sshd-config")?["facts"].clone();
    ensure!(facts.is_object(), "{}", audited.finished);
    Ok((audited, facts, said))
}

const CONTROLS: [&str; 6] = [
    "SSH-AUTH-PASSWORD-CONFIG",
    "SSH-ROOT-LOGIN-CONFIG",
    "SSH-KEX-WEAK-CONFIG",
    "SSH-CIPHER-WEAK-CONFIG",
    "SSH-MAC-WEAK-CONFIG",
    "SSH-HOSTKEY-WEAK-CONFIG",
];

#[test]
fn what_is_written_is_what_sshd_says() -> Result<()> {
    let (audited, facts, said) = both(GOOD, "PermitRootLogin No\nMatch User git\nX11Forwarding no\n")?;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    let mut compared = 0;
    for setting in facts["settings"].as_array().into_iter().flatten().filter(|s| s["whole"] == true) {
        let values: Vec<&str> = setting["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let name = setting["name"].as_str().unwrap_or_default();
        assert_eq!(said.get(name), Some(&values.join(",")), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 9, "{facts:#}");
    assert_eq!(facts["match_blocks"][0]["criteria"], "User git");
    for control in CONTROLS {
        assert_eq!(audited.verdict(control), "pass", "{control}: {}", audited.reasons(control));
    }
    Ok(())
}

#[test]
fn what_is_weak_fails_and_what_is_not_written_does_not_pass() -> Result<()> {
    let (audited, ..) = both(
        "PasswordAuthentication yes\nCiphers +aes128-cbc\nKexAlgorithms diffie-hellman-group14-sha1\nMACs \
         hmac-sha1\nHostKeyAlgorithms +ssh-rsa\n",
        "PermitRootLogin yes\n",
    )?;
    for control in CONTROLS {
        assert_eq!(audited.verdict(control), "fail", "{control}: {}", audited.reasons(control));
    }
    let (audited, ..) = both("Port 2222\n", "")?;
    for control in CONTROLS {
        assert_eq!(audited.verdict(control), "inconclusive", "{control}: {}", audited.reasons(control));
    }
    // For one account alone.
    let (audited, ..) = both(
        &format!("{GOOD}Match User git\nPermitRootLogin yes\nPasswordAuthentication yes\n"),
        "PermitRootLogin no\n",
    )?;
    for control in ["SSH-AUTH-PASSWORD-CONFIG", "SSH-ROOT-LOGIN-CONFIG"] {
        assert_eq!(audited.verdict(control), "fail", "{control}: {}", audited.reasons(control));
    }
    Ok(())
}
