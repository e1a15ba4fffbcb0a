//! Servers of the lab by name, for measurements and for trying things by hand: `cargo xtask lab NAME…`.
//!
//! Prints `NAME ADDRESS` for each, or `NAME REPOSITORY PASSWORD-FILE`, and ends them when its standard input ends.
//! `NAME@MILLISECONDS` is a server behind a relay that is as far away as a round trip of that time. Each line on standard
//! input prints `NAME CONNECTIONS AT-ONCE SENT RECEIVED` for each relay: what went through it since it started.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use tempfile::TempDir;
use tests::{
    Authority, Behaviour, Hostile, Identity, Key, Leaf, Nginx, NginxTls, OpensslServer, Relay, RelayCounts, Restic,
    Sshd, Stunnel,
};

/// What can be started.
const NAMES: [&str; 15] = [
    "nginx-intermediate",
    "nginx-intermediate-everywhere",
    "nginx-legacy",
    "openssl-everything",
    "stunnel",
    "sshd",
    "silent",
    "plain-http",
    "closes-at-once",
    "garbage",
    "endless-handshake",
    "huge-certificate",
    "one-byte-a-second",
    "restic-10000",
    "restic-1gb",
];

/// How many snapshots `restic-10000` has beside the first.
const SNAPSHOTS: u32 = 10_000;
/// Files of 10 MB in `restic-1gb`.
const LARGE_FILES: u32 = 100;

/// A server, or a repository, that lives as long as this.
type Alive = Box<dyn std::any::Any>;

fn start(name: &str, identity: &Identity) -> Result<(SocketAddr, Alive)> {
    let intermediate = NginxTls::intermediate();
    let hostile = |behaviour| -> Result<(SocketAddr, Alive)> {
        let server = Hostile::start(behaviour)?;
        Ok((server.address(), Box::new(server)))
    };
    let nginx = |server: Nginx| -> (SocketAddr, Alive) { (server.address(), Box::new(server)) };
    Ok(match name {
        "nginx-intermediate" => nginx(Nginx::start(&intermediate, &[identity])?),
        "nginx-intermediate-everywhere" => nginx(Nginx::everywhere(&intermediate, &[identity])?),
        "nginx-legacy" => {
            let legacy = NginxTls { protocols: "TLSv1 TLSv1.1 TLSv1.2", ciphers: "ALL:@SECLEVEL=0", ..intermediate };
            nginx(Nginx::start(&legacy, &[identity])?)
        }
        "openssl-everything" => {
            let server = OpensslServer::start(identity, &["-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"])?;
            (server.address(), Box::new(server))
        }
        "stunnel" => {
            let server = Stunnel::start(identity, "")?;
            (server.address(), Box::new(server))
        }
        "sshd" => {
            let server = Sshd::with_keys(&[("rsa", "3072"), ("ecdsa", "256"), ("ed25519", "256")], "")?;
            (server.address(), Box::new(server))
        }
        "silent" => hostile(Behaviour::Silent)?,
        "plain-http" => hostile(Behaviour::PlainHttp)?,
        "closes-at-once" => hostile(Behaviour::ClosesAtOnce)?,
        "garbage" => hostile(Behaviour::Garbage)?,
        "endless-handshake" => hostile(Behaviour::EndlessHandshake)?,
        "huge-certificate" => hostile(Behaviour::HugeCertificate)?,
        "one-byte-a-second" => hostile(Behaviour::OneByteASecond)?,
        _ => bail!("the lab has no '{name}': {}", NAMES.join(", ")),
    })
}

/// A repository: its place and the file of its password.
fn repository(name: &str) -> Result<Option<(String, Alive)>> {
    let restic = match name {
        "restic-10000" => Restic::with_snapshots(SNAPSHOTS)?,
        "restic-1gb" => Restic::large(LARGE_FILES)?,
        _ => return Ok(None),
    };
    let place = format!("{} {}", restic.repository().display(), restic.password_file().display());
    Ok(Some((place, Box::new(restic))))
}

fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        println!("{}", NAMES.join("\n"));
        return Ok(());
    }
    let folder = TempDir::new()?;
    let identity = Authority::new()?.issue(folder.path(), "lab", &Leaf { key: Key::Rsa(2048), ..Leaf::default() })?;
    let (mut servers, mut relays) = (Vec::new(), Vec::new());
    for name in &names {
        let (place, server) = match repository(name)? {
            Some(found) => found,
            None => match name.split_once('@') {
                Some((server, milliseconds)) => {
                    let (address, server) = start(server, &identity)?;
                    let relay = Relay::everywhere(address, Duration::from_millis(milliseconds.parse()?))?;
                    let address = relay.address().to_string();
                    relays.push((name, relay));
                    (address, server)
                }
                None => start(name, &identity).map(|(address, server)| (address.to_string(), server))?,
            },
        };
        println!("{name} {place}");
        servers.push(server);
    }
    for line in std::io::stdin().lines() {
        line?;
        for (name, relay) in &relays {
            let RelayCounts { connections, at_once, sent, received } = relay.counts();
            println!("{name} {connections} {at_once} {sent} {received}");
        }
    }
    drop(relays);
    drop(servers);
    Ok(())
}
