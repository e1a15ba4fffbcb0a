//! The CLIENT-HELLO of SSL 2.0 (Hickman 1995, section 2.5).

use crate::registry::KINDS;
use crate::wire;

/// The bytes of a CLIENT-HELLO that offers every cipher kind known.
#[must_use]
pub fn ssl2_hello(challenge: &[u8; 16]) -> Vec<u8> {
    let kinds: Vec<u8> = KINDS.iter().flat_map(|(code, _)| code.to_be_bytes().into_iter().skip(1)).collect();
    let mut body = vec![1, 0, 2];
    for length in [kinds.len(), 0, challenge.len()] {
        body.extend(u16::try_from(length).unwrap_or(0).to_be_bytes());
    }
    body.extend(kinds);
    body.extend(challenge);
    // A header of two bytes, without padding: the top bit is set.
    let mut out = (0x8000 | u16::try_from(body.len()).unwrap_or(0)).to_be_bytes().to_vec();
    out.extend(body);
    out
}

/// The cipher kinds offered in such a message; `None` for anything else.
#[must_use]
pub fn ssl2_kinds(mut bytes: &[u8]) -> Option<Vec<u32>> {
    let rest = &mut bytes;
    let length = usize::from(wire::u16(rest)?.checked_sub(0x8000)?);
    let mut body = wire::take(rest, length)?;
    if wire::take(&mut body, 3)? != [1, 0, 2] {
        return None;
    }
    let kinds = wire::number(&mut body, 2)?;
    wire::take(&mut body, 4)?;
    let (codes, _) = wire::take(&mut body, kinds)?.as_chunks::<3>();
    Some(codes.iter().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c])).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = ssl2_hello(&[7; 16]);
        assert_eq!(bytes.get(..3), Some([0x80, u8::try_from(bytes.len() - 2).unwrap_or(0), 1].as_slice()));
        assert_eq!(ssl2_kinds(&bytes), Some(KINDS.iter().map(|(code, _)| *code).collect()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = ssl2_kinds(&bytes);
        }
    }
}
