//! Looks for a marker in bytes, in every form that a server is likely to store it in.

use std::io::{Read as _, Write as _};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest as _, Md5};

/// Bytes that are searched at once.
pub(super) const PIECE: usize = 8 << 20;
/// What pieces share: a form that lies across the border is in the second one, and a compressed part mostly too.
pub(super) const SHARED: usize = 1 << 20;
/// Bytes that come out of one compressed part, at most.
const MOST_OUT: u64 = 16 << 20;
/// Compressed parts in compressed parts that are looked into.
const DEEPEST: usize = 2;

/// A form of the marker.
struct Form {
    name: &'static str,
    derivative: bool,
    bytes: Vec<u8>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) form: String,
    pub(super) derivative: bool,
    pub(super) offset: u64,
}

/// A marker and all its forms.
pub(super) struct Search {
    forms: Vec<Form>,
    automaton: AhoCorasick,
}

impl Search {
    /// Of a marker of lower-case hexadecimal digits, whose base64 is the same in both alphabets.
    pub(super) fn of(marker: &str) -> Result<Self, String> {
        let forms = forms(marker);
        let automaton = AhoCorasickBuilder::new().match_kind(MatchKind::Standard).build(forms.iter().map(|f| &f.bytes));
        Ok(Self { forms, automaton: automaton.map_err(|e| e.to_string())? })
    }

    /// Everything in the bytes, which begin at `offset`.
    pub(super) fn find(&self, bytes: &[u8], offset: u64) -> Vec<Found> {
        let mut found = Vec::new();
        self.at_depth(bytes, offset, "", 0, &mut found);
        found.sort();
        found.dedup();
        found
    }

    /// Whether the marker stands there as it is.
    pub(super) fn find_plain(&self, bytes: &[u8]) -> bool {
        self.automaton.find_overlapping_iter(bytes).any(|hit| hit.pattern().as_usize() == 0)
    }

    fn at_depth(&self, bytes: &[u8], offset: u64, within: &str, depth: usize, found: &mut Vec<Found>) {
        for hit in self.automaton.find_overlapping_iter(bytes) {
            let Some(form) = self.forms.get(hit.pattern().as_usize()) else { continue };
            let at = if depth == 0 { offset + hit.start() as u64 } else { offset };
            found.push(Found { form: format!("{}{within}", form.name), derivative: form.derivative, offset: at });
        }
        if depth >= DEEPEST {
            return;
        }
        for (at, pair) in bytes.windows(2).enumerate() {
            let Some((name, out)) = bytes.get(at..).and_then(|rest| decompressed(pair, rest)) else { continue };
            let at = if depth == 0 { offset + at as u64 } else { offset };
            self.at_depth(&out, at, &format!(" in {name}{within}"), depth + 1, found);
        }
    }
}

/// What comes out of a compressed part that begins here; as much of it as there is where its end is missing.
fn decompressed(pair: &[u8], rest: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let mut out = Vec::new();
    let name = match (pair, rest) {
        (_, [0x1f, 0x8b, 8, ..]) => {
            // Its end may be missing; what came before counts.
            let _ = flate2::read::GzDecoder::new(rest).take(MOST_OUT).read_to_end(&mut out);
            "gzip"
        }
        (_, [0x28, 0xb5, 0x2f, 0xfd, ..]) => {
            let _ = zstd::stream::read::Decoder::new(rest).ok()?.take(MOST_OUT).read_to_end(&mut out);
            "zstd"
        }
        ([0x78, 0x01 | 0x5e | 0x9c | 0xda], _) => {
            let _ = flate2::read::ZlibDecoder::new(rest).take(MOST_OUT).read_to_end(&mut out);
            "zlib"
        }
        _ => return None,
    };
    (out.len() >= 8).then_some((name, out))
}

/// The forms, each with its bytes.
fn forms(marker: &str) -> Vec<Form> {
    let raw = marker.as_bytes();
    let wide = |of: fn(u16) -> [u8; 2]| marker.encode_utf16().flat_map(of).collect::<Vec<u8>>();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let form = |name, bytes: Vec<u8>| Form { name, derivative: false, bytes };
    let mut forms = vec![
        form("plain", raw.to_vec()),
        form("upper case", marker.to_ascii_uppercase().into_bytes()),
        form("utf-16le", wide(u16::to_le_bytes)),
        form("utf-16be", wide(u16::to_be_bytes)),
        form("hex", hex(raw).into_bytes()),
        form("upper-case hex", hex(raw).to_ascii_uppercase().into_bytes()),
        form("url-quoted", raw.iter().flat_map(|b| format!("%{b:02x}").into_bytes()).collect()),
        form("reversed", raw.iter().rev().copied().collect()),
    ];
    for (name, before) in [("base64", 0), ("base64 at 1", 1), ("base64 at 2", 2)] {
        forms.push(form(name, base64_at(raw, before)));
    }
    for (plain, in_hex, algorithm) in
        [("sha256", "sha256 in hex", &SHA256), ("sha1", "sha1 in hex", &SHA1_FOR_LEGACY_USE_ONLY)]
    {
        let digest = digest(algorithm, raw);
        forms.push(Form { name: plain, derivative: true, bytes: digest.as_ref().to_vec() });
        forms.push(Form { name: in_hex, derivative: true, bytes: hex(digest.as_ref()).into_bytes() });
    }
    let md5 = Md5::digest(raw);
    forms.push(Form { name: "md5", derivative: true, bytes: md5.to_vec() });
    forms.push(Form { name: "md5 in hex", derivative: true, bytes: hex(&md5).into_bytes() });
    forms
}

/// The characters of base64 that depend on the marker alone, where so many bytes stand before it in its group of three.
fn base64_at(raw: &[u8], before: usize) -> Vec<u8> {
    let padded = [vec![0; before], raw.to_vec()].concat();
    let mut text = STANDARD_NO_PAD.encode(&padded).into_bytes();
    if !padded.len().is_multiple_of(3) {
        text.pop();
    }
    let mixed = [0, 2, 3].get(before).copied().unwrap_or_default();
    text.split_off(mixed.min(text.len()))
}

/// The marker as a server may store it, in the middle of other things; by the name of the form that must be found there.
pub(super) fn planted(marker: &str) -> Vec<(&'static str, Vec<u8>)> {
    let around = |bytes: &[u8]| [b"id=7;\x00\x01body=", bytes, b"\x00;end=1"].concat();
    let mut all: Vec<(&'static str, Vec<u8>)> = forms(marker).iter().map(|f| (f.name, around(&f.bytes))).collect();
    // Base64 as an encoder makes it, of the marker in a sentence.
    for (name, before) in [("base64", "so "), ("base64 at 1", "once"), ("base64 at 2", "then ")] {
        let text = STANDARD_NO_PAD.encode(format!("{before}{marker} and so on"));
        all.retain(|(known, _)| *known != name);
        all.push((name, around(text.as_bytes())));
    }
    let sentence = format!("the word is {marker}, once more {marker}");
    let fast = flate2::Compression::default();
    let (mut gzip, mut zlib) =
        (flate2::write::GzEncoder::new(Vec::new(), fast), flate2::write::ZlibEncoder::new(Vec::new(), fast));
    let gzip = gzip.write_all(sentence.as_bytes()).and_then(|()| gzip.finish()).ok();
    let zlib = zlib.write_all(sentence.as_bytes()).and_then(|()| zlib.finish()).ok();
    for (name, packed) in [
        ("plain in gzip", gzip),
        ("plain in zlib", zlib),
        ("plain in zstd", zstd::encode_all(sentence.as_bytes(), 3).ok()),
    ] {
        all.push((name, around(&packed.unwrap_or_default())));
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARKER: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778";

    #[test]
    fn every_form_is_found_and_no_other_marker() {
        let (search, other) = (Search::of(MARKER).unwrap(), Search::of(&MARKER.replace('0', "8")).unwrap());
        for (name, bytes) in planted(MARKER) {
            let found = search.find(&bytes, 0);
            assert!(found.iter().any(|f| f.form == name), "{name}: {found:?}");
            assert_eq!(other.find(&bytes, 0), [], "{name}");
        }
    }

    #[test]
    fn compressed_parts_may_lie_in_others() {
        let inner = zstd::encode_all(MARKER.as_bytes(), 3).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(&[b"..", &inner[..]].concat()).unwrap();
        let found = Search::of(MARKER).unwrap().find(&encoder.finish().unwrap(), 100);
        assert!(found.iter().any(|f| f.form == "plain in zstd in gzip" && f.offset == 100), "{found:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_searched_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..500), which in 0_usize..4) {
            let begin: &[u8] = [&b"\x1f\x8b\x08\0"[..], b"\x78\x9c", b"\x28\xb5\x2f\xfd", b""][which];
            prop_assert_eq!(Search::of(MARKER).unwrap().find(&[begin, &bytes].concat(), 0), []);
        }
    }
}
