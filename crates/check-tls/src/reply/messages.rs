//! The bodies of handshake messages, read with `tls-parser`.

use tls_parser::{TlsMessage, TlsMessageHandshake, parse_dh_params, parse_ecdh_params, parse_tls_message_handshake};

use super::Reply;
use crate::wire;

/// The random of a HelloRetryRequest (RFC 8446, 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A ServerHello, or a HelloRetryRequest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// The version chosen: that of `supported_versions` where there is one.
    pub version: u16,
    /// The suite chosen.
    pub suite: u16,
    /// The compression method chosen.
    pub compression: u8,
    /// It is a HelloRetryRequest.
    pub retry: bool,
    /// The group of its `key_share`.
    pub group: Option<u16>,
    /// The last eight bytes of its random say that a better version was possible (RFC 8446, 4.1.3).
    pub downgraded: bool,
    /// Types and contents of its extensions.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl ServerHello {
    /// The content of an extension.
    #[must_use]
    pub fn extension(&self, code: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|(c, _)| *c == code).map(|(_, content)| content.as_slice())
    }

    /// The protocol that it chose (RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<String> {
        let mut content = self.extension(16)?;
        let mut list = wire::vector(&mut content, 2)?;
        Some(String::from_utf8_lossy(wire::vector(&mut list, 1)?).into_owned())
    }
}

/// The parameters of a ServerKeyExchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// Elliptic curve: the group, and in TLS 1.2 the scheme that signs.
    Ecdhe {
        /// Named group.
        group: u16,
        /// Signature scheme.
        scheme: Option<u16>,
        /// The server's public value.
        public: Vec<u8>,
    },
    /// Finite field: the prime without leading zeros, and in TLS 1.2 the scheme that signs.
    Dhe {
        /// The prime, big endian.
        prime: Vec<u8>,
        /// Signature scheme.
        scheme: Option<u16>,
        /// The server's public value.
        public: Vec<u8>,
    },
    /// An elliptic curve that the server describes by its numbers (RFC 4492, 5.4).
    Explicit,
    /// Any other.
    Other,
}

impl KeyExchange {
    /// The scheme that signs it.
    #[must_use]
    pub const fn scheme(&self) -> Option<u16> {
        match self {
            Self::Ecdhe { scheme, .. } | Self::Dhe { scheme, .. } => *scheme,
            Self::Explicit | Self::Other => None,
        }
    }
}

impl Reply {
    /// Takes in one whole handshake message, header included.
    pub(super) fn take_message(&mut self, message: &[u8]) -> Result<(), &'static str> {
        let body = message.get(4..).unwrap_or_default();
        // OCSP responses and raw messages that this parser need not know.
        match message.first() {
            Some(0 | 2 | 11 | 12 | 14 | 22) => {}
            _ => return Ok(()),
        }
        let Ok((_, TlsMessage::Handshake(parsed))) = parse_tls_message_handshake(message) else {
            return Err("a handshake message that can't be read");
        };
        match parsed {
            TlsMessageHandshake::ServerHello(hello) => {
                if self.hello.is_some() {
                    return Err("a second ServerHello");
                }
                let extensions = extensions(hello.ext.unwrap_or_default()).ok_or("extensions that can't be read")?;
                let random: &[u8] = hello.random;
                let number = |code| {
                    let content = extensions.iter().find(|(c, _)| *c == code).map(|(_, content)| content.as_slice());
                    content.and_then(|mut content| wire::u16(&mut content))
                };
                self.hello = Some(ServerHello {
                    version: number(43).unwrap_or(hello.version.0),
                    suite: hello.cipher.0,
                    compression: hello.compression.0,
                    retry: random == RETRY,
                    group: number(51),
                    downgraded: random.ends_with(b"DOWNGRD\x00") || random.ends_with(b"DOWNGRD\x01"),
                    extensions,
                });
            }
            TlsMessageHandshake::Certificate(chain) => {
                self.chain = Some(chain.cert_chain.iter().map(|raw| raw.data.to_vec()).collect());
            }
            TlsMessageHandshake::CertificateStatus(status) if status.status_type == 1 => {
                self.ocsp = Some(status.blob.to_vec());
            }
            TlsMessageHandshake::ServerKeyExchange(_) => self.key_exchange = Some(self.key_exchange_of(body)),
            TlsMessageHandshake::ServerDone(_) => self.done = true,
            _ => {}
        }
        Ok(())
    }

    /// Which form the parameters have depends on the suite.
    fn key_exchange_of(&self, body: &[u8]) -> KeyExchange {
        let Some(hello) = &self.hello else { return KeyExchange::Other };
        let parts = crate::registry::suite_parts(hello.suite);
        let Some(parts) = parts else { return KeyExchange::Other };
        let signed = |rest: &[u8]| {
            let mut rest = rest;
            (hello.version == 0x0303 && parts.authentication != "anon").then(|| wire::u16(&mut rest)).flatten()
        };
        match parts.key_exchange.as_str() {
            // Curve types explicit_prime and explicit_char2.
            "ECDHE" | "ECDH" if matches!(body.first(), Some(1 | 2)) => KeyExchange::Explicit,
            "ECDHE" | "ECDH" => match parse_ecdh_params(body) {
                Ok((rest, params)) => match params.curve_params.params_content {
                    tls_parser::ECParametersContent::NamedGroup(group) => KeyExchange::Ecdhe {
                        group: group.0,
                        scheme: signed(rest),
                        public: params.public.point.to_vec(),
                    },
                    tls_parser::ECParametersContent::ExplicitPrime(_) => KeyExchange::Explicit,
                },
                Err(_) => KeyExchange::Other,
            },
            "DHE" | "DH" => match parse_dh_params(body) {
                Ok((rest, params)) => {
                    let zeros = params.dh_p.iter().take_while(|byte| **byte == 0).count();
                    let prime = params.dh_p.get(zeros..).unwrap_or_default().to_vec();
                    KeyExchange::Dhe { prime, scheme: signed(rest), public: params.dh_ys.to_vec() }
                }
                Err(_) => KeyExchange::Other,
            },
            _ => KeyExchange::Other,
        }
    }
}

fn extensions(mut block: &[u8]) -> Option<Vec<(u16, Vec<u8>)>> {
    let mut list = Vec::new();
    while !block.is_empty() {
        let code = wire::u16(&mut block)?;
        list.push((code, wire::vector(&mut block, 2)?.to_vec()));
    }
    Some(list)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ServerHello message with these extensions.
    pub(crate) fn server_hello(version: u16, suite: u16, extensions: &[u8]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([9; 32]);
        body.push(0);
        body.extend(suite.to_be_bytes());
        body.push(0);
        if !extensions.is_empty() {
            wire::put(&mut body, 2, extensions);
        }
        let mut message = vec![2];
        wire::put(&mut message, 3, &body);
        message
    }

    #[test]
    fn a_server_hello_tells_its_version_and_group() -> Result<(), &'static str> {
        let mut reply = Reply::default();
        reply.take_message(&server_hello(0x0303, 0x1301, &[0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0x11, 0xec]))?;
        let hello = reply.hello.ok_or("no hello")?;
        assert_eq!((hello.version, hello.suite, hello.group, hello.retry), (0x0304, 0x1301, Some(0x11ec), false));
        Ok(())
    }

    #[test]
    fn a_prime_is_read_without_leading_zeros() -> Result<(), &'static str> {
        let mut reply = Reply::default();
        reply.take_message(&server_hello(0x0303, 0x0033, &[]))?;
        let mut body = Vec::new();
        for number in [&[0, 0, 0xc5, 7][..], &[2], &[9, 9]] {
            wire::put(&mut body, 2, number);
        }
        body.extend([4, 1, 0, 1, 0]);
        let mut message = vec![12];
        wire::put(&mut message, 3, &body);
        reply.take_message(&message)?;
        assert_eq!(
            reply.key_exchange,
            Some(KeyExchange::Dhe { prime: vec![0xc5, 7], scheme: Some(0x0401), public: vec![9, 9] })
        );
        Ok(())
    }
}
