//! The client's half of the key exchange (RFC 5246, 7.4.7; RFC 8422, 5.7).

use aws_lc_rs::agreement::{
    ECDH_P256, ECDH_P384, ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral,
};
use aws_lc_rs::rand::SystemRandom;
use num_bigint::BigUint;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;

use crate::engine::random;
use crate::{certificate, wire};

/// Bits of numbers that are computed with.
const BITS: std::ops::RangeInclusive<u64> = 256..=16_384;

/// The groups that are offered: x25519, secp256r1, secp384r1, secp521r1.
pub(crate) const GROUPS: [u16; 4] = [29, 23, 24, 25];

/// The body of a ClientKeyExchange, and the secret.
pub(crate) struct Half {
    pub(crate) body: Vec<u8>,
    pub(crate) secret: Vec<u8>,
}

/// The RSA key of a certificate.
pub(crate) struct RsaKey {
    modulus: BigUint,
    exponent: BigUint,
}

impl RsaKey {
    /// That of the first certificate of a chain; `None` where it has none that can be computed with.
    pub(crate) fn of(chain: &[Vec<u8>]) -> Option<Self> {
        let leaf = certificate::parse(chain.first()?).ok()?;
        let (_, key) = RSAPublicKey::from_der(&leaf.public_key().subject_public_key.data).ok()?;
        let (modulus, exponent) = (BigUint::from_bytes_be(key.modulus), BigUint::from_bytes_be(key.exponent));
        (BITS.contains(&modulus.bits()) && exponent.bits() <= 64).then_some(Self { modulus, exponent })
    }

    /// Bytes of the modulus.
    pub(crate) fn length(&self) -> usize {
        usize::try_from(self.modulus.bits().div_ceil(8)).unwrap_or(0)
    }

    /// A secret of 48 bytes in the padding of PKCS #1 1.5 (RFC 8017, 7.2.1): 0, 2, bytes that are not 0, 0, secret.
    pub(crate) fn padded(&self, secret: &[u8]) -> Vec<u8> {
        let filler = self.length().saturating_sub(secret.len() + 3);
        let filler = std::iter::repeat_with(random::<1>).map(|[byte]| byte | 1).take(filler);
        [0, 2].into_iter().chain(filler).chain([0]).chain(secret.iter().copied()).collect()
    }

    /// The body of a ClientKeyExchange with an encrypted block, whatever it is.
    pub(crate) fn sealed(&self, block: &[u8]) -> Vec<u8> {
        let sealed = BigUint::from_bytes_be(block).modpow(&self.exponent, &self.modulus);
        let mut body = Vec::new();
        wire::put(&mut body, 2, &fixed(&sealed, self.length()));
        body
    }
}

/// The RSA exchange: a secret that begins with the version that the hello named.
pub(crate) fn rsa(key: &RsaKey, offered: u16) -> Half {
    let secret = [&offered.to_be_bytes()[..], &random::<46>()].concat();
    Half { body: key.sealed(&key.padded(&secret)), secret }
}

/// The finite-field exchange, from the body of a ServerKeyExchange.
pub(crate) fn dhe(mut parameters: &[u8]) -> Option<Half> {
    let rest = &mut parameters;
    let mut number = || wire::vector(rest, 2).map(BigUint::from_bytes_be);
    let (prime, generator, server) = (number()?, number()?, number()?);
    if !BITS.contains(&prime.bits()) || server >= prime {
        return None;
    }
    let private = BigUint::from_bytes_be(&random::<32>());
    let mut body = Vec::new();
    let length = usize::try_from(prime.bits().div_ceil(8)).ok()?;
    wire::put(&mut body, 2, &fixed(&generator.modpow(&private, &prime), length));
    // Leading zeros are left out of this secret (RFC 5246, 8.1.2).
    Some(Half { body, secret: server.modpow(&private, &prime).to_bytes_be() })
}

/// The exchange on a named curve, from the body of a ServerKeyExchange.
pub(crate) fn ecdhe(mut parameters: &[u8]) -> Option<Half> {
    let rest = &mut parameters;
    let algorithm = match (wire::take(rest, 1)?, wire::u16(rest)?) {
        ([3], 29) => &X25519,
        ([3], 23) => &ECDH_P256,
        ([3], 24) => &ECDH_P384,
        ([3], 25) => &ECDH_P521,
        _ => return None,
    };
    let server = wire::vector(rest, 1)?;
    let private = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new()).ok()?;
    let mut body = Vec::new();
    wire::put(&mut body, 1, private.compute_public_key().ok()?.as_ref());
    let secret = agree_ephemeral(private, UnparsedPublicKey::new(algorithm, server), (), |s| Ok(s.to_vec())).ok()?;
    Some(Half { body, secret })
}

/// Big endian, with zeros in front up to a length.
fn fixed(number: &BigUint, length: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    let zeros = length.saturating_sub(bytes.len());
    std::iter::repeat_n(0, zeros).chain(bytes).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_padded_secret_fills_the_modulus() {
        let key = RsaKey { modulus: BigUint::from(1_u8) << 2047_u32, exponent: BigUint::from(3_u8) };
        let block = key.padded(&[7; 48]);
        assert_eq!((block.len(), &block[..2], block[256 - 49]), (256, &[0, 2][..], 0));
        assert!(block[2..256 - 49].iter().all(|byte| *byte != 0));
        assert_eq!(key.sealed(&block).len(), 2 + 256);
    }

    proptest! {
        #[test]
        fn no_parameters_make_it_panic(bytes: Vec<u8>) {
            let _ = (dhe(&bytes), ecdhe(&bytes));
        }
    }
}
