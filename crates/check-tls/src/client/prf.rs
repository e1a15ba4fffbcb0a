//! The pseudo-random functions of TLS 1.0 to 1.2 (RFC 2246 and RFC 5246, section 5).

use aws_lc_rs::{digest, hmac};
use md5::{Digest as _, Md5};

/// One of them, with the hash over the handshake that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prf {
    /// TLS 1.0 and 1.1.
    Md5Sha1,
    /// TLS 1.2.
    Sha256,
    /// TLS 1.2, suites that say so.
    Sha384,
}

impl Prf {
    /// `length` bytes from a secret, a label and a seed.
    pub(crate) fn expand(self, secret: &[u8], label: &str, seed: &[u8], length: usize) -> Vec<u8> {
        let seed = [label.as_bytes(), seed].concat();
        match self {
            Self::Sha256 => chain(|parts| code(hmac::HMAC_SHA256, secret, parts), &seed, length),
            Self::Sha384 => chain(|parts| code(hmac::HMAC_SHA384, secret, parts), &seed, length),
            Self::Md5Sha1 => {
                // Both halves; where the length is odd, they share the byte in the middle.
                let half = secret.len().div_ceil(2);
                let first = secret.get(..half).unwrap_or_default();
                let second = secret.get(secret.len() - half..).unwrap_or_default();
                let one = chain(|parts| hmac_md5(first, parts), &seed, length);
                let sha1 = |parts: &[&[u8]]| code(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, second, parts);
                one.iter().zip(chain(sha1, &seed, length)).map(|(a, b)| a ^ b).collect()
            }
        }
    }

    /// The hash over all handshake messages.
    pub(crate) fn transcript(self, messages: &[u8]) -> Vec<u8> {
        let of = |algorithm| digest::digest(algorithm, messages).as_ref().to_vec();
        match self {
            Self::Sha256 => of(&digest::SHA256),
            Self::Sha384 => of(&digest::SHA384),
            Self::Md5Sha1 => [Md5::digest(messages).to_vec(), of(&digest::SHA1_FOR_LEGACY_USE_ONLY)].concat(),
        }
    }
}

/// An HMAC over parts.
pub(crate) fn code(algorithm: hmac::Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

/// HMAC-MD5 (RFC 2104), which the library has not.
fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let short = if key.len() > 64 { Md5::digest(key).to_vec() } else { key.to_vec() };
    let pad = |with: u8| -> Vec<u8> {
        let padded = short.iter().copied().chain(std::iter::repeat(0)).take(64);
        padded.map(|byte| byte ^ with).collect()
    };
    let inner = parts.iter().fold(Md5::new_with_prefix(pad(0x36)), |hash, part| hash.chain_update(part));
    Md5::new_with_prefix(pad(0x5c)).chain_update(inner.finalize()).finalize().to_vec()
}

fn chain(code: impl Fn(&[&[u8]]) -> Vec<u8>, seed: &[u8], length: usize) -> Vec<u8> {
    let (mut out, mut link) = (Vec::new(), code(&[seed]));
    while out.len() < length {
        out.extend(code(&[&link, seed]));
        link = code(&[&link]);
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_md5_is_that_of_rfc_2202() {
        let digest = hmac_md5(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex(&digest), "750c783e6ab0b503eaa86e310a5db738");
        let long = hmac_md5(&[0xaa; 80], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        assert_eq!(hex(&long), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }

    #[test]
    fn the_prf_of_tls_1_2_is_that_of_the_published_vector() {
        // P_SHA256, IETF TLS working group, "Test vectors for TLS 1.2 PRF", 2009-02.
        let secret = [0x9b, 0xbe, 0x43, 0x6b, 0xa9, 0x40, 0xf0, 0x17, 0xb1, 0x76, 0x52, 0x84, 0x9a, 0x71, 0xdb, 0x35];
        let seed = [0xa0, 0xba, 0x9f, 0x93, 0x6c, 0xda, 0x31, 0x18, 0x27, 0xa6, 0xf7, 0x96, 0xff, 0xd5, 0x19, 0x8c];
        let out = Prf::Sha256.expand(&secret, "test label", &seed, 100);
        assert!(hex(&out).starts_with("e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"));
        assert_eq!(out.len(), 100);
    }
}
