//! The few bytes of TLS that a hostile server must speak to get past the first answer.

use std::io::{Read, Result};
use std::net::TcpStream;

/// What matters of a ClientHello (RFC 8446, section 4.1.2), SSLv2's (draft-hickman-netscape-ssl-00) included.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// SSLv2's own form: the kinds of cipher, three bytes each.
    Ssl2 { kinds: Vec<[u8; 3]> },
    /// SSLv3 or later: `legacy_version`, session id and suites.
    Tls { version: [u8; 2], session: Vec<u8>, suites: Vec<u16> },
    /// Anything else, or nothing.
    Unknown,
}

impl Hello {
    /// Reads one from the start of a connection; a hello in more than one record is cut at the first.
    pub(super) fn read(stream: &mut TcpStream) -> Result<Self> {
        let mut head = [0_u8; 5];
        stream.read_exact(&mut head)?;
        let [kind, b, c, d, e] = head;
        if kind == 0x16 {
            let mut body = vec![0; usize::from(u16::from_be_bytes([d, e]))];
            stream.read_exact(&mut body)?;
            return Ok(Self::parse(&body).unwrap_or(Self::Unknown));
        }
        // SSLv2: a length of two bytes with the top bit set, then 1 for CLIENT-HELLO and version 0.2.
        if kind & 0x80 != 0 && [c, d, e] == [1, 0, 2] {
            let length = (usize::from(kind & 0x7f) << 8) | usize::from(b);
            let mut body = vec![0; length.saturating_sub(3)];
            stream.read_exact(&mut body)?;
            return Ok(Self::parse_ssl2(&body).unwrap_or(Self::Unknown));
        }
        Ok(Self::Unknown)
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let mut rest = Bytes(body.get(4..)?);
        let version = rest.array()?;
        rest.take(32)?;
        let session = rest.short_vector()?.to_vec();
        let length = usize::from(u16::from_be_bytes(rest.array()?));
        let suites =
            rest.take(length)?.chunks_exact(2).filter_map(|two| Some(u16::from_be_bytes(two.try_into().ok()?)));
        Some(Self::Tls { version, session, suites: suites.collect() })
    }

    fn parse_ssl2(body: &[u8]) -> Option<Self> {
        let mut rest = Bytes(body);
        let length = usize::from(u16::from_be_bytes(rest.array()?));
        rest.take(4)?;
        let kinds = rest.take(length)?.chunks_exact(3).filter_map(|three| three.try_into().ok());
        Some(Self::Ssl2 { kinds: kinds.collect() })
    }
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn short_vector(&mut self) -> Option<&'a [u8]> {
        let [length] = self.array()?;
        self.take(usize::from(length))
    }
}

/// One record (RFC 8446, section 5.1).
pub(super) fn record(kind: u8, version: [u8; 2], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind], &version[..], &length[..], body].concat()
}

/// One handshake message: type, three bytes of length, body.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind, a, b, c], body].concat()
}

/// The record of a ServerHello without extensions (RFC 5246, section 7.4.1.3).
pub(super) fn server_hello(version: [u8; 2], suite: u16) -> Vec<u8> {
    let body = [&version[..], &[0x5a; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
    record(0x16, version, &message(2, &body))
}

/// The record of a Certificate message with one certificate (RFC 5246, section 7.4.2).
pub(super) fn certificate(version: [u8; 2], der: &[u8]) -> Vec<u8> {
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let [_, a, b, c] = length(der.len() + 3);
    let [_, d, e, f] = length(der.len());
    record(0x16, version, &message(11, &[&[a, b, c, d, e, f], der].concat()))
}

/// A fatal alert.
pub(super) fn alert(version: [u8; 2], description: u8) -> Vec<u8> {
    record(0x15, version, &[2, description])
}

/// SSLv2's SERVER-HELLO: certificate type X.509, version 0.2, certificate, kinds, connection id.
pub(super) fn ssl2_server_hello(der: &[u8], kinds: &[[u8; 3]]) -> Vec<u8> {
    let kinds = kinds.concat();
    let length = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    let body =
        [&[4, 0, 1, 0, 2], &length(der.len())[..], &length(kinds.len()), &length(16), der, &kinds, &[7; 16]].concat();
    let [high, low] = length(body.len());
    [&[high | 0x80, low], &body[..]].concat()
}
