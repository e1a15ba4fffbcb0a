//! The probe `ssh`: an SSH server as anybody sees it from outside.
//!
//! One connection brings its lists and a first host key, one more each further key and each question about groups, and one
//! asks how one may log in: about half a dozen, three at once, and no log-in is tried. That is below what `MaxStartups`, `PerSourcePenalties` and
//! the usual filters of logs take for an attack.

mod derive;
mod key;
mod login;
mod offer;
mod packet;
mod sealed;

use std::net::SocketAddr;

use futures::StreamExt as _;
use model::{Ask, Direction, Ended, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Conn, Cx, Heard, Plan, Probe};
use serde::{Deserialize, Serialize};

use self::key::{is_certificate, kind_of};
use self::offer::{Method, Offer, group_init, group_request};
use self::packet::{Side, message};
use crate::facts::{SshFacts, SshSpec};

/// The sort of target.
const SORT: &str = "ssh";
/// What this side calls itself.
const IDENTIFICATION: &[u8] = concat!("SSH-2.0-Probity_", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();
/// Connections at once; OpenSSH refuses some from the tenth on (`MaxStartups`).
const AT_ONCE: usize = 3;
/// Types of host keys that are fetched.
const MOST_KEYS: usize = 6;
/// Most bytes that are read of one connection.
const MOST_BYTES: usize = 60 * 1024;
/// Questions about groups, in bits: least, preferred, most. The first is what Logjam's authors show to be in reach of a
/// state (<https://weakdh.org>); the second lets the server choose its smallest.
const GROUPS: [[u32; 3]; 2] = [[1024, 1024, 1024], [1024, 1024, 8192]];

/// What one connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum Question {
    /// The lists, and the key of the first algorithm.
    Offer,
    /// The key of an algorithm.
    HostKey { algorithm: String },
    /// A group of so many bits: least, preferred, most.
    Group { bits: [u32; 3] },
    /// The methods of authentication.
    Login,
}

impl Question {
    fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Looks at one SSH server at one address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ssh;

impl Probe for Ssh {
    fn kind(&self) -> Kind {
        Kind::new(SORT, Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(SshFacts)
    }

    fn plan(&self, _: &Target) -> Plan {
        let connections = u32::try_from(MOST_KEYS + GROUPS.len() + 1).unwrap_or(u32::MAX);
        Plan { connections, files: vec![], commands: vec![] }
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let address = address(target)?;
            if let Some(offer) = talk(cx, address, &Question::Offer, None).await? {
                let questions = questions(&offer);
                let mut each = Vec::new();
                for question in &questions {
                    each.push(talk(cx, address, question, Some(&offer)));
                }
                // What a connection could not be made for is said by the facts.
                futures::stream::iter(each).buffer_unordered(AT_ONCE).for_each(|_| std::future::ready(())).await;
            }
            probe::facts(&derive::facts(target, address, &cx.exchanges())?)
        })
    }

    fn derive(&self, target: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        let facts = address(target).and_then(|address| derive::facts(target, address, exchanges));
        Some(facts.and_then(|facts| probe::facts(&facts)))
    }
}

fn address(target: &Target) -> Result<SocketAddr, Failure> {
    let wrong = |what: String| Failure::new(FailureClass::Unresolved, format!("{}: {what}", target.name));
    let spec: SshSpec = serde_json::from_value(target.subject.spec.clone())
        .map_err(|e| wrong(format!("its parameters are not those of an SSH server: {e}")))?;
    spec.address.parse().map_err(|_| wrong(format!("'{}' is no address with a port", spec.address)))
}

/// What is asked after the first connection.
fn questions(offer: &Offer) -> Vec<Question> {
    let mut kinds: Vec<&str> = offer.host_key.first().map(|first| kind_of(first)).into_iter().collect();
    let mut questions = Vec::new();
    for algorithm in offer.host_key.iter().filter(|algorithm| !is_certificate(algorithm)) {
        if kinds.len() < MOST_KEYS && !kinds.contains(&kind_of(algorithm)) {
            kinds.push(kind_of(algorithm));
            questions.push(Question::HostKey { algorithm: algorithm.clone() });
        }
    }
    if group_exchange(offer).is_some() {
        questions.extend(GROUPS.map(|bits| Question::Group { bits }));
    }
    questions.push(Question::Login);
    questions
}

/// The name of the group exchange that is offered.
fn group_exchange(offer: &Offer) -> Option<&String> {
    offer.kex.iter().find(|name| name.starts_with("diffie-hellman-group-exchange-"))
}

/// One connection. What came of it is in the record; what is given back is the server's offer, if it made one.
async fn talk(cx: &Cx, to: SocketAddr, question: &Question, known: Option<&Offer>) -> Result<Option<Offer>, Failure> {
    let mut conn = cx.dial(to, question.written()).await?;
    if conn.send(IDENTIFICATION).await.is_err() {
        return Ok(None);
    }
    let mut heard = Vec::new();
    let side = listen(&mut conn, &mut heard, |side| side.packet(message::KEXINIT).is_some()).await;
    let offer = side.packet(message::KEXINIT).and_then(Offer::read);
    let Some(now) = offer.as_ref().or(known) else { return Ok(offer) };
    if *question == Question::Login {
        // What came of it is in the record.
        let _ = login::ask(&mut conn, &mut heard, &side, now).await;
        return Ok(offer);
    }
    let asked = match question {
        Question::Group { bits } => group_exchange(now)
            .zip(now.host_key.first())
            .map(|(kex, key)| [now.accept(kex, key), group_request(*bits)].concat()),
        Question::Offer => now.host_key.first().and_then(|key| begin(now, key)),
        Question::HostKey { algorithm } => begin(now, algorithm),
        Question::Login => None,
    };
    let Some(asked) = asked else { return Ok(offer) };
    if side.broken.is_some() || conn.send(&asked).await.is_err() {
        return Ok(offer);
    }
    let group = matches!(question, Question::Group { .. });
    let by_group = !group && matches!(now.method(), Some((_, Method::GroupExchange)));
    listen(&mut conn, &mut heard, |side| side.packet(message::KEX_REPLY).is_some()).await;
    if by_group && conn.send(&group_init()).await.is_ok() {
        listen(&mut conn, &mut heard, |side| side.packet(message::GEX_REPLY).is_some()).await;
    }
    conn.ended(Ended::ByUs);
    Ok(offer)
}

/// What begins a key exchange that ends in the key of that algorithm.
fn begin(offer: &Offer, host_key: &str) -> Option<Vec<u8>> {
    let (kex, method) = offer.method()?;
    Some([offer.accept(kex, host_key), method.begin()].concat())
}

/// Reads until what is wanted is there, or nothing more can come.
async fn listen(conn: &mut Conn, heard: &mut Vec<u8>, enough: impl Fn(&Side) -> bool) -> Side {
    loop {
        let side = Side::read(heard);
        if enough(&side)
            || side.broken.is_some()
            || side.packet(message::DISCONNECT).is_some()
            || heard.len() >= MOST_BYTES
        {
            return side;
        }
        match conn.recv(MOST_BYTES - heard.len()).await {
            Heard::Bytes(bytes) => heard.extend(bytes),
            Heard::End(_) => return Side::read(heard),
        }
    }
}

/// The two sides of an exchange, and what it was for.
fn sides(exchange: &Exchange) -> Option<(Question, Side, Side)> {
    let question = serde_json::from_str(&exchange.question).ok()?;
    let side = |direction| Side::read(&exchange.bytes(direction));
    Some((question, side(Direction::Sent), side(Direction::Received)))
}
