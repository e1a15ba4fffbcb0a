//! The probe finds what a brute-force scan finds: one connection per suite and version, one per group.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use check_tls::facts::VersionName;
use check_tls::hello::{Extension, Hello};
use check_tls::registry::{GROUPS, SCHEMES, in_version, suite_name, suites};
use check_tls::reply::{Reader, Until};
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::lab::{self, Error, Seen};

/// A hello for one suite and these groups, written here from the standards and not by the engine.
fn hello(version: VersionName, suites: &[u16], groups: &[u16]) -> Hello {
    let mut hello = Hello::bare(version, suites);
    if version == VersionName::Ssl3 {
        return hello;
    }
    hello.extensions = vec![
        Extension::ServerName("localhost".into()),
        Extension::ExtendedMasterSecret,
        Extension::PointFormats,
        Extension::SignatureSchemes(SCHEMES.iter().map(|scheme| scheme.id).collect()),
    ];
    if version == VersionName::Tls13 {
        hello.session_id = vec![7; 32];
        hello.extensions.push(Extension::SupportedVersions(vec![0x0304]));
        hello.extensions.push(Extension::KeyShare(vec![]));
    }
    hello.extensions.push(Extension::Groups(groups.to_vec()));
    hello
}

/// The suite and the group that the server answers with, in that version.
async fn answer(address: SocketAddr, version: VersionName, hello: Hello) -> Option<(u16, Option<u16>)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(&hello.encode()).await.ok()?;
    let mut reader = Reader::new(Until::KeyExchange);
    let mut buffer = vec![0; 4096];
    while reader.wants() > 0 {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.ok()?.ok()?;
        if read == 0 {
            break;
        }
        reader.push(&buffer[..read]);
    }
    let reply = reader.finish();
    let said = reply.hello.filter(|said| said.version == version.wire())?;
    let group = match reply.key_exchange {
        Some(check_tls::reply::KeyExchange::Ecdhe { group, .. }) => Some(group),
        _ => said.group,
    };
    Some((said.suite, group))
}

/// What each offer of a list is answered with, sixteen at once.
async fn answers(address: SocketAddr, version: VersionName, offers: Vec<Hello>) -> Vec<Option<(u16, Option<u16>)>> {
    let asked = offers.into_iter().map(|hello| answer(address, version, hello));
    futures::stream::iter(asked).buffered(16).collect().await
}

fn id(code: u16) -> String {
    format!("{code:#06x}")
}

/// Every suite of every version, and every group, asked for by itself.
async fn must_equal(address: SocketAddr, seen: &Seen) {
    let curves: Vec<u16> = GROUPS.iter().filter(|group| !group.finite_field()).map(|group| group.id).collect();
    let groups: Vec<u16> = GROUPS.iter().map(|group| group.id).collect();
    let mut accepted_groups = BTreeSet::new();
    for version in VersionName::ALL.into_iter().skip(1) {
        let beside = if version == VersionName::Tls13 { &groups } else { &curves };
        let all: Vec<u16> = suites().iter().map(|(id, _)| *id).filter(|id| in_version(*id, version)).collect();
        let offers = all.iter().map(|suite| hello(version, &[*suite], beside)).collect();
        let truth: BTreeSet<u16> = answers(address, version, offers).await.into_iter().flatten().map(|a| a.0).collect();
        let found: BTreeSet<String> = seen.suites(version.as_str()).into_iter().collect();
        assert_eq!(found, truth.iter().map(|suite| id(*suite)).collect(), "{version:?}\n{}", seen.log());
        assert_eq!(seen.version(version.as_str())["not_proven"], serde_json::json!([]), "{version:?}");
        let outcome = if truth.is_empty() { "refused" } else { "accepted" };
        assert_eq!(seen.version(version.as_str())["outcome"], outcome, "{version:?}");
        let curved = |suite: &u16| suite_name(*suite).is_some_and(|name| name.contains("TLS_ECDH"));
        let named = |suite: &u16| version == VersionName::Tls13 || curved(suite);
        let suites: Vec<u16> = truth.into_iter().filter(named).collect();
        if version >= VersionName::Tls10 && !suites.is_empty() {
            // Beside each group those curves on which a key may be; a server may refuse an ECDSA key without its curve.
            let keys = [0x0017, 0x0018, 0x0019];
            let offers = beside.iter().map(|group| {
                let mut list = vec![*group];
                if version != VersionName::Tls13 {
                    list.extend(keys.iter().filter(|key| *key != group));
                }
                hello(version, &suites, &list)
            });
            let answered = answers(address, version, offers.collect()).await;
            accepted_groups.extend(answered.into_iter().flatten().filter_map(|(_, group)| group).map(id));
        }
    }
    let list = seen.facts["groups"].as_array().cloned().unwrap_or_default();
    let fields = |g: &&serde_json::Value| g["name"].as_str().is_some_and(|name| name.starts_with("ffdhe"));
    let accepted = list.iter().filter(|g| g["outcome"] == "accepted");
    let found: BTreeSet<String> =
        accepted.filter(|g| !fields(g)).filter_map(|g| g["id"].as_str().map(str::to_owned)).collect();
    let truth: BTreeSet<String> = accepted_groups.into_iter().filter(|id| !id.starts_with("0x01")).collect();
    assert_eq!(found, truth, "{}", seen.log());
}

async fn compare(server: &lab::Server) -> Result<Seen, Error> {
    let seen = lab::look(server.address, lab::limits()).await?;
    must_equal(server.address, &seen).await;
    Ok(seen)
}

const RSA: &str = "ssl_certificate rsa.pem; ssl_certificate_key rsa.key;";
const ECDSA: &str = "ssl_certificate ecdsa.pem; ssl_certificate_key ecdsa.key;";

/// Mozilla's "old" recommendation, version 5.
const OLD: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
    ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:\
    DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:\
    ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:\
    ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:\
    AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA:@SECLEVEL=0";

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_a_few_suites() -> Result<(), Error> {
    let few = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
               ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
    let lines = "ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:prime256v1:secp384r1;";
    for (key, most) in [(RSA, 50), (ECDSA, 50)] {
        let server = lab::nginx(&format!("{key} {lines} ssl_ciphers {few}; ssl_prefer_server_ciphers off;"))?;
        let seen = compare(&server).await?;
        assert!(seen.evidence.provenance.connections <= most, "{}", seen.sorts());
        assert!(seen.facts["round_trips"].as_u64() <= Some(7), "{}\n{}", seen.sorts(), seen.log());
    }
    Ok(())
}

/// Passes connections on as from afar: a connection takes a round trip to stand, and each byte half of one to arrive.
async fn from_afar(behind: SocketAddr, round_trip: Duration) -> Result<SocketAddr, Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let pass = move |mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf| async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read) = from.read(&mut buffer).await {
            tokio::time::sleep(round_trip / 2).await;
            if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::time::sleep(round_trip).await;
                let Ok(server) = TcpStream::connect(behind).await else { return };
                let ((client, to_client), (server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(client, to_server));
                pass(server, to_client).await;
            });
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn distance_changes_no_fact() -> Result<(), Error> {
    let lines = "ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:prime256v1:secp384r1;";
    let list = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";
    let old = format!("{RSA} ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_dhparam dh.pem; ssl_ciphers {OLD};");
    for settings in [format!("{RSA} {lines} ssl_ciphers {list}; ssl_prefer_server_ciphers off;"), old] {
        let server = lab::nginx(&settings)?;
        let near = lab::look(server.address, lab::limits()).await?;
        let far = lab::look(from_afar(server.address, Duration::from_millis(50)).await?, lab::limits()).await?;
        for key in ["versions", "groups", "signature_schemes", "dhe", "behaviour", "chains"] {
            assert_eq!(without_citations(&near.facts[key]), without_citations(&far.facts[key]), "{key}");
        }
    }
    Ok(())
}

/// The value without the positions of exchanges.
fn without_citations(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            map.iter().filter(|(key, _)| *key != "seen").map(|(k, v)| (k.clone(), without_citations(v))).collect()
        }
        serde_json::Value::Array(list) => list.iter().map(without_citations).collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_nginx_by_either_order() -> Result<(), Error> {
    let lines = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_dhparam dh.pem;";
    let chacha = "ssl_conf_command Options PrioritizeChaCha;";
    for (order, more, wanted) in [("off", "", "unavailable"), ("on", "", "absent"), ("on", chacha, "present")] {
        let order = format!("ssl_prefer_server_ciphers {order}; {more}");
        let server = lab::nginx(&format!("{RSA} {lines} ssl_ciphers {OLD}; {order}"))?;
        let seen = compare(&server).await?;
        let most = 130;
        assert_eq!(seen.facts["behaviour"]["chacha_priority"]["outcome"], wanted, "{order}\n{}", seen.log());
        assert!(seen.evidence.provenance.connections <= most, "{}\n{}", seen.sorts(), seen.log());
        assert!(seen.facts["round_trips"].as_u64() <= Some(9), "{}\n{}", seen.sorts(), seen.log());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_with_everything_and_two_keys() -> Result<(), Error> {
    let lines = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_dhparam dh.pem; ssl_ciphers ALL:@SECLEVEL=0;";
    compare(&lab::nginx(&format!("{RSA} {ECDSA} {lines}"))?).await?;
    let seen = compare(&lab::nginx(&format!("{RSA} {lines}"))?).await?;
    assert!(seen.evidence.provenance.connections <= 250, "{}", seen.sorts());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_nginx_with_everything_but_primes() -> Result<(), Error> {
    let lines = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:prime256v1:secp384r1;";
    let all = "ssl_ciphers ALL:COMPLEMENTOFALL:@SECLEVEL=0; ssl_prefer_server_ciphers off;";
    let seen = compare(&lab::nginx(&format!("{RSA} {lines} {all}"))?).await?;
    assert!(seen.evidence.provenance.connections <= 150, "{}\n{}", seen.sorts(), seen.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_has() -> Result<(), Error> {
    // The list of no product, and back to front.
    let list = "AES256-SHA:ECDHE-RSA-CAMELLIA128-SHA256:DHE-RSA-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256:CAMELLIA256-SHA:\
                AES128-SHA256:ARIA128-GCM-SHA256:@SECLEVEL=0";
    let lines = "ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on; ssl_dhparam dh.pem; ssl_ecdh_curve secp521r1;";
    let server = lab::nginx(&format!("{RSA} {lines} ssl_ciphers {list};"))?;
    let seen = compare(&server).await?;
    let wanted = ["0x0035", "0xc076", "0x0033", "0xc02f", "0x0084", "0x003c", "0xc050"];
    assert_eq!(seen.suites("TLSv1.2"), wanted, "{}", seen.log());
    assert_eq!(seen.version("TLSv1.2")["order"], "server");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls13_with_a_list_of_its_own() -> Result<(), Error> {
    let suites = "TLS_AES_128_CCM_8_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
    let arguments =
        ["-tls1_3", "-ciphersuites", suites, "-groups", "P-521:brainpoolP256r1:X25519:ffdhe3072", "-serverpref"];
    let seen = compare(&lab::s_server(&arguments)?).await?;
    assert_eq!(seen.suites("TLSv1.3"), ["0x1305", "0x1303", "0x1301"], "{}", seen.log());
    Ok(())
}
