//! JSON Web Keys and sets of them (RFC 7517, 7518, 8037). Strings are borrowed from the file, so that no secret is copied.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::private::{Public, ec_of, ed25519, rsa_of, x25519};
use crate::facts::KeyType;

/// Keys looked at in one file.
const MOST: usize = 1000;

#[derive(Deserialize)]
struct Jwk<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    #[serde(borrow)]
    crv: Option<Cow<'a, str>>,
    #[serde(borrow)]
    n: Option<Cow<'a, str>>,
    #[serde(borrow)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow)]
    x: Option<Cow<'a, str>>,
    #[serde(borrow)]
    y: Option<Cow<'a, str>>,
    #[serde(borrow)]
    d: Option<Cow<'a, str>>,
    #[serde(borrow)]
    k: Option<Cow<'a, str>>,
    #[serde(borrow)]
    alg: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "use")]
    usage: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kid: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<Jwk<'a>>,
}

/// The keys of a file, each with whether its private half is there; empty where it is no JWK or set of them.
pub(super) fn read(bytes: &[u8]) -> Vec<(bool, Result<Public, &'static str>)> {
    let object = bytes.trim_ascii_start().first() == Some(&b'{');
    if !object || !bytes.windows(5).any(|window| window == b"\"kty\"") {
        return vec![];
    }
    let keys = match serde_json::from_slice::<Set<'_>>(bytes) {
        Ok(set) => set.keys,
        Err(_) => serde_json::from_slice::<Jwk<'_>>(bytes).map(|key| vec![key]).unwrap_or_default(),
    };
    keys.iter().take(MOST).map(|key| (key.d.is_some() || key.k.is_some(), describe(key))).collect()
}

fn describe(key: &Jwk<'_>) -> Result<Public, &'static str> {
    let read = match key.kty.as_ref() {
        "RSA" => decode(&key.n).zip(decode(&key.e)).and_then(|(n, e)| rsa_of(&unsigned(&n), &unsigned(&e))),
        "EC" => decode(&key.x).zip(decode(&key.y)).and_then(|(x, y)| {
            let curve = match key.crv.as_deref()? {
                "P-256" => "nistp256",
                "P-384" => "nistp384",
                "P-521" => "nistp521",
                "secp256k1" => "secp256k1",
                _ => return None,
            };
            ec_of(curve, &[&[4][..], &x, &y].concat())
        }),
        "OKP" => match key.crv.as_deref() {
            Some("Ed25519") => decode(&key.x).map(|x| ed25519(&x)),
            Some("X25519") => decode(&key.x).map(|x| x25519(&x)),
            Some("Ed448") => Some(Public { key_type: Some(KeyType::Ed448), bits: Some(448), ..Public::default() }),
            _ => Some(Public { key_type: Some(KeyType::Other), ..Public::default() }),
        },
        "oct" => decode(&key.k).map(|k| Public {
            key_type: Some(KeyType::Symmetric),
            bits: u32::try_from(k.len() * 8).ok(),
            ..Public::default()
        }),
        _ => Some(Public { key_type: Some(KeyType::Other), ..Public::default() }),
    };
    let read = read.ok_or("a JWK whose numbers can't be read, or on a curve that this program does not know")?;
    let words = [&key.alg, &key.usage].map(|word| word.as_ref().map(|word| short(word)));
    let purpose: Vec<String> = words.into_iter().flatten().collect();
    Ok(Public {
        algorithm: read.algorithm.or_else(|| Some(short(key.crv.as_deref().unwrap_or(&key.kty)))),
        purpose: (!purpose.is_empty()).then(|| purpose.join(", ")),
        key_id: key.kid.as_ref().map(|kid| short(kid)),
        ..read
    })
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

fn decode(text: &Option<Cow<'_, str>>) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.as_ref()?.trim_end_matches('=');
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// A number without sign as an INTEGER wants it: a zero before a first bit that is set.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let digits = number.get(start..).unwrap_or_default();
    let sign = digits.first().is_none_or(|first| first & 0x80 != 0);
    let sign: &[u8] = if sign { &[0] } else { &[] };
    [sign, digits].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 8037, appendix A.1; RFC 7517, section 3.
        let text = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256",
            "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            "kid":"Public key used in JWS spec Appendix A.3 example"},{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODw","alg":"A128KW"}]}"#;
        let keys = read(text.as_bytes());
        let (private, first) = &keys[0];
        let first = first.as_ref().unwrap();
        assert!(*private && first.key_type == Some(KeyType::Ed25519));
        // The public half of RFC 8032, section 7.1, test 1, as OpenSSL writes it.
        assert_eq!(first.spki.as_deref(), Some("06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9"));
        let second = keys[1].1.as_ref().unwrap();
        assert!(!keys[1].0 && second.curve.as_deref() == Some("secp256r1") && second.key_id.is_some());
        let third = keys[2].1.as_ref().unwrap();
        assert_eq!((keys[2].0, third.bits, third.purpose.as_deref()), (true, Some(128), Some("A128KW")));
        assert!(read(b"{\"a\":1}").is_empty() && read(b"").is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(kty in "RSA|EC|OKP|oct|x", value in "[A-Za-z0-9_=-]{0,40}", bytes: Vec<u8>) {
            read(&bytes);
            let text = format!(r#"{{"kty":"{kty}","crv":"P-256","n":"{value}","e":"{value}","x":"{value}","y":"{value}","k":"{value}"}}"#);
            read(text.as_bytes());
        }
    }
}
