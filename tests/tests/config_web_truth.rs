//! What is read in the files of Apache and HAProxy, against what their own tools and running servers make of them.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::{Audited, Key, Lab, Probity, Server, accepted_versions, free_port, tool};

/// A folder with the configuration of one server. In its files `{here}` is the folder, `{cert}`, `{key}` and `{both}` an
/// identity, `{p1}` and `{p2}` are ports.
struct Site {
    server: &'static str,
    probity: Probity,
    lab: Lab,
    second: u16,
}

impl Site {
    fn new(server: &'static str) -> Result<Self> {
        let probity = Probity::new()?;
        std::fs::create_dir_all(probity.folder().join("etc"))?;
        Ok(Self { server, probity, lab: Lab::new()?, second: free_port()? })
    }

    fn here(&self) -> Result<PathBuf> {
        Ok(self.probity.folder().join("etc").canonicalize()?)
    }

    fn entry(&self) -> Result<String> {
        Ok(self.here()?.join("main.conf").display().to_string())
    }

    fn write(&self, files: &[(&str, &str)], port: u16) -> Result<()> {
        let identity = self.lab.identity(Key::Rsa(2048))?;
        let both = std::fs::read_to_string(&identity.chain)? + &std::fs::read_to_string(&identity.key)?;
        let both = self.probity.write("etc/both.pem", both)?.canonicalize()?;
        std::fs::set_permissions(&both, std::fs::Permissions::from_mode(0o600))?;
        for (name, text) in files {
            let text = text
                .replace("{here}", &self.here()?.display().to_string())
                .replace("{cert}", &identity.chain.display().to_string())
                .replace("{key}", &identity.key.display().to_string())
                .replace("{both}", &both.display().to_string())
                .replace("{p1}", &port.to_string())
                .replace("{p2}", &self.second.to_string());
            self.probity.write(&format!("etc/{name}"), text)?;
        }
        Ok(())
    }

    /// Writes the files and starts the server on them, as one process.
    fn start(&self, files: &[(&str, &str)]) -> Result<Server> {
        let (log, entry) = (self.probity.folder().join("log"), self.entry()?);
        let arguments = match self.server {
            "apache" => vec!["-X", "-f", &entry],
            _ => vec!["-db", "-f", &entry],
        };
        let program = if self.server == "apache" { "apache2" } else { "haproxy" };
        Server::configured(program, &log, &arguments, |port| self.write(files, port))
    }

    /// Whether the server's own tool takes the files, and what it says.
    fn checked(&self, more: &[&str]) -> Result<(bool, String)> {
        let entry = self.entry()?;
        match self.server {
            "apache" => tool("apache2", &[&["-t", "-f", &entry], more].concat()),
            _ => tool("haproxy", &["-c", "-f", &entry]),
        }
    }

    fn second(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.second))
    }

    /// What an audit makes of it.
    fn audit(self, version: &str) -> Result<(Audited, Value)> {
        let subject = format!("config: {{ {}: {}, version: \"{version}\" }}", self.server, self.entry()?);
        let audited = Audited::target(self.probity, "baseline", &subject, &["audit"])?;
        let facts = audited.evidence("server-config")?["facts"].clone();
        ensure!(facts.is_object(), "{}", audited.finished);
        Ok((audited, facts))
    }
}

/// The beginning of every file of Apache here.
const APACHE: &str = "ServerRoot {here}\nServerName localhost\nUser www-data\nGroup www-data\nPidFile {here}/pid\nErrorLog \
                      /dev/stderr\nDefaultRuntimeDir {here}\nLoadModule mpm_event_module \
                      /usr/lib/apache2/modules/mod_mpm_event.so\nLoadModule authz_core_module \
                      /usr/lib/apache2/modules/mod_authz_core.so\nLoadModule alias_module \
                      /usr/lib/apache2/modules/mod_alias.so\nLoadModule headers_module \
                      /usr/lib/apache2/modules/mod_headers.so\nLoadModule ssl_module \
                      /usr/lib/apache2/modules/mod_ssl.so\n";

/// The beginning of every file of HAProxy here.
const HAPROXY: &str = "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n";

fn service<'a>(facts: &'a Value, name: &str) -> &'a Value {
    let has = |s: &&Value| s["names"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    facts["services"].as_array().into_iter().flatten().find(has).unwrap_or(&Value::Null)
}

fn each<'a>(list: &'a Value, field: &str) -> BTreeSet<&'a str> {
    list.as_array().into_iter().flatten().filter_map(|one| one[field].as_str()).collect()
}

#[test]
fn apache_is_read_as_it_reads_itself() -> Result<()> {
    let site = Site::new("apache")?;
    let main = format!(
        "{APACHE}Define OLD\nDefine SITES sites\nInclude ports.conf\nIncludeOptional ${{SITES}}/*.conf\nIncludeOptional \
         none/*.conf\nInclude {{here}}/tls\n"
    );
    let apache = site.start(&[
        ("main.conf", &main),
        ("ports.conf", "<IfModule ssl_module>\nListen 127.0.0.1:{p1}\nListen 127.0.0.1:{p2}\n</IfModule>\n<IfModule mod_gnutls.c>\nListen 1\n</IfModule>\n"),
        ("tls/pair", "SSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n# a comment \\\nSSLProtocol TLSv1\n"),
        ("tls/.more", "SSLProtocol -all \\\n  +TLSv1.2\nSSLCipherSuite \"ALL:aNULL:eNULL:@SECLEVEL=0\"\n"),
        ("sites/a.conf", "<VirtualHost 127.0.0.1:{p1}>\nServerName one.example.org\nServerAlias uno\nSSLEngine on\nHeader always set Strict-Transport-Security \"max-age=63072000\"\n</VirtualHost>\n"),
        ("sites/b.conf", "<VirtualHost 127.0.0.1:{p2}>\nServerName two.example.org\nSSLEngine On\n<IfDefine OLD>\nSSLProtocol all -SSLv3 -TLSv1.3\n</IfDefine>\n<IfDefine !OLD>\nSSLProtocol TLSv1.3\n</IfDefine>\n</VirtualHost>\n"),
        ("sites/c.txt", "this is no configuration\n"),
    ])?;
    let (one, two) =
        (accepted_versions(apache.address(), "one.example.org")?, accepted_versions(site.second(), "two.example.org")?);
    let (ok, hosts) = site.checked(&["-D", "DUMP_VHOSTS", "-D", "DUMP_RUN_CFG"])?;
    let (_, includes) = site.checked(&["-D", "DUMP_INCLUDES"])?;
    ensure!(ok && hosts.contains("Define: SITES=sites"), "{hosts}");
    let here = site.here()?.display().to_string();
    let (_, facts) = site.audit("2.4.62")?;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    // `127.0.0.1:443 name (file:line)`.
    let places: BTreeSet<&str> = hosts.lines().filter_map(|line| line.split_once('(')?.1.strip_suffix(')')).collect();
    assert_eq!(each(&facts["services"], "at"), places, "{hosts}");
    // `  (17) /etc/apache2/ports.conf`.
    let files: BTreeSet<&str> = includes
        .lines()
        .filter_map(|line| line.split_once(") "))
        .map(|(_, path)| path.trim())
        .filter(|path| path.starts_with(&here))
        .collect();
    assert_eq!(each(&facts["files"], "name"), files, "{includes}");
    for (name, wire) in [("one.example.org", one), ("two.example.org", two)] {
        assert_eq!(service(&facts, name)["protocols"]["values"], json!(wire), "{name}");
    }
    assert_eq!(service(&facts, "uno")["hsts"]["max_age"], 63_072_000);
    assert_eq!(service(&facts, "two.example.org")["hsts"]["outcome"], "absent");
    let classes = service(&facts, "uno")["ciphers"]["classes"].as_array().context("no classes")?.clone();
    let class = |name: &str| classes.iter().find(|class| class["name"] == name).map(|class| class["outcome"].clone());
    // Written, and taken out again by Apache.
    assert_eq!(
        (class("aNULL"), class("eNULL"), class("kRSA")),
        (Some("absent".into()), Some("absent".into()), Some("present".into()))
    );
    let address = apache.address().to_string();
    let anonymous =
        tests::openssl(&["s_client", "-connect", &address, "-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"])?;
    ensure!(anonymous.contains("Cipher is (NONE)"), "{anonymous}");
    Ok(())
}

#[test]
fn haproxy_is_read_as_it_behaves() -> Result<()> {
    let site = Site::new("haproxy")?;
    let main = format!(
        "global\n  ssl-default-bind-options no-tlsv12 no-tls-tickets # 'as agreed'\n  ssl-default-bind-ciphers \
         ALL:@SECLEVEL=0\n{HAPROXY}frontend one\n  bind 127.0.0.1:{{p1}} ssl crt \"{{both}}\"\nfrontend two\n  bind \
         ipv4@127.0.0.1:{{p2}} name ssl ssl crt {{both}} ssl-max-ver TLSv1.2 ssl-min-ver TLSv1.0\n"
    );
    let haproxy = site.start(&[("main.conf", &main)])?;
    ensure!(site.checked(&[])?.0);
    let (one, two) =
        (accepted_versions(haproxy.address(), "localhost")?, accepted_versions(site.second(), "localhost")?);
    let (audited, facts) = site.audit("2.6.12")?;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    assert_eq!(service(&facts, "one")["protocols"]["values"], json!(one));
    assert_eq!(service(&facts, "two")["protocols"]["values"], json!(two));
    assert_eq!((one.len(), two.len()), (1, 3));
    assert_eq!(audited.verdict("TLS-PROTO-LEGACY-CONFIG"), "fail");
    Ok(())
}

/// What the servers themselves refuse, and what they decide by what is not in the files, never passes.
#[test]
fn what_is_not_known_does_not_pass() -> Result<()> {
    const APACHE_GOOD: &str = "Listen 127.0.0.1:{p1}\nSSLEngine on\nSSLCertificateFile {cert}\nSSLCertificateKeyFile \
                               {key}\nSSLProtocol -all +TLSv1.3\nSSLCipherSuite ECDHE+AESGCM\n";
    const HAPROXY_GOOD: &str =
        "frontend one\n  bind 127.0.0.1:{p1} ssl crt {both} ssl-min-ver TLSv1.3 ciphers ECDHE+AESGCM\n";
    for (server, more, taken) in [
        ("apache", "Include {here}/round.conf\n", false),
        ("apache", "LoadModule evil_module {here}/evil.so\nSSLProtocol ${VERSIONS}\n", false),
        ("apache", "<IfDefine OLD>\nSSLProtocol all\n</IfDefine>\n", true),
        ("apache", "<VirtualHost *:1>\n", false),
        ("haproxy", ".if defined(OLD)\n  bind 127.0.0.1:{p2} ssl crt {both} ssl-min-ver TLSv1.0\n.endif\n", true),
        ("haproxy", "  bind 127.0.0.1:{p2} ssl crt \"${HOME}/x.pem\"\n", false),
        ("haproxy", "  bind 127.0.0.1:{p2} mystery\n", false),
    ] {
        let site = Site::new(server)?;
        let (begin, good) = if server == "apache" { (APACHE, APACHE_GOOD) } else { (HAPROXY, HAPROXY_GOOD) };
        site.write(
            &[("main.conf", &format!("{begin}{good}{more}")), ("round.conf", "Include {here}/round.conf\n")],
            free_port()?,
        )?;
        let (ok, said) = site.checked(&[])?;
        assert_eq!(ok, taken, "{more}: {said}");
        let (audited, facts) = site.audit(if server == "apache" { "2.4.62" } else { "2.6.12" })?;
        assert_eq!(facts["asked"], json!([]), "{more}: {facts:#}");
        for control in ["TLS-PROTO-LEGACY-CONFIG", "TLS-CIPHER-BROKEN-CONFIG"] {
            assert_eq!(audited.verdict(control), "inconclusive", "{more}: {control}");
        }
        assert_ne!(audited.finished.code, Some(0));
    }
    Ok(())
}

/// A gate before deployment: the bad configuration fails, the good one does not; then both run, and the wire agrees.
#[test]
fn a_gate_before_deployment_and_the_wire_agree() -> Result<()> {
    let apache = |versions: &str, ciphers: &str| {
        format!(
            "{APACHE}Listen 127.0.0.1:{{p1}}\n<VirtualHost *:{{p1}}>\nServerName localhost\nSSLEngine on\nSSLProtocol \
             {versions}\nSSLCipherSuite {ciphers}\nSSLCertificateFile {{cert}}\nSSLCertificateKeyFile {{key}}\n</VirtualHost>\n"
        )
    };
    let haproxy = |least: &str, ciphers: &str| {
        format!(
            "{HAPROXY}frontend localhost\n  bind 127.0.0.1:{{p1}} ssl crt {{both}} ssl-min-ver {least} ciphers {ciphers}\n"
        )
    };
    for (server, version, text, verdict) in [
        ("apache", "2.4.62", apache("-all +TLSv1.2 +TLSv1.3", "ECDHE+AESGCM"), "pass"),
        ("apache", "2.4.62", apache("all -SSLv3", "ALL:@SECLEVEL=0"), "fail"),
        ("haproxy", "2.6.12", haproxy("TLSv1.2", "ECDHE+AESGCM"), "pass"),
        ("haproxy", "2.6.12", haproxy("TLSv1.0", "ALL:@SECLEVEL=0"), "fail"),
    ] {
        let site = Site::new(server)?;
        site.write(&[("main.conf", &text)], free_port()?)?;
        let (before, declared) = site.audit(version)?;
        for control in ["TLS-PROTO-LEGACY-CONFIG", "TLS-CIPHER-NOFS-CONFIG"] {
            assert_eq!(before.verdict(control), verdict, "{server} {control}: {}", before.reasons(control));
        }
        assert_eq!(before.finished.code == Some(1), verdict == "fail", "{}", before.finished);
        // Deployed.
        let site = Site { server, probity: before.probity, lab: Lab::new()?, second: free_port()? };
        let running = site.start(&[("main.conf", &text)])?;
        let subject = format!("tls: {{ endpoint: \"{}\" }}", running.address());
        let after = Audited::target(site.probity, "baseline", &subject, &["audit"])?;
        assert_eq!(
            service(&declared, "localhost")["protocols"]["values"],
            json!(after.accepted_versions()?),
            "{server}"
        );
        assert_eq!(after.verdict("TLS-PROTO-LEGACY"), verdict, "{}", after.finished);
    }
    Ok(())
}
