//! stunnel, a TLS end before a plain service.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::authority::Identity;
use crate::process::{Server, program};

/// A running `stunnel`.
#[derive(Debug)]
pub struct Stunnel {
    server: Server,
    _folder: TempDir,
}

impl Stunnel {
    /// Starts it on 127.0.0.1 with more lines for its service (`sslVersion = TLSv1.2`, …).
    ///
    /// # Errors
    /// When stunnel is missing or does not take the settings.
    pub fn start(identity: &Identity, settings: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let here = folder.path();
        let stunnel = program("stunnel4").or_else(|_| program("stunnel"))?;
        let server = Server::start(&here.join("log"), |port| {
            let file = here.join("stunnel.conf");
            let text = format!(
                "foreground = yes\nsyslog = no\npid =\ndebug = warning\n[lab]\naccept = 127.0.0.1:{port}\n\
                 connect = 127.0.0.1:9\ncert = {}\nkey = {}\n{settings}\n",
                identity.chain.display(),
                identity.key.display()
            );
            std::fs::write(&file, text)?;
            let mut command = Command::new(&stunnel);
            command.arg(file);
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
