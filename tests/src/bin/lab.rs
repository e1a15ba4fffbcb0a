//! Servers of the lab by name, for measurements and for trying things by hand: `cargo xtask lab NAME…`.
//!
//! Prints `NAME ADDRESS` for each, or `NAME REPOSITORY PASSWORD-FILE`, and ends them when its standard input ends.
//! `--truth NAME` prints what a server accepts, as its configuration says, in JSON.
//! `NAME@MILLISECONDS` is a server behind a relay that is as far away as a round trip of that time. Each line on standard
//! input prints `NAME CONNECTIONS AT-ONCE SENT RECEIVED` for each relay: what went through it since it started.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    Authority, Behaviour, Hostile, Identity, Key, Leaf, Nginx, NginxTls, OpensslServer, Relay, RelayCounts, Restic,
    Sshd, Stunnel, cipher_ids,
};

/// What can be started.
const NAMES: [&str; 16] = [
    "nginx-intermediate",
    "nginx-intermediate-everywhere",
    "nginx-legacy",
    "nginx-old",
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

/// Every suite that OpenSSL has, weak and anonymous ones too.
const EVERYTHING: &str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
/// What OpenSSL accepts of TLS 1.3, unless it is told otherwise.
const TLS13: [&str; 3] = ["0x1301", "0x1302", "0x1303"];

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
        "nginx-old" => {
            let protocols = "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3";
            nginx(Nginx::start(&NginxTls { protocols, ciphers: EVERYTHING, ..intermediate }, &[identity])?)
        }
        "openssl-everything" => {
            let server = OpensslServer::start(identity, &["-cipher", EVERYTHING])?;
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

/// What a server with an RSA key accepts, as its configuration says.
fn truth(name: &str) -> Result<Value> {
    let curves = ["x25519", "secp256r1", "secp384r1"];
    // Without a file of Diffie-Hellman parameters nginx accepts no DHE; `s_server` has parameters of its own.
    let of = |version: &str, dhe: bool| -> Result<Vec<String>> {
        let list = if dhe { EVERYTHING.to_owned() } else { EVERYTHING.replace(":@", ":!DHE:!ADH:@") };
        Ok(cipher_ids(version, &list, "RSA")?.into_iter().collect())
    };
    let old = |dhe: bool| -> Result<Value> {
        Ok(json!({ "TLSv1.0": of("-tls1", dhe)?, "TLSv1.1": of("-tls1_1", dhe)?, "TLSv1.2": of("-tls1_2", dhe)?,
            "TLSv1.3": TLS13 }))
    };
    Ok(match name {
        "nginx-intermediate" | "nginx-intermediate-everywhere" => {
            json!({ "versions": { "TLSv1.2": ["0xc02f", "0xc030", "0xcca8"], "TLSv1.3": TLS13 }, "groups": curves })
        }
        "nginx-old" => json!({ "versions": old(false)?, "groups": curves }),
        "openssl-everything" => {
            let more = ["x448", "secp521r1", "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"];
            let groups = [&curves[..], &more[..]].concat();
            json!({ "versions": old(true)?, "groups": groups })
        }
        _ => bail!("nobody wrote down what '{name}' accepts"),
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
    if let [option, name] = names.as_slice()
        && option == "--truth"
    {
        println!("{}", truth(name)?);
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
