//! Keys as OpenSSL and others write them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use std::process::Command;

use attest::{Algorithm, KeyError, PublicKey, SigningKey};
use proptest::prelude::*;

/// Runs `openssl` and gives what it printed; it must succeed.
fn openssl(words: &[&str]) -> String {
    let output = Command::new("openssl").args(words).output().unwrap();
    assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn new_keys_survive_their_pem_and_differ() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
        let (key, other) = (SigningKey::generate(algorithm).unwrap(), SigningKey::generate(algorithm).unwrap());
        assert_ne!(key.public(), other.public());
        assert_eq!(key.public().algorithm(), algorithm);
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()).unwrap(), *key.public());
    }
}

#[test]
fn openssl_reads_our_keys_and_agrees_on_the_public_half() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = SigningKey::generate(algorithm).unwrap();
        std::fs::write(&path, key.to_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(openssl(&["pkey", "-in", path.to_str().unwrap(), "-pubout"]), key.public().to_pem());
    }
}

#[test]
fn keys_made_by_openssl_are_read() {
    let p256 = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let sec1 = ["ecparam", "-name", "prime256v1", "-genkey"];
    assert!(openssl(&sec1).contains("EC PARAMETERS"), "the case that this test is for");
    for words in
        [&p256[..], &["genpkey", "-algorithm", "ED25519"], &sec1, &["ecparam", "-name", "P-256", "-genkey", "-noout"]]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let pem = openssl(words);
        std::fs::write(&path, &pem).unwrap();
        let key = SigningKey::from_pem(&pem).unwrap();
        assert_eq!(openssl(&["pkey", "-in", path.to_str().unwrap(), "-pubout"]), key.public().to_pem(), "{words:?}");
    }
}

#[test]
fn encrypted_keys_say_what_to_do() {
    let words = ["genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:secret"];
    assert_eq!(SigningKey::from_pem(&openssl(&words)).unwrap_err(), KeyError::Encrypted);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    std::fs::write(&path, openssl(&["ecparam", "-name", "P-256", "-genkey", "-noout"])).unwrap();
    let old = openssl(&["ec", "-in", path.to_str().unwrap(), "-aes256", "-passout", "pass:secret"]);
    assert!(old.contains("Proc-Type: 4,ENCRYPTED"), "the case that this test is for");
    assert_eq!(SigningKey::from_pem(&old).unwrap_err(), KeyError::Encrypted);
    assert!(KeyError::Encrypted.to_string().contains("openssl pkey -in"));
}

#[test]
fn other_keys_are_refused_by_name() {
    for (words, name) in [
        (&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..], "RSA"),
        (&["genpkey", "-algorithm", "ED448"], "Ed448"),
        (&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "curve 1.3.132.0.34"),
        (&["ecparam", "-name", "secp384r1", "-genkey", "-noout"], "another curve"),
    ] {
        let refused = SigningKey::from_pem(&openssl(words)).unwrap_err();
        assert!(matches!(&refused, KeyError::Unsupported(what) if what.contains(name)), "{refused:?}");
    }
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    assert!(matches!(SigningKey::from_pem(openssh), Err(KeyError::Unsupported(what)) if what.contains("OPENSSH")));
    let key = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
    let (private, public) = (key.to_pem().unwrap(), key.public().to_pem());
    assert!(matches!(PublicKey::from_pem(&private), Err(KeyError::Unsupported(what)) if what.contains("private")));
    assert!(matches!(SigningKey::from_pem(&public), Err(KeyError::Malformed(_))));
    assert!(matches!(PublicKey::from_pem(&(public.clone() + &public)), Err(KeyError::Malformed(_))));
    assert!(matches!(PublicKey::from_pem(&public.replace("END PUBLIC", "END")), Err(KeyError::Malformed(_))));
    assert!(matches!(PublicKey::from_pem(&" ".repeat(1 << 20)), Err(KeyError::Malformed(_))));
}

#[test]
fn a_private_key_is_never_shown() {
    let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("SigningKey(secret of PublicKey(Ed25519 {}))", key.public().fingerprint()));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,400}") {
        let _ = SigningKey::from_pem(&text);
        let _ = PublicKey::from_pem(&text);
    }

    #[test]
    fn any_block_is_read_or_refused(der in prop::collection::vec(any::<u8>(), 0..120), which in 0..4_usize) {
        use base64::Engine as _;
        let label = ["PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY", "ENCRYPTED PRIVATE KEY"][which];
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let _ = SigningKey::from_pem(&pem);
        let _ = PublicKey::from_pem(&pem);
    }

    #[test]
    fn any_changed_public_key_is_another_key_or_none(at in 0..91_usize, to in any::<u8>()) {
        let key = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
        let pem = key.public().to_pem();
        let mut changed = pem.clone().into_bytes();
        let at = at + "-----BEGIN PUBLIC KEY-----\n".len();
        prop_assume!(changed[at] != to && to.is_ascii_graphic());
        changed[at] = to;
        if let Ok(read) = PublicKey::from_pem(&String::from_utf8(changed).unwrap()) {
            prop_assert_ne!(&read, key.public());
        }
    }
}
