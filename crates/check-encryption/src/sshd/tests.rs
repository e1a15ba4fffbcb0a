#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use std::process::Stdio;

use serde_json::json;

use super::*;
use crate::testing::{Machine, observe};

fn machine() -> Machine {
    let machine = Machine::new();
    machine.link("/usr/sbin/sshd", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/said"));
    machine.file("/usr/sbin/sshd.said", include_str!("../../tests/fixtures/sshd-T"));
    machine.file(CONFIG, "Include sshd_config.d/*.conf\nMatch User git\nPasswordAuthentication no\n");
    machine.file("/etc/ssh/sshd_config.d/10-a.conf", "Match Address 192.0.2.0/24\nPermitRootLogin yes\n");
    machine.file("/etc/ssh/sshd_config.d/README", "Match User nobody\n");
    machine
}

/// A server that began at second 1,700,000,100 with these options.
fn serve(machine: &Machine, options: &str) {
    machine.file("/proc/stat", "btime 1700000000\n");
    machine.file("/proc/812/cmdline", format!("sshd: /usr/sbin/sshd {options} [listener] 0 of 10-100 startups\0"));
    machine.file("/proc/812/stat", "812 (sshd) S 1 812 812 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10000 0 0\n");
    machine.file("/proc/812/status", "Uid:\t0\t0\t0\t0\n");
    machine.link("/proc/812/exe", "/usr/sbin/sshd (deleted)");
    machine.link("/proc/812/fd/3", "socket:[18834]");
    machine.file("/proc/net/tcp", include_str!("../../tests/fixtures/proc-net-tcp"));
    machine.link("/proc/900/exe", "/usr/sbin/sshd");
    machine.file("/proc/900/cmdline", "sshd: root@pts/0\0");
}

#[tokio::test]
async fn settings_and_match_blocks_are_told() {
    let machine = machine();
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!(facts["outcome"], "present");
    assert_eq!(facts["permit_root_login"], "prohibit-password");
    assert_eq!(facts["settings"]["maxauthtries"], json!(["6"]));
    let names: Vec<_> = facts["match_blocks"].as_array().unwrap().iter().map(|b| b["name"].clone()).collect();
    assert_eq!(names, ["/etc/ssh/sshd_config:2", "/etc/ssh/sshd_config.d/10-a.conf:1"]);
    assert_eq!(facts["running"], json!([]));
}

#[tokio::test]
async fn each_block_is_asked_about() {
    let machine = machine();
    machine.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/srv/anna:/bin/bash\n");
    machine.file(
        "/etc/ssh/sshd_config.d/20-b.conf",
        "Match Group wheel\nX11Forwarding yes\nMatch all\nBanner none\nMatch User root\nBanner none\n",
    );
    let of = |user: &str, addr: &str| format!("user={user},host=192.0.2.1,addr={addr},laddr=192.0.2.2,lport=22");
    let git =
        include_str!("../../tests/fixtures/sshd-T").replace("passwordauthentication yes", "passwordauthentication no");
    machine.file(&format!("/usr/sbin/sshd.said.{}", of("git", "192.0.2.1")), git);
    machine.file(&format!("/usr/sbin/sshd.said.{}", of("root", "192.0.2.1")), "no\n");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    let contexts = facts["contexts"].as_array().unwrap();
    let of_name = |name: &str| contexts.iter().find(|c| c["name"] == name).unwrap().clone();
    assert_eq!(contexts.len(), 4, "{contexts:?}");

    let wheel = of_name("/etc/ssh/sshd_config.d/20-b.conf:1");
    assert_eq!((&wheel["outcome"], &wheel["changes"]), (&json!("not_proven"), &json!(["x11forwarding"])));
    let git = of_name(&of("git", "192.0.2.1"));
    assert_eq!(git["blocks"], json!(["/etc/ssh/sshd_config:2"]));
    assert_eq!(git["settings"], json!([{"name": "passwordauthentication", "value": "no"}]));
    // Two blocks that the ordinary account fits are one question.
    let anna = of_name(&of("anna", "192.0.2.1"));
    let both = json!(["/etc/ssh/sshd_config.d/10-a.conf:1", "/etc/ssh/sshd_config.d/20-b.conf:3"]);
    assert_eq!((&anna["blocks"], &anna["settings"], &anna["outcome"]), (&both, &json!([]), &json!("present")));
    let root = of_name(&of("root", "192.0.2.1"));
    assert_eq!((&root["outcome"], &root["changes"]), (&json!("not_proven"), &json!(["banner"])));
    assert!(root["why"].as_str().unwrap().contains("sshd -T"));
}

#[tokio::test]
async fn the_server_that_runs_is_told() {
    let machine = machine();
    serve(&machine, "-D -oPort=22");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    let servers = facts["running"].as_array().unwrap();
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0]["sockets"], json!(["tcp:0.0.0.0:22"]));
    assert_eq!(servers[0]["started"], "2023-11-14T22:15:00Z");
    assert_eq!((&servers[0]["config_newer"], &servers[0]["exe_deleted"]), (&json!(true), &json!(true)));
    assert_eq!(facts["command"].as_array().unwrap()[1..], [json!("-T"), json!("-o"), json!("Port=22")]);
}

#[tokio::test]
async fn options_that_can_not_be_told_apart_prove_nothing() {
    let machine = machine();
    serve(&machine, "-o Banner none");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!(facts["outcome"], "not_proven");
    assert_eq!(facts["permit_root_login"], json!(null));
}

#[tokio::test]
async fn a_server_that_does_not_tell_proves_nothing() {
    let machine = machine();
    machine.file("/usr/sbin/sshd.said", "sshd: no hostkeys available -- exiting.\n");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!(facts["outcome"], "not_proven");
    assert!(facts["why"].as_str().unwrap().contains("sshd -T"));
}

#[tokio::test]
async fn a_strange_include_hides_blocks() {
    let machine = machine();
    machine.file(CONFIG, "Include /etc/*/x.conf\n");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!(facts["match_blocks"], json!(null));
    assert_eq!(facts["config_files"][0]["outcome"], "not_proven");
}

#[tokio::test]
async fn quoted_includes_are_read_and_secrets_kept() {
    let machine = machine();
    machine.file(CONFIG, "=Include '/etc/ssh/m.conf' gone.conf\n");
    machine.file("/etc/ssh/m.conf", "Match User git\nSetEnv T=s3cret\nForceCommand /bin/x --token s3cret\n");
    let said = "\nsetenv T=s3cret\nforcecommand /bin/x s3cret\nauthorizedkeyscommand /bin/k --password s3cret\n";
    machine.file("/usr/sbin/sshd.said", format!("{}{said}", include_str!("../../tests/fixtures/sshd-T")));
    serve(&machine, "-o SetEnv=A=s3cret");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!(facts["match_blocks"][0]["settings"][1]["value"], "/bin/x …", "{facts:#}");
    let gone = facts["config_files"].as_array().unwrap().iter().find(|f| f["name"] == "/etc/ssh/gone.conf");
    assert_eq!(gone.unwrap()["outcome"], "absent");
    assert!(!facts.to_string().contains("s3cret"), "{facts:#}");
    let keys = observe(crate::authorized_keys::AuthorizedKeys::at(machine.root())).await;
    assert!(!format!("{keys:?}").contains("s3cret"), "{keys:?}");
}

#[tokio::test]
async fn another_server_is_found() {
    let machine = Machine::new();
    machine.file("/proc/net/tcp", include_str!("../../tests/fixtures/proc-net-tcp"));
    machine.file("/opt/renamed", b"\x7fELF SSH-%d.%d-%s\0");
    machine.link("/proc/77/exe", "/opt/renamed");
    machine.link("/proc/77/fd/3", "socket:[18834]");
    machine.file("/proc/77/cmdline", "/opt/renamed\0-f\0/x\0");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!(facts["outcome"], "not_proven");
    assert_eq!(facts["others"][0]["signs"], json!(["port", "program"]), "{facts:#}");
    assert!(facts["why"].as_str().unwrap().contains("/opt/renamed"));
}

#[tokio::test]
async fn no_server_is_an_answer() {
    let machine = Machine::new();
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!((&facts["outcome"], &facts["installed"]), (&json!("absent"), &json!(false)));
    assert!(facts["looked_for"].as_array().unwrap().contains(&json!("/usr/sbin/sshd")));
    serve(&machine, "-D");
    let facts = observe(Sshd { root: machine.root() }).await.unwrap();
    assert_eq!(facts["outcome"], "not_proven");
}

/// A real server, with a configuration of its own, where this machine has one and lets us start it.
#[tokio::test]
async fn a_real_server_tells_what_it_was_given() {
    let Some(program) = FOLDERS.iter().map(|f| format!("{f}/sshd")).find(|p| std::path::Path::new(p).is_file()) else {
        return;
    };
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .stdin(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let config = folder.path().join("config");
    std::fs::write(&config, format!("HostKey {}\nPermitRootLogin no\nMaxAuthTries 3\n", key.display())).unwrap();
    let words = [program, "-T".into(), "-f".into(), config.display().to_string()];
    let output = std::process::Command::new(&words[0]).args(&words[1..]).output().unwrap();
    if output.stdout.is_empty() {
        return;
    }
    let facts = settings::facts(settings::parse(&String::from_utf8_lossy(&output.stdout)));
    assert_eq!(facts.permit_root_login, Some(crate::facts::PermitRootLogin::No));
    assert_eq!(facts.max_auth_tries, Some(3));
    assert_eq!(facts.host_keys, Some(vec![key.display().to_string()]));
    assert!(facts.ciphers.is_some_and(|list| !list.is_empty()));
}
