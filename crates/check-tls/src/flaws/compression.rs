//! CRIME (CVE-2012-4929): compression under encryption (RFC 3749). It is enough that the server chooses it.

use probe::BoxFuture;

use super::able::{Able, NEWEST};
use super::trial::Trial;
use super::{Test, Tester, known, positions};
use crate::client::Suite;
use crate::facts::{FlawName, How, KnownFlaw, Presence};

pub(super) const TEST: Test = Test { ask, conclude };
const NAME: &str = "crime";

fn ask<'a>(tester: &'a Tester<'a>, _: &'a Able) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        let mut offer = tester.offer(NEWEST, &Suite::ids(NEWEST, |_| true));
        offer.hello.compression = vec![1, 64, 0];
        // Its exchange is in the record.
        let _ = tester.open(NAME, "deflate", 1, offer).await;
    })
}

fn conclude(able: &Able, trials: &[Trial]) -> Vec<KnownFlaw> {
    let name = FlawName::Crime;
    if let Err(missing) = able.any() {
        return vec![missing.flaw(name)];
    }
    let trial = trials.iter().find(|trial| trial.question.test == NAME);
    let seen = positions(trial);
    vec![match trial.and_then(|trial| trial.server.as_ref()).map(|server| server.compression) {
        Some(0) => known(name, Presence::Absent, How::Negotiated, "no compression was chosen", seen),
        Some(method) => {
            known(name, Presence::Present, How::Negotiated, &format!("compression method {method} was chosen"), seen)
        }
        None => {
            let class = trial.map_or_else(|| "no connection was made".to_owned(), Trial::class);
            known(name, Presence::NotProven, How::Negotiated, &format!("an offer of compression met {class}"), seen)
        }
    }]
}
