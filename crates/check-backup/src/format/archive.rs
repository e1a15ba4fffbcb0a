//! tar: old, ustar, GNU and pax (POSIX.1-2024, "pax Interchange Format"; the GNU tar manual, "Basic Tar Format").
//!
//! Headers carry a checksum, contents none: a changed byte of contents shows only through a compression around.

use tar::{EntryType, Header, PaxExtensions};

use super::input::{Halt, Input, Step};
use super::{Depth, Format, Inspection, pgbase, pgdump, text, times};

/// Largest extended header that is read: names and attributes of one file.
const EXTENDED: u64 = 1 << 20;

/// The sum of a header's bytes, its own field counted as spaces.
pub(super) fn sum(block: &[u8]) -> u32 {
    let field = 148..156;
    block.iter().enumerate().map(|(at, byte)| if field.contains(&at) { 32 } else { u32::from(*byte) }).sum()
}

/// The same with signed bytes, as some old programs wrote it.
fn signed_sum(block: &[u8]) -> i64 {
    let field = 148..156;
    let signed = |byte: u8| i64::from(byte.cast_signed());
    block.iter().enumerate().map(|(at, byte)| if field.contains(&at) { 32 } else { signed(*byte) }).sum()
}

/// Walks through an archive; those of PostgreSQL's tools are looked into.
pub(super) fn walk(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    match seen.format {
        Format::PgDumpTar => pgdump::archive(input, depth, seen),
        Format::PgBasebackup => pgbase::archive(input, depth, seen),
        _ => entries(input, depth, seen, &mut |_, _, _, _| Ok(())),
    }
}

/// What is told of each file: its path, its size, and the reader that stands at its contents.
pub(super) type Visit<'v> = dyn FnMut(&[u8], u64, &mut Input<'_>, &mut Inspection) -> Step<()> + 'v;

/// What extended headers say of the next entry.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<i64>,
}

/// Walks through all entries to the end of the archive. `visit` may consume a file's contents; the rest is passed over.
pub(super) fn entries(
    input: &mut Input<'_>,
    depth: Depth,
    seen: &mut Inspection,
    visit: &mut Visit<'_>,
) -> Step<String> {
    let bounds = input.meter().bounds();
    let (mut count, mut files, mut bytes, mut newest) = (0_u64, 0_u64, 0_u64, None::<i64>);
    let mut extended = Extended::default();
    loop {
        if input.at_end()? {
            return Err(Halt::truncated(format!(
                "ends after {files} files without the two blocks that end an archive"
            )));
        }
        let at = input.position();
        let block = input.array::<512>()?;
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        count += 1;
        if count > bounds.entries {
            return Err(Halt::not_proven(format!("bound reached: {} entries", bounds.entries)));
        }
        let damaged = |what: &str| Halt::damaged(format!("the header at byte {at} has {what}"));
        let header = Header::from_byte_slice(&block);
        let told = header.cksum().map_err(|_| damaged("no checksum"))?;
        if told != sum(&block) && i64::from(told) != signed_sum(&block) {
            return Err(damaged("a wrong checksum"));
        }
        let size = header.entry_size().map_err(|_| damaged("no size"))?;
        let kind = header.entry_type();
        let long = matches!(kind, EntryType::GNULongName | EntryType::GNULongLink);
        if long || matches!(kind, EntryType::XHeader | EntryType::XGlobalHeader) {
            if size > EXTENDED {
                return Err(Halt::not_proven(format!("bound reached: extended header of {size} bytes")));
            }
            let contents = input.bytes(usize::try_from(size).unwrap_or(usize::MAX))?;
            pad(input, size)?;
            match kind {
                EntryType::GNULongName => extended.path = Some(contents),
                EntryType::XHeader => extend(&contents, &mut extended).ok_or_else(|| damaged("broken attributes"))?,
                _ => {}
            }
            continue;
        }
        if kind == EntryType::GNUSparse {
            let mut more = header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
            while more {
                // 21 pairs of numbers, then the byte that says whether another such block follows.
                more = input.array::<512>()?.get(504).is_some_and(|byte| *byte != 0);
            }
        }
        let Extended { path, size: long_size, modified } = std::mem::take(&mut extended);
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        seen.named(path, bounds.names);
        if !bare(kind) || kind == EntryType::Link {
            seen.file(path);
        }
        if bare(kind) {
            continue;
        }
        let size = long_size.unwrap_or(size);
        newest = newest.max(modified.or_else(|| header.mtime().ok().and_then(|time| i64::try_from(time).ok())));
        let start = input.position();
        visit(path, size, input, seen)?;
        let left = size.saturating_sub(input.position() - start);
        match depth {
            Depth::Head => input.skip(left)?,
            Depth::Full => input.pass(left)?,
        }
        pad(input, size)?;
        files += 1;
        bytes = bytes.saturating_add(size);
        (seen.counts.files, seen.counts.bytes) = (Some(files), Some(bytes));
    }
    (seen.counts.files, seen.counts.bytes) = (Some(files), Some(bytes));
    seen.newest = newest.and_then(times::epoch);
    if extended.path.is_some() || extended.size.is_some() {
        return Err(Halt::damaged("an extended header is followed by no file"));
    }
    if input.at_end()? {
        return Err(Halt::truncated("ends after the first of the two blocks that end an archive"));
    }
    if input.array::<512>()?.iter().any(|byte| *byte != 0) {
        return Err(Halt::damaged("a lone block of zeros stands between entries"));
    }
    tail(input, depth)?;
    Ok("the two blocks that end an archive follow whole entries".to_owned())
}

/// What stands behind the end: padding of zeros up to the size of a record.
fn tail(input: &mut Input<'_>, depth: Depth) -> Step<()> {
    loop {
        let shown = input.peek()?;
        let count = shown.len();
        if shown.iter().any(|byte| *byte != 0) {
            return Err(Halt::not_proven("something follows the end of the archive: another one, or garbage"));
        }
        input.consume(count);
        if count == 0 || depth == Depth::Head {
            return Ok(());
        }
    }
}

fn pad(input: &mut Input<'_>, size: u64) -> Step<()> {
    input.pass(size.wrapping_neg() % 512)
}

/// Whether an entry of this sort has no contents, whatever its size says.
fn bare(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

fn extend(contents: &[u8], extended: &mut Extended) -> Option<()> {
    for attribute in PaxExtensions::new(contents) {
        let attribute = attribute.ok()?;
        match attribute.key_bytes() {
            b"path" => extended.path = Some(attribute.value_bytes().to_vec()),
            b"size" => extended.size = Some(attribute.value().ok()?.parse().ok()?),
            // Seconds with a fraction.
            b"mtime" => extended.modified = text(attribute.value_bytes()).split('.').next()?.parse().ok(),
            _ => {}
        }
    }
    Some(())
}
