//! What a private key says of itself without being told: its sort, its size, and its public half. Nothing secret
//! leaves this file: all that is kept is public.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use model::Digest;

use super::der::{BIT_STRING, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, bits, dotted, element};
use super::pem::Block;
use super::protection::{self, of_algorithm, of_dek_info};
use super::{openssh, pkcs12};
use crate::facts::{KeyFormat, KeyType, Protection};

/// The public side of a private key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Public {
    pub(super) encrypted: bool,
    pub(super) protection: Option<Protection>,
    /// `None` where encryption hides it.
    pub(super) key_type: Option<KeyType>,
    pub(super) algorithm: Option<String>,
    pub(super) bits: Option<u32>,
    pub(super) curve: Option<String>,
    /// Of RSA keys, the numbers without sign.
    pub(super) exponent: Option<i64>,
    pub(super) modulus: Option<Vec<u8>>,
    pub(super) purpose: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) created: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), hexadecimal.
    pub(super) spki: Option<String>,
}

impl Public {
    /// Whether encryption hides all of it but what its mark says.
    pub(super) const fn is_hidden(&self) -> bool {
        self.encrypted && self.algorithm.is_none()
    }

    /// All that is seen of an encrypted key.
    fn hidden(key_type: Option<KeyType>, protection: Protection) -> Self {
        Self { encrypted: true, key_type, protection: Some(protection), ..Self::default() }
    }
}

/// Named curves: identifier, name (RFC 8422), bits of the field, how to derive the public half.
type Curve = (&'static str, &'static str, u32, Option<&'static EcdsaSigningAlgorithm>);
const CURVES: [Curve; 9] = [
    ("1.2.840.10045.3.1.7", "secp256r1", 256, Some(&ECDSA_P256_SHA256_ASN1_SIGNING)),
    ("1.3.132.0.34", "secp384r1", 384, Some(&ECDSA_P384_SHA384_ASN1_SIGNING)),
    ("1.3.132.0.35", "secp521r1", 521, Some(&ECDSA_P521_SHA512_ASN1_SIGNING)),
    ("1.3.132.0.10", "secp256k1", 256, Some(&ECDSA_P256K1_SHA256_ASN1_SIGNING)),
    ("1.2.840.10045.3.1.1", "secp192r1", 192, None),
    ("1.3.132.0.33", "secp224r1", 224, None),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1", 256, None),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1", 384, None),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1", 512, None),
];

const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC: &str = "1.2.840.10045.2.1";
const DSA: &str = "1.2.840.10040.4.1";

/// AlgorithmIdentifier of an RSA key: its identifier and NULL.
const RSA_ALGORITHM: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
/// Identifier id-ecPublicKey.
const EC_OID: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// AlgorithmIdentifier of an Ed25519 key.
const ED25519_ALGORITHM: [u8; 7] = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];

/// AlgorithmIdentifier of an X25519 key.
const X25519_ALGORITHM: [u8; 7] = [0x30, 5, 6, 3, 0x2b, 0x65, 0x6e];

/// Whether a PEM label marks a private key.
pub(super) fn is_private(label: &str) -> bool {
    label.contains("PRIVATE KEY") && label != "PGP PRIVATE KEY BLOCK"
}

/// Reads a PEM block. An error says why it could not be understood.
pub(super) fn of_pem(block: &Block, passphrase: Option<&str>) -> (KeyFormat, Result<Public, &'static str>) {
    let label = block.label.as_str();
    let (format, hidden) = match label {
        "PRIVATE KEY" => (KeyFormat::Pkcs8, None),
        "ENCRYPTED PRIVATE KEY" => (KeyFormat::EncryptedPkcs8, None),
        "RSA PRIVATE KEY" => (KeyFormat::Pkcs1, Some(KeyType::Rsa)),
        "EC PRIVATE KEY" => (KeyFormat::Sec1, Some(KeyType::Ec)),
        "DSA PRIVATE KEY" => (KeyFormat::Dsa, Some(KeyType::Dsa)),
        "OPENSSH PRIVATE KEY" => (KeyFormat::OpenSsh, None),
        _ => return (KeyFormat::Unknown, Err("marked as a private key of a form that this program does not know")),
    };
    let Some(content) = block.content.as_ref().map(|content| content.as_slice()) else {
        return (format, Err("marked as a private key, but cut short or not in base64"));
    };
    if let Some(means) = &block.encrypted {
        return (format, Ok(Public::hidden(hidden, of_dek_info(means))));
    }
    let read = match format {
        KeyFormat::Pkcs8 => pkcs8(content),
        KeyFormat::EncryptedPkcs8 => encrypted_pkcs8(content, passphrase),
        KeyFormat::Pkcs1 => pkcs1(content, &RSA_ALGORITHM),
        KeyFormat::Sec1 => sec1(content, None),
        KeyFormat::Dsa => dsa(content),
        _ => openssh::public(content),
    };
    (format, read.ok_or("marked as a private key, but not in the form that its mark says"))
}

/// Reads a file that is DER through and through; `None` where it is no private key.
pub(super) fn of_der(bytes: &[u8], passphrase: Option<&str>) -> Option<(KeyFormat, Result<Public, &'static str>)> {
    if pkcs12::is_store(bytes) {
        return Some((
            KeyFormat::Pkcs12,
            Err("a PKCS #12 store that is damaged or written in BER; owner and permissions hold"),
        ));
    }
    let forms: [(KeyFormat, Option<Public>); 4] = [
        (KeyFormat::Pkcs8, pkcs8(bytes)),
        (KeyFormat::EncryptedPkcs8, encrypted_pkcs8(bytes, passphrase)),
        (KeyFormat::Pkcs1, pkcs1(bytes, &RSA_ALGORITHM)),
        (KeyFormat::Sec1, sec1(bytes, None)),
    ];
    forms.into_iter().find_map(|(format, read)| Some((format, Ok(read?))))
}

/// `PrivateKeyInfo` (RFC 5958).
pub(super) fn pkcs8(bytes: &[u8]) -> Option<Public> {
    let mut body = whole(bytes)?;
    matches!(body.take(INTEGER)?, [0 | 1]).then_some(())?;
    let algorithm = body.take_whole(SEQUENCE)?;
    let mut parts = Reader::new(algorithm).enter(SEQUENCE)?;
    let oid = dotted(parts.take(OID)?)?;
    let key = body.take(OCTET_STRING)?;
    let plain = |key_type, bits| Public { key_type: Some(key_type), bits, ..Public::default() };
    let public = match oid.as_str() {
        RSA | RSA_PSS => pkcs1(key, algorithm)?,
        EC => sec1(key, parts.take_whole(OID))?,
        "1.3.101.112" => {
            let seed = Reader::new(key).take(OCTET_STRING)?;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
            ed25519(pair.public_key().as_ref())
        }
        "1.3.101.113" => plain(KeyType::Ed448, Some(448)),
        "1.3.101.110" => {
            let secret = Reader::new(key).take(OCTET_STRING)?;
            let pair = PrivateKey::from_private_key(&X25519, secret).ok();
            let public = pair.and_then(|pair| pair.compute_public_key().ok());
            public.map_or_else(|| plain(KeyType::X25519, Some(255)), |public| x25519(public.as_ref()))
        }
        DSA => plain(KeyType::Dsa, parts.enter(SEQUENCE).and_then(|mut p| p.take(INTEGER)).and_then(bits)),
        _ => plain(KeyType::Other, None),
    };
    Some(Public { algorithm: Some(oid), ..public })
}

/// A public key as certificates hold it: `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
pub(super) fn of_spki(bytes: &[u8]) -> Option<Public> {
    let mut body = whole(bytes)?;
    let algorithm = body.take_whole(SEQUENCE)?;
    let mut parts = Reader::new(algorithm).enter(SEQUENCE)?;
    let oid = dotted(parts.take(OID)?)?;
    let key = body.take(BIT_STRING)?.strip_prefix(&[0])?;
    body.is_empty().then_some(())?;
    let plain = |key_type, bits| Public { key_type: Some(key_type), bits, ..Public::default() };
    let public = match oid.as_str() {
        RSA | RSA_PSS => {
            let mut numbers = whole(key)?;
            rsa(numbers.take_whole(INTEGER)?, numbers.take_whole(INTEGER)?, algorithm)?
        }
        EC => {
            let curve = parts.take_whole(OID)?;
            ec(curve, &dotted(Reader::new(curve).take(OID)?)?, Some(key))
        }
        "1.3.101.112" => ed25519(key),
        "1.3.101.113" => plain(KeyType::Ed448, Some(448)),
        "1.3.101.110" => x25519(key),
        DSA => plain(KeyType::Dsa, parts.enter(SEQUENCE).and_then(|mut p| p.take(INTEGER)).and_then(bits)),
        _ => plain(KeyType::Other, None),
    };
    Some(Public { algorithm: Some(oid), spki: Some(Digest::of(bytes).to_string()), ..public })
}

/// `EncryptedPrivateKeyInfo` (RFC 5958): its algorithm is that of the encryption. A passphrase that opens it shows the key.
pub(super) fn encrypted_pkcs8(bytes: &[u8], passphrase: Option<&str>) -> Option<Public> {
    let mut body = whole(bytes)?;
    let algorithm = body.enter(SEQUENCE)?;
    let protection = of_algorithm(algorithm)?;
    let encrypted = body.take(OCTET_STRING)?;
    body.is_empty().then_some(())?;
    let plain = passphrase.and_then(|passphrase| protection::open(algorithm, encrypted, passphrase));
    Some(match plain.and_then(|plain| pkcs8(&plain)) {
        Some(key) => Public { encrypted: true, protection: Some(protection), ..key },
        None => Public::hidden(None, protection),
    })
}

/// `RSAPrivateKey` (RFC 8017, appendix A.1.2).
fn pkcs1(bytes: &[u8], algorithm: &[u8]) -> Option<Public> {
    let mut body = whole(bytes)?;
    matches!(body.take(INTEGER)?, [0 | 1]).then_some(())?;
    let (modulus, exponent) = (body.take_whole(INTEGER)?, body.take_whole(INTEGER)?);
    // d, p, q, dp, dq, qinv: tells it from a DSA key, which has three numbers less.
    for _ in 0..6 {
        body.take(INTEGER)?;
    }
    rsa(modulus, exponent, algorithm)
}

/// An RSA key from its modulus and exponent, both INTEGER elements.
fn rsa(modulus: &[u8], exponent: &[u8], algorithm: &[u8]) -> Option<Public> {
    let key = element(SEQUENCE, &[modulus, exponent]);
    let number = Reader::new(modulus).take(INTEGER)?;
    Some(Public {
        key_type: Some(KeyType::Rsa),
        algorithm: Some(RSA.into()),
        bits: bits(number),
        exponent: Reader::new(exponent).take(INTEGER).and_then(protection::number),
        modulus: Some(number.to_vec()),
        spki: Some(spki(algorithm, &key)),
        ..Public::default()
    })
}

/// An RSA key from its numbers without sign, as SSH writes them.
pub(super) fn rsa_of(modulus: &[u8], exponent: &[u8]) -> Option<Public> {
    rsa(&element(INTEGER, &[modulus]), &element(INTEGER, &[exponent]), &RSA_ALGORITHM)
}

/// An Ed25519 key from its public half.
pub(super) fn ed25519(public: &[u8]) -> Public {
    Public {
        key_type: Some(KeyType::Ed25519),
        algorithm: Some("1.3.101.112".into()),
        bits: Some(255),
        spki: Some(spki(&ED25519_ALGORITHM, public)),
        ..Public::default()
    }
}

/// An X25519 key from its public half.
pub(super) fn x25519(public: &[u8]) -> Public {
    Public {
        key_type: Some(KeyType::X25519),
        algorithm: Some("1.3.101.110".into()),
        bits: Some(255),
        spki: Some(spki(&X25519_ALGORITHM, public)),
        ..Public::default()
    }
}

/// `ECPrivateKey` (RFC 5915). `outer`: the curve as a PKCS #8 wrapper names it.
fn sec1(bytes: &[u8], outer: Option<&[u8]>) -> Option<Public> {
    let mut body = whole(bytes)?;
    matches!(body.take(INTEGER)?, [1]).then_some(())?;
    body.take(OCTET_STRING)?;
    let inner = if body.peek() == Some(0xa0) { body.enter(0xa0)?.take_whole(OID) } else { None };
    let written = match body.peek() {
        Some(0xa1) => body.enter(0xa1)?.take(BIT_STRING)?.strip_prefix(&[0]),
        _ => None,
    };
    let Some(curve) = outer.or(inner) else {
        return Some(Public { key_type: Some(KeyType::Ec), algorithm: Some(EC.into()), ..Public::default() });
    };
    let oid = dotted(Reader::new(curve).take(OID)?)?;
    let derived = CURVES.iter().find(|(id, ..)| *id == oid).and_then(|(.., derive)| *derive);
    let derived = derived.and_then(|algorithm| EcdsaKeyPair::from_private_key_der(algorithm, bytes).ok());
    match &derived {
        Some(pair) => Some(ec(curve, &oid, Some(pair.public_key().as_ref()))),
        None => Some(ec(curve, &oid, written)),
    }
}

/// A key on a named curve (an OID element) from its point.
fn ec(curve: &[u8], oid: &str, point: Option<&[u8]>) -> Public {
    let known = CURVES.iter().find(|(id, ..)| *id == oid);
    let algorithm = element(SEQUENCE, &[&EC_OID, curve]);
    Public {
        key_type: Some(KeyType::Ec),
        algorithm: Some(EC.into()),
        bits: known.map(|(_, _, bits, _)| *bits),
        curve: Some(known.map_or(oid, |(_, name, ..)| name).to_owned()),
        spki: point.map(|point| spki(&algorithm, point)),
        ..Public::default()
    }
}

/// A key on a curve as SSH names it (and secp256k1, which it does not know), from its point.
pub(super) fn ec_of(nist: &str, point: &[u8]) -> Option<Public> {
    let (curve, oid): (&[u8], &str) = match nist {
        "nistp256" => (&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "1.2.840.10045.3.1.7"),
        "nistp384" => (&[6, 5, 0x2b, 0x81, 4, 0, 34], "1.3.132.0.34"),
        "nistp521" => (&[6, 5, 0x2b, 0x81, 4, 0, 35], "1.3.132.0.35"),
        "secp256k1" => (&[6, 5, 0x2b, 0x81, 4, 0, 10], "1.3.132.0.10"),
        _ => return None,
    };
    Some(ec(curve, oid, Some(point)))
}

/// OpenSSL's traditional form of a DSA key: 0, p, q, g, public, private.
fn dsa(bytes: &[u8]) -> Option<Public> {
    let mut body = whole(bytes)?;
    matches!(body.take(INTEGER)?, [0]).then_some(())?;
    let prime = body.take(INTEGER)?;
    Some(Public { key_type: Some(KeyType::Dsa), algorithm: Some(DSA.into()), bits: bits(prime), ..Public::default() })
}

/// The one SEQUENCE that these bytes are.
fn whole(bytes: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader::new(bytes);
    let body = reader.enter(SEQUENCE)?;
    reader.is_empty().then_some(body)
}

/// Digest of the SubjectPublicKeyInfo with that algorithm and key.
fn spki(algorithm: &[u8], key: &[u8]) -> String {
    Digest::of(&element(SEQUENCE, &[algorithm, &element(BIT_STRING, &[&[0], key])])).to_string()
}

#[cfg(test)]
mod tests;
