//! Renegotiation that a client begins: bound to the first handshake (RFC 5746), and not.
//!
//! One second handshake is begun; whether the server answers its hello is all that is looked at.

use model::Ended;
use probe::BoxFuture;

use super::able::{Able, NEWEST};
use super::trial::Trial;
use super::{Test, Tester, known, positions};
use crate::client::{HANDSHAKE, Suite};
use crate::engine::random;
use crate::facts::{FlawName, How, KnownFlaw, Presence};
use crate::hello::Extension;
use crate::registry::RENEGOTIATION_SCSV;

pub(super) const TEST: Test = Test { ask, conclude };
const NAME: &str = "renegotiation";
/// `renegotiation_info`.
const EXTENSION: u16 = 0xff01;

fn ask<'a>(tester: &'a Tester<'a>, _: &'a Able) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        for (shape, secure) in [("insecure", false), ("secure", true)] {
            for attempt in 1..=2 {
                let mut offer = tester.offer(NEWEST, &Suite::ids(NEWEST, |_| true));
                if !secure {
                    offer.hello.suites.retain(|id| *id != RENEGOTIATION_SCSV);
                }
                let mut again = offer.hello.clone();
                let Some(mut session) = tester.finished(NAME, shape, attempt, offer).await else { continue };
                again.random = random();
                again.suites.retain(|id| *id != RENEGOTIATION_SCSV);
                if secure {
                    let finished = [&[12], session.finished.as_slice()].concat();
                    again.extensions.insert(0, Extension::Other(EXTENSION, finished));
                }
                let message = again.encode();
                if session.send_sealed(HANDSHAKE, message.get(5..).unwrap_or_default()).await.is_ok() {
                    let ended = session.listen(tester.quiet(), |kind, _| kind == HANDSHAKE).await;
                    let _ = session.close(ended);
                    if ended == Ended::ByUs {
                        break;
                    }
                }
                // An alert is an answer; what is not is asked once more.
                if tester.trials(NAME).last().is_some_and(|trial| !trial.answer.alerts.is_empty()) {
                    break;
                }
            }
        }
    })
}

fn conclude(able: &Able, trials: &[Trial]) -> Vec<KnownFlaw> {
    let names = [(FlawName::InsecureRenegotiation, "insecure"), (FlawName::ClientRenegotiation, "secure")];
    if let Err(missing) = able.any() {
        return names.map(|(name, _)| missing.flaw(name)).into();
    }
    let of = |(name, shape): (FlawName, &str)| {
        let tried: Vec<&Trial> =
            trials.iter().filter(|t| t.question.test == NAME && t.question.shape == shape).collect();
        one(name, &tried)
    };
    names.map(of).into()
}

fn one(name: FlawName, tried: &[&Trial]) -> KnownFlaw {
    let (seen, how) = (positions(tried.iter().copied()), How::Demonstrated);
    // The hello of a second handshake is the third handshake record or later.
    let begun = |trial: &&&Trial| trial.finished && trial.sent.iter().filter(|kind| **kind == HANDSHAKE).count() > 3;
    if let Some(trial) = tried.iter().filter(begun).find(|trial| trial.answer.handshake.contains(&2)) {
        let how_long = if trial.extension(EXTENSION) { "with" } else { "without" };
        let text = format!("a second handshake was begun by the client and answered, {how_long} renegotiation_info");
        return known(name, Presence::Present, how, &text, seen);
    }
    if let Some(trial) = tried.iter().filter(begun).find(|trial| !trial.answer.alerts.is_empty()) {
        return known(name, Presence::Absent, how, &format!("a second handshake met {}", trial.class()), seen);
    }
    if name == FlawName::InsecureRenegotiation
        && let Some(trial) = tried.iter().find(|trial| trial.declined().is_some())
    {
        let text = format!("a client without secure renegotiation met {} at once", trial.class());
        return known(name, Presence::Absent, how, &text, seen);
    }
    if tried.iter().filter(begun).count() > 1 && tried.iter().filter(begun).all(|trial| trial.objected()) {
        return known(name, Presence::Absent, how, "the server ended the connection each time", seen);
    }
    let class = tried.last().map_or_else(|| "no handshake was finished".to_owned(), |trial| trial.class());
    known(name, Presence::NotProven, how, &format!("a second handshake met {class}"), seen)
}
