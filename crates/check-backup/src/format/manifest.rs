//! `backup_manifest` of pg_basebackup (PostgreSQL manual, "Backup Manifest Format"), versions 1 and 2.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::checksum::{Algorithm, hex};
use super::input::{Halt, Step};
use super::{Inspection, LogRange, text, times};

/// A file as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) size: u64,
    /// None where the backup was told to write no checksums.
    pub(super) checksum: Option<(Algorithm, Vec<u8>)>,
}

/// A stretch of WAL that the backup needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wal {
    pub(super) timeline: u32,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What a manifest lists, after its own checksum was compared.
#[derive(Debug, Clone, Default)]
pub(super) struct Manifest {
    pub(super) files: BTreeMap<String, Listed>,
    pub(super) wal: Vec<Wal>,
    pub(super) system: Option<String>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(rename = "PostgreSQL-Backup-Manifest-Version")]
    version: u32,
    #[serde(rename = "System-Identifier")]
    system: Option<u64>,
    #[serde(rename = "Files", borrow)]
    files: Vec<WrittenFile<'a>>,
    #[serde(rename = "WAL-Ranges")]
    wal: Vec<WrittenWal>,
}

#[derive(Deserialize)]
struct WrittenFile<'a> {
    #[serde(rename = "Path")]
    path: Option<String>,
    #[serde(rename = "Encoded-Path")]
    encoded: Option<&'a str>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Last-Modified")]
    modified: Option<&'a str>,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<&'a str>,
    #[serde(rename = "Checksum")]
    checksum: Option<&'a str>,
}

#[derive(Deserialize)]
struct WrittenWal {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

/// Reads a manifest. Notes the newest file, the stretches of WAL and the system identifier.
pub(super) fn read(bytes: &[u8], seen: &mut Inspection) -> Step<Manifest> {
    let mark = b"\n\"Manifest-Checksum\": \"";
    let at = bytes.windows(mark.len()).rposition(|window| window == mark);
    let cut = || Halt::truncated("backup_manifest ends without its own checksum, which is written last");
    let (covered, last) = at.and_then(|at| bytes.split_at_checked(at + 1)).ok_or_else(cut)?;
    let told = last.get(mark.len() - 1..).and_then(|rest| rest.split_at_checked(64)).ok_or_else(cut)?;
    if told.1 != b"\"}\n" {
        return Err(if b"\"}\n".starts_with(told.1) {
            cut()
        } else {
            Halt::damaged("backup_manifest has a broken end")
        });
    }
    let mut running = Algorithm::Sha256.start();
    running.update(covered);
    let sum = hex(&running.finish());
    if sum.as_bytes() != told.0 {
        return Err(Halt::damaged(format!("backup_manifest has the SHA-256 {sum}, it says {}", text(told.0))));
    }
    seen.checked("sha256 of the manifest");
    let written: Written<'_> =
        serde_json::from_slice(bytes).map_err(|error| Halt::damaged(format!("backup_manifest: {error}")))?;
    if !(1..=2).contains(&written.version) {
        return Err(Halt::not_proven(format!("backup_manifest of version {} is not known here", written.version)));
    }
    let mut manifest = Manifest { system: written.system.map(|number| number.to_string()), ..Manifest::default() };
    let mut newest = None;
    for file in written.files {
        newest = newest.max(file.modified.map(str::to_owned));
        let (path, listed) = listed(file)?;
        manifest.files.insert(path, listed);
    }
    if let Some(times::When::Instant(instant)) = newest.as_deref().and_then(times::parse) {
        seen.newest = Some(instant);
    }
    for range in written.wal {
        let number = |lsn: &str| lsn_of(lsn).ok_or_else(|| Halt::damaged("backup_manifest has a broken WAL position"));
        let wal = Wal { timeline: range.timeline, start: number(&range.start)?, end: number(&range.end)? };
        manifest.wal.push(wal);
        seen.log.push(LogRange { timeline: Some(range.timeline), from: range.start, to: Some(range.end) });
    }
    Ok(manifest)
}

fn listed(file: WrittenFile<'_>) -> Step<(String, Listed)> {
    let path = match (file.path, file.encoded) {
        (Some(path), _) => path,
        // A name that is not UTF-8, in hexadecimal; readers show such names in the same lossy way.
        (None, Some(encoded)) => {
            let bytes = unhex(encoded).ok_or_else(|| Halt::damaged("backup_manifest has a broken Encoded-Path"))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        (None, None) => return Err(Halt::damaged("backup_manifest lists a file without a path")),
    };
    let checksum = match (file.algorithm, file.checksum) {
        (None | Some("NONE"), _) => None,
        (Some(name), Some(digits)) => {
            let algorithm = Algorithm::named(name).ok_or_else(|| {
                Halt::not_proven(format!("checksums by {} are not known here", text(name.as_bytes())))
            })?;
            let mut value = unhex(digits).ok_or_else(|| Halt::damaged("backup_manifest has a broken checksum"))?;
            if algorithm == Algorithm::Crc32c {
                // Written as its bytes lie in memory of a little-endian machine.
                value.reverse();
            }
            Some((algorithm, value))
        }
        (Some(_), None) => return Err(Halt::damaged("backup_manifest lists a file without its checksum")),
    };
    Ok((path, Listed { size: file.size, checksum }))
}

/// `0/2000028` as a number.
fn lsn_of(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from(u32::from_str_radix(high, 16).ok()?) << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok()).collect()
}
