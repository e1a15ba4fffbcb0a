//! The probe `backup`: lists the copies in a repository.

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use crate::facts::BackupFacts;
use crate::source::adapter;
use crate::target::BackupSpec;
use crate::{complete, derive, measure};

/// Lists copies.
pub(crate) struct Backup;

impl Probe for Backup {
    fn kind(&self) -> Kind {
        Kind::new("backup", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(BackupFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        let Ok(spec) = spec(target) else { return Plan::default() };
        let mut plan = adapter(&spec).map(|a| a.plan(&spec)).unwrap_or_default();
        plan.files.extend(spec.declared.logs.iter().cloned());
        if spec.declared.compare_with_source {
            plan.files.extend(spec.expected.paths.iter().chain(&spec.expected.configuration).cloned());
        }
        plan
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let adapter = adapter(&spec).ok_or_else(|| no_source(target))?;
            let mut repository = adapter.list(&spec, cx).await?;
            complete::establish(&spec, adapter.as_ref(), &mut repository, cx).await;
            measure::measure(&spec, adapter.as_ref(), &mut repository, cx).await;
            probe::facts(&derive::facts(adapter.kind(), &spec, repository))
        })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

/// What the target is.
pub(crate) fn spec(target: &Target) -> Result<BackupSpec, Failure> {
    serde_json::from_value(target.subject.spec.clone()).map_err(|e| {
        Failure::new(FailureClass::Unreadable, format!("{}: the target is not a backup: {e}", target.name))
    })
}

pub(crate) fn no_source(target: &Target) -> Failure {
    if spec(target).is_ok_and(|spec| spec.declared.s3.is_some()) {
        let message = format!("{}: this build reads no object store; build Probity with the feature 's3'", target.name);
        return Failure::new(FailureClass::Missing, message);
    }
    Failure::new(FailureClass::Unreadable, format!("{}: the target names no repository", target.name))
}
