//! `probity tls` and `probity ssh`: facts alone.

use std::path::Path;

use audit::expand::{expand, flaws_of, from_argument};
use audit::inventory::{Declared, Subject};
use audit::{Error, kinds};
use model::{Ask, Depth, Facts, Failure};
use probe::{Job, Limits, Stop};
use serde::Serialize;

use crate::arguments::{ScanFormat, SshArgs, TlsArgs};
use crate::exit::Exit;
use crate::output::{self, say};
use crate::progress;

/// What was seen of one address.
#[derive(Serialize)]
struct Scan {
    /// The target as it was named.
    target: String,
    /// The address and port looked at; null where the name has none.
    address: Option<String>,
    /// What was seen.
    facts: Option<Facts>,
    /// Why nothing was seen.
    failure: Option<Failure>,
    /// What tests of known flaws showed, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    flaws: Option<Flaws>,
}

/// What tests of known flaws showed.
#[derive(Serialize)]
struct Flaws {
    /// What was seen.
    facts: Option<Facts>,
    /// Why nothing was seen.
    failure: Option<Failure>,
}

pub(crate) async fn tls(args: TlsArgs) -> Result<Exit, Error> {
    let mut declared = Vec::new();
    for argument in &args.targets {
        let mut target = from_argument(argument)?;
        let Subject::Tls(tls) = &mut target.subject else {
            return Err(Error::Config(format!("'{argument}' is no TLS endpoint; HOST[:PORT] or tls://HOST[:PORT] is")));
        };
        tls.trust = args.trust.iter().map(|p| p.display().to_string()).collect();
        if let Some(sni) = &args.sni {
            tls.sni = Some(vec![sni.clone()]);
            tls.resolve(std::net::IpAddr::from([127, 0, 0, 1])).map_err(Error::Config)?;
        }
        declared.push(target);
    }
    for path in &args.trust {
        std::fs::metadata(path).map_err(|e| Error::Read { path: path.display().to_string(), why: e.to_string() })?;
    }
    scan(&declared, args.flaws, args.deadline, args.format).await
}

pub(crate) async fn ssh(args: SshArgs) -> Result<Exit, Error> {
    let mut declared = Vec::new();
    for argument in &args.targets {
        let argument = if argument.contains("://") { argument.clone() } else { format!("ssh://{argument}") };
        let target = from_argument(&argument)?;
        if !matches!(target.subject, Subject::Ssh(_)) {
            return Err(Error::Config(format!("'{argument}' is no SSH server; HOST[:PORT] or ssh://HOST[:PORT] is")));
        }
        declared.push(target);
    }
    scan(&declared, false, args.deadline, args.format).await
}

/// Looks at targets, and at the known flaws of each where that is asked for, and shows what was seen.
async fn scan(
    declared: &[Declared],
    flaws: bool,
    deadline: std::time::Duration,
    format: ScanFormat,
) -> Result<Exit, Error> {
    let expanded = expand(declared, Path::new("")).await;
    for notice in &expanded.notices {
        say(&format!("probity: {}", report::escape::plain(&notice.message)));
    }
    let mut scans: Vec<Scan> = Vec::new();
    let mut jobs = Vec::new();
    for target in &expanded.targets {
        let address = target.subject.spec.get("address").and_then(|a| a.as_str()).filter(|a| !a.is_empty());
        let failure = expanded.unresolved.get(&target.name).cloned();
        if failure.is_none() {
            let more = flaws.then(|| flaws_of(target));
            for target in [target.clone()].into_iter().chain(more) {
                jobs.extend(kinds::probes_for(&target.subject.sort).into_iter().map(|probe| Job {
                    probe,
                    target: target.clone(),
                    ask: Ask::All,
                    depth: Depth::Full,
                    prior: vec![],
                }));
            }
        }
        scans.push(Scan {
            target: target.of.clone(),
            address: address.map(str::to_owned),
            facts: None,
            failure,
            flaws: None,
        });
    }
    let limits = Limits { deadline, ..Limits::default() };
    let (events, receiver) = tokio::sync::mpsc::unbounded_channel();
    let shown = tokio::spawn(progress::show(receiver));
    let (sender, mut collected) = tokio::sync::mpsc::channel(32);
    let work = probe::collect(jobs, limits, Stop::default(), sender, events);
    let gather = async {
        while let Some(piece) = collected.recv().await {
            let (facts, failure) = (piece.evidence.facts, piece.evidence.failure);
            for (target, scan) in expanded.targets.iter().zip(&mut scans) {
                if target.name == piece.evidence.target.name {
                    (scan.facts, scan.failure) = (facts, failure);
                    break;
                }
                if flaws_of(target).name == piece.evidence.target.name {
                    scan.flaws = Some(Flaws { facts, failure });
                    break;
                }
            }
        }
    };
    tokio::join!(work, gather);
    // A bar that can't be drawn any more is of no interest.
    let _ = shown.await;

    match format {
        ScanFormat::Json => output::json(&scans)?,
        ScanFormat::Text => {
            let style = output::stdout_style();
            let mut text = String::new();
            for scan in &scans {
                let address = scan.address.as_deref().unwrap_or("no address");
                match (&scan.facts, &scan.failure) {
                    (Some(facts), _) => text.push_str(&report::scan(&scan.target, address, facts, &style)),
                    (None, failure) => text.push_str(&nothing(&scan.target, address, failure.as_ref())),
                }
                match scan.flaws.as_ref().map(|flaws| (&flaws.facts, &flaws.failure)) {
                    Some((Some(facts), _)) => text.push_str(&report::scan("known flaws", address, facts, &style)),
                    Some((None, failure)) => text.push_str(&nothing("known flaws", address, failure.as_ref())),
                    None => {}
                }
            }
            output::stdout(text.as_bytes())?;
        }
    }
    let seen = |s: &Scan| s.facts.is_some() && s.flaws.as_ref().is_none_or(|flaws| flaws.facts.is_some());
    Ok(if scans.iter().all(seen) { Exit::Passed } else { Exit::Inconclusive })
}

/// What is shown where nothing was seen.
fn nothing(target: &str, address: &str, failure: Option<&Failure>) -> String {
    let why = failure.map_or("nothing was seen", |f| f.message.as_str());
    let (target, why) = (report::escape::plain(target), report::escape::plain(why));
    format!("{target}  {address}\n  nothing is proven: {why}\n")
}
