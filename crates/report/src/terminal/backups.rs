//! One line for the copies of each thing: how they were made in the last 30 days, and how the newest is.

use model::measure::span;

use crate::View;
use crate::backup::line::day;
use crate::backup::{self, Complete, Found, Lane};
use crate::escape::plain_cut;
use crate::paint::{Look, Page};
use crate::summary::count;

/// Days of the picture, one sign each.
const DAYS: i64 = 30;
/// Signs by size, each for copies of so many hundredths of the largest and more.
const BARS: [(u128, char); 5] = [(75, '▇'), (50, '▅'), (25, '▃'), (5, '▂'), (0, '▁')];
/// Most lines.
const MOST_LINES: usize = 12;
/// Most repositories that are read.
const MOST_SETS: usize = 12;
/// Most characters of a target's name and of what is copied.
const MOST_NAMES: (usize, usize) = (16, 36);
/// Columns without which there is no room for the picture.
const ROOM: usize = 90;

/// Draws them where there are any.
pub(super) fn draw(page: &mut Page, view: &View<'_>) {
    let (found, more) = backup::all(view, MOST_SETS);
    let mut lines = Vec::new();
    let mut left_out = more;
    for (target, found) in &found {
        if let Found::Set(set) = found {
            lines.extend(set.lanes.iter().map(|lane| (target.name.as_str(), lane)));
            left_out += set.more;
        }
    }
    if lines.is_empty() {
        return;
    }
    let now = view.assessment.as_of.as_second();
    let pictures = page.pictures() && page.width() >= ROOM;
    page.put(Look::Bold, "backups");
    if pictures {
        let legend = format!("{DAYS} days to {}, height is size, · no copy, x incomplete, o size unknown", day(now));
        page.put(Look::Dim, "  ").put(Look::Dim, &legend);
    }
    page.end();
    let names = lines.iter().map(|(target, lane)| (cut(target, MOST_NAMES.0), cut(&lane.name, MOST_NAMES.1)));
    let names: Vec<(String, String)> = names.take(MOST_LINES).collect();
    let widest = |of: fn(&(String, String)) -> &String| names.iter().map(|n| of(n).chars().count()).max().unwrap_or(0);
    let first = 2 + widest(|n| &n.0) + 2;
    let second = first + widest(|n| &n.1) + 2;
    for ((_, lane), (target, name)) in lines.iter().zip(&names) {
        page.to(2).put(Look::Bold, target).to(first).put(Look::Normal, name).to(second);
        if pictures {
            for (sign, look) in picture(lane, now) {
                page.put(look, &sign);
            }
            page.put(Look::Normal, "  ");
        }
        said(page, lane, now);
        page.end();
    }
    left_out += lines.len().saturating_sub(MOST_LINES);
    if left_out > 0 {
        page.to(2).put(Look::Dim, &format!("and {left_out} more")).end();
    }
    page.end();
}

fn cut(text: &str, most: usize) -> String {
    plain_cut(text, most).into_owned()
}

/// The state in words: the newest copy's age, how many there are, whether the newest is complete.
fn said(page: &mut Page, lane: &Lane, now: i64) {
    let copies = count(lane.count(), "copy", "copies");
    let Some(newest) = lane.newest(now) else {
        page.wrapped(Look::Doubt, &format!("{copies}, none with a time before this audit"));
        return;
    };
    let future = match lane.future(now) {
        0 => String::new(),
        n => format!(", {n} dated in the future"),
    };
    let age = span(now.saturating_sub(newest.at));
    page.wrapped(Look::Normal, &format!("{age} old, {copies}{future},")).put(Look::Normal, " ");
    let look = match newest.complete {
        Complete::Yes => Look::Normal,
        Complete::NotProven => Look::Doubt,
        Complete::No => Look::Bad,
    };
    page.wrapped(look, newest.complete.as_str());
}

/// A sign for each day, oldest first, runs of one look together. A day's newest copy stands for it.
fn picture(lane: &Lane, now: i64) -> Vec<(String, Look)> {
    let start = now.saturating_sub(DAYS * 86_400);
    let recent: Vec<_> = lane.copies.iter().filter(|c| c.at > start && c.at <= now).collect();
    let largest = recent.iter().filter_map(|c| c.bytes).max().unwrap_or(0).max(1);
    let sign = |bytes: u64| {
        let part = u128::from(bytes) * 100 / u128::from(largest);
        BARS.iter().find(|(least, _)| part >= *least).map_or('▁', |(_, sign)| *sign)
    };
    let mut runs: Vec<(String, Look)> = Vec::new();
    for n in 0..DAYS {
        let (from, to) = (start + n * 86_400, start + (n + 1) * 86_400);
        let newest = recent.iter().rev().find(|c| c.at > from && c.at <= to);
        let (sign, look) = match newest {
            None => ('·', Look::Dim),
            Some(copy) => match (copy.complete, copy.bytes) {
                (Complete::No, _) => ('x', Look::Bad),
                (complete, bytes) => {
                    (bytes.map_or('o', sign), if complete == Complete::Yes { Look::Normal } else { Look::Doubt })
                }
            },
        };
        match runs.last_mut() {
            Some((run, of)) if *of == look => run.push(sign),
            _ => runs.push((sign.into(), look)),
        }
    }
    runs
}
