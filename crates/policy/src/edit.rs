//! Changes to the facts of a test: `versions[name=TLSv1.1].suites[0].id`.

use serde_json::Value;

/// One step into JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    /// The item whose field has that value, as text.
    Where(String, String),
    /// Behind the last item.
    End,
}

/// A path to one place in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<Step>);

impl Pointer {
    /// Reads a path: names joined by '.', each followed by any number of `[0]`, `[key=value]` or `[+]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no path to a fact");
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (inside, after) = inner.split_once(']').ok_or_else(wrong)?;
                steps.push(match inside.split_once('=') {
                    Some((key, value)) => Step::Where(key.to_owned(), value.to_owned()),
                    None if inside == "+" => Step::End,
                    None => Step::Index(inside.parse().map_err(|_| wrong())?),
                });
                rest = after.strip_prefix('.').unwrap_or(after);
                let fits = rest.is_empty() || after.starts_with(['.', '[']);
                fits.then_some(()).ok_or_else(wrong)?;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                (!name.is_empty()).then_some(()).ok_or_else(wrong)?;
                steps.push(Step::Key(name.to_owned()));
                rest = after.strip_prefix('.').unwrap_or(after);
            }
        }
        if steps.is_empty() { Err(wrong()) } else { Ok(Self(steps)) }
    }

    /// The value there.
    pub(crate) fn get_mut<'v>(&self, root: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(root, |value, step| enter(value, step))
    }

    /// Puts a value in the place of the one there, or at the end of a list.
    pub(crate) fn set(&self, root: &mut Value, new: Value) -> Result<(), String> {
        let (last, way) = self.0.split_last().ok_or("the path is empty")?;
        let holder = Self(way.to_vec());
        let holder = holder.get_mut(root).ok_or_else(|| format!("there is no '{}' in the facts", show(way)))?;
        match (last, holder) {
            (Step::End, Value::Array(items)) => {
                items.push(new);
                Ok(())
            }
            (last, holder) => match enter(holder, last) {
                Some(old) => {
                    *old = new;
                    Ok(())
                }
                None => Err(format!("there is no '{}' in the facts", show(&self.0))),
            },
        }
    }

    /// Takes a key or an item away.
    pub(crate) fn remove(&self, root: &mut Value) -> Result<(), String> {
        let gone = || format!("there is no '{}' in the facts", show(&self.0));
        let (last, way) = self.0.split_last().ok_or_else(gone)?;
        let holder = Self(way.to_vec());
        match (last, holder.get_mut(root).ok_or_else(gone)?) {
            (Step::Key(key), Value::Object(entries)) => entries.remove(key).map(drop).ok_or_else(gone),
            (step, Value::Array(items)) => {
                let at = position(items, step).ok_or_else(gone)?;
                items.remove(at);
                Ok(())
            }
            _ => Err(gone()),
        }
    }
}

fn position(items: &[Value], step: &Step) -> Option<usize> {
    match step {
        Step::Index(i) => Some(*i).filter(|i| *i < items.len()),
        Step::Where(key, wanted) => items.iter().position(|item| match item.get(key) {
            Some(Value::String(text)) => text == wanted,
            Some(Value::Number(number)) => *wanted == number.to_string(),
            Some(Value::Bool(truth)) => *wanted == truth.to_string(),
            Some(_) => false,
            None => false,
        }),
        Step::Key(_) | Step::End => None,
    }
}

fn enter<'v>(value: &'v mut Value, step: &Step) -> Option<&'v mut Value> {
    match (value, step) {
        (Value::Object(entries), Step::Key(key)) => entries.get_mut(key),
        (Value::Array(items), step) => {
            let at = position(items, step)?;
            items.get_mut(at)
        }
        _ => None,
    }
}

fn show(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
            Step::Index(i) => text.push_str(&format!("[{i}]")),
            Step::Where(key, value) => text.push_str(&format!("[{key}={value}]")),
            Step::End => text.push_str("[+]"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_found_changed_added_and_removed() {
        let mut facts = json!({"v": [{"n": "TLSv1.1", "s": [1, 2]}, {"n": "x", "o": {"k": 1}}]});
        let at = |text: &str| Pointer::parse(text).unwrap();
        at("v[n=TLSv1.1].s[0]").set(&mut facts, json!(9)).unwrap();
        at("v[n=TLSv1.1].s[+]").set(&mut facts, json!(3)).unwrap();
        at("v[1].o.k").remove(&mut facts).unwrap();
        at("v[n=TLSv1.1].s[1]").remove(&mut facts).unwrap();
        assert_eq!(facts, json!({"v": [{"n": "TLSv1.1", "s": [9, 3]}, {"n": "x", "o": {}}]}));
        assert!(at("v[n=y].s").set(&mut facts, json!(1)).is_err());
        assert!(at("v[1].new").set(&mut facts, json!(1)).is_err());
        for text in ["", "a..b", "a[", "a[x]", "a[0]b", ".a"] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }
}
