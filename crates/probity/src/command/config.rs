//! `probity init` and `probity check-config`.

use std::io::Write as _;

use audit::expand::from_argument;
use audit::{Error, Request, prepare};
use report::escape::plain;

use crate::arguments::{CheckConfigArgs, InitArgs};
use crate::exit::Exit;
use crate::output;
use crate::signer;

/// Writes a first inventory. Nothing is overwritten.
pub(crate) fn init(args: &InitArgs) -> Result<Exit, Error> {
    let mut targets = String::new();
    for (i, argument) in args.targets.iter().enumerate() {
        from_argument(argument)?;
        let endpoint = argument.split_once("://").map_or(argument.as_str(), |(_, rest)| rest).trim_end_matches('/');
        targets.push_str(&format!("  - name: endpoint-{}\n    tls: {{ endpoint: \"{endpoint}\" }}\n", i + 1));
    }
    let text = format!(
        "# What is audited as a whole. Check this file with: probity check-config\n\
         service: {}\n\
         policy: [baseline]\n\
         # scope: {{ complete: true }}        # what else listens here becomes a finding\n\
         targets:\n  - name: host\n    host: {{}}\n{targets}\
         # waivers: waivers.yaml\n\
         # sign: {{ key: \"file:key.pem\" }}   # made with: probity keys new --name key\n",
        args.service
    );
    audit::parse_inventory(&args.out, text.as_bytes())?;
    let fail = |e: std::io::Error| Error::Write { path: args.out.display().to_string(), why: e.to_string() };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&args.out).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    output::stdout(
        format!("{} is written; next: probity audit -c {}\n", args.out.display(), args.out.display()).as_bytes(),
    )?;
    Ok(Exit::Passed)
}

/// Reads everything that an audit would read before its first connection.
pub(crate) async fn check(args: CheckConfigArgs) -> Result<Exit, Error> {
    let ready = prepare(Request { inventory: Some(args.config.clone()), ..Request::default() }).await?;
    let inventory = ready.inventory.as_ref();
    signer::trusted(&[], inventory.map(|i| (i, ready.folder.as_path())))?;
    let prepared = &ready.prepared;
    let mut text = format!(
        "{}: service {}, {} target(s), {} polic{}, {} waiver(s)\n",
        args.config.display(),
        prepared.service,
        prepared.expanded.targets.len(),
        prepared.policies.len(),
        if prepared.policies.len() == 1 { "y" } else { "ies" },
        ready.waivers.iter().count()
    );
    for policy in &prepared.policies {
        let modified = if policy.modified { ", modified" } else { "" };
        text.push_str(&format!(
            "  policy {} {}, {} controls{modified}\n",
            plain(&policy.name),
            plain(&policy.version),
            policy.controls.len()
        ));
    }
    for (name, failure) in &prepared.expanded.unresolved {
        text.push_str(&format!("  {}: {}\n", plain(name), plain(&failure.message)));
    }
    for notice in &prepared.expanded.notices {
        text.push_str(&format!("  {}\n", plain(&notice.message)));
    }
    output::stdout(text.as_bytes())?;
    Ok(Exit::Passed)
}
