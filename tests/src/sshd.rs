//! SSH servers with the settings of a test: OpenSSH's and Dropbear.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::process::{Server, program};

/// A running `sshd`.
#[derive(Debug)]
pub struct Sshd {
    server: Server,
    folder: TempDir,
}

impl Sshd {
    /// Starts it on 127.0.0.1 with an Ed25519 host key and more lines of `sshd_config`.
    ///
    /// # Errors
    /// When `sshd` is missing or does not take the settings.
    pub fn start(settings: &str) -> Result<Self> {
        Self::with_keys(&[("ed25519", "256")], settings)
    }

    /// The same with host keys of these types and bits.
    ///
    /// # Errors
    /// As [`Sshd::start`].
    pub fn with_keys(keys: &[(&str, &str)], settings: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let here = folder.path();
        let mut lines = String::new();
        for (kind, bits) in keys {
            let key = here.join(format!("host_key_{kind}"));
            say(Command::new(program("ssh-keygen")?).args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"]).arg(&key))?;
            lines += &format!("HostKey {}\n", key.display());
        }
        // Where root runs it, sshd wants its folder for privilege separation; a package makes it, a boot may not have.
        let separation = Path::new("/run/sshd");
        if !separation.exists() {
            let _ = std::fs::create_dir(separation);
        }
        let sshd = program("sshd")?;
        let server = Server::start(&here.join("log"), |port| {
            let file = here.join("sshd_config");
            let text = format!(
                "Port {port}\nListenAddress 127.0.0.1\n{lines}PidFile {}\nUsePAM no\n{settings}\n",
                here.join("pid").display()
            );
            std::fs::write(&file, text)?;
            let mut command = Command::new(&sshd);
            command.args(["-D", "-e", "-f"]).arg(file);
            Ok(command)
        })?;
        Ok(Self { server, folder })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What `ssh-keygen` says of its host keys: type and `SHA256:…`.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn fingerprints(&self) -> Result<Vec<(u32, String)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "pub") {
                let said = say(Command::new(program("ssh-keygen")?).args(["-l", "-f"]).arg(path))?;
                let mut words = said.split(' ');
                let bits = words.next().context("no bits")?.parse()?;
                found.push((bits, words.next().context("no fingerprint")?.to_owned()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Its settings file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("sshd_config")
    }
}

/// A running Dropbear.
#[derive(Debug)]
pub struct Dropbear {
    server: Server,
    _folder: TempDir,
}

impl Dropbear {
    /// Starts it on 127.0.0.1 with an Ed25519 and an RSA host key.
    ///
    /// # Errors
    /// When it is missing.
    pub fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let keys = ["ed25519", "rsa"].map(|kind| (kind, folder.path().join(kind)));
        for (kind, path) in &keys {
            say(Command::new(program("dropbearkey")?).args(["-t", kind, "-f"]).arg(path))?;
        }
        let dropbear = program("dropbear")?;
        let server = Server::start(&folder.path().join("log"), |port| {
            let mut command = Command::new(&dropbear);
            command.args(["-F", "-E", "-p", &format!("127.0.0.1:{port}")]);
            for (_, path) in &keys {
                command.arg("-r").arg(path);
            }
            command.arg("-P").arg(folder.path().join("pid"));
            Ok(command)
        })?;
        Ok(Self { server, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// What `ssh-audit -j` says of a server.
///
/// # Errors
/// When it is missing, or says nothing that is JSON.
pub fn ssh_audit(address: SocketAddr) -> Result<serde_json::Value> {
    let mut command = Command::new(program("ssh-audit")?);
    command.args(["-j", "-p", &address.port().to_string(), &address.ip().to_string()]);
    // Its exit code says what it thinks of the server.
    let output = command.output()?;
    serde_json::from_slice(&output.stdout).context("ssh-audit gives no JSON")
}

/// Runs a command, which must end well, and gives what it says.
fn say(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
