//! Processes that a drill started: knowing them again, and ending them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The variable that every process of a drill sees: the id of its journal. Children inherit it.
pub(crate) const MARK: &str = "PROBITY_DRILL";

/// Politeness first, so that a database server tidies up its shared memory: how long each signal may take.
const STEPS: [(Signal, Duration); 3] = [
    (Signal::TERM, Duration::from_secs(3)),
    (Signal::INT, Duration::from_secs(2)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// Most bytes of a process's environment that are read.
const MOST: u64 = 1 << 20;

/// One process for good: its number alone may be given to another one later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Living {
    /// Its number.
    pub(crate) pid: i32,
    /// When it began, in the kernel's ticks since boot (`proc_pid_stat(5)`, field 22).
    pub(crate) start: u64,
    /// The kernel's id of the boot.
    pub(crate) boot: String,
}

impl Living {
    /// A process as it is now; `None` where there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { pid, start: stat(pid)?.start, boot: boot()? })
    }
}

/// What `/proc/PID/stat` says.
struct Stat {
    pid: i32,
    parent: i32,
    group: i32,
    start: u64,
    over: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in the second field may hold anything, brackets and blanks too; what counts is the last bracket.
fn parse(pid: i32, text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let over = matches!(*fields.first()?, "Z" | "X" | "x");
    let (parent, group) = (fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?);
    Some(Stat { pid, parent, group, start: fields.get(19)?.parse().ok()?, over })
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// Ends the processes that bear the mark, where one is given, those named, and all their descendants. Gives the numbers of those that are
/// over, and of those that are not.
pub(crate) fn end(mark: Option<&str>, named: &[Living]) -> (Vec<i32>, Vec<i32>) {
    let wanted = mark.map(|mark| format!("{MARK}={mark}").into_bytes());
    let boot = boot();
    let named: Vec<&Living> = named.iter().filter(|n| Some(&n.boot) == boot.as_ref()).collect();
    // By number, with the start: a descendant stays known when its parent is gone.
    let mut known: BTreeMap<i32, u64> = BTreeMap::new();
    for (signal, patience) in STEPS {
        let until = Instant::now() + patience;
        let mut told: BTreeMap<i32, u64> = BTreeMap::new();
        loop {
            let alive = alive(wanted.as_deref(), &named, &mut known);
            if alive.is_empty() {
                return (known.into_keys().collect(), vec![]);
            }
            for process in &alive {
                // Only the uppermost are asked politely: they end their own children in good order.
                let top = !alive.iter().any(|other| other.pid == process.parent);
                let wanted = top || signal == Signal::KILL;
                if wanted && told.insert(process.pid, process.start) != Some(process.start) {
                    send(process, signal);
                }
            }
            if Instant::now() >= until {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let left: Vec<i32> = alive(wanted.as_deref(), &named, &mut known).iter().map(|s| s.pid).collect();
    (known.into_keys().filter(|pid| !left.contains(pid)).collect(), left)
}

/// The processes that are still to be ended.
fn alive(wanted: Option<&[u8]>, named: &[&Living], known: &mut BTreeMap<i32, u64>) -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let pids = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).filter(|pid| *pid != own);
    let all: Vec<Stat> = pids.filter_map(stat).filter(|s| !s.over).collect();
    let is_named = |s: &Stat| named.iter().any(|n| n.pid == s.pid && n.start == s.start);
    // A named process leads a group of its own: whoever is in it belongs to it.
    let leaders: BTreeSet<i32> = all.iter().filter(|s| is_named(s)).map(|s| s.pid).collect();
    let seen = |s: &&Stat| {
        known.get(&s.pid) == Some(&s.start)
            || leaders.contains(&s.group)
            || wanted.is_some_and(|wanted| environment(s.pid, wanted))
    };
    let mut found: BTreeSet<i32> = all.iter().filter(seen).map(|s| s.pid).chain(leaders.iter().copied()).collect();
    loop {
        let before = found.len();
        let children: Vec<i32> = all.iter().filter(|s| found.contains(&s.parent)).map(|s| s.pid).collect();
        found.extend(children);
        if found.len() == before {
            break;
        }
    }
    let alive: Vec<Stat> = all.into_iter().filter(|s| found.contains(&s.pid)).collect();
    known.extend(alive.iter().map(|s| (s.pid, s.start)));
    alive
}

/// Whether a process has this variable with this value.
fn environment(pid: i32, wanted: &[u8]) -> bool {
    let Ok(file) = File::open(format!("/proc/{pid}/environ")) else { return false };
    let mut bytes = Vec::new();
    // A process that ended meanwhile, or that belongs to somebody else, is none of ours.
    let _ = file.take(MOST).read_to_end(&mut bytes);
    bytes.split(|byte| *byte == 0).any(|variable| variable == wanted)
}

/// Signals that very process, not one that got its number a moment ago.
fn send(process: &Stat, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    let handle = pidfd_open(pid, PidfdFlags::empty());
    if stat(process.pid).is_none_or(|now| now.start != process.start) {
        return;
    }
    // Whether it worked shows at the next look.
    let _ = match handle {
        Ok(handle) => pidfd_send_signal(handle, signal),
        Err(_) => kill_process(pid, signal),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::zombie_processes, reason = "a test may panic; its children are waited for")]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").process_group(0).spawn().unwrap()
    }

    #[test]
    fn a_name_with_brackets() {
        let text = "12 (a) Z (b) S 1 12 12 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        let stat = parse(12, text).unwrap();
        assert_eq!((stat.parent, stat.group, stat.start, stat.over), (1, 12, 4711, false));
        assert!(parse(12, "12 (a").is_none());
    }

    #[test]
    fn a_number_that_is_somebody_elses_now_is_left_alone() {
        let mut child = sleeper();
        let living = Living::of(child.id()).unwrap();
        let other_start = Living { start: living.start + 1, ..living.clone() };
        let other_boot = Living { boot: "another boot".into(), ..living.clone() };
        assert_eq!(end(Some("no-such-mark"), &[other_start, other_boot]), (vec![], vec![]));
        assert!(child.try_wait().unwrap().is_none(), "a stranger was ended");
        let pid = living.pid;
        assert_eq!(end(Some("no-such-mark"), &[living]), (vec![pid], vec![]));
        assert!(child.wait().unwrap().code().is_none());
    }

    #[test]
    fn who_bears_the_mark_ends_with_all_descendants() {
        // The child takes the mark away from its own child, and gives it a session of its own.
        let script = format!("setsid env -u {MARK} sleep 61 & echo $! > \"$1\"; wait");
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pid");
        let mut child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(&pids)
            .env(MARK, "living-test")
            .process_group(0)
            .spawn()
            .unwrap();
        let began = Instant::now();
        let read = || fs::read_to_string(&pids).ok().and_then(|text| text.trim().parse::<i32>().ok());
        while read().is_none() {
            assert!(began.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
        let (ended, left) = end(Some("living-test"), &[]);
        assert!(left.is_empty());
        assert!(ended.contains(&read().unwrap()), "{ended:?}");
        assert!(stat(read().unwrap()).is_none_or(|s| s.over));
        child.wait().unwrap();
    }
}
