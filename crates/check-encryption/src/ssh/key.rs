//! Public keys as SSH writes them (RFC 4253, section 6.6; RFC 5656, section 3.1; RFC 8709).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::Digest;

use super::packet::{mpint, string, text};

/// A key that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    /// Its type, by its own word.
    pub(super) kind: String,
    /// Bits of modulus or curve; `None` for types that are not known here.
    pub(super) bits: Option<u32>,
    /// `SHA256:…`.
    pub(super) fingerprint: String,
}

impl PublicKey {
    /// Reads a blob; `None` where it is none.
    pub(super) fn read(blob: &[u8]) -> Option<Self> {
        let (kind, rest) = string(blob)?;
        let kind = text(kind);
        let bits = match kind.as_str() {
            "ssh-ed25519" => Some(string(rest)?.0).filter(|key| key.len() == 32).map(|_| 256),
            "ssh-ed448" => Some(string(rest)?.0).filter(|key| key.len() == 57).map(|_| 456),
            "ssh-rsa" => {
                let (_, rest) = string(rest)?;
                Some(mpint(string(rest)?.0)?.0)
            }
            "ssh-dss" => Some(mpint(string(rest)?.0)?.0),
            "ecdsa-sha2-nistp256" => Some(256),
            "ecdsa-sha2-nistp384" => Some(384),
            "ecdsa-sha2-nistp521" => Some(521),
            _ => None,
        };
        let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Digest::of(blob).as_bytes()));
        Some(Self { kind, bits, fingerprint })
    }
}

/// The type of key behind a host key algorithm: RSA signs by several (RFC 8332).
pub(super) fn kind_of(algorithm: &str) -> &str {
    match algorithm {
        "rsa-sha2-256" | "rsa-sha2-512" | "ssh-rsa-sha256@ssh.com" => "ssh-rsa",
        other => other,
    }
}

/// Whether an algorithm is about a certificate, which holds a key that is offered by itself as well.
pub(super) fn is_certificate(algorithm: &str) -> bool {
    algorithm.contains("-cert-v0")
}
