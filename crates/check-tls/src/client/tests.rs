//! This client against real servers.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Depth, Ended, Facts, Failure, Kind, Level, Subject, Target};
use probe::{BoxFuture, Cx, Job, Limits, Plan, Probe, Stop, collect};
use tokio::sync::mpsc;

use super::{DATA, Offer, Session, Suite};

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

fn keys() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, words) in
        [("rsa", ["rsa:2048", "-sha256"].as_slice()), ("ec", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])]
    {
        let output = Command::new("openssl")
            .current_dir(folder.path())
            .args(["req", "-x509", "-nodes", "-subj", "/CN=localhost", "-newkey"])
            .args(words)
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}

fn s_server(arguments: &[&str]) -> Server {
    let folder = keys();
    let mut child = Command::new("openssl")
        .current_dir(folder.path())
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "rsa.pem", "-key", "rsa.key", "-www"])
        .args(["-dcert", "ec.pem", "-dkey", "ec.key"])
        .args(arguments)
        .env("OPENSSL_CONF", "/dev/null")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.parse().unwrap();
        }
    };
    Server { child, address, _folder: folder }
}

/// What GnuTLS still has.
pub(crate) const EVERYTHING: &str = "NORMAL:+VERS-TLS1.0:+VERS-TLS1.1:+RSA:+DHE-RSA:+AES-128-CBC:+AES-256-CBC:+SHA1:\
    +SHA256:+SHA384:+SIGN-RSA-SHA1:%COMPAT";

/// GnuTLS's own server with these priorities and arguments.
pub(crate) fn gnutls(priority: &str, arguments: &[&str]) -> Server {
    let folder = keys();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("gnutls-serv")
        .current_dir(folder.path())
        .args(arguments)
        .args(["--http", "--quiet", "--port", &port.to_string(), "--priority", priority])
        .args(["--x509certfile", "rsa.pem", "--x509keyfile", "rsa.key"])
        .args(["--x509certfile", "ec.pem", "--x509keyfile", "ec.key"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Server { child, address, _folder: folder }
}

/// Finishes a handshake with each of the suites, one by one, and reads what is said to a request.
struct Tries {
    address: SocketAddr,
    version: u16,
    suites: Vec<u16>,
}

impl Probe for Tries {
    fn kind(&self) -> Kind {
        Kind::new("tries", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        "tries"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({})
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan::default()
    }

    fn observe<'a>(&'a self, _: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let mut facts = Facts::new();
            for suite in &self.suites {
                let offer = Offer::new(self.version, &[*suite], Some("localhost"));
                let said = match Session::open(cx, (self.address, None), "try".into(), offer).await {
                    Err(stopped) => format!("open: {}", stopped.0),
                    Ok(mut session) => match session.finish().await {
                        Err(stopped) => format!("finish: {}", stopped.0),
                        Ok(()) => {
                            let _ = session.send_sealed(DATA, b"GET / HTTP/1.0\r\n\r\n").await;
                            let answered = |kind, content: &[u8]| kind == DATA && !content.is_empty();
                            let data = session.listen(Duration::from_secs(5), answered).await == Ended::ByUs;
                            format!("{:#06x} data {data}", session.server.version)
                        }
                    },
                };
                facts.insert(format!("{suite:#06x}"), said.into());
            }
            Ok(facts)
        })
    }
}

async fn tries(address: SocketAddr, version: u16, suites: &[u16]) -> Facts {
    let target = Target {
        name: "server".into(),
        of: "server".into(),
        address: "server".into(),
        labels: Default::default(),
        discovered: false,
        subject: Subject { sort: "tries".into(), spec: serde_json::json!({}) },
    };
    let probe = Arc::new(Tries { address, version, suites: suites.to_vec() });
    let job = Job { probe, target, ask: Ask::All, depth: Depth::Full, prior: vec![] };
    let (evidence, mut collected) = mpsc::channel(1);
    let (events, _events) = mpsc::unbounded_channel();
    let limits = Limits::default();
    let (_, one) = tokio::join!(collect(vec![job], limits, Stop::default(), evidence, events), collected.recv());
    one.unwrap().evidence.facts.unwrap()
}

/// Those that OpenSSL 3 and GnuTLS have for these keys: RSA, DHE and ECDHE, CBC and GCM.
fn all(version: u16) -> Vec<u16> {
    // Neither has DSS any more.
    Suite::ids(version, |suite| ![0x0032, 0x0038, 0x0040, 0x006a].contains(&suite.id))
}

async fn every_suite(address: SocketAddr, version: u16, suites: &[u16]) {
    let facts = tries(address, version, suites).await;
    assert_eq!(facts.len(), suites.len());
    for (suite, said) in &facts {
        assert_eq!(said, &format!("{version:#06x} data true"), "{suite}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_with_openssl_are_finished_in_every_version_and_suite() {
    for (flag, version) in [("-tls1", 0x0301), ("-tls1_1", 0x0302), ("-tls1_2", 0x0303)] {
        let server = s_server(&[flag, "-cipher", "ALL:@SECLEVEL=0"]);
        every_suite(server.address, version, &all(version)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_with_gnutls_are_finished() {
    let server = gnutls(EVERYTHING, &[]);
    for version in [0x0301, 0x0302, 0x0303] {
        // GnuTLS has no SHA-384 in CBC mode, nor SHA-256 with ECDHE in all builds.
        let suites: Vec<u16> = all(version).into_iter().filter(|id| ![0xc028, 0xc024].contains(id)).collect();
        every_suite(server.address, version, &suites).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_is_asked_for_is_not_sent() {
    let server = s_server(&["-tls1_2", "-verify", "1"]);
    every_suite(server.address, 0x0303, &[0xc02f]).await;
}
