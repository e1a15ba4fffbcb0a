//! Connections are a budget: how many in all, how many at once to one address, how fast.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::workshop::Workshop;

/// What a run may cost its targets and this machine, and what it may do there.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long one probe may look at one target.
    pub deadline: Duration,
    /// How long to wait for a connection, and for each answer on it.
    pub patience: Duration,
    /// Connections to one target, in all.
    pub max_connections: u32,
    /// Connections to one address at once; halved for an address that stops answering.
    pub window: u32,
    /// New connections to one address per second, once a burst of `window` × 4 is spent. Loopback is not held back.
    pub rate: u32,
    /// Sockets open at once, all targets together; keeps below the usual 1,024 file descriptors.
    pub sockets: u32,
    /// Targets looked at at once.
    pub targets_at_once: usize,
    /// Whether commands that the inventory brings (`cmd:` secrets, drills) may run.
    pub allow_commands: bool,
    /// How long one drill may take.
    pub drill_deadline: Duration,
    /// How long to wait for another run's drills to end.
    pub drill_patience: Duration,
    /// Most bytes that the scratch folders of one drill may hold, all together.
    pub scratch_bytes: u64,
    /// Where drills work; without one, none runs.
    pub workshop: Option<Workshop>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(120),
            patience: Duration::from_secs(5),
            max_connections: 600,
            window: 16,
            rate: 50,
            sockets: 256,
            targets_at_once: 32,
            allow_commands: false,
            drill_deadline: Duration::from_secs(3600),
            drill_patience: Duration::from_secs(60),
            scratch_bytes: 64 << 30,
            workshop: None,
        }
    }
}

/// One address's share.
struct Lane {
    window: Arc<Semaphore>,
    size: u32,
    tokens: f64,
    filled: Instant,
}

/// The run's budget, shared by all targets.
pub(crate) struct Budget {
    limits: Limits,
    sockets: Arc<Semaphore>,
    lanes: Mutex<HashMap<IpAddr, Lane>>,
    /// Services that take fewer connections at once than their address may have.
    narrow: Mutex<HashMap<SocketAddr, Arc<Semaphore>>>,
}

/// Leave to hold one connection open.
pub(crate) struct Permit {
    _socket: OwnedSemaphorePermit,
    _lane: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        let sockets = Arc::new(Semaphore::new(limits.sockets.max(1) as usize));
        Self { limits, sockets, lanes: Mutex::default(), narrow: Mutex::default() }
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Waits until a connection to that address may be opened.
    pub(crate) async fn acquire(&self, address: IpAddr) -> Option<Permit> {
        let window = self.with_lane(address, |lane| Arc::clone(&lane.window));
        let lane = window.acquire_owned().await.ok()?;
        let pause = self.with_lane(address, |lane| self.take_token(address, lane));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let socket = Arc::clone(&self.sockets).acquire_owned().await.ok()?;
        Some(Permit { _socket: socket, _lane: lane })
    }

    /// Sets how many connections one service may have at once, whatever its address may have; the first word stands.
    pub(crate) fn narrow(&self, service: SocketAddr, at_once: u32) {
        let mut narrow = self.narrow.lock().unwrap_or_else(PoisonError::into_inner);
        narrow.entry(service).or_insert_with(|| Arc::new(Semaphore::new(at_once.max(1) as usize)));
    }

    /// Waits for one of the connections of a service that may have but a few at once; `None` for all others.
    pub(crate) async fn slot(&self, service: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let slots = self.narrow.lock().unwrap_or_else(PoisonError::into_inner).get(&service).map(Arc::clone)?;
        slots.acquire_owned().await.ok()
    }

    /// Halves the window of an address that no longer answers as it did. Never below one.
    pub(crate) fn relent(&self, address: IpAddr) {
        self.with_lane(address, |lane| {
            let gone = lane.size / 2;
            let forgotten = u32::try_from(lane.window.forget_permits(gone as usize)).unwrap_or(0);
            lane.size -= forgotten;
        });
    }

    /// How long to wait for the next start. A bucket of tokens that refills at `rate` per second.
    fn take_token(&self, address: IpAddr, lane: &mut Lane) -> Duration {
        if self.limits.rate == 0 || address.is_loopback() {
            return Duration::ZERO;
        }
        let rate = f64::from(self.limits.rate);
        let full = f64::from(self.limits.window) * 4.0;
        let now = Instant::now();
        lane.tokens = (lane.tokens + now.duration_since(lane.filled).as_secs_f64() * rate).min(full) - 1.0;
        lane.filled = now;
        if lane.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-lane.tokens / rate) }
    }

    fn with_lane<T>(&self, address: IpAddr, act: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.limits.window.max(1);
        act(lanes.entry(address).or_insert_with(|| Lane {
            window: Arc::new(Semaphore::new(size as usize)),
            size,
            tokens: f64::from(size) * 4.0,
            filled: Instant::now(),
        }))
    }
}
