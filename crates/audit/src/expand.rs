//! From what was declared to targets: one for each address of each name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use check_backup::target::BackupTarget;
use check_encryption::e2ee::target::E2eeTarget;
use check_encryption::facts::{ConfigTarget, DiskTarget, KeyFileTarget, SshSpec, SshTarget};
use check_tls::starttls::Protocol;
use check_tls::target::{Addresses, TlsSpec, TlsTarget, parse_endpoint};
use model::{Depth, Failure, FailureClass, NotLookedAt, Notice, NoticeLevel, Subject, Target};

use crate::Error;
use crate::data_path::{self, DataPathTarget};
use crate::discover;
use crate::inventory::{self, Declared, HOST, SSH_PORT};

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

/// A target as the command line names it: `HOST`, `HOST:PORT`, `[V6]:PORT`, `SCHEME://HOST[:PORT]` with `tls`, `ssh` or a protocol
/// in which TLS has to be asked for.
///
/// # Errors
/// Where it is none of these; the message says what is wanted.
pub fn from_argument(argument: &str) -> Result<Declared, Error> {
    let (scheme, endpoint) = match argument.split_once("://") {
        None => ("tls", argument),
        Some(("https", rest)) => ("tls", rest.split('/').next().unwrap_or_default()),
        Some((scheme, rest)) if scheme == "tls" || scheme == "ssh" || starttls(scheme).is_some() => {
            (scheme, rest.trim_end_matches('/'))
        }
        Some((scheme, _)) => {
            return Err(Error::Config(format!(
                "'{argument}': targets of the sort '{scheme}' can't be looked at; HOST[:PORT] or \
                 SCHEME://HOST[:PORT] can, with tls, ssh, {} as the scheme",
                Protocol::ALL.map(Protocol::word).join(", ")
            )));
        }
    };
    let port = if scheme == "ssh" { SSH_PORT } else { starttls(scheme).map_or(TLS_PORT, Protocol::port) };
    let parsed = parse_endpoint(endpoint, port).map_err(|e| Error::Config(format!("'{argument}': {e}")))?;
    let name = match parsed.host.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => format!("[{v6}]:{}", parsed.port),
        _ => format!("{}:{}", parsed.host, parsed.port),
    };
    let endpoint = endpoint.to_owned();
    let subject = match scheme {
        "ssh" => inventory::Subject::Ssh(SshTarget { endpoint, expect_addresses: None }),
        _ => inventory::Subject::Tls(TlsTarget { starttls: starttls(scheme), ..TlsTarget::new(endpoint) }),
    };
    Ok(Declared { name, labels: BTreeMap::new(), subject })
}

/// The protocol in which TLS has to be asked for.
fn starttls(scheme: &str) -> Option<Protocol> {
    Protocol::ALL.into_iter().find(|protocol| protocol.word() == scheme)
}

/// The port of a TLS endpoint that names none.
const TLS_PORT: u16 = 443;

/// A declared target that is reached over the network.
struct Reached<'a> {
    endpoint: &'a str,
    /// The port where the endpoint names none.
    port: u16,
    sort: &'static str,
    addresses: Addresses,
    expect_addresses: Option<u32>,
    /// What the probe is given for an address; without one, a spec that names none.
    spec: Box<dyn Fn(Option<SocketAddr>) -> serde_json::Value + 'a>,
}

impl<'a> Reached<'a> {
    /// `None` for what is not reached over the network.
    fn of(subject: &'a inventory::Subject, folder: &'a Path) -> Option<Self> {
        match subject {
            inventory::Subject::Tls(tls) => Some(Self {
                endpoint: &tls.endpoint,
                port: tls.port(),
                sort: "tls",
                addresses: tls.addresses,
                expect_addresses: tls.expect_addresses,
                spec: Box::new(move |address| {
                    let trust: Vec<String> = tls.trust.iter().map(|p| folder.join(p).display().to_string()).collect();
                    // Endpoint and names were checked when they were read, so that only a missing address is left.
                    let spec = address.and_then(|a| tls.resolve(a.ip()).ok()).map(|spec| TlsSpec { trust, ..spec });
                    let none = || TlsSpec {
                        address: String::new(),
                        host: None,
                        sni: vec![None],
                        trust: vec![],
                        starttls: tls.starttls,
                    };
                    serde_json::to_value(spec.unwrap_or_else(none)).unwrap_or_default()
                }),
            }),
            inventory::Subject::Ssh(ssh) => Some(Self {
                endpoint: &ssh.endpoint,
                port: SSH_PORT,
                sort: "ssh",
                addresses: Addresses::All,
                expect_addresses: ssh.expect_addresses,
                spec: Box::new(|address| {
                    let this_machine = address.is_some_and(|a| discover::is_local(a.ip()));
                    let address = address.map(|a| a.to_string()).unwrap_or_default();
                    serde_json::to_value(SshSpec { address, this_machine }).unwrap_or_default()
                }),
            }),
            inventory::Subject::Database(product, database) => Some(Self {
                endpoint: database.endpoint.as_deref()?,
                port: product.port(),
                sort: product.sort(),
                addresses: Addresses::All,
                expect_addresses: database.expect_addresses,
                spec: Box::new(move |address| {
                    let endpoint =
                        database.endpoint.as_ref().and_then(|text| parse_endpoint(text, product.port()).ok());
                    let address = Some(address.map(|a| a.to_string()).unwrap_or_default());
                    let spec = database.resolve(address, endpoint.map(|endpoint| endpoint.host), folder);
                    serde_json::to_value(spec).unwrap_or_default()
                }),
            }),
            inventory::Subject::Config(_)
            | inventory::Subject::Disk(_)
            | inventory::Subject::Backup(_)
            | inventory::Subject::E2ee(_)
            | inventory::Subject::DataPath(_)
            | inventory::Subject::KeyFile(_)
            | inventory::Subject::Host => None,
        }
    }
}

/// Resolves the names of all declared targets, at once. `folder` is what relative paths are relative to.
pub async fn expand(declared: &[Declared], folder: &Path) -> Expanded {
    let reached: Vec<Option<Reached<'_>>> = declared.iter().map(|d| Reached::of(&d.subject, folder)).collect();
    let answers = futures::future::join_all(reached.iter().map(|reached| async move {
        match reached {
            Some(reached) => Some((reached, addresses(reached.endpoint, reached.port).await)),
            None => None,
        }
    }));
    let mut expanded = Expanded::default();
    for (declared, answer) in declared.iter().zip(answers.await) {
        match (&declared.subject, answer) {
            (_, Some((reached, answer))) => add(&mut expanded, declared, reached, answer),
            (inventory::Subject::Disk(disk), _) => add_disk(&mut expanded, declared, disk, folder),
            (inventory::Subject::Database(product, database), _) => {
                let spec = database.resolve(None, None, folder);
                expanded.targets.push(Target {
                    name: declared.name.clone(),
                    of: declared.name.clone(),
                    address: spec.socket.clone().unwrap_or_default(),
                    labels: declared.labels.clone(),
                    discovered: false,
                    subject: Subject {
                        sort: product.sort().to_owned(),
                        spec: serde_json::to_value(spec).unwrap_or_default(),
                    },
                });
            }
            (inventory::Subject::Config(config), _) => add_config(&mut expanded, declared, config, folder),
            (inventory::Subject::Backup(backup), _) => add_backup(&mut expanded, declared, backup, folder),
            (inventory::Subject::E2ee(e2ee), _) => expanded.targets.push(e2ee_target(declared, e2ee, folder)),
            (inventory::Subject::DataPath(path), _) => add_data_path(&mut expanded, declared, path),
            (inventory::Subject::KeyFile(keys), _) => expanded.targets.push(key_file(declared, keys, folder)),
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

/// Adds a target for the known flaws of each TLS endpoint whose declaration asks for their tests. They are no part of a
/// gate: what is not run at this depth is named as not looked at.
pub fn add_flaws(expanded: &mut Expanded, declared: &[Declared], depth: Depth) {
    let asks = |d: &&Declared| matches!(&d.subject, inventory::Subject::Tls(tls) if tls.flaws);
    for declared in declared.iter().filter(asks) {
        if depth != Depth::Full {
            let why = "tested at full depth alone: --depth full".to_owned();
            expanded.left_out.push(NotLookedAt { what: format!("{}: known flaws", declared.name), why });
            continue;
        }
        let own = |target: &&Target| target.of == declared.name && target.subject.sort == "tls";
        let own: Vec<Target> = expanded.targets.iter().filter(own).map(flaws_of).collect();
        for target in &own {
            let failure = target.name.split_once(':').and_then(|(_, name)| expanded.unresolved.get(name)).cloned();
            expanded.unresolved.extend(failure.map(|failure| (target.name.clone(), failure)));
        }
        expanded.targets.extend(own);
    }
}

/// The target that the known flaws of a TLS endpoint are.
#[must_use]
pub fn flaws_of(target: &Target) -> Target {
    let sort = check_tls::flaws::SORT.to_owned();
    let subject = Subject { sort: sort.clone(), spec: target.subject.spec.clone() };
    Target { name: format!("{sort}:{}", target.name), subject, ..target.clone() }
}

fn add_disk(expanded: &mut Expanded, declared: &Declared, disk: &DiskTarget, folder: &Path) {
    // The folder of `probity.yaml` is the empty path, of which there is no absolute one.
    let folder = std::path::absolute(folder).or_else(|_| std::env::current_dir()).unwrap_or_default();
    // What is wrong with it was complained of when it was read.
    let Ok(spec) = disk.resolve(&folder) else { return };
    expanded.targets.push(Target {
        name: declared.name.clone(),
        of: declared.name.clone(),
        address: spec.device.iter().chain(&spec.mounts).cloned().collect::<Vec<_>>().join(", "),
        labels: declared.labels.clone(),
        discovered: false,
        subject: Subject {
            sort: check_encryption::disk::SORT.to_owned(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
        },
    });
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

fn e2ee_target(declared: &Declared, e2ee: &E2eeTarget, folder: &Path) -> Target {
    let spec = serde_json::to_value(e2ee.clone().within(folder)).unwrap_or_default();
    Target {
        name: declared.name.clone(),
        of: declared.name.clone(),
        address: e2ee.location(),
        labels: declared.labels.clone(),
        discovered: false,
        subject: Subject { sort: check_encryption::e2ee::SORT.to_owned(), spec },
    }
}

fn add_data_path(expanded: &mut Expanded, declared: &Declared, path: &DataPathTarget) {
    let hops: Vec<&str> = path.hops.iter().map(|hop| hop.name.as_str()).collect();
    expanded.targets.push(Target {
        name: declared.name.clone(),
        of: declared.name.clone(),
        address: hops.join(", "),
        labels: declared.labels.clone(),
        discovered: false,
        subject: Subject { sort: data_path::SORT.to_owned(), spec: serde_json::to_value(path).unwrap_or_default() },
    });
}

fn key_file(declared: &Declared, keys: &KeyFileTarget, folder: &Path) -> Target {
    let spec = KeyFileTarget {
        // The places of key files are named in full, as links among them are.
        path: std::path::absolute(folder.join(&keys.path))
            .unwrap_or_else(|_| folder.join(&keys.path))
            .display()
            .to_string(),
        passphrase: keys.passphrase.as_ref().map(|reference| probe::secret_beside(folder, reference)),
    };
    Target {
        name: declared.name.clone(),
        of: declared.name.clone(),
        address: spec.path.clone(),
        labels: declared.labels.clone(),
        discovered: false,
        subject: Subject {
            sort: check_encryption::KEYFILE_SORT.to_owned(),
            spec: serde_json::to_value(spec).unwrap_or_default(),
        },
    }
}

fn add_config(expanded: &mut Expanded, declared: &Declared, config: &ConfigTarget, folder: &Path) {
    // The files name each other in full, and so their place is named in full.
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    // What is wrong with it was complained of when it was read.
    let Ok(spec) = config.within(&folder).resolve() else { return };
    expanded.targets.push(Target {
        name: declared.name.clone(),
        of: declared.name.clone(),
        address: spec.location(),
        labels: declared.labels.clone(),
        discovered: false,
        subject: Subject { sort: spec.sort().to_owned(), spec: serde_json::to_value(spec).unwrap_or_default() },
    });
}

async fn addresses(endpoint: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let unresolved = |why: String| {
        Failure::new(
            FailureClass::Unresolved,
            format!("{endpoint}: {why}; is the name spelt right, and does the resolver of this machine know it?"),
        )
    };
    let endpoint = parse_endpoint(endpoint, port).map_err(unresolved)?;
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

fn add(expanded: &mut Expanded, declared: &Declared, reached: &Reached<'_>, answer: Result<Vec<SocketAddr>, Failure>) {
    let Ok(endpoint) = parse_endpoint(reached.endpoint, reached.port) else { return };
    let literal = endpoint.host.parse::<IpAddr>().is_ok();
    let shown = if literal && endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    };
    let target = |name: String, address: Option<SocketAddr>| Target {
        name,
        of: declared.name.clone(),
        address: shown.clone(),
        labels: declared.labels.clone(),
        discovered: false,
        subject: Subject { sort: reached.sort.to_owned(), spec: (reached.spec)(address) },
    };
    let found = match answer {
        Ok(found) => found,
        Err(failure) => {
            expanded.unresolved.insert(declared.name.clone(), failure);
            expanded.targets.push(target(declared.name.clone(), None));
            return;
        }
    };
    if let Some(wanted) = reached.expect_addresses
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
    let (most, why) = match reached.addresses {
        Addresses::First => (1, "the inventory asks for the first address alone".to_owned()),
        Addresses::All => (MOST_ADDRESSES, format!("more than {MOST_ADDRESSES} addresses of one name")),
    };
    let beyond = found.iter().skip(most);
    expanded
        .left_out
        .extend(beyond.map(|address| NotLookedAt { what: format!("{}: {address}", declared.name), why: why.clone() }));
    for address in found.into_iter().take(most) {
        let name = if literal { declared.name.clone() } else { format!("{}@{}", declared.name, address.ip()) };
        expanded.targets.push(target(name, Some(address)));
    }
}
