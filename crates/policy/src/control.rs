//! A control: one requirement as it is written, and as it is compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{ControlInfo, Level, Severity};
use serde::Serialize;

use crate::expr::Expr;
use crate::fact::Fact;
use crate::path::Path;
use crate::template::Templates;

/// The value of a parameter. A profile may change the value, never the type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Param {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A string.
    Text(String),
    /// A list of strings; an empty list of any sort.
    Texts(Vec<String>),
    /// A list of whole numbers.
    Ints(Vec<i64>),
}

impl Param {
    /// What it is, for messages.
    pub(crate) const fn sort(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Text(_) => "a string",
            Self::Texts(_) => "a list of strings",
            Self::Ints(_) => "a list of integers",
        }
    }

    /// Whether another value may stand in its place. The empty list is a list of anything.
    pub(crate) fn accepts(&self, other: &Self) -> bool {
        let empty = |p: &Self| matches!(p, Self::Texts(list) if list.is_empty());
        let list = |p: &Self| matches!(p, Self::Texts(_) | Self::Ints(_));
        std::mem::discriminant(self) == std::mem::discriminant(other)
            || (empty(self) || empty(other)) && list(self) && list(other)
    }

    /// The strings in it.
    pub(crate) fn words(&self) -> &[String] {
        match self {
            Self::Text(word) => std::slice::from_ref(word),
            Self::Texts(words) => words,
            _ => &[],
        }
    }

    pub(crate) fn to_fact(&self) -> Fact {
        match self {
            Self::Bool(b) => Fact::Bool((*b).into()),
            Self::Int(i) => Fact::Int((*i).into()),
            Self::Text(t) => Fact::text(t.clone()),
            Self::Texts(list) => Fact::list(list.iter().map(|t| Fact::text(t.clone()))),
            Self::Ints(list) => Fact::list(list.iter().map(|i| Fact::Int((*i).into()))),
        }
    }
}

/// Parameters by name.
pub type Params = BTreeMap<String, Param>;

/// What a control is judged over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One target at a time.
    #[default]
    Target,
    /// All evidence of its kinds at once.
    Service,
}

/// The evidence that a control needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// Kinds that decide it.
    pub kinds: Vec<String>,
    /// How old it may be at the instant of judgement, as written (`24h`).
    pub max_age: String,
    /// How far back earlier evidence of the same target is wanted as `prior`, as written (`30d`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// The least level that will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// One target at a time, or all at once.
    pub scope: Scope,
}

impl Needs {
    /// The age allowed, in seconds.
    pub(crate) fn max_age_seconds(&self) -> i64 {
        seconds(&self.max_age).unwrap_or(0)
    }
}

/// A time span such as `90s`, `15m`, `24h` or `7d`, in seconds; at most ten years.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u32 = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
    Some(i64::from(number) * unit).filter(|s| *s <= 315_360_000)
}

/// Names, written down or computed from parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Names {
    /// A list.
    List(Vec<String>),
    /// A CEL expression over `params`.
    Cel(String),
}

/// What a control wants probes to look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Asks {
    /// Everything; written `all`.
    All(&'static str),
    /// Names by what they name.
    Only(BTreeMap<String, Names>),
}

/// A control as it is written, parameters included.
///
/// Serialised it is again a control of a `controls/*.yaml`, with `source` (where it came from) beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Stable id.
    pub id: String,
    /// The state that is wanted.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// The evidence needed.
    pub evidence: Needs,
    /// Parameters: the defaults, or what a profile made of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: Params,
    /// What probes are asked to look for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<Asks>,
    /// Paths to the things looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<String>,
    /// Which of them are of concern.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Names that must have been looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cover: Option<Names>,
    /// What breaks the requirement.
    pub violates: String,
    /// Which of the things that do not break it can't be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unproven: Option<String>,
    /// What is said of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Where the control says something at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applicable: Option<String>,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
    /// What is said of a violation.
    pub message: String,
    /// What would have passed.
    pub wanted: String,
    /// Why it matters.
    pub rationale: String,
    /// How to mend it, by product.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub remedy: BTreeMap<String, String>,
    /// Clauses by framework.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub clauses: BTreeMap<String, Vec<String>>,
}

/// A control: as written, as reports see it, and ready to judge.
#[derive(Clone, Debug)]
pub struct Control {
    /// As written.
    pub written: Written,
    /// Where it is written.
    pub source: model::Source,
    /// True where it came from a file that ships with Probity.
    pub shipped: bool,
    pub(crate) compiled: Arc<Compiled>,
}

impl Control {
    /// What reports need to know.
    #[must_use]
    pub fn info(&self) -> ControlInfo {
        let w = &self.written;
        ControlInfo {
            id: w.id.clone(),
            title: w.title.clone(),
            severity: w.severity,
            kinds: w.evidence.kinds.clone(),
            rationale: w.rationale.clone(),
            remedy: w.remedy.clone(),
            clauses: w.clauses.clone(),
            source: self.source.clone(),
        }
    }
}

/// Names, ready to compute.
#[derive(Clone, Debug)]
pub(crate) enum NamesExpr {
    List(Vec<String>),
    Cel(Expr),
}

/// The expressions and templates of a control. They do not depend on the values of parameters.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) asks: Option<BTreeMap<String, NamesExpr>>,
    pub(crate) over: Vec<Path>,
    pub(crate) filter: Option<Expr>,
    pub(crate) cover: Option<NamesExpr>,
    pub(crate) violates: Expr,
    pub(crate) unproven: Option<Expr>,
    pub(crate) applicable: Option<Expr>,
    pub(crate) templates: Arc<Templates>,
    pub(crate) usage: crate::check::Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans() {
        assert_eq!(seconds("24h"), Some(86_400));
        assert_eq!(seconds("7d"), Some(604_800));
        for text in ["", "h", "24", "-1h", "1.5h", "24ü", "99999999999999h", "4000000000d"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
