//! The probe `database-wire`: what a database server shows anybody who connects, before a log-in.
//!
//! Two connections, one without TLS and one with it, each as far as the server asks for a proof of who one is; no
//! password is sent. What the server says against one way counts as a refusal only where it went along with the other.

mod derive;

use model::{Ask, Direction, Exchange, Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};
use serde::{Deserialize, Serialize};

use super::link::Link;
use super::mysql::packet::{self, Greeting, can, packet};
use super::postgresql::message;
use super::redis::resp;
use super::tls::Wanted;
use super::{plan, spec_of};
use crate::facts::{DatabaseProduct, DatabaseSpec, DatabaseWireFacts};

/// The kind of evidence.
const KIND: &str = "database-wire";
/// A method of log-in that no account has: the server names the one that it wants instead, and nothing is tried.
const NO_METHOD: &str = "probity_none";

/// Looks at one server of that product from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire(pub(crate) DatabaseProduct);

/// What one connection is for. Its JSON form is the question of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Plaintext,
    Tls,
}

/// What stands in the record for what was said under TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    /// Version and suite; null where there was no handshake.
    version: Option<String>,
    cipher: Option<String>,
    /// Why there was none.
    error: Option<String>,
    /// The message that the server answered with, in hexadecimal digits.
    reply: Option<String>,
}

impl Probe for Wire {
    fn kind(&self) -> Kind {
        Kind::new(KIND, Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        self.0.sort()
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(DatabaseWireFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        plan(target, 2)
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = spec_of(target)?;
            if let Some(path) = &spec.socket {
                return probe::facts(&derive::of_socket(self.0, path));
            }
            for way in [Way::Plaintext, Way::Tls] {
                let question = serde_json::to_string(&way).unwrap_or_default();
                let mut link = Link::open(cx, &spec, &question).await?;
                let outcome = match way {
                    // What came of it is in the record.
                    Way::Plaintext => self.plaintext(&mut link, &spec).await.map(drop),
                    Way::Tls => self.sealed(cx, &mut link, &spec).await,
                };
                if outcome.is_ok() {
                    link.close().await;
                    // It would wait for the end of a line that a hello of TLS has not.
                    if self.0 == DatabaseProduct::Redis {
                        break;
                    }
                }
            }
            probe::facts(&derive::facts(self.0, &spec, &cx.exchanges())?)
        })
    }

    fn derive(&self, target: &Target, _: &Ask, exchanges: &[Exchange]) -> Option<Result<Facts, Failure>> {
        let facts = spec_of(target).and_then(|spec| match &spec.socket {
            Some(path) => Ok(derive::of_socket(self.0, path)),
            None => derive::facts(self.0, &spec, exchanges),
        });
        Some(facts.and_then(|facts| probe::facts(&facts)))
    }
}

impl Wire {
    /// Goes on until the server asks for a proof, in the clear; gives its last message.
    async fn plaintext(self, link: &mut Link, spec: &DatabaseSpec) -> Result<Vec<u8>, Failure> {
        match self.0 {
            DatabaseProduct::Mysql => {
                greeting(link).await?;
                self.begin(link, spec, false).await
            }
            DatabaseProduct::Postgresql | DatabaseProduct::Redis => self.begin(link, spec, false).await,
        }
    }

    /// Names the account and takes the answer.
    async fn begin(self, link: &mut Link, spec: &DatabaseSpec, tls: bool) -> Result<Vec<u8>, Failure> {
        match self.0 {
            DatabaseProduct::Postgresql => {
                let user = spec.user.as_deref().unwrap_or(derive::POSTGRES);
                let database = spec.database.as_deref().unwrap_or(derive::POSTGRES);
                link.send(&message::startup(&[("user", user), ("database", database)])).await?;
                // Parameters of protocol 3.2 and notices may come before.
                for _ in 0..10 {
                    let (kind, body) = message::read(link).await?;
                    if matches!(kind, b'R' | b'E') {
                        return Ok(message::message(kind, &body));
                    }
                }
                Err(link.failure(FailureClass::Protocol, "it asks for nothing"))
            }
            DatabaseProduct::Mysql => {
                let user = spec.user.as_deref().unwrap_or(derive::ROOT);
                let number = if tls { 2 } else { 1 };
                link.send(&packet(number, &packet::log_in(user, &[], NO_METHOD, tls))).await?;
                Ok(packet::read(link).await?.1)
            }
            DatabaseProduct::Redis => {
                link.send(&resp::command(&["PING"])).await?;
                Ok(match resp::read(link).await? {
                    resp::Value::Error(words) => format!("-{words}").into_bytes(),
                    value => format!("+{}", value.texts().join(" ")).into_bytes(),
                })
            }
        }
    }

    /// The same under TLS. What stands for it is kept at the end.
    async fn sealed(self, cx: &Cx, link: &mut Link, spec: &DatabaseSpec) -> Result<(), Failure> {
        let offered = match self.0 {
            DatabaseProduct::Postgresql => {
                link.send(&message::SSL_REQUEST).await?;
                link.exact(1).await? == b"S"
            }
            DatabaseProduct::Mysql => {
                let offered = greeting(link).await?.capabilities & can::SSL != 0;
                if offered {
                    link.send(&packet(1, &packet::ssl_request())).await?;
                }
                offered
            }
            DatabaseProduct::Redis => true,
        };
        if !offered {
            return Ok(());
        }
        let mut sealed = Sealed::default();
        let outcome = async {
            let protocol = (self.0 == DatabaseProduct::Postgresql).then_some("postgresql");
            let wanted = Wanted::of(cx, spec).await?.speaking(protocol);
            let seen = link.secure(&wanted).await?;
            (sealed.version, sealed.cipher) = (Some(seen.version), Some(seen.cipher));
            let reply = self.begin(link, spec, true).await?;
            sealed.reply = Some(reply.iter().map(|byte| format!("{byte:02x}")).collect());
            Ok(())
        }
        .await;
        if let Err(failure) = &outcome {
            let failure: &Failure = failure;
            sealed.error = Some(failure.message.clone());
        }
        link.mute();
        link.keep(Direction::Received, &serde_json::to_vec(&sealed).unwrap_or_default());
        outcome
    }
}

async fn greeting(link: &mut Link) -> Result<Greeting, Failure> {
    let (_, body) = packet::read(link).await?;
    Greeting::read(&body).ok_or_else(|| link.failure(FailureClass::Protocol, "it does not greet as MySQL does"))
}
