//! Who looks, with what, from where and by which clock.

use std::collections::BTreeSet;
use std::fs;

use jiff::Timestamp;
use model::{Clock, Digest, Provenance, Run, Tool, Vantage};

/// What the pieces of evidence add up to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    connections: u32,
    addresses: BTreeSet<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, provenance: &Provenance) {
        self.connections = self.connections.saturating_add(provenance.connections);
        self.addresses.extend(provenance.sources.iter().cloned());
    }
}

/// Variables by which a CI system tells of itself, and its name.
const CI: [(&str, &str); 6] = [
    ("GITHUB_ACTIONS", "github"),
    ("GITLAB_CI", "gitlab"),
    ("JENKINS_URL", "jenkins"),
    ("BUILDKITE", "buildkite"),
    ("CIRCLECI", "circleci"),
    ("TF_BUILD", "azure"),
];

/// Whether this runs in a CI system that says so (`CI=true`).
#[must_use]
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false" && v != "0")
}

pub(crate) fn of_this_process(
    tally: Tally,
    (started, finished, millis): (Timestamp, Timestamp, u64),
    max_connections: u32,
    interrupted: bool,
) -> Run {
    Run {
        tool: tool(),
        vantage: Vantage {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            user: user(),
            addresses: tally.addresses.into_iter().collect(),
            ci: ci(),
        },
        clock: clock(),
        started,
        finished,
        millis,
        connections: tally.connections,
        max_connections,
        interrupted,
    }
}

/// The running binary.
#[must_use]
pub fn tool() -> Tool {
    Tool {
        name: "probity".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        // The kernel's link stays good when the file was replaced by an update meanwhile.
        digest: fs::read("/proc/self/exe").ok().map(|bytes| Digest::of(&bytes)),
    }
}

fn ci() -> Option<String> {
    let known = CI.iter().find(|(variable, _)| std::env::var_os(variable).is_some());
    known.map(|(_, name)| (*name).to_owned()).or_else(|| in_ci().then(|| "other".to_owned()))
}

/// The name of the effective user, or the number where it has none. The environment is not believed.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut fields = passwd.lines().map(|line| line.split(':'));
    let name = fields.find_map(|mut f| {
        let name = f.next()?;
        (f.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

/// What is known of this machine's clock without asking anybody else.
fn clock() -> Clock {
    let stamp = fs::metadata("/run/systemd/timesync/synchronized").is_ok();
    if stamp {
        return Clock { error_millis: None, synchronised: Some(true), source: "systemd-timesyncd".to_owned() };
    }
    Clock { error_millis: None, synchronised: None, source: "nothing on this machine tells it".to_owned() }
}
