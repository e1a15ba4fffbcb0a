//! The drill for MariaDB: a scratch server on a private socket, loaded from a dump or from a prepared copy of a backup.

mod server;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Instant;

use model::{Failure, FailureClass};
use probe::Cx;

use self::server::{Instance, SYSTEM};
use super::account::{Account, With, done, last_line};
use super::copies::{self, FileCopy};
use super::database::{self, Sql};
use super::report::{About, Back, absent, facts, millis, room};
use super::unpacked::unpacked;
use crate::facts::{Outcome, RestoreFacts, Sample};
use crate::format::Format;
use crate::target::{BackupSpec, Drill};

/// The database that a dump of one is loaded into, where its name is not known.
const DATABASE: &str = "restored";
/// Bytes of a script's end that are looked at.
const TAIL: u64 = 4096;
/// What `mariadb-dump` and `mysqldump` write last; the first is left out with `--skip-comments`.
const END: [&str; 2] = ["-- Dump completed", "SET SQL_NOTES=@OLD_SQL_NOTES */"];
/// Names in one folder.
const MOST_NAMES: usize = 1_000_000;
/// Bytes of the options of a backup.
const MOST_OPTIONS: usize = 64 << 10;
/// Options without which a backup's files can't be opened.
const OPTIONS: [&str; 3] = ["innodb_page_size", "innodb_data_file_path", "innodb_undo_tablespaces"];

/// A folder of data that a server can be started on.
struct Ready {
    tool_millis: i64,
    options: Vec<String>,
    /// Whether every database must be in it.
    whole: bool,
}

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
    let account = Account::of(cx, drill.user.as_deref(), "mysql").await?;
    let scratch = cx.scratch("mariadb").await?;
    account.give(&scratch)?;
    room(copy.bytes(cx).await?, &copy.name(), &scratch, cx)?;
    account.folder(&scratch.join("tmp"))?;
    let instance = Instance { account: &account, scratch: &scratch };
    let began = Instant::now();
    let ready = match copy.format() {
        Format::MysqlDump => dump(copy, copies::database(spec, drill), &instance, cx).await,
        _ => files(copy, &instance, cx).await,
    };
    let answered = match ready {
        Ok(ready) => answers(spec, drill, &instance, &ready, began, &about, cx).await,
        Err(failure) => Err(failure),
    };
    match answered {
        Ok(back) => {
            let (files, bytes) = super::files::contents(&instance.data(), cx, &mut |_, _| {}).await;
            Ok(facts(spec, about, Back { files, bytes, ..back }))
        }
        Err(failure) => absent(spec, about, failure, millis(began)),
    }
}

/// Starts a server that asks for no password, and asks it what came back.
async fn answers(
    spec: &BackupSpec,
    drill: &Drill,
    instance: &Instance<'_>,
    ready: &Ready,
    began: Instant,
    about: &About,
    cx: &Cx,
) -> Result<Back, Failure> {
    let mut options: Vec<&str> = ready.options.iter().map(String::as_str).collect();
    // Passwords are those of production, plugins and servers that it names are not ours.
    options.push("--skip-grant-tables");
    let server = instance.start(cx, &options).await?;
    let server = server.map_err(|said| server::failed("the restored server does not start", &said))?;
    let asked = ask(spec, drill, instance, ready, began, about, cx).await;
    server.end().await?;
    asked
}

async fn ask(
    spec: &BackupSpec,
    drill: &Drill,
    instance: &Instance<'_>,
    ready: &Ready,
    began: Instant,
    about: &About,
    cx: &Cx,
) -> Result<Back, Failure> {
    let all = instance.database(None);
    let what = "the restored server does not answer";
    let statement = format!(
        "select s.schema_name from information_schema.schemata s left join information_schema.tables t \
         on t.table_schema = s.schema_name where s.schema_name not in ({SYSTEM}) \
         group by s.schema_name order by sum(t.data_length) desc, s.schema_name"
    );
    let names = all.ask(cx, &statement).await.map_err(|said| server::failed(what, &said))?;
    let millis = millis(began);
    let unreadable = |message: String| Failure::new(FailureClass::Unreadable, message);
    if let Some(wanted) = drill.database.as_ref().filter(|wanted| !names.contains(wanted)) {
        return Err(unreadable(format!("the database '{wanted}' did not come back")));
    }
    let restored = instance.database(drill.database.as_ref().or_else(|| names.first()).map(String::as_str));
    let live = drill.live.as_ref().map(|options| instance.live(options, &names));
    let live = live.as_ref().map(|live| live as &dyn Sql);
    let compared = database::compare(&restored, live, about.point(), drill, cx).await;
    let mut compared = compared.map_err(|said| server::failed("what came back can't be read", &said))?;
    if ready.whole {
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
        tool_millis: ready.tool_millis,
        millis,
        files: 0,
        bytes: 0,
    })
}

/// Loads a dump into a new server, which is then ended.
async fn dump(copy: &FileCopy, named: Option<&str>, instance: &Instance<'_>, cx: &Cx) -> Result<Ready, Failure> {
    let path = match copy.seen.packing {
        Some(packing) => unpacked(cx, &copy.path, packing, instance.scratch).await?,
        None => copy.path.clone(),
    };
    whole_script(&path)?;
    // A server of our own that is not made or does not start says nothing of the copy.
    let not_tried = |message: String| Failure::new(FailureClass::Missing, message);
    instance.install(cx).await.map_err(|failure| not_tried(failure.message))?;
    let server = instance.start(cx, &[]).await?;
    let server = server.map_err(|said| not_tried(format!("the scratch server does not start: {said}")))?;
    let name = named.or_else(|| copy.seen.origin.databases.first().map(String::as_str)).unwrap_or(DATABASE);
    let began = Instant::now();
    let loaded = instance.load(cx, name, &path).await;
    let tool_millis = millis(began);
    // It is started again without its grants, which the dump may have brought.
    server.end().await?;
    loaded.map(|()| Ready { tool_millis, options: Vec::new(), whole: false })
}

/// A script that breaks off between two statements would load without an error.
fn whole_script(path: &Path) -> Result<(), Failure> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(tail)
    };
    let tail = read().map_err(|e| Failure::new(FailureClass::Permission, format!("{}: {e}", path.display())))?;
    let tail = String::from_utf8_lossy(&tail);
    if END.iter().any(|mark| tail.contains(mark)) {
        return Ok(());
    }
    Err(Failure::new(FailureClass::Unreadable, "the script breaks off: it lacks the mark of its end"))
}

/// Copies a backup's files and prepares the copy. The backup itself is only read.
async fn files(copy: &FileCopy, instance: &Instance<'_>, cx: &Cx) -> Result<Ready, Failure> {
    if copy.seen.incremental == Some(true) {
        let message = format!("{} is incremental: it is not restored without those before it", copy.name());
        return Err(Failure::new(FailureClass::Missing, message));
    }
    instance.same_version(copy.seen.origin.server.as_deref(), cx).await?;
    let (account, data) = (instance.account, instance.data());
    let began = Instant::now();
    account.folder(&data)?;
    if copy.format() == Format::Xbstream {
        let path = match copy.seen.packing {
            Some(packing) => unpacked(cx, &copy.path, packing, instance.scratch).await?,
            None => copy.path.clone(),
        };
        let folder = data.display().to_string();
        let argv = ["mbstream", "--extract", "--directory", &folder];
        let with = With { stdin: Some(&path), cwd: Some(instance.scratch), ..With::default() };
        account.run(cx, &argv, with).await.and_then(|output| done("mbstream", &output))?;
    } else {
        no_way_out(&copy.path, cx).await?;
        account.copy(cx, &copy.path, &data).await?;
    }
    no_way_out(&data, cx).await?;
    if copy.seen.prepared != Some(true) {
        let (target, tmp) = (format!("--target-dir={}", data.display()), instance.tmp());
        let argv = ["mariabackup", "--no-defaults", "--prepare", &target, &tmp];
        let output = account.run(cx, &argv, With { cwd: Some(instance.scratch), ..With::default() }).await?;
        if output.exit != Some(0) || !String::from_utf8_lossy(&output.stderr).contains("completed OK!") {
            let said = super::account::first_error(&output.stderr).or_else(|| last_line(&output.stderr));
            return Err(server::failed("mariabackup --prepare", &said.unwrap_or_default()));
        }
    }
    let tool_millis = millis(began);
    Ok(Ready { tool_millis, options: options(&data, cx).await, whole: true })
}

/// Links, and files that say where others are, lead to the data in use: nothing is started with them.
async fn no_way_out(folder: &Path, cx: &Cx) -> Result<(), Failure> {
    let fail = |e: probe::FileError| Failure::new(e.class, e.to_string());
    let mut waiting: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for name in cx.list_dir(&folder, MOST_NAMES).await.map_err(fail)?.names {
            let path = folder.join(&name);
            let found = cx.metadata(&path).await.map_err(fail)?;
            if found.is_symlink || name.ends_with(".isl") || name.ends_with(".sym") {
                let message = format!(
                    "{} leads out of the copy, perhaps to the data in use: a drill does not restore tables with a folder of their own",
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

/// The options that a backup's files need, from the list that it brings. Names of folders are never among them.
async fn options(data: &Path, cx: &Cx) -> Vec<String> {
    let text = cx.read_file(data.join("backup-my.cnf"), MOST_OPTIONS).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let option = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | ';' | '_' | '.');
        let known = OPTIONS.contains(&name.trim()) && value.trim().chars().all(plain);
        known.then(|| format!("--{}={}", name.trim().replace('_', "-"), value.trim()))
    };
    text.lines().filter_map(option).collect()
}
