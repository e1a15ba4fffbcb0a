//! The probes `e2ee` and `e2ee-canary`: whether a server holds only what its users' devices can decrypt.
//!
//! `e2ee` looks at payloads chosen at random in every declared store, and tells by their structure what they are.
//! `e2ee-canary` is the drill: a marker goes through a client and is looked for in every store. Both can refute the claim
//! and never prove it.

mod canary;
mod classify;
mod courier;
mod drill;
mod field;
mod folder;
mod http;
mod report;
mod search;
mod sql;
pub mod target;

use std::hash::{BuildHasher as _, RandomState};

use model::{Digest, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

pub(crate) use self::canary::E2eeCanary;
use self::classify::{Seen, classify, recheck};
use self::target::{E2eeTarget, Framing, Store};
use crate::facts::{Class, E2eeFacts};

/// The sort of target.
pub const SORT: &str = "e2ee";
/// Payloads looked at in each store where the inventory names no number: none of 300 readable bounds the share at 1 %.
const SAMPLES: u32 = 300;
/// Bytes that are read of a payload, from its beginning.
pub(crate) const HEAD: usize = 64 << 10;
/// Bytes that are read at the end of what is longer, and somewhere between.
pub(crate) const WINDOW: usize = 16 << 10;

/// Looks at stored payloads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct E2ee;

impl Probe for E2ee {
    fn kind(&self) -> Kind {
        Kind::new(SORT, Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(E2eeFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let Ok(spec) = spec(target) else { return Plan::default() };
        let samples = spec.samples.unwrap_or(SAMPLES);
        let mut plan = Plan::default();
        for store in &spec.store {
            let what = format!("up to {samples} payloads of {}", store.title());
            match store.source() {
                "folder" => plan.files.push(what),
                source => plan.commands.push(format!("{what} ({source})")),
            }
        }
        plan
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let seed = RandomState::new().hash_one(0_u64);
            let lens = Lens { framing: spec.framing.clone(), field: spec.field.clone() };
            let count = usize::try_from(spec.samples.unwrap_or(SAMPLES)).unwrap_or(usize::MAX);
            let mut drawn = Vec::new();
            for store in &spec.store {
                let control = spec.canary.as_ref().and_then(|canary| canary.control.as_deref());
                drawn.push(draw(store, control, Draw { count, seed }, &lens, cx).await);
            }
            probe::facts(&report::facts(&spec, seed, drawn))
        })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

fn spec(target: &Target) -> Result<E2eeTarget, Failure> {
    serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
        let message = format!("{}: its parameters are not those of end-to-end encryption: {e}", target.name);
        Failure::new(FailureClass::Unresolved, message)
    })
}

/// How many payloads are chosen, and by what.
#[derive(Clone, Copy, Debug)]
struct Draw {
    count: usize,
    seed: u64,
}

/// What came out of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Drawn {
    looked: Vec<Looked>,
    /// Payloads in the store, where they were counted.
    of: Option<u64>,
    /// Payloads that were chosen and could not be read: those that were are no fair sample.
    unread: usize,
    /// What stood in the way of seeing them all, or any.
    why: Option<String>,
}

/// A payload that was looked at. Nothing of its content is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Looked {
    name: String,
    length: u64,
    /// Some of it was not read.
    in_part: bool,
    digest: Digest,
    seen: Seen,
}

async fn draw(store: &Store, control: Option<&str>, draw: Draw, lens: &Lens, cx: &Cx) -> Drawn {
    let drawn = if let Some(folder) = &store.folder {
        folder::draw(folder, control, draw, lens, cx).await
    } else if let Some(sql) = &store.sql {
        sql::draw(sql, draw, lens, cx).await
    } else if let Some(http) = &store.http {
        http::draw(http, draw, lens, cx).await
    } else {
        Err("the inventory does not say what it is".to_owned())
    };
    drawn.unwrap_or_else(|why| Drawn { why: Some(why), ..Drawn::default() })
}

/// What payloads are told by.
#[derive(Clone, Debug, Default)]
struct Lens {
    framing: Vec<Framing>,
    field: Option<String>,
}

impl Lens {
    /// Tells what a payload is: its beginning, whether that is all, and some bytes out of the rest of a longer one, each
    /// with its offset.
    fn look(&self, name: String, length: u64, head: &[u8], windows: &[(u64, Vec<u8>)]) -> Looked {
        let whole = u64::try_from(head.len()).is_ok_and(|read| read >= length);
        let mut seen = match &self.field {
            Some(path) => self.field(path, head, whole),
            None => classify(head, whole, &self.framing),
        };
        for (offset, bytes) in windows {
            recheck(&mut seen, *offset, bytes);
        }
        Looked { name, length, in_part: !whole, digest: Digest::of(head), seen }
    }

    fn field(&self, path: &str, record: &[u8], whole: bool) -> Seen {
        let value: Option<serde_json::Value> = serde_json::from_slice(record).ok();
        if let Some(payload) = value.as_ref().and_then(|value| field::at(value, path)).filter(|v| !v.is_null()) {
            return classify(&field::bytes(payload), true, &self.framing);
        }
        // Without the field it is no record of the kind that was declared: it counts only where it can be read.
        let mut seen = classify(record, whole, &self.framing);
        if !seen.is_readable() {
            (seen.class, seen.why) = (Class::Unknown, Some(format!("there is nothing at {path} in it")));
        }
        seen
    }
}
