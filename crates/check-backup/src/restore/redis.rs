//! The drill for snapshots of Redis: a scratch server on a private socket that loads a copy of the file.
//!
//! Names of keys say a good deal of people, so that none is written down: what is compared is told by database.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use model::{Asked, Failure, FailureClass};
use probe::{BoxFuture, Cx};

use super::account::{Account, With, first_error, last_line, not_written, short};
use super::copies::FileCopy;
use super::database::{self, Sql};
use super::report::{About, Back, absent, facts, millis, room};
use super::server::{MOST_SOCKET, Server};
use super::unpacked::unpacked;
use crate::facts::{Outcome, RestoreFacts, Sample, Samples};
use crate::target::{BackupSpec, Drill};

/// Does it.
///
/// # Errors
/// Where it could not be tried: no program, no room, no user to run as.
pub(super) async fn drill(
    spec: &BackupSpec,
    drill: &Drill,
    copy: &FileCopy,
    about: About,
    cx: &Cx,
) -> Result<RestoreFacts, Failure> {
    let account = Account::of(cx, drill.user.as_deref(), "redis").await?;
    let scratch = cx.scratch("redis").await?;
    account.give(&scratch)?;
    let size = copy.bytes(cx).await?;
    room(size, &copy.name(), &scratch, cx)?;
    let socket = scratch.join("s");
    if socket.as_os_str().len() > MOST_SOCKET {
        let message = format!("{}: a socket can't be made there; give a short path with --scratch", socket.display());
        return Err(Failure::new(FailureClass::Missing, message));
    }
    let data = scratch.join("data");
    account.folder(&data)?;
    let began = Instant::now();
    if let Err(failure) = fetch(copy, &data, cx).await {
        return absent(spec, about, failure, millis(began));
    }
    account.take(cx, &data).await?;
    let (folder, place) = (data.display().to_string(), socket.display().to_string());
    // No option file is read; nothing is saved, and no other server is followed.
    let argv = [
        "redis-server",
        "--port",
        "0",
        "--unixsocket",
        &place,
        "--unixsocketperm",
        "700",
        "--dir",
        &folder,
        "--dbfilename",
        "dump.rdb",
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
        "--protected-mode",
        "yes",
    ];
    // Versions differ in what stands before and after.
    let server = match Server::start(cx, &account, &argv, &scratch, "eady to accept connections").await? {
        Ok(server) => server,
        Err(said) => {
            let message = format!("the restored server does not start: {}", short(&said));
            return absent(spec, about, Failure::new(FailureClass::Unreadable, message), millis(began));
        }
    };
    let tool_millis = millis(began);
    let redis = Redis { account: &account, scratch: &scratch, socket: place };
    let keyspace = redis.ask(cx, "INFO keyspace").await;
    let millis = millis(began);
    let queries = database::queries(&redis, drill, cx).await;
    let canary = database::canary(&redis, drill, cx).await;
    server.end().await?;
    let databases = match keyspace {
        Ok(lines) => lines.iter().filter_map(|line| keys(line)).collect::<Vec<(String, u64)>>(),
        Err(said) => {
            let failure = Failure::new(FailureClass::Unreadable, format!("what came back can't be read: {said}"));
            return absent(spec, about, failure, millis);
        }
    };
    let all: u64 = databases.iter().map(|(_, keys)| keys).sum();
    let sample =
        |(name, _): (String, u64)| Sample { name, outcome: Outcome::Present, why: None, by: "keys read".into() };
    let samples = Samples {
        asked: Asked::All,
        outcome: if all > 0 { Outcome::Present } else { Outcome::NotProven },
        why: (all == 0).then(|| "there is no key".to_owned()),
        of: i64::try_from(all).unwrap_or(i64::MAX),
        samples: databases.into_iter().map(sample).collect(),
    };
    let empty = (all == 0).then(|| "restored, and empty: there is no key".to_owned());
    let (files, bytes) = super::files::contents(&data, cx, &mut |_, _| {}).await;
    Ok(facts(spec, about, Back { empty, samples, queries, canary, tool_millis, millis, files, bytes }))
}

/// Puts the copy where the server looks for it.
async fn fetch(copy: &FileCopy, data: &Path, cx: &Cx) -> Result<(), Failure> {
    let place = data.join("dump.rdb");
    match copy.seen.packing {
        Some(packing) => {
            let path = unpacked(cx, &copy.path, packing, data).await?;
            std::fs::rename(path, &place).map_err(|e| not_written(&place, &e))
        }
        None => {
            let from = copy.path.clone();
            let to = place.clone();
            let copied = tokio::task::spawn_blocking(move || std::fs::copy(from, to)).await;
            let copied = copied.unwrap_or_else(|e| Err(std::io::Error::other(e)));
            copied.map(drop).map_err(|e| not_written(&place, &e))
        }
    }
}

/// A line such as `db0:keys=3,expires=0,avg_ttl=0`.
fn keys(line: &str) -> Option<(String, u64)> {
    let (name, rest) = line.split_once(":keys=")?;
    Some((name.to_owned(), rest.split(',').next()?.trim().parse().ok()?))
}

/// The scratch server; a statement is a command of Redis, its words between blanks.
struct Redis<'a> {
    account: &'a Account,
    scratch: &'a Path,
    socket: String,
}

impl Sql for Redis<'_> {
    fn ask<'a>(&'a self, cx: &'a Cx, statement: &'a str) -> BoxFuture<'a, Result<Vec<String>, String>> {
        Box::pin(async move {
            let mut argv = vec!["redis-cli", "-s", &self.socket, "-e"];
            argv.extend(statement.split_ascii_whitespace());
            let output = self.account.run(cx, &argv, With { cwd: Some(self.scratch), ..With::default() }).await;
            let output = output.map_err(|failure| failure.message)?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.exit != Some(0) {
                let said = first_error(&output.stderr).or_else(|| last_line(&output.stderr));
                return Err(said.unwrap_or_else(|| short(text.trim())));
            }
            Ok(text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect())
        })
    }

    fn tables(&self, _: Option<jiff::Timestamp>) -> String {
        "INFO keyspace".to_owned()
    }
}
