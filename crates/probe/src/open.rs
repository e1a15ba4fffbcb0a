//! Large local files and folders, for readers that don't wait for the runtime: read on a thread of their own, in pieces,
//! until the probe's time is over.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{FailureClass, FileRecord};
use rustix::fs::{Dir, FileType, Mode, OFlags, openat};

use crate::cx::{Cx, Stop};
use crate::files::{FileError, Metadata, error, of_error};
use crate::recorder::Recorder;

/// Time that is kept back for writing down what was seen.
const SPARE: Duration = Duration::from_millis(500);
/// Bytes that are read at once: few, as a decoder may make a thousand times as many of them before it asks again.
const PIECE: usize = 8 << 10;
/// How deep folders are walked into.
const DEEPEST: usize = 100;

/// Until when files may be read.
#[derive(Clone)]
struct Lease {
    until: Instant,
    stop: Stop,
}

impl Lease {
    fn holds(&self) -> io::Result<()> {
        if self.stop.is_stopped() || Instant::now() >= self.until {
            return Err(io::Error::other("the time was over before all of it was read; raise --deadline"));
        }
        Ok(())
    }
}

/// What is read of a file or a folder goes into the record when it is let go.
struct Count {
    path: String,
    bytes: AtomicU64,
    recorder: Arc<Recorder>,
}

impl Drop for Count {
    fn drop(&mut self) {
        let (path, bytes) = (std::mem::take(&mut self.path), self.bytes.load(Ordering::Relaxed));
        self.recorder.file(FileRecord { path, bytes, digest: None });
    }
}

/// A regular file or a block device that is read, not kept: reading and jumping end with an error once the probe's time is over. The record
/// tells how many bytes were read of it.
pub struct OpenFile {
    file: File,
    lease: Lease,
    count: Arc<Count>,
}

impl OpenFile {
    /// What the file system says of the open file itself, whatever its name leads to by now.
    ///
    /// # Errors
    /// Where the system refuses to tell.
    pub fn metadata(&self) -> io::Result<Metadata> {
        Ok(Metadata::of(&self.file.metadata()?))
    }

    /// Its access list beyond its permission bits, as [`crate::Cx::access_list`] gives it.
    ///
    /// # Errors
    /// Where the system refuses to tell.
    pub fn access_list(&self) -> io::Result<Option<Vec<u8>>> {
        crate::files::list(|buffer| rustix::fs::fgetxattr(&self.file, crate::files::ACCESS_LIST, buffer))
    }
}

impl Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lease.holds()?;
        let piece = buffer.len().min(PIECE);
        let bytes = self.file.read(buffer.get_mut(..piece).unwrap_or_default())?;
        self.count.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.lease.holds()?;
        self.file.seek(to)
    }
}

/// A regular file somewhere below a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Below<'a> {
    /// Its path from the folder on, with slashes.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// When the content last changed, in seconds since the epoch; anyone who may write the file can set it.
    pub modified: i64,
}

/// A folder and everything below it; no link in it is followed.
pub struct OpenFolder {
    folder: OwnedFd,
    lease: Lease,
    count: Arc<Count>,
}

impl OpenFolder {
    /// Shows every regular file below, in no order, at most `most` files and folders. Gives the first symbolic link that
    /// was met: what it leads to was not looked at.
    ///
    /// # Errors
    /// Where a folder can't be read, there are more files, or the time is over.
    pub fn each(&self, most: usize, show: &mut dyn FnMut(Below<'_>)) -> io::Result<Option<String>> {
        let (mut waiting, mut link, mut met) = (vec![(String::new(), 0)], None, 0_usize);
        while let Some((path, depth)) = waiting.pop() {
            self.lease.holds()?;
            let folder = self.at(&path, OFlags::DIRECTORY)?;
            for entry in Dir::new(folder.try_clone()?)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                met += 1;
                if met > most {
                    return Err(io::Error::other(format!("more than {most} files and folders")));
                }
                let stat = match rustix::fs::statat(&folder, entry.file_name(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    Err(rustix::io::Errno::NOENT) => continue,
                    Err(e) => return Err(e.into()),
                };
                let name = String::from_utf8_lossy(name);
                let below = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => show(Below {
                        name: &below,
                        size: u64::try_from(stat.st_size).unwrap_or_default(),
                        modified: stat.st_mtime,
                    }),
                    FileType::Directory if depth >= DEEPEST => {
                        return Err(io::Error::other(format!("folders lie more than {DEEPEST} deep")));
                    }
                    FileType::Directory => waiting.push((below, depth + 1)),
                    FileType::Symlink => link = link.or(Some(below)),
                    _ => {}
                }
            }
        }
        Ok(link)
    }

    /// Opens a regular file below; none where there is none of that name.
    ///
    /// # Errors
    /// Where it can't be opened, is no regular file, or a link is on the way.
    pub fn open(&self, name: &str) -> io::Result<Option<OpenFile>> {
        self.lease.holds()?;
        let opened = match self.at(name, OFlags::empty()) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            opened => File::from(opened?),
        };
        if !opened.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Some(OpenFile { file: opened, lease: self.lease.clone(), count: Arc::clone(&self.count) }))
    }

    /// What lies at a place below, the last step's link not followed, and where that link leads; none where there is
    /// nothing.
    ///
    /// # Errors
    /// Where a folder on the way can't be read, or is a link.
    pub fn look(&self, name: &str) -> io::Result<Option<(Metadata, Option<String>)>> {
        self.lease.holds()?;
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        if last == ".." || last.is_empty() {
            return Err(io::Error::other("leads out of the folder"));
        }
        let look = || -> io::Result<(Metadata, Option<String>)> {
            let folder = self.at(folder, OFlags::DIRECTORY)?;
            let stat = rustix::fs::statat(&folder, last, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            let metadata = Metadata {
                mode: stat.st_mode & 0o7777,
                uid: stat.st_uid,
                gid: stat.st_gid,
                size: u64::try_from(stat.st_size).unwrap_or_default(),
                modified: stat.st_mtime,
                changed: stat.st_ctime,
                is_file: kind == FileType::RegularFile,
                is_dir: kind == FileType::Directory,
                is_symlink: kind == FileType::Symlink,
                device: stat.st_dev,
            };
            let link = if metadata.is_symlink {
                let to = rustix::fs::readlinkat(&folder, last, Vec::new())?;
                Some(to.into_string().map_err(|_| io::Error::other("a link whose text is no UTF-8"))?)
            } else {
                None
            };
            Ok((metadata, link))
        };
        match look() {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            looked => looked.map(Some),
        }
    }

    /// The names in a folder below, sorted; none where there is no such folder. Names that are no UTF-8 are left out,
    /// and counted.
    ///
    /// # Errors
    /// Where the folder can't be read, a link is on the way, or it holds more than `most` names.
    pub fn names(&self, folder: &str, most: usize) -> io::Result<Option<(Vec<String>, usize)>> {
        self.lease.holds()?;
        let opened = match self.at(folder, OFlags::DIRECTORY) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            opened => opened?,
        };
        let (mut names, mut not_utf8) = (Vec::new(), 0);
        for entry in Dir::new(opened)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(name.to_owned()),
                Err(_) => not_utf8 += 1,
            }
            if names.len() + not_utf8 > most {
                return Err(io::Error::other(format!("a folder of more than {most} names")));
            }
        }
        names.sort();
        Ok(Some((names, not_utf8)))
    }

    /// Opens something below, step by step, so that no link leads out.
    fn at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        // A FIFO must not hold the thread.
        let always = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut steps = path.split('/').filter(|step| !step.is_empty()).peekable();
        let mut at = self.folder.try_clone()?;
        if steps.peek().is_none() {
            // A new description: the place in a list of names is shared by copies of one.
            return Ok(openat(at.as_fd(), ".", always | OFlags::DIRECTORY, Mode::empty())?);
        }
        while let Some(step) = steps.next() {
            if step == ".." {
                return Err(io::Error::other("leads out of the folder"));
            }
            // Not O_DIRECTORY on the way: of a link it says the same as of a file.
            let flags = if steps.peek().is_none() { flags } else { OFlags::empty() };
            at = openat(at.as_fd(), OsStr::from_bytes(step.as_bytes()), always | flags, Mode::empty())?;
        }
        Ok(at)
    }
}

impl Cx {
    /// Opens a regular file for reading piece by piece, on another thread, no longer than `within`: see [`OpenFile`].
    ///
    /// # Errors
    /// Where it is missing, forbidden, or no regular file.
    pub async fn open_file(&self, path: impl AsRef<Path>, within: Duration) -> Result<OpenFile, FileError> {
        self.open_sort(path.as_ref(), within, &[FileType::RegularFile], "not a regular file").await
    }

    /// Opens a block device, or a regular file that is an image of one, as [`Cx::open_file`] does.
    ///
    /// # Errors
    /// Where it is missing, forbidden, or neither a block device nor a regular file.
    pub async fn open_device(&self, path: impl AsRef<Path>, within: Duration) -> Result<OpenFile, FileError> {
        const SORTS: [FileType; 2] = [FileType::BlockDevice, FileType::RegularFile];
        self.open_sort(path.as_ref(), within, &SORTS, "neither a block device nor a regular file").await
    }

    async fn open_sort(
        &self,
        path: &Path,
        within: Duration,
        sorts: &'static [FileType],
        otherwise: &str,
    ) -> Result<OpenFile, FileError> {
        let (lease, count) = self.lease(path, "", within);
        let owned = path.to_owned();
        let open = move || {
            let sort = |found: std::fs::Metadata| sorts.contains(&FileType::from_raw_mode(found.mode()));
            // Opening is an act for some devices (a tape winds, a watchdog starts), so that this is asked before, and
            // after of what was opened.
            if !sort(std::fs::metadata(&owned)?) {
                return Ok(None);
            }
            let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
            let file = File::options().read(true).custom_flags(flags).open(owned)?;
            Ok(sort(file.metadata()?).then_some(file))
        };
        match blocking(open).await.map_err(|e| of_error(path, &e))? {
            Some(file) => Ok(OpenFile { file, lease, count: Arc::new(count) }),
            None => Err(error(path, FailureClass::Unreadable, otherwise)),
        }
    }

    /// Opens a folder to look through it on another thread, no longer than `within`: see [`OpenFolder`].
    ///
    /// # Errors
    /// Where it is missing, forbidden, or no folder.
    pub async fn open_folder(&self, path: impl AsRef<Path>, within: Duration) -> Result<OpenFolder, FileError> {
        let (lease, count) = self.lease(path.as_ref(), "/", within);
        let owned = path.as_ref().to_owned();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let open = move || Ok(rustix::fs::open(owned, flags, Mode::empty())?);
        let folder = blocking(open).await.map_err(|e| of_error(path.as_ref(), &e))?;
        Ok(OpenFolder { folder, lease, count: Arc::new(count) })
    }

    fn lease(&self, path: &Path, mark: &str, within: Duration) -> (Lease, Count) {
        let until = Instant::now() + within.min(self.remaining().saturating_sub(SPARE));
        let path = format!("{}{mark}", path.display());
        let count = Count { path, bytes: AtomicU64::new(0), recorder: Arc::clone(&self.recorder) };
        (Lease { until, stop: self.stop.clone() }, count)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(io::Error::other(e)))
}
