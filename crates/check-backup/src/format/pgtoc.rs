//! The head and the table of contents that pg_dump's custom, directory and tar formats share (PostgreSQL,
//! `src/bin/pg_dump/pg_backup_archiver.c`: `ReadHead`, `ReadToc`), versions 1.12 (PostgreSQL 9.0) to 1.16 (17).

use super::input::{Halt, Input, Step};
use super::{Inspection, text, times};

/// Text of the table of contents that is kept; longer ones, such as function bodies, are passed over.
const KEPT: usize = 1024;

/// How data is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    None,
    Gzip,
    Lz4,
    Zstd,
}

/// What the head says.
#[derive(Debug, Clone)]
pub(super) struct Head {
    version: (u8, u8),
    int_size: u8,
    offset_size: u8,
    /// 1 custom, 3 tar and directory.
    pub(super) format: u8,
    pub(super) algorithm: Algorithm,
}

/// One entry that carries data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) id: i64,
    /// Where its data stands in a custom dump; none where it was written to a pipe.
    pub(super) offset: Option<u64>,
    /// The file of its data in a directory or tar dump.
    pub(super) file: String,
    pub(super) description: String,
}

impl Head {
    /// Reads a number: a byte for the sign, then the magnitude, least significant byte first.
    pub(super) fn int(&self, input: &mut Input<'_>) -> Step<i64> {
        let sign = input.byte()?;
        let magnitude = little(&input.bytes(usize::from(self.int_size))?);
        let magnitude = magnitude.and_then(|value| i64::try_from(value).ok());
        match (sign, magnitude) {
            (0, Some(magnitude)) if magnitude <= i64::from(i32::MAX) => Ok(magnitude),
            (1, Some(magnitude)) if (1..=i64::from(i32::MAX) + 1).contains(&magnitude) => Ok(-magnitude),
            _ => Err(Halt::damaged(format!("there is no number before byte {}", input.position()))),
        }
    }

    /// Reads a text; none where it is null. What is longer than is kept is cut.
    fn string(&self, input: &mut Input<'_>) -> Step<Option<String>> {
        let length = self.int(input)?;
        let Ok(length) = u64::try_from(length) else { return Ok(None) };
        let mut kept = Vec::new();
        input.each(length, |piece| {
            let space = KEPT.saturating_sub(kept.len()).min(piece.len());
            kept.extend_from_slice(piece.get(..space).unwrap_or_default());
        })?;
        Ok(Some(String::from_utf8_lossy(&kept).into_owned()))
    }

    /// The list of large objects in a tar dump, whatever file the entry names.
    pub(super) fn list_of_objects(&self, id: i64) -> String {
        // Since version 17 there are several groups of them.
        if self.version >= (1, 16) { format!("blobs_{id}.toc") } else { "blobs.toc".to_owned() }
    }

    fn strings(&self, input: &mut Input<'_>, count: usize) -> Step<()> {
        for _ in 0..count {
            self.string(input)?;
        }
        Ok(())
    }
}

fn little(bytes: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for byte in bytes.iter().rev() {
        value = value.checked_mul(256)?.checked_add(u64::from(*byte))?;
    }
    Some(value)
}

/// Reads the head. Notes database, versions and time of creation.
pub(super) fn head(input: &mut Input<'_>, seen: &mut Inspection) -> Step<Head> {
    let names = input.meter().bounds().names;
    if &input.array::<5>()? != b"PGDMP" {
        return Err(Halt::damaged("does not begin with PGDMP"));
    }
    let [major, minor, _revision, int_size, offset_size, format] = input.array::<6>()?;
    if major != 1 || !(12..=16).contains(&minor) {
        return Err(Halt::not_proven(format!("archive version {major}.{minor} is not known here (1.12 to 1.16 are)")));
    }
    if !(4..=8).contains(&int_size) || !(4..=8).contains(&offset_size) {
        return Err(Halt::damaged(format!("sizes of numbers are impossible: {int_size} and {offset_size}")));
    }
    let mut head = Head { version: (major, minor), int_size, offset_size, format, algorithm: Algorithm::None };
    head.algorithm = if head.version >= (1, 15) {
        match input.byte()? {
            0 => Algorithm::None,
            1 => Algorithm::Gzip,
            2 => Algorithm::Lz4,
            3 => Algorithm::Zstd,
            other => return Err(Halt::damaged(format!("compression {other} does not exist"))),
        }
    } else if head.int(input)? == 0 {
        Algorithm::None
    } else {
        Algorithm::Gzip
    };
    let mut tm = [0; 7];
    for field in &mut tm {
        *field = head.int(input)?;
    }
    let [second, minute, hour, day, month, year, _daylight] = tm;
    // struct tm counts months from 0 and years from 1900; it is local time and the zone is not stored.
    seen.started_local = times::civil(year.saturating_add(1900), month.saturating_add(1), day, hour, minute, second);
    if seen.started_local.is_none() {
        return Err(Halt::damaged("the time of creation is no date"));
    }
    if let Some(database) = head.string(input)? {
        seen.database(&database, names);
    }
    seen.origin.server = head.string(input)?.map(|version| text(format!("PostgreSQL {version}").as_bytes()));
    seen.origin.tool = head.string(input)?.map(|version| text(format!("pg_dump {version}").as_bytes()));
    Ok(head)
}

/// Reads the table of contents; gives the entries that carry data.
pub(super) fn contents(input: &mut Input<'_>, head: &Head, seen: &mut Inspection) -> Step<Vec<Filled>> {
    let bounds = input.meter().bounds();
    let count = head.int(input)?;
    if !(0..=i64::try_from(bounds.entries).unwrap_or(i64::MAX)).contains(&count) {
        return Err(Halt::not_proven(format!("bound reached: {count} entries in the table of contents")));
    }
    let (mut objects, mut kept, mut filled) = (0_u64, 0_usize, Vec::new());
    for _ in 0..count {
        let (listed, entry) = entry(input, head)?;
        objects += u64::from(listed);
        if let Some(entry) = entry {
            kept += size_of::<Filled>() + entry.file.len() + entry.description.len();
            if kept > bounds.kept {
                return Err(Halt::not_proven("bound reached: the table of contents is too large to be kept"));
            }
            filled.push(entry);
        }
    }
    seen.counts.objects = Some(objects);
    seen.counts.filled = Some(filled.len() as u64);
    Ok(filled)
}

/// One entry: whether `pg_restore -l` lists it, and what carries data.
fn entry(input: &mut Input<'_>, head: &Head) -> Step<(bool, Option<Filled>)> {
    let id = head.int(input)?;
    if id <= 0 {
        return Err(Halt::damaged(format!("entry number {id} in the table of contents")));
    }
    head.int(input)?; // hadDumper
    head.strings(input, 3)?; // tableoid, oid, tag
    let description = head.string(input)?.unwrap_or_default();
    let section = head.int(input)?;
    if !(1..=4).contains(&section) {
        return Err(Halt::damaged(format!("entry {id} is in section {section}, which does not exist")));
    }
    head.strings(input, 5)?; // defn, dropStmt, copyStmt, namespace, tablespace
    if head.version >= (1, 14) {
        head.string(input)?; // tableam
    }
    if head.version >= (1, 16) {
        head.int(input)?; // relkind
    }
    head.strings(input, 2)?; // owner, withOids
    while head.string(input)?.is_some() {} // dependencies
    // Settings and the database itself are no objects of it.
    let listed =
        !matches!(description.as_str(), "ENCODING" | "STDSTRINGS" | "SEARCHPATH" | "DATABASE" | "DATABASE PROPERTIES");
    let mut entry = Filled { id, offset: None, file: String::new(), description };
    if head.format == 1 {
        let state = input.byte()?;
        let offset = little(&input.bytes(usize::from(head.offset_size))?);
        match state {
            1 => {}
            2 => entry.offset = offset,
            3 => return Ok((listed, None)),
            other => return Err(Halt::damaged(format!("entry {id} has offset state {other}, which does not exist"))),
        }
    } else {
        entry.file = head.string(input)?.unwrap_or_default();
        if entry.file.is_empty() {
            return Ok((listed, None));
        }
    }
    Ok((listed, Some(entry)))
}
