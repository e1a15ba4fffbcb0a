//! Ticketbleed (CVE-2016-9244): a session id shorter than 32 bytes beside a ticket came back with memory behind it.
//!
//! Ours has 28 bytes. What comes back beyond them is not kept.

use probe::BoxFuture;

use super::able::{Able, NEWEST};
use super::trial::Trial;
use super::{Test, Tester, known, positions};
use crate::client::Suite;
use crate::engine::random;
use crate::facts::{FlawName, How, KnownFlaw, Presence};
use crate::hello::Extension;

pub(super) const TEST: Test = Test { ask, conclude };
const NAME: &str = "ticketbleed";
/// `session_ticket` (RFC 5077).
const EXTENSION: u16 = 35;

fn ask<'a>(tester: &'a Tester<'a>, _: &'a Able) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let offer = |ticket: Vec<u8>| {
            tester.offer(NEWEST, &Suite::ids(NEWEST, |_| true)).with(Extension::Other(EXTENSION, ticket))
        };
        let Some(session) = tester.finished(NAME, "ticket", 1, offer(vec![])).await else { return };
        let Some(ticket) = session.ticket.clone() else { return };
        drop(session);
        let mut short = offer(ticket);
        short.hello.session_id = random::<28>().to_vec();
        short.hides = true;
        // Its exchange is in the record.
        let _ = tester.open(NAME, "short_id", 1, short).await;
    })
}

fn conclude(able: &Able, trials: &[Trial]) -> Vec<KnownFlaw> {
    let name = FlawName::Ticketbleed;
    if let Err(missing) = able.any() {
        return vec![missing.flaw(name)];
    }
    let shape = |shape: &str| trials.iter().find(|t| t.question.test == NAME && t.question.shape == shape);
    let (first, second) = (shape("ticket"), shape("short_id"));
    let (seen, how) = (positions(first.into_iter().chain(second)), How::Demonstrated);
    let ids = second.and_then(|trial| Some((&trial.offer.as_ref()?.session_id, &trial.server.as_ref()?.session_id)));
    vec![match (first, ids) {
        (Some(trial), None) if trial.finished && !trial.ticket => {
            known(name, Presence::Unavailable, How::Negotiated, "the server gives no tickets", seen)
        }
        (_, Some((ours, theirs))) if theirs.len() > ours.len() && theirs.starts_with(ours) => {
            let text = format!("a session id of {} bytes came back with {}", ours.len(), theirs.len());
            known(name, Presence::Present, how, &text, seen)
        }
        (_, Some((ours, theirs))) if theirs == ours => {
            known(name, Presence::Absent, how, "a session id of 28 bytes came back as it was", seen)
        }
        (_, Some(_)) => known(name, Presence::NotProven, how, "the server did not take its own ticket", seen),
        (_, None) => {
            let class = second.or(first).map_or_else(|| "no connection was made".to_owned(), Trial::class);
            known(name, Presence::NotProven, how, &format!("a session taken up again met {class}"), seen)
        }
    }]
}
