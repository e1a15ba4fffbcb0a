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
    /// PKCS #12 (RFC 7292).
    #[serde(rename = "PKCS12")]
    Pkcs12,
    /// JSON Web Key (RFC 7517).
    #[serde(rename = "JWK")]
    Jwk,
    /// OpenPGP secret-key or secret-subkey packet (RFC 9580).
    #[serde(rename = "OpenPGP")]
    OpenPgp,
    /// An age identity (<https://age-encryption.org/v1>).
    #[serde(rename = "age")]
    Age,
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
    /// A secret of so many bits, for symmetric algorithms (JWK `oct`).
    #[serde(rename = "symmetric")]
    Symmetric,
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

/// The scheme that a key is encrypted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Scheme {
    /// PKCS #5 version 2 (RFC 8018, section 6.2).
    #[serde(rename = "PBES2")]
    Pbes2,
    /// PKCS #5 version 1.5 (RFC 8018, section 6.1): MD2, MD5 or SHA-1 with DES or RC2.
    #[serde(rename = "PBES1")]
    Pbes1,
    /// The schemes of PKCS #12 itself (RFC 7292, appendix C): SHA-1 with RC2, RC4 or Triple DES.
    #[serde(rename = "PKCS12-PBE")]
    Pkcs12,
    /// OpenSSL's `Proc-Type: 4,ENCRYPTED`: one round of MD5 makes the key.
    #[serde(rename = "PEM")]
    Pem,
    /// `openssh-key-v1`.
    #[serde(rename = "OpenSSH")]
    OpenSsh,
    /// OpenPGP's string-to-key (RFC 9580, section 3.7).
    #[serde(rename = "OpenPGP")]
    OpenPgp,
    /// Encrypted, by a scheme that this program does not know.
    #[serde(rename = "unknown")]
    Unknown,
}

/// How a key is encrypted. It is what the file says, and is not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Protection {
    /// The scheme.
    pub scheme: Scheme,
    /// Cipher, as OpenSSL names it in lower case (`aes-256-cbc`, `des-ede3-cbc`), or as the format does
    /// (`aes256-ctr`); null where it is not known.
    pub cipher: Option<String>,
    /// What makes a key of the passphrase: `PBKDF2`, `scrypt`, `PBKDF1`, `PKCS12`, `MD5`, `bcrypt`, `simple`, `salted`,
    /// `iterated`, `Argon2`; null where it is not known.
    pub kdf: Option<String>,
    /// The hash inside it, in lower case: `sha256`, `sha1`, `md5`; null where there is none or it is not known.
    pub hash: Option<String>,
    /// Its work: iterations (PBKDF1, PBKDF2, PKCS12), rounds (bcrypt), N (scrypt), octets hashed (`iterated`), passes
    /// (Argon2); 1 for one pass over the passphrase; null where it is not known.
    pub cost: Option<i64>,
}

/// A mark of keys that others can compute or already have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MarkName {
    /// The modulus bears the fingerprint of Infineon's RSA library (CVE-2017-15361): its remainders by small primes are
    /// all powers of 65537. One in some hundred million other moduli does so by chance.
    Roca,
    /// Fermat's method factors the modulus within 100 rounds (CVE-2022-26320): its primes lie close together.
    ClosePrimes,
    /// The public half is that of a key whose private half was published: examples of standards, of software and of
    /// appliances. This program knows a short list.
    Published,
    /// The public half is on a list of keys that Debian's OpenSSL of 2006 to 2008 could make (CVE-2008-0166); the lists are
    /// those of the packages openssl-blacklist and openssh-blacklist, where they are installed.
    Debian2008,
}

/// Whether a key bears one mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mark {
    /// Which.
    pub name: MarkName,
    /// Present: it does. Absent: it does not, or is a sort of key that can't. Not proven: it could not be told.
    pub outcome: Outcome,
    /// Why it is not proven; for a published key, where it was published.
    pub why: Option<String>,
}

/// A file that holds keys in a form whose number is not known, or more than the keys in it tell: a PKCS #12 store, or a
/// file that age encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Container {
    /// The path.
    pub name: String,
    /// `PKCS12`, `age`.
    pub format: String,
    /// Private keys in it, as far as they stand outside of encrypted parts; null where nothing does.
    pub keys: Option<u32>,
    /// Certificates in it that stand outside of encrypted parts; null where all of it is encrypted.
    pub certificates: Option<u32>,
    /// How its encrypted parts are encrypted, keys not included; empty where none is.
    pub parts: Vec<Protection>,
    /// What guards the whole against changes: `kdf` `PKCS12` or `PBKDF2`, its hash and iterations; null where nothing does.
    pub mac: Option<Protection>,
    /// For age: the sorts of recipients (`X25519`, `scrypt`, `ssh-ed25519`, …).
    pub recipients: Vec<String>,
}

/// A public key in a format that also holds private ones (a JWK without its private half).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PublicKey {
    /// The path; `path#2` for the second key of a file.
    pub name: String,
    /// How it is written.
    pub format: KeyFormat,
    /// Algorithm.
    #[serde(rename = "type")]
    pub key_type: Option<KeyType>,
    /// Bits of the modulus or of the curve's field.
    pub bits: Option<u32>,
    /// Named curve.
    pub curve: Option<String>,
    /// What the file says that it is for (`alg`, `use`).
    pub purpose: Option<String>,
    /// What the file calls it (`kid`); bytes from outside.
    pub key_id: Option<String>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Option<String>,
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
    /// How it is encrypted; null where it is not, or that is not shown.
    pub protection: Option<Protection>,
    /// Algorithm; null where encryption hides it.
    #[serde(rename = "type")]
    pub key_type: Option<KeyType>,
    /// Dotted object identifier or SSH name of the algorithm; null where hidden.
    pub algorithm: Option<String>,
    /// Bits of the modulus or of the curve's field; null where hidden.
    pub bits: Option<u32>,
    /// Named curve: `secp256r1`, `secp384r1`, …, for EC keys.
    pub curve: Option<String>,
    /// Public exponent of an RSA key; null for others, where hidden, and where it has more than 62 bits.
    pub exponent: Option<i64>,
    /// What the file says that it is for: `alg` and `use` of a JWK.
    pub purpose: Option<String>,
    /// What the file calls it: `kid` of a JWK, fingerprint of an OpenPGP key; bytes from outside.
    pub key_id: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo of its public half; null where that can't be told.
    pub spki_sha256: Option<String>,
    /// The file beside an encrypted key that its public half was taken from, and all that follows from that: `id_rsa.pub`
    /// for `id_rsa`, the certificate `x.crt` for `x.key`. That they belong together is the names' word. Null where the
    /// key itself tells, or nothing does.
    pub public_from: Option<String>,
    /// Marks of keys that others can compute or already have.
    pub marks: Vec<Mark>,
    /// Names of other private keys found here with the same public half, in the order of names, ten at most; links to one
    /// file are one.
    pub copies: Vec<String>,
    /// When it was made by the file's own word (OpenPGP), RFC 3339, UTC; null where the format does not tell.
    pub created: Option<String>,
    /// When the file's content last changed by this machine's word, RFC 3339, UTC: the key is at least as old, unless
    /// someone set that time. Copying a file makes it young.
    pub modified: String,
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
    /// The group may read it; where there is an access list, somebody in it may.
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
    /// Whom its access list (acl(5)) lets read it: a group by its name, an account as `account 65534`.
    pub acl_readers: Vec<String>,
    /// Whom it lets write to it, likewise.
    pub acl_writers: Vec<String>,
    /// Folders on the way to it, and to each link that leads to it, that others than root and its owner may write to, so that
    /// they may replace it. Folders with the sticky bit (sticky(7)) are none.
    pub open_folders: Vec<String>,
    /// Why its access list or a folder could not be looked at.
    pub access_unknown: Option<String>,
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
    /// Public keys in formats that hold private ones as well, by path.
    pub public_keys: Vec<PublicKey>,
    /// PKCS #12 stores and files encrypted by age, by path.
    pub containers: Vec<Container>,
    /// Certificates, by path. The system's own authorities are not among them: of /etc/ssl/certs and /etc/pki/tls/certs
    /// those alone are listed whose key was found, of certbot's archive those alone that a link leads to.
    pub certificates: Vec<Certificate>,
    /// Files and folders that could not be read.
    pub not_read: Vec<NotRead>,
    /// True where a bound on the number of files cut the search.
    pub cut: bool,
}

/// Key files of the inventory: `keyfile: { path: /srv/keys }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFileTarget {
    /// A file or a folder; relative to the inventory's folder.
    pub path: String,
    /// Reference to the passphrase of PKCS #8 and PKCS #12 files in it: `env:NAME`, `file:PATH` or `cmd:PROGRAM ARGUMENTS`.
    pub passphrase: Option<String>,
}
