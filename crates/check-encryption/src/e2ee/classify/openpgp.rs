//! OpenPGP messages (RFC 9580; RFC 4880 before it): sequences of packets.

use std::io::Read as _;

use super::{Container, Found, Seen};
use crate::facts::Class;

/// Bytes that come out of a compressed packet, at most.
const MOST: u64 = 1 << 20;

/// Tags of packets (RFC 9580, section 5).
mod tag {
    pub(super) const PKESK: u8 = 1;
    pub(super) const SIGNATURE: u8 = 2;
    pub(super) const SKESK: u8 = 3;
    pub(super) const ONE_PASS: u8 = 4;
    pub(super) const COMPRESSED: u8 = 8;
    pub(super) const SED: u8 = 9;
    pub(super) const MARKER: u8 = 10;
    pub(super) const LITERAL: u8 = 11;
    pub(super) const SEIPD: u8 = 18;
    pub(super) const AEAD: u8 = 20;
    pub(super) const PADDING: u8 = 21;
}

/// A packet.
struct Packet {
    tag: u8,
    body: Vec<u8>,
    /// It ends where its length says; false where the bytes end first.
    complete: bool,
    /// It has no length: it goes to the end, whatever that is.
    open: bool,
}

/// The next packet, and what follows it (section 4.2).
fn packet(bytes: &[u8]) -> Option<(Packet, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b));
    let cut = |rest: &[u8], length: usize| length > rest.len();
    if first & 0x40 == 0 {
        let tag = first >> 2 & 15;
        if first & 3 == 3 {
            return Some((Packet { tag, body: rest.to_vec(), complete: true, open: true }, &[]));
        }
        let (length, after) = rest.split_at_checked(1 << (first & 3))?;
        let length = number(length);
        let (body, left) = after.split_at(length.min(after.len()));
        return Some((Packet { tag, body: body.to_vec(), complete: !cut(after, length), open: false }, left));
    }
    let (tag, mut body) = (first & 63, Vec::new());
    loop {
        let (first, after) = rest.split_first()?;
        let (length, after, last) = match first {
            0..=191 => (usize::from(*first), after, true),
            192..=223 => {
                let (second, after) = after.split_first()?;
                (((usize::from(*first) - 192) << 8) + usize::from(*second) + 192, after, true)
            }
            255 => {
                let (length, after) = after.split_at_checked(4)?;
                (number(length), after, true)
            }
            partial => (1 << (partial & 31), after, false),
        };
        let complete = !cut(after, length);
        let (piece, left) = after.split_at(length.min(after.len()));
        body.extend_from_slice(piece);
        if last || !complete {
            return Some((Packet { tag, body, complete: complete && last, open: false }, left));
        }
        rest = left;
    }
}

/// What the packets are: an encrypted message, or a layer around something in clear.
pub(super) fn read(bytes: &[u8], whole: bool) -> Option<Found> {
    let (mut rest, mut recipients, mut beside) = (bytes, Vec::new(), Vec::new());
    while let Some((packet, after)) = packet(rest) {
        if whole && !packet.complete {
            return None;
        }
        let body = packet.body.as_slice();
        match (packet.tag, body) {
            (tag::PKESK, [3, rest @ ..]) => {
                let (id, rest) = rest.split_at_checked(8)?;
                // RSA, ElGamal, ECDH, X25519, X448 and the algorithms after quantum computers (section 9.1).
                rest.first().filter(|algorithm| matches!(algorithm, 1..=3 | 16 | 18 | 25 | 26 | 35 | 36))?;
                recipients.push(key_id(id));
            }
            (tag::PKESK, [6, length, version, print @ ..]) if *length > 0 && matches!(version, 4 | 6) => {
                let print = print.get(..usize::from(*length).checked_sub(1)?)?;
                recipients.push(format!("key {}", hex(print)));
            }
            (tag::PKESK, [6, 0, ..]) => recipients.push("hidden key".to_owned()),
            (tag::SKESK, [4, 1..=13, 0 | 1 | 3 | 4, ..] | [5 | 6, ..]) => recipients.push("passphrase".to_owned()),
            (tag::MARKER, b"PGP") => {}
            // Whatever is in it: by itself no sign of a message.
            (tag::PADDING, _) if !recipients.is_empty() => {}
            (tag::SEIPD, [version @ (1 | 2), body @ ..]) if !packet.open && after.is_empty() => {
                // Version 2 begins with cipher, mode, size of parts and a salt of 32 bytes.
                let head = if *version == 1 { 0 } else { 35 };
                return Some(encrypted(recipients, beside, body.get(head..)?));
            }
            (tag::AEAD, [1, body @ ..]) if !packet.open && after.is_empty() => {
                return Some(encrypted(recipients, beside, body.get(3..)?));
            }
            // Without a packet for its key before it, a byte and a length are no sign of it.
            (tag::SED, _) if !recipients.is_empty() && !packet.open && after.is_empty() => {
                let why = "symmetrically encrypted without any protection of integrity (packet 9), which lets a server change \
                           and, with answers of clients, read it";
                return Some(Found::Told(Seen::new(Class::Patterned, Some("openpgp"), why)));
            }
            (tag::COMPRESSED, [algorithm, body @ ..]) => {
                let inner = inflate(*algorithm, body)?;
                return Some(Found::Layer("openpgp compressed", literal(&inner)?, true));
            }
            (tag::ONE_PASS, [3 | 6, ..]) | (tag::SIGNATURE, [3 | 4 | 6, ..]) if !packet.open => {}
            (tag::LITERAL, _) if !packet.open => {
                return Some(Found::Layer("openpgp literal", literal(rest)?, whole));
            }
            _ => return None,
        }
        beside.push(packet.body);
        rest = after;
    }
    None
}

fn encrypted(recipients: Vec<String>, beside: Vec<Vec<u8>>, body: &[u8]) -> Found {
    let body = body.to_vec();
    Found::Container(Container { format: "openpgp", recipients, body, beside, ..Container::default() })
}

fn key_id(id: &[u8]) -> String {
    if id.iter().all(|b| *b == 0) { "hidden key".to_owned() } else { format!("key {}", hex(id)) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// The packets in a compressed one (section 9.4).
fn inflate(algorithm: u8, body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let read = match algorithm {
        0 => body.take(MOST).read_to_end(&mut out),
        1 => flate2::read::DeflateDecoder::new(body).take(MOST).read_to_end(&mut out),
        2 => flate2::read::ZlibDecoder::new(body).take(MOST).read_to_end(&mut out),
        3 => bzip2::read::BzDecoder::new(body).take(MOST).read_to_end(&mut out),
        _ => return None,
    };
    (read.is_ok() || !out.is_empty()).then_some(out)
}

/// What a literal packet holds (section 5.9), past signatures before it.
fn literal(mut bytes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let (packet, after) = packet(bytes)?;
        match packet.tag {
            tag::LITERAL => {
                let [b'b' | b't' | b'u' | b'l' | b'm', name, rest @ ..] = packet.body.as_slice() else { return None };
                return rest.get(usize::from(*name) + 4..).map(<[u8]>::to_vec);
            }
            tag::ONE_PASS | tag::SIGNATURE | tag::MARKER => bytes = after,
            _ => return None,
        }
    }
}
