//! Known flaws of implementations, as far as they show on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, Presence};

/// A known flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlawName {
    /// A heartbeat that claims more than it holds is answered with memory (CVE-2014-0160).
    Heartbleed,
    /// ChangeCipherSpec is taken before keys are exchanged (CVE-2014-0224).
    CcsInjection,
    /// Answers tell whether the RSA padding of a secret was right (Bleichenbacher; ROBOT, CVE-2017-13099 and others).
    Robot,
    /// A short session id is answered with memory behind it (CVE-2016-9244).
    Ticketbleed,
    /// The padding of CBC records is not checked in TLS (CVE-2014-8730).
    PoodleTls,
    /// Wrong padding with a right code is answered otherwise than a wrong code (GOLDENDOODLE).
    Goldendoodle,
    /// A record of padding alone is answered otherwise than a wrong code (Zombie POODLE).
    ZombiePoodle,
    /// The same where one of the two is met with silence (Sleeping POODLE).
    SleepingPoodle,
    /// Records without content are answered otherwise than others (CVE-2019-1559).
    ZeroLength,
    /// A record that is padding through and through is answered otherwise than a wrong code (CVE-2016-2107).
    LuckyMinus20,
    /// A client without secure renegotiation may renegotiate (CVE-2009-3555).
    InsecureRenegotiation,
    /// A client may renegotiate, which costs the server more than the client (CVE-2011-1473).
    ClientRenegotiation,
    /// TLS compression is chosen (CRIME, CVE-2012-4929).
    Crime,
}

impl FlawName {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Heartbleed,
        Self::CcsInjection,
        Self::Robot,
        Self::Ticketbleed,
        Self::PoodleTls,
        Self::Goldendoodle,
        Self::ZombiePoodle,
        Self::SleepingPoodle,
        Self::ZeroLength,
        Self::LuckyMinus20,
        Self::InsecureRenegotiation,
        Self::ClientRenegotiation,
        Self::Crime,
    ];
}

/// How a flaw was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The server was made to do it, or had the occasion and did not.
    Demonstrated,
    /// What it takes was negotiated, or declined.
    Negotiated,
    /// It follows from other facts alone.
    Inferred,
}

/// One known flaw and whether it showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KnownFlaw {
    /// Which.
    pub name: FlawName,
    /// Whether it showed; `unavailable` where the server refuses what the flaw lies in.
    pub outcome: Presence,
    /// How that is known.
    pub how: How,
    /// Why it is not proven, or what the server refuses.
    pub why: Option<String>,
    /// What exactly was seen: the answers to each shape of message, by class.
    pub detail: Option<String>,
    /// Positions of the exchanges behind it.
    pub seen: Vec<u32>,
}

/// What tests of known flaws showed at one address.
///
/// Records that were encrypted stand in the exchanges as they were before: they were decrypted with the keys of those
/// connections, which are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FlawFacts {
    /// The address and port spoken to.
    pub address: String,
    /// The host name sent; null where none was.
    pub sni: Option<String>,
    /// Which flaws were looked for.
    pub asked: Asked,
    /// Every flaw looked for.
    pub flaws: Vec<KnownFlaw>,
    /// Connections opened.
    pub connections: u32,
}
