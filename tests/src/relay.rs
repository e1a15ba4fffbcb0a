//! A relay before a server that makes the way to it longer, and counts: loopback as if the server were far away.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! # let server = "127.0.0.1:443".parse()?;
//! use std::time::Duration;
//! let relay = tests::Relay::start(server, Duration::from_millis(50))?;
//! // … look at relay.address() instead of the server …
//! println!("{} connections", relay.counts().connections);
//! # Ok(()) }
//! ```
//!
//! A connection to a server far away stands for the client after one round trip, and the server sees the client's first
//! bytes half a round trip later. On loopback it stands at once, so the relay keeps the first bytes back for one and a
//! half round trips, and everything after that for half of one, each way. A first answer comes after two round trips, as
//! from afar. The end of a stream travels like bytes; a reset is passed on as a reset.

use std::io::Result as IoResult;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

/// How much is read at once.
const CHUNK: usize = 16 << 10;
/// How many chunks may be on their way in one direction of one connection.
const ON_THE_WAY: usize = 256;

/// What went through a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayCounts {
    /// Connections that were accepted.
    pub connections: u64,
    /// The most that were open at one time.
    pub at_once: u64,
    /// Bytes from clients to the server.
    pub sent: u64,
    /// Bytes from the server to clients.
    pub received: u64,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    open: AtomicU64,
    at_once: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// A running relay, one thread; ends when it is dropped, and all that goes through it.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts one on 127.0.0.1 before a server, as far from it as a round trip of that time.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(server: SocketAddr, round_trip: Duration) -> Result<Self> {
        Self::listening(Ipv4Addr::LOCALHOST, server, round_trip)
    }

    /// Starts one on every address of this machine. Each leads to the server's port at the same address, so that one
    /// server on 0.0.0.0 looks like as many endpoints as 127.0.0.0/8 has addresses.
    ///
    /// # Errors
    /// As [`Relay::start`].
    pub fn everywhere(server: SocketAddr, round_trip: Duration) -> Result<Self> {
        Self::listening(Ipv4Addr::UNSPECIFIED, server, round_trip)
    }

    fn listening(on: Ipv4Addr, server: SocketAddr, round_trip: Duration) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((on, 0)))?;
            socket.listen(4096)
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.local_addr()?.port()));
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn({
            let counters = Arc::clone(&counters);
            move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, Way { server, everywhere: on.is_unspecified(), round_trip }, counters) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        Ok(Self { address, counters, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; one that listens everywhere takes this port at each address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went through it until now.
    #[must_use]
    pub fn counts(&self) -> RelayCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { connections, at_once, sent, received, .. } = &*self.counters;
        RelayCounts {
            connections: read(connections),
            at_once: read(at_once),
            sent: read(sent),
            received: read(received),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where a relay leads.
#[derive(Clone, Copy)]
struct Way {
    server: SocketAddr,
    /// To the server's port at the address that the client chose.
    everywhere: bool,
    round_trip: Duration,
}

async fn accept(listener: TcpListener, way: Way, counters: Arc<Counters>) {
    loop {
        // Too many open files: the client waits in the backlog until others have left.
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let counters = Arc::clone(&counters);
        counters.connections.fetch_add(1, Ordering::Relaxed);
        let open = counters.open.fetch_add(1, Ordering::Relaxed) + 1;
        counters.at_once.fetch_max(open, Ordering::Relaxed);
        tokio::spawn(async move {
            // Either side may leave at any moment; that is no failure of ours.
            let _ = pass(client, way, &counters).await;
            counters.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Carries one connection.
async fn pass(client: TcpStream, way: Way, counters: &Counters) -> IoResult<()> {
    let (stands, half) = (Instant::now() + way.round_trip, way.round_trip / 2);
    let ip = if way.everywhere { client.local_addr()?.ip() } else { way.server.ip() };
    let upstream = SocketAddr::new(ip, way.server.port());
    // The server sees the connection when the client's third packet has arrived.
    if !half.is_zero() {
        sleep_until(stands + half).await;
    }
    let server = match TcpStream::connect(upstream).await {
        Ok(server) => server,
        Err(error) => {
            let _ = client.set_zero_linger();
            return Err(error);
        }
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // A reset from one side ends both directions, and so resets the other side.
    tokio::try_join!(
        carry(from_client, to_server, half, &counters.sent),
        carry(from_server, to_client, half, &counters.received)
    )?;
    Ok(())
}

/// Carries one direction, each chunk as late as it would be from afar.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, late: Duration, count: &AtomicU64) -> IoResult<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, IoResult<Vec<u8>>)>(ON_THE_WAY);
    let read = async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = from.read(&mut chunk).await.map(|length| {
                chunk.truncate(length);
                chunk
            });
            let end = read.as_ref().map_or(true, Vec::is_empty);
            if sender.send((Instant::now() + late, read)).await.is_err() || end {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = receiver.recv().await {
            if !late.is_zero() {
                sleep_until(due).await;
            }
            match chunk {
                Ok(chunk) if chunk.is_empty() => {
                    let _ = to.shutdown().await;
                    return Ok(());
                }
                Ok(chunk) => {
                    count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                    // Whoever does not want it any more may still have words on their way back.
                    if to.write_all(&chunk).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    // A reset is not an end: whoever drops such a socket sends a reset too.
                    let _ = to.as_ref().set_zero_linger();
                    return Err(error);
                }
            }
        }
        Ok(())
    };
    tokio::join!(read, write).1
}
