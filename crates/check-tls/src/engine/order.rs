//! Whose order decides among suites, and which order that is.

use super::{Ask, Engine, predict};
use crate::derive::record::Record;
use crate::derive::versions::standing;
use crate::facts::{Order, VersionName};
use crate::hello::Hello;
use crate::reply::Until;
use crate::trial::Purpose;

/// How often a guess of the server's order is mended.
const ROUNDS: usize = 6;

impl Engine<'_> {
    /// Asks until the order among the accepted suites of a version is proven: first the other way round, then, where the
    /// server's list decides, all its steps at once. `suites` are in the order of the offer.
    pub(super) async fn order(
        &self,
        version: VersionName,
        suites: &[u16],
        hello: impl Fn(&[u16]) -> Hello,
        wave: u32,
    ) -> u32 {
        let mut wave = wave;
        let mut turned = false;
        let ask = |suites: &[u16], wave| Ask {
            purpose: Purpose::Order,
            version,
            wave,
            hello: hello(suites),
            until: Until::Hello,
        };
        for _ in 0..ROUNDS {
            let standing = standing(&Record::new(&self.cx.exchanges()), version);
            let offers: Vec<Vec<u16>> = match standing.order {
                Order::NotProven if suites.len() > 1 && !turned => {
                    turned = true;
                    vec![suites.iter().rev().copied().collect()]
                }
                Order::Server => {
                    let list = standing.likely(predict::rank);
                    let steps = (0..list.len().saturating_sub(1)).filter_map(|at| list.get(at..));
                    steps.filter(|step| !standing.leads(step)).map(<[u16]>::to_vec).collect()
                }
                _ => Vec::new(),
            };
            if offers.is_empty() {
                return wave;
            }
            let answers = self.ask_all(offers.iter().map(|offer| ask(offer, wave)).collect()).await;
            wave = answers.iter().map(|answer| answer.next).max().unwrap_or(wave);
            if !answers.iter().any(|answer| answer.chosen().is_some()) {
                return wave;
            }
        }
        wave
    }

    /// Where the server's order decides and ChaCha20 does not lead it: does it lead for a client that has it first
    /// (`SSL_OP_PRIORITIZE_CHACHA`)?
    pub(super) async fn chacha(&self, version: VersionName, hello: impl Fn(&[u16]) -> Hello, wave: u32) -> u32 {
        let standing = standing(&Record::new(&self.cx.exchanges()), version);
        let chacha = |id: &u16| crate::registry::suite_name(*id).is_some_and(|name| name.contains("CHACHA20"));
        let (mut first, rest): (Vec<u16>, Vec<u16>) = standing.sequence.iter().partition(|id| chacha(id));
        if standing.order != Order::Server || first.is_empty() || standing.sequence.first().is_some_and(chacha) {
            return wave;
        }
        first.extend(rest);
        let ask = Ask { purpose: Purpose::Chacha, version, wave, hello: hello(&first), until: Until::Hello };
        self.ask(ask).await.next
    }
}
