//! Primes of finite-field Diffie-Hellman: the published ones by digest, and a test for the others.

use model::Digest;
use num_bigint::BigUint;

use super::{ffdhe_of_prime, group};

/// SHA-256 of published primes, big endian; the document that has them; whether (p - 1) / 2 is prime too.
const PUBLISHED: [(&str, &str, bool); 11] = [
    ("b52ba6a3026520a6c49d37e4587601801bee500123b3259b6bf03e7cecc3e63d", "RFC 2409, 768 bits", true),
    ("3f35a3f5f6c4376a744acad409bb22f8d897f949d2311d885adaa890981b67a0", "RFC 2409, 1024 bits", true),
    ("64fcc83ec403930bf18393dbc883ccaa1fbb08ac876f77f7aa99748ca945019b", "RFC 3526, 1536 bits", true),
    ("d66436f79bbd6b2e38c0ffbd079be904d2641415e2e67140e09448be9a60890e", "RFC 3526, 2048 bits", true),
    ("48cf8b092fbce4359d9871abf74f98e25b6163379eaa15cd9087e800c6d1c55c", "RFC 3526, 3072 bits", true),
    ("4ee95187682bcb230ad26a95205f6920e84708f6251b3894329b09ec23919e33", "RFC 3526, 4096 bits", true),
    ("d1bfe6d0925ce7e4da262b62861514a7755e35831e429f343e7b864848657efd", "RFC 3526, 6144 bits", true),
    ("39ab4feab950a3128fb71accb9fc3965d857012e081998a85996e3ea8b3c3bcf", "RFC 3526, 8192 bits", true),
    ("44c55cfee5c075927cf682da5b681bdecbd5c3eb0784c14f5dce7610f0ef133d", "RFC 5114, 1024 bits", false),
    ("bfe545862ca102ad1eeddb5fbfa5bf855ac4995c56a8b408ce3fe099dce93a9d", "RFC 5114, 2048 bits, order of 224", false),
    ("0b7835722cb619827610c2549fdda5587421686c4409a13865e76225522ddcc9", "RFC 5114, 2048 bits, order of 256", false),
];

/// Longest number that is tested, in bits: what takes a fraction of a second.
const MOST_BITS: u64 = 4096;
/// Rounds of the test; each lets one composite in four pass at most.
const ROUNDS: u8 = 8;

/// The document in which a prime is published, and its name there; `None` for one of its own.
#[must_use]
pub fn published_prime(prime: &[u8]) -> Option<&'static str> {
    let digest = Digest::of(prime);
    if let Some(info) = ffdhe_of_prime(&digest).and_then(group) {
        return Some(info.name);
    }
    let text = digest.to_string();
    PUBLISHED.iter().find(|(known, ..)| *known == text).map(|(_, name, _)| *name)
}

/// Whether p and (p - 1) / 2 are prime, big endian: `None` where p is too long to be tested. Published ones are known.
#[must_use]
pub fn safe_prime(prime: &[u8]) -> Option<bool> {
    let digest = Digest::of(prime);
    let text = digest.to_string();
    if let Some((.., safe)) = PUBLISHED.iter().find(|(known, ..)| *known == text) {
        return Some(*safe);
    }
    if ffdhe_of_prime(&digest).is_some() {
        return Some(true);
    }
    let p = BigUint::from_bytes_be(prime);
    if p.bits() > MOST_BITS {
        return None;
    }
    let half = &p >> 1_u32;
    Some(p.bit(0) && is_prime(&half, prime) && is_prime(&p, prime))
}

/// Miller-Rabin (FIPS 186-5, B.3.1). The bases follow from the number, so that a record gives the same answer each time
/// and nobody can make a composite for them.
fn is_prime(n: &BigUint, seed: &[u8]) -> bool {
    let one = BigUint::from(1_u8);
    let small: [u32; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if let Some(divisor) = small.iter().find(|divisor| n % **divisor == BigUint::ZERO) {
        return *n == BigUint::from(*divisor);
    }
    if n.bits() < 11 {
        // Below 37 squared nothing else divides.
        return *n > one;
    }
    let last = n - &one;
    let twos = last.trailing_zeros().unwrap_or(0);
    let odd = &last >> twos;
    (0..ROUNDS).all(|round| {
        let base = Digest::of(&[seed, &[round]].concat()).to_string();
        let base = BigUint::from_bytes_be(base.as_bytes().get(..32).unwrap_or_default()) % &last + &one;
        let mut power = base.modpow(&odd, n);
        if power == one || power == last || base == one {
            return true;
        }
        (1..twos).any(|_| {
            power = &power * &power % n;
            power == last
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_primes_are_told_from_others() {
        let safe = |n: u128| safe_prime(&n.to_be_bytes());
        // 2 * 0xffffffffffffff43... below: safe primes, a prime that is not safe, composites, a Carmichael number.
        for n in [5, 7, 11, 23, 47, 59, 83, 10_007, 4_294_967_087, 18_446_744_073_709_550_147] {
            assert_eq!(safe(n), Some(true), "{n}");
        }
        for n in [0, 1, 9, 13, 17, 561, 10_009, 4_294_967_291, 18_446_744_073_709_551_557, 1 << 100, u128::MAX] {
            assert_eq!(safe(n), Some(false), "{n}");
        }
        assert_eq!(safe_prime(&[0xff; 1025]), None);
    }

    #[test]
    fn published_primes_agree_with_the_test() {
        // RFC 2409, 6.1: 768 bits.
        let oakley = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
                      ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a3620ffffffffffffffff";
        let mut bytes: Vec<u8> = (0..oakley.len())
            .step_by(2)
            .filter_map(|at| u8::from_str_radix(oakley.get(at..at + 2)?, 16).ok())
            .collect();
        assert_eq!((published_prime(&bytes), safe_prime(&bytes)), (Some("RFC 2409, 768 bits"), Some(true)));
        let p = BigUint::from_bytes_be(&bytes);
        assert!(is_prime(&p, b"x") && is_prime(&(&p >> 1_u32), b"y"));
        if let Some(byte) = bytes.get_mut(40) {
            *byte ^= 1;
        }
        assert_eq!((published_prime(&bytes), safe_prime(&bytes)), (None, Some(false)));
    }
}
