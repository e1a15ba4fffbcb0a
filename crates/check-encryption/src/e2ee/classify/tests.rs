//! Every class, from bytes whose making is known.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

mod around;

const LETTER: &str =
    "Dear Anna, the parcel with the documents has arrived this morning and is on your desk. See you on Monday!";

/// Bytes like random ones, always the same.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut at = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        // SplitMix64 (Steele, Lea, Flood, 2014).
        at = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = at;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((z ^ z >> 31).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn told(bytes: &[u8]) -> Seen {
    classify(bytes, true, &[])
}

fn class(bytes: &[u8]) -> Class {
    told(bytes).class
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn age(recipients: usize, body: &[u8]) -> Vec<u8> {
    let mut file = b"age-encryption.org/v1\n".to_vec();
    let key = base64::engine::general_purpose::STANDARD_NO_PAD.encode(noise(9, 32));
    for _ in 0..recipients {
        file.extend(format!("-> X25519 {key}\n{key}\n").bytes());
    }
    file.extend(format!("--- {key}\n").bytes());
    file.extend(noise(10, 16));
    file.extend(body);
    file
}

fn jwe(body: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = part(br#"{"alg":"ECDH-ES+A256KW","enc":"A256GCM","kid":"anna"}"#);
    [header, part(&noise(1, 40)), part(&noise(2, 12)), part(body), part(&noise(3, 16))].join(".")
}

#[test]
fn text_in_clear_is_seen_through_what_is_wrapped_around_it() {
    let utf16: Vec<u8> = LETTER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let record = format!(r#"{{"type":"text","to":"anna","body":"{LETTER}"}}"#);
    let mut protobuf = vec![0x0a, 4, 1, 2, 3, 0xff, 0x12, u8::try_from(LETTER.len()).unwrap()];
    protobuf.extend(LETTER.bytes());
    protobuf.extend(noise(1, 20));
    let jws =
        [br#"{"alg":"HS256"}"#, LETTER.as_bytes(), &noise(4, 32)].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let hex: String = LETTER.bytes().map(|b| format!("{b:02x}")).collect();
    let numbers = serde_json::to_string(LETTER.as_bytes()).unwrap();
    for (what, bytes) in [
        ("plain", LETTER.as_bytes().to_vec()),
        ("utf-16", utf16),
        ("base64", STANDARD.encode(LETTER).into_bytes()),
        ("hex", hex.clone().into_bytes()),
        ("bytea", format!("\\x{hex}").into_bytes()),
        ("json", record.into_bytes()),
        ("bytes", numbers.into_bytes()),
        ("protobuf", protobuf),
        ("jws", jws.into_bytes()),
        ("cyrillic", "Посылка прибыла сегодня утром".as_bytes().to_vec()),
        ("json without text", br#"{"user":"bob","amount":1200}"#.to_vec()),
        ("matrix", br#"{"type":"m.room.message","content":{"body":"ok","msgtype":"m.text"}}"#.to_vec()),
        ("mls", [&[0, 1, 0, 1, 1, 7][..], &[0; 8], &[1, 0, 0, 0, 3], &[0], &[1, 2], b"hi"].concat()),
        (
            "omemo",
            b"<message><body>see you at six</body><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>"
                .to_vec(),
        ),
    ] {
        let seen = told(&bytes);
        assert_eq!(seen.class, Class::Plaintext, "{what}: {seen:?}");
        assert!(!seen.why.unwrap().contains("parcel"), "{what}");
    }
    for (what, bytes) in [
        ("gzip", gzip(LETTER.as_bytes())),
        ("zlib", zlib(LETTER.as_bytes())),
        ("deflate", zlib(LETTER.as_bytes())[2..zlib(LETTER.as_bytes()).len() - 4].to_vec()),
        ("zstd", zstd::encode_all(LETTER.as_bytes(), 3).unwrap()),
        ("base64 of gzip", STANDARD.encode(gzip(LETTER.as_bytes())).into_bytes()),
    ] {
        assert_eq!(class(&bytes), Class::Compressed, "{what}: {:?}", told(&bytes));
    }
    for bytes in
        [&b"SQLite format 3\0 and more than that"[..], b"\x89PNG\r\n\x1a\n....IHDR........", b"%PDF-1.7\n%...."]
    {
        assert_eq!(class(bytes), Class::Media);
    }
}

#[test]
fn containers_are_parsed() {
    let body = noise(5, 400);
    let seen = told(&age(2, &body));
    assert_eq!((seen.class, seen.format.as_deref()), (Class::Container, Some("age")));
    assert_eq!(seen.recipients, ["X25519", "X25519"]);
    let seen = told(jwe(&body).as_bytes());
    assert_eq!((seen.class, seen.recipients), (Class::Container, vec!["kid anna".to_owned()]));
    let mut megolm = vec![3, 8, 1, 0x12, 0x80, 2];
    megolm.extend([noise(6, 256), noise(7, 72)].concat());
    let event = format!(
        r#"{{"type":"m.room.encrypted","content":{{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"{}"}}}}"#,
        STANDARD.encode(&megolm)
    );
    for bytes in [megolm, event.into_bytes()] {
        let seen = told(&bytes);
        assert_eq!((seen.class, seen.format.as_deref()), (Class::Container, Some("megolm")));
    }
    let private = [&[0, 1, 0, 2, 2, 7, 7][..], &[0; 8], &[1, 0, 0x1c], &noise(8, 28), &[0x41, 0x90], &body].concat();
    assert_eq!(told(&private).format.as_deref(), Some("mls"));
    let cose = [&[0xd0, 0x83, 0x43, 0xa1, 1, 3, 0xa1, 5, 0x4c][..], &noise(1, 12), &[0x59, 1, 0x90], &body].concat();
    assert_eq!(told(&cose).format.as_deref(), Some("cose"));
    let key = [&[0x21, 5][..], &noise(2, 32)].concat();
    let signal = [&[0x33, 0x0a][..], &key, &[0x10, 1, 0x18, 0, 0x22, 0x40], &noise(3, 64), &noise(4, 8)].concat();
    assert_eq!(told(&signal).format.as_deref(), Some("signal"));
}

#[test]
fn plaintext_in_a_wrapper_is_plaintext() {
    for bytes in [age(1, LETTER.as_bytes()), jwe(LETTER.as_bytes()).into_bytes()] {
        assert_eq!(class(&bytes), Class::Plaintext);
    }
    assert_eq!(class(&age(1, &gzip(LETTER.as_bytes()))), Class::Compressed);
    // Electronic code book: equal blocks stay equal.
    assert_eq!(class(&age(1, &noise(1, 16).repeat(8))), Class::Patterned);
}

#[test]
fn what_the_server_can_decrypt_is_named() {
    let mut token = vec![0x80, 0, 0, 0, 0, 0x66, 0, 0, 0];
    token.extend(noise(1, 16 + 64 + 32));
    for (text, format) in [
        (base64::engine::general_purpose::URL_SAFE.encode(&token), "fernet"),
        (format!("vault:v1:{}", STANDARD.encode(noise(2, 60))), "vault transit"),
        ("k8s:enc:aescbc:v1:key1:xyz".to_owned(), "kubernetes"),
    ] {
        let seen = told(text.as_bytes());
        assert_eq!((seen.class, seen.format.as_deref()), (Class::ServerSide, Some(format)));
    }
}

#[test]
fn framings_without_a_mark_count_only_where_declared() {
    let bytes = noise(11, 300);
    assert_eq!(class(&bytes), Class::Random);
    assert_eq!(class(&STANDARD.encode(&bytes).into_bytes()), Class::Random);
    for framing in [Framing::Secretstream, Framing::Secretbox, Framing::SealedBox, Framing::Opaque { header: 24 }] {
        let seen = classify(&bytes, true, std::slice::from_ref(&framing));
        assert_eq!(seen.class, Class::Opaque);
        assert!(seen.nonce.is_some_and(|nonce| nonce.len() >= 24));
        assert_eq!(classify(&bytes[..30], true, std::slice::from_ref(&framing)).class, Class::Random);
        for clear in [LETTER.as_bytes().to_vec(), STANDARD.encode(LETTER).into_bytes(), gzip(LETTER.as_bytes())] {
            assert!(classify(&clear, true, std::slice::from_ref(&framing)).is_readable());
        }
        let record = [&bytes[..32], &[8, 1, 0x12, 25], b"meet me at six, by the sea"].concat();
        assert_eq!(classify(&record, true, std::slice::from_ref(&framing)).class, Class::Unknown);
        let hollow = [&bytes[..32], LETTER.as_bytes()].concat();
        assert!(classify(&hollow, true, std::slice::from_ref(&framing)).is_readable(), "{framing:?}");
    }
}

#[test]
fn what_tells_nothing_is_not_proven() {
    for bytes in [&b""[..], b"ok", b"see you", &noise(1, 12)] {
        assert_eq!(class(bytes), Class::TooShort, "{:?}", told(bytes));
    }
    // Encodings that are not taken off look like text, and are none that can be read.
    let base58: String = noise(3, 120)
        .iter()
        .map(|b| char::from(b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"[usize::from(*b) % 57]))
        .collect();
    let ascii85: String = noise(4, 200).iter().map(|b| char::from(b'!' + b % 85)).collect();
    let own = format!("enc1:{}:{}!", STANDARD.encode(noise(5, 12)), STANDARD.encode(noise(6, 90)));
    let record = format!(
        r#"{{"iv":"{}","ct":"{}","from":"anna"}}"#,
        STANDARD.encode(noise(7, 16)),
        STANDARD.encode(noise(8, 99))
    );
    for text in [base58, ascii85, own, record] {
        let seen = told(text.as_bytes());
        assert!(!seen.is_readable() && !matches!(seen.class, Class::Container | Class::Opaque), "{seen:?}");
    }
}

/// No ciphertext is ever said to be readable: 2,000 here, and more with PROBITY_CIPHERTEXTS.
#[test]
fn no_ciphertext_is_called_readable() {
    let count = std::env::var("PROBITY_CIPHERTEXTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000_u64);
    let framings = [Framing::Opaque { header: 24 }];
    for seed in 0..count {
        let length = usize::try_from(seed * 7919 % 3000).unwrap();
        let bytes = noise(seed + 100, length);
        let forms: [Vec<u8>; 5] = [
            bytes.clone(),
            STANDARD.encode(&bytes).into_bytes(),
            bytes.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect(),
            age(1 + length % 3, &bytes),
            jwe(&bytes).into_bytes(),
        ];
        for (form, bytes) in forms.iter().enumerate() {
            for framing in [&[][..], &framings] {
                let seen = classify(bytes, true, framing);
                assert!(!seen.is_readable(), "seed {seed}, form {form}: {seen:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_told_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600), whole: bool) {
        let seen = classify(&bytes, whole, &[Framing::Secretbox]);
        prop_assert!(!seen.is_readable() || seen.why.is_some());
    }

    /// Bytes that begin as some format does.
    #[test]
    fn any_end_of_a_known_beginning_is_told_without_harm(
        which in 0_usize..16,
        cut in 0_usize..300,
        more in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let begins = [
            age(1, &[7; 40]), jwe(&[7; 40]).into_bytes(), gzip(LETTER.as_bytes()), zlib(LETTER.as_bytes()),
            vec![0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3, 0xa0, 0x80, 0x30, 0x80, 2, 1, 0, 0x31],
            vec![0x30, 0x80, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x80, 0x30, 0x80, 2, 1, 0, 0x31],
            vec![0x84, 0x5e, 3], vec![0xc1, 0xff], vec![0x8c, 0x0d, 4, 9, 3, 2], vec![0xd2, 0xea], vec![0xa3, 1], vec![0xcb, 0xe9],
            vec![0xd8, 96, 0x84, 0x9b], vec![0, 1, 0, 2, 0xbf], vec![0x33, 0x0a, 0x21, 5],
            br#"{"type":"m.room.encrypted","content":{"algorithm":"m.olm.v1","ciphertext":{"k":{"body":"AwogAAAA"}}}}"#.to_vec(),
        ];
        let begin = &begins[which];
        let bytes = [&begin[..cut.min(begin.len())], &more].concat();
        let _ = classify(&bytes, true, &[]);
        let _ = classify(&bytes, false, &[Framing::Opaque { header: 8 }]);
    }
}

#[test]
fn what_stands_beside_a_ciphertext_counts() {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let with = |header: &str, body: &[u8]| {
        [part(header.as_bytes()), String::new(), part(&noise(2, 12)), part(body), part(&noise(3, 16))].join(".")
    };
    let body = noise(5, 120);
    assert_eq!(class(with(r#"{"alg":"dir","enc":"A256GCM"}"#, &body).as_bytes()), Class::Container);
    assert_eq!(class(with(r#"{"alg":"none","enc":"none"}"#, &body).as_bytes()), Class::Unknown);
    let subject = r#"{"alg":"dir","enc":"A256GCM","subject":"The meeting is on Monday morning"}"#;
    assert_eq!(class(with(subject, &body).as_bytes()), Class::Plaintext);
    let key = r#"{"alg":"dir","enc":"A256GCM","jwk":{"kty":"oct","k":"AAAA"}}"#;
    assert_eq!(class(with(key, &body).as_bytes()), Class::ServerSide);
    let short = told(with(r#"{"alg":"dir","enc":"A256GCM"}"#, b"PIN 4711").as_bytes());
    assert_eq!((short.class, short.printable), (Class::TooShort, Some(8)));
}
