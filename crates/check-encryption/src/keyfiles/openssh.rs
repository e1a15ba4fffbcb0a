//! Reads OpenSSH's own form of private keys (PROTOCOL.key in its source) as far as it is public: the public half stands
//! in the clear even where the private one is encrypted.

use super::private::{Public, ec_of, ed25519, rsa_of};
use crate::facts::{KeyType, Protection, Scheme};

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The public side of the first key; `None` where the bytes are in another form.
pub(super) fn public(bytes: &[u8]) -> Option<Public> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let cipher = string(&mut rest)?;
    let (derivation, mut options) = (string(&mut rest)?, string(&mut rest)?);
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*count) > 0).then_some(())?;
    let public = of_blob(string(&mut rest)?)?;
    let encrypted = cipher != b"none";
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(40).collect::<String>();
    let protection = encrypted.then(|| Protection {
        scheme: Scheme::OpenSsh,
        cipher: Some(text(cipher)),
        kdf: Some(text(derivation)),
        hash: None,
        // Salt, then rounds.
        cost: string(&mut options).and(options.first_chunk::<4>()).map(|rounds| i64::from(u32::from_be_bytes(*rounds))),
    });
    Some(Public { encrypted, protection, ..public })
}

/// A public key as SSH writes it (RFC 4253, section 6.6).
pub(super) fn of_blob(mut key: &[u8]) -> Option<Public> {
    let name = std::str::from_utf8(string(&mut key)?).ok()?.to_owned();
    let public = match name.as_str() {
        "ssh-rsa" => {
            let (exponent, modulus) = (string(&mut key)?, string(&mut key)?);
            rsa_of(modulus, exponent)?
        }
        "ssh-ed25519" => ed25519(string(&mut key)?),
        "ssh-dss" => {
            let prime = string(&mut key)?;
            Public { key_type: Some(KeyType::Dsa), bits: super::der::bits(prime), ..Public::default() }
        }
        _ if name.starts_with("ecdsa-sha2-nistp") => {
            let curve = std::str::from_utf8(string(&mut key)?).ok()?;
            ec_of(curve, string(&mut key)?)?
        }
        _ => Public { key_type: Some(KeyType::Other), ..Public::default() },
    };
    Some(Public { algorithm: Some(name), ..public })
}

/// A string of RFC 4251, section 5: its length in four bytes, then its bytes.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (bytes, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(bytes)
}
