//! Raw bytes of what was said between a probe and a target, and the file they are kept in.
//!
//! The file is one zstd frame (RFC 8878). Inside, each exchange is: header length (u32, big endian),
//! header (JSON: everything but the bytes), then the bytes of all frames in order.

use std::io::Read as _;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The probe.
    Sent,
    /// The target.
    Received,
}

/// How an exchange came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// We had what we wanted and closed.
    ByUs,
    /// The target closed in order (FIN).
    Closed,
    /// The target reset the connection (RST).
    Reset,
    /// Nothing came within the exchange's own deadline.
    Timeout,
    /// No connection was made: refused.
    ConnectRefused,
    /// No connection was made: nothing answered in time.
    ConnectTimeout,
    /// No connection was made: any other reason (no route, …).
    ConnectFailed,
    /// We stopped reading at a bound on bytes.
    Overlong,
    /// The run was stopped while it went on.
    Interrupted,
}

/// Some bytes in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who spoke.
    pub direction: Direction,
    /// What was said.
    pub bytes: Vec<u8>,
}

/// One conversation: usually one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What the probe wanted to learn, in a form that the same probe can read back.
    pub question: String,
    /// The address spoken to.
    pub peer: String,
    /// Milliseconds after the probe began.
    pub at: u64,
    /// How it ended.
    pub ended: Ended,
    /// True where bytes were left out at the bound.
    pub cut: bool,
    /// The bytes in order.
    pub frames: Vec<Frame>,
}

impl Exchange {
    /// Most bytes kept of one exchange, both directions together.
    pub const MOST_BYTES: usize = 64 * 1024;
    /// Most bytes kept for one target.
    pub const MOST_BYTES_PER_TARGET: usize = 1024 * 1024;

    /// All bytes of one direction, joined.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> Vec<u8> {
        self.frames.iter().filter(|f| f.direction == direction).flat_map(|f| f.bytes.iter().copied()).collect()
    }
}

/// Why an exchange file could not be read.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// Not a zstd frame, or a damaged one.
    #[error("exchange file can't be decompressed: {0}")]
    Compression(#[from] std::io::Error),
    /// It unpacks to more than a target may have.
    #[error("exchange file unpacks to more than {MOST_UNPACKED} bytes")]
    TooLarge,
    /// The inside does not follow the layout.
    #[error("exchange file is malformed at byte {0}")]
    Malformed(usize),
}

/// Bound on an unpacked file: the bytes kept for a target, plus headers.
const MOST_UNPACKED: usize = 4 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    question: String,
    peer: String,
    at: u64,
    ended: Ended,
    cut: bool,
    frames: Vec<(Direction, u32)>,
}

/// Packs exchanges into the bytes of a file.
///
/// # Errors
/// Where the compressor fails, which takes running out of memory.
pub fn encode_exchanges(exchanges: &[Exchange]) -> Result<Vec<u8>, ExchangeError> {
    let mut plain = Vec::new();
    for exchange in exchanges {
        let header = Header {
            question: exchange.question.clone(),
            peer: exchange.peer.clone(),
            at: exchange.at,
            ended: exchange.ended,
            cut: exchange.cut,
            frames: exchange
                .frames
                .iter()
                .map(|f| (f.direction, u32::try_from(f.bytes.len()).unwrap_or(u32::MAX)))
                .collect(),
        };
        let header = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
        plain.extend(u32::try_from(header.len()).unwrap_or(u32::MAX).to_be_bytes());
        plain.extend(header);
        for frame in &exchange.frames {
            plain.extend_from_slice(&frame.bytes);
        }
    }
    Ok(zstd::encode_all(plain.as_slice(), 3)?)
}

/// Unpacks the bytes of a file. Bounded in memory whatever the input.
///
/// # Errors
/// Where the bytes are not such a file.
pub fn decode_exchanges(bytes: &[u8]) -> Result<Vec<Exchange>, ExchangeError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(MOST_UNPACKED).unwrap_or(u64::MAX);
    zstd::Decoder::new(bytes)?.take(limit.saturating_add(1)).read_to_end(&mut plain)?;
    if plain.len() > MOST_UNPACKED {
        return Err(ExchangeError::TooLarge);
    }
    let mut rest = plain.as_slice();
    let mut exchanges = Vec::new();
    while !rest.is_empty() {
        let malformed = ExchangeError::Malformed(plain.len() - rest.len());
        let Some(exchange) = decode_one(&mut rest) else { return Err(malformed) };
        exchanges.push(exchange);
    }
    Ok(exchanges)
}

fn decode_one(rest: &mut &[u8]) -> Option<Exchange> {
    let length = u32::from_be_bytes(rest.split_off(..4)?.try_into().ok()?);
    let header: Header = serde_json::from_slice(rest.split_off(..usize::try_from(length).ok()?)?).ok()?;
    let mut frames = Vec::new();
    for (direction, length) in header.frames {
        let bytes = rest.split_off(..usize::try_from(length).ok()?)?.to_vec();
        frames.push(Frame { direction, bytes });
    }
    Some(Exchange {
        question: header.question,
        peer: header.peer,
        at: header.at,
        ended: header.ended,
        cut: header.cut,
        frames,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(bytes: Vec<u8>) -> Exchange {
        Exchange {
            question: "hello".into(),
            peer: "127.0.0.1:443".into(),
            at: 7,
            ended: Ended::Reset,
            cut: false,
            frames: vec![
                Frame { direction: Direction::Sent, bytes: bytes.clone() },
                Frame { direction: Direction::Received, bytes },
            ],
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(bytes: Vec<u8>) {
            let exchanges = vec![sample(bytes), sample(vec![])];
            let packed = encode_exchanges(&exchanges).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(decode_exchanges(&packed).ok(), Some(exchanges));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode_exchanges(&bytes);
            let packed = zstd::encode_all(bytes.as_slice(), 3)?;
            let _ = decode_exchanges(&packed);
        }
    }

    #[test]
    fn a_bomb_is_refused() -> Result<(), std::io::Error> {
        let bomb = zstd::encode_all(vec![0; 64 * 1024 * 1024].as_slice(), 3)?;
        assert!(matches!(decode_exchanges(&bomb), Err(ExchangeError::TooLarge)));
        Ok(())
    }
}
