//! CEL expressions: compiled once within budgets, evaluated over facts.

use std::ops::Range;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Ast, IdedEntryExpr, IdedExpr, LiteralValue, SourceInfo, operators,
};
use cel::common::types::{CelBool, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::parser::Parser;
use cel::{Context, ExecutionError, Value};
use model::Timestamp;

use crate::fact::{Fact, out_of_steps};

/// The longest expression, bytes.
pub(crate) const MAX_SOURCE: usize = 2_000;
/// How deep an expression may nest; the interpreter walks it by recursion.
const MAX_DEPTH: usize = 64;
/// How many nodes it may have, expanded macros included.
const MAX_NODES: usize = 600;
/// How many loops may stand inside each other.
const MAX_LOOPS: usize = 2;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) source: String,
    pub(crate) ast: IdedExpr,
    /// The same tree, quicker to evaluate; see [`unqualified`].
    quick: IdedExpr,
}

/// What is wrong with an expression, in characters of its text.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) code: &'static str,
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Complaint {
    pub(crate) fn new(code: &'static str, at: Range<usize>, message: String) -> Self {
        Self { code, at, message, help: None }
    }
}

impl Expr {
    /// Compiles an expression; places of its nodes come along for the linter.
    pub(crate) fn compile(source: &str) -> Result<(Self, SourceInfo), Vec<Complaint>> {
        let whole = 0..source.chars().count();
        if source.len() > MAX_SOURCE {
            let message = format!("the expression has {} bytes; {MAX_SOURCE} are allowed", source.len());
            return Err(vec![Complaint::new("cel-size", whole, message)]);
        }
        let parser = Parser::new().max_recursion_depth(32).error_recovery_limit(3);
        let (ast, info) = parser.parse_with_source_info(source).map_err(|errors| {
            // What follows the first error is mostly its echo.
            errors.errors.iter().take(1).map(|e| syntax(source, e.pos, &e.msg)).collect::<Vec<_>>()
        })?;
        let mut size = Size::default();
        size.measure(&ast, 0, 0);
        let bounds = [
            (size.depth > MAX_DEPTH, "is nested too deeply"),
            (size.nodes > MAX_NODES, "is too large"),
            (size.loops > MAX_LOOPS, "has more than two loops inside each other"),
        ];
        if let Some((_, what)) = bounds.iter().find(|(over, _)| *over) {
            return Err(vec![Complaint::new("cel-size", whole, format!("the expression {what}"))]);
        }
        Ok((Self::of(source.to_owned(), ast), info))
    }

    /// An expression whose tree is known.
    pub(crate) fn of(source: String, ast: IdedExpr) -> Self {
        let mut quick = ast.clone();
        unqualified(&mut quick);
        Self { source, ast, quick }
    }

    /// The boolean that the expression gives, or why it gives none.
    pub(crate) fn test(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        let value = self.value(context)?;
        let sort = || format!("`{}` gives a {}, not a boolean", self.source, value.get_type().name());
        value.downcast_ref::<CelBool>().map(|b| *b.inner()).ok_or_else(sort)
    }

    /// The list of strings that the expression gives.
    pub(crate) fn names(&self, context: &Context<'_, '_>) -> Result<Vec<String>, String> {
        let value = self.value(context)?;
        let not_names = || format!("`{}` does not give a list of strings", self.source);
        let mut items = value.as_iterable().ok_or_else(not_names)?.iter();
        let mut names = Vec::new();
        while let Some(item) = items.next() {
            names.push(item.downcast_ref::<CelString<'_>>().ok_or_else(not_names)?.inner().to_owned());
        }
        Ok(names)
    }

    fn value<'e, 'v>(&'e self, context: &'e Context<'_, 'v>) -> Result<CowVal<'e, 'v>, String> {
        let value = Value::resolve_val(&self.quick, context).map_err(|e| reason(&e))?;
        if out_of_steps() { Err("there is too much to look at".to_owned()) } else { Ok(value) }
    }
}

/// An error of the interpreter in few words; its own may print whole facts.
fn reason(error: &ExecutionError) -> String {
    let text = match error {
        ExecutionError::NoSuchKey(key) => format!("the evidence has no '{key}'"),
        ExecutionError::UndeclaredReference(name) => format!("'{name}' is not known here"),
        ExecutionError::NoSuchOverload(e) if matches!(e.function(), "_[_]" | "_._") => {
            format!(
                "{} has no fields",
                e.argument_types().first().map_or("this", String::as_str).replace("null_type", "null")
            )
        }
        ExecutionError::NoSuchOverload(e) => format!(
            "'{}' can't be applied to {}",
            e.function().trim_matches(['_', '@']),
            e.argument_types().join(" and ").replace("null_type", "null")
        ),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        ExecutionError::IndexOutOfBounds(_) => "a list is too short".to_owned(),
        other => other.to_string(),
    };
    truncate(text, 200)
}

/// Cuts a text at a number of characters, with a mark.
pub(crate) fn truncate(mut text: String, characters: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(characters) {
        text.truncate(at);
        text.push('…');
    }
    text
}

fn syntax(source: &str, (line, column): (isize, isize), message: &str) -> Complaint {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let before: usize = source.split_inclusive('\n').take(line - 1).map(|l| l.chars().count()).sum();
    let end = source.chars().count();
    let at = (before + column - 1).min(end);
    let message = message.trim_start_matches("Syntax error: ");
    let message = if message.contains("Recursion limit") {
        "the expression is nested too deeply".to_owned()
    } else {
        // The parser lists every token that it would have taken.
        message.split(" expecting ").next().unwrap_or(message).replace("'<EOF>'", "the end")
    };
    let mut complaint = Complaint::new("cel-syntax", at..(at + 1).min(end), message);
    if source.chars().nth(at) == Some('=') {
        complaint.help = Some("comparison is written '=='".to_owned());
    }
    complaint
}

#[derive(Default)]
struct Size {
    nodes: usize,
    depth: usize,
    loops: usize,
}

impl Size {
    fn measure(&mut self, node: &IdedExpr, depth: usize, loops: usize) {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        self.loops = self.loops.max(loops);
        match &node.expr {
            // The body of a loop is inside it; the list that it runs over is not.
            Ast::Comprehension(c) => {
                self.measure(&c.iter_range, depth + 1, loops);
                for part in body(c) {
                    self.measure(part, depth + 1, loops + 1);
                }
            }
            other => children(other).into_iter().for_each(|c| self.measure(c, depth + 1, loops)),
        }
    }
}

/// Writes `a.b` as `a["b"]` wherever `a` is a name.
///
/// The interpreter takes `a.b.c` for a name of a package first, and joins and looks up each of its beginnings, every
/// time; nothing here has such a name.
fn unqualified(node: &mut IdedExpr) {
    match &mut node.expr {
        Ast::Call(call) => {
            call.target.as_deref_mut().map(unqualified);
            call.args.iter_mut().for_each(unqualified);
        }
        Ast::List(list) => list.elements.iter_mut().for_each(unqualified),
        Ast::Comprehension(loops) => {
            let loops = &mut **loops;
            let parts = [
                &mut loops.iter_range,
                &mut loops.accu_init,
                &mut loops.loop_cond,
                &mut loops.loop_step,
                &mut loops.result,
            ];
            parts.into_iter().for_each(unqualified);
        }
        Ast::Select(select) if !select.test && matches!(select.operand.expr, Ast::Ident(_)) => {
            let field = LiteralValue::String(std::mem::take(&mut select.field).into());
            let field = IdedExpr { id: node.id, expr: Ast::Literal(field) };
            let args = vec![std::mem::take(&mut *select.operand), field];
            node.expr = Ast::Call(CallExpr { func_name: operators::INDEX.into(), target: None, args });
        }
        Ast::Select(select) => unqualified(&mut select.operand),
        _ => {}
    }
}

/// The parts of a comprehension that are evaluated in its scope.
pub(crate) fn body(c: &ComprehensionExpr) -> [&IdedExpr; 4] {
    [&c.accu_init, &c.loop_cond, &c.loop_step, &c.result]
}

/// The expressions directly inside one that is no comprehension.
pub(crate) fn children(ast: &Ast) -> Vec<&IdedExpr> {
    match ast {
        Ast::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Ast::Select(select) => vec![&*select.operand],
        Ast::List(list) => list.elements.iter().collect(),
        Ast::Map(map) => map.entries.iter().flat_map(entry).collect(),
        Ast::Struct(object) => object.entries.iter().flat_map(entry).collect(),
        Ast::Comprehension(_) | Ast::Ident(_) | Ast::Literal(_) | Ast::Unspecified => Vec::new(),
    }
}

fn entry(entry: &IdedEntryExpr) -> Vec<&IdedExpr> {
    match &entry.expr {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// The root of all contexts: the standard functions and those about time.
pub(crate) struct Engine(Context<'static, 'static>);

impl Engine {
    /// Functions that count from the instant of judgement.
    pub(crate) fn new(as_of: Timestamp) -> Self {
        let mut root = Context::default();
        let left = move |ts: std::sync::Arc<String>| -> Result<i64, ExecutionError> {
            Ok(days_between(&as_of, &instant("days_left", &ts)?))
        };
        let between = |a: std::sync::Arc<String>, b: std::sync::Arc<String>| -> Result<i64, ExecutionError> {
            Ok(days_between(&instant("days_between", &a)?, &instant("days_between", &b)?))
        };
        let since = move |ts: std::sync::Arc<String>| -> Result<i64, ExecutionError> {
            Ok(seconds_between(&instant("seconds_since", &ts)?, &as_of))
        };
        let seconds = |a: std::sync::Arc<String>, b: std::sync::Arc<String>| -> Result<i64, ExecutionError> {
            Ok(seconds_between(&instant("seconds_between", &a)?, &instant("seconds_between", &b)?))
        };
        // The names are free in the standard environment, so none can fail; a test calls all.
        let _ = root.add_function("days_left", left);
        let _ = root.add_function("days_between", between);
        let _ = root.add_function("seconds_since", since);
        let _ = root.add_function("seconds_between", seconds);
        Self(root)
    }

    /// Evaluates with the variables of a scope.
    pub(crate) fn with<R>(&self, scope: &Scope<'_>, run: impl FnOnce(&Context<'_, '_>) -> R) -> R {
        let mut context = self.0.new_inner_scope();
        context.set_variable_resolver(scope);
        run(&context)
    }
}

fn instant(function: &str, text: &str) -> Result<Timestamp, ExecutionError> {
    text.parse().map_err(|_| {
        let text = truncate(text.to_owned(), 40);
        ExecutionError::function_error(function, format!("'{text}' is no RFC 3339 time"))
    })
}

/// Whole days from one instant to another, rounded down.
pub(crate) fn days_between(from: &Timestamp, to: &Timestamp) -> i64 {
    (to.as_nanosecond() - from.as_nanosecond()).div_euclid(86_400_000_000_000).try_into().unwrap_or(i64::MAX)
}

/// Whole seconds from one instant to another, rounded down.
pub(crate) fn seconds_between(from: &Timestamp, to: &Timestamp) -> i64 {
    (to.as_nanosecond() - from.as_nanosecond()).div_euclid(1_000_000_000).try_into().unwrap_or(i64::MAX)
}

/// The variables that an expression sees.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) item: Option<&'a Fact>,
    pub(crate) parent: Option<&'a Fact>,
    /// `facts`, or in scope `service` the object that holds `all`.
    pub(crate) facts: Option<&'a Fact>,
    pub(crate) all: Option<&'a Fact>,
    /// When the facts were collected.
    pub(crate) collected: Option<&'a Fact>,
    /// Earlier evidence, newest first.
    pub(crate) prior: Option<&'a Fact>,
    pub(crate) params: Option<&'a Fact>,
    pub(crate) target: Option<&'a Fact>,
}

impl<'a> Scope<'a> {
    /// The variable of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Fact> {
        match name {
            "item" => self.item,
            "parent" => self.parent,
            "facts" => self.facts,
            "all" => self.all,
            "collected" => self.collected,
            "prior" => self.prior,
            "params" => self.params,
            "target" => self.target,
            _ => None,
        }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        self.get(name).map(|fact| CowVal::Borrowed(fact.as_val()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::fact::allow_steps;

    fn run(source: &str, facts: serde_json::Value) -> Result<bool, String> {
        allow_steps(10_000);
        let facts = Fact::from(facts);
        let engine = Engine::new("2026-11-24T12:00:00Z".parse().unwrap());
        let scope = Scope { facts: Some(&facts), item: Some(&facts), ..Scope::default() };
        let (expr, _) = Expr::compile(source).map_err(|c| c.first().map(|c| c.message.clone()).unwrap_or_default())?;
        engine.with(&scope, |context| expr.test(context))
    }

    #[test]
    fn facts_are_read_in_place() {
        let facts = || serde_json::json!({"a": [{"n": "x", "v": 3}, {"n": "y", "v": null}], "t": "2026-11-26T11:59:59Z", "m": {"k": 1}});
        for (source, wanted) in [
            ("item.a[0].v == 3", Ok(true)),
            ("facts.a.exists(i, i.n == 'y')", Ok(true)),
            ("facts.a.filter(i, i.n == 'y').size() == 1", Ok(true)),
            ("facts.a.map(i, i.n) + ['z'] == ['x', 'y', 'z']", Ok(true)),
            ("'x' in facts.a.map(i, i.n) && size(facts.a) == 2 && 'k' in facts.m && facts.m.size() == 1", Ok(true)),
            ("has(facts.m.k) && !has(facts.m.l)", Ok(true)),
            ("days_left(facts.t) == 1 && days_between(facts.t, '2026-11-24T11:59:59Z') == -2", Ok(true)),
            ("days_left('2026-11-24T11:59:59Z') == -1 && days_left('2026-11-24T12:00:00Z') == 0", Ok(true)),
            ("seconds_since(facts.t) == -172799 && seconds_since('2026-11-24T11:59:59.5Z') == 0", Ok(true)),
            ("seconds_between(facts.t, '2026-11-26T12:01:00+00:00') == 61", Ok(true)),
            ("seconds_between('2026-11-26T12:01:00Z', facts.t) == -61", Ok(true)),
            ("seconds_since('soon') > 3", Err("'soon' is no RFC 3339 time")),
            ("facts.a[1].v < 3", Err("'<' can't be applied to null and int")),
            ("facts.b == 3", Err("the evidence has no 'b'")),
            ("facts.a[7].v == 3", Err("a list is too short")),
            ("days_left('soon') < 3", Err("'soon' is no RFC 3339 time")),
            ("facts.t", Err("`facts.t` gives a string, not a boolean")),
            ("nothing.x == 1", Err("'nothing' is not known here")),
        ] {
            assert_eq!(run(source, facts()), wanted.map_err(str::to_owned), "{source}");
        }
    }

    #[test]
    fn loops_over_hostile_facts_come_to_an_end() {
        let many: Vec<i64> = (0..5_000).collect();
        let facts = serde_json::json!({ "a": many });
        let got = run("facts.a.all(x, facts.a.all(y, x + y >= 0))", facts);
        assert_eq!(got, Err("there is too much to look at".to_owned()));
    }

    #[test]
    fn large_expressions_are_refused() {
        for source in [
            "a+".repeat(900) + "a",
            "a.".repeat(900) + "a",
            "(".repeat(900),
            "[1].all(a, [1].all(b, [1].all(c, true)))".into(),
        ] {
            assert!(Expr::compile(&source).is_err(), "{source}");
        }
    }
}
