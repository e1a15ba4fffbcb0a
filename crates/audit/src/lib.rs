//! The main job as a library: inventory, discover, collect, judge, render, sign, verify a pack, replay.
//!
//! [`prepare`] settles everything before the first connection, [`collect::collect`] writes evidence into a pack,
//! [`seal::seal`] judges, renders and signs it, [`verify::verify`] and [`replay::replay`] read it again.

pub mod assess;
pub mod collect;
pub mod data_path;
pub mod diff;
mod discover;
mod drills;
mod error;
pub mod expand;
pub mod inventory;
pub mod keys;
pub mod kinds;
mod origin;
pub mod pack;
mod prepare;
pub mod prior;
mod recheck;
pub mod replay;
pub mod resolved;
pub mod run;
pub mod scope;
pub mod seal;
pub mod shipped;
pub mod verify;

pub use error::{Complaints, Error};
pub use prepare::{Ready, Request, library, load_policies, load_waivers, parse_inventory, prepare};
