//! Time lines of copies, drawn in the page itself.

use std::fmt::Write as _;

use minijinja::{Value, context};
use model::measure::{size, span};

use crate::View;
use crate::backup::line::{Drawing, MOST_MARKS, Mark, Scale, day};
use crate::backup::{self, Complete, Deed, Event, Found, Lane, Set, State};
use crate::escape::plain_cut;
use crate::summary::count;

/// Most repositories that are drawn.
const MOST_SETS: usize = 40;
/// Most reads and drills that are drawn of one repository.
const MOST_EVENTS: usize = 200;
/// Most of them that are listed.
const MOST_LISTED: usize = 12;
/// Most copies that are listed because they are not complete.
const MOST_LACKING: usize = 6;
/// Most characters of a name.
const MOST_NAME: usize = 200;
/// Most characters of the name of a copy.
const MOST_COPY_NAME: usize = 64;
/// Where bars begin in their lane, and how high the highest is, in pixels.
const BARS: (u64, u64) = (18, 58);

/// How many repositories the page shows.
pub(super) fn known(view: &View<'_>) -> usize {
    view.assessment.coverage.targets.iter().filter(|l| l.evidence.contains_key(backup::KIND)).count()
}

pub(super) fn context(view: &View<'_>) -> Value {
    let now = view.assessment.as_of.as_second();
    let (found, more) = backup::all(view, MOST_SETS);
    let sets: Vec<Value> = found
        .iter()
        .enumerate()
        .map(|(n, (line, found))| {
            let name = plain_cut(&line.name, MOST_NAME).into_owned();
            match found {
                Found::Failure(why) => context! { name, failure => why },
                Found::Set(set) => context! { name, failure => (), ..of_set(n, set, now) },
            }
        })
        .collect();
    let legend = [
        ("good", false, "read"),
        ("good", true, "restore drill"),
        ("unknown", false, "not proven"),
        ("bad", false, "damaged, or not equal"),
    ];
    let legend: Vec<Value> = legend.map(|(class, drill, text)| context! { class, drill, text }).into();
    context! { sets, more, legend, as_of => view.assessment.as_of.strftime("%-d %B %Y, %H:%M UTC").to_string() }
}

fn of_set(n: usize, set: &Set, now: i64) -> Value {
    let scale = Scale::of(set, now);
    let ticks = scale.ticks();
    // What is not as it should be is listed before what is, then all by date.
    let mut shown: Vec<&Event> = set.events.iter().collect();
    let troubles = shown.iter().filter(|e| e.state != State::Good).count();
    shown.sort_by_key(|e| e.state == State::Good);
    shown.truncate(MOST_LISTED);
    shown.sort_by_key(|e| std::cmp::Reverse(e.at));
    let mut expected = Vec::new();
    expected.extend(set.every.map(|every| format!("a copy every {}", span(every))));
    expected.extend(set.max_age.map(|age| format!("the newest no older than {}", span(age))));
    let mut remarks = Vec::new();
    if !set.all {
        remarks.push("Not all copies are listed; of others nothing is said.".to_owned());
    }
    if set.doubtful > 0 {
        let what = count(set.doubtful, "thing that may be a copy is", "things that may be copies are");
        remarks.push(format!("{what} not proven to be; not drawn."));
    }
    if set.more > 0 {
        remarks.push(format!("{} not shown.", count(set.more, "more history is", "more histories are")));
    }
    context! {
        note => format!("{} · data set {}", set.place, set.set),
        expected => expected.join(", "),
        remarks,
        lanes => set.lanes.iter().enumerate().map(|(m, l)| of_lane(&format!("copies-{n}-{m}"), set, l, &scale, now)).collect::<Vec<_>>(),
        rows => set.lanes.iter().map(|lane| row(lane, now)).collect::<Vec<_>>(),
        lacking => lacking(set),
        events => events(set, &scale),
        listed => shown.iter().map(|e| listed(e)).collect::<Vec<_>>(),
        unlisted => set.events.len() - shown.len(),
        unlisted_good => troubles <= MOST_LISTED,
        id => format!("copies-{n}"),
        now => percent(scale.end()),
        beyond => percent(10_000 - scale.end()),
        future => scale.shows_future(),
        window => set.max_age.map(|age| {
            let x = scale.x(now.saturating_sub(age));
            context! { x => percent(x), width => percent(scale.end() - x) }
        }),
        ticks => ticks.into_iter().map(|t| context! { x => percent(t.x), text => t.text }).collect::<Vec<_>>(),
    }
}

/// A place on the scale as an attribute: `12.34%`.
fn percent(x: i64) -> String {
    format!("{}.{:02}%", x / 100, x % 100)
}

fn of_lane(id: &str, set: &Set, lane: &Lane, scale: &Scale, now: i64) -> Value {
    let drawing = scale.draw(lane, set.every);
    let marks: Vec<Mark> = drawing.marks.iter().chain(&drawing.future).copied().collect();
    let of = |complete: Complete| marks.iter().filter(move |m| m.complete == complete);
    let width = match drawing.marks.len() {
        0..=45 => "w4",
        46..=100 => "w3",
        101..=200 => "w2",
        _ => "w1",
    };
    let (name, head) = (plain_cut(&lane.name, MOST_NAME).into_owned(), head(lane, now));
    context! {
        id, width,
        title => format!("Copies of {name} over time"),
        words => in_words(lane, &drawing, &head, now),
        notes => notes(lane, &drawing),
        complete => bars(of(Complete::Yes)),
        doubt => bars(of(Complete::NotProven)),
        doubt_tops => tops(of(Complete::NotProven)),
        lacking => bars(of(Complete::No)),
        crosses => of(Complete::No).map(|m| context! { x => percent(m.x), y => top(m) }).collect::<Vec<_>>(),
        unsized_complete => unsized_(of(Complete::Yes)),
        unsized_doubt => unsized_(of(Complete::NotProven)),
        gaps => drawing.gaps.iter().map(|gap| context! {
            x => percent(gap.x), width => percent(gap.width), middle => percent(gap.x + gap.width / 2),
            label => &gap.label, words => &gap.words,
        }).collect::<Vec<_>>(),
        older => drawing.older > 0,
        name, head,
    }
}

/// One line from the bottom up for each mark whose size is known.
fn bars<'a>(marks: impl Iterator<Item = &'a Mark>) -> String {
    let mut path = String::new();
    for (mark, height) in marks.filter_map(|m| Some((m, m.height?))) {
        let _ = write!(path, "M{} 100V{}", mark.x, 100 - height);
    }
    path
}

/// One dot at the top of each of them.
fn tops<'a>(marks: impl Iterator<Item = &'a Mark>) -> String {
    let mut path = String::new();
    for (mark, height) in marks.filter_map(|m| Some((m, m.height?))) {
        let _ = write!(path, "M{} {}h0", mark.x, 100 - height);
    }
    path
}

/// One dot near the bottom for each mark whose size is not known.
fn unsized_<'a>(marks: impl Iterator<Item = &'a Mark>) -> String {
    let mut path = String::new();
    for mark in marks.filter(|m| m.height.is_none()) {
        let _ = write!(path, "M{} 92h0", mark.x);
    }
    path
}

/// Where a mark's top is in its lane, in pixels.
fn top(mark: &Mark) -> u64 {
    let (start, height) = BARS;
    start + height * (100 - mark.height.unwrap_or(8)) / 100
}

/// The newest copy in few words: `42 copies, newest 21 h old, complete`.
fn head(lane: &Lane, now: i64) -> String {
    let mut parts = vec![count(lane.count(), "copy", "copies")];
    match lane.newest(now) {
        Some(copy) => {
            parts.push(format!("newest {} old", span(now.saturating_sub(copy.at))));
            parts.push(copy.complete.as_str().to_owned());
        }
        None => parts.push("none with a time before this audit".into()),
    }
    match lane.future(now) {
        0 => {}
        n => parts.push(format!("{n} dated in the future")),
    }
    parts.join(", ")
}

/// What the drawing leaves out.
fn notes(lane: &Lane, drawing: &Drawing) -> Vec<String> {
    let mut notes = Vec::new();
    if drawing.of > drawing.marks.len() {
        notes.push(format!(
            "{} copies, {} drawn: of those that fall together the one that is least complete, then the smallest.",
            drawing.of,
            drawing.marks.len().min(MOST_MARKS)
        ));
    }
    if drawing.older > 0 {
        let oldest = lane.copies.first().map(|c| day(c.at)).unwrap_or_default();
        let newest =
            drawing.older.checked_sub(1).and_then(|n| lane.copies.get(n)).map(|c| day(c.at)).unwrap_or_default();
        notes.push(match drawing.older {
            1 => format!("◂ One older copy, of {oldest}, is not on the line."),
            n => format!("◂ {n} older copies, {oldest} to {newest}, are not on the line."),
        });
    }
    if lane.undated > 0 {
        notes.push(format!("{} without a time.", count(lane.undated, "copy is", "copies are")));
    }
    notes
}

/// The drawing for those who can't see it.
fn in_words(lane: &Lane, drawing: &Drawing, head: &str, now: i64) -> String {
    let mut words = format!("{head}.");
    if let Some((first, last)) = lane.copies.first().zip(lane.newest(now)) {
        let _ = write!(words, " From {} to {}.", day(first.at), day(last.at));
    }
    if !drawing.gaps.is_empty() {
        let some: Vec<&str> = drawing.gaps.iter().take(5).map(|g| g.words.as_str()).collect();
        let _ = write!(words, " Gaps: {}.", some.join("; "));
    }
    words
}

fn row(lane: &Lane, now: i64) -> Value {
    let bytes = |n: Option<u64>| n.map_or("-".into(), |n| size(n.into()));
    let time = |n: Option<i64>| n.map_or("-".into(), span);
    let of = |complete| lane.copies.iter().filter(|c| c.complete == complete).count();
    let mut complete = Vec::new();
    for state in [Complete::Yes, Complete::NotProven, Complete::No] {
        if of(state) > 0 {
            complete.push(format!("{} {}", of(state), state.as_str()));
        }
    }
    let by =
        lane.copies.iter().rev().find(|c| c.complete == Complete::Yes).map(|c| c.note.as_str()).unwrap_or_default();
    context! {
        name => plain_cut(&lane.name, MOST_NAME),
        count => lane.count(),
        newest => lane.newest(now).map_or("-".into(), |c| day(c.at)),
        oldest => lane.copies.first().map_or("-".into(), |c| day(c.at)),
        span => time(lane.span),
        gap => time(lane.longest_gap),
        sizes => [lane.newest_bytes, lane.largest_bytes, lane.median_bytes].map(bytes).to_vec(),
        complete => complete.join(", "),
        by,
    }
}

/// The newest copies that are not complete, or not proven to be, with the reason.
fn lacking(set: &Set) -> Vec<Value> {
    let mut all = Vec::new();
    for lane in &set.lanes {
        let no = lane.copies.iter().rev().filter(|c| c.complete == Complete::No).take(MOST_LACKING);
        let doubt = lane.copies.iter().rev().filter(|c| c.complete == Complete::NotProven).take(1);
        all.extend(no.chain(doubt).map(|copy| (lane, copy)));
    }
    all.sort_by_key(|(_, copy)| std::cmp::Reverse(copy.at));
    let shown = all.into_iter().take(2 * MOST_LACKING).map(|(lane, copy)| {
        context! {
            name => plain_cut(&copy.name, MOST_COPY_NAME), of => plain_cut(&lane.name, MOST_NAME), day => day(copy.at),
            complete => copy.complete.as_str(), why => &copy.note,
        }
    });
    shown.collect()
}

const fn class(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Bad => "bad",
        State::NotProven => "unknown",
    }
}

const fn state_word(event: &Event) -> &'static str {
    match (event.done, event.state, event.deed) {
        (false, ..) => "not run",
        (true, State::Good, Deed::Read) => "intact",
        (true, State::Good, Deed::Drill) => "equal",
        (true, State::Bad, Deed::Read) => "damaged",
        (true, State::Bad, Deed::Drill) => "not equal",
        (true, State::NotProven, _) => "not proven",
    }
}

fn events(set: &Set, scale: &Scale) -> Vec<Value> {
    let on_it = set.events.iter().filter(|e| e.done && scale.holds(e.at)).take(MOST_EVENTS);
    let shown = on_it.map(|event| {
        context! {
            x => percent(scale.x(event.at)),
            drill => event.deed == Deed::Drill,
            class => class(event.state),
            words => format!("{}, {}: {}", day(event.at), event.deed.as_str(), event.words),
        }
    });
    shown.collect()
}

fn listed(event: &Event) -> Value {
    context! {
        day => day(event.at),
        what => event.deed.as_str(),
        state => state_word(event),
        class => class(event.state),
        words => &event.words,
        run => if event.earlier { "earlier" } else { "this one" },
    }
}
