//! A tree of files, and the facts of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use probe::Probe;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::testing::observe_on;

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

/// What a probe says of a configuration that it can read.
pub(crate) async fn observe(probe: impl Probe + 'static, sort: &str, spec: Value) -> Value {
    observe_on(probe, sort, spec).await.unwrap()
}

/// The outcome of a class of suites.
pub(crate) fn class<'a>(service: &'a Value, name: &str) -> &'a str {
    let classes = service["ciphers"]["classes"].as_array().unwrap();
    classes.iter().find(|class| class["name"] == name).unwrap()["outcome"].as_str().unwrap()
}
