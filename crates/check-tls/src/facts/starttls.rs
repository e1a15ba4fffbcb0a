//! How a client comes to TLS where it has to be asked for.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Feature, Presence};
use crate::starttls::Protocol;

/// STARTTLS, or what takes its place in the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StartTls {
    /// The protocol in which TLS was asked for.
    pub protocol: Protocol,
    /// Present where the server agreed each time; absent where it offered none, be it once.
    pub outcome: Presence,
    /// Why it is absent or not proven.
    pub why: Option<String>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
    /// Log-in before TLS: present where the capabilities that the server tells in clear text allow it. Those of FTP, LDAP,
    /// PostgreSQL and MySQL do not tell.
    pub plain_login: Feature,
    /// Whether a command sent in clear text behind the one that asks for TLS is answered within TLS (CVE-2011-0411).
    pub injection: Feature,
}
