//! The templates of a control: its message, what it wants, why it does not apply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, filters};
use model::Timestamp;

use crate::diagnostic::suggest;
use crate::expr::{self, Complaint, Scope, truncate};
use crate::fact::{Fact, List, Map};

/// The longest text that a template gives, characters.
const MAX_TEXT: usize = 500;
/// The names under which facts are known to templates.
const ROOTS: [&str; 7] = ["item", "parent", "facts", "collected", "prior", "params", "target"];

/// The filters that templates may use; all are added in [`Templates::new`].
const FILTERS: [&str; 15] = [
    "default", "first", "join", "last", "length", "lower", "map", "replace", "round", "size", "sort", "span", "trim",
    "unique", "upper",
];
/// The functions that templates may call; all are added in [`Templates::new`].
const FUNCTIONS: [&str; 4] = ["days_left", "days_between", "seconds_since", "seconds_between"];

/// The compiled templates of one control, by name.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    /// Variables that each template reads, so that no others need to be handed over.
    roots: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl Templates {
    pub(crate) fn new() -> Self {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("default", filters::default);
        environment.add_filter("first", filters::first);
        environment.add_filter("join", filters::join);
        environment.add_filter("last", filters::last);
        environment.add_filter("length", filters::length);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("map", filters::map);
        environment.add_filter("replace", filters::replace);
        environment.add_filter("round", filters::round);
        environment.add_filter("size", model::measure::size);
        environment.add_filter("sort", filters::sort);
        environment.add_filter("span", model::measure::span);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("unique", filters::unique);
        environment.add_filter("upper", filters::upper);
        environment.add_function("days_left", days_left);
        environment.add_function("days_between", days_between);
        environment.add_function("seconds_since", seconds_since);
        environment.add_function("seconds_between", seconds_between);
        Self { environment, roots: BTreeMap::new() }
    }

    /// Compiles a template. Gives the dotted names that it reads, or what is wrong with it.
    pub(crate) fn add(&mut self, name: &'static str, source: &str) -> Result<BTreeSet<String>, Complaint> {
        let whole = 0..source.chars().count();
        if source.len() > expr::MAX_SOURCE {
            let message = format!("the template has {} bytes; {} are allowed", source.len(), expr::MAX_SOURCE);
            return Err(Complaint::new("template-size", whole, message));
        }
        if let Some(at) = forbidden_tag(source) {
            let message = "only '{% if %}' and '{{ … }}' are allowed in templates".to_owned();
            return Err(Complaint::new("template", at, message));
        }
        if let Some(complaint) = unknown_filter(source) {
            return Err(complaint);
        }
        self.environment.add_template_owned(name, source.to_owned()).map_err(|e| complaint(source, &e))?;
        let template = self.environment.get_template(name).map_err(|e| complaint(source, &e))?;
        let names: BTreeSet<String> =
            template.undeclared_variables(true).into_iter().filter(|n| !FUNCTIONS.contains(&n.as_str())).collect();
        let top: BTreeSet<&str> = names.iter().map(|n| n.split('.').next().unwrap_or(n)).collect();
        self.roots.insert(name, ROOTS.into_iter().filter(|r| top.contains(r)).collect());
        Ok(names)
    }

    /// Renders one of them.
    ///
    /// # Errors
    /// Why it can't be: an undefined value, mostly.
    pub(crate) fn render(&self, name: &str, scope: &Scope<'_>, as_of: Timestamp) -> Result<String, String> {
        let values = self.roots.get(name).into_iter().flatten();
        let values = values.filter_map(|root| Some((*root, value(scope.get(root)?))));
        let context: BTreeMap<&str, Value> = values.chain([("as_of", Value::from(as_of.to_string()))]).collect();
        let template = self.environment.get_template(name).map_err(|e| say(&e))?;
        template.render(context).map(|text| truncate(text, MAX_TEXT)).map_err(|e| say(&e))
    }
}

/// A fact as templates see it: lists and objects are read in place.
fn value(fact: &Fact) -> Value {
    match fact {
        Fact::Null => Value::from(()),
        Fact::Bool(v) => Value::from(*v.inner()),
        Fact::Int(v) => Value::from(*v.inner()),
        Fact::Float(v) => Value::from(*v.inner()),
        Fact::Text(v) => Value::from(v.inner()),
        Fact::List(v) => Value::from_object(v.clone()),
        Fact::Map(v) => Value::from_object(v.clone()),
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items().get(key.as_usize()?).map(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items().len())
    }
}

impl Object for Map {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.field(key.as_str()?).map(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.keys().map(Value::from).collect())
    }
}

/// The error without the values that a debug build would add.
fn say(error: &Error) -> String {
    truncate(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned), 200)
}

fn complaint(source: &str, error: &Error) -> Complaint {
    // Templates tell the line alone.
    let line = error.line().unwrap_or(1).max(1);
    let before: usize = source.split_inclusive('\n').take(line - 1).map(|l| l.chars().count()).sum();
    let length = source.lines().nth(line - 1).map_or(0, |l| l.chars().count());
    Complaint::new("template", before..before + length, say(error))
}

/// The first tag that is no `if`, in characters. Loops and assignments have no bound on their cost.
fn forbidden_tag(source: &str) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    while let Some(at) = source.get(from..).and_then(|s| s.find("{%")) {
        let tag = source.get(from + at + 2..).unwrap_or_default();
        let word: String =
            tag.trim_start_matches(['-', '+', ' ', '\t', '\n']).chars().take_while(|c| c.is_alphanumeric()).collect();
        if !["if", "elif", "else", "endif"].contains(&word.as_str()) {
            let start = source.get(..from + at).map_or(0, |s| s.chars().count());
            return Some(start..start + 2);
        }
        from += at + 2;
    }
    None
}

/// The first filter that there is not; the engine itself would only notice when it renders.
fn unknown_filter(source: &str) -> Option<Complaint> {
    let chars: Vec<char> = source.chars().collect();
    let (mut inside, mut quote) = (false, None);
    for (i, c) in chars.iter().enumerate() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') if inside => quote = Some(c),
            (None, '{') if matches!(chars.get(i + 1), Some('{' | '%')) => inside = true,
            (None, '}') => inside = false,
            (None, '|') if inside => {
                let rest = chars.get(i + 1..).unwrap_or_default();
                let gap = rest.iter().take_while(|c| c.is_whitespace()).count();
                let name: String = rest.iter().skip(gap).take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                if !FILTERS.contains(&name.as_str()) {
                    let at = i + 1 + gap..i + 1 + gap + name.chars().count();
                    let message = format!("there is no filter '{name}'");
                    return Some(Complaint {
                        help: suggest(&name, FILTERS),
                        ..Complaint::new("template", at, message)
                    });
                }
            }
            _ => {}
        }
    }
    None
}

fn days_left(state: &State<'_, '_>, ts: &str) -> Result<i64, Error> {
    Ok(expr::days_between(&as_of(state)?, &instant(ts)?))
}

fn days_between(a: &str, b: &str) -> Result<i64, Error> {
    Ok(expr::days_between(&instant(a)?, &instant(b)?))
}

fn seconds_since(state: &State<'_, '_>, ts: &str) -> Result<i64, Error> {
    Ok(expr::seconds_between(&instant(ts)?, &as_of(state)?))
}

fn seconds_between(a: &str, b: &str) -> Result<i64, Error> {
    Ok(expr::seconds_between(&instant(a)?, &instant(b)?))
}

/// The instant of judgement, which every template is handed.
fn as_of(state: &State<'_, '_>) -> Result<Timestamp, Error> {
    instant(state.lookup("as_of").unwrap_or_default().as_str().unwrap_or_default())
}

fn instant(text: &str) -> Result<Timestamp, Error> {
    let wrong = || format!("'{}' is no RFC 3339 time", truncate(text.to_owned(), 40));
    text.parse().map_err(|_| Error::new(ErrorKind::InvalidOperation, wrong()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, item: serde_json::Value) -> Result<String, String> {
        let mut templates = Templates::new();
        templates.add("message", source).map_err(|c| c.message)?;
        let item = Fact::from(item);
        let as_of = Timestamp::from_second(1_795_521_600).unwrap_or_default();
        templates.render("message", &Scope { item: Some(&item), ..Scope::default() }, as_of)
    }

    #[test]
    fn values_filters_and_time() {
        let item =
            || serde_json::json!({"n": "x", "l": [{"a": "p"}, {"a": "q"}], "t": "2026-12-03T12:00:00Z", "z": null});
        assert_eq!(render("{{ item.n | upper }} {{ item.l | length }}", item()), Ok("X 2".into()));
        assert_eq!(render("{{ item.l | map(attribute='a') | join(', ') }}", item()), Ok("p, q".into()));
        assert_eq!(render("{{ days_left(item.t) }} days", item()), Ok("9 days".into()));
        assert_eq!(render("{% if item.z %}a{% else %}b{% endif %}", item()), Ok("b".into()));
        assert!(render("{{ item.nope }}", item()).is_err());
        let age = "{{ seconds_since('2026-11-23T10:00:00Z') | span }}, {{ 1610612736 | size }}";
        assert_eq!(render(age, item()), Ok("26 h, 1.5 GiB".into()));
        assert_eq!(render("{{ seconds_between(item.t, '2026-12-03T11:58:30Z') | span }}", item()), Ok("-90 s".into()));
        assert!(render("{{ item.z | span }}", item()).is_err() && render("{{ item.n | size }}", item()).is_err());
    }

    #[test]
    fn what_could_run_long_is_refused() {
        for source in ["{% for i in item.l %}{{ i }}{% endfor %}", "{%- set x = 1 %}", "{{ 'x' * 1000000000 }}", "{{"] {
            assert!(render(source, serde_json::json!({"l": []})).is_err(), "{source}");
        }
    }
}
