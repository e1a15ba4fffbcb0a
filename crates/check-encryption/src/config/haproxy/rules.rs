//! What rules make of plain requests, and what they say of HTTPS.

use super::super::found::{hsts, no_hsts, no_redirect, redirect};
use super::Scope;
use super::syntax::Line;
use crate::facts::{ConfigHsts, ConfigRedirect, Outcome};

/// Actions of `http-request` that neither answer in plain nor end the rules.
const HARMLESS: [&str; 20] = [
    "add-header",
    "capture",
    "del-header",
    "deny",
    "reject",
    "tarpit",
    "silent-drop",
    "set-header",
    "set-log-level",
    "set-map",
    "set-method",
    "set-mark",
    "set-nice",
    "set-src",
    "set-timeout",
    "set-tos",
    "replace-header",
    "disable-l7-retry",
    "strict-mode",
    "early-hint",
];

/// What can't be told about a redirect.
fn unsure(line: &Line) -> ConfigRedirect {
    let why = format!("whether {} answers before HTTPS is led to can't be told", line.from(0).join(" "));
    ConfigRedirect { outcome: Outcome::NotProven, why: Some(why), at: Some(line.at.to_string()), except: vec![] }
}

/// The paths that a condition leaves out of what is not encrypted; `None` where it is another one.
fn excepted(words: &[&str]) -> Option<Vec<String>> {
    let (kind, rest) = match words.split_first() {
        None => return Some(vec![]),
        Some((kind, rest)) => (*kind, rest.join(" ")),
    };
    let rest = rest.replace("! {", "!{");
    match (kind, rest.as_str()) {
        ("if", "!{ ssl_fc }") | ("unless", "{ ssl_fc }") => return Some(vec![]),
        ("if", _) => {}
        _ => return None,
    }
    // `!{ ssl_fc } !{ path_beg /a/ }`, in any order.
    let mut except = Vec::new();
    for term in rest.split('}').map(str::trim).filter(|term| !term.is_empty()) {
        match term.strip_prefix("!{").map(str::trim)? {
            "ssl_fc" => {}
            term => {
                let path = term.strip_prefix("path_beg ").or_else(|| term.strip_prefix("path "))?.trim();
                except.extend(path.split_whitespace().map(str::to_owned));
            }
        }
    }
    Some(except)
}

/// Whether every plain request is led to HTTPS or refused. `http-request` rules come before `redirect` ones.
pub(super) fn to_https(scope: &Scope<'_>) -> ConfigRedirect {
    let mut except: Vec<String> = Vec::new();
    if let Some(line) = scope.last("monitor-uri") {
        except.push(line.word(1).to_owned());
    }
    let requests = scope.rules().filter(|line| line.word(0) == "http-request");
    let redirects = scope.rules().filter(|line| line.word(0) == "redirect");
    for line in requests.chain(redirects) {
        let skip = if line.word(0) == "redirect" { 1 } else { 2 };
        let action = if skip == 1 { "redirect" } else { line.word(1) };
        let harmless = HARMLESS.contains(&action)
            || ["set-var", "unset-var", "sc-", "track-sc"].iter().any(|begin| action.starts_with(begin));
        if harmless && !line.open {
            continue;
        }
        let words = line.from(skip);
        let condition = words.iter().position(|word| matches!(*word, "if" | "unless")).unwrap_or(words.len());
        let (what, condition) = words.split_at(condition);
        let https = match what.get(..2) {
            Some(["scheme", scheme]) => *scheme == "https",
            Some(["location" | "prefix", url]) => url.starts_with("https://"),
            _ => false,
        };
        if action == "return"
            && let ["if", "{", "path_beg" | "path", paths @ .., "}"] = condition
            && !line.open
        {
            except.extend(paths.iter().map(|path| (*path).to_owned()));
            continue;
        }
        if action != "redirect" || line.open {
            return unsure(line);
        }
        // Away to HTTPS for some requests alone does no harm.
        match (https, excepted(condition)) {
            (true, Some(more)) => {
                except.extend(more);
                return redirect(&line.at, except);
            }
            (true, None) => {}
            (false, _) => return unsure(line),
        }
    }
    no_redirect()
}

/// `http-response set-header Strict-Transport-Security …`.
pub(super) fn strict_transport(scope: &Scope<'_>) -> ConfigHsts {
    let is = |line: &&Line| {
        matches!(line.word(0), "http-response" | "http-after-response")
            && line.word(2).eq_ignore_ascii_case("strict-transport-security")
    };
    let mut found = no_hsts();
    for line in scope.rules().filter(is) {
        let condition = line.from(4).join(" ");
        match line.word(1) {
            "set-header" | "add-header" => {
                found = hsts(&line.at, line.word(3));
                if !matches!(condition.as_str(), "" | "if { ssl_fc }") || line.open {
                    (found.outcome, found.why) = (Outcome::NotProven, Some("it is sent under a condition".into()));
                }
            }
            _ => {
                found = hsts(&line.at, line.word(3));
                (found.outcome, found.why) = (Outcome::NotProven, Some("what it is changed to can't be told".into()));
            }
        }
    }
    let behind = scope.all.iter().filter(|s| s.kind == "backend").find_map(|s| Some((s, s.lines.iter().find(is)?)));
    match (found.outcome, behind) {
        (Outcome::Absent, Some((section, line))) => {
            found = hsts(&line.at, line.word(3));
            found.outcome = Outcome::NotProven;
            found.why =
                Some(format!("the backend {} sends it; whether all requests go there can't be told", section.name));
        }
        (Outcome::Present, Some((section, line))) if line.word(3) != found.written.as_deref().unwrap_or_default() => {
            found.outcome = Outcome::NotProven;
            found.why = Some(format!("the backend {} has another rule about it at {}", section.name, line.at));
        }
        _ => {}
    }
    found
}
