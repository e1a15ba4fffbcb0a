//! Public keys as SSH writes them (RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709).

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::Digest;

use super::packet::{mpint, string, text};

/// A key that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// Its type, by its own word.
    pub(crate) kind: String,
    /// Bits of modulus or curve; `None` for types that are not known here.
    pub(crate) bits: Option<u32>,
    /// `SHA256:…`.
    pub(crate) fingerprint: String,
    /// Exponent of an RSA key, where it has at most 62 bits.
    pub(crate) exponent: Option<i64>,
    /// Modulus of an RSA key, big-endian.
    pub(crate) modulus: Option<Vec<u8>>,
}

impl PublicKey {
    /// Reads a blob; `None` where it is none.
    pub(crate) fn read(blob: &[u8]) -> Option<Self> {
        let (kind, rest) = string(blob)?;
        let kind = text(kind);
        let (mut exponent, mut modulus) = (None, None);
        let bits = match kind.as_str() {
            "ssh-ed25519" => Some(string(rest)?.0).filter(|key| key.len() == 32).map(|_| 256),
            "ssh-ed448" => Some(string(rest)?.0).filter(|key| key.len() == 57).map(|_| 456),
            "ssh-rsa" => {
                let (number, rest) = string(rest)?;
                exponent = mpint(number).and_then(|(_, bytes)| small(bytes));
                let (bits, bytes) = mpint(string(rest)?.0)?;
                modulus = Some(bytes.to_vec());
                Some(bits)
            }
            "ssh-dss" => Some(mpint(string(rest)?.0)?.0),
            "ecdsa-sha2-nistp256" => Some(256),
            "ecdsa-sha2-nistp384" => Some(384),
            "ecdsa-sha2-nistp521" => Some(521),
            _ => None,
        };
        let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Digest::of(blob).as_bytes()));
        Some(Self { kind, bits, fingerprint, exponent, modulus })
    }
}

/// A number of at most 62 bits.
fn small(bytes: &[u8]) -> Option<i64> {
    let number = bytes.iter().try_fold(0i64, |n, byte| n.checked_mul(256)?.checked_add(i64::from(*byte)))?;
    (number.leading_zeros() > 1).then_some(number)
}

/// Whether a signature is one of that key (RFC 4253, section 6.6; RFC 5656, section 3.1.2; RFC 8332; RFC 8709).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// By an algorithm, or with a size of key, that is not checked here.
    Unknown,
}

/// Checks a signature over `signed` by the key of a blob.
pub(super) fn signed_by(blob: &[u8], signature: &[u8], signed: &[u8]) -> Signed {
    let parts = || {
        let (kind, key) = string(blob)?;
        let (algorithm, signature) = string(signature)?;
        Some((kind, key, algorithm, string(signature)?.0))
    };
    let Some((kind, key, algorithm, signature)) = parts() else { return Signed::No };
    if kind_of(&text(algorithm)).as_bytes() != kind {
        return Signed::No;
    }
    let good = match algorithm {
        b"ssh-ed25519" => string(key).is_some_and(|(key, _)| verify(&ED25519, key, signature, signed)),
        b"ecdsa-sha2-nistp256" => ecdsa(&ECDSA_P256_SHA256_FIXED, 32, key, signature, signed),
        b"ecdsa-sha2-nistp384" => ecdsa(&ECDSA_P384_SHA384_FIXED, 48, key, signature, signed),
        b"ecdsa-sha2-nistp521" => ecdsa(&ECDSA_P521_SHA512_FIXED, 66, key, signature, signed),
        b"rsa-sha2-256" => {
            return rsa(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key, signature, signed);
        }
        b"rsa-sha2-512" => {
            return rsa(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, key, signature, signed);
        }
        b"ssh-rsa" => return rsa(&signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key, signature, signed),
        _ => return Signed::Unknown,
    };
    if good { Signed::Yes } else { Signed::No }
}

fn verify(by: &'static dyn VerificationAlgorithm, key: &[u8], signature: &[u8], signed: &[u8]) -> bool {
    UnparsedPublicKey::new(by, key).verify(signed, signature).is_ok()
}

/// `bytes`: of one coordinate.
fn ecdsa(by: &'static dyn VerificationAlgorithm, bytes: usize, key: &[u8], signature: &[u8], signed: &[u8]) -> bool {
    let checked = || {
        let (_, point) = string(key)?;
        let (r, rest) = string(signature)?;
        let (s, _) = string(rest)?;
        let mut fixed = Vec::new();
        for number in [mpint(r)?.1, mpint(s)?.1] {
            fixed.extend(std::iter::repeat_n(0, bytes.checked_sub(number.len())?));
            fixed.extend_from_slice(number);
        }
        Some(verify(by, string(point)?.0, &fixed, signed))
    };
    checked().unwrap_or(false)
}

fn rsa(by: &'static RsaParameters, key: &[u8], signature: &[u8], signed: &[u8]) -> Signed {
    let parts = || {
        let (e, rest) = string(key)?;
        Some((mpint(e)?.1, mpint(string(rest)?.0)?))
    };
    let Some((e, (bits, n))) = parts() else { return Signed::No };
    // What the library checks.
    if !(1024..=8192).contains(&bits) || e.len() > 4 {
        return Signed::Unknown;
    }
    let Some(missing) = n.len().checked_sub(signature.len()) else { return Signed::No };
    // A signature that begins with zeros may be written without them.
    let signature = [vec![0; missing].as_slice(), signature].concat();
    let good = RsaPublicKeyComponents { n, e }.verify(by, signed, &signature).is_ok();
    if good { Signed::Yes } else { Signed::No }
}

/// The type of key behind a host key algorithm: RSA signs by several (RFC 8332).
pub(super) fn kind_of(algorithm: &str) -> &str {
    match algorithm {
        "rsa-sha2-256" | "rsa-sha2-512" | "ssh-rsa-sha256@ssh.com" => "ssh-rsa",
        other => other,
    }
}

/// Whether an algorithm is about a certificate, which holds a key that is offered by itself as well.
pub(super) fn is_certificate(algorithm: &str) -> bool {
    algorithm.contains("-cert-v0")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ssh::packet::put_string;

    proptest! {
        #[test]
        fn any_blob_is_read_without_harm(kind in 0_usize..8, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublicKey::read(&bytes);
            let kinds = ["ssh-ed25519", "ssh-ed448", "ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "x", ""];
            let mut blob = Vec::new();
            put_string(&mut blob, kinds.get(kind).copied().unwrap_or_default().as_bytes());
            blob.extend(&bytes);
            if let Some(key) = PublicKey::read(&blob) {
                prop_assert!(key.fingerprint.starts_with("SHA256:"));
                prop_assert!(key.bits.is_none_or(|bits| bits <= 8 * 200));
            }
        }
    }

    #[test]
    fn sizes_are_those_of_the_numbers() {
        let of = |kind: &str, parts: &[&[u8]]| {
            let mut blob = Vec::new();
            [kind.as_bytes()].iter().chain(parts).for_each(|part| put_string(&mut blob, part));
            PublicKey::read(&blob).map(|key| key.bits)
        };
        assert_eq!(of("ssh-rsa", &[&[1, 0, 1], &[0, 0x80, 0]]), Some(Some(16)));
        assert_eq!(of("ssh-dss", &[&[0x7f, 0xff], &[1], &[1], &[1]]), Some(Some(15)));
        assert_eq!(of("ssh-ed25519", &[&[0; 32]]), Some(Some(256)));
        let exponent = |bytes: &[u8]| {
            let mut blob = Vec::new();
            [b"ssh-rsa", bytes, &[0, 0x80, 0][..]].iter().for_each(|part| put_string(&mut blob, part));
            PublicKey::read(&blob).map(|key| (key.exponent, key.modulus))
        };
        assert_eq!(exponent(&[1, 0, 1]), Some((Some(65_537), Some(vec![0x80, 0]))));
        assert_eq!(exponent(&[0x3f; 8]).and_then(|(number, _)| number), Some(0x3f3f_3f3f_3f3f_3f3f));
        // More than 62 bits, and no number.
        assert_eq!(exponent(&[0x7f; 8]).map(|(number, _)| number), Some(None));
        assert_eq!(exponent(&[0, 0]).map(|(number, _)| number), Some(None));
        // A key of another length is none of that type.
        assert_eq!(of("ssh-ed25519", &[&[0; 31]]), Some(None));
        assert_eq!(of("sk-ssh-ed25519@openssh.com", &[&[0; 32]]), Some(None));
        assert_eq!(of("ssh-rsa", &[&[1]]), None);
    }
}
