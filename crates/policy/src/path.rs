//! Paths into facts: which things a control looks at, and the lists that they stand in.

use std::ops::Range;

use crate::diagnostic::suggest;
use crate::expr::Complaint;
use crate::fact::Fact;
use crate::schema::{Field, Type};

/// A path such as `versions[*].suites[*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    name: String,
    /// `[*]` follows: every item of the list.
    each: bool,
    /// Characters of the name in the text.
    at: Range<usize>,
}

/// How a list (or single thing) was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The list whose items are looked at.
    Items,
    /// A list further out.
    Outer,
    /// One thing, no list.
    Single,
    /// It is not there.
    Missing(String),
}

/// A list in the facts that a path leads to or through.
#[derive(Debug)]
pub(crate) struct Found<'f> {
    pub(crate) reached: Reached,
    /// Its path, `versions[2].suites`.
    pub(crate) at: String,
    /// The last name of the path to it.
    pub(crate) name: &'f str,
    pub(crate) items: &'f [Fact],
    /// The item of the list around it; the facts where there is none.
    pub(crate) parent: &'f Fact,
    /// The object that holds it.
    pub(crate) holder: &'f Fact,
    /// Something around it has the outcome `not_proven`.
    pub(crate) unproven: bool,
    /// Position in the outermost list that it was reached through.
    pub(crate) origin: Option<usize>,
}

impl Path {
    /// Reads a path.
    pub(crate) fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = |at: Range<usize>, message: &str| Complaint::new("path-syntax", at, message.to_owned());
        let mut segments = Vec::new();
        let mut start = 0;
        for part in text.split('.') {
            let (name, each) = part.strip_suffix("[*]").map_or((part, false), |name| (name, true));
            let at = start..start + name.chars().count();
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(legal) {
                let at = at.start..start + part.chars().count().max(1);
                return Err(wrong(at, "a path is made of names joined by '.', each list marked '[*]'"));
            }
            start += part.chars().count() + 1;
            segments.push(Segment { name: name.to_owned(), each, at });
        }
        if segments.len() > 16 {
            return Err(wrong(0..start, "the path is too long"));
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// The names that it is made of.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(|s| s.name.as_str())
    }

    /// Types of the item and of its parent.
    pub(crate) fn types<'s>(&self, root: &Type<'s>) -> Result<(Type<'s>, Type<'s>), Complaint> {
        let wrong = |at: &Range<usize>, message: String, help| Complaint {
            code: "unknown-path",
            at: at.clone(),
            message,
            help,
        };
        let (mut node, mut parent) = (root.clone(), root.clone());
        let last = self.segments.len().saturating_sub(1);
        for (i, Segment { name, each, at }) in self.segments.iter().enumerate() {
            node = match node.field(name) {
                Field::Known(ty) => ty,
                Field::Unknown(others) => {
                    let help = suggest(name, others.iter().map(String::as_str));
                    return Err(wrong(at, format!("there is no field '{name}'"), help));
                }
                Field::NoObject => return Err(wrong(at, format!("{} has no field '{name}'", node.name()), None)),
            };
            if !*each {
                if node.may_be(|t| matches!(t, Type::List(_))) && !matches!(node, Type::Any) {
                    return Err(wrong(at, format!("'{name}' is a list"), Some(format!("write '{name}[*]'"))));
                }
                continue;
            }
            node = node.items().ok_or_else(|| wrong(at, format!("'{name}' is {}, not a list", node.name()), None))?;
            if i != last {
                parent = node.clone();
            }
        }
        Ok((node, parent))
    }

    /// Every list (or single thing) behind the path.
    pub(crate) fn walk<'f>(&'f self, root: &'f Fact) -> Vec<Found<'f>> {
        let mut found = Vec::new();
        let unproven = is_unproven(root);
        let here = Here { node: root, parent: root, unproven, origin: None };
        step(&self.segments, here, &mut String::new(), &mut found);
        found
    }
}

/// Whether a thing says of itself that it is not proven.
pub(crate) fn is_unproven(fact: &Fact) -> bool {
    fact.text_at("outcome") == Some("not_proven")
}

#[derive(Clone, Copy)]
struct Here<'f> {
    node: &'f Fact,
    parent: &'f Fact,
    unproven: bool,
    origin: Option<usize>,
}

fn step<'f>(segments: &'f [Segment], here: Here<'f>, at: &mut String, found: &mut Vec<Found<'f>>) {
    let Some((segment, rest)) = segments.split_first() else { return };
    let length = at.len();
    if !at.is_empty() {
        at.push('.');
    }
    at.push_str(&segment.name);
    let child = here.node.get(&segment.name);
    let list = child.and_then(Fact::as_list);
    let reached = match (child, list, segment.each) {
        (None, _, _) => Reached::Missing(format!("the evidence has no '{at}'")),
        (Some(Fact::Null), _, true) => Reached::Missing(format!("'{at}' is absent")),
        (Some(_), None, true) => Reached::Missing(format!("'{at}' is no list")),
        (Some(_), Some(_), true) if rest.is_empty() => Reached::Items,
        (Some(_), Some(_), true) => Reached::Outer,
        (Some(_), _, false) => Reached::Single,
    };
    let items = match (&reached, child) {
        (Reached::Single, Some(child)) => std::slice::from_ref(child),
        _ => list.unwrap_or_default(),
    };
    // A thing passed on the way to another is no item.
    if reached != Reached::Single || rest.is_empty() {
        let Here { parent, node: holder, unproven, origin } = here;
        found.push(Found { reached, at: at.clone(), name: &segment.name, items, parent, holder, unproven, origin });
    }
    if let (Some(child), false) = (child, rest.is_empty()) {
        if segment.each {
            for (i, item) in items.iter().enumerate() {
                let inner = at.len();
                at.push_str(&format!("[{i}]"));
                let unproven = here.unproven || is_unproven(item);
                let origin = here.origin.or(Some(i));
                step(rest, Here { node: item, parent: item, unproven, origin }, at, found);
                at.truncate(inner);
            }
        } else {
            step(rest, Here { node: child, unproven: here.unproven || is_unproven(child), ..here }, at, found);
        }
    }
    at.truncate(length);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn lists_on_the_way_are_reported_too() {
        let facts = Fact::from(serde_json::json!({"v": [
            {"outcome": "accepted", "s": [{"id": 1}, {"id": 2}]}, {"outcome": "not_proven", "s": []}, {"s": null}]}));
        let path = Path::parse("v[*].s[*]").unwrap();
        let got: Vec<_> = path
            .walk(&facts)
            .into_iter()
            .map(|f| (f.at, f.items.len(), f.reached == Reached::Outer, f.unproven))
            .collect();
        let want = [
            ("v", 3, true, false),
            ("v[0].s", 2, false, false),
            ("v[1].s", 0, false, true),
            ("v[2].s", 0, false, false),
        ];
        assert_eq!(got, want.map(|(a, n, o, u)| (a.to_owned(), n, o, u)));
        let missing = Path::parse("v[*].t.u").unwrap();
        assert!(missing.walk(&facts).iter().skip(1).all(|f| matches!(f.reached, Reached::Missing(_))));
    }

    #[test]
    fn only_paths_are_paths() {
        for text in ["", "a..b", "a[0]", "a[*]b", "a b", "[*]"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
