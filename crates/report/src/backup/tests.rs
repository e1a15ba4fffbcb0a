#![allow(clippy::indexing_slicing, reason = "a test that looks at what is not there should fail")]

use proptest::prelude::*;
use serde_json::json;

use super::line::{MOST_MARKS, Scale, day};
use super::*;

const DAY: i64 = 86_400;
const NOW: i64 = 1_800_000_000;

fn snapshot(at: i64, bytes: Option<i64>, complete: &str) -> Value {
    let time = Timestamp::from_second(at).map(|t| t.to_string()).unwrap_or_default();
    json!({
        "name": format!("s{at}"), "outcome": "present", "host": "h", "paths": ["/b", "/a"], "databases": [],
        "recovery_point": time, "complete": { "outcome": complete, "basis": null, "why": "w" },
        "missing_parents": [], "bytes": bytes,
    })
}

fn set(snapshots: Vec<Value>, every: Option<i64>) -> Set {
    let facts = json!({
        "source": "restic", "catalogue": { "asked": "all", "snapshots": snapshots }, "expected": { "every": every },
        "histories": [{ "name": "h:/a,/b", "span": 7, "longest_gap": 3 }],
        "sizes": [{ "name": "h:/a,/b", "newest_bytes": 5 }],
    });
    read(facts.as_object().unwrap_or(&Facts::new())).unwrap_or_else(|| panic!("not a repository"))
}

fn daily(days: std::ops::Range<i64>) -> Vec<Value> {
    days.map(|n| snapshot(NOW - n * DAY, Some(1_000), "present")).collect()
}

#[test]
fn copies_find_their_history_by_host_and_paths_or_databases() {
    let mut database = snapshot(NOW, None, "absent");
    (database["host"], database["paths"], database["databases"]) = (Value::Null, json!([]), json!(["shop"]));
    let mut doubtful = snapshot(NOW, None, "present");
    doubtful["outcome"] = json!("not_proven");
    let mut undated = snapshot(NOW, None, "present");
    undated["recovery_point"] = Value::Null;
    let mut cluster = snapshot(NOW, None, "present");
    cluster["series"] = json!("cluster");
    let mut orphan = snapshot(NOW, Some(9), "present");
    orphan["missing_parents"] = json!(["p1"]);
    let set = set(vec![database, doubtful, undated, cluster, orphan], None);
    let names: Vec<&str> = set.lanes.iter().map(|l| l.name.as_str()).collect();
    assert_eq!((names, set.doubtful), (vec!["cluster", "h:/a,/b", "shop"], 1));
    let files = &set.lanes[1];
    assert_eq!((files.span, files.longest_gap, files.newest_bytes), (Some(7), Some(3), Some(5)));
    assert_eq!((files.copies.len(), files.undated, files.count()), (1, 1, 2));
    // A copy that needs one that is gone is not complete, whatever it says of itself.
    assert_eq!((files.copies[0].complete, &*files.copies[0].note), (Complete::No, "p1, which it needs, is not there"));
    assert_eq!(set.lanes[2].copies[0].complete, Complete::No);
}

#[test]
fn facts_of_another_shape_are_no_repository() {
    for facts in [json!({}), json!({ "catalogue": [] }), json!({ "catalogue": { "snapshots": 3 } })] {
        assert!(read(facts.as_object().unwrap_or(&Facts::new())).is_none(), "{facts}");
    }
}

#[test]
fn the_line_ends_at_the_audit_and_holds_ninety_days_before_the_newest() {
    let near = set(daily(0..11), None);
    let scale = Scale::of(&near, NOW);
    assert!(scale.holds(NOW - 10 * DAY) && !scale.holds(NOW - 10 * DAY - 1) && !scale.holds(NOW + 1));
    assert!(scale.x(NOW) == scale.end() && scale.x(NOW - 5 * DAY) > scale.x(NOW - 6 * DAY));
    let far = set(daily(30..400), None);
    let scale = Scale::of(&far, NOW);
    assert!(scale.holds(NOW - 120 * DAY) && !scale.holds(NOW - 121 * DAY));
    assert_eq!(scale.draw(&far.lanes[0], None).older, 279);
    assert!((3..=7).contains(&scale.ticks().len()), "{:?}", scale.ticks());
}

#[test]
fn gaps_longer_than_half_as_long_again_are_shaded_and_the_last_one_is_open() {
    let mut copies = daily(10..20);
    copies.extend(daily(2..9).into_iter().filter(|s| s["recovery_point"] != daily(5..6)[0]["recovery_point"]));
    let set = set(copies, Some(DAY));
    let drawing = Scale::of(&set, NOW).draw(&set.lanes[0], set.every);
    let words: Vec<String> = drawing.gaps.iter().map(|g| g.words.clone()).collect();
    let days = |n: i64| day(NOW - n * DAY);
    assert_eq!(
        words,
        [
            format!("no copy for 2 d, from {} to {}", days(10), days(8)),
            format!("no copy for 2 d, from {} to {}", days(6), days(4)),
            format!("no copy since {}, 2 d", days(2)),
        ]
    );
    assert!(drawing.gaps.iter().all(|g| g.label == "2 d"), "{:?}", drawing.gaps);
    assert!(Scale::of(&set, NOW).draw(&set.lanes[0], None).gaps.is_empty(), "nothing was expected");
}

#[test]
fn heights_follow_size_and_what_is_not_known_has_none() {
    let sizes = [Some(1 << 40), Some(1 << 39), Some(1 << 30), Some(0), None];
    let copies = sizes.iter().zip(1..).map(|(bytes, n)| snapshot(NOW - n * DAY, *bytes, "present"));
    let set = set(copies.collect(), None);
    let drawing = Scale::of(&set, NOW).draw(&set.lanes[0], None);
    let heights: Vec<Option<u64>> = drawing.marks.iter().rev().map(|m| m.height).collect();
    assert_eq!(heights, [Some(100), Some(92), Some(14), Some(3), None]);
}

#[test]
fn what_is_dated_in_the_future_stands_beyond_the_end_and_is_not_the_newest() {
    let set = set(vec![snapshot(NOW - DAY, None, "present"), snapshot(NOW + 9_000 * DAY, None, "present")], None);
    let scale = Scale::of(&set, NOW);
    let drawing = scale.draw(&set.lanes[0], None);
    assert_eq!((drawing.marks.len(), drawing.future.len()), (1, 1));
    assert!(scale.shows_future() && drawing.future[0].x > scale.end());
    assert_eq!(set.lanes[0].newest(NOW).map(|c| c.at), Some(NOW - DAY));
}

#[test]
fn thinning_keeps_the_worst() {
    let copies = (0..10_000).map(|n| {
        let complete = if n == 5_001 { "absent" } else { "present" };
        snapshot(NOW - n * 600, Some(if n == 2_003 { 7 } else { 1 << 30 }), complete)
    });
    let set = set(copies.collect(), None);
    let drawing = Scale::of(&set, NOW).draw(&set.lanes[0], None);
    assert!(drawing.of == 10_000 && drawing.marks.len() <= MOST_MARKS && drawing.marks.len() > 350);
    assert_eq!(drawing.marks.iter().filter(|m| m.complete == Complete::No).count(), 1);
    assert_eq!(drawing.marks.iter().filter(|m| m.height == Some(14)).count(), 1);
}

#[test]
fn a_drill_is_good_only_where_everything_came_back_equal() {
    let good = json!({
        "restored": { "outcome": "present", "bytes": 2_048, "millis": 900 }, "canary": { "outcome": "present" },
        "expected": { "canary": true }, "queries": [{ "outcome": "present" }],
        "samples": { "outcome": "present", "samples": [{ "outcome": "present" }] },
    });
    let shown = |facts: &Value| event::of_drill(facts.as_object().unwrap_or(&Facts::new()));
    let words = "restored 2 KiB, canary equal, 1 of 1 sample equal, 1 of 1 query right, in 900 ms";
    assert_eq!(shown(&good), (State::Good, words.to_owned()));
    for (path, outcome, state) in [
        ("/restored/outcome", "absent", State::Bad),
        ("/canary/outcome", "not_proven", State::NotProven),
        ("/queries/0/outcome", "absent", State::Bad),
        ("/samples/samples/0/outcome", "absent", State::Bad),
        ("/samples/samples/0/outcome", "odd", State::NotProven),
        ("/samples/outcome", "not_proven", State::NotProven),
    ] {
        let mut facts = good.clone();
        facts.pointer_mut(path).into_iter().for_each(|v| *v = json!(outcome));
        assert_eq!(shown(&facts).0, state, "{path} {outcome}");
    }
    assert_eq!(shown(&json!({})).0, State::NotProven);
}

#[test]
fn a_read_is_good_only_where_something_was_read_and_nothing_is_damaged() {
    let shown = |outcomes: &[&str], errors: usize| {
        let parts: Vec<Value> = outcomes.iter().map(|o| json!({ "outcome": o })).collect();
        let errors: Vec<Value> = (0..errors).map(|_| json!({ "name": "e", "outcome": "damaged" })).collect();
        event::of_read(
            json!({ "parts": parts, "errors": { "asked": "all", "errors": errors } })
                .as_object()
                .unwrap_or(&Facts::new()),
        )
    };
    assert_eq!(shown(&["intact", "not_read"], 0), (State::Good, "1 of 2 parts intact".into()));
    assert_eq!(shown(&["not_read"], 0), (State::NotProven, "nothing was read".into()));
    assert_eq!(shown(&["intact", "damaged"], 0).0, State::Bad);
    assert_eq!(shown(&["intact"], 2), (State::Bad, "2 errors, 1 of 1 part intact".into()));
    assert_eq!(shown(&[], 0).0, State::NotProven);
    assert_eq!(shown(&["intact", "not_proven"], 0).0, State::NotProven);
    let part = json!([{ "outcome": "intact" }]);
    for (facts, state) in [
        (json!({ "parts": part, "errors": { "asked": [], "errors": [] } }), State::NotProven),
        (json!({ "parts": part }), State::NotProven),
        (
            json!({ "parts": part, "errors": { "asked": "all", "errors": [] }, "structure": { "outcome": "damaged" } }),
            State::Bad,
        ),
        (
            json!({ "parts": part, "errors": { "asked": "all", "errors": [{ "outcome": "not_proven" }] } }),
            State::NotProven,
        ),
    ] {
        assert_eq!(event::of_read(facts.as_object().unwrap_or(&Facts::new())).0, state, "{facts}");
    }
}

proptest! {
    #[test]
    fn any_times_and_sizes_are_drawn_within_bounds(
        copies in prop::collection::vec((-377_705_023_201_i64..253_402_207_200, any::<i64>(), 0..3_usize), 0..60),
        now in -377_705_023_201_i64..253_402_207_200, every in any::<i64>(),
    ) {
        let words = ["present", "absent", "not_proven"];
        let set = set(copies.iter().map(|(at, bytes, c)| snapshot(*at, Some(*bytes), words[*c])).collect(), Some(every));
        let scale = Scale::of(&set, now);
        prop_assert!(scale.ticks().len() <= 8);
        for lane in &set.lanes {
            let drawing = scale.draw(lane, set.every);
            prop_assert_eq!(drawing.of + drawing.older + lane.future(now), lane.copies.len());
            for mark in drawing.marks.iter().chain(&drawing.future) {
                prop_assert!((0..=10_000).contains(&mark.x) && mark.height.is_none_or(|h| h <= 100));
            }
            for gap in &drawing.gaps {
                prop_assert!(gap.x >= 0 && gap.width >= 0 && gap.x + gap.width <= 10_000);
            }
        }
    }
}
