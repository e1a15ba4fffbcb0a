#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use std::io::Cursor;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Two copies of so many bytes with these metadata, and zeros up to `total`.
pub(crate) fn luks2(json: &[u8], sequences: [u64; 2], total: usize) -> Vec<u8> {
    let length = 0x4000;
    let mut image = vec![0; total.max(2 * length)];
    for (index, sequence) in sequences.into_iter().enumerate() {
        let copy = &mut image[index * length..(index + 1) * length];
        let mut put = |at: usize, bytes: &[u8]| copy[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, if index == 0 { &MAGIC } else { &v2::SECONDARY });
        put(6, &2_u16.to_be_bytes());
        put(8, &(length as u64).to_be_bytes());
        put(16, &sequence.to_be_bytes());
        put(24, b"data");
        put(72, b"sha256");
        put(168, b"ccaee571-21db-44e4-9bb1-dc16b6c9433d");
        put(256, &((index * length) as u64).to_be_bytes());
        put(4096, json);
        seal(&mut image, index * length, length);
    }
    image
}

fn seal(image: &mut [u8], at: usize, length: usize) {
    image[at + 448..at + 512].fill(0);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &image[at..at + length]);
    image[at + 448..at + 480].copy_from_slice(digest.as_ref());
}

/// Metadata as cryptsetup writes them.
pub(crate) fn metadata(encryption: &str, key_bytes: u32) -> Value {
    json!({
        "keyslots": { "0": {
            "type": "luks2", "key_size": key_bytes,
            "af": { "type": "luks1", "stripes": 4000, "hash": "sha256" },
            "area": { "type": "raw", "offset": "32768", "size": "131072", "encryption": "aes-xts-plain64", "key_size": 64 },
            "kdf": { "type": "argon2id", "time": 4, "memory": 65536, "cpus": 2, "salt": "uNgsb3ocDArHphzKxRTP4eRDHsxv+cSCfECMdI7OgKo=" },
        }},
        "tokens": {},
        "segments": { "0": {
            "type": "crypt", "offset": "16777216", "size": "dynamic", "iv_tweak": "0", "encryption": encryption,
            "sector_size": 4096,
        }},
        "digests": { "0": {
            "type": "pbkdf2", "keyslots": ["0"], "segments": ["0"], "hash": "sha256", "iterations": 1000,
            "salt": "AA==", "digest": "AA==",
        }},
        "config": { "json_size": "12288", "keyslots_size": "16744448" },
    })
}

fn look(image: &[u8]) -> Volume {
    examine(&mut Cursor::new(image), "image".into(), true).unwrap()
}

fn good() -> Vec<u8> {
    luks2(metadata("aes-xts-plain64", 32).to_string().as_bytes(), [3, 3], 0x4_0000)
}

fn states(volume: &Volume) -> Vec<(&str, PartState, bool)> {
    volume.parts.iter().map(|part| (part.name.as_str(), part.state, part.counts)).collect()
}

#[test]
fn a_whole_header() {
    let volume = look(&good());
    assert_eq!(
        states(&volume),
        [
            ("primary", PartState::Whole, true),
            ("secondary", PartState::Whole, false),
            ("key material", PartState::Unchecked, false)
        ]
    );
    let cipher = volume.segments[0].cipher.as_ref().unwrap();
    assert_eq!((cipher.key_bits, cipher.strength_bits), (Some(256), Some(128)));
    assert_eq!((volume.version, volume.label.as_deref(), volume.detached), (Some(2), Some("data"), Some(false)));
    assert_eq!(volume.keyslots[0].kdf.as_ref().unwrap().memory_kib, Some(65536));
    assert_eq!(volume.reencryption.outcome, Outcome::Absent);
}

#[test]
fn cut_at_every_byte_it_is_never_whole() {
    let image = good();
    let whole = look(&image);
    for length in 0..0x8001 {
        let volume = look(&image[..length]);
        // Both copies end at 32 KiB, the key material at 160.
        let state = |name: &str| volume.parts.iter().find(|part| part.name == name).map(|part| part.state);
        match length {
            0..6 => assert_eq!(volume.format.outcome, Outcome::NotProven, "{length}"),
            6..0x4000 => assert_eq!(
                (state("primary"), &volume.asked),
                (Some(PartState::Damaged), &Asked::Only(vec![])),
                "{length}"
            ),
            0x4000..0x8000 => {
                assert_eq!(state("secondary"), Some(PartState::Damaged), "{length}");
                assert_eq!(volume.segments, whole.segments);
            }
            _ => assert_eq!(state("key material"), Some(PartState::Damaged), "{length}"),
        }
    }
    assert_eq!(look(&image[..163_840]), Volume { bytes: 163_840, ..whole });
}

#[test]
fn a_flipped_bit_is_seen_and_the_other_copy_counts() {
    let image = good();
    let whole = look(&image);
    for copy in [0, 0x4000] {
        for at in (copy..copy + 0x4000).step_by(97).chain(copy..copy + 512).chain([copy + 0x3fff]) {
            // Of the checksum's field only as many bytes count as the hash has.
            if (copy + 480..copy + 512).contains(&at) {
                continue;
            }
            let mut hurt = image.clone();
            hurt[at] ^= 4;
            let volume = look(&hurt);
            let found: Vec<_> = volume.parts.iter().filter(|part| part.state == PartState::Damaged).collect();
            assert_eq!(found.len(), 1, "{at}: {:?}", volume.parts);
            assert_eq!(found[0].name, if copy == 0 { "primary" } else { "secondary" }, "{at}");
            assert!(found[0].why.is_some() && !found[0].counts);
            assert_eq!((&volume.segments, &volume.keyslots), (&whole.segments, &whole.keyslots), "{at}");
        }
    }
    // Both hurt: nothing is said of what it holds.
    let mut hurt = image;
    hurt[5000] ^= 1;
    hurt[5000 + 0x4000] ^= 1;
    let volume = look(&hurt);
    assert_eq!(
        (volume.format.outcome, &volume.asked, volume.version),
        (Outcome::NotProven, &Asked::Only(vec![]), None)
    );
    assert!(volume.segments.is_empty() && volume.parts.iter().all(|part| part.state == PartState::Damaged));
}

#[test]
fn the_newer_copy_counts() {
    let json = metadata("aes-xts-plain64", 64).to_string();
    for (sequences, counts) in [([4, 3], "primary"), ([3, 4], "secondary")] {
        let volume = look(&luks2(json.as_bytes(), sequences, 0x4_0000));
        let of = |part: &&Part| part.counts;
        assert_eq!(volume.parts.iter().find(of).unwrap().name, counts);
        assert_eq!(volume.parts.iter().filter(|part| part.state == PartState::Stale).count(), 1);
    }
    let mut image = luks2(json.as_bytes(), [3, 3], 0x4_0000);
    image[0x4000 + 24] = b'x';
    // Another label alone is in the binary header; other metadata are another copy.
    let other = metadata("cipher_null-ecb", 64).to_string();
    image[0x5000..0x5000 + other.len()].copy_from_slice(other.as_bytes());
    image[0x5000 + other.len()..0x5000 + json.len().max(other.len() + 1)].fill(0);
    seal(&mut image, 0x4000, 0x4000);
    let volume = look(&image);
    assert_eq!(states(&volume)[..2], [("primary", PartState::Whole, true), ("secondary", PartState::Stale, false)]);
}

#[test]
fn metadata_of_another_form_prove_nothing() {
    let mut secret = metadata("aes-xts-plain64", 64);
    secret["tokens"] = json!({ "0": { "type": "own", "keyslots": "sesame" } });
    for json in ["", "{", "[]", "{}", "null", &"[".repeat(10_000), &secret.to_string()] {
        let volume = look(&luks2(json.as_bytes(), [3, 3], 0x4_0000));
        assert!(volume.parts.iter().all(|part| part.state == PartState::Unknown), "{json}");
        assert!(volume.parts.iter().all(|part| part.outcome == Outcome::NotProven));
        assert_eq!(volume.asked, Asked::Only(vec![]));
        assert!(!serde_json::to_string(&volume).unwrap().contains("sesame"));
    }
    let mut image = good();
    image[72..81].copy_from_slice(b"whirlpool");
    let volume = look(&image);
    // The other copy is whole, and need not be the newer one.
    assert_eq!(states(&volume), [("primary", PartState::Unknown, false), ("secondary", PartState::Whole, false)]);
    assert_eq!(volume.asked, Asked::Only(vec![]));
}

#[test]
fn integrity_takes_its_part_of_the_key() {
    let mut json = metadata("aes-xts-plain64", 96);
    json["segments"]["0"]["integrity"] =
        json!({ "type": "hmac(sha256)", "journal_encryption": "none", "journal_integrity": "none" });
    let volume = look(&luks2(json.to_string().as_bytes(), [3, 3], 0x4_0000));
    let segment = &volume.segments[0];
    assert_eq!((segment.integrity.as_deref(), segment.integrity_key_bits), (Some("hmac(sha256)"), Some(256)));
    assert_eq!(segment.cipher.as_ref().unwrap().strength_bits, Some(256));
    json["segments"]["0"]["integrity"] = json!({ "type": "aead" });
    json["segments"]["0"]["encryption"] = json!("aes-gcm-random");
    json["keyslots"]["0"]["key_size"] = json!(32);
    let volume = look(&luks2(json.to_string().as_bytes(), [3, 3], 0x4_0000));
    assert_eq!(volume.segments[0].cipher.as_ref().unwrap().strength_bits, Some(256));
    json["segments"]["0"]["integrity"] = json!({ "type": "of tomorrow" });
    let volume = look(&luks2(json.to_string().as_bytes(), [3, 3], 0x4_0000));
    assert_eq!(volume.segments[0].cipher.as_ref().unwrap().strength_bits, None);
}

#[test]
fn reencryption_is_told() {
    let mut json = metadata("aes-xts-plain64", 64);
    json["keyslots"]["1"] = json!({
        "type": "reencrypt", "key_size": 1, "mode": "encrypt", "direction": "backward",
        "area": { "type": "datashift", "offset": "163840", "size": "4096" },
    });
    json["segments"]["1"] = json!({ "type": "linear", "offset": "0", "size": "4096", "flags": ["in-reencryption"] });
    json["segments"]["2"] = json!({ "type": "linear", "offset": "0", "size": "dynamic", "flags": ["backup-previous"] });
    json["config"]["requirements"] = json!({ "mandatory": ["online-reencrypt-v2"] });
    let volume = look(&luks2(json.to_string().as_bytes(), [3, 3], 0x4_0000));
    assert_eq!((volume.reencryption.outcome, volume.reencryption.mode.as_deref()), (Outcome::Present, Some("encrypt")));
    let seen: Vec<_> = volume.segments.iter().map(|s| (s.kind.as_str(), s.in_use)).collect();
    assert_eq!(seen, [("crypt", true), ("linear", true), ("linear", false)]);
    assert_eq!(volume.keyslots[1].kdf, None);
    let mut old = vec![0; 4096];
    old[..6].copy_from_slice(&IN_REENCRYPTION);
    assert_eq!(look(&old).parts[0].state, PartState::Damaged);
}

#[test]
fn a_requirement_of_tomorrow_proves_nothing() {
    let mut json = metadata("aes-xts-plain64", 64);
    for (name, known) in [
        ("opal", true),
        ("inline-hw-tags", true),
        ("online-reencrypt-v2", true),
        ("online-reencrypt-v99", false),
        ("future-thing", false),
    ] {
        json["config"]["requirements"] = json!({ "mandatory": [name] });
        let volume = look(&luks2(json.to_string().as_bytes(), [3, 3], 0x4_0000));
        assert_eq!(volume.asked == Asked::All, known, "{name}");
        assert_eq!(volume.format.outcome == Outcome::Present, known, "{name}");
        if !known {
            assert!(volume.parts.iter().all(|part| part.state == PartState::Unknown), "{name}");
            assert!(volume.parts[0].why.as_ref().unwrap().contains(name), "{name}");
        }
    }
}

#[test]
fn a_header_before_data_in_the_clear() {
    let mut json = metadata("aes-xts-plain64", 64);
    json["segments"]["0"]["offset"] = json!("262144");
    let mut image = luks2(json.to_string().as_bytes(), [3, 3], 0x8_0000);
    assert_eq!(look(&image).format.outcome, Outcome::Present);
    image[0x4_0438..0x4_043a].copy_from_slice(&[0x53, 0xef]);
    let format = look(&image).format;
    assert_eq!((format.outcome, format.found.as_deref()), (Outcome::Absent, Some("LUKS2")));
    assert!(format.why.unwrap().contains("ext4 lies in the clear at byte 262144"));
    // A copy of the header alone, and a range that is not in use.
    assert_eq!(look(&image[..0x4_0000]).format.outcome, Outcome::Present);
    json["segments"]["0"]["flags"] = json!(["backup-final"]);
    let mut image = luks2(json.to_string().as_bytes(), [3, 3], 0x8_0000);
    image[0x4_0438..0x4_043a].copy_from_slice(&[0x53, 0xef]);
    assert_eq!(look(&image).format.outcome, Outcome::Present);
}

#[test]
fn other_formats_are_named() {
    let of = |at: usize, bytes: &[u8]| {
        let mut image = vec![0; 0x1_8000];
        image[at..at + bytes.len()].copy_from_slice(bytes);
        let format = look(&image).format;
        (format.outcome, format.found)
    };
    assert_eq!(of(0x438, &[0x53, 0xef]), (Outcome::Absent, Some("ext4".into())));
    assert_eq!(of(3, b"-FVE-FS-"), (Outcome::NotProven, Some("BitLocker".into())));
    assert_eq!(of(0, b""), (Outcome::NotProven, None));
    // A file system over what was LUKS2: it is in use, and the second copy is a remnant.
    let mut image = good();
    image[..0x1000].fill(0);
    assert_eq!(look(&image).format.found.as_deref(), Some("LUKS2"));
    image[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
    let format = look(&image).format;
    assert_eq!((format.outcome, format.found.as_deref()), (Outcome::Absent, Some("ext4")));
    assert!(format.why.unwrap().contains("left at byte 16384"));
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..5000), magic in any::<bool>(), version in 0_u16..4) {
        let mut image = bytes;
        if magic {
            image.splice(0..0, [&MAGIC[..], &version.to_be_bytes()].concat());
        }
        let volume = look(&image);
        prop_assert!(volume.version != Some(2));
        prop_assert!(volume.parts.iter().all(|part| part.state != PartState::Whole));
    }

    #[test]
    fn any_change_of_the_metadata_is_read(at in 0_usize..900, byte in any::<u8>()) {
        let mut json = metadata("aes-xts-plain64", 64).to_string().into_bytes();
        if let Some(place) = json.get_mut(at) {
            *place = byte;
        }
        look(&luks2(&json, [3, 3], 0x4_0000));
    }

    #[test]
    fn any_luks1_is_read(at in 0_usize..592, byte in any::<u8>(), length in 0_usize..700) {
        let mut head = luks1();
        head[at] = byte;
        head.truncate(length);
        let volume = look(&head);
        prop_assert!(length >= v1::LENGTH || volume.segments.is_empty());
    }
}

/// A header by hand, with a cipher that cryptsetup makes only with the device mapper.
fn luks1() -> Vec<u8> {
    let mut head = vec![0; 4096];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC);
    put(6, &1_u16.to_be_bytes());
    put(8, b"cipher_null");
    put(40, b"ecb");
    put(72, b"sha256");
    put(104, &4096_u32.to_be_bytes());
    put(108, &32_u32.to_be_bytes());
    put(164, &1000_u32.to_be_bytes());
    put(168, b"149a8023-0b31-40a3-af34-f8efbe28a584");
    for slot in 0..8 {
        let at = 208 + 48 * slot;
        put(at, &if slot == 1 { 0x00ac_71f3_u32 } else { 0xdead }.to_be_bytes());
        put(at + 4, &1000_u32.to_be_bytes());
        put(at + 40, &8_u32.to_be_bytes());
        put(at + 44, &4000_u32.to_be_bytes());
    }
    head
}

#[test]
fn luks1_without_a_cipher() {
    let mut image = luks1();
    image.resize(4096 * 512, 0);
    let volume = look(&image);
    assert_eq!(volume.segments[0].cipher.as_ref().unwrap().strength_bits, Some(0));
    assert_eq!(
        states(&volume),
        [("primary", PartState::Unchecked, true), ("key material", PartState::Unchecked, false)]
    );
    let used: Vec<_> =
        volume.keyslots.iter().filter(|slot| slot.outcome == Outcome::Present).map(|s| &s.name).collect();
    assert_eq!(used, ["1"]);
    for length in 0..v1::LENGTH {
        let volume = look(&image[..length]);
        assert_eq!((volume.format.outcome, volume.parts.is_empty()), (Outcome::NotProven, length < 6));
        assert_eq!(volume.asked, Asked::Only(vec![]), "{length}");
    }
    // A header of LUKS1 before that of a plain file system.
    let mut both = image.clone();
    both[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
    let volume = look(&both);
    assert_eq!((volume.format.outcome, volume.segments.len()), (Outcome::NotProven, 0));
    image[208] = 1;
    assert!(look(&image).parts[0].why.as_ref().unwrap().contains("slot 0"));
}
