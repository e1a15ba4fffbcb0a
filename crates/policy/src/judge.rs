//! Judges evidence as it comes in, piece by piece.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    Citation, ControlInfo, Digest, Evidence, ExchangesRef, FailureClass, Finding, Level, Notice, PolicyRef, Target,
    Timestamp, Verdict, WaiverLine,
};

use crate::control::{Needs, Scope as Breadth};
use crate::decide::{Conclusion, MAX_CITES, Rule, Subject, decide};
use crate::expr::{Engine, Scope};
use crate::fact::Fact;
use crate::path::Found;
use crate::policy::{Policy, compute, params_fact};
use crate::prior::{Earlier, Past, read};
use crate::waiver::Waivers;

/// All that judging gives; the caller adds what only it knows (run, coverage, digests of files).
#[derive(Clone, Debug)]
pub struct Judged {
    /// Sorted by policy (in the order given), control, target.
    pub findings: Vec<Finding>,
    /// The policies, in the order given.
    pub policies: Vec<PolicyRef>,
    /// Every control judged, by id.
    pub controls: BTreeMap<String, ControlInfo>,
    /// The register of waivers.
    pub waivers: Vec<WaiverLine>,
    /// What a reader must see beside the findings.
    pub notices: Vec<Notice>,
}

/// Labels that a target must carry.
pub type Labels = BTreeMap<String, String>;

/// The targets that a policy is for: those that carry all labels of at least one of these, or every target where there
/// are none.
pub type Only = Vec<Labels>;

fn takes(only: &[Labels], labels: &Labels) -> bool {
    only.is_empty() || only.iter().any(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// A control that at least one policy has, with its parameters.
struct Judgement<'p> {
    rule: Rule<'p>,
    id: Arc<str>,
    /// The policies that have it, in this form and for the same targets, by position.
    policies: Vec<usize>,
    only: Only,
}

/// Judges evidence piece by piece and keeps findings only, and of the facts no more than what controls of scope
/// `service` need.
pub struct Judge<'p> {
    policies: &'p [Policy],
    names: Vec<Arc<str>>,
    as_of: Timestamp,
    service: Arc<str>,
    engine: Engine,
    judgements: Vec<Judgement<'p>>,
    /// Positions in `judgements` of the controls of scope `target`, by kind.
    by_kind: BTreeMap<&'p str, Vec<usize>>,
    /// Evidence kept for controls of scope `service`, by kind.
    kept: BTreeMap<&'p str, Vec<Piece>>,
    /// Targets with evidence, by kind.
    seen: BTreeMap<String, BTreeSet<Arc<str>>>,
    /// Findings with the position of their policy.
    findings: Vec<(usize, Finding)>,
}

/// What is kept of evidence for controls of scope `service`.
struct Piece {
    target: Arc<str>,
    labels: Labels,
    digest: Digest,
    level: Level,
    collected: Timestamp,
    exchanges: Option<ExchangesRef>,
    /// The entry of `all`, or why there are no facts.
    entry: Result<Fact, String>,
}

impl<'p> Judge<'p> {
    /// A judge for these policies at this instant. `service` is the name that findings on the whole are under.
    #[must_use]
    pub fn new(policies: &'p [Policy], as_of: Timestamp, service: &str) -> Self {
        Self::for_targets(policies, &[], as_of, service)
    }

    /// A judge for policies of which some are for some targets only: `only` stands beside `policies`, position by
    /// position; a policy without an entry is for every target.
    #[must_use]
    pub fn for_targets(policies: &'p [Policy], only: &[Only], as_of: Timestamp, service: &str) -> Self {
        let engine = Engine::new(as_of);
        let mut judgements: Vec<Judgement<'p>> = Vec::new();
        let mut forms: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, policy) in policies.iter().enumerate() {
            let only = only.get(position).cloned().unwrap_or_default();
            for control in &policy.controls {
                let forms = forms.entry(&control.written.id).or_default();
                // The same control with the same parameters is judged once.
                let same = forms.iter().filter_map(|i| Some((*i, judgements.get(*i)?)));
                let same = same.filter(|(_, j)| j.rule.control.written == control.written && j.only == only);
                let same = same.map(|(i, _)| i).next();
                if let Some(judgement) = same.and_then(|i| judgements.get_mut(i)) {
                    judgement.policies.push(position);
                    continue;
                }
                let params = &control.written.params;
                let cover = control.compiled.cover.as_ref().map_or(Ok(Vec::new()), |c| compute(c, params, &engine));
                forms.push(judgements.len());
                let rule = Rule { control, params: params_fact(params), cover };
                let id = control.written.id.as_str().into();
                judgements.push(Judgement { rule, id, policies: vec![position], only: only.clone() });
            }
        }
        let (mut by_kind, mut kept): (BTreeMap<_, Vec<_>>, BTreeMap<_, _>) = (BTreeMap::new(), BTreeMap::new());
        for (i, judgement) in judgements.iter().enumerate() {
            let needs = &judgement.rule.control.written.evidence;
            for kind in &needs.kinds {
                match needs.scope {
                    Breadth::Target => by_kind.entry(kind.as_str()).or_default().push(i),
                    Breadth::Service => drop(kept.entry(kind.as_str()).or_insert_with(Vec::new)),
                }
            }
        }
        let names = policies.iter().map(|p| p.name.as_str().into()).collect();
        let (service, seen, findings) = (service.into(), BTreeMap::new(), Vec::new());
        Self { policies, names, as_of, service, engine, judgements, by_kind, kept, seen, findings }
    }

    /// Judges one piece of evidence, known by its digest. Kinds that no control needs are passed over.
    pub fn evidence(&mut self, evidence: Evidence, digest: Digest) {
        self.evidence_after(evidence, digest, Vec::new());
    }

    /// Judges one piece of evidence, with earlier evidence at hand. Of that counts what is of the same kind, on the
    /// target of the same name, and older.
    ///
    /// Where the piece is of a drill that was not run, the newest earlier one stands in its place, facts or failure as it is,
    /// in controls of scope `target`.
    pub fn evidence_after(&mut self, evidence: Evidence, digest: Digest, earlier: Vec<Earlier>) {
        let Evidence { target, kind, level, collected, facts, failure, exchanges, .. } = evidence;
        let name: Arc<str> = target.name.as_str().into();
        self.seen.entry(kind.clone()).or_default().insert(Arc::clone(&name));
        let judgements = self.by_kind.get(kind.as_str()).map(Vec::as_slice).unwrap_or_default();
        let concerned = |i: &&usize| self.judgements.get(**i).is_some_and(|j| takes(&j.only, &target.labels));
        let judgements: Vec<usize> = judgements.iter().filter(concerned).copied().collect();
        if judgements.is_empty() && !self.kept.contains_key(kind.as_str()) {
            return;
        }
        let past = Past::of(earlier, &kind, &target.name, collected.min(self.as_of));
        let facts = read(facts, failure.as_ref());
        let not_run = failure.is_some_and(|f| f.class == FailureClass::NotRun);
        let (stand_in, without) = match (not_run.then(|| past.stand_in(&target.subject)), &facts) {
            (Some(Ok(piece)), _) => (Some(piece), None),
            (Some(Err(none)), Err(why)) => (None, Some(Err(format!("not run, and {none}: {why}")))),
            _ => (None, None),
        };
        let shown = match stand_in {
            // The exchanges behind an earlier piece are in the pack of its own run.
            Some(p) => {
                Shown { facts: &p.facts, digest: p.digest, level: p.level, collected: p.collected, exchanges: None }
            }
            None => {
                let facts = without.as_ref().unwrap_or(&facts);
                Shown { facts, digest, level, collected, exchanges: exchanges.as_ref() }
            }
        };
        let labels = target.labels.clone();
        let target = target_fact(&target);
        let when = Fact::text(shown.collected.to_string());
        let mut walks: BTreeMap<&str, Vec<Found<'_>>> = BTreeMap::new();
        if let Ok(facts) = shown.facts {
            let paths = judgements.iter().filter_map(|i| self.judgements.get(*i));
            for path in paths.flat_map(|j| &j.rule.control.compiled.over) {
                walks.entry(path.text.as_str()).or_insert_with(|| path.walk(facts));
            }
        }
        let cite = |list: &Found<'_>, _: usize, item: Option<&Fact>| {
            let holders = [item, Some(list.parent), shown.facts.as_ref().ok()];
            cites(shown.exchanges, holders.into_iter().flatten())
        };
        for judgement in judgements.iter().filter_map(|i| self.judgements.get(*i)) {
            let rule = &judgement.rule;
            let params = Some(&rule.params);
            let needs = &rule.control.written.evidence;
            let prior = past.seen_by(needs, self.as_of, shown.collected);
            let facts = shown.facts.as_ref().ok();
            let (target, collected) = (Some(&target), Some(&when));
            let scope = Scope { params, target, facts, collected, prior: prior.as_ref(), ..Scope::default() };
            let usable = usable(needs, shown.level, shown.collected, self.as_of);
            let conclusion = match (shown.facts, usable) {
                (Err(why), _) => Conclusion::of(Verdict::Inconclusive, why.clone()),
                (_, Err(why)) => Conclusion::of(Verdict::Inconclusive, why),
                (Ok(root), Ok(())) => {
                    let over = &rule.control.compiled.over;
                    let walks = over.iter().filter_map(|p| walks.get(p.text.as_str())).map(Vec::as_slice).collect();
                    let subject = Subject { root, scope, walks, cite: &cite, as_of: self.as_of };
                    decide(rule, &self.engine, &subject, Vec::new())
                }
            };
            let conclusion = match stand_in {
                Some(piece) => conclusion.of_earlier(piece.collected),
                None => conclusion,
            };
            let wanted = wanted(rule, &scope, &conclusion, self.as_of);
            let on = On { target: &name, level: Some(shown.level), evidence: vec![shown.digest] };
            spread(&mut self.findings, &self.names, judgement, &judgement.policies, on, conclusion, wanted);
        }
        drop(walks);
        if let Some(pieces) = self.kept.get_mut(kind.as_str()) {
            let entry = facts.map(|facts| entry(&name, &target, &kind, level, collected, facts));
            pieces.push(Piece { target: name, labels, digest, level, collected, exchanges, entry });
        }
    }

    /// Ends the judging: controls of scope `service`, kinds without a target, waivers, order.
    ///
    /// `targets` are all targets of the audit. One whose sort is a kind that controls need, and of which no evidence
    /// came, is inconclusive.
    #[must_use]
    pub fn finish(mut self, targets: &[Target], waivers: &Waivers) -> Judged {
        let mut findings = std::mem::take(&mut self.findings);
        for judgement in &self.judgements {
            // A label that was renamed must not silence a policy.
            if !targets.iter().any(|t| takes(&judgement.only, &t.labels)) && !judgement.only.is_empty() {
                let message = format!("no target has the labels that this policy is for: {}", shown(&judgement.only));
                let on = On { target: &self.service, level: None, evidence: Vec::new() };
                let conclusion = Conclusion::of(Verdict::Inconclusive, message);
                self.conclude(judgement, &judgement.policies, on, conclusion, &mut findings);
                continue;
            }
            match judgement.rule.control.written.evidence.scope {
                Breadth::Target => self.absent(judgement, targets, &mut findings),
                Breadth::Service => self.whole(judgement, &mut findings),
            }
        }
        findings.sort_by(|(p, a), (q, b)| (p, &a.control, &a.target).cmp(&(q, &b.control, &b.target)));
        let mut findings: Vec<Finding> = findings.into_iter().map(|(_, finding)| finding).collect();
        let (waivers, mut notices) = waivers.apply(&mut findings, self.as_of);
        notices.sort();
        let controls = self.judgements.iter().map(|j| (j.rule.control.written.id.clone(), j.rule.control.info()));
        Judged {
            findings,
            policies: self.policies.iter().map(Policy::reference).collect(),
            controls: controls.collect(),
            waivers,
            notices,
        }
    }

    /// Findings where there is no evidence of a control's kind.
    fn absent(&self, judgement: &Judgement<'_>, targets: &[Target], findings: &mut Vec<(usize, Finding)>) {
        let kinds = &judgement.rule.control.written.evidence.kinds;
        let targets: Vec<&Target> = targets.iter().filter(|t| takes(&judgement.only, &t.labels)).collect();
        for kind in kinds {
            let all = self.seen.get(kind);
            let has_evidence = |t: &&&Target| all.is_some_and(|seen| seen.contains(t.name.as_str()));
            let left: Vec<&Target> =
                targets.iter().filter(|t| t.subject.sort == *kind && !has_evidence(t)).copied().collect();
            // Without labels, evidence counts whether or not the caller named its target.
            let seen = match judgement.only.is_empty() {
                true => all.is_some_and(|seen| !seen.is_empty()),
                false => targets.iter().any(|t| has_evidence(&t)),
            };
            for target in &left {
                let name: Arc<str> = target.name.as_str().into();
                let conclusion = Conclusion::of(Verdict::Inconclusive, "no evidence was collected");
                let on = On { target: &name, level: None, evidence: Vec::new() };
                self.conclude(judgement, &judgement.policies, on, conclusion, findings);
            }
            if !seen && left.is_empty() {
                self.no_target(judgement, findings);
            }
        }
    }

    /// The findings on the service where nothing is there to look at.
    fn no_target(&self, judgement: &Judgement<'_>, findings: &mut Vec<(usize, Finding)>) {
        let kinds = &judgement.rule.control.written.evidence.kinds;
        for position in &judgement.policies {
            let requires = self.policies.get(*position).map(|p| p.requires.as_slice()).unwrap_or_default();
            let required = kinds.iter().find(|k| requires.contains(k));
            let conclusion = match required {
                Some(kind) => {
                    let message = format!("no such target: the policy requires one with evidence of kind '{kind}'");
                    Conclusion::of(Verdict::Inconclusive, message)
                }
                None => Conclusion::of(Verdict::NotApplicable, "no such target"),
            };
            let on = On { target: &self.service, level: None, evidence: Vec::new() };
            self.conclude(judgement, std::slice::from_ref(position), on, conclusion, findings);
        }
    }

    fn conclude(
        &self,
        judgement: &Judgement<'_>,
        policies: &[usize],
        on: On<'_>,
        conclusion: Conclusion,
        findings: &mut Vec<(usize, Finding)>,
    ) {
        let scope = Scope { params: Some(&judgement.rule.params), ..Scope::default() };
        let wanted = wanted(&judgement.rule, &scope, &conclusion, self.as_of);
        spread(findings, &self.names, judgement, policies, on, conclusion, wanted);
    }

    /// A control of scope `service`, over all evidence of its kinds at once.
    fn whole(&self, judgement: &Judgement<'_>, findings: &mut Vec<(usize, Finding)>) {
        let rule = &judgement.rule;
        let needs = &rule.control.written.evidence;
        let of_kind = |kind: &String| {
            let pieces = self.kept.get(kind.as_str()).map(Vec::as_slice).unwrap_or_default();
            pieces.iter().filter(|p| takes(&judgement.only, &p.labels)).collect::<Vec<_>>()
        };
        let mut pieces: Vec<&Piece> = needs.kinds.iter().flat_map(of_kind).collect();
        if pieces.is_empty() {
            return self.no_target(judgement, findings);
        }
        pieces.sort_by(|a, b| (&a.target, a.digest).cmp(&(&b.target, b.digest)));
        let mut unproven: Vec<String> = Vec::new();
        for kind in needs.kinds.iter().filter(|k| of_kind(k).is_empty()) {
            unproven.push(format!("there is no evidence of kind '{kind}'"));
        }
        let mut used: Vec<&Piece> = Vec::new();
        for piece in &pieces {
            let usable = usable(needs, piece.level, piece.collected, self.as_of);
            match (&piece.entry, usable) {
                (Ok(_), Ok(())) => used.push(piece),
                (Err(why), _) => unproven.push(format!("{}: {why}", piece.target)),
                (_, Err(why)) => unproven.push(format!("{}: {why}", piece.target)),
            }
        }
        let all = Fact::list(used.iter().filter_map(|p| p.entry.as_ref().ok().cloned()));
        let root = Fact::object([("all".to_owned(), all)]);
        let scope = Scope { all: root.get("all"), params: Some(&rule.params), ..Scope::default() };
        let walked: Vec<Vec<Found<'_>>> = rule.control.compiled.over.iter().map(|path| path.walk(&root)).collect();
        let cite = |list: &Found<'_>, i: usize, item: Option<&Fact>| {
            let piece = list.origin.or(Some(i)).and_then(|i| used.get(i));
            let facts = piece.and_then(|p| p.entry.as_ref().ok()).and_then(|e| e.get("facts"));
            let holders = [item, Some(list.parent), facts].into_iter().flatten();
            cites(piece.and_then(|p| p.exchanges.as_ref()), holders)
        };
        let walks = walked.iter().map(Vec::as_slice).collect();
        let subject = Subject { root: &root, scope, walks, cite: &cite, as_of: self.as_of };
        let conclusion = decide(rule, &self.engine, &subject, unproven);
        let evidence = pieces.iter().map(|p| p.digest).collect();
        let level = pieces.iter().map(|p| p.level).min();
        self.conclude(
            judgement,
            &judgement.policies,
            On { target: &self.service, level, evidence },
            conclusion,
            findings,
        );
    }
}

/// What is judged of a piece of evidence: its own, or that of the earlier one in its place.
struct Shown<'a> {
    facts: &'a Result<Fact, String>,
    digest: Digest,
    level: Level,
    collected: Timestamp,
    exchanges: Option<&'a ExchangesRef>,
}

/// Where findings go.
struct On<'a> {
    target: &'a Arc<str>,
    level: Option<Level>,
    evidence: Vec<Digest>,
}

/// One finding for each policy that has the control.
fn spread(
    findings: &mut Vec<(usize, Finding)>,
    names: &[Arc<str>],
    judgement: &Judgement<'_>,
    policies: &[usize],
    on: On<'_>,
    conclusion: Conclusion,
    wanted: Option<String>,
) {
    for position in policies {
        let Some(policy) = names.get(*position) else { continue };
        let finding = Finding {
            policy: Arc::clone(policy),
            control: Arc::clone(&judgement.id),
            target: Arc::clone(on.target),
            verdict: conclusion.verdict,
            severity: judgement.rule.control.written.severity,
            waiver: None,
            level: on.level,
            reasons: conclusion.reasons.clone(),
            wanted: wanted.clone(),
            evidence: on.evidence.clone(),
        };
        findings.push((*position, finding));
    }
}

/// What would have passed; said where it matters.
fn wanted(rule: &Rule<'_>, scope: &Scope<'_>, conclusion: &Conclusion, as_of: Timestamp) -> Option<String> {
    matches!(conclusion.verdict, Verdict::Fail | Verdict::Inconclusive).then(|| {
        let text = rule.control.compiled.templates.render("wanted", scope, as_of);
        text.unwrap_or_else(|_| rule.control.written.title.clone())
    })
}

/// Whether evidence of that age and level will do.
fn usable(needs: &Needs, level: Level, collected: Timestamp, as_of: Timestamp) -> Result<(), String> {
    if let Some(least) = needs.level
        && level < least
    {
        return Err(format!("the evidence is {} only; {} is needed", level.as_str(), least.as_str()));
    }
    if collected > as_of {
        return Err(format!("the evidence is from {collected}, after the instant of judgement"));
    }
    let age = as_of.as_second().saturating_sub(collected.as_second());
    if age > needs.max_age_seconds() {
        return Err(format!("the evidence is from {collected}, more than {} old", needs.max_age));
    }
    Ok(())
}

/// The exchanges behind a thing: those that it names itself, else those of what is around it.
fn cites<'f>(exchanges: Option<&ExchangesRef>, mut holders: impl Iterator<Item = &'f Fact>) -> Vec<Citation> {
    let Some(exchanges) = exchanges else { return Vec::new() };
    let seen = holders.find_map(|fact| fact.get("seen").and_then(Fact::as_list)).unwrap_or_default();
    let index = |fact: &Fact| match fact {
        Fact::Int(i) => u32::try_from(*i.inner()).ok().filter(|i| *i < exchanges.count),
        _ => None,
    };
    let cite = |index: u32| Citation { exchanges: exchanges.digest, index };
    seen.iter().filter_map(index).take(MAX_CITES).map(cite).collect()
}

/// Labels as a person writes them: `tier=edge, data=personal or tier=mail`.
fn shown(only: &[Labels]) -> String {
    let one = |labels: &Labels| labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(", ");
    only.iter().map(one).collect::<Vec<_>>().join(" or ")
}

fn labels(target: &Target) -> Fact {
    Fact::object(target.labels.iter().map(|(k, v)| (k.clone(), Fact::text(v.clone()))))
}

fn target_fact(target: &Target) -> Fact {
    let text = |s: &str| Fact::text(s);
    Fact::object([
        ("name".to_owned(), text(&target.name)),
        ("of".to_owned(), text(&target.of)),
        ("address".to_owned(), text(&target.address)),
        ("labels".to_owned(), labels(target)),
        ("discovered".to_owned(), Fact::Bool(target.discovered.into())),
    ])
}

/// An entry of `all`.
fn entry(name: &str, target: &Fact, kind: &str, level: Level, collected: Timestamp, facts: Fact) -> Fact {
    let labels = target.get("labels").cloned().unwrap_or(Fact::Null);
    Fact::object([
        ("target".to_owned(), Fact::text(name)),
        ("labels".to_owned(), labels),
        ("kind".to_owned(), Fact::text(kind)),
        ("level".to_owned(), Fact::text(level.as_str())),
        ("collected".to_owned(), Fact::text(collected.to_string())),
        ("facts".to_owned(), facts),
    ])
}
