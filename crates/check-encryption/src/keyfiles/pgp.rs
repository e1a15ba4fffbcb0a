//! Secret keys in OpenPGP's packets (RFC 9580; RFC 4880), armored or not: their public halves, and how the secret ones
//! are protected. Keyrings in other forms (GnuPG's keybox and private-keys-v1.d) are none.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::der::bits;
use super::private::{Public, ec_of, ed25519, rsa_of, x25519};
use crate::facts::{KeyType, Protection, Scheme};

const ARMOR: &[u8] = b"-----BEGIN PGP PRIVATE KEY BLOCK-----";
/// Packets looked at in one file.
const MOST: usize = 10_000;
const SECRET_KEY: u8 = 5;
const SECRET_SUBKEY: u8 = 7;

/// The secret keys of a file; empty where it holds none.
pub(super) fn keys(bytes: &[u8]) -> Vec<Result<Public, &'static str>> {
    let Some(at) = bytes.windows(ARMOR.len()).position(|window| window == ARMOR) else {
        // A first packet that is a secret key: binary. Its head must make sense, as many files begin with such bytes.
        let first = bytes.first().and_then(|byte| tag(*byte));
        return if first == Some(SECRET_KEY) && whole(bytes) { packets(bytes) } else { vec![] };
    };
    match unarmored(bytes.get(at + ARMOR.len()..).unwrap_or_default()) {
        Some(content) => packets(&content),
        None => vec![Err("marked as OpenPGP secret keys, but cut short or not in base64")],
    }
}

/// The content of an armored block (RFC 9580, section 6.2) whose first line was cut off. The checksum at its end is not
/// looked at, as it may be missing.
fn unarmored(block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(Vec::with_capacity(block.len()));
    let mut lines = block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).skip(1);
    // Headers end with an empty line.
    lines.by_ref().find(|line| line.is_empty())?;
    let mut ended = false;
    for line in lines {
        if line.starts_with(b"-----END ") {
            ended = true;
            break;
        }
        if !line.starts_with(b"=") {
            body.extend_from_slice(line);
        }
    }
    ended.then_some(())?;
    let mut content = Zeroizing::new(vec![0; base64::decoded_len_estimate(body.len())]);
    let length = STANDARD.decode_slice(body.as_slice(), &mut content).ok()?;
    content.truncate(length);
    Some(content)
}

/// The type of packet that a first byte announces.
fn tag(first: u8) -> Option<u8> {
    match first & 0xc0 {
        0xc0 => Some(first & 0x3f),
        0x80 => Some(first >> 2 & 0xf),
        _ => None,
    }
}

/// The next packet: its type and its body. `None` at the end and where it is broken.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (first, after) = rest.split_first()?;
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let (length, after) = if first & 0x40 != 0 {
        let (one, more) = after.split_first()?;
        match one {
            0..=191 => (usize::from(*one), more),
            192..=223 => (((usize::from(*one) - 192) << 8) + usize::from(*more.first()?) + 192, more.get(1..)?),
            255 => (number(more.get(..4)?), more.get(4..)?),
            // Bodies in parts are for data alone.
            _ => return None,
        }
    } else {
        let count = match first & 3 {
            0 => 1,
            1 => 2,
            2 => 4,
            _ => return None,
        };
        (number(after.get(..count)?), after.get(count..)?)
    };
    let (body, after) = after.split_at_checked(length)?;
    *rest = after;
    Some((tag(*first)?, body))
}

/// Whether these bytes are packets to the end.
fn whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    (0..MOST).any(|_| next(&mut rest).is_none()) && rest.is_empty()
}

fn packets(bytes: &[u8]) -> Vec<Result<Public, &'static str>> {
    let mut rest = bytes;
    let mut keys = Vec::new();
    for _ in 0..MOST {
        let Some((tag, body)) = next(&mut rest) else { break };
        if matches!(tag, SECRET_KEY | SECRET_SUBKEY) {
            keys.push(key(body).ok_or("an OpenPGP secret key of a version or form that this program does not know"));
        }
    }
    if !rest.is_empty() {
        keys.push(Err("OpenPGP packets that are cut short or damaged"));
    }
    keys
}

/// A number with its bits before it (RFC 9580, section 3.2).
fn mpi<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (bits, after) = rest.split_first_chunk::<2>()?;
    let (number, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*bits)).div_ceil(8))?;
    *rest = after;
    Some(number)
}

/// An object identifier with its length before it (RFC 9580, section 9.2).
fn curve<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first()?;
    let (oid, after) = after.split_at_checked(usize::from(*length))?;
    *rest = after;
    Some(oid)
}

/// A key of version 4 or 6.
fn key(body: &[u8]) -> Option<Public> {
    let (version, rest) = body.split_first()?;
    matches!(version, 4 | 6).then_some(())?;
    let (created, rest) = rest.split_first_chunk::<4>()?;
    let (algorithm, rest) = rest.split_first()?;
    let mut rest = if *version == 6 { rest.get(4..)? } else { rest };
    let public = public(*algorithm, &mut rest)?;
    let half = body.get(..body.len().checked_sub(rest.len())?)?;
    let protection = protection(*version, rest)?;
    let seconds = i64::from(u32::from_be_bytes(*created));
    Some(Public {
        encrypted: protection.is_some(),
        protection,
        created: Timestamp::from_second(seconds).ok().map(|time| time.to_string()),
        key_id: Some(fingerprint(*version, half)?),
        algorithm: Some(format!("OpenPGP algorithm {algorithm}")),
        ..public
    })
}

/// The public half (RFC 9580, section 5.5.5).
fn public(algorithm: u8, rest: &mut &[u8]) -> Option<Public> {
    let plain = |key_type, bits| Public { key_type: Some(key_type), bits, ..Public::default() };
    // As ASN.1 writes it, so that it has the same bytes wherever it stands.
    let signless = |number: &[u8]| {
        let sign: &[u8] = if number.first().is_some_and(|b| b & 0x80 != 0) { &[0] } else { &[] };
        [sign, number].concat()
    };
    Some(match algorithm {
        1..=3 => {
            let (modulus, exponent) = (mpi(rest)?, mpi(rest)?);
            rsa_of(&signless(modulus), &signless(exponent))?
        }
        16 => {
            let prime = bits(mpi(rest)?);
            mpi(rest)?;
            mpi(rest)?;
            plain(KeyType::Other, prime)
        }
        17 => {
            let prime = bits(mpi(rest)?);
            mpi(rest)?;
            mpi(rest)?;
            mpi(rest)?;
            plain(KeyType::Dsa, prime)
        }
        18 | 19 | 22 => {
            let oid = curve(rest)?;
            let point = mpi(rest)?;
            if algorithm == 18 {
                // Hash and cipher for the exchange.
                curve(rest)?;
            }
            // A point of these two has 0x40 before it.
            match oid {
                [0x2b, 6, 1, 4, 1, 0xda, 0x47, 15, 1] => ed25519(point.strip_prefix(&[0x40])?),
                [0x2b, 6, 1, 4, 1, 0x97, 0x55, 1, 5, 1] => x25519(point.strip_prefix(&[0x40])?),
                [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7] => ec_of("nistp256", point)?,
                [0x2b, 0x81, 4, 0, 34] => ec_of("nistp384", point)?,
                [0x2b, 0x81, 4, 0, 35] => ec_of("nistp521", point)?,
                [0x2b, 0x81, 4, 0, 10] => ec_of("secp256k1", point)?,
                _ => Public { curve: super::der::dotted(oid), ..plain(KeyType::Ec, None) },
            }
        }
        25 => x25519(fixed(rest, 32)?),
        26 => {
            fixed(rest, 56)?;
            plain(KeyType::Other, Some(448))
        }
        27 => ed25519(fixed(rest, 32)?),
        28 => {
            fixed(rest, 57)?;
            plain(KeyType::Ed448, Some(448))
        }
        _ => return None,
    })
}

fn fixed<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// How the secret half is protected (RFC 9580, sections 3.7 and 5.5.3); `None` within where it is not.
fn protection(version: u8, secret: &[u8]) -> Option<Option<Protection>> {
    let (usage, mut rest) = secret.split_first()?;
    let mut found = Protection { scheme: Scheme::OpenPgp, cipher: None, kdf: None, hash: None, cost: None };
    match usage {
        0 => return Some(None),
        253..=255 => {
            if version == 6 {
                rest = rest.get(1..)?;
            }
            let (cipher, mut after) = rest.split_first()?;
            found.cipher = cipher_name(*cipher);
            if *usage == 253 {
                after = after.get(1..)?;
            }
            if version == 6 {
                after = after.get(1..)?;
            }
            string_to_key(after, &mut found);
        }
        // The cipher itself: one pass of MD5 makes its key.
        cipher => {
            found.cipher = cipher_name(*cipher);
            (found.kdf, found.hash, found.cost) = (Some("simple".to_owned()), Some("md5".to_owned()), Some(1));
        }
    }
    Some(Some(found))
}

/// A specifier of RFC 9580, section 3.7.1; what is not known stays null.
fn string_to_key(rest: &[u8], found: &mut Protection) {
    let hash = rest.get(1).copied().and_then(hash_name);
    let (kdf, cost) = match rest.first() {
        Some(0) => ("simple", Some(1)),
        Some(1) => ("salted", Some(1)),
        // Section 3.7.1.3: 16 + the low four bits, shifted by 6 + the high ones.
        Some(3) => ("iterated", rest.get(10).map(|count| i64::from(16 + (count & 15)) << ((count >> 4) + 6))),
        Some(4) => {
            found.kdf = Some("Argon2".to_owned());
            found.cost = rest.get(17).map(|passes| i64::from(*passes));
            return;
        }
        // GnuPG's own: the secret half is elsewhere (a card), or was taken away.
        Some(101) => ("gnu-stub", None),
        _ => return,
    };
    found.kdf = Some(kdf.to_owned());
    found.hash = hash.map(str::to_owned);
    found.cost = cost;
}

fn cipher_name(number: u8) -> Option<String> {
    let name = match number {
        0 => "none",
        1 => "idea",
        2 => "des-ede3",
        3 => "cast5",
        4 => "blowfish",
        7 => "aes128",
        8 => "aes192",
        9 => "aes256",
        10 => "twofish",
        11 => "camellia128",
        12 => "camellia192",
        13 => "camellia256",
        _ => return None,
    };
    Some(name.to_owned())
}

const fn hash_name(number: u8) -> Option<&'static str> {
    match number {
        1 => Some("md5"),
        2 => Some("sha1"),
        3 => Some("ripemd160"),
        8 => Some("sha256"),
        9 => Some("sha384"),
        10 => Some("sha512"),
        11 => Some("sha224"),
        _ => None,
    }
}

/// RFC 9580, section 5.5.4.
fn fingerprint(version: u8, public: &[u8]) -> Option<String> {
    let hashed = if version == 4 {
        let length = u16::try_from(public.len()).ok()?.to_be_bytes();
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&[0x99], &length[..], public].concat())
    } else {
        let length = u32::try_from(public.len()).ok()?.to_be_bytes();
        digest(&SHA256, &[&[0x9b], &length[..], public].concat())
    };
    Some(hashed.as_ref().iter().map(|byte| format!("{byte:02X}")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>, algorithm: u8, version in 4_u8..7) {
            keys(&bytes);
            packets(&bytes);
            let body = [&[version, 0, 0, 0, 0, algorithm], bytes.as_slice()].concat();
            let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
            keys(&[&[0xc5, 0xff], &length[..], &body].concat());
        }

        #[test]
        fn any_armor_is_borne(text in "(-----BEGIN PGP PRIVATE KEY BLOCK-----\n|-----END \n|\n|[A-Za-z=:]{0,9}\n){0,9}") {
            keys(text.as_bytes());
        }
    }
}
