//! A probe that does what a test says, and a run of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Ask, Depth, Evidence, Facts, Failure, Kind, Level, Subject, Target};
use probe::{BoxFuture, Cx, Job, Limits, Plan, Probe, Stop, collect};
use tokio::sync::mpsc;

type Act = Box<dyn for<'a> Fn(&'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> + Send + Sync>;

/// A probe that does what it is told.
pub(crate) struct Told {
    act: Act,
    drill: bool,
    last: bool,
}

impl Told {
    pub(crate) fn new(
        act: impl for<'a> Fn(&'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> + Send + Sync + 'static,
    ) -> Self {
        Self { act: Box::new(act), drill: false, last: false }
    }

    #[allow(dead_code, reason = "not every test drills")]
    pub(crate) fn drill(self) -> Self {
        Self { drill: true, ..self }
    }

    #[allow(dead_code, reason = "not every test has some that go last")]
    pub(crate) fn last(self) -> Self {
        Self { last: true, ..self }
    }
}

impl Probe for Told {
    fn kind(&self) -> Kind {
        Kind::new("told", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        "told"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }

    fn is_drill(&self) -> bool {
        self.drill
    }

    fn goes_last(&self) -> bool {
        self.last
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan::default()
    }

    fn observe<'a>(&'a self, _: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        (self.act)(cx)
    }
}

pub(crate) fn target(name: &str) -> Target {
    let subject = Subject { sort: "told".into(), spec: serde_json::json!({}) };
    let (name, labels) = (name.to_owned(), BTreeMap::new());
    Target { of: name.clone(), address: name.clone(), name, labels, discovered: false, subject }
}

/// Runs one probe on one target and gives its evidence.
pub(crate) async fn observe(probe: Told, limits: Limits, stop: Stop) -> Evidence {
    let job = Job { probe: Arc::new(probe), target: target("it"), ask: Ask::All, depth: Depth::Full, prior: vec![] };
    let (evidence, mut received) = mpsc::channel(1);
    let (events, _) = mpsc::unbounded_channel();
    let ((), collected) = tokio::join!(collect(vec![job], limits, stop, evidence, events), received.recv());
    collected.unwrap().evidence
}
