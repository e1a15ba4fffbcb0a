//! From what listens on this machine to targets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use check_encryption::facts::SshSpec;
use check_tls::target::TlsSpec;
use model::{Asked, Facts, NotLookedAt, Subject, Target, Undeclared};
use serde::Deserialize;

use crate::scope::{Answer, Declaration, ScopeFacts, Socket, Tls};

/// A listening socket, as the `listeners` facts tell of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Listening {
    /// `tcp:0.0.0.0:22`.
    pub(crate) name: String,
    /// Local address.
    pub(crate) address: String,
    /// Local port.
    pub(crate) port: u16,
    /// Reachable from this machine alone.
    pub(crate) loopback: bool,
    /// Bound to every address.
    pub(crate) wildcard: bool,
    /// Where this machine can reach it.
    pub(crate) reach: Option<String>,
    /// Who holds it.
    pub(crate) process: Option<Holder>,
}

/// The process behind a socket.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Holder {
    /// Its name.
    pub(crate) name: Option<String>,
}

impl Listening {
    /// `nginx` or `a process that can't be told`.
    fn who(&self) -> String {
        let name = self.process.as_ref().and_then(|p| p.name.clone());
        name.unwrap_or_else(|| "a process that can't be told".to_owned())
    }
}

/// The TCP sockets of `listeners` facts.
#[must_use]
pub(crate) fn listening(facts: &Facts) -> Vec<Listening> {
    let list = |key: &str| facts.get(key).cloned().unwrap_or_default();
    serde_json::from_value(list("listeners")).unwrap_or_default()
}

/// The sockets beside what the inventory declares and leaves out.
#[must_use]
pub(crate) fn scope(facts: &Facts, complete: bool, declared: &[Target], exclude: &[(String, String)]) -> ScopeFacts {
    let addresses: Vec<SocketAddr> = declared
        .iter()
        .filter_map(|t| t.subject.spec.get("address").and_then(|a| a.as_str()).and_then(|a| a.parse().ok()))
        .collect();
    let sockets = listening(facts)
        .into_iter()
        .map(|socket| {
            let excluded = excluded(&socket, exclude);
            let outcome = match &excluded {
                _ if addresses.iter().any(|a| reaches(a, &socket)) => Declaration::Declared,
                Some(_) => Declaration::Excluded,
                None => Declaration::Undeclared,
            };
            let process = socket.process.and_then(|p| p.name);
            let tls = Tls { outcome: Answer::LeftOut, why: None, spoke: None };
            Socket { name: socket.name, outcome, why: excluded, process, loopback: socket.loopback, tls }
        })
        .collect();
    let whole = facts.get("asked").is_some_and(|asked| asked == "all");
    ScopeFacts { complete, asked: if whole { Asked::All } else { Asked::Only(Vec::new()) }, sockets }
}

/// The inventory's reason to leave a socket out.
fn excluded(socket: &Listening, exclude: &[(String, String)]) -> Option<String> {
    let place = SocketAddr::new(socket.address.parse().ok()?, socket.port).to_string();
    let names = [Some(place), socket.reach.clone()];
    let found = exclude.iter().find(|(pattern, _)| names.iter().flatten().any(|name| policy::glob(pattern, name)));
    found.map(|(_, reason)| reason.clone())
}

/// Whether a declared address leads to the socket.
fn reaches(address: &SocketAddr, socket: &Listening) -> bool {
    let same = socket.address.parse::<IpAddr>().is_ok_and(|ip| ip == address.ip());
    address.port() == socket.port && (same || (socket.wildcard && is_local(address.ip())))
}

/// Only addresses of this machine can be bound. Nothing is sent.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Targets of the sort `listener`, one for each place that this machine can reach, undeclared ones alone; and what is
/// not tried, with the reason.
#[must_use]
pub(crate) fn to_try(facts: &Facts, scope: &ScopeFacts) -> (Vec<Target>, Vec<NotLookedAt>) {
    let mut targets = BTreeMap::new();
    let mut left_out = Vec::new();
    for (socket, line) in listening(facts).into_iter().zip(&scope.sockets) {
        match (line.outcome, &socket.reach) {
            (Declaration::Declared, _) => {}
            (Declaration::Excluded, _) => left_out.push(NotLookedAt {
                what: format!("{} ({})", socket.name, socket.who()),
                why: format!("left out by the inventory: {}", line.why.as_deref().unwrap_or_default()),
            }),
            (Declaration::Undeclared, None) => left_out.push(NotLookedAt {
                what: format!("{} ({})", socket.name, socket.who()),
                why: "its address needs an interface to be reached".to_owned(),
            }),
            (Declaration::Undeclared, Some(reach)) => {
                let target = Target {
                    name: format!("listener:{reach}"),
                    of: "host".to_owned(),
                    address: format!("{reach} ({})", socket.who()),
                    labels: BTreeMap::new(),
                    discovered: true,
                    subject: Subject {
                        sort: "listener".to_owned(),
                        spec: serde_json::json!({ "address": reach, "process": socket.who() }),
                    },
                };
                targets.entry(reach.clone()).or_insert(target);
            }
        }
    }
    let datagrams = facts.get("datagrams").and_then(|d| d.as_array()).map_or(0, Vec::len);
    if datagrams > 0 {
        left_out.push(NotLookedAt {
            what: format!("{datagrams} UDP sockets of this machine"),
            why: "DTLS and QUIC are not looked for".to_owned(),
        });
    }
    (targets.into_values().collect(), left_out)
}

/// Writes down what each undeclared socket answered; `answers` are the facts of the listeners by the names of their
/// targets. What was not asked or did not answer is not proven.
pub(crate) fn write_answers(scope: &mut ScopeFacts, facts: &Facts, answers: &BTreeMap<String, Option<Facts>>) {
    for (line, socket) in scope.sockets.iter_mut().zip(listening(facts)) {
        if line.outcome != Declaration::Undeclared {
            continue;
        }
        let answer = socket.reach.as_ref().and_then(|reach| answers.get(&format!("listener:{reach}")));
        let answer = answer.and_then(Option::as_ref);
        let text = |key: &str| answer.and_then(|f| f.get(key)).and_then(|v| v.as_str()).map(str::to_owned);
        let outcome = match text("outcome").as_deref() {
            Some("present") => Answer::Present,
            Some("absent") => Answer::Absent,
            _ => Answer::NotProven,
        };
        let silent = || (outcome == Answer::NotProven).then(|| "it could not be asked".to_owned());
        line.tls = Tls { outcome, why: text("why").or_else(silent), spoke: text("spoke") };
    }
}

/// What became of a listener that was tried: a target for the probe of TLS or of SSH, or a line on why there is none.
///
/// # Errors
/// The line, where it speaks neither or did not say.
pub(crate) fn found(listener: &Target, facts: Option<&Facts>) -> Result<Target, NotLookedAt> {
    let text = |key: &str| facts.and_then(|f| f.get(key)).and_then(|v| v.as_str());
    let reach = listener.subject.spec.get("address").and_then(|a| a.as_str()).unwrap_or_default();
    let what = listener.address.clone();
    let target = |sort: &str, spec: Result<serde_json::Value, _>| Target {
        name: format!("{sort}:{reach}"),
        of: "host".to_owned(),
        address: what.clone(),
        labels: BTreeMap::new(),
        discovered: true,
        subject: Subject { sort: sort.to_owned(), spec: spec.unwrap_or_default() },
    };
    let address = || reach.to_owned();
    let why = match (text("outcome"), text("spoke"), text("why")) {
        (Some("present"), ..) => {
            let spec = TlsSpec { address: address(), host: None, sni: vec![None], trust: vec![], starttls: None };
            return Ok(target("tls", serde_json::to_value(spec)));
        }
        (Some("absent"), Some("ssh"), _) => {
            return Ok(target("ssh", serde_json::to_value(SshSpec { address: address(), this_machine: true })));
        }
        (Some("absent"), Some(spoke), _) => format!("tried for TLS: it speaks {spoke}"),
        (Some("absent"), None, _) => "tried for TLS: it does not speak it".to_owned(),
        (_, _, Some(why)) => format!("whether it speaks TLS is not proven: {why}"),
        _ => "whether it speaks TLS is not proven".to_owned(),
    };
    Err(NotLookedAt { what, why })
}

/// The lines on undeclared sockets, where the inventory claims to be complete.
#[must_use]
pub(crate) fn undeclared(scope: &ScopeFacts) -> Vec<Undeclared> {
    if !scope.complete {
        return Vec::new();
    }
    let of = |socket: &Socket| Undeclared {
        target: socket.name.clone(),
        what: socket.process.clone().unwrap_or_else(|| "a process that can't be told".to_owned()),
    };
    scope.sockets.iter().filter(|s| s.outcome == Declaration::Undeclared).map(of).collect()
}
