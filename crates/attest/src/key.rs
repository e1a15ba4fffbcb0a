//! Keys: ECDSA on P-256 (FIPS 186-5) and Ed25519 (RFC 8032), in PEM (RFC 7468).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::Signer as _;
use model::Digest;
use p256::elliptic_curve::rand_core::{OsRng, RngCore as _};
use p256::pkcs8::der::pem::PemLabel as _;
use p256::pkcs8::{
    AlgorithmIdentifierRef, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
    ObjectIdentifier, PrivateKeyInfo, SecretDocument, SubjectPublicKeyInfoRef,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::text::{base64_of, base64_strict, shown};

/// PEM text longer than this is no key of ours.
const MAX_PEM: usize = 16 * 1024;
/// id-ecPublicKey (RFC 5480).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// id-Ed25519 (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// The DER of an OCTET STRING of 32 bytes begins so.
const SEED_HEADER: [u8; 2] = [0x04, 32];

/// How a key signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, deterministic (RFC 6979), signatures in DER. What FIPS shops may use.
    #[default]
    EcdsaP256,
    /// Pure Ed25519 (RFC 8032), not the pre-hashed variant.
    Ed25519,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// Why some text is not a key that we can use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The key is under a passphrase.
    #[error("the private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN) and name that file")]
    Encrypted,
    /// There is no PEM block with a key in it, more than one, or the block is broken.
    #[error("no readable key: {0}; a PEM file with exactly one key is wanted")]
    Malformed(String),
    /// A key of a type that we do not use.
    #[error("{0} is not supported; use ECDSA P-256 or Ed25519 in PKCS#8 (probity keys new makes one)")]
    Unsupported(String),
    /// The system gave no randomness.
    #[error("the system gave no randomness for a new key: {0}")]
    Randomness(String),
}

/// SHA-256 of a public key's DER SubjectPublicKeyInfo: how a key is named everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// As a bundle's `hint` and `keyid`: standard base64 of the digest, as cosign writes it.
    #[must_use]
    pub fn hint(&self) -> String {
        base64_of(&self.0)
    }

    /// Reads a bundle's hint; `None` where it is not base64 of 32 bytes.
    #[must_use]
    pub fn from_hint(hint: &str) -> Option<Self> {
        if hint.len() != 44 {
            return None;
        }
        base64_strict(hint)?.try_into().ok().map(Self)
    }
}

/// `SHA256:` and base64 without padding, as OpenSSH shows fingerprints.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads what [`Display`](fmt::Display) writes.
impl FromStr for Fingerprint {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.strip_prefix("SHA256:")
            .and_then(|digits| STANDARD_NO_PAD.decode(digits).ok())
            .and_then(|bytes| bytes.try_into().ok().map(Self))
            .ok_or_else(|| KeyError::Malformed("a fingerprint is SHA256: and 43 base64 digits".to_owned()))
    }
}

#[derive(Clone)]
enum Secret {
    EcdsaP256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// A private key. Its memory is zeroised when it is dropped, and it is never shown by `Debug`.
#[derive(Clone)]
pub struct SigningKey {
    secret: Secret,
    public: PublicKey,
}

impl SigningKey {
    /// Makes a new key from the system's randomness.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        // A random 32-byte string is no P-256 scalar once in 2^32 draws; four draws leave 2^-128.
        for _ in 0..4 {
            OsRng.try_fill_bytes(seed.as_mut()).map_err(|e| KeyError::Randomness(e.to_string()))?;
            let secret = match algorithm {
                Algorithm::EcdsaP256 => p256::ecdsa::SigningKey::from_slice(seed.as_ref()).ok().map(Secret::EcdsaP256),
                Algorithm::Ed25519 => Some(Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))),
            };
            if let Some(secret) = secret {
                return Self::new(secret);
            }
        }
        Err(KeyError::Randomness("it is not random".to_owned()))
    }

    fn new(secret: Secret) -> Result<Self, KeyError> {
        let public = match &secret {
            Secret::EcdsaP256(key) => PublicKey::new(Point::EcdsaP256(*key.verifying_key())),
            Secret::Ed25519(key) => PublicKey::new(Point::Ed25519(key.verifying_key())),
        }?;
        Ok(Self { secret, public })
    }

    /// Reads a key in PEM: `PRIVATE KEY` (PKCS#8, RFC 5958) or `EC PRIVATE KEY` (SEC 1, RFC 5915), the latter also
    /// behind the `EC PARAMETERS` block that OpenSSL writes.
    ///
    /// # Errors
    /// Where the key is encrypted, of another type or curve, broken, or where there is not exactly one.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let block = only_block(pem, |label| label.ends_with("PRIVATE KEY"))?;
        if block.label == "ENCRYPTED PRIVATE KEY" || block.text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let broken = |what: &str| KeyError::Malformed(what.to_owned());
        match block.label {
            PrivateKeyInfo::PEM_LABEL => {
                let (_, document) =
                    SecretDocument::from_pem(block.text).map_err(|_| broken("the PEM block is broken"))?;
                let info: PrivateKeyInfo<'_> =
                    document.as_bytes().try_into().map_err(|_| broken("the block is not PKCS#8"))?;
                match info.algorithm.oid {
                    EC => {
                        curve_is_p256(info.algorithm.parameters_oid().ok())?;
                        let key = p256::SecretKey::try_from(info).map_err(|_| broken("the P-256 key is broken"))?;
                        Self::new(Secret::EcdsaP256(key.into()))
                    }
                    ED25519 => Self::new(Secret::Ed25519(ed25519_seed(&info)?)),
                    other => Err(unsupported(other)),
                }
            }
            "EC PRIVATE KEY" => {
                let (_, document) =
                    SecretDocument::from_pem(block.text).map_err(|_| broken("the PEM block is broken"))?;
                let key = p256::SecretKey::from_sec1_der(document.as_bytes()).map_err(|_| {
                    KeyError::Unsupported("an EC key on another curve than P-256, or a broken one,".to_owned())
                })?;
                Self::new(Secret::EcdsaP256(key.into()))
            }
            other => Err(KeyError::Unsupported(format!("a key of the form {}", shown(other)))),
        }
    }

    /// The key in PKCS#8 PEM, in the first version of that format, which OpenSSL 3.0 reads too.
    ///
    /// # Errors
    /// Where the encoder refuses, which no valid key makes it do.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let pem = match &self.secret {
            Secret::EcdsaP256(key) => key.to_pkcs8_pem(LineEnding::LF),
            // With the public key inside it would be version 2 (RFC 5958), which OpenSSL 3.0 can't read.
            Secret::Ed25519(key) => {
                let octets = Zeroizing::new([&SEED_HEADER, key.as_bytes().as_slice()].concat());
                let algorithm = AlgorithmIdentifierRef { oid: ED25519, parameters: None };
                SecretDocument::encode_msg(&PrivateKeyInfo::new(algorithm, &octets))
                    .and_then(|document| document.to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF))
                    .map_err(Into::into)
            }
        };
        pem.map_err(|e| KeyError::Malformed(e.to_string()))
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs bytes; the same bytes give the same signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::EcdsaP256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.normalize_s().unwrap_or(signature).to_der().as_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(secret of {:?})", self.public)
    }
}

#[derive(Clone, Copy)]
enum Point {
    EcdsaP256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// How a signature fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadSignature {
    /// It is not in the one form that we write: strict DER with the lower of the two possible `s`, or 64 bytes.
    NotCanonical,
    /// It was made by another key or over other bytes.
    Wrong,
}

/// A public key. Ordered and compared by its DER SubjectPublicKeyInfo (RFC 5280).
#[derive(Clone)]
pub struct PublicKey {
    point: Point,
    der: Vec<u8>,
}

impl PublicKey {
    fn new(point: Point) -> Result<Self, KeyError> {
        let der = match &point {
            Point::EcdsaP256(key) => key.to_public_key_der(),
            Point::Ed25519(key) => key.to_public_key_der(),
        };
        let der = der.map_err(|e| KeyError::Malformed(e.to_string()))?.into_vec();
        Ok(Self { point, der })
    }

    /// Reads a `PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// Where the key is of another type or curve, broken, not on its curve, of small order, or where there is not
    /// exactly one.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let block = only_block(pem, |label| label.ends_with(" KEY") || label == "CERTIFICATE")?;
        if block.label.ends_with("PRIVATE KEY") {
            return Err(KeyError::Unsupported("a private key in the place of a public one".to_owned()));
        }
        if block.label != SubjectPublicKeyInfoRef::PEM_LABEL {
            return Err(KeyError::Unsupported(format!("a key of the form {}", shown(block.label))));
        }
        let broken = |what: &str| KeyError::Malformed(what.to_owned());
        let (_, document) = SecretDocument::from_pem(block.text).map_err(|_| broken("the PEM block is broken"))?;
        let info =
            SubjectPublicKeyInfoRef::try_from(document.as_bytes()).map_err(|_| broken("it is not a public key"))?;
        match info.algorithm.oid {
            EC => {
                curve_is_p256(info.algorithm.parameters_oid().ok())?;
                let key = p256::ecdsa::VerifyingKey::from_public_key_der(document.as_bytes());
                Self::new(Point::EcdsaP256(key.map_err(|_| broken("the P-256 key is broken"))?))
            }
            ED25519 => {
                let key = ed25519_dalek::VerifyingKey::from_public_key_der(document.as_bytes());
                let key = key.map_err(|_| broken("the Ed25519 key is broken"))?;
                if key.is_weak() {
                    return Err(broken("the Ed25519 key is of small order, which verifies anything"));
                }
                Self::new(Point::Ed25519(key))
            }
            other => Err(unsupported(other)),
        }
    }

    /// The key in PEM, one final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let digits = base64_of(&self.der);
        let lines = digits
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .fold(String::new(), |text, line| text + &line + "\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}-----END PUBLIC KEY-----\n")
    }

    /// The key's name.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(*Digest::of(&self.der).as_bytes())
    }

    /// How this key signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.point {
            Point::EcdsaP256(_) => Algorithm::EcdsaP256,
            Point::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Checks a signature over bytes.
    pub(crate) fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match &self.point {
            Point::EcdsaP256(key) => {
                use p256::ecdsa::signature::Verifier as _;
                let parsed = p256::ecdsa::Signature::from_der(signature).map_err(|_| BadSignature::NotCanonical)?;
                // (r, s) and (r, n - s) verify alike; only one of them is ours, so that nobody but the signer can
                // make a second bundle out of the first.
                if parsed.normalize_s().is_some() || parsed.to_der().as_bytes() != signature {
                    return Err(BadSignature::NotCanonical);
                }
                key.verify(message, &parsed).map_err(|_| BadSignature::Wrong)
            }
            Point::Ed25519(key) => {
                let parsed = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature::NotCanonical)?;
                key.verify_strict(message, &parsed).map_err(|_| BadSignature::Wrong)
            }
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.der.cmp(&other.der)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.fingerprint())
    }
}

fn curve_is_p256(curve: Option<ObjectIdentifier>) -> Result<(), KeyError> {
    /// secp256r1 (RFC 5480).
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    match curve {
        Some(P256) => Ok(()),
        Some(other) => Err(KeyError::Unsupported(format!("an EC key on the curve {other}"))),
        None => Err(KeyError::Unsupported("an EC key without a named curve".to_owned())),
    }
}

/// The seed of an Ed25519 key (RFC 8410, section 7); a public key beside it must be the seed's own.
fn ed25519_seed(info: &PrivateKeyInfo<'_>) -> Result<ed25519_dalek::SigningKey, KeyError> {
    let broken = || KeyError::Malformed("the Ed25519 key is broken".to_owned());
    let octets = info.private_key.strip_prefix(&SEED_HEADER).filter(|_| info.algorithm.parameters.is_none());
    let mut seed = Zeroizing::new([0; 32]);
    let octets = octets.filter(|octets| octets.len() == seed.len()).ok_or_else(broken)?;
    seed.copy_from_slice(octets);
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let beside = info.public_key.is_none_or(|public| public == key.verifying_key().as_bytes());
    beside.then_some(key).ok_or_else(broken)
}

fn unsupported(oid: ObjectIdentifier) -> KeyError {
    match oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => KeyError::Unsupported("an RSA key".to_owned()),
        "1.3.101.113" => KeyError::Unsupported("an Ed448 key".to_owned()),
        other => KeyError::Unsupported(format!("a key of the algorithm {other}")),
    }
}

/// One block of a PEM file.
struct Block<'a> {
    label: &'a str,
    text: &'a str,
}

/// Finds the only block whose label is wanted; others, such as `EC PARAMETERS`, are passed over.
fn only_block(pem: &str, wanted: impl Fn(&str) -> bool) -> Result<Block<'_>, KeyError> {
    let broken = |what: &str| KeyError::Malformed(what.to_owned());
    if pem.len() > MAX_PEM {
        return Err(broken("the text is too long for a key"));
    }
    let mut found = None;
    let mut rest = pem;
    while let Some((_, tail)) = rest.split_once("-----BEGIN ") {
        let (label, _) = tail.split_once("-----").ok_or_else(|| broken("a PEM block has no end"))?;
        let end = format!("-----END {label}-----");
        let (body, after) = tail.split_once(&end).ok_or_else(|| broken("a PEM block has no end"))?;
        if wanted(label) {
            if found.is_some() {
                return Err(broken("there is more than one key"));
            }
            let start = rest.len() - tail.len() - "-----BEGIN ".len();
            let text = rest.get(start..rest.len() - tail.len() + body.len() + end.len()).unwrap_or_default();
            found = Some(Block { label, text });
        }
        rest = after;
    }
    found.ok_or_else(|| broken("there is no PEM block with a key"))
}

#[cfg(test)]
mod vectors;
