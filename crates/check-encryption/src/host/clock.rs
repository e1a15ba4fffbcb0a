//! Whether the clock follows a time server, by the word of whoever keeps it.

use probe::{Command, Cx};

use crate::facts::{Clock, ClockSource, Outcome};
use crate::root::Root;

/// What is run, for people.
pub(super) const COMMANDS: [&str; 2] = ["chronyc -n -c tracking", "timedatectl show"];

/// The mark of systemd-timesyncd, touched whenever it sets the clock (systemd-timesyncd.service(8)).
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

/// Asks chrony, then the kernel through systemd, then looks for the mark of systemd-timesyncd.
pub(super) async fn look(cx: &Cx, root: &Root) -> Clock {
    if let Some(text) = said(cx, root, &["chronyc", "-n", "-c", "tracking"]).await
        && let Some((synchronised, error_millis)) = chrony(&text)
    {
        return clock(synchronised, error_millis, ClockSource::Chrony);
    }
    if let Some(text) = said(cx, root, &["timedatectl", "show"]).await
        && let Some(synchronised) = timedatectl(&text)
    {
        return clock(synchronised, None, ClockSource::Timedatectl);
    }
    if cx.metadata(root.path(TIMESYNCD)).await.is_ok() {
        return clock(true, None, ClockSource::Timesyncd);
    }
    Clock {
        outcome: Outcome::NotProven,
        why: Some("neither chrony, nor systemd, nor systemd-timesyncd tells".into()),
        synchronised: None,
        error_millis: None,
        source: None,
    }
}

const fn clock(synchronised: bool, error_millis: Option<i64>, source: ClockSource) -> Clock {
    let outcome = if synchronised { Outcome::Present } else { Outcome::Absent };
    Clock { outcome, why: None, synchronised: Some(synchronised), error_millis, source: Some(source) }
}

/// What a program says, where it is there and can be run.
async fn said(cx: &Cx, root: &Root, words: &[&str]) -> Option<String> {
    let (name, arguments) = words.split_first()?;
    let path = root.program(cx, name)?;
    let argv: Vec<&str> = std::iter::once(path.as_str()).chain(arguments.iter().copied()).collect();
    let within = std::time::Duration::from_secs(5);
    let command = Command { most: 1 << 16, within, version: &["--version"], ..Command::new(&argv) };
    let output = cx.command(command).await.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// One line of `chronyc -c tracking`: 14 fields, the last of which is the leap status. The clock is wrong by at most
/// |system time| + root dispersion + root delay / 2 (chronyc(1)).
fn chrony(text: &str) -> Option<(bool, Option<i64>)> {
    let fields: Vec<&str> = text.lines().next()?.split(',').collect();
    let [_, _, _, _, offset, .., delay, dispersion, _, leap] = fields.as_slice() else { return None };
    if fields.len() != 14 {
        return None;
    }
    let synchronised = match leap.trim() {
        "Normal" | "Insert second" | "Delete second" => true,
        "Not synchronised" => return Some((false, None)),
        _ => return None,
    };
    let seconds = |field: &str| field.parse::<f64>().ok().filter(|value| value.is_finite());
    let error = seconds(offset)?.abs() + seconds(dispersion)? + seconds(delay)? / 2.0;
    Some((synchronised, whole_millis(error)))
}

/// Seconds as milliseconds, rounded up; `None` where they make no sense.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn whole_millis(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.0).ceil();
    (0.0..1e15).contains(&millis).then_some(millis as i64)
}

/// `NTPSynchronized=yes` of `timedatectl show` (timedatectl(1)).
fn timedatectl(text: &str) -> Option<bool> {
    match text.lines().find_map(|line| line.strip_prefix("NTPSynchronized="))?.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chrony_bounds_the_error() {
        assert_eq!(chrony(include_str!("../../tests/fixtures/chronyc-tracking")), Some((true, Some(9))));
        let off = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n";
        assert_eq!(chrony(off), Some((false, None)));
        assert_eq!(chrony("506 Cannot talk to daemon\n"), None);
        assert_eq!(chrony(""), None);
    }

    #[test]
    fn the_kernel_speaks_through_systemd() {
        assert_eq!(timedatectl("Timezone=UTC\nNTP=yes\nNTPSynchronized=no\n"), Some(false));
        assert_eq!(timedatectl("NTP=yes\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "(\\PC{0,9},){0,15}", numbers: [f64; 3]) {
            chrony(&text);
            let [a, b, c] = numbers;
            chrony(&format!("x,x,x,x,{a},x,x,x,x,x,{b},{c},x,Normal"));
            timedatectl(&text);
        }
    }
}
