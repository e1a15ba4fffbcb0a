//! What a probe holds while it looks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Depth, Ended, Evidence, Exchange, Failure, FailureClass};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::conn::{Conn, Stream};
use crate::journal::Journal;
use crate::recorder::Recorder;

/// A switch that stops a run: what is collected so far is kept, the rest is marked interrupted.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Stops the run.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the run is stopped.
    pub async fn stopped(&self) {
        let mut watch = self.0.subscribe();
        // The sender lives in `self`, so that this ends only with a true value.
        let _ = watch.wait_for(|stopped| *stopped).await;
    }
}

/// Hands out connections, files and commands under the budget, and records every one of them.
pub struct Cx {
    pub(crate) ask: Ask,
    pub(crate) depth: Depth,
    pub(crate) prior: Vec<Evidence>,
    pub(crate) until: Instant,
    pub(crate) budget: Arc<Budget>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) stop: Stop,
    /// Where a drill writes down what it makes; `None` for everything that only looks.
    pub(crate) journal: Option<Arc<Journal>>,
}

impl Cx {
    /// What the policies want to know.
    #[must_use]
    pub const fn ask(&self) -> &Ask {
        &self.ask
    }

    /// How much to look for.
    #[must_use]
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// Earlier evidence of this probe's kind on this target, newest first; what the policies want of it, or nothing. For
    /// choosing what to look at next: it is never a fact of now.
    #[must_use]
    pub fn prior(&self) -> &[Evidence] {
        &self.prior
    }

    /// Time left before the runner cuts this probe off; zero once the run was stopped. A probe that sees little left
    /// returns what it has, with the rest not proven.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        if self.stop.is_stopped() { Duration::ZERO } else { self.until.saturating_duration_since(Instant::now()) }
    }

    /// How long to wait for a connection and for each answer.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.budget.limits().patience
    }

    /// Connections this target has taken so far.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.recorder.connections()
    }

    /// The exchanges so far, in the order in which they were opened.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.recorder.exchanges()
    }

    /// Opens a connection and begins an exchange about `question`, a text that the probe can read back later.
    ///
    /// # Errors
    /// Where no connection was made. The attempt is recorded too, except where the target's budget is spent.
    pub async fn dial(&self, address: SocketAddr, question: impl Into<String>) -> Result<Conn, Failure> {
        let connect = async {
            let stream = TcpStream::connect(address).await?;
            // Small messages go out at once; a failure here costs speed only.
            let _ = stream.set_nodelay(true);
            if let Ok(local) = stream.local_addr() {
                self.recorder.source(local.ip().to_string());
            }
            Ok(Box::new(stream) as Box<dyn Stream>)
        };
        let slot = self.budget.slot(address).await;
        let mut conn = self.connect(address.ip(), address.to_string(), question.into(), connect).await?;
        conn._slot = slot;
        Ok(conn)
    }

    /// The same to a Unix socket on this machine. Its peer is recorded as `unix:PATH`.
    ///
    /// # Errors
    /// As [`Cx::dial`].
    pub async fn dial_unix(&self, path: &Path, question: impl Into<String>) -> Result<Conn, Failure> {
        let connect = async { Ok(Box::new(UnixStream::connect(path).await?) as Box<dyn Stream>) };
        // This machine's own address stands for its sockets in the budget.
        let lane = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.connect(lane, format!("unix:{}", path.display()), question.into(), connect).await
    }

    async fn connect(
        &self,
        lane: IpAddr,
        peer: String,
        question: String,
        connect: impl Future<Output = std::io::Result<Box<dyn Stream>>>,
    ) -> Result<Conn, Failure> {
        let most = self.budget.limits().max_connections;
        if self.recorder.connections() >= most {
            return Err(Failure::new(
                FailureClass::Interrupted,
                format!("{peer}: the budget of {most} connections is spent; raise it with --max-connections"),
            ));
        }
        let Some(permit) = self.budget.acquire(lane).await else {
            return Err(Failure::new(FailureClass::Interrupted, format!("{peer}: the run is over")));
        };
        let index = self.recorder.open(question, peer.clone());
        let patience = self.patience();
        let stream = match tokio::time::timeout(patience, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                let (ended, failure) = of_connect_error(&peer, &e);
                self.recorder.end(index, ended);
                return Err(failure);
            }
            Err(_) => {
                self.recorder.end(index, Ended::ConnectTimeout);
                return Err(Failure::new(
                    FailureClass::Timeout,
                    format!(
                        "{peer}: no connection within {} s; is a firewall dropping packets?",
                        patience.as_secs_f32()
                    ),
                ));
            }
        };
        let recorder = Arc::clone(&self.recorder);
        Ok(Conn { stream, recorder, index, patience, muted: false, _permit: permit, _slot: None })
    }

    /// The text without any secret that this probe has resolved. For what a target says, before it gets into facts.
    #[must_use]
    pub fn without_secrets(&self, text: &str) -> String {
        self.recorder.secrets().out_of(text)
    }

    /// Lets one service have no more than so many connections at once, whatever its address may have.
    pub fn narrow(&self, service: SocketAddr, at_once: u32) {
        self.budget.narrow(service, at_once);
    }

    /// Tells the budget that an address stopped answering as it did: half as many connections at once from here on, and
    /// more slowly.
    pub fn relent(&self, address: SocketAddr) {
        self.budget.relent(address.ip());
    }

    /// Tells the budget that an address answered well: it may be asked more at once.
    pub fn prosper(&self, address: SocketAddr) {
        self.budget.prosper(address.ip());
    }
}

fn of_connect_error(peer: &str, error: &std::io::Error) -> (Ended, Failure) {
    use std::io::ErrorKind;
    let (ended, class, hint) = match error.kind() {
        ErrorKind::ConnectionRefused => {
            (Ended::ConnectRefused, FailureClass::Refused, "is the service running and listening there?")
        }
        ErrorKind::NotFound => (Ended::ConnectFailed, FailureClass::Missing, "is the service running here?"),
        ErrorKind::TimedOut => (Ended::ConnectTimeout, FailureClass::Timeout, "is a firewall dropping packets?"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            (Ended::ConnectFailed, FailureClass::Unreachable, "is there a route to it from here?")
        }
        ErrorKind::PermissionDenied => {
            (Ended::ConnectFailed, FailureClass::Permission, "does a local firewall or sandbox forbid it?")
        }
        _ => (Ended::ConnectFailed, FailureClass::Unreachable, "can it be reached from here?"),
    };
    (ended, Failure::new(class, format!("{peer}: {error}; {hint}")))
}
