#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use serde_json::{Value, json};

use crate::config::testing::{Files, class};

async fn dovecot(text: &str, version: Option<&str>) -> Value {
    let files = Files::new();
    files.file("/etc/dovecot/dovecot.conf", text);
    files.read("dovecot", "/etc/dovecot/dovecot.conf", version).await
}

fn short(facts: &Value) -> Vec<Value> {
    let services = facts["services"].as_array().unwrap();
    services.iter().map(|s| json!([s["name"], s["encryption"], s["plaintext_login"]["values"][0]])).collect()
}

#[tokio::test]
async fn blocks_includes_and_listeners() {
    let files = Files::new();
    files.file(
        "/etc/dovecot/dovecot.conf",
        "!include_try /usr/share/dovecot/protocols.d/*.protocol\nlisten = *\n!include conf.d/*.conf\n!include_try \
         local.conf\nprotocol pop3 {\n  ssl_min_protocol = TLSv1\n}\n",
    );
    files.file("/usr/share/dovecot/protocols.d/imapd.protocol", "protocols = $protocols imap\n");
    files.file("/usr/share/dovecot/protocols.d/pop3d.protocol", "protocols = $protocols pop3\n");
    files.file(
        "/etc/dovecot/conf.d/10-ssl.conf",
        "ssl = required # always\nssl_cert = </etc/dovecot/a.pem\nssl_key = </etc/dovecot/a.key\nssl_min_protocol = \
         TLSv1.2\nssl_cipher_list = HIGH:!aNULL:!kRSA\n",
    );
    files.file(
        "/etc/dovecot/conf.d/10-master.conf",
        "service imap-login {\n  inet_listener imap {\n    port = 0\n  }\n  inet_listener inside {\n    address = \
         127.0.0.1\n    port = 1430\n    ssl = yes\n  }\n}\n",
    );
    let facts = files.read("dovecot", "/etc/dovecot/dovecot.conf", None).await;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    assert_eq!(
        short(&facts),
        [
            json!(["imaps *:993", "tls", "refused"]),
            json!(["inside 127.0.0.1:1430", "tls", "refused"]),
            json!(["pop3 *:110", "starttls_required", "refused"]),
            json!(["pop3s *:995", "tls", "refused"]),
        ]
    );
    let services = &facts["services"];
    assert_eq!((&services[0]["loopback"], &services[1]["loopback"]), (&json!(false), &json!(true)));
    assert_eq!(services[0]["protocols"]["values"], json!(["TLSv1.2", "TLSv1.3"]));
    assert_eq!(services[0]["protocols"]["at"], "/etc/dovecot/conf.d/10-ssl.conf:4");
    assert_eq!(services[2]["protocols"]["values"][0], "TLSv1.0");
    assert_eq!((class(&services[0], "aNULL"), class(&services[0], "kRSA")), ("absent", "absent"));
    assert_eq!(services[0]["certificates"][0]["name"], "/etc/dovecot/a.pem");
    assert_eq!(facts["keys"][0]["name"], "/etc/dovecot/a.key");
}

#[tokio::test]
async fn passwords_in_plain() {
    for (text, encryption, login) in [
        ("ssl = required\ndisable_plaintext_auth = no", "starttls_required", "refused"),
        ("ssl = yes", "starttls_optional", "refused"),
        ("", "starttls_optional", "refused"),
        ("ssl = yes\ndisable_plaintext_auth = no", "starttls_optional", "allowed"),
        ("ssl = no\nauth_allow_cleartext = yes", "none", "allowed"),
        ("ssl = no\nauth_allow_cleartext = no", "none", "refused"),
        ("ssl = required\nprotocol imap {\n ssl = no\n disable_plaintext_auth = no\n}", "none", "allowed"),
    ] {
        let facts = dovecot(&format!("protocols = imap\nlisten = *\n{text}\n"), None).await;
        assert_eq!(short(&facts)[0], json!(["imap *:143", encryption, login]), "{text}");
        let has_imaps = short(&facts).iter().any(|service| service[0] == "imaps *:993");
        assert_eq!(has_imaps, encryption != "none", "{text}");
    }
}

#[tokio::test]
async fn who_is_trusted_needs_no_encryption() {
    let listen = "protocols = imap\nssl = required\nlogin_trusted_networks =";
    for (networks, login) in [("10.0.0.0/8", "allowed"), ("127.0.0.0/8 ::1", "refused"), ("::1, fd00::/8", "allowed")] {
        let facts = dovecot(&format!("{listen} {networks}\n"), Some("2.3.19")).await;
        let logins: Vec<&Value> =
            facts["services"].as_array().unwrap().iter().map(|s| &s["plaintext_login"]["values"][0]).collect();
        assert_eq!(logins, [&json!(login), &json!("refused")], "{networks}: {facts:#}");
    }
}

#[tokio::test]
async fn what_is_not_written_is_not_guessed() {
    let facts = dovecot("protocols = imap\n", None).await;
    assert_eq!(facts["services"][0]["protocols"]["outcome"], "not_proven");
    assert_eq!(facts["services"][0]["ciphers"]["outcome"], "not_proven");
    let facts = dovecot("protocols = imap\n", Some("2.3.19")).await;
    assert_eq!(facts["services"][0]["protocols"]["outcome"], "not_proven");
    assert_eq!(class(&facts["services"][0], "RC4"), "absent");
    let facts = dovecot("dovecot_config_version = 2.4.0\nprotocols {\n  imap = yes\n  pop3 = no\n}\n", None).await;
    assert_eq!(facts["services"][0]["protocols"]["values"], json!(["TLSv1.2", "TLSv1.3"]));
    assert_eq!(facts["services"].as_array().unwrap().len(), 2);
    let facts = dovecot("ssl = required\n", None).await;
    assert_eq!((&facts["asked"], &facts["not_proven"][0]["name"]), (&json!([]), &json!("protocols")));
}

#[tokio::test]
async fn other_connections_other_settings() {
    for block in ["local 192.0.2.1", "remote 192.0.2.0/24", "local_name a.example", "protocol !pop3"] {
        for inner in ["ssl_min_protocol = TLSv1", "remote 192.0.2.1 {\nssl_min_protocol = TLSv1\n}"] {
            let text = format!("protocols = imap\nssl_min_protocol = TLSv1.2\n{block} {{\n{inner}\n}}\n");
            let facts = dovecot(&text, None).await;
            assert_eq!(facts["services"][0]["protocols"]["outcome"], "not_proven", "{text}");
        }
        let facts = dovecot(&format!("protocols = imap\n{block} {{\nssl = no\n}}\n"), None).await;
        assert_eq!(facts["services"][0]["outcome"], "not_proven", "{block}");
    }
    let text = "protocols = imap\nssl_min_protocol = TLSv1.2\nprotocol pop3 {\nssl_min_protocol = TLSv1\n}\n";
    assert_eq!(dovecot(text, None).await["services"][0]["protocols"]["outcome"], "present");
}

#[tokio::test]
async fn mistakes_and_variables_are_not_proven() {
    for (text, place, why) in [
        ("service imap-login {\n", "/etc/dovecot/dovecot.conf", "ends inside a block"),
        ("}\n", "/etc/dovecot/dovecot.conf:2", "did not begin"),
        ("ssl_cert = \"x\n", "/etc/dovecot/dovecot.conf:2", "a quote that does not end"),
        ("!include nothing/*.conf\n", "/etc/dovecot/dovecot.conf:2", "no file fits"),
        ("!include nothing.conf\n", "/etc/dovecot/nothing.conf", "no such file"),
        ("!include dovecot.conf\n", "/etc/dovecot/dovecot.conf", "it includes itself"),
        ("what is this\n", "/etc/dovecot/dovecot.conf:2", "neither a setting"),
        (
            "service imap-login { inet_listener imap { port = 1 } }\n",
            "/etc/dovecot/dovecot.conf:2",
            "neither a setting",
        ),
        ("ssl_key = SECRETKEY\n", "/etc/dovecot/dovecot.conf:2", "the key stands in the configuration itself"),
    ] {
        let facts = dovecot(&format!("protocols = imap\n{text}"), None).await;
        assert_eq!(facts["asked"], json!([]), "{text}");
        assert_eq!(facts["not_proven"][0]["name"], place, "{text}");
        assert!(facts["not_proven"][0]["why"].as_str().unwrap().contains(why), "{text}: {}", facts["not_proven"]);
        assert!(!facts.to_string().contains("SECRETKEY"));
    }
    for line in ["ssl = $x", "ssl = <ssl.txt", "ssl = perhaps"] {
        let facts = dovecot(&format!("protocols = imap\n{line}\n"), None).await;
        assert_eq!(facts["services"][0]["outcome"], "not_proven", "{line}");
    }
}
