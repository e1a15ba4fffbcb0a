#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::testing::{Machine, observe};

fn pair() -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["www.example.org".to_owned()]).unwrap().self_signed(&key).unwrap();
    (key, certificate.pem())
}

async fn look(machine: &Machine) -> Value {
    observe(KeyFiles { root: machine.root() }).await.unwrap()
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()
}

#[tokio::test]
async fn keys_and_certificates_find_each_other() {
    let machine = Machine::new();
    let (key, certificate) = pair();
    machine.file("/etc/letsencrypt/archive/www/privkey2.pem", key.serialize_pem());
    machine.file("/etc/letsencrypt/archive/www/cert2.pem", &certificate);
    machine.file("/etc/letsencrypt/archive/www/cert1.pem", pair().1);
    machine.link("/etc/letsencrypt/live/www/privkey.pem", "../../archive/www/privkey2.pem");
    machine.link("/etc/letsencrypt/live/www/cert.pem", "../../archive/www/cert2.pem");
    machine.mode("/etc/letsencrypt/archive/www/privkey2.pem", 0o640);
    machine.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    let facts = look(&machine).await;
    assert_eq!((&facts["asked"], &facts["cut"], &facts["not_read"]), (&json!("all"), &json!(false), &json!([])));

    let path = "/etc/letsencrypt/archive/www/privkey2.pem";
    let found = named(&facts["keys"], path);
    assert_eq!(found["links"], json!(["/etc/letsencrypt/live/www/privkey.pem"]));
    assert_eq!((&found["format"], &found["type"], &found["bits"]), (&json!("PKCS8"), &json!("EC"), &json!(256)));
    assert_eq!(
        (&found["mode"], &found["group_readable"], &found["world_readable"]),
        (&json!("0640"), &json!(true), &json!(false))
    );
    assert_eq!(found["encrypted"], false);
    assert_eq!(found["certificate"]["path"], "/etc/letsencrypt/archive/www/cert2.pem");

    // The old certificate is in no one's use.
    assert_eq!(facts["certificates"].as_array().unwrap().len(), 1);
    let certificate = &facts["certificates"][0];
    assert_eq!((&certificate["key_matches"], &certificate["dns_names"]), (&json!(path), &json!(["www.example.org"])));
    assert_eq!(named(&facts["places"], "/etc/letsencrypt/live")["outcome"], "present");
    assert_eq!(named(&facts["places"], "/etc/nginx")["outcome"], "absent");
}

#[tokio::test]
async fn nothing_secret_is_written_down() {
    let machine = Machine::new();
    let (key, _) = pair();
    let text = key.serialize_pem();
    machine.file("/etc/ssl/private/a.key", &text);
    machine.file("/etc/ssl/private/broken.key", text.replace("-----END", "-----FIN"));
    let facts = look(&machine).await;
    assert_eq!(named(&facts["keys"], "/etc/ssl/private/broken.key")["outcome"], "not_proven");
    let written = facts.to_string();
    for line in text.lines().filter(|line| !line.starts_with('-')) {
        assert!(!written.contains(line));
    }
}

#[tokio::test]
async fn configurations_name_more_places() {
    let machine = Machine::new();
    let (key, certificate) = pair();
    machine
        .file("/etc/nginx/sites-available/a", "ssl_certificate_key /srv/tls/a.key;\nssl_certificate /srv/tls/a.crt;\n");
    machine.link("/etc/nginx/sites-enabled/a", "../sites-available/a");
    machine.file("/etc/apache2/b.conf", "SSLCertificateKeyFile /srv/gone.key\n");
    machine.file("/srv/tls/a.key", key.serialize_pem());
    machine.file("/srv/tls/a.crt", certificate);
    machine.mode("/srv/tls", 0o777);
    let facts = look(&machine).await;
    let found = named(&facts["keys"], "/srv/tls/a.key");
    assert_eq!(found["certificate"]["path"], "/srv/tls/a.crt");
    assert_eq!((&found["folder_world_writable"], &found["folder_mode"]), (&json!(true), &json!("0777")));
    assert_eq!(named(&facts["places"], "/srv/gone.key")["outcome"], "absent");
}

#[tokio::test]
async fn several_things_in_one_file_have_names() {
    let machine = Machine::new();
    let ((one, first), (two, second)) = (pair(), pair());
    let all = [one.serialize_pem(), first, two.serialize_pem(), second].concat();
    machine.file("/etc/haproxy/all.pem", all);
    let facts = look(&machine).await;
    assert_eq!(facts["keys"].as_array().unwrap().len(), 2);
    assert!(named(&facts["keys"], "/etc/haproxy/all.pem#2")["certificate"].is_object());
    assert_eq!(named(&facts["certificates"], "/etc/haproxy/all.pem#2")["position"], 2);
}

#[tokio::test]
async fn authorities_of_the_system_are_left_out() {
    let machine = Machine::new();
    let (key, certificate) = pair();
    machine.file("/etc/ssl/private/a.key", key.serialize_pem());
    machine.file("/etc/ssl/certs/a.pem", &certificate);
    machine.file("/etc/ssl/certs/ca-certificates.crt", [certificate.as_str(), &pair().1, &pair().1].concat());
    let facts = look(&machine).await;
    let names: Vec<_> = facts["certificates"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["/etc/ssl/certs/a.pem", "/etc/ssl/certs/ca-certificates.crt"]);
}

#[tokio::test]
async fn a_database_is_not_read() {
    let machine = Machine::new();
    machine.file("/var/lib/postgresql/15/main/server.key", pair().0.serialize_pem());
    machine.file("/var/lib/postgresql/15/main/base/1/2/3/huge.key", "");
    machine.file("/var/lib/postgresql/15/main/data", pair().0.serialize_pem());
    let facts = look(&machine).await;
    assert_eq!(facts["keys"].as_array().unwrap().len(), 1);
    assert_eq!(named(&facts["places"], "/var/lib/postgresql")["files"], 1);
}

#[tokio::test]
async fn what_can_not_be_read_is_said() {
    let machine = Machine::new();
    machine.link("/etc/ssl/private", "private");
    machine.file("/etc/nginx/huge.key", vec![b'x'; (1 << 20) + 1]);
    let facts = look(&machine).await;
    let unread: Vec<_> = facts["not_read"].as_array().unwrap().iter().map(|n| n["name"].clone()).collect();
    assert_eq!(unread, ["/etc/ssl/private", "/etc/nginx/huge.key"]);
    for place in ["/etc/ssl/private", "/etc/nginx"] {
        assert_eq!(named(&facts["places"], place)["outcome"], "not_proven");
        assert!(!facts["asked"].as_array().unwrap().contains(&json!(place)));
    }
    assert!(facts["asked"].as_array().unwrap().contains(&json!("/etc/ssh")));
}

#[tokio::test]
async fn this_machine_is_searched() {
    let facts = observe(KeyFiles::default()).await.unwrap();
    assert!(facts["places"].as_array().unwrap().len() >= places::usual().len());
    assert_eq!(facts["cut"], false);
}

proptest! {
    #[test]
    fn any_text_is_borne(text in "(\\PC{0,9}:){0,6}\n\\PC{0,30}") {
        names(&text);
        names("root:x:0:0:");
    }
}
