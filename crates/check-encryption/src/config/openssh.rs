//! The probe `sshd-config`: what the configuration files of OpenSSH's server declare (`sshd_config(5)`), before or after
//! they are deployed. What the server makes of them is the kind `sshd`.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Facts, Failure, FailureClass, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use super::tree::{At, Tree, below};
use crate::facts::{ConfigSpec, MatchBlock, Outcome, Setting, SshdConfigFacts, SshdSetting};
use crate::sshd::config::block;
use crate::sshd::syntax::{is_keyword, line, shown, usual};

/// The sort of target.
pub(crate) const SORT: &str = "sshd-config";

/// Reads the configuration files of `sshd`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SshdConfig;

impl Probe for SshdConfig {
    fn kind(&self) -> Kind {
        Kind::new(SORT, Level::Declared)
    }

    fn sort(&self) -> &'static str {
        SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(SshdConfigFacts)
    }

    fn plan(&self, target: &Target) -> Plan {
        super::plan(target)
    }

    fn observe<'a>(&'a self, target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move {
            let spec = super::spec(target)?;
            let tree = super::open(cx, &spec).await?;
            let read = tokio::task::spawn_blocking(move || facts(spec, tree)).await;
            let failed = |_| Failure::new(FailureClass::Panic, "reading it failed, which is a defect of Probity");
            probe::facts(&read.map_err(failed)?)
        })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

/// Settings that are told also where nobody wrote them.
const ASKED: [&str; 11] = [
    "ciphers",
    "hostkeyalgorithms",
    "kbdinteractiveauthentication",
    "kexalgorithms",
    "loglevel",
    "macs",
    "passwordauthentication",
    "permitemptypasswords",
    "permitrootlogin",
    "pubkeyacceptedalgorithms",
    "pubkeyauthentication",
];

/// Lists of algorithms: those that a sign in front joins with the default.
const LISTS: [&str; 7] = [
    "casignaturealgorithms",
    "ciphers",
    "hostbasedacceptedalgorithms",
    "hostkeyalgorithms",
    "kexalgorithms",
    "macs",
    "pubkeyacceptedalgorithms",
];

/// Settings of which every line adds one; of all others the first counts.
const SEVERAL: [&str; 9] = [
    "acceptenv",
    "allowgroups",
    "allowusers",
    "denygroups",
    "denyusers",
    "hostcertificate",
    "hostkey",
    "listenaddress",
    "port",
];

/// The name that a setting has now.
fn now(name: &str) -> &str {
    match name {
        "challengeresponseauthentication" | "skeyauthentication" => "kbdinteractiveauthentication",
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms",
        "hostbasedacceptedkeytypes" => "hostbasedacceptedalgorithms",
        "dsaauthentication" => "pubkeyauthentication",
        name => name,
    }
}

fn facts(spec: ConfigSpec, tree: Tree) -> SshdConfigFacts {
    let entry = below("", &spec.path);
    let mut reader = Reader { tree, settings: BTreeMap::new(), blocks: vec![] };
    reader.file(&entry, None, None);
    let mut settings = reader.settings;
    for name in ASKED {
        settings.entry(name.to_owned()).or_insert_with(|| SshdSetting {
            name: name.to_owned(),
            outcome: Outcome::Absent,
            why: None,
            at: None,
            written: None,
            values: vec![],
            whole: false,
        });
    }
    SshdConfigFacts {
        version: spec.version,
        installed: spec.root.is_none(),
        entry,
        asked: reader.tree.asked(),
        files: reader.tree.files,
        settings: settings.into_values().collect(),
        match_blocks: reader.blocks,
        not_proven: reader.tree.not_proven,
    }
}

struct Reader {
    tree: Tree,
    settings: BTreeMap<String, SshdSetting>,
    blocks: Vec<MatchBlock>,
}

impl Reader {
    /// Reads a file in its place: what it says counts before what follows its `Include`. `around`: criteria of the
    /// `Match` block in which it is included. A block of its own ends with it.
    fn file(&mut self, path: &str, from: Option<&At>, around: Option<&str>) {
        // An include of nothing is no error.
        let Some(file) = self.tree.read_if(path, from, from.is_some()) else { return };
        let first = At { file: Arc::clone(&file.path), line: 1 };
        if !self.tree.enter(&file.path, from.unwrap_or(&first)) {
            return;
        }
        let mut open = around.map(|criteria| block(path, 1, criteria));
        for (number, text) in (1u32..).zip(file.text.lines()) {
            let Some(line) = line(text) else { continue };
            let (name, value) = (line.name, line.rest);
            let at = At { file: Arc::clone(&file.path), line: number };
            if !is_keyword(&name) {
                let name: String = name.chars().take(40).collect();
                self.tree.unknown(&at, format!("'{name}' is no keyword that Probity knows; sshd may refuse the file"));
                continue;
            }
            let Some(words) = line.words.filter(|words| !words.is_empty()) else {
                self.tree.unknown(&at, format!("'{name}' without a value, or with a quote that does not end"));
                continue;
            };
            match now(&name) {
                "match" => {
                    self.blocks.extend(open.take());
                    let criteria = around.map_or_else(|| value.clone(), |around| format!("{around}, {value}"));
                    open = Some(block(path, number, &criteria));
                }
                "include" => {
                    let criteria = open.as_ref().map(|block| block.criteria.clone());
                    for pattern in words {
                        if pattern.is_empty() || pattern.contains(['\\', '~']) {
                            self.tree.unknown(&at, "an Include of nothing, or with '~' or a backslash in its pattern");
                            continue;
                        }
                        // Relative ones lie in /etc/ssh, wherever the file is.
                        for path in self.tree.included(&below("/etc/ssh", &pattern), &at) {
                            self.file(&path, Some(&at), criteria.as_deref());
                        }
                    }
                }
                name => match &mut open {
                    Some(block) => {
                        if !block.changes.iter().any(|change| change == name) {
                            block.changes.push(name.to_owned());
                        }
                        // Of a block too the first counts.
                        let value = usual(name, &words);
                        block.settings.push(Setting { name: name.to_owned(), value });
                    }
                    None => self.set(name, &value, words, &at),
                },
            }
        }
        self.blocks.extend(open);
        // A file that is included conditionally, and has no setting outside its own blocks, makes no block.
        self.blocks.retain(|block| block.line > 1 || !block.settings.is_empty());
        self.tree.leave();
    }

    fn set(&mut self, name: &str, value: &str, mut words: Vec<String>, at: &At) {
        // A command may hold secrets.
        let written = shown(name, value);
        if written != value {
            words = vec![written.clone()];
        }
        if let Some(known) = self.settings.get_mut(name) {
            if SEVERAL.contains(&name) {
                known.values.extend(words);
            }
            return;
        }
        let mut setting = SshdSetting {
            name: name.to_owned(),
            outcome: Outcome::Present,
            why: None,
            at: Some(at.to_string()),
            written: Some(written),
            values: words,
            whole: true,
        };
        if LISTS.contains(&name) {
            let list = setting.values.join(" ");
            let (sign, rest) = match list.split_at_checked(1) {
                Some((sign @ ("+" | "-" | "^"), rest)) => (sign, rest),
                _ => ("", list.as_str()),
            };
            let names: Vec<String> = rest.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            let patterns = names.iter().any(|name| name.contains(['*', '?']));
            setting.whole = sign.is_empty() && !patterns;
            setting.values = if sign == "-" { vec![] } else { names };
        } else if ASKED.contains(&name) {
            setting.values.iter_mut().for_each(|value| value.make_ascii_lowercase());
        }
        self.settings.insert(name.to_owned(), setting);
    }
}

#[cfg(test)]
mod tests;
