//! Encryption beyond the wire: this host, its listening sockets, its SSH server, its disks and its key files.
//!
//! Every probe here looks at the target sort `host` (spec `{}`), reads without changing anything, and works without
//! root: what could not be read is said, with the reason. All facts rest on the word of this machine alone.

pub mod facts;
mod host;
mod keyfiles;
mod listeners;
mod mounts;
mod proc;
mod root;
mod sshd;
#[cfg(test)]
mod testing;
mod virtual_machine;

use std::sync::Arc;

use probe::Probe;

/// The sort of target that all probes of this crate look at.
pub const SORT: &str = "host";

/// Every probe of this crate.
#[must_use]
pub fn probes() -> Vec<Arc<dyn Probe>> {
    vec![
        Arc::new(host::Host::default()),
        Arc::new(keyfiles::KeyFiles::default()),
        Arc::new(listeners::Listeners::default()),
        Arc::new(mounts::Mounts::default()),
        Arc::new(sshd::Sshd::default()),
    ]
}
