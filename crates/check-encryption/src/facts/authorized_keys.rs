//! Which keys open which accounts of this machine. No option's value that may be a secret is in here.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Asked, NotRead, Outcome};

/// One line of an authorized_keys file (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuthorizedKey {
    /// `path:line`.
    pub name: String,
    /// The account that it opens.
    pub account: String,
    /// The file.
    pub path: String,
    /// Its line, from 1.
    pub line: u32,
    /// Present: read. Not proven: a line that is neither comment nor key; sshd passes it over.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Type of the key by its own word: `ssh-ed25519`, `ssh-rsa`, …; null, as below, where not read.
    #[serde(rename = "type")]
    pub key_type: Option<String>,
    /// Bits of modulus or curve; null for types that are not known here.
    pub bits: Option<u32>,
    /// `SHA256:…`, as ssh-keygen prints it.
    pub fingerprint: Option<String>,
    /// Names of its options in lower case, in order (`command`, `from`, `restrict`, `no-pty`, …). Their values are not
    /// written down but for those below.
    pub options: Vec<String>,
    /// Addresses and names that it may be used from: the value of `from`; null where there is none.
    pub from: Option<String>,
    /// Until when it holds: the value of `expiry-time` (`YYYYMMDD[HHMM[SS]]`, local time unless it ends with Z).
    pub expires: Option<String>,
    /// It is an authority: certificates that it signs open the account.
    pub cert_authority: bool,
    /// It runs one command alone (`command`).
    pub forced_command: bool,
    /// Other accounts that the same key opens without a forced command.
    pub also_in: Vec<String>,
}

/// A file that sshd looks for keys in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuthorizedFile {
    /// `account:path`.
    pub name: String,
    /// The account.
    pub account: String,
    /// The file, as the setting names it.
    pub path: String,
    /// Present, absent, or not proven: it could not be read.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Permission bits, octal; null where it is not there.
    pub mode: Option<String>,
    /// Keys in it.
    pub keys: u32,
    /// The file, and the folders above it up to the home, that others than the account and root may write or own; each with
    /// its mode and owner. sshd refuses them unless `StrictModes` is off.
    pub open_to_others: Vec<String>,
}

/// An account of /etc/passwd with a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuthorizedAccount {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its shell.
    pub shell: String,
    /// Keys that open it; those of unread files are not among them.
    pub keys: u32,
}

/// The keys that open the accounts of this machine, as files say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuthorizedKeysFacts {
    /// `"all"` where every file of every account was read or does not exist, else the accounts of which that holds.
    pub asked: Asked,
    /// Where keys are looked for: `AuthorizedKeysFile` of sshd, else its default.
    pub patterns: Vec<String>,
    /// The patterns are those of the server's effective settings; false where its default was taken.
    pub patterns_effective: bool,
    /// Accounts of /etc/passwd with a shell, in its order. Accounts of a directory service are not seen.
    pub accounts: Vec<AuthorizedAccount>,
    /// Every file looked for.
    pub files: Vec<AuthorizedFile>,
    /// Every key.
    pub keys: Vec<AuthorizedKey>,
    /// What could not be read, and sources of keys that are not looked at.
    pub not_read: Vec<NotRead>,
}
