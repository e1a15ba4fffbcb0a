#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use serde_json::{Value, json};

use crate::config::testing::{Files, class};

async fn postfix(main: &str, master: &str, version: Option<&str>) -> Value {
    let files = Files::new();
    files.file("/etc/postfix/main.cf", main);
    files.file("/etc/postfix/master.cf", master);
    files.read("postfix", "/etc/postfix", version).await
}

const SMTP: &str = "smtp inet n - y - - smtpd\nsmtp unix - - y - - smtp\n";

#[tokio::test]
async fn overrides_count_before_main_cf() {
    let facts = postfix(
        "smtpd_tls_security_level = none\nsmtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/ssl/a.pem\n\
         smtpd_tls_key_file = /etc/ssl/a.key\nsmtpd_tls_protocols = !SSLv2, !SSLv3\nsmtpd_tls_mandatory_protocols =\n  \
         >=TLSv1.2\nsmtpd_tls_exclude_ciphers = aNULL, RC4\nsmtpd_sasl_auth_enable = yes\nsmtp_tls_security_level = dane\n",
        "smtp inet n - y - - smtpd -o smtpd_sasl_auth_enable=no\nsubmission inet n - y - - smtpd\n  -o { \
         smtpd_tls_security_level = encrypt }\n127.0.0.1:465 inet n - y - - smtpd\n -o smtpd_tls_wrappermode=yes\nsmtp \
         unix - - y - - smtp\n587 inet n - y - - smtpd\n",
        None,
    )
    .await;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    let services = facts["services"].as_array().unwrap();
    let short: Vec<Value> = services
        .iter()
        .map(|s| json!([s["name"], s["speaks"], s["encryption"], s["loopback"], s["plaintext_login"]["values"][0]]))
        .collect();
    assert_eq!(
        short,
        [
            json!(["127.0.0.1:465", "submission", "tls", true, "refused"]),
            json!(["587", "submission", "starttls_optional", false, "allowed"]),
            json!(["smtp", "smtp", "starttls_optional", false, "none"]),
            json!(["submission", "submission", "starttls_required", false, "refused"]),
        ]
    );
    assert_eq!(services[2]["protocols"]["values"], json!(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]));
    assert_eq!(services[2]["protocols"]["at"], "/etc/postfix/main.cf:5");
    assert_eq!(services[3]["protocols"]["values"], json!(["TLSv1.2", "TLSv1.3"]));
    assert_eq!((class(&services[3], "aNULL"), class(&services[3], "MD5")), ("absent", "not_proven"));
    assert_eq!(facts["keys"][0]["name"], "/etc/ssl/a.key");
    assert_eq!(facts["upstreams"][0]["encryption"], "starttls_optional");
}

#[tokio::test]
async fn what_is_not_written_is_not_guessed() {
    let main = "smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = /a.pem\n";
    let unknown = postfix(main, SMTP, None).await;
    assert_eq!(unknown["services"][0]["protocols"]["outcome"], "not_proven");
    assert_eq!(class(&unknown["services"][0], "aNULL"), "not_proven");
    assert_eq!(unknown["upstreams"][0]["outcome"], "not_proven");
    let known = postfix(main, SMTP, Some("3.7.11")).await;
    assert_eq!(known["services"][0]["protocols"]["outcome"], "absent");
    assert_eq!(known["services"][0]["protocols"]["values"][0], "TLSv1.0");
    assert_eq!((class(&known["services"][0], "aNULL"), class(&known["services"][0], "eNULL")), ("present", "absent"));
    assert_eq!(known["upstreams"][0]["encryption"], "none");
}

#[tokio::test]
async fn variables_prove_nothing() {
    for (line, place) in [
        ("smtpd_tls_security_level = $level", "outcome"),
        ("smtpd_tls_security_level = ${level?may}", "outcome"),
        ("smtpd_tls_wrappermode = $mode", "outcome"),
    ] {
        let facts = postfix(&format!("{line}\nsmtpd_tls_cert_file = /a.pem\n"), SMTP, Some("3.7.11")).await;
        assert_eq!(facts["services"][0][place], "not_proven", "{line}");
    }
    let facts = postfix(
        "smtpd_tls_security_level = encrypt\nsmtpd_tls_mandatory_protocols = $x\nsmtpd_tls_exclude_ciphers = \
         $y\nsmtpd_sasl_auth_enable = $z\nsmtpd_tls_cert_file = /a.pem\n",
        SMTP,
        Some("3.7.11"),
    )
    .await;
    for setting in ["protocols", "ciphers", "plaintext_login"] {
        assert_eq!(facts["services"][0][setting]["outcome"], "not_proven", "{setting}");
    }
}

#[tokio::test]
async fn without_a_certificate_nothing_is_offered() {
    let facts = postfix("smtpd_tls_security_level = may\nsmtpd_sasl_auth_enable = yes\n", SMTP, None).await;
    assert_eq!(facts["services"][0]["encryption"], "none");
    assert_eq!(facts["services"][0]["plaintext_login"]["values"], json!(["allowed"]));
}

#[tokio::test]
async fn mistakes_are_told() {
    for (main, master, place, why) in [
        ("smtpd_tls_security_level may\n", SMTP, "/etc/postfix/main.cf:1", "no parameter"),
        ("", "smtp inet n\n", "/etc/postfix/master.cf:1", "eight columns"),
        ("", "smtp inet n - y - - smtpd -o x\n", "/etc/postfix/master.cf:1", "without a parameter"),
    ] {
        let facts = postfix(main, master, None).await;
        assert_eq!(facts["asked"], json!([]));
        assert_eq!(facts["not_proven"][0]["name"], place);
        assert!(facts["not_proven"][0]["why"].as_str().unwrap().contains(why), "{facts:#}");
    }
    let files = Files::new();
    files.file("/etc/postfix/main.cf", "");
    let facts = files.read("postfix", "/etc/postfix", None).await;
    assert_eq!(facts["not_proven"][0]["name"], "/etc/postfix/master.cf");
}
