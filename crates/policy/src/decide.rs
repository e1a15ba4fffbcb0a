//! From facts to a verdict: three-valued by construction.
//!
//! A pass has to be earned. Whatever is missing, can't be evaluated, was not looked for or says of itself that it is
//! not proven makes the verdict inconclusive, unless something is proven to be violated.

use std::collections::BTreeSet;

use cel::Context;
use model::{Citation, Reason, Timestamp, Verdict};

use crate::control::Control;
use crate::expr::{Engine, Expr, Scope};
use crate::fact::{Fact, allow_steps, step};
use crate::path::{Found, Reached, is_unproven};

/// How many reasons a finding gives before it only counts.
const MAX_REASONS: usize = 20;
/// How many exchanges a reason cites.
pub(crate) const MAX_CITES: usize = 8;
/// How many items one control may look at in one piece of evidence, loops in its expressions included.
const MAX_STEPS: u64 = 2_000_000;

/// A control with its parameters, ready to judge.
pub(crate) struct Rule<'p> {
    pub(crate) control: &'p Control,
    pub(crate) params: Fact,
    pub(crate) cover: Result<Vec<String>, String>,
}

/// Finds the exchanges behind an item of a list, by its position, or behind the list itself.
pub(crate) type Cite<'a> = dyn Fn(&Found<'_>, usize, Option<&Fact>) -> Vec<Citation> + 'a;

/// What a rule is judged over.
pub(crate) struct Subject<'a> {
    /// The facts, or in scope `service` the object that holds `all`.
    pub(crate) root: &'a Fact,
    /// All variables but `item` and `parent`.
    pub(crate) scope: Scope<'a>,
    /// What each path of the rule leads to.
    pub(crate) walks: Vec<&'a [Found<'a>]>,
    /// Where the exchanges of the things in a list are kept.
    pub(crate) cite: &'a Cite<'a>,
    pub(crate) as_of: Timestamp,
}

/// A verdict and its reasons.
#[derive(Debug)]
pub(crate) struct Conclusion {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Vec<Reason>,
}

impl Conclusion {
    pub(crate) fn of(verdict: Verdict, message: impl Into<String>) -> Self {
        Self { verdict, reasons: vec![Reason { message: message.into(), item: None, cites: Vec::new() }] }
    }
}

/// Reasons up to a number, and how many more there were.
#[derive(Default)]
struct Reasons {
    list: Vec<Reason>,
    more: usize,
}

impl Reasons {
    /// Reasons that nobody will read are not even written.
    fn push(&mut self, reason: impl FnOnce() -> Reason) {
        if self.list.len() < MAX_REASONS { self.list.push(reason()) } else { self.more += 1 }
    }

    fn say(&mut self, message: String) {
        self.push(|| Reason { message, item: None, cites: Vec::new() });
    }

    const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn finish(mut self) -> Vec<Reason> {
        if self.more > 0 {
            self.list.push(Reason { message: format!("and {} more", self.more), item: None, cites: Vec::new() });
        }
        self.list
    }
}

/// Whether `where` leaves a thing in.
enum Concern {
    No,
    Yes,
    Unknown(String),
}

struct Decision<'d, 'a> {
    rule: &'d Rule<'d>,
    engine: &'d Engine,
    subject: &'d Subject<'a>,
    cover: &'d [String],
    violations: Reasons,
    unproven: Reasons,
    /// Things that `where` left.
    left: usize,
    /// Whether a list that was looked at is known to be complete, and whether all are.
    vouched: Option<bool>,
}

/// Judges a rule. `already` holds what is known to be unproven beforehand.
pub(crate) fn decide(rule: &Rule<'_>, engine: &Engine, subject: &Subject<'_>, already: Vec<String>) -> Conclusion {
    allow_steps(MAX_STEPS);
    let compiled = &rule.control.compiled;
    if let Some(applicable) = &compiled.applicable {
        match engine.with(&subject.scope, |context| applicable.test(context)) {
            Ok(true) => {}
            Ok(false) => return Conclusion::of(Verdict::NotApplicable, otherwise(rule, subject)),
            Err(why) => {
                return Conclusion::of(Verdict::Inconclusive, format!("whether it applies is not known: {why}"));
            }
        }
    }
    let cover = rule.cover.as_deref().unwrap_or_default();
    let (violations, unproven) = (Reasons::default(), Reasons::default());
    let mut decision = Decision { rule, engine, subject, cover, violations, unproven, left: 0, vouched: None };
    already.into_iter().for_each(|why| decision.unproven.say(why));
    if let Err(why) = &rule.cover {
        decision.unproven.say(format!("what to look for is not known: {why}"));
    }
    decision.everything();
    let Decision { violations, mut unproven, left, vouched, .. } = decision;
    if left == 0 && unproven.is_empty() && vouched != Some(true) {
        unproven
            .say("nothing was found that this could be judged by, and nothing shows that all was looked for".into());
    }
    match (violations.is_empty(), unproven.is_empty()) {
        (false, _) => Conclusion { verdict: Verdict::Fail, reasons: violations.finish() },
        (true, false) => Conclusion { verdict: Verdict::Inconclusive, reasons: unproven.finish() },
        (true, true) => Conclusion { verdict: Verdict::Pass, reasons: Vec::new() },
    }
}

fn otherwise(rule: &Rule<'_>, subject: &Subject<'_>) -> String {
    let text = rule.control.compiled.templates.render("otherwise", &subject.scope, subject.as_of);
    text.unwrap_or_else(|why| format!("it does not apply ({why})"))
}

impl<'a> Decision<'_, 'a> {
    fn everything(&mut self) {
        let subject = self.subject;
        if subject.walks.is_empty() {
            let root = subject.root;
            let whole = Found {
                reached: Reached::Single,
                at: String::new(),
                name: "",
                items: std::slice::from_ref(root),
                parent: root,
                holder: root,
                unproven: is_unproven(root),
                origin: None,
            };
            self.items(&whole);
            return;
        }
        let lists = || subject.walks.iter().flat_map(|walk| walk.iter());
        // What stands beside a list as `not_proven` is looked at once, whether a path names it or not.
        let mut beside: BTreeSet<String> = lists().filter(|l| l.name == "not_proven").map(|l| l.at.clone()).collect();
        for list in lists() {
            match &list.reached {
                Reached::Missing(why) => {
                    if !matches!(self.concern(None, Some(list.parent)), Concern::No) {
                        self.unproven.say(why.clone());
                    }
                }
                Reached::Outer => self.outer(list, &mut beside),
                Reached::Items => self.list(list, &mut beside),
                Reached::Single => self.items(list),
            }
        }
    }

    /// A list on the way to those that are looked at: all of it must have been looked for.
    fn outer(&mut self, list: &Found<'_>, beside: &mut BTreeSet<String>) {
        if !matches!(asked(list), Asked::Nothing | Asked::All) && !matches!(self.concern(None, None), Concern::No) {
            self.unproven.say(format!("not all of {} was looked for{}", called(&list.at), why_of(list.holder)));
        }
        for (entry, at) in entries_beside(list, beside) {
            if !matches!(self.concern(None, Some(entry)), Concern::No) {
                self.not_proven(entry, &at, list, 0);
            }
        }
    }

    fn list(&mut self, list: &Found<'_>, beside: &mut BTreeSet<String>) {
        // False whatever the item: no item that could be in the list is of concern.
        if matches!(self.concern(None, Some(list.parent)), Concern::No) {
            return;
        }
        if list.unproven {
            self.unproven.push(|| Reason {
                message: {
                    let name = name_of(list.parent).unwrap_or_else(|| called(&list.at));
                    format!("{name} is not proven{}", why_of(list.holder))
                },
                item: Some(list.at.clone()),
                cites: (self.subject.cite)(list, 0, None),
            });
            return;
        }
        if list.name != "not_proven" {
            let complete = self.complete(list);
            self.vouched = Some(self.vouched.unwrap_or(true) && complete);
            for (entry, at) in entries_beside(list, beside) {
                if !matches!(self.concern(Some(entry), Some(list.parent)), Concern::No) {
                    self.not_proven(entry, &at, list, 0);
                }
            }
        }
        self.items(list);
    }

    /// Whether everything that could be in a list was looked for. What was not is unproven.
    fn complete(&mut self, list: &Found<'_>) -> bool {
        if !self.cover.is_empty() && list.items.iter().any(|item| names(item).next().is_none()) {
            self.unproven.say(format!("something in {} has no name", list.at));
        }
        let missing: Vec<&str> = match asked(list) {
            Asked::All => return true,
            Asked::Nothing if self.cover.is_empty() => return false,
            Asked::Nothing => {
                let known: BTreeSet<&str> = list.items.iter().flat_map(names).collect();
                self.cover.iter().map(String::as_str).filter(|name| !known.contains(name)).collect()
            }
            Asked::Names(_) if self.cover.is_empty() => {
                self.unproven.say(format!("not all of {} was looked for{}", called(&list.at), why_of(list.holder)));
                return false;
            }
            Asked::Names(asked) => self.cover.iter().map(String::as_str).filter(|name| !asked.contains(name)).collect(),
        };
        if !missing.is_empty() {
            let some: Vec<&str> = missing.iter().copied().take(5).collect();
            let more = if missing.len() > 5 { format!(" and {} more", missing.len() - 5) } else { String::new() };
            self.unproven.say(format!("not looked for in {}: {}{more}", called(&list.at), some.join(", ")));
        }
        missing.is_empty()
    }

    fn items(&mut self, list: &Found<'_>) {
        for (i, item) in list.items.iter().enumerate() {
            if !step() {
                self.unproven.say("there is too much to look at".to_owned());
                return;
            }
            self.item(list, i, item);
        }
    }

    fn item(&mut self, list: &Found<'_>, i: usize, item: &Fact) {
        let scope = Scope { item: Some(item), parent: Some(list.parent), ..self.subject.scope };
        let compiled = &self.rule.control.compiled;
        let at = || match list.reached {
            Reached::Items => format!("{}[{i}]", list.at),
            _ => list.at.clone(),
        };
        let concern = self.concern(Some(item), Some(list.parent));
        match concern {
            Concern::No => return,
            Concern::Unknown(why) => {
                self.left += 1;
                self.unproven.push(|| self_reason(self.subject, list, i, item, at(), &why));
                return;
            }
            Concern::Yes => self.left += 1,
        }
        if list.unproven || list.name == "not_proven" || is_unproven(item) {
            self.not_proven(item, &at(), list, i);
            return;
        }
        let test = |expr: &Expr| self.engine.with(&scope, |context| expr.test(context));
        let reason = |template: &str| {
            let text = compiled.templates.render(template, &scope, self.subject.as_of);
            let title = &self.rule.control.written.title;
            Reason {
                message: text.unwrap_or_else(|why| format!("{title} (its {template} can't be written: {why})")),
                item: Some(at()).filter(|at| !at.is_empty()),
                cites: (self.subject.cite)(list, i, Some(item)),
            }
        };
        let violates = test(&compiled.violates);
        if violates == Ok(true) {
            self.violations.push(|| reason("message"));
            return;
        }
        match (compiled.unproven.as_ref().map_or(Ok(false), test), violates) {
            (Ok(true), _) => self.unproven.push(|| reason("because")),
            (_, Err(why)) | (Err(why), _) => {
                self.unproven.push(|| self_reason(self.subject, list, i, item, at(), &why));
            }
            (Ok(false), Ok(_)) => {}
        }
    }

    /// A thing that says of itself that it is not proven.
    fn not_proven(&mut self, item: &Fact, at: &str, list: &Found<'_>, i: usize) {
        self.unproven.push(|| Reason {
            message: format!("{} is not proven{}", label(item, list, at), why_of(item)),
            item: Some(at.to_owned()).filter(|at| !at.is_empty()),
            cites: (self.subject.cite)(list, i, Some(item)),
        });
    }

    fn concern(&self, item: Option<&Fact>, parent: Option<&Fact>) -> Concern {
        let Some(filter) = &self.rule.control.compiled.filter else { return Concern::Yes };
        let scope = Scope { item, parent, ..self.subject.scope };
        match self.engine.with(&scope, |context: &Context<'_, '_>| Expr::test(filter, context)) {
            Ok(true) => Concern::Yes,
            Ok(false) => Concern::No,
            Err(why) => Concern::Unknown(why),
        }
    }
}

fn self_reason(subject: &Subject<'_>, list: &Found<'_>, i: usize, item: &Fact, at: String, why: &str) -> Reason {
    let cites = (subject.cite)(list, i, Some(item));
    let message = if at.is_empty() { why.to_owned() } else { format!("{}: {why}", label(item, list, &at)) };
    Reason { message, item: Some(at).filter(|at| !at.is_empty()), cites }
}

/// What stands beside a list as `asked`.
enum Asked<'f> {
    /// There is no `asked`.
    Nothing,
    All,
    /// These names; none where it is anything but a list of strings.
    Names(BTreeSet<&'f str>),
}

fn asked<'f>(list: &Found<'f>) -> Asked<'f> {
    let asked = list.holder.get("asked");
    // An object tells for each list of the holder by itself.
    let asked = if let Some(Fact::Map(by_list)) = asked { by_list.field(list.name) } else { asked };
    match asked {
        None => Asked::Nothing,
        Some(asked) if asked.as_text() == Some("all") => Asked::All,
        Some(asked) => Asked::Names(asked.as_list().unwrap_or_default().iter().filter_map(Fact::as_text).collect()),
    }
}

/// The entries of the `not_proven` beside a list, if they were not yet looked at.
fn entries_beside<'f>(list: &Found<'f>, seen: &mut BTreeSet<String>) -> Vec<(&'f Fact, String)> {
    let entries = list.holder.get("not_proven").and_then(Fact::as_list).unwrap_or_default();
    let stem = list.at.len().saturating_sub(list.name.len());
    let at = format!("{}not_proven", list.at.get(..stem).unwrap_or_default());
    if list.name == "not_proven" || entries.is_empty() || !seen.insert(at.clone()) {
        return Vec::new();
    }
    entries.iter().enumerate().map(|(i, entry)| (entry, format!("{at}[{i}]"))).collect()
}

/// The names that an item goes by.
fn names(item: &Fact) -> impl Iterator<Item = &str> {
    [item.as_text(), item.text_at("name"), item.text_at("id")].into_iter().flatten()
}

/// How an item is called in a message: by its own name, by that of the item that it is a part of (`tcp:0.0.0.0:22, tls`),
/// or by its place.
fn label(item: &Fact, list: &Found<'_>, at: &str) -> String {
    match (name_of(item).or_else(|| item.as_text()), &list.reached) {
        (Some(name), _) => name.to_owned(),
        (None, Reached::Single) if name_of(list.parent).is_some() => {
            let whole = name_of(list.parent).unwrap_or_default();
            format!("{whole}, {}", at.rsplit('.').next().unwrap_or(at))
        }
        (None, _) if at.is_empty() => "it".to_owned(),
        (None, _) => at.to_owned(),
    }
}

/// How a list is called in a message: `samples` rather than `samples.samples`, which is the same list to a reader.
fn called(at: &str) -> &str {
    match at.rsplit_once('.') {
        Some((holder, name)) if holder == name || holder.ends_with(&format!(".{name}")) => holder,
        _ => at,
    }
}

/// What a thing says stood in the way, as the end of a sentence.
fn why_of(item: &Fact) -> String {
    item.text_at("why").map_or_else(String::new, |why| format!(": {why}"))
}

fn name_of(item: &Fact) -> Option<&str> {
    item.text_at("name").or_else(|| item.text_at("id"))
}
