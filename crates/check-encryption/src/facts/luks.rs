//! LUKS headers: what a volume is encrypted with, and how its key is wrapped.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Asked, NotRead, Outcome};

/// Whether a volume bears a LUKS header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Format {
    /// Present: a header of LUKS, of which a copy can be read. Absent: another format that does not encrypt is there. Not
    /// proven: no copy of a header is whole, nothing is known, or a format whose encryption is not looked into.
    pub outcome: Outcome,
    /// Why it is not proven or absent.
    pub why: Option<String>,
    /// `LUKS1`, `LUKS2`, `LUKS` (of an unreadable version), or what is there instead: `ext4`, `BitLocker`, …
    pub found: Option<String>,
}

/// In what state a part of a header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// Its checksum holds, and it is well formed.
    Whole,
    /// It is well formed, and the format has no checksum to tell more.
    Unchecked,
    /// Whole, but another copy is newer or says something else: this one does not count.
    Stale,
    /// Cut off, with a checksum that does not hold, or not well formed.
    Damaged,
    /// It can't be told: a checksum or a form that this program does not know.
    Unknown,
}

/// One part of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Part {
    /// `primary`, `secondary` (LUKS2 alone), or `key material`.
    pub name: String,
    /// Present where it was found, hurt or not; absent where it is not in its place; not proven where its state is
    /// unknown.
    pub outcome: Outcome,
    /// What is wrong with it, or not known.
    pub why: Option<String>,
    /// In what state.
    pub state: PartState,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes, where it could be read.
    pub bytes: Option<u64>,
    /// Number of the update that wrote it (LUKS2).
    pub sequence: Option<u64>,
    /// Algorithm of its checksum (LUKS2): `sha256`.
    pub checksum: Option<String>,
    /// This is the copy that everything else was read from.
    pub counts: bool,
}

/// A cipher as dm-crypt names it, and the key that it is used with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VolumeCipher {
    /// As in the header: `aes-xts-plain64`.
    pub encryption: String,
    /// The block cipher: `aes`; null where the text has a form that this program does not know.
    pub cipher: Option<String>,
    /// Its mode: `xts`.
    pub mode: Option<String>,
    /// How its initialisation vector is made: `plain64`, `essiv:sha256`; null where there is none.
    pub iv: Option<String>,
    /// Length of the key in bits, without the part that integrity takes.
    pub key_bits: Option<u32>,
    /// Security strength in bits (NIST SP 800-57 part 1, table 2): in XTS two keys share the length, so that `key_bits`
    /// of 256 is AES-128. 0 for no encryption; null where it is not known.
    pub strength_bits: Option<u32>,
}

/// A range of data (LUKS1 has one).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Segment {
    /// Its number.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// `crypt`; `linear` is not encrypted.
    pub kind: String,
    /// In use; false for what reencryption keeps aside (flags that begin with `backup-`).
    pub in_use: bool,
    /// What it is encrypted with; null where its kind is not `crypt`.
    pub cipher: Option<VolumeCipher>,
    /// Integrity protection: `hmac(sha256)`, `aead`; null where there is none.
    pub integrity: Option<String>,
    /// Length of the key for integrity in bits; null where there is none or it is not known.
    pub integrity_key_bits: Option<u32>,
    /// Unit of encryption in bytes.
    pub sector_bytes: u32,
    /// Where the data begin, in bytes.
    pub offset: u64,
    /// Length in bytes; null where it goes to the end of the device.
    pub bytes: Option<u64>,
    /// Flags: `in-reencryption`, `backup-final`, …
    pub flags: Vec<String>,
}

/// How a passphrase becomes a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Kdf {
    /// `pbkdf2`, `argon2i`, `argon2id`.
    pub name: String,
    /// The hash of PBKDF2.
    pub hash: Option<String>,
    /// Iterations of PBKDF2, or passes of Argon2 (its parameter t).
    pub iterations: Option<u64>,
    /// Memory of Argon2 in KiB.
    pub memory_kib: Option<u64>,
    /// Threads of Argon2 (its parameter p).
    pub threads: Option<u64>,
}

/// Where the wrapped key lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyArea {
    /// `raw`; other sorts serve reencryption.
    pub kind: String,
    /// What it is encrypted with.
    pub cipher: Option<VolumeCipher>,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// One slot for a wrapped volume key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Keyslot {
    /// Its number.
    pub name: String,
    /// Present where it is in use; absent where it is empty (LUKS1 lists all eight).
    pub outcome: Outcome,
    /// `luks1`, `luks2`, `reencrypt`.
    pub kind: String,
    /// Length of the wrapped key in bits, with the part that integrity takes.
    pub key_bits: Option<u32>,
    /// `ignore`, `normal`, `prefer`.
    pub priority: String,
    /// How the passphrase is turned into a key; null where the slot holds no key.
    pub kdf: Option<Kdf>,
    /// Stripes of the anti-forensic splitter.
    pub stripes: Option<u64>,
    /// Hash of the anti-forensic splitter.
    pub stripes_hash: Option<String>,
    /// Where the wrapped key lies; null in an empty slot.
    pub area: Option<KeyArea>,
    /// Numbers of the segments whose key it holds, by the digests; empty where it is unbound.
    pub segments: Vec<String>,
    /// Kinds of the tokens that open it: `systemd-tpm2`.
    pub tokens: Vec<String>,
}

/// What a key is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyDigest {
    /// Its number.
    pub name: String,
    /// `pbkdf2`.
    pub kind: String,
    /// Hash.
    pub hash: Option<String>,
    /// Iterations.
    pub iterations: Option<u64>,
    /// Numbers of the slots with its key.
    pub keyslots: Vec<String>,
    /// Numbers of the segments with its key.
    pub segments: Vec<String>,
}

/// A note on how a slot is opened. What it holds beyond its kind is not written down: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Token {
    /// Its number.
    pub name: String,
    /// `systemd-tpm2`, `luks2-keyring`, `clevis`, …
    pub kind: String,
    /// Numbers of the slots that it opens.
    pub keyslots: Vec<String>,
}

/// Whether the data are on their way to another key, to encryption or out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reencryption {
    /// Present while it is under way or broken off.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// `reencrypt`, `encrypt`, `decrypt`.
    pub mode: Option<String>,
}

/// A device, or an image of one or of its header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Volume {
    /// Its path.
    pub name: String,
    /// The inventory names it; else it was found beneath a declared path.
    pub declared: bool,
    /// Length in bytes.
    pub bytes: u64,
    /// What it is.
    pub format: Format,
    /// Version of LUKS.
    pub version: Option<u8>,
    /// UUID.
    pub uuid: Option<String>,
    /// Label (LUKS2).
    pub label: Option<String>,
    /// Second label (LUKS2).
    pub subsystem: Option<String>,
    /// Parts of the header; empty where there is none.
    pub parts: Vec<Part>,
    /// `"all"` where a header could be read; else empty, and the lists below are too.
    pub asked: Asked,
    /// The data lie on another device: they begin where the header does.
    pub detached: Option<bool>,
    /// Ranges of data.
    pub segments: Vec<Segment>,
    /// Slots for keys.
    pub keyslots: Vec<Keyslot>,
    /// What keys are checked against.
    pub digests: Vec<KeyDigest>,
    /// Notes on how slots are opened.
    pub tokens: Vec<Token>,
    /// What a program must know to use it (LUKS2, `config.requirements`).
    pub requirements: Vec<String>,
    /// Flags that hold whenever it is opened (LUKS2, `config.flags`): `allow-discards`.
    pub flags: Vec<String>,
    /// Whether it is being encrypted anew.
    pub reencryption: Reencryption,
}

/// The headers of a declared device, and of what holds the declared paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LuksFacts {
    /// The declared device.
    pub device: Option<String>,
    /// `"all"` where there is a volume; what else there may be is in `not_read`.
    pub asked: Asked,
    /// The declared device first.
    pub volumes: Vec<Volume>,
    /// Devices that could not be read, and declared paths beneath which no LUKS device is shown.
    pub not_read: Vec<NotRead>,
}
