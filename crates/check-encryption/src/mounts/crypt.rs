//! What dm-crypt is told to do, as `dmsetup table` shows it (Linux, Documentation/admin-guide/device-mapper/dm-crypt.rst).
//!
//! A header says how data should be encrypted, the kernel's table how they are. Keys are not in it: dmsetup(8) shows zeros
//! in their place unless it is asked for them, and of zeros only the number counts.

use std::collections::BTreeMap;
use std::time::Duration;

use probe::{Command, Cx};
use tokio::sync::OnceCell;

use crate::facts::VolumeCipher;
use crate::luks::cipher;
use crate::root::Root;

/// The command, for a plan.
pub(super) const PLAN: &str = "dmsetup table --target crypt (where dm-crypt is met)";

/// The tables of all dm-crypt devices, asked for once.
#[derive(Debug, Default)]
pub(super) struct Crypt(OnceCell<BTreeMap<String, VolumeCipher>>);

impl Crypt {
    /// The cipher of a device by its name; none where that is not told.
    pub(super) async fn cipher(&self, cx: &Cx, root: &Root, label: &str) -> Option<VolumeCipher> {
        self.0.get_or_init(|| tables(cx, root)).await.get(label).cloned()
    }
}

async fn tables(cx: &Cx, root: &Root) -> BTreeMap<String, VolumeCipher> {
    let Some(program) = root.program(cx, "dmsetup") else { return BTreeMap::new() };
    let argv = [program.as_str(), "table", "--target", "crypt"];
    let command = Command { within: Duration::from_secs(10), ..Command::new(&argv) };
    match cx.command(command).await {
        Ok(output) if output.exit == Some(0) => read(&String::from_utf8_lossy(&output.stdout)),
        _ => BTreeMap::new(),
    }
}

/// `cryptroot: 0 1953125 crypt aes-xts-plain64 :64:logon:cryptsetup:… 0 259:2 32768`, a line each. A device with several
/// lines is as strong as the weakest of them, and one with a line that can't be read is not told at all.
fn read(text: &str) -> BTreeMap<String, VolumeCipher> {
    let mut found: BTreeMap<String, Option<VolumeCipher>> = BTreeMap::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(": ") else { continue };
        let mut words = rest.split_ascii_whitespace().skip(2);
        let cipher = match (words.next(), words.next(), words.next()) {
            (Some("crypt"), Some(encryption), Some(key)) => Some(cipher::read(encryption, key_bits(key))),
            _ => None,
        };
        found
            .entry(name.to_owned())
            .and_modify(|before| {
                *before = match (before.take(), &cipher) {
                    (Some(a), Some(b)) if b.strength_bits < a.strength_bits => Some(b.clone()),
                    (Some(a), Some(_)) => Some(a),
                    _ => None,
                }
            })
            .or_insert(cipher);
    }
    found.into_iter().filter_map(|(name, cipher)| Some((name, cipher?))).collect()
}

/// The length of a key: hexadecimal digits, `-` for none, or `:bytes:type:name` for one in the kernel's keyring.
fn key_bits(key: &str) -> Option<u32> {
    let bytes = match key.strip_prefix(':') {
        Some(named) => named.split(':').next()?.parse::<u32>().ok()?,
        None if key == "-" => 0,
        None if key.bytes().all(|digit| digit.is_ascii_hexdigit()) => u32::try_from(key.len()).ok()? / 2,
        None => return None,
    };
    bytes.checked_mul(8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strengths(text: &str) -> Vec<(String, Option<u32>)> {
        read(text).into_iter().map(|(name, cipher)| (name, cipher.strength_bits)).collect()
    }

    #[test]
    fn tables_as_dmsetup_writes_them() {
        let zeros = "0".repeat(64);
        // The forms are those of dm-crypt.rst, sections "Construction Parameters" and "Example scripts".
        let text = format!(
            "cryptroot: 0 1953125 crypt aes-xts-plain64 :64:logon:cryptsetup:5b0c-d0 0 259:2 32768 1 allow_discards\n\
             old data: 0 417792 crypt aes-cbc-essiv:sha256 {zeros} 0 8:16 4096\n\
             null: 0 417792 crypt cipher_null-ecb - 0 8:16 0\n\
             two: 0 100 crypt capi:xts(aes)-plain64 {zeros} 0 8:32 0\n\
             two: 100 100 crypt cipher_null-ecb - 0 8:32 100\n\
             torn: 0 100 crypt aes-xts-plain64\n"
        );
        let expected = [("cryptroot", Some(256)), ("null", Some(0)), ("old data", Some(256)), ("two", Some(0))];
        assert_eq!(strengths(&text), expected.map(|(name, bits)| (name.to_owned(), bits)));
        assert_eq!(strengths("No devices found\n"), []);
    }

    #[test]
    fn the_length_of_a_key() {
        assert_eq!(key_bits(":64:logon:cryptsetup:x"), Some(512));
        assert_eq!(key_bits(&"0".repeat(32)), Some(128));
        assert_eq!(key_bits("-"), Some(0));
        assert_eq!(key_bits("serpent"), None);
        assert_eq!(key_bits(":99999999999:logon:x"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,200}") {
            let _ = read(&text);
        }
    }
}
