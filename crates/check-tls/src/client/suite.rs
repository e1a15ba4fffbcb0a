//! The suites that this client can finish a handshake with.

use super::prf::Prf;

/// How keys are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The client encrypts a secret with the certificate's RSA key.
    Rsa,
    /// Ephemeral Diffie-Hellman in a finite field.
    Dhe,
    /// The same on an elliptic curve.
    Ecdhe,
}

/// The hash of a record's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mac {
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-384.
    Sha384,
    /// None: GCM.
    Aead,
}

impl Mac {
    /// Bytes of the code, and of its key.
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Aead => 0,
        }
    }
}

/// One suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// IANA number.
    pub(crate) id: u16,
    /// Key exchange.
    pub(crate) exchange: Exchange,
    /// Bytes of the key of AES.
    pub(crate) key: usize,
    /// Code of the records.
    pub(crate) mac: Mac,
    /// Exists in TLS 1.2 alone.
    pub(crate) newest: bool,
    prf384: bool,
}

const fn suite(id: u16, exchange: Exchange, key: usize, mac: Mac, newest: bool, prf384: bool) -> Suite {
    Suite { id, exchange, key, mac, newest, prf384 }
}

use Exchange::{Dhe, Ecdhe, Rsa};
use Mac::{Aead, Sha1, Sha256, Sha384};

/// All of them, those with authenticated encryption last (RFC 3268, 4492, 5246, 5288, 5289).
const ALL: [Suite; 28] = [
    suite(0xc013, Ecdhe, 16, Sha1, false, false),
    suite(0xc014, Ecdhe, 32, Sha1, false, false),
    suite(0xc009, Ecdhe, 16, Sha1, false, false),
    suite(0xc00a, Ecdhe, 32, Sha1, false, false),
    suite(0x0033, Dhe, 16, Sha1, false, false),
    suite(0x0039, Dhe, 32, Sha1, false, false),
    suite(0x002f, Rsa, 16, Sha1, false, false),
    suite(0x0035, Rsa, 32, Sha1, false, false),
    suite(0xc027, Ecdhe, 16, Sha256, true, false),
    suite(0xc028, Ecdhe, 32, Sha384, true, true),
    suite(0xc023, Ecdhe, 16, Sha256, true, false),
    suite(0xc024, Ecdhe, 32, Sha384, true, true),
    suite(0x0067, Dhe, 16, Sha256, true, false),
    suite(0x006b, Dhe, 32, Sha256, true, false),
    suite(0x003c, Rsa, 16, Sha256, true, false),
    suite(0x003d, Rsa, 32, Sha256, true, false),
    suite(0xc02f, Ecdhe, 16, Aead, true, false),
    suite(0xc030, Ecdhe, 32, Aead, true, true),
    suite(0xc02b, Ecdhe, 16, Aead, true, false),
    suite(0xc02c, Ecdhe, 32, Aead, true, true),
    suite(0x009e, Dhe, 16, Aead, true, false),
    suite(0x009f, Dhe, 32, Aead, true, true),
    suite(0x009c, Rsa, 16, Aead, true, false),
    suite(0x009d, Rsa, 32, Aead, true, true),
    suite(0x0032, Dhe, 16, Sha1, false, false),
    suite(0x0038, Dhe, 32, Sha1, false, false),
    suite(0x0040, Dhe, 16, Sha256, true, false),
    suite(0x006a, Dhe, 32, Sha256, true, false),
];

impl Suite {
    /// The suite of that number.
    pub(crate) fn of(id: u16) -> Option<&'static Self> {
        ALL.iter().find(|suite| suite.id == id)
    }

    /// Numbers of those that some version has and `wanted` picks.
    pub(crate) fn ids(version: u16, wanted: impl Fn(&Self) -> bool) -> Vec<u16> {
        ALL.iter().filter(|s| (!s.newest || version >= 0x0303) && wanted(s)).map(|s| s.id).collect()
    }

    /// Encrypts in CBC mode.
    pub(crate) const fn is_cbc(&self) -> bool {
        !matches!(self.mac, Mac::Aead)
    }

    /// The function that makes its keys in a version.
    pub(crate) const fn prf(&self, version: u16) -> Prf {
        match (version, self.prf384) {
            (0..0x0303, _) => Prf::Md5Sha1,
            (_, true) => Prf::Sha384,
            (_, false) => Prf::Sha256,
        }
    }
}
