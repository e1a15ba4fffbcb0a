//! Reads /proc/self/mountinfo (proc_pid_mountinfo(5)) and /proc/swaps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u32,
    /// The mount that it is made on; of the root's there is no row.
    parent: u32,
    /// `major:minor`; major 0 where no block device is behind it.
    pub(super) device: String,
    pub(super) mount_point: String,
    /// Options of the mount, then of the file system.
    pub(super) options: Vec<String>,
    pub(super) file_system: String,
    pub(super) source: String,
    pub(super) read_only: bool,
}

/// The mounts, in the order in which they were made, and the numbers (from 1) of lines that could not be read.
pub(super) fn mounts(text: &str) -> (Vec<Row>, Vec<usize>) {
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match mount(line) {
            Some(row) => rows.push(row),
            None => bad.push(number + 1),
        }
    }
    (rows, bad)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mount(line: &str) -> Option<Row> {
    let (left, right) = line.split_once(" - ")?;
    let (mut left, mut right) = (left.split(' '), right.split(' '));
    let (id, parent) = (left.next()?.parse().ok()?, left.next()?.parse().ok()?);
    let device = left.next()?;
    let (major, minor) = device.split_once(':')?;
    let (_, _): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    let mount_point = unescape(left.nth(1)?);
    let of_mount = left.next()?;
    let file_system = right.next()?.to_owned();
    let source = unescape(right.next()?);
    let of_file_system = right.next().unwrap_or_default();
    Some(Row {
        id,
        parent,
        device: device.to_owned(),
        mount_point,
        options: of_mount.split(',').chain(of_file_system.split(',')).map(str::to_owned).collect(),
        file_system,
        source,
        read_only: [of_mount, of_file_system].iter().any(|options| options.split(',').any(|o| o == "ro")),
    })
}

/// One swap area in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SwapRow {
    pub(super) path: String,
    /// `partition` or `file`.
    pub(super) kind: String,
    pub(super) kibibytes: u64,
}

/// The swap areas, and the numbers (from 1) of lines that could not be read. The first line is the table's head.
pub(super) fn swaps(text: &str) -> (Vec<SwapRow>, Vec<usize>) {
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let row = (|| {
            let path = unescape(words.next()?);
            let kind = words.next()?.to_owned();
            Some(SwapRow { path, kind, kibibytes: words.next()?.parse().ok()? })
        })();
        match row {
            Some(row) => rows.push(row),
            None => bad.push(number + 1),
        }
    }
    (rows, bad)
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash (`\040`).
fn unescape(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.filter(|_| *first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Which mount is made on which, as the kernel goes through them (path_resolution(7)). Neither the length of a path nor the
/// order of the rows tells: whatever was mounted below a folder is hidden as soon as another mount covers that folder.
pub(super) struct Tree<'a> {
    /// By the mount that it is made on (`None` where that is not shown) and its place.
    children: BTreeMap<(Option<u32>, &'a Path), &'a Row>,
}

impl<'a> Tree<'a> {
    pub(super) fn of(rows: &'a [Row]) -> Self {
        let ids: BTreeSet<u32> = rows.iter().map(|row| row.id).collect();
        let on = |row: &Row| Some(row.parent).filter(|parent| *parent != row.id && ids.contains(parent));
        Self { children: rows.iter().map(|row| ((on(row), Path::new(&row.mount_point)), row)).collect() }
    }

    /// The mount that a real path lies in. `None` where no row holds it, or something is mounted over the root: whether a
    /// process sees that depends on when it began.
    pub(super) fn holder(&self, path: &str) -> Option<&'a Row> {
        let mut at: Option<&'a Row> = None;
        let mut places: Vec<&Path> = Path::new(path).ancestors().collect();
        places.reverse();
        for place in places {
            // Bounded, should the table go round in a ring.
            for _ in 0..self.children.len() {
                let Some(next) = self.children.get(&(at.map(|row| row.id), place)) else { break };
                if at.is_some() && place == Path::new("/") {
                    return None;
                }
                at = Some(next);
            }
        }
        at
    }

    /// Whether a mount can be reached by its own path.
    pub(super) fn shows(&self, row: &Row) -> bool {
        self.holder(&row.mount_point).is_some_and(|holder| holder.id == row.id)
    }
}

/// The mount that a real path lies in.
pub(super) fn holder<'a>(rows: &'a [Row], path: &str) -> Option<&'a Row> {
    Tree::of(rows).holder(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_a_table() {
        let (rows, bad) = mounts(include_str!("../../tests/fixtures/mountinfo"));
        assert!(bad.is_empty());
        let root = rows.iter().find(|row| row.mount_point == "/");
        assert_eq!(root.map(|r| (r.device.as_str(), r.file_system.as_str())), Some(("253:1", "ext4")));
        assert!(rows.iter().any(|row| row.mount_point == "/media/my disk"));
        assert_eq!(holder(&rows, "/var/lib/data/x").map(|r| r.device.as_str()), Some("253:3"));
        assert_eq!(holder(&rows, "/var/libx").map(|r| r.device.as_str()), Some("253:1"));
    }

    #[test]
    fn a_mount_that_is_covered_holds_nothing() {
        // mount --bind plain /d; mount -t tmpfs none /d/x; mount --bind plain /d
        let table = "27 1 253:1 / / rw - ext4 /dev/a rw\n30 27 8:1 /plain /d rw - ext4 /dev/b rw\n\
                     31 30 0:40 / /d/x rw - tmpfs none rw\n";
        let before = mounts(table).0;
        assert_eq!(holder(&before, "/d/x/y").map(|row| row.id), Some(31));
        let after = mounts(&format!("{table}32 30 8:1 /plain /d rw - ext4 /dev/b rw\n")).0;
        assert_eq!(holder(&after, "/d/x/y").map(|row| row.id), Some(32));
        let shown: Vec<u32> = after.iter().filter(|row| Tree::of(&after).shows(row)).map(|row| row.id).collect();
        assert_eq!(shown, [27, 32]);
        // Made later, and yet hidden.
        let late =
            mounts(&format!("{table}32 30 8:1 /plain /d rw - ext4 /dev/b rw\n40 30 0:41 / /d/z rw - tmpfs none rw"));
        assert_eq!(holder(&late.0, "/d/z").map(|row| row.id), Some(32));
        // In a folder that is the root without being mounted there is no row for that; over the root lies nothing for sure.
        let chroot = mounts("30 27 8:1 / /d rw - ext4 /dev/b rw\n").0;
        assert_eq!((holder(&chroot, "/d/x").map(|row| row.id), holder(&chroot, "/e")), (Some(30), None));
        let over = mounts("27 1 253:1 / / rw - ext4 /dev/a rw\n30 27 0:40 / / rw - tmpfs none rw\n").0;
        assert_eq!(holder(&over, "/d"), None);
        // A ring, and a row that is its own parent.
        let ring =
            mounts("1 2 0:1 / / rw - rootfs none rw\n2 1 0:2 / / rw - ext4 none rw\n3 3 0:2 / /d rw - ext4 none rw\n")
                .0;
        assert_eq!(holder(&ring, "/d").map(|row| row.id), Some(3));
    }

    #[test]
    fn reads_swap_areas() {
        let (rows, bad) = swaps(include_str!("../../tests/fixtures/swaps"));
        assert!(bad.is_empty());
        let seen: Vec<_> = rows.iter().map(|r| (r.path.as_str(), r.kind.as_str(), r.kibibytes)).collect();
        assert_eq!(
            seen,
            [
                ("/dev/dm-2", "partition", 999_420),
                ("/swap file", "file", 2_097_148),
                ("/dev/zram0", "partition", 500_000)
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_named(text in "(\\PC{0,90}\n){0,8}") {
            let lines = text.lines().filter(|l| !l.trim().is_empty()).count();
            let (rows, bad) = mounts(&text);
            prop_assert_eq!(rows.len() + bad.len(), lines);
            swaps(&text);
        }

        #[test]
        fn escapes_are_undone(name in "[a-z \\\\\t]{0,20}") {
            let escaped: String = name.chars().map(|c| match c {
                ' ' | '\\' | '\t' => format!("\\{:03o}", u32::from(c)),
                c => c.to_string(),
            }).collect();
            prop_assert_eq!(unescape(&escaped), name);
        }
    }
}
