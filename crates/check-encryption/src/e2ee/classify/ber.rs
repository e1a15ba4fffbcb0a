//! As much of BER (ITU-T X.690) as CMS needs: definite and indefinite lengths, constructed strings.

/// Elements one after the other.
#[derive(Clone, Copy)]
pub(super) struct Ber<'a>(pub(super) &'a [u8]);

/// Nested indefinite lengths that are followed.
const DEEPEST: usize = 16;

impl<'a> Ber<'a> {
    /// The next element: its tag and its content. `None` at the end, or where it does not parse. Content that is cut off at the
    /// end of the bytes is given as far as it goes.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        self.at_depth(0)
    }

    fn at_depth(&mut self, depth: usize) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (length, rest) = rest.split_first()?;
        // Tags of more than one byte are in no structure that is read here.
        if tag & 0x1f == 0x1f || depth > DEEPEST {
            return None;
        }
        if *length == 0x80 {
            if tag & 0x20 == 0 {
                return None;
            }
            let mut inner = Ber(rest);
            while !inner.0.is_empty() && !inner.0.starts_with(&[0, 0]) {
                inner.at_depth(depth + 1)?;
            }
            let content = rest.get(..rest.len() - inner.0.len())?;
            self.0 = inner.0.get(2..).unwrap_or_default();
            return Some((*tag, content));
        }
        let (length, rest) = match usize::from(*length) {
            short @ 0..=127 => (short, rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(long - 128).filter(|(b, _)| b.len() <= 4)?;
                (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
            }
        };
        let (content, rest) = rest.split_at(length.min(rest.len()));
        self.0 = rest;
        Some((*tag, content))
    }

    /// The content of the next element, if it has that tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, content) = ahead.next()?;
        (found == tag).then(|| {
            *self = ahead;
            content
        })
    }
}

/// The bytes of a string that may be cut into parts.
pub(super) fn string(tag: u8, content: &[u8]) -> Vec<u8> {
    if tag & 0x20 == 0 {
        return content.to_vec();
    }
    let (mut parts, mut whole) = (Ber(content), Vec::new());
    while let Some((tag, part)) = parts.next() {
        if tag & 0x20 == 0 {
            whole.extend_from_slice(part);
        }
    }
    whole
}
