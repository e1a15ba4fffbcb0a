//! Removal with foresight: what a server accepts is found by taking its choices out of the offer until it refuses the
//! rest, and what it will choose is guessed, so that the questions of many steps go out at once.
//!
//! A wrong guess costs connections, never truth: each answer is one to the offer that was made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Ask, Engine};
use crate::facts::VersionName;
use crate::hello::Hello;
use crate::registry::suite_parts;
use crate::reply::Until;
use crate::trial::{Purpose, Trial};

/// The most steps that are guessed at once.
const FORESIGHT: usize = 32;

/// What the server may choose next from these, its favourite first, after it chose this one.
pub(super) type Guess<'a> = &'a (dyn Fn(u16, &[u16]) -> Vec<u16> + Sync);

/// One list of an offer that is searched.
pub(super) struct Side<'a> {
    /// Neither chosen nor refused yet.
    pub(super) open: Vec<u16>,
    /// Chosen so far.
    pub(super) found: Vec<u16>,
    guess: Guess<'a>,
    /// Likely choices of the next round.
    next: Vec<u16>,
    /// It is offered as it is and not searched.
    fixed: bool,
}

impl<'a> Side<'a> {
    pub(super) fn new(open: Vec<u16>, guess: Guess<'a>) -> Self {
        Self { open, found: Vec::new(), guess, next: Vec::new(), fixed: false }
    }

    /// A list that is offered as it is.
    pub(super) fn fixed(found: Vec<u16>) -> Self {
        Self { open: Vec::new(), found, guess: &|_, _| Vec::new(), next: Vec::new(), fixed: true }
    }

    /// Takes in a first choice, and guesses on.
    pub(super) fn begin(&mut self, chosen: Option<u16>) {
        if let Some(id) = self.take(chosen) {
            self.foresee(id);
        }
    }

    /// Takes note of an offer that was made before: this choice, or a refusal.
    pub(super) fn learn(&mut self, offer: &[u16], chosen: Option<u16>, refused: bool) {
        self.take(chosen);
        if refused {
            self.open.retain(|id| !offer.contains(id));
        }
    }

    /// Guesses what comes next, before any answer.
    pub(super) fn expect(&mut self, likely: &[u16]) {
        self.next = likely.iter().copied().filter(|id| self.open.contains(id)).take(FORESIGHT).collect();
    }

    fn foresee(&mut self, chosen: u16) {
        self.next = (self.guess)(chosen, &self.open);
        self.next.retain(|id| self.open.contains(id));
        self.next.truncate(FORESIGHT);
    }

    /// The id, where the choice is news.
    fn take(&mut self, chosen: Option<u16>) -> Option<u16> {
        let at = self.open.iter().position(|id| Some(*id) == chosen)?;
        let id = self.open.remove(at);
        self.found.push(id);
        Some(id)
    }

    /// What is offered beside the other side's questions.
    fn rest(&self) -> Vec<u16> {
        if self.found.is_empty() { self.open.clone() } else { self.found.clone() }
    }

    /// Whether an offer of this side is known to be good.
    fn has(&self, offer: &[u16]) -> bool {
        self.fixed || offer.iter().any(|id| self.found.contains(id))
    }

    /// The offers of the next round: all that is open without the first guesses, step by step.
    fn steps(&self) -> Vec<Vec<u16>> {
        let without = |count: usize| {
            let gone = self.next.get(..count).unwrap_or_default();
            self.open.iter().copied().filter(|id| !gone.contains(id)).collect::<Vec<_>>()
        };
        (0..=self.next.len()).map(without).filter(|offer| !offer.is_empty()).collect()
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

impl Search<'_> {
    fn choice(&self, answer: &Answer) -> (Option<u16>, Option<u16>) {
        match &answer.trial {
            Some(trial) if trial.version() == Some(self.version) => (self.read)(trial),
            _ => (None, None),
        }
    }
}

impl Engine<'_> {
    /// Runs a search to its end: nothing open on either side, or answers that are neither choices nor refusals. Gives
    /// the wave after it.
    pub(super) async fn search(&self, search: &Search<'_>, wave: u32, a: &mut Side<'_>, b: &mut Side<'_>) -> u32 {
        let mut wave = wave;
        let mut asked = BTreeSet::new();
        let mut pairs = diagonal(a, b);
        while !pairs.is_empty() {
            let asks = pairs.iter().map(|(of_a, of_b)| Ask {
                purpose: search.purpose,
                version: search.version,
                wave,
                hello: (search.hello)(of_a, of_b),
                until: search.until,
            });
            let answers = self.ask_all(asks.collect()).await;
            wave = answers.iter().map(|answer| answer.next).max().unwrap_or(wave);
            let (mut of_a, mut of_b) = (News::default(), News::default());
            for answer in &answers {
                let (x, y) = search.choice(answer);
                of_a.note(a, x);
                of_b.note(b, y);
            }
            for ((offer_a, offer_b), _) in pairs.iter().zip(&answers).filter(|(_, answer)| answer.refused()) {
                // A refusal is one of the list that holds nothing known to be accepted, beside a list that does.
                match (a.has(offer_a), b.has(offer_b)) {
                    (false, true) if !a.fixed => of_a.refuse(a, offer_a),
                    (true, false) if !b.fixed => of_b.refuse(b, offer_b),
                    _ => {}
                }
            }
            if !(of_a.moved || of_b.moved) {
                break;
            }
            of_a.foresee(a);
            of_b.foresee(b);
            asked.extend(pairs);
            pairs = rounds(a, b, &of_a, &of_b);
            pairs.retain(|pair| !asked.contains(pair));
        }
        wave
    }
}

/// What one round told of one side.
#[derive(Default)]
struct News {
    moved: bool,
    /// The first choice that was not guessed.
    surprise: Option<u16>,
    surprises: usize,
}

impl News {
    fn note(&mut self, side: &mut Side<'_>, chosen: Option<u16>) {
        let Some(id) = side.take(chosen) else { return };
        self.moved = true;
        if !side.next.contains(&id) {
            self.surprise = self.surprise.or(Some(id));
            self.surprises += 1;
        }
    }

    fn refuse(&mut self, side: &mut Side<'_>, offer: &[u16]) {
        let before = side.open.len();
        side.open.retain(|id| !offer.contains(id));
        self.moved |= side.open.len() < before;
    }

    fn foresee(&self, side: &mut Side<'_>) {
        side.next.clear();
        if let Some(id) = self.surprise {
            side.foresee(id);
        }
    }
}

/// Both lists shrink together; then each is shown to end, beside the whole of the other one.
fn diagonal(a: &Side<'_>, b: &Side<'_>) -> Vec<(Vec<u16>, Vec<u16>)> {
    match (a.fixed, b.fixed) {
        (true, true) => return Vec::new(),
        (false, true) => {
            // A choice that no guess follows from: one sort of suite at a time.
            let sorts = a.next.is_empty() && !a.found.is_empty();
            let offers = if sorts { pieces(a) } else { a.steps() };
            return offers.into_iter().map(|offer| (offer, b.found.clone())).collect();
        }
        (true, false) => return b.steps().into_iter().map(|offer| (a.found.clone(), offer)).collect(),
        (false, false) => {}
    }
    let (all_a, all_b) = ([a.found.as_slice(), &a.open].concat(), [b.found.as_slice(), &b.open].concat());
    let (steps_a, steps_b) = (a.steps(), b.steps());
    let mut pairs = Vec::new();
    for at in 0..a.next.len().max(b.next.len()) {
        let of = |steps: &[Vec<u16>], next: usize, all: &Vec<u16>| {
            steps.get(at).filter(|_| at < next).unwrap_or(all).clone()
        };
        pairs.push((of(&steps_a, a.next.len(), &all_a), of(&steps_b, b.next.len(), &all_b)));
    }
    pairs.extend(steps_a.get(a.next.len()).map(|last| (last.clone(), all_b.clone())));
    pairs.extend(steps_b.get(b.next.len()).map(|last| (all_a.clone(), last.clone())));
    pairs.dedup();
    pairs
}

/// Later rounds: each side by itself, beside what the other one is known to accept.
fn rounds(a: &Side<'_>, b: &Side<'_>, of_a: &News, of_b: &News) -> Vec<(Vec<u16>, Vec<u16>)> {
    if !a.next.is_empty() && !b.next.is_empty() {
        return diagonal(a, b);
    }
    let mut pairs = Vec::new();
    let (rest_a, rest_b) = (a.rest(), b.rest());
    pairs.extend(offers(a, of_a).into_iter().map(|offer| (offer, rest_b.clone())));
    pairs.extend(offers(b, of_b).into_iter().map(|offer| (rest_a.clone(), offer)));
    pairs
}

fn offers(side: &Side<'_>, news: &News) -> Vec<Vec<u16>> {
    if side.open.is_empty() {
        Vec::new()
    } else if side.next.is_empty() && news.surprises > 0 && side.found.len() > 1 {
        pieces(side)
    } else {
        side.steps()
    }
}

/// One piece for each way to exchange keys among suites in use, and one for all the others; where one of a piece is known
/// to be accepted, all its steps.
fn pieces(side: &Side<'_>) -> Vec<Vec<u16>> {
    let in_use = super::predict::in_use;
    let sort = |id: u16| suite_parts(id).filter(|_| in_use(id)).map(|p| (p.key_exchange, p.authentication));
    let mut sorts: BTreeMap<_, Vec<u16>> = BTreeMap::new();
    for id in &side.open {
        sorts.entry(sort(*id)).or_default().push(*id);
    }
    let mut pieces = Vec::new();
    for (of, open) in sorts {
        let known = of.is_some() && side.found.iter().any(|id| sort(*id) == of);
        let next = open.iter().copied().filter(|_| known).take(FORESIGHT).collect();
        let piece = Side { open, found: Vec::new(), guess: side.guess, next, fixed: false };
        pieces.extend(piece.steps());
    }
    pieces
}
