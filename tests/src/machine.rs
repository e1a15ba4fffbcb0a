//! A machine of its own for the self-check: its processes, sockets and some of its files are nobody else's.
//!
//! It is made of Linux namespaces (`unshare`), which root may always make, and others where the kernel lets them.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::probity::{Finished, Probity, binary};
use crate::process::program;

/// What is different on the machine, and what runs there.
#[derive(Debug, Default)]
pub struct Machine {
    /// Folders or files that stand in the place of the machine's own.
    mounts: Vec<(PathBuf, PathBuf)>,
    /// Servers, each with the port that it listens on.
    servers: Vec<(u16, Vec<String>)>,
}

impl Machine {
    /// A machine on which nothing runs and all files are this machine's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a folder or file of the test stand in the place of one of the machine's.
    #[must_use]
    pub fn mount(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.mounts.push((from.into(), to.into()));
        self
    }

    /// Runs a server there; it must listen on 127.0.0.1 at that port.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn server<A: AsRef<str>>(mut self, port: u16, name: &str, arguments: &[A]) -> Result<Self> {
        let program = program(name)?.to_string_lossy().into_owned();
        let words = std::iter::once(program).chain(arguments.iter().map(|word| word.as_ref().to_owned()));
        self.servers.push((port, words.collect()));
        Ok(self)
    }

    /// Runs the program there.
    ///
    /// # Errors
    /// When the machine can't be made or its servers don't listen; the message holds what was said.
    pub fn run(&self, probity: &Probity, arguments: &[&str]) -> Result<Finished> {
        let command = probity.command(arguments)?;
        let mut inside = Command::new(program("unshare")?);
        inside.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]);
        if !is_root()? {
            inside.arg("--map-root-user");
        }
        inside.args(["sh", "-c", &self.script(), "sh"]).arg(binary()?).args(arguments);
        inside.current_dir(probity.folder()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.stdin(std::process::Stdio::null());
        inside.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let finished = probity.finish(inside.spawn()?)?;
        ensure!(finished.code != Some(NOT_MADE), "the machine can't be made (is this user allowed to?): {finished}");
        Ok(finished)
    }

    /// Sets the machine up, starts the servers, waits until they listen, and becomes the program.
    fn script(&self) -> String {
        let mut script =
            format!("trap 'exit {NOT_MADE}' EXIT; set -e\nPATH=\"$PATH:/usr/sbin:/sbin\"\nip link set lo up\n");
        for (from, to) in &self.mounts {
            let _ = writeln!(script, "mount --bind {} {}", quoted(from), quoted(to));
        }
        for (_, words) in &self.servers {
            let words: Vec<String> = words.iter().map(|word| quoted(Path::new(word))).collect();
            // In a file, so that it does not hold the pipe open that the test reads from.
            let _ = writeln!(script, "{} > server.log 2>&1 < /dev/null &", words.join(" "));
        }
        for (port, _) in &self.servers {
            let _ = writeln!(
                script,
                "for i in $(seq 200); do grep -q ':{port:04X} 00000000:0000 0A' /proc/net/tcp && break; sleep 0.05; done\n\
                 grep -q ':{port:04X} 00000000:0000 0A' /proc/net/tcp || {{ cat server.log >&2; exit 1; }}"
            );
        }
        // The first process of a PID namespace takes the others with it when it ends; `exec` would do, but the program
        // should not be the first process, which the kernel shields from signals.
        script + "trap - EXIT; set +e\n\"$@\"\nexit $?\n"
    }

    /// Where a server there listens, as seen from inside.
    #[must_use]
    pub const fn address(port: u16) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }
}

/// The code with which the script ends where the machine can't be made; none of the program's own.
const NOT_MADE: i32 = 99;

fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("-u").output()?;
    Ok(id.stdout.trim_ascii() == b"0")
}

/// A word that a shell takes as it is.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}
