//! Who beside its owner may read a file, and who may put another in its place: access lists (acl(5)), and every folder on
//! the way to it.

use std::collections::BTreeMap;

use probe::{Cx, Metadata};

use crate::root::{Root, why};

/// Someone whom an access list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) is_group: bool,
    pub(crate) id: u32,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// Whom an access list names beside owner, owning group and everyone, with what its mask leaves them. `None` where it is not of
/// the form of the kernel's `posix_acl_xattr.h`.
pub(crate) fn grants(list: &[u8]) -> Option<Vec<Grant>> {
    let (version, entries) = list.split_at_checked(4)?;
    if version != 2_u32.to_le_bytes() || !entries.len().is_multiple_of(8) {
        return None;
    }
    let entry = |bytes: &[u8]| {
        let [tag0, tag1, perm0, perm1, id @ ..] = bytes else { return None };
        let id = u32::from_le_bytes(id.try_into().ok()?);
        Some((u16::from_le_bytes([*tag0, *tag1]), u16::from_le_bytes([*perm0, *perm1]), id))
    };
    let entries: Vec<(u16, u16, u32)> = entries.chunks_exact(8).map(entry).collect::<Option<_>>()?;
    let mask = entries.iter().find(|(tag, ..)| *tag == 0x10).map_or(7, |(_, perm, _)| *perm);
    let named = entries.iter().filter(|(tag, ..)| matches!(tag, 2 | 8));
    let grant = |(tag, perm, id): &(u16, u16, u32)| Grant {
        is_group: *tag == 8,
        id: *id,
        read: perm & mask & 4 != 0,
        write: perm & mask & 2 != 0,
    };
    Some(named.map(grant).collect())
}

/// Whether somebody beside root and an owner may replace what lies in a folder. In a sticky one everybody may only make new
/// things.
pub(crate) fn is_open(folder: &Metadata, owner: u32) -> bool {
    let by_mode =
        folder.mode & 0o1000 == 0 && (folder.mode & 0o002 != 0 || folder.mode & 0o020 != 0 && folder.gid != 0);
    by_mode || folder.uid != 0 && folder.uid != owner
}

/// The folders on the ways to files, each looked at once.
#[derive(Default)]
pub(crate) struct Ways {
    looked: BTreeMap<String, Result<(Metadata, Vec<Grant>), String>>,
    ways: BTreeMap<String, Result<Vec<String>, String>>,
}

impl Ways {
    /// Folders on the way to a path, and to its links' ends, that others than root and `owner` may write to.
    ///
    /// # Errors
    /// What could not be looked at.
    pub(crate) async fn open(&mut self, root: &Root, cx: &Cx, path: &str, owner: u32) -> Result<Vec<String>, String> {
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder });
        if !self.ways.contains_key(folder) {
            self.ways.insert(folder.to_owned(), root.way(cx, folder).await.map_err(|e| why(&e)));
        }
        let way = self.ways.get(folder).cloned().unwrap_or_else(|| Ok(Vec::new()))?;
        let mut open = Vec::new();
        for folder in way {
            if !self.looked.contains_key(&folder) {
                let looked = look(root, cx, &folder).await;
                self.looked.insert(folder.clone(), looked);
            }
            let Some(looked) = self.looked.get(&folder) else { continue };
            let (metadata, grants) = looked.as_ref().map_err(Clone::clone)?;
            let sticky = metadata.mode & 0o1000 != 0;
            // With a list, the group's bits are its mask.
            let written = grants
                .iter()
                .any(|grant| grant.write && !sticky && (grant.is_group || grant.id != 0 && grant.id != owner));
            if is_open(metadata, owner) || written {
                let list = if written { ", and an access list" } else { "" };
                let (mode, uid, gid) = (metadata.mode, metadata.uid, metadata.gid);
                open.push(format!("{folder} (mode {mode:04o}, owner {uid}, group {gid}{list})"));
            }
        }
        Ok(open)
    }
}

async fn look(root: &Root, cx: &Cx, folder: &str) -> Result<(Metadata, Vec<Grant>), String> {
    let metadata = cx.metadata(root.path(folder)).await.map_err(|e| why(&e))?;
    Ok((metadata, of(root, cx, folder).await?))
}

/// Whom the access list of a path names.
///
/// # Errors
/// Where it can't be read.
pub(crate) async fn of(root: &Root, cx: &Cx, path: &str) -> Result<Vec<Grant>, String> {
    match cx.access_list(root.path(path)).await.map_err(|e| why(&e))? {
        Some(list) => grants(&list).ok_or_else(|| format!("{path}: its access list is not in a form that is known")),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read_under_its_mask() {
        let entry = |tag: u16, perm: u16, id: u32| {
            [tag.to_le_bytes().as_slice(), perm.to_le_bytes().as_slice(), id.to_le_bytes().as_slice()].concat()
        };
        let list = [
            2_u32.to_le_bytes().to_vec(),
            entry(1, 6, u32::MAX),
            entry(2, 6, 65534),
            entry(4, 0, u32::MAX),
            entry(8, 4, 33),
            entry(0x10, 4, u32::MAX),
            entry(0x20, 0, u32::MAX),
        ];
        let nobody = Grant { is_group: false, id: 65534, read: true, write: false };
        assert_eq!(grants(&list.concat()), Some(vec![nobody, Grant { is_group: true, id: 33, ..nobody }]));
        assert_eq!(grants(b"\x03\0\0\0"), None);
    }

    proptest! {
        #[test]
        fn any_list_is_borne(list in proptest::collection::vec(any::<u8>(), 0..60)) {
            grants(&list);
        }
    }
}
