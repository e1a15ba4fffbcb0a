//! One way to write JSON, so that the same data is the same bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Canonical JSON: keys sorted by code point, no insignificant white space, one final newline.
///
/// Facts hold integers, strings, booleans and null only, so that number formatting is not a matter
/// (the difference to RFC 8785 lies in floats and in sorting by UTF-16 units).
///
/// # Errors
/// Where the value can't be written as JSON at all (a map with keys that are not strings).
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    // serde_json's `Value` keeps its objects sorted (feature `preserve_order` is off; a test holds it so).
    let mut bytes = serde_json::to_vec(&serde_json::to_value(value)?)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// JSON for people: keys sorted, indented by two, one final newline.
///
/// # Errors
/// As [`canonical_json`].
pub fn pretty_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(&serde_json::to_value(value)?)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads JSON from outside. Unknown keys are errors in every stored type of this crate.
///
/// # Errors
/// Where the bytes are not JSON of that shape; the message names line and column.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_whatever_the_order_of_insertion() {
        let value: serde_json::Value = from_json(br#"{"b":1,"a":{"d":null,"c":[true]}}"#).unwrap_or_default();
        assert_eq!(canonical_json(&value).unwrap_or_default(), b"{\"a\":{\"c\":[true],\"d\":null},\"b\":1}\n");
    }
}
