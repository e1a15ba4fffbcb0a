//! What a server can be tested for: the handshakes that it finishes with this program's own client.

use model::Ended;

use super::trial::Trial;
use super::{Tester, known};
use crate::client::Suite;
use crate::engine::any_version_hello;
use crate::facts::{How, KnownFlaw, Presence};
use crate::hello::MOST_SUITES;
use crate::registry::{is_tls13_suite, suite_parts, suites};

/// The newest version that this client speaks.
pub(super) const NEWEST: u16 = 0x0303;
const TEST: &str = "able";

/// What a server can be tested for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Able {
    /// A finished handshake: its version and suite; else why there is none.
    any: Result<(u16, u16), Unable>,
    /// The same with a suite in CBC mode.
    cbc: Result<(u16, u16), Unable>,
    /// A hello with RSA key exchange alone was answered: version and suite.
    rsa: Result<(u16, u16), Unable>,
    /// A handshake was finished after all tests.
    again: bool,
    seen: Vec<u32>,
}

/// Why something can't be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unable {
    /// The server refuses it, with the sibling that it answered.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

/// Asks.
pub(super) async fn ask(tester: &Tester<'_>) {
    let suites = |wanted: fn(&Suite) -> bool| Suite::ids(NEWEST, wanted);
    if tester.finished(TEST, "any", 1, tester.offer(NEWEST, &suites(|_| true))).await.is_none() {
        let mut offer = tester.offer(NEWEST, &[]);
        offer.hello = any_version_hello(tester.sni.as_deref());
        // Its exchange is in the record, which is all that is wanted.
        let _ = tester.open(TEST, "newer", 1, offer).await;
        return;
    }
    if tester.finished(TEST, "cbc", 1, tester.offer(NEWEST, &suites(Suite::is_cbc))).await.is_none() {
        for piece in others().chunks(MOST_SUITES) {
            let _ = tester.open(TEST, "other_cbc", 1, tester.offer(NEWEST, piece)).await;
        }
    }
    let _ = tester.open(TEST, "rsa", 1, tester.offer(NEWEST, &rsa_suites())).await;
}

/// A handshake after all tests.
pub(super) async fn again(tester: &Tester<'_>, able: &Able) {
    if able.any.is_ok() {
        let _ = tester.finished(TEST, "again", 1, tester.offer(NEWEST, &Suite::ids(NEWEST, |_| true))).await;
    }
}

/// Suites in CBC mode that this client can't finish with.
fn others() -> Vec<u16> {
    let ids = suites().iter().map(|(id, _)| *id).filter(|id| !is_tls13_suite(*id) && Suite::of(*id).is_none());
    ids.filter(|id| suite_parts(*id).is_some_and(|parts| parts.encryption.contains("_CBC"))).collect()
}

/// Every suite in which the client encrypts a secret with the certificate's key.
pub(super) fn rsa_suites() -> Vec<u16> {
    let ids = suites().iter().map(|(id, _)| *id).filter(|id| !is_tls13_suite(*id));
    let rsa = ids.filter(|id| suite_parts(*id).is_some_and(|p| p.key_exchange == "RSA" && !p.export));
    rsa.take(MOST_SUITES).collect()
}

impl Able {
    /// From the record.
    pub(super) fn of(trials: &[Trial]) -> Self {
        let ours = || trials.iter().filter(|trial| trial.question.test == TEST);
        let shape = |shape: &str| ours().find(|trial| trial.question.shape == shape);
        let chosen = |trial: &Trial| trial.server.as_ref().map(|server| (server.version, server.suite));
        let any = match shape("any") {
            Some(trial) if trial.finished => chosen(trial).ok_or_else(|| unknown("no ServerHello")),
            Some(trial) => Err(match shape("newer").and_then(chosen) {
                // TLS 1.3 names version 1.2 in its hello; its suites are its own.
                Some((_, suite)) if is_tls13_suite(suite) && trial.declined().is_some() => {
                    Unable::Refused("TLS 1.2 and older are refused, while a hello for TLS 1.3 was answered".to_owned())
                }
                _ => unknown(&format!("no handshake of TLS 1.2 or older was finished: {}", trial.class())),
            }),
            None => Err(unknown("no connection was made")),
        };
        // What can't be finished with tells nothing of the rest.
        let within = |found: Option<(u16, u16)>, declined: bool, what: &str, why: String| match (&any, found) {
            (Err(unable), _) => Err(unable.clone()),
            (Ok(_), Some(found)) => Ok(found),
            (Ok(_), None) if declined => Err(Unable::Refused(format!("{what} is refused, while others are accepted"))),
            (Ok(_), None) => Err(Unable::Unknown(format!("{what}: {why}"))),
        };
        let class = |trial: Option<&Trial>| trial.map_or_else(|| "it was not asked".to_owned(), Trial::class);
        let (cbc, rsa) = (shape("cbc"), shape("rsa"));
        let mut rest = ours().filter(|trial| trial.question.shape == "other_cbc").peekable();
        let none_left = rest.peek().is_some() && rest.all(|trial| trial.declined().is_some());
        let no_cbc = none_left && cbc.is_some_and(|trial| trial.declined().is_some());
        Self {
            cbc: within(
                cbc.filter(|trial| trial.finished).and_then(chosen),
                no_cbc,
                "every suite in CBC mode",
                format!("no handshake was finished with AES in this mode ({})", class(cbc)),
            ),
            rsa: within(
                rsa.filter(|trial| trial.done).and_then(chosen),
                rsa.is_some_and(|trial| trial.declined().is_some()),
                "every suite with RSA key exchange",
                class(rsa),
            ),
            any,
            again: shape("again").is_some_and(|trial| trial.finished),
            seen: ours().map(|trial| trial.index).collect(),
        }
    }

    /// Whether there is anything to test.
    pub(super) const fn speaks(&self) -> bool {
        self.any.is_ok()
    }

    /// Version and suite of a finished handshake; else the fact that takes a flaw's place.
    pub(super) fn any(&self) -> Result<(u16, u16), Missing<'_>> {
        self.part(&self.any)
    }

    /// The same in CBC mode.
    pub(super) fn cbc(&self) -> Result<(u16, u16), Missing<'_>> {
        self.part(&self.cbc)
    }

    /// The same for RSA key exchange, unfinished.
    pub(super) fn rsa(&self) -> Result<(u16, u16), Missing<'_>> {
        self.part(&self.rsa)
    }

    fn part<'a>(&'a self, part: &'a Result<(u16, u16), Unable>) -> Result<(u16, u16), Missing<'a>> {
        part.as_ref().copied().map_err(|unable| Missing { unable, seen: &self.seen })
    }

    /// A negative holds only where the server still answered after all tests.
    pub(super) fn hold(&self, flaw: &mut KnownFlaw) {
        if flaw.outcome == Presence::Absent && !self.again {
            let why = "after the tests the server finished no handshake any more; it may have blocked them";
            *flaw = known(flaw.name, Presence::NotProven, flaw.how, why, flaw.seen.clone());
        }
    }
}

/// What a test needs and the server has not.
pub(super) struct Missing<'a> {
    unable: &'a Unable,
    seen: &'a [u32],
}

impl Missing<'_> {
    /// The fact that it makes of a flaw.
    pub(super) fn flaw(&self, name: crate::facts::FlawName) -> KnownFlaw {
        let (outcome, why) = match self.unable {
            Unable::Refused(why) => (Presence::Unavailable, why),
            Unable::Unknown(why) => (Presence::NotProven, why),
        };
        known(name, outcome, How::Negotiated, why, self.seen.to_vec())
    }
}

fn unknown(why: &str) -> Unable {
    Unable::Unknown(why.to_owned())
}

/// Listens to the end and closes; what was said is in the record.
pub(super) async fn hear(mut session: crate::client::Session, wait: std::time::Duration) -> Ended {
    let ended = session.listen(wait, |_, _| false).await;
    let _ = session.close(ended);
    ended
}
