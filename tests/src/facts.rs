//! The facts of `probity tls --format json`, read the way a user's script would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::probity::Probity;

/// Every version that must always be in the list.
pub const VERSIONS: [&str; 6] = ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// The facts of one address.
#[derive(Clone, Debug)]
pub struct TlsFacts(Value);

/// What a server was configured with, in the facts' own words.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Version → the ids of the suites that it accepts; versions left out must be refused.
    pub versions: BTreeMap<&'static str, BTreeSet<String>>,
    /// The ids of the groups that it accepts; none: not compared.
    pub groups: Option<BTreeSet<String>>,
}

impl Truth {
    /// Adds a version with its suites.
    #[must_use]
    pub fn version(mut self, name: &'static str, suites: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.versions.insert(name, suites.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the groups.
    #[must_use]
    pub fn groups(mut self, ids: &[&str]) -> Self {
        self.groups = Some(ids.iter().map(|id| (*id).to_owned()).collect());
        self
    }
}

impl TlsFacts {
    /// Runs `probity tls` on one address and takes its facts.
    ///
    /// # Errors
    /// When it does not end with 0 and one element with facts.
    pub fn of(address: SocketAddr) -> Result<Self> {
        let finished = Probity::new()?.run(["tls", &address.to_string(), "--format", "json"])?.expect_code(0)?;
        let json = finished.json()?;
        let [one] = json.as_array().map(Vec::as_slice).unwrap_or_default() else {
            bail!("one element is wanted: {finished}");
        };
        ensure!(one.get("target").is_some_and(Value::is_string), "`target` is no string: {finished}");
        ensure!(one.get("address").is_some_and(Value::is_string), "`address` is no string: {finished}");
        Ok(Self(one.get("facts").context("`facts` is missing")?.clone()))
    }

    /// The value at a JSON pointer; null where there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// One version's entry.
    ///
    /// # Errors
    /// When the list lacks it.
    pub fn version(&self, name: &str) -> Result<&Value> {
        let versions = self.at("/versions").as_array().context("`versions` is no list")?;
        versions.iter().find(|version| version.get("name").is_some_and(|n| n == name)).context(format!("no {name}"))
    }

    /// The outcome of one version.
    ///
    /// # Errors
    /// When the list lacks it.
    pub fn outcome(&self, version: &str) -> Result<&str> {
        self.version(version)?.get("outcome").and_then(Value::as_str).context("no outcome")
    }

    /// The ids of the suites accepted in one version, in the order of the list.
    ///
    /// # Errors
    /// When the list lacks the version.
    pub fn suites(&self, version: &str) -> Result<Vec<String>> {
        Ok(ids(self.version(version)?.get("suites")))
    }

    /// The ids of the suites of one version of which nothing is proven.
    ///
    /// # Errors
    /// When the list lacks the version.
    pub fn not_proven(&self, version: &str) -> Result<Vec<String>> {
        Ok(ids(self.version(version)?.get("not_proven")))
    }

    /// The ids of the groups with that outcome.
    #[must_use]
    pub fn groups(&self, outcome: &str) -> BTreeSet<String> {
        let groups = self.at("/groups").as_array().map(Vec::as_slice).unwrap_or_default();
        let chosen = groups.iter().filter(|group| group.get("outcome").is_some_and(|o| o == outcome));
        chosen.filter_map(id).collect()
    }

    /// Compares everything with the truth, positive and negative: nothing more, nothing less, nothing unproven.
    ///
    /// # Errors
    /// Every difference.
    pub fn must_equal(&self, truth: &Truth) -> Result<()> {
        let mut wrong = Vec::new();
        for name in VERSIONS {
            let wanted = truth.versions.get(name);
            let outcome = self.outcome(name)?;
            if outcome != if wanted.is_some() { "accepted" } else { "refused" } {
                let why = self.version(name)?.get("why").unwrap_or(&Value::Null);
                wrong.push(format!("{name} is {outcome} ({why})"));
            }
            let found: BTreeSet<String> = self.suites(name)?.into_iter().collect();
            let wanted = wanted.cloned().unwrap_or_default();
            for id in wanted.difference(&found) {
                wrong.push(format!("{name} lacks {id}"));
            }
            for id in found.difference(&wanted) {
                wrong.push(format!("{name} has {id}"));
            }
            let unproven = self.not_proven(name)?;
            if !unproven.is_empty() {
                wrong.push(format!("{name}: {} suites not proven, such as {:?}", unproven.len(), unproven.first()));
            }
            if self.version(name)?.get("asked") != Some(&Value::from("all")) {
                wrong.push(format!("{name} was not asked for everything"));
            }
        }
        if let Some(wanted) = &truth.groups {
            let found = self.groups("accepted");
            if found != *wanted {
                wrong.push(format!("groups {found:?}, but {wanted:?} are configured"));
            }
            let unproven = self.groups("not_proven");
            if !unproven.is_empty() {
                wrong.push(format!("groups not proven: {unproven:?}"));
            }
        }
        ensure!(wrong.is_empty(), "facts differ from the server's configuration:\n{}", wrong.join("\n"));
        Ok(())
    }
}

fn id(item: &Value) -> Option<String> {
    item.get("id").and_then(Value::as_str).map(str::to_owned)
}

fn ids(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(id).collect()
}
