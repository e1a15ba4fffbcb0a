//! Checksums that backup formats carry.

use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_REDIS, Crc, Digest, Table};
use sha2::Digest as _;

static CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The algorithms, by the names that a PostgreSQL backup manifest gives them where it knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// CRC-32 of zip, gzip and xbstream.
    Crc32,
    /// CRC-32C (Castagnoli), the default of PostgreSQL's manifests.
    Crc32c,
    /// CRC-64 (Jones) of Redis.
    Crc64,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The algorithm of a manifest's `Checksum-Algorithm`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "CRC32C" => Some(Self::Crc32c),
            "SHA224" => Some(Self::Sha224),
            "SHA256" => Some(Self::Sha256),
            "SHA384" => Some(Self::Sha384),
            "SHA512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// A checksum that nothing went into yet.
    pub(super) fn start(self) -> Running {
        match self {
            Self::Crc32 => Running::Crc32(CRC32.digest()),
            Self::Crc32c => Running::Crc32(CRC32C.digest()),
            Self::Crc64 => Running::Crc64(CRC64.digest()),
            Self::Sha224 => Running::Sha224(sha2::Sha224::new()),
            Self::Sha256 => Running::Sha256(sha2::Sha256::new()),
            Self::Sha384 => Running::Sha384(sha2::Sha384::new()),
            Self::Sha512 => Running::Sha512(sha2::Sha512::new()),
        }
    }
}

/// A checksum on its way.
#[derive(Clone)]
pub(super) enum Running {
    Crc32(Digest<'static, u32, Table<16>>),
    Crc64(Digest<'static, u64, Table<16>>),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Running {
    /// Takes in the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(digest) => digest.update(bytes),
            Self::Crc64(digest) => digest.update(bytes),
            Self::Sha224(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Sha384(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
        }
    }

    /// The value, most significant byte first.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(digest) => digest.finalize().to_be_bytes().to_vec(),
            Self::Crc64(digest) => digest.finalize().to_be_bytes().to_vec(),
            Self::Sha224(digest) => digest.finalize().to_vec(),
            Self::Sha256(digest) => digest.finalize().to_vec(),
            Self::Sha384(digest) => digest.finalize().to_vec(),
            Self::Sha512(digest) => digest.finalize().to_vec(),
        }
    }
}

/// CRC-32 of some bytes.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    CRC32.checksum(bytes)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
