//! Cases of tests: how they are read, what evidence they stand for, and how they are judged.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Ask, Digest, Evidence, Facts, Failure, FailureClass, Finding, Provenance, Subject, Target, Timestamp, Verdict,
};
use serde_json::Value;

use crate::control::{Control, Params, Scope, seconds};
use crate::diagnostic::Place;
use crate::edit::Pointer;
use crate::judge::Judge;
use crate::library::Library;
use crate::policy::Policy;
use crate::prior::Earlier;
use crate::profile::override_params;
use crate::read;
use crate::schema::{Schema, check};
use crate::suite::Suite;
use crate::waiver::Waivers;
use crate::yaml::{Data, Fields, File, Node};
use crate::{Kinds, Sources};

/// The instant of judgement where a case names none.
const AS_OF: &str = "2026-11-24T00:00:00Z";

/// One piece of evidence and the verdict that must follow.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) message: Option<String>,
    pub(crate) as_of: Timestamp,
    pub(crate) pieces: Vec<Evidence>,
    /// Earlier evidence on the target.
    pub(crate) prior: Vec<Evidence>,
    pub(crate) place: Place,
}

/// Reads tests, with all at hand that they may name.
pub(crate) struct SuiteReader<'l> {
    pub(crate) library: &'l Library,
    pub(crate) sources: &'l Sources,
    pub(crate) kinds: &'l Kinds,
}

impl<'l> SuiteReader<'l> {
    /// The tests of one control; what is wrong with them is in `file.found`.
    pub(crate) fn suite(&self, file: &mut File<'_>, node: &Node) -> Option<Suite<'l>> {
        let before = file.found.len();
        let fields = file.fields(node, "a test", &["control", "params", "cases", "survivors"])?;
        let id = file.required(&fields, "control", "the test")?;
        let name = file.text_of(id, "control")?;
        let Some(control) = self.library.control(name) else {
            let help = self.library.nearest_control(name).map(|n| format!("did you mean '{n}'?"));
            file.error("unknown-control", id.span.clone(), format!("there is no control '{name}'"), help);
            return None;
        };
        let place = Place::of(file, &fields.start);
        let params = fields.get("params").map_or(Some(Params::new()), |n| read::params(file, n, "params"))?;
        let mut excused = BTreeMap::new();
        for node in fields.get("survivors").and_then(|n| file.list_of(n, "survivors")).unwrap_or_default() {
            let entry = file.fields(node, "a survivor", &["mutant", "reason"])?;
            let mut text = |name: &str| {
                let node = file.required(&entry, name, "the survivor")?;
                file.text_of(node, name).map(str::to_owned)
            };
            let (mutant, reason) = (text("mutant")?, text("reason")?);
            excused.insert(mutant, (reason, Place::of(file, &entry.start)));
        }
        let nodes = file.required(&fields, "cases", "the test").and_then(|n| file.list_of(n, "cases"))?;
        let cases: Vec<Case> = nodes.iter().filter_map(|n| self.case(file, n, control)).collect();
        let mut changed = control.clone();
        override_params(&mut changed, &params, |_| &place, &mut file.found);
        (file.found.len() == before).then_some(Suite { control, params, cases, excused, place })
    }

    fn case(&self, file: &mut File<'_>, node: &Node, control: &Control) -> Option<Case> {
        const FIELDS: [&str; 13] = [
            "name", "verdict", "message", "as_of", "facts", "base", "set", "remove", "failure", "age", "target", "all",
            "prior",
        ];
        let fields = file.fields(node, "a case", &FIELDS)?;
        let name = file.required(&fields, "name", "the case").and_then(|n| file.text_of(n, "name"))?.to_owned();
        let words = ["pass", "fail", "inconclusive", "not_applicable"];
        let verdict = file.required(&fields, "verdict", "the case");
        let verdict = verdict.and_then(|n| read::word(file, n, "verdict", &words))?;
        let verdicts = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive, Verdict::NotApplicable];
        let verdict = verdicts.into_iter().find(|v| v.as_str() == verdict)?;
        let message = fields.get("message").and_then(|n| file.text_of(n, "message")).map(str::to_owned);
        let as_of = match fields.get("as_of") {
            None => AS_OF.parse().ok(),
            Some(node) => {
                let text = file.text_of(node, "as_of")?;
                let instant = text.parse().ok();
                if instant.is_none() {
                    file.error("time", node.span.clone(), format!("'{text}' is no RFC 3339 time"), None);
                }
                instant
            }
        }?;
        let needs = &control.written.evidence;
        let pieces = if needs.scope == Scope::Service {
            let nodes = file.required(&fields, "all", "the case").and_then(|n| file.list_of(n, "all"))?;
            let pieces = nodes.iter().enumerate().map(|(i, node)| {
                let known = ["kind", "facts", "base", "set", "remove", "failure", "age", "target"];
                let fields = file.fields(node, "a piece of evidence", &known)?;
                let kind = file.required(&fields, "kind", "the evidence")?;
                let kind = read::kind(file, kind, self.kinds)?;
                self.piece(file, &fields, &kind, as_of, &format!("target{i}"))
            });
            pieces.collect::<Option<Vec<_>>>()?
        } else {
            vec![self.piece(file, &fields, needs.kinds.first()?, as_of, "target")?]
        };
        let prior = match fields.get("prior") {
            None => Vec::new(),
            Some(node) if needs.scope == Scope::Service => {
                let message = "'prior' is earlier evidence of one target; in scope 'service' there is none".to_owned();
                file.error("evidence-scope", node.span.clone(), message, None);
                return None;
            }
            Some(node) => {
                let nodes = file.list_of(node, "prior")?;
                let target = &pieces.first()?.target;
                let earlier = |node: &Node| {
                    let known = ["age", "facts", "base", "set", "remove", "failure"];
                    let fields = file.fields(node, "an earlier piece of evidence", &known)?;
                    file.required(&fields, "age", "earlier evidence")?;
                    let piece = self.piece(file, &fields, needs.kinds.first()?, as_of, "target")?;
                    Some(Evidence { target: target.clone(), ..piece })
                };
                nodes.iter().map(earlier).collect::<Option<Vec<_>>>()?
            }
        };
        Some(Case { name, verdict, message, as_of, pieces, prior, place: Place::of(file, &fields.start) })
    }

    fn piece(
        &self,
        file: &mut File<'_>,
        fields: &Fields<'_>,
        kind: &str,
        as_of: Timestamp,
        name: &str,
    ) -> Option<Evidence> {
        let age = match fields.get("age") {
            None => 0,
            Some(node) => {
                let text = file.text_of(node, "age")?;
                let parsed = seconds(text.strip_prefix('-').unwrap_or(text));
                if parsed.is_none() {
                    file.error("time-span", node.span.clone(), format!("'{text}' is no time span"), None);
                }
                if text.starts_with('-') { -parsed? } else { parsed? }
            }
        };
        let collected = Timestamp::from_second(as_of.as_second().saturating_sub(age)).ok()?;
        let failure = match fields.get("failure") {
            None => None,
            Some(node) => Some(failure(file, node)?),
        };
        let facts = if failure.is_some() { None } else { Some(self.facts(file, fields, kind)?) };
        let target = target(file, fields.get("target"), name)?;
        let level = self.kinds.get(kind)?.level;
        Some(evidence(target, kind, level, collected, facts, failure))
    }

    fn facts(&self, file: &mut File<'_>, fields: &Fields<'_>, kind: &str) -> Option<Facts> {
        let mut facts = match (fields.get("facts"), fields.get("base")) {
            (Some(node), None) => node.to_json(),
            (None, Some(node)) => {
                let name = file.text_of(node, "base")?;
                match fixture(self.sources, file.path, name) {
                    Ok(facts) => facts,
                    Err(message) => {
                        file.error("fixture", node.span.clone(), message, None);
                        return None;
                    }
                }
            }
            _ => {
                let message = "evidence needs one of 'facts', 'base' and 'failure'".to_owned();
                file.error("missing-field", fields.start.clone(), message, None);
                return None;
            }
        };
        let before = file.found.len();
        for (key, node) in fields.get("set").and_then(|n| file.map_of(n, "set")).unwrap_or_default() {
            let done = Pointer::parse(&key.name).and_then(|p| p.set(&mut facts, node.to_json()));
            done.unwrap_or_else(|message| file.error("fact-path", key.span.clone(), message, None));
        }
        let schema = Schema::new(&self.kinds.get(kind)?.schema).resolve();
        if let Err(message) = check(&schema, &facts, &mut String::new()) {
            // The place of the fact is in the message; the fixture is another file.
            file.error("fact-schema", fields.start.clone(), message, None);
        }
        for node in fields.get("remove").and_then(|n| file.list_of(n, "remove")).unwrap_or_default() {
            let Some(text) = file.text_of(node, "remove") else { continue };
            let done = Pointer::parse(text).and_then(|p| p.remove(&mut facts));
            done.unwrap_or_else(|message| file.error("fact-path", node.span.clone(), message, None));
        }
        match facts {
            Value::Object(facts) if file.found.len() == before => Some(facts),
            _ => None,
        }
    }
}

/// The fixture of a test file, `fixtures/<name>.json` beside it.
fn fixture(sources: &Sources, test: &str, name: &str) -> Result<Value, String> {
    let folder = test.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = format!("{folder}/fixtures/{name}.json");
    let source = sources.get(&path).ok_or_else(|| format!("there is no fixture '{path}'"))?;
    serde_json::from_slice(&source.bytes).map_err(|e| format!("fixture '{path}': {e}"))
}

/// A failure: its text, which then is a timeout's, or `{class: not_run, message: …}`.
fn failure(file: &mut File<'_>, node: &Node) -> Option<Failure> {
    if !matches!(node.data, Data::Map(_)) {
        return Some(Failure::new(FailureClass::Timeout, file.text_of(node, "failure")?));
    }
    let fields = file.fields(node, "'failure'", &["class", "message"])?;
    let class = file.required(&fields, "class", "'failure'");
    let class = class.and_then(|n| read::word(file, n, "class of failure", &["timeout", "not_run"]))?;
    let message = file.required(&fields, "message", "'failure'").and_then(|n| file.text_of(n, "message"))?;
    let class = if class == "not_run" { FailureClass::NotRun } else { FailureClass::Timeout };
    Some(Failure::new(class, message))
}

fn target(file: &mut File<'_>, node: Option<&Node>, name: &str) -> Option<Target> {
    let mut target = Target {
        name: name.to_owned(),
        of: name.to_owned(),
        address: name.to_owned(),
        labels: BTreeMap::new(),
        discovered: false,
        subject: Subject { sort: "test".to_owned(), spec: Value::Null },
    };
    if let Some(node) = node {
        let fields = file.fields(node, "'target'", &["name", "of", "address", "labels", "discovered"])?;
        for (key, place) in [("name", &mut target.name), ("of", &mut target.of), ("address", &mut target.address)] {
            if let Some(node) = fields.get(key) {
                *place = file.text_of(node, key)?.to_owned();
            }
        }
        for (key, node) in fields.get("labels").and_then(|n| file.map_of(n, "labels")).unwrap_or_default() {
            target.labels.insert(key.name.clone(), file.text_of(node, &key.name)?.to_owned());
        }
        target.discovered = fields.get("discovered").is_some_and(|n| n.data == Data::Bool(true));
    }
    Some(target)
}

fn evidence(
    target: Target,
    kind: &str,
    level: model::Level,
    collected: Timestamp,
    facts: Option<Facts>,
    failure: Option<Failure>,
) -> Evidence {
    let provenance = Provenance {
        started: collected,
        millis: 0,
        sources: Vec::new(),
        connections: 0,
        bytes_sent: 0,
        bytes_received: 0,
        commands: Vec::new(),
        files: Vec::new(),
        attested_by_host_only: true,
    };
    Evidence {
        format: Evidence::FORMAT.to_owned(),
        target,
        kind: kind.to_owned(),
        level,
        asked: Ask::All,
        collected,
        facts,
        failure,
        provenance,
        exchanges: None,
        notes: BTreeMap::new(),
    }
}

impl Case {
    /// The finding of a control on this case's evidence.
    pub(crate) fn judge(&self, control: &Control) -> Option<Finding> {
        let policy = Policy::for_test(control.clone());
        let policies = [policy];
        let mut judge = Judge::new(&policies, self.as_of, "service");
        let earlier = |(i, evidence): (usize, &Evidence)| Earlier {
            digest: Digest::of(format!("prior {i}").as_bytes()),
            evidence: evidence.clone(),
        };
        for (i, piece) in self.pieces.iter().enumerate() {
            let earlier = self.prior.iter().enumerate().map(earlier).collect();
            judge.evidence_after(piece.clone(), Digest::of(&i.to_be_bytes()), earlier);
        }
        judge.finish(&[], &Waivers::default()).findings.into_iter().next()
    }

    /// What is not as the case says.
    pub(crate) fn complaint(&self, control: &Control) -> Option<String> {
        let Some(finding) = self.judge(control) else { return Some(format!("case '{}' gives no finding", self.name)) };
        let reason = finding.reasons.first().map_or("", |r| r.message.as_str());
        if finding.verdict != self.verdict {
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            return Some(format!(
                "case '{}' is {}, not {}{why}",
                self.name,
                finding.verdict.as_str(),
                self.verdict.as_str()
            ));
        }
        let wanted = self.message.as_ref()?;
        (!reason.contains(wanted.as_str())).then(|| format!("case '{}' says \"{reason}\", not \"{wanted}\"", self.name))
    }

    /// A passing case with what the control reads emptied: all lists, and those alone that its paths end in.
    pub(crate) fn emptied(&self, control: &Control) -> Vec<Self> {
        if self.verdict != Verdict::Pass {
            return Vec::new();
        }
        let compiled = &control.compiled;
        let mut all: BTreeSet<&str> = compiled.usage.fields.iter().map(String::as_str).collect();
        all.extend(compiled.over.iter().flat_map(|p| p.names()));
        let last: BTreeSet<&str> = compiled.over.iter().filter_map(|p| p.names().last()).collect();
        let variants = [(all, "every list that it reads is empty"), (last, "the lists that it looks at are empty")];
        let variants = variants.into_iter().filter_map(|(lists, what)| {
            let mut changed = false;
            let pieces = self.pieces.iter().map(|piece| {
                let mut piece = piece.clone();
                for (_, value) in piece.facts.iter_mut().flatten() {
                    changed |= empty(value, &lists);
                }
                if let Some(facts) = &mut piece.facts {
                    changed |= empty_here(facts, &lists);
                }
                piece
            });
            let pieces = pieces.collect();
            let name = format!("in case '{}' {what}", self.name);
            changed.then(|| Self { name, verdict: Verdict::Inconclusive, message: None, pieces, ..self.clone() })
        });
        variants.collect()
    }

    /// A passing case without its earlier evidence.
    pub(crate) fn without_prior(&self) -> Option<Self> {
        let name = format!("in case '{}' there is no earlier evidence", self.name);
        let verdict = Verdict::Inconclusive;
        let emptied = || Self { name, verdict, message: None, prior: Vec::new(), ..self.clone() };
        (self.verdict == Verdict::Pass && !self.prior.is_empty()).then(emptied)
    }

    /// The facts as one JSON value, as paths in findings see them.
    pub(crate) fn root(&self, service: bool) -> Value {
        let facts = |p: &Evidence| p.facts.clone().map_or(Value::Null, Value::Object);
        if service {
            let all: Vec<Value> = self.pieces.iter().map(|p| serde_json::json!({ "facts": facts(p) })).collect();
            serde_json::json!({ "all": all })
        } else {
            self.pieces.first().map_or(Value::Null, facts)
        }
    }

    /// The same case with other facts.
    pub(crate) fn with_root(&self, mut root: Value, service: bool) -> Self {
        let mut pieces = self.pieces.clone();
        for (i, piece) in pieces.iter_mut().enumerate() {
            let facts =
                if service { root.pointer_mut(&format!("/all/{i}/facts")).map(Value::take) } else { Some(root.take()) };
            piece.facts = facts.and_then(|f| if let Value::Object(f) = f { Some(f) } else { None });
        }
        Self { pieces, ..self.clone() }
    }
}

/// Empties the lists of those names below a value, and says that nothing was asked for.
fn empty(value: &mut Value, lists: &BTreeSet<&str>) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |changed, item| empty(item, lists) | changed),
        Value::Object(entries) => {
            let below = entries.iter_mut().fold(false, |changed, (_, v)| empty(v, lists) | changed);
            empty_here(entries, lists) | below
        }
        _ => false,
    }
}

fn empty_here(entries: &mut Facts, lists: &BTreeSet<&str>) -> bool {
    let mut changed = false;
    for (key, value) in entries.iter_mut() {
        if let (true, Value::Array(items)) = (lists.contains(key.as_str()) && key != "asked", value) {
            changed |= !items.is_empty();
            items.clear();
        }
    }
    let holds = entries.iter().any(|(k, v)| lists.contains(k.as_str()) && k != "asked" && v.is_array());
    if let (true, Some(asked)) = (holds, entries.get_mut("asked")) {
        changed |= *asked != Value::Array(Vec::new());
        *asked = Value::Array(Vec::new());
    }
    changed
}
