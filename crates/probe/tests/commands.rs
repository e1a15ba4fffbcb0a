//! Commands: what is recorded of them, how they end, and secrets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::{Told, observe};
use model::{Digest, Facts, Failure, FailureClass};
use probe::{Command, Limits, Stop};

fn script(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn secrets_stand_in_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let tool = script(dir.path(), "tool", "echo \"said $1\"; echo \"$2 $LEARNT\" >&2; pwd");
    fs::write(dir.path().join("secret"), "s3cret\n").unwrap();
    let (reference, folder) = (format!("file:{}/secret", dir.path().display()), dir.path().to_owned());
    let path = tool.clone();
    let probe = Told::new(move |cx| {
        let (tool, reference, folder) = (path.clone(), reference.clone(), folder.clone());
        Box::pin(async move {
            let learnt = cx.secret(&reference).await?;
            assert_eq!(learnt.as_str(), "s3cret");
            let argv = [tool.as_str(), "--key=hunter2", "plain"];
            let command = Command {
                redact: &["hunter2"],
                env: &[("LEARNT", &learnt)],
                cwd: Some(&folder),
                ..Command::new(&argv)
            };
            let output = cx.command(command).await?;
            let folder = folder.canonicalize().unwrap();
            assert_eq!(output.stdout, format!("said --key=hunter2\n{}\n", folder.display()).into_bytes());
            assert_eq!(output.stderr, b"plain s3cret\n");
            Err(Failure::new(FailureClass::Protocol, "it said s3cret"))
        })
    });
    let evidence = observe(probe, Limits::default(), Stop::default()).await;
    let [command] = evidence.provenance.commands.as_slice() else { panic!("{evidence:?}") };
    let folder = dir.path().canonicalize().unwrap();
    assert_eq!(command.argv, [tool.as_str(), "--key=[redacted]", "plain"]);
    assert_eq!(command.stdout, Digest::of(format!("said --key=[redacted]\n{}\n", folder.display()).as_bytes()));
    assert_eq!(command.stderr, Digest::of(b"plain [redacted]\n"));
    assert_eq!(command.program, Some(Digest::of(&fs::read(&tool).unwrap())));
    assert_eq!(evidence.failure.unwrap().message, "it said [redacted]");
}

#[tokio::test]
async fn references() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display();
    fs::write(dir.path().join("empty"), "\n").unwrap();
    fs::write(dir.path().join("long"), vec![b'x'; 70_000]).unwrap();
    fs::write(dir.path().join("two"), "one\ntwo\r\n").unwrap();
    let give = script(dir.path(), "give", "echo given $1");
    let refuse = script(dir.path(), "refuse", "echo half; exit 3");
    let get = async |reference: String, allow| {
        probe::secret(&reference, allow).await.map(|s| s.to_string()).map_err(|f| f.class)
    };
    assert_eq!(get(format!("file:{folder}/two"), false).await, Ok("one\ntwo".into()));
    assert_eq!(get(probe::secret_beside(dir.path(), "file:two"), false).await, Ok("one\ntwo".into()));
    assert_eq!(get(format!("cmd:{give} it"), true).await, Ok("given it".into()));
    assert_eq!(get("env:CARGO_PKG_NAME".into(), false).await, Ok("probe".into()));
    assert_eq!(get(format!("cmd:{give} it"), false).await, Err(FailureClass::Permission));
    // A command that fails gave no secret, whatever it said.
    assert_eq!(get(format!("cmd:{refuse}"), true).await, Err(FailureClass::Unreadable));
    assert_eq!(get(format!("file:{folder}/none"), false).await, Err(FailureClass::Missing));
    assert_eq!(get("env:PROBITY_NO_SUCH_VARIABLE".into(), false).await, Err(FailureClass::Missing));
    for bad in [format!("file:{folder}/empty"), format!("file:{folder}/long"), format!("file:{folder}"), "cmd:".into()]
    {
        assert!(get(bad.clone(), true).await.is_err(), "{bad}");
    }
    let plain = probe::secret("hunter2", true).await.unwrap_err();
    assert!(!plain.message.contains("hunter2"), "{}", plain.message);
}

#[tokio::test]
async fn a_command_that_hangs_is_recorded_and_its_children_end_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let text = format!("echo begun; sleep 60 & echo $! > {0}.tmp; mv {0}.tmp {0}; wait", pids.display());
    let tool = script(dir.path(), "hang", &text);
    let path = tool.clone();
    let probe = Told::new(move |cx| {
        let tool = path.clone();
        Box::pin(async move {
            let argv = [tool.as_str()];
            let failure = cx.command(Command { within: Duration::from_secs(1), ..Command::new(&argv) }).await;
            assert_eq!(failure.unwrap_err().class, FailureClass::Timeout);
            Ok(Facts::new())
        })
    });
    let evidence = observe(probe, Limits::default(), Stop::default()).await;
    assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
    let [command] = evidence.provenance.commands.as_slice() else { panic!("{evidence:?}") };
    assert_eq!((command.exit, command.stdout), (None, Digest::of(b"begun\n")));
    assert!(command.program.is_some());
    let began = Instant::now();
    let child = fs::read_to_string(pids).unwrap();
    while alive(&child) {
        assert!(began.elapsed() < Duration::from_secs(60), "the child {child} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_command_whose_probe_is_stopped_is_recorded() {
    let stop = Stop::default();
    let stopper = stop.clone();
    let probe = Told::new(move |cx| {
        let stopper = stopper.clone();
        Box::pin(async move {
            let later = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                stopper.stop();
            };
            let (output, ()) = tokio::join!(cx.command(Command::new(&["sleep", "30"])), later);
            output.map(|_| Facts::new())
        })
    });
    let evidence = observe(probe, Limits::default(), stop).await;
    assert_eq!(evidence.failure.unwrap().class, FailureClass::Interrupted);
    assert_eq!(evidence.provenance.commands.len(), 1);
    assert_eq!(evidence.provenance.commands[0].argv, ["sleep", "30"]);
}

#[tokio::test]
async fn lines_come_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let tool = script(
        dir.path(),
        "lines",
        "yes 0123456789abcdef | head -n 200000; printf 'last hunter2'; yes loud | head -n 300000 >&2",
    );
    let long = script(dir.path(), "long", "head -c 100000 /dev/zero");
    let seen = Arc::new(Mutex::new((0_u32, Vec::new())));
    let counted = Arc::clone(&seen);
    let probe = Told::new(move |cx| {
        let (tool, long, counted) = (tool.clone(), long.clone(), Arc::clone(&counted));
        Box::pin(async move {
            let argv = [tool.as_str()];
            let command = Command { most: 1000, redact: &["hunter2"], ..Command::new(&argv) };
            let output = cx
                .command_lines(command, |line| {
                    let mut counted = counted.lock().unwrap();
                    counted.0 += 1;
                    counted.1 = line.to_vec();
                    Ok(())
                })
                .await?;
            assert_eq!((output.exit, output.stdout.len(), output.stderr.len()), (Some(0), 0, 1000));
            let argv = [long.as_str()];
            let failure = cx.command_lines(Command { most: 1000, ..Command::new(&argv) }, |_| Ok(())).await;
            assert_eq!(failure.unwrap_err().class, FailureClass::Unreadable);
            let stop = |_: &[u8]| Err(Failure::new(FailureClass::Protocol, "no such line"));
            let failure = cx.command_lines(Command::new(&["yes"]), stop).await;
            assert_eq!(failure.unwrap_err().class, FailureClass::Protocol);
            Ok(Facts::new())
        })
    });
    let evidence = observe(probe, Limits::default(), Stop::default()).await;
    assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
    assert_eq!(*seen.lock().unwrap(), (200_001, b"last hunter2".to_vec()));
    let wanted = "0123456789abcdef\n".repeat(200_000) + "last [redacted]";
    assert_eq!(evidence.provenance.commands[0].stdout, Digest::of(wanted.as_bytes()));
    assert_eq!(evidence.provenance.commands[0].stderr, Digest::of("loud\n".repeat(300_000).as_bytes()));
}
