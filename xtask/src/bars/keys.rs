//! Key files: many of mixed forms, each another key.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Bar;
use super::measure::{median, probity, run};
use crate::shell::{Scratch, shown};

/// How often it is measured.
const RUNS: usize = 3;
/// Files, of which the last tenth are configurations of SSH clients that hold no key.
const FILES: usize = 10_000;
/// RSA keys that are made; the files share them, as making a thousand would take minutes.
const RSA: usize = 8;

/// 10,000 files: PKCS #8 in PEM and DER, OpenSSH's form, JWK, RSA, and configurations.
pub(super) fn many(program: &Path) -> Result<Vec<Bar>> {
    let scratch = Scratch::new("bars-keys")?;
    let rsa = (0..RSA).map(|_| openssl_rsa()).collect::<Result<Vec<_>>>()?;
    let mut random = std::fs::File::open("/dev/urandom")?;
    for at in 0..FILES {
        let mut seed = [0; 32];
        random.read_exact(&mut seed)?;
        let folder = scratch.path().join(format!("keys/{}", at / 500));
        std::fs::create_dir_all(&folder)?;
        let (ending, bytes) = match at % 10 {
            0..=2 => ("pem", pem("PRIVATE KEY", &pkcs8(seed)).into_bytes()),
            3 | 4 => ("der", pkcs8(seed)),
            5 | 6 => ("openssh", pem("OPENSSH PRIVATE KEY", &openssh(seed)).into_bytes()),
            7 => ("jwk", format!(r#"{{"kty":"oct","k":"{}"}}"#, url(&seed)).into_bytes()),
            8 => ("key", rsa.get(at / 10 % RSA).context("no RSA key")?.clone()),
            _ => ("conf", format!("Host server{at}\n    HostKeyAlgorithms ssh-ed25519\n    Port {at}\n").into_bytes()),
        };
        std::fs::write(folder.join(format!("{at}.{ending}")), bytes)?;
    }
    let text = "service: bars\npolicy: [baseline]\ntargets:\n  - { name: it, keyfile: { path: keys } }\n";
    std::fs::write(scratch.path().join("probity.yaml"), text)?;
    let (mut seconds, mut keys) = (Vec::new(), 0);
    for at in 0..RUNS {
        let pack = format!("pack{at}");
        let mut audit = probity(program, scratch.path());
        audit.args(["audit", "-c", "probity.yaml", "--out", &pack]);
        seconds.push(run(&mut audit, &[0, 1, 3])?.seconds);
        keys = found(&scratch.path().join(pack))?;
    }
    let wanted = FILES / 10 * 9;
    Ok(vec![
        Bar::under("10,000 key and configuration files: read, judged, signed", median(seconds), 5.0, "s"),
        Bar::new("of these, private keys", keys.to_string(), wanted.to_string(), keys == wanted),
    ])
}

/// Keys in the evidence of a pack.
fn found(pack: &Path) -> Result<usize> {
    for entry in std::fs::read_dir(pack.join("evidence"))? {
        let evidence: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        let declared = evidence.pointer("/target/name").is_some_and(|name| name == "it");
        if declared && evidence.get("kind").is_some_and(|kind| kind == "keyfiles") {
            return Ok(evidence.pointer("/facts/keys").and_then(Value::as_array).context("no keys")?.len());
        }
    }
    anyhow::bail!("no evidence of the kind keyfiles")
}

fn openssl_rsa() -> Result<Vec<u8>> {
    let mut command = Command::new("openssl");
    command.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let made = command.output().context("openssl is missing")?;
    ensure!(made.status.success(), "`{}` failed: {}", shown(&command), String::from_utf8_lossy(&made.stderr));
    Ok(made.stdout)
}

/// An Ed25519 key as RFC 8410, section 7, writes it.
fn pkcs8(seed: [u8; 32]) -> Vec<u8> {
    const HEAD: [u8; 16] = [0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 34, 4, 32];
    [HEAD.as_slice(), &seed].concat()
}

/// The unencrypted form of OpenSSH up to the private part, which is not looked at; any 32 bytes name a public half.
fn openssh(public: [u8; 32]) -> Vec<u8> {
    let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes(), bytes].concat();
    let key = [string(b"ssh-ed25519"), string(&public)].concat();
    let head = [b"openssh-key-v1\0".to_vec(), string(b"none"), string(b"none"), string(b""), vec![0, 0, 0, 1]].concat();
    [head, string(&key), string(&[0; 136])].concat()
}

fn pem(label: &str, bytes: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
