//! A drill that works until it is ended: `drill STATE_FOLDER`. It makes a scratch folder, starts a process beside itself,
//! says so on standard output, and runs a long command. Tests end it in several ways; by hand it shows what a journal is.
#![allow(clippy::print_stdout, reason = "an example speaks on standard output")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Ask, Depth, Facts, Failure, FailureClass, Kind, Level, Subject, Target};
use probe::{BoxFuture, Command, Cx, Event, Job, Limits, Plan, Probe, Stop, Workshop, collect};
use tokio::sync::mpsc;

/// Restores nothing, for a long time.
struct Endless;

impl Probe for Endless {
    fn kind(&self) -> Kind {
        Kind::new("endless", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        "endless"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan { commands: vec!["sleep 600".into()], ..Plan::default() }
    }

    fn is_drill(&self) -> bool {
        true
    }

    fn observe<'a>(&'a self, _: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let scratch = cx.scratch("endless").await?;
            let unwritable = |e: std::io::Error| Failure::new(FailureClass::Unreadable, e.to_string());
            std::fs::write(scratch.join("restored"), "data").map_err(unwritable)?;
            // It ignores what it is asked politely, and its child is in a session of its own.
            let words = "trap '' TERM INT; setsid sleep 600 & sleep 600; sleep 600";
            let beside = ["sh", "-c", words];
            let running = cx.spawn_journalled(Command::new(&beside), &scratch.join("log")).await?;
            println!("ready {} {}", scratch.display(), running.pid());
            std::io::stdout().flush().map_err(unwritable)?;
            let long = Command { within: Duration::from_secs(600), ..Command::new(&["sleep", "600"]) };
            cx.command(long).await?;
            Ok(Facts::new())
        })
    }
}

#[tokio::main]
async fn main() {
    let state = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let stop = Stop::default();
    let stopper = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        stopper.stop();
    });
    let subject = Subject { sort: "endless".into(), spec: serde_json::json!({}) };
    let (name, labels) = ("it".to_owned(), BTreeMap::new());
    let target = Target { of: name.clone(), address: name.clone(), name, labels, discovered: false, subject };
    let job = Job { probe: Arc::new(Endless), target, ask: Ask::All, depth: Depth::Full, prior: vec![] };
    let limits = Limits {
        allow_commands: true,
        drill_patience: Duration::from_secs(1),
        workshop: Some(Workshop::new(Path::new(&state), None)),
        ..Limits::default()
    };
    let (evidence, mut received) = mpsc::channel(1);
    let (events, mut told) = mpsc::unbounded_channel();
    let ((), collected) = tokio::join!(collect(vec![job], limits, stop, evidence, events), received.recv());
    while let Ok(event) = told.try_recv() {
        if let Event::Said(line) = event {
            println!("{line}");
        }
    }
    if let Some(failure) = collected.and_then(|c| c.evidence.failure) {
        println!("ended {:?} {}", failure.class, failure.message);
    }
}
