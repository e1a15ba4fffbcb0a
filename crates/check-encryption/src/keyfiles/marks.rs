//! Marks of keys that others can compute or already have. All of them show in the public half.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use num_bigint::BigUint;
use probe::Cx;

use super::private::Public;
use crate::facts::{KeyType, Mark, MarkName, Outcome};
use crate::root::{Root, is_missing, reason};

/// Longer moduli are not computed with.
const MOST_BITS: u32 = 16_384;
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

/// A list's text, or why it could not be read.
type List = Arc<Result<Vec<u8>, String>>;

/// The lists of Debian's packages that are asked for, by sort and size, read once.
pub(super) struct Marks<'a> {
    cx: &'a Cx,
    root: &'a Root,
    lists: Mutex<BTreeMap<u32, List>>,
}

/// Whether a modulus bears a mark.
type Test = fn(&BigUint) -> bool;

/// Marks of a modulus that others can factor.
const FACTORED: [(MarkName, Test); 2] = [(MarkName::Roca, roca), (MarkName::ClosePrimes, close_primes)];

/// Those of a modulus of RSA, big-endian; a key without one has none of them.
pub(crate) fn of_modulus(modulus: Option<&[u8]>) -> Vec<Mark> {
    let of = |(name, test): (MarkName, Test)| match modulus.map(BigUint::from_bytes_be) {
        None => mark(name, Outcome::Absent),
        Some(modulus) if modulus.bits() > u64::from(MOST_BITS) => {
            not_proven(name, "its modulus is longer than this program computes with")
        }
        Some(modulus) => mark(name, if test(&modulus) { Outcome::Present } else { Outcome::Absent }),
    };
    FACTORED.map(of).into()
}

impl<'a> Marks<'a> {
    pub(super) fn new(cx: &'a Cx, root: &'a Root) -> Self {
        Self { cx, root, lists: Mutex::default() }
    }

    /// All marks of a key; of one that could not be read, none is proven.
    pub(super) async fn of(&self, key: Option<&Public>) -> Vec<Mark> {
        let Some((key, key_type)) = key.and_then(|key| Some((key, key.key_type?))) else {
            let why = "encryption hides the public half, or the key can't be read";
            return [MarkName::Roca, MarkName::ClosePrimes, MarkName::Published, MarkName::Debian2008]
                .map(|name| not_proven(name, why))
                .into();
        };
        let mut marks: Vec<Mark> = match &key.modulus {
            _ if key_type != KeyType::Rsa => of_modulus(None),
            Some(modulus) => of_modulus(Some(modulus)),
            None => FACTORED.map(|(name, _)| not_proven(name, "encryption hides its modulus")).into(),
        };
        marks.push(match &key.spki {
            Some(spki) => match PUBLISHED.iter().find(|(known, _)| known == spki) {
                Some((_, place)) => {
                    Mark { why: Some((*place).to_owned()), ..mark(MarkName::Published, Outcome::Present) }
                }
                None => mark(MarkName::Published, Outcome::Absent),
            },
            // A secret that is no pair has no public half, and those that are not derived here are on no list of ours.
            None if key_type == KeyType::Symmetric => mark(MarkName::Published, Outcome::Absent),
            None => not_proven(MarkName::Published, "its public half can't be told"),
        });
        marks.push(self.debian(key, key_type).await);
        marks
    }

    /// The lists of openssl-blacklist: a line for each modulus, the last 20 hexadecimal digits of the SHA-1 of
    /// `Modulus=…` and a newline as OpenSSL prints it (openssl-vulnkey(1)).
    async fn debian(&self, key: &Public, key_type: KeyType) -> Mark {
        let name = MarkName::Debian2008;
        if key_type != KeyType::Rsa {
            return if key_type == KeyType::Dsa {
                not_proven(name, "the lists for DSA keys are not looked at")
            } else {
                mark(name, Outcome::Absent)
            };
        }
        let (Some(modulus), Some(bits)) = (&key.modulus, key.bits) else {
            return not_proven(name, "encryption hides its modulus");
        };
        let known = self.lists.lock().unwrap_or_else(PoisonError::into_inner).get(&bits).cloned();
        let list = match known {
            Some(list) => list,
            None => {
                let list = Arc::new(self.list(bits).await);
                self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(bits, Arc::clone(&list));
                list
            }
        };
        match list.as_ref() {
            Ok(list) => {
                let ours = openssl_line(modulus);
                let found = list.split(|byte| *byte == b'\n').any(|line| line == ours.as_bytes());
                mark(name, if found { Outcome::Present } else { Outcome::Absent })
            }
            Err(why) => not_proven(name, why),
        }
    }

    async fn list(&self, bits: u32) -> Result<Vec<u8>, String> {
        let path = format!("/usr/share/openssl-blacklist/blacklist.RSA-{bits}");
        self.cx.read_file(self.root.path(&path), 16 << 20).await.map_err(|e| {
            if is_missing(&e) {
                format!("there is no list {path}; the package openssl-blacklist has those of the usual sizes")
            } else {
                format!("{path}: {}", reason(&e))
            }
        })
    }
}

/// What openssl-vulnkey(1) looks for.
fn openssl_line(modulus: &[u8]) -> String {
    let digits: String = modulus.iter().skip_while(|byte| **byte == 0).map(|byte| format!("{byte:02X}")).collect();
    let hashed = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("Modulus={digits}\n").as_bytes());
    hashed.as_ref().iter().skip(10).map(|byte| format!("{byte:02x}")).collect()
}

const fn mark(name: MarkName, outcome: Outcome) -> Mark {
    Mark { name, outcome, why: None }
}

fn not_proven(name: MarkName, why: &str) -> Mark {
    Mark { name, outcome: Outcome::NotProven, why: Some(why.to_owned()) }
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
    fn marks_of_a_modulus_are_told_by_name() {
        let marks = |modulus: Option<&[u8]>| -> Vec<_> {
            of_modulus(modulus).into_iter().map(|mark| (mark.name, mark.outcome)).collect()
        };
        let close = BigUint::from(1_000_003_u32) * BigUint::from(1_000_033_u32);
        let found = marks(Some(&close.to_bytes_be()));
        assert_eq!(found, [(MarkName::Roca, Outcome::Absent), (MarkName::ClosePrimes, Outcome::Present)]);
        let absent = [(MarkName::Roca, Outcome::Absent), (MarkName::ClosePrimes, Outcome::Absent)];
        assert_eq!(marks(None), absent);
        let long = [(MarkName::Roca, Outcome::NotProven), (MarkName::ClosePrimes, Outcome::NotProven)];
        assert_eq!(marks(Some(&[0xff; 2049])), long);
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
    fn the_line_of_a_blacklist_is_openssls() {
        // printf 'Modulus=C0FFEE\n' | sha1sum
        assert_eq!(openssl_line(&[0, 0xc0, 0xff, 0xee]), "6149ed99475722f13e18");
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
