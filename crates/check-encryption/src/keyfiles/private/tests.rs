#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

use std::process::{Command, Stdio};

use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData as _};

use super::super::pem;
use super::*;

fn of_text(text: &str) -> (KeyFormat, Result<Public, &'static str>) {
    of_pem(&pem::blocks(text.as_bytes(), is_private).pop().unwrap(), None)
}

fn block(label: &str, content: Option<&[u8]>) -> Block {
    Block { label: label.to_owned(), encrypted: None, content: content.map(|bytes| bytes.to_vec().into()) }
}

/// Runs a tool; `None` where this machine has none, or one too old for what is asked.
fn tool(words: &[&str]) -> Option<Vec<u8>> {
    let (name, arguments) = words.split_first()?;
    let output = Command::new(name).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

#[test]
fn generated_keys_give_the_public_half_of_another_library() {
    for (algorithm, key_type, bits) in [
        (&PKCS_ECDSA_P256_SHA256, KeyType::Ec, 256),
        (&PKCS_ECDSA_P384_SHA384, KeyType::Ec, 384),
        (&PKCS_ED25519, KeyType::Ed25519, 255),
    ] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let expected = Digest::of(&pair.subject_public_key_info()).to_string();
        let (format, public) = of_text(&pair.serialize_pem());
        let public = public.unwrap();
        assert_eq!((format, public.key_type, public.bits), (KeyFormat::Pkcs8, Some(key_type), Some(bits)));
        assert_eq!(public.spki, Some(expected.clone()));
        assert!(!public.encrypted);
        let (format, public) = of_der(pair.serialized_der(), None).unwrap();
        assert_eq!((format, public.unwrap().spki), (KeyFormat::Pkcs8, Some(expected)));
    }
}

/// How to make a key, how to convert it, and what it must be read as.
type Form<'a> = (&'a [&'a str], &'a [&'a str], KeyFormat, KeyType, u32);

/// Every form that OpenSSL writes, against the public half that it tells itself.
#[test]
fn the_forms_of_openssl_are_read() {
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (key, other) = (at("key"), at("other"));
    let forms: [Form; 7] = [
        (
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            &[],
            KeyFormat::Pkcs8,
            KeyType::Rsa,
            1024,
        ),
        (
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            &["rsa", "-traditional"],
            KeyFormat::Pkcs1,
            KeyType::Rsa,
            1024,
        ),
        (&["genpkey", "-algorithm", "ED25519"], &[], KeyFormat::Pkcs8, KeyType::Ed25519, 255),
        (&["ecparam", "-name", "secp521r1", "-genkey", "-noout"], &[], KeyFormat::Sec1, KeyType::Ec, 521),
        (
            &["ecparam", "-name", "secp384r1", "-genkey", "-noout"],
            &["ec", "-no_public"],
            KeyFormat::Sec1,
            KeyType::Ec,
            384,
        ),
        (&["ecparam", "-name", "secp384r1", "-genkey", "-noout"], &["pkey"], KeyFormat::Pkcs8, KeyType::Ec, 384),
        (&["ecparam", "-name", "brainpoolP256r1", "-genkey", "-noout"], &[], KeyFormat::Sec1, KeyType::Ec, 256),
    ];
    for (make, convert, expected, key_type, size) in forms {
        let words: Vec<&str> = ["openssl"].into_iter().chain(make.iter().copied()).chain(["-out", &key]).collect();
        if tool(&words).is_none() {
            continue;
        }
        if let Some((name, arguments)) = convert.split_first() {
            let words = ["openssl", name, "-in", &key, "-out", &other];
            let words: Vec<&str> = words.into_iter().chain(arguments.iter().copied()).collect();
            if tool(&words).is_none() {
                continue;
            }
            std::fs::rename(&other, &key).unwrap();
        }
        let spki = tool(&["openssl", "pkey", "-in", &key, "-pubout", "-outform", "DER"]).unwrap();
        let (format, public) = of_text(&std::fs::read_to_string(&key).unwrap());
        let public = public.unwrap();
        assert_eq!(
            (format, public.key_type, public.bits),
            (expected, Some(key_type), Some(size)),
            "{make:?} {convert:?}"
        );
        assert_eq!(public.spki, Some(Digest::of(&spki).to_string()), "{make:?} {convert:?}");
    }
}

#[test]
fn encryption_hides_what_it_hides() {
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (key, hidden) = (at("key"), at("hidden"));
    if tool(&["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", &key]).is_none() {
        return;
    }
    for (arguments, format, key_type) in [
        (["pkey", "-aes256"].as_slice(), KeyFormat::EncryptedPkcs8, None),
        (&["rsa", "-aes256", "-traditional"], KeyFormat::Pkcs1, Some(KeyType::Rsa)),
    ] {
        let words = ["openssl"].into_iter().chain(arguments.iter().copied());
        let words: Vec<&str> = words.chain(["-in", &key, "-out", &hidden, "-passout", "pass:secret"]).collect();
        if tool(&words).is_none() {
            continue;
        }
        let text = std::fs::read_to_string(&hidden).unwrap();
        let (found, public) = of_text(&text);
        let public = public.unwrap();
        assert_eq!((found, public.encrypted, public.key_type, public.spki), (format, true, key_type, None));
        assert_eq!(public.protection.unwrap().cipher.as_deref(), Some("aes-256-cbc"));
        if format == KeyFormat::EncryptedPkcs8 {
            let block = pem::blocks(text.as_bytes(), is_private).pop().unwrap();
            let (wrong, right) = (of_pem(&block, Some("other")).1.unwrap(), of_pem(&block, Some("secret")).1.unwrap());
            assert!(wrong.spki.is_none() && right.encrypted && right.spki.is_some());
        }
    }
}

/// Every sort that OpenSSH makes, against its public half as OpenSSL's form.
#[test]
fn the_keys_of_openssh_are_read() {
    let folder = tempfile::TempDir::new().unwrap();
    let sorts = [("rsa", "1024", KeyType::Rsa), ("ecdsa", "384", KeyType::Ec), ("ed25519", "255", KeyType::Ed25519)];
    for (sort, size, key_type) in sorts {
        for pass in ["", "secret"] {
            let path = folder.path().join(format!("{sort}{pass}")).display().to_string();
            if tool(&["ssh-keygen", "-q", "-t", sort, "-b", size, "-N", pass, "-f", &path]).is_none() {
                continue;
            }
            let (format, public) = of_text(&std::fs::read_to_string(&path).unwrap());
            let public = public.unwrap();
            assert_eq!((format, public.key_type), (KeyFormat::OpenSsh, Some(key_type)));
            assert_eq!(public.bits.map(|bits| bits.to_string()).as_deref(), Some(size));
            assert_eq!(public.encrypted, !pass.is_empty());
            // Only RSA and ECDSA can be written in a form that is not OpenSSH's own.
            let Some(pem) = tool(&["ssh-keygen", "-e", "-m", "PKCS8", "-f", &format!("{path}.pub")]) else { continue };
            let spki = pem::blocks(&pem, |_| true).pop().and_then(|block| block.content).unwrap();
            assert_eq!(public.spki, Some(Digest::of(&spki).to_string()));
        }
    }
}

#[test]
fn what_is_no_key_is_not_taken_for_one() {
    assert_eq!(of_der(include_bytes!("../../../tests/fixtures/certificate.der"), None), None);
    assert_eq!(of_der(b"0\x03\x02\x01\x00", None), None);
    let (format, public) = of_pem(&block("RSA PRIVATE KEY", Some(b"0\x03\x02\x01\x00")), None);
    assert_eq!(format, KeyFormat::Pkcs1);
    assert!(public.is_err());
    assert!(of_pem(&block("STRANGE PRIVATE KEY", Some(b"")), None).1.is_err());
    assert!(of_pem(&block("PRIVATE KEY", None), None).1.is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_borne(bytes: Vec<u8>, label in 0usize..6) {
        const LABELS: [&str; 6] = ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY"];
        of_pem(&block(LABELS.get(label).unwrap(), Some(&bytes)), Some("secret")).1.ok();
        of_der(&bytes, Some("secret"));
        let mut ssh = b"openssh-key-v1\0".to_vec();
        ssh.extend(&bytes);
        openssh::public(&ssh);
    }

    #[test]
    fn a_damaged_key_is_borne(at: usize, to: u8) {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut bytes = pair.serialized_der().to_vec();
        let at = at % bytes.len();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        of_der(&bytes, Some("secret"));
    }
}
