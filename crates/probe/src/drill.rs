//! What a drill may do beside looking: make scratch folders and start processes, all of it in its journal.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use model::{Failure, FailureClass};
use tokio::process::Child;

use crate::command::{Command, Note};
use crate::cx::Cx;
use crate::journal::Journal;
use crate::living::{Living, MARK};
use crate::process::Launch;
use crate::{program, tree};

/// A process that goes on beside the drill, such as a scratch database server. It is ended when the drill ends; dropping
/// this does not end it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: u32,
    entry: u32,
    journal: Arc<Journal>,
}

impl Running {
    /// Its number; its process group has the same.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs. One that ended says why in its log.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it now, with its descendants: SIGTERM, then SIGINT, then SIGKILL.
    ///
    /// # Errors
    /// Where it can't be ended.
    pub async fn end(self) -> Result<(), Failure> {
        let Self { journal, entry, mut child, pid } = self;
        let left = tokio::task::spawn_blocking(move || journal.end(entry)).await.unwrap_or_default();
        if left.is_empty() {
            // It is over; this takes its exit code from the kernel.
            let _ = child.wait().await;
            return Ok(());
        }
        Err(Failure::new(FailureClass::Interrupted, format!("the process {pid} can't be ended")))
    }
}

impl Cx {
    /// An empty folder for this drill alone (mode 0700), written down before it is made and removed with everything in
    /// it when the drill ends, however that comes about. Its name tells the `purpose`.
    ///
    /// # Errors
    /// Where this is no drill, or the folder can't be made.
    pub async fn scratch(&self, purpose: &str) -> Result<PathBuf, Failure> {
        let (journal, purpose) = (self.journal()?, purpose.to_owned());
        let made = tokio::task::spawn_blocking(move || journal.make_scratch(&purpose)).await;
        made.unwrap_or_else(|e| Err(std::io::Error::other(e))).map_err(|e| not_made("a scratch folder", &e))
    }

    /// Starts a process that goes on while the drill does other things, and writes down what it is before it is started.
    /// Both of its outputs are appended to the file `log`, best in a scratch folder. It gets what [`Cx::command`] gives
    /// a command; `within` and `most` mean nothing here.
    ///
    /// # Errors
    /// Where this is no drill, or the program is missing or can't be started.
    pub async fn spawn_journalled(&self, command: Command<'_>, log: &Path) -> Result<Running, Failure> {
        let journal = self.journal()?;
        let (path, arguments) = command.settle()?;
        let mut secrets = self.recorder.secrets();
        command.redact.iter().for_each(|secret| secrets.add(secret));
        // Its record says what was started; its outputs are in the log.
        let mut note = Note::new(Arc::clone(&self.recorder), command.argv, &path, secrets);
        note.record.program = program::digest(&path).await;
        let argv = note.record.argv.clone();
        let writer = Arc::clone(&journal);
        let entry = tokio::task::spawn_blocking(move || writer.process(argv)).await;
        let entry = entry
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| not_made("a journalled process", &e))?;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(log);
        let files = file.and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = files.map_err(|e| not_made(&format!("the log {}", log.display()), &e))?;
        let Command { env, cwd, stdin, .. } = command;
        let launch = Launch { path: &path, arguments, env, cwd, stdin, mark: Some(journal.id()) };
        let mut child = launch.command()?;
        // Not killed when it is dropped: the journal ends it in good order.
        child.stdout(Stdio::from(out)).stderr(Stdio::from(err)).kill_on_drop(false);
        let mut child = child.spawn().map_err(|e| launch.not_started(&e))?;
        let living = child.id().and_then(|pid| Some((pid, Living::of(pid)?)));
        let Some((pid, living)) = living else {
            // Unknown to the journal it must not live; its mark would find it too.
            let _ = child.start_kill();
            return Err(Failure::new(FailureClass::Interrupted, format!("{}: /proc does not show it", path.display())));
        };
        let writer = Arc::clone(&journal);
        let noted = tokio::task::spawn_blocking(move || writer.running(entry, living)).await;
        if let Err(e) = noted.unwrap_or_else(|e| Err(std::io::Error::other(e))) {
            let _ = child.start_kill();
            return Err(not_made("a journalled process", &e));
        }
        Ok(Running { child, pid, entry, journal })
    }

    /// Bytes that may still be written to the file system that holds `path`.
    ///
    /// # Errors
    /// Where the path is missing or forbidden.
    pub fn free_bytes(&self, path: &Path) -> Result<u64, Failure> {
        let fail = |e: std::io::Error| {
            Failure::new(FailureClass::Unreadable, format!("{}: free space can't be told: {e}", path.display()))
        };
        tree::space(path).map(|(free, _)| free).map_err(fail)
    }

    /// Bytes that all scratch folders of this drill together may hold: a drill that needs more says so before it begins.
    #[must_use]
    pub fn scratch_bytes(&self) -> u64 {
        self.budget.limits().scratch_bytes
    }

    /// The variable that all processes of this drill see.
    pub(crate) fn mark(&self) -> Option<&str> {
        self.journal.as_deref().map(Journal::id)
    }

    fn journal(&self) -> Result<Arc<Journal>, Failure> {
        self.journal.clone().ok_or_else(|| {
            Failure::new(
                FailureClass::Panic,
                format!(
                    "only a drill may make things ({MARK} is not set); this is a defect of Probity, please report it"
                ),
            )
        })
    }
}

fn not_made(what: &str, e: &std::io::Error) -> Failure {
    let class = match e.kind() {
        std::io::ErrorKind::PermissionDenied => FailureClass::Permission,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FailureClass::Interrupted,
        _ => FailureClass::Unreadable,
    };
    Failure::new(class, format!("{what} can't be made: {e}; choose another place with --scratch"))
}
