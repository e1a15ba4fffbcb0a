//! nginx: `http`, `mail` and `stream` servers, with what they inherit (<https://nginx.org/en/docs/>).

mod routes;
mod syntax;

use std::collections::BTreeSet;

use self::syntax::{Directive, Reader};
use super::found::{
    Found, VERSIONS, by_default, cipher_string, hsts, no_ciphers, no_hsts, service, share_versions, switch, unclear,
    unset, written,
};
use super::tree::{At, below, folder_of};
use crate::facts::{
    ConfigCiphers, ConfigEncryption, ConfigHsts, ConfigModule, ConfigProtocol, ConfigService, ConfigSetting, Outcome,
};

/// The blocks around a directive, the innermost first: the first that says something is the one that counts.
type Scope<'a> = [&'a [Directive]];

/// The last directive of a name in the innermost block that has one.
fn get<'a>(scope: &Scope<'a>, name: &str) -> Option<&'a Directive> {
    scope.iter().find_map(|block| block.iter().rev().find(|directive| directive.name == name))
}

/// All directives of a name in the innermost block that has one.
fn all<'a>(scope: &Scope<'a>, name: &str) -> Vec<&'a Directive> {
    let of = |block: &&'a [Directive]| block.iter().filter(|d| d.name == name).collect::<Vec<_>>();
    scope.iter().map(of).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Reads the configuration that begins in `entry`.
pub(super) fn read(found: &mut Found, entry: &str) {
    let main = Reader::new(&mut found.tree, entry).file(entry, None);
    let prefix = folder_of(entry).to_owned();
    for directive in &main {
        match directive.name.as_str() {
            "load_module" => found.modules.push(ConfigModule {
                name: directive.arg(0).to_owned(),
                outcome: Outcome::Present,
                at: directive.at.to_string(),
            }),
            "http" | "mail" | "stream" => servers(found, &prefix, directive),
            _ => {}
        }
    }
    share_versions(&mut found.services);
}

/// The servers of one of the three contexts.
fn servers(found: &mut Found, prefix: &str, context: &Directive) {
    let (blocks, rest): (Vec<&Directive>, Vec<&Directive>) = context.block.iter().partition(|d| d.name == "server");
    // What all servers inherit, without the servers themselves: each looks through it for each setting.
    let outer: Vec<Directive> = rest.into_iter().cloned().collect();
    // An address is encrypted for all servers on it as soon as one of them says so.
    let listens = |server: &Directive| all(&[&server.block], "listen").into_iter().cloned().collect::<Vec<_>>();
    let encrypted: BTreeSet<String> = blocks
        .iter()
        .flat_map(|server| listens(server))
        .filter(|listen| listen.args.iter().skip(1).any(|word| word == "ssl" || word == "quic"))
        .map(|listen| address(listen.arg(0)))
        .collect();
    for server in blocks {
        let scope: [&[Directive]; 2] = [&server.block, &outer];
        let listens = listens(server);
        let addresses: BTreeSet<String> = if listens.is_empty() {
            ["*:80".to_owned()].into()
        } else {
            listens.iter().map(|l| address(l.arg(0))).collect()
        };
        // Before 1.25.1 `ssl on` encrypted all addresses of a server.
        let on = get(&scope, "ssl").is_some_and(|ssl| ssl.arg(0) == "on") && found.since(&[1, 25, 1]) != Some(true);
        let (tls, plain): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| on || encrypted.contains(a));
        for (addresses, tls) in [(tls, true), (plain, false)] {
            if !addresses.is_empty() {
                let service = one(found, prefix, &context.name, server, &scope, addresses, tls);
                found.services.push(service);
            }
        }
        routes::upstreams(found, &context.name, &scope);
    }
}

/// An address as all ways to write it: `443` is `*:443`, `host` is `host:80`.
fn address(text: &str) -> String {
    let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match text {
        _ if text.starts_with("unix:") => text.to_owned(),
        _ if port(text) => format!("*:{text}"),
        _ if text.rsplit_once(':').is_some_and(|(host, p)| port(p) && (!host.contains(':') || host.ends_with(']'))) => {
            text.replacen("0.0.0.0:", "*:", 1)
        }
        _ => format!("{text}:80"),
    }
}

fn one(
    found: &mut Found,
    prefix: &str,
    context: &str,
    server: &Directive,
    scope: &Scope<'_>,
    addresses: Vec<String>,
    tls: bool,
) -> ConfigService {
    let names = all(&[&server.block], "server_name").iter().flat_map(|names| names.args.clone()).collect();
    // It ends each handshake before a word of HTTP; its versions may still be those of other servers on the address.
    let rejects = tls && get(scope, "ssl_reject_handshake").is_some_and(|d| d.arg(0) == "on");
    let speaks = match context {
        "http" if rejects => ConfigProtocol::Tcp,
        "http" => ConfigProtocol::Http,
        "mail" => mail(get(scope, "protocol").map_or("", |d| d.arg(0)), &addresses),
        _ => ConfigProtocol::Tcp,
    };
    let mut service = service(&server.at, names, addresses, speaks);
    service.encryption = match get(scope, "starttls").map_or("off", |d| d.arg(0)) {
        _ if tls => ConfigEncryption::Tls,
        "only" if context == "mail" => ConfigEncryption::StarttlsRequired,
        "on" if context == "mail" => ConfigEncryption::StarttlsOptional,
        _ => ConfigEncryption::None,
    };
    if speaks == ConfigProtocol::Http {
        if tls {
            service.hsts = strict_transport(scope);
        } else {
            service.redirect = routes::redirect(scope);
        }
    }
    if context == "mail" {
        let allowed = matches!(service.encryption, ConfigEncryption::None | ConfigEncryption::StarttlsOptional);
        service.plaintext_login = by_default([if allowed { "allowed" } else { "refused" }]);
    }
    if service.encryption == ConfigEncryption::None {
        return service;
    }
    settings(found, scope, &mut service);
    for (name, is_key) in [("ssl_certificate", false), ("ssl_certificate_key", true)] {
        for directive in all(scope, name) {
            let text = directive.arg(0);
            // Beside paths there are the key itself, keys of an engine, and files that are chosen for each connection.
            if text.contains('$') || ["data:", "engine:", "store:"].iter().any(|scheme| text.starts_with(scheme)) {
                continue;
            }
            let path = below(prefix, text);
            if is_key {
                found.key(&path, &directive.at);
            } else {
                let certificate = found.tree.named(&path, &directive.at);
                service.certificates.push(certificate);
            }
        }
    }
    service
}

/// The protocol of a mail server without `protocol` follows from its port.
fn mail(protocol: &str, addresses: &[String]) -> ConfigProtocol {
    let port = addresses.first().and_then(|address| address.rsplit_once(':')).map_or("", |(_, port)| port);
    match (protocol, port) {
        ("imap", _) | ("", "143" | "993") => ConfigProtocol::Imap,
        ("pop3", _) | ("", "110" | "995") => ConfigProtocol::Pop3,
        _ => ConfigProtocol::Submission,
    }
}

/// What is said about TLS.
fn settings(found: &Found, scope: &Scope<'_>, service: &mut ConfigService) {
    service.protocols = match all(scope, "ssl_protocols").as_slice() {
        // Several in one block add up: each sets bits.
        [first, rest @ ..] => {
            let words: Vec<&String> = first.args.iter().chain(rest.iter().flat_map(|d| &d.args)).collect();
            let text = words.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" ");
            match words.iter().map(|word| version(word)).collect::<Option<Vec<String>>>() {
                Some(versions) => written(&first.at, text, versions),
                None => unclear(&first.at, &text, "a word of ssl_protocols is no version that Probity knows"),
            }
        }
        // <https://nginx.org/en/docs/http/ngx_http_ssl_module.html#ssl_protocols>
        [] => match (found.since(&[1, 27, 3]), found.since(&[1, 23, 4])) {
            (None, _) | (_, None) => unset("ssl_protocols", "nginx"),
            (Some(true), _) => by_default(["TLSv1.2", "TLSv1.3"]),
            (_, Some(true)) => by_default(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
            _ => by_default(["TLSv1.0", "TLSv1.1", "TLSv1.2"]),
        },
    };
    service.ciphers = match get(scope, "ssl_ciphers") {
        Some(d) => cipher_string(Some(&d.at), d.arg(0)),
        // Since 1.0.5.
        None => cipher_string(None, "HIGH:!aNULL:!MD5"),
    };
    service.groups = match get(scope, "ssl_ecdh_curve") {
        Some(d) if d.arg(0) != "auto" => written(&d.at, d.arg(0), d.arg(0).split(':').map(str::to_owned).collect()),
        _ => unset("ssl_ecdh_curve", "OpenSSL"),
    };
    service.suites = unset("ssl_conf_command Ciphersuites", "OpenSSL");
    service.server_order = on_or_off(scope, "ssl_prefer_server_ciphers", false);
    service.tickets = on_or_off(scope, "ssl_session_tickets", true);
    service.stapling = on_or_off(scope, "ssl_stapling", false);
    for command in all(scope, "ssl_conf_command") {
        let (at, value) = (&command.at, command.arg(1));
        let list = || value.split(':').map(str::to_owned).collect();
        match command.arg(0).to_ascii_lowercase().as_str() {
            "ciphersuites" => service.suites = written(at, value, list()),
            "curves" | "groups" => service.groups = written(at, value, list()),
            "cipherstring" => service.ciphers = cipher_string(Some(at), value),
            "minprotocol" | "maxprotocol" | "protocol" => {
                service.protocols =
                    unclear(at, value, "ssl_conf_command changes the versions; say it in ssl_protocols");
            }
            "options" => {
                service.server_order = unclear(at, value, "ssl_conf_command may change it");
                service.tickets = unclear(at, value, "ssl_conf_command may change it");
                service.protocols.outcome = Outcome::NotProven;
                service.protocols.why = Some(format!("ssl_conf_command Options at {at} may change the versions"));
            }
            _ => {}
        }
    }
    variables(&mut service.ciphers, &mut [&mut service.protocols, &mut service.groups]);
}

/// What holds a variable can't be told from the files.
fn variables(ciphers: &mut ConfigCiphers, settings: &mut [&mut ConfigSetting]) {
    const WHY: &str = "it holds a variable";
    let varies = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('$'));
    if varies(&ciphers.written) {
        *ciphers = ConfigCiphers { at: ciphers.at.take(), written: ciphers.written.take(), ..no_ciphers(WHY) };
    }
    for setting in settings.iter_mut().filter(|setting| varies(&setting.written)) {
        (setting.outcome, setting.why) = (Outcome::NotProven, Some(WHY.to_owned()));
    }
}

/// `TLSv1` is the name of TLS 1.0 there, and letters may be small or large.
fn version(word: &str) -> Option<String> {
    let name = if word.eq_ignore_ascii_case("TLSv1") { "TLSv1.0" } else { word };
    VERSIONS.iter().find(|version| version.eq_ignore_ascii_case(name)).map(|version| (*version).to_owned())
}

/// A switch; its default never changed.
fn on_or_off(scope: &Scope<'_>, name: &str, default: bool) -> ConfigSetting {
    match get(scope, name) {
        None => by_default(switch(default)),
        Some(d) => match d.arg(0) {
            text @ ("on" | "off") => written(&d.at, text, switch(text == "on")),
            text => unclear(&d.at, text, "neither 'on' nor 'off'"),
        },
    }
}

/// `add_header Strict-Transport-Security`: a block with any `add_header` inherits none.
fn strict_transport(scope: &Scope<'_>) -> ConfigHsts {
    let headers = all(scope, "add_header");
    let Some(server) = scope.first() else { return no_hsts() };
    let mut hsts = match headers.iter().find(|header| is_hsts(header)) {
        Some(header) => hsts(&header.at, header.arg(1)),
        None => no_hsts(),
    };
    let mut todo: Vec<&Directive> = server.iter().collect();
    let mut merged = scope.iter().any(|block| block.iter().any(|d| d.name == "add_header_inherit"));
    while let Some(directive) = todo.pop() {
        if !matches!(directive.name.as_str(), "location" | "if" | "limit_except") {
            continue;
        }
        let own: Vec<&Directive> = directive.block.iter().filter(|d| d.name == "add_header").collect();
        if !own.is_empty() && !own.iter().any(|header| is_hsts(header)) {
            hsts.missing_in.push(directive.at.to_string());
        }
        merged |= directive.block.iter().any(|d| d.name == "add_header_inherit");
        todo.extend(&directive.block);
    }
    hsts.missing_in.sort();
    if merged {
        hsts.outcome = Outcome::NotProven;
        hsts.why = Some("add_header_inherit is not understood".to_owned());
    }
    hsts
}

fn is_hsts(header: &Directive) -> bool {
    header.arg(0).eq_ignore_ascii_case("strict-transport-security")
}

/// Where a directive stands.
fn at(directive: &Directive) -> &At {
    &directive.at
}

#[cfg(test)]
mod tests;
