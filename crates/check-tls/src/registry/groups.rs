//! Groups for key exchange: IANA "TLS Supported Groups", and those that were in use without being registered: CECPQ2
//! (BoringSSL, 2018), and Kyber at Cloudflare's first numbers (0xfe30, 0xfe31; circl, 2022).

use model::Digest;

/// One group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Code point.
    pub id: u16,
    /// IANA name.
    pub name: &'static str,
    /// Bits of the field or prime; `None` for ML-KEM and hybrids.
    pub bits: Option<u32>,
}

impl GroupInfo {
    /// Contains ML-KEM (FIPS 203); its draft Kyber and the HRSS of CECPQ2 are not that, but as good against quantum
    /// computers.
    #[must_use]
    pub fn post_quantum(&self) -> bool {
        ["MLKEM", "Kyber", "CECPQ2"].iter().any(|kem| self.name.contains(kem))
    }

    /// A finite-field group (RFC 7919).
    #[must_use]
    pub fn finite_field(&self) -> bool {
        self.name.starts_with("ffdhe")
    }

    /// Usable in TLS 1.3: brainpool has code points of its own there (RFC 8734), and binary and small curves, like
    /// secp256k1, are gone (RFC 8446, 4.2.7).
    #[must_use]
    pub const fn in_tls13(&self) -> bool {
        !matches!(self.id, 1..=22 | 26..=28)
    }

    /// Usable in TLS 1.2 and older.
    #[must_use]
    pub fn in_tls12(&self) -> bool {
        !self.post_quantum() && !matches!(self.id, 31..=33)
    }
}

/// Every group known, by code point.
pub const GROUPS: &[GroupInfo] = &[
    GroupInfo { id: 0x0001, name: "sect163k1", bits: Some(163) },
    GroupInfo { id: 0x0002, name: "sect163r1", bits: Some(163) },
    GroupInfo { id: 0x0003, name: "sect163r2", bits: Some(163) },
    GroupInfo { id: 0x0004, name: "sect193r1", bits: Some(193) },
    GroupInfo { id: 0x0005, name: "sect193r2", bits: Some(193) },
    GroupInfo { id: 0x0006, name: "sect233k1", bits: Some(233) },
    GroupInfo { id: 0x0007, name: "sect233r1", bits: Some(233) },
    GroupInfo { id: 0x0008, name: "sect239k1", bits: Some(239) },
    GroupInfo { id: 0x0009, name: "sect283k1", bits: Some(283) },
    GroupInfo { id: 0x000a, name: "sect283r1", bits: Some(283) },
    GroupInfo { id: 0x000b, name: "sect409k1", bits: Some(409) },
    GroupInfo { id: 0x000c, name: "sect409r1", bits: Some(409) },
    GroupInfo { id: 0x000d, name: "sect571k1", bits: Some(571) },
    GroupInfo { id: 0x000e, name: "sect571r1", bits: Some(571) },
    GroupInfo { id: 0x000f, name: "secp160k1", bits: Some(160) },
    GroupInfo { id: 0x0010, name: "secp160r1", bits: Some(160) },
    GroupInfo { id: 0x0011, name: "secp160r2", bits: Some(160) },
    GroupInfo { id: 0x0012, name: "secp192k1", bits: Some(192) },
    GroupInfo { id: 0x0013, name: "secp192r1", bits: Some(192) },
    GroupInfo { id: 0x0014, name: "secp224k1", bits: Some(224) },
    GroupInfo { id: 0x0015, name: "secp224r1", bits: Some(224) },
    GroupInfo { id: 0x0016, name: "secp256k1", bits: Some(256) },
    GroupInfo { id: 0x0017, name: "secp256r1", bits: Some(256) },
    GroupInfo { id: 0x0018, name: "secp384r1", bits: Some(384) },
    GroupInfo { id: 0x0019, name: "secp521r1", bits: Some(521) },
    GroupInfo { id: 0x001a, name: "brainpoolP256r1", bits: Some(256) },
    GroupInfo { id: 0x001b, name: "brainpoolP384r1", bits: Some(384) },
    GroupInfo { id: 0x001c, name: "brainpoolP512r1", bits: Some(512) },
    GroupInfo { id: 0x001d, name: "x25519", bits: Some(255) },
    GroupInfo { id: 0x001e, name: "x448", bits: Some(448) },
    GroupInfo { id: 0x001f, name: "brainpoolP256r1tls13", bits: Some(256) },
    GroupInfo { id: 0x0020, name: "brainpoolP384r1tls13", bits: Some(384) },
    GroupInfo { id: 0x0021, name: "brainpoolP512r1tls13", bits: Some(512) },
    GroupInfo { id: 0x0022, name: "GC256A", bits: Some(256) },
    GroupInfo { id: 0x0023, name: "GC256B", bits: Some(256) },
    GroupInfo { id: 0x0024, name: "GC256C", bits: Some(256) },
    GroupInfo { id: 0x0025, name: "GC256D", bits: Some(256) },
    GroupInfo { id: 0x0026, name: "GC512A", bits: Some(512) },
    GroupInfo { id: 0x0027, name: "GC512B", bits: Some(512) },
    GroupInfo { id: 0x0028, name: "GC512C", bits: Some(512) },
    GroupInfo { id: 0x0029, name: "curveSM2", bits: Some(256) },
    GroupInfo { id: 0x0100, name: "ffdhe2048", bits: Some(2048) },
    GroupInfo { id: 0x0101, name: "ffdhe3072", bits: Some(3072) },
    GroupInfo { id: 0x0102, name: "ffdhe4096", bits: Some(4096) },
    GroupInfo { id: 0x0103, name: "ffdhe6144", bits: Some(6144) },
    GroupInfo { id: 0x0104, name: "ffdhe8192", bits: Some(8192) },
    GroupInfo { id: 0x0200, name: "MLKEM512", bits: None },
    GroupInfo { id: 0x0201, name: "MLKEM768", bits: None },
    GroupInfo { id: 0x0202, name: "MLKEM1024", bits: None },
    GroupInfo { id: 0x11eb, name: "SecP256r1MLKEM768", bits: None },
    GroupInfo { id: 0x11ec, name: "X25519MLKEM768", bits: None },
    GroupInfo { id: 0x11ed, name: "SecP384r1MLKEM1024", bits: None },
    GroupInfo { id: 0x11ee, name: "curveSM2MLKEM768", bits: None },
    GroupInfo { id: 0x4138, name: "CECPQ2", bits: None },
    GroupInfo { id: 0x6399, name: "X25519Kyber768Draft00", bits: None },
    GroupInfo { id: 0x639a, name: "SecP256r1Kyber768Draft00", bits: None },
    GroupInfo { id: 0xfe30, name: "X25519Kyber512Draft00", bits: None },
    GroupInfo { id: 0xfe31, name: "X25519Kyber768Draft00Old", bits: None },
];

/// The group of a code point.
#[must_use]
pub fn group(id: u16) -> Option<&'static GroupInfo> {
    let at = GROUPS.binary_search_by_key(&id, |g| g.id).ok()?;
    GROUPS.get(at)
}

/// SHA-256 of the primes of RFC 7919, appendix A, big endian.
const FFDHE_PRIMES: [(u16, &str); 5] = [
    (0x0100, "9cd3b7f336872f46c09428d1bbc19877a4d440512cda8d1c1cf0cd6e33698966"),
    (0x0101, "0eaf67db3a839156d5013494a5318a772b5697d270d721f37f092efc69ea5a17"),
    (0x0102, "4648414224ac881b3d0dc59b466f96d06a558278776807797ecf1f66ff397b3e"),
    (0x0103, "227ac9066b3ddd9e193670cda2388fa884f65ba0cf98b742d1fe77a6687c79c7"),
    (0x0104, "770b14efaf6f049929c523113b3fa99a8d11dab1b18af3609590122075d19833"),
];

/// The RFC 7919 group whose prime has this digest.
#[must_use]
pub fn ffdhe_of_prime(digest: &Digest) -> Option<u16> {
    let text = digest.to_string();
    FFDHE_PRIMES.iter().find(|(_, prime)| *prime == text).map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_sorted_and_found() {
        assert!(GROUPS.is_sorted_by(|a, b| a.id < b.id));
        assert_eq!(
            group(0x11ec).map(|g| (g.name, g.post_quantum(), g.in_tls12())),
            Some(("X25519MLKEM768", true, false))
        );
        assert_eq!(group(23).map(|g| (g.name, g.bits, g.in_tls13())), Some(("secp256r1", Some(256), true)));
        assert_eq!(group(0x0a0a), None);
    }

    #[test]
    fn widths_agree_with_another_table() {
        for info in GROUPS {
            // That table has 521 for a curve over a field of 512 bits.
            if info.name.starts_with("brainpoolP512") {
                continue;
            }
            if let (Some(ours), Some(theirs)) = (info.bits, tls_parser::NamedGroup(info.id).key_bits()) {
                // That table gives X25519 and X448 the size of the group.
                assert!(ours.abs_diff(u32::from(theirs)) <= 2, "{}: {ours} and {theirs}", info.name);
            }
        }
    }
}
