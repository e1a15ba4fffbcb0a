//! Connections are a budget: how many in all, how many at once to one address, how fast.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Connections to one address at once, to begin with: up to four times as many where it answers well, half as many
    /// each time that it stops answering as it did.
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

/// Most connections at once to one address that answers well, as a multiple of `window`.
const GROWTH: u32 = 4;
/// New connections per second to an address after its first relapse; halved by each further one.
const SLOW: f64 = 20.0;
/// The slowest that an address is spoken to, in connections per second.
const SLOWEST: f64 = 1.25;

/// One address's share.
struct Lane {
    window: Arc<Semaphore>,
    state: Mutex<LaneState>,
}

struct LaneState {
    /// Connections at once.
    size: u32,
    /// Most of them, ever.
    most: u32,
    /// Permits to take out of use as soon as they come back.
    debt: u32,
    /// What good answers have earned: one more connection at once for each whole.
    credit: f64,
    /// The address stopped answering as it did: from then on the window grows slowly, and connections per second are
    /// bounded by this.
    slow: Option<f64>,
    tokens: f64,
    filled: Instant,
}

/// The run's budget, shared by all targets.
pub(crate) struct Budget {
    limits: Limits,
    sockets: Arc<Semaphore>,
    lanes: Mutex<HashMap<IpAddr, Arc<Lane>>>,
    /// Services that take fewer connections at once than their address may have.
    narrow: Mutex<HashMap<SocketAddr, Arc<Semaphore>>>,
}

/// Leave to hold one connection open.
pub(crate) struct Permit {
    _socket: OwnedSemaphorePermit,
    lane: Arc<Lane>,
    slot: Option<OwnedSemaphorePermit>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        if state.debt > 0
            && let Some(slot) = self.slot.take()
        {
            state.debt -= 1;
            slot.forget();
        }
    }
}

impl Lane {
    fn new(limits: &Limits) -> Self {
        let size = limits.window.max(1);
        Self {
            window: Arc::new(Semaphore::new(size as usize)),
            state: Mutex::new(LaneState {
                size,
                most: size.saturating_mul(GROWTH),
                debt: 0,
                credit: 0.0,
                slow: None,
                tokens: f64::from(size) * 4.0,
                filled: Instant::now(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the window smaller. What is in use goes when it comes back.
    fn shrink(&self, state: &mut LaneState, size: u32) {
        let gone = state.size.saturating_sub(size.max(1));
        let forgotten = u32::try_from(self.window.forget_permits(gone as usize)).unwrap_or(gone);
        state.debt += gone.saturating_sub(forgotten);
        state.size -= gone;
    }
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
        let lane = self.lane(address);
        let slot = Arc::clone(&lane.window).acquire_owned().await.ok()?;
        let pause = self.take_token(address, &mut lane.state());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let socket = Arc::clone(&self.sockets).acquire_owned().await.ok()?;
        Some(Permit { _socket: socket, lane, slot: Some(slot) })
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

    /// Halves the window of an address that no longer answers as it did, never below one, and slows down.
    pub(crate) fn relent(&self, address: IpAddr) {
        let lane = self.lane(address);
        let mut state = lane.state();
        let size = state.size / 2;
        lane.shrink(&mut state, size);
        state.credit = 0.0;
        state.slow = Some(state.slow.map_or(SLOW, |rate| (rate / 2.0).max(SLOWEST)));
        // No burst from here on.
        state.tokens = state.tokens.min(1.0);
    }

    /// A good answer: the window of an address grows, by one for each at first, and by one for as many as it holds once
    /// it had to be halved.
    pub(crate) fn prosper(&self, address: IpAddr) {
        let lane = self.lane(address);
        let mut state = lane.state();
        state.credit += if state.slow.is_some() { 1.0 / f64::from(state.size.max(1)) } else { 1.0 };
        if state.credit >= 1.0 && state.size < state.most {
            state.credit = 0.0;
            state.size += 1;
            if state.debt > 0 {
                state.debt -= 1;
            } else {
                lane.window.add_permits(1);
            }
        }
    }

    /// How long to wait for the next start. A bucket of tokens that refills at `rate` per second.
    fn take_token(&self, address: IpAddr, state: &mut LaneState) -> Duration {
        let usual = (self.limits.rate > 0 && !address.is_loopback()).then_some(f64::from(self.limits.rate));
        let Some(rate) = [usual, state.slow].into_iter().flatten().reduce(f64::min) else { return Duration::ZERO };
        let full = if state.slow.is_some() { 1.0 } else { f64::from(self.limits.window) * 4.0 };
        let now = Instant::now();
        state.tokens = (state.tokens + now.duration_since(state.filled).as_secs_f64() * rate).min(full) - 1.0;
        state.filled = now;
        if state.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-state.tokens / rate) }
    }

    fn lane(&self, address: IpAddr) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(address).or_insert_with(|| Arc::new(Lane::new(&self.limits))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn free(budget: &Budget) -> usize {
        budget.lane(ADDRESS).window.available_permits()
    }

    #[tokio::test]
    async fn the_window_grows_is_halved_and_never_closes() {
        let budget = Budget::new(Limits::default());
        let held = [budget.acquire(ADDRESS).await.unwrap(), budget.acquire(ADDRESS).await.unwrap()];
        assert_eq!(free(&budget), 14);
        (0..100).for_each(|_| budget.prosper(ADDRESS));
        assert_eq!(free(&budget), 62);
        (0..10).for_each(|_| budget.relent(ADDRESS));
        assert_eq!(free(&budget), 0);
        drop(held);
        assert_eq!(free(&budget), 1);
        // It grows again, but slowly: the second connection needs one good answer, the third two.
        (0..3).for_each(|_| budget.prosper(ADDRESS));
        assert_eq!(free(&budget), 3);
    }

    #[tokio::test]
    async fn who_stopped_answering_is_asked_more_slowly() {
        let budget = Budget::new(Limits::default());
        let wait = |budget: &Budget| budget.take_token(ADDRESS, &mut budget.lane(ADDRESS).state());
        assert_eq!((0..200).map(|_| wait(&budget)).max(), Some(Duration::ZERO));
        budget.relent(ADDRESS);
        assert!((0..3).map(|_| wait(&budget)).max() > Some(Duration::from_millis(50)));
        (0..9).for_each(|_| budget.relent(ADDRESS));
        assert!(wait(&budget) > Duration::from_millis(700));
    }
}
