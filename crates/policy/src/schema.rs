//! What a JSON Schema says of the facts: types, fields, enumerations.

use std::collections::BTreeSet;

use serde_json::Value;

/// The type of an expression, as far as it is known.
#[derive(Clone, Debug)]
pub(crate) enum Type<'s> {
    Any,
    Null,
    Bool,
    Int,
    Number,
    /// A string; of an enumeration where the values are known.
    Text(Option<BTreeSet<&'s str>>),
    List(Box<Lazy<'s>>),
    Object(Object<'s>),
    OneOf(Vec<Type<'s>>),
}

/// A type that is worked out when it is asked for, since schemas may be recursive.
#[derive(Clone, Debug)]
pub(crate) enum Lazy<'s> {
    Schema(Schema<'s>),
    Known(Type<'s>),
}

/// An object type.
#[derive(Clone, Debug)]
pub(crate) enum Object<'s> {
    Schema(Schema<'s>),
    Known(Vec<(String, Lazy<'s>)>),
}

/// A place in a JSON Schema document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'s> {
    root: &'s Value,
    node: &'s Value,
}

/// What is known of a field.
pub(crate) enum Field<'s> {
    Known(Type<'s>),
    /// There is none; these are.
    Unknown(Vec<String>),
    /// The value is no object.
    NoObject,
}

impl<'s> Lazy<'s> {
    pub(crate) fn get(&self) -> Type<'s> {
        match self {
            Self::Schema(schema) => schema.resolve(),
            Self::Known(ty) => ty.clone(),
        }
    }
}

impl<'s> Schema<'s> {
    /// A whole document.
    pub(crate) const fn new(root: &'s Value) -> Self {
        Self { root, node: root }
    }

    const fn at(self, node: &'s Value) -> Self {
        Self { node, ..self }
    }

    /// The type that the schema describes; what it can't express is `Any`.
    pub(crate) fn resolve(self) -> Type<'s> {
        self.resolve_within(24)
    }

    fn resolve_within(self, depth: u32) -> Type<'s> {
        let (Some(object), Some(depth)) = (self.node.as_object(), depth.checked_sub(1)) else {
            return Type::Any;
        };
        if let Some(target) = object.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Type::Any, |node| self.at(node).resolve_within(depth));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(options) = object.get(key).and_then(Value::as_array) {
                return union(options.iter().map(|o| self.at(o).resolve_within(depth)));
            }
        }
        if let Some([only]) = object.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            return self.at(only).resolve_within(depth);
        }
        if let Some(value) = object.get("const") {
            return constant(value);
        }
        if let Some(values) = object.get("enum").and_then(Value::as_array) {
            return union(values.iter().map(constant));
        }
        match object.get("type") {
            Some(Value::String(name)) => self.named(name),
            Some(Value::Array(names)) => union(names.iter().filter_map(Value::as_str).map(|n| self.named(n))),
            _ if object.contains_key("properties") => Type::Object(Object::Schema(self)),
            _ => Type::Any,
        }
    }

    fn named(self, name: &str) -> Type<'s> {
        match name {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "integer" => Type::Int,
            "number" => Type::Number,
            "string" => Type::Text(None),
            "object" => Type::Object(Object::Schema(self)),
            "array" => {
                let items = self.node.get("items").map_or(Lazy::Known(Type::Any), |i| Lazy::Schema(self.at(i)));
                Type::List(Box::new(items))
            }
            _ => Type::Any,
        }
    }
}

fn constant(value: &Value) -> Type<'_> {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Number(n) if n.is_i64() => Type::Int,
        Value::Number(_) => Type::Number,
        Value::String(s) => Type::Text(Some(BTreeSet::from([s.as_str()]))),
        _ => Type::Any,
    }
}

/// One of several types, flattened, enumerations joined.
pub(crate) fn union<'s>(types: impl IntoIterator<Item = Type<'s>>) -> Type<'s> {
    let mut members: Vec<Type<'s>> = Vec::new();
    for ty in types {
        let flat = match ty {
            Type::OneOf(inner) => inner,
            other => vec![other],
        };
        for ty in flat {
            let text = members.iter_mut().find_map(|m| if let Type::Text(words) = m { Some(words) } else { None });
            match (ty, text) {
                (Type::Any, _) => return Type::Any,
                (Type::Text(new), Some(words)) => {
                    *words = match (words.take(), new) {
                        (Some(mut a), Some(b)) => {
                            a.extend(b);
                            Some(a)
                        }
                        _ => None,
                    };
                }
                (ty @ (Type::List(_) | Type::Object(_) | Type::Text(_)), _) => members.push(ty),
                (ty, _) => {
                    if !members.iter().any(|m| std::mem::discriminant(m) == std::mem::discriminant(&ty)) {
                        members.push(ty);
                    }
                }
            }
        }
    }
    match members.len() {
        1 => members.remove(0),
        _ => Type::OneOf(members),
    }
}

impl<'s> Type<'s> {
    /// The alternatives.
    pub(crate) fn members(&self) -> &[Self] {
        match self {
            Self::OneOf(members) => members,
            other => std::slice::from_ref(other),
        }
    }

    /// Whether any alternative is one that `test` accepts; anything unknown counts as accepted.
    pub(crate) fn may_be(&self, test: impl Fn(&Self) -> bool) -> bool {
        self.members().iter().any(|m| matches!(m, Self::Any) || test(m))
    }

    /// A field of it. Alternatives that are no objects are left aside: they are errors only when met.
    pub(crate) fn field(&self, name: &str) -> Field<'s> {
        let mut found = Vec::new();
        let mut others = BTreeSet::new();
        let mut is_object = false;
        for member in self.members() {
            match member {
                Self::Any => return Field::Known(Self::Any),
                Self::Object(object) => {
                    is_object = true;
                    match object.field(name, &mut others) {
                        Some(ty) => found.push(ty),
                        None => continue,
                    }
                }
                _ => {}
            }
        }
        match (found.is_empty(), is_object) {
            (false, _) => Field::Known(union(found)),
            (true, true) => Field::Unknown(others.into_iter().collect()),
            (true, false) => Field::NoObject,
        }
    }

    /// The type of the items, if it may be a list.
    pub(crate) fn items(&self) -> Option<Self> {
        let items: Vec<Self> = self
            .members()
            .iter()
            .filter_map(|m| match m {
                Self::Any => Some(Self::Any),
                Self::List(items) => Some(items.get()),
                _ => None,
            })
            .collect();
        (!items.is_empty()).then(|| union(items))
    }

    /// The values of the enumeration, where every string that it may be is of one.
    pub(crate) fn words(&self) -> Option<&BTreeSet<&'s str>> {
        self.members().iter().find_map(|m| if let Self::Text(words) = m { words.as_ref() } else { None })
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        let one = |ty: &Self| match ty {
            Self::Any => "anything",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Number => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::OneOf(_) => "one of several",
        };
        self.members().iter().map(one).collect::<Vec<_>>().join(" or ")
    }
}

impl<'s> Object<'s> {
    fn field(&self, name: &str, others: &mut BTreeSet<String>) -> Option<Type<'s>> {
        match self {
            Self::Known(fields) => {
                let found = fields.iter().find(|(n, _)| n == name).map(|(_, ty)| ty.get());
                if found.is_none() {
                    others.extend(fields.iter().map(|(n, _)| n.clone()));
                }
                found
            }
            Self::Schema(schema) => {
                let properties = schema.node.get("properties").and_then(Value::as_object);
                if let Some(node) = properties.and_then(|p| p.get(name)) {
                    return Some(schema.at(node).resolve());
                }
                others.extend(properties.into_iter().flatten().map(|(n, _)| n.clone()));
                match schema.node.get("additionalProperties") {
                    Some(Value::Bool(false)) => None,
                    // schemars leaves the key out for structs without `deny_unknown_fields`: their fields are known all the same.
                    None | Some(Value::Bool(true)) if properties.is_some() => None,
                    None | Some(Value::Bool(true)) => Some(Type::Any),
                    Some(node) => Some(schema.at(node).resolve()),
                }
            }
        }
    }
}

/// Checks facts against a type: unknown keys, wrong types, words that an enumeration does not have.
///
/// Missing keys are let be, since tests leave some out on purpose. `at` is the path so far.
pub(crate) fn check(ty: &Type<'_>, value: &Value, at: &mut String) -> Result<(), String> {
    let place = if at.is_empty() { "the facts".to_owned() } else { format!("'{at}'") };
    let fits = |ty: &Type<'_>| match (ty, value) {
        (Type::Any, _) | (Type::Null, Value::Null) | (Type::Bool, Value::Bool(_)) => true,
        (Type::Int, Value::Number(n)) => n.is_i64(),
        (Type::Number, Value::Number(_)) | (Type::List(_), Value::Array(_)) | (Type::Object(_), Value::Object(_)) => {
            true
        }
        (Type::Text(words), Value::String(text)) => words.as_ref().is_none_or(|w| w.contains(text.as_str())),
        _ => false,
    };
    if !ty.members().iter().any(fits) {
        let known = ty.words().map(|w| format!(": {}", w.iter().copied().collect::<Vec<_>>().join(", ")));
        return Err(format!(
            "{place} is {}; the schema wants {}{}",
            brief(value),
            ty.name(),
            known.unwrap_or_default()
        ));
    }
    let length = at.len();
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                at.push_str(&format!("{}{key}", if length == 0 { "" } else { "." }));
                match ty.field(key) {
                    Field::Known(ty) => check(&ty, value, at)?,
                    _ => return Err(format!("'{at}' is not in the schema")),
                }
                at.truncate(length);
            }
        }
        Value::Array(items) => {
            let ty = ty.items().unwrap_or(Type::Any);
            for (i, item) in items.iter().enumerate() {
                at.push_str(&format!("[{i}]"));
                check(&ty, item, at)?;
                at.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

fn brief(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => crate::expr::truncate(scalar.to_string(), 40),
    }
}
