//! age (<https://age-encryption.org/v1>): identities, and the head of encrypted files.

use aws_lc_rs::agreement::{PrivateKey, X25519};
use zeroize::Zeroizing;

use super::private::{Public, x25519};
use crate::facts::Container;

const IDENTITY: &[u8] = b"AGE-SECRET-KEY-1";
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const HEAD: &[u8] = b"age-encryption.org/v1\n";
/// Identities and recipients looked at in one file.
const MOST: usize = 1000;

/// The identities in a file of them: one a line, comments between them.
pub(super) fn identities(bytes: &[u8]) -> Vec<Result<Public, &'static str>> {
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let identities = lines.filter(|line| line.starts_with(IDENTITY)).take(MOST);
    let read = |line: &[u8]| {
        let secret = bech32(line)?;
        let key = PrivateKey::from_private_key(&X25519, secret.as_slice()).ok()?;
        let public = x25519(key.compute_public_key().ok()?.as_ref());
        Some(Public { algorithm: Some("age X25519".to_owned()), ..public })
    };
    identities.map(|line| read(line).ok_or("marked as an age identity, but damaged or of another sort")).collect()
}

/// The 32 bytes in a Bech32 text (BIP 173) in upper case, whose checksum must hold.
fn bech32(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    const DIGITS: &[u8; 32] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let text = text.strip_prefix(IDENTITY)?;
    let mut sum: u32 = 1;
    let mut add = |value: u32| {
        const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        let top = sum >> 25;
        sum = (sum & 0x01ff_ffff) << 5 ^ value;
        for (bit, generator) in GENERATOR.iter().enumerate() {
            sum ^= if top >> bit & 1 == 1 { *generator } else { 0 };
        }
    };
    let prefix = b"age-secret-key-";
    prefix.iter().for_each(|byte| add(u32::from(*byte) >> 5));
    add(0);
    prefix.iter().for_each(|byte| add(u32::from(*byte) & 31));
    let mut secret = Zeroizing::new([0; 32]);
    let (mut bits, mut held, mut at) = (0_u32, 0_u32, 0);
    let data = text.len().checked_sub(6)?;
    for (position, byte) in text.iter().enumerate() {
        let value = u32::try_from(DIGITS.iter().position(|digit| digit == byte)?).ok()?;
        add(value);
        if position < data {
            bits = (bits << 5 | value) & 0xfff;
            held += 5;
            if held >= 8 {
                held -= 8;
                *secret.get_mut(at)? = u8::try_from(bits >> held & 0xff).ok()?;
                at += 1;
            }
        }
    }
    (at == 32 && sum == 1).then_some(secret)
}

/// What the head of a file that age encrypted says; `None` where it is none.
pub(super) fn encrypted(bytes: &[u8]) -> Option<Container> {
    let armored = super::pem::blocks(bytes, |label| label == "AGE ENCRYPTED FILE").into_iter().next();
    let content = match &armored {
        Some(block) => block.content.as_ref()?.as_slice(),
        None if bytes.starts_with(ARMOR) => return None,
        None => bytes,
    };
    let stanzas = content.strip_prefix(HEAD)?;
    let mut recipients = Vec::new();
    for line in stanzas.split(|byte| *byte == b'\n').take(20 * MOST) {
        if line.starts_with(b"---") {
            break;
        }
        if let Some(stanza) = line.strip_prefix(b"-> ") {
            let sort = stanza.split(|byte| *byte == b' ').next().unwrap_or_default();
            recipients.push(String::from_utf8_lossy(sort).chars().take(40).collect());
        }
    }
    recipients.truncate(MOST);
    Some(Container {
        name: String::new(),
        format: "age".to_owned(),
        keys: None,
        certificates: None,
        parts: vec![],
        mac: None,
        recipients,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;
    use crate::facts::KeyType;

    /// From the test vectors of age (<https://github.com/C2SP/CCTV/tree/main/age>).
    const TEXT: &str = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6";

    #[test]
    fn an_identity_is_read_and_a_damaged_one_is_not() {
        let read = identities(format!("# comment\n{TEXT}\n").as_bytes());
        let public = read[0].as_ref().unwrap();
        assert_eq!((public.key_type, public.bits), (Some(KeyType::X25519), Some(255)));
        assert!(public.spki.is_some());
        assert!(identities(TEXT.replace("XMW", "XWM").as_bytes())[0].is_err());
    }

    #[test]
    fn the_recipients_of_a_file_are_seen() {
        let text = "age-encryption.org/v1\n-> X25519 AAAA\nBBBB\n-> scrypt CCCC 18\nDDDD\n--- MAC\n-> X25519 no\n";
        assert_eq!(encrypted(text.as_bytes()).unwrap().recipients, ["X25519", "scrypt"]);
        assert!(encrypted(b"age-encryption.org/v2\n").is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>, text in "AGE-SECRET-KEY-1[A-Z0-9]{0,80}") {
            identities(&bytes);
            prop_assert!(identities(text.as_bytes())[0].is_err());
            encrypted(&bytes);
            encrypted(&[HEAD, &bytes].concat());
        }
    }
}
