//! The in-toto test-result predicate, version 0.1: whether the audit passed, under which configuration.

use model::Digest;
use serde::{Deserialize, Serialize};

/// The predicate type of both attestations of a pack.
///
/// A public type rather than one of our own: policy engines read it already, and the full record is a subject anyway.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// How the tests went as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TestOutcome {
    /// All passed.
    Passed,
    /// Nothing blocks, but something failed: it is waived or below the bar.
    Warned,
    /// Something that blocks failed or was not proven.
    Failed,
}

/// A file that the tests depended on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceDescriptor {
    /// Its name.
    pub name: String,
    /// Its digests.
    pub digest: DigestSet,
}

/// Digests of a file by algorithm, here always SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// SHA-256.
    pub sha256: Digest,
}

impl ResourceDescriptor {
    /// A file by name and digest.
    pub fn new(name: impl Into<String>, sha256: Digest) -> Self {
        Self { name: name.into(), digest: DigestSet { sha256 } }
    }
}

/// The predicate. Waived failures belong in `warned_tests`, never in `passed_tests`.
///
/// in-toto lets a predicate carry further fields, which a reader ignores; add them to the JSON under a key of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// The whole.
    pub result: TestOutcome,
    /// Policy, waivers and other inputs.
    pub configuration: Vec<ResourceDescriptor>,
    /// Names of the tests that passed.
    #[serde(default)]
    pub passed_tests: Vec<String>,
    /// Names of the tests that passed with a warning.
    #[serde(default)]
    pub warned_tests: Vec<String>,
    /// Names of the tests that failed.
    #[serde(default)]
    pub failed_tests: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_the_specification_says() {
        let predicate = TestResult {
            result: TestOutcome::Warned,
            configuration: vec![ResourceDescriptor::new("policy.yaml", Digest::of(b"p"))],
            passed_tests: vec!["A".to_owned()],
            warned_tests: vec!["B".to_owned()],
            failed_tests: Vec::new(),
        };
        let wanted = serde_json::json!({
            "result": "WARNED",
            "configuration": [{"name": "policy.yaml", "digest": {"sha256": Digest::of(b"p").to_string()}}],
            "passedTests": ["A"], "warnedTests": ["B"], "failedTests": [],
        });
        assert_eq!(serde_json::to_value(predicate).ok(), Some(wanted));
    }
}
