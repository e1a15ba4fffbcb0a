//! Names of PostgreSQL's write-ahead log segments: timeline, log and segment, eight hexadecimal digits each
//! (<https://www.postgresql.org/docs/current/wal-internals.html>).

use std::collections::BTreeSet;

use crate::facts::{Continuity, Outcome};

/// Segments in one log of 4 GiB, at PostgreSQL's default size of 16 MiB.
const IN_ONE_LOG: u64 = 256;
/// Segments that one copy may need.
const MOST_NEEDED: u64 = 1_000_000;

/// A segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    /// The history that it belongs to; a new one begins with each promotion.
    timeline: u32,
    log: u32,
    part: u32,
}

impl Segment {
    /// The segment of a file's name; `None` for labels of backups, histories and pieces that are not finished.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let digits = name.get(..24)?;
        let rest = name.get(24..)?;
        // What may follow is pgBackRest's checksum and a suffix of compression.
        if !(rest.is_empty() || rest.starts_with('-') && !rest.contains(".partial")) {
            return None;
        }
        let part = |from: usize| u32::from_str_radix(digits.get(from..from + 8)?, 16).ok();
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
        Some(Self { timeline: part(0)?, log: part(8)?, part: part(16)? })
    }

    /// How many segments lie before it on its timeline.
    fn index(self, in_one_log: u64) -> u64 {
        u64::from(self.log) * in_one_log + u64::from(self.part)
    }

    fn at(timeline: u32, index: u64, in_one_log: u64) -> Self {
        let low = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { timeline, log: low(index / in_one_log), part: low(index % in_one_log) }
    }

    /// Its name.
    pub(crate) fn name(self) -> String {
        format!("{:08X}{:08X}{:08X}", self.timeline, self.log, self.part)
    }
}

/// Segments in one log, as far as the names tell: with segments larger than 16 MiB a log has fewer.
fn in_one_log(segments: &BTreeSet<Segment>) -> Option<u64> {
    let rolls_over = segments.iter().map(|s| s.log).collect::<BTreeSet<_>>().len() > 1;
    let highest = segments.iter().map(|s| u64::from(s.part)).max()?;
    if !rolls_over {
        // Within one log the numbers follow each other, whatever the size.
        return Some(IN_ONE_LOG.max(highest + 1));
    }
    // A power of two from 4 (1 GiB) to 4096 (1 MiB); the one that fits the highest number.
    (2..=12).map(|bits| 1 << bits).find(|n| highest < *n)
}

/// Whether the segments of each timeline follow each other without a gap.
pub(crate) fn unbroken(name: &str, segments: &BTreeSet<Segment>) -> Continuity {
    let mut found = Continuity {
        name: name.to_owned(),
        outcome: Outcome::Present,
        why: None,
        from: segments.first().map(|s| s.name()),
        to: segments.last().map(|s| s.name()),
    };
    let Some(size) = in_one_log(segments) else {
        found.outcome = if segments.is_empty() { Outcome::Absent } else { Outcome::NotProven };
        found.why = Some("no segment is archived".to_owned()).filter(|_| segments.is_empty());
        return found;
    };
    let mut gaps = segments.iter().zip(segments.iter().skip(1)).filter(|(a, b)| {
        // Where a timeline ends another begins at the place of the promotion, earlier or later.
        a.timeline == b.timeline && b.index(size) != a.index(size) + 1
    });
    if let Some((before, after)) = gaps.next() {
        let missing = after.index(size) - before.index(size) - 1;
        let first = Segment::at(before.timeline, before.index(size) + 1, size).name();
        let more = gaps.count();
        found.outcome = Outcome::Absent;
        found.why = Some(format!(
            "{missing} segment(s) from {first} on are missing{}",
            if more > 0 { format!(", and there are {more} more gaps") } else { String::new() }
        ));
    }
    found
}

/// The first segment from `start` to `stop` that is not held, if any.
///
/// # Errors
/// Where the two are no range of segments.
pub(crate) fn missing(start: &str, stop: &str, held: &BTreeSet<Segment>) -> Result<Option<String>, String> {
    let parse = |name: &str| Segment::of_name(name).ok_or_else(|| format!("'{name}' is no name of a WAL segment"));
    let (from, to) = (parse(start)?, parse(stop)?);
    let size = in_one_log(held).unwrap_or(IN_ONE_LOG);
    let (first, last) = (from.index(size), to.index(size));
    if from.timeline != to.timeline || last < first || last - first > MOST_NEEDED {
        return Err(format!("{start} to {stop} is no range of WAL segments of one timeline"));
    }
    let gone = (first..=last).map(|i| Segment::at(from.timeline, i, size)).find(|s| !held.contains(s));
    Ok(gone.map(Segment::name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Segment> {
        names.iter().map(|n| Segment::of_name(n).unwrap()).collect()
    }

    #[test]
    fn gaps_are_seen_over_logs_and_timelines() {
        let whole = ["0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000"];
        assert_eq!(unbroken("wal", &set(&whole)).outcome, Outcome::Present);
        let gap = ["000000010000000000000001", "000000010000000000000004", "000000010000000000000006"];
        let found = unbroken("wal", &set(&gap));
        assert_eq!(found.outcome, Outcome::Absent);
        let why = "2 segment(s) from 000000010000000000000002 on are missing, and there are 1 more gaps";
        assert_eq!(found.why.as_deref(), Some(why));
        let promoted = ["000000010000000000000001", "000000020000000000000001"];
        assert_eq!(unbroken("wal", &set(&promoted)).outcome, Outcome::Present);
        assert_eq!(unbroken("wal", &set(&[])).outcome, Outcome::Absent);
    }

    #[test]
    fn names() {
        let with = "000000010000000000000001-8a3157db88013f61d54f89f909a2481b3fce0a07.gz";
        assert_eq!(Segment::of_name(with).map(Segment::name).as_deref(), Some("000000010000000000000001"));
        for other in
            ["000000010000000000000002.00000028.backup", "00000002.history", "", "ü", "00000001000000000000000g"]
        {
            assert_eq!(Segment::of_name(other), None, "{other}");
        }
        assert_eq!(Segment::of_name("000000010000000000000001-abc.partial"), None);
    }

    #[test]
    fn what_a_copy_needs() {
        let held = set(&["000000010000000000000001", "000000010000000000000002"]);
        let of = |a: &str, b: &str| missing(a, b, &held);
        assert_eq!(of("000000010000000000000001", "000000010000000000000002"), Ok(None));
        assert_eq!(
            of("000000010000000000000002", "000000010000000000000003"),
            Ok(Some("000000010000000000000003".to_owned()))
        );
        assert!(of("x", "000000010000000000000003").is_err());
        assert!(of("000000010000000000000003", "000000010000000000000001").is_err());
        assert!(of("000000010000000000000000", "00000001FFFFFFFFFFFFFFFF").is_err());
    }
}
