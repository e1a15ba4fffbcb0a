//! The nouns of Probity.
//!
//! Everything that passes from one crate to another is defined here as plain, serialisable data:
//! targets, asks, evidence, exchanges, controls as reports see them, findings, assessments and the
//! layout of a pack. Nothing in this crate reads a clock, a file, the network or the environment;
//! the only thing that can fail is parsing.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]

mod ask;
mod assessment;
mod canonical;
mod control;
mod digest;
mod evidence;
mod exchange;
mod finding;
mod kind;
pub mod measure;
pub mod pack;
mod run;
mod target;
mod waiver;

pub use ask::{Ask, Asked, Depth};
pub use assessment::{
    Assessment, Counts, Coverage, Gate, InputDigests, NotLookedAt, Notice, NoticeLevel, Outcome, PolicyRef, TargetLine,
    Undeclared,
};
pub use canonical::{canonical_json, from_json, pretty_json};
pub use control::{ControlInfo, Source};
pub use digest::{Digest, DigestError};
pub use evidence::{CommandRecord, Evidence, ExchangesRef, Facts, Failure, FailureClass, FileRecord, Provenance};
pub use exchange::{Direction, Ended, Exchange, ExchangeError, Frame, decode_exchanges, encode_exchanges};
pub use finding::{Citation, Finding, Reason, Severity, Verdict};
pub use jiff::Timestamp;
pub use kind::{Kind, Level};
pub use run::{Clock, Run, Tool, Vantage};
pub use target::{Subject, Target};
pub use waiver::{WaiverLine, WaiverState};
