//! What the policies want to know, so that a probe need not look for more.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How much a probe looks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// What the policies ask for; a probe may look for more where that costs little.
    #[default]
    Auto,
    /// Everything the probe can see.
    Full,
}

/// Sets of names of interest, keyed by what they name (`versions`, `suites`, `groups`, …).
///
/// An ask narrows what is looked at, never what is written; what was not asked is not proven.
/// Serialised as the string `"all"` or as an object of lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// Look for everything.
    #[default]
    All,
    /// Look for these names; a key that is absent asks for nothing of that sort.
    Only(BTreeMap<String, BTreeSet<String>>),
}

impl Ask {
    /// The names asked for under `key`: `None` means all of them.
    #[must_use]
    pub fn names(&self, key: &str) -> Option<BTreeSet<String>> {
        match self {
            Self::All => None,
            Self::Only(sets) => Some(sets.get(key).cloned().unwrap_or_default()),
        }
    }

    /// Both asks together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut left), Self::Only(right)) => {
                for (key, names) in right {
                    left.entry(key).or_default().extend(names);
                }
                Self::Only(left)
            }
            _ => Self::All,
        }
    }
}

impl Serialize for Ask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Only(sets) => sets.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Ask;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"all\" or an object of lists of names")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ask, E> {
                if text == "all" { Ok(Ask::All) } else { Err(E::invalid_value(de::Unexpected::Str(text), &self)) }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Ask, A::Error> {
                Deserialize::deserialize(de::value::MapAccessDeserializer::new(map)).map(Ask::Only)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for Ask {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ask".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "\"all\", or lists of names by what they name.",
            "anyOf": [
                { "const": "all" },
                { "type": "object", "additionalProperties": { "type": "array", "items": { "type": "string" } } },
            ],
        })
    }
}

/// What was looked for, beside a list of what was found: `"all"` that the probe knows of, or the names of those things or
/// places that were looked for completely. An empty list of findings means something only beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Everything that the probe knows of.
    All,
    /// These alone.
    Only(Vec<String>),
}

impl Serialize for Asked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Only(names) => names.serialize(serializer),
        }
    }
}

impl schemars::JsonSchema for Asked {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Asked".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "\"all\" that the probe knows of, or the names of what was looked for completely.",
            "anyOf": [{ "const": "all" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}
