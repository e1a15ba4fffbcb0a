//! Apache httpd 2.4: virtual hosts with what they inherit (<https://httpd.apache.org/docs/2.4/mod/mod_ssl.html>).

mod routes;
mod syntax;

use std::collections::BTreeMap;

use self::syntax::{Directive, Reader};
use super::found::{
    Found, VERSIONS, by_default, cipher_string, no_ciphers, service, share_versions, switch, unclear, unset, written,
};
use super::tree::{At, below};
use crate::facts::{
    ConfigCiphers, ConfigEncryption, ConfigModule, ConfigProtocol, ConfigService, ConfigSetting, Outcome,
};

/// The blocks around a directive, the innermost first.
type Scope<'a> = [&'a [Directive]];

/// The last directive of a name in the innermost block that has one.
fn get<'a>(scope: &Scope<'a>, name: &str) -> Option<&'a Directive> {
    scope.iter().find_map(|block| block.iter().rev().find(|directive| directive.name == name))
}

/// Reads the configuration that begins in `entry`.
pub(super) fn read(found: &mut Found, entry: &str) {
    let version = found.version.clone();
    let mut reader = Reader::new(&mut found.tree, entry, version);
    let all = reader.file(entry, None, false);
    let root = reader.server_root().to_owned();
    let loaded = std::mem::take(&mut reader.loaded);
    let module = |(name, at): (String, At)| ConfigModule { name, outcome: Outcome::Present, at: at.to_string() };
    found.modules = loaded.into_iter().map(module).collect();
    let (hosts, main): (Vec<Directive>, Vec<Directive>) = all.into_iter().partition(|d| d.name == "<virtualhost");
    for host in &hosts {
        let service = one(found, &root, host, &[&host.block, &main], host.args.clone());
        found.services.push(service);
        inside_sections(found, &host.block);
        routes::upstreams(found, &[&host.block, &main]);
    }
    // What no virtual host takes, the main server serves.
    for listen in main.iter().filter(|d| d.name == "listen") {
        let address = listen.arg(0);
        let address = if address.contains(':') { address.to_owned() } else { format!("*:{address}") };
        if !hosts.iter().flat_map(|host| &host.args).any(|host| takes(host, &address)) {
            let service = one(found, &root, listen, &[&main], vec![address]);
            found.services.push(service);
        }
    }
    inside_sections(found, &main);
    routes::upstreams(found, &[&main]);
    share_versions(&mut found.services);
}

/// Whether a virtual host of that address takes everything that comes to a listening one.
fn takes(host: &str, listen: &str) -> bool {
    let (ip, port) = match host.rsplit_once(':') {
        Some((ip, port)) if !port.ends_with(']') => (ip, port),
        _ => (host, "*"),
    };
    let (listen_ip, listen_port) = listen.rsplit_once(':').unwrap_or((listen, ""));
    (port == "*" || port == listen_port) && (ip == "*" || ip.eq_ignore_ascii_case("_default_") || ip == listen_ip)
}

/// Suites may be chosen again for a part of a site, by another handshake.
fn inside_sections(found: &mut Found, block: &[Directive]) {
    let mut todo: Vec<&Directive> = block.iter().filter(|d| d.name.starts_with('<')).collect();
    while let Some(section) = todo.pop() {
        for d in &section.block {
            if matches!(d.name.as_str(), "sslciphersuite" | "sslprotocol" | "sslopensslconfcmd" | "sslengine") {
                found.tree.unknown(&d.at, format!("{} inside of {}> is not followed", d.name, section.name));
            } else if d.name == "<virtualhost" {
                found.tree.unknown(&d.at, "a virtual host inside of another section is not followed");
            }
        }
        todo.extend(section.block.iter().filter(|d| d.name.starts_with('<')));
    }
}

fn one(found: &mut Found, root: &str, place: &Directive, scope: &Scope<'_>, addresses: Vec<String>) -> ConfigService {
    let own = scope.first().copied().unwrap_or_default();
    let named = own.iter().filter(|d| matches!(d.name.as_str(), "servername" | "serveralias"));
    let names = named.flat_map(|d| d.args.clone()).collect();
    let mut service = service(&place.at, names, addresses, ConfigProtocol::Http);
    let engine = get(scope, "sslengine");
    match engine.map(|d| (d, d.arg(0).to_ascii_lowercase())) {
        None => {}
        Some((_, text)) if text == "off" => {}
        Some((_, text)) if text == "on" => service.encryption = ConfigEncryption::Tls,
        // Upgraded by the client inside HTTP (RFC 2817): what is served in plain is served.
        Some((d, _)) => {
            let why = format!("what SSLEngine {} comes to can't be told", d.arg(0));
            found.tree.unknown(&d.at, why.as_str());
            (service.outcome, service.why) = (Outcome::NotProven, Some(why));
        }
    }
    if service.encryption == ConfigEncryption::None {
        service.redirect = routes::to_https(own, scope.get(1).copied().unwrap_or_default());
        return service;
    }
    service.hsts = routes::strict_transport(scope);
    settings(found, scope, &mut service);
    for d in scope.iter().flat_map(|block| block.iter()) {
        let (text, path) = (d.arg(0), below(root, d.arg(0)));
        // Keys and certificates of tokens are no files.
        let scheme = text.contains(':') && !text.starts_with('/');
        match d.name.as_str() {
            "sslcertificatefile" if !scheme => {
                let certificate = found.tree.named(&path, &d.at);
                service.certificates.push(certificate);
            }
            "sslcertificatekeyfile" if !scheme => found.key(&path, &d.at),
            _ => {}
        }
    }
    // Without a key of its own, that of a certificate's file counts.
    if get(scope, "sslcertificatekeyfile").is_none()
        && let Some(d) = get(scope, "sslcertificatefile")
    {
        found.key(&below(root, d.arg(0)), &d.at);
    }
    service
}

/// What is said about TLS.
fn settings(found: &Found, scope: &Scope<'_>, service: &mut ConfigService) {
    service.protocols = match get(scope, "sslprotocol") {
        Some(d) => protocols(found, d),
        // <https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#sslprotocol>; TLS 1.3 came with 2.4.37.
        None => match (found.since(&[2, 4, 17]), found.since(&[2, 4, 37])) {
            (None, _) | (_, None) => unset("SSLProtocol", "Apache"),
            (Some(true), Some(true)) => by_default(VERSIONS.iter().copied().skip(2)),
            (Some(true), _) => by_default(["TLSv1.0", "TLSv1.1", "TLSv1.2"]),
            _ => by_default(["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"]),
        },
    };
    let suites = |thirteen: bool| {
        let fits = move |d: &&Directive| {
            d.name == "sslciphersuite" && (d.args.len() > 1 && d.arg(0).eq_ignore_ascii_case("TLSv1.3")) == thirteen
        };
        scope.iter().find_map(|block| block.iter().rev().find(fits))
    };
    service.ciphers = match suites(false) {
        Some(d) => ciphers(Some(&d.at), d.args.last().map_or("", String::as_str)),
        None => ciphers(None, "DEFAULT"),
    };
    let list = |text: &str| text.split(':').map(str::to_owned).collect();
    service.suites = match suites(true) {
        Some(d) => written(&d.at, d.arg(1), list(d.arg(1))),
        None => unset("SSLCipherSuite TLSv1.3", "OpenSSL"),
    };
    service.groups = unset("SSLOpenSSLConfCmd Groups", "OpenSSL");
    service.server_order = on_or_off(scope, "sslhonorcipherorder", false);
    service.tickets = on_or_off(scope, "sslsessiontickets", true);
    service.stapling = on_or_off(scope, "sslusestapling", false);
    // Commands of the main server come first, and those of the host add to them.
    let commands = scope.iter().rev().flat_map(|block| block.iter()).filter(|d| d.name == "sslopensslconfcmd");
    for d in commands {
        let (at, value) = (&d.at, d.arg(1));
        match d.arg(0).to_ascii_lowercase().as_str() {
            "groups" | "curves" => service.groups = written(at, value, list(value)),
            "ciphersuites" => service.suites = written(at, value, list(value)),
            // Here Apache takes nothing out.
            "cipherstring" => service.ciphers = cipher_string(Some(at), value),
            "protocol" | "minprotocol" | "maxprotocol" | "options" => {
                service.protocols.outcome = Outcome::NotProven;
                service.protocols.why = Some(format!("SSLOpenSSLConfCmd at {at} may change the versions"));
                service.server_order = unclear(at, value, "SSLOpenSSLConfCmd may change it");
                service.tickets = unclear(at, value, "SSLOpenSSLConfCmd may change it");
            }
            _ => {}
        }
    }
    if service.ciphers.written.as_ref().is_some_and(|text| text.contains("${")) {
        service.ciphers = no_ciphers("it holds a variable");
    }
}

/// A cipher string; Apache takes these three out of all (`ssl_cmd_SSLCipherSuite`).
fn ciphers(at: Option<&At>, string: &str) -> ConfigCiphers {
    ConfigCiphers { written: Some(string.to_owned()), ..cipher_string(at, &format!("{string}:!aNULL:!eNULL:!EXP")) }
}

/// A switch; its default never changed in 2.4.
fn on_or_off(scope: &Scope<'_>, name: &str, default: bool) -> ConfigSetting {
    match get(scope, name) {
        None => by_default(switch(default)),
        Some(d) => match d.arg(0).to_ascii_lowercase().as_str() {
            text @ ("on" | "off") => written(&d.at, d.arg(0), switch(text == "on")),
            _ => unclear(&d.at, d.arg(0), "neither 'on' nor 'off'"),
        },
    }
}

/// `all -SSLv3`, `-all +TLSv1.2`: a word without a sign replaces all before it.
fn protocols(found: &Found, directive: &Directive) -> ConfigSetting {
    let text = directive.args.join(" ");
    // Versions, and whether `all` alone brought them.
    let mut held: BTreeMap<usize, bool> = BTreeMap::new();
    let (ssl3, tls13) = (1, VERSIONS.len() - 1);
    for word in &directive.args {
        let (sign, name) = match word.split_at_checked(1) {
            Some((sign @ ("+" | "-"), name)) => (sign, name),
            _ => ("", word.as_str()),
        };
        let name = if name.eq_ignore_ascii_case("TLSv1") { "TLSv1.0" } else { name };
        let all = name.eq_ignore_ascii_case("all");
        let meant: Vec<usize> = match VERSIONS.iter().position(|version| version.eq_ignore_ascii_case(name)) {
            _ if all => (ssl3..VERSIONS.len()).collect(),
            Some(version) => vec![version],
            None => return unclear(&directive.at, &text, "it names a version that is not known"),
        };
        if sign.is_empty() {
            held.clear();
        }
        for version in meant {
            if sign == "-" {
                held.remove(&version);
            } else {
                let by_all = held.entry(version).or_insert(all);
                *by_all &= all;
            }
        }
    }
    // What `all` means depends on what Apache was built with, and when.
    let mut why = None;
    if held.get(&ssl3) == Some(&true) {
        held.remove(&ssl3);
        why = Some("whether 'all' holds SSLv3 depends on OpenSSL: write -SSLv3");
    }
    if held.get(&tls13) == Some(&true) {
        match found.since(&[2, 4, 37]) {
            Some(true) => {}
            Some(false) => drop(held.remove(&tls13)),
            None => {
                why = why
                    .or(Some("whether 'all' holds TLSv1.3 depends on the version of Apache: name it in the inventory"))
            }
        }
    }
    let names = held.keys().filter_map(|n| VERSIONS.get(*n)).map(|name| (*name).to_owned()).collect();
    let mut setting = written(&directive.at, text, names);
    if let Some(why) = why {
        (setting.outcome, setting.why) = (Outcome::NotProven, Some(why.to_owned()));
    }
    setting
}

#[cfg(test)]
mod tests;
