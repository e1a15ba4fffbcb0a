//! Reads and lints the controls of a file: every complaint at once, each at its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use model::{Level, Severity};

use crate::Kinds;
use crate::check::{Check, Usage};
use crate::control::{Asks, Compiled, Control, Names, NamesExpr, Needs, Param, Params, Scope, Written, seconds};
use crate::diagnostic::suggest;
use crate::expr::{Complaint, Expr};
use crate::path::Path;
use crate::schema::{Lazy, Object, Schema, Type, union};
use crate::template::Templates;
use crate::yaml::{Data, Fields, File, Node, align};

const FIELDS: [&str; 20] = [
    "id",
    "title",
    "severity",
    "evidence",
    "params",
    "asks",
    "over",
    "where",
    "cover",
    "violates",
    "unproven",
    "because",
    "applicable",
    "otherwise",
    "message",
    "wanted",
    "rationale",
    "remedy",
    "clauses",
    "source",
];

/// Where controls are read from: an author's file has no `source` of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Author { shipped: bool },
    Pack,
}

/// Reads one control. `None` where anything is wrong; what, is in `file.found`.
pub(crate) fn control(file: &mut File<'_>, node: &Node, kinds: &Kinds, origin: Origin) -> Option<Control> {
    let known = if origin == Origin::Pack { &FIELDS[..] } else { FIELDS.split_last().map_or(&FIELDS[..], |(_, k)| k) };
    let before = file.found.len();
    let fields = file.fields(node, "a control", known)?;
    let id = file.required(&fields, "id", "the control").and_then(|n| control_id(file, n));
    let what = id.as_deref().map_or_else(|| "the control".to_owned(), |id| format!("control '{id}'"));
    let text = |file: &mut File<'_>, name: &str| {
        let node = file.required(&fields, name, &what)?;
        file.text_of(node, name).map(str::to_owned)
    };
    let title = text(file, "title");
    let violates_text = text(file, "violates");
    let message = text(file, "message");
    let wanted = text(file, "wanted");
    let rationale = text(file, "rationale");
    let severity = file.required(&fields, "severity", &what).and_then(|n| word(file, n, "severity", &severities()));
    let evidence = file.required(&fields, "evidence", &what).and_then(|n| needs(file, n, kinds));
    let params = fields.get("params").map_or(Some(Params::new()), |n| params(file, n, "params"));
    let remedy = fields.get("remedy").map_or(Some(BTreeMap::new()), |n| text_map(file, n, "remedy"));
    let clauses = fields.get("clauses").map_or(Some(BTreeMap::new()), |n| list_map(file, n, "clauses"));
    for (test, text, what) in [
        ("applicable", "otherwise", "why the control says nothing"),
        ("unproven", "because", "why an item can't be judged"),
    ] {
        if fields.get(test).is_some() != fields.get(text).is_some() {
            let message = format!("'{test}' and '{text}' ({what}) come together");
            file.error("missing-field", fields.start.clone(), message, None);
        }
    }
    let source = match origin {
        Origin::Author { .. } => {
            let (line, column) = file.place(fields.start.start);
            Some(model::Source { file: file.path.to_owned(), line, column })
        }
        Origin::Pack => file.required(&fields, "source", &what).and_then(|n| source(file, n)),
    };
    // Expressions can only be checked against evidence and parameters that are known.
    let (evidence, params) = (evidence?, params?);
    let mut reader = Reader::new(file, kinds, &evidence, &params);
    let asks = fields.get("asks").map(|n| reader.asks(n));
    let over = reader.over(&fields);
    let filter = fields.get("where").map(|n| reader.condition(n, "where", true));
    if let (Some(cover), None) = (fields.get("cover"), fields.get("over")) {
        let message = "'cover' names items of lists, and there is no 'over'".to_owned();
        reader.file.error("missing-field", cover.span.clone(), message, None);
    }
    let cover = fields.get("cover").map(|n| reader.names(n, "cover"));
    let violates = fields.get("violates").and_then(|n| reader.condition(n, "violates", true));
    let unproven = fields.get("unproven").map(|n| reader.condition(n, "unproven", true));
    let applicable = fields.get("applicable").map(|n| reader.condition(n, "applicable", false));
    for name in ["message", "wanted", "because", "otherwise"] {
        if let Some(node) = fields.get(name) {
            reader.template(node, name);
        }
    }
    let Reader { usage, templates, .. } = reader;
    let templates = Arc::new(templates);
    for (name, param) in &params {
        if let Some(words) = usage.param_words.get(name)
            && let Some(wrong) = param.words().iter().find(|w| !words.contains(*w))
        {
            let at = fields.get("params").map_or(fields.start.clone(), |n| text_span(n, name, wrong));
            let message = format!("'{wrong}' is none of the values that parameter '{name}' is compared with");
            file.error("unknown-word", at, message, suggest(wrong, words.iter().map(String::as_str)));
        }
    }
    if file.found.len() > before {
        return None;
    }
    let (asks, ask_exprs) = asks.map_or(Some((None, None)), |a| a.map(|(w, c)| (Some(w), c)))?;
    let (cover, cover_expr) = cover.map_or(Some((None, None)), |c| c.map(|(w, c)| (Some(w), Some(c))))?;
    let filter = filter.map_or(Some(None), |f| f.map(Some))?;
    let applicable = applicable.map_or(Some(None), |a| a.map(Some))?;
    let unproven = unproven.map_or(Some(None), |u| u.map(Some))?;
    let mut optional = |name: &str| fields.get(name).and_then(|n| file.text_of(n, name)).map(str::to_owned);
    let (because, otherwise) = (optional("because"), optional("otherwise"));
    let over = over?;
    let written = Written {
        id: id?,
        title: title?,
        severity: severity?.parse::<Severity>().ok()?,
        evidence,
        params,
        asks,
        over: over.iter().map(|p| p.text.clone()).collect(),
        filter: filter.as_ref().map(|e| e.source.clone()),
        cover,
        violates: violates_text?,
        unproven: unproven.as_ref().map(|e| e.source.clone()),
        because,
        applicable: applicable.as_ref().map(|e| e.source.clone()),
        otherwise,
        message: message?,
        wanted: wanted?,
        rationale: rationale?,
        remedy: remedy?,
        clauses: clauses?,
    };
    let compiled = Compiled {
        asks: ask_exprs,
        over,
        filter,
        cover: cover_expr,
        violates: violates?,
        unproven,
        applicable,
        templates,
        usage,
    };
    let shipped = origin == Origin::Author { shipped: true };
    Some(Control { written, source: source?, shipped, compiled: Arc::new(compiled) })
}

fn severities() -> Vec<&'static str> {
    Severity::ALL.iter().map(|s| s.as_str()).collect()
}

/// One of several words.
pub(crate) fn word(file: &mut File<'_>, node: &Node, what: &str, words: &[&str]) -> Option<String> {
    let text = file.text_of(node, what)?;
    if words.contains(&text) {
        return Some(text.to_owned());
    }
    let help = suggest(text, words.iter().copied());
    file.error("unknown-word", node.span.clone(), format!("'{text}' is no {what}"), help);
    None
}

fn control_id(file: &mut File<'_>, node: &Node) -> Option<String> {
    let id = file.text_of(node, "id")?;
    let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    if id.len() <= 64 && id.starts_with(|c: char| c.is_ascii_uppercase()) && id.chars().all(legal) {
        return Some(id.to_owned());
    }
    let message = format!("'{id}' is no control id: at most 64 upper-case letters, digits and hyphens are wanted");
    file.error("control-id", node.span.clone(), message, None);
    None
}

fn source(file: &mut File<'_>, node: &Node) -> Option<model::Source> {
    let fields = file.fields(node, "'source'", &["file", "line", "column"])?;
    let path = file.required(&fields, "file", "'source'").and_then(|n| file.text_of(n, "file"))?.to_owned();
    let mut number = |name: &str| match file.required(&fields, name, "'source'")?.data {
        Data::Int(i) => u32::try_from(i).ok(),
        _ => None,
    };
    match (number("line"), number("column")) {
        (Some(line), Some(column)) => Some(model::Source { file: path, line, column }),
        _ => {
            file.error("wrong-type", fields.start.clone(), "'source' needs a line and a column".into(), None);
            None
        }
    }
}

fn needs(file: &mut File<'_>, node: &Node, kinds: &Kinds) -> Option<Needs> {
    let fields = file.fields(node, "'evidence'", &["kind", "kinds", "max_age", "prior", "level", "scope"])?;
    let named = match (fields.get("kind"), fields.get("kinds")) {
        (Some(node), None) => vec![node],
        (None, Some(node)) => file.list_of(node, "kinds")?.iter().collect(),
        _ => {
            file.error("missing-field", fields.start.clone(), "'evidence' needs either 'kind' or 'kinds'".into(), None);
            return None;
        }
    };
    let mut names = Vec::new();
    for node in &named {
        names.extend(kind(file, node, kinds));
    }
    let complete = names.len() == named.len() && !names.is_empty();
    let max_age = fields.get("max_age").map_or(Some("24h".to_owned()), |n| span(file, n, "max_age"));
    let prior = fields.get("prior").map_or(Some(None), |n| span(file, n, "prior").map(Some));
    let level = match fields.get("level") {
        None => Some(None),
        Some(node) => word(file, node, "level", &["declared", "effective", "demonstrated"])
            .map(|w| [Level::Declared, Level::Effective, Level::Demonstrated].into_iter().find(|l| l.as_str() == w)),
    };
    let scope = match fields.get("scope") {
        None => Some(Scope::Target),
        Some(node) => word(file, node, "scope", &["target", "service"])
            .map(|w| if w == "service" { Scope::Service } else { Scope::Target }),
    };
    if complete && names.len() > 1 && scope == Some(Scope::Target) {
        let message = "several kinds can only be looked at together in scope 'service'".to_owned();
        file.error("evidence-scope", fields.start.clone(), message, None);
        return None;
    }
    if let (Some(node), Some(Scope::Service)) = (fields.get("prior"), scope) {
        let message = "'prior' is earlier evidence of one target; in scope 'service' there is none".to_owned();
        file.error("evidence-scope", node.span.clone(), message, None);
        return None;
    }
    complete.then_some(())?;
    Some(Needs { kinds: names, max_age: max_age?, prior: prior?, level: level?, scope: scope? })
}

/// A time span, as written.
fn span(file: &mut File<'_>, node: &Node, what: &str) -> Option<String> {
    let text = file.text_of(node, what)?.to_owned();
    if seconds(&text).is_none() {
        let message = format!("'{text}' is no time span: '90s', '15m', '24h' or '7d' are wanted");
        file.error("time-span", node.span.clone(), message, None);
    }
    seconds(&text).map(|_| text)
}

/// A kind of evidence that some probe gives.
pub(crate) fn kind(file: &mut File<'_>, node: &Node, kinds: &Kinds) -> Option<String> {
    let name = file.text_of(node, "kind")?;
    if kinds.contains_key(name) {
        return Some(name.to_owned());
    }
    let help = suggest(name, kinds.keys().map(String::as_str));
    file.error("unknown-kind", node.span.clone(), format!("there is no kind of evidence '{name}'"), help);
    None
}

/// Parameters by name.
pub(crate) fn params(file: &mut File<'_>, node: &Node, what: &str) -> Option<Params> {
    let entries = file.map_of(node, what)?;
    let mut params = Params::new();
    for (key, node) in entries {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !key.name.starts_with(|c: char| c.is_ascii_lowercase()) || !key.name.chars().all(legal) {
            let message =
                format!("'{}' is no name of a parameter: lower-case letters, digits and '_' are wanted", key.name);
            file.error("param-name", key.span.clone(), message, None);
        }
        params.insert(key.name.clone(), param(file, node, &key.name)?);
    }
    Some(params)
}

fn param(file: &mut File<'_>, node: &Node, name: &str) -> Option<Param> {
    let ints = |items: &[Node]| -> Option<Vec<i64>> {
        items.iter().map(|i| if let Data::Int(n) = i.data { Some(n) } else { None }).collect()
    };
    let texts = |items: &[Node]| -> Option<Vec<String>> {
        items.iter().map(|i| if let Data::Text(t) = &i.data { Some(t.clone()) } else { None }).collect()
    };
    let param = match &node.data {
        Data::Bool(b) => Some(Param::Bool(*b)),
        Data::Int(i) => Some(Param::Int(*i)),
        Data::Text(t) => Some(Param::Text(t.clone())),
        Data::List(items) => texts(items).map(Param::Texts).or_else(|| ints(items).map(Param::Ints)),
        _ => None,
    };
    if param.is_none() {
        let message =
            format!("parameter '{name}' must be a boolean, an integer, a string, or a list of strings or integers");
        file.error("wrong-type", node.span.clone(), message, None);
    }
    param
}

fn text_map(file: &mut File<'_>, node: &Node, what: &str) -> Option<BTreeMap<String, String>> {
    let entries = file.map_of(node, what)?;
    entries.iter().map(|(k, n)| Some((k.name.clone(), file.text_of(n, &k.name)?.to_owned()))).collect()
}

fn list_map(file: &mut File<'_>, node: &Node, what: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let entries = file.map_of(node, what)?;
    entries.iter().map(|(k, n)| Some((k.name.clone(), file.texts_of(n, &k.name)?))).collect()
}

/// The place of a word in the value of a parameter, else of the mapping itself.
fn text_span(node: &Node, name: &str, word: &str) -> Range<usize> {
    let Data::Map(entries) = &node.data else { return node.span.clone() };
    let value = entries.iter().find(|(k, _)| k.name == name).map(|(_, v)| v);
    let is_word = |n: &&Node| matches!(&n.data, Data::Text(t) if t == word);
    let inner = value.and_then(|v| if let Data::List(items) = &v.data { items.iter().find(is_word) } else { Some(v) });
    inner.or(value).map_or(node.span.clone(), |n| n.span.clone())
}

/// Reads the expressions of one control, knowing the types of what they see.
struct Reader<'r, 'f, 's> {
    file: &'r mut File<'f>,
    /// `facts`, or the object that holds `all`.
    root: Type<'s>,
    service: bool,
    /// `prior`, where the control wants it.
    prior: Option<Type<'s>>,
    params: Type<'s>,
    item: Type<'s>,
    parent: Type<'s>,
    usage: Usage,
    templates: Templates,
}

impl<'r, 'f, 's> Reader<'r, 'f, 's> {
    fn new(file: &'r mut File<'f>, kinds: &'s Kinds, evidence: &Needs, params: &Params) -> Self {
        let facts = evidence.kinds.iter().filter_map(|k| kinds.get(k)).map(|k| Schema::new(&k.schema).resolve());
        let facts = union(facts);
        let service = evidence.scope == Scope::Service;
        let prior = evidence.prior.as_ref().map(|_| list(earlier_piece(facts.clone())));
        let root = if service { known([("all", list(service_piece(facts)))]) } else { facts };
        let of = |param: &Param| match param {
            Param::Bool(_) => Type::Bool,
            Param::Int(_) => Type::Int,
            Param::Text(_) => Type::Text(None),
            Param::Texts(words) if words.is_empty() => list(Type::Any),
            Param::Texts(_) => list(Type::Text(None)),
            Param::Ints(_) => list(Type::Int),
        };
        let params = params.iter().map(|(n, p)| (n.clone(), Lazy::Known(of(p)))).collect();
        let (item, parent) = (root.clone(), root.clone());
        let params = Type::Object(Object::Known(params));
        let (usage, templates) = (Usage::default(), Templates::new());
        Self { file, root, service, prior, params, item, parent, usage, templates }
    }

    /// The variables of an expression.
    fn variables(&self, with_item: bool, with_facts: bool) -> Vec<(String, Type<'s>)> {
        let mut variables = vec![("params".to_owned(), self.params.clone())];
        if with_item {
            variables.push(("item".into(), self.item.clone()));
            variables.push(("parent".into(), self.parent.clone()));
        }
        if with_facts && self.service {
            if let crate::schema::Field::Known(all) = self.root.field("all") {
                variables.push(("all".into(), all));
            }
        } else if with_facts {
            variables.push(("facts".into(), self.root.clone()));
            variables.push(("collected".into(), Type::Text(None)));
            variables.extend(self.prior.iter().map(|prior| ("prior".to_owned(), prior.clone())));
        }
        if !self.service {
            variables.push(("target".into(), target_type()));
        }
        variables
    }

    fn complain(&mut self, node: &Node, text: &str, complaints: Vec<Complaint>) {
        let map = align(self.file.text, &node.span, text);
        let byte = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(i, _)| i);
        let place = |chars: usize| map.get(byte(chars)).copied().unwrap_or(node.span.start);
        for Complaint { code, at, message, help } in complaints {
            let start = place(at.start);
            let end = if at.end > at.start { place(at.end - 1) + 1 } else { start };
            self.file.error(code, start..end.max(start), message, help);
        }
    }

    fn expression(
        &mut self,
        node: &Node,
        what: &str,
        variables: Vec<(String, Type<'s>)>,
        wanted: &str,
        accepts: impl Fn(&Type<'s>) -> bool,
    ) -> Option<Expr> {
        let text = self.file.text_of(node, what)?;
        let complaints = match Expr::compile(text) {
            Err(complaints) => complaints,
            Ok((expr, info)) => {
                let mut check = Check::new(text, &info, variables, &mut self.usage);
                check.expect(&expr.ast, wanted, accepts);
                if check.found.is_empty() {
                    return Some(expr);
                }
                check.found
            }
        };
        self.complain(node, text, complaints);
        None
    }

    fn condition(&mut self, node: &Node, what: &str, with_item: bool) -> Option<Expr> {
        let variables = self.variables(with_item, true);
        self.expression(node, what, variables, "a boolean", |t| matches!(t, Type::Bool))
    }

    fn names(&mut self, node: &Node, what: &str) -> Option<(Names, NamesExpr)> {
        if matches!(node.data, Data::List(_)) {
            let list = self.file.texts_of(node, what)?;
            return Some((Names::List(list.clone()), NamesExpr::List(list)));
        }
        let mut variables = self.variables(false, false);
        variables.retain(|(n, _)| n == "params");
        let expr = self.expression(node, what, variables, "a list of strings", |t| {
            t.items().is_some_and(|items| items.may_be(|i| matches!(i, Type::Text(_))))
        })?;
        Some((Names::Cel(expr.source.clone()), NamesExpr::Cel(expr)))
    }

    #[allow(clippy::type_complexity, reason = "the two halves of a field: as written and as compiled")]
    fn asks(&mut self, node: &Node) -> Option<(Asks, Option<BTreeMap<String, NamesExpr>>)> {
        if matches!(&node.data, Data::Text(text) if text == "all") {
            return Some((Asks::All("all"), None));
        }
        let (mut written, mut compiled) = (BTreeMap::new(), BTreeMap::new());
        for (key, node) in self.file.map_of(node, "asks")? {
            if let Some((names, expr)) = self.names(node, &key.name) {
                written.insert(key.name.clone(), names);
                compiled.insert(key.name.clone(), expr);
            }
        }
        Some((Asks::Only(written), Some(compiled)))
    }

    /// The paths, and with them the types of `item` and `parent`.
    fn over(&mut self, fields: &Fields<'_>) -> Option<Vec<Path>> {
        let Some(node) = fields.get("over") else { return Some(Vec::new()) };
        let nodes = match &node.data {
            Data::List(items) if !items.is_empty() => items.iter().collect(),
            _ => vec![node],
        };
        let (mut paths, mut items, mut parents) = (Vec::new(), Vec::new(), Vec::new());
        for node in nodes {
            let text = self.file.text_of(node, "over")?.to_owned();
            let parsed = Path::parse(&text).and_then(|path| path.types(&self.root).map(|types| (path, types)));
            match parsed {
                Ok((path, (item, parent))) => {
                    paths.push(path);
                    items.push(item);
                    parents.push(parent);
                }
                Err(complaint) => {
                    self.complain(node, &text, vec![complaint]);
                    (self.item, self.parent) = (Type::Any, Type::Any);
                    return None;
                }
            }
        }
        (self.item, self.parent) = (union(items), union(parents));
        Some(paths)
    }

    fn template(&mut self, node: &Node, name: &'static str) {
        let Some(text) = self.file.text_of(node, name).map(str::to_owned) else { return };
        let names = match self.templates.add(name, &text) {
            Ok(names) => names,
            Err(complaint) => return self.complain(node, &text, vec![complaint]),
        };
        let mut variables = self.variables(matches!(name, "message" | "because"), name != "wanted");
        // All evidence at once is no matter for a sentence.
        variables.retain(|(n, _)| n != "all");
        let mut complaints = Vec::new();
        for dotted in names {
            let at = text.find(&dotted).map_or(0, |i| text.get(..i).map_or(0, |t| t.chars().count()));
            let at = at..at + dotted.chars().count();
            let mut parts = dotted.split('.');
            let first = parts.next().unwrap_or_default();
            let Some((_, ty)) = variables.iter().find(|(n, _)| n == first) else {
                let help = suggest(first, variables.iter().map(|(n, _)| n.as_str()));
                complaints.push(Complaint {
                    help,
                    ..Complaint::new("unknown-name", at, format!("'{first}' is not known here"))
                });
                continue;
            };
            if let Some((message, help)) = follow(ty.clone(), parts) {
                complaints.push(Complaint { help, ..Complaint::new("unknown-path", at, message) });
            } else if first != "params" {
                self.usage.fields.extend(dotted.split('.').skip(1).map(str::to_owned));
            }
        }
        self.complain(node, &text, complaints);
    }
}

/// Follows fields from a type; what is wrong with the first that is not there.
fn follow<'p>(mut ty: Type<'_>, parts: impl Iterator<Item = &'p str>) -> Option<(String, Option<String>)> {
    use crate::schema::Field;
    for part in parts {
        ty = match ty.field(part) {
            Field::Known(ty) => ty,
            Field::Unknown(others) => {
                let help = suggest(part, others.iter().map(String::as_str));
                return Some((format!("there is no field '{part}'"), help));
            }
            Field::NoObject => return Some((format!("{} has no field '{part}'", ty.name()), None)),
        };
    }
    None
}

fn list(items: Type<'_>) -> Type<'_> {
    Type::List(Box::new(Lazy::Known(items)))
}

fn known<'s, const N: usize>(fields: [(&str, Type<'s>); N]) -> Type<'s> {
    Type::Object(Object::Known(fields.into_iter().map(|(n, t)| (n.to_owned(), Lazy::Known(t))).collect()))
}

fn target_type<'s>() -> Type<'s> {
    let text = || Type::Text(None);
    known([("name", text()), ("of", text()), ("address", text()), ("labels", Type::Any), ("discovered", Type::Bool)])
}

fn earlier_piece(facts: Type<'_>) -> Type<'_> {
    known([("kind", Type::Text(None)), ("collected", Type::Text(None)), ("facts", facts)])
}

fn service_piece(facts: Type<'_>) -> Type<'_> {
    let text = || Type::Text(None);
    let target = text();
    known([
        ("target", target),
        ("labels", Type::Any),
        ("kind", text()),
        ("level", Type::Text(Some(["declared", "effective", "demonstrated"].into()))),
        ("collected", text()),
        ("facts", facts),
    ])
}
