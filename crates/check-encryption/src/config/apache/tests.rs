#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::testing::{Files, class};

const ENTRY: &str = "/etc/apache2/apache2.conf";
const MODULES: &str = "LoadModule authz_core_module modules/a.so\nLoadModule ssl_module modules/s.so\n";

async fn apache(text: &str) -> Value {
    let files = Files::new();
    files.file(ENTRY, format!("{MODULES}{text}\n"));
    files.read("apache", ENTRY, Some("2.4.62")).await
}

async fn host(text: &str) -> Value {
    let facts = apache(&format!("Listen 443\n<VirtualHost *:443>\nSSLEngine on\n{text}\n</VirtualHost>")).await;
    facts["services"][0].clone()
}

async fn plain(text: &str) -> Value {
    apache(&format!("Listen 80\n<VirtualHost *:80>\n{text}\n</VirtualHost>")).await["services"][0]["redirect"].clone()
}

#[tokio::test]
async fn hosts_inherit_and_replace() {
    let facts = apache(
        "Listen 443\nSSLProtocol -all +TLSv1.2\nSSLCertificateKeyFile keys/main.pem\n<VirtualHost _default_:443>\nServerName \
         a\nServerAlias b c\nSSLEngine On\nSSLProtocol TLSv1.2 \\\n +TLSv1.3\n</VirtualHost>\n<VirtualHost 10.0.0.1:443 \
         [::1]:443>\nSSLEngine on\n</VirtualHost>",
    )
    .await;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    let [a, b] = [&facts["services"][0], &facts["services"][1]];
    assert_eq!((&a["names"], &a["encryption"]), (&json!([]), &json!("tls")));
    assert_eq!((&b["names"], &b["encryption"]), (&json!(["a", "b", "c"]), &json!("tls")));
    assert_eq!(a["protocols"]["values"], json!(["TLSv1.2"]));
    assert_eq!(b["protocols"]["values"], json!(["TLSv1.2", "TLSv1.3"]));
    assert_eq!(b["protocols"]["at"], format!("{ENTRY}:10"));
    assert_eq!(facts["keys"][0]["name"], "/etc/apache2/keys/main.pem");
    assert_eq!(facts["modules"][1]["name"], "modules/s.so");
    // DEFAULT lets these in; the others Apache takes out.
    assert_eq!((class(a, "kRSA"), class(a, "aNULL"), class(a, "eNULL")), ("present", "absent", "absent"));
}

#[tokio::test]
async fn what_no_host_takes_the_main_server_serves() {
    let facts = apache(
        "Listen 80\nListen 127.0.0.1:8080\nListen 443\n<VirtualHost 10.0.0.1:80>\n</VirtualHost>\n<VirtualHost *:443>\nSSLEngine \
         on\n</VirtualHost>",
    )
    .await;
    let addresses: Vec<&Value> = facts["services"].as_array().unwrap().iter().map(|s| &s["addresses"][0]).collect();
    assert_eq!(addresses, ["*:443", "*:80", "10.0.0.1:80", "127.0.0.1:8080"]);
    assert_eq!(facts["services"][3]["loopback"], true);
}

#[tokio::test]
async fn versions_are_sets() {
    for (text, outcome, values) in [
        ("all -SSLv3", "present", json!(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"])),
        ("all", "not_proven", json!(["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"])),
        ("all -SSLv3 -TLSv1 -TLSv1.1", "present", json!(["TLSv1.2", "TLSv1.3"])),
        ("-all +TLSv1.3", "present", json!(["TLSv1.3"])),
        ("TLSv1 TLSv1.2", "present", json!(["TLSv1.2"])),
        ("+SSLv3", "present", json!(["SSLv3"])),
        ("TLSv9", "not_proven", json!([])),
        ("${VERSIONS}", "not_proven", json!([])),
    ] {
        let service = host(&format!("SSLProtocol {text}")).await;
        assert_eq!(
            (&service["protocols"]["outcome"], &service["protocols"]["values"]),
            (&json!(outcome), &values),
            "{text}"
        );
    }
    let files = Files::new();
    files.file(ENTRY, format!("{MODULES}Listen 443\nSSLEngine on\nSSLProtocol all -SSLv3\n"));
    for (version, outcome, newest) in [(None, "not_proven", "TLSv1.3"), (Some("2.4.10"), "present", "TLSv1.2")] {
        let protocols = files.read("apache", ENTRY, version).await["services"][0]["protocols"].clone();
        assert_eq!(
            (&protocols["outcome"], protocols["values"].as_array().unwrap().last().unwrap()),
            (&json!(outcome), &json!(newest))
        );
    }
    assert_eq!(host("").await["protocols"]["outcome"], "absent");
    assert_eq!(host("SSLOpenSSLConfCmd MinProtocol TLSv1").await["protocols"]["outcome"], "not_proven");
}

#[tokio::test]
async fn plain_hosts_lead_to_https() {
    const ACME: &str = "RewriteEngine on\nRewriteCond %{REQUEST_URI} !^/\\.well-known/acme-challenge/\nRewriteRule ^ \
                        https://%{HTTP_HOST}%{REQUEST_URI} [R=301,L]";
    for (text, outcome, except) in [
        ("Redirect permanent / https://a/", "present", json!([])),
        ("Redirect / https://a/", "present", json!([])),
        ("Redirect gone /", "present", json!([])),
        ("RedirectMatch ^(.*)$ https://a$1", "present", json!([])),
        ("Redirect / http://a/", "absent", json!([])),
        ("Redirect /a https://a/", "absent", json!([])),
        ("Redirect /old http://b/\nRedirect / https://a/", "present", json!(["/old"])),
        ("ProxyPass /app http://127.0.0.1:1/\nRedirect / https://a/", "not_proven", json!([])),
        ("<Location /app>\nProxyPass http://127.0.0.1:1/\n</Location>\nRedirect / https://a/", "not_proven", json!([])),
        ("MysteryHandler on\nRedirect / https://a/", "not_proven", json!([])),
        ("RewriteRule ^ https://a [R]", "absent", json!([])),
        ("RewriteEngine on\nRewriteCond %{HTTPS} off\nRewriteRule ^(.*)$ https://a$1 [L,R=301]", "present", json!([])),
        ("RewriteEngine on\nRewriteCond %{HTTP_HOST} =a\nRewriteRule ^ https://a [R]", "not_proven", json!([])),
        ("RewriteEngine on\nRewriteRule ^/x /y [PT]\nRedirect / https://a/", "not_proven", json!([])),
        (ACME, "present", json!(["^/.well-known/acme-challenge/"])),
        ("DocumentRoot /srv", "absent", json!([])),
    ] {
        let redirect = plain(text).await;
        assert_eq!((&redirect["outcome"], &redirect["except"]), (&json!(outcome), &except), "{text}");
    }
}

#[tokio::test]
async fn hsts_and_what_takes_it_away() {
    for (text, outcome, age, missing) in [
        (
            "Header always set Strict-Transport-Security \"max-age=63072000; includeSubDomains\"",
            "present",
            json!(63_072_000),
            0,
        ),
        ("Header set Strict-Transport-Security max-age=5 env=HTTPS", "present", json!(5), 0),
        ("Header set Strict-Transport-Security max-age=5 env=x", "not_proven", json!(5), 0),
        (
            "Header set Strict-Transport-Security max-age=5\nHeader unset Strict-Transport-Security",
            "absent",
            json!(null),
            0,
        ),
        (
            "Header always set Strict-Transport-Security max-age=5\n<Location /x>\nHeader always unset \
             Strict-Transport-Security\n</Location>",
            "present",
            json!(5),
            1,
        ),
        (
            "Header always set Strict-Transport-Security max-age=5\n<Directory /x>\nAllowOverride All\n</Directory>",
            "not_proven",
            json!(5),
            0,
        ),
        ("Header edit Strict-Transport-Security a b", "not_proven", json!(null), 0),
        ("", "absent", json!(null), 0),
    ] {
        let hsts = host(text).await["hsts"].clone();
        assert_eq!((&hsts["outcome"], &hsts["max_age"]), (&json!(outcome), &age), "{text}");
        assert_eq!(hsts["missing_in"].as_array().unwrap().len(), missing, "{text}");
    }
}

#[tokio::test]
async fn servers_behind() {
    let facts = apache(
        "Listen 443\n<VirtualHost *:443>\nSSLEngine on\nSSLProxyVerify require\nProxyPass /a https://user:secret@one/\nProxyPass /n \
         !\nProxyPass /b balancer://pool\n<Proxy balancer://pool>\nBalancerMember https://two\n</Proxy>\nRewriteRule ^/c(.*) \
         http://three$1 [P,L]\n</VirtualHost>\n<VirtualHost *:444>\nProxyPass / https://four\nSSLProxyVerify \
         require\nSSLProxyCheckPeerName off\n</VirtualHost>\n<VirtualHost *:445>\nProxyPass / https://five\nSSLProxyVerify \
         require\n<Proxy https://five>\nSSLProxyVerify none\n</Proxy>\n</VirtualHost>",
    )
    .await;
    let find = |name: &str| facts["upstreams"].as_array().unwrap().iter().find(|u| u["name"] == name).unwrap().clone();
    assert_eq!(find("https://one/")["verify"]["values"], json!(["on"]));
    assert_eq!(find("https://two")["encryption"], "tls");
    assert_eq!(find("http://three$1")["encryption"], "none");
    assert_eq!(find("https://four")["verify"]["values"], json!(["off"]));
    assert_eq!(find("https://five")["verify"]["outcome"], "not_proven");
    assert!(!facts.to_string().contains("secret"));
}

#[tokio::test]
async fn what_is_not_understood_is_not_proven() {
    for text in [
        "<IfDefine SECRET>\nSSLProtocol all\n</IfDefine>",
        "<IfVersion >= 2.5.0.1.2>\nSSLProtocol all\n</IfVersion>",
        "Use Site example.org",
        "<Macro Site $name>\nSSLProtocol all\n</Macro>",
        "<Perl>\n$x = 1;\n</Perl>",
        "<VirtualHost *:443>\nSSLEngine on",
        "</VirtualHost>",
        "<VirtualHost *:443",
        "SSLCertificateFile ${DIR}/a.pem",
        "Include gone.conf",
        "Include ../../../../../etc/passwd",
        "Include round.conf",
        "SSLEngine upgrade",
        "<Location /x>\nSSLCipherSuite RC4\n</Location>",
        "SSLProtocol all\0 -SSLv3",
        "SSLProtocol TLSv1.2\\\\\n",
    ] {
        let files = Files::new();
        files.file("/etc/apache2/round.conf", "IncludeOptional *.conf");
        files.file(ENTRY, format!("{MODULES}Listen 443\n{text}\n"));
        let facts = files.read("apache", ENTRY, Some("2.4.62")).await;
        assert_eq!(facts["asked"], json!([]), "{text:?}: {facts:#}");
        assert!(!facts.to_string().contains("root:x"), "{text:?}");
    }
    // Without `LoadModule ssl_module` it may be built in; a project's module of its own never is.
    for (name, asked) in [("ssl_module", json!([])), ("mod_gnutls.c", json!("all")), ("mod_info.c", json!("all"))] {
        let files = Files::new();
        let text = format!("LoadModule authz_core_module a.so\n<IfModule {name}>\nListen 443\n</IfModule>\n");
        files.file(ENTRY, text);
        assert_eq!(files.read("apache", ENTRY, None).await["asked"], asked, "{name}");
    }
    // A condition that does not matter.
    assert_eq!(apache("<IfDefine X>\nScriptAlias /a /b\n</IfDefine>").await["asked"], "all");
}

#[tokio::test]
async fn long_and_deep_files_end() {
    let files = Files::new();
    files.file("/etc/apache2/long.conf", "x".repeat(10 << 20));
    files.file("/etc/apache2/deep.conf", "<Directory /a>\n".repeat(100_000));
    files.file("/etc/apache2/many.conf", "SSLProtocol \\\n".repeat(200_000));
    for name in ["long", "deep"] {
        files.file(ENTRY, format!("Include {name}.conf\n"));
        assert_eq!(files.read("apache", ENTRY, None).await["asked"], json!([]), "{name}");
    }
    files.file(ENTRY, "Include many.conf\n");
    files.read("apache", ENTRY, None).await;
}

#[tokio::test]
async fn folders_are_read_whole() {
    let files = Files::new();
    files.file("/etc/apache2/more/.a.conf", "Listen 443\n");
    files.file("/etc/apache2/more/deep/b", "SSLEngine on\nSSLProtocol TLSv1.3\n");
    files.file(ENTRY, "Include more\nIncludeOptional gone/*.conf\nIncludeOptional gone.conf\n");
    let facts = files.read("apache", ENTRY, None).await;
    assert_eq!(facts["asked"], "all", "{facts:#}");
    assert_eq!(facts["services"][0]["protocols"]["values"], json!(["TLSv1.3"]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_file_is_borne(lines in prop::collection::vec(
        "(SSLProtocol|SSLCipherSuite|Header always set Strict-Transport-Security|Redirect|RewriteRule|RewriteCond|Listen|Include|ProxyPass|\
          <VirtualHost|<IfDefine|</VirtualHost|<If|Define|SSLOpenSSLConfCmd)?( |>|\"|[$][{]a[}]|\\\\|\\PC|[a-z*:/0-9]){0,12}", 0..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let facts = runtime.block_on(apache(&lines.join("\n")));
        prop_assert!(facts["files"].is_array());
    }
}
