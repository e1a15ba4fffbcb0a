//! Checks the earlier evidence that a pack holds.

use std::collections::{BTreeMap, BTreeSet};

use attest::PublicKey;
use model::{Digest, Evidence, Run, pack};

use super::MOST_RECORD;
use crate::kinds;
use crate::origin::{Origin, Refused};
use crate::pack::{Reader, prior_bundle_path, prior_path, prior_sums_path};
use crate::resolved::{PriorPiece, Resolved};

/// Checks the earlier evidence of a pack: every piece is what the inventory says, of a kind and target of this run, older
/// than it, and among what a run of the same service signed by one of these keys. Nothing else lies there.
///
/// Gives what does not hold.
pub(crate) fn check(reader: &Reader, resolved: &Resolved, keys: &[PublicKey], run: &Run) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expected = BTreeSet::new();
    let mut origins: BTreeMap<Digest, Result<Origin, String>> = BTreeMap::new();
    for piece in &resolved.prior {
        let path = prior_path(&piece.digest);
        if !expected.insert(path.clone()) {
            problems.push(format!("{}: names {path} twice", pack::INVENTORY));
        }
        let (bundle, sums) = (prior_bundle_path(&piece.origin), prior_sums_path(&piece.origin));
        let origin =
            origins.entry(piece.origin).or_insert_with(|| origin(reader, piece, keys, &resolved.service)).as_ref();
        if let Err(why) = origin.map_err(Clone::clone).and_then(|origin| one(reader, resolved, piece, origin, run)) {
            problems.push(format!("{path}: {why}"));
        }
        expected.extend([bundle, sums]);
    }
    for path in reader.list().unwrap_or_default() {
        if path.starts_with(&format!("{}/", pack::PRIOR_DIR)) && !expected.contains(&path) {
            problems.push(format!("{path}: {} names no earlier evidence that it belongs to", pack::INVENTORY));
        }
    }
    problems
}

/// The run that a piece comes from, by what the pack holds of it.
///
/// # Errors
/// Why it is not believed.
pub(super) fn origin(reader: &Reader, piece: &PriorPiece, keys: &[PublicKey], service: &str) -> Result<Origin, String> {
    let record = |path: &str| reader.file_within(path, MOST_RECORD).map_err(|e| e.to_string());
    let path = prior_bundle_path(&piece.origin);
    let (bundle, sums) = (record(&path)?, record(&prior_sums_path(&piece.origin))?);
    let origin = Origin::read(bundle, sums, keys, service).map_err(|refused| match refused {
        Refused::SignerUnknown(key) => {
            format!("{path} is signed by the key {key}, which is neither trusted nor this pack's; give it with --key where you trust it")
        }
        Refused::OtherService => format!("{path} is of another service"),
        Refused::Damaged(why) => format!("{path}: {why}"),
    })?;
    if origin.digest == piece.origin { Ok(origin) } else { Err(format!("{path} has another digest than its name")) }
}

/// Reads a piece: what its run signed, and what the inventory says.
///
/// # Errors
/// What does not hold.
pub(super) fn read(reader: &Reader, piece: &PriorPiece, origin: &Origin) -> Result<Evidence, String> {
    let evidence = reader.prior(&piece.digest).map_err(|e| e.to_string())?;
    origin.vouches_for(&piece.digest, &evidence)?;
    let said = (&piece.kind, &piece.target, piece.collected);
    if said != (&evidence.kind, &evidence.target.name, evidence.collected) {
        return Err(format!("not of the kind, target and time that {} says", pack::INVENTORY));
    }
    Ok(evidence)
}

/// Checks a piece against the run that this pack is of.
fn one(reader: &Reader, resolved: &Resolved, piece: &PriorPiece, origin: &Origin, run: &Run) -> Result<(), String> {
    let evidence = read(reader, piece, origin)?;
    if evidence.collected >= run.started {
        return Err(format!("collected at {}, which is not before this run", evidence.collected));
    }
    let of_run = resolved.targets.iter().find(|t| t.name == evidence.target.name);
    if of_run.is_none_or(|t| t.subject.sort != evidence.target.subject.sort) {
        return Err(format!("on '{}', which is no such target of this run", evidence.target.name));
    }
    let kinds = resolved.probes.get(&evidence.target.subject.sort).map(Vec::as_slice).unwrap_or_default();
    if !kinds.contains(&evidence.kind) {
        return Err(format!("of the kind '{}', which this run did not collect", evidence.kind));
    }
    match kinds::kinds().get(&evidence.kind) {
        Some(known) if known.level == evidence.level => Ok(()),
        _ => Err(format!("evidence of the kind '{}' is never {}", evidence.kind, evidence.level.as_str())),
    }
}
