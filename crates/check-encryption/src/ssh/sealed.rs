//! Packets under the first keys of a connection (RFC 4253, section 7.2): enough to ask how one may log in.
//!
//! Ciphers that bring their own integrity, `chacha20-poly1305@openssh.com` (OpenSSH's PROTOCOL.chacha20poly1305) and
//! `aes*-gcm@openssh.com` (RFC 5647), and `aes*-ctr` (RFC 4344) with HMAC, before or after encryption (RFC 6668;
//! OpenSSH's PROTOCOL, section 1.1). Nothing secret is said under them.

use aws_lc_rs::aead::chacha20_poly1305_openssh::{self as openssh, OpeningKey, SealingKey};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::Context;
use aws_lc_rs::hmac;

use super::kex::Agreed;
use super::offer::Offer;

/// Bytes of a tag; the same for both ciphers that bring one.
const TAG: usize = 16;
/// Most bytes of a packet under these keys; answers here are short.
const MOST_PACKET: usize = 16 * 1024;
/// Bytes of a block of AES.
const BLOCK: usize = 16;

/// Ciphers that bring their own integrity, the favourite first.
const SEALING: [&str; 3] = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com"];
/// Ciphers that need a MAC.
const COUNTING: [&str; 3] = ["aes256-ctr", "aes128-ctr", "aes192-ctr"];
/// MACs.
const MACS: [&str; 6] = [
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1",
];

/// A cipher and a MAC that a server has, too; with the first sort of cipher the MAC is unused.
pub(super) fn common(offer: &Offer) -> Option<[&'static str; 2]> {
    let shared = |names: &[&'static str], lists: &[Vec<String>; 2]| {
        names.iter().copied().find(|name| lists.iter().all(|list| list.iter().any(|offered| offered == name)))
    };
    if let Some(cipher) = shared(&SEALING, &offer.cipher) {
        return Some([cipher, "hmac-sha2-256"]);
    }
    Some([shared(&COUNTING, &offer.cipher)?, shared(&MACS, &offer.mac)?])
}

/// Keys of both directions.
pub(super) struct Keys {
    ours: Direction,
    theirs: Direction,
}

/// The keys of one direction.
enum Direction {
    /// Nonces are the packets' numbers.
    ChaCha(Box<SealingKey>, Box<OpeningKey>),
    /// The nonce counts up from a derived one.
    Gcm(LessSafeKey, [u8; NONCE_LEN]),
    /// The counter counts blocks up from a derived one.
    Ctr { key: Box<EncryptingKey>, counter: u128, mac: Box<hmac::Key>, after: bool },
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
    /// The first keys after an exchange, for a cipher and a MAC of [`common`].
    pub(super) fn new(agreed: &Agreed, under: [&str; 2]) -> Option<Self> {
        Some(Self { ours: Direction::new(agreed, under, b"ACE")?, theirs: Direction::new(agreed, under, b"BDF")? })
    }

    /// A packet around a payload; `number` counts the packets of this direction, those in the clear included.
    pub(super) fn seal(&mut self, payload: &[u8], number: u32) -> Option<Vec<u8>> {
        self.ours.seal(payload, number)
    }

    /// The first packet in what was received.
    pub(super) fn open(&mut self, bytes: &[u8], number: u32) -> Opened {
        match self.theirs.open(bytes, number) {
            Ok(Some((plain, used))) => {
                let payload = || {
                    let padding = usize::from(*plain.first()?);
                    plain.get(1..plain.len().checked_sub(padding)?).filter(|payload| !payload.is_empty())
                };
                payload().map_or(Opened::Broken, |payload| Opened::Payload(payload.to_vec(), used))
            }
            Ok(None) => Opened::Short,
            Err(Wrong) => Opened::Broken,
        }
    }
}

/// What these keys do not open.
struct Wrong;

impl Direction {
    /// `letters`: those that stand for the initial vector, the cipher's key and the MAC's (RFC 4253, section 7.2).
    fn new(agreed: &Agreed, [cipher, mac]: [&str; 2], letters: &[u8; 3]) -> Option<Self> {
        let [vector, key, integrity] = *letters;
        Some(match cipher {
            "chacha20-poly1305@openssh.com" => {
                let key: [u8; openssh::KEY_LEN] = derive(agreed, key, openssh::KEY_LEN).try_into().ok()?;
                Self::ChaCha(Box::new(SealingKey::new(&key)), Box::new(OpeningKey::new(&key)))
            }
            gcm if gcm.ends_with("-gcm@openssh.com") => {
                let algorithm = if gcm.starts_with("aes256") { &AES_256_GCM } else { &AES_128_GCM };
                let key = UnboundKey::new(algorithm, &derive(agreed, key, algorithm.key_len())).ok()?;
                Self::Gcm(LessSafeKey::new(key), derive(agreed, vector, NONCE_LEN).try_into().ok()?)
            }
            ctr => {
                let (algorithm, length) = match ctr {
                    "aes256-ctr" => (&AES_256, 32),
                    "aes192-ctr" => (&AES_192, 24),
                    _ => (&AES_128, 16),
                };
                let key = UnboundCipherKey::new(algorithm, &derive(agreed, key, length)).ok()?;
                let (hash, length) = match mac {
                    name if name.starts_with("hmac-sha2-512") => (hmac::HMAC_SHA512, 64),
                    name if name.starts_with("hmac-sha2-256") => (hmac::HMAC_SHA256, 32),
                    _ => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 20),
                };
                Self::Ctr {
                    key: Box::new(EncryptingKey::ctr(key).ok()?),
                    counter: u128::from_be_bytes(derive(agreed, vector, BLOCK).try_into().ok()?),
                    mac: Box::new(hmac::Key::new(hash, &derive(agreed, integrity, length))),
                    after: mac.ends_with("-etm@openssh.com"),
                }
            }
        })
    }

    fn seal(&mut self, payload: &[u8], number: u32) -> Option<Vec<u8>> {
        // What the padding fills up: whole blocks, with the length's own four bytes where those are encrypted, too.
        let (block, counted) = match self {
            Self::ChaCha(..) => (8, 1),
            Self::Gcm(..) | Self::Ctr { after: true, .. } => (BLOCK, 1),
            Self::Ctr { after: false, .. } => (BLOCK, 5),
        };
        let mut padding = block - (counted + payload.len()) % block;
        if padding < 4 {
            padding += block;
        }
        let length = 1 + payload.len() + padding;
        let mut packet = u32::try_from(length).ok()?.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).ok()?);
        packet.extend_from_slice(payload);
        packet.resize(4 + length, 0);
        match self {
            Self::ChaCha(key, _) => {
                let mut tag = [0; TAG];
                key.seal_in_place(number, &mut packet, &mut tag);
                packet.extend(tag);
            }
            Self::Gcm(key, nonce) => {
                let (head, body) = packet.split_at_mut_checked(4)?;
                let sealed = Nonce::assume_unique_for_key(*nonce);
                let tag = key.seal_in_place_separate_tag(sealed, Aad::from(&*head), body).ok()?;
                count(nonce);
                packet.extend(tag.as_ref());
            }
            Self::Ctr { key, counter, mac, after } => {
                let before = tag(mac, number, &packet);
                let clear = if *after { 4 } else { 0 };
                *counter = apply(key, *counter, packet.get_mut(clear..)?)?;
                let tag = if *after { tag(mac, number, &packet) } else { before };
                packet.extend(tag.as_ref());
            }
        }
        Some(packet)
    }

    /// The first packet, from its padding's length on, and how many bytes it took; none where it is not whole yet.
    fn open(&mut self, bytes: &[u8], number: u32) -> Result<Option<(Vec<u8>, usize)>, Wrong> {
        let Some(head) = bytes.first_chunk::<4>() else { return Ok(None) };
        let (head, tag_length) = match self {
            Self::ChaCha(_, key) => (key.decrypt_packet_length(number, *head), TAG),
            Self::Gcm(..) => (*head, TAG),
            Self::Ctr { mac, after: true, .. } => (*head, tag_bytes(mac)),
            Self::Ctr { key, counter, mac, after: false } => {
                let Some(first) = bytes.first_chunk::<BLOCK>() else { return Ok(None) };
                let mut first = *first;
                apply(key, *counter, &mut first).ok_or(Wrong)?;
                (*first.first_chunk().ok_or(Wrong)?, tag_bytes(mac))
            }
        };
        let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
        if !(5..=MOST_PACKET).contains(&length) {
            return Err(Wrong);
        }
        let Some((packet, rest)) = bytes.split_at_checked(4 + length) else { return Ok(None) };
        let Some(its_tag) = rest.get(..tag_length) else { return Ok(None) };
        let used = 4 + length + tag_length;
        let mut packet = packet.to_vec();
        let plain = match self {
            Self::ChaCha(_, key) => {
                let tag = its_tag.first_chunk::<TAG>().ok_or(Wrong)?;
                key.open_in_place(number, &mut packet, tag).map_err(|_| Wrong)?.to_vec()
            }
            Self::Gcm(key, nonce) => {
                let mut body = [packet.get(4..).unwrap_or_default(), its_tag].concat();
                let opened = Nonce::assume_unique_for_key(*nonce);
                count(nonce);
                key.open_in_place(opened, Aad::from(head), &mut body).map_err(|_| Wrong)?.to_vec()
            }
            Self::Ctr { key, counter, mac, after } => {
                if *after {
                    check(mac, number, &packet, its_tag)?;
                }
                let clear = if *after { 4 } else { 0 };
                let body = packet.get_mut(clear..).ok_or(Wrong)?;
                if body.len() % BLOCK != 0 {
                    return Err(Wrong);
                }
                *counter = apply(key, *counter, body).ok_or(Wrong)?;
                if !*after {
                    check(mac, number, &packet, its_tag)?;
                }
                packet.get(4..).ok_or(Wrong)?.to_vec()
            }
        };
        Ok(Some((plain, used)))
    }
}

/// A key of so many bytes (RFC 4253, section 7.2).
fn derive(agreed: &Agreed, letter: u8, length: usize) -> Vec<u8> {
    let mut key: Vec<u8> = Vec::new();
    while key.len() < length {
        let mut context = Context::new(agreed.hash);
        context.update(&agreed.secret);
        context.update(&agreed.id);
        if key.is_empty() {
            context.update(&[letter]);
            context.update(&agreed.id);
        } else {
            context.update(&key);
        }
        key.extend_from_slice(context.finish().as_ref());
    }
    key.truncate(length);
    key
}

/// Encrypts or decrypts whole blocks in counter mode, and gives the next counter.
fn apply(key: &EncryptingKey, counter: u128, blocks: &mut [u8]) -> Option<u128> {
    let context = EncryptionContext::Iv128((&counter.to_be_bytes()).into());
    key.less_safe_encrypt(blocks, context).ok()?;
    Some(counter.wrapping_add(u128::try_from(blocks.len() / BLOCK).ok()?))
}

fn tag_bytes(mac: &hmac::Key) -> usize {
    mac.algorithm().digest_algorithm().output_len
}

fn tag(mac: &hmac::Key, number: u32, packet: &[u8]) -> hmac::Tag {
    hmac::sign(mac, &[&number.to_be_bytes(), packet].concat())
}

fn check(mac: &hmac::Key, number: u32, packet: &[u8], tag: &[u8]) -> Result<(), Wrong> {
    hmac::verify(mac, &[&number.to_be_bytes(), packet].concat(), tag).map_err(|_| Wrong)
}

/// Counts the invocation counter up, which the last eight bytes of a nonce are.
fn count(nonce: &mut [u8; NONCE_LEN]) {
    if let Some(counter) = nonce.last_chunk_mut::<8>() {
        *counter = u64::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use aws_lc_rs::digest;
    use proptest::prelude::*;

    use super::*;

    /// Keys whose two directions are the same.
    fn mirror(under: [&str; 2]) -> Keys {
        let agreed =
            Agreed { secret: vec![1; 40], id: vec![2; 32], hash: &digest::SHA256, host_key: vec![], signature: vec![] };
        let one = || Direction::new(&agreed, under, b"ACE").unwrap();
        Keys { ours: one(), theirs: one() }
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 1..4),
            cipher in 0_usize..6,
            mac in 0_usize..6,
            flip in any::<prop::sample::Index>(),
        ) {
            let ciphers = [SEALING, COUNTING].concat();
            let under = [*ciphers.get(cipher).unwrap(), *MACS.get(mac).unwrap()];
            let mut keys = mirror(under);
            for (number, payload) in (3..).zip(&payloads) {
                let sealed = keys.seal(payload, number).unwrap();
                // A part is not yet a packet, whatever cipher it is.
                let part = sealed.get(..sealed.len() - 1).unwrap();
                prop_assert!(matches!(keys.open(part, number), Opened::Short));
                let Opened::Payload(opened, used) = keys.open(&sealed, number) else { panic!("{under:?}") };
                prop_assert_eq!((&opened, used), (payload, sealed.len()));
            }
            let mut keys = mirror(under);
            let mut sealed = keys.seal(b"whole", 3).unwrap();
            let at = flip.index(sealed.len());
            *sealed.get_mut(at).unwrap() ^= 1;
            prop_assert!(!matches!(keys.open(&sealed, 3), Opened::Payload(..)));
        }

        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..300), cipher in 0_usize..6, mac in 0_usize..6) {
            let ciphers = [SEALING, COUNTING].concat();
            let opened = mirror([ciphers.get(cipher).unwrap(), MACS.get(mac).unwrap()]).open(&bytes, 3);
            prop_assert!(!matches!(opened, Opened::Payload(..)));
        }
    }
}
