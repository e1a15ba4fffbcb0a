//! Targets of the sort `disk`.

use model::{Failure, FailureClass, Target};

use crate::facts::DiskSpec;

/// The sort of target.
pub const SORT: &str = "disk";

/// What a target declares.
///
/// # Errors
/// Where its parameters are of another sort.
pub(crate) fn spec(target: &Target) -> Result<DiskSpec, Failure> {
    serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
        Failure::new(FailureClass::Unresolved, format!("{}: its parameters are not those of a disk: {e}", target.name))
    })
}
