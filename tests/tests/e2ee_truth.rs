//! End-to-end encryption seen from the server's side: stores that real tools filled, and stores in clear.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Audited, Mariadb, Postgres, Probity, openssl};

/// What is sent, with a number so that no two payloads are the same.
fn letter(at: usize) -> String {
    format!(
        "Dear Anna, parcel {at} with the documents has arrived this morning and is on your desk. See you on Monday!\n"
    )
}

/// Runs a program on an input, and gives what it prints.
fn through(argv: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{} can't be started", argv[0]))?;
    child.stdin.take().context("no input")?.write_all(input)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Fills a folder with payloads.
fn fill(folder: &Path, count: usize, make: impl Fn(usize) -> Result<Vec<u8>>) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for at in 0..count {
        std::fs::write(folder.join(format!("m{at}")), make(at)?)?;
    }
    Ok(())
}

fn folders(names: &[&str]) -> String {
    names.iter().map(|name| format!("{{ folder: {{ path: {name} }}, name: {name} }}")).collect::<Vec<_>>().join(", ")
}

/// What the audit says of each store: the claim, and the classes and formats of its payloads.
fn stores(audited: &Audited) -> Result<BTreeMap<String, (String, Vec<String>)>> {
    let facts = audited.evidence("e2ee")?["facts"].clone();
    let mut stores = BTreeMap::new();
    for store in facts["stores"]["stores"].as_array().context("no stores")? {
        let name = store["name"].as_str().unwrap_or_default();
        let mut kinds: Vec<String> = Vec::new();
        for sample in facts["samples"]["samples"].as_array().context("no samples")? {
            if sample["name"].as_str().is_some_and(|n| n.starts_with(&format!("{name}: "))) {
                kinds.push(format!("{} {}", sample["class"], sample["format"]).replace('"', ""));
            }
        }
        kinds.sort();
        kinds.dedup();
        stores.insert(name.to_owned(), (store["claim"].as_str().unwrap_or_default().to_owned(), kinds));
    }
    Ok(stores)
}

#[test]
fn a_store_in_clear_is_refuted_with_200_samples() -> Result<()> {
    let probity = Probity::new()?;
    fill(&probity.folder().join("mail"), 3_000, |at| Ok(letter(at).into_bytes()))?;
    let subject = format!("e2ee: {{ store: [{}], samples: 200 }}", folders(&["mail"]));
    let audited = Audited::target(probity, "baseline", &subject, &["audit"])?;
    assert_eq!(audited.verdict("ENC-E2EE-STORE"), "fail");
    assert_eq!(audited.fact("e2ee", "/stores/stores/0/result")?, "refuted: 200 of 200 payloads looked at can be read");
    let pack = std::fs::read_dir(audited.probity.folder().join("pack/evidence"))?;
    for entry in pack {
        let text = std::fs::read_to_string(entry?.path())?;
        ensure!(!text.contains("parcel") && !text.contains("Anna"), "a payload's content is in the evidence");
    }
    // One letter among 298 ciphertexts is found where all are looked at.
    let probity = Probity::new()?;
    fill(&probity.folder().join("mail"), 299, |at| {
        through(&["openssl", "rand", "300"], &[]).map(|b| if at == 7 { letter(at).into_bytes() } else { b })
    })?;
    let subject = format!("e2ee: {{ store: [{}], framing: [secretbox] }}", folders(&["mail"]));
    let audited = Audited::target(probity, "baseline", &subject, &["audit"])?;
    assert_eq!(audited.verdict("ENC-E2EE-STORE"), "fail");
    assert_eq!(audited.fact("e2ee", "/stores/stores/0/readable")?, 1);
    Ok(())
}

/// `crypto_secretstream`, `crypto_secretbox` and `crypto_box_seal` by libsodium itself: a line of hexadecimal for each.
const SODIUM: &str = r"
import ctypes, sys
s = ctypes.CDLL('libsodium.so.23'); s.sodium_init()
what, text = sys.argv[1], sys.stdin.buffer.read()
key = ctypes.create_string_buffer(32); s.randombytes_buf(key, 32)
n = ctypes.c_ulonglong
if what == 'secretstream':
    state, header = ctypes.create_string_buffer(s.crypto_secretstream_xchacha20poly1305_statebytes()), ctypes.create_string_buffer(24)
    s.crypto_secretstream_xchacha20poly1305_init_push(state, header, key)
    out = ctypes.create_string_buffer(len(text) + 17)
    s.crypto_secretstream_xchacha20poly1305_push(state, out, None, text, n(len(text)), None, n(0), ctypes.c_ubyte(3))
    sys.stdout.buffer.write(header.raw + out.raw)
elif what == 'secretbox':
    nonce, out = ctypes.create_string_buffer(24), ctypes.create_string_buffer(len(text) + 16)
    s.randombytes_buf(nonce, 24)
    s.crypto_secretbox_easy(out, text, n(len(text)), nonce, key)
    sys.stdout.buffer.write(nonce.raw + out.raw)
else:
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    s.crypto_box_keypair(public, secret)
    out = ctypes.create_string_buffer(len(text) + 48)
    s.crypto_box_seal(out, text, n(len(text)), public)
    sys.stdout.buffer.write(out.raw)
";

#[test]
fn stores_that_real_tools_encrypted_are_not_refuted() -> Result<()> {
    let probity = Probity::new()?;
    let at = |name: &str| probity.folder().join(name);
    let path = |name: &str| at(name).display().to_string();
    let put = |name: &str, count: usize, argv: &[&str]| fill(&at(name), count, |n| through(argv, letter(n).as_bytes()));
    // age, to two readers; and armoured, to a pass phrase's like.
    for key in ["anna", "bert"] {
        through(&["age-keygen", "-o", &path(key)], &[])?;
    }
    let public = |key: &str| {
        through(&["age-keygen", "-y", &path(key)], &[]).map(|b| String::from_utf8_lossy(&b).trim().to_owned())
    };
    let (anna, bert) = (public("anna")?, public("bert")?);
    put("age", 12, &["age", "-r", &anna, "-r", &bert])?;
    put("age-armor", 12, &["age", "-a", "-r", &anna])?;
    // OpenPGP, to a key and to a pass phrase.
    std::fs::create_dir(at("gnupg"))?;
    std::fs::set_permissions(at("gnupg"), std::fs::Permissions::from_mode(0o700))?;
    let home = path("gnupg");
    let gpg = ["gpg", "--homedir", &home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
    through(
        &[&gpg[..], &["--quick-generate-key", "anna@example.org", "future-default", "default", "never"]].concat(),
        &[],
    )?;
    put("openpgp", 12, &[&gpg[..], &["--trust-model", "always", "-e", "-r", "anna@example.org"]].concat())?;
    put(
        "openpgp-armor",
        6,
        &[&gpg[..], &["--armor", "--trust-model", "always", "-e", "-r", "anna@example.org"]].concat(),
    )?;
    put(
        "openpgp-pass",
        6,
        &["gpg", "--homedir", &home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "x", "-c"],
    )?;
    put("openpgp-signed", 3, &[&gpg[..], &["--sign"]].concat())?;
    put("openpgp-plain", 3, &["gpg", "--homedir", &home, "--batch", "--quiet", "--store"])?;
    let _ = Command::new("gpgconf").args(["--homedir", &home, "--kill", "gpg-agent"]).output();
    // CMS, by openssl.
    let (key, certificate) = (path("key.pem"), path("cert.pem"));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &certificate,
        "-subj",
        "/CN=anna",
        "-days",
        "9",
    ])?;
    let cms = |cipher: &'static str, form: &'static str| {
        ["openssl", "cms", "-encrypt", "-binary", cipher, "-stream", "-outform", form, "-recip"]
    };
    put("cms", 12, &[&cms("-aes-256-gcm", "DER")[..], &[&certificate]].concat())?;
    put("cms-definite", 4, &["openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", &certificate])?;
    put("cms-pem", 4, &[&cms("-aes-256-cbc", "PEM")[..], &[&certificate]].concat())?;
    put("cms-mime", 4, &[&cms("-aes-256-cbc", "SMIME")[..], &[&certificate]].concat())?;
    put(
        "cms-signed",
        3,
        &[
            "openssl",
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-outform",
            "DER",
            "-signer",
            &certificate,
            "-inkey",
            &key,
        ],
    )?;
    // JOSE.
    let (jwk, public) = (path("jwk"), path("jwk.pub"));
    through(&["jose", "jwk", "gen", "-i", r#"{"alg":"ECDH-ES+A256KW"}"#, "-o", &jwk], &[])?;
    through(&["jose", "jwk", "pub", "-i", &jwk, "-o", &public], &[])?;
    put("jwe", 12, &["jose", "jwe", "enc", "-I-", "-k", &public, "-c"])?;
    put("jwe-json", 4, &["jose", "jwe", "enc", "-I-", "-k", &public])?;
    let signing = path("sign.jwk");
    through(&["jose", "jwk", "gen", "-i", r#"{"alg":"ES256"}"#, "-o", &signing], &[])?;
    put("jws", 3, &["jose", "jws", "sig", "-I-", "-k", &signing, "-c"])?;
    // libsodium.
    for what in ["secretstream", "secretbox", "sealed_box"] {
        put(what, 12, &["/usr/bin/python3", "-c", SODIUM, what])?;
    }
    let encrypted = [
        ("age", "container age"),
        ("age-armor", "container age"),
        ("openpgp", "container openpgp"),
        ("openpgp-armor", "container openpgp"),
        ("openpgp-pass", "container openpgp"),
        ("cms", "container cms"),
        ("cms-definite", "container cms"),
        ("cms-pem", "container cms"),
        ("cms-mime", "container cms"),
        ("jwe", "container jwe"),
        ("jwe-json", "container jwe"),
    ];
    let names: Vec<&str> = encrypted.iter().map(|(name, _)| *name).collect();
    let subject = format!("e2ee: {{ store: [{}] }}", folders(&names));
    let audited = Audited::target(probity, "baseline", &subject, &["audit"])?;
    assert_eq!(audited.verdict("ENC-E2EE-STORE"), "pass", "{}", audited.reasons("ENC-E2EE-STORE"));
    for (name, kind) in encrypted {
        assert_eq!(stores(&audited)?[name], ("not_refuted".to_owned(), vec![kind.to_owned()]), "{name}");
    }
    ensure!(audited.finished.stdout.contains("not refuted (n = 12, all there are)"), "{}", audited.finished);
    let recipients = audited.fact("e2ee", "/recipients/recipients")?;
    let named = |mark: &str| {
        recipients.as_array().into_iter().flatten().find(|r| r["name"].as_str().is_some_and(|n| n.starts_with(mark)))
    };
    assert_eq!(named("X25519").context("age")?["most"], 2);
    assert_eq!(
        (&named("key ").context("openpgp")?["samples"], &named("serial ").context("cms")?["samples"]),
        (&18.into(), &24.into())
    );
    // What is signed alone is in clear.
    let clear = ["openpgp-signed", "openpgp-plain", "cms-signed", "jws"];
    let subject = format!("e2ee: {{ store: [{}] }}", folders(&clear));
    let audited = Audited::target(audited.probity, "baseline", &subject, &["audit"])?;
    for (name, (claim, kinds)) in stores(&audited)? {
        assert_eq!(claim, "refuted", "{name}: {kinds:?}");
    }
    // Without a mark, framings count only where they are declared.
    let sodium = ["secretstream", "secretbox", "sealed_box"];
    let subject = |more: &str| format!("e2ee: {{ store: [{}]{more} }}", folders(&sodium));
    let audited = Audited::target(audited.probity, "baseline", &subject(""), &["audit"])?;
    assert_eq!(audited.verdict("ENC-E2EE-STORE"), "inconclusive");
    assert!(stores(&audited)?.values().all(|(_, kinds)| kinds == &["random null"]), "{:?}", stores(&audited)?);
    let declared = subject(", framing: [secretstream, secretbox, sealed_box]");
    let audited = Audited::target(audited.probity, "baseline", &declared, &["audit"])?;
    assert_eq!(audited.verdict("ENC-E2EE-STORE"), "pass", "{}", audited.reasons("ENC-E2EE-STORE"));
    assert_eq!(audited.verdict("ENC-E2EE-NONCE"), "pass", "{}", audited.reasons("ENC-E2EE-NONCE"));
    Ok(())
}

#[test]
fn compressed_and_random_data_and_keys_of_the_server_are_named_as_such() -> Result<()> {
    let probity = Probity::new()?;
    let at = |name: &str| probity.folder().join(name);
    let put = |name: &str, argv: &[&str]| fill(&at(name), 5, |n| through(argv, letter(n).repeat(20).as_bytes()));
    for tool in ["gzip", "bzip2", "xz"] {
        put(tool, &[tool, "-c"])?;
    }
    put("gzip-base64", &["sh", "-c", "gzip -c | base64"])?;
    put("random", &["openssl", "rand", "2000"])?;
    // Blocks that repeat, and a mark of a form that is not known: not proven, whatever it is.
    put("ecb", &["openssl", "enc", "-aes-256-ecb", "-K", &"7".repeat(64)])?;
    std::fs::create_dir(at("pictures"))?;
    std::fs::write(at("pictures/a"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0\x08\x06\0\0\0")?;
    let names = ["gzip", "bzip2", "xz", "gzip-base64", "random", "ecb", "pictures"];
    let subject = format!("e2ee: {{ store: [{}] }}", folders(&names));
    let found = stores(&Audited::target(probity, "baseline", &subject, &["audit"])?)?;
    for name in ["gzip", "bzip2", "xz", "gzip-base64"] {
        assert_eq!(found[name], ("refuted".to_owned(), vec!["compressed text".to_owned()]), "{name}");
    }
    assert_eq!(found["random"], ("not_proven".to_owned(), vec!["random null".to_owned()]));
    assert_eq!(found["pictures"], ("refuted".to_owned(), vec!["media PNG".to_owned()]));
    assert_eq!(found["ecb"].0, "not_proven", "{found:?}");
    Ok(())
}

#[test]
fn what_lies_in_a_store_can_do_no_harm() -> Result<()> {
    let probity = Probity::new()?;
    let store = probity.folder().join("store");
    fill(&store.join("deep/er"), 3, |n| through(&["gzip", "-c"], letter(n).as_bytes()))?;
    std::fs::write(probity.folder().join("outside"), letter(1))?;
    symlink(probity.folder().join("outside"), store.join("out"))?;
    symlink(&store, store.join("loop"))?;
    ensure!(Command::new("mkfifo").arg(store.join("pipe")).status()?.success());
    ensure!(Command::new("mknod").arg(store.join("zero")).args(["c", "1", "5"]).status()?.success());
    // 4 GB of nothing, with a beginning that looks like one of age.
    let large = std::fs::File::create(store.join("large"))?;
    (&large).write_all(b"age-encryption.org/v1\n-> X25519 ")?;
    large.set_len(4 << 30)?;
    let audited = Audited::target(probity, "baseline", "e2ee: { store: [ { folder: { path: store } } ] }", &["audit"])?;
    assert_eq!(audited.fact("e2ee", "/stores/stores/0/sampled")?, 4);
    assert_eq!(audited.fact("e2ee", "/stores/stores/0/whole")?, false);
    let why = audited.fact("e2ee", "/stores/stores/0/why")?;
    assert!(why.as_str().is_some_and(|why| why.contains("symbolic link")), "{why}");
    assert_eq!(audited.verdict("ENC-E2EE-STORE"), "fail");
    assert!(audited.finished.took.as_secs() < 20, "{}", audited.finished);
    Ok(())
}

#[test]
fn the_end_of_what_is_long_is_looked_at() -> Result<()> {
    let probity = Probity::new()?;
    let folder = probity.folder().to_path_buf();
    through(&["age-keygen", "-o", &folder.join("key").display().to_string()], &[])?;
    let to = String::from_utf8(through(&["age-keygen", "-y", &folder.join("key").display().to_string()], &[])?)?;
    let attachment = folder.join("attachment").display().to_string();
    std::fs::write(&attachment, through(&["openssl", "rand", "400000"], &[])?)?;
    let sealed = through(&["age", "-r", to.trim(), &attachment], &[])?;
    fill(&folder.join("good"), 3, |_| through(&["age", "-r", to.trim(), &attachment], &[]))?;
    fill(&folder.join("bad"), 1, |_| {
        Ok([sealed.clone(), (0..300).map(letter).collect::<String>().into_bytes()].concat())
    })?;
    let subject = format!("e2ee: {{ store: [{}] }}", folders(&["good", "bad"]));
    let audited = Audited::target(probity, "baseline", &subject, &["audit"])?;
    let seen = stores(&audited)?;
    assert_eq!((seen["good"].0.as_str(), seen["bad"].0.as_str()), ("not_refuted", "refuted"), "{seen:?}");
    ensure!(audited.finished.stdout.contains("3 of them were read in part"), "{}", audited.finished);
    Ok(())
}

#[test]
fn columns_of_databases() -> Result<()> {
    let probity = Probity::new()?;
    let file = probity.folder().join("chat.db");
    let hex = |n: usize| -> Result<String> {
        let bytes = through(&["openssl", "rand", &(100 + n).to_string()], &[])?;
        Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
    };
    let mut sql = "create table m(id integer, body blob, note text);\n".to_owned();
    for n in 0..20 {
        sql.push_str(&format!("insert into m values({n}, x'{}', '{}');\n", hex(n)?, letter(n).trim()));
    }
    through(&["sqlite3", &file.display().to_string()], sql.as_bytes())?;
    let postgres = Postgres::start()?;
    let mut sql = "create table \"M\"(body bytea, doc jsonb);\n".to_owned();
    for n in 0..20 {
        sql.push_str(&format!(
            "insert into \"M\" values('\\x{}', '{{\"text\": \"{}\"}}');\n",
            hex(n)?,
            letter(n).trim()
        ));
    }
    postgres.sql("postgres", &sql)?;
    let at = format!("host={} dbname=postgres user=postgres", postgres.socket().display());
    let mariadb = Mariadb::start()?;
    let mut sql = "create database chat; create table chat.m(body blob, note text);".to_owned();
    for n in 0..20 {
        sql.push_str(&format!("insert into chat.m values(x'{}', '{}');", hex(n)?, letter(n).trim()));
    }
    mariadb.sql(&sql)?;
    let my = format!("socket={} user=root database=chat", mariadb.socket().display());
    let column = |name: &str, of: &str| format!("{{ name: {name}, sql: {{ {of} }} }}");
    let stores_of = [
        column("lite", "sqlite: chat.db, table: m, column: body"),
        column("lite-note", "sqlite: chat.db, table: m, column: note"),
        column("pg", &format!("postgresql: \"{at}\", table: M, column: body")),
        column("pg-doc", &format!("postgresql: \"{at}\", table: public.M, column: doc")),
        column("my", &format!("mysql: \"{my}\", table: m, column: body")),
        column("my-note", &format!("mysql: \"{my}\", table: chat.m, column: note")),
        column("none", "sqlite: chat.db, table: nothing, column: body"),
    ];
    let subject = format!("e2ee: {{ framing: [opaque: {{ header: 24 }}], store: [{}] }}", stores_of.join(", "));
    let audited = Audited::target(probity, "baseline", &subject, &["audit"])?;
    let found = stores(&audited)?;
    for (name, claim) in [
        ("lite", "not_refuted"),
        ("lite-note", "refuted"),
        ("pg", "not_refuted"),
        ("pg-doc", "refuted"),
        ("my", "not_refuted"),
        ("my-note", "refuted"),
        ("none", "not_proven"),
    ] {
        assert_eq!(found[name].0, claim, "{name}: {}", audited.fact("e2ee", "/stores/stores")?);
    }
    assert!(!file.with_extension("db-shm").exists() && !file.with_extension("db-wal").exists());
    Ok(())
}

#[test]
fn what_an_interface_gives() -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/export", listener.local_addr()?);
    let server = std::thread::spawn(move || -> Result<String> {
        let (mut stream, _) = listener.accept()?;
        let mut heard = [0; 4096];
        let read = stream.read(&mut heard)?;
        let body = r#"{"rows":[{"type":"m.room.message","content":{"body":"hello"}},{"type":"m.room.name"}]}"#;
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())?;
        Ok(String::from_utf8_lossy(&heard[..read]).into_owned())
    });
    let probity = Probity::new()?.env("EXPORT", "Authorization: Bearer canary-secret-4711");
    let subject =
        format!("e2ee: {{ store: [ {{ http: {{ url: \"{url}\", header: \"env:EXPORT\", list: $.rows }} }} ] }}");
    let audited = Audited::target(probity, "baseline", &subject, &["audit"])?;
    assert_eq!(audited.verdict("ENC-E2EE-STORE"), "fail", "{}", audited.finished);
    let asked = server.join().map_err(|_| anyhow::anyhow!("the server broke"))??;
    assert!(asked.contains("Authorization: Bearer canary-secret-4711"), "{asked}");
    let packed =
        through(&["grep", "-r", "-c", "canary-secret-4711", &audited.probity.folder().display().to_string()], &[]);
    assert!(packed.is_err(), "the secret is somewhere: {}", audited.finished);
    assert!(!audited.finished.to_string().contains("4711"));
    Ok(())
}

/// A client's two commands, which write into `store` and read from it; and what else the server does.
fn clients(folder: &Path, server: &str) -> Result<(PathBuf, PathBuf)> {
    let script = |name: &str, text: String| -> Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nset -e\ncd {}\n{text}\n", folder.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    };
    std::fs::create_dir_all(folder.join("store"))?;
    through(&["age-keygen", "-o", &folder.join("key").display().to_string()], &[])?;
    let send = format!("cat > sent; age -r $(age-keygen -y key) < sent > store/message; {server} rm sent");
    Ok((script("send", send)?, script("receive", "age -d -i key < store/message".to_owned())?))
}

fn drill(server: &str, more: &str, read: bool) -> Result<Audited> {
    let probity = Probity::new()?;
    let (send, receive) = clients(probity.folder(), server)?;
    let read = if read { format!("read: [{}],", receive.display()) } else { String::new() };
    let subject = format!(
        "e2ee: {{ store: [ {{ folder: {{ path: store }} }} ], canary: {{ write: [{}], {read} wait: 0{more} }} }}",
        send.display()
    );
    Audited::target(probity, "encryption-full", &subject, &["drill", "--allow-commands"])
}

#[test]
fn a_marker_is_found_wherever_a_server_keeps_it() -> Result<()> {
    let honest = drill("", ", control: store/control", true)?;
    assert_eq!(honest.verdict("ENC-E2EE-TRANSIT"), "pass", "{}", honest.reasons("ENC-E2EE-TRANSIT"));
    // The control lies in the store now, and is no payload.
    let text = std::fs::read_to_string(honest.probity.folder().join("probity.yaml"))?;
    ensure!(text.contains("control"));
    let again = honest.probity.run(["audit", "-c", "probity.yaml", "--out", "second"])?;
    ensure!(again.stdout.contains("store  not refuted (n = 1, all there are)"), "{again}");
    for (server, form) in [
        ("cp sent store/log;", "plain"),
        ("gzip -c sent > store/log.gz;", "plain in gzip"),
        ("(printf abc; cat sent) | base64 -w0 > store/queue;", "base64"),
        ("(printf x; cat sent) | base64 -w0 > store/queue;", "base64 at 1"),
        ("(printf xy; cat sent) | base64 -w0 > store/queue;", "base64 at 2"),
        ("od -An -v -tx1 sent | tr -d ' \\n' > store/dump;", "hex"),
        ("tr a-f A-F < sent > store/index;", "upper case"),
        ("iconv -t utf-16le < sent > store/wide;", "utf-16le"),
        ("(head -c 9000000 /dev/zero; cat sent) > store/late;", "plain"),
    ] {
        let found = drill(server, "", true)?;
        assert_eq!(found.verdict("ENC-E2EE-TRANSIT"), "fail", "{server}: {}", found.reasons("ENC-E2EE-TRANSIT"));
        let hits = found.fact("e2ee-canary", "/hits/hits")?;
        assert!(hits.as_array().is_some_and(|hits| hits.iter().any(|hit| hit["form"] == form)), "{server}: {hits}");
    }
    Ok(())
}

#[test]
fn the_marker_is_nowhere_but_where_the_server_put_it() -> Result<()> {
    let audited = drill("cp sent store/log;", "", true)?;
    let folder = audited.probity.folder();
    let marker = std::fs::read_to_string(folder.join("store/log"))?;
    let marker = marker.trim();
    ensure!(marker.len() == 48 && !audited.finished.to_string().contains(marker), "{}", audited.finished);
    let places = through(&["grep", "-r", "-l", marker, &folder.display().to_string()], &[])?;
    assert_eq!(String::from_utf8_lossy(&places).trim(), folder.join("store/log").display().to_string());
    Ok(())
}

#[test]
fn a_drill_that_shows_nothing_is_not_passed() -> Result<()> {
    for (server, more, read) in [
        ("", "", false),
        // What arrives is something else.
        ("echo no | age -r $(age-keygen -y key) > store/message;", "", true),
        // The control does not lie in a store.
        ("", ", control: elsewhere", true),
        ("", ", control: nowhere/at/all", true),
        ("false;", "", true),
        // Its digest alone.
        ("tr -d '\\n' < sent | sha256sum > store/index;", "", true),
        ("ln -s /etc store/etc;", "", true),
    ] {
        let audited = drill(server, more, read)?;
        assert_eq!(audited.verdict("ENC-E2EE-TRANSIT"), "inconclusive", "{server} {more}: {}", audited.finished);
    }
    // What the other client gives back comes from a cache: no store has seen it.
    let probity = Probity::new()?;
    fill(&probity.folder().join("store"), 1, |_| through(&["openssl", "rand", "300"], &[]))?;
    let (send, receive) = (probity.folder().join("send"), probity.folder().join("receive"));
    for (path, text) in [(&send, "cat > $(dirname $0)/cache"), (&receive, "cat $(dirname $0)/cache")] {
        std::fs::write(path, format!("#!/bin/sh\n{text}\n"))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    let subject = format!(
        "e2ee: {{ store: [ {{ folder: {{ path: store }} }} ], canary: {{ write: [{}], read: [{}], wait: 0 }} }}",
        send.display(),
        receive.display()
    );
    let audited = Audited::target(probity, "encryption-full", &subject, &["drill", "--allow-commands"])?;
    assert_eq!(audited.verdict("ENC-E2EE-TRANSIT"), "inconclusive", "{}", audited.finished);
    ensure!(
        audited.reasons("ENC-E2EE-TRANSIT").contains("no store changed"),
        "{}",
        audited.reasons("ENC-E2EE-TRANSIT")
    );
    // Not allowed, not run.
    let probity = Probity::new()?;
    let (send, _) = clients(probity.folder(), "")?;
    let subject =
        format!("e2ee: {{ store: [ {{ folder: {{ path: store }} }} ], canary: {{ write: [{}] }} }}", send.display());
    let audited = Audited::target(probity, "encryption-full", &subject, &["audit"])?;
    assert_eq!(audited.verdict("ENC-E2EE-TRANSIT"), "inconclusive");
    assert_eq!(audited.evidence("e2ee-canary")?["failure"]["class"], Value::from("not_run"));
    ensure!(!audited.probity.folder().join("store/message").exists(), "it was sent all the same");
    Ok(())
}
