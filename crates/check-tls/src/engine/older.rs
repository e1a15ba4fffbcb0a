//! TLS 1.2 and older: suites, whose order decides, curves and signature schemes, primes.

use futures::future::{join, join_all, join3};

use super::removal::{Search, Side};
use super::{Answer, Ask, Engine, offers, predict};
use crate::facts::VersionName;
use crate::hello::{Extension, Hello};
use crate::registry::{Parts, ffdhe_of_prime, suite_parts};
use crate::reply::{KeyExchange, Until};
use crate::trial::{Purpose, Trial};

/// `arbitrary_explicit_prime_curves` and `arbitrary_explicit_char2_curves`.
const EXPLICIT: [u16; 2] = [0xff01, 0xff02];

/// The RFC 7919 group with 2048 bits.
const FFDHE2048: u16 = 0x0100;

/// What the engine learnt of the key exchange in one version.
pub(super) struct Exchanged {
    /// Groups accepted, in the order in which they were chosen.
    pub(super) groups: Vec<u16>,
    /// The wave after all of it.
    pub(super) wave: u32,
}

/// What the engine learnt of one version.
#[derive(Clone, Debug)]
pub(super) struct Spoken {
    pub(super) version: VersionName,
    /// Suites accepted, in the order of the offer.
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

/// Whether the key of a certificate signs the key exchange.
fn signed(parts: &Parts) -> bool {
    !parts.authentication.contains("PSK") && parts.authentication != "anon"
}

/// Suites of the first hello of a version whose parts fulfil a condition.
fn offered(version: VersionName, wanted: impl Fn(&Parts) -> bool) -> Vec<u16> {
    let mut suites = offers::chunks(version).into_iter().next().unwrap_or_default();
    suites.retain(|id| suite_parts(*id).is_some_and(|parts| wanted(&parts)));
    suites
}

impl Engine<'_> {
    pub(super) fn older(&self, version: VersionName, suites: &[u16]) -> Hello {
        offers::older(version, self.sni.as_deref(), suites, &offers::curves(), &offers::all_schemes())
    }

    /// The suites of a version, after the answer to its first hello. `likely` are those that it will choose, in order,
    /// where that is known from another version.
    pub(super) async fn suites(&self, version: VersionName, first: &Answer, likely: &[u16]) -> Option<Spoken> {
        let lower = first.version().is_some_and(|chosen| chosen != version);
        // One word on the version is a word on all its suites.
        if lower || first.alert() == Some(PROTOCOL_VERSION) || !(first.refused() || first.chosen().is_some()) {
            return None;
        }
        let guess = |chosen: u16, open: &[u16]| predict::suites(version, chosen, open);
        let searches = offers::chunks(version).into_iter().enumerate().map(|(position, chunk)| async move {
            let mut side = Side::new(chunk, &guess);
            if position == 0 {
                if first.refused() {
                    return (Vec::new(), first.next);
                }
                side.begin(first.chosen().map(|hello| hello.suite));
            }
            if !likely.is_empty() {
                side.expect(likely);
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
        let mut suites: Vec<u16> = found.into_iter().flat_map(|(suites, _)| suites).collect();
        suites.sort_by_key(|id| offers::place(*id));
        (!suites.is_empty()).then_some(Spoken { version, suites, wave })
    }

    /// What depends on the suites of a version: order, primes, and curves where they were not asked for yet.
    pub(super) async fn with_suites(&self, spoken: &Spoken) -> u32 {
        let version = spoken.version;
        let order = async {
            let hello = |suites: &[u16]| self.older(version, suites);
            let wave = self.order(version, &spoken.suites, hello, spoken.wave).await;
            if version >= VersionName::Tls12 { self.chacha(version, hello, wave).await } else { wave }
        };
        let primes = async { if version == VersionName::Ssl3 { spoken.wave } else { self.primes(spoken).await } };
        let cbc =
            async { if version == VersionName::Ssl3 { spoken.wave } else { self.encrypt_then_mac(spoken).await } };
        let (a, b, c) = join3(order, primes, cbc).await;
        a.max(b).max(c)
    }

    /// Curves, and in TLS 1.2 signature schemes: of all suites with ECDHE that a version may have, so that it need not be
    /// known which it has. `first` is the answer to the version's first hello.
    pub(super) async fn key_exchange(&self, version: VersionName, first: &Answer, likely: &[u16]) -> Exchanged {
        let ecdhe = offered(version, |p| p.key_exchange == "ECDHE" && signed(p));
        let known = first.trial.as_ref().filter(|trial| trial.version() == Some(version)).map(scheme_and_group);
        self.key_exchange_of(version, ecdhe, true, known, likely, first.next).await
    }

    /// The same where no suite with ECDHE signs: those with DHE show the schemes of TLS 1.2, anonymous ones the curves.
    pub(super) async fn other_key_exchange(&self, spoken: &Spoken, wave: u32) -> u32 {
        let fields = spoken.with(|p| p.key_exchange == "DHE" && signed(p));
        let anonymous = spoken.with(|p| p.key_exchange == "ECDH" && p.authentication == "anon");
        let tls12 = spoken.version == VersionName::Tls12;
        let first = async {
            if fields.is_empty() || !tls12 {
                return wave;
            }
            self.key_exchange_of(spoken.version, fields, false, None, &[], wave).await.wave
        };
        let second = async {
            if anonymous.is_empty() {
                return wave;
            }
            self.key_exchange_of(spoken.version, anonymous, true, None, &[], wave).await.wave
        };
        let (a, b) = join(first, second).await;
        a.max(b)
    }

    async fn key_exchange_of(
        &self,
        version: VersionName,
        suites: Vec<u16>,
        with_curves: bool,
        known: Option<(Option<u16>, Option<u16>)>,
        likely: &[u16],
        wave: u32,
    ) -> Exchanged {
        let signs = suites.iter().any(|id| suite_parts(*id).is_some_and(|p| signed(&p)));
        let mut schemes = if version == VersionName::Tls12 && signs {
            Side::new(offers::all_schemes(), &predict::schemes)
        } else {
            Side::fixed(offers::all_schemes())
        };
        let mut groups =
            if with_curves { Side::new(offers::curves(), &predict::groups) } else { Side::fixed(offers::curves()) };
        if let Some((scheme, group)) = known {
            schemes.begin(scheme);
            groups.begin(group);
        }
        if !likely.is_empty() && groups.found.is_empty() {
            groups.expect(likely);
        }
        let hello =
            |schemes: &[u16], groups: &[u16]| offers::older(version, self.sni.as_deref(), &suites, groups, schemes);
        let search = Search {
            purpose: Purpose::KeyExchange,
            version,
            until: Until::KeyExchange,
            hello: &hello,
            read: scheme_and_group,
        };
        let mut wave = self.search(&search, wave, &mut schemes, &mut groups).await;
        // Without the curve of an ECDSA key the key can't be used (RFC 8422, section 4): the rest is asked once more
        // with the accepted curves behind it.
        let ecdsa =
            schemes.found.iter().any(|id| crate::registry::scheme(*id).is_some_and(|s| s.name.starts_with("ecdsa")));
        let ecdsa = ecdsa || (version < VersionName::Tls12 && with_curves);
        if ecdsa && !groups.found.is_empty() {
            let mut rest = offers::curves();
            rest.retain(|id| !groups.found.contains(id));
            loop {
                let hello = hello(&offers::all_schemes(), &[rest.as_slice(), &groups.found].concat());
                let ask = Ask { purpose: Purpose::KeyExchange, version, wave, hello, until: Until::KeyExchange };
                let answer = self.ask(ask).await;
                wave = answer.next;
                let group = answer.trial.as_ref().and_then(|trial| scheme_and_group(trial).1);
                let Some(group) = group.filter(|group| rest.contains(group)) else { break };
                rest.retain(|id| *id != group);
                groups.found.push(group);
            }
        }
        Exchanged { groups: groups.found, wave }
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
            // Most have one prime, that of 2048 bits, whatever is offered.
            let mut groups = Side::new(offers::finite_fields(), &|_, _| Vec::new());
            groups.expect(&[FFDHE2048]);
            let search = Search {
                purpose: Purpose::Dhe,
                version,
                until: Until::KeyExchange,
                hello: &|groups: &[u16], _: &[u16]| {
                    offers::older(version, self.sni.as_deref(), &plain, groups, &offers::all_schemes())
                },
                read: |trial| (prime_group(trial), None),
            };
            self.search(&search, wave, &mut groups, &mut Side::fixed(vec![])).await
        };
        let (own, named) = join(own, named).await;
        own.into_iter().max().unwrap_or(spoken.wave).max(named)
    }

    /// Encrypt-then-MAC wherever a CBC suite is accepted.
    async fn encrypt_then_mac(&self, spoken: &Spoken) -> u32 {
        let cbc = spoken.with(|p| p.encryption.contains("_CBC"));
        if cbc.is_empty() {
            return spoken.wave;
        }
        let mut hello = self.older(spoken.version, &cbc);
        hello.extensions.insert(0, Extension::EncryptThenMac);
        let (purpose, version) = (Purpose::EncryptThenMac, spoken.version);
        self.ask(Ask { purpose, version, wave: spoken.wave, hello, until: Until::Hello }).await.next
    }

    /// Curves that the server describes by their numbers (RFC 4492, 5.1.1).
    pub(super) async fn explicit(&self, version: VersionName, wave: u32) {
        let suites = offered(version, |p| p.key_exchange == "ECDHE" && signed(p));
        // Named ones behind them, so that who has no others can answer.
        let groups = [&EXPLICIT[..], &[0x0017, 0x0018, 0x0019, 0x001d]].concat();
        let hello = offers::older(version, self.sni.as_deref(), &suites, &groups, &offers::all_schemes());
        self.ask(Ask { purpose: Purpose::Explicit, version, wave, hello, until: Until::KeyExchange }).await;
    }

    /// Behaviours that one hello each shows, at the newest of the older versions. Application protocols only where no
    /// full handshake shows them.
    pub(super) async fn behaviours(&self, version: VersionName, wave: u32, alpn: bool) {
        let plain = offers::version_hello(version, self.sni.as_deref());
        let ask = |purpose, hello| Ask { purpose, version, wave, hello, until: Until::Hello };
        let mut compression = plain.clone();
        compression.compression = vec![1, 0];
        let mut asks = vec![ask(Purpose::Compression, compression)];
        if version != VersionName::Ssl3 && alpn {
            let mut alpn = plain;
            alpn.extensions.insert(0, Extension::Alpn(vec!["h2".into(), "http/1.1".into()]));
            asks.push(ask(Purpose::Alpn, alpn));
        }
        self.ask_all(asks).await;
    }

    /// A hello of the second best version that says that it is a fallback (RFC 7507).
    pub(super) async fn fallback(&self, lower: VersionName, wave: u32) {
        let mut hello = offers::version_hello(lower, self.sni.as_deref());
        hello.suites.push(crate::registry::FALLBACK_SCSV);
        self.ask(Ask { purpose: Purpose::Fallback, version: lower, wave, hello, until: Until::Hello }).await;
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
        Some(KeyExchange::Ecdhe { group, scheme, .. }) => (*scheme, Some(*group)),
        Some(KeyExchange::Dhe { scheme, .. }) => (*scheme, None),
        _ => (None, None),
    }
}

/// The curve of an answer.
pub(super) fn group(trial: &Trial) -> Option<u16> {
    scheme_and_group(trial).1
}

/// The RFC 7919 group whose prime was used.
fn prime_group(trial: &Trial) -> Option<u16> {
    match &trial.reply.key_exchange {
        Some(KeyExchange::Dhe { prime, .. }) => ffdhe_of_prime(&model::Digest::of(prime)),
        _ => None,
    }
}
