//! The order of questions.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures::future::{join, join_all, join3};
use probe::Cx;

use super::older::Spoken;
use super::{Answer, Ask, Engine, offers};
use crate::derive::record::Record;
use crate::facts::VersionName;
use crate::handshake::{self, Offer, Signatures};
use crate::hello::Hello;
use crate::reply::Until;
use crate::starttls::Manner;
use crate::target::TlsSpec;
use crate::trial::Purpose;

/// TLS 1.2 and older, newest first.
const OLDER: [VersionName; 4] = [VersionName::Tls12, VersionName::Tls11, VersionName::Tls10, VersionName::Ssl3];

/// Asks a server everything.
pub(crate) async fn run(cx: &Cx, spec: &TlsSpec, address: SocketAddr) {
    let sni = spec.sni.first().cloned().flatten();
    let engine = Engine::new(cx, address, sni, spec.starttls);
    let first = join_all(OLDER.map(|version| engine.first(version)));
    let (first, first13, _) = join3(first, engine.first_tls13(), engine.of_the_time()).await;
    if !first.iter().chain([&first13]).any(speaks_tls) {
        // Who speaks SSL 2.0 alone ends the connection on any other hello.
        if first.iter().all(Answer::refused) {
            engine.ssl2(first13.next).await;
        }
        return;
    }
    engine.choose_canary(&first, &first13);

    let older = join_all(OLDER.iter().zip(&first).map(|(version, first)| engine.older_version(*version, first)));
    let modern = async {
        let modern = engine.tls13_version(&first13).await?;
        let known = engine.full(engine.sni.as_deref(), Signatures::Any).await;
        Some((modern, known))
    };
    let (older, modern, _) = join3(older, modern, join(engine.send_canary(2), engine.injection())).await;
    let mut spoken: Vec<Spoken> = older.into_iter().flatten().collect();
    // A hello may be answered with an older version whose own hello was not answered.
    spoken.sort_by_key(|s| std::cmp::Reverse(s.version));
    let mut all: Vec<&Spoken> = modern.as_ref().map(|(modern, _)| &modern.spoken).into_iter().chain(&spoken).collect();
    all.sort_by_key(|s| std::cmp::Reverse(s.version));
    let wave = all.iter().map(|s| s.wave).max().unwrap_or(2);

    let behaviours = async {
        if let Some(best) = spoken.first() {
            let alpn_known = modern.as_ref().is_some_and(|(_, known)| known.is_some());
            engine.behaviours(best, wave, !alpn_known).await;
        }
        if let Some(lower) = all.get(1) {
            engine.fallback(lower, wave).await;
        }
    };
    let schemes = async {
        if let Some((modern, known)) = &modern {
            engine.schemes(modern, *known, wave).await;
            engine.other_chains(cx, *known).await;
        }
    };
    let names = engine.names(spec, &spoken, modern.is_some(), wave);
    join(join3(behaviours, schemes, names), engine.controls(&all, wave)).await;
    engine.again(wave + 1).await;
    // Old stacks have died of it, so that it comes last, and the canary tells whether the server is still well.
    engine.ssl2(wave + 2).await;
    engine.send_canary(wave + 3).await;
}

/// Whether an answer is TLS at all.
fn speaks_tls(answer: &Answer) -> bool {
    answer.trial.as_ref().is_some_and(|t| t.reply.hello.is_some() || t.reply.alert.is_some())
}

impl Engine<'_> {
    async fn first(&self, version: VersionName) -> Answer {
        let hello = offers::version_hello(version, self.sni.as_deref());
        self.ask(Ask { purpose: Purpose::Suites, version, wave: 1, hello, until: Until::Hello }).await
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
    async fn names(&self, spec: &TlsSpec, spoken: &[Spoken], modern: bool, wave: u32) {
        let newest = spoken.first().map(|s| s.version);
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
    async fn other_chains(&self, cx: &Cx, known: Option<u16>) {
        let record = Record::new(&cx.exchanges());
        let shown = record.entries.iter().filter(|e| e.asks(&[Purpose::Schemes]) && e.schemes.len() == 1);
        let accepted = shown.filter(|e| e.trial.reply.encrypted >= crate::derive::schemes::FLIGHT);
        let mut others: BTreeSet<u16> = accepted.flat_map(|e| e.schemes.iter().copied()).collect();
        others.retain(|id| known != Some(*id));
        join_all(others.into_iter().map(|id| self.full(self.sni.as_deref(), Signatures::One(id)))).await;
    }

    /// Gives each refusal its sibling: the same hello with something that the server is known to accept. One hello often
    /// serves several refusals.
    async fn controls(&self, spoken: &[&Spoken], wave: u32) {
        let mut sent: Vec<(VersionName, Hello)> = Vec::new();
        let mut asks: Vec<Ask> = Vec::new();
        let record = Record::new(&self.cx.exchanges());
        let refused = record.entries.iter().filter(|e| e.asks(&[Purpose::Suites]) && record.declines(e));
        for entry in refused.filter(|e| record.sibling(e).is_none()) {
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
            sent.push((accepted.version, hello.clone()));
            asks.push(Ask { purpose: Purpose::Control, version: accepted.version, wave, hello, until: Until::Hello });
        }
        join_all(asks.into_iter().map(|ask| self.ask(ask))).await;
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
        for attempt in 1..=2 {
            let (trial, over) = self.once(&ask, attempt).await;
            let reply = trial.as_ref().map(|t| &t.reply);
            if over || reply.is_some_and(|r| r.ssl2.is_some() || r.alert.is_some() || r.broken.is_some()) {
                return;
            }
        }
    }
}
