//! From the exchanges to facts. Pure: the same bytes, the same facts.

use std::net::SocketAddr;

use model::{Asked, Digest, Ended, Exchange, Failure, FailureClass, Target};

use super::kex::{Agreed, Method};
use super::key::{PublicKey, Signed, is_certificate, kind_of, signed_by};
use super::offer::Offer;
use super::packet::{Side, message, mpint, string, text};
use super::sealed::common;
use super::{ANY, Question, SMALL, TRIES, sides, talk};
use crate::facts::{
    Algorithm, AuthMethod, Authentication, Group, GroupExchange, HostKey, HostKeys, Identification, Offers, Outcome,
    SshFacts, SshSign,
};
use crate::keyfiles::of_modulus;

/// The name by which strict key exchange is offered (OpenSSH's PROTOCOL, section 1.10).
const STRICT: &str = "kex-strict-s-v00@openssh.com";

/// One exchange, read.
struct Talk<'a> {
    seen: u32,
    question: Question,
    sent: Side,
    heard: Side,
    exchange: &'a Exchange,
}

impl Talk<'_> {
    /// Why it did not bring what it was for.
    fn why(&self) -> String {
        if let Some(words) = self.heard.disconnect() {
            return format!("the server ended the connection: {words}");
        }
        match (&self.heard.broken, self.exchange.ended) {
            (Some(broken), _) => format!("what it said is no SSH: {broken}"),
            (None, Ended::Timeout) => "it said nothing more in time".to_owned(),
            (None, Ended::Closed | Ended::Reset) => "it ended the connection without a word".to_owned(),
            (None, _) => "the connection was not brought to its end".to_owned(),
        }
    }

    /// It dropped the question, after all that comes before one: a refusal, if nothing else explains it.
    fn dropped(&self) -> bool {
        let ended = matches!(self.exchange.ended, Ended::Closed | Ended::Reset) || self.heard.disconnect().is_some();
        ended && self.heard.broken.is_none() && self.sent.packet(message::GEX_REQUEST).is_some()
    }

    /// The bits that it asked for a group of.
    fn bits(&self) -> Option<[u32; 3]> {
        match self.question {
            Question::Group { bits } | Question::Key { group: Some(bits), .. } => Some(bits),
            Question::Login | Question::Key { group: None, .. } => None,
        }
    }

    /// The blob of the key that it brought.
    fn key(&self) -> Option<&[u8]> {
        let by_group = self.method() == Some(Method::GroupExchange);
        let number = if by_group { message::GEX_REPLY } else { message::KEX_REPLY };
        Some(string(self.heard.packet(number)?.get(1..)?)?.0)
    }

    /// Whether the server showed that it has the private key of the one that it brought.
    fn possession(&self) -> (Signed, Option<String>) {
        let Some(agreed) = Agreed::from(&self.sent, &self.heard) else {
            let kex = self.sent_offer().and_then(|offer| offer.kex.into_iter().next()).unwrap_or_default();
            return (Signed::Unknown, Some(format!("the secret of {kex} is not computed here")));
        };
        let signed = signed_by(&agreed.host_key, &agreed.signature, &agreed.id);
        let why = match signed {
            Signed::Yes => None,
            Signed::No => Some("its signature is not one of that key".to_owned()),
            Signed::Unknown => Some("signatures of that algorithm or size are not checked here".to_owned()),
        };
        (signed, why)
    }

    fn method(&self) -> Option<Method> {
        Method::of(self.sent_offer()?.kex.first()?)
    }

    fn sent_offer(&self) -> Option<Offer> {
        Offer::read(self.sent.packet(message::KEXINIT)?)
    }
}

/// Reads all exchanges.
///
/// # Errors
/// Where none of them shows an SSH server.
pub(super) fn facts(target: &Target, address: SocketAddr, exchanges: &[Exchange]) -> Result<SshFacts, Failure> {
    let mut talks = Vec::new();
    for (index, exchange) in exchanges.iter().enumerate() {
        if let Some((question, sent, heard)) = sides(exchange) {
            talks.push(Talk { seen: u32::try_from(index).unwrap_or(u32::MAX), question, sent, heard, exchange });
        }
    }
    let first = talks.iter().find(|talk| talk.question == Question::Login);
    let fail = |class, why: &str| Failure::new(class, format!("{} ({address}): {why}", target.name));
    let Some(first) = first else { return Err(fail(FailureClass::Unreachable, "no connection was made")) };
    let Some(identification) = &first.heard.identification else {
        let class = match first.exchange.ended {
            Ended::Timeout => FailureClass::Timeout,
            _ => FailureClass::Protocol,
        };
        let advice = "is it an SSH server, and does it let this address in?";
        return Err(fail(class, &format!("no identification string of SSH came: {}; {advice}", first.why())));
    };
    let offer = first.heard.packet(message::KEXINIT).and_then(Offer::read).filter(Offer::is_usable);
    Ok(SshFacts {
        address: address.to_string(),
        own_sockets: if super::spec(target)?.1 { sockets(address) } else { vec![] },
        identification: identified(&text(identification), first.seen),
        strict_kex: strict(offer.as_ref(), first),
        host_keys: host_keys(offer.as_ref(), &talks),
        group_exchange: groups(offer.as_ref(), &talks),
        authentication: authentication(offer.as_ref(), &talks),
        offers: offers(offer, first.seen),
    })
}

/// The sockets that answer at an address of this machine: its own, or one for all addresses. One for all of IPv6 often
/// takes IPv4 as well (ipv6(7)).
fn sockets(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let all_v4 = address.is_ipv4().then(|| format!("tcp:0.0.0.0:{port}"));
    [format!("tcp:{address}"), format!("tcp:[::]:{port}")].into_iter().chain(all_v4).collect()
}

/// `SSH-protoversion-softwareversion SP comments`.
fn identified(text: &str, seen: u32) -> Identification {
    let rest = text.strip_prefix("SSH-").unwrap_or(text);
    let (protocol, rest) = rest.split_once('-').unwrap_or((rest, ""));
    let (software, comments) = rest.split_once(' ').map_or((rest, None), |(s, c)| (s, Some(c.to_owned())));
    Identification {
        text: text.to_owned(),
        protocol: protocol.to_owned(),
        software: software.to_owned(),
        comments,
        seen,
    }
}

fn strict(offer: Option<&Offer>, first: &Talk<'_>) -> SshSign {
    match offer {
        Some(offer) if offer.kex.iter().any(|name| name == STRICT) => SshSign { outcome: Outcome::Present, why: None },
        Some(_) => SshSign { outcome: Outcome::Absent, why: None },
        None => SshSign {
            outcome: Outcome::NotProven,
            why: Some(format!("it sent no lists that could be agreed upon: {}", first.why())),
        },
    }
}

/// What stands among the key exchanges and is none (RFC 8308; OpenSSH's PROTOCOL; Dropbear's guess).
fn is_extension(name: &str) -> bool {
    name.starts_with("ext-info-") || name.starts_with("kex-strict-") || name.starts_with("kexguess2@")
}

fn offers(offer: Option<Offer>, seen: u32) -> Offers {
    let Some(offer) = offer else {
        let (kex, host_key, cipher, mac, compression) = Default::default();
        let (asked, extensions) = (Asked::Only(vec![]), vec![]);
        return Offers { asked, kex, host_key, cipher, mac, compression, extensions, seen: None };
    };
    let (extensions, kex): (Vec<String>, Vec<String>) = offer.kex.into_iter().partition(|name| is_extension(name));
    Offers {
        asked: Asked::All,
        kex: both(&[kex.clone(), kex]),
        host_key: both(&[offer.host_key.clone(), offer.host_key]),
        cipher: both(&offer.cipher),
        mac: both(&offer.mac),
        compression: both(&offer.compression),
        extensions,
        seen: Some(seen),
    }
}

/// One list from those of the two directions, in their order, each name once.
fn both(lists: &[Vec<String>; 2]) -> Vec<Algorithm> {
    let [to_server, to_client] = lists;
    let mut found: Vec<Algorithm> = Vec::new();
    for name in to_server.iter().chain(to_client) {
        if found.iter().all(|known| known.name != *name) {
            found.push(Algorithm {
                name: name.clone(),
                outcome: Outcome::Present,
                to_server: to_server.contains(name),
                to_client: to_client.contains(name),
            });
        }
    }
    found
}

fn host_keys(offer: Option<&Offer>, talks: &[Talk<'_>]) -> HostKeys {
    let Some(offer) = offer else { return HostKeys { asked: Asked::Only(vec![]), keys: vec![] } };
    let mut kinds: Vec<&str> = Vec::new();
    for algorithm in &offer.host_key {
        if !kinds.contains(&kind_of(algorithm)) {
            kinds.push(kind_of(algorithm));
        }
    }
    // The key in a certificate is offered by itself, too; where it is not, what is in it was not looked at.
    let plain = kinds.iter().any(|kind| !is_certificate(kind));
    kinds.retain(|kind| !plain || !is_certificate(kind));
    let keys = kinds.into_iter().map(|kind| host_key(kind, offer, talks));
    HostKeys { asked: Asked::All, keys: keys.collect() }
}

/// The key of one type.
fn host_key(kind: &str, offer: &Offer, talks: &[Talk<'_>]) -> HostKey {
    let asked = |talk: &&Talk<'_>| {
        let sent = talk.sent_offer();
        sent.is_some_and(|sent| sent.host_key.first().is_some_and(|name| kind_of(name) == kind))
    };
    // One that came; else one that was asked for, by a question whose point was the key.
    let came = talks.iter().filter(asked).find_map(|talk| Some((talk, PublicKey::read(talk.key()?)?)));
    let none = |why: String, seen: Option<u32>| HostKey {
        name: kind.to_owned(),
        outcome: Outcome::NotProven,
        why: Some(why.clone()),
        bits: None,
        fingerprint: None,
        exponent: None,
        asked: Asked::Only(vec![]),
        marks: vec![],
        possession: SshSign { outcome: Outcome::NotProven, why: Some(why) },
        seen,
    };
    let Some((talk, key)) = came else {
        let talk = talks.iter().filter(asked).find(|talk| !matches!(talk.question, Question::Group { .. }));
        let why = match talk {
            Some(talk) => talk.why(),
            None if offer.method().is_none() => "no method of key exchange is offered that is known here".to_owned(),
            None => "it was not asked for".to_owned(),
        };
        return none(why, talk.map(|talk| talk.seen));
    };
    if key.kind != kind {
        return none(format!("it gave a key of the type '{}' instead", key.kind), Some(talk.seen));
    }
    match talk.possession() {
        (Signed::No, why) => none(why.unwrap_or_default(), Some(talk.seen)),
        (signed, why) => HostKey {
            name: kind.to_owned(),
            outcome: Outcome::Present,
            why: None,
            bits: key.bits,
            fingerprint: Some(key.fingerprint),
            exponent: key.exponent,
            asked: Asked::All,
            marks: of_modulus(key.modulus.as_deref()),
            possession: SshSign {
                outcome: if signed == Signed::Yes { Outcome::Present } else { Outcome::NotProven },
                why,
            },
            seen: Some(talk.seen),
        },
    }
}

fn groups(offer: Option<&Offer>, talks: &[Talk<'_>]) -> GroupExchange {
    let Some(offer) = offer else { return GroupExchange { asked: Asked::Only(vec![]), groups: vec![] } };
    if offer.group_exchange().is_none() {
        return GroupExchange { asked: Asked::All, groups: vec![] };
    }
    let groups = [SMALL, ANY].map(|bits| group(bits, talks));
    GroupExchange { asked: Asked::All, groups: groups.into() }
}

/// The prime that an exchange brought, and its bits.
fn prime<'a>(talk: &'a Talk<'_>) -> Option<(u32, &'a [u8])> {
    if talk.method() != Some(Method::GroupExchange) {
        return None;
    }
    mpint(string(talk.heard.packet(message::KEX_REPLY)?.get(1..)?)?.0)
}

/// The answer to the question for a group of so many bits. A connection that ends over it is a refusal where that
/// happens each time, while the same question for any group is answered.
fn group(bits: [u32; 3], talks: &[Talk<'_>]) -> Group {
    let name = bits.map(|bits| bits.to_string()).join("-");
    let asked: Vec<&Talk<'_>> = talks.iter().filter(|talk| talk.bits() == Some(bits)).collect();
    if let Some((talk, (bits, prime))) = asked.iter().find_map(|talk| Some((talk, prime(talk)?))) {
        let (outcome, prime) = (Outcome::Present, Some(Digest::of(prime)));
        return Group { name, outcome, why: None, bits: Some(bits), prime, seen: Some(talk.seen) };
    }
    let control = talks.iter().any(|talk| talk.bits() == Some(ANY) && prime(talk).is_some());
    let dropped = asked.iter().filter(|talk| talk.dropped()).count();
    let refused = control && dropped >= TRIES && dropped == asked.len();
    let last = asked.last();
    let why = last.map_or_else(|| "no connection was made for it".to_owned(), |talk| talk.why());
    Group {
        name,
        outcome: if refused { Outcome::Absent } else { Outcome::NotProven },
        why: Some(if refused || dropped == 0 {
            why
        } else {
            format!("{why}; that is no refusal, as it was not each time, or no other group was given either")
        }),
        bits: None,
        prime: None,
        seen: last.map(|talk| talk.seen),
    }
}

fn authentication(offer: Option<&Offer>, talks: &[Talk<'_>]) -> Authentication {
    let talk = talks.iter().find(|talk| talk.question == Question::Login);
    let answer = talk.and_then(|talk| {
        if talk.heard.packet(message::USERAUTH_SUCCESS).is_some() {
            return Some(vec!["none".to_owned()]);
        }
        let names = string(talk.heard.packet(message::USERAUTH_FAILURE)?.get(1..)?)?.0;
        let names: Vec<String> = names.split(|byte| *byte == b',').filter(|n| !n.is_empty()).map(text).collect();
        // That this account may not log in says nothing of the others.
        Some(names).filter(|names| !names.is_empty())
    });
    let why = match (&answer, talk, offer) {
        (Some(_), _, _) => None,
        (None, _, None) => Some("it sent no lists".to_owned()),
        (None, _, Some(offer)) if common(offer).is_none() => {
            Some("no cipher and MAC are offered that are known here (ChaCha20, AES in GCM and CTR; HMAC)".to_owned())
        }
        (None, _, Some(offer)) if !offer.method().is_some_and(|(_, method)| method.is_computed()) => {
            Some("no method of key exchange is offered whose secret is computed here".to_owned())
        }
        (None, Some(talk), _) if talk.heard.packet(message::USERAUTH_FAILURE).is_some() => {
            Some(format!("it names no method for {}; others may have some", talk::USER))
        }
        (None, Some(talk), _) => Some(talk.why()),
        (None, None, _) => Some("no connection was made for it".to_owned()),
    };
    let methods = |names: Vec<String>| names.into_iter().map(|name| AuthMethod { name, outcome: Outcome::Present });
    Authentication {
        asked: if answer.is_some() { Asked::All } else { Asked::Only(vec![]) },
        outcome: if answer.is_some() { Outcome::Present } else { Outcome::NotProven },
        why,
        user: talk::USER.to_owned(),
        methods: answer.map(methods).into_iter().flatten().collect(),
        seen: talk.map(|talk| talk.seen),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Direction, Frame, Subject};
    use proptest::prelude::*;

    use super::super::packet::packet;
    use super::*;

    fn exchange(question: &Question, sent: Vec<u8>, heard: Vec<u8>) -> Exchange {
        let frame = |direction, bytes| Frame { direction, bytes };
        Exchange {
            question: question.written(),
            peer: "192.0.2.1:22".into(),
            at: 0,
            ended: Ended::Closed,
            cut: false,
            frames: vec![frame(Direction::Sent, sent), frame(Direction::Received, heard)],
        }
    }

    fn target() -> Target {
        let name = "it".to_owned();
        Target {
            of: name.clone(),
            address: name.clone(),
            name,
            labels: BTreeMap::new(),
            discovered: false,
            subject: Subject { sort: "ssh".into(), spec: serde_json::json!({ "address": "192.0.2.1:22" }) },
        }
    }

    fn said(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().fold(b"SSH-2.0-x\r\n".to_vec(), |said, payload| [said, packet(payload)].concat())
    }

    #[test]
    fn nothing_is_no_proof() {
        // Ten empty lists; and a list of methods that is empty.
        let empty = [&[message::KEXINIT][..], &[0; 16 + 40 + 5]].concat();
        let exchanges = [exchange(&Question::Login, vec![], said(&[&empty]))];
        let found =
            facts(&target(), ([192, 0, 2, 1], 22).into(), &exchanges).map(|f| (f.offers.asked, f.strict_kex.outcome));
        assert_eq!(found, Ok((Asked::Only(vec![]), Outcome::NotProven)));
        let usable = Offer {
            kex: vec!["curve25519-sha256".into()],
            host_key: vec!["ssh-ed25519".into()],
            cipher: [vec!["aes256-gcm@openssh.com".into()], vec!["aes256-gcm@openssh.com".into()]],
            ..Offer::default()
        };
        let offer = usable.accept("curve25519-sha256", "ssh-ed25519", None, [0; 16]);
        let none = [message::USERAUTH_FAILURE, 0, 0, 0, 0, 0];
        let exchanges = [exchange(&Question::Login, vec![], said(&[&offer, &none]))];
        let found =
            facts(&target(), ([192, 0, 2, 1], 22).into(), &exchanges).map(|f| (f.offers.asked, f.authentication));
        let (offers, login) = found.unwrap_or_else(|failure| panic!("{failure:?}"));
        assert_eq!((offers, login.asked, login.outcome), (Asked::All, Asked::Only(vec![]), Outcome::NotProven));
    }

    proptest! {
        #[test]
        fn any_exchange_is_read_without_harm(
            sent in proptest::collection::vec(any::<u8>(), 0..200),
            heard in proptest::collection::vec(any::<u8>(), 0..400),
            which in 0_usize..4,
        ) {
            let questions = [
                Question::Login,
                Question::Key { nth: 1, group: None },
                Question::Key { nth: 1, group: Some(ANY) },
                Question::Group { bits: SMALL },
            ];
            let of = |question: &Question| {
                let heard = [b"SSH-2.0-x\r\n", &heard[..]].concat();
                exchange(question, [b"SSH-2.0-y\r\n", &sent[..]].concat(), heard)
            };
            let exchanges = [of(&Question::Login), of(questions.get(which).unwrap_or(&Question::Login))];
            let found = facts(&target(), ([192, 0, 2, 1], 22).into(), &exchanges);
            prop_assert!(found.is_ok_and(|facts| facts.identification.protocol == "2.0"));
        }
    }
}
