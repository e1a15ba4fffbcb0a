//! Every probe that there is, in one plain list.

use std::sync::Arc;

use model::Level;
use policy::{KindInfo, Kinds};
use probe::Probe;

/// The probes of all check crates.
#[must_use]
pub fn probes() -> Vec<Arc<dyn Probe>> {
    let mut probes = check_tls::probes();
    probes.extend(check_encryption::probes());
    probes.extend(check_backup::probes());
    probes
}

/// The probes that look at one sort of target.
#[must_use]
pub fn probes_for(sort: &str) -> Vec<Arc<dyn Probe>> {
    probes().into_iter().filter(|p| p.sort() == sort).collect()
}

/// A probe that makes a kind of evidence.
#[must_use]
pub fn probe_of(kind: &str) -> Option<Arc<dyn Probe>> {
    probes().into_iter().find(|p| p.kind().name == kind)
}

/// The probe that makes a kind of evidence on that sort of target: some kinds are made on several sorts, each by a probe
/// of its own. On any other sort, the one that makes the kind at all.
#[must_use]
pub fn probe_on(kind: &str, sort: &str) -> Option<Arc<dyn Probe>> {
    probes().into_iter().find(|p| p.kind().name == kind && p.sort() == sort).or_else(|| probe_of(kind))
}

/// Level and JSON Schema of the facts of every kind, as the policy engine wants them.
#[must_use]
pub fn kinds() -> Kinds {
    let info = |level: Level, schema: schemars::Schema| KindInfo { level, schema: schema.to_value() };
    let of = |probe: Arc<dyn Probe>| {
        let kind = probe.kind();
        (kind.name.into_owned(), info(kind.level, probe.schema()))
    };
    let mut kinds: Kinds = probes().into_iter().map(of).collect();
    for (kind, schema) in
        [(crate::scope::kind(), crate::scope::schema()), (crate::data_path::kind(), crate::data_path::schema())]
    {
        kinds.insert(kind.name.into_owned(), info(kind.level, schema));
    }
    kinds
}
