//! The names of dm-crypt's ciphers (Linux, Documentation/admin-guide/device-mapper/dm-crypt.rst).

use crate::facts::VolumeCipher;

/// Reads `cipher-mode-iv` or `capi:mode(cipher)-iv`, with the length of the key that goes with it.
pub(crate) fn read(encryption: &str, key_bits: Option<u32>) -> VolumeCipher {
    let (cipher, mode, iv) = match encryption.strip_prefix("capi:") {
        Some(rest) => kernel(rest),
        None => plain(encryption),
    };
    let strength_bits = match (&cipher, &mode) {
        (Some(cipher), Some(mode)) => strength(cipher, mode, key_bits),
        _ => None,
    };
    VolumeCipher { encryption: encryption.to_owned(), cipher, mode, iv, key_bits, strength_bits }
}

type Parts = (Option<String>, Option<String>, Option<String>);

/// `aes-xts-plain64`, `aes-cbc-essiv:sha256`, `cipher_null-ecb`; `aes-plain` is an old name of `aes-cbc-plain`.
fn plain(text: &str) -> Parts {
    let mut words = text.splitn(3, '-').filter(|word| !word.is_empty());
    let own = |word: Option<&str>| word.map(str::to_owned);
    let (cipher, mode, iv) = (own(words.next()), own(words.next()), own(words.next()));
    match mode.as_deref() {
        // Several keys (`aes:64-cbc-lmk`) are loop-AES's.
        _ if cipher.as_deref().is_some_and(|cipher| cipher.contains(':')) => (None, None, None),
        Some("plain") if iv.is_none() => (cipher, Some("cbc".into()), Some("plain".into())),
        Some(_) => (cipher, mode, iv),
        None if cipher.as_deref() == Some("cipher_null") => (cipher, Some("ecb".into()), None),
        None => (None, None, None),
    }
}

/// `xts(aes)-plain64`, in the words of the kernel's crypto API. Of nested ones (`authenc(hmac(sha256),xts(aes))`) nothing
/// is said.
fn kernel(text: &str) -> Parts {
    let read = || {
        let (mode, rest) = text.split_once('(')?;
        let (cipher, iv) = rest.split_once(')')?;
        let iv = match iv {
            "" => None,
            _ => Some(iv.strip_prefix('-')?.to_owned()),
        };
        let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (word(mode) && word(cipher)).then(|| (Some(cipher.to_owned()), Some(mode.to_owned()), iv))
    };
    read().unwrap_or_default()
}

/// Strength in bits of a cipher in a mode with a key of that length.
fn strength(cipher: &str, mode: &str, key_bits: Option<u32>) -> Option<u32> {
    if cipher == "cipher_null" {
        return Some(0);
    }
    let key_bits = key_bits?;
    let bits = match mode {
        // Half of the key makes the tweak (IEEE 1619).
        "xts" => key_bits / 2,
        // 128 bits of it do.
        "lrw" => key_bits.checked_sub(128)?,
        _ => key_bits,
    };
    let known = match (cipher, mode) {
        ("aes" | "serpent" | "twofish" | "camellia" | "aria", _) => [128, 192, 256].contains(&bits),
        ("cast6", _) => (128..=256).contains(&bits),
        ("sm4" | "seed" | "aegis128", _) => bits == 128,
        ("chacha20" | "xchacha20", _) => bits == 256,
        ("xchacha20,aes" | "xchacha12,aes", "adiantum") => bits == 256,
        ("cast5", _) => (40..=128).contains(&bits),
        ("blowfish", _) => (32..=448).contains(&bits),
        ("des", _) => return (bits == 64).then_some(56),
        ("des3_ede", _) => return (bits == 192).then_some(112),
        _ => false,
    };
    known.then_some(bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strength_is_not_the_length_of_the_key() {
        for (text, key, strength) in [
            ("aes-xts-plain64", 256, Some(128)),
            ("aes-xts-plain64", 512, Some(256)),
            ("aes-xts-plain64", 128, None),
            ("capi:xts(aes)-plain64", 256, Some(128)),
            ("aes-cbc-essiv:sha256", 256, Some(256)),
            ("serpent-xts-plain64", 384, Some(192)),
            ("twofish-lrw-benbi", 384, Some(256)),
            ("aes-gcm-random", 256, Some(256)),
            ("xchacha20,aes-adiantum-plain64", 256, Some(256)),
            ("cipher_null-ecb", 256, Some(0)),
            ("cipher_null", 256, Some(0)),
            ("des3_ede-cbc-plain", 192, Some(112)),
            ("aes-plain", 128, Some(128)),
            ("aes:64-cbc-lmk", 256, None),
            ("capi:authenc(hmac(sha256),xts(aes))-random", 512, None),
            ("aes", 256, None),
            ("rot13-xts-plain64", 512, None),
            ("", 512, None),
        ] {
            assert_eq!(read(text, Some(key)).strength_bits, strength, "{text} {key}");
        }
        let essiv = read("aes-cbc-essiv:sha256", None);
        assert_eq!((essiv.mode.as_deref(), essiv.iv.as_deref()), (Some("cbc"), Some("essiv:sha256")));
        assert_eq!(read("aes-plain", None).mode.unwrap(), "cbc");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,40}", key in any::<u32>()) {
            prop_assert_eq!(read(&text, Some(key)).encryption, text);
        }
    }
}
