//! A folder that stands for a machine, and a way to run one probe on it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{Ask, Depth, Failure, Subject, Target};
use probe::{Job, Limits, Probe, Stop, collect};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::root::Root;

/// A machine in a folder.
pub(crate) struct Machine(TempDir);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn root(&self) -> Root {
        Root::at(self.0.path())
    }

    /// Where an absolute path lies, its folders made.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        let path = self.root().path(absolute);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(path), content).unwrap();
    }

    pub(crate) fn link(&self, path: &str, to: impl AsRef<Path>) {
        symlink(to, self.path(path)).unwrap();
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Runs one probe on the host and checks that its facts fit their schema's list of keys.
pub(crate) async fn observe(probe: impl Probe + 'static) -> Result<Value, Failure> {
    observe_on(probe, crate::SORT, serde_json::json!({})).await
}

/// The same on a target of another sort.
pub(crate) async fn observe_on(probe: impl Probe + 'static, sort: &str, spec: Value) -> Result<Value, Failure> {
    let schema = probe.schema();
    let target = Target {
        name: "host".into(),
        of: "host".into(),
        address: "host".into(),
        labels: BTreeMap::new(),
        discovered: true,
        subject: Subject { sort: sort.into(), spec },
    };
    let (evidence, mut received) = mpsc::channel(1);
    let (events, _) = mpsc::unbounded_channel();
    let job = Job { probe: Arc::new(probe), target, ask: Ask::All, depth: Depth::Full, prior: vec![] };
    let ((), collected) =
        tokio::join!(collect(vec![job], Limits::default(), Stop::default(), evidence, events), received.recv());
    let evidence = collected.unwrap().evidence;
    assert!(evidence.provenance.attested_by_host_only);
    if let Some(failure) = evidence.failure {
        return Err(failure);
    }
    let facts = evidence.facts.unwrap();
    let declared = schema.get("properties").unwrap().as_object().unwrap();
    assert_eq!(facts.keys().collect::<Vec<_>>(), declared.keys().collect::<Vec<_>>());
    Ok(Value::Object(facts))
}
