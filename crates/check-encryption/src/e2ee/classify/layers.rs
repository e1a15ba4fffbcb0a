//! What is wrapped around a payload: compression, encodings, armour.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::{Found, Seen, beside, text};
use crate::facts::Class;

/// Bytes that come out of a compressed payload, at most.
const MOST: u64 = 1 << 20;
/// Bytes that a decompression must give to show that it was one.
const LEAST: usize = 24;

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);

/// Whether a layer makes its content smaller.
pub(super) fn is_compression(layer: &str) -> bool {
    matches!(layer, "gzip" | "zlib" | "deflate" | "zstd" | "bzip2" | "xz")
}

/// What comes out of a compressed payload: told by decompressing it, not by its mark alone.
pub(super) fn decompress(bytes: &[u8], whole: bool) -> Option<Found> {
    let told = |name: &'static str, (out, all): (Vec<u8>, bool)| {
        (out.len() >= LEAST || all && !out.is_empty()).then_some(Found::Layer(name, out, all))
    };
    match bytes {
        [0x1f, 0x8b, 8, flags, ..] if *flags < 0x20 => told("gzip", drain(flate2::read::GzDecoder::new(bytes))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => told("zstd", drain(zstd::stream::read::Decoder::new(bytes).ok()?)),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => {
            told("bzip2", drain(bzip2::read::BzDecoder::new(bytes)))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => told("xz", drain(lzma_rust2::XzReader::new(bytes, true))),
        [first, second, ..]
            if first & 0x0f == 8 && first >> 4 <= 7 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 =>
        {
            // Two bytes are no mark: it must come to its end, with the checksum, or be long.
            let (out, all) = drain(flate2::read::ZlibDecoder::new(bytes));
            (all && !out.is_empty() || !whole && out.len() >= 4096).then_some(Found::Layer("zlib", out, all))
        }
        _ => None,
    }
    .or_else(|| deflate(bytes))
}

/// Deflate without a header: only where it ends exactly where the bytes end, and gives something readable.
fn deflate(bytes: &[u8]) -> Option<Found> {
    let mut decoder = flate2::read::DeflateDecoder::new(bytes);
    let mut out = Vec::new();
    (&mut decoder).take(MOST).read_to_end(&mut out).ok()?;
    let all = decoder.total_in() == bytes.len() as u64;
    let told = all && out.len() >= LEAST && text::readable(&out).is_some();
    told.then_some(Found::Layer("deflate", out, true))
}

/// Reads up to the bound; whether it came to its end in good order.
fn drain(from: impl std::io::Read) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let ended = from.take(MOST).read_to_end(&mut out).is_ok();
    let all = ended && (out.len() as u64) < MOST;
    (out, all)
}

/// PEM and its like (RFC 7468; RFC 9580, section 6), and MIME around CMS (RFC 8551).
pub(super) fn armor(text: &str) -> Option<Found> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if let Some(rest) = text.strip_prefix("-----BEGIN ") {
        let (label, rest) = rest.split_once("-----")?;
        let name = match label {
            "AGE ENCRYPTED FILE" => "age armor",
            "PGP MESSAGE" => "openpgp armor",
            _ => "pem",
        };
        let (body, end) = rest.split_once("-----END ").unwrap_or((rest, ""));
        let behind = end.split_once("-----").map_or(end, |(_, behind)| behind).trim();
        if !behind.is_empty() {
            return Some(more(name, behind, "text stands behind the end of its armour"));
        }
        // Headers end at an empty line; the checksum of OpenPGP stands on the last line.
        let body = match body.trim_start_matches(['\r', '\n']).split_once("\n\n") {
            Some((headers, body)) if headers.contains(": ") => (headers, body),
            _ => body.split_once("\r\n\r\n").filter(|(h, _)| h.contains(": ")).unwrap_or(("", body)),
        };
        let (headers, body) = body;
        if let Some(header) = headers.lines().map(str::trim).find(|line| says_more(line)) {
            return Some(more(name, header, "a header of its armour may be text"));
        }
        // OpenPGP's checksum: four characters on a line of its own.
        let lines = body.lines().filter(|line| !(line.starts_with('=') && line.trim_end().len() == 5));
        let joined: String = lines.flat_map(|l| l.trim().chars()).collect();
        return Some(Found::Layer(name, STANDARD.decode(joined).ok()?, true));
    }
    let head: String = text.chars().take(2000).collect::<String>().to_ascii_lowercase();
    if head.contains("pkcs7-mime") {
        let (_, body) = text.split_once("\n\n").or_else(|| text.split_once("\r\n\r\n"))?;
        let joined: String = body.split_whitespace().collect();
        return Some(Found::Layer("mime", STANDARD.decode(joined).ok()?, true));
    }
    None
}

/// What stands in clear beside an armour: readable, or not known.
fn more(format: &str, text: &str, why: &str) -> Found {
    let class = match beside::of_bytes(text.as_bytes()) {
        Some((Class::Plaintext, _)) if !text.starts_with("Comment: ") => Class::Plaintext,
        _ => Class::Unknown,
    };
    Found::Told(Seen::new(class, Some(format), why))
}

/// Whether a header of an armour says more than which program made it.
fn says_more(header: &str) -> bool {
    let made_by =
        ["Version: GnuPG ", "Comment: Using GnuPG with ", "Comment: GPGTools", "Comment: http", "Charset: ", "Hash: "];
    let known = made_by.iter().any(|name| header.starts_with(name)) && header.len() <= 96;
    !known && beside::of_bytes(header.as_bytes()).is_some()
}

/// Base64, base64url or hex over the whole text. A text that sounds like a language is left alone.
pub(super) fn decode(text: &str, whole: bool) -> Option<Found> {
    if !text.is_ascii() {
        return None;
    }
    let mut joined: String = text.split_whitespace().collect();
    let lines = text.lines().count();
    // Words between spaces are no encoding; lines of equal length are.
    if text.trim().contains([' ', '\t']) || lines > 1 && text.trim().lines().rev().skip(1).any(|l| l.len() < 16) {
        return None;
    }
    if !whole {
        joined.truncate(joined.len() / 4 * 4);
    }
    if joined.len() < 16 {
        return None;
    }
    if let Some(bytes) = joined.strip_prefix("\\x").or(Some(&joined)).and_then(hex) {
        return Some(Found::Layer("hex", bytes, whole));
    }
    if text::may_be_fluent(&joined) {
        return None;
    }
    if let Ok(bytes) = STANDARD.decode(&joined) {
        return Some(Found::Layer("base64", bytes, whole));
    }
    URL_SAFE.decode(&joined).ok().map(|bytes| Found::Layer("base64url", bytes, whole))
}

/// Hexadecimal, one case; a number is none.
fn hex(text: &str) -> Option<Vec<u8>> {
    let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let upper = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    if !(lower || upper) || !text.len().is_multiple_of(2) || text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let half = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes().chunks_exact(2).map(|p| Some(half(*p.first()?)? << 4 | half(*p.get(1)?)?)).collect()
}

/// Base64 of either alphabet, with padding or without.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
