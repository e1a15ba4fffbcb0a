//! Rows of a table, asked for through the database's own client, read-only. The client decompresses what the engine
//! compressed, so that what is judged is what the server can read.

use std::time::Duration;

use probe::{Command, Cx};
use zeroize::Zeroizing;

use super::target::Sql;
use super::{Draw, Drawn, HEAD, Lens, Looked};

/// A line of an answer: a payload in hexadecimal.
pub(super) const LINE: usize = 4 << 20;

/// Looks at rows that the database chooses at random.
pub(super) async fn draw(sql: &Sql, draw: Draw, lens: &Lens, cx: &Cx) -> Result<Drawn, String> {
    let client = Client::of(sql, cx).await?;
    let mut of = None;
    let (table, column) = (client.name(&sql.table)?, client.name(&sql.column)?);
    let filled = format!("from {table} where {column} is not null and {}", client.is_filled(&column));
    client
        .lines(cx, &format!("select count(*) {filled}"), &mut |line| {
            of = std::str::from_utf8(line).ok().and_then(|text| text.trim().parse().ok());
        })
        .await?;
    let (mut looked, mut unread): (Vec<Looked>, usize) = (Vec::new(), 0);
    let statement =
        format!("select {} {filled} order by {} limit {}", client.value(&column), client.random(draw.seed), draw.count);
    client
        .lines(cx, &statement, &mut |line| {
            let Some((length, bytes)) = value(line) else {
                unread += 1;
                return;
            };
            let name = format!("row {} of {}.{}", looked.len() + 1, sql.table, sql.column);
            looked.push(lens.look(name, length, &bytes, &[]));
        })
        .await?;
    let why = (unread > 0).then(|| "the client printed lines that are no payloads".to_owned());
    Ok(Drawn { looked, of, unread, why })
}

/// A length, a space, and the first bytes in hexadecimal.
fn value(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (length, hex) = std::str::from_utf8(line).ok()?.trim().split_once(' ')?;
    Some((length.parse().ok()?, unhex(hex.as_bytes())?))
}

/// Bytes that are written in hexadecimal.
pub(super) fn unhex(hex: &[u8]) -> Option<Vec<u8>> {
    let hex = hex.strip_prefix(b"\\x").unwrap_or(hex);
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    hex.chunks(2).map(|p| Some(digit(*p.first()?)? << 4 | digit(*p.get(1)?)?)).collect()
}

/// A client program and what it needs to know.
pub(super) struct Client {
    argv: Vec<String>,
    dialect: Dialect,
    password: Option<Zeroizing<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Postgres,
    Mysql,
    Sqlite,
}

impl Client {
    /// The client for a column.
    pub(super) async fn of(sql: &Sql, cx: &Cx) -> Result<Self, String> {
        let password = match &sql.password {
            Some(reference) => Some(cx.secret(reference).await.map_err(|f| f.message)?),
            None => None,
        };
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<String>>();
        let (argv, dialect) = match (&sql.postgresql, &sql.mysql, &sql.sqlite) {
            (Some(at), ..) => {
                let fixed = ["psql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--no-password"];
                (words(&[&fixed[..], &["-v", "ON_ERROR_STOP=1", "-d", at, "-c"]].concat()), Dialect::Postgres)
            }
            (_, Some(at), _) => {
                let program = if cx.which("mariadb").is_some() { "mariadb" } else { "mysql" };
                let mut argv = words(&[program, "--no-defaults", "--batch", "--skip-column-names", "--quick"]);
                for pair in at.split_whitespace() {
                    match pair.split_once('=') {
                        Some((key @ ("socket" | "host" | "port" | "user" | "database"), value)) => {
                            argv.push(format!("--{key}={value}"));
                        }
                        _ => return Err(format!("'{pair}' is none of socket=, host=, port=, user= and database=")),
                    }
                }
                argv.push("-e".to_owned());
                (argv, Dialect::Mysql)
            }
            (.., Some(path)) => {
                // A database that nobody has open is read without the notes that SQLite would leave beside it.
                let live = cx.metadata(format!("{path}-wal")).await.is_ok_and(|wal| wal.size > 0);
                let found = cx.metadata(path).await.map_err(|e| e.to_string())?;
                if !found.is_file {
                    return Err(format!("{path}: not a regular file"));
                }
                let quoted = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
                let uri = format!("file:{quoted}?mode=ro{}", if live { "" } else { "&immutable=1" });
                (words(&["sqlite3", "-init", "/dev/null", "-batch", "-noheader", &uri]), Dialect::Sqlite)
            }
            _ => return Err("no database is named".to_owned()),
        };
        Ok(Self { argv, dialect, password })
    }

    /// A table or column as SQL wants it.
    pub(super) fn name(&self, name: &str) -> Result<String, String> {
        if name.is_empty() || name.contains(['\0', '\\']) {
            return Err(format!("'{name}' is no name of a table or column"));
        }
        let mark = if self.dialect == Dialect::Mysql { "`" } else { "\"" };
        let quoted = name.split('.').map(|part| format!("{mark}{}{mark}", part.replace(mark, &mark.repeat(2))));
        Ok(quoted.collect::<Vec<_>>().join("."))
    }

    fn is_filled(&self, column: &str) -> String {
        match self.dialect {
            Dialect::Postgres => format!("{column}::text <> ''"),
            _ => format!("length({column}) > 0"),
        }
    }

    /// Length and beginning of a value, whatever its type, in hexadecimal.
    pub(super) fn value(&self, column: &str) -> String {
        match self.dialect {
            // The text of a bytea is hexadecimal already; a layer more is taken off like any other.
            Dialect::Postgres => format!(
                "octet_length({column}::text) || ' ' || encode(convert_to(left({column}::text, {HEAD}), 'UTF8'), 'hex')"
            ),
            Dialect::Mysql => format!("concat(length({column}), ' ', hex(left({column}, {HEAD})))"),
            Dialect::Sqlite => {
                format!("length(cast({column} as blob)) || ' ' || hex(substr(cast({column} as blob), 1, {HEAD}))")
            }
        }
    }

    /// Statements that print every row, and every byte of a column; the first row of each is a control marker.
    pub(super) fn whole(&self, table: &str, column: &str, control: &str) -> Vec<String> {
        match self.dialect {
            Dialect::Postgres => vec![
                format!("select '{control}' union all select whole::text from {table} whole"),
                // A bytea is hexadecimal as a text, so that its bytes are two layers down.
                format!(
                    "select '{control}' union all select encode(convert_to({column}::text, 'UTF8'), 'hex') from {table}"
                ),
            ],
            _ => vec![
                format!("select '{control}'; select * from {table}"),
                format!("select '{control}'; select hex({column}) from {table}"),
            ],
        }
    }

    fn random(&self, seed: u64) -> String {
        match self.dialect {
            Dialect::Mysql => format!("rand({})", seed >> 33),
            _ => "random()".to_owned(),
        }
    }

    /// The lines of an answer.
    pub(super) async fn lines(
        &self,
        cx: &Cx,
        statement: &str,
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), String> {
        let statement = match self.dialect {
            Dialect::Postgres => statement.to_owned(),
            Dialect::Mysql => format!("set session transaction read only; {statement}"),
            Dialect::Sqlite => format!("pragma query_only=on; {statement}"),
        };
        let mut argv: Vec<&str> = self.argv.iter().map(String::as_str).collect();
        argv.push(&statement);
        let mut env = vec![];
        if self.dialect == Dialect::Postgres {
            // A policy of row-level security would hide rows without a word; so it refuses to answer.
            env.push(("PGOPTIONS", "-c default_transaction_read_only=on -c bytea_output=hex -c row_security=off"));
            env.push(("PGCONNECT_TIMEOUT", "10"));
        }
        if let Some(password) = &self.password {
            env.push((if self.dialect == Dialect::Mysql { "MYSQL_PWD" } else { "PGPASSWORD" }, password.as_str()));
        }
        let version: &[&str] = if self.dialect == Dialect::Sqlite { &["-version"] } else { &["--version"] };
        let within = cx.remaining().saturating_sub(Duration::from_millis(500));
        let command = Command { env: &env, most: LINE, within, version, ..Command::new(&argv) };
        let take = |line: &[u8]| {
            each(line);
            Ok(())
        };
        let output = cx.command_lines(command, take).await.map_err(|f| f.message)?;
        if output.exit == Some(0) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no word of it");
        Err(format!("{} can't ask for it: {said}", argv.first().unwrap_or(&"the client")))
    }
}
