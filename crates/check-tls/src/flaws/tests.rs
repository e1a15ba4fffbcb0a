//! The tests of flaws against peers that have them, and one that has none.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Depth, Exchange, Subject, Target, decode_exchanges};
use probe::{Job, Limits, Probe as _, Stop, collect};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{FlawProbe, SORT};
use crate::client::peer::{Flaw, Peer};
use crate::client::tests::{EVERYTHING, gnutls};
use crate::facts::FlawName;
use crate::starttls::Protocol;
use crate::target::TlsTarget;

async fn look(address: SocketAddr) -> (Value, Vec<Exchange>) {
    look_behind(None, address).await
}

async fn look_behind(starttls: Option<Protocol>, address: SocketAddr) -> (Value, Vec<Exchange>) {
    let declared = TlsTarget { starttls, ..TlsTarget::new(address.to_string()) };
    let spec = declared.resolve(address.ip()).unwrap();
    let target = Target {
        name: "peer".into(),
        of: "peer".into(),
        address: address.to_string(),
        labels: Default::default(),
        discovered: false,
        subject: Subject { sort: SORT.into(), spec: serde_json::to_value(spec).unwrap() },
    };
    let job =
        Job { probe: Arc::new(FlawProbe), target: target.clone(), ask: Ask::All, depth: Depth::Full, prior: vec![] };
    let (evidence, mut collected) = mpsc::channel(1);
    let (events, _events) = mpsc::unbounded_channel();
    let limits = Limits { patience: Duration::from_millis(1200), ..Limits::default() };
    let (_, one) = tokio::join!(collect(vec![job], limits, Stop::default(), evidence, events), collected.recv());
    let one = one.unwrap();
    let exchanges = decode_exchanges(&one.exchanges.unwrap()).unwrap();
    let facts = one.evidence.facts.unwrap_or_else(|| panic!("{:?}", one.evidence.failure));
    let derived = FlawProbe.derive(&target, &Ask::All, &exchanges).unwrap().unwrap();
    assert_eq!(derived, facts, "the facts do not follow from the exchanges");
    (Value::Object(facts), exchanges)
}

fn outcomes(facts: &Value) -> Vec<(String, String)> {
    let text = |flaw: &Value, key: &str| flaw[key].as_str().unwrap_or_default().to_owned();
    facts["flaws"].as_array().unwrap().iter().map(|flaw| (text(flaw, "name"), text(flaw, "outcome"))).collect()
}

/// The peer has these flaws, and none of the others.
async fn has(flaw: Flaw, version: u16, wanted: &[&str]) -> (Value, Vec<Exchange>) {
    let peer = Peer::start(flaw, version);
    let (facts, exchanges) = look(peer.address).await;
    let found = outcomes(&facts);
    assert_eq!(found.len(), FlawName::ALL.len());
    for (name, outcome) in &found {
        let expected = if wanted.contains(&name.as_str()) { "present" } else { "absent" };
        assert_eq!(outcome, expected, "{name} of {flaw:?}: {facts:#}");
    }
    (facts, exchanges)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_peer_has_none() {
    let (sound12, sound10) = tokio::join!(has(Flaw::None, 0x0303, &[]), has(Flaw::None, 0x0301, &[]));
    assert!(sound12.0["connections"].as_u64().unwrap() < 60 && sound10.0["connections"].as_u64().unwrap() < 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbleed_is_found_and_nothing_that_leaks_is_kept() {
    let (_, exchanges) = has(Flaw::Heartbleed, 0x0303, &["heartbleed"]).await;
    for exchange in exchanges {
        let kept = exchange.bytes(model::Direction::Received);
        assert!(!kept.windows(6).any(|window| window == b"SECRET"), "{}", exchange.question);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_change_of_ciphers_is_found() {
    has(Flaw::Ccs, 0x0303, &["ccs_injection"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oracles_of_rsa_padding_are_found() {
    tokio::join!(has(Flaw::Robot, 0x0303, &["robot"]), has(Flaw::RobotAlone, 0x0302, &["robot"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_at_random_prove_nothing() {
    let peer = Peer::start(Flaw::Fickle, 0x0303);
    let (facts, _) = look(peer.address).await;
    for (name, outcome) in outcomes(&facts) {
        assert_eq!(outcome, "not_proven", "{name}: {facts:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ticketbleed_is_found_and_nothing_that_leaks_is_kept() {
    let (_, exchanges) = has(Flaw::Ticketbleed, 0x0303, &["ticketbleed"]).await;
    for exchange in exchanges {
        assert!(!exchange.bytes(model::Direction::Received).windows(4).any(|window| window == [0x99; 4]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oracles_of_cbc_padding_are_told_apart() {
    tokio::join!(
        // Empty records with wrong padding are taken as well.
        has(Flaw::PoodleTls, 0x0303, &["poodle_tls", "zero_length"]),
        has(Flaw::Goldendoodle, 0x0302, &["goldendoodle", "zero_length"]),
        has(Flaw::ZombiePoodle, 0x0301, &["zombie_poodle"]),
        has(Flaw::SleepingPoodle, 0x0303, &["sleeping_poodle"]),
        has(Flaw::ZeroLength, 0x0303, &["zero_length"]),
        has(Flaw::LuckyMinus20, 0x0303, &["lucky_minus20"]),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn renegotiation_is_found() {
    has(Flaw::Renegotiates, 0x0303, &["insecure_renegotiation", "client_renegotiation"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_is_found() {
    has(Flaw::Compresses, 0x0303, &["crime"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_blocks_us_is_not_called_sound() {
    for after in [10, 30] {
        let peer = Peer::start(Flaw::Blocks(after), 0x0303);
        let (facts, _) = look(peer.address).await;
        for (name, outcome) in outcomes(&facts) {
            assert_eq!(outcome, "not_proven", "{name} after {after}: {facts:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gnutls_has_one_and_drops_heartbeats_that_claim_too_much() {
    let server = gnutls(EVERYTHING, &["--heartbeat"]);
    let (facts, _) = look(server.address).await;
    for (name, outcome) in outcomes(&facts) {
        // Its own server lets clients renegotiate, bound to the first handshake.
        let wanted = if name == "client_renegotiation" { "present" } else { "absent" };
        assert_eq!(outcome, wanted, "{name}: {facts:#}");
    }
    let heartbleed = facts["flaws"].as_array().unwrap().iter().find(|flaw| flaw["name"] == "heartbleed").unwrap();
    assert_eq!(heartbleed["how"], "demonstrated", "{heartbleed}");
}

/// A mail server in front of a peer: the dialogue, then everything as it comes.
fn mail(peer: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut client = client?;
                let mut lines = BufReader::new(client.try_clone()?);
                let mut line = String::new();
                client.write_all(b"220 mail.example ESMTP\r\n")?;
                lines.read_line(&mut line)?;
                client.write_all(b"250-mail.example\r\n250 STARTTLS\r\n")?;
                lines.read_line(&mut line)?;
                client.write_all(b"220 go ahead\r\n")?;
                let server = TcpStream::connect(peer)?;
                let (mut to, mut from) = (server.try_clone()?, server);
                let mut back = client.try_clone()?;
                std::thread::spawn(move || {
                    // Either side may leave at any moment.
                    let _ = std::io::copy(&mut from, &mut back);
                    let _ = back.shutdown(std::net::Shutdown::Both);
                });
                std::io::copy(&mut lines, &mut to)?;
                to.shutdown(std::net::Shutdown::Write)
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn flaws_are_found_behind_starttls_too() {
    let peer = Peer::start(Flaw::Goldendoodle, 0x0303);
    let (facts, _) = look_behind(Some(Protocol::Smtp), mail(peer.address)).await;
    for (name, outcome) in outcomes(&facts) {
        let present = ["goldendoodle", "zero_length"].contains(&name.as_str());
        assert_eq!(outcome, if present { "present" } else { "absent" }, "{name}: {facts:#}");
    }
}
