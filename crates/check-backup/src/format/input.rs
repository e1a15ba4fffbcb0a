//! Bytes from outside, read forward with bounds: counted, buffered, never kept.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use super::checksum::Running;
use super::{Bounds, Ended};

/// Bytes that are looked at in one piece.
const BLOCK: usize = 64 * 1024;
/// Unpacked bytes that are always allowed, whatever the ratio: short files compress oddly.
const RATIO_SLACK: u64 = 16 << 20;

/// Why reading stopped before the end was proven.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    pub(super) ended: Ended,
    pub(super) why: String,
}

/// The result of one step of a reader.
pub(super) type Step<T> = Result<T, Halt>;

impl Halt {
    /// The bytes end where more must follow.
    pub(super) fn truncated(why: impl Into<String>) -> Self {
        Self { ended: Ended::Truncated, why: why.into() }
    }

    /// The bytes break the format or its checksum.
    pub(super) fn damaged(why: impl Into<String>) -> Self {
        Self { ended: Ended::Damaged, why: why.into() }
    }

    /// Nothing can be said: a bound, a failing read, a variant that is not known.
    pub(super) fn not_proven(why: impl Into<String>) -> Self {
        Self { ended: Ended::NotProven, why: why.into() }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Halt {}

impl From<Halt> for io::Error {
    fn from(halt: Halt) -> Self {
        io::Error::other(halt)
    }
}

/// A decoder hands on what the bytes below it said; its own complaints are about the bytes.
impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        if let Some(halt) = error.get_ref().and_then(|inner| inner.downcast_ref::<Halt>()) {
            return halt.clone();
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::truncated(format!("ends in the middle: {error}")),
            io::ErrorKind::OutOfMemory | io::ErrorKind::Unsupported => {
                Self::not_proven(format!("can't be unpacked here: {error}"))
            }
            // libzstd knows no kind of error for a window that is larger than allowed.
            _ if error.to_string().contains("too much memory") => {
                Self::not_proven(format!("can't be unpacked within the memory bound: {error}"))
            }
            _ => Self::damaged(error.to_string()),
        }
    }
}

/// What was read and unpacked so far, shared by the layers of one inspection.
#[derive(Debug)]
pub(super) struct Meter {
    read: Cell<u64>,
    unpacked: Cell<u64>,
    bounds: Bounds,
}

impl Meter {
    pub(super) fn new(bounds: Bounds) -> Rc<Self> {
        Rc::new(Self { read: Cell::new(0), unpacked: Cell::new(0), bounds })
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Bytes read from the payload as it lies there.
    pub(super) fn read(&self) -> u64 {
        self.read.get()
    }

    /// Bytes that decoders made of them.
    pub(super) fn unpacked(&self) -> u64 {
        self.unpacked.get()
    }

    /// Adds bytes that a decoder made, and holds them to the bounds.
    pub(super) fn unpack(&self, bytes: usize) -> Step<()> {
        let unpacked = self.unpacked.get().saturating_add(bytes as u64);
        self.unpacked.set(unpacked);
        if unpacked > self.bounds.unpacked {
            return Err(Halt::not_proven(format!("bound reached: {} unpacked bytes", self.bounds.unpacked)));
        }
        if unpacked.saturating_sub(RATIO_SLACK) > self.read.get().saturating_mul(self.bounds.ratio) {
            return Err(Halt::not_proven(format!("bound reached: unpacks to more than {} times", self.bounds.ratio)));
        }
        Ok(())
    }

    fn took(&self, bytes: usize) -> Step<()> {
        let read = self.read.get().saturating_add(bytes as u64);
        self.read.set(read);
        if read > self.bounds.read {
            return Err(Halt::not_proven(format!("bound reached: {} bytes read", self.bounds.read)));
        }
        Ok(())
    }
}

/// Something that is read forward, and can be jumped in where it is a file.
pub(super) trait Source: Read {
    /// The means to jump, or none where the bytes come from a decoder.
    fn seek(&mut self) -> Option<&mut dyn Seek> {
        None
    }
}

/// A payload as it lies there: every byte is metered, errors of the reader are never taken for damage.
pub(super) struct Raw<R> {
    pub(super) inner: R,
    pub(super) meter: Rc<Meter>,
}

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Halt>()) => return Err(error),
                Err(error) => return Err(Halt::not_proven(format!("reading failed: {error}")).into()),
                Ok(bytes) => break bytes,
            }
        };
        self.meter.took(bytes)?;
        Ok(bytes)
    }
}

/// A raw payload in which one can jump.
pub(super) struct Jumping<R>(pub(super) Raw<R>);

impl<R: Read> Read for Jumping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Seek> Source for Jumping<R> {
    fn seek(&mut self) -> Option<&mut dyn Seek> {
        Some(&mut self.0.inner)
    }
}

impl<R: Read> Source for Raw<R> {}

/// What comes out of a decoder: held to the bounds of unpacked bytes.
pub(super) struct Unpacked<R> {
    pub(super) inner: R,
    pub(super) meter: Rc<Meter>,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.meter.unpack(bytes)?;
        Ok(bytes)
    }
}

impl<R: Read> Source for Unpacked<R> {}

/// A forward reader with a buffer of its own, that knows where it is.
pub(super) struct Input<'a> {
    source: Box<dyn Source + 'a>,
    meter: Rc<Meter>,
    /// Length of the whole, where it is known because one can jump.
    length: Option<u64>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
    tap: Option<Running>,
}

impl<'a> Input<'a> {
    /// A reader over `source`, which stands at its beginning; `length` only where it can jump.
    pub(super) fn new(source: Box<dyn Source + 'a>, meter: Rc<Meter>, length: Option<u64>) -> Self {
        Self { source, meter, length, buffer: vec![0; BLOCK], start: 0, end: 0, position: 0, tap: None }
    }

    pub(super) fn meter(&self) -> &Rc<Meter> {
        &self.meter
    }

    /// Bytes consumed so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Length of the whole, where one can jump in it.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes, at least one, or none at the end. They stay until consumed.
    pub(super) fn peek(&mut self) -> Step<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.end = self.source.read(&mut self.buffer)?;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Up to `wanted` next bytes, fewer only at the end; at most one block. They stay until consumed.
    pub(super) fn ahead(&mut self, wanted: usize) -> Step<&[u8]> {
        let wanted = wanted.min(BLOCK);
        if self.end - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < wanted {
                let space = self.buffer.get_mut(self.end..).unwrap_or_default();
                let bytes = self.source.read(space)?;
                if bytes == 0 {
                    break;
                }
                self.end += bytes;
            }
        }
        Ok(self.buffer.get(self.start..self.end.min(self.start + wanted)).unwrap_or_default())
    }

    /// Moves past `bytes` of what `peek` showed.
    pub(super) fn consume(&mut self, bytes: usize) {
        let next = (self.start + bytes).min(self.end);
        if let (Some(tap), Some(passed)) = (self.tap.as_mut(), self.buffer.get(self.start..next)) {
            tap.update(passed);
        }
        self.position += (next - self.start) as u64;
        self.start = next;
    }

    /// Whether no byte follows.
    pub(super) fn at_end(&mut self) -> Step<bool> {
        Ok(self.peek()?.is_empty())
    }

    fn cut(&self) -> Halt {
        Halt::truncated(format!("ends at byte {} in the middle of a record", self.position))
    }

    /// Hands on the next `count` bytes piece by piece.
    pub(super) fn each(&mut self, mut count: u64, mut piece: impl FnMut(&[u8])) -> Step<()> {
        while count > 0 {
            let shown = self.peek()?;
            let most = usize::try_from(count).unwrap_or(usize::MAX).min(shown.len());
            let Some(bytes) = shown.get(..most).filter(|bytes| !bytes.is_empty()) else { return Err(self.cut()) };
            piece(bytes);
            self.consume(most);
            count -= most as u64;
        }
        Ok(())
    }

    /// The next `count` bytes; the caller has bounded the count.
    pub(super) fn bytes(&mut self, count: usize) -> Step<Vec<u8>> {
        let mut bytes = Vec::with_capacity(count.min(BLOCK));
        self.each(count as u64, |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| self.cut())
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Step<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads over the next `count` bytes.
    pub(super) fn pass(&mut self, count: u64) -> Step<()> {
        self.each(count, |_| {})
    }

    /// Moves over the next `count` bytes, without reading them where one can jump.
    pub(super) fn skip(&mut self, count: u64) -> Step<()> {
        let shown = (self.end - self.start) as u64;
        let Some(length) = self.length.filter(|_| count > shown && self.tap.is_none()) else {
            return self.pass(count);
        };
        let Some(target) = self.position.checked_add(count).filter(|target| *target <= length) else {
            return Err(Halt::truncated(format!("ends at byte {length} in the middle of a record")));
        };
        self.go(target)
    }

    /// Jumps to a place in a file; within what was read already, without reading again.
    pub(super) fn go(&mut self, target: u64) -> Step<()> {
        let first = self.position - self.start as u64;
        let start = target.checked_sub(first).and_then(|start| usize::try_from(start).ok());
        if let Some(start) = start.filter(|start| *start < self.end) {
            self.start = start;
            self.position = target;
            return Ok(());
        }
        let seek = self.source.seek().ok_or_else(|| Halt::not_proven("can't jump in a stream"))?;
        seek.seek(SeekFrom::Start(target)).map_err(|error| Halt::not_proven(format!("reading failed: {error}")))?;
        self.position = target;
        self.start = 0;
        self.end = 0;
        Ok(())
    }

    /// Reads to the end.
    pub(super) fn drain(&mut self) -> Step<u64> {
        let before = self.position;
        while !self.at_end()? {
            let shown = self.end - self.start;
            self.consume(shown);
        }
        Ok(self.position - before)
    }

    /// Starts to run a checksum over everything consumed from here on.
    pub(super) fn tap(&mut self, running: Running) {
        self.tap = Some(running);
    }

    /// Ends the checksum and gives it, most significant byte first.
    pub(super) fn untap(&mut self) -> Vec<u8> {
        self.tap.take().map(Running::finish).unwrap_or_default()
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let shown = self.peek()?;
        let most = shown.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..most), shown.get(..most)) {
            to.copy_from_slice(from);
        }
        self.consume(most);
        Ok(most)
    }
}
