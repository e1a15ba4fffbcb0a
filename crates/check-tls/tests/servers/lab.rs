//! A small lab: real servers and one run of the probe.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use check_tls::target::TlsSpec;
use model::{Ask, Depth, Evidence, Exchange, Subject, Target, decode_exchanges};
use probe::{Job, Limits, Probe, Stop, collect};
use serde_json::Value;
use tokio::sync::mpsc;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A server process that ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes `<name>.pem` (certificate) and `<name>.key` with a self-made certificate.
pub(crate) fn certificate(
    folder: &Path,
    name: &str,
    algorithm: &'static rcgen::SignatureAlgorithm,
) -> Result<(), Error> {
    let key = rcgen::KeyPair::generate_for(algorithm)?;
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}

/// The same for RSA, which rcgen can't generate.
pub(crate) fn rsa_certificate(folder: &Path, name: &str) -> Result<(), Error> {
    let at = |extension: &str| folder.join(format!("{name}.{extension}")).display().to_string();
    let done = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout", &at("key"), "-out", &at("pem")])
        .stderr(Stdio::null())
        .status()?;
    if done.success() { Ok(()) } else { Err("openssl req failed".into()) }
}

/// One whose key is for RSASSA-PSS alone.
fn pss_certificate(folder: &Path) -> Result<(), Error> {
    let done = Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=pss.example", "-keyout", "pss.key", "-out", "pss.pem"])
        .stderr(Stdio::null())
        .status()?;
    if done.success() { Ok(()) } else { Err("openssl req failed".into()) }
}

/// `openssl s_server` with an RSA certificate and these arguments.
pub(crate) fn s_server(arguments: &[&str]) -> Result<Server, Error> {
    let folder = tempfile::tempdir()?;
    rsa_certificate(folder.path(), "rsa")?;
    certificate(folder.path(), "ecdsa", &rcgen::PKCS_ECDSA_P256_SHA256)?;
    pss_certificate(folder.path())?;
    let mut child = Command::new("openssl")
        .current_dir(folder.path())
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "rsa.pem", "-key", "rsa.key", "-www"])
        .args(arguments)
        .env("OPENSSL_CONF", "/dev/null")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    let address = loop {
        let line = lines.next().ok_or("s_server ended early")??;
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.trim().parse()?;
        }
    };
    // It writes a line for each connection; somebody must read them.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(Server { child, address, _folder: folder })
}

/// The ids of the suites that OpenSSL has in one version.
pub(crate) fn openssl_ciphers(version: &str, list: &str) -> Result<Vec<String>, Error> {
    let output = Command::new("openssl")
        .args(["ciphers", "-V", "-s", version, list])
        .env("OPENSSL_CONF", "/dev/null")
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let id = |line: &str| {
        let (high, low) = line.split_whitespace().next()?.split_once(",0x")?;
        Some(format!("{}{low}", high).to_lowercase())
    };
    Ok(text.lines().filter_map(id).collect())
}

/// nginx with these lines in its server block; certificates `rsa` and `ecdsa` are there to be named.
pub(crate) fn nginx(lines: &str) -> Result<Server, Error> {
    let folder = tempfile::tempdir()?;
    rsa_certificate(folder.path(), "rsa")?;
    certificate(folder.path(), "ecdsa", &rcgen::PKCS_ECDSA_P256_SHA256)?;
    // The group of RFC 7919 with 2048 bits, as Mozilla's recommendation has it.
    let group = Command::new("openssl")
        .args(["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"])
        .output()?;
    std::fs::write(folder.path().join("dh.pem"), group.stdout)?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let path = folder.path().display();
    let text = format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {path}/a; proxy_temp_path {path}/b;\n\
         fastcgi_temp_path {path}/c; uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;\n\
         server {{ listen {address} ssl; {lines} }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), text)?;
    let child = Command::new("nginx")
        .args(["-p", &path.to_string(), "-c", "nginx.conf"])
        .env("OPENSSL_CONF", "/dev/null")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let server = Server { child, address, _folder: folder };
    for _ in 0..100 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("nginx does not start".into())
}

/// One look at a server and all that it left.
pub(crate) struct Seen {
    pub(crate) evidence: Evidence,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) facts: Value,
}

pub(crate) fn limits() -> Limits {
    Limits { deadline: Duration::from_secs(30), patience: Duration::from_secs(2), ..Limits::default() }
}

/// Runs the probe `tls` on an address.
pub(crate) async fn look(address: SocketAddr, limits: Limits) -> Result<Seen, Error> {
    let spec = TlsSpec {
        address: address.to_string(),
        host: Some("localhost".into()),
        sni: vec![Some("localhost".into())],
        trust: vec![],
        starttls: None,
    };
    run(Arc::new(check_tls::TlsProbe), "tls", serde_json::to_value(spec)?, limits).await
}

/// Runs a probe, and checks that the facts follow from the exchanges.
pub(crate) async fn run(probe: Arc<dyn Probe>, sort: &str, spec: Value, limits: Limits) -> Result<Seen, Error> {
    let target = Target {
        name: "server".into(),
        of: "server".into(),
        address: "server".into(),
        labels: Default::default(),
        discovered: false,
        subject: Subject { sort: sort.into(), spec },
    };
    let job =
        Job { probe: Arc::clone(&probe), target: target.clone(), ask: Ask::All, depth: Depth::Full, prior: vec![] };
    let (evidence, mut collected) = mpsc::channel(1);
    let (events, _events) = mpsc::unbounded_channel();
    let (_, one) = tokio::join!(collect(vec![job], limits, Stop::default(), evidence, events), collected.recv());
    let one = one.ok_or("no evidence")?;
    let exchanges = one.exchanges.as_deref().map(decode_exchanges).transpose()?.unwrap_or_default();
    if let Some(facts) = &one.evidence.facts {
        let derived = probe.derive(&target, &Ask::All, &exchanges).transpose().map_err(|f| f.message)?;
        for (key, value) in derived.unwrap_or_default() {
            if key != "chains" {
                assert_eq!(facts.get(&key), Some(&value), "{key} does not follow from the exchanges");
            }
        }
    }
    let facts = Value::Object(one.evidence.facts.clone().unwrap_or_default());
    Ok(Seen { evidence: one.evidence, exchanges, facts })
}

impl Seen {
    pub(crate) fn version(&self, name: &str) -> &Value {
        let versions = self.facts["versions"].as_array();
        versions.and_then(|all| all.iter().find(|v| v["name"] == name)).unwrap_or(&Value::Null)
    }

    pub(crate) fn outcomes(&self) -> Vec<String> {
        let text =
            |v: &Value| format!("{} {}", v["name"].as_str().unwrap_or("?"), v["outcome"].as_str().unwrap_or("?"));
        self.facts["versions"].as_array().map(|all| all.iter().map(text).collect()).unwrap_or_default()
    }

    /// Ids of the suites in a version, as listed.
    pub(crate) fn suites(&self, name: &str) -> Vec<String> {
        ids(&self.version(name)["suites"])
    }

    /// Names of the entries of a list with that outcome.
    pub(crate) fn named(&self, list: &str, outcome: &str) -> Vec<String> {
        let all = self.facts[list].as_array().cloned().unwrap_or_default();
        all.iter().filter(|e| e["outcome"] == outcome).filter_map(|e| e["name"].as_str().map(str::to_owned)).collect()
    }

    /// For people: how many exchanges there were of each sort.
    pub(crate) fn sorts(&self) -> String {
        let mut sorts = std::collections::BTreeMap::new();
        for exchange in &self.exchanges {
            let question: Value = serde_json::from_str(&exchange.question).unwrap_or_default();
            let key = (question["version"].to_string(), question["ask"].to_string());
            *sorts.entry(key).or_insert(0) += 1;
        }
        let made = &self.evidence.provenance;
        let rounds = &self.facts["round_trips"];
        format!("{} connections, {rounds} rounds, {} ms: {sorts:?}", made.connections, made.millis)
    }

    /// For people: what was asked in which order.
    pub(crate) fn log(&self) -> String {
        let line = |(index, exchange): (usize, &Exchange)| {
            let trial = check_tls::trial::Trial::of(0, exchange);
            let said = trial.as_ref().map(|t| format!("{:?}", t.said())).unwrap_or_default();
            let said: String = said.chars().take(110).collect();
            format!("{index:3} {:4} ms {:?} {} {said}", exchange.at, exchange.ended, exchange.question)
        };
        self.exchanges.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }
}

pub(crate) fn ids(list: &Value) -> Vec<String> {
    let id = |s: &Value| s["id"].as_str().map(str::to_owned);
    list.as_array().map(|all| all.iter().filter_map(id).collect()).unwrap_or_default()
}
