//! The project's own chores, run as `cargo xtask …`.
//!
//! Built before everything else, so it stays small: the standard library, `clap`, `anyhow` and `serde_json`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks to a developer")]

mod bars;
mod bench;
mod docs;
mod lab;
mod new_control;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must hold before a change is merged; what `.ci/run` calls.
    Test,
    /// Check the rules that no compiler knows: layers, file sizes, docs, reasons.
    Tidy,
    /// Measure every figure that the project promises, in full.
    Bars {
        /// Leave the fresh clone and its build out.
        #[arg(long)]
        skip_build: bool,
        /// Only the steps whose name contains this.
        #[arg(long)]
        only: Option<String>,
        /// A program to measure instead of building one.
        #[arg(long)]
        probity: Option<std::path::PathBuf>,
    },
    /// Write the pages of docs/ that come from the program.
    Docs {
        /// Only say whether they are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Write the JSON Schemas of docs/schemas/.
    Schema {
        /// Only say whether they are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Run servers of the lab until the input ends; without names, list them.
    Lab {
        /// Names of servers.
        names: Vec<String>,
    },
    /// Measure side by side with other scanners, those that are installed.
    Bench {
        /// `tls` or `ssh`; both if left out.
        #[arg(value_parser = ["tls", "ssh"])]
        what: Option<String>,
        /// Run the slow ones on every server and over every distance: half an hour.
        #[arg(long)]
        full: bool,
        /// A program to measure instead of building one.
        #[arg(long)]
        probity: Option<std::path::PathBuf>,
    },
    /// Begin a control: a skeleton in policies/controls/ and one in policies/tests/.
    NewControl {
        /// Its id, such as TLS-PROTO-LEGACY.
        id: String,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Test => test::run_all(),
        Task::Tidy => tidy::run(),
        Task::Bars { skip_build, only, probity } => bars::run(skip_build, only.as_deref(), probity),
        Task::Docs { check } => docs::pages(check).and_then(|()| docs::samples(check)),
        Task::Schema { check } => docs::schemas(check),
        Task::Lab { names } => lab::foreground(&names),
        Task::Bench { what, full, probity } => bench::run_all(what.as_deref(), full, probity),
        Task::NewControl { id } => new_control::run(&id),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
