//! HAProxy: `bind` lines with what `global` and `defaults` say, and `server` lines
//! (<https://docs.haproxy.org/2.8/configuration.html>).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::found::{
    Found, VERSIONS, by_default, cipher_string, hsts, not_proven, redirect, service, switch, unclear, unset, written,
};
use super::lines::words;
use super::tree::{At, Tree, below};
use crate::facts::{ConfigEncryption, ConfigProtocol, ConfigService, ConfigSetting, ConfigUpstream, Outcome};

/// A line that says something.
#[derive(Clone, Debug)]
struct Line {
    at: At,
    words: Vec<String>,
    /// It stands between `.if` and `.endif`.
    conditional: bool,
}

impl Line {
    fn word(&self, n: usize) -> &str {
        self.words.get(n).map_or("", String::as_str)
    }

    /// Whether the line begins with these words.
    fn says(&self, words: &[&str]) -> bool {
        words.iter().zip(&self.words).filter(|(a, b)| **a == b.as_str()).count() == words.len()
    }

    /// The word behind a keyword.
    fn value(&self, keyword: &str) -> Option<&str> {
        let at = self.words.iter().skip(1).position(|word| word == keyword)?;
        self.words.get(at + 2).map(String::as_str)
    }

    fn has(&self, keyword: &str) -> bool {
        self.words.iter().skip(1).any(|word| word == keyword)
    }
}

/// A section, and the lines of it.
struct Section {
    kind: String,
    name: String,
    lines: Vec<Line>,
    /// The `defaults` section that it follows.
    defaults: Option<usize>,
}

/// Reads the configuration in `entry`.
pub(super) fn read(found: &mut Found, entry: &str) {
    let sections = sections(&mut found.tree, entry);
    let global: Vec<&Line> = sections.iter().filter(|s| s.kind == "global").flat_map(|s| &s.lines).collect();
    for section in &sections {
        let before: &[Line] = section.defaults.and_then(|n| sections.get(n)).map_or(&[], |defaults| &defaults.lines);
        // What a section says counts before what its defaults say.
        let both: Vec<&Line> = section.lines.iter().chain(before).collect();
        let both = both.as_slice();
        if matches!(section.kind.as_str(), "frontend" | "listen") {
            for bind in section.lines.iter().filter(|line| line.word(0) == "bind") {
                let service = bound(found, section, both, &global, bind);
                found.services.push(service);
            }
        }
        if matches!(section.kind.as_str(), "backend" | "listen") {
            for server in section.lines.iter().filter(|line| matches!(line.word(0), "server" | "server-template")) {
                let upstream = upstream(section, both, &global, server);
                found.upstreams.push(upstream);
            }
        }
    }
}

fn sections(tree: &mut Tree, entry: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let Some(file) = tree.read(entry, None) else { return sections };
    let (mut depth, mut named, mut last) = (0_u32, BTreeMap::new(), None);
    for (number, text) in (1..).zip(file.text.lines()) {
        let at = At { file: Arc::clone(&file.path), line: number };
        let Some(words) = words(text, true) else {
            tree.unknown(&at, "a quote that does not end");
            continue;
        };
        let Some(first) = words.first() else { continue };
        match first.as_str() {
            ".if" => {
                depth += 1;
                tree.unknown(&at, "what '.if' chooses can't be told from the file");
            }
            ".endif" => depth = depth.saturating_sub(1),
            word if word.starts_with('.') => {}
            kind if KINDS.contains(&kind) => {
                let name = words.get(1).cloned().unwrap_or_default();
                let from = words.iter().position(|word| word == "from").and_then(|n| words.get(n + 1));
                let defaults = match from {
                    Some(from) => named.get(from).copied(),
                    None => last,
                };
                if kind == "defaults" {
                    last = Some(sections.len());
                    named.insert(name.clone(), sections.len());
                }
                if let (Some(from), "defaults") = (from, kind) {
                    tree.unknown(&at, format!("defaults that build on others ('{from}') are not understood"));
                }
                sections.push(Section { kind: kind.to_owned(), name, lines: vec![], defaults });
            }
            _ => {
                let line = Line { at, words, conditional: depth > 0 };
                match sections.last_mut() {
                    Some(section) => section.lines.push(line),
                    None => tree.unknown(&line.at, "a line outside of any section"),
                }
            }
        }
    }
    sections
}

/// Words that begin a section.
const KINDS: [&str; 20] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "mailers",
    "program",
    "cache",
    "http-errors",
    "ring",
    "log-forward",
    "fcgi-app",
    "crt-store",
    "traces",
    "log-profile",
    "acme",
    "namespace_list",
];

fn bound(found: &mut Found, section: &Section, both: &[&Line], global: &[&Line], bind: &Line) -> ConfigService {
    let mode = both.iter().find(|line| line.word(0) == "mode").map_or("tcp", |line| line.word(1));
    let speaks = if mode == "http" { ConfigProtocol::Http } else { ConfigProtocol::Tcp };
    let addresses =
        bind.word(1).split(',').map(|a| a.trim_start_matches("ipv4@").trim_start_matches("ipv6@").to_owned());
    let mut service = service(&bind.at, vec![section.name.clone()], addresses.collect(), speaks);
    let environment = bind.words.iter().any(|word| word.contains('$'));
    if bind.conditional || environment || section.lines.iter().any(|line| line.conditional) {
        service.outcome = Outcome::NotProven;
        service.why = Some("a condition ('.if') or a variable of the environment decides".into());
    }
    if !bind.has("ssl") {
        if speaks == ConfigProtocol::Http
            && let Some(by) = both.iter().find(|line| to_https(line))
        {
            service.redirect = redirect(&by.at, vec![]);
        }
        return service;
    }
    service.encryption = ConfigEncryption::Tls;
    let option = |keyword: &str| global.iter().rev().find(|line| line.word(0) == keyword).copied();
    service.protocols = protocols(found, bind, option("ssl-default-bind-options"));
    let either = |keyword: &str, default: &str| -> Option<(At, String)> {
        let own = bind.value(keyword).map(|value| (bind.at.clone(), value.to_owned()));
        own.or_else(|| option(default).map(|line| (line.at.clone(), line.word(1).to_owned())))
    };
    let list = |value: &str| value.split(':').map(str::to_owned).collect();
    service.ciphers = match either("ciphers", "ssl-default-bind-ciphers") {
        Some((at, string)) => cipher_string(Some(&at), &string),
        // "DEFAULT" of the OpenSSL that it was built with.
        None => cipher_string(None, "DEFAULT"),
    };
    service.suites = match either("ciphersuites", "ssl-default-bind-ciphersuites") {
        Some((at, value)) => written(&at, value.as_str(), list(&value)),
        None => unset("ciphersuites", "OpenSSL"),
    };
    service.groups = match either("curves", "ssl-default-bind-curves").or_else(|| either("ecdhe", "-")) {
        Some((at, value)) => written(&at, value.as_str(), list(&value)),
        None => unset("curves", "OpenSSL"),
    };
    let lines: Vec<&Line> = std::iter::once(bind).chain(option("ssl-default-bind-options")).collect();
    let said = |keyword: &str| lines.iter().find(|line| line.has(keyword));
    service.server_order = match said("prefer-client-ciphers") {
        Some(line) => written(&line.at, "prefer-client-ciphers", switch(false)),
        None => by_default(switch(true)),
    };
    service.tickets = match said("no-tls-tickets") {
        Some(line) => written(&line.at, "no-tls-tickets", switch(false)),
        None => by_default(switch(true)),
    };
    service.stapling = not_proven("HAProxy staples what it is given beside the certificate, or by its command socket");
    if let Some(header) = both.iter().find(|line| sets_hsts(line)) {
        service.hsts = hsts(&header.at, header.word(3));
        // What follows its value is a condition.
        if header.words.len() > 4 && header.words.get(4..).unwrap_or_default().join(" ") != "if { ssl_fc }" {
            service.hsts.outcome = Outcome::NotProven;
            service.hsts.why = Some("it is sent under a condition".into());
        }
    }
    let base = option("crt-base").map_or(String::new(), |line| line.word(1).to_owned());
    if let Some(path) = bind.value("crt") {
        let path = below(&base, path);
        let certificate = found.tree.named(&path, &bind.at);
        service.certificates.push(certificate);
        found.key(&path, &bind.at);
    }
    if let Some(path) = bind.value("crt-list") {
        certificates(found, &mut service, &below("", path), &base, &bind.at);
    }
    service
}

/// `redirect scheme https`, for everything that is not encrypted.
fn to_https(line: &Line) -> bool {
    let rest = match () {
        () if line.says(&["redirect", "scheme", "https"]) => line.words.get(3..),
        () if line.says(&["http-request", "redirect", "scheme", "https"]) => line.words.get(4..),
        () => return false,
    };
    let condition: Vec<&str> =
        rest.unwrap_or_default().iter().skip_while(|w| *w != "if" && *w != "unless").map(String::as_str).collect();
    !line.conditional
        && matches!(condition.join(" ").as_str(), "" | "if !{ ssl_fc }" | "unless { ssl_fc }" | "if ! { ssl_fc }")
}

fn sets_hsts(line: &Line) -> bool {
    matches!(line.word(0), "http-response" | "http-after-response")
        && matches!(line.word(1), "set-header" | "add-header")
        && line.word(2).eq_ignore_ascii_case("strict-transport-security")
}

/// A list of certificates, each with options of its own in brackets.
fn certificates(found: &mut Found, service: &mut ConfigService, path: &str, base: &str, at: &At) {
    let Some(file) = found.tree.read(path, Some(at)) else { return };
    for (number, line) in (1..).zip(file.text.lines()) {
        let at = At { file: Arc::clone(&file.path), line: number };
        let line = line.trim();
        let Some(first) = line.split_whitespace().next().filter(|first| !first.starts_with('#')) else { continue };
        let path = below(base, first);
        let certificate = found.tree.named(&path, &at);
        service.certificates.push(certificate);
        found.key(&path, &at);
        let changes = ["ssl-min-ver", "ssl-max-ver", "ciphers", "ciphersuites", "no-ca-names", "curves"];
        if line.contains('[') && changes.iter().any(|keyword| line.contains(keyword)) {
            service.outcome = Outcome::NotProven;
            service.why = Some(format!("{at} changes settings for one certificate, which is not understood"));
        }
    }
}

/// Versions (`ssl_sock.c`, `ssl_sock_prepare_ctx`): limits win over exclusions, and since 2.2 the least is TLS 1.2 unless
/// something is said.
fn protocols(found: &Found, bind: &Line, default: Option<&Line>) -> ConfigSetting {
    let lines: Vec<&Line> = std::iter::once(bind).chain(default).collect();
    let value = |keyword: &str| lines.iter().find_map(|line| Some((*line, line.value(keyword)?)));
    let index = |name: &str| {
        let name = if name == "TLSv1" { "TLSv1.0" } else { name };
        VERSIONS.iter().position(|version| version.replace("v1.0", "v1") == name || *version == name)
    };
    let from = |range: std::ops::RangeInclusive<usize>| -> Vec<String> {
        VERSIONS.get(range).unwrap_or_default().iter().map(|version| (*version).to_owned()).collect()
    };
    let forced = ["force-sslv3", "force-tlsv10", "force-tlsv11", "force-tlsv12", "force-tlsv13"];
    for (n, keyword) in (1..).zip(forced) {
        if let Some(line) = lines.iter().find(|line| line.has(keyword)) {
            return written(&line.at, keyword, from(n..=n));
        }
    }
    let (least, most) = (value("ssl-min-ver"), value("ssl-max-ver"));
    let limit = |(line, text): (&Line, &str)| index(text).ok_or_else(|| unclear(&line.at, text, "no version of TLS"));
    let (low, high) = match (least.map(limit).transpose(), most.map(limit).transpose()) {
        (Ok(low), Ok(high)) => (low, high),
        (Err(setting), _) | (_, Err(setting)) => return setting,
    };
    let high_or_all = high.unwrap_or(VERSIONS.len() - 1);
    if let (Some((line, text)), Some(low)) = (least, low) {
        return written(&line.at, text, from(low..=high_or_all));
    }
    // TLS 1.2 has the number 4 in the list.
    let since_22 = found.since(&[2, 2]);
    if let Some((line, text)) = most {
        return match since_22 {
            Some(true) if high_or_all >= 4 => written(&line.at, text, from(4..=high_or_all)),
            Some(_) => written(&line.at, text, from(1..=high_or_all)),
            None => unclear(&line.at, text, "without ssl-min-ver the least version depends on that of HAProxy"),
        };
    }
    let keywords = ["no-sslv3", "no-tlsv10", "no-tlsv11", "no-tlsv12", "no-tlsv13"];
    let excluded: Vec<(usize, &At)> = (1..)
        .zip(keywords)
        .filter_map(|(n, keyword)| Some((n, &lines.iter().find(|line| line.has(keyword))?.at)))
        .collect();
    let excludes = |n: usize| excluded.iter().any(|(excluded, _)| *excluded == n);
    let left =
        |low: usize| (low..VERSIONS.len()).filter(|n| !excludes(*n)).flat_map(|n| from(n..=n)).collect::<Vec<_>>();
    let old_are_excluded = (1..4).all(excludes);
    let known = match since_22 {
        Some(true) => Some(left(4)),
        Some(false) => Some(left(1)),
        None => old_are_excluded.then(|| left(1)),
    };
    match (known, excluded.first()) {
        (Some(values), Some((_, at))) => written(at, "no-…", values),
        (Some(values), None) => by_default(values),
        (None, _) => unset("ssl-min-ver", "HAProxy"),
    }
}

fn upstream(section: &Section, both: &[&Line], global: &[&Line], server: &Line) -> ConfigUpstream {
    let defaults = both.iter().filter(|line| line.word(0) == "default-server").copied();
    let options = global.iter().filter(|line| line.word(0) == "ssl-default-server-options").copied();
    let lines: Vec<&Line> = std::iter::once(server).chain(defaults).collect();
    let encrypted = !server.has("no-ssl") && lines.iter().any(|line| line.has("ssl"));
    let verify = lines.iter().copied().chain(options).find_map(|line| Some((line, line.value("verify")?)));
    let general = global.iter().find(|line| line.word(0) == "ssl-server-verify").map(|line| (*line, line.word(1)));
    let conditional = server.conditional || server.words.iter().any(|word| word.contains('$'));
    ConfigUpstream {
        name: format!("{}/{} {}", section.name, server.word(1), server.word(2)),
        outcome: if conditional { Outcome::NotProven } else { Outcome::Present },
        why: conditional.then(|| "a condition ('.if') or a variable of the environment decides".to_owned()),
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
