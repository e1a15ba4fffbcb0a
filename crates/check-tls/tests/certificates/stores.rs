use check_tls::certificate::Stores;
use check_tls::facts::{StoreOutcome, StoreVerdict};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, date_time_ymd,
};

use crate::made::{Made, Result, authority, authority_params, chain, leaf, leaf_params, pair};

/// The verdict of a custom store that holds these.
fn judged(roots: &[&Made], served: &[Vec<u8>]) -> Result<StoreVerdict> {
    let bundle: String = roots.iter().map(|root| root.pem.as_str()).collect();
    let mut verdicts = Stores::load(&[("root.pem".to_owned(), bundle.into_bytes())]).judge(served);
    assert_eq!(verdicts.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["system", "mozilla", "custom:root.pem"]);
    assert_ne!(verdicts[1].trusted, Some(true), "Mozilla trusts no chain made here");
    verdicts.pop().ok_or_else(|| "no verdict".into())
}

fn untrusted(verdict: &StoreVerdict, words: &str) {
    assert_eq!((verdict.outcome, verdict.trusted), (StoreOutcome::Untrusted, Some(false)), "{verdict:?}");
    assert!(verdict.why.as_deref().is_some_and(|why| why.contains(words)), "{verdict:?}");
    assert!(verdict.valid.is_none() && verdict.path.is_empty());
}

fn valid(verdict: &StoreVerdict) -> Option<(&str, &str)> {
    verdict.valid.as_ref().map(|valid| (valid.from.as_str(), valid.to.as_str()))
}

#[test]
fn a_path_is_found_in_any_order() -> Result {
    let root = authority("Root", None)?;
    let middle = authority("Middle", Some(&root))?;
    let leaf = leaf(&middle)?;
    for served in [chain(&[&leaf, &middle]), chain(&[&leaf, &root, &middle]), chain(&[&leaf, &middle, &middle, &root])]
    {
        let verdict = judged(&[&root], &served)?;
        assert_eq!((verdict.outcome, verdict.why.as_deref()), (StoreOutcome::Trusted, None), "{verdict:?}");
        assert_eq!(verdict.path, ["CN=www.example.org", "CN=Middle", "CN=Root"]);
        assert_eq!(valid(&verdict), Some(("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")));
        assert!(verdict.store_digest.starts_with("1 certificates, SHA-256 "));
    }
    Ok(())
}

#[test]
fn the_missing_link_is_named() -> Result {
    let root = authority("Root", None)?;
    let middle = authority("Middle", Some(&root))?;
    let leaf = leaf(&middle)?;
    untrusted(
        &judged(&[&root], &chain(&[&leaf]))?,
        "certificate 0 (CN=www.example.org) is issued by CN=Middle, which is neither",
    );
    untrusted(
        &judged(&[&leaf_of_another()?], &chain(&[&leaf, &middle]))?,
        "certificate 1 (CN=Middle) is issued by CN=Root",
    );
    untrusted(
        &judged(&[&leaf_of_another()?], &chain(&[&leaf, &middle, &root]))?,
        "certificate 2 (CN=Root) is self-signed",
    );
    untrusted(&judged(&[&root], &chain(&[&leaf, &leaf_of_another()?]))?, "issued by CN=Middle");
    Ok(())
}

fn leaf_of_another() -> Result<Made> {
    authority("Other", None)
}

#[test]
fn a_name_without_the_key_is_no_issuer() -> Result {
    let (root, impostor) = (authority("Root", None)?, authority("Root", None)?);
    let leaf = leaf(&root)?;
    untrusted(&judged(&[&impostor], &chain(&[&leaf]))?, "does not verify with the key of CN=Root in the store");
    untrusted(
        &judged(&[&leaf_of_another()?], &chain(&[&leaf, &impostor]))?,
        "the signature of certificate 0 (CN=www.example.org) does not verify with the key of certificate 1 (CN=Root)",
    );
    Ok(())
}

#[test]
fn one_flipped_bit_breaks_the_path() -> Result {
    let root = authority("Root", None)?;
    let mut served = chain(&[&leaf(&root)?]);
    *served[0].last_mut().ok_or("empty")? ^= 1;
    untrusted(&judged(&[&root], &served)?, "does not verify");
    Ok(())
}

#[test]
fn dates_are_told_but_not_judged() -> Result {
    let root = authority("Root", None)?;
    let mut params = leaf_params()?;
    (params.not_before, params.not_after) = (date_time_ymd(2021, 1, 1), date_time_ymd(2022, 1, 1));
    let expired = Made::new(params, KeyPair::generate()?, Some(&root))?;
    let verdict = judged(&[&root], &chain(&[&expired]))?;
    assert_eq!(verdict.trusted, Some(true), "{verdict:?}");
    assert_eq!(valid(&verdict), Some(("2021-01-01T00:00:00Z", "2022-01-01T00:00:00Z")));

    // The leaf's year and the authority's do not meet.
    let mut params = authority_params("Middle")?;
    (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
    let middle = Made::new(params, KeyPair::generate()?, Some(&root))?;
    let verdict = judged(&[&root], &chain(&[&leaf(&middle)?, &middle]))?;
    assert_eq!((verdict.trusted, valid(&verdict)), (Some(true), None), "{verdict:?}");
    assert!(verdict.why.is_some_and(|why| why.contains("no instant")));
    Ok(())
}

#[test]
fn dates_are_part_of_what_is_signed() -> Result {
    let root = authority("Root", None)?;
    let leaf = leaf(&root)?;
    let place = leaf.der.windows(13).position(|window| window == b"270101000000Z").ok_or("no date")?;
    let mut forged = leaf.der.clone();
    forged[place..place + 13].copy_from_slice(b"450101000000Z");
    untrusted(&judged(&[&root], &[forged.clone()])?, "does not verify");
    // The true one beside it lends the forged one nothing.
    assert_ne!(judged(&[&root], &[forged, leaf.der])?.trusted, Some(true));
    Ok(())
}

#[test]
fn of_two_paths_the_one_valid_longest_is_told() -> Result {
    let (new, old) = (authority("New", None)?, authority("Old", None)?);
    let mut params = authority_params("Middle")?;
    params.not_after = date_time_ymd(2026, 6, 1);
    let by_old = Made::new(params, KeyPair::generate()?, Some(&old))?;
    let by_new = Made::new(authority_params("Middle")?, KeyPair::from_pem(&by_old.key.serialize_pem())?, Some(&new))?;
    let leaf = leaf(&by_old)?;
    for order in [[&by_old, &by_new], [&by_new, &by_old]] {
        let verdict = judged(&[&old, &new], &chain(&[&leaf, order[0], order[1]]))?;
        assert_eq!(verdict.path, ["CN=www.example.org", "CN=Middle", "CN=New"]);
        assert_eq!(valid(&verdict), Some(("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")));
    }
    Ok(())
}

#[test]
fn rules_that_a_path_breaks_are_named() -> Result {
    let root = authority("Root", None)?;
    let mut params = leaf_params()?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = Made::new(params, KeyPair::generate()?, Some(&root))?;
    untrusted(&judged(&[&root], &chain(&[&client]))?, "certificate 0 (CN=www.example.org) is not for TLS servers");

    let mut params = authority_params("Middle")?;
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.net".into())],
        excluded_subtrees: vec![],
    });
    let middle = Made::new(params, KeyPair::generate()?, Some(&root))?;
    untrusted(&judged(&[&root], &chain(&[&leaf(&middle)?, &middle]))?, "name constraints");

    let mut params = authority_params("Middle")?;
    params.is_ca = IsCa::ExplicitNoCa;
    let middle = Made::new(params, KeyPair::generate()?, Some(&root))?;
    untrusted(
        &judged(&[&root], &chain(&[&leaf(&middle)?, &middle]))?,
        "certificate 1 (CN=Middle) signs a certificate, but",
    );

    let mut params = authority_params("Top")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let top = Made::new(params, KeyPair::generate()?, Some(&root))?;
    let middle = authority("Middle", Some(&top))?;
    untrusted(&judged(&[&root], &chain(&[&leaf(&middle)?, &middle, &top]))?, "path length");

    untrusted(&judged(&[&root], &chain(&[&authority("Server", Some(&root))?]))?, "marked as a certificate authority");

    let mut params = leaf_params()?;
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    unknown.set_criticality(true);
    params.custom_extensions.push(unknown);
    let verdict = judged(&[&root], &chain(&[&Made::new(params, KeyPair::generate()?, Some(&root))?]))?;
    assert_eq!((verdict.outcome, verdict.trusted), (StoreOutcome::NotProven, None), "{verdict:?}");
    Ok(())
}

#[test]
fn a_leaf_that_the_store_holds_is_trusted() -> Result {
    let own = Made::new(leaf_params()?, KeyPair::generate()?, None)?;
    let authority_as_server = authority("Appliance", None)?;
    for made in [&own, &authority_as_server] {
        let verdict = judged(&[made], &chain(&[made]))?;
        assert_eq!((verdict.trusted, verdict.path.len()), (Some(true), 1), "{verdict:?}");
        untrusted(&judged(&[&leaf_of_another()?], &chain(&[made]))?, "certificate 0");
        untrusted(&judged(&[&leaf_of_another()?], &chain(&[made]))?, "is self-signed and not in the store");
    }
    Ok(())
}

#[test]
fn signatures_that_clients_refuse_are_named() -> Result {
    let folder = tempfile::tempdir()?;
    let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let short = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
    let verdict = |pair: [Vec<u8>; 2]| {
        let [leaf, root] = pair;
        Stores::load(&[("x".to_owned(), root)]).judge(&[leaf]).pop().ok_or("no verdict")
    };
    untrusted(
        &verdict(pair(folder.path(), &rsa, &[], &["-sha1"])?)?,
        "signed with sha1WithRSAEncryption, which clients no longer",
    );
    untrusted(
        &verdict(pair(folder.path(), &rsa, &[], &["-md5"])?)?,
        "signed with md5WithRSAEncryption, which clients no longer",
    );
    untrusted(&verdict(pair(folder.path(), &short, &[], &[])?)?, "RSA key of 1024 bits");
    let trusted =
        verdict(pair(folder.path(), &["-algorithm", "ED25519"], &[], &["-extfile", &extensions(folder.path())?])?)?;
    assert_eq!(trusted.trusted, Some(true), "{trusted:?}");
    let unknown = verdict(pair(folder.path(), &["-algorithm", "ED448"], &[], &[])?)?;
    assert_eq!((unknown.outcome, unknown.trusted), (StoreOutcome::NotProven, None), "{unknown:?}");
    // Without extensions `openssl x509 -req` makes version 1, which webpki does not take.
    let old = verdict(pair(folder.path(), &["-algorithm", "ED25519"], &[], &[])?)?;
    assert!(old.trusted.is_none() && old.why.is_some_and(|why| why.contains("version 3")));
    Ok(())
}

fn extensions(folder: &std::path::Path) -> Result<String> {
    let file = folder.join("extensions");
    std::fs::write(&file, "subjectAltName=DNS:www.example.org\n")?;
    Ok(file.to_str().ok_or("path")?.to_owned())
}

#[test]
fn a_store_without_certificates_is_no_verdict() -> Result {
    let root = authority("Root", None)?;
    for file in [&b""[..], b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let verdicts = Stores::load(&[("empty.pem".to_owned(), file.to_vec())]).judge(&chain(&[&root]));
        let verdict = verdicts.last().ok_or("no verdict")?;
        assert_eq!((verdict.outcome, verdict.trusted), (StoreOutcome::NotProven, None));
        assert!(verdict.why.as_deref().is_some_and(|why| why.contains("empty.pem")));
    }
    let (name, bytes) = root.file();
    let stores = Stores::load(&[(name, bytes)]);
    assert!(stores.judge(&[]).iter().all(|verdict| verdict.outcome != StoreOutcome::Trusted));
    assert!(stores.judge(&[]).last().is_some_and(|verdict| verdict.outcome == StoreOutcome::NotProven));
    Ok(())
}

#[test]
fn the_system_store_is_what_the_environment_says() -> Result {
    // This test runs itself again, since a store is read once per process.
    const NAME: &str = "stores::the_system_store_is_what_the_environment_says";
    if let Ok(expected) = std::env::var("PROBITY_EXPECTED") {
        let leaf = std::fs::read(std::env::var("PROBITY_LEAF")?)?;
        let verdict = Stores::load(&[]).judge(&[leaf]).into_iter().next().ok_or("no verdict")?;
        assert_eq!(format!("{} {:?}", verdict.name, verdict.outcome), expected, "{verdict:?}");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let root = authority("Root", None)?;
    std::fs::write(file("root.pem"), &root.pem)?;
    std::fs::write(file("other.pem"), leaf_of_another()?.pem)?;
    std::fs::write(file("leaf.der"), leaf(&root)?.der)?;
    for (store, expected) in
        [("root.pem", "system Trusted"), ("other.pem", "system Untrusted"), ("missing.pem", "system NotProven")]
    {
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(["--exact", NAME])
            .env("SSL_CERT_FILE", file(store))
            .env_remove("SSL_CERT_DIR")
            .env("PROBITY_EXPECTED", expected)
            .env("PROBITY_LEAF", file("leaf.der"))
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{expected}: {told}");
    }
    Ok(())
}

#[test]
fn whose_key_usage_forbids_it_signs_nothing() -> Result {
    let usage = |name: &str, by: Option<&Made>, usages: Vec<KeyUsagePurpose>| {
        let mut params = authority_params(name)?;
        params.key_usages = usages;
        Made::new(params, KeyPair::generate()?, by)
    };
    let root = authority("Root", None)?;
    let middle = usage("Middle", Some(&root), vec![KeyUsagePurpose::DigitalSignature])?;
    let words = "certificate 1 (CN=Middle) signs a certificate, but its key usage does not allow that";
    untrusted(&judged(&[&root], &chain(&[&leaf(&middle)?, &middle]))?, words);
    let root = usage("Root", None, vec![KeyUsagePurpose::CrlSign])?;
    untrusted(&judged(&[&root], &chain(&[&leaf(&root)?]))?, "CN=Root in the store has a key usage that does not allow");
    // Where it is not named, every use is allowed (RFC 5280, 4.2.1.3).
    let root = usage("Root", None, vec![])?;
    assert_eq!(judged(&[&root], &chain(&[&leaf(&root)?]))?.outcome, StoreOutcome::Trusted);
    Ok(())
}

#[test]
fn many_authorities_of_one_name_take_bounded_work() -> Result {
    // Extensions that are of no use but to be read again and again.
    let mut params = authority_params("N")?;
    for n in 0..200 {
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 3, n], vec![5, 0]));
    }
    let mut certificates: Vec<Made> = Vec::new();
    for _ in 0..31 {
        let made = Made::new(params.clone(), KeyPair::generate()?, certificates.last())?;
        certificates.push(made);
    }
    let leaf = leaf(certificates.last().ok_or("none")?)?;
    let served: Vec<Vec<u8>> = std::iter::once(&leaf).chain(&certificates).map(|made| made.der.clone()).collect();
    // The path exists, but is longer than webpki looks. Without a bound on the work this would not end today.
    let verdict = judged(&[&certificates[0]], &served)?;
    assert_eq!(verdict.outcome, StoreOutcome::NotProven, "{verdict:?}");
    untrusted(&judged(&[&leaf_of_another()?], &served)?, "certificate 1 (CN=N) is self-signed and not in the store");
    Ok(())
}

#[test]
fn the_same_store_has_the_same_digest_in_any_order() -> Result {
    let (one, two) = (authority("One", None)?, authority("Two", None)?);
    let digest = |roots: &[&Made]| judged(roots, &chain(&[&one])).map(|verdict| verdict.store_digest);
    assert_eq!(digest(&[&one, &two])?, digest(&[&two, &one, &two])?);
    assert_ne!(digest(&[&one, &two])?, digest(&[&one])?);
    Ok(())
}

proptest! {
    #[test]
    fn no_chain_makes_it_panic(bytes: Vec<u8>, at: prop::sample::Index, to: u8) {
        let root = authority("Root", None).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let leaf = leaf(&root).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let mut damaged = leaf.der.clone();
        *at.get_mut(&mut damaged) = to;
        let stores = Stores::load(&[root.file(), ("bytes".to_owned(), bytes.clone())]);
        let same = damaged == leaf.der;
        for verdict in stores.judge(&[damaged, bytes, root.der]) {
            prop_assert!(same || verdict.trusted != Some(true), "{verdict:?}");
        }
    }
}
