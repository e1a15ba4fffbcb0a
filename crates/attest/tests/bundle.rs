//! Bundles: signed, verified, and refused once anything about them changes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use attest::{
    Algorithm, PublicKey, SignError, SigningKey, Statement, StatementError, Subject, TEST_RESULT, Trust, VerifyError,
    pae, peek, sign, verify,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Digest;
use p256::ecdsa::signature::Signer as _;
use proptest::prelude::*;
use serde_json::{Value, json};

const BOTH: [Algorithm; 2] = [Algorithm::EcdsaP256, Algorithm::Ed25519];

fn statement() -> Statement {
    let subject = |name: &str| Subject { name: name.to_owned(), digest: Digest::of(name.as_bytes()) };
    Statement {
        subjects: vec![subject("manifest.json"), subject("report.html")],
        predicate_type: TEST_RESULT.to_owned(),
        predicate: json!({"result": "FAILED", "configuration": [], "failedTests": ["TLS-PROTO-LEGACY \u{202e}é \"\\"]}),
    }
}

fn signed(algorithm: Algorithm) -> (SigningKey, Vec<u8>) {
    let key = SigningKey::generate(algorithm).unwrap();
    let bundle = sign(&statement(), &key).unwrap();
    (key, bundle)
}

fn trusting(bundle: &[u8], key: &SigningKey) -> Result<(), VerifyError> {
    verify(bundle, std::slice::from_ref(key.public()), None).map(|_| ())
}

/// A bundle that someone else might write: any payload, any signature.
fn bundle_of(key: &PublicKey, payload: &[u8], signature: &[u8]) -> Value {
    let hint = key.fingerprint().hint();
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"keyid": hint, "sig": STANDARD.encode(signature)}],
        },
    })
}

/// A P-256 key that signs anything, also what `sign` would not.
fn any_signer() -> (p256::ecdsa::SigningKey, SigningKey) {
    let key = SigningKey::generate(Algorithm::EcdsaP256).unwrap();
    let secret: p256::SecretKey = p256::pkcs8::DecodePrivateKey::from_pkcs8_pem(&key.to_pem().unwrap()).unwrap();
    (secret.into(), key)
}

fn signed_payload(payload: &[u8]) -> Result<(), VerifyError> {
    let (signer, key) = any_signer();
    let signature: p256::ecdsa::Signature = signer.sign(&pae("application/vnd.in-toto+json", payload));
    let signature = signature.normalize_s().unwrap_or(signature).to_der();
    let bundle = model::canonical_json(&bundle_of(key.public(), payload, signature.as_bytes())).unwrap();
    trusting(&bundle, &key)
}

#[test]
fn what_was_signed_comes_back() {
    for algorithm in BOTH {
        let (key, bundle) = signed(algorithm);
        let other = SigningKey::generate(algorithm).unwrap();
        let verified = verify(&bundle, &[other.public().clone(), key.public().clone()], None).unwrap();
        assert_eq!(verified.statement, statement());
        assert_eq!(verified.trust, Trust::Trusted(key.public().clone()));
        assert!(verified.trust.is_trusted());
        assert_eq!(peek(&bundle), Ok(key.public().fingerprint()));
        assert_eq!(sign(&statement(), &key).unwrap(), bundle, "the same input, the same bytes");
    }
}

#[test]
fn the_shape_is_the_one_that_others_read() {
    let (key, bundle) = signed(Algorithm::EcdsaP256);
    let text = String::from_utf8(bundle).unwrap();
    let hint = key.public().fingerprint().hint();
    assert!(text.starts_with(r#"{"dsseEnvelope":{"payload":""#));
    assert!(text.contains(&format!(
        r#""payloadType":"application/vnd.in-toto+json","signatures":[{{"keyid":"{hint}","sig":""#
    )));
    assert!(text.ends_with(&format!(
        "\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"verificationMaterial\":{{\"publicKey\":{{\"hint\":\"{hint}\"}},\"tlogEntries\":[]}}}}\n"
    )));
}

#[test]
fn a_key_that_comes_with_the_bundle_is_never_trusted_for_that() {
    for algorithm in BOTH {
        let (stranger, bundle) = signed(algorithm);
        let ours = SigningKey::generate(algorithm).unwrap();
        let candidates = [ours.public().clone()];
        let verified = verify(&bundle, &candidates, Some(stranger.public())).unwrap();
        assert_eq!(verified.trust, Trust::Unknown(stranger.public().clone()));
        assert!(!verified.trust.is_trusted());
        let named = stranger.public().fingerprint();
        assert_eq!(verify(&bundle, &candidates, None), Err(VerifyError::NoKey(named)));
        assert_eq!(verify(&bundle, &candidates, Some(ours.public())), Err(VerifyError::NoKey(named)));
        // Trusted and offered at once: trusted.
        let both = verify(&bundle, std::slice::from_ref(stranger.public()), Some(stranger.public())).unwrap();
        assert!(both.trust.is_trusted());
    }
}

#[test]
fn a_strangers_signature_under_our_name_is_bad() {
    for algorithm in BOTH {
        let (stranger, bundle) = signed(algorithm);
        let ours = SigningKey::generate(algorithm).unwrap();
        let (from, to) = (stranger.public().fingerprint().hint(), ours.public().fingerprint().hint());
        let posing = String::from_utf8(bundle).unwrap().replace(&from, &to);
        let wanted = Err(VerifyError::BadSignature(ours.public().fingerprint()));
        assert_eq!(trusting(posing.as_bytes(), &ours), wanted);
        assert_eq!(verify(posing.as_bytes(), &[], Some(ours.public())).map(|_| ()), wanted);
    }
}

#[test]
fn every_bit_counts() {
    for algorithm in BOTH {
        let (key, bundle) = signed(algorithm);
        for at in 0..bundle.len() {
            for bit in 0..8 {
                let mut changed = bundle.clone();
                changed[at] ^= 1 << bit;
                assert!(trusting(&changed, &key).is_err(), "{algorithm}: bit {bit} of byte {at}");
            }
        }
        for end in 0..bundle.len() {
            assert!(trusting(&bundle[..end], &key).is_err(), "{algorithm}: cut at {end}");
        }
    }
}

#[test]
fn other_spellings_of_a_good_bundle_are_refused() {
    for algorithm in BOTH {
        let (key, bundle) = signed(algorithm);
        let text = String::from_utf8(bundle).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let spaced = serde_json::to_string_pretty(&value).unwrap();
        let reordered = {
            let (envelope, rest) = text.trim().trim_start_matches('{').split_once(",\"mediaType\"").unwrap();
            format!("{{\"mediaType\"{},{envelope}}}\n", rest.trim_end_matches('}').to_owned() + "}")
        };
        assert_eq!(serde_json::from_str::<Value>(&reordered).unwrap(), value, "only the order differs");
        for other in [
            text.trim_end().to_owned(),
            text.clone() + "\n",
            format!(" {text}"),
            format!("\u{feff}{text}"),
            spaced,
            reordered,
            text.replace("mediaType", "media\\u0054ype"),
            text.replace("in-toto+json", "in-toto\\u002bjson"),
        ] {
            let refused = trusting(other.as_bytes(), &key).unwrap_err();
            assert!(
                matches!(refused, VerifyError::NotCanonical("bundle") | VerifyError::Malformed(_)),
                "{refused}: {other}"
            );
        }
    }
}

#[test]
fn unknown_repeated_and_missing_keys_are_refused() {
    let (key, bundle) = signed(Algorithm::EcdsaP256);
    let text = String::from_utf8(bundle).unwrap();
    for (from, to) in [
        ("{\"dsseEnvelope\"", "{\"a\":1,\"dsseEnvelope\""),
        ("{\"payload\"", "{\"a\":1,\"payload\""),
        ("{\"keyid\"", "{\"a\":1,\"keyid\""),
        ("{\"hint\"", "{\"a\":1,\"hint\""),
        ("{\"publicKey\"", "{\"certificate\":{},\"publicKey\""),
        ("{\"payload\"", "{\"payload\":\"\",\"payload\""),
        (",\"tlogEntries\":[]", ""),
        ("\"tlogEntries\":[]", "\"tlogEntries\":[{}]"),
        ("\"tlogEntries\":[]", "\"tlogEntries\":[null]"),
        ("\"tlogEntries\":[]", "\"tlogEntries\":null"),
        ("\"signatures\":[", "\"signatures\":[{\"keyid\":\"\",\"sig\":\"\"},"),
        ("{\"hint\":\"", "{\"hint\":\"A"),
    ] {
        assert!(text.contains(from));
        let refused = trusting(text.replacen(from, to, 1).as_bytes(), &key).unwrap_err();
        assert!(matches!(refused, VerifyError::Malformed(_)), "{to}: {refused}");
    }
    let start = text.find("{\"keyid\"").unwrap();
    let end = text[start..].find('}').unwrap() + start + 1;
    let unsigned = text.replace(&text[start..end], "");
    assert!(matches!(trusting(unsigned.as_bytes(), &key), Err(VerifyError::Malformed(_))));
    let twice = text.replace(&text[start..end], &format!("{0},{0}", &text[start..end]));
    assert!(matches!(trusting(twice.as_bytes(), &key), Err(VerifyError::Malformed(_))));
}

#[test]
fn other_versions_are_refused_by_name() {
    let (key, bundle) = signed(Algorithm::Ed25519);
    let text = String::from_utf8(bundle).unwrap();
    for (from, to, what) in [
        ("bundle.v0.3+json", "bundle.v0.4+json", "media type"),
        ("bundle.v0.3+json", "bundle+json;version=0.3", "media type"),
        ("vnd.in-toto+json", "vnd.in-toto.test-result+json", "payload type"),
    ] {
        let refused = trusting(text.replace(from, to).as_bytes(), &key).unwrap_err();
        assert!(matches!(&refused, VerifyError::Unsupported { what: found, .. } if *found == what), "{refused}");
        assert!(refused.to_string().contains(to), "{refused}");
    }
}

#[test]
fn base64_is_strict() {
    let (key, bundle) = signed(Algorithm::Ed25519);
    let text = String::from_utf8(bundle).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let sig = value["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap();
    let payload = value["dsseEnvelope"]["payload"].as_str().unwrap();
    assert!(sig.ends_with("=="), "64 bytes leave two digits of padding");
    let stray_bits = {
        let digits = sig.trim_end_matches('=');
        let last = digits.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        format!("{}{next}==", &digits[..digits.len() - 1])
    };
    for (from, to) in [
        (sig, sig.trim_end_matches('=').to_owned()),
        (sig, stray_bits),
        (sig, format!("{sig}\\n")),
        (sig, format!(" {sig}")),
        (payload, format!("{payload}=")),
        (payload, format!("{}-{}", &payload[..8], &payload[9..])),
    ] {
        let refused = trusting(text.replacen(from, &to, 1).as_bytes(), &key).unwrap_err();
        assert!(matches!(refused, VerifyError::Malformed(_)), "{to}: {refused}");
    }
}

#[test]
fn the_other_s_of_an_ecdsa_signature_is_refused() {
    let (signer, key) = any_signer();
    let bundle = sign(&statement(), &key).unwrap();
    let value: Value = serde_json::from_slice(&bundle).unwrap();
    let payload = STANDARD.decode(value["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let low: p256::ecdsa::Signature = signer.sign(&pae("application/vnd.in-toto+json", &payload));
    let low = low.normalize_s().unwrap_or(low);
    let again = model::canonical_json(&bundle_of(key.public(), &payload, low.to_der().as_bytes())).unwrap();
    assert_eq!(again, bundle);
    let (r, s) = low.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
    let verifier = signer.verifying_key();
    let message = pae("application/vnd.in-toto+json", &payload);
    p256::ecdsa::signature::Verifier::verify(verifier, &message, &high).unwrap();
    let forged = model::canonical_json(&bundle_of(key.public(), &payload, high.to_der().as_bytes())).unwrap();
    assert_eq!(trusting(&forged, &key), Err(VerifyError::NotCanonical("signature")));
    // The same two numbers without DER around them.
    let raw = model::canonical_json(&bundle_of(key.public(), &payload, &low.to_bytes())).unwrap();
    assert_eq!(trusting(&raw, &key), Err(VerifyError::NotCanonical("signature")));
}

#[test]
fn a_good_signature_does_not_excuse_what_was_signed() {
    let canonical = r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{},"predicateType":"a:b","subject":[{"digest":{"sha256":"HEX"},"name":"a"}]}"#
        .replace("HEX", &Digest::of(b"a").to_string());
    assert_eq!(signed_payload(format!("{canonical}\n").as_bytes()), Ok(()));
    assert_eq!(signed_payload(canonical.as_bytes()), Err(VerifyError::NotCanonical("statement")));
    let twice = canonical.replace("\"predicate\":{}", "\"predicate\":{\"a\":1,\"a\":2}") + "\n";
    assert_eq!(signed_payload(twice.as_bytes()), Err(VerifyError::NotCanonical("statement")));
    for (from, to) in [
        ("\"subject\":[", "\"subject\":[],\"extra\":["),
        ("/v1", "/v0.1"),
        ("\"predicate\":{}", "\"predicate\":1"),
        ("\"predicate\":{}", "\"predicate\":{\"a\":0.1}"),
        ("sha256", "sha512"),
    ] {
        let refused = signed_payload((canonical.replacen(from, to, 1) + "\n").as_bytes()).unwrap_err();
        assert!(matches!(refused, VerifyError::Statement(_)), "{to}: {refused}");
    }
    assert!(matches!(signed_payload(b""), Err(VerifyError::Statement(_))));
    assert!(matches!(signed_payload(&[b'['; 100_000]), Err(VerifyError::Statement(_))));
}

#[test]
fn what_would_not_verify_is_not_signed() {
    let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let with = |predicate: Value| sign(&Statement { predicate, ..statement() }, &key).unwrap_err();
    assert_eq!(with(json!({"a": 1.5})), SignError::Statement(StatementError::Fraction));
    let deep = (0..200).fold(json!({}), |inner, _| json!({"a": inner}));
    assert!(matches!(with(deep), SignError::Check(VerifyError::Statement(StatementError::Json(_)))));
    let wide = vec![json!([]); 600_000];
    assert_eq!(with(json!({"a": wide})), SignError::Check(VerifyError::Statement(StatementError::TooMany)));
    let huge = "x".repeat(attest::MAX_BYTES);
    assert_eq!(with(json!({"a": huge})), SignError::Check(VerifyError::TooLarge));
}

#[test]
fn foreign_text_in_messages_is_escaped_and_short() {
    let bundle = format!("{{\"\u{1b}[2J\u{202e}{}\":1}}", "x".repeat(10_000));
    let message = peek(bundle.as_bytes()).unwrap_err().to_string();
    assert!(message.len() < 700 && !message.contains('\u{1b}') && !message.contains('\u{202e}'), "{message}");
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(peek(&bytes).is_err());
    }

    #[test]
    fn any_payload_and_signature_are_refused(
        payload in prop::collection::vec(any::<u8>(), 0..100), signature in prop::collection::vec(any::<u8>(), 0..100),
        ed25519 in any::<bool>(),
    ) {
        let key = SigningKey::generate(BOTH[usize::from(ed25519)]).unwrap();
        let bundle = model::canonical_json(&bundle_of(key.public(), &payload, &signature)).unwrap();
        prop_assert!(trusting(&bundle, &key).is_err());
    }

    #[test]
    fn any_change_is_refused(
        at in any::<prop::sample::Index>(), cut in 0..4_usize, put in prop::collection::vec(any::<u8>(), 0..4),
        ed25519 in any::<bool>(),
    ) {
        let (key, bundle) = signed(BOTH[usize::from(ed25519)]);
        let start = at.index(bundle.len());
        let mut changed = bundle.clone();
        changed.splice(start..(start + cut).min(bundle.len()), put);
        prop_assume!(changed != bundle);
        prop_assert!(trusting(&changed, &key).is_err());
    }

    #[test]
    fn any_payload_that_a_trusted_key_signed_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(signed_payload(&payload).is_err());
    }

    #[test]
    fn any_statement_comes_back(
        names in prop::collection::btree_set("[a-zA-Z0-9_]{1,20}", 1..5), key in ".{0,10}", text in ".{0,30}", number in any::<i64>(),
    ) {
        let signer = SigningKey::generate(Algorithm::Ed25519).unwrap();
        let subject = |name: String| Subject { digest: Digest::of(name.as_bytes()), name };
        let said = Statement {
            subjects: names.into_iter().map(subject).collect(),
            predicate_type: TEST_RESULT.to_owned(),
            predicate: json!({ key: [text, number, null, {}, []] }),
        };
        let bundle = sign(&said, &signer).unwrap();
        prop_assert_eq!(verify(&bundle, std::slice::from_ref(signer.public()), None).unwrap().statement, said);
    }
}
