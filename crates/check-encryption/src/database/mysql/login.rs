//! Proofs that one knows a password, by the method that an account wants.

use aws_lc_rs::digest::{self, Algorithm};
use zeroize::Zeroizing;

/// The bytes that prove the password to a method with that challenge; `None` where the method is not known here.
/// Nothing is hashed of an empty password: the proof is empty too.
pub(super) fn proof(method: &str, challenge: &[u8], password: &str) -> Option<Zeroizing<Vec<u8>>> {
    let password = password.as_bytes();
    let proof = match method {
        _ if password.is_empty() && method != "client_ed25519" => Vec::new(),
        "mysql_native_password" => native(challenge, password),
        "caching_sha2_password" => caching_sha2(challenge, password),
        "client_ed25519" => ed25519(challenge, password)?,
        _ => return None,
    };
    Some(Zeroizing::new(proof))
}

/// SHA-1(password) xor SHA-1(challenge, SHA-1(SHA-1(password))): MySQL 4.1.
fn native(challenge: &[u8], password: &[u8]) -> Vec<u8> {
    let sha1 = |parts: &[&[u8]]| hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, parts);
    let once = sha1(&[password]);
    xor(&once, &sha1(&[challenge, &sha1(&[&once])]))
}

/// SHA-256(password) xor SHA-256(SHA-256(SHA-256(password)), challenge): MySQL 8.
fn caching_sha2(challenge: &[u8], password: &[u8]) -> Vec<u8> {
    let sha256 = |parts: &[&[u8]]| hash(&digest::SHA256, parts);
    let once = sha256(&[password]);
    xor(&once, &sha256(&[&sha256(&[&once]), challenge]))
}

/// A signature over the challenge, by a key whose seed is hashed from the password: MariaDB 10.1.22.
fn ed25519(challenge: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
    let hash: [u8; 64] = hash(&digest::SHA512, &[password]).try_into().ok()?;
    let key = ExpandedSecretKey::from_bytes(&hash);
    let public = ed25519_dalek::VerifyingKey::from(&key);
    Some(raw_sign::<sha2::Sha512>(&key, challenge, &public).to_bytes().to_vec())
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(algorithm);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().to_vec()
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}
