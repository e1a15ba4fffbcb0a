//! Packs the shipped policies for the binary: a tar of `policies/`, compressed, since they are text and many.
#![allow(clippy::print_stdout, reason = "how a build script talks to Cargo")]

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

fn main() -> Result<(), Box<dyn Error>> {
    let policies = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../policies");
    println!("cargo:rerun-if-changed={}", policies.display());
    let out = Path::new(&std::env::var("OUT_DIR")?).join("policies.tar.gz");
    let mut archive = Builder::new(GzEncoder::new(fs::File::create(out)?, Compression::best()));
    add(&mut archive, &policies, "")?;
    archive.into_inner()?.finish()?;
    Ok(())
}

/// Adds what a folder holds, in order of names, with nothing in it that differs from machine to machine.
fn add(archive: &mut Builder<impl Write>, folder: &Path, inner: &str) -> Result<(), Box<dyn Error>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let short = format!("{inner}{}", name.to_str().ok_or("a policy's file name is not UTF-8")?);
        if path.is_dir() {
            add(archive, &path, &format!("{short}/"))?;
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "json") {
            let bytes = fs::read(&path)?;
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(u64::try_from(bytes.len())?);
            archive.append_data(&mut header, short, &*bytes)?;
        }
    }
    Ok(())
}
