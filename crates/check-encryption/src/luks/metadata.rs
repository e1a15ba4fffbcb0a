//! The JSON of LUKS2 (specification, section 3). What it holds beside these fields, salts and wrapped secrets of tokens
//! among it, is passed over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{Seen, cipher};
use crate::facts::{Kdf, KeyArea, KeyDigest, Keyslot, Outcome, Reencryption, Segment, Token};

/// Things of one sort that are read; cryptsetup allows 32 slots and 32 tokens.
const MOST: usize = 256;

/// Characters shown of the name of a requirement.
const LONGEST_NAME: usize = 64;

/// By number: `"0"`.
type ByNumber<T> = BTreeMap<String, T>;

#[derive(Deserialize)]
struct Metadata {
    keyslots: ByNumber<KeyslotJson>,
    tokens: ByNumber<TokenJson>,
    segments: ByNumber<SegmentJson>,
    digests: ByNumber<DigestJson>,
    config: ConfigJson,
}

#[derive(Deserialize)]
struct KeyslotJson {
    #[serde(rename = "type")]
    kind: String,
    key_size: u32,
    priority: Option<i64>,
    kdf: Option<KdfJson>,
    af: Option<AfJson>,
    area: AreaJson,
    mode: Option<String>,
}

#[derive(Deserialize)]
struct KdfJson {
    #[serde(rename = "type")]
    kind: String,
    hash: Option<String>,
    iterations: Option<u64>,
    time: Option<u64>,
    memory: Option<u64>,
    cpus: Option<u64>,
}

#[derive(Deserialize)]
struct AfJson {
    stripes: Option<u64>,
    hash: Option<String>,
}

#[derive(Deserialize)]
struct AreaJson {
    #[serde(rename = "type")]
    kind: String,
    offset: Number,
    size: Number,
    encryption: Option<String>,
    key_size: Option<u32>,
}

#[derive(Deserialize)]
struct TokenJson {
    #[serde(rename = "type")]
    kind: String,
    keyslots: Vec<String>,
}

#[derive(Deserialize)]
struct SegmentJson {
    #[serde(rename = "type")]
    kind: String,
    offset: Number,
    size: Size,
    encryption: Option<String>,
    sector_size: Option<u32>,
    integrity: Option<IntegrityJson>,
    #[serde(default)]
    flags: Vec<String>,
}

#[derive(Deserialize)]
struct IntegrityJson {
    #[serde(rename = "type")]
    kind: String,
    key_size: Option<u32>,
}

#[derive(Deserialize)]
struct DigestJson {
    #[serde(rename = "type")]
    kind: String,
    keyslots: Vec<String>,
    segments: Vec<String>,
    hash: Option<String>,
    iterations: Option<u64>,
}

#[derive(Deserialize)]
struct ConfigJson {
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    requirements: RequirementsJson,
}

#[derive(Default, Deserialize)]
struct RequirementsJson {
    #[serde(default)]
    mandatory: Vec<String>,
}

/// A number of 64 bits, which the format writes as text.
#[derive(Clone, Copy)]
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Self).ok_or_else(|| D::Error::custom("a number is wanted"))
    }
}

/// A length, or `dynamic`: to the end of the device.
struct Size(Option<u64>);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "dynamic" {
            return Ok(Self(None));
        }
        text.parse().map(|size| Self(Some(size))).map_err(|_| D::Error::custom("a length is wanted"))
    }
}

/// Reads the metadata.
///
/// # Errors
/// Where it is not in the form of the specification. The message tells the place, and nothing of what stands there.
pub(super) fn read(json: &[u8]) -> Result<Seen, String> {
    let read: Metadata = serde_json::from_slice(json).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        format!("its metadata are not in a form that this program knows (line {line}, column {column})")
    })?;
    let sorts = [read.keyslots.len(), read.tokens.len(), read.segments.len(), read.digests.len()];
    if sorts.iter().any(|length| *length > MOST) {
        return Err(format!("it lists more than {MOST} things of one sort"));
    }
    if read.segments.is_empty() {
        return Err("it names no data".into());
    }
    let mode = read.keyslots.values().find(|slot| slot.kind == "reencrypt").map(|slot| slot.mode.clone());
    let requirements = read.config.requirements.mandatory;
    // Who does not know a mandatory requirement must not use the header (section 3.6): it may change what all else means.
    if let Some(name) = requirements.iter().find(|name| !known_requirement(name)) {
        let name: String = name.chars().take(LONGEST_NAME).collect();
        return Err(format!("its metadata require {name:?}, which this program does not know"));
    }
    // Before version 2.4 of cryptsetup the requirement's name had no number.
    let under_way = mode.is_some()
        || requirements.iter().any(|name| name.contains("reencrypt"))
        || read.segments.values().any(|segment| segment.flags.iter().any(|flag| flag == "in-reencryption"));
    let segments = read.segments.iter().map(|(name, json)| segment(name, json, &read.keyslots, &read.digests));
    let keyslots = read.keyslots.iter().map(|(name, json)| keyslot(name, json, &read.tokens, &read.digests));
    Ok(Seen {
        segments: by_number(segments.collect(), |segment: &Segment| &segment.name),
        keyslots: by_number(keyslots.collect(), |slot: &Keyslot| &slot.name),
        digests: by_number(read.digests.iter().map(digest).collect(), |digest: &KeyDigest| &digest.name),
        tokens: by_number(read.tokens.iter().map(token).collect(), |token: &Token| &token.name),
        reencryption: Reencryption {
            outcome: if under_way { Outcome::Present } else { Outcome::Absent },
            why: None,
            mode: mode.flatten(),
        },
        requirements,
        flags: read.config.flags,
        ..Seen::default()
    })
}

/// Whether a requirement is one of those that cryptsetup has (lib/luks2/luks2_json_metadata.c, `requirements_flags`); those
/// of reencryption bear its version.
fn known_requirement(name: &str) -> bool {
    matches!(name, "offline-reencrypt" | "online-reencrypt" | "opal" | "inline-hw-tags")
        || name.strip_prefix("online-reencrypt-v").is_some_and(|version| matches!(version, "2" | "3"))
}

/// In the order of their numbers, and not of their letters.
fn by_number<T>(mut list: Vec<T>, name: impl Fn(&T) -> &String) -> Vec<T> {
    list.sort_by(|a, b| (name(a).len(), name(a)).cmp(&(name(b).len(), name(b))));
    list
}

fn segment(name: &str, json: &SegmentJson, slots: &ByNumber<KeyslotJson>, digests: &ByNumber<DigestJson>) -> Segment {
    // All slots with the key of a segment wrap the same key.
    let bound = digests.values().filter(|digest| digest.segments.iter().any(|n| n == name));
    let mut sizes: Vec<u32> = bound
        .flat_map(|digest| &digest.keyslots)
        .filter_map(|slot| slots.get(slot))
        .map(|slot| slot.key_size)
        .collect();
    sizes.dedup();
    let key_bits = match sizes.as_slice() {
        [size] => Some(size.saturating_mul(8)),
        _ => None,
    };
    let integrity = json.integrity.as_ref().filter(|integrity| integrity.kind != "none");
    let integrity_key_bits = integrity.and_then(integrity_key);
    let rest = match integrity {
        None => key_bits,
        Some(_) => key_bits.zip(integrity_key_bits).and_then(|(all, its)| all.checked_sub(its)),
    };
    Segment {
        name: name.to_owned(),
        outcome: Outcome::Present,
        kind: json.kind.clone(),
        in_use: !json.flags.iter().any(|flag| flag.starts_with("backup-")),
        cipher: json.encryption.as_deref().map(|encryption| cipher::read(encryption, rest)),
        integrity: integrity.map(|integrity| integrity.kind.clone()),
        integrity_key_bits: integrity_key_bits.filter(|bits| *bits > 0),
        sector_bytes: json.sector_size.unwrap_or(512),
        offset: json.offset.0,
        bytes: json.size.0,
        flags: json.flags.clone(),
    }
}

/// Bits of the volume key that integrity takes (dm-crypt's `authenc`, RFC 2104 with keys as long as the hash).
fn integrity_key(integrity: &IntegrityJson) -> Option<u32> {
    let known = match integrity.kind.as_str() {
        "aead" | "poly1305" => Some(0),
        "hmac(sha1)" => Some(160),
        "hmac(sha256)" => Some(256),
        "hmac(sha384)" => Some(384),
        "hmac(sha512)" => Some(512),
        "cmac(aes)" => Some(128),
        _ => None,
    };
    integrity.key_size.map(|bytes| bytes.saturating_mul(8)).or(known)
}

fn keyslot(name: &str, json: &KeyslotJson, tokens: &ByNumber<TokenJson>, digests: &ByNumber<DigestJson>) -> Keyslot {
    let holds = |slots: &[String]| slots.iter().any(|slot| slot == name);
    let mut segments: Vec<String> =
        digests.values().filter(|d| holds(&d.keyslots)).flat_map(|d| d.segments.clone()).collect();
    let mut kinds: Vec<String> = tokens.values().filter(|t| holds(&t.keyslots)).map(|t| t.kind.clone()).collect();
    for list in [&mut segments, &mut kinds] {
        list.sort();
        list.dedup();
    }
    let area_cipher =
        |encryption: &String| cipher::read(encryption, json.area.key_size.map(|bytes| bytes.saturating_mul(8)));
    Keyslot {
        name: name.to_owned(),
        outcome: Outcome::Present,
        kind: json.kind.clone(),
        key_bits: Some(json.key_size.saturating_mul(8)).filter(|_| json.kind != "reencrypt"),
        priority: match json.priority {
            Some(0) => "ignore".into(),
            None | Some(1) => "normal".into(),
            Some(2) => "prefer".into(),
            Some(other) => other.to_string(),
        },
        kdf: json.kdf.as_ref().map(|kdf| Kdf {
            name: kdf.kind.clone(),
            hash: kdf.hash.clone(),
            iterations: kdf.iterations.or(kdf.time),
            memory_kib: kdf.memory,
            threads: kdf.cpus,
        }),
        stripes: json.af.as_ref().and_then(|af| af.stripes),
        stripes_hash: json.af.as_ref().and_then(|af| af.hash.clone()),
        area: Some(KeyArea {
            kind: json.area.kind.clone(),
            cipher: json.area.encryption.as_ref().map(area_cipher),
            offset: json.area.offset.0,
            bytes: json.area.size.0,
        }),
        segments,
        tokens: kinds,
    }
}

fn digest((name, json): (&String, &DigestJson)) -> KeyDigest {
    KeyDigest {
        name: name.clone(),
        kind: json.kind.clone(),
        hash: json.hash.clone(),
        iterations: json.iterations,
        keyslots: json.keyslots.clone(),
        segments: json.segments.clone(),
    }
}

fn token((name, json): (&String, &TokenJson)) -> Token {
    Token { name: name.clone(), kind: json.kind.clone(), keyslots: json.keyslots.clone() }
}
