//! Database servers: what they show anybody who connects (kind `database-wire`), and what they say of themselves after a
//! log-in that only reads (kinds `postgresql`, `mysql`, `redis`).
//!
//! A log-in is tried once and never again, so that no account is locked. It is not tried at all where somebody on the way
//! could read or guess the password. What is asked in the session is recorded, the log-in is not.

mod answers;
mod link;
pub(crate) mod mysql;
pub(crate) mod postgresql;
pub(crate) mod redis;
mod tls;
pub(crate) mod wire;

use std::net::SocketAddr;

use model::{Failure, FailureClass, Target};
use probe::Plan;

use self::link::Link;
use crate::facts::{DatabaseSession, DatabaseSpec, DatabaseTlsSeen, Transport};

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

/// Refuses a log-in that would be read or guessed on the way.
fn may_log_in(link: &Link, spec: &DatabaseSpec, tls: Option<&DatabaseTlsSeen>) -> Result<(), Failure> {
    match unsafe_way(spec, tls) {
        None => Ok(()),
        Some(why) => Err(link.failure(FailureClass::Permission, format!("{why}: no log-in was tried"))),
    }
}

/// Why the way to the server is not safe for a password.
fn unsafe_way(spec: &DatabaseSpec, tls: Option<&DatabaseTlsSeen>) -> Option<String> {
    let address: Option<SocketAddr> = spec.address.as_ref().and_then(|address| address.parse().ok());
    if spec.socket.is_some() || address.is_some_and(|a| a.ip().to_canonical().is_loopback()) {
        return None;
    }
    let verify = spec.tls.as_ref().is_none_or(|tls| tls.verify);
    match tls {
        None if spec.plaintext => None,
        None => Some(
            "the connection is not encrypted, and who listens on the way could read or guess the password (switch TLS on \
             in the server, or write 'plaintext: true' if the way there is safe)"
                .to_owned(),
        ),
        Some(seen) if seen.verified || !verify => None,
        Some(seen) => Some(format!(
            "its certificate does not hold, {} (name its authority with 'tls: {{ ca: FILE }}', its name with 'tls: {{ \
             name: … }}', or write 'tls: {{ verify: false }}')",
            seen.why.as_deref().unwrap_or("for an unknown reason")
        )),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::DatabaseTls;

    fn at(address: &str) -> DatabaseSpec {
        DatabaseSpec { address: Some(address.to_owned()), ..DatabaseSpec::default() }
    }

    fn seen(verified: bool) -> DatabaseTlsSeen {
        DatabaseTlsSeen { version: "TLSv1.3".into(), cipher: "TLS_AES_256_GCM_SHA384".into(), verified, why: None }
    }

    #[test]
    fn a_password_goes_no_unsafe_way() {
        let far = at("192.0.2.7:5432");
        assert!(unsafe_way(&far, None).is_some() && unsafe_way(&far, Some(&seen(false))).is_some());
        assert!(unsafe_way(&at(""), None).is_some());
        assert_eq!(unsafe_way(&far, Some(&seen(true))), None);
        for near in ["127.0.0.1:5432", "[::1]:5432", "[::ffff:127.0.0.1]:5432"] {
            assert_eq!(unsafe_way(&at(near), None), None);
        }
    }

    #[test]
    fn the_inventory_may_say_otherwise() {
        let far = at("192.0.2.7:5432");
        assert_eq!(unsafe_way(&DatabaseSpec { plaintext: true, ..far.clone() }, None), None);
        let any = DatabaseSpec { tls: Some(DatabaseTls { verify: false, ..DatabaseTls::default() }), ..far };
        assert_eq!(unsafe_way(&any, Some(&seen(false))), None);
        // Only a certificate may be bad then: TLS there must be.
        assert!(unsafe_way(&any, None).is_some());
    }

    #[test]
    fn hosts_of_this_machine() {
        assert!(["localhost", "127.0.0.1", "::1", "127.0.0.1/255.255.255.255"].iter().all(|host| is_local(host)));
        assert!(!["%", "", "10.0.0.1", "localhost.example.org", "127.%"].iter().any(|host| is_local(host)));
    }
}
