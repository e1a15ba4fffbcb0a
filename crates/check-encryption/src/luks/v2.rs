//! LUKS2 (LUKS2 On-Disk Format Specification 1.1.1, <https://gitlab.com/cryptsetup/LUKS2-docs>): two copies of a binary
//! header of 4,096 bytes, each followed by metadata in JSON.

use std::io::{self, Read, Seek};

use aws_lc_rs::digest;

use super::bytes::{text, u16_at, u64_at};
use super::{Seen, at, key_material, metadata, part};
use crate::facts::{Outcome, Part, PartState};

/// The magic of the second copy.
pub(super) const SECONDARY: [u8; 6] = *b"SKUL\xba\xbe";
/// Length of the binary header.
const BINARY: usize = 4096;
/// Lengths of a copy (section 2.2): where the second one may begin.
const LENGTHS: [u64; 9] = [0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000];
/// Where the checksum lies, over which it is computed as zeros.
const CHECKSUM: std::ops::Range<usize> = 448..512;

/// Hashes that cryptsetup can compute, and this program can't.
const OTHER_HASHES: [&str; 6] = ["sha3-", "blake2", "ripemd160", "whirlpool", "sm3", "stribog"];

/// One copy.
struct Copy {
    part: Part,
    /// Label and subsystem, and the metadata, where it is whole.
    read: Option<(Seen, Vec<u8>)>,
}

/// Reads both copies, on a volume of so many bytes. `primary` tells whether the first one's magic is there.
pub(super) fn read<R: Read + Seek>(volume: &mut R, bytes: u64, primary: bool) -> io::Result<(Vec<Part>, Option<Seen>)> {
    let mut first = if primary { copy(volume, "primary", 0)? } else { lost("primary", 0, "its magic is not there") };
    let claimed = first.part.bytes.filter(|length| LENGTHS.contains(length));
    let second = match find(volume, claimed)? {
        Some(offset) => copy(volume, "secondary", offset)?,
        None => lost("secondary", claimed.unwrap_or_default(), "it is not in its place"),
    };
    let mut second = second;
    choose(&mut first, &mut second);
    let seen = [&first, &second].into_iter().find(|copy| copy.part.counts).and_then(|copy| copy.read.clone());
    let mut parts = vec![first.part, second.part];
    let seen = seen.map(|(seen, _)| seen);
    if let Some(seen) = &seen {
        parts.push(key_material(&seen.keyslots, bytes));
    }
    Ok((parts, seen))
}

/// Where the second copy is: where the first one says, else at the first place where its magic is.
pub(super) fn find<R: Read + Seek>(volume: &mut R, claimed: Option<u64>) -> io::Result<Option<u64>> {
    for offset in claimed.into_iter().chain(LENGTHS) {
        if at(volume, offset, SECONDARY.len())? == SECONDARY {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

fn lost(name: &str, offset: u64, why: &str) -> Copy {
    let part =
        Part { outcome: Outcome::Absent, state: PartState::Damaged, why: Some(why.to_owned()), ..part(name, offset) };
    Copy { part, read: None }
}

/// Of two whole copies the newer counts; of equally new ones the first. None does beside one that is not understood: it
/// may be the newer one.
fn choose(first: &mut Copy, second: &mut Copy) {
    if [&first.part, &second.part].iter().any(|part| part.state == PartState::Unknown) {
        return;
    }
    let Some((_, one)) = &first.read else {
        second.part.counts = second.read.is_some();
        return;
    };
    let Some((_, other)) = &second.read else {
        first.part.counts = true;
        return;
    };
    let (older, why) = match first.part.sequence.cmp(&second.part.sequence) {
        std::cmp::Ordering::Less => (&mut *first, "the other copy is newer"),
        std::cmp::Ordering::Greater => (&mut *second, "the other copy is newer"),
        std::cmp::Ordering::Equal if one != other => (&mut *second, "it says something else than the other copy"),
        std::cmp::Ordering::Equal => {
            first.part.counts = true;
            return;
        }
    };
    older.part.state = PartState::Stale;
    older.part.why = Some(why.to_owned());
    let stale = older.part.name.clone();
    for copy in [first, second] {
        copy.part.counts = copy.part.name != stale;
    }
}

/// Reads and checks one copy.
fn copy<R: Read + Seek>(volume: &mut R, name: &str, offset: u64) -> io::Result<Copy> {
    let mut part = part(name, offset);
    let binary = at(volume, offset, BINARY)?;
    let whole = match u64_at(&binary, 8) {
        Some(length) if LENGTHS.contains(&length) && (offset == 0 || length == offset) => {
            part.bytes = Some(length);
            at(volume, offset, usize::try_from(length).unwrap_or(usize::MAX))?
        }
        _ => binary,
    };
    Ok(match check(&whole, &mut part) {
        Ok((seen, json)) => {
            part.state = PartState::Whole;
            Copy { part, read: Some((seen, json)) }
        }
        Err((state, why)) => {
            part.state = state;
            part.why = Some(why);
            if state == PartState::Unknown {
                part.outcome = Outcome::NotProven;
            }
            Copy { part, read: None }
        }
    })
}

type Trouble = (PartState, String);

fn damaged(why: impl Into<String>) -> Trouble {
    (PartState::Damaged, why.into())
}

fn check(copy: &[u8], part: &mut Part) -> Result<(Seen, Vec<u8>), Trouble> {
    if copy.len() < BINARY {
        return Err(damaged(format!("it is cut off after {} of {BINARY} bytes", copy.len())));
    }
    let version = u16_at(copy, 6).unwrap_or_default();
    if version != 2 {
        return Err(damaged(format!("its version is {version}, and not 2")));
    }
    let Some(length) = part.bytes else {
        let length = u64_at(copy, 8).unwrap_or_default();
        return Err(damaged(format!("its length is {length}, which no copy can have there")));
    };
    if copy.len() as u64 != length {
        return Err(damaged(format!("it is cut off after {} of {length} bytes", copy.len())));
    }
    part.sequence = u64_at(copy, 16);
    let field = |at, length, what: &str| {
        text(copy, at, length).ok_or_else(|| damaged(format!("its field '{what}' is no text")))
    };
    let algorithm = field(72, 32, "csum_alg")?;
    part.checksum = Some(algorithm.clone());
    let hash = match algorithm.as_str() {
        "sha256" => &digest::SHA256,
        "sha384" => &digest::SHA384,
        "sha512" => &digest::SHA512,
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        name if OTHER_HASHES.iter().any(|other| name.starts_with(other)) => {
            return Err((PartState::Unknown, format!("its checksum is {name}, which this program can't compute")));
        }
        _ => return Err(damaged("its checksum has an algorithm that does not exist")),
    };
    let mut computed = digest::Context::new(hash);
    for (range, zeros) in [(0..CHECKSUM.start, false), (CHECKSUM, true), (CHECKSUM.end..copy.len(), false)] {
        match (copy.get(range), zeros) {
            (Some(piece), false) => computed.update(piece),
            (Some(piece), true) => computed.update(&vec![0; piece.len()]),
            (None, _) => {}
        }
    }
    let computed = computed.finish();
    let stored = copy.get(CHECKSUM).unwrap_or_default();
    if !stored.starts_with(computed.as_ref()) {
        return Err(damaged("its checksum does not hold"));
    }
    if u64_at(copy, 256) != Some(part.offset) {
        return Err(damaged("it says that it lies elsewhere"));
    }
    let some = |text: String| (!text.is_empty()).then_some(text);
    let (label, uuid, subsystem) = (field(24, 48, "label")?, field(168, 40, "uuid")?, field(208, 48, "subsystem")?);
    let json = copy.get(BINARY..).unwrap_or_default();
    let end = json.iter().position(|byte| *byte == 0).unwrap_or(json.len());
    let json = json.get(..end).unwrap_or_default();
    // The checksum holds, so that what is not understood is as it was written.
    let seen = metadata::read(json).map_err(|why| (PartState::Unknown, why))?;
    let seen = Seen { version: 2, uuid: some(uuid), label: some(label), subsystem: some(subsystem), ..seen };
    Ok((seen, json.to_vec()))
}
