//! Dumps of pg_dump in its custom, directory and tar formats.
//!
//! Data that is compressed by gzip carries an Adler-32 for each table; zstd and uncompressed data carry no checksum, so a
//! changed byte in them stays unseen. The table of contents and the numbers of large objects have none either.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::read::ZlibDecoder;

use super::input::{Halt, Input, Meter, Raw, Step, Unpacked};
use super::pgtoc::{self, Algorithm, Filled, Head};
use super::{Bounds, Depth, Folder, Inspection, archive, unpack};

/// Whether an entry is of large objects, which are files of their own.
fn blobs(entry: &Filled) -> bool {
    entry.description == "BLOBS"
}

/// Walks through a custom dump.
pub(super) fn custom(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    let head = pgtoc::head(input, seen)?;
    if head.format != 1 {
        return Err(Halt::damaged(format!("says to be of archive format {}, not custom", head.format)));
    }
    let filled = pgtoc::contents(input, &head, seen)?;
    let last =
        filled.iter().map(|entry| entry.offset).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    if let (Depth::Head, Some(last), Some(length)) = (depth, last, input.length()) {
        if last < input.position() {
            return Err(Halt::damaged("the table of contents places data before its own end"));
        }
        if last >= length {
            return Err(Halt::truncated(format!("the last table begins at byte {last}, the file ends at {length}")));
        }
        input.go(last)?;
        let mut wanted: BTreeSet<i64> = filled.iter().map(|entry| entry.id).collect();
        blocks(input, &head, depth, seen, &mut wanted)?;
        return Ok("the last table of the table of contents ends with the file; contents were not read".to_owned());
    }
    let mut wanted: BTreeSet<i64> = filled.iter().map(|entry| entry.id).collect();
    blocks(input, &head, depth, seen, &mut wanted)?;
    if let Some(missing) = wanted.first() {
        return Err(Halt::truncated(format!(
            "the data of {} of {} tables is missing, the first is entry {missing}",
            wanted.len(),
            filled.len()
        )));
    }
    match (depth, head.algorithm) {
        (Depth::Full, Algorithm::Lz4) => {
            Err(Halt::not_proven("all data is there, but it is compressed by LZ4, which is not unpacked here"))
        }
        _ => Ok("the data of every entry of the table of contents was walked through to the end".to_owned()),
    }
}

/// Walks through blocks of data to the end, and strikes their numbers off `wanted`.
fn blocks(
    input: &mut Input<'_>,
    head: &Head,
    depth: Depth,
    seen: &mut Inspection,
    wanted: &mut BTreeSet<i64>,
) -> Step<()> {
    while !input.at_end()? {
        let at = input.position();
        let kind = input.byte()?;
        let id = head.int(input)?;
        if !wanted.remove(&id) {
            return Err(Halt::damaged(format!("the block at byte {at} is of entry {id}, which has no data or had it")));
        }
        match kind {
            1 => data(input, head, depth, seen)?,
            // Large objects: each with its number, ended by number 0.
            3 => {
                while head.int(input)? != 0 {
                    data(input, head, depth, seen)?;
                }
            }
            other => return Err(Halt::damaged(format!("the block at byte {at} is of type {other}"))),
        }
    }
    Ok(())
}

/// Reads the chunks of one table or large object.
fn data(input: &mut Input<'_>, head: &Head, depth: Depth, seen: &mut Inspection) -> Step<()> {
    if depth == Depth::Head {
        loop {
            let length = chunk(input, head)?;
            if length == 0 {
                return Ok(());
            }
            input.skip(length)?;
        }
    }
    let meter = Rc::clone(input.meter());
    let before = meter.unpacked();
    let mut chunks = Chunks { input, head, left: 0, ended: false };
    // No chunk at all is no data: since version 16 nothing is compressed then.
    chunks.next()?;
    if chunks.ended {
        return Ok(());
    }
    let mut sink = io::sink();
    match head.algorithm {
        Algorithm::Gzip => {
            let mut reader = Unpacked { inner: ZlibDecoder::new(&mut chunks), meter: Rc::clone(&meter) };
            io::copy(&mut reader, &mut sink)?;
            seen.checked("adler32 of each table");
        }
        Algorithm::Zstd => {
            let mut reader = Unpacked { inner: zstd::Decoder::new(&mut chunks)?, meter: Rc::clone(&meter) };
            io::copy(&mut reader, &mut sink)?;
        }
        Algorithm::None => {
            let mut reader = Unpacked { inner: &mut chunks, meter: Rc::clone(&meter) };
            io::copy(&mut reader, &mut sink)?;
        }
        Algorithm::Lz4 => {}
    }
    let rest = io::copy(&mut chunks, &mut sink)?;
    if rest > 0 && head.algorithm != Algorithm::Lz4 {
        return Err(Halt::damaged("bytes follow the compressed data of a table"));
    }
    let bytes = meter.unpacked() - before;
    seen.counts.bytes = Some(seen.counts.bytes.unwrap_or(0).saturating_add(bytes));
    Ok(())
}

/// The length of the next chunk; 0 ends the data.
fn chunk(input: &mut Input<'_>, head: &Head) -> Step<u64> {
    let at = input.position();
    u64::try_from(head.int(input)?).map_err(|_| Halt::damaged(format!("the chunk at byte {at} has a negative length")))
}

/// The bytes of all chunks up to the one of length 0.
struct Chunks<'i, 's, 'h> {
    input: &'i mut Input<'s>,
    head: &'h Head,
    left: u64,
    ended: bool,
}

impl Chunks<'_, '_, '_> {
    fn next(&mut self) -> Step<()> {
        self.left = chunk(self.input, self.head)?;
        self.ended = self.left == 0;
        Ok(())
    }
}

impl Read for Chunks<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.next()?;
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = self.input.read(buffer.get_mut(..most).unwrap_or_default())?;
        if bytes == 0 && most > 0 {
            return Err(Halt::truncated("ends in the middle of a table's data").into());
        }
        self.left -= bytes as u64;
        Ok(bytes)
    }
}

/// Walks through a tar dump: its table of contents names the files that must be in it, and the lists of large objects,
/// which stand behind these, name theirs.
pub(super) fn archive(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    let kept = input.meter().bounds().kept;
    let mut wanted: Option<BTreeSet<String>> = None;
    let (mut objects, mut held) = (BTreeSet::new(), 0_usize);
    let how = archive::entries(input, depth, seen, &mut |path, size, input, seen| {
        let name = String::from_utf8_lossy(path).into_owned();
        let whole = |input: &mut Input<'_>| match usize::try_from(size) {
            Ok(size) if size <= kept => input.bytes(size),
            _ => Err(Halt::not_proven(format!("bound reached: {name} is too large"))),
        };
        if name == "toc.dat" {
            wanted = Some(toc(&whole(input)?, input.meter().bounds(), seen)?);
            return Ok(());
        }
        wanted.iter_mut().for_each(|wanted| {
            wanted.remove(&name);
        });
        if name.starts_with("blobs") && name.ends_with(".toc") {
            let list = String::from_utf8_lossy(&whole(input)?).into_owned();
            for object in list.lines() {
                let object = object_of(object, &name)?;
                if !objects.contains(object) {
                    return Err(Halt::damaged(format!("{object} is missing")));
                }
            }
        } else if name.starts_with("blob_") {
            held += name.len() + size_of::<String>();
            if held > kept {
                return Err(Halt::not_proven("bound reached: too many large objects"));
            }
            objects.insert(name);
        }
        Ok(())
    })?;
    match wanted.as_ref().map(|wanted| (wanted.len(), wanted.first())) {
        None => Err(Halt::damaged("there is no toc.dat in it")),
        Some((count, Some(first))) => Err(Halt::damaged(format!("{count} files are missing, the first is {first}"))),
        Some((_, None)) => Ok(format!("every file of the table of contents is there, and {how}")),
    }
}

/// The files that the table of contents of a tar dump names.
fn toc(bytes: &[u8], bounds: Bounds, seen: &mut Inspection) -> Step<BTreeSet<String>> {
    let meter = Meter::new(bounds);
    let mut input = Input::new(Box::new(Raw { inner: bytes, meter: Rc::clone(&meter) }), meter, None);
    let head = pgtoc::head(&mut input, seen)?;
    if head.format != 3 {
        return Err(Halt::damaged(format!("toc.dat says to be of archive format {}, not tar", head.format)));
    }
    let filled = pgtoc::contents(&mut input, &head, seen)?;
    if !input.at_end()? {
        return Err(Halt::damaged("bytes follow the table of contents"));
    }
    let file = |entry: Filled| if blobs(&entry) { head.list_of_objects(entry.id) } else { entry.file };
    Ok(filled.into_iter().map(file).collect())
}

/// The file of a large object, from its line `number file` in a list.
fn object_of<'l>(line: &'l str, list: &str) -> Step<&'l str> {
    let file = line.split_once(' ').filter(|(number, _)| number.parse::<u64>().is_ok()).map(|(_, file)| file);
    file.filter(|file| !file.is_empty() && !file.contains('/'))
        .ok_or_else(|| Halt::damaged(format!("{list} is no list of large objects")))
}

/// Looks through a directory dump.
pub(super) fn directory(folder: &dyn Folder, depth: Depth, meter: &Rc<Meter>, seen: &mut Inspection) -> Step<String> {
    let toc = open(folder, "toc.dat")?.ok_or_else(|| Halt::damaged("there is no toc.dat"))?;
    let raw = Raw { inner: toc, meter: Rc::clone(meter) };
    let mut input = Input::new(Box::new(raw), Rc::clone(meter), None);
    let head = pgtoc::head(&mut input, seen)?;
    // The directory format has a number of its own (5), but its file says 3, like a tar dump's.
    if head.format != 3 {
        return Err(Halt::damaged(format!("toc.dat says to be of archive format {}, not 3", head.format)));
    }
    let filled = pgtoc::contents(&mut input, &head, seen)?;
    if !input.at_end()? {
        return Err(Halt::damaged("bytes follow the table of contents"));
    }
    let mut lz4 = false;
    for entry in &filled {
        if blobs(entry) {
            large_objects(folder, entry, &head, depth, meter, seen)?;
        } else {
            lz4 |= file(folder, &entry.file, &head, depth, meter, seen)?;
        }
    }
    seen.counts.files = Some(filled.len() as u64);
    match depth {
        Depth::Head => Ok("every file of the table of contents is there; they were not read".to_owned()),
        Depth::Full if lz4 => Err(Halt::not_proven("all files are there, but LZ4 is not unpacked here")),
        Depth::Full => Ok("every file of the table of contents was read to its end".to_owned()),
    }
}

fn open<'f>(folder: &'f dyn Folder, name: &str) -> Step<Option<Box<dyn Read + 'f>>> {
    folder.open(name).map_err(|error| Halt::not_proven(format!("reading failed: {name}: {error}")))
}

/// Reads one file of data; says whether it is of LZ4, which is not read.
fn file(
    folder: &dyn Folder,
    name: &str,
    head: &Head,
    depth: Depth,
    meter: &Rc<Meter>,
    seen: &mut Inspection,
) -> Step<bool> {
    let suffix = match head.algorithm {
        Algorithm::None => "",
        Algorithm::Gzip => ".gz",
        Algorithm::Lz4 => ".lz4",
        Algorithm::Zstd => ".zst",
    };
    let name = format!("{name}{suffix}");
    let bytes = open(folder, &name)?.ok_or_else(|| Halt::damaged(format!("{name} is missing")))?;
    let mut input = Input::new(Box::new(Raw { inner: bytes, meter: Rc::clone(meter) }), Rc::clone(meter), None);
    let named = |halt: Halt| Halt { why: format!("{name}: {}", halt.why), ..halt };
    if head.algorithm != Algorithm::None && input.at_end().map_err(named)? {
        return Err(named(Halt::truncated("is empty")));
    }
    if depth == Depth::Head || head.algorithm == Algorithm::Lz4 {
        return Ok(head.algorithm == Algorithm::Lz4);
    }
    let packing = seen.packing;
    let before = meter.unpacked();
    let read = |input: &mut Input<'_>, _: &mut Inspection| input.drain();
    let bytes = if head.algorithm == Algorithm::None {
        whole(&mut input)
    } else {
        unpack::through(&mut input, depth, seen, read).map(|_| meter.unpacked() - before)
    };
    seen.packing = packing;
    seen.counts.bytes = Some(seen.counts.bytes.unwrap_or(0).saturating_add(bytes.map_err(named)?));
    Ok(false)
}

/// Reads an uncompressed file of a table to its end, which is two empty lines after the rows.
fn whole(input: &mut Input<'_>) -> Step<u64> {
    let mut last = [0_u8; 2];
    loop {
        let shown = input.peek()?;
        let count = shown.len();
        match shown {
            [] => break,
            [.., before, end] => last = [*before, *end],
            [end] => last = [last.last().copied().unwrap_or(0), *end],
        }
        input.consume(count);
    }
    if input.position() > 0 && &last != b"\n\n" {
        return Err(Halt::truncated("does not end with the empty lines that follow the last row"));
    }
    Ok(input.position())
}

/// Reads the list of large objects, `number file` on each line, and each of their files.
fn large_objects(
    folder: &dyn Folder,
    entry: &Filled,
    head: &Head,
    depth: Depth,
    meter: &Rc<Meter>,
    seen: &mut Inspection,
) -> Step<()> {
    let list = open(folder, &entry.file)?.ok_or_else(|| Halt::damaged(format!("{} is missing", entry.file)))?;
    let kept = meter.bounds().kept;
    let mut text = String::new();
    let limit = kept as u64 + 1;
    Raw { inner: list, meter: Rc::clone(meter) }.take(limit).read_to_string(&mut text)?;
    if text.len() > kept {
        return Err(Halt::not_proven(format!("bound reached: {} is too large", entry.file)));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(Halt::truncated(format!("{} ends in the middle of a line", entry.file)));
    }
    for line in text.lines() {
        let name = object_of(line, &entry.file)?;
        if head.algorithm == Algorithm::None {
            // Contents of a large object have no end of their own.
            let bytes = open(folder, name)?.ok_or_else(|| Halt::damaged(format!("{name} is missing")))?;
            if depth == Depth::Full {
                io::copy(&mut Raw { inner: bytes, meter: Rc::clone(meter) }, &mut io::sink())?;
            }
        } else {
            file(folder, name, head, depth, meter, seen)?;
        }
    }
    Ok(())
}
