//! Where tests drill: a real run of a real probe, in a folder of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use model::{Ask, Depth, Evidence, Facts, Failure, Kind, Level, Subject, Target};
use probe::{BoxFuture, Cx, Job, Limits, Plan, Probe, Stop, Workshop, collect};
use serde_json::Value;
use tokio::sync::mpsc;

use super::copies::FileCopy;
use super::report::About;
use crate::facts::{Identity, SourceKind};
use crate::target::{BackupSpec, BackupTarget, Drill, Files};

type Act = Box<dyn for<'a> Fn(&'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> + Send + Sync>;

struct Told(Act);

impl Probe for Told {
    fn kind(&self) -> Kind {
        Kind::new("told", Level::Demonstrated)
    }

    fn sort(&self) -> &'static str {
        "told"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({ "type": "object" })
    }

    fn is_drill(&self) -> bool {
        true
    }

    fn plan(&self, _: &Target) -> Plan {
        Plan::default()
    }

    fn observe<'a>(&'a self, _: &'a Target, cx: &'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> {
        (self.0)(cx)
    }
}

/// Runs a drill in a state folder, and sees to it that nothing of it is left.
pub(super) async fn run(
    state: &Path,
    scratch_bytes: u64,
    act: impl for<'a> Fn(&'a Cx) -> BoxFuture<'a, Result<Facts, Failure>> + Send + Sync + 'static,
) -> Evidence {
    let subject = Subject { sort: "told".into(), spec: serde_json::json!({}) };
    let name = "it".to_owned();
    let target =
        Target { of: name.clone(), address: name.clone(), name, labels: BTreeMap::new(), discovered: false, subject };
    let job =
        Job { probe: Arc::new(Told(Box::new(act))), target, ask: Ask::All, depth: Depth::Full, prior: Vec::new() };
    let workshop = Some(Workshop::new(state, None));
    let limits = Limits { allow_commands: true, workshop, scratch_bytes, ..Limits::default() };
    let (evidence, mut received) = mpsc::channel(1);
    let (events, _) = mpsc::unbounded_channel();
    let ((), collected) = tokio::join!(collect(vec![job], limits, Stop::default(), evidence, events), received.recv());
    clean(state);
    collected.unwrap().evidence
}

/// No scratch folder and no journal is left.
pub(super) fn clean(state: &Path) {
    let names = |folder: &str| {
        let names = std::fs::read_dir(state.join(folder)).unwrap();
        names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names("scratch"), Vec::<String>::new());
    assert_eq!(names("drills"), ["lock"]);
}

/// A folder that every user may enter.
pub(super) fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// A folder in it that a user owns.
pub(super) fn folder_of(user: &str, path: &Path) -> PathBuf {
    std::fs::create_dir_all(path).unwrap();
    if rustix::process::geteuid().is_root() {
        say(Command::new("chown").args([user, path.to_str().unwrap()]));
    }
    path.to_owned()
}

/// A command as a user, where the test runs as root.
pub(super) fn as_user(user: &str, program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let ids = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
    command.args(ids).arg(program);
    command
}

/// Runs a command, which must end well, and gives its output.
pub(super) fn say(command: &mut Command) -> String {
    let output = command.current_dir("/").output().unwrap_or_else(|e| panic!("{command:?}: {e}; is it installed?"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the inventory would say.
pub(super) fn spec(drill: Drill) -> BackupSpec {
    let files = Files { pattern: "/srv/*".into(), ..Files::default() };
    BackupTarget { files: Some(files), drill: Some(drill), ..BackupTarget::default() }.resolve("it").unwrap()
}

/// Which copy it is about: one of that instant.
pub(super) fn about(at: Option<jiff::Timestamp>) -> About {
    About {
        source: SourceKind::Files,
        tool: None,
        identity: Identity::is("nothing", ""),
        snapshot: "copy".into(),
        recovery_point: at.map(|at| at.to_string()),
        bytes: None,
        covers: vec![],
    }
}

/// The copy at a path.
pub(super) async fn copy(path: &Path, cx: &Cx) -> FileCopy {
    let source = Files { pattern: path.display().to_string(), ..Files::default() };
    FileCopy::of(&source, path.file_name().unwrap().to_str().unwrap(), cx).await.unwrap()
}

/// The facts, which must be there.
pub(super) fn facts(evidence: Evidence) -> Value {
    let failure = evidence.failure;
    Value::Object(evidence.facts.unwrap_or_else(|| panic!("{failure:?}")))
}
