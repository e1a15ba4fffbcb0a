//! `probity waiver`.

use std::path::Path;

use audit::{Error, library, load_waivers};
use model::Timestamp;
use policy::Waivers;
use report::escape::plain;

use crate::arguments::{ScanFormat, WaiverCommand};
use crate::exit::Exit;
use crate::output;

pub(crate) fn waiver(command: WaiverCommand) -> Result<Exit, Error> {
    match command {
        WaiverCommand::Add { file, control, target, owner, approver, reason, ticket, expires } => {
            let ticket = ticket.map(|t| format!("    ticket: {}\n", quoted(&t))).unwrap_or_default();
            let entry = format!(
                "  - control: {}\n    target: {}\n    owner: {}\n    approver: {}\n    reason: {}\n{ticket}    created: {}\n    expires: {}\n",
                quoted(&control),
                quoted(&target),
                quoted(&owner),
                quoted(&approver),
                quoted(&reason),
                Timestamp::now().strftime("%Y-%m-%d"),
                quoted(&expires)
            );
            add(&file, &entry)
        }
        WaiverCommand::List { file, format } => list(&file, format),
        WaiverCommand::Check { file, policy_dir } => check(&file, policy_dir.as_deref()),
    }
}

/// A YAML string in double quotes; JSON's escapes are a part of YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// Appends the entry; the whole is checked before anything is written.
fn add(file: &Path, entry: &str) -> Result<Exit, Error> {
    let shown = file.display().to_string();
    let before = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "waivers:\n".to_owned(),
        Err(e) => return Err(Error::Read { path: shown, why: e.to_string() }),
    };
    let before = if before.trim() == "waivers: []" { "waivers:\n".to_owned() } else { before };
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    let text = format!("{before}{gap}{entry}");
    let waivers = read(file, text.as_bytes(), None)?;
    // Written beside and renamed, so that a full disk loses nothing.
    let beside = file.with_extension("yaml.new");
    let fail = |e: std::io::Error| Error::Write { path: shown.clone(), why: e.to_string() };
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file)).map_err(fail)?;
    let id = waivers.iter().last().map_or("", |w| w.id.as_str());
    output::stdout(format!("waiver '{}' is added to {}\n", plain(id), file.display()).as_bytes())?;
    Ok(Exit::Passed)
}

fn read(file: &Path, bytes: &[u8], policy_dir: Option<&Path>) -> Result<Waivers, Error> {
    let (library, _) = library(policy_dir)?;
    let ids: Vec<&str> = library.controls().map(|c| c.written.id.as_str()).collect();
    load_waivers(&file.display().to_string(), bytes, &ids)
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|e| Error::Read { path: file.display().to_string(), why: e.to_string() })
}

fn list(file: &Path, format: ScanFormat) -> Result<Exit, Error> {
    let waivers = read(file, &bytes_of(file)?, None)?;
    if format == ScanFormat::Json {
        let lines: Vec<_> = waivers
            .iter()
            .map(|w| {
                serde_json::json!({ "id": w.id, "control": w.control, "target": w.target, "policy": w.policy,
                    "owner": w.owner, "approver": w.approver, "reason": w.reason, "ticket": w.ticket,
                    "created": w.created.map(|t| t.to_string()), "expires": w.expires.to_string() })
            })
            .collect();
        output::json(&lines)?;
        return Ok(Exit::Passed);
    }
    let mut text = String::new();
    for w in &waivers {
        text.push_str(&format!(
            "{:<20} {:<22} on {:<20} until {}  {} (approved by {}): {}\n",
            plain(&w.id),
            plain(&w.control),
            plain(&w.target),
            w.expires.strftime("%Y-%m-%d"),
            plain(&w.owner),
            plain(&w.approver),
            plain(&w.reason)
        ));
    }
    output::stdout(text.as_bytes())?;
    Ok(Exit::Passed)
}

/// Sound and in force? An expired waiver is a failure here, so that a pipeline notices before the gate does.
fn check(file: &Path, policy_dir: Option<&Path>) -> Result<Exit, Error> {
    let waivers = read(file, &bytes_of(file)?, policy_dir)?;
    let now = Timestamp::now();
    let mut text = String::new();
    let mut expired = 0;
    for w in &waivers {
        let days = w.expires.duration_since(now).as_hours() / 24;
        if w.expires <= now {
            expired += 1;
            text.push_str(&format!(
                "expired  {} ({} on {}), since {}\n",
                plain(&w.id),
                plain(&w.control),
                plain(&w.target),
                w.expires
            ));
        } else if days <= 30 {
            text.push_str(&format!(
                "soon     {} ({} on {}), {days} days left\n",
                plain(&w.id),
                plain(&w.control),
                plain(&w.target)
            ));
        }
    }
    text.push_str(&format!("{} waiver(s), {expired} expired\n", waivers.iter().count()));
    output::stdout(text.as_bytes())?;
    Ok(if expired > 0 { Exit::Failed } else { Exit::Passed })
}
