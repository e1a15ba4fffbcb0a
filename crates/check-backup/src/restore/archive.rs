//! Archives and plain folders, unpacked into the scratch place by readers of our own. Regular files and hard links come
//! out, under names that stay in that place; symbolic links, devices and pipes are passed over, and no owner, mode or time
//! is set.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use model::{Failure, FailureClass};
use probe::{BoxFuture, Cx, Plan};
use rawzip::{CompressionMethod, ZipArchive};
use tar::EntryType;

use super::unpacked::{Halt, Halted, decoder};
use crate::facts::{Snapshot, SourceKind};
use crate::format::{Format, Packing};
use crate::source::Repository;
use crate::source::files::{Adapter, inspect_head};
use crate::target::{BackupSpec, Files};

/// Bytes that are copied at once.
const PIECE: usize = 256 << 10;

/// The archives of a target, as the drill for copies of files wants them.
pub(super) struct Archives {
    source: Files,
    adapter: Adapter,
}

impl Archives {
    /// A copy is as old as the newest file in it: when its own file was closed tells nothing of when copying began.
    pub(super) fn new(source: &Files) -> Self {
        let source = Files { trust_mtime: false, ..source.clone() };
        Self { adapter: Adapter::new(source.clone()), source }
    }
}

impl crate::source::Adapter for Archives {
    fn kind(&self) -> SourceKind {
        self.adapter.kind()
    }

    fn plan(&self, spec: &BackupSpec) -> Plan {
        self.adapter.plan(spec)
    }

    fn list<'a>(&'a self, spec: &'a BackupSpec, cx: &'a Cx) -> BoxFuture<'a, Result<Repository, Failure>> {
        self.adapter.list(spec, cx)
    }

    fn restore<'a>(
        &'a self,
        _: &'a BackupSpec,
        snapshot: &'a Snapshot,
        paths: Option<&'a [String]>,
        into: &'a Path,
        cx: &'a Cx,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let unreadable = |why: String| Failure::new(FailureClass::Unreadable, format!("{}: {why}", snapshot.name));
            let (path, seen) = inspect_head(&self.source, &snapshot.name, cx).await.map_err(unreadable)?;
            let halt = Halt::default();
            let work = Work {
                from: path.into(),
                into: into.to_owned(),
                only: paths.map(|paths| paths.iter().cloned().collect()),
                halted: halt.watch(),
            };
            let (format, packing) = (seen.format, seen.packing);
            let done = tokio::task::spawn_blocking(move || match format {
                Format::Tar => work.tar(packing),
                Format::Zip if packing.is_none() => work.zip(),
                Format::Folder => work.folder(),
                other => Err(Trouble::Not(format!("copies of the format '{}' are not unpacked here", other.name()))),
            });
            let done = done.await.unwrap_or_else(|e| Err(Trouble::Not(e.to_string())));
            drop(halt);
            done.map_err(|trouble| match trouble {
                Trouble::Read(e) => unreadable(e.to_string()),
                Trouble::Write(path, e) => {
                    let message = format!("{}: can't be written: {e}", path.display());
                    Failure::new(FailureClass::Interrupted, message)
                }
                Trouble::Not(why) => Failure::new(FailureClass::Missing, format!("{}: {why}", snapshot.name)),
            })
        })
    }
}

/// What went wrong.
enum Trouble {
    /// The copy can't be read: it is damaged.
    Read(io::Error),
    /// The scratch place can't be written to, which says nothing of the copy.
    Write(PathBuf, io::Error),
    /// It can't be tried here.
    Not(String),
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        Self::Read(e)
    }
}

impl From<rawzip::Error> for Trouble {
    fn from(e: rawzip::Error) -> Self {
        Self::Read(io::Error::other(e.to_string()))
    }
}

struct Work {
    from: PathBuf,
    into: PathBuf,
    /// The paths that are wanted, with a slash in front; all where there are none.
    only: Option<BTreeSet<String>>,
    halted: Halted,
}

/// A path in an archive as it lies below the scratch folder; nothing where it leads out of it.
fn inside(path: &[u8]) -> Option<PathBuf> {
    let path = Path::new(std::str::from_utf8(path).ok()?);
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!clean.as_os_str().is_empty()).then_some(clean)
}

impl Work {
    fn wants(&self, only: Option<&BTreeSet<String>>, path: &Path) -> bool {
        only.is_none_or(|only| only.contains(&format!("/{}", path.display())))
    }

    /// Writes one file. What was unpacked under that name before is taken away: an archive may hold a name twice, and the
    /// later one counts.
    fn write(&self, path: &Path, from: &mut dyn Read) -> Result<(), Trouble> {
        let place = self.place(path)?;
        let failed = |e| Trouble::Write(place.clone(), e);
        let mut out = File::options().write(true).create_new(true).mode(0o600).open(&place).map_err(failed)?;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            };
            match buffer.get(..count) {
                None | Some([]) => return Ok(()),
                Some(piece) => out.write_all(piece).map_err(failed)?,
            }
            if self.halted.is_set() {
                return Err(Trouble::Not("the drill was given up".to_owned()));
            }
        }
    }

    /// Where a file goes: its folders are made, and what is there is gone.
    fn place(&self, path: &Path) -> Result<PathBuf, Trouble> {
        let place = self.into.join(path);
        let folder = place.parent().unwrap_or(&self.into);
        std::fs::create_dir_all(folder).map_err(|e| Trouble::Write(folder.to_owned(), e))?;
        match std::fs::remove_file(&place) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Trouble::Write(place, e)),
            _ => Ok(place),
        }
    }

    fn tar(&self, packing: Option<Packing>) -> Result<(), Trouble> {
        let mut links = self.tar_once(packing, self.only.as_ref())?;
        // Of what is wanted some are links to files that are not.
        let there = |target: &PathBuf| self.into.join(target).is_file();
        let missing: BTreeSet<String> =
            links.iter().filter(|(_, to)| !there(to)).map(|(_, to)| format!("/{}", to.display())).collect();
        if !missing.is_empty() {
            links.extend(self.tar_once(packing, Some(&missing))?);
        }
        for (path, target) in links {
            if there(&target) && path != target {
                let place = self.place(&path)?;
                std::fs::hard_link(self.into.join(&target), &place).map_err(|e| Trouble::Write(place, e))?;
            }
        }
        Ok(())
    }

    /// Unpacks regular files; gives the hard links that are wanted, each with what it leads to.
    fn tar_once(
        &self,
        packing: Option<Packing>,
        only: Option<&BTreeSet<String>>,
    ) -> Result<Vec<(PathBuf, PathBuf)>, Trouble> {
        let file = File::open(&self.from)?;
        let reader: Box<dyn Read> = match packing {
            None => Box::new(io::BufReader::with_capacity(PIECE, file)),
            Some(Packing::Lz4) => return Err(Trouble::Not("LZ4 is not unpacked here".to_owned())),
            Some(packing) => decoder(file, packing)?,
        };
        let mut links = Vec::new();
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            if self.halted.is_set() {
                return Err(Trouble::Not("the drill was given up".to_owned()));
            }
            let kind = entry.header().entry_type();
            let Some(path) = inside(&entry.path_bytes()) else { continue };
            if sparse(&mut entry)? {
                return Err(Trouble::Not(
                    "it holds sparse files in the PAX format, which are not unpacked here".to_owned(),
                ));
            }
            if !self.wants(only, &path) {
                continue;
            }
            match kind {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => self.write(&path, &mut entry)?,
                EntryType::Link => {
                    links.extend(entry.link_name_bytes().and_then(|to| inside(&to)).map(|to| (path, to)));
                }
                _ => {}
            }
        }
        Ok(links)
    }

    fn zip(&self) -> Result<(), Trouble> {
        let file = File::open(&self.from)?;
        let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE.max(1 << 18)];
        let archive = ZipArchive::from_file(file, &mut buffer)?;
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry()? {
            let Some(path) = inside(entry.file_path().as_ref()).filter(|path| self.wants(self.only.as_ref(), path))
            else {
                continue;
            };
            if entry.is_dir() {
                continue;
            }
            if entry.flags().is_encrypted() {
                return Err(Trouble::Not("it is encrypted; unpack it by a job of your own".to_owned()));
            }
            let method = entry.compression_method();
            let inner = archive.get_entry(entry.wayfinder())?;
            let packed = inner.reader();
            let unpacked: Box<dyn Read + '_> = match method {
                CompressionMethod::STORE => Box::new(packed),
                CompressionMethod::DEFLATE => Box::new(flate2::read::DeflateDecoder::new(packed)),
                CompressionMethod::BZIP2 => Box::new(bzip2::read::BzDecoder::new(packed)),
                CompressionMethod::ZSTD => Box::new(zstd::Decoder::new(packed)?),
                _ => return Err(Trouble::Not("a file in it is packed in an unknown way".to_owned())),
            };
            self.write(&path, &mut inner.verifying_reader(unpacked))?;
        }
        Ok(())
    }

    /// A plain folder: what is in it is what would come back.
    fn folder(&self) -> Result<(), Trouble> {
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            for entry in std::fs::read_dir(self.from.join(&below))? {
                let entry = entry?;
                let (kind, path) = (entry.file_type()?, below.join(entry.file_name()));
                if kind.is_dir() {
                    waiting.push(path);
                } else if kind.is_file() && self.wants(self.only.as_ref(), &path) {
                    self.write(&path, &mut File::open(entry.path())?)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether holes of the file are told in extended headers, where the name and the size of an entry are not the file's.
fn sparse(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        if extension?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
