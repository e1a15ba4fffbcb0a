//! The probe `postgresql`: what a PostgreSQL server says of its own settings, rules, sessions and roles.

mod derive;
mod login;
pub(super) mod message;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use model::{Ask, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use self::message::{ServerError, message};
use super::answers::{Answer, Answers, MOST_ROWS};
use super::link::Link;
use super::tls::Wanted;
use super::{may_log_in, no_account, plan, session, spec_of};
use crate::facts::{DatabaseProduct, DatabaseSpec, PostgresqlFacts};

/// The sort of target, and the kind of evidence.
const SORT: &str = DatabaseProduct::Postgresql.sort();

/// Logs in to one PostgreSQL server and reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Postgresql;

impl Probe for Postgresql {
    fn kind(&self) -> Kind {
        Kind::new(SORT, Level::Effective)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(PostgresqlFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        plan(target, 1)
    }

    fn not_asked(&self, target: &Target) -> Option<String> {
        no_account(target)
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec_of(target)?;
            let answers = talk(cx, &with_socket(cx, spec).await).await?;
            probe::facts(&derive::facts(&answers))
        })
    }

    fn derive(&self, _: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        let answers = exchanges.last().and_then(Answers::of)?;
        Some(probe::facts(&derive::facts(&answers)))
    }
}

/// PostgreSQL's own programs take the socket's folder for its name.
async fn with_socket(cx: &Cx, mut spec: DatabaseSpec) -> DatabaseSpec {
    if let Some(path) = &mut spec.socket
        && cx.metadata(&path).await.is_ok_and(|found| found.is_dir)
    {
        *path = format!("{}/.s.PGSQL.{}", path.trim_end_matches('/'), DatabaseProduct::Postgresql.port());
    }
    spec
}

/// One session. An error in the middle ends it; what was answered until then counts.
async fn talk(cx: &Cx, spec: &DatabaseSpec) -> Result<Answers, Failure> {
    let password = match &spec.password {
        Some(reference) => Some(cx.secret(reference).await?),
        None => None,
    };
    let mut link = Link::open(cx, spec, SORT).await?;
    link.mute();
    let tls = match spec.socket {
        Some(_) => None,
        None => secure(cx, &mut link, spec).await?,
    };
    may_log_in(&link, spec, tls.as_ref())?;
    let user = spec.user.clone().unwrap_or_default();
    let database = spec.database.as_deref().unwrap_or("postgres");
    let startup = message::startup(&[
        ("user", &user),
        ("database", database),
        ("application_name", "probity"),
        ("client_encoding", "UTF8"),
        // Objects of others must not stand in for the catalogue's.
        ("search_path", "pg_catalog"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "10000"),
        ("lock_timeout", "2000"),
        ("datestyle", "ISO"),
        ("timezone", "UTC"),
    ]);
    link.send(&startup).await?;
    let method = log_in(&mut link, &user, password.as_ref().map(|p| p.as_str())).await?;
    let mut answers = Answers::begin(&mut link, session(spec, spec.user.clone(), method, tls));
    for question in derive::QUESTIONS {
        match query(&mut link, question).await {
            Ok(answer) => answers.add(cx, &mut link, question, answer),
            Err(failure) => {
                let answer = Answer { error: Some(failure.message), ..Answer::default() };
                answers.add(cx, &mut link, question, answer);
                return Ok(answers);
            }
        }
    }
    // A goodbye, as the protocol wants it; the server may be gone.
    let _ = link.send(&message(b'X', &[])).await;
    link.close().await;
    Ok(answers)
}

/// Goes over to TLS where the server offers it.
async fn secure(
    cx: &Cx,
    link: &mut Link,
    spec: &DatabaseSpec,
) -> Result<Option<crate::facts::DatabaseTlsSeen>, Failure> {
    link.send(&message::SSL_REQUEST).await?;
    match link.exact(1).await?.as_slice() {
        b"S" => {
            let wanted = Wanted::of(cx, spec).await?.speaking(Some("postgresql"));
            Ok(Some(link.secure(&wanted).await?))
        }
        b"N" => Ok(None),
        _ => {
            let what = "it does not answer as PostgreSQL does; is it the sort of server that the inventory says?";
            Err(link.failure(FailureClass::Protocol, what))
        }
    }
}

/// Answers what the server asks for, until it lets in.
async fn log_in(link: &mut Link, user: &str, password: Option<&str>) -> Result<&'static str, Failure> {
    let mut method = "none";
    let mut scram = None;
    let mut known = true;
    loop {
        let (kind, body) = message::read(link).await?;
        match kind {
            b'E' => {
                let error = ServerError::read(&body);
                let what = format!("the log-in of '{user}' failed: {error}; it was tried once");
                return Err(link.failure(FailureClass::Permission, what));
            }
            b'Z' if known => return Ok(method),
            b'R' => {}
            // Parameters, notices, the key to cancel with, what it does not know of the startup.
            b'S' | b'N' | b'K' | b'v' => continue,
            _ => return Err(link.failure(FailureClass::Protocol, "it does not follow the order of a log-in")),
        }
        let Some((code, rest)) = message::authentication(&body) else {
            return Err(link.failure(FailureClass::Protocol, "it asks for nothing that is known"));
        };
        if code == 0 {
            if !known {
                return Err(
                    link.failure(FailureClass::Protocol, "it let in without showing that it knows the password")
                );
            }
            continue;
        }
        if code < 11 {
            method = message::method(code);
        }
        let Some(password) = password else {
            let what = format!("it asks for a password ({method}), and the inventory names none for '{user}'");
            return Err(link.failure(FailureClass::Permission, what));
        };
        let wrong = |why: &str| format!("the log-in of '{user}' failed: {why}");
        let answer = match (code, &mut scram) {
            (3, _) => [password.as_bytes(), b"\0"].concat(),
            (5, _) => login::md5(user, password, rest).to_vec(),
            (10, slot) if rest.split(|b| *b == 0).any(|name| name == b"SCRAM-SHA-256") => {
                let mut bytes = [0; 18];
                aws_lc_rs::rand::fill(&mut bytes)
                    .map_err(|_| link.failure(FailureClass::Unreadable, "this machine gives no random bytes"))?;
                known = false;
                slot.insert(login::Scram::new(BASE64_STANDARD_NO_PAD.encode(bytes))).begin()
            }
            (11, Some(scram)) => {
                let proof = scram.prove(rest, password);
                proof.map_err(|why| link.failure(FailureClass::Protocol, wrong(why)))?
            }
            (12, Some(scram)) => {
                known = scram.server_knows(rest);
                if !known {
                    let why = "the server does not know the password itself; it may be an impostor";
                    return Err(link.failure(FailureClass::Protocol, wrong(why)));
                }
                continue;
            }
            _ => {
                let what = format!(
                    "it asks '{user}' for a log-in that is not known here ({method}, {code}); give another user, with \
                     scram-sha-256"
                );
                return Err(link.failure(FailureClass::Permission, what));
            }
        };
        link.send(&message(b'p', &zeroize::Zeroizing::new(answer))).await?;
    }
}

/// One question, by the simple protocol. An error of the server is an answer.
async fn query(link: &mut Link, sql: &str) -> Result<Answer, Failure> {
    link.send(&message(b'Q', &[sql.as_bytes(), b"\0"].concat())).await?;
    let mut answer = Answer::default();
    loop {
        let (kind, body) = message::read(link).await?;
        match kind {
            b'D' => match message::row(&body) {
                Some(row) if answer.rows.len() < MOST_ROWS => answer.rows.push(row),
                Some(_) => answer.cut = true,
                None => return Err(link.failure(FailureClass::Protocol, "it sent a row that can't be read")),
            },
            b'E' => answer.error = Some(ServerError::read(&body).to_string()),
            b'Z' => return Ok(answer),
            _ => {}
        }
    }
}
