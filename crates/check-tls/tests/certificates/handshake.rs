use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use check_tls::certificate::{describe, ocsp};
use check_tls::facts::VersionName::{self, Tls12, Tls13};
use check_tls::handshake::{Offer, Seen, Signatures, Unseen, full, parse};
use model::{
    Ask, Depth, Direction, Exchange, Facts, Failure, FailureClass, Kind, Level, Subject, Target, decode_exchanges,
};
use probe::{BoxFuture, Cx, Job, Limits, Plan, Probe, Stop, collect};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::made::{Made, Result, authority, leaf, leaf_params};

type Answer = std::result::Result<(u32, Seen), Unseen>;

/// Makes one offer and puts the answer aside.
struct Once {
    address: SocketAddr,
    offer: Offer,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Probe for Once {
    fn kind(&self) -> Kind {
        Kind::new("handshake", Level::Demonstrated)
    }
    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({})
    }
    fn sort(&self) -> &'static str {
        "tls"
    }
    fn plan(&self, _: &Target) -> Plan {
        Plan { connections: 1, ..Plan::default() }
    }
    fn observe<'a>(&'a self, _: &'a Target, cx: &'a Cx) -> BoxFuture<'a, std::result::Result<Facts, Failure>> {
        Box::pin(async move {
            let answer = full(cx, self.address, &self.offer).await;
            *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            Ok(Facts::new())
        })
    }
}

/// The answer to one offer, and the exchange as it was recorded.
async fn ask(address: SocketAddr, offer: Offer) -> Result<(Answer, Exchange)> {
    let answer = Arc::new(Mutex::default());
    let target = Target {
        name: "t".into(),
        of: "t".into(),
        address: address.to_string(),
        labels: Default::default(),
        discovered: false,
        subject: Subject { sort: "tls".into(), spec: serde_json::Value::Null },
    };
    let probe = Arc::new(Once { address, offer, answer: Arc::clone(&answer) });
    let limits = Limits { patience: Duration::from_secs(1), ..Limits::default() };
    let (evidence, mut collected) = tokio::sync::mpsc::channel(1);
    let (events, _events) = tokio::sync::mpsc::unbounded_channel();
    let job = Job { probe, target, ask: Ask::All, depth: Depth::Full, prior: vec![] };
    collect(vec![job], limits, Stop::default(), evidence, events).await;
    let exchanges = collected.recv().await.and_then(|c| c.exchanges).ok_or("nothing was recorded")?;
    let exchange = decode_exchanges(&exchanges)?.pop().ok_or("no exchange")?;
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or("the probe was cut off")?;
    if let Ok((index, seen)) = &answer {
        assert_eq!(*index, 0);
        assert_eq!(parse(&exchange).as_ref(), Some(seen), "what was kept is what was seen");
    } else {
        assert_eq!(parse(&exchange), None);
    }
    Ok((answer, exchange))
}

async fn seen(address: SocketAddr, offer: Offer) -> Result<Seen> {
    Ok(ask(address, offer).await?.0.map_err(|unseen| format!("{unseen:?}"))?.1)
}

fn offer(versions: &[VersionName]) -> Offer {
    Offer {
        sni: Some("www.example.org".into()),
        versions: versions.to_vec(),
        alpn: vec![],
        signatures: Signatures::Any,
        starttls: None,
        manner: Default::default(),
        to_the_end: false,
    }
}

/// Serves TLS as configured, for as many connections as come.
async fn serve(config: ServerConfig) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let config = Arc::new(config);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let config = Arc::clone(&config);
            tokio::spawn(async move {
                let _ = accept(stream, config).await;
            });
        }
    });
    Ok(address)
}

async fn accept(mut stream: TcpStream, config: Arc<ServerConfig>) -> Result {
    let mut tls = ServerConnection::new(config)?;
    loop {
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out)?;
        }
        stream.write_all(&out).await?;
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let mut bytes = buffer.get(..read).unwrap_or_default();
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            if tls.process_new_packets().is_err() {
                let mut alert = Vec::new();
                tls.write_tls(&mut alert)?;
                stream.write_all(&alert).await?;
                return Ok(());
            }
        }
    }
}

fn certified(chain: &[&Made], stapled: Option<Vec<u8>>) -> Result<Arc<CertifiedKey>> {
    let key = PrivatePkcs8KeyDer::from(chain.first().ok_or("no leaf")?.key.serialize_der());
    let key = aws_lc_rs::sign::any_supported_type(&key.into())?;
    let certificates = chain.iter().map(|made| CertificateDer::from(made.der.clone())).collect();
    Ok(Arc::new(CertifiedKey { ocsp: stapled, ..CertifiedKey::new(certificates, key) }))
}

/// Takes the first certificate whose key can sign in a scheme offered.
#[derive(Debug)]
struct Choice(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|one| one.key.choose_scheme(hello.signature_schemes()).is_some()).cloned()
    }
}

fn config(choice: Vec<Arc<CertifiedKey>>) -> Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Choice(choice))))
}

#[tokio::test]
async fn the_chain_is_seen_in_each_version() -> Result {
    let root = authority("Root", None)?;
    let middle = authority("Middle", Some(&root))?;
    let server = [&leaf(&middle)?, &middle];
    let mut config = config(vec![certified(&server, Some(b"no real response".to_vec()))?])?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address = serve(config).await?;
    for (versions, version) in [(&[Tls12][..], Tls12), (&[Tls13], Tls13), (&[Tls12, Tls13], Tls13)] {
        let (answer, exchange) =
            ask(address, Offer { alpn: vec!["h2".into(), "http/1.1".into()], ..offer(versions) }).await?;
        let (_, seen) = answer.map_err(|unseen| format!("{unseen:?}"))?;
        assert_eq!(seen.version, Some(version));
        assert_eq!(seen.chain, [server[0].der.clone(), middle.der.clone()]);
        assert_eq!(seen.ocsp, b"no real response");
        assert_eq!(seen.alpn.as_deref(), Some("http/1.1"));
        assert_eq!((seen.group, seen.signature_scheme), (Some(0x001d), Some(0x0403)));
        assert_eq!(
            (seen.signature_verified, seen.completed, seen.client_certificate_requested),
            (Some(true), true, false)
        );
        assert!(seen.suite.is_some());
        // The hellos are kept as they were; nothing encrypted is.
        let sent = exchange.bytes(Direction::Sent);
        assert_eq!((sent[0], sent[5], sent.len()), (22, 1, 5 + usize::from(sent[3]) * 256 + usize::from(sent[4])));
        assert_eq!(exchange.bytes(Direction::Received)[0], 2);
        assert!(!exchange.cut);
    }
    let seen = seen(address, Offer { sni: None, ..offer(&[Tls13]) }).await?;
    assert_eq!((seen.alpn, seen.chain.len()), (None, 2));
    Ok(())
}

#[tokio::test]
async fn a_server_with_several_certificates_shows_each() -> Result {
    let root = authority("Root", None)?;
    let make =
        |algorithm| -> Result<Made> { Made::new(leaf_params()?, KeyPair::generate_for(algorithm)?, Some(&root)) };
    let (rsa, ec, ed) = (make(&PKCS_RSA_SHA256)?, make(&PKCS_ECDSA_P384_SHA384)?, make(&PKCS_ED25519)?);
    let address =
        serve(config(vec![certified(&[&rsa], None)?, certified(&[&ec], None)?, certified(&[&ed], None)?])?).await?;
    for version in [Tls12, Tls13] {
        for (signatures, made, scheme) in [
            (Signatures::RsaPss, &rsa, &[0x0804, 0x0805, 0x0806][..]),
            (Signatures::Rsa, &rsa, &[0x0804, 0x0805, 0x0806, 0x0601, 0x0501, 0x0401]),
            (Signatures::Ecdsa, &ec, &[0x0503]),
            (Signatures::Eddsa, &ed, &[0x0807]),
        ] {
            let seen = seen(address, Offer { signatures, ..offer(&[version]) }).await?;
            assert_eq!(seen.chain, std::slice::from_ref(&made.der), "{signatures:?}");
            assert!(seen.signature_scheme.is_some_and(|code| scheme.contains(&code)), "{:?}", seen.signature_scheme);
            assert_eq!(seen.signature_verified, Some(true));
        }
    }
    let (answer, exchange) = ask(address, Offer { signatures: Signatures::MlDsa, ..offer(&[Tls13]) }).await?;
    let unseen = answer.err().ok_or("refused")?;
    assert_eq!((unseen.index, unseen.failure.class), (Some(0), FailureClass::Refused));
    assert!(unseen.alert.is_some());
    assert_eq!(exchange.bytes(Direction::Received)[0], 21);
    Ok(())
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_shows_its_own() -> Result {
    let root = authority("Root", None)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.der.clone()))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let server = leaf(&root)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Choice(vec![certified(&[&server], None)?])));
    let address = serve(config).await?;
    for (version, completed) in [(Tls12, false), (Tls13, true)] {
        let seen = seen(address, offer(&[version])).await?;
        assert_eq!(seen.chain, std::slice::from_ref(&server.der));
        assert_eq!((seen.version, seen.completed), (Some(version), completed));
        assert_eq!((seen.client_certificate_requested, seen.signature_verified), (true, Some(true)));
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_noticed() -> Result {
    let root = authority("Root", None)?;
    let (mut shown, other) = (leaf(&root)?, leaf(&root)?);
    shown.key = other.key;
    let address = serve(config(vec![certified(&[&shown], None)?])?).await?;
    for version in [Tls12, Tls13] {
        assert_eq!(seen(address, offer(&[version])).await?.signature_verified, Some(false));
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_nobody_can_parse_is_seen() -> Result {
    let root = authority("Root", None)?;
    let mut shown = leaf(&root)?;
    shown.der = b"\x30\x03\x02\x01\x00".to_vec();
    let address = serve(config(vec![certified(&[&shown], None)?])?).await?;
    let seen = seen(address, offer(&[Tls13])).await?;
    assert_eq!((seen.signature_verified, describe(&seen.chain).len()), (None, 1));
    assert!(ocsp(&seen.ocsp, &seen.chain).status.is_none());
    Ok(())
}

#[tokio::test]
async fn a_server_with_other_groups_is_asked_again() -> Result {
    let server = leaf(&authority("Root", None)?)?;
    for (group, code, versions, hellos) in [
        (aws_lc_rs::kx_group::SECP384R1, 0x0018, [Tls13], 2),
        (aws_lc_rs::kx_group::X25519MLKEM768, 0x11ec, [Tls13], 2),
        (aws_lc_rs::kx_group::SECP384R1, 0x0018, [Tls12], 1),
    ] {
        let provider = CryptoProvider { kx_groups: vec![group], ..aws_lc_rs::default_provider() };
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Choice(vec![certified(&[&server], None)?])));
        let (answer, exchange) = ask(serve(config).await?, offer(&versions)).await?;
        let (_, seen) = answer.map_err(|unseen| format!("{unseen:?}"))?;
        assert_eq!((seen.group, seen.completed), (Some(code), true));
        let sent = exchange.bytes(Direction::Sent);
        assert_eq!(sent.windows(15).filter(|window| window == b"www.example.org").count(), hellos);
    }
    Ok(())
}

/// Answers every connection with the same bytes, again and again where asked, and stays.
async fn rude(answer: Vec<u8>, every: Option<Duration>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                while stream.write_all(&answer).await.is_ok() {
                    tokio::time::sleep(every.unwrap_or(Duration::from_secs(60))).await;
                }
            });
        }
    });
    Ok(address)
}

#[tokio::test]
async fn what_is_no_tls_ends_soon_and_small() -> Result {
    let class = |answer: Answer| answer.err().map(|unseen| unseen.failure.class);
    let http = rude(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), None).await?;
    let (answer, exchange) = ask(http, offer(&[Tls12, Tls13])).await?;
    assert_eq!(class(answer), Some(FailureClass::Protocol));
    assert!(exchange.bytes(Direction::Received).starts_with(b"HTTP/1.1"));

    let silent = rude(vec![], None).await?;
    assert_eq!(class(ask(silent, offer(&[Tls13])).await?.0), Some(FailureClass::Timeout));

    // One byte of a record at a time.
    let slow = rude(vec![22], Some(Duration::from_millis(300))).await?;
    let began = Instant::now();
    assert!(class(ask(slow, offer(&[Tls13])).await?.0).is_some());
    assert!(began.elapsed() < Duration::from_secs(60));

    // Handshake records that belong to a Certificate message of 16 MB.
    let mut record = vec![22, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let endless = rude(record, Some(Duration::ZERO)).await?;
    assert_eq!(class(ask(endless, offer(&[Tls12])).await?.0), Some(FailureClass::Protocol));

    // Empty records, which no handshake needs.
    let empty = rude([22, 3, 3, 0, 0].repeat(3000), Some(Duration::ZERO)).await?;
    assert_eq!(class(ask(empty, offer(&[Tls12])).await?.0), Some(FailureClass::Protocol));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let closed = listener.local_addr()?;
    drop(listener);
    assert_eq!(class(ask(closed, offer(&[Tls12])).await?.0), Some(FailureClass::Refused));
    Ok(())
}
