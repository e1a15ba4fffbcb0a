//! Finds PEM blocks (RFC 7468, and OpenSSL's older form with headers) in the bytes of a file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One block. Its content may be secret: it is wiped when dropped and has no `Debug`.
pub(super) struct Block {
    /// `RSA PRIVATE KEY`, `CERTIFICATE`, …
    pub(super) label: String,
    /// The header `Proc-Type: 4,ENCRYPTED` (RFC 1421) stands in it, with this `DEK-Info`, which may be empty.
    pub(super) encrypted: Option<String>,
    /// Decoded content; `None` where it is not in base64 or has no end.
    pub(super) content: Option<Zeroizing<Vec<u8>>>,
}

/// Blocks looked at in one file.
const MOST: usize = 1000;

/// All blocks of a file whose label is of interest.
pub(super) fn blocks(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut line = lines.next();
    while let Some(text) = line {
        let Some(label) = marked(text, b"-----BEGIN ").filter(|label| wanted(label)) else {
            line = lines.next();
            continue;
        };
        let (mut encrypted, mut means) = (false, String::new());
        // As long as the whole file, so that it never grows and leaves a copy behind.
        let mut body = Zeroizing::new(Vec::with_capacity(bytes.len()));
        line = lines.next();
        let mut ended = false;
        while let Some(text) = line.filter(|text| !text.starts_with(b"-----BEGIN ")) {
            line = lines.next();
            if let Some(end) = marked(text, b"-----END ") {
                ended = end == label;
                break;
            }
            if text.contains(&b':') {
                encrypted |= text.starts_with(b"Proc-Type:") && text.ends_with(b"ENCRYPTED");
                if let Some(value) = text.strip_prefix(b"DEK-Info:") {
                    means = String::from_utf8_lossy(value).trim().to_owned();
                }
            } else {
                body.extend_from_slice(text);
            }
        }
        let content = if ended { decode(&body) } else { None };
        blocks.push(Block { label, encrypted: encrypted.then_some(means), content });
        if blocks.len() >= MOST {
            break;
        }
    }
    blocks
}

/// The label in `-----BEGIN label-----`.
fn marked(line: &[u8], mark: &[u8]) -> Option<String> {
    let label = line.strip_prefix(mark)?.strip_suffix(b"-----")?;
    let label = std::str::from_utf8(label).ok()?;
    (label.len() <= 64 && label.bytes().all(|b| b.is_ascii_graphic() || b == b' ')).then(|| label.to_owned())
}

fn decode(body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(vec![0; base64::decoded_len_estimate(body.len())]);
    let length = STANDARD.decode_slice(body, &mut content).ok()?;
    content.truncate(length);
    Some(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_found_among_other_things() {
        let text = b"Bag Attributes\r\n-----BEGIN A KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: x\r\n\r\nAQID\r\n-----END A KEY-----\r\n\
            -----BEGIN OTHER-----\nAAAA\n-----END OTHER-----\n-----BEGIN A KEY-----\n-----BEGIN A KEY-----\n!!\n-----END A KEY-----";
        let blocks = blocks(text, |label| label == "A KEY");
        assert_eq!(blocks.len(), 3);
        assert_eq!((blocks[0].encrypted.as_deref(), &blocks[1].encrypted), (Some("x"), &None));
        assert_eq!(blocks[0].content.as_ref().map(|c| c.to_vec()), Some(vec![1, 2, 3]));
        assert!(blocks[1].content.is_none() && blocks[2].content.is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>, text in "(-----(BEGIN|END) X?-----\n|[A-Z=:]{0,9}\n){0,9}") {
            blocks(&bytes, |_| true);
            blocks(text.as_bytes(), |_| true);
        }

        #[test]
        fn content_comes_back(content: Vec<u8>) {
            let body = STANDARD.encode(&content);
            let text = format!("-----BEGIN X-----\n{body}\n-----END X-----\n");
            let found = blocks(text.as_bytes(), |_| true).pop().and_then(|b| b.content).map(|c| c.to_vec());
            prop_assert_eq!(found, Some(content));
        }
    }
}
