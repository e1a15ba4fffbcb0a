//! An audit of one backup target, under the shipped baseline, and what it says.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::audit::Assessment;
use crate::probity::{Finished, Probity};

/// What an audit of one target said.
pub struct Audited {
    /// The program and its folder, with the pack in `pack`.
    pub probity: Probity,
    /// What it ended with and printed.
    pub finished: Finished,
    /// Its assessment.
    pub assessment: Assessment,
}

impl Audited {
    /// Audits a target `it` that is the `backup` of these lines of YAML in flow style, under a policy.
    ///
    /// # Errors
    /// When the audit does not end in time or leaves no pack.
    pub fn of(policy: &str, backup: &str, more: &[&str]) -> Result<Self> {
        Self::again(Probity::new()?, policy, backup, more)
    }

    /// The same in a folder that may hold earlier packs.
    ///
    /// # Errors
    /// As [`Audited::of`].
    pub fn again(probity: Probity, policy: &str, backup: &str, more: &[&str]) -> Result<Self> {
        Self::target(probity, policy, &format!("backup: {backup}"), more)
    }

    /// Of a target of any sort: `subject` is its line in the inventory, such as `e2ee: { store: … }`.
    ///
    /// # Errors
    /// As [`Audited::of`].
    pub fn target(probity: Probity, policy: &str, subject: &str, more: &[&str]) -> Result<Self> {
        let text = format!("service: lab\npolicy: [{policy}]\ntargets:\n  - name: it\n    {subject}\n");
        probity.write("probity.yaml", text)?;
        let packs = || -> Vec<_> {
            let entries = std::fs::read_dir(probity.folder().join("probity-packs")).into_iter().flatten().flatten();
            entries.map(|e| e.path()).collect()
        };
        let before = packs();
        let finished = probity.run([more, &["-c", "probity.yaml"]].concat())?;
        let pack = packs().into_iter().find(|p| !before.contains(p)).with_context(|| format!("no pack: {finished}"))?;
        let text = std::fs::read_to_string(pack.join("assessment.json"))?;
        let assessment = Assessment(serde_json::from_str(&text)?);
        let _ = std::fs::remove_file(probity.folder().join("pack"));
        std::os::unix::fs::symlink(&pack, probity.folder().join("pack"))?;
        Ok(Self { probity, finished, assessment })
    }

    /// The one verdict of a control.
    #[must_use]
    pub fn verdict(&self, control: &str) -> &str {
        match self.assessment.verdicts(control).as_slice() {
            [one] => one,
            [] => "no finding",
            _ => "several findings",
        }
    }

    /// The reasons of a control's finding, in one text.
    #[must_use]
    pub fn reasons(&self, control: &str) -> String {
        let of = self.assessment.findings().iter().filter(|f| f.get("control").is_some_and(|id| id == control));
        of.map(|f| f.get("reasons").map(Value::to_string).unwrap_or_default()).collect()
    }

    /// The evidence of a kind: the whole record.
    ///
    /// # Errors
    /// When there is none.
    pub fn evidence(&self, kind: &str) -> Result<Value> {
        let folder = self.probity.folder().join("pack/evidence");
        for entry in std::fs::read_dir(&folder)? {
            let value: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
            if value.get("kind").is_some_and(|k| k == kind) {
                return Ok(value);
            }
        }
        anyhow::bail!("no evidence of the kind {kind}: {}", self.finished)
    }

    /// The versions of TLS that the server was seen to accept, oldest first.
    ///
    /// # Errors
    /// When there is no evidence of the kind `tls`.
    pub fn accepted_versions(&self) -> Result<Vec<String>> {
        let versions = self.fact("tls", "/versions")?;
        let accepted =
            versions.as_array().into_iter().flatten().filter(|v| v.get("outcome").is_some_and(|o| o == "accepted"));
        Ok(accepted.filter_map(|v| v.get("name")?.as_str().map(str::to_owned)).collect())
    }

    /// A fact of the kind, by JSON pointer; null where there is none.
    ///
    /// # Errors
    /// When there is no evidence of the kind.
    pub fn fact(&self, kind: &str, pointer: &str) -> Result<Value> {
        Ok(self.evidence(kind)?.pointer(&format!("/facts{pointer}")).cloned().unwrap_or_default())
    }
}
