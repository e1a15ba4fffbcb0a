//! What a pack promises: the same bytes on replay, and no byte that can change unnoticed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Bar;
use super::measure::{probity, run};
use crate::lab::Server;

/// Files up to this many bytes have every byte flipped; longer ones this many, spread evenly.
const POSITIONS: usize = 256;

/// Replays a pack twice; leaves the pack in `folder` for [`flips`].
pub(super) fn replays(program: &Path, folder: &Path) -> Result<Vec<Bar>> {
    let server = Server::start("nginx-intermediate")?;
    let mut audit = probity(program, folder);
    run(audit.args(["audit", &server.address.to_string(), "--out", "pack"]), &[0, 1, 3])?;
    let mut bytes = Vec::new();
    for _ in 0..2 {
        bytes.push(run(probity(program, folder).args(["replay", "pack"]), &[0, 1, 3])?.output.stdout);
    }
    let original = std::fs::read(folder.join("pack").join("assessment.json"))?;
    let same = bytes.iter().all(|replayed| *replayed == original);
    Ok(vec![Bar::new("two replays equal the audit, byte for byte", if same { "yes" } else { "no" }, "yes", same)])
}

/// Flips bytes in every file of the pack; each time `verify` must fail and name the file.
pub(super) fn flips(program: &Path, folder: &Path) -> Result<Vec<Bar>> {
    let pack = folder.join("pack");
    let mut files = Vec::new();
    collect(&pack, &mut files)?;
    if run(probity(program, folder).args(["verify", "pack"]), &[0]).is_err() {
        bail!("the pack does not verify before anything is flipped");
    }
    let (mut flipped, mut unnoticed) = (0_usize, Vec::new());
    for file in &files {
        let name = file.strip_prefix(&pack).unwrap_or(file).to_string_lossy().into_owned();
        let original = std::fs::read(file)?;
        let step = original.len().div_ceil(POSITIONS).max(1);
        for at in (0..original.len()).step_by(step) {
            let mut changed = original.clone();
            *changed.get_mut(at).context("beyond the end")? ^= 1;
            std::fs::write(file, changed)?;
            let verify = probity(program, folder).args(["verify", "pack"]).output()?;
            let said = String::from_utf8_lossy(&verify.stdout) + String::from_utf8_lossy(&verify.stderr);
            if verify.status.code() != Some(4) || !said.contains(&name) {
                unnoticed.push(format!("{name} at {at}: {}", verify.status));
            }
            flipped += 1;
        }
        std::fs::write(file, original)?;
        println!("{name}");
    }
    for one in unnoticed.iter().take(20) {
        println!("NOT NOTICED OR NOT NAMED: {one}");
    }
    let figure = format!("{} of {flipped} flips in {} files", flipped - unnoticed.len(), files.len());
    Ok(vec![Bar::new("flipped byte: exit 4 and the file named", figure, "all", unnoticed.is_empty() && flipped > 0)])
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
