//! Runs one local program under bounds, in a process group of its own.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use model::{Failure, FailureClass};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::{living, program};

/// Takes the bytes of an output as they come; an error ends the program.
pub(crate) type Sink<'a> = &'a mut (dyn FnMut(&[u8]) -> Result<(), Failure> + Send);

/// What to start, everything settled.
pub(crate) struct Launch<'a> {
    /// The program's file.
    pub(crate) path: &'a Path,
    /// Its arguments.
    pub(crate) arguments: &'a [&'a str],
    /// Its variables, beside `PATH` and `LC_ALL=C`.
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// The folder that it runs in; `None` is this process's own.
    pub(crate) cwd: Option<&'a Path>,
    /// The file that it reads; `None` is nothing.
    pub(crate) stdin: Option<&'a Path>,
    /// The id of the drill that it belongs to.
    pub(crate) mark: Option<&'a str>,
}

impl Launch<'_> {
    /// The program with an empty environment, its input, and a process group of its own.
    ///
    /// # Errors
    /// Where the input can't be opened.
    pub(crate) fn command(&self) -> Result<tokio::process::Command, Failure> {
        let stdin = match self.stdin {
            None => Stdio::null(),
            Some(path) => Stdio::from(File::open(path).map_err(|e| no_input(path, &e))?),
        };
        let mut command = tokio::process::Command::new(self.path);
        command
            .args(self.arguments)
            .env_clear()
            .env("PATH", program::path_variable())
            .env("LC_ALL", "C")
            .envs(self.env.iter().copied())
            .envs(self.mark.map(|mark| (living::MARK, mark)))
            .stdin(stdin)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = self.cwd {
            command.current_dir(folder);
        }
        Ok(command)
    }

    /// Why it did not start.
    pub(crate) fn not_started(&self, e: &std::io::Error) -> Failure {
        let class = match e.kind() {
            std::io::ErrorKind::PermissionDenied => FailureClass::Permission,
            _ => FailureClass::Missing,
        };
        Failure::new(class, format!("{}: can't be started: {e}", self.path.display()))
    }

    /// Runs it to its end and gives its exit code, `None` where a signal ended it. However this ends, no process of
    /// its group is left.
    ///
    /// # Errors
    /// Where it can't be started, takes longer than `within`, or a sink says so.
    pub(crate) async fn run(&self, within: Duration, out: Sink<'_>, err: Sink<'_>) -> Result<Option<i32>, Failure> {
        let mut command = self.command()?;
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| self.not_started(&e))?;
        let group = Group(child.id());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            tokio::try_join!(pump(stdout, out), pump(stderr, err))?;
            Ok(child.wait().await.ok().and_then(|status| status.code()))
        };
        let outcome = tokio::time::timeout(within, work).await.unwrap_or_else(|_| {
            let (program, seconds) = (self.path.display(), within.as_secs_f32());
            Err(Failure::new(FailureClass::Timeout, format!("{program}: did not end within {seconds} s")))
        });
        drop(group);
        outcome
    }
}

fn no_input(path: &Path, e: &std::io::Error) -> Failure {
    let class = match e.kind() {
        std::io::ErrorKind::PermissionDenied => FailureClass::Permission,
        std::io::ErrorKind::NotFound => FailureClass::Missing,
        _ => FailureClass::Unreadable,
    };
    Failure::new(class, format!("{}: can't be opened: {e}", path.display()))
}

/// Hands on a stream until it ends. An error of the pipe is its end: what was read so far is what was said.
async fn pump(stream: Option<impl AsyncRead + Unpin>, sink: Sink<'_>) -> Result<(), Failure> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        match buffer.get(..read) {
            None | Some([]) => return Ok(()),
            Some(piece) => sink(piece)?,
        }
    }
}

/// Ends the whole process group when the command is over or given up, however that comes about.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Nothing left to end is the usual case.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
