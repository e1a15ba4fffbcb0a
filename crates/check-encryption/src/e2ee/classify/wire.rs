//! Formats that begin with a mark: age, COSE, and everything that is media or an archive.

use super::Container;
use super::layers::base64;

/// The header of an age file (<https://age-encryption.org/v1>), and its payload.
pub(super) fn age(bytes: &[u8]) -> Option<Container> {
    let mut rest = bytes.strip_prefix(b"age-encryption.org/v1\n")?;
    let (mut recipients, mut beside) = (Vec::new(), Vec::new());
    loop {
        let (line, after) = split_line(rest)?;
        if let Some(arguments) = line.strip_prefix("-> ") {
            rest = after;
            // The body: full lines of 64 columns, then a shorter one, which may be empty.
            let mut body = Vec::new();
            loop {
                let (line, after) = split_line(rest)?;
                body.extend(base64(line)?);
                rest = after;
                if line.len() < 64 {
                    break;
                }
            }
            recipients.push(age_recipient(arguments, &body)?);
            // A plugin's arguments and body may be anything.
            beside.extend([arguments.as_bytes().to_vec(), body]);
        } else {
            let mac = base64(line.strip_prefix("--- ")?)?;
            let (nonce, body) = after.split_at_checked(16).filter(|_| mac.len() == 32 && !recipients.is_empty())?;
            let (nonce, body) = (Some(nonce.to_vec()), body.to_vec());
            return Some(Container { format: "age", recipients, nonce, body, beside, ..Container::default() });
        }
    }
}

/// A stanza's sort; for SSH keys with the first bytes of the key's digest. None where a stanza of age's own is not as it is
/// specified: it would hold something else.
fn age_recipient(arguments: &str, body: &[u8]) -> Option<String> {
    let mut words = arguments.split(' ');
    let sort = words.next().filter(|w| !w.is_empty() && w.len() <= 64)?;
    let sizes: Vec<usize> = words.clone().map(|word| base64(word).map_or(0, |bytes| bytes.len())).collect();
    let as_specified = match (sort, sizes.as_slice()) {
        ("X25519", sizes) => sizes == [32] && body.len() == 32,
        // A salt, and the logarithm of the work, which is a number of two digits at most.
        ("scrypt", [salt, _]) => *salt == 16 && body.len() == 32 && words.clone().nth(1).is_some_and(|n| n.len() <= 2),
        ("ssh-ed25519", sizes) => sizes == [4, 32] && body.len() == 32,
        ("ssh-rsa", sizes) => sizes == [4] && (128..=2048).contains(&body.len()),
        ("scrypt", _) => false,
        _ => true,
    };
    if !as_specified {
        return None;
    }
    Some(match sort {
        "scrypt" => "passphrase".to_owned(),
        "ssh-rsa" | "ssh-ed25519" => format!("{sort} {}", words.next()?.chars().take(16).collect::<String>()),
        // A plugin's name is from outside; no line end can be in it.
        other => other.to_owned(),
    })
}

fn split_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().take(4096).position(|b| *b == b'\n')?;
    Some((std::str::from_utf8(bytes.get(..end)?).ok()?, bytes.get(end + 1..)?))
}

/// COSE_Encrypt and COSE_Encrypt0, tagged (RFC 9052, section 5): an array of headers, ciphertext, recipients.
pub(super) fn cose(bytes: &[u8]) -> Option<Container> {
    let (rest, members) = match bytes {
        [0xd8, 96, 0x84, rest @ ..] => (rest, 4),
        [0xd0, 0x83, rest @ ..] => (rest, 3),
        _ => return None,
    };
    let (_, protected, rest) = head(rest).filter(|(major, ..)| *major == 2)?;
    let (protected, rest) = rest.split_at_checked(usize::try_from(protected).ok()?)?;
    let mut beside = Vec::new();
    if !protected.is_empty() && !skip(protected, 5, &mut beside)?.is_empty() {
        return None;
    }
    let rest = skip(rest, 5, &mut beside)?;
    let (_, length, rest) = head(rest).filter(|(major, ..)| *major == 2)?;
    let (body, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let recipients = match (members, head(rest)) {
        (4, Some((4, count, _))) if skip(rest, 4, &mut beside)?.is_empty() => {
            vec!["COSE recipient".to_owned(); usize::try_from(count.min(64)).ok()?]
        }
        (3, None) if rest.is_empty() => Vec::new(),
        _ => return None,
    };
    Some(Container { format: "cose", recipients, body: body.to_vec(), beside, ..Container::default() })
}

/// Major type and value of an item of CBOR (RFC 8949, section 3), and what follows.
fn head(bytes: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (value, rest) = match first & 31 {
        small @ 0..=23 => (u64::from(small), rest),
        size @ 24..=27 => {
            let (value, rest) = rest.split_at_checked(1 << (size - 24))?;
            (value.iter().fold(0, |n, b| n << 8 | u64::from(*b)), rest)
        }
        _ => return None,
    };
    Some((first >> 5, value, rest))
}

/// What follows one item, whose major type must be `wanted`; its strings are gathered.
fn skip<'a>(bytes: &'a [u8], wanted: u8, strings: &mut Vec<Vec<u8>>) -> Option<&'a [u8]> {
    fn item<'a>(bytes: &'a [u8], deepest: u8, strings: &mut Vec<Vec<u8>>) -> Option<&'a [u8]> {
        let (major, value, mut rest) = head(bytes)?;
        let deepest = deepest.checked_sub(1)?;
        match major {
            2 | 3 => {
                let (string, rest) = rest.split_at_checked(usize::try_from(value).ok()?)?;
                strings.push(string.to_vec());
                Some(rest)
            }
            4..=6 => {
                let members = match major {
                    4 => value,
                    5 => value.checked_mul(2)?,
                    _ => 1,
                };
                for _ in 0..members {
                    rest = item(rest, deepest, strings)?;
                }
                Some(rest)
            }
            _ => Some(rest),
        }
    }
    (head(bytes)?.0 == wanted).then(|| item(bytes, 8, strings))?
}

/// Pictures, sound, films, archives, documents and databases, by the marks that they begin with. Four bytes and more, so that
/// ciphertext hardly ever has one.
pub(super) fn media(bytes: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, mark: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    const MARKS: [(&[u8], &str); 30] = [
        (b"SQLite format 3\0", "SQLite"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"OggS\0", "Ogg"),
        (b"fLaC\0", "FLAC"),
        (b"%PDF-", "PDF"),
        (b"PK\x03\x04", "ZIP"),
        (b"PK\x05\x06", "ZIP"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x04\x22\x4d\x18", "LZ4"),
        (b"\x7fELF", "ELF"),
        (b"PGDMP", "pg_dump"),
        (b"II*\0\x08\0", "TIFF"),
        (b"MM\0*\0", "TIFF"),
        (b"\x1a\x45\xdf\xa3", "Matroska"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office document"),
        (b"REDIS00", "Redis"),
        (b"Obj\x01", "Avro"),
        (b"PAR1", "Parquet"),
        (b"{\\rtf", "RTF"),
        (b"#!AMR", "AMR"),
        (b"caff\0", "CAF"),
        (b"ID3\x02\0", "MP3"),
        (b"ID3\x03\0", "MP3"),
        (b"ID3\x04\0", "MP3"),
        (b"bplist00", "property list"),
    ];
    if let Some((_, name)) = MARKS.iter().find(|(mark, _)| at(0, mark)) {
        return Some(name);
    }
    // JPEG: the mark, then a segment with a name (JFIF, Exif).
    if at(0, b"\xff\xd8\xff") && (at(6, b"JFIF") || at(6, b"Exif")) || at(0, b"\xff\xd8\xff\xdb\0") {
        return Some("JPEG");
    }
    if at(0, b"RIFF") && (at(8, b"WAVE") || at(8, b"AVI ") || at(8, b"WEBP")) {
        return Some("RIFF");
    }
    if at(4, b"ftyp") && bytes.starts_with(&[0, 0]) {
        return Some("MP4");
    }
    if is_lzma(bytes) {
        return Some("LZMA");
    }
    at(257, b"ustar").then_some("tar")
}

/// The header of LZMA alone, without a mark (<https://tukaani.org/xz/lzma-file-format.txt>): properties, a dictionary of 2^n or
/// 2^n + 2^(n-1) bytes, a length below 2^40 or none, and the zero with which the range coder begins.
fn is_lzma(bytes: &[u8]) -> bool {
    let Some((head, [0, ..])) = bytes.split_at_checked(13) else { return false };
    let number = |from: usize, to: usize| {
        head.get(from..to).unwrap_or_default().iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b))
    };
    let (dictionary, length) = (number(1, 5), number(5, 13));
    let usual = dictionary >= 4096
        && (dictionary.is_power_of_two() || dictionary % 3 == 0 && (dictionary / 3).is_power_of_two());
    head.first().is_some_and(|properties| *properties < 225) && usual && (length == u64::MAX || length < 1 << 40)
}
