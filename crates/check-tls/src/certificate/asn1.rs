//! The little of DER (X.690) that is needed to find and frame parts of a certificate.

use x509_parser::asn1_rs::{Any, FromDer as _, Tag};

/// Splits off the first element: its tag, its contents, and the bytes after it.
pub(crate) fn split(der: &[u8]) -> Option<(Tag, &[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    Some((any.tag(), any.data, rest))
}

/// Contents with the header of a SEQUENCE before them.
pub(crate) fn sequence(contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let digits: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    let header = match digits.as_slice() {
        [] => vec![0x30, 0],
        [short @ 0..0x80] => vec![0x30, *short],
        // At most eight digits.
        long => [&[0x30, 0x80 | u8::try_from(long.len()).unwrap_or(8)], long].concat(),
    };
    [header.as_slice(), contents].concat()
}

/// Where something lies in a certificate.
pub(crate) struct Places {
    /// The signed part, its header included.
    pub(crate) signed: std::ops::Range<usize>,
    /// The contents of the two times of its validity.
    pub(crate) times: [std::ops::Range<usize>; 2],
}

/// Finds the signed part of a certificate and its times (RFC 5280, 4.1).
pub(crate) fn places(certificate: &[u8]) -> Option<Places> {
    // Positions are counted from the end: what is left after an element is a suffix of what it lies in.
    let end = certificate.len();
    let (_, outer, after) = split(certificate)?;
    if !after.is_empty() {
        return None;
    }
    let (_, signed, after) = split(outer)?;
    let signed_end = end - after.len();
    let mut rest = signed;
    if rest.first() == Some(&0xa0) {
        rest = split(rest)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = split(rest)?.2;
    }
    let (_, validity, after) = split(rest)?;
    let validity_end = signed_end - after.len();
    let (_, from, after) = split(validity)?;
    let from_end = validity_end - after.len();
    let (_, to, after) = split(after)?;
    let to_end = validity_end - after.len();
    Some(Places {
        signed: end - outer.len()..signed_end,
        times: [from_end - from.len()..from_end, to_end - to.len()..to_end],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_of_any_length_splits_again() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let contents = vec![7; length];
            let der = sequence(&contents);
            assert_eq!(split(&der), Some((Tag::Sequence, contents.as_slice(), [].as_slice())), "{length}");
        }
    }
}
