//! Text that stands in clear inside a container, beside a ciphertext that is one.

use super::*;

const CLEAR: &str = "Dear Bob, the launch code is seven four one nine, please tell nobody about it. ";

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82][..], &length, content].concat()
}

/// EnvelopedData for one recipient with that serial number.
fn cms(issuer: &[u8], key: &[u8], attributes: &[u8]) -> Vec<u8> {
    let oid = |last: &[u8]| der(6, last);
    let who = der(0x30, &[der(0x30, issuer), der(2, &[1, 2, 3])].concat());
    let recipient = [der(2, &[0]), who, der(0x30, &oid(&[0x2a, 3])), der(4, key)].concat();
    let content =
        [oid(&[0x2a, 3]), der(0x30, &[oid(&[0x2a, 4]), der(4, &noise(1, 16))].concat()), der(0x80, &noise(2, 160))];
    let enveloped =
        [der(2, &[2]), der(0x31, &der(0x30, &recipient)), der(0x30, &content.concat()), attributes.to_vec()];
    let id = oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3]);
    der(0x30, &[id, der(0xa0, &der(0x30, &enveloped.concat()))].concat())
}

fn cbor(major: u8, string: &[u8]) -> Vec<u8> {
    let length = u16::try_from(string.len()).unwrap().to_be_bytes();
    [&[major << 5 | 25][..], &length, string].concat()
}

fn cose(header: &[u8], behind: &[u8]) -> Vec<u8> {
    let parts =
        [&[0xd0, 0x83, 0x43, 0xa1, 1, 3, 0xa2, 5][..], &cbor(2, &noise(1, 12)), &cbor(3, b"kid"), &cbor(3, header)];
    [&parts.concat()[..], &cbor(2, &noise(2, 160)), behind].concat()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

fn signal(more: &[u8]) -> Vec<u8> {
    let key = [&[5][..], &noise(1, 32)].concat();
    [&[0x33][..], &field(1, &key), &[0x10, 5], &field(4, &noise(2, 112)), more, &noise(3, 8)].concat()
}

fn mls(authenticated: &[u8]) -> Vec<u8> {
    let vector = |bytes: &[u8]| [&(0x4000 | u16::try_from(bytes.len()).unwrap()).to_be_bytes()[..], bytes].concat();
    let parts = [vector(&noise(4, 16)), noise(5, 8), vec![1], vector(authenticated), vector(&noise(6, 28))];
    [&[0, 1, 0, 2][..], &parts.concat(), &vector(&noise(7, 160))].concat()
}

fn omemo(beside: &str) -> Vec<u8> {
    let [key, iv, body] = [(1, 60), (2, 12), (3, 160)].map(|(seed, length)| STANDARD.encode(noise(seed, length)));
    format!(
        "<message to=\"bob\" from=\"anna\" type=\"chat\">{beside}<encrypted xmlns=\"eu.siacs.conversations.axolotl\">\
         <header sid=\"1\"><key rid=\"2\">{key}</key><iv>{iv}</iv></header><payload>{body}</payload></encrypted></message>"
    )
    .into_bytes()
}

fn with_stanza(stanza: &str) -> Vec<u8> {
    let file = age(1, &noise(5, 200));
    let at = file.windows(4).position(|w| w == b"--- ").unwrap();
    [&file[..at], stanza.as_bytes(), &file[at..]].concat()
}

fn armored(label: &str, headers: &str, bytes: &[u8], behind: &str) -> Vec<u8> {
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{headers}{}\n-----END {label}-----\n{behind}", lines.join("\n")).into_bytes()
}

fn pgp(padding: &[u8]) -> Vec<u8> {
    let session = [&[3][..], &noise(1, 8), &[18], &noise(2, 90)].concat();
    let packet = |tag: u8, body: &[u8]| {
        [&[0xc0 | tag, 255, 0, 0][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
    };
    let padding = if padding.is_empty() { Vec::new() } else { packet(21, padding) };
    [packet(1, &session), padding, packet(18, &[&[1][..], &noise(3, 160)].concat())].concat()
}

fn parts(header: &str, key: &[u8], iv: &[u8], tag: &[u8]) -> Vec<u8> {
    [header.as_bytes(), key, iv, &noise(5, 120), tag].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".").into_bytes()
}

const WRAPPED: &str = r#"{"alg":"A256KW","enc":"A256GCM","kid":"anna_work_laptop"}"#;

#[test]
fn containers_without_anything_beside_are_containers() {
    let stanza = format!("-> x-grease {} q7\n{}\n", "Zk_3", STANDARD.encode(noise(9, 30)));
    for (what, bytes) in [
        ("age", age(1, &noise(5, 200))),
        ("age with a stanza of a plugin's", with_stanza(&stanza)),
        ("age armor", armored("AGE ENCRYPTED FILE", "", &age(1, &noise(5, 200)), "")),
        ("openpgp", pgp(&[])),
        ("openpgp with padding", pgp(&noise(8, 60))),
        ("openpgp armor", armored("PGP MESSAGE", "Version: GnuPG v2.0.22 (GNU/Linux)\n\n", &pgp(&[]), "\n")),
        ("cms", cms(&[], &noise(4, 256), &[])),
        ("cose", cose(b"anna", &[])),
        ("signal", signal(&[])),
        ("mls", mls(&[])),
        ("omemo", omemo("")),
        ("omemo with a fallback", omemo("<body>[This message is OMEMO encrypted]</body>")),
        ("jwe", parts(WRAPPED, &noise(1, 40), &noise(2, 12), &noise(3, 16))),
    ] {
        assert_eq!(class(&bytes), Class::Container, "{what}: {:?}", told(&bytes));
    }
}

#[test]
fn text_in_a_container_beside_its_ciphertext_is_read() {
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(CLEAR);
    let body = encoded.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect::<Vec<_>>().join("\n");
    let subject = format!(r#"{{"alg":"A256KW","enc":"A256GCM","subject":"{}"}}"#, STANDARD.encode(CLEAR));
    let sound = |key: &[u8], iv: &[u8], tag: &[u8]| parts(WRAPPED, key, iv, tag);
    let in_clear = CLEAR.as_bytes();
    for (what, bytes) in [
        ("age stanza body", with_stanza(&format!("-> note\n{body}\n"))),
        ("age stanza arguments", with_stanza(&format!("-> note {}\n\n", CLEAR.trim()))),
        ("age armor", armored("AGE ENCRYPTED FILE", "", &age(1, &noise(5, 200)), CLEAR)),
        ("openpgp armor", armored("PGP MESSAGE", "", &pgp(&[]), CLEAR)),
        ("openpgp padding", pgp(in_clear)),
        ("cms behind its end", [cms(&[], &noise(4, 256), &[]), in_clear.to_vec()].concat()),
        ("cms attributes", cms(&[], &noise(4, 256), &der(0xa1, in_clear))),
        ("cms key", cms(&[], in_clear, &[])),
        ("cose header", cose(in_clear, &[])),
        ("cose behind its end", cose(b"anna", in_clear)),
        ("signal field", signal(&field(9, in_clear))),
        ("mls authenticated data", mls(in_clear)),
        ("omemo body", omemo(&format!("<body>{CLEAR}</body>"))),
        ("omemo subject", omemo("<subject>launch</subject>")),
        ("omemo attribute", omemo(&format!("<x title='{CLEAR}'/>"))),
        ("jwe iv", sound(&noise(1, 40), in_clear, &noise(3, 16))),
        ("jwe tag", sound(&noise(1, 40), &noise(2, 12), in_clear)),
        ("jwe key", sound(in_clear, &noise(2, 12), &noise(3, 16))),
        ("jwe header", parts(&subject, &noise(1, 40), &noise(2, 12), &noise(3, 16))),
    ] {
        assert!(told(&bytes).is_readable(), "{what}: {:?}", told(&bytes));
    }
}

/// What is no part of a format might be anything: it is not said to be encrypted.
#[test]
fn what_does_not_belong_into_a_container_is_not_proven() {
    let spaced = WRAPPED.replace("anna_work_laptop", &CLEAR.trim().replace([' ', '.', ','], "_"));
    let short = "meet me at 6";
    for (what, bytes) in [
        ("age armor", armored("AGE ENCRYPTED FILE", "", &age(1, &noise(5, 200)), "4711")),
        ("openpgp comment", armored("PGP MESSAGE", &format!("Comment: {CLEAR}\n\n"), &pgp(&[]), "")),
        ("openpgp checksum", armored("PGP MESSAGE", "", &pgp(&[]), "").replace_end("=4711 and more")),
        ("age, own stanza", with_stanza(&format!("-> X25519 {}\n\n", STANDARD.encode(short)))),
        ("cms attributes", cms(&[], &noise(4, 256), &der(0xa1, b"4711"))),
        ("cms behind its end", [cms(&[], &noise(4, 256), &[]), b"4711".to_vec()].concat()),
        ("cose behind its end", cose(b"anna", b"4711")),
        ("signal field", signal(&field(9, b"4711"))),
        ("omemo body", omemo("<body>my OMEMO fails, so: 4711</body>")),
        ("omemo comment", omemo("<!-- 4711 -->")),
        ("jwe key", parts(WRAPPED, &noise(1, 41), &noise(2, 12), &noise(3, 16))),
        ("jwe iv", parts(WRAPPED, &noise(1, 40), &noise(2, 13), &noise(3, 16))),
        ("jwe tag", parts(WRAPPED, &noise(1, 40), &noise(2, 12), &noise(3, 15))),
        ("jwe iv in letters", parts(WRAPPED, &noise(1, 40), b"meet me at 6", &noise(3, 16))),
        ("jwe header", parts(&spaced, &noise(1, 40), &noise(2, 12), &noise(3, 16))),
    ] {
        let seen = told(&bytes);
        assert!(!matches!(seen.class, Class::Container | Class::Opaque), "{what}: {seen:?}");
    }
}

trait ReplaceEnd {
    /// The same with a line before the last one.
    fn replace_end(self, line: &str) -> Self;
}

impl ReplaceEnd for Vec<u8> {
    fn replace_end(self, line: &str) -> Self {
        let text = String::from_utf8(self).unwrap();
        text.replace("\n-----END", &format!("\n{line}\n-----END")).into_bytes()
    }
}

#[test]
fn lzma_without_a_mark_is_read() {
    // `xz --format=lzma` and `xz --format=lzma --lzma1=dict=1536KiB` begin so.
    for dictionary in [0x0080_0000_u32, 0x0018_0000] {
        let head = [&[0x5d][..], &dictionary.to_le_bytes(), &[0xff; 8], &[0]].concat();
        let packed = [&head[..], &noise(3, 200)].concat();
        assert_eq!(class(&packed), Class::Media);
        assert_eq!(class(&jwe(&packed).into_bytes()), Class::Media);
    }
}

/// A serial number alone is any authority's.
#[test]
fn a_recipient_of_cms_is_named_by_issuer_and_serial() {
    let name = |text: &str| {
        let value = [&[0x0c, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        der(0x31, &der(0x30, &[&[6, 3, 0x55, 4, 3][..], &value].concat()))
    };
    let named = ["Our CA", "Other CA"].map(|ca| told(&cms(&name(ca), &noise(4, 256), &[])).recipients);
    assert_eq!(named[0][0].split(" (").next(), Some("serial 010203 of CN=Our CA"));
    assert_ne!(named[0], named[1]);
}
