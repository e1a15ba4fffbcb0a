//! Messages of PostgreSQL's protocol, version 3.0 (its documentation, chapter "Frontend/Backend Protocol").

use model::{Failure, FailureClass};

use super::super::link::Link;

/// Asks for TLS.
pub(crate) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Version 3.0.
const VERSION: [u8; 4] = [0, 3, 0, 0];

/// What begins a session.
pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = VERSION.to_vec();
    for (name, value) in parameters {
        for text in [name, value] {
            // A zero would end the text early; no name or value has one.
            body.extend(text.bytes().filter(|byte| *byte != 0));
            body.push(0);
        }
    }
    body.push(0);
    [&length(body.len())[..], &body].concat()
}

/// A message with its type.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &length(body.len()), body].concat()
}

fn length(body: usize) -> [u8; 4] {
    u32::try_from(body + 4).unwrap_or(u32::MAX).to_be_bytes()
}

/// The next message of the server.
pub(crate) async fn read(link: &mut Link) -> Result<(u8, Vec<u8>), Failure> {
    let head = link.exact(5).await?;
    let (kind, length) = head_of(&head).unwrap_or_default();
    match length.checked_sub(4) {
        Some(body) if kind.is_ascii_alphanumeric() => Ok((kind, link.exact(body).await?)),
        _ => {
            let what = "what it said is not PostgreSQL's protocol; is it the sort of server that the inventory says?";
            Err(link.failure(FailureClass::Protocol, what))
        }
    }
}

fn head_of(bytes: &[u8]) -> Option<(u8, usize)> {
    let length: [u8; 4] = bytes.get(1..5)?.try_into().ok()?;
    Some((*bytes.first()?, u32::from_be_bytes(length) as usize))
}

/// The messages in a record.
pub(crate) fn all(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some((kind, length)) = head_of(bytes) {
        let Some(body) = bytes.get(5..length.saturating_add(1)) else { break };
        found.push((kind, body.to_vec()));
        bytes = bytes.get(5 + body.len()..).unwrap_or_default();
    }
    found
}

/// What an error says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// SQLSTATE.
    pub(crate) code: String,
    /// In words.
    pub(crate) message: String,
}

impl ServerError {
    /// Reads `ErrorResponse`.
    pub(crate) fn read(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|byte| *byte == 0) {
            let Some((kind, text)) = field.split_first() else { continue };
            let text = String::from_utf8_lossy(text).chars().take(500).collect();
            match kind {
                b'C' => error.code = text,
                b'M' => error.message = text,
                _ => {}
            }
        }
        error
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)
    }
}

/// What `Authentication…` asks for: its code, and what follows.
pub(crate) fn authentication(body: &[u8]) -> Option<(u32, &[u8])> {
    let (code, rest) = body.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*code), rest))
}

/// The name of what is asked for, as `pg_hba.conf` has it.
pub(crate) const fn method(code: u32) -> &'static str {
    match code {
        0 => "none",
        3 => "password",
        5 => "md5",
        7 => "gss",
        9 => "sspi",
        10 => "scram-sha-256",
        _ => "unknown",
    }
}

/// The cells of a `DataRow`.
pub(crate) fn row(body: &[u8]) -> Option<Vec<Option<String>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut cells = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        match usize::try_from(i32::from_be_bytes(*length)) {
            // -1: null.
            Err(_) => cells.push(None),
            Ok(length) => {
                let (cell, after) = rest.split_at_checked(length)?;
                cells.push(Some(String::from_utf8_lossy(cell).into_owned()));
                rest = after;
            }
        }
    }
    Some(cells)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_with_null() {
        let body = [0, 2, 0, 0, 0, 2, b'o', b'k', 255, 255, 255, 255];
        assert_eq!(row(&body), Some(vec![Some("ok".into()), None]));
        assert_eq!(row(&[0, 1, 0, 0, 0, 9, b'o']), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (row(&bytes), ServerError::read(&bytes), authentication(&bytes).is_some());
            let read = all(&bytes);
            prop_assert!(read.iter().map(|(_, body)| body.len() + 5).sum::<usize>() <= bytes.len());
        }

        #[test]
        fn what_is_written_is_read(kind in b'A'..=b'Z', body: Vec<u8>) {
            prop_assert_eq!(all(&message(kind, &body)), vec![(kind, body)]);
        }
    }
}
