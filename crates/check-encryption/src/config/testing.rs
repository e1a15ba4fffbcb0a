//! A tree of files, and the facts of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use model::{Ask, Depth, Subject, Target};
use probe::{Job, Limits, Probe, Stop, collect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// A tree that stands for a machine.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        let path = self.0.path().join(absolute.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(path), content).unwrap();
    }

    pub(crate) fn link(&self, path: &str, to: &str) {
        symlink(to, self.path(path)).unwrap();
    }

    /// The folder that stands for `/`.
    pub(crate) fn root(&self) -> &std::path::Path {
        self.0.path()
    }

    /// What the probe says.
    pub(crate) async fn read(&self, server: &str, path: &str, version: Option<&str>) -> Value {
        let spec = json!({ "server": server, "path": path, "root": self.0.path(), "version": version });
        observe(super::ServerConfig, super::SORT, spec).await
    }
}

/// Runs a probe.
pub(crate) async fn observe(probe: impl Probe + 'static, sort: &str, spec: Value) -> Value {
    let target = Target {
        name: "config".into(),
        of: "config".into(),
        address: "config".into(),
        labels: BTreeMap::new(),
        discovered: false,
        subject: Subject { sort: sort.into(), spec },
    };
    let (evidence, mut received) = mpsc::channel(1);
    let (events, _) = mpsc::unbounded_channel();
    let job = Job { probe: Arc::new(probe), target, ask: Ask::All, depth: Depth::Full, prior: vec![] };
    let ((), collected) =
        tokio::join!(collect(vec![job], Limits::default(), Stop::default(), evidence, events), received.recv());
    let evidence = collected.unwrap().evidence;
    assert!(evidence.failure.is_none(), "{:?}", evidence.failure);
    Value::Object(evidence.facts.unwrap().into_iter().collect())
}

/// The outcome of a class of suites.
pub(crate) fn class<'a>(service: &'a Value, name: &str) -> &'a str {
    let classes = service["ciphers"]["classes"].as_array().unwrap();
    classes.iter().find(|class| class["name"] == name).unwrap()["outcome"].as_str().unwrap()
}
