//! TLS over TCP: versions, suites, groups, certificates and behaviours, as a server shows them on the wire.

pub mod certificate;
pub mod facts;
pub mod handshake;
pub mod hello;
pub mod registry;
pub mod reply;
mod wire;
