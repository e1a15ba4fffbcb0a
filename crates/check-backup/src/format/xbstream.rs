//! The stream of mariabackup and xtrabackup (`extra/mariabackup/xbstream.h` and `xbstream_read.cc` of MariaDB): chunks
//! of files, each with the CRC-32 of its contents. Names and sizes in the heads of chunks carry no checksum.

use std::collections::BTreeMap;

use super::checksum::{Algorithm, hex};
use super::input::{Halt, Input, Step};
use super::{Depth, Inspection, mariabackup};

/// Longest name of a file that the format allows.
const NAME: u32 = 512;
/// Longest description file that is read.
const DESCRIPTION: usize = 64 * 1024;

/// A file that is not ended yet.
#[derive(Default)]
struct Open {
    size: u64,
    /// Contents, of the files that describe the backup.
    kept: Option<Vec<u8>>,
}

/// Walks through all chunks.
pub(super) fn walk(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    let bounds = input.meter().bounds();
    let mut open: BTreeMap<String, Open> = BTreeMap::new();
    let (mut files, mut bytes, mut chunks, mut kept) = (0_u64, 0_u64, 0_u64, 0_usize);
    let mut described = false;
    while !input.at_end()? {
        chunks += 1;
        if chunks > bounds.entries {
            return Err(Halt::not_proven(format!("bound reached: {} chunks", bounds.entries)));
        }
        let at = input.position();
        let damaged = |what: &str| Halt::damaged(format!("the chunk at byte {at} {what}"));
        if &input.array::<8>()? != b"XBSTCK01" {
            return Err(damaged("does not begin with XBSTCK01"));
        }
        let [_flags, kind] = input.array::<2>()?;
        let length = u32::from_le_bytes(input.array()?);
        if !(1..=NAME).contains(&length) {
            return Err(damaged("has an impossible length of name"));
        }
        let name = String::from_utf8_lossy(&input.bytes(length as usize)?).into_owned();
        seen.named(name.as_bytes(), bounds.names);
        match kind {
            b'P' => {
                let length = u64::from_le_bytes(input.array()?);
                let offset = u64::from_le_bytes(input.array()?);
                let told = input.array::<4>()?;
                let file = open.entry(name.clone()).or_insert_with(|| {
                    kept += name.len();
                    Open { size: 0, kept: mariabackup::describes(&name).then(Vec::new) }
                });
                if kept > bounds.kept {
                    return Err(Halt::not_proven("bound reached: too many files are open at once"));
                }
                if offset != file.size {
                    return Err(damaged(&format!("of {name} stands at {offset}, but {} bytes came before", file.size)));
                }
                file.size = file.size.saturating_add(length);
                bytes = bytes.saturating_add(length);
                if depth == Depth::Head && file.kept.is_none() {
                    input.skip(length)?;
                    continue;
                }
                let mut running = Algorithm::Crc32.start();
                input.each(length, |piece| {
                    running.update(piece);
                    if let Some(kept) = file.kept.as_mut().filter(|kept| kept.len() < DESCRIPTION) {
                        kept.extend_from_slice(piece);
                    }
                })?;
                let sum = running.finish();
                if sum.iter().ne(told.iter().rev()) {
                    return Err(damaged(&format!("of {name} has the CRC-32 {}", hex(&sum))));
                }
                if depth == Depth::Full {
                    seen.checked("crc32 of each chunk");
                }
            }
            b'E' => {
                let file = open.remove(&name).unwrap_or_default();
                if let Some(contents) = file.kept {
                    described |= mariabackup::describe(&name, &contents, seen);
                }
                files += 1;
            }
            other if other.is_ascii_graphic() => {
                return Err(Halt::not_proven(format!(
                    "the chunk at byte {at} is of sort '{}', which is not known here",
                    char::from(other)
                )));
            }
            _ => return Err(damaged("is of no sort")),
        }
        (seen.counts.files, seen.counts.bytes) = (Some(files), Some(bytes));
    }
    if let Some(name) = open.keys().next() {
        return Err(Halt::truncated(format!("{} files have no end, the first is {name}", open.len())));
    }
    if !described {
        return Err(Halt::truncated("ends without the file of information, which is written last"));
    }
    Ok("every file has its end, and the file of information, which is written last, is there".to_owned())
}
