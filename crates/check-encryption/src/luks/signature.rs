//! What is on a volume in place of LUKS, by its signature (libblkid's superblocks name the same).

/// A signature: bytes at an offset.
struct Sign {
    name: &'static str,
    at: usize,
    bytes: &'static [u8],
    /// Its data may be encrypted by means that are not looked into.
    may_encrypt: bool,
}

const fn sign(name: &'static str, at: usize, bytes: &'static [u8]) -> Sign {
    Sign { name, at, bytes, may_encrypt: false }
}

const fn may_encrypt(name: &'static str, at: usize, bytes: &'static [u8]) -> Sign {
    Sign { name, at, bytes, may_encrypt: true }
}

/// How many bytes from the start are looked at.
pub(super) const WINDOW: usize = 68 << 10;

/// ext4's is that of ext2 and ext3 too. Partition tables and LVM come last: a file system may begin after them.
const SIGNS: [Sign; 14] = [
    may_encrypt("BitLocker", 3, b"-FVE-FS-"),
    may_encrypt("FAT or BitLocker To Go", 3, b"MSWIN4.1"),
    sign("ext4", 0x438, &[0x53, 0xef]),
    sign("xfs", 0, b"XFSB"),
    sign("btrfs", 0x10040, b"_BHRfS_M"),
    sign("f2fs", 0x400, &[0x10, 0x20, 0xf5, 0xf2]),
    sign("swap", 4086, b"SWAPSPACE2"),
    sign("NTFS", 3, b"NTFS    "),
    sign("exFAT", 3, b"EXFAT   "),
    sign("FAT", 0x52, b"FAT32   "),
    sign("FAT", 0x36, b"FAT1"),
    sign("squashfs", 0, b"hsqs"),
    may_encrypt("LVM", 0x218, b"LVM2 001"),
    may_encrypt("a partition table", 0x1fe, &[0x55, 0xaa]),
];

/// What the first bytes of a volume show: a name, and whether its data may be encrypted all the same.
pub(super) fn of(head: &[u8]) -> Option<(&'static str, bool)> {
    let there = |sign: &&Sign| head.get(sign.at..).is_some_and(|rest| rest.starts_with(sign.bytes));
    SIGNS.iter().find(there).map(|sign| (sign.name, sign.may_encrypt))
}

/// What lies in the clear where ciphertext should begin. Two bytes are there by chance on one of 65,536 volumes, so that
/// of short signatures the fields around them must fit as well.
pub(super) fn in_the_clear(head: &[u8]) -> Option<&'static str> {
    let (name, _) = of(head)?;
    let byte = |at: usize| head.get(at).copied();
    // The upper three bytes of a small number of 32 bits, little-endian.
    let small = |at: usize| byte(at).is_some_and(|low| low <= 6) && head.get(at + 1..at + 4) == Some(&[0; 3]);
    let fits = match name {
        // s_log_block_size and s_rev_level.
        "ext4" => small(0x418) && small(0x44c),
        // Each of the four entries is bootable (0x80) or not (0).
        "a partition table" => [0x1be, 0x1ce, 0x1de, 0x1ee].iter().all(|at| byte(*at).is_some_and(|b| b & 0x7f == 0)),
        _ => true,
    };
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use super::*;

    #[test]
    fn known_signatures() {
        let mut ext4 = vec![0; 2048];
        ext4.splice(0x438..0x43a, [0x53, 0xef]);
        assert_eq!(of(&ext4), Some(("ext4", false)));
        assert_eq!(of(b"\xeb\x58\x90-FVE-FS-"), Some(("BitLocker", true)));
        assert_eq!(of(b"XFSB"), Some(("xfs", false)));
        assert_eq!(of(b"XFS"), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn two_bytes_alone_are_chance() {
        let mut ext4 = vec![0; 2048];
        ext4.splice(0x438..0x43a, [0x53, 0xef]);
        assert_eq!(in_the_clear(&ext4), Some("ext4"));
        ext4[0x419] = 1;
        assert_eq!(in_the_clear(&ext4), None);
        let mut table = vec![0; 512];
        table.splice(0x1fe.., [0x55, 0xaa]);
        table[0x1be] = 0x80;
        assert_eq!(in_the_clear(&table), Some("a partition table"));
        table[0x1ce] = 0x81;
        assert_eq!(in_the_clear(&table), None);
        assert_eq!(in_the_clear(b"XFSB"), Some("xfs"));
    }
}
