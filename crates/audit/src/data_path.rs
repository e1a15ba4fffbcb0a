//! Evidence of the kind `data-path`: for each hop that data takes (client to edge, edge to service, store, copy), whether
//! it is encrypted there, by what, and whether that is declared, in effect or demonstrated.
//!
//! It joins the evidence on the targets that the inventory names for the hop, and cites it by digest. It looks at nothing
//! itself; [`Layers`] is rebuilt from a pack's evidence when that is verified.

mod layers;

use std::collections::BTreeMap;

use model::{Asked, Digest, Evidence, Kind, Level, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The sort of target.
pub const SORT: &str = "data_path";

/// A declared data path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataPathTarget {
    /// What the operator says of the whole path.
    #[serde(default)]
    pub claim: Claim,
    /// The hops, in the order that data takes them.
    pub hops: Vec<DeclaredHop>,
}

/// What is claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The least strength of a cipher in bits: 256 for "AES-256".
    pub bits: Option<u32>,
}

/// A hop as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredHop {
    /// `client to edge`.
    pub name: String,
    /// Names of targets of this inventory through which all data of the hop goes, or on which it lies.
    pub targets: Vec<String>,
}

impl DataPathTarget {
    /// What is wrong with it, and where (`hops[1].targets`).
    ///
    /// # Errors
    /// The field, and what is wanted there.
    pub fn check(&self, known: &dyn Fn(&str) -> bool) -> Result<(), (String, String)> {
        if self.hops.is_empty() {
            return Err(("hops".into(), "a data path has at least one hop".into()));
        }
        for (n, hop) in self.hops.iter().enumerate() {
            if hop.name.trim().is_empty() || self.hops.iter().take(n).any(|h| h.name == hop.name) {
                return Err((format!("hops[{n}].name"), "each hop has a name of its own".into()));
            }
            if hop.targets.is_empty() {
                let message = "name the targets through which this hop goes, or on which the data lies";
                return Err((format!("hops[{n}].targets"), message.into()));
            }
            if let Some(m) = hop.targets.iter().position(|name| !known(name)) {
                let name = hop.targets.get(m).map(String::as_str).unwrap_or_default();
                return Err((format!("hops[{n}].targets[{m}]"), format!("no other target is called '{name}'")));
            }
        }
        Ok(())
    }
}

/// What is known of encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Encrypted.
    Present,
    /// In clear, or may be.
    Absent,
    /// Nothing shows it.
    NotProven,
}

/// What is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protects {
    /// A connection.
    Transit,
    /// What lies on a medium.
    Rest,
    /// The data itself, whoever carries it.
    Content,
}

/// A cipher that is in use or may come to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Cipher {
    /// `AES-256-GCM`, as the evidence names it; for what is not known, the target.
    pub name: String,
    /// `present`, or `not_proven` where there may be others.
    pub outcome: CipherOutcome,
    /// Why not.
    pub why: Option<String>,
    /// Bits of its strength; null where the name does not tell.
    pub bits: Option<u32>,
}

/// Whether a cipher is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CipherOutcome {
    /// It is.
    Present,
    /// There may be others.
    NotProven,
}

/// What one piece of evidence says of a hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Layer {
    /// The target.
    pub name: String,
    /// The kind of evidence.
    pub kind: String,
    /// Its level.
    pub level: Level,
    /// Digest of the evidence.
    pub evidence: Digest,
    /// What is encrypted.
    pub protects: Protects,
    /// Whether it is.
    pub outcome: Outcome,
    /// Why not, or why that is not proven.
    pub why: Option<String>,
    /// By what.
    pub ciphers: Vec<Cipher>,
}

/// One hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hop {
    /// As declared.
    pub name: String,
    /// `present` only where every target of the hop is shown to encrypt, and no evidence shows data in clear.
    pub outcome: Outcome,
    /// Why not.
    pub why: Option<String>,
    /// The highest level at which every target of the hop is shown to encrypt; null where one is not.
    pub level: Option<Level>,
    /// Every cipher of its layers.
    pub ciphers: Vec<Cipher>,
    /// What the evidence on its targets says.
    pub layers: Vec<Layer>,
}

/// A data path, hop by hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DataPathFacts {
    /// The claimed strength in bits; null where nothing is claimed.
    pub claimed_bits: Option<u32>,
    /// `"all"`: the hops are those that the inventory declares.
    pub asked: Asked,
    /// The hops.
    pub hops: Vec<Hop>,
}

/// The kind. What it joins may be of a higher level; it says so hop by hop.
#[must_use]
pub const fn kind() -> Kind {
    Kind::new("data-path", Level::Declared)
}

/// The JSON Schema of its facts.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(DataPathFacts)
}

/// What evidence says of encryption, by the declared name of its target.
#[derive(Debug, Default)]
pub struct Layers(BTreeMap<String, Vec<Layer>>);

impl Layers {
    /// Takes in a piece of evidence.
    pub fn add(&mut self, evidence: &Evidence, digest: Digest) {
        let said = layers::of(evidence);
        if said.is_empty() {
            return;
        }
        let layer = |said: layers::Said| Layer {
            name: evidence.target.name.clone(),
            kind: evidence.kind.clone(),
            level: evidence.level,
            evidence: digest,
            protects: said.protects,
            outcome: said.outcome,
            why: said.why,
            ciphers: said.ciphers,
        };
        self.0.entry(evidence.target.of.clone()).or_default().extend(said.into_iter().map(layer));
    }

    /// The facts of a target of this sort.
    ///
    /// # Errors
    /// Where its spec is no data path.
    pub fn of(&self, target: &Target) -> Result<DataPathFacts, Error> {
        let path = serde_json::from_value(target.subject.spec.clone());
        let path: DataPathTarget = path.map_err(|e| Error::Pack(format!("{}: no data path: {e}", target.name)))?;
        Ok(self.facts(&path))
    }

    /// The facts of one path.
    #[must_use]
    pub fn facts(&self, path: &DataPathTarget) -> DataPathFacts {
        let hops = path.hops.iter().map(|hop| self.hop(hop)).collect();
        DataPathFacts { claimed_bits: path.claim.bits, asked: Asked::All, hops }
    }

    fn hop(&self, declared: &DeclaredHop) -> Hop {
        let mut layers: Vec<Layer> = Vec::new();
        let mut least: Option<Level> = Some(Level::Demonstrated);
        let (mut clear, mut unknown) = (None, None);
        for name in &declared.targets {
            let mut of_target = self.0.get(name).cloned().unwrap_or_default();
            of_target.sort_by(|a, b| (&a.name, &a.kind, a.protects).cmp(&(&b.name, &b.kind, b.protects)));
            let mut addresses: Vec<&str> = of_target.iter().map(|layer| layer.name.as_str()).collect();
            addresses.dedup();
            if addresses.is_empty() {
                addresses.push(name);
            }
            for address in addresses {
                let (outcome, why, level) = together(address, of_target.iter().filter(|l| l.name == address));
                match outcome {
                    Outcome::Present => least = least.min(level),
                    Outcome::Absent => clear = clear.or(why),
                    Outcome::NotProven => unknown = unknown.or(why),
                }
            }
            layers.extend(of_target);
        }
        let (outcome, why, level) = match (clear, unknown) {
            (Some(why), _) => (Outcome::Absent, Some(why), None),
            (None, Some(why)) => (Outcome::NotProven, Some(why), None),
            (None, None) => (Outcome::Present, None, least),
        };
        let mut ciphers: Vec<Cipher> = layers.iter().flat_map(|layer| layer.ciphers.iter().cloned()).collect();
        ciphers.sort();
        ciphers.dedup();
        Hop { name: declared.name.clone(), outcome, why, level, ciphers, layers }
    }
}

/// What the layers of one target show together: one that shows data in clear is enough, and so is one that shows a
/// connection or a medium encrypted, where it is known that the data lie there. What is said of the data itself only ever
/// refutes.
fn together<'a>(target: &str, layers: impl Iterator<Item = &'a Layer>) -> (Outcome, Option<String>, Option<Level>) {
    let (mut level, mut lies_elsewhere) = (None, false);
    let mut unknown = format!("{target}: no evidence on it says anything of encryption");
    for layer in layers {
        let why = || format!("{}: {}", layer.name, layer.why.as_deref().unwrap_or("no reason is given"));
        match layer.outcome {
            Outcome::Absent => return (Outcome::Absent, Some(why()), None),
            Outcome::Present if layer.protects != Protects::Content => level = level.max(Some(layer.level)),
            Outcome::Present => {}
            Outcome::NotProven if lies_elsewhere => {}
            Outcome::NotProven => {
                unknown = why();
                lies_elsewhere = layer.kind == layers::STORAGE;
            }
        }
    }
    match level.filter(|_| !lies_elsewhere) {
        Some(_) => (Outcome::Present, None, level),
        None => (Outcome::NotProven, Some(unknown), None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
