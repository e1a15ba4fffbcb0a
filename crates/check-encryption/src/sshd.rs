//! The effective settings of this machine's SSH server, by its own word.

pub(crate) mod config;
mod contexts;
mod others;
mod running;
mod settings;
pub(crate) mod syntax;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use model::{Facts, Failure, Kind, Level, Target};
use probe::{BoxFuture, Command, Cx, Plan, Probe};

use self::contexts::Connection;
use crate::accounts;
use crate::facts::{ConfigFile, MatchBlock, Outcome, RunningSshd, SshdContext, SshdFacts};
use crate::root::{FOLDERS, Root, is_missing, reason, why};

/// Where OpenSSH keeps its configuration unless told otherwise.
const CONFIG: &str = "/etc/ssh/sshd_config";
/// Configuration files read, and bytes of each.
const MOST_FILES: usize = 256;
const MOST_BYTES: usize = 1 << 20;
/// Connections that the server is asked about.
const MOST_CONTEXTS: usize = 34;
/// The least number of an account that is a person's (`UID_MIN`, login.defs(5)), and that of nobody.
const FIRST_ORDINARY: u32 = 1000;
const NOBODY: u32 = 65534;

/// Asks the SSH server for its settings (`sshd -T`), which starts no server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sshd {
    root: Root,
}

impl Probe for Sshd {
    fn kind(&self) -> Kind {
        Kind::new("sshd", Level::Effective)
    }

    fn sort(&self) -> &'static str {
        crate::SORT
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(SshdFacts)
    }

    fn plan(&self, _target: &Target) -> Plan {
        let files = [
            CONFIG,
            "/proc/*/comm",
            "/proc/*/cmdline",
            "/proc/*/stat",
            "/proc/*/status",
            "/proc/*/fd/",
            "/proc/*/exe",
            "/proc/net/tcp",
            "/etc/passwd",
            "/etc/group",
        ];
        let commands = ["sshd -V", "sshd -T", "sshd -T -C user=…,host=…,addr=…,laddr=…,lport=…"];
        Plan { files: files.map(str::to_owned).into(), commands: commands.map(str::to_owned).into(), connections: 0 }
    }

    fn observe<'a>(&'a self, _target: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        Box::pin(async move { probe::facts(&self.look(cx).await) })
    }

    fn attested_by_host_only(&self) -> bool {
        true
    }
}

impl Sshd {
    /// The server of the machine that lies in `root`.
    pub(crate) const fn at(root: Root) -> Self {
        Self { root }
    }

    pub(crate) async fn look(&self, cx: &Cx) -> SshdFacts {
        let mut running = running::find(cx, &self.root).await;
        let others = others::find(cx, &self.root, &running).await;
        let other_sockets = others.iter().flat_map(|other| other.sockets.iter().cloned()).collect();
        let looked_for =
            FOLDERS.iter().map(|folder| format!("{folder}/sshd")).chain(["running processes".into()]).collect();
        let path = self.root.program(cx, "sshd").or_else(|| {
            let exe = running.iter().find(|server| trusted(server)).and_then(|server| server.exe.as_ref())?;
            Some(self.root.path(exe).display().to_string()).filter(|path| cx.which(path).is_some())
        });
        let Some(path) = path else {
            let (outcome, why) = match (running.first(), others.first()) {
                (None, None) => (Outcome::Absent, None),
                (Some(server), _) => {
                    (Outcome::NotProven, Some(format!("{} runs, but its program can't be found", server.name)))
                }
                (None, Some(other)) => {
                    let exe = other.exe.as_deref().unwrap_or("a program");
                    let why = format!("{} ({exe}) speaks SSH by all signs, and does not tell its settings", other.name);
                    (Outcome::NotProven, Some(why))
                }
            };
            for server in &mut running {
                server.command = running::shown(&server.command);
            }
            return SshdFacts {
                outcome,
                why,
                looked_for,
                running,
                others,
                other_sockets,
                ..settings::facts(settings::Settings::new())
            };
        };

        let (command, answer) = match options(&running) {
            Ok(options) => {
                let words: Vec<String> = [path.clone(), "-T".into()].into_iter().chain(options).collect();
                let answer = ask(cx, &words).await;
                (words, answer)
            }
            Err(why) => (vec![], Err(why)),
        };
        let (outcome, why, settings) = match answer {
            Ok(settings) => (Outcome::Present, None, settings),
            Err(why) => (Outcome::NotProven, Some(why), settings::Settings::new()),
        };
        let config = command.iter().skip_while(|word| *word != "-f").nth(1).map_or(CONFIG, String::as_str);
        let (config_files, match_blocks) = self.config(cx, config).await;
        for server in &mut running {
            server.config_newer = config_newer(server, &config_files);
            server.command = running::shown(&server.command);
        }
        let contexts = match outcome {
            Outcome::Present => {
                Some(self.contexts(cx, &command, &settings, match_blocks.as_deref().unwrap_or_default()).await)
            }
            _ => None,
        };
        let named = settings.get("listenaddress").into_iter().flatten().map(|address| format!("tcp:{address}"));
        let held = running.iter().filter(|server| trusted(server)).flat_map(|server| server.sockets.iter().cloned());
        let sockets: BTreeSet<String> = named.chain(held).collect();
        SshdFacts {
            outcome,
            why,
            installed: true,
            version: version(cx, &path).await,
            path: Some(path),
            looked_for,
            command: running::shown_words(&command),
            config_files,
            match_blocks,
            contexts,
            sockets: sockets.into_iter().collect(),
            running,
            others,
            ..settings::facts(settings)
        }
    }

    /// All configuration files, and the `Match` blocks in them; `None` where one could not be read.
    async fn config(&self, cx: &Cx, first: &str) -> (Vec<ConfigFile>, Option<Vec<MatchBlock>>) {
        let (mut files, mut blocks, mut whole) = (Vec::new(), Vec::new(), true);
        let mut todo = vec![(first.to_owned(), None)];
        let mut seen = BTreeSet::new();
        while let Some((path, around)) = todo.pop() {
            if !seen.insert((path.clone(), around.clone())) {
                continue;
            }
            if files.len() >= MOST_FILES {
                whole = false;
                files.push(not_read(path, format!("more than {MOST_FILES} files")));
                break;
            }
            let text = match self.root.text(cx, &path, MOST_BYTES).await {
                Ok(text) => text,
                Err(e) if is_missing(&e) => {
                    files.push(ConfigFile { name: path, outcome: Outcome::Absent, why: None, changed: None });
                    continue;
                }
                Err(e) => {
                    whole = false;
                    files.push(not_read(path, reason(&e)));
                    continue;
                }
            };
            let changed = self.root.resolve(cx, &path).await.ok().map(|(_, found, _)| found.changed);
            let parsed = config::parse(&path, &text, around.as_deref());
            blocks.extend(parsed.blocks);
            for (include, criteria) in parsed.includes.into_iter().rev() {
                match self.included(cx, &include).await {
                    Ok(paths) => todo.extend(paths.into_iter().rev().map(|path| (path, criteria.clone()))),
                    Err(why) => {
                        whole = false;
                        files.push(not_read(include, why));
                    }
                }
            }
            let changed = changed.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(|time| time.to_string());
            whole &= parsed.not_understood.is_none();
            files.push(match parsed.not_understood {
                Some(why) => not_read(path, why),
                None => ConfigFile { name: path, outcome: Outcome::Present, why: None, changed },
            });
        }
        (files, whole.then_some(blocks))
    }

    /// What holds for root, for an ordinary account, and for a connection that fits each `Match` block.
    async fn contexts(
        &self,
        cx: &Cx,
        command: &[String],
        everywhere: &settings::Settings,
        blocks: &[MatchBlock],
    ) -> Vec<SshdContext> {
        let ordinary = match accounts::with_shell(cx, &self.root).await {
            Ok((all, _)) => all.into_iter().find(|account| account.uid >= FIRST_ORDINARY && account.uid != NOBODY),
            Err(_) => None,
        };
        let ordinary = ordinary.map_or_else(|| "nobody".to_owned(), |account| account.name);
        let passwd = self.root.text(cx, "/etc/passwd", 16 << 20).await.unwrap_or_default();
        let group = self.root.text(cx, "/etc/group", 16 << 20).await.unwrap_or_default();
        let accounts = contexts::Accounts::read(&passwd, &group);
        let port = everywhere.get("port").and_then(|ports| ports.first()).map_or("22", String::as_str);
        let like = Connection::of(&ordinary, port);

        let mut found = Vec::new();
        let mut asked: Vec<(Connection, Vec<&MatchBlock>)> =
            vec![(Connection::of("root", port), vec![]), (like.clone(), vec![])];
        for block in blocks {
            match contexts::fitting(block, &like, &accounts) {
                Err(why) => found.push(unknown(block.name.clone(), why, &[block])),
                Ok(connection) => {
                    if let Some((_, its)) = asked.iter_mut().find(|(known, _)| *known == connection) {
                        its.push(block);
                    } else if asked.len() < MOST_CONTEXTS {
                        asked.push((connection, vec![block]));
                    } else {
                        let why = format!("more than {MOST_CONTEXTS} connections to ask about");
                        found.push(unknown(block.name.clone(), why, &[block]));
                    }
                }
            }
        }
        for (connection, its) in asked {
            let name = connection.specification();
            let words: Vec<String> = command.iter().cloned().chain(["-C".to_owned(), name.clone()]).collect();
            found.push(match ask(cx, &words).await {
                Err(why) => unknown(name, why, &its),
                Ok(here) => {
                    let (settings, changes) = settings::differing(&here, everywhere);
                    let blocks = its.iter().map(|block| block.name.clone()).collect();
                    SshdContext { name, outcome: Outcome::Present, why: None, blocks, settings, changes }
                }
            });
        }
        found
    }

    /// The files that an `Include` names; none is no error (sshd_config(5)).
    async fn included(&self, cx: &Cx, include: &str) -> Result<Vec<String>, String> {
        let (folder, pattern) = config::pattern(include).ok_or("a pattern that this program does not know")?;
        // A file that is named as it is, and is missing, is told.
        if !pattern.contains(['*', '?']) {
            return Ok(vec![format!("{folder}/{pattern}")]);
        }
        let listing = match cx.list_dir(self.root.path(&folder), 4096).await {
            Ok(listing) => listing,
            Err(e) if is_missing(&e) => return Ok(vec![]),
            Err(e) => return Err(why(&e)),
        };
        if listing.cut {
            return Err(format!("{folder}: too many files"));
        }
        let fitting = listing.names.iter().filter(|name| config::fits(&pattern, name));
        Ok(fitting.map(|name| format!("{folder}/{name}")).collect())
    }
}

/// A connection about which nothing is known.
fn unknown(name: String, why: String, blocks: &[&MatchBlock]) -> SshdContext {
    let changes: BTreeSet<String> = blocks.iter().flat_map(|block| block.changes.iter().cloned()).collect();
    let blocks = blocks.iter().map(|block| block.name.clone()).collect();
    let changes = changes.into_iter().collect();
    SshdContext { name, outcome: Outcome::NotProven, why: Some(why), blocks, settings: vec![], changes }
}

fn not_read(name: String, why: String) -> ConfigFile {
    ConfigFile { name, outcome: Outcome::NotProven, why: Some(why), changed: None }
}

/// Whether a process is the machine's own SSH server and not one that any user may have started.
fn trusted(server: &RunningSshd) -> bool {
    server.uid == Some(0) && server.same_namespace != Some(false)
}

/// The options that `sshd -T` needs to tell the settings of the server that runs.
fn options(running: &[RunningSshd]) -> Result<Vec<String>, String> {
    let mut options: Option<Vec<String>> = None;
    for server in running.iter().filter(|server| trusted(server)) {
        let its = running::options(&server.command).ok_or_else(|| {
            format!("{}: its options can't be told apart: {}", server.name, running::shown(&server.command))
        })?;
        match &options {
            Some(first) if *first != its => {
                return Err("several SSH servers run with different options; their settings can't be told apart".into());
            }
            _ => options = Some(its),
        }
    }
    Ok(options.unwrap_or_default())
}

/// What `sshd -T` says. Without root it can't read the host keys, and refuses.
async fn ask(cx: &Cx, words: &[String]) -> Result<settings::Settings, String> {
    let argv: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = cx.command(Command::new(&argv)).await.map_err(|failure| failure.message)?;
    let settings = settings::parse(&String::from_utf8_lossy(&output.stdout));
    if settings.contains_key("permitrootlogin") {
        return Ok(settings);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line: String =
        said.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("nothing").chars().take(300).collect();
    Err(format!("sshd -T does not tell its settings, it says: {line}; run as root to see them"))
}

async fn version(cx: &Cx, path: &str) -> Option<String> {
    let argv = [path, "-V"];
    let command = Command { within: Duration::from_secs(5), ..Command::new(&argv) };
    let output = cx.command(command).await.ok()?;
    [output.stderr, output.stdout].iter().find_map(|said| settings::version(&String::from_utf8_lossy(said)))
}

/// Whether a configuration file changed after a server began. Both times are whole seconds or worse: one second is not
/// enough to tell.
fn config_newer(server: &RunningSshd, files: &[ConfigFile]) -> Option<bool> {
    if server.same_namespace == Some(false) || files.iter().any(|file| file.outcome == Outcome::NotProven) {
        return None;
    }
    let started: Timestamp = server.started.as_ref()?.parse().ok()?;
    let changed: Option<Vec<Timestamp>> = files
        .iter()
        .filter(|file| file.outcome == Outcome::Present)
        .map(|file| file.changed.as_ref()?.parse().ok())
        .collect();
    Some(changed?.into_iter().any(|changed| changed.as_second() > started.as_second() + 1))
}

#[cfg(test)]
mod tests;
