//! Cipher kinds of SSL 2.0 (Hickman 1995, section 1.5; the last three were in use without being specified).

use super::Parts;

/// Three-byte code and name.
pub const KINDS: [(u32, &str); 10] = [
    (0x01_0080, "SSL_CK_RC4_128_WITH_MD5"),
    (0x02_0080, "SSL_CK_RC4_128_EXPORT40_WITH_MD5"),
    (0x03_0080, "SSL_CK_RC2_128_CBC_WITH_MD5"),
    (0x04_0080, "SSL_CK_RC2_128_CBC_EXPORT40_WITH_MD5"),
    (0x05_0080, "SSL_CK_IDEA_128_CBC_WITH_MD5"),
    (0x06_0040, "SSL_CK_DES_64_CBC_WITH_MD5"),
    (0x07_00c0, "SSL_CK_DES_192_EDE3_CBC_WITH_MD5"),
    (0x06_0140, "SSL_CK_DES_64_CBC_WITH_SHA"),
    (0x07_01c0, "SSL_CK_DES_192_EDE3_CBC_WITH_SHA"),
    (0x08_0080, "SSL_CK_RC4_64_WITH_MD5"),
];

/// The parts of a cipher kind; `None` for a code without a name. Key exchange and authentication are always RSA.
#[must_use]
pub fn kind_parts(code: u32) -> Option<Parts> {
    let (encryption, key_bits, block_bits, hash, export) = match code {
        0x01_0080 => ("RC4_128", 128, None, "MD5", false),
        0x02_0080 => ("RC4_40", 40, None, "MD5", true),
        0x03_0080 => ("RC2_CBC_128", 128, Some(64), "MD5", false),
        0x04_0080 => ("RC2_CBC_40", 40, Some(64), "MD5", true),
        0x05_0080 => ("IDEA_CBC", 128, Some(64), "MD5", false),
        0x06_0040 => ("DES_CBC", 56, Some(64), "MD5", false),
        0x07_00c0 => ("3DES_EDE_CBC", 168, Some(64), "MD5", false),
        0x06_0140 => ("DES_CBC", 56, Some(64), "SHA", false),
        0x07_01c0 => ("3DES_EDE_CBC", 168, Some(64), "SHA", false),
        0x08_0080 => ("RC4_64", 64, None, "MD5", false),
        _ => return None,
    };
    Some(Parts {
        key_exchange: "RSA".into(),
        authentication: "RSA".into(),
        encryption: encryption.into(),
        key_bits,
        block_bits,
        hash: Some(hash.into()),
        aead: false,
        ephemeral: false,
        export,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_parts() {
        for (code, name) in KINDS {
            let parts = kind_parts(code);
            assert_eq!(parts.map(|p| p.export), Some(name.contains("EXPORT")), "{name}");
        }
        assert_eq!(kind_parts(0), None);
    }
}
