//! Published vectors: what others sign with these keys, we sign and verify alike.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken vector fails the test")]

use super::*;
use crate::pae;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn ecdsa(scalar: &str) -> SigningKey {
    SigningKey::new(Secret::EcdsaP256(p256::ecdsa::SigningKey::from_slice(&unhex(scalar)).unwrap())).unwrap()
}

fn ed25519(seed: &str) -> SigningKey {
    let seed: [u8; 32] = unhex(seed).try_into().unwrap();
    SigningKey::new(Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed))).unwrap()
}

/// DSSE 1.0.0, protocol.md, "Test Vectors"; its raw r and s written in DER. Its s is already the lower one.
#[test]
fn dsse_protocol() {
    let message = pae("http://example.com/HelloWorld", b"hello world");
    assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    let key = ecdsa("d73ec437fd6346e3619c5ebfdfff0f6916804955ad32ac9ac492b0ede1f6ffb7");
    let raw = base64_strict("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==");
    let wanted = p256::ecdsa::Signature::from_slice(&raw.unwrap()).unwrap().to_der();
    assert_eq!(key.sign(&message), wanted.as_bytes());
    assert_eq!(key.public().check(&message, wanted.as_bytes()), Ok(()));
}

/// The length of a type is counted in bytes, not in characters.
#[test]
fn pae_counts_bytes() {
    assert_eq!(pae("é", "ü".as_bytes()), "DSSEv1 2 é 2 ü".as_bytes());
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
}

/// RFC 6979, appendix A.2.5, SHA-256: the nonce, and thereby r, is the published one; s is the published one or its
/// negative, whichever is lower.
#[test]
fn rfc_6979() {
    let key = ecdsa("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    for (message, r, s) in [
        (
            "sample",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            "test",
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
            "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
    ] {
        let published = p256::ecdsa::Signature::from_slice(&unhex(&format!("{r}{s}"))).unwrap();
        let wanted = published.normalize_s().unwrap_or(published);
        let signature = key.sign(message.as_bytes());
        assert_eq!(signature, wanted.to_der().as_bytes(), "{message}");
        assert_eq!(key.public().check(message.as_bytes(), &signature), Ok(()));
        if published != wanted {
            let high = published.to_der();
            assert_eq!(key.public().check(message.as_bytes(), high.as_bytes()), Err(BadSignature::NotCanonical));
        }
    }
}

/// RFC 8032, section 7.1, tests 1 to 3.
#[test]
fn rfc_8032() {
    for (seed, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let (key, message) = (ed25519(seed), unhex(message));
        assert_eq!(key.sign(&message), unhex(signature));
        assert_eq!(key.public().check(&message, &unhex(signature)), Ok(()));
        assert_eq!(key.public().check(b"other", &unhex(signature)), Err(BadSignature::Wrong));
        assert_eq!(key.public().check(&message, b"short"), Err(BadSignature::NotCanonical));
    }
}

/// RFC 8410, section 10.1: a public key in its PEM.
#[test]
fn rfc_8410() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let key = PublicKey::from_pem(pem).unwrap();
    assert_eq!(key.to_pem(), pem);
    assert_eq!(key.algorithm(), Algorithm::Ed25519);
    let fingerprint = key.fingerprint();
    assert_eq!(Fingerprint::from_hint(&fingerprint.hint()), Some(fingerprint));
    assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
}

/// RFC 8410, section 10.3: the same private key without and with its public key beside it.
#[test]
fn rfc_8410_private_keys() {
    let first = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let second = "-----BEGIN PRIVATE KEY-----\nMHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\noB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\nZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PRIVATE KEY-----\n";
    let key = SigningKey::from_pem(first).unwrap();
    assert_eq!(*key.to_pem().unwrap(), first);
    assert!(key.public().to_pem().contains("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="));
    assert_eq!(SigningKey::from_pem(second).unwrap().public(), key.public());
    // The last byte of the public key beside it.
    let unlike = second.replace("AxZuE=", "AxZuI=");
    assert!(matches!(SigningKey::from_pem(&unlike), Err(KeyError::Malformed(_))));
}

/// A point of small order makes any signature of its kind verify under any message.
#[test]
fn weak_public_keys_are_refused() {
    let mut spki = unhex("302a300506032b6570032100");
    spki.push(1);
    spki.extend([0; 31]);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64_of(&spki));
    assert!(matches!(PublicKey::from_pem(&pem), Err(KeyError::Malformed(why)) if why.contains("small order")));
}
