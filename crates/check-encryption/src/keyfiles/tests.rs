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

/// An access list of a file or folder: owner rw, group none, mask rwx, and one account.
fn grant(machine: &Machine, path: &str, account: u32, permission: u16) {
    let entries =
        [(1, 7, u32::MAX), (2, permission, account), (4, 0, u32::MAX), (0x10, 7, u32::MAX), (0x20, 0, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permission, id) in entries {
        list.extend([u16::to_le_bytes(tag), u16::to_le_bytes(permission)].concat());
        list.extend(u32::to_le_bytes(id));
    }
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(machine.path(path), "system.posix_acl_access", &list, flags).unwrap();
}

#[tokio::test]
async fn who_may_read_or_replace_a_key_is_told() {
    let machine = Machine::new();
    let pem = pair().0.serialize_pem();
    for name in ["a/list", "b/group", "c/above/deep", "d/folder-list", "e/sound", "f/sticky"] {
        machine.file(&format!("/etc/nginx/{name}.key"), &pem);
        machine.mode(&format!("/etc/nginx/{name}.key"), 0o600);
    }
    machine.file("/srv/real/linked.key", &pem);
    machine.link("/srv/open/link.key", "/srv/real/linked.key");
    machine.link("/etc/nginx/link.key", "/srv/real/linked.key");
    machine.link("/etc/nginx/through", "../../srv/open");
    grant(&machine, "/etc/nginx/a/list.key", 65534, 4);
    grant(&machine, "/etc/nginx/d", 65534, 7);
    machine.mode("/etc/nginx/b", 0o775);
    rustix::fs::chown(machine.path("/etc/nginx/b"), None, Some(rustix::fs::Gid::from_raw(12))).unwrap();
    machine.mode("/etc/nginx/c", 0o777);
    machine.mode("/etc/nginx/f", 0o1777);
    machine.mode("/srv/open", 0o777);
    let facts = look(&machine).await;
    let key = |name: &str| named(&facts["keys"], name);
    let list = key("/etc/nginx/a/list.key");
    assert_eq!((&list["acl_readers"], &list["acl_writers"]), (&json!(["account 65534"]), &json!([])));
    for (name, open) in [
        ("/etc/nginx/a/list.key", None),
        ("/etc/nginx/b/group.key", Some("/etc/nginx/b (mode 0775, owner 0, group 12)")),
        ("/etc/nginx/c/above/deep.key", Some("/etc/nginx/c (mode 0777, owner 0, group 0)")),
        ("/etc/nginx/d/folder-list.key", Some("/etc/nginx/d (mode 0770, owner 0, group 0, and an access list)")),
        ("/etc/nginx/e/sound.key", None),
        ("/etc/nginx/f/sticky.key", None),
        ("/srv/real/linked.key", Some("/srv/open (mode 0777, owner 0, group 0)")),
    ] {
        assert_eq!(key(name)["open_folders"], json!(open.into_iter().collect::<Vec<_>>()), "{name}");
        assert_eq!(key(name)["access_unknown"], Value::Null, "{name}");
    }
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

#[tokio::test]
async fn what_is_no_regular_file_holds_nothing_up() {
    let machine = Machine::new();
    machine.file("/etc/nginx/a.key", pair().0.serialize_pem());
    let fifo = machine.path("/etc/nginx/fifo.key");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    machine.link("/etc/nginx/zero.key", "/dev/zero");
    machine.link("/etc/nginx/loop.key", "loop.key");
    machine.link("/etc/nginx/round", "/etc/nginx");
    let huge = std::fs::File::create(machine.path("/etc/nginx/huge.pem")).unwrap();
    huge.set_len(4 << 30).unwrap();
    let facts = look(&machine).await;
    assert_eq!(facts["keys"].as_array().unwrap().len(), 1);
    let unread: Vec<_> = facts["not_read"].as_array().unwrap().iter().map(|n| n["name"].clone()).collect();
    assert_eq!(unread, ["/etc/nginx/huge.pem", "/etc/nginx/loop.key"]);
}

#[tokio::test]
async fn the_same_key_in_two_files_is_named_in_both() {
    let machine = Machine::new();
    let (key, certificate) = pair();
    machine.file("/etc/nginx/a.key", key.serialize_pem());
    machine.file("/etc/postfix/b.pem", [key.serialize_pem(), certificate].concat());
    machine.link("/etc/haproxy/a.key", "/etc/nginx/a.key");
    machine.file("/etc/haproxy/c.key", pair().0.serialize_pem());
    let facts = look(&machine).await;
    assert_eq!(named(&facts["keys"], "/etc/nginx/a.key")["copies"], json!(["/etc/postfix/b.pem"]));
    assert_eq!(named(&facts["keys"], "/etc/postfix/b.pem")["copies"], json!(["/etc/nginx/a.key"]));
    assert_eq!(named(&facts["keys"], "/etc/haproxy/c.key")["copies"], json!([]));
}

#[tokio::test]
async fn published_keys_are_known_and_lists_of_debian_are_read() {
    let machine = Machine::new();
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    machine.file("/etc/nginx/rfc.jwk", jwk);
    machine.file("/etc/nginx/own.key", pair().0.serialize_pem());
    let facts = look(&machine).await;
    let mark = |key: &str, mark: &str| named(&named(&facts["keys"], key)["marks"], mark).clone();
    let published = mark("/etc/nginx/rfc.jwk", "published");
    assert_eq!(
        (&published["outcome"], &published["why"]),
        (&json!("present"), &json!("RFC 8032, section 7.1, test 1"))
    );
    assert_eq!(mark("/etc/nginx/own.key", "published")["outcome"], "absent");
    assert_eq!(mark("/etc/nginx/own.key", "roca")["outcome"], "absent");
}

/// Looks at a declared path on this machine.
async fn declared(path: &std::path::Path) -> Result<Value, model::Failure> {
    let spec = json!({ "path": path.display().to_string(), "passphrase": null });
    crate::testing::observe_on(DeclaredKeyFiles, SORT, spec).await
}

#[tokio::test]
async fn a_declared_path_must_hold_a_key() {
    let folder = tempfile::TempDir::new().unwrap();
    let missing = declared(&folder.path().join("gone")).await.unwrap_err();
    assert_eq!(missing.class, FailureClass::Missing);
    std::fs::write(folder.path().join("readme"), "nothing").unwrap();
    assert_eq!(declared(folder.path()).await.unwrap_err().class, FailureClass::Unreadable);
    std::fs::write(folder.path().join("key"), pair().0.serialize_pem()).unwrap();
    let facts = declared(&folder.path().join("key")).await.unwrap();
    assert_eq!((facts["keys"].as_array().unwrap().len(), &facts["asked"]), (1, &json!("all")));
    // A huge file that is named alone is said to be unread, whatever its name.
    let huge = std::fs::File::create(folder.path().join("huge")).unwrap();
    huge.set_len(4 << 30).unwrap();
    let facts = declared(&folder.path().join("huge")).await.unwrap();
    assert_eq!((facts["not_read"].as_array().unwrap().len(), &facts["asked"]), (1, &json!([])));
}
