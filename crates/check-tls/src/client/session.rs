//! One connection of this client: a hello, the server's flight, the rest of the handshake, and what a test says then.

use std::net::SocketAddr;
use std::time::Duration;

use model::{Direction, Ended, Exchange as Recorded};
use probe::{Conn, Cx, Heard};
use tokio::time::Instant;

use super::cipher::{Block, Protection};
use super::exchange::{self, GROUPS, Half, RsaKey};
use super::suite::{Exchange, Suite};
use super::{ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, HEARTBEAT, message, record};
use crate::engine::random;
use crate::hello::{Extension, Hello};
use crate::registry::RENEGOTIATION_SCSV;
use crate::starttls::{self, Manner, Protocol};
use crate::wire;

/// Longest record that is read (RFC 5246, 6.2.3).
const MOST_RECORD: usize = (1 << 14) + 2048;
/// Most bytes that a server may send on one connection.
const MOST_BYTES: usize = 128 * 1024;
/// Most records likewise.
const MOST_RECORDS: u32 = 256;
/// How long the end of the connection is waited for after an alert.
const AFTER_ALERT: Duration = Duration::from_millis(300);
/// Signature schemes offered; the signature itself is not looked at.
const SCHEMES: [u16; 14] =
    [0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0402, 0x0203, 0x0201];

/// Why a handshake went no further; in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stopped(pub(crate) String);

/// What a hello offers.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// The hello.
    pub(crate) hello: Hello,
    /// What the server says is kept out of the record but for its form: a session id longer than ours holds memory.
    pub(crate) hides: bool,
}

impl Offer {
    /// A hello of a version with these suites, and the extensions that servers want to see.
    pub(crate) fn new(version: u16, suites: &[u16], sni: Option<&str>) -> Self {
        let mut extensions: Vec<Extension> =
            sni.map(|name| Extension::ServerName(name.to_owned())).into_iter().collect();
        extensions.extend([Extension::PointFormats, Extension::SignatureSchemes(SCHEMES.to_vec())]);
        // Some servers end on a hello whose last extension is empty; this one is not.
        extensions.push(Extension::Groups(GROUPS.to_vec()));
        let hello = Hello {
            record_version: version.min(0x0301),
            client_version: version,
            random: random(),
            session_id: Vec::new(),
            suites: suites.iter().copied().chain([RENEGOTIATION_SCSV]).collect(),
            compression: vec![0],
            extensions,
        };
        Self { hello, hides: false }
    }

    /// With one extension more, put first.
    pub(crate) fn with(mut self, extension: Extension) -> Self {
        self.hello.extensions.insert(0, extension);
        self
    }
}

/// A ServerHello, as far as this client needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub(crate) version: u16,
    pub(crate) random: Vec<u8>,
    pub(crate) session_id: Vec<u8>,
    pub(crate) suite: u16,
    pub(crate) compression: u8,
    pub(crate) extensions: Vec<u16>,
}

impl ServerHello {
    /// Reads the body of one.
    pub(crate) fn read(mut body: &[u8]) -> Option<Self> {
        let rest = &mut body;
        let (version, random) = (wire::u16(rest)?, wire::take(rest, 32)?.to_vec());
        let session_id = wire::vector(rest, 1)?.to_vec();
        let (suite, compression) = (wire::u16(rest)?, *wire::take(rest, 1)?.first()?);
        let mut extensions = Vec::new();
        let mut block = if rest.is_empty() { &[][..] } else { wire::vector(rest, 2)? };
        while !block.is_empty() {
            extensions.push(wire::u16(&mut block)?);
            wire::vector(&mut block, 2)?;
        }
        Some(Self { version, random, session_id, suite, compression, extensions })
    }
}

/// One connection.
pub(crate) struct Session {
    conn: Conn,
    patience: Duration,
    offered: Hello,
    /// Records are kept without their secrets, by this client rather than by the connection.
    hides: bool,
    bytes: usize,
    records: u32,
    /// Bytes of handshake messages that are not whole yet.
    pending: Vec<u8>,
    transcript: Vec<u8>,
    pub(crate) server: ServerHello,
    pub(crate) chain: Vec<Vec<u8>>,
    parameters: Vec<u8>,
    wants_certificate: bool,
    pub(crate) ticket: Option<Vec<u8>>,
    master: Vec<u8>,
    read: Option<Protection>,
    pub(crate) write: Option<Protection>,
    /// `verify_data` of our Finished.
    pub(crate) finished: Vec<u8>,
}

impl Session {
    /// Connects, asks for TLS where the protocol wants that, sends a hello and reads up to the ServerHelloDone.
    ///
    /// # Errors
    /// Where the server ends it, or is not understood; the exchange is recorded all the same.
    pub(crate) async fn open(
        cx: &Cx,
        (address, protocol): (SocketAddr, Option<Protocol>),
        question: String,
        offer: Offer,
    ) -> Result<Self, Stopped> {
        let opened = starttls::open(cx, address, protocol, Manner::Short, question).await;
        let conn = opened.map_err(|failure| Stopped(failure.message))?;
        let mut session = Self {
            conn,
            patience: cx.patience().min(cx.remaining()),
            offered: offer.hello,
            hides: false,
            bytes: 0,
            records: 0,
            pending: Vec::new(),
            transcript: Vec::new(),
            server: ServerHello::default(),
            chain: Vec::new(),
            parameters: Vec::new(),
            wants_certificate: false,
            ticket: None,
            master: Vec::new(),
            read: None,
            write: None,
            finished: Vec::new(),
        };
        let hello = session.offered.encode();
        session.transcript.extend(hello.get(5..).unwrap_or_default());
        session.send(&hello).await?;
        if offer.hides {
            session.hide();
        }
        session.flight().await?;
        Ok(session)
    }

    /// From here on the record holds what this client puts in the place of what was said.
    pub(crate) fn hide(&mut self) {
        self.hides = true;
        self.conn.mute();
    }

    async fn flight(&mut self) -> Result<(), Stopped> {
        let until = Instant::now() + self.patience.saturating_mul(2);
        loop {
            let (kind, body) = self.handshake(until).await?;
            match kind {
                2 => {
                    self.server =
                        ServerHello::read(&body).ok_or_else(|| stopped("a ServerHello that can't be read"))?;
                    let fine = (0x0301..=self.offered.client_version).contains(&self.server.version);
                    if !fine || !self.offered.suites.contains(&self.server.suite) {
                        return Err(stopped("the server chose what was not offered"));
                    }
                    // The server takes up an earlier session: what follows is its Finished, which nobody here waits for.
                    if !self.offered.session_id.is_empty()
                        && self.server.session_id.starts_with(&self.offered.session_id)
                    {
                        return Ok(());
                    }
                }
                11 => self.chain = chain(&body).ok_or_else(|| stopped("a chain that can't be read"))?,
                12 => self.parameters = body,
                13 => self.wants_certificate = true,
                14 => return Ok(()),
                _ => {}
            }
        }
    }

    /// The suite that the server chose, where this client has it.
    pub(crate) fn suite(&self) -> Option<&'static Suite> {
        Suite::of(self.server.suite)
    }

    /// Reads the next handshake message, in the clear or not.
    async fn handshake(&mut self, until: Instant) -> Result<(u8, Vec<u8>), Stopped> {
        loop {
            if let [kind, a, b, c, ..] = *self.pending.as_slice() {
                let length = 4 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
                if length > MOST_BYTES {
                    return Err(stopped("a message longer than any handshake needs"));
                }
                if self.pending.len() >= length {
                    let message: Vec<u8> = self.pending.drain(..length).collect();
                    // HelloRequest is no part of the handshake that it may come in (RFC 5246, 7.4.1.1), and the server's
                    // Finished comes after all that is computed from.
                    if kind == 0 {
                        continue;
                    }
                    if kind != 20 {
                        self.transcript.extend(&message);
                    }
                    return Ok((kind, message.get(4..).unwrap_or_default().to_vec()));
                }
            }
            match self.record(until).await {
                Ok((HANDSHAKE, Some(body))) => self.pending.extend(body),
                // A warning goes by, but close_notify ends it.
                Ok((ALERT, Some(alert))) => match alert.as_slice() {
                    [1, code] if *code != 0 => {}
                    [_, code] => return Err(Stopped(format!("the server sent alert {code}"))),
                    _ => return Err(stopped("an alert that can't be read")),
                },
                Ok((CHANGE_CIPHER_SPEC, _)) if self.write.is_some() && self.read.is_none() => self.switch()?,
                Ok(_) => return Err(stopped("a record out of place")),
                Err(ended) => return Err(Stopped(in_words(ended).to_owned())),
            }
        }
    }

    /// The server protects what follows.
    fn switch(&mut self) -> Result<(), Stopped> {
        let (_, server) = self.protections()?;
        self.read = Some(server);
        Ok(())
    }

    fn protections(&self) -> Result<(Protection, Protection), Stopped> {
        let suite = self.suite().ok_or_else(|| stopped("a suite that this client can't finish with"))?;
        let version = self.server.version;
        let seed = [&self.server.random[..], &self.offered.random[..]].concat();
        let keys = suite.prf(version).expand(&self.master, "key expansion", &seed, Protection::keys(suite));
        Protection::both(version, suite, &keys).ok_or_else(|| stopped("keys can't be made"))
    }

    /// Our half of the key exchange.
    fn half(&self) -> Result<Half, Stopped> {
        let half = match self.suite().map(|suite| suite.exchange) {
            Some(Exchange::Rsa) => RsaKey::of(&self.chain).map(|key| exchange::rsa(&key, self.offered.client_version)),
            Some(Exchange::Dhe) => exchange::dhe(&self.parameters),
            Some(Exchange::Ecdhe) => exchange::ecdhe(&self.parameters),
            None => None,
        };
        half.ok_or_else(|| stopped("a key exchange that this client can't do"))
    }

    /// The RSA key of the server's certificate.
    pub(crate) fn rsa_key(&self) -> Option<RsaKey> {
        RsaKey::of(&self.chain)
    }

    /// The records up to our key exchange: an empty certificate where one was asked for, then that message.
    pub(crate) fn key_exchange(&mut self, body: &[u8]) -> Vec<u8> {
        let mut messages = Vec::new();
        if self.wants_certificate {
            messages.push(message(11, &[0, 0, 0]));
        }
        messages.push(message(16, body));
        let version = self.server.version;
        messages.iter().for_each(|message| self.transcript.extend(message));
        messages.iter().flat_map(|message| record(HANDSHAKE, version, message)).collect()
    }

    /// Finishes the handshake.
    ///
    /// # Errors
    /// Where the server ends it, or its Finished is not that of the same handshake.
    pub(crate) async fn finish(&mut self) -> Result<(), Stopped> {
        let half = self.half()?;
        let exchange = self.key_exchange(&half.body);
        let suite = self.suite().ok_or_else(|| stopped("a suite that this client can't finish with"))?;
        let prf = suite.prf(self.server.version);
        let seed = [&self.offered.random[..], &self.server.random[..]].concat();
        self.master = prf.expand(&half.secret, "master secret", &seed, 48);
        let (client, _) = self.protections()?;
        self.write = Some(client);
        self.finished = prf.expand(&self.master, "client finished", &prf.transcript(&self.transcript), 12);
        let finished = message(20, &self.finished);

        self.send(&[exchange, record(CHANGE_CIPHER_SPEC, self.server.version, &[1])].concat()).await?;
        if !self.hides {
            self.hide();
        }
        self.send_sealed(HANDSHAKE, &finished).await?;
        self.transcript.extend(&finished);
        let until = Instant::now() + self.patience.saturating_mul(2);
        loop {
            match self.handshake(until).await? {
                (4, body) => self.ticket = ticket(&body),
                (20, theirs) => {
                    let wanted = prf.expand(&self.master, "server finished", &prf.transcript(&self.transcript), 12);
                    return if theirs == wanted { Ok(()) } else { Err(stopped("the server's Finished is wrong")) };
                }
                _ => return Err(stopped("a message in place of the server's Finished")),
            }
        }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        if self.hides {
            self.conn.keep(Direction::Sent, bytes);
        }
        self.conn.send(bytes).await.map_err(|ended| Stopped(in_words(ended).to_owned()))
    }

    /// Sends a record under our keys.
    pub(crate) async fn send_sealed(&mut self, kind: u8, content: &[u8]) -> Result<(), Stopped> {
        let sealed = self.write.as_mut().and_then(|write| write.seal(kind, content));
        self.send_in_place(kind, content, sealed).await
    }

    /// Sends a record in CBC mode of these parts.
    pub(crate) async fn send_block(&mut self, kind: u8, block: Block) -> Result<(), Stopped> {
        let plain = [block.content, block.mac, block.padding].concat();
        let sealed = self.write.as_mut().and_then(|write| write.seal_block(plain.clone()));
        self.send_in_place(kind, &plain, sealed).await
    }

    async fn send_in_place(&mut self, kind: u8, plain: &[u8], sealed: Option<Vec<u8>>) -> Result<(), Stopped> {
        let sealed = sealed.ok_or_else(|| stopped("a record can't be encrypted"))?;
        let version = self.server.version;
        self.conn.keep(Direction::Sent, &record(kind, version, plain));
        let sent = self.conn.send(&record(kind, version, &sealed)).await;
        sent.map_err(|ended| Stopped(in_words(ended).to_owned()))
    }

    /// Listens until the server ends it, has said what ends it, or says nothing for so long.
    pub(crate) async fn listen(&mut self, wait: Duration, enough: impl Fn(u8, &[u8]) -> bool) -> Ended {
        let mut until = Instant::now() + wait;
        loop {
            match self.record(until).await {
                Err(ended) => return ended,
                Ok((ALERT, _)) => until = until.min(Instant::now() + AFTER_ALERT),
                Ok((kind, body)) if enough(kind, body.as_deref().unwrap_or_default()) => return Ended::ByUs,
                Ok(_) => {}
            }
        }
    }

    /// Closes, and gives back the record.
    pub(crate) fn close(self, ended: Ended) -> Option<Recorded> {
        self.conn.finish(ended)
    }

    /// Reads one record; the content is `None` where it can't be decrypted.
    async fn record(&mut self, until: Instant) -> Result<(u8, Option<Vec<u8>>), Ended> {
        let header = self.exactly(5, until).await?;
        let [kind, high, low, length @ ..] = header.as_slice() else { return Err(Ended::Closed) };
        let (kind, version) = (*kind, u16::from_be_bytes([*high, *low]));
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        self.records += 1;
        if length > MOST_RECORD || self.bytes + length > MOST_BYTES || self.records > MOST_RECORDS {
            return Err(self.conn.ended(Ended::Overlong));
        }
        let body = self.exactly(length, until).await?;
        self.bytes += length;
        let plain = match &mut self.read {
            Some(read) if kind != CHANGE_CIPHER_SPEC => read.open(kind, &body),
            _ => Some(body.clone()),
        };
        if self.hides {
            let shown = self.stand_in(kind, plain.as_deref().unwrap_or(&body));
            self.conn.keep(Direction::Received, &record(kind, version, &shown));
        }
        Ok((kind, plain))
    }

    /// What the record of the exchange holds in place of a record's content.
    fn stand_in(&self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut shown = content.to_vec();
        let from = match (kind, content) {
            (DATA, _) => {
                shown.clear();
                0
            }
            // Type and length of the payload (RFC 6520, section 4) tell enough.
            (HEARTBEAT, _) => 3,
            // A session id ends at 39 + its length: what goes beyond ours is not for us to keep.
            (HANDSHAKE, [2, ..]) if !self.offered.session_id.is_empty() => {
                let length = content.get(38).map_or(0, |length| usize::from(*length));
                let end = (39 + length).min(shown.len());
                let begin = (39 + self.offered.session_id.len()).min(end);
                shown.get_mut(begin..end).unwrap_or_default().fill(0);
                shown.len()
            }
            _ => shown.len(),
        };
        shown.get_mut(from..).unwrap_or_default().fill(0);
        shown
    }

    async fn exactly(&mut self, length: usize, until: Instant) -> Result<Vec<u8>, Ended> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.conn.ended(Ended::Timeout));
            }
            match self.conn.recv_within(length - bytes.len(), left).await {
                Heard::Bytes(more) => bytes.extend(more),
                Heard::End(ended) => return Err(ended),
            }
        }
        Ok(bytes)
    }
}

fn stopped(why: &str) -> Stopped {
    Stopped(why.to_owned())
}

/// How a connection ended; in words.
pub(crate) const fn in_words(ended: Ended) -> &'static str {
    match ended {
        Ended::Closed => "the server closed the connection",
        Ended::Reset => "the server reset the connection",
        Ended::Timeout => "no answer came in time",
        Ended::Overlong => "the answer never ended",
        Ended::ConnectRefused | Ended::ConnectTimeout | Ended::ConnectFailed => "no connection was made",
        Ended::ByUs | Ended::Interrupted => "it was cut short",
    }
}

/// The body of a Certificate message (RFC 5246, 7.4.2).
fn chain(mut body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut list = wire::vector(&mut body, 3)?;
    let mut chain = Vec::new();
    while !list.is_empty() {
        chain.push(wire::vector(&mut list, 3)?.to_vec());
    }
    Some(chain)
}

/// The body of a NewSessionTicket (RFC 5077, 3.3); an empty ticket is none.
fn ticket(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body.get(4..)?;
    Some(wire::vector(&mut rest, 2)?.to_vec()).filter(|ticket| !ticket.is_empty())
}
