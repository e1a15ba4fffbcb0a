//! Signature schemes: IANA "TLS SignatureScheme", and the pairs of hash and signature of RFC 5246, 7.4.1.4.1.
//!
//! Left out are `rsa_pkcs1_sha256_legacy` and its like (0x0420, 0x0520, 0x0620): only clients may sign with them.

/// One scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemeInfo {
    /// Code point.
    pub id: u16,
    /// IANA name; pairs of RFC 5246 that have none there are named in the same style (`rsa_pkcs1_md5`).
    pub name: &'static str,
    /// Its hash; `None` where it is part of the scheme.
    pub hash: Option<&'static str>,
}

impl SchemeInfo {
    /// May sign a TLS 1.3 handshake (RFC 8446, 4.2.3: neither PKCS #1 v1.5, nor DSA, nor SHA-1 and below).
    #[must_use]
    pub fn in_tls13(&self) -> bool {
        !(self.name.starts_with("rsa_pkcs1")
            || self.name.starts_with("dsa_")
            || matches!(self.hash, Some("MD5" | "SHA1" | "SHA224"))
            || matches!(self.id, 0x0840 | 0x0841))
    }

    /// May sign a TLS 1.2 key exchange.
    #[must_use]
    pub fn in_tls12(&self) -> bool {
        // RFC 9367 has GOST's for TLS 1.3, RFC 9189 the two for TLS 1.2.
        match self.name {
            "gostr34102012_256" | "gostr34102012_512" => true,
            name => {
                !["mldsa", "slhdsa", "gost", "eccsi", "iso_"].iter().any(|new| name.starts_with(new))
                    && !name.contains("tls13")
            }
        }
    }
}

/// Every scheme known, by code point.
pub const SCHEMES: &[SchemeInfo] = &[
    SchemeInfo { id: 0x0101, name: "rsa_pkcs1_md5", hash: Some("MD5") },
    SchemeInfo { id: 0x0102, name: "dsa_md5", hash: Some("MD5") },
    SchemeInfo { id: 0x0103, name: "ecdsa_md5", hash: Some("MD5") },
    SchemeInfo { id: 0x0201, name: "rsa_pkcs1_sha1", hash: Some("SHA1") },
    SchemeInfo { id: 0x0202, name: "dsa_sha1", hash: Some("SHA1") },
    SchemeInfo { id: 0x0203, name: "ecdsa_sha1", hash: Some("SHA1") },
    SchemeInfo { id: 0x0301, name: "rsa_pkcs1_sha224", hash: Some("SHA224") },
    SchemeInfo { id: 0x0302, name: "dsa_sha224", hash: Some("SHA224") },
    SchemeInfo { id: 0x0303, name: "ecdsa_sha224", hash: Some("SHA224") },
    SchemeInfo { id: 0x0401, name: "rsa_pkcs1_sha256", hash: Some("SHA256") },
    SchemeInfo { id: 0x0402, name: "dsa_sha256", hash: Some("SHA256") },
    SchemeInfo { id: 0x0403, name: "ecdsa_secp256r1_sha256", hash: Some("SHA256") },
    SchemeInfo { id: 0x0501, name: "rsa_pkcs1_sha384", hash: Some("SHA384") },
    SchemeInfo { id: 0x0502, name: "dsa_sha384", hash: Some("SHA384") },
    SchemeInfo { id: 0x0503, name: "ecdsa_secp384r1_sha384", hash: Some("SHA384") },
    SchemeInfo { id: 0x0601, name: "rsa_pkcs1_sha512", hash: Some("SHA512") },
    SchemeInfo { id: 0x0602, name: "dsa_sha512", hash: Some("SHA512") },
    SchemeInfo { id: 0x0603, name: "ecdsa_secp521r1_sha512", hash: Some("SHA512") },
    SchemeInfo { id: 0x0704, name: "eccsi_sha256", hash: Some("SHA256") },
    SchemeInfo { id: 0x0705, name: "iso_ibs1", hash: None },
    SchemeInfo { id: 0x0706, name: "iso_ibs2", hash: None },
    SchemeInfo { id: 0x0707, name: "iso_chinese_ibs", hash: None },
    SchemeInfo { id: 0x0708, name: "sm2sig_sm3", hash: Some("SM3") },
    SchemeInfo { id: 0x0709, name: "gostr34102012_256a", hash: Some("GOSTR34112012_256") },
    SchemeInfo { id: 0x070a, name: "gostr34102012_256b", hash: Some("GOSTR34112012_256") },
    SchemeInfo { id: 0x070b, name: "gostr34102012_256c", hash: Some("GOSTR34112012_256") },
    SchemeInfo { id: 0x070c, name: "gostr34102012_256d", hash: Some("GOSTR34112012_256") },
    SchemeInfo { id: 0x070d, name: "gostr34102012_512a", hash: Some("GOSTR34112012_512") },
    SchemeInfo { id: 0x070e, name: "gostr34102012_512b", hash: Some("GOSTR34112012_512") },
    SchemeInfo { id: 0x070f, name: "gostr34102012_512c", hash: Some("GOSTR34112012_512") },
    SchemeInfo { id: 0x0804, name: "rsa_pss_rsae_sha256", hash: Some("SHA256") },
    SchemeInfo { id: 0x0805, name: "rsa_pss_rsae_sha384", hash: Some("SHA384") },
    SchemeInfo { id: 0x0806, name: "rsa_pss_rsae_sha512", hash: Some("SHA512") },
    SchemeInfo { id: 0x0807, name: "ed25519", hash: None },
    SchemeInfo { id: 0x0808, name: "ed448", hash: None },
    SchemeInfo { id: 0x0809, name: "rsa_pss_pss_sha256", hash: Some("SHA256") },
    SchemeInfo { id: 0x080a, name: "rsa_pss_pss_sha384", hash: Some("SHA384") },
    SchemeInfo { id: 0x080b, name: "rsa_pss_pss_sha512", hash: Some("SHA512") },
    SchemeInfo { id: 0x081a, name: "ecdsa_brainpoolP256r1tls13_sha256", hash: Some("SHA256") },
    SchemeInfo { id: 0x081b, name: "ecdsa_brainpoolP384r1tls13_sha384", hash: Some("SHA384") },
    SchemeInfo { id: 0x081c, name: "ecdsa_brainpoolP512r1tls13_sha512", hash: Some("SHA512") },
    SchemeInfo { id: 0x0840, name: "gostr34102012_256", hash: Some("GOSTR34112012_256") },
    SchemeInfo { id: 0x0841, name: "gostr34102012_512", hash: Some("GOSTR34112012_512") },
    SchemeInfo { id: 0x0904, name: "mldsa44", hash: None },
    SchemeInfo { id: 0x0905, name: "mldsa65", hash: None },
    SchemeInfo { id: 0x0906, name: "mldsa87", hash: None },
    SchemeInfo { id: 0x0911, name: "slhdsa_sha2_128s", hash: None },
    SchemeInfo { id: 0x0912, name: "slhdsa_sha2_128f", hash: None },
    SchemeInfo { id: 0x0913, name: "slhdsa_sha2_192s", hash: None },
    SchemeInfo { id: 0x0914, name: "slhdsa_sha2_192f", hash: None },
    SchemeInfo { id: 0x0915, name: "slhdsa_sha2_256s", hash: None },
    SchemeInfo { id: 0x0916, name: "slhdsa_sha2_256f", hash: None },
    SchemeInfo { id: 0x0917, name: "slhdsa_shake_128s", hash: None },
    SchemeInfo { id: 0x0918, name: "slhdsa_shake_128f", hash: None },
    SchemeInfo { id: 0x0919, name: "slhdsa_shake_192s", hash: None },
    SchemeInfo { id: 0x091a, name: "slhdsa_shake_192f", hash: None },
    SchemeInfo { id: 0x091b, name: "slhdsa_shake_256s", hash: None },
    SchemeInfo { id: 0x091c, name: "slhdsa_shake_256f", hash: None },
];

/// The scheme of a code point.
#[must_use]
pub fn scheme(id: u16) -> Option<&'static SchemeInfo> {
    let at = SCHEMES.binary_search_by_key(&id, |s| s.id).ok()?;
    SCHEMES.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_sorted_and_know_their_versions() {
        assert!(SCHEMES.is_sorted_by(|a, b| a.id < b.id));
        let versions = |id| scheme(id).map(|s| (s.name, s.in_tls12(), s.in_tls13()));
        assert_eq!(versions(0x0401), Some(("rsa_pkcs1_sha256", true, false)));
        assert_eq!(versions(0x0804), Some(("rsa_pss_rsae_sha256", true, true)));
        assert_eq!(versions(0x0905), Some(("mldsa65", false, true)));
        assert_eq!(versions(0x0841), Some(("gostr34102012_512", true, false)));
        assert_eq!(versions(0x0917), Some(("slhdsa_shake_128s", false, true)));
        assert_eq!(versions(0x0203), Some(("ecdsa_sha1", true, false)));
    }
}
