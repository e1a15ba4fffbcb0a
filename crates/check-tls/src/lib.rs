//! TLS over TCP and STARTTLS: versions, suites, groups, certificates and behaviours, as a server shows them on the wire.
//!
//! The way of the data: [`hello`] writes what is offered, the engine sends it and decides what to ask next, [`reply`]
//! reads the answer, and [`derive`](derive::derive) concludes facts from the recorded exchanges alone. Where TLS has to be
//! asked for first, [`starttls`] goes before.

pub mod certificate;
mod client;
pub mod derive;
mod engine;
pub mod facts;
pub mod flaws;
pub mod handshake;
pub mod hello;
mod listener;
mod probe_tls;
pub mod registry;
pub mod reply;
pub mod starttls;
pub mod target;
pub mod trial;
mod wire;

use std::sync::Arc;

pub use flaws::FlawProbe;
pub use listener::{HelloProbe, Listener, speaks_tls};
pub use probe_tls::TlsProbe;

/// Every probe of this crate.
#[must_use]
pub fn probes() -> Vec<Arc<dyn probe::Probe>> {
    vec![Arc::new(TlsProbe), Arc::new(HelloProbe), Arc::new(FlawProbe)]
}
