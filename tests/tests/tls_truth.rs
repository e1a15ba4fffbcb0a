//! The facts about a TLS server equal what the server was configured with: versions, suites, order, groups, chain.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use tests::{
    Behaviour, Hostile, Key, Lab, Leaf, Nginx, NginxTls, OpensslServer, Stunnel, TlsFacts, Truth, VERSIONS, cipher_ids,
    openssl,
};

/// OpenSSL's TLS 1.3 suites.
const TLS13: [&str; 3] = ["0x1301", "0x1302", "0x1303"];

/// A file with the safe prime of RFC 3526 with 1536 bits, or of RFC 7919 with 2048.
fn dh_params(lab: &Lab, bits: u32) -> Result<String> {
    let group = if bits == 1536 { "group:modp_1536" } else { "group:ffdhe2048" };
    let text = openssl(&["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", group])?;
    let pem = text.find("-----BEGIN").and_then(|at| text.get(at..)).context("openssl printed no parameters")?;
    let path = lab.folder().join(format!("dh{bits}.pem"));
    std::fs::write(&path, pem)?;
    Ok(path.to_string_lossy().into_owned())
}

#[test]
fn nginx_intermediate_with_an_rsa_key() -> Result<()> {
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&Lab::new()?.identity(Key::Rsa(2048))?])?;
    let facts = TlsFacts::of(nginx.address())?;
    facts.must_equal(
        &Truth::default()
            .version("TLSv1.2", ["0xc02f", "0xc030", "0xcca8"])
            .version("TLSv1.3", TLS13)
            .groups(&["0x001d", "0x0017", "0x0018"]),
    )?;
    assert_eq!(facts.at("/dh_prime_bits"), &serde_json::Value::Null);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let order = facts.version(version)?.get("order");
        assert_eq!(order, Some(&"client".into()), "{version}");
    }
    Ok(())
}

#[test]
fn nginx_with_both_sorts_of_key_serves_both_chains() -> Result<()> {
    let lab = Lab::new()?;
    let (rsa, ecdsa) = (lab.identity(Key::Rsa(2048))?, lab.identity(Key::P256)?);
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&rsa, &ecdsa])?;
    let facts = TlsFacts::of(nginx.address())?;
    let suites = ["0xc02b", "0xc02c", "0xc02f", "0xc030", "0xcca8", "0xcca9"];
    facts.must_equal(&Truth::default().version("TLSv1.2", suites).version("TLSv1.3", TLS13))?;
    let chains = facts.at("/chains").as_array().context("`chains` is no list")?;
    let keys: BTreeSet<&str> =
        chains.iter().filter_map(|chain| chain.pointer("/certificates/0/key/algorithm")?.as_str()).collect();
    assert_eq!(keys, BTreeSet::from(["EC", "RSA"]));
    Ok(())
}

#[test]
fn the_servers_own_order_is_seen() -> Result<()> {
    let tls = NginxTls {
        protocols: "TLSv1 TLSv1.1 TLSv1.2",
        ciphers: "AES128-SHA:ECDHE-RSA-AES256-SHA:AES256-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0",
        prefer_server: true,
        ..NginxTls::intermediate()
    };
    let nginx = Nginx::start(&tls, &[&Lab::new()?.identity(Key::Rsa(2048))?])?;
    let facts = TlsFacts::of(nginx.address())?;
    let suites = ["0x002f", "0xc014", "0x0035", "0xc013"];
    facts.must_equal(
        &Truth::default()
            .version("TLSv1.0", suites)
            .version("TLSv1.1", suites)
            .version("TLSv1.2", suites)
            .groups(&["0x001d", "0x0017", "0x0018"]),
    )?;
    for version in ["TLSv1.0", "TLSv1.1", "TLSv1.2"] {
        assert_eq!(facts.version(version)?.get("order"), Some(&"server".into()), "{version}");
        assert_eq!(facts.suites(version)?, suites, "{version}");
    }
    Ok(())
}

#[test]
fn one_version_at_a_time() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::Rsa(2048))?;
    for (argument, name) in [("-tls1", "TLSv1.0"), ("-tls1_1", "TLSv1.1"), ("-tls1_2", "TLSv1.2")] {
        let list = "ECDHE-RSA-AES128-SHA:AES256-SHA:@SECLEVEL=0";
        let server = OpensslServer::start(&identity, &[argument, "-cipher", list])?;
        let facts = TlsFacts::of(server.address())?;
        facts.must_equal(&Truth::default().version(name, ["0xc013", "0x0035"])).context(name)?;
    }
    let suites = ["-ciphersuites", "TLS_AES_128_CCM_SHA256:TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-384:P-521"];
    let server = OpensslServer::start(&identity, &[&["-tls1_3"], &suites[..]].concat())?;
    TlsFacts::of(server.address())?
        .must_equal(&Truth::default().version("TLSv1.3", ["0x1304", "0x1303"]).groups(&["0x0018", "0x0019"]))
}

/// Everything that this machine's OpenSSL can do with a key, weak and anonymous suites included.
fn everything(key: Key, authentication: &str) -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(key)?;
    let list = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
    let server =
        OpensslServer::start(&identity, &["-cipher", list, "-no_tls1_3", "-dhparam", &dh_params(&lab, 2048)?])?;
    let of = |version: &str| cipher_ids(version, list, authentication);
    TlsFacts::of(server.address())?.must_equal(
        &Truth::default()
            .version("TLSv1.0", of("-tls1")?)
            .version("TLSv1.1", of("-tls1_1")?)
            .version("TLSv1.2", of("-tls1_2")?),
    )
}

#[test]
fn every_suite_that_openssl_has_with_an_rsa_key() -> Result<()> {
    everything(Key::Rsa(2048), "RSA")
}

#[test]
fn every_suite_that_openssl_has_with_an_ecdsa_key() -> Result<()> {
    everything(Key::P256, "ECDSA")
}

#[test]
fn the_size_of_a_diffie_hellman_prime_is_seen() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::Rsa(2048))?;
    for bits in [1536, 2048] {
        let list = "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0";
        let server =
            OpensslServer::start(&identity, &["-tls1_2", "-cipher", list, "-dhparam", &dh_params(&lab, bits)?])?;
        let facts = TlsFacts::of(server.address())?;
        facts.must_equal(&Truth::default().version("TLSv1.2", ["0x009e"]))?;
        assert_eq!(facts.at("/dh_prime_bits"), &serde_json::Value::from(bits));
        assert_eq!(facts.at("/dhe/outcome"), "accepted");
    }
    Ok(())
}

#[test]
fn groups_are_told_apart_under_an_ecdsa_certificate() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::P256)?;
    for (version, groups) in [("-tls1_2", "X25519:P-256"), ("-tls1_3", "X25519:P-256")] {
        let server = OpensslServer::start(&identity, &[version, "-groups", groups])?;
        let facts = TlsFacts::of(server.address())?;
        let accepted = facts.groups("accepted");
        let wanted: BTreeSet<String> = ["0x001d", "0x0017"].map(str::to_owned).into();
        assert_eq!(accepted, wanted, "{version}");
    }
    Ok(())
}

#[test]
fn ed25519_and_p384_and_weak_rsa_keys_are_described() -> Result<()> {
    for (key, algorithm, bits) in
        [(Key::Ed25519, "Ed25519", None), (Key::P384, "EC", Some(384)), (Key::Rsa(1024), "RSA", Some(1024))]
    {
        let lab = Lab::new()?;
        let identity = lab.identity(key)?;
        let server = OpensslServer::start(&identity, &["-cipher", "ALL:@SECLEVEL=0"])?;
        let facts = TlsFacts::of(server.address())?;
        let leaf = facts.at("/chains/0/certificates/0");
        assert_eq!(leaf.pointer("/key/algorithm"), Some(&algorithm.into()), "{key:?}: {leaf}");
        if let Some(bits) = bits {
            assert_eq!(leaf.pointer("/key/bits"), Some(&bits.into()), "{key:?}");
        }
    }
    Ok(())
}

#[test]
fn a_chain_is_described_without_dates() -> Result<()> {
    let lab = Lab::new()?;
    let leaf = Leaf { names: vec!["other.example".into()], valid: [(2019, 1, 1), (2020, 1, 1)], ..Leaf::default() };
    let server = OpensslServer::start(&lab.leaf(&leaf)?, &[])?;
    let facts = TlsFacts::of(server.address())?;
    let certificates = facts.at("/chains/0/certificates").as_array().context("no certificates")?;
    let [leaf, _intermediate] = certificates.as_slice() else { bail!("two certificates are served: {certificates:?}") };
    assert!(
        leaf.get("not_after").and_then(|v| v.as_str()).is_some_and(|t| t.starts_with("2020-01-01T00:00:00")),
        "{leaf}"
    );
    assert_eq!(leaf.get("dns_names"), Some(&serde_json::json!(["other.example"])));
    assert_eq!(leaf.get("self_signed"), Some(&false.into()));
    assert_eq!(facts.at("/chains/0/name_match/outcome"), "mismatched");
    let stores = facts.at("/chains/0/stores").as_array().context("no stores")?;
    ensure!(!stores.is_empty(), "no store was asked");
    for store in stores {
        assert_eq!(store.get("trusted"), Some(&false.into()), "nobody trusts the lab: {store}");
    }
    Ok(())
}

#[test]
fn a_stapled_response_is_seen_and_read() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::P256)?;
    let plain = OpensslServer::start(&identity, &[])?;
    assert_eq!(TlsFacts::of(plain.address())?.at("/ocsp/outcome"), "absent");
    for (revoked, status) in [(false, "good"), (true, "revoked")] {
        let response = lab.authority().ocsp(lab.folder(), &identity, revoked)?;
        let server = OpensslServer::start(&identity, &["-status_file", &response.to_string_lossy()])?;
        let facts = TlsFacts::of(server.address())?;
        assert_eq!(facts.at("/ocsp/outcome"), "present");
        assert_eq!(facts.at("/ocsp/status"), status);
        assert_eq!(facts.at("/ocsp/signature_verified"), true);
        ensure!(facts.at("/ocsp/next_update").is_string(), "{}", facts.at("/ocsp"));
    }
    Ok(())
}

#[test]
fn behaviours_are_seen_where_they_are_and_where_they_are_not() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::Rsa(2048))?;
    let ciphers = "ECDHE-RSA-AES128-SHA:@SECLEVEL=0";
    let with = NginxTls { protocols: "TLSv1 TLSv1.1 TLSv1.2", ciphers, ..NginxTls::intermediate() };
    let more = "ssl_conf_command Options -ExtendedMasterSecret,-EncryptThenMac;".to_owned();
    let without = NginxTls { protocols: "TLSv1.2", more, ..with.clone() };
    let (with, without) = (Nginx::start(&with, &[&identity])?, Nginx::start(&without, &[&identity])?);
    let (with, without) = (TlsFacts::of(with.address())?, TlsFacts::of(without.address())?);
    for (feature, wanted, other) in [
        ("extended_master_secret", "present", "absent"),
        ("encrypt_then_mac", "present", "absent"),
        ("fallback_scsv", "present", "unavailable"),
        ("secure_renegotiation", "present", "present"),
        ("compression", "absent", "absent"),
    ] {
        let pointer = format!("/behaviour/{feature}/outcome");
        assert_eq!(with.at(&pointer), wanted, "{feature}");
        assert_eq!(without.at(&pointer), other, "{feature}, switched off");
    }
    Ok(())
}

#[test]
fn the_protocol_above_is_negotiated() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::P256)?;
    let server = OpensslServer::start(&identity, &["-alpn", "http/1.1"])?;
    let facts = TlsFacts::of(server.address())?;
    assert_eq!(facts.at("/behaviour/alpn/outcome"), "present");
    assert_eq!(facts.at("/behaviour/alpn/detail"), "http/1.1");
    let server = OpensslServer::start(&identity, &[])?;
    assert_eq!(TlsFacts::of(server.address())?.at("/behaviour/alpn/outcome"), "absent");
    Ok(())
}

#[test]
fn stunnel_is_seen_as_configured() -> Result<()> {
    let settings = "sslVersion = TLSv1.2\nciphers = ECDHE-RSA-AES256-GCM-SHA384\ncurves = P-256";
    let stunnel = Stunnel::start(&Lab::new()?.identity(Key::Rsa(2048))?, settings)?;
    TlsFacts::of(stunnel.address())?.must_equal(&Truth::default().version("TLSv1.2", ["0xc030"]).groups(&["0x0017"]))
}

#[test]
fn the_two_oldest_protocols_are_found() -> Result<()> {
    let der = openssl(&["version"])?.into_bytes();
    let ssl2 = Hostile::start(Behaviour::Ssl2(der.clone(), vec![[1, 0, 0x80], [7, 0, 0xc0]]))?;
    let facts = TlsFacts::of(ssl2.address())?;
    assert_eq!(facts.outcome("SSLv2")?, "accepted");
    assert_eq!(facts.suites("SSLv2")?, ["0x010080", "0x0700c0"]);
    let ssl3 = Hostile::start(Behaviour::Ssl3(der, vec![0x0005, 0x000a]))?;
    let facts = TlsFacts::of(ssl3.address())?;
    assert_eq!(facts.outcome("SSLv3")?, "accepted");
    assert_eq!(facts.suites("SSLv3")?, ["0x0005", "0x000a"]);
    Ok(())
}

#[test]
fn dropped_connections_never_turn_into_refusals() -> Result<()> {
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&Lab::new()?.identity(Key::Rsa(2048))?])?;
    let proxy = Hostile::start(Behaviour::DropsEveryTenth(nginx.address()))?;
    let facts = TlsFacts::of(proxy.address())?;
    let truth = [("TLSv1.2", vec!["0xc02f", "0xc030", "0xcca8"]), ("TLSv1.3", TLS13.to_vec())];
    for name in VERSIONS {
        let spoken = truth.iter().find(|(version, _)| *version == name);
        let outcome = facts.outcome(name)?;
        assert_ne!(outcome, if spoken.is_some() { "refused" } else { "accepted" }, "{name}");
        let (accepted, unproven) = (facts.suites(name)?, facts.not_proven(name)?);
        let wanted = spoken.map(|(_, suites)| suites.as_slice()).unwrap_or_default();
        for id in wanted {
            let held = accepted.iter().chain(&unproven).any(|found| found == id);
            assert!(held || outcome == "not_proven", "{name}: {id} would be read as refused");
        }
        assert!(accepted.iter().all(|id| wanted.contains(&id.as_str())), "{name}: {accepted:?}");
    }
    Ok(())
}
