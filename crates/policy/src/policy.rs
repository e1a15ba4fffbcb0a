//! A resolved policy, and the file of a pack that holds it.

use std::collections::{BTreeMap, BTreeSet};

use model::{Ask, Digest, PolicyRef, Source, canonical_json};
use serde::Serialize;

use crate::Kinds;
use crate::control::{Asks, Control, NamesExpr, Params, Written};
use crate::diagnostic::{Diagnostics, Place};
use crate::emit;
use crate::expr::{Engine, Scope};
use crate::fact::{Fact, allow_steps};
use crate::profile::{Flat, Profile};
use crate::read::{self, Origin};
use crate::yaml::{Data, File, Node};

/// A profile with everything that it extends and changes worked in.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its version, as its author numbers it.
    pub version: String,
    /// One line.
    pub title: String,
    /// Where its rules come from.
    pub source: Option<String>,
    /// Kinds without which it says nothing.
    pub requires: Vec<String>,
    /// Its controls, by id, parameters filled in.
    pub controls: Vec<Control>,
    /// True where it bears a shipped name but differs from what was shipped.
    pub modified: bool,
    /// Digest of all of the above but `modified` and the places of controls in files.
    pub digest: Digest,
}

/// What the digest is of.
#[derive(Serialize)]
struct Essence<'p> {
    name: &'p str,
    version: &'p str,
    title: &'p str,
    source: Option<&'p str>,
    requires: &'p [String],
    controls: Vec<&'p Written>,
}

impl Policy {
    pub(crate) fn of(profile: &Profile, flat: Flat) -> Self {
        let mut policy = Self {
            name: profile.name.clone(),
            version: profile.version.clone(),
            title: profile.title.clone(),
            source: profile.source.clone(),
            requires: flat.requires.into_iter().collect(),
            controls: flat.controls.into_values().collect(),
            modified: false,
            digest: Digest::of(b""),
        };
        policy.digest = policy.digest_now();
        policy
    }

    /// A policy of one control, for its tests.
    pub(crate) fn for_test(control: Control) -> Self {
        let (name, version, title) = ("test".to_owned(), String::new(), String::new());
        let (requires, digest) = (Vec::new(), Digest::of(b""));
        Self { name, version, title, source: None, requires, controls: vec![control], modified: false, digest }
    }

    fn digest_now(&self) -> Digest {
        let essence = Essence {
            name: &self.name,
            version: &self.version,
            title: &self.title,
            source: self.source.as_deref(),
            requires: &self.requires,
            controls: self.controls.iter().map(|c| &c.written).collect(),
        };
        // Every key is a string, so that this can't fail.
        Digest::of(&canonical_json(&essence).unwrap_or_default())
    }

    /// The policy as an assessment names it.
    #[must_use]
    pub fn reference(&self) -> PolicyRef {
        PolicyRef {
            name: self.name.clone(),
            version: self.version.clone(),
            title: self.title.clone(),
            source: self.source.clone(),
            digest: self.digest,
            modified: self.modified,
        }
    }
}

/// What probes of a kind are asked to look for: all that any of the policies asks.
///
/// A control without `asks` adds nothing; where no control of the kind has any, everything is asked for.
#[must_use]
pub fn asks(policies: &[Policy], kind: &str) -> Ask {
    let engine = Engine::new(model::Timestamp::UNIX_EPOCH);
    let mut ask: Option<Ask> = None;
    let controls = policies.iter().flat_map(|p| &p.controls);
    for control in controls.filter(|c| c.written.evidence.kinds.iter().any(|k| k == kind)) {
        let wanted = match (&control.written.asks, &control.compiled.asks) {
            (None, _) => continue,
            (Some(Asks::Only(_)), Some(asks)) => {
                let names = |names: &NamesExpr| compute(names, &control.written.params, &engine);
                let sets = asks.iter().map(|(key, n)| Some((key.clone(), names(n).ok()?.into_iter().collect())));
                // What can't be computed is asked for in full.
                sets.collect::<Option<BTreeMap<_, _>>>().map_or(Ask::All, Ask::Only)
            }
            _ => Ask::All,
        };
        ask = Some(ask.map_or(wanted.clone(), |ask| ask.union(wanted)));
    }
    ask.unwrap_or(Ask::All)
}

/// Parameters as CEL sees them.
pub(crate) fn params_fact(params: &Params) -> Fact {
    Fact::object(params.iter().map(|(name, param)| (name.clone(), param.to_fact())))
}

/// Names for these parameters.
pub(crate) fn compute(names: &NamesExpr, params: &Params, engine: &Engine) -> Result<Vec<String>, String> {
    match names {
        NamesExpr::List(list) => Ok(list.clone()),
        NamesExpr::Cel(expr) => {
            allow_steps(100_000);
            let params = params_fact(params);
            engine.with(&Scope { params: Some(&params), ..Scope::default() }, |context| expr.names(context))
        }
    }
}

/// The version of the file that holds resolved policies.
const FORMAT: &str = "probity.policy/v1";

#[derive(Serialize)]
struct PackFile<'p> {
    format: &'static str,
    policies: Vec<PackPolicy<'p>>,
}

#[derive(Serialize)]
struct PackPolicy<'p> {
    name: &'p str,
    version: &'p str,
    title: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'p str>,
    modified: bool,
    requires: &'p [String],
    controls: Vec<PackControl<'p>>,
}

impl<'p> PackPolicy<'p> {
    fn of(policy: &'p Policy) -> Self {
        Self {
            name: &policy.name,
            version: &policy.version,
            title: &policy.title,
            source: policy.source.as_deref(),
            modified: policy.modified,
            requires: &policy.requires,
            controls: policy.controls.iter().map(|c| PackControl { written: &c.written, source: &c.source }).collect(),
        }
    }
}

#[derive(Serialize)]
struct PackControl<'p> {
    #[serde(flatten)]
    written: &'p Written,
    source: &'p Source,
}

/// The `policy.yaml` of a pack: the policies as resolved. The same policies give the same bytes, and
/// [`policies_from_yaml`] reads them back unchanged.
///
/// # Errors
/// None in practice: every key is a string.
pub fn policies_to_yaml(policies: &[Policy]) -> Result<Vec<u8>, serde_json::Error> {
    let file = PackFile { format: FORMAT, policies: policies.iter().map(PackPolicy::of).collect() };
    Ok(emit::yaml(&serde_json::to_value(&file)?).into_bytes())
}

/// Reads the `policy.yaml` of a pack, with every check that an author's files get.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn policies_from_yaml(path: &str, bytes: &[u8], kinds: &Kinds) -> Result<Vec<Policy>, Diagnostics> {
    let (mut file, node) = File::read(path, bytes);
    let policies = node.and_then(|node| pack_file(&mut file, &node, kinds));
    match policies {
        Some(policies) if file.found.is_empty() => Ok(policies),
        _ => Err(Diagnostics::new(file.found)),
    }
}

fn pack_file(file: &mut File<'_>, node: &Node, kinds: &Kinds) -> Option<Vec<Policy>> {
    let fields = file.fields(node, "the policies", &["format", "policies"])?;
    let format = file.required(&fields, "format", "the file")?;
    let written = file.text_of(format, "format")?;
    if written != FORMAT {
        let message = format!("the format is '{written}'; this version of Probity reads '{FORMAT}'");
        file.error("format", format.span.clone(), message, None);
        return None;
    }
    let list = file.required(&fields, "policies", "the file")?;
    let nodes = file.list_of(list, "policies")?;
    let policies: Vec<Option<Policy>> = nodes.iter().map(|n| pack_policy(file, n, kinds)).collect();
    let policies: Vec<Policy> = policies.into_iter().collect::<Option<_>>()?;
    let mut severities = BTreeMap::new();
    let mut names = BTreeSet::new();
    for policy in &policies {
        if !names.insert(policy.name.as_str()) {
            file.error("duplicate-id", list.span.clone(), format!("policy '{}' is there twice", policy.name), None);
        }
        for written in policy.controls.iter().map(|c| &c.written) {
            if *severities.entry(written.id.as_str()).or_insert(written.severity) != written.severity {
                let message = format!("control '{}' has more than one severity", written.id);
                file.error("severity", list.span.clone(), message, None);
            }
        }
    }
    Some(policies)
}

fn pack_policy(file: &mut File<'_>, node: &Node, kinds: &Kinds) -> Option<Policy> {
    const FIELDS: [&str; 7] = ["name", "version", "title", "source", "modified", "requires", "controls"];
    let fields = file.fields(node, "a policy", &FIELDS)?;
    let mut text = |name: &str| {
        let node = file.required(&fields, name, "the policy")?;
        file.text_of(node, name).map(str::to_owned)
    };
    let (name, version, title) = (text("name"), text("version"), text("title"));
    let source = fields.get("source").and_then(|n| file.text_of(n, "source")).map(str::to_owned);
    let modified = fields.get("modified").is_some_and(|n| n.data == Data::Bool(true));
    let requires = fields.get("requires").and_then(|n| file.list_of(n, "requires")).unwrap_or_default();
    let requires: Vec<String> = requires.iter().filter_map(|n| read::kind(file, n, kinds)).collect();
    let controls = file.required(&fields, "controls", "the policy")?;
    let nodes = file.list_of(controls, "controls")?;
    let controls: Vec<Option<Control>> = nodes.iter().map(|n| read::control(file, n, kinds, Origin::Pack)).collect();
    let controls: Vec<Control> = controls.into_iter().collect::<Option<_>>()?;
    if !controls.iter().zip(controls.iter().skip(1)).all(|(a, b)| a.written.id < b.written.id) {
        let place = Place::of(file, &fields.start);
        file.found.push(place.error(
            "duplicate-id",
            "the controls are not sorted by id, or one is there twice".into(),
            None,
        ));
    }
    let (name, version, title) = (name?, version?, title?);
    let mut policy = Policy { name, version, title, source, requires, controls, modified, digest: Digest::of(b"") };
    policy.digest = policy.digest_now();
    Some(policy)
}
