//! The probe `redis`: what a Redis or Valkey server says of its own settings, users and persistence.

mod derive;
pub(super) mod resp;

use model::{Ask, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use self::resp::Value;
use super::answers::{Answer, Answers};
use super::link::Link;
use super::tls::Wanted;
use super::{may_log_in, plan, session, spec_of};
use crate::facts::{DatabaseProduct, DatabaseSpec, RedisFacts};

/// The sort of target, and the kind of evidence.
const SORT: &str = DatabaseProduct::Redis.sort();

/// Logs in to one Redis or Valkey server and reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Redis;

impl Probe for Redis {
    fn kind(&self) -> Kind {
        Kind::new(SORT, Level::Effective)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(RedisFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        plan(target, 1)
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&derive::facts(&talk(cx, &spec_of(target)?).await?)) })
    }

    fn derive(&self, _: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        let answers = exchanges.last().and_then(Answers::of)?;
        Some(probe::facts(&derive::facts(&answers)))
    }
}

/// One session.
async fn talk(cx: &Cx, spec: &DatabaseSpec) -> Result<Answers, Failure> {
    let password = match &spec.password {
        Some(reference) => Some(cx.secret(reference).await?),
        None => None,
    };
    let mut link = Link::open(cx, spec, SORT).await?;
    link.mute();
    let tls = match spec.tls {
        Some(_) => {
            let wanted = Wanted::of(cx, spec).await?;
            Some(link.secure(&wanted).await?)
        }
        None => None,
    };
    let method = match &password {
        Some(password) => {
            may_log_in(&link, spec, tls.as_ref())?;
            log_in(&mut link, spec.user.as_deref(), password).await?;
            "password"
        }
        None => "none",
    };
    if let Value::Error(words) = ask(&mut link, &["PING"]).await? {
        let hint = if words.starts_with("NOAUTH") { "; name a 'password' in the inventory" } else { "" };
        // A user without the right to PING is let in all the same.
        if !words.starts_with("NOPERM") {
            return Err(link.failure(FailureClass::Permission, format!("the server lets nobody in: {words}{hint}")));
        }
    }
    let user = spec.user.clone().unwrap_or_else(|| "default".to_owned());
    let mut answers = Answers::begin(&mut link, session(spec, Some(user), method, tls));
    let config = config(&mut link).await;
    answers.add(cx, &mut link, derive::SETTINGS, config);
    let users = one(&mut link, derive::USERS, |value| {
        // A line that is not understood stays a row that is none, so that the list is not taken for whole.
        let Value::List(lines) = value else { return None };
        let lines = Value::List(lines).texts();
        // There is always the user 'default'.
        (!lines.is_empty()).then(|| lines.iter().map(|line| derive::user(line).unwrap_or_default()).collect())
    })
    .await;
    answers.add(cx, &mut link, derive::USERS, users);
    for question in derive::INFO {
        let answer = one(&mut link, question, |value| {
            let lines: Vec<String> = value.texts().iter().flat_map(|t| t.lines()).map(str::to_owned).collect();
            let pairs = lines.iter().filter_map(|line| line.split_once(':'));
            Some(pairs.map(|(name, value)| vec![Some(name.to_owned()), Some(value.to_owned())]).collect())
        })
        .await;
        answers.add(cx, &mut link, question, answer);
    }
    link.close().await;
    Ok(answers)
}

async fn log_in(link: &mut Link, user: Option<&str>, password: &str) -> Result<(), Failure> {
    let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
    match ask(link, &words).await? {
        Value::Text(_) => Ok(()),
        Value::Error(words) => {
            // What else the server says may repeat what it was sent.
            let kind = words.split_whitespace().next().unwrap_or_default();
            let known = matches!(kind, "WRONGPASS" | "NOAUTH" | "NOPERM" | "DENIED" | "ERR");
            let kind = if known { kind } else { "an error" };
            let user = user.unwrap_or("default");
            let what = format!("the log-in of '{user}' failed ({kind}); it was tried once");
            Err(link.failure(FailureClass::Permission, what))
        }
        _ => Err(link.failure(FailureClass::Protocol, "it does not answer a log-in as Redis does")),
    }
}

async fn ask(link: &mut Link, words: &[&str]) -> Result<Value, Failure> {
    link.send(&resp::command(words)).await?;
    resp::read(link).await
}

/// One question, its answer as rows; `rows` gives none for an answer that is not of the form that Redis gives.
async fn one(link: &mut Link, question: &str, rows: impl Fn(Value) -> Option<Vec<Vec<Option<String>>>>) -> Answer {
    let other = || Some(format!("it does not answer {question} as Redis does"));
    let words: Vec<&str> = question.split(' ').collect();
    match ask(link, &words).await {
        Ok(Value::Error(words)) => Answer { error: Some(words), ..Answer::default() },
        Ok(value) => match rows(value) {
            Some(rows) => Answer { rows, ..Answer::default() },
            None => Answer { error: other(), ..Answer::default() },
        },
        Err(failure) => Answer { error: Some(failure.message), ..Answer::default() },
    }
}

/// The settings, each asked for by its name: a pattern would bring the passwords along.
async fn config(link: &mut Link) -> Answer {
    let mut all = Answer::default();
    for name in derive::NAMES {
        let answer = one(link, &format!("CONFIG GET {name}"), |value| derive::setting(name, value)).await;
        if answer.error.is_some() {
            return Answer { error: answer.error, ..all };
        }
        all.rows.extend(answer.rows);
    }
    all
}
