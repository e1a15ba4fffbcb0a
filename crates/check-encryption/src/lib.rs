//! Encryption beyond TLS: SSH servers as they are seen from outside; databases; and this host, its listening sockets, its SSH
//! server, its disks and its key files.
//!
//! A target of the sort `disk` is a device with a LUKS header and the paths that it holds. All other probes but [`ssh`] and [`database`] look
//! at the target sort `host` (spec `{}`), read without changing anything, and work without
//! root: what could not be read is said, with the reason. Their facts rest on the word of this machine alone.

mod access;
mod accounts;
mod authorized_keys;
mod config;
mod database;
pub mod disk;
pub mod e2ee;
pub mod facts;
mod host;
mod keyfiles;
mod listeners;
mod luks;
mod mounts;
mod proc;
mod root;
mod ssh;
mod ssh_client;
mod sshd;
#[cfg(test)]
mod testing;
mod virtual_machine;

use std::sync::Arc;

use facts::DatabaseProduct;
use probe::Probe;

/// The sort of target that the probes of this machine look at.
pub const SORT: &str = "host";

/// The sort of target of key files that an inventory declares.
pub const KEYFILE_SORT: &str = keyfiles::SORT;
/// The sort of target that is the configuration of a server.
pub const CONFIG_SORT: &str = config::SORT;

/// Every probe of this crate.
#[must_use]
pub fn probes() -> Vec<Arc<dyn Probe>> {
    vec![
        Arc::new(e2ee::E2ee),
        Arc::new(e2ee::E2eeCanary),
        Arc::new(authorized_keys::AuthorizedKeys::default()),
        Arc::new(config::ServerConfig),
        Arc::new(config::openssh::SshdConfig),
        Arc::new(host::Host::default()),
        Arc::new(keyfiles::KeyFiles::default()),
        Arc::new(keyfiles::DeclaredKeyFiles),
        Arc::new(listeners::Listeners::default()),
        Arc::new(luks::Luks::default()),
        Arc::new(mounts::Mounts::default()),
        Arc::new(mounts::storage::Storage::default()),
        Arc::new(ssh::Ssh),
        Arc::new(ssh_client::SshClient::default()),
        Arc::new(sshd::Sshd::default()),
        Arc::new(database::mysql::Mysql),
        Arc::new(database::postgresql::Postgresql),
        Arc::new(database::redis::Redis),
        Arc::new(database::wire::Wire(DatabaseProduct::Mysql)),
        Arc::new(database::wire::Wire(DatabaseProduct::Postgresql)),
        Arc::new(database::wire::Wire(DatabaseProduct::Redis)),
    ]
}
