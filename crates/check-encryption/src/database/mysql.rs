//! The probe `mysql`: what a MySQL or MariaDB server says of its own settings, accounts, tablespaces and sessions.

mod derive;
mod login;
pub(super) mod packet;

use model::{Ask, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};
use zeroize::Zeroizing;

use self::packet::{Greeting, Reply, can, packet};
use super::answers::{Answer, Answers, MOST_ROWS};
use super::link::Link;
use super::tls::Wanted;
use super::{may_log_in, no_account, plan, session, spec_of};
use crate::facts::{DatabaseProduct, DatabaseSpec, MysqlFacts};

/// The sort of target, and the kind of evidence.
const SORT: &str = DatabaseProduct::Mysql.sort();
/// More turns than any log-in takes.
const MOST_TURNS: usize = 10;

/// Logs in to one MySQL or MariaDB server and reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mysql;

impl Probe for Mysql {
    fn kind(&self) -> Kind {
        Kind::new(SORT, Level::Effective)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(MysqlFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        plan(target, 1)
    }

    fn not_asked(&self, target: &Target) -> Option<String> {
        no_account(target)
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&derive::facts(&talk(cx, &spec_of(target)?).await?)) })
    }

    fn derive(&self, _: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        let answers = exchanges.last().and_then(Answers::of)?;
        Some(probe::facts(&derive::facts(&answers)))
    }
}

/// One session. An error in the middle ends it; what was answered until then counts.
async fn talk(cx: &Cx, spec: &DatabaseSpec) -> Result<Answers, Failure> {
    let password = match &spec.password {
        Some(reference) => Some(cx.secret(reference).await?),
        None => None,
    };
    let mut link = Link::open(cx, spec, SORT).await?;
    link.mute();
    let greeting = greet(&mut link).await?;
    let mut number = 1;
    let tls = if spec.socket.is_none() && greeting.capabilities & can::SSL != 0 {
        link.send(&packet(number, &packet::ssl_request())).await?;
        number += 1;
        let wanted = Wanted::of(cx, spec).await?;
        Some(link.secure(&wanted).await?)
    } else {
        None
    };
    may_log_in(&link, spec, tls.as_ref())?;
    let account = Account {
        user: spec.user.as_deref().unwrap_or_default(),
        password: password.as_ref().map_or("", |p| p.as_str()),
        sealed: spec.socket.is_some() || tls.is_some(),
        tls: tls.is_some(),
    };
    let method = log_in(&mut link, &greeting, &account, number).await?;
    let mut answers = Answers::begin(&mut link, session(spec, spec.user.clone(), &method, tls));
    let version = Answer { rows: vec![vec![Some(greeting.version.clone())]], ..Answer::default() };
    answers.add(cx, &mut link, derive::GREETING, version);
    for question in derive::questions(greeting.is_mariadb()) {
        match query(&mut link, question).await {
            Ok(answer) => answers.add(cx, &mut link, question, answer),
            Err(failure) => {
                let answer = Answer { error: Some(failure.message), ..Answer::default() };
                answers.add(cx, &mut link, question, answer);
                return Ok(answers);
            }
        }
    }
    // COM_QUIT; the server may be gone.
    let _ = link.send(&packet(0, &[1])).await;
    link.close().await;
    Ok(answers)
}

/// Who logs in.
struct Account<'a> {
    user: &'a str,
    password: &'a str,
    /// Nobody on the way can read along.
    sealed: bool,
    tls: bool,
}

async fn greet(link: &mut Link) -> Result<Greeting, Failure> {
    let (_, body) = packet::read(link).await?;
    if let Reply::Error(number, words) = Reply::read(&body) {
        return Err(
            link.failure(FailureClass::Refused, format!("the server lets nobody in from here: {words} ({number})"))
        );
    }
    Greeting::read(&body).ok_or_else(|| {
        link.failure(FailureClass::Protocol, "it does not greet as MySQL does; is it the sort that the inventory says?")
    })
}

/// Proves the password by the method that the server wants. One attempt.
async fn log_in(link: &mut Link, greeting: &Greeting, account: &Account<'_>, number: u8) -> Result<String, Failure> {
    let mut method = greeting.method.clone();
    let mut challenge = greeting.challenge.clone();
    let first = login::proof(&method, &challenge, account.password).unwrap_or_default();
    let body = Zeroizing::new(packet::log_in(account.user, &first, &method, account.tls));
    link.send(&packet(number, &body)).await?;
    let wrong = |why: String| format!("the log-in of '{}' failed: {why}", account.user);
    for _ in 0..MOST_TURNS {
        let (number, body) = packet::read(link).await?;
        let next = number.wrapping_add(1);
        let answer = match Reply::read(&body) {
            Reply::Fine => return Ok(method),
            Reply::Error(number, words) => {
                let why = wrong(format!("{words} ({number}); it was tried once"));
                return Err(link.failure(FailureClass::Permission, why));
            }
            Reply::Switch(wanted, given) => {
                (method, challenge) = (wanted, given);
                match login::proof(&method, &challenge, account.password) {
                    Some(proof) => proof,
                    None if method == "mysql_clear_password" && account.sealed => clear(account.password),
                    None => {
                        let why = wrong(format!("it wants '{method}', which is not known here; give another user"));
                        return Err(link.failure(FailureClass::Permission, why));
                    }
                }
            }
            // caching_sha2_password: 3, it knew the hash; 4, it wants the password itself, once.
            Reply::More(more) if more == [3] => continue,
            Reply::More(more) if more == [4] && method == "caching_sha2_password" => {
                if !account.sealed {
                    let why =
                        "the server wants the password itself, and the connection is not encrypted; switch TLS on";
                    return Err(link.failure(FailureClass::Permission, wrong(why.to_owned())));
                }
                clear(account.password)
            }
            Reply::More(_) | Reply::Other => {
                return Err(link.failure(FailureClass::Protocol, wrong("it does not follow the protocol".to_owned())));
            }
        };
        link.send(&Zeroizing::new(packet(next, &answer))).await?;
    }
    Err(link.failure(FailureClass::Protocol, wrong("it came to no end".to_owned())))
}

fn clear(password: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([password.as_bytes(), b"\0"].concat())
}

/// One question. An error of the server is an answer.
async fn query(link: &mut Link, sql: &str) -> Result<Answer, Failure> {
    link.send(&packet(0, &[&[3], sql.as_bytes()].concat())).await?;
    let garbage = |link: &Link| link.failure(FailureClass::Protocol, "it sent a result that can't be read");
    let mut answer = Answer::default();
    let (_, body) = packet::read(link).await?;
    let columns = match Reply::read(&body) {
        Reply::Fine => return Ok(answer),
        Reply::Error(number, words) => return Ok(refused(answer, number, &words)),
        // 0xfb would have this client send a file.
        _ => packet::columns(&body).ok_or_else(|| garbage(link))?,
    };
    // Their descriptions, and the packet that ends these.
    for _ in 0..columns.min(100) {
        packet::read(link).await?;
    }
    if columns > 100 || !packet::is_end(&packet::read(link).await?.1) {
        return Err(garbage(link));
    }
    loop {
        let (_, body) = packet::read(link).await?;
        if packet::is_end(&body) {
            return Ok(answer);
        }
        if let Reply::Error(number, words) = Reply::read(&body) {
            return Ok(refused(answer, number, &words));
        }
        match packet::row(&body).filter(|row| row.len() == columns) {
            Some(row) if answer.rows.len() < MOST_ROWS => answer.rows.push(row),
            Some(_) => answer.cut = true,
            None => return Err(garbage(link)),
        }
    }
}

fn refused(answer: Answer, number: u16, words: &str) -> Answer {
    Answer { error: Some(format!("{words} ({number})")), ..answer }
}
