//! Dumps of PostgreSQL in all their formats, loaded into a new cluster.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

use model::{Failure, FailureClass};
use probe::Cx;

use super::super::account::{Account, first_error};
use super::super::copies::FileCopy;
use super::super::report::{millis, room};
use super::super::server::finish;
use super::super::unpacked::unpacked;
use super::Up;
use super::server::{Cluster, Programs, failed, is_ours, quoted, version};
use crate::format::Format;

/// The role that owns what comes back. No dump makes one of this name.
const ROLE: &str = "probity_drill";
/// The database that a dump of one is loaded into, where its name is not known.
const DATABASE: &str = "restored";
/// Databases that every cluster has from its beginning.
const OWN: [&str; 3] = ["postgres", "template0", "template1"];
/// Bytes of a line that is looked at for roles.
const MOST_LINE: usize = 4096;
/// What `pg_dump` and `pg_dumpall` write last.
const END: [&str; 2] = ["-- PostgreSQL database dump complete", "-- PostgreSQL database cluster dump complete"];
/// Roles that are made.
const MOST_ROLES: usize = 10_000;

/// Makes a cluster and loads a dump into it.
///
/// # Errors
/// [`FailureClass::Unreadable`] where the dump can't be loaded; anything else where that could not be tried.
pub(super) async fn load<'a>(
    copy: &FileCopy,
    named: Option<&str>,
    account: &'a Account,
    scratch: &'a Path,
    cx: &Cx,
) -> Result<Up<'a>, Failure> {
    let major = copy.seen.origin.server.as_deref().and_then(version);
    let programs = Programs::find(cx, major, true).await?;
    let cluster = Cluster { account, programs, scratch, role: ROLE };
    room(copy.bytes(cx).await?, &copy.name(), scratch, cx)?;
    let folder = scratch.join("copy");
    account.folder(&folder)?;
    let path = match copy.seen.packing {
        Some(packing) => unpacked(cx, &copy.path, packing, &folder).await?,
        None if copy.format() == Format::PgDumpDirectory && account.is_other() => {
            account.copy(cx, &copy.path, &folder).await?;
            folder
        }
        None => copy.path.clone(),
    };
    let (program, data) = (cluster.programs.path("initdb"), cluster.data().display().to_string());
    let words = ["--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", ROLE, "-D"];
    let argv: Vec<&str> = std::iter::once(program.as_str()).chain(words).chain([data.as_str()]).collect();
    // A cluster of our own that is not made or does not start says nothing of the copy.
    let not_tried = |message: String| Failure::new(FailureClass::Missing, message);
    let said = finish(cx, account, &argv, scratch).await?;
    if let Some(error) = first_error(&said) {
        return Err(not_tried(format!("initdb: {error}")));
    }
    let server = cluster.start(cx, "wal_level = minimal\nmax_wal_size = 1GB\n").await?;
    let server = server.map_err(|said| not_tried(format!("the scratch server does not start: {said}")))?;
    let began = Instant::now();
    // Under its own name, so that it is compared with the one of the same name.
    let known = named.or_else(|| copy.seen.origin.databases.first().map(String::as_str));
    let name = known.filter(|name| !OWN.contains(name)).unwrap_or(DATABASE);
    let loaded = match copy.format() {
        Format::PgDumpSql | Format::PgDumpall => script(&cluster, &path, copy.format(), name, cx).await,
        _ => archive(&cluster, &path, copy.format() == Format::PgDumpDirectory, name, cx).await,
    };
    let tool_millis = millis(began);
    match loaded {
        Ok(()) => Ok(Up { cluster, server, tool_millis, whole: copy.format() == Format::PgDumpall }),
        Err(failure) => {
            server.end().await?;
            Err(if is_ours(&failure.message) { failed("pg_restore", &failure.message) } else { failure })
        }
    }
}

/// What `pg_restore` reads. A file is handed to it, so that it need not be able to open it.
async fn archive(cluster: &Cluster<'_>, path: &Path, is_folder: bool, name: &str, cx: &Cx) -> Result<(), Failure> {
    let stdin = (!is_folder).then_some(path);
    let folder = path.display().to_string();
    let place = is_folder.then_some(folder.as_str());
    // With an empty list it writes what stands before the first object: the encoding among it.
    let words = ["--file=-", "--use-list=/dev/null"].into_iter().chain(place);
    let head = cluster.run(cx, "pg_restore", &words.collect::<Vec<_>>(), stdin).await?;
    let into = database(cluster, name, encoding(&String::from_utf8_lossy(&head)), cx).await?;
    // Owners and rights name roles that a dump of one database does not bring; a subscription would be a way out.
    let words = ["--exit-on-error", "--no-owner", "--no-privileges", "--no-subscriptions", "--no-publications"];
    let words = words.into_iter().chain(["--dbname", &into]).chain(place);
    cluster.run(cx, "pg_restore", &words.collect::<Vec<_>>(), stdin).await.map(drop)
}

/// What `psql` reads.
async fn script(cluster: &Cluster<'_>, path: &Path, format: Format, name: &str, cx: &Cx) -> Result<(), Failure> {
    let mut into = "template1".to_owned();
    let head = head(path.to_owned()).await?;
    if !head.ended {
        // What is loaded of it would look whole.
        return Err(Failure::new(FailureClass::Unreadable, "the script breaks off: it lacks the mark of its end"));
    }
    if format == Format::PgDumpSql {
        into = database(cluster, name, encoding(&head.text), cx).await?;
        for role in &head.roles {
            let statement = format!("create role {role}");
            cluster.run(cx, "psql", &["--no-psqlrc", "--quiet", "-d", &into, "-c", &statement], None).await?;
        }
    }
    let words = ["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "--output=/dev/null", "-d", &into, "-f", "-"];
    cluster.run(cx, "psql", &words, Some(path)).await.map(drop)
}

/// Makes a database, and gives how it is reached.
async fn database(cluster: &Cluster<'_>, name: &str, encoding: &str, cx: &Cx) -> Result<String, Failure> {
    let words = ["--template=template0", "--locale=C", "--encoding", encoding, "--", name];
    cluster.run(cx, "createdb", &words, None).await?;
    Ok(format!("dbname={}", quoted(name)))
}

/// The encoding that a dump's first statements name.
fn encoding(head: &str) -> &str {
    let line = head.lines().find_map(|line| line.strip_prefix("SET client_encoding = '"));
    line.and_then(|rest| rest.split('\'').next()).filter(|name| !name.is_empty()).unwrap_or("UTF8")
}

/// What a script says of itself.
#[derive(Debug, Default)]
struct Head {
    /// Its first lines.
    text: String,
    /// Roles that it gives things to, as SQL writes them.
    roles: BTreeSet<String>,
    /// Whether the mark of its end was seen.
    ended: bool,
}

/// Reads a script through for its end, and for its roles, which have to be there before it is loaded.
async fn head(path: PathBuf) -> Result<Head, Failure> {
    let name = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<Head> {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut head = Head::default();
        let (mut rows, mut line) = (false, Vec::new());
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(head);
            }
            let shown = line.get(..line.len().min(MOST_LINE)).unwrap_or_default();
            // Between COPY … FROM stdin and its end, lines are rows.
            if rows {
                rows = shown != b"\\.\n";
                continue;
            }
            let text = String::from_utf8_lossy(shown);
            rows = text.starts_with("COPY ") && text.trim_end().ends_with(" FROM stdin;");
            head.ended |= END.iter().any(|mark| text.starts_with(mark));
            if head.text.len() < MOST_LINE {
                head.text.push_str(&text);
            }
            if head.roles.len() < MOST_ROLES {
                head.roles.extend(role(text.trim_end()));
            }
        }
    });
    let read = read.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    read.map_err(|e| Failure::new(FailureClass::Permission, format!("{name}: can't be read: {e}")))
}

/// The role in a statement of a dump that gives something to one.
fn role(line: &str) -> Option<String> {
    let line = line.strip_suffix(';')?;
    let line = line.strip_suffix(" WITH GRANT OPTION").unwrap_or(line);
    let at = match line.split_ascii_whitespace().next()? {
        "ALTER" => line.rfind(" OWNER TO ")? + " OWNER TO ".len(),
        "GRANT" => line.rfind(" TO ")? + " TO ".len(),
        "REVOKE" => line.rfind(" FROM ")? + " FROM ".len(),
        _ => return None,
    };
    let role = line.get(at..)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let quoted = role.strip_prefix('"').and_then(|r| r.strip_suffix('"'));
    let one = match quoted {
        Some(inner) => !inner.is_empty() && !inner.contains('"') && !inner.starts_with("pg_"),
        None => role.chars().all(plain) && !role.is_empty() && !role.starts_with("pg_"),
    };
    (one && role != ROLE).then(|| role.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{encoding, role};

    #[test]
    fn roles_in_statements() {
        for (line, wanted) in [
            ("ALTER TABLE public.a OWNER TO app;", Some("app")),
            ("ALTER TABLE public.a OWNER TO \"App x\";", Some("\"App x\"")),
            ("GRANT SELECT ON TABLE public.a TO reader WITH GRANT OPTION;", Some("reader")),
            ("REVOKE ALL ON SCHEMA public FROM PUBLIC;", None),
            ("GRANT pg_read_all_data TO pg_monitor;", None),
            ("ALTER TABLE a OWNER TO x; drop table b;", None),
            ("ALTER TABLE a OWNER TO \"x\"\"y\";", None),
            ("SELECT 1 TO x;", None),
        ] {
            assert_eq!(role(line).as_deref(), wanted, "{line}");
        }
    }

    #[test]
    fn encodings() {
        assert_eq!(encoding("SET a = 1;\nSET client_encoding = 'LATIN1';\n"), "LATIN1");
        assert_eq!(encoding(""), "UTF8");
    }
}
