//! The in-toto Statement, version 1: what is attested about which files.

use std::collections::BTreeSet;

use model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::paths::{PathError, check_path};
use crate::text::shown;

/// The type of every statement here.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Subjects in one statement at most, as sigstore-go limits them; many files are one subject, the manifest.
pub const MAX_SUBJECTS: usize = 1024;

/// Values in one statement at most: memory stays bounded where a stranger signs millions of empty lists.
const MAX_VALUES: usize = 1_000_000;

/// One file that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its path in the pack, as [`check_path`] allows it.
    pub name: String,
    /// Its SHA-256 digest.
    pub digest: Digest,
}

/// A claim about some files. What the claim says is the caller's matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The files; at least one, names unique.
    pub subjects: Vec<Subject>,
    /// A URI that says how to read the predicate.
    pub predicate_type: String,
    /// The claim, an object.
    pub predicate: Value,
}

/// Why a statement is not one that we sign or accept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// No subject, or too many.
    #[error("{0} subjects; 1 to {MAX_SUBJECTS} are wanted")]
    Subjects(usize),
    /// Two subjects of the same name.
    #[error("the subject '{0}' is given twice")]
    SubjectTwice(String),
    /// A subject whose name is no path in a pack.
    #[error("a subject is refused: {0}")]
    SubjectPath(#[from] PathError),
    /// Too many values, whatever they are.
    #[error("the statement holds more than {MAX_VALUES} values")]
    TooMany,
    /// The predicate type is not a URI.
    #[error("the predicate type '{0}' is not a URI")]
    PredicateType(String),
    /// The predicate is not an object.
    #[error("the predicate is not an object")]
    Predicate,
    /// The predicate holds a fraction, which JSON writers do not spell alike.
    #[error("the predicate holds a number that is not an integer; write it as a string")]
    Fraction,
    /// Not a statement at all.
    #[error("not an in-toto statement: {0}")]
    Json(String),
    /// A statement of another version.
    #[error("the statement type '{0}' is not {STATEMENT_TYPE}")]
    Type(String),
}

/// The statement as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubject {
    name: String,
    digest: WireDigest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDigest {
    sha256: Digest,
}

impl Statement {
    /// The digest of the subject of that name.
    #[must_use]
    pub fn subject(&self, name: &str) -> Option<&Digest> {
        self.subjects.iter().find(|subject| subject.name == name).map(|subject| &subject.digest)
    }

    /// The one spelling of this statement: canonical JSON.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        self.check()?;
        let wire = Wire {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: (self.subjects.iter())
                .map(|s| WireSubject { name: s.name.clone(), digest: WireDigest { sha256: s.digest } })
                .collect(),
            predicate_type: self.predicate_type.clone(),
            predicate: self.predicate.clone(),
        };
        model::canonical_json(&wire).map_err(|e| StatementError::Json(shown(&e.to_string())))
    }

    /// Reads what [`Self::to_bytes`] wrote. Whether it is canonical is for the caller to compare.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StatementError> {
        // Every value but the first stands behind one of these; those inside strings only make the count too high.
        if bytes.iter().filter(|byte| b",:[{".contains(byte)).count() > MAX_VALUES {
            return Err(StatementError::TooMany);
        }
        let wire: Wire = model::from_json(bytes).map_err(|e| StatementError::Json(shown(&e.to_string())))?;
        if wire.statement_type != STATEMENT_TYPE {
            return Err(StatementError::Type(shown(&wire.statement_type)));
        }
        let statement = Self {
            subjects: (wire.subject.into_iter()).map(|s| Subject { name: s.name, digest: s.digest.sha256 }).collect(),
            predicate_type: wire.predicate_type,
            predicate: wire.predicate,
        };
        statement.check()?;
        Ok(statement)
    }

    fn check(&self) -> Result<(), StatementError> {
        if self.subjects.is_empty() || self.subjects.len() > MAX_SUBJECTS {
            return Err(StatementError::Subjects(self.subjects.len()));
        }
        let mut names = BTreeSet::new();
        for Subject { name, .. } in &self.subjects {
            check_path(name)?;
            if !names.insert(name) {
                return Err(StatementError::SubjectTwice(name.clone()));
            }
        }
        if !is_uri(&self.predicate_type) {
            return Err(StatementError::PredicateType(shown(&self.predicate_type)));
        }
        if !self.predicate.is_object() {
            return Err(StatementError::Predicate);
        }
        if has_fraction(&self.predicate) { Err(StatementError::Fraction) } else { Ok(()) }
    }
}

/// A scheme, a colon and something printable (RFC 3986, section 3), which is all that we rely on.
fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c))
            && !rest.is_empty()
            && rest.bytes().all(|c| c.is_ascii_graphic())
    })
}

/// The JSON reader bounds the depth of what comes from outside; what the caller made is as deep as they made it.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_i64() && !number.is_u64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn statement() -> Statement {
        Statement {
            subjects: vec![Subject { name: "assessment.json".to_owned(), digest: Digest::of(b"a") }],
            predicate_type: crate::TEST_RESULT.to_owned(),
            predicate: json!({"result": "PASSED", "configuration": []}),
        }
    }

    #[test]
    fn is_written_as_the_specification_says() {
        let bytes = statement().to_bytes().unwrap_or_default();
        let hex = Digest::of(b"a").to_string();
        let wanted = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicate":{{"configuration":[],"result":"PASSED"}},"predicateType":"https://in-toto.io/attestation/test-result/v0.1","subject":[{{"digest":{{"sha256":"{hex}"}},"name":"assessment.json"}}]}}"#
        ) + "\n";
        assert_eq!(String::from_utf8_lossy(&bytes), wanted);
        assert_eq!(Statement::from_bytes(&bytes), Ok(statement()));
        assert_eq!(statement().subject("assessment.json"), Some(&Digest::of(b"a")));
        assert_eq!(statement().subject("other"), None);
    }

    #[test]
    fn what_no_verifier_would_take_is_not_written() {
        let refused = |change: fn(&mut Statement)| {
            let mut changed = statement();
            change(&mut changed);
            changed.to_bytes().err()
        };
        assert_eq!(refused(|s| s.subjects.clear()), Some(StatementError::Subjects(0)));
        assert_eq!(
            refused(|s| s.subjects.extend(s.subjects.clone())),
            Some(StatementError::SubjectTwice("assessment.json".to_owned()))
        );
        for name in ["", "../a", "a\nb"] {
            let wanted = check_path(name).err().map(StatementError::SubjectPath);
            let mut changed = statement();
            changed.subjects.push(Subject { name: name.to_owned(), digest: Digest::of(b"") });
            assert_eq!(changed.to_bytes().err(), wanted, "{name:?}");
        }
        assert_eq!(
            refused(|s| s.predicate_type = "test".to_owned()),
            Some(StatementError::PredicateType("test".to_owned()))
        );
        assert_eq!(refused(|s| s.predicate = json!([])), Some(StatementError::Predicate));
        assert_eq!(refused(|s| s.predicate = json!({"a": [1.5]})), Some(StatementError::Fraction));
        let many = |s: &mut Statement| {
            s.subjects = (0..1025).map(|n| Subject { name: n.to_string(), digest: Digest::of(b"") }).collect();
        };
        assert_eq!(refused(many), Some(StatementError::Subjects(1025)));
    }

    #[test]
    fn unknown_and_repeated_fields_and_other_types_are_refused() {
        let text = String::from_utf8(statement().to_bytes().unwrap_or_default()).unwrap_or_default();
        for (from, to) in [
            ("{\"_type\"", "{\"extra\":1,\"_type\""),
            ("{\"_type\"", "{\"predicateType\":\"a:b\",\"_type\""),
            ("\"name\":", "\"uri\":\"x\",\"name\":"),
            ("{\"sha256\":", "{\"sha1\":\"\",\"sha256\":"),
            ("Statement/v1", "Statement/v0.1"),
        ] {
            assert!(text.contains(from));
            assert!(Statement::from_bytes(text.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
        }
    }
}
