//! Proofs that one knows a password: SCRAM-SHA-256 (RFC 5802, RFC 7677) and PostgreSQL's `md5`.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

/// Most rounds of hashing that a server may ask for: half a second or so.
const MOST_ROUNDS: u32 = 1_000_000;

/// What `md5` wants: the password is hashed with the user's name, and that with the server's salt.
pub(super) fn md5(user: &str, password: &str, salt: &[u8]) -> Zeroizing<Vec<u8>> {
    let hex = |bytes: &[u8]| Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let inner = hex(&Md5::new().chain_update(password).chain_update(user).finalize());
    let outer = hex(&Md5::new().chain_update(inner.as_bytes()).chain_update(salt).finalize());
    Zeroizing::new([b"md5", outer.as_bytes(), b"\0"].concat())
}

/// A log-in by SCRAM-SHA-256, without channel binding.
///
/// The password goes in as it is: names and passwords outside of ASCII are not brought to a normal form (RFC 4013).
pub(super) struct Scram {
    nonce: String,
    first: String,
    /// What the server must sign, and its key.
    wanted: Option<Vec<u8>>,
}

impl Scram {
    /// With a nonce of this side, which is printable and without commas.
    pub(super) fn new(nonce: String) -> Self {
        // The user's name is in the startup message; PostgreSQL ignores this one.
        let first = format!("n=,r={nonce}");
        Self { nonce, first, wanted: None }
    }

    /// The first message: name of the mechanism, and what goes with it.
    pub(super) fn begin(&self) -> Vec<u8> {
        let first = format!("n,,{}", self.first);
        let length = u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes();
        [b"SCRAM-SHA-256\0", &length[..], first.as_bytes()].concat()
    }

    /// The answer to the server's challenge.
    pub(super) fn prove(&mut self, challenge: &[u8], password: &str) -> Result<Vec<u8>, &'static str> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| "its challenge is no text")?;
        let field = |name: &str| challenge.split(',').find_map(|field| field.strip_prefix(name));
        let nonce = field("r=").filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let nonce = nonce.ok_or("its challenge does not repeat the nonce")?;
        let salt = field("s=").and_then(|salt| BASE64_STANDARD.decode(salt).ok()).ok_or("its challenge has no salt")?;
        let rounds = field("i=").and_then(|rounds| rounds.parse::<u32>().ok()).filter(|rounds| *rounds <= MOST_ROUNDS);
        let rounds = rounds.and_then(NonZeroU32::new).ok_or("it asks for no number of rounds, or for too many")?;
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password.as_bytes(), &mut salted[..]);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let client = sign(&salted[..], b"Client Key");
        let stored = digest::digest(&digest::SHA256, client.as_ref());
        let without_proof = format!("c=biws,r={nonce}");
        let all = format!("{},{challenge},{without_proof}", self.first);
        let signature = sign(stored.as_ref(), all.as_bytes());
        let proof: Vec<u8> = client.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        self.wanted = Some(sign(sign(&salted[..], b"Server Key").as_ref(), all.as_bytes()).as_ref().to_vec());
        Ok(format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)).into_bytes())
    }

    /// Whether the server knows the password too.
    pub(super) fn server_knows(&self, last: &[u8]) -> bool {
        let signature = std::str::from_utf8(last).ok().and_then(|last| last.split(',').next()?.strip_prefix("v="));
        let signature = signature.and_then(|text| BASE64_STANDARD.decode(text).ok());
        signature.is_some() && signature == self.wanted
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn rfc_7677() {
        let mut scram = Scram::new("rOprNGfwEbeRWgbNEkqO".into());
        scram.first = "n=user,r=rOprNGfwEbeRWgbNEkqO".into();
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let proof = String::from_utf8(scram.prove(challenge, "pencil").unwrap()).unwrap();
        assert!(proof.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{proof}");
        assert!(scram.server_knows(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!scram.server_knows(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") && !scram.server_knows(b""));
    }

    #[test]
    fn a_server_may_not_ask_for_endless_work() {
        let ask = |rounds: &str| Scram::new("abc".into()).prove(format!("r=abcd,s=AAAA,i={rounds}").as_bytes(), "p");
        assert!(ask("1000000000").is_err() && ask("0").is_err() && ask("-1").is_err() && ask("1").is_ok());
        assert!(Scram::new("abc".into()).prove(b"r=xyz,s=AAAA,i=1", "p").is_err());
    }

    proptest! {
        #[test]
        fn no_challenge_makes_it_panic(challenge: Vec<u8>) {
            let mut scram = Scram::new("a".into());
            let _ = scram.prove(&challenge, "p");
            prop_assert!(!scram.server_knows(&challenge));
        }
    }
}
