//! LDAP (RFC 4511, 4.14).

use super::{Dialogue, Step};

/// LDAPMessage 1, an ExtendedRequest of the operation StartTLS.
const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// Result `protocolError`: the operation is not known (RFC 4511, 4.14.2).
const PROTOCOL_ERROR: usize = 2;

/// The dialogue; whether the question was asked.
#[derive(Default)]
pub(super) struct Ldap {
    asked: bool,
}

impl Dialogue for Ldap {
    fn next(&mut self, heard: &mut &[u8]) -> Step {
        if !std::mem::replace(&mut self.asked, true) {
            return Step::say(REQUEST);
        }
        if heard.first().is_some_and(|tag| *tag != 0x30) {
            return Step::unclear("it does not speak LDAP");
        }
        let mut ahead = *heard;
        let mut message = match element(&mut ahead) {
            Read::Whole(_, message) => message,
            Read::Short => return Step::Hear,
            Read::Wrong => return Step::unclear("it does not speak LDAP"),
        };
        *heard = ahead;
        let (Read::Whole(2, id), Read::Whole(tag, mut response)) = (element(&mut message), element(&mut message))
        else {
            return Step::unclear("it does not speak LDAP");
        };
        // Message 0 is the notice of disconnection (RFC 4511, 4.4.1).
        if number(id) != 1 || tag != 0x78 {
            return Step::unclear("it answered something else than what was asked");
        }
        match element(&mut response) {
            Read::Whole(10, result) => match number(result) {
                0 => Step::Begin,
                PROTOCOL_ERROR => Step::refused("it does not know the operation StartTLS (result 2)"),
                code => Step::Unclear(format!("it refused StartTLS with result {code}")),
            },
            _ => Step::unclear("it does not speak LDAP"),
        }
    }
}

enum Read<'a> {
    Whole(u8, &'a [u8]),
    Short,
    Wrong,
}

/// Takes one element of BER off the front: its tag and content. Lengths are definite in LDAP (RFC 4511, 5.1).
fn element<'a>(rest: &mut &'a [u8]) -> Read<'a> {
    let [tag, first, behind @ ..] = *rest else { return Read::Short };
    let (length, content) = match first {
        0..=0x7f => (usize::from(*first), behind),
        0x81..=0x84 => {
            let width = usize::from(first & 0x7f);
            let Some((digits, content)) = behind.split_at_checked(width) else { return Read::Short };
            (number(digits), content)
        }
        _ => return Read::Wrong,
    };
    if length > super::MOST_BYTES {
        return Read::Wrong;
    }
    match content.split_at_checked(length) {
        Some((inside, after)) => {
            *rest = after;
            Read::Whole(*tag, inside)
        }
        None => Read::Short,
    }
}

/// A number of a few bytes, big endian.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte))
}
