//! The project's own chores, run as `cargo xtask …`.
//!
//! Built before everything else, so it stays small: the standard library, `clap`, `anyhow` and `serde_json`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks to a developer")]

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
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Test => test::run_all(),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
