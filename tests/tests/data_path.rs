//! Data paths over real servers: each hop says what its targets showed, and what is claimed is held against that.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Assessment, Finished, Key, Lab, Nginx, NginxTls, Probity, Restic};

const VERIFY: [&str; 2] = ["verify", "pack"];

/// Audits a web server and a restic repository, and the path over them with that claim and these hops.
fn audited(
    ciphersuites: &'static str,
    protocols: &'static str,
    claim: &str,
    hops: &str,
) -> Result<(Probity, Finished)> {
    let lab = Lab::new()?;
    let tls = NginxTls { protocols, ciphersuites, ..NginxTls::intermediate() };
    let nginx = Nginx::start(&tls, &[&lab.identity(Key::P256)?])?;
    let restic = Restic::good()?;
    let probity = Probity::new()?;
    let inventory = format!(
        "service: lab\ntargets:\n  - {{ name: edge, tls: {{ endpoint: \"{}\" }} }}\n  - name: nightly\n    backup: {{ restic: \
         {{ repository: \"{}\", password: \"file:{}\" }} }}\n  - name: messages\n    data_path:\n      claim: {claim}\n      \
         hops: {hops}\n",
        nginx.address(),
        restic.repository().display(),
        restic.password_file().display()
    );
    probity.write("probity.yaml", inventory)?;
    let finished = probity.run(["audit", "-c", "probity.yaml", "--out", "pack", "--depth", "full"])?;
    Ok((probity, finished))
}

fn assessment(probity: &Probity) -> Result<Assessment> {
    let text = std::fs::read_to_string(probity.folder().join("pack/assessment.json"))?;
    Ok(Assessment(serde_json::from_str(&text)?))
}

const HOPS: &str = "[{ name: client to edge, targets: [edge] }, { name: copies, targets: [nightly] }]";

#[test]
fn each_hop_says_what_was_seen() -> Result<()> {
    let (probity, finished) = audited("", "TLSv1.2 TLSv1.3", "{ bits: 256 }", HOPS)?;
    let judged = assessment(&probity)?;
    ensure!(judged.verdicts("ENC-DATA-PATH") == ["pass"], "{finished}");
    ensure!(judged.verdicts("ENC-DATA-PATH-SHOWN") == ["pass"], "{finished}");
    // A client may well bring it to use AES-128.
    ensure!(judged.verdicts("ENC-DATA-PATH-CLAIM") == ["fail"], "{finished}");
    ensure!(finished.stdout.contains("client to edge: AES-128-GCM has 128 bits, 256 are claimed"), "{finished}");
    ensure!(finished.stdout.contains("data paths"), "{finished}");
    let page = std::fs::read_to_string(probity.folder().join("pack/report.html"))?;
    ensure!(page.contains("id=\"data-paths\""));
    probity.run(VERIFY)?.expect_code(0)?;
    Ok(())
}

#[test]
fn a_claim_that_holds_passes() -> Result<()> {
    let suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
    let (probity, finished) = audited(suites, "TLSv1.3", "{ bits: 256 }", HOPS)?;
    let judged = assessment(&probity)?;
    ensure!(judged.verdicts("ENC-DATA-PATH-CLAIM") == ["pass"], "{finished}");
    Ok(())
}

#[test]
fn what_nobody_looked_at_is_not_proven() -> Result<()> {
    let hops = "[{ name: client to edge, targets: [edge] }, { name: everything else, targets: [edge, this-host] }]";
    let (_, finished) = audited("", "TLSv1.2", "{}", hops)?;
    ensure!(
        finished.code == Some(2) && finished.stderr.contains("no other target is called 'this-host'"),
        "{finished}"
    );
    Ok(())
}

#[test]
fn a_path_that_says_more_than_its_evidence_is_found() -> Result<()> {
    let (probity, _) = audited("", "TLSv1.2", "{}", HOPS)?;
    let folder = probity.folder().join("pack/evidence");
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let evidence: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        if evidence.get("kind").is_some_and(|kind| kind == "data-path") {
            let text = std::fs::read_to_string(&path)?.replace("AES-128-GCM", "AES-256-GCM");
            std::fs::write(&path, text)?;
            let finished = probity.run(VERIFY)?.expect_code(4)?;
            ensure!(finished.stdout.contains("changed"), "{finished}");
            return Ok(());
        }
    }
    None.context("there is no evidence of the kind data-path")
}
