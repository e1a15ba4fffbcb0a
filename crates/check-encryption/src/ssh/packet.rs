//! Bytes before encryption: the identification string, and packets in the clear (RFC 4253, sections 4.2 and 6).

/// Message numbers (RFC 4250, section 4.1).
pub(super) mod message {
    pub(in crate::ssh) const DISCONNECT: u8 = 1;
    pub(in crate::ssh) const SERVICE_REQUEST: u8 = 5;
    pub(in crate::ssh) const SERVICE_ACCEPT: u8 = 6;
    pub(in crate::ssh) const KEXINIT: u8 = 20;
    pub(in crate::ssh) const NEWKEYS: u8 = 21;
    /// `SSH_MSG_KEXDH_INIT`, and what other methods call the same.
    pub(in crate::ssh) const KEX_INIT: u8 = 30;
    /// `SSH_MSG_KEXDH_REPLY`; `SSH_MSG_KEX_DH_GEX_GROUP` in group exchange.
    pub(in crate::ssh) const KEX_REPLY: u8 = 31;
    /// `SSH_MSG_KEX_DH_GEX_INIT`.
    pub(in crate::ssh) const GEX_INIT: u8 = 32;
    /// `SSH_MSG_KEX_DH_GEX_REPLY`.
    pub(in crate::ssh) const GEX_REPLY: u8 = 33;
    /// `SSH_MSG_KEX_DH_GEX_REQUEST`.
    pub(in crate::ssh) const GEX_REQUEST: u8 = 34;
    pub(in crate::ssh) const USERAUTH_REQUEST: u8 = 50;
    pub(in crate::ssh) const USERAUTH_FAILURE: u8 = 51;
    pub(in crate::ssh) const USERAUTH_SUCCESS: u8 = 52;
}

/// Longest packet that must be supported (RFC 4253, section 6.1).
const MOST_PACKET: usize = 35_000;
/// Most bytes before the identification string; OpenSSH's client reads as many.
const MOST_BEFORE: usize = 8 * 1024;
/// Longest identification string, its end left out.
const MOST_IDENTIFICATION: usize = 253;

/// One side of a connection as far as it was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    /// Its identification string, as it is.
    pub(super) identification: Option<Vec<u8>>,
    /// Payloads, in order. What follows `SSH_MSG_NEWKEYS` stands in a record in the clear, or not at all.
    pub(super) packets: Vec<Vec<u8>>,
    /// What is no SSH.
    pub(super) broken: Option<String>,
}

impl Side {
    /// Reads what was said so far. What is not whole yet is left out.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut side = Self::default();
        let mut rest = bytes;
        while side.identification.is_none() {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                let most = if rest.starts_with(b"SSH-") { MOST_IDENTIFICATION + 2 } else { MOST_BEFORE };
                if rest.len() > most {
                    side.broken = Some(format!("no identification string; it began with '{}'", shown(bytes)));
                }
                return side;
            };
            let (line, tail) = rest.split_at(end);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            rest = tail.get(1..).unwrap_or_default();
            if line.starts_with(b"SSH-") {
                if line.len() > MOST_IDENTIFICATION {
                    side.broken = Some("its identification string is longer than 253 bytes".to_owned());
                    return side;
                }
                side.identification = Some(line.to_vec());
            } else if bytes.len() - rest.len() > MOST_BEFORE {
                side.broken = Some(format!("no identification string; it began with '{}'", shown(bytes)));
                return side;
            }
        }
        while let Some((length, after)) = u32_at(rest) {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if !(2..=MOST_PACKET).contains(&length) {
                side.broken = Some(format!("a packet of {length} bytes, which no packet in the clear has"));
                return side;
            }
            let Some(packet) = after.get(..length) else { return side };
            let padding = usize::from(packet.first().copied().unwrap_or(0));
            let Some(payload) =
                length.checked_sub(padding).and_then(|end| packet.get(1..end)).filter(|p| !p.is_empty())
            else {
                side.broken = Some("a packet that is all padding".to_owned());
                return side;
            };
            side.packets.push(payload.to_vec());
            rest = after.get(length..).unwrap_or_default();
        }
        side
    }

    /// The first packet with that number.
    pub(super) fn packet(&self, number: u8) -> Option<&[u8]> {
        self.packets.iter().find(|p| p.first() == Some(&number)).map(Vec::as_slice)
    }

    /// Why it ended the connection, in its own words.
    pub(super) fn disconnect(&self) -> Option<String> {
        let packet = self.packet(message::DISCONNECT)?;
        let (words, _) = string(packet.get(5..)?)?;
        Some(text(words).chars().take(200).collect())
    }
}

/// Text from outside: printable ASCII as it is, anything else as a replacement character.
pub(super) fn text(bytes: &[u8]) -> String {
    let plain = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { char::REPLACEMENT_CHARACTER };
    bytes.iter().map(plain).collect()
}

fn shown(bytes: &[u8]) -> String {
    text(bytes.get(..bytes.len().min(40)).unwrap_or_default())
}

/// A 32-bit number and what follows it.
fn u32_at(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// A `string` (RFC 4251, section 5) and what follows it.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = u32_at(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// Bits of an `mpint` that is not negative, and its bytes without leading zeros.
pub(super) fn mpint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let start = bytes.iter().position(|byte| *byte != 0)?;
    if bytes.first()? & 0x80 != 0 {
        return None;
    }
    let number = bytes.get(start..)?;
    let bits = u32::try_from(number.len()).ok()?.checked_mul(8)?.checked_sub(number.first()?.leading_zeros())?;
    Some((bits, number))
}

/// Appends a `string`.
pub(super) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend_from_slice(bytes);
}

/// A packet in the clear around a payload, padded with zeros to a multiple of eight.
pub(super) fn packet(payload: &[u8]) -> Vec<u8> {
    let used = 5 + payload.len();
    // At least four bytes of padding.
    let padding = 8 - used % 8 + if used % 8 > 4 { 8 } else { 0 };
    let length = 1 + payload.len() + padding;
    let mut bytes = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    bytes.push(u8::try_from(padding).unwrap_or(u8::MAX));
    bytes.extend_from_slice(payload);
    bytes.resize(4 + length, 0);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Side::read(&bytes);
            let _ = Side::read(&[b"SSH-2.0-x\r\n", &bytes[..]].concat());
        }

        #[test]
        fn what_is_written_is_read(payload in proptest::collection::vec(any::<u8>(), 1..300), cut in 0_usize..400) {
            let mut bytes = b"hello\r\nSSH-2.0-x y\r\n".to_vec();
            let head = bytes.len();
            bytes.extend(packet(&payload));
            prop_assert_eq!((bytes.len() - head) % 8, 0);
            let side = Side::read(&bytes);
            prop_assert_eq!(side.identification.as_deref(), Some(&b"SSH-2.0-x y"[..]));
            prop_assert_eq!(&side.packets, &vec![payload]);
            // A part of it is never something else.
            let part = Side::read(bytes.get(..cut.min(bytes.len() - 1)).unwrap());
            prop_assert!(part.packets.is_empty() && part.broken.is_none());
        }
    }

    #[test]
    fn what_is_no_ssh_is_said() {
        assert!(Side::read(&[b'x'; 9000]).broken.is_some_and(|why| why.contains("xxxx")));
        assert!(Side::read(&[b"SSH-2.0-".to_vec(), vec![b'a'; 300]].concat()).broken.is_some());
        assert!(Side::read(b"SSH-2.0-x\r\n\xff\xff\xff\xff").broken.is_some());
        assert!(Side::read(b"SSH-2.0-x\r\n\0\0\0\x06\x05aaaaa").broken.is_some());
        assert_eq!(mpint(&[0, 0x80]), Some((8, &[0x80][..])));
        assert_eq!((mpint(&[]), mpint(&[0]), mpint(&[0x80])), (None, None, None));
    }
}
