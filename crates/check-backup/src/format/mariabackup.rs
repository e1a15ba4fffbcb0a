//! Folders of mariabackup and xtrabackup.
//!
//! The tool's own record of its end is in the files of checkpoints and information, which it writes last. Nothing lists
//! the files that must be there. Pages of InnoDB in the format `full_crc32` (MariaDB's default since 10.5) carry a
//! CRC-32C each, which is compared; files of other engines and in older formats carry none that is compared here.

use std::io::Read;
use std::rc::Rc;

use super::checksum::{Algorithm, hex};
use super::input::{Halt, Input, Meter, Raw, Step};
use super::{Depth, Folder, Inspection, LogRange, text, times};

const CHECKPOINTS: [&str; 2] = ["xtrabackup_checkpoints", "mariadb_backup_checkpoints"];
const INFORMATION: [&str; 2] = ["xtrabackup_info", "mariadb_backup_info"];
/// Longest description file that is read.
const DESCRIPTION: u64 = 64 * 1024;

/// Whether a file of this name describes the backup.
pub(super) fn describes(name: &str) -> bool {
    CHECKPOINTS.contains(&name) || INFORMATION.contains(&name)
}

/// Notes what a describing file says; true if it is the file of information and tells an end.
pub(super) fn describe(name: &str, contents: &[u8], seen: &mut Inspection) -> bool {
    let contents = String::from_utf8_lossy(contents);
    let value = |key: &str| {
        let mut lines = contents.lines().filter_map(|line| line.split_once(" = "));
        lines.find(|(name, _)| *name == key).map(|(_, value)| text(value.trim().as_bytes())).filter(|v| !v.is_empty())
    };
    if CHECKPOINTS.contains(&name) {
        seen.sort = value("backup_type");
        // `log-applied` and `full-prepared` are what --prepare makes of it.
        seen.prepared = seen.sort.as_deref().map(|sort| matches!(sort, "log-applied" | "full-prepared"));
        if let Some(from) = value("from_lsn") {
            seen.incremental = seen.incremental.or_else(|| Some(from != "0"));
            seen.log = vec![LogRange { timeline: None, from, to: value("to_lsn") }];
        }
        return false;
    }
    seen.origin.system = value("uuid");
    seen.origin.server = value("server_version");
    seen.origin.tool = match (value("tool_name"), value("tool_version")) {
        (Some(name), Some(version)) => Some(format!("{name} {version}")),
        (name, _) => name,
    };
    seen.incremental = value("incremental").map(|word| word == "Y").or(seen.incremental);
    // binlog_pos = filename 'mysql-bin.000001', position '330', GTID of the last change '0-1-5'
    seen.binlog = value("binlog_pos").and_then(|place| {
        let quoted = |key: &str| place.split_once(key)?.1.split('\'').nth(1).map(str::to_owned);
        quoted("filename ").zip(quoted("position ")?.parse().ok())
    });
    let parse = |key: &str| value(key).and_then(|when| times::parse(&when));
    times::set(parse("start_time"), &mut seen.started, &mut seen.started_local);
    times::set(parse("end_time"), &mut seen.finished, &mut seen.finished_local);
    seen.finished_local.is_some() || seen.finished.is_some()
}

/// Looks through a folder.
pub(super) fn folder(folder: &dyn Folder, depth: Depth, meter: &Rc<Meter>, seen: &mut Inspection) -> Step<String> {
    let bounds = meter.bounds();
    let mut described = [false, false];
    for (found, names) in described.iter_mut().zip([CHECKPOINTS, INFORMATION]) {
        for name in names {
            let Some(file) = open(folder, name)? else { continue };
            let mut contents = Vec::new();
            Raw { inner: file, meter: Rc::clone(meter) }.take(DESCRIPTION).read_to_end(&mut contents)?;
            *found |= describe(name, &contents, seen) || CHECKPOINTS.contains(&name);
        }
    }
    let (mut files, mut bytes, mut system, mut log) = (0_u64, 0_u64, false, false);
    let mut all = Vec::new();
    let (mut kept, mut unpaired) = (0_usize, 0_i64);
    let listed = folder.each(&mut |name, size| {
        files += 1;
        bytes = bytes.saturating_add(size);
        seen.named(name.as_bytes(), bounds.names);
        system |= matches!(name, "ibdata1" | "ibdata1.delta" | "ibdata1.qp" | "ibdata1.zst" | "ibdata1.lz4");
        log |= name.starts_with("ib_logfile0") || name.starts_with("xtrabackup_logfile");
        unpaired += i64::from(name.ends_with(".delta")) - i64::from(name.ends_with(".meta"));
        kept += name.len() + size_of::<String>();
        if kept <= bounds.kept {
            all.push(name.to_owned());
        }
    });
    listed.map_err(|error| Halt::not_proven(format!("reading failed: the folder: {error}")))?;
    (seen.counts.files, seen.counts.bytes) = (Some(files), Some(bytes));
    if described != [true, true] {
        return Err(Halt::truncated("the files of checkpoints and information, which are written last, are not there"));
    }
    if !system || !log {
        return Err(Halt::damaged("the system tablespace (ibdata1) or the log (ib_logfile0) is missing"));
    }
    if unpaired > 0 {
        return Err(Halt::damaged(format!("{unpaired} files of changes (.delta) have no description (.meta)")));
    }
    if kept > bounds.kept {
        return Err(Halt::not_proven("bound reached: too many files"));
    }
    if depth == Depth::Full {
        let (mut checked, mut unchecked) = (0_u64, None);
        for name in &all {
            let file = open(folder, name)?.ok_or_else(|| Halt::damaged(format!("{name} vanished")))?;
            let raw = Raw { inner: file, meter: Rc::clone(meter) };
            let mut input = Input::new(Box::new(raw), Rc::clone(meter), None);
            let named = |halt: Halt| Halt { why: format!("{name}: {}", halt.why), ..halt };
            if !name.ends_with(".ibd") && name != "ibdata1" {
                input.drain().map_err(named)?;
            } else if tablespace(&mut input).map_err(named)? {
                checked += 1;
            } else {
                unchecked = Some(name);
            }
        }
        if let Some(name) = unchecked.filter(|_| checked > 0) {
            // An old format, or a broken mark of the new one: which of them can't be told.
            return Err(Halt::not_proven(format!(
                "{name} does not say that its pages carry the checksums of the others"
            )));
        }
        if checked > 0 {
            seen.checked("crc32c of each InnoDB page");
        }
    }
    Ok("the tool's own record of its end is there; nothing lists the files that belong to it".to_owned())
}

fn open<'f>(folder: &'f dyn Folder, name: &str) -> Step<Option<Box<dyn Read + 'f>>> {
    folder.open(name).map_err(|error| Halt::not_proven(format!("reading failed: {name}: {error}")))
}

/// Reads a tablespace and compares the checksum of each page; false where its format has none that is known here.
///
/// In `full_crc32` the flags at byte 54 of the first page have bit 4 set and the page size in the lowest four bits; the
/// last four bytes of each page are the CRC-32C of the rest (`storage/innobase/include/fsp0types.h`).
fn tablespace(input: &mut Input<'_>) -> Step<bool> {
    let Some(flags) = input.ahead(58)?.get(54..58).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    else {
        return Err(Halt::truncated("ends within its first page"));
    };
    let size = match flags & 0x0f {
        size @ 3..=7 if flags & 0x10 != 0 => 512_usize << size,
        _ => {
            input.drain()?;
            return Ok(false);
        }
    };
    while !input.at_end()? {
        let at = input.position();
        let page = input.bytes(size)?;
        // Compressed pages say in their type how many units of 256 bytes they fill.
        let kind = page.get(24..26).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes);
        let used = if kind & 0x8000 == 0 { size } else { usize::from(kind & 0x7fff) << 8 };
        let told = used.checked_sub(4).and_then(|end| page.get(..used).map(|page| page.split_at(end)));
        let Some((body, told)) = told else {
            return Err(Halt::damaged(format!("the page at byte {at} has an impossible size")));
        };
        let mut running = Algorithm::Crc32c.start();
        running.update(body);
        let sum = running.finish();
        if sum != told && page.iter().any(|byte| *byte != 0) {
            return Err(Halt::damaged(format!("the page at byte {at} has the CRC-32C {}", hex(&sum))));
        }
    }
    Ok(true)
}
