//! Which link of a chain is broken, in words.

use webpki::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Version};

use super::path::{Link, may_sign};
use super::stores::Store;
use super::{key, parse, signature, signed_with, text};
use crate::facts::StoreOutcome;

/// Why webpki found no path from the chain to the store. First the links are walked from the leaf upwards, by name and
/// signature, since its error does not name the one that is missing; where they hold, its error stands.
pub(crate) fn why(links: &[Link<'_>], store: &Store, error: &Error) -> (StoreOutcome, String) {
    let mut walked = vec![0];
    loop {
        let at = walked.last().copied().unwrap_or_default();
        match step(links, store, at) {
            Step::Broken(outcome, why) => return (outcome, why),
            Step::Anchor if anchor_may_not_sign(links, store, at) => {
                let issuer =
                    links.get(at).and_then(|link| link.x509.as_ref().ok()).map(|x509| text::name(x509.issuer()));
                let issuer = issuer.unwrap_or_default();
                return (
                    StoreOutcome::Untrusted,
                    format!("{issuer} in the store has a key usage that does not allow it to sign certificates"),
                );
            }
            Step::Anchor => return rule(links, &walked, error),
            Step::To(next) if walked.contains(&next) => {
                return (
                    StoreOutcome::Untrusted,
                    format!("{} leads back to {}: no way to the store", who(links, at), who(links, next)),
                );
            }
            Step::To(next) => walked.push(next),
        }
    }
}

/// Whether no anchor of the issuer's name may sign certificates.
fn anchor_may_not_sign(links: &[Link<'_>], store: &Store, at: usize) -> bool {
    let Some(certificate) = links.get(at).and_then(|link| link.x509.as_ref().ok()) else { return false };
    let roots = store.known.iter().filter_map(|known| parse(known.der.as_deref()?).ok());
    let mut named = roots.filter(|root| root.subject().as_raw() == certificate.issuer().as_raw()).peekable();
    named.peek().is_some() && named.all(|root| !may_sign(&root))
}

enum Step {
    /// Signed by the certificate at this position.
    To(usize),
    /// Signed by an anchor of the store.
    Anchor,
    Broken(StoreOutcome, String),
}

fn step(links: &[Link<'_>], store: &Store, at: usize) -> Step {
    let untrusted = |why: String| Step::Broken(StoreOutcome::Untrusted, why);
    let not_proven = |why: String| Step::Broken(StoreOutcome::NotProven, why);
    let this = who(links, at);
    let certificate = match links.get(at).map(|link| &link.x509) {
        Some(Ok(certificate)) => certificate,
        Some(Err(why)) => return not_proven(format!("certificate {at}: {why}")),
        None => return not_proven(format!("there is no certificate {at}")),
    };
    let issuer = text::name(certificate.issuer());
    let mut unchecked = false;
    let mut mismatched = None;

    for spki in store.keys(certificate.issuer()) {
        let Ok((_, key)) = SubjectPublicKeyInfo::from_der(&spki) else { continue };
        match signed_with(certificate, &key) {
            Some(true) => return unaccepted(certificate, &key, &this).map_or(Step::Anchor, untrusted),
            Some(false) => mismatched = Some(format!("the key of {issuer} in the store")),
            None => unchecked = true,
        }
    }
    let self_issued = certificate.subject().as_raw() == certificate.issuer().as_raw();
    for (index, link) in links.iter().enumerate() {
        let Ok(other) = &link.x509 else { continue };
        if other.subject().as_raw() != certificate.issuer().as_raw() {
            continue;
        }
        match signed_with(certificate, other.public_key()) {
            Some(true) if self_issued && other.public_key().raw == certificate.public_key().raw => {
                return untrusted(format!("{this} is self-signed and not in the store"));
            }
            Some(true) => return unaccepted(certificate, other.public_key(), &this).map_or(Step::To(index), untrusted),
            Some(false) => mismatched = Some(format!("the key of {}", who(links, index))),
            None => unchecked = true,
        }
    }
    let scheme = signature::describe(&certificate.signature_algorithm);
    match mismatched {
        _ if unchecked && obsolete(scheme.hash.as_deref()) => {
            untrusted(format!("{this} is signed with {}, which clients no longer accept", scheme.name))
        }
        _ if unchecked => not_proven(format!("{this} is signed with {}, which can't be checked here", scheme.name)),
        Some(key) => untrusted(format!("the signature of {this} does not verify with {key}")),
        None => untrusted(format!(
            "{this} is issued by {issuer}, which is neither served nor in the store: the chain is incomplete, or its root \
             is not trusted"
        )),
    }
}

/// Why clients do not accept a signature that verifies.
fn unaccepted(certificate: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>, this: &str) -> Option<String> {
    let scheme = signature::describe(&certificate.signature_algorithm);
    if obsolete(scheme.hash.as_deref()) {
        return Some(format!("{this} is signed with {}, which clients no longer accept", scheme.name));
    }
    let bits = key::rsa_bits(key).filter(|bits| *bits < 2048)?;
    Some(format!("{this} is signed with an RSA key of {bits} bits; clients want 2048 at least"))
}

fn obsolete(hash: Option<&str>) -> bool {
    matches!(hash, Some("MD2" | "MD4" | "MD5" | "SHA1"))
}

/// Puts into words the rule that a path breaks although it leads to the store.
fn rule(links: &[Link<'_>], walked: &[usize], error: &Error) -> (StoreOutcome, String) {
    let untrusted = |why: String| (StoreOutcome::Untrusted, why);
    let not_proven = |why: String| (StoreOutcome::NotProven, why);
    // The certificate at fault: the first on the way up of which this holds.
    let first = |fault: fn(usize, &X509Certificate<'_>) -> bool| {
        let at = walked
            .iter()
            .copied()
            .find(|at| links.get(*at).and_then(|link| link.x509.as_ref().ok()).is_some_and(|x509| fault(*at, x509)));
        at.map_or_else(|| "a certificate of the path".to_owned(), |at| who(links, at))
    };
    // The search is told of this as of a path that leads nowhere.
    let above = walked.iter().copied().filter(|at| *at > 0);
    let mut above = above.filter_map(|at| Some((at, links.get(at)?.x509.as_ref().ok()?)));
    if let Some((at, _)) = above.find(|(_, x509)| !may_sign(x509)) {
        return untrusted(format!(
            "{} signs a certificate, but its key usage does not allow that (no keyCertSign)",
            who(links, at)
        ));
    }
    match error {
        Error::CaUsedAsEndEntity => {
            untrusted(format!("{} is marked as a certificate authority (basic constraints)", who(links, 0)))
        }
        Error::EndEntityUsedAsCa => untrusted(format!(
            "{} signs a certificate, but is not marked as a certificate authority (basic constraints)",
            first(|at, x509| at > 0 && !x509.is_ca())
        )),
        Error::PathLenConstraintViolated => untrusted(
            "more authorities lie on the path than the path length constraint of one of them allows".to_owned(),
        ),
        Error::NameConstraintViolation | Error::MalformedNameConstraint | Error::InvalidNetworkMaskConstraint => {
            untrusted("a name lies outside the name constraints of an authority on the path".to_owned())
        }
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => untrusted(format!(
            "{} is not for TLS servers: its extended key usage lacks serverAuth",
            first(|_, x509| x509.extended_key_usage().is_ok_and(|usage| usage.is_some_and(|u| !u.value.server_auth)))
        )),
        Error::SignatureAlgorithmMismatch => {
            untrusted("a certificate names two different algorithms for its one signature".to_owned())
        }
        Error::UnsupportedCertVersion => not_proven(format!(
            "{} is not of X.509 version 3, which is all that is checked here",
            first(|_, x509| x509.version() != X509Version::V3)
        )),
        Error::UnsupportedCriticalExtension => {
            not_proven("a certificate has a critical extension that is not understood here".to_owned())
        }
        other => not_proven(format!("the path can't be checked here: {other}")),
    }
}

/// How a certificate is called: its position as served, and its subject.
fn who(links: &[Link<'_>], at: usize) -> String {
    let subject = links.get(at).map(|link| link.subject.as_str()).unwrap_or_default();
    format!("certificate {at} ({subject})")
}
