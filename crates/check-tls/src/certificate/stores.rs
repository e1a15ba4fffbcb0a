//! Trust stores: sets of certificates and keys that clients take for granted.

use std::sync::{Arc, OnceLock};

use model::Digest;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use super::path::{self, Interval};
use super::{asn1, parse, signed_with, text};
use crate::facts::{StoreOutcome, StoreVerdict};

/// The trust stores that chains are judged against.
#[derive(Clone, Debug)]
pub struct Stores(Vec<Arc<Store>>);

/// One store: its anchors, or why it can't be read.
#[derive(Debug)]
pub(crate) struct Store {
    name: String,
    digest: String,
    /// Why it is of no use, where it is.
    unread: Option<String>,
    /// As webpki wants them; `known` tells of the one at the same position.
    pub(crate) anchors: Vec<TrustAnchor<'static>>,
    pub(crate) known: Vec<Known>,
}

/// What is known of an anchor beyond its name and key.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) subject: String,
    /// Null where the store does not say, as Mozilla's list does not.
    pub(crate) valid: Option<Interval>,
    /// The certificate, where the store holds one.
    pub(crate) der: Option<Vec<u8>>,
}

impl Stores {
    /// The stores `system` and `mozilla`, and one `custom:<name>` for each name and file content given: certificates in
    /// PEM, or one in DER.
    ///
    /// `system` is what the operating system trusts, read once per process: the bundle that OpenSSL would find, or what
    /// the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead, since other programs on this machine heed them
    /// too. `mozilla` is the list of the Mozilla CA Certificate Program that this program was built with; it holds names,
    /// keys and name constraints, but no dates. A store that holds nothing is judged as not proven.
    #[must_use]
    pub fn load(custom: &[(String, Vec<u8>)]) -> Self {
        static SYSTEM: OnceLock<Arc<Store>> = OnceLock::new();
        static MOZILLA: OnceLock<Arc<Store>> = OnceLock::new();
        let mut stores = vec![
            Arc::clone(SYSTEM.get_or_init(|| Arc::new(system()))),
            Arc::clone(MOZILLA.get_or_init(|| Arc::new(mozilla()))),
        ];
        stores.extend(custom.iter().map(|(name, bytes)| Arc::new(of_file(name, bytes))));
        Self(stores)
    }

    /// Looks for a path from the chain as served to each store, dates left out: the certificates may come in any order,
    /// but none is fetched from elsewhere. The leaf counts as trusted too where the store holds it itself.
    ///
    /// Checked are signatures, names, basic constraints, path length, name constraints, and extended key usage for
    /// server authentication, as rustls-webpki does for web clients; not key usage, policies and revocation.
    /// Of several paths the one that is valid longest is told.
    #[must_use]
    pub fn judge(&self, chain: &[Vec<u8>]) -> Vec<StoreVerdict> {
        let chain = path::Chain::new(chain);
        self.0.iter().map(|store| store.judge(&chain)).collect()
    }
}

impl Store {
    fn judge(&self, chain: &path::Chain<'_>) -> StoreVerdict {
        let judged = match &self.unread {
            Some(why) => Err((StoreOutcome::NotProven, why.clone())),
            None => chain.judge(self),
        };
        let (outcome, why, valid, path) = match judged {
            Ok(path) => {
                let why =
                    path.valid.is_none().then(|| "there is no instant at which the whole path is valid".to_owned());
                (StoreOutcome::Trusted, why, path.valid.map(Interval::fact), path.subjects)
            }
            Err((outcome, why)) => (outcome, Some(why), None, vec![]),
        };
        StoreVerdict {
            name: self.name.clone(),
            outcome,
            trusted: match outcome {
                StoreOutcome::Trusted => Some(true),
                StoreOutcome::Untrusted => Some(false),
                StoreOutcome::NotProven => None,
            },
            why,
            valid,
            path,
            store_digest: self.digest.clone(),
        }
    }

    /// The digest of a store is over the sorted digests of its entries.
    fn new(name: &str, entries: Vec<(TrustAnchor<'static>, Known)>, if_empty: impl FnOnce() -> String) -> Self {
        let mut digests: Vec<[u8; 32]> =
            entries.iter().map(|(anchor, known)| *entry(anchor, known).as_bytes()).collect();
        digests.sort_unstable();
        digests.dedup();
        let digest = format!("{} certificates, SHA-256 {}", digests.len(), Digest::of(&digests.concat()));
        let unread = entries.is_empty().then(if_empty);
        let (anchors, known) = entries.into_iter().unzip();
        Self { name: name.to_owned(), digest, unread, anchors, known }
    }

    /// The keys of the anchors of that name, each a SubjectPublicKeyInfo.
    pub(crate) fn keys(&self, name: &X509Name<'_>) -> Vec<Vec<u8>> {
        // Names and keys of anchors are kept without the headers of their SEQUENCEs.
        let contents = asn1::split(name.as_raw()).map(|(_, contents, _)| contents);
        self.anchors
            .iter()
            .filter(|anchor| Some(anchor.subject.as_ref()) == contents)
            .map(|anchor| asn1::sequence(&anchor.subject_public_key_info))
            .collect()
    }

    /// Whether an anchor signed the certificate, by name and signature.
    pub(crate) fn signed(&self, certificate: &X509Certificate<'_>) -> bool {
        self.keys(certificate.issuer()).iter().any(|spki| {
            SubjectPublicKeyInfo::from_der(spki).is_ok_and(|(_, key)| signed_with(certificate, &key) == Some(true))
        })
    }
}

fn entry(anchor: &TrustAnchor<'_>, known: &Known) -> Digest {
    match &known.der {
        Some(der) => Digest::of(der),
        None => {
            let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
            Digest::of(&[anchor.subject.as_ref(), anchor.subject_public_key_info.as_ref(), constraints].concat())
        }
    }
}

fn system() -> Store {
    let found = rustls_native_certs::load_native_certs();
    let errors = found.errors;
    Store::new("system", found.certs.iter().filter_map(|der| of_certificate(der)).collect(), || match errors.first() {
        Some(e) => format!("the trust store of this machine can't be read: {e}"),
        None => "this machine has no trust store; install ca-certificates, or set SSL_CERT_FILE".to_owned(),
    })
}

fn mozilla() -> Store {
    let known = |anchor: &TrustAnchor<'static>| Known { subject: subject_of(anchor), valid: None, der: None };
    let entries = webpki_roots::TLS_SERVER_ROOTS.iter().map(|anchor| (anchor.clone(), known(anchor))).collect();
    Store::new("mozilla", entries, || "this program was built without Mozilla's list".to_owned())
}

fn of_file(name: &str, bytes: &[u8]) -> Store {
    let mut certificates: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(bytes).filter_map(Result::ok).collect();
    if certificates.is_empty() {
        certificates.push(CertificateDer::from(bytes));
    }
    Store::new(&format!("custom:{name}"), certificates.iter().filter_map(|der| of_certificate(der)).collect(), || {
        format!("{name} holds no certificate in PEM or DER that can be parsed")
    })
}

fn of_certificate(der: &[u8]) -> Option<(TrustAnchor<'static>, Known)> {
    let certificate = parse(der).ok()?;
    let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(der)).ok()?.to_owned();
    let known = Known {
        subject: text::name(certificate.subject()),
        valid: Some(Interval::of(certificate.validity())),
        der: Some(der.to_vec()),
    };
    Some((anchor, known))
}

/// The name of an anchor, which is kept without the header of its SEQUENCE.
fn subject_of(anchor: &TrustAnchor<'_>) -> String {
    let der = asn1::sequence(&anchor.subject);
    X509Name::from_der(&der).map(|(_, name)| text::name(&name)).unwrap_or_default()
}
