//! Dovecot 2.2 to 2.4: listeners of the log-in services, with the settings of their protocol
//! (<https://doc.dovecot.org/2.3/configuration_manual/dovecot_ssl_configuration/>,
//! <https://doc.dovecot.org/latest/core/config/ssl.html>).

mod syntax;

use self::syntax::Item;
use super::found::{
    Found, VERSIONS, by_default, cipher_string, no_ciphers, not_proven, service, switch, unclear, unset, written,
};
use super::tree::At;
use crate::facts::{ConfigEncryption, ConfigPath, ConfigProtocol, ConfigService, ConfigSetting, Outcome};

/// A protocol, the service that listens for it, and its listeners by default: name, port, TLS from the first byte.
struct Protocol {
    name: &'static str,
    speaks: ConfigProtocol,
    service: &'static str,
    listeners: &'static [(&'static str, u16, bool)],
}

const PROTOCOLS: [Protocol; 4] = [
    Protocol {
        name: "imap",
        speaks: ConfigProtocol::Imap,
        service: "imap-login",
        listeners: &[("imap", 143, false), ("imaps", 993, true)],
    },
    Protocol {
        name: "pop3",
        speaks: ConfigProtocol::Pop3,
        service: "pop3-login",
        listeners: &[("pop3", 110, false), ("pop3s", 995, true)],
    },
    Protocol {
        name: "submission",
        speaks: ConfigProtocol::Submission,
        service: "submission-login",
        listeners: &[("submission", 587, false), ("submissions", 465, true)],
    },
    Protocol {
        name: "sieve",
        speaks: ConfigProtocol::Sieve,
        service: "managesieve-login",
        listeners: &[("sieve", 4190, false)],
    },
];

/// Reads the configuration that begins in `entry`.
pub(super) fn read(found: &mut Found, entry: &str) {
    let items = syntax::read(&mut found.tree, entry);
    // Since 2.4 the files say for which version they are written.
    if let (None, Some(item)) = (&found.version, last(&items, "dovecot_config_version")) {
        found.version = Some(item.value.split('.').map_while(|part| part.parse().ok()).collect());
    }
    let mut certificates = Vec::new();
    files(found, &items, &mut certificates);
    let Some((at, names)) = protocols(found, &items) else { return };
    for protocol in PROTOCOLS.iter().filter(|protocol| names.iter().any(|name| name == protocol.name)) {
        for listener in listeners(found, &items, protocol, &at) {
            let service = one(found, &items, protocol, &listener, &certificates);
            found.services.extend(service);
        }
    }
}

/// The last setting of a name.
fn last<'a>(items: &'a [Item], key: &str) -> Option<&'a Item> {
    items.iter().rev().find(|item| item.block.is_none() && item.key == key)
}

/// The protocols that are served, and where that is said.
fn protocols(found: &mut Found, items: &[Item]) -> Option<(At, Vec<String>)> {
    let mut answer: Option<(At, Vec<String>)> = None;
    for item in items.iter().filter(|item| item.key == "protocols") {
        let mut names: Vec<String> = Vec::new();
        if let Some(block) = &item.block {
            // A list of 2.4.
            names.extend(block.iter().filter(|item| item.value == "yes").map(|item| item.key.clone()));
        }
        for word in item.value.split_whitespace().filter(|_| item.block.is_none()) {
            match (word, &answer) {
                ("$protocols", Some((_, before))) => names.extend(before.clone()),
                // Debian's packages add themselves to a default that is empty there.
                ("$protocols", None) if item.at.file.starts_with("/usr/share/dovecot/protocols.d/") => {}
                (word, _) if word.contains('$') => {
                    found.tree.unknown(&item.at, format!("what '{word}' holds can't be told from the files"));
                }
                (word, _) => names.push(word.to_owned()),
            }
        }
        answer = Some((item.at.clone(), names));
    }
    if answer.is_none() {
        let why = "protocols is not set, and its default depends on the build of Dovecot: write it down";
        found.tree.unknown("protocols", why);
    }
    answer
}

/// A place where a protocol is served.
struct Listener {
    at: At,
    name: String,
    addresses: Vec<String>,
    tls: Result<bool, String>,
}

fn listeners(found: &Found, items: &[Item], protocol: &Protocol, at: &At) -> Vec<Listener> {
    let blocks = || {
        let services = items.iter().filter(|item| item.key == "service" && item.value == protocol.service);
        let inside = services.filter_map(|item| item.block.as_ref()).flatten();
        inside.filter(|item| item.key == "inet_listener").filter_map(|item| Some((item, item.block.as_ref()?)))
    };
    let mut names: Vec<&str> = protocol.listeners.iter().map(|(name, ..)| *name).collect();
    for (item, _) in blocks() {
        if !names.contains(&item.value.as_str()) {
            names.push(&item.value);
        }
    }
    let mut all = Vec::new();
    for name in names {
        let default = protocol.listeners.iter().find(|(known, ..)| *known == name);
        let own: Vec<(&Item, &Vec<Item>)> = blocks().filter(|(item, _)| item.value == name).collect();
        // Submission with TLS from the first byte is there by default since 2.4.
        if name == "submissions" && own.is_empty() && found.since(&[2, 4]) != Some(true) {
            continue;
        }
        let get = |key: &str| own.iter().rev().find_map(|(_, block)| last(block, key));
        let port = match get("port") {
            Some(item) => item.value.clone(),
            None => default.map_or("0".to_owned(), |(_, port, _)| port.to_string()),
        };
        if port == "0" {
            continue;
        }
        let hosts = get("listen").or_else(|| get("address")).filter(|item| !item.value.is_empty());
        let hosts = hosts.or_else(|| last(items, "listen")).map_or("*, ::", |item| item.value.as_str());
        let host = |host: &str| if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let tls = match get("ssl").map(|item| (item, item.value.as_str())) {
            None => Ok(default.is_some_and(|(_, _, tls)| *tls)),
            Some((_, "yes")) => Ok(true),
            Some((_, "no")) => Ok(false),
            Some((item, text)) => Err(format!("{}: ssl is '{text}'", item.at)),
        };
        all.push(Listener {
            at: own.last().map_or_else(|| at.clone(), |(item, _)| item.at.clone()),
            name: name.to_owned(),
            addresses: hosts.split([',', ' ']).filter(|host| !host.is_empty()).map(host).collect(),
            tls,
        });
    }
    all
}

/// Settings of a protocol: its own block counts before what stands outside.
struct Scope<'a> {
    items: &'a [Item],
    protocol: &'a str,
}

impl<'a> Scope<'a> {
    fn get(&self, key: &str) -> Option<&'a Item> {
        let own = self.items.iter().filter(|item| item.key == "protocol" && item.value == self.protocol);
        let own: Vec<&Vec<Item>> = own.filter_map(|item| item.block.as_ref()).collect();
        own.into_iter().rev().find_map(|block| last(block, key)).or_else(|| last(self.items, key))
    }

    /// One of several settings, the first that is there: the value, or why it can't be told.
    fn value(&self, keys: &[&str]) -> Result<Option<&'a Item>, ConfigSetting> {
        if let Some(item) = keys.iter().find_map(|key| elsewhere(self.items, self.protocol, key, 0)) {
            let why = format!("it says otherwise at {} for some connections", item.at);
            return Err(unclear(&item.at, &item.value, why));
        }
        match keys.iter().find_map(|key| self.get(key)) {
            Some(item) if item.value.starts_with('<') && !item.quoted => {
                Err(unclear(&item.at, &item.value, "it is read from another file"))
            }
            Some(item) if item.value.contains('$') => Err(unclear(&item.at, &item.value, "it holds a variable")),
            found => Ok(found),
        }
    }
}

/// A setting in a block that holds for some connections only (`local`, `remote`, `protocol !imap`, …), at any depth.
fn elsewhere<'a>(items: &'a [Item], protocol: &str, key: &str, depth: u32) -> Option<&'a Item> {
    let filters = ["local", "local_name", "remote", "protocol"];
    items.iter().filter(|item| filters.contains(&item.key.as_str())).find_map(|item| {
        let block = item.block.as_ref()?;
        let is_own = depth == 0 && item.key == "protocol" && item.value == protocol;
        let is_others = item.key == "protocol" && PROTOCOLS.iter().any(|p| p.name == item.value && p.name != protocol);
        let here = last(block, key).filter(|_| !is_own && !is_others);
        here.or_else(|| if is_others { None } else { elsewhere(block, protocol, key, depth + 1) })
    })
}

/// How it is encrypted; `None` where it does not listen at all.
fn encryption(scope: &Scope<'_>, tls: bool) -> Result<Option<ConfigEncryption>, ConfigSetting> {
    let ssl = scope.value(&["ssl"])?;
    match ssl.map_or("yes", |item| item.value.as_str()) {
        // Listeners with TLS stay closed then.
        "no" => Ok((!tls).then_some(ConfigEncryption::None)),
        "yes" | "required" if tls => Ok(Some(ConfigEncryption::Tls)),
        "required" => Ok(Some(ConfigEncryption::StarttlsRequired)),
        "yes" => Ok(Some(ConfigEncryption::StarttlsOptional)),
        text => {
            Err(ssl.map_or_else(|| not_proven(text), |item| unclear(&item.at, text, "none of 'yes', 'no', 'required'")))
        }
    }
}

fn one(
    found: &Found,
    items: &[Item],
    protocol: &Protocol,
    listener: &Listener,
    certificates: &[ConfigPath],
) -> Option<ConfigService> {
    let scope = Scope { items, protocol: protocol.name };
    let mut service = service(&listener.at, vec![listener.name.clone()], listener.addresses.clone(), protocol.speaks);
    let encryption = match &listener.tls {
        Ok(tls) => encryption(&scope, *tls),
        Err(why) => Err(not_proven(why.clone())),
    };
    match encryption {
        Ok(encryption) => service.encryption = encryption?,
        Err(setting) => {
            service.outcome = Outcome::NotProven;
            service.why = setting.why;
        }
    }
    service.plaintext_login = login(&scope, service.encryption);
    if service.encryption != ConfigEncryption::None {
        settings(found, &scope, &mut service);
    }
    for item in ["ssl_cert", "ssl_server_cert_file"].iter().filter_map(|key| scope.get(key)) {
        service.certificates.extend(certificates.iter().filter(|named| named.at == item.at.to_string()).cloned());
    }
    Some(service)
}

/// Whether a password is taken without encryption: `ssl = required` says no whatever the others do.
fn login(scope: &Scope<'_>, encryption: ConfigEncryption) -> ConfigSetting {
    if encryption == ConfigEncryption::Tls {
        return by_default(["refused"]);
    }
    // A connection from there counts as secured, whatever the other settings say.
    match scope.value(&["login_trusted_networks"]) {
        Err(setting) => return setting,
        Ok(Some(item)) => {
            let own = |network: &str| network.starts_with("127.") || matches!(network, "::1" | "::1/128");
            if item.value.split([' ', ',', '\t']).any(|network| !network.is_empty() && !own(network)) {
                return written(&item.at, item.value.as_str(), vec!["allowed".into()]);
            }
        }
        Ok(None) => {}
    }
    if matches!(encryption, ConfigEncryption::Tls | ConfigEncryption::StarttlsRequired) {
        return by_default(["refused"]);
    }
    for (key, allows) in [("auth_allow_cleartext", "yes"), ("disable_plaintext_auth", "no")] {
        match scope.value(&[key]) {
            Err(setting) => return setting,
            Ok(Some(item)) => match item.value.as_str() {
                text @ ("yes" | "no") => {
                    let allowed = if text == allows { "allowed" } else { "refused" };
                    return written(&item.at, text, vec![allowed.into()]);
                }
                text => return unclear(&item.at, text, "neither 'yes' nor 'no'"),
            },
            Ok(None) => {}
        }
    }
    // So it is in all releases since 1.0.
    by_default(["refused"])
}

fn settings(found: &Found, scope: &Scope<'_>, service: &mut ConfigService) {
    service.protocols = versions(found, scope);
    service.ciphers = match scope.value(&["ssl_cipher_list"]) {
        Err(setting) => no_ciphers(setting.why.unwrap_or_default()),
        Ok(Some(item)) if !item.value.is_empty() => cipher_string(Some(&item.at), &item.value),
        // The default since 2.3.
        Ok(_) if found.since(&[2, 3]) == Some(true) => cipher_string(
            None,
            "ALL:!kRSA:!SRP:!kDHd:!DSS:!aNULL:!eNULL:!EXPORT:!DES:!3DES:!MD5:!PSK:!RC4:!ADH:!LOW@STRENGTH",
        ),
        Ok(_) => no_ciphers("ssl_cipher_list is not set, and its default depends on the version of Dovecot"),
    };
    let list = |keys: &[&str]| match scope.value(keys) {
        Err(setting) => setting,
        Ok(Some(item)) => written(&item.at, item.value.as_str(), item.value.split(':').map(str::to_owned).collect()),
        Ok(None) => unset(keys.first().unwrap_or(&""), "OpenSSL"),
    };
    service.suites = list(&["ssl_cipher_suites"]);
    service.groups = list(&["ssl_curve_list"]);
    service.server_order = match scope.value(&["ssl_prefer_server_ciphers", "ssl_server_prefer_ciphers"]) {
        Err(setting) => setting,
        Ok(Some(item)) => match item.value.as_str() {
            text @ ("yes" | "server") => written(&item.at, text, switch(true)),
            text @ ("no" | "client") => written(&item.at, text, switch(false)),
            text => unclear(&item.at, text, "none of 'yes', 'no', 'server', 'client'"),
        },
        Ok(None) => unset("ssl_prefer_server_ciphers", "Dovecot"),
    };
    service.tickets = match scope.value(&["ssl_options"]) {
        Err(setting) => setting,
        Ok(Some(item)) => {
            let off = item.value.split_whitespace().any(|word| word == "no_ticket");
            written(&item.at, item.value.as_str(), switch(!off))
        }
        Ok(None) => by_default(switch(true)),
    };
    // Dovecot knows none.
    service.stapling = by_default(switch(false));
}

/// `ssl_min_protocol`, since 2.3; before, `ssl_protocols` was a list of what is on or off.
fn versions(found: &Found, scope: &Scope<'_>) -> ConfigSetting {
    let from = |n: usize| VERSIONS.get(n..).unwrap_or_default().iter().map(|name| (*name).to_owned()).collect();
    match scope.value(&["ssl_min_protocol"]) {
        Err(setting) => return setting,
        Ok(Some(item)) => {
            let name = match item.value.as_str() {
                "TLSv1" => "TLSv1.0",
                "ANY" => "SSLv3",
                "LATEST" => "TLSv1.3",
                name => name,
            };
            return match VERSIONS.iter().position(|version| *version == name) {
                Some(n) => written(&item.at, item.value.as_str(), from(n)),
                None => unclear(&item.at, &item.value, "no version of TLS"),
            };
        }
        Ok(None) => {}
    }
    match (scope.value(&["ssl_protocols"]), found.since(&[2, 4])) {
        (Err(setting), _) => setting,
        (Ok(Some(item)), _) => unclear(
            &item.at,
            &item.value,
            "ssl_protocols is of 2.2 and counts for nothing since: write ssl_min_protocol",
        ),
        (Ok(None), Some(true)) => by_default(from(4)),
        (Ok(None), _) => unset("ssl_min_protocol", "Dovecot"),
    }
}

/// Looks at the certificates and keys that are named anywhere.
fn files(found: &mut Found, items: &[Item], certificates: &mut Vec<ConfigPath>) {
    for item in items {
        if let Some(block) = &item.block {
            files(found, block, certificates);
            continue;
        }
        let is_key =
            matches!(item.key.as_str(), "ssl_key" | "ssl_alt_key" | "ssl_server_key_file" | "ssl_server_alt_key_file");
        let is_certificate = matches!(
            item.key.as_str(),
            "ssl_cert" | "ssl_alt_cert" | "ssl_server_cert_file" | "ssl_server_alt_cert_file"
        );
        // Before 2.4 it is `<` and the path; what has none is the key itself, and told to nobody.
        let path = if item.key.ends_with("_file") { Some(item.value.as_str()) } else { item.value.strip_prefix('<') };
        let path = path.map(str::trim).filter(|path| !path.is_empty());
        match path {
            Some(path) if (is_key || is_certificate) && path.starts_with('/') && !path.contains('$') => {
                if is_key {
                    found.key(path, &item.at);
                } else {
                    certificates.push(found.tree.named(path, &item.at));
                }
            }
            Some(path) if is_key || is_certificate => {
                found.tree.unknown(&item.at, format!("where '{path}' leads can't be told from the file"));
            }
            None if is_key && !item.value.is_empty() => {
                found.tree.unknown(&item.at, "the key stands in the configuration itself; name its file instead");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
