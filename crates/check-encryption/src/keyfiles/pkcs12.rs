//! PKCS #12 stores (RFC 7292), as far as they can be read without a passphrase: which bags stand in the clear, how the
//! others are encrypted, and what guards the whole. With one, shrouded keys are opened too.

use super::der::{INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, dotted};
use super::private::{Public, encrypted_pkcs8, pkcs8};
use super::protection::{hash, number, of_algorithm, open, unknown};
use crate::facts::{Certificate, Container, Protection, Scheme};

const CONTEXT: u8 = 0xa0;
const DATA: &str = "1.2.840.113549.1.7.1";
const ENCRYPTED_DATA: &str = "1.2.840.113549.1.7.6";
/// Bags looked at in one store, and how deep safes lie in each other.
const MOST_BAGS: usize = 1000;
const DEEPEST: usize = 4;

/// What a store holds.
pub(super) struct Store {
    pub(super) container: Container,
    pub(super) keys: Vec<Result<Public, &'static str>>,
    pub(super) certificates: Vec<Certificate>,
}

/// Whether these bytes begin as a store does: version 3 and a content of type data or signedData. Also those that are
/// written in BER with lengths left open, which are not read any further.
pub(super) fn is_store(bytes: &[u8]) -> bool {
    let head = bytes.get(..64.min(bytes.len())).unwrap_or_default();
    let version = [INTEGER, 1, 3, SEQUENCE];
    let oid = [OID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7];
    let at = head.windows(version.len()).position(|window| window == version);
    at.is_some_and(|at| at <= 6) && head.windows(oid.len()).any(|window| window == oid)
}

/// Reads a store; `None` where it is in BER, or broken. An empty passphrase, which some programs write where none is given, hides
/// nothing.
pub(super) fn read(bytes: &[u8], passphrase: Option<&str>) -> Option<Store> {
    let store = read_with(bytes, passphrase)?;
    let shown = |store: &Store| store.keys.iter().all(|key| key.as_ref().is_ok_and(|key| !key.is_hidden()));
    if shown(&store) {
        return Some(store);
    }
    let Some(mut open) = read_with(bytes, Some("")).filter(shown) else { return Some(store) };
    for key in open.keys.iter_mut().flatten() {
        key.encrypted = false;
    }
    Some(open)
}

fn read_with(bytes: &[u8], passphrase: Option<&str>) -> Option<Store> {
    let mut body = Reader::new(bytes).enter(SEQUENCE)?;
    (body.take(INTEGER)? == [3]).then_some(())?;
    let mut content = body.enter(SEQUENCE)?;
    let kind = dotted(content.take(OID)?)?;
    let container = Container {
        name: String::new(),
        format: "PKCS12".to_owned(),
        keys: Some(0),
        certificates: Some(0),
        parts: vec![],
        mac: body.enter(SEQUENCE).and_then(mac),
        recipients: vec![],
    };
    let mut store = Store { container, keys: vec![], certificates: vec![] };
    if kind != DATA {
        // Signed with a key in place of a passphrase: its content is not looked into.
        store.keys.push(Err("a PKCS #12 store that is signed in place of being guarded by a passphrase; not opened"));
        store.container.keys = None;
        store.container.certificates = None;
        return Some(store);
    }
    let mut safes = Reader::new(content.enter(CONTEXT)?.take(OCTET_STRING)?).enter(SEQUENCE)?;
    let mut hidden = false;
    while !safes.is_empty() {
        let mut safe = safes.enter(SEQUENCE)?;
        match dotted(safe.take(OID)?)?.as_str() {
            DATA => bags(&mut store, Reader::new(safe.enter(CONTEXT)?.take(OCTET_STRING)?), passphrase, 0)?,
            ENCRYPTED_DATA => hidden |= encrypted_safe(&mut store, safe, passphrase)?,
            _ => {
                hidden = true;
                store.container.parts.push(unknown());
            }
        }
    }
    if hidden {
        store.container.certificates = store.container.certificates.filter(|n| *n > 0);
        if store.keys.is_empty() {
            store.container.keys = None;
            store.keys.push(Err("a PKCS #12 store whose content is encrypted as a whole; a passphrase would open it"));
        }
    }
    Some(store)
}

/// A safe that is encrypted (RFC 5652, section 8). Whether it stays closed.
fn encrypted_safe(store: &mut Store, safe: Reader<'_>, passphrase: Option<&str>) -> Option<bool> {
    let mut safe = safe;
    let mut data = safe.enter(CONTEXT)?.enter(SEQUENCE)?;
    data.take(INTEGER)?;
    let mut content = data.enter(SEQUENCE)?;
    content.take(OID)?;
    let algorithm = content.enter(SEQUENCE)?;
    store.container.parts.push(of_algorithm(algorithm)?);
    let encrypted = content.take(0x80);
    let plain = encrypted.zip(passphrase).and_then(|(encrypted, passphrase)| open(algorithm, encrypted, passphrase));
    match plain {
        Some(plain) => bags(store, Reader::new(&plain), passphrase, 0).map(|()| false),
        None => Some(true),
    }
}

/// `SafeContents`: a sequence of bags.
fn bags(store: &mut Store, contents: Reader<'_>, passphrase: Option<&str>, depth: usize) -> Option<()> {
    let mut contents = contents;
    let mut list = contents.enter(SEQUENCE)?;
    let count = |number: &mut Option<u32>| *number = number.map(|n| n + 1);
    while !list.is_empty() && store.keys.len() + store.certificates.len() < MOST_BAGS {
        let mut bag = list.enter(SEQUENCE)?;
        let kind = dotted(bag.take(OID)?)?;
        let mut value = bag.enter(CONTEXT)?;
        match kind.strip_prefix("1.2.840.113549.1.12.10.1.") {
            Some("1") => {
                count(&mut store.container.keys);
                store
                    .keys
                    .push(pkcs8(value.take_whole(SEQUENCE)?).ok_or("a key of a form that this program does not know"));
            }
            Some("2") => {
                count(&mut store.container.keys);
                let key = encrypted_pkcs8(value.take_whole(SEQUENCE)?, passphrase);
                store.keys.push(key.ok_or("an encrypted key of a form that this program does not know"));
            }
            Some("3") => {
                count(&mut store.container.certificates);
                let mut certificate = value.enter(SEQUENCE)?;
                certificate.take(OID)?;
                let der = certificate.enter(CONTEXT)?.take(OCTET_STRING)?;
                store.certificates.push(super::certificate::read(Some(der)));
            }
            Some("6") if depth < DEEPEST => bags(store, value, passphrase, depth + 1)?,
            // Lists of revocations, and secrets of other sorts.
            _ => {}
        }
    }
    Some(())
}

/// `MacData` (RFC 7292, section 4; RFC 9579 for PBMAC1).
fn mac(data: Reader<'_>) -> Option<Protection> {
    let mut data = data;
    let mut digest = data.enter(SEQUENCE)?;
    let mut algorithm = digest.enter(SEQUENCE)?;
    let oid = dotted(algorithm.take(OID)?)?;
    if oid == "1.2.840.113549.1.5.14" {
        return Some(Protection { scheme: Scheme::Pbes2, kdf: Some("PBKDF2".to_owned()), ..unknown() });
    }
    data.take(OCTET_STRING)?;
    // One iteration where none is written.
    let cost = data.take(INTEGER).and_then(number).or(Some(1));
    let hash = hash(&oid).map(str::to_owned);
    Some(Protection { scheme: Scheme::Pkcs12, cipher: None, kdf: Some("PKCS12".to_owned()), hash, cost })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A store of `openssl pkcs12 -export -passout pass:` with a key of 1024 bits, made for this test alone.
    #[test]
    fn an_empty_passphrase_hides_nothing() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let run = |argv: &[&str]| {
            let done = std::process::Command::new("openssl").args(argv).current_dir(folder.path()).output();
            done.map(|done| assert!(done.status.success(), "{done:?}"))
        };
        run(&[
            "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "k", "-out", "c", "-subj", "/CN=lab", "-days",
            "9",
        ])?;
        for (pass, shown) in [("pass:", true), ("pass:lab", false)] {
            run(&["pkcs12", "-export", "-inkey", "k", "-in", "c", "-passout", pass, "-out", "s"])?;
            let store = read(&std::fs::read(folder.path().join("s"))?, None).ok_or("no store")?;
            let bits: Vec<_> = store.keys.iter().map(|key| key.as_ref().ok().and_then(|key| key.bits)).collect();
            assert_eq!(bits.contains(&Some(1024)), shown, "{pass}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes: Vec<u8>) {
            is_store(&bytes);
            read(&bytes, Some("passphrase"));
        }
    }
}
