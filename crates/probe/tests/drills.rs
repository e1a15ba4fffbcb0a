//! Drills: whatever ends one, nothing of it is left.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Told, observe, target};
use model::{Ask, Depth, Evidence, Facts, FailureClass};
use probe::{Command, Event, Job, Limits, Stop, Workshop, collect};
use tokio::sync::mpsc;

fn limits(state: &Path) -> Limits {
    Limits { allow_commands: true, workshop: Some(Workshop::new(state, None)), ..Limits::default() }
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn files(folder: PathBuf) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = names.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// No scratch folder and no journal.
fn clean(state: &Path) {
    assert_eq!(files(state.join("scratch")), Vec::<String>::new());
    assert_eq!(files(state.join("drills")), ["lock"]);
}

/// What a drill told the test: its scratch folder, and the process beside it.
type Made = Mutex<Option<(PathBuf, u32)>>;

/// A drill that makes a scratch folder and a process, tells the test of them, and then does what is wanted.
fn maker(then: impl Fn(PathBuf) + Send + Sync + 'static) -> (Told, Arc<Made>) {
    let made = Arc::new(Mutex::new(None));
    let (told, then) = (Arc::clone(&made), Arc::new(then));
    let probe = Told::new(move |cx| {
        let (told, then) = (Arc::clone(&told), Arc::clone(&then));
        Box::pin(async move {
            let scratch = cx.scratch("a restore!").await?;
            fs::write(scratch.join("file"), "restored").unwrap();
            let running = cx.spawn_journalled(Command::new(&["sleep", "600"]), &scratch.join("log")).await?;
            *told.lock().unwrap() = Some((scratch.clone(), running.pid()));
            then(scratch);
            let long = Command { within: Duration::from_secs(600), ..Command::new(&["sleep", "600"]) };
            cx.command(long).await?;
            Ok(Facts::new())
        })
    });
    (probe.drill(), made)
}

fn gone(made: &Made, state: &Path) {
    let (scratch, pid) = made.lock().unwrap().clone().unwrap();
    assert!(!scratch.exists() && !alive(pid), "{scratch:?} or {pid} is left");
    clean(state);
}

#[tokio::test]
async fn a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let (probe, made) = maker(|_| panic!("a defect"));
    let evidence = observe(probe, limits(dir.path()), Stop::default()).await;
    assert_eq!(evidence.failure.unwrap().class, FailureClass::Panic);
    gone(&made, dir.path());
}

#[tokio::test]
async fn a_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let (probe, made) = maker(|_| {});
    let limits = Limits { drill_deadline: Duration::from_millis(300), ..limits(dir.path()) };
    let evidence = observe(probe, limits, Stop::default()).await;
    assert_eq!(evidence.failure.unwrap().class, FailureClass::Timeout);
    assert!(evidence.provenance.commands.iter().any(|c| c.argv == ["sleep", "600"]));
    gone(&made, dir.path());
}

#[tokio::test]
async fn a_deadline_of_other_probes_is_not_a_drills() {
    let dir = tempfile::tempdir().unwrap();
    let probe = Told::new(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(Facts::new())
        })
    });
    let limits = Limits { deadline: Duration::from_millis(100), ..limits(dir.path()) };
    assert!(observe(probe.drill(), limits, Stop::default()).await.facts.is_some());
    clean(dir.path());
}

#[tokio::test]
async fn a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let stopper = stop.clone();
    let (probe, made) = maker(move |_| stopper.stop());
    let evidence = observe(probe, limits(dir.path()), stop).await;
    assert_eq!(evidence.failure.unwrap().class, FailureClass::Interrupted);
    gone(&made, dir.path());
}

#[tokio::test]
async fn a_full_scratch_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (probe, made) = maker(|scratch| fs::write(scratch.join("big"), vec![1; 3 << 20]).unwrap());
    let limits = Limits { scratch_bytes: 2 << 20, ..limits(dir.path()) };
    let evidence = observe(probe, limits, Stop::default()).await;
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.class, FailureClass::Interrupted);
    assert!(failure.message.contains("2097152 bytes"), "{}", failure.message);
    gone(&made, dir.path());
}

#[tokio::test]
async fn links_lead_nowhere_and_a_strangers_folder_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (state, outside) = (dir.path().join("state"), dir.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "kept").unwrap();
    let to = outside.clone();
    let (probe, made) = maker(move |scratch| {
        symlink(&to, scratch.join("link")).unwrap();
        symlink(to.join("file"), scratch.join("link2")).unwrap();
        panic!("a defect")
    });
    observe(probe, limits(&state), Stop::default()).await;
    gone(&made, &state);
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");

    // A scratch folder that was put in place of the drill's own is nobody's to remove.
    let (probe, made) = maker(move |scratch| {
        let folder = scratch.parent().unwrap();
        fs::remove_dir_all(folder).unwrap();
        symlink("../outside", folder).unwrap();
        panic!("a defect")
    });
    let evidence = observe(probe, limits(&state), Stop::default()).await;
    assert!(evidence.notes["left_behind"].contains("it is no folder any more"), "{:?}", evidence.notes);
    let (scratch, pid) = made.lock().unwrap().clone().unwrap();
    assert!(!alive(pid));
    assert_eq!(files(state.join("drills")).len(), 2, "the journal stays");
    let folder = scratch.parent().unwrap();
    fs::remove_file(folder).unwrap();
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("file"), "kept").unwrap();
    let undone = Workshop::new(&state, None).undo_dead();
    assert!(undone.left[0].contains("somebody else"), "{undone:?}");
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "kept");
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(Workshop::new(&state, None).undo_dead().left, Vec::<String>::new());
    clean(&state);
}

#[tokio::test]
async fn not_allowed_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let (probe, made) = maker(|_| {});
    let limits = Limits { allow_commands: false, ..limits(dir.path()) };
    let failure = observe(probe, limits, Stop::default()).await.failure.unwrap();
    assert_eq!(failure.class, FailureClass::NotRun);
    assert!(failure.message.contains("--allow-commands"));
    assert!(made.lock().unwrap().is_none());
    assert!(files(dir.path().to_owned()).is_empty());
}

#[tokio::test]
async fn only_drills_make_things() {
    let dir = tempfile::tempdir().unwrap();
    let probe = Told::new(|cx| Box::pin(async { cx.scratch("no").await.map(|_| Facts::new()) }));
    let failure = observe(probe, limits(dir.path()), Stop::default()).await.failure.unwrap();
    assert_eq!(failure.class, FailureClass::Panic);
}

#[tokio::test]
async fn a_process_can_be_ended_before_the_drill_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let probe = Told::new(|cx| {
        Box::pin(async {
            let scratch = cx.scratch("server").await?;
            assert!(cx.free_bytes(&scratch)? > 0);
            let argv = ["sh", "-c", "trap 'echo tidied; exit' TERM; echo up; while :; do sleep 0.05; done"];
            let mut running = cx.spawn_journalled(Command::new(&argv), &scratch.join("log")).await?;
            let began = Instant::now();
            while fs::read_to_string(scratch.join("log")).unwrap().is_empty() {
                assert!(began.elapsed() < Duration::from_secs(60));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(running.is_running());
            let pid = running.pid();
            running.end().await?;
            assert!(!alive(pid));
            assert_eq!(fs::read_to_string(scratch.join("log")).unwrap(), "up\ntidied\n");
            Ok(Facts::new())
        })
    });
    let evidence = observe(probe.drill(), limits(dir.path()), Stop::default()).await;
    assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
    clean(dir.path());
}

#[tokio::test]
async fn what_goes_last_comes_after_what_looks_and_drills_after_both_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let job = |name: &'static str, turn: &str| {
        let log = Arc::clone(&log);
        let probe = Told::new(move |_| {
            let log = Arc::clone(&log);
            Box::pin(async move {
                log.lock().unwrap().push(format!("{name} begins"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                log.lock().unwrap().push(format!("{name} ends"));
                Ok(Facts::new())
            })
        });
        let probe = match turn {
            "drill" => probe.drill(),
            "last" => probe.last(),
            _ => probe,
        };
        Job { probe: Arc::new(probe), target: target(name), ask: Ask::All, depth: Depth::Full, prior: vec![] }
    };
    let jobs = vec![
        job("drill", "drill"),
        job("late", "last"),
        job("look", "look"),
        job("later", "last"),
        job("other", "drill"),
    ];
    let (evidence, mut received) = mpsc::channel(8);
    let (events, _) = mpsc::unbounded_channel();
    collect(jobs, limits(dir.path()), Stop::default(), evidence, events).await;
    let mut count = 0;
    while received.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 5);
    let order = ["look", "late", "later", "drill", "other"];
    let wanted: Vec<String> =
        order.iter().flat_map(|name| [format!("{name} begins"), format!("{name} ends")]).collect();
    assert_eq!(*log.lock().unwrap(), wanted);
}

/// The example in a process of its own, at work: its scratch folder, and the process beside it.
fn working(state: &Path) -> (Child, BufReader<std::process::ChildStdout>, PathBuf, u32) {
    let tests = std::env::current_exe().unwrap();
    let example = tests.parent().and_then(Path::parent).unwrap().join("examples/drill");
    assert!(example.exists(), "{} is missing: run the tests with 'cargo test -p probe'", example.display());
    let mut child = std::process::Command::new(example).arg(state).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let line = loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).unwrap() > 0, "the example ended too early");
        if line.starts_with("ready ") {
            break line;
        }
        assert!(line.starts_with("undone: "), "{line}");
    };
    let mut words = line.split_whitespace().skip(1);
    let (scratch, pid) = (words.next().unwrap().into(), words.next().unwrap().parse().unwrap());
    (child, said, scratch, pid)
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn the_next_start_undoes_what_a_killed_run_left() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, _said, scratch, pid) = working(dir.path());
    // While it lives nobody touches what is its own.
    assert_eq!(Workshop::new(dir.path(), None).undo_dead(), probe::Undone::default());
    signal(&child, rustix::process::Signal::KILL);
    child.wait().unwrap();
    assert!(scratch.join("restored").exists() && alive(pid), "a killed process can't tidy up");
    let undone = Workshop::new(dir.path(), None).undo_dead();
    assert_eq!(undone.left, Vec::<String>::new());
    assert!(undone.lines().any(|line| line.starts_with("undone: the drill 'endless' on it: removed ")), "{undone:?}");
    assert!(undone.done.iter().any(|line| line.contains("process")), "{undone:?}");
    assert!(!scratch.exists() && !alive(pid));
    clean(dir.path());
}

#[test]
fn half_a_line_is_something_that_was_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, _said, scratch, pid) = working(dir.path());
    signal(&child, rustix::process::Signal::KILL);
    child.wait().unwrap();
    let journal = dir.path().join("drills").join(files(dir.path().join("drills"))[0].clone());
    assert!(journal.extension().is_some_and(|e| e == "jsonl"), "{journal:?}");
    let mut text = fs::read_to_string(&journal).unwrap();
    text.push_str(r#"{"scratch":{"entry":2,"path":"/et"#);
    fs::write(&journal, text).unwrap();
    assert_eq!(Workshop::new(dir.path(), None).undo_dead().left, Vec::<String>::new());
    assert!(!scratch.exists() && !alive(pid));
    clean(dir.path());
    // A journal that says what none says is kept, and nothing is done.
    fs::write(&journal, "{\"scratch\":{\"entry\":0,\"path\":\"/etc\",\"more\":1}}\n").unwrap();
    assert_eq!(Workshop::new(dir.path(), None).undo_dead().left.len(), 1);
    assert!(journal.exists());
}

#[test]
fn ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, mut said, scratch, pid) = working(dir.path());
    signal(&child, rustix::process::Signal::INT);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(rest.starts_with("ended Interrupted"), "{rest}");
    assert!(!scratch.exists() && !alive(pid));
    clean(dir.path());
}

#[tokio::test]
async fn another_runs_drills_are_waited_for_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, _said, ..) = working(dir.path());
    let probe = || Told::new(|_| Box::pin(async { Ok(Facts::new()) })).drill();
    let limits = Limits { drill_patience: Duration::from_millis(300), ..limits(dir.path()) };
    let began = Instant::now();
    let evidence: Evidence = observe(probe(), limits.clone(), Stop::default()).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    let failure = evidence.failure.unwrap();
    assert_eq!(failure.class, FailureClass::Interrupted);
    assert!(failure.message.contains(&format!("process {}", child.id())), "{}", failure.message);
    signal(&child, rustix::process::Signal::KILL);
    child.wait().unwrap();
    // Its turn comes as soon as the other one is dead, and what that left is undone first.
    let (evidence, mut received) = mpsc::channel(1);
    let (events, mut told) = mpsc::unbounded_channel();
    let (probe, target) = (Arc::new(probe()), target("it"));
    let job = Job { probe, target, ask: Ask::All, depth: Depth::Full, prior: vec![] };
    collect(vec![job], limits, Stop::default(), evidence, events).await;
    assert!(received.recv().await.unwrap().evidence.facts.is_some());
    let mut lines = Vec::new();
    while let Ok(event) = told.try_recv() {
        if let Event::Said(line) = event {
            lines.push(line);
        }
    }
    assert!(lines.iter().any(|line| line.starts_with("undone: ")), "{lines:?}");
    clean(dir.path());
}
