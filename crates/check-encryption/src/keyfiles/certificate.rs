//! Reads a certificate (RFC 5280) as far as its file concerns.

use jiff::Timestamp;
use model::Digest;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::facts::{Certificate, Outcome};

/// Whether a PEM label marks a certificate.
pub(super) fn is_certificate(label: &str) -> bool {
    matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
}

/// Reads one; `content` is `None` where its PEM block is broken. Its file and its key are filled in by the caller.
pub(super) fn read(content: Option<&[u8]>) -> Certificate {
    let mut seen = Certificate {
        name: String::new(),
        path: String::new(),
        links: vec![],
        position: 0,
        outcome: Outcome::NotProven,
        why: Some("marked as a certificate, but cut short or in another form".into()),
        sha256: Digest::of(content.unwrap_or_default()).to_string(),
        subject: None,
        issuer: None,
        not_before: None,
        not_after: None,
        dns_names: vec![],
        is_ca: None,
        spki_sha256: None,
        key_matches: None,
    };
    let Some((rest, parsed)) = content.and_then(|bytes| X509Certificate::from_der(bytes).ok()) else { return seen };
    // OpenSSL's TRUSTED CERTIFICATE has more behind it, which is not part of the certificate.
    let length = content.map_or(0, <[u8]>::len).saturating_sub(rest.len());
    let time = |seconds| Timestamp::from_second(seconds).ok().map(|time| time.to_string());
    seen.outcome = Outcome::Present;
    seen.why = None;
    seen.sha256 = Digest::of(content.and_then(|bytes| bytes.get(..length)).unwrap_or_default()).to_string();
    seen.subject = Some(parsed.subject().to_string());
    seen.issuer = Some(parsed.issuer().to_string());
    seen.not_before = time(parsed.validity().not_before.timestamp());
    seen.not_after = time(parsed.validity().not_after.timestamp());
    seen.spki_sha256 = Some(Digest::of(parsed.public_key().raw).to_string());
    seen.is_ca = parsed.basic_constraints().ok().flatten().map(|constraints| constraints.value.ca);
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        seen.dns_names = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect();
    }
    seen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>) {
            prop_assert_eq!(read(Some(&bytes)).outcome, Outcome::NotProven);
        }

        #[test]
        fn a_damaged_certificate_is_borne(at in 0usize..2000, to: u8) {
            let mut bytes = include_bytes!("../../tests/fixtures/certificate.der").to_vec();
            let at = at % bytes.len();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            read(Some(&bytes));
        }
    }
}
