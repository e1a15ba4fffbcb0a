//! The probe `server-config`: what the configuration files of a server declare, before or after they are deployed.
//!
//! The files are read by parsers of our own, not by the servers' tools: those load modules, open logs, resolve names and
//! need keys that a checkout does not hold (`nginx -T`, `apachectl -t`, `haproxy -c`), and are seldom installed where a
//! gate runs. Tests compare with the tools.

mod apache;
pub(crate) mod ciphers;
mod dovecot;
mod found;
mod haproxy;
mod nginx;
pub(crate) mod openssh;
mod postfix;
#[cfg(test)]
mod testing;
mod tree;

use std::path::Path;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use self::found::Found;
use self::tree::Tree;
use crate::facts::{ConfigServer, ConfigSpec, ServerConfigFacts};

/// The sort of target.
pub(crate) const SORT: &str = "server-config";

/// Reads the configuration files of one server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerConfig;

impl Probe for ServerConfig {
    fn kind(&self) -> Kind {
        Kind::new(SORT, Level::Declared)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(ServerConfigFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        plan(target)
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let tree = open(cx, &spec).await?;
            let read = tokio::task::spawn_blocking(move || facts(&spec, tree)).await;
            let failed = |_| Failure::new(FailureClass::Panic, "reading it failed, which is a defect of Probity");
            probe::facts(&read.map_err(failed)?)
        })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

/// The files that will be read, as far as that is known before.
fn plan(target: &Target) -> Plan {
    let files = spec(target).map(|spec| vec![spec.path, "the files that it includes".to_owned()]).unwrap_or_default();
    Plan { files, ..Plan::default() }
}

fn spec(target: &Target) -> Result<ConfigSpec, Failure> {
    serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
        let message = format!("{}: its parameters are not those of a configuration: {e}", target.name);
        Failure::new(FailureClass::Unresolved, message)
    })
}

/// Opens the root that everything is read below.
async fn open(cx: &Cx, spec: &ConfigSpec) -> Result<Tree, Failure> {
    let root = spec.root.as_deref().unwrap_or("/");
    let folder = cx.open_folder(Path::new(root), cx.remaining()).await;
    let folder = folder.map_err(|e| Failure::new(e.class, format!("{e}; is that the folder of the configuration?")))?;
    Ok(Tree::new(folder, spec.root.is_some()))
}

fn facts(spec: &ConfigSpec, tree: Tree) -> ServerConfigFacts {
    let mut found = Found::new(tree, spec.version.as_deref());
    let entry = tree::below("", &spec.path);
    match spec.server {
        ConfigServer::Nginx => nginx::read(&mut found, &entry),
        ConfigServer::Apache => apache::read(&mut found, &entry),
        ConfigServer::Haproxy => haproxy::read(&mut found, &entry),
        ConfigServer::Postfix => postfix::read(&mut found, &entry),
        ConfigServer::Dovecot => dovecot::read(&mut found, &entry),
        ConfigServer::Openssh => found.tree.unknown(&entry, "it is read by another probe"),
    }
    found.services.sort_by(|a, b| (&a.name, &a.at).cmp(&(&b.name, &b.at)));
    ServerConfigFacts {
        server: spec.server,
        version: spec.version.clone(),
        installed: spec.root.is_none(),
        entry,
        asked: found.tree.asked(),
        files: found.tree.files,
        services: found.services,
        upstreams: found.upstreams,
        keys: found.keys,
        modules: found.modules,
        not_proven: found.tree.not_proven,
    }
}
