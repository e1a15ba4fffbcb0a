//! Base backups of pg_basebackup: plain folders, folders of tar files, and one tar file.
//!
//! `backup_manifest` lists every file with its size and, unless told otherwise, a checksum; it is renamed into place
//! last and carries a checksum of itself. WAL is not in it: that its segments are there is looked at, not their records.

use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;

use super::checksum::Algorithm;
use super::input::{Halt, Input, Meter, Raw, Step};
use super::manifest::{self, Listed, Manifest, Wal};
use super::{Depth, Folder, Inspection, archive, text, times, unpack};

/// Longest backup_label that is read.
const LABEL: u64 = 16 * 1024;
/// Files that change or come after the manifest was written; pg_verifybackup passes over the same.
const APART: [&str; 5] =
    ["backup_manifest", "postgresql.auto.conf", "recovery.signal", "standby.signal", "backup_manifest.tmp"];

/// Segments of WAL that were found: name and size.
type Segments = BTreeMap<String, u64>;

/// Looks through a folder.
pub(super) fn folder(folder: &dyn Folder, depth: Depth, meter: &Rc<Meter>, seen: &mut Inspection) -> Step<String> {
    let plain = open(folder, "PG_VERSION")?.is_some();
    if plain {
        if let Some(file) = open(folder, "backup_label")? {
            label(&read(file, LABEL, meter)?, seen);
        }
        if let Some(file) = open(folder, "global/pg_control")? {
            control(&read(file, 16, meter)?, seen)?;
        }
    }
    let Some(file) = open(folder, "backup_manifest")? else {
        return Err(match open(folder, "backup_manifest.tmp")? {
            Some(_) => Halt::truncated("backup_manifest has not been put into place, which is done last"),
            None => Halt::not_proven("there is no backup_manifest: nothing lists the files that must be there"),
        });
    };
    let manifest = manifest::read(&read(file, meter.bounds().kept as u64, meter)?, seen)?;
    system(&manifest, seen)?;
    seen.counts.files = Some(manifest.files.len() as u64);
    seen.counts.bytes = Some(manifest.files.values().fold(0, |sum, file| sum.saturating_add(file.size)));
    if plain { plainly(folder, &manifest, depth, meter, seen) } else { tars(folder, manifest, depth, meter, seen) }
}

fn open<'f>(folder: &'f dyn Folder, name: &str) -> Step<Option<Box<dyn Read + 'f>>> {
    folder.open(name).map_err(|error| Halt::not_proven(format!("reading failed: {name}: {error}")))
}

fn read(file: Box<dyn Read + '_>, most: u64, meter: &Rc<Meter>) -> Step<Vec<u8>> {
    let mut bytes = Vec::new();
    Raw { inner: file, meter: Rc::clone(meter) }.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most && most > LABEL {
        return Err(Halt::not_proven(format!("bound reached: a file of more than {most} bytes has to be kept")));
    }
    Ok(bytes)
}

/// The identifier of the manifest must be the one of `pg_control`.
fn system(manifest: &Manifest, seen: &mut Inspection) -> Step<()> {
    match (&manifest.system, &seen.origin.system) {
        (Some(listed), Some(found)) if listed != found => {
            Err(Halt::damaged(format!("pg_control is of system {found}, backup_manifest of {listed}")))
        }
        (Some(listed), _) => {
            seen.origin.system = Some(listed.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Notes what `backup_label` says.
fn label(bytes: &[u8], seen: &mut Inspection) {
    let contents = String::from_utf8_lossy(bytes);
    for (key, value) in contents.lines().filter_map(|line| line.split_once(": ")) {
        match key {
            "START TIME" => times::set(times::parse(value), &mut seen.started, &mut seen.started_local),
            "BACKUP METHOD" => seen.sort = Some(text(value.as_bytes())),
            "INCREMENTAL FROM LSN" => seen.incremental = Some(true),
            _ => {}
        }
    }
    seen.incremental = seen.incremental.or(Some(false));
}

/// Notes the system identifier: the first eight bytes of `pg_control`, in the order of the machine, before the version.
fn control(bytes: &[u8], seen: &mut Inspection) -> Step<()> {
    let Some((system, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Halt::truncated("global/pg_control ends within its first bytes"));
    };
    let version = rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)).unwrap_or_default();
    // pg_control's own version is 942 for PostgreSQL 9.4 and has four digits since 10; else the order is another one.
    if (900..=9999).contains(&version) {
        seen.origin.system = Some(u64::from_le_bytes(*system).to_string());
    }
    Ok(())
}

fn apart(name: &str) -> bool {
    APART.contains(&name) || name.starts_with("pg_wal/")
}

fn segment(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
}

/// A folder as PostgreSQL would run in it.
fn plainly(
    folder: &dyn Folder,
    manifest: &Manifest,
    depth: Depth,
    meter: &Rc<Meter>,
    seen: &mut Inspection,
) -> Step<String> {
    let (mut there, mut problem, mut segments) = (0_usize, None, Segments::new());
    let listed = folder.each(&mut |name, size| {
        seen.named(name.as_bytes(), meter.bounds().names);
        if let Some(name) = name.strip_prefix("pg_wal/").filter(|name| segment(name)) {
            segments.insert(name.to_owned(), size);
        }
        match manifest.files.get(name) {
            Some(file) if file.size == size => there += 1,
            Some(_) if apart(name) => there += 1,
            Some(file) => {
                problem.get_or_insert_with(|| format!("{name} has {size} bytes, the manifest says {}", file.size));
            }
            None if apart(name) => {}
            None => {
                problem.get_or_insert_with(|| format!("{name} is not in the manifest"));
            }
        }
    });
    listed.map_err(|error| Halt::not_proven(format!("reading failed: the folder: {error}")))?;
    if let Some(problem) = problem {
        return Err(Halt::damaged(problem));
    }
    if there != manifest.files.len() {
        return Err(Halt::damaged(format!("{} files of the manifest are missing", manifest.files.len() - there)));
    }
    let mut unchecked = 0_u64;
    if depth == Depth::Full {
        for (name, listed) in manifest.files.iter().filter(|(name, _)| !apart(name)) {
            let file = open(folder, name)?.ok_or_else(|| Halt::damaged(format!("{name} is missing")))?;
            let raw = Raw { inner: file, meter: Rc::clone(meter) };
            let mut input = Input::new(Box::new(raw), Rc::clone(meter), None);
            unchecked += u64::from(!compare(&mut input, name, listed)?);
            if !input.at_end()? {
                return Err(Halt::damaged(format!("{name} is longer than the manifest says")));
            }
        }
        agreed(unchecked, seen);
    }
    wal(&manifest.wal, &segments)?;
    let read = if depth == Depth::Full { "its files were read" } else { "contents were not read" };
    Ok(format!("the manifest agrees with itself and with names and sizes of all files; {read}"))
}

fn agreed(unchecked: u64, seen: &mut Inspection) {
    if unchecked == 0 {
        seen.checked("checksum of each file in the manifest");
    }
}

/// Reads a file to the size that is listed and compares its checksum; false where none is listed.
fn compare(input: &mut Input<'_>, name: &str, listed: &Listed) -> Step<bool> {
    let named = |halt: Halt| Halt { why: format!("{name}: {}", halt.why), ..halt };
    let Some((algorithm, told)) = &listed.checksum else {
        input.pass(listed.size).map_err(named)?;
        return Ok(false);
    };
    let mut running = algorithm.start();
    input.each(listed.size, |piece| running.update(piece)).map_err(named)?;
    if &running.finish() != told {
        return Err(Halt::damaged(format!("{name} does not have the checksum of the manifest")));
    }
    Ok(true)
}

/// Whether all segments of the needed WAL are there, whole.
fn wal(needed: &[Wal], segments: &Segments) -> Step<()> {
    if needed.is_empty() {
        return Err(Halt::damaged("backup_manifest names no WAL"));
    }
    let Some(size) = segments.values().next().copied() else {
        return Err(Halt::not_proven(super::WAL_ELSEWHERE));
    };
    if !size.is_power_of_two() || !((1 << 20)..=(1 << 30)).contains(&size) {
        return Err(Halt::damaged(format!("a segment of WAL has {size} bytes")));
    }
    for range in needed {
        let last = range.end.saturating_sub(1).max(range.start) / size;
        let per_log = (1_u64 << 32) / size;
        for number in range.start / size..=last {
            let name = format!("{:08X}{:08X}{:08X}", range.timeline, number / per_log, number % per_log);
            match segments.get(&name) {
                Some(found) if *found == size => {}
                Some(found) => return Err(Halt::damaged(format!("pg_wal/{name} has {found} bytes, not {size}"))),
                None => return Err(Halt::damaged(format!("pg_wal/{name} is missing"))),
            }
        }
    }
    Ok(())
}

/// A folder of tar files: `base.tar`, one for each tablespace, `pg_wal.tar`, each perhaps compressed.
fn tars(
    folder: &dyn Folder,
    manifest: Manifest,
    depth: Depth,
    meter: &Rc<Meter>,
    seen: &mut Inspection,
) -> Step<String> {
    let mut names = Vec::new();
    let listed = folder.each(&mut |name, _| {
        if !name.contains('/') && names.len() < 10_000 && name.split('.').nth(1) == Some("tar") {
            names.push(name.to_owned());
        }
    });
    listed.map_err(|error| Halt::not_proven(format!("reading failed: the folder: {error}")))?;
    let has = |stem: &str| names.iter().any(|name| name.split('.').next() == Some(stem));
    if !has("base") {
        return Err(Halt::damaged("base.tar is missing"));
    }
    let tablespaces = manifest.files.keys().filter_map(|path| path.strip_prefix("pg_tblspc/")?.split('/').next());
    for tablespace in tablespaces {
        if !has(tablespace) {
            return Err(Halt::damaged(format!("{tablespace}.tar of a tablespace is missing")));
        }
    }
    if !has("pg_wal") && depth == Depth::Head {
        wal(&manifest.wal, &Segments::new())?;
    }
    if depth == Depth::Head {
        return Ok("the manifest agrees with itself and every tar file is there; they were not read".to_owned());
    }
    let Manifest { mut files, wal: needed, system: told } = manifest;
    let (mut segments, mut unchecked) = (Segments::new(), 0_u64);
    // Of the tar files only the base shows what stands at the top of the backup.
    let (counts, mut tops) = (seen.counts, Vec::new());
    for name in &names {
        let stem = name.split('.').next().unwrap_or_default();
        let prefix = if stem == "base" { String::new() } else { format!("pg_tblspc/{stem}/") };
        let file = open(folder, name)?.ok_or_else(|| Halt::damaged(format!("{name} vanished")))?;
        let raw = Raw { inner: file, meter: Rc::clone(meter) };
        let mut input = Input::new(Box::new(raw), Rc::clone(meter), None);
        let result = unpack::through(&mut input, depth, seen, |input, seen| {
            archive::entries(input, depth, seen, &mut |path, size, input, seen| {
                let path = String::from_utf8_lossy(path).into_owned();
                if stem == "pg_wal" {
                    if segment(&path) {
                        segments.insert(path, size);
                    }
                    return Ok(());
                }
                let path = format!("{prefix}{path}");
                look(&path, size, input, seen)?;
                let Some(listed) = files.remove(&path) else {
                    return if apart(&path) { Ok(()) } else { Err(stranger(&path)) };
                };
                if apart(&path) {
                    return Ok(());
                }
                if listed.size != size {
                    return Err(Halt::damaged(format!("{path} has {size} bytes, the manifest says {}", listed.size)));
                }
                unchecked += u64::from(!compare(input, &path, &listed)?);
                Ok(())
            })
        });
        result.map_err(|halt| Halt { why: format!("{name}: {}", halt.why), ..halt })?;
        if stem == "base" {
            tops = std::mem::take(&mut seen.names);
        }
    }
    (seen.counts, seen.names) = (counts, tops);
    if let Some(first) = files.keys().next() {
        return Err(Halt::damaged(format!("{} files of the manifest are missing, the first is {first}", files.len())));
    }
    agreed(unchecked, seen);
    system(&Manifest { system: told, ..Manifest::default() }, seen)?;
    wal(&needed, &segments)?;
    Ok("the manifest agrees with itself and with all files in the tar files, which were read".to_owned())
}

fn stranger(path: &str) -> Halt {
    Halt::damaged(format!("{path} is not in the manifest"))
}

/// Looks ahead into the small files of a tar that say which copy it is, and consumes nothing.
fn look(path: &str, size: u64, input: &mut Input<'_>, seen: &mut Inspection) -> Step<()> {
    let size = usize::try_from(size.min(LABEL)).unwrap_or_default();
    match path {
        "backup_label" => label(input.ahead(size)?, seen),
        "global/pg_control" => control(input.ahead(size.min(16))?, seen)?,
        _ => {}
    }
    Ok(())
}

/// One tar file: `base.tar` by itself, or the whole backup as it is written to standard output, manifest included.
pub(super) fn archive(input: &mut Input<'_>, depth: Depth, seen: &mut Inspection) -> Step<String> {
    let bounds = input.meter().bounds();
    let mut found: BTreeMap<String, (u64, Vec<u8>)> = BTreeMap::new();
    let (mut kept, mut manifest, mut segments) = (0_usize, None, Segments::new());
    let how = archive::entries(input, depth, seen, &mut |path, size, input, seen| {
        let path = String::from_utf8_lossy(path).into_owned();
        if path == "backup_manifest" {
            let size = usize::try_from(size).ok().filter(|size| *size <= bounds.kept);
            let size = size.ok_or_else(|| Halt::not_proven("bound reached: backup_manifest is too large"))?;
            manifest = Some(input.bytes(size)?);
            return Ok(());
        }
        if let Some(name) = path.strip_prefix("pg_wal/").filter(|name| segment(name)) {
            segments.insert(name.to_owned(), size);
        }
        look(&path, size, input, seen)?;
        // Which checksum the manifest uses is known only after all files: the default one is taken of each.
        let mut running = Algorithm::Crc32c.start();
        if depth == Depth::Full {
            input.each(size, |piece| running.update(piece))?;
        }
        kept += path.len() + 128;
        if kept > bounds.kept {
            return Err(Halt::not_proven("bound reached: too many files"));
        }
        found.insert(path, (size, running.finish()));
        Ok(())
    })?;
    let Some(manifest) = manifest else {
        return Err(Halt::not_proven(format!("no backup_manifest is in it: nothing lists its files; else {how}")));
    };
    let manifest = manifest::read(&manifest, seen)?;
    system(&manifest, seen)?;
    if let Some(path) = found.keys().find(|path| !manifest.files.contains_key(*path) && !apart(path)) {
        return Err(stranger(path));
    }
    let mut other = 0_u64;
    for (path, listed) in &manifest.files {
        let Some((size, sum)) = found.get(path) else {
            return Err(Halt::damaged(format!("{path} of the manifest is missing")));
        };
        if *size != listed.size && !apart(path) {
            return Err(Halt::damaged(format!("{path} has {size} bytes, the manifest says {}", listed.size)));
        }
        match &listed.checksum {
            Some((Algorithm::Crc32c, told)) if depth == Depth::Full && told != sum && !apart(path) => {
                return Err(Halt::damaged(format!("{path} does not have the checksum of the manifest")));
            }
            Some((Algorithm::Crc32c, _)) => {}
            _ => other += 1,
        }
    }
    if depth == Depth::Full && other > 0 {
        return Err(Halt::not_proven("all files are there, but checksums that are not CRC32C need the files unpacked"));
    }
    if depth == Depth::Full {
        agreed(0, seen);
    }
    wal(&manifest.wal, &segments)?;
    Ok(format!("the manifest agrees with itself and with all files in it; {how}"))
}
