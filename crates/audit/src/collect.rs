//! Collects: declared targets and this machine first, then what was found on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use model::{
    Ask, Depth, Digest, Evidence, Facts, Failure, Kind, NotLookedAt, Notice, NoticeLevel, Provenance, Run, Severity,
    Target, Undeclared,
};
use policy::Policy;
use probe::{BoxFuture, Collected, Cx, Event, Job, Limits, Plan, Probe, Stop};
use tokio::sync::mpsc;

use crate::data_path::{self, Layers};
use crate::expand::Expanded;
use crate::inventory::{HOST, Scope};
use crate::pack::Writer;
use crate::prior::Gathered;
use crate::resolved::{PolicyUse, Resolved, Written};
use crate::scope::ScopeFacts;
use crate::{Error, discover, run, scope};

/// Evidence that may wait to be written, at most.
const WAITING: usize = 32;

/// Everything that is settled before the first connection.
pub struct Prepared {
    /// The service's name.
    pub service: String,
    /// The file that the inventory comes from.
    pub written: Option<Written>,
    /// The targets.
    pub expanded: Expanded,
    /// What the inventory claims to cover.
    pub scope: Scope,
    /// The policies, resolved, in order.
    pub policies: Vec<Policy>,
    /// Which policy is for which targets.
    pub policy_uses: Vec<PolicyUse>,
    /// The least severity that blocks.
    pub fail_on: Severity,
    /// What the command line left out of the inventory.
    pub left_out: Vec<NotLookedAt>,
    /// How much to look for.
    pub depth: Depth,
    /// What the run may cost.
    pub limits: Limits,
    /// Evidence of earlier runs.
    pub prior: Gathered,
    /// What looks.
    pub probes: Vec<Arc<dyn Probe>>,
    /// The only kinds of evidence that this run is about; `None` for all.
    pub only_kinds: Option<Vec<String>>,
}

/// What was collected.
pub struct Collection {
    /// The inventory as it turned out.
    pub resolved: Resolved,
    /// Who looked, with what, when.
    pub run: Run,
    /// The evidence.
    pub evidence: Vec<Digest>,
}

/// One line of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanLine {
    /// The target.
    pub target: String,
    /// The kind of evidence.
    pub kind: String,
    /// What it would cost at most.
    pub plan: Plan,
    /// Whether it acts rather than looks.
    pub drill: bool,
}

/// What is done when: what only looks sees the service as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// All that only looks.
    Looks,
    /// What a fragile server may not bear.
    Last,
    /// What acts.
    Drills,
}

impl Turn {
    const ALL: [Self; 3] = [Self::Looks, Self::Last, Self::Drills];

    fn of(probe: &dyn Probe) -> Self {
        match (probe.is_drill(), probe.goes_last()) {
            (true, _) => Self::Drills,
            (false, true) => Self::Last,
            (false, false) => Self::Looks,
        }
    }
}

impl Prepared {
    /// What to look for, by kind.
    fn ask(&self, kind: &str) -> Ask {
        match self.depth {
            Depth::Full => Ask::All,
            Depth::Auto => policy::asks(&self.policies, kind),
        }
    }

    /// The probes that look at one sort of target.
    fn probes_for(&self, sort: &str) -> impl Iterator<Item = Arc<dyn Probe>> {
        self.probes.iter().filter(move |p| p.sort() == sort).cloned()
    }

    /// What is to be done to some targets in a turn.
    fn jobs(&self, targets: &[Target], turn: Turn) -> Vec<Job> {
        let mut jobs = Vec::new();
        for target in targets {
            for probe in self.probes_for(&target.subject.sort).filter(|p| Turn::of(p.as_ref()) == turn) {
                let ask = self.ask(&probe.kind().name);
                let prior = self.prior.of(&probe.kind().name, target);
                let probe = match self.expanded.unresolved.get(&target.name) {
                    Some(failure) => Arc::new(Unresolved { inner: probe, failure: failure.clone() }),
                    None => probe,
                };
                jobs.push(Job { probe, target: target.clone(), ask, depth: self.depth, prior });
            }
        }
        jobs
    }

    /// What a run would do, without doing it. What is found on this machine comes on top.
    #[must_use]
    pub fn plan(&self) -> Vec<PlanLine> {
        let line = |job: Job| PlanLine {
            target: job.target.name.clone(),
            kind: job.probe.kind().name.into_owned(),
            plan: job.probe.plan(&job.target),
            drill: job.probe.is_drill(),
        };
        let targets = &self.expanded.targets;
        Turn::ALL.into_iter().flat_map(|turn| self.jobs(targets, turn)).map(line).collect()
    }
}

/// Runs everything and writes the evidence as it comes.
///
/// # Errors
/// Where evidence can't be written. What goes wrong with a target is evidence.
pub async fn collect(
    prepared: &Prepared,
    writer: &mut Writer,
    stop: &Stop,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<Collection, Error> {
    let started = Timestamp::now();
    let began = std::time::Instant::now();
    let mut collector = Collector {
        prepared,
        writer,
        stop,
        events,
        run: run::Tally::default(),
        evidence: vec![],
        layers: Layers::default(),
    };
    let mut targets = prepared.expanded.targets.clone();
    let mut left_out = prepared.left_out.clone();
    left_out.extend(prepared.expanded.left_out.iter().cloned());
    let mut undeclared: Vec<Undeclared> = Vec::new();
    let undone = undo_dead(prepared, events).await;

    let mut sockets: Option<(Target, Facts)> = None;
    let mut unread: Option<(Target, Failure)> = None;
    collector
        .run(&targets, Turn::Looks, |evidence| {
            if evidence.kind == "listeners" {
                let target = || evidence.target.clone();
                sockets = evidence.facts.clone().map(|facts| (target(), facts));
                unread = evidence.failure.clone().map(|failure| (target(), failure));
            }
        })
        .await?;
    if let Some((host, failure)) = unread {
        collector.keep(&joined::<ScopeFacts>(host, scope::kind(), Err(failure))?)?;
    }

    if let Some((host, facts)) = sockets {
        let mut seen = discover::scope(&facts, prepared.scope.complete, &targets, &prepared.scope.exclude);
        undeclared = discover::undeclared(&seen);
        let (listeners, not_tried) = discover::to_try(&facts, &seen);
        left_out.extend(not_tried);
        let mut answers: BTreeMap<String, Option<Facts>> = BTreeMap::new();
        collector
            .run(&listeners, Turn::Looks, |evidence| {
                answers.insert(evidence.target.name.clone(), evidence.facts.clone());
            })
            .await?;
        discover::write_answers(&mut seen, &facts, &answers);
        collector.keep(&joined(host, scope::kind(), Ok(&seen))?)?;
        let mut found = Vec::new();
        for listener in listeners {
            match discover::found(&listener, answers.get(&listener.name).and_then(Option::as_ref)) {
                Ok(target) => found.push(target),
                Err(line) => left_out.push(line),
            }
            targets.push(listener);
        }
        collector.run(&found, Turn::Looks, |_| {}).await?;
        targets.extend(found);
    }
    // Last of all: what only looks sees the service as it is.
    collector.run(&targets, Turn::Last, |_| {}).await?;
    collector.run(&targets, Turn::Drills, |_| {}).await?;
    for target in targets.iter().filter(|target| target.subject.sort == data_path::SORT) {
        let facts = collector.layers.of(target)?;
        collector.keep(&joined(target.clone(), data_path::kind(), Ok(&facts))?)?;
    }

    let finished = Timestamp::now();
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (tally, mut evidence) = (collector.run, collector.evidence);
    evidence.sort();
    left_out.sort();
    let run = run::of_this_process(tally, (started, finished, millis), prepared.limits.window, stop.is_stopped());
    let sorts: BTreeSet<&str> = targets.iter().map(|t| t.subject.sort.as_str()).collect();
    let kinds_of = |sort: &str| {
        let of_host = (sort == HOST && prepared.only_kinds.is_none()).then(scope::kind);
        let joined = of_host.or_else(|| (sort == data_path::SORT).then(data_path::kind));
        prepared.probes_for(sort).map(|p| p.kind()).chain(joined).map(|kind| kind.name.into_owned()).collect()
    };
    let probes = sorts.into_iter().map(|sort| (sort.to_owned(), kinds_of(sort))).collect();
    let prior = prepared.prior.keep(&targets, &probes, started, writer)?;
    let notices = prepared.expanded.notices.iter().chain(&prepared.prior.notices).cloned().chain(undone).collect();
    let resolved = Resolved {
        format: Resolved::FORMAT.to_owned(),
        probes,
        service: prepared.service.clone(),
        written: prepared.written.clone(),
        policies: prepared.policy_uses.clone(),
        fail_on: prepared.fail_on,
        targets,
        undeclared,
        not_looked_at: left_out,
        prior,
        only_kinds: prepared.only_kinds.clone(),
        notices,
    };
    Ok(Collection { resolved, run, evidence })
}

/// Undoes what drills of runs that died left behind, and gives what a reader of this run's report should know of it.
async fn undo_dead(prepared: &Prepared, events: &mpsc::UnboundedSender<Event>) -> Vec<Notice> {
    let Some(workshop) = prepared.limits.workshop.clone() else { return vec![] };
    let undone = tokio::task::spawn_blocking(move || workshop.undo_dead()).await.unwrap_or_default();
    for line in undone.lines() {
        // Nobody listening to progress is no reason to stop.
        let _ = events.send(Event::Said(line));
    }
    let level = if undone.left.is_empty() { NoticeLevel::Note } else { NoticeLevel::Warning };
    undone.lines().map(|message| Notice { level, message }).collect()
}

struct Collector<'a> {
    prepared: &'a Prepared,
    writer: &'a mut Writer,
    stop: &'a Stop,
    events: &'a mpsc::UnboundedSender<Event>,
    run: run::Tally,
    evidence: Vec<Digest>,
    /// What was seen of encryption, for the data paths.
    layers: Layers,
}

impl Collector<'_> {
    /// Does to some targets what is done in a turn.
    async fn run(&mut self, targets: &[Target], turn: Turn, mut look: impl FnMut(&Evidence)) -> Result<(), Error> {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let jobs = self.prepared.jobs(targets, turn);
        let limits = self.prepared.limits.clone();
        let work = probe::collect(jobs, limits, self.stop.clone(), sender, self.events.clone());
        let write = async {
            while let Some(collected) = receiver.recv().await {
                look(&collected.evidence);
                self.keep(&collected)?;
            }
            Ok(())
        };
        // The writer ends early only with an error, which then drops the receiver and lets the runner end.
        let ((), outcome) = tokio::join!(work, write);
        outcome
    }

    fn keep(&mut self, collected: &Collected) -> Result<(), Error> {
        self.run.add(&collected.evidence.provenance);
        let digest = self.writer.evidence(collected)?;
        self.layers.add(&collected.evidence, digest);
        self.evidence.push(digest);
        Ok(())
    }
}

/// Evidence that is joined from other evidence.
fn joined<T: serde::Serialize>(target: Target, kind: Kind, facts: Result<&T, Failure>) -> Result<Collected, Error> {
    let now = Timestamp::now();
    let (facts, failure) = match facts {
        Ok(facts) => (Some(probe::facts(facts).map_err(|f| Error::Defect(f.message))?), None),
        Err(failure) => (None, Some(failure)),
    };
    let evidence = Evidence {
        format: Evidence::FORMAT.to_owned(),
        target,
        kind: kind.name.into_owned(),
        level: kind.level,
        asked: Ask::All,
        collected: now,
        facts,
        failure,
        provenance: Provenance {
            started: now,
            millis: 0,
            sources: vec![],
            connections: 0,
            bytes_sent: 0,
            bytes_received: 0,
            commands: vec![],
            files: vec![],
            attested_by_host_only: true,
        },
        exchanges: None,
        notes: BTreeMap::new(),
    };
    Ok(Collected { evidence, exchanges: None })
}

/// Stands in for a probe whose target has no address: it leaves the evidence that says so.
struct Unresolved {
    inner: Arc<dyn Probe>,
    failure: Failure,
}

impl Probe for Unresolved {
    fn kind(&self) -> Kind {
        self.inner.kind()
    }

    fn sort(&self) -> &'static str {
        self.inner.sort()
    }

    fn schema(&self) -> schemars::Schema {
        self.inner.schema()
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan::default()
    }

    fn is_drill(&self) -> bool {
        self.inner.is_drill()
    }

    fn goes_last(&self) -> bool {
        self.inner.goes_last()
    }

    fn observe<'a>(&'a self, _: &'a Target, _: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(std::future::ready(Err(self.failure.clone())))
    }
}
