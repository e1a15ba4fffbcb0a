use check_tls::certificate::{MOST_CERTIFICATES, MOST_NAMES, describe, name_match};
use check_tls::facts::{Certificate, CertificateOutcome, NameOutcome};
use proptest::prelude::*;
use rcgen::string::{BmpString, TeletexString};
use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SanType, SerialNumber, date_time_ymd};

use crate::made::{Made, Result, authority, authority_params, chain, leaf, leaf_params, openssl, pair, read};

fn one(der: &[u8]) -> Result<Certificate> {
    describe(&[der.to_vec()]).pop().ok_or_else(|| "nothing was described".into())
}

fn key(der: &[u8]) -> Result<(String, Option<u32>, Option<String>)> {
    let key = one(der)?.key.ok_or("no key")?;
    Ok((key.algorithm, key.bits, key.curve))
}

#[test]
fn a_chain_is_described_in_the_order_served() -> Result {
    let root = authority("Root", None)?;
    let middle = authority("Middle", Some(&root))?;
    let mut params = leaf_params()?;
    params.serial_number = Some(SerialNumber::from_slice(&[0x81, 0x02]));
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse()?));
    params.subject_alt_names.push(SanType::IpAddress("2001:db8::7".parse()?));
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 0x03, 0x02, 0x01, 0x05]));
    let leaf = Made::new(params, KeyPair::generate()?, Some(&middle))?;
    let [first, second, third] = describe(&chain(&[&leaf, &middle, &root])).try_into().map_err(|_| "three")?;

    assert_eq!(first.subject, "CN=www.example.org");
    assert_eq!(first.issuer, "CN=Middle");
    assert_eq!(first.serial, "8102");
    assert_eq!(first.not_before.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(first.not_after.as_deref(), Some("2027-01-01T00:00:00Z"));
    assert_eq!(first.lifetime_seconds, Some(365 * 86_400 + 1));
    assert_eq!(first.dns_names, ["www.example.org"]);
    assert_eq!(first.ip_addresses, ["192.0.2.7", "2001:db8::7"]);
    assert_eq!(first.extended_key_usage.as_deref(), Some(["serverAuth".to_owned()].as_slice()));
    assert_eq!(first.scts, Some(0));
    assert_eq!((first.must_staple, second.must_staple), (true, false));
    assert_eq!((first.is_ca, second.is_ca), (None, Some(true)));
    assert_eq!((first.issued_by_next, second.issued_by_next, third.issued_by_next), (Some(true), Some(true), None));
    assert_eq!((second.self_issued, third.self_issued, third.self_signed), (false, true, true));
    assert_eq!(second.key_usage.as_deref(), Some(["keyCertSign".to_owned(), "cRLSign".to_owned()].as_slice()));
    assert_eq!(first.signature.ok_or("signature")?.name, "ecdsa-with-SHA256");

    let wrong = describe(&chain(&[&leaf, &root, &middle]));
    assert_eq!(wrong.iter().map(|c| c.issued_by_next).collect::<Vec<_>>(), [Some(false), Some(false), None]);
    Ok(())
}

#[test]
fn one_that_poses_as_the_issuer_did_not_issue_it() -> Result {
    let (real, other) = (authority("Root", None)?, authority("Root", None)?);
    let leaf = leaf(&real)?;
    assert_eq!(describe(&chain(&[&leaf, &other]))[0].issued_by_next, Some(false));
    assert_eq!(describe(&chain(&[&leaf, &real]))[0].issued_by_next, Some(true));
    Ok(())
}

#[test]
fn keys_and_signatures_have_their_names() -> Result {
    let folder = tempfile::tempdir()?;
    let make = |options: &[&str], more: &[&str]| -> Result<Vec<u8>> {
        openssl(folder.path(), &[&["genpkey", "-out", "key"], options].concat())?;
        let request = ["req", "-x509", "-new", "-key", "key", "-subj", "/CN=x", "-out", "out.pem"];
        openssl(folder.path(), &[&request, more].concat())?;
        read(&folder.path().join("out.pem"))
    };
    let der = make(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], &["-sha1"])?;
    assert_eq!(key(&der)?, ("RSA".into(), Some(1024), None));
    let certificate = one(&der)?;
    assert_eq!(certificate.key.ok_or("key")?.exponent.as_deref(), Some("65537"));
    assert_eq!(certificate.signature.ok_or("signature")?.hash.as_deref(), Some("SHA1"));
    assert!(certificate.self_signed);

    let pss = ["-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48"];
    let certificate = one(&make(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2047"], &pss)?)?;
    assert_eq!(certificate.key.ok_or("key")?.bits, Some(2047));
    let signature = certificate.signature.ok_or("signature")?;
    assert_eq!((signature.name.as_str(), signature.hash.as_deref()), ("rsassaPss", Some("SHA384")));

    let pss = ["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"];
    assert_eq!(key(&make(&pss, &[])?)?, ("RSASSA-PSS".into(), Some(2048), None));
    for (curve, name, bits) in [
        ("P-256", "secp256r1", 256),
        ("P-384", "secp384r1", 384),
        ("P-521", "secp521r1", 521),
        ("secp256k1", "secp256k1", 256),
    ] {
        let der = make(&["-algorithm", "EC", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")], &[])?;
        assert_eq!(key(&der)?, ("EC".into(), Some(bits), Some(name.into())));
        assert!(one(&der)?.self_signed, "{curve}");
    }
    let explicit = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"];
    assert_eq!(key(&make(&explicit, &[])?)?, ("EC".into(), None, Some("explicit".into())));
    let der = make(&["-algorithm", "ED25519"], &[])?;
    assert_eq!((key(&der)?.0, one(&der)?.self_signed), ("Ed25519".into(), true));
    assert_eq!(one(&der)?.signature.ok_or("signature")?.hash, None);
    let der = make(&["-algorithm", "ED448"], &[])?;
    assert_eq!((key(&der)?.0, one(&der)?.self_issued, one(&der)?.self_signed), ("Ed448".into(), true, false));
    Ok(())
}

#[test]
fn old_signatures_are_checked_too() -> Result {
    let folder = tempfile::tempdir()?;
    let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
    for hash in ["-sha1", "-sha256", "-sha512"] {
        let pair = pair(folder.path(), &rsa, &[hash], &[hash])?;
        assert_eq!(describe(&pair)[0].issued_by_next, Some(true), "{hash}");
    }
    // A hash that can't be checked here is no verdict.
    assert_eq!(describe(&pair(folder.path(), &rsa, &["-md5"], &["-md5"])?)[0].issued_by_next, None);
    Ok(())
}

#[test]
fn subjects_survive_as_they_are() -> Result {
    let hostile = "\u{1b}[31m<script>alert(1)</script>\u{202e}gro.elpmaxe\0\r\n";
    let mut params = CertificateParams::new(vec![])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "CH");
    params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.+CN=bank");
    params.distinguished_name.push(DnType::CommonName, hostile);
    params.distinguished_name.push(DnType::LocalityName, DnValue::BmpString(BmpString::try_from("Z\u{fc}rich")?));
    params.distinguished_name.push(DnType::StateOrProvinceName, DnValue::TeletexString(TeletexString::try_from("ZH")?));
    params.distinguished_name.push(DnType::from_oid(&[1, 2, 3, 4]), " x");
    let made = Made::new(params, KeyPair::generate()?, None)?;
    let escaped = hostile.replace('<', "\\<").replace('>', "\\>");
    assert_eq!(
        one(&made.der)?.subject,
        format!("1.2.3.4=\\ x,ST=ZH,L=Z\u{fc}rich,CN={escaped},O=Acme\\, Inc.\\+CN\\=bank,C=CH").replace("\\=", "=")
    );
    Ok(())
}

#[test]
fn what_is_too_much_is_cut_and_said() -> Result {
    let names: Vec<String> = (0..MOST_NAMES + 50).map(|n| format!("{n}.example.org")).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "x".repeat(10_000));
    let made = Made::new(params, KeyPair::generate()?, None)?;
    let certificate = one(&made.der)?;
    assert_eq!(certificate.outcome, CertificateOutcome::Parsed);
    assert_eq!(certificate.dns_names.len(), MOST_NAMES);
    assert_eq!(certificate.why.as_deref(), Some("200 of 250 DNS names are listed"));
    assert!(certificate.subject.len() < 5_000);
    // All names still count when one is looked for.
    assert_eq!(name_match(Some("249.example.org"), &made.der).outcome, NameOutcome::Matched);

    let many = describe(&vec![made.der.clone(); MOST_CERTIFICATES + 9]);
    assert_eq!(many.len(), MOST_CERTIFICATES + 1);
    let last = many.last().ok_or("last")?;
    assert_eq!(last.outcome, CertificateOutcome::NotProven);
    assert!(last.why.as_deref().is_some_and(|why| why.starts_with("9 more certificates")));

    let big = one(&vec![0x30; 70_000])?;
    assert_eq!((big.outcome, big.key), (CertificateOutcome::NotProven, None));
    let mut trailing = made.der;
    trailing.push(0);
    assert_eq!(one(&trailing)?.why.as_deref(), Some("1 bytes follow the certificate"));
    Ok(())
}

#[test]
fn an_end_without_end_is_kept() -> Result {
    let mut params = authority_params("Forever")?;
    params.not_after = date_time_ymd(9999, 12, 31);
    let made = Made::new(params, KeyPair::generate()?, None)?;
    assert_eq!(one(&made.der)?.not_after.as_deref(), Some("9999-12-31T00:00:00Z"));
    Ok(())
}

#[test]
fn timestamps_of_certificate_transparency_are_counted() -> Result {
    let scts = |content: Vec<u8>| -> Result<Option<u32>> {
        let mut params = leaf_params()?;
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], content));
        let made = Made::new(params, KeyPair::generate()?, None)?;
        assert_eq!(one(&made.der)?.outcome, CertificateOutcome::Parsed);
        Ok(one(&made.der)?.scts)
    };
    // version, log id, time, no extensions, ecdsa_secp256r1_sha256, two bytes of signature (RFC 6962, 3.2)
    let one = [&[0; 41][..], &[0, 0, 4, 3, 0, 2, 9, 9]].concat();
    let entry = [&[0, u8::try_from(one.len())?][..], &one].concat();
    let list = [entry.as_slice(), &entry].concat();
    let length = u8::try_from(list.len())?;
    assert_eq!(scts([&[4, length + 2, 0, length][..], &list].concat())?, Some(2));
    assert_eq!(scts(vec![4, 4, 0, 9, 1, 2])?, None);
    Ok(())
}

#[test]
fn names_and_addresses_match_as_clients_match_them() -> Result {
    let mut params = CertificateParams::new(vec!["*.example.org".to_owned(), "10.0.0.9.example".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "common.example.net");
    params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse()?));
    params.subject_alt_names.push(SanType::IpAddress("2001:db8::7".parse()?));
    params.subject_alt_names.push(SanType::DnsName("192.0.2.8".try_into()?));
    let made = Made::new(params, KeyPair::generate()?, None)?;
    for (name, expected) in [
        ("www.example.org", NameOutcome::Matched),
        ("WWW.Example.Org.", NameOutcome::Matched),
        ("example.org", NameOutcome::Mismatched),
        ("a.b.example.org", NameOutcome::Mismatched),
        ("common.example.net", NameOutcome::Mismatched),
        ("192.0.2.7", NameOutcome::Matched),
        ("192.0.2.8", NameOutcome::Mismatched),
        ("2001:db8::7", NameOutcome::Matched),
        ("2001:DB8:0:0:0:0:0:7", NameOutcome::Matched),
        ("[2001:db8::7]", NameOutcome::Matched),
        ("2001:db8::8", NameOutcome::Mismatched),
        ("::ffff:192.0.2.7", NameOutcome::Mismatched),
        ("b\u{fc}cher.example.org", NameOutcome::NotProven),
        ("", NameOutcome::Mismatched),
    ] {
        assert_eq!(name_match(Some(name), &made.der).outcome, expected, "{name}");
    }
    assert_eq!(name_match(None, &made.der).outcome, NameOutcome::NotProven);
    assert_eq!(name_match(Some("www.example.org"), &[1, 2, 3]).outcome, NameOutcome::NotProven);
    let mut params = CertificateParams::new(vec![])?;
    params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 5, 1]));
    let why = name_match(Some("www.example.org"), &Made::new(params, KeyPair::generate()?, None)?.der).why;
    assert!(why.as_deref().is_some_and(|why| why.contains("can't be parsed")), "{why:?}");
    let mut params = CertificateParams::new(vec![])?;
    params.distinguished_name.push(DnType::CommonName, "www.example.org");
    let why = name_match(Some("www.example.org"), &Made::new(params, KeyPair::generate()?, None)?.der).why;
    assert!(why.is_some_and(|why| why.contains("no subject alternative name")));
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = describe(&[bytes.clone(), bytes.clone()]);
        let _ = name_match(Some("example.org"), &bytes);
    }

    #[test]
    fn no_damaged_certificate_makes_it_panic(at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let made = leaf(&authority("Root", None).map_err(fail)?).map_err(fail)?;
        let mut damaged = made.der.clone();
        *at.get_mut(&mut damaged) = to;
        let _ = describe(&[damaged.clone(), made.der]);
        let _ = name_match(Some("example.org"), &damaged);
        damaged.truncate(cut.index(damaged.len()));
        let _ = describe(&[damaged]);
    }
}

fn fail(error: Box<dyn std::error::Error>) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// A certificate, signed by anybody, for an RSA key with that modulus and the exponent 65537.
fn of_modulus(folder: &std::path::Path, modulus: &num_bigint::BigUint) -> Result<Vec<u8>> {
    let tlv = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[tag, 0x81, length][..], content].concat()
    };
    let numbers = [tlv(2, &[&[0][..], &modulus.to_bytes_be()].concat()), tlv(2, &[1, 0, 1])].concat();
    let algorithm = tlv(0x30, &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0]);
    let bits = tlv(3, &[&[0][..], &tlv(0x30, &numbers)].concat());
    std::fs::write(folder.join("public.der"), tlv(0x30, &[algorithm, bits].concat()))?;
    openssl(folder, &["pkey", "-pubin", "-inform", "DER", "-in", "public.der", "-out", "public.pem"])?;
    openssl(folder, &["genpkey", "-algorithm", "ED25519", "-out", "signer.key"])?;
    let request = ["x509", "-new", "-force_pubkey", "public.pem", "-key", "signer.key", "-subj", "/CN=marked"];
    openssl(folder, &[&request[..], &["-out", "marked.pem"]].concat())?;
    read(&folder.join("marked.pem"))
}

#[test]
fn marks_of_keys_that_others_can_compute_are_told() -> Result {
    use check_tls::facts::Presence::{self, Absent, Present};
    let folder = tempfile::tempdir()?;
    let marks = |der: &[u8]| -> Result<Vec<Presence>> {
        Ok(one(der)?.key.ok_or("no key")?.marks.iter().map(|mark| mark.outcome).collect())
    };
    let two = num_bigint::BigUint::from(2_u8);
    let mersenne = two.pow(521) - 1_u8;
    // Two numbers that lie close, and two that do not.
    let close = of_modulus(folder.path(), &(&mersenne * (&mersenne + 24_u8)))?;
    assert_eq!(marks(&close)?, [Absent, Present, Absent]);
    let sound = of_modulus(folder.path(), &(&mersenne * (two.pow(507) - 5_u8)))?;
    assert_eq!(marks(&sound)?, [Absent, Absent, Absent]);
    assert_eq!(marks(&authority("Root", None)?.der)?, [Absent, Absent, Absent]);
    Ok(())
}
