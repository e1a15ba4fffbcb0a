//! Database servers: what they show anybody who connects (kind `database-wire`), and what they say of themselves after a
//! log-in that only reads (kinds `postgresql`, `mysql`, `redis`).
//!
//! A log-in is tried once and never again, so that no account is locked. It is not tried at all where somebody on the way
//! could read or guess the password. What is asked in the session is recorded, the log-in is not.

mod answers;
mod link;
mod mysql;
mod postgresql;
mod redis;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use model::{Failure, FailureClass, Target};
use probe::{Plan, Probe};

use self::link::Link;
use crate::facts::{DatabaseProduct, DatabaseSession, DatabaseSpec, DatabaseTlsSeen, Transport};

/// The probes of databases.
pub(crate) fn probes() -> Vec<Arc<dyn Probe>> {
    vec![
        Arc::new(postgresql::Postgresql),
        Arc::new(mysql::Mysql),
        Arc::new(redis::Redis),
        Arc::new(wire::Wire(DatabaseProduct::Postgresql)),
        Arc::new(wire::Wire(DatabaseProduct::Mysql)),
        Arc::new(wire::Wire(DatabaseProduct::Redis)),
    ]
}

/// The parameters of a target.
fn spec_of(target: &Target) -> Result<DatabaseSpec, Failure> {
    serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
        let what = format!("{}: its parameters are not those of a database server: {e}", target.name);
        Failure::new(FailureClass::Unresolved, what)
    })
}

/// One connection, and the certificates of this client.
fn plan(target: &Target, connections: u32) -> Plan {
    let spec = spec_of(target).unwrap_or_default();
    let tls = spec.tls.unwrap_or_default();
    Plan { connections, files: tls.ca.into_iter().chain(tls.certificate).collect(), commands: vec![] }
}

/// Why nobody logs in.
fn no_account(target: &Target) -> Option<String> {
    let spec = spec_of(target).ok()?;
    let why = "the inventory names no 'user' to log in as, so that the server's own settings are not read";
    spec.user.is_none().then(|| why.to_owned())
}

/// What is said where a log-in may not be tried, and would be read or guessed on the way.
fn may_log_in(link: &Link, spec: &DatabaseSpec, tls: Option<&DatabaseTlsSeen>) -> Result<(), Failure> {
    let address: Option<SocketAddr> = spec.address.as_ref().and_then(|address| address.parse().ok());
    if spec.socket.is_some() || address.is_some_and(|a| a.ip().to_canonical().is_loopback()) {
        return Ok(());
    }
    let verify = spec.tls.as_ref().is_none_or(|tls| tls.verify);
    let why = match tls {
        None if spec.plaintext => return Ok(()),
        None => {
            "the connection is not encrypted, and who listens on the way could read or guess the password: no log-in was \
             tried; switch TLS on in the server, or write 'plaintext: true' if the way there is safe"
                .to_owned()
        }
        Some(seen) if seen.verified || !verify => return Ok(()),
        Some(seen) => format!(
            "its certificate does not hold ({}): no log-in was tried; name its authority with 'tls: {{ ca: FILE }}', its \
             name with 'tls: {{ name: … }}', or write 'tls: {{ verify: false }}'",
            seen.why.as_deref().unwrap_or("unknown")
        ),
    };
    Err(link.failure(FailureClass::Permission, why))
}

/// The session of a log-in that went well.
fn session(spec: &DatabaseSpec, user: Option<String>, method: &str, tls: Option<DatabaseTlsSeen>) -> DatabaseSession {
    let transport = if spec.socket.is_some() { Transport::Unix } else { Transport::Tcp };
    DatabaseSession { transport, user, method: Some(method.to_owned()), tls }
}

/// Whether a host, as a server names it, is this server's own loopback.
fn is_local(host: &str) -> bool {
    let host = host.rsplit_once('/').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "localhost.localdomain")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}
