//! The probe of kind `tls-hello`: whether a listening port speaks TLS.

use std::net::SocketAddr;
use std::time::Duration;

use model::{Ask, Ended, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Heard, Plan, Probe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine;
use crate::facts::Presence;
use crate::reply::{Reader, Reply, Until};

/// Ports of printers, which print what they are sent (LPD, and raw printing on 9100 to 9107).
const PRINTERS: [std::ops::RangeInclusive<u16>; 2] = [515..=515, 9100..=9107];
/// How long a server that speaks first may take on this machine, and elsewhere.
const BANNER: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(2));
/// The question of the exchange.
const QUESTION: &str = r#"{"ask":"speaks_tls"}"#;

/// What was seen of a listening port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The address and port spoken to.
    pub address: String,
    /// Whether it answers a TLS hello with TLS.
    pub outcome: Presence,
    /// Why that is not proven.
    pub why: Option<String>,
    /// What it speaks instead, where its first words tell: `http`, `ssh`, …
    pub spoke: Option<String>,
}

/// What is read of a target of sort `listener`; other keys are for people.
#[derive(Deserialize)]
struct ListenerSpec {
    address: String,
}

/// Waits for a banner, then sends one hello at most. A printer's port is left alone.
///
/// # Errors
/// Where no connection is made.
pub async fn speaks_tls(cx: &Cx, address: SocketAddr, name: Option<&str>) -> Result<Listener, Failure> {
    if PRINTERS.iter().any(|ports| ports.contains(&address.port())) {
        let why = "it is a printer's port, which prints what it is sent: it is never spoken to";
        return Ok(listener(address, Presence::NotProven, Some(why.into()), None));
    }
    let mut conn = cx.dial(address, QUESTION).await?;
    let mut reader = Reader::new(Until::Hello);
    let wait = if address.ip().is_loopback() { BANNER.0 } else { BANNER.1 };
    // A server that waits for us to begin has not ended anything, as a timeout within `recv` would note.
    let banner = tokio::time::timeout(wait.min(cx.patience() / 2), conn.recv(512)).await;
    let ended = match banner {
        Ok(Heard::Bytes(bytes)) => {
            reader.push(&bytes);
            Ended::ByUs
        }
        Ok(Heard::End(ended)) => ended,
        Err(_) => match conn.send(&engine::any_version_hello(name).encode()).await {
            Err(ended) => ended,
            Ok(()) => loop {
                match reader.wants() {
                    0 => break Ended::ByUs,
                    wants => match conn.recv(wants).await {
                        Heard::Bytes(bytes) => reader.push(&bytes),
                        Heard::End(ended) => break ended,
                    },
                }
            },
        },
    };
    let ended = conn.ended(ended);
    Ok(conclude(address, &reader.finish(), ended))
}

fn conclude(address: SocketAddr, reply: &Reply, ended: Ended) -> Listener {
    if reply.hello.is_some() || reply.alert.is_some() {
        return listener(address, Presence::Present, None, None);
    }
    if let Some(spoke) = reply.spoke {
        let word = (spoke != crate::reply::Spoke::Unknown).then(|| spoke.word().to_owned());
        return listener(address, Presence::Absent, None, word);
    }
    if reply.broken.is_some() {
        return listener(address, Presence::Absent, None, None);
    }
    let why = match ended {
        Ended::Closed | Ended::Reset => "it ended the connection without a word",
        _ => "it said nothing in time",
    };
    listener(address, Presence::NotProven, Some(why.into()), None)
}

fn listener(address: SocketAddr, outcome: Presence, why: Option<String>, spoke: Option<String>) -> Listener {
    Listener { address: address.to_string(), outcome, why, spoke }
}

/// Tells of one listening port whether it speaks TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct HelloProbe;

impl HelloProbe {
    fn address(target: &Target) -> Result<SocketAddr, Failure> {
        let wrong = |what: String| Failure::new(FailureClass::Unreadable, format!("{}: {what}", target.name));
        let spec: ListenerSpec = serde_json::from_value(target.subject.spec.clone())
            .map_err(|e| wrong(format!("its parameters are not those of a listener: {e}")))?;
        spec.address.parse().map_err(|_| wrong(format!("'{}' is no address with a port", spec.address)))
    }
}

impl Probe for HelloProbe {
    fn kind(&self) -> Kind {
        Kind::new("tls-hello", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        "listener"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Listener)
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan { connections: 1, files: vec![], commands: vec![] }
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&speaks_tls(cx, Self::address(target)?, None).await?) })
    }

    fn derive(&self, target: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        // A printer's port leaves no exchange; a refused connection leaves a failure.
        let exchange = exchanges.first().filter(|exchange| exchange.question == QUESTION)?;
        let mut reader = Reader::new(Until::Hello);
        reader.push(&exchange.bytes(model::Direction::Received));
        Some(
            Self::address(target)
                .and_then(|address| probe::facts(&conclude(address, &reader.finish(), exchange.ended))),
        )
    }
}
