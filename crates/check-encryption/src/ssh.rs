//! The probe `ssh`: an SSH server as anybody sees it from outside.
//!
//! Each connection brings the server's lists anew, so that several begin at once: one asks how one may log in and so brings
//! the first host key, one a group of the server's choice and with it the second key; each further key takes one more,
//! and so does the question for a small group, which is repeated where the server drops it. About half a dozen, and no
//! log-in is tried. That is below what `MaxStartups`, `PerSourcePenalties` and the usual filters of logs take for an
//! attack.

mod derive;
mod kex;
mod key;
mod offer;
mod packet;
mod sealed;
mod talk;

use std::net::SocketAddr;

use futures::StreamExt as _;
use model::{Ask, Direction, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};
use serde::{Deserialize, Serialize};

pub(crate) use self::key::PublicKey;
use self::offer::Offer;
use self::packet::Side;
use self::talk::Talk;
use crate::facts::{SshFacts, SshSpec};

/// The sort of target.
const SORT: &str = "ssh";
/// What this side calls itself.
const IDENTIFICATION: &[u8] = concat!("SSH-2.0-Probity_", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes();
/// Connections at once; OpenSSH refuses some from the tenth on (`MaxStartups`).
const AT_ONCE: usize = 5;
/// Types of host keys that are fetched.
const MOST_KEYS: usize = 6;
/// A question for a small group, in bits: least, preferred, most. It is what Logjam's authors show to be in reach of a
/// state (<https://weakdh.org>).
const SMALL: [u32; 3] = [1024, 1024, 1024];
/// A question that lets the server choose its smallest.
const ANY: [u32; 3] = [1024, 1024, 8192];
/// How often a question that a server drops is asked.
const TRIES: usize = 2;

/// What one connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum Question {
    /// The lists, the first key, and the methods of authentication.
    Login,
    /// The key of the nth type on the server's list, from 0; with bits: by group exchange, where it is offered.
    Key { nth: usize, group: Option<[u32; 3]> },
    /// A group of so many bits: least, preferred, most.
    Group { bits: [u32; 3] },
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
        let connections = u32::try_from(MOST_KEYS + TRIES).unwrap_or(u32::MAX);
        Plan { connections, files: vec![], commands: vec![] }
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let address = address(target)?;
            look(cx, address).await?;
            probe::facts(&derive::facts(target, address, &cx.exchanges())?)
        })
    }

    fn derive(&self, target: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        let facts = address(target).and_then(|address| derive::facts(target, address, exchanges));
        Some(facts.and_then(|facts| probe::facts(&facts)))
    }
}

fn address(target: &Target) -> Result<SocketAddr, Failure> {
    spec(target).map(|(address, _)| address)
}

/// The address, and whether it is one of this machine.
fn spec(target: &Target) -> Result<(SocketAddr, bool), Failure> {
    let wrong = |what: String| Failure::new(FailureClass::Unresolved, format!("{}: {what}", target.name));
    let spec: SshSpec = serde_json::from_value(target.subject.spec.clone())
        .map_err(|e| wrong(format!("its parameters are not those of an SSH server: {e}")))?;
    let address = spec.address.parse();
    let address = address.map_err(|_| wrong(format!("'{}' is no address with a port", spec.address)))?;
    Ok((address, spec.this_machine))
}

/// Asks everything. What came of it is in the record.
///
/// # Errors
/// Where the first connection was not made.
async fn look(cx: &Cx, address: SocketAddr) -> Result<(), Failure> {
    // Two connections are of use whatever the server offers; what more is asked, its lists say.
    let (first, second) = (Question::Login, Question::Key { nth: 1, group: Some(ANY) });
    let (mut one, two) = futures::join!(Talk::open(cx, address, &first), Talk::open(cx, address, &second));
    let mut each: Vec<BoxFuture<'_, ()>> = Vec::new();
    for question in one.as_ref().ok().and_then(Talk::offer).as_ref().map(further).unwrap_or_default() {
        each.push(Box::pin(ask(cx, address, question)));
    }
    if let Ok(one) = &mut one {
        each.push(Box::pin(async {
            one.ask(&first).await;
        }));
    }
    if let Ok(mut two) = two {
        each.push(Box::pin(async move {
            two.ask(&second).await;
        }));
    }
    futures::stream::iter(each).buffer_unordered(AT_ONCE).for_each(|()| std::future::ready(())).await;
    one.map(|_| ())
}

/// What is asked beside the first two connections.
fn further(offer: &Offer) -> Vec<Question> {
    let small = offer.group_exchange().map(|_| Question::Group { bits: SMALL });
    let keys = 2..offer.key_algorithms().len().min(MOST_KEYS);
    small.into_iter().chain(keys.map(|nth| Question::Key { nth, group: None })).collect()
}

/// Asks on a connection of its own. A question for a group that is dropped is asked again: once is no refusal.
async fn ask(cx: &Cx, address: SocketAddr, question: Question) {
    let tries = if matches!(question, Question::Group { .. }) { TRIES } else { 1 };
    for _ in 0..tries {
        let Ok(mut talk) = Talk::open(cx, address, &question).await else { return };
        if talk.ask(&question).await.is_some() {
            return;
        }
    }
}

/// The two sides of an exchange, and what it was for.
fn sides(exchange: &Exchange) -> Option<(Question, Side, Side)> {
    let question = serde_json::from_str(&exchange.question).ok()?;
    let side = |direction| Side::read(&exchange.bytes(direction));
    Some((question, side(Direction::Sent), side(Direction::Received)))
}
