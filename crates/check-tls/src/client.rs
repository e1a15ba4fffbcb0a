//! A small client of TLS 1.0 to 1.2 that does on purpose what no library does: it serves the tests of known flaws alone.
//!
//! It finishes handshakes with RSA, DHE and ECDHE, AES in CBC mode or GCM, and lets a test replace single messages and
//! records by malformed ones. It protects nothing: certificates are not checked, signatures are not looked at, and
//! nothing here runs in constant time, as there is nothing to keep secret. What a server sends is bounded.
//!
//! What is encrypted is not kept in the record of the exchange; in its stead stands what was encrypted, in records of the
//! same types, so that facts can be concluded from it again. The content of application data is never kept.

mod cipher;
mod exchange;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
pub(crate) mod peer;
mod prf;
mod session;
mod suite;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
pub(crate) mod tests;

pub(crate) use cipher::{BLOCK, Block};
pub(crate) use session::{Offer, ServerHello, Session, Stopped, in_words};
pub(crate) use suite::Suite;

/// Types of records (RFC 5246, 6.2.1; heartbeat in RFC 6520).
pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;
pub(crate) const HEARTBEAT: u8 = 24;

/// One record in the clear.
pub(crate) fn record(kind: u8, version: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(version.to_be_bytes());
    crate::wire::put(&mut out, 2, body);
    out
}

/// One handshake message with its header (RFC 5246, 7.4).
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    crate::wire::put(&mut out, 3, body);
    out
}
