//! `openssl s_server` with any settings, and what `openssl` says a cipher list means.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::authority::Identity;
use crate::process::{Server, program};

/// A running `openssl s_server`.
#[derive(Debug)]
pub struct OpensslServer {
    server: Server,
    _folder: TempDir,
}

impl OpensslServer {
    /// Starts it with an identity and more arguments (`-tls1_2`, `-cipher`, …).
    ///
    /// # Errors
    /// When `openssl` is missing or does not take the arguments.
    pub fn start(identity: &Identity, arguments: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let program = program("openssl")?;
        let server = Server::start(&folder.path().join("log"), |port| {
            let mut command = Command::new(&program);
            command.args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}")]);
            command.arg("-cert").arg(&identity.certificate).arg("-key").arg(&identity.key);
            command.arg("-cert_chain").arg(&identity.issuer).args(arguments).current_dir(folder.path());
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

/// Runs `openssl` and returns its standard output and error together, whatever its exit code.
///
/// # Errors
/// When it is missing.
pub fn openssl(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program("openssl")?);
    let output = command.args(arguments).stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The versions of TLS that a server takes from `openssl s_client` under a name, oldest first, `TLSv1.0` to `TLSv1.3`.
///
/// # Errors
/// When `openssl` is missing, or the server takes none.
pub fn accepted_versions(address: std::net::SocketAddr, name: &str) -> Result<Vec<String>> {
    let mut accepted = Vec::new();
    for (option, version) in
        [("-tls1", "TLSv1.0"), ("-tls1_1", "TLSv1.1"), ("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")]
    {
        let address = address.to_string();
        let said =
            openssl(&["s_client", "-connect", &address, "-servername", name, option, "-cipher", "ALL:@SECLEVEL=0"])?;
        if said.contains("Cipher is") && !said.contains("Cipher is (NONE)") {
            accepted.push(version.to_owned());
        }
    }
    anyhow::ensure!(!accepted.is_empty(), "{address} takes no version of TLS under the name {name}");
    Ok(accepted)
}

/// What a cipher list means to this machine's OpenSSL for one version (`-tls1_2`) and the leaf's sort of key (`RSA`,
/// `ECDSA`): the suites' ids (`0xc02f`). Suites that need what a plain server lacks (PSK, SRP, GOST) are left out.
///
/// # Errors
/// When `openssl` does not know the list.
pub fn cipher_ids(version: &str, list: &str, key: &str) -> Result<BTreeSet<String>> {
    let text = openssl(&["ciphers", "-V", "-s", version, list])?;
    let mut ids = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, "-", _name, _version, exchange, authentication, ..] = words.as_slice() else { continue };
        let usual = ["Kx=RSA", "Kx=DH", "Kx=ECDH", "Kx=any"].contains(exchange);
        let ours = [format!("Au={key}"), "Au=None".to_owned(), "Au=any".to_owned()].iter().any(|a| a == authentication);
        if usual && ours {
            let (high, low) = id.split_once(',').context("openssl prints an id without a comma")?;
            let byte = |text: &str| u8::from_str_radix(text.trim_start_matches("0x"), 16);
            ids.insert(format!("{:#06x}", u16::from_be_bytes([byte(high)?, byte(low)?])));
        }
    }
    if ids.is_empty() {
        bail!("openssl finds nothing in the cipher list '{list}': {text}");
    }
    Ok(ids)
}
