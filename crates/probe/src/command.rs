//! Local commands: no shell, an empty environment, a group of their own, bounded in time and output.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use model::{CommandRecord, Digest, Failure, FailureClass};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

use crate::cx::Cx;

/// Where programs are looked for; the caller's PATH is not trusted.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A local command.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    /// Program (a bare name is looked for in the system's folders) and arguments.
    pub argv: &'a [&'a str],
    /// The only variables that it sees, beside `PATH` and `LC_ALL=C`.
    pub env: &'a [(&'a str, &'a str)],
    /// Most bytes read of each of its outputs; a command that says more is ended.
    pub most: usize,
    /// How long it may take.
    pub within: Duration,
    /// Arguments that make it tell its version, such as `["-V"]`.
    pub version: &'a [&'a str],
}

impl<'a> Command<'a> {
    /// A command with no variables, 1 MiB of output and 20 seconds.
    #[must_use]
    pub const fn new(argv: &'a [&'a str]) -> Self {
        Self { argv, env: &[], most: 1 << 20, within: Duration::from_secs(20), version: &[] }
    }
}

/// What a command said. Its exit code is not evidence; its parsed output is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit code; `None` where a signal ended it.
    pub exit: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Cx {
    /// Where a program is, or `None`.
    #[must_use]
    pub fn which(&self, program: &str) -> Option<PathBuf> {
        which(program)
    }

    /// Runs a command and records it.
    ///
    /// # Errors
    /// Where the program is missing, can't be started, takes too long or says too much.
    pub async fn command(&self, command: Command<'_>) -> Result<Output, Failure> {
        let (name, arguments) = command
            .argv
            .split_first()
            .ok_or_else(|| Failure::new(FailureClass::Missing, "an empty command was asked for"))?;
        let path = found(name)?;
        let within = command.within.min(self.remaining());
        let version = match command.version {
            [] => None,
            words => run(&path, words, &[], 4096, within.min(Duration::from_secs(5))).await.ok().and_then(first_line),
        };
        let output = run(&path, arguments, command.env, command.most, within).await?;
        self.recorder.command(CommandRecord {
            argv: command.argv.iter().map(|w| (*w).to_owned()).collect(),
            path: path.display().to_string(),
            version,
            program: tokio::fs::read(&path).await.ok().map(|bytes| Digest::of(&bytes)),
            exit: output.exit,
            stdout: Digest::of(&output.stdout),
            stderr: Digest::of(&output.stderr),
        });
        Ok(output)
    }
}

impl Command<'_> {
    /// Runs it without writing anything down: for commands that give secrets, which belong in no record.
    ///
    /// # Errors
    /// As [`Cx::command`].
    pub async fn run_for_secret(&self) -> Result<Output, Failure> {
        let (name, arguments) =
            self.argv.split_first().ok_or_else(|| Failure::new(FailureClass::Missing, "no program is named"))?;
        run(&found(name)?, arguments, self.env, self.most, self.within).await
    }
}

fn which(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| p.is_file());
    }
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|p| p.is_file())
}

fn found(program: &str) -> Result<PathBuf, Failure> {
    which(program).ok_or_else(|| {
        Failure::new(FailureClass::Missing, format!("{program}: no such program in {}", FOLDERS.join(":")))
    })
}

/// The first line that a program says of itself, on either output.
fn first_line(output: Output) -> Option<String> {
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).lines().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned)
}

async fn run(
    path: &Path,
    arguments: &[&str],
    env: &[(&str, &str)],
    most: usize,
    within: Duration,
) -> Result<Output, Failure> {
    let shown = path.display();
    let mut child = tokio::process::Command::new(path)
        .args(arguments)
        .env_clear()
        .env("PATH", FOLDERS.join(":"))
        .env("LC_ALL", "C")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            let class = match e.kind() {
                std::io::ErrorKind::PermissionDenied => FailureClass::Permission,
                _ => FailureClass::Missing,
            };
            Failure::new(class, format!("{shown}: can't be started: {e}"))
        })?;
    let group = Group(child.id());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (stdout, stderr) = tokio::join!(read_bounded(stdout, most), read_bounded(stderr, most));
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(Failure::new(FailureClass::Unreadable, format!("{shown}: said more than {most} bytes")));
        };
        let exit = wait(&mut child).await;
        Ok(Output { exit, stdout, stderr })
    };
    let outcome = tokio::time::timeout(within, work).await.unwrap_or_else(|_| {
        Err(Failure::new(FailureClass::Timeout, format!("{shown}: did not end within {} s", within.as_secs_f32())))
    });
    drop(group);
    outcome
}

async fn wait(child: &mut Child) -> Option<i32> {
    child.wait().await.ok().and_then(|status| status.code())
}

/// All of a stream, or `None` where it is longer than the bound.
async fn read_bounded(stream: Option<impl AsyncRead + Unpin>, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let stream = stream?;
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    // An error here is a closed pipe: what was read so far is what was said.
    let _ = stream.take(bound).read_to_end(&mut bytes).await;
    (bytes.len() <= most).then_some(bytes)
}

/// Ends the whole process group when the command is over or given up, however that comes about.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // Nothing left to end is the usual case.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}
