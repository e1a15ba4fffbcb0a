//! Where requests to nginx go: to HTTPS, or to servers behind it.

use super::super::found::{Found, no_redirect, redirect as to_https, without_userinfo};
use super::syntax::Directive;
use super::{Scope, at, on_or_off};
use crate::facts::{ConfigEncryption, ConfigRedirect, ConfigUpstream, Outcome};

/// What becomes of a request in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is sent to HTTPS, or refused.
    Away,
    /// It goes on.
    On,
    /// Something may be served.
    Served,
}

/// The directives of the rewrite module in a block, in their order (`ngx_http_rewrite_module`).
fn rewrites(block: &[Directive]) -> (Fate, Option<&Directive>) {
    for directive in block {
        match directive.name.as_str() {
            "return" => {
                let fate = if leads_away(directive) { Fate::Away } else { Fate::Served };
                return (fate, Some(directive));
            }
            "rewrite" => {
                let catches_all =
                    matches!(directive.arg(0), "^" | ".*" | "^.*" | "^(.*)" | "^(.*)$" | "^/(.*)" | "^/(.*)$" | "(.*)");
                let fate =
                    if catches_all && directive.arg(1).starts_with("https://") { Fate::Away } else { Fate::Served };
                return (fate, Some(directive));
            }
            // A condition that sends away does no harm; one that does anything else may serve.
            "if" if rewrites(&directive.block).0 != Fate::Away => return (Fate::Served, Some(directive)),
            "break" => return (Fate::On, None),
            _ => {}
        }
    }
    (Fate::On, None)
}

/// Whether `error_page` stands in a block, or in one inside it.
fn has_error_page(block: &[Directive]) -> bool {
    let inner = |name: &str| matches!(name, "location" | "if" | "limit_except");
    block.iter().any(|d| d.name == "error_page" || (inner(&d.name) && has_error_page(&d.block)))
}

/// `return 301 https://…`, or an error.
fn leads_away(directive: &Directive) -> bool {
    match directive.arg(0) {
        "301" | "302" | "303" | "307" | "308" => directive.arg(1).starts_with("https://"),
        code => {
            directive.args.len() == 1 && (code.starts_with("https://") || (code.len() == 3 && code.starts_with('4')))
        }
    }
}

/// What a plain server does with every request.
pub(super) fn redirect(scope: &Scope<'_>) -> ConfigRedirect {
    let Some(block) = scope.first() else { return no_redirect() };
    // An error may be answered with a page, or with a whole site behind: `return 418; error_page 418 = @app;`.
    if scope.iter().any(|block| has_error_page(block)) {
        return no_redirect();
    }
    match rewrites(block) {
        (Fate::Away, Some(by)) => return to_https(at(by), vec![]),
        (Fate::Served, _) => return no_redirect(),
        _ => {}
    }
    // No request may go on: each location has to send it away, and one of them has to catch what no other does.
    let (mut except, mut rest) = (Vec::new(), None);
    let mut waiting: Vec<(&Directive, bool)> = block.iter().map(|directive| (directive, true)).collect();
    while let Some((location, outermost)) = waiting.pop() {
        if location.name != "location" {
            continue;
        }
        match rewrites(&location.block).0 {
            Fate::Away if outermost && location.args == ["/"] => rest = Some(location),
            Fate::Away => {}
            _ => except.push(location.args.join(" ")),
        }
        // A location inside has a way of its own, whatever the one around it returns.
        waiting.extend(location.block.iter().map(|directive| (directive, false)));
    }
    except.sort();
    match rest {
        Some(location) => to_https(at(location), except),
        None => no_redirect(),
    }
}

/// The servers behind a server.
pub(super) fn upstreams(found: &mut Found, context: &str, scope: &Scope<'_>) {
    let Some(block) = scope.first() else { return };
    for directive in *block {
        let (family, url) = match directive.name.as_str() {
            name @ ("proxy_pass" | "grpc_pass" | "uwsgi_pass") => {
                (name.split('_').next().unwrap_or_default(), directive.arg(0))
            }
            "location" | "if" | "limit_except" => {
                let inner: Vec<&[Directive]> =
                    std::iter::once(directive.block.as_slice()).chain(scope.iter().copied()).collect();
                upstreams(found, context, &inner);
                continue;
            }
            _ => continue,
        };
        // Compared without regard to case, as nginx does.
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        let in_stream = context != "http";
        let encrypted = match scheme.as_str() {
            "https" | "grpcs" | "suwsgi" => true,
            _ => in_stream && on_or_off(scope, "proxy_ssl", false).values == ["on"],
        };
        let (outcome, why) = match scheme.contains('$') || (!in_stream && url.starts_with('$')) {
            true => (Outcome::NotProven, Some("its scheme is a variable".to_owned())),
            false => (Outcome::Present, None),
        };
        found.upstreams.push(ConfigUpstream {
            name: without_userinfo(url),
            outcome,
            why,
            at: at(directive).to_string(),
            encryption: if encrypted { ConfigEncryption::Tls } else { ConfigEncryption::None },
            verify: on_or_off(scope, &format!("{family}_ssl_verify"), false),
        });
    }
}
