//! What every adapter makes: services, upstreams, settings.

use std::collections::{BTreeMap, BTreeSet};

use model::Asked;

use super::ciphers;
use super::tree::{At, Tree};
use crate::facts::{
    ConfigCiphers, ConfigEncryption, ConfigHsts, ConfigModule, ConfigPath, ConfigProtocol, ConfigRedirect,
    ConfigService, ConfigSetting, ConfigUpstream, Outcome,
};

/// Versions by name, oldest first.
pub(super) const VERSIONS: [&str; 6] = ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// What an adapter found.
pub(super) struct Found {
    pub(super) tree: Tree,
    /// The server's version, where the inventory names it.
    pub(super) version: Option<Vec<u32>>,
    pub(super) services: Vec<ConfigService>,
    pub(super) upstreams: Vec<ConfigUpstream>,
    pub(super) keys: Vec<ConfigPath>,
    /// Their paths.
    named: BTreeSet<String>,
    pub(super) modules: Vec<ConfigModule>,
}

impl Found {
    pub(super) fn new(tree: Tree, version: Option<&str>) -> Self {
        Self {
            tree,
            version: version.map(numbers),
            services: vec![],
            upstreams: vec![],
            keys: vec![],
            named: BTreeSet::new(),
            modules: vec![],
        }
    }

    /// Whether the server is at least of that version; `None` where that is not known.
    pub(super) fn since(&self, version: &[u32]) -> Option<bool> {
        self.version.as_ref().map(|known| known.as_slice() >= version)
    }

    /// A key file that is named, once.
    pub(super) fn key(&mut self, path: &str, at: &At) {
        if self.named.insert(path.to_owned()) {
            let key = self.tree.named(path, at);
            self.keys.push(key);
        }
    }
}

/// `1.22.1-9` as numbers.
fn numbers(version: &str) -> Vec<u32> {
    let part = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part.get(..end).and_then(|digits| digits.parse().ok())
    };
    version.split('.').map_while(part).collect()
}

/// A setting as it is written.
pub(super) fn written(at: &At, text: impl Into<String>, values: Vec<String>) -> ConfigSetting {
    let written = Some(text.into());
    ConfigSetting { outcome: Outcome::Present, why: None, at: Some(at.to_string()), written, values }
}

/// What holds by documented default where nothing is written.
pub(super) fn by_default<S: Into<String>>(values: impl IntoIterator<Item = S>) -> ConfigSetting {
    let values = values.into_iter().map(Into::into).collect();
    ConfigSetting { outcome: Outcome::Absent, why: None, at: None, written: None, values }
}

/// A setting that can't be told.
pub(super) fn not_proven(why: impl Into<String>) -> ConfigSetting {
    ConfigSetting { outcome: Outcome::NotProven, why: Some(why.into()), at: None, written: None, values: vec![] }
}

/// The same, where something is written.
pub(super) fn unclear(at: &At, text: &str, why: impl Into<String>) -> ConfigSetting {
    ConfigSetting {
        outcome: Outcome::NotProven,
        why: Some(why.into()),
        at: Some(at.to_string()),
        written: Some(text.to_owned()),
        values: vec![],
    }
}

/// A setting that is not written, and whose default can't be told from the files.
pub(super) fn unset(what: &str, of: &str) -> ConfigSetting {
    not_proven(format!(
        "{what} is not set, and its default depends on the version of {of}: write it down, or name the version in the \
         inventory"
    ))
}

/// `on` or `off`.
pub(super) fn switch(on: bool) -> Vec<String> {
    vec![if on { "on" } else { "off" }.to_owned()]
}

/// A cipher string; `at` is none for a documented default.
pub(super) fn cipher_string(at: Option<&At>, string: &str) -> ConfigCiphers {
    let (asked, classes) = ciphers::classes(string);
    ConfigCiphers {
        outcome: if at.is_some() { Outcome::Present } else { Outcome::Absent },
        why: None,
        at: at.map(ToString::to_string),
        written: Some(string.to_owned()),
        asked,
        classes,
    }
}

/// A cipher string that can't be told.
pub(super) fn no_ciphers(why: impl Into<String>) -> ConfigCiphers {
    ConfigCiphers {
        outcome: Outcome::NotProven,
        why: Some(why.into()),
        at: None,
        written: None,
        asked: Asked::Only(vec![]),
        classes: vec![],
    }
}

/// No header.
pub(super) fn no_hsts() -> ConfigHsts {
    ConfigHsts {
        outcome: Outcome::Absent,
        why: None,
        at: None,
        written: None,
        max_age: None,
        include_subdomains: false,
        missing_in: vec![],
    }
}

/// A header as it is written (RFC 6797, section 6.1).
pub(super) fn hsts(at: &At, value: &str) -> ConfigHsts {
    let mut hsts = ConfigHsts {
        outcome: Outcome::Present,
        at: Some(at.to_string()),
        written: Some(value.to_owned()),
        ..no_hsts()
    };
    for directive in value.split(';').map(str::trim) {
        let (name, number) = directive.split_once('=').unwrap_or((directive, ""));
        if name.trim().eq_ignore_ascii_case("max-age") {
            hsts.max_age = number.trim().trim_matches('"').parse().ok();
        }
        hsts.include_subdomains |= name.trim().eq_ignore_ascii_case("includeSubDomains");
    }
    if hsts.max_age.is_none() {
        hsts.outcome = Outcome::NotProven;
        hsts.why = Some("its max-age can't be told from the files".into());
    }
    hsts
}

/// Something is served, or it does not matter.
pub(super) fn no_redirect() -> ConfigRedirect {
    ConfigRedirect { outcome: Outcome::Absent, why: None, at: None, except: vec![] }
}

/// Every request is sent elsewhere or refused.
pub(super) fn redirect(at: &At, except: Vec<String>) -> ConfigRedirect {
    ConfigRedirect { outcome: Outcome::Present, at: Some(at.to_string()), why: None, except }
}

/// A service about which nothing is known yet: plain, and without a setting.
pub(super) fn service(at: &At, names: Vec<String>, addresses: Vec<String>, speaks: ConfigProtocol) -> ConfigService {
    let words = [names.first(), addresses.first()];
    let none = || by_default(Vec::<String>::new());
    ConfigService {
        name: words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" "),
        outcome: Outcome::Present,
        why: None,
        at: at.to_string(),
        loopback: !addresses.is_empty() && addresses.iter().all(|address| is_loopback(address)),
        names,
        addresses,
        speaks,
        encryption: ConfigEncryption::None,
        redirect: no_redirect(),
        protocols: none(),
        ciphers: cipher_string(None, ""),
        suites: none(),
        groups: none(),
        server_order: none(),
        tickets: none(),
        stapling: none(),
        hsts: no_hsts(),
        plaintext_login: by_default(["none"]),
        certificates: vec![],
    }
}

/// Servers that share an address are told apart by the name that a client asks for, and some releases choose the version
/// of TLS before they look at it: where the servers of an address differ, none is proven.
pub(super) fn share_versions(services: &mut [ConfigService]) {
    let encrypted = |service: &ConfigService| service.encryption == ConfigEncryption::Tls;
    let mut first: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let mut differ: BTreeMap<String, String> = BTreeMap::new();
    for service in services.iter().filter(|service| encrypted(service)) {
        for address in &service.addresses {
            let (at, values) =
                first.entry(address.clone()).or_insert_with(|| (service.at.clone(), service.protocols.values.clone()));
            if *values != service.protocols.values {
                differ.entry(address.clone()).or_insert_with(|| format!("those at {at} and {}", service.at));
            }
        }
    }
    for service in services.iter_mut().filter(|service| encrypted(service)) {
        let Some((address, which)) = service.addresses.iter().find_map(|address| differ.get_key_value(address)) else {
            continue;
        };
        service.protocols.outcome = Outcome::NotProven;
        service.protocols.why = Some(format!(
            "servers on {address} have other versions, such as {which}, and the first one's may count for all"
        ));
    }
}

/// Whether only this machine can reach an address as configurations write it.
pub(super) fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    address.starts_with("unix:")
        || address.starts_with('/')
        || address == "[::1]"
        || host == "localhost"
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Without user and password.
pub(super) fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (host, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    // What stands behind a question mark may be a secret too.
    let path = path.split('?').next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}
