//! Packets under the first keys of a connection (RFC 4253, section 7.2): enough to ask how one may log in.
//!
//! Two ciphers that bring their own integrity: `chacha20-poly1305@openssh.com` (OpenSSH's PROTOCOL.chacha20poly1305) and
//! `aes*-gcm@openssh.com` (RFC 5647). Nothing secret is said under them.

use aws_lc_rs::aead::chacha20_poly1305_openssh::{self as openssh, OpeningKey, SealingKey};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest::{self, Context};
use aws_lc_rs::rand::SystemRandom;

use super::offer::Offer;
use super::packet::put_string;

/// Bytes of a tag; the same for both ciphers.
const TAG: usize = 16;
/// Most bytes of a packet under these keys; answers here are short.
const MOST_PACKET: usize = 16 * 1024;

/// A method of key exchange with keys of one's own.
#[derive(Clone, Copy)]
pub(super) struct Curve {
    /// The name that both sides agreed upon.
    pub(super) name: &'static str,
    agreement: &'static agreement::Algorithm,
    hash: &'static digest::Algorithm,
}

/// Those that are known here (RFC 8731; RFC 5656).
static CURVES: [Curve; 5] = [
    Curve { name: "curve25519-sha256", agreement: &agreement::X25519, hash: &digest::SHA256 },
    Curve { name: "curve25519-sha256@libssh.org", agreement: &agreement::X25519, hash: &digest::SHA256 },
    Curve { name: "ecdh-sha2-nistp256", agreement: &agreement::ECDH_P256, hash: &digest::SHA256 },
    Curve { name: "ecdh-sha2-nistp384", agreement: &agreement::ECDH_P384, hash: &digest::SHA384 },
    Curve { name: "ecdh-sha2-nistp521", agreement: &agreement::ECDH_P521, hash: &digest::SHA512 },
];

/// Ciphers, the favourite first.
const CIPHERS: [&str; 3] = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com"];

/// A method and a cipher that a server has, too.
pub(super) fn common(offer: &Offer) -> Option<(Curve, &'static str)> {
    let curve = CURVES.iter().find(|curve| offer.kex.iter().any(|name| name == curve.name))?;
    let has = |list: &[String], cipher: &&str| list.iter().any(|name| name == cipher);
    let [to_server, to_client] = &offer.cipher;
    let cipher = CIPHERS.into_iter().find(|cipher| has(to_server, cipher) && has(to_client, cipher))?;
    Some((*curve, cipher))
}

/// One's own part of a key exchange.
pub(super) struct Own {
    curve: Curve,
    private: EphemeralPrivateKey,
    /// The value to send.
    pub(super) public: Vec<u8>,
}

/// What both sides said up to the keys.
pub(super) struct Said<'a> {
    /// Identification strings: ours, theirs.
    pub(super) identifications: [&'a [u8]; 2],
    /// Payloads of `SSH_MSG_KEXINIT`: ours, theirs.
    pub(super) offers: [&'a [u8]; 2],
    /// The host key.
    pub(super) host_key: &'a [u8],
    /// The server's public value.
    pub(super) public: &'a [u8],
}

impl Own {
    /// A fresh one; `None` where the system gives no randomness.
    pub(super) fn new(curve: Curve) -> Option<Self> {
        let private = EphemeralPrivateKey::generate(curve.agreement, &SystemRandom::new()).ok()?;
        let public = private.compute_public_key().ok()?.as_ref().to_vec();
        Some(Self { curve, private, public })
    }

    /// The keys of both directions; `None` where the server's value is none.
    pub(super) fn keys(self, said: &Said<'_>, cipher: &str) -> Option<Keys> {
        let Self { curve, private, public } = self;
        let peer = UnparsedPublicKey::new(curve.agreement, said.public);
        let secret = agreement::agree_ephemeral(private, peer, (), |secret| Ok(mpint(secret))).ok()?;
        let mut hashed = Vec::new();
        let [ours, theirs] = said.identifications;
        let [our_offer, their_offer] = said.offers;
        for part in [ours, theirs, our_offer, their_offer, said.host_key, &public, said.public] {
            put_string(&mut hashed, part);
        }
        hashed.extend_from_slice(&secret);
        let id = digest::digest(curve.hash, &hashed);
        let derive = |letter: u8, length: usize| {
            let mut key: Vec<u8> = Vec::new();
            while key.len() < length {
                let mut context = Context::new(curve.hash);
                context.update(&secret);
                context.update(id.as_ref());
                if key.is_empty() {
                    context.update(&[letter]);
                    context.update(id.as_ref());
                } else {
                    context.update(&key);
                }
                key.extend_from_slice(context.finish().as_ref());
            }
            key.truncate(length);
            key
        };
        let nonce = |letter| derive(letter, NONCE_LEN).try_into().ok();
        Some(match cipher {
            "chacha20-poly1305@openssh.com" => Keys::ChaCha {
                ours: SealingKey::new(derive(b'C', openssh::KEY_LEN).as_slice().try_into().ok()?),
                theirs: OpeningKey::new(derive(b'D', openssh::KEY_LEN).as_slice().try_into().ok()?),
            },
            gcm => {
                let algorithm = if gcm.starts_with("aes256") { &AES_256_GCM } else { &AES_128_GCM };
                let key = |letter| UnboundKey::new(algorithm, &derive(letter, algorithm.key_len())).ok();
                Keys::Gcm {
                    ours: (LessSafeKey::new(key(b'C')?), nonce(b'A')?),
                    theirs: (LessSafeKey::new(key(b'D')?), nonce(b'B')?),
                }
            }
        })
    }
}

/// Keys of both directions.
pub(super) enum Keys {
    /// Nonces are the packets' numbers.
    ChaCha {
        /// For what is sent.
        ours: SealingKey,
        /// For what is received.
        theirs: OpeningKey,
    },
    /// Nonces count up from a derived one.
    Gcm {
        /// For what is sent.
        ours: (LessSafeKey, [u8; NONCE_LEN]),
        /// For what is received.
        theirs: (LessSafeKey, [u8; NONCE_LEN]),
    },
}

/// What the bytes that came so far hold.
pub(super) enum Opened {
    /// A payload, and how many bytes it took.
    Payload(Vec<u8>, usize),
    /// Not yet a whole packet.
    Short,
    /// What these keys do not open.
    Broken,
}

impl Keys {
    /// A packet around a payload; `number` counts the packets of this direction, those in the clear included.
    pub(super) fn seal(&mut self, payload: &[u8], number: u32) -> Option<Vec<u8>> {
        let block = if matches!(self, Self::ChaCha { .. }) { 8 } else { 16 };
        let mut padding = block - (1 + payload.len()) % block;
        if padding < 4 {
            padding += block;
        }
        let length = 1 + payload.len() + padding;
        let mut packet = u32::try_from(length).ok()?.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).ok()?);
        packet.extend_from_slice(payload);
        packet.resize(4 + length, 0);
        match self {
            Self::ChaCha { ours, .. } => {
                let mut tag = [0; TAG];
                ours.seal_in_place(number, &mut packet, &mut tag);
                packet.extend(tag);
            }
            Self::Gcm { ours: (key, nonce), .. } => {
                let (head, body) = packet.split_at_mut_checked(4)?;
                let sealed = Nonce::assume_unique_for_key(*nonce);
                let tag = key.seal_in_place_separate_tag(sealed, Aad::from(&*head), body).ok()?;
                count(nonce);
                packet.extend(tag.as_ref());
            }
        }
        Some(packet)
    }

    /// The first packet in what was received.
    pub(super) fn open(&mut self, bytes: &[u8], number: u32) -> Opened {
        let Some(head) = bytes.first_chunk::<4>() else { return Opened::Short };
        let head = match self {
            Self::ChaCha { theirs, .. } => theirs.decrypt_packet_length(number, *head),
            Self::Gcm { .. } => *head,
        };
        let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
        if !(5..=MOST_PACKET).contains(&length) {
            return Opened::Broken;
        }
        let Some((packet, after)) = bytes.split_at_checked(4 + length) else { return Opened::Short };
        let Some(tag) = after.first_chunk::<TAG>() else { return Opened::Short };
        let mut packet = packet.to_vec();
        let plain: Option<Vec<u8>> = match self {
            Self::ChaCha { theirs, .. } => theirs.open_in_place(number, &mut packet, tag).ok().map(<[u8]>::to_vec),
            Self::Gcm { theirs: (key, nonce), .. } => {
                let mut body = [packet.get(4..).unwrap_or_default(), tag].concat();
                let opened = Nonce::assume_unique_for_key(*nonce);
                count(nonce);
                key.open_in_place(opened, Aad::from(head), &mut body).ok().map(|plain| plain.to_vec())
            }
        };
        let payload = plain.and_then(|plain| {
            let padding = usize::from(*plain.first()?);
            plain.get(1..plain.len().checked_sub(padding)?).filter(|payload| !payload.is_empty()).map(<[u8]>::to_vec)
        });
        payload.map_or(Opened::Broken, |payload| Opened::Payload(payload, 4 + length + TAG))
    }
}

/// Counts the invocation counter up, which the last eight bytes of a nonce are.
fn count(nonce: &mut [u8; NONCE_LEN]) {
    if let Some(counter) = nonce.last_chunk_mut::<8>() {
        *counter = u64::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
    }
}

/// A number as an `mpint` with its length.
fn mpint(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = number.get(start..).unwrap_or_default();
    let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    let mut written = Vec::new();
    put_string(&mut written, &[sign, number].concat());
    written
}
