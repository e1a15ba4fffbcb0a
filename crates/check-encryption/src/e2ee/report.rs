//! The facts that follow from what was looked at.

use std::collections::BTreeMap;

use model::{Asked, Digest};

use super::classify::{Seen, readable};
use super::target::{Allowed, E2eeTarget, Store};
use super::{Drawn, Looked};
use crate::facts::{
    Claim, Class, E2eeFacts, Outcome, Recipient, Recipients, Repeat, RepeatOf, Repeats, Sample, Samples, StoreSampled,
    Stores,
};

/// Short payloads that together tell what one alone can't: how many at least, and how many bytes of them.
const POOL: (usize, u64) = (8, 64);

/// The facts. `drawn` has what came out of each store, in the inventory's order.
pub(super) fn facts(spec: &E2eeTarget, seed: u64, mut drawn: Vec<Drawn>) -> E2eeFacts {
    drawn.iter_mut().for_each(pool);
    drawn.iter_mut().for_each(columns);
    let pairs = || spec.store.iter().zip(&drawn);
    let stores = pairs().map(|(store, drawn)| of_store(store, drawn)).collect();
    let mut samples: Vec<Sample> = Vec::new();
    for (store, drawn) in pairs() {
        samples.extend(drawn.looked.iter().map(|looked| sample(spec, &store.title(), looked)));
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    let framing = spec.framing.iter().map(|framing| framing.name().to_owned()).collect();
    let looked: Vec<&Looked> = drawn.iter().flat_map(|drawn| &drawn.looked).collect();
    E2eeFacts {
        seed: format!("{seed:016x}"),
        framing,
        stores: Stores { asked: Asked::All, stores },
        samples: Samples { asked: Asked::All, samples },
        recipients: recipients(spec.recipients.as_ref(), &looked),
        repeats: repeats(&looked),
    }
}

/// A store whose short payloads can all be printed holds text: no nonce and tag fit into them.
fn pool(drawn: &mut Drawn) {
    let short: Vec<&Looked> = drawn.looked.iter().filter(|l| l.seen.class == Class::TooShort).collect();
    let printable: Option<u64> = short.iter().map(|l| l.seen.printable).sum();
    let count = short.len();
    if count < POOL.0 || printable.is_none_or(|bytes| bytes < POOL.1) {
        return;
    }
    for looked in drawn.looked.iter_mut().filter(|l| l.seen.class == Class::TooShort) {
        looked.seen.class = Class::Plaintext;
        looked.seen.format.get_or_insert_with(|| "text".to_owned());
        looked.seen.why = Some(format!("short text, as are all {count} short payloads of this store"));
    }
}

/// Payloads of a format, position by position: text that is combined with one key over and over has few values at each of
/// them, and each payload by itself looks random.
fn columns(drawn: &mut Drawn) {
    let mut formats: BTreeMap<Option<String>, BTreeMap<Vec<u8>, Vec<usize>>> = BTreeMap::new();
    for (at, looked) in drawn.looked.iter().enumerate() {
        // A payload that is stored twice is one.
        if !looked.seen.start.is_empty() && !looked.seen.is_readable() {
            let starts = formats.entry(looked.seen.format.clone()).or_default();
            starts.entry(looked.seen.start.clone()).or_default().push(at);
        }
    }
    for starts in formats.values() {
        let longest = starts.keys().map(Vec::len).max().unwrap_or_default();
        let (mut judged, mut narrow) = (0_usize, 0_usize);
        for position in 0..longest {
            let column: Vec<u8> = starts.keys().filter_map(|start| start.get(position).copied()).collect();
            judged += usize::from(column.len() >= COLUMN);
            narrow += usize::from(is_narrow(&column));
        }
        if narrow == 0 {
            continue;
        }
        let clear = narrow >= 8 && narrow * 2 >= judged;
        let why =
            format!("{narrow} of the first {judged} bytes have too few values in {} payloads together", starts.len());
        for looked in starts.values().flatten() {
            let Some(looked) = drawn.looked.get_mut(*looked) else { continue };
            looked.seen.class = if clear { Class::Patterned } else { Class::Unknown };
            looked.seen.why = Some(why.clone());
        }
    }
}

/// Bytes of one position that tell something.
const COLUMN: usize = 30;

/// Whether bytes have far more pairs of equal ones than random bytes have: n(n-1)/512 of them, give or take the root of that.
fn is_narrow(column: &[u8]) -> bool {
    if column.len() < COLUMN {
        return false;
    }
    let mut counts = [0_u32; 256];
    for byte in column {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let pairs: f64 = counts.iter().map(|n| f64::from(*n) * (f64::from(*n) - 1.0) / 2.0).sum();
    let n = f64::from(u32::try_from(column.len()).unwrap_or(u32::MAX));
    let mean = n * (n - 1.0) / 512.0;
    pairs > mean + 12.0 * mean.sqrt().max(1.5)
}

fn is_told(class: Class) -> bool {
    !matches!(class, Class::Random | Class::TooShort | Class::Unknown)
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn of_store(store: &Store, drawn: &Drawn) -> StoreSampled {
    let sampled = drawn.looked.len();
    let count = |wanted: fn(Class) -> bool| drawn.looked.iter().filter(|l| wanted(l.seen.class)).count();
    let (clear, open) = (count(readable), count(|class| !is_told(class)));
    // Something that was not looked at for a reason is not in the sample.
    let whole = drawn.why.is_none() && drawn.of.is_some_and(|of| of == sampled as u64) && sampled > 0;
    let why = drawn.why.clone().or_else(|| (sampled == 0).then(|| "there is no payload in it".to_owned()));
    let reason = why.as_deref().unwrap_or("nothing was seen");
    let in_part = match drawn.looked.iter().filter(|looked| looked.in_part).count() {
        0 => String::new(),
        part => format!("; {part} of them were read in part"),
    };
    let beside = why.as_deref().map_or_else(String::new, |why| format!("; {why}"));
    let (claim, result) = match (clear, open, sampled) {
        (1.., ..) => (Claim::Refuted, format!("refuted: {clear} of {sampled} payloads looked at can be read")),
        (_, _, 0) => (Claim::NotProven, format!("not proven: {reason}")),
        _ if drawn.unread > 0 => {
            (Claim::NotProven, format!("not proven: {} payloads could not be read ({reason})", drawn.unread))
        }
        (_, 1.., _) => {
            (Claim::NotProven, format!("not proven: of {open} of {sampled} payloads it can't be told what they are"))
        }
        _ if whole => (Claim::NotRefuted, format!("not refuted (n = {sampled}, all there are){in_part}")),
        _ => (
            Claim::NotRefuted,
            format!("not refuted (n = {sampled}, at most {} at 95 %){in_part}{beside}", share(sampled)),
        ),
    };
    StoreSampled {
        name: store.title(),
        outcome: if sampled == 0 { Outcome::NotProven } else { Outcome::Present },
        why,
        source: store.source().to_owned(),
        payloads: drawn.of.and_then(|of| i64::try_from(of).ok()),
        sampled: number(sampled),
        whole,
        readable: number(clear),
        claim,
        result,
    }
}

/// 3/n as a percentage, rounded up to a tenth.
fn share(n: usize) -> String {
    let tenths = 3000_usize.div_ceil(n.max(1)).min(1000);
    if tenths.is_multiple_of(10) { format!("{} %", tenths / 10) } else { format!("{}.{} %", tenths / 10, tenths % 10) }
}

fn sample(spec: &E2eeTarget, store: &str, looked: &Looked) -> Sample {
    let Seen { class, format, layers, recipients, why, .. } = looked.seen.clone();
    let names = || spec.framing.iter().map(|framing| framing.name());
    let declared = (!spec.framing.is_empty()).then(|| names().any(|name| format.as_deref() == Some(name)));
    let told = is_told(class);
    // The digest of a text that can be guessed tells it.
    let digest = (!readable(class) && class != Class::TooShort).then(|| looked.digest.to_string());
    Sample {
        name: format!("{store}: {}", looked.name),
        outcome: if told { Outcome::Present } else { Outcome::NotProven },
        why,
        class,
        format,
        layers,
        length: i64::try_from(looked.length).unwrap_or(i64::MAX),
        digest,
        recipients,
        declared,
    }
}

/// Names that tell the sort of a key and not which one it is.
fn is_anonymous(name: &str) -> bool {
    !["key ", "kid ", "serial ", "device ", "ssh-"].iter().any(|mark| name.starts_with(mark))
}

fn recipients(allowed: Option<&Allowed>, looked: &[&Looked]) -> Recipients {
    let mut found: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for looked in looked {
        let mut here: BTreeMap<&str, usize> = BTreeMap::new();
        looked.seen.recipients.iter().for_each(|name| *here.entry(name).or_default() += 1);
        for (name, count) in here {
            let (samples, most) = found.entry(name).or_default();
            (*samples, *most) = (*samples + 1, (*most).max(count));
        }
    }
    let recipient = |(name, (samples, most)): (&str, (usize, usize))| {
        let known = allowed.is_some_and(|allowed| allowed.known.iter().any(|known| known == name));
        let room = allowed.and_then(|allowed| allowed.most).is_some_and(|room| most <= room as usize);
        let hidden = is_anonymous(name);
        let unclear = hidden && !known && !room;
        Recipient {
            name: name.to_owned(),
            outcome: if unclear { Outcome::NotProven } else { Outcome::Present },
            why: unclear
                .then(|| "the format does not say whose key it is, and 'most' allows for no such number".to_owned()),
            samples: number(samples),
            most: number(most),
            declared: known && (!hidden || allowed.and_then(|a| a.most).is_none_or(|m| most <= m as usize))
                || hidden && room,
        }
    };
    // What anybody can read needs no recipient.
    let mut closed = looked.iter().filter(|looked| !looked.seen.is_readable()).peekable();
    let all_named = closed.peek().is_some() && closed.all(|looked| !looked.seen.recipients.is_empty());
    Recipients {
        asked: if all_named { Asked::All } else { Asked::Only(Vec::new()) },
        wanted: allowed.is_some(),
        recipients: found.into_iter().map(recipient).collect(),
    }
}

fn repeats(looked: &[&Looked]) -> Repeats {
    let mut by_nonce: BTreeMap<&[u8], Vec<&Looked>> = BTreeMap::new();
    let mut by_digest: BTreeMap<Digest, Vec<&Looked>> = BTreeMap::new();
    for looked in looked.iter().filter(|l| !readable(l.seen.class) && l.seen.class != Class::TooShort) {
        by_digest.entry(looked.seen.body.unwrap_or(looked.digest)).or_default().push(looked);
        if let Some(nonce) = &looked.seen.nonce {
            by_nonce.entry(nonce).or_default().push(looked);
        }
    }
    let compared = by_nonce.values().map(Vec::len).sum::<usize>();
    let repeat = |of: RepeatOf, all: &[&Looked]| {
        let names: Vec<&str> = all.iter().take(2).map(|l| l.name.as_str()).collect();
        Repeat { name: names.join(" and "), outcome: Outcome::Present, of, payloads: number(all.len()) }
    };
    let mut repeats = Vec::new();
    for all in by_nonce.values().filter(|all| all.len() > 1) {
        if all.windows(2).any(|pair| matches!(pair, [a, b] if a.digest != b.digest)) {
            repeats.push(repeat(RepeatOf::Nonce, all));
        }
    }
    repeats.extend(by_digest.values().filter(|all| all.len() > 1).map(|all| repeat(RepeatOf::Payload, all)));
    Repeats {
        compared: number(compared),
        asked: if compared > 1 { Asked::All } else { Asked::Only(Vec::new()) },
        repeats,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// A payload whose ciphertext begins so.
    fn payload(name: String, start: Vec<u8>) -> Looked {
        let digest = Digest::of(&start);
        let seen = Seen { start, ..super::super::classify::classify(b"", true, &[]) };
        let seen = Seen { class: Class::Container, format: Some("jwe".to_owned()), body: Some(digest), ..seen };
        Looked { name, length: 200, in_part: false, digest, seen }
    }

    fn random(seed: &str, length: usize) -> Vec<u8> {
        let digests = (0..length.div_ceil(32)).map(|n| Digest::of(format!("{seed} {n}").as_bytes()).to_string());
        let hex: String = digests.map(|digest| digest.rsplit(':').next().unwrap().to_owned()).collect();
        (0..length).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    fn classes(starts: impl Iterator<Item = Vec<u8>>) -> Vec<Class> {
        let looked = starts.enumerate().map(|(n, start)| payload(n.to_string(), start)).collect();
        let mut drawn = Drawn { looked, ..Drawn::default() };
        columns(&mut drawn);
        let mut classes: Vec<Class> = drawn.looked.iter().map(|looked| looked.seen.class).collect();
        classes.dedup();
        classes
    }

    #[test]
    fn texts_under_one_key_are_seen_together() {
        let key = random("key", 96);
        let text =
            |n: usize| format!("{} {}: the letter of this morning is number {n} and on your desk", n * 7919, n % 7);
        let sealed = |n: usize| text(n).bytes().zip(&key).map(|(text, key)| text ^ key).collect();
        assert_eq!(classes((0..60).map(sealed)), [Class::Patterned]);
        // A few such bytes may be a header.
        let headed = |n: usize| [&[0, 1][..], &random(&n.to_string(), 60)].concat();
        assert_eq!(classes((0..60).map(headed)), [Class::Unknown]);
        // The same payload in many places is one.
        assert_eq!(classes((0..60).map(|_| random("same", 60))), [Class::Container]);
    }

    #[test]
    fn ciphertexts_are_not_narrow_together() {
        for run in 0..20 {
            for count in [29, 30, 60, 300] {
                let starts = (0..count).map(|n| random(&format!("{run} {count} {n}"), 96));
                assert_eq!(classes(starts), [Class::Container]);
            }
        }
    }
}
