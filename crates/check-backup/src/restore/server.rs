//! A scratch server: started, waited for, ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Failure, FailureClass};
use probe::{Command, Cx, Running};

use super::account::{Account, first_error, last_line};

/// Bytes of a log that are looked at.
const MOST_LOG: usize = 4 << 20;
/// How often a process is looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest path of a Unix socket: `sun_path` in unix(7), less its zero.
pub(super) const MOST_SOCKET: usize = 107;

/// Runs a program to its end that must not be killed out of hand: the journal ends it politely, and it takes away
/// what it has in the kernel (shared memory). Gives what it said; how it ended shows in what it made.
///
/// # Errors
/// Where it can't be started, or there is no time left.
pub(super) async fn finish(cx: &Cx, account: &Account, argv: &[&str], folder: &Path) -> Result<Vec<u8>, Failure> {
    let log = folder.join("program.log");
    let argv = account.argv(argv);
    let mut running = cx.spawn_journalled(Command { cwd: Some(folder), ..Command::new(&argv) }, &log).await?;
    while running.is_running() {
        if cx.remaining().is_zero() {
            running.end().await?;
            return Err(Failure::new(FailureClass::Timeout, format!("{}: did not end in time", argv.join(" "))));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let said = said(&log);
    // It is over; this tells the journal so.
    running.end().await?;
    Ok(said)
}

fn said(log: &Path) -> Vec<u8> {
    let mut said = std::fs::read(log).unwrap_or_default();
    said.truncate(MOST_LOG);
    said
}

/// A server that runs beside the drill.
pub(super) struct Server {
    running: Running,
    log: PathBuf,
}

impl Server {
    /// Starts it and waits until its log says `ready`.
    ///
    /// # Errors
    /// The inner one is what it said when it did not come up; the outer one that it could not be started at all.
    pub(super) async fn start(
        cx: &Cx,
        account: &Account,
        argv: &[&str],
        folder: &Path,
        ready: &str,
    ) -> Result<Result<Self, String>, Failure> {
        let log = folder.join("server.log");
        // A second start in the same folder must not read the log of the first.
        let _ = std::fs::remove_file(&log);
        let argv = account.argv(argv);
        let running = cx.spawn_journalled(Command { cwd: Some(folder), ..Command::new(&argv) }, &log).await?;
        let mut server = Self { running, log };
        let outcome = server.wait(cx, ready).await;
        match outcome {
            Ok(()) => Ok(Ok(server)),
            Err(why) => {
                server.end().await?;
                Ok(Err(why))
            }
        }
    }

    async fn wait(&mut self, cx: &Cx, ready: &str) -> Result<(), String> {
        loop {
            // Whether it runs is asked first: what it said last is then in the log.
            let running = self.running.is_running();
            let log = said(&self.log);
            if String::from_utf8_lossy(&log).contains(ready) {
                return Ok(());
            }
            if !running {
                let said = first_error(&log).or_else(|| last_line(&log));
                return Err(said.unwrap_or_else(|| "it said nothing".to_owned()));
            }
            if cx.remaining().is_zero() {
                return Err("it was not ready in time".to_owned());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it can't be ended; the journal then tries again.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.running.end().await
    }
}
