//! Public keys of certificates.

use model::Digest;
use probe::known_keys;
use x509_parser::asn1_rs::{Tag, oid};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::text;
use crate::facts::{CertificateKey, KeyMark, KeyMarkName, Presence};

/// The fact about a key.
pub(crate) fn describe(key: &SubjectPublicKeyInfo<'_>) -> CertificateKey {
    let oid = text::oid(&key.algorithm.algorithm);
    let curve = curve(key);
    let (algorithm, bits) = match oid.as_str() {
        "1.2.840.113549.1.1.1" => ("RSA", rsa_bits(key)),
        "1.2.840.113549.1.1.10" => ("RSASSA-PSS", rsa_bits(key)),
        "1.2.840.10045.2.1" => ("EC", curve.and_then(curve_bits)),
        "1.2.840.10040.4.1" => ("DSA", dsa_bits(key)),
        "1.3.101.112" => ("Ed25519", Some(255)),
        "1.3.101.113" => ("Ed448", Some(448)),
        other => (ml_dsa(other).unwrap_or(other), None),
    };
    let spki_sha256 = Digest::of(key.raw).to_string();
    CertificateKey {
        marks: marks(key, &spki_sha256),
        algorithm: algorithm.to_owned(),
        bits,
        curve: curve.map(str::to_owned).or_else(|| unnamed_curve(key)),
        exponent: exponent(key),
        spki_sha256,
    }
}

/// Marks of a key. Debian's of 2008 are not looked for: no authority has issued a certificate for one that could still be
/// in its time.
fn marks(key: &SubjectPublicKeyInfo<'_>, spki_sha256: &str) -> Vec<KeyMark> {
    let modulus = rsa(key).map(|(modulus, _)| modulus);
    let of = |name, test: fn(&[u8]) -> Option<bool>| match modulus.map(test) {
        None | Some(Some(false)) => KeyMark { name, outcome: Presence::Absent, why: None },
        Some(Some(true)) => KeyMark { name, outcome: Presence::Present, why: None },
        Some(None) => {
            let why = Some("its modulus is longer than this program computes with".to_owned());
            KeyMark { name, outcome: Presence::NotProven, why }
        }
    };
    let place = known_keys::published(spki_sha256).map(str::to_owned);
    let outcome = if place.is_some() { Presence::Present } else { Presence::Absent };
    vec![
        of(KeyMarkName::Roca, known_keys::is_roca),
        of(KeyMarkName::ClosePrimes, known_keys::has_close_primes),
        KeyMark { name: KeyMarkName::Published, outcome, why: place },
    ]
}

/// Bits of an RSA modulus without leading zeros; `None` for other keys.
pub(crate) fn rsa_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<u32> {
    rsa(key).map(|(modulus, _)| bit_length(modulus))
}

/// Name of the named curve of an EC key (RFC 5480, RFC 5639, SEC 2), as IANA "TLS Supported Groups" has it.
pub(crate) fn curve(key: &SubjectPublicKeyInfo<'_>) -> Option<&'static str> {
    Some(match curve_oid(key)?.as_str() {
        "1.2.840.10045.3.1.1" => "secp192r1",
        "1.3.132.0.33" => "secp224r1",
        "1.2.840.10045.3.1.7" => "secp256r1",
        "1.3.132.0.34" => "secp384r1",
        "1.3.132.0.35" => "secp521r1",
        "1.3.132.0.10" => "secp256k1",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        "1.3.36.3.3.2.8.1.1.11" => "brainpoolP384r1",
        "1.3.36.3.3.2.8.1.1.13" => "brainpoolP512r1",
        "1.2.156.10197.1.301" => "curveSM2",
        _ => return None,
    })
}

/// The parameter sets of ML-DSA (FIPS 204, RFC 9881) by object identifier.
pub(crate) fn ml_dsa(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.16.840.1.101.3.4.3.17" => "ML-DSA-44",
        "2.16.840.1.101.3.4.3.18" => "ML-DSA-65",
        "2.16.840.1.101.3.4.3.19" => "ML-DSA-87",
        _ => return None,
    })
}

fn curve_bits(name: &str) -> Option<u32> {
    Some(match name {
        "secp192r1" => 192,
        "secp224r1" => 224,
        "secp256r1" | "secp256k1" | "brainpoolP256r1" | "curveSM2" => 256,
        "secp384r1" | "brainpoolP384r1" => 384,
        "brainpoolP512r1" => 512,
        "secp521r1" => 521,
        _ => return None,
    })
}

fn curve_oid(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    if key.algorithm.algorithm != oid!(1.2.840.10045.2.1) {
        return None;
    }
    let curve = key.algorithm.parameters.as_ref().filter(|any| any.tag() == Tag::Oid)?;
    Some(text::oid(&curve.as_oid().ok()?))
}

/// What stands for the curve of an EC key that no name is known for.
fn unnamed_curve(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    if key.algorithm.algorithm != oid!(1.2.840.10045.2.1) {
        return None;
    }
    Some(curve_oid(key).unwrap_or_else(|| "explicit".to_owned()))
}

fn rsa<'k>(key: &'k SubjectPublicKeyInfo<'k>) -> Option<(&'k [u8], &'k [u8])> {
    // Keys for RSASSA-PSS alone have the same form (RFC 4055, 1.2).
    if ![oid!(1.2.840.113549.1.1.1), oid!(1.2.840.113549.1.1.10)].contains(&key.algorithm.algorithm) {
        return None;
    }
    let (_, key) = RSAPublicKey::from_der(&key.subject_public_key.data).ok()?;
    Some((key.modulus, key.exponent))
}

fn dsa_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<u32> {
    // Dss-Parms ::= SEQUENCE { p INTEGER, q INTEGER, g INTEGER } (RFC 3279, 2.3.2)
    let (_, p) = x509_parser::der_parser::der::parse_der_integer(key.algorithm.parameters.as_ref()?.data).ok()?;
    Some(bit_length(p.as_slice().ok()?))
}

fn bit_length(number: &[u8]) -> u32 {
    let mut digits = number.iter().skip_while(|byte| **byte == 0);
    let Some(first) = digits.next() else { return 0 };
    let rest = u32::try_from(digits.count()).unwrap_or(u32::MAX);
    rest.saturating_mul(8).saturating_add(8 - first.leading_zeros())
}

/// Decimal; only exponents of up to 16 bytes, larger ones are `0x…` in hexadecimal.
fn exponent(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let (_, exponent) = rsa(key)?;
    let digits: Vec<u8> = exponent.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.len() > 16 {
        return Some(text::cut(format!("0x{}", text::hex(&digits))));
    }
    Some(digits.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte)).to_string())
}
