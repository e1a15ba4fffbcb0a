//! One recorded connection.

use std::sync::Arc;
use std::time::Duration;

use model::{Direction, Ended, Exchange};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::budget::Permit;
use crate::recorder::Recorder;

/// What a read brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Some bytes, at least one.
    Bytes(Vec<u8>),
    /// The connection ended, or nothing came in time; how is also recorded.
    End(Ended),
}

/// What bytes go through: a TCP connection or a Unix socket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection, over TCP or a Unix socket, under the budget. Everything said on it is recorded as one exchange.
///
/// Dropping it closes it in order; where nothing else was noted, the exchange ended [`Ended::ByUs`].
pub struct Conn {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) index: u32,
    pub(crate) patience: Duration,
    pub(crate) muted: bool,
    pub(crate) _permit: Permit,
    /// Where the service may have but a few connections at once.
    pub(crate) _slot: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Conn {
    /// The position of its exchange in the record: what a fact's `seen` cites.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Sends all of it. `Err` tells how the connection ended instead.
    ///
    /// # Errors
    /// Where the peer closed or reset, or did not take the bytes in time.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let outcome = tokio::time::timeout(self.patience, self.stream.write_all(bytes)).await;
        self.recorder.count(Direction::Sent, bytes.len());
        if !self.muted {
            self.recorder.keep(self.index, Direction::Sent, bytes);
        }
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(self.ended(of_error(&e))),
            Err(_) => Err(self.ended(Ended::Timeout)),
        }
    }

    /// Reads what is there, at most `most` bytes, waiting for the run's patience.
    pub async fn recv(&mut self, most: usize) -> Heard {
        self.recv_within(most, self.patience).await
    }

    /// Reads what is there, at most `most` bytes, waiting at most that long for the first of them.
    pub async fn recv_within(&mut self, most: usize, patience: Duration) -> Heard {
        let mut buffer = vec![0; most.clamp(1, 64 * 1024)];
        match tokio::time::timeout(patience, self.stream.read(&mut buffer)).await {
            Ok(Ok(0)) => Heard::End(self.ended(Ended::Closed)),
            Ok(Ok(read)) => {
                buffer.truncate(read);
                self.recorder.count(Direction::Received, read);
                if !self.muted {
                    self.recorder.keep(self.index, Direction::Received, &buffer);
                }
                Heard::Bytes(buffer)
            }
            Ok(Err(e)) => Heard::End(self.ended(of_error(&e))),
            Err(_) => Heard::End(self.ended(Ended::Timeout)),
        }
    }

    /// From here on raw bytes are counted but not kept: they are ciphertext that nobody can re-parse.
    /// What was learnt from them is kept with [`Conn::keep`] in their stead.
    pub const fn mute(&mut self) {
        self.muted = true;
    }

    /// Keeps bytes that stand for what was said, such as a decrypted handshake message.
    pub fn keep(&mut self, direction: Direction, bytes: &[u8]) {
        self.recorder.keep(self.index, direction, bytes);
    }

    /// Notes how the exchange ended (the first word stands) and gives it back.
    pub fn ended(&mut self, ended: Ended) -> Ended {
        self.recorder.end(self.index, ended);
        ended
    }

    /// Closes and gives back the exchange as it was recorded.
    #[must_use]
    pub fn finish(mut self, ended: Ended) -> Option<Exchange> {
        self.ended(ended);
        self.recorder.exchange(self.index)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.recorder.end(self.index, Ended::ByUs);
    }
}

fn of_error(error: &std::io::Error) -> Ended {
    match error.kind() {
        std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::BrokenPipe
        | std::io::ErrorKind::ConnectionAborted => Ended::Reset,
        std::io::ErrorKind::TimedOut => Ended::Timeout,
        _ => Ended::Closed,
    }
}
