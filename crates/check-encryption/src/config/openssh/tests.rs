#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::testing::{Files, observe};

impl Files {
    async fn sshd(&self) -> Value {
        let spec = json!({ "server": "openssh", "path": "/etc/ssh/sshd_config", "root": self.root(), "version": null });
        observe(super::SshdConfig, super::SORT, spec).await
    }
}

async fn sshd(text: &str) -> Value {
    let files = Files::new();
    files.file("/etc/ssh/sshd_config", text);
    files.sshd().await
}

fn setting<'a>(facts: &'a Value, name: &str) -> &'a Value {
    facts["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap()
}

#[tokio::test]
async fn the_first_counts_and_includes_stand_in_their_place() {
    let files = Files::new();
    files.file(
        "/etc/ssh/sshd_config",
        "Port 22\nInclude sshd_config.d/*.conf /etc/ssh/none.conf\nPermitRootLogin yes\nPort=2222\n\
         ChallengeResponseAuthentication no\nMatch User git\n  PasswordAuthentication yes\n  Include git.conf\nMatch \
         all\n  X11Forwarding \"no\"\n",
    );
    files.file("/etc/ssh/sshd_config.d/10-a.conf", "PermitRootLogin no\nMatch Host a\nPermitRootLogin yes\n");
    files.file("/etc/ssh/sshd_config.d/20-b.conf", "PasswordAuthentication no\n");
    files.file("/etc/ssh/git.conf", "AllowTcpForwarding no\n");
    let facts = files.sshd().await;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    let root = setting(&facts, "permitrootlogin");
    assert_eq!((&root["values"], &root["at"]), (&json!(["no"]), &json!("/etc/ssh/sshd_config.d/10-a.conf:1")));
    assert_eq!(setting(&facts, "passwordauthentication")["values"], json!(["no"]));
    assert_eq!(setting(&facts, "kbdinteractiveauthentication")["values"], json!(["no"]));
    assert_eq!(setting(&facts, "port")["values"], json!(["22", "2222"]));
    assert_eq!(setting(&facts, "permitemptypasswords")["outcome"], "absent");
    let blocks: Vec<Value> = facts["match_blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| json!([b["name"], b["criteria"], b["changes"][0], b["settings"][0]["value"]]))
        .collect();
    assert_eq!(
        blocks,
        [
            json!(["/etc/ssh/sshd_config.d/10-a.conf:2", "Host a", "permitrootlogin", "yes"]),
            json!(["/etc/ssh/git.conf:1", "User git", "allowtcpforwarding", "no"]),
            json!(["/etc/ssh/sshd_config:6", "User git", "passwordauthentication", "yes"]),
            json!(["/etc/ssh/sshd_config:9", "all", "x11forwarding", "no"]),
        ]
    );
}

#[tokio::test]
async fn lists_that_build_on_the_default_are_not_whole() {
    assert_eq!(setting(&sshd("PermitRootLogin Yes").await, "permitrootlogin")["values"], json!(["yes"]));
    for (line, whole, values) in [
        ("Ciphers aes256-ctr,aes128-cbc", true, json!(["aes256-ctr", "aes128-cbc"])),
        ("Ciphers +aes128-cbc", false, json!(["aes128-cbc"])),
        ("Ciphers ^aes256-ctr", false, json!(["aes256-ctr"])),
        ("Ciphers -*-cbc", false, json!([])),
        ("Ciphers \"aes256-ctr\" # all", true, json!(["aes256-ctr"])),
        ("= Ciphers 'aes128-cbc'", true, json!(["aes128-cbc"])),
    ] {
        let facts = sshd(line).await;
        let ciphers = setting(&facts, "ciphers");
        assert_eq!((&ciphers["whole"], &ciphers["values"]), (&json!(whole), &values), "{line}");
    }
}

#[tokio::test]
async fn quoted_includes_are_read_and_commands_are_not_shown() {
    let files = Files::new();
    files.file(
        "/etc/ssh/sshd_config",
        "=Include '/etc/ssh/m.conf' gone.conf\nSetEnv TOKEN=s3cret\nForceCommand /bin/x s3cret\n=Match User 'a'\nSetEnv \
         B=s3cret\nForceCommand /bin/y s3cret\n",
    );
    files.file("/etc/ssh/m.conf", "=PermitRootLogin yes\n");
    let facts = files.sshd().await;
    assert_eq!(setting(&facts, "permitrootlogin")["values"], json!(["yes"]));
    assert_eq!(setting(&facts, "forcecommand")["written"], "/bin/x …");
    assert_eq!(facts["match_blocks"][0]["settings"][1]["value"], "/bin/y …");
    assert!(!facts.to_string().contains("s3cret"), "{facts:#}");
    let gone = json!({ "name": "/etc/ssh/gone.conf", "outcome": "absent" });
    let files = facts["files"].as_array().unwrap();
    assert!(files.iter().any(|f| f["name"] == gone["name"] && f["outcome"] == gone["outcome"]), "{facts:#}");
}

#[tokio::test]
async fn what_can_not_be_read_is_not_proven() {
    for (text, place, why) in [
        ("PermitRootLogin\n", "/etc/ssh/sshd_config:1", "without a value"),
        ("Banner \"x\n", "/etc/ssh/sshd_config:1", "a quote that does not end"),
        ("PermitRootlogn no\n", "/etc/ssh/sshd_config:1", "no keyword that Probity knows"),
        ("==PermitRootLogin no\n", "/etc/ssh/sshd_config:1", "no keyword that Probity knows"),
        ("Include ext\\ra.conf\n", "/etc/ssh/sshd_config:1", "a backslash"),
        ("Include sshd_config\n", "/etc/ssh/sshd_config", "includes itself"),
        ("Include sshd_config.d/[ab].conf\n", "/etc/ssh/sshd_config.d/[ab].conf", "a pattern"),
        ("Include ../../../x\n", "/etc/ssh/../../../x", "leads out of the root"),
    ] {
        let facts = sshd(text).await;
        assert_eq!(facts["asked"], json!([]), "{text}");
        assert_eq!(facts["not_proven"][0]["name"], place, "{text}");
        assert!(facts["not_proven"][0]["why"].as_str().unwrap().contains(why), "{text}: {}", facts["not_proven"]);
    }
    let files = Files::new();
    files.link("/etc/ssh/sshd_config", "/etc/ssh/other");
    files.link("/etc/ssh/other", "/etc/ssh/sshd_config");
    assert_eq!(files.sshd().await["asked"], json!([]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_borne(text in "((Match|Include|Ciphers|X)?[ =\"]?\\PC{0,30}\n){0,9}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let facts = runtime.block_on(sshd(&text));
        prop_assert!(facts["settings"].as_array().unwrap().len() >= super::ASKED.len());
    }
}
