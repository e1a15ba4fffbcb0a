//! What is read in the files of Postfix and Dovecot, against what `postconf` and `doveconf` make of them.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Audited, Probity};

/// What a command prints.
fn say(words: &[&str]) -> Result<String> {
    let (program, rest) = words.split_first().context("no words")?;
    let out = Command::new(program).args(rest).output().with_context(|| format!("{program} is not installed"))?;
    ensure!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn audit(probity: Probity, subject: &str) -> Result<(Audited, Value)> {
    let audited = Audited::target(probity, "baseline", &format!("config: {subject}"), &["audit"])?;
    let facts = audited.evidence("server-config")?["facts"].clone();
    ensure!(facts.is_object(), "{}", audited.finished);
    Ok((audited, facts))
}

fn service<'a>(facts: &'a Value, name: &str) -> &'a Value {
    facts["services"].as_array().into_iter().flatten().find(|s| s["name"] == name).unwrap_or(&Value::Null)
}

fn write(probity: &Probity, name: &str, text: &str) -> Result<String> {
    Ok(probity.write(name, text)?.canonicalize()?.display().to_string())
}

const MASTER: &str = "\
smtp inet n - y - - smtpd -o smtpd_sasl_auth_enable=no
submission inet n - y - - smtpd
  -o smtpd_tls_security_level=encrypt
smtps inet n - y - - smtpd
  -o { smtpd_tls_wrappermode = yes }
smtp unix - - y - - smtp
";

const MAIN: &str = "\
compatibility_level = 3.6
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/ssl/mail.pem
smtpd_sasl_auth_enable = yes
smtpd_tls_protocols = !SSLv2, !SSLv3
smtp_tls_security_level = dane
smtpd_tls_mandatory_protocols =
  # as agreed
  >=TLSv1.2
";

#[test]
fn postfix_is_read_as_postconf_reads_it() -> Result<()> {
    let probity = Probity::new()?;
    let main =
        write(&probity, "postfix/main.cf", &format!("{MAIN}smtpd_tls_auth_only = no\nsmtpd_tls_auth_only = yes\n"))?;
    write(&probity, "postfix/master.cf", MASTER)?;
    let folder = Path::new(&main).parent().context("no folder")?.display().to_string();
    // The oracle: values of main.cf, and those of the services.
    let value = |name: &str| say(&["postconf", "-c", &folder, "-h", name]);
    assert_eq!(value("smtpd_tls_mandatory_protocols")?, ">=TLSv1.2");
    assert_eq!(value("smtpd_tls_auth_only")?, "yes");
    let services = say(&["postconf", "-c", &folder, "-M"])?;
    let inet = services.lines().filter(|line| line.contains(" inet ")).count();
    let overrides = say(&["postconf", "-c", &folder, "-P"])?;
    ensure!(overrides.contains("smtps/inet/smtpd_tls_wrappermode = yes"), "{overrides}");
    ensure!(overrides.contains("submission/inet/smtpd_tls_security_level = encrypt"), "{overrides}");

    let (audited, facts) = audit(probity, &format!("{{ postfix: {folder}, version: \"3.7.11\" }}"))?;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    assert_eq!(facts["services"].as_array().map(Vec::len), Some(inet));
    assert_eq!(service(&facts, "smtp")["encryption"], "starttls_optional");
    assert_eq!(service(&facts, "submission")["encryption"], "starttls_required");
    assert_eq!(service(&facts, "smtps")["encryption"], "tls");
    for name in ["submission", "smtps"] {
        assert_eq!(service(&facts, name)["protocols"]["written"], value("smtpd_tls_mandatory_protocols")?);
        assert_eq!(service(&facts, name)["plaintext_login"]["values"][0], "refused");
    }
    assert_eq!(service(&facts, "smtp")["protocols"]["written"], value("smtpd_tls_protocols")?);
    assert_eq!(audited.verdict("TLS-STARTTLS-CONFIG"), "pass", "{}", audited.reasons("TLS-STARTTLS-CONFIG"));
    // Of what lies in main.cf, TLS 1.0 counts between servers.
    assert_eq!(audited.verdict("TLS-PROTO-LEGACY-CONFIG"), "fail");
    Ok(())
}

#[test]
fn postfix_that_takes_passwords_in_plain_fails_and_variables_do_not_pass() -> Result<()> {
    for (more, wanted) in [("", "fail"), ("smtpd_tls_auth_only = $later\n", "inconclusive")] {
        let probity = Probity::new()?;
        let main = write(&probity, "postfix/main.cf", &format!("{MAIN}{more}"))?;
        write(&probity, "postfix/master.cf", "587 inet n - y - - smtpd\n")?;
        let folder = main.trim_end_matches("/main.cf").to_owned();
        let (audited, _) = audit(probity, &format!("{{ postfix: {folder} }}"))?;
        assert_eq!(audited.verdict("TLS-STARTTLS-CONFIG"), wanted, "{}", audited.finished);
    }
    Ok(())
}

#[test]
fn dovecot_is_read_as_doveconf_reads_it() -> Result<()> {
    for (plain, starttls, protocol) in [("yes", "pass", "TLSv1.2"), ("no", "fail", "TLSv1")] {
        let probity = Probity::new()?;
        let conf = format!(
            "protocols = imap pop3\nlisten = *\n!include conf.d/*.conf\nprotocol pop3 {{\n  ssl = required\n}}\n\
             disable_plaintext_auth = {plain}\n"
        );
        let path = write(&probity, "dovecot/dovecot.conf", &conf)?;
        write(
            &probity,
            "dovecot/conf.d/10-ssl.conf",
            &format!("ssl = yes # as agreed\nssl_min_protocol = {protocol}\nssl_cipher_list = ECDHE+AESGCM\n"),
        )?;
        write(
            &probity,
            "dovecot/conf.d/20-imap.conf",
            "service imap-login {\n  inet_listener imap {\n    port = 1143\n  }\n}\n",
        )?;
        // The oracle.
        let value = |name: &str| say(&["doveconf", "-c", &path, "-h", name]);
        assert_eq!(value("ssl_min_protocol")?, protocol);
        assert_eq!(value("disable_plaintext_auth")?, plain);
        let shown = say(&["doveconf", "-c", &path, "-n"])?;
        ensure!(shown.contains("port = 1143") && shown.contains("ssl = required"), "{shown}");

        let (audited, facts) = audit(probity, &format!("{{ dovecot: {path}, version: \"2.3.19\" }}"))?;
        assert_eq!(facts["asked"], "all", "{facts:#}");
        let imap = service(&facts, "imap *:1143");
        assert_eq!(imap["encryption"], "starttls_optional");
        assert_eq!(
            (&imap["protocols"]["written"], &imap["ciphers"]["written"]),
            (&value("ssl_min_protocol")?.into(), &value("ssl_cipher_list")?.into())
        );
        assert_eq!(service(&facts, "pop3 *:110")["encryption"], "starttls_required");
        assert_eq!(service(&facts, "imaps *:993")["encryption"], "tls");
        assert_eq!(audited.verdict("TLS-STARTTLS-CONFIG"), starttls, "{}", audited.finished);
        assert_eq!(audited.verdict("TLS-PROTO-LEGACY-CONFIG"), starttls, "{}", audited.finished);
    }
    Ok(())
}
