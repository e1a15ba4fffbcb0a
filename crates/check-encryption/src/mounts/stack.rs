//! What lies between a file system and its disks, as /sys shows it.

use std::collections::BTreeSet;

use probe::Cx;

use super::crypt::Crypt;
use super::info::{Row, holder};
use crate::facts::{Encryption, Layer, LayerKind, Outcome, VolumeCipher};
use crate::root::Root;

/// Block devices looked at beneath one file system.
const MOST: usize = 64;

/// The devices beneath something, and what they say of encryption.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) layers: Vec<Layer>,
    pub(super) encryption: Encryption,
    pub(super) in_memory: bool,
}

impl Stack {
    /// Nothing that can be seen lies beneath.
    pub(super) fn unseen(why: impl Into<String>) -> Self {
        Self { layers: vec![], encryption: Encryption::not_proven(why), in_memory: false }
    }

    /// Memory lies beneath.
    pub(super) fn memory() -> Self {
        let why = Some("the data are in memory only".into());
        let encryption = Encryption { outcome: Outcome::Present, why, layer: None, device: None };
        Self { layers: vec![], encryption, in_memory: true }
    }
}

impl Stack {
    /// The file system encrypts by itself.
    pub(super) fn by_itself(layer: LayerKind) -> Self {
        let encryption = Encryption { outcome: Outcome::Present, why: None, layer: Some(layer), device: None };
        Self { layers: vec![], encryption, in_memory: false }
    }

    /// Two places hold parts of the data: both are as bare as the barer of them.
    pub(super) fn and(mut self, mut other: Self) -> Self {
        let rank = |stack: &Self| match (stack.encryption.outcome, stack.in_memory) {
            (Outcome::Absent, _) => 0,
            (Outcome::NotProven, _) => 1,
            (Outcome::Present, false) => 2,
            (Outcome::Present, true) => 3,
        };
        if rank(&other) < rank(&self) {
            std::mem::swap(&mut self, &mut other);
        }
        self.layers.extend(other.layers.into_iter().filter(|layer| !self.layers.contains(layer)).collect::<Vec<_>>());
        self
    }
}

impl Encryption {
    pub(super) fn not_proven(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotProven, why: Some(why.into()), layer: None, device: None }
    }
}

/// What the walk down needs to know of the machine.
pub(super) struct Walk<'a> {
    pub(super) cx: &'a Cx,
    pub(super) root: &'a Root,
    pub(super) rows: &'a [Row],
    pub(super) virtual_machine: bool,
    /// What dm-crypt is told to do, asked for where it is met.
    pub(super) crypt: Crypt,
}

/// What a way down has passed so far.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Above {
    Nothing,
    /// A device-mapper target that may encrypt or not.
    Doubt,
    Encryption,
}

/// How the ways down end, beside those that pass encryption.
#[derive(Default)]
struct Ends {
    encrypted: Option<(LayerKind, String)>,
    bare: Option<String>,
    unseen: Option<String>,
    memory: bool,
    /// A layer of dm-crypt that lets all pass as it is.
    null: Option<String>,
}

impl Walk<'_> {
    /// The kernel's name for `major:minor`.
    pub(super) async fn name(&self, device: &str) -> Option<String> {
        let link = self.cx.read_link(self.root.path(format!("/sys/dev/block/{device}"))).await.ok()?;
        link.rsplit('/').next().map(str::to_owned)
    }

    /// Walks down from these devices, on all ways.
    pub(super) async fn down(&self, tops: Vec<String>) -> Stack {
        let mut ends = Ends::default();
        let mut layers = Vec::new();
        let mut visited = BTreeSet::new();
        let mut todo: Vec<(String, u32, Above)> =
            tops.into_iter().rev().map(|name| (name, 0, Above::Nothing)).collect();
        while let Some((name, depth, above)) = todo.pop() {
            if !visited.insert((name.clone(), above)) {
                continue;
            }
            if layers.len() >= MOST {
                ends.unseen.get_or_insert(format!("more than {MOST} devices lie beneath; the rest was not looked at"));
                break;
            }
            let (kind, label, uuid) = self.describe(&name).await;
            let device = label.as_ref().map_or(format!("/dev/{name}"), |label| format!("/dev/mapper/{label}"));
            let cipher = match (kind.encrypts(), &label) {
                (true, Some(label)) => self.crypt.cipher(self.cx, self.root, label).await,
                _ => None,
            };
            let above = above.max(match proof(kind, cipher.as_ref()) {
                Above::Encryption => {
                    ends.encrypted.get_or_insert((kind, device));
                    Above::Encryption
                }
                Above::Nothing if kind.encrypts() => {
                    ends.null.get_or_insert(format!("{device} is mapped with a cipher that encrypts nothing"));
                    Above::Nothing
                }
                above => above,
            });
            match self.below(&name, kind).await {
                Ok(names) if names.is_empty() => self.end(&name, kind, above, &mut ends),
                Ok(names) => todo.extend(names.into_iter().rev().map(|below| (below, depth + 1, above))),
                Err(why) if above != Above::Encryption => {
                    ends.unseen.get_or_insert(why);
                }
                Err(_) => {}
            }
            layers.push(Layer { name, kind, label, uuid, cipher, depth });
        }
        let in_memory = ends.memory && ends.bare.is_none() && ends.unseen.is_none() && ends.encrypted.is_none();
        Stack { layers, encryption: ends.encryption(), in_memory }
    }

    /// What a device is, its device-mapper name, and the UUID of its LUKS header.
    async fn describe(&self, name: &str) -> (LayerKind, Option<String>, Option<String>) {
        let class = format!("/sys/class/block/{name}");
        if name.starts_with("dm-") {
            let uuid = self.root.line(self.cx, format!("{class}/dm/uuid")).await;
            let label = self.root.line(self.cx, format!("{class}/dm/name")).await;
            let uuid = uuid.unwrap_or_default();
            return (of_uuid(&uuid), label, luks_uuid(&uuid));
        }
        let partition = self.root.line(self.cx, format!("{class}/partition")).await.is_some();
        (of_name(name, partition), None, None)
    }

    /// The devices directly beneath; an error is a way that can't be followed.
    async fn below(&self, name: &str, kind: LayerKind) -> Result<Vec<String>, String> {
        let class = format!("/sys/class/block/{name}");
        match kind {
            LayerKind::Partition => {
                // …/block/vda/vda1: the folder around a partition is its disk.
                let link = self.cx.read_link(self.root.path(&class)).await.map_err(|e| e.to_string())?;
                let disk = link.rsplit('/').nth(1).ok_or_else(|| format!("{name}: its disk is not shown"))?;
                Ok(vec![disk.to_owned()])
            }
            LayerKind::Loop => {
                let file = self
                    .root
                    .line(self.cx, format!("{class}/loop/backing_file"))
                    .await
                    .ok_or_else(|| format!("{name}: the file behind it is not shown"))?;
                let row = holder(self.rows, &file).filter(|row| !row.device.starts_with("0:"));
                let row = row.ok_or_else(|| format!("{name}: the disk of {file} can't be seen"))?;
                self.name(&row.device)
                    .await
                    .map(|name| vec![name])
                    .ok_or_else(|| format!("{file}: its disk is not in /sys"))
            }
            LayerKind::Zram => match self.root.line(self.cx, format!("{class}/backing_dev")).await {
                Some(device) if device != "none" => Ok(vec![device.rsplit('/').next().unwrap_or(&device).to_owned()]),
                _ => Ok(vec![]),
            },
            _ => {
                // No folder `slaves`, and a device that is not there at all, are different things.
                let there = self.cx.list_dir(self.root.path(&class), 256).await;
                let there = there.map_err(|e| format!("{name}: {e}"))?;
                if !there.names.iter().any(|n| n == "slaves") {
                    return Ok(vec![]);
                }
                let slaves = self.cx.list_dir(self.root.path(format!("{class}/slaves")), MOST).await;
                slaves.map(|listing| listing.names).map_err(|e| e.to_string())
            }
        }
    }

    /// Notes how a way down ended.
    fn end(&self, name: &str, kind: LayerKind, above: Above, ends: &mut Ends) {
        match kind {
            _ if above == Above::Encryption => {}
            _ if above == Above::Doubt => {
                ends.unseen.get_or_insert(format!(
                    "down to {name} lies a device-mapper target of an unknown sort, or dm-crypt without a header, whose cipher is \
                     not told (dmsetup table, as root)"
                ));
            }
            LayerKind::Ram | LayerKind::Zram => ends.memory = true,
            LayerKind::Disk if self.virtual_machine => {
                ends.unseen.get_or_insert(format!(
                    "no encryption down to {name}, the disk of a virtual machine; what lies beneath it can't be seen from here"
                ));
            }
            LayerKind::Disk => {
                ends.bare.get_or_insert(format!("no encryption down to the disk {name}"));
            }
            LayerKind::Network => {
                ends.unseen.get_or_insert(format!(
                    "no encryption down to {name}, a disk on the network; whether its server encrypts can't be seen from here"
                ));
            }
            _ => {
                ends.unseen.get_or_insert(format!("{name}: what lies beneath it is not shown"));
            }
        }
    }
}

impl Ends {
    fn encryption(self) -> Encryption {
        let (layer, device) = self.encrypted.unzip();
        let (outcome, why) = match (self.bare, self.unseen) {
            (Some(bare), _) => match self.null {
                Some(null) => (Outcome::Absent, Some(format!("{bare}: {null}"))),
                None => (Outcome::Absent, Some(bare)),
            },
            (None, Some(unseen)) => (Outcome::NotProven, Some(unseen)),
            (None, None) if layer.is_some() => (Outcome::Present, None),
            (None, None) if self.memory => (Outcome::Present, Some("the data are in memory only".into())),
            (None, None) => (Outcome::NotProven, Some("no device beneath is shown".into())),
        };
        Encryption { outcome, why, layer, device }
    }
}

/// What a layer does to data. A LUKS header tells the cipher too, and is judged by itself; where there is none, only the
/// kernel's table can.
fn proof(kind: LayerKind, cipher: Option<&VolumeCipher>) -> Above {
    match (kind, cipher.map(|cipher| cipher.strength_bits)) {
        (LayerKind::DeviceMapper, _) => Above::Doubt,
        _ if !kind.encrypts() => Above::Nothing,
        (_, Some(Some(0))) => Above::Nothing,
        (LayerKind::PlainDmCrypt | LayerKind::OtherDmCrypt, None) => Above::Doubt,
        _ => Above::Encryption,
    }
}

impl LayerKind {
    const fn encrypts(self) -> bool {
        matches!(self, Self::Luks1 | Self::Luks2 | Self::PlainDmCrypt | Self::OtherDmCrypt)
    }
}

/// The sort of a device-mapper device by the prefix of its UUID, which its tool gave it. cryptsetup's prefix alone is
/// not enough: dm-verity and dm-integrity bear it too.
pub(super) fn of_uuid(uuid: &str) -> LayerKind {
    const PREFIXES: [(&str, LayerKind); 10] = [
        ("CRYPT-LUKS1-", LayerKind::Luks1),
        ("CRYPT-LUKS2-", LayerKind::Luks2),
        ("CRYPT-PLAIN-", LayerKind::PlainDmCrypt),
        ("CRYPT-TCRYPT-", LayerKind::OtherDmCrypt),
        ("CRYPT-BITLK-", LayerKind::OtherDmCrypt),
        ("CRYPT-FVAULT2-", LayerKind::OtherDmCrypt),
        ("CRYPT-LOOPAES-", LayerKind::OtherDmCrypt),
        ("LVM-", LayerKind::Lvm),
        ("mpath-", LayerKind::Lvm),
        ("part", LayerKind::Partition),
    ];
    let known = PREFIXES.iter().find(|(prefix, _)| uuid.starts_with(prefix)).map(|(_, kind)| *kind);
    known.unwrap_or(LayerKind::DeviceMapper)
}

/// The UUID in the header, which cryptsetup puts behind its prefix without hyphens: `CRYPT-LUKS2-<32 digits>-name`.
fn luks_uuid(uuid: &str) -> Option<String> {
    let rest = uuid.strip_prefix("CRYPT-LUKS")?.split_once('-')?.1;
    let digits = rest.get(..32).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let groups = [digits.get(..8), digits.get(8..12), digits.get(12..16), digits.get(16..20), digits.get(20..)];
    Some(groups.into_iter().collect::<Option<Vec<_>>>()?.join("-"))
}

/// The sort of any other block device by the kernel's name for it (Documentation/admin-guide/devices.txt).
pub(super) fn of_name(name: &str, partition: bool) -> LayerKind {
    const PREFIXES: [(&str, LayerKind); 17] = [
        ("md", LayerKind::Md),
        ("loop", LayerKind::Loop),
        ("zram", LayerKind::Zram),
        ("ram", LayerKind::Ram),
        ("nbd", LayerKind::Network),
        ("rbd", LayerKind::Network),
        ("drbd", LayerKind::Network),
        ("sd", LayerKind::Disk),
        ("hd", LayerKind::Disk),
        ("vd", LayerKind::Disk),
        ("xvd", LayerKind::Disk),
        ("nvme", LayerKind::Disk),
        ("mmcblk", LayerKind::Disk),
        ("sr", LayerKind::Disk),
        ("pmem", LayerKind::Disk),
        ("dasd", LayerKind::Disk),
        ("mtdblock", LayerKind::Disk),
    ];
    if partition {
        return LayerKind::Partition;
    }
    let known = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, kind)| *kind);
    known.unwrap_or(LayerKind::Unknown)
}
