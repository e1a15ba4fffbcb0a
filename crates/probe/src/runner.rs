//! Runs probes on targets: every pair leaves exactly one piece of evidence, whatever happens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use model::{
    Ask, Depth, Digest, Evidence, ExchangesRef, Facts, Failure, FailureClass, Provenance, Target, encode_exchanges,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::budget::{Budget, Limits};
use crate::cx::{Cx, Stop};
use crate::journal::Journal;
use crate::recorder::Recorder;
use crate::workshop::{Undone, Workshop};
use crate::{Probe, tree};

/// How long a probe may overrun its deadline to return what it has.
const GRACE: Duration = Duration::from_secs(2);

/// How often the scratch folders of a drill are measured.
const LOOK: Duration = Duration::from_millis(500);

/// Bytes of the scratch folders' file system that a drill leaves free, or a twentieth of it where that is less.
const KEEP_FREE: u64 = 256 << 20;

/// One probe to run on one target.
#[derive(Clone)]
pub struct Job {
    /// What looks.
    pub probe: Arc<dyn Probe>,
    /// What is looked at.
    pub target: Target,
    /// What to look for.
    pub ask: Ask,
    /// How much.
    pub depth: Depth,
    /// Earlier evidence of the probe's kind on this target, newest first, from packs whose signatures were checked.
    pub prior: Vec<Evidence>,
}

/// A piece of evidence and the file of its raw exchanges.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The record.
    pub evidence: Evidence,
    /// Content of `exchanges/<digest>.bin`; `None` where nothing was said.
    pub exchanges: Option<Vec<u8>>,
}

/// Progress, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A probe began.
    Began {
        /// Name of the target.
        target: String,
        /// Kind of evidence.
        kind: String,
    },
    /// A probe ended.
    Ended {
        /// Name of the target.
        target: String,
        /// Kind of evidence.
        kind: String,
        /// Whether it saw anything.
        failed: bool,
    },
    /// Something that a person must know now: what was undone of a drill, or could not be.
    Said(String),
}

/// Runs the jobs, a bounded number at once, then those that go last and then the drills among them one by one, and sends each piece of evidence as it is ready. The channel should be
/// bounded: a slow receiver holds the runner back, so that memory does not grow with the number of targets.
///
/// Ends when every job has left its evidence, or the receiver is gone.
pub async fn collect(
    jobs: Vec<Job>,
    limits: Limits,
    stop: Stop,
    evidence: mpsc::Sender<Collected>,
    events: mpsc::UnboundedSender<Event>,
) {
    let at_once = limits.targets_at_once.max(1);
    let (drills, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.probe.is_drill());
    let (last, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.probe.goes_last());
    let run = Run { budget: Arc::new(Budget::new(limits)), stop, events };
    stream::iter(jobs)
        .map(|job| run.one(job, None))
        .buffer_unordered(at_once)
        .for_each(|collected| async {
            // A receiver that is gone has no use for the rest.
            let _ = evidence.send(collected).await;
        })
        .await;
    for job in last {
        // As above.
        let _ = evidence.send(run.one(job, None).await).await;
    }
    if !drills.is_empty() {
        run.drills(drills, &evidence).await;
    }
}

/// What the jobs of a run share.
struct Run {
    budget: Arc<Budget>,
    stop: Stop,
    events: mpsc::UnboundedSender<Event>,
}

impl Run {
    /// The drills, one by one, while no other run on this machine drills.
    async fn drills(&self, jobs: Vec<Job>, evidence: &mpsc::Sender<Collected>) {
        let limits = self.budget.limits();
        let turn = match &limits.workshop {
            _ if !limits.allow_commands => Err(Failure::new(
                FailureClass::NotRun,
                "this is a drill: it acts, so that it runs only where the command line says --allow-commands",
            )),
            _ if self.stop.is_stopped() => Err(Failure::new(FailureClass::Interrupted, "the run was stopped before")),
            None => Err(Failure::new(
                FailureClass::Missing,
                "no folder for the journal of drills: set HOME or XDG_STATE_HOME to a place that can be written",
            )),
            Some(workshop) => workshop.turn(limits.drill_patience, &self.stop).await.map(|turn| (workshop, turn)),
        };
        if let Ok((_, (_, undone))) = &turn {
            self.tell(undone);
        }
        for job in jobs {
            let allowed = turn.as_ref().map(|(workshop, _)| *workshop).map_err(Clone::clone);
            // As above.
            let _ = evidence.send(self.one(job, Some(allowed)).await).await;
        }
    }

    /// One probe on one target; for a drill, where it works or why it may not run.
    async fn one(&self, job: Job, drill: Option<Result<&Workshop, Failure>>) -> Collected {
        let kind = job.probe.kind();
        let recorder = Arc::new(Recorder::new());
        let started = Timestamp::now();
        let began = Instant::now();
        let name = (job.target.name.clone(), kind.name.to_string());
        // Nobody listening to progress is no reason to stop.
        let _ = self.events.send(Event::Began { target: name.0.clone(), kind: name.1.clone() });

        let mut left = Vec::new();
        let not_asked = job.probe.not_asked(&job.target);
        let outcome = match drill {
            _ if self.stop.is_stopped() => Err(interrupted(&job.target)),
            _ if not_asked.is_some() => {
                let why = not_asked.unwrap_or_default();
                Err(Failure::new(FailureClass::NotAsked, format!("{}: {why}", job.target.name)))
            }
            None => self.observe(&job, began, &recorder, None).await,
            Some(Err(why)) => Err(Failure::new(why.class, format!("{}: {}", job.target.name, why.message))),
            Some(Ok(workshop)) => match workshop.journal(&format!("the drill '{}' on {}", name.1, name.0)) {
                Err(e) => {
                    let message = format!("{}: no journal can be written: {e}; nothing was done", job.target.name);
                    Err(Failure::new(FailureClass::Unreadable, message))
                }
                Ok(journal) => {
                    let journal = Arc::new(journal);
                    let outcome = self.observe(&job, began, &recorder, Some(&journal)).await;
                    left = self.undo(journal).await;
                    outcome
                }
            },
        };

        let failed = outcome.is_err();
        let mut collected = write_down(job, started, began, &recorder, outcome);
        let notes = &mut collected.evidence.notes;
        if self.stop.is_stopped() {
            notes.insert("interrupted".into(), "the run was stopped while this was collected".into());
        }
        if !left.is_empty() {
            notes.insert("left_behind".into(), left.join("; "));
        }
        let _ = self.events.send(Event::Ended { target: name.0, kind: name.1, failed });
        collected
    }

    /// Lets the probe look, until it is done, its time is up, the run is stopped, or its scratch folders are full.
    async fn observe(
        &self,
        job: &Job,
        began: Instant,
        recorder: &Arc<Recorder>,
        journal: Option<&Arc<Journal>>,
    ) -> Result<Facts, Failure> {
        let limits = self.budget.limits();
        let (deadline, option) = match journal {
            None => (limits.deadline.max(job.probe.allowance(&job.target).unwrap_or_default()), "--deadline"),
            Some(_) => (limits.drill_deadline, "--drill-deadline"),
        };
        let cx = Cx {
            ask: job.ask.clone(),
            depth: job.depth,
            prior: job.prior.clone(),
            until: began + deadline,
            budget: Arc::clone(&self.budget),
            recorder: Arc::clone(recorder),
            stop: self.stop.clone(),
            journal: journal.cloned(),
        };
        let (probe, target) = (Arc::clone(&job.probe), job.target.clone());
        let name = &target.name.clone();
        let mut task = tokio::spawn(async move { probe.observe(&target, &cx).await });
        let outcome = tokio::select! {
            outcome = &mut task => of_join(outcome, &job.target),
            () = tokio::time::sleep(deadline + GRACE) => Err(Failure::new(
                FailureClass::Timeout,
                format!("{name}: not done within {} s; raise {option}", deadline.as_secs()),
            )),
            () = self.stop.stopped() => match tokio::time::timeout(GRACE / 4, &mut task).await {
                Ok(outcome) => of_join(outcome, &job.target),
                Err(_) => Err(interrupted(&job.target)),
            },
            why = full(journal, limits) => Err(Failure::new(FailureClass::Interrupted, format!("{name}: {why}"))),
        };
        let outcome = match over(journal, limits).await {
            Some(why) if outcome.is_ok() => Err(Failure::new(FailureClass::Interrupted, format!("{name}: {why}"))),
            _ => outcome,
        };
        task.abort();
        // What the probe held is let go now, so that a command that was cut off is ended and in the record.
        if !task.is_finished() {
            let _ = tokio::time::timeout(GRACE / 2, &mut task).await;
        }
        outcome
    }

    /// Takes back what a drill made, and gives what could not be.
    async fn undo(&self, journal: Arc<Journal>) -> Vec<String> {
        let undone = tokio::task::spawn_blocking(move || journal.undo()).await;
        let left = match undone {
            Ok(undone) => undone.left,
            Err(e) => vec![format!("what the drill made was not undone ({e}); the next start of Probity tries again")],
        };
        self.tell(&Undone { done: vec![], left: left.clone() });
        left
    }

    fn tell(&self, undone: &Undone) {
        for line in undone.lines() {
            let _ = self.events.send(Event::Said(line));
        }
    }
}

/// Ends when the scratch folders of a drill hold too much, with the reason; never for what is no drill.
async fn full(journal: Option<&Arc<Journal>>, limits: &Limits) -> String {
    let Some(journal) = journal else { return std::future::pending().await };
    let (mut next, mut floor) = (Instant::now(), 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let (journal, most) = (Arc::clone(journal), limits.scratch_bytes);
        // Looking at many files costs time: a twentieth of it at most, and at once where the file system lost as many bytes
        // as the drill had left. What the file system itself tells is always looked at.
        let due = next <= Instant::now();
        let began = Instant::now();
        let measured = tokio::task::spawn_blocking(move || {
            let folders = journal.scratch_folders();
            let spaces: Vec<(u64, u64)> = folders.iter().filter_map(|folder| tree::space(folder).ok()).collect();
            // A drill must not be what fills a production machine's disk.
            let full = spaces.iter().position(|(free, all)| *free < KEEP_FREE.min(all / 20));
            if let Some(folder) = full.and_then(|at| folders.get(at)) {
                let folder = folder.display();
                return Err(format!("the file system of {folder} is nearly full; choose another with --scratch"));
            }
            // Nor what takes the last files that can be made on it.
            let few = |folder: &PathBuf| tree::files(folder).is_ok_and(|(free, all)| tree::few(free, all));
            if let Some(folder) = folders.iter().find(|folder| few(folder)) {
                let folder = folder.display();
                return Err(format!(
                    "the file system of {folder} can hold few more files (df -i); choose another with --scratch"
                ));
            }
            let free = spaces.iter().map(|(free, _)| *free).min().unwrap_or(u64::MAX);
            if !due && free >= floor {
                return Ok(None);
            }
            let taken = within(&folders, most)?;
            Ok(Some(free.saturating_sub(most - taken)))
        });
        match measured.await {
            Ok(Err(why)) => return why,
            Ok(Ok(Some(left))) => (floor, next) = (left, Instant::now() + began.elapsed() * 20),
            Ok(Ok(None)) | Err(_) => {}
        }
    }
}

/// Bytes that scratch folders hold.
///
/// # Errors
/// Where they are more than may be.
fn within(folders: &[PathBuf], most: u64) -> Result<u64, String> {
    let taken = folders.iter().map(|folder| tree::bytes(folder)).fold(0, u64::saturating_add);
    if taken > most {
        return Err(format!("its scratch folders hold more than {most} bytes; raise --scratch-bytes"));
    }
    Ok(taken)
}

/// Whether a drill that has ended holds too much: a quick one ends between two looks, and its result must not hang on that.
async fn over(journal: Option<&Arc<Journal>>, limits: &Limits) -> Option<String> {
    let (journal, most) = (Arc::clone(journal?), limits.scratch_bytes);
    tokio::task::spawn_blocking(move || within(&journal.scratch_folders(), most).err()).await.ok().flatten()
}

fn of_join(outcome: Result<Result<Facts, Failure>, tokio::task::JoinError>, target: &Target) -> Result<Facts, Failure> {
    outcome.unwrap_or_else(|e| {
        let what = if e.is_panic() { "panicked" } else { "was cut off" };
        Err(Failure::new(
            FailureClass::Panic,
            format!("{}: the probe {what}; this is a defect of Probity, please report it", target.name),
        ))
    })
}

fn interrupted(target: &Target) -> Failure {
    Failure::new(FailureClass::Interrupted, format!("{}: the run was stopped before this was done", target.name))
}

fn write_down(
    job: Job,
    started: Timestamp,
    began: Instant,
    recorder: &Recorder,
    outcome: Result<Facts, Failure>,
) -> Collected {
    let kind = job.probe.kind();
    let record = recorder.take();
    let (facts, mut failure) = match outcome {
        Ok(facts) => (Some(facts), None),
        Err(failure) => (None, Some(Failure::new(failure.class, record.secrets.out_of(&failure.message)))),
    };
    let mut facts = facts;
    let bytes = if record.exchanges.is_empty() {
        None
    } else {
        match encode_exchanges(&record.exchanges) {
            Ok(bytes) => Some(bytes),
            // Facts whose raw bytes can't be kept are not evidence.
            Err(e) => {
                facts = None;
                failure = Some(Failure::new(FailureClass::Panic, format!("exchanges can't be kept: {e}")));
                None
            }
        }
    };
    let exchanges = bytes.as_ref().map(|bytes| ExchangesRef {
        digest: Digest::of(bytes),
        count: u32::try_from(record.exchanges.len()).unwrap_or(u32::MAX),
        cut: record.exchanges.iter().any(|e| e.cut),
    });
    let evidence = Evidence {
        format: Evidence::FORMAT.to_owned(),
        target: job.target,
        kind: kind.name.into_owned(),
        level: kind.level,
        asked: job.ask,
        collected: Timestamp::now(),
        facts,
        failure,
        provenance: Provenance {
            started,
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            sources: record.sources.into_iter().collect(),
            connections: record.connections,
            bytes_sent: record.sent,
            bytes_received: record.received,
            commands: record.commands,
            files: record.files,
            attested_by_host_only: job.probe.attested_by_host_only(),
        },
        exchanges,
        notes: BTreeMap::new(),
    };
    Collected { evidence, exchanges: bytes }
}
