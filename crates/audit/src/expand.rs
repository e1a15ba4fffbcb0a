//! From what was declared to targets: one for each address of each name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use check_backup::target::BackupTarget;
use check_tls::target::{Addresses, TlsSpec, TlsTarget, parse_endpoint};
use model::{Failure, FailureClass, NotLookedAt, Notice, NoticeLevel, Subject, Target};

use crate::Error;
use crate::inventory::{self, Declared, HOST};

/// Addresses of one name looked at, at most.
const MOST_ADDRESSES: usize = 64;
/// How long the resolver may take.
const RESOLVER: Duration = Duration::from_secs(10);

/// What the declared targets became.
#[derive(Debug, Default)]
pub struct Expanded {
    /// Every target, in the order declared.
    pub targets: Vec<Target>,
    /// Those of them that have no address, and why. They leave evidence too.
    pub unresolved: BTreeMap<String, Failure>,
    /// What a reader should know.
    pub notices: Vec<Notice>,
    /// Addresses that are not looked at.
    pub left_out: Vec<NotLookedAt>,
}

/// The target that this machine is.
#[must_use]
pub fn host(labels: BTreeMap<String, String>) -> Target {
    Target {
        name: HOST.to_owned(),
        of: HOST.to_owned(),
        address: "this machine".to_owned(),
        labels,
        discovered: false,
        subject: Subject { sort: HOST.to_owned(), spec: serde_json::json!({}) },
    }
}

/// A target as the command line names it: `HOST`, `HOST:PORT`, `[V6]:PORT` or `tls://HOST:PORT`.
///
/// # Errors
/// Where it is none of these; the message says what is wanted.
pub fn from_argument(argument: &str) -> Result<Declared, Error> {
    let endpoint = match argument.split_once("://") {
        None => argument,
        Some(("tls", rest)) => rest.trim_end_matches('/'),
        Some(("https", rest)) => rest.split('/').next().unwrap_or_default(),
        Some((scheme, _)) => {
            return Err(Error::Config(format!(
                "'{argument}': targets of the sort '{scheme}' can't be looked at; HOST[:PORT] or tls://HOST[:PORT] can"
            )));
        }
    };
    let parsed = parse_endpoint(endpoint, 443).map_err(|e| Error::Config(format!("'{argument}': {e}")))?;
    let name = match parsed.host.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => format!("[{v6}]:{}", parsed.port),
        _ => format!("{}:{}", parsed.host, parsed.port),
    };
    let target = TlsTarget::new(endpoint.to_owned());
    Ok(Declared { name, labels: BTreeMap::new(), subject: inventory::Subject::Tls(target) })
}

/// Resolves the names of all declared targets, at once. `folder` is what relative paths are relative to.
pub async fn expand(declared: &[Declared], folder: &Path) -> Expanded {
    let answers = futures::future::join_all(declared.iter().map(|d| async {
        match &d.subject {
            inventory::Subject::Tls(tls) => Some(addresses(tls).await),
            inventory::Subject::Backup(_) | inventory::Subject::Host => None,
        }
    }));
    let mut expanded = Expanded::default();
    for (declared, answer) in declared.iter().zip(answers.await) {
        match (&declared.subject, answer) {
            (inventory::Subject::Tls(tls), Some(answer)) => add_tls(&mut expanded, declared, tls, answer, folder),
            (inventory::Subject::Backup(backup), _) => add_backup(&mut expanded, declared, backup, folder),
            _ => {
                let mut host = host(declared.labels.clone());
                host.of.clone_from(&declared.name);
                host.name.clone_from(&declared.name);
                expanded.targets.push(host);
            }
        }
    }
    expanded
}

fn add_backup(expanded: &mut Expanded, declared: &Declared, backup: &BackupTarget, folder: &Path) {
    // What is wrong with it was complained of when it was read.
    let Ok(spec) = backup.clone().within(folder).resolve(&declared.name) else { return };
    expanded.targets.push(Target {
        name: declared.name.clone(),
        of: declared.name.clone(),
        address: backup.location(),
        labels: declared.labels.clone(),
        discovered: false,
        subject: Subject { sort: check_backup::SORT.to_owned(), spec: serde_json::to_value(spec).unwrap_or_default() },
    });
}

async fn addresses(tls: &TlsTarget) -> Result<Vec<SocketAddr>, Failure> {
    let unresolved = |why: String| {
        Failure::new(
            FailureClass::Unresolved,
            format!("{}: {why}; is the name spelt right, and does the resolver of this machine know it?", tls.endpoint),
        )
    };
    let endpoint = parse_endpoint(&tls.endpoint, 443).map_err(unresolved)?;
    if let Ok(ip) = endpoint.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, endpoint.port)]);
    }
    let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let found = match tokio::time::timeout(RESOLVER, lookup).await {
        Ok(Ok(found)) => found,
        Ok(Err(e)) => return Err(unresolved(format!("the name '{}' does not resolve ({e})", endpoint.host))),
        Err(_) => {
            let seconds = RESOLVER.as_secs();
            return Err(unresolved(format!("the resolver said nothing of '{}' within {seconds} s", endpoint.host)));
        }
    };
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(unresolved(format!("the name '{}' has no address", endpoint.host)));
    }
    Ok(found)
}

fn add_tls(
    expanded: &mut Expanded,
    declared: &Declared,
    tls: &TlsTarget,
    answer: Result<Vec<SocketAddr>, Failure>,
    folder: &Path,
) {
    let Ok(endpoint) = parse_endpoint(&tls.endpoint, 443) else { return };
    let literal = endpoint.host.parse::<IpAddr>().is_ok();
    let shown = if literal && endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    };
    let trust: Vec<String> = tls.trust.iter().map(|path| folder.join(path).display().to_string()).collect();
    let unspecified = || TlsSpec { address: String::new(), host: None, sni: vec![None], trust: vec![] };
    let target = |name: String, ip: Option<IpAddr>| {
        // Endpoint and names were checked when they were read, so that only a missing address is left.
        let spec = ip.and_then(|ip| tls.resolve(ip).ok()).map(|spec| TlsSpec { trust: trust.clone(), ..spec });
        let spec = spec.unwrap_or_else(unspecified);
        Target {
            name,
            of: declared.name.clone(),
            address: shown.clone(),
            labels: declared.labels.clone(),
            discovered: false,
            subject: Subject { sort: "tls".to_owned(), spec: serde_json::to_value(spec).unwrap_or_default() },
        }
    };
    let found = match answer {
        Ok(found) => found,
        Err(failure) => {
            expanded.unresolved.insert(declared.name.clone(), failure);
            expanded.targets.push(target(declared.name.clone(), None));
            return;
        }
    };
    if let Some(wanted) = tls.expect_addresses
        && found.len() != wanted as usize
    {
        let message =
            format!("{}: {} address(es) found, {wanted} expected (expect_addresses)", declared.name, found.len());
        // An address that should be there and is not can't be proven to be anything.
        if found.len() < wanted as usize {
            let name = format!("{}@missing", declared.name);
            expanded.unresolved.insert(name.clone(), Failure::new(FailureClass::Unresolved, message.clone()));
            expanded.targets.push(target(name, None));
        }
        expanded.notices.push(Notice { level: NoticeLevel::Warning, message });
    }
    let (most, why) = match tls.addresses {
        Addresses::First => (1, "the inventory asks for the first address alone".to_owned()),
        Addresses::All => (MOST_ADDRESSES, format!("more than {MOST_ADDRESSES} addresses of one name")),
    };
    let beyond = found.iter().skip(most);
    expanded
        .left_out
        .extend(beyond.map(|address| NotLookedAt { what: format!("{}: {address}", declared.name), why: why.clone() }));
    for address in found.into_iter().take(most) {
        let name = if literal { declared.name.clone() } else { format!("{}@{}", declared.name, address.ip()) };
        expanded.targets.push(target(name, Some(address.ip())));
    }
}
