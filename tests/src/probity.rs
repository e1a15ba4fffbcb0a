//! The program under test, in an environment of its own.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

/// Where the program is: `PROBITY_BIN`, else it is built once.
///
/// # Errors
/// When it does not compile.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| match std::env::var_os("PROBITY_BIN") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build().map_err(|error| format!("{error:#}")),
    });
    built.clone().map_err(anyhow::Error::msg)
}

/// Builds it into the target folder that this test itself was built into (cargo's own lock keeps tests apart).
fn build() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test
        .ancestors()
        .find(|folder| folder.join("deps").is_dir() && folder.join(".fingerprint").is_dir())
        .context("this test does not run from a target folder of cargo; set PROBITY_BIN")?;
    let target = profile.parent().context("the target folder has no parent")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "probity", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let done = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    if !done.status.success() {
        bail!("probity does not compile:\n{}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(profile.join("probity"))
}

/// A folder in which the program runs, with a home and a state of its own and nothing of the caller's environment.
pub struct Probity {
    folder: TempDir,
    variables: Vec<(String, String)>,
    limit: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Probity {
    /// A new, empty folder.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        std::fs::create_dir(folder.path().join("home"))?;
        Ok(Self { folder, variables: Vec::new(), limit: Duration::from_secs(120) })
    }

    /// The folder in which it runs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long a run may take; longer is an error.
    #[must_use]
    pub const fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Writes a file into the folder and returns its path.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The command, ready to be started.
    ///
    /// # Errors
    /// When the program does not compile.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Command> {
        let mut command = Command::new(binary()?);
        let home = self.folder.path().join("home");
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", &home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_CONFIG_HOME", home.join("config"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it does not end within the limit.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
        self.finish(self.command(arguments)?.spawn()?)
    }

    /// Waits for a started command; kills it at the limit.
    ///
    /// # Errors
    /// When it does not end within the limit.
    pub fn finish(&self, mut child: Child) -> Result<Finished> {
        let start = Instant::now();
        let reader = |stream: Option<Box<dyn Read + Send>>| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(mut stream) = stream {
                    let _ = stream.read_to_end(&mut bytes);
                }
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let stdout = reader(child.stdout.take().map(|s| Box::new(s) as Box<dyn Read + Send>));
        let stderr = reader(child.stderr.take().map(|s| Box::new(s) as Box<dyn Read + Send>));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if start.elapsed() > self.limit {
                child.kill()?;
                child.wait()?;
                break None;
            }
            sleep(Duration::from_millis(10));
        };
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        let Some(status) = status else {
            bail!("probity did not end within {:?}\nstdout:\n{stdout}\nstderr:\n{stderr}", self.limit);
        };
        Ok(Finished { code: status.code(), stdout, stderr, took: start.elapsed() })
    }
}

impl Finished {
    /// The standard output as JSON.
    ///
    /// # Errors
    /// When it is something else; the message holds all of it.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("standard output is not JSON: {self}"))
    }

    /// This run, if it ended with that code and without a panic.
    ///
    /// # Errors
    /// When it ended otherwise; the message holds what it printed.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code != Some(code) {
            bail!("exit code {code} is wanted: {self}");
        }
        if self.stderr.contains("panicked at") {
            bail!("it panicked: {self}");
        }
        Ok(self)
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, took } = self;
        write!(f, "exit code {code:?} after {took:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}
