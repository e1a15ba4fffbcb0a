//! The readers against files that the real tools made, against the same files cut and changed, and against noise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

mod archives;
mod databases;
mod hostile;

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use super::{Bounds, Depth, Ended, Folder, Format, Inspection, inspect, inspect_folder};

/// A file that a real tool made; those that are large lie compressed.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/src/format/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn unpacked(name: &str) -> Vec<u8> {
    zstd::decode_all(fixture(name).as_slice()).unwrap()
}

fn full(bytes: &[u8]) -> Inspection {
    inspect(None, Cursor::new(bytes), Depth::Full, Bounds::default())
}

fn head(bytes: &[u8]) -> Inspection {
    inspect(None, Cursor::new(bytes), Depth::Head, Bounds::default())
}

/// Asserts that a payload is whole at both depths and says what it is.
fn whole(name: &str, format: Format) -> Inspection {
    let bytes = fixture(name);
    let seen = full(&bytes);
    assert_eq!((seen.ended, seen.format), (Ended::Complete, format), "{name}: {}", seen.why);
    assert_eq!(seen.read, bytes.len() as u64, "{name}");
    seen
}

/// A folder in memory.
#[derive(Clone, Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    fn add(&mut self, name: &str, contents: impl Into<Vec<u8>>) -> &mut Self {
        self.0.insert(name.to_owned(), contents.into());
        self
    }

    fn at(&self, depth: Depth) -> Inspection {
        inspect_folder(None, self, depth, Bounds::default())
    }

    fn ended(&self) -> (Ended, Ended) {
        (self.at(Depth::Head).ended, self.at(Depth::Full).ended)
    }
}

impl Folder for Memory {
    fn each(&self, show: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
        self.0.iter().for_each(|(name, contents)| show(name, contents.len() as u64));
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        Ok(self.0.get(name).map(|contents| Box::new(contents.as_slice()) as Box<dyn Read + '_>))
    }
}
