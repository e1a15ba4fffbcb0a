//! Method, provenance, and how to check the report.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Value, context};
use model::pack;

use crate::summary::{self, some_of};
use crate::{Signature, Trust, View};

pub(super) fn context(view: &View<'_>) -> Value {
    let assessment = view.assessment;
    let digests = &assessment.digests;
    let policies = assessment.policies.iter().map(|p| {
        context! {
            name => &p.name, version => &p.version, title => &p.title, source => &p.source, modified => p.modified,
            digest => p.digest.to_string(),
        }
    });
    context! {
        fail_on => assessment.gate.fail_on.as_str(),
        provenance => provenance(view),
        policies => policies.collect::<Vec<_>>(),
        digests => [
            (pack::POLICY, digests.policy.to_string()),
            (pack::WAIVERS, digests.waivers.to_string()),
            (pack::INVENTORY, digests.inventory.to_string()),
            (pack::EVIDENCE_SUMS, digests.evidence.to_string()),
        ],
        signature => summary::signature(view, 64),
        signed => !assessment.hypothetical && matches!(view.signature, Signature::Signed { .. }),
        trust => trust(view),
        pack => view.pack.unwrap_or("PACK"),
        // Base64 holds no character that HTML would need to escape.
        bundle => view.bundle.map(|bundle| STANDARD.encode(bundle)),
        extract => super::EXTRACT,
    }
}

/// What the signature is worth.
fn trust(view: &View<'_>) -> &'static str {
    if view.assessment.hypothetical {
        return "A hypothetical assessment is never signed as an audit.";
    }
    match &view.signature {
        Signature::Unsigned { .. } => "Nothing protects this report from being changed; treat it as a draft.",
        Signature::Signed { trust: Trust::SelfMade, .. } => {
            "The key was made on first use by the user who ran the audit (self-made). The signature shows that nothing \
             was changed since; it does not show who ran it. Compare the fingerprint with one that you got another way."
        }
        Signature::Signed { trust: Trust::Trusted, .. } => {
            "The key was trusted where this report was made. That is the maker's word: check it against a key that you \
             got another way."
        }
        Signature::Signed { trust: Trust::Unknown, .. } => {
            "The key is known to nobody here: the signature shows that nothing was changed since, and not by whom it \
             was made."
        }
    }
}

fn provenance(view: &View<'_>) -> Vec<(&'static str, String)> {
    let run = &view.assessment.run;
    let vantage = &run.vantage;
    let addresses = match vantage.addresses.as_slice() {
        [] => "no connection was made".into(),
        some => some_of(some.iter().map(String::as_str), 16),
    };
    let digest = run.tool.digest.map_or("not readable".into(), |d| d.to_string());
    let time = |t: model::Timestamp| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let interrupted = if run.interrupted { "; interrupted before it was done" } else { "" };
    let synchronised = match run.clock.synchronised {
        Some(true) => "kept in step",
        Some(false) => "not kept in step",
        None => "not known to be kept in step",
    };
    let mut rows = vec![
        ("Run by", format!("{} on {}", vantage.user, vantage.host)),
        ("From", addresses),
        ("Program", format!("{} {}, SHA-256 {digest}", run.tool.name, run.tool.version)),
        (
            "When",
            format!("{} to {}, {}{interrupted}", time(run.started), time(run.finished), summary::seconds(run.millis)),
        ),
        ("Clock", format!("{}; {synchronised}; source: {}", summary::clock(view.assessment), run.clock.source)),
        ("Connections", format!("{} in all, at most {} at once to one address", run.connections, run.max_connections)),
    ];
    if let Some(ci) = &vantage.ci {
        rows.insert(1, ("In CI", ci.clone()));
    }
    rows
}
