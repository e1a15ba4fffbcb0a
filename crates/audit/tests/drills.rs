//! Drills in an audit: what runs when, what is judged, and what the pack says of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use attest::{Algorithm, SigningKey};
use audit::collect::collect;
use audit::keys::{Named, Signer};
use audit::pack::{Reader, Writer};
use audit::seal::{Contents, NO_WAIVERS, seal};
use audit::verify::{Standing, Verification, verify};
use audit::{Ready, Request, prepare};
use model::{Assessment, Evidence, Facts, Failure, FailureClass, Kind, Level, NoticeLevel, Outcome, Target, pack};
use probe::{BoxFuture, Cx, Event, Limits, Plan, Probe, Stop, Workshop};

/// A drill that this program knows; what stands in for it here restores nothing.
const DRILL: &str = "backup-restore";

/// Says what it does, in a list that the test reads.
struct Fake {
    kind: &'static str,
    drill: bool,
    log: Arc<Mutex<Vec<String>>>,
}

impl Probe for Fake {
    fn kind(&self) -> Kind {
        Kind::new(self.kind, if self.drill { Level::Demonstrated } else { Level::Effective })
    }

    fn sort(&self) -> &'static str {
        "tls"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan { commands: vec!["restore it".into()], ..Plan::default() }
    }

    fn is_drill(&self) -> bool {
        self.drill
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            self.log.lock().unwrap().push(format!("{} on {}", self.kind, target.name));
            if self.drill {
                std::fs::write(cx.scratch("fake").await?.join("restored"), "data").unwrap();
            }
            Ok(Facts::new())
        })
    }
}

fn limits(dir: &Path, allow_commands: bool) -> Limits {
    Limits { allow_commands, workshop: Some(Workshop::new(&dir.join("state"), None)), ..Limits::default() }
}

/// A closed port of this machine, with a drill for it.
async fn ready(dir: &Path, allow: bool) -> (Ready, Arc<Mutex<Vec<String>>>) {
    let request = Request {
        targets: vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()],
        limits: limits(dir, allow),
        ..Request::default()
    };
    let mut ready = prepare(request).await.unwrap();
    let log = Arc::new(Mutex::new(vec![]));
    ready.prepared.probes.retain(|p| !p.is_drill());
    // The drill stands first, and yet comes last.
    ready.prepared.probes.insert(0, Arc::new(Fake { kind: DRILL, drill: true, log: Arc::clone(&log) }));
    ready.prepared.probes.push(Arc::new(Fake { kind: "fake-look", drill: false, log: Arc::clone(&log) }));
    (ready, log)
}

struct Made {
    assessment: Assessment,
    evidence: Vec<Evidence>,
    verification: Verification,
    said: Vec<String>,
}

async fn run(dir: &Path, ready: &Ready) -> Made {
    let mut writer = Writer::create(&dir.join("pack")).unwrap();
    let (events, mut told) = tokio::sync::mpsc::unbounded_channel();
    let collection = collect(&ready.prepared, &mut writer, &Stop::default(), &events).await.unwrap();
    let key = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
    let trusted = [Named { label: "ops".into(), key: key.public().clone(), self_made: false }];
    let signer = Signer::Key { key: Box::new(key), label: "ops".into(), self_made: false };
    let contents = Contents {
        resolved: &collection.resolved,
        policies: &ready.prepared.policies,
        waivers: &ready.waivers,
        waivers_bytes: NO_WAIVERS,
        run: &collection.run,
        as_of: collection.run.finished,
        evidence: &collection.evidence,
        inventory: None,
    };
    let assessment = seal(&mut writer, &contents, &signer).unwrap();
    let reader = Reader::open(writer.root()).unwrap();
    let evidence = collection.evidence.iter().map(|digest| reader.evidence(digest).unwrap()).collect();
    let verification = verify(&reader, &trusted).unwrap();
    let mut said = Vec::new();
    while let Ok(event) = told.try_recv() {
        if let Event::Said(line) = event {
            said.push(line);
        }
    }
    Made { assessment, evidence, verification, said }
}

#[tokio::test]
async fn an_audit_drills_last() {
    let dir = tempfile::tempdir().unwrap();
    let (ready, log) = ready(dir.path(), true).await;
    let plan = ready.prepared.plan();
    let (last, first) = (&plan[plan.len() - 1], &plan[0]);
    assert!(last.drill && last.kind == DRILL && !first.drill, "{plan:?}");
    let made = run(dir.path(), &ready).await;
    let log = log.lock().unwrap();
    assert_eq!(log[2..], ["backup-restore on 127.0.0.1:1", "backup-restore on 127.0.0.1:2"], "{log:?}");
    assert!(log[..2].iter().all(|line| line.starts_with("fake-look")), "{log:?}");
    assert_eq!(made.evidence.iter().filter(|e| e.kind == DRILL && e.facts.is_some()).count(), 2);
    assert!(std::fs::read_dir(dir.path().join("state/scratch")).unwrap().next().is_none());
    assert!(made.said.is_empty(), "{:?}", made.said);
}

#[tokio::test]
async fn without_leave_a_drill_says_that_it_was_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let (ready, log) = ready(dir.path(), false).await;
    let made = run(dir.path(), &ready).await;
    assert!(log.lock().unwrap().iter().all(|line| line.starts_with("fake-look")));
    let mut failures = made.evidence.iter().filter(|e| e.kind == DRILL).map(|e| e.failure.clone().unwrap());
    assert!(failures.all(|f| f.class == FailureClass::NotRun && f.message.contains("--allow-commands")));
    let notice = |n: &&model::Notice| n.message == "2 drill(s) were not run; their evidence says why";
    assert_eq!(made.assessment.notices.iter().find(notice).unwrap().level, NoticeLevel::Note);
    assert!(!dir.path().join("state").exists(), "nothing is made for what is not run");
}

#[tokio::test]
async fn drills_alone_are_judged_by_their_own_controls_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ready, log) = ready(dir.path(), true).await;
    let controls = ready.prepared.policies[0].controls.len();
    ready.prepared.drills_alone().unwrap();
    assert!(ready.prepared.plan().iter().all(|line| line.drill));
    let made = run(dir.path(), &ready).await;
    assert_eq!(log.lock().unwrap().len(), 2);
    assert!(made.evidence.iter().all(|e| e.kind == DRILL));
    assert_eq!(made.evidence.len(), 2);
    // No control is about this kind: nothing fails, and nothing is proven either.
    assert_eq!(made.assessment.findings, vec![]);
    assert_eq!(made.assessment.gate.outcome, Outcome::Inconclusive);
    let left_out = &made.assessment.coverage.not_looked_at;
    let why = format!("{controls} of its {controls} controls are not about drills alone");
    assert!(left_out.iter().any(|l| l.what == "policy baseline" && l.why == why), "{left_out:?}");
    assert!(made.assessment.notices.iter().any(|n| n.message.contains("did drills alone (backup-restore)")));
    assert_eq!(made.verification.problems, Vec::<String>::new());
    assert_eq!(made.verification.standing, Standing::Verified("ops".into()));
    assert!(made.verification.notes.iter().any(|note| note.contains("drills alone")), "{:?}", made.verification.notes);
}

#[tokio::test]
async fn only_drills_can_be_judged_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ready, _) = ready(dir.path(), true).await;
    // A liar narrows the run to one kind, so that the others' controls do not fail.
    ready.prepared.probes.retain(|p| p.kind().name == "tls");
    ready.prepared.only_kinds = Some(vec!["tls".into()]);
    let made = run(dir.path(), &ready).await;
    let problems = &made.verification.problems;
    assert_eq!(problems.as_slice(), [format!("{}: the run is narrowed to 'tls', which is no drill", pack::INVENTORY)]);
    let kinds = |id: &str| {
        let all = ready.prepared.policies.iter().flat_map(|p| &p.controls);
        all.filter(|c| c.written.id == id).flat_map(|c| c.written.evidence.kinds.clone()).collect::<Vec<_>>()
    };
    assert!(!made.assessment.findings.is_empty());
    assert!(made.assessment.findings.iter().all(|f| kinds(&f.control) == ["tls"]));
}

#[tokio::test]
async fn without_a_target_that_has_one_there_is_no_drill() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ready, _) = ready(dir.path(), true).await;
    ready.prepared.probes.retain(|p| !p.is_drill());
    let message = ready.prepared.drills_alone().unwrap_err().to_string();
    assert!(message.contains("no target has a drill"), "{message}");
}

#[tokio::test]
async fn a_journal_of_a_dead_run_is_undone_first_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let (ready, _) = ready(dir.path(), false).await;
    let drills = dir.path().join("state/drills");
    std::fs::create_dir_all(&drills).unwrap();
    let scratch = dir.path().join("left");
    std::fs::create_dir(&scratch).unwrap();
    let id = "00112233445566778899aabbccddeeff";
    let marker = format!("made by the drill {id} (entry 0); Probity removes this folder\n");
    std::fs::write(scratch.join(".probity-drill"), marker).unwrap();
    std::fs::write(scratch.join("restored"), "data").unwrap();
    let begun = serde_json::json!({ "begun": { "id": id, "about": "the drill", "pid": 1, "at": "then" } });
    let made = serde_json::json!({ "scratch": { "entry": 0, "path": scratch } });
    std::fs::write(drills.join(format!("{id}.jsonl")), format!("{begun}\n{made}\n")).unwrap();
    let made = run(dir.path(), &ready).await;
    assert!(!scratch.exists());
    let line = format!("undone: the drill: removed {}", scratch.display());
    assert_eq!(made.said, std::slice::from_ref(&line));
    assert!(made.assessment.notices.iter().any(|n| n.message == line && n.level == NoticeLevel::Note));
}
