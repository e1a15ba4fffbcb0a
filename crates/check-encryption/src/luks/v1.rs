//! LUKS1 (LUKS On-Disk Format Specification 1.2.3, <https://gitlab.com/cryptsetup/cryptsetup/-/wikis/Specification>).

use super::bytes::{text, u32_at};
use super::{Seen, cipher, key_material, part};
use crate::facts::{Kdf, KeyArea, KeyDigest, Keyslot, Outcome, Part, PartState, Segment};

/// Length of the header.
pub(super) const LENGTH: usize = 592;
/// Slots for keys, and where and how long they are.
const SLOTS: usize = 8;
const FIRST_SLOT: usize = 208;
const SLOT: usize = 48;
/// The marks of a slot.
const ENABLED: u32 = 0x00ac_71f3;
const DISABLED: u32 = 0x0000_dead;
/// Offsets are counted in these.
const SECTOR: u64 = 512;

/// Reads a header from its first bytes, on a volume of so many bytes.
pub(super) fn read(head: &[u8], volume: u64) -> (Vec<Part>, Option<Seen>) {
    let mut primary = part("primary", 0);
    primary.bytes = Some(LENGTH as u64);
    match parse(head) {
        Ok(seen) => {
            primary.state = PartState::Unchecked;
            primary.why = Some("LUKS1 has no checksum and no second copy".into());
            primary.counts = true;
            let material = key_material(&seen.keyslots, volume);
            (vec![primary, material], Some(seen))
        }
        Err(why) => {
            primary.state = PartState::Damaged;
            primary.why = Some(why);
            (vec![primary], None)
        }
    }
}

fn parse(head: &[u8]) -> Result<Seen, String> {
    if head.len() < LENGTH {
        return Err(format!("it is cut off after {} of {LENGTH} bytes", head.len()));
    }
    let word = |at, length, what: &str| {
        let found = text(head, at, length).filter(|text| !text.is_empty());
        found.ok_or_else(|| format!("its field '{what}' is no text"))
    };
    let number = |at| u32_at(head, at).ok_or_else(|| "it is cut off".to_owned());
    let name = word(8, 32, "cipher-name")?;
    let mode = word(40, 32, "cipher-mode")?;
    let hash = word(72, 32, "hash-spec")?;
    let payload = u64::from(number(104)?);
    let key_bytes = number(108)?;
    if !(1..=1024).contains(&key_bytes) {
        return Err(format!("its key has {key_bytes} bytes"));
    }
    let key_bits = key_bytes.saturating_mul(8);
    let encryption = format!("{name}-{mode}");
    let cipher = cipher::read(&encryption, Some(key_bits));
    let mut keyslots = Vec::new();
    for index in 0..SLOTS {
        let at = FIRST_SLOT + index * SLOT;
        let (active, iterations, offset, stripes) = (number(at)?, number(at + 4)?, number(at + 40)?, number(at + 44)?);
        let enabled = match active {
            ENABLED => true,
            DISABLED => false,
            other => return Err(format!("slot {index} is neither enabled nor disabled ({other:#x})")),
        };
        let bytes = u64::from(key_bytes).saturating_mul(u64::from(stripes));
        let offset = u64::from(offset).saturating_mul(SECTOR);
        if enabled && (stripes == 0 || iterations == 0 || offset < LENGTH as u64) {
            return Err(format!("slot {index} is enabled, with parameters that can't be"));
        }
        if enabled && payload != 0 && offset.saturating_add(bytes) > payload.saturating_mul(SECTOR) {
            return Err(format!("slot {index} reaches into the data"));
        }
        keyslots.push(Keyslot {
            name: index.to_string(),
            outcome: if enabled { Outcome::Present } else { Outcome::Absent },
            kind: "luks1".into(),
            key_bits: enabled.then_some(key_bits),
            priority: "normal".into(),
            kdf: enabled.then(|| Kdf {
                name: "pbkdf2".into(),
                hash: Some(hash.clone()),
                iterations: Some(iterations.into()),
                memory_kib: None,
                threads: None,
            }),
            stripes: enabled.then_some(stripes.into()),
            stripes_hash: enabled.then(|| hash.clone()),
            area: enabled.then(|| KeyArea { kind: "raw".into(), cipher: Some(cipher.clone()), offset, bytes }),
            segments: if enabled { vec!["0".into()] } else { vec![] },
            tokens: vec![],
        });
    }
    let bound = keyslots.iter().filter(|slot| slot.outcome == Outcome::Present).map(|slot| slot.name.clone()).collect();
    let digest = KeyDigest {
        name: "0".into(),
        kind: "pbkdf2".into(),
        hash: Some(hash),
        iterations: Some(number(164)?.into()),
        keyslots: bound,
        segments: vec!["0".into()],
    };
    let segment = Segment {
        name: "0".into(),
        outcome: Outcome::Present,
        kind: "crypt".into(),
        in_use: true,
        cipher: Some(cipher),
        integrity: None,
        integrity_key_bits: None,
        sector_bytes: 512,
        offset: payload.saturating_mul(SECTOR),
        bytes: None,
        flags: vec![],
    };
    Ok(Seen {
        version: 1,
        uuid: text(head, 168, 40).filter(|uuid| !uuid.is_empty()),
        segments: vec![segment],
        keyslots,
        digests: vec![digest],
        ..Seen::default()
    })
}
