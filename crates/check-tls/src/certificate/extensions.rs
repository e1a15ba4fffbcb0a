//! The extensions of a certificate that become facts.

use std::net::IpAddr;

use x509_parser::asn1_rs::oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension};

use super::{MOST_NAMES, text};

/// What the extensions say; see [`crate::facts::Certificate`] for each.
#[derive(Default)]
pub(crate) struct Extensions {
    pub(crate) why: Option<String>,
    pub(crate) is_ca: Option<bool>,
    pub(crate) key_usage: Option<Vec<String>>,
    pub(crate) extended_key_usage: Option<Vec<String>>,
    pub(crate) dns_names: Vec<String>,
    pub(crate) ip_addresses: Vec<String>,
    pub(crate) ocsp_urls: Vec<String>,
    pub(crate) crl_urls: Vec<String>,
    pub(crate) scts: Option<u32>,
    pub(crate) must_staple: bool,
}

/// Reads them. What can't be read is named in `why`.
pub(crate) fn read(certificate: &X509Certificate<'_>) -> Extensions {
    let mut found = Extensions { scts: Some(0), ..Extensions::default() };
    let mut notes = Vec::new();
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => found.is_ca = Some(constraints.ca),
            ParsedExtension::KeyUsage(usage) => found.key_usage = Some(key_usages(usage)),
            ParsedExtension::ExtendedKeyUsage(usage) => found.extended_key_usage = Some(extended_key_usages(usage)),
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => found.dns_names.push(text::cut((*name).to_owned())),
                        // Bytes that are no text are no name for a client either, but shown.
                        GeneralName::Invalid(tag, bytes) if tag.0 == 2 => {
                            found.dns_names.push(text::cut(String::from_utf8_lossy(bytes).into_owned()));
                        }
                        GeneralName::IPAddress(bytes) => found.ip_addresses.push(address(bytes)),
                        _ => {}
                    }
                }
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                let ocsp = access.accessdescs.iter().filter(|d| d.access_method == oid!(1.3.6.1.5.5.7.48.1));
                found.ocsp_urls.extend(ocsp.filter_map(|d| url(&d.access_location)));
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                for point in points.iter() {
                    if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                        found.crl_urls.extend(names.iter().filter_map(url));
                    }
                }
            }
            ParsedExtension::SCT(list) => found.scts = u32::try_from(list.len()).ok(),
            ParsedExtension::ParseError { .. } => {
                if extension.oid == oid!(1.3.6.1.4.1.11129.2.4.2) {
                    found.scts = None;
                }
                notes.push(format!("extension {} can't be parsed", text::oid(&extension.oid)));
            }
            _ if extension.oid == oid!(1.3.6.1.5.5.7.1.24) => found.must_staple = asks_for_status(extension.value),
            _ => {}
        }
    }
    let lists = [&mut found.dns_names, &mut found.ip_addresses, &mut found.ocsp_urls, &mut found.crl_urls];
    for (list, what) in lists.into_iter().zip(["DNS names", "IP addresses", "OCSP responders", "CRL addresses"]) {
        if list.len() > MOST_NAMES {
            notes.push(format!("{MOST_NAMES} of {} {what} are listed", list.len()));
            list.truncate(MOST_NAMES);
        }
    }
    notes.truncate(8);
    found.why = (!notes.is_empty()).then(|| notes.join("; "));
    found
}

fn url(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::URI(url) => Some(text::cut((*url).to_owned())),
        _ => None,
    }
}

/// An address as text; bytes that are no address as `0x…`.
fn address(bytes: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).map_or_else(|_| text::cut(format!("0x{}", text::hex(bytes))), |address| address.to_string())
}

fn key_usages(usage: &KeyUsage) -> Vec<String> {
    [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
        (usage.encipher_only(), "encipherOnly"),
        (usage.decipher_only(), "decipherOnly"),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .map(|(_, name)| name.to_owned())
    .collect()
}

fn extended_key_usages(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        (usage.any, "anyExtendedKeyUsage"),
        (usage.server_auth, "serverAuth"),
        (usage.client_auth, "clientAuth"),
        (usage.code_signing, "codeSigning"),
        (usage.email_protection, "emailProtection"),
        (usage.time_stamping, "timeStamping"),
        (usage.ocsp_signing, "OCSPSigning"),
    ];
    let known = known.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
    known.chain(usage.other.iter().take(MOST_NAMES).map(text::oid)).collect()
}

/// Whether a TLS feature extension (RFC 7633) lists `status_request` (5). It is a SEQUENCE OF INTEGER.
fn asks_for_status(value: &[u8]) -> bool {
    use x509_parser::prelude::FromDer as _;
    let features: Result<(_, Vec<u32>), _> = Vec::<u32>::from_der(value);
    features.is_ok_and(|(_, features)| features.contains(&5))
}
