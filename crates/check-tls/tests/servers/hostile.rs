//! Servers that lie, stall, or speak something else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use check_tls::hello::Hello;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::lab::{self, Error};

/// A server that answers the bytes of the first message with other bytes, and then closes.
async fn fake(answer: impl Fn(usize, &[u8]) -> Vec<u8> + Send + Sync + 'static) -> Result<SocketAddr, Error> {
    let answer = Arc::new(answer);
    serve(move |count, mut stream| {
        let mut buffer = vec![0; 4096];
        let answer = Arc::clone(&answer);
        async move {
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let said = answer(count, buffer.get(..read).unwrap_or_default());
            // The probe may be gone.
            let _ = stream.write_all(&said).await;
            let _ = stream.shutdown().await;
            // What the client still sends is taken, so that it sees an orderly end.
            let _ = tokio::time::timeout(Duration::from_millis(200), stream.read_to_end(&mut buffer)).await;
        }
    })
    .await
}

async fn serve<F>(handle: impl Fn(usize, TcpStream) -> F + Send + Sync + 'static) -> Result<SocketAddr, Error>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let handle = Arc::new(handle);
        let count = AtomicUsize::new(0);
        while let Ok((stream, _)) = listener.accept().await {
            let (handle, number) = (Arc::clone(&handle), count.fetch_add(1, Ordering::Relaxed));
            tokio::spawn(async move { handle(number, stream).await });
        }
    });
    Ok(address)
}

fn record(kind: u8, version: u16, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(version.to_be_bytes());
    out.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(body);
    out
}

fn alert(code: u8) -> Vec<u8> {
    record(21, 0x0303, &[2, code])
}

fn server_hello(version: u16, suite: u16) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(suite.to_be_bytes());
    body.push(0);
    let mut message = vec![2, 0, 0, u8::try_from(body.len()).unwrap_or(0)];
    message.extend(body);
    record(22, version, &message)
}

/// What a server of one old version with a list of suites answers; `None` to anything but a hello.
fn old_server(version: u16, suites: &[u16], hello: &[u8]) -> Option<Vec<u8>> {
    let hello = Hello::parse(hello)?;
    if hello.client_version < version || hello.has(43) && !hello.versions().contains(&version) {
        return Some(alert(70));
    }
    let chosen = suites.iter().find(|id| hello.suites.contains(id));
    Some(chosen.map_or_else(|| alert(40), |id| server_hello(version, *id)))
}

fn quick() -> probe::Limits {
    probe::Limits { patience: Duration::from_millis(300), deadline: Duration::from_secs(20), ..lab::limits() }
}

async fn failure(address: SocketAddr) -> Result<(model::FailureClass, String), Error> {
    let seen = lab::look(address, quick()).await?;
    let failure = seen.evidence.failure.ok_or_else(|| format!("facts: {}", seen.facts))?;
    assert!(failure.message.starts_with(&address.to_string()), "{}", failure.message);
    Ok((failure.class, failure.message))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ancient_server() -> Result<(), Error> {
    let suites = [0x0005, 0x000a, 0x0003];
    let address = fake(move |_, hello| {
        old_server(0x0300, &suites, hello).unwrap_or_else(|| {
            // SERVER-HELLO: no session id hit, an X.509 certificate of four bytes, two kinds, a connection id.
            let body = [4, 0, 1, 0, 2, 0, 4, 0, 6, 0, 2, 1, 2, 3, 4, 1, 0, 0x80, 7, 0, 0xc0, 9, 9];
            [&[0x80, u8::try_from(body.len()).unwrap_or(0)][..], &body].concat()
        })
    })
    .await?;
    let seen = lab::look(address, quick()).await?;
    assert_eq!(
        seen.outcomes(),
        [
            "SSLv2 accepted",
            "SSLv3 accepted",
            "TLSv1.0 refused",
            "TLSv1.1 refused",
            "TLSv1.2 refused",
            "TLSv1.3 refused"
        ],
        "{}",
        seen.log()
    );
    assert_eq!(seen.suites("SSLv2"), ["0x010080", "0x0700c0"]);
    assert_eq!(seen.suites("SSLv3"), ["0x0005", "0x000a", "0x0003"], "{}", seen.log());
    assert_eq!(seen.version("SSLv3")["order"], "server");
    assert_eq!(seen.version("SSLv3")["not_proven"], serde_json::json!([]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_ssl2_alone() -> Result<(), Error> {
    let body = [4, 0, 1, 0, 2, 0, 4, 0, 3, 0, 2, 1, 2, 3, 4, 1, 0, 0x80, 9, 9];
    let answer = [&[0x80, u8::try_from(body.len()).unwrap_or(0)][..], &body].concat();
    let address = fake(move |_, hello| if hello.first() == Some(&22) { vec![] } else { answer.clone() }).await?;
    let seen = lab::look(address, quick()).await?;
    assert_eq!(seen.suites("SSLv2"), ["0x010080"], "{}", seen.log());
    assert_eq!(seen.version("TLSv1.2")["outcome"], "not_proven");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_resets_what_it_does_not_want() -> Result<(), Error> {
    // No alerts at all: the connection ends, as behind some load balancers.
    let address = fake(|_, hello| {
        let answer = old_server(0x0303, &[0xc02f, 0x009c], hello).unwrap_or_default();
        if answer.first() == Some(&21) { vec![] } else { answer }
    })
    .await?;
    let seen = lab::look(address, quick()).await?;
    assert_eq!(seen.outcomes()[2..], ["TLSv1.0 refused", "TLSv1.1 refused", "TLSv1.2 accepted", "TLSv1.3 refused"]);
    assert_eq!(seen.version("TLSv1.2")["not_proven"], serde_json::json!([]), "{}", seen.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_suite_beside_silence_proves_nothing_of_the_rest() -> Result<(), Error> {
    let address = serve(|_, mut stream| async move {
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        let answer = old_server(0x0303, &[0xc02f], buffer.get(..read).unwrap_or_default()).unwrap_or_default();
        if answer.first() == Some(&22) {
            let _ = stream.write_all(&answer).await;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await?;
    let seen = lab::look(address, quick()).await?;
    let outcomes = seen.outcomes();
    assert_eq!(outcomes[4..], ["TLSv1.2 accepted", "TLSv1.3 not_proven"], "{}", seen.log());
    assert_eq!(outcomes[2], "TLSv1.0 not_proven");
    assert_eq!(seen.suites("TLSv1.2"), ["0xc02f"]);
    assert_eq!(seen.version("TLSv1.2")["not_proven"].as_array().map(Vec::len), Some(older_suites() - 1));
    Ok(())
}

/// How many suites there are before TLS 1.3.
fn older_suites() -> usize {
    check_tls::registry::suites().iter().filter(|(id, _)| !check_tls::registry::is_tls13_suite(*id)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suite_that_was_not_offered() -> Result<(), Error> {
    let address = fake(|_, _| server_hello(0x0303, 0xc02f)).await?;
    let seen = lab::look(address, quick()).await?;
    let version = seen.version("TLSv1.2");
    assert_eq!((seen.suites("TLSv1.2"), version["outcome"].as_str()), (vec!["0xc02f".to_owned()], Some("accepted")));
    let rest = version["not_proven"].as_array().unwrap();
    assert_eq!(rest.len(), older_suites() - 1);
    assert_eq!(rest[0]["why"], "the server chose suite 0xc02f, which was not offered");
    assert_eq!(seen.version("TLSv1.3")["outcome"], "not_proven");
    assert!(seen.evidence.provenance.connections < 40, "{}", seen.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tenth_connection_is_dropped() -> Result<(), Error> {
    let server = lab::nginx(
        "ssl_certificate rsa.pem; ssl_certificate_key rsa.key; ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384; ssl_ecdh_curve X25519:prime256v1;",
    )?;
    let behind = server.address;
    let address = serve(move |count, mut stream| async move {
        if count % 10 == 9 {
            return;
        }
        if let Ok(mut upstream) = TcpStream::connect(behind).await {
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
        }
    })
    .await?;
    let flaky = lab::look(address, lab::limits()).await?;
    let direct = lab::look(behind, lab::limits()).await?;
    assert_eq!(flaky.outcomes(), direct.outcomes(), "{}", flaky.log());
    for name in ["TLSv1.2", "TLSv1.3"] {
        assert_eq!(flaky.suites(name), direct.suites(name), "{}", flaky.log());
        assert_eq!(flaky.version(name)["not_proven"], serde_json::json!([]), "{}", flaky.log());
    }
    for (list, outcome) in [("groups", "accepted"), ("groups", "refused"), ("signature_schemes", "accepted")] {
        assert_eq!(flaky.named(list, outcome), direct.named(list, outcome), "{list}\n{}", flaky.log());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_are_no_tls() -> Result<(), Error> {
    let http = fake(|_, _| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await?;
    let (class, message) = failure(http).await?;
    assert_eq!(class, model::FailureClass::Protocol);
    assert!(message.contains("HTTP"), "{message}");
    let (class, message) = failure(fake(|_, _| vec![]).await?).await?;
    assert_eq!(class, model::FailureClass::Protocol);
    assert!(message.contains("without a word"), "{message}");
    let (class, _) = failure(fake(|_, _| vec![0x5a; 3000]).await?).await?;
    assert_eq!(class, model::FailureClass::Protocol);
    let (class, _) = failure(fake(|_, hello| hello.to_vec()).await?).await?;
    assert_eq!(class, model::FailureClass::Protocol);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_and_nobody_answering() -> Result<(), Error> {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    assert_eq!(failure(closed).await?.0, model::FailureClass::Refused);
    let silent = serve(|_, stream| async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        drop(stream);
    })
    .await?;
    let (class, message) = failure(silent).await?;
    assert_eq!(class, model::FailureClass::Timeout, "{message}");
    let slow = serve(|_, mut stream| async move {
        for byte in server_hello(0x0303, 0xc02f) {
            let _ = stream.write_all(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await?;
    assert_eq!(failure(slow).await?.0, model::FailureClass::Timeout);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_ended() -> Result<(), Error> {
    let endless = |first: Vec<u8>, then: Vec<u8>| {
        serve(move |_, mut stream| {
            let (first, then) = (first.clone(), then.clone());
            async move {
                let mut go_on = stream.write_all(&first).await.is_ok();
                while go_on {
                    go_on = stream.write_all(&then).await.is_ok();
                }
            }
        })
    };
    // Warnings without end; then a certificate of 16 MB behind a proper ServerHello; then hello requests.
    let address = endless(vec![], record(21, 0x0303, &[1, 112])).await?;
    let seen = lab::look(address, quick()).await?;
    assert!(seen.outcomes().iter().all(|line| line.ends_with("not_proven")), "{:?}", seen.outcomes());
    for then in [[11, 0xff, 0xff, 0xff].repeat(1000), [0, 0, 0, 0].repeat(1000)] {
        let mut first = server_hello(0x0303, 0xc02f);
        first.extend(record(22, 0x0303, then.get(..4).unwrap_or_default()));
        let address = endless(first, record(22, 0x0303, &then)).await?;
        let seen = lab::look(address, quick()).await?;
        assert_eq!(seen.suites("TLSv1.2"), ["0xc02f"], "{}", seen.log());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_leaves_the_rest_not_proven() -> Result<(), Error> {
    let server = lab::s_server(&["-cipher", "ALL:@SECLEVEL=0"])?;
    let limits = probe::Limits { max_connections: 12, ..lab::limits() };
    let seen = lab::look(server.address, limits).await?;
    assert!(seen.evidence.provenance.connections <= 12);
    assert_eq!(seen.version("TLSv1.2")["outcome"], "accepted");
    assert!(seen.version("TLSv1.2")["not_proven"].as_array().is_some_and(|list| !list.is_empty()));
    assert_eq!(seen.version("SSLv2")["outcome"], "not_proven");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_tells_whether_it_speaks_tls() -> Result<(), Error> {
    let tls = lab::s_server(&[])?;
    let http = fake(|_, _| b"HTTP/1.0 400 Bad Request\r\n\r\n".to_vec()).await?;
    let ssh = serve(|_, mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-x\r\n").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await?;
    let silent = fake(|_, _| vec![]).await?;
    let printer = SocketAddr::from(([127, 0, 0, 1], 9100));
    for (address, outcome, spoke) in [
        (tls.address, "present", None),
        (http, "absent", Some("http")),
        (ssh, "absent", Some("ssh")),
        (silent, "not_proven", None),
        (printer, "not_proven", None),
    ] {
        let spec = serde_json::json!({ "address": address.to_string(), "process": null });
        let seen = lab::run(Arc::new(check_tls::HelloProbe), "listener", spec, quick()).await?;
        assert_eq!((seen.facts["outcome"].as_str(), seen.facts["spoke"].as_str()), (Some(outcome), spoke), "{address}");
        assert!(seen.evidence.provenance.connections <= 1);
        assert_eq!(seen.facts["why"].is_null(), outcome != "not_proven");
    }
    Ok(())
}

/// Passes a connection on, by what its first message is.
async fn front(choose: impl Fn(&[u8]) -> SocketAddr + Send + Sync + 'static) -> Result<SocketAddr, Error> {
    let choose = Arc::new(choose);
    serve(move |_, mut stream| {
        let choose = Arc::clone(&choose);
        async move {
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let first = buffer.get(..read).unwrap_or_default();
            let Ok(mut server) = TcpStream::connect(choose(first)).await else { return };
            // Either end may be gone; then the other one is closed too.
            if server.write_all(first).await.is_ok() {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_server_that_only_old_clients_meet_is_found() -> Result<(), Error> {
    let old = lab::s_server(&["-cipher", "ALL:@SECLEVEL=0"])?;
    let new = lab::s_server(&["-no_tls1", "-no_tls1_1"])?;
    let (to_old, to_new) = (old.address, new.address);
    // Clients of TLS 1.0 name that version in the hello itself and know nothing of an extended master secret (23).
    let is_old = |hello: &[u8]| hello.get(9..11) == Some(&[3, 1]) && !hello.windows(4).any(|w| w == [0, 23, 0, 0]);
    let address = front(move |hello| if is_old(hello) { to_old } else { to_new }).await?;
    let seen = lab::look(address, lab::limits()).await?;
    let version = seen.version("TLSv1.0");
    assert_eq!(version["outcome"], "accepted", "{}", seen.log());
    // What the other hellos said of the version says nothing of its suites.
    assert_ne!(version["not_proven"], serde_json::json!([]), "{}", seen.log());
    drop((old, new));
    Ok(())
}
