//! A statement in a DSSE envelope (version 1.0) in a Sigstore bundle (version 0.3), signed by a key.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::key::{BadSignature, Fingerprint, PublicKey, SigningKey};
use crate::statement::{Statement, StatementError};
use crate::text::{base64_of, base64_strict, shown};

/// Bytes of a bundle at most; the same bound holds for a manifest and a list of sums.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Why a statement was not signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// The statement is not one that verifiers take.
    #[error("the statement can't be signed: {0}")]
    Statement(#[from] StatementError),
    /// What was written does not verify: too large, nested too deeply, or a fault of this machine.
    #[error("the signed bundle does not verify: {0}")]
    Check(#[from] VerifyError),
}

/// Why a bundle does not verify.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// Longer than [`MAX_BYTES`].
    #[error("the bundle is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// Not a bundle of the form that we write: not JSON, unknown keys, no signature or more than one, bad base64.
    #[error("the bundle is malformed: {0}")]
    Malformed(String),
    /// A bundle, payload or statement of another kind or version.
    #[error("the bundle's {what} is '{found}'; {wanted} is wanted")]
    Unsupported {
        /// Which of its types.
        what: &'static str,
        /// What it says.
        found: String,
        /// What we read.
        wanted: &'static str,
    },
    /// It says what it should, but not in the one canonical spelling: the bytes were changed after signing.
    #[error("the {0} is not in its canonical form; it was changed after it was signed, or written by another tool")]
    NotCanonical(&'static str),
    /// Neither a trusted key nor the one offered is the one that it names.
    #[error("signed by the key {0}, which is neither trusted nor at hand")]
    NoKey(Fingerprint),
    /// The named key is at hand and did not make this signature over these bytes.
    #[error("the signature is wrong: these are not the bytes that the key {0} signed")]
    BadSignature(Fingerprint),
    /// The signature is good, but what was signed is no statement.
    #[error("the signature is good, but {0}")]
    Statement(StatementError),
}

/// Who signed, and whether the caller trusts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// One of the caller's candidates.
    Trusted(PublicKey),
    /// Only the key that was offered with the bundle: intact, signer unknown.
    Unknown(PublicKey),
}

impl Trust {
    /// The key that made the signature.
    #[must_use]
    pub const fn signer(&self) -> &PublicKey {
        match self {
            Self::Trusted(key) | Self::Unknown(key) => key,
        }
    }

    /// True for a candidate's signature.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted(_))
    }
}

/// A bundle whose signature is good.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// What was signed.
    pub statement: Statement,
    /// By whom.
    pub trust: Trust,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Material {
    public_key: Hint,
    /// Always there and always empty: some readers demand the key, and an entry would need a log to check it with.
    tlog_entries: [(); 0],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    /// Exactly one, as the bundle's specification demands of envelopes.
    signatures: [Signature; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

/// DSSE's pre-authentication encoding: the bytes that are really signed.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Signs a statement: the bytes of a bundle, in canonical form. The same statement and key give the same bytes.
///
/// # Errors
/// Where the statement is not valid, or where the result would not verify.
pub fn sign(statement: &Statement, key: &SigningKey) -> Result<Vec<u8>, SignError> {
    let payload = statement.to_bytes()?;
    let signature = key.sign(&pae(PAYLOAD_TYPE, &payload));
    let hint = key.public().fingerprint().hint();
    let bundle = Bundle {
        media_type: MEDIA_TYPE.to_owned(),
        verification_material: Material { public_key: Hint { hint: hint.clone() }, tlog_entries: [] },
        dsse_envelope: Envelope {
            payload: base64_of(&payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: [Signature { keyid: hint, sig: base64_of(&signature) }],
        },
    };
    let bytes = canonical(&bundle)?;
    // A signature that does not verify may give the key away (a fault while signing), so that it never leaves.
    verify(&bytes, std::slice::from_ref(key.public()), None)?;
    Ok(bytes)
}

/// Verifies a bundle against the keys that the caller trusts, then against the key that came with it, if any.
///
/// The bundle must be in canonical form to the last byte. The statement is read only once the signature is good.
///
/// # Errors
/// Whatever is wrong with it, in [`VerifyError`].
pub fn verify(bundle: &[u8], candidates: &[PublicKey], offered: Option<&PublicKey>) -> Result<Verified, VerifyError> {
    let opened = open(bundle)?;
    let named = |key: &&PublicKey| key.fingerprint() == opened.signer;
    let trusted = candidates.iter().find(named).cloned().map(Trust::Trusted);
    let trust = trusted.or_else(|| offered.filter(named).cloned().map(Trust::Unknown));
    let trust = trust.ok_or(VerifyError::NoKey(opened.signer))?;
    match trust.signer().check(&pae(PAYLOAD_TYPE, &opened.payload), &opened.signature) {
        Ok(()) => {}
        Err(BadSignature::NotCanonical) => return Err(VerifyError::NotCanonical("signature")),
        Err(BadSignature::Wrong) => return Err(VerifyError::BadSignature(opened.signer)),
    }
    let statement = Statement::from_bytes(&opened.payload).map_err(VerifyError::Statement)?;
    if statement.to_bytes().as_ref() != Ok(&opened.payload) {
        return Err(VerifyError::NotCanonical("statement"));
    }
    Ok(Verified { statement, trust })
}

/// The key that a bundle names as its signer. Nothing is verified: good for finding the key, not for believing it.
///
/// # Errors
/// Where the bundle is malformed, of another version or not canonical.
pub fn peek(bundle: &[u8]) -> Result<Fingerprint, VerifyError> {
    open(bundle).map(|opened| opened.signer)
}

/// A bundle that is well formed; nothing in it is verified.
struct Opened {
    payload: Vec<u8>,
    signature: Vec<u8>,
    signer: Fingerprint,
}

fn open(bytes: &[u8]) -> Result<Opened, VerifyError> {
    if bytes.len() > MAX_BYTES {
        return Err(VerifyError::TooLarge);
    }
    let malformed = |what: &str| VerifyError::Malformed(shown(what));
    let bundle: Bundle = model::from_json(bytes).map_err(|e| malformed(&e.to_string()))?;
    wanted("media type", &bundle.media_type, MEDIA_TYPE)?;
    wanted("payload type", &bundle.dsse_envelope.payload_type, PAYLOAD_TYPE)?;
    // Unknown and repeated keys, other spellings of the same string, white space: all of it ends here.
    if canonical(&bundle)? != bytes {
        return Err(VerifyError::NotCanonical("bundle"));
    }
    let [signature] = &bundle.dsse_envelope.signatures;
    if signature.keyid != bundle.verification_material.public_key.hint {
        return Err(malformed("the signature's keyid and the key's hint differ"));
    }
    Ok(Opened {
        payload: base64_strict(&bundle.dsse_envelope.payload)
            .ok_or_else(|| malformed("the payload is not strict base64"))?,
        signature: base64_strict(&signature.sig).ok_or_else(|| malformed("the signature is not strict base64"))?,
        signer: Fingerprint::from_hint(&signature.keyid)
            .ok_or_else(|| malformed("the key's hint is not the base64 of a SHA-256 digest"))?,
    })
}

fn wanted(what: &'static str, found: &str, wanted: &'static str) -> Result<(), VerifyError> {
    let unsupported = || VerifyError::Unsupported { what, found: shown(found), wanted };
    (found == wanted).then_some(()).ok_or_else(unsupported)
}

fn canonical(bundle: &Bundle) -> Result<Vec<u8>, VerifyError> {
    model::canonical_json(bundle).map_err(|e| VerifyError::Malformed(shown(&e.to_string())))
}
