//! What copies need beside themselves: earlier copies of mariabackup, and the archived log of PostgreSQL.

use std::collections::BTreeSet;

use jiff::Timestamp;
use probe::Cx;

use crate::facts::{Basis, Complete, Continuity, Outcome, Snapshot, SnapshotKind};
use crate::format::{Format, Inspection, LogRange, WAL_ELSEWHERE};
use crate::pattern;
use crate::source::wal::{Segment, missing, unbroken};

/// Endings that programs of archiving leave behind the name of a segment.
pub(super) const PACKED: [&str; 5] = [".gz", ".zst", ".xz", ".bz2", ".lz4"];
/// PostgreSQL's default size of a segment.
const SEGMENT: u64 = 16 << 20;

/// A copy with what was seen of it.
pub(super) type Pair<'a> = (&'a mut Snapshot, &'a Inspection);

/// Notes which earlier copies each incremental one of mariabackup needs: those that end where it begins, down to a full
/// one (<https://mariadb.com/kb/en/incremental-backup-and-restore-with-mariabackup/>).
pub(super) fn mariabackup(copies: &mut [Pair<'_>]) {
    struct Link {
        name: String,
        from: String,
        to: Option<String>,
        full: bool,
        at: Option<Timestamp>,
        complete: Outcome,
    }
    let mut links = Vec::new();
    for (snapshot, seen) in copies.iter().filter(|(_, seen)| seen.format == Format::Mariabackup) {
        let Some(range) = seen.log.first() else { continue };
        links.push(Link {
            name: snapshot.name.clone(),
            from: range.from.clone(),
            to: range.to.clone(),
            full: seen.incremental == Some(false),
            at: snapshot.recovery_point.as_deref().and_then(|at| at.parse().ok()),
            complete: snapshot.complete.outcome,
        });
    }
    for (snapshot, seen) in copies.iter_mut().filter(|(_, seen)| seen.format == Format::Mariabackup) {
        if snapshot.kind != SnapshotKind::Incremental {
            continue;
        }
        let at: Option<Timestamp> = snapshot.recovery_point.as_deref().and_then(|at| at.parse().ok());
        let mut from = seen.log.first().map(|range| range.from.clone());
        let mut known = BTreeSet::from([snapshot.name.clone()]);
        let mut broken = None;
        loop {
            let Some(wanted) = from.take() else {
                snapshot.parents.push("a copy that ends where it begins".to_owned());
                break;
            };
            // Of several that end there the newest before it: the server may have been idle.
            let before = |link: &&Link| {
                link.to.as_ref() == Some(&wanted) && !known.contains(&link.name) && (link.at <= at || at.is_none())
            };
            let Some(parent) = links.iter().filter(before).max_by_key(|link| (link.full, link.at)) else {
                snapshot.parents.push(format!("a copy that ends at log number {wanted}"));
                break;
            };
            known.insert(parent.name.clone());
            snapshot.parents.push(parent.name.clone());
            if parent.complete != Outcome::Present
                && broken.as_ref().is_none_or(|(outcome, _)| *outcome != Outcome::Absent)
            {
                broken = Some((parent.complete, parent.name.clone()));
            }
            if parent.full {
                break;
            }
            from = Some(parent.from.clone());
        }
        if let Some((outcome, parent)) = broken.filter(|_| snapshot.complete.outcome == Outcome::Present) {
            let is = if outcome == Outcome::Absent { "is not complete" } else { "is not known to be complete" };
            let why = format!("{parent}, which it needs, {is}");
            snapshot.complete = Complete { outcome, basis: Some(Basis::EndMark), why: Some(why) };
        }
    }
}

/// Looks through the archive of the write-ahead log: whether it is unbroken, and whether it holds what base backups need.
pub(super) async fn archive(cx: &Cx, pattern: &str, copies: &mut [Pair<'_>]) -> Continuity {
    let name = format!("wal {pattern}");
    let paths = match pattern::matches(cx, pattern).await {
        Ok(paths) => paths,
        Err(e) => {
            return Continuity { name, outcome: Outcome::NotProven, why: Some(e.to_string()), from: None, to: None };
        }
    };
    let mut held = BTreeSet::new();
    let mut plain = None;
    for path in &paths {
        let file = path.rsplit('/').next().unwrap_or_default();
        let bare = PACKED.iter().find_map(|ending| file.strip_suffix(ending));
        if let Some(segment) = Segment::of_name(bare.unwrap_or(file)) {
            plain = plain.or(bare.is_none().then_some(path));
            held.insert(segment);
        }
    }
    // An unpacked segment tells the size of all; it is fixed when a cluster is made.
    let size = match plain {
        Some(path) => cx.metadata(path).await.map_or(SEGMENT, |found| found.size),
        None => SEGMENT,
    };
    // An incremental one needs an earlier base backup as well, and nothing here tells which.
    let alone = |seen: &Inspection| seen.why == WAL_ELSEWHERE && seen.incremental != Some(true);
    for (snapshot, seen) in copies.iter_mut().filter(|(_, seen)| alone(seen)) {
        snapshot.complete = needed(&seen.log, size, &held);
    }
    unbroken(&name, &held)
}

/// Whether the log that a base backup needs is archived.
fn needed(ranges: &[LogRange], size: u64, held: &BTreeSet<Segment>) -> Complete {
    let complete = |outcome, why| Complete { outcome, basis: Some(Basis::EndMark), why };
    for range in ranges {
        let names = range.timeline.zip(range.to.as_deref()).and_then(|(timeline, to)| {
            Some((segment(timeline, &range.from, size, 0)?, segment(timeline, to, size, 1)?))
        });
        let Some((first, last)) = names else {
            return complete(Outcome::NotProven, Some("it does not say which WAL it needs".to_owned()));
        };
        match missing(&first, &last, held) {
            Ok(None) => {}
            Ok(Some(name)) => {
                return complete(Outcome::Absent, Some(format!("WAL {name}, which it needs, is not archived")));
            }
            Err(why) => return complete(Outcome::NotProven, Some(why)),
        }
    }
    match ranges {
        [] => complete(Outcome::NotProven, Some("it does not say which WAL it needs".to_owned())),
        _ => complete(Outcome::Present, None),
    }
}

/// The name of the segment that a place in the log, or the byte before it, lies in.
fn segment(timeline: u32, place: &str, size: u64, before: u64) -> Option<String> {
    if !size.is_power_of_two() || !((1 << 20)..=(1 << 30)).contains(&size) {
        return None;
    }
    let (high, low) = place.split_once('/')?;
    let high = u64::from(u32::from_str_radix(high, 16).ok()?);
    let number = ((high << 32) | u64::from(u32::from_str_radix(low, 16).ok()?)).checked_sub(before)? / size;
    let in_one_log = (1_u64 << 32) / size;
    Some(format!("{timeline:08X}{:08X}{:08X}", number / in_one_log, number % in_one_log))
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn places_in_the_log() {
        let name = |place, size, before| segment(1, place, size, before);
        assert_eq!(name("0/2000028", 16 << 20, 0).as_deref(), Some("000000010000000000000002"));
        assert_eq!(name("0/3000000", 16 << 20, 1).as_deref(), Some("000000010000000000000002"));
        assert_eq!(name("1/0", 16 << 20, 0).as_deref(), Some("000000010000000100000000"));
        assert_eq!(name("1/40000000", 1 << 30, 0).as_deref(), Some("000000010000000100000001"));
        for (place, size) in [("x", 16 << 20), ("0/0", 7), ("0/0", 0), ("1/", 16 << 20), ("0/0", 16 << 20)] {
            assert_eq!(name(place, size, 1), None, "{place} {size}");
        }
    }
}
