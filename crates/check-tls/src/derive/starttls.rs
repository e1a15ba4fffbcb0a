//! How a client comes to TLS where it has to be asked for.

use model::Exchange;

use super::Handshake;
use super::behaviour::feature;
use super::record::Record;
use crate::facts::{Feature, Presence, StartTls};
use crate::handshake::Offer;
use crate::starttls::{self, Barred, Manner, Protocol};

/// What the exchanges tell of it.
pub(super) fn starttls(
    protocol: Protocol,
    record: &Record,
    handshakes: &[Handshake],
    exchanges: &[Exchange],
) -> StartTls {
    let led: Vec<(u32, Offer, &Exchange)> = (0..)
        .zip(exchanges)
        .filter_map(|(index, exchange)| Some((index, Offer::of_question(&exchange.question)?, exchange)))
        .collect();
    let of_hellos = record.entries.iter().filter(|e| e.trial.question.starttls == Some(protocol));
    let mut met: Vec<(u32, Option<Barred>)> = of_hellos.map(|e| (e.index(), e.trial.barred.clone())).collect();
    // Who is sent two commands at once may refuse both.
    let short = led.iter().filter(|(_, offer, _)| offer.starttls == Some(protocol) && offer.manner == Manner::Short);
    met.extend(short.map(|(index, _, exchange)| (*index, starttls::after(protocol, Manner::Short, exchange).err())));
    met.sort_by_key(|(index, _)| *index);
    let agreed = met.iter().find(|(_, barred)| barred.is_none()).map(|(index, _)| *index);
    let refused = met.iter().find_map(|(index, barred)| match barred {
        Some(Barred::Refused(why)) => Some((*index, why.clone())),
        _ => None,
    });
    let (outcome, why, seen) = match (agreed, refused) {
        (None, Some((index, why))) => (Presence::Absent, Some(why), vec![index]),
        (Some(agreed), Some((index, why))) => {
            (Presence::Absent, Some(format!("on some connections: {why}")), vec![agreed, index])
        }
        (Some(agreed), None) => (Presence::Present, None, vec![agreed]),
        (None, None) => {
            let why = met.iter().rev().find_map(|(_, barred)| barred.as_ref().map(|b| b.why().to_owned()));
            let why =
                why.unwrap_or_else(|| "it was not looked at before the run's time or connections were spent".into());
            (Presence::NotProven, Some(why), met.iter().map(|(index, _)| *index).take(2).collect())
        }
    };
    let pipelined: Vec<&(u32, Offer, &Exchange)> =
        led.iter().filter(|(_, offer, _)| offer.manner == Manner::Pipelined).collect();
    StartTls {
        protocol,
        outcome,
        why,
        seen,
        plain_login: plain_login(protocol, record, &pipelined, exchanges),
        injection: injection(protocol, &pipelined, handshakes),
    }
}

type Led<'a> = [&'a (u32, Offer, &'a Exchange)];

/// Whether the capabilities in clear text allow a log-in.
fn plain_login(protocol: Protocol, record: &Record, pipelined: &Led<'_>, exchanges: &[Exchange]) -> Feature {
    let hellos = record.entries.iter().filter(|e| e.trial.question.starttls == Some(protocol));
    let short = hellos.filter_map(|e| {
        let exchange = exchanges.get(usize::try_from(e.index()).ok()?)?;
        Some((e.index(), starttls::plain_login(protocol, Manner::Short, exchange)?))
    });
    let long = pipelined.iter().filter_map(|(index, _, exchange)| {
        Some((*index, starttls::plain_login(protocol, Manner::Pipelined, exchange)?))
    });
    let told: Vec<(u32, bool)> = short.chain(long).collect();
    let allowed = told.iter().find(|(_, allowed)| *allowed);
    match (allowed, told.first()) {
        (Some((index, _)), _) => feature(Presence::Present, None, None, vec![*index]),
        (None, Some((index, _))) => feature(Presence::Absent, None, None, vec![*index]),
        (None, None) => {
            let why = match protocol {
                Protocol::Smtp | Protocol::Imap | Protocol::Pop3 => "the server did not tell its capabilities",
                _ => "no capability of this protocol tells",
            };
            feature(Presence::NotProven, Some(why), None, vec![])
        }
    }
}

fn injection(protocol: Protocol, pipelined: &Led<'_>, handshakes: &[Handshake]) -> Feature {
    if !protocol.has_lines() {
        return feature(Presence::NotProven, Some("it is not looked for in this protocol"), None, vec![]);
    }
    let mut why = None;
    for (index, _, exchange) in pipelined {
        if let Err(barred) = starttls::after(protocol, Manner::Pipelined, exchange) {
            why = Some((*index, barred.why().to_owned()));
            continue;
        }
        let seen = handshakes.iter().find(|h| h.index == *index).map(|h| &h.seen);
        let answers = seen.and_then(|seen| protocol.answers_what_came_before(&seen.within, seen.closed));
        match answers {
            Some(true) => return feature(Presence::Present, None, None, vec![*index]),
            Some(false) => return feature(Presence::Absent, None, None, vec![*index]),
            None => why = Some((*index, "no answer came within TLS, which takes a whole handshake".to_owned())),
        }
    }
    let (index, why) = why.map_or((None, None), |(index, why)| (Some(index), Some(why)));
    let why = why.unwrap_or_else(|| "it was not looked at before the run's time or connections were spent".into());
    feature(Presence::NotProven, Some(&why), None, index.into_iter().collect())
}
