//! Drills of real dumps and backups of a real server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use model::{Evidence, FailureClass};
use serde_json::{Value, json};

use super::super::stage::{about, as_user, clean, copy, facts, folder, folder_of, run, say, spec};
use super::*;
use crate::target::{DrillQuery, PgBackRest};

const USER: &str = "postgres";
const PLENTY: u64 = 8 << 30;

fn program(name: &str) -> String {
    let folders = std::fs::read_dir("/usr/lib/postgresql").unwrap_or_else(|e| panic!("install postgresql: {e}"));
    let newest = folders.filter_map(|e| e.unwrap().file_name().to_str()?.parse::<u32>().ok()).max().unwrap();
    format!("/usr/lib/postgresql/{newest}/bin/{name}")
}

/// The server in use.
struct Live {
    dir: tempfile::TempDir,
    server: Child,
}

impl Live {
    fn start() -> Self {
        let dir = folder();
        let home = folder_of(USER, &dir.path().join("live"));
        let data = home.join("data");
        let sync = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-D"];
        say(as_user(USER, &program("initdb")).args(sync).arg(&data));
        let conf = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nwal_level = replica\n\
             archive_mode = on\narchive_command = 'true'\nmax_wal_senders = 3\n",
            home.display()
        );
        std::fs::write(data.join("postgresql.conf"), conf).unwrap();
        let mut server = as_user(USER, &program("postgres"));
        server.current_dir("/").arg("-D").arg(&data).stdout(Stdio::null()).stderr(Stdio::null());
        let live = Self { server: server.spawn().unwrap(), dir };
        let answers = || live.command("psql").args(["-d", "postgres", "-c", "select 1"]).output().unwrap();
        for _ in 0..500 {
            if answers().status.success() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        live.sql("postgres", "create role app");
        live.sql("postgres", "create database app owner app");
        for statement in [
            "create table messages (id int primary key, body text)",
            "insert into messages select i, 'message ' || i from generate_series(1, 2000) i",
            "alter table messages owner to app",
            "grant select on messages to app",
            "create schema \"Odd Name\"",
            "create table \"Odd Name\".\"t 1\" as select 1 as a from generate_series(1, 10)",
            "create table nothing_yet (a int)",
            "create table heartbeat as select timestamptz '2026-11-23 03:00:00+00' as at",
        ] {
            live.sql("app", statement);
        }
        live
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("live")
    }

    fn connection(&self) -> String {
        format!("host={} user={USER}", self.home().display())
    }

    fn command(&self, name: &str) -> Command {
        let mut command = as_user(USER, &program(name));
        command.env("PGHOST", self.home()).env("PGUSER", USER).current_dir("/");
        command
    }

    fn sql(&self, database: &str, statement: &str) -> String {
        say(self.command("psql").args(["-XAtq", "-d", database, "-c", statement]))
    }

    /// A folder for copies.
    fn copies(&self) -> PathBuf {
        folder_of(USER, &self.dir.path().join("copies"))
    }

    fn drill(&self) -> Drill {
        let query = |sql: &str, wanted: Option<&str>| DrillQuery { sql: sql.into(), wanted: wanted.map(str::to_owned) };
        Drill {
            live: Some(self.connection()),
            queries: [
                ("last".to_owned(), query("select max(id) from messages", Some("2000"))),
                ("wrong".to_owned(), query("select max(id) from messages", Some("2001"))),
                ("broken".to_owned(), query("select nonsense", None)),
                ("any".to_owned(), query("select body from messages limit 1", None)),
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
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.server.wait();
    }
}

async fn drill_files(state: &Path, path: &Path, drill: Drill, at: Option<Timestamp>, bytes: u64) -> Evidence {
    let path = path.to_owned();
    run(state, bytes, move |cx| {
        let (path, drill) = (path.clone(), drill.clone());
        Box::pin(async move {
            let copy = copy(&path, cx).await;
            let facts = super::drill(&spec(drill.clone()), &drill, From::Files(&copy), about(at), cx).await?;
            probe::facts(&facts)
        })
    })
    .await
}

fn state() -> tempfile::TempDir {
    folder()
}

fn samples(facts: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let samples = facts["samples"]["samples"].as_array().unwrap();
    samples.iter().map(|s| (text(&s["name"]), text(&s["outcome"]))).collect()
}

fn all_there(facts: &Value) {
    assert_eq!(facts["restored"]["outcome"], "present", "{facts:#}");
    assert_eq!(facts["samples"]["outcome"], "present", "{facts:#}");
    assert!(facts["restored"]["bytes"].as_i64() > Some(1_000_000), "{facts:#}");
    // A table without rows shows nothing by coming back.
    let tables = [
        ("\"Odd Name\".\"t 1\"", "present"),
        ("public.heartbeat", "present"),
        ("public.messages", "present"),
        ("public.nothing_yet", "not_proven"),
    ];
    let there: Vec<_> = tables.iter().map(|(t, outcome)| ((*t).to_owned(), (*outcome).to_owned())).collect();
    assert_eq!(samples(facts), there, "{facts:#}");
    let outcomes: Vec<_> = facts["queries"].as_array().unwrap().iter().map(|q| (&q["name"], &q["outcome"])).collect();
    let wanted = [("any", "present"), ("broken", "absent"), ("last", "present"), ("wrong", "absent")];
    let wanted = wanted.map(|(name, outcome)| (json!(name), json!(outcome)));
    assert_eq!(outcomes, wanted.iter().map(|(n, o)| (n, o)).collect::<Vec<_>>());
    assert_eq!(facts["canary"]["planted"], "2026-11-23T03:00:00Z");
    assert_eq!(facts["canary"]["outcome"], "present");
}

#[tokio::test]
async fn dumps_in_every_format() {
    let live = Live::start();
    let (copies, state) = (live.copies(), state());
    let dump = |name: &str, format: &str| {
        let path = copies.join(name);
        say(live.command("pg_dump").args(["-d", "app", format, "-f"]).arg(&path));
        path
    };
    let all = copies.join("all.sql");
    say(live.command("pg_dumpall").arg("-f").arg(&all));
    let plain = dump("plain.sql", "-Fp");
    let packed = copies.join("packed.sql.gz");
    let gzip = say(Command::new("sh").args(["-c", &format!("gzip -c {} > {}", plain.display(), packed.display())]));
    assert_eq!(gzip, "");
    for path in [dump("custom", "-Fc"), dump("tar", "-Ft"), dump("folder", "-Fd"), plain, packed, all] {
        // Only root may read it: the drill hands it on.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let facts = facts(drill_files(state.path(), &path, with_database(&live), None, PLENTY).await);
        assert_eq!(facts["canary"]["why"], Value::Null, "{}: {facts:#}", path.display());
        all_there(&facts);
    }
}

#[tokio::test]
async fn dumps_that_do_not_come_back() {
    let live = Live::start();
    let (copies, state) = (live.copies(), state());
    let custom = copies.join("custom");
    say(live.command("pg_dump").args(["-d", "app", "-Fc", "-f"]).arg(&custom));
    let bytes = std::fs::read(&custom).unwrap();
    let cut = copies.join("cut");
    std::fs::write(&cut, &bytes[..bytes.len() - 3000]).unwrap();
    let cut_facts = facts(drill_files(state.path(), &cut, live.drill(), None, PLENTY).await);
    assert_eq!(cut_facts["restored"]["outcome"], "absent", "{cut_facts:#}");
    assert!(cut_facts["restored"]["why"].as_str().unwrap().contains("pg_restore"), "{cut_facts:#}");
    assert_eq!(cut_facts["queries"][0]["outcome"], "absent");

    let plain = copies.join("plain");
    say(live.command("pg_dump").args(["-d", "app", "-f"]).arg(&plain));
    let text = std::fs::read_to_string(&plain).unwrap();
    let at = text.find("1500\tmessage").unwrap();
    std::fs::write(&plain, &text[..at]).unwrap();
    let plain = facts(drill_files(state.path(), &plain, live.drill(), None, PLENTY).await);
    assert_eq!(plain["restored"]["outcome"], "absent", "{plain:#}");

    live.sql("postgres", "create database hollow");
    live.sql("hollow", "create table a (b int)");
    let hollow = copies.join("hollow");
    say(live.command("pg_dump").args(["-d", "hollow", "-Fc", "-f"]).arg(&hollow));
    let hollow = facts(drill_files(state.path(), &hollow, Drill::default(), None, PLENTY).await);
    assert_eq!(hollow["restored"]["outcome"], "absent", "{hollow:#}");
    assert!(hollow["restored"]["why"].as_str().unwrap().starts_with("restored, and empty"), "{hollow:#}");

    // Too little room says nothing of the copy.
    let failure = drill_files(state.path(), &custom, live.drill(), None, 4 << 20).await.failure.unwrap();
    assert_eq!(failure.class, FailureClass::Interrupted, "{failure:?}");
}

#[tokio::test]
async fn what_differs_from_the_database_in_use() {
    let live = Live::start();
    let (copies, state) = (live.copies(), state());
    live.sql("app", "create table forgotten as select 1 as a");
    live.sql("app", "create table collapsed as select 1 as a");
    live.sql("app", "checkpoint");
    std::thread::sleep(Duration::from_millis(1100));
    let at = Timestamp::now();
    let path = copies.join("partial");
    let left_out = ["-d", "app", "-Fc", "-T", "forgotten", "--exclude-table-data=messages", "-f"];
    say(live.command("pg_dump").args(left_out).arg(&path));
    live.sql("app", "create table young as select 1 as a");
    live.sql("app", "insert into heartbeat values (now())");
    live.sql("app", "insert into collapsed select generate_series(1, 1999)");
    let facts = facts(drill_files(state.path(), &path, live.drill(), Some(at), PLENTY).await);
    // No other table makes up for one of which less than half came back.
    assert_eq!(facts["samples"]["asked"], json!([]), "{facts:#}");
    assert!(
        facts["samples"]["why"].as_str().is_some_and(|why| why.starts_with("public.collapsed: 1 rows")),
        "{facts:#}"
    );
    let outcomes: Vec<(String, String)> = samples(&facts);
    let wanted = [
        ("\"Odd Name\".\"t 1\"", "present"),
        ("public.collapsed", "not_proven"),
        ("public.forgotten", "absent"),
        ("public.heartbeat", "not_proven"),
        ("public.messages", "absent"),
        ("public.nothing_yet", "not_proven"),
        ("public.young", "not_proven"),
    ];
    assert_eq!(outcomes, wanted.map(|(n, o)| (n.to_owned(), o.to_owned())), "{facts:#}");
    assert_eq!(facts["restored"]["outcome"], "present");
}

#[tokio::test]
async fn base_backups() {
    let live = Live::start();
    let (copies, state) = (live.copies(), state());
    // What would lead back to what is in use must not be read.
    live.sql("postgres", "alter system set primary_conninfo = 'host=/nowhere'");
    live.sql("postgres", "alter system set archive_command = 'touch /tmp/never'");
    let (folder, tar) = (copies.join("folder"), copies.join("tar"));
    let base = |path: &Path, more: &[&str]| {
        say(live.command("pg_basebackup").args(["-c", "fast", "--no-sync", "-D"]).arg(path).args(more))
    };
    base(&folder, &["-R"]);
    all_there(&facts(drill_files(state.path(), &folder, with_database(&live), None, PLENTY).await));

    let space = folder_of(USER, &live.dir.path().join("space"));
    live.sql("postgres", &format!("create tablespace elsewhere location '{}'", space.display()));
    live.sql("app", "alter table messages set tablespace elsewhere");
    base(&tar, &["-Ft", "-z"]);
    let before = say(Command::new("find").arg(&space).arg("-printf").arg("%p %T@ %s\n"));
    all_there(&facts(drill_files(state.path(), &tar, with_database(&live), None, PLENTY).await));
    assert_eq!(say(Command::new("find").arg(&space).arg("-printf").arg("%p %T@ %s\n")), before);

    let elsewhere = format!("--tablespace-mapping={}={}", space.display(), copies.join("space").display());
    base(&copies.join("linked"), &[&elsewhere]);
    let refused = drill_files(state.path(), &copies.join("linked"), with_database(&live), None, PLENTY).await;
    assert!(refused.failure.unwrap().message.contains("is a link"));

    // A cluster whose control file is gone does not start.
    std::fs::remove_file(folder.join("global/pg_control")).unwrap();
    let broken = facts(drill_files(state.path(), &folder, with_database(&live), None, PLENTY).await);
    assert_eq!(broken["restored"]["outcome"], "absent", "{broken:#}");
}

fn with_database(live: &Live) -> Drill {
    Drill { database: Some("app".into()), ..live.drill() }
}

#[tokio::test]
async fn a_stanza_of_pgbackrest() {
    let live = Live::start();
    let (copies, state) = (live.copies(), state());
    let repository = folder_of(USER, &copies.join("repo"));
    let links = folder_of(USER, &copies.join("links"));
    let config = copies.join("pgbackrest.conf");
    let text = format!(
        "[global]\nrepo1-path={0}\nlock-path={1}/lock\nlog-path={1}\nspool-path={1}\narchive-async=y\nstart-fast=y\n\
         compress-type=none\n[global:restore]\nlink-all=y\nlink-map=pg_wal={2}/wal\ndelta=y\n\
         [main]\npg1-path={3}\npg1-socket-path={4}\npg1-user=postgres\n",
        repository.display(),
        copies.display(),
        links.display(),
        live.home().join("data").display(),
        live.home().display(),
    );
    std::fs::write(&config, text).unwrap();
    let backrest = |words: &[&str]| {
        let config = format!("--config={}", config.display());
        say(as_user(USER, "pgbackrest").args(["--stanza=main", "--log-level-file=off", &config]).args(words))
    };
    backrest(&["stanza-create"]);
    let push = format!("pgbackrest --stanza=main --config={} --no-archive-async archive-push %p", config.display());
    live.sql("postgres", &format!("alter system set archive_command = '{push}'"));
    live.sql("postgres", "select pg_reload_conf()");
    backrest(&["--type=full", "backup"]);
    let info: Value = serde_json::from_str(&backrest(&["--output=json", "info"])).unwrap();
    let label = info[0]["backup"][0]["label"].as_str().unwrap().to_owned();
    let listing = || say(Command::new("find").arg(&copies).arg("-printf").arg("%p %T@ %C@ %s\n"));
    live.sql("postgres", "alter system set archive_command = 'true'");
    live.sql("postgres", "select pg_reload_conf()");
    std::thread::sleep(Duration::from_millis(300));
    let before = listing();
    let drill = with_database(&live);
    let source =
        PgBackRest { stanza: "main".into(), config: Some(config.display().to_string()), id: None, program: None };
    let evidence = run(state.path(), PLENTY, move |cx| {
        let (drill, source, label) = (drill.clone(), source.clone(), label.clone());
        Box::pin(async move {
            let adapter = pgbackrest::Adapter::new(source);
            let from = From::Stanza(&adapter, &label);
            probe::facts(&super::drill(&spec(drill.clone()), &drill, from, about(None), cx).await?)
        })
    })
    .await;
    all_there(&facts(evidence));
    assert_eq!(listing(), before, "something was written");
}

#[tokio::test]
async fn the_probe_takes_the_newest_dump() {
    let (live, state) = (Live::start(), state());
    let copies = live.copies();
    for name in ["app-1.dump", "app-2.dump"] {
        say(live.command("pg_dump").args(["-d", "app", "-Fc", "-f"]).arg(copies.join(name)));
        live.sql("app", "delete from messages where id > 1000");
        std::thread::sleep(Duration::from_millis(1100));
    }
    let declared: crate::target::BackupTarget = serde_json::from_value(json!({
        "files": { "pattern": copies.join("app-*.dump"), "timezone": "UTC" },
        "drill": { "live": live.connection() },
    }))
    .unwrap();
    let spec = serde_json::to_value(declared.resolve("it").unwrap()).unwrap();
    let target = model::Target {
        name: "it".into(),
        of: "it".into(),
        address: String::new(),
        labels: [].into(),
        discovered: false,
        subject: model::Subject { sort: "backup".into(), spec },
    };
    let shown = format!("{:?}", probe::Probe::plan(&super::super::Restore, &target));
    assert!(shown.contains("scratch server") && shown.contains("in the database in use"), "{shown}");
    let evidence = run(state.path(), PLENTY, move |cx| {
        let target = target.clone();
        Box::pin(async move { probe::Probe::observe(&super::super::Restore, &target, cx).await })
    })
    .await;
    let facts = facts(evidence);
    assert_eq!(facts["snapshot"], "app-2.dump", "{facts:#}");
    assert_eq!(facts["restored"]["outcome"], "present", "{facts:#}");
    assert!(samples(&facts).iter().all(|(_, outcome)| outcome != "absent"), "{facts:#}");
    assert_eq!(facts["samples"]["outcome"], "present", "{facts:#}");
}

/// What the next test runs in a process of its own.
#[tokio::test]
async fn a_drill_that_is_killed_child() {
    let Some(place) = std::env::var_os("PROBITY_TEST_KILLED") else { return };
    let place = PathBuf::from(place);
    let forever = DrillQuery { sql: "select pg_sleep(600)".into(), wanted: None };
    let drill = Drill { queries: [("forever".to_owned(), forever)].into(), ..Drill::default() };
    drill_files(&place.join("state"), &place.join("dump"), drill, None, PLENTY).await;
}

#[tokio::test]
async fn a_drill_that_is_killed() {
    let (live, place) = (Live::start(), folder());
    say(live.command("pg_dump").args(["-d", "app", "-Fc", "-f"]).arg(live.copies().join("dump")));
    std::fs::rename(live.copies().join("dump"), place.path().join("dump")).unwrap();
    let state = place.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let name = "restore::postgres::tests::a_drill_that_is_killed_child";
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact"]).env("PROBITY_TEST_KILLED", place.path());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let sleeping = || {
        let scratch = state.join("scratch").display().to_string();
        let names =
            |path: PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).contains(&scratch);
        let all = std::fs::read_dir("/proc").unwrap().map(|e| e.unwrap().path());
        all.filter(|p| names(p.join("cmdline")) || names(p.join("environ"))).count()
    };
    for round in 0.. {
        assert!(round < 1500, "the drill never came so far");
        let busy = std::fs::read_dir(state.join("scratch"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|e| e.path().join("files/server.log").exists() && in_query(&e.path().join("files")));
        if busy {
            break;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(sleeping() >= 2, "the server went with its parent: nothing was shown");
    let undone = probe::Workshop::new(&state, None).undo_dead();
    assert_eq!(undone.left, Vec::<String>::new());
    assert_eq!(sleeping(), 0);
    clean(&state);
}

/// Whether the server of that drill runs the endless query.
fn in_query(scratch: &Path) -> bool {
    let statement = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'";
    let mut psql = as_user(USER, &program("psql"));
    psql.env("PGHOST", scratch).current_dir("/").args([
        "-XAtq",
        "-U",
        "probity_drill",
        "-d",
        "postgres",
        "-c",
        statement,
    ]);
    psql.output().is_ok_and(|output| output.stdout.starts_with(b"1"))
}
