//! Facts as CEL values: built once per evidence, lent to every expression without a copy.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use cel::ExecutionError;
use cel::common::traits::{Adder, Container, Indexer, Iterable, Iterator as CelIterator, Sizer};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, LIST_TYPE, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use serde_json::Value as Json;

/// One fact: a JSON value that CEL reads in place. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Null,
    Bool(CelBool),
    Int(CelInt),
    Float(CelDouble),
    Text(CelString<'static>),
    List(List),
    Map(Map),
}

/// A list of facts.
#[derive(Clone, Debug)]
pub(crate) struct List(Arc<[Fact]>);

/// An object: its fields sorted by key. Objects of one piece of evidence share their keys, for a list of snapshots holds
/// the same two dozen ten thousand times.
#[derive(Clone, Debug)]
pub(crate) struct Map(Arc<[(Arc<str>, Fact)]>);

static NULL: CelNull = CelNull;

thread_local! {
    /// Steps that loops over lists may still take; see [`allow_steps`].
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Sets how many items loops may visit from now on in this thread. The interpreter has no bound of its own on the
/// cost of comprehensions, and the facts may come from a stranger's pack.
pub(crate) fn allow_steps(steps: u64) {
    STEPS.set(steps);
}

/// Takes one step; false once none is left.
pub(crate) fn step() -> bool {
    let left = STEPS.get();
    STEPS.set(left.saturating_sub(1));
    left > 0
}

/// Whether the steps ran out, so that no result since can be relied upon.
pub(crate) fn out_of_steps() -> bool {
    STEPS.get() == 0
}

impl Fact {
    /// The fact as CEL sees it.
    pub(crate) fn as_val(&self) -> &(dyn Val + 'static) {
        match self {
            Self::Null => &NULL,
            Self::Bool(v) => v,
            Self::Int(v) => v,
            Self::Float(v) => v,
            Self::Text(v) => v,
            Self::List(v) => v,
            Self::Map(v) => v,
        }
    }

    /// A string.
    pub(crate) fn text(value: impl Into<String>) -> Self {
        Self::Text(CelString::from(value.into()))
    }

    /// An object.
    pub(crate) fn object(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        Self::Map(Map::of(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }

    /// A list.
    pub(crate) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(List(items.into_iter().collect()))
    }

    /// The field of an object; `None` for a missing key and for anything that is no object.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.field(key),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.inner()),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(&list.0),
            _ => None,
        }
    }

    /// The field, if it is a string.
    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::as_text)
    }
}

impl From<Json> for Fact {
    fn from(json: Json) -> Self {
        Keys::default().fact(json)
    }
}

/// Keys of objects, each kept once.
#[derive(Default)]
struct Keys(BTreeSet<Arc<str>>);

impl Keys {
    fn fact(&mut self, json: Json) -> Fact {
        match json {
            Json::Null => Fact::Null,
            Json::Bool(b) => Fact::Bool(b.into()),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Fact::Int(i.into()),
                // Larger than 63 bits or with a fraction: facts hold neither, but packs come from outside.
                None => Fact::Float(n.as_f64().unwrap_or(f64::NAN).into()),
            },
            Json::String(s) => Fact::Text(s.into()),
            Json::Array(items) => Fact::list(items.into_iter().map(|item| self.fact(item))),
            Json::Object(entries) => {
                Fact::Map(Map::of(entries.into_iter().map(|(key, value)| (self.key(key), self.fact(value))).collect()))
            }
        }
    }

    fn key(&mut self, key: String) -> Arc<str> {
        if let Some(known) = self.0.get(key.as_str()) {
            return Arc::clone(known);
        }
        let key: Arc<str> = key.into();
        self.0.insert(Arc::clone(&key));
        key
    }
}

impl List {
    pub(crate) fn items(&self) -> &[Fact] {
        &self.0
    }
}

impl Val for List {
    fn get_type(&self) -> &Type {
        &LIST_TYPE
    }
    fn cel_type() -> &'static Type {
        &LIST_TYPE
    }
    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }
    fn equals(&self, other: &dyn Val) -> bool {
        let (Some(other), Some(size)) = (other.as_iterable(), other.as_sizer()) else { return false };
        let mut items = other.iter();
        let same = |item: &Fact| items.next().is_some_and(|other| item.as_val().equals(other));
        size.size() == self.size() && self.0.iter().all(same)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Adder for List {
    fn add<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let mut items: Vec<Box<dyn Val + 'v>> = self.0.iter().map(|i| i.as_val().clone_as_boxed()).collect();
        let overload = || ExecutionError::no_such_overload("_+_", vec!["list".into(), rhs.get_type().name().into()]);
        let mut more = rhs.as_iterable().ok_or_else(overload)?.iter();
        while let Some(item) = more.next() {
            items.push(item.clone_as_boxed());
        }
        Ok(CowVal::owned(CelList::from(items)))
    }
}

impl Container for List {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.0.iter().any(|item| item.as_val().equals(value)))
    }
}

impl Indexer for List {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let overload = || ExecutionError::no_such_overload("_[_]", vec!["list".into(), index.get_type().name().into()]);
        let index = *index.downcast_ref::<CelInt>().ok_or_else(overload)?.inner();
        let item = usize::try_from(index).ok().and_then(|i| self.0.get(i));
        item.map(|i| CowVal::Borrowed(i.as_val())).ok_or(ExecutionError::IndexOutOfBounds(index.into()))
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(self.get(index)?.into_owned())
    }
}

impl Iterable for List {
    fn iter<'b, 'v>(&'b self) -> Box<dyn CelIterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Items(self.0.iter()))
    }
}

impl Sizer for List {
    fn size(&self) -> CelInt {
        i64::try_from(self.0.len()).unwrap_or(i64::MAX).into()
    }
}

/// A loop over a list that ends early when no steps are left.
struct Items<'b>(std::slice::Iter<'b, Fact>);

impl<'b, 'v> CelIterator<'b, 'v> for Items<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        if step() { self.0.next().map(|fact| fact.as_val() as &(dyn Val + 'v)) } else { None }
    }
}

impl Val for Map {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }
    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }
    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Map {
    fn of(mut fields: Vec<(Arc<str>, Fact)>) -> Self {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self(fields.into())
    }

    /// The value of a field.
    pub(crate) fn field(&self, key: &str) -> Option<&Fact> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The names of the fields, sorted.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    fn find(&self, key: &dyn Val) -> Result<Option<&Fact>, ExecutionError> {
        let overload = || ExecutionError::no_such_overload("_._", vec!["map".into(), key.get_type().name().into()]);
        Ok(self.field(key.downcast_ref::<CelString<'_>>().ok_or_else(overload)?.inner()))
    }
}

impl Container for Map {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find(key)?.is_some())
    }
}

impl Indexer for Map {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = || key.downcast_ref::<CelString<'_>>().map(|s| s.inner().to_owned()).unwrap_or_default();
        self.find(key)?.map(|v| CowVal::Borrowed(v.as_val())).ok_or_else(|| ExecutionError::no_such_key(&name()))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(self.get(key)?.into_owned())
    }
}

impl Sizer for Map {
    fn size(&self) -> CelInt {
        i64::try_from(self.0.len()).unwrap_or(i64::MAX).into()
    }
}
