//! Copies of a whole cluster's files: base backups and pgBackRest.

use std::path::{Path, PathBuf};
use std::time::Instant;

use model::{Failure, FailureClass};
use probe::Cx;

use super::super::account::{Account, With, done, first_error, last_line, not_written};
use super::super::copies::FileCopy;
use super::super::report::{millis, room};
use super::server::{Cluster, failed, is_ours};
use super::{Up, programs_of};
use crate::format::{Detected, Packing, detect};
use crate::source::pgbackrest;

/// The role that every cluster has unless somebody renamed it.
const ROLE: &str = "postgres";
/// Names in one folder.
const MOST_NAMES: usize = 1_000_000;
/// Bytes of the list of tablespaces.
const MOST_MAP: usize = 1 << 20;

fn unreadable(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Unreadable, message.into())
}

/// Starts a base backup's copy.
///
/// # Errors
/// [`FailureClass::Unreadable`] where it does not come up; anything else where that could not be tried.
pub(super) async fn base_backup<'a>(
    copy: &FileCopy,
    account: &'a Account,
    scratch: &'a Path,
    cx: &Cx,
) -> Result<Up<'a>, Failure> {
    if copy.seen.incremental == Some(true) {
        let message = format!("{} is incremental: it is not restored without those before it", copy.name());
        return Err(Failure::new(FailureClass::Missing, message));
    }
    room(copy.bytes(cx).await?, &copy.name(), scratch, cx)?;
    let began = Instant::now();
    let data = scratch.join("data");
    let is_folder = copy.path.is_dir();
    if is_folder && copy.path.join("PG_VERSION").is_file() {
        no_links(&copy.path, cx).await?;
        account.folder(&data)?;
        account.copy(cx, &copy.path, &data).await?;
    } else {
        account.folder(&data)?;
        archives(copy, account, scratch, cx).await?;
    }
    let tool_millis = millis(began);
    start(account, scratch, tool_millis, "", cx).await
}

/// Where a link of a base backup leads is not the copy, and may be what is in use: nothing is started from it.
async fn no_links(folder: &Path, cx: &Cx) -> Result<(), Failure> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let listing = cx.list_dir(&folder, MOST_NAMES).await.map_err(|e| Failure::new(e.class, e.to_string()))?;
        for name in listing.names {
            let path = folder.join(name);
            let found = cx.metadata(&path).await.map_err(|e| Failure::new(e.class, e.to_string()))?;
            if found.is_symlink {
                let message = format!(
                    "{} is a link: a drill restores no tablespace out of a plain folder, for it may lead to the data in use; make the base backup as tar (--format=tar)",
                    path.display()
                );
                return Err(Failure::new(FailureClass::Missing, message));
            }
            if found.is_dir {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

/// Unpacks `base.tar`, `pg_wal.tar` and one tar file for each tablespace.
async fn archives(copy: &FileCopy, account: &Account, scratch: &Path, cx: &Cx) -> Result<(), Failure> {
    let data = scratch.join("data");
    let folder = if copy.path.is_dir() { Some(copy.path.as_path()) } else { copy.path.parent() };
    let beside = |name: &str| {
        let endings = ["tar", "tar.gz", "tar.zst", "tar.lz4"];
        endings.iter().filter_map(|ending| Some(folder?.join(format!("{name}.{ending}")))).find(|path| path.is_file())
    };
    let base = if copy.path.is_dir() { beside("base") } else { Some(copy.path.clone()) };
    let base = base.ok_or_else(|| unreadable(format!("{}: there is no base.tar in it", copy.path.display())))?;
    untar(&base, &data, account, cx).await?;
    if let Some(wal) = beside("pg_wal") {
        untar(&wal, &data.join("pg_wal"), account, cx).await?;
    }
    // Links in a tar file lead to where the tablespaces were: those are in use. The server makes its own from this list.
    let map = data.join("tablespace_map");
    let Ok(bytes) = cx.read_file(&map, MOST_MAP).await else { return no_links(&data, cx).await };
    let mut written = String::new();
    for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()) {
        let id = line.split(' ').next().filter(|id| id.chars().all(|c| c.is_ascii_digit())).unwrap_or_default();
        let tar = beside(id).ok_or_else(|| unreadable(format!("the tablespace {id} is not in the copy")))?;
        let place = scratch.join(format!("tablespace-{id}"));
        account.folder(&place)?;
        untar(&tar, &place, account, cx).await?;
        written.push_str(&format!("{id} {}\n", place.display()));
    }
    account.write(&map, &written)?;
    let links = cx.list_dir(data.join("pg_tblspc"), MOST_NAMES).await.unwrap_or_default();
    for link in links.names.iter().map(|name| data.join("pg_tblspc").join(name)) {
        if cx.metadata(&link).await.is_ok_and(|found| found.is_symlink) {
            std::fs::remove_file(&link).map_err(|e| not_written(&link, &e))?;
        }
    }
    no_links(&data, cx).await
}

async fn untar(tar: &Path, into: &Path, account: &Account, cx: &Cx) -> Result<(), Failure> {
    let folder = into.display().to_string();
    let mut argv = vec!["tar", "--extract", "--file=-", "--no-same-owner", "--directory", &folder];
    let mut first = Vec::new();
    let opened = std::fs::File::open(tar)
        .and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, 4096), &mut first));
    opened.map_err(|e| Failure::new(FailureClass::Permission, format!("{}: can't be read: {e}", tar.display())))?;
    match detect(&first) {
        Detected::Packed(Packing::Gzip) => argv.push("--gzip"),
        Detected::Packed(packing) => {
            let name = packing.name();
            let option = if packing == Packing::Zstd { "--zstd" } else { "--use-compress-program=lz4" };
            if cx.which(name).is_none() {
                let message = format!("{}: the program {name} is not installed here", tar.display());
                return Err(Failure::new(FailureClass::Missing, message));
            }
            argv.push(option);
        }
        _ => {}
    }
    let output = account.run(cx, &argv, With { stdin: Some(tar), cwd: Some(into), ..With::default() }).await?;
    // It complains of nothing in words that are known: how it ended is all that there is, and the server looks next.
    if output.exit == Some(0) {
        return Ok(());
    }
    let said = last_line(&output.stderr).unwrap_or_else(|| "it said nothing".to_owned());
    Err(failed(&format!("tar, {}", tar.display()), &said))
}

/// Restores a backup of a stanza and starts it. Nothing is written to the repository: WAL is fetched from it, none is
/// archived, and no lock, log or queue is outside the scratch place.
///
/// # Errors
/// As [`base_backup`].
pub(super) async fn stanza<'a>(
    adapter: &pgbackrest::Adapter,
    label: &str,
    bytes: Option<i64>,
    account: &'a Account,
    scratch: &'a Path,
    cx: &Cx,
) -> Result<Up<'a>, Failure> {
    if let Some(bytes) = bytes.and_then(|b| u64::try_from(b).ok()) {
        room(bytes, label, scratch, cx)?;
    }
    let place = |name: &str| -> Result<String, Failure> {
        let path = scratch.join(name);
        account.folder(&path)?;
        Ok(path.display().to_string())
    };
    let (data, locks) = (place("data")?, place("lock")?);
    let ours = [format!("--pg1-path={data}"), format!("--lock-path={locks}"), "--no-archive-async".to_owned()];
    let spaces = format!("--tablespace-map-all={}", place("tablespaces")?);
    let set = format!("--set={label}");
    // The configuration of the machine may name places of production for links and tablespaces: none of them counts.
    let fixed = ["--reset-tablespace-map", "--reset-link-map", "--no-link-all", "--no-delta"];
    let more = ["--type=immediate", "--archive-mode=off", "--reset-recovery-option", "--reset-db-include"];
    let mut words: Vec<&str> = ours.iter().take(2).map(String::as_str).collect();
    words.extend(fixed);
    words.extend(more);
    words.extend([spaces.as_str(), set.as_str(), "restore"]);
    let program = adapter.tool(cx)?.program;
    let words = adapter.words(&words);
    let argv: Vec<&str> = std::iter::once(program.as_str()).chain(words.iter().map(String::as_str)).collect();
    let began = Instant::now();
    let output = account.run(cx, &argv, With { cwd: Some(scratch), ..With::default() }).await?;
    let tool_millis = millis(began);
    if let Err(failure) = done("pgbackrest", &output) {
        let said = String::from_utf8_lossy(&output.stderr);
        // A repository that can't be read by this user says nothing of the copy.
        let class = if said.contains("[041]") || said.contains("Permission denied") {
            FailureClass::Permission
        } else if is_ours(&said) {
            FailureClass::Missing
        } else {
            failure.class
        };
        let said = first_error(&output.stderr).or_else(|| last_line(&output.stdout)).unwrap_or(failure.message);
        return Err(Failure::new(class, format!("pgbackrest restore: {said}")));
    }
    let mut get: Vec<&str> = ours.iter().map(String::as_str).collect();
    get.extend(["--log-level-console=off", "--log-level-stderr=error", "archive-get"]);
    let program = match cx.which(&program) {
        Some(path) => path.display().to_string(),
        None => program,
    };
    let words: Vec<String> = std::iter::once(program).chain(adapter.words(&get)).map(|w| shell(&w)).collect();
    let command = format!("{} %f \"%p\"", words.join(" ")).replace('\'', "''");
    let recovery = format!(
        "restore_command = '{command}'\nrecovery_target = 'immediate'\nrecovery_target_action = 'promote'\n\
         recovery_target_timeline = 'current'\n"
    );
    account.write(&scratch.join("data").join("recovery.signal"), "")?;
    start(account, scratch, tool_millis, &recovery, cx).await
}

/// A word for the shell that PostgreSQL runs its `restore_command` with, and for PostgreSQL's own `%`.
fn shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''").replace('%', "%%"))
}

/// Starts what lies in the data's folder, free of all that would lead back to where it came from.
async fn start<'a>(
    account: &'a Account,
    scratch: &'a Path,
    tool_millis: i64,
    recovery: &str,
    cx: &Cx,
) -> Result<Up<'a>, Failure> {
    let data = scratch.join("data");
    let stale = ["postmaster.pid", "standby.signal", "recovery.conf"];
    let signal = (recovery.is_empty()).then_some("recovery.signal");
    let stale: Vec<PathBuf> = stale.into_iter().chain(signal).map(|name| data.join(name)).collect();
    for path in stale {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(not_written(&path, &e)),
            _ => {}
        }
    }
    let programs = programs_of(&data, cx).await?;
    let cluster = Cluster { account, programs, scratch, role: ROLE };
    let settings = format!("{recovery}{}", settings(&cluster, cx).await?);
    match cluster.start(cx, &settings).await? {
        Ok(server) => Ok(Up { cluster, server, tool_millis, whole: true }),
        Err(said) => Err(failed("the restored cluster does not start", &said)),
    }
}

/// Settings that a cluster can't be recovered with less of, from its control file.
async fn settings(cluster: &Cluster<'_>, cx: &Cx) -> Result<String, Failure> {
    let data = cluster.data().display().to_string();
    let said = cluster.run(cx, "pg_controldata", &["-D", &data], None).await?;
    let text = String::from_utf8_lossy(&said).into_owned();
    let names = [
        ("max_connections setting:", "max_connections"),
        ("max_prepared_xacts setting:", "max_prepared_transactions"),
        ("max_locks_per_xact setting:", "max_locks_per_transaction"),
        ("max_worker_processes setting:", "max_worker_processes"),
    ];
    let value = |line: &str| line.rsplit(':').next().and_then(|v| v.trim().parse::<u32>().ok());
    let lines = names.iter().filter_map(|(shown, name)| {
        let value = text.lines().find(|line| line.starts_with(shown)).and_then(value)?;
        Some(format!("{name} = {value}\n"))
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::shell;

    #[test]
    fn words_for_the_shell() {
        assert_eq!(shell("--config=/a b/it's 5%"), r"'--config=/a b/it'\''s 5%%'");
    }
}
