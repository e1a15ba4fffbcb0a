//! Which file systems and swap areas are in use, and whether encryption lies beneath them.

mod beneath;
mod crypt;
mod info;
mod stack;
pub(crate) mod storage;

use std::collections::BTreeMap;
use std::path::Path;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use self::crypt::{Crypt, PLAN};
use self::info::{Row, SwapRow, holder};
use self::stack::{Stack, Walk};
use crate::facts::{Asked, LeftOut, Mount, MountsFacts, NotRead, Outcome, Swap, SwapArea, SwapKind};
use crate::root::{Root, is_missing, why};
use crate::virtual_machine;

/// Bytes read of the table of mounts: about 40,000.
const MOST_TABLE: usize = 8 << 20;

/// Types that hold no data of their own: windows into the kernel.
const PSEUDO: [&str; 26] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// Types whose data are on another machine.
const REMOTE: [&str; 16] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.sshfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "vboxsf",
    "virtiofs",
];

/// Types that encrypt file by file.
const FILE_BY_FILE: [&str; 5] = ["ecryptfs", "fuse.cryfs", "fuse.encfs", "fuse.gocryptfs", "fuse.securefs"];

/// Looks at the mounts of the mount namespace that this program runs in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts {
    root: Root,
}

impl Probe for Mounts {
    fn kind(&self) -> Kind {
        Kind::new("mounts", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(MountsFacts)
    }

    fn plan(&self, _target: &Target) -> Plan {
        let files = [
            "/proc/self/mountinfo",
            "/proc/swaps",
            "/proc/cpuinfo",
            "/sys/dev/block/",
            "/sys/class/block/",
            "/sys/fs/btrfs/",
        ];
        Plan { files: files.map(str::to_owned).into(), commands: vec![PLAN.into()], ..Plan::default() }
    }

    fn observe<'a>(&'a self, _target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(cx).await?) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

impl Mounts {
    async fn look(&self, cx: &Cx) -> Result<MountsFacts, Failure> {
        let table = "/proc/self/mountinfo";
        let text = self.root.text(cx, table, MOST_TABLE).await.map_err(|e| {
            let class = if is_missing(&e) { FailureClass::Missing } else { e.class };
            Failure::new(class, format!("host: the mounts can't be read: {}; is /proc mounted?", why(&e)))
        })?;
        let (rows, bad) = info::mounts(&text);
        let not_read: Vec<NotRead> = bad
            .into_iter()
            .map(|line| NotRead::new(format!("{table}:{line}"), "not in a form that this program knows"))
            .collect();
        let virtual_machine = virtual_machine::sign(cx, &self.root).await.outcome == Outcome::Present;
        let walk = Walk { cx, root: &self.root, rows: &rows, virtual_machine, crypt: Crypt::default() };

        let mut left_out: BTreeMap<&str, u32> = BTreeMap::new();
        let mut groups: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
        for row in &rows {
            if PSEUDO.contains(&row.file_system.as_str()) {
                *left_out.entry(&row.file_system).or_default() += 1;
            } else {
                groups.entry((&row.device, &row.source)).or_default().push(row);
            }
        }
        let mut mounts = Vec::new();
        for rows in groups.values() {
            mounts.extend(self.mount(&walk, rows).await);
        }
        name_apart(&rows, &mut mounts);
        Ok(MountsFacts {
            asked: if not_read.is_empty() { Asked::All } else { Asked::Only(vec![]) },
            mounts,
            left_out: left_out.into_iter().map(|(name, count)| LeftOut { name: name.to_owned(), count }).collect(),
            not_read,
            swap: self.swap(&walk).await,
        })
    }

    /// All mounts of one device.
    async fn mount(&self, walk: &Walk<'_>, rows: &[&Row]) -> Option<Mount> {
        let row = rows.iter().min_by_key(|row| (Path::new(&row.mount_point).components().count(), &row.mount_point))?;
        let stack = walk.beneath(row).await;
        let mut options: Vec<String> =
            row.options.iter().filter(|o| !o.is_empty() && !o.contains('=')).cloned().collect();
        options.sort();
        options.dedup();
        let mut also_at: Vec<String> =
            rows.iter().map(|r| r.mount_point.clone()).filter(|point| *point != row.mount_point).collect();
        also_at.sort();
        also_at.dedup();
        Some(Mount {
            name: row.mount_point.clone(),
            outcome: Outcome::Present,
            source: row.source.clone(),
            device: row.device.clone(),
            file_system: row.file_system.clone(),
            options,
            read_only: rows.iter().all(|row| row.read_only),
            in_memory: stack.in_memory,
            also_at,
            stack: stack.layers,
            encryption: stack.encryption,
        })
    }

    async fn swap(&self, walk: &Walk<'_>) -> Swap {
        let unread = |why: String| Swap {
            asked: Asked::Only(vec![]),
            outcome: Outcome::NotProven,
            why: Some(why),
            areas: vec![],
        };
        let (rows, bad) = match self.root.text(walk.cx, "/proc/swaps", 1 << 20).await {
            Ok(text) => info::swaps(&text),
            // A kernel without swap has no such file.
            Err(e) if is_missing(&e) => (vec![], vec![]),
            Err(e) => return unread(why(&e)),
        };
        if let Some(line) = bad.first() {
            return unread(format!("/proc/swaps:{line} is not in a form that this program knows"));
        }
        let mut areas = Vec::new();
        for row in rows {
            areas.push(self.swap_area(walk, row).await);
        }
        let outcome = if areas.is_empty() { Outcome::Absent } else { Outcome::Present };
        Swap { asked: Asked::All, outcome, why: None, areas }
    }

    async fn swap_area(&self, walk: &Walk<'_>, row: SwapRow) -> SwapArea {
        let device = row.path.strip_prefix("/dev/").filter(|_| row.kind == "partition").map(str::to_owned);
        let (kind, stack) = match device {
            Some(name) => {
                // /dev/mapper/swap is a link to ../dm-1.
                let name = match walk.cx.read_link(self.root.path(&row.path)).await {
                    Ok(link) => link.rsplit('/').next().unwrap_or(&name).to_owned(),
                    Err(_) => name,
                };
                let kind = if name.starts_with("zram") { SwapKind::Zram } else { SwapKind::Partition };
                (kind, walk.down(vec![name]).await)
            }
            None => match holder(walk.rows, &row.path) {
                Some(mount) => (SwapKind::File, walk.beneath(mount).await),
                None => (SwapKind::File, Stack::unseen("the file system that holds it can't be seen")),
            },
        };
        SwapArea {
            name: row.path,
            outcome: Outcome::Present,
            kind,
            bytes: row.kibibytes.saturating_mul(1024),
            in_memory: stack.in_memory,
            stack: stack.layers,
            encryption: stack.encryption,
        }
    }
}

/// Sorts by name. Of several file systems at one place all but the one mounted last are hidden, and are numbered.
fn name_apart(rows: &[Row], mounts: &mut [Mount]) {
    let made = |mount: &Mount| {
        rows.iter().rposition(|r| r.device == mount.device && r.source == mount.source && r.mount_point == mount.name)
    };
    mounts.sort_by(|a, b| a.name.cmp(&b.name).then(made(b).cmp(&made(a))));
    let mut before: Option<(String, u32)> = None;
    for mount in mounts {
        let number = match &before {
            Some((name, number)) if *name == mount.name => number + 1,
            _ => 1,
        };
        before = Some((mount.name.clone(), number));
        if number > 1 {
            mount.name = format!("{}#{number}", mount.name);
        }
    }
}

#[cfg(test)]
mod tests;
