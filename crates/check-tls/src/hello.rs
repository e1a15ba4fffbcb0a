//! ClientHello messages: what is offered to a server, as a pure value that is written to bytes and read back.

mod extension;
mod ssl2;

pub use extension::Extension;
pub use ssl2::{ssl2_hello, ssl2_kinds};

use crate::facts::VersionName;
use crate::registry::{FALLBACK_SCSV, RENEGOTIATION_SCSV};
use crate::wire;

/// Most suites in one hello, two signalling values left out: some servers fail at 128 (testssl.sh, "128 cipher limit bug").
pub const MOST_SUITES: usize = 125;
/// The same where padding is not possible, so that the hello stays below 256 bytes.
pub const MOST_SUITES_BARE: usize = 100;

/// One ClientHello (RFC 8446, 4.1.2, and its ancestors down to RFC 6101) in one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of the record.
    pub record_version: u16,
    /// Version field of the hello.
    pub client_version: u16,
    /// Random.
    pub random: [u8; 32],
    /// Legacy session id.
    pub session_id: Vec<u8>,
    /// Suites, signalling values included.
    pub suites: Vec<u16>,
    /// Compression methods.
    pub compression: Vec<u8>,
    /// Extensions in order; none at all where empty.
    pub extensions: Vec<Extension>,
}

impl Hello {
    /// A hello of a version from SSL 3.0 to TLS 1.2 without extensions, with the signalling value for secure
    /// renegotiation.
    #[must_use]
    pub fn bare(version: VersionName, suites: &[u16]) -> Self {
        let mut suites = suites.to_vec();
        suites.push(RENEGOTIATION_SCSV);
        Self {
            record_version: version.wire().min(VersionName::Tls10.wire()),
            client_version: version.wire().min(VersionName::Tls12.wire()),
            random: [0; 32],
            session_id: Vec::new(),
            suites,
            compression: vec![0],
            extensions: Vec::new(),
        }
    }

    /// The versions offered, best first.
    #[must_use]
    pub fn versions(&self) -> Vec<u16> {
        self.find(|e| match e {
            Extension::SupportedVersions(versions) => Some(versions.clone()),
            _ => None,
        })
        .unwrap_or_else(|| vec![self.client_version])
    }

    /// Suites without signalling values.
    #[must_use]
    pub fn real_suites(&self) -> Vec<u16> {
        self.suites.iter().copied().filter(|id| ![RENEGOTIATION_SCSV, FALLBACK_SCSV].contains(id)).collect()
    }

    /// Groups offered.
    #[must_use]
    pub fn groups(&self) -> Vec<u16> {
        self.find(|e| match e {
            Extension::Groups(groups) => Some(groups.clone()),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// Signature schemes offered.
    #[must_use]
    pub fn schemes(&self) -> Vec<u16> {
        self.find(|e| match e {
            Extension::SignatureSchemes(schemes) => Some(schemes.clone()),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// Groups of the key shares sent along.
    #[must_use]
    pub fn shares(&self) -> Vec<u16> {
        self.find(|e| match e {
            Extension::KeyShare(shares) => Some(shares.iter().map(|(group, _)| *group).collect()),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// The server name sent.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.find(|e| match e {
            Extension::ServerName(name) => Some(name.clone()),
            _ => None,
        })
    }

    /// Whether an extension of that type is there.
    #[must_use]
    pub fn has(&self, code: u16) -> bool {
        self.extensions.iter().any(|e| e.code() == code)
    }

    fn find<T>(&self, pick: impl Fn(&Extension) -> Option<T>) -> Option<T> {
        self.extensions.iter().find_map(pick)
    }

    /// The types of the extensions, sorted, without those that only say which version is offered and without padding:
    /// what makes two hellos the same shape.
    #[must_use]
    pub fn shape(&self) -> Vec<u16> {
        let mut codes: Vec<u16> = self.extensions.iter().map(Extension::code).collect();
        codes.retain(|code| ![21, 43, 45, 51].contains(code));
        codes.sort_unstable();
        codes
    }

    /// Whether both offer the same; random and session id aside.
    #[must_use]
    pub fn same_offer(&self, other: &Self) -> bool {
        let plain = |hello: &Self| Self { random: [0; 32], session_id: Vec::new(), ..hello.clone() };
        plain(self) == plain(other)
    }

    /// The bytes of the record. Padding (RFC 7685) is added where the message would have 256 to 511 bytes, at which
    /// some load balancers hang; the last extension is never empty.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let plain = self.message(None);
        let message = match plain.len() {
            length @ 256..512 if !self.extensions.is_empty() => {
                self.message(Some(512_usize.saturating_sub(length + 4).max(1)))
            }
            _ => plain,
        };
        let mut record = vec![22];
        record.extend(self.record_version.to_be_bytes());
        wire::put(&mut record, 2, &message);
        record
    }

    fn message(&self, padding: Option<usize>) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.client_version.to_be_bytes());
        body.extend(self.random);
        wire::put(&mut body, 1, &self.session_id);
        wire::put(&mut body, 2, &wire::bytes(&self.suites));
        wire::put(&mut body, 1, &self.compression);
        if !self.extensions.is_empty() {
            let padding = padding.map(Extension::Padding);
            let mut block = Vec::new();
            for extension in self.extensions.iter().chain(&padding) {
                block.extend(extension.code().to_be_bytes());
                wire::put(&mut block, 2, &extension.content());
            }
            wire::put(&mut body, 2, &block);
        }
        let mut message = vec![1];
        wire::put(&mut message, 3, &body);
        message
    }

    /// Reads back what [`Hello::encode`] wrote; padding is left out. `None` for anything else.
    #[must_use]
    pub fn parse(mut record: &[u8]) -> Option<Self> {
        let rest = &mut record;
        if wire::take(rest, 1)? != [22] {
            return None;
        }
        let record_version = wire::u16(rest)?;
        let mut message = wire::vector(rest, 2)?;
        if wire::take(&mut message, 1)? != [1] {
            return None;
        }
        let mut body = wire::vector(&mut message, 3)?;
        let body = &mut body;
        let client_version = wire::u16(body)?;
        let random = wire::take(body, 32)?.try_into().ok()?;
        let session_id = wire::vector(body, 1)?.to_vec();
        let suites = wire::u16s(wire::vector(body, 2)?)?;
        let compression = wire::vector(body, 1)?.to_vec();
        let mut extensions = Vec::new();
        if !body.is_empty() {
            let mut block = wire::vector(body, 2)?;
            while !block.is_empty() {
                let code = wire::u16(&mut block)?;
                extensions.push(Extension::parse(code, wire::vector(&mut block, 2)?));
            }
        }
        extensions.retain(|e| !matches!(e, Extension::Padding(_)));
        Some(Self { record_version, client_version, random, session_id, suites, compression, extensions })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(suites: Vec<u16>, groups: Vec<u16>) -> Hello {
        let mut hello = Hello::bare(VersionName::Tls12, &suites);
        hello.extensions = vec![
            Extension::ServerName("example.org".into()),
            Extension::ExtendedMasterSecret,
            Extension::KeyShare(vec![(0x0a0a, vec![0])]),
            Extension::Alpn(vec!["h2".into(), "http/1.1".into()]),
            Extension::Groups(groups),
        ];
        hello
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(suites in prop::collection::vec(any::<u16>(), 0..119),
                                   groups in prop::collection::vec(any::<u16>(), 1..60)) {
            let hello = sample(suites, groups);
            let bytes = hello.encode();
            prop_assert!(!(261..517).contains(&bytes.len()), "{} bytes need padding", bytes.len());
            prop_assert_eq!(Hello::parse(&bytes), Some(hello));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Hello::parse(&bytes);
            let mut record = vec![22, 3, 1];
            wire::put(&mut record, 2, &bytes);
            let _ = Hello::parse(&record);
        }
    }

    #[test]
    fn a_bare_hello_has_no_extensions_and_stays_small() {
        let suites: Vec<u16> = (0..u16::try_from(MOST_SUITES_BARE).unwrap_or(0)).collect();
        let hello = Hello::bare(VersionName::Ssl3, &suites);
        assert!(hello.encode().len() < 5 + 256);
        assert_eq!((hello.record_version, hello.client_version), (0x0300, 0x0300));
        assert_eq!(hello.real_suites(), suites);
    }
}
