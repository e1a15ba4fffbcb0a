//! Full handshakes, for what a server says only under encryption: its certificates in TLS 1.3, the stapled OCSP
//! response, the protocol of the application layer.
//!
//! The verifier accepts every chain and writes down what it was given; whether a signature or a path holds is a fact,
//! not a condition. The chain is therefore seen too where the server goes on to refuse us, as it may when it wants a
//! certificate of the client. Nothing but the handshake and `close_notify` is ever sent.
//!
//! What is kept of the exchange is described in [`parse`].

mod encoding;
mod tickets;
mod verifier;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use encoding::parse;
use model::{Direction, Ended, Failure, FailureClass};
use probe::{Conn, Cx, Heard};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use serde::{Deserialize, Serialize};
pub use tickets::Ticket;
use tokio::time::Instant;
use verifier::{Recorder, Recording};

use crate::facts::VersionName;
use crate::starttls::{self, Manner, Protocol};

/// Most bytes read in one handshake.
pub const MOST_BYTES: usize = 256 * 1024;

/// Most bytes kept of what a server says within TLS.
const MOST_WITHIN: usize = 4096;
/// How long a server is heard out after the handshake.
const HEARING: Duration = Duration::from_secs(2);
/// Most names of authorities kept of a CertificateRequest.
const MOST_AUTHORITIES: usize = 64;

/// The signature schemes offered, which decide the chain that a server with several certificates shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signatures {
    /// All that can be offered.
    Any,
    /// RSASSA-PSS and PKCS #1 v1.5 (RFC 8017).
    Rsa,
    /// RSASSA-PSS alone: what TLS 1.3 allows of RSA.
    RsaPss,
    /// ECDSA.
    Ecdsa,
    /// Ed25519 and Ed448 (RFC 8032).
    Eddsa,
    /// ML-DSA (FIPS 204).
    MlDsa,
    /// One scheme alone, by its code point.
    One(u16),
}

/// What a handshake offers. Its JSON form is the question of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The server name to send (RFC 6066), a DNS name; none where null.
    pub sni: Option<String>,
    /// TLS 1.2, TLS 1.3 or both.
    pub versions: Vec<VersionName>,
    /// Protocols of the application layer (RFC 7301), preferred first; the extension is left out where empty.
    pub alpn: Vec<String>,
    /// The signature schemes.
    pub signatures: Signatures,
    /// The protocol in which TLS has to be asked for; none where it begins at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starttls: Option<Protocol>,
    /// How it is asked for. Where a command went along, the session is ended in the protocol's own words after the
    /// handshake, and what comes within TLS is kept.
    #[serde(default, skip_serializing_if = "is_short")]
    pub manner: Manner,
    /// After the handshake the goodbye is said at once, and the server heard out: its tickets, and what it thinks of a
    /// client without a certificate, come then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_the_end: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_short(manner: &Manner) -> bool {
    *manner == Manner::Short
}

/// The exchange's question: the offer, in an envelope that tells it from other questions.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    handshake: Offer,
}

impl Offer {
    /// The question of an exchange that makes this offer.
    #[must_use]
    pub fn question(&self) -> String {
        // Strings, names and lists always have a JSON form.
        serde_json::to_string(&Question { handshake: self.clone() }).unwrap_or_default()
    }

    /// Reads the question of an exchange back; `None` where it is another kind of question.
    #[must_use]
    pub fn of_question(question: &str) -> Option<Self> {
        serde_json::from_str(question).ok().map(|question: Question| question.handshake)
    }
}

/// What a handshake showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The version chosen.
    pub version: Option<VersionName>,
    /// Code point of the cipher suite chosen.
    pub suite: Option<u16>,
    /// Code point of the group of the key exchange.
    pub group: Option<u16>,
    /// The protocol of the application layer chosen.
    pub alpn: Option<String>,
    /// The certificates as served, DER.
    pub chain: Vec<Vec<u8>>,
    /// The stapled OCSP response; empty where there was none.
    pub ocsp: Vec<u8>,
    /// Code point of the scheme in which the server signed the handshake.
    pub signature_scheme: Option<u16>,
    /// Whether that signature verifies with the key of the first certificate; null where it can't be told.
    pub signature_verified: Option<bool>,
    /// The server asked for a certificate of the client; none was given.
    pub client_certificate_requested: bool,
    /// The names of the authorities that it would take one of: DER, at most 64.
    pub authorities: Vec<Vec<u8>>,
    /// The server's Finished was received and is right.
    pub completed: bool,
    /// The alert that the server sent after its certificate.
    pub alert: Option<u8>,
    /// The server ended the connection while it was heard out.
    pub closed: bool,
    /// Session tickets, where the server was heard out.
    pub tickets: Vec<Ticket>,
    /// What the server said within TLS.
    pub within: Vec<u8>,
}

/// Why no certificate was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Position of the exchange; null where no connection was made.
    pub index: Option<u32>,
    /// Code of the alert that the server answered with, where it did.
    pub alert: Option<u8>,
    /// What happened.
    pub failure: Failure,
}

/// Makes one handshake and closes the connection. Gives the position of the exchange and what was seen.
///
/// At most [`MOST_BYTES`] are read, for at most twice the run's patience.
///
/// # Errors
/// Where no certificate was received: no connection, an alert, no TLS, no answer in time.
pub async fn full(cx: &Cx, address: SocketAddr, offer: &Offer) -> Result<(u32, Seen), Unseen> {
    let unseen = |index, alert, failure| Unseen { index, alert, failure };
    let recorder = Arc::new(Recorder::new(offer.signatures));
    let secret = Arc::new(tickets::Secret::default());
    let mut tls = client(address, offer, &recorder, &secret).map_err(|failure| unseen(None, None, failure))?;
    let opened = starttls::open(cx, address, offer.starttls, offer.manner, offer.question()).await;
    let mut conn = opened.map_err(|failure| unseen(None, None, failure))?;
    let index = conn.index();
    // What is worth keeping is known at the end.
    conn.mute();
    let mut said = Said::default();
    let until = Instant::now() + cx.remaining().min(cx.patience().saturating_mul(2));
    let outcome = drive(&mut conn, &mut tls, &mut said, offer, until).await;
    let recording = recorder.take();
    encoding::hellos(&said.sent).into_iter().for_each(|hello| conn.keep(Direction::Sent, hello));
    let Some(chain) = recording.chain.clone() else {
        conn.keep(Direction::Received, &said.received);
        let (alert, failure) = match outcome {
            Err(Stopped::Tls(rustls::Error::AlertReceived(alert))) => {
                let why = format!("{address}: the server refused the handshake with the alert {alert:?}");
                (Some(u8::from(alert)), Failure::new(FailureClass::Refused, why))
            }
            Err(stopped) => (None, stopped.failure(address)),
            Ok(()) => {
                (None, Failure::new(FailureClass::Protocol, format!("{address}: the server showed no certificate")))
            }
        };
        return Err(unseen(Some(index), alert, failure));
    };
    let seen = seen(&tls, chain, recording, &said, &secret, outcome);
    conn.keep(Direction::Received, &encoding::encode(&said.received, &seen));
    conn.ended(Ended::ByUs);
    Ok((index, seen))
}

/// Raw bytes of both directions.
#[derive(Default)]
struct Said {
    sent: Vec<u8>,
    received: Vec<u8>,
    /// Decrypted application data.
    within: Vec<u8>,
    /// An alert after the handshake.
    alert: Option<u8>,
    closed: bool,
}

enum Stopped {
    Ended(Ended),
    Tls(rustls::Error),
    Overlong,
}

impl Stopped {
    fn failure(self, address: SocketAddr) -> Failure {
        let (class, what) = match self {
            Self::Ended(Ended::Timeout) => (
                FailureClass::Timeout,
                "no certificate came in time; is it TLS, and is the server overloaded?".to_owned(),
            ),
            Self::Ended(ended) => (
                FailureClass::Protocol,
                format!("the server ended the connection ({ended:?}) before it showed a certificate; is it TLS?"),
            ),
            Self::Tls(e) => (FailureClass::Protocol, format!("the answer is not what TLS wants: {e}")),
            Self::Overlong => (FailureClass::Protocol, format!("the handshake took more than {MOST_BYTES} bytes")),
        };
        Failure::new(class, format!("{address}: {what}"))
    }
}

fn client(
    address: SocketAddr,
    offer: &Offer,
    recorder: &Arc<Recorder>,
    secret: &Arc<tickets::Secret>,
) -> Result<ClientConnection, Failure> {
    let cannot = |what: String| Failure::new(FailureClass::Protocol, format!("{address}: can't offer this: {what}"));
    let provider = CryptoProvider {
        // One classical key share first: a small hello, which every server takes. Others follow on request.
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
            aws_lc_rs::kx_group::X25519MLKEM768,
        ],
        ..aws_lc_rs::default_provider()
    };
    let versions: Vec<_> =
        [(VersionName::Tls13, &rustls::version::TLS13), (VersionName::Tls12, &rustls::version::TLS12)]
            .into_iter()
            .filter(|(name, _)| offer.versions.contains(name))
            .map(|(_, version)| version)
            .collect();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .map_err(|e| cannot(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(recorder) as Arc<dyn rustls::client::danger::ServerCertVerifier>)
        .with_client_cert_resolver(Arc::clone(recorder) as Arc<dyn rustls::client::ResolvesClientCert>);
    config.alpn_protocols = offer.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    // Nothing is resumed: the memory lasts for this connection. It makes the client say that it takes tickets.
    config.resumption = if offer.to_the_end { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
    if offer.to_the_end {
        config.key_log = Arc::clone(secret) as Arc<dyn rustls::KeyLog>;
    }
    config.enable_sni = offer.sni.is_some();
    let name = match &offer.sni {
        Some(name) => {
            ServerName::try_from(name.clone()).map_err(|e| cannot(format!("{name:?} is no server name: {e}")))?
        }
        None => ServerName::IpAddress(address.ip().into()),
    };
    ClientConnection::new(Arc::new(config), name).map_err(|e| cannot(e.to_string()))
}

/// Speaks until the handshake is done, then says goodbye.
async fn drive(
    conn: &mut Conn,
    tls: &mut ClientConnection,
    said: &mut Said,
    offer: &Offer,
    until: Instant,
) -> Result<(), Stopped> {
    let outcome = exchange(conn, tls, said, until).await;
    if outcome.is_ok() {
        let farewell = offer.starttls.filter(|_| offer.manner == Manner::Pipelined).map(Protocol::farewell);
        match farewell {
            // Its memory takes these few bytes.
            Some(farewell) => drop(tls.writer().write(farewell)),
            None if offer.to_the_end => tls.send_close_notify(),
            None => {}
        }
        if farewell.is_some() || offer.to_the_end {
            hear_out(conn, tls, said, until.min(Instant::now() + HEARING)).await;
            if farewell.is_none() {
                return Ok(());
            }
        }
    }
    if !matches!(outcome, Err(Stopped::Ended(_))) {
        tls.send_close_notify();
        // The goodbye, or our alert, is a courtesy; the peer may be gone.
        let _ = flush(conn, tls, said).await;
    }
    outcome
}

async fn exchange(conn: &mut Conn, tls: &mut ClientConnection, said: &mut Said, until: Instant) -> Result<(), Stopped> {
    loop {
        flush(conn, tls, said).await?;
        if !tls.is_handshaking() {
            return Ok(());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return Err(Stopped::Ended(conn.ended(Ended::Timeout)));
        }
        let bytes = match conn.recv_within(16 * 1024, left).await {
            Heard::Bytes(bytes) => bytes,
            Heard::End(ended) => return Err(Stopped::Ended(ended)),
        };
        said.received.extend_from_slice(&bytes);
        if said.received.len() > MOST_BYTES {
            conn.ended(Ended::Overlong);
            return Err(Stopped::Overlong);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if !matches!(tls.read_tls(&mut rest), Ok(1..)) {
                return Err(Stopped::Overlong);
            }
            tls.process_new_packets().map_err(Stopped::Tls)?;
        }
    }
}

/// Reads what comes after the handshake until the server ends the connection, or the time is over.
async fn hear_out(conn: &mut Conn, tls: &mut ClientConnection, said: &mut Said, until: Instant) {
    if flush(conn, tls, said).await.is_err() {
        return;
    }
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let bytes = match tokio::time::timeout(left, conn.recv(16 * 1024)).await {
            Ok(Heard::Bytes(bytes)) => bytes,
            Ok(Heard::End(ended)) => {
                said.closed = matches!(ended, Ended::Closed | Ended::Reset);
                return;
            }
            Err(_) => return,
        };
        said.received.extend_from_slice(&bytes);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if !matches!(tls.read_tls(&mut rest), Ok(1..)) {
                return;
            }
            match tls.process_new_packets() {
                Ok(state) => {
                    let mut plain = vec![0; state.plaintext_bytes_to_read()];
                    if tls.reader().read_exact(&mut plain).is_ok() {
                        said.within.extend(plain);
                    }
                    if state.peer_has_closed() {
                        said.closed = true;
                        return;
                    }
                }
                Err(rustls::Error::AlertReceived(alert)) => {
                    (said.alert, said.closed) = (Some(u8::from(alert)), true);
                    return;
                }
                Err(_) => return,
            }
        }
        if said.received.len() > MOST_BYTES || said.within.len() >= MOST_WITHIN {
            said.within.truncate(MOST_WITHIN);
            return;
        }
    }
}

async fn flush(conn: &mut Conn, tls: &mut ClientConnection, said: &mut Said) -> Result<(), Stopped> {
    let mut bytes = Vec::new();
    while tls.wants_write() && matches!(tls.write_tls(&mut bytes), Ok(1..)) {}
    if bytes.is_empty() {
        return Ok(());
    }
    said.sent.extend_from_slice(&bytes);
    conn.send(&bytes).await.map_err(Stopped::Ended)
}

fn seen(
    tls: &ClientConnection,
    chain: Vec<Vec<u8>>,
    recording: Recording,
    said: &Said,
    secret: &tickets::Secret,
    outcome: Result<(), Stopped>,
) -> Seen {
    let version = match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Some(VersionName::Tls12),
        Some(ProtocolVersion::TLSv1_3) => Some(VersionName::Tls13),
        _ => None,
    };
    let suite = tls.negotiated_cipher_suite().map(|suite| u16::from(suite.suite()));
    let alert = match &outcome {
        Err(Stopped::Tls(rustls::Error::AlertReceived(alert))) => Some(u8::from(*alert)),
        _ => said.alert,
    };
    Seen {
        version,
        suite,
        alert,
        completed: outcome.is_ok(),
        closed: said.closed,
        tickets: tickets::tickets(version, suite.unwrap_or(0), secret, &said.received),
        within: said.within.clone(),
        authorities: recording.authorities,
        group: tls.negotiated_key_exchange_group().map(|group| u16::from(group.name())),
        alpn: tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        chain,
        ocsp: recording.ocsp,
        signature_scheme: recording.signature_scheme,
        signature_verified: recording.signature_verified,
        client_certificate_requested: recording.client_certificate_requested,
    }
}
