//! As much of DER (ITU-T X.690) as private keys need. Borrows all it reads, so that no secret is copied.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// Reads elements one after the other.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element, if there is one.
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, which must have that tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (element, head) = self.element(tag)?;
        element.get(head..)
    }

    /// The next element with its tag and length.
    pub(super) fn take_whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        Some(self.element(tag)?.0)
    }

    /// The content of the next element as elements.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    /// The next element, and the length of its head.
    fn element(&mut self, tag: u8) -> Option<(&'a [u8], usize)> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, head) = match first {
            0..=0x7f => (usize::from(*first), 2),
            0x81..=0x84 => {
                let count = usize::from(first & 0x0f);
                let length = rest.get(..count)?.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
                (length, 2 + count)
            }
            _ => return None,
        };
        let end = head.checked_add(length)?;
        let element = self.0.get(..end).filter(|_| *found == tag)?;
        self.0 = self.0.get(end..)?;
        Some((element, head))
    }
}

/// Bits of a non-negative INTEGER.
pub(super) fn bits(integer: &[u8]) -> Option<u32> {
    let start = integer.iter().position(|byte| *byte != 0)?;
    let digits = integer.get(start..)?;
    let first = digits.first()?.leading_zeros();
    u32::try_from(digits.len()).ok()?.checked_mul(8)?.checked_sub(first)
}

/// An object identifier, dotted.
pub(super) fn dotted(oid: &[u8]) -> Option<String> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    for byte in oid {
        arc = arc.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.push(first);
                arc -= first * 40;
            }
            arcs.push(arc);
            arc = 0;
        }
    }
    let whole = oid.last().is_some_and(|byte| byte & 0x80 == 0);
    whole.then(|| arcs.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}

/// One element around these contents.
pub(super) fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|content| content.len()).sum();
    let mut bytes = vec![tag];
    let [.., a, b, c, d] = length.to_be_bytes();
    match length {
        0..=0x7f => bytes.push(d),
        0x80..=0xff => bytes.extend([0x81, d]),
        0x100..=0xffff => bytes.extend([0x82, c, d]),
        _ => bytes.extend([0x84, a, b, c, d]),
    }
    contents.iter().for_each(|content| bytes.extend_from_slice(content));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_dotted() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]).as_deref(), Some("1.2.840.10045.3.1.7"));
        assert_eq!(dotted(&[0x2b, 0x65, 0x70]).as_deref(), Some("1.3.101.112"));
        assert_eq!(dotted(&[0x2a, 0x86]), None);
        assert_eq!(dotted(&[]), None);
        assert_eq!(bits(&[0, 0x80, 0]), Some(16));
        assert_eq!(bits(&[0]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(content in prop::collection::vec(any::<u8>(), 0..70_000)) {
            let bytes = element(OCTET_STRING, &[&content]);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.take(OCTET_STRING), Some(content.as_slice()));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while let Some(tag) = reader.peek() {
                if reader.take(tag).is_none() { break; }
            }
            dotted(&bytes);
            bits(&bytes);
        }
    }
}
