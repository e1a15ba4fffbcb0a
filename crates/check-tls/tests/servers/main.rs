//! The probe against servers on this machine: real ones with known settings, and hostile ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

mod brute;
mod generated;
mod hostile;
mod lab;
mod limited;
mod quantum;
mod real;
mod registry;
