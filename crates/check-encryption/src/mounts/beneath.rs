//! What lies beneath one file system: devices, or another way of encryption.

use std::time::Duration;

use probe::Command;

use super::info::{Row, holder};
use super::stack::{Stack, Walk};
use super::{FILE_BY_FILE, REMOTE};
use crate::facts::{Encryption, LayerKind, Outcome};

/// Overlays on overlays, at most.
const DEEPEST: u32 = 4;

impl Walk<'_> {
    /// What lies beneath a file system.
    pub(super) async fn beneath(&self, row: &Row) -> Stack {
        self.beneath_at(row, 0).await
    }

    async fn beneath_at(&self, row: &Row, depth: u32) -> Stack {
        let kind = row.file_system.as_str();
        let mut stack = match kind {
            "tmpfs" | "ramfs" => return Stack::memory(),
            "overlay" => return Box::pin(self.overlay(row, depth)).await,
            "zfs" => return self.zfs(&row.source).await,
            "ecryptfs" => return ecryptfs(row),
            "fuse.gocryptfs" => return self.gocryptfs(row).await,
            "aufs" => return Stack::unseen("aufs: its data lie on other file systems, which are not looked at"),
            "bcachefs" => return Stack::unseen("bcachefs: encrypts by itself where asked to, which is not looked at"),
            _ if FILE_BY_FILE.contains(&kind) => {
                return Stack::unseen(format!("{kind}: encrypts file by file, which is not looked at"));
            }
            _ if REMOTE.contains(&kind) => {
                return Stack::unseen(format!("{kind}: the data are on another machine, or outside this one"));
            }
            "btrfs" => match self.btrfs_devices(&row.source).await {
                Some(devices) => self.down(devices).await,
                None => return Stack::unseen(format!("btrfs: the devices of {} are not shown in /sys", row.source)),
            },
            _ if row.device.starts_with("0:") => {
                return Stack::unseen(format!("{kind}: no block device is behind it that can be seen"));
            }
            _ => match self.name(&row.device).await {
                Some(name) => self.down(vec![name]).await,
                None => return Stack::unseen(format!("device {} is not in /sys/dev/block", row.device)),
            },
        };
        // The mark that fscrypt(8) leaves at the top of a file system that it may encrypt folders of.
        let marked =
            self.cx.metadata(self.root.path(format!("{}/.fscrypt", row.mount_point.trim_end_matches('/')))).await;
        if stack.encryption.outcome == Outcome::Absent && marked.is_ok() {
            stack.encryption = Encryption::not_proven(
                "fscrypt is set up on it: some folders may be encrypted; declare their paths to have them looked at",
            );
        }
        stack
    }

    /// All folders that an overlay joins. That of a container's root names folders which only the machine itself has.
    async fn overlay(&self, row: &Row, depth: u32) -> Stack {
        let elsewhere = || {
            Stack::unseen(
                "overlay: its data lie on other file systems, which a container can't see; look from the machine itself",
            )
        };
        if row.mount_point == "/" || depth >= DEEPEST {
            return elsewhere();
        }
        let mut stack: Option<Stack> = None;
        let dirs = row.options.iter().filter_map(|option| option.split_once('='));
        for (name, dirs) in dirs.filter(|(name, _)| name.starts_with("lowerdir") || *name == "upperdir") {
            let plain = matches!(name, "lowerdir" | "upperdir") && !dirs.contains('\\');
            for dir in dirs.split(':') {
                let found = match plain && dir.starts_with('/') {
                    true => self.root.real(self.cx, dir).await.ok().filter(|(_, found)| found.is_dir),
                    false => None,
                };
                let Some((dir, _)) = found else { return elsewhere() };
                let Some(below) = holder(self.rows, &dir) else { return elsewhere() };
                let next = self.beneath_at(below, depth + 1).await;
                stack = Some(match stack {
                    Some(stack) => stack.and(next),
                    None => next,
                });
            }
        }
        stack.unwrap_or_else(elsewhere)
    }

    /// The encryption of a ZFS dataset is a property that is set when it is made (zfsprops(7)).
    async fn zfs(&self, dataset: &str) -> Stack {
        let Some(program) = self.root.program(self.cx, "zfs") else {
            return Stack::unseen("zfs: encrypts by itself where asked to; the program zfs, which tells, is missing");
        };
        let argv = [program.as_str(), "get", "-H", "-o", "property,value", "encryption", dataset];
        let command = Command { within: Duration::from_secs(10), ..Command::new(&argv) };
        let said = match self.cx.command(command).await {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(failure) => return Stack::unseen(format!("zfs: {}", failure.message)),
        };
        let value = said.lines().find_map(|line| line.strip_prefix("encryption\t")).map(str::trim);
        match value {
            Some(value) if value.starts_with("aes-") => Stack::by_itself(LayerKind::Zfs),
            Some("off") => Stack::unseen("zfs: does not encrypt this dataset; the disks of its pool are not looked at"),
            _ => Stack::unseen("zfs: does not tell whether it encrypts this dataset; run as root"),
        }
    }

    /// gocryptfs mounts by its folder of encrypted files, which holds its configuration. What mounted it may call itself
    /// anything, so that only root's word counts.
    async fn gocryptfs(&self, row: &Row) -> Stack {
        if !row.options.iter().any(|option| option == "user_id=0") {
            return Stack::unseen("gocryptfs: by the word of a user who is not root");
        }
        let config = format!("{}/gocryptfs.conf", row.source);
        match self.cx.metadata(self.root.path(&config)).await {
            Ok(found) if found.is_file && row.source.starts_with('/') => Stack::by_itself(LayerKind::Gocryptfs),
            _ => Stack::unseen(format!(
                "gocryptfs: {config} is not there, as in reverse mode, which shows encrypted files"
            )),
        }
    }

    /// All devices of the btrfs file system of which one is mounted as `source`; its device number names none.
    async fn btrfs_devices(&self, source: &str) -> Option<Vec<String>> {
        let name = match self.cx.read_link(self.root.path(source)).await {
            Ok(link) => link.rsplit('/').next()?.to_owned(),
            Err(_) => source.strip_prefix("/dev/")?.to_owned(),
        };
        let all = self.cx.list_dir(self.root.path("/sys/fs/btrfs"), 1024).await.ok()?;
        for uuid in all.names {
            let folder = self.root.path(format!("/sys/fs/btrfs/{uuid}/devices"));
            let Ok(devices) = self.cx.list_dir(folder, 256).await else { continue };
            if !devices.cut && devices.names.contains(&name) {
                return Some(devices.names);
            }
        }
        None
    }
}

/// eCryptfs shows how it encrypts among the options of the mount (Linux, fs/ecryptfs/super.c). It can let plain files
/// pass, or show encrypted ones as they are.
fn ecryptfs(row: &Row) -> Stack {
    let has = |name: &str| row.options.iter().any(|option| option == name);
    if has("ecryptfs_passthrough") || has("ecryptfs_encrypted_view") {
        return Stack::unseen("ecryptfs: is told to let files pass as they are");
    }
    match row.options.iter().any(|option| option.starts_with("ecryptfs_cipher=")) {
        true => Stack::by_itself(LayerKind::Ecryptfs),
        false => Stack::unseen("ecryptfs: does not show its cipher"),
    }
}
