//! zip (PKWARE's APPNOTE): the directory at the end, and of each file its contents and their CRC-32.
//!
//! Names and times in the directory carry no checksum.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use rawzip::{CompressionMethod, ErrorKind, ReaderAt, ZipLocator};

use super::input::{Halt, Input, Step, Unpacked};
use super::{Depth, Inspection, Seal, times};

/// Where the record of the end is looked for: its own length and that of the longest comment.
const SEARCH: u64 = 22 + 65_535;

/// Reads at any place of the payload.
struct At<'r, 'i>(RefCell<&'r mut Input<'i>>);

impl ReaderAt for At<'_, '_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut input = self.0.try_borrow_mut().map_err(io::Error::other)?;
        if input.length().is_some_and(|length| offset >= length) {
            return Ok(0);
        }
        input.go(offset)?;
        input.read(buffer)
    }
}

impl From<rawzip::Error> for Halt {
    fn from(error: rawzip::Error) -> Self {
        let text = error.to_string();
        match error.into_kind() {
            ErrorKind::IO(error) => error.into(),
            ErrorKind::Eof | ErrorKind::MissingEndOfCentralDirectory => Self::truncated(text),
            _ => Self::damaged(text),
        }
    }
}

/// Walks through the directory; [`Depth::Full`] unpacks every file and compares its CRC-32.
pub(super) fn walk(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    let meter = Rc::clone(input.meter());
    let bounds = meter.bounds();
    let Some(length) = input.length() else {
        return Err(Halt::not_proven("the directory of a zip file is at its end: it can't be read from a stream"));
    };
    let reader = At(RefCell::new(input));
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE.max(1 << 18)];
    let located = ZipLocator::new().max_search_space(SEARCH).locate_in_reader(reader, &mut buffer, length);
    let archive = located.map_err(|(_, error)| Halt::from(error))?;
    if archive.end_offset() != length {
        return Err(Halt::damaged(format!("the archive ends at byte {}, the file at {length}", archive.end_offset())));
    }
    let (mut entries, mut files, mut bytes, mut unread) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut newest = None::<String>;
    let mut walk = archive.entries(&mut buffer);
    while let Some(entry) = walk.next_entry()? {
        entries += 1;
        if entries > bounds.entries {
            return Err(Halt::not_proven(format!("bound reached: {} entries", bounds.entries)));
        }
        seen.named(entry.file_path().as_ref(), bounds.names);
        let method = entry.compression_method();
        let sealed = entry.flags().is_encrypted();
        if sealed {
            let seal = if method == CompressionMethod::AES { Seal::ZipAes } else { Seal::ZipCrypto };
            seen.seal = Some(seal);
        }
        if entry.is_dir() {
            continue;
        }
        seen.file(entry.file_path().as_ref());
        if let Some(text) = modified(&entry.last_modified()) {
            newest = newest.max(Some(text));
        }
        files += 1;
        bytes = bytes.saturating_add(entry.uncompressed_size_hint());
        (seen.counts.files, seen.counts.bytes) = (Some(files), Some(bytes));
        if depth == Depth::Head {
            continue;
        }
        let at = files;
        let named = |halt: Halt| Halt { why: format!("file {at}: {}", halt.why), ..halt };
        let entry = archive.get_entry(entry.wayfinder()).map_err(|error| named(error.into()))?;
        if sealed {
            unread += 1;
            continue;
        }
        let packed = entry.reader();
        let unpacked: Box<dyn Read + '_> = match method {
            CompressionMethod::STORE => Box::new(packed),
            CompressionMethod::DEFLATE => Box::new(flate2::read::DeflateDecoder::new(packed)),
            CompressionMethod::BZIP2 => Box::new(bzip2::read::BzDecoder::new(packed)),
            CompressionMethod::ZSTD => Box::new(zstd::Decoder::new(packed)?),
            _ => {
                unread += 1;
                continue;
            }
        };
        let metered = Unpacked { inner: unpacked, meter: Rc::clone(&meter) };
        io::copy(&mut entry.verifying_reader(metered), &mut io::sink()).map_err(|error| named(error.into()))?;
        seen.checked("crc32 of each file");
    }
    (seen.counts.files, seen.counts.bytes) = (Some(files), Some(bytes));
    seen.newest = newest;
    if entries != archive.entries_hint() && entries & 0xffff != archive.entries_hint() & 0xffff {
        return Err(Halt::damaged(format!(
            "{entries} entries are in the directory, {} are told",
            archive.entries_hint()
        )));
    }
    if unread > 0 {
        return Err(Halt::not_proven(format!("{unread} of {files} files are encrypted or packed in an unknown way")));
    }
    let read = if depth == Depth::Full { "every file was unpacked" } else { "contents were not read" };
    Ok(format!("the directory is whole and ends with the file; {read}"))
}

/// A time of modification, where it is an instant: the times that DOS left have no zone.
fn modified(when: &rawzip::time::ZipDateTimeKind) -> Option<String> {
    if when.timezone() != rawzip::time::TimeZone::Utc {
        return None;
    }
    let civil = times::civil(
        i64::from(when.year()),
        i64::from(when.month()),
        i64::from(when.day()),
        i64::from(when.hour()),
        i64::from(when.minute()),
        i64::from(when.second()),
    );
    civil.map(|civil| format!("{civil}Z"))
}
