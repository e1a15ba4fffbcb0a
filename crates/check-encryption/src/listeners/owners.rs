//! Which process holds which socket.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use model::FailureClass;
use probe::Cx;

use crate::facts::Process;
use crate::proc;
use crate::root::Root;

/// Descriptors looked at in all, and of one process.
const MOST_LINKS: usize = 400_000;
const MOST_OF_ONE: usize = 100_000;
/// Time kept back for the rest of the probe.
const RESERVE: Duration = Duration::from_secs(2);

/// What was found in /proc/PID/fd.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    pids: BTreeMap<u64, BTreeSet<u32>>,
    /// Processes that could not be read (completely).
    pub(super) not_read: u32,
}

impl Owners {
    /// Looks for the holders of these inodes in every process.
    pub(super) async fn find(cx: &Cx, root: &Root, inodes: &HashSet<u64>) -> Self {
        let mut owners = Self::default();
        let mut links = 0;
        for pid in proc::pids(cx, root).await {
            if links >= MOST_LINKS || cx.remaining() < RESERVE {
                owners.not_read += 1;
                continue;
            }
            let folder = root.path(format!("/proc/{pid}/fd"));
            match cx.list_dir(&folder, MOST_OF_ONE).await {
                Ok(listing) => {
                    links += listing.names.len();
                    owners.not_read += u32::from(listing.cut);
                    for name in listing.names {
                        // A descriptor that was closed meanwhile holds nothing.
                        let Ok(to) = cx.read_link(folder.join(name)).await else { continue };
                        if let Some(inode) = socket(&to).filter(|inode| inodes.contains(inode)) {
                            owners.pids.entry(inode).or_default().insert(pid);
                        }
                    }
                }
                // A process that ended meanwhile holds nothing either.
                Err(e) if e.class == FailureClass::Permission => owners.not_read += 1,
                Err(_) => {}
            }
        }
        owners
    }

    /// Every inode with its holders.
    pub(super) fn all(&self) -> impl Iterator<Item = (&u64, &BTreeSet<u32>)> {
        self.pids.iter()
    }

    /// The process behind sockets that share an address.
    pub(super) async fn process(&self, cx: &Cx, root: &Root, inodes: impl Iterator<Item = u64>) -> Option<Process> {
        let holders: BTreeSet<u32> = inodes.filter_map(|inode| self.pids.get(&inode)).flatten().copied().collect();
        let pid = *holders.first()?;
        let (exe, exe_deleted) = proc::exe(cx, root, pid).await.unzip();
        Some(Process {
            pid,
            name: root.line(cx, format!("/proc/{pid}/comm")).await,
            exe,
            exe_deleted,
            holders: u32::try_from(holders.len()).unwrap_or(u32::MAX),
        })
    }
}

/// The sockets that one process holds; empty where they can't be read.
pub(super) async fn inodes(cx: &Cx, root: &Root, pid: u32) -> HashSet<u64> {
    let folder = root.path(format!("/proc/{pid}/fd"));
    let mut inodes = HashSet::new();
    for name in cx.list_dir(&folder, MOST_OF_ONE).await.unwrap_or_default().names {
        inodes.extend(cx.read_link(folder.join(name)).await.ok().as_deref().and_then(socket));
    }
    inodes
}

/// The inode in `socket:[18834]`.
fn socket(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}
