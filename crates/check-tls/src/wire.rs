//! Reading and writing the vectors of TLS (RFC 8446, section 3).

/// Takes `length` bytes off the front.
pub(crate) fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    rest.split_off(..length)
}

/// Takes a big-endian number of `width` bytes off the front.
pub(crate) fn number(rest: &mut &[u8], width: usize) -> Option<usize> {
    Some(take(rest, width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// Takes one 16-bit number off the front.
pub(crate) fn u16(rest: &mut &[u8]) -> Option<u16> {
    take(rest, 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// Takes a vector, preceded by its length in `width` bytes, off the front.
pub(crate) fn vector<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let length = number(rest, width)?;
    take(rest, length)
}

/// All bytes as 16-bit numbers; `None` where one is left over.
pub(crate) fn u16s(bytes: &[u8]) -> Option<Vec<u16>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect())
}

/// The bytes of 16-bit numbers.
pub(crate) fn bytes(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// Appends a vector with its length in `width` bytes. What does not fit its length is cut: hellos are built from
/// bounded lists, so that this never happens to them.
pub(crate) fn put(out: &mut Vec<u8>, width: usize, content: &[u8]) {
    let most = (1_usize << (8 * width.min(3))) - 1;
    let content = content.get(..most).unwrap_or(content);
    let length = content.len().to_be_bytes();
    out.extend_from_slice(length.get(length.len() - width.min(length.len())..).unwrap_or_default());
    out.extend_from_slice(content);
}
