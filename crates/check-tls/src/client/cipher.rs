//! Protection of records: AES in CBC mode with an HMAC (RFC 5246, 6.2.3.2; RFC 2246 for the implicit vector), and GCM
//! (RFC 5288).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::prf::code;
use super::suite::{Mac, Suite};
use crate::wire;

/// Bytes of a block of AES.
pub(crate) const BLOCK: usize = 16;

/// What a record in CBC mode is made of before it is encrypted. A test makes one of these wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The content.
    pub(crate) content: Vec<u8>,
    /// Its code.
    pub(crate) mac: Vec<u8>,
    /// Padding with the length at its end.
    pub(crate) padding: Vec<u8>,
}

/// One direction of a connection.
pub(crate) struct Protection {
    version: u16,
    mac: Mac,
    mac_key: Vec<u8>,
    key: Vec<u8>,
    /// The vector of the next record in TLS 1.0, or the fixed half of the nonce in GCM.
    vector: Vec<u8>,
    sequence: u64,
}

impl Protection {
    /// Those of client and server, from the block of keys (RFC 5246, 6.3).
    pub(crate) fn both(version: u16, suite: &Suite, mut keys: &[u8]) -> Option<(Self, Self)> {
        let rest = &mut keys;
        let vector = Self::vector_length(suite);
        let (mac_a, mac_b) = (wire::take(rest, suite.mac.length())?, wire::take(rest, suite.mac.length())?);
        let (key_a, key_b) = (wire::take(rest, suite.key)?, wire::take(rest, suite.key)?);
        let (vector_a, vector_b) = (wire::take(rest, vector)?, wire::take(rest, vector)?);
        let one = |mac: &[u8], key: &[u8], vector: &[u8]| Self {
            version,
            mac: suite.mac,
            mac_key: mac.to_vec(),
            key: key.to_vec(),
            vector: vector.to_vec(),
            sequence: 0,
        };
        Some((one(mac_a, key_a, vector_a), one(mac_b, key_b, vector_b)))
    }

    /// Bytes of the block of keys.
    pub(crate) const fn keys(suite: &Suite) -> usize {
        2 * (suite.mac.length() + suite.key + Self::vector_length(suite))
    }

    const fn vector_length(suite: &Suite) -> usize {
        if suite.is_cbc() { BLOCK } else { 4 }
    }

    fn header(&self, kind: u8, length: usize) -> Vec<u8> {
        let mut header = self.sequence.to_be_bytes().to_vec();
        header.push(kind);
        header.extend(self.version.to_be_bytes());
        header.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        header
    }

    fn code(&self, kind: u8, content: &[u8]) -> Vec<u8> {
        let algorithm = match self.mac {
            Mac::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Mac::Sha384 => hmac::HMAC_SHA384,
            Mac::Sha256 | Mac::Aead => hmac::HMAC_SHA256,
        };
        code(algorithm, &self.mac_key, &[&self.header(kind, content.len()), content])
    }

    /// The parts of a record as they should be, with `more` blocks of padding than are needed.
    pub(crate) fn block(&self, kind: u8, content: &[u8], more: usize) -> Block {
        let mac = self.code(kind, content);
        let least = BLOCK - (content.len() + mac.len()) % BLOCK;
        let length = (least + more * BLOCK).min(256 - BLOCK + least);
        let byte = u8::try_from(length - 1).unwrap_or(u8::MAX);
        Block { content: content.to_vec(), mac, padding: vec![byte; length] }
    }

    /// Encrypts a record; `None` where the library refuses.
    pub(crate) fn seal(&mut self, kind: u8, content: &[u8]) -> Option<Vec<u8>> {
        if self.mac != Mac::Aead {
            let block = self.block(kind, content, 0);
            return self.seal_block([block.content, block.mac, block.padding].concat());
        }
        let explicit = self.sequence.to_be_bytes();
        let nonce = Nonce::try_assume_unique_for_key(&[&self.vector[..], &explicit].concat()).ok()?;
        let mut bytes = content.to_vec();
        let header = self.header(kind, content.len());
        self.gcm()?.seal_in_place_append_tag(nonce, Aad::from(header), &mut bytes).ok()?;
        self.sequence += 1;
        Some([&explicit[..], &bytes].concat())
    }

    /// Encrypts whole blocks, whatever they are.
    pub(crate) fn seal_block(&mut self, mut plain: Vec<u8>) -> Option<Vec<u8>> {
        let explicit = self.version > 0x0301;
        let vector: [u8; BLOCK] =
            if explicit { crate::engine::random() } else { self.vector.as_slice().try_into().ok()? };
        let key = EncryptingKey::cbc(self.cbc()?).ok()?;
        key.less_safe_encrypt(&mut plain, EncryptionContext::Iv128(FixedLength::from(vector))).ok()?;
        self.vector = plain.get(plain.len().checked_sub(BLOCK)?..)?.to_vec();
        self.sequence += 1;
        Some(if explicit { [&vector[..], &plain].concat() } else { plain })
    }

    /// Decrypts a record; `None` where it is not as it should be.
    pub(crate) fn open(&mut self, kind: u8, body: &[u8]) -> Option<Vec<u8>> {
        let plain = if self.mac == Mac::Aead { self.open_gcm(kind, body) } else { self.open_cbc(kind, body) }?;
        self.sequence += 1;
        Some(plain)
    }

    fn open_gcm(&self, kind: u8, body: &[u8]) -> Option<Vec<u8>> {
        let (explicit, sealed) = body.split_at_checked(8)?;
        let nonce = Nonce::try_assume_unique_for_key(&[&self.vector[..], explicit].concat()).ok()?;
        let header = self.header(kind, sealed.len().checked_sub(16)?);
        let mut bytes = sealed.to_vec();
        Some(self.gcm()?.open_in_place(nonce, Aad::from(header), &mut bytes).ok()?.to_vec())
    }

    fn open_cbc(&mut self, kind: u8, body: &[u8]) -> Option<Vec<u8>> {
        let plain = self.open_blocks(body)?;
        let padding = usize::from(*plain.last()?) + 1;
        let content = plain.len().checked_sub(padding + self.mac.length())?;
        let (content, rest) = plain.split_at_checked(content)?;
        let right = rest.get(..self.mac.length())? == self.code(kind, content);
        right.then(|| content.to_vec())
    }

    /// Decrypts whole blocks, whatever they are.
    pub(crate) fn open_blocks(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let explicit = self.version > 0x0301;
        let (vector, sealed) = if explicit { body.split_at_checked(BLOCK)? } else { (&self.vector[..], body) };
        let vector: [u8; BLOCK] = vector.try_into().ok()?;
        if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
            return None;
        }
        let next = sealed.get(sealed.len() - BLOCK..)?.to_vec();
        let key = DecryptingKey::cbc(self.cbc()?).ok()?;
        let mut bytes = sealed.to_vec();
        let plain = key.decrypt(&mut bytes, DecryptionContext::Iv128(FixedLength::from(vector))).ok()?.to_vec();
        self.vector = next;
        Some(plain)
    }

    fn cbc(&self) -> Option<UnboundCipherKey> {
        UnboundCipherKey::new(if self.key.len() == 16 { &AES_128 } else { &AES_256 }, &self.key).ok()
    }

    fn gcm(&self) -> Option<LessSafeKey> {
        let algorithm = if self.key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        Some(LessSafeKey::new(UnboundKey::new(algorithm, &self.key).ok()?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(version: u16, id: u16) -> (Protection, Protection) {
        let suite = Suite::of(id).unwrap();
        let keys: Vec<u8> = (0_u8..200).cycle().take(Protection::keys(suite)).collect();
        let ((one, _), (other, _)) =
            (Protection::both(version, suite, &keys).unwrap(), Protection::both(version, suite, &keys).unwrap());
        (one, other)
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_opened(contents: Vec<Vec<u8>>, id in prop::sample::select(vec![0xc013_u16, 0xc028, 0x9d])) {
            for version in [0x0301, 0x0302, 0x0303] {
                let (mut seals, mut opens) = pair(version, id);
                for content in &contents {
                    let sealed = seals.seal(23, content).unwrap();
                    let opened = opens.open(23, &sealed);
                    prop_assert_eq!(opened.as_deref(), Some(content.as_slice()));
                }
            }
        }

        #[test]
        fn no_bytes_are_opened_or_make_it_panic(body: Vec<u8>, version in 0x0301_u16..0x0304) {
            for id in [0xc013, 0xc028, 0x9d] {
                prop_assert_eq!(pair(version, id).1.open(21, &body), None);
            }
        }

        #[test]
        fn padding_fills_blocks(content: Vec<u8>, more in 0_usize..20) {
            let block = pair(0x0303, 0xc013).0.block(23, &content, more);
            let all = block.content.len() + block.mac.len() + block.padding.len();
            prop_assert_eq!(all % BLOCK, 0);
            prop_assert_eq!(usize::from(*block.padding.last().unwrap()) + 1, block.padding.len());
        }
    }
}
