//! Packs: what was signed can be checked, what was changed is named, and judging again gives the same bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tests::{Assessment, Finished, Gate, Key, Lab, Nginx, NginxTls, Probity};

/// A gate that has audited a real server; its pack is in the folder `pack`.
fn audited(policy: &str) -> Result<Gate> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::P256)?])?;
    let gate = Gate::new()?;
    gate.inventory(policy, &[nginx.address()], "")?;
    let code = i32::from(policy == "strict");
    gate.audit(&[])?.expect_code(code)?;
    Ok(gate)
}

/// Every file under a folder, as paths relative to it.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().context("no parent")?)?;
        std::fs::copy(from.join(&file), target)?;
    }
    Ok(())
}

#[test]
fn a_pack_holds_what_it_should_and_verifies() -> Result<()> {
    let gate = audited("lenient")?;
    let finished = gate.probity.run(["verify", "pack"])?.expect_code(0)?;
    ensure!(finished.stdout.contains("VERIFIED"), "{finished}");
    let html = std::fs::read_to_string(gate.pack().join("report.html"))?;
    ensure!(html.contains("self-made"), "a key made on first use is called that");
    let found = files(&gate.pack())?;
    for name in [
        "assessment.json",
        "policy.yaml",
        "waivers.yaml",
        "inventory.yaml",
        "evidence.sha256",
        "assessment.sigstore.json",
        "manifest.json",
        "SHA256SUMS",
        "probity.pub",
        "VERIFY.md",
        "report.sigstore.json",
        "report.html",
        "report.sarif",
        "report.junit.xml",
    ] {
        ensure!(found.iter().any(|file| file == Path::new(name)), "{name} is missing: {found:?}");
    }
    for folder in ["evidence", "exchanges"] {
        ensure!(found.iter().any(|file| file.starts_with(folder)), "{folder}/ is empty: {found:?}");
    }
    // Others can check it too, with what every system has.
    for sums in ["SHA256SUMS", "evidence.sha256"] {
        let mut sha256sum = std::process::Command::new("sha256sum");
        let checked = sha256sum.args(["--check", "--strict", "--quiet", sums]).current_dir(gate.pack()).output()?;
        ensure!(checked.status.success(), "{sums}: {}", String::from_utf8_lossy(&checked.stderr));
    }
    Ok(())
}

#[test]
fn the_private_key_is_made_once_and_for_its_owner_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let gate = audited("lenient")?;
    let state = gate.probity.folder().join("home/state/probity");
    let key = state.join("key.pem");
    let before = std::fs::read(&key).with_context(|| format!("{:?}", files(&gate.probity.folder().join("home"))))?;
    assert_eq!(std::fs::metadata(&key)?.permissions().mode() & 0o777, 0o600);
    // The server is gone by now; the key is what matters.
    gate.probity.run(["audit", "--out", "second"])?.expect_code(3)?;
    assert_eq!(std::fs::read(&key)?, before);
    for file in files(&gate.pack())? {
        let bytes = std::fs::read(gate.pack().join(&file))?;
        ensure!(!String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"), "{} holds a private key", file.display());
    }
    Ok(())
}

#[test]
fn a_flipped_byte_in_any_file_is_found_and_the_file_named() -> Result<()> {
    let gate = audited("lenient")?;
    for file in files(&gate.pack())? {
        let path = gate.pack().join(&file);
        let original = std::fs::read(&path)?;
        for at in [0, original.len() / 2, original.len().saturating_sub(1)] {
            let mut changed = original.clone();
            let Some(byte) = changed.get_mut(at) else { continue };
            *byte ^= 1;
            std::fs::write(&path, changed)?;
            let name = file.to_string_lossy();
            let finished = gate.probity.run(["verify", "pack"])?.expect_code(4);
            let finished = finished.with_context(|| format!("byte {at} of {name} was flipped"))?;
            let said = finished.stdout.clone() + &finished.stderr;
            ensure!(said.contains(&*name), "byte {at} of {name} was flipped: {finished}");
        }
        std::fs::write(&path, original)?;
    }
    gate.probity.run(["verify", "pack"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn files_that_were_added_or_taken_away_are_named() -> Result<()> {
    let gate = audited("lenient")?;
    let extra = gate.pack().join("evidence").join("extra.json");
    std::fs::write(&extra, "{}")?;
    let finished = gate.probity.run(["verify", "pack"])?.expect_code(4)?;
    ensure!((finished.stdout.clone() + &finished.stderr).contains("extra.json"), "{finished}");
    std::fs::remove_file(extra)?;
    for file in files(&gate.pack())? {
        let path = gate.pack().join(&file);
        let original = std::fs::read(&path)?;
        std::fs::remove_file(&path)?;
        let finished = gate.probity.run(["verify", "pack"])?;
        let finished = finished.expect_code(4).with_context(|| format!("{} was taken away", file.display()))?;
        let said = finished.stdout.clone() + &finished.stderr;
        ensure!(said.contains(&*file.to_string_lossy()), "{} was taken away: {finished}", file.display());
        std::fs::write(&path, original)?;
    }
    Ok(())
}

#[test]
fn a_pack_by_a_stranger_is_intact_and_its_signer_unknown() -> Result<()> {
    let gate = audited("lenient")?;
    let auditor = Probity::new()?;
    let pack = gate.pack().to_string_lossy().into_owned();
    let finished = auditor.run(["verify", &pack])?.expect_code(4)?;
    let said = finished.stdout.clone() + &finished.stderr;
    ensure!(said.contains("INTACT") && said.contains("SIGNER UNKNOWN"), "{finished}");
    // The key inside the pack says nothing; one that came by another way does.
    let key = gate.probity.folder().join("home/state/probity/key.pub").to_string_lossy().into_owned();
    auditor.run(["verify", &pack, "--key", &key])?.expect_code(0)?;
    // Once trusted, always trusted.
    auditor.run(["keys", "trust", &key])?.expect_code(0)?;
    auditor.run(["verify", &pack])?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_stranger_who_signs_a_changed_pack_is_unknown() -> Result<()> {
    // The stranger audits the same server under a policy that it passes, with a key of his own.
    let (victim, stranger) = (audited("strict")?, audited("lenient")?);
    std::fs::remove_dir_all(victim.pack())?;
    copy(&stranger.pack(), &victim.pack())?;
    let finished = victim.probity.run(["verify", "pack"])?.expect_code(4)?;
    ensure!((finished.stdout.clone() + &finished.stderr).contains("SIGNER UNKNOWN"), "{finished}");
    Ok(())
}

#[test]
fn replays_give_the_same_bytes() -> Result<()> {
    for policy in ["lenient", "strict"] {
        let gate = audited(policy)?;
        let original = std::fs::read(gate.pack().join("assessment.json"))?;
        for _ in 0..2 {
            let finished = gate.probity.run(["replay", "pack"])?.expect_code(i32::from(policy == "strict"))?;
            ensure!(finished.stdout.as_bytes() == original, "the replay differs: {finished}");
        }
    }
    Ok(())
}

#[test]
fn what_might_have_been_is_called_that_and_never_signed() -> Result<()> {
    let gate = audited("lenient")?;
    let before = files(&gate.pack())?;
    let hypothetical = |finished: &Finished| -> Result<Assessment> {
        let assessment = Assessment(finished.json()?);
        assert_eq!(assessment.at("/hypothetical"), true);
        Ok(assessment)
    };
    let later = gate.probity.run(["replay", "pack", "--as-of", "2099-01-01T00:00:00Z"])?.expect_code(3)?;
    assert_eq!(hypothetical(&later)?.verdicts("LAB-VERSIONS"), ["inconclusive"], "the evidence is stale by then");
    let modern = gate.probity.run(["replay", "pack", "-p", "mozilla-modern"])?.expect_code(1)?;
    assert_eq!(hypothetical(&modern)?.at("/policies/0/name"), "mozilla-modern");
    for format in ["terminal", "html", "junit", "sarif", "github"] {
        let shown = ["replay", "pack", "--as-of", "2099-01-01T00:00:00Z", "--format", format];
        let finished = gate.probity.run(shown)?.expect_code(3)?;
        ensure!(finished.stdout.to_lowercase().contains("hypothetical"), "{format}: {finished}");
    }
    assert_eq!(files(&gate.pack())?, before, "the pack is left as it was");
    gate.probity.run(["verify", "pack"])?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_pipeline_without_a_key_leaves_an_unsigned_pack() -> Result<()> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::P256)?])?;
    let mut gate = Gate::new()?;
    gate.probity = gate.probity.env("CI", "true");
    gate.inventory("lenient", &[nginx.address()], "")?;
    let finished = gate.audit(&[])?.expect_code(0)?;
    ensure!((finished.stdout.clone() + &finished.stderr).contains("UNSIGNED"), "{finished}");
    ensure!(!gate.probity.folder().join("home/state/probity/key.pem").exists(), "a key was made in a pipeline");
    gate.probity.run(["verify", "pack"])?.expect_code(4)?;
    Ok(())
}

#[test]
fn a_key_given_by_the_inventory_signs_and_is_trusted_by_it() -> Result<()> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::P256)?])?;
    for key in [Key::P256, Key::Ed25519] {
        let signer = lab.identity(key)?;
        let mut gate = Gate::new()?;
        gate.probity = gate.probity.env("CI", "true");
        let private = signer.key.to_string_lossy().into_owned();
        gate.inventory("lenient", &[nginx.address()], &format!("sign: {{ key: \"file:{private}\" }}"))?;
        gate.audit(&[])?.expect_code(0)?;
        let public = tests::openssl(&["pkey", "-pubout", "-in", &private])?;
        gate.probity.write("signer.pub", &public)?;
        assert_eq!(std::fs::read_to_string(gate.pack().join("probity.pub"))?.trim(), public.trim());
        gate.probity.run(["verify", "pack", "--key", "signer.pub"])?.expect_code(0)?;
    }
    Ok(())
}
