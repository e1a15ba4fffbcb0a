//! TLS 1.2 and older: suites, whose order decides, curves and signature schemes, primes.

use futures::future::{join, join_all};

use super::chain::{Search, Side};
use super::{Answer, Ask, Engine, offers};
use crate::facts::VersionName;
use crate::hello::{Extension, Hello};
use crate::registry::{Parts, ffdhe_of_prime, suite_parts};
use crate::reply::{KeyExchange, Until};
use crate::trial::{Purpose, Trial};

/// What the engine learnt of one version.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    pub(super) version: VersionName,
    /// Suites accepted, as found.
    pub(super) suites: Vec<u16>,
    /// The wave after all of it.
    pub(super) wave: u32,
}

impl Spoken {
    fn with(&self, wanted: impl Fn(&Parts) -> bool) -> Vec<u16> {
        let fits = |id: &u16| suite_parts(*id).is_some_and(|parts| wanted(&parts));
        self.suites.iter().copied().filter(fits).collect()
    }
}

/// Alert `protocol_version`.
const PROTOCOL_VERSION: u8 = 70;

impl Engine<'_> {
    fn older(&self, version: VersionName, suites: &[u16]) -> Hello {
        offers::older(version, self.sni.as_deref(), suites, &offers::curves(), &offers::all_schemes())
    }

    /// All of a version, after the answer to its first hello.
    pub(super) async fn older_version(&self, version: VersionName, first: &Answer) -> Option<Spoken> {
        let mut chunks = offers::chunks(version).into_iter();
        let first_chunk = chunks.next()?;
        let lower = first.version().is_some_and(|chosen| chosen != version);
        // One word on the version is a word on all its suites.
        if lower || first.alert() == Some(PROTOCOL_VERSION) || !(first.refused() || first.chosen().is_some()) {
            return None;
        }
        let searches = std::iter::once(first_chunk).chain(chunks).enumerate().map(|(position, chunk)| async move {
            let mut side = Side::new(chunk);
            if position == 0 {
                if first.refused() {
                    return (Vec::new(), first.next);
                }
                side.take(first.chosen().map(|hello| hello.suite));
            }
            let hello = |suites: &[u16], _: &[u16]| self.older(version, suites);
            let search = Search {
                purpose: Purpose::Suites,
                version,
                until: Until::Hello,
                hello: &hello,
                read: |trial| (trial.chosen().map(|hello| hello.suite), None),
            };
            let wave = self.search(&search, first.next, &mut side, &mut Side::fixed(vec![])).await;
            (side.found, wave)
        });
        let found = join_all(searches).await;
        let wave = found.iter().map(|(_, wave)| *wave).max().unwrap_or(first.next);
        let common = found.first().map(|(suites, _)| suites.clone()).unwrap_or_default();
        let suites: Vec<u16> = found.into_iter().flat_map(|(suites, _)| suites).collect();
        if suites.is_empty() {
            return None;
        }
        let spoken = Spoken { version, suites, wave };
        let primes = async { if version == VersionName::Ssl3 { wave } else { self.primes(&spoken).await } };
        let key_exchange = async { if version == VersionName::Ssl3 { wave } else { self.key_exchange(&spoken).await } };
        let ((a, b), c) = join(join(key_exchange, primes), self.order(&spoken, &common)).await;
        Some(Spoken { wave: a.max(b).max(c), ..spoken })
    }

    async fn order(&self, spoken: &Spoken, common: &[u16]) -> u32 {
        let ask = |suites: &[u16], wave| Ask {
            purpose: Purpose::Order,
            version: spoken.version,
            wave,
            hello: self.older(spoken.version, suites),
            until: Until::Hello,
        };
        let mut wave = spoken.wave;
        let Some(offered) = offers::chunks(spoken.version).into_iter().next() else { return wave };
        let position = |id: &u16| offered.iter().position(|o| o == id);
        let as_offered = common.is_sorted_by_key(position);
        let mut by_server = !as_offered;
        let mut suites = spoken.suites.clone();
        if suites.len() > 1 && as_offered {
            // The choices followed our list: now the other way round.
            suites.reverse();
            let answer = self.ask(ask(&suites, wave)).await;
            wave = answer.next;
            by_server = answer.chosen().is_some_and(|hello| suites.first() != Some(&hello.suite));
        }
        // Suites found in different hellos never stood side by side.
        while by_server && common.len() < spoken.suites.len() && suites.len() > 1 {
            let answer = self.ask(ask(&suites, wave)).await;
            wave = answer.next;
            let Some(chosen) = answer.chosen().map(|hello| hello.suite) else { break };
            suites.retain(|id| *id != chosen);
        }
        wave
    }

    /// Curves, and in TLS 1.2 signature schemes.
    async fn key_exchange(&self, spoken: &Spoken) -> u32 {
        let version = spoken.version;
        let signed = |p: &Parts| !p.authentication.contains("PSK") && p.authentication != "anon";
        let curves = spoken.with(|p| p.key_exchange == "ECDHE" && signed(p));
        let fields = spoken.with(|p| p.key_exchange == "DHE" && signed(p));
        let anonymous = spoken.with(|p| p.key_exchange == "ECDH" && p.authentication == "anon");
        let tls12 = version == VersionName::Tls12;
        let (suites, with_curves) = match (curves.is_empty(), fields.is_empty()) {
            (false, _) => (curves, true),
            (true, false) if tls12 => (fields, false),
            _ if !anonymous.is_empty() => (anonymous, true),
            _ => return spoken.wave,
        };
        let signed = suites.iter().any(|id| suite_parts(*id).is_some_and(|p| signed(&p)));
        let mut schemes =
            if tls12 && signed { Side::new(offers::all_schemes()) } else { Side::fixed(offers::all_schemes()) };
        let mut groups = if with_curves { Side::new(offers::curves()) } else { Side::fixed(offers::curves()) };
        let hello =
            |schemes: &[u16], groups: &[u16]| offers::older(version, self.sni.as_deref(), &suites, groups, schemes);
        let search = Search {
            purpose: Purpose::KeyExchange,
            version,
            until: Until::KeyExchange,
            hello: &hello,
            read: scheme_and_group,
        };
        let wave = self.search(&search, spoken.wave, &mut schemes, &mut groups).await;
        // Without the curve of an ECDSA key the key can't be used (RFC 8422, section 4): the rest is asked once more
        // with the accepted curves behind it.
        let ecdsa = suites.iter().any(|id| suite_parts(*id).is_some_and(|p| p.authentication == "ECDSA"));
        if ecdsa && !groups.left.is_empty() && !groups.found.is_empty() {
            let mut again = Side::new([groups.left.as_slice(), &groups.found].concat());
            let mut known = Side::fixed(offers::all_schemes());
            loop {
                let hello = hello(&known.found, &again.left);
                let ask = Ask { purpose: Purpose::KeyExchange, version, wave, hello, until: Until::KeyExchange };
                let answer = self.ask(ask).await;
                let group = answer.trial.as_ref().and_then(|trial| scheme_and_group(trial).1);
                if group.is_none_or(|group| groups.found.contains(&group)) || !again.take(group) {
                    return answer.next;
                }
                known.spent = true;
            }
        }
        wave
    }

    /// Primes: with and without the groups of RFC 7919, and those of export suites.
    async fn primes(&self, spoken: &Spoken) -> u32 {
        let version = spoken.version;
        let schemes = offers::all_schemes();
        let ask = |suites: &[u16], groups: &[u16], wave| Ask {
            purpose: Purpose::Dhe,
            version,
            wave,
            hello: offers::older(version, self.sni.as_deref(), suites, groups, &schemes),
            until: Until::KeyExchange,
        };
        let plain = spoken.with(|p| p.key_exchange == "DHE" && !p.export);
        let export = spoken.with(|p| p.key_exchange == "DHE" && p.export);
        let anonymous = spoken.with(|p| p.key_exchange == "DH" && p.authentication == "anon");
        let own = join_all(
            [plain.clone(), export, anonymous]
                .into_iter()
                .filter(|suites| !suites.is_empty())
                .map(|suites| async move { self.ask(ask(&suites, &offers::curves(), spoken.wave)).await.next }),
        );
        let named = async {
            let mut wave = spoken.wave;
            if plain.is_empty() {
                // Some servers do DHE only where its groups are named.
                let mut suites: Vec<u16> = offers::chunks(version).into_iter().next().unwrap_or_default();
                suites.retain(|id| suite_parts(*id).is_some_and(|p| p.key_exchange == "DHE"));
                loop {
                    let answer = self.ask(ask(&suites, &offers::finite_fields(), wave)).await;
                    wave = answer.next;
                    let before = suites.len();
                    suites.retain(|id| Some(*id) != answer.chosen().map(|hello| hello.suite));
                    if suites.len() == before || suites.is_empty() {
                        return wave;
                    }
                }
            }
            let mut groups = offers::finite_fields();
            while !groups.is_empty() {
                let answer = self.ask(ask(&plain, &groups, wave)).await;
                wave = answer.next;
                let chosen = answer.trial.as_ref().and_then(prime_group);
                let before = groups.len();
                groups.retain(|group| Some(*group) != chosen);
                if groups.len() == before {
                    break;
                }
            }
            wave
        };
        let (own, named) = join(own, named).await;
        own.into_iter().max().unwrap_or(spoken.wave).max(named)
    }

    /// Behaviours that one hello each shows, at the newest of the older versions; and Encrypt-then-MAC wherever a CBC
    /// suite is accepted. Application protocols only where no full handshake showed them.
    pub(super) async fn behaviours(&self, spoken: &Spoken, wave: u32, alpn: bool) -> u32 {
        let cbc = spoken.with(|p| p.encryption.contains("_CBC"));
        let mut asks = Vec::new();
        let mut add = |purpose, hello| {
            asks.push(Ask { purpose, version: spoken.version, wave, hello, until: Until::Hello });
        };
        let suites: Vec<u16> = spoken.suites.iter().copied().take(crate::hello::MOST_SUITES).collect();
        let mut compression = self.older(spoken.version, &suites);
        compression.compression = vec![1, 0];
        add(Purpose::Compression, compression);
        if spoken.version != VersionName::Ssl3 {
            if alpn {
                let mut alpn = self.older(spoken.version, &suites);
                alpn.extensions.insert(0, Extension::Alpn(vec!["h2".into(), "http/1.1".into()]));
                add(Purpose::Alpn, alpn);
            }
            if !cbc.is_empty() {
                let mut mac = self.older(spoken.version, &cbc);
                mac.extensions.insert(0, Extension::EncryptThenMac);
                add(Purpose::EncryptThenMac, mac);
            }
        }
        join_all(asks.into_iter().map(|ask| self.ask(ask))).await.iter().map(|answer| answer.next).max().unwrap_or(wave)
    }

    /// A hello of the second best version that says that it is a fallback (RFC 7507).
    pub(super) async fn fallback(&self, lower: &Spoken, wave: u32) -> u32 {
        let suites: Vec<u16> = lower.suites.iter().copied().take(crate::hello::MOST_SUITES).collect();
        let mut hello = self.older(lower.version, &suites);
        hello.suites.push(crate::registry::FALLBACK_SCSV);
        let ask = Ask { purpose: Purpose::Fallback, version: lower.version, wave, hello, until: Until::Hello };
        self.ask(ask).await.next
    }

    /// A hello that reads the whole chain, with a stapled OCSP response.
    pub(super) fn chain_ask(&self, purpose: Purpose, version: VersionName, sni: Option<&str>, wave: u32) -> Ask {
        let suites = offers::chunks(version).into_iter().next().unwrap_or_default();
        let mut hello = offers::older(version, sni, &suites, &offers::curves(), &offers::all_schemes());
        if version != VersionName::Ssl3 {
            hello.extensions.insert(0, Extension::StatusRequest);
        }
        Ask { purpose, version, wave, hello, until: Until::Done }
    }
}

fn scheme_and_group(trial: &Trial) -> (Option<u16>, Option<u16>) {
    match &trial.reply.key_exchange {
        Some(KeyExchange::Ecdhe { group, scheme }) => (*scheme, Some(*group)),
        Some(KeyExchange::Dhe { scheme, .. }) => (*scheme, None),
        _ => (None, None),
    }
}

/// The RFC 7919 group whose prime was used.
fn prime_group(trial: &Trial) -> Option<u16> {
    match &trial.reply.key_exchange {
        Some(KeyExchange::Dhe { prime, .. }) => ffdhe_of_prime(&model::Digest::of(prime)),
        _ => None,
    }
}
