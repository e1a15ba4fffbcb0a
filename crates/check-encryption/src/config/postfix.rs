//! Postfix: `main.cf`, and the services of `master.cf` with their overrides
//! (<https://www.postfix.org/postconf.5.html>, <https://www.postfix.org/master.5.html>).

mod syntax;

use std::collections::BTreeMap;

use self::syntax::{Entry, main_cf, master_cf, protocols};
use super::found::{
    Found, by_default, cipher_string, no_ciphers, not_proven, service, switch, unclear, unset, written,
};
use super::tree::At;
use crate::facts::{
    ConfigCiphers, ConfigEncryption, ConfigProtocol, ConfigService, ConfigSetting, ConfigUpstream, Outcome,
};

/// A parameter as it is written, and where.
type Parameters = BTreeMap<String, (At, String)>;

/// What a value that names other parameters comes to is not worked out.
const VARIABLE: &str = "it names other parameters, which are not expanded: write the value down";

/// Parameters of one service: its overrides count before `main.cf`.
struct Scope<'a> {
    own: &'a Parameters,
    main: &'a Parameters,
}

impl<'a> Scope<'a> {
    fn get(&self, name: &str) -> Option<&'a (At, String)> {
        self.own.get(name).or_else(|| self.main.get(name))
    }

    /// A parameter of one word; an empty one is as if it were not written.
    fn word(&self, name: &str) -> Result<Option<(&'a At, &'a str)>, ConfigSetting> {
        match self.get(name) {
            Some((at, text)) if text.contains('$') => Err(unclear(at, text, VARIABLE)),
            Some((at, text)) if !text.is_empty() => Ok(Some((at, text.as_str()))),
            _ => Ok(None),
        }
    }

    /// A switch; its default is `no`.
    fn yes(&self, name: &str) -> Result<Option<&'a At>, ConfigSetting> {
        match self.word(name)? {
            Some((at, text)) if text.eq_ignore_ascii_case("yes") => Ok(Some(at)),
            Some((at, text)) if !text.eq_ignore_ascii_case("no") => Err(unclear(at, text, "neither 'yes' nor 'no'")),
            _ => Ok(None),
        }
    }
}

/// Reads the folder `entry`.
pub(super) fn read(found: &mut Found, entry: &str) {
    let folder = entry.trim_end_matches('/');
    let main = main_cf(&mut found.tree, &format!("{folder}/main.cf"));
    let entries = master_cf(&mut found.tree, &format!("{folder}/master.cf"));
    for entry in entries.iter().filter(|entry| entry.kind == "inet") {
        match entry.command.as_str() {
            "smtpd" => {
                let service = server(found, &main, entry);
                found.services.push(service);
            }
            "postscreen" => {
                let mut service = server(found, &main, entry);
                service.outcome = Outcome::NotProven;
                service.why = Some("what postscreen hands on to other services is not followed".into());
                found.services.push(service);
            }
            _ => {}
        }
    }
    for entry in entries.iter().filter(|entry| entry.kind == "unix" && entry.command == "smtp") {
        let upstream = client(found, &main, entry);
        found.upstreams.push(upstream);
    }
}

/// How a service is encrypted, and whether the stricter parameters (`…_mandatory_…`) are those that count.
fn encryption(scope: &Scope<'_>) -> Result<(ConfigEncryption, Option<At>), ConfigSetting> {
    if let Some(at) = scope.yes("smtpd_tls_wrappermode")? {
        return Ok((ConfigEncryption::Tls, Some(at.clone())));
    }
    match scope.word("smtpd_tls_security_level")? {
        Some((at, text)) => match text {
            "none" => Ok((ConfigEncryption::None, Some(at.clone()))),
            "may" => Ok((ConfigEncryption::StarttlsOptional, Some(at.clone()))),
            // The server takes the others for `encrypt`.
            "encrypt" | "fingerprint" | "verify" | "secure" => {
                Ok((ConfigEncryption::StarttlsRequired, Some(at.clone())))
            }
            _ => Err(unclear(at, text, "no level of security")),
        },
        // What was in use before 2.3 counts where the level is empty.
        None => match (scope.yes("smtpd_enforce_tls")?, scope.yes("smtpd_use_tls")?) {
            (Some(at), _) => Ok((ConfigEncryption::StarttlsRequired, Some(at.clone()))),
            (_, Some(at)) => Ok((ConfigEncryption::StarttlsOptional, Some(at.clone()))),
            _ => Ok((ConfigEncryption::None, None)),
        },
    }
}

/// Parameters that name certificates with their keys, or keys.
const CERTIFICATES: [&str; 4] =
    ["smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file"];
const KEYS: [&str; 4] = ["smtpd_tls_chain_files", "smtpd_tls_key_file", "smtpd_tls_eckey_file", "smtpd_tls_dkey_file"];

fn server(found: &mut Found, main: &Parameters, entry: &Entry) -> ConfigService {
    let scope = Scope { own: &entry.overrides, main };
    let submission = ["submission", "submissions", "smtps", "587", "465"];
    let port = entry.name.rsplit_once(':').map_or(entry.name.as_str(), |(_, port)| port);
    let speaks = if submission.contains(&port) { ConfigProtocol::Submission } else { ConfigProtocol::Smtp };
    let mut service = service(&entry.at, vec![], addresses(main, &entry.name), speaks);
    let encryption = match encryption(&scope) {
        Ok((encryption, _)) => encryption,
        Err(setting) => {
            service.outcome = Outcome::NotProven;
            service.why = setting.why.map(|why| format!("{}: {why}", setting.at.unwrap_or_default()));
            ConfigEncryption::None
        }
    };
    service.encryption = encryption;
    service.plaintext_login = login(&scope, encryption);
    for name in CERTIFICATES {
        for (path, at) in paths(found, &scope, name) {
            let certificate = found.tree.named(&path, &at);
            service.certificates.push(certificate);
        }
    }
    // Without a certificate the server says so in its log, and offers no STARTTLS.
    if encryption == ConfigEncryption::StarttlsOptional && CERTIFICATES.iter().all(|name| scope.get(name).is_none()) {
        service.encryption = ConfigEncryption::None;
        service.plaintext_login = login(&scope, ConfigEncryption::None);
    }
    if service.encryption == ConfigEncryption::None {
        return service;
    }
    for name in KEYS {
        for (path, at) in paths(found, &scope, name) {
            found.key(&path, &at);
        }
    }
    settings(found, &scope, &mut service);
    service
}

/// Where a service listens; `inet_interfaces` counts where its entry names no host.
fn addresses(main: &Parameters, name: &str) -> Vec<String> {
    if name.contains(':') {
        return vec![name.to_owned()];
    }
    match main.get("inet_interfaces") {
        Some((_, text)) if text == "loopback-only" || text == "localhost" => vec![format!("localhost:{name}")],
        _ => vec![name.to_owned()],
    }
}

/// Whether a password is taken without encryption.
fn login(scope: &Scope<'_>, encryption: ConfigEncryption) -> ConfigSetting {
    let offered = match scope.yes("smtpd_sasl_auth_enable") {
        Ok(offered) => offered,
        Err(setting) => return setting,
    };
    let Some(offered) = offered else { return by_default(["none"]) };
    if matches!(encryption, ConfigEncryption::Tls | ConfigEncryption::StarttlsRequired) {
        return written(offered, "yes", vec!["refused".into()]);
    }
    match (scope.yes("smtpd_tls_auth_only"), scope.get("smtpd_sasl_security_options")) {
        (Err(setting), _) => setting,
        (Ok(Some(at)), _) => written(at, "yes", vec!["refused".into()]),
        (Ok(None), Some((at, text))) if text.contains("noplaintext") || text.contains('$') => {
            unclear(at, text, "which methods of log-in are left can't be told from the files")
        }
        (Ok(None), _) => written(offered, "yes", vec!["allowed".into()]),
    }
}

/// Files that a parameter names.
fn paths(found: &mut Found, scope: &Scope<'_>, name: &str) -> Vec<(String, At)> {
    let Some((at, text)) = scope.get(name) else { return vec![] };
    let mut paths = Vec::new();
    for path in text.split([',', ' ', '\t']).filter(|path| !path.is_empty() && *path != "none") {
        // That of the certificate file, which is looked at for itself.
        if let Some(other) = path.strip_prefix('$')
            && CERTIFICATES.contains(&other.trim_matches(['{', '}', '(', ')']))
        {
            let other = other.trim_matches(['{', '}', '(', ')']).to_owned();
            paths.extend(
                scope.get(&other).filter(|(_, text)| text.starts_with('/')).map(|(_, t)| (t.clone(), at.clone())),
            );
            continue;
        }
        if path.starts_with('/') && !path.contains('$') {
            paths.push((path.to_owned(), at.clone()));
        } else {
            found.tree.unknown(at, format!("where '{path}' leads can't be told from the file"));
        }
    }
    paths
}

/// What is said about TLS.
fn settings(found: &Found, scope: &Scope<'_>, service: &mut ConfigService) {
    let mandatory = service.encryption != ConfigEncryption::StarttlsOptional;
    let name = if mandatory { "smtpd_tls_mandatory_protocols" } else { "smtpd_tls_protocols" };
    service.protocols = versions(found, scope, name);
    if let Some((at, text)) =
        scope.get("tls_config_file").filter(|(_, text)| !matches!(text.as_str(), "none" | "default"))
    {
        service.protocols = unclear(at, text, "a configuration of OpenSSL may change the versions");
    }
    service.ciphers = ciphers(found, scope, mandatory);
    service.suites = unset("a list of suites of TLS 1.3", "OpenSSL");
    service.groups = match scope.word("tls_eecdh_auto_curves") {
        Ok(Some((at, text))) => written(at, text, text.split([' ', ',', ':']).map(str::to_owned).collect()),
        Ok(None) => unset("tls_eecdh_auto_curves", "Postfix"),
        Err(setting) => setting,
    };
    service.server_order = match scope.yes("tls_preempt_cipherlist") {
        Ok(Some(at)) => written(at, "yes", switch(true)),
        Ok(None) => by_default(switch(false)),
        Err(setting) => setting,
    };
    service.tickets = match scope.get("tls_ssl_options") {
        Some((at, text)) if text.split([' ', ',', ':']).any(|word| word.eq_ignore_ascii_case("NO_TICKET")) => {
            written(at, text.as_str(), switch(false))
        }
        _ => not_proven("whether tickets are given depends on the cache of sessions and the version of Postfix"),
    };
    // Postfix knows none.
    service.stapling = by_default(switch(false));
}

fn versions(found: &Found, scope: &Scope<'_>, name: &str) -> ConfigSetting {
    let (at, text) = match scope.get(name) {
        Some((at, text)) if text.contains('$') => return unclear(at, text, VARIABLE),
        Some((at, text)) => (at, text),
        // ">=TLSv1" (<https://www.postfix.org/postconf.5.html#smtpd_tls_protocols>); later releases may say otherwise.
        None if found.since(&[3, 6]) == Some(true) && found.since(&[3, 11]) == Some(false) => {
            return by_default(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]);
        }
        None => return unset(name, "Postfix"),
    };
    if text.contains(['<', '>']) && found.since(&[3, 6]) == Some(false) {
        return unclear(at, text, "Postfix knows limits of versions since 3.6");
    }
    match protocols(text) {
        Ok(values) => written(at, text.as_str(), values),
        Err(why) => unclear(at, text, why),
    }
}

/// A grade, the list that it stands for, and what is taken out of it.
fn ciphers(found: &Found, scope: &Scope<'_>, mandatory: bool) -> ConfigCiphers {
    let name = if mandatory { "smtpd_tls_mandatory_ciphers" } else { "smtpd_tls_ciphers" };
    // Since 3.7 both are `medium`; before, the weaker was, for some releases, that of `smtpd_tls_ciphers`.
    let grade = match scope.word(name) {
        Ok(Some((_, grade))) => Some(grade.to_ascii_lowercase()),
        Ok(None) => (found.since(&[3, 7]) == Some(true)).then(|| "medium".to_owned()),
        Err(_) => return no_ciphers(VARIABLE),
    };
    let known = grade.as_deref().filter(|grade| ["high", "medium", "low", "export", "null"].contains(grade));
    let list = known.and_then(|grade| scope.get(&format!("tls_{grade}_cipherlist")));
    // Of a list that is not written all that it might let in counts, until it is taken out.
    let default = match (known, found.since(&[3, 7])) {
        (Some("high"), Some(true)) => Some("aNULL:-aNULL:HIGH:@STRENGTH"),
        (Some("medium"), Some(true)) => Some("aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH"),
        _ => None,
    };
    let mut string = list.map(|(_, text)| text.as_str()).or(default).unwrap_or("ALL:COMPLEMENTOFALL").to_owned();
    let both = ["smtpd_tls_exclude_ciphers", "smtpd_tls_mandatory_exclude_ciphers"];
    let mut at = scope.get(name).or(list).map(|(at, _)| at.clone());
    for name in both.into_iter().take(if mandatory { 2 } else { 1 }) {
        let Some((place, text)) = scope.get(name) else { continue };
        at = at.or_else(|| Some(place.clone()));
        for word in text.split([',', ' ', '\t', ':']).filter(|word| !word.is_empty()) {
            string.push_str(":!");
            string.push_str(word);
        }
    }
    // All grades but `null` leave out what does not encrypt (`tls_set_ciphers`).
    if known.is_some_and(|grade| grade != "null") {
        string.push_str(":!eNULL");
    }
    if string.contains('$') {
        return no_ciphers(VARIABLE);
    }
    let mut ciphers = cipher_string(at.as_ref(), &string);
    if list.is_none() && default.is_none() {
        let grade = known.unwrap_or("a grade that is not written");
        for class in ciphers.classes.iter_mut().filter(|class| class.outcome == Outcome::Present) {
            class.outcome = Outcome::NotProven;
            class.why =
                Some(format!("what {grade} stands for depends on the version of Postfix: exclude {}", class.name));
        }
        ciphers.written = scope.get(name).map(|(_, text)| text.clone());
    }
    ciphers
}

/// Mail that is sent on (`smtp(8)`).
fn client(found: &Found, main: &Parameters, entry: &Entry) -> ConfigUpstream {
    let scope = Scope { own: &entry.overrides, main };
    let mut upstream = ConfigUpstream {
        name: format!("mail sent by {}", entry.name),
        outcome: Outcome::Present,
        why: None,
        at: entry.at.to_string(),
        encryption: ConfigEncryption::None,
        verify: by_default(switch(false)),
    };
    let level = match scope.word("smtp_tls_security_level") {
        Ok(level) => level,
        Err(setting) => return unknown_client(upstream, setting),
    };
    let wrapped = match scope.yes("smtp_tls_wrappermode") {
        Ok(wrapped) => wrapped.is_some(),
        Err(setting) => return unknown_client(upstream, setting),
    };
    let verified = match level {
        Some((at, text)) => {
            let (encryption, verified) = match text {
                "none" => (ConfigEncryption::None, false),
                "may" => (ConfigEncryption::StarttlsOptional, false),
                // DANE (RFC 7672) verifies where the other side publishes a key.
                "dane" => (ConfigEncryption::StarttlsOptional, false),
                "encrypt" => (ConfigEncryption::StarttlsRequired, false),
                "dane-only" | "fingerprint" | "verify" | "secure" => (ConfigEncryption::StarttlsRequired, true),
                _ => return unknown_client(upstream, unclear(at, text, "no level of security")),
            };
            upstream.encryption = encryption;
            written(at, text, switch(verified))
        }
        None => match (scope.yes("smtp_enforce_tls"), scope.yes("smtp_use_tls")) {
            (Ok(None), Ok(None)) if found.since(&[3, 11]) == Some(false) => by_default(switch(false)),
            (Ok(None), Ok(None)) => {
                return unknown_client(upstream, unset("smtp_tls_security_level", "Postfix"));
            }
            _ => {
                let why = "smtp_enforce_tls and smtp_use_tls are not followed; write smtp_tls_security_level down";
                return unknown_client(upstream, not_proven(why));
            }
        },
    };
    upstream.verify = verified;
    if wrapped {
        upstream.encryption = ConfigEncryption::Tls;
    }
    upstream
}

fn unknown_client(mut upstream: ConfigUpstream, setting: ConfigSetting) -> ConfigUpstream {
    upstream.outcome = Outcome::NotProven;
    upstream.why.clone_from(&setting.why);
    upstream.verify = setting;
    upstream
}

#[cfg(test)]
mod tests;
