//! Gives many damaged inputs to every TLS parser, on all processors: `generated COUNT EXCHANGES.bin…`.
//!
//! The inputs are made from the recorded conversations of a pack (`exchanges/*.bin`). It prints what went where, and how
//! long it took; a panic ends it with a code that is not 0.
#![allow(clippy::print_stdout, reason = "a measuring tool for developers")]
#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::panic, reason = "as in a test")]
#![allow(clippy::disallowed_methods, reason = "it reads the files it is given")]

mod inputs;

use std::error::Error;
use std::thread;
use std::time::Instant;

use inputs::Seeds;

/// Inputs that a thread takes at a time.
const PIECE: u64 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().ok_or("how many inputs?")?.parse()?;
    let mut exchanges = Vec::new();
    for path in arguments {
        exchanges.extend(model::decode_exchanges(&std::fs::read(path)?)?);
    }
    let seeds = Seeds::of(exchanges)?;
    if !seeds.complete() {
        return Err("the exchanges hold no hello, answer and certificate to begin with".into());
    }
    let start = Instant::now();
    let next = std::sync::atomic::AtomicU64::new(0);
    let work = || {
        let mut counts = std::collections::BTreeMap::new();
        loop {
            let first = next.fetch_add(PIECE, std::sync::atomic::Ordering::Relaxed);
            if first >= count {
                return counts;
            }
            for (sort, some) in inputs::run(&seeds, first, PIECE.min(count - first)) {
                *counts.entry(sort).or_insert(0) += some;
            }
        }
    };
    let mut counts = std::collections::BTreeMap::new();
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let threads: Vec<_> = (0..thread::available_parallelism()?.get()).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            for (sort, some) in thread.join().map_err(|_| "a parser panicked")? {
                *counts.entry(sort).or_insert(0) += some;
            }
        }
        Ok(())
    })?;
    let shown: Vec<String> = counts.iter().map(|(sort, some)| format!("{some} {sort}")).collect();
    println!("{count} inputs in {:.1} s without a panic: {}", start.elapsed().as_secs_f64(), shown.join(", "));
    Ok(())
}
