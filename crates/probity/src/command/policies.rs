//! `probity policy` and `probity explain`.

use std::collections::BTreeMap;
use std::path::Path;

use audit::{Error, kinds, library};
use policy::Policy;
use report::escape::plain;
use serde_json::json;

use crate::arguments::{ExplainArgs, PolicyCommand, PolicyFolder, ScanFormat};
use crate::exit::Exit;
use crate::output::{self, say, stderr_colour};

pub(crate) fn policy(command: PolicyCommand) -> Result<Exit, Error> {
    match command {
        PolicyCommand::List(folder) => list(&folder),
        PolicyCommand::Show { name, folder } => show(&name, &folder),
        PolicyCommand::Lint(folder) => lint(&folder),
        PolicyCommand::Test(folder) => test(&folder),
        PolicyCommand::Diff { left, right, folder } => diff(&left, &right, &folder),
        PolicyCommand::Schema { kind, out } => schema(kind.as_deref(), out.as_deref()),
    }
}

fn resolve(folder: &PolicyFolder, names: &[&str]) -> Result<Vec<Policy>, Error> {
    let (library, sources) = library(folder.policy_dir.as_deref())?;
    library.resolve(names).map_err(|d| Error::files(d, sources))
}

fn list(folder: &PolicyFolder) -> Result<Exit, Error> {
    let (library, sources) = library(folder.policy_dir.as_deref())?;
    let mut policies = Vec::new();
    for profile in library.profiles() {
        policies.extend(library.resolve(&[&profile.name]).map_err(|d| Error::files(d, sources.clone()))?);
    }
    if folder.format == ScanFormat::Json {
        let controls: Vec<_> = library.controls().map(policy::Control::info).collect();
        let policies: Vec<_> = policies
            .iter()
            .map(|p| {
                let ids: Vec<&str> = p.controls.iter().map(|c| c.written.id.as_str()).collect();
                json!({ "name": p.name, "version": p.version, "title": p.title, "source": p.source,
                        "modified": p.modified, "digest": p.digest, "requires": p.requires, "controls": ids })
            })
            .collect();
        output::json(&json!({ "policies": policies, "controls": controls }))?;
        return Ok(Exit::Passed);
    }
    let mut text = String::from("policies\n");
    for p in &policies {
        let modified = if p.modified { "  (modified)" } else { "" };
        text.push_str(&format!(
            "  {:<24} {:<8} {:>3} controls  {}{modified}\n",
            plain(&p.name),
            plain(&p.version),
            p.controls.len(),
            plain(&p.title)
        ));
    }
    text.push_str("\ncontrols\n");
    for control in library.controls() {
        let w = &control.written;
        text.push_str(&format!("  {:<24} {:<9} {}\n", plain(&w.id), w.severity, plain(&w.title)));
    }
    output::stdout(text.as_bytes())?;
    Ok(Exit::Passed)
}

fn show(name: &str, folder: &PolicyFolder) -> Result<Exit, Error> {
    let policies = resolve(folder, &[name])?;
    let yaml = policy::policies_to_yaml(&policies).map_err(|e| Error::Defect(e.to_string()))?;
    output::stdout(&yaml)?;
    Ok(Exit::Passed)
}

fn lint(folder: &PolicyFolder) -> Result<Exit, Error> {
    let (library, sources) = match library(folder.policy_dir.as_deref()) {
        Ok(found) => found,
        Err(Error::Files(complaints)) if folder.format == ScanFormat::Json => {
            output::json(&complaints.diagnostics)?;
            return Ok(Exit::Usage);
        }
        Err(e) => return Err(e),
    };
    let warnings = library.warnings();
    if folder.format == ScanFormat::Json {
        output::json(warnings)?;
    } else {
        if !warnings.is_empty() {
            say(warnings.render(&sources, stderr_colour()).trim_end());
        }
        let (controls, profiles) = (library.controls().count(), library.profiles().count());
        output::stdout(format!("{controls} controls and {profiles} profiles are sound\n").as_bytes())?;
    }
    Ok(Exit::Passed)
}

/// What differs between two policies, control by control.
fn diff(left: &str, right: &str, folder: &PolicyFolder) -> Result<Exit, Error> {
    let policies = resolve(folder, &[left, right])?;
    let (Some(a), Some(b)) = (policies.first(), policies.get(1)) else {
        return Err(Error::Config("two different policies are wanted".into()));
    };
    let index = |p: &Policy| -> BTreeMap<String, policy::Written> {
        p.controls.iter().map(|c| (c.written.id.clone(), c.written.clone())).collect()
    };
    let (old, new) = (index(a), index(b));
    let ids: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut text = String::new();
    let params = |w: &policy::Written| serde_json::to_string(&w.params).unwrap_or_default();
    for id in ids {
        match (old.get(id), new.get(id)) {
            (Some(_), None) => text.push_str(&format!("- {id}\n")),
            (None, Some(w)) => text.push_str(&format!("+ {id} {}\n", params(w))),
            (Some(a), Some(b)) if a != b => {
                text.push_str(&format!("~ {id}\n    {left}: {}\n    {right}: {}\n", params(a), params(b)));
            }
            _ => {}
        }
    }
    if text.is_empty() {
        text.push_str("they demand the same\n");
    }
    output::stdout(text.as_bytes())?;
    Ok(Exit::Passed)
}

fn schema(kind: Option<&str>, out: Option<&Path>) -> Result<Exit, Error> {
    let kinds = kinds::kinds();
    if let Some(out) = out {
        let fail = |e: std::io::Error| Error::Write { path: out.display().to_string(), why: e.to_string() };
        std::fs::create_dir_all(out).map_err(fail)?;
        let write = |name: &str, value: &serde_json::Value| {
            let bytes = model::pretty_json(value).map_err(|e| Error::Defect(e.to_string()))?;
            std::fs::write(out.join(format!("{name}.schema.json")), bytes).map_err(fail)
        };
        for (name, info) in &kinds {
            write(name, &info.schema)?;
        }
        write("assessment", &report::assessment_schema())?;
        return Ok(Exit::Passed);
    }
    match kind {
        None => {
            let lines = kinds.iter().map(|(name, info)| format!("{name:<14} {}\n", info.level.as_str()));
            output::stdout(lines.collect::<String>().as_bytes())?;
        }
        Some(kind) => match kinds.get(kind) {
            Some(info) => output::json(&info.schema)?,
            None => {
                let known: Vec<&str> = kinds.keys().map(String::as_str).collect();
                return Err(Error::Config(format!("there is no kind '{kind}'; there are {}", known.join(", "))));
            }
        },
    }
    Ok(Exit::Passed)
}

/// What a control wants, why, and how to get there.
pub(crate) fn explain(args: &ExplainArgs) -> Result<Exit, Error> {
    let (library, _) = library(args.policy_dir.as_deref())?;
    let id = args.control.to_uppercase();
    match library.control(&args.control).or_else(|| library.control(&id)) {
        Some(control) => {
            let text = report::policy_explain(&control.info(), &output::stdout_style());
            output::stdout(text.as_bytes())?;
            Ok(Exit::Passed)
        }
        None => {
            let hint = library.nearest_control(&id).map(|near| format!("; did you mean '{near}'?"));
            let hint = hint.unwrap_or_else(|| "; 'probity policy list' names them all".to_owned());
            Err(Error::Config(format!("there is no control '{}'{hint}", args.control)))
        }
    }
}

fn test(folder: &PolicyFolder) -> Result<Exit, Error> {
    let (library, sources) = library(folder.policy_dir.as_deref())?;
    let report = policy::run_tests(&library, &sources, &kinds::kinds());
    tests_shown(&report, folder)
}

fn tests_shown(report: &policy::TestReport, folder: &PolicyFolder) -> Result<Exit, Error> {
    if folder.format == ScanFormat::Json {
        output::json(report)?;
    } else {
        output::stdout(format!("{report}").as_bytes())?;
    }
    Ok(if report.passed() { Exit::Passed } else { Exit::Failed })
}
