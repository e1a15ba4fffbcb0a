//! How a file says that it is encrypted: the AlgorithmIdentifiers of PKCS #5 and PKCS #12, and OpenSSL's DEK-Info; and
//! opening PBES2 with a passphrase that was given.

use aws_lc_rs::cipher::{AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use super::der::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, dotted};
use crate::facts::{Protection, Scheme};

/// More iterations are not computed: a file must not decide how long this program works.
const MOST_ITERATIONS: u32 = 10_000_000;

/// The schemes of PKCS #5 1.5 (1.2.840.113549.1.5.x) and PKCS #12 (1.2.840.113549.1.12.1.x): last arc, hash, cipher.
const PBES1: [(&str, &str, &str); 6] = [
    ("1", "md2", "des-cbc"),
    ("3", "md5", "des-cbc"),
    ("4", "md2", "rc2-64-cbc"),
    ("6", "md5", "rc2-64-cbc"),
    ("10", "sha1", "des-cbc"),
    ("11", "sha1", "rc2-64-cbc"),
];
const PKCS12: [(&str, &str); 6] =
    [("1", "rc4"), ("2", "rc4-40"), ("3", "des-ede3-cbc"), ("4", "des-ede-cbc"), ("5", "rc2-cbc"), ("6", "rc2-40-cbc")];

/// What an AlgorithmIdentifier of an encryption says; `algorithm` is its content.
pub(super) fn of_algorithm(algorithm: Reader<'_>) -> Option<Protection> {
    let mut algorithm = algorithm;
    let oid = dotted(algorithm.take(OID)?)?;
    if oid == "1.2.840.113549.1.5.13" {
        return Some(pbes2(algorithm).unwrap_or(Protection { scheme: Scheme::Pbes2, ..unknown() }));
    }
    let cost = || {
        algorithm.clone().enter(SEQUENCE).and_then(|mut p| p.take(OCTET_STRING).and(p.take(INTEGER))).and_then(number)
    };
    if let Some(arc) = oid.strip_prefix("1.2.840.113549.1.12.1.") {
        let cipher = PKCS12.iter().find(|(known, _)| *known == arc).map(|(_, cipher)| (*cipher).to_owned());
        let (kdf, hash) = (Some("PKCS12".to_owned()), Some("sha1".to_owned()));
        return Some(Protection { scheme: Scheme::Pkcs12, cipher, kdf, hash, cost: cost() });
    }
    let known = oid.strip_prefix("1.2.840.113549.1.5.").and_then(|arc| PBES1.iter().find(|(known, ..)| *known == arc));
    Some(match known {
        Some((_, hash, cipher)) => Protection {
            scheme: Scheme::Pbes1,
            cipher: Some((*cipher).to_owned()),
            kdf: Some("PBKDF1".to_owned()),
            hash: Some((*hash).to_owned()),
            cost: cost(),
        },
        None => unknown(),
    })
}

/// Encrypted by means that are not known.
pub(super) const fn unknown() -> Protection {
    Protection { scheme: Scheme::Unknown, cipher: None, kdf: None, hash: None, cost: None }
}

/// `PBES2-params` (RFC 8018, appendix A.4).
fn pbes2(algorithm: Reader<'_>) -> Option<Protection> {
    let mut algorithm = algorithm;
    let mut params = algorithm.enter(SEQUENCE)?;
    let (mut derivation, mut encryption) = (params.enter(SEQUENCE)?, params.enter(SEQUENCE)?);
    let cipher = encryption.take(OID).and_then(dotted).map(|oid| cipher(&oid).map_or(oid.clone(), str::to_owned));
    let mut found = Protection { scheme: Scheme::Pbes2, cipher, ..unknown() };
    match dotted(derivation.take(OID)?)?.as_str() {
        "1.2.840.113549.1.5.12" => {
            let pbkdf2 = Pbkdf2::read(derivation)?;
            found.kdf = Some("PBKDF2".to_owned());
            found.hash = pbkdf2.hash.map(str::to_owned);
            found.cost = Some(i64::from(pbkdf2.iterations));
        }
        // RFC 7914, section 7.1.
        "1.3.6.1.4.1.11591.4.11" => {
            let mut scrypt = derivation.enter(SEQUENCE)?;
            scrypt.take(OCTET_STRING)?;
            found.kdf = Some("scrypt".to_owned());
            found.cost = scrypt.take(INTEGER).and_then(number);
        }
        _ => {}
    }
    Some(found)
}

fn cipher(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.16.840.1.101.3.4.1.2" => "aes-128-cbc",
        "2.16.840.1.101.3.4.1.22" => "aes-192-cbc",
        "2.16.840.1.101.3.4.1.42" => "aes-256-cbc",
        "2.16.840.1.101.3.4.1.6" => "aes-128-gcm",
        "2.16.840.1.101.3.4.1.46" => "aes-256-gcm",
        "1.2.840.113549.3.7" => "des-ede3-cbc",
        "1.3.14.3.2.7" => "des-cbc",
        "1.2.840.113549.3.2" => "rc2-cbc",
        _ => return None,
    })
}

/// The hash of an HMAC or alone, by identifier; that of an absent `prf` is SHA-1.
pub(super) fn hash(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "1.2.840.113549.2.7" | "1.3.14.3.2.26" => "sha1",
        "1.2.840.113549.2.8" | "2.16.840.1.101.3.4.2.4" => "sha224",
        "1.2.840.113549.2.9" | "2.16.840.1.101.3.4.2.1" => "sha256",
        "1.2.840.113549.2.10" | "2.16.840.1.101.3.4.2.2" => "sha384",
        "1.2.840.113549.2.11" | "2.16.840.1.101.3.4.2.3" => "sha512",
        "1.2.840.113549.2.5" => "md5",
        _ => return None,
    })
}

/// A small non-negative INTEGER.
pub(super) fn number(integer: &[u8]) -> Option<i64> {
    let digits = integer.iter().position(|byte| *byte != 0).and_then(|start| integer.get(start..)).unwrap_or_default();
    let small = integer.first().is_some_and(|first| first & 0x80 == 0) && digits.len() <= 7;
    small.then(|| digits.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)))
}

/// `PBKDF2-params` (RFC 8018, appendix A.2).
struct Pbkdf2<'a> {
    salt: &'a [u8],
    iterations: u32,
    hash: Option<&'static str>,
}

impl<'a> Pbkdf2<'a> {
    fn read(derivation: Reader<'a>) -> Option<Self> {
        let mut derivation = derivation;
        let mut params = derivation.enter(SEQUENCE)?;
        let salt = params.take(OCTET_STRING)?;
        let iterations = params.take(INTEGER).and_then(number).and_then(|n| u32::try_from(n).ok())?;
        if params.peek() == Some(INTEGER) {
            params.take(INTEGER)?;
        }
        let hash = match params.peek() {
            Some(SEQUENCE) => params.enter(SEQUENCE)?.take(OID).and_then(dotted).and_then(|oid| hash(&oid)),
            _ => Some("sha1"),
        };
        Some(Self { salt, iterations, hash })
    }
}

/// Decrypts by PBES2 with PBKDF2 and AES in CBC mode, the form that OpenSSL and its kin write; `None` for anything else,
/// for a wrong passphrase, and where that would take too long. `algorithm` is the content of the AlgorithmIdentifier.
pub(super) fn open(algorithm: Reader<'_>, encrypted: &[u8], passphrase: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut algorithm = algorithm;
    (dotted(algorithm.take(OID)?)? == "1.2.840.113549.1.5.13").then_some(())?;
    let mut params = algorithm.enter(SEQUENCE)?;
    let (mut derivation, mut encryption) = (params.enter(SEQUENCE)?, params.enter(SEQUENCE)?);
    (dotted(derivation.take(OID)?)? == "1.2.840.113549.1.5.12").then_some(())?;
    let its = Pbkdf2::read(derivation)?;
    let (cipher, length) = match cipher(&dotted(encryption.take(OID)?)?)? {
        "aes-128-cbc" => (&AES_128, 16),
        "aes-256-cbc" => (&AES_256, 32),
        _ => return None,
    };
    let vector: [u8; 16] = encryption.take(OCTET_STRING)?.try_into().ok()?;
    let by = match its.hash? {
        "sha1" => pbkdf2::PBKDF2_HMAC_SHA1,
        "sha256" => pbkdf2::PBKDF2_HMAC_SHA256,
        "sha384" => pbkdf2::PBKDF2_HMAC_SHA384,
        "sha512" => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return None,
    };
    let iterations = std::num::NonZeroU32::new(its.iterations).filter(|n| n.get() <= MOST_ITERATIONS)?;
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(by, iterations, its.salt, passphrase.as_bytes(), &mut key);
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, &key).ok()?).ok()?;
    let mut plain = Zeroizing::new(encrypted.to_vec());
    let length = key.decrypt(&mut plain, DecryptionContext::Iv128(vector.into())).ok()?.len();
    plain.truncate(length);
    Some(plain)
}

/// OpenSSL's `DEK-Info: AES-256-CBC,…` (PEM_read_bio(3)): one round of MD5 over passphrase and salt.
pub(super) fn of_dek_info(value: &str) -> Protection {
    let cipher = value.split(',').next().map(|name| name.trim().to_ascii_lowercase());
    Protection {
        scheme: Scheme::Pem,
        cipher: cipher.filter(|name| !name.is_empty() && name.len() <= 40),
        kdf: Some("MD5".to_owned()),
        hash: Some("md5".to_owned()),
        cost: Some(1),
    }
}
