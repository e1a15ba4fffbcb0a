//! Writes down what a probe did, while it does it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{CommandRecord, Direction, Ended, Exchange, FileRecord, Frame};
use tokio::time::Instant;

use crate::redact::Secrets;

/// The record of one probe on one target. Shared by its connections; the runner keeps it when the probe is cut off.
pub(crate) struct Recorder {
    began: Instant,
    inner: Mutex<Record>,
}

/// What a program says of itself, asked once.
pub(crate) type Version = Arc<tokio::sync::OnceCell<Option<String>>>;

#[derive(Default)]
pub(crate) struct Record {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) kept: usize,
    pub(crate) sources: BTreeSet<String>,
    pub(crate) connections: u32,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) commands: Vec<CommandRecord>,
    pub(crate) files: Vec<FileRecord>,
    pub(crate) secrets: Secrets,
    /// What programs say of themselves, by path: asked once.
    pub(crate) versions: BTreeMap<PathBuf, Version>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), inner: Mutex::default() }
    }

    /// Takes the place of an exchange; it counts as interrupted until it is ended.
    pub(crate) fn open(&self, question: String, peer: String) -> u32 {
        let at = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut record = self.lock();
        let index = u32::try_from(record.exchanges.len()).unwrap_or(u32::MAX);
        record.exchanges.push(Exchange { question, peer, at, ended: Ended::Interrupted, cut: false, frames: vec![] });
        record.connections = record.connections.saturating_add(1);
        index
    }

    pub(crate) fn connections(&self) -> u32 {
        self.lock().connections
    }

    /// Where what a program says of itself is kept, and waited for.
    pub(crate) fn version(&self, program: &Path) -> Version {
        Arc::clone(self.lock().versions.entry(program.to_owned()).or_default())
    }

    pub(crate) fn source(&self, address: String) {
        self.lock().sources.insert(address);
    }

    pub(crate) fn count(&self, direction: Direction, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut record = self.lock();
        match direction {
            Direction::Sent => record.sent = record.sent.saturating_add(bytes),
            Direction::Received => record.received = record.received.saturating_add(bytes),
        }
    }

    /// Keeps bytes of an exchange, up to the bounds of one exchange and of one target.
    pub(crate) fn keep(&self, index: u32, direction: Direction, bytes: &[u8]) {
        let mut record = self.lock();
        let free = Exchange::MOST_BYTES_PER_TARGET.saturating_sub(record.kept);
        let Some(exchange) = record.exchanges.get_mut(index as usize) else { return };
        let held: usize = exchange.frames.iter().map(|f| f.bytes.len()).sum();
        let most = free.min(Exchange::MOST_BYTES.saturating_sub(held)).min(bytes.len());
        exchange.cut |= most < bytes.len();
        let piece = bytes.get(..most).unwrap_or_default();
        match exchange.frames.last_mut() {
            Some(last) if last.direction == direction => last.bytes.extend_from_slice(piece),
            _ if piece.is_empty() => {}
            _ => exchange.frames.push(Frame { direction, bytes: piece.to_vec() }),
        }
        record.kept += most;
    }

    /// Notes how an exchange ended; the first word stands.
    pub(crate) fn end(&self, index: u32, ended: Ended) {
        if let Some(exchange) = self.lock().exchanges.get_mut(index as usize)
            && exchange.ended == Ended::Interrupted
        {
            exchange.ended = ended;
        }
    }

    pub(crate) fn command(&self, command: CommandRecord) {
        self.lock().commands.push(command);
    }

    pub(crate) fn file(&self, file: FileRecord) {
        self.lock().files.push(file);
    }

    /// Remembers a secret, so that it gets into no record from here on.
    pub(crate) fn secret(&self, secret: &str) {
        self.lock().secrets.add(secret);
    }

    /// The secrets that the probe has learnt.
    pub(crate) fn secrets(&self) -> Secrets {
        self.lock().secrets.clone()
    }

    pub(crate) fn exchange(&self, index: u32) -> Option<Exchange> {
        self.lock().exchanges.get(index as usize).cloned()
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }

    /// Empties the record.
    pub(crate) fn take(&self) -> Record {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
