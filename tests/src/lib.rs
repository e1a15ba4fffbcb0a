//! The lab: real servers with known settings, hostile ones, and the program under test.
//!
//! Everything binds ports of its own on loopback, writes into folders of its own, and ends when it is dropped.
//! A server that is not installed is an error, so that no test passes by not looking.

mod audit;
mod authority;
mod backup;
mod facts;
mod hostile;
mod machine;
mod nginx;
mod openssl;
mod probity;
mod process;
mod relay;
mod sshd;
mod stunnel;

pub use audit::{Assessment, Gate};
pub use authority::{Authority, Identity, Key, Lab, Leaf};
pub use backup::{
    Audited, Borg, BorgKey, Cipher, DumpFormat, Job, Mariadb, Pgbackrest, Postgres, Redis, Restic, Working, this_host,
    write_canary, write_sources,
};
pub use facts::{TlsFacts, Truth, VERSIONS};
pub use hostile::{Behaviour, Hostile, refusing_port};
pub use machine::Machine;
pub use nginx::{Nginx, NginxTls};
pub use openssl::{OpensslServer, accepted_versions, cipher_ids, openssl};
pub use probity::{Finished, Probity, binary};
pub use process::{Server, free_port, tool};
pub use relay::{Relay, RelayCounts};
pub use sshd::{Dropbear, Sshd, ssh_audit};
pub use stunnel::Stunnel;
