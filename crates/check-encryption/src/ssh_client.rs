//! The configuration of SSH clients: the machine's and that of every account (ssh_config(5)).

use std::collections::BTreeSet;

use model::{Facts, Failure, Kind, Level, Target};
use probe::{BoxFuture, Cx, Plan, Probe};

use crate::accounts::with_shell;
use crate::facts::{Asked, ClientFile, ClientSetting, NotRead, Outcome, SshClientFacts};
use crate::root::{Root, is_missing, reason, why};
use crate::sshd::config::{fits, pattern};
use crate::sshd::syntax;

/// The machine's own file.
const SYSTEM: &str = "/etc/ssh/ssh_config";
/// Files, their bytes, and settings in all; files included in a row, as in OpenSSH.
const MOST_FILES: usize = 20_000;
const MOST_BYTES: usize = 1 << 20;
const MOST_SETTINGS: usize = 50_000;
const DEEPEST: usize = 16;

/// Keywords that are written down. Those whose value is a command (`ProxyCommand`) may hold secrets and are not.
const KEYWORDS: [&str; 20] = [
    "stricthostkeychecking",
    "userknownhostsfile",
    "globalknownhostsfile",
    "hashknownhosts",
    "checkhostip",
    "verifyhostkeydns",
    "updatehostkeys",
    "nohostauthenticationforlocalhost",
    "forwardagent",
    "forwardx11",
    "forwardx11trusted",
    "ciphers",
    "macs",
    "kexalgorithms",
    "hostkeyalgorithms",
    "casignaturealgorithms",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "requiredrsasize",
    "passwordauthentication",
];
/// Those of them whose values keep their case.
const PATHS: [&str; 3] = ["userknownhostsfile", "globalknownhostsfile", "forwardagent"];

/// Reads what SSH clients are told.
#[derive(Clone, Debug, Default)]
pub(crate) struct SshClient {
    root: Root,
}

impl Probe for SshClient {
    fn kind(&self) -> Kind {
        Kind::new("ssh-client-config", Level::Declared)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(SshClientFacts)
    }

    fn plan(&self, _target: &Target) -> Plan {
        Plan { files: ["/etc/passwd", SYSTEM, "~/.ssh/config"].map(str::to_owned).into(), ..Plan::default() }
    }

    fn observe<'a>(&'a self, _target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(cx).await?) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

/// A file that is still to be read, and where it is included from.
struct Todo {
    path: String,
    account: Option<String>,
    /// Where relative includes lie, and what `~` stands for.
    home: Option<String>,
    scope: Scope,
    depth: usize,
}

#[derive(Clone)]
struct Scope {
    text: String,
    everywhere: bool,
}

impl SshClient {
    async fn look(&self, cx: &Cx) -> Result<SshClientFacts, Failure> {
        let (accounts, cut) = with_shell(cx, &self.root).await.map_err(|e| Failure::new(e.class, why(&e)))?;
        let mut facts = SshClientFacts { asked: Asked::All, files: vec![], settings: vec![], not_read: vec![] };
        if cut {
            facts.not_read.push(NotRead::new("/etc/passwd", "it has more accounts than this program looks at"));
        }
        let all = || Scope { text: "Host *".to_owned(), everywhere: true };
        let mut todo = vec![Todo { path: SYSTEM.to_owned(), account: None, home: None, scope: all(), depth: 0 }];
        todo.extend(accounts.into_iter().map(|account| Todo {
            path: format!("{}/.ssh/config", account.home),
            account: Some(account.name),
            home: Some(account.home),
            scope: all(),
            depth: 0,
        }));
        todo.reverse();
        let mut seen = BTreeSet::new();
        while let Some(next) = todo.pop() {
            // Accounts that share a home share its file.
            if !seen.insert((next.path.clone(), next.scope.text.clone())) {
                continue;
            }
            if facts.files.len() >= MOST_FILES || facts.settings.len() >= MOST_SETTINGS {
                facts.not_read.push(NotRead::new(next.path, "more files or settings than this program looks at"));
                break;
            }
            let (outcome, unread) = match self.root.text(cx, &next.path, MOST_BYTES).await {
                Ok(text) => {
                    let included = self.read(cx, &next, &text, &mut facts).await;
                    todo.extend(included.into_iter().rev());
                    (Outcome::Present, None)
                }
                Err(e) if is_missing(&e) => (Outcome::Absent, None),
                Err(e) => (Outcome::NotProven, Some(reason(&e))),
            };
            facts.not_read.extend(unread.iter().map(|why| NotRead::new(next.path.clone(), why.clone())));
            facts.files.push(ClientFile { name: next.path, account: next.account, outcome, why: unread });
        }
        if !facts.not_read.is_empty() {
            let read = facts.files.iter().filter(|file| file.outcome != Outcome::NotProven);
            facts.asked = Asked::Only(read.map(|file| file.name.clone()).collect());
        }
        Ok(facts)
    }

    /// Takes the settings of one file, and gives the files that it includes.
    async fn read(&self, cx: &Cx, file: &Todo, text: &str, facts: &mut SshClientFacts) -> Vec<Todo> {
        let mut scope = file.scope.clone();
        let mut included = Vec::new();
        for (line, text) in (1_u32..).zip(text.lines()) {
            let Some(syntax::Line { name: keyword, rest: value, words }) = syntax::line(text) else { continue };
            let Some(words) = words.filter(|_| !keyword.is_empty()) else {
                facts.not_read.push(NotRead::new(format!("{}:{line}", file.path), "a line that is not understood"));
                continue;
            };
            match keyword.as_str() {
                "host" | "match" => {
                    let own = words.iter().any(|word| word == "*" || word.eq_ignore_ascii_case("all"));
                    let everywhere = own && words.len() == 1 && file.scope.everywhere;
                    let word = if keyword == "host" { "Host" } else { "Match" };
                    let around = if file.scope.everywhere { String::new() } else { format!("{}; ", file.scope.text) };
                    // What `exec` runs may hold secrets.
                    let value = match value.to_ascii_lowercase().find("exec") {
                        Some(at) if keyword == "match" => format!("{}exec …", value.get(..at).unwrap_or_default()),
                        _ => value.chars().take(200).collect(),
                    };
                    scope = Scope { text: format!("{around}{word} {value}"), everywhere };
                }
                "include" => {
                    for include in words {
                        match self.included(cx, file, &include).await {
                            Ok(paths) => included.extend(paths.into_iter().map(|path| Todo {
                                path,
                                account: file.account.clone(),
                                home: file.home.clone(),
                                scope: scope.clone(),
                                depth: file.depth + 1,
                            })),
                            Err(why) => {
                                facts.not_read.push(NotRead::new(format!("{}: Include {include}", file.path), why))
                            }
                        }
                    }
                }
                _ if KEYWORDS.contains(&keyword.as_str()) => {
                    let value = words.join(" ");
                    let kept = PATHS.contains(&keyword.as_str());
                    let value: String = value.chars().take(2000).collect();
                    facts.settings.push(ClientSetting {
                        name: format!("{}:{line}", file.path),
                        path: file.path.clone(),
                        account: file.account.clone(),
                        line,
                        scope: scope.text.clone(),
                        everywhere: scope.everywhere,
                        keyword,
                        value: if kept { value } else { value.to_ascii_lowercase() },
                    });
                }
                _ => {}
            }
        }
        included
    }

    /// The files that an `Include` names; none is no error. Relative ones lie beside the user's or the machine's own file.
    async fn included(&self, cx: &Cx, file: &Todo, include: &str) -> Result<Vec<String>, String> {
        if file.depth >= DEEPEST {
            return Err(format!("more than {DEEPEST} files include each other in a row"));
        }
        let absolute = match (include.strip_prefix("~/"), &file.home) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            (None, _) if include.starts_with('/') => include.to_owned(),
            (None, Some(home)) => format!("{home}/.ssh/{include}"),
            (None, None) => format!("/etc/ssh/{include}"),
            (Some(_), None) => return Err("a home has no meaning in the machine's file".to_owned()),
        };
        let (folder, names) = pattern(&absolute).ok_or("a pattern that this program does not know")?;
        // A file that is named as it is, and is missing, is told.
        if !names.contains(['*', '?']) {
            return Ok(vec![absolute]);
        }
        let listing = match cx.list_dir(self.root.path(&folder), 4096).await {
            Ok(listing) => listing,
            Err(e) if is_missing(&e) => return Ok(vec![]),
            Err(e) => return Err(why(&e)),
        };
        if listing.cut {
            return Err(format!("{folder}: too many files"));
        }
        let fitting = listing.names.iter().filter(|name| fits(&names, name));
        Ok(fitting.map(|name| format!("{folder}/{name}")).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should stop")]

    use serde_json::json;

    use super::*;
    use crate::testing::{Machine, observe};

    #[tokio::test]
    async fn settings_are_found_with_their_scopes() {
        let machine = Machine::new();
        machine.file("/etc/passwd", "ann:x:1000:1000::/srv/ann:/bin/sh\n");
        machine.file("/etc/ssh/ssh_config", "Include ssh_config.d/*.conf\nHost *\n  HashKnownHosts yes\n");
        machine.file("/etc/ssh/ssh_config.d/a.conf", "StrictHostKeyChecking=No\n");
        let own = "Host git lab\n ForwardAgent yes\n ProxyCommand secret\nMatch host x\n UserKnownHostsFile /dev/null\n Include 'inner'\n =Include config\n";
        machine.file("/srv/ann/.ssh/config", own);
        machine.file("/srv/ann/.ssh/inner", "Host *\nForwardX11 yes\n");
        let facts = observe(SshClient { root: machine.root() }).await.unwrap();
        let shown = |s: &serde_json::Value| {
            ["name", "scope", "keyword", "value"].map(|k| s[k].as_str().unwrap_or_default().to_owned()).join(" | ")
        };
        let settings: Vec<String> = facts["settings"].as_array().unwrap().iter().map(shown).collect();
        assert!(settings.contains(&"/etc/ssh/ssh_config.d/a.conf:1 | Host * | stricthostkeychecking | no".to_owned()));
        assert!(settings.contains(&"/etc/ssh/ssh_config:3 | Host * | hashknownhosts | yes".to_owned()));
        assert!(settings.contains(&"/srv/ann/.ssh/config:2 | Host git lab | forwardagent | yes".to_owned()));
        assert!(
            settings.contains(&"/srv/ann/.ssh/inner:2 | Match host x; Host * | forwardx11 | yes".to_owned()),
            "{settings:?}"
        );
        assert!(!facts.to_string().contains("secret"));
        assert_eq!(facts["settings"][1]["everywhere"], json!(true));
    }

    #[tokio::test]
    async fn files_that_include_themselves_come_to_an_end() {
        let machine = Machine::new();
        machine.file("/etc/passwd", "");
        machine.file("/etc/ssh/ssh_config", "Host a\nInclude ssh_config\nHost b\nInclude ssh_config\n");
        let facts = observe(SshClient { root: machine.root() }).await.unwrap();
        assert!(!facts["not_read"].as_array().unwrap().is_empty());
        assert!(facts["files"].as_array().unwrap().len() <= MOST_FILES);
    }
}
