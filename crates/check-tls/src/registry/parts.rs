//! The parts of a cipher suite, read from its name.

use super::{is_tls13_suite, suite_name};

/// What a suite is made of; field by field as in [`crate::facts::Suite`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// `ECDHE`, `RSA`, `PSK`, `any` (TLS 1.3), …
    pub key_exchange: String,
    /// `RSA`, `ECDSA`, `anon`, `any` (TLS 1.3), …
    pub authentication: String,
    /// `AES_128_GCM`, `3DES_EDE_CBC`, `NULL`, …
    pub encryption: String,
    /// Bits of the cipher's key.
    pub key_bits: u32,
    /// Bits of the cipher's block.
    pub block_bits: Option<u32>,
    /// The hash that the name ends with.
    pub hash: Option<String>,
    /// Authenticated encryption.
    pub aead: bool,
    /// DHE, ECDHE, CECPQ1 or TLS 1.3.
    pub ephemeral: bool,
    /// Export grade by name.
    pub export: bool,
}

/// Hashes that a name may end with.
const HASHES: [&str; 10] =
    ["SHA256", "SHA384", "SHA512", "SHA", "MD5", "RMD", "SM3", "GOSTR3411", "GOST89MAC", "GOST89STREAM"];

/// The parts of a suite; `None` for a code point without a name.
#[must_use]
pub fn suite_parts(id: u16) -> Option<Parts> {
    let name = suite_name(id)?;
    let name = name.trim_start_matches("OLD_");
    let name = name.strip_prefix("TLS_").or_else(|| name.strip_prefix("SSL_"))?;
    let (exchange, cipher) = name.split_once("_WITH_").unwrap_or(("", name));
    let (key_exchange, authentication, export) =
        if is_tls13_suite(id) { ("any", "any", false) } else { exchange_parts(exchange)? };
    let (encryption, hash) = split_hash(cipher);
    // Integrity only (RFC 9150): the "cipher" is an HMAC.
    let encryption = if matches!(encryption, "SHA256" | "SHA384") { "NULL" } else { encryption };
    let (key_bits, block_bits, aead) = cipher_parts(encryption)?;
    Some(Parts {
        key_exchange: key_exchange.to_owned(),
        authentication: authentication.to_owned(),
        encryption: encryption.to_owned(),
        key_bits,
        block_bits,
        hash: hash.map(str::to_owned),
        aead,
        ephemeral: ["DHE", "ECDHE", "CECPQ1", "any"].iter().any(|ephemeral| key_exchange.starts_with(ephemeral)),
        export,
    })
}

/// Key exchange, authentication, export grade.
fn exchange_parts(exchange: &str) -> Option<(&str, &str, bool)> {
    let plain = exchange.trim_end_matches("_EXPORT1024").trim_end_matches("_EXPORT");
    let export = plain.len() < exchange.len();
    let (key_exchange, authentication) = match plain {
        "" | "NULL" => ("NULL", "NULL"),
        "RSA" | "RSA_FIPS" | "RSA_OLDFIPS" => ("RSA", "RSA"),
        "KRB5" | "PSK" | "ECCPWD" | "ECJPAKE" | "FORTEZZA_KEA" | "GOSTR341094" | "GOSTR341001" | "GOSTR341112_256" => {
            (plain, plain)
        }
        "DHE_PSK" | "PSK_DHE" => ("DHE_PSK", "PSK"),
        "ECDHE_PSK" | "RSA_PSK" => (plain, "PSK"),
        "SRP_SHA" => ("SRP", "SRP"),
        "SRP_SHA_RSA" => ("SRP", "RSA"),
        "SRP_SHA_DSS" => ("SRP", "DSS"),
        _ => {
            let (key_exchange, authentication) = plain.split_once('_')?;
            if !matches!(key_exchange, "DH" | "DHE" | "ECDH" | "ECDHE" | "CECPQ1") {
                return None;
            }
            (key_exchange, authentication)
        }
    };
    Some((key_exchange, authentication, export))
}

fn split_hash(cipher: &str) -> (&str, Option<&str>) {
    match cipher.rsplit_once('_') {
        Some((encryption, hash)) if HASHES.contains(&hash) => (encryption, Some(hash)),
        _ => (cipher, None),
    }
}

/// Key bits, block bits, authenticated encryption.
fn cipher_parts(encryption: &str) -> Option<(u32, Option<u32>, bool)> {
    // Modes that need no blocks of their own: AES-GCM and AES-CCM still have AES's.
    let aead = ["_GCM", "_CCM", "_CCM_8", "_MGM_L", "_MGM_S", "_POLY1305"].iter().any(|m| encryption.ends_with(m))
        || encryption.starts_with("AEGIS");
    let (key, block) = match encryption {
        "NULL" | "NULL_NULL" => (0, None),
        "RC4_128" => (128, None),
        "RC4_40" => (40, None),
        "RC4_56" => (56, None),
        "RC4_64" => (64, None),
        "3DES_EDE_CBC" => (168, Some(64)),
        "DES_CBC" => (56, Some(64)),
        "DES40_CBC" | "DES_CBC_40" | "RC2_CBC_40" => (40, Some(64)),
        "RC2_CBC_56" => (56, Some(64)),
        "RC2_CBC_128" | "IDEA_CBC" => (128, Some(64)),
        "SEED_CBC" | "SM4_GCM" | "SM4_CCM" => (128, Some(128)),
        "FORTEZZA_CBC" => (80, Some(64)),
        "CHACHA20_POLY1305" | "AEGIS_256" => (256, None),
        "AEGIS_128L" => (128, None),
        "28147_CNT_IMIT" | "28147_CNT" => (256, Some(64)),
        _ if encryption.starts_with("MAGMA") => (256, Some(64)),
        _ if encryption.starts_with("KUZNYECHIK") => (256, Some(128)),
        _ => {
            let mut words = encryption.split('_');
            let (family, bits) = (words.next()?, words.next()?);
            if !matches!(family, "AES" | "CAMELLIA" | "ARIA") {
                return None;
            }
            (bits.parse().ok()?, Some(128))
        }
    };
    Some((key, block, aead))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::super::suites;
    use super::*;

    /// `key_exchange authentication encryption key block hash`, then `aead`, `ephemeral`, `export` where they hold.
    fn line(id: u16) -> String {
        let p = suite_parts(id).unwrap();
        let or = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let block = or(p.block_bits.map(|b| b.to_string()));
        let mut line =
            format!("{} {} {} {} {block} {}", p.key_exchange, p.authentication, p.encryption, p.key_bits, or(p.hash));
        for (flag, word) in [(p.aead, " aead"), (p.ephemeral, " ephemeral"), (p.export, " export")] {
            if flag {
                line.push_str(word);
            }
        }
        line
    }

    #[test]
    fn parts_follow_from_the_name() {
        for (id, wanted) in [
            (0x0000, "NULL NULL NULL_NULL 0 - -"),
            (0x0002, "RSA RSA NULL 0 - SHA"),
            (0x0003, "RSA RSA RC4_40 40 - MD5 export"),
            (0x0011, "DHE DSS DES40_CBC 40 64 SHA ephemeral export"),
            (0x0018, "DH anon RC4_128 128 - MD5"),
            (0x0063, "DHE DSS DES_CBC 56 64 SHA ephemeral export"),
            (0x000a, "RSA RSA 3DES_EDE_CBC 168 64 SHA"),
            (0x0083, "GOSTR341001 GOSTR341001 NULL 0 - GOSTR3411"),
            (0x007c, "RSA RSA 3DES_EDE_CBC 168 64 RMD"),
            (0x00c6, "any any SM4_GCM 128 128 SM3 aead ephemeral"),
            (0x1303, "any any CHACHA20_POLY1305 256 - SHA256 aead ephemeral"),
            (0x1305, "any any AES_128_CCM_8 128 128 SHA256 aead ephemeral"),
            (0x16b8, "CECPQ1 ECDSA CHACHA20_POLY1305 256 - SHA256 aead ephemeral"),
            (0xc015, "ECDH anon NULL 0 - SHA"),
            (0xc01b, "SRP RSA 3DES_EDE_CBC 168 64 SHA"),
            (0xc02f, "ECDHE RSA AES_128_GCM 128 128 SHA256 aead ephemeral"),
            (0xc09c, "RSA RSA AES_128_CCM 128 128 - aead"),
            (0xc0aa, "DHE_PSK PSK AES_128_CCM_8 128 128 - aead ephemeral"),
            (0xc0b4, "any any NULL 0 - SHA256 ephemeral"),
            (0xc0ff, "ECJPAKE ECJPAKE AES_128_CCM_8 128 128 - aead"),
            (0xc100, "GOSTR341112_256 GOSTR341112_256 KUZNYECHIK_CTR_OMAC 256 128 -"),
            (0xcc13, "ECDHE RSA CHACHA20_POLY1305 256 - SHA256 aead ephemeral"),
            (0xff02, "RSA RSA 28147_CNT 256 64 GOST89MAC"),
            (0xfeff, "RSA RSA 3DES_EDE_CBC 168 64 SHA"),
        ] {
            assert_eq!(line(id), wanted, "{id:#06x}");
        }
    }

    #[test]
    fn every_name_is_understood_and_agrees_with_another_table() {
        for (id, name) in suites() {
            let parts = suite_parts(*id).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(parts.export, name.contains("EXPORT"), "{name}");
            let Some(other) = tls_parser::TlsCipherSuite::from_id(*id) else { continue };
            // That table counts 128 bits for the ChaCha20 suites of RFC 7905, whose keys have 256.
            if !name.contains("CHACHA20") {
                assert_eq!(parts.key_bits, u32::from(other.enc_size), "{name}");
            }
        }
    }
}
