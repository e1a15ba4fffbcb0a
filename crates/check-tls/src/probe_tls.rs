//! The probe of kind `tls`.

use std::net::SocketAddr;

use model::{Ask, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use crate::certificate::Stores;
use crate::derive::{chains_of, derive};
use crate::engine;
use crate::facts::TlsFacts;
use crate::target::TlsSpec;

/// Most bytes of a file with certificate authorities.
const MOST_TRUST: usize = 4 * 1024 * 1024;

/// Looks at one TLS endpoint at one address: everything that [`TlsFacts`] names.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsProbe;

impl Probe for TlsProbe {
    fn kind(&self) -> Kind {
        Kind::new("tls", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        "tls"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(TlsFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let trust = spec(target).map(|spec| spec.trust).unwrap_or_default();
        // A server with every suite of OpenSSL in every version takes about as many.
        Plan { connections: 400, files: trust, commands: vec![] }
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let address: SocketAddr = spec.address.parse().map_err(|_| {
                let what = format!("{}: '{}' is no address with a port", target.name, spec.address);
                Failure::new(FailureClass::Unresolved, what)
            })?;
            let mut trust = Vec::new();
            for path in &spec.trust {
                let read = cx.read_file(path, MOST_TRUST).await;
                let bytes = read.map_err(|e| Failure::new(e.class, format!("trust store {e}; is the path right?")))?;
                trust.push((path.clone(), bytes));
            }
            engine::run(cx, &spec, address).await;
            let exchanges = cx.exchanges();
            let mut facts = derive(&spec, &exchanges)?;
            judge(&mut facts, &exchanges, &trust);
            probe::facts(&facts)
        })
    }

    fn derive(&self, target: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        let facts = spec(target).and_then(|spec| derive(&spec, exchanges)).and_then(|facts| probe::facts(&facts));
        Some(facts.map(|mut facts| {
            let chains = facts.get_mut("chains").and_then(serde_json::Value::as_array_mut);
            for chain in chains.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
                // Which roots a machine trusts is not in the exchanges.
                chain.remove("stores");
            }
            facts
        }))
    }
}

fn spec(target: &Target) -> Result<TlsSpec, Failure> {
    serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
        Failure::new(
            FailureClass::Unreadable,
            format!("{}: its parameters are not those of a TLS target: {e}", target.name),
        )
    })
}

/// Looks for a path from each chain to each trust store.
fn judge(facts: &mut TlsFacts, exchanges: &[Exchange], trust: &[(String, Vec<u8>)]) {
    let stores = Stores::load(trust);
    let served = chains_of(exchanges);
    for chain in &mut facts.chains {
        let digests: Vec<String> = chain.certificates.iter().map(|c| c.sha256.clone()).collect();
        // A chain too long to be described in full is found by its beginning.
        let known = served.get(&digests).or_else(|| {
            served.iter().find(|(all, _)| !digests.is_empty() && all.starts_with(&digests)).map(|(_, chain)| chain)
        });
        if let Some(known) = known {
            chain.stores = stores.judge(known);
        }
    }
}
