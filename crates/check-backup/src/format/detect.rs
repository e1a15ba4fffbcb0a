//! Which format a payload is in, by its first bytes.

use super::Folder;
use super::input::{Halt, Step};

/// Bytes from the beginning that [`detect`] wants to see.
pub(super) const WANTED: usize = 4096;

/// A format of copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `pg_dump -Fc`.
    PgDumpCustom,
    /// `pg_dump -Fd`: a folder.
    PgDumpDirectory,
    /// `pg_dump -Ft`.
    PgDumpTar,
    /// `pg_dump -Fp`: SQL.
    PgDumpSql,
    /// `pg_dumpall`: SQL.
    PgDumpall,
    /// `pg_basebackup`: a folder, or one tar file of it.
    PgBasebackup,
    /// `mariadb-dump` or `mysqldump`: SQL.
    MysqlDump,
    /// `mariabackup` or `xtrabackup`: a folder.
    Mariabackup,
    /// `mariabackup --stream=xbstream`.
    Xbstream,
    /// Redis or Valkey RDB.
    RedisRdb,
    /// tar of any variant.
    Tar,
    /// zip.
    Zip,
    /// A folder of plain files.
    Folder,
    /// None of these.
    #[default]
    Unknown,
}

impl Format {
    /// The name that its own tool gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PgDumpCustom => "pg_dump custom",
            Self::PgDumpDirectory => "pg_dump directory",
            Self::PgDumpTar => "pg_dump tar",
            Self::PgDumpSql => "pg_dump SQL",
            Self::PgDumpall => "pg_dumpall SQL",
            Self::PgBasebackup => "pg_basebackup",
            Self::MysqlDump => "mysqldump SQL",
            Self::Mariabackup => "mariabackup",
            Self::Xbstream => "xbstream",
            Self::RedisRdb => "Redis RDB",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Folder => "folder",
            Self::Unknown => "unknown",
        }
    }
}

/// Compression around a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz format.
    Xz,
    /// bzip2.
    Bzip2,
    /// The LZ4 frame format; recognised, not unpacked.
    Lz4,
}

impl Packing {
    /// The name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        }
    }
}

/// Encryption that shows itself in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// age, binary or armoured.
    Age,
    /// An OpenPGP message to public keys, or an armoured one of which this is not visible.
    OpenPgp,
    /// An OpenPGP message under a passphrase.
    OpenPgpSymmetric,
    /// `openssl enc` with a salt.
    OpensslEnc,
    /// Entries of a zip file under its traditional, weak cipher.
    ZipCrypto,
    /// Entries of a zip file under AES.
    ZipAes,
    /// `ansible-vault`.
    AnsibleVault,
}

impl Seal {
    /// The name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::OpenPgp => "OpenPGP",
            Self::OpenPgpSymmetric => "OpenPGP, passphrase",
            Self::OpensslEnc => "openssl enc",
            Self::ZipCrypto => "zip, traditional",
            Self::ZipAes => "zip, AES",
            Self::AnsibleVault => "ansible-vault",
        }
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detected {
    /// Contents.
    Contents(Format),
    /// Compression around contents.
    Packed(Packing),
    /// Encryption around contents.
    Sealed(Seal),
}

/// Says what a payload is by its first bytes; 4096 are enough, fewer may be too few.
pub fn detect(first: &[u8]) -> Detected {
    if let Some(packing) = packing(first) {
        return Detected::Packed(packing);
    }
    if let Some(seal) = seal(first) {
        return Detected::Sealed(seal);
    }
    Detected::Contents(contents(first))
}

fn packing(first: &[u8]) -> Option<Packing> {
    let skippable = matches!(first, [kind, 0x2a, 0x4d, 0x18, ..] if kind & 0xf0 == 0x50);
    match first {
        [0x1f, 0x8b, 8, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        _ if skippable => Some(Packing::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => Some(Packing::Bzip2),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => Some(Packing::Bzip2),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some(Packing::Lz4),
        _ => None,
    }
}

fn seal(first: &[u8]) -> Option<Seal> {
    let begins = |with: &[u8]| first.starts_with(with);
    if begins(b"age-encryption.org/") || begins(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return Some(Seal::Age);
    }
    if begins(b"-----BEGIN PGP MESSAGE-----") {
        return Some(Seal::OpenPgp);
    }
    if begins(b"Salted__") {
        return Some(Seal::OpensslEnc);
    }
    if begins(b"$ANSIBLE_VAULT;") {
        return Some(Seal::AnsibleVault);
    }
    openpgp(first)
}

/// A first packet of OpenPGP (RFC 9580, section 4.2) that opens an encrypted message: a session key for a public key
/// (tag 1, versions 3 and 6), one for a passphrase (tag 3, versions 4 to 6), or encrypted data without any (tag 18).
fn openpgp(first: &[u8]) -> Option<Seal> {
    let (tag, header) = match first {
        [head, length, ..] if head & 0xc0 == 0xc0 => {
            let header = match length {
                0..=191 => 2,
                192..=223 => 3,
                255 => 6,
                _ => return None,
            };
            (head & 0x3f, header)
        }
        [head, ..] if head & 0xc0 == 0x80 => {
            let header = match head & 3 {
                0 => 2,
                1 => 3,
                2 => 5,
                _ => return None,
            };
            ((head >> 2) & 0x0f, header)
        }
        _ => return None,
    };
    let version = *first.get(header)?;
    let cipher = *first.get(header + 1)?;
    match (tag, version) {
        (1, 3 | 6) => Some(Seal::OpenPgp),
        // The next byte is the cipher (version 4) or a count; nothing else begins with such small numbers.
        (3, 4..=6) if cipher <= 64 => Some(Seal::OpenPgpSymmetric),
        _ => None,
    }
}

fn contents(first: &[u8]) -> Format {
    match first {
        [b'P', b'G', b'D', b'M', b'P', ..] => Format::PgDumpCustom,
        [b'R', b'E', b'D', b'I', b'S', b'0'..=b'9', ..] | [b'V', b'A', b'L', b'K', b'E', b'Y', ..] => Format::RedisRdb,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Zip,
        [b'X', b'B', b'S', b'T', b'C', b'K', b'0', b'1', ..] => Format::Xbstream,
        _ => tar(first).or_else(|| sql(first)).unwrap_or(Format::Unknown),
    }
}

/// A first header with a right checksum, or the zero blocks of an empty archive.
fn tar(first: &[u8]) -> Option<Format> {
    let block = first.get(..512)?;
    if block.iter().all(|byte| *byte == 0) {
        let rest = first.get(512..1024)?;
        return rest.iter().all(|byte| *byte == 0).then_some(Format::Tar);
    }
    let header = tar::Header::from_byte_slice(block);
    if super::archive::sum(block) != header.cksum().ok()? {
        return None;
    }
    match header.path_bytes().as_ref() {
        b"toc.dat" => Some(Format::PgDumpTar),
        b"backup_label" => Some(Format::PgBasebackup),
        _ => Some(Format::Tar),
    }
}

/// The comment at the head of a dump.
fn sql(first: &[u8]) -> Option<Format> {
    for line in first.split(|byte| *byte == b'\n').take(20) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let known = [
            (&b"-- PostgreSQL database cluster dump"[..], Format::PgDumpall),
            (&b"-- PostgreSQL database dump"[..], Format::PgDumpSql),
            (&b"-- MariaDB dump"[..], Format::MysqlDump),
            (&b"-- MySQL dump"[..], Format::MysqlDump),
        ];
        if let Some((_, format)) = known.into_iter().find(|(mark, _)| line.starts_with(mark)) {
            return Some(format);
        }
        let header = line.is_empty() || line.starts_with(b"--") || line.starts_with(b"/*") || line.starts_with(b"\\");
        if !header {
            return None;
        }
    }
    None
}

/// What a folder holds, by the names of its files.
pub(super) fn detect_folder(folder: &dyn Folder) -> Step<Format> {
    let marks = [
        ("toc.dat", Format::PgDumpDirectory),
        ("backup_manifest", Format::PgBasebackup),
        ("base.tar", Format::PgBasebackup),
        ("base.tar.gz", Format::PgBasebackup),
        ("base.tar.zst", Format::PgBasebackup),
        ("base.tar.lz4", Format::PgBasebackup),
        ("backup_label", Format::PgBasebackup),
        ("xtrabackup_checkpoints", Format::Mariabackup),
        ("mariadb_backup_checkpoints", Format::Mariabackup),
        ("xtrabackup_info", Format::Mariabackup),
        ("mariadb_backup_info", Format::Mariabackup),
    ];
    for (name, format) in marks {
        let found = folder.open(name).map_err(|error| Halt::not_proven(format!("reading failed: {name}: {error}")))?;
        if found.is_some() {
            return Ok(format);
        }
    }
    Ok(Format::Unknown)
}
