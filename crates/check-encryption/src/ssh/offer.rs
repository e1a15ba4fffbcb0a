//! `SSH_MSG_KEXINIT` (RFC 4253, section 7.1), and the first message of each method of key exchange.
//!
//! No secret is needed to fetch a host key: the server answers any valid public value, so that well-known ones are sent.

use super::packet::{message, packet, put_string, string, text};

/// The ten lists of names, in the order of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) kex: Vec<String>,
    pub(super) host_key: Vec<String>,
    pub(super) cipher: [Vec<String>; 2],
    pub(super) mac: [Vec<String>; 2],
    pub(super) compression: [Vec<String>; 2],
}

impl Offer {
    /// Reads the payload; `None` where it is none.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut rest = payload.strip_prefix(&[message::KEXINIT])?.get(16..)?;
        let mut next = || {
            let (names, after) = string(rest)?;
            rest = after;
            let names = names.split(|byte| *byte == b',').filter(|name| !name.is_empty());
            Some(names.map(text).collect::<Vec<String>>())
        };
        Some(Self {
            kex: next()?,
            host_key: next()?,
            cipher: [next()?, next()?],
            mac: [next()?, next()?],
            compression: [next()?, next()?],
        })
    }

    /// Whether anybody could agree to it: each list that a connection needs names something. An offer of nothing is no
    /// offer without weaknesses.
    pub(super) fn is_usable(&self) -> bool {
        let Self { kex, host_key, cipher, .. } = self;
        [kex, host_key].into_iter().chain(cipher).all(|list| !list.is_empty())
    }

    /// The packet that agrees to this offer with one method of key exchange and one host key algorithm.
    pub(super) fn accept(&self, kex: &str, host_key: &str) -> Vec<u8> {
        let [to_server, to_client] = &self.cipher;
        self.reply(kex, host_key, [&to_server.join(","), &to_client.join(",")], None)
    }

    /// The same with one cipher and without compression.
    pub(super) fn accept_with(&self, kex: &str, host_key: &str, cipher: &str) -> Vec<u8> {
        self.reply(kex, host_key, [cipher; 2], Some("none"))
    }

    fn reply(&self, kex: &str, host_key: &str, ciphers: [&str; 2], compression: Option<&str>) -> Vec<u8> {
        let mut payload = vec![message::KEXINIT];
        payload.extend([0; 16]);
        let macs = self.mac.iter().map(|list| list.join(","));
        let compressions =
            self.compression.iter().map(|list| compression.map_or_else(|| list.join(","), str::to_owned));
        let lists = [kex, host_key].into_iter().chain(ciphers).map(str::to_owned);
        for list in lists.chain(macs).chain(compressions) {
            put_string(&mut payload, list.as_bytes());
        }
        // No languages, no guess, and a number that is reserved.
        payload.extend([0; 8 + 1 + 4]);
        packet(&payload)
    }

    /// The method that a host key is best fetched by: the cheapest for the server that is known here.
    pub(super) fn method(&self) -> Option<(&str, Method)> {
        let known = self.kex.iter().filter_map(|name| Some((name.as_str(), Method::of(name)?)));
        known.min_by_key(|(_, method)| *method)
    }
}

/// How a key exchange is begun, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    /// RFC 8731.
    X25519,
    /// RFC 5656, with the curve's uncompressed base point.
    Nist(Curve),
    /// draft-ietf-sshm-mlkem-hybrid-kex.
    MlKem768X25519,
    /// draft-ietf-sshm-ntruprime-ssh.
    Sntrup761X25519,
    /// RFC 4253 and RFC 8268: a fixed group.
    Group,
    /// RFC 4419: a group of the server's choice.
    GroupExchange,
}

/// A curve of NIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

/// Base points (SEC 2, sections 2.4.2, 2.5.1, 2.6.1), uncompressed, in hexadecimal.
const BASE_POINTS: [&str; 3] = [
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7\
     3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
    "0400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66\
     011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
];

impl Method {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "curve25519-sha256" | "curve25519-sha256@libssh.org" => Self::X25519,
            "ecdh-sha2-nistp256" => Self::Nist(Curve::P256),
            "ecdh-sha2-nistp384" => Self::Nist(Curve::P384),
            "ecdh-sha2-nistp521" => Self::Nist(Curve::P521),
            "mlkem768x25519-sha256" => Self::MlKem768X25519,
            "sntrup761x25519-sha512" | "sntrup761x25519-sha512@openssh.com" => Self::Sntrup761X25519,
            "diffie-hellman-group-exchange-sha256" | "diffie-hellman-group-exchange-sha1" => Self::GroupExchange,
            name if name.starts_with("diffie-hellman-group") => Self::Group,
            _ => return None,
        })
    }

    /// The packet that begins it.
    pub(super) fn begin(self) -> Vec<u8> {
        let x25519 = || [&[9_u8][..], &[0; 31]].concat();
        let value = match self {
            Self::X25519 => x25519(),
            Self::Nist(curve) => base_point(curve),
            // Coefficients of zero are a valid encapsulation key (FIPS 203, section 7.2).
            Self::MlKem768X25519 => [vec![0; 1184], x25519()].concat(),
            Self::Sntrup761X25519 => [vec![0; 1158], x25519()].concat(),
            Self::Group => public_value(),
            // The range that current clients ask for.
            Self::GroupExchange => return group_request([2048, 3072, 8192]),
        };
        let mut payload = vec![message::KEX_INIT];
        put_string(&mut payload, &value);
        packet(&payload)
    }
}

/// The packet that asks for a group of so many bits: least, preferred, most.
pub(super) fn group_request(bits: [u32; 3]) -> Vec<u8> {
    let mut payload = vec![message::GEX_REQUEST];
    payload.extend(bits.iter().flat_map(|bits| bits.to_be_bytes()));
    packet(&payload)
}

/// The packet that goes on in a group that the server chose.
pub(super) fn group_init() -> Vec<u8> {
    let mut payload = vec![message::GEX_INIT];
    put_string(&mut payload, &public_value());
    packet(&payload)
}

/// A public value that is valid in every group of at least 768 bits.
fn public_value() -> Vec<u8> {
    vec![0x55; 95]
}

fn base_point(curve: Curve) -> Vec<u8> {
    let text = match curve {
        Curve::P256 => BASE_POINTS[0],
        Curve::P384 => BASE_POINTS[1],
        Curve::P521 => BASE_POINTS[2],
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
    text.as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packet::Side;
    use super::*;

    proptest! {
        #[test]
        fn any_payload_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Offer::read(&bytes);
            let _ = Offer::read(&[&[message::KEXINIT][..], &[0; 16], &bytes].concat());
        }

        #[test]
        fn what_is_accepted_is_read_again(kex in "[a-z0-9@.-]{1,40}", key in "[a-z0-9-]{1,40}", mac in "[a-z0-9-]{1,20}") {
            let offer = Offer { mac: [vec![mac.clone()], vec![mac, "x".to_owned()]], ..Offer::default() };
            let bytes = [b"SSH-2.0-x\r\n".to_vec(), offer.accept_with(&kex, &key, "c")].concat();
            let side = Side::read(&bytes);
            let read = side.packet(message::KEXINIT).and_then(Offer::read).unwrap_or_default();
            prop_assert_eq!((&read.kex, &read.host_key), (&vec![kex], &vec![key]));
            prop_assert_eq!((&read.mac, &read.cipher), (&offer.mac, &[vec!["c".to_owned()], vec!["c".to_owned()]]));
        }
    }

    #[test]
    fn base_points_have_their_length() {
        let lengths = [Curve::P256, Curve::P384, Curve::P521].map(|curve| base_point(curve).len());
        assert_eq!(lengths, [65, 97, 133]);
    }

    #[test]
    fn the_cheapest_known_method_is_taken() {
        let of = |names: &[&str]| {
            let kex = names.iter().map(|n| (*n).to_owned()).collect();
            Offer { kex, ..Offer::default() }.method().map(|(name, _)| name.to_owned())
        };
        assert_eq!(of(&["diffie-hellman-group14-sha256", "curve25519-sha256"]).as_deref(), Some("curve25519-sha256"));
        assert_eq!(of(&["ext-info-s", "unknown@example.org"]), None);
    }
}
