//! Session tickets: in clear text in TLS 1.2 (RFC 5077), and under the keys of the session in TLS 1.3 (RFC 8446, 4.6.1).

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, KeyType, Prk};
use serde::{Deserialize, Serialize};

use super::encoding::{message, record};
use crate::facts::VersionName;
use crate::wire;

/// What is kept of the beginning of a ticket: the name of its key, where the server follows RFC 5077, section 4.
const BEGINNING: usize = 16;
/// Most tickets kept of one connection.
const MOST: usize = 16;
/// Handshake message NewSessionTicket.
const NEW_SESSION_TICKET: u8 = 4;
/// Extension `early_data` (RFC 8446, 4.2.10).
const EARLY_DATA: u16 = 42;

/// A session ticket, as far as it tells anything to one who can't open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Lifetime in seconds; 0 in TLS 1.2 leaves it open.
    pub lifetime: u32,
    /// Bytes of early data that it lets a client send; null where it lets none.
    pub early_data: Option<u32>,
    /// Its first 16 bytes in hexadecimal.
    pub begins: String,
    /// Its length in bytes.
    pub length: u32,
}

/// The secret under which the server speaks after the handshake, for as long as the connection lasts.
#[derive(Default)]
pub(super) struct Secret(Mutex<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl rustls::KeyLog for Secret {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if label == "SERVER_TRAFFIC_SECRET_0" {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = secret.to_vec();
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == "SERVER_TRAFFIC_SECRET_0"
    }
}

/// The tickets among the records received.
pub(super) fn tickets(version: Option<VersionName>, suite: u16, secret: &Secret, received: &[u8]) -> Vec<Ticket> {
    let clear = match version {
        Some(VersionName::Tls13) => {
            let secret = secret.0.lock().unwrap_or_else(PoisonError::into_inner);
            Keys::new(suite, &secret).map(|keys| keys.messages(received)).unwrap_or_default()
        }
        _ => before_encryption(received),
    };
    let mut rest = clear.as_slice();
    let mut found = Vec::new();
    while let Some((kind, body, _)) = message(&mut rest) {
        if kind == NEW_SESSION_TICKET
            && found.len() < MOST
            && let Some(ticket) = ticket(version == Some(VersionName::Tls13), body)
        {
            found.push(ticket);
        }
    }
    found
}

/// Handshake messages up to the ChangeCipherSpec.
fn before_encryption(received: &[u8]) -> Vec<u8> {
    let mut rest = received;
    let mut clear = Vec::new();
    while let Some((22, body, _)) = record(&mut rest) {
        clear.extend_from_slice(body);
    }
    clear
}

fn ticket(tls13: bool, mut body: &[u8]) -> Option<Ticket> {
    let rest = &mut body;
    let lifetime = u32::try_from(wire::number(rest, 4)?).ok()?;
    if tls13 {
        wire::take(rest, 4)?;
        wire::vector(rest, 1)?;
    }
    let bytes = wire::vector(rest, 2)?;
    let mut early_data = None;
    if tls13 {
        let mut extensions = wire::vector(rest, 2)?;
        while !extensions.is_empty() {
            let code = wire::u16(&mut extensions)?;
            let mut content = wire::vector(&mut extensions, 2)?;
            if code == EARLY_DATA {
                early_data = u32::try_from(wire::number(&mut content, 4)?).ok();
            }
        }
    }
    // In TLS 1.2 an empty ticket takes the offer back (RFC 5077, 3.3).
    (!bytes.is_empty()).then(|| Ticket {
        lifetime,
        early_data,
        begins: bytes.iter().take(BEGINNING).map(|byte| format!("{byte:02x}")).collect(),
        length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    })
}

/// The server's keys after the handshake (RFC 8446, 7.3).
struct Keys {
    key: LessSafeKey,
    iv: [u8; 12],
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Keys {
    fn new(suite: u16, secret: &[u8]) -> Option<Self> {
        let (cipher, hash) = match suite {
            0x1301 => (&aead::AES_128_GCM, hkdf::HKDF_SHA256),
            0x1302 => (&aead::AES_256_GCM, hkdf::HKDF_SHA384),
            0x1303 => (&aead::CHACHA20_POLY1305, hkdf::HKDF_SHA256),
            _ => return None,
        };
        if secret.is_empty() {
            return None;
        }
        let prk = Prk::new_less_safe(hash, secret);
        let expand = |label: &str, out: &mut [u8]| {
            let mut info = u16::try_from(out.len()).ok()?.to_be_bytes().to_vec();
            wire::put(&mut info, 1, format!("tls13 {label}").as_bytes());
            info.push(0);
            prk.expand(&[&info], Length(out.len())).ok()?.fill(out).ok()
        };
        let mut key = vec![0; cipher.key_len()];
        let mut iv = [0; 12];
        expand("key", &mut key)?;
        expand("iv", &mut iv)?;
        Some(Self { key: LessSafeKey::new(UnboundKey::new(cipher, &key).ok()?), iv })
    }

    /// The handshake messages under these keys. Records of the handshake itself are under others, and are passed over.
    fn messages(&self, received: &[u8]) -> Vec<u8> {
        let mut rest = received;
        let mut clear = Vec::new();
        let mut sequence: u64 = 0;
        while let Some((kind, body, whole)) = record(&mut rest) {
            if kind != 23 {
                continue;
            }
            let mut nonce = self.iv;
            for (byte, number) in nonce.iter_mut().rev().zip(sequence.to_le_bytes()) {
                *byte ^= number;
            }
            let mut inside = body.to_vec();
            let header = whole.get(..5).unwrap_or_default();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let Ok(plain) = self.key.open_in_place(nonce, Aad::from(header), &mut inside) else { continue };
            sequence += 1;
            // The type stands behind the content, and zeros may follow (RFC 8446, 5.2).
            let Some(end) = plain.iter().rposition(|byte| *byte != 0) else { continue };
            if plain.get(end) == Some(&22) {
                clear.extend_from_slice(plain.get(..end).unwrap_or_default());
            }
        }
        clear
    }
}
