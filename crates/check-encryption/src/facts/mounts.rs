//! File systems, swap, and the encryption beneath them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, NotRead, Outcome, VolumeCipher};

/// What a block device on the way down is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LayerKind {
    /// dm-crypt with a LUKS1 header.
    #[serde(rename = "LUKS1")]
    Luks1,
    /// dm-crypt with a LUKS2 header.
    #[serde(rename = "LUKS2")]
    Luks2,
    /// dm-crypt without a header.
    #[serde(rename = "plain dm-crypt")]
    PlainDmCrypt,
    /// dm-crypt by another tool: TrueCrypt, VeraCrypt, BitLocker, FileVault, loop-AES.
    #[serde(rename = "other dm-crypt")]
    OtherDmCrypt,
    /// ZFS, which encrypts a dataset by itself.
    #[serde(rename = "ZFS")]
    Zfs,
    /// eCryptfs, which encrypts file by file.
    #[serde(rename = "eCryptfs")]
    Ecryptfs,
    /// gocryptfs, which encrypts file by file.
    #[serde(rename = "gocryptfs")]
    Gocryptfs,
    /// fscrypt: ext4, f2fs, UBIFS or Ceph encrypt a folder.
    #[serde(rename = "fscrypt")]
    Fscrypt,
    /// A logical volume (LVM2).
    #[serde(rename = "LVM")]
    Lvm,
    /// Another device-mapper target.
    #[serde(rename = "device-mapper")]
    DeviceMapper,
    /// Linux software RAID (md).
    #[serde(rename = "md")]
    Md,
    /// A file as a disk.
    #[serde(rename = "loop")]
    Loop,
    /// Compressed memory.
    #[serde(rename = "zram")]
    Zram,
    /// Memory as a disk.
    #[serde(rename = "ram")]
    Ram,
    /// A disk on the network (nbd, rbd, drbd).
    #[serde(rename = "network")]
    Network,
    /// A partition.
    #[serde(rename = "partition")]
    Partition,
    /// A disk, or what looks like one from here.
    #[serde(rename = "disk")]
    Disk,
    /// Not known to this program.
    #[serde(rename = "unknown")]
    Unknown,
}

/// One block device on the way from a file system down to the disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Layer {
    /// Kernel name: `dm-0`, `vda1`.
    pub name: String,
    /// What it is.
    pub kind: LayerKind,
    /// Device-mapper name (`cryptroot`), where it has one.
    pub label: Option<String>,
    /// UUID of the LUKS header that it was opened with, where it is LUKS.
    pub uuid: Option<String>,
    /// The cipher in use, by the kernel's word (`dmsetup table`); null where it is no dm-crypt, or this was not told.
    pub cipher: Option<VolumeCipher>,
    /// Steps below the file system, from 0.
    pub depth: u32,
}

/// Whether a layer of encryption lies between a file system and every disk that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Encryption {
    /// Present: no data reach a disk in the clear, because the file system encrypts, or every way down passes dm-crypt or ends in memory (see
    /// `in_memory`; `layer` is then null). Absent: at least one way down reaches a disk of this machine without it. Else
    /// not proven: encryption may lie where this kernel can't see it, as beneath the disk of a virtual machine.
    pub outcome: Outcome,
    /// Why it is not proven, or which disk is reached without encryption, or that the data are in memory only.
    pub why: Option<String>,
    /// The kind of the topmost encryption; null where there is none.
    pub layer: Option<LayerKind>,
    /// The device that it is on: `/dev/mapper/cryptroot`.
    pub device: Option<String>,
}

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mount {
    /// Where it is mounted; `/mnt#2` where another file system hides it there.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Source by the kernel's word: `/dev/mapper/cryptroot`, `overlay`, `server:/export`.
    pub source: String,
    /// Number of its device, `major:minor`.
    pub device: String,
    /// Type: `ext4`, `btrfs`, `overlay`, …
    pub file_system: String,
    /// Flags of the mount and of the file system (`nodev`, `noexec`, `relatime`, …), sorted; options with a value are left
    /// out.
    pub options: Vec<String>,
    /// Can't be written through any of its mounts.
    pub read_only: bool,
    /// Data are in memory only (tmpfs).
    pub in_memory: bool,
    /// Other places where the same device is mounted (bind mounts included).
    pub also_at: Vec<String>,
    /// Block devices beneath, topmost first; empty where the file system has none that can be seen.
    pub stack: Vec<Layer>,
    /// Encryption beneath.
    pub encryption: Encryption,
}

/// What a swap area lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SwapKind {
    /// A block device.
    Partition,
    /// A file on a file system.
    File,
    /// Compressed memory.
    Zram,
}

/// One swap area in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SwapArea {
    /// Its path: `/dev/dm-1`, `/swapfile`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// What it lies on.
    pub kind: SwapKind,
    /// Size in bytes.
    pub bytes: u64,
    /// Data are in memory only.
    pub in_memory: bool,
    /// Block devices beneath, topmost first.
    pub stack: Vec<Layer>,
    /// Encryption beneath.
    pub encryption: Encryption,
}

/// Swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Swap {
    /// `"all"` where /proc/swaps could be read, else empty.
    pub asked: Asked,
    /// Present where an area is in use, absent where none is.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Areas in use.
    pub areas: Vec<SwapArea>,
}

/// File systems that hold no data of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeftOut {
    /// Type: `proc`, `sysfs`, `cgroup2`, …
    pub name: String,
    /// How many mounts.
    pub count: u32,
}

/// All mounted file systems that hold data, and swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MountsFacts {
    /// `"all"` where every mount of this mount namespace could be read, else empty.
    pub asked: Asked,
    /// File systems, once for each device, by mount point. What is mounted over and thus hidden is listed too.
    pub mounts: Vec<Mount>,
    /// Kernel interfaces left out, by type.
    pub left_out: Vec<LeftOut>,
    /// Lines that could not be read.
    pub not_read: Vec<NotRead>,
    /// Swap.
    pub swap: Swap,
}
