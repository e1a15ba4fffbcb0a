//! Where requests to Apache go: to HTTPS, or to servers behind it; and what it says of HTTPS.

use super::super::found::{
    Found, by_default, hsts, no_hsts, no_redirect, not_proven, redirect, switch, unclear, without_userinfo, written,
};
use super::syntax::Directive;
use super::{Scope, get};
use crate::facts::{ConfigEncryption, ConfigHsts, ConfigRedirect, ConfigSetting, ConfigUpstream, Outcome};

/// All directives in sections, however deep.
fn inside(block: &[Directive]) -> Vec<&Directive> {
    let (mut todo, mut all): (Vec<&Directive>, Vec<&Directive>) = (block.iter().collect(), Vec::new());
    while let Some(directive) = todo.pop() {
        for inner in &directive.block {
            todo.push(inner);
            all.push(inner);
        }
    }
    all
}

/// Action, value, and whether the answers of errors are meant and a condition stands behind, of a `Header` about HSTS.
fn header(directive: &Directive) -> Option<(String, String, bool, bool)> {
    let mut args = directive.args.iter();
    let mut action = args.next()?.to_ascii_lowercase();
    let always = action == "always";
    if always || action == "onsuccess" {
        action = args.next()?.to_ascii_lowercase();
    }
    if !args.next()?.trim_end_matches(':').eq_ignore_ascii_case("strict-transport-security") {
        return None;
    }
    let value = if action == "unset" { String::new() } else { args.next().cloned().unwrap_or_default() };
    let condition = args.next().is_some_and(|condition| !condition.eq_ignore_ascii_case("env=HTTPS"));
    Some((action, value, always, condition))
}

/// `Header [always] set Strict-Transport-Security …`: each of the two tables of headers is changed in the order of the
/// directives, those of the main server first (mod_headers).
pub(super) fn strict_transport(scope: &Scope<'_>) -> ConfigHsts {
    let mut tables = [no_hsts(), no_hsts()];
    for d in scope.iter().rev().flat_map(|block| block.iter()).filter(|d| d.name == "header") {
        let Some((action, value, always, condition)) = header(d) else { continue };
        let [success, errors] = &mut tables;
        let table = if always { errors } else { success };
        match action.as_str() {
            "unset" if !condition => *table = no_hsts(),
            "set" | "add" | "append" | "merge" if table.outcome == Outcome::Absent || action == "set" => {
                *table = hsts(&d.at, &value);
                if condition {
                    (table.outcome, table.why) = (Outcome::NotProven, Some("it is sent under a condition".into()));
                }
            }
            "setifempty" if table.outcome == Outcome::Absent && !condition => *table = hsts(&d.at, &value),
            "echo" | "note" | "setifempty" => {}
            _ => {
                *table = hsts(&d.at, &value);
                (table.outcome, table.why) = (Outcome::NotProven, Some("what it is changed to can't be told".into()));
            }
        }
    }
    let [success, errors] = tables;
    let mut found = if errors.outcome == Outcome::Absent { success } else { errors };
    if found.outcome == Outcome::Absent {
        return found;
    }
    let other = |d: &&&Directive| {
        d.name == "header" && header(d).is_some_and(|(_, value, ..)| found.written.as_deref() != Some(value.as_str()))
    };
    let everywhere: Vec<&Directive> = scope.iter().flat_map(|block| inside(block)).collect();
    let mut missing: Vec<String> = everywhere.iter().filter(other).map(|d| d.at.to_string()).collect();
    missing.sort();
    found.missing_in = missing;
    let overrides = |d: &&&Directive| {
        let may = |word: &String| word.eq_ignore_ascii_case("all") || word.eq_ignore_ascii_case("fileinfo");
        d.name == "allowoverride" && d.args.iter().any(may)
    };
    if let Some(d) = everywhere.iter().find(overrides)
        && found.outcome == Outcome::Present
    {
        found.outcome = Outcome::NotProven;
        found.why = Some(format!("files .htaccess may take it away (AllowOverride at {})", d.at));
    }
    found
}

/// Directives of a plain host that have no part in what is answered before it leads away.
const HARMLESS: [&str; 22] = [
    "servername",
    "serveralias",
    "serveradmin",
    "serversignature",
    "documentroot",
    "errorlog",
    "errorlogformat",
    "customlog",
    "transferlog",
    "logformat",
    "loglevel",
    "header",
    "requestheader",
    "options",
    "protocols",
    "usecanonicalname",
    "timeout",
    "keepalive",
    "setenv",
    "setenvif",
    "define",
    "directoryindex",
];

/// Patterns that every path fits.
fn is_everything(pattern: &str) -> bool {
    const ALL: [&str; 11] =
        ["^", ".*", "^.*", "^.*$", "(.*)", "^(.*)", "^(.*)$", "^/?(.*)", "^/?(.*)$", "^/(.*)", "^/(.*)$"];
    ALL.contains(&pattern)
}

/// What can't be told about a redirect.
fn unsure(d: &Directive, why: impl Into<String>) -> ConfigRedirect {
    ConfigRedirect { outcome: Outcome::NotProven, why: Some(why.into()), at: Some(d.at.to_string()), except: vec![] }
}

/// Whether a plain host leads every request to HTTPS: by a rule of mod_rewrite, which comes first, or a `Redirect`.
/// `ProxyPass` comes before both.
pub(super) fn to_https(own: &[Directive], main: &[Directive]) -> ConfigRedirect {
    let stronger = |d: &&Directive| {
        d.name.starts_with("proxypass")
            || (d.name == "proxyrequests" && !d.arg(0).eq_ignore_ascii_case("off"))
            || (d.name == "rewriteoptions"
                && d.args.iter().any(|word| word.to_ascii_lowercase().starts_with("inherit")))
            || (d.name == "errordocument" && d.arg(0).starts_with('3'))
    };
    let all = own.iter().chain(main).chain(inside(own)).chain(inside(main));
    let stronger = all.into_iter().find(stronger);
    let known = |d: &&Directive| {
        let name = d.name.as_str();
        HARMLESS.contains(&name)
            || ["redirect", "rewrite", "ssl", "<directory", "<files", "errordocument"]
                .iter()
                .any(|n| name.starts_with(n))
    };
    let strange = own.iter().find(|d| !known(d));
    let led = match rules(own) {
        Some(led) => led,
        None => redirects(own),
    };
    match (led.outcome, stronger.or(strange)) {
        (Outcome::Present, Some(d)) => unsure(d, format!("{} may answer before it leads to HTTPS", d.name)),
        _ => led,
    }
}

/// The rules of mod_rewrite; `None` where there are none, or none that does anything.
fn rules(own: &[Directive]) -> Option<ConfigRedirect> {
    let on = own.iter().rev().find(|d| d.name == "rewriteengine").is_some_and(|d| d.arg(0).eq_ignore_ascii_case("on"));
    let mut conditions: Vec<&Directive> = Vec::new();
    for d in own.iter().filter(|_| on) {
        match d.name.as_str() {
            "rewritecond" => conditions.push(d),
            "rewriterule" => {
                let flags = d.arg(2).trim_matches(['[', ']']).to_ascii_uppercase();
                let flags: Vec<&str> = flags.split(',').map(str::trim).collect();
                let has =
                    |names: &[&str]| flags.iter().any(|f| names.contains(&f.split('=').next().unwrap_or_default()));
                let away = d.arg(1).starts_with("https://") && has(&["R", "REDIRECT"]) && !has(&["P", "PROXY"]);
                let refuses = d.arg(1) == "-" && has(&["F", "FORBIDDEN", "G", "GONE"]);
                if is_everything(d.arg(0)) && away {
                    return Some(match excepted(&conditions) {
                        Some(except) => redirect(&d.at, except),
                        None => unsure(
                            d,
                            "conditions decide whether the rule leads away; for every request that can't be told",
                        ),
                    });
                }
                let silent = d.arg(1) == "-" && flags.iter().all(|flag| flag.is_empty() || flag.starts_with("E="));
                if !refuses && !away && !silent {
                    return Some(unsure(d, "a rule may answer before another leads to HTTPS"));
                }
                conditions.clear();
            }
            _ => {}
        }
    }
    None
}

/// What the conditions of a rule leave out; `None` where that can't be told.
fn excepted(conditions: &[&Directive]) -> Option<Vec<String>> {
    let mut except = Vec::new();
    for condition in conditions {
        let wanted = condition.arg(1);
        match condition.arg(0).to_ascii_uppercase().as_str() {
            _ if !matches!(condition.arg(2).to_ascii_uppercase().as_str(), "" | "[NC]") => return None,
            "%{HTTPS}" if matches!(wanted.to_ascii_lowercase().as_str(), "off" | "!=on" | "!on" | "=off") => {}
            "%{REQUEST_URI}" => except.push(wanted.strip_prefix('!')?.replace('\\', "")),
            _ => return None,
        }
    }
    Some(except)
}

/// `Redirect permanent / https://…`: the first that fits counts (mod_alias).
fn redirects(own: &[Directive]) -> ConfigRedirect {
    let mut except = Vec::new();
    for d in own.iter().filter(|d| d.name.starts_with("redirect")) {
        let args: Vec<&str> = d.args.iter().map(String::as_str).collect();
        let status = |word: &str| {
            matches!(word.to_ascii_lowercase().as_str(), "permanent" | "temp" | "seeother" | "gone")
                || (word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit()))
        };
        let (code, path, url) = match args.as_slice() {
            [code, path, url] if status(code) => (*code, *path, *url),
            [code, path] if status(code) => (*code, *path, ""),
            [path, url] => ("302", *path, *url),
            _ => return unsure(d, "it is not understood"),
        };
        let refuses = url.is_empty() && (code.eq_ignore_ascii_case("gone") || code.starts_with('4'));
        let away = refuses || url.starts_with("https://");
        let whole = if d.name == "redirectmatch" { is_everything(path) } else { path == "/" };
        match (away, whole) {
            (true, true) => return redirect(&d.at, except),
            (true, false) => {}
            (false, _) => except.push(path.to_owned()),
        }
    }
    no_redirect()
}

/// Servers behind: `ProxyPass`, `BalancerMember`, rules with `[P]`, handlers.
pub(super) fn upstreams(found: &mut Found, scope: &Scope<'_>) {
    let Some(block) = scope.first() else { return };
    for d in *block {
        if d.name.starts_with('<') {
            let inner: Vec<&[Directive]> = std::iter::once(d.block.as_slice()).chain(scope.iter().copied()).collect();
            upstreams(found, &inner);
            continue;
        }
        let url = match d.name.as_str() {
            "proxypass" | "proxypassmatch" | "balancermember" => d.args.iter().find(|arg| arg.contains("://")).cloned(),
            "rewriterule" => {
                let proxy = d.arg(2).trim_matches(['[', ']']).split(',').any(|f| matches!(f.trim(), "P" | "proxy"));
                proxy.then(|| d.arg(1).to_owned())
            }
            "sethandler" => d.arg(0).strip_prefix("proxy:").map(str::to_owned),
            _ => None,
        };
        // The members of a balancer stand for it.
        let Some(url) = url.filter(|url| !url.starts_with("balancer://")) else { continue };
        let url = url.rsplit_once('|').map_or(url.as_str(), |(_, url)| url);
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        let unknown = scheme.is_empty() || scheme.contains(['%', '$']);
        let encrypted = matches!(scheme.as_str(), "https" | "wss" | "h2");
        found.upstreams.push(ConfigUpstream {
            name: without_userinfo(url),
            outcome: if unknown { Outcome::NotProven } else { Outcome::Present },
            why: unknown.then(|| "its scheme can't be told".to_owned()),
            at: d.at.to_string(),
            encryption: if encrypted { ConfigEncryption::Tls } else { ConfigEncryption::None },
            verify: verification(scope),
        });
    }
}

/// Whether the certificate of a server behind is verified, with its name (`SSLProxyVerify`, `SSLProxyCheckPeerName`).
fn verification(scope: &Scope<'_>) -> ConfigSetting {
    let sections = scope.iter().flat_map(|block| inside(block));
    for d in sections {
        let weaker = match d.name.as_str() {
            "sslproxyverify" => !d.arg(0).eq_ignore_ascii_case("require"),
            "sslproxycheckpeername" => !d.arg(0).eq_ignore_ascii_case("on"),
            _ => false,
        };
        if weaker && !scope.iter().any(|block| block.iter().any(|own| own.at == d.at)) {
            return not_proven(format!("whether {} at {} holds for it can't be told", d.name, d.at));
        }
    }
    if let Some(d) = get(scope, "sslproxycheckpeername").filter(|d| !d.arg(0).eq_ignore_ascii_case("on")) {
        return written(&d.at, format!("SSLProxyCheckPeerName {}", d.arg(0)), switch(false));
    }
    match get(scope, "sslproxyverify") {
        None => by_default(switch(false)),
        Some(v) => match v.arg(0).to_ascii_lowercase().as_str() {
            "require" => written(&v.at, v.arg(0), switch(true)),
            "none" | "optional" | "optional_no_ca" => written(&v.at, v.arg(0), switch(false)),
            _ => unclear(&v.at, v.arg(0), "it is not known"),
        },
    }
}
