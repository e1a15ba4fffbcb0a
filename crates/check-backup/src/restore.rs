//! The drill `backup-restore`: restores the newest copy into a scratch place and compares it with what is in use.
//!
//! It writes nothing but the scratch place, which the journal of drills takes away again, and the canary, where the
//! inventory names a file for it.

mod canary;
mod choose;
mod files;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use crate::backup::{no_source, spec};
use crate::facts::RestoreFacts;
use crate::source::adapter;

/// Restores and compares.
pub(crate) struct Restore;

impl Probe for Restore {
    fn kind(&self) -> Kind {
        Kind::new("backup-restore", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(RestoreFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let Ok(spec) = spec(target) else { return Plan::default() };
        let Some(drill) = &spec.declared.drill else { return Plan::default() };
        let mut plan = adapter(&spec).map(|a| a.plan(&spec)).unwrap_or_default();
        plan.commands.push(format!("restore of {} into a scratch folder", spec.declared.location()));
        plan.files.extend(drill.canary.iter().map(|path| format!("{path} (written: the canary)")));
        plan
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let Some(drill) = &spec.declared.drill else {
                let message = format!("{}: the inventory asks for no restore drill; add 'drill:' to it", target.name);
                return Err(Failure::new(FailureClass::NotRun, message));
            };
            let adapter = adapter(&spec).ok_or_else(|| no_source(target))?;
            let facts = files::drill(&spec, drill, adapter.as_ref(), cx).await?;
            probe::facts(&facts)
        })
    }

    fn is_drill(&self) -> bool {
        true
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}
