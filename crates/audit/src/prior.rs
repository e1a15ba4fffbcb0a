//! Earlier evidence: found in earlier packs of the same service, copied into this one, and checked there.
//!
//! Nothing else carries state from run to run. What is taken is believed as far as the pack is that it comes from: its
//! assessment is signed by a key that this user trusts. A pack that holds earlier evidence holds that signature too.

mod check;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attest::PublicKey;
use jiff::Timestamp;
use model::{Assessment, Digest, Evidence, FailureClass, Notice, NoticeLevel, Target, pack};
use policy::Policy;

pub(crate) use check::check;

use crate::origin::{Origin, Refused};
use crate::pack::{Reader, Writer, evidence_path, prior_bundle_path, prior_path, prior_sums_path};
use crate::resolved::{PriorPiece, Resolved};
use crate::{Error, kinds, verify};

/// How many earlier packs are looked at, newest first.
const MOST_PACKS: usize = 400;
/// How many entries of the folder of packs are looked at.
const MOST_ENTRIES: usize = 100_000;
/// Of how many earlier packs the earlier evidence that they hold themselves is looked at.
const MOST_CARRIERS: usize = 10;
/// Most bytes of a bundle, of a list of evidence or of an assessment of an earlier pack.
const MOST_RECORD: u64 = 64 << 20;
/// Most bytes of one piece of earlier evidence.
const MOST_PIECE: u64 = 32 << 20;
/// Most bytes of all earlier evidence together; the oldest is left out.
const MOST_BYTES: u64 = 256 << 20;

/// How far back which kinds are wanted, in seconds, by these policies.
#[must_use]
pub fn windows(policies: &[Policy]) -> BTreeMap<String, i64> {
    let drills = kinds::probes().into_iter().filter(|p| p.is_drill()).map(|p| p.kind().name.into_owned());
    policy::windows(policies, &drills.collect())
}

/// Where earlier evidence is looked for, and what of it counts.
pub struct Search<'a> {
    /// The folder that holds the packs; one that is not there holds none.
    pub history: &'a Path,
    /// The pack that is being made; it is no earlier one.
    pub own: &'a Path,
    /// The service.
    pub service: &'a str,
    /// How far back which kinds are wanted, in seconds.
    pub windows: &'a BTreeMap<String, i64>,
    /// Whose signatures are believed.
    pub keys: &'a [PublicKey],
    /// The beginning of this run: what comes after is not earlier.
    pub now: Timestamp,
}

/// Earlier evidence at hand for a run.
#[derive(Debug, Default)]
pub struct Gathered {
    /// By kind, target and age, newest first.
    pieces: Vec<Piece>,
    /// Which packs were not used, and why.
    pub notices: Vec<Notice>,
}

#[derive(Debug)]
struct Piece {
    digest: Digest,
    evidence: Evidence,
    origin: Arc<Origin>,
}

impl Gathered {
    /// Earlier evidence of a kind on a target, newest first.
    #[must_use]
    pub fn of(&self, kind: &str, target: &Target) -> Vec<Evidence> {
        let wanted = |piece: &&Piece| piece.is_of(kind, target);
        self.pieces.iter().filter(wanted).map(|piece| piece.evidence.clone()).collect()
    }

    /// Copies what is on one of these targets, of a kind that was collected of it, and older than this run into the pack.
    ///
    /// # Errors
    /// Where a file can't be written.
    pub(crate) fn keep(
        &self,
        targets: &[Target],
        probes: &BTreeMap<String, Vec<String>>,
        started: Timestamp,
        writer: &mut Writer,
    ) -> Result<Vec<PriorPiece>, Error> {
        let by_name: BTreeMap<&str, &Target> = targets.iter().map(|t| (t.name.as_str(), t)).collect();
        let mut kept = Vec::new();
        let mut origins = BTreeSet::new();
        for piece in &self.pieces {
            let Piece { digest, evidence, origin } = piece;
            let target = by_name.get(evidence.target.name.as_str());
            let collected = |t: &&&Target| {
                probes.get(&t.subject.sort).is_some_and(|kinds| kinds.contains(&evidence.kind))
                    && piece.is_of(&evidence.kind, t)
            };
            if target.filter(collected).is_none() || evidence.collected >= started {
                continue;
            }
            let bytes = model::canonical_json(evidence).map_err(|e| Error::Defect(e.to_string()))?;
            writer.prior(&prior_path(digest), &bytes)?;
            if origins.insert(origin.digest) {
                writer.prior(&prior_bundle_path(&origin.digest), &origin.bundle)?;
                writer.prior(&prior_sums_path(&origin.digest), &origin.sums)?;
            }
            kept.push(PriorPiece {
                digest: *digest,
                kind: evidence.kind.clone(),
                target: evidence.target.name.clone(),
                collected: evidence.collected,
                origin: origin.digest,
            });
        }
        Ok(kept)
    }
}

impl Piece {
    fn is_of(&self, kind: &str, target: &Target) -> bool {
        let Evidence { kind: own, target: then, .. } = &self.evidence;
        own == kind && then.name == target.name && then.subject.sort == target.subject.sort
    }
}

/// Looks through earlier packs. What is wrong with one of them is a notice, never an error.
#[must_use]
pub fn gather(search: &Search<'_>) -> Gathered {
    let mut gathered = Gathered::default();
    let Some(longest) = search.windows.values().max() else { return gathered };
    let folders = folders(search);
    let mut ignored: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    if folders.len() > MOST_PACKS {
        let message = format!("of {} earlier packs only the newest {MOST_PACKS} were looked at", folders.len());
        gathered.notices.push(Notice { level: NoticeLevel::Note, message });
    }
    let (seen, pieces) = (BTreeSet::new(), Vec::new());
    let mut walk = Walk { search, longest: *longest, seen, left: MOST_BYTES, carriers: MOST_CARRIERS, pieces };
    for (_, folder) in folders.into_iter().take(MOST_PACKS) {
        let name = folder.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        if let Err(why) = walk.pack(&folder) {
            ignored.entry(why).or_default().push(name);
        }
    }
    gathered.pieces = walk.pieces;
    gathered.pieces.sort_by(|a, b| {
        let key = |p: &Piece| (Reverse(p.evidence.collected), p.digest);
        let (Evidence { kind, target, .. }, other) = (&a.evidence, &b.evidence);
        (kind, &target.name).cmp(&(&other.kind, &other.target.name)).then_with(|| key(a).cmp(&key(b)))
    });
    gathered.notices.extend(notice(&ignored));
    gathered
}

/// The folders that may be packs, newest first by the time in their names, else by when they were changed.
fn folders(search: &Search<'_>) -> Vec<(Timestamp, PathBuf)> {
    let own = fs::canonicalize(search.own).ok();
    let mut found = Vec::new();
    for entry in fs::read_dir(search.history).into_iter().flatten().take(MOST_ENTRIES).flatten() {
        let path = entry.path();
        // A pack is a folder, never a link to one.
        let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
        if !is_folder || own.is_some() && fs::canonicalize(&path).ok() == own {
            continue;
        }
        let named = entry.file_name().to_str().and_then(stamp);
        let changed = || Timestamp::try_from(entry.metadata().ok()?.modified().ok()?).ok();
        found.push((named.or_else(changed).unwrap_or(Timestamp::MIN), path));
    }
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// The time in the name of a pack's folder, `messaging-20261124T030000Z` or `messaging-20261124T030000Z-2`.
fn stamp(name: &str) -> Option<Timestamp> {
    name.rsplit('-').take(2).find_map(|part| part.parse().ok())
}

/// A walk through packs, and what it found so far.
struct Walk<'a> {
    search: &'a Search<'a>,
    /// The longest window, in seconds.
    longest: i64,
    seen: BTreeSet<Digest>,
    /// Bytes of evidence that may still be taken.
    left: u64,
    /// Packs whose own earlier evidence may still be looked at.
    carriers: usize,
    pieces: Vec<Piece>,
}

impl Walk<'_> {
    /// Takes what one pack holds of what is wanted.
    ///
    /// # Errors
    /// In a word, why it is left aside.
    fn pack(&mut self, folder: &Path) -> Result<(), &'static str> {
        let reader = Reader::open_evidence(folder);
        if !reader.has(pack::ASSESSMENT_BUNDLE) {
            return match (reader.has(pack::ASSESSMENT), reader.has(pack::EVIDENCE_DIR)) {
                (true, _) => Err("unsigned"),
                (false, true) => Err("never finished"),
                // Some other folder.
                (false, false) => Ok(()),
            };
        }
        let record = |path: &str| reader.file_within(path, MOST_RECORD).map_err(|_| DAMAGED);
        let (bundle, sums) = (record(pack::ASSESSMENT_BUNDLE)?, record(pack::EVIDENCE_SUMS)?);
        let origin =
            Origin::read(bundle, sums, self.search.keys, self.search.service).map_err(|refused| match refused {
                Refused::SignerUnknown(_) => UNKNOWN,
                Refused::OtherService => "of another service",
                Refused::Damaged(_) => DAMAGED,
            })?;
        // What the pack holds is older than its end.
        if self.age(origin.finished()) > self.longest {
            return Ok(());
        }
        let bytes = record(pack::ASSESSMENT)?;
        if origin.subject(pack::ASSESSMENT) != Some(&Digest::of(&bytes)) {
            return Err(DAMAGED);
        }
        let assessment = verify::parse_assessment(&bytes).map_err(|_| DAMAGED)?;
        if assessment.hypothetical {
            return Err("hypothetical");
        }
        let origin = Arc::new(origin);
        let mut found = self.own(&reader, &assessment, &origin)?;
        if reader.has(pack::PRIOR_DIR) && self.carriers > 0 {
            self.carriers -= 1;
            found.extend(self.carried(&reader, &origin)?);
        }
        for (size, piece) in found {
            if size <= self.left && self.seen.insert(piece.digest) {
                self.left -= size;
                self.pieces.push(piece);
            }
        }
        Ok(())
    }

    /// The evidence of the pack's own run.
    fn own(
        &self,
        reader: &Reader,
        assessment: &Assessment,
        origin: &Arc<Origin>,
    ) -> Result<Vec<(u64, Piece)>, &'static str> {
        let mut found = Vec::new();
        for line in &assessment.coverage.targets {
            for (kind, digest) in line.evidence.iter().filter(|(kind, _)| self.search.windows.contains_key(*kind)) {
                let size = reader.size(&evidence_path(digest)).map_err(|_| DAMAGED)?;
                if !self.has_room(digest, size) {
                    continue;
                }
                let evidence = reader.evidence(digest).map_err(|_| DAMAGED)?;
                origin.vouches_for(digest, &evidence).map_err(|_| DAMAGED)?;
                if evidence.kind != *kind || evidence.target.name != line.name {
                    return Err(DAMAGED);
                }
                if self.counts(&evidence) {
                    found.push((size, Piece { digest: *digest, evidence, origin: Arc::clone(origin) }));
                }
            }
        }
        Ok(found)
    }

    /// The earlier evidence that the pack holds itself: its packs may be gone, or too many came since. It is believed by
    /// the signature of its own run.
    fn carried(&self, reader: &Reader, origin: &Origin) -> Result<Vec<(u64, Piece)>, &'static str> {
        let bytes = reader.file_within(pack::INVENTORY, MOST_RECORD).map_err(|_| DAMAGED)?;
        if origin.subject(pack::INVENTORY) != Some(&Digest::of(&bytes)) {
            return Err(DAMAGED);
        }
        let resolved = Resolved::from_yaml(&bytes).map_err(|_| DAMAGED)?;
        let mut origins: BTreeMap<Digest, Option<Arc<Origin>>> = BTreeMap::new();
        let mut found = Vec::new();
        for piece in resolved.prior.iter().filter(|p| self.search.windows.contains_key(&p.kind)) {
            let size = reader.size(&prior_path(&piece.digest)).map_err(|_| DAMAGED)?;
            if !self.has_room(&piece.digest, size) {
                continue;
            }
            let Search { keys, service, .. } = self.search;
            // The key of back then may not be trusted any more.
            let origin = origins
                .entry(piece.origin)
                .or_insert_with(|| check::origin(reader, piece, keys, service).ok().map(Arc::new));
            let Some(origin) = origin else { continue };
            let evidence = check::read(reader, piece, origin).map_err(|_| DAMAGED)?;
            if self.counts(&evidence) {
                found.push((size, Piece { digest: piece.digest, evidence, origin: Arc::clone(origin) }));
            }
        }
        Ok(found)
    }

    fn age(&self, at: Timestamp) -> i64 {
        self.search.now.as_second().saturating_sub(at.as_second())
    }

    fn has_room(&self, digest: &Digest, size: u64) -> bool {
        size <= MOST_PIECE.min(self.left) && !self.seen.contains(digest)
    }

    /// Whether a piece is of the past, recent enough, and of a probe that ran: a drill that was not run left nothing.
    fn counts(&self, evidence: &Evidence) -> bool {
        let not_run =
            evidence.failure.as_ref().is_some_and(|f| matches!(f.class, FailureClass::NotRun | FailureClass::NotAsked));
        let window = self.search.windows.get(&evidence.kind);
        let recent = window.is_some_and(|window| self.age(evidence.collected) <= *window);
        !not_run && evidence.collected < self.search.now && recent
    }
}

const DAMAGED: &str = "damaged";
const UNKNOWN: &str = "signed by an unknown key";

/// One notice about all packs that were left aside.
fn notice(ignored: &BTreeMap<&'static str, Vec<String>>) -> Option<Notice> {
    let part = |(why, names): (&&str, &Vec<String>)| {
        let some: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        let more = if names.len() > 3 { ", …" } else { "" };
        format!("{} {why} ({}{more})", names.len(), some.join(", "))
    };
    let parts: Vec<String> = ignored.iter().map(part).collect();
    let grave = ignored.contains_key(DAMAGED) || ignored.contains_key(UNKNOWN);
    let level = if grave { NoticeLevel::Warning } else { NoticeLevel::Note };
    let message = format!("earlier packs that nothing was taken from: {}", parts.join("; "));
    (!parts.is_empty()).then_some(Notice { level, message })
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn the_time_of_a_pack_is_in_its_name() {
        let wanted = "2026-11-24T03:00:00Z".parse().ok();
        assert_eq!(stamp("messaging-20261124T030000Z"), wanted);
        assert_eq!(stamp("my-service-20261124T030000Z-12"), wanted);
        for name in ["messaging", "", "messaging-20261324T030000Z", "a-1", "20261124T030000Zx"] {
            assert_eq!(stamp(name), None, "{name}");
        }
    }
}
