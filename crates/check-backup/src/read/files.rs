//! Files and folders: the readers of formats read and unpack every byte and compare what checksums there are.
//!
//! Each copy is a part. The newest of each history and what it needs are parts: where copies are made daily each is read
//! once. A format without checksums over its contents proves nothing by being read.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use model::Failure;
use probe::{BoxFuture, Cx};
use tokio::time::Instant;

use super::{ReadBudget, ReadCommand, ReadError, ReadOutcome, ReadPart, Run, Seen, Structure, error, part};
use crate::facts::{Outcome, Snapshot};
use crate::format::{Bounds, Ended, Inspection, WAL_ELSEWHERE};
use crate::source::files::{inspect_full, protected};
use crate::target::Files;

/// Copies that are parts.
const MOST_PARTS: usize = 256;
/// Newest copies that could not be looked into and are named as parts.
const MOST_STRANGE: usize = 16;

/// Reads copies.
pub(super) struct Reader {
    pub(super) source: Files,
}

impl super::Reader for Reader {
    fn commands(&self, _: &ReadBudget) -> Vec<String> {
        Vec::new()
    }

    fn read<'a>(&'a self, run: &'a mut Run<'_>, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let chosen = newest(&run.repository.snapshots);
            let mut waiting: Vec<String> = chosen.keys().cloned().collect();
            let mut found: BTreeMap<String, ReadPart> = BTreeMap::new();
            let (mut errors, mut read) = (Vec::new(), 0_i64);
            while let Some(name) = run.ledger.choose(&waiting, run.day).map(str::to_owned) {
                waiting.retain(|other| *other != name);
                let size = chosen.get(&name).copied().flatten();
                let left = run.budget.max_bytes.saturating_sub(read);
                let this = if let Some(why) = size.and_then(|size| run.too_large("the copy", size)) {
                    part(&name, ReadOutcome::NotProven, why)
                } else if size.is_some_and(|size| size > left) || left <= 0 {
                    let why = "read.max_bytes is spent on other copies in this run";
                    part(&name, ReadOutcome::NotRead, why)
                } else if run.left(cx).is_zero() {
                    part(&name, ReadOutcome::NotRead, "the time was spent on other copies in this run")
                } else {
                    let (this, bytes) = self.one(run, &name, left, cx).await;
                    read = read.saturating_add(bytes);
                    if this.outcome == ReadOutcome::Damaged {
                        errors.push(error(&name, this.outcome, this.why.as_deref().unwrap_or_default()));
                    }
                    this
                };
                found.insert(name, this);
            }
            let mut parts: Vec<ReadPart> = found.into_values().collect();
            parts.extend(strange(&run.repository.snapshots));
            Ok(seen(parts, errors, read))
        })
    }
}

impl Reader {
    /// Reads one copy; gives the bytes that were read of it, too.
    async fn one(&self, run: &mut Run<'_>, name: &str, left: i64, cx: &Cx) -> (ReadPart, i64) {
        let bounds = Bounds { read: u64::try_from(left).unwrap_or(0), ..Bounds::default() };
        let began = Instant::now();
        let seen = inspect_full(&self.source, name, bounds, run.left(cx), cx).await;
        let millis = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        run.commands.push(ReadCommand { name: format!("read {name}"), millis });
        match seen {
            Ok(seen) => {
                let (outcome, why) = conclude(&seen);
                let things = seen.counts.files.and_then(|files| i64::try_from(files).ok());
                let this = ReadPart { name: name.to_owned(), outcome, why: Some(why), things };
                (this, i64::try_from(seen.read).unwrap_or(i64::MAX))
            }
            Err(why) => (part(name, ReadOutcome::NotProven, why), 0),
        }
    }
}

/// What reading a copy as a whole came to.
fn conclude(seen: &Inspection) -> (ReadOutcome, String) {
    let checks = seen.checked_by.join(", ");
    match seen.ended {
        Ended::Complete if protected(seen) => (ReadOutcome::Intact, format!("{}; {checks}", seen.why)),
        Ended::NotProven if seen.why == WAL_ELSEWHERE && protected(seen) => {
            (ReadOutcome::Intact, format!("all of it was read, {checks}; {}", seen.why))
        }
        Ended::Complete => {
            let why =
                "no checksum protects its contents, so that a changed byte would not show; compress it by gzip or zstd";
            (ReadOutcome::NotProven, why.to_owned())
        }
        Ended::Truncated | Ended::Damaged => (ReadOutcome::Damaged, seen.why.clone()),
        Ended::NotProven => (ReadOutcome::NotProven, seen.why.clone()),
    }
}

/// The newest copy of each history and the copies that it needs, with their sizes.
fn newest(snapshots: &[Snapshot]) -> BTreeMap<String, Option<i64>> {
    let at = |s: &Snapshot| s.recovery_point.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
    let mut by_series: BTreeMap<String, &Snapshot> = BTreeMap::new();
    for snapshot in snapshots.iter().filter(|s| s.outcome == Outcome::Present) {
        let newest = by_series.entry(crate::derive::series(snapshot)).or_insert(snapshot);
        if at(snapshot) > at(newest) {
            *newest = snapshot;
        }
    }
    let names: BTreeSet<&String> = by_series.values().flat_map(|s| s.parents.iter().chain([&s.name])).collect();
    let there = snapshots.iter().filter(|s| names.contains(&s.name));
    there.take(MOST_PARTS).map(|s| (s.name.clone(), s.stored)).collect()
}

/// Copies that were not even recognised: no part of any history, and not read.
fn strange(snapshots: &[Snapshot]) -> impl Iterator<Item = ReadPart> {
    let strange = snapshots.iter().filter(|s| s.outcome != Outcome::Present).take(MOST_STRANGE);
    strange.map(|s| part(&s.name, ReadOutcome::NotProven, s.why.clone().unwrap_or_else(|| "not recognised".to_owned())))
}

fn seen(parts: Vec<ReadPart>, errors: Vec<ReadError>, read: i64) -> Seen {
    let all = parts.iter().all(|p| matches!(p.outcome, ReadOutcome::Intact | ReadOutcome::Damaged));
    Seen {
        covers: "the newest copy of each history and the copies that it needs; not older ones".to_owned(),
        parts,
        structure: Structure {
            outcome: ReadOutcome::NotRead,
            why: Some("files have no records beside themselves".to_owned()),
        },
        errors,
        all,
        bytes_read: Some(read),
        bytes_estimated: false,
    }
}
