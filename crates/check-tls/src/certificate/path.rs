//! Paths from a chain to a trust store, dates left out.
//!
//! rustls-webpki judges paths at an instant, and there may be none at which all certificates are valid: an expired leaf,
//! or validities that do not meet. Facts hold no judgement of the clock, so the question put to it is another one: each
//! certificate is shown to it with its two times replaced by far ones *of the same length*, which changes nothing else,
//! and each signature is checked over the bytes as served ([`AsServed`]). All other rules apply as they are.

use std::cell::RefCell;
use std::time::Duration;

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, UnixTime,
};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;

use super::stores::Store;
use super::{MOST_CERTIFICATES, asn1, broken, issued, parse, text};
use crate::facts::{StoreOutcome, Validity};

/// From one instant to another, both included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    from: ASN1Time,
    to: ASN1Time,
}

impl Interval {
    pub(crate) const fn of(validity: &x509_parser::certificate::Validity) -> Self {
        Self { from: validity.not_before, to: validity.not_after }
    }

    /// What both have in common; `None` where they do not meet.
    fn and(self, other: Self) -> Option<Self> {
        let both = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (both.from <= both.to).then_some(both)
    }

    pub(crate) fn fact(self) -> Validity {
        Validity { from: text::time(self.from), to: text::time(self.to) }
    }
}

/// A chain, made ready to be judged.
pub(crate) struct Chain<'c> {
    pub(crate) links: Vec<Link<'c>>,
    /// Positions from the leaf upwards as far as each leads; see [`ways`].
    ways: Vec<Vec<usize>>,
}

/// One certificate of a chain.
pub(crate) struct Link<'c> {
    pub(crate) served: &'c [u8],
    pub(crate) x509: Result<X509Certificate<'c>, String>,
    pub(crate) subject: String,
    /// With far times.
    undated: CertificateDer<'static>,
}

/// A path that was found.
pub(crate) struct Found {
    /// Null where it is empty.
    pub(crate) valid: Option<Interval>,
    pub(crate) subjects: Vec<String>,
}

impl<'c> Chain<'c> {
    pub(crate) fn new(chain: &'c [Vec<u8>]) -> Self {
        let link = |served: &'c Vec<u8>| {
            let x509 = parse(served);
            let subject = x509.as_ref().map(|x509| text::name(x509.subject())).unwrap_or_default();
            Link { served, x509, subject, undated: CertificateDer::from(undated(served)) }
        };
        let links: Vec<Link<'c>> = chain.iter().take(MOST_CERTIFICATES).map(link).collect();
        let ways = ways(&links);
        Self { links, ways }
    }

    /// The path that is valid longest, or which link is broken.
    pub(crate) fn judge(&self, store: &Store) -> Result<Found, (StoreOutcome, String)> {
        let Some(leaf) = self.links.first() else {
            return Err((StoreOutcome::NotProven, "no certificate was served".to_owned()));
        };
        if let Ok(x509) = &leaf.x509
            && store.known.iter().any(|known| known.der.as_deref() == Some(leaf.served))
        {
            return Ok(Found { valid: Some(Interval::of(x509.validity())), subjects: vec![leaf.subject.clone()] });
        }
        let (found, error) = self.paths(store);
        // The first of those that are valid longest, so that the same chain gives the same path.
        let best = found.into_iter().reduce(|best, next| {
            let end = |found: &Found| found.valid.map(|valid| valid.to);
            if end(&next) > end(&best) { next } else { best }
        });
        best.ok_or_else(|| broken::why(&self.links, store, &error))
    }

    /// All paths that hold, and the error of the first way that leads nowhere.
    fn paths(&self, store: &Store) -> (Vec<Found>, webpki::Error) {
        let originals: Vec<Original<'_>> = self.links.iter().filter_map(Original::of).collect();
        let algorithms: Vec<AsServed<'_>> = webpki::ALL_VERIFICATION_ALGS
            .iter()
            .map(|algorithm| AsServed { algorithm: *algorithm, originals: &originals })
            .collect();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            algorithms.iter().map(|algorithm| algorithm as &dyn SignatureVerificationAlgorithm).collect();
        let found = RefCell::new(Vec::new());
        // Every path is noted and turned down, so that the search goes on.
        let note = |path: &webpki::VerifiedPath<'_>| {
            found.borrow_mut().extend(self.found(path, store));
            Err(webpki::Error::UnknownIssuer)
        };
        let mut errors = Vec::new();
        for way in self.leading_to(store) {
            let way: Vec<CertificateDer<'_>> =
                way.iter().filter_map(|at| self.links.get(*at)).map(|link| link.undated.clone()).collect();
            let Some((leaf, others)) = way.split_first() else { continue };
            let time = UnixTime::since_unix_epoch(Duration::from_secs(WITHIN));
            let outcome = EndEntityCert::try_from(leaf).and_then(|leaf| {
                let usage = KeyUsage::server_auth();
                leaf.verify_for_usage(&algorithms, &store.anchors, others, time, usage, None, Some(&note)).map(drop)
            });
            errors.extend(outcome.err());
        }
        // The first way is the one that is walked when words are sought for what is wrong.
        (found.into_inner(), errors.into_iter().next().unwrap_or(webpki::Error::UnknownIssuer))
    }

    /// The parts of the ways that end with a certificate which the store's anchors signed.
    fn leading_to(&self, store: &Store) -> Vec<&[usize]> {
        let signed: Vec<bool> =
            self.links.iter().map(|link| link.x509.as_ref().is_ok_and(|x509| store.signed(x509))).collect();
        let mut leading: Vec<&[usize]> = Vec::new();
        for way in &self.ways {
            for (index, at) in way.iter().enumerate() {
                if signed.get(*at) == Some(&true)
                    && let Some(part) = way.get(..=index)
                    && !leading.contains(&part)
                {
                    leading.push(part);
                }
            }
        }
        leading
    }

    fn found(&self, path: &webpki::VerifiedPath<'_>, store: &Store) -> Option<Found> {
        let (mut intervals, mut subjects) = (Vec::new(), Vec::new());
        let leaf = self.links.first()?;
        let others = path
            .intermediate_certificates()
            .map(|certificate| self.links.iter().find(|link| link.undated == certificate.der()));
        for (at, link) in std::iter::once(Some(leaf)).chain(others).enumerate() {
            let link = link?;
            if at > 0 && !may_sign(link.x509.as_ref().ok()?) {
                return None;
            }
            intervals.push(Interval::of(link.x509.as_ref().ok()?.validity()));
            subjects.push(link.subject.clone());
        }
        let anchor = store.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()))?;
        let anchor = store.known.get(anchor)?;
        if anchor.der.as_deref().and_then(|der| parse(der).ok()).is_some_and(|root| !may_sign(&root)) {
            return None;
        }
        intervals.extend(anchor.valid);
        subjects.push(anchor.subject.clone());
        let valid = intervals.into_iter().map(Some).reduce(|valid, next| valid?.and(next?)).flatten();
        Some(Found { valid, subjects })
    }
}

/// Whether a certificate's key may sign certificates (RFC 5280, 6.1.4 n), which webpki does not look at: where the key
/// usage is named, it must hold `keyCertSign`.
pub(crate) fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.key_cert_sign()),
        Err(_) => false,
    }
}

/// Most ways up that are looked at, and most certificates on one: one more than webpki takes.
const MOST_WAYS: usize = 16;
const MOST_STEPS: usize = 8;

/// The ways from the leaf upwards by name and signature, each as far as it leads.
///
/// Webpki is given each by itself. On its own it tries every order of certificates that fit by name, and looks at
/// signatures only once it has come to an anchor; a server could keep it busy for minutes.
fn ways(links: &[Link<'_>]) -> Vec<Vec<usize>> {
    let parents: Vec<Vec<usize>> = links.iter().map(|child| parents(links, child)).collect();
    let mut ways = Vec::new();
    let mut open = if links.is_empty() { vec![] } else { vec![vec![0]] };
    while ways.len() < MOST_WAYS
        && let Some(way) = open.pop()
    {
        let above = way.last().filter(|_| way.len() < MOST_STEPS).and_then(|at| parents.get(*at));
        let longer: Vec<Vec<usize>> = above
            .into_iter()
            .flatten()
            .filter(|parent| !way.contains(parent))
            .map(|parent| [way.as_slice(), &[*parent]].concat())
            .collect();
        if longer.is_empty() {
            ways.push(way);
        } else {
            open.extend(longer.into_iter().rev());
        }
    }
    ways
}

/// Positions of the certificates that issued this one, itself left out.
fn parents(links: &[Link<'_>], child: &Link<'_>) -> Vec<usize> {
    let Ok(certificate) = &child.x509 else { return vec![] };
    let is_parent = |link: &Link<'_>| {
        link.served != child.served && link.x509.as_ref().is_ok_and(|x509| issued(x509, certificate) == Some(true))
    };
    links.iter().enumerate().filter(|(_, link)| is_parent(link)).map(|(at, _)| at).collect()
}

/// Seconds after the epoch of an instant between the far times.
const WITHIN: u64 = 946_684_800;

/// The certificate with far times, where they have the only forms that RFC 5280, 4.1.2.5, allows; else as served.
fn undated(served: &[u8]) -> Vec<u8> {
    let mut bytes = served.to_vec();
    let Some(places) = asn1::places(served) else { return bytes };
    let far = [[&b"700101000000Z"[..], b"19700101000000Z"], [b"491231235959Z", b"20491231235959Z"]];
    for (place, forms) in places.times.into_iter().zip(far) {
        let Some(time) = bytes.get_mut(place) else { continue };
        if let Some(form) = forms.into_iter().find(|form| form.len() == time.len()) {
            time.copy_from_slice(form);
        }
    }
    bytes
}

/// What a certificate's signature is over, with far times and as served.
#[derive(Debug)]
struct Original<'c> {
    undated: &'c [u8],
    served: &'c [u8],
    signature: &'c [u8],
}

impl<'c> Original<'c> {
    fn of(link: &'c Link<'c>) -> Option<Self> {
        let places = asn1::places(link.served)?;
        Some(Self {
            undated: link.undated.get(places.signed.clone())?,
            served: link.served.get(places.signed)?,
            signature: &link.x509.as_ref().ok()?.signature_value.data,
        })
    }
}

/// A signature algorithm that checks what was served in place of what it is shown.
///
/// Certificates that differ in their times alone look the same with far times. Where they share a signature too, at
/// least one is forged, and all must verify: a chain that holds such twins is not trusted.
#[derive(Debug)]
struct AsServed<'c> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    originals: &'c [Original<'c>],
}

impl SignatureVerificationAlgorithm for AsServed<'_> {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let mut any = Err(InvalidSignature);
        for original in self.originals.iter().filter(|o| o.undated == message && o.signature == signature) {
            self.algorithm.verify_signature(public_key, original.served, signature)?;
            any = Ok(());
        }
        any
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}
