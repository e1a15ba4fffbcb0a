//! The order of questions.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures::future::{join, join_all, join3};
use probe::Cx;
use tokio::time::Instant;

use super::older::Spoken;
use super::tls13::share;
use super::{Answer, Ask, Engine, offers, predict};
use crate::derive::record::Record;
use crate::derive::versions::standing;
use crate::facts::{Order, VersionName};
use crate::handshake::{self, Offer, Signatures};
use crate::hello::Hello;
use crate::reply::Until;
use crate::starttls::Manner;
use crate::target::TlsSpec;
use crate::trial::Purpose;

/// TLS 1.2 and older, newest first.
const OLDER: [VersionName; 4] = [VersionName::Tls12, VersionName::Tls11, VersionName::Tls10, VersionName::Ssl3];

/// Attempts at SSL 2.0 with a server that does not answer its canary either.
const MOST_SSL2: u32 = 6;

/// Asks a server everything.
pub(crate) async fn run(cx: &Cx, spec: &TlsSpec, address: SocketAddr) {
    let sni = spec.sni.first().cloned().flatten();
    let engine = Engine::new(cx, address, sni, spec.starttls);
    let first = join_all(OLDER.map(|version| engine.first(version)));
    let modern = join(engine.first_tls13(), engine.other_groups());
    let (first, (first13, others), _) = join3(first, modern, engine.of_the_time()).await;
    if !first.iter().chain([&first13]).any(speaks_tls) {
        // Who speaks SSL 2.0 alone ends the connection on any other hello.
        if first.iter().all(Answer::refused) {
            engine.ssl2(first13.next).await;
        }
        return;
    }
    engine.choose_canary(&first, &first13);
    let modern = first13.version() == Some(VersionName::Tls13);
    let mut spoken: Vec<VersionName> = first.iter().filter_map(Answer::version).collect();
    spoken.extend(first13.version());
    spoken.sort_unstable_by_key(|version| std::cmp::Reverse(*version));
    spoken.dedup();
    let newest = spoken.iter().copied().find(|version| *version != VersionName::Tls13);

    let sides = async {
        let behaviours = async {
            if let Some(version) = newest {
                let explicit = async {
                    if version != VersionName::Ssl3 {
                        engine.explicit(version, 2).await;
                    }
                };
                join(engine.behaviours(version, 2, !modern), explicit).await;
            }
        };
        let fallback = async {
            if let Some(lower) = spoken.get(1) {
                engine.fallback(*lower, 2).await;
            }
        };
        // Who speaks TLS 1.3 has not died of SSL 2.0 for long.
        let ssl2 = async {
            if modern {
                engine.ssl2(2).await;
            }
        };
        let names = engine.names(spec, newest, modern, 2);
        let names = join(names, engine.injection());
        join(join3(behaviours, fallback, ssl2), join(names, engine.send_canary(2))).await;
    };
    let ((all, known), _) = join(engine.versions(&first, &first13, &others), sides).await;
    let wave = all.iter().map(|s| s.wave).max().unwrap_or(2);
    let canary = async {
        if modern {
            engine.send_canary(wave).await;
        }
    };
    join3(engine.controls(&all, wave), engine.other_chains(known), canary).await;
    engine.again(wave + 1).await;
    if !modern {
        // Old stacks have died of it, so that it comes last, and the canary tells whether the server is still well.
        engine.ssl2(wave + 2).await;
        engine.send_canary(wave + 3).await;
    }
}

/// Whether an answer is TLS at all.
fn speaks_tls(answer: &Answer) -> bool {
    answer.trial.as_ref().is_some_and(|t| t.reply.hello.is_some() || t.reply.alert.is_some())
}

impl Engine<'_> {
    async fn first(&self, version: VersionName) -> Answer {
        let hello = offers::version_hello(version, self.sni.as_deref());
        self.ask(Ask { purpose: Purpose::Suites, version, wave: 1, hello, until: Until::KeyExchange }).await
    }

    /// Suites, groups, schemes and order of every version that is spoken. Newer versions tell what older ones will choose.
    async fn versions(&self, first: &[Answer], first13: &Answer, others: &Answer) -> (Vec<Spoken>, Option<u16>) {
        let [first12, older @ ..] = first else { return (Vec::new(), None) };
        let suites12 = self.suites(VersionName::Tls12, first12, &[]);
        let key_exchange12 = async {
            let speaks = first12.version() == Some(VersionName::Tls12);
            let modern = first13.version() == Some(VersionName::Tls13);
            let likely = if modern { predict::groups12(others.chosen().is_some()) } else { Vec::new() };
            if speaks { Some(self.key_exchange(VersionName::Tls12, first12, &likely).await) } else { None }
        };
        let full = async {
            let modern = first13.version() == Some(VersionName::Tls13);
            if modern { self.full(self.sni.as_deref(), Signatures::Any).await } else { None }
        };
        let modern = join(self.tls13_version(first13, others), full);
        // What TLS 1.2 signed with tells what TLS 1.3 will, and its first answer which key share is good.
        let signed12: Vec<u16> = first12.scheme().into_iter().collect();
        let group = first13.chosen().and_then(|hello| hello.group).filter(|group| share(*group).is_some());
        let early = group.filter(|_| !signed12.is_empty());
        let schemes = async {
            if let Some(group) = early {
                self.schemes(group, &signed12, None, 2).await;
            }
        };
        let modern = join(modern, schemes);
        let (suites12, key_exchange12, ((modern, known), ())) = join3(suites12, key_exchange12, modern).await;

        let schemes = async {
            let Some(modern) = modern.as_ref().filter(|_| early.is_none()) else { return };
            let record = Record::new(&self.cx.exchanges());
            let signed = record.entries.iter().filter_map(|e| e.trial.reply.key_exchange.as_ref()?.scheme());
            let signed: Vec<u16> = signed.collect();
            let Some(group) = modern.groups.iter().copied().find(|group| share(*group).is_some()) else { return };
            self.schemes(group, &signed, known, modern.spoken.wave).await;
        };
        let order13 = async {
            if let Some(modern) = &modern {
                join(self.order13(modern), self.shares(modern)).await;
            }
        };
        let groups = key_exchange12.as_ref().map(|e| e.groups.clone()).unwrap_or_default();
        let rest12 = async {
            let Some(spoken) = &suites12 else { return };
            let wave = key_exchange12.as_ref().map_or(spoken.wave, |e| e.wave).max(spoken.wave);
            let other = async {
                if groups.is_empty() {
                    self.other_key_exchange(spoken, wave).await;
                }
            };
            join(self.with_suites(spoken), other).await;
        };
        let likely = self.standing(suites12.as_ref());
        let older = OLDER.iter().skip(1).zip(older).map(|(version, first)| {
            let (likely, groups) = (&likely, &groups);
            async move { self.older_version(*version, first, likely, groups).await }
        });
        let controls = self.controls_of(suites12.as_ref(), modern.as_ref().map(|m| &m.spoken));
        let ((_, _, _), (older, _)) = join(join3(schemes, order13, rest12), join(join_all(older), controls)).await;
        let mut all: Vec<Spoken> = modern.map(|modern| modern.spoken).into_iter().collect();
        all.extend(suites12);
        all.extend(older.into_iter().flatten());
        (all, known)
    }

    /// Accepted suites in the order in which the server chose them, as far as that is known.
    fn standing(&self, spoken: Option<&Spoken>) -> Vec<u16> {
        let Some(spoken) = spoken else { return Vec::new() };
        let standing = standing(&Record::new(&self.cx.exchanges()), spoken.version);
        match standing.order {
            Order::Server => standing.sequence,
            _ => spoken.suites.clone(),
        }
    }

    /// One of TLS 1.1, TLS 1.0 and SSL 3.0.
    async fn older_version(
        &self,
        version: VersionName,
        first: &Answer,
        likely: &[u16],
        groups: &[u16],
    ) -> Option<Spoken> {
        let mut likely: Vec<u16> = likely.iter().copied().filter(|id| predict::fits(*id, version)).collect();
        let chosen = first.chosen().map(|hello| hello.suite);
        match likely.iter().position(|id| Some(*id) == chosen) {
            Some(at) => {
                likely.remove(at);
            }
            None => likely.clear(),
        }
        let key_exchange = async {
            if version == VersionName::Ssl3 || first.version() != Some(version) {
                return None;
            }
            let at = first.trial.as_ref().and_then(super::older::group);
            let rest: Vec<u16> = groups.iter().copied().filter(|id| Some(*id) != at).collect();
            Some(self.key_exchange(version, first, &rest).await)
        };
        let (spoken, exchanged) = join(self.suites(version, first, &likely), key_exchange).await;
        let spoken = spoken?;
        let wave = exchanged.as_ref().map_or(spoken.wave, |e| e.wave).max(spoken.wave);
        let other = async {
            if exchanged.is_some_and(|e| e.groups.is_empty()) {
                self.other_key_exchange(&spoken, wave).await;
            }
        };
        let (last, ()) = join(self.with_suites(&spoken), other).await;
        Some(Spoken { wave: last.max(wave), ..spoken })
    }

    /// Siblings of what was refused so far, while other questions are under way.
    async fn controls_of(&self, older: Option<&Spoken>, modern: Option<&Spoken>) {
        let all: Vec<&Spoken> = modern.into_iter().chain(older).collect();
        let wave = all.iter().map(|s| s.wave).max().unwrap_or(2);
        self.controls(&all, wave).await;
    }

    /// TLS 1.0 as its own clients spoke it, without the extensions of later years: who fronts old servers may tell clients
    /// apart by these.
    async fn of_the_time(&self) {
        let version = VersionName::Tls10;
        let hello = offers::of_the_time(self.sni.as_deref());
        self.ask(Ask { purpose: Purpose::Suites, version, wave: 1, hello, until: Until::Hello }).await;
    }

    /// The canary is a hello that was just answered; it reads the chain too where that comes in clear text.
    fn choose_canary(&self, first: &[Answer], first13: &Answer) {
        let older = first.iter().filter_map(Answer::version).max();
        let canary = match older {
            Some(version) => Some(self.chain_ask(Purpose::Canary, version, self.sni.as_deref(), 2)),
            None => first13.chosen().and(first13.trial.as_ref()).and_then(|trial| trial.offer.clone()).map(|hello| {
                Ask { purpose: Purpose::Canary, version: VersionName::Tls13, wave: 2, hello, until: Until::Hello }
            }),
        };
        if let Some(canary) = canary {
            // It is chosen once only.
            let _ = self.canary.set(canary);
        }
    }

    /// A command in clear text behind the one that asks for TLS.
    async fn injection(&self) {
        let Some(protocol) = self.starttls.filter(|protocol| protocol.has_lines()) else { return };
        let offer = Offer {
            sni: self.sni.clone(),
            versions: vec![VersionName::Tls12, VersionName::Tls13],
            alpn: vec![],
            signatures: Signatures::Any,
            starttls: Some(protocol),
            manner: Manner::Pipelined,
            to_the_end: false,
        };
        for _ in 0..2 {
            if handshake::full(self.cx, self.address, &offer).await.is_ok() {
                return;
            }
        }
    }

    /// Chains for the other names of the target.
    async fn names(&self, spec: &TlsSpec, newest: Option<VersionName>, modern: bool, wave: u32) {
        join_all(spec.sni.iter().skip(1).map(|name| async move {
            if modern {
                self.full(name.as_deref(), Signatures::Any).await;
            }
            if let Some(version) = newest {
                self.ask(self.chain_ask(Purpose::Chain, version, name.as_deref(), wave)).await;
            }
        }))
        .await;
    }

    /// Chains that TLS 1.3 serves for other signature schemes than the one met first: a server may hold a certificate for
    /// each, also for each curve of ECDSA.
    async fn other_chains(&self, known: Option<u16>) {
        let record = Record::new(&self.cx.exchanges());
        let shown = record.entries.iter().filter(|e| e.asks(&[Purpose::Schemes]) && e.schemes.len() == 1);
        let accepted = shown.filter(|e| e.trial.reply.encrypted >= crate::derive::schemes::FLIGHT);
        let mut others: BTreeSet<u16> = accepted.flat_map(|e| e.schemes.iter().copied()).collect();
        others.retain(|id| known != Some(*id));
        join_all(others.into_iter().map(|id| self.full(self.sni.as_deref(), Signatures::One(id)))).await;
    }

    /// Gives each refusal its sibling: the same hello with something that the server is known to accept. One hello often
    /// serves several refusals.
    async fn controls<S: std::borrow::Borrow<Spoken>>(&self, spoken: &[S], wave: u32) {
        let mut spoken: Vec<&Spoken> = spoken.iter().map(std::borrow::Borrow::borrow).collect();
        spoken.sort_by_key(|s| std::cmp::Reverse(s.version));
        let mut sent: Vec<(VersionName, Hello)> = Vec::new();
        let mut asks: Vec<Ask> = Vec::new();
        let record = Record::new(&self.cx.exchanges());
        let refused = record.entries.iter().filter(|e| e.asks(&[Purpose::Suites]) && record.declines(e));
        for entry in refused.filter(|e| record.refusal(e).is_none()) {
            let meant = entry.meant();
            let own = spoken.iter().find(|s| s.version == meant);
            let older = spoken.iter().filter(|s| s.version != VersionName::Tls13).max_by_key(|s| s.version);
            let Some(accepted) = own.or(older).or(spoken.first()) else { return };
            let (Some(suite), Some(offer)) = (accepted.suites.first(), &entry.trial.offer) else { continue };
            let covered = |(version, other): &(VersionName, Hello)| {
                (own.is_none() || *version == meant)
                    && (other.shape() == offer.shape() || meant == VersionName::Ssl3)
                    && entry.suites.iter().all(|id| other.suites.contains(id))
            };
            if sent.iter().any(covered) {
                continue;
            }
            let hello = offers::control(offer, self.sni.as_deref(), *suite, accepted.version, meant);
            if record.entries.iter().any(|e| e.trial.offer.as_ref().is_some_and(|sent| sent.same_offer(&hello))) {
                continue;
            }
            sent.push((accepted.version, hello.clone()));
            asks.push(Ask { purpose: Purpose::Control, version: accepted.version, wave, hello, until: Until::Hello });
        }
        self.ask_all(asks).await;
    }

    /// Asks again what was refused while the server did not answer as it did before.
    async fn again(&self, wave: u32) {
        let record = Record::new(&self.cx.exchanges());
        let void: Vec<Ask> = record
            .voided()
            .filter_map(|entry| {
                let hello = entry.trial.offer.clone()?;
                let until = if entry.asks(&[Purpose::Schemes]) { Until::Done } else { Until::Hello };
                Some(Ask { purpose: entry.trial.question.ask, version: entry.meant(), wave, hello, until })
            })
            .collect();
        if void.is_empty() || !self.send_canary(wave).await {
            return;
        }
        for ask in void {
            self.ask(ask).await;
        }
    }

    async fn ssl2(&self, wave: u32) {
        let hello = Hello::bare(VersionName::Ssl3, &[]);
        let ask = Ask { purpose: Purpose::Ssl2, version: VersionName::Ssl2, wave, hello, until: Until::Hello };
        let (mut attempt, mut left) = (1, 2);
        while left > 0 {
            let began = Instant::now();
            let (trial, over) = self.once(&ask, attempt).await;
            let reply = trial.as_ref().map(|t| &t.reply);
            if over || reply.is_some_and(|r| r.ssl2.is_some() || r.alert.is_some() || r.broken.is_some()) {
                return;
            }
            left -= 1;
            if attempt < MOST_SSL2 && !self.is_well(began, attempt, wave).await {
                // It had no connection left for anybody.
                left = 1.max(left);
            }
            attempt += 1;
        }
    }
}
