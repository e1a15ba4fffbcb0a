//! HAProxy: `bind` lines with what `global` and `defaults` say, and `server` lines
//! (<https://docs.haproxy.org/2.8/configuration.html>).

mod rules;
mod syntax;
mod versions;

use std::sync::Arc;

use self::syntax::{Line, Section, sections};
use super::found::{
    Found, by_default, cipher_string, no_ciphers, not_proven, service, share_versions, switch, unclear, unset, written,
};
use super::tree::{At, below};
use crate::facts::{ConfigEncryption, ConfigModule, ConfigProtocol, ConfigService, ConfigUpstream, Outcome};

/// Reads the configuration in `entry`.
pub(super) fn read(found: &mut Found, entry: &str) {
    let sections = sections(&mut found.tree, entry);
    for (number, section) in sections.iter().enumerate() {
        // A line of `global` counts for what stands behind it.
        let before = sections.get(..number).unwrap_or_default();
        let global: Vec<&Line> = before.iter().filter(|s| s.kind == "global").flat_map(|s| &s.lines).collect();
        let defaults = section.defaults.and_then(|n| sections.get(n)).map_or(&[][..], |defaults| &defaults.lines);
        let scope = Scope { section, defaults, global: &global, all: &sections };
        if section.kind == "global" {
            let loaded = section.lines.iter().filter(|line| line.word(0).starts_with("lua-load"));
            found.modules.extend(loaded.map(|line| ConfigModule {
                name: line.word(1).to_owned(),
                outcome: Outcome::Present,
                at: line.at.to_string(),
            }));
        }
        if matches!(section.kind.as_str(), "frontend" | "listen" | "peers" | "log-forward") {
            for bind in section.lines.iter().filter(|line| line.word(0) == "bind") {
                let service = bound(found, &scope, bind);
                found.services.push(service);
            }
        }
        if matches!(section.kind.as_str(), "backend" | "listen" | "peers" | "ring") {
            for (n, server) in section.lines.iter().enumerate() {
                if matches!(server.word(0), "server" | "server-template") {
                    let above = section.lines.get(..n).unwrap_or_default();
                    let upstream = upstream(&scope, above, server);
                    found.upstreams.push(upstream);
                }
            }
        }
    }
    share_versions(&mut found.services);
}

/// A section with what it inherits.
struct Scope<'a> {
    section: &'a Section,
    defaults: &'a [Line],
    global: &'a [&'a Line],
    all: &'a [Section],
}

impl<'a> Scope<'a> {
    /// The last line of a keyword, of the section or else of its defaults.
    fn last(&self, keyword: &str) -> Option<&'a Line> {
        let of = |lines: &'a [Line]| lines.iter().rev().find(|line| line.word(0) == keyword);
        of(&self.section.lines).or_else(|| of(self.defaults))
    }

    /// The last line of a keyword in `global`.
    fn option(&self, keyword: &str) -> Option<&'a Line> {
        self.global.iter().rev().find(|line| line.word(0) == keyword).copied()
    }

    /// Rules, in the order in which they are applied.
    fn rules(&self) -> impl Iterator<Item = &'a Line> {
        self.defaults.iter().chain(&self.section.lines)
    }
}

/// Words of a `bind` line that stand alone.
const SINGLE: [&str; 29] = [
    "accept-proxy",
    "allow-0rtt",
    "defer-accept",
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "generate-certificates",
    "no-alpn",
    "no-ca-names",
    "no-renegotiate",
    "no-sslv3",
    "no-strict-sni",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "prefer-client-ciphers",
    "quic-force-retry",
    "renegotiate",
    "ssl",
    "strict-sni",
    "tfo",
    "tls-tickets",
    "transparent",
    "v4v6",
    "v6only",
];
/// Words of a `bind` line that a value follows.
const WITH_VALUE: [&str; 51] = [
    "accept-netscaler-cip",
    "alpn",
    "backlog",
    "ca-file",
    "ca-ignore-err",
    "ca-sign-file",
    "ca-sign-pass",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "crl-file",
    "crt",
    "crt-ignore-err",
    "crt-list",
    "curves",
    "default-crt",
    "ecdhe",
    "expose-fd",
    "gid",
    "group",
    "guid-prefix",
    "id",
    "idle-ping",
    "interface",
    "label",
    "level",
    "maxconn",
    "mode",
    "mss",
    "name",
    "namespace",
    "nbconn",
    "nice",
    "npn",
    "ocsp-update",
    "process",
    "proto",
    "quic-cc-algo",
    "quic-socket",
    "severity-output",
    "shards",
    "sigalgs",
    "ssl-max-ver",
    "ssl-min-ver",
    "tcp-ut",
    "thread",
    "tls-ticket-keys",
    "uid",
    "user",
    "verify",
];

/// What a `bind` line says behind its addresses, or `ssl-default-bind-options`.
struct Options<'a> {
    at: &'a At,
    pairs: Vec<(&'a str, &'a str)>,
    /// The first word that is not understood.
    strange: Option<String>,
}

impl<'a> Options<'a> {
    fn of(line: &'a Line, from: usize) -> Self {
        let mut options = Self { at: &line.at, pairs: vec![], strange: None };
        let mut words = line.from(from).into_iter();
        while let Some(word) = words.next() {
            let value = match word {
                word if WITH_VALUE.contains(&word) => words.next().unwrap_or_default(),
                word if SINGLE.contains(&word) => "",
                word => {
                    options.strange = Some(word.to_owned());
                    break;
                }
            };
            options.pairs.push((word, value));
        }
        options
    }

    fn has(&self, keyword: &str) -> bool {
        self.pairs.iter().any(|(word, _)| *word == keyword)
    }

    /// The last value of a keyword.
    fn value(&self, keyword: &str) -> Option<&'a str> {
        self.pairs.iter().rev().find(|(word, _)| *word == keyword).map(|(_, value)| *value)
    }
}

fn bound(found: &mut Found, scope: &Scope<'_>, bind: &Line) -> ConfigService {
    let http = matches!(scope.section.kind.as_str(), "frontend" | "listen")
        && scope.last("mode").is_some_and(|mode| mode.word(1) == "http");
    let speaks = if http { ConfigProtocol::Http } else { ConfigProtocol::Tcp };
    let family = |address: &str| {
        let (family, rest) = address.split_once('@').unwrap_or(("", address));
        match family {
            "unix" => format!("unix:{rest}"),
            "" | "ipv4" | "ipv6" if rest.starts_with(':') => format!("*{rest}"),
            "" | "ipv4" | "ipv6" => rest.to_owned(),
            _ => address.to_owned(),
        }
    };
    let addresses: Vec<String> = bind.word(1).split(',').map(family).collect();
    let mut service = service(&bind.at, vec![scope.section.name.clone()], addresses, speaks);
    let options = Options::of(bind, 2);
    if let Some(word) = &options.strange {
        let why = format!("'{word}' is not understood");
        found.tree.unknown(&bind.at, why.as_str());
        (service.outcome, service.why) = (Outcome::NotProven, Some(why));
    }
    if bind.open {
        service.outcome = Outcome::NotProven;
        service.why = Some("a condition ('.if') or a variable of the environment decides".into());
    }
    if !options.has("ssl") {
        if http {
            service.redirect = rules::to_https(scope);
        }
        return service;
    }
    service.encryption = ConfigEncryption::Tls;
    let default = scope.option("ssl-default-bind-options").map(|line| Options::of(line, 1));
    service.protocols = versions::protocols(found, &options, default.as_ref());
    let either = |keyword: &str, default: &str| -> Option<(At, String)> {
        let own = options.value(keyword).map(|value| (bind.at.clone(), value.to_owned()));
        own.or_else(|| scope.option(default).map(|line| (line.at.clone(), line.word(1).to_owned())))
    };
    let list = |value: &str| value.split(':').map(str::to_owned).collect();
    service.ciphers = match either("ciphers", "ssl-default-bind-ciphers") {
        Some((at, string)) => cipher_string(Some(&at), &string),
        // A list may be built in, and else it is OpenSSL's.
        None => no_ciphers(
            "ssl-default-bind-ciphers is not set, and its default depends on how HAProxy was built: write it down",
        ),
    };
    service.suites = match either("ciphersuites", "ssl-default-bind-ciphersuites") {
        Some((at, value)) => written(&at, value.as_str(), list(&value)),
        None => unset("ciphersuites", "OpenSSL"),
    };
    service.groups = match either("curves", "ssl-default-bind-curves").or_else(|| either("ecdhe", "-")) {
        Some((at, value)) => written(&at, value.as_str(), list(&value)),
        None => unset("curves", "OpenSSL"),
    };
    let said = |keyword: &str| std::iter::once(&options).chain(&default).find(|options| options.has(keyword));
    service.server_order = match said("prefer-client-ciphers") {
        Some(by) => written(by.at, "prefer-client-ciphers", switch(false)),
        None => by_default(switch(true)),
    };
    service.tickets = match said("no-tls-tickets") {
        Some(by) if !options.has("tls-tickets") => written(by.at, "no-tls-tickets", switch(false)),
        _ => by_default(switch(true)),
    };
    service.stapling = not_proven("HAProxy staples what it is given beside the certificate, or by its command socket");
    if http {
        service.hsts = rules::strict_transport(scope);
    }
    let base = scope.option("crt-base").map_or(String::new(), |line| line.word(1).to_owned());
    for (keyword, path) in &options.pairs {
        match *keyword {
            "crt" | "default-crt" if path.starts_with('@') => {
                found.tree.unknown(&bind.at, format!("the certificate {path} of a store is not followed"));
            }
            "crt" | "default-crt" => certificate(found, &mut service, &below(&base, path), &bind.at),
            "crt-list" => listed(found, &mut service, &below("", path), &base, &bind.at),
            _ => {}
        }
    }
    service
}

/// A file with a certificate and its key, or a folder of such files.
fn certificate(found: &mut Found, service: &mut ConfigService, path: &str, at: &At) {
    let paths = match found.tree.look(path) {
        Ok(here) if here.is_dir => found.tree.included(&format!("{}/*", path.trim_end_matches('/')), at),
        _ => vec![path.to_owned()],
    };
    for path in paths {
        let certificate = found.tree.named(&path, at);
        service.certificates.push(certificate);
        found.key(&path, at);
        let beside = format!("{path}.key");
        if found.tree.look(&beside).is_ok() {
            found.key(&beside, at);
        }
    }
}

/// A list of certificates, each with options of its own in brackets.
fn listed(found: &mut Found, service: &mut ConfigService, path: &str, base: &str, at: &At) {
    let Some(file) = found.tree.read(path, Some(at)) else { return };
    for (number, line) in (1..).zip(file.text.lines()) {
        let at = At { file: Arc::clone(&file.path), line: number };
        let line = line.trim();
        let Some(first) = line.split_whitespace().next().filter(|first| !first.starts_with('#')) else { continue };
        certificate(found, service, &below(base, first), &at);
        if line.contains('[') {
            let why = format!("{at} changes settings for one certificate, which is not understood");
            service.protocols.outcome = Outcome::NotProven;
            service.protocols.why = Some(why.clone());
            service.ciphers = no_ciphers(why);
        }
    }
}

/// The values of words of a `server` line that may look like words of their own.
const SERVER_VALUES: [&str; 16] = [
    "addr",
    "alpn",
    "cookie",
    "crt",
    "ca-file",
    "check-sni",
    "id",
    "namespace",
    "observe",
    "proto",
    "redir",
    "sni",
    "source",
    "track",
    "verifyhost",
    "ws",
];

/// Keywords of a `server` or `default-server` line, with what follows each.
fn keywords(line: &Line, from: usize) -> Vec<(&str, &str)> {
    let words = line.from(from);
    let mut pairs = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let next = words.get(at + 1).copied().unwrap_or_default();
        pairs.push((*word, next));
        at += if SERVER_VALUES.contains(word) || *word == "verify" { 2 } else { 1 };
    }
    pairs
}

fn upstream(scope: &Scope<'_>, above: &[Line], server: &Line) -> ConfigUpstream {
    // What a server says itself comes last and wins; `default-server` counts for the servers below it.
    let defaults = scope.defaults.iter().chain(above).filter(|line| line.word(0) == "default-server");
    let from = if server.word(0) == "server-template" { 4 } else { 3 };
    let lines: Vec<(&Line, usize)> = defaults.map(|line| (line, 1)).chain([(server, from)]).collect();
    let (mut encrypted, mut verify) = (false, None);
    for (line, from) in &lines {
        for (word, value) in keywords(line, *from) {
            match word {
                "ssl" => encrypted = true,
                "no-ssl" => encrypted = false,
                "verify" => verify = Some((*line, value)),
                _ => {}
            }
        }
    }
    let general = scope.option("ssl-server-verify").map(|line| (line, line.word(1)));
    let open = lines.iter().any(|(line, _)| line.open);
    ConfigUpstream {
        name: format!("{}/{} {}", scope.section.name, server.word(1), server.word(from - 1)),
        outcome: if open { Outcome::NotProven } else { Outcome::Present },
        why: open.then(|| "a condition ('.if') or a variable of the environment decides".to_owned()),
        at: server.at.to_string(),
        encryption: if encrypted { ConfigEncryption::Tls } else { ConfigEncryption::None },
        verify: match verify.or(general) {
            Some((line, text @ ("none" | "required"))) => written(&line.at, text, switch(text == "required")),
            Some((line, text)) => unclear(&line.at, text, "neither 'none' nor 'required'"),
            // `ssl-server-verify` is `required` unless it says otherwise.
            None => by_default(switch(true)),
        },
    }
}

#[cfg(test)]
mod tests;
