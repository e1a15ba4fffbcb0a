//! Signing and verifying of bytes.
//!
//! A pack is signed with two attestations. Each is an in-toto [`Statement`] (v1) in a DSSE envelope (v1.0) in a
//! Sigstore bundle (v0.3), signed by a key that the operator holds; there is no certificate and no log entry in it.
//! Other people's tools accept such a bundle: cosign, `@sigstore/verify`, securesystemslib, and OpenSSL with
//! [`VERIFY_SH`].
//!
//! Verifying is stricter than those tools: a bundle, a manifest or a list of sums that is not byte for byte in its
//! one canonical form is refused, so that no byte of a pack can change unseen. Which keys to trust is the caller's
//! matter; a key that comes with a pack never earns trust by lying there ([`Trust`]).
//!
//! Nothing here reads a file, a clock or the network; key generation alone asks the system for randomness.

mod bundle;
mod key;
mod manifest;
mod paths;
mod predicate;
mod statement;
mod text;

pub use bundle::{MAX_BYTES, SignError, Trust, Verified, VerifyError, pae, peek, sign, verify};
pub use key::{Algorithm, Fingerprint, KeyError, PublicKey, SigningKey};
pub use manifest::{ManifestError, manifest_bytes, manifest_of, parse_manifest, parse_sums, sums, sums_of};
pub use paths::{PathError, check_path, check_paths};
pub use predicate::{DigestSet, ResourceDescriptor, TEST_RESULT, TestOutcome, TestResult};
pub use statement::{MAX_SUBJECTS, STATEMENT_TYPE, Statement, StatementError, Subject};

/// A POSIX shell script that verifies a bundle and the files it is about with OpenSSL and `sha256sum` alone:
/// `sh verify.sh KEY BUNDLE FOLDER`. It reads canonical bundles only, which is what [`sign`] writes.
pub const VERIFY_SH: &str = include_str!("verify.sh");
