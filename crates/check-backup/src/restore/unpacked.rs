//! A copy without the compression around it, in the scratch place.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use model::{Failure, FailureClass};
use probe::Cx;

use crate::format::Packing;

/// Largest window of zstd, as a power of two, and memory of an xz decoder in KiB: as for reading (see `format`).
const WINDOW_LOG: u32 = 27;
const XZ_MEMORY: u32 = 128 << 10;

/// Says stop to a thread when the drill is given up.
#[derive(Default)]
pub(super) struct Halt(Arc<AtomicBool>);

/// What that thread looks at.
pub(super) struct Halted(Arc<AtomicBool>);

impl Halt {
    pub(super) fn watch(&self) -> Halted {
        Halted(Arc::clone(&self.0))
    }
}

impl Halted {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Halt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads what is in a compressed file.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] for LZ4; what the decoder says of the first bytes.
pub(super) fn decoder(file: File, packing: Packing) -> io::Result<Box<dyn Read>> {
    Ok(match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::new(file))),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(io::BufReader::new(file))),
        Packing::Xz => Box::new(XzReader::new_mem_limit(io::BufReader::new(file), true, XZ_MEMORY)),
        Packing::Zstd => {
            let mut decoder = zstd::Decoder::new(file)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
        Packing::Lz4 => return Err(io::Error::from(io::ErrorKind::Unsupported)),
    })
}

/// Unpacks `from` into a file in `folder`. Ends early where the drill does.
///
/// # Errors
/// [`FailureClass::Unreadable`] where the compressed bytes are wrong; anything else where it could not be tried.
pub(super) async fn unpacked(_: &Cx, from: &Path, packing: Packing, folder: &Path) -> Result<PathBuf, Failure> {
    let into = folder.join("unpacked");
    let (source, target) = (from.to_owned(), into.clone());
    let halt = Halt::default();
    let halted = halt.watch();
    let work = tokio::task::spawn_blocking(move || {
        let file = File::open(&source)?;
        let mut reader = decoder(file, packing)?;
        let mut out = File::options().write(true).create_new(true).mode(0o600).open(&target)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = reader.read(&mut buffer)?;
            match buffer.get(..read) {
                None | Some([]) => return Ok(()),
                Some(piece) => out.write_all(piece)?,
            }
            if halted.is_set() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
        }
    });
    let done = work.await.unwrap_or_else(|e| Err(io::Error::other(e)));
    drop(halt);
    done.map_err(|e| {
        let class = match e.kind() {
            io::ErrorKind::Unsupported | io::ErrorKind::NotFound => FailureClass::Missing,
            io::ErrorKind::PermissionDenied => FailureClass::Permission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureClass::Interrupted,
            _ => FailureClass::Unreadable,
        };
        Failure::new(class, format!("{}: {} can't be unpacked here: {e}", from.display(), packing.name()))
    })?;
    Ok(into)
}
