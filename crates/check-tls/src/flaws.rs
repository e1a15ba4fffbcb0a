//! Tests of known flaws: the probe of kind `tls-flaws`.
//!
//! Everything here sends what no honest client sends, so that it runs only where the inventory or the command line asks
//! for it, after all that only looks, on one connection at a time. Each test takes as little as shows the flaw: a
//! heartbeat asks for four bytes too many, renegotiation is begun once. What leaks is never kept, only its length.
//!
//! As in the rest of this crate, a test asks and `conclude` reads the recorded exchanges, so that `verify` can conclude
//! the same again. A negative needs a finished handshake before the tests, and one after them.

mod able;
mod ccs;
mod compression;
mod heartbleed;
mod padding;
mod renegotiation;
mod robot;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
mod ticketbleed;
mod trial;

use std::net::SocketAddr;
use std::time::Duration;

use model::{Ask, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use crate::client::{Offer, Session, Stopped};
use crate::facts::{Asked, FlawFacts, FlawName, How, KnownFlaw, Presence};
use crate::starttls::Protocol;
use crate::target::TlsSpec;
use able::Able;
use trial::{Question, Trial};

/// The sort of target: an endpoint whose known flaws are looked for.
pub const SORT: &str = "tls-flaws";

/// How long to listen where silence is an answer.
const QUIET: Duration = Duration::from_secs(2);

/// One test: what it sends, and what follows from the answers.
struct Test {
    ask: for<'a> fn(&'a Tester<'a>, &'a Able) -> BoxFuture<'a, ()>,
    conclude: fn(&Able, &[Trial]) -> Vec<KnownFlaw>,
}

/// Every test, in order: those that upset old servers most come last.
const TESTS: [Test; 7] = [
    compression::TEST,
    renegotiation::TEST,
    ticketbleed::TEST,
    heartbleed::TEST,
    padding::TEST,
    robot::TEST,
    ccs::TEST,
];

/// Sends what the tests want sent.
struct Tester<'a> {
    cx: &'a Cx,
    address: SocketAddr,
    sni: Option<String>,
    starttls: Option<Protocol>,
}

impl Tester<'_> {
    /// A hello of the newest version that this client speaks.
    fn offer(&self, version: u16, suites: &[u16]) -> Offer {
        Offer::new(version, suites, self.sni.as_deref())
    }

    /// Connects and reads the server's flight; what goes wrong is in the record.
    async fn open(&self, test: &str, shape: &str, attempt: u32, offer: Offer) -> Result<Session, Stopped> {
        if self.cx.remaining().is_zero() {
            return Err(Stopped("the time is up".to_owned()));
        }
        let question = Question { test: test.to_owned(), shape: shape.to_owned(), attempt, starttls: self.starttls };
        Session::open(self.cx, (self.address, self.starttls), question.to_text(), offer).await
    }

    /// The same with a finished handshake.
    async fn finished(&self, test: &str, shape: &str, attempt: u32, offer: Offer) -> Option<Session> {
        let mut session = self.open(test, shape, attempt, offer).await.ok()?;
        session.finish().await.ok()?;
        Some(session)
    }

    /// How long to listen for an answer that should come.
    fn patience(&self) -> Duration {
        self.cx.patience().min(self.cx.remaining())
    }

    /// How long to listen where silence is an answer.
    fn quiet(&self) -> Duration {
        QUIET.min(self.patience())
    }

    /// What was said so far in a test.
    fn trials(&self, test: &str) -> Vec<Trial> {
        Trial::all(&self.cx.exchanges()).into_iter().filter(|trial| trial.question.test == test).collect()
    }
}

/// Tests one TLS endpoint at one address for known flaws.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlawProbe;

impl FlawProbe {
    fn spec(target: &Target) -> Result<TlsSpec, Failure> {
        serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
            let what = format!("{}: its parameters are not those of a TLS target: {e}", target.name);
            Failure::new(FailureClass::Unreadable, what)
        })
    }
}

impl Probe for FlawProbe {
    fn kind(&self) -> Kind {
        Kind::new("tls-flaws", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(FlawFacts)
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan { connections: 80, files: vec![], commands: vec![] }
    }

    fn goes_last(&self) -> bool {
        true
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = Self::spec(target)?;
            let address = spec.address.parse().map_err(|_| {
                let what = format!("{}: '{}' is no address with a port", target.name, spec.address);
                Failure::new(FailureClass::Unresolved, what)
            })?;
            let tester = Tester { cx, address, sni: spec.sni.first().cloned().flatten(), starttls: spec.starttls };
            able::ask(&tester).await;
            let able = Able::of(&Trial::all(&cx.exchanges()));
            if able.speaks() {
                for test in &TESTS {
                    (test.ask)(&tester, &able).await;
                }
                able::again(&tester, &able).await;
            }
            probe::facts(&conclude(&spec, &cx.exchanges())?)
        })
    }

    fn derive(&self, target: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        Some(Self::spec(target).and_then(|spec| conclude(&spec, exchanges)).and_then(|facts| probe::facts(&facts)))
    }
}

/// What follows from the exchanges.
///
/// # Errors
/// Where no connection was made at all.
pub fn conclude(spec: &TlsSpec, exchanges: &[Exchange]) -> Result<FlawFacts, Failure> {
    let trials = Trial::all(exchanges);
    if !trials.iter().any(|trial| trial.connected) {
        let what = format!("{}: no connection was made; is the service running and listening there?", spec.address);
        return Err(Failure::new(FailureClass::Unreachable, what));
    }
    let able = Able::of(&trials);
    let mut flaws: Vec<KnownFlaw> = TESTS.iter().flat_map(|test| (test.conclude)(&able, &trials)).collect();
    for flaw in &mut flaws {
        able.hold(flaw);
    }
    flaws.sort_by_key(|flaw| flaw.name);
    Ok(FlawFacts {
        address: spec.address.clone(),
        sni: spec.sni.first().cloned().flatten(),
        asked: Asked::All,
        flaws,
        connections: u32::try_from(exchanges.len()).unwrap_or(u32::MAX),
    })
}

/// A flaw's fact. `text` is why it is not proven or unavailable, else what was seen.
fn known(name: FlawName, outcome: Presence, how: How, text: &str, seen: Vec<u32>) -> KnownFlaw {
    let text = Some(text.to_owned()).filter(|text| !text.is_empty());
    let (why, detail) = match outcome {
        Presence::NotProven | Presence::Unavailable => (text, None),
        Presence::Present | Presence::Absent => (None, text),
    };
    KnownFlaw { name, outcome, how, why, detail, seen }
}

/// Positions of trials.
fn positions<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Vec<u32> {
    trials.into_iter().map(|trial| trial.index).collect()
}
