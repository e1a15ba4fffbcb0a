//! Removal: what the server chose is taken out of the offer until it refuses the rest.

use futures::future::join;

use super::{Answer, Ask, Engine};
use crate::facts::VersionName;
use crate::hello::Hello;
use crate::reply::Until;
use crate::trial::{Purpose, Trial};

/// One list of an offer that is searched.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// Not chosen yet.
    pub(super) left: Vec<u16>,
    /// Chosen so far.
    pub(super) found: Vec<u16>,
    /// The rest is refused, or nothing is left.
    pub(super) spent: bool,
}

impl Side {
    pub(super) const fn new(left: Vec<u16>) -> Self {
        Self { left, found: Vec::new(), spent: false }
    }

    /// A list that is offered as it is and not searched.
    pub(super) const fn fixed(found: Vec<u16>) -> Self {
        Self { left: Vec::new(), found, spent: true }
    }

    fn offer(&self) -> &[u16] {
        if self.spent { &self.found } else { &self.left }
    }

    /// Takes in a choice; false where it tells nothing new.
    pub(super) fn take(&mut self, chosen: Option<u16>) -> bool {
        let Some(at) = self.left.iter().position(|id| Some(*id) == chosen).filter(|_| !self.spent) else {
            return false;
        };
        self.found.push(self.left.remove(at));
        self.spent = self.left.is_empty();
        true
    }
}

/// A search along two lists at once: an answer tells of both.
pub(super) struct Search<'a> {
    pub(super) purpose: Purpose,
    pub(super) version: VersionName,
    pub(super) until: Until,
    /// Makes the hello of two lists.
    pub(super) hello: &'a (dyn Fn(&[u16], &[u16]) -> Hello + Sync),
    /// Reads the choice in both lists.
    pub(super) read: fn(&Trial) -> (Option<u16>, Option<u16>),
}

impl Engine<'_> {
    async fn step(&self, search: &Search<'_>, wave: u32, a: &[u16], b: &[u16]) -> Answer {
        let hello = (search.hello)(a, b);
        self.ask(Ask { purpose: search.purpose, version: search.version, wave, hello, until: search.until }).await
    }

    /// Runs a search to its end: both lists spent, or an answer that is neither a choice nor a refusal. Gives the wave
    /// after it. The first answer may be known already.
    pub(super) async fn search(&self, search: &Search<'_>, wave: u32, a: &mut Side, b: &mut Side) -> u32 {
        let mut wave = wave;
        while !(a.spent && b.spent) {
            let answer = self.step(search, wave, a.offer(), b.offer()).await;
            wave = answer.next;
            if !self.note(search, &answer, a, b) {
                if !answer.refused() || (a.found.is_empty() && b.found.is_empty()) {
                    return wave;
                }
                if a.spent || b.spent {
                    (a.spent, b.spent) = (true, true);
                    return wave;
                }
                // Which of the two ran out? Each is asked with the other one's accepted values.
                let (of_a, of_b) =
                    join(self.step(search, wave, &a.left, &b.found), self.step(search, wave, &a.found, &b.left)).await;
                wave = of_a.next.max(of_b.next);
                a.spent |= of_a.refused();
                b.spent |= of_b.refused();
                let moved = a.take(choice(search, &of_a).0) | b.take(choice(search, &of_b).1);
                if !moved && !a.spent && !b.spent {
                    return wave;
                }
            }
        }
        wave
    }

    /// Takes a choice out of both lists; false where there is none or it tells nothing new.
    fn note(&self, search: &Search<'_>, answer: &Answer, a: &mut Side, b: &mut Side) -> bool {
        let (of_a, of_b) = choice(search, answer);
        a.take(of_a) | b.take(of_b)
    }
}

fn choice(search: &Search<'_>, answer: &Answer) -> (Option<u16>, Option<u16>) {
    match &answer.trial {
        Some(trial) if trial.version() == Some(search.version) => (search.read)(trial),
        _ => (None, None),
    }
}
