//! Marks of keys that others can compute or already have. All of them show in the public half.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use probe::{Cx, known_keys};

use super::private::Public;
use crate::facts::{KeyType, Mark, MarkName, Outcome};
use crate::root::{Root, is_missing, reason};

/// A list's text, or why it could not be read.
type List = Arc<Result<Vec<u8>, String>>;

/// The lists of Debian's packages that are asked for, by sort and size, read once.
pub(super) struct Marks<'a> {
    cx: &'a Cx,
    root: &'a Root,
    lists: Mutex<BTreeMap<u32, List>>,
}

/// Whether a modulus bears a mark; `None` where it is too long.
type Test = fn(&[u8]) -> Option<bool>;

/// Marks of a modulus that others can factor.
const FACTORED: [(MarkName, Test); 2] =
    [(MarkName::Roca, known_keys::is_roca), (MarkName::ClosePrimes, known_keys::has_close_primes)];

/// Those of a modulus of RSA, big-endian; a key without one has none of them.
pub(crate) fn of_modulus(modulus: Option<&[u8]>) -> Vec<Mark> {
    let of = |(name, test): (MarkName, Test)| match modulus.map(test) {
        None | Some(Some(false)) => mark(name, Outcome::Absent),
        Some(Some(true)) => mark(name, Outcome::Present),
        Some(None) => not_proven(name, "its modulus is longer than this program computes with"),
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
            Some(spki) => match known_keys::published(spki) {
                Some(place) => Mark { why: Some(place.to_owned()), ..mark(MarkName::Published, Outcome::Present) },
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

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;

    use super::*;

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
    fn the_line_of_a_blacklist_is_openssls() {
        // printf 'Modulus=C0FFEE\n' | sha1sum
        assert_eq!(openssl_line(&[0, 0xc0, 0xff, 0xee]), "6149ed99475722f13e18");
    }
}
