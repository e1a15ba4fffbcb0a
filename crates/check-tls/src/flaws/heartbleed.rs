//! Heartbleed (CVE-2014-0160): a heartbeat (RFC 6520) whose payload is shorter than it says.
//!
//! The request holds 16 bytes and claims 20. A server must drop it in silence; one that answers gives four bytes of its
//! memory away, which are not kept.

use probe::BoxFuture;

use super::able::{Able, NEWEST};
use super::trial::Trial;
use super::{Test, Tester, known, positions};
use crate::client::{HEARTBEAT, Suite, record};
use crate::facts::{FlawName, How, KnownFlaw, Presence};
use crate::hello::Extension;

pub(super) const TEST: Test = Test { ask, conclude };
const NAME: &str = "heartbleed";
const EXTENSION: u16 = 15;
/// Bytes of payload sent, and claimed.
const HELD: usize = 16;
const CLAIMED: u8 = 20;

fn ask<'a>(tester: &'a Tester<'a>, _: &'a Able) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let offer = tester.offer(NEWEST, &Suite::ids(NEWEST, |_| true)).with(Extension::Other(EXTENSION, vec![1]));
        let Ok(mut session) = tester.open(NAME, "claims_more", 1, offer).await else { return };
        session.hide();
        let request = [&[1, 0, CLAIMED][..], &[0x50; HELD]].concat();
        if session.send(&record(HEARTBEAT, session.server.version, &request)).await.is_ok() {
            let ended = session.listen(tester.quiet(), |kind, _| kind == HEARTBEAT).await;
            let _ = session.close(ended);
        }
    })
}

fn conclude(able: &Able, trials: &[Trial]) -> Vec<KnownFlaw> {
    let name = FlawName::Heartbleed;
    if let Err(missing) = able.any() {
        return vec![missing.flaw(name)];
    }
    let Some(trial) = trials.iter().find(|t| t.question.test == NAME && t.sent.contains(&HEARTBEAT)) else {
        return vec![known(name, Presence::NotProven, How::Demonstrated, "no heartbeat could be sent", vec![])];
    };
    let seen = positions([trial]);
    let negotiated = trial.extension(EXTENSION);
    vec![match trial.answer.heartbeat {
        Some(length) if length > HELD => {
            let text = format!("a payload of {HELD} bytes that claims {CLAIMED} was answered with {length}");
            known(name, Presence::Present, How::Demonstrated, &text, seen)
        }
        Some(_) => known(name, Presence::NotProven, How::Demonstrated, "a heartbeat came that is not our own", seen),
        None if !negotiated => {
            known(name, Presence::Absent, How::Negotiated, "heartbeats are not negotiated, and not answered", seen)
        }
        None => {
            let text = format!("heartbeats are negotiated; one that claims too much met {}", trial.class());
            known(name, Presence::Absent, How::Demonstrated, &text, seen)
        }
    }]
}
