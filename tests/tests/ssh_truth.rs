//! SSH servers as they are seen from outside, against what they were told to be, and against `ssh-audit`.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{Dropbear, Probity, Sshd, ssh_audit};

/// The facts of one server, and how many connections they took.
fn facts(address: SocketAddr) -> Result<Value> {
    let said = Probity::new()?.run(["ssh", &address.to_string(), "--format", "json"])?;
    let scans: Value = serde_json::from_str(&said.stdout).with_context(|| said.stderr.clone())?;
    let facts = scans[0]["facts"].clone();
    assert!(facts.is_object(), "{scans}");
    Ok(facts)
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|item| item.get(key).unwrap_or(item).as_str()).map(str::to_owned).collect()
}

/// What both say, in the same order.
fn same_as_ssh_audit(address: SocketAddr) -> Result<Value> {
    let (mine, theirs) = (facts(address)?, ssh_audit(address)?);
    assert_eq!(mine["identification"]["text"], theirs["banner"]["raw"]);
    assert_eq!(mine["identification"]["software"], theirs["banner"]["software"]);
    let offers = &mine["offers"];
    let kex = [names(&offers["kex"], "name"), names(&offers["extensions"], "name")].concat();
    let set = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(kex), set(names(&theirs["kex"], "algorithm")));
    for (key, list) in [("host_key", "key"), ("cipher", "enc"), ("mac", "mac"), ("compression", "compression")] {
        let theirs = names(&theirs[list], "algorithm");
        // It keeps ciphers and MACs in a dictionary of its own.
        assert_eq!(set(names(&offers[key], "name")), set(theirs), "{key}");
    }
    let mut found = BTreeSet::new();
    for print in theirs["fingerprints"].as_array().into_iter().flatten().filter(|f| f["hash_alg"] == "SHA256") {
        found.insert(format!("SHA256:{}", print["hash"].as_str().unwrap_or_default()));
    }
    let keys: BTreeSet<String> = names(&mine["host_keys"]["keys"], "fingerprint").into_iter().collect();
    // ECDSA keys are left out there.
    assert!(found.is_subset(&keys), "{found:?} {keys:?}");
    Ok(mine)
}

fn key(facts: &Value, name: &str) -> Value {
    let keys = facts["host_keys"]["keys"].as_array().cloned().unwrap_or_default();
    keys.into_iter().find(|key| key["name"] == name).unwrap_or_default()
}

#[test]
fn openssh_by_default() -> Result<()> {
    let server = Sshd::with_keys(&[("ed25519", "256"), ("ecdsa", "384"), ("rsa", "2048")], "")?;
    let facts = same_as_ssh_audit(server.address())?;
    let mut keys: Vec<(u32, String)> = Vec::new();
    for key in facts["host_keys"]["keys"].as_array().into_iter().flatten() {
        assert_eq!((&key["outcome"], &key["possession"]["outcome"]), (&"present".into(), &"present".into()), "{key}");
        let bits = key["bits"].as_u64().and_then(|b| b.try_into().ok()).context("no bits")?;
        keys.push((bits, key["fingerprint"].as_str().unwrap_or_default().to_owned()));
    }
    keys.sort();
    assert_eq!(keys, server.fingerprints()?);
    // Debian has the cure for Terrapin in a version that upstream's numbers call vulnerable.
    assert_eq!(facts["strict_kex"]["outcome"], "present");
    let groups = facts["group_exchange"]["groups"].as_array().cloned().unwrap_or_default();
    assert_eq!(groups.iter().map(|g| g["outcome"].as_str()).collect::<Vec<_>>(), [Some("absent"), Some("present")]);
    assert!(groups[1]["bits"].as_u64().is_some_and(|bits| bits >= 2047), "{groups:?}");
    Ok(())
}

#[test]
fn openssh_with_old_algorithms() -> Result<()> {
    let server = Sshd::with_keys(
        &[("rsa", "1024")],
        "KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1\nCiphers aes128-cbc,3des-cbc\nMACs \
         hmac-md5,hmac-sha1-96\nHostKeyAlgorithms ssh-rsa\nRequiredRSASize 1024\nCompression no",
    )?;
    let facts = same_as_ssh_audit(server.address())?;
    assert_eq!(
        (&key(&facts, "ssh-rsa")["outcome"], &key(&facts, "ssh-rsa")["bits"]),
        (&"present".into(), &1024.into())
    );
    let rsa = key(&facts, "ssh-rsa");
    assert_eq!((&rsa["exponent"], names(&rsa["marks"], "outcome")), (&65_537.into(), vec!["absent".to_owned(); 2]));
    assert_eq!(names(&facts["own_sockets"], "")[0], format!("tcp:{}", server.address()));
    assert_eq!(names(&facts["offers"]["compression"], "name"), ["none"]);
    assert_eq!(facts["group_exchange"]["groups"], Value::Array(vec![]));
    Ok(())
}

#[test]
fn openssh_with_one_method_of_each_sort() -> Result<()> {
    for kex in [
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group-exchange-sha1",
        "diffie-hellman-group-exchange-sha256",
    ] {
        let server = Sshd::start(&format!("KexAlgorithms {kex}\nCiphers aes256-gcm@openssh.com"))?;
        let facts = facts(server.address())?;
        assert_eq!(names(&facts["offers"]["kex"], "name"), [kex]);
        let key = key(&facts, "ssh-ed25519");
        assert_eq!((&key["outcome"], &key["why"]), (&"present".into(), &Value::Null), "{kex}: {key}");
        assert_eq!(key["fingerprint"], server.fingerprints()?[0].1.as_str(), "{kex}");
        // The signature can be checked wherever the secret can be computed, and so can one ask how to log in.
        let known = if kex.starts_with("sntrup") { "not_proven" } else { "present" };
        let found = (&key["possession"]["outcome"], &facts["authentication"]["outcome"]);
        assert_eq!(found, (&known.into(), &known.into()), "{kex}: {facts}");
    }
    Ok(())
}

#[test]
fn every_type_of_key_is_demonstrated() -> Result<()> {
    for (keys, settings) in [
        (&[("ecdsa", "521"), ("rsa", "4096")][..], "HostKeyAlgorithms ecdsa-sha2-nistp521,rsa-sha2-256"),
        (&[("ecdsa", "256"), ("rsa", "1024")], "RequiredRSASize 1024\nHostKeyAlgorithms ssh-rsa,ecdsa-sha2-nistp256"),
        (&[("ecdsa", "384"), ("rsa", "3072")], "KexAlgorithms diffie-hellman-group-exchange-sha256"),
    ] {
        let server = Sshd::with_keys(keys, settings)?;
        let found = facts(server.address())?["host_keys"]["keys"].clone();
        let mut prints = names(&found, "fingerprint");
        prints.sort();
        let mut real: Vec<String> = server.fingerprints()?.into_iter().map(|(_, print)| print).collect();
        real.sort();
        assert_eq!(prints, real);
        for key in found.as_array().into_iter().flatten() {
            assert_eq!(key["possession"]["outcome"], "present", "{settings}: {key}");
        }
    }
    Ok(())
}

#[test]
fn the_ways_to_log_in() -> Result<()> {
    let all = ["publickey", "password", "keyboard-interactive"];
    let no = "PasswordAuthentication no\nKbdInteractiveAuthentication no";
    for (settings, methods) in [
        ("PermitRootLogin yes".to_owned(), &all[..]),
        (format!("PermitRootLogin yes\n{no}"), &all[..1]),
        (format!("{no}\nCiphers aes256-gcm@openssh.com\nKexAlgorithms ecdh-sha2-nistp521"), &all[..1]),
        ("KbdInteractiveAuthentication no\nCiphers aes128-gcm@openssh.com".to_owned(), &all[..2]),
        (format!("{no}\nKexAlgorithms ecdh-sha2-nistp384\nAuthenticationMethods publickey"), &all[..1]),
        (format!("{no}\nBanner /etc/hostname\nKexAlgorithms ecdh-sha2-nistp256"), &all[..1]),
        (format!("{no}\nCiphers aes128-ctr\nMACs hmac-sha2-256-etm@openssh.com"), &all[..1]),
        (format!("{no}\nCiphers aes192-ctr\nMACs hmac-sha2-512-etm@openssh.com"), &all[..1]),
        (format!("{no}\nCiphers aes256-ctr\nMACs hmac-sha2-256\nBanner /etc/hostname"), &all[..1]),
        (format!("{no}\nCiphers aes256-ctr\nMACs hmac-sha2-512\nKexAlgorithms ecdh-sha2-nistp521"), &all[..1]),
        (format!("{no}\nCiphers aes256-ctr\nMACs hmac-sha1-etm@openssh.com,umac-64@openssh.com"), &all[..1]),
        (format!("{no}\nCiphers aes256-ctr\nMACs hmac-sha1\nKexAlgorithms diffie-hellman-group1-sha1"), &all[..1]),
    ] {
        let found = facts(Sshd::start(&settings)?.address())?["authentication"].clone();
        assert_eq!(names(&found["methods"], "name"), methods, "{settings}: {found}");
        assert_eq!(found["outcome"], "present");
    }
    // No MAC that is known here.
    let found =
        facts(Sshd::start("Ciphers aes256-ctr\nMACs umac-128@openssh.com")?.address())?["authentication"].clone();
    assert_eq!((&found["outcome"], &found["asked"]), (&"not_proven".into(), &Value::Array(vec![])), "{found}");
    Ok(())
}

#[test]
fn dropbear() -> Result<()> {
    let server = Dropbear::start()?;
    let facts = same_as_ssh_audit(server.address())?;
    assert!(facts["identification"]["software"].as_str().is_some_and(|s| s.starts_with("dropbear_")));
    assert_eq!(key(&facts, "ssh-ed25519")["outcome"], "present");
    assert_eq!(key(&facts, "ssh-rsa")["bits"], 2048);
    assert_eq!(names(&facts["host_keys"]["keys"], "outcome"), ["present"; 2]);
    assert_eq!(key(&facts, "ssh-ed25519")["possession"]["outcome"], "present");
    assert_eq!(key(&facts, "ssh-rsa")["possession"]["outcome"], "present");
    assert_eq!(names(&facts["authentication"]["methods"], "name"), ["publickey", "password"]);
    let shown = Probity::new()?.run(["ssh", &server.address().to_string()])?.stdout;
    for line in ["log-in          publickey, password (for root)", "host key        ssh-rsa  2048 bits  SHA256:"] {
        assert!(shown.contains(line), "{shown}");
    }
    Ok(())
}

#[test]
fn an_audit_judges_signs_and_is_checked_again() -> Result<()> {
    let server = Sshd::start("Ciphers aes128-ctr,aes128-cbc")?;
    let probity = Probity::new()?;
    let target = format!("ssh://{}", server.address());
    let policy = ["--policy", "ssh-hardened", "--out", "pack"];
    let said = probity.run([&["audit", target.as_str()][..], &policy].concat())?;
    assert_eq!(said.code, Some(1), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("aes128-cbc is offered"), "{}", said.stdout);
    let verified = probity.run(["verify", "pack"])?;
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    let assessment: Value = serde_json::from_slice(&std::fs::read(probity.folder().join("pack/assessment.json"))?)?;
    let connections = assessment["run"]["connections"].as_u64();
    assert!(connections.is_some_and(|n| n < 10), "{connections:?} connections");
    Ok(())
}

/// A server that says some bytes, to whomever connects, and then waits.
fn saying(bytes: Vec<u8>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().take(12).flatten() {
            let mut stream = stream;
            let _ = stream.write_all(&bytes);
            open.push(stream);
        }
    });
    Ok(address)
}

#[test]
fn what_is_no_ssh_proves_nothing() -> Result<()> {
    for (bytes, why) in [
        (b"220 mail.example.org ESMTP\r\n".to_vec(), "no identification string"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "no identification string"),
        (vec![0xff; 20_000], "no identification string"),
        (Vec::new(), "said nothing more in time"),
    ] {
        let address = saying(bytes)?;
        let said = Probity::new()?.run(["ssh", &address.to_string(), "--deadline", "20s"])?;
        assert_eq!(said.code, Some(3), "{}", said.stdout);
        assert!(said.stdout.contains(why), "{}", said.stdout);
    }
    Ok(())
}

#[test]
fn lists_that_never_come_prove_nothing() -> Result<()> {
    for rest in [&b""[..], b"\xff\xff\xff\xff\xff", b"\0\0\0\x0c\x0a\x14", b"\0\0\0\x0c\x0a\x14\0\0\0\0\0\0\0\0\0\0"] {
        let address = saying([b"SSH-2.0-hostile\r\n", rest].concat())?;
        let probity = Probity::new()?;
        let target = format!("ssh://{address}");
        let said = probity.run(["audit", &target, "--policy", "ssh-hardened", "--out", "pack", "--deadline", "20s"])?;
        assert_eq!(said.code, Some(3), "{}{}", said.stdout, said.stderr);
        assert!(!said.stdout.contains("SSH-CIPHER-WEAK-WIRE  pass"), "{}", said.stdout);
    }
    Ok(())
}
