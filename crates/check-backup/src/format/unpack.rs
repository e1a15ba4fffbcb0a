//! The layers around contents: compression, which is unpacked, and encryption, which is only named.

use std::io::{self, Read};
use std::rc::Rc;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::detect::{Detected, WANTED, detect};
use super::input::{Halt, Input, Step, Unpacked};
use super::{Depth, Format, Inspection, Packing};

/// Largest window of zstd, as a power of two: 128 MiB, the limit of `zstd -d` without `--long`.
const WINDOW_LOG: u32 = 27;
/// Memory of an xz decoder in KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 128 << 10;
/// What [`Depth::Head`] unpacks.
const GLIMPSE: u64 = 1 << 20;

/// Recognises a payload and walks through it.
pub(super) fn layers(kind: Option<Format>, input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    through(input, depth, seen, |inner, seen| {
        let format = recognise(inner, seen)?;
        seen.format = format;
        match kind {
            // Every file of a base backup and every such dump is a tar file too.
            Some(Format::Tar) if matches!(format, Format::PgDumpTar | Format::PgBasebackup) => {}
            kind => super::expected(kind, format)?,
        }
        super::contents(format, inner, depth, seen)
    })
}

/// What the contents are, below one compression at most.
fn recognise(input: &mut Input<'_>, seen: &mut Inspection) -> Step<Format> {
    let first = input.ahead(WANTED)?;
    if first.is_empty() {
        return Err(Halt::truncated("is empty: not one byte"));
    }
    match detect(first) {
        Detected::Contents(format) => Ok(format),
        Detected::Packed(_) => Err(Halt::not_proven("is compressed twice, or in a way that is not read here")),
        Detected::Sealed(seal) => {
            seen.seal = Some(seal);
            Err(Halt::not_proven("is encrypted: its contents can't be seen without the key"))
        }
    }
}

/// Hands the contents to `read`, through one compression if there is one, and then demands that the compression ends as
/// it must, checksums included.
pub(super) fn through<T>(
    input: &mut Input<'_>,
    depth: Depth,
    seen: &mut Inspection,
    read: impl FnOnce(&mut Input<'_>, &mut Inspection) -> Step<T>,
) -> Step<T> {
    let first = input.ahead(WANTED)?.to_vec();
    let Detected::Packed(packing) = detect(&first) else { return read(input, seen) };
    seen.packing = Some(packing);
    let meter = Rc::clone(input.meter());
    let decoder: Box<dyn Read + '_> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(&mut *input)),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(&mut *input)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(&mut *input, true, XZ_MEMORY)),
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::new(&mut *input)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
        Packing::Lz4 => return Err(Halt::not_proven("is compressed by LZ4, which is not unpacked here")),
    };
    let unpacked = Unpacked {
        inner: Glimpse { inner: decoder, left: glimpse(depth), what: "compressed" },
        meter: Rc::clone(&meter),
    };
    let mut inner = Input::new(Box::new(unpacked), meter, None);
    let result = read(&mut inner, seen)?;
    inner.drain()?;
    drop(inner);
    if !input.at_end()? {
        return Err(Halt::damaged("bytes follow the end of the compressed stream"));
    }
    if let Some(check) = check(packing, &first) {
        seen.checked(check);
    }
    Ok(result)
}

/// The checksum that a compressed stream carries over its contents, if it does.
fn check(packing: Packing, first: &[u8]) -> Option<&'static str> {
    match packing {
        Packing::Gzip => Some("crc32 of gzip"),
        Packing::Bzip2 => Some("crc32 of bzip2"),
        // RFC 8878, section 3.1.1.1.1: the bit Content_Checksum_flag.
        Packing::Zstd => first.get(4).filter(|flags| *flags & 4 != 0).map(|_| "xxhash64 of zstd"),
        // The .xz file format, section 2.1.1.2.
        Packing::Xz => match first.get(7).map(|flags| flags & 0x0f) {
            Some(1) => Some("crc32 of xz"),
            Some(4) => Some("crc64 of xz"),
            Some(10) => Some("sha256 of xz"),
            _ => None,
        },
        Packing::Lz4 => None,
    }
}

/// How much of a stream that can't be jumped in is shown at this depth.
pub(super) fn glimpse(depth: Depth) -> u64 {
    match depth {
        Depth::Head => GLIMPSE,
        Depth::Full => u64::MAX,
    }
}

/// Shows no more than the beginning; what asks for more is told why it gets none.
pub(super) struct Glimpse<R> {
    pub(super) inner: R,
    pub(super) left: u64,
    pub(super) what: &'static str,
}

impl<R: Read> Read for Glimpse<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let why = format!("is {}: its end shows only when all of it is read", self.what);
            return Err(Halt::not_proven(why).into());
        }
        let bytes = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(bytes as u64);
        Ok(bytes)
    }
}
