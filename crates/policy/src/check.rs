//! Checks expressions against the schema of the facts: names, types, words of enumerations.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr as Ast, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use cel::{Context, Value};

use crate::diagnostic::suggest;
use crate::expr::{Complaint, body, children};
use crate::schema::{Field, Lazy, Type, union};

/// What the checks of a control's expressions found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Names of the fields that are read.
    pub(crate) fields: BTreeSet<String>,
    /// Parameters that are compared with an enumeration: its values.
    pub(crate) param_words: BTreeMap<String, BTreeSet<String>>,
}

/// The functions that expressions may call: name, called on a value, arguments (the value included).
const FUNCTIONS: [(&str, bool, usize); 16] = [
    ("size", false, 1),
    ("size", true, 1),
    ("contains", true, 2),
    ("startsWith", true, 2),
    ("endsWith", true, 2),
    ("matches", true, 2),
    ("matches", false, 2),
    ("int", false, 1),
    ("string", false, 1),
    ("days_left", false, 1),
    ("days_between", false, 2),
    ("seconds_since", false, 1),
    ("seconds_between", false, 2),
    // Written by the parser when it expands macros.
    (operators::NOT_STRICTLY_FALSE, false, 1),
    (operators::LOGICAL_NOT, false, 1),
    (operators::NEGATE, false, 1),
];
const MACROS: [&str; 6] = ["all", "exists", "exists_one", "filter", "map", "has"];

/// One check of one expression.
pub(crate) struct Check<'s, 'i> {
    source: Vec<char>,
    info: &'i SourceInfo,
    variables: Vec<(String, Type<'s>)>,
    pub(crate) found: Vec<Complaint>,
    usage: &'i mut Usage,
}

impl<'s, 'i> Check<'s, 'i> {
    pub(crate) fn new(
        source: &str,
        info: &'i SourceInfo,
        variables: Vec<(String, Type<'s>)>,
        usage: &'i mut Usage,
    ) -> Self {
        Self { source: source.chars().collect(), info, variables, found: Vec::new(), usage }
    }

    /// Checks the expression and that its value may be what is wanted.
    pub(crate) fn expect(&mut self, node: &IdedExpr, wanted: &str, accepts: impl Fn(&Type<'s>) -> bool) {
        let ty = self.infer(node);
        if self.found.is_empty() && !ty.may_be(accepts) {
            self.complain("cel-type", self.extent(node), format!("this is {}; {wanted} is wanted", ty.name()), None);
        }
    }

    fn complain(&mut self, code: &'static str, at: Range<usize>, message: String, help: Option<String>) {
        self.found.push(Complaint { code, at, message, help });
    }

    fn extent(&self, node: &IdedExpr) -> Range<usize> {
        extent(&self.source, self.info, node)
    }

    /// The type of an expression; complaints on the way are collected.
    fn infer(&mut self, node: &IdedExpr) -> Type<'s> {
        match &node.expr {
            Ast::Literal(literal) => literal_type(literal),
            Ast::Ident(name) => self.variable(node, name),
            Ast::Select(select) => self.select(node, select),
            Ast::List(list) => {
                let items: Vec<Type<'s>> = list.elements.iter().map(|e| self.infer(e)).collect();
                let items = if items.is_empty() { Type::Any } else { union(items) };
                Type::List(Box::new(Lazy::Known(items)))
            }
            Ast::Call(call) => self.call(node, call),
            Ast::Comprehension(loops) => self.comprehension(loops),
            Ast::Map(_) | Ast::Struct(_) => {
                self.complain("cel-function", self.extent(node), "objects can't be written here".into(), None);
                Type::Any
            }
            Ast::Unspecified => Type::Any,
        }
    }

    fn variable(&mut self, node: &IdedExpr, name: &str) -> Type<'s> {
        if let Some((_, ty)) = self.variables.iter().rev().find(|(n, _)| n == name) {
            return ty.clone();
        }
        let at = self.extent(node);
        let known: Vec<&str> = self.variables.iter().map(|(n, _)| n.as_str()).filter(|n| !n.starts_with('@')).collect();
        let help = suggest(name, known.iter().copied());
        let at = at.start..at.start + name.chars().count();
        self.complain("unknown-name", at, format!("'{name}' is not known here"), help);
        Type::Any
    }

    fn select(&mut self, node: &IdedExpr, select: &SelectExpr) -> Type<'s> {
        let operand = self.infer(&select.operand);
        let is_param = matches!(&select.operand.expr, Ast::Ident(name) if name == "params");
        if !is_param {
            self.usage.fields.insert(select.field.clone());
        }
        let field = &select.field;
        let ty = match operand.field(field) {
            Field::Known(ty) => ty,
            Field::Unknown(others) => {
                let what = if is_param { "parameter" } else { "field" };
                let help = suggest(field, others.iter().map(String::as_str));
                self.complain(
                    "unknown-path",
                    field_at(&self.source, self.info, node, select),
                    format!("there is no {what} '{field}'"),
                    help,
                );
                Type::Any
            }
            Field::NoObject => {
                let message = format!("{} has no field '{field}'", operand.name());
                self.complain("unknown-path", field_at(&self.source, self.info, node, select), message, None);
                Type::Any
            }
        };
        if select.test { Type::Bool } else { ty }
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Type<'s> {
        let over = self.infer(&loops.iter_range);
        let items = over.items().unwrap_or_else(|| {
            let message = format!("loops run over lists; this is {}", over.name());
            self.complain("cel-type", self.extent(&loops.iter_range), message, None);
            Type::Any
        });
        let before = self.variables.len();
        self.variables.push((loops.iter_var.clone(), items));
        let start = self.infer(&loops.accu_init);
        self.variables.push((loops.accu_var.clone(), start));
        let [_, condition, step, result] = body(loops);
        self.infer(condition);
        let step = self.infer(step);
        self.variables.push((loops.accu_var.clone(), step));
        let ty = self.infer(result);
        self.variables.truncate(before);
        ty
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Type<'s> {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let types: Vec<Type<'s>> = arguments.iter().map(|a| self.infer(a)).collect();
        match (call.func_name.as_str(), arguments.as_slice(), types.as_slice()) {
            (operators::CONDITIONAL, [test, ..], [condition, then, otherwise]) => {
                self.want(test, condition, "a boolean", |t| matches!(t, Type::Bool));
                union([then.clone(), otherwise.clone()])
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b], [x, y]) => {
                self.want(a, x, "a boolean", |t| matches!(t, Type::Bool));
                self.want(b, y, "a boolean", |t| matches!(t, Type::Bool));
                Type::Bool
            }
            (operators::EQUALS | operators::NOT_EQUALS, [a, b], [x, y]) => self.equality(node, (a, x), (b, y)),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [a, b],
                [x, y],
            ) => {
                let ordered = |t: &Type<'_>| matches!(t, Type::Int | Type::Number | Type::Text(_));
                self.want(a, x, "a number or a string", ordered);
                self.want(b, y, "a number or a string", ordered);
                self.comparable(node, x, y);
                Type::Bool
            }
            (operators::IN, [a, b], [x, y]) => self.membership((a, x), (b, y)),
            (operators::ADD, [a, _], [x, y]) => {
                let adds = |t: &Type<'_>| matches!(t, Type::Int | Type::Number | Type::Text(_) | Type::List(_));
                self.want(a, x, "a number, a string or a list", adds);
                match (x, y) {
                    (Type::List(_), _) | (_, Type::List(_)) => {
                        let items = [x, y].into_iter().filter_map(Type::items);
                        Type::List(Box::new(Lazy::Known(union(items))))
                    }
                    (Type::Text(_), _) => Type::Text(None),
                    _ => x.clone(),
                }
            }
            (operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [a, b], [x, y]) => {
                let number = |t: &Type<'_>| matches!(t, Type::Int | Type::Number);
                self.want(a, x, "a number", number);
                self.want(b, y, "a number", number);
                x.clone()
            }
            (operators::INDEX, [a, _], [x, y]) => self.index(a, x, y),
            _ => self.function(node, call, &arguments, &types),
        }
    }

    fn want(&mut self, node: &IdedExpr, ty: &Type<'s>, wanted: &str, test: impl Fn(&Type<'s>) -> bool) {
        if !ty.may_be(test) {
            self.complain(
                "cel-type",
                self.extent(node),
                format!("this is {}; {wanted} is wanted here", ty.name()),
                None,
            );
        }
    }

    fn index(&mut self, node: &IdedExpr, container: &Type<'s>, index: &Type<'s>) -> Type<'s> {
        if let Some(items) = container.items() {
            self.want(node, index, "an integer index", |t| matches!(t, Type::Int));
            return items;
        }
        self.want(node, container, "a list or an object", |t| matches!(t, Type::Object(_)));
        Type::Any
    }

    fn function(&mut self, node: &IdedExpr, call: &CallExpr, args: &[&IdedExpr], types: &[Type<'s>]) -> Type<'s> {
        let name = call.func_name.as_str();
        let known = FUNCTIONS.iter().filter(|(n, _, _)| *n == name);
        let fits = |f: &(&str, bool, usize)| f.1 == call.target.is_some() && f.2 == args.len();
        if !known.clone().any(fits) {
            let at = self.extent(node);
            let names =
                FUNCTIONS.iter().map(|(n, _, _)| *n).chain(MACROS).filter(|n| n.starts_with(char::is_alphabetic));
            let (message, help) = if known.count() == 0 && !MACROS.contains(&name) {
                (format!("there is no function '{name}'"), suggest(name, names))
            } else {
                (format!("'{name}' can't be called like this"), None)
            };
            self.complain("cel-function", at, message, help);
            return Type::Any;
        }
        let text = |t: &Type<'_>| matches!(t, Type::Text(_));
        match (name, args, types) {
            ("size", [a], [x]) => {
                self.want(a, x, "a list, an object or a string", |t| {
                    matches!(t, Type::List(_) | Type::Object(_)) || text(t)
                });
                Type::Int
            }
            ("int", [a], [x]) => {
                self.want(a, x, "a number or a string", |t| matches!(t, Type::Int | Type::Number) || text(t));
                Type::Int
            }
            ("string", ..) => Type::Text(None),
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [a], [x]) => {
                self.want(a, x, "a boolean", |t| matches!(t, Type::Bool));
                Type::Bool
            }
            (operators::NEGATE, [a], [x]) => {
                self.want(a, x, "a number", |t| matches!(t, Type::Int | Type::Number));
                x.clone()
            }
            _ => {
                for (a, x) in args.iter().zip(types) {
                    self.want(a, x, "a string", text);
                }
                if name == "matches" {
                    self.regex(args);
                }
                if name.starts_with("days") || name.starts_with("seconds") { Type::Int } else { Type::Bool }
            }
        }
    }

    /// A literal pattern is compiled now: an invalid one would make every verdict inconclusive.
    fn regex(&mut self, args: &[&IdedExpr]) {
        let [_, pattern] = args else { return };
        if !matches!(pattern.expr, Ast::Literal(LiteralValue::String(_))) {
            return;
        }
        let empty = IdedExpr { id: 0, expr: Ast::Literal(LiteralValue::String("".into())) };
        let call =
            CallExpr { func_name: "matches".into(), target: Some(Box::new(empty)), args: vec![(*pattern).clone()] };
        let probe = IdedExpr { id: 0, expr: Ast::Call(call) };
        if Value::resolve(&probe, &Context::default()).is_err() {
            self.complain("cel-regex", self.extent(pattern), "this is no valid regular expression".into(), None);
        }
    }

    fn equality(
        &mut self,
        node: &IdedExpr,
        (a, x): (&IdedExpr, &Type<'s>),
        (b, y): (&IdedExpr, &Type<'s>),
    ) -> Type<'s> {
        let aggregate = |t: &Type<'_>| t.members().iter().any(|m| matches!(m, Type::List(_) | Type::Object(_)));
        let is_null = |t: &Type<'_>| matches!(t, Type::Null);
        if (aggregate(x) || aggregate(y)) && !is_null(x) && !is_null(y) {
            let help = Some("use 'in', 'all', 'exists' or 'size'".into());
            self.complain("cel-type", self.extent(node), "lists and objects can't be compared".into(), help);
        } else {
            self.comparable(node, x, y);
            self.words(a, y);
            self.words(b, x);
        }
        Type::Bool
    }

    fn comparable(&mut self, node: &IdedExpr, x: &Type<'s>, y: &Type<'s>) {
        let class = |t: &Type<'_>| match t {
            Type::Null => 0,
            Type::Bool => 1,
            Type::Int | Type::Number => 2,
            Type::Text(_) => 3,
            Type::List(_) => 4,
            Type::Object(_) | Type::Any | Type::OneOf(_) => 5,
        };
        let meets = x.members().iter().any(|m| y.may_be(|n| class(m) == class(n) || matches!(m, Type::Any)));
        if !meets && !x.members().is_empty() && !y.members().is_empty() {
            let message = format!("{} is compared with {}", x.name(), y.name());
            self.complain("cel-type", self.extent(node), message, None);
        }
    }

    fn membership(&mut self, (a, x): (&IdedExpr, &Type<'s>), (b, y): (&IdedExpr, &Type<'s>)) -> Type<'s> {
        if let Some(items) = y.items() {
            self.comparable(b, x, &items);
            self.words(a, &items);
            match &b.expr {
                Ast::List(list) => list.elements.iter().for_each(|e| self.words(e, x)),
                _ => self.words(b, x),
            }
        } else {
            self.want(b, y, "a list or an object", |t| matches!(t, Type::Object(_)));
        }
        Type::Bool
    }

    /// A literal or a parameter on one side must hold words of the enumeration on the other.
    fn words(&mut self, node: &IdedExpr, other: &Type<'s>) {
        let Some(words) = other.words() else { return };
        match &node.expr {
            Ast::Literal(LiteralValue::String(word)) if !words.contains(word.inner()) => {
                let message = format!("'{}' is none of the values that this can have", word.inner());
                let help = suggest(word.inner(), words.iter().copied());
                self.complain("unknown-word", self.extent(node), message, help);
            }
            Ast::Select(select) if matches!(&select.operand.expr, Ast::Ident(name) if name == "params") => {
                let words: BTreeSet<String> = words.iter().map(|w| (*w).to_owned()).collect();
                let known = self.usage.param_words.entry(select.field.clone()).or_insert_with(|| words.clone());
                known.retain(|w| words.contains(w));
            }
            _ => {}
        }
    }
}

/// The characters that a node covers, as far as the parser tells.
pub(crate) fn extent(source: &[char], info: &SourceInfo, node: &IdedExpr) -> Range<usize> {
    let own = info.offset_for(node.id).map(|(a, b)| (a as usize, b as usize + 1));
    let mut range = own.map_or(0..1, |(a, b)| a..b);
    let mut inner = children(&node.expr);
    if let Ast::Comprehension(c) = &node.expr {
        inner.push(&c.iter_range);
    }
    for child in inner {
        let child = extent(source, info, child);
        range = range.start.min(child.start)..range.end.max(child.end);
    }
    if let Ast::Select(select) = &node.expr {
        range.end = range.end.max(field_at(source, info, node, select).end);
    }
    range
}

/// The characters of the field's name in a selection.
fn field_at(source: &[char], info: &SourceInfo, node: &IdedExpr, select: &SelectExpr) -> Range<usize> {
    let from = info.offset_for(node.id).map_or(0, |(a, _)| a as usize);
    let field: Vec<char> = select.field.chars().collect();
    // In `has(a.b)` the parser tells where the parenthesis is.
    let from = if select.test { extent(source, info, &select.operand).end } else { from };
    let window = source.get(from..).unwrap_or_default();
    let skip = window.windows(field.len().max(1)).position(|w| w == field.as_slice()).unwrap_or(0);
    from + skip..from + skip + field.len()
}

fn literal_type<'s>(literal: &LiteralValue) -> Type<'s> {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Int,
        LiteralValue::Double(_) => Type::Number,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) | LiteralValue::Bytes(_) => Type::Text(None),
    }
}
