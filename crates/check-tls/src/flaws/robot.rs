//! ROBOT: whether answers tell if the padding of an RSA-encrypted secret was right (Böck, Somorovsky, Young: "Return Of
//! Bleichenbacher's Oracle Threat", USENIX Security 2018; CVE-2017-13099 and others).
//!
//! The client's secret is sent in five shapes, first with the rest of the handshake behind it (noise, so that no server
//! can finish), then alone. A sound server answers all of them alike. Those that differ are sent again; only a
//! difference that stays is one.

use probe::BoxFuture;

use super::able::{Able, NEWEST, hear, rsa_suites};
use super::trial::Trial;
use super::{Test, Tester, known, positions};
use crate::client::{CHANGE_CIPHER_SPEC, HANDSHAKE, record};
use crate::engine::random;
use crate::facts::{FlawName, How, KnownFlaw, Presence};

pub(super) const TEST: Test = Test { ask, conclude };
const NAME: &str = "robot";
/// The shapes: the padding as it should be, and four that are wrong.
pub(super) const SHAPES: [&str; 5] = ["right", "wrong_type", "no_zero", "zero_misplaced", "wrong_version"];
/// With the rest of the handshake, and without.
const FLOWS: [&str; 2] = ["whole", "alone"];

/// A block of the size of the modulus, in a shape.
pub(super) fn shaped(shape: &str, mut block: Vec<u8>) -> Vec<u8> {
    let length = block.len();
    let mut set = |at: usize, value: u8| {
        if let Some(byte) = block.get_mut(at) {
            *byte = value;
        }
    };
    // The secret takes the last 48 bytes, after a zero.
    match shape {
        "wrong_type" => {
            set(0, 0x41);
            set(1, 0x17);
        }
        "no_zero" => (length.saturating_sub(49)..length).for_each(|at| set(at, 0x5a)),
        "zero_misplaced" => {
            set(length.saturating_sub(49), 0x11);
            (length.saturating_sub(48)..length).for_each(|at| set(at, 0x5a));
            set(length.saturating_sub(2), 0);
        }
        "wrong_version" => {
            set(length.saturating_sub(48), 2);
            set(length.saturating_sub(47), 2);
        }
        _ => {}
    }
    block
}

fn ask<'a>(tester: &'a Tester<'a>, able: &'a Able) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        if able.rsa().is_err() {
            return;
        }
        for flow in FLOWS {
            for attempt in 1..=3 {
                for shape in SHAPES {
                    one(tester, flow, shape, attempt).await;
                }
                if attempt == 2 && !differ(&of_flow(&tester.trials(NAME), flow)) {
                    break;
                }
            }
        }
    })
}

async fn one(tester: &Tester<'_>, flow: &str, shape: &str, attempt: u32) {
    let offer = tester.offer(NEWEST, &rsa_suites());
    let Ok(mut session) = tester.open(NAME, &format!("{flow} {shape}"), attempt, offer).await else { return };
    let Some(key) = session.rsa_key() else { return };
    let secret = [&NEWEST.to_be_bytes()[..], &random::<46>()].concat();
    let block = shaped(shape, key.padded(&secret));
    let mut bytes = session.key_exchange(&key.sealed(&block));
    let whole = flow == "whole";
    if whole {
        let version = session.server.version;
        bytes.extend(record(CHANGE_CIPHER_SPEC, version, &[1]));
        bytes.extend(record(HANDSHAKE, version, &random::<64>()));
    }
    if session.send(&bytes).await.is_ok() {
        hear(session, if whole { tester.patience() } else { tester.quiet() / 2 }).await;
    }
}

/// Classes of the answers to each shape, in the order of attempts.
type Classes = Vec<(&'static str, Vec<String>)>;

fn of_flow(trials: &[Trial], flow: &str) -> Classes {
    let classes = |shape: &str| {
        let name = format!("{flow} {shape}");
        let tried = trials.iter().filter(|t| t.question.test == NAME && t.question.shape == name);
        // The server's flight came, so that the secret went out.
        tried.filter(|trial| trial.done).map(Trial::class).collect()
    };
    SHAPES.map(|shape| (shape, classes(shape))).into()
}

fn differ(classes: &Classes) -> bool {
    let mut all = classes.iter().flat_map(|(_, classes)| classes);
    let first = all.next();
    all.any(|class| Some(class) != first)
}

fn conclude(able: &Able, trials: &[Trial]) -> Vec<KnownFlaw> {
    let (name, how) = (FlawName::Robot, How::Demonstrated);
    if let Err(missing) = able.rsa() {
        return vec![missing.flaw(name)];
    }
    let seen = positions(trials.iter().filter(|trial| trial.question.test == NAME));
    let mut open = Vec::new();
    let mut alike = Vec::new();
    for flow in FLOWS {
        let classes = of_flow(trials, flow);
        if classes.iter().any(|(_, classes)| classes.len() < 2) {
            open.push(format!("{flow}: not every shape was answered twice"));
        } else if !differ(&classes) {
            let class = classes.first().and_then(|(_, classes)| classes.first()).cloned().unwrap_or_default();
            alike.push(format!("{flow}: all met {class}"));
        } else if classes.iter().all(|(_, all)| all.len() > 2 && all.iter().all(|class| Some(class) == all.first())) {
            let line =
                |(shape, all): &(&str, Vec<String>)| format!("{shape} {}", all.first().cloned().unwrap_or_default());
            let lines: Vec<String> = classes.iter().map(line).collect();
            let text = format!("answers tell the padding ({flow}): {}", lines.join("; "));
            return vec![known(name, Presence::Present, how, &text, seen)];
        } else {
            open.push(format!("{flow}: answers differ from one time to the next"));
        }
    }
    vec![if open.is_empty() {
        known(name, Presence::Absent, how, &alike.join("; "), seen)
    } else {
        known(name, Presence::NotProven, how, &open.join("; "), seen)
    }]
}
