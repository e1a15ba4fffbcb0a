//! Methods of key exchange: how each is begun, and what both sides agreed upon.
//!
//! Nothing said under these keys is secret, so that the public values are ones whose exponent anybody can know: the
//! curve's base point, whose exponent is one, or a fixed power of the group's generator. Whoever reads the record can
//! compute the secret again, and with it check the server's signature. What makes each exchange a new one is the random
//! cookie in this side's `SSH_MSG_KEXINIT`, which the signature covers.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use num_bigint::BigUint;

use super::offer::Offer;
use super::packet::{Side, message, mpint, packet, put_string, string};

/// A method of key exchange that is known here; those that are cheapest for the server, and can be proven, first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    /// RFC 8731.
    X25519,
    /// RFC 5656, with the curve's uncompressed base point.
    Nist(Curve),
    /// RFC 4253 and RFC 8268: a fixed group of so many bits.
    Group(u32),
    /// RFC 4419: a group of the server's choice.
    GroupExchange,
    /// draft-ietf-sshm-mlkem-hybrid-kex.
    MlKem768X25519,
    /// draft-ietf-sshm-ntruprime-ssh.
    Sntrup761X25519,
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

/// The fixed groups (RFC 2409, section 6.2; RFC 3526): bits, and the number that makes the prime one.
const GROUPS: [(u32, u32); 6] =
    [(1024, 129_093), (2048, 124_476), (3072, 1_690_314), (4096, 240_904), (6144, 929_484), (8192, 4_743_158)];
/// Largest group that a secret is computed in, in bits; OpenSSH serves none beyond 8192.
const MOST_BITS: u64 = 16_384;
/// The exponent of this side in every group: two to this power is beyond every prime, so that servers which refuse
/// values with few bits take it.
const EXPONENT: u32 = 0x5555;

impl Method {
    /// The method of that name (RFC 4250, section 4.11.4).
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "curve25519-sha256" | "curve25519-sha256@libssh.org" => Self::X25519,
            "ecdh-sha2-nistp256" => Self::Nist(Curve::P256),
            "ecdh-sha2-nistp384" => Self::Nist(Curve::P384),
            "ecdh-sha2-nistp521" => Self::Nist(Curve::P521),
            "mlkem768x25519-sha256" => Self::MlKem768X25519,
            "sntrup761x25519-sha512" | "sntrup761x25519-sha512@openssh.com" => Self::Sntrup761X25519,
            "diffie-hellman-group-exchange-sha256" | "diffie-hellman-group-exchange-sha1" => Self::GroupExchange,
            "diffie-hellman-group1-sha1" => Self::Group(1024),
            "diffie-hellman-group14-sha1" | "diffie-hellman-group14-sha256" => Self::Group(2048),
            "diffie-hellman-group15-sha512" => Self::Group(3072),
            "diffie-hellman-group16-sha512" => Self::Group(4096),
            "diffie-hellman-group17-sha512" => Self::Group(6144),
            "diffie-hellman-group18-sha512" => Self::Group(8192),
            _ => return None,
        })
    }

    /// Whether what both sides agree upon by it can be computed here.
    pub(super) const fn is_computed(self) -> bool {
        !matches!(self, Self::MlKem768X25519 | Self::Sntrup761X25519)
    }

    /// The payload that begins it. In group exchange that asks for a group of so many bits: least, preferred, most.
    pub(super) fn begin(self, bits: [u32; 3]) -> Vec<u8> {
        let x25519 = || [&[9_u8][..], &[0; 31]].concat();
        let value = match self {
            Self::X25519 => x25519(),
            Self::Nist(curve) => base_point(curve),
            // Coefficients of zero are a valid encapsulation key (FIPS 203, section 7.2).
            Self::MlKem768X25519 => [vec![0; 1184], x25519()].concat(),
            Self::Sntrup761X25519 => [vec![0; 1158], x25519()].concat(),
            Self::Group(bits) => written(&power(&BigUint::from(2_u8), &prime(bits))),
            Self::GroupExchange => {
                let mut payload = vec![message::GEX_REQUEST];
                payload.extend(bits.iter().flat_map(|bits| bits.to_be_bytes()));
                return payload;
            }
        };
        with_value(message::KEX_INIT, &value)
    }

    fn hash(name: &str) -> &'static digest::Algorithm {
        match name {
            "ecdh-sha2-nistp384" => &digest::SHA384,
            "ecdh-sha2-nistp521" => &digest::SHA512,
            name if name.ends_with("-sha512") => &digest::SHA512,
            name if name.ends_with("-sha1") => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            _ => &digest::SHA256,
        }
    }
}

/// The payload that goes on in a group that the server chose; `None` where that is none in which anything can be
/// computed.
pub(super) fn go_on(group: &[u8]) -> Option<Vec<u8>> {
    let (prime, generator) = group_of(group)?;
    Some(with_value(message::GEX_INIT, &written(&power(&generator, &prime))))
}

/// The prime and the generator of `SSH_MSG_KEX_DH_GEX_GROUP`.
fn group_of(payload: &[u8]) -> Option<(BigUint, BigUint)> {
    let (prime, rest) = string(payload.get(1..)?)?;
    let (generator, _) = string(rest)?;
    let number = |bytes| Some(BigUint::from_bytes_be(mpint(bytes)?.1));
    Some((number(prime)?, number(generator)?)).filter(|(prime, _)| prime.bits() <= MOST_BITS && prime.bit(0))
}

/// What both sides agreed upon (RFC 4253, section 8).
pub(super) struct Agreed {
    /// The shared secret as it goes into hashes.
    pub(super) secret: Vec<u8>,
    /// The exchange hash, which is also the session's identifier.
    pub(super) id: Vec<u8>,
    /// The hash function of the method.
    pub(super) hash: &'static digest::Algorithm,
    /// The server's public key.
    pub(super) host_key: Vec<u8>,
    /// Its signature of the exchange hash.
    pub(super) signature: Vec<u8>,
}

impl Agreed {
    /// Computes it from what both sides said; `None` where the exchange did not come to its end, or is by a method
    /// whose secret is not known here.
    pub(super) fn from(sent: &Side, heard: &Side) -> Option<Self> {
        let ours = sent.packet(message::KEXINIT)?;
        let name = Offer::read(ours)?.kex.into_iter().next()?;
        let method = Method::of(&name)?;
        let by_group = method == Method::GroupExchange;
        let reply = if by_group { message::GEX_REPLY } else { message::KEX_REPLY };
        let (host_key, rest) = string(heard.packet(reply)?.get(1..)?)?;
        let (theirs, rest) = string(rest)?;
        let (signature, _) = string(rest)?;
        let init = if by_group { message::GEX_INIT } else { message::KEX_INIT };
        let (own, _) = string(sent.packet(init)?.get(1..)?)?;
        let mut hashed = Vec::new();
        for part in [
            sent.identification.as_deref()?,
            heard.identification.as_deref()?,
            ours,
            heard.packet(message::KEXINIT)?,
            host_key,
        ] {
            put_string(&mut hashed, part);
        }
        let in_group = |prime: &BigUint| {
            let value = BigUint::from_bytes_be(mpint(theirs)?.1);
            Some(power(&value, prime).to_bytes_be())
        };
        let secret = match method {
            Method::X25519 => theirs.to_vec(),
            Method::Nist(curve) => x_coordinate(curve, theirs)?,
            Method::Group(bits) => in_group(&prime(bits))?,
            Method::GroupExchange => {
                let group = heard.packet(message::KEX_REPLY)?;
                hashed.extend_from_slice(sent.packet(message::GEX_REQUEST)?.get(1..)?);
                hashed.extend_from_slice(group.get(1..)?);
                in_group(&group_of(group)?.0)?
            }
            Method::MlKem768X25519 | Method::Sntrup761X25519 => return None,
        };
        let mut written_secret = Vec::new();
        put_string(&mut written_secret, &as_mpint(&secret));
        put_string(&mut hashed, own);
        put_string(&mut hashed, theirs);
        hashed.extend_from_slice(&written_secret);
        let hash = Method::hash(&name);
        Some(Self {
            secret: written_secret,
            id: digest::digest(hash, &hashed).as_ref().to_vec(),
            hash,
            host_key: host_key.to_vec(),
            signature: signature.to_vec(),
        })
    }
}

/// The first coordinate of a point, which is what a base point's exponent of one makes the secret.
fn x_coordinate(curve: Curve, point: &[u8]) -> Option<Vec<u8>> {
    let bytes = match curve {
        Curve::P256 => 32,
        Curve::P384 => 48,
        Curve::P521 => 66,
    };
    let coordinates = point.strip_prefix(&[4]).filter(|coordinates| coordinates.len() == 2 * bytes)?;
    coordinates.get(..bytes).map(<[u8]>::to_vec)
}

/// A number to the power of this side's exponent.
fn power(base: &BigUint, prime: &BigUint) -> BigUint {
    base.modpow(&BigUint::from(EXPONENT), prime)
}

/// The prime of a fixed group: `2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c)`.
fn prime(bits: u32) -> BigUint {
    static PI: LazyLock<BigUint> = LazyLock::new(|| pi(8192));
    let one = BigUint::from(1_u8);
    let more = GROUPS.iter().find(|(of, _)| *of == bits).map_or(0, |(_, more)| *more);
    let middle = (&*PI >> (8192 - (bits - 130))) + more;
    (&one << bits) - (&one << (bits - 64)) - &one + (middle << 64_u32)
}

/// The circle's number times two to that power, rounded down, by Machin's formula: `16 arctan(1/5) - 4 arctan(1/239)`.
fn pi(bits: u32) -> BigUint {
    const GUARD: u32 = 64;
    let arctan = |inverse: u32| {
        let mut power = (BigUint::from(1_u8) << (bits + GUARD)) / inverse;
        let (mut plus, mut minus) = (BigUint::ZERO, BigUint::ZERO);
        let mut odd = 1_u32;
        while power != BigUint::ZERO {
            let term = &power / odd;
            if odd % 4 == 1 {
                plus += term
            } else {
                minus += term
            }
            power /= inverse * inverse;
            odd += 2;
        }
        plus - minus
    };
    (arctan(5) * 16_u8 - arctan(239) * 4_u8) >> GUARD
}

/// A number as an `mpint` without its length.
fn written(number: &BigUint) -> Vec<u8> {
    as_mpint(&number.to_bytes_be())
}

/// Bytes of a number that is not negative as those of an `mpint` (RFC 4251, section 5).
fn as_mpint(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = number.get(start..).unwrap_or_default();
    let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    [sign, number].concat()
}

fn with_value(number: u8, value: &[u8]) -> Vec<u8> {
    let mut payload = vec![number];
    put_string(&mut payload, value);
    payload
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

/// A packet in the clear around the payload that begins a method.
pub(super) fn first_packet(method: Method, bits: [u32; 3]) -> Vec<u8> {
    packet(&method.begin(bits))
}

#[cfg(test)]
mod tests {
    use model::Digest;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base_points_have_their_length() {
        let lengths = [Curve::P256, Curve::P384, Curve::P521].map(|curve| base_point(curve).len());
        assert_eq!(lengths, [65, 97, 133]);
    }

    /// The ends of the primes as RFC 2409 and RFC 3526 print them, and that they are probably prime (Fermat).
    #[test]
    fn groups_are_those_of_the_standards() {
        for (bits, ending) in [(1024, "49286651ece65381ffffffffffffffff"), (2048, "15728e5a8aacaa68ffffffffffffffff")] {
            let found = prime(bits);
            assert_eq!((found.bits(), found.to_str_radix(16).ends_with(ending)), (u64::from(bits), true));
            assert_eq!(BigUint::from(2_u8).modpow(&(&found - 1_u8), &found), BigUint::from(1_u8));
        }
        assert!(GROUPS.iter().all(|(bits, _)| prime(*bits).bits() == u64::from(*bits)));
        let large = Digest::of(&prime(4096).to_bytes_be());
        assert_ne!(large, Digest::of(&prime(2048).to_bytes_be()));
    }

    proptest! {
        #[test]
        fn any_group_is_borne(
            prime in proptest::collection::vec(any::<u8>(), 0..3000),
            generator in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut payload = vec![message::KEX_REPLY];
            put_string(&mut payload, &prime);
            put_string(&mut payload, &generator);
            let _ = go_on(&payload);
            let _ = go_on(&generator);
        }
    }
}
