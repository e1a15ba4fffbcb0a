//! OpenSSH's server with the settings of a test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
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
        let folder = TempDir::new()?;
        let here = folder.path();
        let key = here.join("host_key");
        let made =
            Command::new(program("ssh-keygen")?).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).output()?;
        if !made.status.success() {
            bail!("ssh-keygen makes no key: {}", String::from_utf8_lossy(&made.stderr));
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
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile {}\nUsePAM no\n{settings}\n",
                key.display(),
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

    /// Its settings file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("sshd_config")
    }
}
