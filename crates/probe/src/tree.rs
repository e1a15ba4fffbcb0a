//! Folders that a drill made: removing them without leaving them, and measuring them.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, renameat, statat, unlinkat};
use rustix::io::{Errno, Result};

/// Rounds without progress before giving up: processes that were ended a moment ago may still write.
const ROUNDS: u32 = 20;
/// Files that a drill leaves to be made on the scratch folders' file system, or a twentieth of all where that is less.
const KEEP_FILES: u64 = 10_000;

/// Opens a folder; a symbolic link is none.
pub(crate) fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // Restored folders may be closed to their own owner. The handle makes sure that no link is followed.
            let handle = openat(parent, name, OFlags::PATH | flags, Mode::empty())?;
            rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
            openat(parent, name, flags, Mode::empty())
        }
        outcome => outcome,
    }
}

/// Empties a folder but for the file `last`. Folders within are moved up before they are emptied, so that no depth
/// matters and no mount point is ever entered: one can't be moved.
///
/// # Errors
/// What could not be removed, and why.
pub(crate) fn empty(top: BorrowedFd<'_>, last: &CStr) -> std::result::Result<(), String> {
    let device = fstat(top).map_err(|e| e.to_string())?.st_dev;
    let mut moved = 0_u64;
    let mut idle = 0;
    loop {
        let mut why = None;
        let mut progress = false;
        let names = names(top).map_err(|e| e.to_string())?;
        for name in names.iter().filter(|name| name.as_c_str() != last) {
            match remove(top, name, device, &mut moved) {
                Ok(()) => progress = true,
                Err(e) => why = Some(format!("{}: {e}", name.to_string_lossy())),
            }
        }
        match why {
            None if !progress => return Ok(()),
            Some(why) if idle >= ROUNDS => return Err(why),
            _ => {}
        }
        if progress {
            idle = 0;
        } else {
            idle += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Removes one thing of the uppermost folder.
fn remove(top: BorrowedFd<'_>, name: &CStr, device: u64, moved: &mut u64) -> Result<()> {
    let found = statat(top, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !FileType::from_raw_mode(found.st_mode).is_dir() {
        return unlinkat(top, name, AtFlags::empty());
    }
    if found.st_dev != device {
        return Err(Errno::XDEV);
    }
    let folder = open(top, name)?;
    // Writable, so that what is in it can be removed.
    rustix::fs::fchmod(&folder, Mode::RWXU)?;
    loop {
        let mut any = false;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let inner = entry.file_name();
            if is_dots(inner) {
                continue;
            }
            any = true;
            let found = statat(&folder, inner, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(found.st_mode).is_dir() {
                move_up(folder.as_fd(), inner, top, moved)?;
            } else {
                unlinkat(&folder, inner, AtFlags::empty())?;
            }
        }
        if !any {
            return unlinkat(top, name, AtFlags::REMOVEDIR);
        }
    }
}

/// Moves a folder to the uppermost one, under a name that is free there.
fn move_up(from: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>, moved: &mut u64) -> Result<()> {
    // A folder that its owner may not write can't be moved either: its `..` changes.
    let _ = open(from, name).and_then(|folder| rustix::fs::fchmod(&folder, Mode::RWXU));
    for _ in 0..1000 {
        *moved += 1;
        let free = format!(".moved-{moved}");
        match renameat(from, name, top, free.as_str()) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            outcome => return outcome,
        }
    }
    Err(Errno::EXIST)
}

/// The names in a folder.
pub(crate) fn names(folder: BorrowedFd<'_>) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !is_dots(entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// Bytes that a folder takes on its own file system; links are not followed, and what can't be read counts nothing.
pub(crate) fn bytes(folder: &Path) -> u64 {
    let Ok(top) = folder.symlink_metadata() else { return 0 };
    let mut sum = 0_u64;
    let mut waiting: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            // Sparse files count what they take; the kernel's unit is always 512 bytes.
            sum = sum.saturating_add(found.blocks().saturating_mul(512));
            if found.is_dir() && found.dev() == top.dev() {
                waiting.push(entry.path());
            }
        }
    }
    sum
}

/// Bytes of a file system that this user may still take, and bytes in all.
pub(crate) fn space(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = rustix::fs::statvfs(path)?;
    Ok((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

/// Files of a file system that may still be made, and files in all; both are 0 where it has no such bound.
pub(crate) fn files(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = rustix::fs::statvfs(path)?;
    Ok((found.f_favail, found.f_files))
}

/// Whether so few files can still be made that the machine's own work would suffer.
pub(crate) fn few(free: u64, all: u64) -> bool {
    all > 0 && free < KEEP_FILES.min(all / 20)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::fs::CWD;

    use super::*;

    fn open_path(path: &Path) -> OwnedFd {
        open(CWD, &CString::new(path.to_str().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn nothing_outside_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, top) = (dir.path().join("outside"), dir.path().join("top"));
        fs::create_dir_all(outside.join("kept")).unwrap();
        fs::write(outside.join("kept/file"), "kept").unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/file"), "gone").unwrap();
        fs::write(top.join("last"), "last").unwrap();
        fs::write(top.join(".moved-1"), "in the way").unwrap();
        symlink(&outside, top.join("link")).unwrap();
        symlink(outside.join("kept"), top.join("a/b/link")).unwrap();
        fs::hard_link(outside.join("kept/file"), top.join("a/hard")).unwrap();
        fs::set_permissions(top.join("a/b"), fs::Permissions::from_mode(0o0)).unwrap();
        empty(open_path(&top).as_fd(), c"last").unwrap();
        assert_eq!(names(open_path(&top).as_fd()).unwrap(), [c"last".to_owned()]);
        assert_eq!(fs::read_to_string(outside.join("kept/file")).unwrap(), "kept");
        assert!(open(CWD, &CString::new(dir.path().join("none").to_str().unwrap()).unwrap()).is_err());
    }

    #[test]
    fn any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = open_path(dir.path());
        // Deeper than a path can be long, and than there are file descriptors.
        for _ in 0..1100 {
            rustix::fs::mkdirat(&folder, "deeper", Mode::RWXU).unwrap();
            folder = open(folder.as_fd(), c"deeper").unwrap();
        }
        drop(folder);
        empty(open_path(dir.path()).as_fd(), c"").unwrap();
        assert!(names(open_path(dir.path()).as_fd()).unwrap().is_empty());
    }

    #[test]
    fn a_file_system_tells_what_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let ((free, all), (left, files)) = (space(dir.path()).unwrap(), super::files(dir.path()).unwrap());
        assert!(free <= all && left <= files);
        assert!(super::files(&dir.path().join("none")).is_err());
        assert!(few(49, 1_000) && !few(50, 1_000) && few(9_999, 1_000_000) && !few(10_000, 1_000_000));
        assert!(!few(0, 0), "btrfs has no bound");
    }

    #[test]
    fn a_link_is_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/", dir.path().join("link")).unwrap();
        assert!(open(open_path(dir.path()).as_fd(), c"link").is_err());
    }

    #[test]
    fn bytes_count_what_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/file"), vec![1; 100_000]).unwrap();
        symlink("/", dir.path().join("a/link")).unwrap();
        let taken = bytes(dir.path());
        assert!((100_000..200_000).contains(&taken), "{taken}");
        let (free, all) = space(dir.path()).unwrap();
        assert!(free <= all && all > 0);
    }
}
