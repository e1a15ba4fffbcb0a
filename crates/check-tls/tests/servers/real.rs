//! Servers with known settings: every answer must equal them.

use crate::lab::{self, Error, Seen};

const INTERMEDIATE: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
    ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:\
    DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305";

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

fn nothing_open(seen: &Seen) {
    for version in seen.facts["versions"].as_array().unwrap() {
        assert_eq!(version["not_proven"], serde_json::json!([]), "{}\n{}", version["name"], seen.log());
    }
    assert_eq!(seen.named("groups", "not_proven"), Vec::<String>::new(), "{}", seen.log());
    assert_eq!(seen.named("signature_schemes", "not_proven"), Vec::<String>::new(), "{}", seen.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_intermediate_in_less_than_sixty_connections() -> Result<(), Error> {
    let server = lab::nginx(&format!(
        "ssl_certificate rsa.pem; ssl_certificate_key rsa.key; ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_dhparam dh.pem;         ssl_ciphers {INTERMEDIATE}; ssl_prefer_server_ciphers off;"
    ))?;
    let seen = lab::look(server.address, lab::limits()).await?;
    assert_eq!(
        seen.outcomes(),
        [
            "SSLv2 refused",
            "SSLv3 refused",
            "TLSv1.0 refused",
            "TLSv1.1 refused",
            "TLSv1.2 accepted",
            "TLSv1.3 accepted"
        ]
    );
    assert_eq!(
        sorted(seen.suites("TLSv1.2")),
        ["0x009e", "0x009f", "0xc02f", "0xc030", "0xcca8", "0xccaa"],
        "{}",
        seen.log()
    );
    assert_eq!(sorted(seen.suites("TLSv1.3")), ["0x1301", "0x1302", "0x1303"]);
    assert_eq!(seen.version("TLSv1.2")["order"], "client");
    assert_eq!(seen.version("TLSv1.3")["order"], "client");
    let groups = ["secp256r1", "secp384r1", "secp521r1", "x25519", "x448"];
    let fields = ["ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"];
    assert_eq!(seen.named("groups", "accepted"), [&groups[..], &fields].concat());
    assert_eq!(seen.facts["dh_prime_bits"], 2048);
    let prime = &seen.facts["dhe"]["groups"][0];
    assert_eq!((&prime["published"], &prime["safe_prime"]), (&"ffdhe2048".into(), &true.into()));
    assert_eq!(seen.facts["ephemeral_reuse"]["outcome"], "absent");
    assert_eq!(seen.facts["explicit_curves"]["outcome"], "absent", "{}", seen.log());
    assert_eq!(seen.facts["post_quantum"]["with_both_shares"]["outcome"], "unavailable");
    assert_eq!(
        seen.named("signature_schemes", "accepted"),
        [
            "rsa_pkcs1_sha224",
            "rsa_pkcs1_sha256",
            "rsa_pkcs1_sha384",
            "rsa_pkcs1_sha512",
            "rsa_pss_rsae_sha256",
            "rsa_pss_rsae_sha384",
            "rsa_pss_rsae_sha512"
        ]
    );
    let behaviour = &seen.facts["behaviour"];
    for (name, outcome) in [
        ("secure_renegotiation", "present"),
        ("extended_master_secret", "present"),
        ("encrypt_then_mac", "unavailable"),
        ("compression", "absent"),
        ("fallback_scsv", "present"),
        ("alpn", "present"),
    ] {
        assert_eq!(behaviour[name]["outcome"], outcome, "{name}\n{}", seen.log());
    }
    assert_eq!(behaviour["alpn"]["detail"], "http/1.1");
    assert_eq!(seen.facts["consistent"]["outcome"], "present");
    assert_eq!(seen.facts["ocsp"]["outcome"], "absent");
    let chains = seen.facts["chains"].as_array().unwrap();
    assert_eq!(chains.len(), 1);
    assert_eq!(chains[0]["versions"], serde_json::json!(["TLSv1.2", "TLSv1.3"]));
    assert_eq!(chains[0]["name_match"]["outcome"], "matched");
    assert!(chains[0]["stores"].as_array().unwrap().len() >= 2);
    nothing_open(&seen);
    let made = &seen.evidence.provenance;
    assert!(made.connections <= 60, "{} connections\n{}", made.connections, seen.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_tls13_alone() -> Result<(), Error> {
    let server = lab::nginx("ssl_certificate ecdsa.pem; ssl_certificate_key ecdsa.key; ssl_protocols TLSv1.3;")?;
    let seen = lab::look(server.address, lab::limits()).await?;
    assert_eq!(
        seen.outcomes(),
        ["SSLv2 refused", "SSLv3 refused", "TLSv1.0 refused", "TLSv1.1 refused", "TLSv1.2 refused", "TLSv1.3 accepted"]
    );
    assert_eq!(seen.named("signature_schemes", "accepted"), ["ecdsa_secp256r1_sha256"], "{}", seen.log());
    assert_eq!(seen.facts["behaviour"]["secure_renegotiation"]["outcome"], "unavailable");
    assert_eq!(seen.facts["behaviour"]["compression"]["outcome"], "unavailable");
    assert_eq!(seen.facts["behaviour"]["fallback_scsv"]["outcome"], "unavailable");
    assert_eq!(seen.facts["dhe"]["outcome"], "refused");
    nothing_open(&seen);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_two_sorts_of_key() -> Result<(), Error> {
    let server = lab::nginx(&format!(
        "ssl_certificate rsa.pem; ssl_certificate_key rsa.key;\n\
         ssl_certificate ecdsa.pem; ssl_certificate_key ecdsa.key;\n\
         ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {INTERMEDIATE}; ssl_prefer_server_ciphers on;\n\
         ssl_ecdh_curve X25519:prime256v1:secp384r1;"
    ))?;
    let seen = lab::look(server.address, lab::limits()).await?;
    assert_eq!(
        seen.suites("TLSv1.2"),
        ["0xc02b", "0xc02f", "0xc02c", "0xc030", "0xcca9", "0xcca8"],
        "in the server's order\n{}",
        seen.log()
    );
    assert_eq!(seen.version("TLSv1.2")["order"], "server");
    assert_eq!(seen.suites("TLSv1.3"), ["0x1302", "0x1303", "0x1301"]);
    assert_eq!(seen.version("TLSv1.3")["order"], "server");
    assert_eq!(seen.named("groups", "accepted"), ["secp256r1", "secp384r1", "x25519"]);
    let chains = seen.facts["chains"].as_array().unwrap();
    let keys: Vec<_> = chains.iter().map(|c| (&c["certificates"][0]["key"]["algorithm"], &c["versions"])).collect();
    let both = serde_json::json!(["TLSv1.2", "TLSv1.3"]);
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().all(|(_, versions)| **versions == both), "{keys:?}");
    nothing_open(&seen);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_with_everything_that_it_has() -> Result<(), Error> {
    let server = lab::s_server(&["-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "-serverpref"])?;
    let seen = lab::look(server.address, lab::limits()).await?;
    let outcomes = seen.outcomes();
    assert_eq!(&outcomes[2..], ["TLSv1.0 accepted", "TLSv1.1 accepted", "TLSv1.2 accepted", "TLSv1.3 accepted"]);
    // What the library says of itself, PSK and SRP left out: they need credentials that it does not have here.
    for (name, flag) in [("TLSv1.0", "-tls1"), ("TLSv1.1", "-tls1_1"), ("TLSv1.2", "-tls1_2")] {
        let wanted = lab::openssl_ciphers(flag, "ALL:COMPLEMENTOFALL:!PSK:!SRP:!aECDSA:!aDSS:@SECLEVEL=0")?;
        assert_eq!(sorted(seen.suites(name)), sorted(wanted), "{name}\n{}", seen.log());
    }
    assert_eq!(seen.version("TLSv1.2")["order"], "server");
    assert_eq!(seen.facts["behaviour"]["encrypt_then_mac"]["outcome"], "present");
    nothing_open(&seen);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_of_tls13_is_read() -> Result<(), Error> {
    let server = lab::s_server(&["-tls1_3", "-dcert", "pss.pem", "-dkey", "pss.key"])?;
    let seen = lab::look(server.address, lab::limits()).await?;
    let chains = seen.facts["chains"].as_array().ok_or("no chains")?;
    let subjects: Vec<_> = chains.iter().map(|chain| chain["certificates"][0]["subject"].as_str()).collect();
    for wanted in ["CN=localhost", "CN=pss.example"] {
        assert!(subjects.contains(&Some(wanted)), "{subjects:?}\n{}", seen.log());
    }
    assert!(chains.iter().all(|chain| chain["outcome"] == "served"), "{}", seen.log());
    Ok(())
}
