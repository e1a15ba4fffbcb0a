//! TLS 1.3: suites and groups through HelloRetryRequest, signature schemes by what the server can still answer.

use super::older::Spoken;
use super::removal::{Search, Side};
use super::{Answer, Ask, Engine, offers, predict};
use crate::derive::schemes::FLIGHT;
use crate::facts::VersionName;
use crate::handshake::{self, Offer, Signatures};
use crate::hello::Extension;
use crate::registry::scheme;
use crate::reply::Until;
use crate::starttls::Manner;
use crate::trial::Purpose;

/// The base point of Curve25519 (RFC 7748, 4.1): a public value for a handshake that is never finished.
const X25519: (u16, [u8; 32]) = (29, {
    let mut u = [0; 32];
    u[0] = 9;
    u
});
/// The base point of P-256 (NIST SP 800-186, 3.2.1.3), uncompressed.
const P256: (u16, [u8; 65]) = (
    23,
    [
        0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
        0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42,
        0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b,
        0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
    ],
);

/// The hybrid group of browsers.
const X25519MLKEM768: u16 = 0x11ec;
/// Bytes of an encapsulation key of ML-KEM-768 (FIPS 203, table 3).
const MLKEM768_KEY: usize = 1184;

/// What the engine learnt of TLS 1.3.
pub(super) struct Modern {
    pub(super) spoken: Spoken,
    pub(super) groups: Vec<u16>,
}

impl Engine<'_> {
    /// The first hello of TLS 1.3; again with a meaningless key share where an empty list of them seems to be disliked.
    pub(super) async fn first_tls13(&self) -> Answer {
        let mut ask = Ask {
            purpose: Purpose::Suites,
            version: VersionName::Tls13,
            wave: 1,
            hello: offers::version_hello(VersionName::Tls13, self.sni.as_deref()),
            until: Until::Hello,
        };
        let answer = self.ask(ask.clone()).await;
        // decode_error, illegal_parameter, missing_extension, internal_error.
        if !matches!(answer.alert(), Some(50 | 47 | 109 | 80)) {
            return answer;
        }
        ask.hello = offers::tls13(
            self.sni.as_deref(),
            &offers::tls13_suites(),
            &offers::all_groups(),
            &offers::all_schemes(),
            true,
        );
        ask.wave = answer.next;
        let again = self.ask(ask).await;
        if again.chosen().is_some() {
            self.grease.store(true, std::sync::atomic::Ordering::Relaxed);
            return again;
        }
        answer
    }

    fn tls13(&self, suites: &[u16], groups: &[u16]) -> crate::hello::Hello {
        let grease = self.grease.load(std::sync::atomic::Ordering::Relaxed);
        offers::tls13(self.sni.as_deref(), suites, groups, &offers::all_schemes(), grease)
    }

    /// A hello with all groups but the few that nearly every server has: how long will the search be?
    pub(super) async fn other_groups(&self) -> Answer {
        let hello = self.tls13(&offers::tls13_suites(), &other_groups());
        let (purpose, version) = (Purpose::Groups, VersionName::Tls13);
        self.ask(Ask { purpose, version, wave: 1, hello, until: Until::Hello }).await
    }

    /// Suites and groups, after the answers to the first hello and to [`Engine::other_groups`].
    pub(super) async fn tls13_version(&self, first: &Answer, others: &Answer) -> Option<Modern> {
        let hello = first.chosen().filter(|_| first.version() == Some(VersionName::Tls13))?;
        let mut suites = Side::new(offers::tls13_suites(), &predict::suites13);
        let mut groups = Side::new(offers::all_groups(), &predict::groups);
        suites.begin(Some(hello.suite));
        groups.begin(hello.group);
        let other = others.chosen().and_then(|hello| hello.group);
        groups.learn(&other_groups(), None, others.refused());
        if let (Some(first), Some(other)) = (hello.group, other) {
            // By its own order, as far as that is seen; else by ours.
            let open = groups.open.clone();
            let likely = match predict::groups(first, &open) {
                likely if likely.contains(&other) => likely,
                _ => predict::groups(other, &open),
            };
            groups.expect(&likely);
        } else if let Some(first) = hello.group {
            let likely = predict::groups(first, &groups.open.clone());
            groups.expect(&likely);
        }
        let search = Search {
            purpose: Purpose::Groups,
            version: VersionName::Tls13,
            until: Until::Hello,
            hello: &|suites: &[u16], groups: &[u16]| self.tls13(suites, groups),
            read: |trial| trial.chosen().map_or((None, None), |hello| (Some(hello.suite), hello.group)),
        };
        let wave = self.search(&search, first.next, &mut suites, &mut groups).await;
        let offered = offers::tls13_suites();
        suites.found.sort_by_key(|id| offered.iter().position(|o| o == id));
        let spoken = Spoken { version: VersionName::Tls13, suites: suites.found, wave };
        Some(Modern { spoken, groups: groups.found })
    }

    /// What is chosen when shares of X25519 come along, with and without one of X25519MLKEM768, where ML-KEM is accepted.
    pub(super) async fn shares(&self, modern: &Modern) -> u32 {
        let wave = modern.spoken.wave;
        let quantum = |id: &u16| crate::registry::group(*id).is_some_and(crate::registry::GroupInfo::post_quantum);
        if !modern.groups.iter().any(quantum) {
            return wave;
        }
        let x25519 = (X25519.0, X25519.1.to_vec());
        // An encapsulation key may be any polynomials (FIPS 203, 7.2), zero ones too; the share is ML-KEM's first.
        let both = (X25519MLKEM768, [vec![0; MLKEM768_KEY], X25519.1.to_vec()].concat());
        let groups = [X25519MLKEM768, 0x11eb, 0x11ed, X25519.0, P256.0, 0x0018];
        let asks = [vec![both, x25519.clone()], vec![x25519]].map(|sent| {
            let mut hello = self.tls13(&offers::tls13_suites(), &groups);
            for extension in &mut hello.extensions {
                if let Extension::KeyShare(shares) = extension {
                    shares.clone_from(&sent);
                }
            }
            Ask { purpose: Purpose::Shares, version: VersionName::Tls13, wave, hello, until: Until::Hello }
        });
        self.ask_all(asks.into()).await;
        wave + 1
    }

    /// Whose order decides among the suites.
    pub(super) async fn order13(&self, modern: &Modern) -> u32 {
        let hello = |suites: &[u16]| self.tls13(suites, &modern.groups);
        let wave = self.order(VersionName::Tls13, &modern.spoken.suites, hello, modern.spoken.wave).await;
        self.chacha(VersionName::Tls13, hello, wave).await
    }

    /// Full handshakes: what TLS 1.3 says under encryption. Gives the scheme that the server signed with.
    pub(super) async fn full(&self, sni: Option<&str>, signatures: Signatures) -> Option<u16> {
        let offer = Offer {
            sni: sni.map(str::to_owned),
            versions: vec![VersionName::Tls13],
            alpn: vec!["h2".into(), "http/1.1".into()],
            signatures,
            starttls: self.starttls,
            manner: Manner::Short,
            to_the_end: false,
        };
        // A handshake is retried as any other question is, unless the server refused it.
        for _ in 0..2 {
            match handshake::full(self.cx, self.address, &offer).await {
                Ok((_, seen)) => return seen.signature_scheme,
                Err(unseen) if unseen.alert.is_some() || self.cx.remaining() < self.cx.patience() => return None,
                Err(_) => {}
            }
        }
        None
    }

    /// Signature schemes. A server that can sign with none of those offered refuses before its ServerHello, or sends an
    /// alert instead of a certificate behind it. `group` is one that it accepts, `signed` are schemes that it signed with,
    /// of which `known` in a full handshake of this version.
    pub(super) async fn schemes(&self, group: u16, signed: &[u16], known: Option<u16>, wave: u32) -> u32 {
        let Some(share) = share(group) else { return wave };
        let ask = |schemes: &[u16], wave| {
            let suites = offers::tls13_suites();
            let mut hello = offers::tls13(self.sni.as_deref(), &suites, &[share.0], schemes, false);
            for extension in &mut hello.extensions {
                if let Extension::KeyShare(shares) = extension {
                    *shares = vec![share.clone()];
                }
            }
            Ask { purpose: Purpose::Schemes, version: VersionName::Tls13, wave, hello, until: Until::Done }
        };
        // The families that signed elsewhere one by one, the rest as one offer that is likely to be refused.
        let mut families: Vec<&str> = signed.iter().copied().chain(known).map(family_of_key).collect();
        families.retain(|family| *family != "none");
        families.sort_unstable();
        families.dedup();
        let (ours, rest): (Vec<u16>, Vec<u16>) =
            offers::all_schemes().into_iter().partition(|id| families.contains(&family(*id)));
        let mut sets: Vec<Vec<u16>> = ours.iter().filter(|id| Some(**id) != known).map(|id| vec![*id]).collect();
        // The positive control of all refusals.
        sets.push(offers::all_schemes());
        sets.push(rest);
        let mut wave = wave;
        let mut first = true;
        while !sets.is_empty() {
            let answers = self.ask_all(sets.iter().map(|set| ask(set, wave)).collect()).await;
            wave = answers.iter().map(|answer| answer.next).max().unwrap_or(wave);
            let mut next = Vec::new();
            for (set, answer) in sets.iter().zip(&answers) {
                let signs = answer.trial.as_ref().is_some_and(|t| t.chosen().is_some() && t.reply.encrypted >= FLIGHT);
                if signs && set.len() > 1 && !(first && set.len() == offers::all_schemes().len()) {
                    next.extend(split(set));
                }
            }
            first = false;
            sets = next;
        }
        wave
    }
}

/// A public value of a group for a handshake that is never finished.
pub(super) fn share(group: u16) -> Option<(u16, Vec<u8>)> {
    match group {
        group if group == X25519.0 => Some((group, X25519.1.to_vec())),
        group if group == P256.0 => Some((group, P256.1.to_vec())),
        _ => None,
    }
}

fn other_groups() -> Vec<u16> {
    let mut groups = offers::all_groups();
    groups.retain(|id| !predict::FEW_GROUPS.contains(id));
    groups
}

/// A set of schemes by families; a single family one by one.
fn split(set: &[u16]) -> Vec<Vec<u16>> {
    let mut families: Vec<Vec<u16>> = Vec::new();
    for id in set {
        match families.iter_mut().find(|f| f.first().is_some_and(|first| family(*first) == family(*id))) {
            Some(family) => family.push(*id),
            None => families.push(vec![*id]),
        }
    }
    if families.len() == 1 { set.iter().map(|id| vec![*id]).collect() } else { families }
}

/// Schemes of one sort of key that TLS 1.3 knows; all others are one family.
fn family(id: u16) -> &'static str {
    let Some(info) = scheme(id).filter(|info| info.in_tls13()) else { return "none" };
    ["rsa_pss_rsae", "rsa_pss_pss", "ecdsa_brainpool", "ecdsa", "ed", "mldsa", "sm2", "gost"]
        .into_iter()
        .find(|family| info.name.starts_with(family))
        .unwrap_or("none")
}

/// The family of TLS 1.3 for a key that signed with this.
fn family_of_key(id: u16) -> &'static str {
    match scheme(id).map_or("", |info| info.name) {
        name if name.starts_with("rsa_pkcs1") => "rsa_pss_rsae",
        name if name.starts_with("ecdsa") => "ecdsa",
        _ => family(id),
    }
}
