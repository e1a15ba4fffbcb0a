//! Apache httpd: virtual hosts with what they inherit (<https://httpd.apache.org/docs/2.4/mod/mod_ssl.html>).

mod syntax;

use std::collections::BTreeSet;

use self::syntax::{Directive, Reader};
use super::found::{
    Found, VERSIONS, by_default, cipher_string, hsts, no_hsts, redirect, service, switch, unclear, unset,
    without_userinfo, written,
};
use super::tree::below;
use crate::facts::{
    ConfigEncryption, ConfigModule, ConfigProtocol, ConfigRedirect, ConfigService, ConfigSetting, ConfigUpstream,
    Outcome,
};

/// Reads the configuration that begins in `entry`.
pub(super) fn read(found: &mut Found, entry: &str) {
    let version = found.version.clone();
    let mut reader = Reader::new(&mut found.tree, entry, version);
    let main = reader.file(entry, None, false);
    let root = reader.server_root().to_owned();
    let loaded = std::mem::take(&mut reader.loaded);
    let module =
        |(name, at): (String, super::tree::At)| ConfigModule { name, outcome: Outcome::Present, at: at.to_string() };
    found.modules = loaded.into_iter().map(module).collect();

    let hosts: Vec<&Directive> = main.iter().filter(|d| d.name == "<virtualhost").collect();
    for host in &hosts {
        let addresses = host.args.clone();
        let service = one(found, &root, host, &[&host.block, &main], addresses);
        found.services.push(service);
    }
    // What no virtual host takes, the main server serves.
    let taken: BTreeSet<&str> = hosts.iter().flat_map(|host| &host.args).map(|address| port(address)).collect();
    let free = |listen: &&Directive| !taken.contains(port(listen.arg(0))) && !taken.contains("*");
    let listens: Vec<&Directive> = main.iter().filter(|d| d.name == "listen").filter(free).collect();
    for listen in listens {
        let service = one(found, &root, listen, &[&main], vec![listen.arg(0).to_owned()]);
        found.services.push(service);
    }
    for (scope, _) in
        std::iter::once((vec![main.as_slice()], ())).chain(hosts.iter().map(|h| (vec![h.block.as_slice(), &main], ())))
    {
        upstreams(found, &scope);
    }
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(_, port)| port)
}

type Scope<'a> = [&'a [Directive]];

/// The last directive of a name in the innermost block that has one.
fn get<'a>(scope: &Scope<'a>, name: &str) -> Option<&'a Directive> {
    scope.iter().find_map(|block| block.iter().rev().find(|directive| directive.name == name))
}

fn one(found: &mut Found, root: &str, place: &Directive, scope: &Scope<'_>, addresses: Vec<String>) -> ConfigService {
    let own = scope.first().copied().unwrap_or_default();
    let named = own.iter().filter(|d| matches!(d.name.as_str(), "servername" | "serveralias"));
    let names = named.flat_map(|d| d.args.clone()).collect();
    let mut service = service(&place.at, names, addresses, ConfigProtocol::Http);
    let engine = get(scope, "sslengine");
    match engine.map(|d| d.arg(0).to_ascii_lowercase()).as_deref() {
        None | Some("off") => {}
        Some("on") => service.encryption = ConfigEncryption::Tls,
        Some("optional") => service.encryption = ConfigEncryption::StarttlsOptional,
        Some(_) => {
            service.outcome = Outcome::NotProven;
            service.why = engine.map(|d| format!("what SSLEngine comes to at {} can't be told", d.at));
        }
    }
    if service.encryption == ConfigEncryption::None {
        service.redirect = to_https(own);
        return service;
    }
    service.hsts = strict_transport(scope, own);
    service.protocols = match get(scope, "sslprotocol") {
        Some(d) => protocols(d),
        // Since 2.4.17 `all -SSLv3`.
        None => match found.since(&[2, 4, 17]) {
            Some(true) => by_default(VERSIONS.iter().copied().skip(2)),
            Some(false) => by_default(VERSIONS.iter().copied().skip(1)),
            None => unset("SSLProtocol", "Apache"),
        },
    };
    let suites = |thirteen: bool| {
        let fits = move |d: &&Directive| {
            d.name == "sslciphersuite" && (d.args.len() > 1 && d.arg(0).eq_ignore_ascii_case("TLSv1.3")) == thirteen
        };
        scope.iter().find_map(|block| block.iter().rev().find(fits))
    };
    service.ciphers = match suites(false) {
        Some(d) => cipher_string(Some(&d.at), d.args.last().map_or("", String::as_str)),
        None => cipher_string(None, "DEFAULT"),
    };
    let list = |text: &str| text.split(':').map(str::to_owned).collect();
    service.suites = match suites(true) {
        Some(d) => written(&d.at, d.arg(1), list(d.arg(1))),
        None => unset("SSLCipherSuite TLSv1.3", "OpenSSL"),
    };
    service.groups = unset("SSLOpenSSLConfCmd Groups", "OpenSSL");
    let commands = scope.iter().rev().flat_map(|block| block.iter()).filter(|d| d.name == "sslopensslconfcmd");
    for d in commands {
        match d.arg(0).to_ascii_lowercase().as_str() {
            "groups" | "curves" => service.groups = written(&d.at, d.arg(1), list(d.arg(1))),
            "ciphersuites" => service.suites = written(&d.at, d.arg(1), list(d.arg(1))),
            "cipherstring" => service.ciphers = cipher_string(Some(&d.at), d.arg(1)),
            "protocol" | "minprotocol" | "maxprotocol" | "options" => {
                service.protocols =
                    unclear(&d.at, d.arg(1), "SSLOpenSSLConfCmd changes the versions; say it in SSLProtocol");
            }
            _ => {}
        }
    }
    service.server_order = on_or_off(scope, "sslhonorcipherorder", false);
    service.tickets = on_or_off(scope, "sslsessiontickets", true);
    service.stapling = on_or_off(scope, "sslusestapling", false);
    for block in scope {
        for d in block.iter() {
            let path = below(root, d.arg(0));
            match d.name.as_str() {
                "sslcertificatefile" => {
                    let certificate = found.tree.named(&path, &d.at);
                    service.certificates.push(certificate);
                }
                "sslcertificatekeyfile" if !d.arg(0).contains(':') => found.key(&path, &d.at),
                _ => {}
            }
        }
    }
    if service.ciphers.written.as_ref().is_some_and(|text| text.contains("${")) {
        service.ciphers = super::found::no_ciphers("it holds a variable of the environment");
    }
    service
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
fn protocols(directive: &Directive) -> ConfigSetting {
    let mut held: BTreeSet<usize> = BTreeSet::new();
    for (n, word) in directive.args.iter().enumerate() {
        let (sign, name) = match word.split_at_checked(1) {
            Some((sign @ ("+" | "-"), name)) => (sign, name),
            _ => ("", word.as_str()),
        };
        let name = if name.eq_ignore_ascii_case("TLSv1") { "TLSv1.0" } else { name };
        let meant: BTreeSet<usize> = match VERSIONS.iter().position(|version| version.eq_ignore_ascii_case(name)) {
            // SSL 2.0 is gone from 2.4.
            _ if name.eq_ignore_ascii_case("all") => (1..VERSIONS.len()).collect(),
            Some(version) => [version].into(),
            None => return unclear(&directive.at, &directive.args.join(" "), "it names a version that is not known"),
        };
        match sign {
            "-" => held.retain(|version| !meant.contains(version)),
            "+" => held.extend(meant),
            _ if n == 0 => held = meant,
            // Between words without signs httpd warns, and takes the last.
            _ => held = meant,
        }
    }
    let names = held.iter().filter_map(|n| VERSIONS.get(*n)).map(|name| (*name).to_owned()).collect();
    written(&directive.at, directive.args.join(" "), names)
}

/// `Header [always] set Strict-Transport-Security …`; what `<Location>` and others of its kind take away counts.
fn strict_transport(scope: &Scope<'_>, own: &[Directive]) -> crate::facts::ConfigHsts {
    let mut found = no_hsts();
    // The outer ones are applied first; each may replace the one before.
    for d in scope.iter().rev().flat_map(|block| block.iter()).filter(|d| d.name == "header") {
        if let Some((action, value, condition)) = header(d) {
            found = match action.as_str() {
                "unset" => no_hsts(),
                _ => hsts(&d.at, &value),
            };
            if condition && action != "unset" {
                (found.outcome, found.why) = (Outcome::NotProven, Some("it is sent under a condition".into()));
            }
        }
    }
    let mut todo: Vec<&Directive> = own.iter().filter(|d| d.name.starts_with('<')).collect();
    while let Some(section) = todo.pop() {
        let unset = |d: &&Directive| d.name == "header" && header(d).is_some_and(|(action, ..)| action == "unset");
        found.missing_in.extend(section.block.iter().filter(unset).map(|d| d.at.to_string()));
        todo.extend(section.block.iter().filter(|d| d.name.starts_with('<')));
    }
    found.missing_in.sort();
    found
}

/// Action, value and whether there is a condition, of a `Header` about HSTS.
fn header(directive: &Directive) -> Option<(String, String, bool)> {
    let mut args = directive.args.iter();
    let mut action = args.next()?.to_ascii_lowercase();
    if matches!(action.as_str(), "always" | "onsuccess") {
        action = args.next()?.to_ascii_lowercase();
    }
    if !args.next()?.eq_ignore_ascii_case("strict-transport-security") {
        return None;
    }
    let value = args.next().cloned().unwrap_or_default();
    Some((action, value, args.next().is_some()))
}

/// `Redirect permanent / https://…`, or a rule that rewrites everything.
fn to_https(own: &[Directive]) -> ConfigRedirect {
    let mut conditions: Vec<&Directive> = Vec::new();
    let rewrites =
        own.iter().rev().find(|d| d.name == "rewriteengine").is_some_and(|d| d.arg(0).eq_ignore_ascii_case("on"));
    let mut unsure = None;
    for d in own {
        match d.name.as_str() {
            "redirect" => {
                let args: Vec<&str> = d.args.iter().map(String::as_str).collect();
                if let ["/", url] | [_, "/", url] = args.as_slice()
                    && url.starts_with("https://")
                {
                    return redirect(&d.at, vec![]);
                }
            }
            "redirectmatch" => {
                let url = d.args.last().map_or("", String::as_str);
                let pattern = d.args.iter().rev().nth(1).map_or("", String::as_str);
                if matches!(pattern, "^" | ".*" | "^.*" | "(.*)" | "^(.*)$" | "^/(.*)$" | "^/(.*)")
                    && url.starts_with("https://")
                {
                    return redirect(&d.at, vec![]);
                }
            }
            "rewritecond" => conditions.push(d),
            "rewriterule" if rewrites => {
                let all = matches!(
                    d.arg(0),
                    "^" | ".*" | "^.*" | "(.*)" | "^(.*)" | "^(.*)$" | "^/?(.*)" | "^/?(.*)$" | "^/(.*)$"
                );
                let away = d.arg(1).starts_with("https://") && d.arg(2).to_ascii_uppercase().contains('R');
                let off = |c: &&Directive| {
                    c.arg(0).eq_ignore_ascii_case("%{HTTPS}")
                        && matches!(c.arg(1).to_ascii_lowercase().as_str(), "off" | "!=on" | "!on")
                };
                if all && away && conditions.iter().all(off) {
                    return redirect(&d.at, vec![]);
                }
                if all && away {
                    unsure = Some(d);
                } else if d.arg(1) != "-" || !d.arg(2).is_empty() {
                    // Another rule may end the rules before the one that leads away.
                    unsure = unsure.or(Some(d));
                }
                conditions.clear();
            }
            _ => {}
        }
    }
    match unsure {
        Some(d) => ConfigRedirect {
            outcome: Outcome::NotProven,
            why: Some("rules with conditions lead away; whether they do so for every request can't be told".into()),
            at: Some(d.at.to_string()),
            except: vec![],
        },
        None => super::found::no_redirect(),
    }
}

/// Servers behind, by `ProxyPass`.
fn upstreams(found: &mut Found, scope: &Scope<'_>) {
    let Some(block) = scope.first() else { return };
    for d in *block {
        if matches!(d.name.as_str(), "<location" | "<locationmatch" | "<directory" | "<proxy" | "<if" | "<ifmodule") {
            let inner: Vec<&[Directive]> = std::iter::once(d.block.as_slice()).chain(scope.iter().copied()).collect();
            upstreams(found, &inner);
            continue;
        }
        if !matches!(d.name.as_str(), "proxypass" | "proxypassmatch" | "balancermember") {
            continue;
        }
        let Some(url) = d.args.iter().find(|arg| arg.contains("://")) else { continue };
        let encrypted = ["https://", "wss://", "h2://"].iter().any(|scheme| url.starts_with(scheme));
        let verify = match get(scope, "sslproxyverify") {
            None => by_default(switch(false)),
            Some(v) => match v.arg(0).to_ascii_lowercase().as_str() {
                "require" => written(&v.at, v.arg(0), switch(true)),
                "none" | "optional" | "optional_no_ca" => written(&v.at, v.arg(0), switch(false)),
                _ => unclear(&v.at, v.arg(0), "it is not known"),
            },
        };
        found.upstreams.push(ConfigUpstream {
            name: without_userinfo(url),
            outcome: Outcome::Present,
            why: None,
            at: d.at.to_string(),
            encryption: if encrypted { ConfigEncryption::Tls } else { ConfigEncryption::None },
            verify,
        });
    }
}
