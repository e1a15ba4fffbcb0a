//! Where things stand on a time line. Whole numbers alone, so that every machine draws the same.

use model::Timestamp;
use model::measure::span;

use super::{Complete, Copy, Lane, Set};

/// Most copies that are drawn on one lane.
pub(crate) const MOST_MARKS: usize = 400;
/// Places that marks share where there are more copies than that; one less than marks, for the last place is cut.
const SLOTS: i64 = 399;
/// The time before the newest copy that is drawn, seconds; what is older is counted. The probe's facts about gaps and
/// sizes look at the same time.
const WINDOW: i64 = 90 * 86_400;
/// The least time that is drawn, seconds.
const LEAST: i64 = 86_400;
/// Most gaps that are shaded on one lane.
const MOST_GAPS: usize = 40;
/// Most marks for copies that are dated in the future.
const MOST_FUTURE: usize = 6;
/// Where the line begins, in hundredths of a per cent of the width.
const LEFT: i64 = 90;
/// Where the instant of judgement is, with nothing beyond it.
const NOW: i64 = 9_900;
/// Where it is when copies are dated in the future.
const NOW_BEFORE_FUTURE: i64 = 8_800;
/// The least width of a gap that is named, in hundredths of a per cent.
const NAMED: i64 = 600;
/// Half the width that a label of the scale takes on a narrow screen, likewise.
const LABEL: i64 = 750;
/// Heights of bars, of 100.
const HEIGHTS: (u64, u64) = (14, 100);
/// How many times smaller than the largest a copy is whose bar is the smallest, at least: as a power of two.
const OCTAVES: u64 = 10;

/// The scale of one repository's lanes.
#[derive(Debug)]
pub(crate) struct Scale {
    from: i64,
    now: i64,
    right: i64,
}

/// A moment on the scale, with its name.
#[derive(Debug)]
pub(crate) struct Tick {
    pub(crate) x: i64,
    pub(crate) text: String,
}

/// A time without a copy that is longer than it should be.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) x: i64,
    pub(crate) width: i64,
    /// How long, where there is room for it.
    pub(crate) label: String,
    pub(crate) words: String,
}

/// A copy to be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) x: i64,
    /// Height of its bar, of 100; none where its size is not known.
    pub(crate) height: Option<u64>,
    pub(crate) complete: Complete,
}

/// What is drawn of one history.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) marks: Vec<Mark>,
    /// Copies that fall on the line; more than the marks where they were thinned out.
    pub(crate) of: usize,
    pub(crate) gaps: Vec<Gap>,
    /// Copies before the line begins.
    pub(crate) older: usize,
    /// Copies beyond the instant of judgement.
    pub(crate) future: Vec<Mark>,
}

impl Scale {
    /// The scale for a repository, judged at `now`.
    pub(crate) fn of(set: &Set, now: i64) -> Self {
        let past = |lane: &Lane| lane.newest(now).map(|c| c.at);
        let newest = set.lanes.iter().filter_map(past).max().unwrap_or(now);
        let oldest = set.lanes.iter().filter_map(|l| l.copies.first()).map(|c| c.at).min().unwrap_or(now);
        let from = oldest.max(newest.saturating_sub(WINDOW)).min(now.saturating_sub(LEAST));
        let future = set.lanes.iter().any(|l| l.future(now) > 0);
        Self { from, now, right: if future { NOW_BEFORE_FUTURE } else { NOW } }
    }

    /// Where an instant of the line is, in hundredths of a per cent of the width.
    pub(crate) fn x(&self, at: i64) -> i64 {
        let at = at.clamp(self.from, self.now);
        let (part, whole) = (i128::from(at) - i128::from(self.from), i128::from(self.now) - i128::from(self.from));
        let width = i128::from(self.right - LEFT);
        LEFT + i64::try_from(part * width / whole.max(1)).unwrap_or_default()
    }

    /// Where the instant of judgement is.
    pub(crate) const fn end(&self) -> i64 {
        self.right
    }

    /// Whether there is room for copies beyond it.
    pub(crate) const fn shows_future(&self) -> bool {
        self.right < NOW
    }

    /// Whether an instant is on the line.
    pub(crate) const fn holds(&self, at: i64) -> bool {
        at >= self.from && at <= self.now
    }

    /// Round moments, five at most, that keep clear of the ends.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        const STEPS: [i64; 14] = [1, 2, 3, 6, 12, 24, 48, 168, 336, 720, 2_184, 4_368, 8_760, 87_600];
        let whole = self.now.saturating_sub(self.from);
        let step = STEPS.iter().map(|hours| hours * 3_600).find(|step| whole / step <= 5).unwrap_or(whole / 5).max(1);
        let form = match step {
            ..86_400 => "%-d %b %H:%M",
            86_400..=2_592_000 => "%-d %b",
            _ => "%b %Y",
        };
        let mut ticks = Vec::new();
        // The whole day (or hour) before the end is the last round moment.
        let unit = step.min(86_400);
        let mut at = self.now - self.now.rem_euclid(unit);
        while at >= self.from && ticks.len() < 8 {
            let x = self.x(at);
            if x >= LABEL && x <= self.right - 2 * LABEL {
                let time = Timestamp::from_second(at).map(|t| t.strftime(form).to_string());
                ticks.push(Tick { x, text: time.unwrap_or_default() });
            }
            at = at.saturating_sub(step);
        }
        ticks.reverse();
        ticks
    }

    /// What is drawn of a history. A gap is shaded where it is longer than one and a half times `every`.
    pub(crate) fn draw(&self, lane: &Lane, every: Option<i64>) -> Drawing {
        let older = lane.copies.iter().take_while(|c| c.at < self.from).count();
        let future = lane.future(self.now);
        let end = lane.copies.len() - future;
        let on_it = lane.copies.get(older..end).unwrap_or_default();
        let beyond = lane.copies.get(end..).unwrap_or_default();
        let sizes = Sizes::of(on_it.iter().chain(beyond));
        let mark = |copy: &Copy, x| Mark { x, height: sizes.height(copy.bytes), complete: copy.complete };
        let marks = on_it.iter().map(|c| mark(c, self.x(c.at))).collect();
        let room = 10_000 - self.right;
        let places = i64::try_from(beyond.len().clamp(1, MOST_FUTURE)).unwrap_or(1);
        let spread = |n: usize| self.right + room * (i64::try_from(n).unwrap_or(0) * 2 + 1) / (2 * places);
        Drawing {
            marks: thinned(marks),
            of: on_it.len(),
            gaps: self.gaps(lane.copies.get(..end).unwrap_or_default(), every),
            older,
            future: beyond.iter().take(MOST_FUTURE).enumerate().map(|(n, c)| mark(c, spread(n))).collect(),
        }
    }

    fn gaps(&self, copies: &[Copy], every: Option<i64>) -> Vec<Gap> {
        let Some(every) = every else { return Vec::new() };
        let longest = every.saturating_add(every / 2);
        let ends = copies.iter().skip(1).map(|c| (c.at, false)).chain([(self.now, true)]);
        let mut gaps: Vec<(i64, i64, bool)> = copies
            .iter()
            .zip(ends)
            .map(|(copy, (end, open))| (copy.at, end, open))
            .filter(|(start, end, _)| *end > self.from && end.saturating_sub(*start) > longest)
            .collect();
        // The longest ones, where there are too many.
        gaps.sort_by_key(|(start, end, _)| start.saturating_sub(*end));
        gaps.truncate(MOST_GAPS);
        gaps.sort_unstable();
        let gap = |(start, end, open): &(i64, i64, bool)| {
            let (x, to) = (self.x(*start), self.x(*end));
            let length = end.saturating_sub(*start);
            // To the nearest day or hour: a label has little room, and the words have the exact time.
            let unit = if length >= 2 * 86_400 { 86_400 } else { 3_600 };
            let nearest = length.saturating_add(unit / 2) / unit * unit;
            let short = span(if nearest > 0 { nearest } else { length });
            let words = if *open {
                format!("no copy since {}, {}", day(*start), span(length))
            } else {
                format!("no copy for {}, from {} to {}", span(length), day(*start), day(*end))
            };
            Gap { x, width: to - x, label: if to - x >= NAMED { short } else { String::new() }, words }
        };
        gaps.iter().map(gap).collect()
    }
}

/// The date of an instant, UTC.
pub(crate) fn day(at: i64) -> String {
    Timestamp::from_second(at).map(|t| t.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// The logarithmic scale of one history's sizes.
struct Sizes {
    largest: u64,
    range: u64,
}

impl Sizes {
    /// The scale for these copies: the largest is of full height.
    fn of<'a>(copies: impl Iterator<Item = &'a Copy>) -> Self {
        let (mut least, mut most) = (u64::MAX, 1);
        for bytes in copies.filter_map(|c| c.bytes).filter(|b| *b > 0) {
            (least, most) = (least.min(bytes), most.max(bytes));
        }
        let largest = log2(most);
        Self { largest, range: largest.saturating_sub(log2(least)).max(OCTAVES << 10) }
    }

    /// The height of a bar, of 100. Nothing is of almost no height.
    fn height(&self, bytes: Option<u64>) -> Option<u64> {
        let (least, most) = HEIGHTS;
        Some(match bytes? {
            0 => 3,
            bytes => {
                let below = self.largest.saturating_sub(log2(bytes)).min(self.range);
                most - (most - least) * below / self.range
            }
        })
    }
}

/// The binary logarithm in 1024ths, straight between powers of two.
const fn log2(n: u64) -> u64 {
    let Some(whole) = n.checked_ilog2() else { return 0 };
    let fraction = if whole == 0 { 0 } else { (n << (64 - whole)) >> 54 };
    ((whole as u64) << 10) + fraction
}

/// Of marks that fall together the worst one: what is incomplete before what is not proven, and the smaller.
fn thinned(marks: Vec<Mark>) -> Vec<Mark> {
    if marks.len() <= MOST_MARKS {
        return marks;
    }
    let slot = |mark: &Mark| mark.x * (SLOTS) / 10_000;
    let rank = |mark: &Mark| (mark.complete, mark.height.unwrap_or(u64::MAX));
    let mut kept: Vec<Mark> = Vec::new();
    for mark in marks {
        match kept.last_mut() {
            Some(last) if slot(last) == slot(&mark) => {
                if rank(&mark) < rank(last) {
                    *last = mark;
                }
            }
            _ => kept.push(mark),
        }
    }
    kept
}
