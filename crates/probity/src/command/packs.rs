//! Commands on packs: judge, replay, report, verify, diff.

use audit::diff::Change;
use audit::pack::Reader;
use audit::replay::Instead;
use audit::verify::Standing;
use audit::{Error, diff as differences, inventory::Inventory, library, replay as replays, verify as verification};
use model::{Assessment, Digest, pack};
use report::escape::plain;
use report::{Signature, View};

use crate::arguments::{DiffArgs, JudgeArgs, ReportArgs, ScanFormat, VerifyArgs};
use crate::exit::Exit;
use crate::output::{self, say};
use crate::signer;

/// Judges a folder of evidence; never an audit.
pub(crate) fn judge(args: &JudgeArgs) -> Result<Exit, Error> {
    output::check(&args.format)?;
    let reader = Reader::open(&args.pack)?;
    let assessment = replays::judge(&reader, &instead(args)?)?;
    show(&reader, &assessment, &args.format)?;
    Ok(assessment.gate.outcome.into())
}

/// Judges a pack again.
pub(crate) fn replay(args: &JudgeArgs) -> Result<Exit, Error> {
    output::check(&args.format)?;
    let reader = Reader::open(&args.pack)?;
    let assessment = replays::replay(&reader, &instead(args)?)?;
    if args.format.is_empty() {
        let bytes = model::canonical_json(&assessment).map_err(|e| Error::Defect(e.to_string()))?;
        output::stdout(&bytes)?;
    } else {
        show(&reader, &assessment, &args.format)?;
    }
    Ok(assessment.gate.outcome.into())
}

fn instead(args: &JudgeArgs) -> Result<Instead, Error> {
    let needs_library = !args.policy.is_empty() || args.waivers.is_some();
    let (library, sources) = match needs_library {
        true => library(args.policy_dir.as_deref())?,
        false => (policy::Library::default(), policy::Sources::default()),
    };
    let policies = if args.policy.is_empty() {
        None
    } else {
        let names: Vec<&str> = args.policy.iter().map(String::as_str).collect();
        Some(library.resolve(&names).map_err(|d| Error::files(d, sources))?)
    };
    let waivers = match &args.waivers {
        None => None,
        Some(path) => {
            let shown = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|e| Error::Read { path: shown.clone(), why: e.to_string() })?;
            let ids: Vec<&str> = library.controls().map(|c| c.written.id.as_str()).collect();
            Some((audit::load_waivers(&shown, &bytes, &ids)?, bytes))
        }
    };
    Ok(Instead { policies, waivers, as_of: args.as_of, fail_on: args.fail_on })
}

fn show(reader: &Reader, assessment: &Assessment, formats: &[output::Wanted]) -> Result<(), Error> {
    let evidence = |digest: &Digest| reader.behind(digest);
    let shown = reader.root().display().to_string();
    let why = if assessment.hypothetical { "it is hypothetical" } else { "this is a replay" };
    let view = View {
        assessment,
        evidence: &evidence,
        earlier: &|| reader.earlier(),
        signature: Signature::Unsigned { why: why.to_owned() },
        pack: Some(&shown),
        bundle: None,
        inventory: None,
    };
    output::render(&view, formats)
}

/// Renders a pack again.
pub(crate) fn report(args: &ReportArgs) -> Result<Exit, Error> {
    output::check(&args.format)?;
    let reader = Reader::open(&args.pack)?;
    let assessment = verification::read_assessment(&reader)?;
    let evidence = |digest: &Digest| reader.behind(digest);
    let shown = reader.root().display().to_string();
    let bundle = reader.file(pack::ASSESSMENT_BUNDLE).ok().map(|b| String::from_utf8_lossy(&b).into_owned());
    let trusted = signer::trusted(&[], None)?;
    let view = View {
        assessment: &assessment,
        evidence: &evidence,
        earlier: &|| reader.earlier(),
        signature: verification::signature(&reader, &trusted),
        pack: Some(&shown),
        bundle: bundle.as_deref(),
        inventory: None,
    };
    output::render(&view, &args.format)?;
    Ok(Exit::Passed)
}

/// Checks a pack.
pub(crate) fn verify(args: &VerifyArgs) -> Result<Exit, Error> {
    let inventory = match &args.config {
        None => None,
        Some(path) => {
            let bytes = std::fs::read(path)
                .map_err(|e| Error::Read { path: path.display().to_string(), why: e.to_string() })?;
            Some((audit::parse_inventory(path, &bytes)?, path.parent().unwrap_or(std::path::Path::new("")).to_owned()))
        }
    };
    let of_inventory = inventory.as_ref().map(|(i, folder): &(Inventory, _)| (i, folder.as_path()));
    let trusted = signer::trusted(&args.key, of_inventory)?;
    let reader = Reader::open(&args.pack)?;
    let found = verification::verify(&reader, &trusted)?;
    let (headline, exit) = match &found.standing {
        Standing::Verified(label) => (format!("VERIFIED, signed by {}", plain(label)), Exit::Passed),
        Standing::SignerUnknown => ("INTACT, SIGNER UNKNOWN".to_owned(), Exit::Untrusted),
        Standing::Unsigned => ("UNSIGNED: intact in itself, but nobody vouches for it".to_owned(), Exit::Untrusted),
        Standing::Broken => ("DOES NOT VERIFY".to_owned(), Exit::Untrusted),
    };
    if args.format == ScanFormat::Json {
        output::json(&serde_json::json!({
            "pack": args.pack.display().to_string(),
            "standing": match &found.standing {
                Standing::Verified(_) => "verified",
                Standing::SignerUnknown => "signer_unknown",
                Standing::Unsigned => "unsigned",
                Standing::Broken => "broken",
            },
            "signer": match &found.standing { Standing::Verified(label) => Some(label), _ => None },
            "fingerprint": found.fingerprint,
            "checks": found.checks,
            "notes": found.notes,
            "problems": found.problems,
        }))?;
        return Ok(exit);
    }
    let mut text = format!("{headline}\n");
    if let Some(fingerprint) = &found.fingerprint {
        text.push_str(&format!("key      {fingerprint}\n"));
    }
    if let Some(a) = &found.assessment {
        let policies: Vec<String> = a.policies.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
        text.push_str(&format!("audit    {} · {} · {}\n", plain(&a.service), plain(&policies.join(" + ")), a.as_of));
        let c = &a.counts;
        text.push_str(&format!(
            "result   {} pass, {} fail, {} not proven, {} not applicable, {} waived\n",
            c.pass, c.fail, c.inconclusive, c.not_applicable, c.waived
        ));
    }
    for check in &found.checks {
        text.push_str(&format!("  ok   {}\n", plain(check)));
    }
    for note in &found.notes {
        text.push_str(&format!("  note {}\n", plain(note)));
    }
    for problem in found.problems.iter().take(50) {
        text.push_str(&format!("  BAD  {}\n", plain(problem)));
    }
    if found.problems.len() > 50 {
        text.push_str(&format!("  and {} more\n", found.problems.len() - 50));
    }
    if found.standing == Standing::SignerUnknown {
        text.push_str("Whoever holds that key could have written this. Get the signer's public key by another way and give it with --key, or trust it: probity keys trust FILE\n");
    }
    output::stdout(text.as_bytes())?;
    Ok(exit)
}

/// What changed between two packs. Exit 1 where something got worse.
pub(crate) fn diff(args: &DiffArgs) -> Result<Exit, Error> {
    let read = |path: &std::path::Path| verification::read_assessment(&Reader::open(path)?);
    let (before, now) = (read(&args.before)?, read(&args.now)?);
    let changes = differences::diff(&before, &now);
    match args.format {
        ScanFormat::Json => output::json(&changes)?,
        ScanFormat::Text => {
            let mut text = format!("{} finding(s) changed from {} to {}\n", changes.len(), before.as_of, now.as_of);
            for change in &changes {
                text.push_str(&format!("  {}\n", change_line(change)));
            }
            output::stdout(text.as_bytes())?;
        }
    }
    say("probity: neither pack was verified; use 'probity verify' on each");
    let worse = |c: &Change| matches!(c.now, Some(model::Verdict::Fail)) || c.now.is_none();
    Ok(if changes.iter().any(worse) { Exit::Failed } else { Exit::Passed })
}

pub(crate) fn change_line(change: &Change) -> String {
    let word = |v: Option<model::Verdict>| v.map_or("absent", model::Verdict::as_str);
    let reason = change.reason.as_deref().map(|r| format!(": {}", plain(r))).unwrap_or_default();
    format!(
        "{} → {}  {}  {} ({}){reason}",
        word(change.before),
        word(change.now),
        plain(&change.target),
        plain(&change.control),
        plain(&change.policy)
    )
}
