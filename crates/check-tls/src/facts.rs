//! What a TLS probe writes down. Only what was seen; never what it implies.
//!
//! Every thing that was looked for has an `outcome`; what is `not_proven` says `why`. `seen` lists the positions of
//! the raw exchanges behind a fact. Absent values are null, never a missing key.

mod certificate;
mod flaws;
mod starttls;

pub use certificate::{
    Certificate, CertificateKey, CertificateOutcome, CertificateSignature, Chain, ChainOutcome, KeyMark, KeyMarkName,
    NameMatch, NameOutcome, Ocsp, OcspStatus, StoreOutcome, StoreVerdict, Validity,
};
pub use flaws::{FlawFacts, FlawName, How, KnownFlaw};
pub use model::Asked;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use starttls::StartTls;

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server chose it.
    Accepted,
    /// The server declined it, while a sibling offer of the same shape was answered.
    Refused,
    /// Neither was shown.
    NotProven,
}

/// Whether a feature showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// The server answered with it.
    Present,
    /// The server answered an offer of it without it.
    Absent,
    /// It exists only in protocol versions that the server was shown to refuse.
    Unavailable,
    /// Neither was shown.
    NotProven,
}

/// A protocol version, by the name that facts and policies use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum VersionName {
    /// SSL 2.0 (Hickman, 1995; prohibited by RFC 6176).
    #[serde(rename = "SSLv2")]
    Ssl2,
    /// SSL 3.0 (RFC 6101; deprecated by RFC 7568).
    #[serde(rename = "SSLv3")]
    Ssl3,
    /// TLS 1.0 (RFC 2246; deprecated by RFC 8996).
    #[serde(rename = "TLSv1.0")]
    Tls10,
    /// TLS 1.1 (RFC 4346; deprecated by RFC 8996).
    #[serde(rename = "TLSv1.1")]
    Tls11,
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

impl VersionName {
    /// Every version, oldest first.
    pub const ALL: [Self; 6] = [Self::Ssl2, Self::Ssl3, Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// The name in facts and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ssl2 => "SSLv2",
            Self::Ssl3 => "SSLv3",
            Self::Tls10 => "TLSv1.0",
            Self::Tls11 => "TLSv1.1",
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }

    /// The two bytes on the wire (SSL 2.0: 0x0002).
    #[must_use]
    pub const fn wire(self) -> u16 {
        match self {
            Self::Ssl2 => 0x0002,
            Self::Ssl3 => 0x0300,
            Self::Tls10 => 0x0301,
            Self::Tls11 => 0x0302,
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }
}

/// How a server picks among suites that both sides have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By its own list.
    Server,
    /// By the client's list.
    Client,
    /// Not shown, or only one suite is accepted.
    NotProven,
}

/// One cipher suite (IANA "TLS Cipher Suites"), or one SSL 2.0 cipher kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Suite {
    /// Code point: `"0xc02f"`; SSL 2.0 kinds as `"0x010080"`.
    pub id: String,
    /// IANA name, such as `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`; `"unassigned"` where there is none.
    pub name: String,
    /// Accepted, for a suite in `suites`; not proven, for one in `not_proven`.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Key exchange: `ECDHE`, `DHE`, `RSA`, `DH`, `ECDH`, `PSK`, `DHE_PSK`, `any` (TLS 1.3), …
    pub key_exchange: String,
    /// Authentication: `RSA`, `ECDSA`, `DSS`, `anon`, `PSK`, `any` (TLS 1.3), …
    pub authentication: String,
    /// Cipher and mode: `AES_128_GCM`, `3DES_EDE_CBC`, `RC4_128`, `NULL`, `CHACHA20_POLY1305`, …
    pub encryption: String,
    /// Length of the cipher's key in bits; 112 for three-key 3DES is written as 168 here, as in the standard.
    pub key_bits: u32,
    /// Block size of the cipher in bits; null for stream ciphers and AEAD constructions without one.
    pub block_bits: Option<u32>,
    /// The hash at the end of the name: `SHA256`, `SHA384`, `SHA`, `MD5`; null where there is none.
    pub hash: Option<String>,
    /// Authenticated encryption with associated data.
    pub aead: bool,
    /// The key exchange is ephemeral (DHE, ECDHE, or TLS 1.3).
    pub ephemeral: bool,
    /// Export grade by name.
    pub export: bool,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// One protocol version and the suites accepted in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Version {
    /// Which.
    pub name: VersionName,
    /// Whether the server speaks it.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Suites looked for: `"all"`, or ids.
    pub asked: Asked,
    /// Suites accepted, in the server's order where it has one, else by code point.
    pub suites: Vec<Suite>,
    /// Suites of which neither acceptance nor refusal was shown. A suite is refused only if it was asked for, was not
    /// accepted, and is not here.
    pub not_proven: Vec<Suite>,
    /// Whose order decides.
    pub order: Order,
    /// Sets of suites, by id, among which the client's order was seen to decide, though the server's does elsewhere
    /// (groups of equal preference).
    pub equal: Vec<Vec<String>>,
    /// Positions of the exchanges behind `outcome`: for a refusal, the refused offers and the sibling that was answered.
    pub seen: Vec<u32>,
}

/// One group for key exchange (IANA "TLS Supported Groups").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Group {
    /// Code point: `"0x001d"`.
    pub id: String,
    /// IANA name: `x25519`, `secp256r1`, `X25519MLKEM768`, `ffdhe2048`, …
    pub name: String,
    /// Versions in which it was accepted.
    pub versions: Vec<VersionName>,
    /// Accepted in any version; refused in all that are spoken; else not proven.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Strength as bits of the field or prime; null for groups that have none (hybrids).
    pub bits: Option<u32>,
    /// Contains ML-KEM (FIPS 203).
    pub post_quantum: bool,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// One signature scheme in the handshake (IANA "TLS SignatureScheme").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SignatureScheme {
    /// Code point: `"0x0804"`.
    pub id: String,
    /// IANA name: `rsa_pss_rsae_sha256`, `rsa_pkcs1_sha1`, …
    pub name: String,
    /// Its hash: `SHA256`, `SHA1`, `MD5`, …; null where it is part of the scheme (EdDSA, ML-DSA).
    pub hash: Option<String>,
    /// Versions in which the server signed with it.
    pub versions: Vec<VersionName>,
    /// Whether the server signs with it when offered.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// A feature of the protocol and whether it showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Feature {
    /// Whether it showed.
    pub outcome: Presence,
    /// Why it is not proven.
    pub why: Option<String>,
    /// What exactly was seen, such as the compression method or the protocol chosen.
    pub detail: Option<String>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// Finite-field Diffie-Hellman in TLS 1.2 and older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Dhe {
    /// Whether a DHE suite was accepted.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Size of the smallest prime seen, in bits.
    pub prime_bits: Option<u32>,
    /// SHA-256 of each prime seen, big endian without leading zeros.
    pub primes: Vec<String>,
    /// The same primes, described.
    pub groups: Vec<DheGroup>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// A prime of finite-field Diffie-Hellman.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DheGroup {
    /// SHA-256 of the prime, big endian without leading zeros.
    pub sha256: String,
    /// Its size in bits.
    pub bits: u32,
    /// Where it is published (`ffdhe2048`, `RFC 3526, 2048 bits`, …); null for one that is in no such list.
    pub published: Option<String>,
    /// Whether it is a safe prime: both it and half of what is left without one are prime; null where it is too long to
    /// be tested.
    pub safe_prime: Option<bool>,
    /// Positions of the exchanges that used it.
    pub seen: Vec<u32>,
}

/// What a server chooses in TLS 1.3 when both post-quantum and classical groups are on offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PostQuantum {
    /// The client sends shares of X25519MLKEM768 and X25519, as browsers do.
    pub with_both_shares: Choice,
    /// The client names both and sends a share of X25519 alone: whether the server asks for the better one by a
    /// HelloRetryRequest.
    pub with_classical_share: Choice,
    /// The client sends no share.
    pub without_shares: Choice,
}

/// A choice of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Choice {
    /// Present where one was made; unavailable where all post-quantum groups are refused.
    pub outcome: Presence,
    /// Why it is not proven.
    pub why: Option<String>,
    /// IANA name of the group.
    pub group: Option<String>,
    /// It contains ML-KEM.
    pub post_quantum: Option<bool>,
    /// It came in a HelloRetryRequest.
    pub retry: Option<bool>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// Behaviours beyond suites and groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Behaviour {
    /// Secure renegotiation (RFC 5746) in the answer to an offer of it, TLS 1.2 and older.
    pub secure_renegotiation: Feature,
    /// Extended master secret (RFC 7627), TLS 1.2 and older.
    pub extended_master_secret: Feature,
    /// Encrypt-then-MAC (RFC 7366) with a CBC suite; unavailable where no CBC suite is accepted.
    pub encrypt_then_mac: Feature,
    /// TLS compression (RFC 3749): present where the server chose a method other than null.
    pub compression: Feature,
    /// Fallback protection (RFC 7507): present where a lowered offer with the signalling suite got the alert
    /// `inappropriate_fallback`; unavailable where only one version is spoken.
    pub fallback_scsv: Feature,
    /// ChaCha20 leads for a client that lists it first, though the server's order has another suite first; unavailable
    /// where no such order was shown.
    pub chacha_priority: Feature,
    /// Application-layer protocol negotiation (RFC 7301): `detail` is the protocol chosen.
    pub alpn: Feature,
}

/// All that the TLS probe saw of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlsFacts {
    /// The address and port spoken to.
    pub address: String,
    /// The host name sent as server name indication (RFC 6066) on all but the exchanges that say otherwise; null where
    /// none was sent.
    pub sni: Option<String>,
    /// How TLS was asked for; null where it begins at once.
    pub starttls: Option<StartTls>,
    /// Versions, groups and signature schemes looked for.
    pub asked: Asked,
    /// Every version from SSL 2.0 to TLS 1.3, oldest first.
    pub versions: Vec<Version>,
    /// Every group looked for.
    pub groups: Vec<Group>,
    /// Every signature scheme looked for.
    pub signature_schemes: Vec<SignatureScheme>,
    /// Finite-field Diffie-Hellman, TLS 1.2 and older.
    pub dhe: Dhe,
    /// Same as `dhe.prime_bits`.
    pub dh_prime_bits: Option<u32>,
    /// Whether two handshakes met the same ephemeral public value (DHE, ECDHE, or a key share of TLS 1.3).
    pub ephemeral_reuse: Feature,
    /// Whether the server describes a curve by its numbers when that is offered, TLS 1.2 and older; RFC 8422 forbids it.
    pub explicit_curves: Feature,
    /// Choices between post-quantum and classical groups.
    pub post_quantum: PostQuantum,
    /// Behaviours.
    pub behaviour: Behaviour,
    /// Every different chain that was served.
    pub chains: Vec<Chain>,
    /// The stapled OCSP response of the first chain.
    pub ocsp: Ocsp,
    /// Whether repeated handshakes, spread over the probing, all met the same versions, suite and chain.
    pub consistent: Feature,
    /// Connections opened.
    pub connections: u32,
    /// Rounds of connections that had to wait for the one before.
    pub round_trips: u32,
}
