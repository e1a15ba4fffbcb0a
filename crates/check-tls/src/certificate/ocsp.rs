//! Stapled OCSP responses (RFC 6960).

use aws_lc_rs::digest;
use der::Decode as _;
use der::oid::ObjectIdentifier;
use x509_ocsp::{BasicOcspResponse, CertId, CertStatus, OcspResponse, OcspResponseStatus, SingleResponse};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::{MOST_BYTES, MOST_CERTIFICATES, asn1, issued, parse, signature::Scheme};
use crate::facts::{Ocsp, OcspStatus, Presence};

const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");

/// Certificates of a response that are looked at for a responder's.
const MOST_RESPONDERS: usize = 8;

/// Reads a stapled response for the first certificate of a chain.
///
/// It is about that certificate where the serial number, the hash of the issuer's name and, with the issuer served, the
/// hash of its key agree. Without the issuer nobody can tell whether the signature verifies. Whether the response is
/// still fresh is left to the reader of its times. `seen` is left empty for the caller.
#[must_use]
pub fn ocsp(response: &[u8], chain: &[Vec<u8>]) -> Ocsp {
    let mut fact = Ocsp {
        outcome: Presence::Present,
        why: None,
        status: None,
        this_update: None,
        next_update: None,
        revoked_at: None,
        signature_verified: None,
        seen: vec![],
    };
    if response.is_empty() {
        fact.outcome = Presence::Absent;
        return fact;
    }
    if let Err((outcome, why)) = read(&mut fact, response, chain) {
        fact.outcome = outcome;
        fact.why = Some(why);
    }
    fact
}

fn read(fact: &mut Ocsp, response: &[u8], chain: &[Vec<u8>]) -> Result<(), (Presence, String)> {
    let unreadable = |why: String| (Presence::NotProven, why);
    let useless = |why: &str| (Presence::Present, why.to_owned());
    if response.len() > MOST_BYTES {
        return Err(unreadable(format!("the response has {} bytes; {MOST_BYTES} are the most", response.len())));
    }
    let response = OcspResponse::from_der(response)
        .map_err(|e| unreadable(format!("the stapled response can't be parsed: {e}")))?;
    let body = match (response.response_status, response.response_bytes) {
        (OcspResponseStatus::Successful, Some(body)) if body.response_type == BASIC => body.response,
        (OcspResponseStatus::Successful, _) => {
            return Err(unreadable("it is no basic response (RFC 6960, 4.2.1)".into()));
        }
        (status, _) => return Err(useless(&format!("the responder answered {status:?}"))),
    };
    let body = body.as_bytes();
    let basic = BasicOcspResponse::from_der(body)
        .map_err(|e| unreadable(format!("the basic response within can't be parsed: {e}")))?;

    let Some(Ok(leaf)) = chain.first().map(|der| parse(der)) else {
        return Err(useless("the certificate that it should be about can't be parsed"));
    };
    let parsed: Vec<X509Certificate<'_>> =
        chain.iter().take(MOST_CERTIFICATES).filter_map(|der| parse(der).ok()).collect();
    let issuer = parsed.iter().find(|other| issued(other, &leaf) == Some(true));
    fact.signature_verified = issuer.and_then(|issuer| verified(body, issuer));

    let Some(single) = basic.tbs_response_data.responses.iter().find(|single| is_about(&single.cert_id, &leaf, issuer))
    else {
        return Err(useless("the response is about another certificate"));
    };
    describe(fact, single);
    Ok(())
}

fn describe(fact: &mut Ocsp, single: &SingleResponse) {
    fact.this_update = Some(single.this_update.0.to_date_time().to_string());
    fact.next_update = single.next_update.map(|time| time.0.to_date_time().to_string());
    fact.status = Some(match &single.cert_status {
        CertStatus::Good(_) => OcspStatus::Good,
        CertStatus::Unknown(_) => OcspStatus::Unknown,
        CertStatus::Revoked(info) => {
            fact.revoked_at = Some(info.revocation_time.0.to_date_time().to_string());
            OcspStatus::Revoked
        }
    });
}

fn is_about(id: &CertId, leaf: &X509Certificate<'_>, issuer: Option<&X509Certificate<'_>>) -> bool {
    let hash = match id.hash_algorithm.oid.to_string().as_str() {
        "1.3.14.3.2.26" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "2.16.840.1.101.3.4.2.1" => &digest::SHA256,
        "2.16.840.1.101.3.4.2.2" => &digest::SHA384,
        "2.16.840.1.101.3.4.2.3" => &digest::SHA512,
        _ => return false,
    };
    let is_hash_of = |wanted: &[u8], bytes: &[u8]| digest::digest(hash, bytes).as_ref() == wanted;
    number(id.serial_number.as_bytes()) == number(leaf.raw_serial())
        && is_hash_of(id.issuer_name_hash.as_bytes(), leaf.issuer().as_raw())
        && issuer.is_none_or(|issuer| {
            is_hash_of(id.issuer_key_hash.as_bytes(), &issuer.public_key().subject_public_key.data)
        })
}

fn number(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Whether the signature of a basic response verifies with the issuer's key, or with that of a responder whose
/// certificate is in the response, signed by the issuer and marked for it (RFC 6960, 4.2.2.2).
fn verified(basic: &[u8], issuer: &X509Certificate<'_>) -> Option<bool> {
    let signed = Signed::of(basic)?;
    let by_issuer = signed.verifies(issuer.public_key());
    if by_issuer == Some(true) {
        return by_issuer;
    }
    let by_responder = signed.certificates().into_iter().filter_map(|der| parse(der).ok()).any(|responder| {
        responder.extended_key_usage().is_ok_and(|usage| usage.is_some_and(|usage| usage.value.ocsp_signing))
            && issued(issuer, &responder) == Some(true)
            && signed.verifies(responder.public_key()) == Some(true)
    });
    if by_responder { Some(true) } else { by_issuer }
}

/// The parts of a basic response, as bytes (RFC 6960, 4.2.1).
struct Signed<'r> {
    data: &'r [u8],
    scheme: Scheme,
    signature: &'r [u8],
    certificates: &'r [u8],
}

impl<'r> Signed<'r> {
    /// `None` where it is not of this form, or signed in a way that can't be checked here.
    fn of(basic: &'r [u8]) -> Option<Self> {
        let (_, all, _) = asn1::split(basic)?;
        let (_, _, rest) = asn1::split(all)?;
        let data = all.get(..all.len() - rest.len())?;
        let (rest, algorithm) = AlgorithmIdentifier::from_der(rest).ok()?;
        let (_, bits, rest) = asn1::split(rest)?;
        // The first byte of a bit string counts the bits that are not used.
        let [0, signature @ ..] = bits else { return None };
        Some(Self { data, scheme: Scheme::of_algorithm(&algorithm)?, signature, certificates: rest })
    }

    fn verifies(&self, key: &SubjectPublicKeyInfo<'_>) -> Option<bool> {
        self.scheme.verifies(key, self.data, self.signature)
    }

    /// Certificates sent along: `[0] EXPLICIT SEQUENCE OF Certificate`.
    fn certificates(&self) -> Vec<&'r [u8]> {
        let inside = asn1::split(self.certificates).and_then(|(_, explicit, _)| asn1::split(explicit));
        let mut rest = inside.map(|(_, list, _)| list).unwrap_or_default();
        let mut certificates = Vec::new();
        while certificates.len() < MOST_RESPONDERS
            && let Some((_, _, after)) = asn1::split(rest)
        {
            certificates.extend(rest.get(..rest.len() - after.len()));
            rest = after;
        }
        certificates
    }
}
