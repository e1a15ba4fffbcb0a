//! The tests of controls: evidence and the verdict that must follow, and mutants that some test must notice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::{Timestamp, Verdict};
use serde::Serialize;
use serde_json::Value;

use crate::cases::{Case, SuiteReader};
use crate::control::{Control, Params, Scope};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::library::{Library, is_in};
use crate::mutate::mutants;
use crate::profile::override_params;
use crate::yaml::File;
use crate::{Kinds, Sources};

/// A mutant that no case noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survivor {
    /// The control.
    pub control: String,
    /// What was changed.
    pub mutant: String,
    /// Where the control is written.
    pub source: model::Source,
    /// Why no test can tell, as the tests say; without it the survivor is an error.
    pub reason: Option<String>,
}

/// What running the tests gave.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TestReport {
    /// Controls with tests.
    pub controls: usize,
    /// Cases run, those that the engine made (emptied lists) included.
    pub cases: usize,
    /// Mutants made.
    pub mutants: usize,
    /// Mutants noticed.
    pub killed: usize,
    /// Mutants not noticed.
    pub survivors: Vec<Survivor>,
    /// Everything wrong: files that can't be read, cases that failed, controls without tests.
    pub problems: Diagnostics,
}

impl TestReport {
    /// Whether every case came out as written and every survivor has its reason.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.problems.is_empty() && self.survivors.iter().all(|s| s.reason.is_some())
    }

    /// Mutants noticed, in percent of all but those with a written reason; 100 where there are none.
    #[must_use]
    pub fn score(&self) -> u32 {
        let excused = self.survivors.iter().filter(|s| s.reason.is_some()).count();
        let counted = self.mutants.saturating_sub(excused);
        let percent = self.killed.saturating_mul(100).checked_div(counted).unwrap_or(100);
        u32::try_from(percent).unwrap_or(100)
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.problems.is_empty() {
            writeln!(f, "{}", self.problems)?;
        }
        for survivor in &self.survivors {
            let Survivor { control, mutant, source, reason } = survivor;
            let why = reason.as_deref().map_or_else(String::new, |r| format!(" (excused: {r})"));
            let line = format!("{}:{}: {control}: no case notices {mutant}{why}", source.file, source.line);
            writeln!(f, "{}", crate::diagnostic::printable(&line))?;
        }
        let Self { controls, cases, mutants, killed, .. } = self;
        let excused = self.survivors.iter().filter(|s| s.reason.is_some()).count();
        write!(f, "{controls} controls, {cases} cases, {} problems; ", self.problems.len())?;
        write!(f, "{killed} of {mutants} mutants noticed, {excused} excused: {} %", self.score())
    }
}

/// How the entry of `survivors` is called that excuses a pass over emptied lists.
const EMPTIED_LISTS: &str = "emptied lists: still a pass";
/// The same for a pass without the earlier evidence of a case.
const EMPTIED_PRIOR: &str = "emptied prior: still a pass";

/// The tests of one control.
pub(crate) struct Suite<'l> {
    pub(crate) control: &'l Control,
    pub(crate) params: Params,
    pub(crate) cases: Vec<Case>,
    pub(crate) excused: BTreeMap<String, (String, Place)>,
    pub(crate) place: Place,
}

/// Runs every `tests/*.yaml` of the sources.
///
/// Every control of the library needs a passing, a failing and an inconclusive case. From each passing case the engine
/// makes others with lists emptied, none of which may pass. Of each control mutants are made that some case must notice.
#[must_use]
pub fn run_tests(library: &Library, sources: &Sources, kinds: &Kinds) -> TestReport {
    let mut report = TestReport::default();
    let mut problems = Vec::new();
    let mut tested: BTreeSet<&str> = BTreeSet::new();
    for (path, source) in sources.iter().filter(|(path, _)| is_in(path, "tests")) {
        let (mut file, node) = File::read(path, &source.bytes);
        let fields = node.as_ref().and_then(|n| file.fields(n, "a file of tests", &["tests"]));
        let list = fields.and_then(|f| file.required(&f, "tests", "the file"));
        for node in list.and_then(|n| file.list_of(n, "tests")).unwrap_or_default() {
            let reader = SuiteReader { library, sources, kinds };
            if let Some(suite) = reader.suite(&mut file, node) {
                if !tested.insert(&suite.control.written.id) {
                    let message = format!("'{}' is tested twice", suite.control.written.id);
                    problems.push(suite.place.error("duplicate-id", message, None));
                }
                suite.run(&mut report, &mut problems);
            }
        }
        problems.append(&mut file.found);
    }
    for control in library.controls().filter(|c| !tested.contains(c.written.id.as_str())) {
        let mut problem =
            Place::default().error("no-test", format!("control '{}' has no tests", control.written.id), None);
        (problem.file, problem.line, problem.column) =
            (control.source.file.clone(), control.source.line, control.source.column);
        problems.push(problem);
    }
    report.problems = Diagnostics::new(problems);
    report
}

impl Suite<'_> {
    fn run(&self, report: &mut TestReport, problems: &mut Vec<Diagnostic>) {
        let id = &self.control.written.id;
        let mut control = self.control.clone();
        override_params(&mut control, &self.params, |_| &self.place, problems);
        for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive] {
            if !self.cases.iter().any(|c| c.verdict == verdict) {
                let message = format!("'{id}' has no case whose verdict is {}", verdict.as_str());
                problems.push(self.place.error("no-test", message, None));
            }
        }
        report.controls += 1;
        report.cases += self.cases.len();
        let found = problems.len();
        for case in &self.cases {
            problems.extend(case.complaint(&control).map(|message| case.place.error("test-failed", message, None)));
        }
        let lists = self.cases.iter().flat_map(|c| c.emptied(&control)).map(|c| (EMPTIED_LISTS, c));
        let prior = self.cases.iter().filter_map(Case::without_prior).map(|c| (EMPTIED_PRIOR, c));
        let mut emptied: Vec<(&str, Case)> = lists.chain(prior).collect();
        report.cases += emptied.len();
        emptied.retain(|(what, case)| {
            let passes = case.judge(&control).is_some_and(|f| f.verdict == Verdict::Pass);
            if passes {
                self.survivor(what, report);
                let message = format!("'{id}' passes though {}", case.name);
                if !self.excused.contains_key(*what) {
                    problems.push(case.place.error("vacuous-pass", message, None));
                }
            }
            // What passes anyway tells no mutant apart.
            !passes
        });
        // Mutants of a control whose tests fail tell nothing.
        if problems.len() > found {
            return;
        }
        for case in self.cases.iter().filter(|c| c.verdict == Verdict::Fail) {
            report.mutants += 1;
            match self.flips(case, &control) {
                true => report.killed += 1,
                false => self.survivor(
                    &format!("facts of '{}': no change of what is read changes the verdict", case.name),
                    report,
                ),
            }
        }
        for mutant in mutants(&control) {
            report.mutants += 1;
            let noticed = self.cases.iter().any(|c| c.complaint(&mutant.control).is_some());
            let passes = |c: &Case| c.judge(&mutant.control).is_some_and(|f| f.verdict == Verdict::Pass);
            let noticed = noticed || emptied.iter().any(|(_, c)| passes(c));
            if noticed {
                report.killed += 1;
            } else {
                self.survivor(&mutant.what, report);
            }
        }
        for (mutant, (_, place)) in &self.excused {
            if !report.survivors.iter().any(|s| s.control == *id && s.mutant == *mutant) {
                let message = format!("no mutant '{mutant}' survives; take the entry away");
                problems.push(place.error("unused-survivor", message, None));
            }
        }
    }

    fn survivor(&self, mutant: &str, report: &mut TestReport) {
        let survivor = Survivor {
            control: self.control.written.id.clone(),
            mutant: mutant.to_owned(),
            source: self.control.source.clone(),
            reason: self.excused.get(mutant).map(|(reason, _)| reason.clone()),
        };
        if !report.survivors.contains(&survivor) {
            report.survivors.push(survivor);
        }
    }

    /// Whether changing one thing that the control reads, in all that it complains of, turns the failure into
    /// something else.
    fn flips(&self, case: &Case, control: &Control) -> bool {
        let Some(finding) = case.judge(control) else { return false };
        let items: Vec<&str> = finding.reasons.iter().map(|r| r.item.as_deref().unwrap_or("")).collect();
        let fields = &control.compiled.usage.fields;
        let service = control.written.evidence.scope == Scope::Service;
        let passing: Vec<&Case> = self.cases.iter().filter(|c| c.verdict == Verdict::Pass).collect();
        let other_prior = |donor: &&&Case| !donor.prior.is_empty() || !case.prior.is_empty();
        let by_prior = passing.iter().filter(other_prior).any(|donor| {
            let changed = Case { prior: donor.prior.clone(), ..case.clone() };
            changed.judge(control).is_some_and(|f| f.verdict != Verdict::Fail)
        });
        if by_prior {
            return true;
        }
        let mut leaves: BTreeSet<String> = BTreeSet::new();
        for item in items.iter().flat_map(|at| around(at)) {
            leaves.extend(case.root(service).pointer(&pointer(item)).map(|v| scalars(v, fields)).unwrap_or_default());
        }
        leaves.iter().any(|leaf| {
            (0..=passing.len()).any(|source| {
                let mut root = case.root(service);
                for item in items.iter().flat_map(|at| around(at)) {
                    let place = format!("{}{leaf}", pointer(item));
                    let donor = passing.get(source).and_then(|c| c.root(service).pointer(&place).cloned());
                    if let Some(value) = root.pointer_mut(&place).filter(|v| !v.is_array() && !v.is_object()) {
                        *value = donor.unwrap_or_else(|| other(value));
                    }
                }
                case.with_root(root, service).judge(control).is_some_and(|f| f.verdict != Verdict::Fail)
            })
        })
    }
}

/// The item itself, and the things around it, innermost first; the facts themselves last.
fn around(at: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(
        Some(at),
        |at| if at.is_empty() { None } else { Some(at.rsplit_once('.').map_or("", |(a, _)| a)) },
    )
}

/// `versions[2].suites` as a JSON pointer (RFC 6901).
fn pointer(at: &str) -> String {
    if at.is_empty() {
        return String::new();
    }
    format!("/{}", at.replace(['.', '['], "/").replace(']', ""))
}

/// Pointers to the scalars below a value whose key is among the fields that are read.
fn scalars(value: &Value, fields: &BTreeSet<String>) -> Vec<String> {
    let Value::Object(entries) = value else { return vec![String::new()] };
    let mut found = Vec::new();
    for (key, value) in entries.iter().filter(|(key, _)| fields.contains(*key)) {
        match value {
            Value::Object(_) => found.extend(scalars(value, fields).into_iter().map(|p| format!("/{key}{p}"))),
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    found.extend(scalars(item, fields).into_iter().map(|p| format!("/{key}/{i}{p}")));
                }
            }
            _ => found.push(format!("/{key}")),
        }
    }
    found
}

/// An obviously other value of the same type.
fn other(value: &Value) -> Value {
    match value {
        Value::Bool(b) => (!b).into(),
        Value::Number(n) if n.as_i64().is_some_and(|n| n > 0) => 0.into(),
        Value::Number(_) => 1_000_000.into(),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => "2100-01-01T00:00:00Z".into(),
        _ => "(other)".into(),
    }
}
