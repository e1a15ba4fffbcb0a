//! The policies that come with the program, and a user's folder of more.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use flate2::read::GzDecoder;
use policy::{SourceFile, Sources};
use tar::Archive;

use crate::Error;

/// `policies/` of the repository, as it was when this program was built (`build.rs`).
static SHIPPED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/policies.tar.gz"));

/// Most files read from a user's folder.
const MOST_FILES: usize = 2_000;
/// Most bytes of one of them.
const MOST_BYTES: u64 = 2 << 20;
/// The folders that policies are made of.
const FOLDERS: [&str; 3] = ["controls", "profiles", "tests"];

/// Every shipped file: controls, profiles and their tests.
///
/// # Errors
/// Where what this program carries is damaged.
pub fn shipped() -> Result<Sources, Error> {
    unpacked(SHIPPED).map_err(|e| Error::Read {
        path: "the policies that this program carries".into(),
        why: format!("{e}; its file is damaged, install it again"),
    })
}

fn unpacked(packed: &[u8]) -> io::Result<Sources> {
    let mut sources = Sources::new();
    for entry in Archive::new(GzDecoder::new(packed)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        sources.insert(path, SourceFile { bytes: bytes.into(), shipped: true });
    }
    Ok(sources)
}

/// Adds a user's folder, which holds `controls/`, `profiles/` and perhaps `tests/`. Its files stand beside the shipped
/// ones, under the folder's name: a control or profile of a shipped name takes the shipped one's place, and policies
/// changed that way are shown as modified.
///
/// # Errors
/// Where the folder is missing, holds none of the three, or can't be read.
pub fn add_folder(sources: &mut Sources, root: &Path) -> Result<(), Error> {
    let mut count = 0;
    for folder in FOLDERS {
        count += add(sources, root, Path::new(folder), 0)?;
    }
    if count == 0 {
        return Err(Error::Config(format!(
            "{}: no policies there; a folder of policies holds controls/*.yaml and profiles/*.yaml",
            root.display()
        )));
    }
    Ok(())
}

fn add(sources: &mut Sources, root: &Path, inner: &Path, depth: u32) -> Result<usize, Error> {
    let dir = root.join(inner);
    if depth > 4 || !dir.is_dir() {
        return Ok(0);
    }
    let fail = |path: &Path, why: String| Error::Read { path: path.display().to_string(), why };
    let entries = fs::read_dir(&dir).map_err(|e| fail(&dir, e.to_string()))?;
    let mut names: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.file_name())).collect();
    names.sort();
    let mut count = 0;
    for name in names {
        let (path, short) = (dir.join(&name), inner.join(&name));
        if path.is_dir() {
            count += add(sources, root, &short, depth + 1)?;
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "json") {
            let size = fs::metadata(&path).map_err(|e| fail(&path, e.to_string()))?.len();
            if size > MOST_BYTES || sources.len() > MOST_FILES {
                return Err(fail(&path, "too large, or too many files in the folder".into()));
            }
            let bytes = fs::read(&path).map_err(|e| fail(&path, e.to_string()))?;
            let folder = root.file_name().map_or_else(|| "own".to_owned(), |name| name.to_string_lossy().into_owned());
            sources.insert(format!("{folder}/{}", short.display()), SourceFile { bytes: bytes.into(), shipped: false });
            count += 1;
        }
    }
    Ok(count)
}
