//! Drills of real snapshots of a real server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::stage::{about, copy, facts, folder, run, say, spec};
use crate::target::{Drill, DrillQuery};

/// A snapshot of a server that was given those commands.
fn snapshot(folder: &Path, name: &str, commands: &[&[&str]]) -> PathBuf {
    let socket = folder.join("live");
    let mut server = Command::new("redis-server");
    server.args(["--port", "0", "--save", "", "--dir"]).arg(folder).args(["--dbfilename", name, "--unixsocket"]);
    let mut server = server.arg(&socket).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let client = |words: &[&str]| {
        let mut client = Command::new("redis-cli");
        client.arg("-s").arg(&socket).args(words);
        client
    };
    for _ in 0..500 {
        if client(&["ping"]).output().unwrap().stdout == b"PONG\n" {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for words in commands.iter().chain([&["save"].as_slice()]) {
        say(&mut client(words));
    }
    client(&["shutdown", "nosave"]).output().unwrap();
    server.wait().unwrap();
    folder.join(name)
}

async fn drilled(state: &Path, path: &Path) -> Value {
    let query = |sql: &str, wanted: &str| DrillQuery { sql: sql.into(), wanted: Some(wanted.into()) };
    let queries = [
        ("broken".to_owned(), query("NONSENSE", "1")),
        ("greeting".to_owned(), query("GET greeting", "hello")),
        ("wrong".to_owned(), query("GET greeting", "bye")),
    ];
    let drill = Drill { queries: queries.into(), canary_query: Some("GET beat".into()), ..Drill::default() };
    let path = path.to_owned();
    let evidence = run(state, 8 << 30, move |cx| {
        let (path, drill) = (path.clone(), drill.clone());
        Box::pin(async move {
            let copy = copy(&path, cx).await;
            probe::facts(&super::drill(&spec(drill.clone()), &drill, &copy, about(None), cx).await?)
        })
    });
    facts(evidence.await)
}

#[tokio::test]
async fn snapshots() {
    let (dir, state) = (folder(), folder());
    let commands: [&[&str]; 3] =
        [&["set", "greeting", "hello"], &["set", "beat", "1795488916"], &["-n", "3", "set", "a", "b"]];
    let full = snapshot(dir.path(), "full.rdb", &commands);
    let good = drilled(state.path(), &full).await;
    assert_eq!(good["restored"]["outcome"], "present", "{good:#}");
    assert_eq!(good["samples"]["of"], 3);
    let names: Vec<_> = good["samples"]["samples"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, [json!("db0"), json!("db3")]);
    let outcomes: Vec<_> = good["queries"].as_array().unwrap().iter().map(|q| q["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("absent"), json!("present"), json!("absent")], "{good:#}");
    assert_eq!(good["canary"]["planted"], "2026-11-24T02:55:16Z");

    let bytes = std::fs::read(&full).unwrap();
    let cut = dir.path().join("cut.rdb");
    std::fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    let cut = drilled(state.path(), &cut).await;
    assert_eq!(cut["restored"]["outcome"], "absent", "{cut:#}");

    let empty = drilled(state.path(), &snapshot(dir.path(), "empty.rdb", &[])).await;
    assert_eq!(empty["restored"]["why"], "restored, and empty: there is no key", "{empty:#}");
}
