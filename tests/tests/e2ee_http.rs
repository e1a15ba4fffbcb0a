//! The canary of end-to-end encryption through the HTTP API of a client.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Audited, Probity};

/// Runs a program, and gives what it prints.
fn printed(argv: &[&str]) -> Result<String> {
    let (program, arguments) = argv.split_first().context("no program")?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The API of a client, as a bridge to a messenger has one: what is posted to it goes into `store`, encrypted or not, and
/// what is asked of it comes from there. It wants the token, and prints its port.
const BRIDGE: &str = r#"
import http.server, json, os, subprocess, sys
folder, how = sys.argv[1], sys.argv[2]
message = os.path.join(folder, 'store', 'message')
def age(argv, text):
    return subprocess.run(['age'] + argv, input=text, stdout=subprocess.PIPE, check=True).stdout
class Bridge(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b''):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def allowed(self):
        return self.headers.get('Authorization') == 'Bearer bridge-token-0815'
    def take(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        text = json.loads(body)['message']['text'].encode()
        if not self.allowed() or self.headers.get('Content-Type') != 'application/json':
            return self.answer(403)
        if how == 'refuses':
            return self.answer(500)
        if how == 'plain':
            open(message, 'wb').write(body)
        elif how == 'put' and self.command != 'PUT':
            return self.answer(405)
        else:
            sealed = age(['-r', sys.argv[3]], b'other' if how == 'loses' else text)
            open(message, 'wb').write(sealed)
        self.answer(201, b'sent ' + text)
    do_POST = do_PUT = take
    def do_GET(self):
        if not self.allowed():
            return self.answer(403)
        if how == 'endless':
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(os.urandom(1 << 20))
        sealed = open(message, 'rb').read()
        clear = sealed if how == 'plain' else age(['-d', '-i', os.path.join(folder, 'key')], sealed)
        self.answer(200, b'{"message": "' + clear.replace(b'"', b' ') + b'"}')
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(('127.0.0.1', 0), Bridge)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A server that is ended with the test.
struct Bridge {
    child: std::process::Child,
    port: String,
}

impl Bridge {
    fn start(folder: &Path, how: &str) -> Result<Self> {
        let key = folder.join("key").display().to_string();
        printed(&["age-keygen", "-o", &key])?;
        let public = printed(&["age-keygen", "-y", &key])?;
        std::fs::create_dir(folder.join("store"))?;
        let folder = folder.display().to_string();
        let argv = ["-c", BRIDGE, &folder, how, &public];
        let mut child = Command::new("python3").args(argv).stdout(Stdio::piped()).spawn()?;
        let mut port = String::new();
        let stdout = child.stdout.take().context("no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut port)?;
        Ok(Self { child, port: port.trim().to_owned() })
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_marker_goes_through_the_api_of_a_client() -> Result<()> {
    for (how, method, verdict, why) in [
        ("sealed", "POST", "pass", ""),
        ("put", "PUT", "pass", ""),
        ("put", "POST", "inconclusive", "405"),
        ("plain", "POST", "fail", "plain"),
        ("loses", "POST", "inconclusive", "does not give the marker"),
        ("refuses", "POST", "inconclusive", "500"),
    ] {
        let probity = Probity::new()?.env("BRIDGE", "Authorization: Bearer bridge-token-0815");
        let bridge = Bridge::start(probity.folder(), how)?;
        let url = format!("http://127.0.0.1:{}/messages", bridge.port);
        let header = "header: \"env:BRIDGE\"";
        let body = r#"'{"message": {"text": "{marker}"}}'"#;
        let write = format!(
            "{{ http: {{ url: \"{url}\", method: {method}, {header}, content_type: application/json, body: {body} }} }}"
        );
        let read = format!("{{ http: {{ url: \"{url}\", {header} }} }}");
        let stores = "store: [ { folder: { path: store } } ]";
        let canary = format!("canary: {{ write: {write}, read: {read}, wait: 0, control: store/control }}");
        let subject = format!("e2ee: {{ {stores}, {canary} }}");
        let audited = Audited::target(probity, "encryption-full", &subject, &["drill", "--allow-commands"])?;
        assert_eq!(audited.verdict("ENC-E2EE-TRANSIT"), verdict, "{how}: {}", audited.finished);
        let facts = audited.evidence("e2ee-canary")?["facts"].to_string();
        assert!(facts.contains(why), "{how}: {facts}");
        // Neither the marker nor the token is anywhere but where the client put it.
        let folder = audited.probity.folder().display().to_string();
        let token = printed(&["grep", "-r", "-l", "bridge-token-0815", &folder]);
        assert!(token.is_err(), "the token is somewhere: {token:?}");
        if how == "plain" {
            let stored: Value =
                serde_json::from_slice(&std::fs::read(audited.probity.folder().join("store/message"))?)?;
            let marker = stored["message"]["text"].as_str().context("no marker")?;
            let places = printed(&["grep", "-r", "-l", marker, &folder])?;
            assert_eq!(places, format!("{folder}/store/message"));
            assert!(!audited.finished.to_string().contains(marker), "{}", audited.finished);
        }
    }
    Ok(())
}

#[test]
fn an_answer_without_end_is_cut_off() -> Result<()> {
    let probity = Probity::new()?.env("BRIDGE", "Authorization: Bearer bridge-token-0815");
    let bridge = Bridge::start(probity.folder(), "endless")?;
    let store = format!("http: {{ url: \"http://127.0.0.1:{}/all\", header: \"env:BRIDGE\" }}", bridge.port);
    let subject = format!("e2ee: {{ store: [ {{ {store} }} ] }}");
    let audited = Audited::target(probity, "encryption-full", &subject, &["audit", "--allow-commands"])?;
    let facts = &audited.evidence("e2ee")?["facts"];
    let why = facts["stores"]["stores"][0]["why"].as_str().context("no reason")?;
    assert!(why.contains("curl"), "{why}");
    assert_eq!(facts["samples"]["samples"], serde_json::json!([]), "{facts}");
    Ok(())
}
