//! Whether bytes are spread as those of ciphertext. It can reject and never accept: compressed data pass as well.

use std::collections::BTreeSet;

/// Standard deviations from the mean of chi-square beyond which bytes are not random; far enough out for a million payloads.
const FAR_256: f64 = 10.0;
/// The same for half-bytes, of which the few degrees of freedom give a heavier tail.
const FAR_16: f64 = 20.0;
/// Bytes of a block of AES.
const BLOCK: usize = 16;

/// Why these bytes are not those of a sound cipher; none where nothing speaks against it.
pub(super) fn rejects(bytes: &[u8]) -> Option<String> {
    blocks(bytes).or_else(|| chi_square(bytes)).or_else(|| high_bits(bytes))
}

/// Why short bytes are hardly those of a cipher, though nothing is shown: too many of them are characters, or too many in a row.
/// A few ciphertexts in a million are doubted.
pub(super) fn doubts(bytes: &[u8]) -> Option<String> {
    let count = |n: usize| u32::try_from(n).map(f64::from).unwrap_or(f64::MAX);
    let is_character = |b: &u8| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t');
    let characters = bytes.iter().filter(|b| is_character(b)).count();
    let (total, share) = (count(bytes.len()), 98.0 / 256.0);
    let off = (count(characters) - total * share) / (total * share * (1.0 - share)).sqrt();
    if off > 4.9 {
        return Some(format!("{characters} of {} bytes are characters", bytes.len()));
    }
    // Of n random bytes, so many in a row are characters with a chance of n times 0.38 to their number.
    let most = 14 + usize::try_from(bytes.len().checked_ilog2()?).ok()? * 3 / 4;
    let longest = bytes.split(|b| !is_character(b)).map(<[u8]>::len).max()?;
    (longest >= most).then(|| format!("{longest} characters stand in a row"))
}

/// Blocks that repeat, as in ECB mode: of random ones not two in an exabyte are the same.
fn blocks(bytes: &[u8]) -> Option<String> {
    let (mut seen, mut same) = (BTreeSet::new(), 0_usize);
    for block in bytes.chunks_exact(BLOCK) {
        same += usize::from(!seen.insert(block));
    }
    (same > 0).then(|| format!("{same} of {} blocks of 16 bytes repeat", bytes.len() / BLOCK))
}

/// Pearson's chi-square over bytes, or over their halves where there are too few for that.
fn chi_square(bytes: &[u8]) -> Option<String> {
    let (bins, far, halves) = match bytes.len() {
        1280.. => (256, FAR_256, vec![bytes.to_vec()]),
        80.. => {
            let half = |shift: u32| bytes.iter().map(|b| b >> shift & 15).collect::<Vec<u8>>();
            (16, FAR_16, vec![half(4), half(0)])
        }
        _ => return None,
    };
    let worst = halves.iter().map(|values| deviation(values, bins)).fold(f64::MIN, f64::max);
    (worst > far).then(|| format!("its bytes are not evenly spread (chi-square {worst:.0} standard deviations off)"))
}

fn deviation(values: &[u8], bins: u32) -> f64 {
    let mut counts = [0_u32; 256];
    for value in values {
        if let Some(count) = counts.get_mut(usize::from(*value)) {
            *count += 1;
        }
    }
    let total: u32 = counts.iter().sum();
    let expected = f64::from(total) / f64::from(bins);
    let used = counts.iter().take(usize::try_from(bins).unwrap_or(256));
    let chi: f64 = used.map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    let freedom = f64::from(bins - 1);
    (chi - freedom) / (2.0 * freedom).sqrt()
}

/// Short data: ASCII and most records leave the highest bit clear.
fn high_bits(bytes: &[u8]) -> Option<String> {
    if bytes.len() < 64 {
        return None;
    }
    let total = u32::try_from(bytes.len()).map(f64::from).unwrap_or(f64::MAX);
    let set = u32::try_from(bytes.iter().filter(|b| **b >= 0x80).count()).map(f64::from).unwrap_or_default();
    let off = (set - total / 2.0).abs() / (total / 4.0).sqrt();
    (off > 7.9).then(|| format!("the highest bits are not evenly spread ({off:.0} standard deviations off)"))
}
