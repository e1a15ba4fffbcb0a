//! Programs: where they are, and the digest of what is run.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use model::{Digest, Failure, FailureClass};
use sha2::{Digest as _, Sha256};

/// Where programs are looked for; the caller's PATH is not trusted.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Programs whose digest is remembered, at most.
const REMEMBERED: usize = 256;

/// The `PATH` that commands see.
pub(crate) fn path_variable() -> String {
    FOLDERS.join(":")
}

/// Where a program is, or `None`.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        // Absolute, so that it is the same file in whatever folder it is run.
        return std::path::absolute(program).ok().filter(|p| p.is_file());
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|p| p.is_file())
}

/// Where a program is.
///
/// # Errors
/// Where it is nowhere, with the folders that were searched.
pub(crate) fn found(program: &str) -> Result<PathBuf, Failure> {
    which(program).ok_or_else(|| {
        Failure::new(
            FailureClass::Missing,
            format!("{program}: no such program in {}; install it, or give its full path", FOLDERS.join(":")),
        )
    })
}

/// The same file with the same content: a program that is replaced in mid-run is read again.
#[derive(PartialEq, Eq, Hash)]
struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Digests of programs that were run already. Large tools are run again and again in one audit.
static DIGESTS: LazyLock<Mutex<HashMap<Identity, Digest>>> = LazyLock::new(Mutex::default);

/// The digest of a program's file; `None` where it can't be read.
pub(crate) async fn digest(path: &Path) -> Option<Digest> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || digest_now(path)).await.ok()?
}

fn digest_now(path: PathBuf) -> Option<Digest> {
    let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let identity = Identity {
        path,
        device: found.dev(),
        inode: found.ino(),
        size: found.len(),
        changed: (found.ctime(), found.ctime_nsec()),
    };
    let known = || DIGESTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known().get(&identity) {
        return Some(*digest);
    }
    let digest = of_file(&identity.path).ok()?;
    let mut known = known();
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(identity, digest);
    Some(digest)
}

/// The digest of a file, read in pieces.
fn of_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(Digest::from_bytes(hash.finalize().into())),
            Some(piece) => hash.update(piece),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_replaced_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        fs::write(&path, b"one").unwrap();
        assert_eq!(digest(&path).await, Some(Digest::of(b"one")));
        assert_eq!(digest(&path).await, Some(Digest::of(b"one")));
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"two").unwrap();
        assert_eq!(digest(&path).await, Some(Digest::of(b"two")));
        assert_eq!(digest(dir.path()).await, None);
    }
}
