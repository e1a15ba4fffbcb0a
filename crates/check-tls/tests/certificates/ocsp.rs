use std::path::Path;

use check_tls::certificate::ocsp;
use check_tls::facts::{Ocsp, OcspStatus, Presence};
use proptest::prelude::*;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SerialNumber};
use tempfile::TempDir;

use crate::made::{Made, Result, authority, chain, leaf_params, openssl};

/// An authority and its responder, run by `openssl ocsp`.
struct Responder {
    folder: TempDir,
    root: Made,
}

/// Serial numbers of the index: 1000 is good, 1001 revoked, all others are unknown.
const INDEX: &str = "V\t400101000000Z\t\t1000\tunknown\t/CN=good\n\
                     R\t400101000000Z\t250203040506Z,keyCompromise\t1001\tunknown\t/CN=revoked\n";

impl Responder {
    fn new() -> Result<Self> {
        let (folder, root) = (tempfile::tempdir()?, authority("Root", None)?);
        let responder = Self { folder, root };
        responder.write("root", &responder.root)?;
        std::fs::write(responder.folder.path().join("index.txt"), INDEX)?;
        Ok(responder)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, made: &Made) -> Result {
        std::fs::write(self.path().join(format!("{name}.pem")), &made.pem)?;
        std::fs::write(self.path().join(format!("{name}.key")), made.key.serialize_pem())?;
        Ok(())
    }

    fn leaf(&self, serial: [u8; 2]) -> Result<Made> {
        let mut params = leaf_params()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let leaf = Made::new(params, KeyPair::generate()?, Some(&self.root))?;
        self.write("leaf", &leaf)?;
        Ok(leaf)
    }

    /// The response for the last leaf made, signed by that certificate.
    fn answer(&self, signer: &str, more: &[&str], hash: &str) -> Result<Vec<u8>> {
        openssl(
            self.path(),
            &["ocsp", hash, "-issuer", "root.pem", "-cert", "leaf.pem", "-no_nonce", "-reqout", "request"],
        )?;
        let (certificate, key) = (format!("{signer}.pem"), format!("{signer}.key"));
        let answer = ["ocsp", "-index", "index.txt", "-CA", "root.pem", "-reqin", "request", "-respout", "response"];
        openssl(self.path(), &[&answer, &["-rsigner", &certificate, "-rkey", &key][..], more].concat())?;
        Ok(std::fs::read(self.path().join("response"))?)
    }

    fn delegate(&self, usage: Vec<ExtendedKeyUsagePurpose>, by: Option<&Made>) -> Result {
        let mut params = leaf_params()?;
        params.extended_key_usages = usage;
        self.write("delegate", &Made::new(params, KeyPair::generate()?, by)?)
    }
}

fn said(fact: &Ocsp) -> (Presence, Option<OcspStatus>, Option<bool>) {
    (fact.outcome, fact.status, fact.signature_verified)
}

#[test]
fn good_revoked_and_unknown() -> Result {
    let responder = Responder::new()?;
    for (serial, status) in
        [([0x10, 0], OcspStatus::Good), ([0x10, 1], OcspStatus::Revoked), ([0x10, 2], OcspStatus::Unknown)]
    {
        let leaf = responder.leaf(serial)?;
        for hash in ["-sha1", "-sha256", "-sha512"] {
            let response = responder.answer("root", &["-ndays", "7"], hash)?;
            let fact = ocsp(&response, &chain(&[&leaf, &responder.root]));
            assert_eq!(said(&fact), (Presence::Present, Some(status), Some(true)), "{fact:?}");
            assert_eq!(fact.revoked_at.as_deref(), (status == OcspStatus::Revoked).then_some("2025-02-03T04:05:06Z"));
            assert!(fact.why.is_none() && fact.this_update < fact.next_update);
        }
        let fact = ocsp(&responder.answer("root", &[], "-sha1")?, &chain(&[&leaf, &responder.root]));
        assert!(fact.this_update.is_some_and(|time| time.ends_with('Z')) && fact.next_update.is_none());
    }
    Ok(())
}

#[test]
fn a_response_without_its_issuer_is_read_but_not_verified() -> Result {
    let responder = Responder::new()?;
    let leaf = responder.leaf([0x10, 0])?;
    let response = responder.answer("root", &[], "-sha1")?;
    assert_eq!(said(&ocsp(&response, &chain(&[&leaf]))), (Presence::Present, Some(OcspStatus::Good), None));
    // An authority of the same name with another key issued nothing.
    let impostor = authority("Root", None)?;
    assert_eq!(said(&ocsp(&response, &chain(&[&leaf, &impostor]))).2, None);
    Ok(())
}

#[test]
fn a_response_about_another_certificate_has_no_status() -> Result {
    let responder = Responder::new()?;
    responder.leaf([0x10, 0])?;
    let response = responder.answer("root", &[], "-sha1")?;
    let other = responder.leaf([0x10, 1])?;
    let fact = ocsp(&response, &chain(&[&other, &responder.root]));
    assert_eq!(said(&fact), (Presence::Present, None, Some(true)));
    assert_eq!(fact.why.as_deref(), Some("the response is about another certificate"));

    // The same serial number from another authority.
    let (stranger, mut params) = (authority("Stranger", None)?, leaf_params()?);
    params.serial_number = Some(SerialNumber::from_slice(&[0x10, 0]));
    let other = Made::new(params, KeyPair::generate()?, Some(&stranger))?;
    assert_eq!(said(&ocsp(&response, &chain(&[&other, &stranger]))), (Presence::Present, None, Some(false)));
    Ok(())
}

#[test]
fn a_responder_needs_the_issuers_word() -> Result {
    let responder = Responder::new()?;
    let leaf = responder.leaf([0x10, 0])?;
    let served = chain(&[&leaf, &responder.root]);
    let verified = |served: &[Vec<u8>]| -> Result<Option<bool>> {
        let fact = ocsp(&responder.answer("delegate", &[], "-sha1")?, served);
        assert_eq!(fact.status, Some(OcspStatus::Good));
        Ok(fact.signature_verified)
    };
    responder.delegate(vec![ExtendedKeyUsagePurpose::OcspSigning], Some(&responder.root))?;
    assert_eq!(verified(&served)?, Some(true));
    responder.delegate(vec![ExtendedKeyUsagePurpose::ServerAuth], Some(&responder.root))?;
    assert_eq!(verified(&served)?, Some(false));
    responder.delegate(vec![ExtendedKeyUsagePurpose::OcspSigning], Some(&authority("Root", None)?))?;
    assert_eq!(verified(&served)?, Some(false));
    responder.delegate(vec![ExtendedKeyUsagePurpose::OcspSigning], None)?;
    assert_eq!(verified(&served)?, Some(false));
    Ok(())
}

#[test]
fn what_is_no_answer() -> Result {
    let responder = Responder::new()?;
    let leaf = responder.leaf([0x10, 0])?;
    let served = chain(&[&leaf, &responder.root]);
    assert_eq!(said(&ocsp(&[], &served)), (Presence::Absent, None, None));
    assert_eq!(said(&ocsp(b"HTTP/1.1 200", &served)), (Presence::NotProven, None, None));
    assert_eq!(said(&ocsp(&vec![0x30; 100_000], &served)), (Presence::NotProven, None, None));
    // OCSPResponse ::= SEQUENCE { responseStatus tryLater (3) }
    let fact = ocsp(&[0x30, 0x03, 0x0a, 0x01, 0x03], &served);
    assert_eq!(
        (said(&fact), fact.why.as_deref()),
        ((Presence::Present, None, None), Some("the responder answered TryLater"))
    );
    let response = responder.answer("root", &[], "-sha1")?;
    assert_eq!(said(&ocsp(&response, &[])), (Presence::Present, None, None));

    // Whatever byte is changed, a response that still verifies still says the same.
    let said = |response: &[u8]| {
        let fact = ocsp(response, &served);
        (fact.signature_verified == Some(true)).then_some((fact.status, fact.this_update, fact.next_update))
    };
    let truth = said(&response);
    assert!(truth.is_some());
    let changed = (0..response.len()).map(|at| {
        let mut forged = response.clone();
        forged[at] ^= 1;
        said(&forged)
    });
    let (same, other): (Vec<_>, Vec<_>) = changed.flatten().partition(|said| Some(said) == truth.as_ref());
    assert!(other.is_empty() && same.len() < response.len(), "{other:?}");
    Ok(())
}

#[test]
fn no_damaged_response_makes_it_panic() -> Result {
    let responder = Responder::new()?;
    let leaf = responder.leaf([0x10, 0])?;
    let served = chain(&[&leaf, &responder.root]);
    let response = responder.answer("root", &[], "-sha1")?;
    let mut runner = proptest::test_runner::TestRunner::default();
    runner.run(&(any::<prop::sample::Index>(), any::<u8>(), any::<Vec<u8>>()), |(at, to, bytes)| {
        let mut damaged = response.clone();
        *at.get_mut(&mut damaged) = to;
        let _ = ocsp(&damaged, &served);
        let _ = ocsp(&damaged, std::slice::from_ref(&bytes));
        let _ = ocsp(&bytes, &served);
        Ok(())
    })?;
    Ok(())
}
