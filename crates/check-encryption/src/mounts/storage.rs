//! The probe `storage`: which file systems hold the declared paths, and what lies beneath them.

use std::path::Path;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use super::MOST_TABLE;
use super::crypt::{Crypt, PLAN};
use super::info::{self, Row, Tree};
use super::stack::Walk;
use crate::disk::{self, SORT};
use crate::facts::{
    Asked, DiskSpec, Encryption, Holder, Layer, LayerKind, NotRead, OnDevice, Outcome, StorageFacts, StoredPath,
};
use crate::root::{Root, is_missing, why};
use crate::{luks, virtual_machine};

/// File systems mounted below one path that are looked at; with more of them the list is not complete.
const MOST_BELOW: usize = 1024;
const TABLE: &str = "/proc/self/mountinfo";

/// Looks at what holds declared paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Storage {
    pub(super) root: Root,
}

impl Probe for Storage {
    fn kind(&self) -> Kind {
        Kind::new("storage", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(StorageFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let Ok(spec) = disk::spec(target) else { return Plan::default() };
        let kernel = [TABLE, "/proc/cpuinfo", "/sys/dev/block/", "/sys/class/block/", "/sys/fs/btrfs/"];
        let files = kernel.map(str::to_owned).into_iter().chain(spec.device).collect();
        Plan {
            files,
            commands: vec![PLAN.into(), "zfs get encryption (where a path lies on ZFS)".into()],
            ..Plan::default()
        }
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = disk::spec(target)?;
            probe::facts(&look(cx, &self.root, &spec, &target.name).await?)
        })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

/// Looks at all declared paths.
async fn look(cx: &Cx, root: &Root, spec: &DiskSpec, target: &str) -> Result<StorageFacts, Failure> {
    let mut device = Device { path: spec.device.clone(), name: None, uuid: None };
    if let Some(path) = &spec.device {
        // Where it can't be read, the probe `luks` says so.
        device.uuid = luks::volume(cx, root, path, true).await.ok().and_then(|volume| volume.uuid);
        let real = root.real(cx, path).await.map_or_else(|_| path.clone(), |(real, _)| real);
        device.name = real.strip_prefix("/dev/").map(str::to_owned);
    }
    let (paths, not_read) = held(cx, root, &spec.mounts, &device, target).await?;
    Ok(StorageFacts { device: device.path, device_uuid: device.uuid, asked: Asked::All, paths, not_read })
}

/// The layers beneath each declared path that were opened from LUKS headers.
///
/// # Errors
/// Where the mounts can't be read.
pub(crate) async fn luks_layers(
    cx: &Cx,
    root: &Root,
    paths: &[String],
    target: &str,
) -> Result<Vec<(String, Vec<Layer>)>, Failure> {
    let device = Device { path: None, name: None, uuid: None };
    let (paths, _) = held(cx, root, paths, &device, target).await?;
    let luks = |layer: &Layer| matches!(layer.kind, LayerKind::Luks1 | LayerKind::Luks2);
    let of = |path: StoredPath| (path.name, path.holders.into_iter().flat_map(|h| h.stack).filter(luks).collect());
    Ok(paths.into_iter().map(of).collect())
}

/// What holds each path, and what could not be read of the table of mounts.
async fn held(
    cx: &Cx,
    root: &Root,
    paths: &[String],
    device: &Device,
    target: &str,
) -> Result<(Vec<StoredPath>, Vec<NotRead>), Failure> {
    if paths.is_empty() {
        return Ok((vec![], vec![]));
    }
    let text = root.text(cx, TABLE, MOST_TABLE).await.map_err(|e| {
        let class = if is_missing(&e) { FailureClass::Missing } else { e.class };
        Failure::new(class, format!("{target}: the mounts can't be read: {}; is /proc mounted?", why(&e)))
    })?;
    let (rows, bad) = info::mounts(&text);
    let not_read: Vec<NotRead> = bad
        .into_iter()
        .map(|line| NotRead::new(format!("{TABLE}:{line}"), "not in a form that this program knows"))
        .collect();
    let virtual_machine = virtual_machine::sign(cx, root).await.outcome == Outcome::Present;
    let walk = Walk { cx, root, rows: &rows, virtual_machine, crypt: Crypt::default() };
    let asked = if not_read.is_empty() { Asked::All } else { Asked::Only(vec![]) };
    let mut found = Vec::new();
    for path in paths {
        found.push(stored(&walk, path, device, &asked).await);
    }
    Ok((found, not_read))
}

/// One declared path.
async fn stored(walk: &Walk<'_>, path: &str, device: &Device, asked: &Asked) -> StoredPath {
    let unproven = |why: String| StoredPath {
        name: path.to_owned(),
        outcome: Outcome::NotProven,
        why: Some(why),
        real: None,
        asked: Asked::Only(vec![]),
        holders: vec![],
    };
    let real = match walk.root.real(walk.cx, path).await {
        Ok((real, _)) => real,
        Err(e) => return unproven(why(&e)),
    };
    let tree = Tree::of(walk.rows);
    let Some(first) = tree.holder(&real) else {
        return unproven(format!("{real}: {TABLE} does not tell which mount holds it"));
    };
    let mut holders = vec![held_by(walk, first, Some(&real), device).await];
    // What another mount covers holds nothing that can be reached by this path.
    let mut below: Vec<&Row> = walk.rows.iter().collect();
    below.sort_by_key(|row| &row.mount_point);
    let mut below = below.into_iter().filter(|row| {
        Path::new(&row.mount_point).starts_with(&real)
            && row.id != first.id
            && !super::PSEUDO.contains(&row.file_system.as_str())
            && tree.shows(row)
    });
    for row in below.by_ref().take(MOST_BELOW) {
        holders.push(held_by(walk, row, None, device).await);
    }
    let asked = if below.next().is_none() { asked.clone() } else { Asked::Only(vec![]) };
    holders.sort_by(|a, b| a.name.cmp(&b.name));
    StoredPath { name: path.to_owned(), outcome: Outcome::Present, why: None, real: Some(real), asked, holders }
}

/// One file system. `path` is the declared path where that lies on it.
async fn held_by(walk: &Walk<'_>, row: &Row, path: Option<&str>, device: &Device) -> Holder {
    let stack = walk.beneath(row).await;
    let mut encryption = stack.encryption;
    if let Some(path) = path.filter(|_| encryption.outcome != Outcome::Present) {
        let told = walk.cx.is_encrypted(walk.root.path(path)).await;
        if told == Ok(Some(true)) {
            encryption =
                Encryption { outcome: Outcome::Present, why: None, layer: Some(LayerKind::Fscrypt), device: None };
        }
    }
    Holder {
        name: row.mount_point.clone(),
        outcome: Outcome::Present,
        source: row.source.clone(),
        file_system: row.file_system.clone(),
        in_memory: stack.in_memory,
        on_device: device.holds(&stack.layers),
        stack: stack.layers,
        encryption,
    }
}

/// The declared device.
struct Device {
    path: Option<String>,
    /// The kernel's name.
    name: Option<String>,
    /// Of its LUKS header.
    uuid: Option<String>,
}

impl Device {
    /// Whether a stack of layers lies on it.
    fn holds(&self, layers: &[Layer]) -> OnDevice {
        let not_proven = |why: String| OnDevice { outcome: Outcome::NotProven, why: Some(why) };
        let Some(path) = &self.path else { return not_proven("no device is declared".into()) };
        if layers.is_empty() {
            return not_proven("no device beneath is shown".into());
        }
        let opened: Vec<&String> = layers.iter().filter_map(|layer| layer.uuid.as_ref()).collect();
        let ours = |uuid: &&String| self.uuid.as_ref() == Some(*uuid);
        let itself = layers.iter().any(|layer| Some(&layer.name) == self.name.as_ref());
        if (!opened.is_empty() && opened.iter().all(ours)) || (opened.is_empty() && itself) {
            return OnDevice { outcome: Outcome::Present, why: None };
        }
        if itself || opened.iter().any(ours) {
            return not_proven(format!("{path} is among what lies beneath, with other LUKS devices beside it"));
        }
        let beneath = layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>().join(", ");
        OnDevice { outcome: Outcome::Absent, why: Some(format!("{path} is not among what lies beneath: {beneath}")) }
    }
}

#[cfg(test)]
mod tests;
