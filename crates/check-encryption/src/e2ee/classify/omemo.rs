//! OMEMO (XEP-0384): an `<encrypted>` element in a stanza, and whatever stands beside it.

use super::layers::base64;
use super::{Container, Found, Seen, beside, text};
use crate::facts::Class;

/// What clients write for readers without OMEMO: the words of XEP-0384, Conversations, Dino, Gajim, Profanity and Converse.
const FALLBACKS: [&str; 5] = [
    "I sent you an OMEMO encrypted message but your client doesn't seem to support that.",
    "I sent you an OMEMO encrypted message but your client doesn't seem to support that. Find more information on \
     https://conversations.im/omemo",
    "[This message is OMEMO encrypted]",
    "You received a message encrypted with OMEMO but your client doesn't support OMEMO.",
    "This is an OMEMO encrypted message which your client doesn't seem to support. Find more information on \
     https://conversations.im/omemo",
];
/// Bytes of a fallback in another language, at most.
const FALLBACK: usize = 200;

/// What a stanza is. Everything in it that is no ciphertext is looked at.
pub(super) fn read(stanza: &str) -> Option<Found> {
    let element = stanza.get(stanza.find("<encrypted")?..)?;
    let tag = element.split('>').next()?;
    if !tag.contains("eu.siacs.conversations.axolotl") && !tag.contains("urn:xmpp:omemo:") {
        return None;
    }
    let told = |class, why: &str| Some(Found::Told(Seen::new(class, Some("omemo"), why)));
    let (mut recipients, mut payload, mut doubt) = (Vec::new(), None, None);
    for piece in stanza.split('<') {
        let (tag, content) = piece.split_once('>').unwrap_or((piece, ""));
        let (name, content) = (tag.split([' ', '\t', '\r', '\n', '/']).next().unwrap_or_default(), content.trim());
        if tag.starts_with(['!', '?']) && !tag.starts_with("?xml ") {
            doubt = Some("a comment or unparsed text stands in the stanza");
        }
        let values = tag.split(['"', '\'']).skip(1).step_by(2);
        for value in values.filter(|value| !value.starts_with("http://jabber.org/")) {
            match beside::of_bytes(value.as_bytes()) {
                Some((Class::Plaintext, _)) => {
                    return told(Class::Plaintext, "an attribute of the stanza is readable text");
                }
                Some((_, why)) => doubt = Some(why),
                None => {}
            }
        }
        if name == "key" {
            let id = tag.split_once("rid=").map_or("", |(_, rest)| rest.trim_start_matches(['"', '\'']));
            let id = id.split(['"', '\'']).next().unwrap_or_default();
            recipients.push(format!("device {}", id.chars().take(12).collect::<String>()));
        }
        match name {
            _ if content.is_empty() => {}
            "payload" => payload = payload.or(Some(base64(content)?)),
            "body" if is_fallback(content) => {}
            "body" if content.contains("OMEMO") && content.len() <= FALLBACK => {
                doubt =
                    Some("a <body> with other words than those of a known client stands beside the encrypted element");
            }
            "body" | "subject" => {
                return told(Class::Plaintext, "a <body> or <subject> with text stands beside the encrypted element");
            }
            "key" | "iv" => match base64(content) {
                Some(bytes) if text::readable(&bytes).is_some() => {
                    return told(Class::Plaintext, "a key or an IV in it is readable text");
                }
                Some(_) => {}
                None => doubt = Some("a key or an IV in it is no base64"),
            },
            _ => match beside::of_bytes(content.as_bytes()) {
                Some((Class::Plaintext, why)) => return told(Class::Plaintext, why),
                Some((_, why)) => doubt = Some(why),
                None => {}
            },
        }
    }
    let doubt = doubt.map(str::to_owned);
    Some(Found::Container(Container { format: "omemo", recipients, body: payload?, doubt, ..Container::default() }))
}

fn is_fallback(text: &str) -> bool {
    let plain = text.replace('\u{2019}', "'").replace("&apos;", "'").replace("&#39;", "'");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    FALLBACKS.iter().any(|known| words(known) == words(&plain))
}
