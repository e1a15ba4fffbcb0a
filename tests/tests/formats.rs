//! Reports for machines and for people: other programs read them, and nothing in them reaches out.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{Gate, Key, Lab, Nginx, NginxTls};

/// An audit that fails, with every format in a file of its own.
fn failed() -> Result<Gate> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::P256)?])?;
    let gate = Gate::new()?;
    gate.inventory("strict, baseline", &[nginx.address()], "")?;
    let formats = ["json=r.json", "sarif=r.sarif", "junit=r.xml", "github=r.txt", "html=r.html"];
    let arguments: Vec<&str> = formats.iter().flat_map(|format| ["--format", format]).collect();
    gate.audit(&arguments)?.expect_code(1)?;
    Ok(gate)
}

fn read(gate: &Gate, name: &str) -> Result<String> {
    std::fs::read_to_string(gate.probity.folder().join(name)).with_context(|| format!("{name} was not written"))
}

#[test]
fn json_equals_the_assessment_of_the_pack() -> Result<()> {
    let gate = failed()?;
    let json: Value = serde_json::from_str(&read(&gate, "r.json")?)?;
    assert_eq!(json, gate.assessment()?.0);
    Ok(())
}

#[test]
fn sarif_points_at_lines_of_files_as_github_wants_it() -> Result<()> {
    let gate = failed()?;
    let sarif: Value = serde_json::from_str(&read(&gate, "r.sarif")?)?;
    assert_eq!(sarif.get("version"), Some(&"2.1.0".into()));
    let results = sarif.pointer("/runs/0/results").and_then(Value::as_array).context("no results")?;
    let rules = sarif.pointer("/runs/0/tool/driver/rules").and_then(Value::as_array).context("no rules")?;
    ensure!(results.iter().any(|result| result.get("ruleId").is_some_and(|id| id == "LAB-VERSIONS")), "{results:?}");
    for result in results {
        let place = result.pointer("/locations/0/physicalLocation").context("a result without a place")?;
        let uri = place.pointer("/artifactLocation/uri").and_then(Value::as_str).context("no uri")?;
        ensure!(!uri.starts_with('/') && !uri.contains(".."), "{uri}");
        ensure!(place.pointer("/region/startLine").and_then(Value::as_u64).is_some_and(|line| line > 0), "{place}");
        ensure!(
            result.pointer("/message/text").and_then(Value::as_str).is_some_and(|text| !text.is_empty()),
            "{result}"
        );
        ensure!(result.pointer("/partialFingerprints").is_some_and(Value::is_object), "{result}");
        let id = result.get("ruleId").context("no rule")?;
        ensure!(rules.iter().any(|rule| rule.get("id") == Some(id)), "{id} is no rule of the run");
    }
    Ok(())
}

/// What `xmllint` finds at an XPath.
fn xpath(file: &Path, path: &str) -> Result<String> {
    let output = Command::new("xmllint").args(["--xpath", path]).arg(file).output()?;
    ensure!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[test]
fn junit_is_read_by_xmllint_and_counts_right() -> Result<()> {
    let gate = failed()?;
    let file = gate.probity.folder().join("r.xml");
    let assessment = gate.assessment()?;
    let count = |verdict: &str| {
        assessment.findings().iter().filter(|finding| finding.get("verdict").is_some_and(|v| v == verdict)).count()
    };
    assert_eq!(xpath(&file, "count(//testcase)")?, assessment.findings().len().to_string());
    let bad = xpath(&file, "count(//testcase[failure or error])")?;
    assert_eq!(bad, (count("fail") + count("inconclusive")).to_string());
    assert_eq!(xpath(&file, "count(//testcase[skipped])")?, count("not_applicable").to_string());
    ensure!(xpath(&file, "string(//testcase[contains(@name, 'LAB-VERSIONS')]/failure/@message)")?.contains("TLSv1.2"));
    Ok(())
}

#[test]
fn annotations_name_file_and_line() -> Result<()> {
    let annotations = read(&failed()?, "r.txt")?;
    ensure!(annotations.lines().any(|line| line.starts_with("::error ")), "{annotations}");
    for line in annotations.lines().filter(|line| line.starts_with("::error ") || line.starts_with("::warning ")) {
        ensure!(line.contains("file=") && line.contains("line="), "{line}");
    }
    Ok(())
}

#[test]
fn html_stands_alone() -> Result<()> {
    let gate = failed()?;
    let html = read(&gate, "r.html")?;
    let lower = html.to_lowercase();
    for forbidden in
        ["<script", "<link", "<iframe", "@import", "src=\"http", "src=\"//", "url(http", "url(//", "onclick="]
    {
        ensure!(!lower.contains(forbidden), "the page has {forbidden}");
    }
    for wanted in
        ["<!doctype html>", "<html lang=", "<meta charset=\"utf-8\"", "prefers-color-scheme", "@media print", "<title>"]
    {
        ensure!(lower.contains(wanted), "the page has no {wanted}");
    }
    for said in ["LAB-VERSIONS", "TLSv1.2 is accepted", "ssl_protocols TLSv1.3;", "self-made"] {
        ensure!(html.contains(said), "the page does not say '{said}'");
    }
    let file = gate.probity.folder().join("r.html");
    // libxml2 knows the elements of HTML 4 only; anything but an unknown element is an error.
    let lint = Command::new("xmllint").args(["--html", "--noout"]).arg(file).output()?;
    let said = String::from_utf8_lossy(&lint.stderr);
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("error") && !line.contains("invalid\n") && !line.contains("Tag "))
        .collect();
    ensure!(errors.is_empty(), "{said}");
    Ok(())
}

#[test]
fn the_terminal_has_no_colour_where_there_is_no_terminal() -> Result<()> {
    let lab = Lab::new()?;
    let nginx = Nginx::start(&NginxTls::intermediate(), &[&lab.identity(Key::P256)?])?;
    let gate = Gate::new()?;
    gate.inventory("strict", &[nginx.address()], "")?;
    let finished = gate.audit(&[])?.expect_code(1)?;
    ensure!(!finished.stdout.contains('\u{1b}') && !finished.stderr.contains('\u{1b}'), "{finished}");
    for said in ["LAB-VERSIONS", "TLSv1.2 is accepted", "wanted", "ssl_protocols TLSv1.3;", "FAILED"] {
        ensure!(finished.stdout.contains(said), "'{said}' is wanted: {finished}");
    }
    Ok(())
}

#[test]
fn a_report_can_be_made_again_from_the_pack() -> Result<()> {
    let gate = failed()?;
    gate.probity.run(["report", "pack", "--format", "html=again.html"])?.expect_code(0)?;
    let (first, again) = (read(&gate, "r.html")?, read(&gate, "again.html")?);
    if let Some((first, again)) = first.lines().zip(again.lines()).find(|(first, again)| first != again) {
        anyhow::bail!("the page differs, first in:\n{first}\n{again}");
    }
    assert_eq!(first.len(), again.len());
    Ok(())
}
