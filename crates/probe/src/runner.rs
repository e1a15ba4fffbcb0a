//! Runs probes on targets: every pair leaves exactly one piece of evidence, whatever happens.

use std::collections::BTreeMap;
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

use crate::Probe;
use crate::budget::{Budget, Limits};
use crate::cx::{Cx, Stop};
use crate::recorder::Recorder;

/// How long a probe may overrun its deadline to return what it has.
const GRACE: Duration = Duration::from_secs(2);

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
}

/// Runs the jobs, a bounded number at once, and sends each piece of evidence as it is ready. The channel should be
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
    let budget = Arc::new(Budget::new(limits));
    stream::iter(jobs)
        .map(|job| run(job, Arc::clone(&budget), stop.clone(), events.clone()))
        .buffer_unordered(at_once)
        .for_each(|collected| async {
            // A receiver that is gone has no use for the rest.
            let _ = evidence.send(collected).await;
        })
        .await;
}

async fn run(job: Job, budget: Arc<Budget>, stop: Stop, events: mpsc::UnboundedSender<Event>) -> Collected {
    let kind = job.probe.kind();
    let recorder = Arc::new(Recorder::new());
    let started = Timestamp::now();
    let began = Instant::now();
    let deadline = budget.limits().deadline;
    let name = (job.target.name.clone(), kind.name.to_string());
    // Nobody listening to progress is no reason to stop.
    let _ = events.send(Event::Began { target: name.0.clone(), kind: name.1.clone() });

    let outcome = if stop.is_stopped() {
        Err(interrupted(&job.target))
    } else {
        let cx = Cx {
            ask: job.ask.clone(),
            depth: job.depth,
            prior: job.prior.clone(),
            until: began + deadline,
            budget,
            recorder: Arc::clone(&recorder),
            stop: stop.clone(),
        };
        let (probe, target) = (Arc::clone(&job.probe), job.target.clone());
        let mut task = tokio::spawn(async move { probe.observe(&target, &cx).await });
        let outcome = tokio::select! {
            outcome = &mut task => of_join(outcome, &job.target),
            () = tokio::time::sleep(deadline + GRACE) => Err(Failure::new(
                FailureClass::Timeout,
                format!("{}: not done within {} s; raise --deadline", job.target.name, deadline.as_secs()),
            )),
            () = stop.stopped() => match tokio::time::timeout(GRACE / 4, &mut task).await {
                Ok(outcome) => of_join(outcome, &job.target),
                Err(_) => Err(interrupted(&job.target)),
            },
        };
        task.abort();
        // What the probe held is let go now, so that a command that was cut off is ended and in the record.
        if !task.is_finished() {
            let _ = tokio::time::timeout(GRACE / 2, &mut task).await;
        }
        outcome
    };

    let failed = outcome.is_err();
    let mut collected = write_down(job, started, began, &recorder, outcome);
    if stop.is_stopped() {
        collected.evidence.notes.insert("interrupted".into(), "the run was stopped while this was collected".into());
    }
    let _ = events.send(Event::Ended { target: name.0, kind: name.1, failed });
    collected
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
