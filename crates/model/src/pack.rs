//! The layout of a pack: file names and the manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// All findings.
pub const ASSESSMENT: &str = "assessment.json";
/// The policies as resolved.
pub const POLICY: &str = "policy.yaml";
/// The waivers as given.
pub const WAIVERS: &str = "waivers.yaml";
/// The inventory as resolved, discovered targets included.
pub const INVENTORY: &str = "inventory.yaml";
/// One line per file of evidence and of exchanges, as `sha256sum` writes them.
pub const EVIDENCE_SUMS: &str = "evidence.sha256";
/// The folder of evidence.
pub const EVIDENCE_DIR: &str = "evidence";
/// The folder of raw exchanges.
pub const EXCHANGES_DIR: &str = "exchanges";
/// The folder of evidence of earlier runs: each piece by its digest, and for each run that it comes from a folder, named by
/// the digest of that run's [`ASSESSMENT_BUNDLE`], with this and its [`EVIDENCE_SUMS`].
pub const PRIOR_DIR: &str = "prior";
/// The attestation over the five files above.
pub const ASSESSMENT_BUNDLE: &str = "assessment.sigstore.json";
/// Every file with size, digest and media type.
pub const MANIFEST: &str = "manifest.json";
/// The same as `sha256sum -c` reads it.
pub const SUMS: &str = "SHA256SUMS";
/// The signer's public key.
pub const PUBLIC_KEY: &str = "probity.pub";
/// How to check the pack, with and without Probity.
pub const VERIFY_MD: &str = "VERIFY.md";
/// The attestation over manifest, sums and reports; made last.
pub const REPORT_BUNDLE: &str = "report.sigstore.json";
/// Inclusion in a history log.
pub const TLOG_PROOF: &str = "report.tlog-proof";

/// Subjects of the assessment's attestation, in order.
pub const ASSESSMENT_SUBJECTS: [&str; 5] = [ASSESSMENT, POLICY, WAIVERS, INVENTORY, EVIDENCE_SUMS];
/// The files that the manifest does not list.
pub const UNLISTED: [&str; 4] = [MANIFEST, SUMS, REPORT_BUNDLE, TLOG_PROOF];

/// One file of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Path in the pack, `/` between parts, never absolute, never with `..`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of the whole file.
    pub sha256: Digest,
    /// Media type (RFC 6838).
    pub media_type: String,
}

/// Every file of a pack but [`UNLISTED`], sorted by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`Manifest::FORMAT`].
    pub format: String,
    /// The files.
    pub files: Vec<ManifestEntry>,
}

impl Manifest {
    /// The version of this format.
    pub const FORMAT: &str = "probity.manifest/v1";
}

/// The media type of a file of a pack, by its name.
#[must_use]
pub fn media_type(path: &str) -> &'static str {
    let extension = path.rsplit('.').next().unwrap_or_default();
    match extension {
        "json" if path.ends_with(".sigstore.json") => "application/vnd.dev.sigstore.bundle.v0.3+json",
        "json" => "application/json",
        "sarif" => "application/sarif+json",
        "yaml" => "application/yaml",
        "html" => "text/html",
        "xml" => "application/xml",
        "md" => "text/markdown",
        "pdf" => "application/pdf",
        "csv" => "text/csv",
        "pub" => "application/x-pem-file",
        "bin" => "application/zstd",
        _ => "text/plain",
    }
}
