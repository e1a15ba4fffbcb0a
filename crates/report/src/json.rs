//! JSON: the assessment itself, for machines and for people who read JSON.

use crate::{RenderError, Style, View, escape};

/// The value of `assessment.json`, indented. Characters that could act on a terminal are written as `\uXXXX`.
///
/// # Errors
/// Where the assessment can't be written as JSON.
pub fn render(view: &View<'_>, _: &Style) -> Result<Vec<u8>, RenderError> {
    let bytes = model::pretty_json(view.assessment)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(escape::json(&text).into_owned().into_bytes())
}
