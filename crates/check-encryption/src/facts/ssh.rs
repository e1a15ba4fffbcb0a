//! What an SSH server says of itself on the wire, before anybody logs in (RFC 4253).

use model::Asked;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mark, Outcome};

/// One SSH server at one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshFacts {
    /// Address and port spoken to.
    pub address: String,
    /// Names that the socket may have on the machine that made this record, as the kind `listeners` has them; empty where
    /// the address is another machine's.
    pub own_sockets: Vec<String>,
    /// Its identification string (RFC 4253, section 4.2).
    pub identification: Identification,
    /// What it offers in its `SSH_MSG_KEXINIT` (RFC 4253, section 7.1).
    pub offers: Offers,
    /// Strict key exchange, the cure for Terrapin (CVE-2023-48795): whether it offers `kex-strict-s-v00@openssh.com`.
    pub strict_kex: SshSign,
    /// Its host keys, each fetched in a key exchange.
    pub host_keys: HostKeys,
    /// Groups that it served for Diffie-Hellman group exchange (RFC 4419); none where it does not offer that.
    pub group_exchange: GroupExchange,
    /// The methods by which one may log in.
    pub authentication: Authentication,
}

/// `SSH-2.0-software comments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identification {
    /// As it stands, without the end of the line.
    pub text: String,
    /// The protocol's version: `2.0`; `1.99` speaks version 1 too.
    pub protocol: String,
    /// The software, by its own word.
    pub software: String,
    /// What stands behind it, such as a distribution's patch level.
    pub comments: Option<String>,
    /// The exchange that it was seen in.
    pub seen: u32,
}

/// Lists of algorithms, the server's favourite first, both directions together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offers {
    /// `all`: the server's own lists; none of them where it sent none.
    pub asked: Asked,
    /// Key exchange.
    pub kex: Vec<Algorithm>,
    /// Host key algorithms, which are also those of its signatures.
    pub host_key: Vec<Algorithm>,
    /// Encryption.
    pub cipher: Vec<Algorithm>,
    /// Integrity; unused with a cipher that brings its own.
    pub mac: Vec<Algorithm>,
    /// Compression.
    pub compression: Vec<Algorithm>,
    /// What stands among the key exchanges and is none, such as `ext-info-s` (RFC 8308).
    pub extensions: Vec<String>,
    /// The exchange that they were seen in.
    pub seen: Option<u32>,
}

/// An algorithm that is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Algorithm {
    /// Its name (RFC 4250, section 4.11).
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// Offered for what the client sends.
    pub to_server: bool,
    /// Offered for what the server sends.
    pub to_client: bool,
}

/// Whether a sign is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshSign {
    /// Whether it is.
    pub outcome: Outcome,
    /// Why that is not proven.
    pub why: Option<String>,
}

/// Host keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostKeys {
    /// `all`: every type of key that is offered was asked for.
    pub asked: Asked,
    /// One for each type.
    pub keys: Vec<HostKey>,
}

/// A host key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostKey {
    /// Type of the key: `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256`, ….
    pub name: String,
    /// Whether it was fetched.
    pub outcome: Outcome,
    /// Why it was not.
    pub why: Option<String>,
    /// Its size in bits: of the modulus (RSA, DSA) or the curve.
    pub bits: Option<u32>,
    /// `SHA256:…` as OpenSSH prints it.
    pub fingerprint: Option<String>,
    /// Public exponent of an RSA key; null for others, and where it has more than 62 bits.
    pub exponent: Option<i64>,
    /// `all`: every mark that the public half alone shows; none of a key that was not fetched.
    pub asked: Asked,
    /// Marks of moduli that others can factor.
    pub marks: Vec<Mark>,
    /// Whether it signed the exchange, which only the private key can (RFC 4253, section 8). Without that, the key is
    /// what the server claims.
    pub possession: SshSign,
    /// The exchange that it was seen in.
    pub seen: Option<u32>,
}

/// Groups served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupExchange {
    /// `all`: every question was asked.
    pub asked: Asked,
    /// One for each question.
    pub groups: Vec<Group>,
}

/// A group that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// `min-preferred-max` of the question, in bits.
    pub name: String,
    /// Present: it gave one. Absent: it ended each connection over the question, while it answered the same question
    /// for any group.
    pub outcome: Outcome,
    /// What it said, or what stood in the way.
    pub why: Option<String>,
    /// Bits of the prime that it gave.
    pub bits: Option<u32>,
    /// SHA-256 over the prime, big-endian.
    pub prime: Option<model::Digest>,
    /// The exchange that it was seen in.
    pub seen: Option<u32>,
}

/// Methods of authentication that the server names for an account (RFC 4252, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authentication {
    /// `all`: the server's own list.
    pub asked: Asked,
    /// Whether it named any.
    pub outcome: Outcome,
    /// Why that is not proven.
    pub why: Option<String>,
    /// The account that was asked about; others may be treated otherwise.
    pub user: String,
    /// The methods; `none` where it let in without any.
    pub methods: Vec<AuthMethod>,
    /// The exchange that they were seen in.
    pub seen: Option<u32>,
}

/// A method of authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthMethod {
    /// Its name, such as `publickey`.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
}

/// An SSH server as an inventory declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshTarget {
    /// `host`, `host:port`, `address:port` or `[v6]:port`; the port defaults to 22.
    pub endpoint: String,
    /// How many addresses the host should have.
    #[serde(default)]
    pub expect_addresses: Option<u32>,
}

/// What the probe is given: a server at one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshSpec {
    /// Address and port.
    pub address: String,
    /// The address is one of the machine that looks.
    #[serde(default)]
    pub this_machine: bool,
}
