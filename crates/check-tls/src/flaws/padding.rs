//! Oracles of the padding of CBC records: POODLE for TLS (CVE-2014-8730) and its relatives (Craig Young, "Zombie POODLE
//! and GOLDENDOODLE", 2019), empty records (CVE-2019-1559), and records of padding alone (CVE-2016-2107).
//!
//! Behind a finished handshake one malformed record is sent, an empty line where it has content. A sound server answers
//! all shapes alike, as it would a wrong code.

use probe::BoxFuture;

use super::able::{Able, NEWEST, hear};
use super::trial::Trial;
use super::{Test, Tester, known, positions};
use crate::client::{BLOCK, Block, DATA, Suite};
use crate::facts::{FlawName, How, KnownFlaw, Presence};

pub(super) const TEST: Test = Test { ask, conclude };
const NAME: &str = "padding";
/// A wrong code: what the others are compared with.
const WRONG_MAC: &str = "wrong_mac";
const WRONG_PADDING: &str = "wrong_padding";
const NO_MAC: &str = "no_mac";
const ALL_PADDING: &str = "all_padding";
const EMPTY_WRONG_MAC: &str = "empty_wrong_mac";
const EMPTY_WRONG_PADDING: &str = "empty_wrong_padding";
const SHAPES: [&str; 6] = [WRONG_MAC, WRONG_PADDING, NO_MAC, ALL_PADDING, EMPTY_WRONG_MAC, EMPTY_WRONG_PADDING];

fn ask<'a>(tester: &'a Tester<'a>, able: &'a Able) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        if able.cbc().is_err() {
            return;
        }
        for attempt in 1..=3 {
            for shape in SHAPES {
                let offer = tester.offer(NEWEST, &Suite::ids(NEWEST, Suite::is_cbc));
                let Some(mut session) = tester.finished(NAME, shape, attempt, offer).await else { continue };
                let content = if shape.starts_with("empty") { "" } else { "\r\n" };
                let Some(block) = session.write.as_ref().map(|write| write.block(DATA, content.as_bytes(), 1)) else {
                    continue;
                };
                if session.send_block(DATA, malformed(shape, block)).await.is_ok() {
                    hear(session, tester.quiet()).await;
                }
            }
            let all = classes(&tester.trials(NAME));
            if attempt == 2 && all.iter().flat_map(|(_, c)| c).collect::<std::collections::BTreeSet<_>>().len() < 2 {
                return;
            }
        }
    })
}

/// A record in a shape, made of a good one.
pub(super) fn malformed(shape: &str, mut block: Block) -> Block {
    let last = block.padding.len().saturating_sub(1);
    match shape {
        WRONG_MAC | EMPTY_WRONG_MAC => {
            if let Some(byte) = block.mac.first_mut() {
                *byte ^= 1;
            }
        }
        // The length stays, the bytes before it do not.
        WRONG_PADDING | EMPTY_WRONG_PADDING => {
            block.padding.iter_mut().take(last).for_each(|byte| *byte ^= 0x55);
        }
        // Padding of 256 bytes, of which only 80 are there.
        NO_MAC => block = Block { content: vec![], mac: vec![], padding: vec![0xff; 5 * BLOCK] },
        ALL_PADDING => block = Block { content: vec![], mac: vec![], padding: vec![31; 2 * BLOCK] },
        _ => {}
    }
    block
}

fn classes(trials: &[Trial]) -> Vec<(&'static str, Vec<String>)> {
    let of = |shape: &str| {
        let tried = trials.iter().filter(|t| t.question.test == NAME && t.question.shape == shape);
        tried.filter(|trial| trial.finished && trial.sent.last() == Some(&DATA)).map(Trial::class).collect()
    };
    SHAPES.map(|shape| (shape, of(shape))).into()
}

/// The answer to a shape, each time; else why there is none.
struct Met(Vec<(&'static str, Vec<String>)>);

impl Met {
    fn of(&self, shape: &str) -> Result<&str, String> {
        let all = self.0.iter().find(|(name, _)| *name == shape).map(|(_, all)| all.as_slice()).unwrap_or_default();
        match all {
            [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|class| class == first) => Ok(first),
            [_, _, ..] => Err(format!("{shape} is answered differently from one time to the next")),
            _ => Err(format!("{shape} was not answered twice")),
        }
    }
}

const SILENCE: &str = "silence";

fn taken(class: &str) -> bool {
    class == SILENCE || class.contains("application data")
}

fn conclude(able: &Able, trials: &[Trial]) -> Vec<KnownFlaw> {
    const NAMES: [FlawName; 6] = [
        FlawName::PoodleTls,
        FlawName::Goldendoodle,
        FlawName::ZombiePoodle,
        FlawName::SleepingPoodle,
        FlawName::ZeroLength,
        FlawName::LuckyMinus20,
    ];
    if let Err(missing) = able.cbc() {
        return NAMES.map(|name| missing.flaw(name)).into();
    }
    let met = Met(classes(trials));
    let seen = positions(trials.iter().filter(|trial| trial.question.test == NAME));
    NAMES
        .map(|name| {
            let how = How::Demonstrated;
            match of(name, &met) {
                Ok((true, text)) => known(name, Presence::Present, how, &text, seen.clone()),
                Ok((false, text)) => known(name, Presence::Absent, how, &text, seen.clone()),
                Err(why) => known(name, Presence::NotProven, how, &why, seen.clone()),
            }
        })
        .into()
}

/// Whether an answer tells, beside that to a wrong code.
type Tells = fn(&str, &str) -> bool;

/// Whether a flaw showed, and in what.
fn of(name: FlawName, met: &Met) -> Result<(bool, String), String> {
    let base = met.of(WRONG_MAC)?;
    if base == SILENCE || base.contains("application data") {
        return Err(format!("a wrong code meets {base}, so that nothing can be compared with it"));
    }
    let (shapes, tells): (&[&str], Tells) = match name {
        FlawName::PoodleTls => (&[WRONG_PADDING], |_, class| taken(class)),
        FlawName::Goldendoodle => (&[WRONG_PADDING], |base, class| class != base && !taken(class)),
        FlawName::SleepingPoodle => (&[NO_MAC, ALL_PADDING], |_, class| class == SILENCE),
        FlawName::ZombiePoodle => (&[NO_MAC], |base, class| class != base && class != SILENCE),
        FlawName::LuckyMinus20 => (&[ALL_PADDING], |base, class| class != base && class != SILENCE),
        _ => (&[EMPTY_WRONG_MAC, EMPTY_WRONG_PADDING], |base, class| class != base),
    };
    let mut text = vec![format!("{WRONG_MAC} met {base}")];
    let mut present = false;
    for shape in shapes {
        let class = met.of(shape)?;
        present |= tells(base, class);
        text.push(format!("{shape} met {class}"));
    }
    Ok((present, text.join("; ")))
}
