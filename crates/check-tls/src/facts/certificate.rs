//! Certificates and chains, as served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Presence, VersionName};

/// An interval of time, both ends RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Validity {
    /// First instant.
    pub from: String,
    /// Last instant.
    pub to: String,
}

/// A subject's public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CertificateKey {
    /// `RSA`, `EC`, `Ed25519`, `Ed448`, `DSA`, `ML-DSA-65`, …; else the dotted object identifier.
    pub algorithm: String,
    /// Bits of the modulus or of the curve's field.
    pub bits: Option<u32>,
    /// Named curve (`secp256r1`, `secp384r1`, …), for EC keys.
    pub curve: Option<String>,
    /// Public exponent, for RSA keys, decimal.
    pub exponent: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: String,
    /// Marks of keys that others can compute or already have.
    pub marks: Vec<KeyMark>,
}

/// A mark of a key that others can compute or already have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyMarkName {
    /// An RSA modulus of Infineon's library (ROCA, CVE-2017-15361).
    Roca,
    /// An RSA modulus whose primes lie close (CVE-2022-26320).
    ClosePrimes,
    /// The private half is published.
    Published,
}

/// Whether a key bears a mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyMark {
    /// Which.
    pub name: KeyMarkName,
    /// Whether it shows; keys other than RSA have no modulus, so that its marks are absent.
    pub outcome: Presence,
    /// Where the key is published, or why it is not proven.
    pub why: Option<String>,
}

/// How a certificate is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CertificateSignature {
    /// Dotted object identifier.
    pub oid: String,
    /// `sha256WithRSAEncryption`, `ecdsa-with-SHA384`, `rsassaPss`, `ed25519`, …; else the object identifier.
    pub name: String,
    /// `SHA256`, `SHA1`, `MD5`, …; null where it is part of the scheme.
    pub hash: Option<String>,
}

/// One certificate (RFC 5280) in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Certificate {
    /// Position in the chain as served; 0 is the server's own.
    pub position: u32,
    /// `parsed`, or `not_proven` where it can't be parsed; then all but the digest is null or empty.
    pub outcome: CertificateOutcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// SHA-256 of the DER form.
    pub sha256: String,
    /// Subject, RFC 4514 style; bytes from outside.
    pub subject: String,
    /// Issuer, likewise.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// RFC 3339, UTC.
    pub not_before: Option<String>,
    /// RFC 3339, UTC.
    pub not_after: Option<String>,
    /// Seconds of validity, both ends included (CA/Browser Forum BR 6.3.2).
    pub lifetime_seconds: Option<i64>,
    /// The key.
    pub key: Option<CertificateKey>,
    /// The signature.
    pub signature: Option<CertificateSignature>,
    /// Subject equals issuer.
    pub self_issued: bool,
    /// Self-issued, and the signature verifies with its own key.
    pub self_signed: bool,
    /// Basic constraints say that it is an authority; null where the extension is absent.
    pub is_ca: Option<bool>,
    /// Key usages by their names in RFC 5280 (`digitalSignature`, …); null where the extension is absent.
    pub key_usage: Option<Vec<String>>,
    /// Extended key usages (`serverAuth`, `clientAuth`, `anyExtendedKeyUsage`, or dotted); null where absent.
    pub extended_key_usage: Option<Vec<String>>,
    /// DNS names of the subject alternative name.
    pub dns_names: Vec<String>,
    /// IP addresses of the subject alternative name.
    pub ip_addresses: Vec<String>,
    /// OCSP responders of the authority information access.
    pub ocsp_urls: Vec<String>,
    /// CRL distribution points.
    pub crl_urls: Vec<String>,
    /// Embedded signed certificate timestamps (RFC 6962); null where the list can't be parsed.
    pub scts: Option<u32>,
    /// TLS feature `status_request` (RFC 7633).
    pub must_staple: bool,
    /// The next certificate as served issued this one, signature checked; null for the last and where it can't be told.
    pub issued_by_next: Option<bool>,
}

/// Whether a certificate could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateOutcome {
    /// Read in full.
    Parsed,
    /// Can't be read.
    NotProven,
}

/// Whether a path to a store was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreOutcome {
    /// A path was found.
    Trusted,
    /// No path: `why` names the broken link.
    Untrusted,
    /// The store can't be read, or the path uses what this program can't check.
    NotProven,
}

/// A path from a chain to one trust store, dates left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StoreVerdict {
    /// `system`, `mozilla`, or `custom:<file>`.
    pub name: String,
    /// Whether a path was found.
    pub outcome: StoreOutcome,
    /// The same as a boolean; null where not proven.
    pub trusted: Option<bool>,
    /// Which link is broken, or why it is not proven.
    pub why: Option<String>,
    /// The interval in which every certificate of the path is valid; null without a path or where it is empty.
    pub valid: Option<Validity>,
    /// Subjects on the path, the server's own first, the anchor last.
    pub path: Vec<String>,
    /// The certificates of the store: how many, and the digest over them, so that a reader knows which store it was.
    pub store_digest: String,
}

/// Whether a certificate is for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NameOutcome {
    /// A DNS name or IP address of the subject alternative name matches (RFC 9525); the common name is not looked at.
    Matched,
    /// None does.
    Mismatched,
    /// The certificate can't be read, or no name was asked for.
    NotProven,
}

/// The match of a chain's first certificate with the name asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NameMatch {
    /// The name or address that a client would check; null where the target is known by no name.
    pub name: Option<String>,
    /// Whether it matches.
    pub outcome: NameOutcome,
    /// Why not.
    pub why: Option<String>,
}

/// Whether a chain was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChainOutcome {
    /// Received.
    Served,
    /// The server signs with a scheme of which no chain was received; it may serve another certificate there.
    NotProven,
}

/// One chain as served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Chain {
    /// Whether it was received.
    pub outcome: ChainOutcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// The server name sent to get it; null where none was sent.
    pub sni: Option<String>,
    /// Versions in which it was served.
    pub versions: Vec<VersionName>,
    /// The certificates in the order served.
    pub certificates: Vec<Certificate>,
    /// Match with the name; for a chain got without a server name as well.
    pub name_match: NameMatch,
    /// Paths to the trust stores.
    pub stores: Vec<StoreVerdict>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// What a stapled response says of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OcspStatus {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked,
    /// Not known to the responder.
    Unknown,
}

/// A stapled OCSP response (RFC 6066, RFC 6960).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ocsp {
    /// Whether one was stapled when asked for.
    pub outcome: Presence,
    /// Why it is not proven.
    pub why: Option<String>,
    /// What it says of the first certificate; null where it is absent, unreadable or about another certificate.
    pub status: Option<OcspStatus>,
    /// RFC 3339, UTC.
    pub this_update: Option<String>,
    /// RFC 3339, UTC; null where the responder names no time.
    pub next_update: Option<String>,
    /// RFC 3339, UTC.
    pub revoked_at: Option<String>,
    /// Its signature verifies with the issuer's key or with a responder certificate that the issuer signed; null where
    /// it can't be told.
    pub signature_verified: Option<bool>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}
