//! Inputs for every parser of bytes from a TLS server, made from recorded conversations by small damage.
//!
//! Nothing is asserted but that each parser comes back: a panic ends the program, and prints the number of the input, from
//! which the same input can be made again.

use std::collections::BTreeMap;

use check_tls::certificate::{Stores, describe, name_match, ocsp};
use check_tls::derive::derive;
use check_tls::handshake;
use check_tls::hello::{Hello, ssl2_kinds};
use check_tls::reply::{Reader, Until};
use check_tls::starttls::{self, Manner, Protocol};
use check_tls::target::TlsSpec;
use check_tls::trial::Trial;
use model::{Direction, Exchange};

/// A generator of random numbers that gives the same ones in every run (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        // Half of them are those at which lengths and tags break.
        const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0x81, 0x82, 0xfe, 0xff];
        let random = self.next();
        if random & 0x100 == 0 { EDGES[(random >> 40) as usize % EDGES.len()] } else { (random >> 48) as u8 }
    }
}

/// What the inputs are made from.
pub(super) struct Seeds {
    spec: TlsSpec,
    exchanges: Vec<Exchange>,
    replies: Vec<Vec<u8>>,
    hellos: Vec<Vec<u8>>,
    certificates: Vec<Vec<u8>>,
    responses: Vec<Vec<u8>>,
}

impl Seeds {
    /// Takes what one target's conversations hold.
    ///
    /// # Errors
    /// When the probe's parameters have changed.
    pub(super) fn of(exchanges: Vec<Exchange>) -> serde_json::Result<Self> {
        let spec = serde_json::json!({ "address": "192.0.2.1:443", "host": null, "sni": [null], "trust": [] });
        let spec = serde_json::from_value(spec)?;
        let (mut hellos, mut replies, mut certificates) = (vec![], vec![], vec![]);
        let mut responses = vec![response()];
        for exchange in &exchanges {
            hellos.push(exchange.bytes(Direction::Sent));
            replies.push(exchange.bytes(Direction::Received));
            if let Some(seen) = handshake::parse(exchange) {
                certificates.extend(seen.chain);
                responses.extend(Some(seen.ocsp).filter(|response| !response.is_empty()));
            }
        }
        // The same answer came many times; each counts once.
        for list in [&mut hellos, &mut replies, &mut certificates] {
            list.retain(|bytes| !bytes.is_empty());
            list.sort();
            list.dedup();
        }
        Ok(Self { spec, exchanges, replies, hellos, certificates, responses })
    }

    /// Whether there is something to make each sort of input from.
    pub(super) fn complete(&self) -> bool {
        ![self.exchanges.is_empty(), self.replies.is_empty(), self.hellos.is_empty(), self.certificates.is_empty()]
            .contains(&true)
    }
}

/// Gives `count` inputs, from number `first` on, to the parsers; says how many each sort of parser got.
pub(super) fn run(seeds: &Seeds, first: u64, count: u64) -> BTreeMap<&'static str, u64> {
    let stores = Stores::load(&[]);
    let mut counts = BTreeMap::new();
    for number in first..first + count {
        let outcome = std::panic::catch_unwind(|| one(seeds, &stores, number));
        let sort = outcome.unwrap_or_else(|_| panic!("input {number} makes a parser panic"));
        *counts.entry(sort).or_default() += 1;
    }
    counts
}

fn one(seeds: &Seeds, stores: &Stores, number: u64) -> &'static str {
    let mut random = Random((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let pick = |random: &mut Random, list: &[Vec<u8>]| list[random.below(list.len())].clone();
    match random.below(1000) {
        0..550 => {
            let (bytes, other) = (pick(&mut random, &seeds.replies), pick(&mut random, &seeds.replies));
            let bytes = damaged(bytes, &other, &mut random);
            for mut reader in
                [Reader::new(Until::Hello), Reader::new(Until::KeyExchange), Reader::new(Until::Done), Reader::ssl2()]
            {
                // As the network would hand it over: in pieces.
                for piece in bytes.chunks(1 + random.below(bytes.len().max(1))) {
                    reader.push(piece);
                }
                let _ = reader.finish();
            }
            "replies"
        }
        550..700 => {
            let (bytes, other) = (pick(&mut random, &seeds.hellos), pick(&mut random, &seeds.hellos));
            let bytes = damaged(bytes, &other, &mut random);
            let _ = (Hello::parse(&bytes).map(|hello| hello.encode()), ssl2_kinds(&bytes));
            "hellos"
        }
        700..850 => {
            let (bytes, other) = (pick(&mut random, &seeds.certificates), pick(&mut random, &seeds.certificates));
            let chain = [damaged(bytes, &other, &mut random), other];
            let _ = (describe(&chain), name_match(Some("www.example.org"), &chain[0]));
            if random.below(100) == 0 {
                let _ = stores.judge(&chain);
            }
            "certificates"
        }
        850..900 => {
            let (bytes, other) = (pick(&mut random, &seeds.responses), pick(&mut random, &seeds.certificates));
            let _ = ocsp(&damaged(bytes, &other, &mut random), &[other.clone(), other]);
            "OCSP responses"
        }
        900..998 => {
            let mut exchange = seeds.exchanges[random.below(seeds.exchanges.len())].clone();
            let other = pick(&mut random, &seeds.replies);
            for frame in exchange.frames.iter_mut().filter(|frame| frame.direction == Direction::Received) {
                frame.bytes = damaged(std::mem::take(&mut frame.bytes), &other, &mut random);
            }
            let protocol = Protocol::ALL[random.below(Protocol::ALL.len())];
            let manner = if random.below(2) == 0 { Manner::Short } else { Manner::Pipelined };
            let _ = (starttls::after(protocol, manner, &exchange), starttls::plain_login(protocol, manner, &exchange));
            let _ = (Trial::of(0, &exchange).map(|trial| trial.chosen().is_some()), handshake::parse(&exchange));
            "conversations"
        }
        _ => {
            let mut exchanges = seeds.exchanges.clone();
            let other = pick(&mut random, &seeds.replies);
            for _ in 0..1 + random.below(4) {
                let at = random.below(exchanges.len());
                for frame in &mut exchanges[at].frames {
                    frame.bytes = damaged(std::mem::take(&mut frame.bytes), &other, &mut random);
                }
            }
            let _ = derive(&seeds.spec, &exchanges);
            "whole records"
        }
    }
}

/// One to eight changes: bits, bytes, lengths, pieces left out, doubled or taken from elsewhere, or an early end.
fn damaged(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    for _ in 0..1 + random.below(8) {
        let at = random.below(bytes.len().max(1));
        let long = random.below(4) == 0;
        let length = 1 + random.below(if long { 600 } else { 8 });
        let end = (at + length).min(bytes.len());
        match random.below(8) {
            _ if bytes.is_empty() => bytes.push(random.byte()),
            0 => bytes[at] ^= 1 << random.below(8),
            1 | 2 => bytes[at] = random.byte(),
            3 => {
                for byte in bytes.iter_mut().skip(at).take(2) {
                    *byte = random.byte();
                }
            }
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let from = random.below(other.len().max(1));
                let piece: Vec<u8> = other.iter().skip(from).take(length).copied().collect();
                bytes.splice(at..end, piece);
            }
            _ => bytes.truncate(at),
        }
        bytes.truncate(64 << 10);
    }
    bytes
}

/// A DER element.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut element = vec![tag];
    match body.len() {
        short @ 0..0x80 => element.push(short as u8),
        long => element.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    element.extend(body);
    element
}

/// An OCSP response that says good (RFC 6960, 4.2.1), with a signature that is none.
fn response() -> Vec<u8> {
    let time = der(0x18, &[b"20260101000000Z"]);
    let sha1 = der(0x30, &[&der(0x06, &[&[0x2b, 0x0e, 0x03, 0x02, 0x1a]]), &der(0x05, &[])]);
    let hash = der(0x04, &[&[7; 20]]);
    let id = der(0x30, &[&sha1, &hash, &hash, &der(0x02, &[&[1, 2]])]);
    let single = der(0x30, &[&id, &der(0x80, &[]), &time, &der(0xa0, &[&time])]);
    let data = der(0x30, &[&der(0xa2, &[&hash]), &time, &der(0x30, &[&single])]);
    let algorithm = der(0x30, &[&der(0x06, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]])]);
    let basic = der(0x30, &[&data, &algorithm, &der(0x03, &[&[0; 70]])]);
    let kind = der(0x06, &[&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01]]);
    let bytes = der(0x30, &[&kind, &der(0x04, &[&basic])]);
    der(0x30, &[&der(0x0a, &[&[0]]), &der(0xa0, &[&bytes])])
}
