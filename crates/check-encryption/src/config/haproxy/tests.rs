#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::testing::{Files, class};

const ENTRY: &str = "/etc/haproxy/haproxy.cfg";

async fn haproxy(text: &str, version: Option<&str>) -> Value {
    let files = Files::new();
    files.file(ENTRY, text);
    files.read("haproxy", ENTRY, version).await
}

async fn frontend(text: &str) -> Value {
    haproxy(&format!("defaults\n  mode http\nfrontend web\n{text}\n"), Some("2.6.12")).await["services"][0].clone()
}

#[tokio::test]
async fn a_bind_line_with_what_it_inherits() {
    let facts = haproxy(
        "global\n  ssl-default-bind-ciphers ECDHE+AESGCM\n  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256\n  \
         ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets # as agreed\n  crt-base /etc/ssl\n  lua-load \
         /x.lua\ndefaults\n  mode http\nfrontend web\n  bind ipv4@:443,127.0.0.1:8443 name ssl ssl crt a.pem crt b.pem alpn h2\n  bind \
         :80 name ssl\n  bind :444 ssl crt a.pem ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.2 ciphers RC4 prefer-client-ciphers\n",
        None,
    )
    .await;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    let find = |address: &str| {
        facts["services"].as_array().unwrap().iter().find(|s| s["addresses"][0] == address).unwrap().clone()
    };
    let (a, b, c) = (find("*:443"), find("*:80"), find("*:444"));
    assert_eq!((&a["encryption"], &b["encryption"], &a["speaks"]), (&json!("tls"), &json!("none"), &json!("http")));
    assert_eq!(a["protocols"]["values"], json!(["TLSv1.3"]));
    assert_eq!(a["protocols"]["at"], format!("{ENTRY}:4"));
    assert_eq!((&a["tickets"]["values"], &a["server_order"]["values"]), (&json!(["off"]), &json!(["on"])));
    assert_eq!(a["suites"]["values"], json!(["TLS_AES_128_GCM_SHA256"]));
    assert_eq!((class(&a, "RC4"), class(&c, "RC4"), class(&a, "kRSA")), ("absent", "present", "absent"));
    assert_eq!(a["certificates"][1]["name"], "/etc/ssl/b.pem");
    assert_eq!(c["protocols"]["values"], json!(["TLSv1.0", "TLSv1.1", "TLSv1.2"]));
    assert_eq!(c["server_order"]["values"], json!(["off"]));
    assert_eq!(facts["modules"][0]["name"], "/x.lua");
    assert_eq!(facts["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn versions_as_haproxy_reckons_them() {
    for (global, bind, version, outcome, values) in [
        ("", "", Some("2.6.1"), "absent", json!(["TLSv1.2", "TLSv1.3"])),
        ("", "", None, "not_proven", json!([])),
        ("", "", Some("1.8.30"), "not_proven", json!([])),
        ("", "no-sslv3 no-tlsv10 no-tlsv11", None, "present", json!(["TLSv1.2", "TLSv1.3"])),
        ("", "no-sslv3 no-tlsv12", Some("2.6.1"), "present", json!(["TLSv1.3"])),
        ("", "force-tlsv11", None, "present", json!(["TLSv1.1"])),
        ("force-tlsv12", "ssl-min-ver TLSv1.0", None, "present", json!(["TLSv1.0", "TLSv1.1", "TLSv1.2"])),
        ("ssl-min-ver TLSv1.2", "no-tlsv12", None, "present", json!(["TLSv1.2", "TLSv1.3"])),
        ("ssl-max-ver TLSv1.1", "", Some("2.6.1"), "present", json!(["TLSv1.1"])),
        ("ssl-max-ver TLSv1.2", "", Some("2.6.1"), "present", json!(["TLSv1.2"])),
        ("", "ssl-min-ver TLSv9", None, "not_proven", json!([])),
        ("mystery", "", Some("2.6.1"), "not_proven", json!([])),
    ] {
        let global = if global.is_empty() { String::new() } else { format!("ssl-default-bind-options {global}") };
        let text = format!("global\n  {global}\nfrontend web\n  bind :443 ssl crt a.pem {bind}\n");
        let protocols = haproxy(&text, version).await["services"][0]["protocols"].clone();
        assert_eq!((&protocols["outcome"], &protocols["values"]), (&json!(outcome), &values), "{global} / {bind}");
    }
    // What stands behind the line does not count for it.
    let late = "frontend web\n  bind :443 ssl crt a.pem\nglobal\n  ssl-default-bind-options ssl-min-ver TLSv1.3\n  \
                ssl-default-bind-ciphers ECDHE+AESGCM\n";
    let service = haproxy(late, None).await["services"][0].clone();
    assert_eq!(
        (&service["protocols"]["outcome"], &service["ciphers"]["outcome"]),
        (&json!("not_proven"), &json!("not_proven"))
    );
}

#[tokio::test]
async fn plain_requests_lead_to_https() {
    for (rules, outcome, except) in [
        ("http-request redirect scheme https unless { ssl_fc }", "present", json!([])),
        ("redirect scheme https code 301 if !{ ssl_fc }", "present", json!([])),
        (
            "http-request redirect scheme https if ! { ssl_fc } !{ path_beg /.well-known/acme-challenge/ }",
            "present",
            json!(["/.well-known/acme-challenge/"]),
        ),
        (
            "http-request return status 200 if { path_beg /a }\nhttp-request redirect scheme https",
            "present",
            json!(["/a"]),
        ),
        (
            "http-request set-header X y\nhttp-request redirect location https://a%[capture.req.uri]",
            "present",
            json!([]),
        ),
        ("monitor-uri /alive\nredirect scheme https", "present", json!(["/alive"])),
        ("http-request redirect scheme https if { hdr(host) a }", "absent", json!([])),
        ("http-request allow if { src 10.0.0.0/8 }\nhttp-request redirect scheme https", "not_proven", json!([])),
        ("http-request use-service lua.x\nredirect scheme https", "not_proven", json!([])),
        ("redirect prefix http://a\nredirect scheme https", "not_proven", json!([])),
        ("default_backend x", "absent", json!([])),
    ] {
        let redirect = frontend(&format!("bind :80\n{rules}")).await["redirect"].clone();
        assert_eq!((&redirect["outcome"], &redirect["except"]), (&json!(outcome), &except), "{rules}: {redirect}");
    }
}

#[tokio::test]
async fn hsts() {
    let service =
        frontend("bind :443 ssl crt a\nhttp-response set-header Strict-Transport-Security \"max-age=300; preload\"")
            .await;
    assert_eq!((&service["hsts"]["outcome"], &service["hsts"]["max_age"]), (&json!("present"), &json!(300)));
    let service =
        frontend("bind :443 ssl crt a\nhttp-response set-header Strict-Transport-Security max-age=300 if { path /a }")
            .await;
    assert_eq!(service["hsts"]["outcome"], "not_proven");
    let service =
        frontend("bind :443 ssl crt a\nbackend b\nhttp-response set-header Strict-Transport-Security max-age=300")
            .await;
    assert_eq!(service["hsts"]["outcome"], "not_proven");
    assert_eq!(frontend("bind :443 ssl crt a").await["hsts"]["outcome"], "absent");
}

#[tokio::test]
async fn servers_behind() {
    let facts = haproxy(
        "defaults\n  mode http\n  default-server ssl verify none\nbackend a\n  server one 10.0.0.1:1\n  default-server verify \
         required ca-file /x\n  server two 10.0.0.2:1 cookie ssl\n  server three 10.0.0.3:1 verify none\n  server four 10.0.0.4:1 \
         no-ssl\nbackend b\n  server five 10.0.0.5:1\n  server six \"${SIX}\":1 ssl\n",
        None,
    )
    .await;
    let found: Vec<(Value, Value)> = facts["upstreams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|u| (u["encryption"].clone(), u["verify"]["values"][0].clone()))
        .collect();
    let pair = |a: &str, b: &str| (json!(a), json!(b));
    assert_eq!(
        found,
        [
            pair("tls", "off"),
            pair("tls", "on"),
            pair("tls", "off"),
            pair("none", "on"),
            pair("tls", "off"),
            pair("tls", "off")
        ]
    );
    assert_eq!(facts["upstreams"][5]["outcome"], "not_proven");
    assert_eq!(facts["asked"], json!([]));
}

#[tokio::test]
async fn what_is_not_understood_is_not_proven() {
    for text in [
        "global\n.if defined(X)\nssl-default-bind-options no-sslv3\n.endif",
        "frontend a\nbind :443 ssl crt \"$HOME/a\"",
        "frontend a\nbind :443 mystery ssl",
        "frontend a\nbind :443 ssl crt-list gone.txt",
        "frontend a\nbind :443 ssl crt @store/a",
        "defaults a\ndefaults b from a\nfrontend c\nbind :1",
        "frontend a from gone\nbind :1",
        "bind :443",
        "frontend a\nbind \"x",
        ".mystery",
        "frontend a\nbind :1 \0",
        "frontend a\nbind \\x41",
    ] {
        let facts = haproxy(text, Some("2.6.12")).await;
        assert_eq!(facts["asked"], json!([]), "{text:?}: {facts:#}");
    }
}

#[tokio::test]
async fn lists_and_folders_of_certificates() {
    let files = Files::new();
    files.file("/etc/haproxy/list", "# these\na.pem [ssl-min-ver TLSv1.0] a.example.org\nb.pem\n");
    files.file("/etc/ssl/certs/x.pem", "");
    files.file("/etc/ssl/certs/x.pem.key", "");
    files.file(
        ENTRY,
        "global\n  crt-base /etc/ssl\nfrontend a\n  bind :443 ssl crt-list /etc/haproxy/list ssl-min-ver TLSv1.2\n  bind :444 ssl \
         crt /etc/ssl/certs ssl-min-ver TLSv1.2\n",
    );
    let facts = files.read("haproxy", ENTRY, None).await;
    let [a, b] = [&facts["services"][0], &facts["services"][1]];
    assert_eq!((&a["protocols"]["outcome"], &a["ciphers"]["outcome"]), (&json!("not_proven"), &json!("not_proven")));
    assert_eq!(a["certificates"][1]["name"], "/etc/ssl/b.pem");
    assert_eq!(b["protocols"]["outcome"], "present");
    let keys: Vec<&str> = facts["keys"].as_array().unwrap().iter().map(|k| k["name"].as_str().unwrap()).collect();
    assert!(keys.contains(&"/etc/ssl/certs/x.pem.key"), "{keys:?}");
    // All files of a folder, in their order.
    files.file("/etc/haproxy/conf.d/1.cfg", "defaults\n  mode http\n");
    files.file("/etc/haproxy/conf.d/2.cfg", "frontend b\n  bind :80\n");
    files.file("/etc/haproxy/conf.d/3.txt", "frontend c\n  bind :81\n");
    let facts = files.read("haproxy", "/etc/haproxy/conf.d", None).await;
    assert_eq!((&facts["services"][0]["speaks"], facts["services"].as_array().unwrap().len()), (&json!("http"), 1));
}

#[tokio::test]
async fn long_files_end() {
    assert_eq!(haproxy(&"x ".repeat(5 << 20), None).await["asked"], json!([]));
    haproxy(&"frontend a\nbind :1 ssl\n".repeat(3_000), None).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_file_is_borne(lines in prop::collection::vec(
        "(global|defaults|frontend|backend|bind|server|redirect scheme https|http-request|http-response set-header|mode http|.if|.endif|\
          ssl-default-bind-options)?( (ssl|crt|if|!|[{]|[}]|verify|none|ssl-min-ver|TLSv1.2|a)){0,6}(\"|'|\\\\|[$]|\\PC){0,3}", 0..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let facts = runtime.block_on(haproxy(&lines.join("\n"), Some("2.6.12")));
        prop_assert!(facts["files"].is_array());
    }
}
