//! The extensions of a hello.

use crate::wire;

/// One extension (IANA "TLS ExtensionType Values").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// `server_name` (RFC 6066, section 3).
    ServerName(String),
    /// `status_request` for OCSP (RFC 6066, section 8).
    StatusRequest,
    /// `supported_groups` (RFC 8422, RFC 7919, RFC 8446).
    Groups(Vec<u16>),
    /// `ec_point_formats`: uncompressed (RFC 8422).
    PointFormats,
    /// `signature_algorithms` (RFC 8446, 4.2.3).
    SignatureSchemes(Vec<u16>),
    /// `application_layer_protocol_negotiation` (RFC 7301).
    Alpn(Vec<String>),
    /// `padding` (RFC 7685): that many zero bytes.
    Padding(usize),
    /// `encrypt_then_mac` (RFC 7366).
    EncryptThenMac,
    /// `extended_master_secret` (RFC 7627).
    ExtendedMasterSecret,
    /// `supported_versions` (RFC 8446, 4.2.1).
    SupportedVersions(Vec<u16>),
    /// `psk_key_exchange_modes`: with (EC)DHE (RFC 8446, 4.2.9).
    PskModes,
    /// `key_share` (RFC 8446, 4.2.8): group and public value.
    KeyShare(Vec<(u16, Vec<u8>)>),
    /// `renegotiation_info` of a first handshake (RFC 5746).
    RenegotiationInfo,
    /// Any other.
    Other(u16, Vec<u8>),
}

impl Extension {
    /// The code point of its type.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::ServerName(_) => 0,
            Self::StatusRequest => 5,
            Self::Groups(_) => 10,
            Self::PointFormats => 11,
            Self::SignatureSchemes(_) => 13,
            Self::Alpn(_) => 16,
            Self::Padding(_) => 21,
            Self::EncryptThenMac => 22,
            Self::ExtendedMasterSecret => 23,
            Self::SupportedVersions(_) => 43,
            Self::PskModes => 45,
            Self::KeyShare(_) => 51,
            Self::RenegotiationInfo => 0xff01,
            Self::Other(code, _) => *code,
        }
    }

    /// Its content as bytes.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::ServerName(name) => {
                let mut entry = vec![0];
                wire::put(&mut entry, 2, name.as_bytes());
                wire::put(&mut out, 2, &entry);
            }
            Self::StatusRequest => out.extend([1, 0, 0, 0, 0]),
            Self::Groups(ids) | Self::SignatureSchemes(ids) => wire::put(&mut out, 2, &wire::bytes(ids)),
            Self::PointFormats => out.extend([1, 0]),
            Self::Alpn(names) => {
                let mut list = Vec::new();
                names.iter().for_each(|name| wire::put(&mut list, 1, name.as_bytes()));
                wire::put(&mut out, 2, &list);
            }
            Self::Padding(length) => out.resize(*length, 0),
            Self::EncryptThenMac | Self::ExtendedMasterSecret => {}
            Self::SupportedVersions(versions) => wire::put(&mut out, 1, &wire::bytes(versions)),
            Self::PskModes => out.extend([1, 1]),
            Self::KeyShare(shares) => {
                let mut list = Vec::new();
                for (group, public) in shares {
                    list.extend(group.to_be_bytes());
                    wire::put(&mut list, 2, public);
                }
                wire::put(&mut out, 2, &list);
            }
            Self::RenegotiationInfo => out.push(0),
            Self::Other(_, content) => out.extend_from_slice(content),
        }
        out
    }

    /// Reads one back. What does not have the form that [`Extension::content`] writes is [`Extension::Other`].
    #[must_use]
    pub fn parse(code: u16, content: &[u8]) -> Self {
        Self::parse_known(code, content)
            .filter(|known| known.content() == content)
            .unwrap_or_else(|| Self::Other(code, content.to_vec()))
    }

    fn parse_known(code: u16, mut content: &[u8]) -> Option<Self> {
        let rest = &mut content;
        Some(match code {
            0 => {
                let mut list = wire::vector(rest, 2)?;
                wire::take(&mut list, 1)?;
                Self::ServerName(String::from_utf8(wire::vector(&mut list, 2)?.to_vec()).ok()?)
            }
            5 => Self::StatusRequest,
            10 => Self::Groups(wire::u16s(wire::vector(rest, 2)?)?),
            11 => Self::PointFormats,
            13 => Self::SignatureSchemes(wire::u16s(wire::vector(rest, 2)?)?),
            16 => {
                let mut list = wire::vector(rest, 2)?;
                let mut names = Vec::new();
                while !list.is_empty() {
                    names.push(String::from_utf8(wire::vector(&mut list, 1)?.to_vec()).ok()?);
                }
                Self::Alpn(names)
            }
            21 => Self::Padding(rest.len()),
            22 => Self::EncryptThenMac,
            23 => Self::ExtendedMasterSecret,
            43 => Self::SupportedVersions(wire::u16s(wire::vector(rest, 1)?)?),
            45 => Self::PskModes,
            51 => {
                let mut list = wire::vector(rest, 2)?;
                let mut shares = Vec::new();
                while !list.is_empty() {
                    shares.push((wire::u16(&mut list)?, wire::vector(&mut list, 2)?.to_vec()));
                }
                Self::KeyShare(shares)
            }
            0xff01 => Self::RenegotiationInfo,
            _ => return None,
        })
    }
}
