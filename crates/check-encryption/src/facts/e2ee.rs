//! What a sample of stored payloads looks like, and whether a marker that a client encrypted can be found on the server.
//!
//! Nothing of a payload's content is ever among these facts: lengths, formats, digests of what is not readable.

use model::Asked;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// Payloads that a service stores, chosen at random.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct E2eeFacts {
    /// Chooses files and records together with their names: those with the least SHA-256 of seed and name. Of rows a database
    /// chooses itself.
    pub seed: String,
    /// Formats that the inventory declares.
    pub framing: Vec<String>,
    /// Where payloads lie.
    pub stores: Stores,
    /// The payloads.
    pub samples: Samples,
    /// Who can decrypt, as far as the payloads tell.
    pub recipients: Recipients,
    /// What should differ from payload to payload and does not.
    pub repeats: Repeats,
}

/// The stores that were looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stores {
    /// `all`: those of the inventory.
    pub asked: Asked,
    /// One for each.
    pub stores: Vec<StoreSampled>,
}

/// Whether the claim that a store holds only what the server can't read holds. It can be refuted and never be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// At least one payload can be read without any key, or with one that the server has.
    Refuted,
    /// None of the payloads looked at can.
    NotRefuted,
    /// Some payloads could not be told apart, or none was seen.
    NotProven,
}

/// One store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSampled {
    /// Its name in the inventory, or where it is.
    pub name: String,
    /// Present: payloads were read.
    pub outcome: Outcome,
    /// Why none was, or not all that were chosen.
    pub why: Option<String>,
    /// `folder`, `postgresql`, `mysql`, `sqlite` or `http`.
    pub source: String,
    /// Payloads in it; null where they were not counted.
    pub payloads: Option<i64>,
    /// Payloads that were looked at.
    pub sampled: i64,
    /// Every payload in it was looked at.
    pub whole: bool,
    /// Those that can be read by anybody, or by the server.
    pub readable: i64,
    /// What follows for the claim.
    pub claim: Claim,
    /// The same in words, with the bound that the number of samples gives: none of n readable means that with 95 %
    /// confidence at most 3/n are (the rule of three, Hanley and Lippman-Hand, JAMA 249 (1983) 1743).
    pub result: String,
}

/// The payloads that were chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// `all`: every payload that was chosen was looked at.
    pub asked: Asked,
    /// By store and name.
    pub samples: Vec<Sample>,
}

/// What a payload is, by its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Text or records that anybody can read.
    Plaintext,
    /// Compressed, and what comes out is readable.
    Compressed,
    /// A picture, sound, film, archive, document or database in clear.
    Media,
    /// In a declared framing or a container, and not what a sound cipher gives: blocks that repeat, bytes that are not evenly
    /// spread.
    Patterned,
    /// Encrypted with a key of the server's, such as Vault transit or Fernet.
    ServerSide,
    /// A known container that is made for recipients' keys.
    Container,
    /// Bytes like random ones, in a framing that the inventory declares.
    Opaque,
    /// Bytes like random ones, in no declared framing: not proven.
    Random,
    /// Too few bytes to tell.
    TooShort,
    /// Nothing that is known.
    Unknown,
}

/// One payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its store, and its place there.
    pub name: String,
    /// Present: it was told what it is.
    pub outcome: Outcome,
    /// What it was told by, without any of its content; or why it was not told.
    pub why: Option<String>,
    /// What it is.
    pub class: Class,
    /// The format's name.
    pub format: Option<String>,
    /// What was taken off first, such as `base64` and `gzip`, from the outside in.
    pub layers: Vec<String>,
    /// Bytes.
    pub length: i64,
    /// SHA-256 of the part that was read; null for what is readable, or so short that its digest would tell it.
    pub digest: Option<String>,
    /// Whom it is encrypted to, as far as it says.
    pub recipients: Vec<String>,
    /// Whether its format is among those that the inventory declares; null where it declares none.
    pub declared: Option<bool>,
}

/// Keys that can open payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipients {
    /// `all`: every payload that was looked at names its recipients.
    pub asked: Asked,
    /// The inventory says who may be able to decrypt.
    pub wanted: bool,
    /// Sorted by name.
    pub recipients: Vec<Recipient>,
}

/// A key that can open some payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// As the container names it: a key id, a `kid`, an issuer's serial number; or the sort alone (`X25519`) where the format
    /// hides the key.
    pub name: String,
    /// Not proven: the format does not say which key it is, and more of them are in a payload than the inventory allows.
    pub outcome: Outcome,
    /// Why it is not proven.
    pub why: Option<String>,
    /// Samples that it can open.
    pub samples: i64,
    /// Most of this name in one payload.
    pub most: i64,
    /// Whether the inventory names it, or allows as many of those that are not told apart.
    pub declared: bool,
}

/// What repeats across payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// `all`: two payloads or more have something that must not repeat, and were compared.
    pub asked: Asked,
    /// Payloads that have something that must not repeat.
    pub compared: i64,
    /// Groups of payloads that share something.
    pub repeats: Vec<Repeat>,
}

/// Something that payloads share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// The first two payloads.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// What is the same.
    pub of: RepeatOf,
    /// How many payloads share it.
    pub payloads: i64,
}

/// What is the same in several payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepeatOf {
    /// The nonce or ephemeral key, with different bytes behind it.
    Nonce,
    /// All of it: copies, or a cipher that gives the same bytes for the same text.
    Payload,
}

/// A marker that went through a client, looked for in every store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct E2eeCanaryFacts {
    /// SHA-256 of the marker, which is not told.
    pub marker: String,
    /// Whether the client took it.
    pub written: Step,
    /// Whether another client gave it back: without that, nobody knows that anything was sent.
    pub received: Step,
    /// Whether the search finds what is planted for it.
    pub control: Control,
    /// Where it was looked for.
    pub stores: Searches,
    /// Where it was found.
    pub hits: Hits,
}

/// Something that a drill did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Present: it was done.
    pub outcome: Outcome,
    /// Why not.
    pub why: Option<String>,
}

/// What was planted for the search to find: another marker in every form that is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// `all`: every form that is looked for was planted.
    pub asked: Asked,
    /// One for each form, and for the file that the inventory names.
    pub forms: Vec<Planted>,
}

/// Something that was planted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Planted {
    /// The form, or the file.
    pub name: String,
    /// Present: the search found it.
    pub outcome: Outcome,
    /// Why it was not.
    pub why: Option<String>,
}

/// The stores that were searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Searches {
    /// `all`: those of the inventory.
    pub asked: Asked,
    /// One for each.
    pub stores: Vec<StoreSearched>,
}

/// A store that was searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSearched {
    /// Its name in the inventory, or where it is.
    pub name: String,
    /// Absent: all of it was read, and the marker was in none of it.
    pub outcome: Outcome,
    /// What was not read, and why.
    pub why: Option<String>,
    /// `folder`, `postgresql`, `mysql`, `sqlite` or `http`.
    pub source: String,
    /// Files, rows or answers that were read.
    pub items: i64,
    /// Bytes that were read, before decompression.
    pub bytes: i64,
}

/// Where the marker was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hits {
    /// `all`: every place is named; else there are more.
    pub asked: Asked,
    /// By store and place.
    pub hits: Vec<Hit>,
}

/// A place where the marker was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hit {
    /// Store and place.
    pub name: String,
    /// Always present.
    pub outcome: Outcome,
    /// How it was written there: `plain`, `utf-16le`, `base64`, `plain in gzip`, ….
    pub form: String,
    /// A digest of the marker and not the marker: who knows a text can tell that it was sent.
    pub derivative: bool,
    /// Where in the file or row; in what came out of a compressed part, its beginning.
    pub offset: i64,
}
