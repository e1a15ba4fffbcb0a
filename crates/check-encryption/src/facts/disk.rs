//! A declared disk.

use std::path::{Component, Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `disk:` in an inventory: a device and the paths whose data it should hold, or one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskTarget {
    /// A block device with a LUKS header, an image of one, or a detached header.
    #[serde(default)]
    pub device: Option<String>,
    /// Absolute paths of folders or files that hold data.
    #[serde(default)]
    pub mounts: Vec<String>,
}

/// What the probes of a disk are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskSpec {
    /// Absolute path of the device or file.
    pub device: Option<String>,
    /// Absolute paths that hold data.
    pub mounts: Vec<String>,
}

/// Paths of one target, at most.
const MOST_PATHS: usize = 256;

impl DiskTarget {
    /// Checks it, and takes a relative device as relative to `folder`.
    ///
    /// # Errors
    /// The field that is wrong, and how.
    pub fn resolve(&self, folder: &Path) -> Result<DiskSpec, (&'static str, String)> {
        if self.device.is_none() && self.mounts.is_empty() {
            return Err(("device", "name a device, or the paths that hold data under 'mounts'".into()));
        }
        if self.device.as_deref().is_some_and(|device| device.is_empty() || device.contains('\0')) {
            return Err(("device", "the device has no name".into()));
        }
        if self.mounts.len() > MOST_PATHS {
            return Err(("mounts", format!("more than {MOST_PATHS} paths; make several targets of them")));
        }
        for path in &self.mounts {
            let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
            if !path.starts_with('/') || path.contains('\0') || !Path::new(path).components().all(plain) {
                return Err(("mounts", format!("'{path}' is no absolute path without '..'")));
            }
        }
        let device = self.device.as_ref().map(|device| folder.join(device).display().to_string());
        Ok(DiskSpec { device, mounts: self.mounts.clone() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

    use super::*;

    #[test]
    fn what_is_declared_is_checked() {
        let of = |device: Option<&str>, mounts: &[&str]| {
            let mounts = mounts.iter().map(|&path| path.to_owned()).collect();
            DiskTarget { device: device.map(str::to_owned), mounts }.resolve(Path::new("/etc/probity"))
        };
        assert_eq!(of(Some("h.img"), &[]).unwrap().device.unwrap(), "/etc/probity/h.img");
        assert_eq!(of(Some("/dev/vdb"), &["/srv"]).unwrap().device.unwrap(), "/dev/vdb");
        assert!(of(None, &["/srv"]).is_ok());
        assert_eq!(of(None, &[]).unwrap_err().0, "device");
        assert_eq!(of(Some(""), &[]).unwrap_err().0, "device");
        for path in ["srv", "/srv/../etc", ""] {
            assert_eq!(of(None, &[path]).unwrap_err().0, "mounts", "{path}");
        }
    }
}
