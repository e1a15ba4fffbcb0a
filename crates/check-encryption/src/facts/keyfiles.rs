//! Private-key and certificate files. Nothing secret is in here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, NotRead, Outcome};

/// How a private key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KeyFormat {
    /// PKCS #8 (RFC 5958).
    #[serde(rename = "PKCS8")]
    Pkcs8,
    /// PKCS #8 `EncryptedPrivateKeyInfo`.
    #[serde(rename = "encrypted PKCS8")]
    EncryptedPkcs8,
    /// PKCS #1 (RFC 8017).
    #[serde(rename = "PKCS1")]
    Pkcs1,
    /// SEC 1 (RFC 5915).
    #[serde(rename = "SEC1")]
    Sec1,
    /// OpenSSL's traditional DSA form.
    #[serde(rename = "DSA")]
    Dsa,
    /// `openssh-key-v1`.
    #[serde(rename = "OpenSSH")]
    OpenSsh,
    /// PKCS #12 (RFC 7292); not opened.
    #[serde(rename = "PKCS12")]
    Pkcs12,
    /// Marked as a private key of a form that this program does not know.
    #[serde(rename = "unknown")]
    Unknown,
}

/// Algorithm of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum KeyType {
    /// RSA, RSASSA-PSS included.
    #[serde(rename = "RSA")]
    Rsa,
    /// ECDSA and ECDH on a named curve.
    #[serde(rename = "EC")]
    Ec,
    /// Ed25519 (RFC 8032).
    #[serde(rename = "Ed25519")]
    Ed25519,
    /// Ed448 (RFC 8032).
    #[serde(rename = "Ed448")]
    Ed448,
    /// X25519 (RFC 7748).
    #[serde(rename = "X25519")]
    X25519,
    /// DSA (FIPS 186-4; withdrawn by FIPS 186-5).
    #[serde(rename = "DSA")]
    Dsa,
    /// Another; `algorithm` names it.
    #[serde(rename = "other")]
    Other,
}

/// The certificate that belongs to a key: same SubjectPublicKeyInfo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CertificateRef {
    /// Its file.
    pub path: String,
    /// SHA-256 of its DER form.
    pub sha256: String,
}

/// One private key in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Key {
    /// The path; `path#2` for the second key of a file.
    pub name: String,
    /// The file, symbolic links resolved.
    pub path: String,
    /// Symbolic links by which it was found.
    pub links: Vec<String>,
    /// Present: read as a private key. Not proven: marked as one, and could not be understood; then the file's owner
    /// and permissions still hold.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// How it is written.
    pub format: KeyFormat,
    /// Encrypted under a passphrase; null where not shown.
    pub encrypted: Option<bool>,
    /// Algorithm; null where encryption hides it.
    #[serde(rename = "type")]
    pub key_type: Option<KeyType>,
    /// Dotted object identifier or SSH name of the algorithm; null where hidden.
    pub algorithm: Option<String>,
    /// Bits of the modulus or of the curve's field; null where hidden.
    pub bits: Option<u32>,
    /// Named curve: `secp256r1`, `secp384r1`, …, for EC keys.
    pub curve: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo of its public half; null where that can't be told.
    pub spki_sha256: Option<String>,
    /// Permission bits, octal: `0600`.
    pub mode: String,
    /// Owner's name; null where the number has none.
    pub owner: Option<String>,
    /// Group's name, likewise.
    pub group: Option<String>,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// The group may read it. Access lists beyond the permission bits (acl(5)) show here as their mask.
    pub group_readable: bool,
    /// Everyone may read it.
    pub world_readable: bool,
    /// The group may write it.
    pub group_writable: bool,
    /// Everyone may write it.
    pub world_writable: bool,
    /// Everyone may write to the folder that holds it, and so replace it.
    pub folder_world_writable: bool,
    /// Permission bits of that folder, octal: `0755`.
    pub folder_mode: Option<String>,
    /// A certificate for it among those found; null where none matches or the public half can't be told.
    pub certificate: Option<CertificateRef>,
}

/// One certificate in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Certificate {
    /// The path; `path#2` for the second certificate of a file.
    pub name: String,
    /// The file, symbolic links resolved.
    pub path: String,
    /// Symbolic links by which it was found.
    pub links: Vec<String>,
    /// Position in the file, from 1.
    pub position: u32,
    /// Present: read. Not proven: marked as a certificate, and could not be understood.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// SHA-256 of the DER form.
    pub sha256: String,
    /// Subject, RFC 4514 style; bytes from outside. Null, as below, where it could not be understood.
    pub subject: Option<String>,
    /// Issuer, likewise.
    pub issuer: Option<String>,
    /// RFC 3339, UTC.
    pub not_before: Option<String>,
    /// RFC 3339, UTC.
    pub not_after: Option<String>,
    /// DNS names of the subject alternative name.
    pub dns_names: Vec<String>,
    /// Basic constraints say that it is an authority; null where the extension is absent.
    pub is_ca: Option<bool>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: Option<String>,
    /// Path of a private key found here that belongs to it; null where none was found.
    pub key_matches: Option<String>,
}

/// A place where keys are usually kept, or that a server's configuration names. Files longer than 1 MiB are no key
/// files and are passed over, unless their name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Place {
    /// Its path.
    pub name: String,
    /// Present: it exists and all of it was read. Absent: it does not exist. Not proven: not all of it could be read.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Files read in it.
    pub files: u32,
}

/// All key and certificate files found in the usual places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyFilesFacts {
    /// `"all"` where every place in `places` was read completely or does not exist, else the names of those that were.
    pub asked: Asked,
    /// Every place looked at; those that a configuration names come last.
    pub places: Vec<Place>,
    /// Private keys, by path.
    pub keys: Vec<Key>,
    /// Certificates, by path. The system's own authorities are not among them: of /etc/ssl/certs and /etc/pki/tls/certs
    /// those alone are listed whose key was found, of certbot's archive those alone that a link leads to.
    pub certificates: Vec<Certificate>,
    /// Files and folders that could not be read.
    pub not_read: Vec<NotRead>,
    /// True where a bound on the number of files cut the search.
    pub cut: bool,
}
