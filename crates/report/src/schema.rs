//! The published JSON Schema of `assessment.json`.

use model::Assessment;

/// JSON Schema (draft 2020-12) of an assessment.
#[must_use]
pub fn assessment_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Assessment).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".into(), format!("urn:{}", Assessment::FORMAT.replace('/', ":")).into());
        root.insert("title".into(), "Assessment of Probity".into());
    }
    schema
}
