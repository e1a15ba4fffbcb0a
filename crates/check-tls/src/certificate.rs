//! Certificates (RFC 5280): what they say, which name they are for, which trust stores they lead to, and what a stapled
//! OCSP response says of them.
//!
//! Certificates come from outside. Nothing here panics on any bytes, and work is bounded: at most [`MOST_CERTIFICATES`]
//! of [`MOST_BYTES`] each are looked at. Nothing here reads a clock: times are written down, never compared with now.

mod asn1;
mod broken;
mod extensions;
mod key;
mod name;
mod ocsp;
mod path;
pub(crate) mod signature;
mod stores;
mod text;

use model::Digest;
pub use name::name_match;
pub use ocsp::ocsp;
pub use stores::Stores;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::facts::{Certificate, CertificateOutcome};

/// Certificates of one chain that are looked at.
pub const MOST_CERTIFICATES: usize = 32;
/// Bytes of one certificate that is looked at.
pub const MOST_BYTES: usize = 64 * 1024;
/// Names of each sort, and addresses on the net, that are kept of one certificate.
pub const MOST_NAMES: usize = 200;

/// Describes every certificate of a chain, in the order served.
///
/// One that can't be parsed is in the list with its digest and the outcome `not_proven`. Of a chain longer than
/// [`MOST_CERTIFICATES`] the rest is one such entry, with the digest of the first certificate left out. Where names were
/// left out or cut, `why` says so although the certificate is `parsed`.
#[must_use]
pub fn describe(chain: &[Vec<u8>]) -> Vec<Certificate> {
    let parsed: Vec<Result<X509Certificate<'_>, String>> =
        chain.iter().take(MOST_CERTIFICATES).map(|der| parse(der)).collect();
    let mut certificates = Vec::new();
    for (position, der) in chain.iter().enumerate() {
        let place = u32::try_from(position).unwrap_or(u32::MAX);
        let certificate = match parsed.get(position) {
            Some(Ok(certificate)) => {
                let next = parsed.get(position + 1).and_then(|next| next.as_ref().ok());
                described(place, der, certificate, next)
            }
            Some(Err(why)) => unread(place, der, why.clone()),
            None => {
                let rest = chain.len() - position;
                certificates.push(unread(
                    place,
                    der,
                    format!("{rest} more certificates are not looked at: {MOST_CERTIFICATES} are the most"),
                ));
                break;
            }
        };
        certificates.push(certificate);
    }
    certificates
}

/// Parses one certificate, all of it.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    if der.len() > MOST_BYTES {
        return Err(format!("it has {} bytes; {MOST_BYTES} are the most that are looked at", der.len()));
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(format!("{} bytes follow the certificate", rest.len())),
        Err(e) => Err(format!("it can't be parsed: {e}")),
    }
}

/// Whether the signature on a certificate verifies with a key; `None` where that can't be told here.
pub(crate) fn signed_with(
    certificate: &X509Certificate<'_>,
    key: &x509_parser::x509::SubjectPublicKeyInfo<'_>,
) -> Option<bool> {
    signature::Scheme::of_algorithm(&certificate.signature_algorithm)?.verifies(
        key,
        certificate.tbs_certificate.as_ref(),
        &certificate.signature_value.data,
    )
}

/// Whether the one issued the other: the names agree and the signature verifies; `None` where the signature can't be
/// told.
pub(crate) fn issued(issuer: &X509Certificate<'_>, certificate: &X509Certificate<'_>) -> Option<bool> {
    if issuer.subject().as_raw() == certificate.issuer().as_raw() {
        signed_with(certificate, issuer.public_key())
    } else {
        Some(false)
    }
}

fn described(position: u32, der: &[u8], x509: &X509Certificate<'_>, next: Option<&X509Certificate<'_>>) -> Certificate {
    let extensions = extensions::read(x509);
    let (from, to) = (x509.validity().not_before, x509.validity().not_after);
    let self_issued = x509.subject().as_raw() == x509.issuer().as_raw();
    Certificate {
        position,
        outcome: CertificateOutcome::Parsed,
        why: extensions.why,
        sha256: Digest::of(der).to_string(),
        subject: text::name(x509.subject()),
        issuer: text::name(x509.issuer()),
        serial: serial(x509.raw_serial()),
        not_before: Some(text::time(from)),
        not_after: Some(text::time(to)),
        lifetime_seconds: Some(to.timestamp().saturating_sub(from.timestamp()).saturating_add(1)),
        key: Some(key::describe(x509.public_key())),
        signature: Some(signature::describe(&x509.signature_algorithm)),
        self_issued,
        self_signed: self_issued && signed_with(x509, x509.public_key()) == Some(true),
        is_ca: extensions.is_ca,
        key_usage: extensions.key_usage,
        extended_key_usage: extensions.extended_key_usage,
        dns_names: extensions.dns_names,
        ip_addresses: extensions.ip_addresses,
        ocsp_urls: extensions.ocsp_urls,
        crl_urls: extensions.crl_urls,
        scts: extensions.scts,
        must_staple: extensions.must_staple,
        issued_by_next: next.and_then(|next| issued(next, x509)),
    }
}

fn unread(position: u32, der: &[u8], why: String) -> Certificate {
    Certificate {
        position,
        outcome: CertificateOutcome::NotProven,
        why: Some(why),
        sha256: Digest::of(der).to_string(),
        subject: String::new(),
        issuer: String::new(),
        serial: String::new(),
        not_before: None,
        not_after: None,
        lifetime_seconds: None,
        key: None,
        signature: None,
        self_issued: false,
        self_signed: false,
        is_ca: None,
        key_usage: None,
        extended_key_usage: None,
        dns_names: vec![],
        ip_addresses: vec![],
        ocsp_urls: vec![],
        crl_urls: vec![],
        scts: None,
        must_staple: false,
        issued_by_next: None,
    }
}

/// Hexadecimal, without the zero that DER puts before a number whose first bit is set.
fn serial(raw: &[u8]) -> String {
    match raw {
        [0, rest @ ..] if !rest.is_empty() => text::hex(rest),
        all => text::hex(all.get(..64).unwrap_or(all)),
    }
}
