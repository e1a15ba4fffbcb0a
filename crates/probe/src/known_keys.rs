//! Keys that others can compute or already have, told by their public half alone.
//!
//! It stands here because keys in files, of SSH servers and of certificates are looked at in different crates.

use num_bigint::BigUint;

/// Longer moduli are not computed with.
pub const MOST_BITS: u64 = 16_384;
/// Rounds of Fermat's method: the attack of CVE-2022-26320 needs a handful.
const ROUNDS: u32 = 100;

/// The first odd primes, whose product the primes of Infineon's library were made from (Nemec et al., "The Return of
/// Coppersmith's Attack", CCS 2017, section 2.1: for keys of 512 bits, and so for all longer ones too).
const PRIMES: [u64; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// SHA-256 of the SubjectPublicKeyInfo of keys whose private halves are public, and where they are.
const PUBLISHED: [(&str, &str); 6] = [
    ("bde93142b0780b2a66d27977d35f4f542e71cc538d491fe6609e2380b747a027", "Vagrant, keys/vagrant"),
    ("f0278cc5e72769b483a41cabe821fdbe2488b7bde41d438fc77aec2589ad81fc", "F5 BIG-IP (CVE-2012-1493)"),
    (
        "a4fde9cb1d9401a872aa392752a804267d829a6fc99ac1bf56cefb16392f68b1",
        "Kali Linux for Raspberry Pi 2 (rapid7/ssh-badkeys)",
    ),
    (
        "5c0426341281beb8275ac294556ce33835d628830a3c5d6faa3656418d5a9d21",
        "Piunora, image of 2021-11-24 (rapid7/ssh-badkeys)",
    ),
    ("5ea041da911605f288086d719ca13e0d4941556fb8e42cb02c4dc81ffa9749a1", "Go, net/http/internal/testcert.go"),
    ("06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9", "RFC 8032, section 7.1, test 1"),
];

/// Where the private half of a key is published, by the SHA-256 of its SubjectPublicKeyInfo in hexadecimal digits.
#[must_use]
pub fn published(spki_sha256: &str) -> Option<&'static str> {
    PUBLISHED.iter().find(|(known, _)| *known == spki_sha256).map(|(_, place)| *place)
}

/// Whether an RSA modulus, big-endian, bears the mark of Infineon's library (ROCA, CVE-2017-15361); `None` where it is
/// longer than [`MOST_BITS`].
#[must_use]
pub fn is_roca(modulus: &[u8]) -> Option<bool> {
    number(modulus).map(|modulus| roca(&modulus))
}

/// Whether the primes of an RSA modulus, big-endian, lie so close that Fermat's method finds them (CVE-2022-26320);
/// `None` where it is longer than [`MOST_BITS`].
#[must_use]
pub fn has_close_primes(modulus: &[u8]) -> Option<bool> {
    number(modulus).map(|modulus| close_primes(&modulus))
}

fn number(modulus: &[u8]) -> Option<BigUint> {
    Some(BigUint::from_bytes_be(modulus)).filter(|modulus| modulus.bits() <= MOST_BITS)
}

/// Whether all remainders are powers of 65537.
fn roca(modulus: &BigUint) -> bool {
    PRIMES.iter().all(|prime| {
        let remainder = u64::try_from(modulus % *prime).unwrap_or_default();
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * 65_537 % prime;
            power == remainder
        })
    })
}

/// Whether Fermat's method finds a factor: for a = ⌈√N⌉, a + 1, … whether a² − N is a square.
fn close_primes(modulus: &BigUint) -> bool {
    let two = BigUint::from(2_u8);
    if modulus < &two || modulus % &two == BigUint::ZERO {
        return false;
    }
    let mut a = modulus.sqrt();
    if &a * &a < *modulus {
        a += 1_u8;
    }
    let mut square = &a * &a - modulus;
    for _ in 0..ROUNDS {
        if is_square(&square) {
            return true;
        }
        // (a + 1)² − N
        square += &a * &two + 1_u8;
        a += 1_u8;
    }
    false
}

fn is_square(number: &BigUint) -> bool {
    // Squares end in few ways: most others are told by their last bits and a few remainders.
    let low = number.iter_u64_digits().next().unwrap_or_default();
    if !matches!(low & 15, 0 | 1 | 4 | 9) {
        return false;
    }
    let small = u64::try_from(number % (63_u64 * 65 * 11)).unwrap_or_default();
    let fits = |modulus: u64| (0..modulus).any(|root| root * root % modulus == small % modulus);
    if !fits(63) || !fits(65) || !fits(11) {
        return false;
    }
    let root = number.sqrt();
    &root * &root == *number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fingerprint_of_roca_is_that_of_powers() {
        let product: BigUint = PRIMES.iter().map(|prime| BigUint::from(*prime)).product();
        let power = BigUint::from(65_537_u32).modpow(&BigUint::from(123_457_u32), &product);
        let made = &product * BigUint::from(987_654_321_u64) + power;
        assert!(roca(&made) && !roca(&(made + 1_u8)));
        // A Mersenne prime.
        assert!(!roca(&(BigUint::from(2_u8).pow(127) - 1_u8)));
    }

    #[test]
    fn primes_that_lie_close_are_found_and_others_not() {
        let (mersenne, other) = (BigUint::from(2_u8).pow(127) - 1_u8, BigUint::from(2_u8).pow(89) - 1_u8);
        // The next prime after 2¹²⁷ − 1 − 24 is far nearer than its square root.
        assert!(close_primes(&(&mersenne * (&mersenne - 24_u8))));
        assert!(close_primes(&(&mersenne * &mersenne)));
        assert!(!close_primes(&(&mersenne * other)));
        assert!(!close_primes(&BigUint::ZERO) && !close_primes(&BigUint::from(6_u8)));
    }

    #[test]
    fn what_is_too_long_is_not_computed_with() {
        assert_eq!((is_roca(&[0xff; 2049]), has_close_primes(&[0xff; 2049])), (None, None));
        let close = BigUint::from(1_000_003_u32) * BigUint::from(1_000_033_u32);
        assert_eq!((is_roca(&close.to_bytes_be()), has_close_primes(&close.to_bytes_be())), (Some(false), Some(true)));
    }

    proptest! {
        #[test]
        fn squares_are_squares(number: u64, more: u32) {
            let square = BigUint::from(number) * BigUint::from(number);
            prop_assert!(is_square(&square));
            if number > u64::from(more) && more > 0 {
                prop_assert!(!is_square(&(square + more)));
            }
        }

        #[test]
        fn any_number_is_borne(bytes: Vec<u8>) {
            let number = BigUint::from_bytes_be(&bytes);
            roca(&number);
            close_primes(&number);
        }
    }
}
