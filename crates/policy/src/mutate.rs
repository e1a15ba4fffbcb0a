//! Small changes to a control, each of which some test must notice.

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, LiteralValue, SourceInfo, operators};

use crate::check::extent;
use crate::control::{Compiled, Control, NamesExpr, Param};
use crate::expr::{Expr, children};
use std::sync::Arc;

/// A changed control and what was changed, in words that stay the same while the control does.
pub(crate) struct Mutant {
    pub(crate) what: String,
    pub(crate) control: Control,
}

/// Every mutant of a control.
pub(crate) fn mutants(control: &Control) -> Vec<Mutant> {
    let mut all = Vec::new();
    let compiled = &control.compiled;
    let mut with = |what: String, change: &dyn Fn(&mut Compiled)| {
        let mut changed = Compiled::clone(compiled);
        change(&mut changed);
        all.push(Mutant { what, control: Control { compiled: Arc::new(changed), ..control.clone() } });
    };
    for (what, ast) in expressions("violates", Some(&compiled.violates)) {
        with(what, &|c| c.violates = Expr::of(c.violates.source.clone(), ast.clone()));
    }
    for (what, ast) in expressions("unproven", compiled.unproven.as_ref()) {
        with(what, &|c| c.unproven = c.unproven.take().map(|e| Expr::of(e.source, ast.clone())));
    }
    if compiled.unproven.is_some() {
        with("unproven: left out".into(), &|c| c.unproven = None);
    }
    for (what, ast) in expressions("where", compiled.filter.as_ref()) {
        with(what, &|c| c.filter = c.filter.take().map(|e| Expr::of(e.source, ast.clone())));
    }
    for (what, ast) in expressions("applicable", compiled.applicable.as_ref()) {
        with(what, &|c| c.applicable = c.applicable.take().map(|e| Expr::of(e.source, ast.clone())));
    }
    if compiled.filter.is_some() {
        with("where: left out".into(), &|c| c.filter = None);
    }
    if compiled.applicable.is_some() {
        with("applicable: left out".into(), &|c| c.applicable = None);
    }
    if let Some(cover) = &compiled.cover {
        with("cover: left out".into(), &|c| c.cover = None);
        if let NamesExpr::List(names) = cover {
            for (i, name) in names.iter().enumerate() {
                let rest: Vec<String> =
                    names.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, n)| n.clone()).collect();
                with(format!("cover: without '{name}'"), &|c| c.cover = Some(NamesExpr::List(rest.clone())));
            }
        }
    }
    for (i, path) in compiled.over.iter().enumerate().filter(|_| compiled.over.len() > 1) {
        with(format!("over: without '{}'", path.text), &|c| drop(c.over.remove(i)));
    }
    all.extend(params(control));
    all
}

/// The control with one parameter changed in each possible small way.
fn params(control: &Control) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (name, param) in &control.written.params {
        let mut with = |what: String, value: Param| {
            let mut changed = control.clone();
            changed.written.params.insert(name.clone(), value);
            all.push(Mutant { what: format!("params.{name}: {what}"), control: changed });
        };
        match param {
            Param::Bool(b) => with(format!("{b} → {}", !b), Param::Bool(!b)),
            Param::Int(i) => {
                for other in [i.saturating_add(1), i.saturating_sub(1)] {
                    with(format!("{i} → {other}"), Param::Int(other));
                }
            }
            Param::Text(t) => with(format!("'{t}' → '{OTHER}'"), Param::Text(OTHER.into())),
            Param::Texts(list) => {
                for (i, word) in list.iter().enumerate() {
                    with(format!("without '{word}'"), Param::Texts(without(list, i)));
                }
            }
            Param::Ints(list) => {
                for (i, number) in list.iter().enumerate() {
                    with(format!("without {number}"), Param::Ints(without(list, i)));
                }
            }
        }
    }
    all
}

fn without<T: Clone>(list: &[T], at: usize) -> Vec<T> {
    list.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, x)| x.clone()).collect()
}

/// A text that no fact holds.
const OTHER: &str = "(mutant)";

/// Every mutant of an expression.
fn expressions(field: &str, expr: Option<&Expr>) -> Vec<(String, IdedExpr)> {
    let Some(expr) = expr else { return Vec::new() };
    let Ok((_, info)) = Expr::compile(&expr.source) else { return Vec::new() };
    let source: Vec<char> = expr.source.chars().collect();
    let mut changes = Vec::new();
    visit(&expr.ast, true, &source, &info, &mut changes);
    changes.into_iter().map(|(id, what, new)| (format!("{field}: {what}"), replace(&expr.ast, id, &new))).collect()
}

/// What replaces a node.
enum Change {
    /// Another function or operator on the same arguments.
    Rename(&'static str),
    /// The opposite.
    Negate,
    /// The two branches of a conditional change places.
    Swap,
    Literal(LiteralValue),
}

/// Collects the changes of a node and of all inside it. `truth` says that the node stands where a boolean is asked for.
fn visit(node: &IdedExpr, truth: bool, source: &[char], info: &SourceInfo, changes: &mut Vec<(u64, String, Change)>) {
    let text = || {
        let range = extent(source, info, node);
        let text: String = source.get(range).unwrap_or_default().iter().collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    match &node.expr {
        Ast::Call(call) if of_macro(call) => {
            // Written by the parser around what the author wrote: a test, or what is put into a list.
            for child in call.args.iter().filter(|a| !matches!(a.expr, Ast::Literal(_))) {
                let test = matches!(
                    call.func_name.as_str(),
                    operators::LOGICAL_AND | operators::LOGICAL_OR | operators::CONDITIONAL
                );
                visit(child, test, source, info, changes);
            }
            return;
        }
        Ast::Call(call) => {
            let operator = call.func_name.as_str();
            for (new, sign) in renames(operator) {
                changes.push((node.id, format!("`{}`: {} → {sign}", text(), sign_of(operator)), Change::Rename(new)));
            }
            match operator {
                operators::CONDITIONAL => {
                    changes.push((node.id, format!("`{}`: branches swapped", text()), Change::Swap));
                }
                operators::LOGICAL_NOT => {
                    changes.push((node.id, format!("`{}`: ! left out", text()), Change::Negate));
                }
                _ if truth && renames(operator).is_empty() => {
                    changes.push((node.id, format!("`{}`: negated", text()), Change::Negate));
                }
                _ => {}
            }
            let logic = [operators::LOGICAL_AND, operators::LOGICAL_OR];
            for (i, child) in call.target.as_deref().into_iter().chain(&call.args).enumerate() {
                let inner = match operator {
                    operators::CONDITIONAL => i == 0 || truth,
                    operators::LOGICAL_NOT => false,
                    _ => logic.contains(&operator),
                };
                visit(child, inner, source, info, changes);
            }
            return;
        }
        Ast::Ident(name) if name.starts_with('@') => {}
        Ast::Select(_) | Ast::Ident(_) if truth => {
            changes.push((node.id, format!("`{}`: negated", text()), Change::Negate));
        }
        Ast::Literal(literal) => {
            if let Some((new, words)) = other_literal(literal) {
                changes.push((node.id, format!("{} → {words}", text()), Change::Literal(new)));
            }
        }
        Ast::Comprehension(loops) => {
            if truth {
                let over = extent(source, info, &loops.iter_range);
                let over: String = source.get(over).unwrap_or_default().iter().collect();
                changes.push((node.id, format!("loop over `{over}`: negated"), Change::Negate));
            }
            visit(&loops.iter_range, false, source, info, changes);
            visit(&loops.loop_step, false, source, info, changes);
            return;
        }
        _ => {}
    }
    for child in children(&node.expr) {
        visit(child, false, source, info, changes);
    }
}

/// Whether a call was written by the parser when it expanded a macro: it speaks of the loop's result.
fn of_macro(call: &CallExpr) -> bool {
    call.args.iter().any(|a| matches!(&a.expr, Ast::Ident(name) if name.starts_with('@')))
        || call
            .args
            .iter()
            .any(|a| matches!(&a.expr, Ast::Call(inner) if inner.func_name == operators::ADD && of_macro(inner)))
}

/// Operators that look much the same.
fn renames(operator: &str) -> &'static [(&'static str, &'static str)] {
    use operators::{EQUALS, GREATER, GREATER_EQUALS, LESS, LESS_EQUALS, LOGICAL_AND, LOGICAL_OR, NOT_EQUALS};
    match operator {
        EQUALS => &[(NOT_EQUALS, "!=")],
        NOT_EQUALS => &[(EQUALS, "==")],
        LESS => &[(LESS_EQUALS, "<="), (GREATER_EQUALS, ">=")],
        LESS_EQUALS => &[(LESS, "<"), (GREATER, ">")],
        GREATER => &[(GREATER_EQUALS, ">="), (LESS_EQUALS, "<=")],
        GREATER_EQUALS => &[(GREATER, ">"), (LESS, "<")],
        LOGICAL_AND => &[(LOGICAL_OR, "||")],
        LOGICAL_OR => &[(LOGICAL_AND, "&&")],
        _ => &[],
    }
}

fn sign_of(operator: &str) -> &str {
    operator.trim_matches(['_', '@'])
}

fn other_literal(literal: &LiteralValue) -> Option<(LiteralValue, String)> {
    match literal {
        LiteralValue::Boolean(b) => Some((LiteralValue::Boolean((!b.inner()).into()), (!b.inner()).to_string())),
        LiteralValue::Int(i) => {
            let other = i.inner().checked_add(1)?;
            Some((LiteralValue::Int(other.into()), other.to_string()))
        }
        LiteralValue::String(_) => Some((LiteralValue::String(OTHER.into()), format!("'{OTHER}'"))),
        _ => None,
    }
}

/// The tree with one node changed.
fn replace(node: &IdedExpr, id: u64, change: &Change) -> IdedExpr {
    if node.id == id {
        return changed(node, change);
    }
    let mut copy = node.clone();
    let inside = |child: &mut IdedExpr| *child = replace(child, id, change);
    match &mut copy.expr {
        Ast::Call(call) => {
            call.target.as_deref_mut().map(inside);
            call.args.iter_mut().for_each(inside);
        }
        Ast::Select(select) => inside(&mut select.operand),
        Ast::List(list) => list.elements.iter_mut().for_each(inside),
        Ast::Comprehension(loops) => {
            inside(&mut loops.iter_range);
            inside(&mut loops.loop_step);
        }
        _ => {}
    }
    copy
}

fn changed(node: &IdedExpr, change: &Change) -> IdedExpr {
    let mut copy = node.clone();
    match (change, &mut copy.expr) {
        (Change::Rename(name), Ast::Call(call)) => call.func_name = (*name).to_owned(),
        (Change::Swap, Ast::Call(call)) if call.args.len() == 3 => call.args.swap(1, 2),
        (Change::Negate, Ast::Call(call)) if call.func_name == operators::LOGICAL_NOT => {
            if let Some(inner) = call.args.pop() {
                return inner;
            }
        }
        (Change::Literal(new), literal @ Ast::Literal(_)) => *literal = Ast::Literal(new.clone()),
        (Change::Negate, _) => {
            let call = CallExpr { func_name: operators::LOGICAL_NOT.into(), target: None, args: vec![node.clone()] };
            return IdedExpr { id: node.id, expr: Ast::Call(call) };
        }
        _ => {}
    }
    copy
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn every_comparison_constant_and_operator_is_changed_once() {
        let (expr, _) = Expr::compile("item.a == 'x' && !item.b || facts.l.exists(s, s.n < 3)").unwrap();
        let got: Vec<String> = expressions("violates", Some(&expr)).into_iter().map(|(what, _)| what).collect();
        let want = [
            "violates: `item.a == 'x' && !item.b || facts.l.exists(s, s.n < 3`: || → &&",
            "violates: `item.a == 'x' && !item.b`: && → ||",
            "violates: `item.a == 'x'`: == → !=",
            "violates: 'x' → '(mutant)'",
            "violates: `!item.b`: ! left out",
            "violates: loop over `facts.l`: negated",
            "violates: `s.n < 3`: < → <=",
            "violates: `s.n < 3`: < → >=",
            "violates: 3 → 4",
        ];
        let mut missing: Vec<&str> = want.into_iter().filter(|w| !got.iter().any(|g| g == w)).collect();
        missing.retain(|w| !w.contains("||"));
        assert!(missing.is_empty(), "{missing:?} not in {got:#?}");
        assert_eq!(got.len(), want.len(), "{got:#?}");
    }
}
