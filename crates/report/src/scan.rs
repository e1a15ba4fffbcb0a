//! The facts of one endpoint as a scanner would show them. Facts are no judgement, so nothing is called good or
//! bad here, and colour only tells what answered from what did not.

use model::Facts;

use crate::Style;
use crate::facts::{self, Part};
use crate::paint::{Look, Page};
use crate::summary::{self, some_of};
use crate::tls::{self, Chain, Item, Tls, words};
use crate::{flaws, ssh};

/// Most items of one list that are shown; `--format json` has all.
const MOST: usize = 120;

/// Most names of what was refused.
const MOST_REFUSED: usize = 8;

/// What a probe saw of one address, as text for a terminal. `target` is what the user named, `address` where it was
/// looked at. Facts of another shape than those of a TLS endpoint or an SSH server are laid out
/// generally.
#[must_use]
pub fn scan(target: &str, address: &str, facts: &Facts, style: &Style) -> String {
    let mut page = Page::new(style);
    page.put(Look::Bold, target);
    if address != target {
        page.put(Look::Normal, "  ").put(Look::Normal, address);
    }
    page.end().end();
    match tls::read(facts) {
        Some(tls) => {
            draw_versions(&mut page, &tls);
            draw_items(&mut page, "groups", &tls.groups);
            draw_items(&mut page, "signature schemes", &tls.signature_schemes);
            tls.chains.iter().for_each(|chain| draw_chain(&mut page, chain));
            draw_items(&mut page, "behaviour", &tls.features);
            draw_not_proven(&mut page, &tls);
            draw_parts(&mut page, &facts::parts(facts, tls::KEYS));
            page.put(
                Look::Dim,
                &format!("{} connections, {} rounds", or_dash(&tls.connections), or_dash(&tls.round_trips)),
            );
            page.end();
        }
        None if ssh::draw(&mut page, facts) || flaws::draw(&mut page, facts) => {}
        None => draw_parts(&mut page, &facts::parts(facts, &[])),
    }
    page.finish()
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn look(outcome: &str) -> Look {
    match outcome {
        "accepted" | "present" | "trusted" | "matched" | "parsed" => Look::Bold,
        "not_proven" => Look::Doubt,
        _ => Look::Normal,
    }
}

fn draw_versions(page: &mut Page, tls: &Tls) {
    page.put(Look::Bold, "versions").end();
    for version in &tls.versions {
        page.to(2).put(Look::Normal, &version.name).to(12).put(look(&version.outcome), words(&version.outcome)).to(24);
        let mut notes = Vec::new();
        if version.outcome == "accepted" {
            notes.push(summary::count(version.suites.len(), "suite", "suites"));
            match version.order.as_str() {
                "" => {}
                order => notes.push(format!("in the {order}'s order")),
            }
        }
        if !version.not_proven.is_empty() {
            notes.push(format!("{} not proven", summary::count(version.not_proven.len(), "suite", "suites")));
        }
        if version.asked != "all" && !version.asked.is_empty() {
            notes.push(format!("{} asked for", version.asked));
        }
        if !version.why.is_empty() {
            notes.push(version.why.clone());
        }
        page.wrapped(Look::Normal, &notes.join(", ")).end();
        for suite in version.suites.iter().take(MOST) {
            page.to(12).put(Look::Dim, &suite.id).to(21).put(Look::Normal, &format!("{:>3}", suite.key_bits));
            page.to(26).put(Look::Normal, &suite.name);
            if !suite.traits.is_empty() {
                page.to(72).put(Look::Dim, &suite.traits);
            }
            page.end();
        }
    }
    page.end();
}

fn draw_items(page: &mut Page, title: &str, items: &[Item]) {
    if items.is_empty() {
        return;
    }
    page.put(Look::Bold, title).end();
    let width = items.iter().take(MOST).map(|i| i.name.chars().count()).max().unwrap_or(0).clamp(8, 34) + 4;
    let (refused, others): (Vec<&Item>, Vec<&Item>) =
        items.iter().partition(|i| i.outcome == "refused" && i.note.is_empty());
    for item in others.iter().take(MOST) {
        page.to(2)
            .put(Look::Normal, &item.name)
            .to(width)
            .put(look(&item.outcome), words(&item.outcome))
            .to(width + 13);
        let notes = [&item.versions, &item.note].into_iter().filter(|t| !t.is_empty()).map(String::as_str);
        page.wrapped(Look::Dim, &notes.collect::<Vec<_>>().join(" · ")).end();
    }
    if let Some(more) = others.len().checked_sub(MOST).filter(|n| *n > 0) {
        page.to(2).put(Look::Dim, &format!("and {more} more")).end();
    }
    let (quantum, classic): (Vec<&Item>, Vec<&Item>) = refused.into_iter().partition(|i| i.post_quantum);
    for (title, refused) in [("refused", classic), ("refused, post-quantum", quantum)] {
        if !refused.is_empty() {
            page.to(2).put(Look::Normal, title).to(if title.len() > 8 { 25 } else { 12 });
            page.wrapped(Look::Dim, &some_of(refused.iter().map(|i| i.name.as_str()), MOST_REFUSED)).end();
        }
    }
    page.end();
}

fn draw_chain(page: &mut Page, chain: &Chain) {
    page.put(Look::Bold, "chain");
    let name = if chain.sni.is_empty() { "without a server name".into() } else { format!("for {}", chain.sni) };
    page.put(Look::Normal, "  ").put(Look::Dim, &name).end();
    for (n, certificate) in chain.certificates.iter().enumerate().take(MOST) {
        page.to(2).put(Look::Normal, &n.to_string()).to(5).wrapped(Look::Bold, or_dash(&certificate.subject)).end();
        let issuer = format!("issued by {}", or_dash(&certificate.issuer));
        page.to(5).wrapped(Look::Normal, &issuer).end();
        let valid = format!("{} to {}", or_dash(&certificate.from), or_dash(&certificate.to));
        page.to(5).wrapped(Look::Normal, &[valid.as_str(), &certificate.key, &certificate.signature].join(" · ")).end();
        if !certificate.sha256.is_empty() {
            page.to(5).wrapped(Look::Dim, &format!("SHA-256 {}", certificate.sha256)).end();
        }
        if !certificate.names.is_empty() {
            page.to(5).wrapped(Look::Normal, &format!("names {}", certificate.names)).end();
        }
    }
    if !chain.name_match.outcome.is_empty() {
        let of = &chain.name_match;
        page.to(2).put(Look::Normal, "name").to(14).put(look(&of.outcome), words(&of.outcome)).to(27);
        page.wrapped(Look::Normal, &[of.name.as_str(), &of.note].join("  ")).end();
    }
    for store in chain.stores.iter().take(MOST) {
        page.to(2).put(Look::Normal, &store.name).to(14).put(look(&store.outcome), words(&store.outcome)).to(27);
        let valid = if store.valid.is_empty() { String::new() } else { format!("valid {}", store.valid) };
        let notes = [valid.as_str(), &store.why].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>();
        page.wrapped(Look::Normal, &notes.join(" · ")).end();
    }
    page.end();
}

/// Every suite that is not proven, with its reason, grouped by reason.
fn draw_not_proven(page: &mut Page, tls: &Tls) {
    let mut any = false;
    for version in &tls.versions {
        let mut by_reason: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
        for suite in &version.not_proven {
            let name = if suite.name.is_empty() { &suite.id } else { &suite.name };
            by_reason.entry(&suite.note).or_default().push(name);
        }
        for (why, names) in by_reason {
            if !any {
                page.put(Look::Bold, "not proven").end();
                any = true;
            }
            page.to(2)
                .put(Look::Normal, &version.name)
                .to(12)
                .put(Look::Normal, &some_of(names.iter().copied(), 4))
                .end();
            page.to(12).wrapped(Look::Doubt, or_dash(why)).end();
        }
    }
    if any {
        page.end();
    }
}

fn draw_parts(page: &mut Page, parts: &[Part]) {
    for part in parts {
        if !part.title.is_empty() {
            page.put(Look::Bold, &part.title).end();
        }
        for (key, value) in &part.fields {
            page.to(2).put(Look::Normal, key).to(24).wrapped(Look::Normal, value).end();
        }
        for row in &part.rows {
            page.to(2).wrapped(Look::Normal, &row.join("  ")).end();
        }
        if part.more > 0 {
            page.to(2).put(Look::Dim, &format!("and {} more", part.more)).end();
        }
        page.end();
    }
}
