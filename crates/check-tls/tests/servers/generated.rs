//! Damaged inputs for every parser, made from a conversation with a real server. `cargo xtask bars` gives ten million.

#[allow(clippy::cast_possible_truncation, clippy::panic, reason = "a test may fail")]
#[path = "../../examples/generated/inputs.rs"]
mod inputs;

use crate::lab::{self, Error};

#[tokio::test(flavor = "multi_thread")]
async fn no_damage_makes_a_parser_panic() -> Result<(), Error> {
    let server = lab::nginx(
        "ssl_certificate rsa.pem; ssl_certificate_key rsa.key; ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_ciphers DEFAULT; ssl_ecdh_curve X25519:prime256v1;",
    )?;
    let seen = lab::look(server.address, lab::limits()).await?;
    let seeds = inputs::Seeds::of(seen.exchanges)?;
    assert!(seeds.complete());
    let counts = inputs::run(&seeds, 0, 20_000);
    assert_eq!(counts.len(), 6, "{counts:?}");
    Ok(())
}
