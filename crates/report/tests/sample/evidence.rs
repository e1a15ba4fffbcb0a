//! Evidence behind the sample.

use model::{Ask, Digest, Evidence, ExchangesRef, Facts, FileRecord, Level, Provenance, Subject, Target};
use serde_json::json;

use super::at;

/// Facts of a TLS endpoint, as the `tls` probe writes them.
pub(crate) fn tls_facts() -> Facts {
    let suites = json!([
        { "id": "0xc02b", "name": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "key_bits": 128 },
        { "id": "0xc02c", "name": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
        { "id": "0xcca9", "name": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" },
    ]);
    let refused = |name: &str| json!({ "name": name, "outcome": "refused", "asked": "all", "suites": [], "not_proven": [], "order": "not_proven" });
    let legacy = json!({
        "name": "TLSv1.0", "outcome": "not_proven", "asked": "all", "suites": [], "order": "not_proven",
        "not_proven": [{ "id": "0x0005", "why": "reset twice after a canary succeeded" }],
    });
    let value = json!({
        "versions": [
            refused("SSLv2"), refused("SSLv3"), legacy,
            { "name": "TLSv1.1", "outcome": "accepted", "asked": "all", "order": "server", "not_proven": [],
              "suites": [{ "id": "0xc009", "name": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA" },
                         { "id": "0xc00a", "name": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA" }] },
            { "name": "TLSv1.2", "outcome": "accepted", "asked": "all", "suites": suites, "not_proven": [], "order": "server" },
            { "name": "TLSv1.3", "outcome": "accepted", "asked": "all", "not_proven": [], "order": "client",
              "suites": [{ "id": "0x1301", "name": "TLS_AES_128_GCM_SHA256" },
                         { "id": "0x1302", "name": "TLS_AES_256_GCM_SHA384" }] },
        ],
        "groups": [
            { "id": "0x11ec", "name": "X25519MLKEM768", "versions": ["TLSv1.3"], "outcome": "accepted" },
            { "id": "0x001d", "name": "x25519", "versions": ["TLSv1.2", "TLSv1.3"], "outcome": "accepted" },
            { "id": "0x0017", "name": "secp256r1", "versions": ["TLSv1.2", "TLSv1.3"], "outcome": "accepted" },
            { "id": "0x0100", "name": "ffdhe2048", "versions": ["TLSv1.3"], "outcome": "refused" },
        ],
        "dh_prime_bits": null,
        "chains": [{
            "certificates": [
                { "subject": "CN=chat.example.org", "issuer": "CN=Example CA R1, O=Example", "serial": "04a1b2c3",
                  "not_before": "2026-09-04T00:00:00Z", "not_after": "2026-12-03T00:00:00Z",
                  "key": { "algorithm": "EC", "curve": "secp256r1", "bits": 256 },
                  "signature": { "name": "ecdsa-with-SHA256", "hash": "SHA256" },
                  "dns_names": ["chat.example.org", "www.chat.example.org"], "ip_addresses": [],
                  "sha256": Digest::of(b"leaf") },
                { "subject": "CN=Example CA R1, O=Example", "issuer": "CN=Example Root", "serial": "01",
                  "not_before": "2020-01-01T00:00:00Z", "not_after": "2030-01-01T00:00:00Z",
                  "key": { "algorithm": "RSA", "bits": 4096 }, "signature": { "name": "sha256WithRSAEncryption" },
                  "dns_names": [], "ip_addresses": [], "sha256": Digest::of(b"ca") },
            ],
            "sni": "chat.example.org", "versions": ["TLSv1.2", "TLSv1.3"],
            "name_match": { "name": "chat.example.org", "outcome": "matched", "why": null },
            "stores": [
                { "name": "system", "outcome": "trusted", "trusted": true, "why": null,
                  "valid": { "from": "2026-09-04T00:00:00Z", "to": "2026-12-03T00:00:00Z" } },
                { "name": "mozilla", "outcome": "untrusted", "trusted": false, "valid": null,
                  "why": "no path: the issuer 'CN=Example Root' of 'CN=Example CA R1, O=Example' is not in the store" },
            ],
        }],
        "signature_schemes": [
            { "id": "0x0403", "name": "ecdsa_secp256r1_sha256", "versions": ["TLSv1.2", "TLSv1.3"], "outcome": "accepted" },
            { "id": "0x0203", "name": "ecdsa_sha1", "versions": [], "outcome": "not_proven", "why": "reset" },
        ],
        "ocsp": { "outcome": "absent", "why": null, "status": null },
        "dhe": { "outcome": "refused", "why": null, "prime_bits": null, "primes": [] },
        "behaviour": {
            "secure_renegotiation": { "outcome": "present", "why": null, "detail": null },
            "extended_master_secret": { "outcome": "present", "why": null, "detail": null },
            "compression": { "outcome": "absent", "why": null, "detail": null },
            "alpn": { "outcome": "present", "why": null, "detail": "h2" },
        },
        "consistent": { "outcome": "present", "why": null, "detail": "21 connections" },
        "quic": { "asked": false },
        "connections": 21,
        "round_trips": 44,
    });
    value.as_object().cloned().unwrap_or_default()
}

fn listeners() -> Facts {
    let value = json!({
        "asked": "all",
        "sockets": [
            { "address": "0.0.0.0:443", "process": "nginx", "pid": 812 },
            { "address": "127.0.0.1:8443", "process": "nginx", "pid": 812 },
            { "address": "0.0.0.0:22", "process": "sshd", "pid": 640 },
        ],
        "kernel": { "release": "6.1.0", "dm_crypt": true },
        "privileged": false,
    });
    value.as_object().cloned().unwrap_or_default()
}

fn target(name: &str) -> Target {
    let (of, address) = match name.split_once('@') {
        Some((of, _)) => (of, "chat.example.org:443"),
        None => (name, name),
    };
    Target {
        name: name.into(),
        of: of.into(),
        address: address.into(),
        labels: [].into(),
        discovered: false,
        subject: Subject { sort: "tls".into(), spec: json!({ "endpoint": "chat.example.org:443" }) },
    }
}

pub(super) fn piece(name: &str, kind: &str, level: Level, facts: Facts) -> Evidence {
    let wire = level == Level::Demonstrated;
    Evidence {
        format: Evidence::FORMAT.into(),
        target: target(name),
        kind: kind.into(),
        level,
        asked: Ask::All,
        collected: at(1),
        facts: Some(facts),
        failure: None,
        provenance: Provenance {
            started: at(0),
            millis: 412,
            sources: vec!["198.51.100.4".into()],
            connections: if wire { 21 } else { 0 },
            bytes_sent: 9_412,
            bytes_received: 31_871,
            commands: vec![],
            files: if wire {
                vec![]
            } else {
                vec![FileRecord { path: "/proc/net/tcp".into(), bytes: 1_500, digest: Some(Digest::of(b"tcp")) }]
            },
            attested_by_host_only: !wire,
        },
        exchanges: wire.then(|| ExchangesRef {
            digest: Digest::of(format!("exchanges of {name}").as_bytes()),
            count: 21,
            cut: false,
        }),
        notes: [].into(),
    }
}

/// The evidence of a digest of the sample.
pub(crate) fn evidence(digest: &Digest) -> Option<Evidence> {
    let is = |name: &str| *digest == Digest::of(name.as_bytes());
    if let Some(copies) = super::backup::evidence(digest) {
        return Some(copies);
    }
    let tls = ["edge@203.0.113.7", "edge@203.0.113.8", "mail"].into_iter().find(|name| is(name));
    if let Some(name) = tls {
        return Some(piece(name, "tls", Level::Demonstrated, tls_facts()));
    }
    if is("host") {
        return Some(piece("host", "listeners", Level::Effective, listeners()));
    }
    if is("tls:127.0.0.1:8443") {
        let mut failed = piece("tls:127.0.0.1:8443", "tls", Level::Demonstrated, Facts::new());
        failed.facts = None;
        failed.failure = Some(model::Failure::new(
            model::FailureClass::Timeout,
            "127.0.0.1:8443 accepted the connection and then said nothing for 5 s; is it a TLS port?",
        ));
        return Some(failed);
    }
    let name = "keyfile:/etc/ssl/private/x.key";
    let facts =
        json!({ "path": "/etc/ssl/private/x.key", "mode": "0644", "owner": "root", "type": "RSA", "bits": 2048 });
    is(name).then(|| piece(name, "keyfile", Level::Effective, facts.as_object().cloned().unwrap_or_default()))
}
