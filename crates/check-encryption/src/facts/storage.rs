//! What holds declared paths.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Asked, Encryption, Layer, NotRead, Outcome};

/// Whether the declared device is what a file system lies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OnDevice {
    /// Present: every LUKS layer beneath was opened with the declared header (by its UUID), or the declared device is
    /// among the layers. Absent: neither is so. Else not proven.
    pub outcome: Outcome,
    /// Why.
    pub why: Option<String>,
}

/// A file system that holds a declared path, or a part of what is below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Holder {
    /// Where it is mounted.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Source by the kernel's word.
    pub source: String,
    /// Type.
    pub file_system: String,
    /// Data are in memory only.
    pub in_memory: bool,
    /// Block devices beneath, topmost first.
    pub stack: Vec<Layer>,
    /// Encryption beneath, or of the folder itself where fscrypt encrypts it.
    pub encryption: Encryption,
    /// Whether it lies on the declared device; not proven where none is declared.
    pub on_device: OnDevice,
}

/// A declared path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StoredPath {
    /// As declared.
    pub name: String,
    /// Present where it was found, else not proven.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Where it really is, links followed.
    pub real: Option<String>,
    /// `"all"` where all mounts could be read, and all below the path were looked at.
    pub asked: Asked,
    /// The file system that holds it, and those mounted below it. Links inside it are not followed.
    pub holders: Vec<Holder>,
}

/// What holds the declared paths, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StorageFacts {
    /// The declared device.
    pub device: Option<String>,
    /// The UUID of its LUKS header, where it could be read.
    pub device_uuid: Option<String>,
    /// `"all"`: the declared paths.
    pub asked: Asked,
    /// The declared paths; empty where none is declared.
    pub paths: Vec<StoredPath>,
    /// Lines of the table of mounts that could not be read.
    pub not_read: Vec<NotRead>,
}
