//! Messengers' own formats: Matrix, Signal, MLS, OMEMO; and what servers encrypt with keys of their own.

use serde_json::Value;

use super::layers::base64;
use super::{Container, Found, Seen};
use crate::facts::Class;

fn container(format: &'static str, body: &[u8]) -> Container {
    Container { format, body: body.to_vec(), ..Container::default() }
}

/// Fields of a protobuf message: number, and value or bytes. `None` where it does not parse to its end.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = varint(bytes)?;
        let (field, rest) = match key & 7 {
            0 => varint(rest).map(|(_, rest)| (Field::Number, rest))?,
            2 => {
                let (length, rest) = varint(rest)?;
                let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Field::Bytes(field), rest)
            }
            _ => return None,
        };
        fields.push((key >> 3, field));
        bytes = rest;
    }
    Some(fields)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field<'a> {
    Number,
    Bytes(&'a [u8]),
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

/// What a message holds beside its ciphertext, and whether it has fields that its format does not know.
fn around(fields: &[(u64, Field<'_>)], body: u64, known: u64) -> (Vec<Vec<u8>>, Option<String>) {
    let strings = fields.iter().filter_map(|(n, field)| match field {
        Field::Bytes(bytes) if *n != body => Some(bytes.to_vec()),
        _ => None,
    });
    let twice = fields.iter().filter(|(n, _)| *n == body).count() > 1;
    let strange = twice || fields.iter().any(|(n, _)| !(1..=known).contains(n));
    (strings.collect(), strange.then(|| "it has fields that its format does not know".to_owned()))
}

fn find<'a>(fields: &[(u64, Field<'a>)], number: u64) -> Option<&'a [u8]> {
    fields.iter().find_map(|(n, f)| match f {
        Field::Bytes(bytes) if *n == number => Some(*bytes),
        _ => None,
    })
}

/// Binary messages. All bytes must be there: they are short.
pub(super) fn of_bytes(bytes: &[u8], whole: bool) -> Option<Container> {
    let (first, rest) = bytes.split_first().filter(|_| whole)?;
    match first {
        3 => megolm(rest).or_else(|| olm(rest)),
        0x33 | 0x34 | 0x44 => signal(rest),
        0 => mls(bytes),
        0x80 => fernet(bytes),
        _ => None,
    }
}

/// Megolm (<https://gitlab.matrix.org/matrix-org/olm/-/blob/master/docs/megolm.md>): an index, the ciphertext, 8 bytes of MAC
/// and 64 of signature.
fn megolm(rest: &[u8]) -> Option<Container> {
    let (message, _) = rest.split_at_checked(rest.len().checked_sub(72)?)?;
    match fields(message)?.as_slice() {
        [(1, Field::Number), (2, Field::Bytes(body))] if body.len().is_multiple_of(16) => {
            Some(container("megolm", body))
        }
        _ => None,
    }
}

/// Olm: ratchet key, index, ciphertext, 8 bytes of MAC; or the message of a first contact, which holds one.
fn olm(rest: &[u8]) -> Option<Container> {
    if let Some((message, _)) = rest.len().checked_sub(8).and_then(|at| rest.split_at_checked(at))
        && let Some(fields) = fields(message)
        && find(&fields, 1).is_some_and(|key| key.len() == 32)
        && let Some(body) = find(&fields, 4).filter(|body| body.len().is_multiple_of(16))
    {
        let (beside, doubt) = around(&fields, 4, 4);
        return Some(Container { beside, doubt, ..container("olm", body) });
    }
    let fields = fields(rest)?;
    let keys = [1, 2, 3].iter().all(|n| find(&fields, *n).is_some_and(|key| key.len() == 32));
    let (beside, doubt) = around(&fields, 4, 4);
    find(&fields, 4).filter(|_| keys).map(|body| Container { beside, doubt, ..container("olm", body) })
}

/// SignalMessage and PreKeySignalMessage (<https://github.com/signalapp/libsignal>, `wire.proto`).
fn signal(rest: &[u8]) -> Option<Container> {
    let is_key = |key: &[u8]| key.len() == 33 && key.first() == Some(&5);
    if let Some(fields) = fields(rest)
        && [2, 3].iter().all(|n| find(&fields, *n).is_some_and(is_key))
    {
        // Keys and their numbers, and the message in it: seven fields, and two of a key after quantum computers.
        let (mut beside, mut doubt) = around(&fields, 4, 8);
        let message = find(&fields, 4)?;
        let Some(inner) = message.split_first().and_then(|(_, rest)| signal_message(rest)) else {
            return Some(Container { beside, doubt, ..container("signal", message) });
        };
        beside.extend(inner.beside);
        doubt = doubt.or(inner.doubt);
        return Some(Container { beside, doubt, ..container("signal", &inner.body) });
    }
    signal_message(rest)
}

/// A SignalMessage: the ratchet's key, numbers, the ciphertext, since 2025 `pq_ratchet` and `addresses`; then 8 bytes of MAC.
fn signal_message(rest: &[u8]) -> Option<Container> {
    let is_key = |key: &[u8]| key.len() == 33 && key.first() == Some(&5);
    let (message, _) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let fields = fields(message)?;
    let body = find(&fields, 4).filter(|_| find(&fields, 1).is_some_and(is_key))?;
    let (beside, doubt) = around(&fields, 4, 6);
    Some(Container { beside, doubt, ..container("signal", body) })
}

/// MLSMessage with a PrivateMessage (RFC 9420, section 6): version 1, wire format 2.
fn mls(bytes: &[u8]) -> Option<Container> {
    let rest = bytes.strip_prefix(&[0, 1, 0, 2])?;
    let (group, rest) = vector(rest)?;
    let (epoch_and_type, rest) = rest.split_at_checked(9)?;
    if !matches!(epoch_and_type.last(), Some(1..=3)) {
        return None;
    }
    let (authenticated, rest) = vector(rest)?;
    let (sender, rest) = vector(rest)?;
    let (body, rest) = vector(rest)?;
    let beside = [group, authenticated, sender].map(<[u8]>::to_vec).to_vec();
    rest.is_empty().then(|| Container { beside, ..container("mls", body) })
}

/// A vector of variable length (RFC 9420, section 2.1.2).
fn vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *bytes.first()?;
    let size = 1_usize.checked_shl(u32::from(first >> 6)).filter(|size| *size <= 4)?;
    let (length, rest) = bytes.split_at_checked(size)?;
    let length = length.iter().skip(1).fold(usize::from(first & 63), |n, b| n << 8 | usize::from(*b));
    rest.split_at_checked(length)
}

/// Application data that RFC 9420, section 6.2, forbids in a PublicMessage: anybody can read them.
pub(super) fn is_public_mls(bytes: &[u8]) -> bool {
    let content = || {
        let rest = bytes.strip_prefix(&[0, 1, 0, 1])?;
        let (_group, rest) = vector(rest)?;
        let (sender, rest) = rest.split_at_checked(9)?;
        let rest = if matches!(sender.last(), Some(1 | 2)) { rest.get(4..)? } else { rest };
        let (_authenticated, rest) = vector(rest)?;
        let (content_type, rest) = rest.split_first()?;
        vector(rest).filter(|(data, _)| *content_type == 1 && !data.is_empty())
    };
    content().is_some()
}

/// A Fernet token (<https://github.com/fernet/spec>): version, time, IV, blocks, HMAC.
fn fernet(bytes: &[u8]) -> Option<Container> {
    let blocks = bytes.len().checked_sub(1 + 8 + 16 + 32)?;
    let time = bytes.get(1..9)?.iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    // From 2001 to 2106.
    let plausible = (1_000_000_000..4_300_000_000).contains(&time);
    let body = bytes.get(25..25 + blocks).filter(|_| plausible && blocks >= 16 && blocks.is_multiple_of(16))?;
    Some(Container { server_side: true, ..container("fernet", body) })
}

/// Texts that begin with a server's mark.
pub(super) fn of_text(text: &str) -> Option<Container> {
    let server = |format| Some(Container { format, server_side: true, ..Container::default() });
    if let Some(rest) = text.trim().strip_prefix("vault:v") {
        let (version, body) = rest.split_once(':')?;
        version.parse::<u32>().ok()?;
        base64(body)?;
        return server("vault transit");
    }
    let rest = text.strip_prefix("k8s:enc:")?;
    rest.contains(":v").then(|| server("kubernetes"))?
}

/// An event of Matrix (<https://spec.matrix.org>, "End-to-end encryption"), whole or its content alone.
pub(super) fn matrix(value: &Value) -> Option<Found> {
    let kind = value.get("type").and_then(Value::as_str);
    let content = value.get("content").unwrap_or(value);
    if kind == Some("m.room.message") && content.get("body").is_some() {
        let why = "an event m.room.message: its body is in clear";
        return Some(Found::Told(Seen::new(Class::Plaintext, Some("matrix"), why)));
    }
    let algorithm = content.get("algorithm")?.as_str()?;
    let ciphertext = content.get("ciphertext")?;
    let clear = |member: &str| content.get(member).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
    if clear("body") || clear("formatted_body") {
        let why = "an encrypted event with a body in clear beside the ciphertext";
        return Some(Found::Told(Seen::new(Class::Plaintext, Some("matrix"), why)));
    }
    if algorithm.starts_with("m.megolm.") {
        return of_bytes(&base64(ciphertext.as_str()?)?, true).map(Found::Container);
    }
    if !algorithm.starts_with("m.olm.") {
        return None;
    }
    let (mut recipients, mut body, mut beside, mut doubt) = (Vec::new(), None, Vec::new(), None);
    for (key, message) in ciphertext.as_object()? {
        let message = of_bytes(&base64(message.get("body")?.as_str()?)?, true)?;
        body = body.or(Some(message.body));
        beside.extend(message.beside);
        doubt = doubt.or(message.doubt);
        recipients.push(format!("device key {}", key.chars().take(43).collect::<String>()));
    }
    Some(Found::Container(Container { recipients, beside, doubt, ..container("olm", &body?) }))
}
