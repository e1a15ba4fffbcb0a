//! Cryptographic Message Syntax (RFC 5652, RFC 5083).

use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

use super::ber::{Ber, string};
use super::{Container, Found};

/// 1.2.840.113549.1.7.3, `id-envelopedData`.
const ENVELOPED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
/// 1.2.840.113549.1.7.2, `id-signedData`.
const SIGNED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
/// 1.2.840.113549.1.9.16.1.23, `id-ct-authEnvelopedData`.
const AUTH_ENVELOPED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 23];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 6;
const INTEGER: u8 = 2;

/// What a CMS structure holds. Data that are only signed are a layer around what anybody can read.
pub(super) fn read(bytes: &[u8], whole: bool) -> Option<Found> {
    let mut all = Ber(bytes);
    let mut info = Ber(all.take(SEQUENCE)?);
    let content_type = info.take(OID)?;
    let mut explicit = Ber(info.take(0xa0)?);
    let mut content = Ber(explicit.take(SEQUENCE)?);
    content.take(INTEGER)?;
    if content_type == SIGNED {
        content.take(SET)?;
        let mut inner = Ber(content.take(SEQUENCE)?);
        inner.take(OID)?;
        let (tag, text) = Ber(inner.take(0xa0)?).next()?;
        return Some(Found::Layer("cms signed-data", string(tag, text), whole));
    }
    if content_type != ENVELOPED && content_type != AUTH_ENVELOPED {
        return None;
    }
    content.take(0xa0);
    let mut infos = Ber(content.take(SET)?);
    let mut recipients = Vec::new();
    let mut beside = Vec::new();
    while let Some((tag, info)) = infos.next() {
        recipients.extend(named(tag, info));
        // The wrapped key is the last field.
        let mut fields = Ber(info);
        beside.extend(std::iter::from_fn(|| fields.next()).last().map(|(_, key)| key.to_vec()));
    }
    let mut encrypted = Ber(content.take(SEQUENCE)?);
    encrypted.take(OID)?;
    encrypted.take(SEQUENCE)?;
    let (tag, text) = encrypted.next()?;
    // [0] IMPLICIT OCTET STRING.
    let body = matches!(tag, 0x80 | 0xa0).then(|| string(tag, text))?;
    // Authenticated attributes and a tag belong to one of the two; all that may follow beside is in clear.
    let (mut more, mut doubt) = (false, None);
    while let Some((tag, field)) = content.next() {
        more |= !(content_type == AUTH_ENVELOPED && (tag == 0xa1 || tag == 4 && field.len() <= 16));
        beside.push(field.to_vec());
    }
    for rest in [all.0, info.0, explicit.0, content.0, infos.0, encrypted.0].into_iter().filter(|_| whole) {
        let rest = rest.strip_prefix(&[0, 0]).unwrap_or(rest);
        more |= !rest.is_empty();
        beside.push(rest.to_vec());
    }
    if more {
        doubt = Some("it has attributes in clear, or bytes behind its end".to_owned());
    }
    Some(Found::Container(Container { format: "cms", recipients, body, beside, doubt, ..Container::default() }))
}

/// Whom a RecipientInfo names (RFC 5652, section 6.2).
fn named(tag: u8, info: &[u8]) -> Vec<String> {
    let mut fields = Ber(info);
    let one = |name: &str| vec![name.to_owned()];
    match tag {
        // KeyTransRecipientInfo: version, then the identifier.
        SEQUENCE => {
            fields.take(INTEGER);
            vec![fields.next().and_then(|(tag, id)| identified(tag, id)).unwrap_or_else(|| "key transport".to_owned())]
        }
        // KeyAgreeRecipientInfo: of each recipient an identifier and a key.
        0xa1 => {
            let keys = std::iter::from_fn(|| fields.next()).last();
            let mut keys = Ber(keys.map_or(&[], |(_, keys)| keys));
            let mut all = Vec::new();
            while let Some(key) = keys.take(SEQUENCE) {
                let id = Ber(key).next().and_then(|(tag, id)| match tag {
                    // RecipientKeyIdentifier begins with the key's.
                    0xa0 => Ber(id).next().and_then(|(_, id)| identified(0x80, id)),
                    tag => identified(tag, id),
                });
                all.push(id.unwrap_or_else(|| "key agreement".to_owned()));
            }
            if all.is_empty() { one("key agreement") } else { all }
        }
        0xa2 => one("key encryption key"),
        0xa3 => one("passphrase"),
        _ => one("other"),
    }
}

/// IssuerAndSerialNumber, or a subject's key identifier. A serial number alone is anybody's: every authority has its own.
fn identified(tag: u8, id: &[u8]) -> Option<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    if tag != SEQUENCE {
        return Some(format!("key {}", hex(id.get(..64).unwrap_or(id))));
    }
    let mut both = Ber(id);
    both.take(SEQUENCE)?;
    let issuer = id.get(..id.len().checked_sub(both.0.len())?)?;
    let serial = both.take(INTEGER)?;
    let name = X509Name::from_der(issuer).map(|(_, name)| name.to_string()).unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    // The digest tells apart what is written alike.
    Some(format!("serial {} of {name} ({})", hex(serial.get(..64).unwrap_or(serial)), short_digest(issuer)))
}

/// The first eight bytes of a name's SHA-256.
fn short_digest(issuer: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, issuer);
    digest.as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect()
}
