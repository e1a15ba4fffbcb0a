//! What a payload is, by its structure: what is wrapped around it is taken off, and what is left is parsed.
//!
//! What is accepted as ciphertext is a container that parses, or what fits a framing that the inventory declares. Statistics
//! only ever reject: compressed data look random, and short ciphertext need not.

mod ber;
mod beside;
mod cms;
mod jose;
mod layers;
mod messages;
mod omemo;
mod openpgp;
mod records;
mod spread;
mod text;
mod wire;

use model::Digest;

use crate::facts::Class;

use super::target::Framing;

/// Layers that are taken off, at most.
const DEEPEST: usize = 8;
/// Fewer bytes than this can't hold a key or nonce and a tag.
const LEAST: usize = 28;
/// Bytes at the beginning of a ciphertext that are compared with those of others.
const START: usize = 96;
/// Bytes of ciphertext in a container that tell whether they are any.
const ENOUGH: usize = 16;

/// What a payload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) class: Class,
    pub(super) format: Option<String>,
    pub(super) layers: Vec<String>,
    pub(super) recipients: Vec<String>,
    /// What must not repeat under the same key.
    pub(super) nonce: Option<Vec<u8>>,
    pub(super) why: Option<String>,
    /// The digest of the ciphertext alone: headers are fresh also where it is not.
    pub(super) body: Option<Digest>,
    /// The first bytes of its ciphertext: what stands there in many payloads together tells.
    pub(super) start: Vec<u8>,
    /// How many bytes it has, where all of them can be printed and they are too few to tell by themselves.
    pub(super) printable: Option<u64>,
}

impl Seen {
    fn new(class: Class, format: Option<&str>, why: impl Into<String>) -> Self {
        Self {
            class,
            format: format.map(str::to_owned),
            layers: Vec::new(),
            recipients: Vec::new(),
            nonce: None,
            why: Some(why.into()),
            body: None,
            start: Vec::new(),
            printable: None,
        }
    }

    fn under(mut self, layer: &str) -> Self {
        self.layers.insert(0, layer.to_owned());
        self
    }

    /// Whether somebody without a reader's key can read it.
    pub(super) fn is_readable(&self) -> bool {
        readable(self.class)
    }
}

/// Whether somebody without a reader's key can read payloads of that class.
pub(super) fn readable(class: Class) -> bool {
    matches!(class, Class::Plaintext | Class::Compressed | Class::Media | Class::Patterned | Class::ServerSide)
}

/// A container that parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Container {
    format: &'static str,
    recipients: Vec<String>,
    nonce: Option<Vec<u8>>,
    /// The ciphertext in it.
    body: Vec<u8>,
    /// Everything else in it that is not known to be random: headers, attributes, data that are only authenticated.
    beside: Vec<Vec<u8>>,
    /// Made with a key of the server's.
    server_side: bool,
    /// Why it need not be encrypted, though it has the form.
    doubt: Option<String>,
}

/// What was found at the outside of some bytes.
enum Found {
    Container(Container),
    /// Something is wrapped around this. The bytes, and whether they are all there.
    Layer(&'static str, Vec<u8>, bool),
    /// It is told what it is.
    Told(Seen),
}

/// What a payload is. `whole` is false where only its beginning was read.
pub(super) fn classify(payload: &[u8], whole: bool, framing: &[Framing]) -> Seen {
    at_depth(payload, whole, framing, 0)
}

fn at_depth(bytes: &[u8], whole: bool, framing: &[Framing], depth: usize) -> Seen {
    if depth >= DEEPEST {
        return Seen::new(Class::Unknown, None, "more is wrapped around it than is taken off");
    }
    match outside(bytes, whole, framing, depth) {
        Some(Found::Told(seen)) => seen,
        Some(Found::Container(container)) => of_container(container),
        Some(Found::Layer(name, inner, whole)) => {
            let mut seen = at_depth(&inner, whole, framing, depth + 1).under(name);
            if layers::is_compression(name) && matches!(seen.class, Class::Plaintext | Class::Media) {
                seen.class = Class::Compressed;
            }
            seen
        }
        None => plain(bytes, whole, framing),
    }
}

/// Everything that has a structure of its own.
fn outside(bytes: &[u8], whole: bool, framing: &[Framing], depth: usize) -> Option<Found> {
    if bytes.is_empty() {
        return Some(Found::Told(Seen::new(Class::TooShort, None, "it is empty")));
    }
    if messages::is_public_mls(bytes) {
        let why = "an MLS PublicMessage with application data: signed, and in clear";
        return Some(Found::Told(Seen::new(Class::Plaintext, Some("mls"), why)));
    }
    if let Some(container) = wire::age(bytes).or_else(|| messages::of_bytes(bytes, whole)) {
        return Some(Found::Container(container));
    }
    if let Some(found) = openpgp::read(bytes, whole) {
        return Some(found);
    }
    if let Some(found) = cms::read(bytes, whole).or_else(|| wire::cose(bytes).map(Found::Container)) {
        return Some(found);
    }
    if let Some(found) = layers::decompress(bytes, whole) {
        return Some(found);
    }
    if let Some(media) = wire::media(bytes) {
        return Some(Found::Told(Seen::new(Class::Media, Some(media), format!("it begins as {media} does"))));
    }
    let text = text::of(bytes, whole)?;
    of_text(text, whole, framing, depth)
}

/// Text that holds something.
fn of_text(text: &str, whole: bool, framing: &[Framing], depth: usize) -> Option<Found> {
    if let Some(container) = messages::of_text(text) {
        return Some(Found::Container(container));
    }
    if let Some(found) = omemo::read(text) {
        return Some(found);
    }
    if let Some(found) = jose::compact(text) {
        return Some(found);
    }
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text)
        && (value.is_object() || value.is_array())
    {
        let inner = |bytes: &[u8]| at_depth(bytes, true, framing, depth + 1);
        return records::read(&value, text.len(), &inner);
    }
    layers::armor(text).or_else(|| layers::decode(text, whole))
}

/// A container whose body is looked at: plaintext in a wrapper is plaintext.
fn of_container(container: Container) -> Seen {
    let Container { format, recipients, nonce, body, beside, server_side, doubt } = container;
    if server_side {
        return Seen::new(Class::ServerSide, Some(format), "its key is with the server or its key service");
    }
    let hollow = |class, what: &str| Seen::new(class, Some(format), format!("what it holds as ciphertext is {what}"));
    if let Some(said) = text::readable(&body) {
        return hollow(Class::Plaintext, &said);
    }
    let mut told: Vec<(Class, &str)> = beside.iter().filter_map(|bytes| beside::of_bytes(bytes)).collect();
    // What is surely readable comes first.
    told.sort_by_key(|(class, _)| !readable(*class));
    if let Some((class, why)) = told.first() {
        return Seen::new(*class, Some(format), *why);
    }
    if let Some(media) = wire::media(&body) {
        return hollow(Class::Media, media);
    }
    if let Some(Found::Layer(name, ..)) = layers::decompress(&body, true) {
        return hollow(Class::Compressed, name);
    }
    if let Some(why) = spread::rejects(&body) {
        return hollow(Class::Patterned, &why);
    }
    if let Some(why) = spread::doubts(&body) {
        return hollow(Class::Unknown, &format!("hardly any: {why}"));
    }
    if let Some(why) = doubt {
        return Seen::new(Class::Unknown, Some(format), why);
    }
    // As few bytes may be characters by chance, and as few characters may be clear text.
    if body.len() < ENOUGH {
        let mut seen = Seen::new(Class::TooShort, Some(format), format!("it holds {} bytes of ciphertext", body.len()));
        seen.printable = text::of(&body, true).map(|text| text.len() as u64);
        seen.start = body;
        return seen;
    }
    let mut seen = Seen::new(Class::Container, Some(format), "it parses");
    (seen.recipients, seen.nonce, seen.body) = (recipients, nonce, Some(Digest::of(&body)));
    seen.start = start(&body);
    seen
}

/// The bytes that are compared with those of other payloads.
fn start(body: &[u8]) -> Vec<u8> {
    body.get(..body.len().min(START)).unwrap_or_default().to_vec()
}

/// Bytes without a structure that is known.
fn plain(bytes: &[u8], whole: bool, framing: &[Framing]) -> Seen {
    if let Some(said) = text::readable(bytes) {
        return Seen::new(Class::Plaintext, Some("text"), said);
    }
    if text::of(bytes, whole).is_some() {
        let mut seen = Seen::new(Class::Unknown, Some("text"), "text that is neither a language nor a known encoding");
        if bytes.len() < LEAST {
            (seen.class, seen.why) = (Class::TooShort, Some(format!("{} bytes tell nothing", bytes.len())));
        }
        seen.printable = Some(bytes.len() as u64);
        return seen;
    }
    let rejected = spread::rejects(bytes);
    for framing in framing {
        let Some((header, more)) = framed(framing) else { continue };
        let Some(body) = bytes.get(header..).filter(|body| body.len() >= more) else { continue };
        let name = Some(framing.name());
        let why = spread::rejects(body);
        if let Some(why) = why {
            return Seen::new(Class::Patterned, name, format!("after {header} bytes of header {why}"));
        }
        if let Some(said) = text::readable(body) {
            return Seen::new(Class::Plaintext, name, format!("after {header} bytes of header {said}"));
        }
        if let Some(why) = spread::doubts(body) {
            return Seen::new(Class::Unknown, name, format!("after {header} bytes of header {why}"));
        }
        let mut seen = Seen::new(Class::Opaque, name, "bytes like random ones, in the framing declared");
        seen.body = Some(Digest::of(body));
        seen.start = start(body);
        seen.nonce = bytes.get(..header.min(32)).filter(|nonce| nonce.len() >= 12).map(<[u8]>::to_vec);
        return seen;
    }
    if bytes.len() < LEAST {
        return Seen::new(Class::TooShort, None, format!("{} bytes tell nothing", bytes.len()));
    }
    match rejected {
        Some(why) => Seen::new(Class::Unknown, None, format!("a form that is not known, and not random: {why}")),
        None => {
            let why =
                "bytes like random ones, in no declared framing: encrypted, or compressed in a way that is not known";
            Seen::new(Class::Random, None, why)
        }
    }
}

/// Looks at bytes further inside of a payload, of which the beginning did not tell anything readable.
pub(super) fn recheck(seen: &mut Seen, offset: u64, bytes: &[u8]) {
    if !matches!(seen.class, Class::Container | Class::Opaque | Class::Random) || !seen.layers.is_empty() {
        return;
    }
    if let Some(said) = text::readable(bytes) {
        (seen.class, seen.why) = (Class::Plaintext, Some(format!("{said}, behind offset {offset}")));
    } else if let Some(why) = spread::rejects(bytes) {
        (seen.class, seen.why) = (Class::Patterned, Some(format!("behind offset {offset} {why}")));
    }
}

/// Header and least bytes behind it of framings without a mark of their own.
fn framed(framing: &Framing) -> Option<(usize, usize)> {
    match framing {
        Framing::Secretstream => Some((24, 17)),
        Framing::Secretbox => Some((24, 16)),
        Framing::SealedBox => Some((32, 16)),
        Framing::Opaque { header } => Some((usize::try_from(*header).ok()?, 16)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
