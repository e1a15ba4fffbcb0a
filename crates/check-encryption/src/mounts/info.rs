//! Reads /proc/self/mountinfo (proc_pid_mountinfo(5)) and /proc/swaps.

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
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
    let device = left.nth(2)?;
    let (major, minor) = device.split_once(':')?;
    let (_, _): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    let mount_point = unescape(left.nth(1)?);
    let of_mount = left.next()?;
    let file_system = right.next()?.to_owned();
    let source = unescape(right.next()?);
    let of_file_system = right.next().unwrap_or_default();
    Some(Row {
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

/// The mount that a path lies in: the deepest, and the last of those made at one place.
pub(super) fn holder<'a>(rows: &'a [Row], path: &str) -> Option<&'a Row> {
    let path = std::path::Path::new(path);
    rows.iter()
        .filter(|row| path.starts_with(&row.mount_point))
        .max_by_key(|row| std::path::Path::new(&row.mount_point).components().count())
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
