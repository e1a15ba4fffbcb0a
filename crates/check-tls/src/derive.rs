//! From the recorded exchanges to facts: a pure function, so that whoever holds the record can make the facts again.
//!
//! Nothing is concluded from what the engine meant to do, only from what was sent and what came back. Trust stores are
//! the one thing that is not in the record; [`crate::facts::Chain::stores`] is left empty here.

mod across;
mod behaviour;
mod exchange;
mod groups;
pub(crate) mod record;
pub(crate) mod schemes;
mod starttls;
#[cfg(test)]
mod tests;
pub(crate) mod versions;

use std::collections::BTreeMap;

use model::{Ended, Exchange, Failure, FailureClass};
use record::{Record, Took};

use crate::certificate;
use crate::facts::{
    Asked, Chain, ChainOutcome, Ocsp, Outcome, Presence, SignatureScheme, TlsFacts, Version, VersionName,
};
use crate::handshake::{self, Offer, Seen};
use crate::starttls::Barred;
use crate::target::TlsSpec;

/// A full handshake in the record.
struct Handshake {
    index: u32,
    offer: Offer,
    seen: Seen,
}

/// A chain as served: where, under which name, in which version.
struct Served {
    index: u32,
    sni: Option<String>,
    version: VersionName,
    chain: Vec<Vec<u8>>,
}

/// The code point as facts write it.
fn id(code: u16) -> String {
    format!("{code:#06x}")
}

/// The facts that follow from the exchanges.
///
/// # Errors
/// Where nothing in them is TLS.
pub fn derive(spec: &TlsSpec, exchanges: &[Exchange]) -> Result<TlsFacts, Failure> {
    let record = Record::new(exchanges);
    let handshakes: Vec<Handshake> = (0..)
        .zip(exchanges)
        .filter_map(|(index, exchange)| {
            let offer = Offer::of_question(&exchange.question)?;
            handshake::parse(exchange).map(|seen| Handshake { index, offer, seen })
        })
        .collect();
    let mut versions = vec![versions::ssl2(&record)];
    versions.extend(VersionName::ALL.into_iter().skip(1).map(|name| versions::version(&record, name)));
    for shake in &handshakes {
        add_handshake(&mut versions, shake);
    }
    if versions.iter().all(|v| v.outcome != Outcome::Accepted)
        && let Some(failure) = nothing_spoken(spec, &record, exchanges)
    {
        return Err(failure);
    }
    let main = spec.sni.first().cloned().flatten();
    let tls13 = || handshakes.iter().filter(|h| h.seen.version == Some(VersionName::Tls13));
    let pairs = |pick: fn(&Seen) -> Option<u16>| -> Vec<(u32, u16)> {
        tls13().filter_map(|h| pick(&h.seen).map(|code| (h.index, code))).collect()
    };
    let alpn: Vec<_> =
        handshakes.iter().filter(|h| !h.offer.alpn.is_empty()).map(|h| (h.index, h.seen.alpn.clone())).collect();
    let served = served(&record, &handshakes);
    let groups = groups::groups(&record, &versions, &pairs(|seen| seen.group));
    let signature_schemes = schemes::schemes(&record, &versions, &pairs(|seen| seen.signature_scheme));
    let dhe = groups::dhe(&record, &versions);
    let mut chains = chains(spec, &main, &served);
    chains.extend(unread(spec, &main, &signature_schemes, &handshakes));
    let post_quantum = exchange::post_quantum(&record, &groups);
    Ok(TlsFacts {
        address: spec.address.clone(),
        starttls: spec.starttls.map(|protocol| starttls::starttls(protocol, &record, &handshakes, exchanges)),
        asked: Asked::All,
        groups,
        signature_schemes,
        dh_prime_bits: dhe.prime_bits,
        dhe,
        ephemeral_reuse: exchange::reuse(&record),
        explicit_curves: exchange::explicit(&record, &versions),
        post_quantum,
        behaviour: behaviour::behaviour(&record, &versions, &alpn),
        ocsp: stapled(&record, &handshakes, &main),
        consistent: behaviour::consistent(&record),
        connections: u32::try_from(exchanges.len()).unwrap_or(u32::MAX),
        round_trips: record.entries.iter().map(|e| e.trial.question.wave).max().unwrap_or(0).max(1),
        versions,
        chains,
        sni: main,
    })
}

/// A full handshake shows a version and a suite as well as a hello does.
fn add_handshake(versions: &mut [Version], shake: &Handshake) {
    let Some(version) = versions.iter_mut().find(|v| Some(v.name) == shake.seen.version) else { return };
    let Some(suite) = shake.seen.suite.map(id) else { return };
    if let Some(at) = version.not_proven.iter().position(|s| s.id == suite) {
        let mut found = version.not_proven.remove(at);
        found.outcome = Outcome::Accepted;
        found.why = None;
        found.seen = vec![shake.index];
        version.suites.push(found);
        if version.outcome == Outcome::NotProven {
            version.outcome = Outcome::Accepted;
            version.why = None;
            version.seen = vec![shake.index];
        }
    }
}

/// Why there are no facts at all: nobody answered, or nobody spoke TLS. `None` where an alert shows that it is TLS.
fn nothing_spoken(spec: &TlsSpec, record: &Record, exchanges: &[Exchange]) -> Option<Failure> {
    let address = &spec.address;
    let fail = |class, what: &str| Some(Failure::new(class, format!("{address}: {what}")));
    if exchanges.is_empty() {
        return fail(FailureClass::Interrupted, "it was not looked at before the run's time or connections were spent");
    }
    if record.entries.iter().any(|e| e.trial.reply.alert.is_some() || e.trial.reply.hello.is_some()) {
        return None;
    }
    // That a server offers no TLS is a fact.
    let barred = || record.entries.iter().filter_map(|e| e.trial.barred.as_ref());
    if barred().any(|barred| matches!(barred, Barred::Refused(_))) {
        return None;
    }
    let connected = exchanges.iter().any(|e| !e.frames.is_empty());
    if let (Some(protocol), true, Some(barred)) = (spec.starttls, connected, barred().next()) {
        let what =
            format!("{}: {}; is this the right port, and does it have room for us?", protocol.word(), barred.why());
        return fail(FailureClass::Protocol, &what);
    }
    if let Some(spoke) = record.entries.iter().find_map(|e| e.trial.reply.spoke) {
        let what = format!("it speaks {}, not TLS; is this the right port?", spoke.name());
        return fail(FailureClass::Protocol, &what);
    }
    if let Some(broken) = record.entries.iter().find_map(|e| e.trial.reply.broken) {
        let what = format!("its answer to a TLS hello can't be understood: {broken}; is this the right port?");
        return fail(FailureClass::Protocol, &what);
    }
    if record.entries.iter().any(|e| e.took == Took::Dropped) {
        let what = "it ends every connection without a word of TLS; does it speak TLS, and to this address?";
        return fail(FailureClass::Protocol, what);
    }
    let ended = |wanted: Ended| exchanges.iter().any(|e| e.ended == wanted);
    if ended(Ended::Timeout) {
        let what = "it takes connections, but no answer to a TLS hello came in time; raise --deadline";
        fail(FailureClass::Timeout, what)
    } else if ended(Ended::ConnectRefused) {
        fail(FailureClass::Refused, "the connection was refused; is the service running and listening there?")
    } else if ended(Ended::ConnectTimeout) {
        fail(FailureClass::Timeout, "no connection was made in time; is a firewall dropping packets?")
    } else if ended(Ended::ConnectFailed) {
        fail(FailureClass::Unreachable, "no connection could be made; is there a route to it from here?")
    } else {
        fail(FailureClass::Interrupted, "the run ended before an answer came")
    }
}

/// Every chain served, in the order of the exchanges.
fn served(record: &Record, handshakes: &[Handshake]) -> Vec<Served> {
    let mut served = Vec::new();
    for entry in &record.entries {
        if let (Took::Chose(version), Some(chain)) = (&entry.took, &entry.trial.reply.chain)
            && !chain.is_empty()
        {
            let sni = entry.trial.offer.as_ref().and_then(crate::hello::Hello::server_name);
            served.push(Served { index: entry.index(), sni, version: *version, chain: chain.clone() });
        }
        if let Some(hello) = entry.trial.reply.ssl2.as_ref().filter(|hello| !hello.certificate.is_empty()) {
            let chain = vec![hello.certificate.clone()];
            served.push(Served { index: entry.index(), sni: None, version: VersionName::Ssl2, chain });
        }
    }
    for shake in handshakes.iter().filter(|h| !h.seen.chain.is_empty()) {
        if let Some(version) = shake.seen.version {
            let (sni, chain) = (shake.offer.sni.clone(), shake.seen.chain.clone());
            served.push(Served { index: shake.index, sni, version, chain });
        }
    }
    served.sort_by_key(|s| s.index);
    served
}

/// Every different chain; those for the main name first.
fn chains(spec: &TlsSpec, main: &Option<String>, served: &[Served]) -> Vec<Chain> {
    let mut chains: Vec<(&Served, Chain)> = Vec::new();
    for one in served {
        let known = chains.iter_mut().find(|(first, _)| first.sni == one.sni && first.chain == one.chain);
        let chain = match known {
            Some((_, chain)) => chain,
            None => {
                let chain = Chain {
                    outcome: ChainOutcome::Served,
                    why: None,
                    sni: one.sni.clone(),
                    versions: vec![],
                    certificates: certificate::describe(&one.chain),
                    name_match: certificate::name_match(
                        spec.host.as_deref(),
                        one.chain.first().map_or(&[][..], Vec::as_slice),
                    ),
                    stores: vec![],
                    seen: vec![],
                };
                chains.push((one, chain));
                let Some((_, chain)) = chains.last_mut() else { continue };
                chain
            }
        };
        if !chain.versions.contains(&one.version) {
            chain.versions.push(one.version);
            chain.versions.sort_unstable();
        }
        chain.seen.push(one.index);
    }
    let mut chains: Vec<Chain> = chains.into_iter().map(|(_, chain)| chain).collect();
    chains.sort_by_key(|chain| chain.sni != *main);
    chains
}

/// Where TLS 1.3 signs with a scheme of which no handshake was read, it may serve a certificate that nobody looked at.
fn unread(
    spec: &TlsSpec,
    main: &Option<String>,
    schemes: &[SignatureScheme],
    handshakes: &[Handshake],
) -> Option<Chain> {
    let read = |scheme: &&SignatureScheme| {
        let same = |h: &&Handshake| h.seen.signature_scheme.map(id).as_deref() == Some(&*scheme.id);
        handshakes.iter().filter(|h| h.offer.sni == *main && !h.seen.chain.is_empty()).any(|h| same(&h))
    };
    let missing: Vec<&str> = schemes
        .iter()
        .filter(|scheme| scheme.versions.contains(&VersionName::Tls13) && !read(scheme))
        .map(|scheme| scheme.name.as_str())
        .collect();
    (!missing.is_empty()).then(|| Chain {
        outcome: ChainOutcome::NotProven,
        why: Some(format!("the certificate that TLS 1.3 serves with {} was not read", missing.join(", "))),
        sni: main.clone(),
        versions: vec![VersionName::Tls13],
        certificates: vec![],
        name_match: certificate::name_match(spec.host.as_deref(), &[]),
        stores: vec![],
        seen: vec![],
    })
}

/// The different chains of a record by the digest of each certificate, for those who add to the facts.
pub(crate) fn chains_of(exchanges: &[Exchange]) -> BTreeMap<Vec<String>, Vec<Vec<u8>>> {
    let record = Record::new(exchanges);
    let mut chains = BTreeMap::new();
    let handshakes = exchanges.iter().filter_map(handshake::parse).map(|seen| seen.chain);
    let raw = record.entries.iter().filter_map(|e| e.trial.reply.chain.clone());
    let ssl2 = record.entries.iter().filter_map(|e| e.trial.reply.ssl2.as_ref().map(|h| vec![h.certificate.clone()]));
    for chain in handshakes.chain(raw).chain(ssl2) {
        let digests = chain.iter().map(|der| model::Digest::of(der).to_string()).collect();
        chains.insert(digests, chain);
    }
    chains
}

/// What was stapled where a response was asked for under the main name.
fn stapled(record: &Record, handshakes: &[Handshake], main: &Option<String>) -> Ocsp {
    let mut absent = Vec::new();
    let raw = record.entries.iter().filter_map(|e| {
        // The response comes between the chain and the ServerHelloDone: without either, its absence shows nothing.
        e.trial.offer.as_ref().filter(|offer| offer.has(5) && offer.server_name() == *main)?;
        let chain = e.trial.reply.chain.as_deref().filter(|_| e.trial.reply.done || e.trial.reply.ocsp.is_some())?;
        Some((e.index(), e.trial.reply.ocsp.as_deref().unwrap_or_default(), chain))
    });
    let full = handshakes
        .iter()
        .filter(|h| h.offer.sni == *main)
        .map(|h| (h.index, h.seen.ocsp.as_slice(), h.seen.chain.as_slice()));
    for (index, response, chain) in raw.chain(full) {
        if !response.is_empty() {
            let mut ocsp = certificate::ocsp(response, chain);
            ocsp.seen = vec![index];
            return ocsp;
        }
        absent.push(index);
    }
    let (outcome, why) = match absent.is_empty() {
        false => (Presence::Absent, None),
        true => (Presence::NotProven, Some("no certificate was received while a response was asked for".to_owned())),
    };
    Ocsp {
        outcome,
        why,
        status: None,
        this_update: None,
        next_update: None,
        revoked_at: None,
        signature_verified: None,
        seen: absent,
    }
}
