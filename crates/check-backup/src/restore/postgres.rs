//! The drill for PostgreSQL: a scratch cluster on a private socket, loaded from a dump, a base backup or pgBackRest.

mod cluster;
mod dump;
mod server;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use model::{Failure, FailureClass};
use probe::Cx;

use self::server::{Cluster, Programs, databases, failed, version};
use super::account::Account;
use super::copies::{self, FileCopy};
use super::database::{self, Sql};
use super::report::{About, Back, absent, facts, millis};
use super::server::Server;
use crate::facts::{Outcome, RestoreFacts, Sample};
use crate::format::Format;
use crate::source::pgbackrest;
use crate::target::{BackupSpec, Drill};

/// What is restored.
pub(super) enum From<'a> {
    /// A dump or a base backup.
    Files(&'a FileCopy),
    /// A backup of a stanza, by its label.
    Stanza(&'a pgbackrest::Adapter, &'a str),
}

/// A cluster that came up with the copy in it.
struct Up<'a> {
    cluster: Cluster<'a>,
    server: Server,
    /// Wall time of the tool's own restore.
    tool_millis: i64,
    /// Whether the copy was one of a whole cluster, so that every expected database must be in it.
    whole: bool,
}

/// Does it.
///
/// # Errors
/// Where it could not be tried: no program, no room, no user to run as.
pub(super) async fn drill(
    spec: &BackupSpec,
    drill: &Drill,
    from: From<'_>,
    about: About,
    cx: &Cx,
) -> Result<RestoreFacts, Failure> {
    let account = Account::of(cx, drill.user.as_deref(), "postgres").await?;
    let scratch = cx.scratch("postgres").await?;
    account.give(&scratch)?;
    let began = Instant::now();
    let up = match from {
        From::Files(copy) if copy.format() == Format::PgBasebackup => {
            cluster::base_backup(copy, &account, &scratch, cx).await
        }
        From::Files(copy) => dump::load(copy, copies::database(spec, drill), &account, &scratch, cx).await,
        From::Stanza(adapter, label) => cluster::stanza(adapter, label, about.bytes, &account, &scratch, cx).await,
    };
    let up = match up {
        Ok(up) => up,
        Err(failure) => return absent(spec, about, failure, millis(began)),
    };
    let asked = ask(spec, drill, &up, began, &about, cx).await;
    up.server.end().await?;
    match asked {
        Ok(back) => {
            let (files, bytes) = super::files::contents(&up.cluster.data(), cx, &mut |_, _| {}).await;
            Ok(facts(spec, about, Back { files, bytes, ..back }))
        }
        Err(failure) => absent(spec, about, failure, millis(began)),
    }
}

/// Asks the cluster what came back.
async fn ask(
    spec: &BackupSpec,
    drill: &Drill,
    up: &Up<'_>,
    began: Instant,
    about: &About,
    cx: &Cx,
) -> Result<Back, Failure> {
    let what = "the restored cluster does not answer";
    let names = databases(&up.cluster, cx).await.map_err(|said| failed(what, &said))?;
    let millis = millis(began);
    let wanted = drill.database.as_ref().filter(|wanted| !(names.len() == 1 && !up.whole || names.contains(wanted)));
    if let Some(wanted) = wanted {
        let message = format!("the database '{wanted}' did not come back");
        return Err(Failure::new(FailureClass::Unreadable, message));
    }
    let named = drill.database.as_ref().filter(|wanted| names.contains(wanted));
    let Some(name) = named.or_else(|| names.first()) else {
        return Err(Failure::new(FailureClass::Unreadable, "no database came back"));
    };
    let restored = up.cluster.database(name);
    let live_name = drill.database.as_ref().unwrap_or(name);
    let live = drill.live.as_ref().map(|connection| up.cluster.live(connection, live_name));
    let live = live.as_ref().map(|live| live as &dyn Sql);
    let compared = database::compare(&restored, live, about.point(), drill, cx).await;
    let mut compared = compared.map_err(|said| failed("what came back can't be read", &said))?;
    if up.whole {
        compared.samples.samples.extend(spec.expected.databases.iter().map(|expected| {
            let there = names.contains(expected);
            Sample {
                name: format!("database {expected}"),
                outcome: if there { Outcome::Present } else { Outcome::Absent },
                why: (!there).then(|| "it did not come back".to_owned()),
                by: "name".to_owned(),
            }
        }));
    }
    Ok(Back {
        empty: compared.empty,
        samples: compared.samples,
        queries: database::queries(&restored, drill, cx).await,
        canary: database::canary(&restored, drill, cx).await,
        tool_millis: up.tool_millis,
        millis,
        files: 0,
        bytes: 0,
    })
}

/// The major version of a cluster's files.
async fn version_of(data: &Path, cx: &Cx) -> Result<u32, Failure> {
    let wrong = |why: String| Failure::new(FailureClass::Unreadable, format!("what came back is no cluster: {why}"));
    let bytes = cx.read_file(data.join("PG_VERSION"), 64).await.map_err(|e| wrong(e.to_string()))?;
    version(&String::from_utf8_lossy(&bytes)).ok_or_else(|| wrong("PG_VERSION names no version".to_owned()))
}

/// The programs for a cluster's files.
async fn programs_of(data: &Path, cx: &Cx) -> Result<Programs, Failure> {
    Programs::find(cx, Some(version_of(data, cx).await?), false).await
}
