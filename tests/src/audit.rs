//! A gate of the lab: one server, a small policy of its own, and what an audit says.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::probity::{Finished, Probity};

/// One control, of high severity: none of the named versions is accepted.
const CONTROLS: &str = r#"controls:
  - id: LAB-VERSIONS
    title: None of the forbidden versions
    severity: high
    evidence: { kind: tls }
    params: { forbidden: [TLSv1.0, TLSv1.1] }
    asks: { versions: params.forbidden }
    over: versions[*]
    where: item.name in params.forbidden
    cover: params.forbidden
    violates: item.outcome == "accepted"
    message: "{{ item.name }} is accepted"
    wanted: "none of {{ params.forbidden | join(', ') }}"
    rationale: A rule of the lab.
    remedy: { nginx: ssl_protocols TLSv1.3; }
"#;

/// A profile that a server with TLS 1.2 passes.
const LENIENT: &str = "profile: lenient\nversion: \"1\"\ntitle: Lenient\ncontrols: [LAB-VERSIONS]\n";

/// A profile that a server with TLS 1.2 fails.
const STRICT: &str = "profile: strict\nversion: \"1\"\ntitle: Strict\ncontrols:\n  - id: LAB-VERSIONS\n    \
                      params: { forbidden: [TLSv1.2] }\n";

/// The program with an inventory, in a folder that holds the profiles `lenient` and `strict`.
pub struct Gate {
    /// The program and its folder.
    pub probity: Probity,
}

impl Gate {
    /// A folder with the policies, without an inventory.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new() -> Result<Self> {
        let probity = Probity::new()?;
        probity.write("policies/controls/lab.yaml", CONTROLS)?;
        probity.write("policies/profiles/lenient.yaml", LENIENT)?;
        probity.write("policies/profiles/strict.yaml", STRICT)?;
        Ok(Self { probity })
    }

    /// Writes an inventory of TLS targets named `t0`, `t1`, … under one policy, with more lines.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn inventory(&self, policy: &str, targets: &[SocketAddr], more: &str) -> Result<()> {
        let mut text = format!("service: lab\npolicy: [{policy}]\npolicy_dir: policies\n{more}\ntargets:\n");
        for (at, address) in targets.iter().enumerate() {
            text += &format!("  - {{ name: t{at}, labels: {{ tier: edge }}, tls: {{ endpoint: \"{address}\" }} }}\n");
        }
        self.probity.write("probity.yaml", text)?;
        Ok(())
    }

    /// Runs `audit` into the folder `pack`, with more arguments.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn audit(&self, more: &[&str]) -> Result<Finished> {
        self.probity.run([&["audit", "--out", "pack"], more].concat())
    }

    /// Where the pack is.
    #[must_use]
    pub fn pack(&self) -> PathBuf {
        self.probity.folder().join("pack")
    }

    /// The assessment in the pack.
    ///
    /// # Errors
    /// When there is none.
    pub fn assessment(&self) -> Result<Assessment> {
        let path = self.pack().join("assessment.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} is missing", path.display()))?;
        Ok(Assessment(serde_json::from_str(&text)?))
    }
}

/// An `assessment.json`.
#[derive(Clone, Debug)]
pub struct Assessment(pub Value);

impl Assessment {
    /// The value at a JSON pointer; null where there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The findings.
    #[must_use]
    pub fn findings(&self) -> &[Value] {
        self.at("/findings").as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The verdicts of one control, in the order of the findings.
    #[must_use]
    pub fn verdicts(&self, control: &str) -> Vec<&str> {
        let of = self.findings().iter().filter(|finding| finding.get("control").is_some_and(|id| id == control));
        of.filter_map(|finding| finding.get("verdict")?.as_str()).collect()
    }

    /// That there are findings and none of them is a pass.
    ///
    /// # Errors
    /// Each pass.
    pub fn must_not_pass(&self) -> Result<()> {
        ensure!(!self.findings().is_empty(), "there are no findings");
        let passed = self.findings().iter().filter(|finding| finding.get("verdict").is_some_and(|v| v == "pass"));
        let passed: Vec<String> = passed.map(Value::to_string).collect();
        ensure!(passed.is_empty(), "passed without proof:\n{}", passed.join("\n"));
        Ok(())
    }
}
