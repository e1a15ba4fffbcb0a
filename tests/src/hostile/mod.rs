//! Servers that behave badly on purpose, each on a port of its own of 127.0.0.1.

mod hello;

use std::io::{Read as _, Result as IoResult, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::Result;

use crate::process::free_port;
use hello::Hello;

/// TLS 1.2 and SSLv3 on the wire.
const TLS12: [u8; 2] = [3, 3];
const SSL3: [u8; 2] = [3, 0];

/// In what way a server is bad.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Accepts the connection and never says a word.
    Silent,
    /// Answers anything with an HTTP response.
    PlainHttp,
    /// Closes every connection as soon as it stands.
    ClosesAtOnce,
    /// Answers with bytes that mean nothing.
    Garbage,
    /// Begins a TLS 1.2 handshake and then sends HelloRequest messages for ever.
    EndlessHandshake,
    /// Begins a TLS 1.2 handshake and sends a Certificate message of 16 MB.
    HugeCertificate,
    /// Sends a true ServerHello, one byte a second.
    OneByteASecond,
    /// Chooses a suite that was not offered.
    UnofferedSuite,
    /// Passes everything on to a real server, but drops every tenth connection.
    DropsEveryTenth(SocketAddr),
    /// Speaks SSLv2 alone, with this certificate (DER), and offers these kinds of cipher back.
    Ssl2(Vec<u8>, Vec<[u8; 3]>),
    /// Speaks SSLv3 alone, with this certificate (DER) and these suites, its own order first.
    Ssl3(Vec<u8>, Vec<u16>),
}

/// A running bad server; ends when it is dropped.
#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Hostile {
    /// Starts it.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(behaviour: Behaviour) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let thread = thread::spawn({
            let (stop, connections) = (Arc::clone(&stop), Arc::clone(&connections));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
                    let (behaviour, stop) = (behaviour.clone(), Arc::clone(&stop));
                    // The other side may leave at any moment; that is no failure of ours.
                    thread::spawn(move || drop(behave(&behaviour, stream, number, &stop)));
                }
            }
        });
        Ok(Self { address, stop, connections, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A port where connections are refused.
///
/// # Errors
/// When the system has no port to give.
pub fn refusing_port() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

fn behave(behaviour: &Behaviour, mut stream: TcpStream, number: usize, stop: &AtomicBool) -> IoResult<()> {
    match behaviour {
        Behaviour::ClosesAtOnce => Ok(()),
        Behaviour::Silent => wait(&stream, stop),
        Behaviour::PlainHttp => {
            let mut some = [0; 1024];
            let _ = stream.read(&mut some)?;
            let page = "<html><body><h1>400 Bad Request</h1></body></html>";
            let head = "HTTP/1.1 400 Bad Request\r\nServer: lab\r\nConnection: close\r\nContent-Length:";
            stream.write_all(format!("{head} {}\r\n\r\n{page}", page.len()).as_bytes())
        }
        Behaviour::Garbage => {
            // A linear congruential generator: the same bytes in every run (Knuth's MMIX constants).
            let mut state = 0x5eed_u64;
            let noise = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            });
            stream.write_all(&noise.take(4096).collect::<Vec<u8>>())?;
            wait(&stream, stop)
        }
        Behaviour::EndlessHandshake => {
            begin(&mut stream)?;
            let request = hello::record(0x16, TLS12, &hello::message(0, &[]).repeat(64));
            while !stop.load(Ordering::Relaxed) {
                stream.write_all(&request)?;
            }
            Ok(())
        }
        Behaviour::HugeCertificate => {
            begin(&mut stream)?;
            let body = vec![0x30; (1 << 24) - 1];
            for chunk in hello::message(11, &body).chunks(1 << 14) {
                stream.write_all(&hello::record(0x16, TLS12, chunk))?;
            }
            wait(&stream, stop)
        }
        Behaviour::OneByteASecond => {
            let Hello::Tls { suites, .. } = Hello::read(&mut stream)? else { return Ok(()) };
            let suite = suites.into_iter().find(|suite| *suite != 0x00ff).unwrap_or(0xc02f);
            for byte in hello::server_hello(TLS12, suite) {
                stream.write_all(&[byte])?;
                for _ in 0..20 {
                    sleep(Duration::from_millis(50));
                    if stop.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        }
        Behaviour::UnofferedSuite => {
            let Hello::Tls { suites, .. } = Hello::read(&mut stream)? else { return Ok(()) };
            let candidates = [0xc02f, 0xc030, 0x009c, 0x002f, 0x0005, 0xc013, 0x1301];
            let suite = candidates.into_iter().find(|suite| !suites.contains(suite)).unwrap_or(0x0019);
            stream.write_all(&hello::server_hello(TLS12, suite))?;
            wait(&stream, stop)
        }
        Behaviour::DropsEveryTenth(upstream) => {
            if number.is_multiple_of(10) {
                return Ok(());
            }
            pass_on(stream, *upstream)
        }
        Behaviour::Ssl2(der, kinds) => match Hello::read(&mut stream)? {
            Hello::Ssl2 { .. } => {
                stream.write_all(&hello::ssl2_server_hello(der, kinds))?;
                wait(&stream, stop)
            }
            _ => Ok(()),
        },
        Behaviour::Ssl3(der, ours) => {
            let Hello::Tls { suites, version, .. } = Hello::read(&mut stream)? else { return Ok(()) };
            if version != SSL3 {
                // A server of the time would answer a newer hello with its own version; this one is strict.
                return stream.write_all(&hello::alert(SSL3, 70));
            }
            let Some(suite) = ours.iter().find(|suite| suites.contains(suite)) else {
                return stream.write_all(&hello::alert(SSL3, 40));
            };
            let done = hello::record(0x16, SSL3, &hello::message(14, &[]));
            stream.write_all(&[hello::server_hello(SSL3, *suite), hello::certificate(SSL3, der), done].concat())?;
            wait(&stream, stop)
        }
    }
}

/// Reads a hello and answers with a ServerHello of TLS 1.2, as a real server would.
fn begin(stream: &mut TcpStream) -> IoResult<()> {
    let suite = match Hello::read(stream)? {
        Hello::Tls { suites, .. } => suites.into_iter().find(|suite| (suite >> 8) == 0xc0).unwrap_or(0xc02f),
        _ => 0xc02f,
    };
    stream.write_all(&hello::server_hello(TLS12, suite))
}

/// Reads and forgets until the other side leaves or the server ends.
fn wait(mut stream: &TcpStream, stop: &AtomicBool) -> IoResult<()> {
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut some = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut some) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Copies both ways until both sides are done.
fn pass_on(client: TcpStream, upstream: SocketAddr) -> IoResult<()> {
    let server = TcpStream::connect(upstream)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let there = thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = std::io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Write);
    let _ = there.join();
    Ok(())
}
