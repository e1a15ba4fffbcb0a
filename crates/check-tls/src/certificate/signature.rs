//! Signature algorithms: what they are called, and whether a signature verifies.

use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::{key, text};
use crate::facts::CertificateSignature;

/// A hash function within a signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// How something is signed, as far as it can be checked here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    RsaPkcs1(Hash),
    /// With a salt as long as the hash, as TLS and practically all certificates have it.
    RsaPss(Hash),
    Ecdsa(Hash),
    Ed25519,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

impl Scheme {
    /// That of an algorithm identifier; `None` where it can't be checked here.
    pub(crate) fn of_algorithm(algorithm: &AlgorithmIdentifier<'_>) -> Option<Self> {
        let oid = text::oid(&algorithm.algorithm);
        if oid == RSASSA_PSS {
            let params = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
            let (hash, length) = match pss_hash(algorithm)? {
                "SHA256" => (Hash::Sha256, 32),
                "SHA384" => (Hash::Sha384, 48),
                "SHA512" => (Hash::Sha512, 64),
                _ => return None,
            };
            return (params.salt_length() == length).then_some(Self::RsaPss(hash));
        }
        Some(match oid.as_str() {
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => Self::RsaPkcs1(Hash::Sha1),
            "1.2.840.113549.1.1.11" => Self::RsaPkcs1(Hash::Sha256),
            "1.2.840.113549.1.1.12" => Self::RsaPkcs1(Hash::Sha384),
            "1.2.840.113549.1.1.13" => Self::RsaPkcs1(Hash::Sha512),
            "1.2.840.10045.4.1" => Self::Ecdsa(Hash::Sha1),
            "1.2.840.10045.4.3.1" => Self::Ecdsa(Hash::Sha224),
            "1.2.840.10045.4.3.2" => Self::Ecdsa(Hash::Sha256),
            "1.2.840.10045.4.3.3" => Self::Ecdsa(Hash::Sha384),
            "1.2.840.10045.4.3.4" => Self::Ecdsa(Hash::Sha512),
            "1.3.101.112" => Self::Ed25519,
            "2.16.840.1.101.3.4.3.17" => Self::MlDsa44,
            "2.16.840.1.101.3.4.3.18" => Self::MlDsa65,
            "2.16.840.1.101.3.4.3.19" => Self::MlDsa87,
            _ => return None,
        })
    }

    /// That of a TLS signature scheme (IANA "TLS SignatureScheme"); `None` where it can't be checked here.
    pub(crate) const fn of_tls(code: u16) -> Option<Self> {
        Some(match code {
            0x0201 => Self::RsaPkcs1(Hash::Sha1),
            0x0203 => Self::Ecdsa(Hash::Sha1),
            0x0303 => Self::Ecdsa(Hash::Sha224),
            0x0401 => Self::RsaPkcs1(Hash::Sha256),
            0x0403 => Self::Ecdsa(Hash::Sha256),
            0x0501 => Self::RsaPkcs1(Hash::Sha384),
            0x0503 => Self::Ecdsa(Hash::Sha384),
            0x0601 => Self::RsaPkcs1(Hash::Sha512),
            0x0603 => Self::Ecdsa(Hash::Sha512),
            0x0804 | 0x0809 => Self::RsaPss(Hash::Sha256),
            0x0805 | 0x080a => Self::RsaPss(Hash::Sha384),
            0x0806 | 0x080b => Self::RsaPss(Hash::Sha512),
            0x0807 => Self::Ed25519,
            0x0904 => Self::MlDsa44,
            0x0905 => Self::MlDsa65,
            0x0906 => Self::MlDsa87,
            _ => return None,
        })
    }

    /// Whether the signature over the message verifies with the key; `None` where that can't be told here.
    pub(crate) fn verifies(self, key: &SubjectPublicKeyInfo<'_>, message: &[u8], signature: &[u8]) -> Option<bool> {
        let (algorithm, least_bits): (&'static dyn VerificationAlgorithm, u32) = match self {
            Self::RsaPkcs1(Hash::Sha1) => (&lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, 1024),
            Self::RsaPkcs1(Hash::Sha256) => (&lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, 1024),
            Self::RsaPkcs1(Hash::Sha384) => (&lc::RSA_PKCS1_2048_8192_SHA384, 2048),
            Self::RsaPkcs1(Hash::Sha512) => (&lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, 1024),
            Self::RsaPss(Hash::Sha256) => (&lc::RSA_PSS_2048_8192_SHA256, 2048),
            Self::RsaPss(Hash::Sha384) => (&lc::RSA_PSS_2048_8192_SHA384, 2048),
            Self::RsaPss(Hash::Sha512) => (&lc::RSA_PSS_2048_8192_SHA512, 2048),
            Self::RsaPkcs1(Hash::Sha224) | Self::RsaPss(Hash::Sha1 | Hash::Sha224) => return None,
            Self::Ecdsa(hash) => (ecdsa(hash, key::curve(key)?)?, 0),
            Self::Ed25519 => (&lc::ED25519, 0),
            Self::MlDsa44 => (&lc::ML_DSA_44, 0),
            Self::MlDsa65 => (&lc::ML_DSA_65, 0),
            Self::MlDsa87 => (&lc::ML_DSA_87, 0),
        };
        if matches!(self, Self::RsaPkcs1(_) | Self::RsaPss(_))
            && !key::rsa_bits(key).is_some_and(|bits| (least_bits..=8192).contains(&bits))
        {
            return None;
        }
        Some(UnparsedPublicKey::new(algorithm, &key.subject_public_key.data).verify(message, signature).is_ok())
    }
}

fn ecdsa(hash: Hash, curve: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (curve, hash) {
        ("secp256r1", Hash::Sha1) => &lc::ECDSA_P256_SHA1_ASN1,
        ("secp256r1", Hash::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
        ("secp256r1", Hash::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
        ("secp256r1", Hash::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
        ("secp384r1", Hash::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
        ("secp384r1", Hash::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
        ("secp384r1", Hash::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
        ("secp521r1", Hash::Sha1) => &lc::ECDSA_P521_SHA1_ASN1,
        ("secp521r1", Hash::Sha224) => &lc::ECDSA_P521_SHA224_ASN1,
        ("secp521r1", Hash::Sha256) => &lc::ECDSA_P521_SHA256_ASN1,
        ("secp521r1", Hash::Sha384) => &lc::ECDSA_P521_SHA384_ASN1,
        ("secp521r1", Hash::Sha512) => &lc::ECDSA_P521_SHA512_ASN1,
        ("secp256k1", Hash::Sha256) => &lc::ECDSA_P256K1_SHA256_ASN1,
        _ => return None,
    })
}

const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";

/// The fact about a signature algorithm (RFC 3279, RFC 4055, RFC 5758, RFC 8410, RFC 9881).
pub(crate) fn describe(algorithm: &AlgorithmIdentifier<'_>) -> CertificateSignature {
    let oid = text::oid(&algorithm.algorithm);
    let (name, hash) = match oid.as_str() {
        "1.2.840.113549.1.1.2" => ("md2WithRSAEncryption", Some("MD2")),
        "1.2.840.113549.1.1.3" => ("md4WithRSAEncryption", Some("MD4")),
        "1.2.840.113549.1.1.4" => ("md5WithRSAEncryption", Some("MD5")),
        "1.2.840.113549.1.1.5" => ("sha1WithRSAEncryption", Some("SHA1")),
        "1.3.14.3.2.29" => ("sha1WithRSASignature", Some("SHA1")),
        "1.2.840.113549.1.1.14" => ("sha224WithRSAEncryption", Some("SHA224")),
        "1.2.840.113549.1.1.11" => ("sha256WithRSAEncryption", Some("SHA256")),
        "1.2.840.113549.1.1.12" => ("sha384WithRSAEncryption", Some("SHA384")),
        "1.2.840.113549.1.1.13" => ("sha512WithRSAEncryption", Some("SHA512")),
        RSASSA_PSS => ("rsassaPss", pss_hash(algorithm)),
        "1.2.840.10040.4.3" => ("dsa-with-sha1", Some("SHA1")),
        "2.16.840.1.101.3.4.3.1" => ("dsa-with-sha224", Some("SHA224")),
        "2.16.840.1.101.3.4.3.2" => ("dsa-with-sha256", Some("SHA256")),
        "1.2.840.10045.4.1" => ("ecdsa-with-SHA1", Some("SHA1")),
        "1.2.840.10045.4.3.1" => ("ecdsa-with-SHA224", Some("SHA224")),
        "1.2.840.10045.4.3.2" => ("ecdsa-with-SHA256", Some("SHA256")),
        "1.2.840.10045.4.3.3" => ("ecdsa-with-SHA384", Some("SHA384")),
        "1.2.840.10045.4.3.4" => ("ecdsa-with-SHA512", Some("SHA512")),
        "1.2.156.10197.1.501" => ("sm2-with-SM3", Some("SM3")),
        "1.3.101.112" => ("ed25519", None),
        "1.3.101.113" => ("ed448", None),
        other => (key::ml_dsa(other).unwrap_or(other), None),
    };
    CertificateSignature { name: name.to_owned(), hash: hash.map(str::to_owned), oid: oid.clone() }
}

/// The hash in the parameters of RSASSA-PSS (RFC 4055, 3.1); SHA-1 where they name none.
fn pss_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<&'static str> {
    let Some(params) = algorithm.parameters.as_ref() else { return Some("SHA1") };
    let params = RsaSsaPssParams::try_from(params).ok()?;
    Some(match params.hash_algorithm_oid().to_id_string().as_str() {
        "1.3.14.3.2.26" => "SHA1",
        "2.16.840.1.101.3.4.2.4" => "SHA224",
        "2.16.840.1.101.3.4.2.1" => "SHA256",
        "2.16.840.1.101.3.4.2.2" => "SHA384",
        "2.16.840.1.101.3.4.2.3" => "SHA512",
        _ => return None,
    })
}
