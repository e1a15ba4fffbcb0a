//! The scanners: how each is called, and what its own output says that it found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::shell::{command, installed, output, root, run, works};

/// What is accepted: `TLSv1.2 0xc02f`, or `any 0xc02f` from who does not tell the version, and the names of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) suites: BTreeSet<String>,
    pub(super) groups: BTreeSet<String>,
}

/// One scanner.
pub(super) struct Scanner {
    pub(super) name: &'static str,
    /// Words of the command; `{HOST}`, `{PORT}` and `{OUT}`, a file for its findings, are filled in.
    words: Vec<String>,
    pub(super) read: fn(&str, &Names) -> Result<Found>,
    /// Takes minutes: runs once, and only on the first server unless all is asked for.
    pub(super) slow: bool,
    /// How often it runs for its time.
    pub(super) runs: usize,
}

impl Scanner {
    /// The command for one server.
    pub(super) fn command(&self, address: SocketAddr, out: &Path) -> Vec<String> {
        let (host, port, out) = (address.ip().to_string(), address.port().to_string(), out.display().to_string());
        let fill = |word: &String| word.replace("{HOST}", &host).replace("{PORT}", &port).replace("{OUT}", &out);
        self.words.iter().map(fill).collect()
    }
}

/// Probity first, then the others that are installed; those that are not are told.
pub(super) fn scanners(probity: &str, folder: &Path) -> Vec<Scanner> {
    let sslyze = sslyze(&folder.join("sslyze"));
    let cipherrun = cipherrun(folder);
    let testssl = if installed("testssl.sh") { "testssl.sh" } else { "testssl" };
    let scanner = |name, line: &str, read, slow, runs| Scanner {
        name,
        words: line.split(' ').map(str::to_owned).collect(),
        read,
        slow,
        runs,
    };
    let all = [
        scanner(
            "probity",
            &format!("{probity} tls {{HOST}}:{{PORT}} --format json"),
            own as fn(&str, &Names) -> _,
            false,
            9,
        ),
        scanner("sslscan", "sslscan --no-colour --xml={OUT} {HOST}:{PORT}", sslscan_xml, false, 3),
        scanner("nmap", "nmap -Pn -n -p {PORT} --script ssl-enum-ciphers -oX {OUT} {HOST}", nmap_xml, false, 3),
        scanner("SSLyze", &format!("{sslyze} --json_out {{OUT}} {{HOST}}:{{PORT}}"), sslyze_json, false, 3),
        scanner(
            "CipherRun, suites",
            &format!("{cipherrun} --ciphers --json {{OUT}} {{HOST}}:{{PORT}}"),
            cipherrun_json,
            false,
            3,
        ),
        scanner(
            "testssl.sh",
            &format!("{testssl} --quiet --color 0 --warnings off --jsonfile {{OUT}} {{HOST}}:{{PORT}}"),
            testssl_json,
            true,
            1,
        ),
    ];
    let there = |scanner: &Scanner| {
        let program = scanner.words.first().map(String::as_str).unwrap_or_default();
        let there = installed(program) || Path::new(program).is_file();
        if !there {
            println!("{} is not installed", scanner.name);
        }
        there
    };
    all.into_iter().filter(there).collect()
}

/// SSLyze in a virtual environment of its own, if Python's index can be reached.
fn sslyze(folder: &Path) -> String {
    let program = folder.join("bin").join("sslyze").to_string_lossy().into_owned();
    if !Path::new(&program).is_file() && works(&["python3", "-m", "venv", &folder.to_string_lossy()]) {
        let pip = folder.join("bin").join("pip").to_string_lossy().into_owned();
        if let Err(error) = run(&mut command(&[&pip, "install", "--quiet", "sslyze"])) {
            println!("{error:#}");
        }
    }
    program
}

/// CipherRun in a folder of its own, if it compiles here.
fn cipherrun(folder: &Path) -> String {
    let program = folder.join("bin").join("cipherrun").to_string_lossy().into_owned();
    if !Path::new(&program).is_file() {
        let install = ["cargo", "install", "--quiet", "--root", &folder.to_string_lossy(), "cipherrun"];
        if let Err(error) = run(command(&install).env("CARGO_TARGET_DIR", folder.join("build"))) {
            println!("{error:#}");
        }
    }
    program
}

/// Suites by the names that scanners print.
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// IANA's names from our registry, OpenSSL's from this machine's `openssl`.
    ///
    /// # Errors
    /// When either can't be read.
    pub(super) fn read() -> Result<Self> {
        let list = std::fs::read_to_string(root().join("crates/check-tls/src/registry/suites.txt"))?;
        let rows = list.lines().filter_map(|line| line.split_once(' '));
        let mut names: BTreeMap<String, String> = rows.map(|(id, name)| (name.to_owned(), format!("0x{id}"))).collect();
        for line in output(&mut command(&["openssl", "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]))?.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [id, "-", name, ..] = words.as_slice() {
                names.insert((*name).to_owned(), id.replace(",0x", "").to_lowercase());
            }
        }
        Ok(Self(names))
    }

    /// The id behind a name, or the name itself, which then is nothing that the truth has.
    fn id(&self, name: &str) -> String {
        // nmap's own spelling of TLS 1.3.
        let iana = name.replace("TLS_AKE_WITH_", "TLS_");
        self.0.get(&iana).cloned().unwrap_or_else(|| name.to_owned())
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn own(text_: &str, _: &Names) -> Result<Found> {
    let json: Value = serde_json::from_str(text_)?;
    let facts = json.pointer("/0/facts").context("no facts")?;
    let mut found = Found::default();
    for version in list(facts, "/versions") {
        found.suites.extend(list(version, "/suites").map(|s| format!("{} {}", text(version, "/name"), text(s, "/id"))));
    }
    let accepted = list(facts, "/groups").filter(|group| text(group, "/outcome") == "accepted");
    found.groups = accepted.map(|group| text(group, "/name").to_owned()).collect();
    Ok(found)
}

/// The value of an attribute in one line of XML.
fn attribute<'a>(line: &'a str, name: &str) -> &'a str {
    let start = format!(" {name}=\"");
    line.split_once(&start).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

fn sslscan_xml(text: &str, _: &Names) -> Result<Found> {
    let mut found = Found::default();
    for line in text.lines() {
        if line.contains("<cipher ") {
            let id = attribute(line, "id").to_lowercase();
            found.suites.insert(format!("{} {id}", attribute(line, "sslversion")));
        } else if line.contains("<group ") {
            found.groups.extend(attribute(line, "name").split(' ').next().map(str::to_owned));
        }
    }
    Ok(found)
}

/// Tables with the version as key, in which each suite is a table with a `name`. It looks for no groups.
fn nmap_xml(text: &str, names: &Names) -> Result<Found> {
    let mut found = Found::default();
    let mut version = "";
    for piece in text.split('<') {
        if piece.starts_with("table key=\"TLSv") || piece.starts_with("table key=\"SSLv") {
            version = attribute(piece, "key");
        } else if let Some(name) = piece.strip_prefix("elem key=\"name\">") {
            found.suites.insert(format!("{version} {}", names.id(name)));
        }
    }
    Ok(found)
}

/// It writes serial numbers and keys as numbers, larger than any that a parser takes; none of them matters here.
fn sslyze_json(text_: &str, names: &Names) -> Result<Found> {
    let mut short = String::with_capacity(text_.len());
    let mut digits = 0;
    for c in text_.chars() {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        if digits <= 15 {
            short.push(c);
        }
    }
    let json: Value = serde_json::from_str(&short)?;
    let scan = json.pointer("/server_scan_results/0/scan_result").context("no result")?;
    let mut found = Found::default();
    for (key, version) in [
        ("ssl_2_0", "SSLv2"),
        ("ssl_3_0", "SSLv3"),
        ("tls_1_0", "TLSv1.0"),
        ("tls_1_1", "TLSv1.1"),
        ("tls_1_2", "TLSv1.2"),
        ("tls_1_3", "TLSv1.3"),
    ] {
        for suite in list(scan, &format!("/{key}_cipher_suites/result/accepted_cipher_suites")) {
            found.suites.insert(format!("{version} {}", names.id(text(suite, "/cipher_suite/name"))));
        }
    }
    let curves = list(scan, "/elliptic_curves/result/supported_curves").map(|curve| text(curve, "/name"));
    found.groups = curves.map(group).collect();
    Ok(found)
}

/// Other spellings of groups' names.
fn group(name: &str) -> String {
    match name {
        "X25519" | "X448" => name.to_lowercase(),
        "prime256v1" | "P-256" => "secp256r1".to_owned(),
        "P-384" => "secp384r1".to_owned(),
        "P-521" => "secp521r1".to_owned(),
        other => other.to_owned(),
    }
}

/// `cipher_xc02f`, of any version, and lists of curves.
fn testssl_json(text_: &str, _: &Names) -> Result<Found> {
    let json: Value = serde_json::from_str(text_)?;
    let mut found = Found::default();
    for item in list(&json, "") {
        let (id, finding) = (text(item, "/id"), text(item, "/finding"));
        if let Some(code) = id.strip_prefix("cipher").and_then(|rest| rest.rsplit_once("_x")).map(|(_, code)| code) {
            found.suites.insert(format!("any 0x{code:0>4}"));
        } else if id.ends_with("_curves") {
            found.groups.extend(finding.split_whitespace().map(group));
        }
    }
    Ok(found)
}

/// Suites under each version's name.
fn cipherrun_json(text_: &str, names: &Names) -> Result<Found> {
    let json: Value = serde_json::from_str(text_)?;
    let mut found = Found::default();
    let versions = json.get("ciphers").and_then(Value::as_object).context("no ciphers")?;
    for (version, ciphers) in versions {
        for suite in list(ciphers, "/supported_ciphers") {
            let version = match version.as_str() {
                "TLS10" | "TLS 1.0" => "TLSv1.0",
                "TLS11" | "TLS 1.1" => "TLSv1.1",
                "TLS12" | "TLS 1.2" => "TLSv1.2",
                "TLS13" | "TLS 1.3" => "TLSv1.3",
                other => other,
            };
            found.suites.insert(format!("{version} {}", names.id(text(suite, "/iana_name"))));
        }
    }
    Ok(found)
}
