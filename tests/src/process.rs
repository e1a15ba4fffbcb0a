//! Servers as child processes: each on a port of its own, each killed when it is dropped.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take until it accepts connections.
const START: Duration = Duration::from_secs(15);
/// How often to start again on another port, where somebody took ours in between.
const TRIES: usize = 5;

/// A port of 127.0.0.1 that nobody listens on at this moment.
///
/// It lies below those that the system gives to connections, of which the tests that run at the same time make thousands.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let mut last = None;
    for _ in 0..100 {
        // As random as the keys of the standard library's hash tables.
        let random = RandomState::new().build_hasher().finish();
        let port = 10_000 + u16::try_from(random % 22_000)?;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(e) => last = Some(e),
        }
    }
    bail!("no port of a hundred is free: {last:?}")
}

/// Where a program is; servers are often in `sbin`, which is not in everyone's `PATH`.
///
/// # Errors
/// When it is not installed.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("{name} is not installed; `cargo xtask test` installs what the tests need"))
}

/// Runs a program to its end: whether it ended with 0, and its output and errors in one text.
///
/// # Errors
/// When it is not installed.
pub fn tool(name: &str, arguments: &[&str]) -> Result<(bool, String)> {
    let done = Command::new(program(name)?).args(arguments).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    Ok((done.status.success(), text))
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    ///
    /// `make` gets the port to listen on and writes the settings; its standard output and error go to `log`.
    ///
    /// # Errors
    /// When the server ends at once, several times, or does not listen in time. The message holds its log.
    pub(crate) fn start(log: &Path, make: impl Fn(u16) -> Result<Command>) -> Result<Self> {
        for _ in 0..TRIES {
            let port = free_port()?;
            let mut command = make(port)?;
            let file = std::fs::File::create(log)?;
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
            let name = command.get_program().to_string_lossy().into_owned();
            let child = command.spawn().with_context(|| format!("{name} can't be started"))?;
            let mut server = Self { child, port };
            if server.listens(&name, log)? {
                return Ok(server);
            }
        }
        bail!("the server ended at once {TRIES} times:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// Starts a program on a configuration of the test: `write` gets the port and writes it; `{port}` stands for the port in
    /// the arguments as well.
    ///
    /// # Errors
    /// When it is not installed, ends at once, several times, or does not listen in time. The message holds its log.
    pub fn configured(name: &str, log: &Path, arguments: &[&str], write: impl Fn(u16) -> Result<()>) -> Result<Self> {
        let path = program(name)?;
        Self::start(log, |port| {
            write(port)?;
            let mut command = Command::new(&path);
            command.args(arguments.iter().map(|argument| argument.replace("{port}", &port.to_string())));
            Ok(command)
        })
    }

    /// True once it accepts connections; false where it ended instead.
    fn listens(&mut self, name: &str, log: &Path) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < START {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            if TcpStream::connect(self.address()).is_ok() {
                // Somebody else may hold the port: ours would have ended by now or very soon.
                sleep(Duration::from_millis(20));
                return Ok(self.child.try_wait()?.is_none());
            }
            sleep(Duration::from_millis(10));
        }
        bail!("{name} does not listen:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is fine too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
