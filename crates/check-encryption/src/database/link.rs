//! Bytes to and from a database server, in the clear or under TLS, within bounds.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use model::{Direction, Ended, Failure, FailureClass};
use probe::{Conn, Cx, Heard};
use rustls::ClientConnection;
use tokio::time::Instant;

use super::tls::{self, Wanted};
use crate::facts::{DatabaseSpec, DatabaseTlsSeen};

/// Most bytes that are read on one connection, all answers together.
const MOST_BYTES: usize = 16 << 20;
/// Most bytes of one message.
const MOST_MESSAGE: usize = 4 << 20;

/// A connection to a server.
pub(crate) struct Link {
    conn: Conn,
    tls: Option<Box<ClientConnection>>,
    /// What was read and not taken yet, in the clear.
    buffer: Vec<u8>,
    read: usize,
    until: Instant,
    patience: Duration,
    /// The address or the socket, for messages.
    peer: String,
}

impl Link {
    /// Connects.
    pub(crate) async fn open(cx: &Cx, spec: &DatabaseSpec, question: &str) -> Result<Self, Failure> {
        let (conn, peer) = match (&spec.address, &spec.socket) {
            (Some(address), _) => {
                let to: SocketAddr = address.parse().map_err(|_| {
                    Failure::new(FailureClass::Unresolved, format!("'{address}' is no address with a port"))
                })?;
                (cx.dial(to, question).await?, address.clone())
            }
            (None, Some(path)) => (cx.dial_unix(Path::new(path), question).await?, path.clone()),
            (None, None) => {
                return Err(Failure::new(FailureClass::Unresolved, "the server has neither address nor socket"));
            }
        };
        let until = Instant::now() + cx.remaining();
        Ok(Self { conn, tls: None, buffer: Vec::new(), read: 0, until, patience: cx.patience(), peer })
    }

    /// A failure that names the server.
    pub(crate) fn failure(&self, class: FailureClass, what: impl std::fmt::Display) -> Failure {
        Failure::new(class, format!("{}: {what}", self.peer))
    }

    fn garbage(&self, what: impl std::fmt::Display) -> Failure {
        self.failure(FailureClass::Protocol, format!("{what}; is it the sort of server that the inventory says?"))
    }

    /// From here on bytes are not recorded: they are ciphertext, or prove that somebody knows a password.
    pub(crate) const fn mute(&mut self) {
        self.conn.mute();
    }

    /// Records what stands for what was said.
    pub(crate) fn keep(&mut self, direction: Direction, bytes: &[u8]) {
        self.conn.keep(direction, bytes);
    }

    /// Sends all of it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(tls) = &mut self.tls else {
            return self.conn.send(bytes).await.map_err(|ended| of_end(&self.peer, ended));
        };
        // rustls takes what fits its buffer, which is never full here: all of it was written before.
        tls.writer().write_all(bytes).map_err(|e| of_tls(&self.peer, &e))?;
        self.flush().await
    }

    /// Takes that many bytes, when they have come.
    pub(crate) async fn exact(&mut self, count: usize) -> Result<Vec<u8>, Failure> {
        if count > MOST_MESSAGE {
            return Err(self.garbage(format!("a message of {count} bytes was announced")));
        }
        while self.buffer.len() < count {
            self.more().await?;
        }
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Takes a line that ends in CR LF, without these.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.exact(at + 2).await?;
                line.truncate(at);
                return Ok(line);
            }
            if self.buffer.len() > 64 * 1024 {
                return Err(self.garbage("a line of more than 64 KiB came"));
            }
            self.more().await?;
        }
    }

    /// Whether something was sent that nobody asked for.
    pub(crate) const fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Goes over to TLS. Whether the certificate holds is told; nothing is refused for it here.
    pub(crate) async fn secure(&mut self, wanted: &Wanted) -> Result<DatabaseTlsSeen, Failure> {
        if self.has_more() {
            // CVE-2021-23222: bytes that came before the encryption would be taken for encrypted ones.
            return Err(self.garbage("bytes came in the clear after the server had agreed to TLS"));
        }
        self.mute();
        let (client, verdict) = tls::client(wanted).map_err(|why| self.failure(FailureClass::Protocol, why))?;
        self.tls = Some(Box::new(client));
        self.flush().await?;
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.more().await?;
            self.flush().await?;
        }
        let seen = self.tls.as_ref().and_then(|tls| tls::seen(tls, &verdict));
        seen.ok_or_else(|| self.garbage("the handshake of TLS came to no end"))
    }

    /// Ends it in order.
    pub(crate) async fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // A courtesy; the peer may be gone.
            let _ = self.flush().await;
        }
        self.conn.ended(Ended::ByUs);
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let mut bytes = Vec::new();
        while tls.wants_write() && matches!(tls.write_tls(&mut bytes), Ok(1..)) {}
        if bytes.is_empty() {
            return Ok(());
        }
        self.conn.send(&bytes).await.map_err(|ended| of_end(&self.peer, ended))
    }

    /// Waits for more bytes.
    async fn more(&mut self) -> Result<(), Failure> {
        let left = self.until.saturating_duration_since(Instant::now()).min(self.patience);
        if left.is_zero() {
            return Err(of_end(&self.peer, self.conn.ended(Ended::Timeout)));
        }
        let bytes = match self.conn.recv_within(32 * 1024, left).await {
            Heard::Bytes(bytes) => bytes,
            Heard::End(ended) => return Err(of_end(&self.peer, ended)),
        };
        self.read += bytes.len();
        if self.read > MOST_BYTES {
            self.conn.ended(Ended::Overlong);
            return Err(self.garbage(format!("it sent more than {MOST_BYTES} bytes")));
        }
        let Some(tls) = &mut self.tls else {
            self.buffer.extend(bytes);
            return Ok(());
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let read = tls.read_tls(&mut rest).map_err(|e| of_tls(&self.peer, &e))?;
            if read == 0 {
                break;
            }
            if let Err(e) = tls.process_new_packets() {
                let failure = of_tls(&self.peer, &e);
                // Our alert tells the server why; it may be gone.
                let _ = self.flush().await;
                return Err(failure);
            }
            let mut piece = [0; 16 * 1024];
            while let Ok(count @ 1..) = tls.reader().read(&mut piece) {
                self.buffer.extend(piece.get(..count).unwrap_or_default());
            }
        }
        Ok(())
    }
}

fn of_end(peer: &str, ended: Ended) -> Failure {
    let (class, what) = match ended {
        Ended::Timeout => (FailureClass::Timeout, "it said nothing more in time; is it overloaded?".to_owned()),
        ended => {
            (FailureClass::Protocol, format!("it ended the connection ({ended:?}); its own log may tell the reason"))
        }
    };
    Failure::new(class, format!("{peer}: {what}"))
}

fn of_tls(peer: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(FailureClass::Protocol, format!("{peer}: TLS failed: {error}"))
}
