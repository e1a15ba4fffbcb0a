//! Names, times and numbers of certificates as text.
//!
//! Text from outside is decoded, never made safe: control characters and bidirectional overrides stay, so that a reader
//! of the facts sees what was served. Escaping for a medium is the work of what renders.

use x509_parser::asn1_rs::{Any, Oid, Tag};
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Most characters kept of one text from outside.
pub(crate) const MOST_CHARS: usize = 4096;

/// A distinguished name in the form of RFC 4514: the most specific part first, known attributes by their short names,
/// others by their object identifiers, the characters that carry the syntax escaped.
pub(crate) fn name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    cut(parts.join(","))
}

/// Cuts a text at [`MOST_CHARS`] characters and says so in it.
pub(crate) fn cut(text: String) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes in all)", text.get(..end).unwrap_or_default(), text.len()),
        None => text,
    }
}

/// Dotted numbers; where the bytes are none, they are shown in hexadecimal.
pub(crate) fn oid(oid: &Oid<'_>) -> String {
    cut(oid.to_id_string())
}

/// RFC 3339 in UTC, to the second. Years to 9999 are kept as they are: "no well-defined expiration" (RFC 5280,
/// 4.1.2.5) lies after what many time libraries can hold.
pub(crate) fn time(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = oid(attribute.attr_type());
    let value = attribute.attr_value();
    match (short_name(&oid), decoded(value)) {
        (Some(name), Some(text)) => format!("{name}={}", escaped(&text)),
        (None, Some(text)) => format!("{oid}={}", escaped(&text)),
        // RFC 4514, 2.4: a value without a string form is shown as its encoding.
        (name, None) => format!("{}=#{}", name.unwrap_or(&oid), hex(value.data)),
    }
}

/// The attribute types of RFC 4514, section 3, and the few more that certificates commonly carry.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// The text of a string type. Bytes that are not of the type become U+FFFD.
fn decoded(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    Some(match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        // In practice Latin-1, whatever T.61 says.
        Tag::T61String => bytes.iter().copied().map(char::from).collect(),
        Tag::BmpString => {
            let units = bytes.chunks(2).map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Tag::UniversalString => bytes
            .chunks(4)
            .map(|four| four.iter().fold(0, |code, byte| code << 8 | u32::from(*byte)))
            .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        _ => return None,
    })
}

/// Escapes what carries the syntax of RFC 4514, 2.4, so that a value can't pose as another attribute.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        let edge = (c == ' ' && (index == 0 || index == last)) || (c == '#' && index == 0);
        if edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
