//! The manifest of a pack and lists of sums, each in its one spelling.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::Digest;
use model::pack::{Manifest, ManifestEntry, UNLISTED, media_type};
use thiserror::Error;

use crate::bundle::MAX_BYTES;
use crate::paths::{PathError, check_paths};
use crate::text::shown;

/// Why a manifest or a list of sums is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// Longer than [`MAX_BYTES`].
    #[error("the list is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// A path is unsafe, out of order, given twice, or collides with another.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It lists a file that is made after it, and that it can't know.
    #[error("the manifest lists {0}, which is made after it")]
    Lists(String),
    /// The version is not ours.
    #[error("the manifest's format is '{0}'; {wanted} is wanted", wanted = Manifest::FORMAT)]
    Format(String),
    /// Not a manifest.
    #[error("the manifest is malformed: {0}")]
    Json(String),
    /// It says what it should, but not in the one canonical spelling.
    #[error("the manifest is not in its canonical form; it was changed, or written by another tool")]
    NotCanonical,
    /// A line of sums is not 64 lower-case hexadecimal digits, two spaces, a path and a newline.
    #[error("line {0} of the sums is not a digest, two spaces and a path")]
    Line(usize),
}

/// The manifest of some files, given as path, size in bytes and digest, in any order.
///
/// # Errors
/// Where a path is unsafe, given twice, collides with another, or is one that a manifest never lists.
pub fn manifest_of(files: impl IntoIterator<Item = (String, u64, Digest)>) -> Result<Manifest, ManifestError> {
    let entry = |(path, size, sha256): (String, u64, Digest)| {
        let media_type = media_type(&path).to_owned();
        ManifestEntry { path, size, sha256, media_type }
    };
    let mut files: Vec<_> = files.into_iter().map(entry).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest { format: Manifest::FORMAT.to_owned(), files };
    check(&manifest)?;
    Ok(manifest)
}

/// The bytes of a manifest: canonical JSON.
///
/// # Errors
/// Where [`parse_manifest`] would refuse the result.
pub fn manifest_bytes(manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    check(manifest)?;
    let bytes = model::canonical_json(manifest).map_err(|e| ManifestError::Json(shown(&e.to_string())))?;
    if bytes.len() > MAX_BYTES { Err(ManifestError::TooLarge) } else { Ok(bytes) }
}

/// Reads a manifest, strictly: canonical form, safe paths, sorted, no collisions.
///
/// # Errors
/// Whatever is wrong with it, in [`ManifestError`].
pub fn parse_manifest(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    if bytes.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge);
    }
    let manifest: Manifest = model::from_json(bytes).map_err(|e| ManifestError::Json(shown(&e.to_string())))?;
    if manifest_bytes(&manifest)? == bytes { Ok(manifest) } else { Err(ManifestError::NotCanonical) }
}

fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.format != Manifest::FORMAT {
        return Err(ManifestError::Format(shown(&manifest.format)));
    }
    let paths = || manifest.files.iter().map(|file| file.path.as_str());
    check_paths(paths())?;
    match paths().find(|path| UNLISTED.iter().any(|name| name.eq_ignore_ascii_case(path))) {
        Some(path) => Err(ManifestError::Lists(path.to_owned())),
        None => Ok(()),
    }
}

/// The digests of a manifest as `sha256sum --check --strict` reads them.
///
/// # Errors
/// Where [`parse_manifest`] would refuse the manifest, or where the list is too long.
pub fn sums_of(manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    check(manifest)?;
    sums(&manifest.files.iter().map(|file| (file.path.clone(), file.sha256)).collect())
}

/// Digests by path as `sha256sum --check --strict` reads them: digest, two spaces, path, newline; sorted by path.
///
/// # Errors
/// Where a path is unsafe or collides with another, or where the list is too long.
pub fn sums(files: &BTreeMap<String, Digest>) -> Result<Vec<u8>, ManifestError> {
    check_paths(files.keys().map(String::as_str))?;
    let mut text = String::new();
    for (path, digest) in files {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{digest}  {path}");
    }
    if text.len() > MAX_BYTES { Err(ManifestError::TooLarge) } else { Ok(text.into_bytes()) }
}

/// Reads what [`sums`] writes, and nothing else.
///
/// # Errors
/// Whatever is wrong with it, in [`ManifestError`].
pub fn parse_sums(bytes: &[u8]) -> Result<BTreeMap<String, Digest>, ManifestError> {
    if bytes.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge);
    }
    let mut lines = Vec::new();
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        lines.push(parse_line(line).ok_or(ManifestError::Line(index + 1))?);
    }
    // Before the map hides what was out of order or given twice.
    check_paths(lines.iter().map(|(path, _)| *path))?;
    Ok(lines.into_iter().map(|(path, digest)| (path.to_owned(), digest)).collect())
}

fn parse_line(line: &[u8]) -> Option<(&str, Digest)> {
    let (digest, path) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once("  ")?;
    Some((path, digest.parse().ok()?))
}
