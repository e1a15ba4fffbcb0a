//! Bad servers: every audit ends in time, without a panic, with a verdict that claims nothing it did not see.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Behaviour, Gate, Hostile, Key, Lab, Leaf, Nginx, NginxTls, OpensslServer, Probity, refusing_port};

/// The deadline given to the program, and what it may take beyond it to judge, sign and end.
const DEADLINE: Duration = Duration::from_secs(6);
const GRACE: Duration = Duration::from_secs(6);

/// Audits one bad target. Nothing may pass, nothing crash; the pack must be whole and signed.
fn audit(target: &str, codes: &[i32]) -> Result<Gate> {
    let gate = Gate::new()?;
    let start = Instant::now();
    let finished = gate.audit(&[target, "-p", "mozilla-intermediate", "--deadline", "6s"])?;
    ensure!(start.elapsed() < DEADLINE + GRACE, "it took {:?}: {finished}", start.elapsed());
    ensure!(finished.code.is_some_and(|code| codes.contains(&code)), "{codes:?} is wanted: {finished}");
    ensure!(!finished.stderr.contains("panicked at"), "{finished}");
    ensure!(finished.stdout.contains(target) || finished.stdout.contains("not proven"), "{finished}");
    gate.probity.run(["verify", "pack"])?.expect_code(0).context("the pack of a bad target verifies")?;
    Ok(gate)
}

fn nothing_is_claimed(target: &str) -> Result<()> {
    audit(target, &[3])?.assessment()?.must_not_pass()
}

fn nothing_is_claimed_of(behaviour: Behaviour) -> Result<()> {
    nothing_is_claimed(&Hostile::start(behaviour)?.address().to_string())
}

/// The facts, where there are any, refuse nothing: no sibling exchange ever succeeded.
fn nothing_is_refused(address: SocketAddr) -> Result<()> {
    let probity = Probity::new()?.within(Duration::from_secs(150));
    let finished = probity.run(["tls", &address.to_string(), "--format", "json", "--deadline", "6s"])?;
    ensure!(!finished.stderr.contains("panicked at"), "{finished}");
    ensure!(finished.code.is_some(), "{finished}");
    let json = finished.json()?;
    let facts = json.pointer("/0/facts").context("no facts, not even null")?;
    ensure!(!has_outcome(facts, "refused"), "refused without a positive control: {finished}");
    Ok(())
}

/// Whether anything in there has that outcome.
fn has_outcome(value: &Value, outcome: &str) -> bool {
    match value {
        Value::Object(map) => {
            map.get("outcome").is_some_and(|o| o == outcome) || map.values().any(|inner| has_outcome(inner, outcome))
        }
        Value::Array(list) => list.iter().any(|inner| has_outcome(inner, outcome)),
        _ => false,
    }
}

#[test]
fn a_name_without_an_address() -> Result<()> {
    nothing_is_claimed("no-such-host.invalid:443")
}

#[test]
fn a_port_that_refuses() -> Result<()> {
    let address = refusing_port()?;
    nothing_is_claimed(&address.to_string())?;
    nothing_is_refused(address)
}

#[test]
fn a_server_that_never_answers() -> Result<()> {
    let server = Hostile::start(Behaviour::Silent)?;
    nothing_is_claimed(&server.address().to_string())?;
    nothing_is_refused(server.address())
}

#[test]
fn a_server_of_plain_http() -> Result<()> {
    let server = Hostile::start(Behaviour::PlainHttp)?;
    nothing_is_claimed(&server.address().to_string())?;
    nothing_is_refused(server.address())
}

#[test]
fn a_server_that_closes_at_once() -> Result<()> {
    let server = Hostile::start(Behaviour::ClosesAtOnce)?;
    nothing_is_claimed(&server.address().to_string())?;
    nothing_is_refused(server.address())
}

#[test]
fn a_server_of_garbage() -> Result<()> {
    let server = Hostile::start(Behaviour::Garbage)?;
    nothing_is_claimed(&server.address().to_string())?;
    nothing_is_refused(server.address())
}

#[test]
fn a_server_with_one_byte_a_second() -> Result<()> {
    nothing_is_claimed_of(Behaviour::OneByteASecond)
}

#[test]
fn a_server_that_chooses_what_was_not_offered() -> Result<()> {
    let server = Hostile::start(Behaviour::UnofferedSuite)?;
    let gate = audit(&server.address().to_string(), &[1, 3])?;
    let evidence = std::fs::read_dir(gate.pack().join("evidence"))?.collect::<std::io::Result<Vec<_>>>()?;
    for entry in evidence {
        let evidence: Value = serde_json::from_slice(&std::fs::read(entry.path())?)?;
        ensure!(!has_outcome(&evidence, "accepted"), "what was not offered was not accepted: {evidence}");
    }
    Ok(())
}

/// These begin like real servers, so some facts are true; the audit must still end, and not pass.
#[test]
fn handshakes_without_an_end() -> Result<()> {
    for behaviour in [Behaviour::EndlessHandshake, Behaviour::HugeCertificate] {
        let server = Hostile::start(behaviour)?;
        let gate = audit(&server.address().to_string(), &[1, 3])?;
        let assessment = gate.assessment()?;
        let certificates: Vec<_> = assessment.findings().iter().filter(|f| is_about_certificates(f)).collect();
        ensure!(!certificates.is_empty(), "no control on certificates: {}", assessment.0);
        for finding in certificates {
            assert_ne!(finding.get("verdict"), Some(&"pass".into()), "no certificate was ever seen: {finding}");
        }
    }
    Ok(())
}

fn is_about_certificates(finding: &Value) -> bool {
    finding.get("control").and_then(|id| id.as_str()).is_some_and(|id| id.starts_with("TLS-CERT"))
}

#[test]
fn a_proxy_that_drops_every_tenth_connection_changes_no_verdict() -> Result<()> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::Rsa(2048))?])?;
    let proxy = Hostile::start(Behaviour::DropsEveryTenth(nginx.address()))?;
    let verdicts = |address: SocketAddr| -> Result<Vec<(String, String)>> {
        let gate = Gate::new()?;
        let arguments = [address.to_string(), "-p".to_owned(), "mozilla-intermediate".to_owned()];
        gate.audit(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        let field = |f: &Value, name: &str| f.get(name).map(ToString::to_string).unwrap_or_default();
        Ok(gate.assessment()?.findings().iter().map(|f| (field(f, "control"), field(f, "verdict"))).collect())
    };
    let (direct, through) = (verdicts(nginx.address())?, verdicts(proxy.address())?);
    ensure!(!direct.is_empty() && direct.len() == through.len(), "{direct:?} and {through:?}");
    for (direct, through) in direct.iter().zip(&through) {
        // What a dropped connection takes away is proof, never the truth.
        let honest = direct == through || (direct.0 == through.0 && through.1.contains("inconclusive"));
        ensure!(honest, "{direct:?} became {through:?}");
    }
    Ok(())
}

/// HTML, an escape sequence of a terminal, a bell, a line break, and an override of the direction of text.
const ODD: &str = "<script>alert(1)</script>\u{1b}[31mred\u{7}\n::error::x\u{202e}txt.exe";

#[test]
fn a_subject_from_hell_reaches_no_report_unescaped() -> Result<()> {
    let lab = Lab::new()?;
    let leaf = Leaf { common_name: ODD.into(), ..Leaf::default() };
    let server = OpensslServer::start(&lab.leaf(&leaf)?, &[])?;
    let gate = Gate::new()?;
    let address = server.address().to_string();
    let formats = ["html=r.html", "sarif=r.sarif", "junit=r.xml", "github=r.txt"];
    let formats: Vec<&str> = formats.iter().flat_map(|format| ["--format", format]).collect();
    let finished = gate.audit(&[&[address.as_str(), "-p", "mozilla-modern"], &formats[..]].concat())?;
    ensure!(matches!(finished.code, Some(1 | 3)), "{finished}");
    let facts = gate.probity.run(["tls", &address])?;
    let read = |name: &str| std::fs::read_to_string(gate.probity.folder().join(name));
    let (html, annotations) = (read("r.html")?, read("r.txt")?);
    for text in [&finished.stdout, &finished.stderr, &facts.stdout, &facts.stderr, &html, &annotations] {
        ensure!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "unescaped: {text:?}");
    }
    ensure!(!html.contains("<script>alert"), "{html}");
    ensure!(!annotations.lines().any(|line| line.starts_with("::error::x")), "{annotations}");
    let xml = gate.probity.folder().join("r.xml").to_string_lossy().into_owned();
    let lint = std::process::Command::new("xmllint").args(["--noout", &xml]).output()?;
    ensure!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr));
    let _: Value = serde_json::from_str(&read("r.sarif")?)?;
    Ok(())
}
