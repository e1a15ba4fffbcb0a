#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use serde_json::{Value, json};

use crate::config::testing::{Files, class};

async fn nginx(http: &str) -> Value {
    let files = Files::new();
    files.file("/etc/nginx/nginx.conf", format!("events {{}}\nhttp {{\n{http}\n}}\n"));
    files.read("nginx", "/etc/nginx/nginx.conf", Some("1.22.1")).await
}

#[tokio::test]
async fn inner_blocks_replace_outer_ones() {
    let facts = nginx(
        "ssl_protocols TLSv1 TLSv1.2;\nadd_header Strict-Transport-Security max-age=300;\nserver { listen 443 ssl; \
         server_name a; ssl_protocols TLSv1.3; location /x { add_header X y; } }\nserver { listen [::1]:443 ssl; \
         server_name b; ssl_certificate_key keys/b.pem; }",
    )
    .await;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    let [a, b] = [&facts["services"][0], &facts["services"][1]];
    assert_eq!(
        (&a["protocols"]["values"], &a["protocols"]["at"]),
        (&json!(["TLSv1.3"]), &json!("/etc/nginx/nginx.conf:5"))
    );
    assert_eq!(b["protocols"]["values"], json!(["TLSv1.0", "TLSv1.2"]));
    assert_eq!((&a["hsts"]["max_age"], &a["hsts"]["missing_in"]), (&json!(300), &json!(["/etc/nginx/nginx.conf:5"])));
    assert_eq!((&a["loopback"], &b["loopback"]), (&json!(false), &json!(true)));
    assert_eq!(class(a, "aNULL"), "absent");
    assert_eq!((class(a, "3DES"), class(a, "kRSA")), ("not_proven", "present"));
    assert_eq!(
        (&facts["keys"][0]["name"], &facts["keys"][0]["outcome"]),
        (&json!("/etc/nginx/keys/b.pem"), &json!("absent"))
    );
}

#[tokio::test]
async fn versions_add_up_in_one_block_and_words_that_nobody_knows_are_not_left_out() {
    let of = async |directives: &str| {
        let facts = nginx(&format!("{directives} server {{ listen 443 ssl; }}")).await;
        let protocols = &facts["services"][0]["protocols"];
        (protocols["outcome"].clone(), protocols["values"].clone())
    };
    let written = |versions: &[&str]| (json!("present"), json!(versions));
    let two = "ssl_protocols TLSv1.1; ssl_protocols TLSv1.2 TLSv1.3;";
    assert_eq!(of(two).await, written(&["TLSv1.1", "TLSv1.2", "TLSv1.3"]));
    assert_eq!(of("ssl_protocols tlsv1.1 TLSV1;").await, written(&["TLSv1.1", "TLSv1.0"]));
    assert_eq!(of("ssl_protocols TLSv1.2 TLSv1.4;").await, (json!("not_proven"), json!([])));
}

#[tokio::test]
async fn a_server_that_rejects_every_handshake_serves_no_page() {
    let facts = nginx("server { listen 443 ssl default_server; ssl_reject_handshake on; }").await;
    assert_eq!((&facts["services"][0]["speaks"], &facts["services"][0]["encryption"]), (&json!("tcp"), &json!("tls")));
}

#[tokio::test]
async fn one_listen_encrypts_an_address_for_all() {
    let facts = nginx(
        "server { listen 0.0.0.0:443 ssl; server_name a; }\nserver { listen 443; server_name b; }\nserver { \
                       server_name c; }",
    )
    .await;
    let encryption = |n: usize| facts["services"][n]["encryption"].clone();
    assert_eq!([encryption(0), encryption(1), encryption(2)], ["tls", "tls", "none"]);
    // 1.22.1.
    assert_eq!(facts["services"][0]["protocols"]["values"], json!(["TLSv1.0", "TLSv1.1", "TLSv1.2"]));
    assert_eq!(facts["services"][0]["protocols"]["outcome"], "absent");
}

#[tokio::test]
async fn what_only_leads_to_https() {
    for (server, outcome, except) in [
        ("return 301 https://$host$request_uri;", "present", json!([])),
        ("return 301 http://$host;", "absent", json!([])),
        ("rewrite ^ https://$host$request_uri permanent;", "present", json!([])),
        ("rewrite ^/old /new last; return 301 https://x;", "absent", json!([])),
        ("if ($host = a) { return 301 https://$host$request_uri; } return 404;", "present", json!([])),
        ("if ($host = a) { return 200 hello; } return 404;", "absent", json!([])),
        ("location / { return 301 https://$host; }", "present", json!([])),
        (
            "location ^~ /.well-known/acme-challenge/ { root /x; } location / { return 301 https://$host; }",
            "present",
            json!(["^~ /.well-known/acme-challenge/"]),
        ),
        ("error_page 418 = @app; location @app { root /srv; } location / { return 418; }", "absent", json!([])),
        ("location = / { return 301 https://$host; }", "absent", json!([])),
        (
            "location / { return 301 https://$host; location /admin { root /srv; location /a/b { return 403; } } }",
            "present",
            json!(["/admin"]),
        ),
        ("root /srv;", "absent", json!([])),
    ] {
        let facts = nginx(&format!("server {{ listen 80; {server} }}")).await;
        let redirect = &facts["services"][0]["redirect"];
        assert_eq!((&redirect["outcome"], &redirect["except"]), (&json!(outcome), &except), "{server}");
    }
}

#[tokio::test]
async fn servers_behind() {
    let facts = nginx(
        "server { proxy_ssl_verify on; location /a { proxy_pass https://user:secret@one/x?key=secret; } location /b { \
         proxy_ssl_verify off; proxy_pass https://two; } location /c { proxy_pass $scheme://three; } location /d { \
         proxy_pass http://four; } location /e { proxy_pass HTTPS://five; } }",
    )
    .await;
    let upstreams = facts["upstreams"].as_array().unwrap();
    let short: Vec<Value> =
        upstreams.iter().map(|u| json!([u["name"], u["outcome"], u["encryption"], u["verify"]["values"][0]])).collect();
    assert_eq!(
        short,
        [
            json!(["https://one/x", "present", "tls", "on"]),
            json!(["https://two", "present", "tls", "off"]),
            json!(["$scheme://three", "not_proven", "none", "on"]),
            json!(["http://four", "present", "none", "on"]),
            json!(["HTTPS://five", "present", "tls", "on"]),
        ]
    );
    assert!(!facts.to_string().contains("secret"));
}

#[tokio::test]
async fn mistakes_variables_and_lua_are_not_proven() {
    for (http, place, why) in [
        ("server { listen 443 ssl;\n", "/etc/nginx/nginx.conf:6:1", "the file ends inside a block"),
        ("server { listen \"443; }", "/etc/nginx/nginx.conf:3:17", "a quote that does not end"),
        ("content_by_lua_block { ngx.say('}') }", "/etc/nginx/nginx.conf:3", "Lua"),
        ("include nothing.conf;", "/etc/nginx/nothing.conf", "no such file (named at /etc/nginx/nginx.conf:3)"),
        ("include nginx.conf;", "/etc/nginx/nginx.conf", "it includes itself"),
    ] {
        let facts = nginx(http).await;
        assert_eq!(facts["asked"], json!([]), "{http}");
        assert_eq!(facts["not_proven"][0]["name"], place, "{http}");
        assert!(facts["not_proven"][0]["why"].as_str().unwrap().contains(why), "{http}: {}", facts["not_proven"]);
    }
    let facts = nginx("server { listen 443 ssl; ssl_ciphers $c; ssl_conf_command MinProtocol TLSv1; }").await;
    assert_eq!(facts["services"][0]["ciphers"]["outcome"], "not_proven");
    assert_eq!(facts["services"][0]["protocols"]["outcome"], "not_proven");
}

#[tokio::test]
async fn what_leads_astray_is_not_proven() {
    let files = Files::new();
    let sparse = std::fs::File::create(files.path("/etc/nginx/huge.conf")).unwrap();
    sparse.set_len(4 << 30).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        files.path("/etc/nginx/pipe.conf"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    files.link("/etc/nginx/out.conf", "../../../../../../etc/passwd");
    files.link("/etc/nginx/round.conf", "round.conf");
    files.link("/etc/nginx/device.conf", "/dev/zero");
    files.file("/etc/nginx/a.conf", "include b.conf;");
    files.file("/etc/nginx/b.conf", "include a.conf;");
    for name in ["huge", "pipe", "out", "round", "device", "a"] {
        files.file("/etc/nginx/nginx.conf", format!("load_module x.so;\nhttp {{ include {name}.conf; }}"));
        let facts = files.read("nginx", "/etc/nginx/nginx.conf", Some("1.22.1")).await;
        assert_eq!(facts["asked"], json!([]), "{name}: {facts:#}");
        assert!(!facts["not_proven"].as_array().unwrap().is_empty(), "{name}");
        assert_eq!(facts["modules"][0]["name"], "x.so", "{name}");
        assert!(!facts.to_string().contains("root:x"), "{name}");
    }
}
