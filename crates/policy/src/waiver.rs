//! Waivers: accepted failures with an owner, an approver, a reason and an end.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Digest, Finding, Notice, NoticeLevel, Timestamp, Verdict, WaiverLine, WaiverState, canonical_json};

use crate::diagnostic::{Diagnostics, is_unprintable, suggest};
use crate::yaml::{File, Node};

/// One waiver, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// Its id, given or derived from its content.
    pub id: String,
    /// The control waived.
    pub control: String,
    /// Pattern over target names; `*` stands for any text.
    pub target: String,
    /// The policy that it is limited to.
    pub policy: Option<String>,
    /// Who answers for the risk.
    pub owner: String,
    /// Who accepted it.
    pub approver: String,
    /// Why.
    pub reason: String,
    /// Where it is tracked.
    pub ticket: Option<String>,
    /// When it was made; before that it waives nothing.
    pub created: Option<Timestamp>,
    /// From this instant on it waives nothing.
    pub expires: Timestamp,
}

/// The register of waivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waivers(Vec<Waiver>);

impl Waivers {
    /// Reads a register. An empty file is an empty register.
    ///
    /// # Errors
    /// Everything that is wrong with it at once: also an unknown control, and an approver who is the owner.
    pub fn parse<'c>(
        path: &str,
        bytes: &[u8],
        controls: impl IntoIterator<Item = &'c str>,
    ) -> Result<Self, Diagnostics> {
        let controls: BTreeSet<&str> = controls.into_iter().collect();
        Self::read(path, bytes, Some(&controls))
    }

    /// Reads a register that was checked against the controls when it was stored.
    ///
    /// # Errors
    /// As [`Waivers::parse`], unknown controls left out.
    pub fn parse_stored(path: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        Self::read(path, bytes, None)
    }

    fn read(path: &str, bytes: &[u8], controls: Option<&BTreeSet<&str>>) -> Result<Self, Diagnostics> {
        let (mut file, node) = File::read(path, bytes);
        let mut waivers: Vec<Waiver> = Vec::new();
        if let Some(node) = node.filter(|n| n.data != crate::yaml::Data::Null) {
            let fields = file.fields(&node, "a file of waivers", &["waivers"]);
            let list = fields.and_then(|f| file.required(&f, "waivers", "the file"));
            for node in list.and_then(|n| file.list_of(n, "waivers")).unwrap_or_default() {
                if let Some(waiver) = waiver(&mut file, node, controls) {
                    if waivers.iter().any(|w| w.id == waiver.id) {
                        let message = format!("there is more than one waiver '{}'", waiver.id);
                        file.error("duplicate-id", node.span.clone(), message, None);
                    }
                    waivers.push(waiver);
                }
            }
        }
        if file.found.is_empty() { Ok(Self(waivers)) } else { Err(Diagnostics::new(file.found)) }
    }

    /// Every waiver, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Waiver> {
        self.0.iter()
    }

    /// Marks the findings that are waived at `as_of`. Gives the register and what must be said about it.
    pub(crate) fn apply(&self, findings: &mut [Finding], as_of: Timestamp) -> (Vec<WaiverLine>, Vec<Notice>) {
        let mut notices = Vec::new();
        let lines = self.0.iter().map(|waiver| {
            let line = waiver.apply(findings, as_of);
            notices.extend(notice(&line));
            line
        });
        (lines.collect(), notices)
    }
}

impl<'a> IntoIterator for &'a Waivers {
    type Item = &'a Waiver;
    type IntoIter = std::slice::Iter<'a, Waiver>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Waiver {
    fn matches(&self, finding: &Finding) -> bool {
        *self.control == *finding.control
            && self.policy.as_ref().is_none_or(|policy| **policy == *finding.policy)
            && glob(&self.target, &finding.target)
    }

    fn apply(&self, findings: &mut [Finding], as_of: Timestamp) -> WaiverLine {
        let early = self.created.is_some_and(|created| created > as_of);
        let expired = as_of >= self.expires;
        let (mut matched, mut waived) = (false, 0);
        if !early && !expired {
            let id: Arc<str> = self.id.as_str().into();
            for finding in findings.iter_mut().filter(|f| self.matches(f)) {
                matched = true;
                if matches!(finding.verdict, Verdict::Fail | Verdict::Inconclusive) {
                    waived += 1;
                    finding.waiver.get_or_insert_with(|| Arc::clone(&id));
                }
            }
        }
        let state = match (expired, early, matched, waived) {
            (true, ..) => WaiverState::Expired,
            (_, true, ..) => WaiverState::Early,
            (_, _, false, _) => WaiverState::Unmatched,
            (_, _, _, 0) => WaiverState::Unused,
            _ => WaiverState::Used,
        };
        let Self { id, control, target, owner, approver, reason, ticket, created, expires, .. } = self.clone();
        WaiverLine { id, control, target, owner, approver, reason, ticket, created, expires, state, findings: waived }
    }
}

fn notice(line: &WaiverLine) -> Option<Notice> {
    let WaiverLine { id, control, target, expires, .. } = line;
    let what = match line.state {
        WaiverState::Used => return None,
        WaiverState::Unused => "waives nothing: what it waives passes; remove it".to_owned(),
        WaiverState::Unmatched => "waives nothing: no control or target matches it; remove or mend it".to_owned(),
        WaiverState::Expired => format!("expired at {expires}: it waives nothing; renew or remove it"),
        WaiverState::Early => "is not yet in force: it waives nothing".to_owned(),
    };
    let message = format!("waiver '{id}' ({control} on {target}) {what}");
    Some(Notice { level: NoticeLevel::Warning, message })
}

/// Whether a text is as the pattern says; `*` stands for any text. Linear in the product at worst.
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The leftmost place leaves the most for what follows.
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    text.ends_with(last)
}

const FIELDS: [&str; 10] =
    ["id", "control", "target", "policy", "owner", "approver", "reason", "ticket", "created", "expires"];

fn waiver(file: &mut File<'_>, node: &Node, controls: Option<&BTreeSet<&str>>) -> Option<Waiver> {
    let before = file.found.len();
    let fields = file.fields(node, "a waiver", &FIELDS)?;
    let mut required = |name: &str| {
        let node = file.required(&fields, name, "the waiver")?;
        file.text_of(node, name).map(str::to_owned)
    };
    let (control, target) = (required("control"), required("target"));
    let (owner, approver, reason) = (required("owner"), required("approver"), required("reason"));
    let expires = required("expires");
    let mut optional = |name: &str| fields.get(name).and_then(|n| file.text_of(n, name)).map(str::to_owned);
    let (id, policy, ticket) = (optional("id"), optional("policy"), optional("ticket"));
    let created = optional("created");
    let mut instant = |name: &str, text: &Option<String>, end: bool| {
        let text = text.as_deref()?;
        let instant = instant(text, end);
        if instant.is_none() {
            let at = fields.get(name).map_or(fields.start.clone(), |n| n.span.clone());
            let message = format!("'{text}' is neither a date (2027-01-31) nor an RFC 3339 time");
            file.error("time", at, message, None);
        }
        instant
    };
    let expires = instant("expires", &expires, true);
    let created = instant("created", &created, false);
    if let (Some(control), Some(node)) = (&control, fields.get("control"))
        && let Some(controls) = controls
        && !controls.contains(control.as_str())
    {
        let help = suggest(control, controls.iter().copied());
        file.error("unknown-control", node.span.clone(), format!("there is no control '{control}'"), help);
    }
    for (name, value) in [("owner", &owner), ("approver", &approver)] {
        // Two names that differ in what nobody sees are one name to the reader.
        if let (Some(value), Some(node)) = (value, fields.get(name))
            && value.chars().any(is_unprintable)
        {
            file.error("invisible", node.span.clone(), format!("'{name}' holds a character that can't be seen"), None);
        }
    }
    let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
    if let (Some(owner), Some(approver), Some(node)) = (&owner, &approver, fields.get("approver"))
        && same(owner, approver)
    {
        let message = format!("'{approver}' owns the risk and can't approve the waiver too");
        file.error("self-approval", node.span.clone(), message, Some("someone else has to approve it".into()));
    }
    if file.found.len() > before {
        return None;
    }
    let (control, target, owner, approver, reason) = (control?, target?, owner?, approver?, reason?);
    let expires = expires?;
    let id = id.unwrap_or_else(|| {
        let end = expires.to_string();
        let content = (&control, &target, &policy, &owner, &approver, &reason, &ticket, end);
        // A tuple of strings can always be written.
        format!("waiver-{}", Digest::of(&canonical_json(&content).unwrap_or_default()).short())
    });
    Some(Waiver { id, control, target, policy, owner, approver, reason, ticket, created, expires })
}

/// A time, or a date: its end (the next midnight, UTC) or its beginning.
fn instant(text: &str, end: bool) -> Option<Timestamp> {
    if let Ok(instant) = text.parse() {
        return Some(instant);
    }
    let bytes = text.as_bytes();
    let is_date = bytes.len() == 10
        && bytes.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() });
    let midnight: Timestamp = is_date.then(|| format!("{text}T00:00:00Z").parse().ok())??;
    if end { Timestamp::from_second(midnight.as_second() + 86_400).ok() } else { Some(midnight) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, wanted) in [
            ("edge@*", "edge@10.0.0.1", true),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b", "ab-c", false),
            ("ab*ba", "aba", false),
            ("host", "host2", false),
            ("e?ge", "edge", false),
        ] {
            assert_eq!(glob(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn a_date_holds_to_its_end() {
        let text = "waivers:\n- {control: A, target: '*', owner: a, approver: b, reason: r, expires: 2027-01-31}\n";
        let waivers = Waivers::parse("waivers.yaml", text.as_bytes(), ["A"]).unwrap();
        let expires = waivers.iter().next().unwrap().expires;
        assert_eq!(expires.to_string(), "2027-02-01T00:00:00Z");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let text = "waivers:\n- {control: TLS-B, target: '*', owner: Ann, approver: ann, reason: r, expires: soon, until: x}\n- {control: TLS-A}\n";
        let found = Waivers::parse("waivers.yaml", text.as_bytes(), ["TLS-A"]).unwrap_err().to_string();
        for part in [
            "there is no control 'TLS-B'",
            "did you mean 'TLS-A'?",
            "can't approve",
            "'soon' is neither",
            "unknown field 'until'",
            "has no 'owner'",
        ] {
            assert!(found.contains(part), "{part} in {found}");
        }
    }
}
