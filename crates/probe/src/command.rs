//! Local commands: no shell, an empty environment, a group of their own, bounded in time and output.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{CommandRecord, Digest, Failure, FailureClass};

use crate::cx::Cx;
use crate::process::Launch;
use crate::program;
use crate::recorder::Recorder;
use crate::redact::{Hasher, Secrets};

/// A local command.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    /// Program (a bare name is looked for in the system's folders) and arguments.
    pub argv: &'a [&'a str],
    /// The only variables that it sees, beside `PATH` and `LC_ALL=C`. They are not recorded.
    pub env: &'a [(&'a str, &'a str)],
    /// The folder that it runs in; `None` is the one that Probity was started in.
    pub cwd: Option<&'a Path>,
    /// The file that is its standard input; `None` is an empty one. It is opened by Probity, so that a command that
    /// runs as another user need not be able to open it itself.
    pub stdin: Option<&'a Path>,
    /// Secrets: each occurrence in arguments and outputs is replaced by `[redacted]` before anything is recorded or
    /// hashed. The probe gets the outputs as they are. Secrets from [`Cx::secret`] need not be named.
    pub redact: &'a [&'a str],
    /// Most bytes read of each of its outputs; a command that says more is ended. With [`Cx::command_lines`], most
    /// bytes of one line.
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
        let within = Duration::from_secs(20);
        Self { argv, env: &[], cwd: None, stdin: None, redact: &[], most: 1 << 20, within, version: &[] }
    }

    /// Runs it without writing anything down: for commands that give secrets, which belong in no record.
    ///
    /// # Errors
    /// As [`Cx::command`].
    pub async fn run_for_secret(&self) -> Result<Output, Failure> {
        let (path, arguments) = self.settle()?;
        let launch = Launch { path: &path, arguments, env: self.env, cwd: self.cwd, stdin: self.stdin, mark: None };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let bound = |into| bounded(into, self.most, &path);
        let exit = launch.run(self.within, &mut bound(&mut stdout), &mut bound(&mut stderr)).await?;
        Ok(Output { exit, stdout, stderr, version: None })
    }

    /// Program and arguments.
    pub(crate) fn settle(&self) -> Result<(PathBuf, &'a [&'a str]), Failure> {
        let (name, arguments) =
            self.argv.split_first().ok_or_else(|| Failure::new(FailureClass::Missing, "no program is named"))?;
        Ok((program::found(name)?, arguments))
    }
}

/// What a command said. Its exit code is not evidence; its parsed output is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit code; `None` where a signal ended it.
    pub exit: Option<i32>,
    /// Standard output; empty from [`Cx::command_lines`].
    pub stdout: Vec<u8>,
    /// Standard error; from [`Cx::command_lines`] its first [`Command::most`] bytes.
    pub stderr: Vec<u8>,
    /// What the program says of itself, where [`Command::version`] asked.
    pub version: Option<String>,
}

impl Cx {
    /// Where a program is, or `None`.
    #[must_use]
    pub fn which(&self, program: &str) -> Option<PathBuf> {
        program::which(program)
    }

    /// Whether the command line allows commands that the inventory brings (`cmd:` secrets, drills).
    #[must_use]
    pub fn allow_commands(&self) -> bool {
        self.budget.limits().allow_commands
    }

    /// Runs a command and records it, also where it fails or hangs.
    ///
    /// # Errors
    /// Where the program is missing, can't be started, takes too long or says too much.
    pub async fn command(&self, command: Command<'_>) -> Result<Output, Failure> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (path, arguments) = command.settle()?;
        let bound = |into| bounded(into, command.most, &path);
        let (exit, version) =
            self.record(&command, &path, arguments, &mut bound(&mut stdout), &mut bound(&mut stderr)).await?;
        Ok(Output { exit, stdout, stderr, version })
    }

    /// Runs a command whose output may be hundreds of megabytes, and records it like [`Cx::command`]. `each` gets its
    /// standard output line by line, without the newlines; an error from it ends the command. Of standard error the
    /// first [`Command::most`] bytes are kept, and all of it is hashed.
    ///
    /// # Errors
    /// As [`Cx::command`]; what `each` says; and a line longer than [`Command::most`].
    pub async fn command_lines(
        &self,
        command: Command<'_>,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure> + Send,
    ) -> Result<Output, Failure> {
        let (path, arguments) = command.settle()?;
        let most = command.most;
        let mut line = Vec::new();
        let mut split = |piece: &[u8]| {
            let mut rest = piece;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (head, tail) = rest.split_at(end);
                if line.is_empty() {
                    fits(head.len(), most, &path)?;
                    each(head)?;
                } else {
                    line.extend_from_slice(head);
                    fits(line.len(), most, &path)?;
                    each(&line)?;
                    line.clear();
                }
                rest = tail.get(1..).unwrap_or_default();
            }
            line.extend_from_slice(rest);
            fits(line.len(), most, &path)
        };
        let mut stderr = Vec::new();
        let mut keep = |piece: &[u8]| {
            let free = most.saturating_sub(stderr.len()).min(piece.len());
            stderr.extend_from_slice(piece.get(..free).unwrap_or_default());
            Ok(())
        };
        let (exit, version) = self.record(&command, &path, arguments, &mut split, &mut keep).await?;
        if !line.is_empty() {
            each(&line)?;
        }
        Ok(Output { exit, stdout: Vec::new(), stderr, version })
    }

    async fn record(
        &self,
        command: &Command<'_>,
        path: &Path,
        arguments: &[&str],
        out: &mut (dyn FnMut(&[u8]) -> Result<(), Failure> + Send),
        err: &mut (dyn FnMut(&[u8]) -> Result<(), Failure> + Send),
    ) -> Result<(Option<i32>, Option<String>), Failure> {
        let mut secrets = self.recorder.secrets();
        command.redact.iter().for_each(|secret| secrets.add(secret));
        let mut note = Note::new(Arc::clone(&self.recorder), command.argv, path, secrets);
        note.record.program = program::digest(path).await;
        let within = command.within.min(self.remaining());
        let version = self.version(command, path, within, note.secrets.clone());
        let Command { env, cwd, stdin, .. } = *command;
        let launch = Launch { path, arguments, env, cwd, stdin, mark: self.mark() };
        let Note { stdout, stderr, .. } = &mut note;
        let (mut out, mut err) = (
            |piece: &[u8]| {
                stdout.update(piece);
                out(piece)
            },
            |piece: &[u8]| {
                stderr.update(piece);
                err(piece)
            },
        );
        let (exit, version) = futures::join!(launch.run(within, &mut out, &mut err), version);
        note.record.version = version;
        note.record.exit = exit.as_ref().ok().copied().flatten();
        let version = note.record.version.clone();
        exit.map(|exit| (exit, version)).map_err(|failure| {
            let class = if self.stop.is_stopped() { FailureClass::Interrupted } else { failure.class };
            // The path of a tool, and what a sink says, may hold a secret.
            Failure::new(class, note.secrets.out_of(&failure.message))
        })
    }

    /// What the program says of itself, asked once by a run, beside the first command.
    async fn version(&self, command: &Command<'_>, path: &Path, within: Duration, secrets: Secrets) -> Option<String> {
        if command.version.is_empty() {
            return None;
        }
        let ask = async || {
            let argv: Vec<&str> = command.argv.iter().take(1).chain(command.version).copied().collect();
            let asked = Command { most: 4096, within: within.min(Duration::from_secs(5)), ..Command::new(&argv) };
            let version = asked.run_for_secret().await.ok().and_then(first_line);
            version.map(|line| secrets.out_of(&line))
        };
        self.recorder.version(path).get_or_init(ask).await.clone()
    }
}

/// The record of a command. It is written when this goes away, so that a command whose probe is cut off is in it too.
pub(crate) struct Note {
    recorder: Arc<Recorder>,
    pub(crate) record: CommandRecord,
    secrets: Secrets,
    stdout: Hasher,
    stderr: Hasher,
}

impl Note {
    pub(crate) fn new(recorder: Arc<Recorder>, argv: &[&str], path: &Path, secrets: Secrets) -> Self {
        let nothing = Digest::of(b"");
        let record = CommandRecord {
            argv: argv.iter().map(|word| secrets.out_of(word)).collect(),
            path: secrets.out_of(&path.display().to_string()),
            version: None,
            program: None,
            exit: None,
            stdout: nothing,
            stderr: nothing,
        };
        let hasher = || Hasher::new(secrets.clone());
        Self { recorder, record, stdout: hasher(), stderr: hasher(), secrets }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.record.stdout = self.stdout.finish();
        self.record.stderr = self.stderr.finish();
        self.recorder.command(self.record.clone());
    }
}

/// Collects an output up to a bound.
fn bounded<'a>(
    into: &'a mut Vec<u8>,
    most: usize,
    path: &'a Path,
) -> impl FnMut(&[u8]) -> Result<(), Failure> + Send + 'a {
    move |piece| {
        if piece.len() > most.saturating_sub(into.len()) {
            let message = format!("{}: said more than {most} bytes", path.display());
            return Err(Failure::new(FailureClass::Unreadable, message));
        }
        into.extend_from_slice(piece);
        Ok(())
    }
}

fn fits(length: usize, most: usize, path: &Path) -> Result<(), Failure> {
    if length <= most {
        return Ok(());
    }
    let message = format!("{}: said a line longer than {most} bytes", path.display());
    Err(Failure::new(FailureClass::Unreadable, message))
}

/// The first line that a program says of itself, on either output.
fn first_line(output: Output) -> Option<String> {
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).lines().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned)
}
