//! From the exchanges to facts. Pure: the same bytes, the same facts.

use std::net::SocketAddr;

use model::{Asked, Digest, Ended, Exchange, Failure, FailureClass, Target};

use super::key::{PublicKey, is_certificate, kind_of};
use super::offer::Offer;
use super::packet::{Side, message, mpint, string, text};
use super::sealed::common;
use super::{GROUPS, Question, group_exchange, login, sides};
use crate::facts::{
    Algorithm, AuthMethod, Authentication, Group, GroupExchange, HostKey, HostKeys, Identification, Offers, Outcome,
    SshFacts, SshSign,
};

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

    /// It refused, rather than that something came between.
    fn refused(&self) -> bool {
        let ended = matches!(self.exchange.ended, Ended::Closed | Ended::Reset) || self.heard.disconnect().is_some();
        ended && self.heard.broken.is_none() && self.heard.packet(message::KEXINIT).is_some()
    }

    /// The key that it brought, and the algorithm that it was asked for by.
    fn key(&self) -> Option<PublicKey> {
        let group = self.sent_offer()?.kex.first()?.starts_with("diffie-hellman-group-exchange-");
        let number = if group { message::GEX_REPLY } else { message::KEX_REPLY };
        PublicKey::read(string(self.heard.packet(number)?.get(1..)?)?.0)
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
    let first = talks.iter().find(|talk| talk.question == Question::Offer);
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
        identification: identified(identification, first.seen),
        strict_kex: strict(offer.as_ref(), first),
        host_keys: host_keys(offer.as_ref(), &talks),
        group_exchange: groups(offer.as_ref(), &talks),
        authentication: authentication(offer.as_ref(), &talks),
        offers: offers(offer, first.seen),
    })
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
    let keys = kinds.into_iter().map(|kind| {
        let of = |talk: &&Talk<'_>| match &talk.question {
            Question::Offer => offer.host_key.first().is_some_and(|first| kind_of(first) == kind),
            Question::HostKey { algorithm } => kind_of(algorithm) == kind,
            Question::Group { .. } | Question::Login => false,
        };
        let talk = talks.iter().find(of);
        let found = talk.and_then(|talk| Some((talk.seen, talk.key()?)));
        match found {
            Some((seen, key)) if key.kind == kind => HostKey {
                name: kind.to_owned(),
                outcome: Outcome::Present,
                why: None,
                bits: key.bits,
                fingerprint: Some(key.fingerprint),
                seen: Some(seen),
            },
            other => HostKey {
                name: kind.to_owned(),
                outcome: Outcome::NotProven,
                why: Some(match (other, talk) {
                    (Some((_, key)), _) => format!("it gave a key of the type '{}' instead", key.kind),
                    (None, Some(talk)) if offer.method().is_none() => {
                        format!("no method of key exchange is offered that is known here ({})", talk.why())
                    }
                    (None, Some(talk)) => talk.why(),
                    (None, None) => "it was not asked for".to_owned(),
                }),
                bits: None,
                fingerprint: None,
                seen: talk.map(|talk| talk.seen),
            },
        }
    });
    HostKeys { asked: Asked::All, keys: keys.collect() }
}

fn groups(offer: Option<&Offer>, talks: &[Talk<'_>]) -> GroupExchange {
    let Some(offer) = offer else { return GroupExchange { asked: Asked::Only(vec![]), groups: vec![] } };
    if group_exchange(offer).is_none() {
        return GroupExchange { asked: Asked::All, groups: vec![] };
    }
    let mut groups = Vec::new();
    for bits in GROUPS {
        let asked = Question::Group { bits };
        let name = bits.map(|bits| bits.to_string()).join("-");
        let Some(talk) = talks.iter().find(|talk| talk.question == asked) else {
            let why = Some("no connection was made for it".to_owned());
            groups.push(Group { name, outcome: Outcome::NotProven, why, bits: None, prime: None, seen: None });
            continue;
        };
        let prime = talk.heard.packet(message::KEX_REPLY).and_then(|p| mpint(string(p.get(1..)?)?.0));
        groups.push(match prime {
            Some((bits, prime)) => Group {
                name,
                outcome: Outcome::Present,
                why: None,
                bits: Some(bits),
                prime: Some(Digest::of(prime)),
                seen: Some(talk.seen),
            },
            None => Group {
                name,
                outcome: if talk.refused() { Outcome::Absent } else { Outcome::NotProven },
                why: Some(talk.why()),
                bits: None,
                prime: None,
                seen: Some(talk.seen),
            },
        });
    }
    GroupExchange { asked: Asked::All, groups }
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
            Some("no key exchange and cipher are offered that are known here (curves; ChaCha20, AES-GCM)".to_owned())
        }
        (None, Some(talk), _) if talk.heard.packet(message::USERAUTH_FAILURE).is_some() => {
            Some(format!("it names no method for {}; others may have some", login::USER))
        }
        (None, Some(talk), _) => Some(talk.why()),
        (None, None, _) => Some("no connection was made for it".to_owned()),
    };
    let methods = |names: Vec<String>| names.into_iter().map(|name| AuthMethod { name, outcome: Outcome::Present });
    Authentication {
        asked: if answer.is_some() { Asked::All } else { Asked::Only(vec![]) },
        outcome: if answer.is_some() { Outcome::Present } else { Outcome::NotProven },
        why,
        user: login::USER.to_owned(),
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
        let exchanges = [exchange(&Question::Offer, vec![], said(&[&empty]))];
        let found =
            facts(&target(), ([192, 0, 2, 1], 22).into(), &exchanges).map(|f| (f.offers.asked, f.strict_kex.outcome));
        assert_eq!(found, Ok((Asked::Only(vec![]), Outcome::NotProven)));
        let usable = Offer {
            kex: vec!["curve25519-sha256".into()],
            host_key: vec!["ssh-ed25519".into()],
            cipher: [vec!["aes256-gcm@openssh.com".into()], vec!["aes256-gcm@openssh.com".into()]],
            ..Offer::default()
        };
        let offer = Side::read(&[b"SSH-2.0-x\r\n", &usable.accept("curve25519-sha256", "ssh-ed25519")[..]].concat());
        let offer = offer.packet(message::KEXINIT).unwrap_or_default();
        let none = [message::USERAUTH_FAILURE, 0, 0, 0, 0, 0];
        let exchanges = [
            exchange(&Question::Offer, vec![], said(&[offer])),
            exchange(&Question::Login, vec![], said(&[offer, &none])),
        ];
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
                Question::Offer,
                Question::HostKey { algorithm: "ssh-rsa".into() },
                Question::Group { bits: GROUPS[0] },
                Question::Login,
            ];
            let of = |question: &Question| {
                let heard = [b"SSH-2.0-x\r\n", &heard[..]].concat();
                exchange(question, [b"SSH-2.0-y\r\n", &sent[..]].concat(), heard)
            };
            let exchanges = [of(&Question::Offer), of(questions.get(which).unwrap_or(&Question::Offer))];
            let found = facts(&target(), ([192, 0, 2, 1], 22).into(), &exchanges);
            prop_assert!(found.is_ok_and(|facts| facts.identification.protocol == "2.0"));
        }
    }
}
