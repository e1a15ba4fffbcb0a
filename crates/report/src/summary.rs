//! The sentences that every format says in the same words.

use std::collections::BTreeMap;

use model::{Assessment, ControlInfo, Counts, Digest, Evidence, Finding, Outcome, Source, Verdict, WaiverLine};

use crate::escape::{plain, plain_cut};
use crate::{Signature, View};

/// What hypothetical assessments are called in every format.
pub(crate) const HYPOTHETICAL: &str = "HYPOTHETICAL, not an audit";

/// `1 waiver`, `2 waivers`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// The first `most` of a list, and how many more there are: `a, b, c and 4 more`.
pub(crate) fn some_of<'a>(items: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let mut items = items.into_iter();
    let mut text = items.by_ref().take(most).map(plain).collect::<Vec<_>>().join(", ");
    let more = items.count();
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// How each target is shown, by its name.
pub(crate) fn addresses(assessment: &Assessment) -> BTreeMap<&str, &str> {
    assessment.coverage.targets.iter().map(|line| (line.name.as_str(), line.address.as_str())).collect()
}

/// The file and line to point at: the inventory's place where it is known, else the control's.
pub(crate) fn place<'a>(view: &View<'a>, finding: &Finding) -> Option<&'a Source> {
    view.inventory.or(view.assessment.controls.get(&*finding.control).map(|c| &c.source))
}

/// What a finding is about, whatever was seen: the same for the same policy, control and target in every run.
pub(crate) fn fingerprint(finding: &Finding) -> Digest {
    let identity = serde_json::json!([*finding.policy, *finding.control, *finding.target]).to_string();
    Digest::of(identity.as_bytes())
}

/// Whether a finding decides the gate.
pub(crate) fn blocks(assessment: &Assessment, finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Fail | Verdict::Inconclusive)
        && finding.waiver.is_none()
        && finding.severity >= assessment.gate.fail_on
}

/// The waiver in force for a finding.
pub(crate) fn waiver<'a>(assessment: &'a Assessment, finding: &Finding) -> Option<&'a WaiverLine> {
    let id = finding.waiver.as_deref()?;
    assessment.waivers.iter().find(|w| w.id == id)
}

/// `waived until 2027-01-31 by m.roth`.
pub(crate) fn waived(assessment: &Assessment, finding: &Finding) -> Option<String> {
    let id = finding.waiver.as_deref()?;
    Some(match waiver(assessment, finding) {
        Some(w) => format!("waived until {} by {}", day(w.expires), plain(&w.approver)),
        None => format!("waived by {}", plain(id)),
    })
}

/// The date alone, UTC.
pub(crate) fn day(time: model::Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// The names of the policies: `policy baseline + mozilla-intermediate`; changed ones are called modified.
pub(crate) fn policies(assessment: &Assessment) -> String {
    if assessment.policies.is_empty() {
        return "no policy".into();
    }
    let name = |p: &model::PolicyRef| {
        let name = plain(&p.name);
        if p.modified { format!("{name} (modified)") } else { name.into_owned() }
    };
    format!("policy {}", assessment.policies.iter().map(name).collect::<Vec<_>>().join(" + "))
}

/// `PASSED`, `FAILED` or `INCONCLUSIVE`.
pub(crate) const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "PASSED",
        Outcome::Failed => "FAILED",
        Outcome::Inconclusive => "INCONCLUSIVE",
    }
}

/// What stands after the outcome's word:
/// `1 at or above 'high', 1 below; 1 not proven (also blocks); 1 waived; 71 of 75 pass`.
pub(crate) fn outcome_reasons(assessment: &Assessment) -> String {
    let (gate, counts) = (&assessment.gate, &assessment.counts);
    let mut parts = Vec::new();
    if assessment.run.interrupted {
        parts.push("interrupted before it was done".to_owned());
    }
    match (gate.failing, gate.below) {
        (0, 0) => {}
        (0, below) => parts.push(format!("{below} fail below '{}'", gate.fail_on)),
        (failing, 0) => parts.push(format!("{failing} at or above '{}'", gate.fail_on)),
        (failing, below) => parts.push(format!("{failing} at or above '{}', {below} below", gate.fail_on)),
    }
    if counts.inconclusive > 0 {
        let blocks = match gate.unproven {
            0 => String::new(),
            1 if counts.inconclusive == 1 => " (also blocks)".into(),
            n if n == counts.inconclusive => " (also block)".into(),
            n => format!(" ({n} of them {})", if n == 1 { "blocks" } else { "block" }),
        };
        parts.push(format!("{} not proven{blocks}", counts.inconclusive));
    }
    if counts.waived > 0 {
        parts.push(format!("{} waived", counts.waived));
    }
    let judged = judged(counts);
    parts.push(if judged == 0 { "nothing was judged".into() } else { format!("{} of {judged} pass", counts.pass) });
    if counts.not_applicable > 0 {
        parts.push(format!("{} not applicable", counts.not_applicable));
    }
    parts.join("; ")
}

/// Findings that say something: all but the not applicable ones.
pub(crate) const fn judged(counts: &Counts) -> u32 {
    counts.pass.saturating_add(counts.fail).saturating_add(counts.inconclusive)
}

/// `looked at 5 of 5 declared, 2 undeclared`.
pub(crate) fn looked_at(assessment: &Assessment) -> String {
    let coverage = &assessment.coverage;
    let mut text = if coverage.discovered == 0 {
        format!("looked at {} of {} declared", coverage.probed, coverage.declared)
    } else {
        let all = coverage.declared.saturating_add(coverage.discovered);
        format!(
            "looked at {} of {all} ({} declared, {} found)",
            coverage.probed, coverage.declared, coverage.discovered
        )
    };
    if !coverage.undeclared.is_empty() {
        text.push_str(&format!(", {} undeclared", coverage.undeclared.len()));
    }
    text
}

/// Where the connections came from.
pub(crate) fn from_where(assessment: &Assessment) -> String {
    let vantage = &assessment.run.vantage;
    if vantage.addresses.is_empty() {
        format!("from {}", plain(&vantage.host))
    } else {
        format!("from {}", some_of(vantage.addresses.iter().map(String::as_str), 2))
    }
}

/// `0.8 s`.
pub(crate) fn seconds(millis: u64) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

/// `clock ±0.2 s`, or why that is not known.
pub(crate) fn clock(assessment: &Assessment) -> String {
    let clock = &assessment.run.clock;
    match (clock.error_millis, clock.synchronised) {
        (Some(millis), _) => {
            let millis = millis.unsigned_abs();
            let text = if millis < 100 { format!("{millis} ms") } else { seconds(millis) };
            let doubt = if clock.synchronised == Some(false) { ", not synchronised" } else { "" };
            format!("clock ±{text}{doubt}")
        }
        (None, Some(true)) => "clock synchronised, error unknown".into(),
        (None, Some(false)) => "clock not synchronised".into(),
        (None, None) => "clock not checked".into(),
    }
}

/// `signed by ops (SHA256:Rk3…, trusted)`, or `UNSIGNED: no key was given`. `most` bounds the fingerprint's shown
/// characters.
pub(crate) fn signature(view: &View<'_>, most: usize) -> String {
    if view.assessment.hypothetical {
        return format!("UNSIGNED: {HYPOTHETICAL}");
    }
    match &view.signature {
        Signature::Unsigned { why } => format!("UNSIGNED: {}", plain(why)),
        Signature::Signed { fingerprint, label, trust } => {
            let who = label.as_deref().map_or("a key".into(), plain);
            format!("signed by {who} ({}, {})", plain_cut(fingerprint, most + 7), trust.as_str())
        }
    }
}

/// The outcome in one sentence, for the top of a page.
pub(crate) fn sentence(assessment: &Assessment) -> String {
    let (gate, bar) = (&assessment.gate, assessment.gate.fail_on);
    let failing = usize::try_from(gate.failing).unwrap_or(usize::MAX);
    let unproven = usize::try_from(gate.unproven).unwrap_or(usize::MAX);
    let fails = count(failing, "finding fails", "findings fail");
    let doubts = count(unproven, "finding is not proven", "findings are not proven");
    let text = match (gate.outcome, failing, unproven) {
        (Outcome::Failed, _, 0) => format!("{fails} at severity {bar} or above."),
        (Outcome::Failed, ..) => format!("{fails} and {doubts} at severity {bar} or above."),
        (Outcome::Inconclusive, _, 0) => "The audit could not be completed, so nothing is concluded.".into(),
        (Outcome::Inconclusive, ..) => format!("Nothing fails, but {doubts} at severity {bar} or above."),
        (Outcome::Passed, ..) => format!("Nothing at severity {bar} or above fails or is unproven."),
    };
    if assessment.run.interrupted { format!("{text} The run was interrupted before it was done.") } else { text }
}

/// How to mend what failed: product and text.
pub(crate) fn remedy<'a>(control: &'a ControlInfo, evidence: Option<&Evidence>) -> Option<(&'a str, &'a str)> {
    let facts = evidence.and_then(|evidence| evidence.facts.as_ref());
    remedy_for(&control.remedy, facts.and_then(|facts| facts.get("server")?.as_str()))
}

/// That of the product which the evidence names (`server`, as configuration files do); else what holds for any; else, from
/// outside, nginx is the likeliest.
fn remedy_for<'a>(remedies: &'a BTreeMap<String, String>, server: Option<&str>) -> Option<(&'a str, &'a str)> {
    let likely = server.into_iter().chain(["any", "nginx"]).find_map(|product| remedies.get_key_value(product));
    let (product, text) = likely.or_else(|| remedies.iter().next())?;
    Some((product, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_counts_read_well() {
        assert_eq!(some_of(["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(some_of(["a", "b"], 2), "a, b");
        assert_eq!(count(1, "waiver", "waivers"), "1 waiver");
        assert_eq!(seconds(61_057), "61.0 s");
    }

    #[test]
    fn a_remedy_is_that_of_the_server_at_hand() {
        let of = |products: &[&str]| -> BTreeMap<String, String> {
            products.iter().map(|p| ((*p).to_owned(), format!("mend {p}"))).collect()
        };
        let any = of(&["any", "nginx"]);
        let web = of(&["apache", "haproxy", "nginx"]);
        assert_eq!(remedy_for(&web, Some("haproxy")), Some(("haproxy", "mend haproxy")));
        assert_eq!(remedy_for(&web, None), Some(("nginx", "mend nginx")));
        assert_eq!(remedy_for(&any, Some("dovecot")), Some(("any", "mend any")));
        assert_eq!(remedy_for(&of(&["postfix"]), None), Some(("postfix", "mend postfix")));
        assert_eq!(remedy_for(&of(&[]), Some("nginx")), None);
    }
}
