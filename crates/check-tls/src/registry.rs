//! Names and properties of everything that this program can offer.
//!
//! Names are those of IANA ("Transport Layer Security (TLS) Parameters"); the parts of a suite follow from its name,
//! so that there is no second table to be wrong.

mod groups;
mod kinds;
mod parts;
mod primes;
mod schemes;
mod suites;

pub use groups::{GROUPS, GroupInfo, ffdhe_of_prime, group};
pub use kinds::{KINDS, kind_parts};
pub use parts::{Parts, suite_parts};
pub use primes::{published_prime, safe_prime};
pub use schemes::{SCHEMES, SchemeInfo, scheme};

/// The signalling value for secure renegotiation (RFC 5746).
pub const RENEGOTIATION_SCSV: u16 = 0x00ff;
/// The signalling value of a lowered offer (RFC 7507).
pub const FALLBACK_SCSV: u16 = 0x5600;

/// Every suite known, by code point, without signalling values.
#[must_use]
pub fn suites() -> &'static [(u16, &'static str)] {
    &suites::SUITES
}

/// The name of a suite; `None` where it has none here.
#[must_use]
pub fn suite_name(id: u16) -> Option<&'static str> {
    let at = suites::SUITES.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    suites::SUITES.get(at).map(|(_, name)| *name)
}

/// Whether a value is reserved to be ignored (GREASE, RFC 8701).
#[must_use]
pub const fn is_grease(id: u16) -> bool {
    id & 0x0f0f == 0x0a0a && id >> 8 == id & 0xff
}

/// Whether a suite belongs to TLS 1.3 (RFC 8446, RFC 8998, RFC 9150, RFC 9367, AEGIS), and so to no older version.
#[must_use]
pub const fn is_tls13_suite(id: u16) -> bool {
    matches!(id, 0x1301..=0x13ff | 0x00c6 | 0x00c7 | 0xc0b4 | 0xc0b5 | 0xc103..=0xc106)
}

/// Whether a suite can be negotiated in a version at all. SSL 3.0 and older know neither AEAD nor the hashes of SHA-2
/// (RFC 5246, 6.2.3.3; RFC 5289, section 4); what TLS 1.0 and 1.1 know is left to the server.
#[must_use]
pub fn in_version(id: u16, version: crate::facts::VersionName) -> bool {
    use crate::facts::VersionName::{Ssl2, Ssl3, Tls13};
    match version {
        Ssl2 => false,
        Ssl3 => suite_parts(id).is_some_and(|p| {
            let hash = p.hash.as_deref();
            !is_tls13_suite(id) && !p.aead && matches!(hash, None | Some("SHA" | "MD5"))
        }),
        _ => is_tls13_suite(id) == (version == Tls13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_another_table() {
        for (id, cipher) in tls_parser::CIPHERS.entries() {
            if ![RENEGOTIATION_SCSV, FALLBACK_SCSV].contains(id) {
                assert_eq!(suite_name(*id), Some(cipher.name), "{id:#06x}");
            }
        }
    }

    #[test]
    fn grease_is_none_of_ours() {
        assert!(is_grease(0x0a0a) && is_grease(0xfafa) && !is_grease(0x0a1a) && !is_grease(0x1301));
        assert!(suites().iter().all(|(id, _)| !is_grease(*id)));
        assert!(GROUPS.iter().all(|g| !is_grease(g.id)));
    }
}
