//! The form in which a handshake is kept, so that it can be read back without its keys.

use model::{Direction, Exchange};
use serde::{Deserialize, Serialize};

use super::{Offer, Seen, Ticket};
use crate::facts::VersionName;
use crate::starttls;

/// Handshake message types (IANA "TLS HandshakeType").
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_STATUS: u8 = 22;
/// From the range for private use (RFC 8447): what rustls says of the handshake, as JSON.
const SUMMARY: u8 = 224;
/// From the same range: application data as decrypted.
const WITHIN: u8 = 225;
/// And: the name of an authority of a CertificateRequest, DER.
const AUTHORITY: u8 = 226;

/// Record content types (RFC 8446, 5.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// The random of a HelloRetryRequest (RFC 8446, 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    version: Option<String>,
    suite: Option<u16>,
    group: Option<u16>,
    alpn: Option<String>,
    signature_scheme: Option<u16>,
    signature_verified: Option<bool>,
    client_certificate_requested: bool,
    completed: bool,
    #[serde(default)]
    alert: Option<u8>,
    #[serde(default)]
    closed: bool,
    #[serde(default)]
    tickets: Vec<Ticket>,
}

/// Reads back what a handshake showed; `None` where the exchange is no handshake, showed no certificate, or was cut.
///
/// The bytes sent are the records of each ClientHello. The bytes received are handshake messages without record layer,
/// each with type (u8) and length (u24): every ServerHello as received; a Certificate in the form of TLS 1.2 (RFC 5246,
/// 7.4.2), whatever the version; a CertificateStatus (RFC 6066, 8) where a response was stapled; and a message of the
/// private type 224, a JSON object with the other values of [`Seen`]; of type 225, what was said within TLS; and of type
/// 226, one for each authority of a CertificateRequest. The dialogue of STARTTLS stands before all of it. Encrypted records are not kept: without the keys,
/// which are gone, nobody could read them. Where no certificate was seen the bytes received are as received.
#[must_use]
pub fn parse(exchange: &Exchange) -> Option<Seen> {
    let offer = Offer::of_question(&exchange.question)?;
    let bytes = match offer.starttls {
        Some(protocol) => starttls::after(protocol, offer.manner, exchange).ok()?.received,
        None => exchange.bytes(Direction::Received),
    };
    let mut rest = bytes.as_slice();
    let (mut chain, mut ocsp, mut summary) = (None, vec![], None);
    let (mut within, mut authorities) = (vec![], vec![]);
    while !rest.is_empty() {
        let (kind, body, _) = message(&mut rest)?;
        match kind {
            SERVER_HELLO => {}
            CERTIFICATE => chain = Some(certificates(body)?),
            CERTIFICATE_STATUS => ocsp = status(body)?.to_vec(),
            WITHIN => within = body.to_vec(),
            AUTHORITY => authorities.push(body.to_vec()),
            SUMMARY => summary = Some(serde_json::from_slice::<Summary>(body).ok()?),
            _ => return None,
        }
    }
    let summary = summary?;
    let version = match summary.version {
        Some(name) => Some(VersionName::ALL.into_iter().find(|version| version.as_str() == name)?),
        None => None,
    };
    Some(Seen {
        version,
        suite: summary.suite,
        group: summary.group,
        alpn: summary.alpn,
        chain: chain?,
        ocsp,
        signature_scheme: summary.signature_scheme,
        signature_verified: summary.signature_verified,
        client_certificate_requested: summary.client_certificate_requested,
        completed: summary.completed,
        authorities,
        alert: summary.alert,
        closed: summary.closed,
        tickets: summary.tickets,
        within,
    })
}

/// What is kept of the bytes received; see [`parse`].
pub(crate) fn encode(received: &[u8], seen: &Seen) -> Vec<u8> {
    let mut out = server_hellos(received);
    let list: Vec<u8> = seen.chain.iter().flat_map(|der| [&length(der.len()), der.as_slice()].concat()).collect();
    put(&mut out, CERTIFICATE, &[&length(list.len()), list.as_slice()].concat());
    if !seen.ocsp.is_empty() {
        // status_type ocsp (1), then the response with its length.
        put(&mut out, CERTIFICATE_STATUS, &[&[1], length(seen.ocsp.len()).as_slice(), &seen.ocsp].concat());
    }
    let summary = Summary {
        version: seen.version.map(|version| version.as_str().to_owned()),
        suite: seen.suite,
        group: seen.group,
        alpn: seen.alpn.clone(),
        signature_scheme: seen.signature_scheme,
        signature_verified: seen.signature_verified,
        client_certificate_requested: seen.client_certificate_requested,
        completed: seen.completed,
        alert: seen.alert,
        closed: seen.closed,
        tickets: seen.tickets.clone(),
    };
    if !seen.within.is_empty() {
        put(&mut out, WITHIN, &seen.within);
    }
    seen.authorities.iter().for_each(|name| put(&mut out, AUTHORITY, name));
    // Numbers and strings always have a JSON form.
    put(&mut out, SUMMARY, &serde_json::to_vec(&summary).unwrap_or_default());
    out
}

/// The records in `sent` that hold one ClientHello each: all that is said in the clear and worth keeping.
pub(crate) fn hellos(sent: &[u8]) -> Vec<&[u8]> {
    let mut rest = sent;
    let mut hellos = Vec::new();
    while let Some((kind, body, whole)) = record(&mut rest) {
        let mut inside = body;
        if kind == HANDSHAKE && matches!(message(&mut inside), Some((CLIENT_HELLO, ..))) && inside.is_empty() {
            hellos.push(whole);
        }
    }
    hellos
}

/// Every ServerHello and HelloRetryRequest, as handshake messages. Ends with the first ServerHello proper, after which
/// bytes may be encrypted.
fn server_hellos(received: &[u8]) -> Vec<u8> {
    let mut rest = received;
    let mut clear = Vec::new();
    while let Some((kind, body, _)) = record(&mut rest) {
        match kind {
            HANDSHAKE => clear.extend_from_slice(body),
            CHANGE_CIPHER_SPEC => {}
            _ => break,
        }
    }
    let mut rest = clear.as_slice();
    let mut out = Vec::new();
    while let Some((SERVER_HELLO, body, whole)) = message(&mut rest) {
        out.extend_from_slice(whole);
        if body.get(2..34) != Some(&RETRY) {
            break;
        }
    }
    out
}

/// Splits off a record: content type, body, and all of it.
pub(super) fn record<'b>(rest: &mut &'b [u8]) -> Option<(u8, &'b [u8], &'b [u8])> {
    let [kind, _, _, high, low, ..] = **rest else { return None };
    let whole = rest.split_off(..5 + usize::from(u16::from_be_bytes([high, low])))?;
    Some((kind, whole.get(5..)?, whole))
}

/// Splits off a handshake message: type, body, and all of it.
pub(super) fn message<'b>(rest: &mut &'b [u8]) -> Option<(u8, &'b [u8], &'b [u8])> {
    let [kind, a, b, c, ..] = **rest else { return None };
    let whole = rest.split_off(..4 + number([a, b, c]))?;
    Some((kind, whole.get(4..)?, whole))
}

/// Splits off a vector with a length of three bytes.
fn vector<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let [a, b, c, ..] = **rest else { return None };
    rest.split_off(..3 + number([a, b, c]))?.get(3..)
}

fn certificates(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = body;
    let mut list = vector(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    let mut chain = Vec::new();
    while !list.is_empty() {
        chain.push(vector(&mut list)?.to_vec());
    }
    Some(chain)
}

fn status(body: &[u8]) -> Option<&[u8]> {
    let [1, rest @ ..] = body else { return None };
    let mut rest = rest;
    vector(&mut rest).filter(|_| rest.is_empty())
}

fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&length(body.len()));
    out.extend_from_slice(body);
}

fn number([a, b, c]: [u8; 3]) -> usize {
    usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
}

/// Three bytes. Longer things than they can count do not pass the bound on bytes read.
fn length(bytes: usize) -> [u8; 3] {
    let [_, low @ ..] = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    low
}

#[cfg(test)]
mod tests {
    use model::{Ended, Frame};
    use proptest::prelude::*;

    use super::*;
    use crate::handshake::Signatures;
    use crate::starttls::Manner;

    fn exchange(received: Vec<u8>) -> Exchange {
        let offer = Offer {
            sni: Some("example.org".into()),
            versions: vec![VersionName::Tls13],
            alpn: vec!["h2".into()],
            signatures: Signatures::Any,
            starttls: None,
            manner: Manner::Short,
            to_the_end: true,
        };
        assert_eq!(Offer::of_question(&offer.question()), Some(offer.clone()));
        Exchange {
            question: offer.question(),
            peer: "127.0.0.1:443".into(),
            at: 0,
            ended: Ended::ByUs,
            cut: false,
            frames: vec![Frame { direction: Direction::Received, bytes: received }],
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_back(
            chain in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..5),
            ocsp: Vec<u8>,
            received: Vec<u8>,
            suite: Option<u16>,
            verified: Option<bool>,
        ) {
            let seen = Seen {
                version: Some(VersionName::Tls12),
                suite,
                group: None,
                alpn: Some("h2".into()),
                chain,
                ocsp,
                signature_scheme: Some(0x0804),
                signature_verified: verified,
                client_certificate_requested: true,
                completed: false,
                authorities: vec![vec![0x30, 0]],
                alert: Some(116),
                closed: true,
                tickets: vec![Ticket { lifetime: 7200, early_data: Some(1), begins: "00".into(), length: 192 }],
                within: b"221 bye".to_vec(),
            };
            prop_assert_eq!(parse(&exchange(encode(&received, &seen))), Some(seen));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, kind in 0..5_usize) {
            let _ = parse(&exchange(bytes.clone()));
            let _ = hellos(&bytes);
            let _ = server_hellos(&bytes);
            let kind = [SERVER_HELLO, CERTIFICATE, CERTIFICATE_STATUS, SUMMARY, HANDSHAKE].get(kind).copied();
            let mut framed = Vec::new();
            put(&mut framed, kind.unwrap_or_default(), &bytes);
            let _ = parse(&exchange(framed));
        }
    }
}
