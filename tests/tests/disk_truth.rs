//! LUKS headers against what `cryptsetup luksDump` says of them, and what the policies make of them.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::{Assessment, Probity};

const FAST: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];

/// Images in a folder, by the names of the targets that they become.
struct Disks {
    probity: Probity,
    names: Vec<String>,
}

impl Disks {
    fn new() -> Result<Self> {
        Ok(Self { probity: Probity::new()?, names: Vec::new() })
    }

    fn path(&self, name: &str) -> String {
        self.probity.folder().join(name).display().to_string()
    }

    /// Runs cryptsetup with a passphrase as its input.
    fn cryptsetup(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("cryptsetup");
        command.args(words).current_dir(self.probity.folder());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("no input")?.write_all(b"sesame")?;
        let done = child.wait_with_output()?;
        ensure!(done.status.success(), "cryptsetup {words:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// An image of 32 MiB that is formatted so.
    fn format(&mut self, name: &str, words: &[&str]) -> Result<()> {
        std::fs::File::create(self.path(name))?.set_len(32 << 20)?;
        self.cryptsetup(&[&["luksFormat", "-q"], words, &[name, "-"]].concat())?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// An image whose bytes are changed by hand.
    fn change(&mut self, name: &str, of: &str, change: impl Fn(&mut Vec<u8>)) -> Result<()> {
        let mut image = std::fs::read(self.path(of))?;
        change(&mut image);
        std::fs::write(self.path(name), image)?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// An image whose metadata are changed by hand, in both copies, with new checksums.
    fn change_metadata(&mut self, name: &str, of: &str, change: impl Fn(&mut Value)) -> Result<()> {
        let mut json: Value = serde_json::from_str(&self.cryptsetup(&["luksDump", "--dump-json-metadata", of])?)?;
        change(&mut json);
        let json = json.to_string().into_bytes();
        self.change(name, of, |image| {
            for copy in image.chunks_mut(0x4000).take(2) {
                copy[4096..].fill(0);
                copy[4096..4096 + json.len()].copy_from_slice(&json);
                copy[448..512].fill(0);
                let sum = Sha256::digest(&*copy);
                copy[448..480].copy_from_slice(&sum);
            }
        })
    }

    /// Audits all images; their facts by name, the assessment, and all that was written.
    fn audit(&self) -> Result<(BTreeMap<String, Value>, Assessment, String)> {
        let mut inventory = "service: lab\ntargets:\n".to_owned();
        for name in &self.names {
            inventory += &format!("  - {{ name: {name}, disk: {{ device: {name} }} }}\n");
        }
        self.probity.write("probity.yaml", inventory)?;
        let done = self.probity.run(["audit", "--out", "pack"])?;
        ensure!(matches!(done.code, Some(0 | 1 | 3)), "{done}");
        let mut facts = BTreeMap::new();
        let mut all = done.to_string();
        let pack = self.probity.folder().join("pack");
        for entry in std::fs::read_dir(pack.join("evidence"))? {
            let text = std::fs::read_to_string(entry?.path())?;
            let evidence: Value = serde_json::from_str(&text)?;
            if evidence["kind"] == "luks" {
                let name = evidence["target"]["name"].as_str().unwrap_or_default().to_owned();
                facts.insert(name, evidence["facts"]["volumes"][0].clone());
            }
            all += &text;
        }
        let text = std::fs::read_to_string(pack.join("assessment.json"))?;
        all += &text;
        Ok((facts, Assessment(serde_json::from_str(&text)?), all))
    }
}

/// The value behind a word in a dump of text.
fn field<'a>(dump: &'a str, word: &str) -> &'a str {
    dump.lines().find_map(|line| line.trim().strip_prefix(word)).map(str::trim).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The numbered entries of the metadata, in the order of their numbers.
fn entries(json: &Value) -> Vec<(String, Value)> {
    let mut found: Vec<_> = json.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    found.sort_by_key(|(name, _)| name.parse::<u32>().unwrap_or_default());
    found
}

fn list<'a>(facts: &'a Value, key: &str) -> &'a [Value] {
    facts[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value) -> Option<u64> {
    value.as_str().and_then(|text| text.parse().ok())
}

/// That both say the same of a LUKS2 header.
fn same_as_luks2(disks: &Disks, name: &str, facts: &Value) -> Result<()> {
    let dump = disks.cryptsetup(&["luksDump", name])?;
    let json: Value = serde_json::from_str(&disks.cryptsetup(&["luksDump", "--dump-json-metadata", name])?)?;
    assert_eq!(
        (facts["version"].to_string(), text(&facts["uuid"])),
        (field(&dump, "Version:").into(), field(&dump, "UUID:"))
    );
    for (key, word) in [("label", "Label:"), ("subsystem", "Subsystem:")] {
        let said = field(&dump, word);
        assert_eq!(facts[key].as_str(), Some(said).filter(|said| !said.starts_with("(no ")), "{name}");
    }
    assert_eq!(facts["parts"][0]["sequence"].to_string(), field(&dump, "Epoch:"), "{name}");
    assert_eq!(format!("{} [bytes]", facts["parts"][0]["bytes"]), field(&dump, "Metadata area:"), "{name}");
    assert_eq!(facts["parts"][1]["state"], "whole", "{name}");

    let mine: Vec<Value> = list(facts, "segments")
        .iter()
        .map(|s| {
            json!([
                s["name"],
                s["kind"],
                s["cipher"]["encryption"],
                s["offset"],
                s["bytes"],
                s["sector_bytes"],
                s["integrity"]
            ])
        })
        .collect();
    let theirs: Vec<Value> = entries(&json["segments"])
        .into_iter()
        .map(|(name, s)| {
            let sector = s["sector_size"].as_u64().unwrap_or(512);
            json!([
                name,
                s["type"],
                s["encryption"],
                number(&s["offset"]),
                number(&s["size"]),
                sector,
                s["integrity"]["type"]
            ])
        })
        .collect();
    assert_eq!(mine, theirs, "{name}");

    let mine: Vec<Value> = list(facts, "keyslots")
        .iter()
        .map(|s| {
            let (kdf, area) = (&s["kdf"], &s["area"]);
            json!([
                s["name"],
                s["kind"],
                s["key_bits"],
                kdf["name"],
                kdf["hash"],
                kdf["iterations"],
                kdf["memory_kib"],
                kdf["threads"],
                s["stripes"],
                s["stripes_hash"],
                area["cipher"]["encryption"],
                area["cipher"]["key_bits"],
                area["offset"],
                area["bytes"]
            ])
        })
        .collect();
    let theirs: Vec<Value> = entries(&json["keyslots"])
        .into_iter()
        .map(|(name, s)| {
            let (kdf, area) = (&s["kdf"], &s["area"]);
            let bits = |bytes: &Value| bytes.as_u64().map(|bytes| bytes * 8);
            let turns = if kdf["time"].is_null() { &kdf["iterations"] } else { &kdf["time"] };
            json!([
                name,
                s["type"],
                bits(&s["key_size"]),
                kdf["type"],
                kdf["hash"],
                turns,
                kdf["memory"],
                kdf["cpus"],
                s["af"]["stripes"],
                s["af"]["hash"],
                area["encryption"],
                bits(&area["key_size"]),
                number(&area["offset"]),
                number(&area["size"])
            ])
        })
        .collect();
    assert_eq!(mine, theirs, "{name}");
    for slot in list(facts, "keyslots") {
        let title = format!("  {}: luks2", text(&slot["name"]));
        let block: Vec<&str> = dump.lines().skip_while(|line| !line.starts_with(&title)).take(4).collect();
        let unbound = block.first().is_some_and(|line| line.ends_with("(unbound)"));
        assert_eq!(list(slot, "segments").is_empty(), unbound, "{name}: {slot}");
        assert!(
            block.iter().any(|line| line.trim() == format!("Key:        {} bits", slot["key_bits"])),
            "{name}: {block:?}"
        );
        assert!(
            block
                .iter()
                .any(|l| l.trim() == format!("Priority:   {}", text(&slot["priority"]).replace("prefer", "preferred"))),
            "{name}: {block:?}"
        );
    }
    let of = |list: &[Value], keys: [&str; 5]| -> Vec<Value> {
        list.iter().map(|item| Value::Array(keys.iter().map(|key| item[*key].clone()).collect())).collect()
    };
    let digests = of(list(facts, "digests"), ["kind", "hash", "iterations", "keyslots", "segments"]);
    let theirs: Vec<Value> = entries(&json["digests"]).into_iter().map(|(_, digest)| digest).collect();
    assert_eq!(digests, of(&theirs, ["type", "hash", "iterations", "keyslots", "segments"]), "{name}");
    let tokens: Vec<Value> =
        list(facts, "tokens").iter().map(|t| json!([t["name"], t["kind"], t["keyslots"]])).collect();
    let theirs: Vec<Value> =
        entries(&json["tokens"]).into_iter().map(|(n, t)| json!([n, t["type"], t["keyslots"]])).collect();
    assert_eq!(tokens, theirs, "{name}");
    let flags = json["config"].get("flags").cloned().unwrap_or_else(|| json!([]));
    let requirements = json["config"]["requirements"].get("mandatory").cloned().unwrap_or_else(|| json!([]));
    assert_eq!((&facts["flags"], &facts["requirements"]), (&flags, &requirements), "{name}");
    Ok(())
}

/// That both say the same of a LUKS1 header.
fn same_as_luks1(disks: &Disks, name: &str, facts: &Value) -> Result<()> {
    let dump = disks.cryptsetup(&["luksDump", name])?;
    let segment = &facts["segments"][0];
    assert_eq!(
        (facts["version"].to_string(), text(&facts["uuid"])),
        (field(&dump, "Version:").into(), field(&dump, "UUID:"))
    );
    let encryption = format!("{}-{}", field(&dump, "Cipher name:"), field(&dump, "Cipher mode:"));
    assert_eq!(segment["cipher"]["encryption"], encryption.as_str(), "{name}");
    assert_eq!(segment["cipher"]["key_bits"].to_string(), field(&dump, "MK bits:"), "{name}");
    let sectors = segment["offset"].as_u64().context("no offset")? / 512;
    assert_eq!(sectors.to_string(), field(&dump, "Payload offset:"), "{name}");
    assert_eq!(facts["digests"][0]["iterations"].to_string(), field(&dump, "MK iterations:"), "{name}");
    assert_eq!(list(facts, "keyslots").len(), 8);
    for slot in list(facts, "keyslots") {
        let title = format!("Key Slot {}:", text(&slot["name"]));
        let enabled = slot["outcome"] == "present";
        assert_eq!(enabled, field(&dump, &title) == "ENABLED", "{name}: {slot}");
        if enabled {
            let rest = dump.split_once(&title).map(|(_, rest)| rest).unwrap_or_default();
            assert_eq!(slot["kdf"]["iterations"].to_string(), field(rest, "Iterations:"));
            assert_eq!(slot["kdf"]["hash"], field(&dump, "Hash spec:"));
            assert_eq!(slot["stripes"].to_string(), field(rest, "AF stripes:"));
            let sectors = slot["area"]["offset"].as_u64().context("no offset")? / 512;
            assert_eq!(sectors.to_string(), field(rest, "Key material offset:"));
        }
    }
    Ok(())
}

/// Differently made headers.
fn disks() -> Result<Disks> {
    let mut disks = Disks::new()?;
    let fast = |words: &[&'static str]| [&FAST[..], words].concat();
    disks.format(
        "aes256",
        &[
            "--type",
            "luks2",
            "--pbkdf",
            "argon2id",
            "--pbkdf-memory",
            "65536",
            "--pbkdf-force-iterations",
            "4",
            "--label",
            "chat",
            "--subsystem",
            "lab",
        ],
    )?;
    disks.format("aes128", &fast(&["--type", "luks2", "-s", "256", "--sector-size", "512"]))?;
    disks.format(
        "cbc",
        &[
            "--type",
            "luks2",
            "-c",
            "aes-cbc-essiv:sha256",
            "-s",
            "128",
            "--pbkdf",
            "argon2i",
            "--pbkdf-memory",
            "32",
            "--pbkdf-force-iterations",
            "4",
            "--pbkdf-parallel",
            "1",
        ],
    )?;
    disks.format(
        "large",
        &fast(&[
            "--type",
            "luks2",
            "--sector-size",
            "4096",
            "--luks2-metadata-size",
            "64k",
            "--luks2-keyslots-size",
            "1M",
            "--hash",
            "sha512",
        ]),
    )?;
    disks.format("slots", &fast(&["--type", "luks2"]))?;
    disks.probity.write("old", "sesame")?;
    disks.probity.write("new", "open")?;
    let add = |words: &[&'static str]| {
        disks.cryptsetup(&[&["luksAddKey", "-q", "--key-file", "old"], words, &["slots", "new"]].concat())
    };
    add(&["--pbkdf", "argon2id", "--pbkdf-memory", "64", "--pbkdf-force-iterations", "4"])?;
    add(&fast(&["--unbound", "-s", "256", "--key-slot", "11"]))?;
    disks.cryptsetup(&["config", "slots", "--priority", "prefer", "--key-slot", "1"])?;
    disks.cryptsetup(&["token", "add", "slots", "--key-description", "probity:lab", "--key-slot", "0"])?;
    disks.format("luks1", &["--type", "luks1", "--pbkdf-force-iterations", "1000", "--hash", "sha512", "-s", "256"])?;
    // Detached headers: the data begin at 0.
    for (name, kind) in [("detached2", "luks2"), ("detached1", "luks1")] {
        std::fs::File::create(disks.path("data"))?.set_len(32 << 20)?;
        let iterations = ["--pbkdf-force-iterations", "1000"];
        let pbkdf: &[&str] = if kind == "luks2" { &["--pbkdf", "pbkdf2"] } else { &[] };
        disks.cryptsetup(
            &[&["luksFormat", "-q", "--type", kind, "--header", name], pbkdf, &iterations, &["data", "-"]].concat(),
        )?;
        disks.names.push(name.to_owned());
    }
    // What cryptsetup makes only with the device mapper or with ciphers of the kernel.
    let segment = |key: &'static str, value: Value| move |json: &mut Value| json["segments"]["0"][key] = value.clone();
    disks.change_metadata("serpent", "aes256", segment("encryption", json!("serpent-xts-plain64")))?;
    disks.change_metadata("null2", "aes256", segment("encryption", json!("cipher_null-ecb")))?;
    disks.change_metadata("integrity", "aes256", |json| {
        let integrity = json!({ "type": "hmac(sha256)", "journal_encryption": "none", "journal_integrity": "none" });
        json["segments"]["0"]["integrity"] = integrity;
        json["keyslots"]["0"]["key_size"] = json!(96);
    })?;
    disks.change("null1", "luks1", |image| {
        image[8..72].fill(0);
        image[8..19].copy_from_slice(b"cipher_null");
        image[40..43].copy_from_slice(b"ecb");
    })?;
    Ok(disks)
}

#[test]
fn headers_say_what_luksdump_says() -> Result<()> {
    let disks = disks()?;
    let (facts, assessment, written) = disks.audit()?;
    assert_eq!(facts.len(), disks.names.len());
    for (name, facts) in &facts {
        match facts["version"].as_u64() {
            Some(1) => same_as_luks1(&disks, name, facts)?,
            Some(2) => same_as_luks2(&disks, name, facts)?,
            other => anyhow::bail!("{name}: version {other:?}: {facts}"),
        }
        assert_eq!(facts["detached"], name.starts_with("detached"), "{name}");
    }
    let cipher = |name: &str| {
        let cipher = &facts[name]["segments"][0]["cipher"];
        (cipher["key_bits"].as_u64(), cipher["strength_bits"].as_u64())
    };
    for (name, key, strength) in [
        ("aes256", 512, 256),
        ("aes128", 256, 128),
        ("luks1", 256, 128),
        ("cbc", 128, 128),
        ("serpent", 512, 256),
        ("integrity", 512, 256),
        ("null1", 256, 0),
        ("null2", 512, 0),
    ] {
        assert_eq!(cipher(name), (Some(key), Some(strength)), "{name}");
    }
    let verdict = |control: &str, target: &str| {
        let found = assessment.findings().iter().find(|f| f["control"] == control && f["target"] == target);
        found.map(|finding| text(&finding["verdict"]).to_owned()).unwrap_or_default()
    };
    for (name, luks, header, algorithm, kdf) in [
        ("aes256", "pass", "pass", "pass", "pass"),
        ("aes128", "pass", "pass", "pass", "fail"),
        ("cbc", "pass", "pass", "fail", "fail"),
        ("luks1", "pass", "inconclusive", "pass", "fail"),
        ("null1", "pass", "inconclusive", "fail", "fail"),
        ("null2", "pass", "pass", "fail", "pass"),
        ("integrity", "pass", "pass", "pass", "pass"),
    ] {
        assert_eq!(verdict("ENC-REST-LUKS", name), luks, "{name}");
        assert_eq!(verdict("ENC-REST-HEADER", name), header, "{name}");
        assert_eq!(verdict("ENC-REST-ALG", name), algorithm, "{name}");
        assert_eq!(verdict("ENC-REST-KDF", name), kdf, "{name}");
        assert_eq!(verdict("ENC-REST-PATH", name), "not_applicable", "{name}");
    }
    // Nothing of salts, digests and tokens is written down.
    let json: Value = serde_json::from_str(&disks.cryptsetup(&["luksDump", "--dump-json-metadata", "slots"])?)?;
    for secret in
        ["sesame", "probity:lab", text(&json["keyslots"]["0"]["kdf"]["salt"]), text(&json["digests"]["0"]["digest"])]
    {
        assert!(!secret.is_empty() && !written.contains(secret), "{secret}");
    }
    Ok(())
}

#[test]
fn what_is_hurt_or_no_header_never_passes() -> Result<()> {
    let mut disks = Disks::new()?;
    disks.format("whole", &[&FAST[..], &["--type", "luks2"]].concat())?;
    disks.change("first", "whole", |image| image[5000] ^= 1)?;
    disks.change("second", "whole", |image| image[0x4000 + 5000] ^= 1)?;
    disks.change("both", "whole", |image| {
        image[5000] ^= 1;
        image[0x4000 + 5000] ^= 1;
    })?;
    disks.change("cut", "whole", |image| image.truncate(0x4000 + 100))?;
    disks.change("empty", "whole", |image| image.clear())?;
    disks.change("ext4", "whole", |image| {
        image.fill(0);
        image[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
    })?;
    std::os::unix::fs::symlink("loop", disks.path("loop"))?;
    disks.names.push("loop".into());
    std::fs::create_dir(disks.path("folder"))?;
    disks.names.push("folder".into());
    let fifo = Command::new("mkfifo").arg(disks.path("fifo")).status()?;
    ensure!(fifo.success(), "mkfifo");
    disks.names.push("fifo".into());
    disks.names.push("missing".into());
    let (_, assessment, _) = disks.audit()?;
    let verdict = |control: &str, target: &str| {
        let found = assessment.findings().iter().find(|f| f["control"] == control && f["target"] == target);
        found.map(|finding| text(&finding["verdict"]).to_owned()).unwrap_or_default()
    };
    assert_eq!(verdict("ENC-REST-HEADER", "whole"), "pass");
    for (name, header, luks, algorithm) in [
        ("first", "fail", "pass", "pass"),
        ("second", "fail", "pass", "pass"),
        ("both", "fail", "inconclusive", "inconclusive"),
        ("cut", "fail", "pass", "pass"),
        ("empty", "inconclusive", "inconclusive", "inconclusive"),
        ("ext4", "inconclusive", "fail", "inconclusive"),
        ("loop", "inconclusive", "inconclusive", "inconclusive"),
        ("folder", "inconclusive", "inconclusive", "inconclusive"),
        ("fifo", "inconclusive", "inconclusive", "inconclusive"),
        ("missing", "inconclusive", "inconclusive", "inconclusive"),
    ] {
        assert_eq!(verdict("ENC-REST-HEADER", name), header, "{name}");
        assert_eq!(verdict("ENC-REST-LUKS", name), luks, "{name}");
        assert_eq!(verdict("ENC-REST-ALG", name), algorithm, "{name}");
    }
    Ok(())
}
