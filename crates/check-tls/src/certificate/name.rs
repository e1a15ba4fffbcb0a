//! Whether a certificate is for a name (RFC 9525).

use std::net::IpAddr;

use x509_parser::asn1_rs::oid;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::parse;
use crate::facts::{NameMatch, NameOutcome};

/// Compares a DNS name or IP address with the subject alternative name of a certificate, as RFC 9525, section 6 says:
/// names are compared without regard to case, a wildcard stands for exactly one whole label and only the left-most one,
/// addresses are compared byte by byte with addresses alone, the common name is not looked at. As TLS clients do, a
/// wildcard must be followed by two labels at least.
///
/// One dot at the end of the name asked for, brackets around an IPv6 address and its zone are left out of the
/// comparison. An internationalised name is compared in its A-label form (`xn--…`), the form in which it must be given.
#[must_use]
pub fn name_match(name: Option<&str>, leaf: &[u8]) -> NameMatch {
    let answer = |outcome, why: Option<String>| NameMatch { name: name.map(str::to_owned), outcome, why };
    let Some(asked) = name else {
        return answer(NameOutcome::NotProven, Some("no name was asked for".into()));
    };
    let certificate = match parse(leaf) {
        Ok(certificate) => certificate,
        Err(why) => return answer(NameOutcome::NotProven, Some(why)),
    };
    if !asked.is_ascii() {
        let why = "the name is not in its A-label form (xn--…), in which certificates hold it";
        return answer(NameOutcome::NotProven, Some(why.into()));
    }
    let names: Vec<&GeneralName<'_>> = certificate
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .collect();
    let (matched, sort) = match as_address(asked) {
        Some(address) => (names.iter().any(|name| is_address(name, address)), "IP addresses"),
        None => (names.iter().any(|name| matches!(name, GeneralName::DNSName(n) if covers(n, asked))), "DNS names"),
    };
    if matched {
        return answer(NameOutcome::Matched, None);
    }
    let of_sort = names.iter().filter(|name| match name {
        GeneralName::IPAddress(_) => sort == "IP addresses",
        GeneralName::DNSName(_) => sort == "DNS names",
        _ => false,
    });
    let unread = certificate.extensions().iter().any(|extension| {
        extension.oid == oid!(2.5.29.17) && matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. })
    });
    let why = match of_sort.count() {
        _ if unread => "the subject alternative name of the certificate can't be parsed".to_owned(),
        0 if names.is_empty() => {
            "the certificate has no subject alternative name, and clients do not look at the common name".to_owned()
        }
        0 => format!("the certificate has no {sort} among its alternative names"),
        count => format!("none of the {count} {sort} of the certificate matches"),
    };
    answer(NameOutcome::Mismatched, Some(why))
}

fn as_address(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    bare.parse().ok()
}

fn is_address(name: &GeneralName<'_>, address: IpAddr) -> bool {
    match (name, address) {
        (GeneralName::IPAddress(bytes), IpAddr::V4(address)) => *bytes == address.octets(),
        (GeneralName::IPAddress(bytes), IpAddr::V6(address)) => *bytes == address.octets(),
        _ => false,
    }
}

fn covers(presented: &str, asked: &str) -> bool {
    let asked = asked.strip_suffix('.').unwrap_or(asked);
    if asked.contains('*') || asked.split('.').any(str::is_empty) {
        return false;
    }
    match presented.strip_prefix("*.") {
        Some(parent) => {
            let Some((_, rest)) = asked.split_once('.') else { return false };
            parent.contains('.') && !parent.contains('*') && rest.eq_ignore_ascii_case(parent)
        }
        None => !presented.contains('*') && presented.eq_ignore_ascii_case(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_is_one_whole_left_most_label() {
        for (presented, asked, expected) in [
            ("example.org", "example.org", true),
            ("EXAMPLE.org", "example.ORG", true),
            ("example.org", "example.org.", true),
            ("example.org.", "example.org", false),
            ("example.org", "example.org..", false),
            ("example.org", "www.example.org", false),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "WWW.EXAMPLE.ORG.", true),
            ("*.example.org", "xn--bcher-kva.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "a.b.example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.*.example.org", "a.b.example.org", false),
            ("w*.example.org", "www.example.org", false),
            ("*w.example.org", "www.example.org", false),
            ("www.*.org", "www.example.org", false),
            ("*.org", "example.org", false),
            ("*", "localhost", false),
            ("*", "*", false),
            ("*.example.org", "*.example.org", false),
            ("localhost", "localhost", true),
            ("example.org\0.evil.test", "example.org", false),
            ("", "", false),
        ] {
            assert_eq!(covers(presented, asked), expected, "{presented:?} for {asked:?}");
        }
    }
}
