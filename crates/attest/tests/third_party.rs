//! Other people's tools accept what we sign, and refuse it once a byte has changed.
//!
//! OpenSSL and coreutils must be installed. The Python and Node packages lie in the folder that the variable
//! `PROBITY_THIRD_PARTY` names, where `tests/third_party/install.sh` puts them; `cargo xtask test` does both.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use attest::{Algorithm, PublicKey, SigningKey, Statement, Subject, TEST_RESULT, VERIFY_SH, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Digest;
use serde_json::{Value, json};

const BOTH: [Algorithm; 2] = [Algorithm::EcdsaP256, Algorithm::Ed25519];

/// The folder with `venv/` and `node_modules/`.
fn installed() -> PathBuf {
    let folder = std::env::var_os("PROBITY_THIRD_PARTY").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| {
        panic!(
            "PROBITY_THIRD_PARTY is not set: run `sh crates/attest/tests/third_party/install.sh FOLDER` and set it to \
             FOLDER, or run `cargo xtask test`, which does both"
        )
    });
    for part in ["venv/bin/python", "node_modules/@sigstore/verify", "node_modules/@sigstore/bundle"] {
        assert!(folder.join(part).exists(), "{part} is missing in {}: run install.sh again", folder.display());
    }
    folder.canonicalize().unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/third_party").join(name)
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?} does not start: {e}"))
}

/// A signed folder: two subjects, the bundle and the key.
struct Pack {
    folder: tempfile::TempDir,
    bundle: Vec<u8>,
}

impl Pack {
    fn new(key: &SigningKey) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut subjects = Vec::new();
        for (name, content) in [("manifest.json", "{}\n"), ("report.html", "<p>")] {
            std::fs::write(folder.path().join(name), content).unwrap();
            subjects.push(Subject { name: name.to_owned(), digest: Digest::of(content.as_bytes()) });
        }
        // Inputs are written as subjects are; a reader must not mix them up.
        let policy = json!({"digest": {"sha256": Digest::of(b"p")}, "name": "policy.yaml"});
        let predicate = json!({"result": "PASSED", "configuration": [policy], "passedTests": ["é \"],\"subject\":["]});
        let bundle = sign(&Statement { subjects, predicate_type: TEST_RESULT.to_owned(), predicate }, key).unwrap();
        let pack = Self { folder, bundle };
        pack.write_key(key.public());
        pack.write_bundle(&pack.bundle);
        pack
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pub")
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join("report.sigstore.json")
    }

    fn write_key(&self, key: &PublicKey) {
        std::fs::write(self.key(), key.to_pem()).unwrap();
    }

    fn write_bundle(&self, bytes: &[u8]) {
        std::fs::write(self.bundle(), bytes).unwrap();
    }

    fn payload(&self) -> Vec<u8> {
        let value: Value = serde_json::from_slice(&self.bundle).unwrap();
        STANDARD.decode(value["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap()
    }

    /// The bundle with one byte of what was signed, or of the signature, changed; still well-formed JSON and base64.
    fn flipped(&self, pointer: &str, at: usize) -> Vec<u8> {
        let mut value: Value = serde_json::from_slice(&self.bundle).unwrap();
        let field = value.pointer_mut(pointer).unwrap();
        let mut bytes = STANDARD.decode(field.as_str().unwrap()).unwrap();
        bytes[at] ^= 1;
        *field = STANDARD.encode(bytes).into();
        model::canonical_json(&value).unwrap()
    }
}

/// Holds a verifier to its word: it accepts our bundle, with either algorithm, and refuses every changed one.
fn holds(verify: impl Fn(&Pack) -> Output, prints_payload: bool) {
    for algorithm in BOTH {
        let key = SigningKey::generate(algorithm).unwrap();
        let pack = Pack::new(&key);
        let good = verify(&pack);
        let said = String::from_utf8_lossy(&good.stderr).into_owned();
        assert!(good.status.success(), "{algorithm} is refused: {said}");
        if prints_payload {
            assert_eq!(good.stdout, pack.payload(), "{algorithm}");
        }

        let middle = pack.payload().len() / 2;
        for (pointer, at) in [
            ("/dsseEnvelope/payload", 0),
            ("/dsseEnvelope/payload", middle),
            ("/dsseEnvelope/signatures/0/sig", 20),
            ("/dsseEnvelope/signatures/0/sig", 63),
        ] {
            pack.write_bundle(&pack.flipped(pointer, at));
            assert!(!verify(&pack).status.success(), "{algorithm}: byte {at} of {pointer} changed and was accepted");
        }
        // The refusals above are not for some other reason: the bundle as it was is accepted again.
        pack.write_bundle(&pack.bundle);
        assert!(verify(&pack).status.success(), "{algorithm}");
        pack.write_key(SigningKey::generate(algorithm).unwrap().public());
        assert!(!verify(&pack).status.success(), "{algorithm}: another key was accepted");
    }
}

#[test]
fn python_securesystemslib() {
    let python = installed().join("venv/bin/python");
    holds(|pack| run(Command::new(&python).arg(script("verify.py")).arg(pack.key()).arg(pack.bundle())), true);
}

#[test]
fn node_sigstore_verify() {
    let folder = installed();
    holds(
        |pack| run(Command::new("node").arg(script("verify.mjs")).arg(&folder).arg(pack.key()).arg(pack.bundle())),
        true,
    );
}

/// The script that packs carry.
fn openssl(pack: &Pack) -> Output {
    let recipe = pack.folder.path().join("verify.sh");
    std::fs::write(&recipe, VERIFY_SH).unwrap();
    run(Command::new("sh").arg(&recipe).arg(pack.key()).arg(pack.bundle()).arg(pack.folder.path()))
}

#[test]
fn openssl_and_sha256sum() {
    holds(openssl, false);
}

#[test]
fn openssl_and_sha256sum_check_the_subjects() {
    for algorithm in BOTH {
        let pack = Pack::new(&SigningKey::generate(algorithm).unwrap());
        let good = openssl(&pack);
        assert_eq!(String::from_utf8_lossy(&good.stdout), "manifest.json: OK\nreport.html: OK\n");
        std::fs::write(pack.folder.path().join("report.html"), "<q>").unwrap();
        assert!(!openssl(&pack).status.success(), "a changed subject was accepted");
        std::fs::remove_file(pack.folder.path().join("report.html")).unwrap();
        assert!(!openssl(&pack).status.success(), "a missing subject was accepted");
    }
}
