//! How Probity looks at the world: the [`Probe`] trait, the [`Cx`] through which a probe does all its
//! input and output, and the [`collect`] runner that keeps deadlines and budgets.
//!
//! A probe opens nothing itself. What goes through [`Cx`] is bounded, counted and recorded, so that every
//! piece of evidence carries its provenance without the probe having to think of it.

mod budget;
mod command;
mod conn;
mod cx;
mod drill;
mod files;
mod journal;
pub mod known_keys;
mod living;
mod open;
mod process;
mod program;
mod recorder;
mod redact;
mod runner;
mod secret;
mod tree;
mod workshop;

use std::future::Future;
use std::pin::Pin;

pub use budget::Limits;
pub use command::{Command, Output};
pub use conn::{Conn, Heard};
pub use cx::{Cx, Stop};
pub use drill::Running;
pub use files::{FileError, Listing, Metadata};
use model::{Ask, Exchange, Facts, Failure, Kind, Target};
pub use open::{Below, OpenFile, OpenFolder};
pub use runner::{Collected, Event, Job, collect};
pub use secret::{secret, secret_beside};
pub use workshop::{Undone, Workshop};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a probe would do to a target at most, for `--dry-run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Connections it may open, at most.
    pub connections: u32,
    /// Files and folders it reads.
    pub files: Vec<String>,
    /// Commands it runs.
    pub commands: Vec<String>,
}

/// Looks at one target and writes down what it saw. Never says good or bad.
pub trait Probe: Send + Sync {
    /// The kind of evidence it makes: one kind, one level.
    fn kind(&self) -> Kind;

    /// The sort of target it looks at: the key of the inventory (`tls`, `host`, …).
    fn sort(&self) -> &'static str;

    /// The JSON Schema of its facts.
    fn schema(&self) -> schemars::Schema;

    /// What [`Probe::observe`] would do.
    fn plan(&self, target: &Target) -> Plan;

    /// Looks.
    ///
    /// # Errors
    /// Where nothing could be seen at all. What was seen in part is facts with `not_proven` outcomes, not an error.
    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>>;

    /// Whether it acts rather than looks: restores a backup, fires a test alert. Drills run only where the command line
    /// allows commands, after everything that only looks, one at a time, and what they make is journalled and undone.
    fn is_drill(&self) -> bool {
        false
    }

    /// Whether it sends what a fragile server may not bear. It then runs after everything that only looks, one target at a
    /// time, and never in a gate.
    fn goes_last(&self) -> bool {
        false
    }

    /// Why the target's declaration does not want this probe, where it has to ask for it and does not.
    fn not_asked(&self, _target: &Target) -> Option<String> {
        None
    }

    /// How long the target's own declaration lets this probe work, where that may be longer than the run's deadline for
    /// one target.
    fn allowance(&self, _target: &Target) -> Option<std::time::Duration> {
        None
    }

    /// Whether no raw bytes from the target stand behind the facts: a local tool's or kernel's word.
    fn attested_by_host_only(&self) -> bool {
        false
    }

    /// Makes those facts again that follow from the raw exchanges alone, so that `verify` can compare them with
    /// what the evidence says. `None`: this probe's facts do not follow from exchanges.
    fn derive(&self, _target: &Target, _asked: &Ask, _exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        None
    }
}

/// Turns a check crate's own facts into the erased form.
///
/// # Errors
/// Where the type is not an object; a defect of the probe.
pub fn facts<T: serde::Serialize>(facts: &T) -> Result<Facts, Failure> {
    match serde_json::to_value(facts) {
        Ok(serde_json::Value::Object(map)) => Ok(map),
        Ok(_) => Err(Failure::new(model::FailureClass::Panic, "the probe's facts are not an object")),
        Err(e) => Err(Failure::new(model::FailureClass::Panic, format!("the probe's facts can't be written: {e}"))),
    }
}
