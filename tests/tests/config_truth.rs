//! What is read in the files of nginx, against what `nginx -T` reads and what a running nginx does.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{Audited, Key, Lab, Probity, Server, accepted_versions, free_port, openssl, tool};

/// A folder with a configuration of nginx. In its files `{here}` is the folder, `{cert}` and `{key}` an identity, `{p1}` and
/// `{p2}` are ports.
struct Site {
    probity: Probity,
    lab: Lab,
    second: u16,
}

impl Site {
    fn new() -> Result<Self> {
        Ok(Self { probity: Probity::new()?, lab: Lab::new()?, second: free_port()? })
    }

    fn entry(&self) -> PathBuf {
        self.probity.folder().join("nginx/nginx.conf")
    }

    fn write(&self, files: &[(&str, &str)], port: u16) -> Result<()> {
        let identity = self.lab.identity(Key::Rsa(2048))?;
        let here = self.probity.folder().join("nginx").canonicalize().unwrap_or_default();
        for (name, text) in files {
            let text = text
                .replace("{here}", &here.display().to_string())
                .replace("{cert}", &identity.chain.display().to_string())
                .replace("{key}", &identity.key.display().to_string())
                .replace("{p1}", &port.to_string())
                .replace("{p2}", &self.second.to_string());
            self.probity.write(&format!("nginx/{name}"), text)?;
        }
        Ok(())
    }

    /// Writes the files and starts nginx on them.
    fn start(&self, files: &[(&str, &str)]) -> Result<Server> {
        std::fs::create_dir_all(self.probity.folder().join("nginx"))?;
        let (log, entry) = (self.probity.folder().join("log"), self.entry().display().to_string());
        Server::configured("nginx", &log, &["-c", &entry, "-e", "stderr"], |port| self.write(files, port))
    }

    /// The files that `nginx -T` reads.
    fn files(&self) -> Result<Vec<String>> {
        let (ok, said) = tool("nginx", &["-T", "-c", &self.entry().display().to_string(), "-e", "stderr"])?;
        ensure!(ok, "nginx does not take it: {said}");
        let name = |line: &str| Some(line.strip_prefix("# configuration file ")?.trim_end_matches(':').to_owned());
        Ok(said.lines().filter_map(name).collect())
    }

    /// What an audit makes of it.
    fn audit(self, more: &str) -> Result<(Audited, Value)> {
        let subject = format!("config: {{ nginx: {}, version: \"1.22.1\"{more} }}", self.entry().display());
        let audited = Audited::target(self.probity, "baseline", &subject, &["audit"])?;
        let facts = audited.evidence("server-config")?["facts"].clone();
        ensure!(facts.is_object(), "{}", audited.finished);
        Ok((audited, facts))
    }
}

const MAIN: &str = "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log stderr;\nevents {}\n";

fn service<'a>(facts: &'a Value, name: &str) -> &'a Value {
    let services = facts["services"].as_array().into_iter().flatten();
    services.into_iter().find(|s| s["names"][0] == name).unwrap_or(&Value::Null)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect()
}

/// Globs, relative and quoted paths, links, what is inherited and what is replaced; the file that no pattern fits is not read.
#[test]
fn includes_and_inheritance_are_nginxs() -> Result<()> {
    let site = Site::new()?;
    let http = format!(
        "{MAIN}http {{\n  access_log off;\n  ssl_protocols TLSv1.2 TLSv1.3;\n  ssl_ciphers ECDHE+AESGCM:@SECLEVEL=0;\n  \
         include tls/*.inc;\n  include \"{{here}}/sites/s?.conf\";\n  include missing-*.conf;\n}}\n"
    );
    let nginx = site.start(&[
        ("nginx.conf", &http),
        ("tls/pair.inc", "ssl_certificate {cert};\nssl_certificate_key {key};\nssl_session_tickets off;\n"),
        ("tls/.hidden.inc", "this is no configuration\n"),
        ("sites/s1.conf", "server { listen 127.0.0.1:{p1} ssl; server_name one; include ../nginx/sites/one.inc; }"),
        ("sites/one.inc", "add_header Strict-Transport-Security max-age=63072000;\n"),
        (
            "sites/s2.conf",
            "server {\n  listen 127.0.0.1:{p2} ssl;\n  server_name two;\n  ssl_protocols TLSv1 TLSv1.1;\n  ssl_ciphers \
             ALL:@SECLEVEL=0;\n  ssl_session_tickets on;\n}",
        ),
        ("sites/s10.conf", "this is no configuration\n"),
    ])?;
    let second = SocketAddr::from(([127, 0, 0, 1], site.second));
    let (one, two) = (accepted_versions(nginx.address(), "one")?, accepted_versions(second, "two")?);
    let files = site.files()?;
    let (audited, facts) = site.audit("")?;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    assert_eq!(names(&facts["files"]), files);
    assert_eq!(service(&facts, "one")["protocols"]["values"], json!(one));
    assert_eq!(service(&facts, "two")["protocols"]["values"], json!(two));
    assert_eq!(two, ["TLSv1.0", "TLSv1.1"]);
    assert_eq!(service(&facts, "one")["tickets"]["values"], json!(["off"]));
    assert_eq!(service(&facts, "two")["tickets"]["values"], json!(["on"]));
    assert_eq!(service(&facts, "one")["hsts"]["max_age"], 63_072_000);
    assert_eq!(service(&facts, "two")["hsts"]["outcome"], "absent");
    assert_eq!(audited.verdict("TLS-PROTO-LEGACY-CONFIG"), "fail");
    ensure!(audited.reasons("TLS-PROTO-LEGACY-CONFIG").contains("s2.conf:4"));
    Ok(())
}

/// The servers of an address have the versions of its default one, whatever they say themselves.
#[test]
fn versions_of_servers_on_one_address_are_not_proven() -> Result<()> {
    let site = Site::new()?;
    let server = |name: &str, listen: &str, versions: &str| {
        format!("server {{ listen 127.0.0.1:{{p1}} ssl{listen}; server_name {name}; ssl_protocols {versions}; }}\n")
    };
    let http = format!(
        "{MAIN}http {{\naccess_log off;\nssl_certificate {{cert}};\nssl_certificate_key {{key}};\nssl_ciphers \
         ALL:@SECLEVEL=0;\n{}{}}}\n",
        server("new", "", "TLSv1.3"),
        server("old", " default_server", "TLSv1.1 TLSv1.2")
    );
    let nginx = site.start(&[("nginx.conf", &http)])?;
    // On the wire both have those of the default server.
    assert_eq!(accepted_versions(nginx.address(), "new")?, ["TLSv1.1", "TLSv1.2"]);
    assert_eq!(accepted_versions(nginx.address(), "old")?, ["TLSv1.1", "TLSv1.2"]);
    let (audited, facts) = site.audit("")?;
    for name in ["new", "old"] {
        assert_eq!(service(&facts, name)["protocols"]["outcome"], "not_proven", "{facts:#}");
    }
    // What is written somewhere counts against it; that all have TLS 1.3 is not shown.
    assert_eq!(audited.verdict("TLS-PROTO-LEGACY-CONFIG"), "fail");
    assert_eq!(audited.verdict("TLS-PROTO-13-CONFIG"), "inconclusive");
    Ok(())
}

/// `ssl_conf_command` has the last word: suites are taken from it, versions are not proven.
#[test]
fn commands_to_openssl_are_seen() -> Result<()> {
    let site = Site::new()?;
    let http = format!(
        "{MAIN}http {{\naccess_log off;\nssl_certificate {{cert}};\nssl_certificate_key {{key}};\nssl_conf_command Ciphersuites \
         TLS_CHACHA20_POLY1305_SHA256;\nserver {{\n  listen 127.0.0.1:{{p1}} ssl;\n  server_name one;\n  ssl_protocols TLSv1.2 \
         TLSv1.3;\n}}\nserver {{\n  listen 127.0.0.1:{{p2}} ssl;\n  server_name two;\n  ssl_protocols TLSv1.2 TLSv1.3;\n  \
         ssl_conf_command MaxProtocol TLSv1.2;\n  ssl_ciphers ALL:@SECLEVEL=0;\n}}\n}}\n"
    );
    let nginx = site.start(&[("nginx.conf", &http)])?;
    let second = SocketAddr::from(([127, 0, 0, 1], site.second));
    let with = |suite: &str| {
        let address = nginx.address().to_string();
        let said = openssl(&["s_client", "-connect", &address, "-tls1_3", "-ciphersuites", suite])?;
        anyhow::Ok(said.contains(&format!("Cipher is {suite}")))
    };
    ensure!(with("TLS_CHACHA20_POLY1305_SHA256")? && !with("TLS_AES_256_GCM_SHA384")?);
    // ssl_protocols says otherwise.
    assert_eq!(accepted_versions(second, "two")?, ["TLSv1.2"]);
    let (audited, facts) = site.audit("")?;
    assert_eq!(service(&facts, "one")["suites"]["values"], json!(["TLS_CHACHA20_POLY1305_SHA256"]));
    assert_eq!(service(&facts, "one")["protocols"]["outcome"], "present");
    assert_eq!(service(&facts, "two")["protocols"]["outcome"], "not_proven", "{facts:#}");
    for control in ["TLS-PROTO-LEGACY-CONFIG", "TLS-PROTO-SSL-CONFIG"] {
        assert_eq!(audited.verdict(control), "inconclusive", "{control}");
    }
    Ok(())
}

/// What nginx takes but decides later is not proven: variables.
#[test]
fn variables_are_not_proven() -> Result<()> {
    let site = Site::new()?;
    let http = format!(
        "{MAIN}http {{\naccess_log off;\nmap $ssl_server_name $pair {{ default {{here}}/none; one {{cert}}; }}\nserver {{\n  listen \
         127.0.0.1:{{p1}} ssl;\n  server_name one;\n  ssl_protocols TLSv1.3;\n  ssl_certificate $pair;\n  ssl_certificate_key \
         $pair;\n  set $scheme2 http;\n  location / {{ proxy_pass $scheme2://127.0.0.1:1; }}\n}}\n}}\n"
    );
    let nginx = site.start(&[("nginx.conf", &http)])?;
    drop(nginx);
    let files = site.files()?;
    let (_, facts) = site.audit("")?;
    assert_eq!(names(&facts["files"]), files);
    assert_eq!(facts["upstreams"][0]["outcome"], "not_proven", "{facts:#}");
    assert_eq!(service(&facts, "one")["certificates"], json!([]));
    Ok(())
}

/// What nginx refuses, or what would run code or lead outside, is never a pass.
#[test]
fn loops_modules_and_what_lies_outside() -> Result<()> {
    const GOOD: &str = "server { listen 127.0.0.1:{p1} ssl; server_name one; ssl_protocols TLSv1.3; ssl_certificate {cert}; \
                        ssl_certificate_key {key}; ssl_ciphers ECDHE+AESGCM; }";
    for (main, more, why, root) in [
        ("include a.conf;", "include b.conf;", "it includes itself", false),
        ("include /etc/hostname;", "", "", true),
        ("include ../../../../../../../../etc/hostname;", "", "leads out of the root", true),
        ("include gone.conf;", "", "no such file", false),
        ("broken", "", "missing", false),
    ] {
        let site = Site::new()?;
        std::fs::create_dir_all(site.probity.folder().join("nginx"))?;
        let http = format!("load_module {{here}}/evil.so;\n{MAIN}http {{\n{GOOD}\n{main}\n}}\n");
        site.write(&[("nginx.conf", &http), ("a.conf", more), ("b.conf", "include a.conf;")], 1)?;
        // The module does not exist: the server's own tool already fails where this reader does not even look.
        ensure!(site.files().is_err());
        let (probity, lab, second) = (site.probity, site.lab, site.second);
        let audited = if root {
            let subject = "config: { nginx: nginx/nginx.conf, root: ., version: \"1.22.1\" }";
            Audited::target(probity, "baseline", subject, &["audit"])?
        } else {
            Site { probity, lab, second }.audit("")?.0
        };
        let facts = audited.evidence("server-config")?["facts"].clone();
        assert_eq!(facts["asked"], json!([]), "{main}: {facts:#}");
        ensure!(facts["not_proven"].to_string().contains(why), "{main}: {}", facts["not_proven"]);
        ensure!(facts["modules"][0]["name"].as_str().is_some_and(|name| name.ends_with("evil.so")));
        assert_eq!(service(&facts, "one")["protocols"]["values"], json!(["TLSv1.3"]));
        for control in ["TLS-PROTO-LEGACY-CONFIG", "TLS-PROTO-13-CONFIG", "TLS-CIPHER-BROKEN-CONFIG"] {
            assert_eq!(audited.verdict(control), "inconclusive", "{main}: {control}");
        }
        assert_ne!(audited.finished.code, Some(0));
    }
    Ok(())
}

/// A gate before deployment: the bad tree fails, the good one does not; then both run, and the wire agrees.
#[test]
fn a_gate_before_deployment_and_the_wire_agree() -> Result<()> {
    for (versions, ciphers, verdict) in
        [("TLSv1.2 TLSv1.3", "ECDHE+AESGCM", "pass"), ("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", "ALL:@SECLEVEL=0", "fail")]
    {
        let site = Site::new()?;
        let http = format!(
            "{MAIN}http {{\naccess_log off;\nserver {{\n  listen 127.0.0.1:{{p1}} ssl;\n  server_name localhost;\n  ssl_protocols \
             {versions};\n  ssl_ciphers {ciphers};\n  ssl_certificate {{cert}};\n  ssl_certificate_key {{key}};\n}}\n}}\n"
        );
        // Judged before anything runs.
        std::fs::create_dir_all(site.probity.folder().join("nginx"))?;
        site.write(&[("nginx.conf", &http)], free_port()?)?;
        let second = site.second;
        let lab = Lab::new()?;
        let (before, declared) = site.audit("")?;
        for control in ["TLS-PROTO-LEGACY-CONFIG", "TLS-CIPHER-NOFS-CONFIG"] {
            assert_eq!(before.verdict(control), verdict, "{control}: {}", before.reasons(control));
        }
        assert_eq!(before.finished.code == Some(1), verdict == "fail", "{}", before.finished);
        // Deployed.
        let site = Site { probity: before.probity, lab, second };
        let nginx = site.start(&[("nginx.conf", &http)])?;
        let subject = format!("tls: {{ endpoint: \"{}\" }}", nginx.address());
        let after = Audited::target(site.probity, "baseline", &subject, &["audit"])?;
        assert_eq!(service(&declared, "localhost")["protocols"]["values"], json!(after.accepted_versions()?));
        assert_eq!(after.verdict("TLS-PROTO-LEGACY"), verdict, "{}", after.finished);
    }
    Ok(())
}
