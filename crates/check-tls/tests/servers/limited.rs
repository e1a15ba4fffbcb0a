//! Servers that do not take all that one client asks of them: the facts are the same, or not proven, never others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::lab::{self, Error, Seen};

/// Of some 1,500 things that may be open: on a busy machine a few connections are lost once too often.
const MOST_OPEN: usize = 400;

/// What stands before the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// Four connections at once; more are closed at once.
    FourAtOnce,
    /// Ten new connections a second; more are reset.
    TenASecond,
    /// Alerts come ten seconds late, as from s2n.
    LateAlerts,
    /// Each fiftieth connection is dropped.
    Drops,
}

async fn before(behind: SocketAddr, front: Front) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let open = Arc::new(AtomicUsize::new(0));
        let (mut count, mut tokens, mut filled) = (0, 10.0_f64, Instant::now());
        while let Ok((stream, _)) = listener.accept().await {
            count += 1;
            tokens = (tokens + filled.elapsed().as_secs_f64() * 10.0).min(10.0);
            filled = Instant::now();
            let refused = match front {
                Front::FourAtOnce => open.load(Ordering::SeqCst) >= 4,
                Front::TenASecond => tokens < 1.0,
                Front::LateAlerts => false,
                Front::Drops => count % 50 == 0,
            };
            if refused {
                if front == Front::TenASecond {
                    // A reset instead of an orderly end.
                    let _ = stream.set_zero_linger();
                }
                continue;
            }
            tokens -= 1.0;
            open.fetch_add(1, Ordering::SeqCst);
            let open = Arc::clone(&open);
            tokio::spawn(async move {
                pass(stream, behind, front == Front::LateAlerts).await;
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Ok(address)
}

async fn pass(mut client: TcpStream, behind: SocketAddr, late: bool) {
    let Ok(mut server) = TcpStream::connect(behind).await else { return };
    if !late {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    let (mut hello, mut answer) = (vec![0; 4096], vec![0; 16 * 1024]);
    let Ok(read) = client.read(&mut hello).await else { return };
    if server.write_all(&hello[..read]).await.is_err() {
        return;
    }
    let read = server.read(&mut answer).await.unwrap_or(0);
    if answer.first() == Some(&21) {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    if client.write_all(&answer[..read]).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

/// Every outcome is the same or not proven, and nothing that is accepted counts as refused.
fn never_wrong(limited: &Seen, truth: &Seen) {
    let list = |seen: &Seen, key: &str| seen.facts[key].as_array().cloned().unwrap_or_default();
    for key in ["versions", "groups", "signature_schemes"] {
        for (ours, theirs) in list(limited, key).iter().zip(&list(truth, key)) {
            let outcome = &ours["outcome"];
            assert!(
                *outcome == theirs["outcome"] || *outcome == "not_proven",
                "{key}: {} is {outcome}\n{}",
                ours["name"],
                limited.log()
            );
            let ids = |of: &Value| lab::ids(of);
            let (accepted, open) = (ids(&ours["suites"]), ids(&ours["not_proven"]));
            let wanted = ids(&theirs["suites"]);
            assert!(accepted.iter().all(|id| wanted.contains(id)), "{}", limited.log());
            if *outcome == "accepted" {
                let held = |id: &String| accepted.contains(id) || open.contains(id);
                assert!(wanted.iter().all(held), "{}\n{}", ours["name"], limited.log());
            }
        }
    }
    for (name, feature) in limited.facts["behaviour"].as_object().into_iter().flatten() {
        let outcome = &feature["outcome"];
        assert!(
            *outcome == truth.facts["behaviour"][name]["outcome"] || *outcome == "not_proven",
            "{name} is {outcome}\n{}",
            limited.log()
        );
    }
}

fn open(seen: &Seen) -> usize {
    let versions = seen.facts["versions"].as_array().cloned().unwrap_or_default();
    let suites: usize = versions.iter().map(|v| v["not_proven"].as_array().map_or(0, Vec::len)).sum();
    suites + seen.named("groups", "not_proven").len() + seen.named("signature_schemes", "not_proven").len()
}

async fn look(front: Front, limits: probe::Limits) -> Result<usize, Error> {
    let server = lab::nginx(
        "ssl_certificate rsa.pem; ssl_certificate_key rsa.key; ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384; ssl_ecdh_curve X25519:prime256v1;",
    )?;
    let truth = lab::look(server.address, lab::limits()).await?;
    let limited = lab::look(before(server.address, front).await?, limits).await?;
    never_wrong(&limited, &truth);
    Ok(open(&limited))
}

#[tokio::test(flavor = "multi_thread")]
async fn four_connections_at_once_are_enough() -> Result<(), Error> {
    assert!(look(Front::FourAtOnce, lab::limits()).await? < MOST_OPEN);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_connections_a_second_are_enough() -> Result<(), Error> {
    let limits = probe::Limits { deadline: Duration::from_secs(90), ..lab::limits() };
    assert!(look(Front::TenASecond, limits).await? < MOST_OPEN);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn late_alerts_prove_nothing() -> Result<(), Error> {
    let limits = probe::Limits { patience: Duration::from_millis(500), ..lab::limits() };
    assert!(look(Front::LateAlerts, limits).await? > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_connections_are_asked_again() -> Result<(), Error> {
    assert!(look(Front::Drops, lab::limits()).await? < MOST_OPEN);
    Ok(())
}
