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
        for (start, text) in base64_runs(bytes) {
            let at = if depth == 0 { offset + start as u64 } else { offset };
            if bytes.get(start..start + text.len()) != Some(&text) {
                self.forms_in(&text, at, &format!(" in broken lines{within}"), found);
            }
            // What stands before it without a sign between may shift it.
            for shift in 0..4 {
                let part = text.get(shift..).unwrap_or_default();
                let whole = part.get(..part.len() / 4 * 4).unwrap_or_default();
                let Ok(inner) = STANDARD_NO_PAD.decode(whole) else { continue };
                if inner.windows(2).any(is_mark) {
                    self.compressed(&inner, at, &format!(" in base64{within}"), depth + 1, found);
                }
            }
        }
        if let Some(text) = unquoted(bytes) {
            self.forms_in(&text, offset, &format!(" in quoted-printable{within}"), found);
        }
        self.compressed(bytes, offset, within, depth, found);
    }

    /// Every form in bytes that all lie at one place.
    fn forms_in(&self, bytes: &[u8], at: u64, within: &str, found: &mut Vec<Found>) {
        for hit in self.automaton.find_overlapping_iter(bytes) {
            let Some(form) = self.forms.get(hit.pattern().as_usize()) else { continue };
            found.push(Found { form: format!("{}{within}", form.name), derivative: form.derivative, offset: at });
        }
    }

    /// Looks into every compressed part.
    fn compressed(&self, bytes: &[u8], offset: u64, within: &str, depth: usize, found: &mut Vec<Found>) {
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

/// Whether two bytes may begin a compressed part.
fn is_mark(pair: &[u8]) -> bool {
    matches!(pair, [0x1f, 0x8b] | [0x28, 0xb5] | [0x78, 0x01 | 0x5e | 0x9c | 0xda])
}

/// Characters of base64 in a row, of either alphabet, without the breaks of lines between them (RFC 2045, section 6.8; in JSON they
/// stand as `\n`), and where they begin.
fn base64_runs(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let (mut runs, mut run, mut start, mut at) = (Vec::new(), Vec::new(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (character, length) = match (byte, rest) {
            (b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/', _) => (Some(*byte), 1),
            (b'-', _) => (Some(b'+'), 1),
            (b'_', _) => (Some(b'/'), 1),
            (b'\r' | b'\n', _) => (None, 1),
            (_, [b'\\', b'r' | b'n', ..]) => (None, 2),
            (_, [b'\\', b'/', ..]) => (Some(b'/'), 2),
            _ => {
                if run.len() >= LEAST_RUN {
                    runs.push((start, std::mem::take(&mut run)));
                }
                run.clear();
                at += 1;
                continue;
            }
        };
        if run.is_empty() {
            start = at;
        }
        run.extend(character);
        at += length;
    }
    if run.len() >= LEAST_RUN {
        runs.push((start, run));
    }
    runs
}

/// Characters of base64 that a marker takes.
const LEAST_RUN: usize = 60;

/// Quoted-printable (RFC 2045, section 6.7) without its soft breaks; none where there are no such breaks.
fn unquoted(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_soft = |w: &[u8]| matches!(w, [b'=', b'\n', _] | [b'=', b'\r', b'\n']);
    if !bytes.windows(3).any(is_soft) && !bytes.ends_with(b"=\n") {
        return None;
    }
    let (mut text, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let skipped = match rest {
            [b'=', b'\n', ..] => 2,
            [b'=', b'\r', b'\n', ..] => 3,
            _ => 0,
        };
        if skipped == 0 {
            text.push(*byte);
        }
        at += skipped.max(1);
    }
    Some(text)
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

/// Names of forms of base64 in lines, each with what stands before the marker so that it has that form.
const MIME: [(&str, &str); 3] = [
    ("base64 in broken lines", "so "),
    ("base64 at 1 in broken lines", "once"),
    ("base64 at 2 in broken lines", "also "),
];

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
        ("plain in gzip", gzip.clone()),
        ("plain in zlib", zlib),
        ("plain in zstd", zstd::encode_all(sentence.as_bytes(), 3).ok()),
    ] {
        all.push((name, around(&packed.unwrap_or_default())));
    }
    // As mail carries it: lines of 76 characters.
    let lines =
        |text: &str, end: &str| text.as_bytes().chunks(76).map(String::from_utf8_lossy).collect::<Vec<_>>().join(end);
    for (name, before) in MIME {
        let text = STANDARD_NO_PAD.encode(format!("Hello,\r\n\r\nI have a news {before}{marker} and so on"));
        all.push((name, around(lines(&text, "\r\n").as_bytes())));
    }
    all.push(("plain in gzip in base64", around(STANDARD_NO_PAD.encode(gzip.unwrap_or_default()).as_bytes())));
    let (begin, end) = marker.split_at(marker.len() / 2);
    all.push(("plain in quoted-printable", around(format!("the word=20is {begin}=\r\n{end} and so on").as_bytes())));
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
    fn mail_and_json_carry_it_too() {
        let text =
            format!("Dear Bob,\r\n\r\nplease find here the word of your last message: {MARKER}\r\nbest wishes\r\n");
        let encoded = STANDARD_NO_PAD.encode(&text);
        let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|l| std::str::from_utf8(l).unwrap()).collect();
        let mail = format!("Content-Transfer-Encoding: base64\r\n\r\n{}\r\n", lines.join("\r\n"));
        let json = format!("{{\"raw\":\"{}\"}}", lines.join("\\n"));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let packed = STANDARD_NO_PAD.encode(encoder.finish().unwrap());
        let soft = format!("Gr=C3=BC=C3=9Fe, das Wort: {}=\n{} und mehr", &MARKER[..9], &MARKER[9..]);
        let search = Search::of(MARKER).unwrap();
        for text in [mail, json, packed.clone(), format!("body={packed}"), packed.replace('+', "-"), soft] {
            assert!(search.find(text.as_bytes(), 0).iter().any(|found| !found.derivative), "{text}");
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
