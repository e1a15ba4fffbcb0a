//! Packets of the protocol of MySQL and MariaDB (their documentation, "Client/Server Protocol").

use model::{Failure, FailureClass};

use super::super::link::Link;

/// What this client can do, as bits.
pub(crate) mod can {
    /// TLS.
    pub(crate) const SSL: u32 = 0x800;
    /// Long passwords, protocol 4.1, transactions, salted passwords, named methods of log-in.
    pub(crate) const BASE: u32 = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x8_0000;
}

/// utf8mb4.
const CHARSET: u8 = 45;

/// A packet with its number.
pub(crate) fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    [length.get(..3).unwrap_or_default(), &[number], body].concat()
}

/// The next packet: its number and what it holds.
pub(crate) async fn read(link: &mut Link) -> Result<(u8, Vec<u8>), Failure> {
    let head = link.exact(4).await?;
    let (length, number) = head_of(&head).unwrap_or_default();
    if length == 0 {
        return Err(link.failure(FailureClass::Protocol, "it sent an empty packet; is it MySQL or MariaDB?"));
    }
    Ok((number, link.exact(length).await?))
}

fn head_of(bytes: &[u8]) -> Option<(usize, u8)> {
    let (head, _) = bytes.split_first_chunk::<4>()?;
    let [a, b, c, number] = *head;
    Some((u32::from_le_bytes([a, b, c, 0]) as usize, number))
}

/// The packets in a record, and what follows the last whole one.
pub(crate) fn all(mut bytes: &[u8], most: usize) -> (Vec<Vec<u8>>, &[u8]) {
    let mut found = Vec::new();
    while found.len() < most
        && let Some((length, _)) = head_of(bytes)
        && let Some(body) = bytes.get(4..length.saturating_add(4))
    {
        found.push(body.to_vec());
        bytes = bytes.get(4 + length..).unwrap_or_default();
    }
    (found, bytes)
}

/// Takes a text that ends with a zero, or with the packet.
fn text(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let rest = bytes.get(end.saturating_add(1)..).unwrap_or_default();
    (String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned(), rest)
}

/// What a server says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// Its version.
    pub(crate) version: String,
    /// What it can do.
    pub(crate) capabilities: u32,
    /// The challenge that a password is mixed with.
    pub(crate) challenge: Vec<u8>,
    /// Its default method of log-in.
    pub(crate) method: String,
}

impl Greeting {
    /// Reads `HandshakeV10`.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (version, rest) = text(body.strip_prefix(&[10])?);
        let mut challenge = rest.get(4..12)?.to_vec();
        let rest = rest.get(13..)?;
        let number = |at: usize| Some(u32::from(u16::from_le_bytes([*rest.get(at)?, *rest.get(at + 1)?])));
        let capabilities = number(0)? | (number(5)? << 16);
        let length = usize::from(*rest.get(7)?).saturating_sub(8).max(13);
        let rest = rest.get(18..)?;
        let (second, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        challenge.extend(second.strip_suffix(&[0]).unwrap_or(second));
        // What MariaDB puts before its version for the sake of old replicas.
        let version = version.strip_prefix("5.5.5-").map_or_else(|| version.clone(), str::to_owned);
        Some(Self { version, capabilities, challenge, method: text(rest).0 })
    }

    /// Whether it is MariaDB.
    pub(crate) fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }
}

/// What begins both the request for TLS and the log-in.
fn begin(capabilities: u32) -> Vec<u8> {
    let mut body = capabilities.to_le_bytes().to_vec();
    body.extend((1_u32 << 24).to_le_bytes());
    body.push(CHARSET);
    body.extend([0; 23]);
    body
}

/// Asks for TLS.
pub(crate) fn ssl_request() -> Vec<u8> {
    begin(can::BASE | can::SSL)
}

/// A log-in: user, proof, method.
pub(crate) fn log_in(user: &str, proof: &[u8], method: &str, tls: bool) -> Vec<u8> {
    let mut body = begin(if tls { can::BASE | can::SSL } else { can::BASE });
    body.extend(user.bytes().filter(|byte| *byte != 0));
    body.push(0);
    body.push(u8::try_from(proof.len()).unwrap_or_default());
    body.extend(proof);
    body.extend(method.bytes());
    body.push(0);
    body
}

/// What a server may answer to a log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It lets in, or did what it was told.
    Fine,
    /// It refuses: number, and words.
    Error(u16, String),
    /// It wants another method, with another challenge.
    Switch(String, Vec<u8>),
    /// It goes on with the method.
    More(Vec<u8>),
    /// None of these.
    Other,
}

impl Reply {
    /// Reads one.
    pub(crate) fn read(body: &[u8]) -> Self {
        match body.split_first() {
            Some((0x00, _)) => Self::Fine,
            Some((0xff, rest)) => {
                let number = rest.split_first_chunk::<2>().map_or(0, |(number, _)| u16::from_le_bytes(*number));
                let words = rest.get(2..).unwrap_or_default();
                // A SQLSTATE of five, with a mark before it.
                let words = if words.first() == Some(&b'#') { words.get(6..).unwrap_or_default() } else { words };
                Self::Error(number, String::from_utf8_lossy(words).chars().take(500).collect())
            }
            Some((0xfe, rest)) if !rest.is_empty() => {
                let (method, challenge) = text(rest);
                Self::Switch(method, challenge.strip_suffix(&[0]).unwrap_or(challenge).to_vec())
            }
            Some((0x01, rest)) => Self::More(rest.to_vec()),
            _ => Self::Other,
        }
    }
}

/// A number of variable length; `None` within for null.
fn number(bytes: &[u8]) -> Option<(Option<usize>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let width = match first {
        0xfb => return Some((None, rest)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xff => return None,
        small => return Some((Some(usize::from(*small)), rest)),
    };
    let (digits, rest) = rest.split_at_checked(width)?;
    let mut whole = [0; 8];
    whole.iter_mut().zip(digits).for_each(|(to, from)| *to = *from);
    Some((Some(usize::try_from(u64::from_le_bytes(whole)).ok()?), rest))
}

/// How many columns a result has.
pub(crate) fn columns(body: &[u8]) -> Option<usize> {
    number(body)?.0
}

/// Whether a packet ends a list.
pub(crate) fn is_end(body: &[u8]) -> bool {
    body.first() == Some(&0xfe) && body.len() < 9
}

/// The cells of a row.
pub(crate) fn row(mut bytes: &[u8]) -> Option<Vec<Option<String>>> {
    let mut cells = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = number(bytes)?;
        bytes = rest;
        cells.push(match length {
            None => None,
            Some(length) => {
                let (cell, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Some(String::from_utf8_lossy(cell).into_owned())
            }
        });
    }
    Some(cells)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_with_null_and_a_long_cell() {
        let long = "x".repeat(300);
        let body = [&[2, b'o', b'k', 0xfb, 0xfc, 44, 1][..], long.as_bytes()].concat();
        assert_eq!(row(&body), Some(vec![Some("ok".into()), None, Some(long)]));
        assert_eq!(row(&[9, b'o']), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (row(&bytes), Greeting::read(&bytes), Reply::read(&bytes), columns(&bytes));
            let greeting = [&[10][..], &bytes].concat();
            let _ = Greeting::read(&greeting);
            let (read, rest) = all(&bytes, usize::MAX);
            prop_assert_eq!(read.iter().map(|body| body.len() + 4).sum::<usize>() + rest.len(), bytes.len());
        }

        #[test]
        fn what_is_written_is_read(number: u8, body: Vec<u8>) {
            let packet = packet(number, &body);
            prop_assert_eq!(all(&packet, 1), (vec![body], &[][..]));
        }
    }
}
