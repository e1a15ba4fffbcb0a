//! What a person sees after an audit: what fails first, what passes in one line, the outcome last.

mod backups;
mod data_paths;
mod e2ee;

use model::{Assessment, ControlInfo, Counts, Evidence, Finding, NoticeLevel, Outcome, Verdict};

use crate::escape::{plain, plain_cut};
use crate::group::{self, Block, Entry};
use crate::paint::{Look, Page};
use crate::summary::{self, some_of};
use crate::{RenderError, Style, View};

/// Column of a control's id, and of the labels below it.
const CONTROL: usize = 13;
/// Column of the text beside such a label.
const DETAIL: usize = 26;
/// Columns kept for what stands on the right.
const RIGHT: usize = 32;
/// Most characters shown of one message; the whole is in `assessment.json`.
const MOST_MESSAGE: usize = 400;
/// Most reasons shown of one finding.
const MOST_REASONS: usize = 3;
/// Most entries shown of one block.
const MOST_ENTRIES: usize = 25;
/// Most blocks shown.
const MOST_BLOCKS: usize = 40;
/// Most notices, and most lines of what was not looked at.
const MOST_NOTICES: usize = 12;

/// The assessment as text for a terminal, or for a file where the style has no colour.
///
/// # Errors
/// None.
pub fn render(view: &View<'_>, style: &Style) -> Result<Vec<u8>, RenderError> {
    let mut page = Page::new(style);
    head(&mut page, view.assessment);
    let blocks = group::blocks(view.assessment);
    let troubled = blocks.iter().take_while(|b| !b.entries.is_empty()).count();
    let (troubled, quiet) = blocks.split_at(troubled);
    for block in troubled.iter().take(MOST_BLOCKS) {
        draw_block(&mut page, view, block);
    }
    if let Some(more) = troubled.len().checked_sub(MOST_BLOCKS).filter(|n| *n > 0) {
        page.put(Look::Bold, &format!("{more} more names have findings")).put(Look::Normal, more_in(view)).end();
    }
    draw_quiet(&mut page, quiet, !troubled.is_empty());
    page.end();
    data_paths::draw(&mut page, view);
    backups::draw(&mut page, view);
    e2ee::draw(&mut page, view);
    draw_remarks(&mut page, view.assessment);
    foot(&mut page, view);
    Ok(page.finish().into_bytes())
}

fn head(page: &mut Page, assessment: &Assessment) {
    let tool = &assessment.run.tool;
    page.put(Look::Bold, &format!("{} {}", tool.name, tool.version)).put(Look::Dim, " · ");
    if assessment.hypothetical {
        page.put(Look::Bad, summary::HYPOTHETICAL).put(Look::Dim, " · ");
    }
    page.put(Look::Bold, &assessment.service).put(Look::Dim, " · ");
    page.put(Look::Normal, &summary::policies(assessment)).put(Look::Dim, " · ");
    page.put(Look::Normal, &assessment.as_of.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).end().end();
}

const fn more_in(view: &View<'_>) -> &'static str {
    if view.pack.is_some() { ": see assessment.json in the pack" } else { ": see --format json" }
}

fn right_column(page: &Page) -> usize {
    page.width().saturating_sub(RIGHT)
}

/// Where a block's targets are: `chat.example.org:443, 2 addresses`.
fn address_of(block: &Block<'_>) -> String {
    let [name] = block.names.as_slice() else {
        return format!("alike, on {}", summary::count(block.lines.len(), "target", "targets"));
    };
    match block.lines.as_slice() {
        [] => "the service as a whole".into(),
        [line] if line.address == *name => String::new(),
        [line] => line.address.clone(),
        [first, rest @ ..] => {
            let itself = block.lines.iter().find(|l| l.name == *name);
            if rest.iter().all(|l| l.address == first.address) {
                format!("{}, {} addresses", first.address, block.lines.len())
            } else if let Some(itself) = itself {
                format!("{}, {} found on it", itself.address, rest.len())
            } else {
                format!("{} and {} more", first.address, rest.len())
            }
        }
    }
}

fn draw_block(page: &mut Page, view: &View<'_>, block: &Block<'_>) {
    let right = right_column(page);
    page.put(Look::Bold, &some_of(block.names.iter().copied(), 3));
    page.put(Look::Normal, "  ").put(Look::Normal, &plain_cut(&address_of(block), 120)).to(right);
    draw_counts(page, view.assessment, block);
    page.end();
    let widest = block.entries.iter().take(MOST_ENTRIES).map(|e| e.first.control.chars().count()).max();
    let message = CONTROL + widest.unwrap_or(0).min(24) + 2;
    for entry in block.entries.iter().take(MOST_ENTRIES) {
        draw_entry(page, view, block, entry, message);
    }
    if let Some(more) = block.entries.len().checked_sub(MOST_ENTRIES).filter(|n| *n > 0) {
        page.to(CONTROL).put(Look::Bold, &format!("{more} more")).put(Look::Normal, more_in(view)).end();
    }
}

fn draw_counts(page: &mut Page, assessment: &Assessment, block: &Block<'_>) {
    let counts = &block.counts;
    let mut gap = "";
    for (n, word, look) in [
        (counts.pass, "pass", Look::Good),
        (counts.fail, "fail", Look::Bad),
        (counts.inconclusive, "not proven", Look::Doubt),
    ] {
        if n > 0 {
            page.put(Look::Normal, gap).put(look, &format!("{n} {word}"));
            gap = "  ";
        }
    }
    if counts.waived > 0 {
        let mut waivers = block.entries.iter().map(|e| summary::waived(assessment, e.first));
        let first = waivers.next().flatten();
        match first {
            Some(waived) if waivers.all(|w| w.as_ref() == Some(&waived)) => page.put(Look::Dim, &format!(", {waived}")),
            _ => page.put(Look::Dim, &format!("  {} waived", counts.waived)),
        };
    }
}

fn draw_entry(page: &mut Page, view: &View<'_>, block: &Block<'_>, entry: &Entry<'_>, message: usize) {
    let (finding, right) = (entry.first, right_column(page));
    let control = view.assessment.controls.get(&*finding.control);
    let waived = summary::waived(view.assessment, finding);
    let (mark, look) = match finding.verdict {
        Verdict::Inconclusive => ("?", Look::Doubt),
        _ if waived.is_some() => ("✗", Look::Doubt),
        _ => ("✗", Look::Bad),
    };
    page.to(2).put(look, mark).to(4).put(look, finding.severity.as_str());
    page.to(CONTROL).put(Look::Bold, &finding.control).to(message);
    let mut reasons = finding.reasons.iter().map(|r| plain_cut(&r.message, MOST_MESSAGE));
    let first = reasons.next().or_else(|| control.map(|c| plain(&c.title))).unwrap_or_default();
    let (label, aside) = match (waived, finding.verdict, &finding.wanted) {
        (Some(waived), ..) => ("waived", waived),
        (None, Verdict::Inconclusive, _) => ("", "not proven, so not passed".into()),
        (None, _, Some(wanted)) => ("wanted", wanted.clone()),
        (None, _, None) => ("", String::new()),
    };
    let aside_text = if label == "wanted" { format!("wanted: {aside}") } else { aside.clone() };
    let fits = message + first.chars().count() + 2 <= right && plain(&aside_text).chars().count() <= RIGHT;
    if fits {
        page.put(Look::Normal, &first).to(right).put(Look::Dim, &aside_text).end();
    } else {
        page.wrapped(Look::Normal, &first).end();
    }
    for reason in reasons.by_ref().take(MOST_REASONS - 1) {
        page.to(message).wrapped(Look::Normal, &reason).end();
    }
    match reasons.count() {
        0 => {}
        more => {
            page.to(message).put(Look::Normal, &format!("and {more} more")).put(Look::Normal, more_in(view)).end();
        }
    }
    if !fits && !aside.is_empty() {
        let label = if label.is_empty() { "so" } else { label };
        detail(page, label, &plain_cut(aside.strip_prefix("waived ").unwrap_or(&aside), MOST_MESSAGE));
    }
    if finding.waiver.is_none() {
        let evidence = finding.evidence.first().and_then(|digest| (view.evidence)(digest));
        if finding.verdict == Verdict::Fail {
            draw_remedy(page, control, evidence.as_deref());
        }
        draw_seen(page, view, block, entry, evidence.as_deref());
    }
}

fn detail(page: &mut Page, label: &str, text: &str) {
    page.to(CONTROL).put(Look::Dim, label).to(DETAIL).wrapped(Look::Normal, text).end();
}

/// How to mend it.
fn draw_remedy(page: &mut Page, control: Option<&ControlInfo>, evidence: Option<&Evidence>) {
    let Some(control) = control else { return };
    let Some((product, text)) = summary::remedy(control, evidence) else { return };
    let label = if product == "any" { "fix".into() } else { format!("fix, {product}") };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    page.to(CONTROL).put(Look::Dim, &label).to(DETAIL);
    page.wrapped(Look::Normal, &plain_cut(lines.next().unwrap_or_default(), MOST_MESSAGE)).end();
    for line in lines.by_ref().take(3) {
        page.to(DETAIL).wrapped(Look::Normal, &plain_cut(line, MOST_MESSAGE)).end();
    }
    if lines.next().is_some() || control.remedy.len() > 1 {
        page.to(DETAIL).put(Look::Dim, &format!("more: probity explain {}", control.id)).end();
    }
}

/// Who showed it, how strong that is, and where the raw bytes are.
fn draw_seen(page: &mut Page, view: &View<'_>, block: &Block<'_>, entry: &Entry<'_>, first: Option<&Evidence>) {
    let targets = entry.targets();
    let places = targets.iter().map(|name| match block.lines.iter().find(|l| l.name == *name) {
        Some(line) => name.strip_prefix(&format!("{}@", line.of)).unwrap_or(if line.name == line.of {
            line.address.as_str()
        } else {
            name
        }),
        None => name,
    });
    let mut parts = vec![some_of(places, 3)];
    parts.extend(entry.first.level.map(|level| level.as_str().to_owned()));
    parts.push(sources(&entry.findings));
    if first.is_some_and(|e| e.provenance.attested_by_host_only) {
        parts.push("attested by the host only".into());
    }
    let policies = entry.policies();
    if policies.len() < view.assessment.policies.len() {
        parts.push(format!("under {}", some_of(policies.iter().copied(), 3)));
    }
    detail(page, "seen", &parts.join(", "));
}

/// `exchanges 4f1c… 9a22…`, else the digests of the evidence.
fn sources(findings: &[&Finding]) -> String {
    let cites = findings.iter().flat_map(|f| &f.reasons).flat_map(|r| &r.cites);
    let cited: Vec<String> = cites.map(|c| short(&c.exchanges)).collect();
    if !cited.is_empty() {
        let cited = group::distinct(cited.iter().map(String::as_str));
        return format!("exchanges {}", spaced(&cited));
    }
    let evidence: Vec<String> = findings.iter().flat_map(|f| &f.evidence).map(short).collect();
    if evidence.is_empty() {
        return "no evidence".into();
    }
    format!("evidence {}", spaced(&group::distinct(evidence.iter().map(String::as_str))))
}

fn short(digest: &model::Digest) -> String {
    format!("{:.4}…", digest.to_string())
}

fn spaced(texts: &[&str]) -> String {
    let shown = texts.iter().take(3).copied().collect::<Vec<_>>().join(" ");
    if texts.len() > 3 { format!("{shown} and {} more", texts.len() - 3) } else { shown }
}

/// Names without trouble, in one line for each sort: all pass, nothing applies, nothing judged.
fn draw_quiet(page: &mut Page, quiet: &[Block<'_>], after_others: bool) {
    let sort = |c: &Counts| match (c.pass, c.not_applicable) {
        (1.., _) => 0,
        (0, 1..) => 1,
        (0, 0) => 2,
    };
    for (wanted, what, look) in
        [(0, "all pass", Look::Good), (1, "nothing applies", Look::Dim), (2, "nothing judged", Look::Doubt)]
    {
        // The service as a whole, which is no target, is not worth a line where nothing applies to it.
        let shown = |b: &&Block<'_>| sort(&b.counts) == wanted && (wanted != 1 || !b.lines.is_empty());
        let blocks: Vec<_> = quiet.iter().filter(shown).collect();
        let targets: usize = blocks.iter().map(|b| b.lines.len().max(1)).sum();
        if blocks.is_empty() {
            continue;
        }
        let more = if after_others { " more" } else { "" };
        let noun = if targets == 1 { "target" } else { "targets" };
        page.put(Look::Normal, &format!("{targets}{more} {noun}, ")).put(look, what).put(Look::Normal, ": ");
        let names: Vec<String> = blocks
            .iter()
            .flat_map(|b| b.names.iter().map(|name| (name, b.counts.pass)))
            .map(|(name, pass)| if wanted == 0 { format!("{name} {pass}") } else { (*name).to_owned() })
            .collect();
        page.wrapped(Look::Normal, &some_of(names.iter().map(String::as_str), 30)).end();
    }
}

/// Notices, what is undeclared and what was not looked at.
fn draw_remarks(page: &mut Page, assessment: &Assessment) {
    let notices = assessment.notices.iter().map(|n| match n.level {
        NoticeLevel::Warning => (Look::Doubt, "warning", n.message.clone()),
        NoticeLevel::Note => (Look::Dim, "note", n.message.clone()),
    });
    let coverage = &assessment.coverage;
    let undeclared = coverage.undeclared.iter();
    let undeclared = undeclared.map(|u| (Look::Doubt, "undeclared", format!("{} ({})", u.target, u.what)));
    let skipped = coverage.not_looked_at.iter();
    let skipped = skipped.map(|n| (Look::Dim, "not looked at", format!("{}: {}", n.what, n.why)));
    let sorts: [Vec<_>; 3] = [notices.collect(), undeclared.collect(), skipped.collect()];
    let any = sorts.iter().any(|remarks| !remarks.is_empty());
    for remarks in sorts {
        for (look, label, text) in remarks.iter().take(MOST_NOTICES) {
            page.put(*look, label).to(15).wrapped(Look::Normal, &plain_cut(text, MOST_MESSAGE)).end();
        }
        if let Some(more) = remarks.len().checked_sub(MOST_NOTICES).filter(|n| *n > 0) {
            page.to(15).put(Look::Dim, &format!("and {more} more of these")).end();
        }
    }
    if any {
        page.end();
    }
}

fn foot(page: &mut Page, view: &View<'_>) {
    let assessment = view.assessment;
    let look = match assessment.gate.outcome {
        Outcome::Passed => Look::Good,
        Outcome::Failed => Look::Bad,
        Outcome::Inconclusive => Look::Doubt,
    };
    page.put(look, summary::outcome_word(assessment.gate.outcome));
    if assessment.hypothetical {
        page.put(look, &format!(" ({})", summary::HYPOTHETICAL));
    }
    page.put(Look::Normal, "  ").wrapped(Look::Normal, &summary::outcome_reasons(assessment)).end();
    let run = &assessment.run;
    let parts = [
        summary::looked_at(assessment),
        summary::from_where(assessment),
        summary::count(usize::try_from(run.connections).unwrap_or(usize::MAX), "connection", "connections"),
        summary::seconds(run.millis),
        summary::clock(assessment),
    ];
    page.flow(&parts).end();
    let signature = summary::signature(view, 12);
    match view.pack {
        Some(pack) => page.flow(&[format!("pack {pack}"), signature, format!("check it: probity verify {pack}")]),
        None => page.flow(&["no pack was written".into(), signature]),
    };
    page.end();
}
