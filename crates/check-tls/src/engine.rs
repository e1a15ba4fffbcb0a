//! Asks a server. What the answers mean is [`crate::derive`]'s business; the engine reads them only to know what to ask
//! next.
//!
//! Each hello is sent on a connection of its own, which is closed as soon as the answer is known; no handshake is
//! finished. Offers are shrunk by what the server chose until it refuses the rest; what it will choose is guessed, so
//! that all questions of one sort go out at once.

mod offers;
mod older;
mod order;
mod predict;
mod removal;
mod run;
mod tls13;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::future::{join, join_all};
use model::{Ended, FailureClass};
pub(crate) use offers::any_version_hello;
#[cfg(test)]
pub(crate) use offers::{control as sibling_of, version_hello as first_hello};
use probe::{Conn, Cx, Heard};
pub(crate) use run::run;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::facts::VersionName;
use crate::hello::{Hello, ssl2_hello};
use crate::reply::{Reader, Until};
use crate::starttls::{self, Manner, Protocol};
use crate::trial::{Purpose, Question, Said, Trial};

/// Attempts on an offer on which the connection is dropped.
const ATTEMPTS: u32 = 3;
/// Most connections to a MySQL server in one scan.
const MOST_MYSQL: u32 = 60;
/// After how many refusals a canary is sent.
const CANARY_AFTER: u32 = 8;
/// How often an address that fails its canary is given time, and each attempt meanwhile does not count.
const EXCUSES: u32 = 6;

/// Something to ask.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) purpose: Purpose,
    pub(crate) version: VersionName,
    pub(crate) wave: u32,
    pub(crate) hello: Hello,
    pub(crate) until: Until,
}

/// The last word on what was asked.
pub(crate) struct Answer {
    /// `None` where no connection was made.
    pub(crate) trial: Option<Trial>,
    /// The wave after it.
    pub(crate) next: u32,
}

impl Answer {
    pub(crate) fn chosen(&self) -> Option<&crate::reply::ServerHello> {
        self.trial.as_ref().and_then(Trial::chosen)
    }

    pub(crate) fn version(&self) -> Option<VersionName> {
        self.trial.as_ref().and_then(Trial::version)
    }

    /// The server has no use for the offer: an alert says so, or it drops the connection each time.
    pub(crate) fn refused(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| matches!(trial.said(), Said::Declined(_) | Said::Dropped))
    }

    /// The scheme that signed its key exchange.
    pub(crate) fn scheme(&self) -> Option<u16> {
        self.trial.as_ref()?.reply.key_exchange.as_ref()?.scheme()
    }

    pub(crate) fn alert(&self) -> Option<u8> {
        self.trial.as_ref()?.reply.alert.map(|alert| alert.code)
    }
}

/// One server under one main name.
pub(crate) struct Engine<'a> {
    cx: &'a Cx,
    address: SocketAddr,
    sni: Option<String>,
    /// The protocol in which TLS has to be asked for.
    starttls: Option<Protocol>,
    /// A hello that was answered, to be sent again now and then.
    canary: OnceLock<Ask>,
    refusals: AtomicU32,
    /// Connections to a server that counts them against this machine.
    opened: AtomicU32,
    /// When the last canary was sent that was answered. Held while one is under way for want of answers.
    well: Mutex<Option<Instant>>,
    /// It dislikes an empty list of key shares.
    grease: AtomicBool,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(cx: &'a Cx, address: SocketAddr, sni: Option<String>, starttls: Option<Protocol>) -> Self {
        Self {
            cx,
            address,
            sni,
            starttls,
            canary: OnceLock::new(),
            refusals: AtomicU32::new(0),
            opened: AtomicU32::new(0),
            well: Mutex::new(None),
            grease: AtomicBool::new(false),
        }
    }

    /// Asks questions that do not wait for each other, and now and then sees whether the server still answers as it did.
    pub(crate) async fn ask_all(&self, asks: Vec<Ask>) -> Vec<Answer> {
        let wave = asks.iter().map(|ask| ask.wave).min().unwrap_or(1);
        let canary = async {
            if self.refusals.load(Ordering::Relaxed) >= CANARY_AFTER {
                self.refusals.store(0, Ordering::Relaxed);
                self.send_canary(wave).await;
            }
        };
        join(join_all(asks.into_iter().map(|ask| self.ask(ask))), canary).await.0
    }

    /// Asks until there is an answer: again where the connection is dropped, or nothing came.
    pub(crate) async fn ask(&self, ask: Ask) -> Answer {
        let (mut attempt, mut excused) = (1, 0);
        loop {
            let began = Instant::now();
            let (trial, over) = self.once(&ask, attempt).await;
            let next = ask.wave + attempt;
            let counted = attempt - excused;
            let again = match trial.as_ref().map(Trial::said) {
                Some(Said::Chose(_)) => {
                    self.cx.prosper(self.address);
                    return Answer { trial, next };
                }
                Some(Said::Declined(_)) => {
                    self.cx.prosper(self.address);
                    false
                }
                Some(Said::Dropped) => counted < ATTEMPTS,
                // What can be read but not understood will not get better.
                Some(Said::Unclear(_)) => {
                    let reply = trial.as_ref().map(|t| &t.reply);
                    counted < 2 && reply.is_some_and(|r| r.hello.is_none() && r.spoke.is_none() && r.broken.is_none())
                }
                None => counted < 2,
            };
            let refused = matches!(trial.as_ref().map(Trial::said), Some(Said::Declined(_) | Said::Dropped));
            if over || !again || self.cx.remaining() < self.cx.patience() / 4 {
                if refused {
                    self.refusals.fetch_add(1, Ordering::Relaxed);
                }
                return Answer { trial, next };
            }
            let unheard = refused || trial.is_none();
            if unheard && !self.is_well(began, attempt, next).await && excused < EXCUSES {
                excused += 1;
            }
            attempt += 1;
        }
    }

    /// After a connection that brought nothing: does the server still answer what it answered before? Where not, it gets
    /// time, fewer connections at once and fewer per second, until it does. False where it had to get any.
    pub(crate) async fn is_well(&self, began: Instant, attempt: u32, wave: u32) -> bool {
        let pause = self.cx.patience() / 50;
        let mut well = self.well.lock().await;
        if well.is_some_and(|at| at > began) {
            return true;
        }
        let Some(canary) = self.canary.get() else {
            drop(well);
            tokio::time::sleep(pause.saturating_mul(attempt)).await;
            return true;
        };
        for attempt in 1..=EXCUSES {
            let at = Instant::now();
            let (trial, over) = self.once(&Ask { wave, ..canary.clone() }, attempt).await;
            if trial.as_ref().is_some_and(|t| t.chosen().is_some()) {
                *well = Some(at);
                return attempt == 1;
            }
            self.cx.relent(self.address);
            if over || self.cx.remaining() < self.cx.patience() / 4 {
                break;
            }
            tokio::time::sleep(pause.saturating_mul(1 << attempt.min(5))).await;
        }
        false
    }

    /// One attempt. True where there is no use in another one.
    async fn once(&self, ask: &Ask, attempt: u32) -> (Option<Trial>, bool) {
        if self.cx.remaining().is_zero() || self.wears_out_welcome() {
            return (None, true);
        }
        let wave = ask.wave + attempt - 1;
        let question = Question { ask: ask.purpose, version: ask.version, wave, attempt, starttls: self.starttls };
        let opened = starttls::open(self.cx, self.address, self.starttls, Manner::Short, question.to_text()).await;
        let mut conn = match opened {
            Ok(conn) => conn,
            // A server that offers no TLS will not the next time.
            Err(failure) => {
                return (None, matches!(failure.class, FailureClass::Interrupted | FailureClass::Protocol));
            }
        };
        let index = conn.index();
        let mut hello = ask.hello.clone();
        hello.random = random();
        if hello.client_version == VersionName::Tls12.wire() && ask.hello.has(43) {
            // Middleboxes want TLS 1.3 to look like a resumption (RFC 8446, D.4).
            hello.session_id = random::<32>().to_vec();
        }
        let bytes = if ask.purpose == Purpose::Ssl2 { ssl2_hello(&random()) } else { hello.encode() };
        let mut reader = if ask.purpose == Purpose::Ssl2 { Reader::ssl2() } else { Reader::new(ask.until) };
        let ended = self.converse(&mut conn, &bytes, &mut reader).await;
        let exchange = conn.finish(ended);
        (exchange.and_then(|exchange| Trial::of(index, &exchange)), false)
    }

    /// Whether one more handshake that is not finished could make the server shut this machine out, so that the rest stays
    /// unasked: MySQL and MariaDB do so after `max_connect_errors`, 100 by default, and others of this machine would suffer.
    fn wears_out_welcome(&self) -> bool {
        self.starttls == Some(Protocol::Mysql) && self.opened.fetch_add(1, Ordering::Relaxed) >= MOST_MYSQL
    }

    /// Sends, and reads until the reader has enough or the time for one exchange is over: twice the patience, since a
    /// server may be slow, but not for ever.
    async fn converse(&self, conn: &mut Conn, bytes: &[u8], reader: &mut Reader) -> Ended {
        let until = Instant::now() + self.cx.patience().saturating_mul(2).min(self.cx.remaining());
        if let Err(ended) = conn.send(bytes).await {
            // A server that resets at once may have said why before.
            if ended == Ended::Timeout {
                return ended;
            }
        }
        loop {
            let wants = reader.wants();
            if wants == 0 {
                return Ended::ByUs;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ended::Timeout;
            }
            match conn.recv_within(wants, left.min(self.cx.patience())).await {
                Heard::Bytes(bytes) => reader.push(&bytes),
                Heard::End(ended) => return ended,
            }
        }
    }

    /// Sends the canary; twice where it fails. Then the address gets fewer connections at once from here on.
    pub(crate) async fn send_canary(&self, wave: u32) -> bool {
        let Some(canary) = self.canary.get() else { return true };
        let canary = Ask { wave, ..canary.clone() };
        for attempt in 1..=2 {
            let (trial, over) = self.once(&canary, attempt).await;
            if trial.as_ref().is_some_and(|t| t.chosen().is_some()) {
                return true;
            }
            if over {
                break;
            }
        }
        self.cx.relent(self.address);
        false
    }
}

/// Random bytes for fields that want them; zeros, which a server takes as well, where the system has none.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => bytes,
        Err(_) => [0; N],
    }
}
