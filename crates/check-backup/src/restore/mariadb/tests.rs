//! Drills of real dumps and backups of a real server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::{Evidence, FailureClass};
use serde_json::{Value, json};

use super::super::stage::{about, as_user, copy, facts, folder, folder_of, run, say, spec};
use super::*;
use crate::target::DrillQuery;

const USER: &str = "mysql";
const PLENTY: u64 = 8 << 30;

/// The server in use.
struct Live {
    dir: tempfile::TempDir,
    server: Child,
}

impl Live {
    fn start() -> Self {
        let dir = folder();
        let home = folder_of(USER, &dir.path().join("live"));
        let option = |name: &str, file: &str| format!("--{name}={}", home.join(file).display());
        let data = option("datadir", "data");
        // Of its own: a server that starts removes what others have in a shared one.
        let tmp = option("tmpdir", "tmp");
        for name in ["data", "tmp"] {
            std::fs::create_dir(home.join(name)).unwrap();
            folder_of(USER, &home.join(name));
        }
        let install = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", &data, &tmp];
        say(as_user(USER, "mariadb-install-db").args(install));
        let mut server = as_user(USER, "mariadbd");
        let places = [&data, &tmp, &option("socket", "s"), &option("pid-file", "pid")];
        server.args(["--no-defaults", "--skip-networking"]).args(places);
        let server = server.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let options = format!("[client]\nsocket={}\nuser=root\n", home.join("s").display());
        std::fs::write(dir.path().join("client.cnf"), options).unwrap();
        let live = Self { dir, server };
        for _ in 0..1000 {
            if live.client().args(["-e", "select 1"]).output().unwrap().status.success() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        live.sql("create database app; create database other; create table other.a (b int)");
        live.sql(
            "use app; create table messages (id int primary key, body text); \
             insert into messages select seq, concat('message ', seq) from seq_1_to_2000; \
             create table `odd ``name` (a int); insert into `odd ``name` values (1), (2); \
             create table heartbeat (at datetime); insert into heartbeat values ('2026-11-23 03:00:00')",
        );
        live
    }

    fn options(&self) -> String {
        self.dir.path().join("client.cnf").display().to_string()
    }

    fn client(&self) -> Command {
        let mut command = Command::new("mariadb");
        command.arg(format!("--defaults-file={}", self.options())).args(["--batch", "--skip-column-names"]);
        command
    }

    fn sql(&self, statement: &str) -> String {
        say(self.client().args(["-e", statement]))
    }

    fn dump(&self, name: &str, words: &[&str]) -> PathBuf {
        let path = self.dir.path().join(name);
        let options = format!("--defaults-file={}", self.options());
        say(Command::new("mariadb-dump").arg(options).arg(format!("--result-file={}", path.display())).args(words));
        path
    }

    fn drill(&self) -> Drill {
        let query = |sql: &str, wanted: Option<&str>| DrillQuery { sql: sql.into(), wanted: wanted.map(str::to_owned) };
        Drill {
            live: Some(self.options()),
            database: Some("app".into()),
            queries: [
                ("broken".to_owned(), query("select nonsense", None)),
                ("last".to_owned(), query("select max(id) from messages", Some("2000"))),
                ("wrong".to_owned(), query("select max(id) from messages", Some("2001"))),
            ]
            .into(),
            canary_query: Some("select max(at) from heartbeat".into()),
            ..Drill::default()
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.server.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.server.wait();
    }
}

async fn drill_files(state: &Path, path: &Path, drill: Drill, bytes: u64) -> Evidence {
    let path = path.to_owned();
    run(state, bytes, move |cx| {
        let (path, drill) = (path.clone(), drill.clone());
        Box::pin(async move {
            let copy = copy(&path, cx).await;
            probe::facts(&super::drill(&spec(drill.clone()), &drill, &copy, about(None), cx).await?)
        })
    })
    .await
}

fn all_there(facts: &Value) {
    assert_eq!(facts["restored"]["outcome"], "present", "{facts:#}");
    let samples = facts["samples"]["samples"].as_array().unwrap();
    let named = |name: &str| samples.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("{facts:#}"));
    for name in ["`app`.`heartbeat`", "`app`.`messages`", "`app`.`odd ``name`"] {
        assert_eq!(named(name)["outcome"], "present", "{facts:#}");
        assert_eq!(named(name)["by"], "rows", "{facts:#}");
    }
    let outcomes: Vec<_> = facts["queries"].as_array().unwrap().iter().map(|q| q["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("absent"), json!("present"), json!("absent")], "{facts:#}");
    assert_eq!(facts["canary"]["planted"], "2026-11-23T03:00:00Z");
}

#[tokio::test]
async fn dumps() {
    let (live, state) = (Live::start(), folder());
    let one = live.dump("one.sql", &["app"]);
    let all = live.dump("all.sql", &["--all-databases", "--flush-privileges"]);
    for path in [&one, &all] {
        all_there(&facts(drill_files(state.path(), path, live.drill(), PLENTY).await));
    }
    // Without a server in use every row is read.
    let alone = Drill { live: None, ..live.drill() };
    let alone = facts(drill_files(state.path(), &one, alone, PLENTY).await);
    assert_eq!(alone["samples"]["samples"][0]["by"], "rows read", "{alone:#}");

    let text = std::fs::read(&one).unwrap();
    let cut = live.dir.path().join("cut.sql");
    std::fs::write(&cut, &text[..text.len() - 500]).unwrap();
    let cut = facts(drill_files(state.path(), &cut, live.drill(), PLENTY).await);
    assert_eq!(cut["restored"]["outcome"], "absent", "{cut:#}");

    let hollow = live.dump("hollow.sql", &["other"]);
    let hollow = facts(drill_files(state.path(), &hollow, Drill::default(), PLENTY).await);
    assert!(hollow["restored"]["why"].as_str().unwrap().starts_with("restored, and empty"), "{hollow:#}");

    let failure = drill_files(state.path(), &one, live.drill(), 16 << 10).await.failure.unwrap();
    assert_eq!(failure.class, FailureClass::Interrupted, "{failure:?}");
}

#[tokio::test]
async fn backups() {
    let (live, state) = (Live::start(), folder());
    let path = live.dir.path().join("backup");
    let options = format!("--defaults-file={}", live.options());
    let data = format!("--datadir={}", live.dir.path().join("live/data").display());
    let target = format!("--target-dir={}", path.display());
    let socket = format!("--socket={}", live.dir.path().join("live/s").display());
    say(Command::new("mariabackup").args([&options, "--backup", "--user=root", &socket, &data, &target]));
    let listing = || say(Command::new("find").arg(&path).arg("-printf").arg("%p %T@ %C@ %s\\n"));
    let before = listing();
    all_there(&facts(drill_files(state.path(), &path, live.drill(), PLENTY).await));
    assert_eq!(listing(), before, "the backup itself was touched");

    let stream = live.dir.path().join("backup.xb");
    let place = live.dir.path().display();
    let words = format!(
        "mariabackup {options} --backup --user=root {socket} {data} --stream=xbstream \
                         --target-dir={place}/tmp > {}",
        stream.display()
    );
    say(Command::new("sh").args(["-c", &words]));
    all_there(&facts(drill_files(state.path(), &stream, live.drill(), PLENTY).await));

    std::fs::write(path.join("app/away.isl"), "/elsewhere/away.ibd").unwrap();
    let failure = drill_files(state.path(), &path, live.drill(), PLENTY).await.failure.unwrap();
    assert!(failure.message.contains("leads out of the copy"), "{failure:?}");
    std::fs::remove_file(path.join("app/away.isl")).unwrap();
    std::fs::remove_file(path.join("ibdata1")).unwrap();
    let broken = facts(drill_files(state.path(), &path, live.drill(), PLENTY).await);
    assert_eq!(broken["restored"]["outcome"], "absent", "{broken:#}");
}
