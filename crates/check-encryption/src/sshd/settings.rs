//! Reads what `sshd -T` prints (sshd(8)): one lower-case keyword and its value a line.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::facts::{Outcome, Setting, SshdFacts};

/// Keyword → values, in order.
pub(super) type Settings = BTreeMap<String, Vec<String>>;

/// Every setting. A keyword that is printed several times has several values.
pub(super) fn parse(text: &str) -> Settings {
    let mut settings = Settings::new();
    for line in text.lines() {
        let (name, value) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let is_keyword = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if is_keyword {
            settings.entry(name.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
    }
    settings
}

/// The version that `sshd -V` prints, on either output; before 9.3 in the midst of a complaint about `-V`.
pub(super) fn version(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.get(line.find("OpenSSH_")?..))?;
    line.split(',').next().map(str::trim).map(str::to_owned)
}

/// The facts that follow from settings alone; everything else is empty, and nothing is proven.
pub(super) fn facts(settings: Settings) -> SshdFacts {
    let s = &settings;
    SshdFacts {
        outcome: Outcome::NotProven,
        why: None,
        installed: false,
        path: None,
        version: None,
        looked_for: vec![],
        command: vec![],
        password_authentication: yes(s, "passwordauthentication"),
        kbd_interactive_authentication: yes(s, "kbdinteractiveauthentication")
            .or_else(|| yes(s, "challengeresponseauthentication")),
        pubkey_authentication: yes(s, "pubkeyauthentication"),
        permit_root_login: word(s, "permitrootlogin"),
        permit_empty_passwords: yes(s, "permitemptypasswords"),
        use_pam: yes(s, "usepam"),
        strict_modes: yes(s, "strictmodes"),
        x11_forwarding: yes(s, "x11forwarding"),
        allow_tcp_forwarding: word(s, "allowtcpforwarding"),
        allow_agent_forwarding: yes(s, "allowagentforwarding"),
        permit_tunnel: word(s, "permittunnel"),
        gateway_ports: word(s, "gatewayports"),
        disable_forwarding: yes(s, "disableforwarding"),
        log_level: word(s, "loglevel"),
        max_auth_tries: one(s, "maxauthtries").and_then(|n| n.parse().ok()),
        login_grace_seconds: one(s, "logingracetime").and_then(|n| n.parse().ok()),
        ciphers: list(s, "ciphers"),
        macs: list(s, "macs"),
        kex_algorithms: list(s, "kexalgorithms"),
        host_key_algorithms: list(s, "hostkeyalgorithms"),
        // The name before 8.5.
        pubkey_accepted_algorithms: list(s, "pubkeyacceptedalgorithms").or_else(|| list(s, "pubkeyacceptedkeytypes")),
        host_keys: s.get("hostkey").cloned(),
        settings: settings.into_iter().map(shown).collect(),
        config_files: vec![],
        match_blocks: None,
        contexts: None,
        sockets: vec![],
        running: vec![],
        others: vec![],
        other_sockets: vec![],
    }
}

/// A setting without what may be a secret.
fn shown((name, values): (String, Vec<String>)) -> (String, Vec<String>) {
    let values = values.iter().map(|value| super::syntax::shown(&name, value)).collect();
    (name, values)
}

/// Settings that differ from those for everybody, and their names; one that is gone has a name and no value.
pub(super) fn differing(here: &Settings, everywhere: &Settings) -> (Vec<Setting>, Vec<String>) {
    let names: BTreeSet<&String> = here.keys().chain(everywhere.keys()).collect();
    let changes: Vec<String> =
        names.into_iter().filter(|name| here.get(*name) != everywhere.get(*name)).cloned().collect();
    let values = |name: &String| here.get(name).cloned().unwrap_or_default().into_iter();
    // By its other name a value would look like another one.
    let usual = |name: &str, value: String| match value.as_str() {
        "without-password" => "prohibit-password".to_owned(),
        value => super::syntax::shown(name, value),
    };
    let settings = changes
        .iter()
        .flat_map(|name| values(name).map(|value| Setting { name: name.clone(), value: usual(name, value) }))
        .collect();
    (settings, changes)
}

/// The value of a setting that can have but one.
fn one<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    match settings.get(name)?.as_slice() {
        [value] => Some(value),
        _ => None,
    }
}

fn yes(settings: &Settings, name: &str) -> Option<bool> {
    match one(settings, name)? {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// A value out of a closed list.
fn word<T: DeserializeOwned>(settings: &Settings, name: &str) -> Option<T> {
    serde_json::from_value(Value::String(one(settings, name)?.to_owned())).ok()
}

fn list(settings: &Settings, name: &str) -> Option<Vec<String>> {
    Some(one(settings, name)?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::{LogLevel, PermitRootLogin, TcpForwarding};

    #[test]
    fn a_real_answer_is_read() {
        let facts = facts(parse(include_str!("../../tests/fixtures/sshd-T")));
        assert_eq!(facts.permit_root_login, Some(PermitRootLogin::ProhibitPassword));
        assert_eq!(facts.password_authentication, Some(true));
        assert_eq!(facts.kbd_interactive_authentication, Some(false));
        assert_eq!(facts.allow_tcp_forwarding, Some(TcpForwarding::Yes));
        assert_eq!(facts.log_level, Some(LogLevel::Info));
        assert_eq!((facts.max_auth_tries, facts.login_grace_seconds), (Some(6), Some(120)));
        assert_eq!(facts.ciphers.map(|list| list.len()), Some(6));
        assert_eq!(facts.host_keys.map(|list| list.len()), Some(3));
        assert_eq!(facts.settings.get("listenaddress").map(Vec::len), Some(2));
    }

    #[test]
    fn what_is_not_known_is_null() {
        let facts = facts(parse("permitrootlogin perhaps\npasswordauthentication yes\npasswordauthentication no\n"));
        assert_eq!(facts.permit_root_login, None);
        assert_eq!(facts.password_authentication, None);
        assert_eq!(facts.macs, None);
    }

    #[test]
    fn what_differs_is_kept() {
        let everywhere = parse("permitrootlogin no\nport 22\nbanner none\nsetenv A=1\nforcecommand /bin/a\n");
        let here = parse(
            "permitrootlogin without-password\nport 22\nsetenv A=1\nsetenv B=s3cret\nforcecommand /bin/a s3cret\n",
        );
        let (settings, changes) = differing(&here, &everywhere);
        assert_eq!(changes, ["banner", "forcecommand", "permitrootlogin", "setenv"]);
        let settings: Vec<_> = settings.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
        assert_eq!(
            settings,
            [
                ("forcecommand", "/bin/a …"),
                ("permitrootlogin", "prohibit-password"),
                ("setenv", "A=…"),
                ("setenv", "B=…"),
            ]
        );
    }

    #[test]
    fn versions_are_found() {
        assert_eq!(version("OpenSSH_9.2, OpenSSL 3.0.19 27 Jan 2026\n").as_deref(), Some("OpenSSH_9.2"));
        let complaint = "unknown option -- V\nOpenSSH_8.9p1 Ubuntu-3ubuntu0.10, OpenSSL 3.0.2 15 Mar 2022\nusage: sshd";
        assert_eq!(version(complaint).as_deref(), Some("OpenSSH_8.9p1 Ubuntu-3ubuntu0.10"));
        assert_eq!(version("dropbear"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_borne(text in "(\\PC{0,30} \\PC{0,30}\n){0,9}") {
            facts(parse(&text));
            version(&text);
        }
    }
}
