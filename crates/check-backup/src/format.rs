//! Readers of the formats that backups are kept in: streaming, bounded, and without a judgement.
//!
//! A reader is given bytes, never a path, and says what it saw in them: times and names that stand *inside* the
//! payload, counts, and how it ended. Memory is bounded whatever the payload says of itself: one block of 64 kB for each
//! layer, the windows of the decoders (xz and zstd at most 128 MB), and what [`Bounds::kept`] allows.
//!
//! `complete` means: the format's own end was reached and everything that it protects by checksums agrees, as far as
//! `depth` looked. What no checksum protects can't be proven: [`Inspection::checked_by`] names what there was. Plain SQL,
//! tar and uncompressed dumps of PostgreSQL carry none over their contents.

mod archive;
mod checksum;
mod detect;
mod input;
mod manifest;
mod mariabackup;
mod pgbase;
mod pgdump;
mod pgtoc;
mod rdb;
mod sql;
#[cfg(test)]
mod tests;
mod times;
mod unpack;
mod xbstream;
mod zip;

use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

pub(crate) use checksum::crc32;
pub use detect::{Detected, Format, Packing, Seal, detect};

use input::{Halt, Input, Jumping, Meter, Raw, Step};

/// Text from a payload is cut to so many characters.
const TEXT: usize = 256;

/// What [`Inspection::why`] says of a base backup in which everything was found but the WAL that it needs.
pub const WAL_ELSEWHERE: &str = "the WAL that it needs is not in it: it has to come from the archive";

/// How a payload ended, as far as it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The format's own end was reached, and all checksums that were read agree.
    Complete,
    /// Bytes are missing at the end.
    Truncated,
    /// Bytes break the format or a checksum, or files that must be there are not.
    Damaged,
    /// Nothing was shown: a bound was reached, reading failed, the contents are encrypted, or the variant is unknown.
    NotProven,
}

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What is cheap: headers, tables of contents, trailers. Contents are jumped over. Of a compressed payload, and of a
    /// stream, no more than the first megabyte is looked at, so that its end is seen only where it is shorter.
    Head,
    /// Every byte: everything is unpacked, every checksum compared.
    Full,
}

/// Limits of one inspection. What reaches one is *not proven*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes read from the payload as it lies there.
    pub read: u64,
    /// Bytes that decoders make of it.
    pub unpacked: u64,
    /// Unpacked bytes for each byte read, beyond the first 16 MiB.
    pub ratio: u64,
    /// Entries, files, keys or records.
    pub entries: u64,
    /// Bytes kept in memory: tables of contents, manifests, sets of names. Each in turn, not together.
    pub kept: usize,
    /// Names listed in the result.
    pub names: usize,
}

impl Default for Bounds {
    /// 1 TiB read, 4 TiB unpacked, 4000 times, 50 million entries, 64 MiB kept, 64 names.
    fn default() -> Self {
        Self { read: 1 << 40, unpacked: 4 << 40, ratio: 4000, entries: 50_000_000, kept: 64 << 20, names: 64 }
    }
}

/// Which copy it is, in the payload's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The machine it was taken from.
    pub host: Option<String>,
    /// Databases in it.
    pub databases: Vec<String>,
    /// What names the database cluster for good: PostgreSQL's system identifier, the uuid of a mariabackup run.
    pub system: Option<String>,
    /// The server that was read.
    pub server: Option<String>,
    /// The program that wrote it, with its version.
    pub tool: Option<String>,
}

/// What was counted; none where this format or depth does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Database objects: what `pg_restore -l` lists, objects and statements of creation in SQL.
    pub objects: Option<u64>,
    /// Objects that carry data: tables with contents, large objects together.
    pub filled: Option<u64>,
    /// Rows, where they can be told apart: PostgreSQL's COPY in plain SQL.
    pub rows: Option<u64>,
    /// INSERT statements of plain SQL; one may hold many rows.
    pub inserts: Option<u64>,
    /// Keys of Redis.
    pub keys: Option<u64>,
    /// Files, without directories and links.
    pub files: Option<u64>,
    /// Bytes of contents, unpacked, as the format counts them.
    pub bytes: Option<u64>,
}

/// A stretch of a database's log that the copy needs or holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// PostgreSQL's timeline.
    pub timeline: Option<u32>,
    /// Where it begins: `0/2000028`, or InnoDB's decimal number.
    pub from: String,
    /// Where it ends; none where the copy does not say.
    pub to: Option<String>,
}

/// What was seen in one payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The innermost format that was recognised.
    pub format: Format,
    /// The compression around it.
    pub packing: Option<Packing>,
    /// The encryption around it, or of entries in it. None means that no known one is visible.
    pub seal: Option<Seal>,
    /// When the copy was begun, from inside the payload, RFC 3339 in UTC.
    pub started: Option<String>,
    /// When it was ended.
    pub finished: Option<String>,
    /// When it was begun, where the payload tells no offset: civil time of the machine that wrote it, and its abbreviation
    /// of the zone where there is one (`2026-11-24T13:55:58 CET`).
    pub started_local: Option<String>,
    /// When it was ended, in such civil time.
    pub finished_local: Option<String>,
    /// The newest time of modification of a file inside; such times can be set at will.
    pub newest: Option<String>,
    /// Which copy it is.
    pub origin: Origin,
    /// What was counted.
    pub counts: Counts,
    /// The tool's word for the sort of copy: `full-backuped`, `incremental`, …
    pub sort: Option<String>,
    /// Whether the copy needs earlier ones to be restored; none where the format does not tell.
    pub incremental: Option<bool>,
    /// Whether mariabackup's log was applied already.
    pub prepared: Option<bool>,
    /// Stretches of log that belong to it.
    pub log: Vec<LogRange>,
    /// Where in the binary log of MariaDB or MySQL it was taken: the file's name, and the place in it.
    pub binlog: Option<(String, u64)>,
    /// Of the paths that were asked for, those under which at least one file was seen; see [`inspect_for`]. They are
    /// compared without a slash in front.
    pub held: Vec<String>,
    /// Those that no file was seen under.
    unseen: Vec<String>,
    /// Top-level names inside, at most [`Bounds::names`]; a `…` at the end says that there are more.
    pub names: Vec<String>,
    /// Checksums that were compared and agreed: `crc64 of the file`, `adler32 of each table`. Empty: nothing protects
    /// the contents, or nothing was compared.
    pub checked_by: Vec<String>,
    /// Bytes read from the payload.
    pub read: u64,
    /// Bytes that decoders made of them.
    pub unpacked: u64,
    /// How it ended.
    pub ended: Ended,
    /// How that was established, or what stands in the way.
    pub why: String,
}

impl Inspection {
    fn new(format: Format) -> Self {
        Self {
            format,
            packing: None,
            seal: None,
            started: None,
            finished: None,
            started_local: None,
            finished_local: None,
            newest: None,
            origin: Origin::default(),
            counts: Counts::default(),
            sort: None,
            incremental: None,
            prepared: None,
            log: Vec::new(),
            binlog: None,
            held: Vec::new(),
            unseen: Vec::new(),
            names: Vec::new(),
            checked_by: Vec::new(),
            read: 0,
            unpacked: 0,
            ended: Ended::NotProven,
            why: String::new(),
        }
    }

    fn end(mut self, result: Step<String>, meter: &Meter) -> Self {
        (self.ended, self.why) = match result {
            Ok(how) => (Ended::Complete, how),
            Err(halt) => (halt.ended, halt.why),
        };
        self.read = meter.read();
        self.unpacked = meter.unpacked();
        self
    }

    /// Notes a checksum that agreed, once.
    fn checked(&mut self, what: &str) {
        if !self.checked_by.iter().any(|known| known == what) {
            self.checked_by.push(what.to_owned());
        }
    }

    /// Notes a top-level name, once, up to the bound.
    fn named(&mut self, path: &[u8], most: usize) {
        let path = path.strip_prefix(b"./").unwrap_or(path);
        let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
        let name = text(first);
        if name.is_empty() || self.names.last().is_some_and(|last| last == "…") || self.names.contains(&name) {
            return;
        }
        self.names.push(if self.names.len() < most { name } else { "…".to_owned() });
    }

    /// Notes a file, if it lies under a path that was asked for.
    fn file(&mut self, path: &[u8]) {
        if self.unseen.is_empty() {
            return;
        }
        let path = rootless(path);
        let under = |wanted: &str| {
            let rest = path.strip_prefix(rootless(wanted.as_bytes()));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || rest.len() == path.len())
        };
        let held = self.unseen.extract_if(.., |wanted| under(wanted));
        self.held.extend(held);
    }

    /// Notes the database, once, up to the bound.
    fn database(&mut self, name: &str, most: usize) {
        let name = text(name.as_bytes());
        if self.origin.databases.len() < most && !self.origin.databases.contains(&name) {
            self.origin.databases.push(name);
        }
    }
}

/// A path without what stands for the root or for the folder that one is in.
fn rootless(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"./").or_else(|| path.strip_prefix(b"/")) {
        path = rest;
    }
    match path.split_last() {
        Some((b'/', rest)) => rest,
        _ if path == b"." => &[],
        _ => path,
    }
}

/// Text from a payload: valid UTF-8 and short.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.get(..TEXT * 4).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).chars().take(TEXT).collect()
}

/// Inspects one payload. `kind` says what is expected: another format then is *not proven*. None takes what is there.
///
/// An error of the reader itself (also one that the caller makes to keep a deadline) ends as *not proven*.
pub fn inspect<R: Read + Seek>(kind: Option<Format>, reader: R, depth: Depth, bounds: Bounds) -> Inspection {
    inspect_for(kind, reader, depth, bounds, &[])
}

/// As [`inspect`]; [`Inspection::held`] then tells which of these paths at least one file inside an archive lies under.
pub fn inspect_for<R: Read + Seek>(
    kind: Option<Format>,
    mut reader: R,
    depth: Depth,
    bounds: Bounds,
    wanted: &[String],
) -> Inspection {
    let length = reader.seek(SeekFrom::End(0)).and_then(|length| reader.seek(SeekFrom::Start(0)).map(|_| length));
    let meter = Meter::new(bounds);
    let length = match length {
        Ok(length) => length,
        Err(error) => {
            let halt = Halt::not_proven(format!("reading failed: {error}"));
            return Inspection::new(kind.unwrap_or(Format::Unknown)).end(Err(halt), &meter);
        }
    };
    let raw = Jumping(Raw { inner: reader, meter: Rc::clone(&meter) });
    walk(kind, Input::new(Box::new(raw), meter, Some(length)), depth, wanted)
}

/// Inspects one payload that can't be jumped in, such as the output of a command or an object in a store. Formats whose
/// directory stands at the end (zip) need [`inspect`].
pub fn inspect_stream<R: Read>(kind: Option<Format>, reader: R, depth: Depth, bounds: Bounds) -> Inspection {
    let meter = Meter::new(bounds);
    let shown = unpack::Glimpse { inner: reader, left: unpack::glimpse(depth), what: "a stream" };
    let raw = Raw { inner: shown, meter: Rc::clone(&meter) };
    walk(kind, Input::new(Box::new(raw), meter, None), depth, &[])
}

/// A folder that holds one copy: the directory format of pg_dump, pg_basebackup, mariabackup. Names are relative, with
/// slashes. Whoever implements it must not follow links out of the folder.
pub trait Folder {
    /// Shows every regular file below the folder with its size.
    fn each(&self, show: &mut dyn FnMut(&str, u64)) -> io::Result<()>;

    /// Opens a file; none if there is no such file.
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>>;
}

/// Inspects a folder that holds one copy.
pub fn inspect_folder(kind: Option<Format>, folder: &dyn Folder, depth: Depth, bounds: Bounds) -> Inspection {
    let meter = Meter::new(bounds);
    let format = match detect::detect_folder(folder) {
        Ok(format) => format,
        Err(halt) => return Inspection::new(kind.unwrap_or(Format::Unknown)).end(Err(halt), &meter),
    };
    let mut seen = Inspection::new(format);
    let result = expected(kind, format).and_then(|()| match format {
        Format::PgDumpDirectory => pgdump::directory(folder, depth, &meter, &mut seen),
        Format::PgBasebackup => pgbase::folder(folder, depth, &meter, &mut seen),
        Format::Mariabackup => mariabackup::folder(folder, depth, &meter, &mut seen),
        _ => Err(Halt::not_proven("the folder holds none of the marks of pg_dump, pg_basebackup or mariabackup")),
    });
    seen.end(result, &meter)
}

/// Looks through a folder of plain files: what is in it; nothing in it says whether that is all.
pub fn inspect_plain(folder: &dyn Folder, bounds: Bounds, wanted: &[String]) -> Inspection {
    let meter = Meter::new(bounds);
    let mut seen = Inspection { unseen: wanted.to_vec(), ..Inspection::new(Format::Folder) };
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let listed = folder.each(&mut |name, size| {
        files += 1;
        bytes = bytes.saturating_add(size);
        seen.named(name.as_bytes(), bounds.names);
        seen.file(name.as_bytes());
    });
    let why = match listed {
        Ok(()) => {
            (seen.counts.files, seen.counts.bytes) = (Some(files), Some(bytes));
            "a folder of plain files does not say what belongs into it".to_owned()
        }
        Err(error) => format!("reading failed: {error}"),
    };
    seen.end(Err(Halt::not_proven(why)), &meter)
}

fn expected(kind: Option<Format>, found: Format) -> Step<()> {
    match kind {
        Some(kind) if kind != found => {
            Err(Halt::not_proven(format!("{} was expected, this is {}", kind.name(), found.name())))
        }
        _ => Ok(()),
    }
}

/// Walks through a payload, through one compression if there is one.
fn walk(kind: Option<Format>, mut input: Input<'_>, depth: Depth, wanted: &[String]) -> Inspection {
    let meter = Rc::clone(input.meter());
    let mut seen = Inspection { unseen: wanted.to_vec(), ..Inspection::new(Format::Unknown) };
    let result = unpack::layers(kind, &mut input, depth, &mut seen);
    seen.end(result, &meter)
}

/// Walks through the contents in their format. Says how their end was proven.
fn contents(format: Format, input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    match format {
        Format::PgDumpCustom => pgdump::custom(input, depth, seen),
        Format::PgDumpSql | Format::PgDumpall | Format::MysqlDump => sql::walk(input, depth, seen),
        Format::RedisRdb => rdb::walk(input, depth, seen),
        Format::Tar | Format::PgDumpTar | Format::PgBasebackup => archive::walk(input, depth, seen),
        Format::Zip => zip::walk(input, depth, seen),
        Format::Xbstream => xbstream::walk(input, depth, seen),
        Format::PgDumpDirectory | Format::Mariabackup | Format::Folder | Format::Unknown => {
            Err(Halt::not_proven("the contents are of no known format"))
        }
    }
}
