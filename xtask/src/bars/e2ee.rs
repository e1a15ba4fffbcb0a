//! End-to-end encryption: a store in clear, and ciphertexts that must not be called readable.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Bar;
use super::measure::{median, probity, run};
use crate::shell::Scratch;

/// How often it is measured.
const RUNS: usize = 5;
/// Payloads of the larger bar.
const CIPHERTEXTS: usize = 10_000;

/// A store of 10,000 letters, refuted with 200 samples.
pub(super) fn clear(program: &Path) -> Result<Vec<Bar>> {
    let scratch = Scratch::new("bars-e2ee")?;
    fill(scratch.path(), 10_000, |at| {
        Ok(format!("Dear Anna, parcel {at} has arrived this morning and is on your desk. See you on Monday!\n")
            .into_bytes())
    })?;
    let (mut seconds, mut readable) = (Vec::new(), 0);
    for at in 0..RUNS {
        let (took, found) = audit(program, scratch.path(), 200, &format!("pack{at}"))?;
        seconds.push(took);
        readable = found;
    }
    Ok(vec![
        Bar::under("10,000 letters in clear: refuted with 200 samples", median(seconds), 2.0, "s"),
        Bar::new("of these samples, readable", readable.to_string(), "200", readable == 200),
    ])
}

/// 10,000 ciphertexts, raw, in base64, in hexadecimal and in a record.
pub(super) fn ciphertexts(program: &Path) -> Result<Vec<Bar>> {
    let (scratch, mut random) = (Scratch::new("bars-e2ee")?, std::fs::File::open("/dev/urandom")?);
    let random = std::cell::RefCell::new(&mut random);
    fill(scratch.path(), CIPHERTEXTS, |at| {
        // Lengths from a short message's to a page's.
        let mut bytes = vec![0; 28 + at * 7919 % 4000];
        random.borrow_mut().read_exact(&mut bytes)?;
        Ok(match at % 4 {
            0 => bytes,
            1 => base64(&bytes).into_bytes(),
            2 => bytes.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect(),
            _ => format!(r#"{{"from":"anna","id":{at},"body":"{}"}}"#, base64(&bytes)).into_bytes(),
        })
    })?;
    let (seconds, readable) = audit(program, scratch.path(), CIPHERTEXTS, "pack")?;
    let name = format!("10,000 ciphertexts called readable (in {seconds:.1} s)");
    Ok(vec![Bar::new(name, readable.to_string(), "0", readable == 0)])
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn fill(folder: &Path, count: usize, make: impl Fn(usize) -> Result<Vec<u8>>) -> Result<()> {
    std::fs::create_dir(folder.join("store"))?;
    for at in 0..count {
        std::fs::write(folder.join(format!("store/{at}")), make(at)?)?;
    }
    Ok(())
}

/// Seconds, and how many samples were readable.
fn audit(program: &Path, folder: &Path, samples: usize, pack: &str) -> Result<(f64, i64)> {
    let text = format!(
        "service: bars\npolicy: [baseline]\ntargets:\n  - name: it\n    e2ee: {{ store: [ {{ folder: {{ path: store }} }} ], samples: \
         {samples} }}\n"
    );
    std::fs::write(folder.join("probity.yaml"), text)?;
    let mut audit = probity(program, folder);
    audit.args(["audit", "-c", "probity.yaml", "--out", pack]);
    let ran = run(&mut audit, &[1, 3])?;
    for entry in std::fs::read_dir(folder.join(pack).join("evidence"))? {
        let evidence: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        if evidence.get("kind").is_some_and(|kind| kind == "e2ee") {
            let readable = evidence.pointer("/facts/stores/stores/0/readable").and_then(Value::as_i64);
            return Ok((ran.seconds, readable.context("no count")?));
        }
    }
    anyhow::bail!("no evidence of the kind e2ee")
}
