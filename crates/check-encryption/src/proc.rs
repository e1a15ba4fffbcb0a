//! Processes, as proc_pid(5) shows them.

use jiff::{SignedDuration, Timestamp};
use probe::Cx;

use crate::root::Root;

/// Processes looked at, at most; Linux allows four million.
const MOST: usize = 200_000;

/// Ticks per second of the times in /proc/PID/stat: `USER_HZ`, 100 on every architecture that Linux supports today.
const TICKS: u64 = 100;

/// Every process that can be seen, by number.
pub(crate) async fn pids(cx: &Cx, root: &Root) -> Vec<u32> {
    let listing = cx.list_dir(root.path("/proc"), MOST).await.unwrap_or_default();
    let mut pids: Vec<u32> = listing.names.iter().filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// The program of a process, and whether its file was removed or replaced since.
pub(crate) async fn exe(cx: &Cx, root: &Root, pid: u32) -> Option<(String, bool)> {
    let link = cx.read_link(root.path(format!("/proc/{pid}/exe"))).await.ok()?;
    Some(match link.strip_suffix(" (deleted)") {
        Some(path) => (path.to_owned(), true),
        None => (link, false),
    })
}

/// Effective user number: the second of `Uid` in /proc/PID/status.
pub(crate) fn effective_uid(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
}

/// When the kernel started: `btime` of /proc/stat, in seconds since the epoch.
pub(crate) fn boot_time(stat: &str) -> Option<Timestamp> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

/// When a process began: field 22 of /proc/PID/stat, in ticks after the boot. The name in field 2 may hold anything,
/// so that fields are counted from its last parenthesis.
pub(crate) fn start_time(stat: &str, boot: Timestamp) -> Option<Timestamp> {
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    let since = SignedDuration::from_millis(i64::try_from(ticks.checked_mul(1000 / TICKS)?).ok()?);
    boot.checked_add(since).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "cpu  1 2 3\nintr 5\nctxt 9\nbtime 1700000000\nprocesses 7\n";

    #[test]
    fn times_count_from_the_boot() {
        let boot = boot_time(STAT);
        assert_eq!(boot.map(Timestamp::as_second), Some(1_700_000_000));
        let line = "812 (ss) hd (x) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 15000 9 1844 1 1 0";
        let began = boot.and_then(|boot| start_time(line, boot));
        assert_eq!(began.map(Timestamp::as_millisecond), Some(1_700_000_123_450));
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "\\PC{0,200}", ticks: u64) {
            boot_time(&text);
            effective_uid(&text);
            start_time(&text, Timestamp::UNIX_EPOCH);
            start_time(&format!("1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 {ticks} 1"), Timestamp::MAX);
        }
    }
}
