//! Database servers in good and bad settings: what they show before a log-in, what they say of themselves, and that no
//! password ever comes out again.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Audited, Identity, Key, Lab, Mariadb, Postgres, Probity, Redis, free_port, refusing_port};

/// What must never be found again.
const CANARY: &str = "canary-Tz7Qw93k";

/// An audit of one target, whose inventory may name the file `password`.
fn audit(subject: &str) -> Result<Audited> {
    let probity = Probity::new()?;
    probity.write("password", format!("{CANARY}\n"))?;
    let audited = Audited::target(probity, "baseline", subject, &["audit"])?;
    nothing_tells(&audited, CANARY)?;
    audited.probity.run(["verify", "pack"])?.expect_code(0)?;
    Ok(audited)
}

/// Searches the pack, raw exchanges unpacked, and all that was printed.
fn nothing_tells(audited: &Audited, secret: &str) -> Result<()> {
    let said = format!("{}{}", audited.finished.stdout, audited.finished.stderr);
    ensure!(!said.contains(secret), "it was printed: {said}");
    let mut folders = vec![audited.probity.folder().join("pack").canonicalize()?];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = std::fs::read(&path)?;
            if path.extension().is_some_and(|e| e == "bin") {
                bytes = zstd::decode_all(bytes.as_slice())?;
            }
            files += 1;
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            ensure!(!found, "it stands in {}", path.display());
        }
    }
    ensure!(files > 5, "the pack has only {files} files");
    Ok(())
}

fn verdicts(audited: &Audited, wanted: &str, controls: &[&str]) -> Result<()> {
    for control in controls {
        let verdict = audited.verdict(control);
        ensure!(verdict == wanted, "{control} is {verdict}: {}\n{}", audited.reasons(control), audited.finished);
    }
    Ok(())
}

fn failure(audited: &Audited, kind: &str) -> Result<(String, String)> {
    let evidence = audited.evidence(kind)?;
    let text = |pointer: &str| evidence.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text("/failure/class").zip(text("/failure/message")).with_context(|| format!("no failure: {evidence}"))
}

/// An address of loopback that nobody else uses: PostgreSQL keeps its port there, which its own tools expect.
fn own_address() -> Result<String> {
    let [high, low] = free_port()?.to_be_bytes();
    Ok(format!("127.{}.{low}.9", high.max(1)))
}

/// Copies key and certificate to where the server may read them, and makes them its own.
fn give(identity: &Identity, folder: &Path) -> Result<(String, String)> {
    let owner = folder.metadata()?;
    let put = |from: &Path, name: &str| -> Result<String> {
        let to = folder.join(name);
        std::fs::copy(from, &to)?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600))?;
        chown(&to, Some(owner.uid()), Some(owner.gid()))?;
        Ok(to.display().to_string())
    };
    Ok((put(&identity.chain, "server.pem")?, put(&identity.key, "server.key")?))
}

const POSTGRESQL: [&str; 10] = [
    "TLS-PLAINTEXT-DB",
    "DB-AUTH-OPEN",
    "TLS-HBA-PG",
    "PG-AUTH-TRUST",
    "PG-AUTH-WEAK",
    "CRY-PWHASH-PG",
    "TLS-PROTO-LEGACY-PG",
    "TLS-INTERNAL-PG",
    "LOG-ENABLED-PG",
    "MNT-PENDING-PG",
];

fn rules(postgres: &Postgres, rules: &str) -> Result<()> {
    std::fs::write(postgres.data().join("pg_hba.conf"), rules)?;
    // In effect for connections that begin after it.
    postgres.sql("postgres", "select pg_reload_conf(), pg_sleep(0.5)")?;
    Ok(())
}

#[test]
fn postgresql_with_good_settings() -> Result<()> {
    let (lab, address) = (Lab::new()?, own_address()?);
    let identity = lab.identity(Key::P256)?;
    let mut given = Ok(());
    let postgres = Postgres::with_settings(|here| {
        let (chain, key) = match give(&identity, here) {
            Ok(files) => files,
            Err(e) => {
                given = Err(e);
                return String::new();
            }
        };
        format!(
            "listen_addresses = '{address}'\nssl = on\nssl_cert_file = '{chain}'\nssl_key_file = '{key}'\nlog_connections \
             = on\nlog_disconnections = on\nssl_min_protocol_version = 'TLSv1.2'"
        )
    })?;
    given?;
    let sql = format!("create role audit superuser login password '{CANARY}' valid until '2040-01-01 00:00:00+00'");
    postgres.sql("postgres", &sql)?;
    rules(&postgres, "local all all peer\nhostnossl all all all reject\nhostssl all all all scram-sha-256\n")?;
    let root = lab.folder().join("root.pem");
    std::fs::write(&root, lab.authority().root_pem())?;
    let target = format!(
        "postgresql: {{ endpoint: \"{address}\", user: audit, password: \"file:password\", tls: {{ ca: \"{}\", name: \
         localhost }} }}",
        root.display()
    );
    let audited = audit(&target)?;
    verdicts(&audited, "pass", &POSTGRESQL)?;
    let session = audited.fact("postgresql", "/session")?;
    ensure!(session["method"] == "scram-sha-256" && session["tls"]["verified"] == true, "{session}");
    ensure!(session["tls"]["version"] == "TLSv1.3", "{session}");
    let wire = audited.evidence("database-wire")?;
    ensure!(wire["facts"]["plaintext"]["outcome"] == "refused", "{wire}");
    ensure!(wire["facts"]["tls"]["asks_for"] == "scram-sha-256", "{wire}");
    let roles = audited.fact("postgresql", "/roles/items")?;
    ensure!(roles[0]["name"] == "audit" && roles[0]["valid_until"] == "2040-01-01T00:00:00Z", "{roles}");
    ensure!(roles[0]["password"]["kind"] == "scram-sha-256" && roles[0]["password"]["iterations"] == 4096, "{roles}");
    // What the server itself says.
    let lines = audited.fact("postgresql", "/hba/rules/items")?;
    let count = postgres.run("psql", &["-h", &address, "-c", "select 1"])?;
    ensure!(count.code != Some(0) && lines.as_array().map(Vec::len) == Some(3), "{lines}");

    // A reject for all that a later rule hides behind, and one for a database that is called so.
    let clear = "host all all all scram-sha-256\n";
    rules(&postgres, &format!("local all all peer\nhostnossl all all all reject\n{clear}"))?;
    verdicts(&audit(&target)?, "pass", &["TLS-HBA-PG"])?;
    rules(&postgres, &format!("local all all peer\nhostnossl \"all\" all all reject\n{clear}"))?;
    let audited = audit(&target)?;
    verdicts(&audited, "inconclusive", &["TLS-HBA-PG"])?;
    ensure!(audited.reasons("TLS-HBA-PG").contains("may stand in quotes"), "{}", audited.reasons("TLS-HBA-PG"));
    rules(&postgres, "local all all peer\nhostnossl all all all reject\nhostssl all all all scram-sha-256\n")?;

    // A name that the certificate has not: told, and over loopback no hindrance.
    let audited = audit(&target.replace("localhost", "db.example.org"))?;
    let session = audited.fact("postgresql", "/session")?;
    ensure!(session["tls"]["verified"] == false && session["tls"]["why"].is_string(), "{session}");
    Ok(())
}

#[test]
fn postgresql_with_bad_settings() -> Result<()> {
    let address = own_address()?;
    let postgres = Postgres::with_settings(|_| {
        format!("listen_addresses = '{address}'\nssl_min_protocol_version = 'TLSv1'\npassword_encryption = 'md5'")
    })?;
    postgres.sql("postgres", &format!("create role audit superuser login password '{CANARY}'"))?;
    // Changed in the file, and not in effect.
    postgres.sql("postgres", "alter system set max_connections = 77")?;
    rules(&postgres, "local all all trust\nhost all audit 127.0.0.0/8 md5\nhost all all 0.0.0.0/0 password\n")?;
    let target = format!("postgresql: {{ endpoint: \"{address}\", user: audit, password: \"file:password\" }}");
    let audited = audit(&target)?;
    let fails =
        ["TLS-PLAINTEXT-DB", "TLS-HBA-PG", "PG-AUTH-TRUST", "PG-AUTH-WEAK", "CRY-PWHASH-PG", "TLS-PROTO-LEGACY-PG"];
    verdicts(&audited, "fail", &fails)?;
    verdicts(&audited, "fail", &["LOG-ENABLED-PG"])?;
    verdicts(&audited, "pass", &["DB-AUTH-OPEN"])?;
    ensure!(audited.fact("postgresql", "/session/method")? == "md5", "{}", audited.finished);

    // The file was changed, and the server has not read it: what it says is not what holds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    std::fs::write(postgres.data().join("pg_hba.conf"), "local all all peer\nhostssl all all all scram-sha-256\n")?;
    let audited = audit(&target)?;
    verdicts(&audited, "inconclusive", &["TLS-HBA-PG", "PG-AUTH-TRUST", "PG-AUTH-WEAK"])?;

    // The password itself is sent, as that rule wants it.
    rules(&postgres, "local all all trust\nhost all audit 127.0.0.0/8 password\n")?;
    let audited = audit(&target)?;
    ensure!(audited.fact("postgresql", "/session/method")? == "password", "{}", audited.finished);
    verdicts(&audited, "fail", &["TLS-PLAINTEXT-DB"])?;

    // Whoever comes is let in.
    rules(&postgres, "local all all trust\nhost all all all trust\n")?;
    verdicts(&audit(&target)?, "fail", &["DB-AUTH-OPEN", "PG-AUTH-TRUST", "TLS-HBA-PG"])
}

#[test]
fn postgresql_that_shows_little() -> Result<()> {
    let address = own_address()?;
    let postgres = Postgres::with_settings(|_| format!("listen_addresses = '{address}'"))?;
    postgres.sql("postgres", &format!("create role audit login password '{CANARY}'"))?;
    rules(&postgres, "local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n")?;
    let target = format!("postgresql: {{ endpoint: \"{address}\", user: audit, password: \"file:password\" }}");
    let audited = audit(&target)?;
    let hidden = ["TLS-HBA-PG", "PG-AUTH-TRUST", "PG-AUTH-WEAK", "CRY-PWHASH-PG"];
    verdicts(&audited, "inconclusive", &hidden)?;
    ensure!(audited.reasons("PG-AUTH-TRUST").contains("permission denied"), "{}", audited.reasons("PG-AUTH-TRUST"));

    // A wrong password: one attempt in the server's own log, and no facts.
    let log = postgres.socket().join("log");
    let attempts =
        || -> Result<usize> { Ok(std::fs::read_to_string(&log)?.matches("password authentication failed").count()) };
    let before = attempts()?;
    postgres.sql("postgres", "alter role audit password 'another'")?;
    let audited = audit(&target)?;
    let (class, message) = failure(&audited, "postgresql")?;
    ensure!(class == "permission" && message.contains("tried once"), "{message}");
    ensure!(attempts()? == before + 1, "{}", std::fs::read_to_string(&log)?);
    verdicts(&audited, "inconclusive", &hidden)?;

    // Through the socket there is nobody on the way.
    let audited = audit(&format!("postgresql: {{ socket: \"{}\", user: postgres }}", postgres.socket().display()))?;
    verdicts(&audited, "fail", &["PG-AUTH-TRUST"])?;
    verdicts(&audited, "pass", &["CRY-PWHASH-PG", "PG-AUTH-WEAK"])?;
    ensure!(audited.fact("database-wire", "/socket")? == true, "{}", audited.finished);
    verdicts(&audited, "not_applicable", &["TLS-PLAINTEXT-DB", "DB-AUTH-OPEN"])?;
    Ok(())
}

fn mariadb(more: &[String]) -> Result<(Mariadb, u16)> {
    let port = free_port()?;
    let own = ["--skip-networking=0".to_owned(), "--bind-address=127.0.0.1".to_owned(), format!("--port={port}")];
    Ok((Mariadb::with_arguments([&own[..], more].concat())?, port))
}

#[test]
fn mariadb_with_bad_settings() -> Result<()> {
    let (server, port) = mariadb(&["--local-infile=1".to_owned()])?;
    server.sql(&format!(
        "create user audit@'127.0.0.1' identified by '{CANARY}'; create user audit@localhost identified by '{CANARY}'; grant \
         select, process on *.* to audit@'127.0.0.1'; grant select, process on *.* to audit@localhost; create user app@'%' \
         identified by 'x'; create user ''@'10.%' identified by 'y'"
    ))?;
    let target = format!("mysql: {{ endpoint: \"127.0.0.1:{port}\", user: audit, password: \"file:password\" }}");
    let audited = audit(&target)?;
    let fails = ["TLS-REQUIRED-MYSQL", "ACC-EMPTY-MYSQL", "ACC-ANONYMOUS-MYSQL", "CRY-PWHASH-MYSQL"];
    verdicts(&audited, "fail", &fails)?;
    verdicts(&audited, "fail", &["DB-LOCAL-INFILE"])?;
    // It has no TLS, so that there is no other way in.
    ensure!(audited.fact("database-wire", "/plaintext/outcome")? == "accepted", "{}", audited.finished);
    // The performance schema is off.
    verdicts(&audited, "inconclusive", &["TLS-INTERNAL-MYSQL"])?;
    ensure!(audited.fact("mysql", "/session/method")? == "mysql_native_password", "{}", audited.finished);
    let spaces = audited.fact("mysql", "/tablespaces/items")?;
    let users = spaces.as_array().into_iter().flatten().find(|space| space["name"] == "app/users");
    ensure!(users.is_some_and(|space| space["outcome"] == "absent"), "{spaces}");
    let version = server.sql("select version()")?;
    ensure!(audited.fact("mysql", "/version")? == version.trim(), "{version}");

    server.sql("set password for audit@'127.0.0.1' = password('another'); set password for audit@localhost = password('another')")?;
    let audited = audit(&target)?;
    let (class, message) = failure(&audited, "mysql")?;
    ensure!(class == "permission" && message.contains("1045") && message.contains("tried once"), "{message}");
    verdicts(&audited, "inconclusive", &["ACC-EMPTY-MYSQL"])
}

#[test]
fn mariadb_with_good_settings() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::P256)?;
    let keys = lab.folder().join("keys");
    std::fs::write(&keys, format!("1;{}\n", "a7".repeat(32)))?;
    let (server, port) = mariadb(&[
        format!("--ssl-cert={}", identity.chain.display()),
        format!("--ssl-key={}", identity.key.display()),
        "--require-secure-transport=1".to_owned(),
        "--local-infile=0".to_owned(),
        "--performance-schema=ON".to_owned(),
        "--plugin-load-add=auth_ed25519".to_owned(),
        "--plugin-load-add=file_key_management".to_owned(),
        format!("--file-key-management-filename={}", keys.display()),
        "--innodb-encrypt-tables=FORCE".to_owned(),
        "--innodb-encryption-threads=2".to_owned(),
        "--innodb-encrypt-log=ON".to_owned(),
        "--encrypt-binlog=ON".to_owned(),
    ])?;
    server.sql(&format!(
        "create user audit@'127.0.0.1' identified via ed25519 using password('{CANARY}'); grant select, process on *.* to \
         audit@'127.0.0.1'; create user audit@localhost identified via ed25519 using password('{CANARY}'); grant select, \
         process on *.* to audit@localhost; delete from mysql.global_priv where User = 'root' and Host <> 'localhost'; \
         alter user root@localhost identified via unix_socket; flush privileges"
    ))?;
    let root = lab.folder().join("root.pem");
    std::fs::write(&root, lab.authority().root_pem())?;
    let target = format!(
        "mysql: {{ endpoint: \"127.0.0.1:{port}\", user: audit, password: \"file:password\", tls: {{ ca: \"{}\" }} }}",
        root.display()
    );
    let audited = audit(&target)?;
    let passes = ["TLS-REQUIRED-MYSQL", "TLS-PROTO-LEGACY-MYSQL", "ACC-EMPTY-MYSQL", "ACC-ANONYMOUS-MYSQL"];
    verdicts(&audited, "pass", &passes)?;
    verdicts(&audited, "pass", &["CRY-PWHASH-MYSQL", "DB-LOCAL-INFILE", "TLS-INTERNAL-MYSQL"])?;
    let session = audited.fact("mysql", "/session")?;
    ensure!(session["method"] == "client_ed25519" && session["tls"]["verified"] == true, "{session}");
    // Without TLS it would refuse after the password alone.
    ensure!(audited.fact("database-wire", "/plaintext/outcome")? == "not_proven", "{}", audited.finished);
    ensure!(audited.fact("database-wire", "/tls/outcome")? == "accepted", "{}", audited.finished);
    let spaces = audited.fact("mysql", "/tablespaces/items")?;
    let users = spaces.as_array().into_iter().flatten().find(|space| space["name"] == "app/users");
    ensure!(users.is_some_and(|space| space["outcome"] != "absent"), "{spaces}");
    Ok(())
}

#[test]
fn redis_with_bad_settings() -> Result<()> {
    let port = free_port()?.to_string();
    let redis = Redis::with_arguments(&["--port", &port, "--bind", "0.0.0.0", "--protected-mode", "no"])?;
    let target = format!("redis: {{ endpoint: \"127.0.0.1:{port}\" }}");
    let audited = audit(&target)?;
    let fails = ["TLS-PLAINTEXT-DB", "DB-AUTH-OPEN", "ACC-NOPASS-REDIS", "TLS-PLAINTEXT-REDIS", "REDIS-PROTECTED-MODE"];
    verdicts(&audited, "fail", &fails)?;
    let version = audited.fact("redis", "/version")?;
    let said = redis.cli(&["info", "server"])?.stdout;
    ensure!(version.as_str().is_some_and(|v| said.contains(&format!("redis_version:{v}\r"))), "{version}");

    // A user with few rights, and a password: what is not shown is not passed.
    redis.cli(&["acl", "setuser", "few", "on", &format!(">{CANARY}"), "-@all", "+ping"])?;
    let few = format!("redis: {{ endpoint: \"127.0.0.1:{port}\", user: few, password: \"file:password\" }}");
    let audited = audit(&few)?;
    verdicts(&audited, "inconclusive", &["ACC-NOPASS-REDIS", "TLS-PLAINTEXT-REDIS", "REDIS-PROTECTED-MODE"])?;

    redis.cli(&["acl", "setuser", "few", "resetpass", ">another"])?;
    let (class, message) = failure(&audit(&few)?, "redis")?;
    ensure!(class == "permission" && message.contains("WRONGPASS") && message.contains("tried once"), "{message}");

    // Nobody without a password: the server says so, and shows nothing.
    redis.cli(&["config", "set", "requirepass", CANARY])?;
    let audited = audit(&target)?;
    verdicts(&audited, "pass", &["DB-AUTH-OPEN"])?;
    ensure!(failure(&audited, "redis")?.1.contains("NOAUTH"), "{}", audited.finished);
    let known = format!("redis: {{ endpoint: \"127.0.0.1:{port}\", password: \"file:password\" }}");
    verdicts(&audit(&known)?, "pass", &["ACC-NOPASS-REDIS"])
}

#[test]
fn redis_with_good_settings() -> Result<()> {
    let lab = Lab::new()?;
    let identity = lab.identity(Key::P256)?;
    let root = lab.folder().join("root.pem");
    // The server wants a certificate of its clients.
    let client = rcgen::generate_simple_self_signed(["audit".to_owned()])?;
    std::fs::write(&root, lab.authority().root_pem() + &client.cert.pem())?;
    let (chain, key) = (lab.folder().join("client.pem"), lab.folder().join("client.key"));
    std::fs::write(&chain, client.cert.pem())?;
    std::fs::write(&key, client.signing_key.serialize_pem())?;
    let (port, path) = (free_port()?.to_string(), |path: &Path| path.display().to_string());
    let redis = Redis::with_arguments(&[
        "--tls-port",
        &port,
        "--bind",
        "127.0.0.1",
        "--tls-cert-file",
        &path(&identity.chain),
        "--tls-key-file",
        &path(&identity.key),
        "--tls-ca-cert-file",
        &path(&root),
    ])?;
    redis.cli(&["acl", "setuser", "audit", "on", &format!(">{CANARY}"), "+@all", "~*"])?;
    redis.cli(&["acl", "setuser", "default", "off"])?;
    let (chain, key) = (path(&chain), path(&key));
    let target = format!(
        "redis: {{ endpoint: \"127.0.0.1:{port}\", user: audit, password: \"file:password\", tls: {{ ca: \"{}\", \
         certificate: \"{chain}\", key: \"file:{key}\" }} }}",
        path(&root)
    );
    let audited = audit(&target)?;
    let passes =
        ["TLS-PLAINTEXT-DB", "DB-AUTH-OPEN", "ACC-NOPASS-REDIS", "TLS-PLAINTEXT-REDIS", "TLS-PROTO-LEGACY-REDIS"];
    verdicts(&audited, "pass", &passes)?;
    verdicts(&audited, "pass", &["REDIS-PROTECTED-MODE"])?;
    ensure!(audited.fact("redis", "/session/tls/verified")? == true, "{}", audited.finished);
    let users = audited.fact("redis", "/users/items")?;
    let audit = users.as_array().into_iter().flatten().find(|user| user["name"] == "audit").context("no audit")?;
    ensure!(audit["passwords"] == 1 && audit["everything"] == true, "{audit}");
    Ok(())
}

/// A server that answers every connection with these bytes, after each thing that it hears, and repeats that where `{}` is.
fn fake(answer: &'static str) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut heard = [0; 4096];
                // The other side may leave at any moment.
                while let Ok(count @ 1..) = stream.read(&mut heard) {
                    let said = String::from_utf8_lossy(&heard[..count]).replace("\r\n", " ");
                    if !answer.is_empty() && stream.write_all(answer.replace("{}", &said).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}

/// Whatever is at the other end, it is a failure that says what to do, and nothing passes.
fn hostile(sort: &str) -> Result<()> {
    for (address, classes) in [
        (refusing_port()?, &["refused"][..]),
        (fake("")?, &["timeout"][..]),
        (fake("HTTP/1.1 400 Bad Request\r\n\r\n")?, &["protocol", "timeout"][..]),
        (fake("R\u{7f}\u{7f}\u{7f}\u{7f}")?, &["protocol", "timeout"][..]),
    ] {
        let target = format!("{sort}: {{ endpoint: \"{address}\", user: audit, password: \"file:password\" }}");
        let audited = audit(&target)?;
        let (class, message) = failure(&audited, sort)?;
        ensure!(classes.contains(&class.as_str()), "{sort} {address}: {class}: {message}");
        audited.assessment.must_not_pass()?;
    }
    Ok(())
}

#[test]
fn no_postgresql_at_the_other_end() -> Result<()> {
    hostile("postgresql")
}

#[test]
fn no_mysql_at_the_other_end() -> Result<()> {
    hostile("mysql")
}

#[test]
fn no_redis_at_the_other_end() -> Result<()> {
    hostile("redis")
}

#[test]
fn a_server_that_repeats_the_password() -> Result<()> {
    for answer in ["-ERR unknown command, with args beginning with: {}\r\n", "+{}\r\n"] {
        let address = fake(answer)?;
        let audited =
            audit(&format!("redis: {{ endpoint: \"{address}\", user: audit, password: \"file:password\" }}"))?;
        ensure!(!audited.finished.stdout.is_empty(), "{}", audited.finished);
    }
    Ok(())
}

#[test]
fn what_an_inventory_may_not_say() -> Result<()> {
    for (subject, wanted) in [
        ("postgresql: { endpoint: db, user: a, password: hunter2 }", "must be a reference"),
        ("postgresql: { endpoint: db, socket: /run/postgresql }", "either"),
        ("mysql: { user: a }", "endpoint"),
        ("mysql: { endpoint: db, database: app, user: a }", "PostgreSQL alone"),
        ("redis: { endpoint: db, tls: { certificate: c.pem } }", "belong together"),
        ("redis: { endpoint: db, pasword: x }", "pasword"),
    ] {
        let probity = Probity::new()?;
        probity.write("probity.yaml", format!("service: lab\ntargets:\n  - name: it\n    {subject}\n"))?;
        let said = probity.run(["audit"])?.expect_code(2)?;
        ensure!(said.stderr.contains(wanted) && !said.stderr.contains("hunter2"), "{subject}: {said}");
    }
    Ok(())
}
