//! Servers with post-quantum groups.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;

use crate::lab::{self, Error};

/// A rustls server with these groups, one thread for each connection.
fn server(groups: Vec<&'static dyn SupportedKxGroup>) -> Result<SocketAddr, Error> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let provider = CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() };
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                if let Ok(mut tls) = rustls::ServerConnection::new(config) {
                    // The client leaves when it knows enough; an alert is written by the failing call.
                    while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
                    let _ = tls.complete_io(&mut stream);
                }
            });
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_choice_depends_on_the_shares_that_come() -> Result<(), Error> {
    let seen = lab::look(server(vec![X25519MLKEM768, X25519, SECP256R1])?, lab::limits()).await?;
    assert_eq!(seen.named("groups", "accepted"), ["secp256r1", "x25519", "X25519MLKEM768"], "{}", seen.log());
    let choice = |name: &str| seen.facts["post_quantum"][name].clone();
    let both = choice("with_both_shares");
    assert_eq!((&both["group"], &both["retry"]), (&"X25519MLKEM768".into(), &false.into()), "{}", seen.log());
    let classical = choice("with_classical_share");
    assert_eq!(classical["outcome"], "present", "{}", seen.log());
    // It either takes the share that came, or asks for the better one.
    assert_eq!(classical["retry"], classical["post_quantum"], "{classical}");
    assert_eq!(choice("without_shares")["retry"], true);
    assert_eq!(seen.facts["ephemeral_reuse"]["outcome"], "absent", "{}", seen.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ml_kem_there_is_no_choice() -> Result<(), Error> {
    let seen = lab::look(server(vec![X25519, SECP256R1])?, lab::limits()).await?;
    assert_eq!(seen.named("groups", "accepted"), ["secp256r1", "x25519"], "{}", seen.log());
    assert_eq!(seen.facts["post_quantum"]["with_both_shares"]["outcome"], "unavailable");
    Ok(())
}
