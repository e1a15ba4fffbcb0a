//! The lab itself: each server does what the tests that use it rely on, as OpenSSL and plain sockets see it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;
use tests::{
    Authority, Behaviour, Hostile, Identity, Key, Lab, Leaf, Nginx, NginxTls, OpensslServer, Relay, Sshd, Stunnel,
    cipher_ids, openssl, refusing_port,
};

fn identity(folder: &Path, leaf: &Leaf) -> Result<Identity> {
    Authority::new()?.issue(folder, "server", leaf)
}

/// What `openssl s_client` says of a server.
fn s_client(address: SocketAddr, more: &[&str]) -> Result<String> {
    let address = address.to_string();
    let mut arguments = vec!["s_client", "-connect", &address];
    arguments.extend(more);
    openssl(&arguments)
}

fn negotiated(address: SocketAddr, more: &[&str]) -> Result<bool> {
    let text = s_client(address, more)?;
    Ok(text.contains("Cipher is ") && !text.contains("Cipher is (NONE)"))
}

#[test]
fn nginx_serves_what_it_is_told() -> Result<()> {
    let folder = TempDir::new()?;
    let identity = identity(folder.path(), &Leaf { key: Key::Rsa(2048), ..Leaf::default() })?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&identity])?;
    for (arguments, wanted) in [
        (&["-tls1_3"][..], true),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], true),
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], false),
        (&["-tls1_1", "-cipher", "ALL@SECLEVEL=0"], false),
        (&["-tls1_3", "-groups", "P-521"], false),
    ] {
        assert_eq!(negotiated(nginx.address(), arguments)?, wanted, "{arguments:?}");
    }
    Ok(())
}

#[test]
fn openssl_serves_old_versions_and_new_ones() -> Result<()> {
    let folder = TempDir::new()?;
    let identity = identity(folder.path(), &Leaf { key: Key::Rsa(1024), ..Leaf::default() })?;
    for version in ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"] {
        let server = OpensslServer::start(&identity, &[version, "-cipher", "ALL:@SECLEVEL=0"])?;
        for asked in ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"] {
            let accepted = negotiated(server.address(), &[asked, "-cipher", "ALL:@SECLEVEL=0"])?;
            assert_eq!(accepted, asked == version, "{asked} against {version}");
        }
    }
    Ok(())
}

#[test]
fn certificates_are_as_ordered() -> Result<()> {
    let folder = TempDir::new()?;
    let authority = Authority::new()?;
    let read = |leaf: &Leaf| -> Result<String> {
        let identity = authority.issue(folder.path(), "one", leaf)?;
        let file = identity.certificate.to_string_lossy().into_owned();
        openssl(&["x509", "-noout", "-text", "-in", &file])
    };
    let day = |y| (y, 1, 1);
    let expired = read(&Leaf { key: Key::Rsa(1024), valid: [day(2019), day(2020)], ..Leaf::default() })?;
    assert!(expired.contains("Public-Key: (1024 bit)"), "{expired}");
    assert!(expired.contains("Not After : Jan  1 00:00:00 2020 GMT"), "{expired}");
    let other = read(&Leaf { key: Key::Ed25519, names: vec!["other.example".into()], ..Leaf::default() })?;
    assert!(other.contains("ED25519") && other.contains("DNS:other.example"), "{other}");
    let p384 = read(&Leaf { key: Key::P384, ..Leaf::default() })?;
    assert!(p384.contains("P-384"), "{p384}");
    let odd = read(&Leaf { common_name: "<b>\u{1b}[31m\u{202e}".into(), ..Leaf::default() })?;
    assert!(odd.contains("<b>") || odd.contains("\\3Cb>"), "{odd}");
    std::fs::write(folder.path().join("root.pem"), authority.root_pem())?;
    let chain = authority.issue(folder.path(), "whole", &Leaf::default())?;
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (root, whole) = (file("root.pem"), chain.chain.to_string_lossy().into_owned());
    let verified = openssl(&["verify", "-CAfile", &root, "-untrusted", &whole, &whole])?;
    assert!(verified.contains(": OK"), "{verified}");
    Ok(())
}

#[test]
fn responses_are_stapled_and_features_switched_off() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::Rsa(2048))?;
    for (revoked, said) in [(false, "Cert Status: good"), (true, "Cert Status: revoked")] {
        let response = lab.authority().ocsp(lab.folder(), &identity, revoked)?;
        let server = OpensslServer::start(&identity, &["-status_file", &response.to_string_lossy()])?;
        let text = s_client(server.address(), &["-status"])?;
        assert!(text.contains(said), "{text}");
    }
    let more = "ssl_conf_command Options -ExtendedMasterSecret,-EncryptThenMac;".to_owned();
    let nginx = Nginx::start(&NginxTls { more, ..NginxTls::intermediate() }, &[&identity])?;
    let text = s_client(nginx.address(), &["-tls1_2"])?;
    assert!(text.contains("Extended master secret: no"), "{text}");
    Ok(())
}

#[test]
fn stunnel_and_sshd_answer() -> Result<()> {
    let folder = TempDir::new()?;
    let identity = identity(folder.path(), &Leaf::default())?;
    let stunnel = Stunnel::start(&identity, "sslVersion = TLSv1.2")?;
    assert!(negotiated(stunnel.address(), &["-tls1_2"])?);
    assert!(!negotiated(stunnel.address(), &["-tls1_3"])?);
    let sshd = Sshd::start("PasswordAuthentication no")?;
    let mut banner = [0; 8];
    TcpStream::connect(sshd.address())?.read_exact(&mut banner)?;
    assert_eq!(&banner, b"SSH-2.0-");
    assert!(std::fs::read_to_string(sshd.config())?.contains("PasswordAuthentication no"));
    Ok(())
}

#[test]
fn a_cipher_list_is_read_as_openssl_reads_it() -> Result<()> {
    let rsa = cipher_ids("-tls1_2", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA", "RSA")?;
    let ids: Vec<&str> = rsa.iter().map(String::as_str).filter(|id| !id.starts_with("0x13")).collect();
    assert_eq!(ids, ["0x002f", "0xc02f"]);
    assert!(cipher_ids("-tls1_2", "no-such-suite", "RSA").is_err());
    Ok(())
}

/// A ClientHello of TLS 1.2 with three suites and no extension.
const HELLO: [u8; 54] = {
    let mut hello = [0_u8; 54];
    let head = [0x16, 3, 1, 0, 49, 1, 0, 0, 45, 3, 3];
    let tail = [0, 0, 6, 0xc0, 0x2f, 0x00, 0x9c, 0x00, 0x2f, 1, 0];
    let mut at = 0;
    #[allow(clippy::indexing_slicing, reason = "constant, checked by the compiler")]
    while at < 11 {
        hello[at] = head[at];
        hello[43 + at] = tail[at];
        at += 1;
    }
    hello
};

fn say_hello(server: &Hostile) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&HELLO)?;
    Ok(stream)
}

fn first(server: &Hostile, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    say_hello(server)?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn hostile_servers_are_hostile_in_their_own_way() -> Result<()> {
    assert!(TcpStream::connect(refusing_port()?).is_err());

    let closes = Hostile::start(Behaviour::ClosesAtOnce)?;
    assert_eq!(TcpStream::connect(closes.address())?.read(&mut [0; 1])?, 0);

    let silent = Hostile::start(Behaviour::Silent)?;
    let mut stream = say_hello(&silent)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    assert!(stream.read(&mut [0; 1]).is_err(), "a silent server says nothing");

    assert!(first(&Hostile::start(Behaviour::PlainHttp)?, 8)?.starts_with(b"HTTP/1.1"));
    let garbage = Hostile::start(Behaviour::Garbage)?;
    assert_eq!(first(&garbage, 64)?, first(&garbage, 64)?);
    assert_eq!(garbage.connections(), 2);

    // The suite stands after record and message heads, version, random and an empty session id.
    let chosen = |server: &Hostile| -> Result<Vec<u8>> { Ok(first(server, 46)?.split_off(44)) };
    assert_eq!(chosen(&Hostile::start(Behaviour::UnofferedSuite)?)?, [0xc0, 0x30]);
    assert_eq!(chosen(&Hostile::start(Behaviour::EndlessHandshake)?)?, [0xc0, 0x2f]);

    let huge = Hostile::start(Behaviour::HugeCertificate)?;
    let sent = std::io::copy(&mut say_hello(&huge)?.take(17 << 20), &mut std::io::sink());
    match sent {
        Ok(bytes) => bail!("the connection stays open after {bytes} bytes"),
        Err(error) => assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)),
    }

    let slow = Hostile::start(Behaviour::OneByteASecond)?;
    let start = Instant::now();
    assert_eq!(first(&slow, 3)?, [0x16, 3, 3]);
    assert!(start.elapsed() > Duration::from_millis(1900));
    Ok(())
}

#[test]
fn every_tenth_connection_is_dropped() -> Result<()> {
    let folder = TempDir::new()?;
    let identity = identity(folder.path(), &Leaf::default())?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&identity])?;
    let proxy = Hostile::start(Behaviour::DropsEveryTenth(nginx.address()))?;
    let outcomes = (0..20).map(|_| negotiated(proxy.address(), &[])).collect::<Result<Vec<bool>>>()?;
    let dropped: Vec<usize> = outcomes.iter().enumerate().filter(|(_, ok)| !**ok).map(|(at, _)| at + 1).collect();
    assert_eq!(dropped, [10, 20]);
    Ok(())
}

#[test]
fn the_old_protocols_are_spoken() -> Result<()> {
    let ssl2 = Hostile::start(Behaviour::Ssl2(vec![0x30, 0], vec![[1, 0, 0x80]]))?;
    let mut stream = TcpStream::connect(ssl2.address())?;
    stream.write_all(&[0x80, 28, 1, 0, 2, 0, 3, 0, 0, 0, 16, 1, 0, 0x80])?;
    stream.write_all(&[0; 16])?;
    let mut reply = [0; 34];
    stream.read_exact(&mut reply)?;
    assert_eq!(reply.get(..7), Some(&[0x80, 32, 4, 0, 1, 0, 2][..]));

    let ssl3 = Hostile::start(Behaviour::Ssl3(vec![0x30, 0], vec![0x002f]))?;
    assert_eq!(first(&ssl3, 7)?, [0x15, 3, 0, 0, 2, 2, 70], "a newer version is refused with an alert");
    let mut stream = TcpStream::connect(ssl3.address())?;
    let mut hello = HELLO;
    hello[10] = 0;
    stream.write_all(&hello)?;
    let mut reply = [0; 46];
    stream.read_exact(&mut reply)?;
    assert_eq!(reply.get(44..), Some(&[0x00, 0x2f][..]));
    Ok(())
}

#[test]
fn a_relay_makes_the_way_longer_and_counts() -> Result<()> {
    let folder = TempDir::new()?;
    let identity = identity(folder.path(), &Leaf { key: Key::Rsa(2048), ..Leaf::default() })?;
    let nginx = Nginx::everywhere(&NginxTls::intermediate(), &[&identity])?;
    let round_trip = Duration::from_millis(80);
    let relay = Relay::everywhere(nginx.address(), round_trip)?;
    let elsewhere = SocketAddr::from(([127, 0, 0, 7], relay.address().port()));
    for address in [relay.address(), elsewhere] {
        let start = Instant::now();
        assert!(negotiated(address, &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"])?);
        // The connection, the hellos, and the rest of the handshake. It may well take longer, never less.
        assert!(start.elapsed() >= 3 * round_trip, "{:?}", start.elapsed());
    }
    // Both are the server's own words, so bytes came back through the relay unchanged.
    assert!(!negotiated(relay.address(), &["-tls1_1", "-cipher", "ALL@SECLEVEL=0"])?);
    let counts = relay.counts();
    assert_eq!((counts.connections, counts.at_once), (3, 1));
    assert!(counts.sent > 500 && counts.received > 2000, "{counts:?}");
    Ok(())
}

#[test]
fn a_relay_passes_a_refusal_and_a_reset_on() -> Result<()> {
    let relay = Relay::start(refusing_port()?, Duration::from_millis(10))?;
    let mut stream = TcpStream::connect(relay.address())?;
    let error = stream.read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(error, Err(std::io::ErrorKind::ConnectionReset));
    let closes = Hostile::start(Behaviour::ClosesAtOnce)?;
    let relay = Relay::start(closes.address(), Duration::ZERO)?;
    let mut stream = TcpStream::connect(relay.address())?;
    assert_eq!(stream.read(&mut [0; 16])?, 0, "an end is an end");
    Ok(())
}
