//! The commands, one file each.

mod audit_run;
mod config;
mod keys;
mod packs;
mod policies;
mod scan;
mod waivers;

use audit::Error;

use crate::arguments::Command;
use crate::command::audit_run::Which;
use crate::exit::Exit;

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Audit(args) => with_runtime(audit_run::audit(args, Which::Everything)),
        Command::Drill(args) => with_runtime(audit_run::audit(args, Which::Drills)),
        Command::Collect(args) => with_runtime(audit_run::collect(args)),
        Command::Tls(args) => with_runtime(scan::tls(args)),
        Command::Ssh(args) => with_runtime(scan::ssh(args)),
        Command::CheckConfig(args) => with_runtime(config::check(args)),
        Command::Init(args) => config::init(&args),
        Command::Judge(args) => packs::judge(&args),
        Command::Replay(args) => packs::replay(&args),
        Command::Report(args) => packs::report(&args),
        Command::Verify(args) => packs::verify(&args),
        Command::Diff(args) => packs::diff(&args),
        Command::Policy(args) => policies::policy(args),
        Command::Explain(args) => policies::explain(&args),
        Command::Waiver(args) => waivers::waiver(args),
        Command::Keys(args) => keys::keys(args),
    }
}

/// Only commands that talk to the world pay for a runtime.
fn with_runtime(work: impl Future<Output = Result<Exit, Error>>) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::Config(format!("no threads can be started: {e}")))?;
    let outcome = runtime.block_on(work);
    // A resolver that hangs in a thread of its own must not hold the end back.
    runtime.shutdown_background();
    outcome
}
