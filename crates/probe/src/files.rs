//! Local files under bounds, each read written down.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use model::{Digest, FailureClass, FileRecord};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use crate::cx::Cx;

/// The attribute with the access list of a file (acl(5)).
pub(crate) const ACCESS_LIST: &str = "system.posix_acl_access";

/// An access list, by a call that writes it into a buffer; `None` where there is none.
pub(crate) fn list(ask: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>) -> std::io::Result<Option<Vec<u8>>> {
    use rustix::io::Errno;
    let mut list = vec![0; 64 << 10];
    match ask(list.as_mut_slice()) {
        Ok(length) => {
            list.truncate(length);
            Ok(Some(list))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Reads a regular file in one go into memory that never moves, so that no copy is left behind. What is within says why
/// it is no file to be read, where the system had nothing against it.
fn steady(path: &Path, most: usize) -> std::io::Result<Result<Zeroizing<Vec<u8>>, String>> {
    // A FIFO must not hold the thread.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut file = std::fs::File::options().read(true).custom_flags(flags).open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Ok(Err("not a regular file".to_owned()));
    }
    let too_long = || Ok(Err(format!("longer than the bound of {most} bytes")));
    let length = usize::try_from(before.len()).unwrap_or(usize::MAX);
    if length > most {
        return too_long();
    }
    // The kernel's own files say that they are empty.
    let room = if length == 0 { most } else { length }.saturating_add(1);
    let mut bytes = Zeroizing::new(vec![0; room]);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let after = file.metadata()?;
    let times = |m: &std::fs::Metadata| (m.len(), m.mtime(), m.mtime_nsec());
    if times(&before) != times(&after) || (length > 0 && filled != length) {
        return Ok(Err("it changed while it was read".to_owned()));
    }
    if filled > most {
        return too_long();
    }
    bytes.truncate(filled);
    Ok(Ok(bytes))
}

/// Bytes that are compared at once.
const PIECE: usize = 64 << 10;

/// Why a file could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct FileError {
    /// Which.
    pub path: String,
    /// The closed reason.
    pub class: FailureClass,
    /// What the system said.
    pub message: String,
}

/// What the file system says of a path; symbolic links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits, such as 0o640.
    pub mode: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// When the content last changed, in seconds since the epoch; anyone who may write the file can set it.
    pub modified: i64,
    /// When the content, the name or the permissions last changed, by the kernel's own clock, likewise.
    pub changed: i64,
    /// A regular file.
    pub is_file: bool,
    /// A folder.
    pub is_dir: bool,
    /// A symbolic link.
    pub is_symlink: bool,
    /// The number of the file system that it lies on: another one than its folder's where something is mounted there.
    pub device: u64,
}

impl Metadata {
    pub(crate) fn of(found: &std::fs::Metadata) -> Self {
        Self {
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
            size: found.len(),
            modified: found.mtime(),
            changed: found.ctime(),
            is_file: found.is_file(),
            is_dir: found.is_dir(),
            is_symlink: found.is_symlink(),
            device: found.dev(),
        }
    }
}

/// The names in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names, sorted; those that are no UTF-8 with replacement characters.
    pub names: Vec<String>,
    /// How many are no UTF-8, and are thus no names that can be opened.
    pub not_utf8: usize,
    /// True where there are more than the bound.
    pub cut: bool,
}

impl Cx {
    /// Reads a file, at most `most` bytes; its digest is recorded.
    ///
    /// # Errors
    /// Where it is missing, forbidden, no regular file, or longer than `most`.
    pub async fn read_file(&self, path: impl AsRef<Path>, most: usize) -> Result<Vec<u8>, FileError> {
        self.read(path.as_ref(), most).await
    }

    /// Reads a file whose content is a secret: only its length is recorded, and it is wiped from memory in the end.
    ///
    /// # Errors
    /// As [`Cx::read_file`]; also where the file changes while it is read.
    pub async fn read_secret_file(&self, path: impl AsRef<Path>, most: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let path = path.as_ref();
        let owned = path.to_owned();
        let read = tokio::task::spawn_blocking(move || steady(&owned, most)).await;
        let bytes = match read.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(|e| of_error(path, &e))? {
            Ok(bytes) => bytes,
            Err(why) => return Err(error(path, FailureClass::Unreadable, &why)),
        };
        let (path, length) = (path.display().to_string(), u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.recorder.file(FileRecord { path, bytes: length, digest: None });
        Ok(bytes)
    }

    async fn read(&self, path: &Path, most: usize) -> Result<Vec<u8>, FileError> {
        let fail = |e: &std::io::Error| of_error(path, e);
        // A FIFO or device would block or never end, so that only regular files (and /proc, /sys) are opened.
        let metadata = tokio::fs::metadata(path).await.map_err(|e| fail(&e))?;
        if !metadata.is_file() {
            return Err(error(path, FailureClass::Unreadable, "not a regular file"));
        }
        let file = tokio::fs::File::open(path).await.map_err(|e| fail(&e))?;
        let mut bytes = Vec::new();
        let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        file.take(bound).read_to_end(&mut bytes).await.map_err(|e| fail(&e))?;
        if bytes.len() > most {
            return Err(error(path, FailureClass::Unreadable, &format!("longer than the bound of {most} bytes")));
        }
        self.recorder.file(FileRecord {
            path: path.display().to_string(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            digest: Some(Digest::of(&bytes)),
        });
        Ok(bytes)
    }

    /// The names in a folder, sorted, at most `most` of them.
    ///
    /// # Errors
    /// Where it is missing, forbidden, or no folder.
    pub async fn list_dir(&self, path: impl AsRef<Path>, most: usize) -> Result<Listing, FileError> {
        let path = path.as_ref();
        let mut folder = tokio::fs::read_dir(path).await.map_err(|e| of_error(path, &e))?;
        let mut listing = Listing::default();
        while let Some(entry) = folder.next_entry().await.map_err(|e| of_error(path, &e))? {
            if listing.names.len() >= most {
                listing.cut = true;
                break;
            }
            let name = entry.file_name();
            listing.not_utf8 += usize::from(name.to_str().is_none());
            listing.names.push(name.to_string_lossy().into_owned());
        }
        listing.names.sort();
        Ok(listing)
    }

    /// Whether two files of any length hold the same bytes; both are recorded, with their digest where they do.
    ///
    /// # Errors
    /// Where one is missing, forbidden, or no regular file.
    pub async fn same_content(&self, one: impl AsRef<Path>, other: impl AsRef<Path>) -> Result<bool, FileError> {
        let paths = [one.as_ref().to_owned(), other.as_ref().to_owned()];
        for path in &paths {
            let metadata = tokio::fs::metadata(path).await.map_err(|e| of_error(path, &e))?;
            if !metadata.is_file() {
                return Err(error(path, FailureClass::Unreadable, "not a regular file"));
            }
        }
        let [first, _] = &paths;
        let [one, other] = paths.clone();
        let compared = tokio::task::spawn_blocking(move || compare(&one, &other)).await;
        let Compared { digest, bytes } =
            compared.unwrap_or_else(|e| Err(of_error(first, &std::io::Error::other(e))))?;
        for (path, bytes) in paths.iter().zip(bytes) {
            self.recorder.file(FileRecord { path: path.display().to_string(), bytes, digest });
        }
        Ok(digest.is_some())
    }

    /// Writes a small file that a drill leaves among the data it is named for: beside it first, then in its place at once.
    ///
    /// # Errors
    /// Where this is no drill, or the file can't be written.
    pub async fn plant_file(&self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
        let path = path.as_ref();
        if self.mark().is_none() {
            return Err(error(path, FailureClass::Panic, "only a drill may write; this is a defect of Probity"));
        }
        let (owned, bytes) = (path.to_owned(), bytes.to_vec());
        let write = tokio::task::spawn_blocking(move || {
            let folder = owned.parent().unwrap_or(Path::new("/"));
            let mut file = tempfile::Builder::new().prefix(".probity-").tempfile_in(folder)?;
            std::io::Write::write_all(&mut file, &bytes)?;
            file.as_file().sync_all()?;
            file.persist(&owned).map_err(|e| e.error)?;
            Ok(())
        });
        write.await.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(|e| of_error(path, &e))
    }

    /// An empty folder for the notes that a tool wants to keep, closed to others and gone with what this gives. For what
    /// has to be undone after a crash see [`Cx::scratch`].
    ///
    /// # Errors
    /// Where none can be made in the system's folder for such things.
    pub async fn private_folder(&self) -> Result<tempfile::TempDir, FileError> {
        let make = || tempfile::Builder::new().prefix("probity-").tempdir();
        let made = tokio::task::spawn_blocking(make).await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        made.map_err(|e| of_error(&std::env::temp_dir(), &e))
    }

    /// Writes a file into such a folder, closed to others as that is: for a tool that takes a secret from a file alone.
    ///
    /// # Errors
    /// Where one of that name is there, or it can't be written.
    pub async fn private_file(
        &self,
        folder: &tempfile::TempDir,
        name: &str,
        bytes: &[u8],
    ) -> Result<std::path::PathBuf, FileError> {
        let path = folder.path().join(name);
        let (owned, bytes) = (path.clone(), bytes.to_vec());
        let write = tokio::task::spawn_blocking(move || {
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600).open(owned)?;
            std::io::Write::write_all(&mut file, &bytes)
        });
        write.await.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(|e| of_error(&path, &e))?;
        Ok(path)
    }

    /// What the file system says of a path, symbolic links not followed.
    ///
    /// # Errors
    /// Where it is missing or a folder on the way is forbidden.
    pub async fn metadata(&self, path: impl AsRef<Path>) -> Result<Metadata, FileError> {
        let path = path.as_ref();
        let found = tokio::fs::symlink_metadata(path).await.map_err(|e| of_error(path, &e))?;
        Ok(Metadata::of(&found))
    }

    /// Whether the file system encrypts a file or folder by itself (`STATX_ATTR_ENCRYPTED`, statx(2)), as fscrypt does;
    /// `None` where it does not tell. Symbolic links are not followed.
    ///
    /// # Errors
    /// As [`Cx::metadata`].
    pub async fn is_encrypted(&self, path: impl AsRef<Path>) -> Result<Option<bool>, FileError> {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
        let owned = path.as_ref().to_owned();
        let ask = move || Ok(statx(CWD, owned, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?);
        let asked = tokio::task::spawn_blocking(ask).await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        let told = asked.map_err(|e| of_error(path.as_ref(), &e))?;
        let tells = told.stx_attributes_mask.contains(StatxAttributes::ENCRYPTED);
        Ok(tells.then(|| told.stx_attributes.contains(StatxAttributes::ENCRYPTED)))
    }

    /// The access list of a file or folder beyond its permission bits (`system.posix_acl_access`, acl(5)), as the kernel gives
    /// it; `None` where there is none, or the file system has none. Symbolic links are not followed.
    ///
    /// # Errors
    /// As [`Cx::metadata`]; also where it has more than 64 KiB.
    pub async fn access_list(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, FileError> {
        let owned = path.as_ref().to_owned();
        let ask = move || list(|buffer| rustix::fs::lgetxattr(owned, ACCESS_LIST, buffer));
        let asked = tokio::task::spawn_blocking(ask).await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        asked.map_err(|e| of_error(path.as_ref(), &e))
    }

    /// Where a symbolic link points, one step.
    ///
    /// # Errors
    /// Where it is no link, missing or forbidden.
    pub async fn read_link(&self, path: impl AsRef<Path>) -> Result<String, FileError> {
        let path = path.as_ref();
        let to = tokio::fs::read_link(path).await.map_err(|e| of_error(path, &e))?;
        Ok(to.display().to_string())
    }
}

/// What comparing two files showed.
struct Compared {
    /// Of both, where they are the same.
    digest: Option<Digest>,
    /// Bytes read of each.
    bytes: [u64; 2],
}

fn compare(one: &Path, other: &Path) -> Result<Compared, FileError> {
    let open = |path: &Path| std::fs::File::open(path).map_err(|e| of_error(path, &e));
    let (mut files, mut hash) = ((open(one)?, open(other)?), Sha256::new());
    let (mut here, mut there) = (vec![0; PIECE], vec![0; PIECE]);
    let mut bytes = [0_u64; 2];
    loop {
        let mine = fill(&mut files.0, &mut here).map_err(|e| of_error(one, &e))?;
        let theirs = fill(&mut files.1, &mut there).map_err(|e| of_error(other, &e))?;
        for (sum, piece) in bytes.iter_mut().zip([mine, theirs]) {
            *sum += u64::try_from(piece.len()).unwrap_or(0);
        }
        if mine != theirs {
            return Ok(Compared { digest: None, bytes });
        }
        if mine.is_empty() {
            return Ok(Compared { digest: Some(Digest::from_bytes(hash.finalize().into())), bytes });
        }
        hash.update(mine);
    }
}

/// Reads until the buffer is full or the file ends.
fn fill<'b>(file: &mut std::fs::File, buffer: &'b mut [u8]) -> std::io::Result<&'b [u8]> {
    use std::io::Read as _;
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}

pub(crate) fn of_error(path: &Path, e: &std::io::Error) -> FileError {
    let class = match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => FailureClass::Missing,
        ErrorKind::PermissionDenied => FailureClass::Permission,
        _ => FailureClass::Unreadable,
    };
    error(path, class, &e.to_string())
}

pub(crate) fn error(path: &Path, class: FailureClass, message: &str) -> FileError {
    FileError { path: path.display().to_string(), class, message: message.to_owned() }
}
