//! The drill `backup-restore`: restores the newest copy into a scratch place and compares it with what is in use.
//!
//! It writes nothing but the scratch place, which the journal of drills takes away again, and the canary, where the
//! inventory names a file for it.

mod account;
mod archive;
mod canary;
mod choose;
mod copies;
mod database;
mod early;
mod files;
mod list;
mod mariadb;
mod postgres;
mod redis;
mod report;
mod server;
#[cfg(test)]
mod stage;
mod unpacked;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use self::report::About;
use crate::backup::{no_source, spec};
use crate::facts::RestoreFacts;
use crate::format::Format;
use crate::source::{Adapter, Repository, adapter, pgbackrest};
use crate::target::{BackupSpec, Drill, FileFormat, Files, PgBackRest};

/// Why there is no drill.
const NOT_ASKED: &str = "the inventory asks for no restore drill; add 'drill:' to this target";

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
        plan.commands.extend(servers(&spec, drill));
        plan.files.extend(drill.canary.iter().map(|path| format!("{path} (written: the canary)")));
        plan
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec(target)?;
            let Some(drill) = &spec.declared.drill else {
                return Err(Failure::new(FailureClass::NotAsked, NOT_ASKED));
            };
            let adapter = adapter(&spec).ok_or_else(|| no_source(target))?;
            let facts = match (&spec.declared.pgbackrest, &spec.declared.files) {
                (Some(source), _) => stanza(&spec, drill, source, adapter.as_ref(), cx).await?,
                (_, Some(source)) => of_files(&spec, drill, source, adapter.as_ref(), cx).await?,
                _ => files::drill(&spec, drill, adapter.as_ref(), cx).await?,
            };
            probe::facts(&facts)
        })
    }

    fn not_asked(&self, target: &Target) -> Option<String> {
        spec(target).is_ok_and(|spec| spec.declared.drill.is_none()).then(|| NOT_ASKED.to_owned())
    }

    fn is_drill(&self) -> bool {
        true
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

/// What is started beside the restore, for the list of what a drill would do.
fn servers(spec: &BackupSpec, drill: &Drill) -> Vec<String> {
    let user = drill.user.as_deref();
    let postgres = || format!("postgres on a private socket, as {}", user.unwrap_or("postgres"));
    let started = match (&spec.declared.pgbackrest, &spec.declared.files) {
        (Some(_), _) => Some(postgres()),
        (_, Some(files)) => match files.format {
            Some(FileFormat::PgDump | FileFormat::PgBasebackup) => Some(postgres()),
            Some(FileFormat::MariadbDump | FileFormat::Mariabackup) => {
                Some(format!("mariadbd on a private socket, as {}", user.unwrap_or("mysql")))
            }
            Some(FileFormat::RedisRdb) => {
                Some(format!("redis-server on a private socket, as {}", user.unwrap_or("redis")))
            }
            Some(_) => None,
            None => Some("a scratch server on a private socket, of the sort that the newest copy is of".to_owned()),
        },
        _ => None,
    };
    let live = started.is_some().then_some(drill.live.as_ref()).flatten();
    let live = live.map(|live| format!("counts of rows, read only, in the database in use ({live})"));
    started.into_iter().chain(live).collect()
}

/// The drill for a stanza of pgBackRest.
async fn stanza(
    spec: &BackupSpec,
    drill: &Drill,
    source: &PgBackRest,
    adapter: &dyn Adapter,
    cx: &Cx,
) -> Result<RestoreFacts, Failure> {
    let repository = adapter.list(spec, cx).await?;
    files::pinned(spec, &repository)?;
    let Some((name, about)) = newest(spec, adapter, &repository) else {
        return Ok(files::nothing(spec, adapter.kind(), repository));
    };
    let source = pgbackrest::Adapter::new(source.clone());
    postgres::drill(spec, drill, postgres::From::Stanza(&source, &name), about, cx).await
}

/// The drill for files: what is started depends on what the newest copy is.
async fn of_files(
    spec: &BackupSpec,
    drill: &Drill,
    source: &Files,
    adapter: &dyn Adapter,
    cx: &Cx,
) -> Result<RestoreFacts, Failure> {
    let repository = adapter.list(spec, cx).await?;
    files::pinned(spec, &repository)?;
    let Some((name, about)) = newest(spec, adapter, &repository) else {
        return Ok(files::nothing(spec, adapter.kind(), repository));
    };
    let copy = copies::FileCopy::of(source, &name, cx).await?;
    if copy.format() == Format::PgBasebackup && copy.seen.incremental == Some(true) {
        let name = copy.name();
        let message = format!(
            "{name}: an incremental base backup is not restored by itself; combine it with those that it needs \
             (pg_combinebackup), and name the result"
        );
        return Err(Failure::new(FailureClass::Missing, message));
    }
    match copy.format() {
        Format::PgDumpCustom
        | Format::PgDumpDirectory
        | Format::PgDumpTar
        | Format::PgDumpSql
        | Format::PgDumpall
        | Format::PgBasebackup => postgres::drill(spec, drill, postgres::From::Files(&copy), about, cx).await,
        Format::MysqlDump | Format::Mariabackup | Format::Xbstream => {
            mariadb::drill(spec, drill, &copy, about, cx).await
        }
        Format::Tar | Format::Zip | Format::Folder => {
            files::drill(spec, drill, &archive::Archives::new(source), cx).await
        }
        Format::RedisRdb => redis::drill(spec, drill, &copy, about, cx).await,
        other => {
            let message = format!("{}: there is no drill for copies of the format '{}'", copy.name(), other.name());
            Err(Failure::new(FailureClass::Missing, message))
        }
    }
}

/// The copy with the newest recovery point.
fn newest(spec: &BackupSpec, adapter: &dyn Adapter, repository: &Repository) -> Option<(String, About)> {
    let snapshot = repository.snapshots.get(files::newest(spec, repository)?)?;
    let about = About {
        source: adapter.kind(),
        tool: repository.tool.clone(),
        identity: repository.identity.clone(),
        snapshot: snapshot.name.clone(),
        recovery_point: snapshot.recovery_point.clone(),
        bytes: snapshot.bytes,
        covers: files::covers(spec, snapshot),
    };
    Some((snapshot.name.clone(), about))
}
