//! The command line: arguments, wiring, exit codes.

mod arguments;
mod command;
mod exit;
mod output;
mod progress;
mod signer;

use std::process::ExitCode;

use audit::Error;
use clap::Parser as _;

use crate::exit::Exit;

fn main() -> ExitCode {
    let arguments = match arguments::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version are no errors; a closed pipe is none either.
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage.into() } else { Exit::Passed.into() };
        }
    };
    match command::run(arguments.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&error);
            match error {
                Error::Pack(_) => Exit::Untrusted.into(),
                _ => Exit::Usage.into(),
            }
        }
    }
}

fn complain(error: &Error) {
    match error {
        Error::Files(complaints) => {
            output::say(complaints.diagnostics.render(&complaints.sources, output::stderr_colour()).trim_end());
            output::say(&format!("probity: {} problem(s) in files; nothing was done", complaints.diagnostics.len()));
        }
        other => output::say(&format!("probity: {}", report::escape::plain(&other.to_string()))),
    }
}
