//! Early ChangeCipherSpec (CVE-2014-0224): OpenSSL took it before keys were exchanged, and made keys of nothing.
//!
//! A sound server answers it with an alert. One that takes it waits, and then finds that the next record, which is
//! noise, does not decrypt.

use probe::BoxFuture;

use super::able::{Able, NEWEST, hear};
use super::trial::Trial;
use super::{Test, Tester, known, positions};
use crate::client::{CHANGE_CIPHER_SPEC, HANDSHAKE, Suite, record};
use crate::engine::random;
use crate::facts::{FlawName, How, KnownFlaw, Presence};

pub(super) const TEST: Test = Test { ask, conclude };
const NAME: &str = "ccs_injection";

fn ask<'a>(tester: &'a Tester<'a>, _: &'a Able) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        for attempt in 1..=2 {
            let offer = tester.offer(NEWEST, &Suite::ids(NEWEST, |_| true));
            let Ok(mut session) = tester.open(NAME, "early", attempt, offer).await else { return };
            let version = session.server.version;
            if session.send(&record(CHANGE_CIPHER_SPEC, version, &[1])).await.is_err() {
                continue;
            }
            if session.listen(tester.quiet() / 2, |_, _| true).await == model::Ended::Timeout
                && session.send(&record(HANDSHAKE, version, &random::<64>())).await.is_ok()
            {
                hear(session, tester.patience()).await;
            }
            if tester.trials(NAME).iter().any(|trial| !trial.answer.alerts.is_empty()) {
                return;
            }
        }
    })
}

fn conclude(able: &Able, trials: &[Trial]) -> Vec<KnownFlaw> {
    let name = FlawName::CcsInjection;
    if let Err(missing) = able.any() {
        return vec![missing.flaw(name)];
    }
    let tried: Vec<&Trial> =
        trials.iter().filter(|t| t.question.test == NAME && t.sent.contains(&CHANGE_CIPHER_SPEC)).collect();
    // Our hello is a handshake record; noise behind the early message is another.
    let noise = |trial: &&&Trial| trial.sent.last() == Some(&HANDSHAKE);
    let seen = positions(tried.iter().copied());
    let how = How::Demonstrated;
    // bad_record_mac, decryption_failed, record_overflow: the noise was decrypted.
    let decrypts = |trial: &&&Trial| trial.answer.alerts.iter().any(|code| matches!(code, 20..=22));
    if let Some(trial) = tried.iter().filter(noise).find(decrypts) {
        let text = format!("an early ChangeCipherSpec was taken: the next record met {}", trial.class());
        return vec![known(name, Presence::Present, how, &text, seen)];
    }
    let refused = |trial: &&&Trial| trial.objected() && (!noise(trial) || trial.answer.alerts.contains(&10));
    if let Some(trial) = tried.iter().find(|t| refused(t) && !t.answer.alerts.is_empty()) {
        let text = format!("an early ChangeCipherSpec met {}", trial.class());
        return vec![known(name, Presence::Absent, how, &text, seen)];
    }
    if tried.len() > 1 && tried.iter().all(|trial| refused(&trial)) {
        return vec![known(name, Presence::Absent, how, "the server ended the connection each time", seen)];
    }
    let class = tried.last().map_or_else(|| "no handshake began".to_owned(), |trial| trial.class());
    vec![known(name, Presence::NotProven, how, &format!("an early ChangeCipherSpec met {class}"), seen)]
}
